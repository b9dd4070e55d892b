/*
 * loop_scalar.c - the loop over a text on any processor: eight bytes' kinds are an 8 by 8 matrix of
 * bits, which is turned on its side (Warren 2002, "Hacker's Delight", section 7-3).
 */
#include "tokenizer/encoder.h"
#include "tokenizer/kinds.h"
#include "tokenizer/split_blocks.h"

/* Byte i of the result is bit i of each byte. */
static inline uint64_t turned(uint64_t x) {
  uint64_t t = (x ^ x >> 7) & 0x00aa00aa00aa00aau;
  x ^= t ^ t << 7;
  t = (x ^ x >> 14) & 0x0000cccc0000ccccu;
  x ^= t ^ t << 14;
  t = (x ^ x >> 28) & 0x00000000f0f0f0f0u;
  return x ^ t ^ t << 28;
}

static inline void classify(const unsigned char *text, limn_block *b) {
  uint64_t kinds[8] = {0}, parts[5] = {0};
  b->high = 0;
  for (unsigned i = 0; i < 64; i += 8) {
    uint64_t kind = 0, part = 0;
    for (unsigned k = 0; k < 8; k++) {
      unsigned char byte = text[i + k];
      kind |= (uint64_t)(byte < 128 ? limn_kinds[byte] : 0) << 8 * k;
      part |= (uint64_t)(byte < 128 ? limn_parts[byte] : 0x80) << 8 * k;
    }
    kind = turned(kind);
    part = turned(part);
    for (unsigned bit = 0; bit < 8; bit++)
      kinds[bit] |= (kind >> 8 * bit & 255) << i;
    for (unsigned bit = 0; bit < 5; bit++)
      parts[bit] |= (part >> 8 * bit & 255) << i;
    b->high |= (part >> 56) << i;
  }
  b->upper = kinds[0];
  b->lower = kinds[1];
  b->number = kinds[2];
  b->space = kinds[3];
  b->newline = kinds[4];
  b->blank = kinds[5];
  b->apostrophe = kinds[6];
  b->slash = kinds[7];
  b->one = parts[0];
  b->first = parts[1];
  b->ell = parts[2];
  b->e = parts[3];
  b->visible = parts[4];
}

#define LIMN_LOOP        limn_loop_scalar
#define LIMN_LOOP_ISA    "scalar"
#define LIMN_LOOP_MERGER limn_merger_scalar
#include "tokenizer/loop.h"
