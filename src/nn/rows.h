/*
 * rows.h - inside the library: what is done to each row alone, spread over a team.
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

#endif
