/*
 * loop_neon.c - the loop over a text on 64-bit ARM, whose every processor has NEON: what a byte is
 * by comparisons, four registers of 16 bytes at a time.
 *
 * Arm Architecture Reference Manual for A-profile, chapter C7.
 */
#if defined(__aarch64__)

#include "tokenizer/chosen.h"
#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

#include <arm_neon.h>

/* ---- what the bytes are -------------------------------------------------------------------------
 */

/* 64 bytes: byte i is in register i % 4. So a mask of them takes but a few shifts. */
typedef uint8x16x4_t bytes64;

/*
 * Bit i says whether byte i is ones (it is zero else). Each shift inserts a register's upper bits
 * below those of the next; in the end the four bits of a lane stand in it twice.
 */
static inline uint64_t mask_of(bytes64 is) {
  uint8x16_t low = vsriq_n_u8(is.val[1], is.val[0], 1), high = vsriq_n_u8(is.val[3], is.val[2], 1);
  uint8x16_t four = vsriq_n_u8(high, low, 2);
  four = vsriq_n_u8(four, four, 4);
  return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(four), 4)), 0);
}

#define EACH(of, expression)                                                                       \
  do {                                                                                             \
    for (int i = 0; i < 4; i++)                                                                    \
      (of).val[i] = (expression);                                                                  \
  } while (0)

static inline bytes64 is_equal(bytes64 b, unsigned char byte) {
  bytes64 is;
  EACH(is, vceqq_u8(b.val[i], vdupq_n_u8(byte)));
  return is;
}

static inline uint64_t equal(bytes64 b, unsigned char byte) {
  return mask_of(is_equal(b, byte));
}

static inline bytes64 is_between(bytes64 b, unsigned char first, unsigned char last) {
  bytes64 is;
  EACH(is, vcleq_u8(vsubq_u8(b.val[i], vdupq_n_u8(first)), vdupq_n_u8((uint8_t)(last - first))));
  return is;
}

static inline uint64_t between(bytes64 b, unsigned char first, unsigned char last) {
  return mask_of(is_between(b, first, last));
}

static inline uint64_t bits_of(bytes64 b, uint8_t bits) {
  bytes64 has;
  EACH(has, vtstq_u8(b.val[i], vdupq_n_u8(bits)));
  return mask_of(has);
}

static inline uint64_t from(const unsigned char *text, unsigned char byte) {
  return between(vld4q_u8(text), byte, 255);
}

/* Letters of contractions, by the lower five bits of a letter. */
enum { ONE = 1, FIRST = 2, ELL = 4, E = 8 };
static const uint8_t parts[32] = {
    ['d' & 31] = ONE,   ['m' & 31] = ONE,   ['s' & 31] = ONE, ['t' & 31] = ONE,
    ['r' & 31] = FIRST, ['v' & 31] = FIRST, ['l' & 31] = ELL, ['e' & 31] = E,
};

/* What a pattern does not ask for is not there when all is inlined. */
static inline __attribute__((always_inline)) void classify(const unsigned char *text,
                                                           limn_block *b) {
  const bytes64 bytes = vld4q_u8(text);
  const uint8x16x2_t table = vld1q_u8_x2(parts);
  bytes64 folded, part;
  EACH(folded, vorrq_u8(bytes.val[i], vdupq_n_u8(0x20)));
  EACH(part, vqtbl2q_u8(table, vandq_u8(bytes.val[i], vdupq_n_u8(31))));
  uint64_t letters = between(folded, 'a', 'z');
  b->high = between(bytes, 0x80, 0xff);
  b->lower = letters & bits_of(bytes, 0x20);
  b->upper = letters ^ b->lower;
  b->number = between(bytes, '0', '9');
  b->blank = equal(bytes, ' ');
  b->space = between(bytes, '\t', '\r') | b->blank;
  b->newline = equal(bytes, '\n') | equal(bytes, '\r');
  b->apostrophe = equal(bytes, '\'');
  b->slash = equal(bytes, '/');
  b->one = letters & bits_of(part, ONE);
  b->first = letters & bits_of(part, FIRST);
  b->ell = letters & bits_of(part, ELL);
  b->e = letters & bits_of(part, E);
  b->visible = between(bytes, '!', '~') & ~(letters | b->number);
}

