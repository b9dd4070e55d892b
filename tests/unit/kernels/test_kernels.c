/*
 * Every table of kernels that this processor can run, against arithmetic of the test's own in
 * float64: sizes 0, 1, around vectors, tiles, chains and panels; arrays that end at a page nobody
 * may touch; and the promise that rows, formats and cuts change no bit.
 *
 * Bounds. u = 2^-24 is float32's rounding. A sum of chains makes at most LIMN_CHAIN roundings in a
 * chain and one for each chain, each of at most u of what was summed so far, so an output is off by
 * no more than (LIMN_CHAIN + chains + 1) u times the sum of |a b| (Higham 2002, section 3.1).
 */
#include "check.h"
#include "tables.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define U 0x1p-24

/* ---- arrays that end at a guard page ----------------------------------------------------------
 */

enum { PAGE = 4096, MOST = 1 << 20 };

typedef struct guarded {
  unsigned char *map, *end;
} guarded;

static guarded guard_new(void) {
  guarded g;
  g.map = mmap(NULL, MOST + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(g.map != MAP_FAILED);
  g.end = g.map + MOST;
  assert_int_equal(mprotect(g.end, PAGE, PROT_NONE), 0);
  return g;
}

static void guard_free(guarded g) {
  munmap(g.map, MOST + PAGE);
}

/* n bytes whose last is the last before the guard. */
static void *guard_take(guarded g, size_t n) {
  assert_true(n <= MOST);
  return g.end - n;
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

static uint32_t seed = 1;

static float next(void) {
  seed = seed * 1664525u + 1013904223u;
  return (float)(int32_t)seed * 0x1p-31f;
}

static void fill(float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    x[i] = next();
}

static double sum_bound(int64_t k) {
  return ((double)LIMN_CHAIN + (double)k / LIMN_CHAIN + 2) * U;
}

/* ---- product ----------------------------------------------------------------------------------
 */

typedef struct shape {
  int64_t n, k, width;
} shape;

static void check_product(const limn_kernels *t, shape s, limn_sum sum, guarded *g) {
  int64_t a_step = s.k + 3, b_step = s.width + 5, c_step = s.width + 2;
  float *a = guard_take(g[0], (size_t)((s.n ? (s.n - 1) * a_step : 0) + s.k) * sizeof *a);
  float *b = guard_take(g[1], (size_t)((s.k ? (s.k - 1) * b_step : 0) + s.width) * sizeof *b);
  float *c = guard_take(g[2], (size_t)((s.n ? (s.n - 1) * c_step : 0) + s.width) * sizeof *c);
  int64_t n_c = s.n ? (s.n - 1) * c_step + s.width : 0;
  float before[4096];
  assert_true(n_c <= 4096);
  fill(a, s.n ? (s.n - 1) * a_step + s.k : 0);
  fill(b, s.k ? (s.k - 1) * b_step + s.width : 0);
  fill(c, n_c);
  if (n_c) memcpy(before, c, (size_t)n_c * sizeof *c);
  t->product(s.n, s.k, a, a_step, b, b_step, c, c_step, s.width, sum);
  for (int64_t i = 0; i < n_c; i++) {
    int64_t r = i / c_step, j = i % c_step;
    if (j >= s.width) { /* between the rows */
      assert_true(c[i] == before[i]);
      continue;
    }
    double exact = sum == LIMN_SUM_SET ? 0 : (double)before[i], size = fabs(exact);
    for (int64_t k = 0; k < s.k; k++) {
      double term = (double)a[r * a_step + k] * (double)b[k * b_step + j];
      exact += term;
      size += fabs(term);
    }
    double bound = sum == LIMN_SUM_ON ? (double)(s.k + 1) * U : sum_bound(s.k);
    if (!(fabs((double)c[i] - exact) <= bound * size))
      fail_msg("%s: (%lld, %lld, %lld) at row %lld, column %lld: %.9g, expected %.9g", t->name,
               (long long)s.n, (long long)s.k, (long long)s.width, (long long)r, (long long)j,
               (double)c[i], exact);
  }
}

static void products_of_all_sizes(void **state) {
  (void)state;
  static const int64_t ns[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 13},
                       ks[] = {0, 1, 2, 31, 32, 33, 100, 257};
  static const int64_t widths[] = {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64};
  guarded g[3] = {guard_new(), guard_new(), guard_new()};
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (size_t n = 0; n < sizeof ns / sizeof *ns; n++)
      for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
          check_product(t, (shape){ns[n], ks[k], widths[w]}, (limn_sum)((n + k + w) % 3), g);
  }
  for (int i = 0; i < 3; i++)
    guard_free(g[i]);
}

/* One row at a time, or its columns in two parts, or all at once: the same bits. */
static void cuts_change_no_bit(void **state) {
  (void)state;
  enum { N = 20, K = 200 };
  static float a[N * K], b[K * LIMN_PANEL], whole[N * LIMN_PANEL], cut[N * LIMN_PANEL];
  const limn_kernels *t;
  fill(a, N * K);
  fill(b, K * LIMN_PANEL);
  FOR_EACH_TABLE(t) {
    for (int sum = LIMN_SUM_SET; sum <= LIMN_SUM_ON; sum++) {
      memset(whole, 0, sizeof whole);
      memset(cut, 0, sizeof cut);
      t->product(N, K, a, K, b, LIMN_PANEL, whole, LIMN_PANEL, LIMN_PANEL, (limn_sum)sum);
      for (int64_t r = 0; r < N; r++)
        for (int64_t at = 0, width = 19 + r; at < LIMN_PANEL; at += width, width = LIMN_PANEL - at)
          t->product(1, K, a + r * K, K, b + at, LIMN_PANEL, cut + r * LIMN_PANEL + at, LIMN_PANEL,
                     width, (limn_sum)sum);
      assert_memory_equal(whole, cut, sizeof whole);
    }
    /* From a row that is the same for all. */
    for (int64_t width = 1; width <= LIMN_PANEL; width += 9) {
      for (int64_t i = 0; i < N * LIMN_PANEL; i++) {
        cut[i] = NAN;
        whole[i] = i % LIMN_PANEL < width ? b[i % LIMN_PANEL] : NAN;
      }
      t->product_from(N, K, a, K, b, LIMN_PANEL, b, cut, LIMN_PANEL, width);
      t->product(N, K, a, K, b, LIMN_PANEL, whole, LIMN_PANEL, width, LIMN_SUM_ADD);
      assert_memory_equal(whole, cut, sizeof whole);
    }
    memset(whole, 0, sizeof whole);
    t->product(N, K, a, K, b, LIMN_PANEL, whole, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_ON);
    /* A chain that goes on where another stopped; chains added in two calls. */
    memset(cut, 0, sizeof cut);
    t->product(N, 77, a, K, b, LIMN_PANEL, cut, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_ON);
    t->product(N, K - 77, a + 77, K, b + 77 * LIMN_PANEL, LIMN_PANEL, cut, LIMN_PANEL, LIMN_PANEL,
               LIMN_SUM_ON);
    assert_memory_equal(whole, cut, sizeof whole);
    t->product(N, K, a, K, b, LIMN_PANEL, whole, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_SET);
    memset(cut, 0, sizeof cut);
    t->product(N, 64, a, K, b, LIMN_PANEL, cut, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_ADD);
    t->product(N, K - 64, a + 64, K, b + 64 * LIMN_PANEL, LIMN_PANEL, cut, LIMN_PANEL, LIMN_PANEL,
               LIMN_SUM_ADD);
    assert_memory_equal(whole, cut, sizeof whole);
  }
}

static void nan_and_infinity_stay_in_their_places(void **state) {
  (void)state;
  enum { K = 40 };
  float a[K], b[K * LIMN_PANEL], c[LIMN_PANEL];
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int i = 0; i < K; i++)
      a[i] = 1;
    fill(b, K * LIMN_PANEL);
    b[7 * LIMN_PANEL + 3] = INFINITY;
    b[35 * LIMN_PANEL + 9] = NAN;
    b[1 * LIMN_PANEL + 20] = INFINITY;
    b[39 * LIMN_PANEL + 20] = -INFINITY;
    t->product(1, K, a, K, b, LIMN_PANEL, c, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_SET);
    for (int j = 0; j < LIMN_PANEL; j++)
      assert_true(j == 3 ? c[j] == INFINITY : j == 9 || j == 20 ? isnan(c[j]) : isfinite(c[j]));
  }
}

