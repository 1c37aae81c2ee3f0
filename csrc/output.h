// A typed output: the schema that an answer is held to, and how the model hears of it.
#pragma once

#include "grammar.h"
#include "message.h"
#include "schema.h"

#include <memory>
#include <string>
#include <vector>

struct llama_vocab;

namespace luup {

struct OutputFormat {
    std::shared_ptr<const Schema>  schema;
    std::shared_ptr<const Grammar> grammar;  // JSON without white space; null without a vocabulary
    std::string                    description;  // the schema as the model is told it
};

// `vocab` is null for models that are not local. Throws Error(LUUP_ERROR_JSON_PARSE_FAILED) or (LUUP_ERROR_INVALID_SCHEMA).
std::shared_ptr<const OutputFormat> make_output_format(const std::string & schema, const llama_vocab * vocab);

// Tells the model, in the last message of the user, what the answer has to look like.
void describe_output(std::vector<Message> & messages, const OutputFormat & format);

}  // namespace luup
