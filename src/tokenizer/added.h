/*
 * added.h - inside the library: tokens whose text is looked for before anything else.
 */
#ifndef LIMN_SRC_TOKENIZER_ADDED_H
#define LIMN_SRC_TOKENIZER_ADDED_H

#include "base/memory.h"

#include <limn/tokenizer.h>

typedef struct limn_added {
  const char *text; /* n bytes of the set's own */
  size_t n, at;     /* at: where in the set's bytes, while it is being made */
  int32_t id;
  bool is_special;
  bool single_word; /* not where a letter or digit stands beside it */
  bool lstrip;      /* takes the white space before it */
  bool rstrip;      /* and behind it */
} limn_added;

/* Tokens in the order of their bytes. Start from {0}. */
typedef struct limn_added_set {
  limn_added *tokens;
  size_t n, capacity;
  limn_bytes bytes;
  size_t longest;   /* bytes of the longest */
  bool starts[256]; /* whether some token starts with this byte */
} limn_added_set;

/* Takes a copy of the text (token.text, token.n > 0). False without memory. */
bool limn_added_add(limn_added_set *set, limn_added token);
/* To be called once, when all are there. Of two with the same text the later counts. */
void limn_added_sort(limn_added_set *set);
void limn_added_deinit(limn_added_set *set);

/* The longest token whose text stands at the beginning of n bytes, or NULL. */
const limn_added *limn_added_longest(const limn_added_set *set, const unsigned char *text,
                                     size_t n);

/* A search from left to right. Start from {0}. */
typedef struct limn_added_search {
  size_t at;   /* where looking goes on */
  size_t done; /* what earlier tokens have taken, white space included */
} limn_added_search;

/*
 * The next token that counts and the place it takes, with white space where it asks for that; NULL
 * when there is none. Special tokens count unless special is AS_TEXT.
 */
const limn_added *limn_added_search_next(const limn_added_set *set, limn_added_search *search,
                                         limn_special special, const unsigned char *text, size_t n,
                                         size_t *start, size_t *end);

#endif
