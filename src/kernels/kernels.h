/*
 * kernels.h - the arithmetic of the models: one table of functions for each instruction set.
 *
 * This room knows nothing of limn's: plain pointers, sizes and steps (the distance between two
 * rows, in elements). The scalar table is the reference that all others are tested against; which
 * one runs is chosen once, by what the processor has.
 *
 * Weights are packed once, when a model is opened, into panels: LIMN_PANEL outputs wide, all inputs
 * deep, so that a product reads memory from front to back whether it has one row or a thousand.
 *
 * The order of summation is part of the interface. An output is a sum over groups of LIMN_CHAIN
 * inputs, each group a chain of fused multiply-adds from 0 in the order of the inputs, the groups
 * added from the first to the last. It depends neither on the number of rows in a call nor on the
 * format of the weights nor on the number of threads: all paths of one table give the same bits.
 * (Short chains also round less: the error of a sum grows with the length of its chains.)
 *
 * Tiles (limn_tiles) are the exception, for passes that say so: their sums have another order,
 * which depends on nothing else than the row and the weights either.
 */
#ifndef LIMN_SRC_KERNELS_KERNELS_H
#define LIMN_SRC_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  LIMN_PANEL = 64,  /* outputs that a panel is wide */
  LIMN_CHUNK = 256, /* inputs that are worked through together, for the caches' sake */
  LIMN_CHAIN = 32,  /* inputs whose products are one chain; divides LIMN_CHUNK */
  LIMN_QUANT = 32,  /* inputs that share a scale in the formats q8 and q4 */
  LIMN_TILE = 6,    /* rows that are computed together */
  LIMN_WORDS = 64,  /* inputs whose products as words fit a sum of 32 bits */
  /* Where words end. 64 products of these two are just below 2^31. */
  LIMN_MOST_ROW = 8191,
  LIMN_MOST_WEIGHT = 4095,
  /* Bytes of LIMN_QUANT inputs of a panel: scales and numbers. */
  LIMN_BLOCK_Q8 = LIMN_PANEL * (2 + LIMN_QUANT),
  LIMN_BLOCK_Q4 = LIMN_PANEL * (2 + LIMN_QUANT / 2)
};

/* ---- packed weights ---------------------------------------------------------------------------
 */

/* The number of this layout in files: another one as soon as a byte of a panel changes. */
enum { LIMN_PANEL_VERSION = 1 };

/*
 * How a panel holds its numbers. f32 and f16: (inputs, 64). bf16: (inputs / 2, 64, 2), the pairs
 * that dot product instructions want. q8: for each 32 inputs 64 scales in bf16, then whole numbers
 * plus 128 as bytes, (8, 64, 4); a number is scale * (byte - 128). q4: 64 scales, then (4, 64, 4)
 * bytes, whose low halves are inputs 0 to 15 of the 32 and whose high halves the other 16; a number
 * is scale * (half - 8). All of these become a float32 without rounding.
 */
typedef enum limn_format {
  LIMN_FORMAT_F32,
  LIMN_FORMAT_F16,
  LIMN_FORMAT_BF16,
  LIMN_FORMAT_Q8,
  LIMN_FORMAT_Q4,
  LIMN_FORMAT_COUNT
} limn_format;

/* Bytes from input 0 to input k of a panel, k rounded up to what the format holds together. */
size_t limn_panel_size(limn_format format, int64_t k);

/* ---- the table --------------------------------------------------------------------------------
 */

/* What a product does with what c holds. */
typedef enum limn_sum {
  LIMN_SUM_SET, /* c = the sum of the chains */
  LIMN_SUM_ADD, /* c = c + the first chain + the second ... */
  LIMN_SUM_ON   /* c = one chain over all inputs, from c on */
} limn_sum;

/* In the order of limn_activation of limn/nn.h. */
enum { LIMN_N_ACTIVATIONS = 5 };

/*
 * Rows of activations as whole numbers: x = scale * q. What a product adds to an output for a block
 * is the whole number sum(q * weight), times the row's scale, and that times the weight's.
 */
