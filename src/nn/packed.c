/*
 * packed.c - weights as panels, made from a tensor of a file.
 *
 * A matrix is cut into panels of 64 outputs (kernels.h). Each is gathered as rows of float32, a
 * chunk of inputs at a time, and rounded into its format. One number of a panel can be told again,
 * because a format is a rule that leads from a place to a number: a column of the matrix is read
 * that way, such as the row of an embedding that the unembedding shares.
 */
#include "nn/linear.h"

#include "base/memory.h"

#include <string.h>

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ---- packing ----------------------------------------------------------------------------------
 */

typedef struct packing {
  const limn_linear *l;
  const limn_stored *weight;
  limn_layout layout;
  int64_t first; /* panel */
  unsigned char *out;
} packing;

/* Inputs [k0, k0 + k) of a panel as float32, (k, LIMN_PANEL), zeros where there is no output. */
static void gather_in_out(const packing *p, int64_t first, int64_t width, int64_t k0, int64_t k,
                          float *rows) {
  for (int64_t i = 0; i < k; i++)
    limn_stored_to_f32(p->weight, (k0 + i) * p->l->n_out + first, width, rows + i * LIMN_PANEL);
}

static void gather_out_in(const packing *p, int64_t first, int64_t width, int64_t k0, int64_t k,
                          float *rows) {
  float some[16 * LIMN_CHUNK];
  for (int64_t j = 0; j < width; j += 16) {
    int64_t n = least(16, width - j);
    for (int64_t r = 0; r < n; r++)
      limn_stored_to_f32(p->weight, (first + j + r) * p->l->n_in + k0, k, some + r * LIMN_CHUNK);
    p->l->kernels->transpose(n, k, some, LIMN_CHUNK, rows, j);
  }
}

static void pack_panel(void *user, size_t i) {
  const packing *p = user;
  const limn_linear *l = p->l;
  int64_t first = (p->first + (int64_t)i) * LIMN_PANEL, width = least(LIMN_PANEL, l->n_out - first);
  unsigned char *panel = p->out + i * l->panel_size;
  _Alignas(64) float buffer[LIMN_CHUNK * LIMN_PANEL];
  bool is_direct = l->format == LIMN_FORMAT_F32 && width == LIMN_PANEL; /* the rows are the panel */
  if (width < LIMN_PANEL) memset(buffer, 0, sizeof buffer);
  for (int64_t k0 = 0; k0 < l->n_in; k0 += LIMN_CHUNK) {
    int64_t k = least(LIMN_CHUNK, l->n_in - k0);
    unsigned char *place = panel + limn_panel_size(l->format, k0);
    float *rows = is_direct ? (float *)(void *)place : buffer;
    if (p->layout == LIMN_IN_OUT)
      gather_in_out(p, first, width, k0, k, rows);
    else
      gather_out_in(p, first, width, k0, k, rows);
    if (!is_direct) l->kernels->pack(l->format, place, k, rows);
  }
}

void limn_linear_pack(const limn_linear *l, limn_pool *pool, const limn_stored *weight,
                      limn_layout layout, int64_t first, int64_t count, unsigned char *out) {
  packing p = {l, weight, layout, first, out};
  limn_pool_run(pool, (size_t)count, pack_panel, &p);
}

/* ---- panels and bias --------------------------------------------------------------------------
 */

limn_linear limn_linear_of(const limn_kernels *kernels, limn_format format, int64_t n_in,
                           int64_t n_out) {
  return (limn_linear){.kernels = kernels,
                       .format = format,
                       .panel_size = (limn_panel_size(format, n_in) + 63) & ~(size_t)63,
                       .n_in = n_in,
                       .n_out = n_out};
}

limn_status limn_linear_init(limn_linear *l, const void *panels, const limn_stored *bias,
                             limn_error *err) {
  l->panels = panels;
  l->bias = limn_alloc_aligned((size_t)l->n_out, sizeof *l->bias);
  if (!l->bias) return limn_out_of_memory(err, "a bias");
  if (bias)
    limn_stored_to_f32(bias, 0, l->n_out, l->bias);
  else
    memset(l->bias, 0, (size_t)l->n_out * sizeof *l->bias);
  return LIMN_OK;
}

void limn_linear_deinit(limn_linear *l) {
  limn_free_aligned(l->bias);
  *l = (limn_linear){0};
}

size_t limn_linear_size(const limn_linear *l) {
  return (size_t)limn_linear_panels(l) * l->panel_size;
}

/* ---- one column -------------------------------------------------------------------------------
 */

static uint16_t half_at(const unsigned char *panel, int64_t i) {
  uint16_t bits;
  memcpy(&bits, panel + (size_t)i * sizeof bits, sizeof bits);
  return bits;
}

static float wide_q8(const unsigned char *panel, int64_t k, int64_t j) {
  const unsigned char *block = panel + (size_t)(k / LIMN_QUANT) * LIMN_BLOCK_Q8;
  int64_t i = k % LIMN_QUANT;
  int byte = block[2 * LIMN_PANEL + (i / 4 * LIMN_PANEL + j) * 4 + i % 4];
  return limn_bf16_to_f32(half_at(block, j)) * (float)(byte - 128);
}

static float wide_q4(const unsigned char *panel, int64_t k, int64_t j) {
  enum { HALF = LIMN_QUANT / 2 };
  const unsigned char *block = panel + (size_t)(k / LIMN_QUANT) * LIMN_BLOCK_Q4;
  int64_t i = k % HALF;
  int byte = block[2 * LIMN_PANEL + (i / 4 * LIMN_PANEL + j) * 4 + i % 4];
  int number = k % LIMN_QUANT < HALF ? byte & 15 : byte >> 4;
  return limn_bf16_to_f32(half_at(block, j)) * (float)(number - 8);
}

void limn_linear_column(const limn_linear *l, int64_t out, float *column) {
  int64_t j = out % LIMN_PANEL, n = l->n_in;
  const unsigned char *panel = l->panels + (size_t)(out / LIMN_PANEL) * l->panel_size;
  switch (l->format) {
  case LIMN_FORMAT_F16:
    for (int64_t k = 0; k < n; k++)
      column[k] = limn_f16_to_f32(half_at(panel, k * LIMN_PANEL + j));
    break;
  case LIMN_FORMAT_BF16:
    for (int64_t k = 0; k < n; k++)
      column[k] = limn_bf16_to_f32(half_at(panel, (k / 2 * LIMN_PANEL + j) * 2 + k % 2));
    break;
  case LIMN_FORMAT_Q8:
    for (int64_t k = 0; k < n; k++)
      column[k] = wide_q8(panel, k, j);
    break;
  case LIMN_FORMAT_Q4:
    for (int64_t k = 0; k < n; k++)
      column[k] = wide_q4(panel, k, j);
    break;
  default:
    for (int64_t k = 0; k < n; k++)
      memcpy(&column[k], panel + (size_t)(k * LIMN_PANEL + j) * sizeof(float), sizeof(float));
  }
}
