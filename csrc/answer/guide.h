// Steers one answer: lets the model think, decides between text and tool calls, and binds what a grammar has to bind.
#pragma once

#include "answer/endless.h"
#include "answer/plan.h"
#include "answer/proposed_call.h"
#include "answer/thoughts.h"
#include "engine/completion.h"
#include "engine/sampler.h"
#include "grammar/constraint.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// A state machine over the tokens of an answer. The engine's thread drives it.
class Guide {
  public:
    // The part of the answer that the model is writing, and the states that may follow:
    //
    //   Undecided      Nothing is decided yet; the guide decides by the next logits.
    //                  -> Thinking, ProposedCall, Call, OutputOpening, OutputNext, Output, Text
    //   Thinking       -> ThoughtsEnded; Text if what began like thoughts goes on as something else
    //   ThoughtsEnded  The template's text after thoughts comes next, if something has to come.
    //                  -> Undecided; CallInText if a call begins right behind the thoughts
    //   Text           Free text. -> CallInText; Thinking if its first token may begin thoughts
    //   ProposedCall   A call bound by its grammar, and judged with each token.
    //                  -> Undecided if it is retracted; Call or ProposedCall if it is accepted
    //   Call           Calls bound by their grammar that are not judged. None of their text was shown. -> the end
    //   CallInText     The same, but begun in the middle of a text. -> the end
    //   OutputOpening  A part of the template's text before the output is written. Thoughts or a call may share it.
    //                  -> Thinking, CallInText, OutputNext
    //   OutputNext     The whole of that text is written. -> Output
    //   Output         The output, bound by its grammar. -> the end
    enum class State {
        Undecided,
        Thinking,
        ThoughtsEnded,
        Text,
        ProposedCall,
        Call,
        CallInText,
        OutputOpening,
        OutputNext,
        Output
    };

    Guide(AnswerPlan plan, std::shared_ptr<const Vocabulary> vocabulary);
    Guide(const Guide &)             = delete;
    Guide & operator=(const Guide &) = delete;

    // Chooses the next tokens, or how many of the last ones to retract.
    void next(Sampler & sampler, float * logits, Completion::Choice & choice);

    State state() const { return state_; }

    // Whether the answer, behind the thoughts, has not begun yet.
    bool before_answer() const;

    // Whether the thoughts that the model begins are left out: they may not go on, so they are only markers.
    bool hides_thoughts() const {
        return plan_.thinking.max_tokens == 0 && !plan_.thinking.texts.open &&
               plan_.opening.after_thoughts.text.empty();
    }

    // The tokens of the thoughts so far.
    int32_t thought_tokens() const { return thoughts_.tokens(); }

    // Ends the thoughts with the next token; does nothing if the model does not think. From any thread.
    void stop_thinking() { stop_thinking_.store(true, std::memory_order_relaxed); }

    bool in_call() const {
        return state_ == State::ProposedCall || state_ == State::Call || state_ == State::CallInText;
    }

    // Whether a grammar binds the answer from bound_begin() on.
    bool bound() const { return in_call() || state_ == State::Output; }

    // The whole text so far, the names of the format's markers included, and where its bound part begins.
    const std::string & text() const { return text_; }
    size_t              bound_begin() const { return bound_begin_; }

    // The calls so far. Throws std::exception if they don't parse.
    std::vector<ToolCall> calls() const;

    // With OutputPlan::confidence: how probable the tokens of the output were among those that the grammar allowed.
    struct Certainty {
        size_t begin, end;  // bytes of the output
        double log_probability;
    };
    const std::vector<Certainty> & certainties() const { return certainties_; }

    // Why the answer became what it is, step by step, in English: for people who debug.
    std::vector<std::string> decisions() const;

  private:
    using Tokens = std::vector<llama_token>;

    const Tokens & opening() const { return plan_.calls.format ? plan_.calls.format->opening_tokens : no_tokens_; }
    const Tokens & markers() const { return plan_.calls.format ? plan_.calls.format->marker_tokens : no_tokens_; }
    bool           likeliest(const float * logits, llama_token token) const;

    // Decisions (guide.cpp).
    void choose(Sampler & sampler, float * logits, Completion::Choice & choice);
    void decide(const float * logits, Completion::Choice & choice);
    bool begin_thoughts(const float * logits, Completion::Choice & choice);
    void open_output(const float * logits, Completion::Choice & choice);
    void dictate(const Tokens & tokens, size_t from, size_t to, Completion::Choice & choice);
    void bind(State state, const std::shared_ptr<const Grammar> & grammar);
    void end_answer(Completion::Choice & choice) const;

    // The next token (guide.cpp).
    void              sample_free(Sampler & sampler, float * logits, Completion::Choice & choice);
    void              sample_bound(Sampler & sampler, float * logits, Completion::Choice & choice);
    void              follow(llama_token token);
    std::string       watch(const Tokens & tokens, size_t begin);
    [[noreturn]] void fail_endless(const std::string & reason) const;
    void              think_on(llama_token token, Tokens & tokens);
    void              end_thoughts(Tokens & tokens);
    void              forbid_ends(float * logits) const;
    void              note_certainty(llama_token token, const std::vector<float> & logits, const Tokens & allowed);

    // Calls (guide_calls.cpp).
    bool decide_call(const float * logits, Completion::Choice & choice);
    void begin_call(Completion::Choice & choice);
    void propose_call(ProposedCall::AcceptIf accept_if, double start, Completion::Choice & choice);
    void look_for_call();
    void sample_call(Sampler & sampler, float * logits, Completion::Choice & choice);
    void judge(Completion::Choice & choice, const std::string & endless);
    bool is_too_long(size_t proposed) const;
    bool accept();
    void propose_another(Completion::Choice & choice);
    void retract(const std::string & reason, Completion::Choice & choice);

    const AnswerPlan                        plan_;
    const std::shared_ptr<const Vocabulary> vocabulary_;
    const Tokens                            no_tokens_;
    State                                   state_;
    Thoughts                                thoughts_;
    std::string                             text_;
    size_t                                  bound_begin_ = 0;
    std::optional<Constraint>               constraint_;  // while the answer is bound
    EndlessWatch                            endless_;     // of the bound part
    std::optional<ProposedCall>             proposed_;    // in State::ProposedCall
    AcceptedCalls                           accepted_;
    bool                                    closed_        = false;  // the thoughts were ended for the model
    size_t                                  answer_begin_  = 0;      // in text_, once the thoughts have ended
    bool                                    refused_       = false;  // a call was retracted: text follows, and no call
    size_t                                  opened_        = 0;  // tokens of the output's opening that are written
    size_t                                  opening_begin_ = 0;  // where they begin in text_
    std::deque<llama_token>                 later_;  // chosen tokens that wait for those before them to be decoded
    std::vector<Certainty>                  certainties_;
    std::vector<std::string>                decisions_;
    size_t                                  forced_tokens_ = 0;  // those that the grammar left no choice about
    std::atomic<bool>                       stop_thinking_{ false };
};

}  // namespace luup
