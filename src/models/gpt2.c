/*
 * gpt2.c - the forward pass of GPT-2, from token ids to logits.
 *
 * Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3: the
 * decoder of Vaswani et al. 2017 with the layer norms moved in front of attention and MLP, and one
 * more at the end. A residual stream of d_model numbers for each position runs through all layers;
 * attention moves information between positions, the MLP works on each alone, and both only ever
 * add to the stream:
 *
 *     residual = W_E[token] + W_pos[position]
 *     for each layer:
 *         residual += attention(layer_norm_1(residual))
 *         residual += mlp(layer_norm_2(residual))
 *     logits = layer_norm(residual) W_U
 *
 * Each value is shown under its name (points.c) right where it lies, as soon as it is there;
 * whoever edits it changes what follows. Where nobody watches, `show` is one comparison.
 *
 * Attention is computed for blocks of queries of one head, the same way whether or not its scores
 * are watched: watching only means that the blocks lie in one array and that the stages (scores,
 * scale and mask, softmax, mix of values) wait for each other. So looking changes no bit.
 */
#include "base/memory.h"
#include "models/model.h"
#include "models/run.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Ends the function with what the call returned unless that is LIMN_OK. */
#define TRY(call)                                                                                  \
  do {                                                                                             \
    limn_status status_ = (call);                                                                  \
    if (status_ != LIMN_OK) return status_;                                                        \
  } while (0)

/* ---- memory
 * -------------------------------------------------------------------------------------- */

/* How many blocks of queries may be under way at once. */
static size_t block_slots(const limn_run *run) {
  return (size_t)limn_pool_size(run->pool);
}

void limn_run_take(limn_run *run, limn_arena *arena, bool all_logits) {
  const limn_config *c = limn_model_config(run->model);
  size_t n = (size_t)run->max_n, n_ctx = (size_t)run->n_ctx, f = sizeof(float);
  size_t d = (size_t)c->d_model, n_layer = (size_t)c->n_layer;
  run->d_step = limn_row_step(c->d_model);
  run->qkv_step = limn_row_step(3 * (int64_t)c->d_model);
  run->mlp_step = limn_row_step(c->d_mlp);
  run->block_step = limn_row_step((run->n_ctx + LIMN_PANEL - 1) / LIMN_PANEL * LIMN_PANEL);
  run->keys =
      limn_arena_take(arena, n_layer, (size_t)limn_key_cache_size(run->n_ctx, c->d_model) * f);
  run->values = limn_arena_take(arena, n_layer * n_ctx, d * f);
  run->residual = limn_arena_take(arena, n, (size_t)run->d_step * f);
  run->normalized = limn_arena_take(arena, n, (size_t)run->d_step * f);
  run->scale = limn_arena_take(arena, n, f);
  run->qkv = limn_arena_take(arena, n, (size_t)run->qkv_step * f);
  run->out = limn_arena_take(arena, n, (size_t)run->d_step * f);
  run->hidden = limn_arena_take(arena, n, (size_t)run->mlp_step * f);
  run->block =
      limn_arena_take(arena, block_slots(run), LIMN_QUERY_BLOCK * (size_t)run->block_step * f);
  int64_t widest = c->d_mlp > c->d_model ? c->d_mlp : c->d_model;
  run->scratch = limn_arena_take(
      arena, 1, limn_linear_scratch_size(run->model->arithmetic, run->max_n, widest));
  run->logits = limn_arena_take(arena, all_logits ? n : 1, (size_t)c->vocab_size * f);
}

void limn_run_take_scores(limn_run *run, limn_arena *arena) {
  size_t n_head = (size_t)limn_model_config(run->model)->n_head;
  size_t per_head = (size_t)run->max_n * sizeof(float);
  run->scores = limn_arena_take(arena, n_head * (size_t)run->n_ctx, per_head);
}

void limn_run_take_heads(limn_run *run, limn_arena *arena) {
  const limn_config *c = limn_model_config(run->model);
  size_t n = (size_t)run->max_n, d = (size_t)c->d_model, f = sizeof(float);
  run->heads = limn_arena_take(arena, n * (size_t)c->n_head, d * f);
  run->heads_copy = limn_arena_take(arena, n * (size_t)c->n_head, d * f);
  run->qkv_copy = limn_arena_take(arena, n, (size_t)run->qkv_step * f);
}

