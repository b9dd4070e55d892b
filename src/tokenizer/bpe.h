/*
 * bpe.h - inside the library: merging the bytes of one piece.
 */
#ifndef LIMN_SRC_TOKENIZER_BPE_H
#define LIMN_SRC_TOKENIZER_BPE_H

#include "tokenizer/merge.h"
#include "tokenizer/pairs.h"

/* Working space, kept between pieces, and the result. Start from {0}. */
typedef struct limn_bpe {
  uint32_t *out; /* (n_out) symbols */
  size_t n_out, capacity;
  limn_row row; /* for the heap */
} limn_bpe;

void limn_bpe_deinit(limn_bpe *b);

/* Merges a piece of n > 0 bytes to symbols in b->out. MEMORY. */
limn_status limn_bpe_encode(limn_bpe *b, const limn_merger *merger, const limn_symbols *s,
                            const unsigned char *piece, size_t n, limn_error *err);
/* The same by a heap of candidates; for any table. */
limn_status limn_bpe_heap(limn_bpe *b, const limn_symbols *s, const unsigned char *piece, size_t n,
                          limn_error *err);

#endif
