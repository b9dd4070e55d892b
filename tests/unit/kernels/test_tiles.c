/*
 * Products on tiles, on emulated ones or the processor's where it has them: the algorithm of
 * kernels/tiles.h against float64, over sizes around every tile, chunk and panel, with arrays that
 * end at a page nobody may touch; numbers that tiles cannot take; that a row does not depend on its
 * neighbours; and that a processor's tiles do what the emulated ones do, to the bit.
 *
 * Bounds. u = 2^-24. Of 128 inputs (or 256) there are four (eight) steps, in each step at most six
 * products, each with chains of 16 roundings, one for their sum and one for the sum with the tile.
 * The chains of small parts hardly count: 16 + 2 + 6 * 8 roundings and one for each chunk bound the
 * error, and what is left out of a product is below 2^-24 of it.
 */
#include "emulated_tiles.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/cpu.h"

#define U 0x1p-24

enum { MOST_ROWS = 100, MOST_INPUTS = 3072 };

/* ---- tables and numbers -----------------------------------------------------------------------
 */

/* The emulated tiles, or the processor's, which are then compared with the emulated ones. */
static limn_kernels table, emulated_table;
static bool has_processor;

static int find_tables(void **state) {
  (void)state;
  table = emulated_table = emulated_kernels();
#if defined(__x86_64__)
  has_processor =
      limn_kernels_can_run(&limn_kernels_amx, limn_cpu_features()) && limn_cpu_ask_for_tiles();
  if (has_processor) table = limn_kernels_amx;
#endif
  print_message("%s\n", table.name);
  return 0;
}

static uint32_t seed = 1;

static uint32_t next_bits(void) {
  seed = seed * 1664525u + 1013904223u;
  return seed ^ seed >> 15;
}

static float next(void) {
  return (float)(int32_t)next_bits() * 0x1p-31f;
}

static void fill(float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    x[i] = next();
}

