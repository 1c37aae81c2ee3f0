#include "guide.h"

#include "error.h"
#include "logits.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <regex>

namespace luup {

namespace {

// Patterns look back that far at most: std::regex recurses with the length of the text.
constexpr size_t pattern_window = 2000;

// With more possible next tokens than this, what is being written is a free text and not a choice.
constexpr size_t max_choice = 4096;

// A model that begins with its format's own marker that surely means it; one that begins otherwise may have forgotten the marker. After results it
// may do so only because the text goes on like that: then a call that was made already is none, and one in a format that the model
// does not know has to be meant.
constexpr double obeyed = 0.5;

// Logits that far below the best add nothing to the sum.
constexpr float negligible = 20;

bool same_json(const std::string & a, const std::string & b) {
    const auto parsed = nlohmann::json::parse(a, nullptr, false);  // keys in any order
    return !parsed.is_discarded() && parsed == nlohmann::json::parse(b, nullptr, false);
}

}  // namespace

Guide::Guide(AnswerPlan plan, std::shared_ptr<const Vocabulary> vocabulary) : plan_(std::move(plan)), vocabulary_(std::move(vocabulary)) {
    phase_ = plan_.thinking.open ? Phase::Thinking : Phase::Free;
}

// What is dictated has the same tokens whether it is decoded in one batch or token by token: those that the tokenizer makes of it. Which ones a model likes
// best among the beginnings of a text says nothing of the text, and all that follows depends on it.
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
    if (phase_ == Phase::Free && !decided_) {
        decide(logits, choice);
        if (!choice.tokens.empty()) {
            return;
        }
    }
    if (phase_ == Phase::Call && proposal_) {
        sample_call(sampler, logits, choice);
        if (choice.tokens.empty() && choice.take_back == 0) {
            choose(sampler, logits, choice);
        }
    } else {
        sample(sampler, logits, choice);
    }
}

// At the answer's beginning, or after the thoughts: thoughts, a call, a bound answer or free text?
void Guide::decide(const float * logits, Completion::Choice & choice) {
    if (thought_ == 0 && begin_thoughts(logits, choice)) {
        return;
    }
    if (thought_ > 0 && !anew_ && must_come()) {
        anew_ = true;
        dictate(plan_.opening.after_thoughts.tokens, 0, plan_.opening.after_thoughts.tokens.size(), choice);
        if (!choice.tokens.empty()) {
            return;
        }
    }
    decided_ = true;
    if (plan_.calls == AnswerPlan::Calls::Required) {
        must_call_ = true;
        begin_call(choice, 0);
        return;
    }
    if (plan_.calls == AnswerPlan::Calls::Auto && !refused_ && alike_ == 0 && !opened_) {
        const CallShare share = call_share(logits);
        if (share.marker >= obeyed && (plan_.made.empty() || plan_.native)) {
            trusted_ = !plan_.made.empty();
            begin_call(choice, trusted_ ? std::optional<double>(0) : std::nullopt);
            return;
        }
        const double start = std::log(share.any);
        if (Proposal::may_begin(start, plan_.native) && !is_too_long(opening().size())) {
            begin_call(choice, start);
            return;
        }
    }
    if (plan_.output) {
        open_output(logits, choice);
    }
}

// Whether thoughts begin, or may: thoughts and the text of an answer may begin alike, and then the model chooses behind what they share.
bool Guide::begin_thoughts(const float * logits, Completion::Choice & choice) {
    const Tokens & start = plan_.think_start;
    const Tokens & text  = plan_.opening.text.tokens;
    // Thoughts and calls whose markers are spelled out may begin with the same token.
    const bool   call_begins_alike = !opening().empty() && !start.empty() && opening().front() == start.front();
    const size_t alike             = static_cast<size_t>(std::mismatch(start.begin(), start.end(), text.begin(), text.end()).first - start.begin());
    if (plan_.max_thinking == 0 || call_begins_alike || opened_ || alike_ > alike || alike_ >= start.size() || !begins_with(logits, start[alike_])) {
        return false;
    }
    if (alike_ == 0) {
        thinking_begin_ = opening_begin_ = text_.size();
        if (plan_.output && plan_.calls != AnswerPlan::Calls::Required && alike > 0 && alike < std::min(start.size(), text.size())) {
            dictate(start, 0, alike_ = alike, choice);
            return true;
        }
    }
    phase_ = Phase::Thinking;
    if (must_come()) {
        dictate(start, alike_, start.size(), choice);
    }
    alike_ = 0;
    return true;
}

