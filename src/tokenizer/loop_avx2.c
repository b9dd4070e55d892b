/*
 * loop_avx2.c - the loop over a text with AVX2: a byte's kind is looked up by its upper and its
 * lower half, 32 bytes at a time.
 */
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tokenizer/kinds.h"

#if defined(__AVX2__)

#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

/* The 16 bytes of a table, in both halves of a register. */
static inline __m256i both(const uint8_t *table) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

/* A table of 128 entries: of eight rows of 16, each is looked up and taken where it is the row. */
static inline __m256i look_up(const uint8_t *table, __m256i bytes) {
  __m256i rows = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
  __m256i columns = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
  __m256i found = _mm256_setzero_si256();
  for (char row = 0; row < 8; row++) {
    __m256i here = _mm256_shuffle_epi8(both(table + 16 * row), columns);
    __m256i is_row = _mm256_cmpeq_epi8(rows, _mm256_set1_epi8(row));
    found = _mm256_or_si256(found, _mm256_and_si256(here, is_row));
  }
  return found;
}

/* Bit `bit` of each byte. */
static inline uint64_t bits_of(__m256i low, __m256i high, int bit) {
  __m128i by = _mm_cvtsi32_si128(7 - bit);
  uint32_t a = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(low, by));
  uint32_t b = (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(high, by));
  return a | (uint64_t)b << 32;
}

static inline void classify(const unsigned char *text, limn_block *b) {
  __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)text);
  __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(text + 32));
  __m256i kinds_low = look_up(limn_kinds, low), kinds_high = look_up(limn_kinds, high);
  __m256i parts_low = look_up(limn_parts, low), parts_high = look_up(limn_parts, high);
  b->high = bits_of(low, high, 7);
  b->upper = bits_of(kinds_low, kinds_high, 0);
  b->lower = bits_of(kinds_low, kinds_high, 1);
  b->number = bits_of(kinds_low, kinds_high, 2);
  b->space = bits_of(kinds_low, kinds_high, 3);
  b->newline = bits_of(kinds_low, kinds_high, 4);
  b->blank = bits_of(kinds_low, kinds_high, 5);
  b->apostrophe = bits_of(kinds_low, kinds_high, 6);
  b->slash = bits_of(kinds_low, kinds_high, 7);
  b->one = bits_of(parts_low, parts_high, 0);
  b->first = bits_of(parts_low, parts_high, 1);
  b->ell = bits_of(parts_low, parts_high, 2);
  b->e = bits_of(parts_low, parts_high, 3);
  b->visible = bits_of(parts_low, parts_high, 4);
}

static inline uint64_t mask_of(__m256i low, __m256i high) {
  return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

static inline uint64_t equal_to(const unsigned char *text, unsigned char byte) {
  const __m256i wanted = _mm256_set1_epi8((char)byte);
  __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)text);
  __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(text + 32));
  return mask_of(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted));
}

static inline uint64_t from(const unsigned char *text, unsigned char byte) {
  const __m256i least = _mm256_set1_epi8((char)byte);
  __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)text);
  __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(text + 32));
  return mask_of(_mm256_cmpeq_epi8(_mm256_max_epu8(low, least), low),
                 _mm256_cmpeq_epi8(_mm256_max_epu8(high, least), high));
}

/* A row of 16 by bits 0 to 3 of a byte, of four rows, which bits 4 and 5 choose. */
static inline __m256i among_64(const uint8_t *table, __m256i bytes) {
  __m256i columns = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
  __m256i bit4 = _mm256_slli_epi16(bytes, 3), bit5 = _mm256_slli_epi16(bytes, 2);
  __m256i a = _mm256_blendv_epi8(_mm256_shuffle_epi8(both(table), columns),
                                 _mm256_shuffle_epi8(both(table + 16), columns), bit4);
  __m256i b = _mm256_blendv_epi8(_mm256_shuffle_epi8(both(table + 32), columns),
                                 _mm256_shuffle_epi8(both(table + 48), columns), bit4);
  return _mm256_blendv_epi8(a, b, bit5);
}

static inline void look_up_64(const unsigned char *text, const uint8_t *table, uint64_t found[4]) {
  __m256i low = among_64(table, _mm256_loadu_si256((const __m256i *)(const void *)text));
  __m256i high = among_64(table, _mm256_loadu_si256((const __m256i *)(const void *)(text + 32)));
  for (int k = 0; k < 4; k++)
    found[k] = bits_of(low, high, k);
}

#include "tokenizer/split_pages.h"

/* Two steps of CRC-32C (Castagnoli 1993), which the processor has. */
static uint32_t hash_key(uint64_t low, uint64_t high) {
  return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, low), high);
}

#define LIMN_LOOP_HASH
#define LIMN_LOOP        limn_loop_avx2
#define LIMN_LOOP_ISA    "avx2"
#define LIMN_LOOP_MERGER limn_merger_avx2
#include "tokenizer/loop.h"

#endif
