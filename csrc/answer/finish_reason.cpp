#include "answer/finish_reason.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>

namespace luup {

namespace {

bool is_one_of(const std::string & word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

ServerFinish read_finish_reason(const std::string & reason) {
    std::string word = reason.substr(reason.rfind('.') + 1);  // "FinishReason.MAX_TOKENS"
    std::transform(word.begin(), word.end(), word.begin(),
                   [](unsigned char c) { return c == '-' || c == ' ' ? '_' : static_cast<char>(std::tolower(c)); });
    if (is_one_of(word,
                  { "length", "limit", "max_length", "max_token", "max_tokens", "max_new_tokens", "max_output_tokens",
                    "max_completion_tokens", "max_tokens_reached", "model_length", "token_limit", "context_length",
                    "context_length_exceeded", "context_window", "model_context_window_exceeded" })) {
        return ServerFinish::Length;
    }
    if (is_one_of(word,
                  { "content_filter", "content_filtered", "safety", "recitation", "blocklist", "prohibited_content",
                    "spii", "image_safety", "sensitive", "guardrail_intervened", "guardrails", "refusal" })) {
        return ServerFinish::Filter;
    }
    if (is_one_of(word,
                  { "error", "error_toxic", "failed", "failure", "server_error", "network_error", "abort", "aborted",
                    "cancel", "canceled", "cancelled", "timeout", "interrupted", "insufficient_system_resource",
                    "malformed_function_call", "unexpected_tool_call", "repetition" }) ||
        word.find("malformed_function_call") != std::string::npos) {
        return ServerFinish::Failed;
    }
    return ServerFinish::Stop;
}

}  // namespace luup