// Binds the answer, behind what the template writes before it. Where calls are told by patterns one may come in its place: then the model chooses
// where the two part.
void Guide::open_output(const float * logits, Completion::Choice & choice) {
    const Tokens & tokens = plan_.opening.text.tokens;
    if (opened_ || tokens.empty()) {
        bind(Phase::Output, plan_.output);
        return;
    }
    decided_ = false;
    if (plan_.calls == AnswerPlan::Calls::Auto && !plan_.format->patterns.empty()) {
        const llama_token wanted = argmax(logits, llama_vocab_n_tokens(vocabulary_->vocab));
        opening_begin_           = alike_ > 0 ? opening_begin_ : text_.size();
        Constraint call(vocabulary_, plan_.format->grammar, markers(), nullptr);
        if (call.accept_text(std::string_view(text_).substr(opening_begin_)) && call.allows(wanted)) {
            if (wanted != tokens[alike_]) {
                bind(Phase::Call, plan_.format->grammar);
                bound_begin_ = opening_begin_;
                constraint_.emplace(std::move(call));
                return;
            }
            if (alike_ + 1 < tokens.size()) {
                dictate(tokens, alike_, alike_ + 1, choice);
                alike_++;
                return;
            }
        }
    }
    opened_ = true;
    dictate(tokens, alike_, tokens.size(), choice);
}

// Adds tokens of the template's own.
void Guide::dictate(const Tokens & tokens, size_t from, size_t to, Completion::Choice & choice) {
    for (size_t i = from; i < to; i++) {
        choice.tokens.push_back(tokens[i]);
        text_ += token_bytes(vocabulary_->vocab, tokens[i], true);
    }
}

// With `start`, the log-probability of its beginning, the call is only proposed.
void Guide::begin_call(Completion::Choice & choice, std::optional<double> start) {
    const size_t begin = text_.size();
    bind(Phase::Call, plan_.format->grammar);
    began_with_call_ = true;
    if (!plan_.format->opening.empty() && constraint_->accept_text(plan_.format->opening)) {
        choice.tokens = opening();
        text_ += plan_.format->opening;
    }
    if (start) {
        proposal_.emplace(begin, plan_.made.empty(), *start, plan_.native, plan_.tools, plan_.given);
        constraint_->hide_ends();
        for (size_t i = 0; i < choice.tokens.size(); i++) {
            proposal_->add(begin, begin, 0, false);
        }
    }
}

bool Guide::begins_with(const float * logits, llama_token token) const {
    return argmax(logits, llama_vocab_n_tokens(vocabulary_->vocab)) == token;
}

// Small models that forget their format's marker begin a call with JSON or a tag.
Guide::CallShare Guide::call_share(const float * logits) const {
    const int32_t     n      = llama_vocab_n_tokens(vocabulary_->vocab);
    const double      sum    = log_sum_exp(logits, n);
    const llama_token marker = opening().empty() ? LLAMA_TOKEN_NULL : opening().front();
    // What an answer may begin with too says nothing.
    CallShare share = { marker != LLAMA_TOKEN_NULL && !plan_.format->shared_start ? std::exp(logits[marker] - sum) : 0, 0 };
    share.any       = share.marker;
    for (llama_token token = 0; token < n; token++) {
        if (logits[token] < sum - negligible || token == marker) {
            continue;
        }
        const std::string_view bytes = vocabulary_->trie->bytes(token);
        if (!bytes.empty() && std::strchr("{[`<", bytes[0])) {
            share.any += std::exp(logits[token] - sum);
        }
    }
    return share;
}

