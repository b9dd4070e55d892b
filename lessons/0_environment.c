/*
 * 0_environment.c - what computes here, and the random numbers that everything starts from.
 *
 * A network that has learnt nothing yet is a pile of random numbers. The ones drawn here are,
 * number for number, those that PyTorch draws on the CPU for the same seed, so whatever the next
 * sections compute can be laid beside the same lines of Python.
 */
#include "lesson.h"

/*
 * One build runs anywhere: the products of matrices are there several times, each written for other
 * vector instructions, and the best set that the processor has is chosen when a model is opened
 * (or the one that the environment variable `LIMN_KERNELS` names).
 */
static limn_status tell_machine(board *b) {
  const char *kernels;
  limn_status status = limn_kernels_in_use(&kernels, &b->err);
  if (status != LIMN_OK) return status;
  SAY(b, "limn %s on a processor with %s. Kernels: %s. Threads to compute with: %d.",
      limn_version(),
      *limn_cpu_features() ? limn_cpu_features() : "no vector extensions that limn knows", kernels,
      limn_default_threads());
  return LIMN_OK;
}

/*
 * `torch.manual_seed(seed)` sets a Mersenne Twister (Matsumoto and Nishimura 1998) to its start.
 * `torch.rand` cuts 24 of its bits into a number in [0, 1). `torch.randn` turns pairs of such
 * numbers into pairs of normally distributed ones (Box and Muller 1958): below 16 numbers one pair
 * at a time, keeping the second for the next call; from 16 on in blocks, where a size that is no
 * multiple of 16 draws its last 16 numbers twice. That is why 15, 16 and 17 are worth a look.
 */
static void draw_numbers(board *b, limn_random *r) {
  static const int sizes[] = {1, 7, 15, 16, 17, 100};
  for (int i = 0; i < 6; i++) {
    char name[32];
    float x[100];
    limn_random_uniform(r, 0, 1, sizes[i], x);
    snprintf(name, sizeof name, "random.rand(%d)", sizes[i]);
    PARAM(b, name, x, sizes[i]);
    limn_random_normal(r, 0, 1, sizes[i], x);
    snprintf(name, sizeof name, "random.randn(%d)", sizes[i]);
    PARAM(b, name, x, sizes[i]);
  }
}

/*
 * Whole numbers are drawn from the same stream: ten token ids of GPT-2, and the numbers 0 to 9 in
 * random order.
 */
static void show_whole_numbers(board *b, const char *name, const int64_t *x) {
  float shown[10];
  for (int i = 0; i < 10; i++)
    shown[i] = (float)x[i];
  PARAM(b, name, shown, 10);
}

static void draw_whole_numbers(board *b, limn_random *r) {
  int64_t x[10];
  limn_random_integers(r, 0, 50257, 10, x);
  show_whole_numbers(b, "random.randint(0,50257,(10,))", x);
  limn_random_permutation(r, 10, x);
  show_whole_numbers(b, "random.randperm(10)", x);
}

static limn_status environment(board *b) {
  limn_random r;
  limn_status status = tell_machine(b);
  if (status != LIMN_OK) return status;
  limn_random_seed(&r, b->seed);
  draw_numbers(b, &r);
  draw_whole_numbers(b, &r);
  return LIMN_OK;
}

LESSON(0, "0. What computes here", environment)
