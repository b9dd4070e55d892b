/*
 * Speculation against decoding one by one: the same tokens greedily, the same tokens for the same
 * seed with guesses that are looked up, the same distribution with guesses that are drawn.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 512, MOST = 64 };

static uint64_t random_state = 3;

static int below(int n) {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return (int)((random_state >> 33) % (uint64_t)n);
}

/* A text that repeats, so that there is something to look up. */
static size_t make_text(int32_t *ids) {
  int period = 1 + below(6), n = 1 + below(20);
  for (int i = 0; i < n; i++)
    ids[i] = i < period || below(8) == 0 ? below(VOCAB) : ids[i - period];
  return (size_t)n;
}

/* Invariant: what is promised here holds on tiles only then. */
static limn_session *new_session(const limn_model *model, limn_session_options options) {
  options.invariant = true;
  limn_error err;
  limn_session *s;
  CHECK_OK(limn_session_new(model, &options, &s, &err), err);
  return s;
}

static limn_sampler *new_sampler(const limn_sampling *sampling) {
  limn_error err;
  limn_sampler *s;
  CHECK_OK(limn_sampler_new(VOCAB, sampling, &s, &err), err);
  return s;
}

/* One by one: n tokens behind ids (n_ids), with room for them. */
static void decode(const limn_model *model, limn_session_options options,
                   const limn_sampling *sampling, int32_t *ids, size_t n_ids, size_t n,
                   float *logits) {
  limn_error err;
  limn_session *s = new_session(model, options);
  limn_sampler *sampler = new_sampler(sampling);
  size_t n_run = 0;
  for (size_t end = n_ids + n; n_ids < end; n_ids++) {
    limn_choice choice;
    CHECK_OK(limn_session_evaluate(s, ids + n_run, n_ids - n_run, &err), err);
    n_run = n_ids;
    memcpy(logits, limn_session_logits(s, NULL), VOCAB * sizeof *logits);
    CHECK_OK(limn_sample(sampler, logits, ids, n_ids, &choice, &err), err);
    ids[n_ids] = choice.id;
    logits += VOCAB;
  }
  limn_session_free(s);
  limn_sampler_free(sampler);
}

/* The same by speculation; every token and the logits it was chosen from. */
static limn_speculation_count check_same(const limn_model *model, limn_session_options options,
                                         const limn_sampling *sampling, limn_speculation o,
                                         const int32_t *wanted, size_t n_ids, size_t n,
                                         const float *logits) {
  limn_error err;
  limn_speculator *speculator;
  options.max_logits = 9;
  limn_session *s = new_session(model, options);
  limn_sampler *sampler = new_sampler(sampling);
  CHECK_OK(limn_speculator_new(s, sampler, sampling, wanted, n_ids, n, &o, &speculator, &err), err);
  for (size_t i = 0; i < n; i++) {
    limn_choice choice;
    const float *found;
    CHECK_OK(limn_speculator_next(speculator, &choice, &found, &err), err);
    assert_int_equal(choice.id, wanted[n_ids + i]);
    assert_memory_equal(found, logits + i * VOCAB, VOCAB * sizeof *found);
    assert_true(choice.logit == found[choice.id]);
  }
  limn_choice more;
  CHECK_FAILS(limn_speculator_next(speculator, &more, NULL, &err), LIMN_ERROR_CONTEXT, err,
              "all tokens that were asked for are there");
  limn_speculation_count count = limn_speculator_count(speculator);
  assert_true(count.n_passes + count.n_kept == (int64_t)n);
  limn_speculator_free(speculator);
  limn_sampler_free(sampler);
  limn_session_free(s);
  return count;
}

