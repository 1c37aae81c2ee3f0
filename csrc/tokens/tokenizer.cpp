#include "tokens/tokenizer.h"

#include "base/error.h"
#include "base/text.h"
#include "tokens/media_token.h"

#include <algorithm>
#include <cctype>
#include <climits>

namespace luup {

namespace {

// The cache of tokenized texts: llama.cpp compiles the vocabulary's regular expressions for each piece of text, which
// is most of the cost of a short one.
constexpr size_t most_parts   = 1024;
constexpr size_t longest_part = 64;  // bytes

// Whether occurrences of the two in one text can overlap.
bool overlap(const std::string & a, const std::string & b) {
    if (a.find(b) != std::string::npos || b.find(a) != std::string::npos) {
        return true;
    }
    for (size_t n = 1; n < std::min(a.size(), b.size()); n++) {
        if (a.compare(a.size() - n, n, b, 0, n) == 0 || b.compare(b.size() - n, n, a, 0, n) == 0) {
            return true;
        }
    }
    return false;
}

size_t count(std::string_view text, std::string_view part) {
    size_t n = 0;
    for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) {
        n++;
    }
    return n;
}

}  // namespace

std::vector<llama_token> tokenize_text(const llama_vocab * vocab, std::string_view text, bool add_special,
                                       bool parse_special) {
    if (text.size() > INT32_MAX - 16) {
        fail(LUUP_ERROR_INVALID_PARAM, "a text of %zu bytes is too long to be split into tokens", text.size());
    }
    std::vector<llama_token> tokens(text.size() / 2 + 16);
    for (int attempt = 0; attempt < 2; attempt++) {
        const int32_t n = llama_tokenize(vocab, text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                                         static_cast<int32_t>(tokens.size()), add_special, parse_special);
        if (n == INT32_MIN) {
            break;
        }
        tokens.resize(n < 0 ? -n : n);
        if (n >= 0) {
            return tokens;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM, "a text of %zu bytes could not be split into tokens", text.size());
}

std::string token_bytes(const llama_vocab * vocab, llama_token token, bool special) {
    std::string bytes(32, '\0');
    int32_t     n = llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, special);
    if (n < 0) {
        bytes.resize(-n);
        n = llama_token_to_piece(vocab, token, bytes.data(), static_cast<int32_t>(bytes.size()), 0, special);
    }
    bytes.resize(std::max(n, 0));
    return bytes;
}

PromptTokenizer::PromptTokenizer(const llama_vocab * vocab, const std::string & source) : vocab_(vocab) {
    std::vector<std::string> special;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); token++) {
        const auto attributes = llama_vocab_get_attr(vocab_, token);
        const bool control    = (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
        const bool defined    = (attributes & LLAMA_TOKEN_ATTR_USER_DEFINED) != 0;
        if (!control && !defined) {
            continue;
        }
        const char *      raw  = llama_vocab_get_text(vocab_, token);
        const std::string text = raw ? raw : "";
        special.push_back(text);
        // User-defined tokens for plain text (runs of spaces, HTML tags) are markers only if the template uses them.
        const bool blank  = std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isspace(c); });
        const bool marker = control || llama_vocab_is_eog(vocab_, token) || source.find(text) != std::string::npos;
        if (!blank && control && source.find(text) != std::string::npos) {
            controls_.push_back(text);
        }
        if (!blank && marker) {
            markers_.push_back({ text, token, control, (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
                                 (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0 });
        }
    }
    std::stable_sort(markers_.begin(), markers_.end(),
                     [](const Marker & a, const Marker & b) { return a.text.size() > b.text.size(); });
    for (const Marker & m : markers_) {
        first_bytes_[static_cast<unsigned char>(m.text[0])] = true;
        longest_                                            = std::max(longest_, m.text.size());
        // Shorter markers are matched later, in the text that this one leaves.
        const auto joins = [&](const std::string & other) {
            return other != m.text && other.size() >= m.text.size() && overlap(m.text, other);
        };
        if (m.control && !m.lstrip && !m.rstrip && source.find(m.text) != std::string::npos &&
            std::none_of(special.begin(), special.end(), joins)) {
            borders_.push_back({ m.text, m.token });
        }
    }
    const auto type = llama_vocab_type(vocab_);
    if (type != LLAMA_VOCAB_TYPE_BPE && type != LLAMA_VOCAB_TYPE_SPM) {
        borders_.clear();
    }
}

