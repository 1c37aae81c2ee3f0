// The numbers that stand for pictures among tokens.
#include "check.h"
#include "tokens/media_token.h"

#include <set>
#include <vector>

using namespace luup;

CASE(media_tokens_are_no_tokens_of_a_vocabulary) {
    std::set<llama_token> seen;
    for (uint64_t hash = 0; hash < 2000; hash++) {
        for (const bool last : { false, true }) {
            for (const bool takes : { false, true }) {
                const llama_token token = media_token::make(hash * 0x9E3779B97F4A7C15ull, last, takes);
                CHECK(is_media(token) && token != LLAMA_TOKEN_NULL);
                CHECK(media_token::is_last(token) == last && media_token::takes_position(token) == takes);
                seen.insert(token);
            }
        }
    }
    CHECK(seen.size() > 7990);
    CHECK(media_token::make(UINT64_MAX, true, true) != LLAMA_TOKEN_NULL);
    CHECK(!is_media(0) && media_token::takes_position(0));
}

CASE(lengths_and_positions_of_chunks) {
    const llama_token inner = media_token::make(1, false, false), counted = media_token::make(2, false, true),
                      last = media_token::make(3, true, true);
    // Four tokens at two positions, then two at two.
    const std::vector<llama_token> tokens      = { 5, inner, inner, counted, last, 6, counted, last };
    const size_t                   whole[]     = { 0, 1, 1, 1, 1, 5, 6, 6, 8 };
    const llama_pos                positions[] = { 0, 1, 1, 1, 2, 3, 4, 5, 6 };
    for (size_t length = 0; length <= tokens.size(); length++) {
        CHECK(whole_chunks(tokens, length) == whole[length]);
        CHECK(position_behind(tokens, length) == positions[length]);
    }
}
