// A typed output: what an answer has to be, JSON of a schema or a plain text, and its description for the model.
#pragma once

#include "chat/message.h"
#include "grammar/grammar.h"
#include "schema/plain_text.h"
#include "schema/schema.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

struct llama_vocab;

namespace luup {

// The form of an output.
struct OutputSource {
    enum class Kind {
        Schema,   // JSON of the JSON Schema `text`
        Pattern,  // text that the regular expression `text` matches as a whole
        Grammar,  // text of the GBNF grammar `text`
        Choices,  // one of the texts in the JSON array `text`
    };

    Kind        kind = Kind::Schema;
    std::string text;

    // Names the source in caches.
    std::string key() const { return std::to_string(static_cast<int>(kind)) + text; }
};

struct OutputFormat {
    OutputSource                   source;
    std::shared_ptr<const Schema>  schema;   // null for plain text
    std::shared_ptr<const Grammar> grammar;  // of JSON without white space, or of the text; null for remote models
    std::optional<TextPattern>     pattern;
    std::shared_ptr<const Grammar> notation;  // the caller's grammar
    std::vector<std::string>       choices;
    std::string                    description;  // in the prompt, behind "Answer with "

    // Whether the answer is one of few values, whose probability is known.
    bool is_choice() const { return !choices.empty(); }

    // Returns "" if `output` is what was asked for, else why it is not. Removes white space around a plain text that is
    // right without it.
    std::string problem(std::string & output) const;
};

// `vocab` is null for remote models. Throws Error(LUUP_ERROR_JSON_PARSE_FAILED), Error(LUUP_ERROR_INVALID_SCHEMA) or,
// for a list of choices that is wrong, Error(LUUP_ERROR_INVALID_PARAM).
std::shared_ptr<const OutputFormat> make_output_format(const OutputSource & source, const llama_vocab * vocab);

// Appends the description to the last message of the user.
void describe_output(std::vector<Message> & messages, const OutputFormat & format);

}  // namespace luup
