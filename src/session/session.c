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

static limn_status check_options(const limn_model *model, const limn_session_options *options,
                                 limn_error *err) {
  const limn_config *config = limn_model_config(model);
  if (options->n_ctx < 0 || options->n_ctx > config->n_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d positions asked for, the model has 1 to %d", options->n_ctx,
                          config->n_ctx);
  if (options->stop_at_layer < -1 || options->stop_at_layer > config->n_layer)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "stop at layer %d, the model has layers 0 to %d", options->stop_at_layer,
                          config->n_layer - 1);
  if (options->max_logits < 0 || options->max_logits > config->n_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "logits of %d tokens asked for, the model has 1 to %d positions",
                          options->max_logits, config->n_ctx);
  return LIMN_OK;
}

static void set_sequence(limn_session *s, const limn_session_options *options) {
  const limn_config *config = limn_model_config(s->model);
  limn_sequence *sequence = &s->sequence;
  sequence->should_stop = options->should_stop;
  sequence->should_stop_user = options->should_stop_user;
  sequence->is_invariant = options->invariant;
  sequence->n_ctx = options->n_ctx ? options->n_ctx : config->n_ctx;
  sequence->end_layer = options->stop_at_layer == 0    ? config->n_layer
                        : options->stop_at_layer == -1 ? 0
                                                       : options->stop_at_layer;
  s->options.max_logits = options->all_logits   ? (int)sequence->n_ctx
                          : options->max_logits ? options->max_logits
                                                : 1;
}

/* The same takes measure the arena first and then fill it. */
static void take_all(limn_session *s, limn_arena *arena) {
  size_t n_ctx = (size_t)s->sequence.n_ctx;
  s->ids = limn_arena_take(arena, n_ctx, sizeof *s->ids);
  s->sliding_ids = limn_arena_take(arena, n_ctx, sizeof *s->sliding_ids);
  limn_sequence_take(&s->sequence, s->model, s->options.max_logits, arena);
}

static limn_status take_memory(limn_session *s, limn_error *err) {
  const limn_config *config = limn_model_config(s->model);
  limn_arena measure = limn_arena_measure();
  take_all(s, &measure);
  if (measure.overflowed) return limn_out_of_memory(err, "a session: its size does not fit");
  limn_status status = limn_arena_init(&s->arena, measure.used, err);
  if (status != LIMN_OK) return status;
  take_all(s, &s->arena);
  s->wanted = limn_alloc_zeroed((size_t)config->n_layer + 1, LIMN_POINT_COUNT);
  return s->wanted ? LIMN_OK : limn_out_of_memory(err, "a session");
}

/* The batch of the options, or one for this session alone. */
static limn_status take_batch(limn_session *s, limn_error *err) {
  int n_ctx = (int)s->sequence.n_ctx;
  limn_batch_options options = {s->options.pool, n_ctx, n_ctx};
  s->batch = s->options.batch;
  if (s->batch) return limn_batch_check_session(s->batch, s, err);
  s->owns_batch = true;
  return limn_batch_new(s->model, &options, &s->batch, err);
}

limn_status limn_session_new(const limn_model *model, const limn_session_options *options,
                             limn_session **out, limn_error *err) {
  static const limn_session_options defaults;
  *out = NULL;
  if (!options) options = &defaults;
  limn_status status = check_options(model, options, err);
  if (status != LIMN_OK) return status;
  limn_session *s = limn_alloc_zeroed(1, sizeof *s);
  if (!s) return limn_out_of_memory(err, "a session");
  s->model = model;
  s->options = *options;
  set_sequence(s, options);
  status = take_batch(s, err);
  if (status == LIMN_OK) status = take_memory(s, err);
  if (status != LIMN_OK) {
    limn_session_free(s);
    return status;
  }
  s->sequence.tap = (limn_tap){s->wanted, limn_session_visit, s};
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
  if (s->owns_batch) limn_batch_free(s->batch);
  limn_free(s);
}

/* ---- what it holds
 * ----------------------------------------------------------------------------------- */

const limn_model *limn_session_model(const limn_session *s) {
  return s->model;
}

int limn_session_length(const limn_session *s) {
  return s->length;
}

int limn_session_room(const limn_session *s) {
  return (int)s->sequence.n_ctx - s->length;
}

const int32_t *limn_session_ids(const limn_session *s) {
  return s->ids;
}

const float *limn_session_logits(const limn_session *s, size_t *n_rows) {
  if (n_rows) *n_rows = (size_t)s->n_logits;
  return s->n_logits > 0 ? s->sequence.logits : NULL;
}

void limn_session_truncate(limn_session *s, int length) {
  assert(length >= 0 && length <= s->length);
  int64_t n_gone = s->length - length; /* rows of logits are those of the last positions */
  s->length = length;
  s->n_logits = s->n_logits > n_gone ? s->n_logits - n_gone : 0;
}

void limn_session_reset(limn_session *s) {
  limn_session_truncate(s, 0);
}

limn_status limn_session_copy(limn_session *to, const limn_session *from, int length,
                              limn_error *err) {
  return limn_session_copy_layers(to, from, 0, length, err);
}

