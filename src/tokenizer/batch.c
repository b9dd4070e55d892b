/*
 * batch.c - encoding many texts on a team of threads.
 *
 * Workers take the texts in their order, a step of some texts at a time, and learn together
 * (shared_cache.h). Where a step's ids belong is known when all before it are done; until then they
 * wait. So the result does not depend on who did what. Long texts are cut (cut.h). One worker alone
 * cuts nothing, and writes the result at once.
 */
#include "tokenizer/cut.h"
#include "tokenizer/shared_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* The ids of the spans from `first` up to `end`, without offsets. */
typedef struct part {
  limn_tokens ids;
  size_t first, end;
} part;

typedef struct worker {
  limn_encoder *e;           /* made by the worker itself */
  part *parts;               /* those that wait, and behind them free ones */
  size_t n_waiting, n_parts; /* of them all */
  size_t n_failed;           /* the span at which it failed */
  limn_status status;
  limn_error err;
} worker;

struct limn_batch_encoder {
  const limn_tokenizer *t;
  limn_pool *pool;
  limn_encoder *alone; /* on one thread; or NULL, and then: */
  worker *workers;
  size_t n_workers, cache_bytes;
  limn_shared_cache *cache; /* of all workers; or NULL: each has one of cache_bytes */
};

typedef struct job {
  limn_batch_encoder *b;
  const limn_text *texts;
  const limn_span *spans; /* what is encoded, or NULL: the texts as they are */
  size_t n;               /* spans, or texts */
  size_t n_bytes, step;
  limn_special special;
  atomic_size_t next;   /* the first that nobody has taken */
  atomic_bool is_wrong; /* a span begins where no piece does */
  size_t *ends;         /* of spans: where in the text encoding ended; or NULL */
  /* Changed by who has the lock alone: the batch's ids, and starts up to that of span n_placed. */
  pthread_rwlock_t lock;
  limn_batch *out;
  size_t *starts; /* starts[i + 1] is how many ids span i has, before it has its place */
  size_t n_placed, bytes_placed;
  bool *is_done; /* (n) */
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
  size_t bytes = j->n_bytes / j->b->n_workers / STEPS_EACH;
  bytes = bytes < LEAST_STEP ? LEAST_STEP : bytes > MOST_STEP ? MOST_STEP : bytes;
  size_t step = bytes / (j->n_bytes / (j->n + 1) + 1);
  return step ? step : 1;
}

static size_t span_size_of(const job *j) {
  size_t size = j->n_bytes / j->b->n_workers / SPANS_EACH;
  return size < LEAST_SPAN ? LEAST_SPAN : size > MOST_SPAN ? MOST_SPAN : size;
}

/* What texts of so many bytes take as a rule; more where that is not enough. */
static size_t ids_expected(size_t n_bytes) {
  return n_bytes / 2 + 64;
}

/* ---- where ids belong ---------------------------------------------------------------------------
 */

/*
 * Gives room for n ids, and keeps those that are there. Resizing would copy all there is room for,
 * most of which nobody has touched.
 */
static limn_status grow_ids(job *j, size_t n_there, size_t n, limn_error *err) {
  limn_batch *out = j->out;
  if (n <= out->capacity) return LIMN_OK;
  size_t capacity = out->capacity ? out->capacity + out->capacity / 2 : ids_expected(j->n_bytes);
  capacity = capacity < n ? n : capacity;
  int32_t *ids = limn_resize(NULL, capacity, sizeof *ids);
  if (!ids) return limn_out_of_memory(err, "the tokens of texts");
  limn_want_huge_pages(ids, capacity * sizeof *ids);
  if (n_there > 0) memcpy(ids, out->ids, n_there * sizeof *ids);
  limn_free(out->ids);
  out->ids = ids;
  out->capacity = capacity;
  return LIMN_OK;
}

static size_t bytes_of(const job *j, size_t i) {
  return j->spans ? j->spans[i].to - j->spans[i].from : j->texts[i].n;
}

