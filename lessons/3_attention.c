/*
 * 3_attention.c - how positions look at each other, and what each then does alone.
 *
 * A transformer has two kinds of steps. Attention lets every position gather from the others what
 * it needs. The feed-forward network then works on each position by itself. First attention by
 * hand, then both as layers with parameters (Vaswani et al. 2017, "Attention Is All You Need").
 */
#include "lesson.h"

enum { T = 4, D = LESSON_D, HEADS = LESSON_HEADS, D_FF = LESSON_D_FF };

static limn_tensor matrix(float *data, int64_t rows, int64_t columns) {
  return limn_tensor_view(data, 2, (int64_t[]){rows, columns});
}

/*
 * Each position (a row of X) asks with a query, offers itself with a key, and hands over a value:
 * three products with three matrices. How well query i fits key j is their dot product, divided by
 * sqrt(d) so that wider vectors do not mean larger scores. Softmax makes weights of one query's
 * scores, and the result is the mean of all values by those weights.
 *
 *   A = softmax(Q K^T / sqrt(d))
 *   Z = A V
 *
 * Everything here is drawn from [0, 1), so no product is ever negative and the scores are large:
 * nearly all weight falls on one key. Trained matrices have both signs.
 */
static limn_status by_hand(board *b, limn_random *r) {
  float X[T * D], W[3][D * D], QKV[3][T * D], A[T * T], Z[T * D];
  limn_tensor x = matrix(X, T, D), a = matrix(A, T, T), z = matrix(Z, T, D), qkv[3];
  limn_random_uniform(r, 0, 1, T * D, X);
  for (int i = 0; i < 3; i++) {
    limn_tensor w = matrix(W[i], D, D);
    limn_random_uniform(r, 0, 1, D * D, W[i]);
    qkv[i] = matrix(QKV[i], T, D);
    limn_nn_matmul(&x, &w, &qkv[i]);
  }
  limn_tensor keys_across = limn_tensor_transpose(&qkv[1], 0, 1);
  limn_nn_matmul(&qkv[0], &keys_across, &a);
  for (int i = 0; i < T * T; i++)
    A[i] /= sqrtf(D);
  limn_nn_softmax(&a, 1, &a);
  limn_nn_matmul(&a, &qkv[2], &z);

  SHOW(b, "3.X", "four positions", X, T, D);
  PARAM(b, "3.W_Q", W[0], D, D);
  PARAM(b, "3.W_K", W[1], D, D);
  PARAM(b, "3.W_V", W[2], D, D);
  SHOW(b, "3.A", "attention weights: row i is what position i takes from each", A, T, T);
  SHOW(b, "3.Z", "what each has gathered", Z, T, D);
  return lesson_draw_weights(b, __LINE__, "3-attention", "Attention by hand",
                             "Each row is a query and sums to 1.", A, T, 0, 1);
}

/*
 * Several heads look for several things at once: each has its own slice of queries, keys and
 * values, and a last linear map mixes what they found. `nn.MultiheadAttention(8, 2)` keeps the
 * three matrices on each other in one of (24, 8).
 *
 * Surprise: the notebook's comment expects weights of shape (1, 2, 4, 4), one matrix for each head.
 * What it gets is (1, 4, 4), because PyTorch averages over the heads unless told otherwise
 * (`average_attn_weights=False`). A mean of two heads can hide what both of them do.
 *
 * Nothing here forbids looking ahead. A model that is to predict the next token must not see it:
 * with a causal mask every score above the diagonal becomes -inf, and its weight 0.
 */
