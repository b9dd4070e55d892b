/*
 * linear.h - inside the library: a linear layer whose weights are packed for the kernels.
 */
#ifndef LIMN_SRC_NN_LINEAR_H
#define LIMN_SRC_NN_LINEAR_H

#include "kernels/kernels.h"

#include <limn/nn.h>

/* How a weight lies in its file: [in, out] (Conv1D) or [out, in] (Linear, an embedding). */
typedef enum limn_layout { LIMN_IN_OUT, LIMN_OUT_IN } limn_layout;

typedef struct limn_linear {
  const limn_kernels *kernels;
  limn_format format;
  const unsigned char *panels; /* one for each LIMN_PANEL outputs, the last filled up with zeros */
  size_t panel_size;           /* a multiple of 64 */
  float *bias;                 /* (n_out), zeros where there is none */
  int64_t n_in, n_out;
} limn_linear;

/* One of these sizes, without panels and bias. */
limn_linear limn_linear_of(const limn_kernels *kernels, limn_format format, int64_t n_in,
                           int64_t n_out);
/* Over these panels, at a multiple of 64, which are not its own; `bias` may be NULL. MEMORY. */
limn_status limn_linear_init(limn_linear *l, const void *panels, const limn_stored *bias,
                             limn_error *err);
void limn_linear_deinit(limn_linear *l);

static inline int64_t limn_linear_panels(const limn_linear *l) {
  return (l->n_out + LIMN_PANEL - 1) / LIMN_PANEL;
}

/* Bytes of the panels. */
size_t limn_linear_size(const limn_linear *l);
/* Packs panels [first, first + count) of the weight to `out`, on the team. */
void limn_linear_pack(const limn_linear *l, limn_pool *pool, const limn_stored *weight,
                      limn_layout layout, int64_t first, int64_t count, unsigned char *out);
/* What output `out` multiplies its inputs with: column (n_in), as float32 without rounding. */
void limn_linear_column(const limn_linear *l, int64_t out, float *column);

/* How the products are computed: with float32 throughout, or with rounded activations. */
typedef enum limn_arithmetic {
  LIMN_ARITHMETIC_F32,
  LIMN_ARITHMETIC_BF16, /* weights in bf16 */
  LIMN_ARITHMETIC_INT8  /* weights in q8 or q4 */
} limn_arithmetic;

/* Room for n rows of up to n_in numbers, rounded or split: bytes, a multiple of 64; 0 for F32
   without tiles. */
size_t limn_linear_scratch_size(const limn_kernels *kernels, limn_arithmetic arithmetic, int64_t n,
                                int64_t n_in);

/* What to compute; what is not set is not done. */
typedef struct limn_linear_call {
  const float *x; /* (n, n_in) */
  int64_t n, x_step;
  float *y; /* (n, n_out), which may not overlap x */
  int64_t y_step;
  float *const *y_rows; /* (n) where each row of y goes instead, or NULL */
  bool is_activated;    /* y = activation(x W + bias) */
  limn_activation activation;
  float *add_to; /* add_to (n, n_out) += what y would be, or NULL; y is room for it then */
  int64_t add_step;
  int64_t first_out, n_out; /* only these outputs, whole panels; 0, 0 for all */
  limn_arithmetic arithmetic;
  bool is_tiled; /* on tiles where the kernels have them: other bits, for all rows alike */
  void *scratch; /* of limn_linear_scratch_size, aligned to 64 bytes */
} limn_linear_call;

void limn_linear_apply(const limn_linear *l, limn_pool *pool, const limn_linear_call *call);

/* y (n, n_out) = x (n, count) times the rows [first, first + count) of the weight, no bias. */
void limn_linear_apply_part(const limn_linear *l, limn_pool *pool, int64_t first, int64_t count,
                            const float *x, int64_t n, int64_t x_step, float *y, int64_t y_step);

#endif
