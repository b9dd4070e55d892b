/*
 * test_intro.c - limn intro --json against what PyTorch computed (tests/data/intro_seed0.json, made
 * by tests/peers/check_intro.py --write); the lessons without memory; a lesson's file as HTML.
 */
#include "../../../cli/intro_source.c"

#include "goldens.h"

#include <stdlib.h>

/* Float32 on both sides, some thirty roundings. */
#define TOLERANCE 1e-6

/* ---- the numbers --------------------------------------------------------------------------------
 */

static json_t *ask_command(void) {
  json_error_t error;
  FILE *from = popen(LIMN_COMMAND " intro --json", "r");
  assert_non_null(from);
  json_t *told = json_loadf(from, JSON_REJECT_DUPLICATES, &error);
  if (!told) fail_msg("limn intro --json: %s at line %d", error.text, error.line);
  assert_int_equal(pclose(from), 0);
  return told;
}

/* The reference has of a large tensor only every so-manieth entry, and the shape as "of". */
static void check_tensor(const char *name, const json_t *told, const json_t *reference) {
  golden expected = golden_from(name, reference), found = golden_from(name, told);
  const json_t *whole = json_object_get(reference, "of"), *shape = json_object_get(told, "shape");
  int64_t step = json_integer_value(json_object_get(reference, "step"));
  if (!json_equal(shape, whole ? whole : json_object_get(reference, "shape")))
    fail_msg("%s: another shape", name);
  step = step > 1 ? step : 1;
  assert_int_equal((found.n + step - 1) / step, expected.n);
  for (int64_t i = 0; i < expected.n; i++)
    found.data[i] = found.data[i * step];
  check_close(name, found.data, expected.data, expected.n, TOLERANCE);
  free(found.data);
  free(expected.data);
}

static void numbers(void **state) {
  (void)state;
  json_t *told = ask_command(), *reference = goldens_open("intro_seed0.json"), *entry;
  const char *name;
  assert_int_equal(json_object_size(reference), 60);
  assert_int_equal(json_object_size(told), 60);
  json_object_foreach(reference, name, entry) {
    if (!json_object_get(told, name)) fail_msg("limn intro gives no %s", name);
    check_tensor(name, json_object_get(told, name), entry);
  }
  json_decref(told);
  json_decref(reference);
}

/* ---- without memory -----------------------------------------------------------------------------
 */

extern const lesson lesson_0, lesson_1, lesson_2, lesson_3, lesson_4, lesson_5, lesson_6;

static void ignore_value(board *b, const lesson_value *v) {
  (void)v;
  ++*(int *)b->user;
}

static void ignore_text(board *b, int line, const char *text) {
  (void)b, (void)line, (void)text;
}

static limn_status ignore_picture(board *b, int line, const char *name, const char *says,
                                  const limn_figure *f) {
  (void)line, (void)name, (void)says, (void)f;
  ++*(int *)b->user;
  return LIMN_OK;
}

static void memory(void **state) {
  (void)state;
  static const lesson *const lessons[] = {&lesson_0, &lesson_1, &lesson_2, &lesson_3,
                                          &lesson_4, &lesson_5, &lesson_6};
  for (size_t i = 0; i < sizeof lessons / sizeof *lessons; i++) {
    limn_status status = LIMN_ERROR_MEMORY;
    for (int64_t k = 0; status != LIMN_OK; k++) {
      int n_shown = 0;
      board b = {.user = &n_shown,
                 .show = ignore_value,
                 .say = ignore_text,
                 .draw = k % 2 ? ignore_picture : NULL};
      fail_allocation(k);
      status = lessons[i]->teach(&b);
      assert_true(status == LIMN_OK || status == LIMN_ERROR_MEMORY);
      if (status != LIMN_OK) assert_int_equal(b.err.status, LIMN_ERROR_MEMORY);
      if (status == LIMN_OK) assert_true(n_shown > 0);
      assert_int_equal(allocations_live(), 0);
    }
  }
  fail_allocations_from(-1);
}

