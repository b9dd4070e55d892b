/*
 * session.h - inside the library: what a session is made of.
 */
#ifndef LIMN_SRC_SESSION_SESSION_H
#define LIMN_SRC_SESSION_SESSION_H

#include "models/run.h"

#include <limn/batch.h>

/* One subscription: a function and the hooks it is called for. */
typedef struct limn_observer {
  int id;
  limn_observer_mode mode;
  limn_observer_fn function;
  void *user;
  uint8_t *is_wanted; /* (n_layer + 1, LIMN_POINT_COUNT) */
} limn_observer;

struct limn_session {
  const limn_model *model;
  limn_session_options options;
  limn_arena arena, score_arena, head_arena;
  limn_sequence sequence;
  limn_batch *batch;    /* its working memory, */
  bool owns_batch;      /* made for it alone */
  int32_t *ids;         /* (n_ctx), `length` of them held */
  int32_t *sliding_ids; /* (n_ctx) those that a slide keeps */
  int length;
  int64_t n_logits; /* rows of sequence.logits that count */
  bool is_taken;    /* by the batch that is evaluating */
  limn_observer *observers;
  size_t n_observers;
  int last_id;
  uint8_t *wanted; /* (n_layer + 1, LIMN_POINT_COUNT) all observers together */
};

/* Points s->sequence at n ids that follow, or after a slide at those that the window then holds.
   Changes nothing else. */
limn_status limn_session_prepare(limn_session *s, const limn_batch_item *item, limn_error *err);
/* What the pass leaves behind; without success, what a slide took away. */
void limn_session_commit(limn_session *s, bool is_success);

/* limn_session_copy of the layers from this one on. */
limn_status limn_session_copy_layers(limn_session *to, const limn_session *from, int first_layer,
                                     int length, limn_error *err);
/* Whether a session fits into a batch. */
limn_status limn_batch_check_session(const limn_batch *b, const limn_session *s, limn_error *err);

/* The tap: calls the observers of a hook in the order in which they subscribed. */
limn_status limn_session_visit(void *user, limn_hook hook, limn_tensor value, limn_error *err);
void limn_session_free_observers(limn_session *s);

#endif
