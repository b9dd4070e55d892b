/*
 * loop.h - inside the library: the loop over a text, compiled once for each instruction set.
 *
 * The including file defines LIMN_LOOP (the name of the loop), LIMN_LOOP_ISA, LIMN_LOOP_MERGER,
 *
 *     static inline void classify(const unsigned char *text, limn_block *b)
 *     static inline size_t places_of(uint64_t mask, uint8_t places[64 + 16])
 *
 * classify fills what ASCII's bytes are, and `high`; places_of writes the places of the ones of a
 * mask. Where it defines LIMN_LOOP_KEYS, make_key and find_way are its own as well; where
 * LIMN_LOOP_HIGH, so is
 *
 *     static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t
 * classes[4])
 *
 * which does as limn_block_classes does; false where some bytes are no characters.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

#include <string.h>

#define BLOCK 64
/* Where fewer bytes than this are left, they are copied: keys are read 16 bytes at a time. */
#define MARGIN 32

#define INLINE inline __attribute__((always_inline))

#ifndef LIMN_LOOP_HIGH
static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t classes[4]) {
  (void)text, (void)b, (void)classes;
  return false;
}
#endif

static INLINE void look_at(const unsigned char *text, unsigned n, limn_block *b) {
  classify(text, b);
  b->n = n;
  if (b->high) {
    uint64_t classes[4] = {0};
    if (!classify_high(text, b, classes)) {
      memset(classes, 0, sizeof classes);
      b->tail = 0;
      b->n = n;
      limn_block_classes(b, text, classes);
    }
    limn_block_add_classes(b, classes);
  }
}

static INLINE uint64_t starts_of(limn_pattern pattern, const unsigned char *text, unsigned n) {
  limn_block b = {0};
  look_at(text, n, &b);
  return limn_block_starts(pattern, &b, text);
}

static uint64_t block_of(limn_pattern pattern, const unsigned char *text, unsigned n) {
  return starts_of(pattern, text, n);
}

/*
 * Pieces whose slots have been asked for and not yet looked at: memory is slow, and while it
 * answers more of the text is split.
 */
#define ENOUGH 96

typedef struct waiting {
  size_t n;
  uint64_t keys[ENOUGH + BLOCK + 4][2];
  const limn_slot *slots[ENOUGH + BLOCK + 4];
  const unsigned char *pieces[ENOUGH + BLOCK + 4];
  unsigned char copy[BLOCK + 2 * MARGIN + 16]; /* of the last bytes of a text */
} waiting;

#ifndef LIMN_LOOP_HASH
static uint32_t hash_key(uint64_t low, uint64_t high) {
  return limn_slot_hash(low, high);
}
#endif

#ifndef LIMN_LOOP_KEYS
/* Bytes of a piece that count, by its length. */
static const uint64_t key_masks[16][2] = {
    {0, 0},
    {0xff, 0},
    {0xffff, 0},
    {0xffffff, 0},
    {0xffffffff, 0},
    {0xffffffffff, 0},
    {0xffffffffffff, 0},
    {0xffffffffffffff, 0},
    {UINT64_MAX, 0},
    {UINT64_MAX, 0xff},
    {UINT64_MAX, 0xffff},
    {UINT64_MAX, 0xffffff},
    {UINT64_MAX, 0xffffffff},
    {UINT64_MAX, 0xffffffffff},
    {UINT64_MAX, 0xffffffffffff},
    {UINT64_MAX, 0xffffffffffffff},
};

/* The key of a piece; that of one longer than 15 bytes is no slot's. */
static inline void make_key(const unsigned char *piece, size_t length, uint64_t key[2]) {
  memcpy(key, piece, 16);
  key[0] &= key_masks[length & 15][0];
  key[1] = (key[1] & key_masks[length & 15][1]) | (uint64_t)length << 56;
}

/* Which slot of the pair has the key: 0, 1, or 2 for none. */
static inline size_t find_way(const limn_slot *slot, const uint64_t key[2]) {
  bool first = ((slot[0].low ^ key[0]) | (slot[0].high ^ key[1])) == 0;
  bool second = ((slot[1].low ^ key[0]) | (slot[1].high ^ key[1])) == 0;
  return first ? 0 : 2 - (size_t)second;
}
#endif

/*
 * Asks for the slots of the pieces that begin at places[0] to places[n - 1]; up to three more are
 * looked at and forgotten.
 */
static INLINE void ask(const limn_encoder *e, waiting *w, const unsigned char *text,
                       const uint8_t *places, size_t n) {
  limn_slot *const slots = e->slots;
  const size_t n_pairs = e->n_pairs, base = w->n;
  for (size_t i = 0; i < n; i += 4) {
    for (size_t k = i; k < i + 4; k++) {
      const unsigned char *piece = text + places[k];
      uint64_t *key = w->keys[base + k];
      make_key(piece, (uint8_t)(places[k + 1] - places[k]), key);
      const limn_slot *slot = limn_slot_pair(slots, n_pairs, hash_key(key[0], key[1]));
      __builtin_prefetch(slot);
      w->slots[base + k] = slot;
      w->pieces[base + k] = piece;
    }
  }
  w->n = base + n;
}

