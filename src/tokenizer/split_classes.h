/*
 * split_classes.h - inside the library: what the bytes of a block of 64 are, as masks.
 *
 * A mask has bit i set where byte i is of some kind. A character's bytes are all of its kind; bytes
 * that are no character are of none. ASCII comes from the loops' classify; what is beyond it comes
 * as the four bits of its class at its first byte, and is spread over the rest here.
 */
#ifndef LIMN_SRC_TOKENIZER_SPLIT_CLASSES_H
#define LIMN_SRC_TOKENIZER_SPLIT_CLASSES_H

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

/* What the bytes of a block are. */
typedef struct limn_block {
  uint64_t upper, lower, letter /* without case */, mark, number, space;
  uint64_t punct;   /* category P beyond ASCII */
  uint64_t visible; /* punctuation and symbols */
  uint64_t newline, blank /* ' ' */, apostrophe, slash;
  uint64_t one;        /* s t m d in any case: with an apostrophe, a contraction */
  uint64_t first, ell; /* r v, and l: with e, and with l, one as well */
  uint64_t e;
  uint64_t high; /* beyond ASCII */
  uint64_t tail; /* a byte of a character that is not its first */
  unsigned n;    /* how many bytes count, at most 64; nothing is said of those behind */
} limn_block;

/* The class of the character at `p`, where four bytes can be read, and its length. */
static inline unsigned limn_block_class(const unsigned char *p, unsigned *length) {
  uint32_t a = p[0], b = p[1] ^ 0x80u, c = p[2] ^ 0x80u, d = p[3] ^ 0x80u;
  *length = 1;
  if (a < 0xc2 || b > 0x3f) return LIMN_CHAR_OTHER;
  if (a < 0xe0) {
    *length = 2;
    return limn_unicode_pages[limn_unicode_page_of[a & 0x1f]][b];
  }
  if (c > 0x3f) return LIMN_CHAR_OTHER;
  if (a < 0xf0) {
    uint32_t page = (a & 0xf) << 6 | b, which = limn_unicode_page_of[page];
    if (page < 32 || which == LIMN_NO_PAGE) return LIMN_CHAR_OTHER;
    *length = 3;
    return limn_unicode_pages[which][c];
  }
  uint32_t code = (a & 7) << 18 | b << 12 | c << 6 | d;
  if (a > 0xf4 || d > 0x3f || code < 0x10000 || code > 0x10ffff) return LIMN_CHAR_OTHER;
  *length = 4;
  return limn_char_class_of(code);
}

/*
 * Sets bit k of classes[k] where a character beyond ASCII begins whose class has bit k, and the
 * tails; a character that is cut by the end of the block ends it. At least three bytes behind the
 * block can be read.
 */
static inline void limn_block_classes(limn_block *b, const unsigned char *text,
                                      uint64_t classes[4]) {
  for (uint64_t high = b->high; high;) {
    unsigned at = (unsigned)__builtin_ctzll(high), length;
    uint64_t class = limn_block_class(text + at, &length);
    if (at + length > b->n) {
      b->n = at < b->n ? at : b->n;
      return;
    }
    for (unsigned k = 0; k < 4; k++)
      classes[k] |= (class >> k & 1) << at;
    uint64_t bytes = (((uint64_t)1 << length) - 1) << at;
    high &= ~bytes;
    b->tail |= bytes & (bytes - 1) & ~((uint64_t)1 << at);
  }
}

/* Where characters of two, three and four bytes begin. */
typedef struct limn_block_firsts {
  uint64_t two, three, four;
} limn_block_firsts;

/*
 * The same by masks of bytes: 80 to BF, from C2 on, from E0 on, from F0 on. False where one is no
 * part of a character; E0, ED and F0 to FF with the byte behind them are still to be looked at.
 * Sets `tail` and, where the end of the block cuts a character, `n`.
 */
static inline bool limn_block_find_firsts(limn_block *b, uint64_t tail, uint64_t from2,
                                          uint64_t from3, uint64_t from4, limn_block_firsts *out) {
  const uint64_t top = (uint64_t)1 << 63,
                 cut = (from2 & top) | (from3 & 3 * (top >> 1)) | (from4 & 7 * (top >> 2));
  if (b->high != (tail | from2) || tail != (from2 << 1 | from3 << 2 | from4 << 3)) return false;
  uint64_t whole = cut ? (cut & (~cut + 1)) - 1 : ~cut;
  if (cut && (unsigned)__builtin_ctzll(cut) < b->n) b->n = (unsigned)__builtin_ctzll(cut);
  b->tail = tail;
  *out = (limn_block_firsts){from2 & ~from3 & whole, from3 & ~from4 & whole, from4 & whole};
  return true;
}

/* The classes of characters of four bytes, one by one; false where one is none. */
static inline bool limn_block_fours(const unsigned char *text, uint64_t four, uint64_t classes[4]) {
  for (; four; four &= four - 1) {
    unsigned at = (unsigned)__builtin_ctzll(four), length;
    uint64_t class = limn_block_class(text + at, &length);
    if (length == 1) return false;
    for (unsigned k = 0; k < 4; k++)
      classes[k] |= (class >> k & 1) << at;
  }
  return true;
}

/* The characters beyond ASCII that begin at `first`: with all their bytes. */
static inline uint64_t limn_block_whole(const limn_block *b, uint64_t first) {
  /* Adding to the second byte carries through the character's tail, and empties it. */
  return first | (b->tail & ~(b->tail + (first << 1)));
}

static inline void limn_block_add_classes(limn_block *b, const uint64_t classes[4]) {
  uint64_t c0 = limn_block_whole(b, classes[0]), c1 = limn_block_whole(b, classes[1]);
  uint64_t c2 = limn_block_whole(b, classes[2]), c3 = limn_block_whole(b, classes[3]);
  b->upper |= c0 & ~c1 & ~c2;
  b->lower |= ~c0 & c1 & ~c2;
  b->letter |= c0 & c1 & ~c2;
  b->mark |= ~c0 & ~c1 & c2;
  b->number |= c0 & ~c1 & c2;
  b->space |= ~c0 & c1 & c2;
  b->punct |= c0 & c1 & c2;
  b->visible |= (c0 & c1 & c2) | c3;
}

#endif
