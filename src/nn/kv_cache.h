/*
 * kv_cache.h - inside the library: keys and values of the positions that came before, and
 * attention's two products with them.
 */
#ifndef LIMN_SRC_NN_KV_CACHE_H
#define LIMN_SRC_NN_KV_CACHE_H

#include "kernels/kernels.h"

/*
 * One layer of one sequence. Keys lie in panels of LIMN_PANEL positions, so that scores are a
 * product like any other: (d_model, 64) each. Values are rows, (n_ctx, d_model).
 *
 * Keys may be words instead, 64 numbers of a head with a scale for each position: for each head and
 * 64 of its numbers 64 scales and (32, 64, 2) words; queries are rounded likewise. Values may be
 * bfloat16 and lie as weights of that format do, by head and 64 of its numbers, (n_ctx / 2, 64, 2);
 * the pattern is rounded likewise. What is not whole is filled up.
 *
 * (Why not both in bfloat16: words are as fast and far more exact, and scores become exponents.)
 */
typedef struct limn_kv_cache {
  const limn_kernels *kernels;
  int64_t n_ctx, n_head, d_head;
  bool has_word_keys, has_half_values;
  unsigned char *keys, *values;
} limn_kv_cache;

/* Bytes of keys and of values, multiples of 64 but for float32 values. */
size_t limn_kv_cache_keys_size(const limn_kv_cache *c);
size_t limn_kv_cache_values_size(const limn_kv_cache *c);

/* Puts keys and values (n, d_model) at positions [first, first + n). Calls for different panels of
   positions may run at once. */
void limn_kv_cache_store(const limn_kv_cache *c, int64_t first, int64_t n, const float *keys,
                         const float *values, int64_t step);
/* Positions [0, n), which both have room for. */
void limn_kv_cache_copy(const limn_kv_cache *to, const limn_kv_cache *from, int64_t n);

/* scores (n, n_key) of n <= LIMN_TILE queries (n, d_head) of a head. */
void limn_kv_cache_scores(const limn_kv_cache *c, int64_t head, const float *queries,
                          int64_t q_step, int64_t n, int64_t n_key, float *scores, int64_t s_step);
/*
 * out (n, d_head) = pattern (n, keys) times values (keys, d_head) of a head, n <= LIMN_TILE. Row i
 * mixes the first n_seen + i values, or all of them n_seen where `is_square`.
 */
void limn_kv_cache_mix(const limn_kv_cache *c, int64_t head, const float *pattern, int64_t p_step,
                       int64_t n, int64_t n_seen, bool is_square, float *out, int64_t out_step);

#endif
