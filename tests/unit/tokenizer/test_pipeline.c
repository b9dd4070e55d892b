/*
 * The parts of the long way from text to ids: regular expressions against Oniguruma's matches,
 * normal forms against the Unicode Character Database (both in tests/data/tokenizers.json, made by
 * tools/make_tokenizer_cases.py), added tokens, and the metadata of GGUF files.
 */
#include "formats/gguf.h"
#include "tokenizer/added.h"
#include "tokenizer/normal.h"
#include "tokenizer/regex.h"

#include "check.h"
#include "goldens.h"

static json_t *all;

static int open_data(void **state) {
  (void)state;
  all = goldens_open("tokenizers.json");
  return 0;
}

static int close_data(void **state) {
  (void)state;
  json_decref(all);
  return 0;
}

/* ---- expressions --------------------------------------------------------------------------------
 */

/* The ends of matches and of what lies between them, in order. */
static size_t find_ends(const limn_regex *regex, const char *text, size_t n, size_t *ends) {
  limn_regex_space space = {0};
  limn_search search = {0};
  limn_error err;
  size_t start, end, done = 0, n_ends = 0;
  bool found = true;
  CHECK_OK(limn_search_start(&search, regex, (const unsigned char *)text, n, &err), err);
  for (;;) {
    CHECK_OK(limn_search_next(&search, &space, &found, &start, &end, &err), err);
    if (!found) break;
    if (start > done) ends[n_ends++] = start;
    if (end > start) ends[n_ends++] = end;
    done = end;
  }
  if (done < n) ends[n_ends++] = n;
  limn_search_deinit(&search);
  limn_regex_space_deinit(&space);
  return n_ends;
}

static void matches_as_oniguruma(void **state) {
  (void)state;
  const json_t *regexes = json_object_get(all, "regexes"),
               *texts = json_object_get(all, "regex_texts");
  assert_true(json_array_size(regexes) > 20);
  for (size_t i = 0; i < json_array_size(regexes); i++) {
    const json_t *entry = json_array_get(regexes, i);
    const char *pattern = json_string_value(json_object_get(entry, "pattern"));
    limn_regex *regex;
    limn_error err;
    CHECK_OK(limn_regex_open("test", pattern, strlen(pattern), false, &regex, &err), err);
    for (size_t k = 0; k < json_array_size(texts); k++) {
      const char *text = json_string_value(json_array_get(texts, k));
      const json_t *wanted = json_array_get(json_object_get(entry, "ends"), k);
      size_t ends[512], n = find_ends(regex, text, strlen(text), ends);
      bool is_same = n == json_array_size(wanted);
      for (size_t e = 0; e < n && is_same; e++)
        is_same = (json_int_t)ends[e] == json_integer_value(json_array_get(wanted, e));
      if (!is_same) fail_msg("%s: text %zu has other matches", pattern, k);
    }
    limn_regex_close(regex);
  }
}

static void a_bad_byte_is_a_symbol(void **state) {
  (void)state;
  static const char text[] = "a\xff\xfe b\xe4\xb8";
  static const char pattern[] = "\\p{L}+|\\s|\\p{So}";
  limn_regex *regex;
  limn_error err;
  size_t ends[16];
  CHECK_OK(limn_regex_open("test", pattern, strlen(pattern), false, &regex, &err), err);
  assert_int_equal(find_ends(regex, text, strlen(text), ends), 7);
  for (size_t i = 0; i < 7; i++)
    assert_int_equal(ends[i], i + 1);
  limn_regex_close(regex);
}

/* An expression with a number of ways that doubles with each letter ends with a message. */
static void endless_expressions_end(void **state) {
  (void)state;
  static const char pattern[] = "(?:a|a)*(?:a|a)*(?:aa|a)*c(?<=b.)";
  char text[3000];
  limn_regex *regex;
  limn_regex_space space = {0};
  limn_search search = {0};
  limn_error err;
  bool found;
  size_t start, end;
  memset(text, 'a', sizeof text);
  CHECK_OK(limn_regex_open("test", pattern, strlen(pattern), false, &regex, &err), err);
  CHECK_OK(limn_search_start(&search, regex, (const unsigned char *)text, sizeof text, &err), err);
  limn_status status = limn_search_next(&search, &space, &found, &start, &end, &err);
  assert_true(status == LIMN_ERROR_RANGE || (status == LIMN_OK && !found));
  limn_search_deinit(&search);
  limn_regex_space_deinit(&space);
  limn_regex_close(regex);
}

