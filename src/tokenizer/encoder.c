/*
 * encoder.c - what a thread needs to encode: a cache of pieces, room to merge, and where ids go.
 *
 * Most pieces of a text have been seen before, so most of encoding is remembering (cache.h). What
 * is new is merged, several pieces at a time.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/shared_cache.h"

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

/* One without a cache. */
static limn_status new_bare(const limn_tokenizer *t, const limn_encoder_loop *loop,
                            limn_encoder **out, limn_error *err) {
  limn_encoder *e = *out = limn_alloc(sizeof *e);
  if (!e) return limn_out_of_memory(err, "an encoder");
  memset(e, 0, offsetof(limn_encoder, room));
  e->t = t;
  e->loop = loop;
  return LIMN_OK;
}

/* What was made, or nothing where something failed. */
static limn_status made(limn_status status, limn_encoder **out) {
  if (status == LIMN_OK) return LIMN_OK;
  limn_encoder_free(*out);
  *out = NULL;
  return status;
}

limn_status limn_encoder_new_with(const limn_tokenizer *t, size_t cache_bytes,
                                  const limn_encoder_loop *loop, limn_encoder **out,
                                  limn_error *err) {
  limn_status status = new_bare(t, loop, out, err);
  if (status == LIMN_OK) status = limn_cache_init(&(*out)->cache, cache_bytes, loop->hash, err);
  return made(status, out);
}

limn_status limn_encoder_new_sharing(const limn_tokenizer *t, struct limn_shared_cache *cache,
                                     limn_encoder **out, limn_error *err) {
  limn_status status = new_bare(t, limn_loop_best(), out, err);
  if (status == LIMN_OK) status = limn_shared_cache_open(cache, &(*out)->cache, err);
  return made(status, out);
}

limn_status limn_encoder_new(const limn_tokenizer *t, size_t cache_bytes, limn_encoder **out,
                             limn_error *err) {
  return limn_encoder_new_with(t, cache_bytes, limn_loop_best(), out, err);
}

void limn_encoder_free(limn_encoder *e) {
  if (!e) return;
  limn_bpe_deinit(&e->bpe);
  limn_pipeline_run_free(e->run);
  limn_cache_deinit(&e->cache);
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
    if (ids != tokens->ids + tokens->n) memcpy(tokens->ids + tokens->n, ids, n * sizeof *ids);
    if (!sink->no_offsets) append_offsets(e, tokens, ids, n);
    tokens->n += n;
    return LIMN_OK;
  }
  if (n > sink->capacity - sink->n) {
    n = sink->capacity - sink->n;
    sink->is_full = true;
  }
  if (sink->ids && ids != sink->ids + sink->n) memcpy(sink->ids + sink->n, ids, n * sizeof *ids);
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

/* Where the next ids collect: they need not be copied if the sink has place for all of a chunk. */
static int32_t *next_ids(limn_encoder *e) {
  const limn_sink *sink = &e->sink;
  int32_t *ids = sink->tokens ? sink->tokens->ids : sink->ids;
  size_t n = sink->tokens ? sink->tokens->n : sink->n;
  size_t capacity = sink->tokens ? sink->tokens->capacity : sink->capacity;
  return ids && capacity - n > LIMN_CHUNK_IDS ? ids + n : e->room;
}

void limn_encoder_into(limn_encoder *e, limn_sink sink) {
  e->sink = sink;
  e->ids = next_ids(e);
  e->n_ids = 0;
}

limn_status limn_encoder_flush(limn_encoder *e, limn_error *err) {
  limn_status status = append(e, e->ids, e->n_ids, err);
  e->ids = next_ids(e);
  e->n_ids = 0;
  return status;
}

limn_status limn_encoder_push(limn_encoder *e, int32_t id, limn_error *err) {
  limn_status status = LIMN_OK;
  if (e->n_ids == LIMN_CHUNK_IDS) status = limn_encoder_flush(e, err);
  e->ids[e->n_ids++] = id;
  return status;
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
    out[i] = limn_symbols_id(s, symbols[i]);
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
      e->ids[e->n_ids++] = limn_symbols_id(s, e->bpe.out[at++]);
    if (at < e->bpe.n_out || e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK)
      status = limn_encoder_flush(e, err);
  }
  return status;
}

