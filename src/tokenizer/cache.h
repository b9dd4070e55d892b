/*
 * cache.h - inside the library: what pieces have merged to, remembered in a fixed room.
 *
 * An answer is what a piece is as ids, in 8 bytes: one id or two, or where in the store more of
 * them lie. Hot pieces are looked for first, at one place each. Buckets have the rest, four pieces
 * side by side. All is exact: keys are the pieces themselves, or a hash and then the bytes.
 */
#ifndef LIMN_SRC_TOKENIZER_CACHE_H
#define LIMN_SRC_TOKENIZER_CACHE_H

#include <limn/base.h>

#include <string.h>

/*
 * With the thread sanitizer nothing is read that another thread may be writing, but by single
 * loads: no keys by vectors, and no more ids than there are.
 */
#if defined(__SANITIZE_THREAD__)
#define LIMN_RACES_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LIMN_RACES_WATCHED 1
#endif
#endif

/* ---- answers ------------------------------------------------------------------------------------
 */

/*
 * The upper byte of `first` says what it is: 0, one or two ids, `second` being -1 where there is
 * none; 1 to 16, so many ids, which lie in the store at `second` * 4; LONG, a long piece's entry in
 * the store, there; NONE, none.
 */
typedef struct limn_answer {
  uint32_t first, second;
} limn_answer;

/* An answer as one word, which threads read and write as a whole. */
static inline uint64_t limn_answer_word(limn_answer a) {
  return a.first | (uint64_t)a.second << 32;
}
static inline limn_answer limn_word_answer(uint64_t word) {
  return (limn_answer){(uint32_t)word, (uint32_t)(word >> 32)};
}

#define LIMN_ID_BITS 24
/* No answer has more ids than this; what is behind them can be read, and is of no matter. */
#define LIMN_ANSWER_IDS 16

#define LIMN_ANSWER_LONG ((uint32_t)0x40 << LIMN_ID_BITS)
#define LIMN_ANSWER_NONE ((uint32_t)0xc0 << LIMN_ID_BITS)

/* Whether its ids are not in the answer itself. One of all ones has none anywhere. */
static inline bool limn_answer_has_stored(limn_answer a) {
  return a.first + ((uint32_t)1 << LIMN_ID_BITS) > ((uint32_t)2 << LIMN_ID_BITS) - 1;
}

/* How many ids an answer has in the store; 0 where it has them itself. Neither LONG nor NONE. */
static inline size_t limn_answer_stored(limn_answer a) {
  return a.first >> LIMN_ID_BITS;
}

/* How many are copied for them. */
static inline size_t limn_answer_copied(limn_answer a) {
#ifdef LIMN_RACES_WATCHED
  return limn_answer_stored(a);
#else
  (void)a;
  return LIMN_ANSWER_IDS;
#endif
}

/* ---- hot pieces ---------------------------------------------------------------------------------
 */

/*
 * The pieces met most, of up to 8 bytes. Zeros fill the key, so that a piece that ends in a zero is
 * none of them; an empty place has the key 0. A new one takes the place of the old.
 */
#define LIMN_HOT_PIECE 8

typedef struct limn_hot {
  uint64_t key;
  limn_answer answer;
} limn_hot;

#define LIMN_HOT_FACTOR 0x9e3779b97f4a7c15u

static inline size_t limn_hot_place(uint64_t key, unsigned shift) {
  return (size_t)(key * LIMN_HOT_FACTOR >> shift);
}

/* ---- buckets ------------------------------------------------------------------------------------
 */

/*
 * A piece of up to 15 bytes is its own key: the bytes, zeros, and the length in the last byte. The
 * key of more bytes is a hash, and the length or 255. An empty place has the key 0.
 */
#define LIMN_SHORT_PIECE 15
/* Pieces of more bytes than this are not kept. */
#define LIMN_KEPT_PIECE 512
/* Bytes behind the store that may be read. */
#define LIMN_STORE_SLACK 64

#define LIMN_BUCKET 4

/* The keys take a cache line; the answers lie in the next. */
typedef struct limn_bucket {
  uint64_t keys[LIMN_BUCKET][2];
  uint64_t answers[LIMN_BUCKET];
} limn_bucket;