bool limn_point_needs_scores(limn_point point) {
  return point == LIMN_POINT_SCORES_RAW || point == LIMN_POINT_SCORES ||
         point == LIMN_POINT_PATTERN;
}

bool limn_point_needs_heads(limn_point point) {
  return point == LIMN_POINT_ATTN_IN || point == LIMN_POINT_Q_INPUT ||
         point == LIMN_POINT_K_INPUT || point == LIMN_POINT_V_INPUT || point == LIMN_POINT_RESULT;
}

/* ---- showing
 * --------------------------------------------------------------------------------------- */

static uint8_t wanted(const limn_run *run, limn_point point, int layer) {
  int row = layer < 0 ? limn_model_config(run->model)->n_layer : layer;
  return run->tap.wanted[(size_t)row * LIMN_POINT_COUNT + point];
}

/* Shows `data` of the point's shape, whose first axis has the given distance between rows. */
static limn_status show_rows(const limn_run *run, limn_point point, int layer, float *data,
                             int64_t row_stride, limn_error *err) {
  if (!wanted(run, point, layer)) return LIMN_OK;
  limn_hook hook = {&limn_gpt2_points[point], layer};
  int64_t shape[LIMN_MAX_RANK];
  int rank = limn_hook_shape(run->model, hook, run->n, run->past + run->n, shape);
  limn_tensor value = limn_tensor_view(data, rank, shape);
  if (row_stride) value.stride[0] = row_stride;
  return run->tap.visit(run->tap.user, hook, value, err);
}

static limn_status show(const limn_run *run, limn_point point, int layer, float *data,
                        limn_error *err) {
  return show_rows(run, point, layer, data, 0, err);
}

/* ---- layer norm
 * -------------------------------------------------------------------------------------- */

/*
 * Normalizes n rows of x, showing the divisor and the result; an edited divisor is the one
 * used.
 */
static limn_status norm(const limn_run *run, const limn_norm *weights, limn_point scale_point,
                        int layer, const float *x, int64_t n, limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  limn_norm_call call = {.x = x,
                         .n = n,
                         .d = c->d_model,
                         .x_step = run->d_step,
                         .weight = weights->weight,
                         .bias = weights->bias,
                         .eps = c->layer_norm_eps,
                         .scale = run->scale,
                         .out = run->normalized,
                         .out_step = run->d_step};
  limn_norm_apply(run->model->kernels, run->pool, &call);
  TRY(show(run, scale_point, layer, run->scale, err));
  if (wanted(run, scale_point, layer) & LIMN_WANT_EDIT) {
    call.is_scaled = true;
    limn_norm_apply(run->model->kernels, run->pool, &call);
  }
  return show_rows(run, (limn_point)(scale_point + 1), layer, run->normalized, run->d_step, err);
}

/* ---- products
 * ------------------------------------------------------------------------------------------ */

/* y = x W + bias, as the model computes it; more is set by the caller. */
static limn_linear_call product_of(const limn_run *run, const float *x, int64_t x_step, float *y,
                                   int64_t y_step) {
  return (limn_linear_call){.x = x,
                            .n = run->n,
                            .x_step = x_step,
                            .y = y,
                            .y_step = y_step,
                            .arithmetic = run->model->arithmetic,
                            .scratch = run->scratch};
}

static void add_to_residual(const limn_run *run) {
  limn_add_rows(run->model->kernels, run->pool, run->n, run->model->config.d_model, run->residual,
                run->out, run->d_step);
}

/*
 * What a layer's part adds to the stream: product, shown, summed; in one where nobody looks. The
 * sum is of the same two numbers either way.
 */
static limn_status add_product(const limn_run *run, const limn_linear *l, limn_point point,
                               int layer, const float *x, int64_t x_step, limn_error *err) {
  limn_linear_call call = product_of(run, x, x_step, run->out, run->d_step);
  bool is_watched = wanted(run, point, layer) != 0;
  if (!is_watched) {
    call.add_to = run->residual;
    call.add_step = run->d_step;
  }
  limn_linear_apply(l, run->pool, &call);
  if (!is_watched) return LIMN_OK;
  TRY(show_rows(run, point, layer, run->out, run->d_step, err));
  add_to_residual(run);
  return LIMN_OK;
}

