/*
 * Files of tokenizers: small ones of every kind against the ids of Hugging Face's library
 * (tools/make_tokenizer_cases.py), files that are refused and how, and running out of memory.
 */
#include "tokenizer/readers.h"
#include "tokenizer/tokenizer.h"

#include "folder.h"
#include "goldens.h"

static char path[512];

static int enter(void **state) {
  enter_folder(state);
  snprintf(path, sizeof path, "%s/tokenizer", folder);
  return 0;
}

static void put(const void *bytes, size_t n) {
  limn_error err;
  CHECK_OK(limn_file_write(path, bytes, n, &err), err);
}

/* ---- tokenizer.json against the library ---------------------------------------------------------
 */

static void put_case(const json_t *all, const json_t *test) {
  const char *name =
      json_string_value(json_object_get(json_object_get(test, "tokenizer"), "model"));
  json_t *whole = json_copy(json_object_get(test, "tokenizer"));
  json_t *model = json_copy(json_object_get(json_object_get(all, "models"), name));
  json_object_update(model, json_object_get(test, "changes"));
  json_object_set_new(whole, "model", model);
  json_t *added = json_copy(json_object_get(json_object_get(all, "added"), name));
  json_array_extend(added, json_object_get(whole, "added_tokens"));
  json_object_set_new(whole, "added_tokens", added);
  char *text = json_dumps(whole, JSON_COMPACT);
  put(text, strlen(text));
  limn_free(text); /* of jansson's allocator, which is limn's */
  json_decref(whole);
}

static bool is_same(const json_t *numbers, const limn_tokens *tokens, bool is_starts,
                    const char *text) {
  if (json_array_size(numbers) != tokens->n) return false;
  for (size_t i = 0; i < tokens->n; i++) {
    size_t start = tokens->offsets[i];
    while (is_starts && start < tokens->offsets[tokens->n] && (text[start] & 0xc0) == 0x80)
      start--;
    int64_t ours = is_starts ? (int64_t)start : tokens->ids[i];
    if (json_integer_value(json_array_get(numbers, i)) != ours) return false;
  }
  return true;
}

/* The text in chunks of `step` bytes, behind a first one of `first`, gives the same. */
static void check_stream(const char *name, limn_encode_stream *s, const char *text, size_t n,
                         size_t first, size_t step, const limn_tokens *whole) {
  limn_tokens parts = {0};
  limn_error err;
  for (size_t at = 0, size = first; at < n; at += size, size = step) {
    if (size > n - at) size = n - at;
    CHECK_OK(limn_encode_stream_push(s, text + at, size, &parts, &err), err);
  }
  CHECK_OK(limn_encode_stream_finish(s, &parts, &err), err);
  if (parts.n != whole->n || memcmp(parts.ids, whole->ids, parts.n * sizeof *parts.ids) != 0)
    fail_msg("%s: other ids in chunks of %zu and %zu bytes: %s", name, first, step, text);
  if (memcmp(parts.offsets, whole->offsets, (parts.n + 1) * sizeof *parts.offsets) != 0)
    fail_msg("%s: other places in chunks of %zu and %zu bytes: %s", name, first, step, text);
  limn_tokens_deinit(&parts);
}

/* Cut in two at every place, and in chunks of every size up to 12. */
static void check_chunks(const char *name, const limn_tokenizer *t, const char *text,
                         limn_special special, const limn_tokens *whole) {
  size_t n = strlen(text);
  limn_encode_stream *s;
  limn_error err;
  CHECK_OK(limn_encode_stream_new(t, 0, special, &s, &err), err);
  for (size_t first = 0; first <= n; first++)
    check_stream(name, s, text, n, first, n, whole);
  for (size_t step = 1; step <= 12; step++)
    check_stream(name, s, text, n, step, step, whole);
  limn_encode_stream_free(s);
}

