// Limits for the chat templates that llama.cpp's Jinja interpreter runs: how deep they nest, how much they compute and
// allocate, and how long they take. A template is a program from an untrusted file, and it may do anything
// once a certain text is in a message. template_limits.patch makes the interpreter count here.
//
// A Meter counts for the thread that made it, while it lives. Without one nothing is counted, but depth is limited
// always, because the parser and the interpreter recurse.
#pragma once

#include "template_search.h"
#include "template_stack.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace luup_template {

constexpr size_t max_tree_depth = 400;  // of a template's syntax tree; those of well-known models have less than 50
constexpr int    max_levels     = 2000;  // of calls inside one another while a template is parsed or run
constexpr size_t byte_per_unit  = 64;  // of text that is copied or compared, for one unit of work

struct Limits {
    uint64_t work;  // units: a value made, a statement run, 64 bytes copied
    size_t   memory;  // bytes that are in use at one time
};

// Ends a template that exceeds a limit. It is not a std::exception, so that no handler on the way takes it for a
// mistake of the template.
struct Stopped {
    const char * reason;  // null: the meter's own check asked for it
};

// A part of a text: where it begins and ends.
using Range = std::pair<size_t, size_t>;

class Meter {
  public:
    // `wants_to_stop` (may be empty) is called every few units of work. `finish` (may be empty) gets what a template
    // wrote, with the parts of it that came from its input in order, and returns the text to use.
    explicit Meter(const Limits & limits, std::function<bool()> wants_to_stop = {},
                   std::function<std::string(const std::string &, const std::vector<Range> &)> finish = {})
        : limits_(limits), wants_to_stop_(std::move(wants_to_stop)), finish_(std::move(finish)), outer_(current()) {
        current() = this;
    }

    ~Meter() { current() = outer_; }

    Meter(const Meter &)             = delete;
    Meter & operator=(const Meter &) = delete;

    static Meter *& current() {
        static thread_local Meter * meter = nullptr;
        return meter;
    }

    void work(uint64_t units) {
        work_ += units;
        if (work_ >= next_check_) {
            check();
        }
    }

    void take(size_t bytes) {
        if (bytes > limits_.memory - std::min(used_, limits_.memory)) {
            stop("it needs too much memory");
        }
        used_ += bytes;
    }

    void give(size_t bytes) noexcept { used_ -= std::min(used_, bytes); }

    std::string finish(const std::string & text, const std::vector<Range> & inputs) const {
        return finish_ ? finish_(text, inputs) : text;
    }

  private:
    static constexpr uint64_t interval = 32;  // units of work between two checks

    void check() {
        if (stopped_) {
            throw Stopped{ reason_ };
        }
        if (work_ > limits_.work) {
            stop("it computes for too long");
        }
        if (wants_to_stop_ && wants_to_stop_()) {
            stop(nullptr);
        }
        next_check_ = work_ + interval;
    }

    // Once stopped, everything that follows is stopped, too.
    [[noreturn]] void stop(const char * reason) {
        stopped_    = true;
        reason_     = reason;
        next_check_ = 0;
        throw Stopped{ reason };
    }

    const Limits                                                                limits_;
    std::function<bool()>                                                       wants_to_stop_;
    std::function<std::string(const std::string &, const std::vector<Range> &)> finish_;
    Meter * const                                                               outer_;
    uint64_t                                                                    work_       = 0;
    uint64_t                                                                    next_check_ = interval;
    size_t                                                                      used_       = 0;
    bool                                                                        stopped_    = false;
    const char *                                                                reason_     = nullptr;
};

// Count work.
inline void work(uint64_t units = 1) {
    if (Meter * meter = Meter::current()) {
        meter->work(units);
    }
}

// Count the work of copying or comparing a text of so many bytes.
inline void work_on(size_t bytes) {
    work(1 + bytes / byte_per_unit);
}

// Refuse a text of so many bytes that is about to be made.
inline void need_room(size_t bytes) {
    if (Meter * meter = Meter::current()) {
        meter->take(bytes);
        meter->give(bytes);
    }
}

// Memory in use while this lives. Making and copying one is work.
class Charge {
  public:
    explicit Charge(size_t bytes = 64) : bytes_(bytes) {
        if (Meter * meter = Meter::current()) {
            meter->work(1 + bytes / byte_per_unit);
            meter->take(bytes);
        }
    }

    Charge(const Charge & other) : Charge(other.bytes_) {}

    Charge(Charge && other) noexcept : bytes_(std::exchange(other.bytes_, 0)) {}

    Charge & operator=(Charge other) noexcept {
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    ~Charge() {
        Meter * meter = Meter::current();
        if (meter && bytes_ > 0) {
            meter->give(bytes_);
        }
    }

    void add(size_t bytes) {
        if (Meter * meter = Meter::current()) {
            meter->work(1);
            meter->take(bytes);
            bytes_ += bytes;
        }
    }

    void grow_to(size_t bytes) { add(bytes > bytes_ ? bytes - bytes_ : 0); }

  private:
    size_t bytes_;
};

// One level of recursion, while this lives. Throws std::runtime_error when there are too many, or when little is left
// of the thread's stack.
class Level {
  public:
    Level() {
        if (count() >= max_levels || stack_is_short()) {
            throw std::runtime_error("it nests too deep");
        }
        count()++;
    }

