/*
 * symbols.c - the table of merges that encoding works on, and which neighbours stay apart.
 *
 * The table answers every question, also one whose answer is no, with one pair that it looks at.
 * (Belazzougui, Botelho, Dietzfelbinger 2009, "Hash, Displace, and Compress".) The upper bits of a
 * pair's hash choose a bucket of about four pairs; the bucket has a number by which the other
 * bits are multiplied, and the product's upper bits are the pair's place. When the table is made,
 * the largest buckets first, each bucket takes the first number under which all its places are
 * free.
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

limn_status limn_symbols_start(limn_symbols *s, const char *where, size_t n, size_t vocab_size,
                               const int32_t byte_ids[256], limn_error *err) {
  if (n >= LIMN_MOST_SYMBOLS)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: has %zu merges, expected fewer than %lu", where, n - 256,
                          (unsigned long)LIMN_MOST_SYMBOLS - 256);
  s->ids = limn_resize(NULL, n, sizeof *s->ids);
  s->of_ids = limn_resize(NULL, vocab_size + 1, sizeof *s->of_ids);
  s->lefts = limn_resize(NULL, n, sizeof *s->lefts);
  s->rights = limn_resize(NULL, n, sizeof *s->rights);
  s->lengths = limn_resize(NULL, n, sizeof *s->lengths);
  s->of_bytes = limn_resize(NULL, 256 * 256, sizeof *s->of_bytes);
  if (!s->ids || !s->of_bytes || !s->of_ids || !s->lefts || !s->rights || !s->lengths)
    return limn_out_of_memory(err, "a table of merges");
  memset(s->of_ids, -1, (vocab_size + 1) * sizeof *s->of_ids);
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
  limn_free(s->displacements);
  limn_free(s->lefts);
  limn_free(s->rights);
  limn_free(s->lengths);
  limn_free_aligned(s->pairs);
  *s = (limn_symbols){0};
}

void limn_symbols_add(limn_symbols *s, uint32_t left, uint32_t right, int32_t id, size_t length) {
  uint32_t symbol = s->n++;
  s->ids[symbol] = id;
  s->lefts[symbol] = left;
  s->rights[symbol] = right;
  s->lengths[symbol] = (uint16_t)(length < UINT16_MAX ? length : UINT16_MAX);
  if (left >= LIMN_MOST_SYMBOLS || right >= LIMN_MOST_SYMBOLS) return;
  s->is_ordered = s->is_ordered && left < symbol && right < symbol;
  if (left < 256 && right < 256) s->of_bytes[left << 8 | right] = symbol;
}

/* ---- the table ----------------------------------------------------------------------------------
 */

/* What is needed while it is made: the pairs, bucket by bucket. */
typedef struct buckets {
  size_t n;         /* buckets */
  uint32_t *starts; /* (n + 1) */
  uint32_t *pairs;  /* symbols, by bucket */
  uint32_t *order;  /* (n) the largest bucket first */
  uint64_t *taken;  /* a bit for each place */
} buckets;

/* More pairs than this in one bucket: another factor is better. */
#define MOST_IN_BUCKET 64

static void buckets_deinit(buckets *b) {
  limn_free(b->starts);
  limn_free(b->pairs);
  limn_free(b->order);
  limn_free(b->taken);
}

static bool is_pair(const limn_symbols *s, uint32_t symbol) {
  return s->lefts[symbol] < LIMN_MOST_SYMBOLS && s->rights[symbol] < LIMN_MOST_SYMBOLS;
}

static uint64_t hash_of(const limn_symbols *s, uint32_t symbol) {
  return limn_symbols_key(s->lefts[symbol], s->rights[symbol]) * s->factor;
}

