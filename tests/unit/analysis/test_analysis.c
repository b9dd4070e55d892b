/*
 * The observers that explain a pass, against what PyTorch computed for the tiny models, and against
 * the formulas in float64 where PyTorch's tensors give their terms.
 */
#include "reference.h"

#include <math.h>
#include <stdlib.h>

enum { VOCAB = 512, N_IDS = 24, D_MODEL = 32, N_LAYER = 3, N_HEAD = 4 };

static limn_session *new_session(const reference *r, limn_session_options options) {
  limn_error err;
  limn_session *s;
  CHECK_OK(limn_session_new(r->model, &options, &s, &err), err);
  return s;
}

/* All ids, in calls of `step`. */
static void evaluate(limn_session *s, const reference *r, size_t step) {
  limn_error err;
  for (size_t at = 0; at < r->n_ids; at += step)
    CHECK_OK(
        limn_session_evaluate(s, r->ids + at, at + step < r->n_ids ? step : r->n_ids - at, &err),
        err);
}

/* A tensor that PyTorch computed, as float64 rounded to float32; the caller frees it. */
static float *wanted(const reference *r, const char *name, int64_t *n) {
  limn_error err;
  limn_stored stored;
  CHECK_OK(limn_safetensors_view(r->tensors, name, &stored, &err), err);
  *n = limn_stored_count(&stored);
  float *numbers = malloc((size_t)*n * sizeof *numbers);
  limn_stored_to_f32(&stored, 0, *n, numbers);
  return numbers;
}

static float *weight(const reference *r, const char *name) {
  limn_error err;
  limn_stored stored;
  CHECK_OK(limn_model_weight(r->model, name, &stored, &err), err);
  float *numbers = malloc((size_t)limn_stored_count(&stored) * sizeof *numbers);
  limn_stored_to_f32(&stored, 0, limn_stored_count(&stored), numbers);
  return numbers;
}

/* ---- the distribution ---------------------------------------------------------------------------
 */

static void probabilities_of_known_logits(void **state) {
  (void)state;
  double p[4];
  const float even[4] = {7, 7, 7, 7}, far[4] = {1000, 1000, -INFINITY, 0};
  assert_true(limn_probabilities(even, 4, p));
  for (int i = 0; i < 4; i++)
    assert_true(p[i] == 0.25);
  assert_true(fabs(limn_entropy(even, 4) - log(4)) < 1e-15);
  assert_true(limn_probabilities(far, 4, p));
  assert_true(p[0] == 0.5 && p[1] == 0.5 && p[2] == 0 && p[3] == 0);
  assert_true(fabs(limn_entropy(far, 4) - log(2)) < 1e-15);
  const float three[3] = {0, logf(2), logf(5)};
  double h = -(0.125 * log(0.125) + 0.25 * log(0.25) + 0.625 * log(0.625));
  assert_true(fabs(limn_entropy(three, 3) - h) < 1e-7); /* logf is a float32 */
}

static void logits_without_a_softmax(void **state) {
  (void)state;
  const float bad[3][2] = {{NAN, 0}, {INFINITY, 0}, {-INFINITY, -INFINITY}};
  for (int i = 0; i < 3; i++) {
    double p[2];
    assert_false(limn_probabilities(bad[i], 2, p));
    assert_true(isnan(p[0]) && isnan(p[1]) && isnan(limn_entropy(bad[i], 2)));
  }
}

/* Ranks are places in the order of limn_top_ids, ties and NaN included. */
static void ranks_agree_with_the_order(void **state) {
  (void)state;
  const float logits[8] = {1, 3, NAN, 3, -INFINITY, 2, 1, NAN};
  int32_t order[8];
  limn_top_ids(logits, 8, 8, order);
  for (int i = 0; i < 8; i++)
    assert_int_equal(limn_rank(logits, 8, order[i]), i);
}

/* ---- attention ----------------------------------------------------------------------------------
 */

