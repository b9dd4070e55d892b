/*
 * batch.c - encoding many texts on a team of threads.
 *
 * The texts are in blocks, one for each worker or more. A worker with its encoder goes through a
 * block step by step, some texts at a time: what is alike mostly stands together, and then is
 * learned once. When no block is left it takes steps from the block of which most is left. Where a
 * step's ids belong is known when all before it are done; until then they wait. So the result does
 * not depend on who did what. Long texts are cut (cut.h). One worker alone cuts nothing and writes
 * the result at once.
 */
#include "tokenizer/cut.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* The ids of the spans from `first` up to `end`, without offsets. */
typedef struct part {
  limn_tokens ids;
  size_t first, end;
} part;

/* Spans up to `end`, of which `next` is the first that nobody has taken. On a cache line alone. */
typedef struct block {
  atomic_size_t next;
  size_t end;
  unsigned char apart[64 - 2 * sizeof(size_t)];
} block;

typedef struct worker {
  block *block;
  part *parts;               /* those that wait, the latest last, and behind them free ones */
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
  size_t n_bytes, block_bytes, step, cache_bytes;
  limn_special special;
  worker *workers;
  size_t n_workers;
  block *blocks;
  size_t n_blocks;
  atomic_size_t next_block;
  atomic_bool is_wrong; /* a span begins where no piece does */
  size_t *ends;         /* of spans: where in the text encoding ended; or NULL */
  /* Changed by who has the lock alone: ids, and starts up to that of span n_placed. */
  pthread_rwlock_t lock;
  int32_t *ids;
  size_t *starts; /* starts[i + 1] is how many ids span i has, before it has its place */
  size_t capacity, n_placed;
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

/* Blocks are no larger, or too many ids would wait. */
#define MOST_BLOCK ((size_t)1 << 23)

static size_t step_of(const job *j) {
  size_t bytes = j->n_bytes / j->n_workers / STEPS_EACH;
  bytes = bytes < LEAST_STEP ? LEAST_STEP : bytes > MOST_STEP ? MOST_STEP : bytes;
  size_t step = bytes / (j->n_bytes / (j->n + 1) + 1);
  return step ? step : 1;
}

/* What texts of so many bytes take as a rule; more where that is not enough. */
static size_t ids_expected(size_t n_bytes) {
  return n_bytes / 2 + 64;
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

/* Notes that these spans are done, and gives places to all that have none before them to wait for.
 */
static limn_status note_done(job *j, size_t first, size_t end, limn_error *err) {
  size_t *starts = j->starts;
  pthread_rwlock_wrlock(&j->lock);
  memset(j->is_done + first, true, end - first);
  for (; j->n_placed < j->n && j->is_done[j->n_placed]; j->n_placed++) {
    if (!begins_well(j, j->n_placed)) atomic_store(&j->is_wrong, true);
    starts[j->n_placed + 1] += starts[j->n_placed];
  }
  limn_status status = grow_ids(j, starts[j->n_placed], err);
  pthread_rwlock_unlock(&j->lock);
  return status;
}

/* Copies a part to its place, a little at a time: others wait for the lock. */
static void put_part(job *j, const part *p) {
  enum { MOST = 16384 };
  for (size_t at = 0, n; at < p->ids.n; at += n) {
    n = p->ids.n - at < MOST ? p->ids.n - at : MOST;
    pthread_rwlock_rdlock(&j->lock);
    memcpy(j->ids + j->starts[p->first] + at, p->ids.ids + at, n * sizeof *p->ids.ids);
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
  put_parts(j, &j->workers[number]);
}

/* ---- encoding -----------------------------------------------------------------------------------
 */

/* A cache of more bytes than so many for each of a text is hardly of use. */
#define CACHE_A_BYTE 2

/* An encoder for a worker's share of the texts. */
static limn_status make_encoder(const job *j, limn_encoder **out, limn_error *err) {
  size_t share = j->n_bytes / j->n_workers;
  size_t worth = share < j->cache_bytes / CACHE_A_BYTE ? CACHE_A_BYTE * share : j->cache_bytes;
  limn_status status = limn_encoder_new(j->t, worth, out, err);
  if (status == LIMN_OK) limn_cache_expect(&(*out)->cache, share);
  return status;
}

static limn_status more_parts(worker *w, limn_error *err) {
  size_t n = 2 * w->n_parts + 4;
  part *parts = limn_resize(w->parts, n, sizeof *parts);
  if (!parts) return limn_out_of_memory(err, "the tokens of texts");
  memset(parts + w->n_parts, 0, (n - w->n_parts) * sizeof *parts);
  w->parts = parts;
  w->n_parts = n;
  return LIMN_OK;
}

/* Room for as many ids as a block has. */
static limn_status widen(const job *j, part *p, limn_error *err) {
  size_t wanted = ids_expected(j->block_bytes);
  if (p->ids.capacity >= wanted) return LIMN_OK;
  int32_t *ids = limn_resize(p->ids.ids, wanted, sizeof *ids);
  if (!ids) return limn_out_of_memory(err, "the tokens of texts");
  limn_want_huge_pages(ids, wanted * sizeof *ids);
  p->ids.ids = ids;
  p->ids.capacity = wanted;
  return LIMN_OK;
}

/* The part that ends where this span begins, or a new one; the last of those that wait. */
static limn_status part_for(const job *j, worker *w, size_t first, limn_error *err) {
  if (w->n_waiting > 0 && w->parts[w->n_waiting - 1].end == first)
    return widen(j, &w->parts[w->n_waiting - 1], err);
  limn_status status = w->n_waiting == w->n_parts ? more_parts(w, err) : LIMN_OK;
  if (status != LIMN_OK) return status;
  part *p = &w->parts[w->n_waiting++];
  p->first = p->end = first;
  p->ids.n = 0;
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

static void encode_step(job *j, limn_encoder *e, worker *w, size_t first, size_t end) {
  w->n_failed = first;
  w->status = part_for(j, w, first, &w->err);
  for (size_t i = first; i < end && w->status == LIMN_OK; i++) {
    w->status = encode_one(j, e, &w->parts[w->n_waiting - 1].ids, i, &w->err);
    w->n_failed = i;
  }
  if (w->status != LIMN_OK) return;
  w->parts[w->n_waiting - 1].end = end;
  w->status = note_done(j, first, end, &w->err);
  if (w->status == LIMN_OK) put_parts(j, w);
}

static size_t left_in(block *b) {
  size_t next = atomic_load_explicit(&b->next, memory_order_relaxed);
  return next < b->end ? b->end - next : 0;
}

/* The next block, or the one of which most is left, or NULL. */
static block *next_block(job *j) {
  size_t i = atomic_fetch_add(&j->next_block, 1);
  if (i < j->n_blocks) return &j->blocks[i];
  block *best = &j->blocks[0];
  for (i = 1; i < j->n_blocks; i++) {
    if (left_in(&j->blocks[i]) > left_in(best)) best = &j->blocks[i];
  }
  return left_in(best) > 0 ? best : NULL;
}

static void work(void *user, size_t number) {
  job *j = user;
  worker *w = &j->workers[number];
  limn_encoder *e;
  w->status = make_encoder(j, &e, &w->err);
  w->block = next_block(j);
  while (w->status == LIMN_OK && w->block && !atomic_load(&j->is_wrong)) {
    size_t first = atomic_fetch_add(&w->block->next, j->step);
    if (first < w->block->end)
      encode_step(j, e, w, first,
                  w->block->end - first < j->step ? w->block->end : first + j->step);
    else
      w->block = next_block(j);
  }
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

static size_t bytes_of(const job *j, size_t i) {
  return j->spans ? j->spans[i].to - j->spans[i].from : j->texts[i].n;
}

static limn_status make_blocks(job *j, limn_error *err) {
  size_t bytes = j->n_bytes / j->n_workers + 1;
  j->block_bytes = bytes < MOST_BLOCK ? bytes : MOST_BLOCK;
  j->blocks = limn_alloc_zeroed(j->n_bytes / j->block_bytes + 1, sizeof *j->blocks);
  if (!j->blocks) return limn_out_of_memory(err, "the tokens of texts");
  size_t n = 0, first = 0, size = 0;
  for (size_t i = 0; i < j->n; i++) {
    size += bytes_of(j, i);
    if (size < j->block_bytes && i + 1 < j->n) continue;
    atomic_init(&j->blocks[n].next, first);
    j->blocks[n++].end = first = i + 1;
    size = 0;
  }
  j->n_blocks = n;
  return LIMN_OK;
}

/* Encodes spans, or texts, into j->ids and j->starts. */
static limn_status encode_on_team(job *j, limn_pool *pool, limn_error *err) {
  j->step = step_of(j);
  j->workers = limn_alloc_zeroed(j->n_workers, sizeof *j->workers);
  j->is_done = limn_alloc_zeroed(j->n + 1, sizeof *j->is_done);
  limn_status status = LIMN_OK;
  if (!j->workers || !j->is_done) status = limn_out_of_memory(err, "the tokens of texts");
  if (status == LIMN_OK) status = make_blocks(j, err);
  if (status == LIMN_OK && j->n_bytes > 0) status = grow_ids(j, 1, err);
  if (status == LIMN_OK && j->n > 0) status = run_team(j, pool, err);
  for (size_t i = 0; j->workers && i < j->n_workers; i++) {
    for (size_t k = 0; k < j->workers[i].n_parts; k++)
      limn_tokens_deinit(&j->workers[i].parts[k].ids);
    limn_free(j->workers[i].parts);
  }
  limn_free(j->workers);
  limn_free(j->blocks);
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
