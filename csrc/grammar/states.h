// The states of matching a grammar, computed when they are first reached and kept.
#pragma once

#include "grammar/key_table.h"
#include "grammar/program.h"

#include "llama.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace luup {

// Matching follows many threads at once: each is before (or inside) one character and has a stack of the parts that
// follow it. A state is the set of threads after a text. Stacks share their tails, and each state is stored once under
// a number, so a step from a known state is a table lookup.
//
// Shared by all matchers of a grammar. Hold `mutex` during every call except bytes().
class GrammarStates {
  public:
    static constexpr uint32_t dead = 0;  // the text does not match

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

    // Returns the state after a token: `after_text` (the state after its bytes, or dead) united with the states after
    // literals of this token.
    uint32_t after_token(uint32_t state, llama_token token, bool has_text, uint32_t after_text);

    // Returns the literals that can follow.
    std::vector<GrammarProgram::Literal> literals(uint32_t state) const;

    bool can_end(uint32_t state) const { return states_[state].can_end; }
    // Whether nothing can follow.
    bool is_final(uint32_t state) const { return states_[state].count == 0; }
    bool between_chars(uint32_t state) const;

    // Returns the byte that must follow, or -1 if there is a choice.
    int only_byte(uint32_t state) const;

    // Whether the texts of these kinds that can follow are exactly those that takes_all() accepts.
    bool takes_no_more(uint32_t state, CharKinds kinds) {
        return (kinds & ~states_[state].kinds) == 0 && run(state) > 0 && states_[state].run_is_all;
    }

    // Returns how many characters of the kinds that takes_all() accepts can follow.
    uint32_t run(uint32_t state) { return states_[state].run != unknown_run ? states_[state].run : find_run(state); }

    // Whether every text of up to `n` characters of these kinds can follow. May return false where they can.
    bool takes_all(uint32_t state, CharKinds kinds, uint32_t n) {
        return n == 0 || ((kinds & ~states_[state].kinds) == 0 && n <= run(state));
    }

    // Returns the own state that equals `state` of `other`.
    uint32_t adopt(const GrammarStates & other, uint32_t state);

    // Returns the memory in use, in bytes. Matchers change to new states when it is too much.
    size_t bytes() const { return bytes_; }

  private:
    static constexpr uint32_t none         = UINT32_MAX;
    static constexpr uint32_t literal_flag = 1u << 31;
    static constexpr uint16_t unknown_run  = UINT16_MAX;
    static constexpr uint16_t max_run      = 512;

    struct Thread {
        uint32_t what;   // a node of the byte automaton, or a literal's index with literal_flag
        uint32_t stack;  // what comes after it
    };

    // A stack: the node at which to continue when a rule is complete, and the stack below. Number 0 is the empty stack.
    struct Frame {
        uint32_t node;
        uint32_t parent;
        uint32_t state;  // the state that has only this stack, or none if not computed yet
    };

    struct State {
        uint32_t  first     = 0;  // its threads in threads_
        uint32_t  count     = 0;
        uint32_t  same_hash = none;  // another state with the same hash
        uint32_t  on    = none;  // after a character of `kinds`: the state of the threads that accept all of `kinds`
        CharKinds kinds = 0;  // the kinds that its least restrictive thread accepts in full
        uint16_t  run   = unknown_run;  // how many characters of `kinds` can follow, at most max_run
        bool      run_is_all = false;  // longer texts of `kinds` can't follow
        bool      can_end    = false;
    };

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
    std::vector<uint32_t>  steps_;     // the state after [state * classes + class], or none if not computed yet
    KeyTable               seen_;
    std::atomic<size_t>    bytes_{ 0 };
};

}  // namespace luup
