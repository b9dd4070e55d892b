/*
 * A session's promises: looking changes nothing, splitting changes nothing but rounding, threads
 * change nothing at all, edits go on from where they were made, and a failure leaves things be.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 512, N_IDS = 24 };

static limn_status look(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  ++*(int *)user;
  assert_true(seen->n_key == seen->position + seen->n_query);
  return LIMN_OK;
}

/* Invariant: what is promised here holds on tiles only then. */
static limn_session *new_session(const reference *r, limn_session_options options) {
  options.invariant = true;
  limn_error err;
  limn_session *s;
  CHECK_OK(limn_session_new(r->model, &options, &s, &err), err);
  return s;
}

static void evaluate(limn_session *s, const int32_t *ids, size_t n) {
  limn_error err;
  CHECK_OK(limn_session_evaluate(s, ids, n, &err), err);
}

static void observe(limn_session *s, const char *patterns, limn_observer_mode mode,
                    limn_observer_fn observer, void *user) {
  limn_error err;
  CHECK_OK(limn_session_observe(s, patterns, mode, observer, user, NULL, &err), err);
}

/* The logits of all ids under one observer (or none). */
static void logits_with(const reference *r, int n_threads, const char *patterns,
                        limn_observer_mode mode, limn_observer_fn observer, void *user,
                        float *logits) {
  limn_error err;
  limn_pool *pool;
  CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
  limn_session *s = new_session(r, (limn_session_options){.pool = pool, .all_logits = true});
  if (patterns) observe(s, patterns, mode, observer, user);
  evaluate(s, r->ids, r->n_ids);
  memcpy(logits, limn_session_logits(s, NULL), N_IDS * VOCAB * sizeof *logits);
  limn_session_free(s);
  limn_pool_free(pool);
}

/* The point in every layer: "blocks.*.hook_resid_pre". */
static void pattern_of(const limn_hook_point *point, char out[128]) {
  const char *mark = strstr(point->name, "{i}");
  if (mark)
    snprintf(out, 128, "%.*s*%s", (int)(mark - point->name), point->name, mark + 3);
  else
    snprintf(out, 128, "%s", point->name);
}

static void looking_changes_nothing(void **state) {
  reference *r = *state;
  static float plain[N_IDS * VOCAB], watched[N_IDS * VOCAB];
  logits_with(r, 1, NULL, LIMN_OBSERVE_READ, NULL, NULL, plain);
  for (size_t i = 0; i < limn_hook_point_count(r->model); i++) {
    char pattern[128];
    pattern_of(limn_hook_point_at(r->model, i), pattern);
    int n_calls = 0;
    logits_with(r, 2, pattern, LIMN_OBSERVE_READ, look, &n_calls, watched);
    assert_int_equal(n_calls, strchr(pattern, '*') ? 3 : 1);
    assert_memory_equal(plain, watched, sizeof plain);
  }
}

static void threads_change_nothing(void **state) {
  reference *r = *state;
  static float one[N_IDS * VOCAB], many[N_IDS * VOCAB];
  logits_with(r, 1, NULL, LIMN_OBSERVE_READ, NULL, NULL, one);
  for (int n = 2; n <= 5; n++) {
    logits_with(r, n, NULL, LIMN_OBSERVE_READ, NULL, NULL, many);
    assert_memory_equal(one, many, sizeof one);
  }
}

/* No row knows how many others are in its call, so the logits are the same to the bit. */
static void any_split_gives_the_same_logits(void **state) {
  reference *r = *state;
  static float whole[N_IDS * VOCAB];
  logits_with(r, 1, NULL, LIMN_OBSERVE_READ, NULL, NULL, whole);
  const float *last = whole + (N_IDS - 1) * VOCAB;
  for (size_t step = 1; step < N_IDS; step++) {
    limn_session *s = new_session(r, (limn_session_options){0});
    for (size_t at = 0; at < N_IDS; at += step)
      evaluate(s, r->ids + at, at + step < N_IDS ? step : N_IDS - at);
    size_t n_rows;
    const float *logits = limn_session_logits(s, &n_rows);
    assert_int_equal(n_rows, 1);
    assert_memory_equal(logits, last, VOCAB * sizeof *last);
    limn_session_free(s);
  }
}

