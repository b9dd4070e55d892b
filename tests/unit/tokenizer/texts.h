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

/*
 * Words in one to three scripts, with what stands between words there: marks, digits, white space,
 * punctuation, symbols, capitals; and now and then a byte that is no character. At most `most` + 16
 * bytes.
 */
static inline size_t script_text(uint32_t *seed, unsigned char *text, size_t most) {
  static const struct {
    uint32_t first, last;
  } ranges[] = {{0x41, 0x5a},       {0x61, 0x7a},       {0x80, 0x17f},      {0x1c0, 0x24f},
                {0x2b0, 0x36f},     {0x370, 0x3ff},     {0x400, 0x45f},     {0x460, 0x52f},
                {0x531, 0x5f4},     {0x600, 0x6ff},     {0x7c0, 0x7ff},     {0x800, 0x82d},
                {0x900, 0x97f},     {0x980, 0x9fe},     {0xb82, 0xbfa},     {0xe01, 0xe5b},
                {0x10a0, 0x10ff},   {0x1100, 0x11ff},   {0x13a0, 0x13fd},   {0x1680, 0x169c},
                {0x1c80, 0x1cbf},   {0x1e00, 0x1eff},   {0x1f00, 0x1fff},   {0x2000, 0x206f},
                {0x2070, 0x20ff},   {0x2100, 0x218b},   {0x2460, 0x24ff},   {0x2700, 0x27bf},
                {0x2c00, 0x2c7f},   {0x3000, 0x303f},   {0x3040, 0x30ff},   {0x4e00, 0x9fff},
                {0x9f90, 0x9fc0},   {0xa640, 0xa69f},   {0xa720, 0xa7ff},   {0xac00, 0xd7a3},
                {0xd780, 0xd7ff},   {0xe000, 0xf8ff},   {0xfb00, 0xfb4f},   {0xfe00, 0xfe0f},
                {0xfe10, 0xfeff},   {0xff00, 0xffef},   {0x10400, 0x1044f}, {0x11000, 0x1107f},
                {0x1d400, 0x1d7ff}, {0x1f300, 0x1faff}, {0x20000, 0x3ffff}, {0xe0100, 0x10ffff}};
  static const char *const between[] = {
      " ",  " ",  " ",    "  ",  "\n",       "\n\n", ", ",   ". ",          "'",
      "'s", "'T", "-",    "!!",  "/",        "\n/",  "7",    "1234",        " 12",
      "(",  "\t", "\r\n", "'re", "\xc2\xa0", "\xff", "\x01", "\xe2\x80\x8c"};
  enum { N_RANGES = sizeof ranges / sizeof *ranges, N_BETWEEN = sizeof between / sizeof *between };
  size_t wanted = next_random(seed) % (most + 1), n = 0;
  size_t scripts[3], n_scripts = 1 + next_random(seed) % 3, n_atoms = 1 + next_random(seed) % 26;
  uint32_t most_letters = 1 + (next_random(seed) % 40 >> next_random(seed) % 4);
  for (size_t i = 0; i < n_scripts; i++)
    scripts[i] = next_random(seed) % N_RANGES;
  while (n < wanted) {
    uint32_t n_letters = 1 + next_random(seed) % most_letters;
    for (; n_letters > 0 && n < wanted; n_letters--) {
      size_t which = scripts[next_random(seed) % n_scripts];
      uint32_t size = ranges[which].last - ranges[which].first + 1;
      n += limn_utf8_encode(ranges[which].first + next_random(seed) % size, text + n);
    }
    const char *atom = between[next_random(seed) % n_atoms % N_BETWEEN];
    memcpy(text + n, atom, strlen(atom));
    n += strlen(atom);
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
