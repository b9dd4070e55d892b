/*
 * batch.c - many sessions in one pass.
 *
 * A session is what lasts: keys, values, ids, observers. A batch is what a pass needs while it
 * runs, and nothing of it outlives the call. So one batch serves any number of sessions, and a
 * session alone is a batch of one. First every item is checked and pointed at its tokens, then all
 * are run, then all are told: until the last step no session has changed.
 */
#include "models/model.h"
#include "session/session.h"

#include <string.h>

struct limn_batch {
  limn_arena arena;
  limn_run run;
  limn_sequence **sequences; /* (max_rows) */
};

/* ---- making and freeing
 * -------------------------------------------------------------------------- */

static limn_status check_options(const limn_config *config, const limn_batch_options *options,
                                 limn_error *err) {
  if (options->n_ctx < 0 || options->n_ctx > config->n_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d positions asked for, the model has 1 to %d", options->n_ctx,
                          config->n_ctx);
  if (options->max_rows < 0)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "a batch of %d tokens asked for, expected at least 1", options->max_rows);
  return LIMN_OK;
}

static void take_all(limn_batch *b, limn_arena *arena) {
  b->sequences = limn_arena_take(arena, (size_t)b->run.max_rows, sizeof(limn_sequence *));
  limn_run_take(&b->run, arena);
}

static limn_status take_memory(limn_batch *b, limn_error *err) {
  limn_arena measure = limn_arena_measure();
  take_all(b, &measure);
  if (measure.overflowed) return limn_out_of_memory(err, "a batch: its size does not fit");
  limn_status status = limn_arena_init(&b->arena, measure.used, err);
  if (status == LIMN_OK) take_all(b, &b->arena);
  return status;
}

limn_status limn_batch_new(const limn_model *model, const limn_batch_options *options,
                           limn_batch **out, limn_error *err) {
  static const limn_batch_options defaults;
  const limn_config *config = limn_model_config(model);
  *out = NULL;
  if (!options) options = &defaults;
  limn_status status = check_options(config, options, err);
  if (status != LIMN_OK) return status;
  limn_batch *b = limn_alloc_zeroed(1, sizeof *b);
  if (!b) return limn_out_of_memory(err, "a batch");
  b->run.model = model;
  b->run.pool = options->pool;
  b->run.max_rows = options->max_rows ? options->max_rows : config->n_ctx;
  b->run.max_ctx = options->n_ctx ? options->n_ctx : config->n_ctx;
  status = take_memory(b, err);
  if (status != LIMN_OK) {
    limn_batch_free(b);
    return status;
  }
  *out = b;
  return LIMN_OK;
}

void limn_batch_free(limn_batch *b) {
  if (!b) return;
  limn_arena_deinit(&b->arena);
  limn_free(b);
}

int limn_batch_max_rows(const limn_batch *b) {
  return (int)b->run.max_rows;
}

limn_status limn_batch_check_session(const limn_batch *b, const limn_session *s, limn_error *err) {
  if (s->model != b->run.model)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "the session is of another model than the batch");
  if (s->sequence.n_ctx > b->run.max_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the session keeps %d positions, the batch has room for %d",
                          (int)s->sequence.n_ctx, (int)b->run.max_ctx);
  return LIMN_OK;
}

/* ---- evaluating
 * ---------------------------------------------------------------------------------- */

/* Points a session at its tokens, behind n_rows of others. */
static limn_status prepare(limn_batch *b, const limn_batch_item *item, int64_t n_rows,
                           limn_error *err) {
  limn_session *s = item->session;
  if (s->is_taken)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "the session is in the batch already");
  limn_status status = limn_batch_check_session(b, s, err);
  if (status != LIMN_OK || item->n == 0) return status;
  status = limn_session_prepare(s, item, err);
  if (status == LIMN_OK && s->sequence.n > b->run.max_rows - n_rows)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%lld tokens behind %lld of others, the batch has room for %lld in all",
                          (long long)s->sequence.n, (long long)n_rows, (long long)b->run.max_rows);
  return status;
}

/* Marks the sessions of *n_taken items, fewer than all when one fails. */
static limn_status prepare_all(limn_batch *b, const limn_batch_item *items, size_t n_items,
                               size_t *n_taken, size_t *n_sequences, limn_error *err) {
  int64_t n_rows = 0;
  for (*n_taken = 0; *n_taken < n_items; ++*n_taken) {
    const limn_batch_item *item = &items[*n_taken];
    limn_status status = prepare(b, item, n_rows, err);
    if (status != LIMN_OK) return status;
    item->session->is_taken = true;
    if (item->n == 0) continue;
    n_rows += item->session->sequence.n;
    b->sequences[(*n_sequences)++] = &item->session->sequence;
  }
  return LIMN_OK;
}

/* Puts in front of the error which of several items it is about. */
static void say_which(limn_error *err, limn_status status, size_t i, size_t n_items) {
  if (!err || n_items < 2) return;
  char text[LIMN_ERROR_TEXT_SIZE];
  memcpy(text, err->text, sizeof text);
  limn_error_set(err, status, err->offset, "item %zu of %zu: %s", i + 1, n_items, text);
}

limn_status limn_batch_evaluate(limn_batch *b, const limn_batch_item *items, size_t n_items,
                                limn_error *err) {
  size_t n_taken, n_sequences = 0;
  limn_status status = prepare_all(b, items, n_items, &n_taken, &n_sequences, err);
  bool is_ready = status == LIMN_OK;
  if (!is_ready) say_which(err, status, n_taken, n_items);
  if (is_ready && n_sequences > 0)
    status = limn_gpt2_forward(&b->run, b->sequences, n_sequences, err);
  for (size_t i = 0; i < n_taken; i++) {
    items[i].session->is_taken = false;
    if (is_ready && items[i].n > 0) limn_session_commit(items[i].session, status == LIMN_OK);
  }
  return status;
}
