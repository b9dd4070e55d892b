/*
 * sweep.c - one edit at every place.
 *
 * An edit in layer L at position p changes nothing below L and, since attention looks back only,
 * nothing in front of p. So a cell runs the rows from p on through the layers from L on: it enters
 * with the residual stream that the unedited run had there, and in front of p it finds that run's
 * keys and values in its cache. No row's numbers depend on what else is in a pass (batch.c), so
 * this is, to the bit, the run of the whole text with that edit; and cells can be run together.
 *
 * Zero and mean ablation, and activation patching (there "causal tracing"): Meng et al. 2022,
 * "Locating and Editing Factual Associations in GPT", section 2.1; Wang et al. 2022,
 * "Interpretability in the Wild", section 2.1. docs/sweeps.md says how to read the results.
 */
#include "session/session.h"

#include <limn/analysis.h>
#include <limn/sample.h>
#include <limn/sweep.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
  USUAL_ROWS = 512,
  MOST_SLOTS = 64,       /* cells in a pass */
  MOST_CACHE = 512 << 20 /* bytes of their keys and values together */
};

/* A cell under way. */
typedef struct slot {
  struct sweeping *w;
  limn_session *session;
  int layer, column;
  int observer;
  double value;
} slot;

typedef struct sweeping {
  const limn_model *model;
  const limn_config *config;
  limn_sweep_options o;
  limn_sweep *result;
  const int32_t *ids;
  int n;         /* tokens */
  int64_t width; /* numbers that the hook has for a position */
  const char *hook;
  bool is_whole;    /* every cell runs all positions */
  bool may_be_same; /* putting a value where it is already changes nothing */
  limn_batch *batch;
  limn_session *clean;
  float *residual; /* (n_layer, n, d_model) in front of each layer */
  float *put;      /* (n_layer, n, width) what is put there; (width) zeros for ZERO */
  float *before;   /* (n_layer, n, width) what is there without edits; NULL where not asked for */
  float *logits;   /* (vocab_size) without edits */
  int n_slots;
  slot *slots;
  limn_batch_item *items;
} sweeping;

static limn_status no_memory(limn_error *err) {
  return limn_out_of_memory(err, "a sweep");
}

/* ---- the hook
 * ------------------------------------------------------------------------------------ */

static const char *pattern_of(const sweeping *w, int layer, char out[2 * LIMN_HOOK_NAME_SIZE]) {
  if (layer < 0)
    snprintf(out, 2 * LIMN_HOOK_NAME_SIZE, "blocks.*.%s", w->hook);
  else
    snprintf(out, 2 * LIMN_HOOK_NAME_SIZE, "blocks.%d.%s", layer, w->hook);
  return out;
}

/* Also by its shorthand: "z", "resid_pre". */
static limn_status find_by_name(const sweeping *w, const char *name, limn_hook *hook,
                                limn_error *err) {
  char text[2 * LIMN_HOOK_NAME_SIZE];
  snprintf(text, sizeof text, "%.100s0", name);
  if (limn_hook_find(w->model, text, hook, NULL) == LIMN_OK) return LIMN_OK;
  snprintf(text, sizeof text, "blocks.0.%.100s", name);
  return limn_hook_find(w->model, text, hook, err);
}

static limn_status find_hook(sweeping *w, limn_error *err) {
  bool is_by_head = w->o.over == LIMN_SWEEP_HEADS;
  limn_hook hook;
  int64_t shape[LIMN_MAX_RANK];
  const char *name = w->o.hook ? w->o.hook : is_by_head ? "attn.hook_z" : "hook_resid_pre";
  limn_status status = find_by_name(w, name, &hook, err);
  if (status != LIMN_OK) return status;
  w->hook = hook.point->name + strlen("blocks.{i}.");
  /* An edit of hook_result takes its layer's output apart at all positions, which rounds
     otherwise; so may others that are computed on request only. */
  w->is_whole = is_by_head || hook.point->is_on_request;
  w->may_be_same = w->o.put == LIMN_SWEEP_PATCH && !hook.point->is_on_request;
  const char *wanted = is_by_head ? "position, n_head" : "position";
  if (strncmp(hook.point->shape, wanted, strlen(wanted)) != 0)
    return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                          "%s has the axes %s, expected %s first", w->hook, hook.point->shape,
                          wanted);
  int rank = limn_hook_shape(w->model, hook, 1, 1, shape);
  w->width = 1;
  for (int i = 1; i < rank; i++)
    w->width *= shape[i];
  return LIMN_OK;
}