/* How many places of a bucket are taken: the first ones. */
static inline size_t limn_bucket_used(const limn_bucket *b) {
  size_t n = 0;
  for (size_t i = 0; i < LIMN_BUCKET; i++)
    n += b->keys[i][1] != 0;
  return n;
}

/*
 * Whether a place has this key. Another thread may be writing it (shared_cache.c): the key's second
 * word comes last, and so is read first.
 */
static inline bool limn_bucket_has(const limn_bucket *b, size_t place, const uint64_t key[2]) {
  uint64_t high = __atomic_load_n(&b->keys[place][1], __ATOMIC_ACQUIRE);
  uint64_t low = __atomic_load_n(&b->keys[place][0], __ATOMIC_RELAXED);
  return ((low ^ key[0]) | (high ^ key[1])) == 0;
}

static inline limn_answer limn_bucket_answer(const limn_bucket *b, size_t place) {
  return limn_word_answer(__atomic_load_n(&b->answers[place], __ATOMIC_RELAXED));
}

/*
 * The key of a piece of 16 bytes and more: two hashes of the bytes in one go (Knuth's
 * multiplicative hashing, eight bytes a step, of which the last may overlap the one before).
 */
static inline void limn_hash_piece(const unsigned char *piece, size_t n, uint64_t key[2]) {
  uint64_t a = n, b = ~(uint64_t)n;
  for (size_t i = 0; i < n; i += 8) {
    uint64_t word;
    memcpy(&word, piece + (i < n - 8 ? i : n - 8), sizeof word);
    a = (a ^ word) * 0x9e3779b97f4a7c15u;
    a ^= a >> 32;
    b = (b + word) * 0xd6e8feb86659fd93u;
  }
  key[0] = a;
  key[1] = (uint64_t)(n < 255 ? n : 255) << 56 | b >> 8;
}

/* 32 bits on each of which every bit of the key counts. Loops may have a faster one. */
static inline uint32_t limn_cache_hash(uint64_t low, uint64_t high) {
  uint64_t h = low * 0x9e3779b97f4a7c15u;
  h = ((h ^ h >> 32) + high) * 0xd6e8feb86659fd93u;
  return (uint32_t)(h >> 32);
}

typedef struct limn_cache limn_cache;

/* How pieces are added: there is one for a cache of its own, one for those that share. */
typedef struct limn_cache_ways {
  void (*add)(limn_cache *c, uint32_t hash, const uint64_t key[2], limn_answer answer);
  /* At least so much room behind store_used; false if there is none. */
  bool (*make_room)(limn_cache *c, size_t size);
  void (*tidy)(limn_cache *c);
} limn_cache_ways;

struct limn_cache {
  limn_hot *hot; /* (n_hot + 1), of which the last is for what is not to be found */
  size_t n_hot;  /* 2^(64 - hot_shift) */
  unsigned hot_shift;
  limn_bucket *buckets; /* (most_buckets + 1), of which the last can be read beside another */
  size_t n_buckets, most_buckets, n_used; /* buckets there are, there is room for; places in use */
  unsigned char *store;
  size_t store_size, store_used, store_end; /* bytes; taken; that may be taken */
  bool is_full;                             /* something had no room: limn_cache_tidy forgets all */
  uint32_t (*hash)(uint64_t low, uint64_t high);
  const limn_cache_ways *ways;
  /* Whose buckets and store these are, or NULL: its own; how often all was forgotten there. */
  struct limn_shared_cache *shared;
  size_t n_forgotten;
};

/* The bucket for a hash: n_buckets times the hash as a fraction of one. */
static inline size_t limn_bucket_of(size_t n_buckets, uint32_t hash) {
  return (size_t)((uint64_t)hash * n_buckets >> 32);
}

/* A cache of so many bytes, by this hash. MEMORY. */
limn_status limn_cache_init(limn_cache *c, size_t bytes, uint32_t (*hash)(uint64_t, uint64_t),
                            limn_error *err);
void limn_cache_deinit(limn_cache *c);