static int64_t smaller_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* n bytes in front of a page that nobody may touch; never given back. */
static void *guarded(size_t n) {
  enum { PAGE = 4096 };
  size_t whole = (n + PAGE - 1) / PAGE * PAGE;
  unsigned char *p =
      mmap(NULL, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(p != MAP_FAILED);
  assert_int_equal(mprotect(p + whole, PAGE, PROT_NONE), 0);
  return p + whole - n;
}

/* ---- a whole product --------------------------------------------------------------------------
 */

/* Rows, packed weights, and room for the split rows. */
typedef struct problem {
  limn_format format;
  int64_t n, k, width, x_step, c_step;
  float *x; /* (n, k) */
  unsigned char *panel;
  float *weights; /* (k, 64) what the panel means */
  limn_split split;
  size_t x_size, panel_size, tiles_size, apart_size;
} problem;

static void pack(problem *p, const float *rows) {
  for (int64_t k0 = 0; k0 < p->k; k0 += LIMN_CHUNK)
    limn_kernels_scalar.pack(p->format, p->panel + limn_panel_size(p->format, k0),
                             smaller_of(LIMN_CHUNK, p->k - k0), rows + k0 * LIMN_PANEL);
  limn_kernels_scalar.unpack[p->format](p->panel, p->k, p->weights);
}

static problem problem_of(limn_format format, int parts, int64_t n, int64_t k, int64_t width) {
  problem p = {.format = format, .n = n, .k = k, .width = width, .x_step = k + 3};
  int64_t blocks = (n + LIMN_TILE_ROWS - 1) / LIMN_TILE_ROWS;
  p.c_step = width + 2;
  p.x = guarded((size_t)((n - 1) * p.x_step + k) * sizeof(float));
  p.panel = guarded(limn_panel_size(format, k));
  p.weights = guarded((size_t)(k * LIMN_PANEL) * sizeof(float));
  p.split.parts = parts;
  p.split.tiles = guarded((size_t)(blocks * limn_split_tiles(parts, k)) * sizeof(uint16_t));
  p.split.apart = guarded((size_t)(blocks * limn_split_apart(k)) * sizeof(uint16_t));
  return p;
}

static void split_rows_of(const limn_kernels *t, const problem *p) {
  limn_split block = p->split;
  for (int64_t r = 0; r < p->n; r += LIMN_TILE_ROWS) {
    t->tiles->split(smaller_of(LIMN_TILE_ROWS, p->n - r), p->k, p->x + r * p->x_step, p->x_step,
                    block);
    block.tiles += limn_split_tiles(block.parts, p->k);
    block.apart += limn_split_apart(p->k);
  }
}

/* c (n, width) += the product. */
static void multiply(const limn_kernels *t, const problem *p, float *c) {
  split_rows_of(t, p);
  if (p->split.parts == 1)
    t->tiles->product_bf16(p->n, p->k, p->split, p->panel, c, p->c_step, p->width);
  else
    t->tiles->product(p->format, p->n, p->k, p->split, p->x, p->x_step, p->panel, c, p->c_step,
                      p->width);
  assert_false(emulated.is_configured);
}

/* What an output is and the size of what is summed, in float64, of rounded rows where there is one
   part. */
static double exact_sum(const problem *p, int64_t r, int64_t j, double *size) {
  double sum = 0;
  *size = 0;
  for (int64_t i = 0; i < p->k; i++) {
    float x = p->x[r * p->x_step + i];
    if (p->split.parts == 1) x = limn_bf16_to_f32(limn_f32_to_bf16(x));
    double term = (double)x * (double)p->weights[i * LIMN_PANEL + j];
    sum += term;
    *size += fabs(term);
  }
  return sum;
}

static void check_problem(const limn_kernels *t, const problem *p) {
  size_t n_c = (size_t)((p->n - 1) * p->c_step + p->width);
  float *c = guarded(n_c * sizeof *c), *before = malloc(n_c * sizeof *before);
  fill(c, (int64_t)n_c);
  memcpy(before, c, n_c * sizeof *c);
  multiply(t, p, c);
  for (int64_t i = 0; i < (int64_t)n_c; i++) {
    int64_t r = i / p->c_step, j = i % p->c_step;
    if (j >= p->width) { /* between the rows */
      assert_true(c[i] == before[i]);
      continue;
    }
    double size, exact = exact_sum(p, r, j, &size) + (double)before[i];
    double bound = (16 + 2 + 6 * 8 + (double)p->k / 128 + 2) * U * (size + fabs((double)before[i]));
    if (!(fabs((double)c[i] - exact) <= bound))
      fail_msg("%s: format %d, (%lld, %lld, %lld) at row %lld, column %lld: %.9g, expected %.9g",
               t->name, (int)p->format, (long long)p->n, (long long)p->k, (long long)p->width,
               (long long)r, (long long)j, (double)c[i], exact);
  }
  free(before);
}

static void check_sizes(limn_format format, int parts) {
  static const int64_t ns[] = {1, 15, 16, 17, 32, 33}, ks[] = {1, 2, 31, 32, 33, 129, 257};
  static const int64_t widths[] = {1, 16, 33, 64};
  for (size_t n = 0; n < sizeof ns / sizeof *ns; n++)
    for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
      int64_t width = widths[(n + k) % 4];
      problem p = problem_of(format, parts, ns[n], ks[k], width);
      float *rows = malloc((size_t)(p.k * LIMN_PANEL) * sizeof *rows);
      fill(p.x, (p.n - 1) * p.x_step + p.k);
      fill(rows, p.k * LIMN_PANEL);
      pack(&p, rows);
      free(rows);
      check_problem(&table, &p);
    }
}

static void products_of_all_sizes(void **state) {
  (void)state;
  for (int format = 0; format < LIMN_FORMAT_COUNT; format++)
    check_sizes((limn_format)format, 3);
  check_sizes(LIMN_FORMAT_BF16, 1);
}

/* ---- splitting --------------------------------------------------------------------------------
 */

static float part_at(const uint16_t *tiles, int part, int64_t row, int64_t i) {
  uint16_t bits =
      tiles[((i / LIMN_TILE_INPUTS * 3 + part) * LIMN_TILE_ROWS + row) * LIMN_TILE_INPUTS +
            i % LIMN_TILE_INPUTS];
  return limn_bf16_to_f32(bits);
}