/* ---- formats ----------------------------------------------------------------------------------
 */

/* Rounding to a format as another room defines it. */
static float stored_as(limn_format format, float x) {
  return format == LIMN_FORMAT_F16    ? limn_f16_to_f32(limn_f32_to_f16(x))
         : format == LIMN_FORMAT_BF16 ? limn_bf16_to_f32(limn_f32_to_bf16(x))
                                      : x;
}

/* Packs to the end of memory, unpacks, multiplies. */
static void check_format(const limn_kernels *t, limn_format format, int64_t k, guarded *g) {
  float *rows = guard_take(g[0], (size_t)(k * LIMN_PANEL) * sizeof *rows);
  size_t size = limn_panel_size(format, k);
  unsigned char *panel = guard_take(g[1], size);
  float *a = guard_take(g[2], (size_t)k * sizeof *a);
  float *out = guard_take(g[3], (size_t)(k * LIMN_PANEL) * sizeof *out);
  float *reference = malloc((size_t)(k * LIMN_PANEL + 1) * sizeof *reference);
  float row[LIMN_PANEL], product[LIMN_PANEL];
  fill(rows, k * LIMN_PANEL);
  fill(a, k);
  for (int64_t k0 = 0; k0 < k; k0 += LIMN_CHUNK)
    t->pack(format, panel + limn_panel_size(format, k0), k - k0 < LIMN_CHUNK ? k - k0 : LIMN_CHUNK,
            rows + k0 * LIMN_PANEL);
  unsigned char *same = malloc(size + 1);
  limn_kernels_scalar.pack(format, same, k, rows);
  assert_memory_equal(same, panel, size);
  free(same);
  t->unpack[format](panel, k, out);
  limn_kernels_scalar.unpack[format](panel, k, reference);
  assert_memory_equal(out, reference, (size_t)(k * LIMN_PANEL) * sizeof *out);
  for (int64_t i = 0; i < k * LIMN_PANEL && format <= LIMN_FORMAT_BF16; i++)
    assert_true(out[i] == stored_as(format, rows[i]));
  for (int64_t i = 0; i < k * LIMN_PANEL && format > LIMN_FORMAT_BF16; i++)
    if (!(fabsf(out[i] - rows[i]) <= (format == LIMN_FORMAT_Q8 ? 0.0041f : 0.17f)))
      fail_msg("format %d stores %g as %g", format, (double)rows[i], (double)out[i]);
  if (t->row[format]) {
    fill(row, LIMN_PANEL);
    memcpy(product, row, sizeof row);
    t->row[format](panel, k, a, row);
    t->product(1, k, a, k, out, LIMN_PANEL, product, LIMN_PANEL, LIMN_PANEL, LIMN_SUM_ADD);
    assert_memory_equal(row, product, sizeof row);
  }
  free(reference);
}

