/*
 * Each cell of a sweep against the run of the whole text with the same edit, to the bit: with
 * limn_edit for heads, with an observer of its own for patches.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 512, N_LAYER = 3, N_HEAD = 4, N = 17 };

typedef struct expected {
  const reference *r;
  const limn_sweep_options *o;
  const char *hook; /* in full, without the layer */
  float *source;    /* (n_layer, N, width) */
  int64_t width;
  int layer, column;
  int n_cells;
} expected;

static limn_status keep(void *user, const limn_observation *seen, limn_error *err) {
  expected *e = user;
  (void)err;
  e->width = limn_tensor_count(&seen->value) / N;
  if (!e->source) e->source = malloc(sizeof(float) * (size_t)(N_LAYER * N * e->width));
  limn_tensor_gather(&seen->value, e->source + seen->hook.layer * N * e->width);
  return LIMN_OK;
}

static limn_status put(void *user, const limn_observation *seen, limn_error *err) {
  const expected *e = user;
  (void)err;
  int64_t n = limn_tensor_count(&seen->value), part = e->width / N_HEAD;
  float *all = malloc(sizeof *all * (size_t)n);
  const float *from = e->source + e->layer * N * e->width;
  limn_tensor value = seen->value;
  limn_tensor_gather(&value, all);
  for (int64_t i = 0; i < n; i++) {
    bool is_meant = e->o->over == LIMN_SWEEP_HEADS ? i % e->width / part == e->column
                                                   : i / e->width == e->column;
    if (is_meant) all[i] = e->o->put == LIMN_SWEEP_ZERO ? 0 : from[i];
  }
  limn_tensor_scatter(all, &value);
  free(all);
  return LIMN_OK;
}

static limn_session *new_session(const reference *r) {
  limn_error err;
  limn_session *s;
  CHECK_OK(limn_session_new(r->model, NULL, &s, &err), err);
  return s;
}

static void keep_source(expected *e) {
  limn_error err;
  char name[128];
  limn_session *s = new_session(e->r);
  snprintf(name, sizeof name, "blocks.*.%s", e->hook);
  CHECK_OK(limn_session_observe(s, name, LIMN_OBSERVE_READ, keep, e, NULL, &err), err);
  CHECK_OK(limn_session_evaluate(s, e->o->source ? e->o->source : e->r->ids, N, &err), err);
  limn_session_free(s);
}

/* The run from scratch: with an edit as text where there is one for it. */
static limn_status check_cell(void *user, const limn_sweep_cell *cell, limn_error *err) {
  expected *e = user;
  char text[128];
  limn_edit *edit = NULL;
  limn_session *s = new_session(e->r);
  e->layer = cell->layer;
  e->column = cell->column;
  if (e->o->over == LIMN_SWEEP_HEADS && e->o->put != LIMN_SWEEP_PATCH) {
    snprintf(text, sizeof text, "blocks.%d.%s[:,%d]=%s", cell->layer, e->hook, cell->column,
             e->o->put == LIMN_SWEEP_MEAN ? "mean" : "0");
    CHECK_OK(limn_edit_new(e->r->model, text, &edit, err), *err);
    CHECK_OK(limn_edit_attach(edit, s, NULL, err), *err);
  } else {
    snprintf(text, sizeof text, "blocks.%d.%s", cell->layer, e->hook);
    CHECK_OK(limn_session_observe(s, text, LIMN_OBSERVE_EDIT, put, e, NULL, err), *err);
  }
  CHECK_OK(limn_session_evaluate(s, e->r->ids, N, err), *err);
  if (memcmp(cell->logits, limn_session_logits(s, NULL), VOCAB * sizeof(float)) != 0)
    fail_msg("cell %d, %d of %s: other logits", cell->layer, cell->column, text);
  assert_memory_equal(cell->logits, limn_session_logits(s, NULL), VOCAB * sizeof(float));
  double wanted = limn_log_probability(cell->logits, VOCAB, 7);
  assert_true(cell->value == wanted);
  e->n_cells++;
  limn_session_free(s);
  limn_edit_free(edit);
  return LIMN_OK;
}

