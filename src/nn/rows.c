/*
 * rows.c - layer norm, activation and sum row by row.
 *
 * Every row is computed alone, so that neither the team nor the number of rows in a call changes a
 * bit.
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
