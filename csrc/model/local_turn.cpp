#include "model/local_turn.h"

#include "answer/choice_tree.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "engine/token_prefix.h"
#include "media/encoder.h"
#include "tokens/media_token.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace luup {

namespace {

// How many tokens a model that was not taught to call tools may write of a call before its values show whether the call
// is meant.
constexpr int32_t longest_proposed_call = 2048;

// Scores the choices behind the prompt: it walks from one place where they differ to the next, and writes nothing.
class Scoring : public Completion {
  public:
    // `end`: a token to end with, which is not decoded.
    Scoring(std::shared_ptr<TurnListener> listener, ChoiceTree choices, llama_token end)
        : listener_(std::move(listener)), choices_(std::move(choices)), end_(end) {
        if (!choices_.done()) {
            path_ = choices_.path();
        }
        sampling.max_tokens    = -1;
        sampling.prompt_lookup = false;
        may_draft              = false;
    }

    // The tokens behind the prompt that all choices begin with.
    const std::vector<llama_token> & beginning() const { return path_; }

    void on_progress(int32_t, int32_t) override {}

    void choose(Sampler &, float * logits, Choice & choice) override {
        if (!choices_.done()) {
            choices_.take(logits);
        }
        if (choices_.done()) {
            choice.tokens = { end_ };
            return;
        }
        const std::vector<llama_token> next   = choices_.path();
        const size_t                   common = common_prefix(path_, next);
        choice.retracted                      = path_.size() - common;
        choice.tokens.assign(next.begin() + static_cast<std::ptrdiff_t>(common), next.end());
        path_ = next;
    }

    bool on_token(llama_token) override { return !choices_.done(); }

    void on_end(luup_finish_reason, const Failure & failure, const Metrics & metrics) override {
        std::vector<double>    scores;
        std::optional<Failure> lost;  // the reason if they are lost, such as a lack of memory
        try {
            scores = choices_.scores();
        } catch (...) {
            lost = current_failure();
        }
        const auto listener = std::move(listener_);
        listener->on_scores(scores, lost ? *lost : failure, metrics);
    }

  private:
    std::shared_ptr<TurnListener> listener_;  // until the end: it holds this completion, too
    ChoiceTree                    choices_;
    const llama_token             end_;
    std::vector<llama_token>      path_;  // the tokens behind the prompt so far
};

Prompt make_prompt(const LocalParts & model, const TurnRequest & request) {
    if (request.raw_prompt) {
        Prompt prompt;
        prompt.tokens = tokenize_text(model.vocab, *request.raw_prompt, true, false);
        return prompt;
    }
    return model.chat.render(request.messages, request.tools->empty() ? nullptr : request.tools.get(), true,
                             request.last_prompt, request.sampling.reasoning);
}

}  // namespace

LocalTurn::LocalTurn(LocalParts model, TurnRequest request)
    : model_(std::move(model)),
      request_(std::move(request)),
      prompt_(make_prompt(model_, request_)),
      prompt_tokens_(prompt_.tokens.size()) {
    request_.last_prompt = nullptr;
    request_.messages    = {};
}

TurnPrompt LocalTurn::prompt() const {
    return { text_of_tokens(model_.vocab, prompt_.tokens), prompt_.tokens };
}

AnswerPlan LocalTurn::make_plan() {
    const ChatTemplate & chat = model_.chat;
    AnswerPlan           plan;
    plan.thinking          = make_thinking_plan(chat, prompt_.thinking);
    plan.opening           = prompt_.opening;
    plan.output.confidence = request_.confidence;
    // Text that is decoded in one batch has no probabilities.
    plan.jump_forward = request_.sampling.jump_forward && !request_.sampling.wants_logprobs();
    if (request_.output) {
        // A fallback compiles no grammar: its models differ in their vocabularies.
        const auto format =
            request_.output->grammar ? request_.output : model_.compiled.output(request_.output->source, model_.vocab);
        plan.output.schema  = format->schema;
        plan.output.grammar = format->grammar;
    }
    CallPlan &          calls  = plan.calls;
    const std::string & choice = request_.tool_choice;
    if (!request_.tools->empty() && choice != "none") {
        const bool named = choice != "auto" && choice != "required";
        calls.mode       = choice == "auto" ? CallPlan::Mode::Auto : CallPlan::Mode::Required;
        calls.parallel   = request_.parallel_calls;
        calls.made       = std::move(request_.earlier_calls);
        calls.native     = chat.native_tools();
        calls.tools      = named ? request_.tools->only(choice) : request_.tools;
        calls.format     = chat.tool_format(*calls.tools, request_.parallel_calls);
        calls.given      = std::make_shared<const Grounding>(std::move(request_.said));
    }
    const int32_t max_tokens = request_.sampling.max_tokens;
    if (!calls.native) {  // at least one token of the answer is left for text
        calls.max_proposed = max_tokens > 0 ? std::min(longest_proposed_call, max_tokens - 1) : longest_proposed_call;
    }
    if (plan.thinking.can_end()) {
        plan.thinking.max_tokens = thinking_budget(plan.thinking.end.size());
    }
    return plan;
}

