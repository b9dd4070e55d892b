/*
 * symbols.c - the table of merges that encoding works on, and which neighbours stay apart.
 *
 * The table has groups of four pairs, a group in half a cache line: nearly every question, also
 * one whose answer is no, is answered by one group. A group is filled from its front, and what does
 * not fit goes into the next.
 *
 * That two symbols stay apart is decided by playing the merges of their bytes backwards. Just
 * before the last merge inside the pair, one of them was still two halves; only the half at the
 * border matters, so at each step the later of the two border symbols is taken apart. If two border
 * symbols that stood there at the same time have a merge that comes before what happened to either
 * of them next, then that merge would have been done, and the border crossed.
 */
#include "tokenizer/symbols.h"

#include "base/memory.h"

#include <string.h>

/* Bits for n pairs, of which at most one in eight is set. */
static size_t filter_size(size_t n) {
  size_t size = 64;
  while (size < 8 * n)
    size *= 2;
  return size;
}

limn_status limn_symbols_start(limn_symbols *s, const char *where, size_t n, size_t vocab_size,
                               const int32_t byte_ids[256], limn_error *err) {
  if (n >= LIMN_MOST_SYMBOLS)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: has %zu merges, expected fewer than %lu", where, n - 256,
                          (unsigned long)LIMN_MOST_SYMBOLS - 256);
  size_t n_groups = 64;
  while (2 * n_groups < n)
    n_groups *= 2;
  s->ids = limn_resize(NULL, n, sizeof *s->ids);
  s->of_ids = limn_resize(NULL, vocab_size + 1, sizeof *s->of_ids);
  s->lefts = limn_resize(NULL, n, sizeof *s->lefts);
  s->rights = limn_resize(NULL, n, sizeof *s->rights);
  s->lengths = limn_resize(NULL, n, sizeof *s->lengths);
  s->pairs = limn_alloc_aligned(4 * n_groups + 4, sizeof *s->pairs);
  s->filter_mask = filter_size(n) - 1;
  s->filter = limn_alloc_zeroed((s->filter_mask + 1) / 64, sizeof *s->filter);
  s->of_bytes = limn_resize(NULL, 256 * 256, sizeof *s->of_bytes);
  if (!s->ids || !s->filter || !s->of_bytes || !s->of_ids || !s->lefts || !s->rights ||
      !s->lengths || !s->pairs)
    return limn_out_of_memory(err, "a table of merges");
  memset(s->of_ids, -1, (vocab_size + 1) * sizeof *s->of_ids);
  memset(s->pairs, -1, (4 * n_groups + 4) * sizeof *s->pairs);
  s->group_mask = n_groups - 1;
  for (size_t i = 0; i < 256 * 256; i++)
    s->of_bytes[i] = LIMN_NO_SYMBOL;
  s->is_ordered = true;
  for (s->n = 0; s->n < 256; s->n++) {
    s->ids[s->n] = byte_ids[s->n];
    s->lefts[s->n] = s->rights[s->n] = LIMN_NO_SYMBOL;
    s->lengths[s->n] = 1;
  }
  return LIMN_OK;
}

void limn_symbols_deinit(limn_symbols *s) {
  limn_free(s->ids);
  limn_free(s->of_ids);
  limn_free(s->of_bytes);
  limn_free(s->filter);
  limn_free(s->lefts);
  limn_free(s->rights);
  limn_free(s->lengths);
  limn_free_aligned(s->pairs);
  *s = (limn_symbols){0};
}

void limn_symbols_add(limn_symbols *s, uint32_t left, uint32_t right, int32_t id, size_t length) {
  uint32_t symbol = s->n++;
  uint64_t key = (uint64_t)left << 43 | (uint64_t)right << 22;
  s->ids[symbol] = id;
  s->lefts[symbol] = left;
  s->rights[symbol] = right;
  s->lengths[symbol] = (uint16_t)(length < UINT16_MAX ? length : UINT16_MAX);
  if (left >= LIMN_MOST_SYMBOLS || right >= LIMN_MOST_SYMBOLS) return;
  s->is_ordered = s->is_ordered && left < symbol && right < symbol;
  size_t i = 4 * (limn_symbols_hash(key) & s->group_mask);
  while (s->pairs[i] != UINT64_MAX)
    i = (i + 1) & (4 * s->group_mask + 3);
  s->pairs[i] = key | symbol;
  size_t bit = limn_symbols_bit(key) & s->filter_mask;
  s->filter[bit >> 6] |= (uint64_t)1 << (bit & 63);
  if (left < 256 && right < 256) s->of_bytes[left << 8 | right] = symbol;
}

uint32_t limn_symbols_find_on(const limn_symbols *s, uint64_t key, size_t group) {
  for (;;) {
    group = (group + 1) & s->group_mask;
    const uint64_t *pairs = s->pairs + 4 * group;
    for (int i = 0; i < 4; i++) {
      if ((pairs[i] ^ key) < LIMN_NO_SYMBOL) return (uint32_t)(pairs[i] ^ key);
    }
    if (pairs[3] == UINT64_MAX) return LIMN_NO_SYMBOL;
  }
}

/* A byte was there before all merges. */
static int64_t time_of(uint32_t symbol) {
  return symbol < 256 ? -1 : (int64_t)symbol;
}

bool limn_symbols_stay(const limn_symbols *s, uint32_t left, uint32_t right) {
  /* When each of the two was merged into something larger: in the end, never. */
  uint32_t left_until = LIMN_NO_SYMBOL, right_until = LIMN_NO_SYMBOL;
  for (;;) {
    uint32_t both = limn_symbols_find(s, left, right);
    /* Of equal merges the leftmost is first: the one across comes after the left one's own. */
    if (both < left_until && both <= right_until && both != LIMN_NO_SYMBOL) return false;
    if (time_of(left) > time_of(right)) {
      left_until = left;
      left = s->rights[left];
    } else if (right >= 256) {
      right_until = right;
      right = s->lefts[right];
    } else {
      return true;
    }
  }
}
