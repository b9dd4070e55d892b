/*
 * run.h - inside the library: what one step of the forward pass works on. A session owns it all; a
 * model only computes.
 */
#ifndef LIMN_SRC_MODELS_RUN_H
#define LIMN_SRC_MODELS_RUN_H

#include "base/memory.h"
#include "models/hooks.h"

/* n below is n_query, the tokens of this call; H is n_head. */
typedef struct limn_run {
  const limn_model *model;
  limn_pool *pool;
  limn_tap tap;
  bool (*should_stop)(void *user);
  void *should_stop_user;

  const int32_t *ids; /* (n) */
  int64_t n;
  int64_t past;       /* positions already in the cache */
  int64_t n_ctx;      /* positions that the cache holds */
  int64_t max_n;      /* the most tokens in one call */
  int n_layer_to_run; /* all, or fewer when stopped */
  int64_t n_logits;   /* how many of the last rows get logits; 0 for none */

  float *keys;   /* (n_layer, limn_key_cache_size) */
  float *values; /* (n_layer, n_ctx, d_model) */

  /* Steps between the rows of what follows, from limn_row_step. */
  int64_t d_step, qkv_step, mlp_step, block_step;
  float *residual;   /* (n, d_model) the stream */
  float *normalized; /* (n, d_model) a layer norm's output; attention's z; the MLP's input */
  float *scale;      /* (n) a layer norm's divisor */
  float *qkv;        /* (n, 3 * d_model) */
  float *out;        /* (n, d_model) what is added to the stream */
  float *hidden;     /* (n, d_mlp) */
  float *block;      /* (tasks, LIMN_QUERY_BLOCK, n_ctx) scores of one head's block of queries */
  void *scratch;     /* rounded activations */
  float *logits;     /* (n_logits, vocab_size), no step */

  /* Only where something watches; NULL otherwise. */
  float *scores;     /* (H, n, n_key) */
  float *heads;      /* (n, H, d_model) */
  float *heads_copy; /* (n, H, d_model) */
  float *qkv_copy;   /* (n, 3 * d_model), with qkv's step */
} limn_run;

/* Queries of one head that are computed together: the rows of a kernel's tile. */
enum { LIMN_QUERY_BLOCK = 6 };

/* Lays the buffers out in the arena (which may only be measuring). */
void limn_run_take(limn_run *run, limn_arena *arena, bool all_logits);
/* The same for what only an observer of scores, or of values per head, needs. */
void limn_run_take_scores(limn_run *run, limn_arena *arena);
void limn_run_take_heads(limn_run *run, limn_arena *arena);

/* Whether a point needs those. */
bool limn_point_needs_scores(limn_point point);
bool limn_point_needs_heads(limn_point point);

/* Runs run->n tokens behind run->past. */
limn_status limn_gpt2_forward(limn_run *run, limn_error *err);

#endif
