/*
 * eval_compare.c - what each way to store the weights and to compute costs.
 *
 * The model as it runs without --compare (its own weights in float32 arithmetic, unless --weights
 * or
 * --compute say otherwise) predicts each token with a distribution p; the same model stored or
 * computed in fewer bits with q. The Kullback-Leibler
 * divergence, the sum of p log(p / q), is how many nats a prediction loses on average by having q:
 * it sees changes that the loss of the one right token does not (Kullback and Leibler 1951).
 */
#include "eval.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *weights, *compute;
  limn_model_options options;
} choices[] = {
    {"f32", "f32", {LIMN_WEIGHTS_F32, LIMN_COMPUTE_F32}},
    {"f16", "f32", {LIMN_WEIGHTS_F16, LIMN_COMPUTE_F32}},
    {"bf16", "f32", {LIMN_WEIGHTS_BF16, LIMN_COMPUTE_F32}},
    {"bf16", "bf16", {LIMN_WEIGHTS_BF16, LIMN_COMPUTE_BF16}},
    {"q8", "f32", {LIMN_WEIGHTS_Q8, LIMN_COMPUTE_F32}},
    {"q8", "int8", {LIMN_WEIGHTS_Q8, LIMN_COMPUTE_INT8}},
    {"q4", "f32", {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_F32}},
    {"q4", "int8", {LIMN_WEIGHTS_Q4, LIMN_COMPUTE_INT8}},
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

typedef struct outcome {
  size_t packed;
  double loss, divergence, worst, n_same;
} outcome;

typedef struct comparison {
  evaluation *plain; /* what all are held against */
  evaluation other;
  cli_model model;    /* of `other`: its pool and tokenizer are those of `plain` */
  float *divergences; /* (n) */
  uint8_t *is_same;   /* (n) */
  outcome *out;
} comparison;

/* ---- one position -----------------------------------------------------------------------------
 */

static size_t likeliest(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

/* log of the sum of e^x, the largest taken off. */
static double log_sum(const float *x, size_t n, float most) {
  double sum = 0;
  for (size_t i = 0; i < n; i++)
    sum += exp((double)x[i] - (double)most);
  return log(sum) + (double)most;
}

static void compare_row(void *user, size_t i) {
  comparison *k = user;
  size_t n = (size_t)limn_model_config(k->model.model)->vocab_size;
  const float *p = k->plain->logits + i * n, *q = k->other.logits + i * n;
  size_t best_p = likeliest(p, n), best_q = likeliest(q, n);
  double all_p = log_sum(p, n, p[best_p]), all_q = log_sum(q, n, q[best_q]), sum = 0;
  for (size_t t = 0; t < n; t++) {
    double log_p = (double)p[t] - all_p;
    sum += exp(log_p) * (log_p - ((double)q[t] - all_q));
  }
  k->divergences[k->other.at.first + i] =
      (float)(sum > 0 ? sum : 0); /* rounding may leave -1e-17 */
  k->is_same[k->other.at.first + i] = best_p == best_q;
}

/* The window that `other` has run, run by the plain one too. */
static limn_status compare_window(void *user, limn_error *err) {
  comparison *k = user;
  eval_window at = k->other.at;
  limn_status status = eval_run(k->plain, at, err);
  if (status == LIMN_OK)
    limn_pool_run(k->plain->m->pool, at.begin + at.size + 1 - at.first, compare_row, k);
  return status;
}

/* ---- one choice -------------------------------------------------------------------------------
 */

/* Of tokens that are not scored, divergences are 0 and none is the same. */
static void summarize(const comparison *k, outcome *out) {
  double count = (double)eval_count(&k->other);
  out->packed = limn_model_packed_size(k->model.model);
  out->loss = eval_loss(&k->other);
  for (size_t i = 0; i < k->other.n; i++) {
    out->divergence += (double)k->divergences[i] / count;
    out->worst = fmax(out->worst, (double)k->divergences[i]);
    out->n_same += k->is_same[i];
  }
}

/* A packed file holds one storage: the others cannot be had. */
static bool can_be_had(const evaluation *e, int i) {
  const limn_packed_info *packed = limn_model_packed(e->m->model);
  return !packed || strcmp(packed->weights, choices[i].weights) == 0;
}

static limn_status run_choice(comparison *k, int i, limn_error *err) {
  k->model = *k->plain->m;
  k->other = *k->plain;
  k->other.m = &k->model;
  k->other.seats = NULL;
  k->other.batch = NULL;
  k->other.n_seats = 0;
  k->other.log_probabilities = limn_alloc_zeroed(k->other.n, sizeof *k->divergences);
  if (!k->other.log_probabilities) return cli_no_memory(err);
  limn_status status = limn_model_open_with(k->model.folder, &choices[i].options, k->model.pool,
                                            &k->model.model, err);
  if (status == LIMN_OK) {
    status = eval_open(&k->other, k->plain->n_seats, err);
    if (status == LIMN_OK) status = eval_all(&k->other, compare_window, k, err);
    if (status == LIMN_OK) summarize(k, &k->out[i]);
    eval_close(&k->other);
    limn_model_close(k->model.model);
  }
  limn_free(k->other.log_probabilities);
  return status;
}

/* ---- showing ----------------------------------------------------------------------------------
 */

static void print_outcomes(const evaluation *e, const outcome *out) {
  char text[32];
  printf("%s%-8s %-8s %10s %9s %10s %10s %9s %8s%s\n", cli_sgr(CLI_BOLD), "weights", "compute",
         "memory", "loss", "perplexity", "mean KL", "worst KL", "same", cli_sgr(CLI_PLAIN));
  for (int i = 0; i < N_CHOICES; i++) {
    if (!can_be_had(e, i)) continue;
    printf("%-8s %-8s %10s %9.4f %10.2f %10.2g %9.2g %6.2f %%\n", choices[i].weights,
           choices[i].compute, cli_size_text(text, out[i].packed), out[i].loss, exp(out[i].loss),
           out[i].divergence, out[i].worst, 100 * out[i].n_same / (double)eval_count(e));
  }
}

static int write_outcomes(const evaluation *e, const outcome *out, limn_error *err) {
  limn_json j;
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "model", e->m->folder);
  cli_json_int(&j, "n_scored", (int64_t)eval_count(e));
  limn_json_key(&j, "choices");
  limn_json_begin_array(&j);
  for (int i = 0; i < N_CHOICES; i++) {
    if (!can_be_had(e, i)) continue;
    limn_json_begin_inline_object(&j);
    cli_json_text(&j, "weights", choices[i].weights);
    cli_json_text(&j, "compute", choices[i].compute);
    cli_json_int(&j, "packed_bytes", (int64_t)out[i].packed);
    cli_json_double(&j, "loss", out[i].loss);
    cli_json_double(&j, "perplexity", exp(out[i].loss));
    cli_json_double(&j, "mean_kl", out[i].divergence);
    cli_json_double(&j, "worst_kl", out[i].worst);
    cli_json_double(&j, "same_likeliest", out[i].n_same / (double)eval_count(e));
    limn_json_end_object(&j);
  }
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(e->c, &j);
}

int eval_compare(evaluation *e) {
  limn_error err;
  outcome out[N_CHOICES] = {{0}};
  comparison k = {.plain = e, .out = out};
  limn_status status = LIMN_OK;
  if (cli_flag(e->c, "log-probs"))
    return cli_bad(e->c, "--compare and --log-probs are given, expected one of them");
  k.divergences = limn_alloc_zeroed(e->n, sizeof *k.divergences);
  k.is_same = limn_alloc_zeroed(e->n, 1);
  if (!k.divergences || !k.is_same) status = cli_no_memory(&err);
  for (int i = 0; i < N_CHOICES && status == LIMN_OK; i++) {
    if (can_be_had(e, i)) status = run_choice(&k, i, &err);
  }
  limn_free(k.divergences);
  limn_free(k.is_same);
  if (status != LIMN_OK) return cli_fail(e->c, &err);
  if (cli_flag(e->c, "json")) return write_outcomes(e, out, &err);
  print_outcomes(e, out);
  return CLI_OK;
}