/* The scale of 32 numbers in [-1, 1] is 1/127 or 1/7 at most, and rounding is half of it; the 8
   bits of the scale itself, and q4's ends, add a little. */
static void formats_keep_what_they_can(void **state) {
  (void)state;
  static const int64_t ks[] = {1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 65, 255, 256, 257, 300};
  guarded g[4] = {guard_new(), guard_new(), guard_new(), guard_new()};
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int format = 0; format < LIMN_FORMAT_COUNT; format++)
      for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        check_format(t, (limn_format)format, ks[i], g);
  }
  for (int i = 0; i < 4; i++)
    guard_free(g[i]);
}

static void special_weights_stay_special(void **state) {
  (void)state;
  static float rows[LIMN_QUANT * LIMN_PANEL], out[LIMN_QUANT * LIMN_PANEL];
  static unsigned char panel[LIMN_QUANT * LIMN_PANEL * 4];
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int format = 0; format < LIMN_FORMAT_COUNT; format++) {
      memset(rows, 0, sizeof rows);
      rows[3 * LIMN_PANEL + 1] = NAN;
      rows[4 * LIMN_PANEL + 2] = INFINITY;
      rows[5 * LIMN_PANEL + 3] = 1e-42f; /* has no scale in q8, q4: 0 */
      rows[6 * LIMN_PANEL + 4] = -1.5f;
      t->pack((limn_format)format, panel, LIMN_QUANT, rows);
      t->unpack[format](panel, LIMN_QUANT, out);
      assert_true(out[0] == 0 && isnan(out[3 * LIMN_PANEL + 1]));
      assert_true(!isfinite(out[4 * LIMN_PANEL + 2]));
      assert_true(fabsf(out[5 * LIMN_PANEL + 3]) < 1e-41f);
      assert_true(fabsf(out[6 * LIMN_PANEL + 4] + 1.5f) < 0.01f);
      assert_true(out[7 * LIMN_PANEL + 4] == 0);
    }
  }
}

/* The subnormals, the largest, halfway cases: as the room of number formats rounds them. */
static void float16_rounds_as_everywhere(void **state) {
  (void)state;
  static float rows[2 * LIMN_PANEL];
  uint16_t panel[2 * LIMN_PANEL];
  const limn_kernels *t;
  FOR_EACH_TABLE(t) for (uint32_t bits = 0; bits < 0xffffff00u; bits += 0x10001u * 37) {
    for (int i = 0; i < 2 * LIMN_PANEL; i++) {
      uint32_t here = bits + (uint32_t)i * 0x1003u;
      memcpy(&rows[i], &here, sizeof here);
    }
    t->pack(LIMN_FORMAT_F16, panel, 2, rows);
    for (int i = 0; i < 2 * LIMN_PANEL; i++)
      if (!isnan(rows[i])) assert_int_equal(panel[i], limn_f32_to_f16(rows[i]));
    t->pack(LIMN_FORMAT_BF16, panel, 2, rows);
    for (int i = 0; i < LIMN_PANEL; i++) {
      assert_int_equal(panel[2 * i], limn_f32_to_bf16(rows[i]));
      assert_int_equal(panel[2 * i + 1], limn_f32_to_bf16(rows[LIMN_PANEL + i]));
    }
  }
}

