/*
 * emulated_tiles.h - the tile instructions in plain C, for processors that have none, and a table
 * of kernels on them.
 *
 * As Intel's manual defines them (volume 2, TDPBF16PS and TDPBSSD; volume 1, chapter 18): what is
 * multiplied and summed in which order, rounded to nearest even, subnormal operands taken for 0 and
 * subnormal results made 0. What a processor would refuse fails the test: a tile that is not
 * configured, one that does not fit the others, operands that are the same.
 */
#ifndef LIMN_TESTS_EMULATED_TILES_H
#define LIMN_TESTS_EMULATED_TILES_H

#include "check.h"

#include "kernels/kernels.h"

#include <math.h>
#include <stdatomic.h>

/* ---- the instructions -------------------------------------------------------------------------
 */

/* One for each thread, as in a processor. */
static _Thread_local struct emulated {
  bool is_configured;
  int rows[8], bytes[8];
  _Alignas(64) unsigned char tile[8][16][64];
} emulated;

/* How many products of tiles there were, by all threads. */
static atomic_int emulated_products;
/* Set by a test that wants to see a processor whose sums are wrong. */
static bool emulated_is_broken;

static void emulated_configure(const unsigned char *config) {
  assert_int_equal(config[0], 1); /* the palette */
  for (int i = 1; i < 16; i++)
    assert_int_equal(config[i], 0);
  memset(&emulated, 0, sizeof emulated);
  for (int t = 0; t < 16; t++) {
    int bytes = config[16 + 2 * t] | config[17 + 2 * t] << 8, rows = config[48 + t];
    assert_true(t < 8 ? bytes <= 64 && rows <= 16 && !bytes == !rows : bytes == 0 && rows == 0);
    if (t >= 8) continue;
    emulated.bytes[t] = bytes;
    emulated.rows[t] = rows;
  }
  emulated.is_configured = true;
}

static void emulated_release(void) {
  memset(&emulated, 0, sizeof emulated);
}

static void emulated_check(int t) {
  assert_true(emulated.is_configured && emulated.rows[t] > 0);
}

static void emulated_zero(int t) {
  emulated_check(t);
  memset(emulated.tile[t], 0, sizeof emulated.tile[t]);
}

static void emulated_load(int t, const void *p, int64_t step) {
  emulated_zero(t);
  for (int r = 0; r < emulated.rows[t]; r++)
    memcpy(emulated.tile[t][r], (const unsigned char *)p + r * step, (size_t)emulated.bytes[t]);
}

static void emulated_store(int t, void *p, int64_t step) {
  emulated_check(t);
  for (int r = 0; r < emulated.rows[t]; r++)
    memcpy((unsigned char *)p + r * step, emulated.tile[t][r], (size_t)emulated.bytes[t]);
}

static void emulated_check_product(int c, int a, int b) {
  emulated_check(c);
  emulated_check(a);
  emulated_check(b);
  assert_true(c != a && a != b && b != c);
  atomic_fetch_add_explicit(&emulated_products, 1, memory_order_relaxed);
  assert_true(emulated.rows[c] == emulated.rows[a] && emulated.bytes[c] == emulated.bytes[b]);
  assert_true(emulated.bytes[a] == 4 * emulated.rows[b]);
}