static void check_case(const json_t *texts, const json_t *test, const limn_tokenizer *t) {
  const char *name = json_string_value(json_object_get(test, "name"));
  const json_t *starts = json_object_get(test, "starts");
  size_t n_texts = json_array_size(texts);
  for (size_t i = 0; i < json_array_size(json_object_get(test, "ids")); i++) {
    const char *text = json_string_value(json_array_get(texts, i % n_texts));
    limn_tokens tokens = {0};
    limn_error err;
    CHECK_OK(limn_tokenizer_encode(t, text, strlen(text),
                                   i < n_texts ? LIMN_SPECIAL_AS_TEXT : LIMN_SPECIAL_ALLOW, &tokens,
                                   &err),
             err);
    if (!is_same(json_array_get(json_object_get(test, "ids"), i), &tokens, false, text))
      fail_msg("%s: text %zu has other ids", name, i);
    if (starts && !is_same(json_array_get(starts, i), &tokens, true, text))
      fail_msg("%s: text %zu has other places", name, i);
    check_chunks(name, t, text, i < n_texts ? LIMN_SPECIAL_AS_TEXT : LIMN_SPECIAL_ALLOW, &tokens);
    limn_tokens_deinit(&tokens);
  }
}

static void encodes_as_the_library(void **state) {
  (void)state;
  json_t *all = goldens_open("tokenizers.json");
  const json_t *cases = json_object_get(all, "cases");
  assert_true(json_array_size(cases) > 90);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *test = json_array_get(cases, i);
    limn_tokenizer *t;
    limn_error err;
    put_case(all, test);
    if (limn_tokenizer_open(path, &t, &err) != LIMN_OK)
      fail_msg("%s: %s", json_string_value(json_object_get(test, "name")), err.text);
    check_case(json_object_get(all, "texts"), test, t);
    limn_tokenizer_close(t);
  }
  json_decref(all);
}

/* ---- streams ------------------------------------------------------------------------------------
 */

/* What may begin an added token is held back from inside the first character: all of it waits, or
   nobody sees that the text begins with the mark. */
static void the_first_character_waits_whole(void **state) {
  (void)state;
  static const char file[] = "{\"added_tokens\": [{\"id\": 1, \"content\": \"s>\"}],"
                             " \"pre_tokenizer\": {\"type\": \"Metaspace\","
                             " \"replacement\": \"\xe2\x96\x81\"},"
                             " \"model\": {\"unk_token\": \"<unk>\","
                             " \"vocab\": {\"<unk>\": 5}, \"merges\": []}}";
  static const char *const texts[] = {"▁a", "s>▁▁ s>", "▁"};
  limn_tokenizer *t;
  limn_error err;
  put(file, sizeof file - 1);
  CHECK_OK(limn_tokenizer_open(path, &t, &err), err);
  for (size_t i = 0; i < 3; i++) {
    limn_tokens whole = {0};
    CHECK_OK(
        limn_tokenizer_encode(t, texts[i], strlen(texts[i]), LIMN_SPECIAL_AS_TEXT, &whole, &err),
        err);
    check_chunks("metaspace", t, texts[i], LIMN_SPECIAL_AS_TEXT, &whole);
    limn_tokens_deinit(&whole);
  }
  limn_tokenizer_close(t);
}

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names; names++) {
    if (strcmp(name, *names) == 0) return true;
  }
  return false;
}

/* How many of a long text's tokens come before its end, in chunks of 7 bytes; of all. */
static size_t count_early(const limn_tokenizer *t, const char *text, size_t *all_tokens) {
  limn_tokens out = {0};
  limn_encode_stream *s;
  limn_error err;
  size_t n = strlen(text), n_early = 0;
  CHECK_OK(limn_encode_stream_new(t, 0, LIMN_SPECIAL_AS_TEXT, &s, &err), err);
  for (int i = 0; i < 20; i++) {
    for (size_t at = 0; at < n; at += 7)
      CHECK_OK(limn_encode_stream_push(s, text + at, n - at < 7 ? n - at : 7, &out, &err), err);
  }
  n_early = out.n;
  CHECK_OK(limn_encode_stream_finish(s, &out, &err), err);
  *all_tokens = out.n;
  limn_encode_stream_free(s);
  limn_tokens_deinit(&out);
  return n_early;
}

