/*
 * vocabulary.c - the tokens, and the two tables that find them: from bytes to an id, and from a
 * pair of ids to what they merge to.
 *
 * Both are hash tables with open addressing, at most half full, built once and then only read.
 */
#include "base/utf8.h"
#include "tokenizer/pairs.h"
#include "tokenizer/tokenizer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- hashing
 * -------------------------------------------------------------------------------------- */

/* Eight bytes a step (Knuth's multiplicative hashing). */
static size_t hash_bytes(const char *bytes, size_t n) {
  uint64_t h = n;
  for (; n >= 8; n -= 8, bytes += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  uint64_t last = 0;
  for (size_t i = 0; i < n; i++)
    last |= (uint64_t)(unsigned char)bytes[i] << 8 * i;
  h = (h ^ last) * 0x9e3779b97f4a7c15u;
  return (size_t)(h >> 32);
}

static size_t hash_pair(int32_t left, int32_t right) {
  uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  return (size_t)(pair * 0x9e3779b97f4a7c15u >> 32); /* Knuth's multiplicative hashing */
}

/* A power of two of at least twice n; 0 when there is none. */
static size_t table_size(size_t n) {
  size_t size = 16;
  while (size < 2 * n) {
    if (!limn_size_mul(size, 2, &size)) return 0;
  }
  return size;
}

/* ---- tokens
 * ---------------------------------------------------------------------------------------- */

limn_status limn_tokenizer_start(limn_tokenizer *t, int32_t vocab_size, limn_error *err) {
  t->starts = limn_alloc_zeroed((size_t)vocab_size + 1, sizeof *t->starts);
  t->kinds = limn_alloc_zeroed((size_t)vocab_size, 1);
  if (!t->starts || !t->kinds) return limn_out_of_memory(err, "a vocabulary");
  return LIMN_OK;
}

limn_status limn_tokenizer_add(limn_tokenizer *t, const void *bytes, size_t n, limn_token_kind kind,
                               limn_error *err) {
  if (t->bytes.size + n > UINT32_MAX || !limn_bytes_append(&t->bytes, bytes, n))
    return limn_out_of_memory(err, "a vocabulary");
  t->kinds[t->vocab_size++] = (uint8_t)kind;
  t->starts[t->vocab_size] = (uint32_t)t->bytes.size;
  return LIMN_OK;
}

const char *limn_tokenizer_bytes(const limn_tokenizer *t, int32_t id, size_t *n) {
  *n = 0;
  if (id < 0 || id >= t->vocab_size || t->kinds[id] == LIMN_TOKEN_NONE) return NULL;
  *n = t->starts[id + 1] - t->starts[id];
  return t->bytes.data + t->starts[id];
}

/* The place of these bytes in the table, or the empty one where they would stand. */
static size_t find_place(const limn_tokenizer *t, const char *bytes, size_t n) {
  size_t i = hash_bytes(bytes, n) & t->by_bytes_mask;
  for (; t->by_bytes[i] >= 0; i = (i + 1) & t->by_bytes_mask) {
    size_t size;
    const char *here = limn_tokenizer_bytes(t, t->by_bytes[i], &size);
    if (size == n && memcmp(here, bytes, n) == 0) break;
  }
  return i;
}

int32_t limn_tokenizer_id(const limn_tokenizer *t, const char *bytes, size_t n) {
  return t->by_bytes[find_place(t, bytes, n)];
}

/* Enters pieces of text, or all other tokens; bytes that are there stay what they are. */
static void enter(limn_tokenizer *t, bool is_normal) {
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t n;
    if ((t->kinds[id] == LIMN_TOKEN_NORMAL) != is_normal) continue;
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    size_t place = bytes ? find_place(t, bytes, n) : 0;
    if (bytes && t->by_bytes[place] < 0) t->by_bytes[place] = id;
  }
}

/* A special token may be the same bytes as a piece of text; then it is the piece that is found. */
static limn_status index_bytes(limn_tokenizer *t, limn_error *err) {
  size_t size = table_size((size_t)t->vocab_size);
  t->by_bytes = size ? limn_resize(NULL, size, sizeof *t->by_bytes) : NULL;
  if (!t->by_bytes) return limn_out_of_memory(err, "a vocabulary");
  memset(t->by_bytes, -1, size * sizeof *t->by_bytes);
  t->by_bytes_mask = size - 1;
  enter(t, true);
  enter(t, false);
  return LIMN_OK;
}

static void index_single_bytes(limn_tokenizer *t) {
  for (int byte = 0; byte < 256; byte++) {
    char c = (char)byte;
    int32_t id = limn_tokenizer_id(t, &c, 1);
    t->byte_ids[byte] = id >= 0 && t->kinds[id] == LIMN_TOKEN_NORMAL ? id : -1;
  }
}

