/*
 * loop.h - inside the library: the loop over a text, compiled once for each instruction set.
 *
 * The including file defines LIMN_LOOP (the name of the loop), LIMN_LOOP_ISA, LIMN_LOOP_MERGER,
 *
 *     static inline void classify(const unsigned char *text, limn_block *b)
 *
 * classify fills what ASCII's bytes are, and `high`. What else a file may have of its own, and what
 * it defines then:
 *
 *     LIMN_LOOP_TYPOGRAPHIC  typographic: where characters from U+2010 to U+2027 begin
 *     LIMN_LOOP_HIGH         classify_high: as limn_block_classes; false if some are no characters
 *     LIMN_LOOP_KEYS         make_key
 *     LIMN_LOOP_HASH         hash_key
 *     LIMN_LOOP_WAY          find_way
 *     LIMN_LOOP_NTH          below_nth
 *     LIMN_LOOP_TAKE         take_block
 *     LIMN_LOOP_HOT          look_up_hot
 *     LIMN_LOOP_STORED       stored_among
 *     LIMN_LOOP_PUT          put_ids
 *
 *     blocks --(take_block)--> a span of pieces --(look_up_hot)--> answers, or missed
 *     missed --(ask, and later resolve)--> answers from buckets, or not known: merged, and kept
 *     answers --(put_answers)--> ids
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
/* What is the same for all patterns stands once. */
#define NOINLINE __attribute__((noinline))

/* How far ahead the text is asked for, and the place of ids: no processor foresees it by itself. */
#define AHEAD 2048

static INLINE const void *at_distance(const void *from, size_t bytes) {
  return (const void *)((uintptr_t)from + bytes); /* which may be behind the end */
}

#ifndef LIMN_LOOP_HIGH
static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t classes[4]) {
  (void)text, (void)b, (void)classes;
  return false;
}
#endif

/*
 * Dashes, quotation marks, bullets, the ellipsis: U+2010 to U+2027, E2 80 90 to E2 80 A7, are
 * punctuation. Much of English has nothing else beyond ASCII, and which blocks have some cannot be
 * foreseen, so they are looked for in all. Whether there is more.
 */
static INLINE bool classify_typographic(const unsigned char *text, limn_block *b) {
#ifdef LIMN_LOOP_TYPOGRAPHIC
  uint64_t is = typographic(text), tail = is << 1 | is << 2, cut = is & (uint64_t)3 << 62;
  int end = cut ? __builtin_ctzll(cut) : 64;
  b->n = (unsigned)end < b->n ? (unsigned)end : b->n;
  b->tail = tail;
  b->punct = is | tail;
  b->visible |= is | tail;
  return b->high != (is | tail);
#else
  (void)text;
  return b->high != 0;
#endif
}

static NOINLINE void find_classes(const unsigned char *text, unsigned n, limn_block *b,
                                  uint64_t classes[4]) {
  memset(classes, 0, 4 * sizeof *classes);
  if (classify_high(text, b, classes)) return;
  memset(classes, 0, 4 * sizeof *classes);
  b->tail = 0;
  b->n = n;
  limn_block_classes(b, text, classes);
}

static INLINE void look_beyond_ascii(const unsigned char *text, unsigned n, limn_block *b) {
  uint64_t classes[4];
  find_classes(text, n, b, classes);
  limn_block_add_classes(b, classes);
}

/* Member by member: as a whole it would be cleared in memory, by a slow instruction. */
static INLINE void look_at_ascii(const unsigned char *text, unsigned n, limn_block *b) {
  classify(text, b);
  b->letter = b->mark = b->punct = b->tail = 0;
  b->n = n;
}

static INLINE void look_at(const unsigned char *text, unsigned n, limn_block *b) {
  look_at_ascii(text, n, b);
  if (b->high) look_beyond_ascii(text, n, b);
}

/*
 * Where text beyond ASCII is to be expected, no branch asks whether there is some. *high gathers
 * its bytes.
 */
static INLINE uint64_t starts_of(limn_pattern pattern, const unsigned char *text, unsigned n,
                                 bool is_mixed, uint64_t *high) {
  limn_block b;
  look_at_ascii(text, n, &b);
  *high |= b.high;
  if ((is_mixed | (b.high != 0)) && classify_typographic(text, &b)) {
    limn_block other = b; /* so that the masks of a block of ASCII need not lie in memory */
    look_beyond_ascii(text, n, &other);
    return limn_block_starts(pattern, &other, text);
  }
  return limn_block_starts(pattern, &b, text);
}

