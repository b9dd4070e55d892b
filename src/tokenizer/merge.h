/*
 * merge.h - inside the library: merging a window of bytes, compiled once for each instruction set.
 *
 * Each place holds what its symbol and the next would merge to, in the upper bits of a key that has
 * the place itself in the lower: the least key is the merge to do, the leftmost among equals. A
 * merge changes three keys. Up to 31 bytes the least is looked for in all keys, and a bit mask
 * says which places still begin a symbol; up to 1024, the keys play a tournament.
 */
#ifndef LIMN_SRC_TOKENIZER_MERGE_H
#define LIMN_SRC_TOKENIZER_MERGE_H

#include "tokenizer/symbols.h"

#include <string.h>

#define LIMN_SMALL_WINDOW 62
#define LIMN_LARGE_WINDOW 1024

/*
 * Merges n bytes, writes the symbols that are left, returns how many. Preconditions: 1 <= n <= 62;
 * room for n symbols.
 */
typedef size_t limn_merge_small(const limn_symbols *s, const unsigned char *bytes, size_t n,
                                uint32_t *out);
/* The same for 1 <= n <= 1024. */
typedef size_t limn_merge_large(const limn_symbols *s, const unsigned char *bytes, size_t n,
                                uint32_t *out);

#define LIMN_TINY_WINDOW 31

/* One of several that are merged together. */
typedef struct limn_window {
  const unsigned char *bytes;
  size_t n;      /* 1 to LIMN_TINY_WINDOW */
  uint32_t *out; /* room for n symbols */
  size_t n_out;  /* how many are left */
} limn_window;

/*
 * Merges each of n windows; the same as one after the other, and faster: while one waits for the
 * table, others go on. n may be 0.
 */
typedef void limn_merge_several(const limn_symbols *s, limn_window *windows, size_t n);

typedef struct limn_merger {
  const char *isa;
  limn_merge_small *small;
  limn_merge_large *large;
  limn_merge_several *several;
} limn_merger;

extern const limn_merger limn_merger_scalar, limn_merger_avx2, limn_merger_avx512;

#ifdef LIMN_MERGER

#define INLINE     inline __attribute__((always_inline))
#define DEAD       UINT32_MAX
#define PLACE_BITS 6

/* ---- up to 31 bytes ----------------------------------------------------------------------------
 */

/*
 * Windows merge in lanes that take their steps in turn, so that while one waits for the table the
 * others go on. Nothing branches on what is found: a lane that is done makes steps that change
 * nothing, at places that no window has, until all are done.
 */
#define LANES 12
/* The key of a step that changes nothing: more than any merge's, less than that of no merge. */
#define IDLE_PLACE 63
#define IDLE       ((LIMN_NO_SYMBOL - 1) << PLACE_BITS | IDLE_PLACE)

/*
 * Places are counted from 1: before the first and behind the last stands an edge, so that every
 * symbol has two neighbours.
 */
typedef struct lane {
  _Alignas(64) uint32_t keys[80];
  _Alignas(64) uint32_t symbols[80];
  uint64_t alive; /* a bit for each place where a symbol or an edge begins */
} lane;

/* Behind all places there are edges, always. */
static INLINE void lane_init(lane *l) {
  for (size_t i = 0; i < 80; i++)
    l->symbols[i] = LIMN_EDGE;
}

/*
 * In what follows `is_wide` is a constant: where it is false, no window of the group has more than
 * 15 bytes, and only the first 16 places count.
 */
#ifndef LIMN_MERGER_LANES
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

/* Writes the symbols that are left, returns how many. */
static INLINE size_t lane_end(const lane *l, size_t n, uint32_t *out, bool is_wide) {
  size_t n_out = 0;
  uint64_t alive = l->alive & (((uint64_t)1 << (n + 1)) - 2);
  (void)is_wide;
  for (; alive; alive &= alive - 1)
    out[n_out++] = l->symbols[__builtin_ctzll(alive)];
  return n_out;
}
#else
static INLINE void lane_start(lane *l, const limn_symbols *s, const unsigned char *bytes, size_t n,
                              bool is_wide);
static INLINE size_t lane_end(const lane *l, size_t n, uint32_t *out, bool is_wide);
#endif

#ifndef LIMN_MERGER_LEAST
static INLINE uint32_t least_key(const uint32_t *keys, bool is_wide) {
  uint32_t least = keys[0];
  for (size_t i = 1; i < (is_wide ? 32 : 16); i++)
    least = keys[i] < least ? keys[i] : least;
  return least;
}
#else
static INLINE uint32_t least_key(const uint32_t *keys, bool is_wide);
#endif

