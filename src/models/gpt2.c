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
 * A pass takes any number of sequences, whose rows lie behind one another: products, norms and sums
 * go over all rows, so that each weight is read once; embeddings, keys and values, and attention go
 * sequence by sequence. No row knows how many others there are (kernels.h), so a sequence gets the
 * numbers that it gets alone, to the bit. One may begin in front of a later layer, with a stream
 * that was kept, or end early; the rows of those under way are always the first ones.
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
#include "nn/kv_cache.h"

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

void limn_run_take(limn_run *run, limn_arena *arena) {
  const limn_config *c = limn_model_config(run->model);
  size_t n = (size_t)run->max_rows, f = sizeof(float);
  run->d_step = limn_row_step(c->d_model);
  run->qkv_step = limn_row_step(3 * (int64_t)c->d_model);
  run->mlp_step = limn_row_step(c->d_mlp);
  run->block_step = limn_row_step((run->max_ctx + LIMN_PANEL - 1) / LIMN_PANEL * LIMN_PANEL);
  run->active = limn_arena_take(arena, n, sizeof *run->active);
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
      arena, 1,
      limn_linear_scratch_size(run->model->kernels, run->model->arithmetic, run->max_rows, widest));
  run->logits = limn_arena_take(arena, n, sizeof *run->logits);
}

_Static_assert((int)LIMN_QUERY_BLOCK <= (int)LIMN_TILE, "what a cache takes at once");

/* A layer's keys and values. */
static limn_kv_cache cache_of(const limn_model *model, const limn_sequence *s, int layer) {
  limn_kv_cache c = {.kernels = model->kernels,
                     .n_ctx = s->n_ctx,
                     .n_head = model->config.n_head,
                     .d_head = model->config.d_head,
                     .has_word_keys = model->arithmetic != LIMN_ARITHMETIC_F32,
                     .has_half_values = model->arithmetic == LIMN_ARITHMETIC_INT8};
  if (s->keys) c.keys = s->keys + (size_t)layer * limn_kv_cache_keys_size(&c);
  if (s->values) c.values = s->values + (size_t)layer * limn_kv_cache_values_size(&c);
  return c;
}

void limn_sequence_take(limn_sequence *s, const limn_model *model, int64_t n_logits,
                        limn_arena *arena) {
  const limn_config *c = limn_model_config(model);
  limn_kv_cache cache = cache_of(model, s, 0);
  s->keys = limn_arena_take(arena, (size_t)c->n_layer, limn_kv_cache_keys_size(&cache));
  s->values = limn_arena_take(arena, (size_t)c->n_layer, limn_kv_cache_values_size(&cache));
  s->logits = limn_arena_take(arena, (size_t)n_logits, (size_t)c->vocab_size * sizeof(float));
}

void limn_sequence_take_scores(limn_sequence *s, const limn_model *model, limn_arena *arena) {
  size_t n_head = (size_t)limn_model_config(model)->n_head, n_ctx = (size_t)s->n_ctx;
  s->scores = limn_arena_take(arena, n_head * n_ctx, n_ctx * sizeof(float));
}

void limn_sequence_take_heads(limn_sequence *s, const limn_model *model, limn_arena *arena) {
  const limn_config *c = limn_model_config(model);
  size_t n = (size_t)s->n_ctx, d = (size_t)c->d_model, f = sizeof(float);
  s->heads = limn_arena_take(arena, n * (size_t)c->n_head, d * f);
  s->heads_copy = limn_arena_take(arena, n * (size_t)c->n_head, d * f);
  s->qkv_copy = limn_arena_take(arena, n, (size_t)limn_row_step(3 * (int64_t)c->d_model) * f);
}

bool limn_point_needs_scores(limn_point point) {
  return point == LIMN_POINT_SCORES_RAW || point == LIMN_POINT_SCORES ||
         point == LIMN_POINT_PATTERN;
}

bool limn_point_needs_heads(limn_point point) {
  return point == LIMN_POINT_ATTN_IN || point == LIMN_POINT_Q_INPUT ||
         point == LIMN_POINT_K_INPUT || point == LIMN_POINT_V_INPUT || point == LIMN_POINT_RESULT;
}

void limn_gpt2_copy_cache(const limn_model *model, limn_sequence *to, const limn_sequence *from,
                          int first_layer, int64_t length) {
  for (int i = first_layer; i < model->config.n_layer; i++) {
    limn_kv_cache a = cache_of(model, to, i), b = cache_of(model, from, i);
    limn_kv_cache_copy(&a, &b, length);
  }
}