/* Sorts the pairs by bucket, and the buckets by size. False where one has too many. */
static bool sort_pairs(const limn_symbols *s, buckets *b) {
  uint32_t of_size[MOST_IN_BUCKET + 2] = {0};
  memset(b->starts, 0, (b->n + 1) * sizeof *b->starts);
  for (uint32_t i = 256; i < s->n; i++) {
    if (is_pair(s, i)) b->starts[hash_of(s, i) >> s->bucket_shift]++;
  }
  uint32_t end = 0;
  for (size_t i = 0; i < b->n; i++) {
    if (b->starts[i] > MOST_IN_BUCKET) return false;
    of_size[MOST_IN_BUCKET - b->starts[i] + 1]++;
    end += b->starts[i];
    b->starts[i] = end;
  }
  b->starts[b->n] = end;
  for (uint32_t i = s->n; i-- > 256;) {
    if (is_pair(s, i)) b->pairs[--b->starts[hash_of(s, i) >> s->bucket_shift]] = i;
  }
  for (size_t i = 1; i <= MOST_IN_BUCKET; i++)
    of_size[i] += of_size[i - 1];
  for (size_t i = 0; i < b->n; i++)
    b->order[of_size[MOST_IN_BUCKET - (b->starts[i + 1] - b->starts[i])]++] = (uint32_t)i;
  return true;
}

/* Whether the places of n pairs are free; nothing branches on a single one. */
static bool are_free(const limn_symbols *s, const buckets *b, const uint64_t *hashes, size_t n,
                     uint32_t displacement) {
  uint64_t taken = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t place = limn_symbols_place(hashes[i], displacement, s->pair_shift);
    taken |= b->taken[place >> 6] >> (place & 63);
  }
  return !(taken & 1);
}

/* Takes the free places of n pairs; false, and nothing is taken, where two of them meet. */
static bool take_places(const limn_symbols *s, buckets *b, const uint64_t *hashes, size_t n,
                        uint32_t displacement) {
  for (size_t i = 0; i < n; i++) {
    uint32_t place = limn_symbols_place(hashes[i], displacement, s->pair_shift);
    uint64_t bit = (uint64_t)1 << (place & 63);
    bool is_taken = b->taken[place >> 6] & bit;
    b->taken[place >> 6] |= bit;
    if (!is_taken) continue;
    while (i-- > 0) {
      place = limn_symbols_place(hashes[i], displacement, s->pair_shift);
      b->taken[place >> 6] &= ~((uint64_t)1 << (place & 63));
    }
    return false;
  }
  return true;
}

/* Finds the bucket's displacement and enters its pairs. */
static bool place_bucket(limn_symbols *s, buckets *b, uint32_t bucket) {
  const uint32_t *pairs = b->pairs + b->starts[bucket];
  size_t n = b->starts[bucket + 1] - b->starts[bucket];
  uint64_t hashes[MOST_IN_BUCKET];
  for (size_t i = 0; i < n; i++)
    hashes[i] = hash_of(s, pairs[i]);
  uint32_t displacement = 1;
  while (!are_free(s, b, hashes, n, displacement) || !take_places(s, b, hashes, n, displacement)) {
    if (++displacement > UINT16_MAX) return false;
  }
  s->displacements[bucket] = (uint16_t)displacement;
  for (size_t i = 0; i < n; i++)
    s->pairs[limn_symbols_place(hashes[i], displacement, s->pair_shift)] =
        limn_symbols_key(s->lefts[pairs[i]], s->rights[pairs[i]]) << 22 | pairs[i];
  return true;
}

static bool place_all(limn_symbols *s, buckets *b) {
  size_t n_places = (size_t)1 << (32 - s->pair_shift);
  if (!sort_pairs(s, b)) return false;
  memset(s->pairs, -1, n_places * sizeof *s->pairs);
  memset(b->taken, 0, n_places / 8);
  for (size_t i = 0; i < b->n; i++) {
    if (!place_bucket(s, b, b->order[i])) return false;
  }
  return true;
}

