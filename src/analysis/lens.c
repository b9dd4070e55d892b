/*
 * lens.c - the logit lens: when did the model know?
 *
 * Every layer reads the residual stream and adds to it, so the stream between two layers lives in
 * the same space as the one that the final norm and the unembedding read at the end. Applying those
 * two early shows what the model would say if it stopped there (nostalgebraist 2020, "interpreting
 * GPT: the logit lens"). The norm's scale is recomputed for each depth: the stream grows on its
 * way, and the last layer's scale would be wrong for the first.
 */
#include "base/memory.h"

#include <limn/analysis.h>
#include <string.h>

struct limn_lens {
  limn_session *session;
  int ids[2];
  int n_depths, capacity, length;
  size_t d_model;
  float *residuals; /* (n_depths, capacity, d_model) */
};

static limn_status keep_residual(void *user, const limn_observation *seen, limn_error *err) {
  limn_lens *l = user;
  bool is_input = strcmp(seen->name, "blocks.0.hook_resid_pre") == 0;
  size_t depth = is_input ? 0 : (size_t)seen->hook.layer + 1;
  if (seen->n_key > l->capacity)
    return limn_error_set(
        err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
        "the residual stream of position %lld is to be kept, there is room for %d",
        (long long)seen->n_key - 1, l->capacity);
  size_t row = depth * (size_t)l->capacity + (size_t)seen->position;
  limn_tensor_gather(&seen->value, l->residuals + row * l->d_model);
  l->length = (int)seen->n_key;
  return LIMN_OK;
}

static limn_status watch(limn_lens *l, limn_error *err) {
  static const char *const hooks[] = {"blocks.0.hook_resid_pre", "blocks.*.hook_resid_post"};
  for (int i = 0; i < 2; i++) {
    limn_status status = limn_session_observe(l->session, hooks[i], LIMN_OBSERVE_READ,
                                              keep_residual, l, &l->ids[i], err);
    if (status != LIMN_OK) {
      if (i == 1) limn_session_unobserve(l->session, l->ids[0]);
      return status;
    }
  }
  return LIMN_OK;
}

limn_status limn_lens_new(limn_session *s, int capacity, limn_lens **out, limn_error *err) {
  const limn_config *config = limn_model_config(limn_session_model(s));
  size_t n = (size_t)config->n_layer + 1;
  *out = NULL;
  limn_lens *l = limn_alloc_zeroed(1, sizeof *l);
  if (!l) return limn_out_of_memory(err, "the logit lens");
  *l = (limn_lens){.session = s,
                   .n_depths = config->n_layer + 1,
                   .capacity = capacity,
                   .d_model = (size_t)config->d_model};
  bool fits = limn_size_mul(n, (size_t)capacity, &n) && limn_size_mul(n, l->d_model, &n);
  l->residuals = fits ? limn_alloc_zeroed(n, sizeof *l->residuals) : NULL;
  limn_status status = l->residuals ? watch(l, err) : limn_out_of_memory(err, "the logit lens");
  if (status != LIMN_OK) {
    limn_free(l->residuals);
    limn_free(l);
    return status;
  }
  *out = l;
  return LIMN_OK;
}

void limn_lens_free(limn_lens *l) {
  if (!l) return;
  limn_session_unobserve(l->session, l->ids[0]);
  limn_session_unobserve(l->session, l->ids[1]);
  limn_free(l->residuals);
  limn_free(l);
}

int limn_lens_length(const limn_lens *l) {
  return l->length;
}

const float *limn_lens_residual(const limn_lens *l, int depth, int position) {
  return l->residuals + ((size_t)depth * (size_t)l->capacity + (size_t)position) * l->d_model;
}

limn_status limn_lens_logits(const limn_lens *l, limn_pool *pool, int position, float *logits,
                             limn_error *err) {
  float *rows = limn_alloc_zeroed((size_t)l->n_depths, l->d_model * sizeof *rows);
  if (!rows) return limn_out_of_memory(err, "the logit lens");
  for (int depth = 0; depth < l->n_depths; depth++)
    memcpy(rows + (size_t)depth * l->d_model, limn_lens_residual(l, depth, position),
           l->d_model * sizeof *rows);
  limn_status status =
      limn_model_unembed(limn_session_model(l->session), pool, rows, l->n_depths, logits, err);
  limn_free(rows);
  return status;
}
