/*
 * loop_neon.c - the loop over a text on 64-bit ARM, whose every processor has NEON: a byte's kind
 * is looked up in a table of the 128 ASCII codes, 16 bytes at a time.
 *
 * Arm Architecture Reference Manual for A-profile, chapter C7.
 */
#if defined(__aarch64__)

#include "tokenizer/encoder.h"
#include "tokenizer/kinds.h"
#include "tokenizer/split_blocks.h"

#include <arm_neon.h>

/* Bit i says whether byte i of 64 is ones (it is zero else): weights, added up pair by pair. */
static inline uint64_t mask_of(const uint8x16_t bytes[4]) {
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t w = vld1q_u8(weights);
  uint8x16_t low = vpaddq_u8(vandq_u8(bytes[0], w), vandq_u8(bytes[1], w));
  uint8x16_t high = vpaddq_u8(vandq_u8(bytes[2], w), vandq_u8(bytes[3], w));
  uint8x16_t sums = vpaddq_u8(low, high);
  sums = vpaddq_u8(sums, sums);
  return vgetq_lane_u64(vreinterpretq_u64_u8(sums), 0);
}

static inline uint64_t bits_of(const uint8x16_t bytes[4], unsigned bits) {
  uint8x16_t has[4];
  for (int i = 0; i < 4; i++)
    has[i] = vtstq_u8(bytes[i], vdupq_n_u8((uint8_t)bits));
  return mask_of(has);
}

/* The entries of a table of 128; 0 for bytes beyond ASCII. */
static inline void look_up_128(const uint8_t *table, const unsigned char *text, uint8x16_t out[4]) {
  const uint8x16x4_t low = vld1q_u8_x4(table), high = vld1q_u8_x4(table + 64);
  for (int i = 0; i < 4; i++) {
    uint8x16_t bytes = vld1q_u8(text + 16 * i);
    out[i] = vqtbx4q_u8(vqtbl4q_u8(low, bytes), high, vsubq_u8(bytes, vdupq_n_u8(64)));
  }
}

static inline uint64_t equal_to(const unsigned char *text, unsigned char byte) {
  uint8x16_t is[4];
  for (int i = 0; i < 4; i++)
    is[i] = vceqq_u8(vld1q_u8(text + 16 * i), vdupq_n_u8(byte));
  return mask_of(is);
}

static inline uint64_t from(const unsigned char *text, unsigned char byte) {
  uint8x16_t is[4];
  for (int i = 0; i < 4; i++)
    is[i] = vcgeq_u8(vld1q_u8(text + 16 * i), vdupq_n_u8(byte));
  return mask_of(is);
}

static inline void look_up_64(const unsigned char *text, const uint8_t *table, uint64_t found[4]) {
  const uint8x16x4_t rows = vld1q_u8_x4(table);
  uint8x16_t classes[4];
  for (int i = 0; i < 4; i++)
    classes[i] = vqtbl4q_u8(rows, vandq_u8(vld1q_u8(text + 16 * i), vdupq_n_u8(63)));
  for (unsigned k = 0; k < 4; k++)
    found[k] = bits_of(classes, 1u << k);
}

#include "tokenizer/split_pages.h"

static inline void classify(const unsigned char *text, limn_block *b) {
  uint8x16_t kinds[4], parts[4];
  look_up_128(limn_kinds, text, kinds);
  look_up_128(limn_parts, text, parts);
  b->high = from(text, 0x80);
  b->upper = bits_of(kinds, LIMN_KIND_UPPER);
  b->lower = bits_of(kinds, LIMN_KIND_LOWER);
  b->number = bits_of(kinds, LIMN_KIND_NUMBER);
  b->space = bits_of(kinds, LIMN_KIND_SPACE);
  b->newline = bits_of(kinds, LIMN_KIND_NEWLINE);
  b->blank = bits_of(kinds, LIMN_KIND_BLANK);
  b->apostrophe = bits_of(kinds, LIMN_KIND_APOSTROPHE);
  b->slash = bits_of(kinds, LIMN_KIND_SLASH);
  b->one = bits_of(parts, LIMN_PART_ONE);
  b->first = bits_of(parts, LIMN_PART_FIRST);
  b->ell = bits_of(parts, LIMN_PART_ELL);
  b->e = bits_of(parts, LIMN_PART_E);
  b->visible = bits_of(parts, LIMN_PART_VISIBLE);
}

#define LIMN_LOOP        limn_loop_neon
#define LIMN_LOOP_ISA    "neon"
#define LIMN_LOOP_MERGER limn_merger_scalar
#include "tokenizer/loop.h"

#endif