/* Makes an empty cache as large as a text of so many bytes will at least need. */
void limn_cache_expect(limn_cache *c, size_t bytes);

/* What a key has, whose hash is `hash`; or NONE, which is taken to be the rule. */
static inline limn_answer limn_cache_find(const limn_cache *c, uint32_t hash,
                                          const uint64_t key[2]) {
  size_t at = limn_bucket_of(c->n_buckets, hash);
  for (size_t beside = 0; beside < 2; beside++) {
    const limn_bucket *b = &c->buckets[at ^ beside];
    for (size_t i = 0; i < LIMN_BUCKET; i++) {
      if (__builtin_expect(limn_bucket_has(b, i, key), 0)) return limn_bucket_answer(b, i);
    }
    /* None was left over. */
    if (__builtin_expect(__atomic_load_n(&b->keys[LIMN_BUCKET - 1][1], __ATOMIC_RELAXED) == 0, 1))
      break;
  }
  return (limn_answer){LIMN_ANSWER_NONE, 0};
}

/* Keeps the ids of a short piece that is not there; its answer, or NONE where there is no room. */
limn_answer limn_cache_keep(limn_cache *c, uint32_t hash, const uint64_t key[2], const int32_t *ids,
                            size_t n_ids);
/* The ids of a piece of 16 bytes and more, or NULL. */
const int32_t *limn_cache_find_long(const limn_cache *c, const uint64_t key[2],
                                    const unsigned char *piece, size_t n, size_t *n_ids);
/* Keeps a long piece; NONE where there is no room, or where its ids are too many for an answer. */
limn_answer limn_cache_keep_long(limn_cache *c, const uint64_t key[2], const unsigned char *piece,
                                 size_t n, const int32_t *ids, size_t n_ids);
/* Forgets all if something had no room. No answer from before counts after it. */
static inline void limn_cache_tidy(limn_cache *c) {
  c->ways->tidy(c);
}

/* For shared_cache.c: a cache without hot pieces, to be shared; and hot pieces for one that shares
 * it. Where there is no memory the cache is left empty. MEMORY. */
limn_status limn_cache_init_cold(limn_cache *c, size_t bytes, uint32_t (*hash)(uint64_t, uint64_t),
                                 limn_error *err);
limn_status limn_cache_make_hot(limn_cache *c, limn_error *err);
/* If more than half of the places are in use, doubles the buckets until no more than one in
 * `sparse` is, or there is no room. */
void limn_cache_grow(limn_cache *c, size_t sparse);
void limn_cache_forget(limn_cache *c);

/* ---- the store ----------------------------------------------------------------------------------
 */

static inline const int32_t *limn_cache_stored(const limn_cache *c, limn_answer a) {
  return (const int32_t *)(const void *)(c->store + (size_t)a.second * 4);
}

/* A long piece's entry: how many bytes, how many ids, the bytes padded to 4, the ids. */
typedef struct limn_long_entry {
  uint32_t n, n_ids;
} limn_long_entry;

static inline size_t limn_store_padded(size_t n) {
  return (n + 3) & ~(size_t)3;
}

/* The answer that ids in the store are. */
static inline limn_answer limn_answer_of(const limn_cache *c, const int32_t *ids, size_t n_ids) {
  size_t at = (size_t)((const unsigned char *)ids - c->store);
  if (n_ids > LIMN_ANSWER_IDS) return (limn_answer){LIMN_ANSWER_NONE, 0};
  return (limn_answer){(uint32_t)n_ids << LIMN_ID_BITS, (uint32_t)(at / 4)};
}

/* The ids of the entry that `a` (LONG) says, or NULL where it is another piece's. */
static inline const int32_t *limn_cache_long(const limn_cache *c, limn_answer a,
                                             const unsigned char *piece, size_t n, size_t *n_ids) {
  const unsigned char *at = c->store + (size_t)a.second * 4;
  limn_long_entry entry;
  memcpy(&entry, at, sizeof entry);
  if (entry.n != n || memcmp(at + sizeof entry, piece, n) != 0) return NULL;
  *n_ids = entry.n_ids;
  return (const int32_t *)(const void *)(at + sizeof entry + limn_store_padded(n));
}

#endif
