/*
 * batch.c - encoding many texts on a team of threads.
 *
 * Each worker has an encoder and takes the next few texts, a step, until none are left. Where a
 * step's ids belong is known when all before it are done: until then they wait in a buffer. Steps
 * are taken in their order, so mostly few wait, in buffers that are used again and stay in the
 * processor's cache; and the result does not depend on who did what. Long texts are cut (cut.h).
 * One worker alone cuts nothing and writes the result at once.
 */
#include "tokenizer/cut.h"

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
  size_t n_failed;           /* the span at which it failed */
  limn_status status;
  limn_error err;
} worker;

typedef struct job {
  const limn_tokenizer *t;
  const limn_text *texts;
  const limn_span *spans; /* what is encoded, or NULL: the texts as they are */
  size_t n;               /* spans, or texts */
  size_t n_bytes, step, cache_bytes;
  limn_special special;
  worker *workers;
  size_t n_workers;
  atomic_size_t next; /* the first span that nobody has taken */
  size_t *ends;       /* of spans: where in the text encoding ended; or NULL */
  /* Changed by who has the lock alone: ids, and starts up to that of span n_placed. */
  pthread_rwlock_t lock;
  int32_t *ids;
  size_t *starts; /* starts[i + 1] is how many ids span i has, before its step has its place */
  size_t capacity, n_placed;
  bool *is_done; /* (steps) */
  bool is_wrong; /* a span begins where no piece does */
} job;

/* Steps of about so many bytes: few enough for the lock, short enough to end at the same time. */
#define STEPS_EACH 64
#define LEAST_STEP 4096
#define MOST_STEP  32768

/* Spans of long texts: so many for each worker that the last is not long waited for. */
#define SPANS_EACH 32
#define LEAST_SPAN 32768
#define MOST_SPAN  ((size_t)1 << 20)

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
  int32_t *ids = limn_resize(j->ids, capacity, sizeof *ids);
  if (!ids) return limn_out_of_memory(err, "the tokens of texts");
  limn_want_huge_pages(ids, capacity * sizeof *ids);
  j->ids = ids;
  j->capacity = capacity;
  return LIMN_OK;
}

/* Whether a span begins where the one before it has ended. */
static bool begins_well(const job *j, size_t i) {
  return !j->ends || j->spans[i].from == 0 || j->spans[i].from == j->ends[i - 1];
}

/* Notes that the step that begins with this span is done, and gives places to all that have none
 * before them to wait for. */
static limn_status note_done(job *j, size_t first, limn_error *err) {
  size_t *starts = j->starts;
  pthread_rwlock_wrlock(&j->lock);
  j->is_done[first / j->step] = true;
  while (j->n_placed < j->n && j->is_done[j->n_placed / j->step]) {
    size_t end = end_of_step(j, j->n_placed);
    for (; j->n_placed < end; j->n_placed++) {
      j->is_wrong |= !begins_well(j, j->n_placed);
      starts[j->n_placed + 1] += starts[j->n_placed];
    }
  }
  if (j->is_wrong) atomic_store(&j->next, j->n);
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
      memcpy(j->ids + j->starts[p->step], p->ids.ids, p->ids.n * sizeof *p->ids.ids);
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

/* A cache of more bytes than so many for each of a text is never used. */
#define CACHE_A_BYTE 2

/* An encoder for a worker's share of the texts. */
static limn_status make_encoder(const job *j, limn_encoder **out, limn_error *err) {
  size_t share = j->n_bytes / j->n_workers;
  size_t worth = share < j->cache_bytes / CACHE_A_BYTE ? CACHE_A_BYTE * share : j->cache_bytes;
  limn_status status = limn_encoder_new(j->t, worth, out, err);
  if (status == LIMN_OK) limn_cache_expect(&(*out)->cache, share);
  return status;
}

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
  limn_status status;
  if (j->spans)
    status = limn_encode_span(e, &j->texts[j->spans[i].text], &j->spans[i], &j->ends[i], err);
  else
    status = limn_encode_text(e, j->texts[i].bytes, j->texts[i].n, j->special, err);
  if (status == LIMN_OK) status = limn_encoder_flush(e, err);
  j->starts[i + 1] = ids->n - before;
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
  w->status = make_encoder(j, &e, &w->err);
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

static limn_status run_team(job *j, limn_pool *pool, limn_error *err) {
  pthread_rwlock_init(&j->lock, NULL);
  limn_pool_run(pool, j->n_workers, work, j);
  limn_status status = first_failure(j, err);
  if (status == LIMN_OK && !j->is_wrong) limn_pool_run(pool, j->n_workers, put_rest, j);
  pthread_rwlock_destroy(&j->lock);
  return status;
}

/* Encodes spans, or texts, into j->ids and j->starts. */
static limn_status encode_on_team(job *j, limn_pool *pool, limn_error *err) {
  j->step = step_of(j);
  j->workers = limn_alloc_zeroed(j->n_workers, sizeof *j->workers);
  j->is_done = limn_alloc_zeroed(j->n / j->step + 1, sizeof *j->is_done);
  limn_status status = LIMN_OK;
  if (!j->workers || !j->is_done) status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK && j->n_bytes > 0) status = grow_ids(j, 1, err);
  if (status == LIMN_OK) status = run_team(j, pool, err);
  for (size_t i = 0; j->workers && i < j->n_workers; i++) {
    for (size_t k = 0; k < j->workers[i].n_parts; k++)
      limn_tokens_deinit(&j->workers[i].parts[k].ids);
    limn_free(j->workers[i].parts);
  }
  limn_free(j->workers);
  limn_free(j->is_done);
  return status;
}