/* Tolerance 2e-6 for all comparisons with PyTorch: see test_reference.c. */
static void attention_is_pytorchs(void **state) {
  const reference *r = *state;
  limn_error err;
  for (size_t step = 1; step <= N_IDS; step += 7) {
    limn_attention *a;
    limn_session *s = new_session(r, (limn_session_options){0});
    CHECK_OK(limn_attention_new(s, N_IDS, &a, &err), err);
    assert_int_equal(limn_attention_length(a), 0);
    evaluate(s, r, step);
    assert_int_equal(limn_attention_length(a), N_IDS);
    for (int layer = 0; layer < N_LAYER; layer++) {
      char name[64];
      int64_t n;
      float found[N_IDS * N_IDS];
      snprintf(name, sizeof name, "blocks.%d.attn.hook_pattern", layer);
      float *all = wanted(r, name, &n);
      for (int head = 0; head < N_HEAD; head++) {
        limn_tensor pattern = limn_attention_pattern(a, layer, head);
        limn_tensor_gather(&pattern, found);
        check_close(name, found, all + head * N_IDS * N_IDS, N_IDS * N_IDS, 2e-6);
      }
      free(all);
    }
    limn_attention_free(a);
    limn_session_free(s);
  }
}

/* A second text over the first one leaves no weights of the first behind. */
static void attention_starts_anew(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_attention *a;
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_attention_new(s, N_IDS, &a, &err), err);
  evaluate(s, r, N_IDS);
  limn_session_reset(s);
  CHECK_OK(limn_session_evaluate(s, r->ids + 4, 5, &err), err);
  assert_int_equal(limn_attention_length(a), 5);
  limn_tensor pattern = limn_attention_pattern(a, 1, 2);
  assert_true(pattern.shape[0] == 5 && pattern.shape[1] == 5);
  for (int64_t query = 0; query < 5; query++) {
    double sum = 0;
    for (int64_t key = 0; key < 5; key++) {
      float x = *limn_tensor_at(&pattern, (int64_t[]){query, key});
      assert_true(key <= query || x == 0);
      sum += (double)x;
    }
    assert_true(fabs(sum - 1) < 1e-6); /* five float32 shares */
  }
  limn_attention_free(a);
  limn_session_free(s);
}

static void beyond_the_capacity(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_attention *a;
  limn_lens *l;
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_attention_new(s, 3, &a, &err), err);
  CHECK_FAILS(limn_session_evaluate(s, r->ids, 4, &err), LIMN_ERROR_RANGE, err,
              "attention of position 3 is to be kept, there is room for 3");
  limn_attention_free(a);
  CHECK_OK(limn_lens_new(s, 3, &l, &err), err);
  CHECK_FAILS(limn_session_evaluate(s, r->ids, 4, &err), LIMN_ERROR_RANGE, err,
              "the residual stream of position 3 is to be kept, there is room for 3");
  assert_int_equal(limn_session_length(s), 0);
  CHECK_OK(limn_session_evaluate(s, r->ids, 3, &err), err);
  limn_lens_free(l);
  CHECK_OK(limn_session_evaluate(s, r->ids, 4, &err), err);
  limn_session_free(s);
}

/* ---- the lens -----------------------------------------------------------------------------------
 */

/* (x - mean) / sqrt(variance + eps) * w + b, then W_U: from PyTorch's residual stream. */
static void unembed(const reference *r, const float *residual, double *logits) {
  const limn_config *config = limn_model_config(r->model);
  float *w = weight(r, "ln_f.weight"), *b = weight(r, "ln_f.bias");
  float *u = weight(r, config->is_tied ? "wte.weight" : "lm_head.weight");
  double mean = 0, variance = 0, x[D_MODEL];
  for (int j = 0; j < D_MODEL; j++)
    mean += (double)residual[j] / D_MODEL;
  for (int j = 0; j < D_MODEL; j++)
    variance += ((double)residual[j] - mean) * ((double)residual[j] - mean) / D_MODEL;
  double scale = sqrt(variance + (double)config->layer_norm_eps);
  for (int j = 0; j < D_MODEL; j++)
    x[j] = ((double)residual[j] - mean) / scale * (double)w[j] + (double)b[j];
  for (int id = 0; id < VOCAB; id++) {
    logits[id] = 0;
    for (int j = 0; j < D_MODEL; j++)
      logits[id] += x[j] * (double)u[id * D_MODEL + j];
  }
  free(w), free(b), free(u);
}

