/*
 * One cache for several: whatever members do at the same time, what one finds is what was kept for
 * that piece, and none waits for ever. (Threads are no place for cmocka's assertions: they count.)
 */
#include "numbered_pieces.h"

#include "tokenizer/shared_cache.h"

#include <pthread.h>

#define MEMBERS 4
#define ALL     30000 /* pieces */

typedef struct member {
  limn_cache c;
  uint32_t first, n, step; /* the pieces it meets */
  size_t n_wrong, n_found;
  pthread_t thread;
} member;

static void meet_piece(member *m, uint32_t i) {
  limn_answer a = find(&m->c, i);
  m->n_found += a.first != LIMN_ANSWER_NONE;
  if (a.first == LIMN_ANSWER_NONE) a = keep(&m->c, i);
  if (a.first != LIMN_ANSWER_NONE) m->n_wrong += !is_answer(&m->c, a, i);
}

static void *run(void *user) {
  member *m = user;
  limn_shared_cache_join(&m->c);
  for (int round = 0; round < 3; round++) {
    for (uint32_t k = 0; k < m->n; k++) {
      meet_piece(m, (m->first + k * m->step) % ALL);
      if (k % 5 == 0) limn_cache_tidy(&m->c);
    }
  }
  limn_shared_cache_leave(&m->c);
  return NULL;
}

/* Members with different pieces, the same ones, and in another order; some stop long before. */
static void run_members(limn_shared_cache *s, member members[MEMBERS]) {
  limn_error err;
  for (uint32_t k = 0; k < MEMBERS; k++) {
    members[k] = (member){.first = 7000 * (k / 2), .n = 25000 >> k, .step = k % 2 ? ALL - 1 : 1};
    CHECK_OK(limn_shared_cache_open(s, &members[k].c, &err), err);
  }
  for (size_t k = 0; k < MEMBERS; k++)
    assert_int_equal(pthread_create(&members[k].thread, NULL, run, &members[k]), 0);
  for (size_t k = 0; k < MEMBERS; k++)
    pthread_join(members[k].thread, NULL);
  for (size_t k = 0; k < MEMBERS; k++) {
    assert_int_equal(members[k].n_wrong, 0);
    limn_cache_deinit(&members[k].c);
  }
  assert_int_equal(s->n_members, 0);
  assert_int_equal(s->n_waiting, 0);
  assert_false(s->is_called);
}

/* With room for all, one who meets all pieces twice finds them the second time, but for the few
 * whose bucket and the one beside it are full. */
static void check_that_most_are_there(limn_shared_cache *s) {
  limn_error err;
  member m = {.n = 0};
  CHECK_OK(limn_shared_cache_open(s, &m.c, &err), err);
  limn_shared_cache_join(&m.c);
  for (uint32_t i = 0; i < 2 * ALL; i++) {
    if (i == ALL) m.n_found = 0;
    meet_piece(&m, i % ALL);
    limn_cache_tidy(&m.c);
  }
  limn_shared_cache_leave(&m.c);
  assert_true(m.n_found > ALL - ALL / 30);
  assert_int_equal(m.n_wrong, 0);
  limn_cache_deinit(&m.c);
}

static void members_find_what_was_kept(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 3000, 60000, 400000, 16000000};
  limn_error err;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    limn_shared_cache s;
    member members[MEMBERS];
    CHECK_OK(limn_shared_cache_init(&s, sizes[i], limn_cache_hash, &err), err);
    size_t n_buckets = s.all.n_buckets;
    run_members(&s, members);
    assert_int_equal(s.all.n_buckets > n_buckets, s.all.most_buckets > n_buckets);
    assert_int_equal(s.all.n_forgotten > 0, sizes[i] < 1000000);
    if (sizes[i] == 16000000) check_that_most_are_there(&s);
    limn_shared_cache_deinit(&s);
  }
}

/* What was kept is there for those who come later, until all is forgotten. */
static void a_member_finds_what_one_before_it_kept(void **state) {
  (void)state;
  limn_error err;
  limn_shared_cache s;
  limn_cache one, two;
  enum { FEW = 20 }; /* so that no bucket is full */
  CHECK_OK(limn_shared_cache_init(&s, 200000, limn_cache_hash, &err), err);
  CHECK_OK(limn_shared_cache_open(&s, &one, &err), err);
  limn_shared_cache_join(&one);
  for (uint32_t i = 0; i < FEW; i++)
    assert_true(is_answer(&one, keep(&one, i), i));
  limn_shared_cache_leave(&one);
  CHECK_OK(limn_shared_cache_open(&s, &two, &err), err);
  limn_shared_cache_join(&two);
  for (uint32_t i = 0; i < FEW; i++)
    assert_true(is_answer(&two, find(&two, i), i));
  uint32_t i = 14; /* 15 ids */
  while (keep(&two, i).first != LIMN_ANSWER_NONE)
    i += 15;
  assert_true(is_answer(&two, find(&two, 3), 3)); /* what is there stays until it meets */
  limn_cache_tidy(&two);
  assert_int_equal(s.all.n_forgotten, 1);
  assert_int_equal(find(&two, 3).first, LIMN_ANSWER_NONE);
  assert_true(is_answer(&two, keep(&two, i), i));
  limn_shared_cache_leave(&two);
  limn_shared_cache_join(&one); /* and learns that all was forgotten */
  assert_int_equal(one.n_forgotten, 1);
  assert_true(is_answer(&one, find(&one, i), i));
  limn_shared_cache_leave(&one);
  limn_cache_deinit(&one);
  limn_cache_deinit(&two);
  limn_shared_cache_deinit(&s);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  bool was_asked = true;
  for (int64_t k = 0; was_asked; k++) {
    limn_error err;
    limn_shared_cache s;
    limn_cache c;
    fail_allocation(k);
    limn_status status = limn_shared_cache_init(&s, 100000, limn_cache_hash, &err);
    if (status == LIMN_OK) {
      status = limn_shared_cache_open(&s, &c, &err);
      if (status == LIMN_OK) limn_cache_deinit(&c);
    }
    limn_shared_cache_deinit(&s);
    was_asked = allocations_asked() > k;
    assert_int_equal(status, was_asked ? LIMN_ERROR_MEMORY : LIMN_OK);
    assert_int_equal(was_asked, k < 3);
    assert_int_equal(allocations_live(), 0);
  }
  fail_allocation(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members_find_what_was_kept),
      cmocka_unit_test(a_member_finds_what_one_before_it_kept),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
