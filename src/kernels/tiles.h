/*
 * tiles.h - products of many rows on tiles, written once in terms of the tile instructions. A file
 * defines these (kernels_amx.c as the processor's, a test as plain C) and includes this one.
 *
 * A tile is a register of 16 rows of 64 bytes. One instruction multiplies a tile of 16 rows of 32
 * bfloat16 numbers with one of 32 inputs of 16 outputs, and adds the 256 sums to a third. The
 * weights lie in panels as it wants them: a row of a tile is a pair of inputs (or four, of bytes)
 * of 16 outputs, and the next row is a panel's width further on.
 *
 * Float32 from bfloat16. A float32 x is exactly the sum of three bfloat16 numbers, each the part
 * before it rounded: x = x0 + x1 + x2, where x1 is at most 2^-9 of x and x2 2^-17. Of the nine
 * products of two such sums the six with i + j <= 2 are summed, the smallest first; what is left
 * out is below 2^-25 of x y and of either sign. Weights that are bfloat16 have one part, and three
 * products; float16 and whole numbers with a scale have 16 bits at most, two parts, five products.
 * Sums are float32 in the tile: within an instruction two chains of 16 products, one of the even
 * and one of the odd inputs, added to each other and then to the tile. A tile sums 128 inputs (256
 * of bfloat16 weights) from 0, and is then added to the output.
 *
 * The instructions take subnormal numbers for 0 and give 0 for them, and rounding the largest
 * numbers to bfloat16 gives infinity. So a row whose largest number of a chunk is outside [LOW,
 * HIGH], or infinite or NaN, is computed by the other products for these inputs, and so are all
 * rows where an output has such weights. Inside, what is lost to subnormals is below 2^-32 of the
 * row's largest times the output's largest, and no sum overflows.
 *
 * Whole numbers. The sum of 32 products of bytes is exact, and is then scaled and added to the
 * output as everywhere: the same bits as without tiles. One scale for 32 inputs means one
 * instruction for 32 inputs of bytes, though it could take 64: two groups in one would need a scale
 * in the middle. Scaling (store 16 rows; convert, multiply, multiply-add each) takes as long as a
 * whole instruction of 64 would, so that little is lost.
 *
 * Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18; volume 2,
 * TDPBF16PS and TDPBSSD.
 *
 * To define before: PLAIN, a pointer to the table of the other products;
 *   TILE_CONFIGURE(p) (p a tile_config) TILE_RELEASE()
 *   TILE_ZERO(t) TILE_LOAD(t, p, step) TILE_STORE(t, p, step), steps in bytes
 *   TILE_BF16(c, a, b) TILE_BYTES(c, a, b) (signed with signed): c += a times b
 *   type V of 16 floats: V_LOAD V_STORE V_SET V_MUL V_FMA, V_LOAD_INTS (int32, converted)
 */
#include "kernels/shared.h"

#define INLINE static inline __attribute__((always_inline))

enum {
  SIDE = LIMN_TILE_ROWS,
  TILE_NUMBERS = LIMN_TILE_ROWS * LIMN_TILE_INPUTS, /* bfloat16 in a tile of rows */
  PANEL_BYTES = LIMN_PANEL * 4,                     /* from a tile's row of weights to the next */
  CHUNK_ONE_PART = LIMN_CHUNK,
  CHUNK = LIMN_TILE_CHUNK,
  MOST_PARTS = 3,
  LOW = (127 - 40) << 23, /* 2^-40 and 2^60 as bits */
  HIGH = (127 + 60) << 23
};

/* What TILE_CONFIGURE loads. */
typedef struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes[16]; /* of a row, by tile */
  uint8_t rows[16];
} tile_config;

/* Sums in tiles 0 to 3, rows of so many bytes of activations in 4 and 5, weights in 6 and 7. */
static void configure(int row_bytes) {
  _Alignas(64) tile_config config = {.palette = 1};
  for (int t = 0; t < 8; t++) {
    config.bytes[t] = (uint16_t)(t == 4 || t == 5 ? row_bytes : 64);
    config.rows[t] = (uint8_t)(t < 6 ? SIDE : row_bytes / 4);
  }
  TILE_CONFIGURE(&config);
}

