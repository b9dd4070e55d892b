/*
 * merge_avx512.c - merging windows of bytes (merge.h) with AVX-512: the keys of up to 31 bytes stay
 * in registers, where the least of them is found in a few steps.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx512
#define LIMN_MERGER_ISA "avx512"
#define LIMN_MERGER_LANES
#define LIMN_MERGER_LEAST
#define LIMN_MERGER_TINY
#include "tokenizer/merge.h"

static inline uint32_t least_in(__m512i keys) {
  __m256i a = _mm256_min_epu32(_mm512_castsi512_si256(keys), _mm512_extracti64x4_epi64(keys, 1));
  __m128i b = _mm_min_epu32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0x4e));
  b = _mm_min_epu32(b, _mm_shuffle_epi32(b, 0xb1));
  return (uint32_t)_mm_cvtsi128_si32(b);
}

/* ---- lanes --------------------------------------------------------------------------------------
 */

static inline uint32_t bits(size_t n) {
  return _bzhi_u32(UINT32_MAX, (unsigned)n);
}

static inline __m512i low_of(__m256i bytes) {
  return _mm512_cvtepu8_epi32(_mm256_castsi256_si128(bytes));
}

static inline __m512i high_of(__m256i bytes) {
  return _mm512_cvtepu8_epi32(_mm256_extracti128_si256(bytes, 1));
}

/* The keys of 16 places, from the two bytes of each. */
static inline __m512i keys_of(const limn_symbols *s, __m512i first, __m512i second, uint32_t used,
                              int from) {
  const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i both = _mm512_or_si512(_mm512_slli_epi32(first, 8), second);
  __m512i symbols = _mm512_mask_i32gather_epi32(_mm512_set1_epi32(-1), (__mmask16)used, both,
                                                (const void *)s->of_bytes, 4);
  __m512i place = _mm512_add_epi32(places, _mm512_set1_epi32(from));
  return _mm512_or_si512(_mm512_slli_epi32(symbols, PLACE_BITS), place);
}

static INLINE void lane_start(lane *l, const limn_symbols *s, const unsigned char *bytes, size_t n,
                              bool is_wide) {
  const __m512i edge = _mm512_set1_epi32(LIMN_EDGE);
  uint32_t here = bits(n + 1) & ~1u, pairs = bits(n) & ~1u;
  __m256i second = _mm256_maskz_loadu_epi8(bits(n), bytes); /* of the pair at each place */
  __m256i first = _mm256_maskz_expand_epi8(here, second);
  __m512i low = low_of(first), high = high_of(first);
  _mm512_store_si512(l->symbols, _mm512_mask_mov_epi32(edge, (__mmask16)here, low));
  _mm512_store_si512(l->keys, keys_of(s, low, low_of(second), pairs, 0));
  _mm512_store_si512(l->symbols + 16, _mm512_mask_mov_epi32(edge, (__mmask16)(here >> 16), high));
  if (is_wide) _mm512_store_si512(l->keys + 16, keys_of(s, high, high_of(second), pairs >> 16, 16));
  l->alive = UINT64_MAX >> (62 - n);
}

static INLINE uint32_t least_key(const uint32_t *keys, bool is_wide) {
  __m512i all = _mm512_load_si512(keys);
  return least_in(is_wide ? _mm512_min_epu32(all, _mm512_load_si512(keys + 16)) : all);
}

static INLINE size_t lane_end(const lane *l, size_t n, uint32_t *out, bool is_wide) {
  uint32_t alive = (uint32_t)l->alive & bits(n + 1) & ~1u;
  __mmask16 low = (__mmask16)alive, high = (__mmask16)(alive >> 16);
  size_t n_low = (size_t)_mm_popcnt_u32(low), n_high = (size_t)_mm_popcnt_u32(high);
  __m512i symbols = _mm512_maskz_compress_epi32(low, _mm512_load_si512(l->symbols));
  _mm512_mask_storeu_epi32(out, (__mmask16)bits(n_low), symbols);
  if (!is_wide) return n_low;
  symbols = _mm512_maskz_compress_epi32(high, _mm512_load_si512(l->symbols + 16));
  _mm512_mask_storeu_epi32(out + n_low, (__mmask16)bits(n_high), symbols);
  return n_low + n_high;
}

/* ---- a single window: the keys stay in registers ------------------------------------------------
 */

/* The keys of 32 places with another at one. */
static INLINE void set_key(__m512i keys[2], uint64_t place, uint32_t key) {
  uint64_t mask = (uint64_t)1 << place;
  keys[0] = _mm512_mask_set1_epi32(keys[0], (__mmask16)mask, (int)key);
  keys[1] = _mm512_mask_set1_epi32(keys[1], (__mmask16)(mask >> 16), (int)key);
}

static INLINE size_t merge_one(const limn_symbols *s, const unsigned char *bytes, size_t n,
                               uint32_t *out, bool is_wide) {
  lane l;
  __m512i keys[2] = {0};
  lane_start(&l, s, bytes, n, is_wide);
  l.symbols[32] = l.symbols[64] = LIMN_EDGE;
  keys[0] = _mm512_load_si512(l.keys);
  keys[1] = is_wide ? _mm512_load_si512(l.keys + 16) : _mm512_set1_epi32(-1);
  for (;;) {
    question q;
    uint32_t least = least_in(is_wide ? _mm512_min_epu32(keys[0], keys[1]) : keys[0]);
    if (least > IDLE) return lane_end(&l, n, out, is_wide);
    set_key(keys, lane_merge(&l, s, least, &q), DEAD);
    set_key(keys, q.place, key_behind(&q));
    set_key(keys, q.left, key_before(&q));
  }
}

static size_t merge_tiny(const limn_symbols *s, const unsigned char *bytes, size_t n,
                         uint32_t *out) {
  return n < 16 ? merge_one(s, bytes, n, out, false) : merge_one(s, bytes, n, out, true);
}

#endif
