/*
 * shared_cache.h - inside the library: one cache for encoders that work at the same time.
 *
 * All of them read its buckets and its store and add to them, and none waits for another. Only what
 * moves or forgets what is there needs all of them at a place where they hold no answer: they meet.
 * Each has hot pieces of its own.
 */
#ifndef LIMN_SRC_TOKENIZER_SHARED_CACHE_H
#define LIMN_SRC_TOKENIZER_SHARED_CACHE_H

#include "tokenizer/cache.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct limn_shared_cache {
  /* Without hot pieces. n_used and store_used are changed by atomic operations, all else under the
   * lock; is_full: what they meet for is to forget all. */
  limn_cache all;
  atomic_bool is_called; /* they are to meet */
  size_t n_members, n_waiting, n_meetings;
  pthread_mutex_t lock;
  pthread_cond_t has_met;
} limn_shared_cache;

/* MEMORY. */
limn_status limn_shared_cache_init(limn_shared_cache *s, size_t bytes,
                                   uint32_t (*hash)(uint64_t, uint64_t), limn_error *err);
void limn_shared_cache_deinit(limn_shared_cache *s);

/* A cache that shares its buckets and store, with hot pieces of its own. MEMORY. */
limn_status limn_shared_cache_open(limn_shared_cache *s, limn_cache *c, limn_error *err);
/* It is used between these two, by one thread. */
void limn_shared_cache_join(limn_cache *c);
void limn_shared_cache_leave(limn_cache *c);

#endif
