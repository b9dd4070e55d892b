/*
 * linear.c - y = x W + b, on packed weights, spread over a team.
 *
 * The outputs are cut into panels of 64. A task computes one or more panels for all rows (or, where
 * panels are few, for some): it walks through the panel's inputs in chunks, so that a chunk of
 * weights stays in the nearest cache while all rows use it. Weights that are not stored as float32
 * are widened once per chunk, which costs little for many rows; a single row multiplies them as it
 * widens them. How the work is cut changes no bit (kernels.h says why).
 *
 * On tiles, the rows are split into bfloat16 parts first, by blocks of 16, and all panels use them.
 */
#include "nn/linear.h"

#include <string.h>

_Static_assert(LIMN_ACTIVATION_SILU + 1 == LIMN_N_ACTIVATIONS, "kernels and layers agree");

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ---- rounded activations ----------------------------------------------------------------------
 */

static int64_t rounded_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

/* The step between rounded rows: whole blocks. */
static int64_t rounded_step(int64_t n_in) {
  return rounded_up(n_in, 2 * LIMN_QUANT);
}

static limn_quantized quantized_at(void *scratch, int64_t n, int64_t n_in) {
  size_t count = (size_t)(n * rounded_step(n_in));
  limn_quantized q = {.q = scratch};
  q.scale = (float *)(void *)((unsigned char *)scratch + count);
  q.less = (int32_t *)(void *)(q.scale + count / LIMN_QUANT);
  return q;
}

/* Where the split rows lie from this one on, the first of a block. */
static limn_split split_at(void *scratch, limn_arithmetic arithmetic, int64_t n, int64_t n_in,
                           int64_t row) {
  int parts = arithmetic == LIMN_ARITHMETIC_BF16 ? 1 : 3;
  int64_t tiles = limn_split_tiles(parts, n_in), blocks = rounded_up(n, LIMN_TILE_ROWS);
  limn_split all = {.tiles = scratch, .parts = parts};
  all.apart = all.tiles + blocks / LIMN_TILE_ROWS * tiles;
  all.tiles += row / LIMN_TILE_ROWS * tiles;
  all.apart += row / LIMN_TILE_ROWS * limn_split_apart(n_in);
  return all;
}

static size_t split_size(limn_arithmetic arithmetic, int64_t n, int64_t n_in) {
  int64_t blocks = rounded_up(n, LIMN_TILE_ROWS) / LIMN_TILE_ROWS;
  int64_t tiles = limn_split_tiles(arithmetic == LIMN_ARITHMETIC_BF16 ? 1 : 3, n_in);
  return (size_t)rounded_up(blocks * (tiles + limn_split_apart(n_in)), 32) * sizeof(uint16_t);
}

static size_t rounded_size(limn_arithmetic arithmetic, int64_t n, int64_t n_in) {
  size_t count = (size_t)(n * rounded_step(n_in));
  if (arithmetic == LIMN_ARITHMETIC_BF16) return count * sizeof(uint16_t);
  if (arithmetic == LIMN_ARITHMETIC_INT8)
    return count + count / LIMN_QUANT * (sizeof(float) + sizeof(int32_t));
  return 0;
}

/* For either way, since a pass may be on tiles and the next one not. */
size_t limn_linear_scratch_size(const limn_kernels *kernels, limn_arithmetic arithmetic, int64_t n,
                                int64_t n_in) {
  size_t size = rounded_size(arithmetic, n, n_in), split = 0;
  if (kernels->tiles && arithmetic != LIMN_ARITHMETIC_INT8) split = split_size(arithmetic, n, n_in);
  return ((split > size ? split : size) + 63) & ~(size_t)63;
}

/* ---- applying ---------------------------------------------------------------------------------
 */

typedef struct job {
  const limn_linear *l;
  const limn_linear_call *call;
  int64_t first_panel, end_panel, panels_per_task, rows_per_task, row_tasks;
  bool is_tiled;
} job;

/* Whether weights become float32 before they are multiplied. */
static bool is_widened(const limn_linear *l, const limn_linear_call *c) {
  return c->arithmetic == LIMN_ARITHMETIC_F32 && l->format != LIMN_FORMAT_F32;
}

/* Whole numbers are on tiles or not as the kernels like it: the bits are the same. */
static bool is_on_tiles(const limn_linear *l, const limn_linear_call *c) {
  return c->is_tiled && l->kernels->tiles && c->arithmetic != LIMN_ARITHMETIC_INT8;
}

