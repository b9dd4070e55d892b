/*
 * run.h - inside the library: what one pass through a model works on. A sequence is what a session
 * has of its own; the buffers between the steps are the pass's, and any number of sequences share
 * them. A model only computes.
 */
#ifndef LIMN_SRC_MODELS_RUN_H
#define LIMN_SRC_MODELS_RUN_H

#include "base/memory.h"
#include "models/hooks.h"

/* One timeline's part of a pass. H is n_head. */
typedef struct limn_sequence {
  limn_tap tap;
  bool (*should_stop)(void *user);
  void *should_stop_user;

  const int32_t *ids; /* (n); not read where `start` is given */
  int64_t n;          /* tokens of this call */
  int64_t past;       /* positions already in the cache */
  int64_t n_ctx;      /* positions that the cache holds */
  int first_layer;    /* 0, or where a kept stream enters */
  const float *start; /* (n, d_model) that stream; NULL for the embeddings */
  int end_layer;      /* all, or fewer when stopped; not below first_layer */
  int64_t n_logits;   /* how many of the last rows get logits; 0 for none */
  bool is_invariant;  /* no pass with it uses tiles */

  unsigned char *keys, *values; /* of each layer, limn_kv_cache */
  float *logits;                /* (n_logits, vocab_size) */

  /* Only where something watches; NULL otherwise. */
  float *scores;     /* (H, n, n_key) */
  float *heads;      /* (n, H, d_model) */
  float *heads_copy; /* (n, H, d_model) */
  float *qkv_copy;   /* (n, 3 * d_model), with qkv's step */

  /* The pass's own notes. While rows are left out, n and past are those of the rest. */
  int64_t row;  /* its first row of the buffers */
  int64_t keep; /* how many of its last rows stay */
} limn_sequence;

typedef struct limn_run {
  const limn_model *model;
  limn_pool *pool;
  int64_t max_rows; /* the most tokens in one pass, */
  int64_t max_ctx;  /* and positions of one sequence */

  limn_sequence **active; /* (max_rows) those under way, in the order of their rows */
  size_t n_active;
  int64_t n;     /* their rows */
  bool is_tiled; /* the products are on tiles */

  /* Steps between the rows of what follows, from limn_row_step. */
  int64_t d_step, qkv_step, mlp_step, block_step;
  float *residual;   /* (n, d_model) the stream */
  float *normalized; /* (n, d_model) a layer norm's output; attention's z; the MLP's input */
  float *scale;      /* (n) a layer norm's divisor */
  float *qkv;        /* (n, 3 * d_model) */
  float *out;        /* (n, d_model) what is added to the stream */
  float *hidden;     /* (n, d_mlp) */
  float *block;      /* (tasks, LIMN_QUERY_BLOCK, max_ctx) scores of one head's block of queries */
  void *scratch;     /* rounded activations */
  float **logits;    /* (n) where each row's logits go */
} limn_run;

/* Queries of one head that are computed together: the rows of a kernel's tile. */
enum { LIMN_QUERY_BLOCK = 6 };

/* Lays the buffers out in the arena (which may only be measuring). model, pool, max_rows and
   max_ctx are set. */
void limn_run_take(limn_run *run, limn_arena *arena);
/* The same for a sequence's keys and values, and n_logits rows of logits. n_ctx is set. */
void limn_sequence_take(limn_sequence *s, const limn_model *model, int64_t n_logits,
                        limn_arena *arena);
/* And for what only an observer of scores, or of values per head, needs. */
void limn_sequence_take_scores(limn_sequence *s, const limn_model *model, limn_arena *arena);
void limn_sequence_take_heads(limn_sequence *s, const limn_model *model, limn_arena *arena);

/* Whether a point needs those. */
bool limn_point_needs_scores(limn_point point);
bool limn_point_needs_heads(limn_point point);

/* Runs each of n sequences, n > 0 tokens behind its past; max_rows tokens at most in all. */
limn_status limn_gpt2_forward(limn_run *run, limn_sequence *const *sequences, size_t n,
                              limn_error *err);
/* Copies keys and values of positions [0, length), from this layer on. Both caches hold them. */
void limn_gpt2_copy_cache(const limn_model *model, limn_sequence *to, const limn_sequence *from,
                          int first_layer, int64_t length);

#endif