/* ---- which sequences are under way
 * ------------------------------------------------------------------ */

/* For every sequence s that is under way. */
#define EACH_SEQUENCE(run, s)                                                                      \
  for (size_t i_##s = 0; i_##s < (run)->n_active; i_##s++)                                         \
    for (limn_sequence *s = (run)->active[i_##s]; s; s = NULL)

/* A sequence's rows of a buffer. */
static float *rows_of(const limn_sequence *s, float *buffer, int64_t step) {
  return buffer + s->row * step;
}

static void move_rows(float *buffer, int64_t step, int64_t to, int64_t from, int64_t n) {
  memmove(buffer + to * step, buffer + from * step, (size_t)(n * step) * sizeof *buffer);
}

/* Leaves each sequence the last `keep` of its rows, moved together; one without rows is done. */
static void close_up(limn_run *run) {
  size_t n_left = 0;
  int64_t to = 0;
  for (size_t i = 0; i < run->n_active; i++) {
    limn_sequence *s = run->active[i];
    int64_t skipped = s->n - s->keep, from = s->row + skipped;
    s->past += skipped;
    s->n = s->keep;
    s->row = to;
    if (from != to && s->n > 0) {
      move_rows(run->residual, run->d_step, to, from, s->n);
      move_rows(run->normalized, run->d_step, to, from, s->n);
      move_rows(run->qkv, run->qkv_step, to, from, s->n);
    }
    to += s->n;
    if (s->n > 0) run->active[n_left++] = s;
  }
  run->n_active = n_left;
  run->n = to;
}

/* Those that end in front of this layer are done. */
static void leave(limn_run *run, int layer) {
  EACH_SEQUENCE (run, s)
    s->keep = s->end_layer > layer ? s->n : 0;
  close_up(run);
}

/* ---- showing
 * --------------------------------------------------------------------------------------- */

static uint8_t wanted(const limn_run *run, const limn_sequence *s, limn_point point, int layer) {
  int row = layer < 0 ? limn_model_config(run->model)->n_layer : layer;
  return s->tap.wanted[(size_t)row * LIMN_POINT_COUNT + point];
}

/* By any sequence. */
static uint8_t any_wanted(const limn_run *run, limn_point point, int layer) {
  uint8_t any = 0;
  EACH_SEQUENCE (run, s)
    any |= wanted(run, s, point, layer);
  return any;
}

/* Shows `data` of the point's shape, whose first axis has the given distance between rows. */
static limn_status show_rows(const limn_run *run, const limn_sequence *s, limn_point point,
                             int layer, float *data, int64_t row_stride, limn_error *err) {
  if (!wanted(run, s, point, layer)) return LIMN_OK;
  limn_hook hook = {&limn_gpt2_points[point], layer};
  int64_t shape[LIMN_MAX_RANK];
  int rank = limn_hook_shape(run->model, hook, s->n, s->past + s->n, shape);
  limn_tensor value = limn_tensor_view(data, rank, shape);
  if (row_stride) value.stride[0] = row_stride;
  return s->tap.visit(s->tap.user, hook, value, err);
}

static limn_status show(const limn_run *run, const limn_sequence *s, limn_point point, int layer,
                        float *data, limn_error *err) {
  return show_rows(run, s, point, layer, data, 0, err);
}

/* Shows each sequence its rows of a buffer. */
static limn_status show_all(const limn_run *run, limn_point point, int layer, float *buffer,
                            int64_t step, limn_error *err) {
  EACH_SEQUENCE (run, s)
    TRY(show_rows(run, s, point, layer, rows_of(s, buffer, step), step, err));
  return LIMN_OK;
}

/* ---- layer norm
 * -------------------------------------------------------------------------------------- */

/* Normalizes all rows of x, showing the divisor and the result; an edited divisor is the one used.
 */
static limn_status norm(const limn_run *run, const limn_norm *weights, limn_point scale_point,
                        int layer, const float *x, limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  limn_norm_call call = {.x = x,
                         .n = run->n,
                         .d = c->d_model,
                         .x_step = run->d_step,
                         .weight = weights->weight,
                         .bias = weights->bias,
                         .eps = c->layer_norm_eps,
                         .scale = run->scale,
                         .out = run->normalized,
                         .out_step = run->d_step};
  limn_norm_apply(run->model->kernels, run->pool, &call);
  TRY(show_all(run, scale_point, layer, run->scale, 1, err));
  if (any_wanted(run, scale_point, layer) & LIMN_WANT_EDIT) {
    call.is_scaled = true; /* where nobody edited, the same again */
    limn_norm_apply(run->model->kernels, run->pool, &call);
  }
  return show_all(run, (limn_point)(scale_point + 1), layer, run->normalized, run->d_step, err);
}

/* ---- products
 * ------------------------------------------------------------------------------------------ */

/* y = x W + bias for all rows, as the model computes it; more is set by the caller. */
static limn_linear_call product_of(const limn_run *run, const float *x, int64_t x_step, float *y,
                                   int64_t y_step) {
  return (limn_linear_call){.x = x,
                            .n = run->n,
                            .x_step = x_step,
                            .y = y,
                            .y_step = y_step,
                            .arithmetic = run->model->arithmetic,
                            .is_tiled = run->is_tiled,
                            .scratch = run->scratch};
}

static void add_to_residual(const limn_run *run) {
  limn_add_rows(run->model->kernels, run->pool, run->n, run->model->config.d_model, run->residual,
                run->out, run->d_step);
}

/*
 * What a layer's part adds to the stream goes to run->out, or straight to the stream. The sum is of
 * the same two numbers either way.
 */
static void apply_output(const limn_run *run, const limn_linear *l, const float *x, int64_t x_step,
                         bool is_apart) {
  limn_linear_call call = product_of(run, x, x_step, run->out, run->d_step);
  if (!is_apart) {
    call.add_to = run->residual;
    call.add_step = run->d_step;
  }
  limn_linear_apply(l, run->pool, &call);
}

/* ---- queries, keys, values
 * ------------------------------------------------------------------------------ */

/*
 * One of the three from inputs that differ from head to head: normalizes each head's input,
 * projects it, and keeps that head's part. `which` is 0 for queries, 1 for keys, 2 for values.
 */
static void project_heads(const limn_run *run, const limn_sequence *s, int layer, int which) {
  const limn_model *model = run->model;
  const limn_config *c = &model->config;
  const limn_gpt2_layer *weights = &model->layers[layer];
  int64_t d = c->d_model, n_head = c->n_head, d_head = c->d_head, step = run->qkv_step;
  float *qkv = rows_of(s, run->qkv, step);
  limn_linear_call call = product_of(run, run->normalized, run->d_step, s->qkv_copy, step);
  call.n = s->n;
  for (int64_t head = 0; head < n_head; head++) {
    limn_norm_apply(model->kernels, run->pool,
                    &(limn_norm_call){.x = s->heads_copy + head * d,
                                      .n = s->n,
                                      .d = d,
                                      .x_step = n_head * d,
                                      .weight = weights->ln1.weight,
                                      .bias = weights->ln1.bias,
                                      .eps = c->layer_norm_eps,
                                      .out = run->normalized,
                                      .out_step = run->d_step});
    limn_linear_apply(&weights->qkv, run->pool, &call);
    int64_t part = which * d + head * d_head;
    for (int64_t i = 0; i < s->n; i++)
      memcpy(qkv + i * step + part, s->qkv_copy + i * step + part, (size_t)d_head * sizeof(float));
  }
}

/* The points on request in front of ln1; only where one is edited does it lead anywhere. */
static limn_status head_inputs(const limn_run *run, const limn_sequence *s, int layer,
                               limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  const float *residual = rows_of(s, run->residual, run->d_step);
  uint8_t any = wanted(run, s, LIMN_POINT_ATTN_IN, layer);
  for (int i = 0; i < 3; i++)
    any |= wanted(run, s, (limn_point)(LIMN_POINT_Q_INPUT + i), layer);
  if (!any) return LIMN_OK;
  for (int64_t i = 0; i < s->n * c->n_head; i++)
    memcpy(s->heads + i * c->d_model, residual + i / c->n_head * run->d_step,
           (size_t)c->d_model * sizeof(float));
  return show(run, s, LIMN_POINT_ATTN_IN, layer, s->heads, err);
}

static limn_status split_input(const limn_run *run, const limn_sequence *s, int layer, int which,
                               limn_error *err) {
  const limn_config *c = limn_model_config(run->model);
  limn_point point = (limn_point)(LIMN_POINT_Q_INPUT + which);
  uint8_t want = wanted(run, s, point, layer);
  bool is_edited = ((want | wanted(run, s, LIMN_POINT_ATTN_IN, layer)) & LIMN_WANT_EDIT) != 0;
  if (!is_edited && !want) return LIMN_OK;
  memcpy(s->heads_copy, s->heads, (size_t)(s->n * c->n_head * c->d_model) * sizeof(float));
  TRY(show(run, s, point, layer, s->heads_copy, err));
  if (is_edited) project_heads(run, s, layer, which);
  return LIMN_OK;
}

typedef struct storing {
  const limn_run *run;
  const limn_sequence *s;
  int layer;
} storing;

/* The new keys and values of a panel of positions go to the cache. */
static void store_task(void *user, size_t i) {
  const storing *t = user;
  const limn_sequence *s = t->s;
  const limn_model *model = t->run->model;
  int64_t d = model->config.d_model, step = t->run->qkv_step;
  int64_t panel = s->past / LIMN_PANEL + (int64_t)i, end = (panel + 1) * LIMN_PANEL;
  int64_t first = i == 0 ? s->past : panel * LIMN_PANEL;
  if (end > s->past + s->n) end = s->past + s->n;
  const float *keys = rows_of(s, t->run->qkv, step) + (first - s->past) * step + d;
  limn_kv_cache cache = cache_of(model, s, t->layer);
  limn_kv_cache_store(&cache, first, end - first, keys, keys + d, step);
}

/* Shows the new queries, keys and values; what the observers leave of the latter goes to the cache.
 */
static limn_status store_keys_and_values(const limn_run *run, const limn_sequence *s, int layer,
                                         limn_error *err) {
  int64_t d = run->model->config.d_model, step = run->qkv_step;
  float *qkv = rows_of(s, run->qkv, step);
  TRY(show_rows(run, s, LIMN_POINT_Q, layer, qkv, step, err));
  TRY(show_rows(run, s, LIMN_POINT_K, layer, qkv + d, step, err));
  TRY(show_rows(run, s, LIMN_POINT_V, layer, qkv + 2 * d, step, err));
  storing t = {run, s, layer};
  int64_t n_panels = (s->past + s->n - 1) / LIMN_PANEL - s->past / LIMN_PANEL + 1;
  limn_pool_run(run->pool, (size_t)n_panels, store_task, &t);
  return LIMN_OK;
}

static limn_status queries_keys_values(const limn_run *run, int layer, limn_error *err) {
  const limn_gpt2_layer *weights = &run->model->layers[layer];
  EACH_SEQUENCE (run, s)
    TRY(head_inputs(run, s, layer, err));
  TRY(norm(run, &weights->ln1, LIMN_POINT_LN1_SCALE, layer, run->residual, err));
  limn_linear_call call = product_of(run, run->normalized, run->d_step, run->qkv, run->qkv_step);
  limn_linear_apply(&weights->qkv, run->pool, &call);
  EACH_SEQUENCE (run, s) {
    for (int which = 0; which < 3; which++)
      TRY(split_input(run, s, layer, which, err));
    TRY(store_keys_and_values(run, s, layer, err));
  }
  return LIMN_OK;
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
  const limn_sequence *s;   /* where its scores are watched */
  bool softmax_all;         /* scores were edited */
  bool mix_all;             /* scores or pattern were edited */
  atomic_size_t next_block; /* of those that the slots take one by one */
} attention;

/* Queries [first, first + n) of a head. */
typedef struct block {
  const limn_sequence *s;
  int64_t head, first, n;
  int64_t n_seen; /* keys that the last of them sees */
  int64_t n_key;  /* all keys */
} block;

static int64_t blocks_per_head(const limn_sequence *s) {
  return (s->n + LIMN_QUERY_BLOCK - 1) / LIMN_QUERY_BLOCK;
}

static size_t block_count(const limn_run *run, const limn_sequence *s) {
  return (size_t)(run->model->config.n_head * blocks_per_head(s));
}

static block block_at(const limn_sequence *s, size_t i) {
  int64_t per_head = blocks_per_head(s);
  block b = {
      .s = s, .head = (int64_t)i / per_head, .first = (int64_t)i % per_head * LIMN_QUERY_BLOCK};
  b.n = s->n - b.first < LIMN_QUERY_BLOCK ? s->n - b.first : LIMN_QUERY_BLOCK;
  b.n_seen = s->past + b.first + b.n;
  b.n_key = s->past + s->n;
  return b;
}

/* scores (b.n, n_key) with the given distance between rows */
static void raw_scores(const attention *a, block b, int64_t n_key, float *scores, int64_t stride) {
  const limn_run *run = a->run;
  const limn_config *c = &run->model->config;
  const float *queries = rows_of(b.s, run->qkv, run->qkv_step) + b.first * run->qkv_step;
  limn_kv_cache cache = cache_of(run->model, b.s, a->layer);
  limn_kv_cache_scores(&cache, b.head, queries + b.head * c->d_head, run->qkv_step, b.n, n_key,
                       scores, stride);
}

/* Divides by sqrt(d_head) and puts -inf where the key lies behind the query. */
static void scale_and_mask(const attention *a, block b, int64_t n_key, float *scores,
                           int64_t stride) {
  const limn_model *model = a->run->model;
  float divisor = sqrtf((float)model->config.d_head);
  for (int64_t i = 0; i < b.n; i++) {
    float *row = scores + i * stride;
    int64_t n_seen = b.s->past + b.first + i + 1;
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
    a->run->model->kernels->softmax(b.s->past + b.first + i + 1, scores + i * stride);
}

/*
 * z goes to run->normalized, whose content has done its work. A query mixes what it sees, or after
 * an edit all n_key values.
 */
static void mix_values(const attention *a, block b, bool is_all, const float *pattern,
                       int64_t stride) {
  const limn_run *run = a->run;
  const limn_config *c = &run->model->config;
  float *z = rows_of(b.s, run->normalized, run->d_step) + b.first * run->d_step;
  int64_t n_seen = is_all ? b.n_key : b.s->past + b.first + 1;
  limn_kv_cache cache = cache_of(run->model, b.s, a->layer);
  limn_kv_cache_mix(&cache, b.head, pattern, stride, b.n, n_seen, is_all, z + b.head * c->d_head,
                    run->d_step);
}

static uint8_t wanted_scores(const limn_run *run, const limn_sequence *s, int layer) {
  return wanted(run, s, LIMN_POINT_SCORES_RAW, layer) | wanted(run, s, LIMN_POINT_SCORES, layer) |
         wanted(run, s, LIMN_POINT_PATTERN, layer);
}

static size_t unwatched_blocks(const limn_run *run, const limn_sequence *s, int layer) {
  return wanted_scores(run, s, layer) ? 0 : block_count(run, s);
}

/*
 * Unwatched: each slot has room for one block's scores and takes block after block, of all
 * sequences. The numbers that a slot gets only grow, so it finds their sequence by going on.
 */
static void attend_slot(void *user, size_t slot) {
  attention *a = user;
  const limn_run *run = a->run;
  int64_t step = run->block_step;
  float *scores = run->block + (int64_t)slot * LIMN_QUERY_BLOCK * step;
  size_t at = 0, before = 0, n;
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&a->next_block, 1, memory_order_relaxed);
    for (; at < run->n_active; at++, before += n) {
      n = unwatched_blocks(run, run->active[at], a->layer);
      if (i - before < n) break;
    }
    if (at == run->n_active) return;
    block b = block_at(run->active[at], i - before);
    raw_scores(a, b, (b.n_seen + LIMN_PANEL - 1) / LIMN_PANEL * LIMN_PANEL, scores, step);
    scale_and_mask(a, b, 0, scores, step);
    softmax_seen(a, b, scores, step);
    mix_values(a, b, false, scores, step);
  }
}

/* Watched: the stages one after the other, on the array of all scores, (n_head, n, n_key). */
static float *scores_of(block b) {
  return b.s->scores + (b.head * b.s->n + b.first) * b.n_key;
}

static void raw_scores_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->s, i);
  raw_scores(a, b, b.n_key, scores_of(b), b.n_key);
}

