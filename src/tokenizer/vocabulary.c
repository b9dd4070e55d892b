/*
 * vocabulary.c - the tokens, and the two tables that find them: from bytes to an id, and from a
 * pair of ids to what they merge to.
 *
 * Both are hash tables with open addressing, at most half full, built once and then only read.
 */
#include "tokenizer/tokenizer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- hashing
 * -------------------------------------------------------------------------------------- */

static size_t hash_bytes(const char *bytes, size_t n) {
  uint64_t h = 0xcbf29ce484222325u; /* FNV-1a (Fowler, Noll, Vo) */
  for (size_t i = 0; i < n; i++)
    h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
  return (size_t)(h ^ h >> 32);
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

static limn_status index_bytes(limn_tokenizer *t, const char *where, limn_error *err) {
  size_t size = table_size((size_t)t->vocab_size);
  t->by_bytes = size ? limn_resize(NULL, size, sizeof *t->by_bytes) : NULL;
  if (!t->by_bytes) return limn_out_of_memory(err, "a vocabulary");
  memset(t->by_bytes, -1, size * sizeof *t->by_bytes);
  t->by_bytes_mask = size - 1;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t n;
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    if (!bytes) continue;
    size_t place = find_place(t, bytes, n);
    if (t->by_bytes[place] >= 0)
      return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: tokens %d and %d are the same bytes", where,
                            (int)t->by_bytes[place], (int)id);
    t->by_bytes[place] = id;
  }
  return LIMN_OK;
}

static limn_status index_single_bytes(limn_tokenizer *t, const char *where, limn_error *err) {
  for (int byte = 0; byte < 256; byte++) {
    char c = (char)byte;
    t->byte_ids[byte] = limn_tokenizer_id(t, &c, 1);
    if (t->byte_ids[byte] < 0)
      return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                            "%s: no token for the byte %d, a byte-level vocabulary has all 256",
                            where, byte);
  }
  return LIMN_OK;
}

static size_t text_size(const limn_tokenizer *t, int32_t id) {
  return t->starts[id + 1] - t->starts[id];
}

/* Longest first, so that the first that matches is the one that counts. */
static limn_status index_specials(limn_tokenizer *t, limn_error *err) {
  for (int32_t id = 0; id < t->vocab_size; id++)
    t->n_specials += t->kinds[id] == LIMN_TOKEN_SPECIAL;
  t->specials = limn_alloc_zeroed(t->n_specials, sizeof *t->specials);
  if (!t->specials) return limn_out_of_memory(err, "a vocabulary");
  size_t n = 0;
  for (int32_t id = 0; id < t->vocab_size; id++) {
    if (t->kinds[id] != LIMN_TOKEN_SPECIAL) continue;
    size_t i = n++;
    for (; i > 0 && text_size(t, t->specials[i - 1]) < text_size(t, id); i--)
      t->specials[i] = t->specials[i - 1];
    t->specials[i] = id;
    t->special_starts[(unsigned char)t->bytes.data[t->starts[id]]] = true;
  }
  return LIMN_OK;
}

limn_status limn_tokenizer_index(limn_tokenizer *t, const char *where, limn_error *err) {
  static const char *const ends[] = {"<|endoftext|>", "</s>", "<|end_of_text|>"};
  limn_status status = index_bytes(t, where, err);
  if (status == LIMN_OK) status = index_single_bytes(t, where, err);
  if (status == LIMN_OK) status = index_specials(t, err);
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

const limn_merge *limn_tokenizer_find_merge(const limn_tokenizer *t, int32_t left, int32_t right) {
  const limn_merge *m = merge_place(t, left, right);
  return m->result >= 0 ? m : NULL;
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