// A token of a call that is only proposed yet: the call stands when it is complete and the model means it.
void Guide::sample_call(Sampler & sampler, float * logits, Completion::Choice & choice) {
    const std::string dictated = constraint_->forced();
    if (jump(proposal_->before_name(dictated), choice.tokens)) {
        for (llama_token token : choice.tokens) {
            const size_t end = text_.size();
            follow(token);
            proposal_->add(end, text_.size(), 0, false);
        }
        judge(choice);
        return;
    }
    const double      sum    = log_sum_exp(logits, llama_vocab_n_tokens(vocabulary_->vocab));
    const bool        forced = !dictated.empty();
    const llama_token token  = sampler.sample(logits, &*constraint_);
    const size_t      begin  = text_.size();
    choice.tokens            = { token };
    follow(token);
    constraint_->accept(token);
    proposal_->add(begin, text_.size(), logits[token] - sum, !forced);
    judge(choice);
}

bool Guide::is_too_long(size_t proposed) const {
    return plan_.max_proposal >= 0 && proposed >= static_cast<size_t>(plan_.max_proposal);
}

// Whether the proposed call may go on, or stands.
void Guide::judge(Completion::Choice & choice) {
    const bool complete = constraint_->can_end();
    if (complete ? !stands() : !must_call_ && !trusted_ && (is_too_long(proposal_->tokens()) || !proposal_->may_be_meant(text_))) {
        reject(choice);
    } else if (complete) {
        must_call_ = trusted_ = false;
        propose_another(choice);
    }
}

// Whether the call that is complete now stands. One that was made before does not: small models repeat themselves.
bool Guide::stands() {
    try {
        const auto calls   = parse_calls(*plan_.format, text_, bound_begin_);
        auto       earlier = plan_.made;
        earlier.insert(earlier.end(), standing_.begin(), standing_.end());
        const auto has = [&](const ToolCall & call) {
            return std::any_of(earlier.begin(), earlier.end(), [&](const ToolCall & c) { return c.name == call.name && same_json(c.arguments, call.arguments); });
        };
        // A format with one tag around all calls brings several at once: the first decides, and the model chose to go on with the others.
        const size_t first = std::min(parsed_, calls.size());
        parsed_            = calls.size();
        const bool wanted  = first < calls.size() && (must_call_ || (!has(calls[first]) && (trusted_ || proposal_->is_meant(text_, calls[first], earlier))));
        for (size_t i = first; i < calls.size() && wanted; i++) {
            if (i == first || !has(calls[i])) {
                standing_.push_back(i == first ? proposal_->without_guesses(text_, calls[i]) : calls[i]);
                earlier.push_back(calls[i]);
            }
        }
        return wanted;
    } catch (const std::exception &) {
        return must_call_;  // the run reports it
    }
}

std::vector<ToolCall> Guide::calls() const {
    return standing_.empty() ? parse_calls(*plan_.format, text_, bound_begin_) : standing_;
}

// `text` as the model would write it: with the format's markers as the control tokens that they are.
Guide::Tokens Guide::tokens_of(const std::string & text) const {
    Tokens tokens;
    size_t plain = 0;  // where the text behind the last marker begins
    for (size_t at = 0; at < text.size();) {
        const auto begins = [&](llama_token token) {
            const std::string name = token_bytes(vocabulary_->vocab, token, true);
            return !name.empty() && text.compare(at, name.size(), name) == 0;
        };
        const auto marker = std::find_if(markers().begin(), markers().end(), begins);
        if (marker == markers().end()) {
            at++;
            continue;
        }
        const auto before = tokenize_text(vocabulary_->vocab, std::string_view(text).substr(plain, at - plain), false, false);
        tokens.insert(tokens.end(), before.begin(), before.end());
        tokens.push_back(*marker);
        plain = at += token_bytes(vocabulary_->vocab, *marker, true).size();
    }
    const auto rest = tokenize_text(vocabulary_->vocab, std::string_view(text).substr(plain), false, false);
    tokens.insert(tokens.end(), rest.begin(), rest.end());
    return tokens;
}

