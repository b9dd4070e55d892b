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

#include <string.h>

/* ---- the cache ----------------------------------------------------------------------------------
 */

/*
 * A piece of up to 15 bytes is its own key: the bytes, zeros, the length. So what is found is
 * exact. Its ids, at most four, stand beside it. Whatever is longer, in bytes or in ids, lies in
 * the store. The key of more bytes is a hash and the length: in the store the bytes are compared.
 */
#define LIMN_SHORT_PIECE 15
#define LIMN_SLOT_IDS    4
/* Pieces of more bytes than this are not kept. */
#define LIMN_KEPT_PIECE 512
/* Bytes behind the store that may be read. */
#define LIMN_STORE_SLACK 64

typedef struct limn_slot {
  uint64_t low, high; /* the last byte is the length, or 255; of what is longer, a hash before it */
  uint32_t ids[4];    /* the first has their number in its upper byte; or LIMN_IN_STORE and more */
} limn_slot;

/*
 * What is longer than a key lies in the store, first its bytes, padded to 4, then its ids: the
 * upper byte of ids[0] is LIMN_LONG_IN_STORE, the rest how many bytes, ids[2] how many ids. What is
 * short and has more ids than fit into a slot has only these in the store; the upper byte is
 * LIMN_IN_STORE + their number. Either lies at ids[1] * 4.
 */
#define LIMN_IN_STORE      0x40
#define LIMN_LONG_IN_STORE 0x80

/* A pair that is full leaves slots to those beside it: pairs of this many go together. */
#define LIMN_NEIGHBOURS 4

#define LIMN_ID_BITS 24
#define LIMN_ID_MASK (((uint32_t)1 << LIMN_ID_BITS) - 1)

/*
 * The key of a piece of 16 bytes and more: two hashes of the bytes in one go (Knuth's
 * multiplicative hashing, eight bytes a step, of which the last may overlap the one before).
 */
static inline void limn_hash_piece(const unsigned char *piece, size_t n, uint64_t key[2]) {
  uint64_t a = n, b = ~(uint64_t)n;
  for (size_t i = 0; i < n; i += 8) {
    uint64_t word;
    memcpy(&word, piece + (i < n - 8 ? i : n - 8), sizeof word);
    a = (a ^ word) * 0x9e3779b97f4a7c15u;
    a ^= a >> 32;
    b = (b + word) * 0xd6e8feb86659fd93u;
  }
  key[0] = a;
  key[1] = (uint64_t)(n < 255 ? n : 255) << 56 | b >> 8;
}

/* 32 bits on each of which every bit of the key counts. Loops may have a faster one. */
static inline uint32_t limn_slot_hash(uint64_t low, uint64_t high) {
  uint64_t h = low * 0x9e3779b97f4a7c15u;
  h = ((h ^ h >> 32) + high) * 0xd6e8feb86659fd93u;
  return (uint32_t)(h >> 32);
}

/*
 * The pieces met most: up to 8 bytes, one or two ids. Zeros fill the key, so that a piece that ends
 * in a zero is none of them; an empty place has the key 0. A new one takes the place of the old.
 */
#define LIMN_HOT_PIECE 8

typedef struct limn_hot {
  uint64_t key;
  int32_t ids[2]; /* the second is -1 where there is none */
} limn_hot;

#define LIMN_HOT_FACTOR 0x9e3779b97f4a7c15u

static inline size_t limn_hot_place(uint64_t key, unsigned shift) {
  return (size_t)(key * LIMN_HOT_FACTOR >> shift);
}

/*
 * Pieces between splitting and looking up: those of a few blocks, so that one block's answers need
 * not be there before the next is begun.
 */
#define SPAN_BLOCKS  8
#define BLOCK_PIECES 24
#define SPAN_PIECES  (SPAN_BLOCKS * BLOCK_PIECES)
#define SPAN_SLACK   32 /* that may be written behind them */