static void lens_is_final_norm_and_unembedding(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_lens *l;
  static float found[(N_LAYER + 1) * VOCAB], rounded[VOCAB];
  static double exact[VOCAB];
  limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
  CHECK_OK(limn_lens_new(s, N_IDS, &l, &err), err);
  evaluate(s, r, N_IDS);
  assert_int_equal(limn_lens_length(l), N_IDS);
  for (int position = 0; position < N_IDS; position += 11) {
    CHECK_OK(limn_lens_logits(l, NULL, position, found, &err), err);
    for (int depth = 0; depth <= N_LAYER; depth++) {
      char name[64];
      int64_t n;
      snprintf(name, sizeof name, "blocks.%d.%s", depth ? depth - 1 : 0,
               depth ? "hook_resid_post" : "hook_resid_pre");
      float *residuals = wanted(r, name, &n);
      check_close(name, limn_lens_residual(l, depth, position), residuals + position * D_MODEL,
                  D_MODEL, 2e-6);
      unembed(r, residuals + position * D_MODEL, exact);
      for (int i = 0; i < VOCAB; i++)
        rounded[i] = (float)exact[i];
      check_close(name, found + depth * VOCAB, rounded, VOCAB, 2e-6);
      free(residuals);
    }
    /* The deepest one is the model's own last step on the same numbers. */
    check_close("logits", found + N_LAYER * VOCAB, limn_session_logits(s, NULL) + position * VOCAB,
                VOCAB, 1e-6);
  }
  limn_lens_free(l);
  limn_session_free(s);
}

/* ---- attribution --------------------------------------------------------------------------------
 */

/* What PyTorch's tensors say that a component adds: the formula, term by term in float64. */
static double expected_part(const reference *r, limn_component c, int position, int32_t id,
                            double *all_parts) {
  char name[64];
  int64_t n;
  float *w = weight(r, "ln_f.weight"), *b = weight(r, "ln_f.bias");
  float *u = weight(r, limn_model_config(r->model)->is_tied ? "wte.weight" : "lm_head.weight");
  float *scale = wanted(r, "ln_final.hook_scale", &n), *values = NULL;
  double part[D_MODEL] = {0}, mean = 0, sum = 0;
  if (c.kind == LIMN_COMPONENT_EMBED)
    values = wanted(r, "hook_embed", &n);
  else if (c.kind == LIMN_COMPONENT_POSITION)
    values = wanted(r, "hook_pos_embed", &n);
  else if (c.kind == LIMN_COMPONENT_HEAD)
    snprintf(name, sizeof name, "blocks.%d.attn.hook_result", c.layer);
  else if (c.kind == LIMN_COMPONENT_ATTN_BIAS)
    snprintf(name, sizeof name, "h.%d.attn.c_proj.bias", c.layer);
  else
    snprintf(name, sizeof name, "blocks.%d.hook_mlp_out", c.layer);
  size_t row = (size_t)position;
  if (c.kind == LIMN_COMPONENT_HEAD) {
    values = wanted(r, name, &n);
    row = row * N_HEAD + (size_t)c.head;
  } else if (c.kind == LIMN_COMPONENT_ATTN_BIAS) {
    values = weight(r, name);
    row = 0;
  } else if (c.kind == LIMN_COMPONENT_MLP) {
    values = wanted(r, name, &n);
  }
  for (int j = 0; values && j < D_MODEL; j++) {
    part[j] = (double)values[row * D_MODEL + (size_t)j];
    mean += part[j] / D_MODEL;
  }
  for (int j = 0; j < D_MODEL; j++) {
    double through =
        values ? (part[j] - mean) / (double)scale[position] * (double)w[j] : (double)b[j];
    sum += through * (double)u[id * D_MODEL + j];
  }
  free(w), free(b), free(u), free(scale), free(values);
  *all_parts += sum;
  return sum;
}

static void parts_are_pytorchs(void **state) {
  const reference *r = *state;
  limn_error err;
  const int positions[] = {0, 9, N_IDS - 1};
  const int32_t ids[] = {0, 17, VOCAB - 1};
  double parts[64], sum, expected_sum;
  for (int i = 0; i < 3; i++) {
    limn_attribution *a;
    limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
    CHECK_OK(limn_attribution_new(s, positions[i] == N_IDS - 1 ? -1 : positions[i], &a, &err), err);
    assert_int_equal(limn_attribution_count(a), 3 + N_LAYER * (N_HEAD + 2));
    evaluate(s, r, i == 1 ? 5 : N_IDS);
    CHECK_OK(limn_attribution_of(a, ids[i], -1, parts, &sum, &err), err);
    expected_sum = 0;
    for (size_t k = 0; k < limn_attribution_count(a); k++) {
      limn_component c = limn_attribution_component(a, k);
      double expected = expected_part(r, c, positions[i], ids[i], &expected_sum);
      /* Each part is a float32 tensor's product with a direction: 2e-6 of the logits' size, 1. */
      if (fabs(parts[k] - expected) > 2e-6)
        fail_msg("part %zu is %.9g, expected %.9g", k, parts[k], expected);
    }
    assert_true(fabs(sum - expected_sum) < 4e-6);
    limn_attribution_free(a);
    limn_session_free(s);
  }
}

