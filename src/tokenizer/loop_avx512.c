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
  /* The upper bit of an index does not count: bytes beyond ASCII are taken out. */
  __m512i kinds = _mm512_permutex2var_epi8(kinds_low, bytes, kinds_high);
  __m512i parts = _mm512_permutex2var_epi8(parts_low, bytes, parts_high);
  const __mmask64 ascii = ~b->high;
#define HAS(of, bit) _mm512_mask_test_epi8_mask(ascii, of, _mm512_set1_epi8((char)(1 << (bit))))
  b->upper = HAS(kinds, 0);
  b->lower = HAS(kinds, 1);
  b->number = HAS(kinds, 2);
  b->space = HAS(kinds, 3);
  b->newline = HAS(kinds, 4);
  b->blank = HAS(kinds, 5);
  b->apostrophe = HAS(kinds, 6);
  b->slash = HAS(kinds, 7);
  b->one = HAS(parts, 0);
  b->first = HAS(parts, 1);
  b->ell = HAS(parts, 2);
  b->e = HAS(parts, 3);
  b->visible = HAS(parts, 4);
#undef HAS
}

/* Where characters from U+2010 to U+2027 begin. */
static inline uint64_t typographic(const unsigned char *text) {
  const __m512i first = _mm512_loadu_si512(text), third = _mm512_loadu_si512(text + 2);
  uint64_t is = _mm512_cmpeq_epi8_mask(first, _mm512_set1_epi8((char)0xe2));
  is = _mm512_mask_cmpeq_epi8_mask(is, _mm512_loadu_si512(text + 1), _mm512_set1_epi8((char)0x80));
  return _mm512_mask_cmplt_epu8_mask(is, _mm512_sub_epi8(third, _mm512_set1_epi8((char)0x90)),
                                     _mm512_set1_epi8(0x18));
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
#define LIMN_LOOP_TYPOGRAPHIC

static const uint8_t numbers[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

static inline void make_key(const unsigned char *piece, size_t length, uint64_t key[2]) {
  __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0x7fff, (unsigned)length), piece);
  _mm_storeu_si128((__m128i *)(void *)key, bytes);
  key[1] |= (uint64_t)length << 56;
}

/*
 * A key of 16 bytes at a multiple of 16 is read at once, so that of one that is being written the
 * second word is never seen without the first.
 */
#ifndef LIMN_RACES_WATCHED
static inline size_t find_way(const limn_bucket *bucket, const uint64_t key[2]) {
  __m512i four = _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)(const void *)key));
  unsigned equal = _mm512_cmpeq_epi64_mask(four, _mm512_loadu_si512(bucket->keys));
  equal &= equal >> 1; /* bit 2i: the key is at place i */
  return (size_t)__builtin_ctz((equal & 0x55) | 0x100) >> 1;
}
#define LIMN_LOOP_WAY
#endif

static inline uint64_t below_nth(uint64_t mask, unsigned n) {
  uint64_t last = _pdep_u64((uint64_t)1 << (n - 1), mask);
  return last | (last - 1);
}

/*
 * The bytes of eight pieces at a time are drawn out of the block's register, each piece's into a
 * lane, by one permutation.
 */
static inline void take_block(span *s, size_t at, const unsigned char *text, size_t offset,
                              uint64_t starts, unsigned shift) {
  const __m512i counting = _mm512_loadu_si512(numbers);
  /* In each of eight lanes the lane's number in every byte; 0 to 7. */
  const __m512i lane = _mm512_set_epi64(0x0707070707070707, 0x0606060606060606, 0x0505050505050505,
                                        0x0404040404040404, 0x0303030303030303, 0x0202020202020202,
                                        0x0101010101010101, 0);
  const __m512i inside = _mm512_set1_epi64(0x0706050403020100);
  const __m512i factor = _mm512_set1_epi64((long long)LIMN_HOT_FACTOR);
  const __m128i by = _mm_cvtsi32_si128((int)shift - 4);
  const __m256i entry = _mm256_set1_epi32(-(int)sizeof(limn_hot)); /* 16 bytes */
  const __m512i block = _mm512_loadu_si512(text);
  uint64_t ends = starts & (starts - 1);
  __m512i from = _mm512_maskz_compress_epi8(starts, counting);
  __m512i length = _mm512_sub_epi8(_mm512_maskz_compress_epi8(ends, counting), from);
  __mmask64 is_short = _mm512_cmple_epu8_mask(length, _mm512_set1_epi8(LIMN_HOT_PIECE));
  if (_mm512_testn_epi8_mask(block, block)) is_short = 0;
  __m512i used = _mm512_maskz_mov_epi8(is_short, length);
  for (unsigned i = 0; i < BLOCK_PIECES; i += 8) {
    __m512i lanes = _mm512_add_epi8(lane, _mm512_set1_epi8((char)i));
    __m512i begin = _mm512_permutexvar_epi8(lanes, from);
    __mmask64 counts = _mm512_cmplt_epu8_mask(inside, _mm512_permutexvar_epi8(lanes, used));
    __m512i keys = _mm512_maskz_permutexvar_epi8(counts, _mm512_add_epi8(begin, inside), block);
    __m512i hot = _mm512_srl_epi64(_mm512_mullo_epi64(keys, factor), by);
    _mm512_storeu_si512(s->keys + at + i, keys);
    _mm256_storeu_si256((__m256i *)(void *)(s->hot + at + i),
                        _mm256_and_si256(_mm512_cvtepi64_epi32(hot), entry));
  }
  __m512i place = _mm512_add_epi16(_mm512_set1_epi16((short)offset),
                                   _mm512_cvtepu8_epi16(_mm512_castsi512_si256(from)));
  __m512i size = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(length));
  _mm512_storeu_si512(s->where + at, _mm512_or_si512(_mm512_slli_epi16(place, 6), size));
}