/* Enters all pairs by displacements that are known; false where two of them meet. */
static bool place_known(limn_symbols *s, const unsigned char *known, size_t n) {
  size_t n_places = (size_t)1 << (32 - s->pair_shift), n_wrong = 0;
  if (n != (size_t)1 << (64 - s->bucket_shift)) return false;
  for (size_t i = 0; i < n; i++)
    s->displacements[i] = (uint16_t)(known[2 * i] | known[2 * i + 1] << 8);
  memset(s->pairs, -1, n_places * sizeof *s->pairs);
  for (uint32_t i = 256; i < s->n; i++) {
    if (!is_pair(s, i)) continue;
    uint64_t hash = hash_of(s, i);
    uint32_t displacement = s->displacements[hash >> s->bucket_shift];
    uint64_t *place = &s->pairs[limn_symbols_place(hash, displacement, s->pair_shift)];
    n_wrong += *place != UINT64_MAX;
    *place = limn_symbols_key(s->lefts[i], s->rights[i]) << 22 | i;
  }
  return n_wrong == 0;
}

static int bits_for(size_t n) {
  int bits = 6;
  while ((size_t)1 << bits < n)
    bits++;
  return bits;
}

/* A different number for different tables: no file can be made to have its pairs meet. */
static uint64_t factor_of(const limn_symbols *s, uint64_t attempt) {
  uint64_t h = attempt;
  for (uint32_t i = 256; i < s->n; i++) {
    h = (h ^ limn_symbols_key(s->lefts[i], s->rights[i])) * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
  }
  return h * 0xd6e8feb86659fd93u | 1;
}

#define MOST_ATTEMPTS 32

/* Finds displacements for all buckets, and enters all pairs. */
static limn_status place_anew(limn_symbols *s, const char *where, limn_error *err) {
  size_t n = s->n - 256, n_places = (size_t)1 << (32 - s->pair_shift);
  buckets b = {.n = (size_t)1 << (64 - s->bucket_shift)};
  b.starts = limn_resize(NULL, b.n + 1, sizeof *b.starts);
  b.pairs = limn_resize(NULL, n + 1, sizeof *b.pairs);
  b.order = limn_resize(NULL, b.n, sizeof *b.order);
  b.taken = limn_resize(NULL, n_places / 64, sizeof *b.taken);
  limn_status status = LIMN_OK;
  if (!b.starts || !b.pairs || !b.order || !b.taken)
    status = limn_out_of_memory(err, "a table of merges");
  bool is_done = status != LIMN_OK;
  for (uint64_t attempt = 0; !is_done && attempt < MOST_ATTEMPTS; attempt++) {
    s->factor = factor_of(s, attempt);
    is_done = place_all(s, &b);
  }
  if (!is_done)
    status = limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                            "%s: no table holds its %zu merges", where, n);
  buckets_deinit(&b);
  return status;
}

limn_status limn_symbols_finish(limn_symbols *s, const char *where, const unsigned char *known,
                                size_t n_known, limn_error *err) {
  size_t n = s->n - 256;
  int pair_bits = bits_for(n + n / 4), bucket_bits = bits_for(n / 4);
  for (s->same_from = s->n; s->same_from > 0; s->same_from--) {
    if (s->ids[s->same_from - 1] != (int32_t)s->same_from - 1) break;
  }
  s->pair_shift = 32 - pair_bits;
  s->bucket_shift = 64 - bucket_bits;
  s->pairs = limn_alloc_aligned((size_t)1 << pair_bits, sizeof *s->pairs);
  s->displacements = limn_resize(NULL, (size_t)1 << bucket_bits, sizeof *s->displacements);
  if (!s->pairs || !s->displacements) return limn_out_of_memory(err, "a table of merges");
  s->factor = factor_of(s, 0);
  if (known && place_known(s, known, n_known)) return LIMN_OK;
  return place_anew(s, where, err);
}

/* ---- neighbours ---------------------------------------------------------------------------------
 */

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
