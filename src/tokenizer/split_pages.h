/*
 * split_pages.h - inside the library: characters beyond ASCII by pages of 64 code points, for loops
 * that look a byte up among 64 at many places at once. The including file defines
 *
 *     static inline uint64_t equal_to(const unsigned char *text, unsigned char byte)
 *     static inline uint64_t from(const unsigned char *text, unsigned char byte)
 *     static inline void look_up_64(const unsigned char *text, const uint8_t *table,
 *                                   uint64_t found[4])
 *
 * where the bytes at `text` are equal to one, and not less than one; and bits 0 to 3 of what the
 * lower six bits of each byte choose from a table.
 */
#include "tokenizer/split_classes.h"

/* All characters that share the page of the one at `at`; their classes. 0 where that is none. */
static inline uint64_t classify_page(const unsigned char *text, unsigned at,
                                     const limn_block_firsts *first, uint64_t classes[4]) {
  const unsigned char a = text[at], b = text[at + 1];
  const bool is_two = first->two >> at & 1;
  unsigned page = is_two ? a & 0x1fu : (a & 0xfu) << 6 | (b & 0x3fu);
  unsigned which = limn_unicode_page_of[page];
  uint64_t same = (uint64_t)1 << at, found[4];
  if (!is_two && (page < 32 || which == LIMN_NO_PAGE)) return 0;
  if (!is_two && !(limn_unicode_three[4][page >> 3] >> (page & 7) & 1)) {
    uint64_t class = limn_unicode_pages[which][0]; /* of all */
    for (unsigned k = 0; k < 4; k++)
      classes[k] |= (class >> k & 1) << at;
    return same;
  }
  same = is_two ? first->two & equal_to(text, a)
                : first->three & equal_to(text, a) & equal_to(text + 1, b);
  look_up_64(text + (is_two ? 1 : 2), limn_unicode_pages[which], found);
  for (unsigned k = 0; k < 4; k++)
    classes[k] |= found[k] & same;
  return same;
}

/* E5 to E9 begin Chinese characters only, EB and EC Korean syllables: letters without case, which
 * is class 3. */
static inline uint64_t plain_letters(const unsigned char *text) {
  return (from(text, 0xe5) & ~from(text, 0xea)) | (from(text, 0xeb) & ~from(text, 0xed));
}

static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t classes[4]) {
  limn_block_firsts first;
  uint64_t from2 = from(text, 0xc2), tail = from(text, 0x80) & ~from(text, 0xc0), same;
  if (!limn_block_find_firsts(b, tail, from2, from(text, 0xe0), from(text, 0xf0), &first))
    return false;
  uint64_t plain = first.three ? first.three & plain_letters(text) : 0;
  classes[0] = classes[1] = plain;
  for (uint64_t left = first.two | (first.three & ~plain); left; left &= ~same) {
    same = classify_page(text, (unsigned)__builtin_ctzll(left), &first, classes);
    if (same == 0) return false;
  }
  return limn_block_fours(text, first.four, classes);
}

#define LIMN_LOOP_HIGH
