/*
 * attention.c - who looks where: the attention weights of every layer and head of one pass.
 *
 * hook_pattern has one row for each query of an evaluate call. Here the rows of all calls are put
 * under each other, so that the picture is the same however the text was split.
 */
#include "base/memory.h"

#include <limn/analysis.h>
#include <string.h>

struct limn_attention {
  limn_session *session;
  int id, n_head, capacity, length;
  float *weights; /* (n_layer, n_head, capacity, capacity) */
};

static limn_status keep_rows(void *user, const limn_observation *seen, limn_error *err) {
  limn_attention *a = user;
  size_t capacity = (size_t)a->capacity;
  if (seen->n_key > a->capacity)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "attention of position %lld is to be kept, there is room for %d",
                          (long long)seen->n_key - 1, a->capacity);
  for (int head = 0; head < a->n_head; head++) {
    limn_tensor rows = limn_tensor_select(&seen->value, 0, head);
    size_t first = (size_t)(seen->hook.layer * a->n_head + head) * capacity * capacity;
    for (int64_t i = 0; i < seen->n_query; i++) {
      float *row = a->weights + first + (size_t)(seen->position + i) * capacity;
      limn_tensor from = limn_tensor_select(&rows, 0, i);
      limn_tensor_gather(&from, row);
      memset(row + seen->n_key, 0, (capacity - (size_t)seen->n_key) * sizeof *row);
    }
  }
  a->length = (int)seen->n_key;
  return LIMN_OK;
}

limn_status limn_attention_new(limn_session *s, int capacity, limn_attention **out,
                               limn_error *err) {
  const limn_config *config = limn_model_config(limn_session_model(s));
  size_t n = (size_t)config->n_layer * (size_t)config->n_head, side = (size_t)capacity;
  *out = NULL;
  limn_attention *a = limn_alloc_zeroed(1, sizeof *a);
  if (!a) return limn_out_of_memory(err, "attention");
  *a = (limn_attention){.session = s, .n_head = config->n_head, .capacity = capacity};
  bool fits = limn_size_mul(n, side, &n) && limn_size_mul(n, side, &n);
  a->weights = fits ? limn_alloc_zeroed(n, sizeof *a->weights) : NULL;
  limn_status status = a->weights ? LIMN_OK : limn_out_of_memory(err, "attention");
  if (status == LIMN_OK)
    status = limn_session_observe(s, "blocks.*.attn.hook_pattern", LIMN_OBSERVE_READ, keep_rows, a,
                                  &a->id, err);
  if (status != LIMN_OK) {
    limn_free(a->weights);
    limn_free(a);
    return status;
  }
  *out = a;
  return LIMN_OK;
}

void limn_attention_free(limn_attention *a) {
  if (!a) return;
  limn_session_unobserve(a->session, a->id);
  limn_free(a->weights);
  limn_free(a);
}

int limn_attention_length(const limn_attention *a) {
  return a->length;
}

limn_tensor limn_attention_pattern(const limn_attention *a, int layer, int head) {
  int64_t capacity = a->capacity, length = a->length;
  size_t first = (size_t)(layer * a->n_head + head) * (size_t)(capacity * capacity);
  return (limn_tensor){
      .data = a->weights + first, .rank = 2, .shape = {length, length}, .stride = {capacity, 1}};
}
