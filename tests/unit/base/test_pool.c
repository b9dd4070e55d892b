/* The team of threads: every task once, in any size of team and work, and asleep in between. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void mark(void *user, size_t i) {
  unsigned char *seen = user;
  seen[i]++;
}

/* Each index is handed out exactly once (no atomics in the task: tsan sees two threads on one). */
static void every_task_once(void **state) {
  (void)state;
  for (int n_threads = 1; n_threads <= 8; n_threads++) {
    limn_pool *pool;
    limn_error err;
    CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    assert_int_equal(limn_pool_size(pool), n_threads);
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 100, 1001};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      unsigned char seen[1002] = {0};
      limn_pool_run(pool, counts[c], mark, seen);
      for (size_t i = 0; i < sizeof seen; i++)
        assert_int_equal(seen[i], i < counts[c]);
    }
    limn_pool_free(pool);
  }
}

static void without_a_pool(void **state) {
  (void)state;
  unsigned char seen[10] = {0};
  limn_pool_run(NULL, 10, mark, seen);
  for (int i = 0; i < 10; i++)
    assert_int_equal(seen[i], 1);
  assert_int_equal(limn_pool_size(NULL), 1);
  limn_pool_free(NULL);
}

typedef struct sums {
  int64_t *of; /* (n) */
  int64_t round;
} sums;

static void add_up(void *user, size_t i) {
  sums *s = user;
  s->of[i] += (int64_t)i * s->round;
}

/* Many small runs, one after the other: what a run wrote, the next one and the caller see. */
static void many_small_runs(void **state) {
  (void)state;
  for (int n_threads = 2; n_threads <= 8; n_threads += 3) {
    limn_pool *pool;
    limn_error err;
    int64_t of[13] = {0};
    sums s = {of, 0};
    CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    for (s.round = 1; s.round <= 2000; s.round++)
      limn_pool_run(pool, 1 + (size_t)s.round % 13, add_up, &s);
    limn_pool_free(pool);
    for (int64_t i = 0; i < 13; i++) {
      int64_t expected = 0;
      for (int64_t round = 1; round <= 2000; round++)
        if (i < 1 + round % 13) expected += i * round;
      assert_true(of[i] == expected);
    }
  }
}

/* Tasks that wait for one another end only when different threads run them at the same time. */
typedef struct meeting {
  atomic_int n_arrived, n_done;
  int n_expected;
} meeting;

static void meet(void *user, size_t i) {
  (void)i;
  meeting *m = user;
  atomic_fetch_add(&m->n_arrived, 1);
  while (atomic_load(&m->n_arrived) < m->n_expected)
    sched_yield();
}

static void tasks_run_at_the_same_time(void **state) {
  (void)state;
  limn_pool *pool;
  limn_error err;
  meeting m = {.n_expected = 4};
  CHECK_OK(limn_pool_new(4, &pool, &err), err);
  limn_pool_run(pool, 4, meet, &m);
  assert_int_equal(atomic_load(&m.n_arrived), 4);
  limn_pool_free(pool);
}

/* The run ends when the last task does, not when the caller has no more to do itself. */
static void write_late(void *user, size_t i) {
  struct timespec pause = {0, 20000000};
  static _Thread_local bool is_caller;
  meeting *m = user;
  if (i == SIZE_MAX) {
    is_caller = true;
    return;
  }
  meet(user, i);
  if (!is_caller) nanosleep(&pause, NULL);
  atomic_fetch_add(&m->n_done, 1);
}

static void a_run_waits_for_all(void **state) {
  (void)state;
  limn_pool *pool;
  limn_error err;
  CHECK_OK(limn_pool_new(4, &pool, &err), err);
  write_late(NULL, SIZE_MAX);
  for (int round = 0; round < 3; round++) {
    meeting m = {.n_expected = 4};
    limn_pool_run(pool, 4, write_late, &m);
    assert_int_equal(atomic_load(&m.n_done), 4);
  }
  limn_pool_free(pool);
}

static void *use_a_pool(void *argument) {
  (void)argument;
  limn_pool *pool;
  unsigned char seen[64] = {0};
  if (limn_pool_new(3, &pool, NULL) != LIMN_OK) return NULL;
  for (int i = 0; i < 50; i++)
    limn_pool_run(pool, 64, mark, seen);
  limn_pool_free(pool);
  for (int i = 0; i < 64; i++)
    if (seen[i] != 50) return NULL;
  return pool;
}

static void pools_do_not_meddle(void **state) {
  (void)state;
  pthread_t threads[3];
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, use_a_pool, NULL), 0);
  for (int i = 0; i < 3; i++) {
    void *done;
    pthread_join(threads[i], &done);
    assert_non_null(done);
  }
}

/* Processor time of a team that waits for 0.3 s: 7 spinning workers would use all that there is.
 * The bound is a tenth of one processor, and wide of what sleeping threads use (nothing). */
