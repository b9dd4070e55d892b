/*
 * attribution.c - which part of the model said it: a logit as a sum over the model's components.
 *
 * The last residual stream is a sum of components r = sum_c r_c (Elhage et al. 2021, "A
 * Mathematical Framework for Transformer Circuits", "Residual Stream as Communication Channel").
 * The logit of token t is
 *   sum_j ((r_j - mean r) / s * w_j + b_j) U_jt
 * with the final norm's scale s, weight w and bias b. With s held at the value that it had (it
 * depends on all components, and so belongs to none) this is linear in r: component c adds
 *   r_c . d,   d = (g - mean g) / s,   g_j = w_j U_jt
 * since centring r_c and then taking its product with g is the same as centring g. The final bias
 * adds b . U_t. Products and sums are float64, so that what is left over between the sum and the
 * logit is the rounding of the model's own float32 arithmetic.
 */
#include "base/memory.h"

#include <limn/analysis.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define N_HOOKS 6

struct limn_attribution {
  limn_session *session;
  int ids[N_HOOKS];
  int n_watched;
  int position; /* -1: the newest */
  int n_layer, n_head;
  size_t d_model, count;
  bool is_seen;
  double scale;
  float *parts; /* (count - 1, d_model), in the order of the components */
};

/* ---- the components -----------------------------------------------------------------------------
 */

static size_t layer_first(const limn_attribution *a, int layer) {
  return 2 + (size_t)layer * ((size_t)a->n_head + 2);
}

size_t limn_attribution_count(const limn_attribution *a) {
  return a->count;
}

limn_component limn_attribution_component(const limn_attribution *a, size_t i) {
  if (i == 0) return (limn_component){LIMN_COMPONENT_EMBED, -1, -1};
  if (i == 1) return (limn_component){LIMN_COMPONENT_POSITION, -1, -1};
  if (i == a->count - 1) return (limn_component){LIMN_COMPONENT_NORM_BIAS, -1, -1};
  int per_layer = a->n_head + 2, layer = (int)(i - 2) / per_layer, place = (int)(i - 2) % per_layer;
  if (place < a->n_head) return (limn_component){LIMN_COMPONENT_HEAD, layer, place};
  bool is_bias = place == a->n_head;
  return (limn_component){is_bias ? LIMN_COMPONENT_ATTN_BIAS : LIMN_COMPONENT_MLP, layer, -1};
}

char *limn_component_name(limn_component c, char out[32]) {
  static const char *const names[] = {"embedding",      "position", "head",
                                      "attention bias", "MLP",      "final norm bias"};
  if (c.kind == LIMN_COMPONENT_HEAD)
    snprintf(out, 32, "head %d.%d", c.layer, c.head);
  else if (c.layer >= 0)
    snprintf(out, 32, "%s %d", names[c.kind], c.layer);
  else
    snprintf(out, 32, "%s", names[c.kind]);
  return out;
}

/* ---- watching -----------------------------------------------------------------------------------
 */

/* The row of the watched position within this call, or -1. */
static int64_t row_of(const limn_attribution *a, const limn_observation *seen) {
  if (a->position < 0) return seen->n_query - 1;
  int64_t row = a->position - seen->position;
  return row < seen->n_query ? row : -1;
}

static float *part(const limn_attribution *a, size_t i) {
  return a->parts + i * a->d_model;
}

static limn_status keep_embedding(void *user, const limn_observation *seen, limn_error *err) {
  limn_attribution *a = user;
  int64_t row = row_of(a, seen);
  (void)err;
  if (row < 0) return LIMN_OK;
  limn_tensor value = limn_tensor_select(&seen->value, 0, row);
  limn_tensor_gather(&value, part(a, strcmp(seen->name, "hook_pos_embed") == 0));
  return LIMN_OK;
}

static limn_status keep_heads(void *user, const limn_observation *seen, limn_error *err) {
  limn_attribution *a = user;
  int64_t row = row_of(a, seen);
  (void)err;
  if (row < 0) return LIMN_OK;
  limn_tensor value = limn_tensor_select(&seen->value, 0, row);
  limn_tensor_gather(&value, part(a, layer_first(a, seen->hook.layer)));
  return LIMN_OK;
}

/* What attention adds beyond its heads: the output's bias, and what an edit put there. */
static limn_status keep_bias(void *user, const limn_observation *seen, limn_error *err) {
  limn_attribution *a = user;
  int64_t row = row_of(a, seen);
  (void)err;
  if (row < 0) return LIMN_OK;
  size_t first = layer_first(a, seen->hook.layer), n_head = (size_t)a->n_head;
  float *bias = part(a, first + n_head);
  limn_tensor value = limn_tensor_select(&seen->value, 0, row);
  limn_tensor_gather(&value, bias);
  for (size_t j = 0; j < a->d_model; j++) {
    double heads = 0;
    for (size_t head = 0; head < n_head; head++)
      heads += (double)part(a, first + head)[j];
    bias[j] = (float)((double)bias[j] - heads);
  }
  return LIMN_OK;
}

static limn_status keep_mlp(void *user, const limn_observation *seen, limn_error *err) {
  limn_attribution *a = user;
  int64_t row = row_of(a, seen);
  (void)err;
  if (row < 0) return LIMN_OK;
  limn_tensor value = limn_tensor_select(&seen->value, 0, row);
  limn_tensor_gather(&value, part(a, layer_first(a, seen->hook.layer) + (size_t)a->n_head + 1));
  return LIMN_OK;
}

