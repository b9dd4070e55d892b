/*
 * merge_avx512.c - merging windows of bytes (merge.h) with AVX-512: several windows in columns, a
 * register for each place; of a single window of up to 31 bytes, the keys stay in registers, where
 * the least of them is found in a few steps.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define LIMN_MERGER     limn_merger_avx512
#define LIMN_MERGER_ISA "avx512"
#define LIMN_MERGER_LANES
#define LIMN_MERGER_LEAST
#define LIMN_MERGER_TINY
#define LIMN_MERGER_COLUMNS
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

/* ---- columns ------------------------------------------------------------------------------------
 */

/*
 * Up to 16 windows, each an element of every register: there is a register for each place. In
 * a step each window makes the merge of its least key, and what stands behind that place moves up
 * by one, so that neighbours are neighbouring registers. This takes some twenty instructions
 * a place for all windows together; half of the time goes on looking up pairs.
 */
#define COLUMNS     16
#define MOST_PLACES 32
/* Fewer are faster in lanes; those of more than 15 bytes take more steps with few that go on. */
#define LEAST_SHORT 4
#define LEAST_LONG  7
/* What is no merge: of these keys and more. */
#define NO_KEY (LIMN_NO_SYMBOL << PLACE_BITS)

typedef struct columns {
  __m512i symbols[MOST_PLACES];
  __m512i keys[MOST_PLACES]; /* of each symbol and the next */
  __m512i n;                 /* how many symbols are left */
  __m512i least;             /* key */
} columns;

static INLINE __m512i all(uint32_t x) {
  return _mm512_set1_epi32((int)x);
}

/* Four rows of 16 numbers as sixteen columns of four: out[i] has the columns i, 4 + i, 8 + i, 12 +
 * i, one behind the other. */
static INLINE void turn(const __m512i *rows, __m512i *out) {
  __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]), b = _mm512_unpacklo_epi32(rows[2], rows[3]);
  __m512i c = _mm512_unpackhi_epi32(rows[0], rows[1]), d = _mm512_unpackhi_epi32(rows[2], rows[3]);
  out[0] = _mm512_unpacklo_epi64(a, b);
  out[1] = _mm512_unpackhi_epi64(a, b);
  out[2] = _mm512_unpacklo_epi64(c, d);
  out[3] = _mm512_unpackhi_epi64(c, d);
}

/* The bytes from `from` on of each window, up to 16. */
static INLINE void read_bytes(__m512i *symbols, limn_window *const *windows, size_t n,
                              size_t from) {
  _Alignas(64) unsigned char bytes[4][4][16] = {0}; /* window i's are bytes[i % 4][i / 4] */
  __m512i rows[4], words[4];
  for (size_t i = 0; i < n; i++) {
    size_t at = windows[i]->n > from ? from : windows[i]->n;
    __mmask16 used = (__mmask16)bits(windows[i]->n - at);
    _mm_store_si128((__m128i *)(void *)bytes[i % 4][i / 4],
                    _mm_maskz_loadu_epi8(used, windows[i]->bytes + at));
  }
  for (size_t i = 0; i < 4; i++)
    rows[i] = _mm512_load_si512(bytes[i]);
  turn(rows, words); /* words[i] has four bytes of each window */
  for (unsigned i = 0; i < 16; i++)
    symbols[i] = _mm512_and_si512(_mm512_srli_epi32(words[i / 4], 8 * (i % 4)), all(255));
}

static INLINE void read_columns(columns *c, limn_window *const *windows, size_t n, size_t size) {
  _Alignas(64) uint32_t sizes[COLUMNS] = {0};
  for (size_t i = 0; i < n; i++)
    sizes[i] = (uint32_t)windows[i]->n;
  c->n = _mm512_load_si512(sizes);
  /* One more than there are bytes is looked at. */
  for (size_t from = 0; from <= size; from += 16)
    read_bytes(c->symbols + from, windows, n, from);
}

