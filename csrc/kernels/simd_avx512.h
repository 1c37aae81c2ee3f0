// AVX-512, with VNNI if the CPU has it: 16 lanes. simd_avx2.h has the same functions for 8 lanes.
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
// Returns 2^(byte - 128) for each lane, and 0 for the bytes 0 and 1.
inline Floats load_powers_of_two(const void * from) {
    const __m128i bytes = _mm_subs_epu8(_mm_loadu_si128(static_cast<const __m128i *>(from)), _mm_set1_epi8(1));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(bytes), 23));
}
inline void store(float * to, Floats value) {
    _mm512_storeu_ps(to, value);
}
inline void store(int16_t * to, Ints value) {
    _mm512_storeu_si512(to, value);
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
template <int Bits> inline Ints shift_left(Ints value) {
    return _mm512_slli_epi32(value, Bits);
}
inline Ints subtract_words(Ints a, Ints b) {
    return _mm512_sub_epi16(a, b);
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

// Returns in each quarter the sums of its lanes in the four registers.
inline Floats sums_of_quarters(const Floats (&of)[4]) {
    const Floats ab = _mm512_add_ps(_mm512_unpacklo_ps(of[0], of[1]), _mm512_unpackhi_ps(of[0], of[1]));
    const Floats cd = _mm512_add_ps(_mm512_unpacklo_ps(of[2], of[3]), _mm512_unpackhi_ps(of[2], of[3]));
    return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
}

// Returns the sums of the lanes of 16 registers, given the sums of their quarters.
inline Floats sums_of_lanes(const Floats (&fours)[4]) {
    const Floats low =
        _mm512_add_ps(_mm512_shuffle_f32x4(fours[0], fours[1], 0x88), _mm512_shuffle_f32x4(fours[0], fours[1], 0xDD));
    const Floats high =
        _mm512_add_ps(_mm512_shuffle_f32x4(fours[2], fours[3], 0x88), _mm512_shuffle_f32x4(fours[2], fours[3], 0xDD));
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xDD));
}

// Return the low or the high four bits of each byte.
inline Ints low_nibbles(Ints bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi8(15));
}
inline Ints high_nibbles(Ints bytes) {
    return _mm512_and_si512(_mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
}

// Returns for each byte, which is less than 16, its value.
inline Ints look_up(const uint8_t (&values)[16], Ints bytes) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i *>(values));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(sixteen), bytes);
}

// Returns `bytes` with those bits of `more` that are in `Mask` after a shift left by `Shift` (right if it is negative).
template <int Shift, int Mask> inline Ints with_bits(Ints bytes, Ints more) {
    const Ints placed =
        Shift >= 0 ? _mm512_slli_epi16(more, Shift >= 0 ? Shift : 0) : _mm512_srli_epi16(more, Shift >= 0 ? 0 : -Shift);
    return _mm512_ternarylogic_epi32(bytes, placed, _mm512_set1_epi8(Mask), 0xF8);  // bytes | (placed & Mask)
}

// Return the first and the third of a lane's four unsigned bytes, or the second and the fourth, as 16-bit numbers.
inline Ints even_bytes(Ints bytes) {
    return _mm512_and_si512(bytes, _mm512_set1_epi16(255));
}
inline Ints odd_bytes(Ints bytes) {
    return _mm512_srli_epi16(bytes, 8);
}

// Adds to each lane the products of its two 16-bit numbers in `a` with those in `b`.
inline Ints add_products(Ints sum, Ints a, Ints b) {
#if defined(__AVX512VNNI__) && defined(__clang__)
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
#elif defined(__AVX512VNNI__)
    return _mm512_dpwssd_epi32(sum, a, b);
#else
    sum = _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
    LUUP_NOT_REORDERED(sum);
    return sum;
#endif
}

// Adds to each lane the products of its two 16-bit numbers in `a` with those at `b`. Assembly for clang, which would
// split the intrinsic into two instructions for a shorter chain; the callers have enough independent chains.
inline Ints add_products(Ints sum, Ints a, const int32_t * b) {
#if defined(__AVX512VNNI__) && defined(__clang__)
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(a), "m"(*b));
    return sum;
#elif defined(__AVX512VNNI__)
    return _mm512_dpwssd_epi32(sum, a, repeat(*b));
#else
    return add_products(sum, a, repeat(*b));
#endif
}

inline float largest_magnitude(const float * x) {  // of 32 floats
    return _mm512_reduce_max_ps(
        _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x)), _mm512_abs_ps(_mm512_loadu_ps(x + 16))));
}

// Stores 16 floats times `factor`, rounded to 16 bits, with the second and the third of each four exchanged. Returns
// their sum.
inline int32_t round_to_words(const float * x, float factor, int16_t * words) {
    const Ints rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), _mm512_set1_ps(factor)));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(words),
                        _mm512_cvtepi32_epi16(_mm512_shuffle_epi32(rounded, _MM_PERM_DBCA)));
    return _mm512_reduce_add_epi32(rounded);
}

// Returns which of `2 * lanes` cells a row of the mask hides. `none` also means that it adds nothing to their scores.
inline Masked which_are(const uint16_t * halves) {
    const Ints row = _mm512_loadu_si512(halves);
    if (_mm512_test_epi16_mask(row, row) == 0) {
        return Masked::none;
    }
    return _mm512_cmpeq_epi16_mask(row, _mm512_set1_epi16(static_cast<short>(minus_infinity))) == 0xFFFFFFFFu
               ? Masked::all
               : Masked::some;
}

}  // namespace luup::kernels