/* Any bits, as long as a row's largest is good: the sum of the parts is the number, and each part
   is at most 2^-8 of the one before. Of subnormal parts a few bits are lost. */
static void parts_add_up(void **state) {
  (void)state;
  enum { K = LIMN_TILE_CHUNK };
  static float x[LIMN_TILE_ROWS * K];
  static uint16_t tiles[3 * LIMN_TILE_ROWS * K], apart[1];
  const limn_kernels *t = &table;
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < LIMN_TILE_ROWS * K; i++) {
      uint32_t exponent = next_bits() % 187, bits = next_bits();
      bits = (bits & 0x807fffff) | exponent << 23; /* up to 2^60, down to subnormal numbers */
      memcpy(&x[i], &bits, sizeof bits);
      if (i % K == 0) x[i] = 1;
    }
    t->tiles->split(LIMN_TILE_ROWS, K, x, K, (limn_split){tiles, apart, 3});
    assert_int_equal(apart[0], 0);
    for (int i = 0; i < LIMN_TILE_ROWS * K; i++) {
      float a = part_at(tiles, 0, i / K, i % K), b = part_at(tiles, 1, i / K, i % K);
      float c = part_at(tiles, 2, i / K, i % K);
      double off = fabs((double)a + (double)b + (double)c - (double)x[i]);
      assert_true(off <= (fabsf(x[i]) >= 0x1p-103f ? 0 : 0x1p-126));
      assert_true(fabsf(b) <= 0x1p-8f * fabsf(x[i]) || fabsf(x[i]) < 0x1p-100f);
      assert_true(fabsf(c) <= 0x1p-16f * fabsf(x[i]) || fabsf(x[i]) < 0x1p-100f);
    }
  }
}

static void rows_that_stay_apart(void **state) {
  (void)state;
  enum { K = 300 };
  static const struct {
    float number;
    bool is_apart;
  } cases[] = {{0, false},        {1, false},           {-0x1p60f, false}, {0x1.1p60f, true},
               {3.4e38f, true},   {INFINITY, true},     {-INFINITY, true}, {NAN, true},
               {0x1p-40f, false}, {-0x1.ffp-41f, true}, {1e-38f, true},    {1e-45f, true}};
  static float x[LIMN_TILE_ROWS * K];
  static uint16_t tiles[3 * LIMN_TILE_ROWS * 320], apart[3];
  const limn_kernels *t = &table;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    memset(x, 0, sizeof x);
    x[5 * K + 130] = cases[i].number;
    x[6 * K + 299] = cases[i].number;
    t->tiles->split(7, K, x, K, (limn_split){tiles, apart, 3});
    assert_int_equal(apart[0], 0);
    assert_int_equal(apart[1], cases[i].is_apart ? 1 << 5 : 0);
    assert_int_equal(apart[2], cases[i].is_apart ? 1 << 6 : 0);
  }
}

/* ---- how exact --------------------------------------------------------------------------------
 */

typedef enum kind { PLAIN_NUMBERS, HUGE, TINY, CANCELLING, SPREAD, WITH_SUBNORMALS, KINDS } kind;

/* Sum of four is near enough to a normal distribution. */
static float bell(void) {
  return next() + next() + next() + next();
}

static void fill_kind(kind which, float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float v = bell();
    if (which == HUGE) v *= 0x1p55f;
    if (which == TINY) v *= 0x1p-39f;
    if (which == SPREAD) v = ldexpf(v, (int)(next_bits() % 41) - 20);
    if (which == WITH_SUBNORMALS && i % 3) v = ldexpf(v, -130);
    x[i] = v;
  }
}

/* Relative to what each output sums, or as it is. */
static double rms_error(const problem *p, bool is_relative, const float *c) {
  double squares = 0;
  for (int64_t r = 0; r < p->n; r++)
    for (int64_t j = 0; j < p->width; j++) {
      double size, off = (double)c[r * p->c_step + j] - exact_sum(p, r, j, &size);
      squares += off * off / (is_relative ? size * size : 1);
    }
  return sqrt(squares / (double)(p->n * p->width));
}

