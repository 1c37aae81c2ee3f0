// Tokenizes prompts: control tokens of the template stay control tokens, their names in messages stay text.
#pragma once

#include "llama.h"

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace luup {

// A tokenized prompt. The next prompt reuses the tokens of their common beginning.
struct TokenizedText {
    std::string              text;
    std::vector<llama_token> tokens;
};

// A fixed text of the template and its tokens.
struct TemplateText {
    std::string              text;
    std::vector<llama_token> tokens;
};

// All methods may be called from any thread.
class PromptTokenizer {
  public:
    // `source` is the source of the chat template, in which control tokens are searched.
    PromptTokenizer(const llama_vocab * vocab, const std::string & source);

    // Returns the names of the control tokens that the template contains.
    const std::vector<std::string> & controls() const { return controls_; }

    // A seal is a Unicode noncharacter (U+FDD0 … U+FDEF) that seal_text() inserts after the first character of every
    // marker's name in the text of messages. So the rendered prompt contains no markers except the template's, and
    // tokenize() removes the seals. Returns "" if none of `texts` contains such a name. Throws
    // Error(LUUP_ERROR_INVALID_PARAM) if they contain all noncharacters.
    std::string choose_seal(const std::vector<std::string_view> & texts) const;
    std::string seal_text(const std::string & text, const std::string & seal) const;

    // Seals a rendered prompt whose `parts`, from where to where and in order, come from messages and tools: every
    // marker of which such a part has a byte. `seal` is chosen if it is empty and one is needed. Throws as
    // choose_seal().
    std::string seal_parts(const std::string & prompt, const std::vector<std::pair<size_t, size_t>> & parts,
                           std::string & seal) const;

    // Returns the tokens of a prompt whose texts were sealed. `known` (may be null) is the previous prompt, and is set
    // to this one.
    std::vector<llama_token> tokenize(const std::string & prompt, const std::string & seal,
                                      TokenizedText * known) const;

    // Returns the tokens of a part of such a prompt, which follows something that is not text.
    std::vector<llama_token> tokenize_more(const std::string & part, const std::string & seal) const;

  private:
    struct Marker {
        std::string text;
        llama_token token;
        bool        control;  // llama_tokenize() parses it on request only; it matches the others in any text
        bool        lstrip, rstrip;
    };

    struct Border {
        size_t bytes, tokens;
    };

    bool                     marker_at(std::string_view text, size_t i) const;
    bool                     has_marker(std::string_view text) const;
    bool                     splits_marker(std::string_view text, size_t at) const;
    static std::string       unused_seal(const std::vector<std::string_view> & texts);
    std::vector<std::string> break_seals(const std::string & text, const std::string & seal) const;
    std::vector<llama_token> tokenize_sealed(const std::string & prompt, const std::string & seal, bool begins) const;
    Border                   common_part(const TokenizedText & known, const std::string & prompt) const;
    std::vector<llama_token> tokenize_parts(std::string_view text, bool begins) const;
    std::vector<llama_token> tokens_of_part(std::string_view text) const;

    using Borders = std::vector<std::pair<std::string, llama_token>>;
    Borders::const_iterator border_at(std::string_view text, size_t i) const;

    const llama_vocab *      vocab_;
    std::vector<Marker>      markers_;  // the longest first
    std::vector<std::string> controls_;
    // Those of controls_ that can't overlap with another special token: the texts on both sides are independent.
    Borders borders_;
    bool    first_bytes_[256] = {};  // of the markers
    size_t  longest_          = 0;   // bytes of a marker

    // The tokens of short texts between borders, most of which belong to the template. Guarded by mutex_.
    mutable std::unordered_map<std::string, std::vector<llama_token>> parts_;
    mutable std::mutex                                                mutex_;
};

// Calls llama_tokenize(). Throws Error(LUUP_ERROR_INVALID_PARAM) for a text of more than 2^31 bytes or tokens.
std::vector<llama_token> tokenize_text(const llama_vocab * vocab, std::string_view text, bool add_special,
                                       bool parse_special);

// Returns the bytes of a token; those of control tokens only if `special`.
std::string token_bytes(const llama_vocab * vocab, llama_token token, bool special);

// Returns the text of tokens, with control tokens by their names, U+FFFD for bytes that are not UTF-8, and
// "<__media__>" for the tokens of a picture or sound.
std::string text_of_tokens(const llama_vocab * vocab, const std::vector<llama_token> & tokens);

}  // namespace luup
