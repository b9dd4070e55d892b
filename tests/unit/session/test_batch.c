/*
 * A batch's promise: each session gets, to the bit, what it gets alone. Random batches are run
 * beside the same sessions alone; what all observers saw is held against each other too.
 */
#include "reference.h"

#include <stdlib.h>

enum { VOCAB = 512, N_LAYER = 3, WIDTH = 32, MOST_SESSIONS = 6, MAX_ROWS = 6 * 64 };

/* ---- a random session
 * ---------------------------------------------------------------------------- */

static uint64_t random_state = 1;

static int below(int n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (int)((random_state >> 33) % (uint64_t)n);
}

/* What observers saw, as one number. */
typedef struct witness {
  uint64_t hash;
  int n_calls;
  float factor; /* what an editing one multiplies by; 0 for one that reads */
} witness;

static void add_bytes(witness *w, const void *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    w->hash = (w->hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

static limn_status see(void *user, const limn_observation *seen, limn_error *err) {
  witness *w = user;
  (void)err;
  limn_tensor value = seen->value;
  size_t n = (size_t)limn_tensor_count(&value);
  float *copy = malloc(n * sizeof *copy);
  limn_tensor_gather(&value, copy);
  add_bytes(w, seen->name, strlen(seen->name));
  add_bytes(w, (int64_t[]){seen->position, seen->n_query, seen->n_key}, 3 * sizeof(int64_t));
  add_bytes(w, copy, n * sizeof *copy);
  w->n_calls++;
  if (w->factor != 0) {
    for (size_t i = 0; i < n; i++)
      copy[i] *= w->factor;
    limn_tensor_scatter(copy, &value);
  }
  free(copy);
  return LIMN_OK;
}

/* A session in the batch, and the same alone. */
typedef struct twin {
  limn_session *batched, *alone;
  witness seen[2], edited[2];
  bool slides;
} twin;

static const char *const read_patterns[] = {NULL,
                                            "*",
                                            "*hook_pattern",
                                            "*.hook_result,*.hook_mlp_in,hook_tokens",
                                            "*.hook_attn_in,*.hook_q_input",
                                            "ln_final*",
                                            "blocks.2.*",
                                            "*mlp.hook_pre,*mlp_out,*attn_out"};
static const char *const edit_patterns[] = {NULL,
                                            NULL,
                                            "*attn_out",
                                            "blocks.1.attn.hook_z",
                                            "*hook_pattern",
                                            "*hook_k",
                                            "*ln2*scale",
                                            "*.hook_result",
                                            "*.hook_q_input",
                                            "*resid_pre",
                                            "*.hook_mlp_in",
                                            "*mlp.hook_post",
                                            "ln_final.hook_scale",
                                            "*attn_scores"};

/* Invariant: what is promised here holds on tiles only then. */
static limn_session *new_session(const reference *r, limn_session_options options) {
  options.invariant = true;
  limn_error err;
  limn_session *s;
  CHECK_OK(limn_session_new(r->model, &options, &s, &err), err);
  return s;
}

static void observe(limn_session *s, const char *patterns, limn_observer_mode mode, witness *w) {
  limn_error err;
  if (patterns) CHECK_OK(limn_session_observe(s, patterns, mode, see, w, NULL, &err), err);
}

static void make_twin(const reference *r, limn_batch *batch, twin *t) {
  limn_session_options options = {.n_ctx = 40 + below(25),
                                  .all_logits = below(3) == 0,
                                  .overflow = below(2) ? LIMN_OVERFLOW_SLIDE : LIMN_OVERFLOW_ERROR,
                                  .stop_at_layer = below(4) ? 0 : below(5) - 1};
  const char *edit = edit_patterns[below(sizeof edit_patterns / sizeof *edit_patterns)];
  const char *look = read_patterns[below(sizeof read_patterns / sizeof *read_patterns)];
  *t = (twin){.slides = options.overflow == LIMN_OVERFLOW_SLIDE};
  t->alone = new_session(r, options);
  options.batch = batch;
  t->batched = new_session(r, options);
  for (int i = 0; i < 2; i++) {
    limn_session *s = i ? t->alone : t->batched;
    t->edited[i].factor = 0.5f;
    observe(s, edit, LIMN_OBSERVE_EDIT, &t->edited[i]);
    observe(s, look, LIMN_OBSERVE_READ, &t->seen[i]);
  }
}

static void free_twin(twin *t) {
  limn_session_free(t->alone);
  limn_session_free(t->batched);
}

static void check_twin(const twin *t) {
  size_t n, n_alone;
  const float *a = limn_session_logits(t->batched, &n);
  const float *b = limn_session_logits(t->alone, &n_alone);
  assert_int_equal(n, n_alone);
  if (n) assert_memory_equal(a, b, n * VOCAB * sizeof *a);
  assert_int_equal(limn_session_length(t->batched), limn_session_length(t->alone));
  assert_memory_equal(limn_session_ids(t->batched), limn_session_ids(t->alone),
                      (size_t)limn_session_length(t->alone) * sizeof(int32_t));
  assert_int_equal(t->seen[0].n_calls, t->seen[1].n_calls);
  assert_true(t->seen[0].hash == t->seen[1].hash);
  assert_int_equal(t->edited[0].n_calls, t->edited[1].n_calls);
  assert_true(t->edited[0].hash == t->edited[1].hash);
}

/* ---- random batches
 * ------------------------------------------------------------------------------ */

/* One call with what fits of a few tokens for each. */
static void run_once(limn_batch *batch, twin *twins, int n) {
  limn_error err;
  int32_t ids[MOST_SESSIONS][64];
  limn_batch_item items[MOST_SESSIONS];
  for (int i = 0; i < n; i++) {
    size_t count = (size_t)(below(3) ? below(4) : below(20));
    bool is_full = (int)count > limn_session_room(twins[i].alone);
    if (is_full && !twins[i].slides) {
      limn_session_reset(twins[i].alone);
      limn_session_reset(twins[i].batched);
    }
    for (size_t k = 0; k < count; k++)
      ids[i][k] = below(VOCAB);
    items[i] = (limn_batch_item){.session = twins[i].batched, .ids = ids[i], .n = count};
  }
  CHECK_OK(limn_batch_evaluate(batch, items, (size_t)n, &err), err);
  for (int i = 0; i < n; i++) {
    CHECK_OK(limn_session_evaluate(twins[i].alone, ids[i], items[i].n, &err), err);
    check_twin(&twins[i]);
  }
}

static void run_random_batches(const reference *r, int n_threads, int n_rounds) {
  limn_error err;
  limn_pool *pool;
  limn_batch *batch;
  twin twins[MOST_SESSIONS];
  CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
  for (int round = 0; round < n_rounds; round++) {
    int n = 1 + below(MOST_SESSIONS);
    limn_batch_options options = {.pool = pool, .max_rows = MAX_ROWS};
    CHECK_OK(limn_batch_new(r->model, &options, &batch, &err), err);
    for (int i = 0; i < n; i++)
      make_twin(r, batch, &twins[i]);
    for (int k = 0; k < 5; k++)
      run_once(batch, twins, n);
    for (int i = 0; i < n; i++)
      free_twin(&twins[i]);
    limn_batch_free(batch);
  }
  limn_pool_free(pool);
}

static void each_gets_what_it_gets_alone(void **state) {
  for (int n_threads = 1; n_threads <= 3; n_threads++)
    run_random_batches(*state, n_threads, 25);
}

/* Whatever the storage and the arithmetic. */
static void also_rounded(void **state) {
  static const limn_model_options all[] = {{LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8},
                                           {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_F32},
                                           {LIMN_WEIGHTS_BF16, LIMN_COMPUTE_BF16}};
  const reference *r = *state;
  limn_error err;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    reference other = *r;
    CHECK_OK(limn_model_open_with(r->folder, &all[i], NULL, &other.model, &err), err);
    run_random_batches(&other, 2, 8);
    limn_model_close(other.model);
  }
}

/* ---- from a later layer
 * -------------------------------------------------------------------------- */

typedef struct kept {
  float residual[N_LAYER][24 * WIDTH];
} kept;

static limn_status keep(void *user, const limn_observation *seen, limn_error *err) {
  kept *k = user;
  (void)err;
  limn_tensor_gather(&seen->value, k->residual[seen->hook.layer]);
  return LIMN_OK;
}

static void resuming_goes_on_where_the_stream_was_kept(void **state) {
  const reference *r = *state;
  static kept k;
  static float wanted[VOCAB], next[VOCAB];
  limn_error err;
  int id;
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_session_observe(s, "*resid_pre", LIMN_OBSERVE_READ, keep, &k, &id, &err), err);
  CHECK_OK(limn_session_evaluate(s, r->ids, 20, &err), err);
  limn_session_unobserve(s, id);
  memcpy(wanted, limn_session_logits(s, NULL), sizeof wanted);
  CHECK_OK(limn_session_evaluate(s, r->ids + 20, 1, &err), err);
  memcpy(next, limn_session_logits(s, NULL), sizeof next);

  limn_batch *batch;
  CHECK_OK(limn_batch_new(r->model, NULL, &batch, &err), err);
  for (int layer = 0; layer < N_LAYER; layer++) {
    for (int from = 0; from < 20; from += 7) {
      limn_session *other = new_session(r, (limn_session_options){.n_ctx = 30, .batch = batch});
      CHECK_OK(limn_session_copy(other, s, 20, &err), err);
      limn_session_truncate(other, from);
      limn_session_truncate(s, 20);
      limn_session *mate = new_session(r, (limn_session_options){.batch = batch});
      limn_batch_item items[] = {{.session = mate, .ids = r->ids, .n = 20},
                                 {.session = other,
                                  .ids = r->ids + from,
                                  .n = (size_t)(20 - from),
                                  .residual = k.residual[layer] + from * WIDTH,
                                  .first_layer = layer}};
      CHECK_OK(limn_batch_evaluate(batch, items, 2, &err), err);
      assert_memory_equal(limn_session_logits(other, NULL), wanted, sizeof wanted);
      assert_memory_equal(limn_session_logits(mate, NULL), wanted, sizeof wanted);
      CHECK_OK(limn_session_evaluate(other, r->ids + 20, 1, &err), err);
      assert_memory_equal(limn_session_logits(other, NULL), next, sizeof next);
      limn_session_free(other);
      limn_session_free(mate);
    }
  }
  limn_batch_free(batch);
  limn_session_free(s);
}

