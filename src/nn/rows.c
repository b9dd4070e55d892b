/*
 * rows.c - layer norm, activation and sum row by row, and attention on cached keys and values.
 *
 * Every row is computed alone and every score and mix in the order of the inputs, so that neither
 * the team nor the number of rows in a call changes a bit.
 */
#include "nn/rows.h"

#include "base/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_PER_TASK = 16 };

int64_t limn_row_step(int64_t width) {
  int64_t step = (width + 15) / 16 * 16;
  return step % 1024 == 0 ? step + 16 : step;
}

/* Tiles need the system's permission, and must have shown that they work. */
static bool may_use_tiles(const limn_kernels *kernels) {
  return limn_cpu_ask_for_tiles() && limn_tiles_work(kernels);
}

static limn_status refuse_kernels(const char *name, limn_error *err) {
  for (size_t i = 0; limn_kernels_all[i]; i++) {
    if (strcmp(limn_kernels_all[i]->name, name) == 0)
      return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                            "LIMN_KERNELS is \"%s\", which this processor cannot run: it has %s",
                            name, limn_cpu_features());
  }
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "LIMN_KERNELS is \"%s\", expected scalar, avx2, avx512, avx512_vnni, amx "
                        "or nothing",
                        name);
}

limn_status limn_nn_choose_kernels(const limn_kernels **out, limn_error *err) {
  const char *name = getenv("LIMN_KERNELS");
  bool is_asked = name && *name;
  *out = limn_kernels_choose(limn_cpu_features(), name);
  if (!*out) return refuse_kernels(name, err);
  if (!(*out)->tiles || may_use_tiles(*out)) return LIMN_OK;
  if (is_asked)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "LIMN_KERNELS is \"%s\", whose tiles the system does not allow, or which "
                          "do not work",
                          name);
  *out = limn_kernels_choose(limn_cpu_features(), "avx512_vnni"); /* whose instructions it has */
  return LIMN_OK;
}

/* ---- row by row -------------------------------------------------------------------------------
 */

typedef struct rows {
  const limn_kernels *kernels;
  int64_t n, width, step;
  const limn_norm_call *norm;
  limn_activation activation;
  float *x;
  const float *from;
} rows;

static int64_t count_at(int64_t n, int64_t first) {
  return n - first < ROWS_PER_TASK ? n - first : ROWS_PER_TASK;
}

static size_t task_count(int64_t n) {
  return (size_t)((n + ROWS_PER_TASK - 1) / ROWS_PER_TASK);
}

static void norm_task(void *user, size_t i) {
  const rows *r = user;
  const limn_norm_call *c = r->norm;
  int64_t first = (int64_t)i * ROWS_PER_TASK;
  for (int64_t k = first; k < first + count_at(c->n, first); k++) {
    const float *x = c->x + k * c->x_step;
    float scale = c->is_scaled ? c->scale[k] : r->kernels->norm_scale(c->d, x, c->eps);
    if (c->scale) c->scale[k] = scale;
    r->kernels->normalize(c->d, x, scale, c->weight, c->bias, c->out + k * c->out_step);
  }
}

void limn_norm_apply(const limn_kernels *kernels, limn_pool *pool, const limn_norm_call *call) {
  rows r = {.kernels = kernels, .norm = call};
  limn_pool_run(pool, task_count(call->n), norm_task, &r);
}

static void activate_task(void *user, size_t i) {
  const rows *r = user;
  int64_t first = (int64_t)i * ROWS_PER_TASK;
  float *x = r->x + first * r->step;
  r->kernels->activate[r->activation](count_at(r->n, first), r->width, x, r->step, x, r->step);
}

void limn_activate_rows(const limn_kernels *kernels, limn_pool *pool, limn_activation activation,
                        int64_t n, int64_t width, float *x, int64_t step) {
  rows r = {
      .kernels = kernels, .n = n, .width = width, .step = step, .activation = activation, .x = x};
  limn_pool_run(pool, task_count(n), activate_task, &r);
}

static void add_task(void *user, size_t i) {
  const rows *r = user;
  int64_t first = (int64_t)i * ROWS_PER_TASK, at = first * r->step;
  r->kernels->add(count_at(r->n, first), r->width, r->x + at, r->step, r->from + at, r->step);
}

void limn_add_rows(const limn_kernels *kernels, limn_pool *pool, int64_t n, int64_t width,
                   float *to, const float *from, int64_t step) {
  rows r = {.kernels = kernels, .n = n, .width = width, .step = step, .x = to, .from = from};
  limn_pool_run(pool, task_count(n), add_task, &r);
}

/* ---- attention --------------------------------------------------------------------------------
 */

int64_t limn_key_cache_size(int64_t n, int64_t d_model) {
  return (n + LIMN_PANEL - 1) / LIMN_PANEL * LIMN_PANEL * d_model;
}

void limn_store_keys(const limn_kernels *kernels, float *cache, int64_t d_model, int64_t first,
                     int64_t n, const float *keys, int64_t step) {
  while (n > 0) {
    int64_t column = first % LIMN_PANEL;
    int64_t count = n < LIMN_PANEL - column ? n : LIMN_PANEL - column;
    kernels->transpose(count, d_model, keys, step, cache + (first - column) * d_model, column);
    keys += count * step;
    first += count;
    n -= count;
  }
}

void limn_attention_scores(const limn_kernels *kernels, const float *queries, int64_t q_step,
                           int64_t n, const float *cache, int64_t d_model, int64_t offset,
                           int64_t n_key, int64_t d_head, float *scores, int64_t s_step) {
  for (int64_t k = 0; k < n_key; k += LIMN_PANEL)
    kernels->product(n, d_head, queries, q_step, cache + k * d_model + offset * LIMN_PANEL,
                     LIMN_PANEL, scores + k, s_step,
                     n_key - k < LIMN_PANEL ? n_key - k : LIMN_PANEL, LIMN_SUM_SET);
}

void limn_attention_mix(const limn_kernels *kernels, const float *pattern, int64_t p_step,
                        int64_t n, int64_t n_seen, bool is_square, const float *values,
                        int64_t v_step, int64_t d_head, float *out, int64_t out_step) {
  for (int64_t e = 0; e < d_head; e += LIMN_PANEL) {
    int64_t width = d_head - e < LIMN_PANEL ? d_head - e : LIMN_PANEL;
    for (int64_t i = 0; i < n; i++)
      memset(out + i * out_step + e, 0, (size_t)width * sizeof *out);
    kernels->product(n, n_seen, pattern, p_step, values + e, v_step, out + e, out_step, width,
                     LIMN_SUM_ON);
    for (int64_t i = 1; i < n && !is_square; i++)
      kernels->product(1, i, pattern + i * p_step + n_seen, p_step, values + n_seen * v_step + e,
                       v_step, out + i * out_step + e, out_step, width, LIMN_SUM_ON);
  }
}
