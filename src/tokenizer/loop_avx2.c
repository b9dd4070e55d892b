/*
 * loop_avx2.c - the loop over a text with AVX2: what a byte is by comparisons, 32 bytes at a time;
 * hot pieces eight at a time, keys and places four in a register.
 */
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tokenizer/encoder.h"

#if defined(__AVX2__)

#include "tokenizer/chosen.h"
#include "tokenizer/split_blocks.h"

/* ---- what the bytes are -------------------------------------------------------------------------
 */

static inline __m256i load(const void *from) {
  return _mm256_loadu_si256((const __m256i *)from);
}

static inline void store(void *to, __m256i what) {
  _mm256_storeu_si256((__m256i *)to, what);
}

static inline __m128i load_half(const void *from) {
  return _mm_loadu_si128((const __m128i *)from);
}

/* The upper bit of each of 64 bytes. */
static inline uint64_t mask_of(__m256i low, __m256i high) {
  return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

/* Bit `bit` of each byte, which is a constant. */
#define BITS_OF(low, high, bit)                                                                    \
  mask_of(_mm256_slli_epi16(low, 7 - (bit)), _mm256_slli_epi16(high, 7 - (bit)))

/* Ones in the bytes from one to another: moved to the end of what is positive. */
static inline __m256i is_between(__m256i bytes, int first, int last) {
  __m256i moved = _mm256_add_epi8(bytes, _mm256_set1_epi8((char)(127 - last)));
  return _mm256_cmpgt_epi8(moved, _mm256_set1_epi8((char)(126 - (last - first))));
}

static inline uint64_t between(__m256i low, __m256i high, int first, int last) {
  return mask_of(is_between(low, first, last), is_between(high, first, last));
}

/* What of ASCII is in one row of 16 codes: a bit for each kind, in the rows and in the columns. */
enum { NUMBER = 1, CONTROL = 2, BLANK = 4, NEWLINE = 8, APOSTROPHE = 16, SLASH = 32 };

static inline __m256i kinds_of(__m256i bytes) {
#define D NUMBER
#define C CONTROL
  const __m256i rows = _mm256_broadcastsi128_si256(_mm_setr_epi8(
      C | NEWLINE, 0, BLANK | APOSTROPHE | SLASH, D, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i columns =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(D | BLANK, D, D, D, D, D, D, D | APOSTROPHE, D,
                                                D | C, C | NEWLINE, C, C, C | NEWLINE, 0, SLASH));
#undef D
#undef C
  __m256i row = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
  return _mm256_and_si256(_mm256_shuffle_epi8(rows, row), _mm256_shuffle_epi8(columns, bytes));
}

/*
 * The letters of contractions by the lower half of the byte, of those that begin with 4 or 6 and
 * with 5 or 7. Bit 7: one; 6: first; 5: ell; 4: e. What begins otherwise is to be left out.
 */
static inline __m256i part_of(__m256i bytes) {
  const __m256i even = _mm256_broadcastsi128_si256(_mm_setr_epi8(
      0, 0, 0, 0, -128 /* d */, 16 /* e */, 0, 0, 0, 0, 0, 0, 32 /* l */, -128 /* m */, 0, 0));
  const __m256i odd = _mm256_broadcastsi128_si256(_mm_setr_epi8(
      0, 0, 64 /* r */, -128 /* s */, -128 /* t */, 0, 64 /* v */, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  return _mm256_blendv_epi8(_mm256_shuffle_epi8(even, bytes), _mm256_shuffle_epi8(odd, bytes),
                            _mm256_slli_epi16(bytes, 3));
}

/* What a pattern does not ask for is not there when all is inlined. */
static inline __attribute__((always_inline)) void classify(const unsigned char *text,
                                                           limn_block *b) {
  const __m256i low = load(text), high = load(text + 32), bit5 = _mm256_set1_epi8(0x20);
  uint64_t letters = between(_mm256_or_si256(low, bit5), _mm256_or_si256(high, bit5), 'a', 'z');
  __m256i parts_low = part_of(low), parts_high = part_of(high);
  __m256i kinds_low = kinds_of(low), kinds_high = kinds_of(high);
  b->high = mask_of(low, high);
  b->lower = letters & BITS_OF(low, high, 5);
  b->upper = letters ^ b->lower;
  b->number = BITS_OF(kinds_low, kinds_high, 0);
  b->blank = BITS_OF(kinds_low, kinds_high, 2);
  b->space = BITS_OF(kinds_low, kinds_high, 1) | b->blank;
  b->newline = BITS_OF(kinds_low, kinds_high, 3);
  b->apostrophe = BITS_OF(kinds_low, kinds_high, 4);
  b->slash = BITS_OF(kinds_low, kinds_high, 5);
  b->one = letters & BITS_OF(parts_low, parts_high, 7);
  b->first = letters & BITS_OF(parts_low, parts_high, 6);
  b->ell = letters & BITS_OF(parts_low, parts_high, 5);
  b->e = letters & BITS_OF(parts_low, parts_high, 4);
  b->visible = between(low, high, '!', '~') & ~(letters | b->number);
}

static inline __m256i is_typographic(const unsigned char *text) {
  __m256i is = _mm256_and_si256(_mm256_cmpeq_epi8(load(text), _mm256_set1_epi8((char)0xe2)),
                                _mm256_cmpeq_epi8(load(text + 1), _mm256_set1_epi8((char)0x80)));
  return _mm256_and_si256(is, is_between(load(text + 2), 0x90, 0xa7));
}

/* Where characters from U+2010 to U+2027 begin. */
static inline uint64_t typographic(const unsigned char *text) {
  return mask_of(is_typographic(text), is_typographic(text + 32));
}

#define LIMN_LOOP_TYPOGRAPHIC

static inline uint64_t from(const unsigned char *text, unsigned char byte) {
  const __m256i least = _mm256_set1_epi8((char)byte);
  __m256i low = load(text), high = load(text + 32);
  return mask_of(_mm256_cmpeq_epi8(_mm256_max_epu8(low, least), low),
                 _mm256_cmpeq_epi8(_mm256_max_epu8(high, least), high));
}

/* A row of 16 by bits 0 to 3 of a byte, of four rows, which bits 4 and 5 choose. */
static inline __m256i among_64(const uint8_t *table, __m256i bytes) {
#define ROW(i)                                                                                     \
  _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_half(table + 16 * (i))), columns)
  __m256i columns = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
  __m256i bit4 = _mm256_slli_epi16(bytes, 3), bit5 = _mm256_slli_epi16(bytes, 2);
  __m256i a = _mm256_blendv_epi8(ROW(0), ROW(1), bit4);
  __m256i b = _mm256_blendv_epi8(ROW(2), ROW(3), bit4);
  return _mm256_blendv_epi8(a, b, bit5);
#undef ROW
}

typedef struct found_classes {
  __m256i low, high;
} found_classes;

static inline __m256i look_up_half(const unsigned char *text, const unsigned char *at, unsigned n,
                                   const uint8_t *table, __m256i *found) {
  __m256i same = _mm256_cmpeq_epi8(load(text), _mm256_set1_epi8((char)at[0]));
  if (n == 2)
    same = _mm256_and_si256(same, _mm256_cmpeq_epi8(load(text + 1), _mm256_set1_epi8((char)at[1])));
  *found = _mm256_or_si256(*found, _mm256_and_si256(same, among_64(table, load(text + n))));
  return same;
}

static inline uint64_t look_up(const unsigned char *text, const unsigned char *at, unsigned n,
                               const uint8_t *table, found_classes *found) {
  __m256i low = look_up_half(text, at, n, table, &found->low);
  return mask_of(low, look_up_half(text + 32, at, n, table, &found->high));
}

static inline void masks_of(found_classes found, uint64_t classes[4]) {
  classes[0] = BITS_OF(found.low, found.high, 0);
  classes[1] = BITS_OF(found.low, found.high, 1);
  classes[2] = BITS_OF(found.low, found.high, 2);
  classes[3] = BITS_OF(found.low, found.high, 3);
}

#include "tokenizer/split_pages.h"

/* ---- pieces -------------------------------------------------------------------------------------
 */

/*
 * A key of 16 bytes at a multiple of 16 is read at once, so that of one that is being written the
 * second word is never seen without the first.
 */
#ifndef LIMN_RACES_WATCHED
static inline size_t find_way(const limn_bucket *bucket, const uint64_t key[2]) {
  __m256i twice = _mm256_broadcastsi128_si256(load_half(key));
  __m256i low = _mm256_cmpeq_epi64(twice, load(bucket->keys[0]));
  __m256i high = _mm256_cmpeq_epi64(twice, load(bucket->keys[2]));
  unsigned equal = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(low)) |
                   (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4;
  equal &= equal >> 1; /* bit 2i: the key is at place i */
  return (size_t)_tzcnt_u32((equal & 0x55) | 0x100) >> 1;
}
#define LIMN_LOOP_WAY
#endif

/* Whether a byte of the span, or one behind it, is zero. */
static inline bool has_zero(const span *s) {
  __m256i least = _mm256_set1_epi8(-1);
  for (size_t i = 0; i < s->size; i += 32)
    least = _mm256_min_epu8(least, load(s->text + i));
  return _mm256_movemask_epi8(_mm256_cmpeq_epi8(least, _mm256_setzero_si256())) != 0;
}

/* The first eight bytes of four pieces. */
static inline __m256i four_keys(const unsigned char *text, const uint16_t *where) {
  __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)(text + where[0]));
  __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)(text + where[2]));
  long long second, fourth;
  memcpy(&second, text + where[1], sizeof second);
  memcpy(&fourth, text + where[3], sizeof fourth);
  low = _mm_insert_epi64(low, second, 1);
  high = _mm_insert_epi64(high, fourth, 1);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/* Where the keys' places are, in bytes: limn_hot_place, by halves, since nothing multiplies 64 bits
 * at once. */