static void as_many_logits_as_asked_for(void **state) {
  const reference *r = *state;
  limn_error err;
  size_t n;
  limn_session *all = new_session(r, (limn_session_options){.all_logits = true});
  CHECK_OK(limn_session_evaluate(all, r->ids, 20, &err), err);
  const float *wanted = limn_session_logits(all, NULL);
  limn_batch *batch;
  CHECK_OK(limn_batch_new(r->model, NULL, &batch, &err), err);
  limn_session *s = new_session(r, (limn_session_options){.batch = batch, .max_logits = 5});
  for (int k = 1; k <= 5; k++) {
    limn_batch_item item = {.session = s, .ids = r->ids, .n = 20, .n_logits = k};
    limn_session_reset(s);
    CHECK_OK(limn_batch_evaluate(batch, &item, 1, &err), err);
    const float *logits = limn_session_logits(s, &n);
    assert_int_equal(n, k);
    assert_memory_equal(logits, wanted + (20 - k) * VOCAB, (size_t)k * VOCAB * sizeof *logits);
  }
  limn_session_free(s);
  limn_session_free(all);
  limn_batch_free(batch);
}

/* ---- what is refused, and that nobody is changed by it
 * ----------------------------------------- */

static limn_status refuse(void *user, const limn_observation *seen, limn_error *err) {
  if (!*(bool *)user) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "%s refused", seen->name);
}