static void truncating_goes_back(void **state) {
  reference *r = *state;
  static float before[VOCAB];
  limn_session *s = new_session(r, (limn_session_options){0});
  evaluate(s, r->ids, 10);
  memcpy(before, limn_session_logits(s, NULL), sizeof before);
  evaluate(s, r->ids + 3, 8);
  limn_session_truncate(s, 9);
  assert_null(limn_session_logits(s, NULL));
  evaluate(s, r->ids + 9, 1);
  assert_int_equal(limn_session_length(s), 10);
  assert_memory_equal(limn_session_ids(s), r->ids, 10 * sizeof *r->ids);
  assert_memory_equal(limn_session_logits(s, NULL), before, sizeof before);
  limn_session_free(s);
}

static void truncating_keeps_the_logits_of_what_stays(void **state) {
  reference *r = *state;
  static float before[3 * VOCAB];
  size_t n_rows;
  limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
  evaluate(s, r->ids, 4);
  evaluate(s, r->ids + 4, 5);
  memcpy(before, limn_session_logits(s, NULL), sizeof before);
  limn_session_truncate(s, 7);
  assert_memory_equal(limn_session_logits(s, &n_rows), before, sizeof before);
  assert_int_equal(n_rows, 3);
  limn_session_truncate(s, 4);
  assert_null(limn_session_logits(s, &n_rows));
  assert_int_equal(n_rows, 0);
  limn_session_free(s);
}

/* ---- edits -------------------------------------------------------------------------------------
 */

static limn_status set_to_zero(void *user, const limn_observation *seen, limn_error *err) {
  (void)user, (void)err;
  limn_tensor value = seen->value;
  float *zeros = calloc((size_t)limn_tensor_count(&value), sizeof *zeros);
  limn_tensor_scatter(zeros, &value);
  free(zeros);
  return LIMN_OK;
}

static limn_status change_nothing(void *user, const limn_observation *seen, limn_error *err) {
  (void)user, (void)seen, (void)err;
  return LIMN_OK;
}

/* An edit that writes back what was there takes every path of an edit, and gives the same logits.
 */
static void an_edit_without_effect(void **state) {
  reference *r = *state;
  static float plain[N_IDS * VOCAB], edited[N_IDS * VOCAB];
  logits_with(r, 1, NULL, LIMN_OBSERVE_READ, NULL, NULL, plain);
  for (size_t i = 0; i < limn_hook_point_count(r->model); i++) {
    char pattern[128];
    pattern_of(limn_hook_point_at(r->model, i), pattern);
    logits_with(r, 2, pattern, LIMN_OBSERVE_EDIT, change_nothing, NULL, edited);
    check_close(pattern, edited, plain, N_IDS * VOCAB, 2e-6);
  }
}

/* Without attention's and the MLP's output the stream is the embedding, in every layer. */
static limn_status is_embedding(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  float *embedding = user, found[N_IDS * 32];
  limn_tensor_gather(&seen->value, found);
  if (strcmp(seen->name, "hook_embed") == 0)
    memcpy(embedding, found, sizeof found);
  else if (strcmp(seen->name, "hook_pos_embed") == 0)
    for (int i = 0; i < N_IDS * 32; i++)
      embedding[i] += found[i];
  else
    assert_memory_equal(embedding, found, sizeof found);
  return LIMN_OK;
}

static void edits_of_outputs_reach_the_stream(void **state) {
  reference *r = *state;
  static float embedding[N_IDS * 32];
  limn_session *s = new_session(r, (limn_session_options){0});
  observe(s, "*attn_out,*mlp_out", LIMN_OBSERVE_EDIT, set_to_zero, NULL);
  observe(s, "hook_embed,hook_pos_embed,*resid_post", LIMN_OBSERVE_READ, is_embedding, embedding);
  evaluate(s, r->ids, r->n_ids);
  limn_session_free(s);
}

/* The same change made at two places that mean the same. */
static void logits_without(const reference *r, const char *patterns, float *logits) {
  logits_with(r, 1, patterns, LIMN_OBSERVE_EDIT, set_to_zero, NULL, logits);
}

static void edits_agree_with_each_other(void **state) {
  reference *r = *state;
  static float a[N_IDS * VOCAB], b[N_IDS * VOCAB], plain[N_IDS * VOCAB];
  static const char *const same[][2] = {
      {"blocks.1.attn.hook_z", "blocks.1.attn.hook_result"},
      {"blocks.1.attn.hook_v", "blocks.1.attn.hook_z"},
      {"blocks.0.attn.hook_q", "blocks.0.attn.hook_k"},
      {"blocks.0.attn.hook_q", "blocks.0.attn.hook_attn_scores_raw"},
      {"blocks.2.attn.hook_pattern", "blocks.2.attn.hook_z"},
  };
  logits_with(r, 1, NULL, LIMN_OBSERVE_READ, NULL, NULL, plain);
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    logits_without(r, same[i][0], a);
    logits_without(r, same[i][1], b);
    check_close(same[i][1], a, b, N_IDS * VOCAB, 2e-6);
    assert_true(limn_compare(a, plain, N_IDS * VOCAB).relative > 1e-3);
  }
}

