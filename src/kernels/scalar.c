/*
 * scalar.c - the kernels in plain C: the reference, which every other table is tested against.
 *
 * Where the header says a chain of fused multiply-adds, this one computes product and sum in
 * float64 and rounds once: the product of two floats is exact there.
 */
#include "kernels/pack.h"

#include <math.h>

static float fused(float a, float b, float c) {
  return (float)((double)a * (double)b + (double)c);
}

/* ---- products ---------------------------------------------------------------------------------
 */

/* One chain, or one that goes on, for a row of the output: the inner loop runs along memory. */
static void chain(int64_t k, const float *a, const float *b, int64_t b_step, float *s,
                  int64_t width) {
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < width; j++)
      s[j] = fused(a[i], b[i * b_step + j], s[j]);
}

static void product(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                    int64_t b_step, float *c, int64_t c_step, int64_t width, limn_sum sum) {
  for (int64_t r = 0; r < n; r++, a += a_step, c += c_step) {
    if (sum == LIMN_SUM_ON) {
      chain(k, a, b, b_step, c, width);
      continue;
    }
    if (sum == LIMN_SUM_SET) memset(c, 0, (size_t)width * sizeof *c);
    for (int64_t i = 0; i < k; i += LIMN_CHAIN) {
      float s[LIMN_PANEL] = {0};
      chain(k - i < LIMN_CHAIN ? k - i : LIMN_CHAIN, a + i, b + i * b_step, b_step, s, width);
      for (int64_t j = 0; j < width; j++)
        c[j] += s[j];
    }
  }
}

static void product_from(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                         int64_t b_step, const float *start, float *c, int64_t c_step,
                         int64_t width) {
  limn_kernel_copy(n, width, c, c_step, start, 0);
  product(n, k, a, a_step, b, b_step, c, c_step, width, LIMN_SUM_ADD);
}

static float of_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f;
  uint32_t fraction = bits & 0x3ff;
  if (exponent == 0x1f) return limn_kernel_float(sign | 0x7f800000 | fraction << 13);
  if (exponent) return limn_kernel_float(sign | (exponent + 112) << 23 | fraction << 13);
  return sign ? -((float)fraction * 0x1p-24f) : (float)fraction * 0x1p-24f;
}

static float scale_at(const unsigned char *block, int64_t column) {
  uint16_t bits;
  memcpy(&bits, block + 2 * column, sizeof bits);
  return limn_kernel_of_bf16(bits);
}

/* The whole number of input i (of a block) and a column, without its scale. */
static int number_q8(const unsigned char *block, int64_t i, int64_t column) {
  return block[2 * LIMN_PANEL + (i / 4 * LIMN_PANEL + column) * 4 + i % 4] - 128;
}

static int number_q4(const unsigned char *block, int64_t i, int64_t column) {
  int byte = block[2 * LIMN_PANEL + (i % 16 / 4 * LIMN_PANEL + column) * 4 + i % 4];
  return (i < 16 ? byte & 15 : byte >> 4) - 8;
}

static float weight_f32(const void *panel, int64_t i, int64_t column) {
  return ((const float *)panel)[i * LIMN_PANEL + column];
}

static float weight_f16(const void *panel, int64_t i, int64_t column) {
  return of_f16(((const uint16_t *)panel)[i * LIMN_PANEL + column]);
}

static float weight_bf16(const void *panel, int64_t i, int64_t column) {
  const uint16_t *w = panel;
  return limn_kernel_of_bf16(w[(i / 2 * LIMN_PANEL + column) * 2 + i % 2]);
}

static float weight_q8(const void *panel, int64_t i, int64_t column) {
  const unsigned char *block = (const unsigned char *)panel + i / LIMN_QUANT * LIMN_BLOCK_Q8;
  return scale_at(block, column) * (float)number_q8(block, i % LIMN_QUANT, column);
}

static float weight_q4(const void *panel, int64_t i, int64_t column) {
  const unsigned char *block = (const unsigned char *)panel + i / LIMN_QUANT * LIMN_BLOCK_Q4;
  return scale_at(block, column) * (float)number_q4(block, i % LIMN_QUANT, column);
}

