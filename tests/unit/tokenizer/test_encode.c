/*
 * Encoding and decoding: ids against those of two other implementations, what must hold for any
 * bytes, special tokens, streaming, and running out of memory.
 */
#include "base/utf8.h"
#include "tokenizer/encoder.h"

#include "check.h"
#include "gpt2_ids.h"

static limn_tokenizer *gpt2;

static int open_gpt2(void **state) {
  (void)state;
  return limn_tokenizer_gpt2(&gpt2, NULL) == LIMN_OK ? 0 : -1;
}

static int close_gpt2(void **state) {
  (void)state;
  limn_tokenizer_close(gpt2);
  return 0;
}

/* Small, fast and the same everywhere (Marsaglia 2003, xorshift). */
static uint32_t next_random(uint32_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

static void encode(const void *text, size_t n, limn_special special, limn_tokens *out) {
  limn_error err;
  CHECK_OK(limn_tokenizer_encode(gpt2, text, n, special, out, &err), err);
}

/* ---- against other implementations ------------------------------------------------------------
 */

static void gives_the_ids_of_others(void **state) {
  (void)state;
  limn_tokens tokens = {0};
  for (size_t i = 0; i < sizeof gpt2_ids / sizeof *gpt2_ids; i++) {
    encode(gpt2_ids[i].text, gpt2_ids[i].n_text, LIMN_SPECIAL_AS_TEXT, &tokens);
    if (tokens.n != gpt2_ids[i].n ||
        memcmp(tokens.ids, gpt2_ids[i].ids, tokens.n * sizeof *tokens.ids) != 0)
      fail_msg("text %zu, \"%s\", has other ids", i, gpt2_ids[i].text);
  }
  limn_tokens_deinit(&tokens);
}

/* ---- for any bytes -----------------------------------------------------------------------------
 */

/* Offsets tile the text, and token i is the text's bytes from offsets[i] on. */
static void check_tiles(const limn_tokens *tokens, const unsigned char *text, size_t n) {
  assert_int_equal(tokens->offsets[0], 0);
  assert_int_equal(tokens->offsets[tokens->n], n);
  for (size_t i = 0; i < tokens->n; i++) {
    size_t size;
    const char *bytes = limn_tokenizer_bytes(gpt2, tokens->ids[i], &size);
    assert_int_equal(tokens->offsets[i + 1] - tokens->offsets[i], size);
    assert_memory_equal(bytes, text + tokens->offsets[i], size);
  }
}

static void check_comes_back(const limn_tokens *tokens, const unsigned char *text, size_t n) {
  limn_error err;
  char *again;
  size_t n_again;
  CHECK_OK(limn_tokenizer_decode(gpt2, tokens->ids, tokens->n, &again, &n_again, &err), err);
  assert_int_equal(n_again, n);
  assert_memory_equal(again, text, n);
  assert_int_equal(again[n], 0);
  limn_free(again);
}

/* Bytes of one of several kinds: any, ASCII, few letters and spaces, valid UTF-8. */
static size_t random_text(uint32_t *seed, unsigned char *text, size_t most) {
  size_t wanted = next_random(seed) % most, n = 0;
  uint32_t kind = next_random(seed) % 4;
  while (n < wanted) {
    uint32_t r = next_random(seed) >> 8;
    if (kind == 3) {
      uint32_t code = r % 3 == 0 ? r % 0x110000 : r % 0x500;
      if (code >= 0xd800 && code < 0xe000) continue;
      n += limn_utf8_encode(code, text + n);
    } else {
      text[n++] = (unsigned char)(kind == 0   ? r
                                  : kind == 1 ? r % 128
                                              : (unsigned char)"abe' \n"[r % 6]);
    }
  }
  return n;
}

static void any_bytes_come_back(void **state) {
  (void)state;
  uint32_t seed = 1;
  limn_tokens tokens = {0};
  unsigned char text[404];
  for (int i = 0; i < 20000; i++) {
    size_t n = random_text(&seed, text, 400);
    encode(text, n, LIMN_SPECIAL_AS_TEXT, &tokens);
    check_tiles(&tokens, text, n);
    check_comes_back(&tokens, text, n);
  }
  limn_tokens_deinit(&tokens);
}

/* The definition: the neighbours of least rank are merged, the leftmost first, until none can be.
 */
static size_t merge_by_definition(const unsigned char *piece, size_t n, int32_t *ids) {
  for (size_t i = 0; i < n; i++)
    ids[i] = gpt2->byte_ids[piece[i]];
  for (;;) {
    limn_merge best = {0}, merge;
    size_t place = n;
    for (size_t i = 0; i + 1 < n; i++) {
      if (!limn_tokenizer_merge_of(gpt2, ids[i], ids[i + 1], &merge)) continue;
      if (place < n && merge.rank >= best.rank) continue;
      best = merge;
      place = i;
    }
    if (place == n) return n;
    ids[place] = best.result;
    memmove(ids + place + 1, ids + place + 2, (n - place - 2) * sizeof *ids);
    n--;
  }
}

static void merges_by_definition_at_every_length(void **state) {
  (void)state;
  static const char *const alphabets[] = {"a", "ab", "etaoinshrdlu", "aAbBcCdD", "=-", "_._"};
  uint32_t seed = 7;
  limn_bpe bpe = {0};
  const limn_merger *merger = limn_loop_best()->merger;
  for (size_t n = 1; n <= 150; n++) {
    for (size_t k = 0; k < 6; k++) {
      limn_error err;
      unsigned char piece[150];
      int32_t ids[150];
      for (size_t i = 0; i < n; i++)
        piece[i] = (unsigned char)alphabets[k][next_random(&seed) % strlen(alphabets[k])];
      CHECK_OK(limn_bpe_encode(&bpe, merger, &gpt2->symbols, piece, n, &err), err);
      assert_int_equal(merge_by_definition(piece, n, ids), bpe.n_out);
      for (size_t i = 0; i < bpe.n_out; i++)
        assert_int_equal(ids[i], gpt2->symbols.ids[bpe.out[i]]);
    }
  }
  limn_bpe_deinit(&bpe);
}

static void a_bad_byte_is_a_symbol(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t n, first; /* where the first piece ends */
  } cases[] = {
      {"a\xff", 2, 1},
      {"1\x80", 2, 1},
      {" \xff", 2, 2},
      {"\xff!", 2, 2},
      {"\xff\xfe\x80", 3, 3},
      {"\xffz", 2, 1},
      {"\xed\xa0\x80"
       "a",
       4, 3},
      {"\xf4\x90\x80\x80"
       "a",
       5, 4},
      {"\xc0\xaf"
       "a",
       3, 2},
      {"\xe2\x82"
       "a",
       3, 2},
      {"\xe2\x82", 2, 2},
      {"  \xff", 3, 1},
      {"\xc3\xa9\xc3", 3, 2},
      {"\xc2\x85\x85", 3, 2},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(
        limn_split_next(LIMN_PATTERN_GPT2, (const unsigned char *)cases[i].text, cases[i].n, 0),
        cases[i].first);
}

static void long_runs_take_no_square(void **state) {
  (void)state;
  static unsigned char text[1 << 20];
  static const char *const kinds[] = {"a", " ", "abcdefghijklmnopqrstuvwxyz", "\n", "\xe4\xb8\x80",
                                      "'"};
  limn_tokens tokens = {0};
  uint32_t seed = 3;
  for (size_t k = 0; k < 6; k++) {
    size_t period = strlen(kinds[k]);
    for (size_t i = 0; i < sizeof text; i++)
      text[i] = (unsigned char)kinds[k][k == 2 ? next_random(&seed) % period : i % period];
    encode(text, sizeof text, LIMN_SPECIAL_ALLOW, &tokens);
    check_tiles(&tokens, text, sizeof text);
  }
  limn_tokens_deinit(&tokens);
}

/* ---- special tokens ----------------------------------------------------------------------------
 */

static void special_tokens_by_policy(void **state) {
  (void)state;
  static const char text[] = "a<|endoftext|><|endoftext|> b<|endoftext";
  limn_tokens tokens = {0};
  limn_error err;
  encode(text, sizeof text - 1, LIMN_SPECIAL_ALLOW, &tokens);
  assert_int_equal(tokens.ids[0], 64);
  assert_int_equal(tokens.ids[1], 50256);
  assert_int_equal(tokens.ids[2], 50256);
  assert_int_equal(tokens.ids[3], 275);
  assert_int_equal(tokens.offsets[2], 14);
  check_tiles(&tokens, (const unsigned char *)text, sizeof text - 1);
  encode(text, sizeof text - 1, LIMN_SPECIAL_AS_TEXT, &tokens);
  for (size_t i = 0; i < tokens.n; i++)
    assert_false(limn_tokenizer_is_special(gpt2, tokens.ids[i]));
  CHECK_FAILS(
      limn_tokenizer_encode(gpt2, text, sizeof text - 1, LIMN_SPECIAL_REFUSE, &tokens, &err),
      LIMN_ERROR_ARGUMENT, err, "special token \"<|endoftext|>\" at byte 1 of the text");
  assert_int_equal(err.offset, 1);
  assert_null(tokens.ids);
  assert_int_equal(tokens.n, 0);
  encode("a<|endoftext", 12, LIMN_SPECIAL_REFUSE, &tokens);
  limn_tokens_deinit(&tokens);
}

/* White space before a special token ends its text, and so is not parted from its last character.
 */
static void a_special_token_ends_the_text_before_it(void **state) {
  (void)state;
  static const char text[] = "a\n\n<|endoftext|>";
  static const int32_t ids[] = {64, 628, 50256};
  limn_tokens tokens = {0};
  encode(text, sizeof text - 1, LIMN_SPECIAL_ALLOW, &tokens);
  assert_int_equal(tokens.n, 3);
  assert_memory_equal(tokens.ids, ids, sizeof ids);
  limn_tokens_deinit(&tokens);
}

/* ---- the vocabulary ----------------------------------------------------------------------------
 */

static void ids_and_bytes_name_each_other(void **state) {
  (void)state;
  assert_int_equal(limn_tokenizer_vocab_size(gpt2), 50257);
  assert_int_equal(limn_tokenizer_eos(gpt2), 50256);
  for (int32_t id = 0; id < 50257; id++) {
    size_t n;
    const char *bytes = limn_tokenizer_bytes(gpt2, id, &n);
    assert_int_equal(limn_tokenizer_id(gpt2, bytes, n), id);
    assert_int_equal(limn_tokenizer_is_special(gpt2, id), id == 50256);
  }
  size_t n = 1;
  assert_null(limn_tokenizer_bytes(gpt2, -1, &n));
  assert_int_equal(n, 0);
  assert_null(limn_tokenizer_bytes(gpt2, 50257, &n));
  assert_int_equal(limn_tokenizer_id(gpt2, "no such token", 13), -1);
  assert_int_equal(limn_tokenizer_id(gpt2, "", 0), -1);
  assert_false(limn_tokenizer_is_special(gpt2, INT32_MIN));
}

static void bytes_have_a_visible_form(void **state) {
  (void)state;
  static const struct {
    unsigned char byte;
    uint32_t code; /* as in the code released with GPT-2 */
  } known[] = {{0, 0x100},   {'\n', 0x10a}, {' ', 0x120}, {'!', '!'},   {'~', '~'}, {127, 0x121},
               {160, 0x142}, {161, 161},    {172, 172},   {173, 0x143}, {174, 174}, {255, 255}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    assert_int_equal(limn_byte_to_printable(known[i].byte), known[i].code);
  for (int byte = 0; byte < 256; byte++)
    assert_int_equal(limn_printable_to_byte(limn_byte_to_printable((unsigned char)byte)), byte);
  static const uint32_t none[] = {0, ' ', 127, 160, 173, 0x144, 0x3000, 0x10ffff};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_int_equal(limn_printable_to_byte(none[i]), -1);
}

static void tokens_have_a_visible_form(void **state) {
  (void)state;
  limn_error err;
  char *text;
  CHECK_OK(limn_tokenizer_printable(gpt2, 995, &text, &err), err);
  assert_string_equal(text, "\xc4\xa0world");
  limn_free(text);
  CHECK_OK(limn_tokenizer_printable(gpt2, 50256, &text, &err), err);
  assert_string_equal(text, "<|endoftext|>");
  limn_free(text);
  CHECK_FAILS(limn_tokenizer_printable(gpt2, 50257, &text, &err), LIMN_ERROR_RANGE, err,
              "no token has the id 50257, the vocabulary has 50257");
  assert_null(text);
}

static void decodes_no_other_ids(void **state) {
  (void)state;
  static const int32_t bad[] = {-1, 50257, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < 4; i++) {
    int32_t ids[] = {995, bad[i], 995};
    char *text, expected[40];
    size_t n = 1;
    limn_error err;
    snprintf(expected, sizeof expected, "no token has the id %d,", (int)bad[i]);
    CHECK_FAILS(limn_tokenizer_decode(gpt2, ids, 3, &text, &n, &err), LIMN_ERROR_RANGE, err,
                expected);
    assert_null(text);
    assert_int_equal(n, 0);
  }
}

/* ---- streaming ---------------------------------------------------------------------------------
 */

/* In pieces of any size the same bytes come out, and valid text comes out in whole characters. */
static void streams_whole_characters(void **state) {
  (void)state;
  uint32_t seed = 5;
  for (int i = 0; i < 20000; i++) {
    unsigned char text[104], out[216];
    size_t n = random_text(&seed, text, 100), n_out = 0;
    bool is_valid = limn_utf8_is_valid(text, n);
    limn_decoder d = {0};
    for (size_t at = 0; at < n;) {
      size_t step = 1 + next_random(&seed) % 5;
      if (step > n - at) step = n - at;
      size_t size = limn_decoder_push(&d, (const char *)text + at, step, (char *)out + n_out);
      assert_true(size <= step + 4);
      assert_true(!is_valid || limn_utf8_is_valid(out + n_out, size));
      n_out += size;
      at += step;
      assert_true(at - n_out <= 3); /* what waits is less than a character */
    }
    size_t rest = limn_decoder_finish(&d, (char *)out + n_out);
    assert_true(!is_valid || rest == 0);
    assert_int_equal(n_out + rest, n);
    assert_memory_equal(out, text, n);
  }
}

static void what_cannot_become_a_character_does_not_wait(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n, given; /* how many bytes come out at once */
  } cases[] = {{"\xe2\x82", 2, 0}, {"\xe2\x82\xac", 3, 3}, {"\xff", 1, 1},
               {"\xe2z", 2, 2},    {"\xed\xa0", 2, 2},     {"\xf4\x90", 2, 2},
               {"\xc0", 1, 1},     {"\xf0\x9f\x99", 3, 0}, {"\xf0\x9f\x99\xe2", 4, 3},
               {"\xe0\x80", 2, 2}, {"\x80", 1, 1},         {"a\xc3", 2, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_decoder d = {0};
    char out[12];
    assert_int_equal(limn_decoder_push(&d, cases[i].bytes, cases[i].n, out), cases[i].given);
    assert_int_equal(limn_decoder_finish(&d, out + cases[i].given), cases[i].n - cases[i].given);
    assert_memory_equal(out, cases[i].bytes, cases[i].n);
    assert_int_equal(limn_decoder_finish(&d, out), 0);
  }
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static limn_status use_all(limn_error *err) {
  static char text[2000];
  static const int32_t ids[] = {995, 995};
  limn_tokens tokens = {0};
  char *out = NULL;
  size_t n;
  memset(text, 'a', sizeof text);
  limn_status status =
      limn_tokenizer_encode(gpt2, text, sizeof text, LIMN_SPECIAL_ALLOW, &tokens, err);
  if (status != LIMN_OK) assert_null(tokens.ids);
  limn_tokens_deinit(&tokens);
  if (status == LIMN_OK) status = limn_tokenizer_decode(gpt2, ids, 2, &out, &n, err);
  limn_free(out);
  out = NULL;
  if (status == LIMN_OK) status = limn_tokenizer_printable(gpt2, 995, &out, err);
  limn_free(out);
  return status;
}

static limn_status open_and_close(limn_error *err) {
  limn_tokenizer *t;
  limn_status status = limn_tokenizer_gpt2(&t, err);
  assert_true((t != NULL) == (status == LIMN_OK));
  limn_tokenizer_close(t);
  return status;
}

static void survives_every_failing_allocation(void **state) {
  (void)state;
  limn_status (*const calls[])(limn_error *) = {use_all, open_and_close};
  for (int c = 0; c < 2; c++) {
    limn_error err;
    limn_status status = LIMN_ERROR_MEMORY;
    int64_t k = 0;
    for (; status != LIMN_OK && k < 1000; k++) {
      fail_allocation(k);
      status = calls[c](&err);
      assert_int_equal(allocations_live(), 0);
      if (status == LIMN_OK) break;
      assert_int_equal(status, LIMN_ERROR_MEMORY);
      assert_int_equal(err.status, LIMN_ERROR_MEMORY);
    }
    fail_allocation(-1);
    assert_in_range(k, 4, 999); /* it did allocate, and got through in the end */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_the_ids_of_others),
      cmocka_unit_test(any_bytes_come_back),
      cmocka_unit_test(merges_by_definition_at_every_length),
      cmocka_unit_test(a_bad_byte_is_a_symbol),
      cmocka_unit_test(long_runs_take_no_square),
      cmocka_unit_test(special_tokens_by_policy),
      cmocka_unit_test(a_special_token_ends_the_text_before_it),
      cmocka_unit_test(ids_and_bytes_name_each_other),
      cmocka_unit_test(bytes_have_a_visible_form),
      cmocka_unit_test(tokens_have_a_visible_form),
      cmocka_unit_test(decodes_no_other_ids),
      cmocka_unit_test(streams_whole_characters),
      cmocka_unit_test(what_cannot_become_a_character_does_not_wait),
      cmocka_unit_test(survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, open_gpt2, close_gpt2);
}
