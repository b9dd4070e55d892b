/*
 * utf8.h - inside the library: UTF-8 as the Unicode Standard defines it (section 3.9, table 3-7).
 */
#ifndef LIMN_SRC_BASE_UTF8_H
#define LIMN_SRC_BASE_UTF8_H

#include <limn/base.h>

/*
 * Decodes the character at text[0]; n > 0 bytes are there. Returns its length, 1 to 4, and the code
 * point; bytes that are no character (truncated, overlong, a surrogate, above U+10FFFF) give length
 * 1 and *code = -1.
 */
size_t limn_utf8_decode(const unsigned char *text, size_t n, int32_t *code);
/* Writes code point `code` (0 to 0x10FFFF) to `out`, returns the number of bytes, 1 to 4. */
size_t limn_utf8_encode(uint32_t code, unsigned char out[4]);
bool limn_utf8_is_valid(const void *text, size_t n);

#endif