static int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ---- splitting --------------------------------------------------------------------------------
 */

INLINE uint32_t size_of(float x) {
  return limn_kernel_bits(x) & 0x7fffffff;
}

/* Whether tiles can take numbers of which this is the largest. */
INLINE bool is_good(uint32_t most) {
  return most == 0 || (most >= LOW && most <= HIGH);
}

/* The nearest bfloat16, halfway cases away from 0, as a float32's bits. For good numbers. */
INLINE uint32_t first_part(float x) {
  return (limn_kernel_bits(x) + 0x8000) & 0xffff0000;
}

typedef struct three {
  uint32_t part[MOST_PARTS]; /* bfloat16 in the upper half */
} three;

INLINE three split(float x) {
  three s;
  s.part[0] = first_part(x);
  float rest = x - limn_kernel_float(s.part[0]);
  s.part[1] = first_part(rest);
  s.part[2] = limn_kernel_bits(rest - limn_kernel_float(s.part[1])) & 0xffff0000;
  return s;
}

/* 32 inputs of a row, one row of each of three tiles. */
static void split_row(const float *x, uint16_t *out) {
  for (int i = 0; i < LIMN_TILE_INPUTS; i++) {
    three s = split(x[i]);
    out[i] = (uint16_t)(s.part[0] >> 16);
    out[TILE_NUMBERS + i] = (uint16_t)(s.part[1] >> 16);
    out[2 * TILE_NUMBERS + i] = (uint16_t)(s.part[2] >> 16);
  }
}

static bool row_is_good(const float *x) {
  uint32_t most = 0;
  for (int i = 0; i < CHUNK; i++)
    most = size_of(x[i]) > most ? size_of(x[i]) : most;
  return is_good(most);
}

/* CHUNK inputs at most of one row, x NULL for a row of zeros. Returns whether it stays apart. */
static bool split_chunk(int64_t k, int parts, const float *x, uint16_t *out) {
  _Alignas(64) float all[CHUNK] = {0};
  if (x) memcpy(all, x, (size_t)k * sizeof *x);
  bool is_apart = parts > 1 && !row_is_good(all);
  if (is_apart) memset(all, 0, sizeof all);
  for (int64_t i = 0; i < k; i += LIMN_TILE_INPUTS, out += parts * TILE_NUMBERS) {
    if (parts > 1)
      split_row(all + i, out);
    else
      PLAIN->round_bf16(LIMN_TILE_INPUTS, all + i, out);
  }
  return is_apart;
}

static void split_block(int64_t n, int64_t k, const float *x, int64_t x_step, limn_split block) {
  uint16_t *out = block.tiles;
  for (int64_t k0 = 0, chunk = 0; k0 < k; k0 += CHUNK, chunk++) {
    int64_t count = smaller(CHUNK, k - k0);
    uint16_t apart = 0;
    for (int64_t r = 0; r < SIDE; r++)
      if (split_chunk(count, block.parts, r < n ? x + r * x_step + k0 : NULL,
                      out + r * LIMN_TILE_INPUTS))
        apart |= (uint16_t)(1u << r);
    if (block.parts > 1) block.apart[chunk] = apart;
    out += limn_split_tiles(block.parts, count);
  }
}

/* ---- a block of sums --------------------------------------------------------------------------
 */

/* Weights of some steps of 32 inputs: for each part their place and, where the last step is not
   whole, the place of that. */
typedef struct split_weights {
  const uint32_t *part[MOST_PARTS];
  const uint32_t *last;
  int64_t steps;
} split_weights;

/* Part i of the rows, part j of the weights. */
#define ROWS(i)                                                                                    \
  do {                                                                                             \
    TILE_LOAD(4, a + (i)*TILE_NUMBERS, 64);                                                        \
    if (n_a == 2) TILE_LOAD(5, a + a_step + (i)*TILE_NUMBERS, 64);                                 \
  } while (0)
#define WEIGHTS(j)                                                                                 \
  do {                                                                                             \
    TILE_LOAD(6, b[j], PANEL_BYTES);                                                               \
    TILE_LOAD(7, b[j] + SIDE, PANEL_BYTES);                                                        \
  } while (0)
