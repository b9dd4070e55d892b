/*
 * speculate.c - guess what comes, and check the guesses in one pass.
 *
 * Leviathan, Kalman, Matias 2023, "Fast Inference from Transformers via Speculative Decoding",
 * algorithm 1: a guess x drawn from q is kept with probability min(1, p(x) / q(x)); where it is
 * not, the token is drawn from max(0, p - q), normalised. What comes out is distributed as p.
 *
 * A guess that was not drawn but looked up has q = 1 at one token, and the rule says: keep it with
 * probability p(x), else draw from the rest of p. Drawing from p as always and looking whether it
 * is the guess does just that, with the same random numbers as decoding one by one: so the tokens
 * are the same. Greedy is that too. Looking guesses up in the text: Saxena 2023, "Prompt Lookup
 * Decoding".
 */
#include "session/sample.h"
#include "session/session.h"

#include <limn/speculate.h>
#include <string.h>

struct limn_speculator {
  limn_session *session;
  limn_sampler *sampler;
  limn_speculation o;
  int vocab_size;
  bool is_drawn;      /* guesses are drawn from q */
  int32_t *ids;       /* (capacity) the text, what follows, and behind that guesses */
  size_t n;           /* tokens that are certain, */
  size_t n_run;       /* and of these, evaluated */
  size_t end;         /* no more than these */
  int n_next;         /* how many guesses to make */
  limn_choice *given; /* (n_ahead + 1) what the last pass brought */
  int n_given, at;
  const float *rows; /* their logits */
  limn_speculation_count count;

  /* Of the draft. */
  limn_sampler *drawer;
  size_t n_draft; /* tokens that the draft holds */
  float *q;       /* (n_ahead, vocab_size) */
  float *p;       /* (vocab_size) */
  uint64_t random;
};

/* ---- making
 * -------------------------------------------------------------------------------------- */

static limn_status check(const limn_session *session, const limn_speculation *o, size_t n,
                         size_t max_new, limn_error *err) {
  int vocab_size = limn_model_config(session->model)->vocab_size;
  if (o->n_ahead < 0 || o->n_gram < 0)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%d guesses by the last %d tokens are asked for, expected at least 1",
                          o->n_ahead, o->n_gram);
  if (n < 1 || max_new > INT32_MAX || n > INT32_MAX)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%zu tokens and %zu to follow, expected 1 to %d", n, max_new, INT32_MAX);
  if (session->options.max_logits < o->n_ahead + 1)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "the session has room for logits of %d tokens, expected %d",
                          session->options.max_logits, o->n_ahead + 1);
  if (o->draft && limn_model_config(o->draft->model)->vocab_size != vocab_size)
    return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                          "the draft model has %d tokens, expected %d as the model has",
                          limn_model_config(o->draft->model)->vocab_size, vocab_size);
  return LIMN_OK;
}

static limn_status take_memory(limn_speculator *s, const limn_sampling *sampling, limn_error *err) {
  size_t n_ahead = (size_t)s->o.n_ahead, row = (size_t)s->vocab_size * sizeof(float);
  s->ids = limn_alloc_zeroed(s->end + n_ahead + 1, sizeof *s->ids);
  s->given = limn_alloc_zeroed(n_ahead + 1, sizeof *s->given);
  if (!s->ids || !s->given) return limn_out_of_memory(err, "speculation");
  if (!s->o.draft) return LIMN_OK;
  limn_sampling drawing = sampling ? *sampling : (limn_sampling){0};
  s->is_drawn = drawing.temperature > 0.0f;
  s->random = drawing.seed ^ 0x5851f42d4c957f2du; /* streams of their own */
  drawing.seed ^= 0xda3e39cb94b95bdbu;
  limn_status status = limn_sampler_new(s->vocab_size, &drawing, &s->drawer, err);
  if (status != LIMN_OK || !s->is_drawn) return status;
  s->q = limn_alloc_zeroed(n_ahead, row);
  s->p = limn_alloc_zeroed(1, row);
  return s->q && s->p ? LIMN_OK : limn_out_of_memory(err, "speculation");
}