static bool stop_now(void *user) {
  return *(bool *)user;
}

static void refusals_change_nobody(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_batch *batch;
  reference other;
  bool refuses = false, stops = false;
  reference_open(&other, "f32", NULL);
  limn_batch_options options = {.max_rows = 40, .n_ctx = 32};
  CHECK_OK(limn_batch_new(r->model, &options, &batch, &err), err);
  limn_session *a = new_session(r, (limn_session_options){.batch = batch, .n_ctx = 32});
  limn_session *b = new_session(
      r, (limn_session_options){
             .batch = batch, .n_ctx = 10, .should_stop = stop_now, .should_stop_user = &stops});
  limn_session *slides = new_session(
      r, (limn_session_options){.n_ctx = 10, .overflow = LIMN_OVERFLOW_SLIDE, .batch = batch});
  limn_session *foreign = new_session(&other, (limn_session_options){.n_ctx = 10});
  limn_session *large = new_session(r, (limn_session_options){.n_ctx = 33});
  CHECK_OK(limn_session_observe(b, "mlp_out1", LIMN_OBSERVE_READ, refuse, &refuses, NULL, &err),
           err);
  limn_batch_item both[] = {{.session = a, .ids = r->ids, .n = 8},
                            {.session = b, .ids = r->ids, .n = 8},
                            {.session = slides, .ids = r->ids, .n = 8}};
  CHECK_OK(limn_batch_evaluate(batch, both, 3, &err), err);
  float logits[VOCAB];
  memcpy(logits, limn_session_logits(a, NULL), sizeof logits);
  static const float stream[8 * WIDTH];
  int32_t bad[] = {1, VOCAB};

  struct {
    limn_batch_item second;
    limn_status status;
    const char *part;
  } cases[] = {
      {{.session = a, .ids = r->ids, .n = 1},
       LIMN_ERROR_UNSUPPORTED,
       "item 2 of 2: the session is in the batch already"},
      {{.session = a, .n = 0}, LIMN_ERROR_UNSUPPORTED, "in the batch already"},
      {{.session = foreign, .ids = r->ids, .n = 1}, LIMN_ERROR_UNSUPPORTED, "another model"},
      {{.session = large, .ids = r->ids, .n = 1},
       LIMN_ERROR_RANGE,
       "keeps 33 positions, the batch has room for 32"},
      {{.session = b, .ids = r->ids, .n = 3},
       LIMN_ERROR_CONTEXT,
       "item 2 of 2: 3 tokens after 8 do not fit into the context window of 10"},
      {{.session = b, .ids = bad, .n = 2}, LIMN_ERROR_RANGE, "token id 512 at position 1"},
      {{.session = b, .ids = r->ids, .n = 2, .first_layer = 1},
       LIMN_ERROR_RANGE,
       "begin at layer 1, without a residual stream"},
      {{.session = b, .ids = r->ids, .n = 2, .first_layer = 3, .residual = stream},
       LIMN_ERROR_RANGE,
       "begin at layer 3, and ends in front of layer 3"},
      {{.session = slides, .ids = r->ids, .n = 4, .first_layer = 1, .residual = stream},
       LIMN_ERROR_UNSUPPORTED,
       "the window would slide"},
      {{.session = b, .ids = r->ids, .n = 2, .n_logits = 2},
       LIMN_ERROR_RANGE,
       "logits of 2 tokens asked for, of 2, with room for 1"},
      {{.session = b, .ids = r->ids, .n = 2, .n_logits = -1}, LIMN_ERROR_RANGE, "logits of -1"},
  };
  limn_batch_item items[2] = {{.session = a, .ids = r->ids + 8, .n = 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    items[1] = cases[i].second;
    CHECK_FAILS(limn_batch_evaluate(batch, items, 2, &err), cases[i].status, err, cases[i].part);
  }
  items[1] = (limn_batch_item){.session = b, .ids = r->ids, .n = 2};
  refuses = true;
  CHECK_FAILS(limn_batch_evaluate(batch, items, 2, &err), LIMN_ERROR_ARGUMENT, err,
              "blocks.1.hook_mlp_out refused");
  refuses = false;
  stops = true;
  CHECK_FAILS(limn_batch_evaluate(batch, items, 2, &err), LIMN_ERROR_CANCELLED, err,
              "cancelled before layer 0 of 3");
  stops = false;
  items[0].n = 39;
  items[0].session = a;
  limn_session_truncate(b, 8);
  limn_batch_item many[] = {{.session = a, .ids = r->ids, .n = 24},
                            {.session = slides, .ids = r->ids, .n = 10},
                            {.session = b, .ids = r->ids, .n = 2},
                            {.session = b, .ids = r->ids, .n = 2}};
  many[3].session = new_session(r, (limn_session_options){.n_ctx = 10});
  many[3].n = 5;
  CHECK_FAILS(limn_batch_evaluate(batch, many, 4, &err), LIMN_ERROR_RANGE, err,
              "item 4 of 4: 5 tokens behind 36 of others, the batch has room for 40 in all");
  limn_session_free(many[3].session);
  assert_int_equal(limn_session_length(a), 8);
  assert_int_equal(limn_session_length(b), 8);
  assert_int_equal(limn_session_length(slides), 8);
  assert_memory_equal(logits, limn_session_logits(a, NULL), sizeof logits);
  items[0].n = 0;
  CHECK_OK(limn_batch_evaluate(batch, items, 2, &err), err); /* none for a, whose logits stay */
  assert_memory_equal(logits, limn_session_logits(a, NULL), sizeof logits);
  assert_int_equal(limn_session_length(b), 10);
  CHECK_OK(limn_batch_evaluate(batch, NULL, 0, &err), err);

  CHECK_FAILS(limn_session_copy(a, foreign, 0, &err), LIMN_ERROR_UNSUPPORTED, err,
              "different models");
  limn_session_truncate(b, 0);
  limn_session *small = new_session(r, (limn_session_options){.n_ctx = 7});
  CHECK_FAILS(limn_session_copy(small, a, 8, &err), LIMN_ERROR_RANGE, err,
              "8 positions do not fit into a session of 7");
  limn_session_free(small);
  limn_session_free(a);
  limn_session_free(b);
  limn_session_free(slides);
  limn_session_free(foreign);
  limn_session_free(large);
  limn_batch_free(batch);
  reference_close(&other);
}

static void options_out_of_range(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_batch *batch, *other;
  limn_session *s;
  CHECK_FAILS(limn_batch_new(r->model, &(limn_batch_options){.n_ctx = 65}, &batch, &err),
              LIMN_ERROR_RANGE, err, "65 positions asked for");
  CHECK_FAILS(limn_batch_new(r->model, &(limn_batch_options){.max_rows = -1}, &batch, &err),
              LIMN_ERROR_RANGE, err, "a batch of -1 tokens");
  assert_null(batch);
  CHECK_FAILS(limn_session_new(r->model, &(limn_session_options){.max_logits = 65}, &s, &err),
              LIMN_ERROR_RANGE, err, "logits of 65 tokens");
  CHECK_OK(limn_batch_new(r->model, &(limn_batch_options){.n_ctx = 8}, &other, &err), err);
  CHECK_FAILS(limn_session_new(r->model, &(limn_session_options){.batch = other}, &s, &err),
              LIMN_ERROR_RANGE, err, "the session keeps 64 positions, the batch has room for 8");
  assert_null(s);
  assert_int_equal(limn_batch_max_rows(other), 64);
  limn_batch_free(other);
}

static void every_allocation_may_fail(void **state) {
  const reference *r = *state;
  limn_error err;
  for (int64_t k = 0;; k++) {
    fail_allocation(k);
    limn_batch *batch = NULL;
    limn_session *s[3] = {NULL};
    limn_batch_item items[3];
    limn_status status = limn_batch_new(r->model, NULL, &batch, &err);
    for (int i = 0; i < 3 && status == LIMN_OK; i++) {
      status = limn_session_new(r->model, &(limn_session_options){.batch = batch}, &s[i], &err);
      items[i] = (limn_batch_item){.session = s[i], .ids = r->ids, .n = 5};
    }
    int64_t before = allocations_asked();
    if (status == LIMN_OK) status = limn_batch_evaluate(batch, items, 3, &err);
    assert_true(allocations_asked() == before); /* evaluating never allocates */
    for (int i = 0; i < 3; i++)
      limn_session_free(s[i]);
    limn_batch_free(batch);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_gets_what_it_gets_alone),
      cmocka_unit_test(also_rounded),
      cmocka_unit_test(resuming_goes_on_where_the_stream_was_kept),
      cmocka_unit_test(as_many_logits_as_asked_for),
      cmocka_unit_test(refusals_change_nobody),
      cmocka_unit_test(options_out_of_range),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
