/*
 * limn/batch.h - many sessions in one pass, so that each weight is read once for all of them.
 *
 * Each session gets what it gets alone, to the bit (on tiles only where one of them is invariant:
 * limn_session_options): its logits, its keys and values, and what its observers see, who never
 * notice the others. Texts of different lengths need no padding, and an edit in one session reaches
 * no other.
 *
 * A batch owns the working memory of a pass; a session made with it (limn_session_options.batch)
 * has none of its own, and is small: keys, values and logits. A batch and the sessions that use it
 * are used by one thread at a time.
 */
#ifndef LIMN_BATCH_H
#define LIMN_BATCH_H

#include <limn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero is a good default. */
typedef struct limn_batch_options {
  limn_pool *pool; /* borrowed, must outlive the batch; NULL for one thread */
  int max_rows;    /* tokens in one call, over all sessions; 0 for the model's context window */
  int n_ctx;       /* the most positions that a session may keep; 0 for the model's window */
} limn_batch_options;

/* `options` may be NULL. The model must stay open. Fails: MEMORY, RANGE. */
LIMN_API limn_status limn_batch_new(const limn_model *model, const limn_batch_options *options,
                                    limn_batch **out, limn_error *err);
/* Sessions made with it must be gone. NULL is ok. */
LIMN_API void limn_batch_free(limn_batch *b);
LIMN_API int limn_batch_max_rows(const limn_batch *b);

/* One session's part of a call. What is 0 or NULL is as in limn_session_evaluate. */
typedef struct limn_batch_item {
  limn_session *session;
  const int32_t *ids; /* (n) the tokens behind those already there */
  size_t n;           /* 0 leaves the session as it is, its logits too */
  int n_logits;       /* how many of the last tokens get logits; 0: as the session was made */
  /*
   * To begin in front of a later layer: blocks.{first_layer}.hook_resid_pre of the n tokens,
   * (n, d_model). Lower layers are not run, and leave keys and values as they lie in the cache:
   * after limn_session_truncate, which forgets lengths only, those of the tokens that stood there.
   */
  const float *residual;
  int first_layer;
} limn_batch_item;

/*
 * Evaluates all items in one pass; never allocates. All or nothing: on failure each session holds
 * what it held before (one that slides is empty), and the text says which item failed where that
 * can be said. Fails as limn_session_evaluate, and with RANGE (more than max_rows tokens in all;
 * more logits than the session has room for; a layer that the session does not run) or UNSUPPORTED
 * (a session twice, or of another model; a slide from a later layer).
 */
LIMN_API limn_status limn_batch_evaluate(limn_batch *b, const limn_batch_item *items,
                                         size_t n_items, limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