static NOINLINE uint64_t starts_of_block(limn_pattern pattern, limn_block *b,
                                         const unsigned char *text) {
  return limn_block_starts(pattern, b, text);
}

/* The same for a pattern that is no constant. */
static NOINLINE uint64_t starts_of_any(limn_pattern pattern, const unsigned char *text, unsigned n,
                                       uint64_t *high) {
  limn_block b;
  look_at(text, n, &b);
  *high |= b.high;
  return starts_of_block(pattern, &b, text);
}

static uint64_t block_of(limn_pattern pattern, const unsigned char *text, unsigned n) {
  uint64_t high = 0;
  return starts_of_any(pattern, text, n, &high);
}

/*
 * What the text's pieces are, in their order: those that were hot, and gaps where one was missed.
 * Its bucket has been asked for; memory is slow, and while it answers more of the text is split.
 */
#define ENOUGH_PIECES 1024
#define ENOUGH_MISSED 256
#define MOST_PIECES   (ENOUGH_PIECES + SPAN_PIECES)
#define MOST_MISSED   (ENOUGH_MISSED + SPAN_PIECES)
/* So many spans with nothing beyond ASCII, and it is expected no more. */
#define MIXED_SPANS 8

typedef struct waiting {
  size_t n, n_missed, n_longs, n_stored;
  unsigned n_mixed; /* spans for which characters beyond ASCII are to be expected */
  limn_answer answers[MOST_PIECES + SPAN_SLACK];
  /* Of each that was missed: which piece it is, its key, where its bucket and its bytes are. */
  uint32_t missed[MOST_MISSED + SPAN_SLACK], hashes[MOST_MISSED + 8];
  uint64_t keys[MOST_MISSED + 8][2];
  const limn_bucket *buckets[MOST_MISSED + 8];
  const unsigned char *pieces[MOST_MISSED + 8];
  limn_answer found[MOST_MISSED + 8];
  /* Of those the long ones, with their lengths; and the others that are not known. */
  uint32_t longs[MOST_MISSED + 8][2], unknown[MOST_MISSED + 8];
  const unsigned char *copied;              /* where in the text `copy` begins, or NULL */
  unsigned char copy[2 * (BLOCK + MARGIN)]; /* of the last bytes of a text, and tabs */
} waiting;

