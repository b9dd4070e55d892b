/*
 * tokenize.c - limn's tokenizer inside another program, without the rest: the ids of a text from
 * standard input as it comes in, by GPT-2's tokenizer or by the one whose path is given.
 *
 *   cc tokenize.c $(pkg-config --cflags --libs limn) -o tokenize && ./tokenize < text
 */
#include <limn/tokenizer.h>
#include <stdio.h>

static int fail(const limn_error *err) {
  fprintf(stderr, "tokenize: %s\n", err->text);
  return 2;
}

/* Prints the ids that are settled and takes them away. */
static void print(limn_tokens *tokens) {
  for (size_t i = 0; i < tokens->n; i++)
    printf("%ld\n", (long)tokens->ids[i]);
  tokens->n = 0;
}

int main(int argc, char **argv) {
  limn_error err;
  limn_tokenizer *tokenizer = NULL;
  limn_encode_stream *stream = NULL;
  limn_tokens tokens = {0};
  char chunk[65536];
  size_t n;
  limn_status status = argc > 1 ? limn_tokenizer_open(argv[1], &tokenizer, &err)
                                : limn_tokenizer_gpt2(&tokenizer, &err);
  if (status == LIMN_OK)
    status =
        limn_encode_stream_new(tokenizer, LIMN_ENCODER_CACHE, LIMN_SPECIAL_AS_TEXT, &stream, &err);
  while (status == LIMN_OK && (n = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
    status = limn_encode_stream_push(stream, chunk, n, &tokens, &err);
    if (status == LIMN_OK) print(&tokens);
  }
  if (status == LIMN_OK) status = limn_encode_stream_finish(stream, &tokens, &err);
  if (status == LIMN_OK) print(&tokens);
  limn_tokens_deinit(&tokens);
  limn_encode_stream_free(stream);
  limn_tokenizer_close(tokenizer);
  return status == LIMN_OK ? 0 : fail(&err);
}
