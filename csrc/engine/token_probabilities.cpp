#include "engine/token_probabilities.h"

#include "base/json.h"
#include "base/text.h"
#include "engine/logits.h"
#include "tokens/tokenizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace luup {

namespace {

// JSON has no infinity: a logit of minus infinity is written as OpenAI does it.
constexpr double impossible = -9999;

Json entry(llama_token token, double logprob, const llama_vocab * vocab) {
    const std::string text  = token_bytes(vocab, token, true);
    Json              bytes = Json::array();
    for (const char c : text) {
        bytes.push_back(static_cast<unsigned char>(c));
    }
    return { { "token", utf8_sanitize(text) }, { "id", token }, { "logprob", logprob }, { "bytes", bytes } };
}

}  // namespace

TokenProbabilities token_probabilities(const std::vector<float> & logits, llama_token token, size_t top,
                                       std::vector<llama_token> & scratch) {
    const double sum     = log_sum_exp(logits.data(), static_cast<int32_t>(logits.size()));
    const auto   logprob = [&](llama_token t) {
        const double value = logits[static_cast<size_t>(t)] - sum;
        return std::isfinite(value) ? value : impossible;
    };
    TokenProbabilities result = { token, logprob(token), {} };
    top                       = std::min(top, logits.size());
    if (top > 0) {
        scratch.resize(logits.size());
        std::iota(scratch.begin(), scratch.end(), 0);
        const auto likelier = [&](llama_token a, llama_token b) {
            return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)] ||
                   (logits[static_cast<size_t>(a)] == logits[static_cast<size_t>(b)] && a < b);
        };
        std::partial_sort(scratch.begin(), scratch.begin() + static_cast<std::ptrdiff_t>(top), scratch.end(), likelier);
        for (size_t i = 0; i < top; i++) {
            result.top.emplace_back(scratch[i], logprob(scratch[i]));
        }
    }
    return result;
}

std::string probabilities_json(const TokenProbabilities & probabilities, const llama_vocab * vocab) {
    Json value = entry(probabilities.token, probabilities.logprob, vocab);
    Json top   = Json::array();
    for (const auto & [token, logprob] : probabilities.top) {
        top.push_back(entry(token, logprob, vocab));
    }
    value["top_logprobs"] = std::move(top);
    return value.dump();
}

}  // namespace luup
