#ifndef TMP_LAYERS_H
#define TMP_LAYERS_H
#include <limn/model.h>
typedef enum { LIMN_PLAIN_IN_OUT, LIMN_PLAIN_OUT_IN } limn_plain_layout;
typedef struct limn_plain_linear {
  float *w;
  float *bias;
  int64_t n_in, n_out;
} limn_plain_linear;
limn_status limn_plain_linear_init(limn_plain_linear *l, limn_pool *pool, const limn_stored *w,
                                   limn_plain_layout layout, const limn_stored *bias,
                                   limn_error *err);
void limn_plain_linear_deinit(limn_plain_linear *l);
size_t limn_plain_linear_size(const limn_plain_linear *l);
void limn_plain_linear_apply(const limn_plain_linear *l, limn_pool *pool, const float *x, int64_t n,
                             int64_t xs, float *y, int64_t ys);
void limn_plain_linear_apply_part(const limn_plain_linear *l, limn_pool *pool, int64_t first,
                                  int64_t count, const float *x, int64_t n, int64_t xs, float *y,
                                  int64_t ys);
void limn_plain_layer_norm_rows(const float *x, int64_t n, int64_t d, const float *w,
                                const float *b, float eps, float *out, float *scale);
void limn_plain_layer_norm_rows_scaled(const float *x, int64_t n, int64_t d, const float *w,
                                       const float *b, const float *scale, float *out);
void limn_plain_softmax_row(const float *x, int64_t n, float *y);
void limn_plain_activate(limn_activation a, limn_pool *pool, float *x, int64_t n);
void limn_plain_attention_scores(const float *q, int64_t qs, int64_t nq, const float *k, int64_t ks,
                                 int64_t nk, int64_t dh, float *out, int64_t os);
void limn_plain_attention_mix(const float *p, int64_t ps, int64_t nq, int64_t nk, const float *v,
                              int64_t vs, int64_t dh, float *z, int64_t zs);
#endif
