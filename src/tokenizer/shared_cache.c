/*
 * shared_cache.c - one cache for encoders that work at the same time.
 *
 * A place of a bucket is taken once: by setting the key's second word, which is 0 till then, to one
 * that no piece has. Who has it writes the answer and the first word, and the key's real second
 * word at last; whoever reads that, reads the rest. Two may add the same piece, each in a place of
 * its own: both are right. Nothing is replaced: if there is no room the piece is not kept, and when
 * as many have come as there are places, all is forgotten.
 *
 * Buckets double, or all is forgotten, when every member has come between two answers; the last to
 * come does it, and those that wait go on.
 */
#include "tokenizer/shared_cache.h"

/* No piece's: its length would be 0. */
#define TAKEN ((uint64_t)1)

/* Buckets grow until at most one place in so many is in use: all stop for it, so it is seldom done.
 */
#define SPARSE 8

/* Pieces that are told of together; bytes of the store that are taken together, at most that part
 * of it. */
#define PIECES_TOLD 64
#define STORE_TAKEN 4096
#define STORE_PARTS 64

limn_status limn_shared_cache_init(limn_shared_cache *s, size_t bytes,
                                   uint32_t (*hash)(uint64_t, uint64_t), limn_error *err) {
  memset(s, 0, sizeof *s);
  limn_status status = limn_cache_init_cold(&s->all, bytes, hash, err);
  if (status != LIMN_OK) return status;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->has_met, NULL);
  return LIMN_OK;
}

void limn_shared_cache_deinit(limn_shared_cache *s) {
  if (!s->all.buckets) return;
  limn_cache_deinit(&s->all);
  pthread_cond_destroy(&s->has_met);
  pthread_mutex_destroy(&s->lock);
}

static const limn_cache_ways shared;

limn_status limn_shared_cache_open(limn_shared_cache *s, limn_cache *c, limn_error *err) {
  const limn_cache *all = &s->all;
  /* What does not change; limn_shared_cache_join takes the rest. */
  *c = (limn_cache){.n_hot = all->n_hot,
                    .buckets = all->buckets,
                    .most_buckets = all->most_buckets,
                    .store = all->store,
                    .store_size = all->store_size,
                    .hash = all->hash,
                    .ways = &shared,
                    .shared = s};
  return limn_cache_make_hot(c, err);
}

/* ---- meeting ------------------------------------------------------------------------------------
 */

static void call(limn_shared_cache *s, bool is_full) {
  pthread_mutex_lock(&s->lock);
  s->all.is_full |= is_full;
  atomic_store_explicit(&s->is_called, true, memory_order_relaxed);
  pthread_mutex_unlock(&s->lock);
}

/* What they meet for, done by the last to come. */
static void meet(limn_shared_cache *s) {
  if (s->all.is_full) {
    limn_cache_forget(&s->all);
    s->all.n_forgotten++;
  }
  limn_cache_grow(&s->all, SPARSE);
  atomic_store_explicit(&s->is_called, false, memory_order_relaxed);
  s->n_waiting = 0;
  s->n_meetings++;
  pthread_cond_broadcast(&s->has_met);
}

/* What a member sees of it from now on. */
static void look(limn_cache *c) {
  const limn_cache *all = &c->shared->all;
  c->n_buckets = all->n_buckets;
  if (c->n_forgotten == all->n_forgotten) return;
  memset(c->hot, 0, c->n_hot * sizeof *c->hot);
  c->n_used = c->store_used = c->store_end = 0;
  c->is_full = false;
  c->n_forgotten = all->n_forgotten;
}

static void tidy(limn_cache *c) {
  limn_shared_cache *s = c->shared;
  if (!atomic_load_explicit(&s->is_called, memory_order_relaxed)) return;
  pthread_mutex_lock(&s->lock);
  size_t n_meetings = s->n_meetings;
  if (atomic_load_explicit(&s->is_called, memory_order_relaxed)) {
    if (++s->n_waiting == s->n_members) meet(s);
    while (s->n_meetings == n_meetings)
      pthread_cond_wait(&s->has_met, &s->lock);
  }
  look(c);
  pthread_mutex_unlock(&s->lock);
}

void limn_shared_cache_join(limn_cache *c) {
  pthread_mutex_lock(&c->shared->lock);
  c->shared->n_members++;
  look(c);
  pthread_mutex_unlock(&c->shared->lock);
}

void limn_shared_cache_leave(limn_cache *c) {
  limn_shared_cache *s = c->shared;
  pthread_mutex_lock(&s->lock);
  s->n_members--;
  if (s->n_waiting == s->n_members && atomic_load_explicit(&s->is_called, memory_order_relaxed))
    meet(s);
  pthread_mutex_unlock(&s->lock);
}

/* ---- adding -------------------------------------------------------------------------------------
 */

/* Takes a free place of a bucket, if there is one, and fills it. */
static bool fill(limn_bucket *b, const uint64_t key[2], limn_answer answer) {
  for (size_t i = 0; i < LIMN_BUCKET; i++) {
    uint64_t free = 0, *high = &b->keys[i][1];
    if (__atomic_load_n(high, __ATOMIC_RELAXED) != 0) continue;
    if (!__atomic_compare_exchange_n(high, &free, TAKEN, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
      continue;
    __atomic_store_n(&b->answers[i], limn_answer_word(answer), __ATOMIC_RELAXED);
    __atomic_store_n(&b->keys[i][0], key[0], __ATOMIC_RELAXED);
    __atomic_store_n(high, key[1], __ATOMIC_RELEASE);
    return true;
  }
  return false;
}

static void tell(limn_cache *c) {
  limn_cache *all = &c->shared->all;
  size_t n = __atomic_add_fetch(&all->n_used, c->n_used, __ATOMIC_RELAXED);
  c->n_used = 0;
  bool is_largest = c->n_buckets == c->most_buckets;
  if (n > (is_largest ? LIMN_BUCKET : LIMN_BUCKET / 2) * c->n_buckets) call(c->shared, is_largest);
}

static void add(limn_cache *c, uint32_t hash, const uint64_t key[2], limn_answer answer) {
  size_t at = limn_bucket_of(c->n_buckets, hash);
  if (!fill(&c->buckets[at], key, answer)) fill(&c->buckets[at ^ 1], key, answer);
  if (++c->n_used == PIECES_TOLD) tell(c);
}

/* Takes more of the store, from which it alone will take. */
static bool make_room(limn_cache *c, size_t size) {
  limn_shared_cache *s = c->shared;
  size_t usual = c->store_size / STORE_PARTS / 16 * 16;
  usual = usual < STORE_TAKEN ? usual : STORE_TAKEN;
  if (c->is_full) return false;
  size_t taken = size < usual ? usual : size;
  size_t at = __atomic_fetch_add(&s->all.store_used, taken, __ATOMIC_RELAXED);
  if (at > c->store_size || taken > c->store_size - at) {
    call(s, true);
    return false;
  }
  c->store_used = at;
  c->store_end = at + taken;
  return true;
}

static const limn_cache_ways shared = {add, make_room, tidy};