/*
 * Off by no more than a float32 product is, on the average. Where subnormal numbers take part, some
 * outputs sum nothing else, and tiles give 0 for them: the largest outputs count there.
 */
static void check_exactness(limn_format format, kind which, int64_t k) {
  enum { N = 32 };
  problem p = problem_of(format, 3, N, k, LIMN_PANEL);
  float *rows = malloc((size_t)(k * LIMN_PANEL) * sizeof *rows);
  float *c = malloc((size_t)(N * p.c_step) * sizeof *c),
        *plain = malloc((size_t)(N * p.c_step) * 4);
  fill_kind(which, p.x, (N - 1) * p.x_step + k);
  fill_kind(which, rows, k * LIMN_PANEL);
  for (int64_t i = 1; which == CANCELLING && i < k;
       i += 2) { /* what was added is taken off again */
    for (int64_t r = 0; r < N; r++)
      p.x[r * p.x_step + i] = -p.x[r * p.x_step + i - 1];
    for (int64_t j = 0; j < LIMN_PANEL; j++)
      rows[i * LIMN_PANEL + j] = rows[(i - 1) * LIMN_PANEL + j] * (1 + 0x1p-12f * next());
  }
  pack(&p, rows);
  memset(plain, 0, (size_t)(N * p.c_step) * 4);
  limn_kernels_scalar.product(N, k, p.x, p.x_step, p.weights, LIMN_PANEL, plain, p.c_step,
                              LIMN_PANEL, LIMN_SUM_SET);
  bool is_relative = which != WITH_SUBNORMALS;
  double most = rms_error(&p, is_relative, plain);
  memset(c, 0, (size_t)(N * p.c_step) * sizeof *c);
  multiply(&table, &p, c);
  double found = rms_error(&p, is_relative, c);
  print_message("format %d, numbers %d, %lld inputs: rms %.2e of float32's %.2e\n", (int)format,
                (int)which, (long long)k, found, most);
  assert_true(found <= most && found > 0);
  free(rows);
  free(c);
  free(plain);
}

static void as_exact_as_float32(void **state) {
  (void)state;
  for (int which = 0; which < KINDS; which++) {
    check_exactness(LIMN_FORMAT_F32, (kind)which, 768);
    check_exactness(LIMN_FORMAT_BF16, (kind)which, 768);
  }
  check_exactness(LIMN_FORMAT_F32, PLAIN_NUMBERS, MOST_INPUTS);
  check_exactness(LIMN_FORMAT_BF16, PLAIN_NUMBERS, MOST_INPUTS);
  check_exactness(LIMN_FORMAT_F16, PLAIN_NUMBERS, 768);
  check_exactness(LIMN_FORMAT_Q8, PLAIN_NUMBERS, 768);
  check_exactness(LIMN_FORMAT_Q4, PLAIN_NUMBERS, 768);
}

/* ---- what tiles cannot take -------------------------------------------------------------------
 */

/* The product without tiles. */
static void multiply_plainly(const problem *p, float *c) {
  memset(c, 0, (size_t)(p->n * p->c_step) * sizeof *c);
  limn_kernels_scalar.product(p->n, p->k, p->x, p->x_step, p->weights, LIMN_PANEL, c, p->c_step,
                              p->width, LIMN_SUM_ADD);
}

static bool is_same(float a, float b) {
  return a == b || (isnan(a) && isnan(b));
}