static void mask_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->s, i);
  scale_and_mask(a, b, b.n_key, scores_of(b), b.n_key);
}

static void softmax_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->s, i);
  float *scores = scores_of(b);
  if (a->softmax_all) {
    softmax(a, b, b.n_key, scores, b.n_key);
    return;
  }
  softmax_seen(a, b, scores, b.n_key);
  for (int64_t row = 0; row < b.n; row++) {
    int64_t n_seen = b.s->past + b.first + row + 1;
    memset(scores + row * b.n_key + n_seen, 0, (size_t)(b.n_key - n_seen) * sizeof *scores);
  }
}

static void mix_stage(void *user, size_t i) {
  const attention *a = user;
  block b = block_at(a->s, i);
  mix_values(a, b, a->mix_all, scores_of(b), b.n_key);
}

static limn_status attend_watched(const limn_run *run, const limn_sequence *s, int layer,
                                  limn_error *err) {
  uint8_t scores =
      wanted(run, s, LIMN_POINT_SCORES_RAW, layer) | wanted(run, s, LIMN_POINT_SCORES, layer);
  uint8_t pattern = wanted(run, s, LIMN_POINT_PATTERN, layer);
  attention a = {run, layer, s, .softmax_all = (scores & LIMN_WANT_EDIT) != 0,
                 .mix_all = ((scores | pattern) & LIMN_WANT_EDIT) != 0};
  size_t n = block_count(run, s);
  limn_pool_run(run->pool, n, raw_scores_stage, &a);
  TRY(show(run, s, LIMN_POINT_SCORES_RAW, layer, s->scores, err));
  limn_pool_run(run->pool, n, mask_stage, &a);
  TRY(show(run, s, LIMN_POINT_SCORES, layer, s->scores, err));
  limn_pool_run(run->pool, n, softmax_stage, &a);
  TRY(show(run, s, LIMN_POINT_PATTERN, layer, s->scores, err));
  limn_pool_run(run->pool, n, mix_stage, &a);
  return LIMN_OK;
}

