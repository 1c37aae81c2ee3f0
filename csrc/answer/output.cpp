#include "answer/output.h"

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

#include <algorithm>
#include <set>

namespace luup {

namespace {

// A longer description is left out of the prompt: the grammar enforces it anyway, and the context has better uses.
constexpr size_t longest_description = 4000;  // bytes

constexpr size_t most_choices  = 1024;
constexpr size_t longest_shown = 200;  // bytes of a wrong answer

std::vector<std::string> read_choices(const std::string & text) {
    const Json list = read_json(text, "output_choices");
    if (!list.is_array() || list.empty() || list.size() > most_choices) {
        fail(LUUP_ERROR_INVALID_PARAM, "output_choices must be a JSON array of 1 to %zu texts", most_choices);
    }
    std::vector<std::string> choices;
    std::set<std::string>    seen;
    for (size_t i = 0; i < list.size(); i++) {
        if (!list[i].is_string()) {
            fail(LUUP_ERROR_INVALID_PARAM, "output_choices[%zu] must be a text, not %s", i, list[i].type_name());
        }
        const std::string choice = list[i].get<std::string>();
        if (choice.empty() || choice.find('\0') != std::string::npos) {
            fail(LUUP_ERROR_INVALID_PARAM, "output_choices[%zu] %s", i,
                 choice.empty() ? "is empty" : "contains a zero byte");
        }
        if (!seen.insert(choice).second) {
            fail(LUUP_ERROR_INVALID_PARAM, "output_choices[%zu] repeats an earlier text: %s", i,
                 Json(choice).dump().c_str());
        }
        choices.push_back(choice);
    }
    return choices;
}

std::string list_of(const std::vector<std::string> & choices) {
    std::string list;
    for (const std::string & choice : choices) {
        list += "\n- " + choice;
    }
    return list;
}

std::string without_space(const std::string & text) {
    size_t begin = 0, end = text.size();
    while (begin < end && is_json_space(text[begin])) {
        begin++;
    }
    while (end > begin && is_json_space(text[end - 1])) {
        end--;
    }
    return text.substr(begin, end - begin);
}

std::string shown(const std::string & text) {
    return Json(text.size() > longest_shown ? text.substr(0, utf8_prefix(text, longest_shown)) + "..." : text)
        .dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Whether a plain text is what was asked for.
bool fits(const OutputFormat & format, const std::string & text) {
    switch (format.source.kind) {
        case OutputSource::Kind::Pattern: return format.pattern->matches(text);
        case OutputSource::Kind::Grammar: return format.notation->matches(text);
        default: return std::find(format.choices.begin(), format.choices.end(), text) != format.choices.end();
    }
}

std::string schema_problem(const Schema & schema, const std::string & output) {
    std::string problem;
    const Json  value = try_read_json(output, &problem);
    return value.is_discarded() ? "the answer " + problem : schema.validate(value);
}

}  // namespace

std::string OutputFormat::problem(std::string & output) const {
    if (schema) {
        return schema_problem(*schema, output);
    }
    if (fits(*this, output)) {
        return "";
    }
    const std::string bare = without_space(output);
    if (fits(*this, bare)) {
        output = bare;
        return "";
    }
    switch (source.kind) {
        case OutputSource::Kind::Pattern:
            return "the whole answer must match the regular expression " + source.text + ", and it is " + shown(output);
        case OutputSource::Kind::Grammar: return "the answer does not follow the grammar: " + shown(output);
        default: return "the answer must be exactly one of the given texts, and it is " + shown(output);
    }
}

std::shared_ptr<const OutputFormat> make_output_format(const OutputSource & source, const llama_vocab * vocab) {
    auto format    = std::make_shared<OutputFormat>();
    format->source = source;
    std::string gbnf;
    switch (source.kind) {
        case OutputSource::Kind::Schema:
            format->schema      = Schema::compile(source.text);
            format->description = "JSON of this schema, and nothing else: " + format->schema->prompt_text();
            gbnf = vocab ? format->schema->grammar("output", Spacing::Compact) + "\nroot ::= output\n" : "";
            break;
        case OutputSource::Kind::Pattern:
            format->pattern.emplace(source.text);
            format->description =
                "a text that this regular expression matches as a whole, and nothing else: " + source.text;
            gbnf = vocab ? format->pattern->grammar() : "";
            break;
        case OutputSource::Kind::Grammar:
            format->notation    = Grammar::parse(source.text, vocab);
            format->grammar     = vocab ? format->notation : nullptr;
            format->description = "a text of this grammar (GBNF), and nothing else:\n" + source.text;
            break;
        case OutputSource::Kind::Choices:
            format->choices     = read_choices(source.text);
            format->description = "exactly one of these texts, and nothing else:" + list_of(format->choices);
            gbnf                = vocab ? choice_grammar(format->choices) : "";
            break;
    }
    if (!gbnf.empty()) {
        format->grammar = Grammar::parse(gbnf, vocab);
    }
    return format;
}

void describe_output(std::vector<Message> & messages, const OutputFormat & format) {
    const auto last =
        std::find_if(messages.rbegin(), messages.rend(), [](const Message & m) { return m.role == "user"; });
    if (last != messages.rend() && format.description.size() <= longest_description) {
        last->content += "\n\nAnswer with " + format.description;
    }
}

}  // namespace luup
