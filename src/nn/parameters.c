/*
 * parameters.c - layers that hold numbers which training would find: linear maps, embeddings,
 * norms.
 *
 * PyTorch draws a linear map's weights and biases evenly from +-1/sqrt(n_in) (He et al. 2015 with
 * its leaky slope of sqrt 5), and embeddings from the normal distribution. The order of the draws
 * is part of what is copied here: weight first, then bias.
 */
#include <limn/nn.h>

#include <math.h>
#include <stdlib.h>

static limn_status bad_size(limn_error *err, const char *what, int64_t a, int64_t b) {
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "%s of %lld by %lld, expected sizes from 1", what, (long long)a,
                        (long long)b);
}

static limn_status no_memory(limn_error *err, const char *what) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory for %s", what);
}

/* Room for a * b numbers; NULL also when that is no size. */
static float *new_numbers(int64_t a, int64_t b) {
  if ((uint64_t)a > SIZE_MAX / sizeof(float) / (uint64_t)b) return NULL;
  return limn_alloc_zeroed((size_t)a * (size_t)b, sizeof(float));
}

/* ---- linear -------------------------------------------------------------------------------------
 */

limn_status limn_nn_linear_init(limn_nn_linear *l, int64_t n_in, int64_t n_out, bool has_bias,
                                limn_random *r, limn_error *err) {
  *l = (limn_nn_linear){.n_in = n_in, .n_out = n_out};
  if (n_in < 1 || n_out < 1) return bad_size(err, "a linear map", n_out, n_in);
  l->weight = new_numbers(n_out, n_in);
  l->bias = has_bias ? new_numbers(n_out, 1) : NULL;
  if (!l->weight || (has_bias && !l->bias)) {
    limn_nn_linear_deinit(l);
    return no_memory(err, "a linear map");
  }
  /* As PyTorch computes it, so that the float32 bound is the same. */
  double gain = sqrt(2.0 / (1 + 5)), bound = sqrt(3.0) * (gain / sqrt((double)n_in));
  limn_random_uniform(r, (float)-bound, (float)bound, n_in * n_out, l->weight);
  bound = 1 / sqrt((double)n_in);
  if (has_bias) limn_random_uniform(r, (float)-bound, (float)bound, n_out, l->bias);
  return LIMN_OK;
}

void limn_nn_linear_deinit(limn_nn_linear *l) {
  if (!l) return;
  limn_free(l->weight);
  limn_free(l->bias);
  *l = (limn_nn_linear){0};
}

void limn_nn_linear_apply(const limn_nn_linear *l, const float *x, int64_t n, float *out) {
  for (int64_t row = 0; row < n; row++) {
    const float *from = x + row * l->n_in;
    for (int64_t j = 0; j < l->n_out; j++) {
      const float *weight = l->weight + j * l->n_in;
      double sum = l->bias ? (double)l->bias[j] : 0;
      for (int64_t k = 0; k < l->n_in; k++)
        sum += (double)from[k] * (double)weight[k];
      out[row * l->n_out + j] = (float)sum;
    }
  }
}

/* ---- embedding ----------------------------------------------------------------------------------
 */

limn_status limn_nn_embedding_init(limn_nn_embedding *e, int64_t n, int64_t d, limn_random *r,
                                   limn_error *err) {
  *e = (limn_nn_embedding){.n = n, .d = d};
  if (n < 1 || d < 1) return bad_size(err, "an embedding", n, d);
  e->weight = new_numbers(n, d);
  if (!e->weight) {
    limn_nn_embedding_deinit(e);
    return no_memory(err, "an embedding");
  }
  limn_random_normal(r, 0, 1, n * d, e->weight);
  return LIMN_OK;
}

void limn_nn_embedding_deinit(limn_nn_embedding *e) {
  if (!e) return;
  limn_free(e->weight);
  *e = (limn_nn_embedding){0};
}

limn_status limn_nn_embedding_apply(const limn_nn_embedding *e, const int32_t *ids, size_t n_ids,
                                    float *out, limn_error *err) {
  for (size_t i = 0; i < n_ids; i++)
    if (ids[i] < 0 || ids[i] >= e->n)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "id %d at position %zu, expected 0 to %lld", ids[i], i,
                            (long long)e->n - 1);
  for (size_t i = 0; i < n_ids; i++)
    for (int64_t k = 0; k < e->d; k++)
      out[(int64_t)i * e->d + k] = e->weight[ids[i] * e->d + k];
  return LIMN_OK;
}

/* ---- norms --------------------------------------------------------------------------------------
 */

limn_status limn_nn_norm_init(limn_nn_norm *m, int64_t d, limn_error *err) {
  *m = (limn_nn_norm){.d = d, .eps = 1e-5f};
  if (d < 1) return bad_size(err, "a norm", d, 1);
  m->weight = new_numbers(d, 1);
  m->bias = new_numbers(d, 1);
  if (!m->weight || !m->bias) {
    limn_nn_norm_deinit(m);
    return no_memory(err, "a norm");
  }
  for (int64_t i = 0; i < d; i++)
    m->weight[i] = 1;
  return LIMN_OK;
}

void limn_nn_norm_deinit(limn_nn_norm *m) {
  if (!m) return;
  limn_free(m->weight);
  limn_free(m->bias);
  *m = (limn_nn_norm){0};
}

/* Two passes: the mean is taken off before squaring, so that a large mean costs no digits. */
static void norm_row(const limn_nn_norm *m, const float *x, float *out) {
  double mean = 0, square = 0, d = (double)m->d;
  for (int64_t i = 0; i < m->d && !m->is_rms; i++)
    mean += (double)x[i] / d;
  for (int64_t i = 0; i < m->d; i++)
    square += ((double)x[i] - mean) * ((double)x[i] - mean) / d;
  double scale = 1 / sqrt(square + (double)m->eps);
  for (int64_t i = 0; i < m->d; i++) {
    double y = ((double)x[i] - mean) * scale * (m->weight ? (double)m->weight[i] : 1);
    out[i] = (float)(y + (m->bias ? (double)m->bias[i] : 0));
  }
}

void limn_nn_norm_apply(const limn_nn_norm *m, const float *x, int64_t n, float *out) {
  for (int64_t row = 0; row < n; row++)
    norm_row(m, x + row * m->d, out + row * m->d);
}