#define MULTIPLY()                                                                                 \
  do {                                                                                             \
    TILE_BF16(0, 4, 6);                                                                            \
    TILE_BF16(1, 4, 7);                                                                            \
    if (n_a == 2) TILE_BF16(2, 5, 6);                                                              \
    if (n_a == 2) TILE_BF16(3, 5, 7);                                                              \
  } while (0)

/* One step. The order of products changes one operand at a time. */
INLINE void multiply_step(int n_a, int parts_a, int parts_b, const uint16_t *a, int64_t a_step,
                          const uint32_t *const *b) {
  if (parts_a == 1) {
    ROWS(0);
    WEIGHTS(0);
    MULTIPLY();
    return;
  }
  if (parts_b == 3) {
    ROWS(0);
    WEIGHTS(2);
    MULTIPLY();
    WEIGHTS(1);
    MULTIPLY();
    ROWS(1);
    MULTIPLY();
    WEIGHTS(0);
    MULTIPLY();
    ROWS(2);
    MULTIPLY();
  } else if (parts_b == 2) {
    ROWS(1);
    WEIGHTS(1);
    MULTIPLY();
    ROWS(0);
    MULTIPLY();
    ROWS(2);
    WEIGHTS(0);
    MULTIPLY();
    ROWS(1);
    MULTIPLY();
  } else {
    ROWS(2);
    WEIGHTS(0);
    MULTIPLY();
    ROWS(1);
    MULTIPLY();
  }
  ROWS(0);
  MULTIPLY();
}

/* sum (16 n_a, 32) of n_a blocks of rows and 32 outputs, over w.steps steps. */
INLINE void multiply_block(int n_a, int parts_a, int parts_b, const uint16_t *a, int64_t a_step,
                           const split_weights *w, int64_t first, float *sum) {
  TILE_ZERO(0);
  TILE_ZERO(1);
  if (n_a == 2) TILE_ZERO(2);
  if (n_a == 2) TILE_ZERO(3);
  for (int64_t s = 0; s < w->steps; s++, a += parts_a * TILE_NUMBERS) {
    const uint32_t *b[MOST_PARTS];
    for (int j = 0; j < parts_b; j++)
      b[j] = (w->last && s == w->steps - 1 ? w->last : w->part[j] + s * SIDE * LIMN_PANEL) + first;
    multiply_step(n_a, parts_a, parts_b, a, a_step, b);
  }
  TILE_STORE(0, sum, 2 * SIDE * 4);
  TILE_STORE(1, sum + SIDE, 2 * SIDE * 4);
  if (n_a == 2) TILE_STORE(2, sum + SIDE * 2 * SIDE, 2 * SIDE * 4);
  if (n_a == 2) TILE_STORE(3, sum + SIDE * 2 * SIDE + SIDE, 2 * SIDE * 4);
}

static void add_sums(int64_t n, int64_t width, const float *sum, float *c, int64_t c_step) {
  for (int64_t r = 0; r < n; r++, sum += 2 * SIDE, c += c_step) {
    if (width >= 2 * SIDE)
      for (int j = 0; j < 2 * SIDE; j++)
        c[j] += sum[j];
    else
      for (int64_t j = 0; j < width; j++)
        c[j] += sum[j];
  }
}

/*
 * c += all rows times these weights. `a` is the first block's tiles for these inputs, the next
 * block's lie a_step on. The weights of 32 outputs stay in the nearest cache while all rows pass.
 */
INLINE void multiply_rows(int parts_a, int parts_b, int64_t n, const uint16_t *a, int64_t a_step,
                          const split_weights *w, float *c, int64_t c_step, int64_t width) {
  _Alignas(64) float sum[2 * SIDE * 2 * SIDE];
  for (int64_t first = 0; first < width; first += 2 * SIDE)
    for (int64_t r = 0; r < n; r += 2 * SIDE) {
      const uint16_t *rows = a + r / SIDE * a_step;
      if (n - r > SIDE)
        multiply_block(2, parts_a, parts_b, rows, a_step, w, first, sum);
      else
        multiply_block(1, parts_a, parts_b, rows, a_step, w, first, sum);
      add_sums(smaller(2 * SIDE, n - r), width - first, sum, c + r * c_step + first, c_step);
    }
}