limn_status limn_speculator_new(limn_session *session, limn_sampler *sampler,
                                const limn_sampling *sampling, const int32_t *ids, size_t n,
                                size_t max_new, const limn_speculation *options,
                                limn_speculator **out, limn_error *err) {
  limn_speculation o = options ? *options : (limn_speculation){0};
  *out = NULL;
  if (o.n_ahead == 0) o.n_ahead = 8;
  if (o.n_gram == 0) o.n_gram = 3;
  limn_status status = check(session, &o, n, max_new, err);
  if (status != LIMN_OK) return status;
  limn_speculator *s = limn_alloc_zeroed(1, sizeof *s);
  if (!s) return limn_out_of_memory(err, "speculation");
  *s = (limn_speculator){.session = session,
                         .sampler = sampler,
                         .o = o,
                         .vocab_size = limn_model_config(session->model)->vocab_size,
                         .n = n,
                         .end = n + max_new,
                         .n_next = (o.n_ahead + 1) / 2};
  status = take_memory(s, sampling, err);
  if (status != LIMN_OK) {
    limn_speculator_free(s);
    return status;
  }
  memcpy(s->ids, ids, n * sizeof *ids);
  session->sequence.is_invariant = true;
  *out = s;
  return LIMN_OK;
}

void limn_speculator_free(limn_speculator *s) {
  if (!s) return;
  limn_sampler_free(s->drawer);
  limn_free(s->ids);
  limn_free(s->given);
  limn_free(s->q);
  limn_free(s->p);
  limn_free(s);
}

limn_speculation_count limn_speculator_count(const limn_speculator *s) {
  return s->count;
}

/* ---- guessing
 * ------------------------------------------------------------------------------------ */

/*
 * Where the last `length` tokens stood before, as late as can be: the place behind them, or 0. What
 * followed may run into the end of the text, and so repeats it.
 */
static size_t find_before(const int32_t *ids, size_t n, size_t length) {
  const int32_t *last = ids + n - length;
  for (size_t end = n - 1; end >= length; end--)
    if (memcmp(ids + end - length, last, length * sizeof *ids) == 0) return end;
  return 0;
}

static int look_up(limn_speculator *s, int most) {
  size_t from = 0;
  for (size_t length = (size_t)s->o.n_gram; length > 0 && !from; length--)
    if (length < s->n) from = find_before(s->ids, s->n, length);
  if (!from) return 0;
  for (int i = 0; i < most; i++)
    s->ids[s->n + (size_t)i] = s->ids[from + (size_t)i];
  return most;
}

/* One guess of the draft, behind i others. */
static limn_status draw_guess(limn_speculator *s, int i, limn_error *err) {
  size_t n_rows, n = s->n + (size_t)i;
  limn_choice choice;
  limn_status status = limn_session_evaluate(s->o.draft, s->ids + s->n_draft, n - s->n_draft, err);
  if (status != LIMN_OK) return status;
  s->n_draft = n;
  const float *logits = limn_session_logits(s->o.draft, &n_rows);
  logits += (n_rows - 1) * (size_t)s->vocab_size;
  float *q = s->is_drawn ? s->q + (size_t)i * (size_t)s->vocab_size : NULL;
  status = limn_sample_unscored(s->drawer, logits, s->ids, n, q, &choice, err);
  s->ids[n] = choice.id;
  return status;
}