/* Where characters from U+2010 to U+2027 begin. */
static inline uint64_t typographic(const unsigned char *text) {
  return equal(vld4q_u8(text), 0xe2) & equal(vld4q_u8(text + 1), 0x80) &
         between(vld4q_u8(text + 2), 0x90, 0xa7);
}

#define LIMN_LOOP_TYPOGRAPHIC

typedef bytes64 found_classes;

static inline uint64_t look_up(const unsigned char *text, const unsigned char *at, unsigned n,
                               const uint8_t *table, found_classes *found) {
  const uint8x16x4_t rows = vld1q_u8_x4(table);
  const bytes64 last = vld4q_u8(text + n);
  bytes64 same = is_equal(vld4q_u8(text), at[0]);
  if (n == 2) {
    bytes64 second = is_equal(vld4q_u8(text + 1), at[1]);
    EACH(same, vandq_u8(same.val[i], second.val[i]));
  }
  for (int i = 0; i < 4; i++) {
    uint8x16_t of = vqtbl4q_u8(rows, vandq_u8(last.val[i], vdupq_n_u8(63)));
    found->val[i] = vorrq_u8(found->val[i], vandq_u8(of, same.val[i]));
  }
  return mask_of(same);
}

static inline void masks_of(found_classes found, uint64_t classes[4]) {
  for (unsigned k = 0; k < 4; k++)
    classes[k] = bits_of(found, (uint8_t)(1u << k));
}

#include "tokenizer/split_pages.h"

/* ---- pieces -------------------------------------------------------------------------------------
 */

/* For each byte of the mask eight places, of which those that are too many are written over. */
static inline void take_block(span *s, size_t at, const unsigned char *text, size_t offset,
                              uint64_t starts, unsigned shift) {
  /* Byte k: how many bits the bytes up to k have. */
  uint64_t counts = vget_lane_u64(vreinterpret_u64_u8(vcnt_u8(vcreate_u8(starts))), 0);
  uint64_t before = counts * 0x0101010101010101 << 8;
  uint16x8_t first = vdupq_n_u16((uint16_t)offset);
  (void)text;
  (void)shift;
  for (unsigned i = 0; i < 64; i += 8) {
    uint16x8_t numbers = vmovl_u8(vcreate_u8(limn_chosen[starts >> i & 255]));
    vst1q_u16(s->where + at + (before >> i & 255), vaddq_u16(numbers, first));
    first = vaddq_u16(first, vdupq_n_u16(8));
  }
}

static inline uint32_t stored_among(const limn_answer *answers) {
  static const uint16_t bits[8] = {1, 4, 16, 64, 256, 1024, 4096, 16384};
  const uint32x4_t one = vdupq_n_u32(1u << LIMN_ID_BITS);
  const uint32x4_t most = vdupq_n_u32((2u << LIMN_ID_BITS) - 1);
  uint32x4_t low = vld2q_u32(&answers[0].first).val[0];
  uint32x4_t high = vld2q_u32(&answers[4].first).val[0];
  low = vcgtq_u32(vaddq_u32(low, one), most);
  high = vcgtq_u32(vaddq_u32(high, one), most);
  uint16x8_t is = vuzp1q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high));
  return vaddvq_u16(vandq_u16(is, vld1q_u16(bits)));
}

#define LIMN_LOOP_TAKE
#define LIMN_LOOP_STORED
#define LIMN_LOOP        limn_loop_neon
#define LIMN_LOOP_ISA    "neon"
#define LIMN_LOOP_MERGER limn_merger_scalar
#include "tokenizer/loop.h"

#endif