/* ---- float32 ----------------------------------------------------------------------------------
 */

/* A panel's weights of one chunk of inputs. */
typedef struct chunk_weights {
  limn_format format;
  const void *panel; /* at the first of them */
  int64_t k;
  bool is_wide; /* `wide` is filled */
  float wide[CHUNK_ONE_PART * LIMN_PANEL];
  uint32_t part[MOST_PARTS][CHUNK / 2 * LIMN_PANEL];
  uint32_t last[SIDE * LIMN_PANEL]; /* the pairs of a step that is not whole */
} chunk_weights;

/* As float32, zeros up to a whole step. */
static void widen(chunk_weights *w) {
  int64_t whole = (w->k + LIMN_TILE_INPUTS - 1) / LIMN_TILE_INPUTS * LIMN_TILE_INPUTS;
  if (w->is_wide) return;
  PLAIN->unpack[w->format](w->panel, w->k, w->wide);
  memset(w->wide + w->k * LIMN_PANEL, 0, (size_t)((whole - w->k) * LIMN_PANEL) * sizeof(float));
  w->is_wide = true;
}

/* Every output's largest of n floats each, pairs of bfloat16 as if they were. */
static bool outputs_are_good(int64_t n, bool is_pairs, const uint32_t *bits) {
  uint32_t most[LIMN_PANEL] = {0};
  bool all = true;
  for (int64_t i = 0; i < n; i++, bits += LIMN_PANEL)
    for (int j = 0; j < LIMN_PANEL; j++) {
      uint32_t size = bits[j] & (is_pairs ? 0x7fff0000 : 0x7fffffff);
      uint32_t low = is_pairs ? bits[j] << 16 & 0x7fffffff : 0;
      most[j] = size > most[j] ? size : most[j];
      most[j] = low > most[j] ? low : most[j];
    }
  for (int j = 0; j < LIMN_PANEL; j++)
    all &= is_good(most[j]);
  return all;
}

/* The parts of pairs of inputs, as bfloat16 panels lie. */
INLINE void split_pairs(int parts, int64_t k, const float *wide,
                        uint32_t part[MOST_PARTS][CHUNK / 2 * LIMN_PANEL]) {
  for (int64_t i = 0; i < k / 2; i++, wide += 2 * LIMN_PANEL)
    for (int j = 0; j < LIMN_PANEL; j++) {
      three even = split(wide[j]), odd = split(wide[LIMN_PANEL + j]);
      for (int p = 0; p < parts; p++)
        part[p][i * LIMN_PANEL + j] = even.part[p] >> 16 | odd.part[p];
    }
}

/* Pairs as they lie in a panel; those behind the last whole step are copied, zeros behind them. */
static void take_pairs(const void *panel, int64_t k, uint32_t *last, split_weights *out) {
  int64_t left = k % LIMN_TILE_INPUTS, pairs = (left + 1) / 2;
  out->part[0] = panel;
  out->steps = (k + LIMN_TILE_INPUTS - 1) / LIMN_TILE_INPUTS;
  out->last = left ? last : NULL;
  if (!left) return;
  memset(last, 0, SIDE * LIMN_PANEL * sizeof *last);
  memcpy(last, (const uint32_t *)panel + (k - left) / 2 * LIMN_PANEL,
         (size_t)(pairs * LIMN_PANEL) * sizeof *last);
}

static int parts_of(limn_format format) {
  return format == LIMN_FORMAT_F32 ? 3 : format == LIMN_FORMAT_BF16 ? 1 : 2;
}

/* False where an output has weights that tiles cannot take. */
static bool split_chunk_weights(chunk_weights *w, split_weights *out) {
  int parts = parts_of(w->format);
  if (parts == 1) {
    take_pairs(w->panel, w->k, w->last, out);
    return outputs_are_good((w->k + 1) / 2, true, w->panel);
  }
  widen(w);
  out->steps = (w->k + LIMN_TILE_INPUTS - 1) / LIMN_TILE_INPUTS;
  out->last = NULL;
  for (int p = 0; p < parts; p++)
    out->part[p] = w->part[p];
  if (!outputs_are_good(w->k, false, (const uint32_t *)(const void *)w->wide)) return false;
  if (parts == 3)
    split_pairs(3, out->steps * LIMN_TILE_INPUTS, w->wide, w->part);
  else
    split_pairs(2, out->steps * LIMN_TILE_INPUTS, w->wide, w->part);
  return true;
}

