/*
 * Sampling against a second, naive implementation in float64: it sorts all tokens and follows the
 * definitions one after the other. Then ties, draws, and what is refused.
 */
#include "check.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { VOCAB = 500 };

static uint32_t noise_state = 1;

static double noise(void) {
  noise_state = noise_state * 1664525u + 1013904223u;
  return (double)(noise_state >> 8) / (double)(1u << 24);
}

/* Roughly normal, spread 3: like logits. */
static void fill(float *logits, int n) {
  for (int i = 0; i < n; i++) {
    double sum = 0;
    for (int k = 0; k < 12; k++)
      sum += noise();
    logits[i] = (float)(3.0 * (sum - 6.0));
  }
}

typedef struct ranked {
  double score;
  int id;
} ranked;

static int by_rank(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->id - y->id;
}

/* probabilities (n) by the definitions. */
static void reference(const float *logits, int n, const int32_t *ids, size_t n_ids,
                      const limn_sampling *o, double *probabilities) {
  ranked *list = calloc((size_t)n, sizeof *list);
  for (int i = 0; i < n; i++) {
    list[i] = (ranked){(double)logits[i], i};
    bool is_seen = false;
    for (size_t k = 0; k < n_ids; k++)
      is_seen |= ids[k] == i;
    if (is_seen && o->repetition_penalty != 0)
      list[i].score *=
          list[i].score < 0 ? (double)o->repetition_penalty : 1.0 / (double)o->repetition_penalty;
    list[i].score /= (double)o->temperature;
  }
  qsort(list, (size_t)n, sizeof *list, by_rank);
  int left = n;
  if (o->top_k > 0 && o->top_k < n) {
    for (left = o->top_k; left < n && list[left].score == list[o->top_k - 1].score;)
      left++;
  }
  double total = 0, before = 0;
  for (int i = 0; i < left; i++)
    total += exp(list[i].score);
  if (o->top_p > 0 && o->top_p < 1) {
    int kept = 0;
    for (; kept < left && before / total < (double)o->top_p; kept++)
      before += exp(list[kept].score);
    left = kept;
  }
  int kept = 0;
  while (kept < left && exp(list[kept].score - list[0].score) >= (double)o->min_p)
    kept++;
  left = kept;
  total = 0;
  for (int i = 0; i < left; i++)
    total += exp(list[i].score);
  for (int i = 0; i < n; i++)
    probabilities[list[i].id] = i < left ? exp(list[i].score) / total : 0;
  free(list);
}

static void same_as_the_definitions(void **state) {
  (void)state;
  float logits[VOCAB], got[VOCAB];
  double expected[VOCAB];
  int32_t ids[20];
  for (int round = 0; round < 300; round++) {
    limn_error err;
    limn_sampler *s;
    limn_sampling o = {.temperature = (float)(0.2 + 2 * noise())};
    if (round % 2) o.top_k = 1 + (int)(noise() * 1.2 * VOCAB);
    if (round / 2 % 2) o.top_p = (float)(0.01 + 0.98 * noise());
    if (round / 4 % 2) o.min_p = (float)(0.3 * noise());
    if (round / 8 % 2) o.repetition_penalty = (float)(0.5 + noise());
    fill(logits, VOCAB);
    for (int i = 0; i < 20; i++)
      ids[i] = (int32_t)(noise() * VOCAB);
    reference(logits, VOCAB, ids, 20, &o, expected);
    CHECK_OK(limn_sampler_new(VOCAB, &o, &s, &err), err);
    CHECK_OK(limn_sampling_distribution(s, logits, ids, 20, got, &err), err);
    for (int i = 0; i < VOCAB; i++) {
      /* scores go through float32 twice, up to 90 in size: e^(90 * 2^-23) is 1 + 1.1e-5 */
      if (!(fabs((double)got[i] - expected[i]) <= 2e-5 * (expected[i] + 1e-3)))
        fail_msg("round %d, token %d: %.9g, expected %.9g", round, i, (double)got[i], expected[i]);
    }
    limn_sampler_free(s);
  }
}

