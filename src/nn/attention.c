/*
 * attention.c - multi-head attention and the layers around it.
 *
 * Each position asks (query), each offers (key) and each gives (value): Vaswani et al. 2017,
 * equation 1, softmax(Q K^T / sqrt(d_head)) V, done by every head on a slice of its own and then
 * joined by one more linear map (section 3.2.2). PyTorch keeps the three input maps in one matrix.
 */
#include <limn/nn.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static limn_status no_memory(limn_error *err, const char *what) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory for %s", what);
}

/* ---- parameters ---------------------------------------------------------------------------------
 */

/* PyTorch's order: the output map draws weight and bias, then the input map (Glorot and Bengio
   2010, equation 16), then all biases become 0. */
static void draw_attention(limn_nn_attention *a, limn_random *r) {
  int64_t d = a->d_model;
  double bound = sqrt(3.0) * sqrt(2.0 / (double)(d + 3 * d));
  limn_random_uniform(r, (float)-bound, (float)bound, 3 * d * d, a->in_weight);
  if (a->out.bias) memset(a->out.bias, 0, (size_t)d * sizeof(float));
}

limn_status limn_nn_attention_init(limn_nn_attention *a, int64_t d_model, int64_t n_head,
                                   bool has_bias, limn_random *r, limn_error *err) {
  *a = (limn_nn_attention){.d_model = d_model, .n_head = n_head};
  if (d_model < 1 || d_model > 1 << 20 || n_head < 1 || d_model % n_head != 0)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "attention of width %lld with %lld heads, expected a width that the "
                          "heads divide",
                          (long long)d_model, (long long)n_head);
  size_t d = (size_t)d_model;
  limn_status status = limn_nn_linear_init(&a->out, d_model, d_model, has_bias, r, err);
  if (status != LIMN_OK) return status;
  a->in_weight = limn_alloc_zeroed(3 * d * d, sizeof(float));
  a->in_bias = has_bias ? limn_alloc_zeroed(3 * d, sizeof(float)) : NULL;
  if (!a->in_weight || (has_bias && !a->in_bias)) {
    limn_nn_attention_deinit(a);
    return no_memory(err, "attention");
  }
  draw_attention(a, r);
  return LIMN_OK;
}

void limn_nn_attention_deinit(limn_nn_attention *a) {
  if (!a) return;
  limn_free(a->in_weight);
  limn_free(a->in_bias);
  limn_nn_linear_deinit(&a->out);
  *a = (limn_nn_attention){0};
}

/* ---- one call -----------------------------------------------------------------------------------
 */

/* The storage of one call, one block. */
typedef struct scratch {
  float *q, *k, *v, *z; /* (n_batch, n_query or n_key, d_model) */
  float *scores;        /* (n_key) */
} scratch;

static limn_status new_scratch(const limn_nn_attention *a, const limn_nn_attention_call *c,
                               scratch *s, limn_error *err) {
  double d = (double)a->d_model, batch = (double)c->n_batch;
  double wanted = 2 * batch * d * ((double)c->n_query + (double)c->n_key) + (double)c->n_key;
  if (wanted > 1e15) return no_memory(err, "attention");
  size_t rows = (size_t)(c->n_batch * c->n_query * a->d_model);
  size_t keys = (size_t)(c->n_batch * c->n_key * a->d_model);
  s->q = limn_alloc_zeroed(2 * (rows + keys) + (size_t)c->n_key, sizeof(float));
  if (!s->q) return no_memory(err, "attention");
  s->z = s->q + rows;
  s->k = s->z + rows;
  s->v = s->k + keys;
  s->scores = s->v + keys;
  return LIMN_OK;
}

/* Part 0, 1 or 2 of the input map: query, key, value. */
static void project(const limn_nn_attention *a, int part, const float *x, int64_t n, float *out) {
  int64_t d = a->d_model;
  limn_nn_linear map = {d, d, a->in_weight + part * d * d,
                        a->in_bias ? a->in_bias + part * d : NULL};
  limn_nn_linear_apply(&map, x, n, out);
}