/* What the cache keeps is the edited value: a second call sees it without a second edit. */
static void edited_values_stay_in_the_cache(void **state) {
  reference *r = *state;
  limn_error err;
  int id;
  limn_session *edited = new_session(r, (limn_session_options){0});
  limn_session *plain = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_session_observe(edited, "v0", LIMN_OBSERVE_EDIT, set_to_zero, NULL, &id, &err),
           err);
  evaluate(edited, r->ids, 12);
  limn_session_unobserve(edited, id);
  evaluate(plain, r->ids, 12);
  evaluate(edited, r->ids + 12, 1);
  evaluate(plain, r->ids + 12, 1);
  assert_true(
      limn_compare(limn_session_logits(edited, NULL), limn_session_logits(plain, NULL), VOCAB)
          .relative > 1e-3);
  limn_session_free(edited);
  limn_session_free(plain);
}

static limn_status set_tokens(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  const float *ids = user;
  limn_tensor value = seen->value;
  limn_tensor_scatter(ids, &value);
  return LIMN_OK;
}

static void edited_tokens_are_other_tokens(void **state) {
  reference *r = *state;
  limn_error err;
  static float as_ids[N_IDS], wanted[VOCAB];
  int32_t other[N_IDS];
  for (int i = 0; i < N_IDS; i++) {
    other[i] = r->ids[N_IDS - 1 - i];
    as_ids[i] = (float)other[i];
  }
  limn_session *s = new_session(r, (limn_session_options){0});
  evaluate(s, other, N_IDS);
  memcpy(wanted, limn_session_logits(s, NULL), sizeof wanted);
  limn_session_reset(s);
  observe(s, "hook_tokens", LIMN_OBSERVE_EDIT, set_tokens, as_ids);
  evaluate(s, r->ids, N_IDS);
  assert_memory_equal(wanted, limn_session_logits(s, NULL), sizeof wanted);
  limn_session_reset(s);
  as_ids[3] = 0.5f;
  CHECK_FAILS(limn_session_evaluate(s, r->ids, N_IDS, &err), LIMN_ERROR_RANGE, err,
              "hook_tokens was set to 0.5 at position 3");
  assert_int_equal(limn_session_length(s), 0);
  limn_session_free(s);
}

/* ---- limits
 * -------------------------------------------------------------------------------------- */

static void stops_at_a_layer(void **state) {
  reference *r = *state;
  static const struct { int stop, n_layers; } cases[] = {{-1, 0}, {1, 1}, {2, 2}, {3, 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int n_calls = 0;
    limn_session *s = new_session(r, (limn_session_options){.stop_at_layer = cases[i].stop});
    observe(s, "*resid_post,ln_final*", LIMN_OBSERVE_READ, look, &n_calls);
    evaluate(s, r->ids, 5);
    assert_int_equal(n_calls, cases[i].n_layers);
    assert_null(limn_session_logits(s, NULL));
    limn_session_free(s);
  }
}

static void overflow_is_an_error_or_slides(void **state) {
  reference *r = *state;
  limn_error err;
  int32_t ids[100];
  for (int i = 0; i < 100; i++)
    ids[i] = i * 7 % VOCAB;
  limn_session *s = new_session(r, (limn_session_options){.n_ctx = 16});
  evaluate(s, ids, 10);
  CHECK_FAILS(limn_session_evaluate(s, ids, 7, &err), LIMN_ERROR_CONTEXT, err,
              "7 tokens after 10 do not fit into the context window of 16");
  assert_int_equal(limn_session_length(s), 10);
  assert_non_null(limn_session_logits(s, NULL));
  limn_session_free(s);

  limn_session_options sliding = {.n_ctx = 16, .overflow = LIMN_OVERFLOW_SLIDE};
  s = new_session(r, sliding);
  evaluate(s, ids, 16);
  evaluate(s, ids + 16, 1);
  assert_int_equal(limn_session_length(s), 12);
  assert_memory_equal(limn_session_ids(s), ids + 5, 12 * sizeof *ids);
  evaluate(s, ids, 100);
  assert_int_equal(limn_session_length(s), 16);
  assert_memory_equal(limn_session_ids(s), ids + 84, 16 * sizeof *ids);
  static float slid[VOCAB];
  memcpy(slid, limn_session_logits(s, NULL), sizeof slid);
  limn_session_reset(s);
  evaluate(s, ids + 84, 16);
  assert_memory_equal(slid, limn_session_logits(s, NULL), sizeof slid);
  limn_session_free(s);
}

static bool stop_now(void *user) {
  return --*(int *)user < 0;
}

static limn_status refuse(void *user, const limn_observation *seen, limn_error *err) {
  (void)user;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "%s refused", seen->name);
}

