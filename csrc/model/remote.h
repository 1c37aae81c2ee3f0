// A model behind an OpenAI-compatible server. The host moves the bytes.
#pragma once

#include "answer/chat_completions.h"
#include "model/model.h"

#include <memory>
#include <string>
#include <vector>

namespace luup {

class RemoteModel : public SingleModel {
  public:
    explicit RemoteModel(std::unique_ptr<ChatCompletions> server);
    ~RemoteModel() override;

    // Throws Error(LUUP_ERROR_UNSUPPORTED) for choices: a server does not score them.
    std::shared_ptr<ModelTurn> prepare(TurnRequest request) override;
    int32_t                    context_size() const override;
    size_t                     count_tokens(const std::string & text) const override;
    std::optional<size_t> prompt_size(const std::vector<Message> &, const ToolSet &, const Reasoning &) const override {
        return {};
    }
    void check(Sampling sampling) const override;
    bool types_forced_calls() const override { return server_->takes_format(); }

  private:
    void shut_down(std::unique_lock<std::shared_mutex> & lock) override;

    std::unique_ptr<ChatCompletions> server_;
};

}  // namespace luup