/* Rows with such numbers get what they get without tiles; others do not notice. */
static void special_rows(void **state) {
  (void)state;
  enum { N = 20, K = LIMN_TILE_CHUNK };
  static const float special[] = {NAN, INFINITY, -INFINITY, 3.4e38f, 0x1p-149f, 0x1p61f};
  static float clean[N * (LIMN_PANEL + 2)], c[N * (LIMN_PANEL + 2)], plain[N * (LIMN_PANEL + 2)];
  const limn_kernels *t = &table;
  for (int format = 0; format < LIMN_FORMAT_COUNT; format++) {
    problem p = problem_of((limn_format)format, 3, N, K, LIMN_PANEL);
    static float rows[K * LIMN_PANEL];
    fill(rows, K * LIMN_PANEL);
    fill(p.x, (N - 1) * p.x_step + K);
    pack(&p, rows);
    memset(clean, 0, sizeof clean);
    multiply(t, &p, clean);
    for (int i = 0; i < 6; i++) {
      if (special[i] < 1e-30f && special[i] > 0) memset(p.x + 3 * i * p.x_step, 0, K * 4);
      p.x[3 * i * p.x_step + 17 * i + 4] = special[i];
    }
    multiply_plainly(&p, plain);
    memset(c, 0, sizeof c);
    multiply(t, &p, c);
    for (int64_t r = 0; r < N; r++)
      for (int64_t j = 0; j < LIMN_PANEL; j++) {
        int64_t at = r * p.c_step + j;
        bool is_special = r % 3 == 0 && r < 18;
        assert_true(is_same(c[at], is_special ? plain[at] : clean[at]));
        assert_true(isnan(c[at]) == isnan(plain[at]) && isinf(c[at]) == isinf(plain[at]));
      }
  }
}

/* All rows of a chunk of such weights are computed without tiles. */
static void special_weights(void **state) {
  (void)state;
  enum { N = 20, K = LIMN_TILE_CHUNK };
  static const float special[] = {NAN, INFINITY, 3.4e38f, 0x1p-130f};
  static const limn_format formats[] = {LIMN_FORMAT_F32, LIMN_FORMAT_BF16};
  static float c[N * (LIMN_PANEL + 2)], plain[N * (LIMN_PANEL + 2)], rows[K * LIMN_PANEL];
  for (size_t i = 0; i < 4; i++)
    for (size_t f = 0; f < 2; f++) {
      problem p = problem_of(formats[f], 3, N, K, LIMN_PANEL);
      fill(rows, K * LIMN_PANEL);
      fill(p.x, (N - 1) * p.x_step + K);
      for (int64_t r = 0; r < K; r++) /* one output has small ones only */
        if (special[i] < 1) rows[r * LIMN_PANEL + 9] = 0;
      rows[77 * LIMN_PANEL + 9] = special[i];
      pack(&p, rows);
      multiply_plainly(&p, plain);
      memset(c, 0, sizeof c);
      multiply(&table, &p, c);
      for (int64_t r = 0; r < N; r++)
        for (int64_t j = 0; j < LIMN_PANEL; j++)
          assert_true(is_same(c[r * p.c_step + j], plain[r * p.c_step + j]));
    }
}

/* ---- bits -------------------------------------------------------------------------------------
 */

/* One row alone, and the same among others: also where a neighbour stays apart. */
static void rows_do_not_know_each_other(void **state) {
  (void)state;
  enum { N = 37, K = 200, STEP = LIMN_PANEL + 2 };
  static float all[N * STEP], one[STEP], rows[K * LIMN_PANEL];
  static const limn_format formats[] = {LIMN_FORMAT_F32, LIMN_FORMAT_BF16, LIMN_FORMAT_Q8};
  const limn_kernels *t = &table;
  for (size_t f = 0; f < 3; f++)
    for (int parts = 1; parts <= 3; parts += 2) {
      if (parts == 1 && formats[f] != LIMN_FORMAT_BF16) continue;
      problem p = problem_of(formats[f], parts, N, K, LIMN_PANEL);
      fill(rows, K * LIMN_PANEL);
      fill(p.x, (N - 1) * p.x_step + K);
      p.x[3 * p.x_step + 7] = 1e30f;
      p.x[8 * p.x_step + 150] = 1e30f;
      pack(&p, rows);
      memset(all, 0, sizeof all);
      multiply(t, &p, all);
      for (int64_t r = 0; r < N; r++) {
        problem alone = p;
        alone.n = 1;
        alone.x += r * p.x_step;
        memset(one, 0, sizeof one);
        multiply(t, &alone, one);
        assert_memory_equal(one, all + r * STEP, LIMN_PANEL * sizeof *one);
      }
    }
}