/* Appends the ids of the pieces that wait. */
static INLINE limn_status answer(limn_encoder *e, waiting *w, limn_error *err) {
  int32_t *out = e->ids + e->n_ids;
  size_t n = w->n;
  w->n = 0;
  for (size_t i = 0; i < n; i++) {
    const limn_slot *slot = w->slots[i];
    size_t way = find_way(slot, w->keys[i]);
    if (__builtin_expect(way == 2, 0)) {
      e->n_ids = (size_t)(out - e->ids);
      limn_status status = limn_encoder_piece(e, w->pieces[i], (size_t)(w->keys[i][1] >> 56), err);
      if (status != LIMN_OK) return status;
      out = e->ids + e->n_ids;
      continue;
    }
    slot += way;
    uint32_t first = slot->ids[0];
    memcpy(out, slot->ids, sizeof slot->ids);
    out[0] = (int32_t)(first & LIMN_ID_MASK);
    out += first >> LIMN_ID_BITS;
  }
  e->n_ids = (size_t)(out - e->ids);
  return LIMN_OK;
}

/*
 * The end of the word at `at` where it fills a block and more, and nothing but what its characters
 * are has a say in that; else 0.
 */
static size_t word_end(limn_pattern pattern, const unsigned char *text, size_t n, size_t at) {
  if (n - at < BLOCK + MARGIN) return 0;
  limn_block b = {0};
  look_at(text + at, BLOCK, &b);
  const unsigned whole = b.n; /* to the end of a character */
  bool is_east = false, is_word = limn_block_starts(pattern, &b, text + at) == 1 &&
                                  limn_block_is_word(pattern, &b, text + at, whole, &is_east);
  for (b.n = whole; is_word;) {
    at += b.n;
    if (n - at < BLOCK + MARGIN) return 0;
    b = (limn_block){0};
    look_at(text + at, BLOCK, &b);
    uint64_t rest = ~limn_block_word(pattern, &b, text + at, is_east) & limn_below(b.n);
    unsigned end = (unsigned)__builtin_ctzll(rest | (uint64_t)1 << 63);
    if (rest) return limn_block_word_ends(pattern, &b, end) ? at + end : 0;
  }
  return 0;
}

/* One piece by the plain splitter; *n_done is 0 where more text could change it. */
static inline limn_status run_plainly(limn_encoder *e, const unsigned char *text, size_t n,
                                      size_t at, bool is_open, size_t *n_done, limn_error *err) {
  bool is_settled = true;
  size_t end = word_end(e->t->pattern, text, n, at);
  if (end == 0) end = limn_split_piece(e->t, text, n, at, &is_settled);
  *n_done = 0;
  if (is_open && !is_settled) return LIMN_OK;
  *n_done = end - at;
  return limn_encoder_piece(e, text + at, end - at, err);
}

/*
 * Splits the block at `text`, of which `left` bytes are there, and asks for its pieces. How many
 * bytes they are: 0 when the block settles nothing.
 */
static INLINE size_t run_block(const limn_encoder *e, limn_pattern pattern,
                               const unsigned char *text, size_t left, waiting *w) {
  uint8_t places[BLOCK + 16];
  if (left < BLOCK + MARGIN) {
    /* A tab ends whatever stands before it and joins nothing. */
    memset(w->copy, '\t', sizeof w->copy);
    memcpy(w->copy, text, left);
    text = w->copy;
  }
  size_t n = places_of(starts_of(pattern, text, BLOCK), places);
  if (n < 2) return 0;
  memset(places + n, 0, 4); /* what ask looks at and forgets */
  ask(e, w, text, places, n - 1);
  return places[n - 1];
}

static INLINE limn_status run_as(limn_pattern pattern, limn_encoder *e, const unsigned char *text,
                                 size_t n, bool is_open, size_t *at, limn_error *err) {
  const bool has_blocks = limn_has_blocks(pattern);
  limn_status status = LIMN_OK;
  size_t n_plain = 0; /* how many pieces to leave to the plain splitter */
  waiting w;
  w.n = 0;
  while (*at < n && status == LIMN_OK && !e->sink.is_full) {
    size_t left = n - *at, n_done = 0;
    bool is_end = left < BLOCK + MARGIN;
    /* What waits may lie in the copy that the end of the text is about to need. */
    if (w.n > (is_end ? 0 : ENOUGH)) status = answer(e, &w, err);
    if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) status = limn_encoder_flush(e, err);
    if (has_blocks && n_plain == 0 && !(is_open && is_end)) {
      n_done = run_block(e, pattern, text + *at, left, &w);
      n_plain = n_done > 0 ? 0 : 2;
    }
    if (status == LIMN_OK && n_done == 0) {
      n_plain -= n_plain > 0;
      status = answer(e, &w, err);
      if (status == LIMN_OK) status = run_plainly(e, text, n, *at, is_open, &n_done, err);
      if (n_done == 0) break;
    }
    *at += n_done;
  }
  return status == LIMN_OK ? answer(e, &w, err) : status;
}

/* The loop is compiled once more for each of the commonest patterns. */
static limn_status run(limn_encoder *e, const unsigned char *text, size_t n, bool is_open,
                       size_t *at, limn_error *err) {
  switch (e->t->pattern) {
  case LIMN_PATTERN_GPT2:
    return run_as(LIMN_PATTERN_GPT2, e, text, n, is_open, at, err);
  /* They differ at the end of a text, which is not for blocks. */
  case LIMN_PATTERN_CL100K:
  case LIMN_PATTERN_LLAMA3:
    return run_as(LIMN_PATTERN_CL100K, e, text, n, is_open, at, err);
  case LIMN_PATTERN_O200K:
    return run_as(LIMN_PATTERN_O200K, e, text, n, is_open, at, err);
  default:
    return run_as(e->t->pattern, e, text, n, is_open, at, err);
  }
}

const limn_encoder_loop LIMN_LOOP = {LIMN_LOOP_ISA, run, &LIMN_LOOP_MERGER, hash_key, block_of};