typedef struct limn_quantized {
  int8_t *q;     /* (n, k), k a multiple of LIMN_QUANT, 0 behind the end */
  float *scale;  /* (n, k / LIMN_QUANT) */
  int32_t *less; /* (n, k / LIMN_QUANT) minus the sums of q: what to add for each 1 that all weights
                    have too much */
} limn_quantized;

/*
 * Rows of activations as tiles take them: blocks of LIMN_TILE_ROWS rows, each split into `parts`
 * bfloat16 numbers whose sum it is (three), or rounded to one. A block is (inputs / 32, parts, 16
 * rows, 32 inputs), filled up with zeros. `apart` has a bit for each row of a block that tiles
 * cannot take for LIMN_TILE_CHUNK inputs, because a number is too large, too small, infinite or
 * NaN.
 */
enum { LIMN_TILE_ROWS = 16, LIMN_TILE_INPUTS = 32, LIMN_TILE_CHUNK = 128 };

typedef struct limn_split {
  uint16_t *tiles;
  uint16_t *apart; /* (blocks, inputs / LIMN_TILE_CHUNK rounded up); not for one part */
  int parts;
} limn_split;

/* Numbers of a block's tiles and of its `apart`, for k inputs. */
int64_t limn_split_tiles(int parts, int64_t k);
int64_t limn_split_apart(int64_t k);

/* Products of many rows where a processor has tiles of 16 by 16 sums. */
typedef struct limn_tiles {
  /* With fewer rows than this in a pass the other products are faster, by format. */
  int64_t least_rows[LIMN_FORMAT_COUNT];
  /* Writes a block: n <= LIMN_TILE_ROWS rows of x (n, k). */
  void (*split)(int64_t n, int64_t k, const float *x, int64_t x_step, limn_split block);
  /*
   * c (n, width) += a panel's products with all k inputs of n rows, split in three: as exact as in
   * float32. x are the same rows; the first is the first of a block.
   */
  void (*product)(limn_format format, int64_t n, int64_t k, limn_split a, const float *x,
                  int64_t x_step, const void *panel, float *c, int64_t c_step, int64_t width);
  /* The same of rows in one part and weights in bf16. */
  void (*product_bf16)(int64_t n, int64_t k, limn_split a, const void *panel, float *c,
                       int64_t c_step, int64_t width);
} limn_tiles;

