/*
 * kernels_avx512.c - the kernels for AVX-512 (F, BW, DQ, VL), and the products of 8-bit and 16-bit
 * numbers for processors that have VNNI and BF16 besides.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. There are 32 registers of
 * 16 floats: a tile of 6 rows by 4 vectors takes 24, its weights 4, an activation 1.
 */
#if defined(__x86_64__)

#include "kernels/pack.h"

#include <immintrin.h>

#define LANES        16
#define TILE_VECTORS 4
typedef __m512 V;
typedef __m512d D;
typedef __m512i I;

#define PART_MASK(n)          ((__mmask16)((1u << (n)) - 1))
#define V_LOAD(p)             _mm512_loadu_ps(p)
#define V_STORE(p, v)         _mm512_storeu_ps(p, v)
#define V_LOAD_PART(p, n)     _mm512_maskz_loadu_ps(PART_MASK(n), p)
#define V_STORE_PART(p, n, v) _mm512_mask_storeu_ps(p, PART_MASK(n), v)
#define V_SET(x)              _mm512_set1_ps(x)
#define V_ADD(a, b)           _mm512_add_ps(a, b)
#define V_SUB(a, b)           _mm512_sub_ps(a, b)
#define V_MUL(a, b)           _mm512_mul_ps(a, b)
#define V_DIV(a, b)           _mm512_div_ps(a, b)
#define V_FMA(a, b, c)        _mm512_fmadd_ps(a, b, c)
#define V_MAX(a, b)           _mm512_max_ps(a, b)
#define V_MIN(a, b)           _mm512_min_ps(a, b)
#define V_ROUND(x)            _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define V_LDEXP(x, n)         _mm512_scalef_ps(x, n)
#define V_TOTAL(v)            _mm512_reduce_add_ps(v)
#define V_MOST(v)             _mm512_reduce_max_ps(v)
#define D_SET(x)              _mm512_set1_pd(x)
#define D_LOW(v)              _mm512_cvtps_pd(_mm512_castps512_ps256(v))
#define D_HIGH(v)             _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))
#define D_ADD(a, b)           _mm512_add_pd(a, b)
#define D_SUB(a, b)           _mm512_sub_pd(a, b)
#define D_FMA(a, b, c)        _mm512_fmadd_pd(a, b, c)
#define D_TOTAL(v)            _mm512_reduce_add_pd(v)
#define I_LOAD(p)             _mm512_loadu_si512(p)
#define I_SET(x)              _mm512_set1_epi32(x)
#define I_AND(a, b)           _mm512_and_si512(a, b)
#define I_AND_OR(a, b, c)     _mm512_ternarylogic_epi32(a, b, c, 0xea)
#define I_ADD(a, b)           _mm512_add_epi32(a, b)
#define I_MUL_ADD_16(a, b)    _mm512_madd_epi16(a, b)
#define I_SHL(a, n)           _mm512_slli_epi32(a, (unsigned)(n))
#define I_SHR(a, n)           _mm512_srli_epi32(a, (unsigned)(n))
#define V_OF_I(a)             _mm512_cvtepi32_ps(a)
#define V_AS_V(a)             _mm512_castsi512_ps(a)
#define V_LOAD_F16(p)         _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define V_LOAD_BF16(p)                                                                             \
  _mm512_castsi512_ps(_mm512_slli_epi32(                                                           \
      _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))
/* A permutation looks at the low four bits of an index only. */
#define V_OF_HALF(a)                                                                               \
  _mm512_permutexvar_ps(a, _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7))

/* As assembly, because it is inlined into a function that either table may use. */
static inline __attribute__((always_inline)) I dot_16(I a, I b, I c) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
  return c;
}
#define I_DOT_16(a, b, c) dot_16(a, b, c)

#include "kernels/lanes.h"

/* ---- turning rows into columns ----------------------------------------------------------------
 */

