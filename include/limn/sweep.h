/*
 * limn/sweep.h - one edit at every place: which heads, which positions of which layers does the
 * answer hang on?
 *
 * A sweep runs a text once, keeps the residual stream in front of each layer with keys and values,
 * and then, for each cell, runs what an edit changes: from the edited layer on, and from the edited
 * position on, many cells in one pass. Each cell's logits are those of a run of the whole text with
 * the same edit, in an invariant session, to the bit.
 */
#ifndef LIMN_SWEEP_H
#define LIMN_SWEEP_H

#include <limn/batch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum limn_sweep_over {
  LIMN_SWEEP_HEADS = 0, /* each layer and head: that head's values at all positions */
  LIMN_SWEEP_POSITIONS  /* each layer and position: all values at that position */
} limn_sweep_over;

/* What takes the place of the hook's values. */
typedef enum limn_sweep_put {
  LIMN_SWEEP_ZERO = 0,
  LIMN_SWEEP_MEAN, /* their mean over the positions of the text, summed in float64 */
  LIMN_SWEEP_PATCH /* those of another text, at the same positions */
} limn_sweep_put;

/* What is measured of each cell's logits, those after the last token. */
typedef enum limn_metric {
  LIMN_METRIC_LOG_PROBABILITY = 0, /* of the target, nats */
  LIMN_METRIC_LOGIT,               /* of the target */
  LIMN_METRIC_DIFFERENCE,          /* logit of the target less that of `against` */
  LIMN_METRIC_KL                   /* sum of p log(p / q), p without the edit and q with it, nats */
} limn_metric;

/* One cell as it comes. */
typedef struct limn_sweep_cell {
  int layer;
  int column;          /* a head or a position */
  const float *logits; /* (vocab_size), valid during the call */
  double value;        /* of the metric */
} limn_sweep_cell;

/* All zero sets each head's z to zero and takes the log-probability of token 0. */
typedef struct limn_sweep_options {
  limn_sweep_over over;
  limn_sweep_put put;
  /* The hook of each layer without its "blocks.{i}."; NULL for attn.hook_z over heads and
     hook_resid_pre over positions. Any whose first axis is `position`, and over heads the second
     `n_head`. */
  const char *hook;
  const int32_t *source; /* (n_source) the other text, as long as the text; for PATCH */
  size_t n_source;
  limn_metric metric;
  int32_t target;  /* -1 for the likeliest token without edits */
  int32_t against; /* for DIFFERENCE: -1 for the likeliest but the target */
  limn_pool *pool; /* or NULL */
  int max_rows;    /* tokens in a pass, 0 for 512 (or the text's length where that is more) */
  /* Called once for each cell when not NULL, in no order; not LIMN_OK ends the sweep with that. */
  limn_status (*cell)(void *user, const limn_sweep_cell *cell, limn_error *err);
  void *user;
  /* Called after each pass when not NULL; true ends it with LIMN_ERROR_CANCELLED. */
  bool (*progress)(void *user, int done, int total);
} limn_sweep_options;

typedef struct limn_sweep {
  int n_layer, n_columns;
  double *values;          /* (n_layer, n_columns) */
  double clean;            /* the metric without an edit */
  double source;           /* of the other text; NaN where there is none */
  int32_t target, against; /* as given, or as found; -1 where the metric has none */
} limn_sweep;

/*
 * Sweeps over the text ids (n). Fails: RANGE (no token, or one outside the vocabulary; a source of
 * another length, or none; logits without a softmax), CONTEXT, NOT_FOUND (the hook), SHAPE (its
 * axes), CANCELLED, MEMORY. *out is freed with limn_sweep_free.
 */
LIMN_API limn_status limn_sweep_run(const limn_model *model, const int32_t *ids, size_t n,
                                    const limn_sweep_options *options, limn_sweep **out,
                                    limn_error *err);
LIMN_API void limn_sweep_free(limn_sweep *s);

#ifdef __cplusplus
}
#endif
#endif
