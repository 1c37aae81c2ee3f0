#include "answer/answer.h"

#include "base/error.h"

#include "common/chat.h"

#include <optional>
#include <utility>

namespace luup {

namespace {

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string> & b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

std::vector<std::string> triggers(const AnswerPlan & plan) {
    const bool anywhere = plan.calls.mode != CallPlan::Mode::None && !plan.calls.format->only_first &&
                          plan.calls.format->patterns.empty();
    return anywhere ? plan.calls.format->triggers : std::vector<std::string>();
}

}  // namespace

AnswerParser::AnswerParser(std::shared_ptr<const common_chat_parser_params> params)
    : params_(std::move(params)), seen_(std::make_unique<common_chat_msg>()) {}

AnswerParser::~AnswerParser() = default;

AnswerParser::Delta AnswerParser::push(std::string_view piece) {
    if (!params_) {
        return { "", std::string(piece) };
    }
    raw_.append(piece);
    return piece.empty() ? Delta{} : parse(true);
}

AnswerParser::Delta AnswerParser::finish() {
    return params_ ? parse(false) : Delta{};
}

AnswerParser::Delta AnswerParser::parse(bool partial) {
    Delta delta;
    try {
        common_chat_msg now = common_chat_parse(raw_, partial, *params_);
        for (const auto & diff : common_chat_msg_diff::compute_diffs(*seen_, now)) {
            delta.reasoning += diff.reasoning_content_delta;
            delta.text += diff.content_delta;
        }
        *seen_ = std::move(now);
    } catch (const std::exception &) {
        // Text that doesn't parse yet may parse with more text. Text that never does is emitted unparsed.
        if (!partial && seen_->empty()) {
            delta.text = raw_;
        }
    }
    return delta;
}

Answer::Answer(std::shared_ptr<Listener> listener, const llama_vocab * vocab,
               std::shared_ptr<const Vocabulary> vocabulary, Prompt rendered, AnswerPlan plan, const Sampling & s)
    : listener_(std::move(listener)),
      vocab_(vocab),
      preserved_(rendered.preserved.begin(), rendered.preserved.end()),
      stop_(joined(s.stop, rendered.stops)),
      trigger_(triggers(plan)),
      parser_(plan.calls.mode != CallPlan::Mode::None && !plan.calls.format->patterns.empty()
                  ? plan.calls.format->parser
                  : rendered.parser) {
    if (plan.calls.format) {
        preserved_.insert(plan.calls.format->marker_tokens.begin(), plan.calls.format->marker_tokens.end());
    }
    if (plan.needs_guide()) {
        guide_.emplace(std::move(plan), std::move(vocabulary));
    }
    prompt   = std::move(rendered.tokens);
    sampling = s;
}

Answer::~Answer() = default;

AnswerResult Answer::result() const {
    AnswerResult result;
    result.content   = content_;
    result.reasoning = reasoning_;
    result.raw       = raw_;
    result.output    = content_;
    result.bound     = bound();
    result.has_calls = has_calls();
    if (guide_) {
        result.raw         = guide_->text();
        result.output      = bound() ? guide_->text().substr(guide_->bound_begin()) : content_;
        result.certainties = guide_->certainties();
        result.decisions   = guide_->decisions();
    }
    if (result.has_calls) {
        try {
            result.calls = guide_->calls();
        } catch (const std::exception & e) {
            result.problem = e.what();
        }
    }
    return result;
}

void Answer::on_progress(int32_t done, int32_t total) {
    listener_->on_answer_progress(done, total);
}

void Answer::choose(Sampler & sampler, float * logits, Choice & choice) {
    if (!guide_) {
        Completion::choose(sampler, logits, choice);
        return;
    }
    guide_->next(sampler, logits, choice);
    tokens_ -= static_cast<int32_t>(choice.retracted);
    thought_tokens = guide_->thought_tokens();
    if (choice.retracted > 0) {
        utf8_ = Utf8Stream();
    }
}

void Answer::on_probabilities(const TokenProbabilities & probabilities) {
    probabilities_ = probabilities_json(probabilities, vocab_);
}

// Keeps the probabilities of a token of the answer until its text is emitted. Thoughts, calls and the template's own
// text have none.
void Answer::keep_probabilities(llama_token token) {
    const bool free = !guide_ || guide_->state() == Guide::State::Text;
    const bool shown =
        (free && !(guide_ && guide_->before_answer())) || (guide_ && guide_->state() == Guide::State::Output);
    if (!shown) {
        held_probabilities_.clear();
    } else if (!token_bytes(vocab_, token, preserved_.count(token) > 0).empty()) {
        held_probabilities_ += (held_probabilities_.empty() ? "" : ",") + probabilities_;
    }
    probabilities_.clear();
}

bool Answer::on_token(llama_token token) {
    tokens_++;
    if (!probabilities_.empty()) {
        keep_probabilities(token);
    }
    const std::string text = utf8_.push(token_bytes(vocab_, token, preserved_.count(token) > 0));
    if (!guide_) {
        raw_ += text;
    }
    if (bound()) {
        stream(std::exchange(may_think_, "") + text);
        return true;
    }
    if (guide_ && guide_->before_answer()) {  // stop texts are for the answer: one in the thoughts leaves none
        may_think_.clear();
        if (!guide_->hides_thoughts()) {
            stream(stop_.finish() + text);
        }
        return true;
    }
    if (guide_ && guide_->state() == Guide::State::Thinking && guide_->hides_thoughts()) {
        may_think_ += text;
        return true;
    }
    stream(stop_.push(std::exchange(may_think_, "") + text));
    return !stop_.stopped();
}

// Emits a bound output as it is, and a call not at all; other text goes through the parser.
void Answer::stream(const std::string & text) {
    if (guide_ && guide_->state() == Guide::State::Output) {
        emit({ "", text });
    } else if (has_calls() && guide_->state() != Guide::State::CallInText) {
        return;
    } else if (!trigger_.stopped()) {
        const std::string safe = trigger_.push(text);
        if (!has_calls() || trigger_.stopped()) {
            emit(parser_.push(safe));
        }
    }
}

void Answer::on_end(luup_finish_reason reason, const Failure & failure, const Metrics & metrics) {
    AnswerResult           answer;
    std::optional<Failure> lost;  // the reason if it is lost, such as a lack of memory
    try {
        finish_text();
        answer = result();
    } catch (...) {
        lost = current_failure();
    }
    const auto listener = std::move(listener_);  // breaks the cycle: the run holds its answer, too
    listener->on_answer_end(std::move(answer), lost ? LUUP_FINISH_NONE : reason, lost ? *lost : failure, metrics);
}

// Emits the text that was held back.
void Answer::finish_text() {
    const std::string rest = utf8_.finish();
    raw_ += guide_ ? "" : rest;
    if (bound()) {
        stream(rest);
        return;
    }
    std::string text = stop_.push(std::exchange(may_think_, "") + rest);
    if (!stop_.stopped()) {
        text += stop_.finish();
    }
    emit(parser_.push(trigger_.push(text)));
    emit(parser_.push(trigger_.finish()));
    emit(parser_.finish());
}

void Answer::emit(const AnswerParser::Delta & delta) {
    std::string text = delta.text;
    if (guide_ && guide_->state() == Guide::State::Output) {
        blanks_.clear();  // an output is shown as it is
    } else if (guide_ && content_.empty()) {  // white space before a call does not count as text
        text         = blanks_ + text;
        const bool b = text.find_first_not_of(" \n\t\r") == std::string::npos;
        blanks_      = b ? text : "";
        text         = b ? "" : text;
    }
    content_ += text;
    reasoning_ += delta.reasoning;
    if (!text.empty() && !held_probabilities_.empty()) {
        listener_->on_answer_logprobs(std::exchange(held_probabilities_, ""));
    } else if (!delta.reasoning.empty()) {
        held_probabilities_.clear();
    }
    if (!text.empty() || !delta.reasoning.empty()) {
        listener_->on_answer_text(delta.reasoning, text, tokens_);
    }
}

}  // namespace luup
