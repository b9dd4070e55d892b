/*
 * loop.h - inside the library: the loop over a text, compiled once for each instruction set.
 *
 * The including file defines LIMN_LOOP (the name of the loop), LIMN_LOOP_ISA, LIMN_LOOP_MERGER,
 *
 *     static inline void classify(const unsigned char *text, limn_block *b)
 *
 * classify fills what ASCII's bytes are, and `high`. Where the file defines LIMN_LOOP_KEYS,
 * make_key and find_way are its own as well; where LIMN_LOOP_HOT, below_nth, take_block,
 * look_up_hot and put_ids; where LIMN_LOOP_HIGH, so is
 *
 *     static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t
 * classes[4])
 *
 * which does as limn_block_classes does; false where some bytes are no characters.
 *
 *     blocks --(take_block)--> a span of pieces --(look_up_hot)--> ids, or missed
 *     missed --(ask, and later resolve)--> ids from slots, or not known: merged, and kept
 *
 * Each step goes over all pieces before the next begins: what one piece's answer depends on is
 * never waited for before the next piece is asked, and few branches depend on the text.
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

#ifndef LIMN_LOOP_TYPOGRAPHIC
static inline bool classify_typographic(const unsigned char *text, limn_block *b) {
  (void)text;
  return b->high != 0;
}
#endif

/* Where text beyond ASCII is to be expected, no branch asks whether there is some. */
static INLINE void look_at(const unsigned char *text, unsigned n, bool is_mixed, limn_block *b) {
  classify(text, b);
  b->n = n;
  if ((is_mixed | (b->high != 0)) && classify_typographic(text, b)) {
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

/* *high gathers the bytes beyond ASCII. */
static INLINE uint64_t starts_of(limn_pattern pattern, const unsigned char *text, unsigned n,
                                 bool is_mixed, uint64_t *high) {
  limn_block b = {0};
  look_at(text, n, is_mixed, &b);
  *high |= b.high;
  return limn_block_starts(pattern, &b, text);
}

static uint64_t block_of(limn_pattern pattern, const unsigned char *text, unsigned n) {
  uint64_t high = 0;
  return starts_of(pattern, text, n, false, &high);
}

/*
 * The text's ids in their order, two places a piece: those that were hot, and gaps where one was
 * missed. Its slot has been asked for; memory is slow, and while it answers more of the text is
 * split.
 */
#define ENOUGH_PIECES 256
#define ENOUGH_MISSED 64
/* So many spans with nothing beyond ASCII, and it is expected no more. */
#define MIXED_SPANS   8
#define MOST_PIECES   (ENOUGH_PIECES + SPAN_PIECES)
#define MOST_MISSED   (ENOUGH_MISSED + SPAN_PIECES)

typedef struct waiting {
  size_t n, n_missed, n_large, age;
  unsigned n_mixed; /* spans for which characters beyond ASCII are to be expected */
  int32_t ids[MOST_PIECES + SPAN_SLACK][2];
  /* Of each that was missed: which piece it is, its key, where its slot is, where its bytes are. */
  uint32_t missed[MOST_MISSED + SPAN_SLACK];
  uint64_t keys[MOST_MISSED + 8][2];
  const limn_slot *slots[MOST_MISSED + 8];
  const unsigned char *pieces[MOST_MISSED + 8];
  /* Of those the ones that are not two ids, or not known. */
  uint32_t large[MOST_MISSED + 8], unknown[MOST_MISSED + 8];
  uint32_t found[MOST_MISSED + 8][LIMN_SLOT_IDS];
  const unsigned char *copied;              /* where in the text `copy` begins, or NULL */
  unsigned char copy[2 * (BLOCK + MARGIN)]; /* of the last bytes of a text, and tabs */
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

#ifndef LIMN_LOOP_HOT
/* The bits of a mask up to its n-th one, or more where it has fewer. */
static inline uint64_t below_nth(uint64_t mask, unsigned n) {
  while (--n > 0)
    mask &= mask - 1;
  uint64_t last = mask & (0 - mask);
  return last | (last - 1);
}

/* Eight at a time, of which too many are written over by the next: their number cannot be foreseen,
 * and this way it seldom matters. */
static INLINE void take_block(span *s, const unsigned char *text, size_t offset, uint64_t starts,
                              unsigned shift) {
  size_t n = (size_t)__builtin_popcountll(starts) - 1;
  uint32_t *places = s->where + s->n;
  (void)text;
  (void)shift;
  for (size_t i = 0; i < n; i += 8) {
    for (size_t k = i; k < i + 8; k++) {
      places[k] = (uint32_t)offset + (uint32_t)__builtin_ctzll(starts | (uint64_t)1 << 63);
      starts &= starts - 1;
    }
  }
  s->n += n;
}

static INLINE size_t look_up_hot(span *s, const limn_hot *hots, unsigned shift, int32_t (*ids)[2],
                                 uint32_t first, uint32_t *missed, uint32_t *where) {
  size_t n_missed = 0;
  s->where[s->n] = s->size; /* where the last ends */
  for (size_t i = 0; i < s->n; i++) {
    uint32_t place = s->where[i], length = s->where[i + 1] - place;
    const unsigned char *piece = s->text + place;
    uint64_t key;
    memcpy(&key, piece, sizeof key);
    key &= key_masks[length < 8 ? length : 8][0];
    const limn_hot *hot = hots + limn_hot_place(key, shift);
    bool is_short = (length <= LIMN_HOT_PIECE) & (piece[length - 1] != 0);
    memcpy(ids[i], hot->ids, sizeof hot->ids);
    missed[n_missed] = first + (uint32_t)i;
    where[n_missed] = place << 8 | length;
    n_missed += (hot->key != key) | !is_short;
  }
  return n_missed;
}

static inline int32_t *put_ids(int32_t *out, const int32_t (*ids)[2], size_t n) {
  for (size_t i = 0; i < n; i++) {
    out[0] = ids[i][0];
    out[1] = ids[i][1];
    out += 1 + (ids[i][1] >= 0);
  }
  return out;
}
#endif

/* Asks for the slot with this key, of a piece that was missed. */
static INLINE void ask(const limn_encoder *e, waiting *w, size_t at, const uint64_t key[2]) {
  const limn_slot *slot = e->slots + 2 * limn_slot_pair(e->n_pairs, hash_key(key[0], key[1]));
  __builtin_prefetch(slot);
  w->slots[at] = slot;
}

/*
 * Looks up a span's pieces; up to three more than are missed are asked for and forgotten. Long ones
 * are asked for once more: then by their hash.
 */
static INLINE void take_span(const limn_encoder *e, waiting *w, span *s) {
  uint32_t where[SPAN_PIECES + SPAN_SLACK], longs[SPAN_PIECES + SPAN_SLACK];
  size_t base = w->n_missed, n_longs = 0;
  size_t n =
      look_up_hot(s, e->hot, e->hot_shift, w->ids + w->n, (uint32_t)w->n, w->missed + base, where);
  w->n += s->n;
  memset(where + n, 0, 4 * sizeof *where);
  for (size_t i = 0; i < n; i += 4) {
    for (size_t k = i; k < i + 4; k++) {
      const unsigned char *piece = s->text + (where[k] >> 8);
      size_t length = where[k] & 255;
      w->pieces[base + k] = piece;
      make_key(piece, length, w->keys[base + k]);
      ask(e, w, base + k, w->keys[base + k]);
      longs[n_longs] = (uint32_t)(base + k);
      n_longs += length > LIMN_SHORT_PIECE;
    }
  }
  for (size_t i = 0; i < n_longs; i++) {
    uint64_t *key = w->keys[longs[i]];
    limn_hash_piece(w->pieces[longs[i]], (size_t)(key[1] >> 56), key);
    ask(e, w, longs[i], key);
  }
  w->n_missed = base + n;
}

/* All ones, or none. */
static INLINE uint64_t mask_if(bool is) {
  return 0 - (uint64_t)is;
}

/* Asks for what lies in the store of the pieces that were found. */
static INLINE void ask_store(const limn_encoder *e, const waiting *w) {
  for (size_t i = 0; i < w->n_large; i++) {
    const uint32_t *found = w->found[w->large[i]];
    uint32_t n_ids = found[0] >> LIMN_ID_BITS;
    bool is_stored = (n_ids > LIMN_IN_STORE) & (found[0] != LIMN_UNKNOWN);
    const unsigned char *at = e->store + ((size_t)found[1] * 4 & mask_if(is_stored));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 48);
  }
}

/* Asks for the slots beside those that did not have a piece. */
static INLINE void ask_neighbours(const limn_encoder *e, const waiting *w, size_t n_unknown) {
  for (size_t i = 0; i < n_unknown; i++) {
    size_t pair = (size_t)(w->slots[w->unknown[i]] - e->slots) / 2;
    for (size_t k = 1; k < LIMN_NEIGHBOURS; k++)
      __builtin_prefetch(e->slots + 2 * (pair ^ k));
  }
}

/*
 * Looks at the slots of the pieces that were missed; what is found there gets hot. Which of them
 * are short, or known, cannot be foreseen, so nothing branches on it.
 */
static INLINE void resolve(limn_encoder *e, waiting *w) {
  size_t n_large = 0, n_unknown = 0;
  for (size_t i = 0; i < w->n_missed; i++) {
    const uint64_t *key = w->keys[i];
    size_t way = find_way(w->slots[i], key);
    uint32_t *found = w->found[i];
    memcpy(found, w->slots[i][way].ids, sizeof w->found[i]);
    found[0] |= (uint32_t)mask_if(way == 2);
    size_t n = (size_t)(key[1] >> 56), n_ids = found[0] >> LIMN_ID_BITS;
    bool is_large = n_ids > 2;
    bool is_hot = (n <= LIMN_HOT_PIECE) & (key[0] >> (8 * (n - 1) & 63) != 0) & !is_large;
    limn_hot hot = {
        key[0],
        {(int32_t)(found[0] & LIMN_ID_MASK), (int32_t)(found[1] | (uint32_t)mask_if(n_ids != 2))}};
    memcpy(w->ids[w->missed[i]], hot.ids, sizeof hot.ids);
    size_t place = limn_hot_place(key[0], e->hot_shift);
    /* Behind the last place is one for what is not hot. */
    e->hot[(place & mask_if(is_hot)) | (e->n_hot & mask_if(!is_hot))] = hot;
    w->large[n_large] = (uint32_t)i;
    n_large += is_large;
    w->unknown[n_unknown] = (uint32_t)i;
    n_unknown += (way == 2) & (n <= LIMN_SHORT_PIECE);
  }
  w->n_large = n_large;
  w->age = e->age;
  ask_store(e, w);
  if (n_unknown > 0) {
    ask_neighbours(e, w, n_unknown);
    limn_encoder_learn(e, w->keys, w->unknown, n_unknown, w->found);
  }
}

/* The ids of a piece that has more than two, or is not known. */
static INLINE limn_status put_large(limn_encoder *e, const waiting *w, size_t i, limn_error *err) {
  const uint32_t *found = w->found[i];
  size_t n = (size_t)(w->keys[i][1] >> 56);
  if (found[0] == LIMN_UNKNOWN || w->age != e->age)
    return limn_encoder_piece(e, w->pieces[i], n, err);
  limn_status status = LIMN_OK;
  if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) status = limn_encoder_flush(e, err);
  if (n <= LIMN_SHORT_PIECE) {
    e->n_ids += limn_slot_put(e, found, e->ids + e->n_ids);
    return status;
  }
  const unsigned char *ids = limn_slot_long(e, found, w->pieces[i], n);
  if (!ids) return status == LIMN_OK ? limn_encoder_piece(e, w->pieces[i], n, err) : status;
  limn_store_put(ids, found[2], e->ids + e->n_ids);
  e->n_ids += found[2];
  return status;
}

/* Appends the ids of the pieces that wait. */
static INLINE limn_status answer(limn_encoder *e, waiting *w, limn_error *err) {
  limn_status status = LIMN_OK;
  if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) status = limn_encoder_flush(e, err);
  resolve(e, w);
  size_t done = 0;
  for (size_t i = 0; status == LIMN_OK; i++) {
    size_t next = i < w->n_large ? w->missed[w->large[i]] : w->n;
    int32_t *out = e->ids + e->n_ids;
    e->n_ids += (size_t)(put_ids(out, w->ids + done, next - done) - out);
    done = next + 1;
    if (i == w->n_large) break;
    status = put_large(e, w, w->large[i], err);
  }
  w->n = w->n_missed = 0;
  return status;
}