#ifndef LIMN_LOOP_HASH
static uint32_t hash_key(uint64_t low, uint64_t high) {
  return limn_cache_hash(low, high);
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
#endif

#ifndef LIMN_LOOP_WAY
/* Which place of the bucket has the key, or LIMN_BUCKET. */
static inline size_t find_way(const limn_bucket *bucket, const uint64_t key[2]) {
  size_t way = LIMN_BUCKET;
  for (size_t i = LIMN_BUCKET; i-- > 0;)
    way = limn_bucket_has(bucket, i, key) ? i : way;
  return way;
}
#endif

#ifndef LIMN_LOOP_NTH
/* The bits of a mask up to its n-th one, or more where it has fewer. */
static inline uint64_t below_nth(uint64_t mask, unsigned n) {
  while (--n > 0)
    mask &= mask - 1;
  uint64_t last = mask & (0 - mask);
  return last | (last - 1);
}
#endif

#ifndef LIMN_LOOP_TAKE
/* Eight at a time, of which too many are written over by the next: their number cannot be foreseen,
 * and this way it seldom matters. */
static INLINE void take_block(span *s, size_t at, const unsigned char *text, size_t offset,
                              uint64_t starts, unsigned shift) {
  size_t n = (size_t)__builtin_popcountll(starts) - 1;
  uint16_t *places = s->where + at;
  (void)text;
  (void)shift;
  for (size_t i = 0; i < n; i += 8) {
    for (size_t k = i; k < i + 8; k++) {
      places[k] = (uint16_t)(offset + (size_t)__builtin_ctzll(starts | (uint64_t)1 << 63));
      starts &= starts - 1;
    }
  }
}
#endif

#ifndef LIMN_LOOP_HOT
static INLINE size_t look_up_hot(span *s, const limn_hot *hots, unsigned shift,
                                 limn_answer *answers, uint32_t first, uint32_t *missed,
                                 uint16_t *where) {
  size_t n_missed = 0;
  s->where[s->n] = s->size; /* where the last ends */
  for (size_t i = 0; i < s->n; i++) {
    unsigned place = s->where[i], length = s->where[i + 1] - place;
    const unsigned char *piece = s->text + place;
    uint64_t key;
    memcpy(&key, piece, sizeof key);
    key &= key_masks[length < 8 ? length : 8][0];
    const limn_hot *hot = hots + limn_hot_place(key, shift);
    bool is_short = (length <= LIMN_HOT_PIECE) & (piece[length - 1] != 0);
    answers[i] = hot->answer;
    missed[n_missed] = first + (uint32_t)i;
    where[n_missed] = (uint16_t)(place << 6 | length);
    n_missed += (hot->key != key) | !is_short;
  }
  return n_missed;
}
#endif

#ifndef LIMN_LOOP_STORED
/* Of eight answers, the bits 2i of those that have ids, and neither one nor two. */
static inline uint32_t stored_among(const limn_answer *answers) {
  uint32_t found = 0;
  for (unsigned i = 0; i < 8; i++)
    found |= (uint32_t)limn_answer_has_stored(answers[i]) << 2 * i;
  return found;
}
#endif

#ifndef LIMN_LOOP_PUT

/* The ids of the answers from one up to another of eight, which have none, one or two; their end.
 */
static inline int32_t *put_ids(int32_t *out, const limn_answer *answers, unsigned from,
                               unsigned to) {
  for (; from < to; from++) {
    out[0] = (int32_t)answers[from].first;
    out[1] = (int32_t)answers[from].second;
    out += (answers[from].first != UINT32_MAX) + (answers[from].second != UINT32_MAX);
  }
  return out;
}
#endif

/* The bucket with this hash, which is asked for. */
static INLINE const limn_bucket *ask(const limn_bucket *buckets, size_t n_buckets, uint32_t hash) {
  const limn_bucket *bucket = buckets + limn_bucket_of(n_buckets, hash);
  __builtin_prefetch(bucket);
  __builtin_prefetch(bucket->answers);
  return bucket;
}

/*
 * Looks up a span's pieces; up to three more than are missed are asked for and forgotten. Long ones
 * are asked for once more: then by their hash.
 */
static NOINLINE void take_span(const limn_cache *c, waiting *w, span *s) {
  const limn_bucket *const buckets = c->buckets;
  const size_t n_buckets = c->n_buckets, base = w->n_missed, first_long = w->n_longs;
  const unsigned char *const text = s->text;
  uint16_t where[SPAN_PIECES + SPAN_SLACK];
  size_t n_longs = first_long;
  size_t n = look_up_hot(s, c->hot, c->hot_shift, w->answers + w->n, (uint32_t)w->n,
                         w->missed + base, where);
  w->n += s->n;
  w->n_missed = base + n;
  memset(where + n, 0, 4 * sizeof *where);
  for (size_t i = 0; i < n; i += 4) {
    for (size_t k = i; k < i + 4; k++) {
      const unsigned char *piece = text + (where[k] >> 6);
      uint32_t length = where[k] & 63;
      w->pieces[base + k] = piece;
      make_key(piece, length, w->keys[base + k]);
      uint32_t hash = hash_key(w->keys[base + k][0], w->keys[base + k][1]);
      w->hashes[base + k] = hash;
      w->buckets[base + k] = ask(buckets, n_buckets, hash);
      w->longs[n_longs][0] = (uint32_t)(base + k);
      w->longs[n_longs][1] = length;
      n_longs += length > LIMN_SHORT_PIECE;
    }
  }
  for (size_t i = first_long; i < n_longs; i++) {
    uint32_t at = w->longs[i][0];
    limn_hash_piece(w->pieces[at], w->longs[i][1], w->keys[at]);
    w->buckets[at] = ask(buckets, n_buckets, hash_key(w->keys[at][0], w->keys[at][1]));
  }
  w->n_longs = n_longs;
}

/* All ones, or none. */
static INLINE uint64_t mask_if(bool is) {
  return 0 - (uint64_t)is;
}

/* Looks at the bucket of each piece that was missed. */
static INLINE void look_in_buckets(waiting *w) {
  for (size_t i = 0; i < w->n_missed; i++) {
    size_t way = find_way(w->buckets[i], w->keys[i]);
    limn_answer found = limn_bucket_answer(w->buckets[i], way % LIMN_BUCKET);
    found.first |= 0 - (uint32_t)(way / LIMN_BUCKET); /* NONE where it is not there */
    w->found[i] = found;
  }
}

/* What is known and short enough gets hot. Nothing branches on whether it is. */
static INLINE void heat(limn_cache *c, const uint64_t key[2], limn_answer answer) {
  uint64_t n = key[1] >> 56, last = key[0] >> (8 * (n - 1) & 63);
  bool is_hot = (answer.first < LIMN_ANSWER_LONG) & (n <= LIMN_HOT_PIECE) & (last != 0);
  size_t place = limn_hot_place(key[0], c->hot_shift);
  /* Behind the last place is one for what is not hot. */
  c->hot[(place & mask_if(is_hot)) | (c->n_hot & mask_if(!is_hot))] = (limn_hot){key[0], answer};
}

/* Puts what the buckets had into its place; how many were not there. */
static INLINE size_t put_found(limn_cache *c, waiting *w) {
  size_t n_unknown = 0;
  for (size_t i = 0; i < w->n_missed; i++) {
    const uint64_t *key = w->keys[i];
    limn_answer found = w->found[i];
    heat(c, key, found);
    w->answers[w->missed[i]] = found;
    w->unknown[n_unknown] = (uint32_t)i;
    n_unknown += (found.first >= LIMN_ANSWER_LONG) & (key[1] >> 56 <= LIMN_SHORT_PIECE);
  }
  return n_unknown;
}

/* Puts what a missed piece is into its place. None says which of them is to be encoded by itself.
 */
static INLINE void put_answer(waiting *w, uint32_t at, limn_answer answer) {
  if (answer.first == LIMN_ANSWER_NONE) answer.second = at;
  w->answers[w->missed[at]] = answer;
}

/* Asks for what lies in the store of the long pieces that were found. */
static INLINE void ask_store(const limn_cache *c, const waiting *w) {
  for (size_t i = 0; i < w->n_longs; i++) {
    limn_answer found = w->found[w->longs[i][0]];
    const unsigned char *at =
        c->store + ((size_t)found.second * 4 & mask_if(found.first == LIMN_ANSWER_LONG));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 56);
  }
}