static limn_status attend(const limn_run *run, int layer, limn_error *err) {
  attention a = {.run = run, .layer = layer};
  bool is_any_unwatched = false;
  EACH_SEQUENCE (run, s) {
    if (wanted_scores(run, s, layer))
      TRY(attend_watched(run, s, layer, err));
    else
      is_any_unwatched = true;
  }
  if (is_any_unwatched) limn_pool_run(run->pool, block_slots(run), attend_slot, &a);
  return show_all(run, LIMN_POINT_Z, layer, run->normalized, run->d_step, err);
}

/* Each head's share of the output: its part of z times its rows of W_O. (n, n_head, d_model) */
static limn_status split_result(const limn_run *run, const limn_sequence *s, int layer,
                                limn_error *err) {
  const limn_config *c = &run->model->config;
  const limn_linear *out = &run->model->layers[layer].out;
  const float *z = rows_of(s, run->normalized, run->d_step);
  int64_t d = c->d_model;
  if (!wanted(run, s, LIMN_POINT_RESULT, layer)) return LIMN_OK;
  for (int64_t head = 0; head < c->n_head; head++)
    limn_linear_apply_part(out, run->pool, head * c->d_head, c->d_head, z + head * c->d_head, s->n,
                           run->d_step, s->heads_copy + head * d, c->n_head * d);
  return show(run, s, LIMN_POINT_RESULT, layer, s->heads_copy, err);
}