/* The place of the lowest bit, or 64. */
static INLINE uint64_t lowest(uint64_t bits) {
#ifdef __BMI__
  return _tzcnt_u64(bits);
#else
  return bits ? (uint64_t)__builtin_ctzll(bits) : 64;
#endif
}

/* What a lane asks the table for: what its new symbol makes with the one before and the next. */
typedef struct question {
  uint64_t before, behind; /* keys */
  const uint64_t *before_at, *behind_at;
  uint32_t left, place;
} question;

/* Makes the merge of a key and asks what it leads to. Returns the place that is gone. */
static INLINE uint64_t lane_merge(lane *l, const limn_symbols *s, uint32_t key, question *q) {
  uint32_t symbol = key >> PLACE_BITS;
  uint64_t i = key & 63, alive = l->alive;
  uint64_t behind = alive & (UINT64_MAX - 1) << i, before = alive & (((uint64_t)1 << i) - 1);
  uint64_t farther = behind & (behind - 1);
  uint64_t left = 63 - (uint64_t)__builtin_clzll(before);
  l->symbols[i] = symbol;
  l->alive = alive ^ behind ^ farther;
  q->before = limn_symbols_key(l->symbols[left], symbol);
  q->behind = limn_symbols_key(symbol, l->symbols[lowest(farther)]);
  q->before_at = limn_symbols_look(s, q->before);
  q->behind_at = limn_symbols_look(s, q->behind);
  q->left = (uint32_t)left;
  q->place = (uint32_t)i;
  return lowest(behind);
}

static INLINE uint32_t key_before(const question *q) {
  return limn_symbols_made(*q->before_at, q->before) << PLACE_BITS | q->left;
}

static INLINE uint32_t key_behind(const question *q) {
  return limn_symbols_made(*q->behind_at, q->behind) << PLACE_BITS | q->place;
}

/* One merge, and its questions; 0 where there is none. */
static INLINE uint32_t lane_ask(lane *l, const limn_symbols *s, question *q, bool is_wide) {
  uint32_t least = least_key(l->keys, is_wide);
  least = least < IDLE ? least : IDLE;
  l->keys[lane_merge(l, s, least, q)] = DEAD;
  __builtin_prefetch(q->before_at);
  __builtin_prefetch(q->behind_at);
  return least ^ IDLE;
}

static INLINE void lane_answer(lane *l, const question *q) {
  l->keys[q->place] = key_behind(q);
  l->keys[q->left] = key_before(q);
}

static INLINE void merge_group(lane *lanes, const limn_symbols *s, limn_window *const *windows,
                               size_t n, bool is_wide) {
  question questions[LANES];
  for (size_t i = 0; i < n; i++)
    lane_start(&lanes[i], s, windows[i]->bytes, windows[i]->n, is_wide);
  for (uint32_t goes_on = 1; goes_on;) {
    goes_on = 0;
    for (size_t i = 0; i < n; i++)
      goes_on |= lane_ask(&lanes[i], s, &questions[i], is_wide);
    for (size_t i = 0; i < n; i++)
      lane_answer(&lanes[i], &questions[i]);
  }
  for (size_t i = 0; i < n; i++)
    windows[i]->n_out = lane_end(&lanes[i], windows[i]->n, windows[i]->out, is_wide);
}

#ifndef LIMN_MERGER_TINY
static size_t merge_tiny(const limn_symbols *s, const unsigned char *bytes, size_t n,
                         uint32_t *out) {
  lane l;
  limn_window window = {bytes, n, out, 0}, *windows = &window;
  lane_init(&l);
  if (n < 16)
    merge_group(&l, s, &windows, 1, false);
  else
    merge_group(&l, s, &windows, 1, true);
  return window.n_out;
}
#else
static size_t merge_tiny(const limn_symbols *s, const unsigned char *bytes, size_t n,
                         uint32_t *out);
#endif

#define MOST_SORTED 64

/* Windows of about the same length are done at about the same time. */
static inline void sort_windows(limn_window *windows, size_t n, limn_window **sorted) {
  uint8_t ends[LIMN_TINY_WINDOW + 2] = {0};
  for (size_t i = 0; i < n; i++)
    ends[windows[i].n + 1]++;
  for (size_t i = 1; i <= LIMN_TINY_WINDOW; i++)
    ends[i] = (uint8_t)(ends[i] + ends[i - 1]);
  for (size_t i = 0; i < n; i++)
    sorted[ends[windows[i].n]++] = &windows[i];
}

