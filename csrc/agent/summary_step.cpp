#include "agent/summary_step.h"

#include "agent/outcome.h"
#include "base/error.h"
#include "base/log.h"

#include <algorithm>

namespace luup {

namespace {

constexpr float temperature = 0.2f;

bool is_blank(const std::string & text) {
    return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c <= ' '; });
}

// The length of the prompt once the first `cut` messages of the history are gone, the summary itself left out; none if
// only the server knows.
std::optional<size_t> size_without(const SingleModel & model, const Transcript & transcript, const RunRequest & request,
                                   size_t cut) {
    const auto           begin = transcript.base.begin() + static_cast<std::ptrdiff_t>(transcript.history_begin());
    const auto           pair  = summary_messages("");
    std::vector<Message> messages(transcript.base.begin(), begin);
    messages.insert(messages.end(), pair.begin(), pair.end());
    messages.insert(messages.end(), begin + static_cast<std::ptrdiff_t>(cut), transcript.base.end());
    messages.insert(messages.end(), transcript.added.begin(), transcript.added.end());
    return model.prompt_size(messages, *request.tools, request.sampling.reasoning);
}

}  // namespace

bool SummaryStep::plan(const SingleModel & model, const Transcript & transcript, const RunRequest & request,
                       const Summarization::Settings & settings, size_t prompt_tokens) {
    const int32_t total  = model.context_size();
    const int32_t answer = std::min(std::max(request.sampling.max_tokens, 0), total / 2);  // tokens kept free for it
    const size_t  limit  = static_cast<size_t>(
        std::min(static_cast<int32_t>(settings.threshold * static_cast<float>(total)), total - answer));
    if (!settings.due && (!settings.enabled || prompt_tokens <= limit)) {
        return false;
    }
    const auto history = transcript.history();
    const auto cuts    = possible_cuts(history, settings.keep, request.message.has_value());
    if (cuts.empty()) {
        return false;
    }
    const auto rest  = [&](size_t cut) { return size_without(model, transcript, request, cut); };
    const auto least = rest(cuts.back());
    if (least && *least >= static_cast<size_t>(total)) {
        return false;  // the message is too long by itself: no summary makes room for it
    }
    const size_t room = static_cast<size_t>(Summarizer::room_for_summary(total));
    size_t       cut  = 0;
    for (const size_t candidate : { cuts.front(), cuts[cuts.size() / 2], cuts.back() }) {
        const auto size = least ? rest(candidate) : std::nullopt;
        if (!size || *size + room <= limit) {
            cut = candidate;
            break;
        }
    }
    if (cut == 0) {  // the messages that stay exceed the limit by themselves
        if (!settings.due && prompt_tokens + static_cast<size_t>(answer) <= static_cast<size_t>(total)) {
            return false;
        }
        cut = cuts.back();
    }
    by_host_    = settings.by_host;
    summarizer_ = std::make_unique<Summarizer>(
        std::vector<Message>(history.begin(), history.begin() + static_cast<std::ptrdiff_t>(cut)), total,
        [&](const std::string & text) { return model.count_tokens(text); });
    return true;
}

TurnRequest SummaryStep::request(uint32_t seed) const {
    TurnRequest request;
    request.messages                      = summarizer_->prompt();
    request.tools                         = std::make_shared<const ToolSet>(std::vector<Tool>());
    request.tool_choice                   = "none";
    request.parallel_calls                = false;
    request.sampling.temperature          = temperature;
    request.sampling.seed                 = seed;
    request.sampling.max_tokens           = summarizer_->max_tokens();
    request.sampling.reasoning.max_tokens = summarizer_->max_tokens();
    return request;
}

void SummaryStep::count(const Metrics & metrics) {
    add(metrics_, metrics);
}

void SummaryStep::take(const std::string & text, const Failure & failure) {
    if (failure.code != LUUP_SUCCESS || !summarizer_->take(text)) {
        gave_up_ = true;
        log_write(LUUP_LOG_WARN, "the conversation could not be summarized: " +
                                     (failure.code != LUUP_SUCCESS ? failure.message : "the model wrote nothing"));
    }
}

void SummaryStep::take_from_host(const std::optional<std::string> & summary) {
    if (summary && is_blank(*summary)) {
        fail(LUUP_ERROR_INVALID_PARAM, "the summary is empty");
    }
    if (summary) {
        summarizer_->set_summary(*summary);
    }
    by_host_ = false;
}

SummaryStep::Inserted SummaryStep::insert(Transcript & transcript) {
    auto &         base     = transcript.base;
    const auto     begin    = base.begin() + static_cast<std::ptrdiff_t>(transcript.history_begin());
    const auto     messages = summary_messages(summarizer_->summary());
    const Inserted inserted = { summarizer_->summary(), static_cast<int32_t>(summarizer_->old().size()),
                                static_cast<int32_t>(base.end() - begin) };
    base.insert(base.erase(begin, begin + inserted.replaced), messages.begin(), messages.end());
    inserted_ = true;
    log_write(LUUP_LOG_INFO, "a summary replaced the " + std::to_string(inserted.replaced) +
                                 " oldest of the conversation's " + std::to_string(inserted.messages) + " messages");
    return inserted;
}

}  // namespace luup
