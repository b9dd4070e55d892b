/*
 * encoder.h - inside the library: an encoder's room, and the loop that runs over a text.
 *
 *     text --(split)--> pieces --(cache)--> ids
 *                                  |  where it has none: bpe.c, and the cache learns them
 */
#ifndef LIMN_SRC_TOKENIZER_ENCODER_H
#define LIMN_SRC_TOKENIZER_ENCODER_H

#include "tokenizer/bpe.h"
#include "tokenizer/cache.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

/* ---- pieces ------------------------------------------------------------------------------------
 */

/*
 * Pieces between splitting and looking up: those of a few blocks, so that one block's answers need
 * not be there before the next is begun.
 */
#define SPAN_BLOCKS  15
#define BLOCK_PIECES 24
#define SPAN_PIECES  (SPAN_BLOCKS * BLOCK_PIECES)
#define SPAN_SLACK   32 /* that may be written behind them */

typedef struct span {
  size_t n;
  uint16_t size;                            /* in bytes */
  const unsigned char *text;                /* where places count from */
  uint16_t where[SPAN_PIECES + SPAN_SLACK]; /* the piece's place, or place << 6 | length */
  /* Where a loop does that block by block: */
  uint64_t keys[SPAN_PIECES + SPAN_SLACK]; /* 0 for one that cannot be hot */
  uint32_t hot[SPAN_PIECES + SPAN_SLACK];  /* where the key's place is, in bytes */
} span;

/* What is merged at once. */
#define LIMN_GROUP 64

/* ---- the encoder --------------------------------------------------------------------------------
 */

typedef struct limn_encoder_loop limn_encoder_loop;

/* Ids collect here before they go where the caller wants them. */
#define LIMN_CHUNK_IDS 4096
/* What the pieces that wait may add, and one that is merged. */
#define LIMN_CHUNK_SLACK 2048

/* Where ids go. */
typedef struct limn_sink {
  int32_t *ids;        /* (capacity), or NULL */
  limn_tokens *tokens; /* that grow; or NULL */
  size_t n, capacity;
  size_t start;    /* where in the text the first of `tokens` stands */
  bool no_offsets; /* tokens->offsets stays NULL */
  bool is_full;    /* capacity ids are there, and more would follow */
  size_t end;      /* where in the text the first id stands that had no place; pipeline.c sets it */
} limn_sink;

struct limn_encoder {
  const limn_tokenizer *t;
  const limn_encoder_loop *loop;
  limn_cache cache;
  limn_bpe bpe;
  struct limn_pipeline_run *run; /* pipeline.c's room, or NULL */
  limn_sink sink;
  int32_t *ids; /* (n_ids) of LIMN_CHUNK_IDS: in the sink where it has the place, else in `room` */
  size_t n_ids;
  int32_t room[LIMN_CHUNK_IDS];
};

/*
 * Encodes one piece and appends its ids to e->ids; LIMN_CHUNK_SLACK - 64 more have room behind
 * them. MEMORY.
 */
limn_status limn_encoder_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err);
/* The same while answers wait: what has no room in the cache is not kept. */
limn_status limn_encoder_piece_waiting(limn_encoder *e, const unsigned char *piece, size_t n,
                                       limn_error *err);
/*
 * Finds what short pieces are that were not found where they are looked for first, and keeps it:
 * keys[which[i]] is the key, hashes[which[i]] its hash, answers[which[i]] becomes the answer.
 */
void limn_encoder_learn(limn_encoder *e, const uint64_t (*keys)[2], const uint32_t *hashes,
                        const uint32_t *which, size_t n, limn_answer *answers);
/*
 * The same for pieces of 16 bytes and more, of which which[i] are the number and the length; NONE
 * where one has to be encoded by itself.
 */
void limn_encoder_learn_long(limn_encoder *e, const uint64_t (*keys)[2],
                             const unsigned char *const *pieces, const uint32_t (*which)[2],
                             size_t n, limn_answer *answers);
/* Ids go here from now on. */
void limn_encoder_into(limn_encoder *e, limn_sink sink);
/* Empties e->ids into the sink. MEMORY. */
limn_status limn_encoder_flush(limn_encoder *e, limn_error *err);
/* Appends one id. MEMORY. */
limn_status limn_encoder_push(limn_encoder *e, int32_t id, limn_error *err);
/* Encodes a text into the sink (encode.c). MEMORY, ARGUMENT. */
limn_status limn_encode_text(limn_encoder *e, const char *text, size_t n, limn_special special,
                             limn_error *err);

/* ARGUMENT, naming the token and its place. */
limn_status limn_refuse_special(const limn_tokenizer *t, int32_t id, size_t at, limn_error *err);

/*
 * Encodes the text from *at on and moves *at behind what has been encoded: to the end; or, where
 * `is_open`, to the first piece that bytes behind the text could change. Stops when the sink is
 * full.
 */
typedef limn_status limn_encoder_run(limn_encoder *e, const unsigned char *text, size_t n,
                                     bool is_open, size_t *at, limn_error *err);

/* One for each instruction set. */
struct limn_encoder_loop {
  const char *isa;
  limn_encoder_run *run;
  const limn_merger *merger;
  uint32_t (*hash)(uint64_t low, uint64_t high);
  /* The beginnings of pieces in the block of at most 64 bytes at `text`, one of which is its first
   * byte; 3 bytes more can be read. 0 where they cannot be told. */
  uint64_t (*block)(limn_pattern pattern, const unsigned char *text, unsigned n);
};

extern const limn_encoder_loop limn_loop_scalar, limn_loop_avx2, limn_loop_avx512, limn_loop_neon;

/* Those that this processor can run, best first, ended by NULL. */
const limn_encoder_loop *const *limn_loops(void);
/* The best, or the one that LIMN_ISA names. */
const limn_encoder_loop *limn_loop_best(void);

limn_status limn_encoder_new_with(const limn_tokenizer *t, size_t cache_bytes,
                                  const limn_encoder_loop *loop, limn_encoder **out,
                                  limn_error *err);
/* One that shares a cache made for the best loop (shared_cache.h). MEMORY. */
limn_status limn_encoder_new_sharing(const limn_tokenizer *t, struct limn_shared_cache *cache,
                                     limn_encoder **out, limn_error *err);

#endif
