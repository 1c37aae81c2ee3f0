#include "grammar/analysis.h"

#include "tokens/charset.h"

#include <algorithm>

namespace luup {

namespace {

using Op   = GrammarProgram::Op;
using Node = GrammarProgram::Node;

// Finds the nodes from which the end of their rule can be reached: with or without reading characters.
class Reach {
  public:
    Reach(const GrammarProgram & program, bool over_chars)
        : program_(program), over_chars_(over_chars), reaches_(program.nodes.size(), 0) {
        std::vector<std::vector<uint32_t>> before(program.nodes.size()), calls(program.rule_start.size()),
            starts(program.nodes.size());
        for (uint32_t i = GrammarProgram::ret_node + 1; i < program.nodes.size(); i++) {
            const Node & node = program.nodes[i];
            before[node.next].push_back(i);
            if (node.op == Op::split) {
                before[node.arg].push_back(i);
            } else if (node.op == Op::call) {
                calls[node.arg].push_back(i);
            }
        }
        for (uint32_t rule = 0; rule < program.rule_start.size(); rule++) {
            starts[program.rule_start[rule]].push_back(rule);
        }
        mark(GrammarProgram::ret_node);
        while (!todo_.empty()) {
            const uint32_t at = todo_.back();
            todo_.pop_back();
            for (uint32_t i : before[at]) {
                visit(i);
            }
            for (uint32_t rule : starts[at]) {
                for (uint32_t i : calls[rule]) {
                    visit(i);
                }
            }
        }
    }

    std::vector<uint8_t> take() { return std::move(reaches_); }

  private:
    void mark(uint32_t i) {
        if (!reaches_[i]) {
            reaches_[i] = 1;
            todo_.push_back(i);
        }
    }

    // Checks a node that leads to, or calls, one that has just been marked.
    void visit(uint32_t i) {
        const Node & node = program_.nodes[i];
        switch (node.op) {
            case Op::ret:
            case Op::split: mark(i); break;
            case Op::literal:
            case Op::chars:
                if (over_chars_ && (node.op == Op::literal || node.arg != ByteAutomaton::dead)) {
                    mark(i);
                }
                break;
            case Op::call:
                if (reaches_[program_.rule_start[node.arg]] && reaches_[node.next]) {
                    mark(i);
                }
                break;
        }
    }

    const GrammarProgram & program_;
    const bool             over_chars_;
    std::vector<uint8_t>   reaches_;
    std::vector<uint32_t>  todo_;
};

// Finds cycles that read no character and contain a call with a continuation: following one would grow the stack for
// ever. Uses Tarjan's algorithm for strongly connected components.
class LeftRecursion {
  public:
    LeftRecursion(const GrammarProgram & program, const std::vector<uint8_t> & empties)
        : program_(program),
          empties_(empties),
          order_(program.nodes.size(), 0),
          low_(program.nodes.size(), 0),
          component_(program.nodes.size(), 0) {}

    bool found() {
        for (uint32_t i = GrammarProgram::ret_node; i < program_.nodes.size(); i++) {
            if (!order_[i]) {
                search(i);
            }
        }
        for (uint32_t i = GrammarProgram::ret_node; i < program_.nodes.size(); i++) {
            const Node & node = program_.nodes[i];
            if (node.op == Op::call && node.next != GrammarProgram::ret_node &&
                component_[i] == component_[program_.rule_start[node.arg]]) {
                return true;
            }
        }
        return false;
    }

  private:
    struct Visit {
        uint32_t node;
        int      edge;
    };

    // Returns the target of a node's edge `n` (0 or 1), or 0 if there is none.
    uint32_t edge(uint32_t i, int n) const {
        const Node & node = program_.nodes[i];
        if (node.op == Op::split) {
            return n == 0 ? node.next : node.arg;
        }
        if (node.op == Op::call) {
            const uint32_t start = program_.rule_start[node.arg];
            return n == 0 ? start : empties_[start] ? node.next : 0;
        }
        return 0;
    }

    void enter(uint32_t i) {
        order_[i] = low_[i] = ++count_;
        open_.push_back(i);
        visits_.push_back({ i, 0 });
    }

    void search(uint32_t from) {
        enter(from);
        while (!visits_.empty()) {
            const uint32_t at = visits_.back().node;
            if (visits_.back().edge < 2) {
                const uint32_t to = edge(at, visits_.back().edge++);
                if (to && !order_[to]) {
                    enter(to);
                } else if (to && !component_[to]) {
                    low_[at] = std::min(low_[at], order_[to]);
                }
                continue;
            }
            visits_.pop_back();
            if (!visits_.empty()) {
                low_[visits_.back().node] = std::min(low_[visits_.back().node], low_[at]);
            }
            if (low_[at] == order_[at]) {
                close(at);
            }
        }
    }

    void close(uint32_t at) {
        uint32_t i = 0;
        do {
            i = open_.back();
            open_.pop_back();
            component_[i] = order_[at];
        } while (i != at);
    }

    const GrammarProgram &       program_;
    const std::vector<uint8_t> & empties_;
    std::vector<uint32_t>        order_, low_, component_, open_;
    std::vector<Visit>           visits_;
    uint32_t                     count_ = 0;
};

}  // namespace

std::vector<uint8_t> productive_nodes(const GrammarProgram & program) {
    return Reach(program, true).take();
}

bool is_left_recursive(const GrammarProgram & program) {
    const std::vector<uint8_t> empties = Reach(program, false).take();
    return LeftRecursion(program, empties).found();
}

}  // namespace luup
