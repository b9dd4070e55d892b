/*
 * sentencepiece_normal.h - inside the library: what SentencePiece does to a text before it merges.
 */
#ifndef LIMN_SRC_TOKENIZER_SENTENCEPIECE_NORMAL_H
#define LIMN_SRC_TOKENIZER_SENTENCEPIECE_NORMAL_H

#include "tokenizer/added.h"
#include "tokenizer/normal.h"

/* The NormalizerSpec of a model. Start from {0}. */
typedef struct limn_sp_normal {
  bool add_dummy_prefix;         /* a space before the text */
  bool remove_extra_whitespaces; /* spaces at both ends, and all but one between words */
  bool escape_whitespaces;       /* U+2581 for a space */
  uint32_t *trie;                /* (n_trie) a double array of what is replaced; NULL for nothing */
  size_t n_trie;
  char *replacements; /* (n_replacements) texts, each with a NUL; the last byte is one */
  size_t n_replacements;
} limn_sp_normal;

void limn_sp_normal_deinit(limn_sp_normal *s);
/* Takes a copy of a precompiled_charsmap. FORMAT, MEMORY. `where` opens the messages. */
limn_status limn_sp_normal_set_map(limn_sp_normal *s, const char *where, const void *map, size_t n,
                                   limn_error *err);

/*
 * Appends the text as the model wants it; `symbols` stay as they are, and so do bytes that are no
 * character. False without memory.
 */
bool limn_sp_normalize(const limn_sp_normal *s, const limn_added_set *symbols, limn_view v,
                       limn_mapped *out);

#endif