#define FORMAT(format)                                                                             \
  static void unpack_##format(const void *panel, int64_t k, float *out) {                          \
    for (int64_t i = 0; i < k; i++)                                                                \
      for (int64_t j = 0; j < LIMN_PANEL; j++)                                                     \
        out[i * LIMN_PANEL + j] = weight_##format(panel, i, j);                                    \
  }                                                                                                \
  static void row_##format(const void *panel, int64_t k, const float *a, float *c) {               \
    for (int64_t begin = 0; begin < k; begin += LIMN_CHAIN) {                                      \
      float s[LIMN_PANEL] = {0};                                                                   \
      for (int64_t i = begin; i < k && i < begin + LIMN_CHAIN; i++)                                \
        for (int64_t j = 0; j < LIMN_PANEL; j++)                                                   \
          s[j] = fused(a[i], weight_##format(panel, i, j), s[j]);                                  \
      for (int64_t j = 0; j < LIMN_PANEL; j++)                                                     \
        c[j] += s[j];                                                                              \
    }                                                                                              \
  }
FORMAT(f32)
FORMAT(f16)
FORMAT(bf16)
FORMAT(q8)
FORMAT(q4)

/* ---- products that round ----------------------------------------------------------------------
 */

void limn_scalar_round_bf16(int64_t n, const float *x, uint16_t *out) {
  for (int64_t i = 0; i < n; i++)
    out[i] = limn_kernel_to_bf16(x[i]);
}

static void product_bf16(int64_t n, int64_t k, const uint16_t *a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width) {
  if (start) limn_kernel_copy(n, width, c, c_step, start, 0);
  for (int64_t r = 0; r < n; r++)
    for (int64_t j = 0; j < width; j++) {
      float *to = c + r * c_step + j;
      for (int64_t i = 0; i < k; i++)
        *to = fused(limn_kernel_of_bf16(a[r * a_step + i]), weight_bf16(panel, i, j), *to);
    }
}

/* Modulo 2^32, because columns that nobody filled may hold anything. */
static void product_words(int64_t n, int64_t k, const int16_t *a, int64_t a_step,
                          const float *a_scale, const void *panel, const float *scale,
                          const float *start, float *c, int64_t c_step, int64_t width) {
  const int16_t *w = panel;
  if (start) limn_kernel_copy(n, width, c, c_step, start, 0);
  for (int64_t r = 0; r < n; r++)
    for (int64_t j = 0; j < width; j++) {
      uint32_t dot = 0;
      float *to = c + r * c_step + j;
      for (int64_t i = 0; i < k; i++)
        dot += (uint32_t)((int32_t)a[r * a_step + i] *
                          (int32_t)w[(i / 2 * LIMN_PANEL + j) * 2 + i % 2]);
      *to = fused((float)(int32_t)dot, a_scale[r] * scale[j], *to);
    }
}

/* The largest entry of 32 becomes 127; a NaN or infinity makes the scale NaN or infinite. */
void limn_scalar_quantize(int64_t n, const float *x, limn_quantized out) {
  for (int64_t b = 0; b * LIMN_QUANT < n; b++) {
    int64_t count = n - b * LIMN_QUANT < LIMN_QUANT ? n - b * LIMN_QUANT : LIMN_QUANT;
    float most = 0;
    for (int64_t i = 0; i < count && !isnan(most); i++)
      if (!(fabsf(x[b * LIMN_QUANT + i]) <= most)) most = fabsf(x[b * LIMN_QUANT + i]);
    bool is_finite = isfinite(most) && most > 0;
    out.scale[b] = most / 127;
    float inverse = is_finite ? 127 / most : 0;
    out.less[b] = 0;
    for (int64_t i = 0; i < LIMN_QUANT; i++) {
      float q =
          i < count && is_finite && isfinite(inverse) ? rintf(x[b * LIMN_QUANT + i] * inverse) : 0;
      out.q[b * LIMN_QUANT + i] = (int8_t)q;
      out.less[b] -= (int32_t)q;
    }
  }
}

#define PRODUCT(format, block_size)                                                                \
  static void product_##format(int64_t n, int64_t k, limn_quantized a, int64_t a_step,             \
                               const void *panel, const float *start, float *c, int64_t c_step,    \
                               int64_t width) {                                                    \
    if (start) limn_kernel_copy(n, width, c, c_step, start, 0);                                    \
    for (int64_t r = 0; r < n; r++)                                                                \
      for (int64_t b = 0; b * LIMN_QUANT < k; b++)                                                 \
        for (int64_t j = 0; j < width; j++) {                                                      \
          const unsigned char *block = (const unsigned char *)panel + b * (block_size);            \
          const int8_t *q = a.q + r * a_step + b * LIMN_QUANT;                                     \
          int dot = 0;                                                                             \
          for (int64_t i = 0; i < LIMN_QUANT; i++)                                                 \
            dot += q[i] * number_##format(block, i, j);                                            \
          float scaled = (float)dot * a.scale[r * a_step / LIMN_QUANT + b];                        \
          c[r * c_step + j] = fused(scaled, scale_at(block, j), c[r * c_step + j]);                \
        }                                                                                          \
  }
