/*
 * cache.c - what pieces have merged to: buckets that double where they lie, and the store.
 *
 * A new piece takes a free place of its bucket, or of the one beside it. What does not fit into an
 * answer lies in the store. When the store is full all is forgotten: remembering begins anew, and
 * the memory stays what it was.
 */
#include "tokenizer/cache.h"

#include "base/memory.h"

static const limn_cache_ways alone;

#define LEAST_BUCKETS 16
#define LEAST_HOT     64
#define MOST_HOT      ((size_t)1 << 15)
#define HUGE_WORTH    ((size_t)1 << 21)
/* More, and an answer could not say where in the store it lies. */
#define MOST_BYTES ((size_t)1 << 34)

/* What a cache of so many bytes has: hot pieces, and of the rest two thirds buckets, a third store.
 */
static void share_out(limn_cache *c, size_t bytes) {
  c->n_hot = LEAST_HOT;
  while (c->n_hot < MOST_HOT && 16 * c->n_hot * sizeof *c->hot <= bytes)
    c->n_hot *= 2;
  size_t hot = c->n_hot * sizeof *c->hot, left = bytes > hot ? bytes - hot : 0;
  size_t n = left / 3 * 2 / sizeof *c->buckets, doublings = 0;
  for (; n >> doublings >= 2 * (size_t)LEAST_BUCKETS; doublings++)
    ;
  /* Buckets double until there is no more room: as many as doubling gives. */
  c->n_buckets = n > LEAST_BUCKETS ? n >> doublings & ~(size_t)1 : LEAST_BUCKETS;
  c->most_buckets = c->n_buckets << doublings;
  size_t used = c->most_buckets * sizeof *c->buckets;
  c->store_size = c->store_end = left > used ? (left - used) / 16 * 16 : 0;
}

limn_status limn_cache_init_cold(limn_cache *c, size_t bytes, uint32_t (*hash)(uint64_t, uint64_t),
                                 limn_error *err) {
  *c = (limn_cache){.hash = hash, .ways = &alone};
  share_out(c, bytes < MOST_BYTES ? bytes : MOST_BYTES);
  c->buckets = limn_alloc_aligned(c->most_buckets + 1, sizeof *c->buckets);
  c->store = limn_alloc(c->store_size + LIMN_STORE_SLACK);
  if (!c->buckets || !c->store) {
    limn_cache_deinit(c);
    return limn_out_of_memory(err, "an encoder's cache");
  }
  memset(c->buckets, 0, c->n_buckets * sizeof *c->buckets);
  memset(c->buckets + c->most_buckets, 0, sizeof *c->buckets);
  return LIMN_OK;
}

limn_status limn_cache_make_hot(limn_cache *c, limn_error *err) {
  c->hot_shift = 64 - (unsigned)__builtin_ctzll(c->n_hot);
  c->hot = limn_alloc_aligned(c->n_hot + 1, sizeof *c->hot);
  if (c->hot) {
    memset(c->hot, 0, c->n_hot * sizeof *c->hot);
    return LIMN_OK;
  }
  limn_cache_deinit(c);
  return limn_out_of_memory(err, "an encoder's cache");
}

limn_status limn_cache_init(limn_cache *c, size_t bytes, uint32_t (*hash)(uint64_t, uint64_t),
                            limn_error *err) {
  limn_status status = limn_cache_init_cold(c, bytes, hash, err);
  return status == LIMN_OK ? limn_cache_make_hot(c, err) : status;
}

void limn_cache_deinit(limn_cache *c) {
  limn_free_aligned(c->hot);
  if (!c->shared) limn_free_aligned(c->buckets);
  if (!c->shared) limn_free(c->store);
  *c = (limn_cache){0};
}

/* ---- buckets ------------------------------------------------------------------------------------
 */

/*
 * Puts an answer into its bucket or, where that is full, into the one beside it; where both are, in
 * its bucket's last place: what came first is met most, and stays where it is found at once. Places
 * are taken from the first on. Whether one more is in use then.
 */
static bool put(limn_cache *c, uint32_t hash, const uint64_t key[2], limn_answer answer) {
  size_t at = limn_bucket_of(c->n_buckets, hash), place = limn_bucket_used(&c->buckets[at]);
  bool is_more = true;
  if (__builtin_expect(place == LIMN_BUCKET, 0)) {
    place = limn_bucket_used(&c->buckets[at ^ 1]);
    is_more = place < LIMN_BUCKET;
    at ^= is_more;
    place -= !is_more;
  }
  memcpy(c->buckets[at].keys[place], key, sizeof c->buckets[at].keys[place]);
  c->buckets[at].answers[place] = limn_answer_word(answer);
  return is_more;
}

static void put_all(limn_cache *c, const limn_bucket *b) {
  for (size_t i = 0, n = limn_bucket_used(b); i < n; i++)
    c->n_used +=
        put(c, c->hash(b->keys[i][0], b->keys[i][1]), b->keys[i], limn_bucket_answer(b, i));
}