static limn_status long_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                              limn_error *err) {
  uint64_t key[2];
  size_t before = e->n_ids, n_ids;
  if (n > LIMN_KEPT_PIECE || e->cache.store_size == 0) return merge_piece(e, piece, n, err);
  limn_hash_piece(piece, n, key);
  const int32_t *ids = limn_cache_find_long(&e->cache, key, piece, n, &n_ids);
  if (ids) {
    memcpy(e->ids + e->n_ids, ids, n_ids * sizeof *ids);
    e->n_ids += n_ids;
    return LIMN_OK;
  }
  limn_status status = merge_piece(e, piece, n, err);
  if (status == LIMN_OK && e->n_ids > before)
    limn_cache_keep_long(&e->cache, key, piece, n, e->ids + before, e->n_ids - before);
  return status;
}

static void short_piece(limn_encoder *e, const unsigned char *piece, size_t n) {
  uint64_t key[2] = {0, 0};
  int32_t *out = e->ids + e->n_ids;
  memcpy(key, piece, n);
  key[1] |= (uint64_t)n << 56;
  uint32_t hash = e->loop->hash(key[0], key[1]);
  limn_answer answer = limn_cache_find(&e->cache, hash, key);
  if (answer.first == LIMN_ANSWER_NONE) {
    size_t n_ids = merge_small(e, piece, n, out);
    limn_cache_keep(&e->cache, hash, key, out, n_ids);
    e->n_ids += n_ids;
  } else if (limn_answer_stored(answer) > 0) {
    memcpy(out, limn_cache_stored(&e->cache, answer), limn_answer_stored(answer) * sizeof *out);
    e->n_ids += limn_answer_stored(answer);
  } else {
    out[0] = (int32_t)answer.first;
    out[1] = (int32_t)answer.second;
    e->n_ids += answer.second == UINT32_MAX ? 1 : 2;
  }
}

limn_status limn_encoder_piece_waiting(limn_encoder *e, const unsigned char *piece, size_t n,
                                       limn_error *err) {
  if (e->n_ids > LIMN_CHUNK_IDS - LIMN_CHUNK_SLACK) {
    limn_status status = limn_encoder_flush(e, err);
    if (status != LIMN_OK) return status;
  }
  if (n > LIMN_SHORT_PIECE) return long_piece(e, piece, n, err);
  short_piece(e, piece, n);
  return LIMN_OK;
}

limn_status limn_encoder_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err) {
  limn_cache_tidy(&e->cache);
  return limn_encoder_piece_waiting(e, piece, n, err);
}

/* Of the pieces to be learned, those that are to be merged together. */
typedef struct group {
  size_t n;
  uint32_t which[LIMN_GROUP], hashes[LIMN_GROUP];
  limn_window windows[LIMN_GROUP];
  int32_t ids[LIMN_GROUP][LIMN_TINY_WINDOW];
} group;

/* The tokens that the group's windows merge to. */
static void merge_group(const limn_encoder *e, group *g) {
  const limn_symbols *s = &e->t->symbols;
  uint32_t symbols[LIMN_GROUP][LIMN_TINY_WINDOW];
  for (size_t i = 0; i < g->n; i++)
    g->windows[i].out = symbols[i];
  e->loop->merger->several(s, g->windows, g->n);
  for (size_t i = 0; i < g->n; i++) {
    for (size_t k = 0; k < g->windows[i].n_out; k++)
      g->ids[i][k] = limn_symbols_id(s, symbols[i][k]);
  }
}

/* Merges pieces that are nowhere, and keeps what they merge to. One may be there several times. */
static void learn_group(limn_encoder *e, const uint64_t (*keys)[2], group *g,
                        limn_answer *answers) {
  merge_group(e, g);
  for (size_t i = 0; i < g->n; i++) {
    uint32_t at = g->which[i], hash = g->hashes[i];
    answers[at] = limn_cache_find(&e->cache, hash, keys[at]);
    if (answers[at].first == LIMN_ANSWER_NONE)
      answers[at] = limn_cache_keep(&e->cache, hash, keys[at], g->ids[i], g->windows[i].n_out);
  }
  g->n = 0;
}

