/*
 * JSON files: what is malformed, of the wrong kind or out of range is refused in words that name
 * file, key, found and wanted.
 */
#include "formats/json_file.h"

#include "check.h"

static json_t *parse(const char *text) {
  limn_error err;
  json_t *root;
  CHECK_OK(limn_json_parse("c.json", text, strlen(text), 0, &root, &err), err);
  return root;
}

static void refuses_what_is_not_json(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t n; /* 0 for all */
    const char *message;
    uint64_t offset; /* of where the parser stopped, 100 being that of the text */
  } bad[] = {
      {"", 0, "\"c.json\" is not valid JSON: line 1, column 0", 100},
      {"{\"a\":1,\n \"b\":}", 0, "line 2, column 6: unexpected token near '}'", 114},
      {"{\"a\":1,\"a\":2}", 0, "duplicate object key", 110},
      {"{\"a\":NaN}", 0, "invalid token near 'NaN'", 108},
      {"{\"a\":Infinity}", 0, "invalid token near 'Infinity'", 113},
      {"{\"a\":1e400}", 0, "real number overflow", 110},
      {"{\"a\":99999999999999999999}", 0, "too big integer", 125},
      {"{'a':1}", 0, "string or '}' expected", 102},
      {"{\"a\":1,}", 0, "string or '}' expected", 108},
      {"{\"a\":01}", 0, "invalid token near '0'", 106},
      {"{\"a\":\"\xff\"}", 0, "unable to decode byte 0xff", 106},
      {"{\"a\":\"\xc3\"}", 0, "unable to decode byte 0xc3", 106},
      {"{\"a\":\"\\ud800\"}", 0, "invalid Unicode", 113},
      {"{\"a\":\"\\u0000\"}", 0, "\\u0000 is not allowed", 113},
      {"{\"a\":\"b\0c\"}", 11, "control character 0x0", 107},
      {"{\"a\":1}\n{", 0, "end of file expected near '{'", 109},
      {"{\"a\":1}\0", 8, "end of file expected", 108},
      {"\xef\xbb\xbf{}", 0, "'[' or '{' expected", 103},
      {"3", 0, "'[' or '{' expected", 101},
      {"// comment\n{}", 0, "'[' or '{' expected", 101},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    limn_error err;
    json_t *root = (json_t *)&err;
    size_t n = bad[i].n ? bad[i].n : strlen(bad[i].text);
    CHECK_FAILS(limn_json_parse("c.json", bad[i].text, n, 100, &root, &err), LIMN_ERROR_FORMAT, err,
                bad[i].message);
    assert_null(root);
    assert_int_equal(err.offset, bad[i].offset);
  }
}

static void refuses_deep_nesting(void **state) {
  (void)state;
  static char text[100000];
  memset(text, '[', sizeof text);
  limn_error err;
  json_t *root;
  CHECK_FAILS(limn_json_parse("c.json", text, sizeof text, 0, &root, &err), LIMN_ERROR_FORMAT, err,
              "maximum parsing depth reached");
}

