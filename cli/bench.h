/*
 * bench.h - timed runs of a model: what limn bench and its --curve share.
 */
#ifndef LIMN_CLI_BENCH_H
#define LIMN_CLI_BENCH_H

#include "run.h"

/* Of some runs of the same work. */
typedef struct bench_rate {
  double median, best; /* tokens a second of the clock */
  /*
   * The median by processor time: tokens of one second that one processor worked, times the
   * threads; what a run gives that nobody disturbs and whose threads share the work evenly.
   */
  double by_processor;
} bench_rate;

typedef struct bench_time {
  double wall, processor; /* seconds; of all threads together */
} bench_time;

typedef struct bench {
  const cli *c;
  cli_model m;
  limn_session *session;
  int32_t *ids; /* (n_ctx) */
  int n_prompt, n_new, n_repeats;
  double open_seconds; /* from opening the files to the first logits */
  int64_t peak;        /* bytes that the process held at most after a prompt and a token */
  bench_rate prefill, decode;
  limn_ceilings ceilings;
  double error; /* against scalar kernels; negative when not compared */
} bench;

bench_time bench_now(void);
/* Runs the first n ids from an empty context; adds the time. */
limn_status bench_prefill(bench *b, int n, bench_time *sum, limn_error *err);
/* Runs ids [from, from + n) one by one behind what the session holds; adds the time. */
limn_status bench_decode(bench *b, int from, int n, bench_time *sum, limn_error *err);
/* Of n runs of n_tokens each; sorts the times. */
bench_rate bench_rate_of(const bench *b, bench_time *times, int n, int n_tokens);
/* Its first four digits: 41 790, 3 330 or 2.718. Returns `out`. */
char *bench_rate_text(char out[32], double x);
/* The members of an object that is begun. */
void bench_write_rate(limn_json *j, bench_rate r);

/* --curve: everything behind opening. Returns an exit status. */
int bench_curve(bench *b);

#endif