limn_status limn_session_copy_layers(limn_session *to, const limn_session *from, int first_layer,
                                     int length, limn_error *err) {
  assert(to != from && length >= 0 && length <= from->length);
  if (to->model != from->model)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "the two sessions are of different models");
  if (length > to->sequence.n_ctx)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d positions do not fit into a session of %d", length,
                          (int)to->sequence.n_ctx);
  limn_gpt2_copy_cache(to->model, &to->sequence, &from->sequence, first_layer, length);
  memcpy(to->ids, from->ids, (size_t)length * sizeof *to->ids);
  to->length = length;
  to->n_logits = 0;
  return LIMN_OK;
}

/* ---- evaluating
 * ---------------------------------------------------------------------------------------- */

static limn_status check_ids(const limn_session *s, const int32_t *ids, size_t n, limn_error *err) {
  int vocab_size = limn_model_config(s->model)->vocab_size;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] < 0 || ids[i] >= vocab_size)
      return limn_error_set(err, LIMN_ERROR_RANGE, i,
                            "token id %d at position %zu is outside the vocabulary of %d tokens",
                            (int)ids[i], i, vocab_size);
  }
  return LIMN_OK;
}

/*
 * Learned positions cannot move: a key made at position 9 is wrong at position 3. So the window
 * starts anew from its newest three quarters, which leaves room for a while. Returns how many of n
 * new tokens are among them.
 */
static size_t slide(limn_session *s, const int32_t *ids, size_t n) {
  size_t n_ctx = (size_t)s->sequence.n_ctx, n_new = n < n_ctx ? n : n_ctx;
  size_t keep = n_ctx - n_ctx / 4;
  if (keep < n_new) keep = n_new;
  size_t n_old = keep - n_new;
  if (n_old > (size_t)s->length) n_old = (size_t)s->length;
  memcpy(s->sliding_ids, s->ids + s->length - n_old, n_old * sizeof *ids);
  memcpy(s->sliding_ids + n_old, ids + n - n_new, n_new * sizeof *ids);
  s->sequence.ids = s->sliding_ids;
  s->sequence.n = (int64_t)(n_old + n_new);
  s->sequence.past = 0;
  return n_new;
}

static limn_status prepare_start(limn_session *s, const limn_batch_item *item, limn_error *err) {
  int n_layer = limn_model_config(s->model)->n_layer, first = item->first_layer;
  s->sequence.start = item->residual;
  s->sequence.first_layer = first;
  if (first < 0 || first >= n_layer || first > s->sequence.end_layer)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "it is to begin at layer %d, and ends in front of layer %d", first,
                          s->sequence.end_layer);
  if (first > 0 && !item->residual)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "it is to begin at layer %d, without a residual stream", first);
  return LIMN_OK;
}

/* How many of n_new new tokens get logits. */
static limn_status prepare_logits(limn_session *s, const limn_batch_item *item, size_t n_new,
                                  limn_error *err) {
  int64_t n = item->n_logits ? item->n_logits : s->options.all_logits ? (int64_t)n_new : 1;
  s->sequence.n_logits = s->options.stop_at_layer != 0 ? 0 : n;
  if (n >= 0 && n <= (int64_t)n_new && n <= s->options.max_logits) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "logits of %d tokens asked for, of %zu, with room for %d", item->n_logits,
                        n_new, s->options.max_logits);
}

limn_status limn_session_prepare(limn_session *s, const limn_batch_item *item, limn_error *err) {
  size_t room = (size_t)limn_session_room(s), n = item->n, n_new = n;
  limn_status status = check_ids(s, item->ids, n, err);
  if (status == LIMN_OK) status = prepare_start(s, item, err);
  if (status != LIMN_OK) return status;
  if (n > room && s->options.overflow != LIMN_OVERFLOW_SLIDE)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "%zu tokens after %d do not fit into the context window of %d", n,
                          s->length, (int)s->sequence.n_ctx);
  if (n > room && item->residual)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "the window would slide, but layers below %d are not to be run",
                          item->first_layer);
  if (n > room) {
    n_new = slide(s, item->ids, n);
  } else {
    s->sequence.ids = item->ids;
    s->sequence.n = (int64_t)n;
    s->sequence.past = s->length;
  }
  return prepare_logits(s, item, n_new, err);
}

void limn_session_commit(limn_session *s, bool is_success) {
  const limn_sequence *sequence = &s->sequence;
  bool has_slid = sequence->ids == s->sliding_ids;
  int first = has_slid ? 0 : s->length;
  int end = (int)(sequence->past + sequence->n); /* which stays where the pass left rows out */
  if (is_success) {
    memmove(s->ids + first, sequence->ids, (size_t)(end - first) * sizeof *s->ids);
    s->length = end;
    s->n_logits = sequence->n_logits;
  } else if (has_slid) {
    limn_session_reset(s);
  }
}

limn_status limn_session_evaluate(limn_session *s, const int32_t *ids, size_t n, limn_error *err) {
  limn_batch_item item = {.session = s, .ids = ids, .n = n};
  return limn_batch_evaluate(s->batch, &item, 1, err);
}