/* Long pieces: what their buckets have is theirs if the bytes are. The others are learned. */
static INLINE void resolve_long(limn_encoder *e, waiting *w) {
  size_t n_unknown = 0;
  for (size_t i = 0; i < w->n_longs; i++) {
    uint32_t at = w->longs[i][0], n = w->longs[i][1];
    size_t n_ids = 0;
    const int32_t *ids = NULL;
    if (w->found[at].first == LIMN_ANSWER_LONG)
      ids = limn_cache_long(&e->cache, w->found[at], w->pieces[at], n, &n_ids);
    if (ids) put_answer(w, at, limn_answer_of(&e->cache, ids, n_ids));
    w->longs[n_unknown][0] = at;
    w->longs[n_unknown][1] = n;
    n_unknown += !ids;
  }
  if (n_unknown == 0) return;
  limn_encoder_learn_long(e, w->keys, w->pieces, w->longs, n_unknown, w->found);
  for (size_t i = 0; i < n_unknown; i++)
    put_answer(w, w->longs[i][0], w->found[w->longs[i][0]]);
}

/* Short pieces that their buckets do not have. */
static INLINE void resolve_unknown(limn_encoder *e, waiting *w, size_t n_unknown) {
  limn_encoder_learn(e, w->keys, w->hashes, w->unknown, n_unknown, w->found);
  for (size_t i = 0; i < n_unknown; i++) {
    uint32_t at = w->unknown[i];
    heat(&e->cache, w->keys[at], w->found[at]);
    put_answer(w, at, w->found[at]);
  }
}

static INLINE void resolve(limn_encoder *e, waiting *w) {
  look_in_buckets(w);
  size_t n_unknown = put_found(&e->cache, w);
  if (w->n_longs > 0) ask_store(&e->cache, w);
  if (n_unknown > 0) resolve_unknown(e, w, n_unknown);
  if (w->n_longs > 0) resolve_long(e, w);
}

