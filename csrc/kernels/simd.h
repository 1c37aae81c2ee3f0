// The registers that the kernels use: the widest with the instructions that they need, with `lanes` lanes of 32 bits.
#pragma once

#include "layout.h"

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#if defined(_MSC_VER) && !defined(__clang__)
#    define LUUP_INLINED __forceinline
#    define LUUP_NOT_INLINED __declspec(noinline)
#else
#    define LUUP_INLINED __attribute__((always_inline)) inline
#    define LUUP_NOT_INLINED __attribute__((noinline))
#endif

// Precedes a loop over values that must stay in registers.
#if defined(__clang__)
#    define LUUP_UNROLLED _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#    define LUUP_UNROLLED _Pragma("GCC unroll 16")
#else
#    define LUUP_UNROLLED
#endif

// Keeps the compiler from adding up several products before it adds them to a sum: all of them would wait in memory.
#if defined(__GNUC__)
#    define LUUP_NOT_REORDERED(vector) __asm__("" : "+v"(vector))
#else
#    define LUUP_NOT_REORDERED(vector)
#endif

namespace luup::kernels {

constexpr uint16_t minus_infinity = 0xFC00;  // as a half float

enum class Masked { none, some, all };

// Returns two 16-bit numbers as one of 32 bits.
inline int32_t pair(const int16_t * two) {
    int32_t both;
    std::memcpy(&both, two, sizeof(both));
    return both;
}

// Prefetch into the first-level or the second-level cache.
inline void prefetch(const void * bytes) {
    _mm_prefetch(static_cast<const char *>(bytes), _MM_HINT_T0);
}
inline void prefetch_second(const void * bytes) {
    _mm_prefetch(static_cast<const char *>(bytes), _MM_HINT_T1);
}

}  // namespace luup::kernels

#if LUUP_KERNEL_LANES == 16
#    include "simd_avx512.h"
#else
#    include "simd_avx2.h"
#endif

namespace luup::kernels {

// Returns e^x for x <= 0, at least e^-87 = 2e-38: 2^(whole part of y) times a series for the rest, with y = x / ln 2.
inline Floats exponential(Floats x) {
    const Floats y     = multiply(largest(x, repeat(-87.0f)), repeat(1.44269504f));
    const Floats whole = nearest(y);
    const Floats f     = multiply(subtract(y, whole), repeat(0.693147181f));
    Floats       sum   = multiply_add(repeat(0.00138888889f), f, repeat(0.00833333333f));
    sum                = multiply_add(sum, f, repeat(0.0416666667f));
    sum                = multiply_add(sum, f, repeat(0.166666667f));
    sum                = multiply_add(sum, f, repeat(0.5f));
    sum                = multiply_add(sum, f, repeat(1.0f));
    sum                = multiply_add(sum, f, repeat(1.0f));
    return times_power_of_two(sum, whole);
}

}  // namespace luup::kernels