static void waiting_workers_sleep(void **state) {
  (void)state;
  limn_pool *pool;
  limn_error err;
  CHECK_OK(limn_pool_new(8, &pool, &err), err);
  unsigned char seen[8] = {0};
  limn_pool_run(pool, 8, mark, seen);
  struct timespec before, after, pause = {0, 300000000};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  nanosleep(&pause, NULL);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  double used =
      (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
  limn_pool_free(pool);
  if (!(used < 0.03)) fail_msg("8 threads that wait used %g s of 0.3 s", used);
}

static void sizes_that_cannot_be(void **state) {
  (void)state;
  limn_error err;
  limn_pool *pool = (limn_pool *)&err;
  CHECK_FAILS(limn_pool_new(-1, &pool, &err), LIMN_ERROR_RANGE, err, "-1 threads");
  assert_null(pool);
  CHECK_FAILS(limn_pool_new(1025, &pool, &err), LIMN_ERROR_RANGE, err, "1 to 1024");
  assert_int_equal(limn_pool_new(1025, &pool, NULL), LIMN_ERROR_RANGE);
}

static void without_memory(void **state) {
  (void)state;
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_pool *pool;
    fail_allocation(k);
    limn_status status = limn_pool_new(3, &pool, &err);
    if (status != LIMN_OK) {
      assert_int_equal(status, LIMN_ERROR_MEMORY);
      assert_null(pool);
    }
    limn_pool_free(pool);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
  }
  limn_allocator_set(NULL);
}

/* No room for one more stack: those that were started end, and the error says how far it came. */
static void without_threads(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* sanitizers need all addresses themselves */
#endif
  pid_t child = fork();
  if (child == 0) {
    struct rlimit limit = {(rlim_t)512 << 20, (rlim_t)512 << 20};
    limn_pool *pool = (limn_pool *)&limit;
    limn_error err;
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    if (limn_pool_new(1000, &pool, &err) != LIMN_ERROR_MEMORY) _exit(3);
    if (pool || !strstr(err.text, "threads, 1000 were asked for")) _exit(4);
    /* Their stacks are free again. */
    _exit(limn_pool_new(4, &pool, &err) == LIMN_OK ? 0 : 5);
  }
  int status;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* A signal to the process finds a thread of the program, not a worker. */
static atomic_int n_signals;
static pthread_t handled_by;

static void on_signal(int signal) {
  (void)signal;
  handled_by = pthread_self();
  atomic_fetch_add(&n_signals, 1);
}

static void signals_are_the_programs(void **state) {
  (void)state;
  limn_pool *pool;
  limn_error err;
  struct sigaction action = {.sa_handler = on_signal}, before;
  assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
  CHECK_OK(limn_pool_new(4, &pool, &err), err);
  sigset_t blocked, usual;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &usual);
  kill(getpid(), SIGUSR1);
  struct timespec pause = {0, 20000000};
  nanosleep(&pause, NULL);
  assert_int_equal(atomic_load(&n_signals), 0); /* no worker took it */
  pthread_sigmask(SIG_SETMASK, &usual, NULL);
  assert_int_equal(atomic_load(&n_signals), 1);
  assert_true(pthread_equal(handled_by, pthread_self()));
  limn_pool_free(pool);
  sigaction(SIGUSR1, &before, NULL);
}

/* A process that may use fewer processors makes fewer threads. */
static void threads_follow_affinity(void **state) {
  (void)state;
  cpu_set_t all, one;
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  int n = limn_default_threads();
  assert_true(n >= 1 && n <= CPU_COUNT(&all));
  size_t first = 0;
  while (!CPU_ISSET(first, &all))
    first++;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(limn_default_threads(), 1);
  limn_pool *pool;
  limn_error err;
  CHECK_OK(limn_pool_new(0, &pool, &err), err);
  assert_int_equal(limn_pool_size(pool), 1);
  limn_pool_free(pool);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
  assert_int_equal(limn_default_threads(), n);
}

static void features_are_words(void **state) {
  (void)state;
  const char *features = limn_cpu_features();
  assert_ptr_equal(features, limn_cpu_features());
#if defined(__x86_64__)
  assert_int_equal(strstr(features, "avx2") != NULL, __builtin_cpu_supports("avx2") != 0);
  assert_int_equal(strstr(features, "avx512f") != NULL, __builtin_cpu_supports("avx512f") != 0);
#endif
  assert_null(strstr(features, "  "));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_task_once),          cmocka_unit_test(without_a_pool),
      cmocka_unit_test(many_small_runs),          cmocka_unit_test(tasks_run_at_the_same_time),
      cmocka_unit_test(a_run_waits_for_all),      cmocka_unit_test(pools_do_not_meddle),
      cmocka_unit_test(waiting_workers_sleep),    cmocka_unit_test(sizes_that_cannot_be),
      cmocka_unit_test(without_memory),           cmocka_unit_test(without_threads),
      cmocka_unit_test(signals_are_the_programs), cmocka_unit_test(threads_follow_affinity),
      cmocka_unit_test(features_are_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