/* The ids of an answer that has them in the store; or of the missed piece that it names. */
static INLINE limn_status put_stored(limn_encoder *e, const waiting *w, limn_answer answer,
                                     limn_error *err) {
  if (answer.first < LIMN_ANSWER_LONG) {
    memcpy(e->ids + e->n_ids, limn_cache_stored(&e->cache, answer),
           limn_answer_copied(answer) * sizeof *e->ids);
    e->n_ids += limn_answer_stored(answer);
    return LIMN_OK;
  }
  size_t n = (size_t)(w->keys[answer.second][1] >> 56);
  return limn_encoder_piece_waiting(e, w->pieces[answer.second], n, err);
}

/* The ids of eight answers, of which those at the bits 2i of `stored` have them in the store.
 */
static INLINE limn_status put_several(limn_encoder *e, const waiting *w, const limn_answer *some,
                                      uint32_t stored, limn_error *err) {
  limn_status status = LIMN_OK;
  unsigned done = 0;
  for (; stored && status == LIMN_OK; stored &= stored - 1) {
    unsigned at = (unsigned)__builtin_ctz(stored) / 2;
    e->n_ids = (size_t)(put_ids(e->ids + e->n_ids, some, done, at) - e->ids);
    status = put_stored(e, w, some[at], err);
    done = at + 1;
  }
  e->n_ids = (size_t)(put_ids(e->ids + e->n_ids, some, done, 8) - e->ids);
  return status;
}

/*
 * The same where all of them have their ids in themselves but one, or none: the ids before it, its
 * own, and the ids behind it. False, and nothing done, where it is no answer but a piece.
 */
static INLINE bool put_around(limn_encoder *e, const limn_answer *some, uint32_t stored) {
  unsigned at = (unsigned)__builtin_ctz(stored | 1u << 16) / 2;
  uint32_t is_one = (uint32_t)mask_if(at < 8);
  limn_answer own = {some[at].first & is_one, some[at].second & is_one};
  if (own.first >= LIMN_ANSWER_LONG) return false;
  int32_t *out = put_ids(e->ids + e->n_ids, some, 0, at);
  memcpy(out, limn_cache_stored(&e->cache, own), limn_answer_copied(own) * sizeof *out);
  out = put_ids(out + limn_answer_stored(own), some, at + 1, 8);
  e->n_ids = (size_t)(out - e->ids);
  return true;
}

/*
 * Appends the ids of all answers, eight at a time; what is behind the last is no ids. Where many
 * have them in the store it cannot be foreseen which eight have one, and all are taken as if they
 * had.
 */
static INLINE limn_status put_answers(limn_encoder *e, waiting *w, limn_error *err) {
  limn_status status = LIMN_OK;
  const bool are_many = w->n_stored > w->n / 16;
  memset(w->answers + w->n, 0xff, 8 * sizeof *w->answers);
  w->n_stored = 0;
  for (size_t i = 0; i < w->n && status == LIMN_OK; i += 8) {
    const limn_answer *some = w->answers + i;
    uint32_t stored = stored_among(some);
    __builtin_prefetch(at_distance(e->ids + e->n_ids, AHEAD), 1);
    if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) status = limn_encoder_flush(e, err);
    w->n_stored += stored != 0;
    if (are_many) {
      if ((stored & (stored - 1)) || !put_around(e, some, stored))
        status = put_several(e, w, some, stored, err);
    } else if (stored) {
      status = put_several(e, w, some, stored, err);
    } else {
      e->n_ids = (size_t)(put_ids(e->ids + e->n_ids, some, 0, 8) - e->ids);
    }
  }
  return status;
}

/* Answers the pieces that wait. */
static NOINLINE limn_status answer(limn_encoder *e, waiting *w, limn_error *err) {
  resolve(e, w);
  limn_status status = put_answers(e, w, err);
  w->n = w->n_missed = w->n_longs = 0;
  limn_cache_tidy(&e->cache);
  return status;
}

/*
 * The end of the word at `at` where it fills a block and more, and nothing but what its characters
 * are has a say in that; else 0.
 */
