/*
 * merge_avx2.c - merging windows of bytes (merge.h), compiled for AVX2.
 */
#if defined(__AVX2__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx2
#define LIMN_MERGER_ISA "avx2"
#define LIMN_MERGER_LEAST
#include "tokenizer/merge.h"

static INLINE __m256i keys_at(const uint32_t *keys) {
  return _mm256_load_si256((const __m256i *)(const void *)keys);
}

static INLINE uint32_t least_key(const uint32_t *keys, bool is_wide) {
  __m256i a = _mm256_min_epu32(keys_at(keys), keys_at(keys + 8));
  if (is_wide) a = _mm256_min_epu32(a, _mm256_min_epu32(keys_at(keys + 16), keys_at(keys + 24)));
  __m128i b = _mm_min_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(b);
}

#endif
