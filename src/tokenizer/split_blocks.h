/*
 * split_blocks.h - inside the library: the patterns on 64 bytes at once, as arithmetic on masks.
 *
 * A mask has bit i set where byte i of a block is of some kind; neighbours meet by shifting, and
 * adding to a mask runs through a row of ones. A block begins where a piece begins, so that nothing
 * of what stands before matters; what stands behind may matter, so only those beginnings of pieces
 * are given that the bytes of the block settle, and the next block begins at the last of them. The
 * rules are those of split.c, which takes over wherever a block settles nothing: at a number or
 * white space beyond ASCII, a mark that does not follow a letter, a rare order of things that
 * arithmetic would get wrong. Such a place just ends the block early.
 *
 * A character's bytes are all of its kind. Bytes that are no character are "other".
 */
#ifndef LIMN_SRC_TOKENIZER_SPLIT_BLOCKS_H
#define LIMN_SRC_TOKENIZER_SPLIT_BLOCKS_H

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

/* What the bytes of a block are. */
typedef struct limn_block {
  uint64_t upper, lower, letter; /* letter: without case, and marks that continue a word */
  uint64_t number, space, newline, blank /* ' ' */, apostrophe, slash;
  uint64_t one;        /* s t m d in any case: with an apostrophe, a contraction */
  uint64_t first, ell; /* r v, and l: with e, and with l, one as well */
  uint64_t e;
  uint64_t high; /* beyond ASCII */
  uint64_t tail; /* a byte of a character that is not its first */
  unsigned n;    /* how many bytes count, at most 64 */
} limn_block;

/* ---- characters beyond ASCII --------------------------------------------------------------------
 */

/* Decodes at `p`, where four bytes can be read; 0 for what is no character. */
static inline uint32_t limn_block_decode(const unsigned char *p, unsigned *length) {
  uint32_t a = p[0], b = p[1] ^ 0x80u, c = p[2] ^ 0x80u, d = p[3] ^ 0x80u, code;
  *length = 1;
  if (a < 0xc2 || b > 0x3f) return 0;
  if (a < 0xe0) {
    *length = 2;
    return (a & 0x1f) << 6 | b;
  }
  if (c > 0x3f) return 0;
  if (a < 0xf0) {
    code = (a & 0xf) << 12 | b << 6 | c;
    if (code < 0x800 || (code >= 0xd800 && code < 0xe000)) return 0;
    *length = 3;
    return code;
  }
  code = (a & 7) << 18 | b << 12 | c << 6 | d;
  if (a > 0xf4 || d > 0x3f || code < 0x10000 || code > 0x10ffff) return 0;
  *length = 4;
  return code;
}

/*
 * Puts the characters beyond ASCII where they belong, up to the first that ends the block. At least
 * three bytes behind the block can be read. Where `marks_are_letters`, a mark behind a letter is
 * one, and any other ends the block.
 */
