/*
 * encoder.c - what a thread needs to encode: a cache of pieces, room to merge, and where ids go.
 *
 * Most pieces of a text have been seen before, so most of encoding is remembering. The cache is
 * a table of pairs of slots (encoder.h); a new piece takes a free place of its pair, or of those
 * beside it. The store beside the table holds what does not fit into a slot. When the store is
 * full, both are emptied: remembering begins anew, and the memory stays what it was.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/pipeline.h"

#include "base/utf8.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- which loop ---------------------------------------------------------------------------------
 */

#if defined(__x86_64__)
static bool has_feature(const char *name) {
  const char *all = limn_cpu_features(), *at = strstr(all, name);
  size_t n = strlen(name);
  return at && (at[n] == ' ' || at[n] == '\0');
}
#endif

const limn_encoder_loop *const *limn_loops(void) {
#if defined(__x86_64__)
  static const limn_encoder_loop *const all[] = {&limn_loop_avx512, &limn_loop_avx2,
                                                 &limn_loop_scalar, NULL};
  bool has_avx2 = has_feature("avx2") && has_feature("bmi2");
  bool has_avx512 = has_avx2 && has_feature("avx512bw") && has_feature("avx512vl") &&
                    has_feature("avx512dq") && has_feature("avx512cd") &&
                    has_feature("avx512vbmi") && has_feature("avx512vbmi2");
  return all + (has_avx512 ? 0 : has_avx2 ? 1 : 2);
#elif defined(__aarch64__)
  static const limn_encoder_loop *const all[] = {&limn_loop_neon, &limn_loop_scalar, NULL};
  return all;
#else
  static const limn_encoder_loop *const all[] = {&limn_loop_scalar, NULL};
  return all;
#endif
}

const limn_encoder_loop *limn_loop_best(void) {
  const limn_encoder_loop *const *all = limn_loops();
  const char *wanted = getenv("LIMN_KERNELS");
  for (size_t i = 0; wanted && all[i]; i++) {
    /* avx512_vnni and its like are as good as avx512 here. */
    if (strncmp(all[i]->isa, wanted, strlen(all[i]->isa)) == 0) return all[i];
  }
  return all[0];
}

/* ---- opening and closing ------------------------------------------------------------------------
 */

#define LEAST_PAIRS 32
#define LEAST_HOT   64
#define MOST_HOT    ((size_t)1 << 14)
#define MOST_CACHE  ((size_t)1 << 34)
#define HUGE_WORTH  ((size_t)1 << 21)

/* What a cache of so many bytes has: hot pieces, and of the rest two thirds pairs, a third store.
 */
typedef struct shares {
  size_t n_hot, n_pairs, store_size;
} shares;

static shares share_out(size_t cache_bytes) {
  shares s = {LEAST_HOT, LEAST_PAIRS, 0};
  while (s.n_hot < MOST_HOT && 16 * s.n_hot * sizeof(limn_hot) <= cache_bytes)
    s.n_hot *= 2;
  size_t hot = s.n_hot * sizeof(limn_hot), left = cache_bytes > hot ? cache_bytes - hot : 0;
  size_t n = left / 3 * 2 / (2 * sizeof(limn_slot)), doublings = 0;
  for (; n >> doublings >= 2 * (size_t)LEAST_PAIRS; doublings++)
    ;
  /* Pairs double until there is no more room: as many as doubling gives. */
  if (n > LEAST_PAIRS) s.n_pairs = (n >> doublings & ~(size_t)(LIMN_NEIGHBOURS - 1)) << doublings;
  size_t used = 2 * s.n_pairs * sizeof(limn_slot);
  s.store_size = left > used ? (left - used) / 16 * 16 : 0;
  return s;
}

