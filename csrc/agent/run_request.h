// The request that a run answers.
#pragma once

#include "answer/output.h"
#include "chat/message.h"
#include "chat/tools.h"
#include "engine/sampler.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace luup {

struct RunRequest {
    std::optional<Message>              message;  // enters the history before the answer; none: answer the history
    Sampling                            sampling;
    int64_t                             timeout_ms = -1;          // -1: no timeout
    std::shared_ptr<const ToolSet>      tools;                    // null: the agent's, which begin_run() fills in
    std::string                         tool_choice    = "auto";  // or "required", "none", a tool's name
    bool                                parallel_calls = true;
    int32_t                             priority       = 0;  // higher first
    int32_t                             max_turns      = 16;
    std::shared_ptr<const OutputFormat> output;              // null: free text
    bool                                review         = false;
    int32_t                             output_retries = 1;
    bool                                confidence     = false;
    bool                                keep_on_error  = false;  // a run that fails enters the history too
    bool                                record_prompts = false;  // keep the prompt of each turn
    std::vector<std::string>            choices;  // score these instead of generating an answer
    std::optional<std::string>          system_prompt;  // none: the agent's, which begin_run() fills in
    std::optional<std::vector<Message>> history;        // what the model reads in place of the agent's history
    bool                                raw_prompt = false;  // the message is the whole prompt, without the template

    // Throws Error(LUUP_ERROR_INVALID_PARAM) for a value out of its range.
    void check() const;
};

}  // namespace luup