static limn_status index_specials(limn_tokenizer *t, limn_error *err) {
  limn_added_deinit(&t->specials);
  for (int32_t id = 0; id < t->vocab_size; id++) {
    limn_added token = {.id = id, .is_special = true};
    if (t->kinds[id] != LIMN_TOKEN_SPECIAL) continue;
    token.text = limn_tokenizer_bytes(t, id, &token.n);
    if (token.n > 0 && !limn_added_add(&t->specials, token))
      return limn_out_of_memory(err, "a vocabulary");
  }
  limn_added_sort(&t->specials);
  return LIMN_OK;
}

limn_status limn_tokenizer_index(limn_tokenizer *t, limn_error *err) {
  static const char *const ends[] = {"<|endoftext|>", "</s>", "<|end_of_text|>"};
  /* Decoding copies 16 bytes wherever a token begins. */
  if (!limn_bytes_reserve(&t->bytes, 16)) return limn_out_of_memory(err, "a vocabulary");
  memset(t->bytes.data + t->bytes.size, 0, 16);
  limn_status status = index_bytes(t, err);
  if (status != LIMN_OK) return status;
  index_single_bytes(t);
  status = index_specials(t, err);
  t->eos = -1;
  for (size_t i = 0; status == LIMN_OK && i < 3 && t->eos < 0; i++) {
    int32_t id = limn_tokenizer_id(t, ends[i], strlen(ends[i]));
    if (id >= 0 && t->kinds[id] == LIMN_TOKEN_SPECIAL) t->eos = id;
  }
  return status;
}

/* ---- merges
 * ------------------------------------------------------------------------------------------ */

limn_status limn_tokenizer_start_merges(limn_tokenizer *t, size_t n, limn_error *err) {
  size_t size = table_size(n);
  t->merges = size ? limn_resize(NULL, size, sizeof *t->merges) : NULL;
  if (!t->merges) return limn_out_of_memory(err, "a table of merges");
  memset(t->merges, -1, size * sizeof *t->merges);
  t->merge_mask = size - 1;
  return LIMN_OK;
}

static limn_merge *merge_place(const limn_tokenizer *t, int32_t left, int32_t right) {
  size_t i = hash_pair(left, right) & t->merge_mask;
  for (;; i = (i + 1) & t->merge_mask) {
    limn_merge *m = &t->merges[i];
    if (m->result < 0 || (m->left == left && m->right == right)) return m;
  }
}

bool limn_tokenizer_add_merge(limn_tokenizer *t, int32_t left, int32_t right, int32_t rank,
                              int32_t result) {
  limn_merge *m = merge_place(t, left, right);
  if (m->result >= 0) return false;
  *m = (limn_merge){left, right, rank, result};
  return true;
}

bool limn_tokenizer_merge_of(const limn_tokenizer *t, int32_t left, int32_t right,
                             limn_merge *out) {
  const limn_symbols *s = &t->symbols;
  uint32_t a = s->of_ids[left], b = s->of_ids[right];
  uint32_t symbol = a < s->n && b < s->n ? limn_symbols_find(s, a, b) : LIMN_NO_SYMBOL;
  if (symbol == LIMN_NO_SYMBOL) return false;
  *out = (limn_merge){left, right, (int32_t)symbol - 256, s->ids[symbol]};
  return true;
}

const limn_merge *limn_tokenizer_find_merge(const limn_tokenizer *t, int32_t left, int32_t right) {
  const limn_merge *m = merge_place(t, left, right);
  return m->result >= 0 ? m : NULL;
}

static size_t text_size(const limn_tokenizer *t, int32_t id) {
  return t->starts[id + 1] - t->starts[id];
}

/* ---- the last step: symbols in order of rank ----------------------------------------------------
 */

static bool find_by_ids(const void *table, int32_t left, int32_t right, limn_made *out) {
  const limn_merge *merge = limn_tokenizer_find_merge(table, left, right);
  if (merge) *out = (limn_made){merge->rank, merge->result};
  return merge;
}

/*
 * Several merges may make one token: a file of ranks allows any two tokens that together are
 * a third. Only one of them is ever done, the last when the token's bytes are merged alone: until
 * a merge reaches beyond those bytes, nothing around them changes what happens among them.
 */
