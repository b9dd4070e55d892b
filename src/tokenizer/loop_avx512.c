/*
 * loop_avx512.c - the loop over a text with AVX-512: a byte's kind is looked up in a table of the
 * 128 ASCII codes, 64 bytes at a time.
 */
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tokenizer/kinds.h"

#if defined(__AVX512VBMI2__)

#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

static inline void classify(const unsigned char *text, limn_block *b) {
  const __m512i kinds_low = _mm512_loadu_si512(limn_kinds);
  const __m512i kinds_high = _mm512_loadu_si512(limn_kinds + 64);
  const __m512i parts_low = _mm512_loadu_si512(limn_parts);
  const __m512i parts_high = _mm512_loadu_si512(limn_parts + 64);
  __m512i bytes = _mm512_loadu_si512(text);
  b->high = _mm512_movepi8_mask(bytes);
  __m512i kinds = _mm512_maskz_permutex2var_epi8(~b->high, kinds_low, bytes, kinds_high);
  __m512i parts = _mm512_maskz_permutex2var_epi8(~b->high, parts_low, bytes, parts_high);
#define HAS(of, kind) _mm512_test_epi8_mask(of, _mm512_set1_epi8((char)(kind)))
  b->upper = HAS(kinds, LIMN_KIND_UPPER);
  b->lower = HAS(kinds, LIMN_KIND_LOWER);
  b->number = HAS(kinds, LIMN_KIND_NUMBER);
  b->space = HAS(kinds, LIMN_KIND_SPACE);
  b->newline = HAS(kinds, LIMN_KIND_NEWLINE);
  b->blank = HAS(kinds, LIMN_KIND_BLANK);
  b->apostrophe = HAS(kinds, LIMN_KIND_APOSTROPHE);
  b->slash = HAS(kinds, LIMN_KIND_SLASH);
  b->one = HAS(parts, LIMN_PART_ONE);
  b->first = HAS(parts, LIMN_PART_FIRST);
  b->ell = HAS(parts, LIMN_PART_ELL);
  b->e = HAS(parts, LIMN_PART_E);
  b->visible = HAS(parts, LIMN_PART_VISIBLE);
#undef HAS
}

/* Of 256 bits at each of 64 places: bit `at` of byte `which`, as a mask. */
static inline uint64_t bit_of_two(const uint8_t *row, __m512i which, __m512i bit, __mmask64 of) {
  __m512i low =
      _mm512_permutex2var_epi8(_mm512_loadu_si512(row), which, _mm512_loadu_si512(row + 64));
  __m512i high =
      _mm512_permutex2var_epi8(_mm512_loadu_si512(row + 128), which, _mm512_loadu_si512(row + 192));
  __m512i byte = _mm512_mask_blend_epi8(_mm512_movepi8_mask(which), low, high);
  return _mm512_mask_test_epi8_mask(of, byte, bit);
}

static inline uint64_t bit_of_three(const uint8_t *row, __m512i which, __m512i bit, __mmask64 of) {
  __m512i byte =
      _mm512_permutex2var_epi8(_mm512_loadu_si512(row), which, _mm512_loadu_si512(row + 64));
  return _mm512_mask_test_epi8_mask(of, byte, bit);
}

/*
 * Characters of three bytes whose pages are of several classes, page by page: the class of a third
 * byte is one look into 64. False where a page is of no characters.
 */
