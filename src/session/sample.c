/*
 * sample.c - from logits to the next token, in Hugging Face's order.
 *
 * Each step works on a copy of the logits and sets what it removes to -inf, which is the logit of
 * probability 0; the softmax of what is left renormalises by itself. Top-k and top-p need the
 * largest first, but rarely many: a heap of all ids gives them one by one, n + k log n steps where
 * sorting takes n log n.
 *
 * Repetition penalty: Keskar et al. 2019, "CTRL", section 4.1 (dividing a positive logit,
 * multiplying a negative one). Top-k: Fan, Lewis, Dauphin 2018, section 5.4. Top-p: Holtzman et al.
 * 2020, "The Curious Case of Neural Text Degeneration", section 3.1, equations 2 and 3. Min-p:
 * Nguyen et al. 2024, "Turning Up the Heat", section 3.
 */
#include "session/sample.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

struct limn_sampler {
  limn_sampling options;
  int vocab_size;
  float *scores;    /* (vocab_size) the logits on their way, */
  double *weights;  /* (vocab_size) and e^(score - max) in the end */
  int32_t *heap;    /* (vocab_size) */
  uint8_t *is_seen; /* (vocab_size), all 0 between calls */
  uint64_t random;
};

/* ---- making ---------------------------------------------------------------------------------- */

static limn_status out_of_range(limn_error *err, const char *what, double found,
                                const char *wanted) {
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET, "%s is %g, expected %s", what, found,
                        wanted);
}

static bool is_share(float x) {
  return x >= 0.0f && x <= 1.0f;
}

static bool is_amount(float x) {
  return x >= 0.0f && isfinite(x);
}

static limn_status check(int vocab_size, const limn_sampling *o, limn_error *err) {
  const char *amount = "a finite number of at least 0";
  if (vocab_size < 1) return out_of_range(err, "the vocabulary", vocab_size, "at least 1 token");
  if (!is_amount(o->temperature))
    return out_of_range(err, "temperature", (double)o->temperature, amount);
  if (o->top_k < 0) return out_of_range(err, "top-k", o->top_k, "at least 0");
  if (!is_share(o->top_p))
    return out_of_range(err, "top-p", (double)o->top_p, "a share from 0 to 1");
  if (!is_share(o->min_p))
    return out_of_range(err, "min-p", (double)o->min_p, "a share from 0 to 1");
  if (!is_amount(o->repetition_penalty))
    return out_of_range(err, "repetition penalty", (double)o->repetition_penalty, amount);
  return LIMN_OK;
}

limn_status limn_sampler_new(int vocab_size, const limn_sampling *options, limn_sampler **out,
                             limn_error *err) {
  static const limn_sampling greedy;
  *out = NULL;
  if (!options) options = &greedy;
  limn_status status = check(vocab_size, options, err);
  if (status != LIMN_OK) return status;
  limn_sampler *s = limn_alloc_zeroed(1, sizeof *s);
  if (!s) return limn_out_of_memory(err, "a sampler");
  s->options = *options;
  s->vocab_size = vocab_size;
  s->scores = limn_alloc_zeroed((size_t)vocab_size, sizeof *s->scores);
  s->weights = limn_alloc_zeroed((size_t)vocab_size, sizeof *s->weights);
  s->heap = limn_alloc_zeroed((size_t)vocab_size, sizeof *s->heap);
  s->is_seen = limn_alloc_zeroed((size_t)vocab_size, sizeof *s->is_seen);
  s->random = options->seed;
  if (!s->scores || !s->weights || !s->heap || !s->is_seen) {
    limn_sampler_free(s);
    return limn_out_of_memory(err, "a sampler");
  }
  *out = s;
  return LIMN_OK;
}

void limn_sampler_free(limn_sampler *s) {
  if (!s) return;
  limn_free(s->scores);
  limn_free(s->weights);
  limn_free(s->heap);
  limn_free(s->is_seen);
  limn_free(s);
}