static limn_status last_merge(const limn_tokenizer *t, int32_t id, limn_row *row, limn_merge *out,
                              limn_error *err) {
  size_t n;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  out->result = -1; /* the token is never made */
  limn_status status = limn_row_resize(row, n, err);
  for (size_t i = 0; status == LIMN_OK && i < n; i++)
    row->ids[i] = t->byte_ids[(unsigned char)bytes[i]];
  if (status == LIMN_OK) status = limn_row_merge_by(row, find_by_ids, t, 0, err);
  if (status == LIMN_OK && row->n == 1 && row->ids[0] == id && row->last[0] >= 0)
    *out = *limn_tokenizer_find_merge(t, row->last[0], row->last[1]);
  return status;
}

static int by_rank(const void *a, const void *b) {
  const limn_merge *x = a, *y = b;
  return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The merges that can be done, one a token, in order of rank, in memory from limn_alloc. */
static limn_status collect_merges(const limn_tokenizer *t, limn_merge **out, size_t *n,
                                  limn_error *err) {
  limn_status status = LIMN_OK;
  limn_merge *by_result = limn_resize(NULL, (size_t)t->vocab_size + 1, sizeof *by_result);
  uint8_t *counts = limn_alloc_zeroed((size_t)t->vocab_size + 1, 1);
  limn_row row = {0};
  *n = 0;
  if (!by_result || !counts) status = limn_out_of_memory(err, "a table of merges");
  for (size_t i = 0; status == LIMN_OK && i <= t->merge_mask; i++) {
    const limn_merge *m = &t->merges[i];
    if (m->result < 0) continue;
    by_result[m->result] = *m;
    if (counts[m->result] < 2) counts[m->result]++;
  }
  for (int32_t id = 0; status == LIMN_OK && id < t->vocab_size; id++) {
    if (counts[id] == 2) status = last_merge(t, id, &row, &by_result[id], err);
    if (counts[id] > 0 && by_result[id].result >= 0) by_result[(*n)++] = by_result[id];
  }
  limn_free(counts);
  limn_row_deinit(&row);
  if (status == LIMN_OK) qsort(by_result, *n, sizeof *by_result, by_rank);
  *out = status == LIMN_OK ? by_result : NULL;
  if (status != LIMN_OK) limn_free(by_result);
  return status;
}

static limn_status add_symbols(limn_tokenizer *t, const char *where, const limn_merge *merges,
                               size_t n, limn_error *err) {
  limn_symbols *s = &t->symbols;
  limn_status status =
      limn_symbols_start(s, where, 256 + n, (size_t)t->vocab_size, t->byte_ids, err);
  if (status != LIMN_OK) return status;
  for (size_t i = 0; i < n; i++)
    s->of_ids[merges[i].result] = (uint32_t)(256 + i);
  for (int byte = 0; byte < 256; byte++)
    s->of_ids[t->byte_ids[byte]] = (uint32_t)byte;
  for (size_t i = 0; i < n; i++)
    limn_symbols_add(s, s->of_ids[merges[i].left], s->of_ids[merges[i].right], merges[i].result,
                     text_size(t, merges[i].result));
  return limn_symbols_finish(s, where, NULL, 0, err);
}

limn_status limn_tokenizer_finish(limn_tokenizer *t, const char *where, limn_error *err) {
  limn_merge *merges;
  size_t n;
  if (t->symbols.n > 0 || !t->merges) return LIMN_OK; /* merged already, or by characters */
  limn_status status = collect_merges(t, &merges, &n, err);
  if (status != LIMN_OK) return status;
  status = add_symbols(t, where, merges, n, err);
  limn_free(merges);
  limn_free(t->merges);
  t->merges = NULL;
  return status;
}

/* ---- bytes that can be seen
 * ----------------------------------------------------------------------------- */

/*
 * GPT-2's files write each byte as a character: the printable ones of Latin-1 as themselves, the 68
 * others, in order, as U+0100 and up.
 */
static bool is_printable(unsigned byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint32_t limn_byte_to_printable(unsigned char byte) {
  if (is_printable(byte)) return byte;
  uint32_t place = 0;
  for (unsigned b = 0; b < byte; b++)
    place += !is_printable(b);
  return 256 + place;
}

int limn_printable_to_byte(uint32_t code) {
  if (code < 256) return is_printable(code) ? (int)code : -1;
  if (code >= 256 + 68) return -1;
  if (code < 256 + 33) return (int)code - 256;      /* 0 to 32 */
  if (code < 256 + 67) return (int)code - 256 + 94; /* 127 to 160 */
  return 173;
}

bool limn_printable_to_bytes(const char *text, size_t n, limn_bytes *out) {
  for (size_t at = 0; at < n;) {
    int32_t code;
    at += limn_utf8_decode((const unsigned char *)text + at, n - at, &code);
    int byte = code < 0 ? -1 : limn_printable_to_byte((uint32_t)code);
    char c = (char)byte;
    if (byte < 0 || !limn_bytes_append(out, &c, 1)) return false;
  }
  return true;
}