PRODUCT(q8, LIMN_BLOCK_Q8)
PRODUCT(q4, LIMN_BLOCK_Q4)

/* ---- functions --------------------------------------------------------------------------------
 */

static double mean_of(int64_t n, const float *x) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    sum += (double)x[i];
  return sum / (double)n;
}

static float norm_scale(int64_t n, const float *x, float eps) {
  double mean = mean_of(n, x), squares = 0;
  for (int64_t i = 0; i < n; i++)
    squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  return (float)sqrt(squares / (double)n + (double)eps);
}

static void normalize(int64_t n, const float *x, float scale, const float *weight,
                      const float *bias, float *out) {
  double mean = mean_of(n, x);
  for (int64_t i = 0; i < n; i++)
    out[i] = (float)(((double)x[i] - mean) / (double)scale * (double)weight[i] + (double)bias[i]);
}

static void softmax(int64_t n, float *x) {
  float most = -INFINITY;
  double sum = 0;
  for (int64_t i = 0; i < n; i++)
    if (x[i] > most) most = x[i];
  for (int64_t i = 0; i < n; i++) {
    x[i] = (float)exp((double)x[i] - (double)most);
    sum += (double)x[i];
  }
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)((double)x[i] / sum);
}

static double relu(double x) {
  return x < 0 ? 0 : x;
}

static double gelu_tanh(double x) {
  return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static double gelu_erf(double x) {
  return 0.5 * x * erfc(-x * 0.70710678118654752440);
}

static double quick_gelu(double x) {
  return x / (1 + exp(-1.702 * x));
}

static double silu(double x) {
  return x / (1 + exp(-x));
}

#define ACTIVATION(name)                                                                           \
  static void activate_##name(int64_t n, int64_t width, const float *x, int64_t x_step, float *y,  \
                              int64_t y_step) {                                                    \
    for (int64_t r = 0; r < n; r++)                                                                \
      for (int64_t i = 0; i < width; i++)                                                          \
        y[r * y_step + i] = (float)name((double)x[r * x_step + i]);                                \
  }
ACTIVATION(relu)
ACTIVATION(gelu_tanh)
ACTIVATION(gelu_erf)
ACTIVATION(quick_gelu)
ACTIVATION(silu)

static void add(int64_t n, int64_t width, float *to, int64_t to_step, const float *from,
                int64_t from_step) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t i = 0; i < width; i++)
      to[r * to_step + i] += from[r * from_step + i];
}

static void divide(int64_t n, float *x, float divisor) {
  for (int64_t i = 0; i < n; i++)
    x[i] /= divisor;
}

void limn_scalar_transpose(int64_t n, int64_t k, const float *x, int64_t x_step, float *out,
                           int64_t first) {
  for (int64_t i = 0; i < k; i++)
    for (int64_t r = 0; r < n; r++)
      out[i * LIMN_PANEL + first + r] = x[r * x_step + i];
}

static float spin(int64_t rounds) {
  float s[8] = {0, 1, 2, 3, 4, 5, 6, 7}, total = 0;
  for (int64_t r = 0; r < rounds; r++)
    for (int i = 0; i < 8; i++)
      s[i] = fused(s[i], 0.999f, 1e-3f);
  for (int i = 0; i < 8; i++)
    total += s[i];
  return total;
}

static float read_all(int64_t n, const float *x) {
  float s[8] = {0};
  for (int64_t i = 0; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; j++)
      s[j] += x[i + j];
  return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

const limn_kernels limn_kernels_scalar = {
    .name = "scalar",
    .product = product,
    .product_from = product_from,
    .pack = pack,
    .unpack = {unpack_f32, unpack_f16, unpack_bf16, unpack_q8, unpack_q4},
    .row = {row_f32, row_f16, row_bf16, row_q8, row_q4},
    .product_bf16 = product_bf16,
    .product_q8 = product_q8,
    .product_q4 = product_q4,
    .product_words = product_words,
    .round_words = round_words,
    .round_bf16 = limn_scalar_round_bf16,
    .quantize = limn_scalar_quantize,
    .norm_scale = norm_scale,
    .normalize = normalize,
    .softmax = softmax,
    .activate = {activate_relu, activate_gelu_tanh, activate_gelu_erf, activate_quick_gelu,
                 activate_silu},
    .add = add,
    .divide = divide,
    .transpose = limn_scalar_transpose,
    .spin_size = 8,
    .spin = spin,
    .read = read_all,
};
