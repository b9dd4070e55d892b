/*
 * merge_group.h - inside the library: merging some short pieces at once, step by step in turn.
 *
 * What a merge makes must be looked up before the next one of its piece is known, and memory takes
 * its time. Here every round does one merge of each piece that is not done: the questions of
 * different pieces do not wait for each other. A round first finds each piece's least key, which
 * says whether it is done, and keeps those that are not; nothing branches on it.
 */
#ifndef LIMN_SRC_TOKENIZER_MERGE_GROUP_H
#define LIMN_SRC_TOKENIZER_MERGE_GROUP_H

#include "tokenizer/encoder.h"

#define GROUP_DEAD  UINT32_MAX
#define GROUP_PLACE 6

/*
 * Places are counted from 1, as in merge.h: before the first and behind the last of a piece's
 * symbols stands an edge. A key has what a place's symbol and the next make in its upper bits, the
 * place in its lower.
 */
typedef struct group {
  _Alignas(64) uint32_t keys[LIMN_GROUP][16];
  uint32_t symbols[LIMN_GROUP][LIMN_SHORT_PIECE + 3];
  uint32_t alive[LIMN_GROUP];
} group;

static inline void group_start(group *g, size_t p, const limn_symbols *s, const uint64_t key[2]) {
  unsigned char bytes[16];
  memcpy(bytes, key, sizeof bytes);
  uint32_t n = bytes[15], found[16] = {0};
  g->symbols[p][0] = LIMN_EDGE;
  for (uint32_t i = 0; i < LIMN_SHORT_PIECE; i++)
    g->symbols[p][i + 1] = bytes[i];
  g->symbols[p][n + 1] = LIMN_EDGE;
  for (uint32_t i = 1; i < LIMN_SHORT_PIECE; i++)
    found[i] = limn_symbols_of_bytes(s, bytes + i - 1);
  for (uint32_t i = 0; i < 16; i++)
    g->keys[p][i] = i - 1 < n - 1 ? found[i] << GROUP_PLACE | i : GROUP_DEAD;
  g->alive[p] = ((uint32_t)1 << (n + 2)) - 1;
}

#ifndef LIMN_LOOP_LEAST
static inline uint32_t least_of_16(const uint32_t *keys) {
  uint32_t least = keys[0];
  for (size_t i = 1; i < 16; i++)
    least = keys[i] < least ? keys[i] : least;
  return least;
}
#endif

/* Does the merge with this key. */
static inline void group_merge(group *g, size_t p, const limn_symbols *s, uint32_t least) {
  uint32_t *symbols = g->symbols[p], *keys = g->keys[p], alive = g->alive[p];
  uint32_t i = least & ((1 << GROUP_PLACE) - 1), symbol = least >> GROUP_PLACE;
  uint32_t behind = alive & (UINT32_MAX - 1) << i, before = alive & (((uint32_t)1 << i) - 1);
  uint32_t right = (uint32_t)__builtin_ctz(behind), left = 31 - (uint32_t)__builtin_clz(before);
  uint32_t next = symbols[__builtin_ctz(behind & (behind - 1))];
  symbols[i] = symbol;
  g->alive[p] = alive ^ (behind & (0 - behind));
  keys[right] = GROUP_DEAD;
  keys[i] = limn_symbols_find(s, symbol, next) << GROUP_PLACE | i;
  keys[left] = limn_symbols_find(s, symbols[left], symbol) << GROUP_PLACE | left;
}

static void merge_group(const limn_symbols *s, const uint64_t (*keys)[2], size_t n,
                        uint32_t (*out)[LIMN_SHORT_PIECE], size_t *n_out) {
  group g;
  uint32_t active[LIMN_GROUP], least[LIMN_GROUP];
  for (size_t p = 0; p < n; p++) {
    group_start(&g, p, s, keys[p]);
    active[p] = (uint32_t)p;
  }
  for (size_t n_active = n; n_active > 0;) {
    size_t n_left = 0;
    for (size_t a = 0; a < n_active; a++) {
      uint32_t p = active[a], here = least_of_16(g.keys[p]);
      active[n_left] = p;
      least[n_left] = here;
      n_left += here < LIMN_NO_SYMBOL << GROUP_PLACE;
    }
    n_active = n_left;
    for (size_t a = 0; a < n_active; a++)
      group_merge(&g, active[a], s, least[a]);
  }
  for (size_t p = 0; p < n; p++) {
    uint32_t last = (uint32_t)(keys[p][1] >> 56) + 1, alive = g.alive[p] & ~(1u | 1u << last);
    n_out[p] = 0;
    for (; alive; alive &= alive - 1)
      out[p][n_out[p]++] = g.symbols[p][__builtin_ctz(alive)];
  }
}

#endif