/* ---- products that round ----------------------------------------------------------------------
 */

/* A product that rounds, whichever the format asks for, over all rows of x. */
typedef struct rounding {
  const limn_kernels *t;
  limn_format format;
  const uint16_t *halves;
  limn_quantized bytes;
  const void *panel;
} rounding;

static void round_product(const rounding *p, int64_t n, int64_t k, const float *start, float *c,
                          int64_t width) {
  if (p->format == LIMN_FORMAT_BF16)
    p->t->product_bf16(n, k, p->halves, k, p->panel, start, c, LIMN_PANEL, width);
  else
    (p->format == LIMN_FORMAT_Q8 ? p->t->product_q8 : p->t->product_q4)(
        n, k, p->bytes, k, p->panel, start, c, LIMN_PANEL, width);
}

/* Rows that start from a bias are those that held it, and a row alone is that among others. */
static void check_rows(const rounding *p, int64_t n, int64_t k, int64_t width) {
  enum { N = 14 };
  float bias[LIMN_PANEL], held[N * LIMN_PANEL], started[N * LIMN_PANEL];
  fill(bias, LIMN_PANEL);
  for (int64_t i = 0; i < N * LIMN_PANEL; i++) {
    bool is_inside = i / LIMN_PANEL < n && i % LIMN_PANEL < width;
    held[i] = is_inside ? bias[i % LIMN_PANEL] : 0;
    started[i] = is_inside ? NAN : 0;
  }
  round_product(p, n, k, NULL, held, width);
  round_product(p, n, k, bias, started, width);
  assert_memory_equal(held, started, sizeof held);
  for (int64_t r = 0; r < n; r++) {
    int64_t at = r * k, block = at / LIMN_QUANT;
    rounding row = *p;
    if (p->format == LIMN_FORMAT_BF16)
      row.halves += at;
    else
      row.bytes = (limn_quantized){p->bytes.q + at, p->bytes.scale + block, p->bytes.less + block};
    round_product(&row, 1, k, bias, started + r * LIMN_PANEL, width);
  }
  assert_memory_equal(held, started, sizeof held);
}

/* bf16: the products of bfloat16 are exact, and the sum makes one rounding a term, up to 2 u. */
static void products_of_bfloat16(void **state) {
  (void)state;
  enum { N = 14, K = 96 };
  static float x[N * K], rows[K * LIMN_PANEL], w[K * LIMN_PANEL], c[N * LIMN_PANEL];
  static uint16_t a[N * K];
  static uint32_t panel[K / 2 * LIMN_PANEL];
  const limn_kernels *t;
  fill(x, N * K);
  fill(rows, K * LIMN_PANEL);
  limn_kernels_scalar.pack(LIMN_FORMAT_BF16, panel, K, rows);
  limn_kernels_scalar.unpack[LIMN_FORMAT_BF16](panel, K, w);
  FOR_EACH_TABLE(t) {
    t->round_bf16(N * K, x, a);
    for (int i = 0; i < N * K; i++)
      assert_int_equal(a[i], limn_f32_to_bf16(x[i]));
    for (int64_t n = 0; n <= N; n++)
      for (int64_t width = 1; width <= LIMN_PANEL; width += 21) {
        memset(c, 0, sizeof c);
        t->product_bf16(n, K, a, K, panel, NULL, c, LIMN_PANEL, width);
        for (int64_t i = 0; i < N * LIMN_PANEL; i++) {
          int64_t r = i / LIMN_PANEL, j = i % LIMN_PANEL;
          double exact = 0, size = 0;
          for (int64_t k = 0; k < K && r < n && j < width; k++) {
            double term = (double)limn_bf16_to_f32(a[r * K + k]) * (double)w[k * LIMN_PANEL + j];
            exact += term;
            size += fabs(term);
          }
          assert_true(fabs((double)c[i] - exact) <= 2 * K * U * size);
        }
        check_rows(&(rounding){t, LIMN_FORMAT_BF16, a, {0}, panel}, n, K, width);
      }
  }
}