static inline bool classify_pages(const unsigned char *text, __m512i bytes, __m512i second,
                                  uint64_t mixed, uint64_t classes[4]) {
  const __m512i third = _mm512_loadu_si512(text + 2);
  __m512i found = _mm512_setzero_si512();
  while (mixed) {
    const unsigned char *at = text + __builtin_ctzll(mixed);
    unsigned page = (at[0] & 0xfu) << 6 | (at[1] & 0x3fu), which = limn_unicode_page_of[page];
    if (page < 32 || which == LIMN_NO_PAGE) return false;
    __mmask64 same = _mm512_mask_cmpeq_epi8_mask(mixed, bytes, _mm512_set1_epi8((char)at[0]));
    same = _mm512_mask_cmpeq_epi8_mask(same, second, _mm512_set1_epi8((char)at[1]));
    __m512i table = _mm512_loadu_si512(limn_unicode_pages[which]);
    found = _mm512_mask_permutexvar_epi8(found, same, third, table);
    mixed &= ~same;
  }
  for (unsigned k = 0; k < 4; k++)
    classes[k] |= _mm512_test_epi8_mask(found, _mm512_set1_epi8((char)(1 << k)));
  return true;
}

/*
 * The first bytes of a character say in which page of 64 it lies: there are tables of the classes
 * of all characters of two bytes, and of all pages of three. Of a character of two bytes, and of a
 * page of three, the upper bits choose a byte in a table and the lower three a bit.
 */
static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t classes[4]) {
  const __m512i bytes = _mm512_loadu_si512(text), second = _mm512_loadu_si512(text + 1);
  uint64_t tail = _mm512_cmplt_epi8_mask(bytes, _mm512_set1_epi8(-64));
  uint64_t from2 = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8((char)0xc2));
  uint64_t from3 = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8((char)0xe0));
  uint64_t from4 = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8((char)0xf0));
  limn_block_firsts first;
  if (!limn_block_find_firsts(b, tail, from2, from3, from4, &first)) return false;
  __m512i which =
      _mm512_ternarylogic_epi32(_mm512_slli_epi16(bytes, 3), _mm512_srli_epi16(second, 3),
                                _mm512_set1_epi8((char)0xf8), 0xe4);
  __m512i bit = _mm512_permutexvar_epi8(second, _mm512_set1_epi64((long long)0x8040201008040201u));
  for (unsigned k = 0; first.two && k < 4; k++)
    classes[k] = bit_of_two(limn_unicode_two[k], which, bit, first.two);
  if (first.three) {
    for (unsigned k = 0; k < 4; k++)
      classes[k] |= bit_of_three(limn_unicode_three[k], which, bit, first.three);
    uint64_t mixed = bit_of_three(limn_unicode_three[4], which, bit, first.three);
    if (mixed && !classify_pages(text, bytes, second, mixed, classes)) return false;
  }
  return limn_block_fours(text, first.four, classes);
}

#define LIMN_LOOP_HIGH

static inline size_t places_of(uint64_t mask, uint8_t places[64 + 16]) {
  static const uint8_t counting[64] = {
      0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
      22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
      44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
  _mm512_storeu_si512(places, _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512(counting)));
  return (size_t)__builtin_popcountll(mask);
}

static inline void make_key(const unsigned char *piece, size_t length, uint64_t key[2]) {
  __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0x7fff, (unsigned)length), piece);
  _mm_storeu_si128((__m128i *)(void *)key, bytes);
  key[1] |= (uint64_t)length << 56;
}

static inline size_t find_way(const limn_slot *slot, const uint64_t key[2]) {
  __m512i twice = _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)(const void *)key));
  unsigned equal = _mm512_cmpeq_epi64_mask(twice, _mm512_load_si512(slot));
  equal &= equal >> 1; /* bit 0: the first slot has the key; bit 4: the second */
  return equal & 0x11 ? equal >> 4 & 1 : 2;
}

#define LIMN_LOOP_KEYS
/* Two steps of CRC-32C (Castagnoli 1993), which the processor has. */
static uint32_t hash_key(uint64_t low, uint64_t high) {
  return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, low), high);
}

#define LIMN_LOOP_HASH
#define LIMN_LOOP        limn_loop_avx512
#define LIMN_LOOP_ISA    "avx512"
#define LIMN_LOOP_MERGER limn_merger_avx512
#include "tokenizer/loop.h"

#endif
