/*
 * session.c - one timeline: tokens go in at the end, their keys and values stay.
 *
 * A position's keys and values depend on earlier positions only (the mask is causal), so they are
 * computed once and kept: a new token costs one row through each layer, whatever came before. All
 * working space is laid out in one arena when the session is made; what only observers need follows
 * when they subscribe.
 */
#include "session/session.h"

#include "models/model.h"

#include <assert.h>
#include <string.h>

/* ---- making and freeing
 * -------------------------------------------------------------------------- */

static limn_status check_options(const limn_config *config, const limn_session_options *options,
                                 limn_error *err) {
  if (options->n_ctx < 0 || options->n_ctx > config->n_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d positions asked for, the model has 1 to %d", options->n_ctx,
                          config->n_ctx);
  if (options->stop_at_layer < -1 || options->stop_at_layer > config->n_layer)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "stop at layer %d, the model has layers 0 to %d", options->stop_at_layer,
                          config->n_layer - 1);
  return LIMN_OK;
}

static void set_run(limn_session *s, const limn_model *model) {
  const limn_config *config = limn_model_config(model);
  const limn_session_options *options = &s->options;
  limn_run *run = &s->run;
  run->model = model;
  run->pool = options->pool;
  run->should_stop = options->should_stop;
  run->should_stop_user = options->should_stop_user;
  run->n_ctx = options->n_ctx ? options->n_ctx : config->n_ctx;
  run->max_n = run->n_ctx;
  run->n_layer_to_run = options->stop_at_layer == 0    ? config->n_layer
                        : options->stop_at_layer == -1 ? 0
                                                       : options->stop_at_layer;
}

/* The same takes measure the arena first and then fill it. */
static void take_all(limn_session *s, limn_arena *arena) {
  size_t n_ctx = (size_t)s->run.n_ctx;
  s->ids = limn_arena_take(arena, n_ctx, sizeof *s->ids);
  s->sliding_ids = limn_arena_take(arena, n_ctx, sizeof *s->sliding_ids);
  limn_run_take(&s->run, arena, s->options.all_logits);
}

static limn_status take_memory(limn_session *s, limn_error *err) {
  const limn_config *config = limn_model_config(s->run.model);
  limn_arena measure = limn_arena_measure();
  take_all(s, &measure);
  if (measure.overflowed) return limn_out_of_memory(err, "a session: its size does not fit");
  limn_status status = limn_arena_init(&s->arena, measure.used, err);
  if (status != LIMN_OK) return status;
  take_all(s, &s->arena);
  s->wanted = limn_alloc_zeroed((size_t)config->n_layer + 1, LIMN_POINT_COUNT);
  return s->wanted ? LIMN_OK : limn_out_of_memory(err, "a session");
}

limn_status limn_session_new(const limn_model *model, const limn_session_options *options,
                             limn_session **out, limn_error *err) {
  static const limn_session_options defaults;
  *out = NULL;
  if (!options) options = &defaults;
  limn_status status = check_options(limn_model_config(model), options, err);
  if (status != LIMN_OK) return status;
  limn_session *s = limn_alloc_zeroed(1, sizeof *s);
  if (!s) return limn_out_of_memory(err, "a session");
  s->options = *options;
  set_run(s, model);
  status = take_memory(s, err);
  if (status != LIMN_OK) {
    limn_session_free(s);
    return status;
  }
  s->run.tap = (limn_tap){s->wanted, limn_session_visit, s};
  *out = s;
  return LIMN_OK;
}

void limn_session_free(limn_session *s) {
  if (!s) return;
  limn_session_free_observers(s);
  limn_free(s->wanted);
  limn_arena_deinit(&s->score_arena);
  limn_arena_deinit(&s->head_arena);
  limn_arena_deinit(&s->arena);
  limn_free(s);
}

/* ---- what it holds
 * ----------------------------------------------------------------------------------- */

const limn_model *limn_session_model(const limn_session *s) {
  return s->run.model;
}

int limn_session_length(const limn_session *s) {
  return s->length;
}

int limn_session_room(const limn_session *s) {
  return (int)s->run.n_ctx - s->length;
}

const int32_t *limn_session_ids(const limn_session *s) {
  return s->ids;
}

const float *limn_session_logits(const limn_session *s, size_t *n_rows) {
  if (n_rows) *n_rows = (size_t)s->n_logits;
  return s->n_logits > 0 ? s->run.logits : NULL;
}

void limn_session_truncate(limn_session *s, int length) {
  assert(length >= 0 && length <= s->length);
  s->length = length;
  s->n_logits = 0;
}

void limn_session_reset(limn_session *s) {
  limn_session_truncate(s, 0);
}

/* ---- evaluating
 * ---------------------------------------------------------------------------------------- */

static limn_status check_ids(const limn_session *s, const int32_t *ids, size_t n, limn_error *err) {
  int vocab_size = limn_model_config(s->run.model)->vocab_size;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] < 0 || ids[i] >= vocab_size)
      return limn_error_set(err, LIMN_ERROR_RANGE, i,
                            "token id %d at position %zu is outside the vocabulary of %d tokens",
                            (int)ids[i], i, vocab_size);
  }
  return LIMN_OK;
}

/* Runs n tokens that fit, of which the last n_rows get logits. The length grows on success only. */
static limn_status run_tokens(limn_session *s, const int32_t *ids, size_t n, size_t n_rows,
                              limn_error *err) {
  limn_run *run = &s->run;
  bool is_stopped = s->options.stop_at_layer != 0;
  run->ids = ids;
  run->n = (int64_t)n;
  run->past = s->length;
  run->n_logits = is_stopped ? 0 : s->options.all_logits ? (int64_t)n_rows : 1;
  limn_status status = limn_gpt2_forward(run, err);
  if (status != LIMN_OK) return status;
  memmove(s->ids + s->length, ids, n * sizeof *ids);
  s->length += (int)n;
  s->n_logits = run->n_logits;
  return LIMN_OK;
}

/*
 * Learned positions cannot move: a key made at position 9 is wrong at position 3. So the window
 * starts anew from its newest three quarters, which leaves room for a while.
 */
static limn_status slide(limn_session *s, const int32_t *ids, size_t n, limn_error *err) {
  size_t n_ctx = (size_t)s->run.n_ctx, n_new = n < n_ctx ? n : n_ctx;
  size_t keep = n_ctx - n_ctx / 4;
  if (keep < n_new) keep = n_new;
  size_t n_old = keep - n_new;
  if (n_old > (size_t)s->length) n_old = (size_t)s->length;
  memcpy(s->sliding_ids, s->ids + s->length - n_old, n_old * sizeof *ids);
  memcpy(s->sliding_ids + n_old, ids + n - n_new, n_new * sizeof *ids);
  limn_session_reset(s);
  return run_tokens(s, s->sliding_ids, n_old + n_new, n_new, err);
}

limn_status limn_session_evaluate(limn_session *s, const int32_t *ids, size_t n, limn_error *err) {
  limn_status status = check_ids(s, ids, n, err);
  if (status != LIMN_OK || n == 0) return status;
  size_t room = (size_t)limn_session_room(s);
  if (n > room && s->options.overflow == LIMN_OVERFLOW_SLIDE) return slide(s, ids, n, err);
  if (n > room)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "%zu tokens after %d do not fit into the context window of %d", n,
                          s->length, (int)s->run.n_ctx);
  return run_tokens(s, ids, n, n, err);
}
