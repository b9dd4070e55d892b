/*
 * distribution.c - what the logits say about the next token.
 *
 * p_i = exp(x_i - m) / sum_j exp(x_j - m), with m the largest logit so that nothing overflows. The
 * entropy needs no second array: with s = sum exp(x_j - m),
 *   H = -sum p_i log p_i = log s - sum p_i (x_i - m)
 * (Shannon 1948, "A Mathematical Theory of Communication", section 6, in nats). A vocabulary has
 * tens of thousands of tokens, most of them with next to no probability, so the sums are float64.
 */
#include <limn/analysis.h>
#include <math.h>

/* NaN when the logits have no softmax. */
static double largest_of(const float *logits, size_t n) {
  float largest = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    if (isnan(logits[i])) return (double)NAN;
    if (logits[i] > largest) largest = logits[i];
  }
  return isfinite(largest) ? (double)largest : (double)NAN;
}

bool limn_probabilities(const float *logits, size_t n, double *probabilities) {
  double largest = largest_of(logits, n), sum = 0;
  for (size_t i = 0; i < n; i++) {
    probabilities[i] = exp((double)logits[i] - largest);
    sum += probabilities[i];
  }
  for (size_t i = 0; i < n; i++)
    probabilities[i] = isnan(largest) ? (double)NAN : probabilities[i] / sum;
  return !isnan(largest);
}

double limn_entropy(const float *logits, size_t n) {
  double largest = largest_of(logits, n), sum = 0, weighted = 0;
  if (isnan(largest)) return (double)NAN;
  for (size_t i = 0; i < n; i++) {
    double below = (double)logits[i] - largest, share = exp(below);
    sum += share;
    if (share > 0) weighted += share * below;
  }
  return log(sum) - weighted / sum;
}

int64_t limn_rank(const float *logits, size_t n, int32_t id) {
  float mine = logits[id];
  int64_t before = 0;
  for (size_t i = 0; i < n; i++) {
    bool is_number = !isnan(logits[i]), is_earlier = i < (size_t)id;
    if (isnan(mine))
      before += is_number || is_earlier;
    else
      before += logits[i] > mine || (logits[i] == mine && is_earlier);
  }
  return before;
}