/* ---- a heap of ids, the largest score on top ------------------------------------------------- */

static bool comes_before(const float *scores, int32_t a, int32_t b) {
  float x = scores[a], y = scores[b];
  if (isnan(x) || isnan(y)) return !isnan(x) ? true : !isnan(y) ? false : a < b;
  return x > y || (x == y && a < b);
}

static void sink(const float *scores, int32_t *heap, size_t n, size_t at) {
  int32_t id = heap[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && comes_before(scores, heap[child + 1], heap[child])) child++;
    if (!comes_before(scores, heap[child], id)) break;
    heap[at] = heap[child];
  }
  heap[at] = id;
}

static void make_heap(const float *scores, int32_t *heap, size_t n) {
  for (size_t i = 0; i < n; i++)
    heap[i] = (int32_t)i;
  for (size_t i = n / 2; i-- > 0;)
    sink(scores, heap, n, i);
}

/* Takes the top away and puts it behind the heap, which shrinks by one. */
static int32_t pop(const float *scores, int32_t *heap, size_t *n) {
  int32_t top = heap[0];
  heap[0] = heap[--*n];
  heap[*n] = top;
  sink(scores, heap, *n, 0);
  return top;
}

/* Without memory for a heap of all: the best so far, in order; few of n get past the worst one. */
void limn_top_ids(const float *logits, size_t n, size_t k, int32_t *ids) {
  size_t held = 0;
  for (size_t i = 0; i < n && k > 0; i++) {
    int32_t id = (int32_t)i;
    if (held == k && !comes_before(logits, id, ids[k - 1])) continue;
    size_t at = held < k ? held++ : k - 1;
    for (; at > 0 && comes_before(logits, id, ids[at - 1]); at--)
      ids[at] = ids[at - 1];
    ids[at] = id;
  }
}

/* ---- the steps ------------------------------------------------------------------------------- */

static limn_status check_logits(const limn_sampler *s, const float *logits, limn_error *err) {
  int n_below = 0, n_finite = 0; /* counted to the end, as vectors can */
  for (int i = 0; i < s->vocab_size; i++) {
    n_below += logits[i] < INFINITY;
    n_finite += fabsf(logits[i]) < INFINITY;
  }
  if (n_below == s->vocab_size && n_finite > 0) return LIMN_OK;
  for (int i = 0; i < s->vocab_size; i++) {
    if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0.0f))
      return limn_error_set(err, LIMN_ERROR_RANGE, (uint64_t)i,
                            "the logit of token %d is %s, expected a number below infinity", i,
                            isnan(logits[i]) ? "nan" : "inf");
  }
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "all %d logits are -inf, expected a finite one", s->vocab_size);
}

static limn_status penalize(limn_sampler *s, const int32_t *ids, size_t n, limn_error *err) {
  float penalty = s->options.repetition_penalty;
  limn_status status = LIMN_OK;
  size_t done = 0;
  for (; done < n; done++) {
    int32_t id = ids[done];
    if (id < 0 || id >= s->vocab_size) {
      status = limn_error_set(err, LIMN_ERROR_RANGE, done,
                              "token id %d at position %zu is outside the vocabulary of %d tokens",
                              (int)id, done, s->vocab_size);
      break;
    }
    if (s->is_seen[id] || penalty == 0.0f || penalty == 1.0f) continue;
    s->is_seen[id] = 1;
    s->scores[id] = s->scores[id] < 0.0f ? s->scores[id] * penalty : s->scores[id] / penalty;
  }
  for (size_t i = 0; i < done; i++)
    s->is_seen[ids[i]] = 0;
  return status;
}

