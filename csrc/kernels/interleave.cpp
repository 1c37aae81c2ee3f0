#include "interleaved.h"
#include "layout.h"

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"
#include "ggml-impl.h"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

namespace luup::kernels {

namespace {

// Write the 32 quants of a block as unsigned bytes. Of one of ggml's blocks of 256, write the `part`-th 32.
void unpack_nibbles(const uint8_t * from, uint8_t * quants) {
    for (int i = 0; i < 16; i++) {
        quants[i]      = from[i] & 15;
        quants[i + 16] = from[i] >> 4;
    }
}

void add_fifth_bits(const uint8_t * from, uint8_t * quants) {
    uint32_t bits;
    std::memcpy(&bits, from, sizeof(bits));
    for (int i = 0; i < block; i++) {
        quants[i] |= static_cast<uint8_t>((bits >> i & 1) << 4);
    }
}

void unpack(const block_q4_0 & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
}
void unpack(const block_q4_1 & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
}

void unpack(const block_q5_0 & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
    add_fifth_bits(from.qh, quants);
}

void unpack(const block_q5_1 & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
    add_fifth_bits(from.qh, quants);
}

void unpack(const block_q8_0 & from, int64_t, uint8_t * quants) {
    for (int i = 0; i < block; i++) {
        quants[i] = static_cast<uint8_t>(from.qs[i] + Q8_0::Scales::zero);
    }
}

void unpack(const block_q4_K & from, int64_t part, uint8_t * quants) {
    for (int i = 0; i < block; i++) {
        quants[i] = from.qs[part / 2 * 32 + i] >> (part % 2 * 4) & 15;
    }
}

void unpack(const block_q5_K & from, int64_t part, uint8_t * quants) {
    for (int i = 0; i < block; i++) {
        quants[i] =
            static_cast<uint8_t>((from.qs[part / 2 * 32 + i] >> (part % 2 * 4) & 15) | (from.qh[i] >> part & 1) << 4);
    }
}

void unpack(const block_q6_K & from, int64_t part, uint8_t * quants) {
    const uint8_t * low  = from.ql + part / 4 * 64 + part % 2 * 32;
    const uint8_t * high = from.qh + part / 4 * 32;
    for (int i = 0; i < block; i++) {
        quants[i] = static_cast<uint8_t>((low[i] >> (part % 4 / 2 * 4) & 15) | (high[i] >> (part % 4 * 2) & 3) << 4);
    }
}

void unpack(const block_iq4_nl & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
}
void unpack(const block_iq4_xs & from, int64_t part, uint8_t * quants) {
    unpack_nibbles(from.qs + part * 16, quants);
}
void unpack(const block_mxfp4 & from, int64_t, uint8_t * quants) {
    unpack_nibbles(from.qs, quants);
}

// Writes one row's part of a group's block of quants.
template <int Bits> void put_quants(const uint8_t * quants, int lane, uint8_t * to) {
    const auto put = [&](int vector, const uint8_t * four) { std::memcpy(to + (vector * lanes + lane) * 4, four, 4); };
    if constexpr (Bits == 8) {
        for (int j = 0; j < 8; j++) {
            put(j, quants + 4 * j);
        }
        return;
    }
    uint8_t low[16], high[8] = {};
    for (int i = 0; i < 16; i++) {
        low[i] = static_cast<uint8_t>((quants[i] & 15) | (quants[i + 16] & 15) << 4);
    }
    for (int j = 0; j < 4; j++) {
        put(j, low + 4 * j);
    }
    if constexpr (Bits == 5) {  // bit j of byte i: the fifth bit of column 4j + i
        for (int column = 0; column < block; column++) {
            high[column % 4] |= static_cast<uint8_t>(quants[column] >> 4 << column / 4);
        }
        put(4, high);
    }
    if constexpr (Bits == 6) {  // two bits per column; those of the last 16 columns are in a second vector
        for (int column = 0; column < block; column++) {
            high[column / 16 * 4 + column % 4] |= static_cast<uint8_t>(quants[column] >> 4 << column % 16 / 4 * 2);
        }
        put(4, high);
        put(5, high + 4);
    }
}

// Write one row's scales of the i-th block of a chunk of `count` blocks; `to` is the beginning of the chunk.
template <class Block, int Zero>
void put_scales(Scale<Zero>, const Block & from, int64_t i, int64_t, int lane, uint8_t * to) {
    std::memcpy(to + (i * lanes + lane) * 2, &from.d, 2);
}

template <class Block>
void put_scales(ScaleAndOffset, const Block & from, int64_t i, int64_t count, int lane, uint8_t * to) {
    const auto * halves = reinterpret_cast<const ggml_half *>(&from);  // the block begins with the scale and the offset
    std::memcpy(to + (i * lanes + lane) * 2, halves, 2);
    std::memcpy(to + ((count + i) * lanes + lane) * 2, halves + 1, 2);
}

template <class Block>
void put_scales(SuperScaleAndOffset, const Block & from, int64_t i, int64_t, int lane, uint8_t * to) {
    const auto * halves = reinterpret_cast<const ggml_half *>(&from);
    std::memcpy(to + lane * 2, halves, 2);
    std::memcpy(to + (lanes + lane) * 2, halves + 1, 2);
    const uint8_t * packed  = from.scales;  // 6 bits each, as ggml packs them
    uint8_t * const scales  = to + lanes * 4;
    uint8_t * const offsets = scales + chunk * lanes;
    scales[i * lanes + lane] =
        i < 4 ? packed[i] & 63 : static_cast<uint8_t>((packed[i + 4] & 15) | packed[i - 4] >> 6 << 4);
    offsets[i * lanes + lane] =
        i < 4 ? packed[i + 4] & 63 : static_cast<uint8_t>(packed[i + 4] >> 4 | packed[i] >> 6 << 4);
}

void put_scales(SuperScaleOfHalves, const block_q6_K & from, int64_t i, int64_t, int lane, uint8_t * to) {
    std::memcpy(to + lane * 2, &from.d, 2);
    for (int half = 0; half < 2; half++) {
        std::memcpy(to + lanes * 2 + (2 * i + half) * lanes + lane, from.scales + 2 * i + half, 1);
    }
}

template <int Zero>
void put_scales(SuperScale<Zero>, const block_iq4_xs & from, int64_t i, int64_t, int lane, uint8_t * to) {
    const int low = from.scales_l[i / 2] >> (i % 2 * 4) & 15, high = from.scales_h >> (i * 2) & 3;
    std::memcpy(to + lane * 2, &from.d, 2);
    to[lanes * 2 + i * lanes + lane] = static_cast<uint8_t>(static_cast<int8_t>((low | high << 4) - 32));
}

template <int Zero>
void put_scales(PowerOfTwo<Zero>, const block_mxfp4 & from, int64_t i, int64_t, int lane, uint8_t * to) {
    to[i * lanes + lane] = from.e;
}

template <class Layout, class Block>
void interleave_groups(const Block * from, int64_t columns, int64_t first, int64_t last, uint8_t * to) {
    const int64_t blocks = columns / block, parts = Layout::Scales::parts;
    to += first * static_cast<int64_t>(Layout::bytes(blocks));
    for (int64_t group = first; group < last; group++) {
        for (int64_t begin = 0; begin < blocks; begin += chunk) {
            const int64_t   count  = std::min<int64_t>(chunk, blocks - begin);
            uint8_t * const quants = to + Layout::Scales::bytes(count);
            for (int lane = 0; lane < lanes; lane++) {
                const Block * row = from + (group * lanes + lane) * (blocks / parts);
                for (int64_t i = 0; i < count; i++) {
                    const Block & source = row[(begin + i) / parts];
                    uint8_t       unpacked[block];
                    unpack(source, i % parts, unpacked);
                    put_quants<Layout::bits>(unpacked, lane, quants + i * static_cast<int64_t>(Layout::quants));
                    put_scales(typename Layout::Scales(), source, i, count, lane, to);
                }
            }
            to += Layout::bytes(count);
        }
    }
}

// Calls work(first, last) for parts of `count`, in several threads if that is faster.
template <class Work> void share_out(int64_t count, int64_t bytes, Work work) {
    const int64_t processors = std::max<int64_t>(1, std::thread::hardware_concurrency());
    // A thread is worth its start from a megabyte on.
    const int64_t            parts = std::min({ processors, int64_t(16), count, bytes >> 20 });
    std::vector<std::thread> threads;
    int64_t                  done = 0;
    try {
        for (int64_t part = 0; part + 1 < parts; part++) {
            const int64_t end = count * (part + 1) / parts;
            threads.emplace_back(work, done, end);
            done = end;
        }
    } catch (const std::system_error &) {
        // The system has no more threads: this one does the rest.
    }
    work(done, count);
    for (auto & thread : threads) {
        thread.join();
    }
}

// Calls visit(ggml's block, our layout).
template <class Visitor> auto with_layout(ggml_type type, Visitor visit) {
#define VISIT(format, ggml_block) \
    case GGML_TYPE_##format: return visit(static_cast<const ggml_block *>(nullptr), format());
    switch (type) {
        LUUP_KERNEL_FORMATS(VISIT)
        default: GGML_ABORT("no layout for %s", ggml_type_name(type));
    }
#undef VISIT
}

}  // namespace

bool can_interleave(const ggml_tensor * weights) {
#define IS_ONE(format, ggml_block) || weights->type == GGML_TYPE_##format
    const bool has_layout = false LUUP_KERNEL_FORMATS(IS_ONE);
#undef IS_ONE
    return has_layout && weights->ne[0] % ggml_blck_size(weights->type) == 0 && weights->ne[1] % lanes == 0 &&
           weights->ne[3] == 1;
}

size_t interleaved_bytes(const ggml_tensor * weights) {
    return with_layout(weights->type, [&](auto *, auto layout) {
        return static_cast<size_t>(ggml_nrows(weights) / lanes) * decltype(layout)::bytes(weights->ne[0] / block);
    });
}

void interleave(const ggml_tensor * weights, const void * rows, void * to) {
    with_layout(weights->type, [&](auto * type, auto layout) {
        const auto * from = static_cast<decltype(type)>(rows);
        share_out(
            ggml_nrows(weights) / lanes, static_cast<int64_t>(ggml_nbytes(weights)), [=](int64_t first, int64_t last) {
                interleave_groups<decltype(layout)>(from, weights->ne[0], first, last, static_cast<uint8_t *>(to));
            });
    });
}

}  // namespace luup::kernels
