// Prompts to tokens: what a template writes becomes control tokens, what messages say stays text.
#pragma once

#include "llama.h"

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace luup {

// A prompt that was tokenized, so that one which begins alike need not be as a whole.
struct TokenizedText {
    std::string              text;
    std::vector<llama_token> tokens;
};

// A text of the template, and its tokens.
struct TemplateText {
    std::string              text;
    std::vector<llama_token> tokens;
};

// All methods may be called from any thread.
class PromptTokenizer {
  public:
    // `source`: the template's, whose control tokens are looked for.
    PromptTokenizer(const llama_vocab * vocab, const std::string & source);

    // The names of the control tokens that the template writes.
    const std::vector<std::string> & controls() const { return controls_; }

    // A seal is a Unicode noncharacter (U+FDD0 … U+FDEF) that seal_text() puts behind the first character of every marker's name in the messages'
    // own text: the rendered prompt then holds no name of a marker but the template's, and tokenize() knows what to leave as text. Empty if none of
    // `texts` has such a name. Throws Error(LUUP_ERROR_INVALID_PARAM) if all noncharacters stand in them.
    std::string choose_seal(const std::vector<std::string_view> & texts) const;
    std::string seal_text(const std::string & text, const std::string & seal) const;

    // The tokens of a prompt whose texts were sealed. `known` (may be null) is what was tokenized before, and then this one.
    std::vector<llama_token> tokenize(const std::string & prompt, const std::string & seal, TokenizedText * known) const;

  private:
    struct Marker {
        std::string text;
        llama_token token;
        bool        control;  // parsed only on request; the others are matched in any text
        bool        lstrip, rstrip;
    };

    struct Border {
        size_t bytes, tokens;
    };

    bool                     marker_at(std::string_view text, size_t i, bool control_too) const;
    bool                     has_marker(std::string_view text) const;
    std::vector<std::string> break_seals(const std::string & text, const std::string & seal) const;
    std::vector<llama_token> tokenize_sealed(const std::string & prompt, const std::string & seal) const;
    Border                   common_part(const TokenizedText & known, const std::string & prompt) const;
    std::vector<llama_token> tokenize_parts(std::string_view text, bool begins) const;
    std::vector<llama_token> tokens_of_part(std::string_view text) const;

    using Borders = std::vector<std::pair<std::string, llama_token>>;
    Borders::const_iterator border_at(std::string_view text, size_t i) const;

    const llama_vocab *      vocab_;
    std::vector<Marker>      markers_;  // the longest first
    std::vector<std::string> controls_;
    Borders                  borders_;  // of controls_, those that no other special token can take bytes from
    bool                     first_bytes_[256] = {};  // of the markers

    mutable std::mutex                                                mutex_;  // of parts_
    mutable std::unordered_map<std::string, std::vector<llama_token>> parts_;  // the tokens of short texts between borders: most are the template's
};

// llama_tokenize() with a vector. Throws Error(LUUP_ERROR_INVALID_PARAM) for a text of more than 2^31 bytes or tokens.
std::vector<llama_token> tokenize_text(const llama_vocab * vocab, std::string_view text, bool add_special, bool parse_special);

// The bytes of one token; control tokens have none unless `special`.
std::string token_bytes(const llama_vocab * vocab, llama_token token, bool special);

}  // namespace luup
