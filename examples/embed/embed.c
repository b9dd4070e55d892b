/*
 * embed.c - limn inside another program: the next token after a text, and its probability.
 *
 *   cc embed.c $(pkg-config --cflags --libs limn) -lm -o embed && ./embed MODEL-FOLDER 'Once upon
 * a'
 */
#include <limn/limn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int fail(const limn_error *err) {
  fprintf(stderr, "embed: %s\n", err->text);
  return 2;
}

/* softmax(logits)[best] = 1 / sum exp(logit - logits[best]) */
static double probability_of_best(const float *logits, int n, int *best) {
  double sum = 0;
  *best = 0;
  for (int i = 1; i < n; i++)
    if (logits[i] > logits[*best]) *best = i;
  for (int i = 0; i < n; i++)
    sum += exp((double)logits[i] - (double)logits[*best]);
  return 1 / sum;
}

int main(int argc, char **argv) {
  limn_error err;
  limn_model *model = NULL;
  limn_tokenizer *tokenizer = NULL;
  limn_session *session = NULL;
  limn_tokens tokens = {0};
  int status = 0;
  if (argc != 3) {
    fprintf(stderr, "usage: embed MODEL-FOLDER TEXT\n");
    return 2;
  }
  if (limn_model_open(argv[1], NULL, &model, &err) != LIMN_OK ||
      limn_tokenizer_open(argv[1], &tokenizer, &err) != LIMN_OK ||
      limn_tokenizer_encode(tokenizer, argv[2], strlen(argv[2]), LIMN_SPECIAL_AS_TEXT, &tokens,
                            &err) != LIMN_OK ||
      limn_session_new(model, NULL, &session, &err) != LIMN_OK ||
      limn_session_evaluate(session, tokens.ids, tokens.n, &err) != LIMN_OK) {
    status = fail(&err);
  } else if (tokens.n > 0) {
    int best;
    double p = probability_of_best(limn_session_logits(session, NULL),
                                   limn_model_config(model)->vocab_size, &best);
    size_t n;
    const char *bytes = limn_tokenizer_bytes(tokenizer, best, &n);
    printf("%s|%.*s (%.1f %%)\n", argv[2], (int)n, bytes, 100 * p);
  }
  limn_tokens_deinit(&tokens);
  limn_session_free(session);
  limn_tokenizer_close(tokenizer);
  limn_model_close(model);
  return status;
}
