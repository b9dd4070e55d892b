/*
 * encodings.h - inside the library: what files of ranks leave out, by the name of the encoding.
 */
#ifndef LIMN_SRC_TOKENIZER_ENCODINGS_H
#define LIMN_SRC_TOKENIZER_ENCODINGS_H

#include "tokenizer/tokenizer.h"

/* Special tokens: one, or `count` with a number in the place of "%d", from `first` on. */
typedef struct limn_encoding_special {
  const char *text;
  int32_t id, first, count;
} limn_encoding_special;

typedef struct limn_encoding {
  const char *name;
  limn_pattern pattern;
  bool is_nfc;
  int32_t n_ranks;                       /* as many as the published file has; 0 for any number */
  const limn_encoding_special *specials; /* up to one without text */
} limn_encoding;

/* By its name, or, when name is NULL, by the last part of a path, without ".tiktoken". */
const limn_encoding *limn_encoding_find(const char *name, const char *path);
/* "gpt2, r50k_base, ...": all names. */
void limn_encoding_names(char *out, size_t size);

#endif