/* The sum over all parts is the logit, for every token, up to the rounding of the model's float32:
   2e-6 of the largest logit, as all comparisons with it. */
static void parts_sum_to_the_logit(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_attribution *a;
  double parts[64], sum;
  static float sums[VOCAB];
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_attribution_new(s, -1, &a, &err), err);
  evaluate(s, r, N_IDS);
  for (int32_t id = 0; id < VOCAB; id++) {
    CHECK_OK(limn_attribution_of(a, id, -1, parts, &sum, &err), err);
    sums[id] = (float)sum;
  }
  check_close("sums", sums, limn_session_logits(s, NULL), VOCAB, 2e-6);
  limn_attribution_free(a);
  limn_session_free(s);
}

static void differences_are_differences(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_attribution *a;
  double one[64], other[64], difference[64], sum;
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_attribution_new(s, -1, &a, &err), err);
  CHECK_FAILS(limn_attribution_of(a, 1, -1, one, NULL, &err), LIMN_ERROR_RANGE, err,
              "was not evaluated yet");
  evaluate(s, r, N_IDS);
  CHECK_OK(limn_attribution_of(a, 100, -1, one, NULL, &err), err);
  CHECK_OK(limn_attribution_of(a, 200, -1, other, NULL, &err), err);
  CHECK_OK(limn_attribution_of(a, 100, 200, difference, &sum, &err), err);
  for (size_t i = 0; i < limn_attribution_count(a); i++)
    assert_true(fabs(one[i] - other[i] - difference[i]) < 1e-12);
  CHECK_FAILS(limn_attribution_of(a, VOCAB, -1, one, NULL, &err), LIMN_ERROR_RANGE, err, "512");
  CHECK_FAILS(limn_attribution_of(a, 0, -2, one, NULL, &err), LIMN_ERROR_RANGE, err, "-2");
  limn_attribution_free(a);
  limn_session_free(s);
}

/* A head whose z is zero adds nothing, and the parts still sum to the logit. */
static void an_ablated_head_adds_nothing(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_attribution *a;
  limn_edit *edit;
  double parts[64], sum;
  limn_session *s = new_session(r, (limn_session_options){0});
  CHECK_OK(limn_edit_new(r->model, "blocks.1.attn.hook_z[:,2]=0", &edit, &err), err);
  CHECK_OK(limn_edit_attach(edit, s, NULL, &err), err);
  CHECK_OK(limn_attribution_new(s, -1, &a, &err), err);
  evaluate(s, r, N_IDS);
  CHECK_OK(limn_attribution_of(a, 3, -1, parts, &sum, &err), err);
  bool is_found = false;
  for (size_t i = 0; i < limn_attribution_count(a); i++) {
    char name[32];
    if (strcmp(limn_component_name(limn_attribution_component(a, i), name), "head 1.2") != 0)
      continue;
    is_found = true;
    assert_true(parts[i] == 0);
  }
  assert_true(is_found);
  assert_true(fabs(sum - (double)limn_session_logits(s, NULL)[3]) < 2e-6);
  limn_attribution_free(a);
  limn_session_free(s);
  limn_edit_free(edit);
}

static void names_of_parts(void **state) {
  (void)state;
  static const struct {
    limn_component c;
    const char *name;
  } rows[] = {{{LIMN_COMPONENT_EMBED, -1, -1}, "embedding"},
              {{LIMN_COMPONENT_POSITION, -1, -1}, "position"},
              {{LIMN_COMPONENT_HEAD, 3, 1}, "head 3.1"},
              {{LIMN_COMPONENT_ATTN_BIAS, 0, -1}, "attention bias 0"},
              {{LIMN_COMPONENT_MLP, 11, -1}, "MLP 11"},
              {{LIMN_COMPONENT_NORM_BIAS, -1, -1}, "final norm bias"}};
  char name[32];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_string_equal(limn_component_name(rows[i].c, name), rows[i].name);
}

/* ---- head scores --------------------------------------------------------------------------------
 */

enum { LENGTH = 13, N_SEQUENCES = 3 };

