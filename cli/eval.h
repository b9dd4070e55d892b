/*
 * eval.h - texts cut into windows and scored: what limn eval and its --compare share.
 */
#ifndef LIMN_CLI_EVAL_H
#define LIMN_CLI_EVAL_H

#include "run.h"

/* A text among the ids, and the line of the file that it was. */
typedef struct eval_text {
  size_t begin, n;
  int64_t line;
} eval_text;

/* The inputs are ids[begin, begin + size); `first` is the first target not yet scored. */
typedef struct eval_window {
  size_t begin, size, first;
} eval_window;

/* A session that runs one window at a time. */
typedef struct eval_seat {
  cli_session s;
  eval_window window;
} eval_seat;

typedef struct evaluation {
  const cli *c;
  const cli_model *m;
  int32_t *ids; /* (n) the texts behind one another */
  size_t n;
  eval_text *texts; /* (n_texts) */
  size_t n_texts;
  size_t window, stride, n_windows;
  float *log_probabilities; /* (n), of a text's first token NaN */
  double seconds;

  limn_batch *batch;
  eval_seat *seats; /* (n_seats) as many windows are run in one pass */
  size_t n_seats;

  /* of the window at hand */
  eval_window at;
  const float *logits; /* those that score, (n, vocab_size) */
} evaluation;

/* Opens n sessions for e->m and their batch; eval_close closes them, and what is NULL is no harm.
 */
limn_status eval_open(evaluation *e, size_t n, limn_error *err);
void eval_close(evaluation *e);

/* Runs a window in the first seat and scores it; its logits are in e->logits. */
limn_status eval_run(evaluation *e, eval_window window, limn_error *err);

/* Called after each window, in order, with `at` and `logits` set. */
typedef limn_status eval_visit(void *user, limn_error *err);
limn_status eval_all(evaluation *e, eval_visit *visit, void *user, limn_error *err);

/* How many tokens are scored, of all texts or of one. */
size_t eval_count(const evaluation *e);
size_t eval_text_count(const eval_text *t);
/* Nats per token, of all texts or of one; NaN where nothing is scored. */
double eval_loss(const evaluation *e);
double eval_text_loss(const evaluation *e, const eval_text *t);

/* --compare: everything from here to the output. Returns an exit status. */
int eval_compare(evaluation *e);

#endif
