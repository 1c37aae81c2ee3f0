#include "output.h"

#include <algorithm>

namespace luup {

namespace {

// A longer schema is not told to the model: the grammar holds it anyway, and the context has better uses.
constexpr size_t longest_description = 4000;

}  // namespace

std::shared_ptr<const OutputFormat> make_output_format(const std::string & schema, const llama_vocab * vocab) {
    auto format    = std::make_shared<OutputFormat>();
    format->schema = Schema::compile(schema);
    if (vocab) {
        format->grammar = Grammar::parse(format->schema->grammar("output", Spacing::Compact) + "\nroot ::= output\n", vocab);
    }
    format->description = format->schema->text();
    return format;
}

void describe_output(std::vector<Message> & messages, const OutputFormat & format) {
    const auto last = std::find_if(messages.rbegin(), messages.rend(), [](const Message & m) { return m.role == "user"; });
    if (last != messages.rend() && format.description.size() <= longest_description) {
        last->content += "\n\nAnswer with JSON of this schema, and nothing else: " + format.description;
    }
}

}  // namespace luup
