/*
 * utf8.c - the well-formed byte sequences of Unicode's table 3-7, and nothing else.
 *
 * The second byte decides what is overlong, a surrogate or beyond the last code point; every
 * further byte only has to be a continuation.
 */
#include "base/utf8.h"

static bool is_continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

size_t limn_utf8_decode(const unsigned char *text, size_t n, int32_t *code) {
  unsigned char lead = text[0];
  *code = lead;
  if (lead < 0x80) return 1;
  *code = -1;
  if (lead < 0xc2 || lead > 0xf4 || n < 2) return 1;
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (text[1] < low || text[1] > high) return 1;
  if (lead < 0xe0) {
    *code = (lead & 0x1f) << 6 | (text[1] & 0x3f);
    return 2;
  }
  if (n < 3 || !is_continuation(text[2])) return 1;
  if (lead < 0xf0) {
    *code = (lead & 0x0f) << 12 | (text[1] & 0x3f) << 6 | (text[2] & 0x3f);
    return 3;
  }
  if (n < 4 || !is_continuation(text[3])) return 1;
  *code = (lead & 0x07) << 18 | (text[1] & 0x3f) << 12 | (text[2] & 0x3f) << 6 | (text[3] & 0x3f);
  return 4;
}

size_t limn_utf8_encode(uint32_t code, unsigned char out[4]) {
  if (code < 0x80) {
    out[0] = (unsigned char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (unsigned char)(0xc0 | code >> 6);
    out[1] = (unsigned char)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (unsigned char)(0xe0 | code >> 12);
    out[1] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (unsigned char)(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = (unsigned char)(0xf0 | code >> 18);
  out[1] = (unsigned char)(0x80 | (code >> 12 & 0x3f));
  out[2] = (unsigned char)(0x80 | (code >> 6 & 0x3f));
  out[3] = (unsigned char)(0x80 | (code & 0x3f));
  return 4;
}

bool limn_utf8_is_valid(const void *text, size_t n) {
  const unsigned char *bytes = text;
  for (size_t at = 0; at < n;) {
    int32_t code;
    at += limn_utf8_decode(bytes + at, n - at, &code);
    if (code < 0) return false;
  }
  return true;
}
