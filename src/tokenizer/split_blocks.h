/*
 * split_blocks.h - inside the library: the patterns on 64 bytes at once, as arithmetic on masks.
 *
 * Neighbours meet by shifting a mask, and adding to a mask runs through a row of ones. A block
 * begins where a piece begins, so that nothing of what stands before matters; what stands behind
 * may matter, so only those beginnings of pieces are given that the bytes of the block settle, and
 * the next block begins at the last of them. The rules are those of split.c, which takes over where
 * a block settles nothing. What arithmetic would get wrong just ends a block early.
 */
#ifndef LIMN_SRC_TOKENIZER_SPLIT_BLOCKS_H
#define LIMN_SRC_TOKENIZER_SPLIT_BLOCKS_H

#include "tokenizer/split_classes.h"

/* Where the pattern is a constant, what is left of its rules is little. */
#define LIMN_BLOCK_INLINE inline __attribute__((always_inline))

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

/*
 * Last bytes of white space that stand before something: the first bytes of those characters. What
 * stands at the end of the block is not known to be the last.
 */
static inline uint64_t limn_block_last_spaces(const limn_block *b, uint64_t last) {
  if (!(last & b->tail)) return last;
  last &= limn_below(b->n - 1);
  for (int i = 0; i < 2; i++)
    last = (last & ~b->tail) | (last & b->tail) >> 1;
  return last;
}

static inline void limn_block_end_at(limn_block *b, uint64_t places) {
  unsigned at = places ? (unsigned)__builtin_ctzll(places) + 1 : 64;
  if (at < b->n) b->n = at;
}

/* Where the characters end that begin at `first`: the places behind them. */
static inline uint64_t limn_block_behind(const limn_block *b, uint64_t first) {
  return (b->tail + (first << 1)) & ~b->tail;
}

/* ---- GPT-2, and StarCoder where `digits` stand alone
 * ------------------------------------------------- */