/* Scores taken a second time, from what the test itself sees of the same runs. */
typedef struct recount {
  limn_session *session;
  int32_t ids[2 * LENGTH];
  double previous[N_LAYER * N_HEAD], duplicate[N_LAYER * N_HEAD], induction[N_LAYER * N_HEAD];
  double first, second;
  int n_tokens_seen, n_sequences;
} recount;

static limn_status see_tokens(void *user, const limn_observation *seen, limn_error *err) {
  recount *c = user;
  (void)err;
  assert_true(seen->n_query == 2 * LENGTH && seen->position == 0);
  for (int64_t i = 0; i < 2 * LENGTH; i++) {
    c->ids[i] = (int32_t)*limn_tensor_at(&seen->value, &i);
    assert_true(c->ids[i] >= 0 && c->ids[i] < VOCAB);
    if (i >= LENGTH) assert_int_equal(c->ids[i], c->ids[i - LENGTH]);
  }
  c->n_tokens_seen++;
  return LIMN_OK;
}

static limn_status see_pattern(void *user, const limn_observation *seen, limn_error *err) {
  recount *c = user;
  (void)err;
  for (int64_t head = 0; head < N_HEAD; head++) {
    int i = seen->hook.layer * N_HEAD + (int)head;
    for (int64_t query = 0; query < 2 * LENGTH; query++) {
      for (int64_t key = 0; key <= query; key++) {
        double x = (double)*limn_tensor_at(&seen->value, (int64_t[]){head, query, key});
        if (key == query - 1) c->previous[i] += x / (2 * LENGTH - 1) / N_SEQUENCES;
        if (key == query - LENGTH) c->duplicate[i] += x / LENGTH / N_SEQUENCES;
        if (key == query - LENGTH + 1 && query >= LENGTH)
          c->induction[i] += x / LENGTH / N_SEQUENCES;
      }
    }
  }
  return LIMN_OK;
}

static bool see_loss(void *user, int done, int total) {
  recount *c = user;
  const float *logits = limn_session_logits(c->session, NULL);
  assert_int_equal(done, ++c->n_sequences);
  assert_int_equal(total, N_SEQUENCES);
  for (int i = 1; i < 2 * LENGTH; i++) {
    double sum = 0;
    const float *row = logits + (i - 1) * VOCAB;
    for (int k = 0; k < VOCAB; k++)
      sum += exp((double)row[k]);
    double loss = log(sum) - (double)row[c->ids[i]];
    if (i < LENGTH)
      c->first += loss / (LENGTH - 1) / N_SEQUENCES;
    else
      c->second += loss / LENGTH / N_SEQUENCES;
  }
  return false;
}

static void scores_are_what_the_definition_says(void **state) {
  const reference *r = *state;
  limn_error err;
  limn_head_scores *h;
  limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
  recount c = {.session = s};
  CHECK_OK(limn_session_observe(s, "hook_tokens", LIMN_OBSERVE_READ, see_tokens, &c, NULL, &err),
           err);
  CHECK_OK(limn_session_observe(s, "*hook_pattern", LIMN_OBSERVE_READ, see_pattern, &c, NULL, &err),
           err);
  limn_head_options options = {
      .n_sequences = N_SEQUENCES, .length = LENGTH, .seed = 5, .progress = see_loss, .user = &c};
  CHECK_OK(limn_head_scores_compute(s, &options, &h, &err), err);
  assert_int_equal(c.n_tokens_seen, N_SEQUENCES);
  assert_int_equal(c.n_sequences, N_SEQUENCES);
  for (int i = 0; i < N_LAYER * N_HEAD; i++) {
    assert_true(fabs(h->previous[i] - c.previous[i]) < 1e-12);
    assert_true(fabs(h->duplicate[i] - c.duplicate[i]) < 1e-12);
    assert_true(fabs(h->induction[i] - c.induction[i]) < 1e-12);
    assert_true(h->previous[i] > 0 && h->previous[i] < 1);
  }
  assert_true(fabs(h->loss_first - c.first) < 1e-9);
  assert_true(fabs(h->loss_second - c.second) < 1e-9);
  limn_head_scores_free(h);
  limn_session_free(s);
}

static double first_loss(const reference *r, limn_head_options options) {
  limn_error err;
  limn_head_scores *h;
  limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
  CHECK_OK(limn_head_scores_compute(s, &options, &h, &err), err);
  double loss = h->loss_first;
  limn_head_scores_free(h);
  limn_session_free(s);
  return loss;
}