/* Of several rows of numbers at once, so that none waits for the one before. */
static float largest(const float *scores, size_t n) {
  enum { ROWS = 16 };
  float row[ROWS], max = -INFINITY;
  for (int k = 0; k < ROWS; k++)
    row[k] = -INFINITY;
  size_t i = 0;
  for (; i + ROWS <= n; i += ROWS)
    for (size_t k = 0; k < ROWS; k++)
      row[k] = scores[i + k] > row[k] ? scores[i + k] : row[k];
  for (int k = 0; k < ROWS; k++)
    max = row[k] > max ? row[k] : max;
  for (; i < n; i++)
    max = scores[i] > max ? scores[i] : max;
  return max;
}

/* e^(score - max); the sum of these is the softmax's denominator. */
static double weight(float score, float max) {
  return score == -INFINITY ? 0.0 : exp((double)score - (double)max);
}

static double total_weight(const float *scores, int n, float max) {
  double sum = 0.0;
  for (int i = 0; i < n; i++)
    sum += weight(scores[i], max);
  return sum;
}

/* What is still in the heap was not wanted. */
static void remove_rest(limn_sampler *s, size_t n_left) {
  for (size_t i = 0; i < n_left; i++)
    s->scores[s->heap[i]] = -INFINITY;
}

/* Hugging Face keeps every logit that is not below the k-th: ties stay. */
static void keep_top_k(limn_sampler *s) {
  size_t n = (size_t)s->vocab_size;
  if (s->options.top_k == 0 || (size_t)s->options.top_k >= n) return;
  make_heap(s->scores, s->heap, n);
  float last = 0.0f;
  for (int k = 0; k < s->options.top_k; k++)
    last = s->scores[pop(s->scores, s->heap, &n)];
  while (n > 0 && s->scores[s->heap[0]] == last)
    pop(s->scores, s->heap, &n);
  remove_rest(s, n);
}

/* A token stays when those before it have less than p together; so the first always stays. */
static void keep_top_p(limn_sampler *s, float max) {
  size_t n = (size_t)s->vocab_size;
  double p = (double)s->options.top_p, before = 0.0;
  if (p == 0.0 || p == 1.0) return;
  double total = total_weight(s->scores, s->vocab_size, max);
  make_heap(s->scores, s->heap, n);
  while (n > 0 && before < p * total)
    before += weight(s->scores[pop(s->scores, s->heap, &n)], max);
  remove_rest(s, n);
}

static void keep_min_p(limn_sampler *s, float max) {
  double least = (double)s->options.min_p;
  if (least == 0.0) return;
  for (int i = 0; i < s->vocab_size; i++) {
    if (weight(s->scores[i], max) < least) s->scores[i] = -INFINITY;
  }
}

/* Leaves the logits of the distribution to draw from in s->scores; *max is the largest. */
static limn_status process(limn_sampler *s, const float *logits, const int32_t *ids, size_t n,
                           float *max, limn_error *err) {
  limn_status status = check_logits(s, logits, err);
  if (status != LIMN_OK) return status;
  memcpy(s->scores, logits, (size_t)s->vocab_size * sizeof *logits);
  status = penalize(s, ids, n, err);
  if (status != LIMN_OK) return status;
  float top = largest(s->scores, (size_t)s->vocab_size);
  if (!isfinite(top))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "a repetition penalty of %g takes the largest logit beyond float32",
                          (double)s->options.repetition_penalty);
  if (s->options.temperature > 0.0f) {
    /* The largest becomes 0 first, which changes no probability: a tiny temperature then cannot
       make it overflow. */
    for (int i = 0; i < s->vocab_size; i++)
      s->scores[i] = (s->scores[i] - top) / s->options.temperature;
    keep_top_k(s);
    keep_top_p(s, 0.0f);
    keep_min_p(s, 0.0f);
  }
  *max = largest(s->scores, (size_t)s->vocab_size);
  return LIMN_OK;
}

/* ---- choosing -------------------------------------------------------------------------------- */

