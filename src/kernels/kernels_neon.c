/*
 * kernels_neon.c - the kernels for 64-bit ARM, whose every processor has NEON: 32 registers of 4
 * floats, so a tile of 6 rows by 4 vectors takes 24, its weights 4, an activation 1.
 *
 * Arm Architecture Reference Manual for A-profile, chapter C7. Nothing here needs more than the
 * first version of the instruction set.
 */
#if defined(__aarch64__)

#include "kernels/pack.h"

#include <arm_neon.h>

#define LANES        4
#define TILE_VECTORS 4
typedef float32x4_t V;
typedef float64x2_t D;
typedef uint32x4_t I;

static inline float32x4_t load_part(const float *p, int64_t n) {
  float some[4] = {0};
  memcpy(some, p, (size_t)n * sizeof *p);
  return vld1q_f32(some);
}

static inline void store_part(float *p, int64_t n, float32x4_t v) {
  float some[4];
  vst1q_f32(some, v);
  memcpy(p, some, (size_t)n * sizeof *p);
}

/* The second operand where either is NaN, as on other processors. */
static inline float32x4_t larger(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline float32x4_t smaller(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline float32x4_t power_of_two(int32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* In two steps, since n may be beyond the exponents of a float; only the second one rounds. A NaN
   is a whole number of 0 here and stays NaN. */
static inline float32x4_t scaled(float32x4_t x, float32x4_t n) {
  int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
  return vmulq_f32(vmulq_f32(x, power_of_two(half)), power_of_two(vsubq_s32(whole, half)));
}

static inline uint32x4_t load_words(const void *p) {
  return vreinterpretq_u32_u8(vld1q_u8(p));
}

static inline uint16x4_t load_halves(const void *p) {
  return vreinterpret_u16_u8(vld1_u8(p));
}

/* A number from 0 to 15 less 8 in the lanes' low bits. */
static inline float32x4_t of_half(uint32x4_t a) {
  int32x4_t number = vreinterpretq_s32_u32(vandq_u32(a, vdupq_n_u32(15)));
  return vcvtq_f32_s32(vsubq_s32(number, vdupq_n_s32(8)));
}

/* Products of signed 16-bit halves, summed by pairs. */
static inline uint32x4_t multiply_add_16(uint32x4_t a, uint32x4_t b) {
  int16x8_t x = vreinterpretq_s16_u32(a), y = vreinterpretq_s16_u32(b);
  int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y)), high = vmull_high_s16(x, y);
  return vreinterpretq_u32_s32(vpaddq_s32(low, high));
}

#define V_LOAD(p)             vld1q_f32(p)
#define V_STORE(p, v)         vst1q_f32(p, v)
#define V_LOAD_PART(p, n)     load_part(p, n)
#define V_STORE_PART(p, n, v) store_part(p, n, v)
#define V_SET(x)              vdupq_n_f32(x)
#define V_ADD(a, b)           vaddq_f32(a, b)
#define V_SUB(a, b)           vsubq_f32(a, b)
#define V_MUL(a, b)           vmulq_f32(a, b)
#define V_DIV(a, b)           vdivq_f32(a, b)
#define V_FMA(a, b, c)        vfmaq_f32(c, a, b)
#define V_MAX(a, b)           larger(a, b)
#define V_MIN(a, b)           smaller(a, b)
#define V_ROUND(x)            vrndnq_f32(x)
#define V_LDEXP(x, n)         scaled(x, n)
#define V_TOTAL(v)            vaddvq_f32(v)
#define V_MOST(v)             vmaxvq_f32(v)
#define D_SET(x)              vdupq_n_f64(x)
#define D_LOW(v)              vcvt_f64_f32(vget_low_f32(v))
#define D_HIGH(v)             vcvt_high_f64_f32(v)
#define D_ADD(a, b)           vaddq_f64(a, b)
#define D_SUB(a, b)           vsubq_f64(a, b)
#define D_FMA(a, b, c)        vfmaq_f64(c, a, b)
#define D_TOTAL(v)            vaddvq_f64(v)
#define I_LOAD(p)             load_words(p)
#define I_SET(x)              vdupq_n_u32((uint32_t)(x))
#define I_AND(a, b)           vandq_u32(a, b)
#define I_AND_OR(a, b, c)     vorrq_u32(vandq_u32(a, b), c)
#define I_ADD(a, b)           vaddq_u32(a, b)
#define I_MUL_ADD_16(a, b)    multiply_add_16(a, b)
#define I_SHL(a, n)           vshlq_u32(a, vdupq_n_s32(n))
#define I_SHR(a, n)           vshlq_u32(a, vdupq_n_s32(-(n)))
#define V_OF_I(a)             vcvtq_f32_s32(vreinterpretq_s32_u32(a))
#define V_AS_V(a)             vreinterpretq_f32_u32(a)
#define V_LOAD_F16(p)         vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p)))
#define V_LOAD_BF16(p)        vreinterpretq_f32_u32(vshll_n_u16(load_halves(p), 16))
#define V_OF_HALF(a)          of_half(a)

#include "kernels/lanes.h"

const limn_kernels limn_kernels_neon = {.name = "neon",
                                        LANES_TABLE,
                                        WIDENED_TABLE,
                                        .quantize = limn_scalar_quantize,
                                        .transpose = limn_scalar_transpose};

#else
typedef int limn_no_neon_here; /* a file must not be empty */
#endif
