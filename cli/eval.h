/*
 * eval.h - a text cut into windows and scored: what limn eval and its --compare share.
 */
#ifndef LIMN_CLI_EVAL_H
#define LIMN_CLI_EVAL_H

#include "run.h"

typedef struct evaluation {
  const cli *c;
  const cli_model *m;
  cli_session s;
  int32_t *ids;
  size_t n;
  size_t window, stride, n_windows;
  float *log_probabilities; /* (n), of the first token NaN */
  double seconds;
  /* of the window at hand */
  size_t begin;
  const float *logits; /* those that score, (n, vocab_size) */
  const int32_t *targets;
  float *scores;
} evaluation;

/* Opens the session of e->m. */
limn_status eval_open_session(evaluation *e, limn_error *err);
/*
 * Runs the window of `size` ids from `begin` and scores its targets from number `first` on; their
 * logits are in e->logits.
 */
limn_status eval_window(evaluation *e, size_t begin, size_t size, size_t first, limn_error *err);

/* Called after each window, whose targets [first, first + n) are scored. */
typedef limn_status eval_visit(void *user, size_t first, size_t n, limn_error *err);
limn_status eval_all(evaluation *e, eval_visit *visit, void *user, limn_error *err);
/* Nats per token. */
double eval_loss(const evaluation *e);

/* --compare: everything from here to the output. Returns an exit status. */
int eval_compare(evaluation *e);

#endif