/* The products of rows that stayed apart; their tiles are zeros. `apart` is the first chunk's. */
static void add_rows_apart(chunk_weights *w, int64_t n, int64_t k, const uint16_t *apart,
                           const float *x, int64_t x_step, float *c, int64_t c_step,
                           int64_t width) {
  for (int64_t first = 0; first < n; first += SIDE, apart += limn_split_apart(k))
    for (int64_t i = 0; i < w->k; i += CHUNK)
      for (int64_t r = first, rows = apart[i / CHUNK]; rows; r++, rows >>= 1) {
        if (!(rows & 1)) continue;
        widen(w);
        PLAIN->product(1, smaller(CHUNK, w->k - i), x + r * x_step + i, x_step,
                       w->wide + i * LIMN_PANEL, LIMN_PANEL, c + r * c_step, c_step, width,
                       LIMN_SUM_ADD);
      }
}

static void multiply_exactly(limn_format format, int64_t n, const uint16_t *a, int64_t a_step,
                             const split_weights *w, float *c, int64_t c_step, int64_t width) {
  if (parts_of(format) == 3)
    multiply_rows(3, 3, n, a, a_step, w, c, c_step, width);
  else if (parts_of(format) == 2)
    multiply_rows(3, 2, n, a, a_step, w, c, c_step, width);
  else
    multiply_rows(3, 1, n, a, a_step, w, c, c_step, width);
}

static void tile_product(limn_format format, int64_t n, int64_t k, limn_split a, const float *x,
                         int64_t x_step, const void *panel, float *c, int64_t c_step,
                         int64_t width) {
  int64_t step = parts_of(format) == 1 ? CHUNK_ONE_PART : CHUNK, a_step = limn_split_tiles(3, k);
  _Alignas(64) chunk_weights w;
  configure(64);
  for (int64_t k0 = 0; k0 < k; k0 += step) {
    split_weights parts;
    const float *here = x + k0;
    w.format = format;
    w.panel = (const unsigned char *)panel + limn_panel_size(format, k0);
    w.k = smaller(step, k - k0);
    w.is_wide = false;
    if (split_chunk_weights(&w, &parts)) {
      multiply_exactly(format, n, a.tiles + limn_split_tiles(3, k0), a_step, &parts, c, c_step,
                       width);
      add_rows_apart(&w, n, k, a.apart + k0 / CHUNK, here, x_step, c, c_step, width);
    } else {
      widen(&w);
      PLAIN->product(n, w.k, here, x_step, w.wide, LIMN_PANEL, c, c_step, width, LIMN_SUM_ADD);
    }
  }
  TILE_RELEASE();
}

/* ---- products that round ----------------------------------------------------------------------
 */

static void tile_product_bf16(int64_t n, int64_t k, limn_split a, const void *panel, float *c,
                              int64_t c_step, int64_t width) {
  _Alignas(64) uint32_t last[SIDE * LIMN_PANEL];
  split_weights w;
  configure(64);
  for (int64_t k0 = 0; k0 < k; k0 += CHUNK_ONE_PART) {
    take_pairs((const unsigned char *)panel + limn_panel_size(LIMN_FORMAT_BF16, k0),
               smaller(CHUNK_ONE_PART, k - k0), last, &w);
    multiply_rows(1, 1, n, a.tiles + limn_split_tiles(1, k0), limn_split_tiles(1, k), &w, c, c_step,
                  width);
  }
  TILE_RELEASE();
}

/* Some blocks of LIMN_QUANT inputs, without their offset, and their scales. */
enum { BLOCKS = LIMN_CHUNK / LIMN_QUANT };

