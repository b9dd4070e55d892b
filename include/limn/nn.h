/*
 * limn/nn.h - the layers of the introduction, as PyTorch computes them: softmax, embedding, linear
 * maps, activations, norms, positions, attention and a transformer layer.
 *
 * Written to be read and checked, on small tensors in one thread; models run on paths of their own.
 * Sums are taken in float64 and rounded once. All arrays are row-major, `out` may not overlap an
 * input unless it says so, and a batch is rows on rows: (n_batch, n, d) is also (n_batch * n, d).
 */
#ifndef LIMN_NN_H
#define LIMN_NN_H

#include <limn/random.h>
#include <limn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum limn_activation {
  LIMN_ACTIVATION_RELU,
  LIMN_ACTIVATION_GELU_TANH, /* Hugging Face's "gelu_new", "gelu_pytorch_tanh" */
  LIMN_ACTIVATION_GELU_ERF,  /* "gelu" */
  LIMN_ACTIVATION_QUICK_GELU,
  LIMN_ACTIVATION_SILU
} limn_activation;

/* ---- functions ---------------------------------------------------------------------------------
 */

/*
 * Softmax along one axis; `out` has the shape of `x` and may be `x`. The largest entry is taken
 * off first, so nothing overflows. Where all entries are -inf the result is 0 (PyTorch: NaN); a NaN
 * or +inf makes its row NaN. Precondition: 0 <= axis < rank.
 */
LIMN_API void limn_nn_softmax(const limn_tensor *x, int axis, const limn_tensor *out);
/* The place of the largest of n > 0 numbers, the first of equals; the first NaN before all. */
LIMN_API int64_t limn_nn_argmax(const float *x, int64_t n);
/* out (n, m) = a (n, k) times b (k, m). Any strides, so a transposed view will do. */
LIMN_API void limn_nn_matmul(const limn_tensor *a, const limn_tensor *b, const limn_tensor *out);
/* Each of n numbers through the function; `out` may be `x`. */
LIMN_API void limn_nn_activate(limn_activation activation, const float *x, int64_t n, float *out);

typedef enum limn_nn_exponent {
  LIMN_NN_EXPONENT_PAPER = 0, /* 2i/d for pair i: Vaswani et al. 2017, section 3.5 */
  LIMN_NN_EXPONENT_DOUBLED    /* 4i/d: an i that already steps by two, doubled once more */
} limn_nn_exponent;

/*
 * The sinusoidal code of one position, out (d_model): sine and cosine of position / 10000^exponent
 * in turn; an odd width ends with a sine.
 */
LIMN_API void limn_nn_position(int64_t position, int64_t d_model, limn_nn_exponent exponent,
                               float *out);
/* The codes of positions 0 to n - 1, out (n, d_model). */
LIMN_API void limn_nn_positions(int64_t n, int64_t d_model, limn_nn_exponent exponent, float *out);

/* ---- layers with parameters ---------------------------------------------------------------------
 * Start from {0}, or from _init, which draws the parameters as PyTorch's constructor does, in its
 * order. MEMORY; RANGE for a size below 1. _deinit releases what _init made. */

/* nn.Linear: y = x W^T + b */
typedef struct limn_nn_linear {
  int64_t n_in, n_out;
  float *weight; /* (n_out, n_in) */
  float *bias;   /* (n_out), or NULL */
} limn_nn_linear;

LIMN_API limn_status limn_nn_linear_init(limn_nn_linear *l, int64_t n_in, int64_t n_out,
                                         bool has_bias, limn_random *r, limn_error *err);
LIMN_API void limn_nn_linear_deinit(limn_nn_linear *l);
/* x (n, n_in), out (n, n_out) */
LIMN_API void limn_nn_linear_apply(const limn_nn_linear *l, const float *x, int64_t n, float *out);

/* nn.Embedding: one row for each id */
typedef struct limn_nn_embedding {
  int64_t n, d;
  float *weight; /* (n, d) */
} limn_nn_embedding;

LIMN_API limn_status limn_nn_embedding_init(limn_nn_embedding *e, int64_t n, int64_t d,
                                            limn_random *r, limn_error *err);
LIMN_API void limn_nn_embedding_deinit(limn_nn_embedding *e);
/* out (n_ids, d). RANGE names the first id that has no row. */
LIMN_API limn_status limn_nn_embedding_apply(const limn_nn_embedding *e, const int32_t *ids,
                                             size_t n_ids, float *out, limn_error *err);