static void check_sweep(const reference *r, limn_sweep_options o, const char *hook) {
  limn_error err;
  limn_sweep *sweep;
  expected e = {.r = r, .o = &o, .hook = hook};
  o.cell = check_cell;
  o.user = &e;
  o.target = 7;
  keep_source(&e);
  CHECK_OK(limn_sweep_run(r->model, r->ids, N, &o, &sweep, &err), err);
  assert_int_equal(sweep->n_columns, o.over == LIMN_SWEEP_HEADS ? N_HEAD : N);
  assert_int_equal(e.n_cells, sweep->n_layer * sweep->n_columns);
  limn_sweep_free(sweep);
  free(e.source);
}

static void each_cell_is_the_run_alone(void **state) {
  const reference *r = *state;
  static const struct {
    const char *given, *hook;
    bool has_heads;
  } hooks[] = {{"hook_resid_pre", "hook_resid_pre", false},
               {"attn_out", "hook_attn_out", false},
               {"hook_mlp_out", "hook_mlp_out", false},
               {"hook_resid_mid", "hook_resid_mid", false},
               {"resid_post", "hook_resid_post", false},
               {"attn.hook_z", "attn.hook_z", true},
               {"k", "attn.hook_k", true},
               {"attn.hook_result", "attn.hook_result", true},
               {"mlp.hook_post", "mlp.hook_post", false}};
  int32_t other[N];
  limn_error err;
  limn_pool *pool;
  CHECK_OK(limn_pool_new(2, &pool, &err), err);
  static const int rows[] = {0, 20, 64};
  for (size_t h = 0; h < sizeof hooks / sizeof *hooks; h++) {
    /* Another text altogether, or one that differs late. */
    for (int i = 0; i < N; i++)
      other[i] = h % 2 == 0 || i == 9 ? (r->ids[i] * 5 + i) % VOCAB : r->ids[i];
    for (int put = LIMN_SWEEP_ZERO; put <= LIMN_SWEEP_PATCH; put++) {
      limn_sweep_options o = {.put = (limn_sweep_put)put,
                              .hook = hooks[h].given,
                              .pool = pool,
                              .max_rows = rows[(h + (size_t)put) % 3]};
      if (put == LIMN_SWEEP_PATCH) o.source = other, o.n_source = N;
      if (hooks[h].has_heads) check_sweep(r, o, hooks[h].hook);
      o.over = LIMN_SWEEP_POSITIONS;
      if (put != LIMN_SWEEP_MEAN) check_sweep(r, o, hooks[h].hook);
    }
  }
  limn_pool_free(pool);
}

/* ---- metrics
 * ------------------------------------------------------------------------------------- */

typedef struct kept {
  float logits[N_LAYER][N_HEAD][VOCAB];
} kept;

static limn_status keep_logits(void *user, const limn_sweep_cell *cell, limn_error *err) {
  kept *k = user;
  (void)err;
  memcpy(k->logits[cell->layer][cell->column], cell->logits, VOCAB * sizeof(float));
  return LIMN_OK;
}

static double metric_of(limn_metric metric, const float *clean, const float *x, int32_t target,
                        int32_t against) {
  double p[VOCAB], q[VOCAB], sum = 0;
  if (metric == LIMN_METRIC_LOGIT) return (double)x[target];
  if (metric == LIMN_METRIC_DIFFERENCE) return (double)x[target] - (double)x[against];
  assert_true(limn_probabilities(clean, VOCAB, p) && limn_probabilities(x, VOCAB, q));
  if (metric == LIMN_METRIC_LOG_PROBABILITY) return log(q[target]);
  for (int i = 0; i < VOCAB; i++)
    sum += p[i] * log(p[i] / q[i]);
  return sum;
}