typedef struct byte_weights {
  int64_t blocks;
  uint32_t number[BLOCKS][LIMN_QUANT / 4 * LIMN_PANEL]; /* fours of signed bytes */
  float scale[BLOCKS][LIMN_PANEL];
} byte_weights;

/* A number plus 128 less 128: the other sign bit. */
static void take_block_q8(const uint32_t *word, uint32_t *out) {
  for (int i = 0; i < LIMN_QUANT / 4 * LIMN_PANEL; i++)
    out[i] = word[i] ^ 0x80808080;
}

/* Four halves of bytes less 8 each: bit 3 the other way round is the sign, carried upwards. */
static uint32_t less_8(uint32_t halves) {
  uint32_t x = halves ^ 0x08080808, sign = x & 0x08080808;
  return x | ((sign << 5) - (sign << 1));
}

static void take_block_q4(const uint32_t *word, uint32_t *out) {
  enum { HALF = LIMN_QUANT / 8 * LIMN_PANEL };
  for (int i = 0; i < HALF; i++) {
    out[i] = less_8(word[i] & 0x0f0f0f0f);
    out[HALF + i] = less_8(word[i] >> 4 & 0x0f0f0f0f);
  }
}

static void take_bytes(bool is_q4, int64_t k, const unsigned char *block, byte_weights *w) {
  w->blocks = (k + LIMN_QUANT - 1) / LIMN_QUANT;
  for (int64_t b = 0; b < w->blocks; b++, block += is_q4 ? LIMN_BLOCK_Q4 : LIMN_BLOCK_Q8) {
    uint16_t scale[LIMN_PANEL];
    memcpy(scale, block, sizeof scale);
    for (int j = 0; j < LIMN_PANEL; j++)
      w->scale[b][j] = limn_kernel_of_bf16(scale[j]);
    const uint32_t *numbers = (const uint32_t *)(const void *)(block + 2 * LIMN_PANEL);
    if (is_q4)
      take_block_q4(numbers, w->number[b]);
    else
      take_block_q8(numbers, w->number[b]);
  }
}

/* dot (16, 16) = rows of bytes times 16 outputs. Odd and even blocks use tiles of their own, so
   that one need not wait for the other. */
#define DOT(sums, rows, weights, block)                                                            \
  do {                                                                                             \
    TILE_ZERO(sums);                                                                               \
    TILE_LOAD(rows, q + (block)*LIMN_QUANT, q_step);                                               \
    TILE_LOAD(weights, w->number[block] + first, PANEL_BYTES);                                     \
    TILE_BYTES(sums, rows, weights);                                                               \
    TILE_STORE(sums, dot[sums], SIDE * 4);                                                         \
  } while (0)

INLINE void scale_dots(const int32_t *dot, const float *weight_scale, const float *scale,
                       int64_t scale_step, V *sum) {
  V s = V_LOAD(weight_scale);
#pragma GCC unroll 16
  for (int r = 0; r < SIDE; r++)
    sum[r] = V_FMA(V_MUL(V_LOAD_INTS(dot + r * SIDE), V_SET(scale[r * scale_step])), s, sum[r]);
}

/* c (16, 16) += 16 rows times 16 outputs; the sums stay in registers. */
static void bytes_block(const int8_t *q, int64_t q_step, const float *scale, const byte_weights *w,
                        int64_t first, float *c, int64_t c_step) {
  _Alignas(64) int32_t dot[2][SIDE * SIDE];
  const int64_t scale_step = q_step / LIMN_QUANT;
  V sum[SIDE];
#pragma GCC unroll 16
  for (int r = 0; r < SIDE; r++)
    sum[r] = V_LOAD(c + r * c_step);
  for (int64_t b = 0; b < w->blocks; b += 2) {
    bool is_pair = b + 1 < w->blocks;
    DOT(0, 4, 6, b);
    if (is_pair) DOT(1, 5, 7, b + 1);
    scale_dots(dot[0], w->scale[b] + first, scale + b, scale_step, sum);
    if (is_pair) scale_dots(dot[1], w->scale[b + 1] + first, scale + b + 1, scale_step, sum);
  }
#pragma GCC unroll 16
  for (int r = 0; r < SIDE; r++)
    V_STORE(c + r * c_step, sum[r]);
}

