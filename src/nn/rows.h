/*
 * rows.h - inside the library: what is done to each row alone, spread over a team, and attention's
 * two products on cached keys and values.
 */
#ifndef LIMN_SRC_NN_ROWS_H
#define LIMN_SRC_NN_ROWS_H

#include "kernels/kernels.h"

#include <limn/nn.h>

/*
 * The step between rows of `width` numbers: a multiple of 16, so that rows start at a cache line,
 * but none of 1024, since rows 4096 bytes apart would all want the same lines of the cache.
 */
int64_t limn_row_step(int64_t width);

/*
 * The kernels that the environment variable LIMN_KERNELS names, or the best ones. ARGUMENT for a
 * name that is none, UNSUPPORTED for instructions that this processor lacks.
 */
limn_status limn_nn_choose_kernels(const limn_kernels **out, limn_error *err);

typedef struct limn_norm_call {
  const float *x; /* (n, d) */
  int64_t n, d, x_step;
  const float *weight, *bias; /* (d) */
  float eps;
  float *scale; /* (n) written, or read where `is_scaled` */
  bool is_scaled;
  float *out; /* (n, d), may be x */
  int64_t out_step;
} limn_norm_call;

/* Layer norm: Ba, Kiros and Hinton 2016. `scale` may be NULL where it is not read. */
void limn_norm_apply(const limn_kernels *kernels, limn_pool *pool, const limn_norm_call *call);
/* y (n, width) = activation(x). */
void limn_activate_rows(const limn_kernels *kernels, limn_pool *pool, limn_activation activation,
                        int64_t n, int64_t width, float *x, int64_t step);
/* to (n, width) += from, both with this step between rows. */
void limn_add_rows(const limn_kernels *kernels, limn_pool *pool, int64_t n, int64_t width,
                   float *to, const float *from, int64_t step);

/* ---- attention --------------------------------------------------------------------------------
 *
 * Keys are cached in panels of LIMN_PANEL positions, each (d_model, LIMN_PANEL), so that scores are
 * a product like any other; values as rows.
 */

/* Room for the keys of n positions, in floats. */
int64_t limn_key_cache_size(int64_t n, int64_t d_model);
/* Puts keys (n, d_model) at positions [first, first + n). */
void limn_store_keys(const limn_kernels *kernels, float *cache, int64_t d_model, int64_t first,
                     int64_t n, const float *keys, int64_t step);
/* scores (n, n_key) of queries (n, d_head) with the keys of the head that starts at `offset`. */
void limn_attention_scores(const limn_kernels *kernels, const float *queries, int64_t q_step,
                           int64_t n, const float *cache, int64_t d_model, int64_t offset,
                           int64_t n_key, int64_t d_head, float *scores, int64_t s_step);
/*
 * out (n, d_head) = pattern (n, keys) times values (keys, d_head). Row i mixes the first
 * n_seen + i values, or all of them n_seen where `is_square`.
 */
void limn_attention_mix(const limn_kernels *kernels, const float *pattern, int64_t p_step,
                        int64_t n, int64_t n_seen, bool is_square, const float *values,
                        int64_t v_step, int64_t d_head, float *out, int64_t out_step);

#endif
