/*
 * batch.c - encoding many texts on a team of threads.
 *
 * Each worker has an encoder and takes the next few texts, a step, until none are left. Where a
 * step's ids belong is known when all before it are done: until then they wait in a buffer. Steps
 * are taken in their order, so mostly few wait, in buffers that are used again and stay in the
 * processor's cache; and the result does not depend on who did what. One worker alone writes the
 * result at once.
 */
#include "tokenizer/encoder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* The ids of a step, without offsets. */
typedef struct part {
  limn_tokens ids;
  size_t step;
} part;

typedef struct worker {
  part *parts;               /* those that wait, in their order, and behind them free ones */
  size_t n_waiting, n_parts; /* of them all */
  size_t n_failed;           /* the text at which it failed */
  limn_status status;
  limn_error err;
} worker;

typedef struct job {
  const limn_tokenizer *t;
  const limn_text *texts;
  size_t n, n_bytes, step, cache_bytes;
  limn_special special;
  worker *workers;
  size_t n_workers;
  atomic_size_t next; /* the first text that nobody has taken */
  /* Changed by who has the lock alone: out->ids, and starts up to that of step n_placed. */
  pthread_rwlock_t lock;
  limn_batch *out; /* starts[i + 1] is how many ids text i has, before its step has its place */
  size_t capacity, n_placed;
  bool *is_done; /* (steps) */
} job;

/* Steps of about so many bytes: few enough for the lock, short enough to end at the same time. */
#define STEPS_EACH 64
#define LEAST_STEP 4096
#define MOST_STEP  32768

static size_t step_of(const job *j) {
  size_t bytes = j->n_bytes / j->n_workers / STEPS_EACH;
  bytes = bytes < LEAST_STEP ? LEAST_STEP : bytes > MOST_STEP ? MOST_STEP : bytes;
  size_t step = bytes / (j->n_bytes / (j->n + 1) + 1);
  return step ? step : 1;
}

static size_t end_of_step(const job *j, size_t first) {
  return j->n - first < j->step ? j->n : first + j->step;
}

/* What texts of so many bytes take as a rule; more where that is not enough. */
static size_t ids_expected(size_t n_bytes) {
  return n_bytes / 3 + 64;
}

/* ---- where ids belong ---------------------------------------------------------------------------
 */

static limn_status grow_ids(job *j, size_t n, limn_error *err) {
  if (n <= j->capacity) return LIMN_OK;
  size_t capacity = j->capacity ? j->capacity : ids_expected(j->n_bytes);
  while (capacity < n)
    capacity += capacity / 2;
  int32_t *ids = limn_resize(j->out->ids, capacity, sizeof *ids);
  if (!ids) return limn_out_of_memory(err, "the tokens of texts");
  limn_want_huge_pages(ids, capacity * sizeof *ids);
  j->out->ids = ids;
  j->capacity = capacity;
  return LIMN_OK;
}

/* Notes that the step that begins with this text is done, and gives places to all that have none
 * before them to wait for. */
static limn_status note_done(job *j, size_t first, limn_error *err) {
  size_t *starts = j->out->starts;
  pthread_rwlock_wrlock(&j->lock);
  j->is_done[first / j->step] = true;
  while (j->n_placed < j->n && j->is_done[j->n_placed / j->step]) {
    size_t end = end_of_step(j, j->n_placed);
    for (; j->n_placed < end; j->n_placed++)
      starts[j->n_placed + 1] += starts[j->n_placed];
  }
  limn_status status = grow_ids(j, starts[j->n_placed], err);
  pthread_rwlock_unlock(&j->lock);
  return status;
}

/* Copies the ids of those steps that have a place. */
static void put_parts(job *j, worker *w) {
  size_t n = 0;
  pthread_rwlock_rdlock(&j->lock);
  for (; n < w->n_waiting && w->parts[n].step < j->n_placed; n++) {
    const part *p = &w->parts[n];
    if (p->ids.n > 0)
      memcpy(j->out->ids + j->out->starts[p->step], p->ids.ids, p->ids.n * sizeof *p->ids.ids);
  }
  pthread_rwlock_unlock(&j->lock);
  for (size_t i = 0; n > 0 && i < w->n_waiting - n; i++) {
    part placed = w->parts[i];
    w->parts[i] = w->parts[i + n];
    w->parts[i + n] = placed;
  }
  w->n_waiting -= n;
}

static void put_rest(void *user, size_t number) {
  job *j = user;
  put_parts(j, &j->workers[number]);
}

/* ---- encoding -----------------------------------------------------------------------------------
 */

static part *free_part(worker *w, size_t first, limn_error *err) {
  if (w->n_waiting == w->n_parts) {
    size_t n = 2 * w->n_parts + 4;
    part *parts = limn_resize(w->parts, n, sizeof *parts);
    if (!parts) {
      (void)limn_out_of_memory(err, "the tokens of texts");
      return NULL;
    }
    memset(parts + w->n_parts, 0, (n - w->n_parts) * sizeof *parts);
    w->parts = parts;
    w->n_parts = n;
  }
  part *p = &w->parts[w->n_waiting];
  p->step = first;
  p->ids.n = 0;
  return p;
}

