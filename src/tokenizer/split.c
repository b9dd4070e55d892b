/*
 * split.c - cutting a text into the pieces that are merged on their own.
 *
 * GPT-2 (Radford et al. 2019, section 2.2, and the code released with it) cuts with the pattern
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * An alternative is taken as soon as it matches, so the function below asks for them in that order.
 * The last two say: white space gives its last character to what follows (which takes it where it
 * is a space), unless nothing follows. A byte that is no UTF-8 is a character of its own that is
 * neither letter nor number nor space.
 */
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

const char *limn_unicode_version(void) {
  return LIMN_UNICODE_VERSION;
}

static limn_char_class class_at(const unsigned char *text, size_t n, size_t at, size_t *length) {
  int32_t code;
  *length = limn_utf8_decode(text + at, n - at, &code);
  return code < 0 ? LIMN_CHAR_OTHER : limn_char_class_of((uint32_t)code);
}

/* The end of the run of characters of one class. */
static size_t run_end(const unsigned char *text, size_t n, size_t at, limn_char_class wanted) {
  size_t length;
  while (at < n && class_at(text, n, at, &length) == wanted)
    at += length;
  return at;
}

/* The length of 's, 't, 're, 've, 'm, 'll or 'd at `at`, or 0. */
static size_t contraction(const unsigned char *text, size_t n, size_t at) {
  if (text[at] != '\'' || at + 1 >= n) return 0;
  unsigned char a = text[at + 1], b = at + 2 < n ? text[at + 2] : 0;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  bool is_two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return is_two ? 3 : 0;
}

/* White space at `at`: all of it at the end of the text, else all but its last character. */
static size_t space_end(const unsigned char *text, size_t n, size_t at) {
  size_t length, last = at, end = at;
  while (end < n && class_at(text, n, end, &length) == LIMN_CHAR_SPACE) {
    last = end;
    end += length;
  }
  return end == n || last == at ? end : last;
}

size_t limn_split_next(const unsigned char *text, size_t n, size_t at) {
  size_t length = contraction(text, n, at);
  if (length) return at + length;
  size_t start = at + (text[at] == ' ' && at + 1 < n);
  limn_char_class class = class_at(text, n, start, &length);
  if (class == LIMN_CHAR_SPACE) return space_end(text, n, at);
  return run_end(text, n, start, class);
}
