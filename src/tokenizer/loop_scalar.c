/*
 * loop_scalar.c - the loop over a text on any processor: what the bytes are, byte by byte in short
 * loops, of which a compiler makes what vectors its target has; and eight such bytes as eight bits
 * by one multiplication.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/split_blocks.h"

/* The lowest bit of each of eight bytes: byte i goes to bit 56 + i, and no two meet on the way. */
static inline uint64_t lowest_bits(const uint8_t *p) {
  uint64_t eight = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
                   (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
                   (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
  return (eight & 0x0101010101010101) * 0x0102040810204080 >> 56;
}

static inline uint64_t mask_of(const uint8_t is[64]) {
  uint64_t mask = 0;
  for (unsigned i = 0; i < 64; i += 8)
    mask |= lowest_bits(is + i) << i;
  return mask;
}

/* Bytes from one to another. */
static inline uint64_t between(const unsigned char *text, unsigned first, unsigned last) {
  uint8_t is[64];
  for (unsigned i = 0; i < 64; i++)
    is[i] = (uint8_t)(text[i] - first) <= (uint8_t)(last - first);
  return mask_of(is);
}

static inline uint64_t equal(const unsigned char *text, unsigned byte) {
  uint8_t is[64];
  for (unsigned i = 0; i < 64; i++)
    is[i] = text[i] == byte;
  return mask_of(is);
}

/* A letter of ASCII, small or not. */
static inline uint64_t letter(const unsigned char *text, unsigned small) {
  uint8_t is[64];
  for (unsigned i = 0; i < 64; i++)
    is[i] = (text[i] | 0x20) == small;
  return mask_of(is);
}

/* What a pattern does not ask for is not there when all is inlined. */
static inline __attribute__((always_inline)) void classify(const unsigned char *text,
                                                           limn_block *b) {
  b->high = between(text, 0x80, 0xff);
  b->upper = between(text, 'A', 'Z');
  b->lower = between(text, 'a', 'z');
  b->number = between(text, '0', '9');
  b->blank = equal(text, ' ');
  b->space = between(text, '\t', '\r') | b->blank;
  b->newline = equal(text, '\n') | equal(text, '\r');
  b->apostrophe = equal(text, '\'');
  b->slash = equal(text, '/');
  b->one = letter(text, 's') | letter(text, 't') | letter(text, 'm') | letter(text, 'd');
  b->first = letter(text, 'r') | letter(text, 'v');
  b->ell = letter(text, 'l');
  b->e = letter(text, 'e');
  b->visible = between(text, '!', '~') & ~(b->upper | b->lower | b->number);
}

#define LIMN_LOOP        limn_loop_scalar
#define LIMN_LOOP_ISA    "scalar"
#define LIMN_LOOP_MERGER limn_merger_scalar
#include "tokenizer/loop.h"