static inline __m256i four_places(__m256i keys, __m128i by) {
  const __m256i low = _mm256_set1_epi64x((long long)(LIMN_HOT_FACTOR & UINT32_MAX));
  const __m256i high = _mm256_set1_epi64x((long long)(LIMN_HOT_FACTOR >> 32));
  __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(keys, 32), low),
                                   _mm256_mul_epu32(keys, high));
  __m256i product = _mm256_add_epi64(_mm256_mul_epu32(keys, low), _mm256_slli_epi64(cross, 32));
  return _mm256_and_si256(_mm256_srl_epi64(product, by),
                          _mm256_set1_epi64x(-(long long)sizeof(limn_hot)));
}

/* Four entries of the table: their answers are stored; which of them have these keys. */
static inline unsigned four_entries(const limn_hot *hots, __m256i keys, __m128i by,
                                    limn_answer *answers) {
  uint64_t places[4];
  store(places, four_places(keys, by));
#define ENTRY(k) load_half((const char *)hots + places[k])
  __m256i even = _mm256_inserti128_si256(_mm256_castsi128_si256(ENTRY(0)), ENTRY(2), 1);
  __m256i odd = _mm256_inserti128_si256(_mm256_castsi128_si256(ENTRY(1)), ENTRY(3), 1);
#undef ENTRY
  __m256i is = _mm256_cmpeq_epi64(keys, _mm256_unpacklo_epi64(even, odd));
  store(answers, _mm256_unpackhi_epi64(even, odd));
  return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(is));
}