// Returns the most tokens of thoughts: as many as the user allows, and as the context holds beside the
// prompt and the answer. `end` is the number of tokens that end them.
int32_t LocalTurn::thinking_budget(size_t end) const {
    const int32_t room   = model_.engine.context_size() - static_cast<int32_t>(prompt_tokens_ + end);
    const int32_t answer = request_.sampling.max_tokens;
    const int32_t kept   = answer < 0 ? room / 2 : std::min(answer, room / 2);
    return std::max(std::min(request_.sampling.reasoning.budget(), room - kept), 0);
}

void LocalTurn::make_answer(std::shared_ptr<TurnListener> listener) {
    if (prompt_.tokens.empty()) {
        fail(LUUP_ERROR_CHAT_TEMPLATE, "the chat template made an empty prompt of the messages");
    }
    if (is_media(prompt_.tokens.back())) {
        fail(LUUP_ERROR_CHAT_TEMPLATE,
             "the chat template made a prompt that ends with a picture or sound, without text");
    }
    std::vector<MediaSpan> media = std::move(prompt_.media);
    resolve_logit_bias(request_.sampling.logit_bias, model_.vocab,
                       [&](std::string_view text) { return model_.vocabulary()->find(text); });
    adapters_           = model_.engine.adapters().find(request_.sampling.adapters);
    const size_t stable = prompt_.stable;
    if (request_.choices.empty()) {
        AnswerPlan answer     = make_plan();
        const auto vocabulary = answer.needs_guide() ? model_.vocabulary() : nullptr;
        answer_ = std::make_shared<Answer>(std::move(listener), model_.vocab, vocabulary, std::move(prompt_),
                                           std::move(answer), request_.sampling);
        completions_.push_back(answer_);
        answer_->stable = stable;
    } else {
        score_choices(listener);
    }
    add_media(std::move(media));
    if (request_.shared_prefix && model_.engine.keeps_prefixes()) {
        completions_.front()->prefix = common_prefix(request_.shared_prefix(model_.chat), completions_.front()->prompt);
    }
}

// Adds the pictures and sounds to the completions. Those that the context has already need not be encoded.
void LocalTurn::add_media(std::vector<MediaSpan> media) {
    size_t     cached  = 0;
    bool       asked   = false;
    const auto stopped = [] { return interruption() != nullptr; };
    for (MediaSpan & span : media) {
        if (!asked && !model_.encoder->has_vectors(span.file, span.chunk.index)) {
            cached = model_.engine.cached_tokens({ request_.owner, adapters_ }, completions_.front()->prompt);
            asked  = true;
        }
        if (span.end() > cached) {
            span.vectors = model_.encoder->vectors(span.file, span.chunk.index, stopped);
        }
    }
    for (const auto & completion : completions_) {
        completion->media = media;
    }
}

void LocalTurn::score_choices(const std::shared_ptr<TurnListener> & listener) {
    const auto                            vocabulary = model_.vocabulary();
    std::vector<std::vector<llama_token>> choices;
    for (size_t i = 0; i < request_.choices.size(); i++) {
        choices.push_back(tokenize_text(model_.vocab, request_.choices[i], false, false));
        if (!vocabulary->ends.empty()) {
            choices.back().push_back(vocabulary->ends.front());
        }
        const size_t length = prompt_.tokens.size() + choices.back().size();
        if (length > static_cast<size_t>(model_.engine.context_size())) {
            fail(LUUP_ERROR_CONTEXT_FULL, "the prompt and choices[%zu] have %zu tokens; the context holds %d", i,
                 length, model_.engine.context_size());
        }
    }
    const llama_token end     = vocabulary->ends.empty() ? 0 : vocabulary->ends.front();
    auto              scoring = std::make_shared<Scoring>(listener, ChoiceTree(std::move(choices)), end);
    scoring->prompt           = prompt_.tokens;
    scoring->prompt.insert(scoring->prompt.end(), scoring->beginning().begin(), scoring->beginning().end());
    scoring->stable = scoring->prompt.size() - 1;  // it goes back there, again and again
    completions_.push_back(std::move(scoring));
}

void LocalTurn::start(bool & admitted) {
    for (const auto & completion : completions_) {
        completion->key       = { request_.owner, adapters_ };
        completion->submitted = request_.begun.value_or(Clock::now());
        completion->priority  = request_.priority;
        completion->admitted  = std::exchange(admitted, true);
        completion->deadline  = request_.deadline;
        model_.engine.submit(completion);
    }
}

void LocalTurn::cancel() {
    for (const auto & completion : completions_) {
        completion->cancelled.store(true, std::memory_order_release);
    }
}

void LocalTurn::stop_thinking() {
    if (answer_) {
        answer_->stop_thinking();
    }
}

size_t LocalTurn::submitted_tokens() const {
    size_t tokens = 0;
    for (const auto & completion : completions_) {
        tokens += completion->prompt.size();
    }
    return tokens;
}

}  // namespace luup
