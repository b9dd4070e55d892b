/*
 * plain.c - the layers in their plainest form, until the packed kernels take over.
 */
#include "models/plain.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>
limn_status limn_plain_linear_init(limn_plain_linear *l, limn_pool *pool, const limn_stored *w,
                                   limn_plain_layout layout, const limn_stored *bias,
                                   limn_error *err) {
  (void)pool;
  int64_t a = w->shape[0], b = w->shape[1];
  l->n_in = layout == LIMN_PLAIN_IN_OUT ? a : b;
  l->n_out = layout == LIMN_PLAIN_IN_OUT ? b : a;
  l->w = limn_alloc_aligned((size_t)(a * b), 4);
  l->bias = limn_alloc_aligned((size_t)l->n_out, 4);
  if (!l->w || !l->bias) return limn_out_of_memory(err, "weights");
  if (layout == LIMN_PLAIN_IN_OUT)
    limn_stored_to_f32(w, 0, a * b, l->w);
  else
    for (int64_t o = 0; o < a; o++)
      for (int64_t i = 0; i < b; i++)
        limn_stored_to_f32(w, o * b + i, 1, l->w + i * a + o);
  if (bias)
    limn_stored_to_f32(bias, 0, l->n_out, l->bias);
  else
    memset(l->bias, 0, (size_t)l->n_out * 4);
  return LIMN_OK;
}
void limn_plain_linear_deinit(limn_plain_linear *l) {
  limn_free_aligned(l->w);
  limn_free_aligned(l->bias);
}
size_t limn_plain_linear_size(const limn_plain_linear *l) {
  return (size_t)(l->n_in * l->n_out) * 4;
}
void limn_plain_linear_apply(const limn_plain_linear *l, limn_pool *pool, const float *x, int64_t n,
                             int64_t xs, float *y, int64_t ys) {
  (void)pool;
  for (int64_t r = 0; r < n; r++) {
    float *o = y + r * ys;
    memcpy(o, l->bias, (size_t)l->n_out * 4);
    for (int64_t i0 = 0; i0 < l->n_in; i0 += 16)
      for (int64_t j0 = 0; j0 < l->n_out; j0 += 64) {
        float s[64] = {0};
        int64_t m = l->n_out - j0 < 64 ? l->n_out - j0 : 64;
        for (int64_t i = i0; i < l->n_in && i < i0 + 16; i++)
          for (int64_t j = 0; j < m; j++)
            s[j] += x[r * xs + i] * l->w[i * l->n_out + j0 + j];
        for (int64_t j = 0; j < m; j++)
          o[j0 + j] += s[j];
      }
  }
}
void limn_plain_linear_apply_part(const limn_plain_linear *l, limn_pool *pool, int64_t first,
                                  int64_t count, const float *x, int64_t n, int64_t xs, float *y,
                                  int64_t ys) {
  (void)pool;
  for (int64_t r = 0; r < n; r++) {
    float *o = y + r * ys;
    memset(o, 0, (size_t)l->n_out * 4);
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < l->n_out; j++)
        o[j] += x[r * xs + i] * l->w[(first + i) * l->n_out + j];
  }
}
static double mean(const float *x, int64_t d) {
  double m = 0;
  for (int64_t i = 0; i < d; i++)
    m += (double)x[i];
  return m / (double)d;
}
void limn_plain_layer_norm_rows_scaled(const float *x, int64_t n, int64_t d, const float *w,
                                       const float *b, const float *scale, float *out) {
  for (int64_t r = 0; r < n; r++) {
    double m = mean(x + r * d, d);
    for (int64_t i = 0; i < d; i++)
      out[r * d + i] =
          (float)(((double)x[r * d + i] - m) / (double)scale[r] * (double)w[i] + (double)b[i]);
  }
}
void limn_plain_layer_norm_rows(const float *x, int64_t n, int64_t d, const float *w,
                                const float *b, float eps, float *out, float *scale) {
  for (int64_t r = 0; r < n; r++) {
    double m = mean(x + r * d, d), v = 0;
    for (int64_t i = 0; i < d; i++)
      v += ((double)x[r * d + i] - m) * ((double)x[r * d + i] - m);
    float s = (float)sqrt(v / (double)d + (double)eps);
    if (scale) scale[r] = s;
    limn_plain_layer_norm_rows_scaled(x + r * d, 1, d, w, b, &s, out + r * d);
  }
}
void limn_plain_softmax_row(const float *x, int64_t n, float *y) {
  float m = -INFINITY;
  for (int64_t i = 0; i < n; i++)
    if (x[i] > m) m = x[i];
  double s = 0;
  for (int64_t i = 0; i < n; i++) {
    y[i] = expf(x[i] - m);
    s += (double)y[i];
  }
  for (int64_t i = 0; i < n; i++)
    y[i] = (float)((double)y[i] / s);
}
void limn_plain_activate(limn_activation a, limn_pool *pool, float *x, int64_t n) {
  (void)pool;
  (void)a;
  for (int64_t i = 0; i < n; i++) {
    double v = (double)x[i];
    x[i] = (float)(0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v))));
  }
}
void limn_plain_attention_scores(const float *q, int64_t qs, int64_t nq, const float *k, int64_t ks,
                                 int64_t nk, int64_t dh, float *out, int64_t os) {
  for (int64_t i = 0; i < nq; i++)
    for (int64_t j = 0; j < nk; j++) {
      float s = 0;
      for (int64_t e = 0; e < dh; e++)
        s += q[i * qs + e] * k[j * ks + e];
      out[i * os + j] = s;
    }
}
void limn_plain_attention_mix(const float *p, int64_t ps, int64_t nq, int64_t nk, const float *v,
                              int64_t vs, int64_t dh, float *z, int64_t zs) {
  for (int64_t i = 0; i < nq; i++)
    for (int64_t e = 0; e < dh; e++) {
      float s = 0;
      for (int64_t j = 0; j < nk; j++)
        s += p[i * ps + j] * v[j * vs + e];
      z[i * zs + e] = s;
    }
}
