// A chat template's own program, run for the prompt alone: llama-common analyses the whole template each time it applies it, which
// takes fifty times as long.
#pragma once

#include "llama.h"

#include "common/chat.h"

#include <map>
#include <string>

namespace luup {

// Not for several threads at once.
class PromptProgram {
  public:
    // `templates` must live as long as this. Throws std::exception if the template does not parse.
    PromptProgram(const common_chat_templates * templates, const llama_vocab * vocab);

    // What common_chat_templates_apply() gives, for inputs whose tool_choice is NONE and that have neither a grammar, nor a schema, nor
    // arguments of their own for the template. What does not depend on the messages is kept from the first time. Throws std::exception.
    common_chat_params apply(const common_chat_templates_inputs & inputs);

  private:
    bool        has_handler() const;
    std::string run(const common_chat_templates_inputs & inputs) const;

    const common_chat_templates *             templates_;
    common_chat_template                      template_;
    bool                                      add_bos_, add_eos_;
    bool                                      alone_ = false;  // the program makes the prompt without help
    std::map<std::string, common_chat_params> kept_;           // by tools and by whether an answer begins; without the prompt
};

}  // namespace luup
