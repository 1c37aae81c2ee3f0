#include "answer/grounding.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

namespace luup {

namespace {

using json = nlohmann::ordered_json;

constexpr size_t stem = 5;  // bytes of a word that have to agree

bool is_word(unsigned char c) {
    return std::isalnum(c) || c >= 0x80;
}

std::vector<std::string> words_of(const std::string & text) {
    std::vector<std::string> words;
    std::string              word;
    for (char c : text + " ") {
        if (is_word(static_cast<unsigned char>(c))) {
            word += c;
        } else if (!word.empty()) {
            words.push_back(std::move(word));
            word.clear();
        }
    }
    return words;
}

// Returns the numbers in a text; "1,000" is one number.
std::vector<double> numbers_of(const std::string & text) {
    std::vector<double> numbers;
    for (size_t i = 0; i < text.size();) {
        if (!std::isdigit(static_cast<unsigned char>(text[i]))) {
            i++;
            continue;
        }
        std::string numeral;
        while (i < text.size()) {
            const bool digit = std::isdigit(static_cast<unsigned char>(text[i]));
            const bool next  = i + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[i + 1]));
            if (!digit && !((text[i] == '.' || text[i] == ',') && next)) {
                break;
            }
            if (text[i] != ',') {
                numeral += text[i];
            }
            i++;
        }
        numbers.push_back(std::strtod(numeral.c_str(), nullptr));
    }
    return numbers;
}

bool equal(double a, double b) {
    return std::fabs(a - b) <= 1e-9 * std::max(std::fabs(a), std::fabs(b));
}

}  // namespace

std::string lowered(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(c < 128 ? std::tolower(c) : c); });
    return text;
}

void Grounding::read() const {
    if (read_) {
        return;
    }
    read_    = true;
    text_    = lowered(std::move(text_));
    numbers_ = numbers_of(text_);
    for (const std::string & word : words_of(text_)) {
        words_.insert(word);
        stems_.insert(word.substr(0, stem));
    }
}

bool Grounding::mentions(const json & value) const {
    read();
    if (value.is_number()) {
        const double number = std::fabs(value.get<double>());
        return std::any_of(numbers_.begin(), numbers_.end(),
                           [&](double n) { return equal(n, number) || equal(n, number * 100); });
    }
    const std::string text = lowered(value.get<std::string>());
    if (!text.empty() && text_.find(text) != std::string::npos) {
        return true;
    }
    const auto words = words_of(text);
    const auto known = std::count_if(words.begin(), words.end(), [&](const std::string & word) { return knows(word); });
    return !words.empty() && 2 * static_cast<size_t>(known) >= words.size();
}

bool Grounding::knows(const std::string & word) const {
    return words_.count(word) > 0 || (word.size() >= stem && stems_.count(word.substr(0, stem)) > 0);
}

bool Grounding::mentions_anew(const json & value, const std::vector<json> & used) const {
    if (value.is_number()) {
        return mentions(value) && std::find(used.begin(), used.end(), value) == used.end();
    }
    read();
    const std::string               text = lowered(value.get<std::string>());
    bool                            part = text.empty();
    std::unordered_set<std::string> said;
    for (const json & other : used) {
        if (other.is_string()) {
            const std::string before = lowered(other.get<std::string>());
            part                     = part || before.find(text) != std::string::npos;
            for (const std::string & word : words_of(before)) {
                said.insert(word);
            }
        }
    }
    if (!part && text_.find(text) != std::string::npos) {
        return true;
    }
    size_t fresh = 0, known = 0;
    for (const std::string & word : words_of(text)) {
        fresh += said.count(word) == 0;
        known += said.count(word) == 0 && knows(word);
    }
    return fresh > 0 && 2 * known >= fresh;
}

double Grounding::missing(const json & value) const {
    const auto all = leaves(value);
    if (all.empty()) {
        return 0.5;
    }
    return static_cast<double>(
               std::count_if(all.begin(), all.end(), [&](const json & leaf) { return !mentions(leaf); })) /
           static_cast<double>(all.size());
}

std::vector<json> leaves(const json & value) {
    std::vector<json> all;
    if (value.is_string() || value.is_number()) {
        all.push_back(value);
    } else if (value.is_structured()) {
        for (const json & inner : value) {
            const auto more = leaves(inner);
            all.insert(all.end(), more.begin(), more.end());
        }
    }
    return all;
}

}  // namespace luup
