// What can follow a text under a grammar, as numbered states that are worked out when they are first met and kept.
#pragma once

#include "grammar_program.h"

#include "llama.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// A table from keys other than 0 to numbers.
class KeyTable {
  public:
    KeyTable() { clear(); }

    // The number of `key`, which becomes `fresh` if it has none.
    uint32_t find_or_add(uint64_t key, uint32_t fresh);
    void     clear();
    size_t   size() const { return used_; }

  private:
    struct Entry {
        uint64_t key;
        uint32_t value;
    };

    Entry & slot(uint64_t key);

    std::vector<Entry> entries_;
    size_t             used_ = 0;
};

// Reading a grammar is following many threads at once: each stands before (or inside) one character and has a stack of what comes after it. A state
// is the set of threads after a text. Stacks share their tails and states are kept once, so a state is a number, and a step from one is a look
// into a table.
//
// Shared by all matchers of a grammar; hold `mutex` around everything but bytes().
class GrammarStates {
  public:
    static constexpr uint32_t dead = 0;  // nothing can follow, and the text is not complete

    explicit GrammarStates(const GrammarProgram & program);

    std::mutex mutex;

    uint32_t start();
    uint32_t next(uint32_t state, uint8_t byte) {
        const uint8_t  byte_class = program_.byte_class[byte];
        const uint32_t next       = steps_[size_t(state) * program_.classes + byte_class];
        return next != none ? next : step(state, byte_class);
    }
    uint32_t next(uint32_t state, std::string_view bytes);

    bool has_literals(uint32_t state) const { return !program_.literals.empty() && !literals(state).empty(); }

    // `after_text` (the state after the token's bytes, or dead) and where literals of this token lead.
    uint32_t after_token(uint32_t state, llama_token token, bool has_text, uint32_t after_text);

    // The literals that can follow.
    std::vector<GrammarProgram::Literal> literals(uint32_t state) const;

    bool can_end(uint32_t state) const { return states_[state].can_end; }
    bool is_final(uint32_t state) const { return states_[state].count == 0; }  // nothing can follow
    bool between_chars(uint32_t state) const;

    // The one byte that must follow, or -1.
    int only_byte(uint32_t state) const;

    // Whether nothing else of these kinds can follow than texts that takes_all() says yes to.
    bool takes_no_more(uint32_t state, CharKinds kinds) { return (kinds & ~states_[state].kinds) == 0 && run(state) > 0 && states_[state].run_is_all; }

    // How many characters of the kinds that takes_all() says yes to can follow each other.
    uint32_t run(uint32_t state) { return states_[state].run != unknown_run ? states_[state].run : find_run(state); }

    // Whether any text of `n` characters of these kinds, or less, can follow. Says no to some that can.
    bool takes_all(uint32_t state, CharKinds kinds, uint32_t n) {
        return n == 0 || ((kinds & ~states_[state].kinds) == 0 && n <= run(state));
    }

    // `state` of `other`, as one of ours.
    uint32_t adopt(const GrammarStates & other, uint32_t state);

    // The memory in use; a matcher leaves for new states when it is too much.
    size_t bytes() const { return bytes_; }

  private:
    static constexpr uint32_t none         = UINT32_MAX;
    static constexpr uint32_t literal_flag = 1u << 31;

    struct Thread {
        uint32_t what;   // a node of the byte automaton, or a literal's index with literal_flag
        uint32_t stack;  // for afterwards
    };

    // Where to go on when a rule is complete, and after that its parent. Number 0 is the empty stack.
    struct Frame {
        uint32_t node;
        uint32_t parent;
        uint32_t state;  // what can follow, or none if that is not known yet
    };

    struct State {
        uint32_t  first;  // its threads in threads_
        uint32_t  count;
        uint32_t  same_hash;  // another state with the same hash, or none
        uint32_t  on;         // the state of the threads that take all of `kinds`, after such a character, or none
        CharKinds kinds;      // that its most generous thread takes
        uint16_t  run;        // how many of them can follow each other, not more than max_run; or unknown_run
        bool      run_is_all;  // longer texts of these kinds can't follow
        bool      can_end;
    };

    static constexpr uint16_t unknown_run = UINT16_MAX;
    static constexpr uint16_t max_run     = 512;

    uint32_t  push(uint32_t node, uint32_t parent);
    uint32_t  after(uint32_t stack);
    void      expand(uint32_t node, uint32_t parent, std::vector<Thread> & threads, bool & can_end);
    uint32_t  step(uint32_t state, uint8_t byte_class);
    uint32_t  find_run(uint32_t state);
    uint32_t  after_kinds(uint32_t state);
    bool      takes_some(uint32_t state, CharKinds kinds, bool but_not_all) const;
    uint32_t  unite(std::vector<uint32_t> & states, std::vector<Thread> & threads);
    uint32_t  keep(std::vector<Thread> & threads, bool can_end);
    CharKinds most_kinds(const std::vector<Thread> & threads) const;
    void      count_memory();

    const GrammarProgram & program_;
    std::vector<Frame>     frames_;
    KeyTable               frame_ids_;
    std::vector<Thread>    threads_;
    std::vector<State>     states_;
    KeyTable               state_ids_;  // by hash
    std::vector<uint32_t>  steps_;  // the state after [state * classes + class], or none if that is not known yet
    KeyTable               seen_;
    std::atomic<size_t>    bytes_{ 0 };
};

}  // namespace luup