/* Whole numbers are summed exactly; each block of 32 adds three roundings. */
static void check_whole_numbers(const limn_kernels *t, limn_format format) {
  enum { N = 14, K = 96, BLOCKS = K / LIMN_QUANT };
  static float x[N * K], rows[K * LIMN_PANEL], w[K * LIMN_PANEL], c[N * LIMN_PANEL];
  static int8_t q[N * K];
  static float scale[N * BLOCKS];
  static int32_t less[N * BLOCKS];
  static unsigned char panel[BLOCKS * LIMN_BLOCK_Q8];
  limn_quantized a = {q, scale, less};
  fill(x, N * K);
  fill(rows, K * LIMN_PANEL);
  t->pack(format, panel, K, rows);
  limn_kernels_scalar.unpack[format](panel, K, w);
  t->quantize(N * K, x, a);
  for (int i = 0; i < N * K; i++)
    assert_true(fabsf((float)q[i] * scale[i / LIMN_QUANT] - x[i]) <=
                0.501f * scale[i / LIMN_QUANT]);
  for (int64_t n = 0; n <= N; n++)
    for (int64_t width = 1; width <= LIMN_PANEL; width += 21) {
      memset(c, 0, sizeof c);
      round_product(&(rounding){t, format, NULL, a, panel}, n, K, NULL, c, width);
      for (int64_t i = 0; i < N * LIMN_PANEL; i++) {
        int64_t r = i / LIMN_PANEL, j = i % LIMN_PANEL;
        double exact = 0, size = 0;
        for (int64_t k = 0; k < K && r < n && j < width; k++) {
          double term = (double)q[r * K + k] * (double)scale[(r * K + k) / LIMN_QUANT] *
                        (double)w[k * LIMN_PANEL + j];
          exact += term;
          size += fabs(term);
        }
        assert_true(fabs((double)c[i] - exact) <= 3 * BLOCKS * U * size);
      }
      check_rows(&(rounding){t, format, NULL, a, panel}, n, K, width);
    }
}

static void products_of_whole_numbers(void **state) {
  (void)state;
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    check_whole_numbers(t, LIMN_FORMAT_Q8);
    check_whole_numbers(t, LIMN_FORMAT_Q4);
  }
}

/* Rows and columns as words: whole numbers are summed exactly, and rounded four times after that.
 */
static void check_words(const limn_kernels *t, int64_t n, int64_t k, int64_t width) {
  enum { N = 14 };
  static int16_t a[N * LIMN_WORDS], panel[LIMN_WORDS * LIMN_PANEL];
  float x[LIMN_WORDS], a_scale[N], scale[LIMN_PANEL], bias[LIMN_PANEL], c[N * LIMN_PANEL];
  float alone[N * LIMN_PANEL];
  fill(scale, LIMN_PANEL);
  fill(bias, LIMN_PANEL);
  for (int64_t r = 0; r < n; r++) {
    fill(x, k);
    a_scale[r] = t->round_words(k, x, LIMN_MOST_ROW, a + r * LIMN_WORDS);
  }
  for (int64_t i = 0; i < k && n > 1; i++) /* the largest sum there is, in some columns */
    a[i] = LIMN_MOST_ROW;
  for (int64_t i = 0; i < k * LIMN_PANEL; i++)
    panel[i] = (int16_t)(i / 2 % 3 ? LIMN_MOST_WEIGHT : (int)(next() * LIMN_MOST_WEIGHT));
  for (int64_t i = 0; i < N * LIMN_PANEL; i++)
    c[i] = 7;
  memcpy(alone, c, sizeof c);
  t->product_words(n, k, a, LIMN_WORDS, a_scale, panel, scale, bias, c, LIMN_PANEL, width);
  for (int64_t i = 0; i < N * LIMN_PANEL; i++) {
    int64_t r = i / LIMN_PANEL, j = i % LIMN_PANEL, dot = 0;
    if (r >= n || j >= width) {
      assert_true(c[i] == 7);
      continue;
    }
    for (int64_t m = 0; m < k; m++)
      dot += (int64_t)a[r * LIMN_WORDS + m] * panel[(m / 2 * LIMN_PANEL + j) * 2 + m % 2];
    double exact = (double)dot * (double)a_scale[r] * (double)scale[j];
    assert_true(fabs((double)c[i] - exact - (double)bias[j]) <=
                4 * U * (fabs(exact) + fabs((double)bias[j])));
  }
  for (int64_t r = 0; r < n; r++) {
    memcpy(alone + r * LIMN_PANEL, bias, (size_t)width * sizeof *alone);
    t->product_words(1, k, a + r * LIMN_WORDS, 0, a_scale + r, panel, scale, NULL,
                     alone + r * LIMN_PANEL, 0, width);
  }
  assert_memory_equal(alone, c, sizeof c);
}