/* ---- queries, keys, values
 * ------------------------------------------------------------------------------ */

/*
 * One of the three from inputs that differ from head to head: normalizes each head's input,
 * projects it, and keeps that head's part. `which` is 0 for queries, 1 for keys, 2 for values.
 */
static void project_heads(const limn_run *run, int layer, int which) {
  const limn_model *model = run->model;
  const limn_config *c = &model->config;
  const limn_gpt2_layer *weights = &model->layers[layer];
  int64_t d = c->d_model, n_head = c->n_head, d_head = c->d_head, step = run->qkv_step;
  limn_linear_call call =
      product_of(run, run->normalized, run->d_step, run->qkv_copy, run->qkv_step);
  for (int64_t head = 0; head < n_head; head++) {
    limn_norm_apply(model->kernels, run->pool,
                    &(limn_norm_call){.x = run->heads_copy + head * d,
                                      .n = run->n,
                                      .d = d,
                                      .x_step = n_head * d,
                                      .weight = weights->ln1.weight,
                                      .bias = weights->ln1.bias,
                                      .eps = c->layer_norm_eps,
                                      .out = run->normalized,
                                      .out_step = run->d_step});
    limn_linear_apply(&weights->qkv, run->pool, &call);
    int64_t part = which * d + head * d_head;
    for (int64_t i = 0; i < run->n; i++)
      memcpy(run->qkv + i * step + part, run->qkv_copy + i * step + part,
             (size_t)d_head * sizeof(float));
  }
}

/* The points on request in front of ln1; only where one is edited does it lead anywhere. */
static limn_status head_inputs(const limn_run *run, int layer, bool is_edited[3], limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  uint8_t any = wanted(run, LIMN_POINT_ATTN_IN, layer);
  for (int i = 0; i < 3; i++) {
    uint8_t want = wanted(run, (limn_point)(LIMN_POINT_Q_INPUT + i), layer);
    is_edited[i] = ((want | wanted(run, LIMN_POINT_ATTN_IN, layer)) & LIMN_WANT_EDIT) != 0;
    any |= want;
  }
  if (!any) return LIMN_OK;
  for (int64_t i = 0; i < run->n * c->n_head; i++)
    memcpy(run->heads + i * c->d_model, run->residual + i / c->n_head * run->d_step,
           (size_t)c->d_model * sizeof(float));
  return show(run, LIMN_POINT_ATTN_IN, layer, run->heads, err);
}

static limn_status split_input(const limn_run *run, int layer, int which, bool is_edited,
                               limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  limn_point point = (limn_point)(LIMN_POINT_Q_INPUT + which);
  if (!is_edited && !wanted(run, point, layer)) return LIMN_OK;
  memcpy(run->heads_copy, run->heads, (size_t)(run->n * c->n_head * c->d_model) * sizeof(float));
  TRY(show(run, point, layer, run->heads_copy, err));
  if (is_edited) project_heads(run, layer, which);
  return LIMN_OK;
}

static float *keys_of(const limn_run *run, int layer) {
  return run->keys + layer * limn_key_cache_size(run->n_ctx, run->model->config.d_model);
}

/* Position 0 first. (n_ctx, d_model) */
static float *values_of(const limn_run *run, int layer) {
  return run->values + (int64_t)layer * run->n_ctx * run->model->config.d_model;
}

/* Shows the new queries, keys and values; what the observers leave of the latter goes to the cache.
 */
static limn_status store_keys_and_values(const limn_run *run, int layer, limn_error *err) {
  int64_t d = run->model->config.d_model, step = run->qkv_step;
  TRY(show_rows(run, LIMN_POINT_Q, layer, run->qkv, step, err));
  TRY(show_rows(run, LIMN_POINT_K, layer, run->qkv + d, step, err));
  TRY(show_rows(run, LIMN_POINT_V, layer, run->qkv + 2 * d, step, err));
  limn_store_keys(run->model->kernels, keys_of(run, layer), d, run->past, run->n, run->qkv + d,
                  step);
  float *values = values_of(run, layer) + run->past * d;
  for (int64_t i = 0; i < run->n; i++)
    memcpy(values + i * d, run->qkv + i * step + 2 * d, (size_t)d * sizeof(float));
  return LIMN_OK;
}