// Where the grammar dictates a text, the model need not be asked for it. The last token is left to the sampler, since it may go on beyond the text.
// False if that leaves none.
bool Guide::jump(const std::string & text, Tokens & tokens) {
    if (text.size() < 2) {
        return false;
    }
    Tokens     dictated = tokens_of(text);
    Constraint after    = *constraint_;
    after.accept_text(text);
    if (!after.must_end()) {
        dictated.pop_back();
    }
    size_t at = 0;
    for (llama_token token : dictated) {
        const std::string bytes = shown(token);
        if (bytes.empty() || text.compare(at, bytes.size(), bytes) != 0) {
            return false;  // a vocabulary that puts a blank before every text
        }
        at += bytes.size();
    }
    if (dictated.empty() || !constraint_->accept_text(std::string_view(text).substr(0, at))) {
        return false;
    }
    tokens = dictated;
    return true;
}

// A call stands. Is there another one to be made? A model that has written one tends to stop, whatever it was asked for.
void Guide::propose_another(Completion::Choice & choice) {
    if (plan_.parallel && plan_.format->opening.empty() && !constraint_->must_end()) {
        // A format without a fixed beginning: the model itself goes on or ends.
        proposal_.reset();
        standing_.clear();
        constraint_->hide_ends(false);
        return;
    }
    for (const TemplateText & next : plan_.format->next_openings) {
        Constraint after = *constraint_;
        if (after.accept_text(next.text) && !after.can_end()) {
            before_ = std::move(constraint_);
            constraint_.emplace(std::move(after));
            proposal_.emplace(text_.size(), false, 0, plan_.native, plan_.tools, plan_.given);
            for (llama_token token : next.tokens) {
                proposal_->add(text_.size(), text_.size(), 0, false);
                choice.tokens.push_back(token);
            }
            text_ += next.text;
            return;
        }
    }
    end_answer(choice);
}

// Takes the proposed call back: what it was is text after all, or the calls before it were all.
void Guide::reject(Completion::Choice & choice) {
    choice.take_back = proposal_->tokens() - choice.tokens.size();
    choice.tokens.clear();
    text_.resize(proposal_->begin());
    proposal_.reset();
    if (before_) {
        end_answer(choice);
        return;
    }
    constraint_.reset();
    phase_           = Phase::Free;
    decided_         = false;
    trusted_         = false;
    began_with_call_ = false;
    refused_         = true;
}

// A text must not begin as a call does that was taken back: small models write their calls as bare or fenced JSON.
void Guide::forbid_call(float * logits) const {
    if (text_.find_first_not_of(" \n", thinking_begin_) != std::string::npos) {
        return;
    }
    const int32_t n = llama_vocab_n_tokens(vocabulary_->vocab);
    for (llama_token token = 0; token < n; token++) {
        const std::string_view bytes = vocabulary_->trie->bytes(token);
        const size_t           first = bytes.find_first_not_of(" \n");
        const bool             call  = first != std::string_view::npos && std::strchr("{[`<>", bytes[first]);
        if (call || (!opening().empty() && token == opening().front())) {
            logits[token] = -INFINITY;
        }
    }
}

void Guide::end_answer(Completion::Choice & choice) const {
    if (vocabulary_->ends.empty()) {
        fail(LUUP_ERROR_UNSUPPORTED, "the model's vocabulary has no end token");
    }
    choice.tokens.push_back(vocabulary_->ends.front());
}

void Guide::bind(Phase phase, const std::shared_ptr<const Grammar> & grammar) {
    phase_       = phase;
    decided_     = true;
    bound_begin_ = text_.size();
    constraint_.emplace(vocabulary_, grammar, phase == Phase::Call ? markers() : Tokens(), phase == Phase::Output ? plan_.schema : nullptr);
}