/* ---- normal forms ------------------------------------------------------------------------------
 */

static const char *string_at(const json_t *list, size_t i) {
  return json_string_value(json_array_get(list, i));
}

static void check_changed(limn_mapped *out, const char *wanted, limn_view v, const char *what,
                          size_t i) {
  if (out->n != strlen(wanted) || (out->n > 0 && memcmp(out->text, wanted, out->n) != 0))
    fail_msg("%s of text %zu is another", what, i);
  for (size_t k = 0; k < out->n; k++) {
    assert_true(out->map[k] >= v.base && out->map[k] < v.base + v.n);
    if (k > 0) assert_true(out->map[k - 1] <= out->map[k]);
  }
  limn_mapped_deinit(out);
}

/* Each text, and then its NFC, NFD, NFKC, NFKD, lower case, and itself without marks. */
static void changes_as_unicode(void **state) {
  (void)state;
  static const char *const names[] = {"NFC", "NFD", "NFKC", "NFKD"};
  const json_t *rows = json_object_get(all, "normal");
  limn_normal normal = {0};
  assert_true(json_array_size(rows) > 500);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    const char *text = string_at(row, 0);
    limn_view v = {(const unsigned char *)text, strlen(text), NULL, 10};
    limn_mapped out = {0};
    for (size_t form = 0; form < 4; form++) {
      const char *wanted = string_at(row, 1 + form);
      assert_true(limn_form_append(&normal, (limn_form)form, v, &out));
      check_changed(&out, wanted, v, names[form], i);
      if (limn_form_holds((limn_form)form, v.text, v.n)) assert_string_equal(text, wanted);
    }
    assert_true(limn_lower_append(v, &out));
    check_changed(&out, string_at(row, 5), v, "lower case", i);
    assert_true(limn_without_marks_append(v, &out));
    check_changed(&out, string_at(row, 6), v, "what is without marks", i);
  }
  limn_normal_deinit(&normal);
}

/* What stands before a boundary and behind it may be changed alone: at every length of a text. */
static void boundaries_divide(void **state) {
  (void)state;
  const json_t *rows = json_object_get(all, "normal");
  limn_normal normal = {0};
  limn_mapped out = {0};
  size_t n_inside = 0;
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const char *text = string_at(json_array_get(rows, i), 0);
    size_t n = strlen(text);
    for (size_t form = 0; form < 4; form++) {
      const char *wanted = string_at(json_array_get(rows, i), 1 + form);
      for (size_t open = 0; open <= n; open++) {
        size_t at = limn_form_boundary((const unsigned char *)text, open);
        assert_true(at <= open);
        n_inside += at > 0;
        out.n = 0;
        limn_view v = {(const unsigned char *)text, n, NULL, 0};
        assert_true(limn_form_append(&normal, (limn_form)form, limn_view_part(v, 0, at), &out));
        assert_true(limn_form_append(&normal, (limn_form)form, limn_view_part(v, at, n), &out));
        assert_int_equal(out.n, strlen(wanted));
        assert_memory_equal(out.text, wanted, out.n);
      }
    }
  }
  assert_true(n_inside > 1000);
  limn_mapped_deinit(&out);
  limn_normal_deinit(&normal);
}

static void most_texts_hold(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool holds[4];
  } cases[] = {
      {"", {true, true, true, true}},
      {"plain", {true, true, true, true}},
      {"na\xc3\xafve \xe4\xb8\xad", {true, false, true, false}},
      {"\xed\x95\x9c", {true, false, true, false}},  /* a syllable of Hangul */
      {"\xef\xbc\xa1", {true, false, false, false}}, /* a wide A; NFD has it, but not for certain */
      {"e\xcc\x81", {false, false, false, false}},
      {"\xff\xc3", {true, true, true, true}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (size_t form = 0; form < 4; form++)
      assert_int_equal(limn_form_holds((limn_form)form, (const unsigned char *)cases[i].text,
                                       strlen(cases[i].text)),
                       cases[i].holds[form]);
  }
}

static void many_marks_take_no_square(void **state) {
  (void)state;
  enum { N = 200000 };
  unsigned char *text = limn_alloc(2 * N);
  limn_normal normal = {0};
  limn_mapped out = {0};
  for (size_t i = 0; i < N; i++) /* U+0301 and U+0327, which change places */
    memcpy(text + 2 * i, i % 2 ? "\xcc\xa7" : "\xcc\x81", 2);
  assert_true(limn_form_append(&normal, LIMN_NFC, (limn_view){text, 2 * N, NULL, 0}, &out));
  assert_int_equal(out.n, 2 * N);
  assert_memory_equal(out.text, "\xcc\xa7\xcc\xa7", 4);
  assert_memory_equal(out.text + out.n - 4, "\xcc\x81\xcc\x81", 4);
  limn_mapped_deinit(&out);
  limn_normal_deinit(&normal);
  limn_free(text);
}

