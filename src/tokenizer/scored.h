/*
 * scored.h - inside the library: SentencePiece vocabularies, as .model and GGUF files have them.
 */
#ifndef LIMN_SRC_TOKENIZER_SCORED_H
#define LIMN_SRC_TOKENIZER_SCORED_H

#include "tokenizer/build.h"

/* The numbers are those of both kinds of file. */
typedef enum limn_piece_type {
  LIMN_PIECE_NORMAL = 1,
  LIMN_PIECE_UNKNOWN,
  LIMN_PIECE_CONTROL,
  LIMN_PIECE_USER_DEFINED,
  LIMN_PIECE_UNUSED,
  LIMN_PIECE_BYTE
} limn_piece_type;

typedef struct limn_scored {
  const char *text; /* n bytes that stay while the tokenizer is built */
  size_t n;
  float score;
  limn_piece_type type;
} limn_scored;

/*
 * Makes a tokenizer of n pieces, by their ids; t->pipeline is there and says how texts are changed.
 * User-defined pieces are symbols of the text where `has_symbols`, else added tokens. FORMAT,
 * UNSUPPORTED, MEMORY.
 */
limn_status limn_build_scored(limn_tokenizer *t, const char *where, const limn_scored *pieces,
                              size_t n, bool byte_fallback, bool has_symbols, limn_error *err);

#endif