static float number(const json_t *object, const char *key) {
  return (float)json_number_value(json_object_get(object, key));
}

/* tests/data/sampling.json, made by tools/make_sampling_reference.py. */
static void same_as_hugging_face(void **state) {
  (void)state;
  json_error_t where;
  json_t *cases = json_load_file(LIMN_TEST_DATA "/sampling.json", 0, &where);
  if (!cases) fail_msg("sampling.json: %s", where.text);
  assert_int_equal(json_array_size(cases), 39);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *one = json_array_get(cases, i), *options = json_object_get(one, "options");
    const json_t *ids = json_object_get(one, "ids");
    float logits[64], got[64], expected[64];
    int32_t seen[64];
    limn_error err;
    limn_sampler *s;
    size_t n = json_array_size(json_object_get(one, "logits")), n_ids = json_array_size(ids);
    assert_true(n <= 64 && n_ids <= 64);
    for (size_t k = 0; k < n; k++) {
      logits[k] = (float)json_number_value(json_array_get(json_object_get(one, "logits"), k));
      expected[k] =
          (float)json_number_value(json_array_get(json_object_get(one, "probabilities"), k));
    }
    for (size_t k = 0; k < n_ids; k++)
      seen[k] = (int32_t)json_integer_value(json_array_get(ids, k));
    const limn_sampling o = {.temperature = number(options, "temperature"),
                             .top_k = (int)json_integer_value(json_object_get(options, "top_k")),
                             .top_p = number(options, "top_p"),
                             .min_p = number(options, "min_p"),
                             .repetition_penalty = number(options, "repetition_penalty")};
    CHECK_OK(limn_sampler_new((int)n, &o, &s, &err), err);
    CHECK_OK(limn_sampling_distribution(s, logits, seen, n_ids, got, &err), err);
    for (size_t k = 0; k < n; k++)
      assert_true((got[k] > 0) == (expected[k] > 0)); /* the same tokens are left */
    char what[32];
    snprintf(what, sizeof what, "case %zu", i);
    /* scores of size 20 in float32 on both sides, so e^(20 * 2^-23) */
    check_close(what, got, expected, (int64_t)n, 5e-6);
    limn_sampler_free(s);
  }
  json_decref(cases);
}

static void greedy_takes_the_first_largest(void **state) {
  (void)state;
  limn_error err;
  limn_sampler *s;
  limn_choice choice;
  const float logits[] = {1, 3, -2, 3, 0};
  const int32_t seen[] = {1, 1};
  CHECK_OK(limn_sampler_new(5, NULL, &s, &err), err);
  CHECK_OK(limn_sample(s, logits, NULL, 0, &choice, &err), err);
  assert_int_equal(choice.id, 1);
  assert_true(choice.drawn_probability == 1.0f);
  /* log(e^3 / (e + 2 e^3 + e^-2 + 1)) */
  assert_true(fabs((double)choice.log_probability - -0.784751) < 1e-5);
  limn_sampler_free(s);
  const limn_sampling penalty = {.repetition_penalty = 1.5f};
  CHECK_OK(limn_sampler_new(5, &penalty, &s, &err), err);
  CHECK_OK(limn_sample(s, logits, seen, 2, &choice, &err), err);
  assert_int_equal(choice.id, 3); /* token 1 is divided, once */
  assert_true(choice.logit == 3.0f);
  limn_sampler_free(s);
}

