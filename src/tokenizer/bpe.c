/*
 * bpe.c - merging the bytes of a piece, pair by pair (Sennrich, Haddow, Birch 2016, "Neural Machine
 * Translation of Rare Words with Subword Units", section 3.2; on bytes since GPT-2).
 *
 * Of all neighbouring pairs that training merged, the one that training merged first is merged
 * first; among equals the leftmost. A heap holds the candidates by (rank, place), a doubly linked
 * list the symbols, so that a piece of n bytes takes n log n steps. A merge makes candidates stale
 * rather than looking for them: one that no longer names two neighbours is dropped when its turn
 * comes. Short pieces, nearly all there are, go without a heap: looking through a handful of ranks
 * is quicker than keeping them in order.
 */
#include "tokenizer/tokenizer.h"

#include <limits.h>
#include <string.h>

/* Pieces of up to this many bytes are searched from end to end for each merge. */
#define SHORT_PIECE 32

struct limn_bpe_candidate {
  int32_t rank;
  int32_t place; /* of the left symbol */
  int32_t left, right;
  int32_t result;
};

limn_status limn_tokens_push(limn_tokens *tokens, int32_t id, size_t offset, limn_error *err) {
  if (tokens->n + 1 >= tokens->capacity) {
    size_t capacity = tokens->capacity ? 2 * tokens->capacity : 64;
    int32_t *ids = limn_resize(tokens->ids, capacity, sizeof *ids);
    if (ids) tokens->ids = ids;
    size_t *offsets = limn_resize(tokens->offsets, capacity, sizeof *offsets);
    if (offsets) tokens->offsets = offsets;
    if (!ids || !offsets) return limn_out_of_memory(err, "the tokens of a text");
    tokens->capacity = capacity;
  }
  tokens->ids[tokens->n] = id;
  tokens->offsets[tokens->n] = offset;
  tokens->n++;
  return LIMN_OK;
}

/* ---- short pieces ------------------------------------------------------------------------------
 */

/* Merges n symbols in place; starts[i] is where symbol i begins. Returns how many are left. */
static size_t merge_short(const limn_tokenizer *t, int32_t *ids, uint8_t *starts, size_t n) {
  const limn_merge *pairs[SHORT_PIECE];
  for (size_t i = 0; i + 1 < n; i++)
    pairs[i] = limn_tokenizer_find_merge(t, ids[i], ids[i + 1]);
  for (;;) {
    size_t best = n;
    int32_t least = INT32_MAX;
    for (size_t i = 0; i + 1 < n; i++) {
      if (!pairs[i] || pairs[i]->rank >= least) continue;
      least = pairs[i]->rank;
      best = i;
    }
    if (best == n) return n;
    ids[best] = pairs[best]->result;
    n--;
    memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
    memmove(starts + best + 1, starts + best + 2, n - best - 1);
    memmove(pairs + best, pairs + best + 1, (n - best) * sizeof *pairs);
    if (best > 0) pairs[best - 1] = limn_tokenizer_find_merge(t, ids[best - 1], ids[best]);
    if (best + 1 < n) pairs[best] = limn_tokenizer_find_merge(t, ids[best], ids[best + 1]);
  }
}

