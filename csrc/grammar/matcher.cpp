#include "grammar/matcher.h"

#include "base/error.h"
#include "grammar/limits.h"
#include "grammar/states.h"

#include <algorithm>
#include <mutex>

namespace luup {

Matcher::Matcher(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> trie)
    : grammar_(std::move(grammar)), trie_(std::move(trie)), states_(grammar_->states()), state_(0) {
    const std::lock_guard<std::mutex> lock(states_->mutex);
    state_ = states_->start();
}

bool Matcher::can_end() const {
    const std::lock_guard<std::mutex> lock(states_->mutex);
    return states_->can_end(state_);
}

bool Matcher::must_end() const {
    const std::lock_guard<std::mutex> lock(states_->mutex);
    return states_->can_end(state_) && states_->is_final(state_);
}

// Returns the state after a token that does not end the generation. Requires the lock.
uint32_t Matcher::after(llama_token token) const {
    const std::string_view text = trie_->bytes(token);
    const uint32_t         next = text.empty() ? GrammarStates::dead : states_->next(state_, text);
    return states_->has_literals(state_) ? states_->after_token(state_, token, !text.empty(), next) : next;
}

bool Matcher::allows(llama_token token) const {
    if (!trie_->is_token(token)) {
        return false;
    }
    const std::lock_guard<std::mutex> lock(states_->mutex);
    return trie_->is_end(token) ? states_->can_end(state_) : after(token) != GrammarStates::dead;
}

void Matcher::accept(llama_token token) {
    leave_full_states();
    const std::lock_guard<std::mutex> lock(states_->mutex);
    const bool                        ends = trie_->is_token(token) && trie_->is_end(token);
    const uint32_t                    next = !trie_->is_token(token)    ? GrammarStates::dead
                                             : !ends                    ? after(token)
                                             : states_->can_end(state_) ? state_
                                                                        : GrammarStates::dead;
    if (next == GrammarStates::dead) {
        fail(LUUP_ERROR_INTERNAL, "the grammar does not allow token %d", token);
    }
    state_ = next;
}

bool Matcher::accept_text(std::string_view text) {
    leave_full_states();
    const std::lock_guard<std::mutex> lock(states_->mutex);
    const uint32_t                    next = states_->next(state_, text);
    if (next == GrammarStates::dead) {
        return false;
    }
    state_ = next;
    return true;
}

uint64_t Matcher::place() const {
    return state_;
}

std::string Matcher::forced() const {
    const std::lock_guard<std::mutex> lock(states_->mutex);
    std::string                       text;
    size_t                            whole = 0;
    uint32_t                          state = state_;
    while (text.size() < grammar_limits::forced_bytes && (!text.empty() || states_->between_chars(state))) {
        const int byte = states_->only_byte(state);
        if (byte < 0) {
            break;
        }
        text.push_back(static_cast<char>(byte));
        state = states_->next(state, static_cast<uint8_t>(byte));
        whole = states_->between_chars(state) ? text.size() : whole;
    }
    text.resize(whole);
    return text;
}

// Walks the tree of tokens and the states of the grammar together.
class Matcher::Walk {
  public:
    Walk(const TokenTrie & trie, GrammarStates & states, std::vector<llama_token> & found, size_t limit)
        : trie_(trie), states_(states), found_(found), limit_(limit), path_(trie.max_bytes() + 1) {}

    // This and the functions below return false once there are more tokens than the limit.
    bool add(const llama_token * tokens, size_t n) {
        const size_t room = limit_ - found_.size();
        found_.insert(found_.end(), tokens, tokens + (n > room ? room + 1 : n));
        return n <= room;
    }

    bool add_all(uint32_t first, uint32_t end) { return add(trie_.tokens().data() + first, end - first); }

    bool add_allowed(uint32_t state) {
        path_[0]              = state;
        const CharKinds kinds = trie_.plain_kinds();
        if (states_.takes_all(state, kinds, trie_.max_plain())) {
            return add_all(0, trie_.plain_tokens()) && walk(trie_.plain_nodes(), last());
        }
        if (states_.takes_no_more(state, kinds)) {
            return add(trie_.by_length().data(), trie_.plain_until(states_.run(state))) &&
                   walk(trie_.plain_nodes(), last());
        }
        return walk(0, last());
    }

    const std::vector<llama_token> & found() const { return found_; }

  private:
    uint32_t last() const { return static_cast<uint32_t>(trie_.nodes().size()) - 1; }

    bool walk(uint32_t at, uint32_t end) {
        const TokenTrie::Node * nodes = trie_.nodes().data();
        while (at < end) {
            const TokenTrie::Node & node = nodes[at];
            const uint32_t          next = states_.next(path_[node.depth], node.byte);
            if (next == GrammarStates::dead) {
                at = node.skip;
                continue;
            }
            const bool all = node.chars != TokenTrie::Node::broken && states_.takes_all(next, node.kinds, node.chars);
            const uint32_t after = all ? node.skip : at + 1;
            if (nodes[after].first_token > node.first_token && !add_all(node.first_token, nodes[after].first_token)) {
                return false;
            }
            path_[node.depth + 1] = next;
            at                    = after;
        }
        return true;
    }

    const TokenTrie &          trie_;
    GrammarStates &            states_;
    std::vector<llama_token> & found_;
    const size_t               limit_;
    std::vector<uint32_t>      path_;  // the states by depth
};

bool Matcher::allowed(std::vector<llama_token> & tokens, size_t limit) const {
    const std::lock_guard<std::mutex> lock(states_->mutex);
    tokens.clear();
    Walk walk(*trie_, *states_, tokens, limit);
    return walk.add_allowed(state_) && add_literals(walk);
}

// Adds the tokens that the grammar names and that do not match by their text.
bool Matcher::add_literals(Walk & walk) const {
    const auto literals = states_->literals(state_);
    if (literals.empty()) {
        return true;
    }
    const bool inverse =
        std::any_of(literals.begin(), literals.end(), [](const GrammarProgram::Literal & l) { return l.inverse; });
    // An inverse literal excludes a single token: nearly all tokens are candidates.
    std::vector<llama_token> named;
    if (inverse) {
        named = trie_->tokens();
    }
    for (const GrammarProgram::Literal & literal : literals) {
        named.push_back(literal.token);
    }
    std::vector<uint8_t> known(static_cast<size_t>(trie_->size()), 0);
    for (llama_token token : walk.found()) {
        known[token] = 1;
    }
    for (llama_token token : named) {
        if (!known[token] && !trie_->is_end(token) && after(token) != GrammarStates::dead) {
            known[token] = 1;
            if (!walk.add(&token, 1)) {
                return false;
            }
        }
    }
    return true;
}

void Matcher::leave_full_states() {
    if (states_->bytes() <= grammar_limits::full_bytes) {
        return;
    }
    const std::shared_ptr<GrammarStates> full = states_;
    const std::shared_ptr<GrammarStates> room = grammar_->states(full.get());
    const std::lock_guard<std::mutex>    lock_full(full->mutex);
    const std::lock_guard<std::mutex>    lock_room(room->mutex);
    state_  = room->adopt(*full, state_);
    states_ = room;
}

}  // namespace luup
