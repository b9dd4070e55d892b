/*
 * merge_avx512.c - merging windows of bytes (merge.h) with AVX-512: the keys of up to 31 bytes stay
 * in registers, where the least of them is found in a few steps.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx512
#define LIMN_MERGER_ISA "avx512"
#define LIMN_MERGER_SMALL
#include "tokenizer/merge.h"

static inline __m512i with_key(__m512i keys, size_t place, uint32_t key) {
  return _mm512_mask_set1_epi32(keys, (__mmask16)(1u << place), (int)key);
}

static inline uint32_t least_in(__m512i keys) {
  __m256i a = _mm256_min_epu32(_mm512_castsi512_si256(keys), _mm512_extracti64x4_epi64(keys, 1));
  __m128i b = _mm_min_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(b);
}

static inline size_t merge_15(const limn_symbols *s, const unsigned char *bytes, size_t n,
                              uint32_t *out) {
  uint32_t first[16];
  small w;
  small_start(&w, bytes, n);
  for (size_t i = 1; i < n; i++)
    first[i] = limn_symbols_of_bytes(s, bytes + i - 1) << PLACE_BITS | (uint32_t)i;
  __mmask16 used = (__mmask16)(((1u << n) - 1) & ~1u);
  __m512i keys = _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), used, first);
  for (;;) {
    uint32_t least = least_in(keys), left_key, key;
    size_t left, right, i = least & 63;
    if (least >= LIMN_NO_SYMBOL << PLACE_BITS) return small_end(&w, n, out);
    small_merge(&w, s, i, least >> PLACE_BITS, &left, &right, &left_key, &key);
    keys = with_key(keys, right, DEAD);
    keys = with_key(keys, i, key);
    keys = with_key(keys, left, left_key);
  }
}

static inline size_t merge_31(const limn_symbols *s, const unsigned char *bytes, size_t n,
                              uint32_t *out) {
  uint32_t first[32];
  small w;
  small_start(&w, bytes, n);
  for (size_t i = 1; i < n; i++)
    first[i] = limn_symbols_of_bytes(s, bytes + i - 1) << PLACE_BITS | (uint32_t)i;
  uint32_t used = ((1u << n) - 1) & ~1u;
  __m512i none = _mm512_set1_epi32(-1);
  __m512i low = _mm512_mask_loadu_epi32(none, (__mmask16)used, first);
  __m512i high = _mm512_mask_loadu_epi32(none, (__mmask16)(used >> 16), first + 16);
  for (;;) {
    uint32_t least = least_in(_mm512_min_epu32(low, high)), left_key, key;
    size_t left, right, i = least & 63;
    if (least >= LIMN_NO_SYMBOL << PLACE_BITS) return small_end(&w, n, out);
    small_merge(&w, s, i, least >> PLACE_BITS, &left, &right, &left_key, &key);
    uint32_t gone = 1u << right, here = 1u << i, before = 1u << left;
    low = _mm512_mask_set1_epi32(low, (__mmask16)gone, -1);
    high = _mm512_mask_set1_epi32(high, (__mmask16)(gone >> 16), -1);
    low = _mm512_mask_set1_epi32(low, (__mmask16)here, (int)key);
    high = _mm512_mask_set1_epi32(high, (__mmask16)(here >> 16), (int)key);
    low = _mm512_mask_set1_epi32(low, (__mmask16)before, (int)left_key);
    high = _mm512_mask_set1_epi32(high, (__mmask16)(before >> 16), (int)left_key);
  }
}

static size_t merge_small(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  if (n < 16) return merge_15(s, bytes, n, out);
  if (n < 32) return merge_31(s, bytes, n, out);
  return merge_lanes(s, bytes, n, 64, out);
}

#endif
