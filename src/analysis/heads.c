/*
 * heads.c - what kind of head is this: where it looks in random tokens that are said twice.
 *
 * Random tokens have no grammar and no meaning, so what a head does with them is its mechanism
 * alone. In the second half each token stood before, L positions earlier, and what followed it
 * then follows it again: a head that looks at the position after that earlier occurrence copies it
 * and so predicts text that repeats. That is an induction head (Elhage et al. 2021; Olsson et al.
 * 2022, "In-context Learning and Induction Heads", whose prefix matching score this is), and the
 * loss of the second half shows whether the model has any that work.
 */
#include "base/memory.h"

#include <limn/analysis.h>
#include <limn/sample.h>
#include <math.h>

typedef struct scoring {
  limn_session *session;
  limn_head_scores *scores;
  int32_t *ids;   /* (2 L) */
  double *losses; /* (2 L), of each token but the first */
  const float *logits;
  size_t vocab_size;
  uint64_t random;
  const int32_t *from; /* (n_from), or NULL for all ids below n_from */
  size_t n_from;
} scoring;

/* ---- the tokens ---------------------------------------------------------------------------------
 */

/* SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). */
static uint64_t next_random(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* The upper 32 bits times n, shifted down: off from uniform by less than n / 2^32. The ids are not
   looked at here; evaluating refuses one outside the vocabulary. */
static void draw_tokens(scoring *s) {
  int length = s->scores->length;
  for (int i = 0; i < length; i++) {
    uint64_t draw = (next_random(&s->random) >> 32) * (uint64_t)s->n_from >> 32;
    s->ids[i] = s->ids[i + length] = s->from ? s->from[draw] : (int32_t)draw;
  }
}

/* ---- one sequence -------------------------------------------------------------------------------
 */

/* The mean weight over queries [first, 2 L) of the key `back` positions before each. */
static double mean_weight(const limn_tensor *pattern, int64_t first, int64_t back) {
  int64_t end = pattern->shape[0];
  double sum = 0;
  for (int64_t query = first; query < end; query++)
    sum += (double)*limn_tensor_at(pattern, (int64_t[]){query, query - back});
  return sum / (double)(end - first);
}

static limn_status score_layer(void *user, const limn_observation *seen, limn_error *err) {
  scoring *s = user;
  limn_head_scores *h = s->scores;
  (void)err;
  for (int head = 0; head < h->n_head; head++) {
    limn_tensor pattern = limn_tensor_select(&seen->value, 0, head);
    int i = seen->hook.layer * h->n_head + head;
    h->previous[i] += mean_weight(&pattern, 1, 1) / h->n_sequences;
    h->duplicate[i] += mean_weight(&pattern, h->length, h->length) / h->n_sequences;
    h->induction[i] += mean_weight(&pattern, h->length, h->length - 1) / h->n_sequences;
  }
  return LIMN_OK;
}

static void score_token(void *user, size_t i) {
  scoring *s = user;
  s->losses[i + 1] =
      -limn_log_probability(s->logits + i * s->vocab_size, s->vocab_size, s->ids[i + 1]);
}

static limn_status score_sequence(scoring *s, limn_pool *pool, limn_error *err) {
  limn_head_scores *h = s->scores;
  size_t n = 2 * (size_t)h->length;
  double first = 0, second = 0;
  draw_tokens(s);
  limn_session_reset(s->session);
  limn_status status = limn_session_evaluate(s->session, s->ids, n, err);
  if (status != LIMN_OK) return status;
  s->logits = limn_session_logits(s->session, NULL);
  limn_pool_run(pool, n - 1, score_token, s);
  for (size_t i = 1; i < n; i++)
    *(i < n / 2 ? &first : &second) += s->losses[i];
  h->loss_first += first / ((h->length - 1) * (double)h->n_sequences);
  h->loss_second += second / (h->length * (double)h->n_sequences);
  return LIMN_OK;
}

static limn_status score_sequences(scoring *s, const limn_head_options *o, limn_error *err) {
  for (int i = 0; i < s->scores->n_sequences; i++) {
    limn_status status = score_sequence(s, o->pool, err);
    if (status != LIMN_OK) return status;
    if (o->progress && o->progress(o->user, i + 1, s->scores->n_sequences))
      return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET,
                            "cancelled after %d sequences", i + 1);
  }
  return LIMN_OK;
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static limn_status check(const limn_session *s, const limn_head_options *o, int n_sequences,
                         int length, limn_error *err) {
  int window = limn_session_length(s) + limn_session_room(s);
  if (n_sequences < 1)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d sequences are asked for, expected at least 1", n_sequences);
  if (o->ids && (o->n_ids < 1 || o->n_ids > UINT32_MAX))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%zu ids to draw from, expected at least 1", o->n_ids);
  if (length < 1 || length > window / 2)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d tokens are to be said twice, expected 1 to %d (half the window)",
                          length, window / 2);
  return LIMN_OK;
}

static limn_head_scores *new_scores(const limn_config *config, int n_sequences, int length) {
  size_t n = (size_t)config->n_layer * (size_t)config->n_head;
  limn_head_scores *h = limn_alloc_zeroed(1, sizeof *h);
  double *numbers = limn_alloc_zeroed(n, 3 * sizeof *numbers);
  if (!h || !numbers) {
    limn_free(h);
    limn_free(numbers);
    return NULL;
  }
  *h = (limn_head_scores){.n_layer = config->n_layer,
                          .n_head = config->n_head,
                          .n_sequences = n_sequences,
                          .length = length,
                          .previous = numbers,
                          .duplicate = numbers + n,
                          .induction = numbers + 2 * n};
  return h;
}

limn_status limn_head_scores_compute(limn_session *s, const limn_head_options *options,
                                     limn_head_scores **out, limn_error *err) {
  static const limn_head_options usual;
  const limn_config *config = limn_model_config(limn_session_model(s));
  const limn_head_options *o = options ? options : &usual;
  int n_sequences = o->n_sequences ? o->n_sequences : 32, length = o->length ? o->length : 60;
  int id;
  *out = NULL;
  limn_status status = check(s, o, n_sequences, length, err);
  if (status != LIMN_OK) return status;
  scoring w = {.session = s,
               .vocab_size = (size_t)config->vocab_size,
               .random = o->seed,
               .from = o->ids,
               .n_from = o->ids ? o->n_ids : (size_t)config->vocab_size};
  w.scores = new_scores(config, n_sequences, length);
  w.ids = limn_alloc_zeroed((size_t)length, 2 * sizeof *w.ids);
  w.losses = limn_alloc_zeroed((size_t)length, 2 * sizeof *w.losses);
  status = w.scores && w.ids && w.losses ? LIMN_OK : limn_out_of_memory(err, "head scores");
  if (status == LIMN_OK)
    status = limn_session_observe(s, "blocks.*.attn.hook_pattern", LIMN_OBSERVE_READ, score_layer,
                                  &w, &id, err);
  if (status == LIMN_OK) {
    status = score_sequences(&w, o, err);
    limn_session_unobserve(s, id);
  }
  if (status == LIMN_OK)
    *out = w.scores;
  else
    limn_head_scores_free(w.scores);
  limn_free(w.ids);
  limn_free(w.losses);
  return status;
}

void limn_head_scores_free(limn_head_scores *h) {
  if (!h) return;
  limn_free(h->previous);
  limn_free(h);
}