static void set_size(limn_cache *c, size_t n_buckets) {
  size_t old = c->n_buckets * sizeof *c->buckets, size = n_buckets * sizeof *c->buckets;
  /* Once it is worth it: before, a page of two million bytes would be one too many. */
  if (size >= HUGE_WORTH && old < HUGE_WORTH)
    limn_want_huge_pages(c->buckets, c->most_buckets * sizeof *c->buckets);
  c->n_buckets = n_buckets;
}

/*
 * Doubles the buckets where they lie, from the last to the first: two that are beside each other go
 * to four, which none before them needs any more.
 */
static void grow_once(limn_cache *c) {
  size_t n_old = c->n_buckets;
  c->n_used = 0;
  set_size(c, 2 * n_old);
  for (size_t i = n_old; i > 0;) {
    i -= 2;
    limn_bucket old[2];
    memcpy(old, c->buckets + i, sizeof old);
    memset(c->buckets + 2 * i, 0, 2 * sizeof old);
    put_all(c, &old[0]);
    put_all(c, &old[1]);
  }
}

void limn_cache_grow(limn_cache *c, size_t sparse) {
  if (c->n_used <= LIMN_BUCKET / 2 * c->n_buckets) return;
  while (c->n_used * sparse > LIMN_BUCKET * c->n_buckets && c->n_buckets < c->most_buckets)
    grow_once(c);
}

/* A new piece comes every hundred bytes or so, and later not so often. */
#define BYTES_A_PIECE 150

void limn_cache_expect(limn_cache *c, size_t bytes) {
  size_t n = c->n_buckets, wanted = bytes / BYTES_A_PIECE / (LIMN_BUCKET / 2);
  if (c->n_used > 0 || c->shared) return;
  while (n < wanted && n < c->most_buckets)
    n *= 2;
  if (n == c->n_buckets) return;
  set_size(c, n);
  memset(c->buckets, 0, n * sizeof *c->buckets);
}

static void add(limn_cache *c, uint32_t hash, const uint64_t key[2], limn_answer answer) {
  limn_cache_grow(c, 2);
  c->n_used += put(c, hash, key, answer);
}

/* ---- the store ----------------------------------------------------------------------------------
 */

/* Room for so many bytes in the store, or NULL; *place is where. */
static unsigned char *take_store(limn_cache *c, size_t size, uint32_t *place) {
  if (size > c->store_size / 4) return NULL;
  if (size > c->store_end - c->store_used && !c->ways->make_room(c, size)) {
    c->is_full = true;
    return NULL;
  }
  unsigned char *taken = c->store + c->store_used;
  *place = (uint32_t)(c->store_used / 4);
  c->store_used += size;
  return taken;
}

limn_answer limn_cache_keep(limn_cache *c, uint32_t hash, const uint64_t key[2], const int32_t *ids,
                            size_t n_ids) {
  limn_answer answer = {(uint32_t)ids[0], n_ids == 2 ? (uint32_t)ids[1] : UINT32_MAX};
  if (n_ids > 2) {
    unsigned char *at = take_store(c, n_ids * sizeof *ids, &answer.second);
    if (!at) return (limn_answer){LIMN_ANSWER_NONE, 0};
    answer.first = (uint32_t)n_ids << LIMN_ID_BITS;
    memcpy(at, ids, n_ids * sizeof *ids);
  }
  c->ways->add(c, hash, key, answer);
  return answer;
}

const int32_t *limn_cache_find_long(const limn_cache *c, const uint64_t key[2],
                                    const unsigned char *piece, size_t n, size_t *n_ids) {
  limn_answer a = limn_cache_find(c, c->hash(key[0], key[1]), key);
  return a.first == LIMN_ANSWER_LONG ? limn_cache_long(c, a, piece, n, n_ids) : NULL;
}

limn_answer limn_cache_keep_long(limn_cache *c, const uint64_t key[2], const unsigned char *piece,
                                 size_t n, const int32_t *ids, size_t n_ids) {
  limn_answer answer = {LIMN_ANSWER_LONG, 0};
  limn_long_entry entry = {(uint32_t)n, (uint32_t)n_ids};
  size_t padded = limn_store_padded(n);
  unsigned char *at = take_store(c, sizeof entry + padded + n_ids * sizeof *ids, &answer.second);
  if (!at) return (limn_answer){LIMN_ANSWER_NONE, 0};
  memcpy(at, &entry, sizeof entry);
  memcpy(at + sizeof entry, piece, n);
  memcpy(at + sizeof entry + padded, ids, n_ids * sizeof *ids);
  c->ways->add(c, c->hash(key[0], key[1]), key, answer);
  return limn_answer_of(c, (const int32_t *)(const void *)(at + sizeof entry + padded), n_ids);
}

void limn_cache_forget(limn_cache *c) {
  if (c->hot) memset(c->hot, 0, c->n_hot * sizeof *c->hot);
  memset(c->buckets, 0, c->n_buckets * sizeof *c->buckets);
  c->n_used = 0;
  c->store_used = 0;
  c->is_full = false;
}

/* ---- a cache of its own -------------------------------------------------------------------------
 */

static bool make_room(limn_cache *c, size_t size) {
  (void)c, (void)size;
  return false; /* all there is can be taken from the beginning on */
}

static void tidy(limn_cache *c) {
  if (c->is_full) limn_cache_forget(c);
}

static const limn_cache_ways alone = {add, make_room, tidy};
