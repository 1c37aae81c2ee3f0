// A JSON Schema and an instance. What the schema's grammar lets a model write must be valid.
#include "schema/schema.h"

#include "grammar/constraint.h"
#include "target.h"

#include <nlohmann/json.hpp>
#include "vocabulary.h"

using namespace luup;

namespace {

// Writes an instance: the grammar's own text where there is no choice, else the next byte of `choices` that it allows.
std::string write_instance(Constraint & constraint, std::string_view choices) {
    std::string text;
    for (size_t i = 0; i < choices.size() && !constraint.must_end(); i++) {
        const std::string forced = constraint.forced();
        if (!forced.empty() && constraint.accept_text(forced)) {
            text += forced;
        }
        if (constraint.accept_text(choices.substr(i, 1))) {
            text += choices[i];
        }
    }
    return text;
}

}  // namespace

// schema, instance, choices
FUZZ_TARGET() {
    static const auto vocabulary = std::make_shared<const Vocabulary>(vocab());
    const auto        parts      = split(input, 3);
    const auto        schema     = Schema::compile(std::string(parts[0]));
    const auto        instance   = nlohmann::ordered_json::parse(parts[1], nullptr, false);
    if (!instance.is_discarded()) {
        schema->validate(instance);
    }
    schema->choices(std::string(parts[1]));
    const auto        grammar = Grammar::parse(schema->grammar("root", Spacing::Compact), vocab());
    Constraint        constraint(vocabulary, grammar, {}, schema);
    const std::string text = write_instance(constraint, parts[2]);
    if (constraint.can_end()) {
        const auto value   = nlohmann::ordered_json::parse(text);
        const auto problem = schema->validate(value);
        if (!problem.empty()) {
            std::fprintf(stderr, "%s\n%s\n", text.c_str(), problem.c_str());
        }
        MUST(problem.empty());
    }
}