/* The output as bias plus the sum of the (edited) shares. */
static void sum_result(const limn_run *run, const limn_sequence *s, int layer) {
  const limn_config *c = &run->model->config;
  const float *bias = run->model->layers[layer].out.bias;
  int64_t d = c->d_model;
  for (int64_t i = 0; i < s->n; i++) {
    float *out = rows_of(s, run->out, run->d_step) + i * run->d_step;
    memcpy(out, bias, (size_t)d * sizeof *bias);
    run->model->kernels->add(c->n_head, d, out, 0, s->heads_copy + i * c->n_head * d, d);
  }
}

static limn_status attention_output(const limn_run *run, int layer, limn_error *err) {
  EACH_SEQUENCE (run, s)
    TRY(split_result(run, s, layer, err));
  bool is_apart = any_wanted(run, LIMN_POINT_ATTN_OUT, layer) ||
                  (any_wanted(run, LIMN_POINT_RESULT, layer) & LIMN_WANT_EDIT);
  apply_output(run, &run->model->layers[layer].out, run->normalized, run->d_step, is_apart);
  if (!is_apart) return LIMN_OK;
  EACH_SEQUENCE (run, s) {
    if (wanted(run, s, LIMN_POINT_RESULT, layer) & LIMN_WANT_EDIT) sum_result(run, s, layer);
  }
  TRY(show_all(run, LIMN_POINT_ATTN_OUT, layer, run->out, run->d_step, err));
  add_to_residual(run);
  return LIMN_OK;
}