static inline size_t look_up_hot(span *s, const limn_hot *hots, unsigned shift,
                                 limn_answer *answers, uint32_t first, uint32_t *missed,
                                 uint16_t *where) {
  /* The length of each piece in all bytes of its lane, and which byte of the lane it is. */
  const __m256i of_low =
      _mm256_setr_epi64x(0, 0x0202020202020202, 0x0404040404040404, 0x0606060606060606);
  const __m256i of_high = _mm256_setr_epi64x(0x0808080808080808, 0x0a0a0a0a0a0a0a0a,
                                             0x0c0c0c0c0c0c0c0c, 0x0e0e0e0e0e0e0e0e);
  const __m256i inside = _mm256_set1_epi64x(0x0706050403020100);
  const __m128i by = _mm_cvtsi32_si128((int)shift - 4); /* an entry has 16 bytes */
  /* A key says nothing of a zero with which the piece ends. */
  const __m128i most = _mm_set1_epi16(has_zero(s) ? -1 : LIMN_HOT_PIECE);
  const __m128i end = _mm_set1_epi16((short)s->size);
  const size_t n = s->n;
  const unsigned char *const text = s->text;
  size_t n_missed = 0;
  unsigned miss = 0;
  for (size_t i = 0; i <= 8; i += 8) /* what is looked up beside the last has no bytes */
    _mm_storeu_si128((__m128i *)(void *)(s->where + n + i), end);
  for (size_t i = 0; i < n; i += 8) {
    const uint16_t *places = s->where + i;
    __m128i place = load_half(places), length = _mm_sub_epi16(load_half(places + 1), place);
    __m128i is_long = _mm_cmpgt_epi16(length, most);
    __m256i lengths = _mm256_broadcastsi128_si256(_mm_andnot_si128(is_long, length));
    __m256i low = _mm256_cmpgt_epi8(_mm256_shuffle_epi8(lengths, of_low), inside);
    __m256i high = _mm256_cmpgt_epi8(_mm256_shuffle_epi8(lengths, of_high), inside);
    low = _mm256_and_si256(low, four_keys(text, places));
    high = _mm256_and_si256(high, four_keys(text, places + 4));
    unsigned hit = four_entries(hots, low, by, answers + i) |
                   four_entries(hots, high, by, answers + i + 4) << 4;
    miss = ((unsigned)_mm_movemask_epi8(_mm_packs_epi16(is_long, is_long)) | ~hit) & 0xff;
    __m128i chosen = _mm_cvtsi64_si128((long long)limn_chosen[miss]);
    store(missed + n_missed, _mm256_add_epi32(_mm256_cvtepu8_epi32(chosen),
                                              _mm256_set1_epi32((int)(first + (uint32_t)i))));
    /* Bytes 2k and 2k + 1 for each k. */
    __m128i twice = _mm_slli_epi16(_mm_unpacklo_epi8(chosen, chosen), 1);
    __m128i here = _mm_or_si128(_mm_slli_epi16(place, 6), length);
    _mm_storeu_si128((__m128i *)(void *)(where + n_missed),
                     _mm_shuffle_epi8(here, _mm_add_epi8(twice, _mm_set1_epi16(0x0100))));
    n_missed += (size_t)__builtin_popcount(miss);
  }
  return n_missed - (n % 8 ? (size_t)__builtin_popcount(miss >> n % 8) : 0);
}

