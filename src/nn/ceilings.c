/*
 * ceilings.c - how fast a team can multiply and read, when it does nothing else.
 *
 * A product of matrices can be no faster than multiply-adds that wait for nothing, a product with
 * one row no faster than its weights come from memory (the roofline of Williams, Waterman and
 * Patterson 2009). Both are taken as the best of several short runs, because on shared processors
 * the others' work makes single ones slow, never fast.
 */
#include "base/memory.h"
#include "nn/rows.h"

#include <limn/kernels.h>

#include <string.h>
#include <time.h>

enum { REPEATS = 7, PIECE = 64 * 1024 };

typedef struct measuring {
  const limn_kernels *kernels;
  int64_t rounds;
  float *memory;
  size_t n; /* floats */
} measuring;

/* Seconds of the clock, and those that the process's threads worked. */
typedef struct seconds {
  double wall, processor;
} seconds;

static double read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static seconds now(void) {
  return (seconds){read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

static volatile float result; /* so that nothing is left out because nobody wants it */

static void spin_task(void *user, size_t i) {
  const measuring *m = user;
  (void)i;
  float x = m->kernels->spin(m->rounds);
  if (x < 0) result = x;
}

static void read_task(void *user, size_t i) {
  const measuring *m = user;
  size_t at = i * PIECE, n = m->n - at < PIECE ? m->n - at : PIECE;
  float x = m->kernels->read((int64_t)n, m->memory + at);
  if (x < 0) result = x;
}

static void fill_task(void *user, size_t i) {
  const measuring *m = user;
  size_t at = i * PIECE, n = m->n - at < PIECE ? m->n - at : PIECE;
  memset(m->memory + at, 0, n * sizeof *m->memory);
}

static double less(double a, double b) {
  return a < b ? a : b;
}

/* The shortest of some runs of all tasks, by either clock. */
static seconds shortest(limn_pool *pool, size_t n, void (*task)(void *user, size_t i),
                        measuring *m) {
  seconds best = {1e9, 1e9};
  for (int i = 0; i < REPEATS; i++) {
    seconds start = now();
    limn_pool_run(pool, n, task, m);
    seconds end = now();
    best.wall = less(best.wall, end.wall - start.wall);
    best.processor = less(best.processor, end.processor - start.processor);
  }
  if (best.wall < 1e-9) best.wall = 1e-9;
  if (best.processor < 1e-9) best.processor = 1e-9;
  return best;
}

limn_status limn_kernels_in_use(const char **name, limn_error *err) {
  const limn_kernels *kernels;
  *name = NULL;
  limn_status status = limn_nn_choose_kernels(&kernels, err);
  if (status == LIMN_OK) *name = kernels->name;
  return status;
}

limn_status limn_measure_ceilings(limn_pool *pool, size_t size, limn_ceilings *out,
                                  limn_error *err) {
  measuring m = {.rounds = 1000, .n = size / sizeof(float)};
  size_t pieces = (m.n + PIECE - 1) / PIECE;
  *out = (limn_ceilings){0};
  limn_status status = limn_nn_choose_kernels(&m.kernels, err);
  if (status != LIMN_OK) return status;
  m.memory = limn_alloc_aligned(m.n + 1, sizeof *m.memory);
  if (!m.memory) return limn_out_of_memory(err, "measuring how fast memory is read");
  limn_want_huge_pages(m.memory, size);
  limn_pool_run(pool, pieces, fill_task, &m);
  double one = shortest(NULL, 1, spin_task, &m).wall, n_threads = limn_pool_size(pool);
  m.rounds = (int64_t)(0.02 / one * 1000) + 1; /* 20 ms */
  seconds spinning = shortest(pool, (size_t)n_threads, spin_task, &m);
  seconds reading = shortest(pool, pieces, read_task, &m);
  double multiply_adds = m.kernels->spin_size * (double)m.rounds * n_threads;
  double bytes = (double)m.n * sizeof *m.memory;
  out->kernels = m.kernels->name;
  out->multiply_adds = multiply_adds / spinning.wall;
  out->bytes_read = bytes / reading.wall;
  out->multiply_adds_by_processor = multiply_adds * n_threads / spinning.processor;
  out->bytes_read_by_processor = bytes * n_threads / reading.processor;
  limn_free_aligned(m.memory);
  return LIMN_OK;
}