typedef struct bytes_problem {
  int64_t n, k;
  limn_quantized a;
  unsigned char *panel;
} bytes_problem;

static bytes_problem bytes_of(limn_format format, int64_t n, int64_t k) {
  int64_t step = (k + 63) / 64 * 64, blocks = step / LIMN_QUANT;
  static float x[MOST_INPUTS], rows[MOST_INPUTS * LIMN_PANEL];
  bytes_problem p = {.n = n, .k = k};
  p.a.q = guarded((size_t)(n * step));
  p.a.scale = guarded((size_t)(n * blocks) * sizeof(float));
  p.a.less = guarded((size_t)(n * blocks) * sizeof(int32_t));
  p.panel = guarded(limn_panel_size(format, k));
  for (int64_t r = 0; r < n; r++) {
    fill(x, k);
    limn_kernels_scalar.quantize(
        k, x, (limn_quantized){p.a.q + r * step, p.a.scale + r * blocks, p.a.less + r * blocks});
  }
  fill(rows, k * LIMN_PANEL);
  for (int64_t k0 = 0; k0 < k; k0 += LIMN_CHUNK)
    limn_kernels_scalar.pack(format, p.panel + limn_panel_size(format, k0),
                             smaller_of(LIMN_CHUNK, k - k0), rows + k0 * LIMN_PANEL);
  return p;
}

/* As without tiles, to the bit, whatever the sizes. */
static void whole_numbers_change_no_bit(void **state) {
  (void)state;
  enum { STEP = LIMN_PANEL + 1 };
  static const int64_t ns[] = {1, 15, 16, 17, 40}, ks[] = {1, 32, 33, 96, 256, 300};
  static const int64_t widths[] = {1, 16, 40, 64};
  static float c[40 * STEP], plain[40 * STEP], bias[LIMN_PANEL];
  fill(bias, LIMN_PANEL);
  for (size_t i = 0; i < 5; i++)
    for (size_t j = 0; j < 6; j++)
      for (int is_q4 = 0; is_q4 < 2; is_q4++) {
        bytes_problem p = bytes_of(is_q4 ? LIMN_FORMAT_Q4 : LIMN_FORMAT_Q8, ns[i], ks[j]);
        int64_t width = widths[(i + j) % 4], step = (p.k + 63) / 64 * 64;
        fill(plain, 40 * STEP);
        memcpy(c, plain, sizeof c);
        const float *start = (i + j) % 3 == 0 ? bias : NULL;
        (is_q4 ? limn_kernels_scalar.product_q4 : limn_kernels_scalar.product_q8)(
            p.n, p.k, p.a, step, p.panel, start, plain, STEP, width);
        (is_q4 ? table.product_q4 : table.product_q8)(p.n, p.k, p.a, step, p.panel, start, c, STEP,
                                                      width);
        assert_memory_equal(c, plain, sizeof c);
        assert_false(emulated.is_configured);
      }
}

/* ---- processor and emulation ------------------------------------------------------------------
 */

/* By hand from the manual: the order of sums, and what subnormal numbers are taken for. */
static void the_instruction(void **state) {
  (void)state;
  _Alignas(64) uint16_t a[SIDE * 32] = {0}, b[SIDE * 32] = {0};
  _Alignas(64) float c[SIDE * SIDE] = {0};
  uint16_t tiny = 1, small = limn_f32_to_bf16(0x1p-70f), one = limn_f32_to_bf16(1);
  uint16_t large = limn_f32_to_bf16(0x1p24f), minus = limn_f32_to_bf16(-0x1p24f);
  /* Row 0: even inputs 2^24, 1, -2^24: 1 is lost; odd inputs 1 and 1, summed apart: 2. */
  a[0] = large, a[2] = one, a[4] = minus, a[1] = one, a[3] = one;
  for (int k = 0; k < 3; k++)
    b[k * 32] = b[k * 32 + 1] = one;
  /* Row 1: a subnormal operand, and a product below the smallest normal number. */
  a[32 + 6] = tiny, a[32 + 8] = small;
  b[3 * 32] = limn_f32_to_bf16(0x1p100f), b[4 * 32] = small;
  c[0] = 0.5f, c[SIDE] = 0x1p-130f; /* a subnormal sum is 0, too */
  configure(64);
  TILE_LOAD(0, c, 64);
  TILE_LOAD(4, a, 64);
  TILE_LOAD(6, b, 64);
  TILE_BF16(0, 4, 6);
  TILE_STORE(0, c, 64);
  TILE_RELEASE();
  assert_true(c[0] == 2.5f);
  assert_true(c[SIDE] == 0);
}