limn_status limn_encoder_new_with(const limn_tokenizer *t, size_t cache_bytes,
                                  const limn_encoder_loop *loop, limn_encoder **out,
                                  limn_error *err) {
  *out = NULL;
  limn_encoder *e = limn_alloc(sizeof *e);
  if (!e) return limn_out_of_memory(err, "an encoder");
  memset(e, 0, offsetof(limn_encoder, ids));
  shares s = share_out(cache_bytes < MOST_CACHE ? cache_bytes : MOST_CACHE);
  e->t = t;
  e->loop = loop;
  e->most_pairs = s.n_pairs;
  e->store_size = s.store_size;
  e->hot = limn_alloc_aligned(s.n_hot + 1, sizeof *e->hot);
  e->slots = limn_alloc_aligned(2 * s.n_pairs + 1, sizeof *e->slots);
  e->store = limn_alloc(e->store_size + LIMN_STORE_SLACK);
  if (!e->hot || !e->slots || !e->store) {
    limn_encoder_free(e);
    return limn_out_of_memory(err, "an encoder's cache");
  }
  e->n_hot = s.n_hot;
  e->hot_shift = 64 - (unsigned)__builtin_ctzll(s.n_hot);
  memset(e->hot, 0, s.n_hot * sizeof *e->hot);
  for (e->n_pairs = s.n_pairs; e->n_pairs >= 2 * LEAST_PAIRS;)
    e->n_pairs /= 2;
  memset(e->slots, 0, 2 * e->n_pairs * sizeof *e->slots);
  memset(e->slots + 2 * s.n_pairs, 0, sizeof *e->slots); /* looked at beside the last pair */
  *out = e;
  return LIMN_OK;
}

limn_status limn_encoder_new(const limn_tokenizer *t, size_t cache_bytes, limn_encoder **out,
                             limn_error *err) {
  return limn_encoder_new_with(t, cache_bytes, limn_loop_best(), out, err);
}

void limn_encoder_free(limn_encoder *e) {
  if (!e) return;
  limn_bpe_deinit(&e->bpe);
  limn_pipeline_run_free(e->run);
  limn_free_aligned(e->hot);
  limn_free_aligned(e->slots);
  limn_free(e->store);
  limn_free(e);
}

/* ---- where ids go -------------------------------------------------------------------------------
 */

static limn_status grow(limn_tokens *tokens, bool no_offsets, size_t n, limn_error *err) {
  if (n < tokens->capacity) return LIMN_OK;
  size_t capacity = tokens->capacity ? tokens->capacity : 64;
  while (capacity <= n)
    capacity *= 2;
  int32_t *ids = limn_resize(tokens->ids, capacity, sizeof *ids);
  if (ids) limn_want_huge_pages(ids, capacity * sizeof *ids);
  if (ids) tokens->ids = ids;
  size_t *offsets = no_offsets ? NULL : limn_resize(tokens->offsets, capacity, sizeof *offsets);
  if (offsets) tokens->offsets = offsets;
  if (!ids || (!offsets && !no_offsets)) return limn_out_of_memory(err, "the tokens of a text");
  tokens->capacity = capacity;
  return LIMN_OK;
}

/* Where each token stands: its bytes are the text's. */
static void append_offsets(limn_encoder *e, limn_tokens *tokens, const int32_t *ids, size_t n) {
  size_t offset = tokens->n ? tokens->offsets[tokens->n] : e->sink.start, length;
  for (size_t i = 0; i < n; i++) {
    tokens->offsets[tokens->n + i] = offset;
    limn_tokenizer_bytes(e->t, ids[i], &length);
    offset += length;
  }
  tokens->offsets[tokens->n + n] = offset;
}

static limn_status append(limn_encoder *e, const int32_t *ids, size_t n, limn_error *err) {
  limn_sink *sink = &e->sink;
  if (sink->tokens) {
    limn_tokens *tokens = sink->tokens;
    limn_status status = grow(tokens, sink->no_offsets, tokens->n + n, err);
    if (status != LIMN_OK) return status;
    memcpy(tokens->ids + tokens->n, ids, n * sizeof *ids);
    if (!sink->no_offsets) append_offsets(e, tokens, ids, n);
    tokens->n += n;
    return LIMN_OK;
  }
  if (n > sink->capacity - sink->n) {
    n = sink->capacity - sink->n;
    sink->is_full = true;
  }
  if (sink->ids) memcpy(sink->ids + sink->n, ids, n * sizeof *ids);
  sink->n += n;
  return LIMN_OK;
}

