/*
 * lanes.h - the kernels in terms of vectors, written once. A file of an instruction set defines the
 * vector type and its operations (V...), how many rows and vectors a tile of the product has, and
 * includes this file. Each function does to a lane what the header says, in that order, so that
 * a number does not depend on where in a row it stands.
 *
 * A product keeps a tile of the output in registers while it runs along the inputs: each vector of
 * weights is loaded once for LIMN_TILE rows and each activation once for TILE_VECTORS vectors
 * (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication").
 *
 * To define before: LANES, TILE_VECTORS; types V (LANES floats) and D (LANES / 2 doubles);
 *   V_LOAD V_STORE V_LOAD_PART V_STORE_PART V_SET V_ADD V_SUB V_MUL V_DIV V_FMA (a * b + c)
 *   V_MAX V_MIN (the second operand where one is NaN)   V_ROUND (to a whole number)
 *   V_LDEXP (x * 2^n for whole n from -151 to 129)   V_TOTAL V_MOST (over lanes)
 *   D_SET D_LOW D_HIGH (halves of a V) D_ADD D_SUB D_FMA D_TOTAL
 *   type I (LANES int32): I_LOAD I_SET I_AND I_AND_OR (a & b | c) I_SHL I_SHR (zeros come in)
 *   I_ADD I_MUL_ADD_16 (products of signed 16-bit halves, summed by pairs)
 *   V_OF_I (converts) V_AS_V (the same bits)   V_LOAD_F16 V_LOAD_BF16 (16-bit floats, widened)
 *   V_OF_HALF (a whole number from 0 to 15, in the low 4 bits, as a float less 8)
 */
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* A vector at p, of which the first n of LANES are there. */
INLINE V load(const float *p, int64_t n) {
  return n >= LANES ? V_LOAD(p) : V_LOAD_PART(p, n);
}

INLINE void store(float *p, int64_t n, V v) {
  if (n >= LANES)
    V_STORE(p, v);
  else
    V_STORE_PART(p, n, v);
}

/*
 * One row waits for memory more than it computes. Between two loads there is so much to do that the
 * processor does not see far ahead by itself, so lines are asked for long before they are needed.
 */
enum { AHEAD = 8192 };

INLINE void ask_ahead(const void *p) {
  __builtin_prefetch((const void *)((uintptr_t)p + AHEAD)); /* may lie behind the end */
}

/* ---- products ---------------------------------------------------------------------------------
 */

/* `rows` and `vectors` are constants where this is inlined; `last` lanes of the last vector count.
 */
INLINE void tile(int rows, int vectors, bool is_whole, int64_t last, int64_t k, const float *a,
                 int64_t a_step, const float *b, int64_t b_step, float *c, int64_t c_step,
                 limn_sum sum) {
  int64_t begin = 0;
  do {
    int64_t end = sum == LIMN_SUM_ON || k - begin < LIMN_CHAIN ? k : begin + LIMN_CHAIN;
    V s[LIMN_TILE][TILE_VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) {
        int64_t n = !is_whole && v == vectors - 1 ? last : LANES;
        s[r][v] = sum == LIMN_SUM_ON ? load(c + r * c_step + v * LANES, n) : V_SET(0);
      }
    for (int64_t i = begin; i < end; i++) {
      V w[TILE_VECTORS];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) {
        w[v] = load(b + i * b_step + v * LANES, !is_whole && v == vectors - 1 ? last : LANES);
        if (rows == 1 && is_whole) ask_ahead(b + i * b_step + v * LANES);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; r++) {
        V x = V_SET(a[r * a_step + i]);
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
          s[r][v] = V_FMA(x, w[v], s[r][v]);
      }
    }
    bool is_added = sum == LIMN_SUM_ADD || (sum == LIMN_SUM_SET && begin > 0);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
      for (int v = 0; v < vectors; v++) {
        int64_t n = !is_whole && v == vectors - 1 ? last : LANES;
        float *to = c + r * c_step + v * LANES;
        store(to, n, is_added ? V_ADD(load(to, n), s[r][v]) : s[r][v]);
      }
    begin = end;
  } while (begin < k);
}

#define TILE_ARGUMENTS k, a, a_step, b, b_step, c, c_step, sum
#define TILE_PARAMETERS                                                                            \
  int64_t k, const float *a, int64_t a_step, const float *b, int64_t b_step, float *c,             \
      int64_t c_step, limn_sum sum