/* ---- the runs before
 * ----------------------------------------------------------------------------- */

static limn_status keep_residual(void *user, const limn_observation *seen, limn_error *err) {
  sweeping *w = user;
  (void)err;
  limn_tensor_gather(&seen->value,
                     w->residual + (int64_t)seen->hook.layer * w->n * w->config->d_model);
  return LIMN_OK;
}

static void keep_values(const sweeping *w, const limn_observation *seen, float *to) {
  limn_tensor_gather(&seen->value, to + (int64_t)seen->hook.layer * w->n * w->width);
}

static limn_status keep_put(void *user, const limn_observation *seen, limn_error *err) {
  sweeping *w = user;
  (void)err;
  keep_values(w, seen, w->put);
  return LIMN_OK;
}

static limn_status keep_before(void *user, const limn_observation *seen, limn_error *err) {
  sweeping *w = user;
  (void)err;
  keep_values(w, seen, w->before);
  return LIMN_OK;
}

/* Each position's values become the mean over all of them. */
static void take_means(sweeping *w) {
  for (int layer = 0; layer < w->config->n_layer; layer++) {
    float *values = w->put + (int64_t)layer * w->n * w->width;
    for (int64_t k = 0; k < w->width; k++) {
      double sum = 0;
      for (int i = 0; i < w->n; i++)
        sum += (double)values[i * w->width + k];
      for (int i = 0; i < w->n; i++)
        values[i * w->width + k] = (float)(sum / w->n);
    }
  }
}

static limn_status run_clean(sweeping *w, limn_error *err) {
  char pattern[2 * LIMN_HOOK_NAME_SIZE];
  limn_session_options options = {.n_ctx = w->n, .invariant = true, .batch = w->batch};
  limn_status status = limn_session_new(w->model, &options, &w->clean, err);
  if (status == LIMN_OK)
    status = limn_session_observe(w->clean, "blocks.*.hook_resid_pre", LIMN_OBSERVE_READ,
                                  keep_residual, w, NULL, err);
  if (status == LIMN_OK && w->o.put == LIMN_SWEEP_MEAN)
    status = limn_session_observe(w->clean, pattern_of(w, -1, pattern), LIMN_OBSERVE_READ, keep_put,
                                  w, NULL, err);
  if (status == LIMN_OK && w->before)
    status = limn_session_observe(w->clean, pattern_of(w, -1, pattern), LIMN_OBSERVE_READ,
                                  keep_before, w, NULL, err);
  if (status == LIMN_OK) status = limn_session_evaluate(w->clean, w->ids, (size_t)w->n, err);
  if (status != LIMN_OK) return status;
  if (w->o.put == LIMN_SWEEP_MEAN) take_means(w);
  memcpy(w->logits, limn_session_logits(w->clean, NULL),
         (size_t)w->config->vocab_size * sizeof *w->logits);
  return LIMN_OK;
}

/* ---- the metric
 * ---------------------------------------------------------------------------------- */

/* log of the sum of e^logit, in float64. */
static double log_sum(const float *logits, int n) {
  return (double)logits[0] - limn_log_probability(logits, (size_t)n, 0);
}

static double divergence(const float *p, const float *q, int n) {
  double p_sum = log_sum(p, n), q_sum = log_sum(q, n), sum = 0;
  for (int i = 0; i < n; i++) {
    double log_p = (double)p[i] - p_sum, share = exp(log_p);
    if (share > 0) sum += share * (log_p - ((double)q[i] - q_sum));
  }
  return sum;
}

static double measure(const sweeping *w, const float *logits) {
  int n = w->config->vocab_size;
  int32_t target = w->result->target;
  switch (w->o.metric) {
  case LIMN_METRIC_LOGIT:
    return (double)logits[target];
  case LIMN_METRIC_DIFFERENCE:
    return (double)logits[target] - (double)logits[w->result->against];
  case LIMN_METRIC_KL:
    return divergence(w->logits, logits, n);
  case LIMN_METRIC_LOG_PROBABILITY:
    break;
  }
  return limn_log_probability(logits, (size_t)n, target);
}

