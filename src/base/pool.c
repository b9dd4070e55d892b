/*
 * pool.c - a fixed team of threads that sleep while there is nothing to do.
 *
 * limn_pool_run raises a generation number and wakes the team; every member, the caller too, then
 * takes the next index from a shared counter until none is left. The caller never waits for a
 * worker that came too late for a task: where processors are shared, that may take milliseconds.
 *
 * A worker that waits looks for the next run for a few microseconds and then sleeps on a condition.
 * A forward pass of one token is a hundred short runs in a row, and waking a thread costs as much
 * as some of them take; but on shared processors a thread that keeps spinning takes the time that
 * the others need, so the looking is short.
 */
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define MAX_THREADS 1024

/* How long a thread looks before it sleeps. */
#define LOOK_NANOSECONDS 20000

struct limn_pool {
  int n_threads;
  int n_workers; /* started, without the caller */
  pthread_t *workers;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  atomic_uint generation; /* changed under the lock, looked at without */
  atomic_int n_inside;    /* workers in the run; the same */
  int n_asleep;
  bool is_open; /* the run may still have tasks */
  bool is_closing;
  void (*task)(void *user, size_t i);
  void *user;
  size_t n_tasks;
  atomic_size_t next;
};

static void take_tasks(limn_pool *pool) {
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
    if (i >= pool->n_tasks) return;
    pool->task(pool->user, i);
  }
}

/* ---- looking ----------------------------------------------------------------------------------
 */

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_a_little(void) {
  for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
}

static void look_for_a_run(limn_pool *pool, unsigned seen) {
  int64_t end = nanoseconds() + LOOK_NANOSECONDS;
  while (atomic_load_explicit(&pool->generation, memory_order_relaxed) == seen &&
         nanoseconds() < end)
    pause_a_little();
}

static void look_for_the_end(limn_pool *pool) {
  int64_t end = nanoseconds() + LOOK_NANOSECONDS;
  while (atomic_load_explicit(&pool->n_inside, memory_order_relaxed) > 0 && nanoseconds() < end)
    pause_a_little();
}

/* ---- the workers ------------------------------------------------------------------------------
 */

/* Waits for a run that has not been seen; false when the pool closes. Called with the lock. */
static bool wait_for_a_run(limn_pool *pool, unsigned *seen) {
  if (pool->generation == *seen && !pool->is_closing) {
    pthread_mutex_unlock(&pool->lock);
    look_for_a_run(pool, *seen);
    pthread_mutex_lock(&pool->lock);
  }
  pool->n_asleep++;
  while (pool->generation == *seen && !pool->is_closing)
    pthread_cond_wait(&pool->work, &pool->lock);
  pool->n_asleep--;
  *seen = pool->generation;
  return !pool->is_closing;
}

static void *work(void *argument) {
  limn_pool *pool = argument;
  unsigned seen = 0;
  pthread_mutex_lock(&pool->lock);
  while (wait_for_a_run(pool, &seen)) {
    if (!pool->is_open) continue;
    pool->n_inside++;
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool);
    pthread_mutex_lock(&pool->lock);
    if (--pool->n_inside == 0) pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

/*
 * Signals are for the program's own threads, whose handlers know what they do: a worker takes none
 * but those that its own faults raise.
 */
static bool start_workers(limn_pool *pool) {
  static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGPROF};
  sigset_t blocked, before;
  sigfillset(&blocked);
  for (size_t i = 0; i < sizeof own / sizeof *own; i++)
    sigdelset(&blocked, own[i]);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  int failed = 0;
  while (!failed && pool->n_workers < pool->n_threads - 1) {
    failed = pthread_create(&pool->workers[pool->n_workers], NULL, work, pool);
    if (!failed) pool->n_workers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return !failed;
}

limn_status limn_pool_new(int n_threads, limn_pool **out, limn_error *err) {
  *out = NULL;
  if (n_threads == 0) n_threads = limn_default_threads();
  if (n_threads < 1 || n_threads > MAX_THREADS)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d threads asked for, expected 1 to %d", n_threads, MAX_THREADS);
  limn_pool *pool = limn_alloc_zeroed(1, sizeof *pool);
  pthread_t *workers = limn_alloc_zeroed((size_t)n_threads, sizeof *workers);
  if (!pool || !workers) {
    limn_free(pool);
    limn_free(workers);
    return limn_out_of_memory(err, "a team of threads");
  }
  pool->n_threads = n_threads;
  pool->workers = workers;
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  if (!start_workers(pool)) {
    int started = pool->n_workers + 1;
    limn_pool_free(pool);
    return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET,
                          "the system gave %d threads, %d were asked for", started, n_threads);
  }
  *out = pool;
  return LIMN_OK;
}

void limn_pool_free(limn_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->lock);
  pool->is_closing = true;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (int i = 0; i < pool->n_workers; i++)
    pthread_join(pool->workers[i], NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->lock);
  limn_free(pool->workers);
  limn_free(pool);
}

int limn_pool_size(const limn_pool *pool) {
  return pool ? pool->n_threads : 1;
}

void limn_pool_run(limn_pool *pool, size_t n, void (*task)(void *user, size_t i), void *user) {
  if (!pool || pool->n_workers == 0 || n <= 1) {
    for (size_t i = 0; i < n; i++)
      task(user, i);
    return;
  }
  pthread_mutex_lock(&pool->lock);
  pool->task = task;
  pool->user = user;
  pool->n_tasks = n;
  atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
  pool->is_open = true;
  pool->generation++;
  if (pool->n_asleep > 0) pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  take_tasks(pool);
  pthread_mutex_lock(&pool->lock);
  pool->is_open = false;
  if (pool->n_inside > 0) {
    pthread_mutex_unlock(&pool->lock);
    look_for_the_end(pool);
    pthread_mutex_lock(&pool->lock);
  }
  while (pool->n_inside > 0)
    pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
}
