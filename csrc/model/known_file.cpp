#include "model/known_file.h"

#include "model/gguf_file.h"

#include <algorithm>
#include <sstream>

namespace luup {

namespace {

constexpr uint64_t smallest_known = 1 << 20;
constexpr size_t   longest_facts  = 64 << 10;
constexpr size_t   most_known     = 256;  // files of facts
constexpr char     facts_end[]    = ".known";
constexpr char     facts_format[] = "luup-known-1";

}  // namespace

KnownFile::KnownFile(const OwnFolder * folder, const std::vector<std::string> & files)
    : folder_(folder), files_(files), identity_(identity()) {
    bool settled = folder && *folder && !identity_.empty();
    for (const std::string & path : files_) {
        const auto file = identify_file(path);
        settled         = settled && file && is_settled(*file);
        bytes_ += file ? file->size : 0;
    }
    if (!settled || bytes_ < smallest_known) {
        return;
    }
    name_              = text_key(identity_) + facts_end;
    const auto content = folder_->read(name_, longest_facts);
    // The format and a sum, the identity, then the facts.
    const size_t begin = content ? content->find('\n') : std::string::npos;
    if (begin == std::string::npos) {
        return;
    }
    const std::string rest = content->substr(begin + 1);
    if (content->substr(0, begin) != facts_format + (" " + text_key(rest))) {
        folder_->remove(name_);
        return;
    }
    std::istringstream lines(rest);
    std::string        line;
    if (!std::getline(lines, line) || line != identity_) {
        return;
    }
    while (std::getline(lines, line)) {
        const size_t space = line.find(' ');
        if (space != std::string::npos) {
            facts_[line.substr(0, space)] = line.substr(space + 1);
        }
    }
}

std::string KnownFile::identity() const {
    std::string text;
    for (const std::string & path : files_) {
        const auto file = identify_file(path);
        if (!file) {
            return "";
        }
        text += (text.empty() ? "" : ", ") + file->text();
    }
    return text;
}

bool KnownFile::is_unchanged() const {
    return identity() == identity_;
}

std::optional<std::string> KnownFile::get(const std::string & name) const {
    const auto found = facts_.find(name);
    return found == facts_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

void KnownFile::put(const std::string & name, const std::string & value) {
    if (!is_kept() || get(name) == value || !is_unchanged()) {
        return;
    }
    facts_[name]     = value;
    std::string rest = identity_ + "\n";
    for (const auto & [each, its_value] : facts_) {
        rest += each + " " + its_value + "\n";
    }
    auto others = folder_->list(facts_end);
    if (others.size() >= most_known) {
        const auto oldest = std::min_element(others.begin(), others.end(),
                                             [](const auto & a, const auto & b) { return a.used < b.used; });
        folder_->remove(oldest->name);
    }
    folder_->write(name_, facts_format + (" " + text_key(rest)) + "\n" + rest);
}

}  // namespace luup
