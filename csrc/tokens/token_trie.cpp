#include "tokens/token_trie.h"

#include "tokens/charset.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace luup {

namespace {

constexpr size_t max_token_bytes = 60000;  // longer ones are left out: Node::depth has 16 bits

void append_token_text(const llama_vocab * vocab, llama_token token, std::string & text) {
    char    buffer[64];
    int32_t n = llama_token_to_piece(vocab, token, buffer, sizeof(buffer), 0, false);
    if (n >= 0) {
        text.append(buffer, static_cast<size_t>(n));
        return;
    }
    const size_t begin = text.size();
    text.resize(begin + static_cast<size_t>(-n));
    llama_token_to_piece(vocab, token, &text[begin], -n, 0, false);
}

// Follows the bytes of a text from character to character.
struct Utf8Walk {
    explicit Utf8Walk(const CharSet & set) : root(automaton.add(set)) {}

    // Returns the node after one more byte: `root` at the end of a character, dead if it is not in the set.
    uint32_t next(uint32_t node, uint8_t byte) const {
        const uint32_t next = automaton.next(node, byte);
        return next == ByteAutomaton::whole ? root : next;
    }

    bool has_whole(std::string_view text) const {
        uint32_t node = root;
        for (size_t i = 0; i < text.size() && node != ByteAutomaton::dead; i++) {
            node = next(node, static_cast<uint8_t>(text[i]));
        }
        return node == root;
    }

    ByteAutomaton automaton;
    uint32_t      root;
};

// Characters that need no escape in a JSON string.
const CharSet plain_chars({ { 0x00, 0x1F }, { '"', '"' }, { '\\', '\\' }, { 0x7F, 0x7F } }, true);

}  // namespace

TokenTrie::TokenTrie(const llama_vocab * vocab) {
    const int32_t            n = llama_vocab_n_tokens(vocab);
    const Utf8Walk           plain(plain_chars);
    std::vector<llama_token> plain_tokens, others;
    for (llama_token token = 0; token < n; token++) {
        begin_.push_back(static_cast<uint32_t>(text_.size()));
        append_token_text(vocab, token, text_);
        is_end_.push_back(llama_vocab_is_eog(vocab, token) ? 1 : 0);
        const std::string_view text = std::string_view(text_).substr(begin_.back());
        if (!text.empty() && text.size() <= max_token_bytes && !is_end_.back()) {
            (plain.has_whole(text) ? plain_tokens : others).push_back(token);
            max_bytes_ = std::max(max_bytes_, static_cast<uint32_t>(text.size()));
        }
    }
    begin_.push_back(static_cast<uint32_t>(text_.size()));
    append_tree(std::move(plain_tokens));
    plain_nodes_  = static_cast<uint32_t>(nodes_.size());
    plain_tokens_ = static_cast<uint32_t>(tokens_.size());
    append_tree(std::move(others));
    nodes_.emplace_back();
    nodes_.back().first_token = static_cast<uint32_t>(tokens_.size());
    describe_nodes();
    sort_by_length();
}

std::string_view TokenTrie::bytes(llama_token token) const {
    return is_token(token) ? std::string_view(text_).substr(begin_[token], begin_[token + 1] - begin_[token])
                           : std::string_view();
}

void TokenTrie::append_tree(std::vector<llama_token> tokens) {
    std::sort(tokens.begin(), tokens.end(), [&](llama_token a, llama_token b) { return bytes(a) < bytes(b); });
    std::vector<uint32_t> path;  // the nodes of the previous text
    std::string_view      before;
    const auto            close = [&](size_t depth) {
        for (; path.size() > depth; path.pop_back()) {
            nodes_[path.back()].skip = static_cast<uint32_t>(nodes_.size());
        }
    };
    for (llama_token token : tokens) {
        const std::string_view text   = bytes(token);
        const size_t           common = static_cast<size_t>(
            std::mismatch(before.begin(), before.end(), text.begin(), text.end()).first - before.begin());
        close(common);
        for (size_t i = common; i < text.size(); i++) {
            path.push_back(static_cast<uint32_t>(nodes_.size()));
            nodes_.emplace_back();
            nodes_.back().first_token = static_cast<uint32_t>(tokens_.size());
            nodes_.back().depth       = static_cast<uint16_t>(i);
            nodes_.back().byte        = static_cast<uint8_t>(text[i]);
        }
        tokens_.push_back(token);
        before = text;
    }
    close(0);
}

void TokenTrie::describe_nodes() {
    const Utf8Walk        utf8(CharSet({}, true));
    const size_t          n = nodes_.size() - 1;
    std::vector<uint32_t> place(n), path(max_bytes_);  // positions inside a character: nodes of the automaton
    for (size_t i = 0; i < n; i++) {
        const Node & node = nodes_[i];
        place[i]          = utf8.next(node.depth ? path[node.depth - 1] : utf8.root, node.byte);
        path[node.depth]  = place[i];
    }
    const auto ends_char = [&](size_t i) { return place[i] == utf8.root; };
    const auto is_broken = [&](size_t i) {
        const bool ends_token = nodes_[i + 1].first_token > nodes_[i].first_token;
        return place[i] == ByteAutomaton::dead || (ends_token && !ends_char(i));
    };
    // From the leaves up.
    for (size_t i = n; i-- > 0;) {
        Node & node = nodes_[i];
        node.chars  = is_broken(i) ? Node::broken : 0;
        for (auto child = static_cast<uint32_t>(i) + 1; child < node.skip; child = nodes_[child].skip) {
            const auto chars = static_cast<uint16_t>(
                nodes_[child].chars == Node::broken ? Node::broken : nodes_[child].chars + ends_char(child));
            node.chars = std::max(node.chars, chars);
            node.kinds |= nodes_[child].kinds | kind_of(nodes_[child].byte);
        }
    }
    for (uint32_t i = 0; i < plain_nodes_; i = nodes_[i].skip) {
        max_plain_ = std::max<uint32_t>(max_plain_, nodes_[i].chars + ends_char(i));
        plain_kinds_ |= nodes_[i].kinds | kind_of(nodes_[i].byte);
    }
    // A run of whole characters can begin only where a character has ended.
    for (size_t i = 0; i < n; i++) {
        nodes_[i].chars = ends_char(i) ? nodes_[i].chars : Node::broken;
    }
}

void TokenTrie::sort_by_length() {
    const auto is_start = [](char byte) { return (byte & 0xC0) != 0x80; };
    const auto length   = [&](llama_token token) {
        const std::string_view text = bytes(token);
        return static_cast<size_t>(std::count_if(text.begin(), text.end(), is_start));
    };
    length_end_.assign(max_plain_ + 2, 0);
    for (uint32_t i = 0; i < plain_tokens_; i++) {
        length_end_[length(tokens_[i]) + 1]++;
    }
    for (size_t i = 1; i < length_end_.size(); i++) {
        length_end_[i] += length_end_[i - 1];
    }
    // Counting sort: length_end_ holds where each length's tokens begin, and their end after this loop.
    by_length_.resize(plain_tokens_);
    for (uint32_t i = 0; i < plain_tokens_; i++) {
        by_length_[length_end_[length(tokens_[i])]++] = tokens_[i];
    }
}

}  // namespace luup