/* nn.LayerNorm over d numbers, or with is_rms RMSNorm (Zhang and Sennrich 2019, equation 4) */
typedef struct limn_nn_norm {
  int64_t d;
  float eps;
  bool is_rms;   /* no mean, no bias */
  float *weight; /* (d), or NULL for ones */
  float *bias;   /* (d), or NULL for zeros */
} limn_nn_norm;

/* Ones and zeros, eps 1e-5. */
LIMN_API limn_status limn_nn_norm_init(limn_nn_norm *m, int64_t d, limn_error *err);
LIMN_API void limn_nn_norm_deinit(limn_nn_norm *m);
/* x and out (n, d); out may be x. */
LIMN_API void limn_nn_norm_apply(const limn_nn_norm *m, const float *x, int64_t n, float *out);

/* ---- attention ----------------------------------------------------------------------------------
 */

/* nn.MultiheadAttention(d_model, n_head, batch_first=True) */
typedef struct limn_nn_attention {
  int64_t d_model, n_head;
  float *in_weight; /* (3 d_model, d_model): query, key, value on each other */
  float *in_bias;   /* (3 d_model), or NULL */
  limn_nn_linear out;
} limn_nn_attention;

/* RANGE also when n_head does not divide d_model. */
LIMN_API limn_status limn_nn_attention_init(limn_nn_attention *a, int64_t d_model, int64_t n_head,
                                            bool has_bias, limn_random *r, limn_error *err);
LIMN_API void limn_nn_attention_deinit(limn_nn_attention *a);

/* One call. What is NULL is not there or not wanted; key and value NULL are the query. */
typedef struct limn_nn_attention_call {
  int64_t n_batch, n_query, n_key;
  const float *query;       /* (n_batch, n_query, d_model) */
  const float *key, *value; /* (n_batch, n_key, d_model); both or none */
  const float *mask;        /* (n_query, n_key), added to the scores; -inf forbids */
  bool mask_is_per_head;    /* it is (n_batch, n_head, n_query, n_key) */
  const float *padding;     /* (n_batch, n_key), added to the scores of each query */
  bool is_causal;           /* a query sees the keys up to its own place */
  float *out;               /* (n_batch, n_query, d_model) */
  float *weights;           /* (n_batch, n_query, n_key): the mean over the heads */
  float *weights_per_head;  /* (n_batch, n_head, n_query, n_key) */
} limn_nn_attention_call;

/*
 * A query that may look nowhere gets weights of 0 (PyTorch: NaN). MEMORY; SHAPE when n_key is not
 * n_query though there is no key.
 */
LIMN_API limn_status limn_nn_attention_apply(const limn_nn_attention *a,
                                             const limn_nn_attention_call *call, limn_error *err);

/* ---- a transformer layer ------------------------------------------------------------------------
 */

/* up, activation, down */
typedef struct limn_nn_feed_forward {
  limn_nn_linear up, down;
  limn_activation activation;
} limn_nn_feed_forward;

LIMN_API limn_status limn_nn_feed_forward_init(limn_nn_feed_forward *f, int64_t d_model,
                                               int64_t d_mlp, limn_activation activation,
                                               limn_random *r, limn_error *err);
LIMN_API void limn_nn_feed_forward_deinit(limn_nn_feed_forward *f);
/* x and out (n, d_model). MEMORY. */
LIMN_API limn_status limn_nn_feed_forward_apply(const limn_nn_feed_forward *f, const float *x,
                                                int64_t n, float *out, limn_error *err);

/*
 * Post-norm, as first published:  x = norm1(x + attention(x)); x = norm2(x + feed_forward(x))
 * Pre-norm, as GPT-2 and later:   x += attention(norm1(x)); x += feed_forward(norm2(x))
 */
typedef struct limn_nn_layer {
  limn_nn_attention attention;
  limn_nn_feed_forward feed_forward;
  limn_nn_norm norm1, norm2;
  bool is_pre_norm;
} limn_nn_layer;

LIMN_API limn_status limn_nn_layer_init(limn_nn_layer *l, int64_t d_model, int64_t n_head,
                                        int64_t d_mlp, limn_random *r, limn_error *err);
LIMN_API void limn_nn_layer_deinit(limn_nn_layer *l);

/*
 * x and out (n_batch, n, d_model); `mask` (n, n) and the weights as in limn_nn_attention_call, or
 * NULL. MEMORY.
 */
LIMN_API limn_status limn_nn_layer_apply(const limn_nn_layer *l, const float *x, int64_t n_batch,
                                         int64_t n, const float *mask, float *out, float *weights,
                                         float *weights_per_head, limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