/*
 * How many ids there will be, if there are as many a byte as there were so far: ids are moved to
 * more room while there are few.
 */
static size_t ids_to_come(const job *j, size_t n_ids) {
  if (j->bytes_placed < j->n_bytes / 16) return n_ids;
  double all = (double)n_ids * ((double)j->n_bytes / (double)j->bytes_placed);
  return all > (double)n_ids ? (size_t)all : n_ids;
}

/* Whether a span begins where the one before it has ended. */
static bool begins_well(const job *j, size_t i) {
  return !j->ends || j->spans[i].from == 0 || j->spans[i].from == j->ends[i - 1];
}

/* Notes that these spans are done, and gives places to all that have none before them to wait for.
 */
static limn_status note_done(job *j, size_t first, size_t end, limn_error *err) {
  size_t *starts = j->starts;
  pthread_rwlock_wrlock(&j->lock);
  size_t n_there = starts[j->n_placed];
  memset(j->is_done + first, true, end - first);
  for (; j->n_placed < j->n && j->is_done[j->n_placed]; j->n_placed++) {
    if (!begins_well(j, j->n_placed)) atomic_store(&j->is_wrong, true);
    starts[j->n_placed + 1] += starts[j->n_placed];
    j->bytes_placed += bytes_of(j, j->n_placed);
  }
  limn_status status = grow_ids(j, n_there, ids_to_come(j, starts[j->n_placed]), err);
  pthread_rwlock_unlock(&j->lock);
  return status;
}

/* Copies a part to its place, a little at a time: others wait for the lock. */
static void put_part(job *j, const part *p) {
  enum { MOST = 16384 };
  for (size_t at = 0, n; at < p->ids.n; at += n) {
    n = p->ids.n - at < MOST ? p->ids.n - at : MOST;
    pthread_rwlock_rdlock(&j->lock);
    memcpy(j->out->ids + j->starts[p->first] + at, p->ids.ids + at, n * sizeof *p->ids.ids);
    pthread_rwlock_unlock(&j->lock);
  }
}

/* Copies the parts that have a place. */
static void put_parts(job *j, worker *w) {
  size_t n_left = 0;
  pthread_rwlock_rdlock(&j->lock);
  size_t n_placed = j->n_placed;
  pthread_rwlock_unlock(&j->lock);
  for (size_t i = 0; i < w->n_waiting; i++) {
    part p = w->parts[i];
    if (p.end <= n_placed) {
      put_part(j, &p);
    } else {
      w->parts[i] = w->parts[n_left];
      w->parts[n_left++] = p;
    }
  }
  w->n_waiting = n_left;
}

static void put_rest(void *user, size_t number) {
  job *j = user;
  put_parts(j, &j->b->workers[number]);
}

/* ---- encoding -----------------------------------------------------------------------------------
 */

static limn_status more_parts(worker *w, limn_error *err) {
  size_t n = 2 * w->n_parts + 4;
  part *parts = limn_resize(w->parts, n, sizeof *parts);
  if (!parts) return limn_out_of_memory(err, "the tokens of texts");
  memset(parts + w->n_parts, 0, (n - w->n_parts) * sizeof *parts);
  w->parts = parts;
  w->n_parts = n;
  return LIMN_OK;
}

