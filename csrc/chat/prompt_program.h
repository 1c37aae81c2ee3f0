// Runs a chat template's Jinja program for the prompt alone. llama-common analyses the whole template each time it
// applies it, which takes fifty times as long.
#pragma once

#include "llama.h"

#include "common/chat.h"

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>

namespace luup {

// All methods may be called from any thread.
class PromptProgram {
  public:
    // `templates` must live as long as this. Throws std::exception if the template does not parse.
    PromptProgram(const common_chat_templates * templates, const llama_vocab * vocab);

    // Return the result of common_chat_templates_apply(). For inputs with tool_choice NONE and without a grammar or a
    // schema. Results that do not depend on the messages are kept. Throws std::exception.
    common_chat_params apply(const common_chat_templates_inputs & inputs);

  private:
    bool                              has_handler() const;
    std::string                       run(const common_chat_templates_inputs & inputs) const;
    std::optional<common_chat_params> kept(const std::string & key) const;
    void                              keep(const std::string & key, common_chat_params params);

    const common_chat_templates *             templates_;
    common_chat_template                      template_;
    bool                                      add_bos_, add_eos_;
    std::atomic<bool>                         alone_{ false };  // the program alone makes llama-common's prompt
    std::map<std::string, common_chat_params> kept_;  // by tools, arguments and open answer; without the prompt
    mutable std::mutex                        mutex_;  // of kept_; not held while a template runs
};

}  // namespace luup