/* The token asked for, or the likeliest that is not `other`. */
static limn_status choose_token(const sweeping *w, int32_t given, int32_t other, int32_t *out,
                                limn_error *err) {
  int32_t best[2] = {0, 0};
  int n = w->config->vocab_size;
  if (given < -1 || given >= n)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "token id %d is outside the vocabulary of %d tokens", (int)given, n);
  limn_top_ids(w->logits, (size_t)n, n < 2 ? 1 : 2, best);
  *out = given >= 0 ? given : best[0] == other ? best[1] : best[0];
  return LIMN_OK;
}

static limn_status choose_tokens(sweeping *w, limn_error *err) {
  limn_sweep *r = w->result;
  r->target = r->against = -1;
  if (w->o.metric == LIMN_METRIC_KL) return LIMN_OK;
  limn_status status = choose_token(w, w->o.target, -1, &r->target, err);
  if (status == LIMN_OK && w->o.metric == LIMN_METRIC_DIFFERENCE)
    status = choose_token(w, w->o.against, r->target, &r->against, err);
  return status;
}

/* The other text through a slot: its values and its metric. */
static limn_status run_source(sweeping *w, limn_error *err) {
  char pattern[2 * LIMN_HOOK_NAME_SIZE];
  int id;
  limn_session *s = w->slots[0].session;
  limn_status status =
      limn_session_observe(s, pattern_of(w, -1, pattern), LIMN_OBSERVE_READ, keep_put, w, &id, err);
  if (status != LIMN_OK) return status;
  status = limn_session_evaluate(s, w->o.source, w->o.n_source, err);
  if (status == LIMN_OK) w->result->source = measure(w, limn_session_logits(s, NULL));
  limn_session_unobserve(s, id);
  return status;
}

/* ---- the cells
 * ----------------------------------------------------------------------------------- */

/* What takes the place of a layer's values at a position, (width). */
static const float *numbers_at(const sweeping *w, int layer, int64_t position) {
  bool is_zero = w->o.put == LIMN_SWEEP_ZERO;
  return is_zero ? w->put : w->put + ((int64_t)layer * w->n + position) * w->width;
}

static limn_status edit(void *user, const limn_observation *seen, limn_error *err) {
  const slot *s = user;
  const sweeping *w = s->w;
  (void)err;
  bool is_by_head = w->o.over == LIMN_SWEEP_HEADS;
  int64_t part = is_by_head ? w->width / w->config->n_head : 0;
  int64_t first = is_by_head ? 0 : s->column - seen->position;
  int64_t end = is_by_head ? seen->n_query : first + 1;
  for (int64_t i = first; i < end; i++) {
    limn_tensor row = limn_tensor_select(&seen->value, 0, i);
    if (is_by_head) row = limn_tensor_select(&row, 0, s->column);
    limn_tensor_scatter(numbers_at(w, s->layer, seen->position + i) + s->column * part, &row);
  }
  return LIMN_OK;
}

/* The first position that a cell runs. */
static int first_position(const sweeping *w, int column) {
  return w->is_whole ? 0 : column;
}

/* Cell `number` into a slot and its item. */
static limn_status load_slot(sweeping *w, int number, int i, limn_error *err) {
  char name[2 * LIMN_HOOK_NAME_SIZE];
  slot *s = &w->slots[i];
  s->layer = number / w->result->n_columns;
  s->column = number % w->result->n_columns;
  int first = first_position(w, s->column);
  limn_status status = limn_session_copy_layers(s->session, w->clean, s->layer, first, err);
  if (status != LIMN_OK) return status;
  int64_t at = (int64_t)s->layer * w->n + first;
  w->items[i] = (limn_batch_item){.session = s->session,
                                  .ids = w->ids + first,
                                  .n = (size_t)(w->n - first),
                                  .residual = w->residual + at * w->config->d_model,
                                  .first_layer = s->layer};
  return limn_session_observe(s->session, pattern_of(w, s->layer, name), LIMN_OBSERVE_EDIT, edit, s,
                              &s->observer, err);
}

static void measure_slot(void *user, size_t i) {
  sweeping *w = user;
  w->slots[i].value = measure(w, limn_session_logits(w->slots[i].session, NULL));
}

static limn_status report(sweeping *w, int layer, int column, const float *logits, double value,
                          limn_error *err) {
  limn_sweep_cell cell = {layer, column, logits, value};
  w->result->values[(int64_t)layer * w->result->n_columns + column] = value;
  return w->o.cell ? w->o.cell(w->o.user, &cell, err) : LIMN_OK;
}

