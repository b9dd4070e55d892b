/*
 * pack.h - rows of float32 become panels in any of the formats. Plain C over the 64 columns of a
 * panel, written so that a compiler turns it into vectors; each table's file includes it, and all
 * of them make the same bytes.
 *
 * q8 and q4 are symmetric: 32 numbers of one output share a scale, and each is a whole multiple of
 * it. The scale is a bfloat16, so that scale times whole number is exact in float32.
 */
#include "kernels/shared.h"

#include <math.h>

/* To nearest, ties to even (IEEE 754-2008, binary16), without branches. */
static inline uint16_t to_f16(float x) {
  uint32_t bits = limn_kernel_bits(x), size = bits & 0x7fffffff;
  uint32_t normal = (size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13;
  /* below 2^-14: adding 0.5 leaves counts of 2^-24 */
  uint32_t small = limn_kernel_bits(limn_kernel_float(size) + 0.5f) - 0x3f000000;
  uint32_t half = size < 0x38800000 ? small : normal;
  half = size >= 0x477ff000 ? 0x7c00 : half;
  half = size > 0x7f800000 ? 0x7e00 : half;
  return (uint16_t)(half | (bits >> 16 & 0x8000));
}

/* To nearest, ties to even; NaN stays NaN, without branches. */
static inline uint32_t to_bf16(float x) {
  uint32_t bits = limn_kernel_bits(x);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 | 0x40) : rounded;
}

static void pack_f16(uint16_t *panel, int64_t k, const float *rows) {
  for (int64_t i = 0; i < k * LIMN_PANEL; i++)
    panel[i] = to_f16(rows[i]);
}

static void pack_bf16(uint32_t *panel, int64_t k, const float *rows) {
  int64_t i = 0;
  for (; i + 2 <= k; i += 2, panel += LIMN_PANEL, rows += 2 * LIMN_PANEL)
    for (int64_t j = 0; j < LIMN_PANEL; j++)
      panel[j] = to_bf16(rows[j]) | to_bf16(rows[LIMN_PANEL + j]) << 16;
  for (int64_t j = 0; j < LIMN_PANEL && i < k; j++)
    panel[j] = to_bf16(rows[j]);
}

/* ---- whole numbers with a scale ---------------------------------------------------------------
 */

/* 32 inputs of a panel on their way to whole numbers. */
typedef struct columns {
  float x[LIMN_QUANT][LIMN_PANEL];
  float scale[LIMN_PANEL];
  float most[LIMN_PANEL]; /* of the largest size, with its sign; NaN or infinite where one is */
} columns;

static void find_largest(columns *c) {
  for (int j = 0; j < LIMN_PANEL; j++)
    c->most[j] = 0;
  for (int i = 0; i < LIMN_QUANT; i++)
    for (int j = 0; j < LIMN_PANEL; j++) {
      float x = c->x[i][j], most = c->most[j];
      c->most[j] = fabsf(x) <= fabsf(most) || isnan(most) ? most : x;
    }
}

/* Rounds x / scale, which is far below 2^22: adding so much leaves no bits for fractions. */
static inline float nearest(float x, float inverse, float low, float high) {
  float q = (x * inverse + 0x1.8p23f) - 0x1.8p23f;
  q = q < low ? low : q;
  return q > high ? high : q;
}

static inline float inverse_of(float scale) {
  return scale != 0 ? 1 / scale : 0;
}

/* The sums of squared errors with these scales. */
static void errors_with(const columns *c, const float *scale, float low, float high, float *error) {
  float inverse[LIMN_PANEL];
  for (int j = 0; j < LIMN_PANEL; j++) {
    inverse[j] = inverse_of(scale[j]);
    error[j] = 0;
  }
  for (int i = 0; i < LIMN_QUANT; i++)
    for (int j = 0; j < LIMN_PANEL; j++) {
      float off = c->x[i][j] - nearest(c->x[i][j], inverse[j], low, high) * scale[j];
      error[j] += off * off;
    }
}

/* The largest becomes 127, or a little less: the scale is rounded away from 0. */
static void scale_q8(columns *c) {
  for (int j = 0; j < LIMN_PANEL; j++) {
    float wanted = fabsf(c->most[j]) / 127;
    uint32_t bits = to_bf16(wanted);
    bits += limn_kernel_float(bits << 16) < wanted;
    c->scale[j] = limn_kernel_float(bits << 16);
  }
}

/*
 * Numbers from -8 to 7. The scale that makes the largest -8 is not the best for the others: some
 * around it are tried, and the one with the smallest squared error stays.
 */
