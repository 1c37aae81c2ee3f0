// A chat template's own format for tool calls, as llama.cpp's analysis finds it.
#pragma once

#include "chat/tool_format.h"
#include "chat/tools.h"

#include "llama.h"

#include <memory>
#include <string>
#include <vector>

struct common_chat_templates;

namespace luup {

// Properties of a format that llama.cpp's analysis does not find.
struct FormatTraits {
    std::string              prelude;             // markers that the template writes before the first call
    std::vector<std::string> controls;            // the names of the template's control tokens
    bool                     tight_ends = false;  // no white space before the tag that ends a call
};

// Return the template's format for calls of `tools`; null if llama.cpp finds none. The returned format is new. Throws
// Error, this thread's interruption too, or std::exception if the template fails.
std::shared_ptr<ToolFormat> native_format(const common_chat_templates * templates, const ToolSet & tools, bool parallel,
                                          const FormatTraits & traits, const llama_vocab * vocab);

}  // namespace luup