/* Tokenizers of which nothing is settled before the end, by their names in the data; all others
 * give nearly all of their tokens early. */
static void tokens_come_early(void **state) {
  (void)state;
  static const char *const held[] = {"bytes none", "spaces none", "spaces prefix-whole",
                                     "bytes replace gpt2", NULL};
  static const char *const early[] = {"bytes nfc gpt2",
                                      "bytes nfc llama3",
                                      "bytes bare gpt2",
                                      "bytes NFKC gpt2",
                                      "bytes nfc prefix",
                                      "spaces tiktoken",
                                      "spaces han",
                                      "spaces split-MergedWithPrevious",
                                      "spaces punctuation-Contiguous",
                                      "spaces digits-prefix",
                                      "spaces visible-then-split",
                                      "few gpt2",
                                      "few digits-prefix",
                                      "pieces",
                                      "pieces metaspace always True",
                                      "pieces metaspace first False",
                                      "chars metaspace never True",
                                      NULL};
  json_t *all = goldens_open("tokenizers.json");
  const json_t *cases = json_object_get(all, "cases");
  const char *text = json_string_value(json_array_get(json_object_get(all, "texts"), 0));
  size_t n_early = 0;
  for (size_t i = 0; i < json_array_size(cases); i++) {
    const json_t *test = json_array_get(cases, i);
    const char *name = json_string_value(json_object_get(test, "name"));
    limn_tokenizer *t;
    limn_error err;
    size_t n;
    if (!is_one_of(name, held) && !is_one_of(name, early)) continue;
    put_case(all, test);
    CHECK_OK(limn_tokenizer_open(path, &t, &err), err);
    size_t found = count_early(t, text, &n);
    if (is_one_of(name, held) ? found > 0 : found < n - n / 20)
      fail_msg("%s: %zu of %zu tokens come before the end", name, found, n);
    n_early += is_one_of(name, early);
    limn_tokenizer_close(t);
  }
  assert_int_equal(n_early, sizeof early / sizeof *early - 1);
  json_decref(all);
}

/* A tokenizer that cuts by an expression, with one of the five behaviors. */
static void put_expression(const json_t *all, const char *pattern, const char *behavior,
                           bool is_inverted) {
  json_t *whole = json_pack(
      "{s:O, s:O, s:{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b}]}}", "model",
      json_object_get(json_object_get(all, "models"), "bytes"), "added_tokens",
      json_object_get(json_object_get(all, "added"), "bytes"), "pre_tokenizer", "type", "Sequence",
      "pretokenizers", "type", "Split", "pattern", "Regex", pattern, "behavior", behavior, "invert",
      is_inverted, "type", "ByteLevel", "add_prefix_space", false, "use_regex", false);
  assert_non_null(whole);
  char *text = json_dumps(whole, JSON_COMPACT);
  put(text, strlen(text));
  limn_free(text);
  json_decref(whole);
}

/* Expressions that look ahead, look back, or match nothing, each with every behavior. */
static void expressions_in_chunks(void **state) {
  (void)state;
  static const char *const behaviors[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                          "MergedWithNext"};
  static const char *const more[] = {"(?!y)",        "x*(?=y)",   "(?<=a)", "\\s+(?!\\S)|\\s+|$",
                                     "a(?=.{3}b)|.", "(?<!\\n)^", "\\z|a+"};
  json_t *all = goldens_open("tokenizers.json");
  const json_t *regexes = json_object_get(all, "regexes"),
               *texts = json_object_get(all, "regex_texts");
  size_t n_regexes = json_array_size(regexes), n_more = sizeof more / sizeof *more;
  for (size_t i = 0; i < n_regexes + n_more; i++) {
    const json_t *entry = json_array_get(regexes, i);
    const char *pattern =
        i < n_regexes ? json_string_value(json_object_get(entry, "pattern")) : more[i - n_regexes];
    for (size_t b = 0; b < 5; b++) {
      limn_tokenizer *t;
      limn_error err;
      limn_tokens whole = {0};
      put_expression(all, pattern, behaviors[b], (i + b) % 2);
      CHECK_OK(limn_tokenizer_open(path, &t, &err), err);
      for (size_t k = 0; k<json_array_size(texts); k += b> 1 ? 2 : 1) {
        const char *text = json_string_value(json_array_get(texts, k));
        CHECK_OK(limn_tokenizer_encode(t, text, strlen(text), LIMN_SPECIAL_AS_TEXT, &whole, &err),
                 err);
        check_chunks(pattern, t, text, LIMN_SPECIAL_AS_TEXT, &whole);
      }
      limn_tokens_deinit(&whole);
      limn_tokenizer_close(t);
    }
  }
  json_decref(all);
}

