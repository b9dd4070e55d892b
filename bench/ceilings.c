/*
 * ceilings.c - what this machine can do at most: multiply-adds a second and bytes read a second.
 *
 *     ceilings THREADS
 *
 * Prints a JSON object. Multiply-adds run in registers on independent sums, as many as hide the
 * latency, and are timed by each thread's own processor time, since cores do not share them;
 * reading, which they do share, is timed on the wall. It adds up a buffer that no cache holds (500
 * MB), and one of the size of a 16-bit GPT-2 (250 MB) and an 8-bit one (125 MB) again and again.
 * Each figure is the best of many tries: a ceiling is what is reached when nobody else runs.
 * Compiled for the machine at hand.
 */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, CHAINS = 20, TRIES = 60 };

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct job {
  double (*work)(struct job *); /* returns operations or bytes */
  const char *data;
  size_t size;
  double amount, seconds; /* of this thread's processor time */
  volatile float sink;
} job;

/* ---- arithmetic ------------------------------------------------------------------------------ */

enum { STEPS = 4000000 };

#ifdef __AVX512F__
typedef __m512 lanes;
#define LANES 16
#define SET1  _mm512_set1_ps
#define FMA   _mm512_fmadd_ps
#else
typedef __m256 lanes;
#define LANES 8
#define SET1  _mm256_set1_ps
#define FMA   _mm256_fmadd_ps
#endif

static double fma_work(job *j) {
  lanes sum[CHAINS], a = SET1(0.999f), b = SET1(1e-3f);
  for (int c = 0; c < CHAINS; c++)
    sum[c] = SET1((float)c);
  for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 20
    for (int c = 0; c < CHAINS; c++)
      sum[c] = FMA(sum[c], a, b);
  }
  float all[LANES];
  for (int c = 0; c < CHAINS; c++) {
    memcpy(all, &sum[c], sizeof all);
    j->sink += all[0];
  }
  return 2.0 * LANES * CHAINS * STEPS;
}

#ifdef __AVX512BF16__
static double bf16_work(job *j) {
  __m512 sum[CHAINS];
  __m512bh a = (__m512bh)_mm512_set1_epi16(0x3c00), b = (__m512bh)_mm512_set1_epi16(0x3c00);
  for (int c = 0; c < CHAINS; c++)
    sum[c] = _mm512_set1_ps((float)c);
  for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 20
    for (int c = 0; c < CHAINS; c++)
      sum[c] = _mm512_dpbf16_ps(sum[c], a, b);
  }
  for (int c = 0; c < CHAINS; c++)
    j->sink += _mm512_cvtss_f32(sum[c]);
  return 4.0 * 16 * CHAINS * STEPS;
}
#endif

#ifdef __AVX512VNNI__
static double vnni_work(job *j) {
  __m512i sum[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int c = 0; c < CHAINS; c++)
    sum[c] = _mm512_set1_epi32(c);
  for (int i = 0; i < STEPS; i++) {
#pragma GCC unroll 20
    for (int c = 0; c < CHAINS; c++)
      sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
  }
  for (int c = 0; c < CHAINS; c++)
    j->sink += (float)_mm512_reduce_add_epi32(sum[c]);
  return 8.0 * 16 * CHAINS * STEPS;
}
#endif

/* ---- reading --------------------------------------------------------------------------------- */

static double read_work(job *j) {
  lanes sum[8];
  for (int c = 0; c < 8; c++)
    sum[c] = SET1(0.0f);
  const size_t step = sizeof sum;
  for (size_t i = 0; i + step <= j->size; i += step) {
#pragma GCC unroll 8
    for (int c = 0; c < 8; c++) {
      lanes v;
      memcpy(&v, j->data + i + (size_t)c * sizeof v, sizeof v);
      sum[c] += v;
    }
  }
  float all[LANES];
  for (int c = 0; c < 8; c++) {
    memcpy(all, &sum[c], sizeof all);
    j->sink += all[0];
  }
  return (double)j->size;
}

/* ---- running --------------------------------------------------------------------------------- */

static void *run_job(void *user) {
  job *j = user;
  double start = now(CLOCK_THREAD_CPUTIME_ID);
  j->amount = j->work(j);
  j->seconds = now(CLOCK_THREAD_CPUTIME_ID) - start;
  return NULL;
}

/* The best rate of all tries; with a buffer, it is shared out between the threads. */
static double best_rate(double (*work)(job *), int n_threads, const char *data, size_t size) {
  double best = 0;
  for (int t = 0; t < TRIES; t++) {
    pthread_t threads[MAX_THREADS];
    job jobs[MAX_THREADS];
    double start = now(CLOCK_MONOTONIC), amount = 0, rate = 0;
    size_t part = size / (size_t)n_threads / 4096 * 4096;
    for (int i = 0; i < n_threads; i++) {
      jobs[i] = (job){.work = work, .data = data ? data + (size_t)i * part : NULL, .size = part};
      if (pthread_create(&threads[i], NULL, run_job, &jobs[i]) != 0) exit(1);
    }
    for (int i = 0; i < n_threads; i++) {
      pthread_join(threads[i], NULL);
      amount += jobs[i].amount;
      rate += jobs[i].amount / jobs[i].seconds;
    }
    if (data) rate = amount / (now(CLOCK_MONOTONIC) - start);
    if (rate > best) best = rate;
  }
  return best;
}

int main(int argc, char **argv) {
  int n_threads = argc > 1 ? atoi(argv[1]) : 1;
  if (n_threads < 1 || n_threads > MAX_THREADS) return 2;
  const size_t size = (size_t)500 << 20;
  char *data = aligned_alloc(4096, size);
  if (!data) return 1;
  memset(data, 0, size);
  printf("{\"threads\": %d, \"fma_gflops\": %.1f", n_threads,
         best_rate(fma_work, n_threads, NULL, 0) * 1e-9);
#ifdef __AVX512BF16__
  printf(", \"bf16_gflops\": %.1f", best_rate(bf16_work, n_threads, NULL, 0) * 1e-9);
#endif
#ifdef __AVX512VNNI__
  printf(", \"vnni_gops\": %.1f", best_rate(vnni_work, n_threads, NULL, 0) * 1e-9);
#endif
  printf(", \"read_500mb_gbs\": %.2f", best_rate(read_work, n_threads, data, size) * 1e-9);
  printf(", \"read_250mb_gbs\": %.2f", best_rate(read_work, n_threads, data, size / 2) * 1e-9);
  printf(", \"read_125mb_gbs\": %.2f}\n", best_rate(read_work, n_threads, data, size / 4) * 1e-9);
  free(data);
  return 0;
}