/* All rows of one strip of columns, TILE_VECTORS vectors wide. */
static void whole_strip(int64_t n, TILE_PARAMETERS) {
  for (; n >= LIMN_TILE; n -= LIMN_TILE, a += LIMN_TILE * a_step, c += LIMN_TILE * c_step)
    tile(LIMN_TILE, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
  switch (n) {
  case 5:
    tile(5, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
    break;
  case 4:
    tile(4, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
    break;
  case 3:
    tile(3, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
    break;
  case 2:
    tile(2, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
    break;
  case 1:
    tile(1, TILE_VECTORS, true, 0, TILE_ARGUMENTS);
    break;
  default:
    break;
  }
}

/* The same for what is left of the columns, one vector at a time. */
static void part_strip(int64_t n, int64_t width, TILE_PARAMETERS) {
  for (int64_t at = 0; at < width; at += LANES) {
    const float *x = a;
    float *y = c + at;
    int64_t last = width - at < LANES ? width - at : LANES, left = n;
    for (; left >= LIMN_TILE; left -= LIMN_TILE, x += LIMN_TILE * a_step, y += LIMN_TILE * c_step)
      tile(LIMN_TILE, 1, false, last, k, x, a_step, b + at, b_step, y, c_step, sum);
    for (; left > 0; left--, x += a_step, y += c_step)
      tile(1, 1, false, last, k, x, a_step, b + at, b_step, y, c_step, sum);
  }
}

static void product(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                    int64_t b_step, float *c, int64_t c_step, int64_t width, limn_sum sum) {
  enum { STRIP = TILE_VECTORS * LANES };
  int64_t at = 0;
  for (; at + STRIP <= width; at += STRIP)
    whole_strip(n, k, a, a_step, b + at, b_step, c + at, c_step, sum);
  if (at < width) part_strip(n, width - at, k, a, a_step, b + at, b_step, c + at, c_step, sum);
}

/* Filling c first is as fast as starting each tile elsewhere, which takes registers from it. */
static void product_from(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                         int64_t b_step, const float *start, float *c, int64_t c_step,
                         int64_t width) {
  limn_kernel_copy(n, width, c, c_step, start, 0);
  product(n, k, a, a_step, b, b_step, c, c_step, width, LIMN_SUM_ADD);
}

/* ---- stored weights ---------------------------------------------------------------------------
 *
 * Each format is walked through in the order of its inputs, once to store what it means (unpack)
 * and once to multiply at once (row). Both make the same floats.
 */

enum { VECTORS = LIMN_PANEL / LANES };

#define EACH_VECTOR _Pragma("GCC unroll 16") for (int v = 0; v < VECTORS; v++)

INLINE void clear(V *s) {
  EACH_VECTOR s[v] = V_SET(0);
}

/* c += s, the sum of one chain. */
INLINE void add_to(float *c, const V *s) {
  EACH_VECTOR V_STORE(c + v * LANES, V_ADD(V_LOAD(c + v * LANES), s[v]));
}

static void unpack_f32(const void *panel, int64_t k, float *out) {
  memcpy(out, panel, (size_t)k * LIMN_PANEL * sizeof *out);
}

static void unpack_f16(const void *panel, int64_t k, float *out) {
  const uint16_t *w = panel;
  for (int64_t i = 0; i < k * LIMN_PANEL; i += LANES)
    V_STORE(out + i, V_LOAD_F16(w + i));
}

static void row_f16(const void *panel, int64_t k, const float *a, float *c) {
  const uint16_t *w = panel;
  for (int64_t begin = 0; begin < k; begin += LIMN_CHAIN) {
    int64_t end = k - begin < LIMN_CHAIN ? k : begin + LIMN_CHAIN;
    V s[VECTORS];
    clear(s);
    for (int64_t i = begin; i < end; i++, w += LIMN_PANEL) {
      V x = V_SET(a[i]);
      EACH_VECTOR s[v] = V_FMA(x, V_LOAD_F16(w + v * LANES), s[v]);
    }
    add_to(c, s);
  }
}

/* A lane holds a pair, the earlier input in its low half. */
INLINE V first_bf16(I pair) {
  return V_AS_V(I_SHL(pair, 16));
}

INLINE V second_bf16(I pair) {
  return V_AS_V(I_AND(pair, I_SET((int)0xffff0000)));
}

static void unpack_bf16(const void *panel, int64_t k, float *out) {
  const uint32_t *w = panel;
  for (int64_t i = 0; i < k; i += 2, w += LIMN_PANEL, out += 2 * LIMN_PANEL)
    EACH_VECTOR {
      I pair = I_LOAD(w + v * LANES);
      V_STORE(out + v * LANES, first_bf16(pair));
      if (i + 1 < k) V_STORE(out + LIMN_PANEL + v * LANES, second_bf16(pair));
    }
}

/* One chain, n a constant for whole ones. */
INLINE void row_chain_bf16(const uint32_t *w, int64_t n, const float *a, float *c) {
  V s[VECTORS];
  clear(s);
  int64_t i = 0;
  for (; i + 2 <= n; i += 2, w += LIMN_PANEL) {
    V x = V_SET(a[i]), y = V_SET(a[i + 1]);
    EACH_VECTOR {
      I pair = I_LOAD(w + v * LANES);
      ask_ahead(w + v * LANES);
      s[v] = V_FMA(x, first_bf16(pair), s[v]);
      s[v] = V_FMA(y, second_bf16(pair), s[v]);
    }
  }
  if (i < n) EACH_VECTOR s[v] = V_FMA(V_SET(a[i]), first_bf16(I_LOAD(w + v * LANES)), s[v]);
  add_to(c, s);
}

static void row_bf16(const void *panel, int64_t k, const float *a, float *c) {
  const uint32_t *w = panel;
  for (; k >= LIMN_CHAIN; k -= LIMN_CHAIN, a += LIMN_CHAIN, w += LIMN_CHAIN / 2 * LIMN_PANEL)
    row_chain_bf16(w, LIMN_CHAIN, a, c);
  if (k > 0) row_chain_bf16(w, k, a, c);
}

/*
 * Byte b of each lane of `quad`, whose bytes are numbers plus 128, times a scale. Put into the
 * upper bits of a fraction, byte u makes the float 1 + u / 256; that times 256 scales less 384
 * scales is (u - 128) scales. All of it is exact: a scale has 8 bits.
 */
INLINE V weight_q8(I quad, int b, V scale_256, V minus_scale_384) {
  I shifted = b < 2 ? I_SHL(quad, 15 - 8 * b) : I_SHR(quad, 8 * b - 15);
  I bits = I_AND_OR(shifted, I_SET(0x007f8000), I_SET(0x3f800000));
  return V_FMA(V_AS_V(bits), scale_256, minus_scale_384);
}

/* Four bits of each lane: exact too. */
INLINE V weight_q4(I lanes, int shift, V scale) {
  return V_MUL(V_OF_HALF(I_SHR(lanes, shift)), scale);
}

INLINE I lanes_q8(const unsigned char *block, int quad, int v) {
  return I_LOAD(block + 2 * LIMN_PANEL + (quad * LIMN_PANEL + v * LANES) * 4);
}

INLINE void ask_ahead_for_scales(const unsigned char *block) {
  for (int i = 0; i < 2 * LIMN_PANEL; i += 64)
    ask_ahead(block + i);
}

/* Inputs n0 to n - 1 of a block, n at most LIMN_QUANT; for a whole block n is a constant. */
INLINE void unpack_block_q8(const unsigned char *block, int n, float *out) {
  EACH_VECTOR {
    V scale = V_MUL(V_LOAD_BF16(block + v * LANES * 2), V_SET(256));
    V less = V_MUL(scale, V_SET(-1.5f));
#pragma GCC unroll 8
    for (int quad = 0; quad * 4 < n; quad++) {
      I w = lanes_q8(block, quad, v);
#pragma GCC unroll 4
      for (int b = 0; b < 4; b++)
        if (quad * 4 + b < n)
          V_STORE(out + (quad * 4 + b) * LIMN_PANEL + v * LANES, weight_q8(w, b, scale, less));
    }
  }
}

INLINE void row_block_q8(const unsigned char *block, int n, const float *a, float *c) {
  V scale[VECTORS], less[VECTORS], s[VECTORS];
  clear(s);
  ask_ahead_for_scales(block);
  EACH_VECTOR {
    scale[v] = V_MUL(V_LOAD_BF16(block + v * LANES * 2), V_SET(256));
    less[v] = V_MUL(scale[v], V_SET(-1.5f));
  }
#pragma GCC unroll 8
  for (int quad = 0; quad * 4 < n; quad++)
    EACH_VECTOR {
      I w = lanes_q8(block, quad, v);
      ask_ahead(block + 2 * LIMN_PANEL + (quad * LIMN_PANEL + v * LANES) * 4);
#pragma GCC unroll 4
      for (int b = 0; b < 4; b++)
        if (quad * 4 + b < n)
          s[v] = V_FMA(V_SET(a[quad * 4 + b]), weight_q8(w, b, scale[v], less[v]), s[v]);
    }
  add_to(c, s);
}

INLINE void unpack_block_q4(const unsigned char *block, int n, float *out) {
  EACH_VECTOR {
    V scale = V_LOAD_BF16(block + v * LANES * 2);
#pragma GCC unroll 8
    for (int quad = 0; quad * 4 < n; quad++) {
      I w = lanes_q8(block, quad % 4, v);
#pragma GCC unroll 4
      for (int b = 0; b < 4; b++)
        if (quad * 4 + b < n)
          V_STORE(out + (quad * 4 + b) * LIMN_PANEL + v * LANES,
                  weight_q4(w, 8 * b + quad / 4 * 4, scale));
    }
  }
}

INLINE void row_block_q4(const unsigned char *block, int n, const float *a, float *c) {
  V scale[VECTORS], s[VECTORS];
  clear(s);
  ask_ahead_for_scales(block);
  EACH_VECTOR scale[v] = V_LOAD_BF16(block + v * LANES * 2);
  for (int half = 0; half < 2; half++)
    for (int quad = 0; quad < 4 && half * 16 + quad * 4 < n; quad++) {
      const float *x = a + half * 16 + quad * 4;
      int left = n - half * 16 - quad * 4;
      EACH_VECTOR {
        I w = I_SHR(lanes_q8(block, quad, v), half * 4);
        if (half == 0) ask_ahead(block + 2 * LIMN_PANEL + (quad * LIMN_PANEL + v * LANES) * 4);
#pragma GCC unroll 4
        for (int b = 0; b < 4; b++)
          if (b < left) s[v] = V_FMA(V_SET(x[b]), weight_q4(w, 8 * b, scale[v]), s[v]);
      }
    }
  add_to(c, s);
}

#define QUANTIZED(format, size)                                                                    \
  static void unpack_##format(const void *panel, int64_t k, float *out) {                          \
    const unsigned char *block = panel;                                                            \
    for (; k >= LIMN_QUANT; k -= LIMN_QUANT, block += size, out += LIMN_QUANT * LIMN_PANEL)        \
      unpack_block_##format(block, LIMN_QUANT, out);                                               \
    if (k > 0) unpack_block_##format(block, (int)k, out);                                          \
  }                                                                                                \
  static void row_##format(const void *panel, int64_t k, const float *a, float *c) {               \
    const unsigned char *block = panel;                                                            \
    for (; k >= LIMN_QUANT; k -= LIMN_QUANT, block += size, a += LIMN_QUANT)                       \
      row_block_##format(block, LIMN_QUANT, a, c);                                                 \
    if (k > 0) row_block_##format(block, (int)k, a, c);                                            \
  }
_Static_assert(LIMN_QUANT == LIMN_CHAIN, "what shares a scale is one chain");
QUANTIZED(q8, LIMN_BLOCK_Q8)
QUANTIZED(q4, LIMN_BLOCK_Q4)

/* ---- products that round ----------------------------------------------------------------------
 *
 * For processors without dot products of 16-bit floats and bytes: the floats are widened, the bytes
 * multiplied as 16-bit whole numbers, two at a time. A table with better instructions has its own.
 */

/* One row, VECTORS vectors of sums in `s`. */
INLINE void widened_row_bf16(int64_t k, const uint16_t *a, const uint32_t *w, V *s) {
  for (int64_t i = 0; i < k; i += 2, w += LIMN_PANEL) {
    V x = V_SET(limn_kernel_of_bf16(a[i])), y = V_SET(limn_kernel_of_bf16(a[i + 1]));
    EACH_VECTOR {
      I pair = I_LOAD(w + v * LANES);
      s[v] = V_FMA(y, second_bf16(pair), V_FMA(x, first_bf16(pair), s[v]));
    }
  }
}

#ifndef I_DOT_16 /* c + the products of 16-bit halves, in one instruction; only where is_fused */
#define I_DOT_16(a, b, c) I_ADD(c, I_MUL_ADD_16(a, b))
#endif

/* A tile of `rows` by TILE_VECTORS vectors. */
INLINE void tile_words(bool is_fused, int rows, int64_t k, const int16_t *a, int64_t a_step,
                       const float *a_scale, const int16_t *w, const float *scale,
                       const float *from, int64_t from_step, float *c, int64_t c_step) {
  I dot[LIMN_TILE][TILE_VECTORS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < TILE_VECTORS; v++)
      dot[r][v] = I_SET(0);
  for (int64_t i = 0; i < k; i += 2, w += 2 * LIMN_PANEL) {
    I pairs[TILE_VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < TILE_VECTORS; v++)
      pairs[v] = I_LOAD(w + 2 * v * LANES);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
      int32_t both;
      memcpy(&both, a + r * a_step + i, sizeof both);
      I x = I_SET(both);
#pragma GCC unroll 8
      for (int v = 0; v < TILE_VECTORS; v++)
        dot[r][v] = is_fused ? I_DOT_16(x, pairs[v], dot[r][v])
                             : I_ADD(dot[r][v], I_MUL_ADD_16(x, pairs[v]));
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
    for (int v = 0; v < TILE_VECTORS; v++) {
      V both = V_MUL(V_SET(a_scale[r]), V_LOAD(scale + v * LANES));
      V_STORE(c + r * c_step + v * LANES,
              V_FMA(V_OF_I(dot[r][v]), both, V_LOAD(from + r * from_step + v * LANES)));
    }
}

/* All columns. */
INLINE void rows_words(bool is_fused, int64_t n, int64_t k, const int16_t *a, int64_t a_step,
                       const float *a_scale, const int16_t *w, const float *scale,
                       const float *from, int64_t from_step, float *c, int64_t c_step) {
  for (int64_t at = 0; at < LIMN_PANEL; at += TILE_VECTORS * LANES) {
    int64_t r = 0;
    for (; r + LIMN_TILE <= n; r += LIMN_TILE)
      tile_words(is_fused, LIMN_TILE, k, a + r * a_step, a_step, a_scale + r, w + 2 * at,
                 scale + at, from + r * from_step + at, from_step, c + r * c_step + at, c_step);
    for (; r < n; r++)
      tile_words(is_fused, 1, k, a + r * a_step, a_step, a_scale + r, w + 2 * at, scale + at,
                 from + r * from_step + at, from_step, c + r * c_step + at, c_step);
  }
}

INLINE void words_with(bool is_fused, int64_t n, int64_t k, const int16_t *a, int64_t a_step,
                       const float *a_scale, const void *panel, const float *scale,
                       const float *start, float *c, int64_t c_step, int64_t width) {
  const float *from = start ? start : c;
  const int64_t from_step = start ? 0 : c_step;
  if (width == LIMN_PANEL) {
    rows_words(is_fused, n, k, a, a_step, a_scale, panel, scale, from, from_step, c, c_step);
    return;
  }
  _Alignas(64) float beside[LIMN_TILE * LIMN_PANEL] = {0};
  for (int64_t r = 0; r < n; r += LIMN_TILE) {
    int64_t rows = n - r < LIMN_TILE ? n - r : LIMN_TILE;
    limn_kernel_copy(rows, width, beside, LIMN_PANEL, from + r * from_step, from_step);
    rows_words(is_fused, rows, k, a + r * a_step, a_step, a_scale + r, panel, scale, beside,
               LIMN_PANEL, beside, LIMN_PANEL);
    limn_kernel_copy(rows, width, c + r * c_step, c_step, beside, LIMN_PANEL);
  }
}

static void product_words(int64_t n, int64_t k, const int16_t *a, int64_t a_step,
                          const float *a_scale, const void *panel, const float *scale,
                          const float *start, float *c, int64_t c_step, int64_t width) {
  words_with(false, n, k, a, a_step, a_scale, panel, scale, start, c, c_step, width);
}

/* Two bytes of a row's four as 16-bit numbers, for even and for odd inputs. */
static inline int32_t two_of(const int8_t *q) {
  return (int32_t)((uint32_t)(uint16_t)q[0] | (uint32_t)(uint16_t)q[2] << 16);
}

INLINE void widened_row_bytes(bool is_q4, int64_t k, const int8_t *q, const float *scale,
                              const int32_t *less, const unsigned char *block, V *s) {
  for (int64_t b = 0; b * LIMN_QUANT < k; b++, q += LIMN_QUANT) {
    I dot[VECTORS];
    EACH_VECTOR dot[v] = I_SET((is_q4 ? 8 : 128) * less[b]);
    for (int quad = 0; quad < LIMN_QUANT / 4; quad++) {
      I even = I_SET(two_of(q + 4 * quad)), odd = I_SET(two_of(q + 4 * quad + 1));
      EACH_VECTOR {
        I w = lanes_q8(block, is_q4 ? quad % 4 : quad, v);
        if (is_q4) w = I_AND(I_SHR(w, quad / 4 * 4), I_SET(0x0f0f0f0f));
        I low = I_AND(w, I_SET(0x00ff00ff)), high = I_AND(I_SHR(w, 8), I_SET(0x00ff00ff));
        dot[v] = I_ADD(dot[v], I_ADD(I_MUL_ADD_16(low, even), I_MUL_ADD_16(high, odd)));
      }
    }
    EACH_VECTOR {
      V sum = V_MUL(V_OF_I(dot[v]), V_SET(scale[b]));
      s[v] = V_FMA(sum, V_LOAD_BF16(block + v * LANES * 2), s[v]);
    }
    block += is_q4 ? LIMN_BLOCK_Q4 : LIMN_BLOCK_Q8;
  }
}

/* Each row beside the output, which may be narrower than a panel. */
#define WIDENED_ROWS(compute)                                                                      \
  for (int64_t r = 0; r < n; r++, c += c_step) {                                                   \
    _Alignas(64) float beside[LIMN_PANEL] = {0};                                                   \
    V s[VECTORS];                                                                                  \
    memcpy(beside, start ? start : c, (size_t)width * sizeof *c);                                  \
    EACH_VECTOR s[v] = V_LOAD(beside + v * LANES);                                                 \
    compute;                                                                                       \
    EACH_VECTOR V_STORE(beside + v * LANES, s[v]);                                                 \
    memcpy(c, beside, (size_t)width * sizeof *c);                                                  \
  }

/* Many rows: what the weights mean is written down once for all of them. The same chains. */
static void widened_tiles_bf16(int64_t n, int64_t k, const uint16_t *a, int64_t a_step,
                               const void *panel, float *c, int64_t c_step, int64_t width) {
  _Alignas(64) float wide[LIMN_CHUNK * LIMN_PANEL], x[LIMN_TILE * LIMN_CHUNK];
  for (int64_t k0 = 0; k0 < k; k0 += LIMN_CHUNK) {
    int64_t count = k - k0 < LIMN_CHUNK ? k - k0 : LIMN_CHUNK;
    unpack_bf16((const uint16_t *)panel + k0 * LIMN_PANEL, count, wide);
    for (int64_t r = 0; r < n; r += LIMN_TILE) {
      int64_t rows = n - r < LIMN_TILE ? n - r : LIMN_TILE;
      for (int64_t i = 0; i < rows; i++)
        for (int64_t at = 0; at < count; at++)
          x[i * LIMN_CHUNK + at] = limn_kernel_of_bf16(a[(r + i) * a_step + k0 + at]);
      product(rows, count, x, LIMN_CHUNK, wide, LIMN_PANEL, c + r * c_step, c_step, width,
              LIMN_SUM_ON);
    }
  }
}

static void widened_bf16(int64_t n, int64_t k, const uint16_t *a, int64_t a_step, const void *panel,
                         const float *start, float *c, int64_t c_step, int64_t width) {
  if (n >= LIMN_TILE) {
    if (start) limn_kernel_copy(n, width, c, c_step, start, 0);
    widened_tiles_bf16(n, k, a, a_step, panel, c, c_step, width);
    return;
  }
  WIDENED_ROWS(widened_row_bf16(k, a + r * a_step, panel, s))
}

static void widened_q8(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                       const float *start, float *c, int64_t c_step, int64_t width) {
  const int64_t step = a_step / LIMN_QUANT;
  WIDENED_ROWS(widened_row_bytes(false, k, a.q + r * a_step, a.scale + r * step, a.less + r * step,
                                 panel, s))
}

static void widened_q4(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                       const float *start, float *c, int64_t c_step, int64_t width) {
  const int64_t step = a_step / LIMN_QUANT;
  WIDENED_ROWS(
      widened_row_bytes(true, k, a.q + r * a_step, a.scale + r * step, a.less + r * step, panel, s))
}

/* ---- functions --------------------------------------------------------------------------------
 */

/*
 * e^x within 1.1 ulp. With n = round(x / ln 2) and r = x - n ln 2, |r| <= 0.347:
 * e^x = 2^n (1 + r + r^2 q(r)), where q is fitted to a relative error of 4e-9. ln 2 is taken off in
 * two parts, the first with 9 zeros at its end, so that n times it is exact (Cody and Waite 1980).
 */
INLINE V exponential(V x) {
  x = V_MIN(V_SET(89.0f), V_MAX(V_SET(-104.5f), x));
  V n = V_ROUND(V_MUL(x, V_SET(0x1.715476p+0f)));
  V r = V_FMA(n, V_SET(-0x1.62e4p-1f), x);
  r = V_FMA(n, V_SET(-0x1.7f7d1cp-20f), r);
  V q = V_FMA(V_SET(0x1.6a2352p-10f), r, V_SET(0x1.123a6cp-7f));
  q = V_FMA(q, r, V_SET(0x1.5558f4p-5f));
  q = V_FMA(q, r, V_SET(0x1.55549p-3f));
  q = V_FMA(q, r, V_SET(0x1.fffffcp-2f));
  return V_LDEXP(V_ADD(V_SET(1), V_FMA(V_MUL(r, r), q, r)), n);
}

/* x / (1 + e^-u): x times the logistic function of u, without cancellation on either side. */
INLINE V gate(V x, V minus_u) {
  return V_DIV(x, V_ADD(V_SET(1), exponential(minus_u)));
}

INLINE V relu(V x) {
  return V_MAX(V_SET(0), x);
}

/* 0.5 x (1 + tanh(u)) is x times the logistic of 2 u, with u = sqrt(2 / pi) (x + 0.044715 x^3). */
INLINE V gelu_tanh(V x) {
  V cubic = V_FMA(V_MUL(V_MUL(x, x), V_SET(0.044715f)), x, x);
  return gate(x, V_MUL(cubic, V_SET(-1.5957691216f)));
}

INLINE V quick_gelu(V x) {
  return gate(x, V_MUL(x, V_SET(-1.702f)));
}

INLINE V silu(V x) {
  return gate(x, V_SUB(V_SET(0), x));
}

/*
 * 0.5 x erfc(-x / sqrt 2) = max(x, 0) - 0.5 |x| erfc(|x| / sqrt 2). With z = |x| / sqrt 2 and t = 1
 * / (1 + 0.3 z), erfc(z) = e^-(z^2) t p(t), where p is fitted to a relative error of 2e-8 (the form
 * is Hastings's, 1955). What x^2 / 2 loses when it is rounded is put back as a factor, so that
 * small results stay right too.
 */
INLINE V gelu_erf(V x) {
  static const float p[] = {-0x1.0953b2p-3f, 0x1.f16284p-2f,  -0x1.0679cp-1f,
                            0x1.18abb8p-1f,  -0x1.85272ep-4f, 0x1.b88502p-3f,
                            0x1.2fb238p-3f,  0x1.5da432p-3f,  0x1.5a7ef2p-3f};
  V size = V_MIN(V_SET(20), V_MAX(V_SUB(V_SET(0), x), x)); /* beyond, the tail is 0 */
  V half = V_MUL(size, V_SET(0.5f)), square = V_MUL(size, half);
  V lost = V_FMA(size, half, V_SUB(V_SET(0), square));
  V t = V_DIV(V_SET(1), V_FMA(size, V_SET(0.21213203f), V_SET(1))), sum = V_SET(p[0]);
#pragma GCC unroll 8
  for (int i = 1; i < 9; i++)
    sum = V_FMA(sum, t, V_SET(p[i]));
  V e = exponential(V_SUB(V_SET(0), square));
  V tail = V_MUL(V_MUL(sum, t), V_FMA(e, V_SUB(V_SET(0), lost), e)); /* erfc(z) */
  return V_SUB(relu(x), V_MUL(half, tail));
}

#define ACTIVATION(name)                                                                           \
  static void activate_##name(int64_t n, int64_t width, const float *x, int64_t x_step, float *y,  \
                              int64_t y_step) {                                                    \
    for (int64_t r = 0; r < n; r++)                                                                \
      for (int64_t i = 0; i < width; i += LANES)                                                   \
        store(y + r * y_step + i, width - i, name(load(x + r * x_step + i, width - i)));           \
  }
ACTIVATION(relu)
ACTIVATION(gelu_tanh)
ACTIVATION(gelu_erf)
ACTIVATION(quick_gelu)
ACTIVATION(silu)

static void softmax(int64_t n, float *x) {
  if (n <= 0) return;
  V most = V_SET(-INFINITY), sum = V_SET(0);
  int64_t whole = n - n % LANES;
  for (int64_t i = 0; i < whole; i += LANES)
    most = V_MAX(most, V_LOAD(x + i));
  float top = V_MOST(most);
  for (int64_t i = whole; i < n; i++)
    if (x[i] > top) top = x[i];
  most = V_SET(top);
  for (int64_t i = 0; i < n; i += LANES) {
    V e = exponential(V_SUB(load(x + i, n - i), most));
    store(x + i, n - i, e);
    sum = V_ADD(sum, load(x + i, n - i)); /* zeros behind the end */
  }
  V share = V_DIV(V_SET(1), V_SET(V_TOTAL(sum)));
  for (int64_t i = 0; i < n; i += LANES)
    store(x + i, n - i, V_MUL(load(x + i, n - i), share));
}

static double mean_of(int64_t n, const float *x) {
  D low = D_SET(0), high = D_SET(0);
  for (int64_t i = 0; i < n; i += LANES) {
    V v = load(x + i, n - i);
    low = D_ADD(low, D_LOW(v));
    high = D_ADD(high, D_HIGH(v));
  }
  return D_TOTAL(D_ADD(low, high)) / (double)n;
}

static float norm_scale(int64_t n, const float *x, float eps) {
  double mean = mean_of(n, x);
  D low = D_SET(0), high = D_SET(0);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    V v = V_LOAD(x + i);
    D a = D_SUB(D_LOW(v), D_SET(mean)), b = D_SUB(D_HIGH(v), D_SET(mean));
    low = D_FMA(a, a, low);
    high = D_FMA(b, b, high);
  }
  double squares = D_TOTAL(D_ADD(low, high));
  for (; i < n; i++)
    squares += ((double)x[i] - mean) * ((double)x[i] - mean);
  return (float)sqrt(squares / (double)n + (double)eps);
}

static void normalize(int64_t n, const float *x, float scale, const float *weight,
                      const float *bias, float *out) {
  double mean = mean_of(n, x);
  V mean_high = V_SET((float)mean), divisor = V_SET(scale);
  V mean_low = V_SET((float)(mean - (double)(float)mean)); /* a mean far from 0 keeps its bits */
  for (int64_t i = 0; i < n; i += LANES) {
    V v = V_DIV(V_SUB(V_SUB(load(x + i, n - i), mean_high), mean_low), divisor);
    store(out + i, n - i, V_FMA(v, load(weight + i, n - i), load(bias + i, n - i)));
  }
}

static void add(int64_t n, int64_t width, float *to, int64_t to_step, const float *from,
                int64_t from_step) {
  for (int64_t r = 0; r < n; r++, to += to_step, from += from_step)
    for (int64_t i = 0; i < width; i += LANES)
      store(to + i, width - i, V_ADD(load(to + i, width - i), load(from + i, width - i)));
}

static void divide(int64_t n, float *x, float divisor) {
  for (int64_t i = 0; i < n; i += LANES)
    store(x + i, n - i, V_DIV(load(x + i, n - i), V_SET(divisor)));
}

/* ---- what a core can do -----------------------------------------------------------------------
 */

enum { SPIN_VECTORS = 12 };

static float spin(int64_t rounds) {
  V s[SPIN_VECTORS], x = V_SET(0.999f), y = V_SET(1e-3f), total = V_SET(0);
#pragma GCC unroll 12
  for (int i = 0; i < SPIN_VECTORS; i++)
    s[i] = V_SET((float)i);
  for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
    for (int i = 0; i < SPIN_VECTORS; i++)
      s[i] = V_FMA(s[i], x, y);
#pragma GCC unroll 12
  for (int i = 0; i < SPIN_VECTORS; i++)
    total = V_ADD(total, s[i]);
  return V_TOTAL(total);
}

static float read_all(int64_t n, const float *x) {
  V s[4] = {V_SET(0), V_SET(0), V_SET(0), V_SET(0)};
  for (int64_t i = 0; i + 4 * LANES <= n; i += 4 * LANES)
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++)
      s[v] = V_ADD(s[v], V_LOAD(x + i + v * LANES));
  return V_TOTAL(V_ADD(V_ADD(s[0], s[1]), V_ADD(s[2], s[3])));
}

/* What every table made of this file has in common; it adds its name and what is left. */
#define LANES_TABLE                                                                                \
  .product = product, .product_from = product_from, .round_words = round_words, .pack = pack,      \
  .unpack = {unpack_f32, unpack_f16, unpack_bf16, unpack_q8, unpack_q4},                           \
  .row = {NULL, row_f16, row_bf16, row_q8, row_q4}, .norm_scale = norm_scale,                      \
  .normalize = normalize, .softmax = softmax,                                                      \
  .activate = {activate_relu, activate_gelu_tanh, activate_gelu_erf, activate_quick_gelu,          \
               activate_silu},                                                                     \
  .add = add, .divide = divide, .spin_size = SPIN_VECTORS * LANES, .spin = spin, .read = read_all
/* For those without dot products of 16-bit floats and bytes. */
#define WIDENED_TABLE                                                                              \
  .product_bf16 = widened_bf16, .product_q8 = widened_q8, .product_q4 = widened_q4,                \
  .product_words = product_words, .round_bf16 = limn_scalar_round_bf16
