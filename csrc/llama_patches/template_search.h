// Searches texts in linear time: std::string::find() takes the product of both lengths at worst, which a template and a
// message can bring about. For template_limits.h.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace luup_template {

// Finds the places of one text in others, by the algorithm of Knuth, Morris and Pratt.
class Search {
  public:
    // `needle` has at least one character and must outlive this.
    explicit Search(const std::string & needle) : needle_(needle), borders_(needle.size() + 1) {
        for (size_t i = 1, k = 0; i < needle.size(); i++) {
            k               = step(k, needle[i]);
            borders_[i + 1] = k;
        }
    }

    // Return where the needle is in `text` at `from` or later, for the first or the last time; npos: nowhere.
    size_t find(const std::string & text, size_t from, bool last) const {
        size_t found = std::string::npos;
        for (size_t i = from, k = 0; i < text.size(); i++) {
            k = step(k, text[i]);
            if (k == needle_.size()) {
                found = i + 1 - k;
                if (!last) {
                    break;
                }
            }
        }
        return found;
    }

  private:
    // Return how much of the needle is matched with `c`, if `k` characters of it were matched before.
    size_t step(size_t k, char c) const {
        while (k > 0 && (k == needle_.size() || needle_[k] != c)) {
            k = borders_[k];
        }
        return needle_[k] == c ? k + 1 : 0;
    }

    const std::string & needle_;
    std::vector<size_t> borders_;
};

// Whether the library's search is fast enough.
inline bool is_easy(const std::string & text, const std::string & needle) {
    return text.size() < 4096 || needle.size() < 16;
}

inline size_t find(const std::string & text, const std::string & needle, size_t from = 0) {
    return is_easy(text, needle) ? text.find(needle, from) : Search(needle).find(text, from, false);
}

inline size_t find_last(const std::string & text, const std::string & needle) {
    return is_easy(text, needle) ? text.rfind(needle) : Search(needle).find(text, 0, true);
}

}  // namespace luup_template
