/*
 * 1_softmax.c - what a language model is: scores for every token, turned into probabilities.
 *
 * A language model answers one question, over and over: given the tokens so far, how likely is each
 * token to come next? Inside, it only makes scores, one number for each token, called logits.
 * Softmax turns scores into probabilities: none is negative, and together they are 1.
 *
 *   p_i = exp(x_i) / (exp(x_1) + exp(x_2) + ... + exp(x_n))
 */
#include "lesson.h"

/*
 * Taking the same number off every score changes no quotient. Taking off the largest keeps exp from
 * overflowing: exp(100) no longer fits into a float32, and a logit of 100 is nothing unusual.
 */
static void softmax(const float *x, int n, float most, float *out) {
  float sum = 0;
  for (int i = 0; i < n; i++)
    sum += out[i] = expf(x[i] - most);
  for (int i = 0; i < n; i++)
    out[i] /= sum;
}

static void three_tokens(board *b, float *probs) {
  float logits[] = {2.0f, 1.0f, 0.5f};
  softmax(logits, 3, logits[0], probs);
  SHOW(b, "1.logits", "scores of three tokens", logits, 3);
  SHOW(b, "1.probs", "their softmax", probs, 3);
  SAY(b, "They sum to %g. The likeliest is token %d.", (double)(probs[0] + probs[1] + probs[2]),
      (int)limn_nn_argmax(probs, 3));
}

static limn_status draw_bars(board *b, const float *probs) {
  static const char *const labels[] = {"token 0", "token 1", "token 2"};
  const double values[] = {(double)probs[0], (double)probs[1], (double)probs[2]};
  limn_figure *f;
  if (!b->draw) return LIMN_OK;
  limn_status status = limn_figure_new(310, 130, &f, &b->err);
  if (status != LIMN_OK) return status;
  limn_bar_chart bars = {
      .values = values, .labels = labels, .n = 3, .title = "Softmax of 2, 1, 0.5", .decimals = 3};
  limn_figure_bars(f, (limn_area){14, 8, 282, 114}, &bars);
  status = b->draw(b, __LINE__, "1-softmax", "The three probabilities.", f);
  limn_figure_free(f);
  return status;
}

/*
 * Surprise: the notebook's helper takes off `logits.max()`, the largest score of the whole tensor,
 * not of each row. With one row that is the same. With two rows of different size the smaller one
 * is lost: exp(-200) is 0 in float32, and 0 / 0 is no number. The largest of each row is right, and
 * what `F.softmax` and `limn_nn_softmax` take.
 */
static void two_rows(board *b) {
  float rows[] = {2, 1, 0.5f, 202, 201, 200.5f}, out[6];
  for (int i = 0; i < 2; i++)
    softmax(rows + 3 * i, 3, 202, out + 3 * i);
  ASIDE(b, "two rows", "less the largest of all: the first row is lost", out, 2, 3);
  limn_tensor from = limn_tensor_view(rows, 2, (int64_t[]){2, 3}), to = from;
  to.data = out;
  limn_nn_softmax(&from, 1, &to);
  ASIDE(b, "two rows", "less the largest of each row", out, 2, 3);
}

/*
 * Surprise: where two scores are equal and largest, there is no one likeliest token. `argmax` names
 * one of them all the same: `limn_nn_argmax` the first, while PyTorch leaves open which.
 */
static void equal_scores(board *b) {
  float equal[] = {1, 3, 3};
  SAY(b, "Of the scores 1, 3, 3 the largest is at place %d, the first of equals.",
      (int)limn_nn_argmax(equal, 3));
}

static limn_status language_model(board *b) {
  float probs[3];
  three_tokens(b, probs);
  two_rows(b);
  equal_scores(b);
  return draw_bars(b, probs);
}

LESSON(1, "1. What is a language model?", language_model)
