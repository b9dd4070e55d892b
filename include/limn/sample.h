/*
 * limn/sample.h - from logits to the next token.
 *
 * The steps and their order are Hugging Face's: repetition penalty, temperature, top-k, top-p over
 * what is left, min-p over what is left; then one draw. A temperature of 0 takes the token with the
 * largest logit (after the repetition penalty) and draws nothing.
 */
#ifndef LIMN_SAMPLE_H
#define LIMN_SAMPLE_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero is greedy. */
typedef struct limn_sampling {
  float temperature;        /* divides the logits; 0: greedy */
  int top_k;                /* keep the k largest, and what ties with the last of them; 0: all */
  float top_p;              /* keep the fewest tokens that together have this share; 0 or 1: all */
  float min_p;              /* keep what has this share of the likeliest one's; 0: all */
  float repetition_penalty; /* a seen token's logit is divided by it, or multiplied when negative;
                               0 or 1: none */
  uint64_t seed;            /* the same seed draws the same tokens */
} limn_sampling;

typedef struct limn_choice {
  int32_t id;
  float logit;             /* the model's own, as given */
  float log_probability;   /* under the model's own logits, natural logarithm */
  float drawn_probability; /* of the distribution it was drawn from; 1 when greedy */
  int64_t n_candidates;    /* tokens that were left to draw from; 1 when greedy */
} limn_choice;

/* The working space for one vocabulary, and the random numbers. Used by one thread at a time. */
typedef struct limn_sampler limn_sampler;

/*
 * `options` may be NULL for greedy. RANGE: a number outside its range (temperature, penalty and
 * top_k not negative and finite, top_p and min_p in [0, 1], vocab_size at least 1). MEMORY.
 */
LIMN_API limn_status limn_sampler_new(int vocab_size, const limn_sampling *options,
                                      limn_sampler **out, limn_error *err);
LIMN_API void limn_sampler_free(limn_sampler *s);

/*
 * Chooses the token that follows `ids` (n; those that the repetition penalty falls on; NULL with
 * n = 0). logits (vocab_size), not changed. Ties: the smaller id comes first. Allocates nothing.
 * RANGE when a logit is NaN or +inf, when none is finite, or an id lies outside the vocabulary.
 */
LIMN_API limn_status limn_sample(limn_sampler *s, const float *logits, const int32_t *ids, size_t n,
                                 limn_choice *out, limn_error *err);

/*
 * The distribution that limn_sample would draw from, probabilities (vocab_size), summing to 1 to
 * rounding. Draws nothing. Fails as limn_sample does.
 */
LIMN_API limn_status limn_sampling_distribution(limn_sampler *s, const float *logits,
                                                const int32_t *ids, size_t n, float *probabilities,
                                                limn_error *err);

/*
 * log softmax of logits (n) at `id`, summed in float64. NaN where the logits have no softmax (a
 * NaN, +inf, or no finite one). Precondition: 0 <= id < n.
 */
LIMN_API double limn_log_probability(const float *logits, size_t n, int32_t id);

/*
 * The ids of the k largest logits (n), largest first, ties by id, NaN last. ids (k).
 * Precondition: k <= n. Allocates nothing.
 */
LIMN_API void limn_top_ids(const float *logits, size_t n, size_t k, int32_t *ids);

#ifdef __cplusplus
}
#endif
#endif
