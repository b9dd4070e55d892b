/*
 * vocab_json.h - inside the library: vocabularies that are JSON objects from tokens to ids, and
 * merges that name those tokens.
 */
#ifndef LIMN_SRC_TOKENIZER_VOCAB_JSON_H
#define LIMN_SRC_TOKENIZER_VOCAB_JSON_H

#include "formats/json_file.h"
#include "tokenizer/pairs.h"

/* The same object: jansson iterates over those only that may change. */
json_t *limn_json_to_iterate(const json_t *object);

/* Merges as they are read. Start from `where` (the file, for messages) and `vocab`. */
typedef struct limn_vocab_merges {
  const char *where;
  const json_t *vocab;
  limn_pairs pairs;
  limn_bytes scratch;
} limn_vocab_merges;

/*
 * Adds the merge of two tokens. A later merge of the same two counts, as in the library whose files
 * these are. FORMAT when one of them, or both together, are not in the vocabulary; MEMORY.
 */
limn_status limn_vocab_merge(limn_vocab_merges *m, size_t rank, const char *left, size_t n_left,
                             const char *right, size_t n_right, limn_error *err);
/* The same of a line "left right". */
limn_status limn_vocab_merge_line(limn_vocab_merges *m, size_t rank, const char *line, size_t n,
                                  limn_error *err);

#endif
