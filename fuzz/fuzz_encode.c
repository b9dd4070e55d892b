/*
 * fuzz_encode.c - encoding any bytes: the first byte picks a pattern, the second a way of
 * cutting into chunks, the rest is the text. Every loop gives the ids of the plain splitter and the
 * heap, at once, counted and in chunks, and two threads the same for the chunks as texts and for
 * the text in spans; what is decoded is the text.
 */
#include "fuzz.h"
#include "tokenizer/cut.h"

static limn_tokenizer *gpt2;
static limn_pool *pool;
static limn_bpe bpe;

static size_t encode_plainly(const limn_tokenizer *t, const uint8_t *text, size_t n, int32_t *ids) {
  size_t n_ids = 0;
  for (size_t at = 0; at < n;) {
    size_t end = limn_split_next(t->pattern, text, n, at);
    REQUIRE(end > at && end <= n);
    REQUIRE(limn_bpe_heap(&bpe, &t->symbols, text + at, end - at, NULL) == LIMN_OK);
    for (size_t i = 0; i < bpe.n_out; i++)
      ids[n_ids++] = t->symbols.ids[bpe.out[i]];
    at = end;
  }
  return n_ids;
}

static void check_loop(const limn_tokenizer *t, const limn_encoder_loop *loop, const char *text,
                       size_t n, const int32_t *expected, size_t n_expected) {
  int32_t *ids = malloc((n + 1) * sizeof *ids);
  size_t n_ids, n_bytes, count;
  limn_encoder *e;
  REQUIRE(ids && limn_encoder_new_with(t, 3000, loop, &e, NULL) == LIMN_OK);
  for (int again = 0; again < 2; again++) {
    REQUIRE(limn_encoder_encode(e, text, n, LIMN_SPECIAL_AS_TEXT, ids, n, &n_ids, &n_bytes, NULL) ==
            LIMN_OK);
    REQUIRE(n_ids == n_expected && memcmp(ids, expected, n_ids * sizeof *ids) == 0);
    REQUIRE(n_bytes == n);
  }
  REQUIRE(limn_encoder_count(e, text, n, LIMN_SPECIAL_AS_TEXT, &count, NULL) == LIMN_OK);
  REQUIRE(count == n_expected);
  limn_encoder_free(e);
  free(ids);
}

static void check_stream(const limn_tokenizer *t, const char *text, size_t n, size_t step,
                         const limn_tokens *expected) {
  limn_encode_stream *s;
  limn_tokens out = {0};
  REQUIRE(limn_encode_stream_new(t, 0, LIMN_SPECIAL_ALLOW, &s, NULL) == LIMN_OK);
  for (size_t at = 0; at < n; at += step) {
    size_t size = n - at < step ? n - at : step;
    REQUIRE(limn_encode_stream_push(s, text + at, size, &out, NULL) == LIMN_OK);
  }
  REQUIRE(limn_encode_stream_finish(s, &out, NULL) == LIMN_OK);
  REQUIRE(out.n == expected->n && memcmp(out.ids, expected->ids, out.n * sizeof *out.ids) == 0);
  REQUIRE(memcmp(out.offsets, expected->offsets, (out.n + 1) * sizeof *out.offsets) == 0);
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
}

/* Chunks as the texts of a batch, of which the last is the rest; and once more, when all is known.
 */
static void check_batch(const limn_tokenizer *t, const char *text, size_t n, size_t step) {
  enum { MOST = 50 };
  limn_text texts[MOST];
  size_t ends[MOST], n_texts = 0, n_expected = 0;
  int32_t *expected = malloc((n + 1) * sizeof *expected);
  limn_batch_encoder *b;
  limn_batch batch = {0};
  REQUIRE(expected && limn_batch_encoder_new(t, pool, 3000, &b, NULL) == LIMN_OK);
  for (size_t at = 0, size; at < n && n_texts < MOST; at += size) {
    size = n - at < step || n_texts == MOST - 1 ? n - at : step;
    texts[n_texts] = (limn_text){text + at, size};
    n_expected += encode_plainly(t, (const uint8_t *)text + at, size, expected + n_expected);
    ends[n_texts++] = n_expected;
  }
  for (int again = 0; again < 2; again++) {
    REQUIRE(limn_batch_encoder_encode(b, texts, n_texts, LIMN_SPECIAL_AS_TEXT, &batch, NULL) ==
            LIMN_OK);
    REQUIRE(batch.n == n_texts && batch.starts[n_texts] == n_expected);
    REQUIRE(n_texts == 0 || memcmp(batch.starts + 1, ends, n_texts * sizeof *ends) == 0);
    REQUIRE(!n_expected || memcmp(batch.ids, expected, n_expected * sizeof *expected) == 0);
  }
  limn_batch_deinit(&batch);
  limn_batch_encoder_free(b);
  free(expected);
}

/* The text in spans of `step` bytes and more, by two threads that share a cache. */
static void check_cut(const limn_tokenizer *t, const char *text, size_t n, size_t step,
                      const int32_t *expected, size_t n_expected) {
  limn_text texts[1] = {{text, n}};
  limn_batch batch;
  bool was_wrong;
  REQUIRE(limn_encode_batch_cut(t, pool, texts, 1, 3000, step, limn_is_between_words, &batch,
                                &was_wrong, NULL) == LIMN_OK);
  REQUIRE(batch.starts[1] == n_expected);
  REQUIRE(!n_expected || memcmp(batch.ids, expected, n_expected * sizeof *expected) == 0);
  limn_batch_deinit(&batch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!gpt2) REQUIRE(limn_tokenizer_gpt2(&gpt2, NULL) == LIMN_OK);
  if (!pool) REQUIRE(limn_pool_new(2, &pool, NULL) == LIMN_OK);
  if (size < 2) return 0;
  limn_tokenizer t = *gpt2;
  t.pattern = (limn_pattern)(data[0] % (LIMN_PATTERN_NONE + 1));
  size_t step = 1 + data[1], n = size - 2, n_text;
  /* A copy of just its size, so that reading on is seen. */
  char *text = malloc(n ? n : 1), *again;
  int32_t *expected = malloc((n + 1) * sizeof *expected);
  REQUIRE(text && expected);
  memcpy(text, data + 2, n);
  size_t n_expected = encode_plainly(&t, (const uint8_t *)text, n, expected);
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++)
    check_loop(&t, *loop, text, n, expected, n_expected);
  REQUIRE(limn_tokenizer_decode(&t, expected, n_expected, &again, &n_text, NULL) == LIMN_OK);
  REQUIRE(n_text == n && memcmp(again, text, n) == 0);
  limn_free(again);
  limn_tokens tokens = {0};
  REQUIRE(limn_tokenizer_encode(&t, text, n, LIMN_SPECIAL_ALLOW, &tokens, NULL) == LIMN_OK);
  check_stream(&t, text, n, step, &tokens);
  limn_tokens_deinit(&tokens);
  check_batch(&t, text, n, step);
  check_cut(&t, text, n, step, expected, n_expected);
  free(expected);
  free(text);
  return 0;
}