/* 16 rows of 16 become 16 columns: pairs, then fours, then the four quarters. */
static void transpose_16(const float *x, int64_t x_step, float *out) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++)
    a[i] = _mm512_loadu_ps(x + i * x_step);
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; j++) {
      __m512d low = _mm512_castps_pd(b[i + j]), high = _mm512_castps_pd(b[i + j + 2]);
      a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {
    __m512 even01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0x88);
    __m512 odd01 = _mm512_shuffle_f32x4(a[j], a[4 + j], 0xdd);
    __m512 even23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0x88);
    __m512 odd23 = _mm512_shuffle_f32x4(a[8 + j], a[12 + j], 0xdd);
    _mm512_storeu_ps(out + j * LIMN_PANEL, _mm512_shuffle_f32x4(even01, even23, 0x88));
    _mm512_storeu_ps(out + (4 + j) * LIMN_PANEL, _mm512_shuffle_f32x4(odd01, odd23, 0x88));
    _mm512_storeu_ps(out + (8 + j) * LIMN_PANEL, _mm512_shuffle_f32x4(even01, even23, 0xdd));
    _mm512_storeu_ps(out + (12 + j) * LIMN_PANEL, _mm512_shuffle_f32x4(odd01, odd23, 0xdd));
  }
}

static void transpose(int64_t n, int64_t k, const float *x, int64_t x_step, float *out,
                      int64_t first) {
  int64_t rows = n - n % 16, inputs = k - k % 16;
  for (int64_t r = 0; r < rows; r += 16) {
    for (int64_t i = 0; i < inputs; i += 16)
      transpose_16(x + r * x_step + i, x_step, out + i * LIMN_PANEL + first + r);
    limn_scalar_transpose(16, k - inputs, x + r * x_step + inputs, x_step,
                          out + inputs * LIMN_PANEL, first + r);
  }
  limn_scalar_transpose(n - rows, k, x + rows * x_step, x_step, out, first + rows);
}

/* ---- 16-bit and 8-bit products ----------------------------------------------------------------
 */

#define BF16 __attribute__((target("avx512bf16")))
#define VNNI __attribute__((target("avx512vnni")))

/* Two neighbours at once, as the instruction takes them. */
static inline int pair_at(const uint16_t *p) {
  int pair;
  memcpy(&pair, p, sizeof pair);
  return pair;
}

BF16 INLINE void tile_bf16(int rows, int64_t k, const uint16_t *a, int64_t a_step,
                           const unsigned char *w, const float *start, float *c, int64_t c_step) {
  const float *from = start ? start : c;
  const int64_t from_step = start ? 0 : c_step;
  V s[LIMN_TILE][4];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
      s[r][v] = V_LOAD(from + r * from_step + v * LANES);
  for (int64_t i = 0; i < k; i += 2, w += LIMN_PANEL * 4) {
    I pairs[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) {
      pairs[v] = I_LOAD(w + v * 64);
      if (rows == 1) ask_ahead(w + v * 64);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      __m512bh x = (__m512bh)I_SET(pair_at(a + r * a_step + i));
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++)
        s[r][v] = _mm512_dpbf16_ps(s[r][v], x, (__m512bh)pairs[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
      V_STORE(c + r * c_step + v * LANES, s[r][v]);
}

/*
 * Four bytes at once: weights without sign, activations with. The weights have 128 (or 8) too much,
 * so the sum of activations times that is taken off first.
 *
 * Sums become floats and take their row's scale in place; scales are not multiplied with each other
 * first. That is as many multiplications, but they wait for the sums and so do not get ahead of
 * them in the two pipes that multiply anything.
 */
VNNI INLINE void tile_bytes(int rows, int vectors, bool is_q4, int64_t k, const int8_t *q,
                            const float *scale, const int32_t *less, int64_t a_step,
                            const unsigned char *block, int64_t first, const float *start, float *c,
                            int64_t c_step) {
  const int64_t block_step = a_step / LIMN_QUANT;
  const float *from = (start ? start : c) + first;
  const int64_t from_step = start ? 0 : c_step;
  c += first;
  V s[LIMN_TILE][4];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
      s[r][v] = V_LOAD(from + r * from_step + v * LANES);
  for (int64_t b = 0; b * LIMN_QUANT < k; b++) {
    const unsigned char *numbers = block + 2 * LIMN_PANEL + first * 4;
    I dot[LIMN_TILE][4];
    if (rows == 1) ask_ahead_for_scales(block);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      I offset = I_SHL(I_SET(less[r * block_step + b]), is_q4 ? 3 : 7);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++)
        dot[r][v] = offset;
    }
#pragma GCC unroll 8
    for (int quad = 0; quad < 8; quad++) {
      const unsigned char *here = numbers + (is_q4 ? quad % 4 : quad) * LIMN_PANEL * 4;
      I w[4];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) {
        if (rows == 1 && (!is_q4 || quad < 4)) ask_ahead(here + v * 64);
        w[v] = I_LOAD(here + v * 64);
        if (is_q4) w[v] = I_AND(I_SHR(w[v], quad / 4 * 4), I_SET(0x0f0f0f0f));
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        int four;
        memcpy(&four, q + r * a_step + b * LIMN_QUANT + quad * 4, sizeof four);
        I x = I_SET(four);
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
          dot[r][v] = _mm512_dpbusd_epi32(dot[r][v], w[v], x);
      }
    }
    V weight_scale[4];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
      weight_scale[v] = V_LOAD_BF16(block + (first + v * LANES) * 2);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++)
        s[r][v] = V_FMA(V_MUL(V_OF_I(dot[r][v]), V_SET(scale[r * block_step + b])), weight_scale[v],
                        s[r][v]);
    block += is_q4 ? LIMN_BLOCK_Q4 : LIMN_BLOCK_Q8;
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++)
      V_STORE(c + r * c_step + v * LANES, s[r][v]);
}

