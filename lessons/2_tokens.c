/*
 * 2_tokens.c - from words to tokens, and from tokens to vectors.
 *
 * A model does not read letters. A text is cut into tokens, pieces of text from a fixed list, and
 * each is known by its number in that list, its id. GPT-2's list was made by byte-pair encoding
 * (Sennrich et al. 2016): begin with single bytes, and again and again make the commonest pair of
 * neighbours a new token, 50,000 times. Frequent words end up as one token, rare ones as several.
 */
#include "lesson.h"

/*
 * GPT-2 writes a space as a letter G with a dot above, and it belongs to the word behind it: the
 * tokens of "are" at the beginning of a text and within one are different.
 */
static limn_status tell_tokens(board *b, const limn_tokenizer *t, const limn_tokens *tokens) {
  char line[512];
  int n = 0;
  for (size_t i = 0; i < tokens->n && n < (int)sizeof line; i++) {
    char *text;
    limn_status status = limn_tokenizer_printable(t, tokens->ids[i], &text, &b->err);
    if (status != LIMN_OK) return status;
    n += snprintf(line + n, sizeof line - (size_t)n, "%s%s (%d)", i ? ", " : "", text,
                  tokens->ids[i]);
    limn_free(text);
  }
  SAY(b, "Tokens and their ids: %s.", line);
  return LIMN_OK;
}

/*
 * An embedding is a table with one row of numbers for each id; looking up a token is taking its
 * row. Before training the rows are random. `nn.Embedding(50000, 8)` draws them from a normal
 * distribution.
 *
 * Surprise: GPT-2 has 50,257 tokens: 256 bytes, 50,000 merges, and one for the end of a text. The
 * notebook's table has 50,000 rows, so the 257 last ids have none. They are rare words and the end
 * of text; this sentence has none of them, and the notebook runs.
 */
static limn_status look_up(board *b, const limn_tokens *tokens) {
  enum { MOST = 16 };
  limn_nn_embedding embedding = {0};
  limn_random r;
  float x[MOST * LESSON_D];
  size_t n = tokens->n < MOST ? tokens->n : MOST;
  limn_random_seed(&r, b->seed);
  limn_status status = limn_nn_embedding_init(&embedding, LESSON_V, LESSON_D, &r, &b->err);
  if (status == LIMN_OK) status = limn_nn_embedding_apply(&embedding, tokens->ids, n, x, &b->err);
  if (status == LIMN_OK) {
    const int32_t end_of_text = 50256;
    limn_error err;
    SHOW(b, "2.embedding", "a row for each token", x, (int64_t)n, LESSON_D);
    if (limn_nn_embedding_apply(&embedding, &end_of_text, 1, x, &err) != LIMN_OK)
      SAY(b, "And the end of text, id %d? \"%s\".", end_of_text, err.text);
  }
  limn_nn_embedding_deinit(&embedding);
  return status;
}

static limn_status words_to_tokens(board *b) {
  static const char text[] = "Transformers are powerful models.";
  limn_tokenizer *tokenizer = NULL;
  limn_tokens tokens = {0};
  limn_status status = limn_tokenizer_gpt2(&tokenizer, &b->err);
  if (status == LIMN_OK)
    status = limn_tokenizer_encode(tokenizer, text, strlen(text), LIMN_SPECIAL_AS_TEXT, &tokens,
                                   &b->err);
  if (status == LIMN_OK) status = tell_tokens(b, tokenizer, &tokens);
  if (status == LIMN_OK) status = look_up(b, &tokens);
  limn_tokens_deinit(&tokens);
  limn_tokenizer_close(tokenizer);
  return status;
}

LESSON(2, "2. From words to tokens", words_to_tokens)
