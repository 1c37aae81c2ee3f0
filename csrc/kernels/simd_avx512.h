// AVX-512 with VNNI: 16 lanes. simd_avx2.h has the same functions for 8.
#pragma once

namespace luup::kernels {

using Ints   = __m512i;
using Floats = __m512;

inline Ints zero_ints() {
    return _mm512_setzero_si512();
}
inline Floats zero_floats() {
    return _mm512_setzero_ps();
}
inline Ints repeat(int32_t value) {
    return _mm512_set1_epi32(value);
}
inline Floats repeat(float value) {
    return _mm512_set1_ps(value);
}

inline Ints load(const void * bytes) {
    return _mm512_loadu_si512(bytes);
}
inline Floats load_floats(const float * from) {
    return _mm512_loadu_ps(from);
}
inline Floats load_halves(const void * from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i *>(from)));
}
inline Floats load_unsigned_bytes(const void * from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(from))));
}
inline Floats load_signed_bytes(const void * from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i *>(from))));
}
inline void store(float * to, Floats value) {
    _mm512_storeu_ps(to, value);
}

inline Floats to_floats(Ints value) {
    return _mm512_cvtepi32_ps(value);
}
inline Floats nearest(Floats value) {
    return _mm512_roundscale_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Ints add(Ints a, Ints b) {
    return _mm512_add_epi32(a, b);
}
inline Floats add(Floats a, Floats b) {
    return _mm512_add_ps(a, b);
}
inline Floats subtract(Floats a, Floats b) {
    return _mm512_sub_ps(a, b);
}
inline Floats multiply(Floats a, Floats b) {
    return _mm512_mul_ps(a, b);
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm512_fmadd_ps(a, b, c);
}
inline Floats times_power_of_two(Floats value, Floats exponent) {
    return _mm512_scalef_ps(value, exponent);
}
inline Floats largest(Floats a, Floats b) {
    return _mm512_max_ps(a, b);
}
inline float largest_lane(Floats value) {
    return _mm512_reduce_max_ps(value);
}
inline float sum_of_lanes(Floats value) {
    return _mm512_reduce_add_ps(value);
}

// What the four bits of each byte are, low or high.
inline Ints low_nibbles(Ints bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(15));
}
inline Ints high_nibbles(Ints bytes) {
    return _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
}

// `bytes` with the bits of `more` that are in `Mask`, once that is shifted left by `Shift` (right, if negative).
template <int Shift, int Mask>
inline Ints with_bits(Ints bytes, Ints more) {
    const Ints placed = Shift >= 0 ? _mm512_slli_epi16(more, Shift >= 0 ? Shift : 0) : _mm512_srli_epi16(more, Shift >= 0 ? 0 : -Shift);
    return _mm512_ternarylogic_epi32(bytes, placed, _mm512_set1_epi8(Mask), 0xF8);  // bytes | (placed & Mask)
}

// Products of unsigned and signed bytes, added up four to a lane. Without VNNI two to 16 bits, and `widen` makes lanes of these: the caller does so
// before they can overflow.
inline Ints add_products(Ints sum, Ints unsigned_bytes, Ints signed_bytes) {
    return _mm512_dpbusd_epi32(sum, unsigned_bytes, signed_bytes);
}
inline Ints widen(Ints sum) {
    return sum;
}
Ints add_signed_products(Ints sum, Ints a, Ints b);  // needed, and there, only without VNNI

inline float largest_magnitude(const float * x) {  // of 16 floats
    return _mm512_reduce_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x)));
}

// 16 floats times `scale`, rounded to the nearest signed byte; returns the sum of the bytes.
inline int32_t round_to_bytes(const float * x, float scale, int8_t * bytes) {
    const Ints rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(scale)));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(bytes), _mm512_cvtepi32_epi8(rounded));
    return _mm512_reduce_add_epi32(rounded);
}

// Whether `2 * lanes` half floats are minus infinity.
inline bool all_minus_infinity(const uint16_t * halves) {
    return _mm512_cmpeq_epi16_mask(_mm512_loadu_si512(halves), _mm512_set1_epi16(static_cast<short>(minus_infinity))) == 0xFFFFFFFFu;
}

}  // namespace luup::kernels
