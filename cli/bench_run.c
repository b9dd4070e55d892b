/*
 * bench_run.c - the timed runs of limn bench: a prompt, tokens one by one, and the rates of
 * several.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

bench_time bench_now(void) {
  return (bench_time){cli_seconds(CLOCK_MONOTONIC), cli_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void add_since(bench_time *sum, bench_time start) {
  bench_time end = bench_now();
  sum->wall += end.wall - start.wall;
  sum->processor += end.processor - start.processor;
}

limn_status bench_prefill(bench *b, int n, bench_time *sum, limn_error *err) {
  limn_session_reset(b->session);
  bench_time start = bench_now();
  limn_status status = limn_session_evaluate(b->session, b->ids, (size_t)n, err);
  add_since(sum, start);
  return status;
}

limn_status bench_decode(bench *b, int from, int n, bench_time *sum, limn_error *err) {
  limn_status status = LIMN_OK;
  bench_time start = bench_now();
  for (int i = from; i < from + n && status == LIMN_OK; i++)
    status = limn_session_evaluate(b->session, b->ids + i, 1, err);
  add_since(sum, start);
  return status;
}

static int compare_wall(const void *a, const void *b) {
  const bench_time *x = a, *y = b;
  return (x->wall > y->wall) - (x->wall < y->wall);
}

static int compare_processor(const void *a, const void *b) {
  const bench_time *x = a, *y = b;
  return (x->processor > y->processor) - (x->processor < y->processor);
}

bench_rate bench_rate_of(const bench *b, bench_time *times, int n, int n_tokens) {
  bench_rate r;
  double tokens = n_tokens;
  const bench_time *low = &times[(n - 1) / 2], *high = &times[n / 2];
  qsort(times, (size_t)n, sizeof *times, compare_processor);
  r.by_processor = 2 * tokens * limn_pool_size(b->m.pool) / (low->processor + high->processor);
  qsort(times, (size_t)n, sizeof *times, compare_wall);
  r.median = 2 * tokens / (low->wall + high->wall);
  r.best = tokens / times[0].wall;
  return r;
}

char *bench_rate_text(char out[32], double x) {
  double unit = 1;
  if (!(x >= 999.95 && x < 1e15)) {
    snprintf(out, 32, "%.4g", x);
    return out;
  }
  while (x / unit >= 9999.5)
    unit *= 10;
  return cli_group_digits(out, (int64_t)(round(x / unit) * unit), ' ');
}

void bench_write_rate(limn_json *j, bench_rate r) {
  cli_json_double(j, "tokens_per_second", r.median);
  cli_json_double(j, "best_tokens_per_second", r.best);
  cli_json_double(j, "tokens_per_second_by_processor_time", r.by_processor);
}