/* All columns of up to 16 rows, which are beside their place where there are fewer. */
static void bytes_rows(int64_t n, const int8_t *q, int64_t q_step, const float *scale,
                       const byte_weights *w, float *c, int64_t c_step, int64_t width) {
  _Alignas(64) int8_t some[SIDE * LIMN_CHUNK];
  float some_scale[SIDE * BLOCKS], beside[SIDE * SIDE] = {0};
  if (n < SIDE) {
    memset(some, 0, sizeof some);
    memset(some_scale, 0, sizeof some_scale);
    for (int64_t r = 0; r < n; r++) {
      memcpy(some + r * LIMN_CHUNK, q + r * q_step, (size_t)(w->blocks * LIMN_QUANT));
      memcpy(some_scale + r * BLOCKS, scale + r * q_step / LIMN_QUANT,
             (size_t)w->blocks * sizeof *scale);
    }
    q = some;
    scale = some_scale;
    q_step = LIMN_CHUNK;
  }
  for (int64_t first = 0; first < width; first += SIDE) {
    int64_t columns = smaller(SIDE, width - first);
    if (n == SIDE && columns == SIDE) {
      bytes_block(q, q_step, scale, w, first, c + first, c_step);
      continue;
    }
    limn_kernel_copy(n, columns, beside, SIDE, c + first, c_step);
    bytes_block(q, q_step, scale, w, first, beside, SIDE);
    limn_kernel_copy(n, columns, c + first, c_step, beside, SIDE);
  }
}

static void tile_bytes(bool is_q4, int64_t n, int64_t k, limn_quantized a, int64_t a_step,
                       const void *panel, const float *start, float *c, int64_t c_step,
                       int64_t width) {
  limn_format format = is_q4 ? LIMN_FORMAT_Q4 : LIMN_FORMAT_Q8;
  _Alignas(64) byte_weights w;
  if (start) limn_kernel_copy(n, width, c, c_step, start, 0);
  configure(LIMN_QUANT);
  for (int64_t k0 = 0; k0 < k; k0 += LIMN_CHUNK) {
    take_bytes(is_q4, smaller(LIMN_CHUNK, k - k0),
               (const unsigned char *)panel + limn_panel_size(format, k0), &w);
    for (int64_t r = 0; r < n; r += SIDE)
      bytes_rows(smaller(SIDE, n - r), a.q + r * a_step + k0, a_step,
                 a.scale + (r * a_step + k0) / LIMN_QUANT, &w, c + r * c_step, c_step, width);
  }
  TILE_RELEASE();
}

/* For few rows the other products are faster. The bits are the same. */
static void tile_product_q8(int64_t n, int64_t k, limn_quantized a, int64_t a_step,
                            const void *panel, const float *start, float *c, int64_t c_step,
                            int64_t width) {
  if (n < SIDE)
    PLAIN->product_q8(n, k, a, a_step, panel, start, c, c_step, width);
  else
    tile_bytes(false, n, k, a, a_step, panel, start, c, c_step, width);
}

static void tile_product_q4(int64_t n, int64_t k, limn_quantized a, int64_t a_step,
                            const void *panel, const float *start, float *c, int64_t c_step,
                            int64_t width) {
  if (n < SIDE)
    PLAIN->product_q4(n, k, a, a_step, panel, start, c, c_step, width);
  else
    tile_bytes(true, n, k, a, a_step, panel, start, c, c_step, width);
}

/*
 * Splitting float32 weights costs about as much as the products of 16 rows save, reckoned from what
 * is known of the instructions: 1/3 cycle a weight, against 1/32 a product by multiply-add and 1/85
 * by six instructions.
 */
#define TILES                                                                                      \
  {                                                                                                \
    .least_rows = {[LIMN_FORMAT_F32] = 32,                                                         \
                   [LIMN_FORMAT_F16] = 32,                                                         \
                   [LIMN_FORMAT_BF16] = 16,                                                        \
                   [LIMN_FORMAT_Q8] = 32,                                                          \
                   [LIMN_FORMAT_Q4] = 32},                                                         \
    .split = split_block, .product = tile_product, .product_bf16 = tile_product_bf16               \
  }
