/* Number formats: each value of the 16-bit ones by its definition, each format at each address. */
#include "check.h"

#include <limn/tensor.h>
#include <math.h>
#include <stdlib.h>

/* IEEE 754-2008, 3.4: the value of a binary16, in float64, which holds it exactly. */
static double f16_value(unsigned bits) {
  double sign = bits & 0x8000 ? -1 : 1;
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, -24);
  return sign * ldexp(1024 + fraction, exponent - 25);
}

static void every_f16(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 0x10000; bits++) {
    float x = limn_f16_to_f32((uint16_t)bits);
    double expected = f16_value(bits);
    if (isnan(expected)) {
      assert_true(isnan(x));
      assert_true(isnan(limn_f16_to_f32(limn_f32_to_f16(x))));
      continue;
    }
    if ((double)x != expected || !signbit(x) != !(bits & 0x8000))
      fail_msg("%04x is %g, expected %g", bits, (double)x, expected);
    assert_int_equal(limn_f32_to_f16(x), bits);
  }
}

/* Between two neighbours: up to the middle down, above it up, in the middle to the even one. */
static void f16_rounds_to_nearest_even(void **state) {
  (void)state;
  for (unsigned low = 0; low < 0x7c00; low++) {
    double below = f16_value(low), above = low == 0x7bff ? 65536 : f16_value(low + 1);
    float middle = (float)((below + above) / 2); /* exact: one more bit than binary16 has */
    unsigned even = low & 1 ? low + 1 : low;
    for (int sign = 0; sign < 2; sign++) {
      unsigned s = sign ? 0x8000 : 0;
      float m = sign ? -middle : middle, zero = 0.0f;
      assert_int_equal(limn_f32_to_f16(m), even | s);
      assert_int_equal(limn_f32_to_f16(nextafterf(m, zero)), low | s);
      assert_int_equal(limn_f32_to_f16(nextafterf(m, 2 * m)), (low + 1) | s);
    }
  }
  assert_int_equal(limn_f32_to_f16(INFINITY), 0x7c00);
  assert_int_equal(limn_f32_to_f16(-INFINITY), 0xfc00);
  assert_int_equal(limn_f32_to_f16(3e38f), 0x7c00);
  assert_int_equal(limn_f32_to_f16(1e-30f), 0);
  assert_int_equal(limn_f32_to_f16(-1e-30f), 0x8000);
}