/* ---- what is refused
 * ------------------------------------------------------------------------------
 */

static void refuses(const char *text, size_t n, limn_status status, const char *part) {
  limn_tokenizer *t;
  limn_error err;
  put(text, n);
  CHECK_FAILS(limn_tokenizer_open(path, &t, &err), status, err, part);
  assert_null(t);
}

#define MODEL                                                                                      \
  "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define PRE(type) "{\"pre_tokenizer\":{\"type\":" type "}," MODEL "}"

static void refuses_what_it_does_not_follow(void **state) {
  (void)state;
  static const struct {
    const char *text;
    limn_status status;
    const char *part;
  } cases[] = {
      {"{}", LIMN_ERROR_NOT_FOUND, "key \"model\" is missing"},
      {"{", LIMN_ERROR_FORMAT, "not valid JSON: line 1"},
      {"{\"model\":{\"type\":\"Unigram\"}}", LIMN_ERROR_UNSUPPORTED, "\"model\" is Unigram"},
      {"{\"model\":{\"vocab\":{}}}", LIMN_ERROR_NOT_FOUND, "key \"merges\" is missing"},
      {"{\"model\":{\"vocab\":{\"a\":-1},\"merges\":[]}}", LIMN_ERROR_RANGE, "has the id -1"},
      {"{\"model\":{\"vocab\":{\"a\":1e9},\"merges\":[]}}", LIMN_ERROR_FORMAT, "with a fraction"},
      {"{\"model\":{\"vocab\":{\"a\":999999999},\"merges\":[]}}", LIMN_ERROR_RANGE, "999999999"},
      {"{\"model\":{\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", LIMN_ERROR_FORMAT,
       "have the same id 0"},
      {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", LIMN_ERROR_FORMAT,
       "merge 0, \"aa\", names or makes"},
      {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[\"aa\"]}}", LIMN_ERROR_FORMAT,
       "not two tokens with a space"},
      {"{\"model\":{\"vocab\":{\"a\":0},\"merges\":[7]}}", LIMN_ERROR_FORMAT,
       "merge 0 is an integer"},
      {"{\"model\":{\"dropout\":0.1,\"vocab\":{},\"merges\":[]}}", LIMN_ERROR_UNSUPPORTED,
       "\"dropout\" is set"},
      {"{\"model\":{\"end_of_word_suffix\":\"</w>\",\"vocab\":{},\"merges\":[]}}",
       LIMN_ERROR_UNSUPPORTED, "\"end_of_word_suffix\" is </w>"},
      {"{\"model\":{\"unk_token\":\"u\",\"vocab\":{},\"merges\":[]}}", LIMN_ERROR_UNSUPPORTED,
       "\"unk_token\" is u"},
      {"{\"model\":{\"byte_fallback\":true,\"vocab\":{},\"merges\":[]}}", LIMN_ERROR_UNSUPPORTED,
       "\"byte_fallback\" is true and a byte has no token"},
      {"{\"truncation\":{}," MODEL "}", LIMN_ERROR_UNSUPPORTED, "\"truncation\" is an object"},
      {"{\"normalizer\":{\"type\":\"Nmt\"}," MODEL "}", LIMN_ERROR_UNSUPPORTED,
       "\"normalizer\" is Nmt, expected NFC"},
      {"{\"normalizer\":{\"type\":\"nfkc\"}," MODEL "}", LIMN_ERROR_UNSUPPORTED,
       "\"normalizer\" is nfkc"},
      {"{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKD\"},{}]}," MODEL
       "}",
       LIMN_ERROR_UNSUPPORTED, "\"normalizer\" is"},
      {PRE("\"BertPreTokenizer\""), LIMN_ERROR_UNSUPPORTED, "is BertPreTokenizer"},
      {PRE("\"Split\",\"pattern\":{\"Regex\":\"(a)\\\\1\"}"), LIMN_ERROR_UNSUPPORTED,
       "an escape that limn does not follow at byte 3"},
      {PRE("\"Split\",\"pattern\":{\"Regex\":\"(a\"}"), LIMN_ERROR_FORMAT,
       "a group that does not end at byte 0"},
      {PRE("\"Split\",\"pattern\":{\"Regex\":\"[a-\"}"), LIMN_ERROR_FORMAT,
       "a class that does not end"},
      {PRE("\"Split\",\"pattern\":{\"Regex\":\"(?i:stress)\"}"), LIMN_ERROR_UNSUPPORTED,
       "letters that may be a ligature"},
      {PRE("\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Greek}\"}"), LIMN_ERROR_UNSUPPORTED,
       "a property that limn does not know at byte 0"},
      {PRE("\"Split\",\"pattern\":{\"String\":\"\"}"), LIMN_ERROR_UNSUPPORTED,
       "\"pattern\" is empty"},
      {PRE("\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\""), LIMN_ERROR_UNSUPPORTED,
       "\"behavior\" is Odd"},
      {"{\"post_processor\":{\"type\":\"Odd\"}," MODEL "}", LIMN_ERROR_UNSUPPORTED,
       "\"post_processor\" is Odd"},
      {"{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", LIMN_ERROR_UNSUPPORTED, "\"decoder\" is CTC"},
      {"{\"added_tokens\":[{\"id\":7,\"content\":\"x\"}]," MODEL "}", LIMN_ERROR_FORMAT,
       "has the id 7, expected 3"},
      {"{\"added_tokens\":[{\"id\":3,\"content\":\"a\"}]," MODEL "}", LIMN_ERROR_FORMAT,
       "expected 0, its id in the vocabulary"},
      {"{\"added_tokens\":[{\"id\":3,\"content\":\"\"}]," MODEL "}", LIMN_ERROR_FORMAT,
       "an added token is empty"},
      {"", LIMN_ERROR_FORMAT, "is empty, expected JSON, ranks"},
      {" \n", LIMN_ERROR_FORMAT, "is empty, expected JSON, ranks"},
      {"hello", LIMN_ERROR_FORMAT, "is no tokenizer: neither JSON nor ranks"},
      {"YQ== 0\n", LIMN_ERROR_ARGUMENT, "names no encoding, expected one of gpt2, r50k_base"},
      {"GGUF", LIMN_ERROR_FORMAT, "ends inside its head"},
      {"\x0a\x7f", LIMN_ERROR_FORMAT, "is no tokenizer"},
      {"\x0a\x7f\x01", LIMN_ERROR_FORMAT, "a field that does not end at byte 2"},
      {"\x0a\x02\x0f\x01", LIMN_ERROR_FORMAT, "a field of an unknown kind"},
      {"\x0a\x02\x08\x01", LIMN_ERROR_UNSUPPORTED, "the model is Unigram, expected BPE"},
      {"\x0a\x00\x12\x02\x18\x02", LIMN_ERROR_FORMAT, "\"path\" there is none"},
  };
  for (size_t i = 0; i + 1 < sizeof cases / sizeof *cases; i++)
    refuses(cases[i].text, strlen(cases[i].text), cases[i].status, cases[i].part);
}

/* ---- ranks --------------------------------------------------------------------------------------
 */

static const limn_encoding_special no_specials[] = {{"<|end|>", 300, 0, 1}, {NULL, 0, 0, 0}};
static const limn_encoding any = {"any", LIMN_PATTERN_NONE, false, 0, no_specials};

static limn_status read_ranks_of(const limn_encoding *encoding, const char *text, size_t n,
                                 limn_tokenizer **out, limn_error *err) {
  limn_file file = {(const unsigned char *)text, n, false};
  *out = limn_alloc_zeroed(1, sizeof **out);
  if (!*out) return LIMN_ERROR_MEMORY;
  limn_status status = limn_tokenizer_read_ranks("ranks", encoding, &file, *out, err);
  if (status == LIMN_OK) status = limn_tokenizer_finish(*out, "ranks", err);
  if (status == LIMN_OK) return status;
  limn_tokenizer_close(*out);
  *out = NULL;
  return status;
}

static limn_status read_ranks(const char *text, size_t n, limn_tokenizer **out, limn_error *err) {
  return read_ranks_of(&any, text, n, out, err);
}

/* A line for each byte, its rank its value, and more. */
static size_t write_ranks(char *text, const char *more) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  size_t n = 0;
  for (int byte = 0; byte < 256; byte++)
    n += (size_t)sprintf(text + n, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte);
  strcpy(text + n, more);
  return n + strlen(more);
}

static void refuses_bad_ranks(void **state) {
  (void)state;
  static const struct {
    const char *more;
    limn_status status;
    const char *part;
  } cases[] = {
      {"YWI=", LIMN_ERROR_FORMAT, "line 257 does not begin with bytes in base64 and a space"},
      {"YWI 256", LIMN_ERROR_FORMAT, "line 257 does not begin"},
      {"Y=I= 256", LIMN_ERROR_FORMAT, "line 257 does not begin"},
      {" 256", LIMN_ERROR_FORMAT, "line 257 does not begin"},
      {"YWI= ", LIMN_ERROR_FORMAT, "line 257 does not end with a rank"},
      {"YWI= -1", LIMN_ERROR_FORMAT, "line 257 does not end with a rank"},
      {"YWI= 99999999999", LIMN_ERROR_FORMAT, "line 257 does not end with a rank"},
      {"YWI= 7", LIMN_ERROR_FORMAT, "have the same id 7"},
      {"YWI= 999999", LIMN_ERROR_RANGE, "has the id 999999"},
      {"YQ== 256", LIMN_ERROR_FORMAT, "tokens 97 and 256 are the same bytes"},
  };
  static char text[8192];
  limn_error err;
  limn_tokenizer *t;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t n = write_ranks(text, cases[i].more);
    CHECK_FAILS(read_ranks(text, n, &t, &err), cases[i].status, err, cases[i].part);
  }
  /* A file that was cut off, wherever in its last line. */
  limn_encoding larger = any;
  larger.n_ranks = 300;
  static const char *const rests[] = {"YWI= 256\n", "YWI= 25", "YWI= ", "YWI=", "YWI", "Y", ""};
  for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
    size_t size = write_ranks(text, rests[i]);
    CHECK_FAILS(read_ranks_of(&larger, text, size, &t, &err), LIMN_ERROR_FORMAT, err,
                i ? "\"ranks\" has 256 tokens, expected the 300 of" : "has 257 tokens");
  }
  size_t n = write_ranks(text, "");
  memset(text, '\n', 7); /* in place of the line of byte 0 */
  CHECK_FAILS(read_ranks(text, n, &t, &err), LIMN_ERROR_FORMAT, err, "no token for the byte 0");
}

