/*
 * limn/session.h - one timeline of tokens through a model: evaluate, watch, edit.
 *
 * A session keeps the keys and values of the positions it has seen (the KV cache), so that each
 * token is computed once. Observers subscribe to named steps and get a view of the tensor where it
 * lies; one that subscribed for editing may change it, and the forward pass goes on from there.
 * Looking changes nothing: observers that only read leave every later number bit for bit as it was.
 *
 * A session is used by one thread at a time. All memory is taken at creation and when an observer
 * subscribes; evaluating never allocates (an overflow that slides included).
 */
#ifndef LIMN_SESSION_H
#define LIMN_SESSION_H

#include <limn/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_session limn_session;
typedef struct limn_batch limn_batch; /* limn/batch.h */

typedef enum limn_overflow {
  LIMN_OVERFLOW_ERROR = 0, /* more tokens than the window holds: LIMN_ERROR_CONTEXT */
  LIMN_OVERFLOW_SLIDE      /* start anew from the newest three quarters of the window */
} limn_overflow;

/* All zero is a good default. */
typedef struct limn_session_options {
  limn_pool *pool; /* borrowed, must outlive the session; NULL for one thread */
  int n_ctx;       /* positions to keep, 0 for the model's context window; not more than that */
  bool all_logits; /* logits of every position of an evaluate call, not only of the last */
  int max_logits;  /* the most logits that a batch item may ask for; 0 for 1 (or all_logits) */
  limn_overflow overflow;
  /*
   * Without tiles (LIMN_KERNELS in docs/command.md; most processors have none) the logits of a
   * position depend on its text alone, to the bit. Tiles have sums of another order, and are used
   * for passes of many tokens: then they depend on how many there are in a call and in a batch,
   * within float32's rounding. true keeps off the tiles every pass that this session is in.
   */
  bool invariant;
  /* Borrowed, must outlive the session: whose working memory and pool it uses, one thread at a time
     with all others that do. NULL for its own, made for n_ctx tokens in one call. */
  limn_batch *batch;
  /* Stop before this layer, as TransformerLens's stop_at_layer: 0 means the default, no stop; n > 0
     runs blocks 0 to n - 1 and computes no logits. -1 stops before block 0. */
  int stop_at_layer;
  /* Asked between layers when not NULL; true makes evaluate return LIMN_ERROR_CANCELLED, the
     session as it was before the call. Must not use the session. */
  bool (*should_stop)(void *user);
  void *should_stop_user;
} limn_session_options;

/* `options` may be NULL. The model must stay open. Fails: MEMORY, RANGE (n_ctx, stop_at_layer,
   max_logits), UNSUPPORTED (a batch of another model). */
LIMN_API limn_status limn_session_new(const limn_model *model, const limn_session_options *options,
                                      limn_session **out, limn_error *err);
LIMN_API void limn_session_free(limn_session *s);

LIMN_API const limn_model *limn_session_model(const limn_session *s);

/*
 * Runs n more tokens, ids (n), behind those already there. n = 0 does nothing. Any number of
 * threads and whatever is watched give the same logits, bit for bit, and so does any split of a
 * text into calls without tiles or with limn_session_options.invariant. On failure (RANGE: an id
 * outside the vocabulary; CONTEXT: no room; what an observer returned; CANCELLED) the session holds
 * what it held before the call; after a slide that failed it is empty.
 */
LIMN_API limn_status limn_session_evaluate(limn_session *s, const int32_t *ids, size_t n,
                                           limn_error *err);

/*
 * The logits of the last successful evaluate, (*n_rows, vocab_size): one row for its last token, or
 * one for each of its tokens with all_logits; without the rows of positions that a truncate took
 * away. NULL (and 0 rows) where that leaves none, before the first, and when the session stops at a
 * layer. Valid until the next call on the session. n_rows may be NULL.
 */
LIMN_API const float *limn_session_logits(const limn_session *s, size_t *n_rows);

/* The number of positions held, and how many more fit. */
LIMN_API int limn_session_length(const limn_session *s);
LIMN_API int limn_session_room(const limn_session *s);
/* The ids held, (length). Valid until the next call on the session. */
LIMN_API const int32_t *limn_session_ids(const limn_session *s);
/* Keeps the first `length` positions. Precondition: 0 <= length <= limn_session_length. */
LIMN_API void limn_session_truncate(limn_session *s, int length);
/* Keeps nothing. Observers stay. */
LIMN_API void limn_session_reset(limn_session *s);
/*
 * Makes a session hold the first `length` positions of another one of the same model: a prompt that
 * several continuations share is evaluated once. Its observers stay, what it held is gone. RANGE:
 * it keeps fewer positions; UNSUPPORTED: of another model; and then it is as it was. Preconditions:
 * 0 <= length <= limn_session_length(from), to is not from.
 */
LIMN_API limn_status limn_session_copy(limn_session *to, const limn_session *from, int length,
                                       limn_error *err);

/* ---- observers ----------------------------------------------------------------------------------
 */

/* What an observer sees. */
typedef struct limn_observation {
  limn_hook hook;
  const char *name;  /* "blocks.3.attn.hook_pattern" */
  int64_t position;  /* of the first token of this evaluate call */
  int64_t n_query;   /* tokens in this call */
  int64_t n_key;     /* positions that the last of them sees: position + n_query */
  limn_tensor value; /* strided; valid during the call. Written to by an observer that edits only */
} limn_observation;

/* Anything but LIMN_OK ends the evaluate call with that status. */
typedef limn_status (*limn_observer_fn)(void *user, const limn_observation *seen, limn_error *err);

typedef enum limn_observer_mode { LIMN_OBSERVE_READ = 0, LIMN_OBSERVE_EDIT } limn_observer_mode;

/*
 * Subscribes to every hook that matches `patterns` (see limn_hook_match). Observers of one hook are
 * called in the order in which they subscribed, so that a later one sees what an earlier one
 * edited. *id (may be NULL) serves to unsubscribe. Fails: NOT_FOUND, RANGE, ARGUMENT, MEMORY.
 */
LIMN_API limn_status limn_session_observe(limn_session *s, const char *patterns,
                                          limn_observer_mode mode, limn_observer_fn observer,
                                          void *user, int *id, limn_error *err);
LIMN_API void limn_session_unobserve(limn_session *s, int id);

#ifdef __cplusplus
}
#endif
#endif