static void metrics_are_what_they_say(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_sweep *sweep;
  static kept k;
  int32_t top[2];
  limn_session *s = new_session(r);
  CHECK_OK(limn_session_evaluate(s, r->ids, N, &err), err);
  const float *clean = limn_session_logits(s, NULL);
  limn_top_ids(clean, VOCAB, 2, top);
  for (int metric = 0; metric <= LIMN_METRIC_KL; metric++) {
    limn_sweep_options o = {.metric = (limn_metric)metric,
                            .target = -1,
                            .against = -1,
                            .cell = keep_logits,
                            .user = &k};
    CHECK_OK(limn_sweep_run(r->model, r->ids, N, &o, &sweep, &err), err);
    assert_int_equal(sweep->target, metric == LIMN_METRIC_KL ? -1 : top[0]);
    assert_int_equal(sweep->against, metric == LIMN_METRIC_DIFFERENCE ? top[1] : -1);
    assert_true(isnan(sweep->source));
    double wanted = metric_of(o.metric, clean, clean, top[0], top[1]);
    assert_true(fabs(sweep->clean - wanted) < 1e-9);
    for (int i = 0; i < N_LAYER * N_HEAD; i++) {
      wanted = metric_of(o.metric, clean, k.logits[i / N_HEAD][i % N_HEAD], top[0], top[1]);
      assert_true(fabs(sweep->values[i] - wanted) < 1e-9);
    }
    limn_sweep_free(sweep);
  }
  /* Patching every position of the first layer with itself changes nothing. */
  limn_sweep_options same = {.over = LIMN_SWEEP_POSITIONS,
                             .put = LIMN_SWEEP_PATCH,
                             .source = r->ids,
                             .n_source = N,
                             .target = top[0]};
  CHECK_OK(limn_sweep_run(r->model, r->ids, N, &same, &sweep, &err), err);
  assert_true(sweep->source == sweep->clean);
  for (int i = 0; i < N_LAYER * N; i++)
    assert_true(sweep->values[i] == sweep->clean);
  limn_sweep_free(sweep);
  limn_session_free(s);
}

/* ---- what is refused
 * ----------------------------------------------------------------------------- */

static bool stop_after_one(void *user, int done, int total) {
  (void)user;
  return done > 0 && total == N_LAYER * N_HEAD;
}

static limn_status refuse(void *user, const limn_sweep_cell *cell, limn_error *err) {
  (void)user;
  return cell->layer == 1 ? limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "refused") : LIMN_OK;
}

static void refusals(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_sweep *sweep;
  int32_t bad[] = {1, VOCAB}, many[65] = {0};
  static const struct {
    limn_sweep_options o;
    limn_status status;
    const char *part;
  } cases[] = {
      {{.hook = "hook_q"}, LIMN_ERROR_NOT_FOUND, "blocks.0.hook_q"},
      {{.hook = "*"}, LIMN_ERROR_NOT_FOUND, "*"},
      {{.hook = "attn.hook_pattern"}, LIMN_ERROR_SHAPE, "attn.hook_pattern has the axes n_head"},
      {{.hook = "hook_resid_pre"}, LIMN_ERROR_SHAPE, "expected position, n_head first"},
      {{.put = LIMN_SWEEP_PATCH}, LIMN_ERROR_RANGE, "has 0 tokens, expected 17"},
      {{.target = VOCAB}, LIMN_ERROR_RANGE, "token id 512"},
      {{.metric = LIMN_METRIC_DIFFERENCE, .against = -2}, LIMN_ERROR_RANGE, "token id -2"},
      {{.progress = stop_after_one, .max_rows = 20}, LIMN_ERROR_CANCELLED, "after 1 of 12 cells"},
      {{.cell = refuse}, LIMN_ERROR_IO, "refused"},
      {{.max_rows = -1}, LIMN_ERROR_RANGE, "-1"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_FAILS(limn_sweep_run(r->model, r->ids, N, &cases[i].o, &sweep, &err), cases[i].status,
                err, cases[i].part);
    assert_null(sweep);
  }
  limn_sweep_options plain = {.put = LIMN_SWEEP_ZERO};
  CHECK_FAILS(limn_sweep_run(r->model, bad, 2, &plain, &sweep, &err), LIMN_ERROR_RANGE, err,
              "token id 512 at position 1");
  CHECK_FAILS(limn_sweep_run(r->model, bad, 0, &plain, &sweep, &err), LIMN_ERROR_RANGE, err,
              "the text is empty");
  CHECK_FAILS(limn_sweep_run(r->model, many, 65, &plain, &sweep, &err), LIMN_ERROR_CONTEXT, err,
              "65 tokens do not fit into the context window of 64");
}

static void every_allocation_may_fail(void **state) {
  const reference *r = *state;
  limn_error err;
  for (int64_t k = 0;; k++) {
    limn_sweep *sweep;
    limn_sweep_options o = {
        .over = LIMN_SWEEP_POSITIONS, .put = LIMN_SWEEP_PATCH, .source = r->ids + 3, .n_source = 3};
    fail_allocation(k);
    limn_status status = limn_sweep_run(r->model, r->ids, 3, &o, &sweep, &err);
    limn_sweep_free(sweep);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
    assert_null(sweep);
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_cell_is_the_run_alone),
      cmocka_unit_test(metrics_are_what_they_say),
      cmocka_unit_test(refusals),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