/*
 * Ranks are no merges: "abc" (257) is "ab" and "c" as well as "a" and "bc", and which comes first
 * is decided by the ranks; "xyz" (260) is a token that merging does not give, since neither "xy"
 * nor "yz" is one: only a piece that is "xyz" is it. The ids are those of tiktoken 0.14.0 for these
 * ranks.
 */
static void ranks_are_followed(void **state) {
  (void)state;
  static const char more[] = "YmM= 256\nYWJj 257\nYWI= 258\nYWJjZA== 259\neHl6 260\nYWJjZGU= 261\n";
  static const struct {
    const char *text;
    int n, ids[8];
  } cases[] = {{"abc", 1, {257}},       {"abcd", 1, {259}},      {"abd", 2, {258, 100}},
               {"bcab", 2, {256, 258}}, {"abcde", 1, {261}},     {"xxyz", 4, {120, 120, 121, 122}},
               {"xyz", 1, {260}},       {"aabcde", 2, {97, 261}}};
  static char text[8192];
  limn_error err;
  limn_tokenizer *t;
  size_t n = write_ranks(text, more);
  CHECK_OK(read_ranks(text, n, &t, &err), err);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_tokens tokens = {0};
    CHECK_OK(limn_tokenizer_encode(t, cases[i].text, strlen(cases[i].text), LIMN_SPECIAL_AS_TEXT,
                                   &tokens, &err),
             err);
    assert_int_equal(tokens.n, cases[i].n);
    for (int k = 0; k < cases[i].n; k++)
      assert_int_equal(tokens.ids[k], cases[i].ids[k]);
    limn_tokens_deinit(&tokens);
  }
  limn_tokenizer_close(t);
}

