/*
 * layer.c - a transformer layer: attention mixes positions, the feed-forward network works on each.
 *
 * Both add to what comes in (the residual stream). The first transformers normed after each sum
 * (Vaswani et al. 2017, section 3.1), GPT-2 and its followers before each part (Xiong et al. 2020).
 */
#include <limn/nn.h>

static limn_status no_memory(limn_error *err, const char *what) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory for %s", what);
}

/* ---- feed-forward -------------------------------------------------------------------------------
 */

limn_status limn_nn_feed_forward_init(limn_nn_feed_forward *f, int64_t d_model, int64_t d_mlp,
                                      limn_activation activation, limn_random *r, limn_error *err) {
  *f = (limn_nn_feed_forward){.activation = activation};
  limn_status status = limn_nn_linear_init(&f->up, d_model, d_mlp, true, r, err);
  if (status == LIMN_OK) status = limn_nn_linear_init(&f->down, d_mlp, d_model, true, r, err);
  if (status != LIMN_OK) limn_nn_feed_forward_deinit(f);
  return status;
}

void limn_nn_feed_forward_deinit(limn_nn_feed_forward *f) {
  if (!f) return;
  limn_nn_linear_deinit(&f->up);
  limn_nn_linear_deinit(&f->down);
}

limn_status limn_nn_feed_forward_apply(const limn_nn_feed_forward *f, const float *x, int64_t n,
                                       float *out, limn_error *err) {
  float *hidden = limn_alloc_zeroed((size_t)n, (size_t)f->up.n_out * sizeof(float));
  if (!hidden) return no_memory(err, "a feed-forward network");
  limn_nn_linear_apply(&f->up, x, n, hidden);
  limn_nn_activate(f->activation, hidden, n * f->up.n_out, hidden);
  limn_nn_linear_apply(&f->down, hidden, n, out);
  limn_free(hidden);
  return LIMN_OK;
}

/* ---- the layer ----------------------------------------------------------------------------------
 */

limn_status limn_nn_layer_init(limn_nn_layer *l, int64_t d_model, int64_t n_head, int64_t d_mlp,
                               limn_random *r, limn_error *err) {
  *l = (limn_nn_layer){0};
  limn_status status = limn_nn_attention_init(&l->attention, d_model, n_head, true, r, err);
  if (status == LIMN_OK)
    status =
        limn_nn_feed_forward_init(&l->feed_forward, d_model, d_mlp, LIMN_ACTIVATION_RELU, r, err);
  if (status == LIMN_OK) status = limn_nn_norm_init(&l->norm1, d_model, err);
  if (status == LIMN_OK) status = limn_nn_norm_init(&l->norm2, d_model, err);
  if (status != LIMN_OK) limn_nn_layer_deinit(l);
  return status;
}

void limn_nn_layer_deinit(limn_nn_layer *l) {
  if (!l) return;
  limn_nn_attention_deinit(&l->attention);
  limn_nn_feed_forward_deinit(&l->feed_forward);
  limn_nn_norm_deinit(&l->norm1);
  limn_nn_norm_deinit(&l->norm2);
}

static void add(const float *a, int64_t n, float *to) {
  for (int64_t i = 0; i < n; i++)
    to[i] += a[i];
}

limn_status limn_nn_layer_apply(const limn_nn_layer *l, const float *x, int64_t n_batch, int64_t n,
                                const float *mask, float *out, float *weights,
                                float *weights_per_head, limn_error *err) {
  int64_t d = l->attention.d_model, rows = n_batch * n, count = rows * d;
  float *normed = limn_alloc_zeroed((size_t)count, sizeof(float));
  float *part = limn_alloc_zeroed((size_t)count, sizeof(float));
  limn_status status = normed && part ? LIMN_OK : no_memory(err, "a transformer layer");
  if (status == LIMN_OK) {
    if (l->is_pre_norm) limn_nn_norm_apply(&l->norm1, x, rows, normed);
    limn_nn_attention_call call = {n_batch,
                                   n,
                                   n,
                                   .query = l->is_pre_norm ? normed : x,
                                   .mask = mask,
                                   .out = part,
                                   .weights = weights,
                                   .weights_per_head = weights_per_head};
    status = limn_nn_attention_apply(&l->attention, &call, err);
  }
  if (status == LIMN_OK) {
    for (int64_t i = 0; i < count; i++)
      out[i] = x[i] + part[i];
    if (!l->is_pre_norm) limn_nn_norm_apply(&l->norm1, out, rows, out);
    if (l->is_pre_norm) limn_nn_norm_apply(&l->norm2, out, rows, normed);
    status = limn_nn_feed_forward_apply(&l->feed_forward, l->is_pre_norm ? normed : out, rows, part,
                                        err);
  }
  if (status == LIMN_OK) {
    add(part, count, out);
    if (!l->is_pre_norm) limn_nn_norm_apply(&l->norm2, out, rows, out);
  }
  limn_free(normed);
  limn_free(part);
  return status;
}