static float emulated_float(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/*
 * A result below the smallest normal number is 0. `exact` is the result in float64: what float32
 * rounds up to the smallest normal number because subnormal numbers are coarse is one too, where
 * 24 bits would not have reached it.
 */
static float flushed(float x, double exact) {
  if (fabs(exact) >= 0x1p-126) return x;
  return fabs(exact) < 0x1p-126 - 0x1p-151 ? copysignf(0, x) : copysignf(0x1p-126f, x);
}

static float without_subnormal(float x) {
  return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static float emulated_add(float a, float b) {
  a = without_subnormal(a);
  b = without_subnormal(b);
  return flushed(a + b, (double)a + (double)b);
}

/* c + a b, rounded once; a and b bfloat16. */
static float emulated_multiply_add(uint16_t a, uint16_t b, float c) {
  float x = without_subnormal(emulated_float((uint32_t)a << 16));
  float y = without_subnormal(emulated_float((uint32_t)b << 16));
  return flushed(fmaf(x, y, c), (double)x * (double)y + (double)c);
}

static void emulated_bf16(int c, int a, int b) {
  emulated_check_product(c, a, b);
  for (int m = 0; m < emulated.rows[c]; m++) {
    float sums[16][2] = {{0}};
    uint16_t x[32], y[32];
    float old[16];
    memcpy(x, emulated.tile[a][m], sizeof x);
    memcpy(old, emulated.tile[c][m], sizeof old);
    for (int k = 0; k < emulated.rows[b]; k++) {
      memcpy(y, emulated.tile[b][k], sizeof y);
      for (int n = 0; n < emulated.bytes[b] / 4; n++)
        for (int half = 0; half < 2; half++)
          sums[n][half] = emulated_multiply_add(x[2 * k + half], y[2 * n + half], sums[n][half]);
    }
    for (int n = 0; n < emulated.bytes[c] / 4; n++)
      old[n] = emulated_add(old[n], emulated_add(sums[n][0], sums[n][1]));
    if (emulated_is_broken) old[3] += 1;
    memcpy(emulated.tile[c][m], old, sizeof old);
  }
}

static void emulated_bytes(int c, int a, int b) {
  emulated_check_product(c, a, b);
  for (int m = 0; m < emulated.rows[c]; m++) {
    int32_t sums[16];
    int8_t x[64], y[64];
    memcpy(x, emulated.tile[a][m], sizeof x);
    memcpy(sums, emulated.tile[c][m], sizeof sums);
    for (int k = 0; k < emulated.rows[b]; k++) {
      memcpy(y, emulated.tile[b][k], sizeof y);
      for (int n = 0; n < emulated.bytes[b] / 4; n++)
        for (int i = 0; i < 4; i++)
          sums[n] += x[4 * k + i] * y[4 * n + i];
    }
    if (emulated_is_broken) sums[3] += 1;
    memcpy(emulated.tile[c][m], sums, sizeof sums);
  }
}

/* ---- a table on them --------------------------------------------------------------------------
 */

#define PLAIN                  (&limn_kernels_scalar)
#define TILE_CONFIGURE(p)      emulated_configure((const unsigned char *)(p))
#define TILE_RELEASE()         emulated_release()
#define TILE_ZERO(t)           emulated_zero(t)
#define TILE_LOAD(t, p, step)  emulated_load(t, p, step)
#define TILE_STORE(t, p, step) emulated_store(t, p, step)
#define TILE_BF16(c, a, b)     emulated_bf16(c, a, b)
#define TILE_BYTES(c, a, b)    emulated_bytes(c, a, b)

typedef struct sixteen {
  float lane[16];
} V;
#define EACH_LANE for (int i = 0; i < 16; i++)

static inline V V_LOAD(const float *p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void V_STORE(float *p, V v) {
  memcpy(p, &v, sizeof v);
}

static inline V V_LOAD_INTS(const int32_t *p) {
  V v;
  EACH_LANE v.lane[i] = (float)p[i];
  return v;
}

static inline V V_SET(float x) {
  V v;
  EACH_LANE v.lane[i] = x;
  return v;
}

static inline V V_MUL(V a, V b) {
  EACH_LANE a.lane[i] *= b.lane[i];
  return a;
}

static inline V V_FMA(V a, V b, V c) {
  EACH_LANE c.lane[i] = fmaf(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

#include "kernels/tiles.h"

static const limn_tiles emulated_tiles = TILES;

/* The scalar table with tiles: "amx-emulated". */
static inline limn_kernels emulated_kernels(void) {
  limn_kernels k = limn_kernels_scalar;
  k.name = "amx-emulated";
  k.tiles = &emulated_tiles;
  k.product_q8 = tile_product_q8;
  k.product_q4 = tile_product_q4;
  return k;
}

#endif
