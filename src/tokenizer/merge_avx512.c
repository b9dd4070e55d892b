/*
 * merge_avx512.c - merging windows of bytes (merge.h) with AVX-512: the keys of up to 31 bytes stay
 * in registers, where the least of them is found in a few steps.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx512
#define LIMN_MERGER_ISA "avx512"
#define LIMN_MERGER_SMALL
#define LIMN_MERGER_LANES
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

static INLINE uint32_t lane_least(const lane *l, bool is_wide) {
  __m512i keys = _mm512_load_si512(l->keys);
  if (is_wide) keys = _mm512_min_epu32(keys, _mm512_load_si512(l->keys + 16));
  uint32_t least = least_in(keys);
  return least < IDLE ? least : IDLE;
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

static size_t merge_small(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  if (n < 16) return merge_15(s, bytes, n, out);
  if (n < 32) return merge_31(s, bytes, n, out);
  return merge_lanes(s, bytes, n, 64, out);
}

#endif
