// The calls of an answer: whether one begins, and whether it is accepted or retracted.
#include "answer/call_start.h"
#include "answer/guide.h"
#include "answer/jump_forward.h"
#include "engine/logits.h"

#include <cmath>
#include <new>

namespace luup {

namespace {

// A model that begins with its format's own marker that surely means the call; one that begins otherwise may have
// forgotten the marker. After results it may begin so only because the text before went on like that: then a call that
// was made already is not accepted, and one in a format that the model does not know has to be meant.
constexpr double obeyed = 0.5;

std::string percent(double share) {
    return std::to_string(static_cast<int>(std::lround(100 * share))) + "%";
}

}  // namespace

// Returns whether a call begins here.
bool Guide::decide_call(const float * logits, Completion::Choice & choice) {
    const CallPlan & calls = plan_.calls;
    if (calls.mode == CallPlan::Mode::Required) {
        decisions_.push_back("a call is required, and was begun");
        propose_call(ProposedCall::AcceptIf::Complete, 0, choice);
        return true;
    }
    if (calls.mode == CallPlan::Mode::None || refused_) {
        return false;
    }
    const CallShare share = call_share(logits, *calls.format, *vocabulary_);
    if (share.marker >= obeyed && calls.made.empty()) {
        decisions_.push_back("the model began a call: " + percent(share.marker) + " for the format's own marker");
        begin_call(choice);
        return true;
    }
    if (share.marker >= obeyed && calls.native) {
        decisions_.push_back("the model began a call after earlier ones: " + percent(share.marker) +
                             " for the format's own marker; one that repeats an earlier call will be retracted");
        propose_call(ProposedCall::AcceptIf::New, 0, choice);
        return true;
    }
    const double start = std::log(share.any);
    if (CallJudge::may_begin(start, calls.native) && !is_too_long(opening().size())) {
        decisions_.push_back("a call was proposed, to be judged: " + percent(share.any) + " for a beginning of one");
        propose_call(ProposedCall::AcceptIf::Meant, start, choice);
        return true;
    }
    decisions_.push_back("no call: " + percent(share.any) + " for a beginning of one");
    return false;
}

void Guide::begin_call(Completion::Choice & choice) {
    const std::string & text = plan_.calls.format->opening;
    bind(State::Call, plan_.calls.format->grammar);
    if (!text.empty() && constraint_->accept_text(text)) {
        choice.tokens = opening();
        text_ += text;
    }
}

// `start` is the log-probability of the call's beginning.
void Guide::propose_call(ProposedCall::AcceptIf accept_if, double start, Completion::Choice & choice) {
    const CallPlan & calls = plan_.calls;
    const size_t     begin = text_.size();
    begin_call(choice);
    state_ = State::ProposedCall;
    proposed_.emplace(
        ProposedCall{ { begin, calls.made.empty(), start, calls.native, calls.tools, calls.given }, accept_if, true });
    constraint_->hide_ends();
    for (size_t i = 0; i < choice.tokens.size(); i++) {
        proposed_->judge.add(begin, begin, 0, false);
    }
}

// Looks for a call in the middle of a text: from its first marker on, the answer is bound.
void Guide::look_for_call() {
    const size_t at = find_call_start(text_, *plan_.calls.format);
    if (at == std::string::npos) {
        return;
    }
    bind(State::CallInText, plan_.calls.format->grammar);
    bound_begin_ = at;
    if (!constraint_->accept_text(std::string_view(text_).substr(at))) {
        constraint_.reset();
        state_ = State::Text;
    } else {
        decisions_.push_back("the model began a call in the middle of its text");
    }
}

// Samples a token of the proposed call.
void Guide::sample_call(Sampler & sampler, float * logits, Completion::Choice & choice) {
    const size_t      before   = text_.size();
    CallJudge &       call     = proposed_->judge;
    const std::string dictated = constraint_->forced();
    if (jump_forward(call.before_name(dictated), *constraint_, *vocabulary_, markers(), choice.tokens)) {
        forced_tokens_ += choice.tokens.size();
        for (llama_token token : choice.tokens) {
            const size_t end = text_.size();
            follow(token);
            call.add(end, text_.size(), 0, false);
        }
    } else {
        const double      sum   = log_sum_exp(logits, llama_vocab_n_tokens(vocabulary_->vocab));
        const llama_token token = sampler.sample(logits, &*constraint_);
        const size_t      begin = text_.size();
        choice.tokens           = { token };
        follow(token);
        constraint_->accept(token);
        call.add(begin, text_.size(), logits[token] - sum, dictated.empty());
    }
    judge(choice, watch(choice.tokens, before));
}

// Accepts or retracts the proposed call, or lets it go on. `endless`: why it would never end, "" if it may.
void Guide::judge(Completion::Choice & choice, const std::string & endless) {
    if (constraint_->can_end()) {
        if (accept()) {
            decisions_.push_back("the call was accepted");
            propose_another(choice);
        } else {
            retract("it repeats an earlier call, or the model is unsure of its values", choice);
        }
    } else if (proposed_->accept_if == ProposedCall::AcceptIf::Meant && is_too_long(proposed_->judge.tokens())) {
        retract("it is too long", choice);
    } else if (proposed_->accept_if == ProposedCall::AcceptIf::Meant && !proposed_->judge.may_be_meant(text_)) {
        retract("the model is unsure of the tool or of its values", choice);
    } else if (proposed_->accept_if == ProposedCall::AcceptIf::Meant && !endless.empty()) {
        retract(endless, choice);
    } else if (!endless.empty()) {
        fail_endless(endless);
    }
}

bool Guide::is_too_long(size_t proposed) const {
    return plan_.calls.max_proposed >= 0 && proposed >= static_cast<size_t>(plan_.calls.max_proposed);
}

// Decides on the call, which is complete. Returns whether it is accepted. A call that has to be made and can't be read
// is: the run reports it. Retracted, it would be written again, without end.
bool Guide::accept() {
    const bool required = proposed_->accept_if == ProposedCall::AcceptIf::Complete;
    try {
        return accepted_.add(parse_calls(*plan_.calls.format, text_, bound_begin_), text_, *proposed_) || required;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception &) {
        return required;
    }
}

std::vector<ToolCall> Guide::calls() const {
    return accepted_.calls().empty() ? parse_calls(*plan_.calls.format, text_, bound_begin_) : accepted_.calls();
}

std::vector<std::string> Guide::decisions() const {
    std::vector<std::string> all = decisions_;
    if (forced_tokens_ > 0) {
        all.push_back(std::to_string(forced_tokens_) + " tokens were dictated by the grammar");
    }
    if (closed_) {
        all.push_back("the thoughts were ended for the model");
    }
    return all;
}

// A call was accepted: proposes another one, since a model that has written one tends to stop, even if it was asked for
// several.
void Guide::propose_another(Completion::Choice & choice) {
    const CallPlan & calls = plan_.calls;
    if (calls.parallel && calls.format->opening.empty() && !constraint_->must_end()) {
        // A format without a fixed beginning: the model itself goes on or ends.
        state_ = State::Call;
        proposed_.reset();
        accepted_.clear();
        constraint_->hide_ends(false);
        return;
    }
    for (const TemplateText & next : calls.format->next_openings) {
        Constraint after = *constraint_;
        if (after.accept_text(next.text) && !after.can_end()) {
            constraint_.emplace(std::move(after));
            proposed_.emplace(ProposedCall{ { text_.size(), false, 0, calls.native, calls.tools, calls.given },
                                            ProposedCall::AcceptIf::Meant,
                                            false });
            for (llama_token token : next.tokens) {
                proposed_->judge.add(text_.size(), text_.size(), 0, false);
                choice.tokens.push_back(token);
            }
            text_ += next.text;
            decisions_.push_back("another call was proposed, to be judged");
            return;
        }
    }
    state_ = State::Call;
    proposed_.reset();
    end_answer(choice);
}

// Retracts the proposed call: the answer is text after all, or the calls before it are all calls.
void Guide::retract(const std::string & reason, Completion::Choice & choice) {
    const bool first = proposed_->first;
    decisions_.push_back("the proposed call was retracted after " + std::to_string(proposed_->judge.tokens()) +
                         " tokens, because " + reason + ": " + text_.substr(proposed_->judge.begin()));
    choice.retracted = proposed_->judge.tokens() - choice.tokens.size();
    choice.tokens.clear();
    text_.resize(proposed_->judge.begin());
    proposed_.reset();
    if (first) {
        state_   = State::Undecided;
        refused_ = true;
        constraint_.reset();
    } else {
        state_ = State::Call;
        end_answer(choice);
    }
}

}  // namespace luup