static limn_status encode_short(const limn_tokenizer *t, const unsigned char *piece, size_t n,
                                size_t offset, limn_tokens *out, limn_error *err) {
  int32_t ids[SHORT_PIECE];
  uint8_t starts[SHORT_PIECE];
  for (size_t i = 0; i < n && i < SHORT_PIECE; i++) {
    ids[i] = t->byte_ids[piece[i]];
    starts[i] = (uint8_t)i;
  }
  n = merge_short(t, ids, starts, n);
  for (size_t i = 0; i < n; i++) {
    limn_status status = limn_tokens_push(out, ids[i], offset + starts[i], err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

/* ---- long pieces
 * --------------------------------------------------------------------------------- */

static bool comes_before(const struct limn_bpe_candidate *a, const struct limn_bpe_candidate *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->place < b->place;
}

static void push_candidate(limn_bpe *b, struct limn_bpe_candidate candidate) {
  size_t i = b->n_heap++;
  while (i > 0 && comes_before(&candidate, &b->heap[(i - 1) / 2])) {
    b->heap[i] = b->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  b->heap[i] = candidate;
}

static struct limn_bpe_candidate pop_candidate(limn_bpe *b) {
  struct limn_bpe_candidate first = b->heap[0], last = b->heap[--b->n_heap];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= b->n_heap) break;
    if (child + 1 < b->n_heap && comes_before(&b->heap[child + 1], &b->heap[child])) child++;
    if (!comes_before(&b->heap[child], &last)) break;
    b->heap[i] = b->heap[child];
    i = child;
  }
  b->heap[i] = last;
  return first;
}

/* Room for a piece of n bytes. A merge puts in at most one candidate more than it takes out. */
static limn_status reserve(limn_bpe *b, size_t n, limn_error *err) {
  if (n <= b->capacity) return LIMN_OK;
  if (n > INT32_MAX / 2) return limn_out_of_memory(err, "a piece of over a thousand million bytes");
  limn_bpe_deinit(b);
  b->ids = limn_alloc_zeroed(n, sizeof *b->ids);
  b->prev = limn_alloc_zeroed(n, sizeof *b->prev);
  b->next = limn_alloc_zeroed(n, sizeof *b->next);
  b->heap = limn_alloc_zeroed(n, 2 * sizeof *b->heap);
  if (!b->ids || !b->prev || !b->next || !b->heap) {
    limn_bpe_deinit(b);
    return limn_out_of_memory(err, "a long piece of text");
  }
  b->capacity = n;
  return LIMN_OK;
}

void limn_bpe_deinit(limn_bpe *b) {
  limn_free(b->ids);
  limn_free(b->prev);
  limn_free(b->next);
  limn_free(b->heap);
  *b = (limn_bpe){0};
}

static void consider(limn_bpe *b, const limn_tokenizer *t, int32_t place) {
  int32_t left = b->ids[place], right = b->ids[b->next[place]];
  const limn_merge *merge = limn_tokenizer_find_merge(t, left, right);
  if (merge)
    push_candidate(b, (struct limn_bpe_candidate){merge->rank, place, left, right, merge->result});
}

static void merge_long(limn_bpe *b, const limn_tokenizer *t, int32_t n) {
  b->n_heap = 0;
  for (int32_t i = 0; i + 1 < n; i++)
    consider(b, t, i);
  while (b->n_heap > 0) {
    struct limn_bpe_candidate c = pop_candidate(b);
    int32_t right = b->next[c.place];
    if (b->ids[c.place] != c.left || right < 0 || b->ids[right] != c.right) continue;
    b->ids[c.place] = c.result;
    b->ids[right] = -1; /* no longer a symbol */
    b->next[c.place] = b->next[right];
    if (b->next[c.place] >= 0) {
      b->prev[b->next[c.place]] = c.place;
      consider(b, t, c.place);
    }
    if (b->prev[c.place] >= 0) consider(b, t, b->prev[c.place]);
  }
}

static limn_status encode_long(limn_bpe *b, const limn_tokenizer *t, const unsigned char *piece,
                               size_t n, size_t offset, limn_tokens *out, limn_error *err) {
  limn_status status = reserve(b, n, err);
  if (status != LIMN_OK) return status;
  for (size_t i = 0; i < n; i++) {
    b->ids[i] = t->byte_ids[piece[i]];
    b->prev[i] = (int32_t)i - 1;
    b->next[i] = i + 1 < n ? (int32_t)i + 1 : -1;
  }
  merge_long(b, t, (int32_t)n);
  for (int32_t i = 0; i >= 0; i = b->next[i]) {
    status = limn_tokens_push(out, b->ids[i], offset + (size_t)i, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

limn_status limn_bpe_encode(limn_bpe *b, const limn_tokenizer *t, const unsigned char *piece,
                            size_t n, size_t offset, limn_tokens *out, limn_error *err) {
  if (n <= SHORT_PIECE) return encode_short(t, piece, n, offset, out, err);
  return encode_long(b, t, piece, n, offset, out, err);
}