/*
 * The end of the word at `at` where it fills a block and more, and nothing but what its characters
 * are has a say in that; else 0.
 */
static size_t word_end(limn_pattern pattern, const unsigned char *text, size_t n, size_t at) {
  if (n - at < BLOCK + MARGIN) return 0;
  limn_block b = {0};
  look_at(text + at, BLOCK, false, &b);
  const unsigned whole = b.n; /* to the end of a character */
  bool is_east = false, is_word = limn_block_starts(pattern, &b, text + at) == 1 &&
                                  limn_block_is_word(pattern, &b, text + at, whole, &is_east);
  for (b.n = whole; is_word;) {
    at += b.n;
    if (n - at < BLOCK + MARGIN) return 0;
    b = (limn_block){0};
    look_at(text + at, BLOCK, false, &b);
    uint64_t rest = ~limn_block_word(pattern, &b, text + at, is_east) & limn_below(b.n);
    unsigned end = (unsigned)__builtin_ctzll(rest | (uint64_t)1 << 63);
    if (rest) return limn_block_word_ends(pattern, &b, end) ? at + end : 0;
  }
  return 0;
}

/* One piece by the plain splitter; *n_done is 0 where more text could change it. */
static inline limn_status run_plainly(limn_encoder *e, waiting *w, const unsigned char *text,
                                      size_t n, size_t at, bool is_open, size_t *n_done,
                                      limn_error *err) {
  bool is_settled = true;
  size_t end = word_end(e->t->pattern, text, n, at);
  if (end == 0) end = limn_split_piece(e->t, text, n, at, &is_settled);
  *n_done = 0;
  if (is_open && !is_settled) return LIMN_OK;
  *n_done = end - at;
  limn_status status = answer(e, w, err);
  return status == LIMN_OK ? limn_encoder_piece(e, text + at, end - at, err) : status;
}

