// One answer of a local model: a completion whose tokens become reasoning, text and tool calls.
#pragma once

#include "answer/guide.h"
#include "answer/stop_filter.h"
#include "base/text.h"
#include "engine/completion.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

struct common_chat_msg;

namespace luup {

// Splits the model's text, piece by piece, into reasoning and answer.
class AnswerParser {
  public:
    // With null everything is answer.
    explicit AnswerParser(std::shared_ptr<const common_chat_parser_params> params);
    ~AnswerParser();

    struct Delta {
        std::string reasoning;
        std::string text;
    };

    // Returns what `piece` adds.
    Delta push(std::string_view piece);

    // Returns what the end of the text adds.
    Delta finish();

  private:
    Delta parse(bool partial);

    std::shared_ptr<const common_chat_parser_params> params_;
    std::string                                      raw_;
    std::unique_ptr<common_chat_msg>                 seen_;
};

// The result of one turn of a model, local or remote.
struct AnswerResult {
    std::string           content, reasoning;
    std::string           raw;     // the whole text, with the calls as the model wrote them
    std::string           output;  // the part that a typed result is parsed from
    std::string           extra;   // of a remote answer: see Message::extra
    std::vector<ToolCall> calls;
    std::string           problem;            // why the calls can't be parsed; "" if they can
    bool                  has_calls = false;  // true also if they can't be parsed
    bool                  bound     = false;  // it ends with calls or an output, which are useless when cut off

    std::optional<std::vector<Guide::Certainty>> certainties;  // of the output; nullopt if unknown
    std::vector<std::string>                     decisions;    // see Guide::decisions()
};

class Answer : public Completion {
  public:
    // Receives an answer while it is written. The engine's thread calls it for a local model, the thread that pushes
    // chunks for a remote one. on_answer_end() is called exactly once, last.
    class Listener {
      public:
        virtual ~Listener() = default;

        virtual void on_answer_progress(int32_t done, int32_t total) = 0;
        // `tokens`: those of the answer so far, as Metrics counts them; 0 if only the server knows.
        virtual void on_answer_text(const std::string & reasoning, const std::string & text, int32_t tokens) = 0;
        // The probabilities of the tokens whose text comes with the next on_answer_text(): JSON objects joined by
        // commas.
        virtual void on_answer_logprobs(const std::string & entries) { (void) entries; }
        virtual void on_answer_end(AnswerResult result, luup_finish_reason, const Failure & failure,
                                   const Metrics & metrics) = 0;
    };

    // `vocabulary` may be null if the plan needs none.
    Answer(std::shared_ptr<Listener> listener, const llama_vocab * vocab, std::shared_ptr<const Vocabulary> vocabulary,
           Prompt prompt, AnswerPlan plan, const Sampling & sampling);
    ~Answer() override;

    void on_progress(int32_t done, int32_t total) override;
    void choose(Sampler & sampler, float * logits, Choice & choice) override;
    void on_probabilities(const TokenProbabilities & probabilities) override;
    bool on_token(llama_token token) override;
    void on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) override;

    // Ends the model's thoughts, if it thinks. From any thread.
    void stop_thinking() {
        if (guide_) {
            guide_->stop_thinking();
        }
    }

    // Returns the answer so far. The calls are complete only after the end.
    AnswerResult result() const;

  private:
    bool bound() const { return guide_ && guide_->bound(); }
    bool has_calls() const { return guide_ && guide_->in_call(); }
    void emit(const AnswerParser::Delta & delta);
    void stream(const std::string & text);
    void finish_text();
    void keep_probabilities(llama_token token);

    std::shared_ptr<Listener>       listener_;  // until the end
    const llama_vocab *             vocab_;
    std::unordered_set<llama_token> preserved_;
    std::optional<Guide>            guide_;
    Utf8Stream                      utf8_;
    StopFilter                      stop_;
    StopFilter                      trigger_;  // holds back text that may become a call
    AnswerParser                    parser_;
    std::string                     content_, reasoning_;
    std::string                     raw_;  // without a guide: all that the model wrote
    std::string                     may_think_;  // a text that may begin thoughts that are left out
    std::string                     blanks_;  // white space before the first text, not emitted yet
    std::string                     probabilities_;  // JSON, of the next token
    std::string                     held_probabilities_;  // of tokens whose text is not emitted yet
    int32_t                         tokens_ = 0;  // of the answer so far
};

}  // namespace luup