/* ---- one text, all ways to encode it
 * --------------------------------------------------------------
 */

static void check_ways(const limn_tokenizer *t, const char *text, size_t n) {
  limn_tokens whole = {0}, parts = {0};
  limn_batch batch = {0};
  limn_encoder *e;
  limn_encode_stream *s;
  limn_error err;
  int32_t ids[64];
  size_t n_ids, n_bytes;
  CHECK_OK(limn_tokenizer_encode(t, text, n, LIMN_SPECIAL_ALLOW, &whole, &err), err);
  assert_true(whole.n > 4 && whole.n < 64);
  CHECK_OK(limn_encoder_new(t, 0, &e, &err), err);
  for (size_t room = 0; room < 64; room++) {
    size_t wanted = room < whole.n ? room : whole.n;
    CHECK_OK(limn_encoder_encode(e, text, n, LIMN_SPECIAL_ALLOW, ids, room, &n_ids, &n_bytes, &err),
             err);
    assert_int_equal(n_ids, wanted);
    assert_memory_equal(ids, whole.ids, wanted * sizeof *ids);
    assert_int_equal(n_bytes, whole.offsets[wanted]);
  }
  limn_encoder_free(e);
  CHECK_OK(limn_encode_stream_new(t, 0, LIMN_SPECIAL_ALLOW, &s, &err), err);
  for (size_t i = 0; i < n; i++)
    CHECK_OK(limn_encode_stream_push(s, text + i, 1, &parts, &err), err);
  CHECK_OK(limn_encode_stream_finish(s, &parts, &err), err);
  limn_encode_stream_free(s);
  assert_int_equal(parts.n, whole.n);
  assert_memory_equal(parts.ids, whole.ids, whole.n * sizeof *whole.ids);
  assert_memory_equal(parts.offsets, whole.offsets, (whole.n + 1) * sizeof *whole.offsets);
  limn_text texts[2] = {{text, n}, {text, n}};
  CHECK_OK(limn_tokenizer_encode_batch(t, NULL, texts, 2, LIMN_SPECIAL_ALLOW, 0, &batch, &err),
           err);
  assert_int_equal(batch.starts[2], 2 * whole.n);
  assert_memory_equal(batch.ids + whole.n, whole.ids, whole.n * sizeof *whole.ids);
  limn_batch_deinit(&batch);
  limn_tokens_deinit(&parts);
  limn_tokens_deinit(&whole);
}