static limn_status encode_one(job *j, limn_encoder *e, limn_tokens *ids, size_t i,
                              limn_error *err) {
  size_t before = ids->n;
  limn_encoder_into(e, (limn_sink){.tokens = ids, .no_offsets = true});
  limn_status status = limn_encode_text(e, j->texts[i].bytes, j->texts[i].n, j->special, err);
  if (status == LIMN_OK) status = limn_encoder_flush(e, err);
  j->out->starts[i + 1] = ids->n - before;
  return status;
}

static void encode_step(job *j, limn_encoder *e, worker *w, size_t first) {
  part *p = free_part(w, first, &w->err);
  w->n_failed = first;
  w->status = p ? LIMN_OK : LIMN_ERROR_MEMORY;
  for (size_t i = first, end = end_of_step(j, first); i < end && w->status == LIMN_OK; i++) {
    w->status = encode_one(j, e, &p->ids, i, &w->err);
    w->n_failed = i;
  }
  if (w->status != LIMN_OK) return;
  w->n_waiting++;
  w->status = note_done(j, first, &w->err);
  if (w->status == LIMN_OK) put_parts(j, w);
}

static void work(void *user, size_t number) {
  job *j = user;
  worker *w = &j->workers[number];
  limn_encoder *e;
  w->status = limn_encoder_new(j->t, j->cache_bytes, &e, &w->err);
  while (w->status == LIMN_OK) {
    size_t first = atomic_fetch_add(&j->next, j->step);
    if (first >= j->n) break;
    encode_step(j, e, w, first);
  }
  if (w->status != LIMN_OK) atomic_store(&j->next, j->n); /* those before it are all taken */
  limn_encoder_free(e);
}

/* What the first text that failed says; memory comes before texts. */
static limn_status first_failure(const job *j, limn_error *err) {
  const worker *first = NULL;
  for (size_t i = 0; i < j->n_workers; i++) {
    const worker *w = &j->workers[i];
    if (w->status != LIMN_OK && (!first || w->n_failed < first->n_failed)) first = w;
  }
  if (!first) return LIMN_OK;
  if (err) *err = first->err;
  return first->status;
}

static limn_status encode_on_team(job *j, limn_pool *pool, limn_error *err) {
  j->step = step_of(j);
  j->workers = limn_alloc_zeroed(j->n_workers, sizeof *j->workers);
  j->is_done = limn_alloc_zeroed(j->n / j->step + 1, sizeof *j->is_done);
  limn_status status = LIMN_OK;
  if (!j->workers || !j->is_done) status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK) {
    pthread_rwlock_init(&j->lock, NULL);
    limn_pool_run(pool, j->n_workers, work, j);
    status = first_failure(j, err);
    if (status == LIMN_OK) limn_pool_run(pool, j->n_workers, put_rest, j);
    pthread_rwlock_destroy(&j->lock);
  }
  for (size_t i = 0; j->workers && i < j->n_workers; i++) {
    for (size_t k = 0; k < j->workers[i].n_parts; k++)
      limn_tokens_deinit(&j->workers[i].parts[k].ids);
    limn_free(j->workers[i].parts);
  }
  limn_free(j->workers);
  limn_free(j->is_done);
  return status;
}

static limn_status encode_alone(job *j, limn_error *err) {
  limn_encoder *e;
  limn_status status = limn_encoder_new(j->t, j->cache_bytes, &e, err);
  if (status == LIMN_OK && j->n_bytes > 0) status = grow_ids(j, 1, err);
  limn_tokens ids = {.ids = j->out->ids, .capacity = j->capacity};
  for (size_t i = 0; i < j->n && status == LIMN_OK; i++) {
    status = encode_one(j, e, &ids, i, err);
    j->out->starts[i + 1] = ids.n;
  }
  j->out->ids = ids.ids;
  limn_encoder_free(e);
  return status;
}

limn_status limn_tokenizer_encode_batch(const limn_tokenizer *t, limn_pool *pool,
                                        const limn_text *texts, size_t n, limn_special special,
                                        size_t cache_bytes, limn_batch *out, limn_error *err) {
  job j = {.t = t,
           .texts = texts,
           .n = n,
           .cache_bytes = cache_bytes,
           .special = special,
           .n_workers = (size_t)limn_pool_size(pool),
           .out = out};
  for (size_t i = 0; i < n; i++)
    j.n_bytes += texts[i].n;
  *out = (limn_batch){.n = n};
  out->starts = limn_alloc_zeroed(n + 1, sizeof *out->starts);
  limn_status status = LIMN_OK;
  if (!out->starts)
    status = limn_out_of_memory(err, "the tokens of texts");
  else
    status = j.n_workers > 1 ? encode_on_team(&j, pool, err) : encode_alone(&j, err);
  if (status != LIMN_OK) limn_batch_deinit(out);
  return status;
}

void limn_batch_deinit(limn_batch *batch) {
  if (!batch) return;
  limn_free(batch->ids);
  limn_free(batch->starts);
  *batch = (limn_batch){0};
}
