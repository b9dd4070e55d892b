/*
 * test_random.c - every draw of tests/data/torch_nn.json, which PyTorch made, in its order.
 */
#include "goldens.h"

#include <limn/random.h>
#include <stdlib.h>

#define N_MOST 128

static void check_same(const char *name, const float *found, const json_t *expected,
                       bool is_exact) {
  golden g = golden_from(name, expected);
  for (int64_t i = 0; i < g.n; i++) {
    float off = found[i] - g.data[i];
    float allowed = is_exact ? 0 : 1e-6f;
    if (!(off <= allowed && off >= -allowed))
      fail_msg("%s: number %lld is %.9g, expected %.9g", name, (long long)i, (double)found[i],
               (double)g.data[i]);
  }
  free(g.data);
}

static void check_integers(const char *name, const int64_t *found, const json_t *expected) {
  const json_t *data = json_object_get(expected, "data");
  for (size_t i = 0; i < json_array_size(data); i++)
    if (found[i] != json_integer_value(json_array_get(data, i)))
      fail_msg("%s: number %zu is %lld, expected %lld", name, i, (long long)found[i],
               (long long)json_integer_value(json_array_get(data, i)));
}

/* One call, told by its name: "7.randn", "randint(0,2,5)", "9.uniform(-1.0,1.0)" ... */
static void check_draw(limn_random *r, const char *name, const char *call, const json_t *expected) {
  float x[N_MOST];
  int64_t integers[N_MOST];
  long long a, b;
  double low, high;
  int n, used = 0;
  if (sscanf(call, "%d.rand%n", &n, &used) == 1 && used && !call[used]) {
    limn_random_uniform(r, 0, 1, n, x);
    check_same(name, x, expected, true);
  } else if (sscanf(call, "%d.randn%n", &n, &used) == 1 && used && !call[used]) {
    limn_random_normal(r, 0, 1, n, x);
    check_same(name, x, expected, false);
  } else if (sscanf(call, "%d.uniform(%lf,%lf)", &n, &low, &high) == 3) {
    limn_random_uniform(r, (float)low, (float)high, n, x);
    check_same(name, x, expected, true);
  } else if (sscanf(call, "randint(%lld,%lld,%d)", &a, &b, &n) == 3) {
    limn_random_integers(r, a, b, n, integers);
    check_integers(name, integers, expected);
  } else if (sscanf(call, "randperm(%d)", &n) == 1) {
    limn_random_permutation(r, n, integers);
    check_integers(name, integers, expected);
  } else {
    fail_msg("no draw is called %s", name);
  }
}

static void test_streams(void **state) {
  (void)state;
  static const unsigned long long seeds[] = {0, 1, 42, 4294967301};
  json_t *file = goldens_open("torch_nn.json");
  for (size_t i = 0; i < 4; i++) {
    char prefix[64], last[80];
    int n_draws = 0;
    limn_random r;
    limn_random_seed(&r, seeds[i]);
    int n = snprintf(prefix, sizeof prefix, "random.%llu.", seeds[i]);
    snprintf(last, sizeof last, "%sseed", prefix);
    const char *name;
    json_t *expected;
    json_object_foreach(file, name, expected) {
      if (strncmp(name, prefix, (size_t)n) != 0 || strcmp(name, last) == 0) continue;
      check_draw(&r, name, name + n + 4, expected);
      n_draws++;
    }
    assert_int_equal(n_draws, 80);
  }
  json_decref(file);
}

static void test_copy_draws_the_same(void **state) {
  (void)state;
  limn_random a, b;
  float x[33], y[33];
  limn_random_seed(&a, 7);
  limn_random_normal(&a, 0, 1, 3, x);
  b = a;
  limn_random_normal(&a, 0, 1, 33, x);
  limn_random_normal(&b, 0, 1, 33, y);
  assert_memory_equal(x, y, sizeof x);
}

/* 2^64 - 1 numbers wide: no step of the arithmetic overflows. */
static void test_widest_range(void **state) {
  (void)state;
  limn_random r;
  int64_t x[100];
  limn_random_seed(&r, 1);
  limn_random_integers(&r, INT64_MIN, INT64_MAX, 100, x);
  bool is_negative = false, is_positive = false;
  for (int i = 0; i < 100; i++) {
    is_negative = is_negative || x[i] < 0;
    is_positive = is_positive || x[i] > 0;
  }
  assert_true(is_negative && is_positive);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_streams),
                                     cmocka_unit_test(test_copy_draws_the_same),
                                     cmocka_unit_test(test_widest_range)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
