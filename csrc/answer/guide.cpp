#include "answer/guide.h"

#include "answer/call_start.h"
#include "answer/jump_forward.h"
#include "base/error.h"
#include "engine/logits.h"

#include <algorithm>
#include <cmath>

namespace luup {

namespace {

// With more possible next tokens than this, the model writes free text rather than choosing among values.
constexpr size_t max_choice = 4096;

}  // namespace

Guide::Guide(AnswerPlan plan, std::shared_ptr<const Vocabulary> vocabulary)
    : plan_(std::move(plan)),
      vocabulary_(std::move(vocabulary)),
      state_(plan_.thinking.texts.open ? State::Thinking : State::Undecided),
      thoughts_(plan_.thinking),
      accepted_(plan_.calls.made) {}

// Dictated text has the same tokens whether it is decoded in one batch or token by token: those that the tokenizer
// makes of it. Which of its beginnings a model likes best says nothing about the text, and everything that follows
// depends on the tokens.
void Guide::next(Sampler & sampler, float * logits, Completion::Choice & choice) {
    if (later_.empty()) {
        choose(sampler, logits, choice);
        if (!plan_.jump_forward && choice.tokens.size() > 1) {
            later_.assign(choice.tokens.begin() + 1, choice.tokens.end());
            choice.tokens.resize(1);
        }
    } else {
        choice.tokens = { later_.front() };
        later_.pop_front();
    }
}

void Guide::choose(Sampler & sampler, float * logits, Completion::Choice & choice) {
    decide(logits, choice);
    if (!choice.tokens.empty()) {
        return;
    }
    if (state_ == State::ProposedCall) {
        sample_call(sampler, logits, choice);
        if (choice.tokens.empty() && choice.retracted == 0) {
            choose(sampler, logits, choice);
        }
    } else if (constraint_) {
        sample_bound(sampler, logits, choice);
    } else {
        sample_free(sampler, logits, choice);
    }
}

// Decides what comes next, in the states in which that is open; may dictate tokens of the template.
void Guide::decide(const float * logits, Completion::Choice & choice) {
    switch (state_) {
        case State::OutputNext: bind(State::Output, plan_.output.grammar); return;
        case State::Thinking:
            if (thoughts_.must_end(text_) ||
                (stop_thinking_.load(std::memory_order_relaxed) && thoughts_.begun(text_))) {
                end_thoughts(choice.tokens);
            }
            return;
        case State::ThoughtsEnded:
            state_        = State::Undecided;
            answer_begin_ = text_.size();
            if (plan_.must_come() || closed_) {
                const Tokens & tokens = plan_.opening.after_thoughts.tokens;
                dictate(tokens, 0, tokens.size(), choice);
            }
            break;
        case State::Undecided:
        case State::OutputOpening: break;
        default: return;
    }
    if (!choice.tokens.empty() || (thoughts_.empty() && begin_thoughts(logits, choice)) ||
        (state_ == State::Undecided && decide_call(logits, choice))) {
        return;
    }
    if (plan_.output || (closed_ && !plan_.opening.text.tokens.empty())) {
        open_output(logits, choice);
    } else {
        state_ = State::Text;
    }
}

// Returns whether thoughts begin, or may begin: thoughts and the output's opening may share their first tokens, and
// then the model chooses behind those.
bool Guide::begin_thoughts(const float * logits, Completion::Choice & choice) {
    const Tokens & start = plan_.thinking.start;
    const Tokens & text  = plan_.opening.text.tokens;
    // Thoughts and calls whose markers are spelled out may begin with the same token.
    const bool   call_begins_alike = !opening().empty() && !start.empty() && opening().front() == start.front();
    const size_t shared =
        static_cast<size_t>(std::mismatch(start.begin(), start.end(), text.begin(), text.end()).first - start.begin());
    if ((plan_.thinking.max_tokens == 0 && plan_.must_come()) || call_begins_alike || opened_ > shared ||
        opened_ >= start.size() || !likeliest(logits, start[opened_])) {
        return false;
    }
    if (opened_ == 0) {
        thoughts_.begin_at(text_.size());
        opening_begin_ = text_.size();
        if (plan_.output && plan_.calls.mode != CallPlan::Mode::Required && shared > 0 &&
            shared < std::min(start.size(), text.size())) {
            state_  = State::OutputOpening;
            opened_ = shared;
            dictate(start, 0, shared, choice);
            return true;
        }
    }
    state_ = State::Thinking;
    if (plan_.must_come()) {
        dictate(start, opened_, start.size(), choice);
        thoughts_.add_dictated(start.size());
    }
    opened_ = 0;
    return true;
}

// Writes the template's text before the output, or before the text that has to follow. Where patterns find the calls, a
// call may come in its place: then the model chooses where the two part.
void Guide::open_output(const float * logits, Completion::Choice & choice) {
    const Tokens & tokens = plan_.opening.text.tokens;
    if (tokens.empty()) {
        bind(State::Output, plan_.output.grammar);
        return;
    }
    if (plan_.calls.mode == CallPlan::Mode::Auto && !plan_.calls.format->patterns.empty()) {
        const llama_token wanted = argmax(logits, llama_vocab_n_tokens(vocabulary_->vocab));
        opening_begin_           = opened_ > 0 ? opening_begin_ : text_.size();
        Constraint call(vocabulary_, plan_.calls.format->grammar, markers(), nullptr);
        if (call.accept_text(std::string_view(text_).substr(opening_begin_)) && call.allows(wanted)) {
            if (wanted != tokens[opened_]) {
                state_       = State::CallInText;
                bound_begin_ = opening_begin_;
                constraint_.emplace(std::move(call));
                return;
            }
            if (opened_ + 1 < tokens.size()) {
                state_ = State::OutputOpening;
                dictate(tokens, opened_, opened_ + 1, choice);
                opened_++;
                return;
            }
        }
    }
    state_ = plan_.output ? State::OutputNext : State::Text;
    dictate(tokens, opened_, tokens.size(), choice);
    answer_begin_ = text_.size();
}

// Adds tokens of the template's own text.
void Guide::dictate(const Tokens & tokens, size_t from, size_t to, Completion::Choice & choice) {
    for (size_t i = from; i < to; i++) {
        choice.tokens.push_back(tokens[i]);
        text_ += token_bytes(vocabulary_->vocab, tokens[i], true);
    }
}

bool Guide::likeliest(const float * logits, llama_token token) const {
    return argmax(logits, llama_vocab_n_tokens(vocabulary_->vocab)) == token;
}

void Guide::bind(State state, const std::shared_ptr<const Grammar> & grammar) {
    state_       = state;
    bound_begin_ = text_.size();
    endless_     = EndlessWatch();
    constraint_.emplace(vocabulary_, grammar, in_call() ? markers() : Tokens(),
                        state == State::Output ? plan_.output.schema : nullptr);
}

void Guide::end_answer(Completion::Choice & choice) const {
    if (vocabulary_->ends.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED, "the model's vocabulary has no end token");
    }
    choice.tokens.push_back(vocabulary_->ends.front());
}

