/*
 * build.h - inside the library: what the readers share, from collected tokens to a tokenizer.
 */
#ifndef LIMN_SRC_TOKENIZER_BUILD_H
#define LIMN_SRC_TOKENIZER_BUILD_H

#include "tokenizer/pipeline.h"
#include "tokenizer/tokenizer.h"

#define LIMN_MOST_IDS ((int64_t)1 << 24)

/* A token as a file has it, by id; text is NULL where there is none. */
typedef struct limn_entry {
  const char *text;
  size_t n;
  limn_token_kind kind;
} limn_entry;

/* Space for tokens with ids below `limit`. Start from {0}. */
typedef struct limn_entries {
  limn_entry *by_id;
  int64_t limit;
  const char *where;
} limn_entries;

limn_status limn_entries_init(limn_entries *e, const char *where, int64_t limit, limn_error *err);
void limn_entries_deinit(limn_entries *e);
/*
 * Sets a token; the text must stay. RANGE for an id outside the space, FORMAT when another token
 * has it. A token that is there with the same text gets the new kind.
 */
limn_status limn_entries_set(limn_entries *e, const char *text, size_t n, int64_t id,
                             limn_token_kind kind, limn_error *err);

/* How a file writes the bytes of its tokens. */
typedef enum limn_writing {
  LIMN_WRITING_BYTES,     /* as they are */
  LIMN_WRITING_PRINTABLE, /* GPT-2's visible characters */
  LIMN_WRITING_PIECES     /* SentencePiece: U+2581 for a space, <0x41> for a byte token */
} limn_writing;

/* Makes t's vocabulary. Tokens of kind NORMAL are rewritten, others are texts. */
limn_status limn_build_vocabulary(limn_tokenizer *t, const limn_entries *e, limn_writing writing,
                                  limn_error *err);

/* The byte that "<0x41>" stands for, or -1. */
int limn_byte_of_piece(const char *text, size_t n);

/* The first byte that is no token of its own, or -1. */
int limn_missing_byte(const limn_tokenizer *t);

/* The table of merges, from pairs with ranks that differ. */
limn_status limn_build_merges(limn_tokenizer *t, const limn_pairs *pairs, limn_error *err);

/*
 * From ranks to pairs, where files have no merges but an order of tokens: neighbours merge when
 * what they are together is a token, the least rank first. Inside a token's bytes merging always
 * goes the same way, so that exactly one pair ever makes it; and its halves are shorter. So tokens
 * are taken in the order of their length, and the pair is what is left when the shorter ones have
 * merged, if that is two. *n_unreachable counts tokens that merging never gives.
 *
 * `symbols` fills a row with the symbols that token `id` begins as; the rank of id is ranks[id],
 * negative for tokens that do not merge.
 */
typedef bool limn_symbols_of(const void *user, int32_t id, limn_row *row);
limn_status limn_pairs_from_ranks(limn_pairs *pairs, const int32_t *ranks, int32_t n,
                                  limn_symbols_of *symbols, const void *user, size_t *n_unreachable,
                                  limn_error *err);

#endif