limn_status limn_tokens_push(limn_tokens *tokens, int32_t id, size_t offset, limn_error *err) {
  limn_status status = grow(tokens, false, tokens->n + 1, err);
  if (status != LIMN_OK) return status;
  tokens->ids[tokens->n] = id;
  tokens->offsets[tokens->n] = offset;
  tokens->n++;
  return LIMN_OK;
}

limn_status limn_encoder_flush(limn_encoder *e, limn_error *err) {
  limn_status status = append(e, e->ids, e->n_ids, err);
  e->n_ids = 0;
  return status;
}

limn_status limn_encoder_push(limn_encoder *e, int32_t id, limn_error *err) {
  limn_status status = LIMN_OK;
  if (e->n_ids == LIMN_CHUNK_IDS) status = limn_encoder_flush(e, err);
  e->ids[e->n_ids++] = id;
  return status;
}

/* ---- the store ----------------------------------------------------------------------------------
 */

/*
 * Puts a slot into its pair or, where that is full, into the neighbouring ones; where all are, in
 * the place of its pair's second. What came first is met most, and stays where it is found at
 * once. Whether one more is in use then.
 */
static bool put_slot(limn_slot *slots, size_t pair, const limn_slot *slot) {
  for (size_t i = 0; i < 2 * LIMN_NEIGHBOURS; i++) {
    limn_slot *place = slots + 2 * (pair ^ i >> 1) + (i & 1);
    if (place->high != 0) continue;
    *place = *slot;
    return true;
  }
  slots[2 * pair + 1] = *slot;
  return false;
}

static size_t pair_of(const limn_encoder *e, uint64_t low, uint64_t high) {
  return limn_slot_pair(e->n_pairs, e->loop->hash(low, high));
}

/*
 * Doubles the pairs where they lie, from the last to the first: those of LIMN_NEIGHBOURS go to
 * twice as many, which no pair before them needs any more.
 */
static void grow_pairs(limn_encoder *e) {
  size_t n_old = e->n_pairs, size = 2 * n_old * 2 * sizeof(limn_slot);
  /* Once it is worth it: before, a page of two million bytes would be one too many. */
  if (size >= HUGE_WORTH && size < 2 * HUGE_WORTH)
    limn_want_huge_pages(e->slots, 2 * e->most_pairs * sizeof *e->slots);
  e->n_used = 0;
  e->n_pairs = 2 * n_old;
  for (size_t i = n_old / LIMN_NEIGHBOURS; i-- > 0;) {
    limn_slot old[2 * LIMN_NEIGHBOURS];
    memcpy(old, e->slots + 2 * LIMN_NEIGHBOURS * i, sizeof old);
    memset(e->slots + 4 * LIMN_NEIGHBOURS * i, 0, 2 * sizeof old);
    for (size_t k = 0; k < 2 * LIMN_NEIGHBOURS; k++) {
      if (old[k].high != 0)
        e->n_used += put_slot(e->slots, pair_of(e, old[k].low, old[k].high), &old[k]);
    }
  }
}

static void add_slot(limn_encoder *e, const limn_slot *slot) {
  if (2 * e->n_used > e->n_pairs && e->n_pairs < e->most_pairs) grow_pairs(e);
  e->n_used += put_slot(e->slots, pair_of(e, slot->low, slot->high), slot);
}

static const limn_slot *find_slot(const limn_encoder *e, uint64_t low, uint64_t high) {
  size_t pair = pair_of(e, low, high);
  for (size_t i = 0; i < 2 * LIMN_NEIGHBOURS; i++) {
    const limn_slot *slot = e->slots + 2 * (pair ^ i >> 1) + (i & 1);
    if (slot->low == low && slot->high == high) return slot;
  }
  return NULL;
}

