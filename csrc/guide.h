// Steers one answer: lets the model think, decides between text and tool calls, and binds what has to be bound.
#pragma once

#include "chat.h"
#include "constraint.h"
#include "engine.h"
#include "proposal.h"
#include "sampler.h"
#include "tool_format.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace luup {

// What an answer may be.
struct AnswerPlan {
    enum class Calls { None,
                       Auto,
                       Required };

    Calls                             calls = Calls::None;
    std::shared_ptr<const ToolFormat> format;  // unless None
    std::shared_ptr<const Grammar>    output;  // what an answer without calls is held to; null: nothing
    std::shared_ptr<const Schema>     schema;  // that `output` was made from
    Thinking                          thinking;
    std::vector<llama_token>          think_start;  // the tokens of thinking.start
    std::vector<llama_token>          think_end;    // of the first of thinking.ends
    AnswerOpening                     opening;            // what comes before an answer that `output` binds
    int32_t                           max_thinking = -1;  // tokens; -1 = no limit
    int32_t                           max_proposal = -1;  // tokens of a call that is only proposed; -1 = no limit
    bool                              confidence   = false;
    bool                              parallel     = false;  // there may be more than one call
    bool                              native       = false;  // the format is the template's
    bool                              jump_forward = true;   // what the grammar dictates is decoded in one batch
    std::shared_ptr<const ToolSet>    tools;     // that may be called
    std::shared_ptr<const Grounding>  given;     // what the user and the tools said
    std::vector<ToolCall>             made;      // by this run already

    bool needed() const { return calls != Calls::None || output; }
};

class Guide {
  public:
    enum class Phase { Free,
                       Thinking,
                       Call,
                       Output };

    Guide(AnswerPlan plan, std::shared_ptr<const Vocabulary> vocabulary);

    // What follows now. The engine's thread.
    void next(Sampler & sampler, float * logits, Completion::Choice & choice);

    Phase phase() const { return phase_; }

    // The call was begun by a decision here and not in the middle of a text.
    bool proposed() const { return proposal_.has_value() || began_with_call_; }

    // The whole text so far, the names of the format's markers included, and where its bound part begins.
    const std::string & text() const { return text_; }
    size_t              bound_begin() const { return bound_begin_; }

    // The calls so far. Throws std::exception if they don't parse.
    std::vector<ToolCall> calls() const;

    // For Phase::Output with `confidence`: how probable the tokens were among those that were allowed.
    struct Certainty {
        size_t begin, end;  // bytes of the output
        double log_probability;
    };
    const std::vector<Certainty> & certainties() const { return certainties_; }

  private:
    using Tokens = std::vector<llama_token>;

    // How probable it is that a call begins: with the format's marker, or with anything that looks like one.
    struct CallShare {
        double marker, any;
    };

    const Tokens & opening() const { return plan_.format ? plan_.format->opening_tokens : no_tokens_; }
    const Tokens & markers() const { return plan_.format ? plan_.format->marker_tokens : no_tokens_; }

    // Whether something has to come that is not up to the model.
    bool must_come() const { return plan_.output || plan_.calls == AnswerPlan::Calls::Required; }

    void        choose(Sampler & sampler, float * logits, Completion::Choice & choice);
    void        decide(const float * logits, Completion::Choice & choice);
    bool        begin_thoughts(const float * logits, Completion::Choice & choice);
    void        open_output(const float * logits, Completion::Choice & choice);
    bool        strays() const;
    void        dictate(const Tokens & tokens, size_t from, size_t to, Completion::Choice & choice);
    void        begin_call(Completion::Choice & choice, std::optional<double> start);
    bool        begins_with(const float * logits, llama_token token) const;
    CallShare   call_share(const float * logits) const;
    void        bind(Phase phase, const std::shared_ptr<const Grammar> & grammar);
    void        sample(Sampler & sampler, float * logits, Completion::Choice & choice);
    void        sample_call(Sampler & sampler, float * logits, Completion::Choice & choice);
    bool        is_too_long(size_t proposed) const;
    void        judge(Completion::Choice & choice);
    Tokens      tokens_of(const std::string & text) const;
    bool        jump(const std::string & text, Tokens & tokens);
    void        propose_another(Completion::Choice & choice);
    bool        stands();
    void        reject(Completion::Choice & choice);
    void        forbid_call(float * logits) const;
    void        end_answer(Completion::Choice & choice) const;
    void        follow(llama_token token);
    std::string shown(llama_token token) const;
    void        look_for_trigger();
    void        think_on(llama_token token, Tokens & tokens);
    void        note_certainty(llama_token token, const std::vector<float> & logits, const Tokens & allowed);

    const AnswerPlan                        plan_;
    const Tokens                            no_tokens_;
    const std::shared_ptr<const Vocabulary> vocabulary_;
    Phase                                   phase_           = Phase::Free;
    bool                                    decided_         = false;
    bool                                    began_with_call_ = false;
    bool                                    anew_            = false;  // what comes after thoughts was begun
    bool                                    opened_          = false;  // what comes before the output was written
    size_t                                  alike_           = 0;      // tokens written that a text begins with, and thoughts or a call too
    size_t                                  opening_begin_   = 0;      // of their text
    bool                                    refused_         = false;  // a call was proposed and taken back: what follows is text
    bool                                    must_call_       = false;  // the first call is not up to the model
    bool                                    trusted_         = false;  // the first call stands unless it was made before
    std::optional<Constraint>               constraint_;
    std::optional<Proposal>                 proposal_;
    std::optional<Constraint>               before_;  // the proposal, if a call stands already
    std::string                             text_;
    size_t                                  bound_begin_    = 0;
    size_t                                  thinking_begin_ = 0;
    int32_t                                 thought_        = 0;  // tokens
    size_t                                  parsed_         = 0;  // calls in the text, standing or not
    std::vector<ToolCall>                   standing_;    // proposed, and meant
    std::deque<llama_token>                 later_;       // chosen already, for when the tokens before them are decoded
    std::vector<Certainty>                  certainties_;
};

}  // namespace luup
