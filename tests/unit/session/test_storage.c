/*
 * Storage and arithmetic are two choices. Weights that a wider format holds give the same bits in
 * it; narrower ones cost what their rounding costs; and whatever is chosen, splits, threads and
 * observers change nothing.
 */
#include "reference.h"

#include <stdlib.h>

enum { MOST_IDS = 64, MOST_VOCAB = 512 };

typedef struct result {
  size_t n; /* numbers */
  float logits[MOST_IDS * MOST_VOCAB];
} result;

static limn_status look(void *user, const limn_observation *seen, limn_error *err) {
  (void)user, (void)seen, (void)err;
  return LIMN_OK;
}

/* The logits of all ids of a tiny model, run `step` ids at a time. */
static void run(const reference *r, const limn_model_options *options, int n_threads, size_t step,
                const char *watched, result *out) {
  limn_error err;
  limn_pool *pool;
  limn_model *model;
  limn_session *s;
  CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
  CHECK_OK(limn_model_open_with(limn_model_path(r->model), options, pool, &model, &err), err);
  CHECK_OK(
      limn_session_new(model, &(limn_session_options){.pool = pool, .all_logits = true}, &s, &err),
      err);
  if (watched)
    CHECK_OK(limn_session_observe(s, watched, LIMN_OBSERVE_READ, look, NULL, NULL, &err), err);
  out->n = 0;
  for (size_t at = 0; at < r->n_ids; at += step) {
    size_t n = at + step < r->n_ids ? step : r->n_ids - at;
    CHECK_OK(limn_session_evaluate(s, r->ids + at, n, &err), err);
    size_t count = n * (size_t)limn_model_config(model)->vocab_size;
    assert_true(out->n + count <= MOST_IDS * MOST_VOCAB);
    memcpy(out->logits + out->n, limn_session_logits(s, NULL), count * sizeof *out->logits);
    out->n += count;
  }
  limn_session_free(s);
  limn_model_close(model);
  limn_pool_free(pool);
}

static result plain, other;

/*
 * How far from the file's own weights a storage may lead, against the largest logit. Weights here
 * are about 20 times as large as a trained model's; q4 keeps 4 bits of each.
 */
static const struct {
  limn_model_options options;
  double tolerance;
} choices[] = {
    {{LIMN_WEIGHTS_FILE, LIMN_COMPUTE_F32}, 0},     {{LIMN_WEIGHTS_F32, LIMN_COMPUTE_F32}, 0},
    {{LIMN_WEIGHTS_F16, LIMN_COMPUTE_F32}, 2e-3},   {{LIMN_WEIGHTS_BF16, LIMN_COMPUTE_F32}, 2e-2},
    {{LIMN_WEIGHTS_Q8, LIMN_COMPUTE_F32}, 4e-2},    {{LIMN_WEIGHTS_Q4, LIMN_COMPUTE_F32}, 0.5},
    {{LIMN_WEIGHTS_BF16, LIMN_COMPUTE_BF16}, 3e-2}, {{LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8}, 6e-2},
    {{LIMN_WEIGHTS_Q4, LIMN_COMPUTE_INT8}, 0.5},
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

static void storage_costs_its_rounding(void **state) {
  reference *r = *state;
  run(r, NULL, 1, r->n_ids, NULL, &plain);
  for (int i = 0; i < N_CHOICES; i++) {
    run(r, &choices[i].options, 2, r->n_ids, NULL, &other);
    limn_agreement a = limn_compare(other.logits, plain.logits, (int64_t)plain.n);
    print_message("weights %d, compute %d: %.2g\n", (int)choices[i].options.weights,
                  (int)choices[i].options.compute, a.relative);
    assert_true(a.n_mismatched == 0 && a.relative <= choices[i].tolerance);
    if (choices[i].tolerance > 0) assert_true(a.relative > 0);
  }
}

static void nothing_else_changes_a_bit(void **state) {
  reference *r = *state;
  for (int i = 0; i < N_CHOICES; i++) {
    run(r, &choices[i].options, 1, r->n_ids, NULL, &plain);
    run(r, &choices[i].options, 3, 1, NULL, &other);
    assert_memory_equal(plain.logits, other.logits, plain.n * sizeof *plain.logits);
    run(r, &choices[i].options, 2, 7, "*", &other);
    assert_memory_equal(plain.logits, other.logits, plain.n * sizeof *plain.logits);
  }
}

/* A 16-bit file as it is, and widened: the products are the same. */
static void wider_storage_gives_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"f16", "bf16"};
  for (int i = 0; i < 2; i++) {
    reference r;
    reference_open(&r, names[i], NULL);
    run(&r, NULL, 1, 5, NULL, &plain);
    run(&r, &(limn_model_options){.weights = LIMN_WEIGHTS_F32}, 2, r.n_ids, NULL, &other);
    assert_memory_equal(plain.logits, other.logits, plain.n * sizeof *plain.logits);
    reference_close(&r);
  }
}

