/*
 * functions.c - the functions without parameters: softmax, argmax, products, activations,
 * positions.
 *
 * Softmax turns scores into shares of 1: e^x over the sum of all e^x. Taking the largest score off
 * first changes nothing in the quotient and keeps e^x from overflowing.
 */
#include <limn/nn.h>

#include <assert.h>
#include <math.h>

/* ---- softmax, argmax ----------------------------------------------------------------------------
 */

static void softmax_row(const float *x, int64_t x_step, int64_t n, float *out, int64_t out_step) {
  float most = -INFINITY;
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    if (!(x[i * x_step] <= most)) most = x[i * x_step]; /* a NaN comes through */
  bool is_empty = most == -INFINITY;
  for (int64_t i = 0; i < n; i++)
    sum += is_empty ? 0 : exp((double)x[i * x_step] - (double)most);
  for (int64_t i = 0; i < n; i++)
    out[i * out_step] = is_empty ? 0 : (float)(exp((double)x[i * x_step] - (double)most) / sum);
}

void limn_nn_softmax(const limn_tensor *x, int axis, const limn_tensor *out) {
  assert(0 <= axis && axis < x->rank);
  /* Select away the other axes, from the front, until a row is left. */
  if (x->rank == 1) {
    softmax_row(x->data, x->stride[0], x->shape[0], out->data, out->stride[0]);
    return;
  }
  int other = axis == 0 ? 1 : 0;
  for (int64_t i = 0; i < x->shape[other]; i++) {
    limn_tensor from = limn_tensor_select(x, other, i), to = limn_tensor_select(out, other, i);
    limn_nn_softmax(&from, axis == 0 ? 0 : axis - 1, &to);
  }
}

int64_t limn_nn_argmax(const float *x, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 0; i < n; i++) {
    if (isnan(x[i])) return i;
    if (x[i] > x[best]) best = i;
  }
  return best;
}

/* ---- products -----------------------------------------------------------------------------------
 */

void limn_nn_matmul(const limn_tensor *a, const limn_tensor *b, const limn_tensor *out) {
  assert(a->rank == 2 && b->rank == 2 && out->rank == 2 && a->shape[1] == b->shape[0]);
  for (int64_t i = 0; i < a->shape[0]; i++) {
    for (int64_t j = 0; j < b->shape[1]; j++) {
      double sum = 0;
      for (int64_t k = 0; k < a->shape[1]; k++)
        sum += (double)a->data[i * a->stride[0] + k * a->stride[1]] *
               (double)b->data[k * b->stride[0] + j * b->stride[1]];
      out->data[i * out->stride[0] + j * out->stride[1]] = (float)sum;
    }
  }
}

/* ---- activations --------------------------------------------------------------------------------
 */

/* x / (1 + e^-x); e^-x may overflow to infinity, which gives the right 0. */
static double silu(double x) {
  return x == -INFINITY ? NAN : x / (1 + exp(-x));
}

/* Hendrycks and Gimpel 2016, section 2: x times the share of normals below x, and its
   approximation by tanh. */
static double gelu_erf(double x) {
  return 0.5 * x * erfc(-x * 0.7071067811865476);
}

static double gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double activated(limn_activation activation, double x) {
  switch (activation) {
  case LIMN_ACTIVATION_RELU:
    return x < 0 ? 0 : x;
  case LIMN_ACTIVATION_GELU_TANH:
    return gelu_tanh(x);
  case LIMN_ACTIVATION_GELU_ERF:
    return gelu_erf(x);
  case LIMN_ACTIVATION_QUICK_GELU:
    return x == -INFINITY ? NAN : x / (1 + exp(-1.702 * x));
  case LIMN_ACTIVATION_SILU:
    return silu(x);
  }
  return NAN;
}

void limn_nn_activate(limn_activation activation, const float *x, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++)
    out[i] = (float)activated(activation, (double)x[i]);
}

/* ---- positions ----------------------------------------------------------------------------------
 */

void limn_nn_position(int64_t position, int64_t d_model, limn_nn_exponent exponent, float *out) {
  double stretch = exponent == LIMN_NN_EXPONENT_DOUBLED ? 2 : 1;
  for (int64_t i = 0; i < d_model; i += 2) {
    double angle = (double)position / pow(10000, stretch * (double)i / (double)d_model);
    out[i] = (float)sin(angle);
    if (i + 1 < d_model) out[i + 1] = (float)cos(angle);
  }
}

void limn_nn_positions(int64_t n, int64_t d_model, limn_nn_exponent exponent, float *out) {
  for (int64_t position = 0; position < n; position++)
    limn_nn_position(position, d_model, exponent, out + position * d_model);
}