static void split_rows(void *user, size_t i) {
  const job *j = user;
  const limn_linear_call *c = j->call;
  int64_t row = (int64_t)i * LIMN_TILE_ROWS, n_in = j->l->n_in;
  j->l->kernels->tiles->split(least(LIMN_TILE_ROWS, c->n - row), n_in, c->x + row * c->x_step,
                              c->x_step, split_at(c->scratch, c->arithmetic, c->n, n_in, row));
}

static void round_rows(void *user, size_t i) {
  const job *j = user;
  const limn_linear_call *c = j->call;
  int64_t n_in = j->l->n_in, step = rounded_step(n_in), from = (int64_t)i * LIMN_TILE;
  limn_quantized q = quantized_at(c->scratch, c->n, n_in);
  for (int64_t r = from; r < least(c->n, from + LIMN_TILE); r++) {
    const float *x = c->x + r * c->x_step;
    int64_t at = r * step;
    uint16_t *halves = (uint16_t *)c->scratch + at;
    limn_quantized row = {q.q + at, q.scale + at / LIMN_QUANT, q.less + at / LIMN_QUANT};
    if (c->arithmetic == LIMN_ARITHMETIC_INT8) {
      j->l->kernels->quantize(n_in, x, row);
    } else {
      j->l->kernels->round_bf16(n_in, x, halves);
      if (n_in % 2) halves[n_in] = 0; /* the other half of the last pair */
    }
  }
}

/* y (n, width) = bias + x times a panel's inputs, with float32 throughout. */
static void put_exact(const limn_linear *l, const unsigned char *panel, const float *bias,
                      const float *x, int64_t n, int64_t x_step, float *y, int64_t y_step,
                      int64_t width) {
  _Alignas(64) float wide[LIMN_CHUNK * LIMN_PANEL];
  for (int64_t k0 = 0; k0 < l->n_in; k0 += LIMN_CHUNK) {
    int64_t k = least(LIMN_CHUNK, l->n_in - k0);
    const unsigned char *at = panel + limn_panel_size(l->format, k0);
    const float *weights = (const float *)(const void *)at;
    if (l->format != LIMN_FORMAT_F32) {
      l->kernels->unpack[l->format](at, k, wide);
      weights = wide;
    }
    if (k0 == 0)
      l->kernels->product_from(n, k, x, x_step, weights, LIMN_PANEL, bias, y, y_step, width);
    else
      l->kernels->product(n, k, x + k0, x_step, weights, LIMN_PANEL, y, y_step, width,
                          LIMN_SUM_ADD);
  }
}

/* The same for one row of weights that are not float32. */
static void put_row(const limn_linear *l, const unsigned char *panel, const float *bias,
                    const float *x, float *y, int64_t width) {
  _Alignas(64) float whole[LIMN_PANEL] = {0};
  memcpy(whole, bias, (size_t)width * sizeof *y);
  for (int64_t k0 = 0; k0 < l->n_in; k0 += LIMN_CHUNK)
    l->kernels->row[l->format](panel + limn_panel_size(l->format, k0),
                               least(LIMN_CHUNK, l->n_in - k0), x + k0, whole);
  memcpy(y, whole, (size_t)width * sizeof *y);
}

/* y = bias + the same of rounded rows. */
static void put_rounded(const limn_linear *l, const limn_linear_call *c, const unsigned char *panel,
                        const float *bias, int64_t first_row, int64_t n, float *y, int64_t y_step,
                        int64_t width) {
  int64_t step = rounded_step(l->n_in), at = first_row * step;
  if (c->arithmetic == LIMN_ARITHMETIC_BF16) {
    l->kernels->product_bf16(n, rounded_up(l->n_in, 2), (const uint16_t *)c->scratch + at, step,
                             panel, bias, y, y_step, width);
    return;
  }
  limn_quantized all = quantized_at(c->scratch, c->n, l->n_in);
  limn_quantized a = {all.q + at, all.scale + at / LIMN_QUANT, all.less + at / LIMN_QUANT};
  (l->format == LIMN_FORMAT_Q8 ? l->kernels->product_q8 : l->kernels->product_q4)(
      n, l->n_in, a, step, panel, bias, y, y_step, width);
}

static void put_tiled(const limn_linear *l, const limn_linear_call *c, const unsigned char *panel,
                      const float *bias, int64_t first_row, int64_t n, float *y, int64_t y_step,
                      int64_t width) {
  const limn_tiles *tiles = l->kernels->tiles;
  limn_split a = split_at(c->scratch, c->arithmetic, c->n, l->n_in, first_row);
  for (int64_t r = 0; r < n; r++)
    memcpy(y + r * y_step, bias, (size_t)width * sizeof *y);
  if (c->arithmetic == LIMN_ARITHMETIC_BF16)
    tiles->product_bf16(n, l->n_in, a, panel, y, y_step, width);
  else
    tiles->product(l->format, n, l->n_in, a, c->x + first_row * c->x_step, c->x_step, panel, y,
                   y_step, width);
}

