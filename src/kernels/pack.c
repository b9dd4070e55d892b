/*
 * pack.c - rows of float32 become panels in any of the formats, and how large those are.
 *
 * q8 and q4 are symmetric: 32 numbers of one output share a scale, and each is a whole multiple of
 * it. The scale is a bfloat16, so that scale times whole number is exact in float32.
 */
#include "kernels/shared.h"

#include <math.h>

static int64_t rounded_up(int64_t k, int64_t to) {
  return (k + to - 1) / to * to;
}

size_t limn_panel_size(limn_format format, int64_t k) {
  switch (format) {
  case LIMN_FORMAT_F16:
    return (size_t)k * LIMN_PANEL * 2;
  case LIMN_FORMAT_BF16:
    return (size_t)rounded_up(k, 2) * LIMN_PANEL * 2;
  case LIMN_FORMAT_Q8:
    return (size_t)(rounded_up(k, LIMN_QUANT) / LIMN_QUANT) * LIMN_BLOCK_Q8;
  case LIMN_FORMAT_Q4:
    return (size_t)(rounded_up(k, LIMN_QUANT) / LIMN_QUANT) * LIMN_BLOCK_Q4;
  default:
    return (size_t)k * LIMN_PANEL * sizeof(float);
  }
}

/* To nearest, ties to even (IEEE 754-2008, binary16). */
static uint16_t to_f16(float x) {
  uint32_t bits = limn_kernel_bits(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size > 0x7f800000) return (uint16_t)(sign | 0x7e00);
  if (size >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
  if (size < 0x38800000) /* below 2^-14: adding 0.5 leaves counts of 2^-24 */
    return (uint16_t)(sign | (limn_kernel_bits(limn_kernel_float(size) + 0.5f) - 0x3f000000));
  return (uint16_t)(sign | (size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13);
}

static void pack_f16(uint16_t *panel, int64_t k, const float *rows) {
  for (int64_t i = 0; i < k * LIMN_PANEL; i++)
    panel[i] = to_f16(rows[i]);
}

static void pack_bf16(uint32_t *panel, int64_t k, const float *rows) {
  for (int64_t i = 0; i < k; i += 2, panel += LIMN_PANEL, rows += 2 * LIMN_PANEL)
    for (int64_t j = 0; j < LIMN_PANEL; j++) {
      uint32_t second = i + 1 < k ? limn_kernel_to_bf16(rows[LIMN_PANEL + j]) : 0;
      panel[j] = limn_kernel_to_bf16(rows[j]) | second << 16;
    }
}

/* ---- whole numbers with a scale ---------------------------------------------------------------
 */

/* What the 32 numbers of a column are stored as. */
typedef struct column {
  uint16_t scale;
  int number[LIMN_QUANT];
} column;

/* The bfloat16 next to x, or the next one away from zero where that is nearer to it. */
static uint16_t scale_not_below(float x) {
  uint16_t bits = limn_kernel_to_bf16(x);
  return fabsf(limn_kernel_of_bf16(bits)) < fabsf(x) ? (uint16_t)(bits + 1) : bits;
}

static bool is_finite_scale(float scale) {
  return isfinite(scale) && isfinite(1 / scale);
}

/* Rounds the numbers to multiples of the scale; the sum of squared errors. */
static float round_to(column *out, const float *x, uint16_t scale_bits, int low, int high) {
  float scale = limn_kernel_of_bf16(scale_bits), error = 0;
  out->scale = scale_bits;
  for (int i = 0; i < LIMN_QUANT; i++) {
    float q = rintf(x[i] / scale);
    q = q < (float)low ? (float)low : q > (float)high ? (float)high : q;
    out->number[i] = (int)q;
    error += (x[i] - q * scale) * (x[i] - q * scale);
  }
  return error;
}

/* The number of the largest size. A NaN is larger than all. */
static float largest(const float *x) {
  float most = 0;
  for (int i = 0; i < LIMN_QUANT; i++)
    if (!(fabsf(x[i]) <= fabsf(most))) {
      most = x[i];
      if (isnan(most)) break;
    }
  return most;
}

/* All zero, or nothing that can be scaled: zeros, or NaN where there is a NaN or infinity. */
static void without_scale(column *out, float most) {
  *out = (column){.scale = 0};
  if (!isfinite(most)) out->scale = 0x7fc0;
}

static void quantize_q8(column *out, const float *x) {
  float most = largest(x), scale = fabsf(most) / 127;
  if (!is_finite_scale(scale))
    without_scale(out, most);
  else
    round_to(out, x, scale_not_below(scale), -127, 127);
}

/*
 * Numbers from -8 to 7. The scale that makes the largest -8 is not the best for the others: some
 * around it are tried, and the one with the smallest squared error stays.
 */
static void quantize_q4(column *out, const float *x) {
  static const float divisors[] = {-8, -7.4f, -8.6f, 7, 7.5f, -6.9f, 8.2f, -9.2f};
  float most = largest(x), best = INFINITY;
  without_scale(out, most);
  if (!is_finite_scale(most / 8)) return;
  for (size_t i = 0; i < sizeof divisors / sizeof *divisors; i++) {
    column tried;
    float error = round_to(&tried, x, limn_kernel_to_bf16(most / divisors[i]), -8, 7);
    if (!(error < best)) continue;
    best = error;
    *out = tried;
  }
}

static void put_q8(unsigned char *block, int64_t j, const column *c) {
  memcpy(block + 2 * j, &c->scale, sizeof c->scale);
  for (int i = 0; i < LIMN_QUANT; i++)
    block[2 * LIMN_PANEL + (i / 4 * LIMN_PANEL + j) * 4 + i % 4] =
        (unsigned char)(c->number[i] + 128);
}

static void put_q4(unsigned char *block, int64_t j, const column *c) {
  memcpy(block + 2 * j, &c->scale, sizeof c->scale);
  for (int i = 0; i < LIMN_QUANT / 2; i++)
    block[2 * LIMN_PANEL + (i / 4 * LIMN_PANEL + j) * 4 + i % 4] =
        (unsigned char)((c->number[i] + 8) | (c->number[i + LIMN_QUANT / 2] + 8) << 4);
}

static void pack_block(limn_format format, unsigned char *block, int64_t k, const float *rows) {
  for (int64_t j = 0; j < LIMN_PANEL; j++) {
    float x[LIMN_QUANT] = {0};
    column c;
    for (int64_t i = 0; i < k; i++)
      x[i] = rows[i * LIMN_PANEL + j];
    if (format == LIMN_FORMAT_Q8) {
      quantize_q8(&c, x);
      put_q8(block, j, &c);
    } else {
      quantize_q4(&c, x);
      put_q4(block, j, &c);
    }
  }
}

void limn_panel_pack(limn_format format, void *panel, int64_t k0, int64_t k, const float *rows) {
  unsigned char *to = (unsigned char *)panel + limn_panel_size(format, k0);
  if (format == LIMN_FORMAT_F32)
    memcpy(to, rows, (size_t)k * LIMN_PANEL * sizeof *rows);
  else if (format == LIMN_FORMAT_F16)
    pack_f16((uint16_t *)(void *)to, k, rows);
  else if (format == LIMN_FORMAT_BF16)
    pack_bf16((uint32_t *)(void *)to, k, rows);
  else
    for (int64_t i = 0; i < k; i += LIMN_QUANT)
      pack_block(format, to + limn_panel_size(format, i), k - i < LIMN_QUANT ? k - i : LIMN_QUANT,
                 rows + i * LIMN_PANEL);
}
