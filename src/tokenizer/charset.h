/*
 * charset.h - inside the library: sets of code points, and how a regular expression says them.
 */
#ifndef LIMN_SRC_TOKENIZER_CHARSET_H
#define LIMN_SRC_TOKENIZER_CHARSET_H

#include "base/memory.h"

typedef struct limn_range {
  uint32_t first, last;
} limn_range;

/* Ranges in order, with gaps between them. Start from {0}. */
typedef struct limn_charset {
  limn_range *ranges;
  size_t n, capacity;
} limn_charset;

/* Each is false without memory. */
bool limn_charset_add(limn_charset *s, uint32_t first, uint32_t last);
/* All characters whose general category is in a mask of 1 << limn_category. */
bool limn_charset_add_categories(limn_charset *s, uint32_t mask);
bool limn_charset_add_set(limn_charset *s, const limn_charset *other);
bool limn_charset_invert(limn_charset *s);
bool limn_charset_intersect(limn_charset *s, const limn_charset *other);
void limn_charset_deinit(limn_charset *s);

/*
 * Appends a PCRE2 expression that matches one character of the set, whatever version of Unicode
 * the library at hand has.
 */
bool limn_charset_append(const limn_charset *s, limn_bytes *out);

#endif
