#include "schema/grammar.h"

#include "schema/limits.h"
#include "schema/number_grammar.h"
#include "schema/pointer.h"
#include "schema/rule_text.h"
#include "schema/rules.h"
#include "schema/string_rules.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace luup {

namespace {

// Whether a unique array is written as a subset of its listed values, in their order.
bool is_ordered_subset(const SchemaPlans & plans, const ArrayPlan & array) {
    const auto values = array.prefix.empty() ? plans.listed(array.items) : std::nullopt;
    return values && values->size() <= schema_limits::listed_values;
}

class Writer {
  public:
    Writer(const SchemaPlans & plans, const std::string & prefix, Spacing spacing)
        : plans_(plans), spacing_(spacing), rules_(prefix), strings_(rules_) {}

    std::string write() {
        if (plans_.rank(plans_.root()) > schema_limits::nesting) {
            invalid_schema("", "every value would be nested more than 64 levels deep");
        }
        rules_.add(rules_.prefix(), value(plans_.root()));
        while (!jobs_.empty()) {
            const int id = jobs_.front();
            jobs_.pop_front();
            write_plan(values_[id], id);
        }
        return rules_.take();
    }

  private:
    std::string comma() { return spacing_ == Spacing::Compact ? "\",\"" : rules_.shared("\",\" \" \"?"); }

    std::string colon() { return spacing_ == Spacing::Compact ? "\":\"" : rules_.shared("\":\" \" \"?"); }

    // --- values ---

    // Returns the rule for the values of a plan, "" if it has none. Recursive schemas become recursive rules.
    std::string value(int id) {
        if (plans_.rank(id) >= SchemaPlans::impossible) {
            return "";
        }
        const auto [it, added] = values_.emplace(id, "");
        if (added) {
            it->second = rules_.fresh();
            jobs_.push_back(id);
        }
        return it->second;
    }

    void write_plan(const std::string & name, int id) {
        const Plan & plan = plans_.plan(id);
        if (plan.any) {
            rules_.add(name, any());
            return;
        }
        std::vector<std::string> all;
        const auto               take = [&](const std::string & alternative) {
            if (!alternative.empty()) {
                all.push_back(alternative);
            }
        };
        for (const ObjectPlan & o : plan.objects) {
            take(object(o));
        }
        for (const ArrayPlan & a : plan.arrays) {
            take(array(a));
        }
        for (const StringPlan & s : plan.strings) {
            take(strings_.string(s));
        }
        for (const NumberPlan & n : plan.numbers) {
            take(number(n.grammar));
        }
        if (!plan.values.empty()) {
            take(strings_.constants(plan.values));
        }
        rules_.add(name, choice(all));
    }

    std::string any() {
        ArrayPlan  array_of_any;
        ObjectPlan object_of_any;
        object_of_any.free = { { { StringPlan::at_least(1) }, SchemaPlans::any } };
        return choice({ "\"null\"", "\"true\"", "\"false\"", number(number_grammar({})),
                        strings_.string(StringPlan::at_least(0)), array(array_of_any), object(object_of_any) });
    }

    std::string number(const NumberGrammar & grammar) {
        std::string & known = numbers_[{ grammar.expression, grammar.rules }];
        if (!known.empty()) {
            return known;
        }
        const std::string mark = rules_.fresh() + "-";
        const auto        put  = [&](const std::string & text) {
            std::string out;
            for (const char c : text) {
                out += c == '@' ? mark : std::string(1, c);
            }
            return out;
        };
        for (const auto & [name, body] : grammar.rules) {
            rules_.add(mark + name, put(body));
        }
        return known = rules_.shared(put(grammar.expression));
    }

    // --- arrays ---

    std::string array(const ArrayPlan & plan) {
        if (plan.unique && is_ordered_subset(plans_, plan)) {
            return subset(plan);
        }
        std::vector<std::string> prefix;
        uint64_t                 max = plan.max.value_or(UINT64_MAX);
        for (size_t i = 0; i < plan.prefix.size() && i < max; i++) {
            const std::string name = value(plan.prefix[i]);
            if (name.empty()) {
                max = i;
                break;
            }
            prefix.push_back(name);
        }
        const std::string item = max > prefix.size() ? value(plan.items) : "";
        if (item.empty()) {
            max = std::min<uint64_t>(max, prefix.size());
        }
        if (plan.min > max) {
            return "";
        }
        return "\"[\" " + items_from(prefix, item, plan.min, max);
    }

    // Returns a bound for what follows the first n, nullopt if there is none.
    static std::optional<uint64_t> less(uint64_t max, uint64_t n) {
        return max == UINT64_MAX ? std::nullopt : std::optional<uint64_t>(max - n);
    }

    // Returns the text after "[", built from the last place to the first.
    std::string items_from(const std::vector<std::string> & prefix, const std::string & item, uint64_t min,
                           uint64_t max) {
        const uint64_t n    = prefix.size();
        std::string    rest = "\"]\"";
        if (max > n) {
            const std::string next = rules_.shared(comma() + " " + item);
            if (n > 0) {
                rest = rules_.repeat(next, min > n ? min - n : 0, less(max, n)) + " \"]\"";
            } else {
                const std::string more = rules_.repeat(next, min > 1 ? min - 1 : 0, less(max, 1));
                rest = item + (more.empty() ? "" : " " + more) + " \"]\"" + (min == 0 ? " | \"]\"" : "");
            }
        }
        for (uint64_t i = n; i-- > 0;) {
            rest = (i > 0 ? comma() + " " : "") + prefix[i] + " " + rules_.shared(rest) + (i >= min ? " | \"]\"" : "");
        }
        return rules_.shared(rest);
    }