static LIMN_BLOCK_INLINE uint64_t limn_block_gpt2(limn_block *b, bool digits) {
  uint64_t letters = b->upper | b->lower | b->letter, solid = ~b->space;
  uint64_t others = solid & ~(letters | b->number);
  uint64_t same = (letters & letters << 1) | (b->number & b->number << 1) | (others & others << 1);
  uint64_t joined = digits ? solid & ~b->number : solid;
  uint64_t starts = solid & ~same & ~(b->blank << 1);
  if (digits) starts |= b->number & ~b->tail;
  starts |= b->space & ~(b->space << 1);
  starts |= limn_block_last_spaces(b, b->space & joined >> 1);
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

/* ---- digits, newlines, white space, words
 * --------------------------------------------------------- */

/* The same with numbers of more than a byte, character by character. */
static inline uint64_t limn_block_wide_digits(const limn_block *b) {
  uint64_t starts = 0, begins = b->number & ~(b->number << 1);
  unsigned count = 0;
  for (uint64_t left = b->number & ~b->tail; left; left &= left - 1) {
    uint64_t bit = left & (~left + 1);
    if (begins & bit) count = 0;
    if (count++ % 3 == 0) starts |= bit;
  }
  return starts;
}

static inline uint64_t limn_block_digits(const limn_block *b, bool by_three) {
  if (!by_three) return b->number & ~b->tail;
  if (b->number & b->tail) return limn_block_wide_digits(b);
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
 * last before something `solid`. Whether a newline is the last of its run must be known: else the
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
  return (space & ~(space << 1)) | behind | limn_block_last_spaces(b, plain & solid >> 1);
}

/* Letters that begin a word: not those behind a letter, a space, or a symbol that stands alone. */
static inline uint64_t limn_block_words(const limn_block *b, uint64_t letters, uint64_t alone) {
  uint64_t plain = b->space & ~b->newline;
  return letters & ~(letters << 1 | plain << 1 | limn_block_behind(b, alone));
}

/* The long s behind an apostrophe, a contraction's one letter beyond ASCII, ends the block. */
static inline void limn_block_end_at_long_s(limn_block *b, const unsigned char *text) {
  for (uint64_t left = b->high & b->apostrophe << 1; left; left &= left - 1) {
    unsigned at = (unsigned)__builtin_ctzll(left);
    if (text[at] == 0xc5 && text[at + 1] == 0xbf) limn_block_end_at(b, left & (~left + 1));
  }
}

/* ---- words that end before a capital: o200k and tekken
 * ------------------------------------------------------- */

/*
 * The marks that belong to words: those behind a letter, white space or a number; and behind a
 * symbol that stands alone, with which the mark makes a word. Behind more symbols, or one that
 * takes a space, a mark and all that follows it is a symbol too. `others`: symbols but marks.
 */
static inline uint64_t limn_block_word_marks(limn_block *b, uint64_t others) {
  uint64_t letters = b->upper | b->lower | b->letter, all = others | b->mark;
  uint64_t seeds = b->mark & ((letters | b->space | b->number) << 1 | 1);
  uint64_t words = b->mark & ~(b->mark + seeds), odd = b->mark & ~words;
  while (odd) {
    uint64_t first = odd & (~odd + 1), before = ~others & (first - 1);
    unsigned start = before ? 64 - (unsigned)__builtin_clzll(before) : 0;
    uint64_t symbols = (first - 1) & ~limn_below(start);
    if (symbols & b->slash & b->newline << 1) {
      /* The slash may belong to the newline, and that to the symbols before it. */
      limn_block_end_at(b, first);
      return words;
    }
    bool is_alone = (symbols & ~b->tail & (symbols - 1)) == 0 && !(symbols & b->blank << 1);
    uint64_t run = is_alone ? odd & ~(odd + first) : all & ~(all + first);
    if (is_alone) words |= run;
    odd &= ~run;
  }
  return words;
}

/*
 * Capitals that begin a piece. A piece is capitals, then lower case; letters without case go with
 * either. So a capital begins one behind lower case, and behind letters without case that follow
 * lower case in the same piece; behind others only where no lower case comes after it. `fresh`:
 * where a contraction has ended a piece.
 */
static inline uint64_t limn_block_capitals(limn_block *b, uint64_t fresh) {
  uint64_t starts = b->upper & b->lower << 1, turned = b->upper & b->letter << 1;
  if (!turned) return starts;
  uint64_t seeds = b->letter & b->lower << 1 & ~fresh;
  uint64_t low = b->letter & ~(b->letter + seeds);
  starts |= turned & low << 1;
  for (uint64_t left = turned & ~(low << 1); left; left &= left - 1) {
    uint64_t bit = left & (~left + 1), end = ~b->upper & ~(bit - 1);
    if (!(end & limn_below(b->n))) {
      limn_block_end_at(b, bit);
      break;
    }
    if (!(end & (~end + 1) & (b->lower | b->letter))) starts |= bit;
  }
  return starts;
}

/* ---- cl100k, Llama 3, Qwen; o200k and tekken
 * --------------------------------------------------------- */

typedef struct limn_block_rules {
  bool by_three;     /* digits by three, else one by one */
  bool marks;        /* are letters */
  bool cased;        /* words end before a capital */
  bool contractions; /* of a cased word: they belong to it */
} limn_block_rules;

static LIMN_BLOCK_INLINE uint64_t limn_block_lines(limn_block *b, const unsigned char *text,
                                                   limn_block_rules rules) {
  uint64_t letters = b->upper | b->lower | b->letter, solid = ~b->space;
  uint64_t others = solid & ~(letters | b->number);
  if (b->mark && (rules.marks || rules.cased)) {
    uint64_t words = rules.marks ? b->mark : limn_block_word_marks(b, others & ~b->mark);
    b->letter |= words;
    letters |= words;
    others &= ~words;
  }
  uint64_t absorbed = limn_block_absorbed(b, others, rules.cased);
  others &= ~absorbed;
  uint64_t alone = others & ~(others << 1 | b->blank << 1);
  uint64_t starts = limn_block_digits(b, rules.by_three) | alone;
  starts |= limn_block_spaces(b, b->space & ~absorbed, solid);
  starts |= limn_block_words(b, letters, alone);
  limn_block_end_at_long_s(b, text);
  if (rules.cased) {
    uint64_t quotes = rules.contractions ? b->apostrophe & letters << 1 : 0;
    uint64_t one = limn_block_short(b, quotes), two = limn_block_long(b, quotes);
    uint64_t fresh = one << 2 | two << 3;
    starts |= limn_block_capitals(b, fresh);
    starts &= ~(one | two | (one | two) << 1 | two << 2);
    starts |= fresh;
    limn_block_end_at(b, fresh & quotes);
    /* Whether an apostrophe begins a piece is for the two letters behind it to say. */
    b->n -= rules.contractions && b->n > 0;
  } else {
    uint64_t quotes = b->apostrophe & alone;
    uint64_t one = limn_block_short(b, quotes), two = limn_block_long(b, quotes);
    starts |= one << 2 | two << 3;
  }
  return limn_block_settled(starts, b->n);
}

/* ---- Falcon
 * ---------------------------------------------------------------------------------------- */

/* The bytes beyond ASCII that are written as numbers. */
static inline uint64_t limn_block_number_bytes(const limn_block *b, const unsigned char *text) {
  static const uint64_t is_number =
      (uint64_t)1 << 0x32 | (uint64_t)1 << 0x33 | (uint64_t)1 << 0x39 | (uint64_t)7 << 0x3c;
  uint64_t found = 0;
  for (uint64_t left = b->high; left; left &= left - 1) {
    unsigned at = (unsigned)__builtin_ctzll(left);
    found |= (uint64_t)(text[at] < 0xc0 && is_number >> (text[at] & 63) & 1) << at;
  }
  return found;
}

/* Characters are cut here, and a block is to begin with a whole one. */
static inline uint64_t limn_block_falcon(limn_block *b, const unsigned char *text) {
  if ((text[0] & 0xc0) == 0x80) return 0;
  uint64_t letters = b->upper | b->lower | b->letter, solid = ~b->space;
  uint64_t punct = b->punct | (b->visible & ~b->high);
  uint64_t others = solid & ~(letters | b->number | punct);
  uint64_t same = (letters & letters << 1) | (b->number & b->number << 1) | (others & others << 1) |
                  (punct & punct << 1);
  uint64_t starts = (solid & ~same & ~(b->blank << 1)) | (punct & ~(punct << 1));
  starts |= b->space & ~(b->space << 1);
  starts |= limn_block_last_spaces(b, b->space & (solid & ~punct) >> 1);
  limn_block_end_at(b, b->number & b->high);
  uint64_t digits = b->high ? b->number | limn_block_number_bytes(b, text) : b->number;
  starts |= (digits ^ digits << 1) | limn_block_digits(b, true);
  starts = limn_block_settled(starts, b->n);
  uint64_t whole = starts & ~b->tail;
  return whole ? starts & limn_below(64 - (unsigned)__builtin_clzll(whole)) : 0;
}

/* ---- DeepSeek
 * -------------------------------------------------------------------------------------- */

/* U+4E00 to U+9FA5 and U+3040 to U+30FF: E4 B8 80 to E9 BE A5, E3 81 80 to E3 83 BF. */
static inline uint64_t limn_block_east(const limn_block *b, const unsigned char *text) {
  uint64_t found = 0;
  for (uint64_t left = b->high & ~b->tail & b->tail >> 1 & b->tail >> 2; left; left &= left - 1) {
    unsigned at = (unsigned)__builtin_ctzll(left);
    uint32_t code = (uint32_t)text[at] << 16 | (uint32_t)text[at + 1] << 8 | text[at + 2];
    found |=
        (uint64_t)((code >= 0xe4b880 && code <= 0xe9bea5) || (code >= 0xe38180 && code <= 0xe383bf))
        << at;
  }
  return limn_block_whole(b, found);
}

/*
 * What is neither letter, mark, number, space, punctuation nor symbol begins a word where it is the
 * last of its row and a letter follows; the rest of a row stays together.
 */
static inline uint64_t limn_block_deepseek(limn_block *b, const unsigned char *text) {
  uint64_t ascii = (b->upper | b->lower) & ~b->high, plain = b->space & ~b->newline;
  uint64_t words = b->upper | b->lower | b->letter | b->mark;
  uint64_t east = b->high ? limn_block_east(b, text) : 0, cut = east ^ east << 1;
  uint64_t none = ~(words | b->number | b->space | b->visible);
  uint64_t absorbed = limn_block_absorbed(b, b->visible & ~east, false);
  uint64_t alone = b->visible & ~((b->visible << 1 | b->blank << 1) & ~cut);
  uint64_t leads = alone & ~b->high & ascii >> 1;
  uint64_t starts = limn_block_digits(b, true) | alone | (none & ~(none << 1)) | cut;
  starts |= limn_block_spaces(b, b->space & ~absorbed, ~(b->space | b->number | east));
  starts |= words & ~((words << 1 | plain << 1 | none << 1 | leads << 1) & ~cut);
  /* ASCII's symbols lead letters of ASCII only. */
  starts |= (ascii + (leads << 1)) & ~ascii & words;
  uint64_t last = none & words >> 1 & ~(cut >> 1) & limn_below(b->n - 1);
  for (int i = 0; i < 3; i++)
    last = (last & ~b->tail) | (last & b->tail) >> 1;
  return limn_block_settled(starts | last, b->n);
}

/* ---- words longer than a block
 * ------------------------------------------------------------------- */

/*
 * What goes on with a word whatever stands around it: in words that end before a capital, letters
 * without case; in DeepSeek's, what is of the same kind.
 */
static inline uint64_t limn_block_word(limn_pattern pattern, const limn_block *b,
                                       const unsigned char *text, bool is_east) {
  uint64_t letters = b->upper | b->lower | b->letter, east;
  switch (pattern) {
  case LIMN_PATTERN_O200K:
  case LIMN_PATTERN_TEKKEN:
    return b->letter | b->mark;
  case LIMN_PATTERN_QWEN35:
    return letters | b->mark;
  case LIMN_PATTERN_DEEPSEEK:
    east = limn_block_east(b, text);
    return (letters | b->mark) & (is_east ? east : ~east);
  case LIMN_PATTERN_FALCON:
    return 0;
  default:
    return letters;
  }
}

/*
 * Whether the one piece of a block is a word that goes on to byte n and may go on behind it.
 * Precondition: the block's beginnings have been found, and the first is the only one.
 */
static inline bool limn_block_is_word(limn_pattern pattern, limn_block *b,
                                      const unsigned char *text, unsigned n, bool *is_east) {
  uint64_t ends = limn_below(n) & ~limn_below(b->n - 2);
  if (pattern == LIMN_PATTERN_DEEPSEEK) {
    /* With a symbol of ASCII before it a word has letters of ASCII only. */
    if (b->visible & ~b->high & 1) return false;
    *is_east = limn_block_east(b, text) >> (n - 1) & 1;
  }
  /* Marks that belong to words are letters by now, the others are symbols. */
  if (pattern == LIMN_PATTERN_O200K || pattern == LIMN_PATTERN_TEKKEN) b->mark = 0;
  return (ends & ~limn_block_word(pattern, b, text, *is_east)) == 0;
}

/* Whether a word ends before byte `at` of a block, which does not go on with it by itself. */
static inline bool limn_block_word_ends(limn_pattern pattern, const limn_block *b, unsigned at) {
  bool cased = pattern == LIMN_PATTERN_O200K || pattern == LIMN_PATTERN_TEKKEN;
  uint64_t other = cased ? b->upper | b->lower | b->apostrophe : 0;
  return !(other >> at & 1);
}

/* ---- by name
 * --------------------------------------------------------------------------------------- */

static inline bool limn_has_blocks(limn_pattern pattern) {
  return pattern <= LIMN_PATTERN_DEEPSEEK;
}

/* Precondition: limn_has_blocks. At least three bytes behind the block can be read. */
static LIMN_BLOCK_INLINE uint64_t limn_block_starts(limn_pattern pattern, limn_block *b,
                                                    const unsigned char *text) {
  limn_block_rules rules = {.by_three = true};
  switch (pattern) {
  case LIMN_PATTERN_GPT2:
    return limn_block_gpt2(b, false);
  case LIMN_PATTERN_STARCODER:
    return limn_block_gpt2(b, true);
  case LIMN_PATTERN_FALCON:
    return limn_block_falcon(b, text);
  case LIMN_PATTERN_DEEPSEEK:
    return limn_block_deepseek(b, text);
  case LIMN_PATTERN_O200K:
    rules.cased = rules.contractions = true;
    break;
  case LIMN_PATTERN_TEKKEN:
    rules = (limn_block_rules){.cased = true};
    break;
  case LIMN_PATTERN_QWEN2:
  case LIMN_PATTERN_QWEN35:
    rules = (limn_block_rules){.marks = pattern == LIMN_PATTERN_QWEN35};
    break;
  default:
    break;
  }
  return limn_block_lines(b, text, rules);
}

#endif
