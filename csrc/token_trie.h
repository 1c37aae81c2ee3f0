// The texts of a vocabulary's tokens, and a tree over their bytes.
#pragma once

#include "charset.h"

#include "llama.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Immutable, shared by all matchers of a model.
//
// Every node knows what sorts of characters are under it and how many at most, so that a walk can take all of its tokens at once where any such
// text may follow. Most tokens consist of plain characters only, which stand for themselves in a JSON string: these have a tree of their own, where
// nothing else gets in between.
class TokenTrie {
  public:
    explicit TokenTrie(const llama_vocab * vocab);

    // "" for control tokens and others without text.
    std::string_view bytes(llama_token token) const;

    int32_t size() const { return static_cast<int32_t>(is_end_.size()); }
    bool    is_token(llama_token token) const { return token >= 0 && token < size(); }

    // Whether the token ends the generation.
    bool is_end(llama_token token) const { return is_end_[token] != 0; }

    // One byte of some tokens. In the order of a walk: a node's children follow it, their siblings come after all that is under them.
    struct Node {
        static constexpr uint16_t broken = UINT16_MAX;

        uint32_t  first_token;  // in tokens(); those of this node end where those of the next node begin
        uint32_t  skip;         // the node after everything under this one
        CharKinds kinds;        // of all characters under it
        uint16_t  chars;        // characters of the longest text under it; `broken` if there are parts of characters
        uint16_t  depth;        // bytes before this one
        uint8_t   byte;
    };

    // The tree of plain tokens, then that of the others, then one node more as the end of the last one's tokens.
    const std::vector<Node> &        nodes() const { return nodes_; }
    const std::vector<llama_token> & tokens() const { return tokens_; }
    uint32_t                         plain_nodes() const { return plain_nodes_; }
    uint32_t                         plain_tokens() const { return plain_tokens_; }
    uint32_t                         max_plain() const { return max_plain_; }      // characters of the longest plain token
    CharKinds                        plain_kinds() const { return plain_kinds_; }  // of all plain tokens
    uint32_t                         max_bytes() const { return max_bytes_; }

    // The plain tokens, shorter ones first, and how many of them have at most `chars` characters.
    const std::vector<llama_token> & by_length() const { return by_length_; }
    uint32_t                         plain_until(uint32_t chars) const { return length_end_[std::min(chars, max_plain_)]; }

  private:
    void append_tree(std::vector<llama_token> tokens);
    void describe_nodes();
    void sort_by_length();

    std::string              text_;
    std::vector<uint32_t>    begin_;  // of each token's bytes in text_, and the end
    std::vector<uint8_t>     is_end_;
    std::vector<Node>        nodes_;
    std::vector<llama_token> tokens_;
    std::vector<llama_token> by_length_;
    std::vector<uint32_t>    length_end_;
    uint32_t                 plain_nodes_  = 0;
    uint32_t                 plain_tokens_ = 0;
    uint32_t                 max_plain_    = 0;
    CharKinds                plain_kinds_  = 0;
    uint32_t                 max_bytes_    = 0;
};

}  // namespace luup
