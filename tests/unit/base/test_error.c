/* An error's text is one clean line, whatever it quotes, and always fits. */
#include "base/utf8.h"
#include "check.h"

#include <stdlib.h>

static void keeps_status_offset_and_text(void **state) {
  (void)state;
  limn_error err;
  limn_status status =
      limn_error_set(&err, LIMN_ERROR_SHAPE, 42, "tensor \"%s\" has rank %d", "wte.weight", 3);
  assert_int_equal(status, LIMN_ERROR_SHAPE);
  assert_int_equal(err.status, LIMN_ERROR_SHAPE);
  assert_int_equal(err.offset, 42);
  assert_string_equal(err.text, "tensor \"wte.weight\" has rank 3");
}

static void accepts_no_error(void **state) {
  (void)state;
  assert_int_equal(limn_error_set(NULL, LIMN_ERROR_IO, LIMN_NO_OFFSET, "unheard %d", 1),
                   LIMN_ERROR_IO);
}

static void cleans_what_it_quotes(void **state) {
  (void)state;
  static const struct {
    const char *raw, *clean;
  } cases[] = {
      {"plain", "plain"},
      {"", ""},
      {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
      {"\x1b[31mred", "\\x1b[31mred"},
      {"del\x7f", "del\\x7f"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
      {"\xff\xfe", "\\xff\\xfe"},                   /* never a byte of UTF-8 */
      {"\xc3", "\\xc3"},                            /* truncated */
      {"\xc3(", "\\xc3("},                          /* no continuation */
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
      {"\xc0\xaf", "\\xc0\\xaf"},                   /* overlong */
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond U+10FFFF */
      {"csi\xc2\x9b", "csi\\xc2\\x9b"},             /* C1: a terminal takes U+009B for ESC [ */
      {"nbsp\xc2\xa0", "nbsp\xc2\xa0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_error err;
    limn_error_set(&err, LIMN_ERROR_FORMAT, 0, "%s", cases[i].raw);
    assert_string_equal(err.text, cases[i].clean);
  }
}

/* For every length around the limit: whole characters, "..." only when something is missing. */
static void cuts_at_a_character(void **state) {
  (void)state;
  static const char *const units[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\n"};
  for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
    size_t unit = strlen(units[u]);
    for (size_t count = 1; count * unit < 3 * LIMN_ERROR_TEXT_SIZE; count++) {
      char raw[3 * LIMN_ERROR_TEXT_SIZE + 8];
      for (size_t i = 0; i < count; i++)
        memcpy(raw + i * unit, units[u], unit);
      raw[count * unit] = '\0';
      limn_error err;
      memset(&err, 'Z', sizeof err);
      limn_error_set(&err, LIMN_ERROR_FORMAT, 0, "%s", raw);
      size_t n = strlen(err.text), stored = units[u][0] == '\n' ? 4 : unit;
      assert_true(n < LIMN_ERROR_TEXT_SIZE);
      assert_true(limn_utf8_is_valid(err.text, n));
      bool is_cut = n >= 3 && memcmp(err.text + n - 3, "...", 3) == 0;
      assert_int_equal((n - (is_cut ? 3 : 0)) % stored, 0);
      assert_int_equal(is_cut, count * stored > LIMN_ERROR_TEXT_SIZE - 4);
      if (!is_cut) assert_int_equal(n, count * stored);
    }
  }
}

/* A callback may wrap the error that it got. */
static void may_quote_itself(void **state) {
  (void)state;
  limn_error err;
  limn_error_set(&err, LIMN_ERROR_IO, 7, "inner");
  limn_error_set(&err, err.status, err.offset, "outer: %s", err.text);
  assert_string_equal(err.text, "outer: inner");
}

static void every_status_has_its_name(void **state) {
  (void)state;
  for (int a = 0; a <= LIMN_ERROR_CANCELLED; a++) {
    assert_string_not_equal(limn_status_name((limn_status)a), "unknown status");
    for (int b = 0; b < a; b++)
      assert_string_not_equal(limn_status_name((limn_status)a), limn_status_name((limn_status)b));
  }
  assert_string_equal(limn_status_name((limn_status)99), "unknown status");
}

static void version_is_that_of_the_header(void **state) {
  (void)state;
  char expected[32];
  snprintf(expected, sizeof expected, "%d.%d.%d", LIMN_VERSION_MAJOR, LIMN_VERSION_MINOR,
           LIMN_VERSION_PATCH);
  assert_string_equal(limn_version(), expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_status_offset_and_text),
      cmocka_unit_test(accepts_no_error),
      cmocka_unit_test(cleans_what_it_quotes),
      cmocka_unit_test(cuts_at_a_character),
      cmocka_unit_test(may_quote_itself),
      cmocka_unit_test(every_status_has_its_name),
      cmocka_unit_test(version_is_that_of_the_header),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