/* Measures and reports the first n slots. */
static limn_status report_slots(sweeping *w, int n, limn_error *err) {
  limn_status status = LIMN_OK;
  limn_pool_run(w->o.pool, (size_t)n, measure_slot, w);
  for (int i = 0; i < n && status == LIMN_OK; i++) {
    const slot *s = &w->slots[i];
    status = report(w, s->layer, s->column, limn_session_logits(s->session, NULL), s->value, err);
  }
  return status;
}

/* Whether the other text has there what the text has: texts often differ in a few tokens only. */
static bool is_same(const sweeping *w, int number) {
  int layer = number / w->result->n_columns, column = number % w->result->n_columns;
  bool is_by_head = w->o.over == LIMN_SWEEP_HEADS;
  int64_t part = is_by_head ? w->width / w->config->n_head : w->width;
  int64_t first = is_by_head ? 0 : column, end = is_by_head ? w->n : column + 1;
  for (int64_t i = first; w->before && i < end; i++) {
    int64_t at = ((int64_t)layer * w->n + i) * w->width + (is_by_head ? column * part : 0);
    if (memcmp(w->before + at, w->put + at, (size_t)part * sizeof(float)) != 0) return false;
  }
  return w->before != NULL;
}

/* Loads cells from *next on as they fit into a pass; those that change nothing are told at once. */
static limn_status load_slots(sweeping *w, int *next, int n_cells, int *n_loaded, limn_error *err) {
  const limn_sweep *r = w->result;
  int64_t n_rows = 0;
  limn_status status = LIMN_OK;
  *n_loaded = 0;
  for (; status == LIMN_OK && *n_loaded < w->n_slots && *next < n_cells; ++*next) {
    int layer = *next / r->n_columns, column = *next % r->n_columns;
    if (is_same(w, *next)) {
      status = report(w, layer, column, w->logits, r->clean, err);
      continue;
    }
    n_rows += w->n - first_position(w, column);
    if (n_rows > limn_batch_max_rows(w->batch)) break;
    status = load_slot(w, *next, *n_loaded, err);
    if (status == LIMN_OK) ++*n_loaded;
  }
  return status;
}

static limn_status run_pass(sweeping *w, int *next, int n_cells, limn_error *err) {
  int n_loaded;
  limn_status status = load_slots(w, next, n_cells, &n_loaded, err);
  if (status == LIMN_OK) status = limn_batch_evaluate(w->batch, w->items, (size_t)n_loaded, err);
  if (status == LIMN_OK) status = report_slots(w, n_loaded, err);
  for (int i = 0; i < n_loaded; i++)
    limn_session_unobserve(w->slots[i].session, w->slots[i].observer);
  return status;
}

static limn_status run_cells(sweeping *w, limn_error *err) {
  int n_cells = w->result->n_layer * w->result->n_columns;
  for (int done = 0; done < n_cells;) {
    limn_status status = run_pass(w, &done, n_cells, err);
    if (status != LIMN_OK) return status;
    if (w->o.progress && w->o.progress(w->o.user, done, n_cells))
      return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET,
                            "cancelled after %d of %d cells", done, n_cells);
  }
  return LIMN_OK;
}

/* ---- all of it
 * ------------------------------------------------------------------------------------- */

static limn_status check(const sweeping *w, size_t n, limn_error *err) {
  if (n < 1)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the text is empty, expected at least one token");
  if (n > (size_t)w->config->n_ctx)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "%zu tokens do not fit into the context window of %d", n,
                          w->config->n_ctx);
  if (w->o.max_rows < 0)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "passes of %d tokens are asked for, expected at least 1", w->o.max_rows);
  if (w->o.put == LIMN_SWEEP_PATCH && (!w->o.source || w->o.n_source != n))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the text to patch from has %zu tokens, expected %zu as in the text",
                          w->o.source ? w->o.n_source : 0, n);
  return LIMN_OK;
}

static limn_status make_result(sweeping *w, limn_error *err) {
  limn_sweep *r = w->result = limn_alloc_zeroed(1, sizeof *r);
  if (!r) return no_memory(err);
  r->n_layer = w->config->n_layer;
  r->n_columns = w->o.over == LIMN_SWEEP_HEADS ? w->config->n_head : w->n;
  r->source = NAN;
  r->values = limn_alloc_zeroed((size_t)r->n_layer, (size_t)r->n_columns * sizeof *r->values);
  return r->values ? LIMN_OK : no_memory(err);
}

