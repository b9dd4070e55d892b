/*
 * kinds.h - inside the library: what the ASCII codes are to the patterns, as bits.
 */
#ifndef LIMN_SRC_TOKENIZER_KINDS_H
#define LIMN_SRC_TOKENIZER_KINDS_H

#include <stdint.h>

enum {
  LIMN_KIND_UPPER = 1,
  LIMN_KIND_LOWER = 2,
  LIMN_KIND_NUMBER = 4,
  LIMN_KIND_SPACE = 8,
  LIMN_KIND_NEWLINE = 16,
  LIMN_KIND_BLANK = 32,
  LIMN_KIND_APOSTROPHE = 64,
  LIMN_KIND_SLASH = 128
};
/* Letters of contractions, in both cases; and punctuation and symbols. */
enum {
  LIMN_PART_ONE = 1,
  LIMN_PART_FIRST = 2,
  LIMN_PART_ELL = 4,
  LIMN_PART_E = 8,
  LIMN_PART_VISIBLE = 16
};

extern const uint8_t limn_kinds[128], limn_parts[128];

#endif