/* The part that ends where this span begins, or a new one. */
static limn_status part_for(worker *w, size_t first, part **out, limn_error *err) {
  *out = w->n_waiting > 0 ? &w->parts[w->n_waiting - 1] : NULL;
  if (*out && (*out)->end == first) return LIMN_OK;
  limn_status status = w->n_waiting == w->n_parts ? more_parts(w, err) : LIMN_OK;
  if (status != LIMN_OK) return status;
  *out = &w->parts[w->n_waiting++];
  (*out)->first = (*out)->end = first;
  (*out)->ids.n = 0;
  return LIMN_OK;
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

static void encode_step(job *j, worker *w, size_t first, size_t end) {
  part *p;
  w->n_failed = first;
  w->status = part_for(w, first, &p, &w->err);
  for (size_t i = first; i < end && w->status == LIMN_OK; i++) {
    w->status = encode_one(j, w->e, &p->ids, i, &w->err);
    w->n_failed = i;
  }
  if (w->status != LIMN_OK) return;
  p->end = end;
  w->status = note_done(j, first, end, &w->err);
  if (w->status == LIMN_OK) put_parts(j, w);
}

static limn_status make_encoder(const limn_batch_encoder *b, limn_encoder **out, limn_error *err) {
  if (b->cache) return limn_encoder_new_sharing(b->t, b->cache, out, err);
  return limn_encoder_new(b->t, b->cache_bytes, out, err);
}

static void work(void *user, size_t number) {
  job *j = user;
  worker *w = &j->b->workers[number];
  w->status = LIMN_OK;
  w->n_failed = 0;
  if (!w->e) w->status = make_encoder(j->b, &w->e, &w->err);
  if (w->status != LIMN_OK) return;
  if (j->b->cache) limn_shared_cache_join(&w->e->cache);
  while (w->status == LIMN_OK && !atomic_load(&j->is_wrong)) {
    size_t first = atomic_fetch_add(&j->next, j->step);
    if (first >= j->n) break;
    encode_step(j, w, first, j->n - first < j->step ? j->n : first + j->step);
  }
  if (j->b->cache) limn_shared_cache_leave(&w->e->cache);
}

/* What the first text that failed says; memory comes before texts. */
static limn_status first_failure(const limn_batch_encoder *b, limn_error *err) {
  const worker *first = NULL;
  for (size_t i = 0; i < b->n_workers; i++) {
    const worker *w = &b->workers[i];
    if (w->status != LIMN_OK && (!first || w->n_failed < first->n_failed)) first = w;
  }
  if (!first) return LIMN_OK;
  if (err) *err = first->err;
  return first->status;
}

static limn_status run_team(job *j, limn_error *err) {
  limn_batch_encoder *b = j->b;
  pthread_rwlock_init(&j->lock, NULL);
  if (b->cache) limn_cache_expect(&b->cache->all, j->n_bytes);
  limn_pool_run(b->pool, b->n_workers, work, j);
  limn_status status = first_failure(b, err);
  if (status == LIMN_OK && !j->is_wrong) limn_pool_run(b->pool, b->n_workers, put_rest, j);
  pthread_rwlock_destroy(&j->lock);
  return status;
}

/* What is kept of a worker's room for the next batch: enough for a step as a rule. */
static void tidy_worker(worker *w) {
  for (size_t i = 0; i < w->n_parts; i++) {
    if (w->parts[i].ids.capacity > MOST_STEP) limn_tokens_deinit(&w->parts[i].ids);
  }
  w->n_waiting = 0;
}

/* Encodes spans, or texts, into j->out->ids and j->starts. */
static limn_status encode_on_team(job *j, limn_error *err) {
  limn_batch_encoder *b = j->b;
  limn_status status = LIMN_OK;
  j->step = step_of(j);
  j->is_done = limn_alloc_zeroed(j->n + 1, sizeof *j->is_done);
  if (!j->is_done) status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK && j->n_bytes > 0) status = grow_ids(j, 0, 1, err);
  if (status == LIMN_OK && j->n > 0) status = run_team(j, err);
  for (size_t i = 0; i < b->n_workers; i++)
    tidy_worker(&b->workers[i]);
  limn_free(j->is_done);
  return status;
}

/* The same for texts that are cut; a text ends where its last span does. */
static limn_status encode_spans(job *j, const limn_span *spans, size_t n_spans, limn_error *err) {
  j->spans = spans;
  j->n = n_spans;
  j->starts = limn_alloc_zeroed(n_spans + 1, sizeof *j->starts);
  j->ends = limn_alloc_zeroed(n_spans, sizeof *j->ends);
  limn_status status =
      j->starts && j->ends ? encode_on_team(j, err) : limn_out_of_memory(err, "the spans of texts");
  for (size_t i = 0; status == LIMN_OK && i < n_spans; i++)
    j->out->starts[spans[i].text + 1] = j->starts[i + 1];
  limn_free(j->starts);
  limn_free(j->ends);
  return status;
}

