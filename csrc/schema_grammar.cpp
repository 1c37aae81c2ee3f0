#include "schema_grammar.h"

#include "schema_format.h"

#include <algorithm>
#include <deque>
#include <functional>

namespace luup {

namespace {

constexpr size_t   max_grammar   = 512 * 1024;
constexpr uint64_t usual_items   = 64;
constexpr uint64_t usual_entries = 16;  // with names that are not declared
constexpr uint64_t any_items     = 16;
constexpr int      any_depth     = 3;
constexpr uint64_t most_repeats  = 10000;  // beyond the least
constexpr uint64_t block         = 32;  // of a counted repetition
constexpr size_t   few_texts     = 16;  // alternatives that need no tree
constexpr size_t   max_listed    = 64;
constexpr size_t   max_tree      = 100;  // levels
constexpr size_t   long_class    = 24;  // bytes; then it is a rule of its own
constexpr int      max_rank      = 64;

const char character[] = "[\\x20-\\x21\\x23-\\x5B\\x5D-\\x7E\\u00A0-\\uD7FF\\uE000-\\U0010FFFF] | \"\\\\\" [\\x22\\x5C/bfnrt]";

std::string literal(const std::string & text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

std::string code(uint32_t c) {
    char buffer[16];
    snprintf(buffer, sizeof(buffer), c < 0x100 ? "\\x%02X" : c < 0x10000 ? "\\u%04X"
                                                                         : "\\U%08X",
             c);
    return buffer;
}

CodeSet intersection(const CodeSet & a, const CodeSet & b) {
    CodeSet out;
    for (size_t i = 0, k = 0; i < a.size() && k < b.size();) {
        const uint32_t low = std::max(a[i].first, b[k].first), high = std::min(a[i].second, b[k].second);
        if (low <= high) {
            out.emplace_back(low, high);
        }
        a[i].second < b[k].second ? i++ : k++;
    }
    return out;
}

std::string char_class(const CodeSet & set) {
    std::string out = "[";
    for (const auto & range : set) {
        out += code(range.first) + (range.first == range.second ? "" : "-" + code(range.second));
    }
    return out + "]";
}

// How characters of a set stand in a JSON string: alternatives.
std::vector<std::string> json_characters(const CodeSet & set) {
    static const CodeSet                                plain   = { { 0x20, 0x21 }, { 0x23, 0x5B }, { 0x5D, 0x7E }, { 0xA0, 0xD7FF }, { 0xE000, 0x10FFFF } };
    static const std::vector<std::pair<uint32_t, char>> escapes = {
        { '"', '"' }, { '\\', '\\' }, { 8, 'b' }, { 12, 'f' }, { 10, 'n' }, { 13, 'r' }, { 9, 't' }
    };
    std::vector<std::string> out;
    const CodeSet            direct = intersection(set, plain);
    if (!direct.empty()) {
        out.push_back(char_class(direct));
    }
    CodeSet letters;
    for (const auto & [character_code, letter] : escapes) {
        if (!intersection(set, { { character_code, character_code } }).empty()) {
            letters.emplace_back(letter, letter);
        }
    }
    if (!letters.empty()) {
        out.push_back("\"\\\\\" " + char_class(letters));
    }
    if (out.empty()) {
        // Control characters only where there is nothing else.
        for (const auto & range : intersection(set, { { 1, 0x1F }, { 0x7F, 0x9F } })) {
            for (uint32_t c = range.first; c <= range.second; c++) {
                char buffer[24];
                snprintf(buffer, sizeof(buffer), "\"\\\\u00%02x\"", c);
                out.push_back(buffer);
            }
        }
    }
    return out;
}

// Which plans lead back to themselves.
class Cycles {
  public:
    explicit Cycles(const SchemaPlans & plans) : next_(plans.size()), group_(plans.size(), -1) {
        std::vector<std::vector<int>> before(plans.size());
        for (size_t i = 0; i < plans.size(); i++) {
            collect(plans.plan(static_cast<int>(i)), next_[i]);
            for (const int child : next_[i]) {
                before[child].push_back(static_cast<int>(i));
            }
        }
        // Kosaraju: in the reverse order of leaving, each walk backwards finds one group.
        std::vector<int>  order;
        std::vector<bool> seen(plans.size());
        for (size_t i = 0; i < plans.size(); i++) {
            walk(static_cast<int>(i), next_, seen, order);
        }
        seen.assign(plans.size(), false);
        for (size_t i = order.size(); i-- > 0;) {
            std::vector<int> members;
            walk(order[i], before, seen, members);
            for (const int m : members) {
                group_[m] = static_cast<int>(sizes_.size());
            }
            if (!members.empty()) {
                const auto & own  = next_[members[0]];
                const bool   loop = members.size() > 1 || std::find(own.begin(), own.end(), members[0]) != own.end();
                sizes_.push_back(loop ? members.size() : 0);
            }
        }
    }

    bool together(int a, int b) const { return group_[a] == group_[b] && sizes_[group_[a]] > 0; }

    // 0 for a plan that is in no cycle.
    size_t size(int id) const { return sizes_[group_[id]]; }

  private:
    static void collect(const Plan & plan, std::vector<int> & out) {
        for (const ArrayPlan & a : plan.arrays) {
            out.insert(out.end(), a.prefix.begin(), a.prefix.end());
            out.push_back(a.items);
        }
        for (const ObjectPlan & o : plan.objects) {
            for (const auto & p : o.properties) {
                out.push_back(p.demands);
            }
            for (const auto & f : o.free) {
                out.push_back(f.demands);
            }
        }
    }

    // Depth first, without recursion; appends what it leaves.
    static void walk(int from, const std::vector<std::vector<int>> & edges, std::vector<bool> & seen, std::vector<int> & left) {
        if (seen[from]) {
            return;
        }
        std::vector<std::pair<int, size_t>> path = { { from, 0 } };
        seen[from]                               = true;
        while (!path.empty()) {
            auto & [at, edge] = path.back();
            if (edge == edges[at].size()) {
                left.push_back(at);
                path.pop_back();
                continue;
            }
            const int to = edges[at][edge++];
            if (!seen[to]) {
                seen[to] = true;
                path.emplace_back(to, 0);
            }
        }
    }

    std::vector<std::vector<int>> next_;
    std::vector<int>              group_;
    std::vector<size_t>           sizes_;
};

struct TooLarge {};

class Writer {
  public:
    Writer(const SchemaPlans & plans, const std::string & prefix, Spacing spacing, int levels)
        : plans_(plans), cycles_(plans), prefix_(prefix), spacing_(spacing), levels_(levels) {}

    std::string write() {
        if (plans_.rank(plans_.root()) > max_rank) {
            invalid_schema("", "every value would be nested more than 64 levels deep");
        }
        const std::string root = value(plans_.root(), start_budget(plans_.root()));
        rule(prefix_, root);
        while (!jobs_.empty()) {
            const Job job = jobs_.front();
            jobs_.pop_front();
            write_plan(job);
        }
        return std::move(out_);
    }

  private:
    struct Job {
        std::string name;
        int         id;
        int         budget;
    };

    // --- rules ---

    std::string fresh() { return prefix_ + "-" + std::to_string(n_rules_++); }

    void rule(const std::string & name, const std::string & body) {
        out_ += name + " ::= " + body + "\n";
        // The prefix is the caller's choice and must not decide what is refused.
        size_ += body.size() + name.size() - prefix_.size();
        if (size_ > max_grammar + 8 * n_rules_ * (prefix_.size() > 4 ? prefix_.size() - 4 : 0)) {
            throw TooLarge();
        }
    }

    // One rule for one body.
    std::string shared(const std::string & body) {
        const auto [it, added] = bodies_.emplace(body, "");
        if (added) {
            it->second = fresh();
            rule(it->second, body);
        }
        return it->second;
    }

    static std::string join(const std::vector<std::string> & alternatives) {
        std::string out;
        for (const std::string & a : alternatives) {
            out += (out.empty() ? "" : " | ") + a;
        }
        return out;
    }

    std::string comma() { return spacing_ == Spacing::Compact ? "\",\"" : shared("\",\" \" \"?"); }

    std::string colon() { return spacing_ == Spacing::Compact ? "\":\"" : shared("\":\" \" \"?"); }

    // --- repetitions ---

    std::string exactly(const std::string & unit, uint64_t n) {
        std::string out;
        if (n < 4) {
            for (uint64_t i = 0; i < n; i++) {
                out += (i > 0 ? " " : "") + unit;
            }
            return out;
        }
        // Halves of halves: the rules grow with the logarithm.
        const std::string half = exactly(unit, n / 2), pair = half.find(' ') == std::string::npos ? half : shared(half);
        return shared(pair + " " + pair + (n % 2 ? " " + unit : ""));
    }

    // A rule for 0 … n of `unit`. In blocks, each either whole or the last one: at most a few ways to read it are open at any time.
    std::string up_to(const std::string & unit, uint64_t n) {
        if (n == 0) {
            return "\"\"";
        }
        std::string    rest = "\"\"";
        const uint64_t last = n <= block ? n : (n - 1) % block + 1;
        for (uint64_t i = 1; i <= last; i++) {
            rest = shared(unit + (i > 1 ? " " + rest : "") + " | \"\"");
        }
        if (n <= block) {
            return rest;
        }
        const std::string part = up_to(unit, block - 1), whole = exactly(unit, block);
        for (uint64_t done = last; done < n; done += block) {
            rest = shared(whole + " " + rest + " | " + part);
        }
        return rest;
    }

    std::string repeat(const std::string & unit, uint64_t min, uint64_t max) {
        max                     = std::min(max, min + most_repeats);
        const std::string first = exactly(unit, min), rest = max > min ? up_to(unit, max - min) : "";
        return first + (first.empty() || rest.empty() ? "" : " ") + rest;
    }

    // --- values ---

    int start_budget(int id) const {
        const size_t size = cycles_.size(id);
        return size == 0 ? 0 : plans_.rank(id) + levels_;
    }

    // The rule for a value below another one, "" if the levels left don't suffice.
    std::string child(int parent, int budget, int id) {
        if (plans_.rank(id) >= SchemaPlans::impossible) {
            return "";
        }
        if (!cycles_.together(parent, id)) {
            return id == SchemaPlans::any ? any(any_depth - 1) : value(id, start_budget(id));
        }
        return plans_.rank(id) <= budget - 1 ? value(id, budget - 1) : "";
    }

    std::string value(int id, int budget) {
        if (id == SchemaPlans::any) {
            return any(any_depth);
        }
        const auto [it, added] = values_.emplace(std::make_pair(id, budget), "");
        if (added) {
            it->second = fresh();
            jobs_.push_back({ it->second, id, budget });
        }
        return it->second;
    }

    void write_plan(const Job & job) {
        const Plan &             plan = plans_.plan(job.id);
        std::vector<std::string> all;
        const auto               take = [&](const std::string & alternative) {
            if (!alternative.empty()) {
                all.push_back(alternative);
            }
        };
        for (const ObjectPlan & o : plan.objects) {
            take(object(o, job));
        }
        for (const ArrayPlan & a : plan.arrays) {
            take(array(a, job));
        }
        for (const StringPlan & s : plan.strings) {
            take(text(s));
        }
        for (const NumberPlan & n : plan.numbers) {
            take(number(n.grammar));
        }
        if (!plan.values.empty()) {
            take(constants(plan.values));
        }
        rule(job.name, join(all));
    }

    std::string any(int depth) {
        std::string & name = any_[depth];
        if (!name.empty()) {
            return name;
        }
        std::vector<std::string> all = { "\"null\"", "\"true\"", "\"false\"", number(number_grammar({})), text({ 0, 512, {}, {}, "", nullptr }) };
        if (depth > 0) {
            const std::string item = any(depth - 1), entry = shared(text({ 1, 48, {}, {}, "", nullptr }) + " " + colon() + " " + item);
            for (const auto & [open, unit, shut] : { std::make_tuple("\"[\" ", item, "\"]\""), std::make_tuple("\"{\" ", entry, "\"}\"") }) {
                const std::string more = up_to(shared(comma() + " " + unit), any_items - 1);
                all.push_back(open + shared(unit + " " + more + " " + shut + " | " + shut));
            }
        }
        name               = shared(join(all));
        return any_[depth] = name;
    }

    std::string number(const NumberGrammar & grammar) {
        const std::string mark = fresh() + "-";
        const auto        put  = [&](const std::string & text) {
            std::string out;
            for (const char c : text) {
                out += c == '@' ? mark : std::string(1, c);
            }
            return out;
        };
        for (const auto & [name, body] : grammar.rules) {
            rule(mark + name, put(body));
        }
        return shared(put(grammar.expression));
    }

    std::string text(const StringPlan & plan) {
        if (!plan.dfa) {
            const std::string body = repeat(shared(character), plan.min, *plan.max);
            return "\"\\\"\" " + body + (body.empty() ? "" : " ") + "\"\\\"\"";
        }
        const auto known = dfas_.find(plan.dfa.get());
        if (known != dfas_.end()) {
            return known->second;
        }
        return dfas_[plan.dfa.get()] = automaton(*plan.dfa);
    }

    // One rule a state: exactly one way to go on is open at any time.
    std::string automaton(const Dfa & dfa) {
        std::vector<std::string> names;
        for (size_t i = 0; i < dfa.states.size(); i++) {
            names.push_back(fresh());
        }
        for (size_t i = 0; i < dfa.states.size(); i++) {
            std::vector<std::string> all;
            if (dfa.states[i].accepts) {
                all.push_back("\"\\\"\"");
            }
            for (const Dfa::Edge & edge : dfa.states[i].edges) {
                for (const std::string & c : json_characters(edge.set)) {
                    all.push_back((c.size() > long_class ? shared(c) : c) + " " + names[edge.target]);
                }
            }
            // Surrogates and NUL alone lead nowhere: a class that nothing is in.
            rule(names[i], all.empty() ? "[^\\x00-\\U0010FFFF]" : join(all));
        }
        return "\"\\\"\" " + names[0];
    }

    std::string constants(const std::vector<Json> & values) {
        std::vector<std::string> texts;
        for (const Json & v : values) {
            texts.push_back(v.dump());
        }
        if (texts.size() > few_texts) {
            std::sort(texts.begin(), texts.end());
            return tree(texts, 0, texts.size(), 0, 0);
        }
        for (std::string & t : texts) {
            t = literal(t);
        }
        return join(texts);
    }

    // Sorted texts that share their first `from` bytes, by what comes next: few ways to go on are open at any time.
    std::string tree(const std::vector<std::string> & texts, size_t begin, size_t end, size_t from, size_t depth) {
        std::vector<std::string> all;
        for (size_t i = begin; i < end;) {
            if (texts[i].size() == from) {
                all.push_back("\"\"");
                i++;
                continue;
            }
            size_t last = i + 1;
            while (last < end && texts[last].size() > from && texts[last][from] == texts[i][from]) {
                last++;
            }
            size_t to = texts[i].size();
            for (size_t k = i + 1; k < last; k++) {
                to = std::min(to,
                              static_cast<size_t>(std::mismatch(texts[i].begin(), texts[i].end(), texts[k].begin(), texts[k].end()).first - texts[i].begin()));
            }
            // Not within a character.
            while (to < texts[i].size() && to > from && (static_cast<unsigned char>(texts[i][to]) & 0xC0) == 0x80) {
                to--;
            }
            if (to == from || depth > max_tree) {
                for (size_t k = i; k < last; k++) {
                    all.push_back(literal(texts[k].substr(from)));
                }
            } else {
                const std::string head = literal(texts[i].substr(from, to - from));
                all.push_back(last - i == 1 ? head : head + " " + shared(tree(texts, i, last, to, depth + 1)));
            }
            i = last;
        }
        return join(all);
    }

    // --- arrays ---

    std::string array(const ArrayPlan & plan, const Job & job) {
        if (plan.unique && is_ordered_subset(plans_, plan)) {
            return subset(plan);
        }
        std::vector<std::string> prefix;
        uint64_t                 max = plan.max.value_or(std::max({ usual_items, 2 * plan.min, static_cast<uint64_t>(plan.prefix.size()) + usual_items / 2 }));
        for (size_t i = 0; i < plan.prefix.size() && i < max; i++) {
            const std::string name = child(job.id, job.budget, plan.prefix[i]);
            if (name.empty()) {
                max = i;
                break;
            }
            prefix.push_back(name);
        }
        const std::string item = max > prefix.size() ? child(job.id, job.budget, plan.items) : "";
        if (item.empty()) {
            max = std::min<uint64_t>(max, prefix.size());
        }
        if (plan.min > max) {
            return "";
        }
        return "\"[\" " + items_from(prefix, item, plan.min, max);
    }

    // What follows "[": from the last place to the first.
    std::string items_from(const std::vector<std::string> & prefix, const std::string & item, uint64_t min, uint64_t max) {
        const uint64_t n    = prefix.size();
        std::string    rest = "\"]\"";
        if (max > n) {
            const std::string next = shared(comma() + " " + item);
            if (n > 0) {
                rest = repeat(next, min > n ? min - n : 0, max - n) + " \"]\"";
            } else {
                const std::string more = repeat(next, min > 1 ? min - 1 : 0, max - 1);
                rest                   = item + (more.empty() ? "" : " " + more) + " \"]\"" + (min == 0 ? " | \"]\"" : "");
            }
        }
        for (uint64_t i = n; i-- > 0;) {
            rest = (i > 0 ? comma() + " " : "") + prefix[i] + " " + shared(rest) + (i >= min ? " | \"]\"" : "");
        }
        return shared(rest);
    }

    // Some of the listed values, in their order.
    std::string subset(const ArrayPlan & plan) {
        const std::vector<Json> values = *plans_.listed(plan.items);
        const uint64_t          max    = std::min<uint64_t>(plan.max.value_or(values.size()), values.size());
        if (plan.min > max) {
            return "";
        }
        // Items are counted only as far as a bound asks for it.
        const uint64_t           enough = max < values.size() ? max : std::max<uint64_t>(plan.min, 1);
        std::vector<std::string> rest(enough + 1), next(enough + 1);
        for (uint64_t n = 0; n <= enough; n++) {
            rest[n] = n >= plan.min ? "\"]\"" : "";
        }
        for (size_t i = values.size(); i-- > 0;) {
            for (uint64_t n = 0; n <= enough; n++) {
                const bool               full = n == max && max < values.size();
                const std::string &      with = rest[std::min(n + 1, enough)];
                std::vector<std::string> all;
                if (!full && !with.empty()) {
                    all.push_back((n > 0 ? comma() + " " : "") + literal(values[i].dump()) + " " + with);
                }
                if (!rest[n].empty()) {
                    all.push_back(rest[n]);
                }
                next[n] = all.empty() ? "" : shared(join(all));
            }
            rest = next;
        }
        return rest[0].empty() ? "" : "\"[\" " + rest[0];
    }

    // --- objects ---

    struct Entries {
        std::vector<std::string> rules;
        std::vector<bool>        required;
        std::vector<uint64_t>    required_from;  // how many of those from here on
        std::string              free;
        uint64_t                 min = 0, max = 0, free_max = 0;
        bool                     counted = false;
    };

    std::string object(const ObjectPlan & plan, const Job & job) {
        Entries entries;
        for (const auto & p : plan.properties) {
            const std::string name = child(job.id, job.budget, p.demands);
            if (name.empty() && p.required) {
                return "";
            }
            if (!name.empty()) {
                entries.rules.push_back(literal(Json(p.name).dump()) + " " + colon() + " " + name);
                entries.required.push_back(p.required);
            }
        }
        entries.free   = free_entries(plan, job);
        const size_t n = entries.rules.size();
        entries.required_from.assign(n + 1, 0);
        for (size_t i = n; i-- > 0;) {
            entries.required_from[i] = entries.required_from[i + 1] + entries.required[i];
        }
        entries.min      = plan.min;
        entries.free_max = entries.free.empty() ? 0 : std::max<uint64_t>(usual_entries, plan.min);
        entries.max      = std::min<uint64_t>(plan.max.value_or(UINT64_MAX), n + entries.free_max);
        entries.counted  = plan.min > entries.required_from[0] || entries.max < n + entries.free_max;
        if (entries.min > entries.max || entries.required_from[0] > entries.max) {
            return "";
        }
        const std::string rest = entries_from(entries);
        return rest.empty() ? "" : "\"{\" " + rest;
    }

    std::string free_entries(const ObjectPlan & plan, const Job & job) {
        std::vector<std::string> all;
        for (const auto & f : plan.free) {
            const std::string name = child(job.id, job.budget, f.demands);
            for (const StringPlan & key : f.names) {
                if (!name.empty()) {
                    all.push_back(text(key) + " " + colon() + " " + name);
                }
            }
        }
        return all.empty() ? "" : shared(join(all));
    }

    // What may follow "{": from the last entry to the first, for each number of entries that may be written before.
    std::string entries_from(const Entries & e) {
        const size_t             total = e.rules.size();
        const uint64_t           most  = e.counted ? total : 1;  // numbers told apart
        std::vector<std::string> rest(most + 1), next(most + 1);
        for (uint64_t n = 0; n <= std::min<uint64_t>(most, total); n++) {
            rest[n] = tail(e, n);
        }
        for (size_t i = total; i-- > 0;) {
            const uint64_t least = std::min<uint64_t>(most, e.required_from[0] - e.required_from[i]);
            for (uint64_t n = least; n <= std::min<uint64_t>(most, i); n++) {
                const std::string &      with = rest[std::min(n + 1, most)];
                std::vector<std::string> all;
                if (!with.empty() && (!e.counted || n < e.max)) {
                    all.push_back((n > 0 ? comma() + " " : "") + e.rules[i] + " " + with);
                }
                if (!e.required[i] && !rest[n].empty()) {
                    all.push_back(rest[n]);
                }
                next[n] = all.empty() ? "" : shared(join(all));
            }
            rest = next;
        }
        return rest[0];
    }

    std::string tail(const Entries & e, uint64_t n) {
        const uint64_t min = e.counted && e.min > n ? e.min - n : 0;
        const uint64_t max = e.counted ? std::min(e.max - std::min(n, e.max), e.free_max) : e.free_max;
        if (min > max) {
            return "";
        }
        if (max == 0) {
            return "\"}\"";
        }
        const std::string next = shared(comma() + " " + e.free);
        if (n > 0) {
            return shared(repeat(next, min, max) + " \"}\"");
        }
        const std::string more = repeat(next, min > 1 ? min - 1 : 0, max - 1);
        return shared(e.free + (more.empty() ? "" : " " + more) + " \"}\"" + (min == 0 ? " | \"}\"" : ""));
    }

    const SchemaPlans &                        plans_;
    Cycles                                     cycles_;
    std::string                                prefix_;
    Spacing                                    spacing_;
    int                                        levels_;  // of containers that a recursive schema may open beyond what it must
    size_t                                     size_ = 0;
    std::string                                out_;
    size_t                                     n_rules_ = 0;
    std::map<std::string, std::string>         bodies_;
    std::map<std::pair<int, int>, std::string> values_;
    std::map<const Dfa *, std::string>         dfas_;
    std::string                                any_[any_depth + 1];
    std::deque<Job>                            jobs_;
};

}  // namespace

bool is_ordered_subset(const SchemaPlans & plans, const ArrayPlan & array) {
    const auto values = array.prefix.empty() ? plans.listed(array.items) : std::nullopt;
    return values && values->size() <= max_listed;
}

std::string write_grammar(const SchemaPlans & plans, const std::string & prefix, Spacing spacing) {
    // A recursive schema that is large goes less deep.
    for (const int levels : { 10, 5, 2 }) {
        try {
            return Writer(plans, prefix, spacing, levels).write();
        } catch (const TooLarge &) {
        }
    }
    invalid_schema("", "its grammar would be larger than 512 KB");
}

}  // namespace luup
