/*
 * merge_avx2.c - merging windows of bytes (merge.h), compiled for AVX2.
 */
#if defined(__AVX2__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx2
#define LIMN_MERGER_ISA "avx2"
#define LIMN_MERGER_LANES
#include "tokenizer/merge.h"

static INLINE void lane_start(lane *l, const limn_symbols *s, const unsigned char *bytes, size_t n,
                              bool is_wide) {
  const size_t n_places = is_wide ? 32 : 16;
  unsigned char copy[32] = {0};
  memcpy(copy + 1, bytes, n);
  for (size_t i = 0; i < n_places; i++) {
    l->symbols[i] = i >= 1 && i <= n ? copy[i] : LIMN_EDGE;
    l->keys[i] = DEAD;
  }
  l->symbols[n_places] = LIMN_EDGE;
  for (size_t i = 1; i < n; i++)
    l->keys[i] = limn_symbols_of_bytes(s, bytes + i - 1) << PLACE_BITS | (uint32_t)i;
  l->alive = UINT64_MAX >> (62 - n);
}

static INLINE __m256i keys_at(const uint32_t *keys) {
  return _mm256_load_si256((const __m256i *)(const void *)keys);
}

static INLINE uint32_t lane_least(const lane *l, bool is_wide) {
  __m256i keys = _mm256_min_epu32(keys_at(l->keys), keys_at(l->keys + 8));
  if (is_wide)
    keys = _mm256_min_epu32(keys, _mm256_min_epu32(keys_at(l->keys + 16), keys_at(l->keys + 24)));
  __m128i b = _mm_min_epu32(_mm256_castsi256_si128(keys), _mm256_extracti128_si256(keys, 1));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  uint32_t least = (uint32_t)_mm_cvtsi128_si32(b);
  return least < IDLE ? least : IDLE;
}

static INLINE size_t lane_end(const lane *l, size_t n, uint32_t *out, bool is_wide) {
  (void)is_wide;
  return symbols_left(l->alive, l->symbols, n, out);
}

#endif
