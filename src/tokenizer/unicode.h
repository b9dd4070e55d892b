/*
 * unicode.h - inside the library: what kind of character a code point is, for splitting text.
 */
#ifndef LIMN_SRC_TOKENIZER_UNICODE_H
#define LIMN_SRC_TOKENIZER_UNICODE_H

#include <stdint.h>

/* The version of the Unicode Character Database that the table holds. */
#define LIMN_UNICODE_VERSION "16.0.0"

typedef enum limn_char_class {
  LIMN_CHAR_OTHER = 0,
  LIMN_CHAR_LETTER, /* general category L* */
  LIMN_CHAR_NUMBER, /* general category N* */
  LIMN_CHAR_SPACE   /* property White_Space */
} limn_char_class;

/* Blocks of 256 code points; equal ones stand once, four classes to a byte. */
extern const uint8_t limn_unicode_index[0x1100];
extern const uint8_t limn_unicode_blocks[][64];

/* Precondition: code <= 0x10ffff. */
static inline limn_char_class limn_char_class_of(uint32_t code) {
  uint8_t four = limn_unicode_blocks[limn_unicode_index[code >> 8]][(code & 255) >> 2];
  return (limn_char_class)(four >> 2 * (code & 3) & 3);
}

#endif