static NOINLINE size_t word_end(limn_pattern pattern, const unsigned char *text, size_t n,
                                size_t at) {
  if (n - at < BLOCK + MARGIN) return 0;
  limn_block b;
  look_at(text + at, BLOCK, &b);
  const unsigned whole = b.n; /* to the end of a character */
  bool is_east = false, is_word = starts_of_block(pattern, &b, text + at) == 1 &&
                                  limn_block_is_word(pattern, &b, text + at, whole, &is_east);
  for (b.n = whole; is_word;) {
    at += b.n;
    if (n - at < BLOCK + MARGIN) return 0;
    look_at(text + at, BLOCK, &b);
    uint64_t rest = ~limn_block_word(pattern, &b, text + at, is_east) & limn_below(b.n);
    unsigned end = (unsigned)__builtin_ctzll(rest | (uint64_t)1 << 63);
    if (rest) return limn_block_word_ends(pattern, &b, end) ? at + end : 0;
  }
  return 0;
}

/* One piece by the plain splitter; *n_done is 0 where more text could change it. */
static NOINLINE limn_status run_plainly(limn_encoder *e, waiting *w, const unsigned char *text,
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
static INLINE size_t run_span(const limn_cache *c, limn_pattern pattern, bool is_any,
                              const unsigned char *text, size_t left, bool is_open, waiting *w,
                              bool *is_stuck) {
  span s;
  size_t done = 0, most = left, n = 0;
  uint64_t high = 0;
  const bool is_mixed = w->n_mixed != 0;
  const unsigned shift = c->hot_shift;
  if (left < BLOCK + MARGIN) {
    *is_stuck = is_open; /* bytes to come may change what the copy would end */
    if (is_open) return 0;
    text = copy_of_end(w, text, left);
  } else {
    most = left - (BLOCK + MARGIN) + 1;
    most = most < SPAN_BLOCKS * BLOCK ? most : SPAN_BLOCKS * BLOCK;
  }
  s.text = text;
  while (done < most && n <= SPAN_PIECES - BLOCK_PIECES) {
    uint64_t starts = is_any ? starts_of_any(pattern, text + done, BLOCK, &high)
                             : starts_of(pattern, text + done, BLOCK, is_mixed, &high);
    /* What is behind the last that fits is for the next block. */
    if (__builtin_expect(__builtin_popcountll(starts) > BLOCK_PIECES + 1, 0))
      starts &= below_nth(starts, BLOCK_PIECES + 1);
    if ((starts & (starts - 1)) == 0) {
      *is_stuck = true;
      break;
    }
    __builtin_prefetch(at_distance(text + done, AHEAD));
    take_block(&s, n, text + done, done, starts, shift);
    n += (size_t)__builtin_popcountll(starts) - 1;
    done += 63 - (size_t)__builtin_clzll(starts);
  }
  w->n_mixed = high != 0 ? MIXED_SPANS : w->n_mixed - (w->n_mixed != 0);
  s.n = n;
  s.size = (uint16_t)done;
  take_span(c, w, &s);
  return done;
}

static INLINE limn_status run_as(limn_pattern pattern, bool is_any, limn_encoder *e,
                                 const unsigned char *text, size_t n, bool is_open, size_t *at,
                                 limn_error *err) {
  const bool has_blocks = limn_has_blocks(pattern);
  limn_status status = LIMN_OK;
  size_t n_plain = has_blocks ? 0 : SIZE_MAX; /* how many pieces to leave to the plain splitter */
  waiting w;
  w.n = w.n_missed = w.n_longs = 0;
  w.n_mixed = 0;
  w.n_stored = 0;
  w.copied = NULL;
  while (*at < n && status == LIMN_OK && !e->sink.is_full) {
    size_t n_done = 0;
    if (n_plain == 0) {
      bool is_stuck = false;
      if ((w.n > ENOUGH_PIECES) | (w.n_missed > ENOUGH_MISSED)) status = answer(e, &w, err);
      *at += run_span(&e->cache, pattern, is_any, text + *at, n - *at, is_open, &w, &is_stuck);
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
    return run_as(LIMN_PATTERN_GPT2, false, e, text, n, is_open, at, err);
  /* They differ at the end of a text, which is not for blocks. */
  case LIMN_PATTERN_CL100K:
  case LIMN_PATTERN_LLAMA3:
    return run_as(LIMN_PATTERN_CL100K, false, e, text, n, is_open, at, err);
  case LIMN_PATTERN_O200K:
    return run_as(LIMN_PATTERN_O200K, false, e, text, n, is_open, at, err);
  default:
    return run_as(e->t->pattern, true, e, text, n, is_open, at, err);
  }
}

const limn_encoder_loop LIMN_LOOP = {LIMN_LOOP_ISA, run, &LIMN_LOOP_MERGER, hash_key, block_of};
