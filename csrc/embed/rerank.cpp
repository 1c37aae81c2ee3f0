// The scores of documents for a query: by a model that ranks, or by the cosine of vectors.
#include "embed/close_after.h"
#include "embed/embedder.h"
#include "embed/normalize.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace luup {

void Embedder::rerank(const std::string & query, const std::vector<std::string> & documents,
                      const luup_embed_params & params, float * scores, int32_t * n_tokens) {
    Call call(params, closing_, documents.size());
    begin();
    const CloseAfter after(*this, closing_);
    const bool       ranks = pooling_ == LLAMA_POOLING_TYPE_RANK;

    Tokens              of_query;
    std::vector<Tokens> tokens;
    if (ranks) {
        tokens = tokenize_each(call, documents.size(), [&](size_t i) {
            return rank_prompt_->tokenize(name_of("documents", i), query, documents[i], params.truncate);
        });
        compute(call, tokens, [&](size_t i, const float * numbers) { scores[i] = numbers[0]; });
    } else {
        tokens                   = tokenize_each(call, documents.size() + 1, [&](size_t i) {
            return limit_->tokenize(i == 0 ? "query" : name_of("documents", i - 1), i == 0 ? query : documents[i - 1],
                                    params.truncate);
        });
        const auto         width = static_cast<size_t>(dimensions());
        std::vector<float> first(width), vector(width);
        compute(call, tokens, [&](size_t i, const float * numbers) {
            std::vector<float> & target = i == 0 ? first : vector;
            std::copy_n(numbers, width, target.begin());
            normalize(target.data(), width);
            if (i > 0) {
                scores[i - 1] = std::inner_product(first.begin(), first.end(), vector.begin(), 0.0f);
            }
        });
        of_query = std::move(tokens.front());
        tokens.erase(tokens.begin());
    }
    if (n_tokens) {
        n_tokens[0] = static_cast<int32_t>(of_query.size());
        for (size_t i = 0; i < tokens.size(); i++) {
            n_tokens[i + 1] = static_cast<int32_t>(tokens[i].size());
        }
    }
}

}  // namespace luup