static limn_status take_memory(sweeping *w, limn_error *err) {
  size_t cells = (size_t)w->config->n_layer * (size_t)w->n, f = sizeof(float);
  size_t n_put = w->o.put == LIMN_SWEEP_ZERO ? 1 : cells;
  w->residual = limn_alloc_zeroed(cells, (size_t)w->config->d_model * f);
  w->logits = limn_alloc_zeroed((size_t)w->config->vocab_size, f);
  w->put = limn_alloc_zeroed(n_put, (size_t)w->width * f);
  if (w->may_be_same) w->before = limn_alloc_zeroed(cells, (size_t)w->width * f);
  bool has_all = w->residual && w->logits && w->put && (w->before || !w->may_be_same);
  return has_all ? LIMN_OK : no_memory(err);
}

/* How many cells may be under way: more than rows are never needed. */
static int count_slots(const sweeping *w) {
  int64_t one = 2 * (int64_t)sizeof(float) * w->config->n_layer * w->config->d_model * w->n;
  int64_t most = MOST_CACHE / one, n_cells = (int64_t)w->result->n_layer * w->result->n_columns;
  int64_t rows = limn_batch_max_rows(w->batch);
  if (w->is_whole) rows /= w->n;
  if (most > MOST_SLOTS) most = MOST_SLOTS;
  if (most > rows) most = rows;
  if (most > n_cells) most = n_cells;
  return most < 1 ? 1 : (int)most;
}

static limn_status make_slots(sweeping *w, limn_error *err) {
  limn_session_options options = {.n_ctx = w->n, .invariant = true, .batch = w->batch};
  int n = count_slots(w);
  w->slots = limn_alloc_zeroed((size_t)n, sizeof *w->slots);
  w->items = limn_alloc_zeroed((size_t)n, sizeof *w->items);
  if (!w->slots || !w->items) return no_memory(err);
  for (; w->n_slots < n; w->n_slots++) {
    slot *s = &w->slots[w->n_slots];
    s->w = w;
    limn_status status = limn_session_new(w->model, &options, &s->session, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status run_all(sweeping *w, size_t n, limn_error *err) {
  limn_status status = check(w, n, err);
  if (status == LIMN_OK) status = find_hook(w, err);
  if (status != LIMN_OK) return status;
  int max_rows = w->o.max_rows ? w->o.max_rows : USUAL_ROWS;
  w->n = (int)n;
  limn_batch_options options = {w->o.pool, max_rows < w->n ? w->n : max_rows, w->n};
  status = limn_batch_new(w->model, &options, &w->batch, err);
  if (status == LIMN_OK) status = make_result(w, err);
  if (status == LIMN_OK) status = take_memory(w, err);
  if (status == LIMN_OK) status = run_clean(w, err);
  if (status == LIMN_OK) status = choose_tokens(w, err);
  if (status == LIMN_OK) status = make_slots(w, err);
  if (status == LIMN_OK) w->result->clean = measure(w, w->logits);
  if (status == LIMN_OK && w->o.put == LIMN_SWEEP_PATCH) status = run_source(w, err);
  return status == LIMN_OK ? run_cells(w, err) : status;
}

static void deinit(sweeping *w) {
  for (int i = 0; i < w->n_slots; i++)
    limn_session_free(w->slots[i].session);
  limn_session_free(w->clean);
  limn_batch_free(w->batch);
  limn_free(w->slots);
  limn_free(w->items);
  limn_free(w->residual);
  limn_free(w->put);
  limn_free(w->before);
  limn_free(w->logits);
}

limn_status limn_sweep_run(const limn_model *model, const int32_t *ids, size_t n,
                           const limn_sweep_options *options, limn_sweep **out, limn_error *err) {
  sweeping w = {.model = model, .config = limn_model_config(model), .o = *options, .ids = ids};
  *out = NULL;
  limn_status status = run_all(&w, n, err);
  deinit(&w);
  if (status == LIMN_OK)
    *out = w.result;
  else
    limn_sweep_free(w.result);
  return status;
}

void limn_sweep_free(limn_sweep *s) {
  if (!s) return;
  limn_free(s->values);
  limn_free(s);
}
