/*
 * sentencepiece.h - inside the library: byte-pair encoding on characters, with bytes for those that
 * the vocabulary lacks.
 */
#ifndef LIMN_SRC_TOKENIZER_SENTENCEPIECE_H
#define LIMN_SRC_TOKENIZER_SENTENCEPIECE_H

#include "tokenizer/added.h"
#include "tokenizer/normal.h"
#include "tokenizer/pairs.h"

#include <limn/tokenizer.h>

/* A piece of the vocabulary as texts are matched with it, a space being U+2581. */
typedef struct limn_piece {
  uint32_t at, n; /* in the bytes */
  int32_t id;
} limn_piece;

/* What an unused piece was merged from; left is -1 for pieces that are used. */
typedef struct limn_halves {
  int32_t left, right;
  uint32_t n; /* of the piece itself, in bytes */
} limn_halves;

typedef struct limn_sentencepiece {
  limn_bytes bytes;
  limn_piece *pieces; /* hash table, id -1 where empty; at most half full */
  size_t mask, n_pieces;
  limn_pairs pairs;
  limn_added_set symbols; /* user-defined: symbols that merge with nothing */
  int32_t byte_ids[256];  /* -1 for none */
  bool byte_fallback;     /* they are used; then all 256 are there */
  int32_t unknown;        /* -1 for none */
  bool fuse_unknown;
  bool whole_pieces; /* a piece that is a token is that token */
  bool cuts_words;   /* no piece has U+2581 behind something else: words are on their own */
  /* By id, for vocabularies with pieces that are taken apart again after merging; else NULL. */
  struct limn_halves *halves;
} limn_sentencepiece;

void limn_sentencepiece_init(limn_sentencepiece *sp);
void limn_sentencepiece_deinit(limn_sentencepiece *sp);
/* False without memory. The first piece of some bytes stays. */
bool limn_sentencepiece_add(limn_sentencepiece *sp, const void *bytes, size_t n, int32_t id);
int32_t limn_sentencepiece_find(const limn_sentencepiece *sp, const void *bytes, size_t n);
/* To be called once all is there: finds out whether texts may be cut into words. */
void limn_sentencepiece_finish(limn_sentencepiece *sp);

/* Appends the tokens of a text; `row` is working space. MEMORY. */
limn_status limn_sentencepiece_encode(const limn_sentencepiece *sp, limn_row *row, limn_view text,
                                      limn_tokens *out, limn_error *err);

#endif