static void needs_values_of_their_kind(void **state) {
  (void)state;
  json_t *root =
      parse("{\"i\":7,\"r\":1.5,\"s\":\"x\",\"t\":true,\"f\":false,\"n\":null,\"a\":[1],\"o\":{}}");
  limn_error err;
  int64_t number;
  double real;
  bool flag;
  const char *text;
  const json_t *inner;
  CHECK_OK(limn_json_need_int(root, "c", "i", 0, 7, &number, &err), err);
  assert_int_equal(number, 7);
  CHECK_OK(limn_json_need_double(root, "c", "i", &real, &err), err);
  assert_true(real == 7);
  CHECK_OK(limn_json_need_double(root, "c", "r", &real, &err), err);
  assert_true(real == 1.5);
  CHECK_OK(limn_json_need_bool(root, "c", "t", &flag, &err), err);
  assert_true(flag);
  CHECK_OK(limn_json_need_string(root, "c", "s", &text, &err), err);
  assert_string_equal(text, "x");
  CHECK_OK(limn_json_need_array(root, "c", "a", &inner, &err), err);
  assert_int_equal(json_array_size(inner), 1);
  CHECK_OK(limn_json_need_object(root, "c", "o", &inner, &err), err);
  assert_string_equal(limn_json_kind(NULL), "nothing");
  assert_string_equal(limn_json_kind(json_object_get(root, "n")), "null");
  assert_true(limn_json_has(root, "i"));
  assert_false(limn_json_has(root, "n"));
  assert_false(limn_json_has(root, "absent"));

  CHECK_FAILS(limn_json_need_int(root, "c", "i", 8, 9, &number, &err), LIMN_ERROR_RANGE, err,
              "\"c\": key \"i\" is 7, expected 8 to 9");
  CHECK_FAILS(limn_json_need_int(root, "c", "s", 0, 9, &number, &err), LIMN_ERROR_FORMAT, err,
              "\"c\": key \"s\" is a string, expected an integer");
  CHECK_FAILS(limn_json_need_int(root, "c", "r", 0, 9, &number, &err), LIMN_ERROR_FORMAT, err,
              "key \"r\" is a number with a fraction, expected an integer");
  CHECK_FAILS(limn_json_need_int(root, "c", "n", 0, 9, &number, &err), LIMN_ERROR_NOT_FOUND, err,
              "\"c\": key \"n\" is null");
  CHECK_FAILS(limn_json_need_int(root, "c", "q", 0, 9, &number, &err), LIMN_ERROR_NOT_FOUND, err,
              "\"c\": key \"q\" is missing");
  CHECK_FAILS(limn_json_need_string(root, "c", "f", &text, &err), LIMN_ERROR_FORMAT, err,
              "key \"f\" is false, expected a string");
  CHECK_FAILS(limn_json_need_double(root, "c", "s", &real, &err), LIMN_ERROR_FORMAT, err,
              "key \"s\" is a string, expected a number");
  CHECK_FAILS(limn_json_need_bool(root, "c", "i", &flag, &err), LIMN_ERROR_FORMAT, err,
              "key \"i\" is an integer, expected true or false");
  CHECK_FAILS(limn_json_need_string(root, "c", "t", &text, &err), LIMN_ERROR_FORMAT, err,
              "key \"t\" is true, expected a string");
  assert_null(text);
  CHECK_FAILS(limn_json_need_array(root, "c", "o", &inner, &err), LIMN_ERROR_FORMAT, err,
              "key \"o\" is an object, expected an array");
  CHECK_FAILS(limn_json_need_object(root, "c", "a", &inner, &err), LIMN_ERROR_FORMAT, err,
              "key \"a\" is an array, expected an object");
  assert_null(inner);
  json_decref(root);
}

static void reads_files_under_a_limit(void **state) {
  (void)state;
  char folder[256], path[512];
  make_folder(folder);
  snprintf(path, sizeof path, "%s/c.json", folder);
  limn_error err;
  json_t *root;
  CHECK_OK(limn_file_write(path, "{\"a\":1}", 7, &err), err);
  CHECK_OK(limn_json_file_read(path, 7, &root, &err), err);
  json_decref(root);
  CHECK_FAILS(limn_json_file_read(path, 6, &root, &err), LIMN_ERROR_RANGE, err,
              "has 7 bytes, more than the 6 allowed");
  CHECK_OK(limn_file_write(path, "[1]", 3, &err), err);
  CHECK_FAILS(limn_json_file_read(path, 7, &root, &err), LIMN_ERROR_FORMAT, err,
              "holds an array, expected an object");
  assert_null(root);
  CHECK_FAILS(limn_json_file_read(folder, 7, &root, &err), LIMN_ERROR_IO, err, "directory");
  remove_folder(folder);
  CHECK_FAILS(limn_json_file_read(path, 7, &root, &err), LIMN_ERROR_NOT_FOUND, err, path);
}

/* Long strings and many keys make jansson's buffers and tables grow. */
static void survives_every_failed_allocation(void **state) {
  (void)state;
  static char text[4000];
  size_t n = (size_t)snprintf(text, sizeof text, "{\"long\":\"%0200d\"", 7);
  for (int i = 0; i < 40; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, ",\"key %d\":[%d,%d.5,{\"a\":null}]", i, i, i);
  n += (size_t)snprintf(text + n, sizeof text - n, "}");
  for (int64_t k = 0;; k++) {
    limn_error err;
    json_t *root;
    fail_allocation(k);
    limn_status status = limn_json_parse("c.json", text, n, 0, &root, &err);
    bool was_enough = allocations_asked() <= k;
    if (!was_enough) assert_int_equal(status, LIMN_ERROR_MEMORY);
    if (status == LIMN_OK) assert_int_equal(json_object_size(root), 41);
    json_decref(root);
    assert_int_equal(allocations_live(), 0);
    if (!was_enough) continue;
    assert_int_equal(status, LIMN_OK);
    assert_true(k > 100);
    break;
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_what_is_not_json),
      cmocka_unit_test(refuses_deep_nesting),
      cmocka_unit_test(needs_values_of_their_kind),
      cmocka_unit_test(reads_files_under_a_limit),
      cmocka_unit_test(survives_every_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