double limn_log_probability(const float *logits, size_t n, int32_t id) {
  size_t n_nan = 0;
  for (size_t i = 0; i < n; i++)
    n_nan += isnan(logits[i]) != 0;
  float max = largest(logits, n);
  if (n_nan > 0 || !isfinite(max)) return NAN;
  double sum = 0.0;
  for (size_t i = 0; i < n; i++)
    sum += weight(logits[i], max);
  return (double)logits[id] - (double)max - log(sum);
}

static int32_t first_largest(const float *scores, int n) {
  int32_t best = 0;
  for (int32_t i = 1; i < n; i++)
    if (scores[i] > scores[best]) best = i;
  return best;
}

/* SplitMix64 (Steele, Lea, Flood 2014, figure 16): any seed, also 0, gives a good sequence. */
static double uniform(limn_sampler *s) {
  uint64_t x = s->random += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return (double)(x >> 11) * 0x1p-53; /* [0, 1) */
}

/* Leaves the weights of the distribution to draw from in s->weights; their sum, and how many are
   not 0. */
static double weigh(limn_sampler *s, float max, int64_t *n_left) {
  double sum = 0.0;
  int64_t n = 0;
  for (int i = 0; i < s->vocab_size; i++) {
    double w = s->weights[i] = weight(s->scores[i], max);
    sum += w;
    n += w > 0.0;
  }
  *n_left = n;
  return sum;
}

/* The token at which the running sum of weights passes the point drawn in [0, total). */
static int32_t draw(limn_sampler *s, double total) {
  double point = uniform(s) * total, sum = 0.0;
  int32_t last = 0;
  for (int32_t i = 0; i < s->vocab_size; i++) {
    if (s->weights[i] == 0.0) continue;
    last = i;
    sum += s->weights[i];
    if (point < sum) break;
  }
  return last;
}

static void divide(const limn_sampler *s, double total, float *probabilities) {
  for (int i = 0; i < s->vocab_size; i++)
    probabilities[i] = (float)(s->weights[i] / total);
}

static void be_sure(const limn_sampler *s, int32_t id, float *probabilities) {
  memset(probabilities, 0, (size_t)s->vocab_size * sizeof *probabilities);
  probabilities[id] = 1.0f;
}

limn_status limn_sample_unscored(limn_sampler *s, const float *logits, const int32_t *ids, size_t n,
                                 float *probabilities, limn_choice *out, limn_error *err) {
  float max;
  *out = (limn_choice){.id = -1};
  limn_status status = process(s, logits, ids, n, &max, err);
  if (status != LIMN_OK) return status;
  if (s->options.temperature > 0.0f) {
    double total = weigh(s, max, &out->n_candidates);
    out->id = draw(s, total);
    out->drawn_probability = (float)(s->weights[out->id] / total);
    if (probabilities) divide(s, total, probabilities);
  } else {
    out->id = first_largest(s->scores, s->vocab_size);
    out->drawn_probability = 1.0f;
    out->n_candidates = 1;
    if (probabilities) be_sure(s, out->id, probabilities);
  }
  out->logit = logits[out->id];
  return LIMN_OK;
}

limn_status limn_sample(limn_sampler *s, const float *logits, const int32_t *ids, size_t n,
                        limn_choice *out, limn_error *err) {
  limn_status status = limn_sample_unscored(s, logits, ids, n, NULL, out, err);
  if (status != LIMN_OK) return status;
  out->log_probability = (float)limn_log_probability(logits, (size_t)s->vocab_size, out->id);
  return LIMN_OK;
}

limn_status limn_sampling_distribution(limn_sampler *s, const float *logits, const int32_t *ids,
                                       size_t n, float *probabilities, limn_error *err) {
  float max;
  int64_t n_left;
  limn_status status = process(s, logits, ids, n, &max, err);
  if (status != LIMN_OK) return status;
  if (s->options.temperature > 0.0f)
    divide(s, weigh(s, max, &n_left), probabilities);
  else
    be_sure(s, first_largest(s->scores, s->vocab_size), probabilities);
  return LIMN_OK;
}