static void products_of_words(void **state) {
  (void)state;
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int64_t n = 0; n <= 14; n++)
      for (int64_t k = 2; k <= LIMN_WORDS; k += n % 2 ? 2 : 62)
        for (int64_t width = 1; width <= LIMN_PANEL; width += 21)
          check_words(t, n, k, width);
  }
}

/* Each number within half a unit; all tables alike, whatever there is. */
static void words_of_rows(void **state) {
  (void)state;
  static const float special[] = {0, -0.0f, 1e-38f, -3e-31f, 1, -2, 3e38f, INFINITY, NAN};
  enum { N_SPECIAL = sizeof special / sizeof *special };
  guarded g = guard_new();
  const limn_kernels *t;
  for (int64_t n = 0; n <= LIMN_WORDS; n++)
    for (int s = -1; s < N_SPECIAL; s++) {
      float *x = guard_take(g, (size_t)n * sizeof *x);
      int16_t want[LIMN_WORDS], got[LIMN_WORDS];
      fill(x, n);
      if (s >= 0 && n > 0) x[n / 2] = special[s];
      float scale = limn_kernels_scalar.round_words(n, x, LIMN_MOST_ROW, want);
      for (int64_t i = 0; i < n; i++) {
        assert_true(abs(want[i]) <= LIMN_MOST_ROW && (isfinite(scale) || want[i] == 0));
        if (isfinite(scale))
          assert_true(fabsf((float)want[i] * scale - x[i]) <= 0.501f * scale + 1e-30f);
      }
      if (n > 0) assert_true(isfinite(scale) == isfinite(x[n / 2]));
      FOR_EACH_TABLE(t) {
        float other = t->round_words(n, x, LIMN_MOST_ROW, got);
        assert_memory_equal(&scale, &other, sizeof scale);
        assert_memory_equal(want, got, (size_t)n * sizeof *want);
      }
    }
  guard_free(g);
}

static void quantizing_ends_with_zeros(void **state) {
  (void)state;
  guarded g = guard_new();
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int64_t n = 1; n <= 65; n++) {
      float *x = guard_take(g, (size_t)n * sizeof *x), scale[3];
      int8_t q[96];
      int32_t less[3];
      fill(x, n);
      memset(q, 1, sizeof q);
      t->quantize(n, x, (limn_quantized){q, scale, less});
      int64_t end = (n + 31) / 32 * 32;
      for (int64_t b = 0; b < end / 32; b++) {
        int32_t sum = 0;
        for (int i = 0; i < 32; i++)
          sum += q[b * 32 + i];
        assert_int_equal(-sum, less[b]);
      }
      for (int64_t i = n; i < 96; i++)
        assert_int_equal(q[i], i < end ? 0 : 1);
    }
    float special[64] = {0, NAN}, scale[2];
    int8_t q[64];
    int32_t less[2];
    special[40] = 1e-44f;
    t->quantize(64, special, (limn_quantized){q, scale, less});
    assert_true(isnan(scale[0]) && less[0] == 0 && isfinite(scale[1]) && less[1] == 0);
  }
  guard_free(g);
}

/* ---- functions --------------------------------------------------------------------------------
 */

static double exact_activation(int which, double x) {
  switch (which) {
  case LIMN_ACTIVATION_RELU:
    return x < 0 ? 0 : x;
  case LIMN_ACTIVATION_GELU_TANH:
    return x / (1 + exp(-1.59576912160573071176 * (x + 0.044715 * x * x * x)));
  case LIMN_ACTIVATION_GELU_ERF:
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
  case LIMN_ACTIVATION_QUICK_GELU:
    return x / (1 + exp(-1.702 * x));
  default:
    return x / (1 + exp(-x));
  }
}

/*
 * x / (1 + e^-u): e^-u has a relative error of 1.1 ulp plus what the rounding of u brings, about
 * 3 u |u|; the sum and the quotient add a rounding each. Where e^-u is beyond float32 the result is
 * 0 instead of less than 1e-35.
 */
