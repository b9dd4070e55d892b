/* What the JSON writer writes, jansson reads back, and the text is the one expected. */
#include "check.h"

#include <jansson.h>
#include <limn/io.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

typedef struct text {
  char *bytes;
  size_t n;
  size_t limit; /* the call that exceeds it fails; 0 for none */
  int n_calls;
} text;

static limn_status keep(void *user, const void *bytes, size_t n, limn_error *err) {
  text *t = user;
  t->n_calls++;
  if (t->limit && t->n + n > t->limit)
    return limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "no room");
  t->bytes = realloc(t->bytes, t->n + n + 1);
  memcpy(t->bytes + t->n, bytes, n);
  t->n += n;
  t->bytes[t->n] = '\0';
  return LIMN_OK;
}

/* One of everything, in a nest of objects and arrays. */
static void write_all(limn_json *j) {
  limn_json_begin_object(j);
  limn_json_key(j, "empty");
  limn_json_begin_object(j);
  limn_json_end_object(j);
  limn_json_key(j, "none");
  limn_json_begin_array(j);
  limn_json_end_array(j);
  limn_json_key(j, "values");
  limn_json_begin_array(j);
  limn_json_int(j, -5);
  limn_json_bool(j, true);
  limn_json_bool(j, false);
  limn_json_null(j);
  limn_json_cstring(j, NULL);
  limn_json_cstring(j, "text");
  limn_json_begin_inline_array(j);
  limn_json_float(j, 0.1f);
  limn_json_double(j, 0.1);
  limn_json_begin_array(j);
  limn_json_int(j, 1);
  limn_json_end_array(j);
  limn_json_end_array(j);
  limn_json_begin_inline_object(j);
  limn_json_key(j, "a");
  limn_json_int(j, 1);
  limn_json_key(j, "b");
  limn_json_int(j, 2);
  limn_json_end_object(j);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static char *written(void (*write)(limn_json *j), bool indent) {
  text t = {0};
  limn_json j;
  limn_error err;
  limn_json_init(&j, keep, &t, indent, &err);
  write(&j);
  CHECK_OK(limn_json_end(&j), err);
  return t.bytes;
}

static void compact(void **state) {
  (void)state;
  char *got = written(write_all, false);
  assert_string_equal(got, "{\"empty\":{},\"none\":[],\"values\":[-5,true,false,null,null,\"text\","
                           "[0.1,0.1,[1]],{\"a\":1,\"b\":2}]}\n");
  free(got);
}

static void indented(void **state) {
  (void)state;
  char *got = written(write_all, true);
  assert_string_equal(got, "{\n  \"empty\": {},\n  \"none\": [],\n  \"values\": [\n    -5,\n"
                           "    true,\n    false,\n    null,\n    null,\n    \"text\",\n"
                           "    [0.1, 0.1, [1]],\n    {\"a\": 1, \"b\": 2}\n  ]\n}\n");
  free(got);
}

static json_t *one_value(void (*put)(limn_json *j, const void *value), const void *value) {
  text t = {0};
  limn_json j;
  limn_error err;
  json_error_t why;
  limn_json_init(&j, keep, &t, false, &err);
  put(&j, value);
  CHECK_OK(limn_json_end(&j), err);
  json_t *read = json_loads(t.bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
  if (!read) fail_msg("%s: %s", t.bytes, why.text);
  free(t.bytes);
  return read;
}

typedef struct bytes {
  const char *at;
  size_t n;
} bytes;

static void put_bytes(limn_json *j, const void *value) {
  const bytes *b = value;
  limn_json_string(j, b->at, b->n);
}

static void strings(void **state) {
  (void)state;
#define REPLACEMENT "\xef\xbf\xbd"
  static const struct {
    bytes in, out;
  } cases[] = {
      {{"", 0}, {"", 0}},
      {{"\"\\/\b\f\n\r\t", 8}, {"\"\\/\b\f\n\r\t", 8}},
      {{"a\0b", 3}, {"a\0b", 3}},
      {{"\x01\x1f\x7f", 3}, {"\x01\x1f\x7f", 3}},
      {{"\xe2\x82\xac\xf0\x9f\x98\x80", 7}, {"\xe2\x82\xac\xf0\x9f\x98\x80", 7}},
      {{"a\xff"
        "b",
        3},
       {"a" REPLACEMENT "b", 5}},
      {{"\xed\xa0\x80", 3}, {REPLACEMENT REPLACEMENT REPLACEMENT, 9}},
      {{"\xe2\x82", 2}, {REPLACEMENT REPLACEMENT, 6}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *read = one_value(put_bytes, &cases[i].in);
    assert_int_equal(json_string_length(read), cases[i].out.n);
    assert_memory_equal(json_string_value(read), cases[i].out.at, cases[i].out.n);
    json_decref(read);
  }
}

static void put_controls(limn_json *j) {
  limn_json_string(j, "\x1b\x7f\n\x01", 4);
}

/* No control character reaches a terminal that shows the text. */
static void controls_are_escaped(void **state) {
  (void)state;
  char *got = written(put_controls, false);
  assert_string_equal(got, "\"\\u001b\\u007f\\n\\u0001\"\n");
  free(got);
}

/* Longer than the writer's buffer, and with an escape at every place of it. */
static void long_strings(void **state) {
  (void)state;
  enum { N = 9000 };
  char *in = malloc(N);
  for (size_t shift = 0; shift < 8; shift++) {
    for (size_t i = 0; i < N; i++)
      in[i] = (i + shift) % 8 == 0 ? '\x01' : 'x';
    bytes b = {in, N};
    json_t *read = one_value(put_bytes, &b);
    assert_int_equal(json_string_length(read), N);
    assert_memory_equal(json_string_value(read), in, N);
    json_decref(read);
  }
  free(in);
}

static void put_double(limn_json *j, const void *value) {
  limn_json_double(j, *(const double *)value);
}

static void numbers_read_back(void **state) {
  (void)state;
  static const double values[] = {0,     -0.0,    1,      -1.5,       0.1,
                                  1e300, 5e-324,  1e-7,   123456789., 1.7976931348623157e308,
                                  1e15,  -2.5e-9, 1.0 / 3};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    json_t *read = one_value(put_double, &values[i]);
    double x = json_number_value(read);
    assert_memory_equal(&x, &values[i], sizeof x);
    json_decref(read);
  }
  static const struct {
    double x;
    const char *text;
  } words[] = {{INFINITY, "inf"}, {-INFINITY, "-inf"}, {NAN, "nan"}, {-NAN, "nan"}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    json_t *read = one_value(put_double, &words[i].x);
    assert_string_equal(json_string_value(read), words[i].text);
    json_decref(read);
  }
}

static void put_int(limn_json *j, const void *value) {
  limn_json_int(j, *(const int64_t *)value);
}

static void integers(void **state) {
  (void)state;
  static const int64_t values[] = {0, 1, -1, 9, 10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    json_t *read = one_value(put_int, &values[i]);
    assert_true(json_integer_value(read) == values[i]);
    json_decref(read);
  }
}

static void nest(limn_json *j, int depth) {
  for (int i = 0; i < depth; i++)
    limn_json_begin_array(j);
  for (int i = 0; i < depth; i++)
    limn_json_end_array(j);
}

static void depth_is_limited(void **state) {
  (void)state;
  limn_json j;
  limn_error err;
  text t = {0};
  limn_json_init(&j, keep, &t, true, &err);
  nest(&j, LIMN_JSON_MAX_DEPTH - 1);
  CHECK_OK(limn_json_end(&j), err);
  limn_json_init(&j, keep, &t, true, &err);
  nest(&j, LIMN_JSON_MAX_DEPTH);
  CHECK_FAILS(limn_json_end(&j), LIMN_ERROR_RANGE, err, "deeper than 31 levels");
  limn_json_init(&j, keep, &t, false, NULL);
  nest(&j, 1000);
  assert_int_equal(limn_json_end(&j), LIMN_ERROR_RANGE);
  free(t.bytes);
}

/* After the first failure nothing more is handed over, and the end tells it. */
static void failure_stays(void **state) {
  (void)state;
  limn_json j;
  limn_error err;
  text t = {.limit = 5000};
  limn_json_init(&j, keep, &t, false, &err);
  limn_json_begin_array(&j);
  for (int i = 0; i < 10000; i++)
    limn_json_int(&j, i);
  limn_json_end_array(&j);
  CHECK_FAILS(limn_json_end(&j), LIMN_ERROR_IO, err, "no room");
  assert_int_equal(t.n_calls, 2);
  assert_true(t.n <= t.limit);
  free(t.bytes);
}

static void any_locale(void **state) {
  (void)state;
  if (!setlocale(LC_ALL, "de_DE.UTF-8")) skip();
  char *got = written(write_all, false);
  assert_non_null(strstr(got, "[0.1,0.1,[1]]"));
  free(got);
  setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(compact),       cmocka_unit_test(indented),
      cmocka_unit_test(strings),       cmocka_unit_test(controls_are_escaped),
      cmocka_unit_test(long_strings),  cmocka_unit_test(numbers_read_back),
      cmocka_unit_test(integers),      cmocka_unit_test(depth_is_limited),
      cmocka_unit_test(failure_stays), cmocka_unit_test(any_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