static limn_status queries_keys_values(const limn_run *run, int layer, limn_error *err) {
  const limn_gpt2_layer *weights = &run->model->layers[layer];
  bool is_edited[3];
  TRY(head_inputs(run, layer, is_edited, err));
  TRY(norm(run, &weights->ln1, LIMN_POINT_LN1_SCALE, layer, run->residual, run->n, err));
  limn_linear_call call = product_of(run, run->normalized, run->d_step, run->qkv, run->qkv_step);
  limn_linear_apply(&weights->qkv, run->pool, &call);
  for (int which = 0; which < 3; which++)
    TRY(split_input(run, layer, which, is_edited[which], err));
  return store_keys_and_values(run, layer, err);
}

/* ---- attention
 * ------------------------------------------------------------------------------------------- */

/*
 * What the blocks of a layer have in common. A block looks at the keys that its last query sees. An
 * edit may bring keys behind a query into play, so after one each stage looks at all of them; what
 * an observer is shown of the rest of a row is filled in beside that.
 */
typedef struct attention {
  const limn_run *run;
  int layer;
  bool softmax_all;         /* scores were edited */
  bool mix_all;             /* scores or pattern were edited */
  atomic_size_t next_block; /* of those that the slots take one by one */
} attention;

/* Queries [first, first + n) of a head. */
typedef struct block {
  int64_t head, first, n;
  int64_t n_seen; /* keys that the last of them sees */
  int64_t n_key;  /* all keys */
} block;

static int64_t blocks_per_head(const limn_run *run) {
  return (run->n + LIMN_QUERY_BLOCK - 1) / LIMN_QUERY_BLOCK;
}

static size_t block_count(const limn_run *run) {
  return (size_t)(run->model->config.n_head * blocks_per_head(run));
}

static block block_at(const limn_run *run, size_t i) {
  int64_t per_head = blocks_per_head(run);
  block b = {.head = (int64_t)i / per_head, .first = (int64_t)i % per_head * LIMN_QUERY_BLOCK};
  b.n = run->n - b.first < LIMN_QUERY_BLOCK ? run->n - b.first : LIMN_QUERY_BLOCK;
  b.n_seen = run->past + b.first + b.n;
  b.n_key = run->past + run->n;
  return b;
}

/* scores (b.n, n_key) with the given distance between rows */
static void raw_scores(const attention *a, block b, int64_t n_key, float *scores, int64_t stride) {
  const limn_run *run = a->run;
  const limn_config *c = &run->model->config;
  int64_t at = b.head * c->d_head;
  limn_attention_scores(run->model->kernels, run->qkv + b.first * run->qkv_step + at, run->qkv_step,
                        b.n, keys_of(run, a->layer), c->d_model, at, n_key, c->d_head, scores,
                        stride);
}

/* Divides by sqrt(d_head) and puts -inf where the key lies behind the query. */
static void scale_and_mask(const attention *a, block b, int64_t n_key, float *scores,
                           int64_t stride) {
  const limn_model *model = a->run->model;
  float divisor = sqrtf((float)model->config.d_head);
  for (int64_t i = 0; i < b.n; i++) {
    float *row = scores + i * stride;
    int64_t n_seen = a->run->past + b.first + i + 1;
    model->kernels->divide(n_seen, row, divisor);
    for (int64_t k = n_seen; k < n_key; k++)
      row[k] = -INFINITY;
  }
}

/* Over the first n_key scores of each row. */
static void softmax(const attention *a, block b, int64_t n_key, float *scores, int64_t stride) {
  for (int64_t i = 0; i < b.n; i++)
    a->run->model->kernels->softmax(n_key, scores + i * stride);
}

/* Over what each query sees. */
static void softmax_seen(const attention *a, block b, float *scores, int64_t stride) {
  for (int64_t i = 0; i < b.n; i++)
    a->run->model->kernels->softmax(a->run->past + b.first + i + 1, scores + i * stride);
}

/*
 * z goes to run->normalized, whose content has done its work. A query mixes what it sees, or after
 * an edit all n_key values.
 */
