#include "grammar/states.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "grammar/limits.h"

#include <algorithm>
#include <bitset>
#include <utility>

namespace luup {

namespace {

[[noreturn]] void refuse() {
    fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: it is too ambiguous: there are too many ways to match the text");
}

// Makes room for `n` more items, so that adding them can't fail: tables that refer to each other must stay consistent
// when memory is short.
template <typename T> void make_room(std::vector<T> & items, size_t n) {
    if (items.capacity() - items.size() < n) {
        items.reserve(std::max(items.size() + n, 2 * items.capacity()));
    }
}

}  // namespace

GrammarStates::GrammarStates(const GrammarProgram & program) : program_(program) {
    std::vector<Thread> nothing;
    keep(nothing, false);  // becomes the state `dead`
    frames_.push_back({ 0, 0, keep(nothing, true) });
}

uint32_t GrammarStates::start() {
    return after(push(program_.root, 0));
}

uint32_t GrammarStates::next(uint32_t state, std::string_view bytes) {
    for (size_t i = 0; i < bytes.size() && state != dead; i++) {
        state = next(state, static_cast<uint8_t>(bytes[i]));
    }
    return state;
}

// Returns the stack `parent` with `node` on top.
uint32_t GrammarStates::push(uint32_t node, uint32_t parent) {
    if (node == GrammarProgram::ret_node) {
        return parent;  // nothing is left to do in this rule: continue with its caller
    }
    make_room(frames_, 1);
    const auto     fresh = static_cast<uint32_t>(frames_.size());
    const uint32_t id    = frame_ids_.find_or_add(uint64_t(node) << 32 | parent, fresh);
    if (id == fresh) {
        frames_.push_back({ node, parent, none });
    }
    return id;
}

// Returns the state that has only this stack.
uint32_t GrammarStates::after(uint32_t stack) {
    if (frames_[stack].state == none) {
        std::vector<Thread> threads;
        bool                can_end = false;
        expand(frames_[stack].node, frames_[stack].parent, threads, can_end);
        const uint32_t state = keep(threads, can_end);
        frames_[stack].state = state;
    }
    return frames_[stack].state;
}

// Adds the threads that can be reached from a node without reading a character.
void GrammarStates::expand(uint32_t node, uint32_t parent, std::vector<Thread> & threads, bool & can_end) {
    using Op                                        = GrammarProgram::Op;
    std::vector<std::pair<uint32_t, uint32_t>> todo = { { node, parent } };
    seen_.clear();
    while (!todo.empty()) {
        const auto [at, stack] = todo.back();
        todo.pop_back();
        const auto fresh = static_cast<uint32_t>(seen_.size());
        if (!program_.productive[at] || seen_.find_or_add(uint64_t(at) << 32 | stack, fresh) != fresh) {
            continue;
        }
        if (fresh > 8 * grammar_limits::threads) {
            refuse();
        }
        const GrammarProgram::Node & step = program_.nodes[at];
        switch (step.op) {
            case Op::chars: threads.push_back({ step.arg, push(step.next, stack) }); break;
            case Op::literal: threads.push_back({ step.arg | literal_flag, push(step.next, stack) }); break;
            case Op::call: todo.emplace_back(program_.rule_start[step.arg], push(step.next, stack)); break;
            case Op::split:
                todo.emplace_back(step.next, stack);
                todo.emplace_back(step.arg, stack);
                break;
            case Op::ret:
                if (stack == 0) {
                    can_end = true;
                } else {
                    todo.emplace_back(frames_[stack].node, frames_[stack].parent);
                }
                break;
        }
    }
}

uint32_t GrammarStates::step(uint32_t state, uint8_t byte_class) {
    std::vector<uint32_t> after_char;
    std::vector<Thread>   inside;
    for (uint32_t i = 0; i < states_[state].count; i++) {
        const Thread thread = threads_[states_[state].first + i];
        if (thread.what & literal_flag) {
            continue;
        }
        const uint32_t node = program_.automaton[size_t(thread.what) * program_.classes + byte_class];
        if (node == ByteAutomaton::whole) {
            after_char.push_back(after(thread.stack));
        } else if (node != ByteAutomaton::dead) {
            inside.push_back({ node, thread.stack });
        }
    }
    const uint32_t next                                   = unite(after_char, inside);
    steps_[size_t(state) * program_.classes + byte_class] = next;
    return next;
}

uint32_t GrammarStates::after_token(uint32_t state, llama_token token, bool has_text, uint32_t after_text) {
    std::vector<uint32_t> states = { after_text };
    std::vector<Thread>   none_inside;
    for (uint32_t i = 0; i < states_[state].count; i++) {
        const Thread thread = threads_[states_[state].first + i];
        if (thread.what & literal_flag) {
            const GrammarProgram::Literal & literal = program_.literals[thread.what & ~literal_flag];
            if (literal.inverse ? has_text && literal.token != token : literal.token == token) {
                states.push_back(after(thread.stack));
            }
        }
    }
    return unite(states, none_inside);
}

std::vector<GrammarProgram::Literal> GrammarStates::literals(uint32_t state) const {
    std::vector<GrammarProgram::Literal> found;
    for (uint32_t i = 0; i < states_[state].count && !program_.literals.empty(); i++) {
        const uint32_t what = threads_[states_[state].first + i].what;
        if (what & literal_flag) {
            found.push_back(program_.literals[what & ~literal_flag]);
        }
    }
    return found;
}

// All threads of a state have read the same bytes: either all of them are inside a character or none is.
bool GrammarStates::between_chars(uint32_t state) const {
    const State & s = states_[state];
    return s.count == 0 || (threads_[s.first].what & literal_flag) || program_.is_first[threads_[s.first].what];
}

int GrammarStates::only_byte(uint32_t state) const {
    const State & s    = states_[state];
    int           only = -1;
    for (uint32_t i = 0; i < s.count && !s.can_end; i++) {
        const uint32_t what = threads_[s.first + i].what;
        const int      byte = what & literal_flag ? -1 : program_.only_byte[what];
        if (byte < 0 || (only >= 0 && only != byte)) {
            return -1;
        }
        only = byte;
    }
    return only;
}

uint32_t GrammarStates::after_kinds(uint32_t state) {
    if (states_[state].on == none) {
        std::vector<uint32_t> after_char;
        std::vector<Thread>   none_inside;
        const CharKinds       kinds = states_[state].kinds;
        for (uint32_t i = 0; i < states_[state].count && kinds; i++) {
            const Thread thread = threads_[states_[state].first + i];
            if (!(thread.what & literal_flag) && (kinds & ~program_.whole_kinds[thread.what]) == 0) {
                after_char.push_back(after(thread.stack));
            }
        }
        const uint32_t on = unite(after_char, none_inside);
        states_[state].on = on;
    }
    return states_[state].on;
}

// Whether a thread accepts some character of these kinds; with `but_not_all`, threads that accept all are ignored.
bool GrammarStates::takes_some(uint32_t state, CharKinds kinds, bool but_not_all) const {
    const auto first = threads_.begin() + states_[state].first;
    return std::any_of(first, first + states_[state].count, [&](const Thread & thread) {
        const bool is_char = !(thread.what & literal_flag);
        return is_char && (kinds & program_.touched_kinds[thread.what]) &&
               !(but_not_all && (kinds & ~program_.whole_kinds[thread.what]) == 0);
    });
}

uint32_t GrammarStates::find_run(uint32_t state) {
    // The states ahead, up to one whose run is known, or so far that the first half of them has a run of max_run.
    std::vector<uint32_t> way;
    uint32_t              run    = unknown_run;
    bool                  is_all = false;
    for (uint32_t at = state; run == unknown_run && way.size() <= 2 * size_t(max_run); at = states_[at].on) {
        if (states_[at].run != unknown_run) {
            run    = states_[at].run;
            is_all = states_[at].run_is_all;
            break;
        }
        const uint32_t  on    = after_kinds(at);
        const CharKinds kinds = states_[at].kinds;
        if (on == dead || on == at) {
            run             = on == at ? max_run : 0;
            states_[at].run = static_cast<uint16_t>(run);
            break;
        }
        way.push_back(at);
        if (kinds & ~states_[on].kinds) {
            // The next state accepts other kinds: only one character is certain.
            run    = 0;
            is_all = !takes_some(on, kinds, false);
        }
    }
    if (run == unknown_run) {
        way.resize(max_run);
        run = max_run;
    }
    for (size_t i = way.size(); i-- > 0;) {
        State & s    = states_[way[i]];
        run          = std::min<uint32_t>(run + 1, max_run);
        is_all       = is_all && run < max_run && !takes_some(way[i], s.kinds, true);
        s.run        = static_cast<uint16_t>(run);
        s.run_is_all = is_all;
    }
    return states_[state].run;
}

// Returns the union of some states and of threads inside a character. Consumes both arguments.
uint32_t GrammarStates::unite(std::vector<uint32_t> & states, std::vector<Thread> & threads) {
    std::sort(states.begin(), states.end());
    states.erase(std::unique(states.begin(), states.end()), states.end());
    if (!states.empty() && states.front() == dead) {
        states.erase(states.begin());
    }
    if (threads.empty() && states.size() <= 1) {
        return states.empty() ? dead : states.front();
    }
    bool can_end = false;
    for (uint32_t state : states) {
        const auto first = threads_.begin() + states_[state].first;
        threads.insert(threads.end(), first, first + states_[state].count);
        can_end = can_end || states_[state].can_end;
        if (threads.size() > 8 * grammar_limits::threads) {
            refuse();
        }
    }
    return keep(threads, can_end);
}

CharKinds GrammarStates::most_kinds(const std::vector<Thread> & threads) const {
    CharKinds most = 0;
    for (const Thread & thread : threads) {
        const CharKinds kinds = thread.what & literal_flag ? 0 : program_.whole_kinds[thread.what];
        if (std::bitset<64>(kinds).count() > std::bitset<64>(most).count()) {
            most = kinds;
        }
    }
    return most;
}

// Returns the number of the state with these threads. All work on new states comes through here.
uint32_t GrammarStates::keep(std::vector<Thread> & threads, bool can_end) {
    check_interruption();  // an ambiguous grammar has states of thousands of threads, and a mask needs many states
    const auto key  = [](const Thread & t) { return uint64_t(t.what) << 32 | t.stack; };
    const auto same = [&](const Thread & a, const Thread & b) { return key(a) == key(b); };
    std::sort(threads.begin(), threads.end(), [&](const Thread & a, const Thread & b) { return key(a) < key(b); });
    threads.erase(std::unique(threads.begin(), threads.end(), same), threads.end());
    if (threads.size() > grammar_limits::threads) {
        refuse();
    }
    uint64_t hash = can_end ? 1 : 2;
    for (const Thread & thread : threads) {
        hash = mix_bits(hash ^ key(thread));
    }
    hash = hash ? hash : 1;
    make_room(states_, 1);
    make_room(steps_, program_.classes);
    make_room(threads_, threads.size());
    const auto fresh   = static_cast<uint32_t>(states_.size());
    uint32_t   last    = none;
    const auto matches = [&](const State & s) {
        return s.can_end == can_end && s.count == threads.size() &&
               std::equal(threads.begin(), threads.end(), threads_.begin() + s.first, same);
    };
    for (uint32_t id = state_ids_.find_or_add(hash, fresh); id != fresh && id != none; id = states_[id].same_hash) {
        if (matches(states_[id])) {
            return id;
        }
        last = id;
    }
    State state;
    state.first   = static_cast<uint32_t>(threads_.size());
    state.count   = static_cast<uint32_t>(threads.size());
    state.kinds   = most_kinds(threads);
    state.can_end = can_end;
    states_.push_back(state);
    steps_.resize(steps_.size() + program_.classes, none);
    threads_.insert(threads_.end(), threads.begin(), threads.end());
    if (last != none) {
        states_[last].same_hash = fresh;
    }
    count_memory();
    return fresh;
}

void GrammarStates::count_memory() {
    bytes_ = steps_.size() * sizeof(uint32_t) + threads_.size() * sizeof(Thread) +
             states_.size() * (sizeof(State) + 32) + frames_.size() * (sizeof(Frame) + 32);
    if (bytes_ > grammar_limits::state_bytes) {
        refuse();
    }
}

uint32_t GrammarStates::adopt(const GrammarStates & other, uint32_t state) {
    std::vector<Thread>   threads;
    std::vector<uint32_t> ours(other.frames_.size(), none);
    std::vector<uint32_t> open;
    ours[0] = 0;
    for (uint32_t i = 0; i < other.states_[state].count; i++) {
        const Thread thread = other.threads_[other.states_[state].first + i];
        for (uint32_t stack = thread.stack; ours[stack] == none; stack = other.frames_[stack].parent) {
            open.push_back(stack);
        }
        for (; !open.empty(); open.pop_back()) {
            const Frame & frame = other.frames_[open.back()];
            ours[open.back()]   = push(frame.node, ours[frame.parent]);
        }
        threads.push_back({ thread.what, ours[thread.stack] });
    }
    return keep(threads, other.states_[state].can_end);
}

}  // namespace luup
