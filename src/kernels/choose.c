/*
 * choose.c - which table runs: the first of the list whose instructions the processor has, or the
 * one that is asked for by name. And how large panels are, which all tables agree on.
 */
#include "kernels/kernels.h"

#include <string.h>

const limn_kernels *const limn_kernels_all[] = {
#if defined(__x86_64__)
    &limn_kernels_amx,    &limn_kernels_avx512_vnni,
    &limn_kernels_avx512, &limn_kernels_avx2,
#elif defined(__aarch64__)
    &limn_kernels_neon,
#endif
    &limn_kernels_scalar, NULL,
};

static size_t rounded_up(int64_t k, int64_t to) {
  return (size_t)((k + to - 1) / to * to);
}

size_t limn_panel_size(limn_format format, int64_t k) {
  switch (format) {
  case LIMN_FORMAT_F16:
    return (size_t)k * LIMN_PANEL * 2;
  case LIMN_FORMAT_BF16:
    return rounded_up(k, 2) * LIMN_PANEL * 2;
  case LIMN_FORMAT_Q8:
    return rounded_up(k, LIMN_QUANT) / LIMN_QUANT * LIMN_BLOCK_Q8;
  case LIMN_FORMAT_Q4:
    return rounded_up(k, LIMN_QUANT) / LIMN_QUANT * LIMN_BLOCK_Q4;
  default:
    return (size_t)k * LIMN_PANEL * sizeof(float);
  }
}

int64_t limn_split_tiles(int parts, int64_t k) {
  return (int64_t)rounded_up(k, LIMN_TILE_INPUTS) * LIMN_TILE_ROWS * parts;
}

int64_t limn_split_apart(int64_t k) {
  return (k + LIMN_TILE_CHUNK - 1) / LIMN_TILE_CHUNK;
}

/* What each table needs of the list that limn_cpu_features gives. */
#define AVX512_VNNI "avx512f avx512bw avx512dq avx512vl avx512cd avx512vnni avx512bf16 avx2 fma"
static const struct {
  const char *name;
  const char *needs;
} requirements[] = {
    {"amx", AVX512_VNNI " amxtile amxbf16 amxint8"},
    {"avx512_vnni", AVX512_VNNI},
    {"avx512", "avx512f avx512bw avx512dq avx512vl avx512cd avx2 fma"},
    {"avx2", "avx2 fma bmi2"},
    {"neon", "neon"},
};

static bool has_word(const char *list, const char *word, size_t n) {
  for (; *list; list += *list == ' ') {
    size_t size = strcspn(list, " ");
    if (size == n && memcmp(list, word, n) == 0) return true;
    list += size;
  }
  return false;
}

static bool has_all(const char *features, const char *needs) {
  for (; *needs; needs += *needs == ' ') {
    size_t n = strcspn(needs, " ");
    if (!has_word(features, needs, n)) return false;
    needs += n;
  }
  return true;
}

bool limn_kernels_can_run(const limn_kernels *kernels, const char *features) {
  for (size_t i = 0; i < sizeof requirements / sizeof *requirements; i++) {
    if (strcmp(requirements[i].name, kernels->name) == 0)
      return has_all(features, requirements[i].needs);
  }
  return true;
}

const limn_kernels *limn_kernels_choose(const char *features, const char *name) {
  for (size_t i = 0; limn_kernels_all[i]; i++) {
    const limn_kernels *k = limn_kernels_all[i];
    bool is_wanted = !name || !*name || strcmp(name, k->name) == 0;
    if (is_wanted && limn_kernels_can_run(k, features)) return k;
  }
  return NULL;
}

/* ---- whether tiles work -----------------------------------------------------------------------
 */

enum { TRIED_ROWS = 19, TRIED_INPUTS = 160 };