static void mix_values(const attention *a, block b, bool is_all, const float *pattern,
                       int64_t stride) {
  const limn_run *run = a->run;
  const limn_config *c = &run->model->config;
  int64_t at = b.head * c->d_head;
  limn_attention_mix(run->model->kernels, pattern, stride, b.n,
                     is_all ? b.n_key : run->past + b.first + 1, is_all,
                     values_of(run, a->layer) + at, c->d_model, c->d_head,
                     run->normalized + b.first * run->d_step + at, run->d_step);
}

/* Unwatched: each slot has room for one block's scores and takes block after block. */
static void attend_slot(void *user, size_t slot) {
  attention *a = user;
  const limn_run *run = a->run;
  int64_t step = run->block_step;
  float *scores = run->block + (int64_t)slot * LIMN_QUERY_BLOCK * step;
  size_t i;
  while ((i = atomic_fetch_add_explicit(&a->next_block, 1, memory_order_relaxed)) <
         block_count(run)) {
    block b = block_at(run, i);
    raw_scores(a, b, (b.n_seen + LIMN_PANEL - 1) / LIMN_PANEL * LIMN_PANEL, scores, step);
    scale_and_mask(a, b, 0, scores, step);
    softmax_seen(a, b, scores, step);
    mix_values(a, b, false, scores, step);
  }
}

/* Watched: the stages one after the other, on the array of all scores, (n_head, n, n_key). */
static float *scores_of(const limn_run *run, block b) {
  return run->scores + (b.head * run->n + b.first) * b.n_key;
}

static void raw_scores_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->run, i);
  raw_scores(a, b, b.n_key, scores_of(a->run, b), b.n_key);
}

static void mask_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->run, i);
  scale_and_mask(a, b, b.n_key, scores_of(a->run, b), b.n_key);
}

static void softmax_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->run, i);
  float *scores = scores_of(a->run, b);
  if (a->softmax_all) {
    softmax(a, b, b.n_key, scores, b.n_key);
    return;
  }
  softmax_seen(a, b, scores, b.n_key);
  for (int64_t row = 0; row < b.n; row++) {
    int64_t n_seen = a->run->past + b.first + row + 1;
    memset(scores + row * b.n_key + n_seen, 0, (size_t)(b.n_key - n_seen) * sizeof *scores);
  }
}

static void mix_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->run, i);
  mix_values(a, b, a->mix_all, scores_of(a->run, b), b.n_key);
}

static limn_status attend(const limn_run *run, int layer, limn_error *err) {
  uint8_t raw = wanted(run, LIMN_POINT_SCORES_RAW, layer);
  uint8_t scores = wanted(run, LIMN_POINT_SCORES, layer);
  uint8_t pattern = wanted(run, LIMN_POINT_PATTERN, layer);
  attention a = {run, layer, .softmax_all = ((raw | scores) & LIMN_WANT_EDIT) != 0,
                 .mix_all = ((raw | scores | pattern) & LIMN_WANT_EDIT) != 0};
  if (raw | scores | pattern) {
    size_t n = block_count(run);
    limn_pool_run(run->pool, n, raw_scores_stage, &a);
    TRY(show(run, LIMN_POINT_SCORES_RAW, layer, run->scores, err));
    limn_pool_run(run->pool, n, mask_stage, &a);
    TRY(show(run, LIMN_POINT_SCORES, layer, run->scores, err));
    limn_pool_run(run->pool, n, softmax_stage, &a);
    TRY(show(run, LIMN_POINT_PATTERN, layer, run->scores, err));
    limn_pool_run(run->pool, n, mix_stage, &a);
  } else {
    limn_pool_run(run->pool, block_slots(run), attend_slot, &a);
  }
  return show_rows(run, LIMN_POINT_Z, layer, run->normalized, run->d_step, err);
}

/* Each head's share of the output: its part of z times its rows of W_O. (n, n_head, d_model) */
static void split_result(const limn_run *run, int layer) {
  const limn_config *c = &run->model->config;
  const limn_linear *out = &run->model->layers[layer].out;
  int64_t d = c->d_model;
  for (int64_t head = 0; head < c->n_head; head++)
    limn_linear_apply_part(out, run->pool, head * c->d_head, c->d_head,
                           run->normalized + head * c->d_head, run->n, run->d_step,
                           run->heads_copy + head * d, c->n_head * d);
}