static void forget_all(limn_encoder *e) {
  memset(e->slots, 0, 2 * e->n_pairs * sizeof *e->slots);
  e->n_used = 0;
  e->store_used = 0;
  e->age++;
}

/* Room for so many bytes in the store, or NULL; *at is where. */
static unsigned char *take_store(limn_encoder *e, size_t size, uint32_t *at) {
  if (size > e->store_size / 4) return NULL;
  if (size > e->store_size - e->store_used) forget_all(e);
  unsigned char *taken = e->store + e->store_used;
  *at = (uint32_t)(e->store_used / 4);
  e->store_used += size;
  return taken;
}

static void keep_long(limn_encoder *e, const uint64_t key[2], const unsigned char *piece, size_t n,
                      const int32_t *ids, size_t n_ids) {
  limn_slot slot = {key[0], key[1], {0}};
  unsigned char *at = take_store(e, limn_store_padded(n) + n_ids * sizeof *ids, &slot.ids[1]);
  if (!at) return;
  slot.ids[0] = (uint32_t)LIMN_LONG_IN_STORE << LIMN_ID_BITS | (uint32_t)n;
  slot.ids[2] = (uint32_t)n_ids;
  memcpy(at, piece, n);
  memcpy(at + limn_store_padded(n), ids, n_ids * sizeof *ids);
  add_slot(e, &slot);
}

/* Whether there is a slot for it now, which is given. */
static bool keep_short(limn_encoder *e, uint64_t low, uint64_t high, const int32_t *ids,
                       size_t n_ids, limn_slot *given) {
  limn_slot slot = {low, high, {0}};
  if (n_ids <= LIMN_SLOT_IDS) {
    memcpy(slot.ids, ids, n_ids * sizeof *ids);
    slot.ids[0] |= (uint32_t)n_ids << LIMN_ID_BITS;
  } else {
    unsigned char *at = take_store(e, n_ids * sizeof *ids, &slot.ids[1]);
    if (!at) return false;
    slot.ids[0] = (uint32_t)(LIMN_IN_STORE + n_ids) << LIMN_ID_BITS;
    memcpy(at, ids, n_ids * sizeof *ids);
  }
  add_slot(e, &slot);
  *given = slot;
  return true;
}

/* ---- pieces -------------------------------------------------------------------------------------
 */

/* The token that a piece is as a whole where that comes before merging, or -1. */
static int32_t whole_token(const limn_tokenizer *t, const unsigned char *piece, size_t n) {
  int32_t id = t->whole_pieces ? limn_tokenizer_id(t, (const char *)piece, n) : -1;
  return id >= 0 && t->kinds[id] == LIMN_TOKEN_NORMAL ? id : -1;
}

/* The ids of a piece of at most LIMN_SMALL_WINDOW bytes; returns how many. */
static size_t merge_small(const limn_encoder *e, const unsigned char *piece, size_t n,
                          int32_t *out) {
  const limn_symbols *s = &e->t->symbols;
  uint32_t symbols[LIMN_SMALL_WINDOW];
  out[0] = whole_token(e->t, piece, n);
  if (out[0] >= 0) return 1;
  size_t n_symbols = e->loop->merger->small(s, piece, n, symbols);
  for (size_t i = 0; i < n_symbols; i++)
    out[i] = s->ids[symbols[i]];
  return n_symbols;
}

/* Merges a piece and appends its ids to e->ids, or to the sink when there are too many. */
static limn_status merge_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err) {
  const limn_symbols *s = &e->t->symbols;
  if (n <= LIMN_SMALL_WINDOW) {
    e->n_ids += merge_small(e, piece, n, e->ids + e->n_ids);
    return LIMN_OK;
  }
  int32_t whole = whole_token(e->t, piece, n);
  if (whole >= 0) return limn_encoder_push(e, whole, err);
  limn_status status = limn_bpe_encode(&e->bpe, e->loop->merger, s, piece, n, err);
  for (size_t at = 0; status == LIMN_OK && at < e->bpe.n_out && !e->sink.is_full;) {
    size_t room = LIMN_CHUNK_IDS - e->n_ids, left = e->bpe.n_out - at;
    size_t count = left < room ? left : room;
    for (size_t i = 0; i < count; i++)
      e->ids[e->n_ids++] = s->ids[e->bpe.out[at++]];
    if (at < e->bpe.n_out || e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK)
      status = limn_encoder_flush(e, err);
  }
  return status;
}