static limn_status keep_scale(void *user, const limn_observation *seen, limn_error *err) {
  limn_attribution *a = user;
  int64_t row = row_of(a, seen);
  (void)err;
  if (row < 0) return LIMN_OK;
  a->scale = (double)*limn_tensor_at(&seen->value, (int64_t[]){row, 0});
  a->is_seen = true;
  return LIMN_OK;
}

static limn_status watch(limn_attribution *a, limn_error *err) {
  static const struct {
    const char *hooks;
    limn_observer_fn keep;
  } points[N_HOOKS] = {{"hook_embed", keep_embedding},
                       {"hook_pos_embed", keep_embedding},
                       {"blocks.*.attn.hook_result", keep_heads},
                       {"blocks.*.hook_attn_out", keep_bias},
                       {"blocks.*.hook_mlp_out", keep_mlp},
                       {"ln_final.hook_scale", keep_scale}};
  for (int i = 0; i < N_HOOKS; i++) {
    limn_status status = limn_session_observe(a->session, points[i].hooks, LIMN_OBSERVE_READ,
                                              points[i].keep, a, &a->ids[i], err);
    if (status != LIMN_OK) return status;
    a->n_watched++;
  }
  return LIMN_OK;
}

limn_status limn_attribution_new(limn_session *s, int position, limn_attribution **out,
                                 limn_error *err) {
  const limn_config *config = limn_model_config(limn_session_model(s));
  *out = NULL;
  limn_attribution *a = limn_alloc_zeroed(1, sizeof *a);
  if (!a) return limn_out_of_memory(err, "attribution");
  *a = (limn_attribution){.session = s,
                          .position = position,
                          .n_layer = config->n_layer,
                          .n_head = config->n_head,
                          .d_model = (size_t)config->d_model};
  a->count = layer_first(a, config->n_layer) + 1;
  a->parts = limn_alloc_zeroed(a->count - 1, a->d_model * sizeof *a->parts);
  limn_status status = a->parts ? watch(a, err) : limn_out_of_memory(err, "attribution");
  if (status != LIMN_OK) {
    limn_attribution_free(a);
    return status;
  }
  *out = a;
  return LIMN_OK;
}

void limn_attribution_free(limn_attribution *a) {
  if (!a) return;
  for (int i = 0; i < a->n_watched; i++)
    limn_session_unobserve(a->session, a->ids[i]);
  limn_free(a->parts);
  limn_free(a);
}

/* ---- the sum ------------------------------------------------------------------------------------
 */

/* U_id, or U_id - U_against; `other` is room for one more. */
static limn_status read_direction(const limn_model *model, int32_t id, int32_t against,
                                  size_t d_model, float *column, float *other, double *direction,
                                  limn_error *err) {
  limn_status status = limn_model_unembedding(model, id, column, err);
  if (status == LIMN_OK && against != -1)
    status = limn_model_unembedding(model, against, other, err);
  for (size_t j = 0; status == LIMN_OK && j < d_model; j++)
    direction[j] = (double)column[j] - (against != -1 ? (double)other[j] : 0);
  return status;
}

/* The direction that the residual stream is read along, from U (d_model) in place; returns what the
   final norm's bias adds. */
static double through_final_norm(const limn_model *model, double scale, size_t d_model,
                                 double *direction) {
  const float *weight = limn_model_final_norm_weight(model);
  const float *bias = limn_model_final_norm_bias(model);
  double from_bias = 0, mean = 0;
  for (size_t j = 0; j < d_model; j++) {
    from_bias += (double)bias[j] * direction[j];
    direction[j] *= (double)weight[j];
    mean += direction[j];
  }
  mean /= (double)d_model;
  for (size_t j = 0; j < d_model; j++)
    direction[j] = (direction[j] - mean) / scale;
  return from_bias;
}

static void project(const limn_attribution *a, const double *direction, double *contributions,
                    double *sum) {
  double total = contributions[a->count - 1];
  for (size_t i = 0; i + 1 < a->count; i++) {
    contributions[i] = 0;
    for (size_t j = 0; j < a->d_model; j++)
      contributions[i] += (double)part(a, i)[j] * direction[j];
    total += contributions[i];
  }
  if (sum) *sum = total;
}

limn_status limn_attribution_of(const limn_attribution *a, int32_t id, int32_t against,
                                double *contributions, double *sum, limn_error *err) {
  const limn_model *model = limn_session_model(a->session);
  if (!a->is_seen)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the position to attribute was not evaluated yet");
  double *direction = limn_alloc_zeroed(a->d_model, sizeof *direction);
  float *columns = limn_alloc_zeroed(a->d_model, 2 * sizeof *columns);
  limn_status status = direction && columns
                           ? read_direction(model, id, against, a->d_model, columns,
                                            columns + a->d_model, direction, err)
                           : limn_out_of_memory(err, "attribution");
  if (status == LIMN_OK) {
    contributions[a->count - 1] = through_final_norm(model, a->scale, a->d_model, direction);
    project(a, direction, contributions, sum);
  }
  limn_free(direction);
  limn_free(columns);
  return status;
}