// Samples a token of the text or of the thoughts.
void Guide::sample_free(Sampler & sampler, float * logits, Completion::Choice & choice) {
    // A text must not begin like the call that was retracted.
    if (refused_ && state_ == State::Text && text_.find_first_not_of(" \n", thoughts_.begin()) == std::string::npos) {
        forbid_call_start(logits, *plan_.calls.format, *vocabulary_);
    }
    if (closed_ && state_ == State::Text && before_answer()) {
        forbid_ends(logits);
    }
    const llama_token token = sampler.sample(logits);
    if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
        // The model may end its answer inside of its thoughts, although the answer has to come.
        if (state_ == State::Thinking && plan_.thinking.can_end() && thoughts_.begun(text_)) {
            think_on(token, choice.tokens);
        } else {
            choice.tokens = { token };
        }
        return;
    }
    choice.tokens = { token };
    // Thoughts may begin although another token was likelier.
    if (state_ == State::Text && thoughts_.may_begin(text_, token_bytes(vocabulary_->vocab, token, true))) {
        thoughts_.begin_at(text_.size());
        state_ = State::Thinking;
    }
    follow(token);
    if (state_ == State::Thinking) {
        think_on(token, choice.tokens);
    }
    if (plan_.calls.mode == CallPlan::Mode::Auto && (state_ == State::Text || state_ == State::ThoughtsEnded)) {
        look_for_call();
    }
}