typedef struct span {
  size_t n;
  uint32_t size;                            /* in bytes */
  const unsigned char *text;                /* where places count from */
  uint32_t where[SPAN_PIECES + SPAN_SLACK]; /* the piece's place, or place << 8 | length */
  /* Where a loop does that block by block: */
  uint64_t keys[SPAN_PIECES + SPAN_SLACK]; /* 0 for one that cannot be hot */
  uint32_t hot[SPAN_PIECES + SPAN_SLACK];  /* which place the key has */
} span;

/* The pair of slots for a hash: n_pairs times the hash as a fraction of one. */
static inline size_t limn_slot_pair(size_t n_pairs, uint32_t hash) {
  return (size_t)((uint64_t)hash * n_pairs >> 32);
}

/* What is merged at once. */
#define LIMN_GROUP 32

/* No slot has so many ids. */
#define LIMN_UNKNOWN UINT32_MAX

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
  limn_hot *hot; /* (n_hot + 1), of which the last is for what is not to be found */
  size_t n_hot;  /* 2^(64 - hot_shift) */
  unsigned hot_shift;
  limn_slot *slots;                   /* (n_pairs, 2); 64 bytes aligned */
  size_t n_pairs, most_pairs, n_used; /* pairs there are, there is room for; slots in use */
  unsigned char *store;
  size_t store_size, store_used;
  size_t age; /* how often all was forgotten */
  limn_bpe bpe;
  struct limn_pipeline_run *run; /* pipeline.c's room, or NULL */
  limn_sink sink;
  size_t n_ids;
  int32_t ids[LIMN_CHUNK_IDS];
};

/* Copies n ids out of the store, and what lies behind them, up to LIMN_STORE_SLACK bytes. */
static inline void limn_store_put(const unsigned char *at, size_t n, int32_t *out) {
  memcpy(out, at, 16 * sizeof *out);
  if (__builtin_expect(n > 16, 0)) memcpy(out + 16, at + 16 * sizeof *out, (n - 16) * sizeof *out);
}

/* Writes the ids that a short piece's slot has, at least 16 places; how many they are. */
static inline size_t limn_slot_put(const limn_encoder *e, const uint32_t ids[LIMN_SLOT_IDS],
                                   int32_t *out) {
  size_t n = ids[0] >> LIMN_ID_BITS;
  if (n > LIMN_IN_STORE) {
    limn_store_put(e->store + (size_t)ids[1] * 4, n - LIMN_IN_STORE, out);
    return n - LIMN_IN_STORE;
  }
  memcpy(out, ids, LIMN_SLOT_IDS * sizeof *ids);
  out[0] = (int32_t)(ids[0] & LIMN_ID_MASK);
  return n;
}

static inline size_t limn_store_padded(size_t n) {
  return (n + 3) & ~(size_t)3;
}

/* The ids of a long piece, in the store; NULL where its slot is another's: the bytes decide. */
static inline const unsigned char *limn_slot_long(const limn_encoder *e,
                                                  const uint32_t ids[LIMN_SLOT_IDS],
                                                  const unsigned char *piece, size_t n) {
  const unsigned char *at = e->store + (size_t)ids[1] * 4;
  if ((ids[0] & LIMN_ID_MASK) != n || memcmp(at, piece, n) != 0) return NULL;
  return at + limn_store_padded(n);
}

/*
 * Encodes one piece and appends its ids to e->ids; LIMN_CHUNK_SLACK - 64 more have room behind
 * them. MEMORY.
 */
limn_status limn_encoder_piece(limn_encoder *e, const unsigned char *piece, size_t n,
                               limn_error *err);
/*
 * Finds the ids of short pieces that were not found where they are looked for first, and keeps
 * them: keys[which[i]] is the key, found[which[i]] becomes what its slot has.
 */
void limn_encoder_learn(limn_encoder *e, const uint64_t (*keys)[2], const uint32_t *which, size_t n,
                        uint32_t (*found)[LIMN_SLOT_IDS]);
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
