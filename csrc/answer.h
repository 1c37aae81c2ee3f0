// One answer of the model: a completion whose tokens become reasoning, text and tool calls.
#pragma once

#include "engine.h"
#include "guide.h"
#include "text.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

struct common_chat_msg;

namespace luup {

// Splits the model's text, as it comes, into reasoning and answer.
class AnswerParser {
  public:
    explicit AnswerParser(std::shared_ptr<const common_chat_parser_params> params);
    ~AnswerParser();

    struct Delta {
        std::string reasoning;
        std::string text;
    };

    // What `piece` adds.
    Delta push(std::string_view piece);

    // What the end of the text adds.
    Delta finish();

  private:
    Delta parse(bool partial);

    std::shared_ptr<const common_chat_parser_params> params_;
    std::string                                      raw_;
    std::unique_ptr<common_chat_msg>                 seen_;
};

// What came of one turn of a model, local or remote.
struct AnswerResult {
    std::string           content, reasoning;
    std::string           raw;     // the whole text, calls as the model wrote them
    std::string           output;  // what a typed result is to be read from
    std::vector<ToolCall> calls;
    std::string           problem;            // why the calls can't be read; "" if they can
    bool                  has_calls = false;  // also of calls that can't be read
    bool                  bound     = false;  // it ends with something that is of no use when it is cut off

    std::optional<std::vector<Guide::Certainty>> certainties;  // of the output; none if they are not known
};

class Answer : public Completion {
  public:
    // What an answer tells while it comes; called from the engine's thread.
    class Listener {
      public:
        virtual ~Listener() = default;

        virtual void on_answer_progress(int32_t done, int32_t total)                                                          = 0;
        virtual void on_answer_text(const std::string & reasoning, const std::string & text)                                  = 0;
        virtual void on_answer_end(AnswerResult result, luup_finish_reason, const Failure & failure, const Metrics & metrics) = 0;
    };

    // `vocabulary` may be null if the plan needs none.
    Answer(std::shared_ptr<Listener> listener, const llama_vocab * vocab, std::shared_ptr<const Vocabulary> vocabulary, Prompt prompt, AnswerPlan plan,
           const Sampling & sampling);
    ~Answer() override;

    void on_progress(int32_t done, int32_t total) override;
    void choose(Sampler & sampler, float * logits, Choice & choice) override;
    bool on_token(llama_token token) override;
    void on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) override;

    // What came so far; of use after the end.
    AnswerResult result() const;

  private:
    bool bound() const { return guide_ && guide_->phase() != Guide::Phase::Free && guide_->phase() != Guide::Phase::Thinking; }
    bool has_calls() const { return guide_ && guide_->phase() == Guide::Phase::Call; }
    void tell(const AnswerParser::Delta & delta);
    void stream(const std::string & text);

    std::shared_ptr<Listener>       listener_;  // until the end
    const llama_vocab *             vocab_;
    std::unordered_set<llama_token> preserved_;
    std::optional<Guide>            guide_;
    Utf8Stream                      utf8_;
    StopFilter                      stop_;
    StopFilter                      trigger_;  // holds back what may become a call
    AnswerParser                    parser_;
    std::string                     content_, reasoning_;
    std::string                     blanks_;  // before the first text, not told yet
};

}  // namespace luup