static void check_activation(const limn_kernels *t, int which) {
  enum { N = 4001 };
  static float x[N], y[N];
  for (int i = 0; i < N; i++)
    x[i] = ((float)i - 2000) * 0.01f + 0.001f * next();
  x[0] = 0;
  x[1] = 1e30f;
  x[2] = -1e30f;
  x[3] = 1e-40f;
  t->activate[which](1, N, x, N, y, N);
  for (int i = 0; i < N; i++) {
    double exact = exact_activation(which, (double)x[i]), u = 0;
    if (which == LIMN_ACTIVATION_GELU_TANH)
      u = 1.6 * (fabs((double)x[i]) + 0.05 * fabs(pow(x[i], 3)));
    if (which == LIMN_ACTIVATION_GELU_ERF && x[i] < 0) u = 1 + fabs((double)x[i]);
    if (which == LIMN_ACTIVATION_QUICK_GELU || which == LIMN_ACTIVATION_SILU)
      u = 1.8 * fabs((double)x[i]);
    double bound = U * (6 + 4 * fmin(u, 105)) * fabs(exact) + 1e-35;
    if (!(fabs((double)y[i] - exact) <= bound))
      fail_msg("%s: activation %d of %.9g is %.9g, expected %.9g", t->name, which, (double)x[i],
               (double)y[i], exact);
  }
  float special[3] = {NAN, INFINITY, -INFINITY};
  t->activate[which](1, 3, special, 3, special, 3);
  assert_true(isnan(special[0]) && special[1] == INFINITY);
}

/* In place, with steps, at the end of memory, in whole vectors or not: the same bits. */
static void check_activation_cuts(const limn_kernels *t, int which, guarded g) {
  float x[3 * 37], y[3 * 37];
  fill(x, 3 * 37);
  memcpy(y, x, sizeof y);
  t->activate[which](3, 30, x, 37, y, 37);
  for (int i = 0; i < 3 * 37; i++) {
    float *one = guard_take(g, sizeof *one);
    *one = x[i];
    if (i % 37 < 30) t->activate[which](1, 1, one, 1, one, 1);
    assert_memory_equal(one, y + i, sizeof *one);
  }
}

static void activations(void **state) {
  (void)state;
  guarded g = guard_new();
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int which = 0; which < LIMN_N_ACTIVATIONS; which++) {
      check_activation(t, which);
      check_activation_cuts(t, which, g);
    }
  }
  guard_free(g);
}

/* Each e^x within 1.1 ulp, the sum of n within n u, the quotient two roundings. */
static void check_softmax(const limn_kernels *t, int64_t n, float spread, guarded g) {
  float *x = guard_take(g, (size_t)n * sizeof *x);
  double exact[300], sum = 0, most = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    x[i] = spread * next();
    most = fmax(most, (double)x[i]);
  }
  for (int64_t i = 0; i < n; i++)
    sum += exact[i] = exp((double)x[i] - most);
  t->softmax(n, x);
  for (int64_t i = 0; i < n; i++) {
    /* x - max is rounded once: u of it, up to 2 spread. */
    double bound = U * ((double)n / 16 + 24 + 4 * (double)spread) * exact[i] / sum + 0x1p-140;
    if (!(fabs((double)x[i] - exact[i] / sum) <= bound))
      fail_msg("%s: softmax of %lld at %lld: %.9g, expected %.9g", t->name, (long long)n,
               (long long)i, (double)x[i], exact[i] / sum);
  }
}

static void softmaxes(void **state) {
  (void)state;
  guarded g = guard_new();
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    t->softmax(0, NULL);
    for (int64_t n = 1; n <= 300; n += n < 70 ? 1 : 23) {
      check_softmax(t, n, 1, g);
      check_softmax(t, n, 60, g);
    }
    float row[21] = {1, -INFINITY, 1};
    for (int i = 3; i < 21; i++)
      row[i] = -INFINITY;
    t->softmax(21, row);
    assert_true(row[0] == 0.5f && row[1] == 0 && row[2] == 0.5f && row[20] == 0);
    for (int at = 0; at < 21; at += 4) {
      fill(row, 21);
      row[at] = at % 8 ? NAN : INFINITY;
      t->softmax(21, row);
      for (int i = 0; i < 21; i++)
        assert_true(isnan(row[at]) && (at % 8 == 0 || isnan(row[i])));
    }
  }
  guard_free(g);
}

/* Mean and divisor in float64, then four roundings; a mean far from 0 costs nothing. */
static void check_norm(const limn_kernels *t, int64_t n, float offset, guarded *g) {
  float *x = guard_take(g[0], (size_t)n * sizeof *x), *w = guard_take(g[1], (size_t)n * sizeof *w);
  float *b = guard_take(g[2], (size_t)n * sizeof *b), *y = guard_take(g[3], (size_t)n * sizeof *y);
  double mean = 0, squares = 0;
  fill(x, n);
  fill(w, n);
  fill(b, n);
  for (int64_t i = 0; i < n; i++)
    mean += (double)(x[i] += offset) / (double)n;
  for (int64_t i = 0; i < n; i++)
    squares += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
  double scale = sqrt(squares + 1e-5);
  float found = t->norm_scale(n, x, 1e-5f);
  assert_true(fabs((double)found - scale) <= 2 * U * scale);
  t->normalize(n, x, found, w, b, y);
  for (int64_t i = 0; i < n; i++) {
    double z = ((double)x[i] - mean) / scale, exact = z * (double)w[i] + (double)b[i];
    double bound = U * (6 * fabs(z * (double)w[i]) + fabs(exact) +
                        4 * fabs((double)x[i] - mean) / scale * fabs((double)w[i])) +
                   1e-9;
    assert_true(fabs((double)y[i] - exact) <= bound);
  }
  t->normalize(n, x, found, w, b, x);
  assert_memory_equal(x, y, (size_t)n * sizeof *x);
}