/* What two bytes make, for each window that has them; of few windows, in half of the elements. */
static INLINE __m512i made_of_bytes(const limn_symbols *s, __m512i both, __mmask16 used,
                                    bool are_few) {
  const __m512i none = all(LIMN_NO_SYMBOL);
  if (!are_few) return _mm512_mask_i32gather_epi32(none, used, both, (const void *)s->of_bytes, 4);
  return _mm512_inserti64x4(
      none,
      _mm256_mmask_i32gather_epi32(_mm512_castsi512_si256(none), (__mmask8)used,
                                   _mm512_castsi512_si256(both), (const void *)s->of_bytes, 4),
      0);
}

static INLINE void start_columns(columns *c, const limn_symbols *s, size_t size, bool are_few) {
  c->least = all(DEAD);
  for (uint32_t i = 0; i + 1 < size; i++) {
    __mmask16 is_pair = _mm512_cmpgt_epu32_mask(c->n, all(i + 1));
    __m512i both = _mm512_or_si512(_mm512_slli_epi32(c->symbols[i], 8), c->symbols[i + 1]);
    __m512i made = made_of_bytes(s, both, is_pair, are_few);
    c->keys[i] = _mm512_or_si512(_mm512_slli_epi32(made, PLACE_BITS), all(i));
    c->least = _mm512_min_epu32(c->least, c->keys[i]);
  }
}

/* What a step leaves to be looked up. */
typedef struct merged {
  __m512i symbols, places;      /* what was made, and where; nowhere in a window that is done */
  __m512i left, right;          /* neighbours */
  __mmask16 goes_on, has_right; /* not done; has a neighbour there */
} merged;

#define NO_PLACE 63

/* One merge in each window that goes on, of which none has more than `size` symbols. */
static INLINE void merge_columns(columns *c, size_t size, merged *m) {
  m->goes_on = _mm512_cmplt_epu32_mask(c->least, all(NO_KEY));
  m->symbols = _mm512_srli_epi32(c->least, PLACE_BITS);
  m->places = _mm512_mask_and_epi32(all(NO_PLACE), m->goes_on, c->least, all(63));
  __m512i before = c->symbols[0], here = before, next = c->symbols[1];
  m->left = m->right = before;
  c->keys[size - 1] = all(DEAD);
  for (uint32_t i = 0; i + 1 < size; i++) {
    __m512i farther = c->symbols[i + 2], place = all(i);
    __mmask16 is_here = _mm512_cmpeq_epu32_mask(m->places, place);
    __mmask16 is_behind = _mm512_cmplt_epu32_mask(m->places, place);
    m->left = _mm512_mask_mov_epi32(m->left, is_here, before);
    m->right = _mm512_mask_mov_epi32(m->right, is_here, farther);
    before = here;
    here = _mm512_mask_mov_epi32(here, is_behind, next);
    c->symbols[i] = _mm512_mask_mov_epi32(here, is_here, m->symbols);
    c->keys[i] = _mm512_mask_sub_epi32(c->keys[i], is_behind, c->keys[i + 1], all(1));
    here = next;
    next = farther;
  }
  c->n = _mm512_mask_sub_epi32(c->n, m->goes_on, c->n, all(1));
  m->has_right =
      _mm512_mask_cmplt_epu32_mask(m->goes_on, _mm512_add_epi32(m->places, all(1)), c->n);
}

/* What eight pairs make. Loads of their own are faster than gathering. */
static INLINE __m256i made_of(const limn_symbols *s, __m256i left, __m256i right) {
  _Alignas(64) uint64_t hashes[8];
  __m512i key = _mm512_or_si512(_mm512_slli_epi64(_mm512_cvtepu32_epi64(left), LIMN_SYMBOL_BITS),
                                _mm512_cvtepu32_epi64(right));
  _mm512_store_si512(hashes, _mm512_mullo_epi64(key, _mm512_set1_epi64((int64_t)s->factor)));
#define PAIR(i) (int64_t) * limn_symbols_at(s, hashes[i])
  __m512i pairs =
      _mm512_set_epi64(PAIR(7), PAIR(6), PAIR(5), PAIR(4), PAIR(3), PAIR(2), PAIR(1), PAIR(0));
#undef PAIR
  __m512i both = _mm512_xor_si512(pairs, _mm512_slli_epi64(key, 22));
  return _mm512_cvtepi64_epi32(_mm512_min_epu64(both, _mm512_set1_epi64(LIMN_NO_SYMBOL)));
}

