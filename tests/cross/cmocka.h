/*
 * cmocka.h - as much of cmocka as some test programs need, for processors that are only emulated
 * and have no library of that name. A test that fails ends the program.
 */
#ifndef LIMN_TESTS_CROSS_CMOCKA_H
#define LIMN_TESTS_CROSS_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
  const char *name;
  void (*run)(void **state);
};

#define cmocka_unit_test(f)                                                                        \
  { #f, f }
#define print_message(...) printf(__VA_ARGS__)
#define fail_msg(...)                                                                              \
  do {                                                                                             \
    printf(__VA_ARGS__);                                                                           \
    printf("\n%s:%d: failed\n", __FILE__, __LINE__);                                               \
    exit(1);                                                                                       \
  } while (0)
#define assert_true(x)                                                                             \
  do {                                                                                             \
    if (!(x)) fail_msg("expected %s", #x);                                                         \
  } while (0)
#define assert_false(x)               assert_true(!(x))
#define assert_null(x)                assert_true((x) == NULL)
#define assert_int_equal(a, b)        assert_true((long long)(a) == (long long)(b))
#define assert_ptr_equal(a, b)        assert_true((const void *)(a) == (const void *)(b))
#define assert_in_range(x, low, high) assert_true((x) >= (low) && (x) <= (high))
#define assert_memory_equal(a, b, n)  assert_true(memcmp(a, b, n) == 0)
#define cmocka_run_group_tests(t, setup, teardown)                                                 \
  cross_run(t, sizeof t / sizeof *t, setup, teardown)

static inline int cross_run(const struct CMUnitTest *tests, size_t n, int (*setup)(void **),
                            int (*teardown)(void **)) {
  if (setup && setup(NULL) != 0) fail_msg("the tests cannot be set up");
  for (size_t i = 0; i < n; i++) {
    tests[i].run(NULL);
    printf("ok: %s\n", tests[i].name);
  }
  return teardown ? teardown(NULL) : 0;
}

#endif