static void the_same_tokens(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_model *small;
  limn_model_options q4 = {.weights = LIMN_WEIGHTS_Q4};
  static float logits[MOST * VOCAB];
  static const limn_sampling samplings[] = {
      {.temperature = 0},
      {.temperature = 0, .repetition_penalty = 1.3f},
      {.temperature = 0.3f, .seed = 5},
      {.temperature = 1.0f, .top_k = 3, .repetition_penalty = 1.1f, .seed = 9}};
  int64_t n_kept = 0, n_guessed = 0;
  CHECK_OK(limn_model_open_with(r->folder, &q4, NULL, &small, &err), err);
  for (int round = 0; round < 120; round++) {
    int32_t ids[2 * MOST];
    const limn_sampling *sampling = &samplings[round % 4];
    limn_session_options options = {.n_ctx = round % 3 ? 0 : 32, .overflow = LIMN_OVERFLOW_SLIDE};
    size_t n_ids = make_text(ids), n = (size_t)(1 + below(44));
    decode(r->model, options, sampling, ids, n_ids, n, logits);
    limn_speculation o = {.n_ahead = below(9), .n_gram = below(4)};
    bool has_draft = sampling->temperature == 0 && round % 8 < 4;
    if (has_draft) o.draft = new_session(small, (limn_session_options){.n_ctx = 50});
    limn_speculation_count count =
        check_same(r->model, options, sampling, o, ids, n_ids, n, logits);
    n_kept += count.n_kept;
    n_guessed += count.n_guessed;
    limn_session_free(o.draft);
  }
  assert_true(n_kept > 100 && n_guessed > n_kept + 100); /* both were met */
  limn_model_close(small);
}

/* ---- the same distribution
 * ----------------------------------------------------------------------- */

enum { TOP = 6, N_RUNS = 4000 };

/* The tokens that can come, and the probability of each pair, by decoding one by one. */
typedef struct pairs {
  double p[VOCAB * VOCAB];
  int64_t count[VOCAB * VOCAB];
} pairs;

static void find_pairs(const reference *r, const limn_sampling *sampling, pairs *out) {
  limn_error err;
  float first[VOCAB], second[VOCAB];
  int32_t ids[64];
  limn_session *s = new_session(r->model, (limn_session_options){0});
  limn_sampler *sampler = new_sampler(sampling);
  memcpy(ids, r->ids, 8 * sizeof *ids);
  CHECK_OK(limn_session_evaluate(s, ids, 8, &err), err);
  CHECK_OK(limn_sampling_distribution(sampler, limn_session_logits(s, NULL), ids, 8, first, &err),
           err);
  for (int32_t a = 0; a < VOCAB; a++) {
    if (first[a] == 0) continue;
    ids[8] = a;
    limn_session_truncate(s, 8);
    CHECK_OK(limn_session_evaluate(s, &a, 1, &err), err);
    CHECK_OK(
        limn_sampling_distribution(sampler, limn_session_logits(s, NULL), ids, 9, second, &err),
        err);
    for (int32_t b = 0; b < VOCAB; b++)
      out->p[a * VOCAB + b] = (double)first[a] * (double)second[b];
  }
  limn_session_free(s);
  limn_sampler_free(sampler);
}

/* Pearson's statistic over pairs, those with few expected put together; *df is one less than its
   terms. */
static double chi_squared(const pairs *x, int *df) {
  double sum = 0, rest_p = 0, rest_n = 0;
  *df = -1;
  for (int i = 0; i < VOCAB * VOCAB; i++) {
    double wanted = x->p[i] * N_RUNS, found = (double)x->count[i];
    if (wanted < 5) {
      rest_p += wanted;
      rest_n += found;
      continue;
    }
    sum += (found - wanted) * (found - wanted) / wanted;
    ++*df;
  }
  if (rest_p < 1e-3) {
    assert_true(rest_n == 0); /* what cannot be was not drawn */
    return sum;
  }
  ++*df;
  return sum + (rest_n - rest_p) * (rest_n - rest_p) / rest_p;
}

/* The value that chi squared exceeds once in 10 000 times (Wilson and Hilferty 1931). */
static double limit_of(int df) {
  double v = 2.0 / (9.0 * df), x = 1 - v + 3.719 * sqrt(v);
  return df * x * x * x;
}

