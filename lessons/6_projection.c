/*
 * 6_projection.c - from a position's vector back to tokens: scores for all of them, and softmax.
 *
 * The last step multiplies each position's vector with a matrix that has a row for each token. The
 * product with a row is that token's score, and softmax makes probabilities of the scores. We are
 * where we began: what comes next, and how likely is it?
 */
#include "lesson.h"

enum { T = 5, D = LESSON_D, V = 1000 };

/*
 * Section 5 once more: its output is projected here, and its numbers come first in the stream.
 */
static limn_status layer_of_section_5(board *b, limn_random *r, float *out) {
  float X[T * D];
  limn_nn_layer layer = {0};
  limn_random_seed(r, b->seed);
  limn_random_uniform(r, 0, 1, T * D, X);
  limn_status status = limn_nn_layer_init(&layer, D, LESSON_HEADS, LESSON_D_FF, r, &b->err);
  if (status == LIMN_OK)
    status = limn_nn_layer_apply(&layer, X, 1, T, NULL, out, NULL, NULL, &b->err);
  limn_nn_layer_deinit(&layer);
  return status;
}

/*
 * A toy vocabulary of a thousand tokens. Nothing has been learnt, so no token stands out: the
 * probabilities lie around 1/1000.
 *
 * Surprise: the notebook's last line sums `probs[0, 0, :999]`, which is 999 of the 1000, and calls
 * that about 1. It is 1 less the last token's probability.
 */
static limn_status project(board *b, limn_random *r, const float *x) {
  static float logits[T * V], probs[T * V];
  limn_nn_linear to_vocabulary = {0};
  limn_status status = limn_nn_linear_init(&to_vocabulary, D, V, true, r, &b->err);
  if (status == LIMN_OK) {
    double sum = 0;
    limn_tensor from = limn_tensor_view(logits, 2, (int64_t[]){T, V}), to = from;
    to.data = probs;
    limn_nn_linear_apply(&to_vocabulary, x, T, logits);
    limn_nn_softmax(&from, 1, &to);
    for (int i = 0; i < V - 1; i++)
      sum += (double)probs[i];
    float sum_999 = (float)sum;
    lesson_show_linear(b, __LINE__, "6.param", &to_vocabulary);
    SHOW(b, "6.logits", "a score for each token, at each position", logits, 1, T, V);
    SHOW(b, "6.probs", "and its probability", probs, 1, T, V);
    SHOW_NUMBER(b, "6.row_sum_999", "what the notebook sums", &sum_999);
    SAY(b, "All %d of the first position sum to %.6f. Its likeliest token is %d, with %.4f.", V,
        sum + (double)probs[V - 1], (int)limn_nn_argmax(probs, V),
        (double)probs[limn_nn_argmax(probs, V)]);
  }
  limn_nn_linear_deinit(&to_vocabulary);
  return status;
}

static limn_status projection(board *b) {
  float x[T * D];
  limn_random r;
  limn_status status = layer_of_section_5(b, &r, x);
  return status == LIMN_OK ? project(b, &r, x) : status;
}

LESSON(6, "6. Back to tokens", projection)