static void failures_leave_the_session_as_it_was(void **state) {
  reference *r = *state;
  limn_error err;
  static float wanted[VOCAB];
  int countdown = 1000, id;
  limn_session *s = new_session(
      r, (limn_session_options){.should_stop = stop_now, .should_stop_user = &countdown});
  evaluate(s, r->ids, 8);
  evaluate(s, r->ids + 8, 4);
  memcpy(wanted, limn_session_logits(s, NULL), sizeof wanted);
  limn_session_truncate(s, 8);
  int32_t bad[] = {1, 2, VOCAB};
  CHECK_FAILS(limn_session_evaluate(s, bad, 3, &err), LIMN_ERROR_RANGE, err,
              "token id 512 at position 2 is outside the vocabulary of 512 tokens");
  bad[2] = -1;
  CHECK_FAILS(limn_session_evaluate(s, bad, 3, &err), LIMN_ERROR_RANGE, err, "token id -1");
  CHECK_OK(limn_session_observe(s, "mlp_out2", LIMN_OBSERVE_READ, refuse, NULL, &id, &err), err);
  CHECK_FAILS(limn_session_evaluate(s, r->ids, 4, &err), LIMN_ERROR_ARGUMENT, err,
              "blocks.2.hook_mlp_out refused");
  limn_session_unobserve(s, id);
  countdown = 1;
  CHECK_FAILS(limn_session_evaluate(s, r->ids, 4, &err), LIMN_ERROR_CANCELLED, err,
              "cancelled before layer 1 of 3");
  countdown = 1000;
  assert_int_equal(limn_session_length(s), 8);
  evaluate(s, r->ids + 8, 4);
  assert_memory_equal(wanted, limn_session_logits(s, NULL), sizeof wanted);
  limn_session_free(s);
}

static void options_out_of_range(void **state) {
  reference *r = *state;
  limn_error err;
  limn_session *s;
  CHECK_FAILS(limn_session_new(r->model, &(limn_session_options){.n_ctx = 65}, &s, &err),
              LIMN_ERROR_RANGE, err, "65 positions asked for, the model has 1 to 64");
  assert_null(s);
  CHECK_FAILS(limn_session_new(r->model, &(limn_session_options){.stop_at_layer = 4}, &s, &err),
              LIMN_ERROR_RANGE, err, "stop at layer 4");
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  limn_error err;
  reference r;
  for (int64_t k = 0;; k++) {
    fail_allocation(k);
    limn_session *s = NULL;
    int n_calls = 0;
    snprintf(r.folder, sizeof r.folder, "%s/gpt2-tiny/f16", LIMN_TEST_DATA);
    limn_status status = limn_model_open(r.folder, NULL, &r.model, &err);
    if (status == LIMN_OK) status = limn_session_new(r.model, NULL, &s, &err);
    if (status == LIMN_OK)
      status =
          limn_session_observe(s, "*,*.hook_result", LIMN_OBSERVE_READ, look, &n_calls, NULL, &err);
    int64_t before = allocations_asked();
    if (status == LIMN_OK) status = limn_session_evaluate(s, (int32_t[]){1, 2, 3}, 3, &err);
    assert_true(allocations_asked() == before); /* evaluating never allocates */
    limn_session_free(s);
    limn_model_close(r.model);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(looking_changes_nothing),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(any_split_gives_the_same_logits),
      cmocka_unit_test(truncating_goes_back),
      cmocka_unit_test(truncating_keeps_the_logits_of_what_stays),
      cmocka_unit_test(an_edit_without_effect),
      cmocka_unit_test(edits_of_outputs_reach_the_stream),
      cmocka_unit_test(edits_agree_with_each_other),
      cmocka_unit_test(edited_values_stay_in_the_cache),
      cmocka_unit_test(edited_tokens_are_other_tokens),
      cmocka_unit_test(stops_at_a_layer),
      cmocka_unit_test(overflow_is_an_error_or_slides),
      cmocka_unit_test(failures_leave_the_session_as_it_was),
      cmocka_unit_test(options_out_of_range),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
