/*
 * eval_run.c - the windows of texts, several in one pass, and the score of each token.
 *
 * Windows know nothing of each other, so that any number of them may be run at once: a batch gives
 * each what it gets alone, to the bit. Short texts gain by it, because each weight is then read
 * once for all of them; a window of some hundreds of tokens is as fast alone.
 */
#include "eval.h"

#include <math.h>
#include <string.h>

/* ---- sessions ---------------------------------------------------------------------------------
 */

static size_t longest_window(const evaluation *e) {
  size_t longest = 1;
  for (size_t i = 0; i < e->n_texts; i++)
    if (e->texts[i].n > longest + 1) longest = e->texts[i].n - 1;
  return longest < e->window ? longest : e->window;
}

limn_status eval_open(evaluation *e, size_t n, limn_error *err) {
  int n_ctx = (int)longest_window(e);
  e->batch = NULL;
  e->seats = limn_alloc_zeroed(n, sizeof *e->seats);
  e->n_seats = 0;
  if (!e->seats || n > (size_t)(INT32_MAX / n_ctx))
    return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET,
                          "out of memory for %zu windows of %d tokens at once", n, n_ctx);
  limn_batch_options o = {.pool = e->m->pool, .max_rows = n_ctx * (int)n, .n_ctx = n_ctx};
  limn_status status = limn_batch_new(e->m->model, &o, &e->batch, err);
  while (status == LIMN_OK && e->n_seats < n) {
    limn_session_options options = {.all_logits = true, .n_ctx = n_ctx, .batch = e->batch};
    status = cli_open_session(e->c, e->m, options, &e->seats[e->n_seats].s, err);
    e->n_seats += status == LIMN_OK;
  }
  return status;
}

void eval_close(evaluation *e) {
  for (size_t i = 0; i < e->n_seats; i++)
    cli_close_session(&e->seats[i].s);
  limn_batch_free(e->batch);
  limn_free(e->seats);
  e->seats = NULL;
  e->batch = NULL;
  e->n_seats = 0;
}

/* An edit has changed something when it did so in any of the seats. */
static limn_status check_edits(const evaluation *e, limn_error *err) {
  for (int i = 0; i < e->seats[0].s.n_edits; i++) {
    cli_session one = {.edits = e->seats[0].s.edits + i, .n_edits = 1};
    bool is_met = false;
    for (size_t k = 0; k < e->n_seats; k++)
      is_met |= limn_edit_count(e->seats[k].s.edits[i]) > 0;
    if (!is_met) return cli_check_edits(&one, err);
  }
  return LIMN_OK;
}

/* ---- scoring ----------------------------------------------------------------------------------
 */

static void score_row(void *user, size_t i) {
  evaluation *e = user;
  size_t vocab_size = (size_t)limn_model_config(e->m->model)->vocab_size, id = e->at.first + i;
  e->log_probabilities[id] =
      (float)limn_log_probability(e->logits + i * vocab_size, vocab_size, e->ids[id]);
}

/* Takes the seat's window as the one at hand, and scores its targets. */
static limn_status score(evaluation *e, const eval_seat *seat, limn_error *err) {
  size_t skipped = seat->window.first - seat->window.begin - 1, n = seat->window.size - skipped;
  e->at = seat->window;
  e->logits = limn_session_logits(seat->s.session, NULL) +
              skipped * (size_t)limn_model_config(e->m->model)->vocab_size;
  limn_pool_run(e->m->pool, n, score_row, e);
  for (size_t i = e->at.first; i < e->at.first + n; i++) {
    if (isnan(e->log_probabilities[i]))
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "the logits before token %zu have no softmax: one is nan or inf", i);
  }
  return LIMN_OK;
}

/* Runs the windows of the first n seats in one pass. */
static limn_status run_seats(evaluation *e, size_t n, limn_error *err) {
  limn_batch_item *items = limn_alloc_zeroed(n, sizeof *items);
  if (!items) return cli_no_memory(err);
  for (size_t i = 0; i < n; i++) {
    eval_seat *seat = &e->seats[i];
    limn_session_reset(seat->s.session);
    items[i] = (limn_batch_item){
        .session = seat->s.session, .ids = e->ids + seat->window.begin, .n = seat->window.size};
  }
  limn_status status = limn_batch_evaluate(e->batch, items, n, err);
  limn_free(items);
  return status;
}

limn_status eval_run(evaluation *e, eval_window window, limn_error *err) {
  e->seats[0].window = window;
  limn_status status = run_seats(e, 1, err);
  return status == LIMN_OK ? score(e, &e->seats[0], err) : status;
}

/* ---- windows ----------------------------------------------------------------------------------
 */

/* A place among the windows of all texts. */
typedef struct cursor {
  size_t text, begin, first; /* the last two from the beginning of the text */
} cursor;

/* The next window; false behind the last. A text of one token has none. */
static bool next_window(const evaluation *e, cursor *at, eval_window *out) {
  while (at->text < e->n_texts && at->first >= e->texts[at->text].n)
    *at = (cursor){.text = at->text + 1, .first = 1};
  if (at->text == e->n_texts) return false;
  const eval_text *t = &e->texts[at->text];
  size_t rest = t->n - 1 - at->begin, size = rest < e->window ? rest : e->window;
  *out = (eval_window){t->begin + at->begin, size, t->begin + at->first};
  at->first = at->begin + size + 1;
  at->begin += e->stride;
  return true;
}

limn_status eval_all(evaluation *e, eval_visit *visit, void *user, limn_error *err) {
  cursor at = {.first = 1};
  limn_status status = LIMN_OK;
  e->n_windows = 0;
  for (;;) {
    size_t n = 0;
    while (n < e->n_seats && next_window(e, &at, &e->seats[n].window))
      n++;
    if (n == 0) break;
    status = run_seats(e, n, err);
    for (size_t i = 0; i < n && status == LIMN_OK; i++) {
      status = score(e, &e->seats[i], err);
      if (status == LIMN_OK && visit) status = visit(user, err);
    }
    if (status != LIMN_OK) break;
    e->n_windows += n;
    cli_progress("token", (int64_t)(e->at.begin + e->at.size), (int64_t)e->n);
  }
  cli_progress_end();
  return status == LIMN_OK ? check_edits(e, err) : status;
}

/* ---- the result -------------------------------------------------------------------------------
 */

size_t eval_text_count(const eval_text *t) {
  return t->n > 1 ? t->n - 1 : 0;
}

size_t eval_count(const evaluation *e) {
  size_t n = 0;
  for (size_t i = 0; i < e->n_texts; i++)
    n += eval_text_count(&e->texts[i]);
  return n;
}

static double sum_of(const evaluation *e, const eval_text *t) {
  double sum = 0;
  for (size_t i = t->begin + 1; i < t->begin + t->n; i++)
    sum -= (double)e->log_probabilities[i];
  return sum;
}

double eval_text_loss(const evaluation *e, const eval_text *t) {
  return eval_text_count(t) ? sum_of(e, t) / (double)eval_text_count(t) : (double)NAN;
}

double eval_loss(const evaluation *e) {
  double sum = 0;
  for (size_t i = 0; i < e->n_texts; i++)
    sum += sum_of(e, &e->texts[i]);
  return sum / (double)eval_count(e);
}