static void ties_at_the_edge(void **state) {
  (void)state;
  limn_error err;
  limn_sampler *s;
  const float logits[] = {0, 1, 1, 1, -1};
  float p[5];
  const limn_sampling by_k = {.temperature = 1, .top_k = 2};
  CHECK_OK(limn_sampler_new(5, &by_k, &s, &err), err);
  CHECK_OK(limn_sampling_distribution(s, logits, NULL, 0, p, &err), err);
  for (int i = 1; i <= 3; i++) /* top-k keeps what ties with the k-th */
    assert_true(fabs((double)p[i] - 1.0 / 3.0) < 1e-6);
  assert_true(p[0] == 0.0f && p[4] == 0.0f);
  limn_sampler_free(s);
  const limn_sampling by_p = {.temperature = 1, .top_p = 0.4f};
  CHECK_OK(limn_sampler_new(5, &by_p, &s, &err), err);
  CHECK_OK(limn_sampling_distribution(s, logits, NULL, 0, p, &err), err);
  assert_true(p[1] == 0.5f && p[2] == 0.5f && p[3] == 0.0f); /* top-p by id among equals */
  limn_sampler_free(s);
}

/* Pearson's chi-squared over 8 tokens, 20000 draws; 7 degrees of freedom exceed 30 once in 10^4. */
static void draws_follow_the_distribution(void **state) {
  (void)state;
  limn_error err;
  limn_sampler *s;
  float logits[8], p[8];
  int64_t count[8] = {0};
  const limn_sampling o = {.temperature = 0.8f, .seed = 42};
  fill(logits, 8);
  for (int i = 0; i < 8; i++)
    logits[i] /= 3.0f;
  CHECK_OK(limn_sampler_new(8, &o, &s, &err), err);
  CHECK_OK(limn_sampling_distribution(s, logits, NULL, 0, p, &err), err);
  for (int i = 0; i < 20000; i++) {
    limn_choice choice;
    CHECK_OK(limn_sample(s, logits, NULL, 0, &choice, &err), err);
    assert_true(choice.drawn_probability == p[choice.id]);
    count[choice.id]++;
  }
  double chi = 0;
  for (int i = 0; i < 8; i++) {
    double expected = 20000 * (double)p[i], d = (double)count[i] - expected;
    chi += d * d / expected;
  }
  assert_true(chi < 30);
  limn_sampler_free(s);
}

static void a_seed_repeats_itself(void **state) {
  (void)state;
  limn_error err;
  float logits[VOCAB];
  fill(logits, VOCAB);
  int32_t drawn[3][50];
  for (int k = 0; k < 3; k++) {
    limn_sampler *s;
    const limn_sampling o = {.temperature = 2, .seed = k == 2 ? 8 : 7};
    CHECK_OK(limn_sampler_new(VOCAB, &o, &s, &err), err);
    for (int i = 0; i < 50; i++) {
      limn_choice choice;
      CHECK_OK(limn_sample(s, logits, NULL, 0, &choice, &err), err);
      drawn[k][i] = choice.id;
    }
    limn_sampler_free(s);
  }
  assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
  assert_memory_not_equal(drawn[0], drawn[2], sizeof drawn[0]);
}

static void refuses_bad_options(void **state) {
  (void)state;
  static const struct {
    limn_sampling options;
    const char *text;
  } bad[] = {{{.temperature = -1}, "temperature is -1"},
             {{.temperature = INFINITY}, "temperature is inf"},
             {{.temperature = NAN}, "temperature is"},
             {{.top_k = -3}, "top-k is -3, expected at least 0"},
             {{.top_p = 1.5f}, "top-p is 1.5, expected a share from 0 to 1"},
             {{.min_p = -0.5f}, "min-p is -0.5"},
             {{.repetition_penalty = -2}, "repetition penalty is -2"}};
  limn_error err;
  limn_sampler *s;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_FAILS(limn_sampler_new(5, &bad[i].options, &s, &err), LIMN_ERROR_RANGE, err, bad[i].text);
    assert_null(s);
  }
  CHECK_FAILS(limn_sampler_new(0, NULL, &s, &err), LIMN_ERROR_RANGE, err, "vocabulary");
}

