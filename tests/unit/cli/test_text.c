/*
 * Text in columns: widths, cutting, and characters that cannot be seen. Includes the file itself,
 * since the command is no library.
 */
#include "../../../cli/text.c"

#include "check.h"

/* What cli_print_visible writes, and the columns that it says it took. */
static int visible(const char *text, size_t n, int min_width, int max_width, char out[256]) {
  FILE *to = fmemopen(out, 256, "w");
  int width = cli_print_visible(to, text, n, min_width, max_width);
  fclose(to);
  return width;
}

static void widths(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int width;
  } cases[] = {{"", 0},
               {"abc", 3},
               {"\u00e9", 1},
               {"e\u0301", 1},            /* a combining accent */
               {"\u4e16\u754c", 4},       /* Chinese */
               {"\uff21", 2},             /* a full-width letter */
               {"\u05d0\u05b8", 1},       /* Hebrew with a vowel point */
               {"\u0915\u094d\u0937", 2}, /* Devanagari with a virama */
               {"\U0001f600", 2},         /* an emoji */
               {"\u2500\u2588", 2},       /* box drawing and a block */
               {"\u00ad", 1},             /* a soft hyphen is shown */
               {"\xff\xc3", 2}};          /* bytes that are no UTF-8, each one column */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(cli_text_width(cases[i].text, strlen(cases[i].text)), cases[i].width);
}

static void shows_what_cannot_be_seen(void **state) {
  (void)state;
  static const struct {
    const char *text, *shown;
  } cases[] = {{"a b", "a b"},
               {"\n\t\r", "\\n\\t\\r"},
               {"\x1b[31m", "\\x1b[31m"},
               {"\x7f", "\\x7f"},
               {"\xc3", "\\xc3"},
               {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
               {"\xc0\x80", "\\xc0\\x80"},          /* overlong */
               {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
               {"\u200b", "\\u200b"},
               {"\u2066", "\\u2066"},
               {"\u202e", "\\u202e"}, /* would turn the rest of the line around */
               {"\xc2\x85", "\\u0085"},
               {"\u0301", "\\u0301"}, /* has nothing to stand on */
               {"e\u0301", "e\u0301"},
               {"\u4e16", "\u4e16"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[256];
    size_t n = strlen(cases[i].text);
    int width = visible(cases[i].text, n, 0, 0, out);
    assert_string_equal(out, cases[i].shown);
    bool is_same = strcmp(cases[i].shown, cases[i].text) == 0;
    assert_int_equal(cli_is_visible(cases[i].text, n), is_same);
    assert_int_equal(width, cli_text_width(out, strlen(out)));
    assert_int_equal(width, cli_visible_width(cases[i].text, n));
  }
  char out[256];
  assert_int_equal(visible("a\0b", 3, 0, 0, out), 6);
  assert_string_equal(out, "a\\x00b");
  assert_true(cli_is_visible("two\nlines with a \\", 18));
}

static void cuts_and_fills(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int min, max;
    const char *shown;
    int width;
  } cases[] = {{"abc", 5, 0, "abc  ", 5},
               {"abcdef", 0, 4, "abc\u2026", 4},
               {"abcd", 0, 4, "abcd", 4},
               {"\u4e16\u754c\u4e16", 0, 4, "\u4e16\u2026", 3}, /* half a character is not shown */
               {"\u4e16\u754c\u4e16", 4, 4, "\u4e16\u2026 ", 4},
               {"ab\n\n", 0, 4, "ab\u2026", 3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char out[256];
    int width = visible(cases[i].text, strlen(cases[i].text), cases[i].min, cases[i].max, out);
    assert_string_equal(out, cases[i].shown);
    assert_int_equal(width, cases[i].width);
  }
}

static void wraps(void **state) {
  (void)state;
  char out[256];
  FILE *to = fmemopen(out, sizeof out, "w");
  cli_print_wrapped(to, "one two  three\nfour five", 2, 0, 10);
  fclose(to);
  assert_string_equal(out, "  one two\n  three\n  four\n  five\n");
  to = fmemopen(out, sizeof out, "w");
  cli_print_wrapped(to, "a 41 790 1 of 2 b 7 4", 0, 0, 6);
  fclose(to);
  assert_string_equal(out, "a\n41 790 1\nof 2 b\n7 4\n"); /* groups of digits stay together */
}

static void numbers(void **state) {
  (void)state;
  char out[32];
  assert_string_equal(cli_group_digits(out, 1234567, ' '), "1 234 567");
  assert_string_equal(cli_group_digits(out, -123456, ','), "-123,456");
  assert_string_equal(cli_group_digits(out, 999, ' '), "999");
  assert_string_equal(cli_group_digits(out, INT64_MIN, ' '), "-9 223 372 036 854 775 808");
  assert_string_equal(cli_group_digits(out, 1234, 0), "1234");
  assert_string_equal(cli_size_text(out, 0), "0 bytes");
  assert_string_equal(cli_size_text(out, 1), "1 byte");
  assert_string_equal(cli_size_text(out, 999), "999 bytes");
  assert_string_equal(cli_size_text(out, 15300000), "15.3 MB");
  assert_string_equal(cli_size_text(out, 999960), "1.0 MB");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(widths), cmocka_unit_test(shows_what_cannot_be_seen),
      cmocka_unit_test(cuts_and_fills), cmocka_unit_test(wraps), cmocka_unit_test(numbers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