/* Rows [first_row, first_row + n) of one panel, from bias to activation and sum, into y. */
static void compute_rows(const job *j, int64_t panel, int64_t first_row, int64_t n, float *y,
                         int64_t y_step) {
  const limn_linear *l = j->l;
  const limn_linear_call *c = j->call;
  int64_t out = panel * LIMN_PANEL, width = least(LIMN_PANEL, l->n_out - out);
  const unsigned char *weights = l->panels + (size_t)panel * l->panel_size;
  const float *x = c->x + first_row * c->x_step, *bias = l->bias + out;
  if (j->is_tiled)
    put_tiled(l, c, weights, bias, first_row, n, y, y_step, width);
  else if (c->arithmetic != LIMN_ARITHMETIC_F32)
    put_rounded(l, c, weights, bias, first_row, n, y, y_step, width);
  else if (n == 1 && l->format != LIMN_FORMAT_F32)
    put_row(l, weights, bias, x, y, width);
  else
    put_exact(l, weights, bias, x, n, c->x_step, y, y_step, width);
  if (c->is_activated) l->kernels->activate[c->activation](n, width, y, y_step, y, y_step);
  if (c->add_to)
    l->kernels->add(n, width, c->add_to + first_row * c->add_step + out, c->add_step, y, y_step);
}

/* Rows that go to places of their own are computed beside each other first, some at a time. */
static void compute_scattered(const job *j, int64_t panel, int64_t first_row, int64_t n) {
  enum { SOME = 16 * LIMN_TILE };
  _Alignas(64) float y[SOME * LIMN_PANEL];
  int64_t out = panel * LIMN_PANEL, width = least(LIMN_PANEL, j->l->n_out - out);
  for (int64_t end = first_row + n; first_row < end; first_row += SOME) {
    int64_t count = least(SOME, end - first_row);
    compute_rows(j, panel, first_row, count, y, LIMN_PANEL);
    for (int64_t r = 0; r < count; r++)
      memcpy(j->call->y_rows[first_row + r] + out, y + r * LIMN_PANEL, (size_t)width * sizeof *y);
  }
}

/* Bias and sums of a few rows are new to the cache in each panel: the next one's are asked for. */
static void ask_for_bias(const limn_linear *l, int64_t panel) {
  if (panel < limn_linear_panels(l))
    for (int64_t i = 0; i < LIMN_PANEL; i += 16)
      __builtin_prefetch(l->bias + panel * LIMN_PANEL + i);
}

/* Where n rows will be written. */
static void ask_for_rows(float *y, int64_t y_step, int64_t n, int64_t width) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t i = 0; i < width; i += 16)
      __builtin_prefetch(y + r * y_step + i, 1);
}

/*
 * Some rows at a time, from bias to sum, so that their outputs stay in the nearest cache meanwhile,
 * and the next ones' come into it; but all together where the weights would have to be widened for
 * each part anew. What is added to other rows stays beside them.
 */
static void compute_panel(const job *j, int64_t panel, int64_t first_row, int64_t n) {
  enum { SOME = 16 * LIMN_TILE };
  const limn_linear_call *c = j->call;
  int64_t out = panel * LIMN_PANEL, width = least(LIMN_PANEL, j->l->n_out - out);
  int64_t some = j->is_tiled || is_widened(j->l, c) ? n : SOME, end = first_row + n;
  float *to = c->add_to ? c->add_to : c->y;
  int64_t step = c->add_to ? c->add_step : c->y_step;
  _Alignas(64) float beside[SOME * LIMN_PANEL];
  ask_for_bias(j->l, panel + 1);
  if (c->y_rows) {
    compute_scattered(j, panel, first_row, n);
    return;
  }
  for (int64_t r = first_row; r < end; r += some) {
    int64_t next = r + some, count = least(some, end - r);
    if (next < end) ask_for_rows(to + next * step + out, step, least(some, end - next), width);
    if (c->add_to && count <= SOME)
      compute_rows(j, panel, r, count, beside, LIMN_PANEL);
    else
      compute_rows(j, panel, r, count, c->y + r * c->y_step + out, c->y_step);
  }
}

