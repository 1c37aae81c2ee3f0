// Schemas compiled for a model, kept for every later agent with the same tools or output types.
#pragma once

#include "answer/output.h"
#include "base/recent.h"
#include "chat/tools.h"

#include <memory>
#include <string>

namespace luup {

// Thread-safe.
class Compiled {
  public:
    SchemaCache & tool_schemas() { return tool_schemas_; }

    // As make_output_format(), with the model's `vocab`; without, while the model is unloaded.
    std::shared_ptr<const OutputFormat> output(const OutputSource & source, const llama_vocab * vocab) {
        return outputs_.get((vocab ? "" : "-") + source.key(), [&] { return make_output_format(source, vocab); });
    }

  private:
    SchemaCache          tool_schemas_{ 256 };
    Recent<OutputFormat> outputs_{ 16 };  // few: the states of a grammar may hold megabytes
};

}  // namespace luup