static void the_seed_draws_the_tokens(void **state) {
  const reference *r = *state;
  limn_head_options options = {.n_sequences = 2, .length = 9, .seed = 1};
  double one = first_loss(r, options), again = first_loss(r, options);
  options.seed = 2;
  assert_true(one == again && first_loss(r, options) != one);
  const int32_t ids[] = {7};
  options.ids = ids;
  options.n_ids = 1;
  double only = first_loss(r, options);
  options.seed = 3;
  assert_true(only == first_loss(r, options)); /* from one id every draw is the same */
}

static bool stop(void *user, int done, int total) {
  (void)user, (void)total;
  return done == 2;
}

static void head_scores_refused(void **state) {
  const reference *r = *state;
  static const int32_t outside[] = {VOCAB};
  static const struct {
    limn_head_options options;
    limn_status status;
    const char *message;
  } rows[] = {
      {{.n_sequences = -1}, LIMN_ERROR_RANGE, "-1 sequences are asked for, expected at least 1"},
      {{.length = 33}, LIMN_ERROR_RANGE, "33 tokens are to be said twice, expected 1 to 32"},
      {{.length = -1}, LIMN_ERROR_RANGE, "-1 tokens are to be said twice"},
      {{.length = 5, .ids = outside, .n_ids = 0}, LIMN_ERROR_RANGE, "0 ids to draw from"},
      {{.length = 5, .ids = outside, .n_ids = 1}, LIMN_ERROR_RANGE, "token id 512"},
      {{.length = 5, .progress = stop}, LIMN_ERROR_CANCELLED, "cancelled after 2 sequences"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    limn_error err;
    limn_head_scores *h;
    limn_session *s = new_session(r, (limn_session_options){.all_logits = true});
    CHECK_FAILS(limn_head_scores_compute(s, &rows[i].options, &h, &err), rows[i].status, err,
                rows[i].message);
    assert_null(h);
    limn_session_free(s);
  }
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static limn_status everything(const reference *r, limn_session *s, limn_error *err) {
  limn_attention *a = NULL;
  limn_lens *l = NULL;
  limn_attribution *t = NULL;
  limn_head_scores *h = NULL;
  static float logits[(N_LAYER + 1) * VOCAB];
  double parts[64];
  limn_status status = limn_attention_new(s, 30, &a, err);
  if (status == LIMN_OK) status = limn_lens_new(s, 30, &l, err);
  if (status == LIMN_OK) status = limn_attribution_new(s, -1, &t, err);
  if (status == LIMN_OK) status = limn_session_evaluate(s, r->ids, 8, err);
  if (status == LIMN_OK) status = limn_lens_logits(l, NULL, 7, logits, err);
  if (status == LIMN_OK) status = limn_attribution_of(t, 5, 6, parts, NULL, err);
  if (status == LIMN_OK)
    status = limn_head_scores_compute(
        s, &(limn_head_options){.n_sequences = 1, .length = 8, .ids = r->ids, .n_ids = 9}, &h, err);
  limn_attention_free(a);
  limn_lens_free(l);
  limn_attribution_free(t);
  limn_head_scores_free(h);
  return status;
}

static void without_memory(void **state) {
  const reference *r = *state;
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_model *model = NULL;
    limn_session *s = NULL;
    fail_allocation(k);
    limn_session_options options = {.all_logits = true};
    limn_status status = limn_model_open(r->folder, NULL, &model, &err);
    if (status == LIMN_OK) status = limn_session_new(model, &options, &s, &err);
    if (status == LIMN_OK) status = everything(r, s, &err);
    limn_session_free(s);
    limn_model_close(model);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(probabilities_of_known_logits),
                                     cmocka_unit_test(logits_without_a_softmax),
                                     cmocka_unit_test(ranks_agree_with_the_order),
                                     cmocka_unit_test(attention_is_pytorchs),
                                     cmocka_unit_test(attention_starts_anew),
                                     cmocka_unit_test(beyond_the_capacity),
                                     cmocka_unit_test(lens_is_final_norm_and_unembedding),
                                     cmocka_unit_test(parts_are_pytorchs),
                                     cmocka_unit_test(parts_sum_to_the_logit),
                                     cmocka_unit_test(differences_are_differences),
                                     cmocka_unit_test(an_ablated_head_adds_nothing),
                                     cmocka_unit_test(names_of_parts),
                                     cmocka_unit_test(scores_are_what_the_definition_says),
                                     cmocka_unit_test(the_seed_draws_the_tokens),
                                     cmocka_unit_test(head_scores_refused),
                                     cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests(tests, open_reference, close_reference);
}