/* A picture that cannot be written ends the lesson, with its reason. */
static limn_status refuse_picture(board *b, int line, const char *name, const char *says,
                                  const limn_figure *f) {
  (void)line, (void)says, (void)f;
  return limn_error_set(&b->err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "no room for %s", name);
}

static void no_pictures(void **state) {
  (void)state;
  static const lesson *const lessons[] = {&lesson_1, &lesson_3, &lesson_4, &lesson_5};
  for (size_t i = 0; i < sizeof lessons / sizeof *lessons; i++) {
    int n_shown = 0;
    board b = {.user = &n_shown, .show = ignore_value, .say = ignore_text, .draw = refuse_picture};
    fail_allocations_from(-1);
    CHECK_FAILS(lessons[i]->teach(&b), LIMN_ERROR_IO, b.err, "no room for");
    assert_int_equal(allocations_live(), 0);
  }
}

/* ---- a file as HTML -----------------------------------------------------------------------------
 */

static void put_line_number(FILE *to, void *user, int line) {
  (void)user;
  fprintf(to, "[%d]", line);
}

static void html(void **state) {
  (void)state;
  static const struct {
    const char *source, *expected;
  } cases[] = {
      {"", "[0]"},
      {"x;\n", "<pre class=\"code\"><code>x;\n</code></pre>\n[1]"},
      {"x;", "<pre class=\"code\"><code>x;\n</code></pre>\n[1]"},
      {"/*\n * a.c - an idea <here>.\n *\n * And `co\n * de`.\n */\n",
       "<p class=\"lead\">An idea &lt;here&gt;.</p>\n<p>And <code>co\nde</code>.</p>\n[6]"},
      {"/*\n * One\n * two.\n *\n *   a = b\n *   c = d\n *\n * Surprise: it is.\n */\n",
       "<p>One\ntwo.</p>\n<pre class=\"formula\">  a = b\n  c = d</pre>\n"
       "<p class=\"surprise\"><b>Surprise.</b> It is.</p>\n[9]"},
      /* Outputs stand behind a function, not behind the braces inside it, or those of a string. */
      {"int f(void) {\n  if (1) {\n  }\n  \"}\";\n}\n\nint g;\n",
       "<pre class=\"code\"><code><span class=\"k\">int</span> f(<span class=\"k\">void</span>) {\n"
       "  <span class=\"k\">if</span> (<span class=\"n\">1</span>) {\n  }\n"
       "  <span class=\"s\">&quot;}&quot;</span>;\n}\n</code></pre>\n[5]"
       "<pre class=\"code\"><code><span class=\"k\">int</span> g;\n</code></pre>\n[7]"},
      /* A comment on a line of code stays there, over lines too. */
      {"int a; /* one {\n  two */ int b;\n",
       "<pre class=\"code\"><code><span class=\"k\">int</span> a; <span class=\"c\">/* one "
       "{</span>\n"
       "<span class=\"c\">  two */</span> <span class=\"k\">int</span> b;\n</code></pre>\n[2]"},
      /* Damaged ones end where they end. */
      {"/*\n * never closed", "<p>never closed</p>\n[2]"},
      {"char *s = \"never closed\\",
       "<pre class=\"code\"><code><span class=\"k\">char</span> *s = "
       "<span class=\"s\">&quot;never closed\\</span>\n</code></pre>\n[1]"},
      {"a - 1; /* x", "<pre class=\"code\"><code>a - <span class=\"n\">1</span>; "
                      "<span class=\"c\">/* x</span>\n</code></pre>\n[1]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *found = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&found, &n);
    intro_put_source(to, cases[i].source, put_line_number, NULL);
    fclose(to);
    assert_string_equal(found, cases[i].expected);
    free(found);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers),
      cmocka_unit_test(memory),
      cmocka_unit_test(no_pictures),
      cmocka_unit_test(html),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