/* The same for texts that are cut; a text ends where its last span does. */
static limn_status encode_spans(const job *all, limn_pool *pool, limn_span *spans, size_t n_spans,
                                limn_batch *out, bool *is_wrong, limn_error *err) {
  job j = *all;
  j.spans = spans;
  j.n = n_spans;
  j.starts = limn_alloc_zeroed(n_spans + 1, sizeof *j.starts);
  j.ends = limn_alloc_zeroed(n_spans, sizeof *j.ends);
  limn_status status = j.starts && j.ends ? encode_on_team(&j, pool, err)
                                          : limn_out_of_memory(err, "the spans of texts");
  *is_wrong = j.is_wrong;
  for (size_t i = 0; status == LIMN_OK && i < n_spans; i++)
    out->starts[spans[i].text + 1] = j.starts[i + 1];
  limn_free(j.starts);
  limn_free(j.ends);
  if (status == LIMN_OK && !j.is_wrong)
    out->ids = j.ids;
  else
    limn_free(j.ids);
  return status;
}

static limn_status encode_texts(job *j, limn_pool *pool, limn_batch *out, limn_error *err) {
  memset(out->starts, 0, (j->n + 1) * sizeof *out->starts);
  j->starts = out->starts;
  limn_status status = encode_on_team(j, pool, err);
  out->ids = j->ids;
  return status;
}

static limn_status encode_alone(job *j, limn_batch *out, limn_error *err) {
  limn_encoder *e;
  limn_status status = make_encoder(j, &e, err);
  if (status == LIMN_OK && j->n_bytes > 0) status = grow_ids(j, 1, err);
  limn_tokens ids = {.ids = j->ids, .capacity = j->capacity};
  j->starts = out->starts;
  for (size_t i = 0; i < j->n && status == LIMN_OK; i++) {
    status = encode_one(j, e, &ids, i, err);
    out->starts[i + 1] = ids.n;
  }
  out->ids = ids.ids;
  limn_encoder_free(e);
  return status;
}

static limn_status encode_batch(job *j, limn_pool *pool, size_t span_size, limn_cut_place *is_place,
                                limn_batch *out, bool *was_wrong, limn_error *err) {
  limn_span *spans = NULL;
  size_t n_spans;
  *was_wrong = false;
  *out = (limn_batch){.n = j->n};
  out->starts = limn_alloc_zeroed(j->n + 1, sizeof *out->starts);
  limn_status status = LIMN_OK;
  if (!out->starts) status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK && j->n_workers > 1)
    status = limn_cut_texts(j->t, j->texts, j->n, j->special, span_size, is_place, &spans, &n_spans,
                            err);
  if (status == LIMN_OK && spans)
    status = encode_spans(j, pool, spans, n_spans, out, was_wrong, err);
  if (status == LIMN_OK && j->n_workers == 1)
    status = encode_alone(j, out, err);
  else if (status == LIMN_OK && (!spans || *was_wrong))
    status = encode_texts(j, pool, out, err);
  limn_free(spans);
  if (status != LIMN_OK) limn_batch_deinit(out);
  return status;
}

static job new_job(const limn_tokenizer *t, const limn_pool *pool, const limn_text *texts, size_t n,
                   size_t cache_bytes) {
  job j = {.t = t,
           .texts = texts,
           .n = n,
           .cache_bytes = cache_bytes,
           .n_workers = (size_t)limn_pool_size(pool)};
  for (size_t i = 0; i < n; i++)
    j.n_bytes += texts[i].n;
  return j;
}

limn_status limn_encode_batch_cut(const limn_tokenizer *t, limn_pool *pool, const limn_text *texts,
                                  size_t n, size_t cache_bytes, size_t span_size,
                                  limn_cut_place *is_place, limn_batch *out, bool *was_wrong,
                                  limn_error *err) {
  job j = new_job(t, pool, texts, n, cache_bytes);
  return encode_batch(&j, pool, span_size, is_place, out, was_wrong, err);
}

limn_status limn_tokenizer_encode_batch(const limn_tokenizer *t, limn_pool *pool,
                                        const limn_text *texts, size_t n, limn_special special,
                                        size_t cache_bytes, limn_batch *out, limn_error *err) {
  job j = new_job(t, pool, texts, n, cache_bytes);
  size_t span_size = j.n_bytes / j.n_workers / SPANS_EACH;
  span_size = span_size < LEAST_SPAN ? LEAST_SPAN : span_size > MOST_SPAN ? MOST_SPAN : span_size;
  bool was_wrong;
  j.special = special;
  return encode_batch(&j, pool, span_size, limn_is_between_words, out, &was_wrong, err);
}

void limn_batch_deinit(limn_batch *batch) {
  if (!batch) return;
  limn_free(batch->ids);
  limn_free(batch->starts);
  *batch = (limn_batch){0};
}