static inline size_t look_up_hot(span *s, const limn_hot *hots, unsigned shift,
                                 limn_answer *answers, uint32_t first, uint32_t *missed,
                                 uint16_t *where) {
  (void)shift;
  memset(s->hot + s->n, 0, 8 * sizeof *s->hot); /* what is looked up beside the last */
  const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
  const __m256i eight = _mm256_set1_epi32(8);
  __m256i piece =
      _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
  const size_t n = s->n;
  size_t n_missed = 0;
  unsigned miss = 0;
  for (size_t i = 0; i < n; i += 8) {
    const uint32_t *hot = s->hot + i;
#define ENTRY(k) _mm_load_si128((const __m128i *)(const void *)((const char *)hots + hot[k]))
    __m512i low = _mm512_castsi128_si512(ENTRY(0)), high = _mm512_castsi128_si512(ENTRY(4));
    low = _mm512_inserti64x2(low, ENTRY(1), 1);
    high = _mm512_inserti64x2(high, ENTRY(5), 1);
    low = _mm512_inserti64x2(low, ENTRY(2), 2);
    high = _mm512_inserti64x2(high, ENTRY(6), 2);
    low = _mm512_inserti64x2(low, ENTRY(3), 3);
    high = _mm512_inserti64x2(high, ENTRY(7), 3);
#undef ENTRY
    __m512i keys = _mm512_loadu_si512(s->keys + i);
    __mmask8 hit = _mm512_mask_cmpeq_epi64_mask(_mm512_test_epi64_mask(keys, keys), keys,
                                                _mm512_permutex2var_epi64(low, even, high));
    _mm512_storeu_si512(answers + i, _mm512_permutex2var_epi64(low, odd, high));
    miss = (__mmask8)~hit;
    __m128i here = _mm_loadu_si128((const __m128i *)(const void *)(s->where + i));
    _mm256_storeu_si256((__m256i *)(void *)(missed + n_missed),
                        _mm256_maskz_compress_epi32((__mmask8)miss, piece));
    _mm_storeu_si128((__m128i *)(void *)(where + n_missed),
                     _mm_maskz_compress_epi16((__mmask8)miss, here));
    n_missed += (size_t)__builtin_popcount(miss);
    piece = _mm256_add_epi32(piece, eight);
  }
  /* Beside the last there was more that was none. */
  return n_missed - (n % 8 ? (size_t)__builtin_popcount(miss >> n % 8) : 0);
}

static inline uint32_t stored_among(const limn_answer *answers) {
  const __m512i one = _mm512_set1_epi32(1 << LIMN_ID_BITS);
  const __m512i most = _mm512_set1_epi32((2 << LIMN_ID_BITS) - 1);
  return _mm512_mask_cmpgt_epu32_mask(0x5555, _mm512_add_epi32(_mm512_loadu_si512(answers), one),
                                      most);
}

static inline int32_t *put_ids(int32_t *out, const limn_answer *answers, unsigned from,
                               unsigned to) {
  __m512i some = _mm512_loadu_si512(answers);
  uint32_t is_id = _mm512_cmpneq_epi32_mask(some, _mm512_set1_epi32(-1));
  is_id = _bzhi_u32(is_id, 2 * to) >> 2 * from << 2 * from;
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi32((__mmask16)is_id, some));
  return out + __builtin_popcount(is_id);
}

#define LIMN_LOOP_KEYS
#define LIMN_LOOP_NTH
#define LIMN_LOOP_TAKE
#define LIMN_LOOP_HOT
#define LIMN_LOOP_STORED
#define LIMN_LOOP_PUT
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