/* The output as bias plus the sum of the (edited) shares. */
static void sum_result(const limn_run *run, int layer) {
  const limn_config *c = &run->model->config;
  const float *bias = run->model->layers[layer].out.bias;
  int64_t d = c->d_model;
  for (int64_t i = 0; i < run->n; i++) {
    float *out = run->out + i * run->d_step;
    memcpy(out, bias, (size_t)d * sizeof *bias);
    run->model->kernels->add(c->n_head, d, out, 0, run->heads_copy + i * c->n_head * d, d);
  }
}

static limn_status attention_output(const limn_run *run, int layer, limn_error *err) {
  uint8_t result = wanted(run, LIMN_POINT_RESULT, layer);
  if (result) {
    split_result(run, layer);
    TRY(show(run, LIMN_POINT_RESULT, layer, run->heads_copy, err));
  }
  if (!(result & LIMN_WANT_EDIT))
    return add_product(run, &run->model->layers[layer].out, LIMN_POINT_ATTN_OUT, layer,
                       run->normalized, run->d_step, err);
  sum_result(run, layer);
  TRY(show_rows(run, LIMN_POINT_ATTN_OUT, layer, run->out, run->d_step, err));
  add_to_residual(run);
  return LIMN_OK;
}

/* ---- the MLP
 * ------------------------------------------------------------------------------------------------
 */

/* What ln2 reads: the stream itself, or a copy that an observer may have edited. */
static limn_status mlp_input(const limn_run *run, int layer, const float **input, limn_error *err) {
  *input = run->residual;
  if (!wanted(run, LIMN_POINT_MLP_IN, layer)) return LIMN_OK;
  memcpy(run->out, run->residual, (size_t)(run->n * run->d_step) * sizeof(float));
  *input = run->out;
  return show_rows(run, LIMN_POINT_MLP_IN, layer, run->out, run->d_step, err);
}

static limn_status mlp(const limn_run *run, int layer, limn_error *err) {
  const limn_config *c = &run->model->config;
  const limn_gpt2_layer *weights = &run->model->layers[layer];
  int64_t step = run->mlp_step;
  const float *input;
  TRY(mlp_input(run, layer, &input, err));
  TRY(norm(run, &weights->ln2, LIMN_POINT_LN2_SCALE, layer, input, run->n, err));
  limn_linear_call call = product_of(run, run->normalized, run->d_step, run->hidden, step);
  call.is_activated = !wanted(run, LIMN_POINT_MLP_PRE, layer);
  call.activation = c->activation;
  limn_linear_apply(&weights->mlp_in, run->pool, &call);
  if (!call.is_activated) {
    TRY(show_rows(run, LIMN_POINT_MLP_PRE, layer, run->hidden, step, err));
    limn_activate_rows(run->model->kernels, run->pool, c->activation, run->n, c->d_mlp, run->hidden,
                       step);
  }
  TRY(show_rows(run, LIMN_POINT_MLP_POST, layer, run->hidden, step, err));
  return add_product(run, &weights->mlp_out, LIMN_POINT_MLP_OUT, layer, run->hidden, step, err);
}

/* ---- all of it
 * ------------------------------------------------------------------------------------------------
 */

/* Ids as numbers, which an observer may replace by other ids. */
static limn_status show_tokens(const limn_run *run, limn_error *err) {
  const limn_config *c = &run->model->config;
  float *tokens = run->scale;
  for (int64_t i = 0; i < run->n; i++)
    tokens[i] = (float)run->ids[i];
  TRY(show(run, LIMN_POINT_TOKENS, -1, tokens, err));
  for (int64_t i = 0; i < run->n; i++) {
    if (!(tokens[i] >= 0 && tokens[i] < (float)c->vocab_size && tokens[i] == truncf(tokens[i])))
      return limn_error_set(err, LIMN_ERROR_RANGE, (uint64_t)i,
                            "hook_tokens was set to %g at position %lld, expected an id from 0 to "
                            "%d",
                            (double)tokens[i], (long long)i, c->vocab_size - 1);
  }
  return LIMN_OK;
}