static void choices_have_names(void **state) {
  reference *r = *state;
  static const struct {
    limn_model_options options;
    const char *weights, *compute;
  } named[] = {{{LIMN_WEIGHTS_FILE, LIMN_COMPUTE_F32}, "f32", "f32"},
               {{LIMN_WEIGHTS_Q4, LIMN_COMPUTE_F32}, "q4", "f32"},
               {{LIMN_WEIGHTS_FILE, LIMN_COMPUTE_BF16}, "bf16", "bf16"},
               {{LIMN_WEIGHTS_FILE, LIMN_COMPUTE_INT8}, "q8", "int8"}};
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    limn_error err;
    limn_model *model;
    CHECK_OK(limn_model_open_with(limn_model_path(r->model), &named[i].options, NULL, &model, &err),
             err);
    assert_string_equal(limn_model_weights(model), named[i].weights);
    assert_string_equal(limn_model_compute(model), named[i].compute);
    assert_true(strlen(limn_model_kernels(model)) > 0);
    limn_model_close(model);
  }
}

static void choices_that_do_not_go_together(void **state) {
  reference *r = *state;
  static const limn_model_options bad[] = {{LIMN_WEIGHTS_F32, LIMN_COMPUTE_BF16},
                                           {LIMN_WEIGHTS_Q8, LIMN_COMPUTE_BF16},
                                           {LIMN_WEIGHTS_F16, LIMN_COMPUTE_INT8},
                                           {LIMN_WEIGHTS_BF16, LIMN_COMPUTE_INT8}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    limn_error err;
    limn_model *model = (limn_model *)r;
    CHECK_FAILS(limn_model_open_with(limn_model_path(r->model), &bad[i], NULL, &model, &err),
                LIMN_ERROR_ARGUMENT, err, "expected weights in");
    assert_null(model);
  }
}

static void kernels_by_name(void **state) {
  reference *r = *state;
  const char *path = limn_model_path(r->model);
  limn_error err;
  limn_model *model;
  setenv("LIMN_KERNELS", "mmx", 1);
  CHECK_FAILS(limn_model_open(path, NULL, &model, &err), LIMN_ERROR_ARGUMENT, err,
              "LIMN_KERNELS is \"mmx\", expected scalar");
  setenv("LIMN_KERNELS", "scalar", 1);
  CHECK_OK(limn_model_open(path, NULL, &model, &err), err);
  assert_string_equal(limn_model_kernels(model), "scalar");
  limn_model_close(model);
  unsetenv("LIMN_KERNELS");
}

static void every_allocation_may_fail(void **state) {
  reference *r = *state;
  static const limn_model_options options = {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_INT8};
  limn_status status = LIMN_ERROR_MEMORY;
  for (int64_t k = 0; status != LIMN_OK; k++) {
    limn_error err;
    limn_model *model = NULL;
    fail_allocation(k);
    status = limn_model_open_with(limn_model_path(r->model), &options, NULL, &model, &err);
    assert_true(status == LIMN_OK || (status == LIMN_ERROR_MEMORY && !model));
    limn_model_close(model);
    assert_int_equal(allocations_live(), 0);
  }
  fail_allocation(-1);
}

static int open_reference(void **state) {
  static reference r;
  reference_open(&r, "f32", NULL);
  *state = &r;
  return 0;
}

static int close_reference(void **state) {
  reference_close(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(storage_costs_its_rounding),
      cmocka_unit_test(nothing_else_changes_a_bit),
      cmocka_unit_test(wider_storage_gives_the_same_bits),
      cmocka_unit_test(choices_have_names),
      cmocka_unit_test(choices_that_do_not_go_together),
      cmocka_unit_test(kernels_by_name),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, open_reference, close_reference);
}
