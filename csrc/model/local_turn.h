// A turn that a model in this process answers: the prompt, the plan of the answer, and what the engine gets of it.
#pragma once

#include "chat/template.h"
#include "engine/engine.h"
#include "answer/plan.h"
#include "model/compiled.h"
#include "model/turn.h"
#include "tokens/vocabulary.h"

#include <functional>
#include <memory>
#include <vector>

namespace luup {

// The parts of a local model that a turn uses.
struct LocalParts {
    const ChatTemplate &                               chat;
    Engine &                                           engine;
    const llama_vocab *                                vocab;
    Compiled &                                         compiled;
    std::function<std::shared_ptr<const Vocabulary>()> vocabulary;
    MediaEncoder *                                     encoder = nullptr;  // null: the model reads text alone
};

class LocalTurn : public ModelTurn {
  public:
    // Renders the prompt. Throws Error.
    LocalTurn(LocalParts model, TurnRequest request);

    size_t     prompt_tokens() const override { return prompt_tokens_; }
    TurnPrompt prompt() const override;
    void       make_answer(std::shared_ptr<TurnListener> listener) override;
    void       start(bool & admitted) override;
    void       cancel() override;
    void       stop_thinking() override;
    size_t     submitted_tokens() const override;

  private:
    AnswerPlan make_plan();
    int32_t    thinking_budget(size_t end) const;
    void       score_choices(const std::shared_ptr<TurnListener> & listener);
    void       add_media(std::vector<MediaSpan> media);

    const LocalParts                         model_;
    TurnRequest                              request_;
    Prompt                                   prompt_;  // until make_answer()
    size_t                                   prompt_tokens_;
    AdapterSet                               adapters_ = 0;
    std::shared_ptr<Answer>                  answer_;        // null: choices are scored
    std::vector<std::shared_ptr<Completion>> completions_;  // the answer, or the scores of choices
};

}  // namespace luup