static inline void merge_in_lanes(const limn_symbols *s, limn_window *const *sorted, size_t n) {
  lane lanes[LANES];
  if (n == 1) {
    sorted[0]->n_out = merge_tiny(s, sorted[0]->bytes, sorted[0]->n, sorted[0]->out);
    return;
  }
  for (size_t i = 0; i < LANES && i < n; i++)
    lane_init(&lanes[i]);
  for (size_t i = 0, size; i < n; i += size) {
    size = n - i < LANES ? n - i : LANES;
    if (sorted[i + size - 1]->n < 16)
      merge_group(lanes, s, sorted + i, size, false);
    else
      merge_group(lanes, s, sorted + i, size, true);
  }
}

/* Merges some of the windows, from the shortest on, in a faster way; returns how many. */
#ifndef LIMN_MERGER_COLUMNS
static inline size_t merge_in_columns(const limn_symbols *s, limn_window *const *sorted, size_t n) {
  (void)s, (void)sorted, (void)n;
  return 0;
}
#else
static size_t merge_in_columns(const limn_symbols *s, limn_window *const *sorted, size_t n);
#endif

static void merge_several(const limn_symbols *s, limn_window *windows, size_t n) {
  limn_window *sorted[MOST_SORTED];
  for (size_t at = 0; at < n; at += MOST_SORTED) {
    size_t count = n - at < MOST_SORTED ? n - at : MOST_SORTED;
    sort_windows(windows + at, count, sorted);
    size_t n_done = merge_in_columns(s, sorted, count);
    if (n_done < count) merge_in_lanes(s, sorted + n_done, count - n_done);
  }
}

/* ---- up to 1024 bytes --------------------------------------------------------------------------
 */

#define WIDE_BITS 10
#define NOWHERE   UINT16_MAX

typedef struct wide {
  const limn_symbols *s;
  size_t n_leaves;
  uint32_t keys[2 * LIMN_LARGE_WINDOW]; /* a tournament: [1] is the least of all, [n_leaves] .. */
  uint32_t symbols[LIMN_LARGE_WINDOW];
  uint16_t next[LIMN_LARGE_WINDOW], previous[LIMN_LARGE_WINDOW];
} wide;

static inline uint32_t lesser(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

static inline void wide_start(wide *w, const unsigned char *bytes, size_t n) {
  size_t m = 2;
  while (m < n)
    m *= 2;
  w->n_leaves = m;
  for (size_t i = 0; i < n; i++) {
    w->symbols[i] = bytes[i];
    w->next[i] = i + 1 < n ? (uint16_t)(i + 1) : NOWHERE;
    w->previous[i] = i > 0 ? (uint16_t)(i - 1) : NOWHERE;
  }
  for (size_t i = 0; i < m; i++)
    w->keys[m + i] = DEAD;
  for (size_t i = 0; i + 1 < n; i++)
    w->keys[m + i] = limn_symbols_of_bytes(w->s, bytes + i) << WIDE_BITS | (uint32_t)i;
  for (size_t i = m; i-- > 1;)
    w->keys[i] = lesser(w->keys[2 * i], w->keys[2 * i + 1]);
}

static inline void wide_set(wide *w, size_t i, uint32_t key) {
  size_t at = w->n_leaves + i;
  w->keys[at] = key;
  for (; at > 1; at /= 2) {
    key = lesser(key, w->keys[at ^ 1]);
    w->keys[at / 2] = key;
  }
}

/* Looks up what a symbol and the next make. */
static inline void wide_look(wide *w, size_t i) {
  uint32_t right = w->next[i], key = DEAD;
  if (right != NOWHERE)
    key = limn_symbols_find(w->s, w->symbols[i], w->symbols[right]) << WIDE_BITS | (uint32_t)i;
  wide_set(w, i, key);
}

static inline void wide_merge(wide *w, size_t i, uint32_t symbol) {
  size_t right = w->next[i], next = w->next[right], left = w->previous[i];
  w->symbols[i] = symbol;
  w->next[i] = (uint16_t)next;
  if (next != NOWHERE) w->previous[next] = (uint16_t)i;
  wide_set(w, right, DEAD);
  wide_look(w, i);
  if (left != NOWHERE) wide_look(w, left);
}

static size_t merge_large(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  wide w;
  size_t n_out = 0;
  w.s = s;
  wide_start(&w, bytes, n);
  while (w.keys[1] < LIMN_NO_SYMBOL << WIDE_BITS)
    wide_merge(&w, w.keys[1] & (LIMN_LARGE_WINDOW - 1), w.keys[1] >> WIDE_BITS);
  for (size_t i = 0; i != NOWHERE; i = w.next[i])
    out[n_out++] = w.symbols[i];
  return n_out;
}

static size_t merge_small(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  return n <= LIMN_TINY_WINDOW ? merge_tiny(s, bytes, n, out) : merge_large(s, bytes, n, out);
}

const limn_merger LIMN_MERGER = {LIMN_MERGER_ISA, merge_small, merge_large, merge_several};

#endif
#endif
