/*
 * Every hook point and the logits of the tiny models against PyTorch in float64.
 *
 * Tolerance 2e-6 of the largest entry of each tensor: float32 rounds to 6e-8, a product of K terms
 * collects about sqrt(K) of that, and three layers pass it on.
 */
#include "reference.h"

#include <stdlib.h>

#define TOLERANCE 2e-6

typedef struct comparison {
  reference *r;
  size_t n_seen;
  double worst;
} comparison;

static void compare(comparison *c, const char *name, const float *found, int64_t n) {
  limn_error err;
  limn_stored stored;
  CHECK_OK(limn_safetensors_view(c->r->tensors, name, &stored, &err), err);
  assert_true(limn_stored_count(&stored) == n);
  float *wanted = malloc((size_t)n * sizeof *wanted);
  limn_stored_to_f32(&stored, 0, n, wanted);
  check_close(name, found, wanted, n, TOLERANCE);
  double relative = limn_compare(found, wanted, n).relative;
  if (relative > c->worst) c->worst = relative;
  free(wanted);
  c->n_seen++;
}

static limn_status compare_hook(void *user, const limn_observation *seen, limn_error *err) {
  (void)err;
  int64_t n = limn_tensor_count(&seen->value);
  float *found = malloc((size_t)n * sizeof *found);
  limn_tensor_gather(&seen->value, found);
  compare(user, seen->name, found, n);
  free(found);
  return LIMN_OK;
}

static void check_model(const char *name, int n_threads) {
  limn_error err;
  limn_pool *pool;
  limn_session *s;
  reference r;
  CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
  reference_open(&r, name, pool);
  limn_session_options options = {.pool = pool, .all_logits = true};
  CHECK_OK(limn_session_new(r.model, &options, &s, &err), err);
  comparison c = {.r = &r};
  CHECK_OK(limn_session_observe(s, "*,*.hook_result,*.hook_attn_scores_raw", LIMN_OBSERVE_READ,
                                compare_hook, &c, NULL, &err),
           err);
  CHECK_OK(limn_session_evaluate(s, r.ids, r.n_ids, &err), err);
  size_t n_rows;
  const float *logits = limn_session_logits(s, &n_rows);
  assert_true(n_rows == r.n_ids);
  compare(&c, "logits", logits, (int64_t)n_rows * limn_model_config(r.model)->vocab_size);
  assert_true(c.n_seen == limn_safetensors_count(r.tensors));
  print_message("%s: %zu tensors, largest deviation %.2g\n", name, c.n_seen, c.worst);
  limn_session_free(s);
  reference_close(&r);
  limn_pool_free(pool);
}

static void float32(void **state) {
  (void)state;
  check_model("f32", 1);
  check_model("f32", 3);
}

static void float32_at_odd_addresses(void **state) {
  (void)state;
  check_model("f32-odd", 2);
}

static void bfloat16(void **state) {
  (void)state;
  check_model("bf16", 2);
}

static void float16(void **state) {
  (void)state;
  check_model("f16", 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(float32),
                                     cmocka_unit_test(float32_at_odd_addresses),
                                     cmocka_unit_test(bfloat16), cmocka_unit_test(float16)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