static INLINE __m256i high_half(__m512i x) {
  return _mm512_extracti64x4_epi64(x, 1);
}

/* The same for sixteen, of which only the first eight may be of use. */
static INLINE __m512i made_of_all(const limn_symbols *s, __m512i left, __m512i right,
                                  bool are_few) {
  __m512i made = _mm512_castsi256_si512(
      made_of(s, _mm512_castsi512_si256(left), _mm512_castsi512_si256(right)));
  if (are_few) return made;
  return _mm512_inserti64x4(made, made_of(s, high_half(left), high_half(right)), 1);
}

/* The keys of the pairs that are new, and the least of all. */
static INLINE void set_keys(columns *c, size_t size, const merged *m, __m512i before,
                            __m512i behind) {
  /* What is before place 0 is no place, and set nowhere. */
  __m512i place_before = _mm512_sub_epi32(m->places, all(1));
  before = _mm512_or_si512(_mm512_slli_epi32(before, PLACE_BITS), place_before);
  behind = _mm512_mask_mov_epi32(all(LIMN_NO_SYMBOL), m->has_right, behind);
  behind = _mm512_or_si512(_mm512_slli_epi32(behind, PLACE_BITS), m->places);
  c->least = all(DEAD);
  __mmask16 is_here = _mm512_cmpeq_epu32_mask(m->places, all(0));
  for (uint32_t i = 0; i + 1 < size; i++) {
    __mmask16 is_next = _mm512_cmpeq_epu32_mask(m->places, all(i + 1));
    __m512i key = _mm512_mask_mov_epi32(c->keys[i], is_here, behind);
    c->keys[i] = _mm512_mask_mov_epi32(key, is_next, before);
    c->least = _mm512_min_epu32(c->least, c->keys[i]);
    is_here = is_next;
  }
}

static INLINE void write_columns(const columns *c, limn_window *const *windows, size_t n) {
  _Alignas(64) uint32_t sizes[COLUMNS], symbols[4][4][4];
  uint32_t longest = _mm512_reduce_max_epu32(c->n);
  _mm512_store_si512(sizes, c->n);
  for (size_t i = 0; i < n; i++)
    windows[i]->n_out = sizes[i];
  for (uint32_t at = 0; at < longest; at += 4) {
    __m512i four[4];
    turn(c->symbols + at, four);
    for (size_t i = 0; i < 4; i++)
      _mm512_store_si512(symbols[i], four[i]);
    for (size_t i = 0; i < n; i++) {
      __mmask8 used = (__mmask8)(bits(sizes[i] > at ? sizes[i] - at : 0) & 15);
      __m128i own = _mm_load_si128((const __m128i *)(const void *)symbols[i % 4][i / 4]);
      _mm_mask_storeu_epi32(windows[i]->out + at, used, own);
    }
  }
}

/* Merges n windows, sorted by length. */
static void merge_sixteen(const limn_symbols *s, limn_window *const *windows, size_t n) {
  columns c;
  size_t size = windows[n - 1]->n;
  read_columns(&c, windows, n, size);
  start_columns(&c, s, size, n <= 8);
  for (; size > 1; size--) {
    merged m;
    merge_columns(&c, size, &m);
    if (!m.goes_on || size == 2) break;
    __m512i before = made_of_all(s, m.left, m.symbols, n <= 8);
    __m512i behind = made_of_all(s, m.symbols, m.right, n <= 8);
    set_keys(&c, size - 1, &m, before, behind);
  }
  write_columns(&c, windows, n);
}

static size_t merge_in_columns(const limn_symbols *s, limn_window *const *sorted, size_t n) {
  size_t n_short = n;
  while (n_short > 0 && sorted[n_short - 1]->n > 15)
    n_short--;
  if (n - n_short < LEAST_LONG) n = n_short;
  if (n < LEAST_SHORT) return 0;
  size_t n_parts = (n + COLUMNS - 1) / COLUMNS;
  for (size_t i = 0, at = 0; i < n_parts; i++) {
    size_t end = n * (i + 1) / n_parts;
    merge_sixteen(s, sorted + at, end - at);
    at = end;
  }
  return n;
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
