#include "grammar/compiler.h"

#include "base/error.h"
#include "grammar/analysis.h"
#include "grammar/limits.h"
#include "grammar/left_recursion.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace luup {

namespace {

using Op   = GrammarProgram::Op;
using Node = GrammarProgram::Node;

// Makes the nodes of each rule from its end to its start. Equal nodes are made once, so sequences with equal ends share
// them and the matcher follows them together.
class Compiler {
  public:
    explicit Compiler(const Gbnf & gbnf) : gbnf_(gbnf) {
        out_.nodes = { Node{ Op::ret, 0, 0 }, Node{ Op::ret, 0, 0 } };
    }

    GrammarProgram compile() {
        for (const CharSet & set : gbnf_.sets) {
            firsts_.push_back(automaton_.add(set));
        }
        out_.rule_start.resize(gbnf_.rules.size());
        for (size_t i = 0; i < gbnf_.rules.size(); i++) {
            out_.rule_start[i] = choice(gbnf_.rules[i].body, GrammarProgram::ret_node);
        }
        out_.root = out_.rule_start[gbnf_.root];
        copy_automaton();
        return std::move(out_);
    }

  private:
    // A sequence from its item `at` on.
    struct Rest {
        const GbnfSequence * items;
        size_t               at;

        bool             ends() const { return at == items->size(); }
        const GbnfItem & first() const { return (*items)[at]; }
    };

    uint32_t add(Op op, uint32_t arg, uint32_t next) {
        const auto [entry, added] =
            ids_.emplace(std::make_tuple(op, arg, next), static_cast<uint32_t>(out_.nodes.size()));
        return added ? append(op, arg, next) : entry->second;
    }

    uint32_t append(Op op, uint32_t arg, uint32_t next) {
        if (out_.nodes.size() >= grammar_limits::nodes) {
            fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: it is too large");
        }
        out_.nodes.push_back({ op, arg, next });
        return static_cast<uint32_t>(out_.nodes.size() - 1);
    }

    uint32_t choice(const GbnfChoice & choice, uint32_t next) {
        std::vector<Rest> rests;
        for (const GbnfSequence & sequence : choice) {
            rests.push_back({ &sequence, 0 });
        }
        return alternatives(rests, next, 0);
    }

    static bool is_plain_char(const Rest & rest) {
        return !rest.ends() && rest.first().kind == GbnfItem::Kind::chars && rest.first().min == 1 &&
               rest.first().max == 1;
    }

    // Merges common beginnings: of the thousand values of an enum, the matcher follows one path at a time.
    uint32_t alternatives(const std::vector<Rest> & rests, uint32_t next, int depth) {
        std::map<uint32_t, std::vector<Rest>> by_char;
        std::vector<uint32_t>                 entries;
        for (const Rest & rest : rests) {
            if (is_plain_char(rest) && depth < grammar_limits::factoring) {
                by_char[rest.first().value].push_back(rest);
            } else {
                entries.push_back(sequence(*rest.items, rest.at, rest.items->size(), next));
            }
        }
        for (const auto & [set, group] : by_char) {
            entries.push_back(group.size() == 1 ? sequence(*group[0].items, group[0].at, group[0].items->size(), next)
                                                : shared(group, next, depth));
        }
        std::sort(entries.begin(), entries.end());
        entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
        uint32_t node = entries.back();
        for (size_t i = entries.size() - 1; i-- > 0;) {
            node = add(Op::split, entries[i], node);
        }
        return node;
    }

    // `group` holds two or more sequences that begin with the same character.
    uint32_t shared(std::vector<Rest> group, uint32_t next, int depth) {
        const Rest begin = group[0];
        size_t     n     = 0;
        const auto alike = [&] {
            return std::all_of(group.begin(), group.end(), [&](const Rest & r) {
                return is_plain_char(r) && r.first().value == group[0].first().value;
            });
        };
        for (; alike(); n++) {
            for (Rest & rest : group) {
                rest.at++;
            }
        }
        return sequence(*begin.items, begin.at, begin.at + n, alternatives(group, next, depth + 1));
    }

    uint32_t sequence(const GbnfSequence & items, size_t begin, size_t end, uint32_t next) {
        for (size_t i = end; i-- > begin;) {
            next = repeated(items[i], next);
        }
        return next;
    }

    uint32_t repeated(const GbnfItem & item, uint32_t next) {
        if (item.min == 1 && item.max == 1) {
            return once(item, next);
        }
        if (item.max == 0) {
            return next;
        }
        // A group becomes a rule of its own, so that each repetition of it takes one node.
        GbnfItem body = item;
        body.min = body.max = 1;
        if (item.kind == GbnfItem::Kind::group && item.min + uint64_t(item.max) > 1) {
            body       = GbnfItem();
            body.kind  = GbnfItem::Kind::rule;
            body.value = static_cast<uint32_t>(out_.rule_start.size());
            out_.rule_start.push_back(0);
            const uint32_t start        = choice(item.body, GrammarProgram::ret_node);
            out_.rule_start[body.value] = start;
        }
        uint32_t node = next;
        if (item.max == GbnfItem::no_max) {
            node                 = append(Op::split, 0, next);
            const uint32_t again = once(body, node);
            out_.nodes[node].arg = again;
        } else {
            for (uint32_t i = item.min; i < item.max; i++) {
                node = add(Op::split, once(body, node), next);
            }
        }
        for (uint32_t i = 0; i < item.min; i++) {
            node = once(body, node);
        }
        return node;
    }