// Whether a marker begins at `text[i]`.
bool PromptTokenizer::marker_at(std::string_view text, size_t i) const {
    return std::any_of(markers_.begin(), markers_.end(),
                       [&](const Marker & m) { return text.compare(i, m.text.size(), m.text) == 0; });
}

// Whether a marker that llama_tokenize() matches in any text begins before `text[at]` and ends behind it.
bool PromptTokenizer::splits_marker(std::string_view text, size_t at) const {
    for (size_t i = at - std::min(at, longest_); i < at; i++) {
        if (first_bytes_[static_cast<unsigned char>(text[i])] &&
            std::any_of(markers_.begin(), markers_.end(), [&](const Marker & m) {
                return !m.control && i + m.text.size() > at && text.compare(i, m.text.size(), m.text) == 0;
            })) {
            return true;
        }
    }
    return false;
}

bool PromptTokenizer::has_marker(std::string_view text) const {
    for (size_t i = 0; i < text.size(); i++) {
        if (first_bytes_[static_cast<unsigned char>(text[i])] && marker_at(text, i)) {
            return true;
        }
    }
    return false;
}

std::string PromptTokenizer::choose_seal(const std::vector<std::string_view> & texts) const {
    const bool needed =
        std::any_of(texts.begin(), texts.end(), [&](std::string_view text) { return has_marker(text); });
    return needed ? unused_seal(texts) : "";
}

std::string PromptTokenizer::seal_parts(const std::string &                            prompt,
                                        const std::vector<std::pair<size_t, size_t>> & parts,
                                        std::string &                                  seal) const {
    std::vector<size_t> places;
    auto                part = parts.begin();
    for (size_t i = 0; i < prompt.size(); i++) {
        while (part != parts.end() && part->second <= i) {
            ++part;
        }
        if (part == parts.end()) {
            break;
        }
        i = std::max(i, part->first - std::min(part->first, longest_));
        if (!first_bytes_[static_cast<unsigned char>(prompt[i])]) {
            continue;
        }
        const bool touches = std::any_of(markers_.begin(), markers_.end(), [&](const Marker & m) {
            return i + m.text.size() > part->first && prompt.compare(i, m.text.size(), m.text) == 0;
        });
        if (touches) {
            size_t next = i + 1;
            while (next < prompt.size() && (static_cast<unsigned char>(prompt[next]) & 0xC0) == 0x80) {
                next++;
            }
            places.push_back(std::max(next, part->first));
        }
    }
    if (places.empty()) {
        return prompt;
    }
    if (seal.empty()) {
        seal = unused_seal({ prompt });
    }
    std::sort(places.begin(), places.end());
    std::string out;
    size_t      begin = 0;
    for (const size_t place : places) {
        out.append(prompt, begin, place - begin);
        out += place == begin && begin > 0 ? "" : seal;
        begin = place;
    }
    return out.append(prompt, begin, std::string::npos);
}

std::string PromptTokenizer::unused_seal(const std::vector<std::string_view> & texts) {
    for (int i = 0; i < 32; i++) {
        const std::string seal = { '\xEF', '\xB7', static_cast<char>(0x90 + i) };
        if (std::none_of(texts.begin(), texts.end(),
                         [&](std::string_view text) { return text.find(seal) != std::string_view::npos; })) {
            return seal;
        }
    }
    fail(LUUP_ERROR_INVALID_PARAM,
         "the messages contain names of control tokens and all Unicode noncharacters from U+FDD0 to U+FDEF: remove one "
         "of these characters");
}

