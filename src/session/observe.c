/*
 * observe.c - who looks at what.
 *
 * Each observer has a map of the hooks it wants, one byte per layer and point; the session keeps
 * their union, which is all that the forward pass reads. Where that says nothing, nothing is shown
 * and nothing is spent.
 */
#include "models/model.h"
#include "session/session.h"

#include <string.h>

static size_t map_size(const limn_session *s) {
  return ((size_t)limn_model_config(s->model)->n_layer + 1) * LIMN_POINT_COUNT;
}

/* Points outside of layers stand in the last row. */
static size_t map_index(const limn_session *s, limn_hook hook) {
  int n_layer = limn_model_config(s->model)->n_layer;
  int row = hook.layer < 0 ? n_layer : hook.layer;
  return (size_t)row * LIMN_POINT_COUNT + limn_hook_number(hook);
}

limn_status limn_session_visit(void *user, limn_hook hook, limn_tensor value, limn_error *err) {
  limn_session *s = user;
  char name[LIMN_HOOK_NAME_SIZE];
  limn_observation seen = {.hook = hook,
                           .name = limn_hook_name(hook, name),
                           .position = s->sequence.past,
                           .n_query = s->sequence.n,
                           .n_key = s->sequence.past + s->sequence.n,
                           .value = value};
  size_t index = map_index(s, hook);
  for (size_t i = 0; i < s->n_observers; i++) {
    const limn_observer *o = &s->observers[i];
    if (!o->is_wanted[index]) continue;
    limn_status status = o->function(o->user, &seen, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

/* ---- memory that only some points need
 * --------------------------------------------------------------- */

typedef void taker(limn_sequence *s, const limn_model *model, limn_arena *arena);

static limn_status fill_arena(limn_session *s, limn_arena *arena, taker *take, limn_error *err) {
  limn_arena measure = limn_arena_measure();
  limn_sequence before = s->sequence;
  take(&s->sequence, s->model, &measure);
  limn_status status = measure.overflowed ? limn_out_of_memory(err, "what an observer watches")
                                          : limn_arena_init(arena, measure.used, err);
  if (status == LIMN_OK)
    take(&s->sequence, s->model, arena);
  else
    s->sequence = before;
  return status;
}

static limn_status take_for(limn_session *s, limn_point point, limn_error *err) {
  limn_status status = LIMN_OK;
  if (limn_point_needs_scores(point) && !s->sequence.scores)
    status = fill_arena(s, &s->score_arena, limn_sequence_take_scores, err);
  if (status == LIMN_OK && limn_point_needs_heads(point) && !s->sequence.heads)
    status = fill_arena(s, &s->head_arena, limn_sequence_take_heads, err);
  return status;
}

/* ---- subscribing
 * --------------------------------------------------------------------------------------- */

static void unite(limn_session *s) {
  memset(s->wanted, 0, map_size(s));
  for (size_t i = 0; i < s->n_observers; i++) {
    const limn_observer *o = &s->observers[i];
    uint8_t want = o->mode == LIMN_OBSERVE_EDIT ? LIMN_WANT_EDIT : LIMN_WANT_READ;
    for (size_t k = 0; k < map_size(s); k++)
      s->wanted[k] |= o->is_wanted[k] ? want : 0;
  }
}

static limn_status add_observer(limn_session *s, const limn_hook *hooks, size_t n,
                                limn_observer new_one, limn_error *err) {
  for (size_t i = 0; i < n; i++) {
    limn_status status = take_for(s, limn_hook_number(hooks[i]), err);
    if (status != LIMN_OK) return status;
  }
  limn_observer *grown = limn_resize(s->observers, s->n_observers + 1, sizeof *grown);
  if (!grown) return limn_out_of_memory(err, "an observer");
  s->observers = grown;
  new_one.is_wanted = limn_alloc_zeroed(map_size(s), 1);
  if (!new_one.is_wanted) return limn_out_of_memory(err, "an observer");
  for (size_t i = 0; i < n; i++)
    new_one.is_wanted[map_index(s, hooks[i])] = 1;
  s->observers[s->n_observers++] = new_one;
  unite(s);
  return LIMN_OK;
}

limn_status limn_session_observe(limn_session *s, const char *patterns, limn_observer_mode mode,
                                 limn_observer_fn observer, void *user, int *id, limn_error *err) {
  limn_hook *hooks;
  size_t n;
  if (id) *id = 0;
  limn_status status = limn_hook_match(s->model, patterns, &hooks, &n, err);
  if (status != LIMN_OK) return status;
  limn_observer new_one = {s->last_id + 1, mode, observer, user, NULL};
  status = add_observer(s, hooks, n, new_one, err);
  limn_free(hooks);
  if (status != LIMN_OK) return status;
  s->last_id++;
  if (id) *id = s->last_id;
  return LIMN_OK;
}

void limn_session_unobserve(limn_session *s, int id) {
  for (size_t i = 0; i < s->n_observers; i++) {
    if (s->observers[i].id != id) continue;
    limn_free(s->observers[i].is_wanted);
    s->n_observers--;
    memmove(&s->observers[i], &s->observers[i + 1], (s->n_observers - i) * sizeof *s->observers);
    break;
  }
  unite(s);
}

void limn_session_free_observers(limn_session *s) {
  for (size_t i = 0; i < s->n_observers; i++)
    limn_free(s->observers[i].is_wanted);
  limn_free(s->observers);
}
