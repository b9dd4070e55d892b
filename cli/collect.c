/*
 * collect.c - a trace of a text that grows: each call brings some positions of every hook, and in
 * the end the tensors are those of one run over the whole text.
 */
#include "collect.h"

#include <math.h>
#include <string.h>

typedef struct kept {
  limn_hook hook;
  limn_tensor all; /* with room for `capacity` positions */
} kept;

struct cli_collector {
  limn_session *session;
  kept *list;
  size_t n;
  int64_t capacity, n_logits, vocab_size;
  float *logits;  /* (capacity, vocab_size) */
  float *scratch; /* as many numbers as the largest of the hooks */
};

static limn_status no_memory(limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory for a trace");
}

/* The place of query positions in a shape text: "n_head, query, key" or "position, ...". */
static int position_axis(const limn_hook_point *point) {
  return strstr(point->shape, "query") ? 1 : 0;
}

static bool has_keys(const limn_hook_point *point) {
  return strstr(point->shape, "key") != NULL;
}

static float unseen_key(const limn_hook_point *point) {
  if (strstr(point->name, "raw")) return NAN;
  return strstr(point->name, "scores") ? -INFINITY : 0.0f;
}

static limn_status make_room(cli_collector *k, limn_hook hook, kept *out, int64_t *most,
                             limn_error *err) {
  int64_t shape[LIMN_MAX_RANK], count = 1;
  int rank = limn_hook_shape(limn_session_model(k->session), hook, k->capacity, k->capacity, shape);
  for (int i = 0; i < rank; i++)
    if (__builtin_mul_overflow(count, shape[i], &count)) return no_memory(err);
  float *numbers = limn_alloc_zeroed((size_t)count, sizeof *numbers);
  if (!numbers) return no_memory(err);
  float fill = unseen_key(hook.point);
  for (int64_t i = 0; has_keys(hook.point) && i < count; i++)
    numbers[i] = fill;
  *out = (kept){hook, limn_tensor_view(numbers, rank, shape)};
  *most = count > *most ? count : *most;
  return LIMN_OK;
}

static limn_status see(void *user, const limn_observation *seen, limn_error *err) {
  cli_collector *k = user;
  kept *one = k->list;
  while (one->hook.point != seen->hook.point || one->hook.layer != seen->hook.layer)
    one++;
  if (seen->n_key > k->capacity)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "a trace has room for %lld positions, the run has %lld",
                          (long long)k->capacity, (long long)seen->n_key);
  int axis = position_axis(seen->hook.point);
  limn_tensor to = limn_tensor_narrow(&one->all, axis, seen->position, seen->n_query);
  if (has_keys(seen->hook.point)) to = limn_tensor_narrow(&to, 2, 0, seen->n_key);
  limn_tensor_gather(&seen->value, k->scratch);
  limn_tensor_scatter(k->scratch, &to);
  return LIMN_OK;
}

static limn_status prepare(cli_collector *k, const char *hooks, limn_error *err) {
  const limn_model *model = limn_session_model(k->session);
  limn_hook *found;
  size_t n;
  int64_t most = 1;
  limn_status status = limn_hook_match(model, hooks, &found, &n, err);
  if (status != LIMN_OK) return status;
  k->vocab_size = limn_model_config(model)->vocab_size;
  k->list = limn_alloc_zeroed(n, sizeof *k->list);
  k->logits = limn_alloc_zeroed((size_t)(k->capacity * k->vocab_size), sizeof *k->logits);
  if (!k->list || !k->logits) status = no_memory(err);
  for (size_t i = 0; status == LIMN_OK && i < n; i++) {
    status = make_room(k, found[i], &k->list[i], &most, err);
    if (status == LIMN_OK) k->n++;
  }
  limn_free(found);
  if (status != LIMN_OK) return status;
  k->scratch = limn_alloc_zeroed((size_t)most, sizeof *k->scratch);
  if (!k->scratch) return no_memory(err);
  return limn_session_observe(k->session, hooks, LIMN_OBSERVE_READ, see, k, NULL, err);
}

limn_status cli_collector_new(limn_session *session, const char *hooks, int64_t capacity,
                              cli_collector **out, limn_error *err) {
  *out = NULL;
  cli_collector *k = limn_alloc_zeroed(1, sizeof *k);
  if (!k) return no_memory(err);
  k->session = session;
  k->capacity = capacity;
  limn_status status = prepare(k, hooks, err);
  if (status == LIMN_OK)
    *out = k;
  else
    cli_collector_free(k);
  return status;
}

void cli_collector_add_logits(cli_collector *k) {
  size_t n_rows;
  const float *logits = limn_session_logits(k->session, &n_rows);
  if (!logits || (int64_t)n_rows > k->capacity - k->n_logits) return;
  memcpy(k->logits + k->n_logits * k->vocab_size, logits,
         n_rows * (size_t)k->vocab_size * sizeof *logits);
  k->n_logits += (int64_t)n_rows;
}

/* A call over several tokens has also the raw scores of keys behind a query; guesses may be among
   these. */
static void forget_later_keys(const cli_collector *k, kept *one, int64_t n_prompt) {
  float fill = unseen_key(one->hook.point);
  for (int64_t row = 0; row < one->all.shape[0] * k->capacity; row++) {
    int64_t n_seen = row % k->capacity + 1;
    if (n_seen < n_prompt) n_seen = n_prompt;
    for (int64_t key = n_seen; key < k->capacity; key++)
      one->all.data[row * k->capacity + key] = fill;
  }
}

limn_status cli_collector_write(cli_collector *k, int64_t n_prompt, int64_t n,
                                limn_safetensors_writer *w, limn_error *err) {
  char name[LIMN_HOOK_NAME_SIZE];
  limn_status status = LIMN_OK;
  for (size_t i = 0; status == LIMN_OK && i < k->n; i++) {
    kept *one = &k->list[i];
    limn_tensor part = limn_tensor_narrow(&one->all, position_axis(one->hook.point), 0, n);
    if (has_keys(one->hook.point)) {
      forget_later_keys(k, one, n_prompt);
      part = limn_tensor_narrow(&part, 2, 0, n);
    }
    status = limn_safetensors_writer_add_f32(w, limn_hook_name(one->hook, name), &part, err);
  }
  if (status != LIMN_OK) return status;
  limn_tensor logits = limn_tensor_view(k->logits, 2, (int64_t[]){n, k->vocab_size});
  return limn_safetensors_writer_add_f32(w, "logits", &logits, err);
}

void cli_collector_free(cli_collector *k) {
  if (!k) return;
  for (size_t i = 0; i < k->n; i++)
    limn_free(k->list[i].all.data);
  limn_free(k->list);
  limn_free(k->logits);
  limn_free(k->scratch);
  limn_free(k);
}