/* The last bytes of a text, with tabs behind them: a tab ends whatever stands before it and joins
 * nothing. */
static inline const unsigned char *copy_of_end(waiting *w, const unsigned char *text, size_t left) {
  if (!w->copied) {
    memset(w->copy, '\t', sizeof w->copy);
    memcpy(w->copy, text, left);
    w->copied = text;
  }
  return w->copy + (text - w->copied);
}

/*
 * Splits some blocks from `text` on, of which `left` bytes are there, and takes their pieces. How
 * many bytes they are; *is_stuck where the next block settles nothing.
 */
static INLINE size_t run_span(const limn_encoder *e, limn_pattern pattern,
                              const unsigned char *text, size_t left, bool is_open, waiting *w,
                              bool *is_stuck) {
  span s;
  size_t done = 0, most = left;
  uint64_t high = 0;
  const bool is_mixed = w->n_mixed != 0;
  s.n = 0;
  if (left < BLOCK + MARGIN) {
    *is_stuck = is_open; /* bytes to come may change what the copy would end */
    if (is_open) return 0;
    text = copy_of_end(w, text, left);
  } else {
    most = left - (BLOCK + MARGIN) + 1;
    most = most < SPAN_BLOCKS * BLOCK ? most : SPAN_BLOCKS * BLOCK;
  }
  s.text = text;
  while (done < most && s.n <= SPAN_PIECES - BLOCK_PIECES) {
    uint64_t starts = starts_of(pattern, text + done, BLOCK, is_mixed, &high);
    /* What is behind the last that fits is for the next block. */
    if (__builtin_expect(__builtin_popcountll(starts) > BLOCK_PIECES + 1, 0))
      starts &= below_nth(starts, BLOCK_PIECES + 1);
    if ((starts & (starts - 1)) == 0) {
      *is_stuck = true;
      break;
    }
    take_block(&s, text + done, done, starts, e->hot_shift);
    done += 63 - (size_t)__builtin_clzll(starts);
  }
  w->n_mixed = high != 0 ? MIXED_SPANS : w->n_mixed - (w->n_mixed != 0);
  s.size = (uint32_t)done;
  take_span(e, w, &s);
  return done;
}

static INLINE limn_status run_as(limn_pattern pattern, limn_encoder *e, const unsigned char *text,
                                 size_t n, bool is_open, size_t *at, limn_error *err) {
  const bool has_blocks = limn_has_blocks(pattern);
  limn_status status = LIMN_OK;
  size_t n_plain = has_blocks ? 0 : SIZE_MAX; /* how many pieces to leave to the plain splitter */
  waiting w;
  w.n = w.n_missed = 0;
  w.n_mixed = 0;
  w.copied = NULL;
  while (*at < n && status == LIMN_OK && !e->sink.is_full) {
    size_t n_done = 0;
    if (n_plain == 0) {
      bool is_stuck = false;
      if ((w.n > ENOUGH_PIECES) | (w.n_missed > ENOUGH_MISSED)) status = answer(e, &w, err);
      *at += run_span(e, pattern, text + *at, n - *at, is_open, &w, &is_stuck);
      n_plain = is_stuck;
      continue;
    }
    n_plain -= has_blocks;
    status = run_plainly(e, &w, text, n, *at, is_open, &n_done, err);
    if (n_done == 0) break;
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