static limn_status multi_head(board *b, limn_random *r, float *out) {
  float X[T * D], weights[T * T], per_head[HEADS * T * T];
  limn_nn_attention_call call = {.n_batch = 1,
                                 .n_query = T,
                                 .n_key = T,
                                 .query = X,
                                 .out = out,
                                 .weights = weights,
                                 .weights_per_head = per_head};
  limn_nn_attention mha = {0};
  limn_status status = limn_nn_attention_init(&mha, D, HEADS, true, r, &b->err);
  if (status == LIMN_OK) {
    limn_random_uniform(r, 0, 1, T * D, X);
    status = limn_nn_attention_apply(&mha, &call, &b->err);
  }
  if (status == LIMN_OK) {
    lesson_show_attention(b, __LINE__, "3.mha.param", &mha);
    SHOW(b, "3.mha.X", "a batch of one text", X, 1, T, D);
    SHOW(b, "3.mha.out", "what every position has gathered", out, 1, T, D);
    SHOW(b, "3.mha.weights", "the mean of both heads", weights, 1, T, T);
    SHOW(b, "3.mha.weights_per_head", "and each of them", per_head, 1, HEADS, T, T);
    call.is_causal = true;
    call.out = NULL;
    status = limn_nn_attention_apply(&mha, &call, &b->err);
    ASIDE(b, "causal", "the mean again, with a causal mask", weights, 1, T, T);
  }
  limn_nn_attention_deinit(&mha);
  return status;
}

/*
 * The feed-forward network is the same for every position: a linear map to more numbers, a function
 * that bends (without one, two linear maps are only one), and a map back.
 */
static limn_status feed_forward(board *b, limn_random *r, const float *x) {
  float out[T * D];
  limn_nn_feed_forward ffn = {0};
  limn_status status = limn_nn_feed_forward_init(&ffn, D, D_FF, LIMN_ACTIVATION_RELU, r, &b->err);
  if (status == LIMN_OK) status = limn_nn_feed_forward_apply(&ffn, x, T, out, &b->err);
  if (status == LIMN_OK) {
    lesson_show_feed_forward(b, __LINE__, "3.ffn.param", &ffn);
    SHOW(b, "3.ffn.out", "of what attention gave", out, 1, T, D);
  }
  limn_nn_feed_forward_deinit(&ffn);
  return status;
}

/*
 * ReLU cuts off what is negative. GPT-2 has GELU instead (Hendrycks and Gimpel 2016): x times the
 * share of a normal distribution that lies below x. It is nearly the same far from 0, but smooth
 * around it, and a little of the negative side comes through, so that a neuron there can still
 * learn.
 */
static limn_status activations(board *b) {
  enum { N = 61 };
  static const char *const names[] = {"ReLU", "GELU"};
  float line[N], y[2][N], x[] = {-3, -1, -0.5f, 0, 0.5f, 1, 3}, at_x[2][7];
  double places[N];
  for (int i = 0; i < 2; i++)
    limn_nn_activate(i ? LIMN_ACTIVATION_GELU_ERF : LIMN_ACTIVATION_RELU, x, 7, at_x[i]);
  ASIDE(b, "x", "some numbers", x, 7);
  ASIDE(b, "ReLU and GELU", "of them", at_x[0], 2, 7);

  limn_figure *f;
  if (!b->draw) return LIMN_OK;
  limn_status status = limn_figure_new(380, 220, &f, &b->err);
  if (status != LIMN_OK) return status;
  for (int i = 0; i < N; i++)
    line[i] = (float)(places[i] = (i - N / 2) / 10.0);
  for (int i = 0; i < 2; i++)
    limn_nn_activate(i ? LIMN_ACTIVATION_GELU_ERF : LIMN_ACTIVATION_RELU, line, N, y[i]);
  limn_line_chart chart = {
      .x = places, .y = matrix(y[0], 2, N), .legends = names, .title = "Two activations"};
  limn_figure_lines(f, (limn_area){2, 8, 370, 204}, &chart);
  status = b->draw(b, __LINE__, "3-activations", "ReLU has a corner, GELU has none.", f);
  limn_figure_free(f);
  return status;
}

/*
 * The embedding of section 2 is drawn and dropped: the numbers of this section come behind it in
 * the generator's stream, also when the section is run alone.
 */
static limn_status attention(board *b) {
  float out[T * D];
  limn_random r;
  limn_nn_embedding earlier = {0};
  limn_random_seed(&r, b->seed);
  limn_status status = limn_nn_embedding_init(&earlier, LESSON_V, D, &r, &b->err);
  limn_nn_embedding_deinit(&earlier);
  if (status == LIMN_OK) status = by_hand(b, &r);
  if (status == LIMN_OK) status = multi_head(b, &r, out);
  if (status == LIMN_OK) status = feed_forward(b, &r, out);
  return status == LIMN_OK ? activations(b) : status;
}

LESSON(3, "3. Attention and feed-forward", attention)
