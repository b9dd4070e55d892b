/*
 * pairs.h - inside the library: merging rows of symbols by a table of pairs, whatever the symbols
 * are: characters of SentencePiece, the bytes of a token whose history is asked for, or those of
 * a piece that nothing faster can merge (bpe.c).
 */
#ifndef LIMN_SRC_TOKENIZER_PAIRS_H
#define LIMN_SRC_TOKENIZER_PAIRS_H

#include "base/memory.h"

/* Two ids and what they merge to; the least rank merges first. An empty place has result -1. */
typedef struct limn_pair {
  int32_t left, right, rank, result;
} limn_pair;

/* A hash table, at most half full. Start from {0}. */
typedef struct limn_pairs {
  limn_pair *places;
  size_t mask, n;
} limn_pairs;

/* A pair that is there gets the new rank and result. False without memory. */
bool limn_pairs_add(limn_pairs *p, int32_t left, int32_t right, int32_t rank, int32_t result);
const limn_pair *limn_pairs_find(const limn_pairs *p, int32_t left, int32_t right);
void limn_pairs_deinit(limn_pairs *p);

/* A row of symbols and the space to merge it in; kept between rows. Start from {0}. */
typedef struct limn_row {
  int32_t *ids;   /* (n) -1 is a symbol that merges with nothing */
  size_t *starts; /* (n) where each begins, in whatever the caller counts; or NULL */
  size_t n, capacity;
  int32_t last[2]; /* the halves of the merge that was done last; -1 where none was */
  int32_t *prev, *next;
  struct limn_row_candidate *heap;
  size_t n_heap, work_capacity;
} limn_row;

/* False without memory. */
bool limn_row_push(limn_row *row, int32_t id, size_t start);
/* Makes a row of n ids that the caller fills, without starts; such a row is never pushed to. */
limn_status limn_row_resize(limn_row *row, size_t n, limn_error *err);

/* What two symbols merge to, and when: the least rank merges first. */
typedef struct limn_made {
  int32_t rank, id;
} limn_made;

/* False when they do not merge. */
typedef bool limn_row_find(const void *table, int32_t left, int32_t right, limn_made *out);

/* Merges ids[from .. n), n log n steps; the symbols before stay. MEMORY. */
limn_status limn_row_merge_by(limn_row *row, limn_row_find *find, const void *table, size_t from,
                              limn_error *err);
limn_status limn_row_merge(limn_row *row, const limn_pairs *pairs, size_t from, limn_error *err);
void limn_row_deinit(limn_row *row);

#endif