/* Of the pieces to be learned, one that is there already or is a token as a whole. */
static bool learn_at_once(limn_encoder *e, uint32_t hash, const uint64_t key[2],
                          limn_answer *answer) {
  *answer = limn_cache_find(&e->cache, hash, key);
  if (answer->first != LIMN_ANSWER_NONE) return true;
  int32_t whole = whole_token(e->t, (const unsigned char *)key, (size_t)(key[1] >> 56));
  if (whole < 0) return false;
  *answer = limn_cache_keep(&e->cache, hash, key, &whole, 1);
  return true;
}

void limn_encoder_learn(limn_encoder *e, const uint64_t (*keys)[2], const uint32_t *hashes,
                        const uint32_t *which, size_t n, limn_answer *answers) {
  group g;
  g.n = 0;
  for (size_t i = 0; i < n; i++) {
    const uint64_t *key = keys[which[i]];
    g.which[g.n] = which[i];
    g.hashes[g.n] = hashes[which[i]];
    g.windows[g.n] =
        (limn_window){.bytes = (const unsigned char *)key, .n = (size_t)(key[1] >> 56)};
    g.n += !learn_at_once(e, g.hashes[g.n], key, &answers[which[i]]);
    if (g.n == LIMN_GROUP) learn_group(e, keys, &g, answers);
  }
  if (g.n > 0) learn_group(e, keys, &g, answers);
}

/* Whether a long piece is known; *answer is NONE too where it has more ids than an answer. */
static bool find_long(const limn_encoder *e, const uint64_t key[2], const unsigned char *piece,
                      size_t n, limn_answer *answer) {
  size_t n_ids;
  const int32_t *ids = limn_cache_find_long(&e->cache, key, piece, n, &n_ids);
  *answer = ids ? limn_answer_of(&e->cache, ids, n_ids) : (limn_answer){LIMN_ANSWER_NONE, 0};
  return ids != NULL;
}

static void learn_long_group(limn_encoder *e, const uint64_t (*keys)[2], group *g,
                             limn_answer *answers) {
  merge_group(e, g);
  for (size_t i = 0; i < g->n; i++) {
    const limn_window *w = &g->windows[i];
    uint32_t at = g->which[i];
    if (!find_long(e, keys[at], w->bytes, w->n, &answers[at]))
      answers[at] = limn_cache_keep_long(&e->cache, keys[at], w->bytes, w->n, g->ids[i], w->n_out);
  }
  g->n = 0;
}

void limn_encoder_learn_long(limn_encoder *e, const uint64_t (*keys)[2],
                             const unsigned char *const *pieces, const uint32_t (*which)[2],
                             size_t n, limn_answer *answers) {
  group g;
  g.n = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t at = which[i][0], size = which[i][1];
    bool is_known = find_long(e, keys[at], pieces[at], size, &answers[at]);
    if (is_known || size > LIMN_TINY_WINDOW || whole_token(e->t, pieces[at], size) >= 0) continue;
    g.which[g.n] = at;
    g.windows[g.n++] = (limn_window){.bytes = pieces[at], .n = size};
    if (g.n == LIMN_GROUP) learn_long_group(e, keys, &g, answers);
  }
  if (g.n > 0) learn_long_group(e, keys, &g, answers);
}

/* ---- the face -----------------------------------------------------------------------------------
 */

static limn_status encode_into(limn_encoder *e, const char *text, size_t n, limn_special special,
                               limn_error *err) {
  limn_cache_expect(&e->cache, n);
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
  limn_encoder_into(e, (limn_sink){.ids = ids, .capacity = ids ? capacity : SIZE_MAX});
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
  out->n = 0;
  limn_encoder_into(e, (limn_sink){.tokens = out});
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