static limn_status encode_alone(job *j, limn_error *err) {
  limn_encoder *e = j->b->alone;
  limn_batch *out = j->out;
  limn_status status = j->n_bytes > 0 ? grow_ids(j, 0, 1, err) : LIMN_OK;
  limn_tokens ids = {0};
  limn_cache_expect(&e->cache, j->n_bytes);
  for (size_t i = 0; i < j->n && status == LIMN_OK; i++) {
    ids.ids = out->ids;
    ids.capacity = out->capacity;
    status = encode_one(j, e, &ids, i, err);
    out->ids = ids.ids;
    out->capacity = ids.capacity;
    out->starts[i + 1] = ids.n;
    j->bytes_placed += bytes_of(j, i);
    if (status == LIMN_OK) status = grow_ids(j, ids.n, ids_to_come(j, ids.n), err);
  }
  return status;
}

/* ---- the face -----------------------------------------------------------------------------------
 */

/* Where texts may be cut, and into spans of how many bytes; 0 for what is best. */
typedef struct cutting {
  limn_cut_place *is_place;
  size_t span_size;
  bool was_wrong;
} cutting;

static limn_status encode_cut(const job *all, cutting *how, limn_error *err) {
  limn_span *spans = NULL;
  size_t n_spans, span_size = how->span_size ? how->span_size : span_size_of(all);
  job j = *all;
  limn_status status = limn_cut_texts(j.b->t, j.texts, j.n, j.special, span_size, how->is_place,
                                      &spans, &n_spans, err);
  if (status == LIMN_OK && spans) status = encode_spans(&j, spans, n_spans, err);
  how->was_wrong = j.is_wrong;
  if (status == LIMN_OK && (!spans || j.is_wrong)) {
    j = *all;
    status = encode_on_team(&j, err);
  }
  limn_free(spans);
  return status;
}

/* Room for the starts of n texts, of which all but the first are written when these are encoded. */
static limn_status renew_starts(limn_batch *out, size_t n, limn_error *err) {
  size_t *starts = limn_resize(out->starts, n + 1, sizeof *starts);
  if (!starts) return limn_out_of_memory(err, "the tokens of texts");
  starts[0] = 0;
  out->starts = starts;
  out->n = n;
  return LIMN_OK;
}

static limn_status encode_batch(limn_batch_encoder *b, const limn_text *texts, size_t n,
                                limn_special special, cutting *how, limn_batch *out,
                                limn_error *err) {
  limn_status status = renew_starts(out, n, err);
  job j = {.b = b, .texts = texts, .n = n, .special = special, .out = out, .starts = out->starts};
  for (size_t i = 0; i < n; i++)
    j.n_bytes += texts[i].n;
  if (status == LIMN_OK) status = b->alone ? encode_alone(&j, err) : encode_cut(&j, how, err);
  if (status != LIMN_OK) limn_batch_deinit(out);
  return status;
}

static limn_status new_team(limn_batch_encoder *b, bool is_shared, limn_error *err) {
  b->n_workers = (size_t)limn_pool_size(b->pool);
  b->workers = limn_alloc_zeroed(b->n_workers, sizeof *b->workers);
  if (!b->workers) return limn_out_of_memory(err, "an encoder of batches");
  if (!is_shared) return LIMN_OK;
  b->cache = limn_alloc_zeroed(1, sizeof *b->cache);
  if (!b->cache) return limn_out_of_memory(err, "an encoder of batches");
  return limn_shared_cache_init(b->cache, b->cache_bytes, limn_loop_best()->hash, err);
}

