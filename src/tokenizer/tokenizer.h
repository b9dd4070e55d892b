/*
 * tokenizer.h - inside the library: vocabulary and merges, and how they are put together.
 */
#ifndef LIMN_SRC_TOKENIZER_TOKENIZER_H
#define LIMN_SRC_TOKENIZER_TOKENIZER_H

#include "base/memory.h"
#include "tokenizer/added.h"
#include "tokenizer/symbols.h"

#include <limn/tokenizer.h>

/* A hash table from a pair of ids to what they merge to. An empty place has result -1. */
typedef struct limn_merge {
  int32_t left, right;
  int32_t rank, result;
} limn_merge;

/*
 * How a text is cut into pieces: the families' patterns (split.c has them in full). Each is a
 * function of its own; REGEX is any other pattern, by a regex library.
 */
typedef enum limn_pattern {
  LIMN_PATTERN_GPT2 = 0,  /* r50k, p50k, GPT-NeoX, OLMo */
  LIMN_PATTERN_CL100K,    /* cl100k as tiktoken has it: white space at the end is one piece */
  LIMN_PATTERN_LLAMA3,    /* Llama 3, OLMo 2, and cl100k as tokenizer.json files have it */
  LIMN_PATTERN_QWEN2,     /* Qwen 2, 2.5, 3: Llama 3's with single digits */
  LIMN_PATTERN_QWEN35,    /* Qwen 3.5: the same with marks among the letters */
  LIMN_PATTERN_O200K,     /* o200k */
  LIMN_PATTERN_TEKKEN,    /* Mistral: o200k's without contractions, with single digits */
  LIMN_PATTERN_STARCODER, /* StarCoder, SmolLM, Command R: single digits, then GPT-2's */
  LIMN_PATTERN_FALCON,    /* punctuation, then GPT-2's, then digits by three */
  LIMN_PATTERN_DEEPSEEK,  /* DeepSeek V3, R1: digits by three, then Chinese and Japanese, then words
                           */
  LIMN_PATTERN_NONE,      /* no cut: the text is one piece */
  LIMN_PATTERN_REGEX
} limn_pattern;

typedef enum limn_drops { LIMN_DROPS_NONE = 0, LIMN_DROPS_ONE, LIMN_DROPS_ALL } limn_drops;

struct limn_tokenizer {
  int32_t vocab_size;
  limn_pattern pattern;
  limn_bytes bytes;  /* of all tokens, one behind the other */
  uint32_t *starts;  /* (vocab_size + 1) */
  uint8_t *kinds;    /* (vocab_size) limn_token_kind */
  int32_t *by_bytes; /* hash table from bytes to id, -1 where empty */
  size_t by_bytes_mask;
  limn_merge *merges; /* while it is built; then `symbols` has what is needed of them */
  size_t merge_mask;
  limn_symbols symbols;
  int32_t byte_ids[256]; /* -1 for bytes that are no token of their own */
  bool whole_pieces;     /* a piece that is a token is that token, whatever merging would give */
  limn_drops drops;      /* spaces at the beginning of a text that decoding leaves out */
  limn_added_set specials;
  int32_t eos;
  struct limn_pipeline *pipeline; /* pipeline.h; NULL where pattern and merges are all there is */
};

typedef enum limn_token_kind {
  LIMN_TOKEN_NONE = 0, /* no token has this id */
  LIMN_TOKEN_NORMAL,
  LIMN_TOKEN_SPECIAL,
  LIMN_TOKEN_ADDED, /* looked for like a special one, but text */
  LIMN_TOKEN_BYTE,  /* of SentencePiece: a byte of a character that has no token */
  LIMN_TOKEN_UNUSED /* no text gives it */
} limn_token_kind;

/* ---- building: tokens in the order of their ids, then merges in order of rank
 * --------------------- */

limn_status limn_tokenizer_start(limn_tokenizer *t, int32_t vocab_size, limn_error *err);
/* Adds the next id; n = 0 with LIMN_TOKEN_NONE is a gap. */
limn_status limn_tokenizer_add(limn_tokenizer *t, const void *bytes, size_t n, limn_token_kind kind,
                               limn_error *err);
/* Makes the table of bytes and the set of specials, when all tokens are there. MEMORY. */
limn_status limn_tokenizer_index(limn_tokenizer *t, limn_error *err);
limn_status limn_tokenizer_start_merges(limn_tokenizer *t, size_t n, limn_error *err);
/* False when the pair is there already. */
bool limn_tokenizer_add_merge(limn_tokenizer *t, int32_t left, int32_t right, int32_t rank,
                              int32_t result);
/* Makes the table that encoding works on: the last step of building. MEMORY, UNSUPPORTED. */
limn_status limn_tokenizer_finish(limn_tokenizer *t, const char *where, limn_error *err);
/*
 * What two tokens merge to, for a tokenizer that is finished; its rank counts the merges that can
 * be done. False when nothing. Precondition: both ids are tokens.
 */
bool limn_tokenizer_merge_of(const limn_tokenizer *t, int32_t left, int32_t right, limn_merge *out);
/* The same while it is built, or NULL. */
const limn_merge *limn_tokenizer_find_merge(const limn_tokenizer *t, int32_t left, int32_t right);

/* The code point that stands for a byte in GPT-2's files, and back (-1 for one that does not). */
uint32_t limn_byte_to_printable(unsigned char byte);
int limn_printable_to_byte(uint32_t code);
/* Appends the bytes that n bytes of printable characters stand for; false when a character stands
   for none, or without memory. */
bool limn_printable_to_bytes(const char *text, size_t n, limn_bytes *out);

/* ---- the stages of encoding: added tokens, then pieces, then merging
 * ---------------------------- */

/* The added token whose text stands at `at`, or -1; and the next place where one stands, or n. */
int32_t limn_added_at(const limn_tokenizer *t, const char *text, size_t n, size_t at);
size_t limn_added_next(const limn_tokenizer *t, const char *text, size_t n, size_t at);

/*
 * Where the piece that starts at `at` ends; n is the length of the text. Scalar and plain: what the
 * fast variants are tested against. `at` is 0 or an end that an earlier call gave. Preconditions:
 * at < n, and the pattern is not REGEX.
 */
size_t limn_split_next(limn_pattern pattern, const unsigned char *text, size_t n, size_t at);

/*
 * The same for a tokenizer. *is_settled becomes false where bytes behind the text could move the
 * piece's end.
 */
size_t limn_split_piece(const limn_tokenizer *t, const unsigned char *text, size_t n, size_t at,
                        bool *is_settled);

/* Appends one token to those of a text. MEMORY. */
limn_status limn_tokens_push(limn_tokens *tokens, int32_t id, size_t offset, limn_error *err);

limn_status limn_no_such_id(const limn_tokenizer *t, int32_t id, limn_error *err);

/* GPT-2's tokens and merges from the table inside the library. */
limn_status limn_tokenizer_build_gpt2(limn_tokenizer *t, limn_error *err);
/* Whether two files are GPT-2's published merges.txt (or vocab.bpe) and vocab.json, to the byte. */
bool limn_is_gpt2_published(const void *merges, size_t n_merges, const void *vocab, size_t n_vocab);

#endif