    ~Level() { count()--; }

    Level(const Level &)             = delete;
    Level & operator=(const Level &) = delete;

  private:
    static int & count() {
        static thread_local int levels = 0;
        return levels;
    }
};

// A level of recursion in a template that runs.
class Step {
  public:
    Step() { work(); }

  private:
    Level level_;
};

// How deep the trees are that a node of the syntax tree is made of; 0 for anything else.
template <typename T> size_t depth_of(const T &) {
    return 0;
}

template <typename Node> size_t depth_of(const std::unique_ptr<Node> & node) {
    return node ? node->depth : 0;
}

template <typename Node> size_t depth_of(const std::vector<std::unique_ptr<Node>> & nodes) {
    size_t depth = 0;
    for (const auto & node : nodes) {
        depth = std::max(depth, depth_of(node));
    }
    return depth;
}

template <typename Node>
size_t depth_of(const std::vector<std::pair<std::unique_ptr<Node>, std::unique_ptr<Node>>> & pairs) {
    size_t depth = 0;
    for (const auto & pair : pairs) {
        depth = std::max({ depth, depth_of(pair.first), depth_of(pair.second) });
    }
    return depth;
}

// Return the depth of a node with these parts. Throws std::runtime_error if it is too deep: trees are run and freed by
// recursion.
template <typename... Parts> size_t tree_depth(const Parts &... parts) {
    size_t depth = 0;
    ((depth = std::max(depth, depth_of(parts))), ...);
    if (depth >= max_tree_depth) {
        throw std::runtime_error("it nests more than " + std::to_string(max_tree_depth) + " levels deep");
    }
    return depth + 1;
}

// Free what a value holds. Values inside of one another are freed by recursion up to a depth, and one after the other
// below it.
template <typename Value> void bury(std::vector<Value> & list, std::vector<std::pair<Value, Value>> & pairs) noexcept {
    struct Graveyard {
        std::vector<Value> values;
        int                depth = 0;
    };
    constexpr int                 max_depth = 64;
    static thread_local Graveyard graveyard;
    if (list.empty() && pairs.empty()) {
        return;
    }
    if (graveyard.depth >= max_depth) {
        try {
            std::move(list.begin(), list.end(), std::back_inserter(graveyard.values));
            for (auto & pair : pairs) {
                graveyard.values.push_back(std::move(pair.first));
                graveyard.values.push_back(std::move(pair.second));
            }
        } catch (const std::bad_alloc &) {
            // what was not moved is freed by recursion
        }
        return;
    }
    graveyard.depth++;
    list.clear();
    pairs.clear();
    while (graveyard.depth == 1 && !graveyard.values.empty()) {
        const Value last = std::move(graveyard.values.back());
        graveyard.values.pop_back();
    }
    graveyard.depth--;
}

// Throws std::runtime_error if `container` would contain itself once it holds `value`: nothing would free it. Functions
// may hold anything, so they are refused, too.
template <typename Value> void check_acyclic(const void * container, const Value & value) {
    std::vector<const typename Value::element_type *> open = { value.get() };
    Charge                                            charge;
    while (!open.empty()) {
        const auto * v = open.back();
        open.pop_back();
        work();
        if (v == container) {
            throw std::runtime_error("a list or an object can't contain itself");
        }
        if (v->val_func || v->type() == "KwArg") {
            throw std::runtime_error("functions and named arguments can't be stored in lists and objects");
        }
        charge.grow_to((open.size() + v->val_arr.size() + v->val_obj.size()) * sizeof(void *));
        for (const auto & item : v->val_arr) {
            open.push_back(item.get());
        }
        for (const auto & pair : v->val_obj) {
            open.push_back(pair.second.get());
        }
    }
}

// Return `text` with each `old` replaced, from the left. `old` must not be empty.
inline std::string replace(const std::string & text, const std::string & old, const std::string & with) {
    std::string out;
    size_t      end = 0;
    for (size_t at = find(text, old); at != std::string::npos; at = find(text, old, end)) {
        work_on(at - end + with.size());
        need_room(out.size() + at - end + with.size());
        out.append(text, end, at - end);
        out += with;
        end = at + old.size();
    }
    return out.append(text, end, std::string::npos);
}

// Whether a text is the role of a message, of which templates make markers.
inline bool is_role(const std::string & text) {
    for (const char * role : { "system", "user", "assistant", "tool", "developer", "model", "function", "ipython" }) {
        if (text == role) {
            return true;
        }
    }
    return false;
}

// Apply the meter's `finish` to what a template wrote. `parts` are those of llama.cpp's jinja::string.
template <typename Part> void finish(std::vector<Part> & parts) {
    const Meter * meter = Meter::current();
    if (!meter || parts.empty()) {
        return;
    }
    std::string        text;
    std::vector<Range> inputs;
    for (const Part & part : parts) {
        if (part.is_input && !part.val.empty()) {
            inputs.emplace_back(text.size(), text.size() + part.val.size());
        }
        text += part.val;
    }
    parts.resize(1);
    parts[0].val = meter->finish(text, inputs);
}

}  // namespace luup_template