void Guide::sample(Sampler & sampler, float * logits, Completion::Choice & choice) {
    Tokens &           tokens = choice.tokens;
    std::vector<float> row;
    Tokens             allowed;
    if (refused_ && phase_ == Phase::Free) {
        forbid_call(logits);
    }
    if (constraint_ && jump(constraint_->forced(), tokens)) {
        for (llama_token token : tokens) {
            follow(token);
        }
        if (constraint_->must_end()) {
            end_answer(choice);
        }
        return;
    }
    if (phase_ == Phase::Output && plan_.confidence && constraint_->allowed(allowed, max_choice) && allowed.size() > 1) {
        for (llama_token token : allowed) {
            row.push_back(logits[token]);
        }
    }
    const llama_token token = sampler.sample(logits, constraint_ ? &*constraint_ : nullptr);
    if (llama_vocab_is_eog(vocabulary_->vocab, token)) {
        // Thoughts that end the answer before it began, although something is asked for.
        if (phase_ == Phase::Thinking && must_come() && !plan_.think_end.empty()) {
            think_on(token, tokens);
            return;
        }
        tokens = { token };
        return;
    }
    tokens = { token };
    note_certainty(token, row, allowed);
    follow(token);
    if (constraint_) {
        constraint_->accept(token);
        if (constraint_->must_end()) {
            end_answer(choice);
        }
        return;
    }
    if (phase_ == Phase::Thinking) {
        think_on(token, tokens);
    }
    if (plan_.calls == AnswerPlan::Calls::Auto && phase_ == Phase::Free) {
        look_for_trigger();
    }
}

// What a token adds to the text: control tokens only add their names where these are part of the format, or of thoughts.
std::string Guide::shown(llama_token token) const {
    const bool marker = std::find(markers().begin(), markers().end(), token) != markers().end();
    return marker || phase_ == Phase::Thinking ? token_bytes(vocabulary_->vocab, token, true) : std::string(vocabulary_->trie->bytes(token));
}

void Guide::follow(llama_token token) {
    text_ += shown(token);
}

// Whether what began like thoughts goes on as something else.
bool Guide::strays() const {
    const std::string & start = plan_.thinking.start;
    const size_t        from  = std::min(start.find_first_not_of(" \n"), start.size());
    const size_t        begin = std::min(text_.find_first_not_of(" \n", thinking_begin_), text_.size());
    const size_t        size  = std::min(start.find_last_not_of(" \n") + 1 - from, text_.size() - begin);
    return !plan_.thinking.open && text_.compare(begin, size, start, from, size) != 0;
}

// Ends the thoughts when the model does, or when they have become too long.
void Guide::think_on(llama_token token, Tokens & tokens) {
    if (strays()) {
        phase_   = Phase::Free;
        decided_ = true;
        return;
    }
    thought_++;
    for (const std::string & end : plan_.thinking.ends) {
        if (text_.find(end, text_.size() - std::min(text_.size() - thinking_begin_, end.size() + 16)) != std::string::npos) {
            phase_ = Phase::Free;
            return;
        }
    }
    const bool ended = llama_vocab_is_eog(vocabulary_->vocab, token);
    if ((ended || (plan_.max_thinking >= 0 && thought_ >= plan_.max_thinking)) && !plan_.think_end.empty()) {
        if (ended) {
            tokens.clear();
        }
        tokens.insert(tokens.end(), plan_.think_end.begin(), plan_.think_end.end());
        text_ += plan_.thinking.ends.front();
        phase_ = Phase::Free;
    }
}

// A call in the middle of an answer: from its first marker on the answer is bound.
void Guide::look_for_trigger() {
    size_t at = std::string::npos;
    for (const std::string & trigger : plan_.format->triggers) {
        const size_t from  = text_.size() - std::min(text_.size(), trigger.size() + 64);
        const size_t found = text_.find(trigger, from);
        if (plan_.format->only_first && found != text_.find_first_not_of(" \n")) {
            continue;
        }
        at = std::min(at, found);
    }
    for (const std::regex & pattern : plan_.format->patterns) {
        const std::string window = text_.substr(text_.size() - std::min(text_.size(), pattern_window));
        std::smatch       match;
        if (std::regex_search(window, match, pattern)) {
            const size_t group = match.size() > 1 && match[1].matched ? 1 : 0;
            at                 = std::min(at, text_.size() - window.size() + static_cast<size_t>(match.position(group)));
        }
    }
    if (at == std::string::npos) {
        return;
    }
    const std::string head = text_;
    bind(Phase::Call, plan_.format->grammar);
    bound_begin_ = at;
    if (!constraint_->accept_text(std::string_view(head).substr(at))) {
        constraint_.reset();
        phase_ = Phase::Free;
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