static limn_status new_encoder(const limn_tokenizer *t, limn_pool *pool, size_t cache_bytes,
                               bool is_shared, limn_batch_encoder **out, limn_error *err) {
  limn_batch_encoder *b = limn_alloc_zeroed(1, sizeof *b);
  *out = NULL;
  if (!b) return limn_out_of_memory(err, "an encoder of batches");
  b->t = t;
  b->pool = pool;
  b->cache_bytes = cache_bytes;
  limn_status status = limn_pool_size(pool) > 1 ? new_team(b, is_shared, err)
                                                : limn_encoder_new(t, cache_bytes, &b->alone, err);
  if (status == LIMN_OK)
    *out = b;
  else
    limn_batch_encoder_free(b);
  return status;
}

/*
 * A cache of fewer bytes is not shared: it is full again and again, and one for all has to be
 * emptied then, where one of its own puts what is new in the place of what is old.
 */
#define LEAST_SHARED ((size_t)2 << 20)

limn_status limn_batch_encoder_new(const limn_tokenizer *t, limn_pool *pool, size_t cache_bytes,
                                   limn_batch_encoder **out, limn_error *err) {
  return new_encoder(t, pool, cache_bytes, cache_bytes >= LEAST_SHARED, out, err);
}

void limn_batch_encoder_free(limn_batch_encoder *b) {
  if (!b) return;
  limn_encoder_free(b->alone);
  for (size_t i = 0; b->workers && i < b->n_workers; i++) {
    for (size_t k = 0; k < b->workers[i].n_parts; k++)
      limn_tokens_deinit(&b->workers[i].parts[k].ids);
    limn_free(b->workers[i].parts);
    limn_encoder_free(b->workers[i].e);
  }
  if (b->cache) limn_shared_cache_deinit(b->cache);
  limn_free(b->cache);
  limn_free(b->workers);
  limn_free(b);
}

limn_status limn_batch_encoder_encode(limn_batch_encoder *b, const limn_text *texts, size_t n,
                                      limn_special special, limn_batch *out, limn_error *err) {
  cutting how = {.is_place = limn_is_between_words};
  return encode_batch(b, texts, n, special, &how, out, err);
}

/* A cache of more bytes than so many for each of a text is hardly of use. */
#define CACHE_A_BYTE 2

static limn_status encode_once(const limn_tokenizer *t, limn_pool *pool, const limn_text *texts,
                               size_t n, limn_special special, size_t cache_bytes, bool is_shared,
                               cutting *how, limn_batch *out, limn_error *err) {
  limn_batch_encoder *b;
  size_t n_bytes = 0;
  for (size_t i = 0; i < n; i++)
    n_bytes += texts[i].n;
  *out = (limn_batch){0};
  size_t worth = n_bytes < cache_bytes / CACHE_A_BYTE ? CACHE_A_BYTE * n_bytes : cache_bytes;
  limn_status status = new_encoder(t, pool, worth, is_shared, &b, err);
  if (status == LIMN_OK) status = encode_batch(b, texts, n, special, how, out, err);
  limn_batch_encoder_free(b);
  return status;
}

limn_status limn_encode_batch_cut(const limn_tokenizer *t, limn_pool *pool, const limn_text *texts,
                                  size_t n, size_t cache_bytes, size_t span_size,
                                  limn_cut_place *is_place, limn_batch *out, bool *was_wrong,
                                  limn_error *err) {
  cutting how = {.is_place = is_place, .span_size = span_size};
  limn_status status =
      encode_once(t, pool, texts, n, LIMN_SPECIAL_AS_TEXT, cache_bytes, true, &how, out, err);
  *was_wrong = how.was_wrong;
  return status;
}

limn_status limn_tokenizer_encode_batch(const limn_tokenizer *t, limn_pool *pool,
                                        const limn_text *texts, size_t n, limn_special special,
                                        size_t cache_bytes, limn_batch *out, limn_error *err) {
  cutting how = {.is_place = limn_is_between_words};
  return encode_once(t, pool, texts, n, special, cache_bytes, cache_bytes >= LEAST_SHARED, &how,
                     out, err);
}

void limn_batch_deinit(limn_batch *batch) {
  if (!batch) return;
  limn_free(batch->ids);
  limn_free(batch->starts);
  *batch = (limn_batch){0};
}