std::string PromptTokenizer::seal_text(const std::string & text, const std::string & seal) const {
    if (seal.empty()) {
        return text;
    }
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const bool sealed = marker_at(text, i);
        do {
            out += text[i++];
        } while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80);
        if (sealed) {
            out += seal;
        }
    }
    return out;
}

std::vector<llama_token> PromptTokenizer::tokenize(const std::string & prompt, const std::string & seal,
                                                   TokenizedText * known) const {
    if (!seal.empty()) {
        if (known) {
            *known = {};
        }
        return tokenize_sealed(prompt, seal, true);
    }
    const Border begin  = known ? common_part(*known, prompt) : Border{ 0, 0 };
    auto         tokens = tokenize_parts(std::string_view(prompt).substr(begin.bytes), begin.bytes == 0);
    if (begin.bytes > 0) {
        tokens.insert(tokens.begin(), known->tokens.begin(),
                      known->tokens.begin() + static_cast<ptrdiff_t>(begin.tokens));
    }
    if (known) {
        *known = { prompt, tokens };
    }
    return tokens;
}

std::vector<llama_token> PromptTokenizer::tokenize_more(const std::string & part, const std::string & seal) const {
    return seal.empty() ? tokenize_parts(part, false) : tokenize_sealed(part, seal, false);
}

PromptTokenizer::Borders::const_iterator PromptTokenizer::border_at(std::string_view text, size_t i) const {
    if (!first_bytes_[static_cast<unsigned char>(text[i])]) {
        return borders_.end();
    }
    return std::find_if(borders_.begin(), borders_.end(),
                        [&](const auto & border) { return text.compare(i, border.first.size(), border.first) == 0; });
}

