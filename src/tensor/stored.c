/*
 * stored.c - number formats, and how each becomes a float32.
 *
 * float16 has 5 exponent and 10 fraction bits (IEEE 754-2008, binary16), bfloat16 is a float32 cut
 * after 7 fraction bits. Both fit into a float32 exactly; the way back rounds to nearest, ties to
 * even. Elements are read byte-wise through memcpy, because a file may hold them at any address.
 */
#include <assert.h>
#include <limn/tensor.h>
#include <math.h>
#include <string.h>

static const struct {
  const char *name;
  size_t size;
} dtypes[LIMN_DTYPE_COUNT] = {
    [LIMN_F32] = {"F32", 4},   [LIMN_F64] = {"F64", 8}, [LIMN_F16] = {"F16", 2},
    [LIMN_BF16] = {"BF16", 2}, [LIMN_I8] = {"I8", 1},   [LIMN_I16] = {"I16", 2},
    [LIMN_I32] = {"I32", 4},   [LIMN_I64] = {"I64", 8}, [LIMN_U8] = {"U8", 1},
    [LIMN_U16] = {"U16", 2},   [LIMN_U32] = {"U32", 4}, [LIMN_U64] = {"U64", 8},
    [LIMN_BOOL] = {"BOOL", 1}};

size_t limn_dtype_size(limn_dtype dtype) {
  return dtypes[dtype].size;
}

const char *limn_dtype_name(limn_dtype dtype) {
  return dtypes[dtype].name;
}

static float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static uint32_t bits_of_float(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* Without branches and calls, so that a compiler makes vectors of the loops below. */
static inline float of_bf16(uint16_t bits) {
  return float_of_bits((uint32_t)bits << 16);
}

float limn_bf16_to_f32(uint16_t bits) {
  return of_bf16(bits);
}

uint16_t limn_f32_to_bf16(float x) {
  uint32_t bits = bits_of_float(x);
  if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40); /* quiet, so that rounding cannot make inf */
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/*
 * With its bits moved into those of a float32, a float16 is 2^112 times too small, subnormal or
 * not; infinities and NaN get the largest exponent.
 */
static inline float of_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, size = (uint32_t)(bits & 0x7fff) << 13;
  float scaled = float_of_bits(size) * 0x1p112f;
  uint32_t special = size >= 0x0f800000 ? 0x7f800000 : 0;
  return float_of_bits(bits_of_float(scaled) | special | (special ? size & 0x7fe000 : 0) | sign);
}

float limn_f16_to_f32(uint16_t bits) {
  return of_f16(bits);
}

uint16_t limn_f32_to_f16(float x) {
  uint32_t bits = bits_of_float(x);
  uint32_t sign = bits >> 16 & 0x8000;
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* 65520 and more round to inf */
  if (magnitude < 0x38800000) { /* below 2^-14: counts of 2^-24; adding 0.5 ulp-aligned rounds it */
    float shifted = float_of_bits(magnitude) + 0.5f;
    return (uint16_t)(sign | (bits_of_float(shifted) - 0x3f000000));
  }
  uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (uint16_t)(sign | (rounded - 0x38000000) >> 13);
}

int64_t limn_stored_count(const limn_stored *s) {
  int64_t n = 1;
  for (int i = 0; i < s->rank; i++)
    n *= s->shape[i];
  return n;
}

limn_stored limn_stored_of(const limn_tensor *t) {
  assert(limn_tensor_is_contiguous(t));
  limn_stored s = {.data = t->data, .dtype = LIMN_F32, .rank = t->rank};
  memcpy(s.shape, t->shape, sizeof s.shape);
  return s;
}

#define CONVERT(type, expression)                                                                  \
  for (int64_t i = 0; i < count; i++) {                                                            \
    type v;                                                                                        \
    memcpy(&v, from + (size_t)i * sizeof v, sizeof v);                                             \
    out[i] = (expression);                                                                         \
  }                                                                                                \
  break

void limn_stored_to_f32(const limn_stored *s, int64_t start, int64_t count, float *out) {
  assert(start >= 0 && count >= 0 && start + count <= limn_stored_count(s));
  if (count == 0) return;
  const unsigned char *from =
      (const unsigned char *)s->data + (size_t)start * limn_dtype_size(s->dtype);
  switch (s->dtype) {
  case LIMN_F32:
    memcpy(out, from, (size_t)count * sizeof *out);
    break;
  case LIMN_F64:
    CONVERT(double, (float)v);
  case LIMN_F16:
    CONVERT(uint16_t, of_f16(v));
  case LIMN_BF16:
    CONVERT(uint16_t, of_bf16(v));
  case LIMN_I8:
    CONVERT(int8_t, (float)v);
  case LIMN_I16:
    CONVERT(int16_t, (float)v);
  case LIMN_I32:
    CONVERT(int32_t, (float)v);
  case LIMN_I64:
    CONVERT(int64_t, (float)v);
  case LIMN_U8:
    CONVERT(uint8_t, (float)v);
  case LIMN_U16:
    CONVERT(uint16_t, (float)v);
  case LIMN_U32:
    CONVERT(uint32_t, (float)v);
  case LIMN_U64:
    CONVERT(uint64_t, (float)v);
  case LIMN_BOOL:
    CONVERT(uint8_t, v ? 1.0f : 0.0f);
  case LIMN_DTYPE_COUNT:
    break;
  }
}
