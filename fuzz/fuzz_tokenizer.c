/*
 * Any bytes as a text for GPT-2's tokenizer: the tokens lie one behind the other, each is the bytes
 * that it stands for, and decoding them, at once or piece by piece, gives the text back.
 */
#include "fuzz.h"

static limn_tokenizer *tokenizer;

static void close_tokenizer(void) {
  limn_tokenizer_close(tokenizer);
}

static void check_tokens(const limn_tokens *tokens, const char *text, size_t size) {
  REQUIRE(tokens->offsets[0] == 0 && tokens->offsets[tokens->n] == size);
  for (size_t i = 0; i < tokens->n; i++) {
    size_t begin = tokens->offsets[i], n;
    const char *bytes = limn_tokenizer_bytes(tokenizer, tokens->ids[i], &n);
    REQUIRE(bytes && n > 0 && begin + n == tokens->offsets[i + 1]);
    REQUIRE(memcmp(bytes, text + begin, n) == 0);
  }
}

static void check_decoding(const limn_tokens *tokens, const char *text, size_t size) {
  char *back, *pieces = malloc(size + 8);
  size_t n, used = 0;
  limn_error err;
  limn_decoder d = {0};
  REQUIRE(limn_tokenizer_decode(tokenizer, tokens->ids, tokens->n, &back, &n, &err) == LIMN_OK);
  REQUIRE(n == size && memcmp(back, text, size) == 0 && back[n] == '\0');
  limn_free(back);
  for (size_t i = 0; i < tokens->n; i++) {
    const char *bytes = limn_tokenizer_bytes(tokenizer, tokens->ids[i], &n);
    char *out = malloc(n + 4); /* as small as the header allows */
    size_t made = limn_decoder_push(&d, bytes, n, out);
    REQUIRE(made <= n + 4 && used + made <= size);
    memcpy(pieces + used, out, made);
    used += made;
    free(out);
  }
  used += limn_decoder_finish(&d, pieces + used);
  REQUIRE(used == size && memcmp(pieces, text, size) == 0);
  free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  limn_error err;
  limn_tokens tokens = {0};
  if (!tokenizer) {
    REQUIRE(limn_tokenizer_gpt2(&tokenizer, &err) == LIMN_OK);
    atexit(close_tokenizer);
  }
  char *text = malloc(size + 1); /* of exactly its size, so that reading beyond it shows */
  memcpy(text, data, size);
  for (int special = LIMN_SPECIAL_AS_TEXT; special <= LIMN_SPECIAL_REFUSE; special++) {
    limn_status status =
        limn_tokenizer_encode(tokenizer, text, size, (limn_special)special, &tokens, &err);
    if (status == LIMN_OK) {
      check_tokens(&tokens, text, size);
      check_decoding(&tokens, text, size);
    } else {
      fuzz_check_error(status, &err);
      REQUIRE(special == LIMN_SPECIAL_REFUSE && status == LIMN_ERROR_ARGUMENT);
      REQUIRE(err.offset < size && text[err.offset] == '<');
    }
  }
  limn_tokens_deinit(&tokens);
  free(text);
  return 0;
}
