/*
 * Mistral's tekken.json: a small one against the ids of their package mistral-common
 * (tests/data/tekken.json, made by tests/peers/check_tekken.py --golden), what is refused and how,
 * and running out of memory.
 */
#include "tokenizer/readers.h"
#include "tokenizer/tokenizer.h"

#include "folder.h"
#include "goldens.h"

static char path[512];
static json_t *all;

static int enter(void **state) {
  enter_folder(state);
  snprintf(path, sizeof path, "%s/tekken.json", folder);
  all = goldens_open("tekken.json");
  return 0;
}

static int leave(void **state) {
  json_decref(all);
  return leave_folder(state);
}

static void put(const json_t *file) {
  limn_error err;
  char *text = json_dumps(file, JSON_COMPACT);
  assert_non_null(text);
  CHECK_OK(limn_file_write(path, text, strlen(text), &err), err);
  limn_free(text); /* of jansson's allocator, which is limn's */
}

/* A copy of the file whose token of the byte 0 has its text, as published files do. */
static json_t *whole_file(void) {
  json_t *file = json_deep_copy(json_object_get(all, "file"));
  json_t *token = json_array_get(json_object_get(file, "vocab"), 0);
  json_object_set_new(token, "token_str", json_stringn("\0", 1));
  return file;
}

/* ---- against the package ------------------------------------------------------------------------
 */

static void check_ids(const limn_tokenizer *t, size_t i) {
  const char *text = json_string_value(json_array_get(json_object_get(all, "texts"), i));
  const json_t *ids = json_array_get(json_object_get(all, "ids"), i);
  limn_tokens tokens = {0};
  limn_error err;
  CHECK_OK(limn_tokenizer_encode(t, text, strlen(text), LIMN_SPECIAL_AS_TEXT, &tokens, &err), err);
  bool is_same = tokens.n == json_array_size(ids);
  for (size_t k = 0; k < tokens.n && is_same; k++)
    is_same = json_integer_value(json_array_get(ids, k)) == tokens.ids[k];
  if (!is_same) fail_msg("text %zu has other ids", i);
  limn_tokens_deinit(&tokens);
}

static void encodes_as_the_package(void **state) {
  (void)state;
  json_t *file = whole_file();
  size_t n = json_array_size(json_object_get(all, "texts"));
  const char *const places[] = {path, folder};
  put(file);
  assert_true(n > 40);
  for (int place = 0; place < 2; place++) {
    limn_tokenizer *t;
    limn_error err;
    CHECK_OK(limn_tokenizer_open(places[place], &t, &err), err);
    assert_int_equal(t->pattern, LIMN_PATTERN_TEKKEN);
    for (size_t i = 0; i < n; i++)
      check_ids(t, i);
    limn_tokenizer_close(t);
  }
  json_decref(file);
}

static void has_special(const limn_tokenizer *t, int32_t id, const char *text) {
  size_t n;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  assert_true(limn_tokenizer_is_special(t, id));
  assert_int_equal(n, strlen(text));
  assert_memory_equal(bytes, text, n);
}

/* Those of the file, and behind them <SPECIAL_n>; or the twenty that early files leave out. */
static void special_tokens_come_first(void **state) {
  (void)state;
  json_t *file = whole_file(), *config = json_object_get(file, "config");
  limn_tokenizer *t;
  limn_error err;
  put(file);
  CHECK_OK(limn_tokenizer_open(path, &t, &err), err);
  has_special(t, 0, "<unk>");
  has_special(t, 5, "[AVAILABLE_TOOLS]");
  has_special(t, 6, "<SPECIAL_6>");
  has_special(t, 11, "<SPECIAL_11>");
  assert_false(limn_tokenizer_is_special(t, 12));
  assert_int_equal(limn_tokenizer_eos(t), 2);
  limn_tokenizer_close(t);
  json_object_del(file, "special_tokens");
  json_object_set_new(config, "version", json_string("v7"));
  json_object_set_new(config, "default_num_special_tokens", json_integer(1000));
  json_object_set_new(config, "default_vocab_size", json_integer(1300));
  put(file);
  CHECK_OK(limn_tokenizer_open(path, &t, &err), err);
  has_special(t, 1, "<s>");
  has_special(t, 19, "[TOOL_CONTENT]");
  has_special(t, 20, "<SPECIAL_20>");
  has_special(t, 999, "<SPECIAL_999>");
  assert_int_equal(limn_tokenizer_vocab_size(t), 1300);
  limn_tokenizer_close(t);
  json_decref(file);
}

