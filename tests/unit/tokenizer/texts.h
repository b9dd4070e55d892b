/*
 * texts.h - random texts full of what makes tokenizers differ, and the plain way to encode them.
 */
#ifndef LIMN_TESTS_TOKENIZER_TEXTS_H
#define LIMN_TESTS_TOKENIZER_TEXTS_H

#include "base/utf8.h"
#include "tokenizer/encoder.h"

/* Small, fast and the same everywhere (Marsaglia 2003, xorshift). */
static inline uint32_t next_random(uint32_t *seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

/*
 * Words, runs and single characters in a mixture that changes from text to text: contractions,
 * white space with newlines, digits, symbols, capitals inside words, letters, marks, numbers and
 * spaces beyond ASCII, and bytes that are no characters. At most `most` + 16 bytes.
 */
static inline size_t hard_text(uint32_t *seed, unsigned char *text, size_t most) {
  static const char *const atoms[] = {"a",
                                      "b",
                                      "Z",
                                      "the",
                                      "Word",
                                      "HTML",
                                      "camelCase",
                                      " ",
                                      " ",
                                      " ",
                                      "  ",
                                      "     ",
                                      "\n",
                                      "\r\n",
                                      "\n\n",
                                      "\t",
                                      "0",
                                      "7",
                                      "12",
                                      "345",
                                      "123456",
                                      "'s",
                                      "'S",
                                      "'t",
                                      "'re",
                                      "'LL",
                                      "'ve",
                                      "'",
                                      "''",
                                      "'d's",
                                      "'\xc5\xbf",
                                      "it's",
                                      "WE'LL",
                                      ".",
                                      ",",
                                      "!",
                                      "//",
                                      "/",
                                      "...",
                                      "(",
                                      ");\n",
                                      "=",
                                      "\xc3\xa9",
                                      "\xc3\x89",
                                      "\xd0\xb6\xd0\xb6",
                                      "\xd0\x96",
                                      "\xe4\xb8\xad\xe6\x96\x87",
                                      "\xe3\x81\xae",
                                      "\xea\xb0\x80",
                                      "\xcc\x81",
                                      "\xe0\xa4\x95\xe0\xa5\x80",
                                      "\xe2\x80\x99",
                                      "\xe2\x80\x9c",
                                      "\xc2\xa0",
                                      "\xe3\x80\x80",
                                      "\xc2\x85",
                                      "\xd9\xa3",
                                      "\xc2\xbd",
                                      "\xe2\x85\xa7",
                                      "\xf0\x9f\x98\x80",
                                      "\xe2\x80\x8d",
                                      "\xc7\x85",
                                      "\xca\xb0",
                                      "\xe3\x80\x82",
                                      "\x00",
                                      "\x7f",
                                      "\xff",
                                      "\x80",
                                      "\xe4\xb8",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xc3"};
  enum { N = sizeof atoms / sizeof *atoms };
  size_t wanted = next_random(seed) % (most + 1), n = 0;
  /* Few kinds at a time, or long runs of anything would never come. */
  size_t kinds[8], n_kinds = 1 + next_random(seed) % 8;
  for (size_t i = 0; i < n_kinds; i++)
    kinds[i] = next_random(seed) % N;
  while (n < wanted) {
    size_t which =
        next_random(seed) % 16 ? kinds[next_random(seed) % n_kinds] : next_random(seed) % N;
    const char *atom = atoms[which];
    size_t size = *atom ? strlen(atom) : 1;
    memcpy(text + n, atom, size);
    n += size;
  }
  return n;
}

/* Ids by the plain splitter and the heap, piece by piece. Room for n ids. Returns how many. */
static inline size_t encode_plainly(const limn_tokenizer *t, limn_bpe *bpe,
                                    const unsigned char *text, size_t n, int32_t *ids) {
  size_t n_ids = 0;
  for (size_t at = 0; at < n;) {
    size_t end = limn_split_next(t->pattern, text, n, at);
    if (end <= at || end > n) return SIZE_MAX;
    if (limn_bpe_heap(bpe, &t->symbols, text + at, end - at, NULL) != LIMN_OK) return SIZE_MAX;
    for (size_t i = 0; i < bpe->n_out; i++)
      ids[n_ids++] = t->symbols.ids[bpe->out[i]];
    at = end;
  }
  return n_ids;
}

#endif
