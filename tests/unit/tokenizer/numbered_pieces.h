/*
 * numbered_pieces.h - pieces for a cache, by number: different keys, and ids that say whose they
 * are.
 */
#ifndef LIMN_TESTS_NUMBERED_PIECES_H
#define LIMN_TESTS_NUMBERED_PIECES_H

#include "check.h"

#include "tokenizer/cache.h"

/* Number i as a piece of 1 to 15 bytes, different for each i. */
static inline void short_key(uint32_t i, uint64_t key[2]) {
  unsigned length = 4 + i % 12;
  unsigned char bytes[16] = {0};
  for (unsigned k = 0; k < length; k++)
    bytes[k] = (unsigned char)(k < 4 ? i >> 8 * k : 1 + (i * 31 + k) % 255);
  bytes[15] = (unsigned char)length;
  memcpy(key, bytes, sizeof bytes);
}

/* Its ids: 1 to 15, which say whose they are. */
static inline size_t ids_of(uint32_t i, int32_t ids[16]) {
  size_t n = 1 + i % 15;
  for (size_t k = 0; k < n; k++)
    ids[k] = (int32_t)((i * 16 + k) & ((1u << LIMN_ID_BITS) - 1));
  return n;
}

static inline bool is_answer(const limn_cache *c, limn_answer a, uint32_t i) {
  int32_t expected[16];
  size_t n = ids_of(i, expected);
  if (limn_answer_stored(a) != (n > 2 ? n : 0)) return false;
  if (n > 2) return memcmp(limn_cache_stored(c, a), expected, n * sizeof *expected) == 0;
  return a.first == (uint32_t)expected[0] &&
         a.second == (n == 2 ? (uint32_t)expected[1] : UINT32_MAX);
}

static inline limn_answer keep(limn_cache *c, uint32_t i) {
  uint64_t key[2];
  int32_t ids[16];
  size_t n = ids_of(i, ids);
  short_key(i, key);
  return limn_cache_keep(c, c->hash(key[0], key[1]), key, ids, n);
}

static inline limn_answer find(const limn_cache *c, uint32_t i) {
  uint64_t key[2];
  short_key(i, key);
  return limn_cache_find(c, c->hash(key[0], key[1]), key);
}

#endif