/* ---- the MLP
 * ------------------------------------------------------------------------------------------------
 */

/* What ln2 reads: the stream itself, or a copy that an observer may have edited. */
static limn_status mlp_input(const limn_run *run, int layer, const float **input, limn_error *err) {
  *input = run->residual;
  if (!any_wanted(run, LIMN_POINT_MLP_IN, layer)) return LIMN_OK;
  memcpy(run->out, run->residual, (size_t)(run->n * run->d_step) * sizeof(float));
  *input = run->out;
  return show_all(run, LIMN_POINT_MLP_IN, layer, run->out, run->d_step, err);
}

static limn_status mlp_output(const limn_run *run, int layer, limn_error *err) {
  bool is_apart = any_wanted(run, LIMN_POINT_MLP_OUT, layer) != 0;
  apply_output(run, &run->model->layers[layer].mlp_out, run->hidden, run->mlp_step, is_apart);
  if (!is_apart) return LIMN_OK;
  TRY(show_all(run, LIMN_POINT_MLP_OUT, layer, run->out, run->d_step, err));
  add_to_residual(run);
  return LIMN_OK;
}

static limn_status mlp(const limn_run *run, int layer, limn_error *err) {
  const limn_config *c = &run->model->config;
  const limn_gpt2_layer *weights = &run->model->layers[layer];
  int64_t step = run->mlp_step;
  const float *input;
  TRY(mlp_input(run, layer, &input, err));
  TRY(norm(run, &weights->ln2, LIMN_POINT_LN2_SCALE, layer, input, err));
  limn_linear_call call = product_of(run, run->normalized, run->d_step, run->hidden, step);
  call.is_activated = !any_wanted(run, LIMN_POINT_MLP_PRE, layer);
  call.activation = c->activation;
  limn_linear_apply(&weights->mlp_in, run->pool, &call);
  if (!call.is_activated) {
    TRY(show_all(run, LIMN_POINT_MLP_PRE, layer, run->hidden, step, err));
    limn_activate_rows(run->model->kernels, run->pool, c->activation, run->n, c->d_mlp, run->hidden,
                       step);
  }
  TRY(show_all(run, LIMN_POINT_MLP_POST, layer, run->hidden, step, err));
  return mlp_output(run, layer, err);
}