    uint32_t once(const GbnfItem & item, uint32_t next) {
        switch (item.kind) {
            case GbnfItem::Kind::chars: return add(Op::chars, firsts_[item.value], next);
            case GbnfItem::Kind::token:
            case GbnfItem::Kind::not_token: return add(Op::literal, literal(item), next);
            case GbnfItem::Kind::rule: return add(Op::call, item.value, next);
            case GbnfItem::Kind::group: break;
        }
        return choice(item.body, next);
    }

    uint32_t literal(const GbnfItem & item) {
        const GrammarProgram::Literal wanted = { static_cast<llama_token>(item.value),
                                                 item.kind == GbnfItem::Kind::not_token };
        const auto                    found  = std::find_if(
            out_.literals.begin(), out_.literals.end(),
            [&](const GrammarProgram::Literal & l) { return l.token == wanted.token && l.inverse == wanted.inverse; });
        const auto index = static_cast<uint32_t>(found - out_.literals.begin());
        if (found == out_.literals.end()) {
            out_.literals.push_back(wanted);
        }
        return index;
    }

    // Compares two bytes as columns of the automaton: -1, 0 or 1.
    int compare(uint8_t a, uint8_t b) const {
        for (uint32_t node = 0; node < automaton_.size(); node++) {
            const uint32_t x = automaton_.next(node, a), y = automaton_.next(node, b);
            if (x != y) {
                return x < y ? -1 : 1;
            }
        }
        return 0;
    }

    void copy_automaton() {
        std::array<uint8_t, 256> bytes;
        for (size_t i = 0; i < bytes.size(); i++) {
            bytes[i] = static_cast<uint8_t>(i);
        }
        std::sort(bytes.begin(), bytes.end(), [&](uint8_t a, uint8_t b) { return compare(a, b) < 0; });
        std::vector<uint8_t> of_class;  // one byte of each class
        for (size_t i = 0; i < bytes.size(); i++) {
            if (i == 0 || compare(bytes[i - 1], bytes[i]) != 0) {
                of_class.push_back(bytes[i]);
            }
            out_.byte_class[bytes[i]] = static_cast<uint8_t>(of_class.size() - 1);
        }
        out_.classes = static_cast<uint32_t>(of_class.size());
        for (uint32_t node = 0; node < automaton_.size(); node++) {
            for (uint8_t byte : of_class) {
                out_.automaton.push_back(automaton_.next(node, byte));
            }
            out_.only_byte.push_back(only_byte(node));
        }
        out_.is_first.resize(automaton_.size());
        out_.whole_kinds.resize(automaton_.size());
        out_.touched_kinds.resize(automaton_.size());
        for (size_t i = 0; i < firsts_.size(); i++) {
            out_.is_first[firsts_[i]]      = 1;
            out_.whole_kinds[firsts_[i]]   = whole_kinds(gbnf_.sets[i]);
            out_.touched_kinds[firsts_[i]] = touched_kinds(gbnf_.sets[i]);
        }
    }

    int16_t only_byte(uint32_t node) const {
        int16_t only = -1;
        for (int byte = 0; byte < 256; byte++) {
            if (automaton_.next(node, static_cast<uint8_t>(byte)) != ByteAutomaton::dead) {
                if (only >= 0) {
                    return -1;
                }
                only = static_cast<int16_t>(byte);
            }
        }
        return only;
    }

    const Gbnf &                                           gbnf_;
    GrammarProgram                                         out_;
    ByteAutomaton                                          automaton_;
    std::vector<uint32_t>                                  firsts_;  // of each set: its first node in the automaton
    std::map<std::tuple<Op, uint32_t, uint32_t>, uint32_t> ids_;
};

}  // namespace

GrammarProgram compile_grammar(const Gbnf & gbnf) {
    GrammarProgram program = Compiler(gbnf).compile();
    if (is_left_recursive(program)) {
        fail(LUUP_ERROR_INVALID_SCHEMA,
             "grammar: it is left-recursive, which is not supported: the rule '%s' may begin with itself",
             left_recursive_rule(gbnf).c_str());
    }
    program.productive = productive_nodes(program);
    if (!program.productive[program.root]) {
        fail(LUUP_ERROR_INVALID_SCHEMA, "grammar: it matches no text");
    }
    return program;
}

}  // namespace luup