static void layer_norms(void **state) {
  (void)state;
  guarded g[4] = {guard_new(), guard_new(), guard_new(), guard_new()};
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int64_t n = 1; n <= 130; n += n < 40 ? 1 : 17) {
      check_norm(t, n, 0, g);
      check_norm(t, n, 1000, g);
    }
  }
  for (int i = 0; i < 4; i++)
    guard_free(g[i]);
}

static void sums_quotients_and_columns(void **state) {
  (void)state;
  guarded g[2] = {guard_new(), guard_new()};
  const limn_kernels *t;
  FOR_EACH_TABLE(t) {
    for (int64_t n = 1; n <= 70; n++) {
      float *x = guard_take(g[0], (size_t)(2 * n) * sizeof *x), sum[140];
      float *y = guard_take(g[1], (size_t)(2 * n) * sizeof *y), divided[140];
      fill(x, 2 * n);
      fill(y, 2 * n);
      for (int64_t i = 0; i < 2 * n; i++)
        sum[i] = x[i] + y[i];
      t->add(2, n, x, n, y, n);
      assert_memory_equal(x, sum, (size_t)(2 * n) * sizeof *x);
      for (int power = 0; power < 2; power++) {
        float divisor = power ? 8 : sqrtf(12);
        for (int64_t i = 0; i < 2 * n; i++)
          divided[i] = y[i] / divisor;
        t->divide(2 * n, y, divisor);
        assert_memory_equal(y, divided, (size_t)(2 * n) * sizeof *y);
      }
    }
    for (int64_t n = 1; n <= LIMN_PANEL; n += 5)
      for (int64_t k = 1; k <= 50; k += 7) {
        static float out[50 * LIMN_PANEL];
        float *x = guard_take(g[0], (size_t)(n * k) * sizeof *x);
        int64_t first = LIMN_PANEL - n;
        fill(x, n * k);
        memset(out, 0, sizeof out);
        t->transpose(n, k, x, k, out, first);
        for (int64_t i = 0; i < 50 * LIMN_PANEL; i++) {
          int64_t column = i % LIMN_PANEL - first, input = i / LIMN_PANEL;
          assert_true(out[i] == (column >= 0 && input < k ? x[column * k + input] : 0));
        }
      }
  }
  guard_free(g[0]);
  guard_free(g[1]);
}

/* ---- choosing ---------------------------------------------------------------------------------
 */

static void the_best_table_that_can_run(void **state) {
  (void)state;
  assert_ptr_equal(limn_kernels_choose("", NULL), &limn_kernels_scalar);
  assert_ptr_equal(limn_kernels_choose("", ""), &limn_kernels_scalar);
  assert_ptr_equal(limn_kernels_choose("avx2 fma", "scalar"), &limn_kernels_scalar);
  assert_null(limn_kernels_choose("sse4.2", "avx2"));
  assert_null(limn_kernels_choose("avx2 fma", "mmx"));
#if defined(__x86_64__)
  assert_ptr_equal(limn_kernels_choose("avx2 fma bmi2", NULL), &limn_kernels_avx2);
  assert_ptr_equal(limn_kernels_choose("avx2 fma bmi", NULL), &limn_kernels_scalar);
#endif
  const limn_kernels *t;
  FOR_EACH_TABLE(t) print_message("%s\n", t->name);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_of_all_sizes),
      cmocka_unit_test(cuts_change_no_bit),
      cmocka_unit_test(nan_and_infinity_stay_in_their_places),
      cmocka_unit_test(formats_keep_what_they_can),
      cmocka_unit_test(special_weights_stay_special),
      cmocka_unit_test(float16_rounds_as_everywhere),
      cmocka_unit_test(products_of_bfloat16),
      cmocka_unit_test(products_of_whole_numbers),
      cmocka_unit_test(products_of_words),
      cmocka_unit_test(words_of_rows),
      cmocka_unit_test(quantizing_ends_with_zeros),
      cmocka_unit_test(activations),
      cmocka_unit_test(softmaxes),
      cmocka_unit_test(layer_norms),
      cmocka_unit_test(sums_quotients_and_columns),
      cmocka_unit_test(the_best_table_that_can_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