static void refuses_bad_logits(void **state) {
  (void)state;
  limn_error err;
  limn_sampler *s;
  limn_choice choice;
  const float with_nan[] = {0, NAN, 1}, with_inf[] = {0, 1, INFINITY};
  const float nothing[] = {-INFINITY, -INFINITY, -INFINITY}, good[] = {1, 2, -INFINITY};
  const int32_t outside[] = {1, 3};
  const limn_sampling o = {.temperature = 1, .repetition_penalty = 1e-38f};
  CHECK_OK(limn_sampler_new(3, &o, &s, &err), err);
  CHECK_FAILS(limn_sample(s, with_nan, NULL, 0, &choice, &err), LIMN_ERROR_RANGE, err,
              "logit of token 1 is nan");
  assert_int_equal(choice.id, -1);
  CHECK_FAILS(limn_sample(s, with_inf, NULL, 0, &choice, &err), LIMN_ERROR_RANGE, err,
              "logit of token 2 is inf");
  CHECK_FAILS(limn_sample(s, nothing, NULL, 0, &choice, &err), LIMN_ERROR_RANGE, err,
              "all 3 logits are -inf");
  CHECK_FAILS(limn_sample(s, good, outside, 2, &choice, &err), LIMN_ERROR_RANGE, err,
              "token id 3 at position 1 is outside the vocabulary of 3");
  const float huge[] = {1, 3e38f, 0};
  CHECK_FAILS(limn_sample(s, huge, outside, 1, &choice, &err), LIMN_ERROR_RANGE, err,
              "beyond float32");
  CHECK_OK(limn_sample(s, good, NULL, 0, &choice, &err), err);
  assert_true(choice.id < 2);
  limn_sampler_free(s);
}

static void tiny_temperature_is_greedy(void **state) {
  (void)state;
  limn_error err;
  limn_sampler *s;
  limn_choice choice;
  float logits[VOCAB];
  fill(logits, VOCAB);
  logits[77] = 1000.0f;
  const limn_sampling o = {.temperature = 1e-40f, .top_p = 0.9f, .seed = 3};
  CHECK_OK(limn_sampler_new(VOCAB, &o, &s, &err), err);
  CHECK_OK(limn_sample(s, logits, NULL, 0, &choice, &err), err);
  assert_int_equal(choice.id, 77);
  assert_int_equal(choice.n_candidates, 1);
  limn_sampler_free(s);
}

static void top_ids_in_order(void **state) {
  (void)state;
  const float logits[] = {1, NAN, 5, 5, -INFINITY, 2};
  const int32_t expected[] = {2, 3, 5, 0, 4, 1};
  int32_t ids[6];
  for (size_t k = 0; k <= 6; k++) {
    limn_top_ids(logits, 6, k, ids);
    assert_memory_equal(ids, expected, k * sizeof *ids);
  }
  assert_true(isnan(limn_log_probability(logits, 6, 0)));
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_sampler *s;
    fail_allocation(k);
    limn_status status = limn_sampler_new(100, NULL, &s, &err);
    if (status == LIMN_OK) {
      float logits[100];
      limn_choice choice;
      int64_t asked = allocations_asked();
      fill(logits, 100);
      CHECK_OK(limn_sample(s, logits, NULL, 0, &choice, &err), err);
      assert_int_equal(allocations_asked(), asked); /* sampling allocates nothing */
    } else {
      assert_int_equal(status, LIMN_ERROR_MEMORY);
      assert_null(s);
    }
    limn_sampler_free(s);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_the_definitions),
                                     cmocka_unit_test(same_as_hugging_face),
                                     cmocka_unit_test(greedy_takes_the_first_largest),
                                     cmocka_unit_test(ties_at_the_edge),
                                     cmocka_unit_test(draws_follow_the_distribution),
                                     cmocka_unit_test(a_seed_repeats_itself),
                                     cmocka_unit_test(refuses_bad_options),
                                     cmocka_unit_test(refuses_bad_logits),
                                     cmocka_unit_test(tiny_temperature_is_greedy),
                                     cmocka_unit_test(top_ids_in_order),
                                     cmocka_unit_test(every_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
