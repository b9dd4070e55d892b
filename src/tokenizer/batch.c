/*
 * batch.c - encoding many texts on a team of threads.
 *
 * Each worker has an encoder and takes the next few texts until none are left; what it finds it
 * keeps in a row of its own. In the end the rows are put together in the order of the texts, so
 * that the result does not depend on who did what; one row alone is in that order.
 */
#include "tokenizer/encoder.h"

#include <stdatomic.h>
#include <string.h>

/* Where a text's ids lie. */
typedef struct place {
  uint32_t worker;
  size_t start, n;
} place;

typedef struct worker {
  limn_tokens ids; /* without offsets */
  size_t n_failed; /* the text at which it failed */
  limn_status status;
  limn_error err;
} worker;

typedef struct job {
  const limn_tokenizer *t;
  const limn_text *texts;
  size_t n, step, cache_bytes;
  limn_special special;
  worker *workers;
  place *places;
  limn_batch *out;
  atomic_size_t next;
} job;

static limn_status encode_one(job *j, limn_encoder *e, worker *w, size_t i) {
  size_t start = w->ids.n;
  e->sink = (limn_sink){.tokens = &w->ids, .no_offsets = true};
  e->n_ids = 0;
  limn_status status = limn_encode_text(e, j->texts[i].bytes, j->texts[i].n, j->special, &w->err);
  if (status == LIMN_OK) status = limn_encoder_flush(e, &w->err);
  j->places[i] = (place){(uint32_t)(w - j->workers), start, w->ids.n - start};
  return status;
}

static void work(void *user, size_t number) {
  job *j = user;
  worker *w = &j->workers[number];
  limn_encoder *e;
  w->status = limn_encoder_new(j->t, j->cache_bytes, &e, &w->err);
  while (w->status == LIMN_OK) {
    size_t first = atomic_fetch_add(&j->next, j->step);
    if (first >= j->n) break;
    size_t end = j->n - first < j->step ? j->n : first + j->step;
    for (size_t i = first; i < end && w->status == LIMN_OK; i++) {
      w->status = encode_one(j, e, w, i);
      w->n_failed = i;
    }
  }
  limn_encoder_free(e);
}

static void put_together(void *user, size_t number) {
  job *j = user;
  const worker *w = &j->workers[number];
  for (size_t i = 0; i < j->n; i++) {
    const place *p = &j->places[i];
    if (p->worker == number && p->n > 0)
      memcpy(j->out->ids + j->out->starts[i], w->ids.ids + p->start, p->n * sizeof *w->ids.ids);
  }
}

/* What the first text that failed says; memory comes before texts. */
static limn_status first_failure(const job *j, size_t n_workers, limn_error *err) {
  const worker *first = NULL;
  for (size_t i = 0; i < n_workers; i++) {
    const worker *w = &j->workers[i];
    if (w->status != LIMN_OK && (!first || w->n_failed < first->n_failed)) first = w;
  }
  if (!first) return LIMN_OK;
  if (err) *err = first->err;
  return first->status;
}

static limn_status collect(job *j, limn_pool *pool, size_t n_workers, limn_error *err) {
  size_t total = 0;
  for (size_t i = 0; i < j->n; i++) {
    j->out->starts[i] = total;
    total += j->places[i].n;
  }
  j->out->starts[j->n] = total;
  j->out->n = j->n;
  if (n_workers == 1 && total > 0) { /* its row is the result */
    j->out->ids = j->workers->ids.ids;
    j->workers->ids.ids = NULL;
    return LIMN_OK;
  }
  j->out->ids = limn_resize(NULL, total, sizeof *j->out->ids);
  if (!j->out->ids) return limn_out_of_memory(err, "the tokens of texts");
  limn_want_huge_pages(j->out->ids, total * sizeof *j->out->ids);
  limn_pool_run(pool, n_workers, put_together, j);
  return LIMN_OK;
}

limn_status limn_tokenizer_encode_batch(const limn_tokenizer *t, limn_pool *pool,
                                        const limn_text *texts, size_t n, limn_special special,
                                        size_t cache_bytes, limn_batch *out, limn_error *err) {
  size_t n_workers = (size_t)limn_pool_size(pool);
  job j = {
      .t = t, .texts = texts, .n = n, .cache_bytes = cache_bytes, .special = special, .out = out};
  j.step = 1 + n / n_workers / 64;
  *out = (limn_batch){0};
  j.workers = limn_alloc_zeroed(n_workers, sizeof *j.workers);
  j.places = limn_alloc_zeroed(n + 1, sizeof *j.places);
  out->starts = limn_alloc_zeroed(n + 1, sizeof *out->starts);
  limn_status status = LIMN_OK;
  if (!j.workers || !j.places || !out->starts)
    status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK) {
    limn_pool_run(pool, n_workers, work, &j);
    status = first_failure(&j, n_workers, err);
  }
  if (status == LIMN_OK) status = collect(&j, pool, n_workers, err);
  for (size_t i = 0; j.workers && i < n_workers; i++)
    limn_tokens_deinit(&j.workers[i].ids);
  limn_free(j.workers);
  limn_free(j.places);
  if (status != LIMN_OK) limn_batch_deinit(out);
  return status;
}

void limn_batch_deinit(limn_batch *batch) {
  if (!batch) return;
  limn_free(batch->ids);
  limn_free(batch->starts);
  *batch = (limn_batch){0};
}