/* For each byte of the mask eight places, of which those that are too many are written over. */
static inline void take_block(span *s, size_t at, const unsigned char *text, size_t offset,
                              uint64_t starts, unsigned shift) {
  uint16_t *places = s->where + at;
  __m128i first = _mm_set1_epi16((short)offset);
  (void)text;
  (void)shift;
  for (unsigned i = 0; i < 64; i += 8) {
    const uint64_t *chosen = &limn_chosen[starts >> i & 255];
    __m128i numbers = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)chosen));
    _mm_storeu_si128((__m128i *)(void *)places, _mm_add_epi16(numbers, first));
    first = _mm_add_epi16(first, _mm_set1_epi16(8));
    places += __builtin_popcountll(starts & (uint64_t)255 << i);
  }
}

static inline unsigned sign_bits(__m256i of) {
  return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(of));
}

static inline uint32_t stored_among(const limn_answer *answers) {
  /* More than so many, as numbers without a sign: half of their range lies below zero. */
  const __m256i one = _mm256_set1_epi32((int)(UINT32_C(1) << 31 | 1u << LIMN_ID_BITS));
  const __m256i most = _mm256_set1_epi32((int)(UINT32_C(1) << 31 | ((2u << LIMN_ID_BITS) - 1)));
  __m256i low = _mm256_cmpgt_epi32(_mm256_add_epi32(load(answers), one), most);
  __m256i high = _mm256_cmpgt_epi32(_mm256_add_epi32(load(answers + 4), one), most);
  return (sign_bits(low) | sign_bits(high) << 8) & 0x5555;
}

static inline int32_t *put_four(int32_t *out, __m256i some, unsigned chosen) {
  __m128i order = _mm_cvtsi64_si128((long long)limn_chosen[chosen]);
  store(out, _mm256_permutevar8x32_epi32(some, _mm256_cvtepu8_epi32(order)));
  return out + __builtin_popcount(chosen);
}

static inline int32_t *put_ids(int32_t *out, const limn_answer *answers, unsigned from,
                               unsigned to) {
  const __m256i none = _mm256_set1_epi32(-1), low = load(answers), high = load(answers + 4);
  unsigned is_none =
      sign_bits(_mm256_cmpeq_epi32(low, none)) | sign_bits(_mm256_cmpeq_epi32(high, none)) << 8;
  unsigned is_id = _bzhi_u32(~is_none, 2 * to) >> 2 * from << 2 * from;
  out = put_four(out, low, is_id & 0xff);
  return put_four(out, high, is_id >> 8);
}

/* Two steps of CRC-32C (Castagnoli 1993), which the processor has. */
static uint32_t hash_key(uint64_t low, uint64_t high) {
  return (uint32_t)_mm_crc32_u64(_mm_crc32_u64(0, low), high);
}

#define LIMN_LOOP_TAKE
#define LIMN_LOOP_HOT
#define LIMN_LOOP_STORED
#define LIMN_LOOP_PUT
#define LIMN_LOOP_HASH
#define LIMN_LOOP        limn_loop_avx2
#define LIMN_LOOP_ISA    "avx2"
#define LIMN_LOOP_MERGER limn_merger_avx2
#include "tokenizer/loop.h"

#endif
