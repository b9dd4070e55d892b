/*
 * kernels_avx2.c - the kernels for AVX2 with FMA and F16C: 16 registers of 8 floats, so a tile of 6
 * rows by 2 vectors takes 12, its weights 2, an activation 1.
 */
#if defined(__x86_64__)

#include "kernels/pack.h"

#include <immintrin.h>

#define LANES        8
#define TILE_VECTORS 2
typedef __m256 V;
typedef __m256d D;
typedef __m256i I;

static inline __m256i part_mask(int64_t n) {
  static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256((const __m256i *)(const void *)(ones + 8 - n));
}

static inline float total_of(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float most_of(__m256 v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

static inline double total_of_doubles(__m256d v) {
  __m128d s = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}

/* 2^n for a whole n from -126 to 127, as a float's exponent. */
static inline __m256 power_of_two(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* In two steps, since n may be beyond the exponents of a float; only the second one rounds. */
static inline __m256 scaled(__m256 x, __m256 n) {
  __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(x, power_of_two(half)),
                       power_of_two(_mm256_sub_epi32(whole, half)));
}

/* A number from 0 to 15 less 8 in the lanes' low bits. */
static inline __m256 of_half(__m256i a) {
  a = _mm256_and_si256(a, _mm256_set1_epi32(15));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(a, _mm256_set1_epi32(8)));
}

#define HALF_VECTOR(p)        _mm_loadu_si128((const __m128i *)(const void *)(p))
#define V_LOAD(p)             _mm256_loadu_ps(p)
#define V_STORE(p, v)         _mm256_storeu_ps(p, v)
#define V_LOAD_PART(p, n)     _mm256_maskload_ps(p, part_mask(n))
#define V_STORE_PART(p, n, v) _mm256_maskstore_ps(p, part_mask(n), v)
#define V_SET(x)              _mm256_set1_ps(x)
#define V_ADD(a, b)           _mm256_add_ps(a, b)
#define V_SUB(a, b)           _mm256_sub_ps(a, b)
#define V_MUL(a, b)           _mm256_mul_ps(a, b)
#define V_DIV(a, b)           _mm256_div_ps(a, b)
#define V_FMA(a, b, c)        _mm256_fmadd_ps(a, b, c)
#define V_MAX(a, b)           _mm256_max_ps(a, b)
#define V_MIN(a, b)           _mm256_min_ps(a, b)
#define V_ROUND(x)            _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define V_LDEXP(x, n)         scaled(x, n)
#define V_TOTAL(v)            total_of(v)
#define V_MOST(v)             most_of(v)
#define D_SET(x)              _mm256_set1_pd(x)
#define D_LOW(v)              _mm256_cvtps_pd(_mm256_castps256_ps128(v))
#define D_HIGH(v)             _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1))
#define D_ADD(a, b)           _mm256_add_pd(a, b)
#define D_SUB(a, b)           _mm256_sub_pd(a, b)
#define D_FMA(a, b, c)        _mm256_fmadd_pd(a, b, c)
#define D_TOTAL(v)            total_of_doubles(v)
#define I_LOAD(p)             _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define I_SET(x)              _mm256_set1_epi32(x)
#define I_AND(a, b)           _mm256_and_si256(a, b)
#define I_AND_OR(a, b, c)     _mm256_or_si256(_mm256_and_si256(a, b), c)
#define I_ADD(a, b)           _mm256_add_epi32(a, b)
#define I_MUL_ADD_16(a, b)    _mm256_madd_epi16(a, b)
#define I_SHL(a, n)           _mm256_slli_epi32(a, n)
#define I_SHR(a, n)           _mm256_srli_epi32(a, n)
#define V_OF_I(a)             _mm256_cvtepi32_ps(a)
#define V_AS_V(a)             _mm256_castsi256_ps(a)
#define V_LOAD_F16(p)         _mm256_cvtph_ps(HALF_VECTOR(p))
#define V_LOAD_BF16(p)                                                                             \
  _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(HALF_VECTOR(p)), 16))
#define V_OF_HALF(a) of_half(a)

#include "kernels/lanes.h"

const limn_kernels limn_kernels_avx2 = {.name = "avx2",
                                        LANES_TABLE,
                                        WIDENED_TABLE,
                                        .quantize = limn_scalar_quantize,
                                        .transpose = limn_scalar_transpose};

#else
typedef int limn_no_avx2_here; /* a file must not be empty */
#endif