static void compute(void *user, size_t i) {
  const job *j = user;
  int64_t row = (int64_t)i % j->row_tasks * j->rows_per_task;
  int64_t first = j->first_panel + (int64_t)i / j->row_tasks * j->panels_per_task;
  for (int64_t p = first; p < least(j->end_panel, first + j->panels_per_task); p++)
    compute_panel(j, p, row, least(j->rows_per_task, j->call->n - row));
}

/*
 * How the work is cut: by panels, and by rows where panels are too few for the team. Few rows read
 * memory more than they compute: then a task takes several panels where these are small.
 */
static size_t cut(job *j, int64_t n_threads) {
  enum { SMALL = 64 * 1024, ROWS = 16 * LIMN_TILE };
  _Static_assert(ROWS % LIMN_TILE_ROWS == 0, "tasks are whole blocks of rows");
  int64_t n_panels = j->end_panel - j->first_panel, n = j->call->n, some = 4 * n_threads;
  j->rows_per_task = n;
  j->panels_per_task = 1;
  if (n_panels < some && n > ROWS) j->rows_per_task = j->is_tiled ? 2 * ROWS : ROWS;
  if (n_threads > 1 && n_panels >= some && n_panels < 4 * some && n > 2 * ROWS &&
      !is_widened(j->l, j->call))
    j->rows_per_task = 2 * ROWS;
  if (n <= LIMN_TILE) {
    int64_t fit = SMALL / (int64_t)j->l->panel_size;
    j->panels_per_task = least(fit, n_panels / some) > 1 ? least(fit, n_panels / some) : 1;
  }
  j->row_tasks = (n + j->rows_per_task - 1) / j->rows_per_task;
  return (size_t)(((n_panels + j->panels_per_task - 1) / j->panels_per_task) * j->row_tasks);
}

void limn_linear_apply(const limn_linear *l, limn_pool *pool, const limn_linear_call *call) {
  job j = {.l = l, .call = call, .end_panel = limn_linear_panels(l)};
  if (call->n <= 0) return;
  if (call->n_out) {
    j.first_panel = call->first_out / LIMN_PANEL;
    j.end_panel = (call->first_out + call->n_out + LIMN_PANEL - 1) / LIMN_PANEL;
  }
  j.is_tiled = is_on_tiles(l, call);
  if (j.is_tiled)
    limn_pool_run(pool, (size_t)((call->n + LIMN_TILE_ROWS - 1) / LIMN_TILE_ROWS), split_rows, &j);
  else if (call->arithmetic != LIMN_ARITHMETIC_F32)
    limn_pool_run(pool, (size_t)((call->n + LIMN_TILE - 1) / LIMN_TILE), round_rows, &j);
  limn_pool_run(pool, cut(&j, limn_pool_size(pool)), compute, &j);
}

/* ---- a part of the inputs ---------------------------------------------------------------------
 */

typedef struct part {
  const limn_linear *l;
  int64_t first, count;
  const float *x;
  int64_t n, x_step;
  float *y;
  int64_t y_step;
} part;

static void compute_part(void *user, size_t i) {
  const part *p = user;
  const limn_linear *l = p->l;
  _Alignas(64) float wide[LIMN_CHUNK * LIMN_PANEL];
  int64_t out = (int64_t)i * LIMN_PANEL, width = least(LIMN_PANEL, l->n_out - out);
  int64_t end = p->first + p->count;
  float *y = p->y + out;
  for (int64_t r = 0; r < p->n; r++)
    memset(y + r * p->y_step, 0, (size_t)width * sizeof *y);
  for (int64_t k = p->first, next; k < end; k = next) {
    int64_t chunk = k / LIMN_CHUNK * LIMN_CHUNK, n_chunk = least(LIMN_CHUNK, l->n_in - chunk);
    next = least(end, chunk + LIMN_CHUNK);
    const unsigned char *panel = l->panels + i * l->panel_size;
    l->kernels->unpack[l->format](panel + limn_panel_size(l->format, chunk), n_chunk, wide);
    l->kernels->product(p->n, next - k, p->x + (k - p->first), p->x_step,
                        wide + (k - chunk) * LIMN_PANEL, LIMN_PANEL, y, p->y_step, width,
                        LIMN_SUM_ADD);
  }
}

void limn_linear_apply_part(const limn_linear *l, limn_pool *pool, int64_t first, int64_t count,
                            const float *x, int64_t n, int64_t x_step, float *y, int64_t y_step) {
  part p = {l, first, count, x, n, x_step, y, y_step};
  limn_pool_run(pool, (size_t)limn_linear_panels(l), compute_part, &p);
}
