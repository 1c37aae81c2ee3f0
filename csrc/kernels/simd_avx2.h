// AVX2, with 256-bit VNNI if the CPU has it: 8 lanes. simd_avx512.h describes the functions.
#pragma once

namespace luup::kernels {

using Ints   = __m256i;
using Floats = __m256;

inline Ints zero_ints() {
    return _mm256_setzero_si256();
}
inline Floats zero_floats() {
    return _mm256_setzero_ps();
}
inline Ints repeat(int32_t value) {
    return _mm256_set1_epi32(value);
}
inline Floats repeat(float value) {
    return _mm256_set1_ps(value);
}

inline Ints load(const void * bytes) {
    return _mm256_loadu_si256(static_cast<const __m256i *>(bytes));
}
inline Floats load_floats(const float * from) {
    return _mm256_loadu_ps(from);
}
inline Floats load_halves(const void * from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(from)));
}
inline Floats load_unsigned_bytes(const void * from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(from))));
}
inline Floats load_signed_bytes(const void * from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(from))));
}
inline Floats load_powers_of_two(const void * from) {
    const __m128i bytes = _mm_subs_epu8(_mm_loadl_epi64(static_cast<const __m128i *>(from)), _mm_set1_epi8(1));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu8_epi32(bytes), 23));
}
inline void store(float * to, Floats value) {
    _mm256_storeu_ps(to, value);
}
inline void store(int16_t * to, Ints value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(to), value);
}

inline Floats to_floats(Ints value) {
    return _mm256_cvtepi32_ps(value);
}
inline Floats nearest(Floats value) {
    return _mm256_round_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Ints add(Ints a, Ints b) {
    return _mm256_add_epi32(a, b);
}
template <int Bits> inline Ints shift_left(Ints value) {
    return _mm256_slli_epi32(value, Bits);
}
inline Ints subtract_words(Ints a, Ints b) {
    return _mm256_sub_epi16(a, b);
}
inline Floats add(Floats a, Floats b) {
    return _mm256_add_ps(a, b);
}
inline Floats subtract(Floats a, Floats b) {
    return _mm256_sub_ps(a, b);
}
inline Floats multiply(Floats a, Floats b) {
    return _mm256_mul_ps(a, b);
}
inline Floats multiply_add(Floats a, Floats b, Floats c) {
    return _mm256_fmadd_ps(a, b, c);
}
inline Floats times_power_of_two(Floats value, Floats exponent) {
    return _mm256_mul_ps(value, _mm256_castsi256_ps(_mm256_slli_epi32(
                                    _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127)), 23)));
}
inline Floats largest(Floats a, Floats b) {
    return _mm256_max_ps(a, b);
}
inline float largest_lane(Floats value) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    four        = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
inline float sum_of_lanes(Floats value) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    four        = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

inline Floats sums_of_quarters(const Floats (&of)[4]) {  // halves, here
    const Floats ab = _mm256_add_ps(_mm256_unpacklo_ps(of[0], of[1]), _mm256_unpackhi_ps(of[0], of[1]));
    const Floats cd = _mm256_add_ps(_mm256_unpacklo_ps(of[2], of[3]), _mm256_unpackhi_ps(of[2], of[3]));
    return _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
}
inline Floats sums_of_lanes(const Floats (&fours)[2]) {
    return _mm256_add_ps(_mm256_permute2f128_ps(fours[0], fours[1], 0x20),
                         _mm256_permute2f128_ps(fours[0], fours[1], 0x31));
}

inline Ints low_nibbles(Ints bytes) {
    return _mm256_and_si256(bytes, _mm256_set1_epi8(15));
}
inline Ints high_nibbles(Ints bytes) {
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
}

inline Ints look_up(const uint8_t (&values)[16], Ints bytes) {
    const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i *>(values));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(sixteen), bytes);
}

template <int Shift, int Mask> inline Ints with_bits(Ints bytes, Ints more) {
    const Ints placed =
        Shift >= 0 ? _mm256_slli_epi16(more, Shift >= 0 ? Shift : 0) : _mm256_srli_epi16(more, Shift >= 0 ? 0 : -Shift);
    return _mm256_or_si256(bytes, _mm256_and_si256(placed, _mm256_set1_epi8(Mask)));
}

inline Ints even_bytes(Ints bytes) {
    return _mm256_and_si256(bytes, _mm256_set1_epi16(255));
}
inline Ints odd_bytes(Ints bytes) {
    return _mm256_srli_epi16(bytes, 8);
}

inline Ints add_products(Ints sum, Ints a, Ints b) {
#if defined(__AVXVNNI__) && defined(__clang__)
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
#elif defined(__AVXVNNI__)
    return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    LUUP_NOT_REORDERED(sum);
    return sum;
#endif
}
inline Ints add_products(Ints sum, Ints a, const int32_t * b) {
    return add_products(sum, a, repeat(*b));
}

inline float largest_magnitude(const float * x) {
    const auto magnitudes = [x](int i) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_loadu_ps(x + i)); };
    return largest_lane(
        _mm256_max_ps(_mm256_max_ps(magnitudes(0), magnitudes(8)), _mm256_max_ps(magnitudes(16), magnitudes(24))));
}

inline int32_t round_to_words(const float * x, float factor, int16_t * words) {
    const Ints a      = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(factor)));
    const Ints b      = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), _mm256_set1_ps(factor)));
    const Ints packed = _mm256_packs_epi32(_mm256_shuffle_epi32(a, 0xD8), _mm256_shuffle_epi32(b, 0xD8));
    // packs works within halves
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(words), _mm256_permute4x64_epi64(packed, 0xD8));
    const Ints both = _mm256_add_epi32(a, b);
    __m128i    four = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    four            = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}

inline Masked which_are(const uint16_t * halves) {
    const Ints row = load(halves);
    if (_mm256_testz_si256(row, row)) {
        return Masked::none;
    }
    const Ints same = _mm256_cmpeq_epi16(row, _mm256_set1_epi16(static_cast<short>(minus_infinity)));
    return _mm256_movemask_epi8(same) == -1 ? Masked::all : Masked::some;
}

}  // namespace luup::kernels
