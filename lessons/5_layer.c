/*
 * 5_layer.c - attention and feed-forward put together: one layer of a transformer.
 *
 * Two things hold a layer together. What a step computes is added to what came in, so that a
 * position's vector is a sum of everything said about it, the residual stream. And a layer norm (Ba
 * et al. 2016) brings each vector to mean 0 and variance 1 (then to a scale and shift that are
 * learnt, 1 and 0 at first), so that sums do not grow without end.
 */
#include "lesson.h"

enum { T = 5, D = LESSON_D, HEADS = LESSON_HEADS, D_FF = LESSON_D_FF };

/*
 * What a layer norm has just left has mean 0 and variance 1. We will look whether it has.
 */
static void tell_mean_and_variance(board *b, int line, const char *what, const float *x) {
  double mean = 0, variance = 0;
  for (int i = 0; i < D; i++)
    mean += (double)x[i] / D;
  for (int i = 0; i < D; i++)
    variance += ((double)x[i] - mean) * ((double)x[i] - mean) / D;
  lesson_say(b, line, "%s: the first position has mean %.4f and variance %.4f.", what,
             fabs(mean) < 5e-5 ? 0 : mean, variance);
}

/*
 * The generator starts over here, as in the notebook: first the input is drawn, then the layer's
 * parameters. The notebook's layer norms the sums, "post-norm", as the first transformer did:
 *
 *   x = norm1(x + attention(x))
 *   x = norm2(x + feed_forward(x))
 *
 * GPT-2 and nearly all since are "pre-norm": what a step reads is normed, and the sum is left
 * alone.
 *
 *   x = x + attention(norm1(x))
 *   x = x + feed_forward(norm2(x))
 *
 * Then an unbroken path of sums leads from the embedding to the end, and deep stacks are easier to
 * train (Xiong et al. 2020); a last norm follows at the very end. The same parameters, both ways:
 */
static limn_status one_layer(board *b, float *weights, float *per_head) {
  float X[T * D], out[T * D];
  limn_nn_layer layer = {0};
  limn_random r;
  limn_random_seed(&r, b->seed);
  limn_random_uniform(&r, 0, 1, T * D, X);
  limn_status status = limn_nn_layer_init(&layer, D, HEADS, D_FF, &r, &b->err);
  if (status == LIMN_OK)
    status = limn_nn_layer_apply(&layer, X, 1, T, NULL, out, weights, per_head, &b->err);
  if (status == LIMN_OK) {
    SHOW(b, "5.X", "a text of five positions", X, 1, T, D);
    lesson_show_attention(b, __LINE__, "5.param.mha", &layer.attention);
    lesson_show_feed_forward(b, __LINE__, "5.param.ffn", &layer.feed_forward);
    PARAM(b, "5.param.norm1.weight", layer.norm1.weight, D);
    PARAM(b, "5.param.norm1.bias", layer.norm1.bias, D);
    PARAM(b, "5.param.norm2.weight", layer.norm2.weight, D);
    PARAM(b, "5.param.norm2.bias", layer.norm2.bias, D);
    SHOW(b, "5.out", "post-norm", out, 1, T, D);
    tell_mean_and_variance(b, __LINE__, "Post-norm", out);
    layer.is_pre_norm = true;
    status = limn_nn_layer_apply(&layer, X, 1, T, NULL, out, NULL, NULL, &b->err);
    ASIDE(b, "pre-norm", "the same parameters", out, 1, T, D);
    tell_mean_and_variance(b, __LINE__, "Pre-norm", out);
    SHOW(b, "5.attn", "the mean of both heads (post-norm)", weights, 1, T, T);
    SHOW(b, "5.attn_per_head", "and each of them", per_head, 1, HEADS, T, T);
  }
  limn_nn_layer_deinit(&layer);
  return status;
}

/*
 * Surprise: the notebook draws the first of the pictures below and calls it "head 0". It shows the
 * mean of both heads. Here are all three, under their own names and on one scale. With random
 * parameters every position looks everywhere about equally, 1/5 each; training makes the
 * difference.
 */
static limn_status draw_heads(board *b, float *weights, float *per_head) {
  float low = 1, high = 0;
  for (int i = 0; i < HEADS * T * T; i++) {
    low = fminf(low, per_head[i]);
    high = fmaxf(high, per_head[i]);
  }
  limn_status status = lesson_draw_weights(b, __LINE__, "5-attention-mean", "Mean of both heads",
                                           "What the notebook shows, and calls head 0.", weights, T,
                                           (double)low, (double)high);
  for (int head = 0; status == LIMN_OK && head < HEADS; head++) {
    char file[32], title[32];
    snprintf(file, sizeof file, "5-attention-head-%d", head);
    snprintf(title, sizeof title, "Head %d", head);
    status = lesson_draw_weights(b, __LINE__, file, title,
                                 head ? "And the other one." : "The head that the notebook means.",
                                 per_head + head * T * T, T, (double)low, (double)high);
  }
  return status;
}

static limn_status layer_and_heads(board *b) {
  float weights[T * T], per_head[HEADS * T * T];
  limn_status status = one_layer(b, weights, per_head);
  return status == LIMN_OK ? draw_heads(b, weights, per_head) : status;
}

LESSON(5, "5. One transformer layer", layer_and_heads)