BF16 static void rows_bf16(int64_t n, int64_t k, const uint16_t *a, int64_t a_step,
                           const void *panel, const float *start, float *c, int64_t c_step) {
  for (; n >= LIMN_TILE; n -= LIMN_TILE, a += LIMN_TILE * a_step, c += LIMN_TILE * c_step)
    tile_bf16(LIMN_TILE, k, a, a_step, panel, start, c, c_step);
  for (; n >= 2; n -= 2, a += 2 * a_step, c += 2 * c_step)
    tile_bf16(2, k, a, a_step, panel, start, c, c_step);
  if (n > 0) tile_bf16(1, k, a, a_step, panel, start, c, c_step);
}

/* Many rows in tiles of half a panel's columns, so that sums of both kinds fit the registers; what
   is left of them one by one, with all columns. */
VNNI INLINE void rows_bytes(bool is_q4, int64_t n, int64_t k, limn_quantized a, int64_t a_step,
                            const void *panel, const float *start, float *c, int64_t c_step) {
  const int64_t block_step = a_step / LIMN_QUANT;
  int64_t whole = n - n % LIMN_TILE;
  for (int64_t first = 0; first < LIMN_PANEL; first += 2 * LANES)
    for (int64_t r = 0; r < whole; r += LIMN_TILE)
      tile_bytes(LIMN_TILE, 2, is_q4, k, a.q + r * a_step, a.scale + r * block_step,
                 a.less + r * block_step, a_step, panel, first, start, c + r * c_step, c_step);
  for (int64_t r = whole; r < n; r++)
    tile_bytes(1, 4, is_q4, k, a.q + r * a_step, a.scale + r * block_step, a.less + r * block_step,
               a_step, panel, 0, start, c + r * c_step, c_step);
}

VNNI static void rows_q8(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step) {
  rows_bytes(false, n, k, a, a_step, panel, start, c, c_step);
}

VNNI static void rows_q4(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step) {
  rows_bytes(true, n, k, a, a_step, panel, start, c, c_step);
}

/* A panel that is not whole is computed beside the output, up to `n` rows at a time. */
enum { BESIDE = 12 };

static void product_bf16(int64_t n, int64_t k, const uint16_t *a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width) {
  if (width == LIMN_PANEL) {
    rows_bf16(n, k, a, a_step, panel, start, c, c_step);
    return;
  }
  float beside[BESIDE * LIMN_PANEL] = {0};
  for (; n > 0; n -= BESIDE, a += BESIDE * a_step, c += BESIDE * c_step) {
    int64_t rows = n < BESIDE ? n : BESIDE;
    limn_kernel_copy(rows, width, beside, LIMN_PANEL, start ? start : c, start ? 0 : c_step);
    rows_bf16(rows, k, a, a_step, panel, NULL, beside, LIMN_PANEL);
    limn_kernel_copy(rows, width, c, c_step, beside, LIMN_PANEL);
  }
}