static void scale_q4(columns *c) {
  static const float divisors[] = {-8, -7.4f, -8.6f, 7, 7.5f, -6.9f, 8.2f, -9.2f};
  float best[LIMN_PANEL], scale[LIMN_PANEL], error[LIMN_PANEL];
  for (int j = 0; j < LIMN_PANEL; j++)
    best[j] = INFINITY;
  for (size_t i = 0; i < sizeof divisors / sizeof *divisors; i++) {
    for (int j = 0; j < LIMN_PANEL; j++)
      scale[j] = limn_kernel_float(to_bf16(c->most[j] / divisors[i]) << 16);
    errors_with(c, scale, -8, 7, error);
    for (int j = 0; j < LIMN_PANEL; j++) {
      c->scale[j] = error[j] < best[j] ? scale[j] : c->scale[j];
      best[j] = error[j] < best[j] ? error[j] : best[j];
    }
  }
}

/* Numbers too small for a scale become 0; a NaN or infinity makes all that share its scale NaN. */
static void settle_scales(columns *c) {
  for (int j = 0; j < LIMN_PANEL; j++) {
    bool is_good = fabsf(c->most[j]) >= 1e-30f && isfinite(c->most[j]);
    if (is_good) continue;
    c->scale[j] = isfinite(c->most[j]) ? 0 : NAN;
    for (int i = 0; i < LIMN_QUANT; i++)
      c->x[i][j] = 0;
  }
}

static void put_scales(unsigned char *block, const columns *c) {
  for (int j = 0; j < LIMN_PANEL; j++) {
    uint16_t bits = (uint16_t)to_bf16(c->scale[j]);
    memcpy(block + 2 * j, &bits, sizeof bits);
  }
}

/* The whole numbers plus `offset`, four inputs of a column in one word. */
static void put_numbers(const columns *c, float low, float high, int offset,
                        uint32_t words[LIMN_QUANT / 4][LIMN_PANEL]) {
  float inverse[LIMN_PANEL];
  for (int j = 0; j < LIMN_PANEL; j++)
    inverse[j] = isnan(c->scale[j]) ? 0 : inverse_of(c->scale[j]);
  for (int i = 0; i < LIMN_QUANT; i += 4)
    for (int j = 0; j < LIMN_PANEL; j++) {
      uint32_t word = 0;
      for (int b = 0; b < 4; b++) {
        int number = (int)nearest(c->x[i + b][j], inverse[j], low, high) + offset;
        word |= (uint32_t)number << 8 * b;
      }
      words[i / 4][j] = word;
    }
}

static void pack_block_q8(unsigned char *block, columns *c) {
  uint32_t words[LIMN_QUANT / 4][LIMN_PANEL];
  scale_q8(c);
  settle_scales(c);
  put_scales(block, c);
  put_numbers(c, -127, 127, 128, words);
  memcpy(block + 2 * LIMN_PANEL, words, sizeof words);
}

static void pack_block_q4(unsigned char *block, columns *c) {
  uint32_t words[LIMN_QUANT / 4][LIMN_PANEL];
  scale_q4(c);
  settle_scales(c);
  put_scales(block, c);
  put_numbers(c, -8, 7, 8, words);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < LIMN_PANEL; j++)
      words[i][j] |= words[i + 4][j] << 4;
  memcpy(block + 2 * LIMN_PANEL, words, sizeof words / 2);
}

static void pack_blocks(limn_format format, unsigned char *block, int64_t k, const float *rows) {
  columns c;
  for (; k > 0; k -= LIMN_QUANT, rows += LIMN_QUANT * LIMN_PANEL) {
    size_t size = (size_t)(k < LIMN_QUANT ? k : LIMN_QUANT) * LIMN_PANEL * sizeof *rows;
    if (size < sizeof c.x) memset(c.x, 0, sizeof c.x);
    memcpy(c.x, rows, size);
    find_largest(&c);
    if (format == LIMN_FORMAT_Q8)
      pack_block_q8(block, &c);
    else
      pack_block_q4(block, &c);
    block += format == LIMN_FORMAT_Q8 ? LIMN_BLOCK_Q8 : LIMN_BLOCK_Q4;
  }
}

static void pack(limn_format format, void *panel, int64_t k, const float *rows) {
  if (format == LIMN_FORMAT_F32)
    memcpy(panel, rows, (size_t)k * LIMN_PANEL * sizeof *rows);
  else if (format == LIMN_FORMAT_F16)
    pack_f16(panel, k, rows);
  else if (format == LIMN_FORMAT_BF16)
    pack_bf16(panel, k, rows);
  else
    pack_blocks(format, panel, k, rows);
}

/* ---- rows as words ----------------------------------------------------------------------------
 */

/* The largest is found by its bits, among which NaN and infinity are the largest. */
static float round_words(int64_t n, const float *x, float most, int16_t *out) {
  uint32_t bits = 0;
  for (int64_t i = 0; i < n; i++) {
    uint32_t size = limn_kernel_bits(x[i]) & 0x7fffffff;
    bits = size > bits ? size : bits;
  }
  float largest = limn_kernel_float(bits);
  bool is_good = largest >= 1e-30f && isfinite(largest);
  float inverse = is_good ? most / largest : 0;
  for (int64_t i = 0; i < n; i++)
    out[i] = is_good ? (int16_t)(int)nearest(x[i], inverse, -most, most) : 0;
  return is_good || !isfinite(largest) ? largest / most : 0;
}