static limn_status draw_guesses(limn_speculator *s, int most, int *n_guesses, limn_error *err) {
  int64_t needed = (int64_t)(s->n - s->n_draft) + most - 1;
  if (needed > limn_session_room(s->o.draft)) return LIMN_OK;
  for (; *n_guesses < most; ++*n_guesses) {
    limn_status status = draw_guess(s, *n_guesses, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

/* Puts guesses behind the text, as many as fit into the window and are still asked for. */
static limn_status guess(limn_speculator *s, int *n_guesses, limn_error *err) {
  int64_t room = limn_session_room(s->session) - (int64_t)(s->n - s->n_run);
  int64_t wanted = (int64_t)(s->end - s->n) - 1;
  int most = s->n_next;
  if (most > room) most = (int)room;
  if (most > wanted) most = (int)wanted;
  *n_guesses = 0;
  if (most <= 0) return LIMN_OK;
  if (s->o.draft) return draw_guesses(s, most, n_guesses, err);
  *n_guesses = look_up(s, most);
  return LIMN_OK;
}

/* ---- checking
 * ------------------------------------------------------------------------------------ */

/* SplitMix64, as in sample.c. [0, 1) */
static double uniform(limn_speculator *s) {
  uint64_t x = s->random += 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return (double)(x >> 11) * 0x1p-53;
}

/* Draws from max(0, p - q). Where rounding leaves nothing of that, p and q are the same. */
static int32_t draw_rest(limn_speculator *s, const float *q, int32_t otherwise) {
  double total = 0, sum = 0;
  int32_t last = otherwise;
  for (int32_t i = 0; i < s->vocab_size; i++)
    total += s->p[i] > q[i] ? (double)s->p[i] - (double)q[i] : 0;
  double point = uniform(s) * total;
  for (int32_t i = 0; i < s->vocab_size && total > 0; i++) {
    if (!(s->p[i] > q[i])) continue;
    last = i;
    sum += (double)s->p[i] - (double)q[i];
    if (point < sum) break;
  }
  return last;
}

static limn_choice describe(const limn_speculator *s, const float *logits, int32_t id) {
  limn_choice c = {.id = id, .logit = logits[id], .drawn_probability = s->p[id]};
  c.log_probability = (float)limn_log_probability(logits, (size_t)s->vocab_size, id);
  int n = 0;
  for (int i = 0; i < s->vocab_size; i++)
    n += s->p[i] > 0.0f;
  c.n_candidates = n;
  return c;
}

/* Algorithm 1 for the guess behind i others. */
static limn_status keep_or_draw(limn_speculator *s, int i, const float *logits, limn_choice *out,
                                limn_error *err) {
  size_t n = s->n + (size_t)i;
  int32_t id = s->ids[n];
  const float *q = s->q + (size_t)i * (size_t)s->vocab_size;
  limn_status status = limn_sampling_distribution(s->sampler, logits, s->ids, n, s->p, err);
  if (status != LIMN_OK) return status;
  bool is_kept = uniform(s) * (double)q[id] < (double)s->p[id];
  *out = describe(s, logits, is_kept ? id : draw_rest(s, q, id));
  return LIMN_OK;
}

/* Fills `given` with the guesses that are kept and one more token. */
static limn_status check_guesses(limn_speculator *s, int n_guesses, limn_error *err) {
  for (int i = 0;; i++) {
    size_t n = s->n + (size_t)i;
    const float *logits = s->rows + (size_t)i * (size_t)s->vocab_size;
    limn_choice *choice = &s->given[i];
    int32_t guessed = i < n_guesses ? s->ids[n] : -1;
    limn_status status = s->is_drawn && i < n_guesses
                             ? keep_or_draw(s, i, logits, choice, err)
                             : limn_sample(s->sampler, logits, s->ids, n, choice, err);
    if (status != LIMN_OK) return status;
    s->ids[n] = choice->id;
    s->n_given = i + 1;
    if (choice->id != guessed) return LIMN_OK;
  }
}

/* The draft forgets what was not kept; it never saw the last guess. */
static void tell_draft(limn_speculator *s, size_t n_kept) {
  if (!s->o.draft || s->n_draft <= n_kept) return;
  size_t extra = s->n_draft - n_kept;
  limn_session_truncate(s->o.draft, limn_session_length(s->o.draft) - (int)extra);
  s->n_draft = n_kept;
}

/* More guesses after good ones, fewer after bad ones. */
static void adapt(limn_speculator *s, int n_guesses, int n_kept) {
  if (n_guesses == 0) return;
  s->n_next = n_kept == n_guesses ? 2 * s->n_next : n_kept + 1;
  if (s->n_next > s->o.n_ahead) s->n_next = s->o.n_ahead;
}

static limn_status run_pass(limn_speculator *s, limn_error *err) {
  int n_guesses;
  s->n_given = s->at = 0;
  limn_status status = guess(s, &n_guesses, err);
  if (status != LIMN_OK) return status;
  limn_batch_item item = {.session = s->session,
                          .ids = s->ids + s->n_run,
                          .n = s->n - s->n_run + (size_t)n_guesses,
                          .n_logits = s->session->options.all_logits ? 0 : n_guesses + 1};
  status = limn_batch_evaluate(s->session->batch, &item, 1, err);
  if (status != LIMN_OK) return status;
  size_t n_rows, n_checked = (size_t)n_guesses + 1;
  const float *logits = limn_session_logits(s->session, &n_rows);
  s->rows = logits + (n_rows - n_checked) * (size_t)s->vocab_size;
  status = check_guesses(s, n_guesses, err);
  if (status != LIMN_OK) return status;
  int n_kept = s->n_given - 1;
  limn_session_truncate(s->session, limn_session_length(s->session) - (n_guesses - n_kept));
  s->n_run = s->n + (size_t)n_kept;
  s->n += (size_t)s->n_given;
  tell_draft(s, s->n_run);
  adapt(s, n_guesses, n_kept);
  s->count.n_passes++;
  s->count.n_guessed += n_guesses;
  s->count.n_kept += n_kept;
  return LIMN_OK;
}

limn_status limn_speculator_next(limn_speculator *s, limn_choice *out, const float **logits,
                                 limn_error *err) {
  *out = (limn_choice){.id = -1};
  if (s->at == s->n_given && s->n >= s->end)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "all tokens that were asked for are there");
  limn_status status = s->at < s->n_given ? LIMN_OK : run_pass(s, err);
  if (status != LIMN_OK) return status;
  *out = s->given[s->at];
  if (logits) *logits = s->rows + (size_t)s->at * (size_t)s->vocab_size;
  s->at++;
  return LIMN_OK;
}