/* ---- the beginning
 * ------------------------------------------------------------------------------------------
 */

/* Ids as numbers, which an observer may replace by other ids. */
static limn_status show_tokens(const limn_run *run, const limn_sequence *s, float *tokens,
                               limn_error *err) {
  const limn_config *c = &run->model->config;
  for (int64_t i = 0; i < s->n; i++)
    tokens[i] = (float)s->ids[i];
  TRY(show(run, s, LIMN_POINT_TOKENS, -1, tokens, err));
  for (int64_t i = 0; i < s->n; i++) {
    if (!(tokens[i] >= 0 && tokens[i] < (float)c->vocab_size && tokens[i] == truncf(tokens[i])))
      return limn_error_set(err, LIMN_ERROR_RANGE, (uint64_t)i,
                            "hook_tokens was set to %g at position %lld, expected an id from 0 to "
                            "%d",
                            (double)tokens[i], (long long)i, c->vocab_size - 1);
  }
  return LIMN_OK;
}

static limn_status embed(const limn_run *run, const limn_sequence *s, limn_error *err) {
  const limn_model *model = run->model;
  int64_t d = model->config.d_model, step = run->d_step;
  float *residual = rows_of(s, run->residual, step), *out = rows_of(s, run->out, step);
  float *tokens = rows_of(s, run->scale, 1);
  bool is_shown = wanted(run, s, LIMN_POINT_TOKENS, -1) != 0;
  if (is_shown) TRY(show_tokens(run, s, tokens, err));
  for (int64_t i = 0; i < s->n; i++) {
    int64_t id = is_shown ? (int64_t)tokens[i] : s->ids[i];
    limn_model_embedding(model, id, residual + i * step);
    limn_stored_to_f32(&model->position_embedding, (s->past + i) * d, d, out + i * step);
  }
  TRY(show_rows(run, s, LIMN_POINT_EMBED, -1, residual, step, err));
  TRY(show_rows(run, s, LIMN_POINT_POS_EMBED, -1, out, step, err));
  limn_add_rows(model->kernels, run->pool, s->n, d, residual, out, step);
  return LIMN_OK;
}

static void resume(const limn_run *run, const limn_sequence *s) {
  int64_t d = run->model->config.d_model;
  float *residual = rows_of(s, run->residual, run->d_step);
  for (int64_t i = 0; i < s->n; i++)
    memcpy(residual + i * run->d_step, s->start + i * d, (size_t)d * sizeof *residual);
}

