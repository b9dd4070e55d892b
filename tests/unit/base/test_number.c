/* Numbers as text: shortest, exact both ways, and the same in every locale. */
#include "check.h"

#include <locale.h>
#include <math.h>

static void shortest_float(void **state) {
  (void)state;
  static const struct {
    float x;
    const char *text;
  } cases[] = {{0.0f, "0"},
               {-0.0f, "-0"},
               {0.1f, "0.1"},
               {1e6f, "1e+06"},
               {16777216.0f, "16777216"},
               {3.4028235e38f, "3.4028235e+38"},
               {INFINITY, "inf"},
               {-INFINITY, "-inf"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[LIMN_NUMBER_SIZE];
    assert_int_equal(limn_format_float(text, cases[i].x), strlen(cases[i].text));
    assert_string_equal(text, cases[i].text);
  }
}

static void every_float_reads_back(void **state) {
  (void)state;
  for (uint32_t i = 0; i < 200000; i++) {
    uint32_t bits = i * 21473u + 12345u;
    float x;
    memcpy(&x, &bits, sizeof x);
    if (!isfinite(x)) continue;
    char text[LIMN_NUMBER_SIZE];
    double back;
    size_t n = limn_format_float(text, x);
    assert_true(limn_parse_double(text, n, &back));
    float y = (float)back;
    assert_memory_equal(&x, &y, sizeof x);
  }
}

static void refuses_what_is_no_number(void **state) {
  (void)state;
  static const char *const bad[] = {"", " 1", "1 ", "0x10", "1,5", "1e", "--1", "1p3", "nan(1)"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    double x = 7;
    assert_false(limn_parse_double(bad[i], strlen(bad[i]), &x));
    assert_true(x == 7);
  }
  int64_t n;
  assert_false(limn_parse_int("9223372036854775808", 19, &n));
  assert_true(limn_parse_int("-9223372036854775808", 20, &n));
  assert_true(n == INT64_MIN);
}

static void comma_locale_changes_nothing(void **state) {
  (void)state;
  if (!setlocale(LC_ALL, "de_DE.UTF-8")) skip();
  char text[LIMN_NUMBER_SIZE];
  limn_format_float(text, 0.5f);
  assert_string_equal(text, "0.5");
  double x;
  assert_true(limn_parse_double("0.5", 3, &x));
  assert_true(x == 0.5);
  limn_error err;
  limn_error_set(&err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET, "found %g", 1.5);
  assert_string_equal(err.text, "found 1.5");
  setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shortest_float), cmocka_unit_test(every_float_reads_back),
      cmocka_unit_test(refuses_what_is_no_number), cmocka_unit_test(comma_locale_changes_nothing)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