static double mask_at(const limn_nn_attention *a, const limn_nn_attention_call *c, int64_t batch,
                      int64_t head, int64_t query, int64_t key) {
  double x = c->is_causal && key > query ? -INFINITY : 0;
  int64_t sheet = c->mask_is_per_head ? batch * a->n_head + head : 0;
  if (c->mask) x += (double)c->mask[(sheet * c->n_query + query) * c->n_key + key];
  if (c->padding) x += (double)c->padding[batch * c->n_key + key];
  return x;
}

/* Scores of one query in one head, their softmax, and the mix of the values. */
static void attend(const limn_nn_attention *a, const limn_nn_attention_call *c, const scratch *s,
                   int64_t batch, int64_t head, int64_t query) {
  int64_t d = a->d_model, d_head = d / a->n_head, first = head * d_head;
  const float *q = s->q + (batch * c->n_query + query) * d + first;
  const float *k = s->k + batch * c->n_key * d + first, *v = s->v + batch * c->n_key * d + first;
  float *z = s->z + (batch * c->n_query + query) * d + first;
  for (int64_t key = 0; key < c->n_key; key++) {
    double dot = 0;
    for (int64_t i = 0; i < d_head; i++)
      dot += (double)q[i] * (double)k[key * d + i];
    s->scores[key] = (float)(dot / sqrt((double)d_head) + mask_at(a, c, batch, head, query, key));
  }
  limn_tensor row = limn_tensor_view(s->scores, 1, &c->n_key);
  limn_nn_softmax(&row, 0, &row);
  for (int64_t i = 0; i < d_head; i++) {
    double sum = 0;
    for (int64_t key = 0; key < c->n_key; key++)
      sum += (double)s->scores[key] * (double)v[key * d + i];
    z[i] = (float)sum;
  }
}

/* Hands out the weights that `attend` left in the scores. */
static void keep_weights(const limn_nn_attention *a, const limn_nn_attention_call *c,
                         const scratch *s, int64_t batch, int64_t head, int64_t query) {
  int64_t row = (batch * a->n_head + head) * c->n_query + query;
  size_t size = (size_t)c->n_key * sizeof(float);
  if (c->weights_per_head) memcpy(c->weights_per_head + row * c->n_key, s->scores, size);
  if (!c->weights) return;
  float *mean = c->weights + (batch * c->n_query + query) * c->n_key;
  if (head == 0) memset(mean, 0, size);
  for (int64_t key = 0; key < c->n_key; key++)
    mean[key] += s->scores[key] / (float)a->n_head;
}

limn_status limn_nn_attention_apply(const limn_nn_attention *a, const limn_nn_attention_call *call,
                                    limn_error *err) {
  const float *keys = call->key ? call->key : call->query;
  const float *values = call->key ? call->value : call->query;
  if (!call->key && call->n_key != call->n_query)
    return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                          "attention of %lld queries to themselves has %lld keys, expected %lld",
                          (long long)call->n_query, (long long)call->n_key,
                          (long long)call->n_query);
  scratch s = {0};
  limn_status status = new_scratch(a, call, &s, err);
  if (status != LIMN_OK) return status;
  project(a, 0, call->query, call->n_batch * call->n_query, s.q);
  project(a, 1, keys, call->n_batch * call->n_key, s.k);
  project(a, 2, values, call->n_batch * call->n_key, s.v);
  for (int64_t batch = 0; batch < call->n_batch; batch++) {
    for (int64_t head = 0; head < a->n_head; head++) {
      for (int64_t query = 0; query < call->n_query; query++) {
        attend(a, call, &s, batch, head, query);
        keep_weights(a, call, &s, batch, head, query);
      }
    }
  }
  if (call->out) limn_nn_linear_apply(&a->out, s.z, call->n_batch * call->n_query, call->out);
  limn_free(s.q);
  return LIMN_OK;
}
