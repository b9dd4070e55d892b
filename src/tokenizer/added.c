/*
 * added.c - tokens whose text is looked for before anything else: "<|endoftext|>" and its like.
 *
 * Where several match at one place, the longest counts.
 */
#include "tokenizer/tokenizer.h"

#include <string.h>

/* The special token whose text stands at `at`, or -1. */
int32_t limn_added_at(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  if (!t->special_starts[(unsigned char)text[at]]) return -1;
  for (size_t i = 0; i < t->n_specials; i++) {
    size_t size;
    const char *bytes = limn_tokenizer_bytes(t, t->specials[i], &size);
    if (size > 0 && size <= n - at && memcmp(text + at, bytes, size) == 0) return t->specials[i];
  }
  return -1;
}

size_t limn_added_next(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  while (at < n && limn_added_at(t, text, n, at) < 0)
    at++;
  return at;
}