    // A subset of the listed values in their order.
    std::string subset(const ArrayPlan & plan) {
        const std::vector<Json> values = *plans_.listed(plan.items);
        const uint64_t          max    = std::min<uint64_t>(plan.max.value_or(values.size()), values.size());
        if (plan.min > max) {
            return "";
        }
        // Items are counted only as far as a bound requires.
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
                next[n] = all.empty() ? "" : rules_.shared(choice(all));
            }
            rest = next;
        }
        return rest[0].empty() ? "" : "\"[\" " + rest[0];
    }

    // --- objects ---

    struct Entries {
        std::vector<std::string> rules;
        std::vector<bool>        required;
        std::vector<uint64_t>    required_from;  // the number of required ones from each entry on
        std::string              free;
        uint64_t                 min = 0, max = UINT64_MAX;  // UINT64_MAX: no limit
        bool                     counted = false;
    };

    std::string object(const ObjectPlan & plan) {
        Entries entries;
        for (const auto & p : plan.properties) {
            const std::string name = value(p.demands);
            if (name.empty() && p.required) {
                return "";
            }
            if (!name.empty()) {
                entries.rules.push_back(literal(Json(p.name).dump()) + " " + colon() + " " + name);
                entries.required.push_back(p.required);
            }
        }
        entries.free   = free_entries(plan);
        const size_t n = entries.rules.size();
        entries.required_from.assign(n + 1, 0);
        for (size_t i = n; i-- > 0;) {
            entries.required_from[i] = entries.required_from[i + 1] + entries.required[i];
        }
        const uint64_t most = entries.free.empty() ? n : UINT64_MAX;
        entries.min         = plan.min;
        entries.max         = std::min<uint64_t>(plan.max.value_or(UINT64_MAX), most);
        entries.counted     = plan.min > entries.required_from[0] || entries.max < most;
        if (entries.min > entries.max || entries.required_from[0] > entries.max) {
            return "";
        }
        const std::string rest = entries_from(entries);
        return rest.empty() ? "" : "\"{\" " + rest;
    }

    std::string free_entries(const ObjectPlan & plan) {
        std::vector<std::string> all;
        for (const auto & f : plan.free) {
            const std::string name = value(f.demands);
            for (const StringPlan & key : f.names) {
                if (!name.empty()) {
                    all.push_back(strings_.string(key) + " " + colon() + " " + name);
                }
            }
        }
        return all.empty() ? "" : rules_.shared(choice(all));
    }

    // Returns the text after "{", built from the last entry to the first for each number of entries before it.
    std::string entries_from(const Entries & e) {
        const size_t             total = e.rules.size();
        const uint64_t           most  = e.counted ? total : 1;  // numbers that are distinguished
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
                next[n] = all.empty() ? "" : rules_.shared(choice(all));
            }
            rest = next;
        }
        return rest[0];
    }

    // Returns the text behind n declared entries.
    std::string tail(const Entries & e, uint64_t n) {
        const uint64_t min = e.counted && e.min > n ? e.min - n : 0;
        const uint64_t max = e.free.empty() ? 0 : e.max == UINT64_MAX ? e.max : e.max - std::min(n, e.max);
        if (min > max) {
            return "";
        }
        if (max == 0) {
            return "\"}\"";
        }
        const std::string next = rules_.shared(comma() + " " + e.free);
        if (n > 0) {
            return rules_.shared(rules_.repeat(next, min, less(max, 0)) + " \"}\"");
        }
        const std::string more = rules_.repeat(next, min > 1 ? min - 1 : 0, less(max, 1));
        return rules_.shared(e.free + (more.empty() ? "" : " " + more) + " \"}\"" + (min == 0 ? " | \"}\"" : ""));
    }

    using NumberText = std::pair<std::string, std::vector<std::pair<std::string, std::string>>>;

    const SchemaPlans &               plans_;
    Spacing                           spacing_;
    GrammarRules                      rules_;
    StringRules                       strings_;
    std::map<int, std::string>        values_;  // the rules of plans
    std::map<NumberText, std::string> numbers_;
    std::deque<int>                   jobs_;  // the plans whose rules are still to be written
};

}  // namespace

std::string write_grammar(const SchemaPlans & plans, const std::string & prefix, Spacing spacing) {
    try {
        return Writer(plans, prefix, spacing).write();
    } catch (const GrammarRules::TooLarge &) {
        invalid_schema("", "its grammar would be larger than 512 KB: use smaller bounds or fewer alternatives");
    }
}

bool allows_too_much(const SchemaPlans & plans) {
    for (size_t i = 0; i < plans.size(); i++) {
        const Plan & plan = plans.plan(static_cast<int>(i));
        if (plans.rank(static_cast<int>(i)) >= SchemaPlans::impossible) {
            continue;
        }
        if (std::any_of(plan.strings.begin(), plan.strings.end(), [](const auto & s) { return !s.to_end.empty(); })) {
            return true;
        }
        for (const ArrayPlan & a : plan.arrays) {
            if (a.unique && !is_ordered_subset(plans, a) && a.max.value_or(2) > 1) {
                return true;
            }
            if ((a.items == SchemaPlans::any && a.max.value_or(UINT64_MAX) > a.prefix.size()) ||
                std::count(a.prefix.begin(), a.prefix.end(), SchemaPlans::any) > 0) {
                return true;
            }
        }
        for (const ObjectPlan & o : plan.objects) {
            if (!o.free.empty() || std::any_of(o.properties.begin(), o.properties.end(),
                                               [](const auto & p) { return p.demands == SchemaPlans::any; })) {
                return true;
            }
        }
    }
    return plans.root() == SchemaPlans::any;
}

}  // namespace luup
