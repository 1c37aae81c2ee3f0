// The numbers that stand for pictures and sound among the tokens of a prompt: negative ones, which no vocabulary has.
// They are made of the file's hash, so that equal files have equal tokens, and whatever compares tokens (the cache of
// prefixes, forks, saved agents) treats pictures as it treats text.
#pragma once

#include "llama.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace luup {

inline bool is_media(llama_token token) {
    return token < 0;
}

namespace media_token {

constexpr uint32_t media  = 1u << 31;
constexpr uint32_t last   = 1u << 30;  // the end of a chunk, which is decoded whole or not at all
constexpr uint32_t counts = 1u << 29;  // it takes a position; with M-RoPE a picture has fewer positions than tokens

inline llama_token make(uint64_t hash, bool is_last, bool takes_position) {
    const uint32_t low = static_cast<uint32_t>(hash ^ hash >> 32) & (counts - 1);
    // All bits set would be LLAMA_TOKEN_NULL.
    return static_cast<llama_token>(media | (is_last ? last : 0) | (takes_position ? counts : 0) |
                                    (low == counts - 1 ? 0 : low));
}

inline bool is_last(llama_token token) {
    return (static_cast<uint32_t>(token) & last) != 0;
}

inline bool takes_position(llama_token token) {
    return token >= 0 || (static_cast<uint32_t>(token) & counts) != 0;
}

}  // namespace media_token

// Returns the greatest length <= `length` that ends in no chunk's middle.
inline size_t whole_chunks(const std::vector<llama_token> & tokens, size_t length) {
    while (length > 0 && is_media(tokens[length - 1]) && !media_token::is_last(tokens[length - 1])) {
        length--;
    }
    return length;
}

// Returns the position of the token behind the first `length` ones.
inline llama_pos position_behind(const std::vector<llama_token> & tokens, size_t length) {
    llama_pos position = 0;
    for (size_t i = 0; i < length; i++) {
        position += media_token::takes_position(tokens[i]);
    }
    return position;
}

}  // namespace luup
