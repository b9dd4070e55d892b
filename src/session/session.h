/*
 * session.h - inside the library: what a session is made of.
 */
#ifndef LIMN_SRC_SESSION_SESSION_H
#define LIMN_SRC_SESSION_SESSION_H

#include "models/run.h"

#include <limn/session.h>

/* One subscription: a function and the hooks it is called for. */
typedef struct limn_observer {
  int id;
  limn_observer_mode mode;
  limn_observer_fn function;
  void *user;
  uint8_t *is_wanted; /* (n_layer + 1, LIMN_POINT_COUNT) */
} limn_observer;

struct limn_session {
  limn_session_options options;
  limn_arena arena, score_arena, head_arena;
  limn_run run;
  int32_t *ids;         /* (n_ctx), `length` of them held */
  int32_t *sliding_ids; /* (n_ctx) those that a slide keeps */
  int length;
  int64_t n_logits; /* rows of run.logits that count */
  limn_observer *observers;
  size_t n_observers;
  int last_id;
  uint8_t *wanted; /* (n_layer + 1, LIMN_POINT_COUNT) all observers together */
};

/* The tap: calls the observers of a hook in the order in which they subscribed. */
limn_status limn_session_visit(void *user, limn_hook hook, limn_tensor value, limn_error *err);
void limn_session_free_observers(limn_session *s);

#endif