/* ---- added tokens -------------------------------------------------------------------------------
 */

static void finds_the_longest_token(void **state) {
  (void)state;
  static const char *const texts[] = {"<", "<s>", "<s", "<s>x", "ab", "\xc3\xa9", "a"};
  limn_added_set set = {0};
  for (int i = 0; i < 7; i++)
    assert_true(
        limn_added_add(&set, (limn_added){.text = texts[i], .n = strlen(texts[i]), .id = i}));
  limn_added_sort(&set);
  assert_int_equal(set.longest, 4);
  static const struct {
    const char *text;
    int id;
  } cases[] = {{"<s>xy", 3}, {"<s>", 1}, {"<s ", 2}, {"<<", 0},       {"abc", 4},
               {"a", 6},     {"b", -1},  {"", -1},   {"\xc3\xa9", 5}, {"\xc3", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const limn_added *found =
        limn_added_longest(&set, (const unsigned char *)cases[i].text, strlen(cases[i].text));
    assert_int_equal(found ? found->id : -1, cases[i].id);
  }
  limn_added_deinit(&set);
}

/* ---- GGUF ---------------------------------------------------------------------------------------
 */

typedef struct gguf_text {
  unsigned char bytes[512];
  size_t n;
} gguf_text;

static void put_number(gguf_text *g, uint64_t x, size_t n) {
  for (size_t i = 0; i < n; i++)
    g->bytes[g->n++] = (unsigned char)(x >> (8 * i));
}

static void put_string(gguf_text *g, const char *text) {
  put_number(g, strlen(text), 8);
  memcpy(g->bytes + g->n, text, strlen(text));
  g->n += strlen(text);
}

static gguf_text start_gguf(uint32_t version, uint64_t n_tensors, uint64_t n_keys) {
  gguf_text g = {.n = 4};
  memcpy(g.bytes, "GGUF", 4);
  put_number(&g, version, 4);
  put_number(&g, n_tensors, 8);
  put_number(&g, n_keys, 8);
  return g;
}

static void reads_metadata(void **state) {
  (void)state;
  gguf_text g = start_gguf(3, 7, 3);
  put_string(&g, "name");
  put_number(&g, LIMN_GGUF_STRING, 4);
  put_string(&g, "tiny");
  put_string(&g, "count");
  put_number(&g, LIMN_GGUF_I16, 4);
  put_number(&g, 0xfffe, 2);
  put_string(&g, "list");
  put_number(&g, LIMN_GGUF_ARRAY, 4);
  put_number(&g, LIMN_GGUF_STRING, 4);
  put_number(&g, 2, 8);
  put_string(&g, "a");
  put_string(&g, "");
  limn_gguf file;
  limn_error err;
  const char *text;
  const limn_gguf_value *list;
  size_t n;
  int64_t number;
  bool flag;
  CHECK_OK(limn_gguf_init(&file, "file", g.bytes, g.n, &err), err);
  assert_int_equal(file.n_tensors, 7);
  assert_int_equal(file.tensors_at, g.n);
  CHECK_OK(limn_gguf_need_string(&file, "name", &text, &n, &err), err);
  assert_int_equal(n, 4);
  assert_memory_equal(text, "tiny", 4);
  CHECK_OK(limn_gguf_need_int(&file, "count", -5, 5, &number, &err), err);
  assert_int_equal(number, -2);
  CHECK_OK(limn_gguf_need_array(&file, "list", LIMN_GGUF_STRING, 2, &list, &err), err);
  limn_reader r = limn_gguf_reader(list);
  assert_memory_equal(limn_gguf_next_string(&r, &n), "a", 1);
  assert_non_null(limn_gguf_next_string(&r, &n));
  assert_int_equal(n, 0);
  assert_null(limn_gguf_next_string(&r, &n));
  CHECK_FAILS(limn_gguf_need_int(&file, "count", 0, 5, &number, &err), LIMN_ERROR_RANGE, err,
              "key \"count\" is -2, expected 0 to 5");
  CHECK_FAILS(limn_gguf_need_bool(&file, "name", &flag, &err), LIMN_ERROR_FORMAT, err,
              "key \"name\" is string, expected bool");
  CHECK_FAILS(limn_gguf_need_array(&file, "list", LIMN_GGUF_F32, 2, &list, &err), LIMN_ERROR_FORMAT,
              err, "is an array of string, expected an array of float32");
  CHECK_FAILS(limn_gguf_need_array(&file, "list", LIMN_GGUF_STRING, 3, &list, &err),
              LIMN_ERROR_FORMAT, err, "has 2 items, expected 3");
  CHECK_FAILS(limn_gguf_need_bool(&file, "none", &flag, &err), LIMN_ERROR_NOT_FOUND, err,
              "key \"none\" is missing");
  limn_gguf_deinit(&file);
  for (size_t i = 0; i < g.n; i++) /* cut anywhere */
    assert_int_equal(limn_gguf_init(&file, "file", g.bytes, i, &err), LIMN_ERROR_FORMAT);
}

static void refuses_bad_metadata(void **state) {
  (void)state;
  limn_gguf file;
  limn_error err;
  static const struct {
    uint32_t version, type, item;
    uint64_t count;
    limn_status status;
    const char *part;
    size_t offset;
  } cases[] = {
      {1, 0, 0, 0, LIMN_ERROR_UNSUPPORTED, "is GGUF of version 1, expected 2 or 3", 4},
      {3u << 24, 0, 0, 0, LIMN_ERROR_UNSUPPORTED, "(big-endian)", 4},
      {3, 13, 0, 0, LIMN_ERROR_FORMAT, "key \"key\" has the type 13, expected 0 to 12", 35},
      {3, LIMN_GGUF_ARRAY, 99, 0, LIMN_ERROR_FORMAT, "key \"key\" has the type 99", 39},
      {3, LIMN_GGUF_ARRAY, LIMN_GGUF_ARRAY, 1, LIMN_ERROR_UNSUPPORTED, "an array of arrays", 39},
      {3, LIMN_GGUF_ARRAY, LIMN_GGUF_U64, UINT64_MAX / 8 + 2, LIMN_ERROR_FORMAT,
       "ends inside an array", 51},
      {3, LIMN_GGUF_ARRAY, LIMN_GGUF_U8, UINT64_MAX, LIMN_ERROR_FORMAT, "ends inside an array", 51},
      {3, LIMN_GGUF_ARRAY, LIMN_GGUF_STRING, UINT64_MAX, LIMN_ERROR_FORMAT,
       "ends inside an array of strings", 51},
      {3, LIMN_GGUF_STRING, 0xffffffff, UINT64_MAX, LIMN_ERROR_FORMAT, "ends inside", 47},
      {3, LIMN_GGUF_BOOL, 2, 0, LIMN_ERROR_FORMAT, "has the bool 2, expected 0 or 1", 39},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gguf_text g = start_gguf(cases[i].version, 0, 1);
    put_string(&g, "key");
    put_number(&g, cases[i].type, 4);
    put_number(&g, cases[i].item, 4);
    put_number(&g, cases[i].count, 8);
    CHECK_FAILS(limn_gguf_init(&file, "file", g.bytes, g.n, &err), cases[i].status, err,
                cases[i].part);
    assert_int_equal(err.offset, cases[i].offset);
  }
  gguf_text g = start_gguf(3, 0, UINT64_MAX);
  CHECK_FAILS(limn_gguf_init(&file, "file", g.bytes, g.n, &err), LIMN_ERROR_RANGE, err,
              "more than the 65536 allowed");
  g = start_gguf(3, 0, 2);
  for (int i = 0; i < 2; i++) {
    put_string(&g, "same");
    put_number(&g, LIMN_GGUF_U8, 4);
    put_number(&g, 1, 1);
  }
  CHECK_FAILS(limn_gguf_init(&file, "file", g.bytes, g.n, &err), LIMN_ERROR_FORMAT, err,
              "key \"same\" is there twice");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_as_oniguruma),
      cmocka_unit_test(a_bad_byte_is_a_symbol),
      cmocka_unit_test(endless_expressions_end),
      cmocka_unit_test(changes_as_unicode),
      cmocka_unit_test(boundaries_divide),
      cmocka_unit_test(most_texts_hold),
      cmocka_unit_test(many_marks_take_no_square),
      cmocka_unit_test(finds_the_longest_token),
      cmocka_unit_test(reads_metadata),
      cmocka_unit_test(refuses_bad_metadata),
  };
  return cmocka_run_group_tests(tests, open_data, close_data);
}
