/*
 * train.h - inside the library: the parts of learning an encoding. Text is counted as pieces
 * (train_count.c), from the counts merges are learned (train.c), and the files are written
 * (train_write.c).
 */
#ifndef LIMN_SRC_TOKENIZER_TRAIN_H
#define LIMN_SRC_TOKENIZER_TRAIN_H

#include "tokenizer/encoder.h"
#include "tokenizer/normal.h"
#include "tokenizer/tokenizer.h"

#include <limn/io.h>
#include <limn/tokenizer_training.h>

/* ---- counting -------------------------------------------------------------------------------- */

/* A piece of up to 15 bytes is its own key: the bytes, and the length in the last byte of `high`,
 * which is 0 in an empty place. */
typedef struct limn_short_piece {
  uint64_t low, high;
  int64_t count;
} limn_short_piece;

/* A longer one lies in `bytes` of its table. */
typedef struct limn_long_piece {
  uint64_t hash;
  size_t offset, n; /* n is 0 in an empty place */
  int64_t count;
} limn_long_piece;

/* Different pieces with their numbers: two hash tables with open addressing, at most half full. */
typedef struct limn_piece_counts {
  limn_short_piece *shorts;
  size_t n_shorts, shorts_size;
  limn_long_piece *longs;
  size_t n_longs, longs_size;
  limn_bytes bytes;
  int64_t n_pieces;
  bool out_of_memory;
} limn_piece_counts;

void limn_piece_counts_deinit(limn_piece_counts *c);

/* The text that is being fed, and a table for each thread. */
typedef struct limn_counter {
  limn_pattern pattern;
  bool by_line;
  const limn_encoder_loop *loop; /* splits blocks */
  limn_pool *pool;
  int n_tables;
  limn_piece_counts *tables;
  unsigned char *text; /* what is not yet counted, with 16 bytes of room behind `capacity` */
  size_t n, capacity;
  int64_t n_bytes;
} limn_counter;

limn_status limn_counter_init(limn_counter *c, limn_pattern pattern, bool by_line, limn_pool *pool,
                              limn_error *err);
void limn_counter_deinit(limn_counter *c);
limn_status limn_counter_feed(limn_counter *c, const void *text, size_t n, limn_error *err);
limn_status limn_counter_end_text(limn_counter *c, limn_error *err);
/* Brings all counts together in tables[0]. */
limn_status limn_counter_gather(limn_counter *c, limn_error *err);

/* Calls `take` for each different piece of tables[0]; the bytes are valid during the call. */
void limn_counter_each(const limn_counter *c,
                       void (*take)(void *user, const unsigned char *bytes, size_t n,
                                    int64_t count),
                       void *user);

/* ---- patterns by name ------------------------------------------------------------------------ */

/* ARGUMENT, with the names there are. */
limn_status limn_pattern_find(const char *name, limn_pattern *out, limn_error *err);
/* The "pre_tokenizer" of a tokenizer.json. Precondition: the pattern is one that has a name. */
void limn_pattern_put(limn_json *j, limn_pattern pattern);
void limn_put_byte_level(limn_json *j, bool add_prefix_space, bool use_regex);

/* ---- the vocabulary that grows --------------------------------------------------------------- */

typedef struct limn_trained_vocab {
  int32_t n;
  limn_bytes bytes; /* of all tokens */
  size_t *starts;   /* (n + 1), room for `capacity` + 1 */
  int32_t capacity;
  int32_t *by_bytes; /* hash table of ids, -1 where empty */
  size_t by_bytes_size;
} limn_trained_vocab;

struct limn_trainer {
  int32_t wanted;
  int64_t min_frequency;
  int64_t max_length; /* tokens that are merged of others are shorter */
  bool (*progress)(void *user, int64_t done, int64_t total);
  void *user;
  limn_counter counter;
  bool is_nfc;
  limn_bytes waiting; /* of a text, what may join what follows */
  size_t enough;      /* so much is waited for */
  limn_normal normal;
  limn_mapped composed;
  limn_trained_vocab vocab;
  char **specials; /* (n_specials) texts; ids 0 and up */
  size_t n_specials;
  int32_t byte_ids[256];
  limn_trained_merge *merges;
  size_t n_merges, merges_capacity;
  bool is_learned;
};

#endif