typedef struct trial {
  float x[TRIED_ROWS * TRIED_INPUTS], weights[TRIED_INPUTS * LIMN_PANEL];
  float expected[TRIED_ROWS * LIMN_PANEL], found[TRIED_ROWS * LIMN_PANEL];
  _Alignas(64) unsigned char panel[TRIED_INPUTS * LIMN_PANEL * sizeof(float)];
  uint16_t tiles[2 * 3 * LIMN_TILE_ROWS * TRIED_INPUTS], apart[2 * 2];
  int8_t q[TRIED_ROWS * TRIED_INPUTS];
  float scale[TRIED_ROWS * TRIED_INPUTS / LIMN_QUANT];
  int32_t less[TRIED_ROWS * TRIED_INPUTS / LIMN_QUANT];
} trial;

/* Halves of small whole numbers, whose products and sums are exact in every order. */
static void fill(float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)(i * 37 % 129 - 64) * 0.5f;
}

static bool is_same(const trial *t) {
  return memcmp(t->found, t->expected, sizeof t->found) == 0;
}

static void clear_sums(trial *t) {
  memset(t->found, 0, sizeof t->found);
  memset(t->expected, 0, sizeof t->expected);
}

static void split_all(const limn_tiles *tiles, trial *t, limn_split a) {
  for (int64_t r = 0; r < TRIED_ROWS; r += LIMN_TILE_ROWS) {
    int64_t n = TRIED_ROWS - r < LIMN_TILE_ROWS ? TRIED_ROWS - r : LIMN_TILE_ROWS;
    tiles->split(n, TRIED_INPUTS, t->x + r * TRIED_INPUTS, TRIED_INPUTS, a);
    a.tiles += limn_split_tiles(a.parts, TRIED_INPUTS);
    a.apart += limn_split_apart(TRIED_INPUTS);
  }
}

static bool floats_work(const limn_kernels *k, trial *t, limn_format format, int parts) {
  limn_split a = {t->tiles, t->apart, parts};
  clear_sums(t);
  k->pack(format, t->panel, TRIED_INPUTS, t->weights);
  split_all(k->tiles, t, a);
  k->product(TRIED_ROWS, TRIED_INPUTS, t->x, TRIED_INPUTS, t->weights, LIMN_PANEL, t->expected,
             LIMN_PANEL, LIMN_PANEL, LIMN_SUM_ADD);
  if (parts == 1)
    k->tiles->product_bf16(TRIED_ROWS, TRIED_INPUTS, a, t->panel, t->found, LIMN_PANEL, LIMN_PANEL);
  else
    k->tiles->product(format, TRIED_ROWS, TRIED_INPUTS, a, t->x, TRIED_INPUTS, t->panel, t->found,
                      LIMN_PANEL, LIMN_PANEL);
  return is_same(t);
}

static bool bytes_work(const limn_kernels *k, trial *t) {
  limn_quantized a = {t->q, t->scale, t->less};
  clear_sums(t);
  k->pack(LIMN_FORMAT_Q8, t->panel, TRIED_INPUTS, t->weights);
  k->quantize(TRIED_ROWS * TRIED_INPUTS, t->x, a);
  k->product_q8(TRIED_ROWS, TRIED_INPUTS, a, TRIED_INPUTS, t->panel, NULL, t->found, LIMN_PANEL,
                LIMN_PANEL);
  for (int64_t r = 0, s = TRIED_INPUTS / LIMN_QUANT; r < TRIED_ROWS; r++) { /* one: no tiles */
    limn_quantized row = {a.q + r * TRIED_INPUTS, a.scale + r * s, a.less + r * s};
    k->product_q8(1, TRIED_INPUTS, row, TRIED_INPUTS, t->panel, NULL, t->expected + r * LIMN_PANEL,
                  LIMN_PANEL, LIMN_PANEL);
  }
  return is_same(t);
}

bool limn_tiles_work(const limn_kernels *kernels) {
  trial t;
  fill(t.x, TRIED_ROWS * TRIED_INPUTS);
  fill(t.weights, TRIED_INPUTS * LIMN_PANEL);
  return floats_work(kernels, &t, LIMN_FORMAT_F32, 3) &&
         floats_work(kernels, &t, LIMN_FORMAT_BF16, 3) &&
         floats_work(kernels, &t, LIMN_FORMAT_BF16, 1) && bytes_work(kernels, &t);
}