static inline void limn_block_decode_high(limn_block *b, const unsigned char *text,
                                          bool marks_are_letters) {
  uint64_t letters = b->upper | b->lower;
  for (uint64_t high = b->high; high;) {
    unsigned at = (unsigned)__builtin_ctzll(high), length;
    uint32_t code = limn_block_decode(text + at, &length);
    limn_char_class class = code ? limn_char_class_of(code) : LIMN_CHAR_OTHER;
    uint64_t bytes = (((uint64_t)1 << length) - 1) << at;
    bool ends = at + length > b->n || class == LIMN_CHAR_NUMBER || class == LIMN_CHAR_SPACE;
    if (class == LIMN_CHAR_MARK && marks_are_letters) {
      class = LIMN_CHAR_LETTER;
      ends = ends || at == 0 || !(letters >> (at - 1) & 1);
    }
    if (ends) {
      b->n = at < b->n ? at : b->n;
      return;
    }
    high &= ~bytes;
    b->tail |= bytes & (bytes - 1) & ~((uint64_t)1 << at);
    if (class == LIMN_CHAR_UPPER) b->upper |= bytes;
    if (class == LIMN_CHAR_LOWER) b->lower |= bytes;
    if (class == LIMN_CHAR_LETTER) b->letter |= bytes;
    if (class <= LIMN_CHAR_LETTER && class != LIMN_CHAR_OTHER) letters |= bytes;
  }
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static inline uint64_t limn_below(unsigned n) {
  return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The beginnings that are settled: all but those whose next byte is not in the block. */
static inline uint64_t limn_block_settled(uint64_t starts, unsigned n) {
  return n < 2 ? 0 : (starts | 1) & limn_below(n - 1);
}

/* Apostrophes of `of` with which a contraction of one letter, or of two, begins. */
static inline uint64_t limn_block_short(const limn_block *b, uint64_t of) {
  return of & b->one >> 1;
}
static inline uint64_t limn_block_long(const limn_block *b, uint64_t of) {
  return of & ((b->first & b->e >> 1) | (b->ell & b->ell >> 1)) >> 1;
}

/* ---- GPT-2, and StarCoder where `digits` stand alone
 * ------------------------------------------------- */

static inline uint64_t limn_block_gpt2(limn_block *b, bool digits) {
  uint64_t letters = b->upper | b->lower | b->letter, solid = ~b->space;
  uint64_t others = solid & ~(letters | b->number);
  uint64_t same = (letters & letters << 1) | (b->number & b->number << 1) | (others & others << 1);
  uint64_t joined = digits ? solid & ~b->number : solid;
  uint64_t starts = solid & ~same & ~(b->blank << 1);
  if (digits) starts |= b->number;
  starts |= b->space & (~(b->space << 1) | joined >> 1);
  starts |= 1;
  uint64_t quotes = starts & b->apostrophe;
  if (quotes) {
    limn_block small = *b;
    small.one &= b->lower;
    small.first &= b->lower;
    small.ell &= b->lower;
    small.e &= b->lower;
    uint64_t one = limn_block_short(&small, quotes), two = limn_block_long(&small, quotes);
    starts &= ~((one | two) << 1);
    starts |= one << 2 | two << 3;
  }
  return limn_block_settled(starts, b->n);
}

/* ---- cl100k, Llama 3, Qwen 2; o200k and tekken
 * --------------------------------------------------------- */

typedef struct limn_block_rules {
  bool by_three;     /* digits by three, else one by one */
  bool cased;        /* words end before a capital */
  bool contractions; /* of a cased word: they belong to it */
} limn_block_rules;

static inline uint64_t limn_block_digits(const limn_block *b, bool by_three) {
  if (!by_three) return b->number;
  uint64_t n = b->number, starts = n & ~(n << 1), fourth = n & n << 1 & n << 2 & n << 3;
  for (uint64_t next = starts << 3 & fourth; next; next = next << 3 & fourth)
    starts |= next;
  return starts;
}

/* Newlines (and where words are cased, slashes) that belong to the symbols before them. */
static inline uint64_t limn_block_absorbed(const limn_block *b, uint64_t others, bool with_slash) {
  uint64_t runs = with_slash ? b->newline | b->slash : b->newline;
  uint64_t first = b->newline & others << 1;
  return (runs & ~(runs + first)) | first;
}

/*
 * White space that begins a piece: the first of a run, the first behind the run's last newline, the
 * last before something else. Whether a newline is the last of its run must be known: else the
 * block ends before the white space behind it.
 */
static inline uint64_t limn_block_spaces(limn_block *b, uint64_t space, uint64_t solid) {
  uint64_t plain = b->space & ~b->newline, sum;
  uint64_t behind = plain & b->newline << 1 & limn_below(b->n);
  if (behind) {
    bool is_out = __builtin_add_overflow(plain, behind, &sum);
    uint64_t ends = sum & ~plain;
    unsigned n = b->n;
    if (is_out || ends & ~limn_below(n)) n = 64 - (unsigned)__builtin_clzll(behind);
    if (ends & b->newline) n = (unsigned)__builtin_ctzll(behind) + 1;
    if (n < b->n) b->n = n;
  }
  return (space & ~(space << 1)) | behind | (plain & solid >> 1);
}

/* Letters that begin a word: not those behind a letter, a space, or a symbol that stands alone. */
static inline uint64_t limn_block_words(const limn_block *b, uint64_t letters, uint64_t alone) {
  uint64_t plain = b->space & ~b->newline;
  uint64_t next = alone << 1, leads = next;
  if (b->tail) {
    for (int i = 0; i < 3; i++)
      leads |= next = (next & b->tail) << 1;
  }
  return letters & ~(letters << 1 | plain << 1 | leads);
}

static inline void limn_block_end_at(limn_block *b, uint64_t places) {
  unsigned at = places ? (unsigned)__builtin_ctzll(places) + 1 : 64;
  if (at < b->n) b->n = at;
}

static inline uint64_t limn_block_lines(limn_block *b, limn_block_rules rules) {
  uint64_t letters = b->upper | b->lower | b->letter, solid = ~b->space;
  uint64_t others = solid & ~(letters | b->number);
  uint64_t absorbed = limn_block_absorbed(b, others, rules.cased);
  others &= ~absorbed;
  uint64_t alone = others & ~(others << 1 | b->blank << 1);
  uint64_t starts = limn_block_digits(b, rules.by_three) | alone;
  starts |= limn_block_spaces(b, b->space & ~absorbed, solid);
  starts |= limn_block_words(b, letters, alone);
  /* The long s, and a contraction's other letters, may stand behind an apostrophe. */
  if (b->high) limn_block_end_at(b, b->high & b->apostrophe << 1);
  if (rules.cased) {
    starts |= b->upper & b->lower << 1;
    limn_block_end_at(b, b->upper & b->letter << 1);
    uint64_t quotes = rules.contractions ? b->apostrophe & letters << 1 : 0;
    uint64_t one = limn_block_short(b, quotes), two = limn_block_long(b, quotes);
    starts &= ~(one | two | (one | two) << 1 | two << 2);
    starts |= one << 2 | two << 3;
    limn_block_end_at(b, (one << 2 | two << 3) & quotes);
    /* Whether an apostrophe begins a piece is for the two letters behind it to say. */
    b->n -= rules.contractions && b->n > 0;
  } else {
    uint64_t quotes = b->apostrophe & alone;
    uint64_t one = limn_block_short(b, quotes), two = limn_block_long(b, quotes);
    starts |= one << 2 | two << 3;
  }
  return limn_block_settled(starts, b->n);
}

/* ---- by name
 * --------------------------------------------------------------------------------------- */

static inline bool limn_has_blocks(limn_pattern pattern) {
  return pattern <= LIMN_PATTERN_STARCODER && pattern != LIMN_PATTERN_QWEN35;
}

/* Precondition: limn_has_blocks. */
static inline uint64_t limn_block_starts(limn_pattern pattern, limn_block *b,
                                         const unsigned char *text) {
  bool cased = pattern == LIMN_PATTERN_O200K || pattern == LIMN_PATTERN_TEKKEN;
  if (b->high) limn_block_decode_high(b, text, cased);
  if (pattern == LIMN_PATTERN_GPT2) return limn_block_gpt2(b, false);
  if (pattern == LIMN_PATTERN_STARCODER) return limn_block_gpt2(b, true);
  bool by_three = pattern != LIMN_PATTERN_QWEN2 && pattern != LIMN_PATTERN_TEKKEN;
  return limn_block_lines(b, (limn_block_rules){by_three, cased, pattern == LIMN_PATTERN_O200K});
}

#endif