/* Those that begin in front of this layer come behind the others. */
static limn_status join(limn_run *run, limn_sequence *const *sequences, size_t n, int layer,
                        limn_error *err) {
  for (size_t i = 0; i < n; i++) {
    limn_sequence *s = sequences[i];
    if (s->first_layer != layer) continue;
    s->row = run->n;
    run->n += s->n;
    run->active[run->n_active++] = s;
    if (s->start)
      resume(run, s);
    else
      TRY(embed(run, s, err));
  }
  return LIMN_OK;
}

/* ---- all of it
 * ------------------------------------------------------------------------------------------------
 */

static bool is_final_watched(const limn_run *run, const limn_sequence *s) {
  return wanted(run, s, LIMN_POINT_FINAL_SCALE, -1) ||
         wanted(run, s, LIMN_POINT_FINAL_NORMALIZED, -1);
}

/* Whether anything behind a layer's keys and values is watched. */
static bool is_end_watched(const limn_run *run, const limn_sequence *s, int layer) {
  for (int point = LIMN_POINT_SCORES_RAW; point <= LIMN_POINT_RESID_POST; point++)
    if (wanted(run, s, (limn_point)point, layer)) return true;
  return is_final_watched(run, s);
}

/* Behind the last layer's keys and values, only the rows that get logits lead anywhere. */
static void leave_out_rows(limn_run *run, int layer) {
  EACH_SEQUENCE (run, s)
    s->keep = s->n_logits == 0 || is_end_watched(run, s, layer) ? s->n : s->n_logits;
  close_up(run);
}

static limn_status run_layer(limn_run *run, int layer, limn_error *err) {
  TRY(show_all(run, LIMN_POINT_RESID_PRE, layer, run->residual, run->d_step, err));
  TRY(queries_keys_values(run, layer, err));
  if (layer == run->model->config.n_layer - 1) leave_out_rows(run, layer);
  TRY(attend(run, layer, err));
  TRY(attention_output(run, layer, err));
  TRY(show_all(run, LIMN_POINT_RESID_MID, layer, run->residual, run->d_step, err));
  TRY(mlp(run, layer, err));
  return show_all(run, LIMN_POINT_RESID_POST, layer, run->residual, run->d_step, err);
}

/* The last n_logits rows get logits; the final norm covers all rows only where it is watched. */
static limn_status unembed(limn_run *run, limn_error *err) {
  const limn_model *model = run->model;
  EACH_SEQUENCE (run, s)
    s->keep = s->n_logits == 0 ? 0 : is_final_watched(run, s) ? s->n : s->n_logits;
  close_up(run);
  TRY(norm(run, &model->final_norm, LIMN_POINT_FINAL_SCALE, -1, run->residual, err));
  EACH_SEQUENCE (run, s)
    s->keep = s->n_logits;
  close_up(run);
  EACH_SEQUENCE (run, s) {
    for (int64_t i = 0; i < s->n; i++)
      run->logits[s->row + i] = s->logits + i * model->config.vocab_size;
  }
  limn_linear_call call = product_of(run, run->normalized, run->d_step, NULL, 0);
  call.y_rows = run->logits;
  limn_linear_apply(&model->unembedding, run->pool, &call);
  return LIMN_OK;
}

static limn_status ask_to_stop(const limn_run *run, int layer, limn_error *err) {
  EACH_SEQUENCE (run, s) {
    if (s->should_stop && s->should_stop(s->should_stop_user))
      return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET,
                            "cancelled before layer %d of %d", layer, s->end_layer);
  }
  return LIMN_OK;
}

/*
 * Whether the products of a pass are on tiles. One answer for the whole pass: neither what is
 * watched nor how many rows are left behind the last layer may change a bit.
 */
static bool is_for_tiles(const limn_run *run, limn_sequence *const *sequences, size_t n) {
  const limn_tiles *tiles = run->model->kernels->tiles;
  int64_t rows = 0;
  for (size_t i = 0; i < n; i++) {
    if (sequences[i]->is_invariant) return false;
    rows += sequences[i]->n;
  }
  return tiles && rows >= tiles->least_rows[run->model->format];
}

limn_status limn_gpt2_forward(limn_run *run, limn_sequence *const *sequences, size_t n,
                              limn_error *err) {
  int n_layer = run->model->config.n_layer;
  run->n_active = 0;
  run->n = 0;
  run->is_tiled = is_for_tiles(run, sequences, n);
  for (int layer = 0; layer < n_layer; layer++) {
    TRY(join(run, sequences, n, layer, err));
    leave(run, layer);
    if (run->n_active == 0) continue;
    TRY(ask_to_stop(run, layer, err));
    TRY(run_layer(run, layer, err));
  }
  return unembed(run, err);
}