// Returns the tokens of a text that follows a border, or, if it `begins` a prompt, of a whole prompt. The parts between
// borders are tokenized separately.
std::vector<llama_token> PromptTokenizer::tokenize_parts(std::string_view text, bool begins) const {
    std::vector<llama_token> tokens;
    for (size_t at = 0; at <= text.size();) {
        auto   border = borders_.end();
        size_t end    = at;
        while (end < text.size() && (border = border_at(text, end)) == borders_.end()) {
            end++;
        }
        const std::string_view part = text.substr(at, end - at);
        if (at == 0 && begins) {
            tokens = tokenize_text(vocab_, part, true, true);
            if (llama_vocab_get_add_eos(vocab_) && !tokens.empty() && tokens.back() == llama_vocab_eos(vocab_)) {
                tokens.pop_back();
            }
        } else if (!part.empty()) {
            const auto more = tokens_of_part(part);
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
        if (border == borders_.end()) {
            break;
        }
        tokens.push_back(border->second);
        at = end + border->first.size();
    }
    return tokens;
}

std::vector<llama_token> PromptTokenizer::tokens_of_part(std::string_view text) const {
    if (text.size() > longest_part) {
        return tokenize_text(vocab_, text, false, true);
    }
    std::string key(text);
    {
        std::lock_guard<std::mutex> lock(mutex_);
        const auto                  found = parts_.find(key);
        if (found != parts_.end()) {
            return found->second;
        }
    }
    auto                        tokens = tokenize_text(vocab_, text, false, true);
    std::lock_guard<std::mutex> lock(mutex_);
    if (parts_.size() >= most_parts) {
        parts_.clear();
    }
    parts_.emplace(std::move(key), tokens);
    return tokens;
}

// Returns the common beginning of `known` and the prompt up to the end of a border, the last place at which the text
// can be split.
PromptTokenizer::Border PromptTokenizer::common_part(const TokenizedText & known, const std::string & prompt) const {
    const size_t same = static_cast<size_t>(
        std::mismatch(prompt.begin(), prompt.end(), known.text.begin(), known.text.end()).first - prompt.begin());
    const std::string_view part = std::string_view(prompt).substr(0, same);
    Border                 last = { 0, 0 };
    for (const auto & [text, token] : borders_) {
        const size_t at = part.rfind(text);
        if (at == std::string_view::npos || at + text.size() <= last.bytes) {
            continue;
        }
        const auto number = static_cast<ptrdiff_t>(count(part, text));
        if (count(known.text, text) !=
            static_cast<size_t>(std::count(known.tokens.begin(), known.tokens.end(), token))) {
            continue;
        }
        auto found = known.tokens.begin();
        for (ptrdiff_t i = 0; i < number; i++) {
            found = std::find(found, known.tokens.end(), token) + 1;
        }
        last = { at + text.size(), static_cast<size_t>(found - known.tokens.begin()) };
    }
    return last;
}

std::vector<llama_token> PromptTokenizer::tokenize_sealed(const std::string & prompt, const std::string & seal,
                                                          bool begins) const {
    std::vector<llama_token> tokens;
    if (begins && llama_vocab_get_add_bos(vocab_)) {
        tokens.push_back(llama_vocab_bos(vocab_));
    }
    // Splits at the markers by the rules of llama_tokenize(), so that the seals can be removed from the texts between.
    struct Fragment {
        std::string text;
        llama_token token = LLAMA_TOKEN_NULL;
    };
    std::vector<Fragment> fragments = { { prompt } };
    for (const Marker & marker : markers_) {
        std::vector<Fragment> next;
        for (Fragment & fragment : fragments) {
            std::string rest = fragment.text;
            size_t      found;
            while (fragment.token == LLAMA_TOKEN_NULL && (found = rest.find(marker.text)) != std::string::npos) {
                std::string left  = rest.substr(0, found);
                std::string right = rest.substr(found + marker.text.size());
                while (marker.lstrip && !left.empty() && std::isspace(static_cast<unsigned char>(left.back()))) {
                    left.pop_back();
                }
                while (marker.rstrip && !right.empty() && std::isspace(static_cast<unsigned char>(right.front()))) {
                    right.erase(0, 1);
                }
                if (!left.empty()) {
                    next.push_back({ left });
                }
                next.push_back({ "", marker.token });
                rest = std::move(right);
            }
            if (fragment.token != LLAMA_TOKEN_NULL || !rest.empty()) {
                next.push_back({ rest, fragment.token });
            }
        }
        fragments = std::move(next);
    }
    for (const Fragment & fragment : fragments) {
        if (fragment.token != LLAMA_TOKEN_NULL) {
            tokens.push_back(fragment.token);
            continue;
        }
        for (const std::string & piece : break_seals(fragment.text, seal)) {
            const auto more = tokenize_text(vocab_, piece, false, false);
            tokens.insert(tokens.end(), more.begin(), more.end());
        }
    }
    return tokens;
}

// Returns `text` without its seals, split where llama_tokenize() would otherwise match a user-defined marker.
std::vector<std::string> PromptTokenizer::break_seals(const std::string & text, const std::string & seal) const {
    std::string         plain;
    std::vector<size_t> seals;
    for (size_t i = 0; i < text.size();) {
        if (text.compare(i, seal.size(), seal) == 0) {
            seals.push_back(plain.size());
            i += seal.size();
        } else {
            plain += text[i++];
        }
    }
    std::vector<std::string> pieces;
    size_t                   begin = 0;
    for (size_t at : seals) {
        if (splits_marker(plain, at)) {
            pieces.push_back(plain.substr(begin, at - begin));
            begin = at;
        }
    }
    pieces.push_back(plain.substr(begin));
    return pieces;
}

std::string text_of_tokens(const llama_vocab * vocab, const std::vector<llama_token> & tokens) {
    std::string bytes;
    for (llama_token token : tokens) {
        if (!is_media(token)) {
            bytes += token_bytes(vocab, token, true);
        } else if (media_token::is_last(token)) {
            bytes += "<__media__>";
        }
    }
    return utf8_sanitize(bytes);
}

}  // namespace luup
