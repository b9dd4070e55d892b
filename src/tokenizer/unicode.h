/*
 * unicode.h - inside the library: what kind of character a code point is, for splitting text.
 */
#ifndef LIMN_SRC_TOKENIZER_UNICODE_H
#define LIMN_SRC_TOKENIZER_UNICODE_H

#include <stdint.h>

/* The version of the Unicode Character Database that the table holds. */
#define LIMN_UNICODE_VERSION "16.0.0"

/* By general category, and the property White_Space where it holds. */
typedef enum limn_char_class {
  LIMN_CHAR_OTHER = 0, /* C*, and bytes that are no character */
  LIMN_CHAR_UPPER,     /* Lu, Lt */
  LIMN_CHAR_LOWER,     /* Ll */
  LIMN_CHAR_LETTER,    /* Lm, Lo */
  LIMN_CHAR_MARK,      /* M* */
  LIMN_CHAR_NUMBER,    /* N* */
  LIMN_CHAR_SPACE,     /* White_Space */
  LIMN_CHAR_PUNCT,     /* P* */
  LIMN_CHAR_SYMBOL     /* S* */
} limn_char_class;

/* Blocks of 256 code points; equal ones stand once, two classes to a byte. */
extern const uint8_t limn_unicode_index[0x1100];
extern const uint8_t limn_unicode_blocks[][128];

/* Precondition: code <= 0x10ffff. */
static inline limn_char_class limn_char_class_of(uint32_t code) {
  uint8_t two = limn_unicode_blocks[limn_unicode_index[code >> 8]][(code & 255) >> 1];
  return (limn_char_class)(two >> 4 * (code & 1) & 15);
}

/*
 * The same by the bytes of a character, for those of two and three bytes. A page is 64 code points:
 * all that begin with the same bytes but the last. Equal pages stand once, a class to a byte.
 */
#define LIMN_NO_PAGE 255                         /* surrogates */
extern const uint8_t limn_unicode_page_of[1024]; /* by code >> 6 */
extern const uint8_t limn_unicode_pages[][64];
/*
 * Row k has bit k of the class of every code point below 0x800; and of every page of which all are
 * of one class. The last row says of which pages that is not so; those of no character of three
 * bytes are among them.
 */
extern const uint8_t limn_unicode_two[4][256], limn_unicode_three[5][128];

#endif
