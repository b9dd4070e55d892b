/*
 * tokenizer.h - what the targets of tokenizer files share: a tokenizer that opens must work.
 */
#ifndef LIMN_FUZZ_TOKENIZER_H
#define LIMN_FUZZ_TOKENIZER_H

#include "fuzz.h"

/* The text in chunks gives the same, or fails as an expression may. */
static inline void fuzz_stream(const limn_tokenizer *t, const char *text, size_t n,
                               limn_special special, size_t step, const limn_tokens *whole) {
  limn_encode_stream *s;
  limn_tokens parts = {0};
  limn_error err;
  limn_status status = LIMN_OK;
  REQUIRE(limn_encode_stream_new(t, 0, special, &s, &err) == LIMN_OK);
  for (size_t at = 0; at < n && status == LIMN_OK; at += step)
    status = limn_encode_stream_push(s, text + at, n - at < step ? n - at : step, &parts, &err);
  if (status == LIMN_OK) status = limn_encode_stream_finish(s, &parts, &err);
  REQUIRE(status == LIMN_OK || status == LIMN_ERROR_RANGE);
  if (status == LIMN_OK) {
    REQUIRE(parts.n == whole->n);
    REQUIRE(memcmp(parts.ids, whole->ids, parts.n * sizeof *parts.ids) == 0);
    REQUIRE(memcmp(parts.offsets, whole->offsets, (parts.n + 1) * sizeof *parts.offsets) == 0);
  }
  limn_tokens_deinit(&parts);
  limn_encode_stream_free(s);
}

/* Texts of all kinds; encoding them may fail only where an expression takes too many steps. */
static inline void fuzz_encode(const limn_tokenizer *t) {
  static const char text[] = "Hello  world's 12345 <s>\xe2\x96\x81\xc3\xa9"
                             "e\xcc\x81 \xff\xf0\x9f\x98"
                             "\n\n\t<|endoftext|>\xe4\xb8\xad\xe6\x96\x87!?\xed\xa0\x80 a";
  for (size_t start = 0; start < 3; start++) {
    limn_tokens tokens = {0};
    limn_error err;
    limn_status status = limn_tokenizer_encode(t, text + start, sizeof text - 1 - start,
                                               (limn_special)start, &tokens, &err);
    if (status != LIMN_OK) {
      fuzz_check_error(status, &err);
      REQUIRE(status == LIMN_ERROR_RANGE || status == LIMN_ERROR_ARGUMENT);
      continue;
    }
    for (size_t i = 0; i < tokens.n; i++)
      REQUIRE(tokens.offsets[i] <= tokens.offsets[i + 1]);
    REQUIRE(tokens.offsets[tokens.n] == (tokens.n ? sizeof text - 1 - start : 0));
    for (size_t step = 1; step < 9; step += 3)
      fuzz_stream(t, text + start, sizeof text - 1 - start, (limn_special)start, step, &tokens);
    char *decoded;
    size_t n;
    REQUIRE(limn_tokenizer_decode(t, tokens.ids, tokens.n, &decoded, &n, &err) == LIMN_OK);
    limn_free(decoded);
    limn_tokens_deinit(&tokens);
  }
}

static inline void fuzz_look(const limn_tokenizer *t) {
  int32_t n = limn_tokenizer_vocab_size(t), result;
  for (int32_t id = 0; id < n && id < 100; id++) {
    char *printable;
    size_t size;
    if (!limn_tokenizer_bytes(t, id, &size)) continue;
    REQUIRE(limn_tokenizer_printable(t, id, &printable, NULL) == LIMN_OK);
    limn_free(printable);
    if (limn_tokenizer_bytes(t, n - 1 - id, &size))
      limn_tokenizer_merge(t, id, n - 1 - id, &result);
  }
}

static inline void fuzz_tokenizer(const char *path, const char *encoding) {
  limn_tokenizer *t;
  limn_error err;
  limn_status status = limn_tokenizer_open_encoding(path, encoding, &t, &err);
  if (status != LIMN_OK) {
    REQUIRE(!t);
    fuzz_check_error(status, &err);
    return;
  }
  fuzz_encode(t);
  fuzz_look(t);
  limn_tokenizer_close(t);
}

#endif
