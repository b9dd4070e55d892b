/*
 * random.c - the numbers that PyTorch's CPU generator gives.
 *
 * The bits come from the Mersenne Twister (Matsumoto and Nishimura 1998, MT19937). A float takes
 * the lower 24 bits of one word, a double the lower 53 of two. Normals come in pairs from two
 * uniforms (Box and Muller 1958), and PyTorch makes them in two ways. Fewer than 16 are drawn one
 * by one in float64, and the second of a pair is kept for the next call. From 16 on the output is
 * filled with uniforms, and blocks of 16 are turned into normals in place; where the size is no
 * multiple of 16, the last 16 are drawn anew.
 */
#include <limn/random.h>

#include <assert.h>
#include <math.h>

#define N_WORDS 624
#define MIDDLE  397
#define BLOCK   16

static const double two_pi = 6.283185307179586;

/* ---- bits ---------------------------------------------------------------------------------------
 */

void limn_random_seed(limn_random *r, uint64_t seed) {
  *r = (limn_random){.next = N_WORDS};
  r->state[0] = (uint32_t)seed;
  for (uint32_t i = 1; i < N_WORDS; i++) {
    uint32_t before = r->state[i - 1];
    r->state[i] = 1812433253u * (before ^ before >> 30) + i;
  }
}

static void twist(limn_random *r) {
  for (int i = 0; i < N_WORDS; i++) {
    uint32_t joined = (r->state[i] & 0x80000000u) | (r->state[(i + 1) % N_WORDS] & 0x7fffffffu);
    r->state[i] = r->state[(i + MIDDLE) % N_WORDS] ^ joined >> 1 ^ (joined & 1 ? 0x9908b0dfu : 0u);
  }
  r->next = 0;
}

uint32_t limn_random_bits(limn_random *r) {
  if (r->next >= N_WORDS) twist(r);
  uint32_t x = r->state[r->next++];
  x ^= x >> 11;
  x ^= x << 7 & 0x9d2c5680u;
  x ^= x << 15 & 0xefc60000u;
  return x ^ x >> 18;
}

/* Two words, the first drawn on top. */
static uint64_t bits64(limn_random *r) {
  uint64_t high = limn_random_bits(r);
  return high << 32 | limn_random_bits(r);
}

/* ---- uniform and normal numbers -----------------------------------------------------------------
 */

static float uniform_float(limn_random *r) {
  return (float)(limn_random_bits(r) & 0xffffffu) * 0x1p-24f;
}

static double uniform_double(limn_random *r) {
  return (double)(bits64(r) & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

void limn_random_uniform(limn_random *r, float low, float high, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++)
    out[i] = fmaf(uniform_float(r), high - low, low);
}

/* One normal in float64; its twin waits for the next call. */
static double one_normal(limn_random *r) {
  if (r->has_normal) {
    r->has_normal = false;
    return r->kept_normal;
  }
  double angle = two_pi * uniform_double(r);
  double radius = sqrt(-2 * log1p(-uniform_double(r)));
  r->kept_normal = radius * sin(angle);
  r->has_normal = true;
  return radius * cos(angle);
}

/* Turns 16 uniforms into normals: the first half gives the radii, the second the angles. */
static void make_normals(float *block, float mean, float deviation) {
  for (int i = 0; i < BLOCK / 2; i++) {
    float radius = sqrtf(-2 * logf(1 - block[i]));
    float angle = (float)two_pi * block[i + BLOCK / 2];
    block[i] = radius * cosf(angle) * deviation + mean;
    block[i + BLOCK / 2] = radius * sinf(angle) * deviation + mean;
  }
}

static void many_normals(limn_random *r, float mean, float deviation, int64_t n, float *out) {
  limn_random_uniform(r, 0, 1, n, out);
  for (int64_t i = 0; i + BLOCK <= n; i += BLOCK)
    make_normals(out + i, mean, deviation);
  if (n % BLOCK == 0) return;
  float *last = out + n - BLOCK;
  limn_random_uniform(r, 0, 1, BLOCK, last);
  make_normals(last, mean, deviation);
}

void limn_random_normal(limn_random *r, float mean, float deviation, int64_t n, float *out) {
  if (n >= BLOCK) {
    many_normals(r, mean, deviation, n, out);
    return;
  }
  for (int64_t i = 0; i < n; i++)
    out[i] = (float)(one_normal(r) * (double)deviation + (double)mean);
}

/* ---- integers -----------------------------------------------------------------------------------
 */

void limn_random_integers(limn_random *r, int64_t low, int64_t high, int64_t n, int64_t *out) {
  assert(low < high);
  uint64_t range = (uint64_t)high - (uint64_t)low;
  /* A remainder favours small numbers; from here on PyTorch takes 64 bits against that. */
  bool is_wide = range >= (uint64_t)1 << 28;
  for (int64_t i = 0; i < n; i++) {
    uint64_t bits = is_wide ? bits64(r) : limn_random_bits(r);
    out[i] = (int64_t)((uint64_t)low + bits % range);
  }
}

void limn_random_permutation(limn_random *r, int64_t n, int64_t *out) {
  for (int64_t i = 0; i < n; i++)
    out[i] = i;
  for (int64_t i = 0; i + 1 < n; i++) {
    uint64_t left = (uint64_t)(n - i);
    uint64_t bits = n < INT64_C(1) << 32 ? limn_random_bits(r) : bits64(r);
    int64_t j = i + (int64_t)(bits % left), kept = out[i];
    out[i] = out[j];
    out[j] = kept;
  }
}
