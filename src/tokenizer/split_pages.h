/*
 * split_pages.h - inside the library: characters beyond ASCII by pages of 64 code points, for loops
 * that look a byte up among 64 at many places at once. The including file defines
 *
 *     found_classes, in which bits 0 to 3 of each byte are the class found there
 *
 *     static inline uint64_t from(const unsigned char *text, unsigned char byte)
 *     static inline uint64_t look_up(const unsigned char *text, const unsigned char *at, unsigned
 * n, const uint8_t *table, found_classes *found) static inline void masks_of(found_classes found,
 * uint64_t classes[4])
 *
 * where the bytes at `text` are not less than one; where n bytes, 1 or 2, are those at `at`, and
 * there the class that the lower six bits of the next byte choose from a table is added to what was
 * found; and what was found as masks.
 */
#include "tokenizer/split_classes.h"

#include <string.h>

/*
 * All characters that share the page of the one at `at`; their classes. 0 where that is none. Where
 * all of a page are of one class, it goes to that one's place in `classes`.
 */
static inline uint64_t classify_page(const unsigned char *text, unsigned at, bool is_two,
                                     found_classes *found, uint64_t classes[4]) {
  const unsigned char a = text[at], b = text[at + 1];
  unsigned page = is_two ? a & 0x1fu : (a & 0xfu) << 6 | (b & 0x3fu);
  unsigned which = limn_unicode_page_of[page];
  if (is_two) return look_up(text, text + at, 1, limn_unicode_pages[which], found);
  if (page < 32 || which == LIMN_NO_PAGE) return 0;
  if (limn_unicode_three[4][page >> 3] >> (page & 7) & 1)
    return look_up(text, text + at, 2, limn_unicode_pages[which], found);
  uint64_t class = limn_unicode_pages[which][0]; /* of all */
  for (unsigned k = 0; k < 4; k++)
    classes[k] |= (class >> k & 1) << at;
  return (uint64_t)1 << at;
}

/* E5 to E9 begin Chinese characters only, EB and EC Korean syllables: letters without case, which
 * is class 3. */
static inline uint64_t plain_letters(const unsigned char *text) {
  return (from(text, 0xe5) & ~from(text, 0xea)) | (from(text, 0xeb) & ~from(text, 0xed));
}

static inline bool classify_high(const unsigned char *text, limn_block *b, uint64_t classes[4]) {
  limn_block_firsts first;
  uint64_t from2 = from(text, 0xc2), tail = from(text, 0x80) & ~from(text, 0xc0), looked_up[4];
  if (!limn_block_find_firsts(b, tail, from2, from(text, 0xe0), from(text, 0xf0), &first))
    return false;
  found_classes found;
  memset(&found, 0, sizeof found);
  uint64_t plain = first.three ? first.three & plain_letters(text) : 0;
  classes[0] = classes[1] = plain;
  for (uint64_t left = first.two | (first.three & ~plain), same; left; left &= ~same) {
    unsigned at = (unsigned)__builtin_ctzll(left);
    same = classify_page(text, at, first.two >> at & 1, &found, classes);
    if (same == 0) return false;
  }
  masks_of(found, looked_up);
  for (unsigned k = 0; k < 4; k++)
    classes[k] |= looked_up[k] & (first.two | first.three); /* that are whole */
  return limn_block_fours(text, first.four, classes);
}

#define LIMN_LOOP_HIGH