#define PRODUCT_BYTES(format)                                                                      \
  static void product_##format(int64_t n, int64_t k, limn_quantized a, int64_t a_step,             \
                               const void *panel, const float *start, float *c, int64_t c_step,    \
                               int64_t width) {                                                    \
    float beside[BESIDE * LIMN_PANEL] = {0};                                                       \
    if (width == LIMN_PANEL) {                                                                     \
      rows_##format(n, k, a, a_step, panel, start, c, c_step);                                     \
      return;                                                                                      \
    }                                                                                              \
    for (int64_t r = 0; r < n; r += BESIDE) {                                                      \
      int64_t rows = n - r < BESIDE ? n - r : BESIDE, at = r * a_step;                             \
      limn_quantized part = {a.q + at, a.scale + at / LIMN_QUANT, a.less + at / LIMN_QUANT};       \
      float *to = c + r * c_step;                                                                  \
      limn_kernel_copy(rows, width, beside, LIMN_PANEL, start ? start : to, start ? 0 : c_step);   \
      rows_##format(rows, k, part, a_step, panel, NULL, beside, LIMN_PANEL);                       \
      limn_kernel_copy(rows, width, to, c_step, beside, LIMN_PANEL);                               \
    }                                                                                              \
  }
PRODUCT_BYTES(q8)
PRODUCT_BYTES(q4)

static void dot_words(int64_t n, int64_t k, const int16_t *a, int64_t a_step, const float *a_scale,
                      const void *panel, const float *scale, const float *start, float *c,
                      int64_t c_step, int64_t width) {
  words_with(true, n, k, a, a_step, a_scale, panel, scale, start, c, c_step, width);
}

BF16 static void round_bf16(int64_t n, const float *x, uint16_t *out) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    _mm256_storeu_si256((__m256i *)(void *)(out + i), (__m256i)_mm512_cvtneps_pbh(V_LOAD(x + i)));
  limn_scalar_round_bf16(n - i, x + i, out + i);
}

/* As limn_scalar_quantize: two vectors are the 32 that share a scale. */
static void quantize(int64_t n, const float *x, limn_quantized out) {
  for (int64_t i = 0; i < n; i += LIMN_QUANT) {
    V a = load(x + i, n - i);
    V b = n - i > LANES ? load(x + i + LANES, n - i - LANES) : V_SET(0);
    V size = V_MAX(_mm512_abs_ps(a), _mm512_abs_ps(b));
    float most = V_MOST(size);
    float inverse = most > 0 ? 127 / most : 0;
    if (!(most <= 3.4028234e38f) || !(inverse <= 3.4028234e38f) ||
        _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(b, b, _CMP_UNORD_Q)) {
      limn_quantized here = {out.q + i, out.scale + i / LIMN_QUANT, out.less + i / LIMN_QUANT};
      limn_scalar_quantize(n - i < LIMN_QUANT ? n - i : LIMN_QUANT, x + i, here);
      continue;
    }
    I p = _mm512_cvtps_epi32(V_MUL(a, V_SET(inverse)));
    I q = _mm512_cvtps_epi32(V_MUL(b, V_SET(inverse)));
    _mm_storeu_si128((__m128i *)(void *)(out.q + i), _mm512_cvtepi32_epi8(p));
    _mm_storeu_si128((__m128i *)(void *)(out.q + i + LANES), _mm512_cvtepi32_epi8(q));
    out.scale[i / LIMN_QUANT] = most / 127;
    out.less[i / LIMN_QUANT] = -_mm512_reduce_add_epi32(_mm512_add_epi32(p, q));
  }
}

/* ---- the tables -------------------------------------------------------------------------------
 */

const limn_kernels limn_kernels_avx512 = {
    .name = "avx512", LANES_TABLE, WIDENED_TABLE, .quantize = quantize, .transpose = transpose};
#define VNNI_TABLE                                                                                 \
  LANES_TABLE, .product_words = dot_words, .product_bf16 = product_bf16, .round_bf16 = round_bf16, \
               .quantize = quantize, .transpose = transpose
const limn_kernels limn_kernels_avx512_vnni = {
    .name = "avx512_vnni", VNNI_TABLE, .product_q8 = product_q8, .product_q4 = product_q4};
const limn_kernels limn_kernels_amx = {.name = "amx",
                                       VNNI_TABLE,
                                       .tiles = &limn_tiles_amx,
                                       .product_q8 = limn_amx_product_q8,
                                       .product_q4 = limn_amx_product_q4};

#else
typedef int limn_no_avx512_here; /* a file must not be empty */
#endif