static void the_same_distribution(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_model *small;
  limn_model_options q4 = {.weights = LIMN_WEIGHTS_Q4};
  static pairs x;
  int64_t n_kept = 0, n_guessed = 0;
  int df;
  limn_sampling sampling = {.temperature = 0.8f, .top_k = TOP};
  CHECK_OK(limn_model_open_with(r->folder, &q4, NULL, &small, &err), err);
  limn_session *s = new_session(r->model, (limn_session_options){.max_logits = 4});
  limn_session *draft = new_session(small, (limn_session_options){0});
  limn_speculation o = {.n_ahead = 3, .draft = draft};
  find_pairs(r, &sampling, &x);
  for (int run = 0; run < N_RUNS; run++) {
    limn_choice a, b;
    limn_speculator *speculator;
    sampling.seed = (uint64_t)run;
    limn_sampler *sampler = new_sampler(&sampling);
    limn_session_reset(s);
    limn_session_reset(draft);
    CHECK_OK(limn_speculator_new(s, sampler, &sampling, r->ids, 8, 4, &o, &speculator, &err), err);
    CHECK_OK(limn_speculator_next(speculator, &a, NULL, &err), err);
    CHECK_OK(limn_speculator_next(speculator, &b, NULL, &err), err);
    assert_true(a.drawn_probability > 0 && a.n_candidates >= TOP);
    x.count[a.id * VOCAB + b.id]++;
    n_kept += limn_speculator_count(speculator).n_kept;
    n_guessed += limn_speculator_count(speculator).n_guessed;
    limn_speculator_free(speculator);
    limn_sampler_free(sampler);
  }
  double found = chi_squared(&x, &df);
  if (!(found < limit_of(df)))
    fail_msg("chi squared is %g with %d degrees of freedom, above %g", found, df, limit_of(df));
  assert_true(df >= 8);
  assert_true(n_kept > N_RUNS / 4 && n_kept < n_guessed - N_RUNS / 8); /* both were met */
  limn_session_free(s);
  limn_session_free(draft);
  limn_model_close(small);
}

/* ---- what is refused
 * ----------------------------------------------------------------------------- */

static void refusals(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_speculator *s;
  limn_session *session = new_session(r->model, (limn_session_options){.max_logits = 4});
  limn_sampler *sampler = new_sampler(NULL);
  static const struct {
    limn_speculation o;
    size_t n;
    limn_status status;
    const char *part;
  } cases[] = {
      {{.n_ahead = 4}, 3, LIMN_ERROR_RANGE, "room for logits of 4 tokens, expected 5"},
      {{.n_ahead = -1}, 3, LIMN_ERROR_RANGE, "-1 guesses"},
      {{.n_ahead = 3, .n_gram = -1}, 3, LIMN_ERROR_RANGE, "the last -1 tokens"},
      {{.n_ahead = 3}, 0, LIMN_ERROR_RANGE, "0 tokens and 5 to follow"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_FAILS(
        limn_speculator_new(session, sampler, NULL, r->ids, cases[i].n, 5, &cases[i].o, &s, &err),
        cases[i].status, err, cases[i].part);
    assert_null(s);
  }
  limn_model *other;
  CHECK_OK(limn_model_open(LIMN_SOURCE_DIR "/models/tales", NULL, &other, &err), err);
  limn_speculation o = {.n_ahead = 3,
                        .draft = new_session(other, (limn_session_options){.n_ctx = 8})};
  CHECK_FAILS(limn_speculator_new(session, sampler, NULL, r->ids, 3, 5, &o, &s, &err),
              LIMN_ERROR_SHAPE, err, "the draft model has 50257 tokens, expected 512");
  limn_session_free(o.draft);
  limn_model_close(other);
  int32_t bad[] = {1, VOCAB};
  limn_choice choice;
  o.draft = NULL;
  CHECK_OK(limn_speculator_new(session, sampler, NULL, bad, 2, 5, &o, &s, &err), err);
  CHECK_FAILS(limn_speculator_next(s, &choice, NULL, &err), LIMN_ERROR_RANGE, err,
              "token id 512 at position 1");
  limn_speculator_free(s);
  limn_sampler_free(sampler);
  limn_session_free(session);
}

static void every_allocation_may_fail(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_sampling sampling = {.temperature = 1};
  limn_session *session = new_session(r->model, (limn_session_options){.max_logits = 4});
  limn_session *draft = new_session(r->model, (limn_session_options){0});
  limn_sampler *sampler = new_sampler(&sampling);
  limn_speculation o = {.n_ahead = 3, .draft = draft};
  for (int64_t k = 0;; k++) {
    limn_speculator *s;
    limn_choice choice;
    fail_allocation(k);
    limn_status status =
        limn_speculator_new(session, sampler, &sampling, r->ids, 5, 9, &o, &s, &err);
    int64_t before = allocations_asked();
    for (int i = 0; i < 9 && status == LIMN_OK; i++)
      status = limn_speculator_next(s, &choice, NULL, &err);
    assert_true(allocations_asked() == before); /* going on never allocates */
    limn_speculator_free(s);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
  limn_sampler_free(sampler);
  limn_session_free(session);
  limn_session_free(draft);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_same_tokens),
      cmocka_unit_test(the_same_distribution),
      cmocka_unit_test(refusals),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, reference_set_up, reference_tear_down);
}
