#include "agent/server_step.h"

#include <utility>
#include <vector>

namespace luup {

void ServerStep::force(TurnRequest & request, bool typed) {
    const std::string & choice = request.tool_choice;
    if (!typed || request.tools->empty() || choice == "auto" || choice == "none") {
        forced_.reset();
    } else if (!forced_) {
        forced_.emplace(request.tools, choice);
    } else if (forced_->insists()) {
        request.output = forced_->ask(request.messages);
        request.tools  = std::make_shared<const ToolSet>(std::vector<Tool>());
    }
}

bool ServerStep::accept(AnswerResult & answer, luup_finish_reason reason) {
    if (!forced_) {
        return true;
    }
    const bool insisted = forced_->insists();
    const bool cut      = insisted && reason == LUUP_FINISH_LENGTH;
    answer.bound        = answer.bound || insisted;
    answer.has_calls    = answer.has_calls || cut;
    if (answer.has_calls || (insisted && forced_->take(answer))) {
        return true;
    }
    forced_->insist();
    return false;
}

std::string ServerStep::held_text(const AnswerResult & answer) const {
    return forced_ && !forced_->insists() ? answer.content : "";
}

void ServerStep::open(std::shared_ptr<ChatCompletionStream> answer) {
    answer_ = std::move(answer);
    taken_  = false;
}

void ServerStep::reset() {
    answer_.reset();
    forced_.reset();
}

}  // namespace luup