static void every_bf16(void **state) {
  (void)state;
  for (unsigned bits = 0; bits < 0x10000; bits++) {
    float x = limn_bf16_to_f32((uint16_t)bits), expected;
    uint32_t wide = (uint32_t)bits << 16;
    memcpy(&expected, &wide, sizeof expected);
    assert_memory_equal(&x, &expected, sizeof x);
    if (isnan(x))
      assert_true(isnan(limn_bf16_to_f32(limn_f32_to_bf16(x))));
    else
      assert_int_equal(limn_f32_to_bf16(x), bits);
    if ((bits & 0x7fff) >= 0x7f80) continue; /* no finite number above */
    static const uint32_t rests[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (size_t r = 0; r < sizeof rests / sizeof *rests; r++) {
      uint32_t between = wide | rests[r];
      float y;
      memcpy(&y, &between, sizeof y);
      bool goes_up = rests[r] > 0x8000 || (rests[r] == 0x8000 && (bits & 1));
      assert_int_equal(limn_f32_to_bf16(y), bits + goes_up);
    }
  }
  /* A NaN whose payload lies in the lower half stays one. */
  uint32_t quiet = 0x7f800001;
  float nan_below;
  memcpy(&nan_below, &quiet, sizeof quiet);
  assert_true(isnan(limn_bf16_to_f32(limn_f32_to_bf16(nan_below))));
}

static const struct {
  limn_dtype dtype;
  const char *name;
  size_t size;
  unsigned char bytes[24];
  float values[3];
} formats[] = {
    {LIMN_F32,
     "F32",
     4,
     {0, 0, 0x80, 0x3f, 0, 0, 0, 0x80, 0, 0, 0x80, 0xff},
     {1, -0.0f, -INFINITY}},
    {LIMN_F64,
     "F64",
     8,
     {0,    0,    0,    0,    0,    0,    0xf8, 0x3f, 0x9a, 0x99, 0x99, 0x99,
      0x99, 0x99, 0xb9, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0x7f},
     {1.5f, 0.1f, INFINITY}},
    {LIMN_F16, "F16", 2, {0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc}, {1, 0x1p-24f, -INFINITY}},
    {LIMN_BF16, "BF16", 2, {0x80, 0x3f, 0x49, 0x40, 0x00, 0x80}, {1, 3.140625f, -0.0f}},
    {LIMN_I8, "I8", 1, {0, 0x7f, 0x80}, {0, 127, -128}},
    {LIMN_I16, "I16", 2, {0, 0, 0xff, 0x7f, 0x00, 0x80}, {0, 32767, -32768}},
    {LIMN_I32,
     "I32",
     4,
     {0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x00, 0x01, 0, 0, 0, 0x80},
     {-1, 16777216, -2147483648.0f}}, /* 2^24 + 1 to even */
    {LIMN_I64,
     "I64",
     8,
     {5,    0,    0,    0,    0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0,    0,    0,    0x80},
     {5, -1, -0x1p63f}},
    {LIMN_U8, "U8", 1, {0, 0x7f, 0xff}, {0, 127, 255}},
    {LIMN_U16, "U16", 2, {1, 0, 0, 0x80, 0xff, 0xff}, {1, 32768, 65535}},
    {LIMN_U32,
     "U32",
     4,
     {1, 0, 0, 0, 3, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
     {1, 16777220, 4294967296.0f}}, /* 2^24 + 3 to even */
    {LIMN_U64,
     "U64",
     8,
     {7, 0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,
      1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     {7, 4294967296.0f, 0x1p64f}},
    {LIMN_BOOL, "BOOL", 1, {0, 1, 2}, {0, 1, 1}},
};

/* The bytes lie at each of eight addresses on the heap, so that the sanitizers look. */
static void every_format_at_every_address(void **state) {
  (void)state;
  assert_int_equal(sizeof formats / sizeof *formats, LIMN_DTYPE_COUNT);
  for (size_t f = 0; f < LIMN_DTYPE_COUNT; f++) {
    size_t size = formats[f].size;
    assert_int_equal(limn_dtype_size(formats[f].dtype), size);
    assert_string_equal(limn_dtype_name(formats[f].dtype), formats[f].name);
    for (size_t shift = 0; shift < 8; shift++) {
      unsigned char *block = malloc(shift + 3 * size);
      memcpy(block + shift, formats[f].bytes, 3 * size);
      limn_stored s = {block + shift, formats[f].dtype, 1, {3}};
      assert_int_equal(limn_stored_count(&s), 3);
      for (int64_t start = 0; start <= 3; start++) {
        float got[3];
        limn_stored_to_f32(&s, start, 3 - start, got);
        for (int64_t i = start; i < 3; i++)
          if (memcmp(&got[i - start], &formats[f].values[i], sizeof *got) != 0)
            fail_msg("%s[%d] is %.9g, expected %.9g", formats[f].name, (int)i,
                     (double)got[i - start], (double)formats[f].values[i]);
      }
      free(block);
    }
  }
}

static void stored_of_a_tensor(void **state) {
  (void)state;
  float data[6] = {1, 2, 3, 4, 5, 6}, back[6];
  limn_tensor t = limn_tensor_view(data, 2, (int64_t[]){2, 3});
  limn_stored s = limn_stored_of(&t);
  assert_int_equal(s.dtype, LIMN_F32);
  assert_int_equal(limn_stored_count(&s), 6);
  limn_stored_to_f32(&s, 0, 6, back);
  assert_memory_equal(back, data, sizeof data);
  limn_stored scalar = {data, LIMN_F32, 0, {0}}, none = {NULL, LIMN_F64, 2, {3, 0}};
  assert_int_equal(limn_stored_count(&scalar), 1);
  assert_int_equal(limn_stored_count(&none), 0);
  limn_stored_to_f32(&none, 0, 0, back);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_f16),          cmocka_unit_test(f16_rounds_to_nearest_even),
      cmocka_unit_test(every_bf16),         cmocka_unit_test(every_format_at_every_address),
      cmocka_unit_test(stored_of_a_tensor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