static void all_ways_give_the_same(void **state) {
  (void)state;
  static const char *const files[] = {
      "tokenizer_json/prefix", "tokenizer_json/split", "tokenizer_json/forms",
      "tokenizer_json/pieces", "gguf/llama",           "sentencepiece/llama"};
  static const char text[] = "the  cat <s> a yes\xc3\xa9 e\xcc\x81 \xff!";
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char file[512];
    limn_tokenizer *t;
    limn_error err;
    snprintf(file, sizeof file, "%s/fuzz/corpus/%s", LIMN_SOURCE_DIR, files[i]);
    CHECK_OK(limn_tokenizer_open(file, &t, &err), err);
    check_ways(t, text, sizeof text - 1);
    limn_tokenizer_close(t);
  }
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static void open_until_it_works(const char *file) {
  for (int64_t k = 0;; k++) {
    limn_tokenizer *t;
    limn_error err;
    fail_allocation(k);
    limn_status status = limn_tokenizer_open(file, &t, &err);
    bool has_failed = k < allocations_asked();
    if (status == LIMN_OK) limn_tokenizer_close(t);
    int64_t live = allocations_live();
    fail_allocations_from(-1);
    assert_int_equal(live, 0);
    if (!has_failed) {
      assert_int_equal(status, LIMN_OK);
      break;
    }
    /* The just-in-time compiler may do without. */
    if (status != LIMN_OK) assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
}

static limn_status stream_text(const limn_tokenizer *t, const char *text, size_t n,
                               limn_error *err) {
  limn_encode_stream *s;
  limn_tokens out = {0};
  limn_status status = limn_encode_stream_new(t, 0, LIMN_SPECIAL_ALLOW, &s, err);
  if (status != LIMN_OK) return status;
  for (size_t at = 0; status == LIMN_OK && at < n; at += 5)
    status = limn_encode_stream_push(s, text + at, n - at < 5 ? n - at : 5, &out, err);
  if (status == LIMN_OK) status = limn_encode_stream_finish(s, &out, err);
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
  return status;
}

static void streams_survive_every_failing_allocation(void **state) {
  (void)state;
  static const char *const files[] = {"tokenizer_json/forms", "tokenizer_json/split",
                                      "tokenizer_json/meta", "gguf/llama"};
  static const char text[] =
      "the  cat <s> a yes\xc3\xa9 e\xcc\x81 \xff! THE cat sat on the mat, the cat";
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char file[512];
    limn_tokenizer *t;
    limn_error err;
    snprintf(file, sizeof file, "%s/fuzz/corpus/%s", LIMN_SOURCE_DIR, files[i]);
    CHECK_OK(limn_tokenizer_open(file, &t, &err), err);
    for (int64_t k = 0;; k++) {
      fail_allocation(k);
      limn_status status = stream_text(t, text, sizeof text - 1, &err);
      bool has_failed = k < allocations_asked();
      int64_t live = allocations_live();
      fail_allocations_from(-1);
      assert_int_equal(live, 0);
      if (status != LIMN_OK) assert_int_equal(status, LIMN_ERROR_MEMORY);
      if (!has_failed) break;
    }
    limn_tokenizer_close(t);
  }
}

static void survives_every_failing_allocation(void **state) {
  (void)state;
  static const char *const files[] = {"tokenizer_json/few",   "tokenizer_json/prefix",
                                      "tokenizer_json/meta",  "tokenizer_json/split",
                                      "tokenizer_json/forms", "gguf/gpt2",
                                      "gguf/llama",           "sentencepiece/llama"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char file[512];
    snprintf(file, sizeof file, "%s/fuzz/corpus/%s", LIMN_SOURCE_DIR, files[i]);
    open_until_it_works(file);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(encodes_as_the_library, enter, leave_folder),
      cmocka_unit_test_setup_teardown(the_first_character_waits_whole, enter, leave_folder),
      cmocka_unit_test_setup_teardown(tokens_come_early, enter, leave_folder),
      cmocka_unit_test_setup_teardown(expressions_in_chunks, enter, leave_folder),
      cmocka_unit_test_setup_teardown(refuses_what_it_does_not_follow, enter, leave_folder),
      cmocka_unit_test(refuses_bad_ranks),
      cmocka_unit_test(ranks_are_followed),
      cmocka_unit_test(all_ways_give_the_same),
      cmocka_unit_test(survives_every_failing_allocation),
      cmocka_unit_test(streams_survive_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
