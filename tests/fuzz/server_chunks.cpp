// The chunks of a server's stream, separated by zero bytes. The answer ends exactly once.
#include "answer/chat_completion_stream.h"

#include "base/text.h"
#include "target.h"

#include <nlohmann/json.hpp>

using namespace luup;

namespace {

class Listener : public Answer::Listener {
  public:
    void on_answer_progress(int32_t, int32_t) override {}

    void on_answer_text(const std::string & reasoning, const std::string & text, int32_t) override {
        MUST(!ended);
        MUST(utf8_find_invalid(reasoning) == std::string_view::npos &&
             utf8_find_invalid(text) == std::string_view::npos);
    }

    void on_answer_end(AnswerResult result, luup_finish_reason, const Failure & failure, const Metrics &) override {
        MUST(!ended);
        MUST(failure.code != LUUP_ERROR_INTERNAL);
        MUST(utf8_find_invalid(result.content) == std::string_view::npos);
        ended = true;
    }

    bool ended = false;
};

}  // namespace

FUZZ_TARGET() {
    const auto           listener = std::make_shared<Listener>();
    ChatCompletionStream stream(listener, nullptr, nullptr, Clock::now());
    for (const std::string_view chunk : split(input, 1)) {
        if (!stream.push(std::string(chunk))) {
            break;
        }
    }
    stream.end({});
    MUST(listener->ended);
}