/* Also where parts are subnormal, which tiles make 0. */
static void processor_as_emulation(void **state) {
  (void)state;
  enum { N = 17, K = 140, STEP = LIMN_PANEL + 2 };
  static float emulated_c[N * STEP], c[N * STEP], rows[K * LIMN_PANEL];
  if (!has_processor) skip();
  for (int format = 0; format < LIMN_FORMAT_COUNT; format++)
    for (int which = SPREAD; which < KINDS; which++)
      for (int parts = 1; parts <= 3; parts += 2) {
        if (parts == 1 && format != LIMN_FORMAT_BF16) continue;
        problem p = problem_of((limn_format)format, parts, N, K, LIMN_PANEL);
        fill_kind((kind)which, p.x, (N - 1) * p.x_step + K);
        fill_kind((kind)which, rows, K * LIMN_PANEL);
        pack(&p, rows);
        memset(emulated_c, 0, sizeof c);
        memset(c, 0, sizeof c);
        multiply(&emulated_table, &p, emulated_c);
        multiply(&table, &p, c);
        assert_memory_equal(c, emulated_c, sizeof c);
      }
}

static void tiles_that_do_not_work(void **state) {
  (void)state;
  assert_true(limn_tiles_work(&table) && limn_tiles_work(&emulated_table));
  emulated_is_broken = true;
  bool works = limn_tiles_work(&emulated_table);
  emulated_is_broken = false;
  assert_false(works);
}

/* All of AMX is needed, and a name asks for others. */
static void the_choice(void **state) {
  (void)state;
#if defined(__x86_64__)
  static const char vnni[] =
      "avx2 fma bmi2 avx512f avx512bw avx512vl avx512dq avx512cd avx512vnni avx512bf16";
  char all[256];
  snprintf(all, sizeof all, "%s amxtile amxbf16 amxint8", vnni);
  assert_ptr_equal(limn_kernels_choose(all, NULL), &limn_kernels_amx);
  assert_ptr_equal(limn_kernels_choose(all, "avx512_vnni"), &limn_kernels_avx512_vnni);
  assert_ptr_equal(limn_kernels_choose(vnni, NULL), &limn_kernels_avx512_vnni);
  assert_null(limn_kernels_choose(vnni, "amx"));
  all[strlen(all) - strlen(" amxint8")] = '\0';
  assert_ptr_equal(limn_kernels_choose(all, NULL), &limn_kernels_avx512_vnni);
  assert_ptr_equal(limn_kernels_choose("amxtile amxbf16 amxint8", NULL), &limn_kernels_scalar);
  /* Few rows and whatever is not a product are those of the table without. */
  assert_ptr_equal(limn_kernels_amx.product, limn_kernels_avx512_vnni.product);
  assert_null(limn_kernels_avx512_vnni.tiles);
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_instruction),
      cmocka_unit_test(products_of_all_sizes),
      cmocka_unit_test(parts_add_up),
      cmocka_unit_test(rows_that_stay_apart),
      cmocka_unit_test(as_exact_as_float32),
      cmocka_unit_test(special_rows),
      cmocka_unit_test(special_weights),
      cmocka_unit_test(rows_do_not_know_each_other),
      cmocka_unit_test(whole_numbers_change_no_bit),
      cmocka_unit_test(processor_as_emulation),
      cmocka_unit_test(tiles_that_do_not_work),
      cmocka_unit_test(the_choice),
  };
  return cmocka_run_group_tests(tests, find_tables, NULL);
}
