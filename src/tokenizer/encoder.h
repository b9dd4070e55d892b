/*
 * encoder.h - inside the library: an encoder's cache and room, and the loop that runs over a text.
 *
 *     text --(split)--> pieces --(cache)--> ids
 *                                  |  where it has none: bpe.c, and the cache learns them
 */
#ifndef LIMN_SRC_TOKENIZER_ENCODER_H
#define LIMN_SRC_TOKENIZER_ENCODER_H

#include "tokenizer/bpe.h"
#include "tokenizer/tokenizer.h"

/* ---- the cache ----------------------------------------------------------------------------------
 */

/*
 * A piece of up to 15 bytes is its own key: the bytes, zeros, the length. So what is found is
 * exact. Its ids, at most four, stand beside it. Whatever is longer, in bytes or in ids, lies in
 * the store, and the key is a hash: there the bytes are compared.
 */
#define LIMN_SHORT_PIECE 15
#define LIMN_SLOT_IDS    4
/* Pieces of more bytes than this are not kept. */
#define LIMN_KEPT_PIECE 512

typedef struct limn_slot {
  uint64_t low, high; /* the last byte is the length; or LIMN_STORED and more */
  uint32_t ids[4];    /* the first has their number in its upper byte; or where in the store */
} limn_slot;

#define LIMN_ID_BITS 24
#define LIMN_ID_MASK (((uint32_t)1 << LIMN_ID_BITS) - 1)

/* 32 bits on each of which every bit of the key counts. Loops may have a faster one. */
static inline uint32_t limn_slot_hash(uint64_t low, uint64_t high) {
  uint64_t h = low * 0x9e3779b97f4a7c15u;
  h = ((h ^ h >> 32) + high) * 0xd6e8feb86659fd93u;
  return (uint32_t)(h >> 32);
}

/* The pair of slots for a hash: n_pairs times the hash as a fraction of one. */
static inline limn_slot *limn_slot_pair(limn_slot *slots, size_t n_pairs, uint32_t hash) {
  return slots + 2 * (size_t)((uint64_t)hash * n_pairs >> 32);
}

/* ---- the encoder --------------------------------------------------------------------------------
 */

typedef struct limn_encoder_loop limn_encoder_loop;

/* Ids collect here before they go where the caller wants them. */
#define LIMN_CHUNK_IDS 4096
/* What the pieces that wait may add, four each, and one that is merged. */
#define LIMN_CHUNK_SLACK 1024

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
  limn_slot *slots; /* (n_pairs, 2); 64 bytes aligned */
  size_t n_pairs;
  unsigned char *store;
  size_t store_size, store_used;
  limn_bpe bpe;
  struct limn_pipeline_run *run; /* pipeline.c's room, or NULL */
  limn_sink sink;
  size_t n_ids;
  int32_t ids[LIMN_CHUNK_IDS];
};

/*
 * Encodes one piece and appends its ids to e->ids; LIMN_CHUNK_SLACK - 64 more have room behind
 * them. MEMORY.
 */
limn_status limn_encoder_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err);
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

#endif