static limn_status embed(const limn_run *run, limn_error *err) {
  const limn_model *model = run->model;
  int64_t d = model->config.d_model;
  bool is_shown = wanted(run, LIMN_POINT_TOKENS, -1) != 0;
  if (is_shown) TRY(show_tokens(run, err));
  for (int64_t i = 0; i < run->n; i++) {
    int64_t id = is_shown ? (int64_t)run->scale[i] : run->ids[i];
    limn_stored_to_f32(&model->token_embedding, id * d, d, run->residual + i * run->d_step);
    limn_stored_to_f32(&model->position_embedding, (run->past + i) * d, d,
                       run->out + i * run->d_step);
  }
  TRY(show_rows(run, LIMN_POINT_EMBED, -1, run->residual, run->d_step, err));
  TRY(show_rows(run, LIMN_POINT_POS_EMBED, -1, run->out, run->d_step, err));
  add_to_residual(run);
  return LIMN_OK;
}

/* Attention, from its scores on, and the MLP. */
static limn_status finish_layer(const limn_run *run, int layer, limn_error *err) {
  TRY(attend(run, layer, err));
  TRY(attention_output(run, layer, err));
  TRY(show_rows(run, LIMN_POINT_RESID_MID, layer, run->residual, run->d_step, err));
  TRY(mlp(run, layer, err));
  return show_rows(run, LIMN_POINT_RESID_POST, layer, run->residual, run->d_step, err);
}

/* Whether anything behind a layer's keys and values is watched. */
static bool is_end_watched(const limn_run *run, int layer) {
  for (int point = LIMN_POINT_SCORES_RAW; point <= LIMN_POINT_RESID_POST; point++)
    if (wanted(run, (limn_point)point, layer)) return true;
  return wanted(run, LIMN_POINT_FINAL_SCALE, -1) || wanted(run, LIMN_POINT_FINAL_NORMALIZED, -1);
}

/*
 * Behind the last layer's keys and values, only the rows that get logits lead anywhere. No row
 * knows how many others there are, so leaving some out changes no bit of those that stay.
 */
static limn_run last_rows(const limn_run *run) {
  limn_run rows = *run;
  int64_t skipped = run->n - run->n_logits;
  rows.ids += skipped;
  rows.n -= skipped;
  rows.past += skipped;
  rows.residual += skipped * run->d_step;
  rows.normalized += skipped * run->d_step;
  rows.qkv += skipped * run->qkv_step;
  return rows;
}

static limn_status run_layer(const limn_run *run, int layer, limn_error *err) {
  TRY(show_rows(run, LIMN_POINT_RESID_PRE, layer, run->residual, run->d_step, err));
  TRY(queries_keys_values(run, layer, err));
  bool is_last = layer == run->model->config.n_layer - 1;
  if (!is_last || run->n_logits == 0 || is_end_watched(run, layer))
    return finish_layer(run, layer, err);
  limn_run rows = last_rows(run);
  return finish_layer(&rows, layer, err);
}

/* The last n_logits rows get logits; the final norm covers all rows only when it is watched. */
static limn_status unembed(const limn_run *run, limn_error *err) {
  const limn_model *model = run->model;
  bool is_watched =
      wanted(run, LIMN_POINT_FINAL_SCALE, -1) || wanted(run, LIMN_POINT_FINAL_NORMALIZED, -1);
  int64_t n = is_watched ? run->n : run->n_logits;
  TRY(norm(run, &model->final_norm, LIMN_POINT_FINAL_SCALE, -1,
           run->residual + (run->n - n) * run->d_step, n, err));
  limn_linear_call call = product_of(run, run->normalized + (n - run->n_logits) * run->d_step,
                                     run->d_step, run->logits, model->config.vocab_size);
  call.n = run->n_logits;
  limn_linear_apply(&model->unembedding, run->pool, &call);
  return LIMN_OK;
}

limn_status limn_gpt2_forward(limn_run *run, limn_error *err) {
  TRY(embed(run, err));
  for (int layer = 0; layer < run->n_layer_to_run; layer++) {
    if (run->should_stop && run->should_stop(run->should_stop_user))
      return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET,
                            "cancelled before layer %d of %d", layer, run->n_layer_to_run);
    TRY(run_layer(run, layer, err));
  }
  return run->n_logits > 0 ? unembed(run, err) : LIMN_OK;
}