static limn_status long_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                              limn_error *err) {
  uint64_t key[2];
  size_t before = e->n_ids;
  if (n > LIMN_KEPT_PIECE || e->store_size == 0) return merge_piece(e, piece, n, err);
  limn_hash_piece(piece, n, key);
  const limn_slot *slot = find_slot(e, key[0], key[1]);
  const unsigned char *ids = slot ? limn_slot_long(e, slot->ids, piece, n) : NULL;
  if (ids) {
    limn_store_put(ids, slot->ids[2], e->ids + e->n_ids);
    e->n_ids += slot->ids[2];
    return LIMN_OK;
  }
  limn_status status = merge_piece(e, piece, n, err);
  if (status == LIMN_OK && e->n_ids > before)
    keep_long(e, key, piece, n, e->ids + before, e->n_ids - before);
  return status;
}

limn_status limn_encoder_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err) {
  uint64_t key[2] = {0, 0};
  if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) {
    limn_status status = limn_encoder_flush(e, err);
    if (status != LIMN_OK) return status;
  }
  if (n > LIMN_SHORT_PIECE) return long_piece(e, piece, n, err);
  memcpy(key, piece, n);
  key[1] |= (uint64_t)n << 56;
  const limn_slot *found = find_slot(e, key[0], key[1]);
  int32_t *out = e->ids + e->n_ids;
  if (found) {
    e->n_ids += limn_slot_put(e, found->ids, out);
    return LIMN_OK;
  }
  size_t n_ids = merge_small(e, piece, n, out);
  e->n_ids += n_ids;
  limn_slot slot;
  keep_short(e, key[0], key[1], out, n_ids, &slot);
  return LIMN_OK;
}

/* Merges pieces that are nowhere, and keeps what they merge to. */
static void learn_group(limn_encoder *e, const uint64_t (*keys)[2], const uint32_t *which, size_t n,
                        uint32_t (*found)[LIMN_SLOT_IDS]) {
  const limn_symbols *s = &e->t->symbols;
  uint32_t symbols[LIMN_GROUP][LIMN_SHORT_PIECE];
  limn_window windows[LIMN_GROUP];
  for (size_t i = 0; i < n; i++) {
    const uint64_t *key = keys[which[i]];
    windows[i] = (limn_window){(const unsigned char *)key, (size_t)(key[1] >> 56), symbols[i], 0};
  }
  e->loop->merger->several(s, windows, n);
  for (size_t i = 0; i < n; i++) {
    const uint64_t *key = keys[which[i]];
    int32_t ids[LIMN_SHORT_PIECE];
    limn_slot slot;
    for (size_t k = 0; k < windows[i].n_out; k++)
      ids[k] = s->ids[symbols[i][k]];
    if (keep_short(e, key[0], key[1], ids, windows[i].n_out, &slot))
      memcpy(found[which[i]], slot.ids, sizeof slot.ids);
  }
}

/* Of a group, a piece that is there already or is a token as a whole. */
static bool learn_at_once(limn_encoder *e, const uint64_t key[2], uint32_t found[LIMN_SLOT_IDS]) {
  limn_slot slot;
  const limn_slot *there = find_slot(e, key[0], key[1]);
  int32_t whole =
      there ? -1 : whole_token(e->t, (const unsigned char *)key, (size_t)(key[1] >> 56));
  if (!there && (whole < 0 || !keep_short(e, key[0], key[1], &whole, 1, &slot))) return false;
  memcpy(found, there ? there->ids : slot.ids, sizeof slot.ids);
  return true;
}

