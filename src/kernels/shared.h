/*
 * shared.h - what the tables have in common: number formats as bits, and the scalar functions that
 * a table without better ones takes over.
 */
#ifndef LIMN_SRC_KERNELS_SHARED_H
#define LIMN_SRC_KERNELS_SHARED_H

#include "kernels/kernels.h"

#include <string.h>

static inline float limn_kernel_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline uint32_t limn_kernel_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float limn_kernel_of_bf16(uint16_t bits) {
  return limn_kernel_float((uint32_t)bits << 16);
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t limn_kernel_to_bf16(float x) {
  uint32_t bits = limn_kernel_bits(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* n rows of `to` become rows of `from`; all the same row where from_step is 0. */
static inline void limn_kernel_copy(int64_t n, int64_t width, float *to, int64_t to_step,
                                    const float *from, int64_t from_step) {
  for (int64_t r = 0; r < n; r++)
    memcpy(to + r * to_step, from + r * from_step, (size_t)width * sizeof *to);
}

void limn_scalar_round_bf16(int64_t n, const float *x, uint16_t *out);
void limn_scalar_quantize(int64_t n, const float *x, limn_quantized out);
void limn_scalar_transpose(int64_t n, int64_t k, const float *x, int64_t x_step, float *out,
                           int64_t first);

#if defined(__x86_64__)
/* Many rows on tiles; the bits are those of avx512_vnni. */
void limn_amx_product_q8(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width);
void limn_amx_product_q4(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width);
#endif

#endif