// Samples a token of the output, or of a call that is not judged.
void Guide::sample_bound(Sampler & sampler, float * logits, Completion::Choice & choice) {
    const size_t begin = text_.size();
    if (jump_forward(constraint_->forced(), *constraint_, *vocabulary_, markers(), choice.tokens)) {
        forced_tokens_ += choice.tokens.size();
        for (llama_token token : choice.tokens) {
            follow(token);
        }
    } else {
        std::vector<float> row;
        Tokens             allowed;
        if (state_ == State::Output && plan_.output.confidence && constraint_->allowed(allowed, max_choice) &&
            allowed.size() > 1) {
            for (llama_token token : allowed) {
                row.push_back(logits[token]);
            }
        }
        const llama_token token = sampler.sample(logits, &*constraint_);
        choice.tokens           = { token };
        if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
            return;
        }
        note_certainty(token, row, allowed);
        follow(token);
        constraint_->accept(token);
    }
    const std::string endless = watch(choice.tokens, begin);
    if (!endless.empty()) {
        fail_endless(endless);
    }
    if (constraint_->must_end()) {
        end_answer(choice);
    }
}

void Guide::follow(llama_token token) {
    text_ += state_ == State::Thinking ? token_bytes(vocabulary_->vocab, token, true)
                                       : visible_text(token, *vocabulary_, markers());
}

// Takes note of tokens that were added to the bound part, with the text from `begin` on. Returns why it would never
// end, "" if it may.
std::string Guide::watch(const Tokens & tokens, size_t begin) {
    endless_.read(std::string_view(text_).substr(begin));
    for (const llama_token token : tokens) {
        endless_.add(token, constraint_->place());
    }
    return endless_.reason();
}

// Nothing of the bound part is cut off silently.
void Guide::fail_endless(const std::string & reason) const {
    fail(LUUP_ERROR_INVALID_OUTPUT,
         "the model would write %s without end: %s. Set a limit there (maxLength, maxItems), ask for less, or raise "
         "repeat_penalty",
         in_call() ? "a tool call" : "the output", reason.c_str());
}

// Ends the thoughts when the model does, or when they have become too long.
void Guide::think_on(llama_token token, Tokens & tokens) {
    const bool answer_ends = llama_vocab_is_eog(vocabulary_->vocab, token);
    switch (thoughts_.add_token(text_, answer_ends)) {
        case Thoughts::Next::GoOn: return;
        case Thoughts::Next::NotThoughts: state_ = State::Text; return;
        case Thoughts::Next::Ended: state_ = State::ThoughtsEnded; return;
        case Thoughts::Next::MustEnd: end_thoughts(tokens);
    }
}

bool Guide::before_answer() const {
    return (state_ == State::Thinking && thoughts_.begun(text_)) || state_ == State::ThoughtsEnded ||
           (!thoughts_.empty() && text_.find_first_not_of(" \n", answer_begin_) == std::string::npos);
}

// Writes the end of the thoughts for the model.
void Guide::end_thoughts(Tokens & tokens) {
    const Tokens & end = plan_.thinking.end;
    state_             = State::ThoughtsEnded;
    closed_            = true;
    tokens.insert(tokens.end(), end.begin(), end.end());
    thoughts_.add_dictated(end.size());
    text_ += plan_.thinking.end_text();
}

// The thoughts were ended for the model, which may have meant to end its answer there: an answer comes.
void Guide::forbid_ends(float * logits) const {
    for (const llama_token token : vocabulary_->ends) {
        logits[token] = -INFINITY;
    }
}

void Guide::note_certainty(llama_token token, const std::vector<float> & logits, const Tokens & allowed) {
    if (logits.empty()) {
        return;
    }
    const float max = *std::max_element(logits.begin(), logits.end());
    double      sum = 0, own = 0;
    for (size_t i = 0; i < logits.size(); i++) {
        const double p = std::exp(static_cast<double>(logits[i]) - max);
        sum += p;
        own = allowed[i] == token ? p : own;
    }
    const size_t begin = text_.size() - bound_begin_;
    certainties_.push_back({ begin, begin + vocabulary_->trie->bytes(token).size(), std::log(own / sum) });
}

}  // namespace luup
