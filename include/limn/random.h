/*
 * limn/random.h - random numbers equal to those of PyTorch's generator on the CPU.
 *
 * The same seed and the same calls in the same order give the same numbers: uniform draws and
 * integers bit for bit, normal draws to a rounding of float32 (1e-6).
 */
#ifndef LIMN_RANDOM_H
#define LIMN_RANDOM_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A generator in the caller's storage: copy it to draw the same numbers twice. */
typedef struct limn_random {
  uint32_t state[624];
  int next;        /* word of the state to be drawn next */
  bool has_normal; /* a normal was left over from a pair */
  double kept_normal;
} limn_random;

/* torch.manual_seed: starts over. Only the lower 32 bits of the seed count, as in PyTorch. */
LIMN_API void limn_random_seed(limn_random *r, uint64_t seed);
/* The next 32 random bits. */
LIMN_API uint32_t limn_random_bits(limn_random *r);
/* torch.rand(n), or uniform_(low, high): n numbers in [low, high). */
LIMN_API void limn_random_uniform(limn_random *r, float low, float high, int64_t n, float *out);
/* torch.randn(n), or normal_(mean, deviation). */
LIMN_API void limn_random_normal(limn_random *r, float mean, float deviation, int64_t n,
                                 float *out);
/* torch.randint(low, high, (n,)): integers in [low, high). Precondition: low < high. */
LIMN_API void limn_random_integers(limn_random *r, int64_t low, int64_t high, int64_t n,
                                   int64_t *out);
/* torch.randperm(n): 0 to n - 1 in random order. */
LIMN_API void limn_random_permutation(limn_random *r, int64_t n, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
