/*
 * base64.h - inside the library: bytes as text (RFC 4648, section 4).
 */
#ifndef LIMN_SRC_TOKENIZER_BASE64_H
#define LIMN_SRC_TOKENIZER_BASE64_H

#include "base/memory.h"

/* What a character stands for, -1 for one that stands for nothing. */
int limn_base64_value(char c);
/* Appends the bytes; false for what is not base64. Precondition: `out` has room for n bytes. */
bool limn_base64_decode(const char *text, size_t n, limn_bytes *out);

#endif
