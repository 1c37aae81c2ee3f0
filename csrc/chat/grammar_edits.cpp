#include "chat/grammar_edits.h"

#include "base/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>

namespace luup {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void replace_first(std::string & text, std::string_view from, std::string_view to) {
    const size_t at = text.find(from);
    if (at != std::string::npos) {
        text.replace(at, from.size(), to);
    }
}

// Replace each group without inner brackets between `before` and "))*". `make` returns the new text of the
// match from its content.
template <typename Make> void replace_groups(std::string & text, std::string_view before, const Make & make) {
    constexpr std::string_view after = "))*";
    std::string                out;
    size_t                     done = 0;
    for (size_t at = text.find(before); at != std::string::npos; at = text.find(before, at)) {
        const size_t begin = at + before.size();
        const size_t end   = text.find_first_of("()", begin);
        if (end == std::string::npos) {
            break;
        }
        if (text.compare(end, after.size(), after) != 0) {
            at++;
            continue;
        }
        out += text.substr(done, at - done);
        out += make(std::string_view(text).substr(begin, end - begin));
        done = at = end + after.size();
    }
    text = out + text.substr(done);
}

// Make the literal at the end of a rule required: `"text"?` becomes `"text"`.
void require_end(std::string & body) {
    if (!ends_with(body, "\"?")) {
        return;
    }
    const size_t end   = body.size() - 2;
    const size_t begin = end == 0 ? std::string::npos : body.rfind('"', end - 1);
    if (begin != std::string::npos && begin + 1 < end && body.find('\\', begin) == std::string::npos) {
        body.pop_back();
    }
}

// Return the start of the digits, at least one, that end at `end`; npos if there are none.
size_t digits_before(std::string_view text, size_t end) {
    size_t begin = end;
    while (begin > 0 && is_digit(text[begin - 1])) {
        begin--;
    }
    return begin < end ? begin : std::string_view::npos;
}

// Return where the free text at the end of an argument's rule begins, with the space before it: ` ac-12`,
// ` xml-arg-string` or ` until-3 "</parameter>"`. npos if the rule ends differently.
size_t find_free_text(std::string_view body) {
    constexpr std::string_view any = " xml-arg-string", machine = " ac-", until = " until-";
    if (ends_with(body, any)) {
        return body.size() - any.size();
    }
    size_t           end    = body.size();
    std::string_view prefix = machine;
    if (ends_with(body, "\"") && body.size() > 1) {
        const size_t quote = body.rfind('"', body.size() - 2);
        if (quote == std::string_view::npos || quote == 0 || body[quote - 1] != ' ') {
            return std::string_view::npos;
        }
        end    = quote - 1;
        prefix = until;
    }
    const size_t digits = digits_before(body, end);
    return digits != std::string_view::npos && ends_with(body.substr(0, digits), prefix) ? digits - prefix.size()
                                                                                         : std::string_view::npos;
}

}  // namespace

bool is_rule_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-';
}

std::string grammar_rule_name(const std::string & name) {
    std::string rule;
    bool        replaced = false;
    for (const char c : name) {
        const bool keep = is_rule_char(c);
        if (keep) {
            rule += c;
        } else if (!replaced) {
            rule += '-';
        }
        replaced = !keep;
    }
    return rule;
}

CallGrammar::CallGrammar(const std::string & gbnf) {
    constexpr std::string_view defines = " ::= ";
    const std::string_view     text    = gbnf;
    for (size_t begin = 0; begin < text.size();) {
        const size_t           end  = std::min(text.find('\n', begin), text.size());
        const std::string_view line = text.substr(begin, end - begin);
        const size_t           at   = line.find(defines);
        if (at != std::string_view::npos) {
            rules_[std::string(line.substr(0, at))] = line.substr(at + defines.size());
        }
        begin = end + 1;
    }
}

std::string CallGrammar::get(const std::string & name) const {
    const auto found = rules_.find(name);
    return found == rules_.end() ? "" : found->second;
}

void CallGrammar::rename(const std::string & from, const std::string & to) {
    rules_[to] = rules_[from];
    rules_.erase(from);
}

void CallGrammar::tighten(bool parallel) {
    set("space", "[ \\n]?");
    for (auto & [name, body] : rules_) {
        replace_first(body, "(tool-call? space)+", "(tool-call space)+");
        if (name.compare(0, 5, "tool-") == 0) {
            require_end(body);
        }
    }
    // Where each call has a tag of its own, a list within one tag would be a second way.
    const bool repeated = get("tool-calls") == "(tool-call space)+";
    if (repeated && has("tool-call")) {
        replace_groups(rules_["tool-call"], R"( (space "," space ()", [](std::string_view) { return ""; });
    }
    if (repeated && !parallel) {
        set("tool-calls", "tool-call space");
    }
}

void CallGrammar::tighten_ends() {
    if (!has("tool-call")) {
        return;
    }
    constexpr std::string_view from = R"() space "</)", to = R"() "</)";
    const std::string          body = get("tool-call");
    std::string                out;
    size_t                     done = 0;
    for (size_t at = body.find(from); at != std::string::npos; at = body.find(from, done)) {
        out.append(body, done, at - done).append(to);
        done = at + from.size();
    }
    set("tool-call", out + body.substr(done));
}

void CallGrammar::limit_repeats(const std::string & name, size_t n) {
    if (!has(name)) {
        return;
    }
    constexpr std::string_view before = "(space (";
    replace_groups(rules_[name], before, [&](std::string_view content) {
        const bool argument = content.find("-arg-") != std::string_view::npos;
        return std::string(before) + std::string(content) + (argument ? ")){0," + std::to_string(n) + "}" : "))*");
    });
}

void CallGrammar::restrict_argument(const std::string & name, const std::vector<std::string> & values,
                                    const CallGrammar & others) {
    const std::string body = get(name), other = others.get(name);
    const std::string schema = " " + name + "-schema ";
    const size_t      free = find_free_text(body), at = other.find(schema);
    if (values.empty() || free == std::string::npos || at == std::string::npos) {
        return;
    }
    std::string choice;
    for (const std::string & value : values) {
        choice += (choice.empty() ? "" : " | ") + nlohmann::json(value).dump();
    }
    set(name, body.substr(0, free) + " (" + choice + ") " + other.substr(at + schema.size()));
}

void CallGrammar::bind(const std::string & name, const Schema & schema) {
    if (!has(name)) {
        return;
    }
    const std::string start = "luup-" + std::to_string(bound_++);
    const CallGrammar ours(schema.grammar(start, Spacing::OneSpace));
    rules_.insert(ours.rules_.begin(), ours.rules_.end());
    set(name, start);
}

std::string CallGrammar::text() const {
    std::string out;
    for (const auto & [name, body] : rules_) {
        out += name + " ::= " + body + "\n";
    }
    return out;
}

}  // namespace luup