void limn_encoder_learn(limn_encoder *e, const uint64_t (*keys)[2], const uint32_t *which, size_t n,
                        uint32_t (*found)[LIMN_SLOT_IDS]) {
  uint32_t group[LIMN_GROUP];
  for (size_t i = 0, n_group = 0; i < n; i++) {
    if (!learn_at_once(e, keys[which[i]], found[which[i]])) group[n_group++] = which[i];
    if (n_group == LIMN_GROUP || (i + 1 == n && n_group > 0)) {
      learn_group(e, keys, group, n_group, found);
      n_group = 0;
    }
  }
}

/* ---- the face -----------------------------------------------------------------------------------
 */

static limn_status encode_into(limn_encoder *e, const char *text, size_t n, limn_special special,
                               limn_error *err) {
  e->n_ids = 0;
  limn_status status = limn_encode_text(e, text, n, special, err);
  return status == LIMN_OK ? limn_encoder_flush(e, err) : status;
}

/* How many bytes of the text the ids cover. */
static size_t covered(const limn_encoder *e, const int32_t *ids, size_t n) {
  size_t size = 0, length;
  if (e->t->pipeline) return e->sink.end;
  for (size_t i = 0; i < n; i++) {
    limn_tokenizer_bytes(e->t, ids[i], &length);
    size += length;
  }
  return size;
}

limn_status limn_encoder_encode(limn_encoder *e, const char *text, size_t n, limn_special special,
                                int32_t *ids, size_t capacity, size_t *n_ids, size_t *n_bytes,
                                limn_error *err) {
  e->sink = (limn_sink){.ids = ids, .capacity = ids ? capacity : SIZE_MAX};
  limn_status status = encode_into(e, text, n, special, err);
  *n_ids = status == LIMN_OK ? e->sink.n : 0;
  if (n_bytes) *n_bytes = status != LIMN_OK ? 0 : e->sink.is_full ? covered(e, ids, *n_ids) : n;
  return status;
}

limn_status limn_encoder_count(limn_encoder *e, const char *text, size_t n, limn_special special,
                               size_t *n_ids, limn_error *err) {
  return limn_encoder_encode(e, text, n, special, NULL, 0, n_ids, NULL, err);
}

limn_status limn_encoder_tokens(limn_encoder *e, const char *text, size_t n, limn_special special,
                                limn_tokens *out, limn_error *err) {
  e->sink = (limn_sink){.tokens = out};
  out->n = 0;
  limn_status status = encode_into(e, text, n, special, err);
  if (status == LIMN_OK && out->n == 0) {
    status = grow(out, false, 0, err);
    if (status == LIMN_OK) out->offsets[0] = 0;
  }
  if (status != LIMN_OK) limn_tokens_deinit(out);
  return status;
}

/* ---- once, without an encoder of one's own ------------------------------------------------------
 */

limn_status limn_tokenizer_encode(const limn_tokenizer *t, const char *text, size_t n,
                                  limn_special special, limn_tokens *out, limn_error *err) {
  limn_encoder *e;
  out->n = 0;
  /* A cache that is no larger than the text is worth: filling it anew takes time as well. */
  limn_status status = limn_encoder_new(t, n < (size_t)1 << 21 ? n / 2 : (size_t)1 << 20, &e, err);
  if (status != LIMN_OK) {
    limn_tokens_deinit(out);
    return status;
  }
  status = limn_encoder_tokens(e, text, n, special, out, err);
  limn_encoder_free(e);
  return status;
}

/* ---- places as characters -----------------------------------------------------------------------
 */

void limn_character_offsets(const char *text, size_t n, const size_t *offsets, size_t n_offsets,
                            size_t *out) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t at = 0, n_characters = 0; /* those that end at or before `at` */
  for (size_t i = 0; i < n_offsets; i++) {
    while (at < n) {
      int32_t code;
      size_t length = limn_utf8_decode(bytes + at, n - at, &code);
      if (at + length > offsets[i]) break;
      at += length;
      n_characters++;
    }
    out[i] = n_characters;
  }
}