/* ---- what is refused ----------------------------------------------------------------------------
 */

/* Sets `key` of a part of the file to a value written as JSON; "-" takes the key away. */
static void change(json_t *file, const char *part, int i, const char *key, const char *value) {
  json_t *place = *part ? json_object_get(file, part) : file;
  if (json_is_array(place)) place = json_array_get(place, (size_t)i);
  if (strcmp(value, "-") == 0)
    json_object_del(place, key);
  else
    json_object_set_new(place, key, json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
}

static void refuses_bad_files(void **state) {
  (void)state;
  static const struct {
    const char *part;
    int i;
    const char *key, *value;
    limn_status status;
    const char *message;
  } cases[] = {
      {"config", 0, "version", "-", LIMN_ERROR_NOT_FOUND, "key \"version\" is missing"},
      {"config", 0, "version", "\"v99\"", LIMN_ERROR_UNSUPPORTED, "\"version\" is v99"},
      {"config", 0, "version", "\"v1\\u0000\"", LIMN_ERROR_UNSUPPORTED, "\"version\" is v1"},
      {"config", 0, "version", "3", LIMN_ERROR_FORMAT, "key \"version\" is an integer"},
      {"config", 0, "pattern", "-", LIMN_ERROR_NOT_FOUND, "key \"pattern\" is missing"},
      {"config", 0, "pattern", "\"\\\\w+\"", LIMN_ERROR_UNSUPPORTED, "\"pattern\" is \"\\w+\""},
      {"config", 0, "default_vocab_size", "-", LIMN_ERROR_NOT_FOUND, "\"default_vocab_size\""},
      {"config", 0, "default_vocab_size", "433", LIMN_ERROR_RANGE, "is 433, expected 268 to 432"},
      {"config", 0, "default_vocab_size", "267", LIMN_ERROR_RANGE, "is 267"},
      {"config", 0, "default_vocab_size", "1e9", LIMN_ERROR_FORMAT, "default_vocab_size"},
      {"config", 0, "default_num_special_tokens", "-1", LIMN_ERROR_RANGE, "is -1"},
      {"config", 0, "default_num_special_tokens", "99999999", LIMN_ERROR_RANGE, "is 99999999"},
      {"", 0, "special_tokens", "[0,1,2,3,4,5,6,7,8,9,10,11,12]", LIMN_ERROR_FORMAT,
       "there are 13 special tokens, expected at most the 12"},
      {"", 0, "special_tokens", "-", LIMN_ERROR_NOT_FOUND, "key \"special_tokens\" is missing"},
      {"", 0, "special_tokens", "{}", LIMN_ERROR_FORMAT, "\"special_tokens\" is an object"},
      {"", 0, "special_tokens", "[7]", LIMN_ERROR_FORMAT, "\"special_tokens\" 0 is not an object"},
      {"special_tokens", 3, "rank", "4", LIMN_ERROR_FORMAT,
       "\"special_tokens\" 3 has the rank 4, expected 3"},
      {"special_tokens", 3, "token_str", "\"\"", LIMN_ERROR_FORMAT,
       "\"special_tokens\" 3 is empty"},
      {"special_tokens", 3, "token_str", "null", LIMN_ERROR_NOT_FOUND, "\"token_str\" is null"},
      {"special_tokens", 3, "token_str", "\"<s>\"", LIMN_ERROR_FORMAT,
       "tokens 1 and 3 are the same bytes"},
      {"special_tokens", 3, "token_str", "\"<SPECIAL_9>\"", LIMN_ERROR_FORMAT,
       "tokens 3 and 9 are the same bytes"},
      {"", 0, "vocab", "-", LIMN_ERROR_NOT_FOUND, "key \"vocab\" is missing"},
      {"vocab", 300, "rank", "299", LIMN_ERROR_FORMAT,
       "\"vocab\" 300 has the rank 299, expected 300"},
      {"vocab", 300, "rank", "-", LIMN_ERROR_NOT_FOUND, "key \"rank\" is missing"},
      {"vocab", 300, "token_bytes", "-", LIMN_ERROR_NOT_FOUND, "\"token_bytes\" is missing"},
      {"vocab", 300, "token_bytes", "\"YQ\"", LIMN_ERROR_FORMAT,
       "\"vocab\" 300 has \"token_bytes\" that are not base64"},
      {"vocab", 300, "token_bytes", "\"\"", LIMN_ERROR_FORMAT, "\"vocab\" 300 has"},
      {"vocab", 300, "token_bytes", "\"YQ==\\u0000\"", LIMN_ERROR_FORMAT, "\"vocab\" 300 has"},
      {"vocab", 300, "token_bytes", "\"YQ==\"", LIMN_ERROR_FORMAT,
       "tokens 109 and 312 are the same bytes"},
      {"vocab", 97, "token_bytes", "\"Yg==\"", LIMN_ERROR_FORMAT,
       "\"vocab\" 97 is not the byte of that number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *file = whole_file();
    limn_tokenizer *t;
    limn_error err;
    change(file, cases[i].part, cases[i].i, cases[i].key, cases[i].value);
    put(file);
    CHECK_FAILS(limn_tokenizer_open(path, &t, &err), cases[i].status, err, cases[i].message);
    assert_null(t);
    json_decref(file);
  }
}

/* A NUL is allowed there and nowhere else: a tokenizer.json that has "token_bytes" is still one. */
static void other_files_have_no_nul(void **state) {
  (void)state;
  static const char text[] = "{\"model\":{\"vocab\":{\"a\":0,\"token_bytes\":1},\"merges\":[]},"
                             "\"x\":\"\\u0000\"}";
  limn_tokenizer *t;
  limn_error err;
  CHECK_OK(limn_file_write(path, text, sizeof text - 1, &err), err);
  CHECK_FAILS(limn_tokenizer_open(path, &t, &err), LIMN_ERROR_FORMAT, err, "not valid JSON");
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static void survives_every_failing_allocation(void **state) {
  (void)state;
  json_t *file = whole_file();
  json_object_set_new(json_object_get(file, "config"), "default_vocab_size", json_integer(275));
  json_t *vocab = json_object_get(file, "vocab");
  while (json_array_size(vocab) > 263)
    json_array_remove(vocab, 263);
  put(file);
  json_decref(file);
  for (int64_t k = 0;; k++) {
    limn_tokenizer *t;
    limn_error err;
    fail_allocation(k);
    limn_status status = limn_tokenizer_open(path, &t, &err);
    bool has_failed = k < allocations_asked();
    if (status == LIMN_OK) limn_tokenizer_close(t);
    int64_t live = allocations_live();
    fail_allocations_from(-1);
    assert_int_equal(live, 0);
    assert_int_equal(status, has_failed ? LIMN_ERROR_MEMORY : LIMN_OK);
    if (!has_failed) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(encodes_as_the_package),
      cmocka_unit_test(special_tokens_come_first),
      cmocka_unit_test(refuses_bad_files),
      cmocka_unit_test(other_files_have_no_nul),
      cmocka_unit_test(survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
