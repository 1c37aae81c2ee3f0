// The texts of a vocabulary's tokens, and a prefix tree over their bytes.
#pragma once

#include "tokens/charset.h"

#include "llama.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Immutable, shared by all matchers of a model.
//
// Each node knows the kinds of characters below it and the greatest number of them, so that a walk can accept all of
// its tokens at once where any such text may follow. Tokens that consist of plain characters only, which need no escape
// in a JSON string, are the majority. They have a tree of their own.
class TokenTrie {
  public:
    explicit TokenTrie(const llama_vocab * vocab);

    // Returns the text of a token, "" for control tokens and others without text.
    std::string_view bytes(llama_token token) const;

    int32_t size() const { return static_cast<int32_t>(is_end_.size()); }
    bool    is_token(llama_token token) const { return token >= 0 && token < size(); }

    // Whether the token ends the generation.
    bool is_end(llama_token token) const { return is_end_[token] != 0; }

    // One byte of some tokens. Nodes are in depth-first order: a node's first child follows it, its next sibling comes
    // after all of its descendants.
    struct Node {
        static constexpr uint16_t broken = UINT16_MAX;

        uint32_t  first_token = 0;  // in tokens(); this node's tokens end where those of the next node begin
        uint32_t  skip        = 0;  // the node after all descendants
        CharKinds kinds       = 0;  // of all characters below it
        uint16_t  chars       = 0;  // characters of the longest text below it; `broken` if there are partial ones
        uint16_t  depth       = 0;  // bytes before this one
        uint8_t   byte        = 0;
    };

    // The tree of plain tokens, the tree of the others, and a last node that marks the end of the tokens.
    const std::vector<Node> &        nodes() const { return nodes_; }
    const std::vector<llama_token> & tokens() const { return tokens_; }
    uint32_t                         plain_nodes() const { return plain_nodes_; }
    uint32_t                         plain_tokens() const { return plain_tokens_; }
    // The number of characters of the longest plain token, and the kinds of all plain tokens.
    uint32_t  max_plain() const { return max_plain_; }
    CharKinds plain_kinds() const { return plain_kinds_; }
    // The number of bytes of the longest token.
    uint32_t max_bytes() const { return max_bytes_; }

    // The plain tokens by length, shortest first, and the number of those with at most `chars` characters.
    const std::vector<llama_token> & by_length() const { return by_length_; }
    uint32_t plain_until(uint32_t chars) const { return length_end_[std::min(chars, max_plain_)]; }

  private:
    void append_tree(std::vector<llama_token> tokens);
    void describe_nodes();
    void sort_by_length();

    std::string              text_;
    std::vector<uint32_t>    begin_;  // where each token's bytes begin in text_, and the end
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