typedef struct limn_kernels {
  const char *name;
  const limn_tiles *tiles; /* NULL where there are none */

  /* c (n, width) from a (n, k) times b (k, width); width <= LIMN_PANEL, k any. */
  void (*product)(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                  int64_t b_step, float *c, int64_t c_step, int64_t width, limn_sum sum);
  /* The same, c = start (width) + the first chain + the second ... */
  void (*product_from)(int64_t n, int64_t k, const float *a, int64_t a_step, const float *b,
                       int64_t b_step, const float *start, float *c, int64_t c_step, int64_t width);
  /*
   * Writes k inputs, `rows` (k, 64), at `panel`, the place of the first of them, whose number is a
   * multiple of LIMN_QUANT; so is k, unless the inputs end there. f16 and bf16 round to nearest
   * even; q8 and q4 choose each scale so that the squared error is small. All tables write the
   * same bytes.
   */
  void (*pack)(limn_format format, void *panel, int64_t k, const float *rows);
  /* k inputs at `panel` (the place of the first) as float32: out (k, 64). k as for packing. */
  void (*unpack[LIMN_FORMAT_COUNT])(const void *panel, int64_t k, float *out);
  /* c (64) += the chains over k inputs at `panel`: unpack and product in one, for one row. NULL
     for f32, which product does. */
  void (*row[LIMN_FORMAT_COUNT])(const void *panel, int64_t k, const float *a, float *c);

  /*
   * Products that round: c (n, width) = start (width) plus the sum over k inputs; where `start` is
   * NULL, c is what it starts from. `a` in bf16 (n, k), k even.
   */
  void (*product_bf16)(int64_t n, int64_t k, const uint16_t *a, int64_t a_step, const void *panel,
                       const float *start, float *c, int64_t c_step, int64_t width);
  /* Row i of `a` starts at q + i * a_step, scale and less + i * a_step / LIMN_QUANT. */
  void (*product_q8)(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                     const float *start, float *c, int64_t c_step, int64_t width);
  void (*product_q4)(int64_t n, int64_t k, limn_quantized a, int64_t a_step, const void *panel,
                     const float *start, float *c, int64_t c_step, int64_t width);
  /*
   * The same of words, 16-bit whole numbers with a scale: k <= LIMN_WORDS inputs, k even. A row has
   * its scale and numbers up to LIMN_MOST_ROW, a column of `panel` (k / 2, 64, 2) its own and
   * numbers up to LIMN_MOST_WEIGHT.
   */
  void (*product_words)(int64_t n, int64_t k, const int16_t *a, int64_t a_step,
                        const float *a_scale, const void *panel, const float *scale,
                        const float *start, float *c, int64_t c_step, int64_t width);
  /* x = scale * out for n numbers, none of which becomes larger than `most`; all 0 where a NaN or
     infinity makes the scale NaN or infinite. Returns the scale. All tables give the same. */
  float (*round_words)(int64_t n, const float *x, float most, int16_t *out);
  void (*round_bf16)(int64_t n, const float *x, uint16_t *out);
  /* n numbers of a row, n any; what is behind the end up to a multiple of LIMN_QUANT is 0. */
  void (*quantize)(int64_t n, const float *x, limn_quantized out);

  /*
   * A row's divisor sqrt(mean((x - mean(x))^2) + eps); mean and divisor are computed in float64.
   * Then out = (x - mean) / scale * weight + bias. `out` may be `x`.
   */
  float (*norm_scale)(int64_t n, const float *x, float eps);
  void (*normalize)(int64_t n, const float *x, float scale, const float *weight, const float *bias,
                    float *out);
  /* x = e^(x - max) / sum. A NaN or +inf makes the row NaN, and so does a row of -inf alone. */
  void (*softmax)(int64_t n, float *x);
  /* (n, width) each; y may be x. */
  void (*activate[LIMN_N_ACTIVATIONS])(int64_t n, int64_t width, const float *x, int64_t x_step,
                                       float *y, int64_t y_step);
  /* to (n, width) += from. */
  void (*add)(int64_t n, int64_t width, float *to, int64_t to_step, const float *from,
              int64_t from_step);
  /* x (n) / divisor */
  void (*divide)(int64_t n, float *x, float divisor);
  /* out (k, 64), of which columns [first, first + n) are the rows of x (n, k); first + n <= 64. */
  void (*transpose)(int64_t n, int64_t k, const float *x, int64_t x_step, float *out,
                    int64_t first);

  /* What a core can do at best, for limn bench. spin: so many rounds of `spin_size` multiply-adds
     that nothing waits for. read: n numbers from memory. Both return something. */
  double spin_size;
  float (*spin)(int64_t rounds);
  float (*read)(int64_t n, const float *x);
} limn_kernels;

/* All tables of this build, best first, ending with the scalar one and NULL. */
extern const limn_kernels *const limn_kernels_all[];

/* Whether a processor with these features ("avx2 fma ...", as limn_cpu_features) can run it. */
bool limn_kernels_can_run(const limn_kernels *kernels, const char *features);
/* The table of this name, or for NULL or "" the best one that can run. NULL where there is none, or
   it cannot run. */
const limn_kernels *limn_kernels_choose(const char *features, const char *name);
/* Whether a table's tiles give what its other products do, for a few rows. The processor must let
   the process use them. */
bool limn_tiles_work(const limn_kernels *kernels);

extern const limn_kernels limn_kernels_scalar;
#if defined(__x86_64__)
extern const limn_kernels limn_kernels_avx2;
extern const limn_kernels limn_kernels_avx512;
extern const limn_kernels limn_kernels_avx512_vnni; /* with VNNI and BF16 */
extern const limn_kernels limn_kernels_amx;         /* that, and tiles */
extern const limn_tiles limn_tiles_amx;
#elif defined(__aarch64__)
extern const limn_kernels limn_kernels_neon;
#endif

#endif
