/*
 * train.c - learning merges (Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare
 * Words with Subword Units", algorithm 1), with counts that are kept up rather than made anew.
 *
 * All different pieces stand one behind the other in one array, a place for each byte. A token is
 * written at its first and its last byte's place, so that its neighbours are found by adding and
 * subtracting lengths; what lies between is dead. For each pair of neighbours there is its count
 * and a list of where it may stand. A merge walks down the list of its pair; only what stands left
 * and right of those places changes count, and only the pairs with the new token get new lists.
 * Old lists are not mended: a place where the pair no longer stands is passed over.
 *
 * The pair to merge comes from a heap, by count, then by ids. Counts that have changed since a pair
 * went in are noticed as it comes out; it then goes back with the right one.
 *
 * No two merges make the same bytes. A place where a token stands, and where at an earlier time no
 * token reached across its ends, has gone through the same merges as those bytes alone: whenever
 * the bytes became one token anywhere, they became one here. So a pair comes into being in one
 * merge only, the one that makes the later of its two tokens, and has one list and one place in the
 * heap.
 */
#include "tokenizer/train.h"
#include "base/utf8.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MOST_TOKENS (1 << 24)

#define OUTSIDE (-1) /* before, between and behind pieces */
#define DEAD    (-2) /* inside a token */

/* Bytes of a text that are brought into NFC at once, but for its last. */
#define LEAST_CHUNK ((size_t)1 << 16)

#define LIST_BLOCK ((size_t)1 << 18) /* places that are allocated at once */

typedef struct list_block {
  struct list_block *next;
  uint32_t places[];
} list_block;

/* A pair of neighbours. */
typedef struct pair_count {
  uint64_t key; /* left << 32 | right; NO_KEY in an empty place */
  int64_t count;
} pair_count;

#define NO_KEY UINT64_MAX

/* A pair in the heap, with the count that it went in with. */
typedef struct candidate {
  int64_t count;
  uint64_t key;
  uint32_t list;
} candidate;

typedef struct place_list {
  uint32_t *places; /* ascending */
  uint32_t n;
} place_list;

/* What a merge does to the pairs with one neighbour on one side. */
typedef struct neighbour {
  int64_t lost;   /* of the pair with the old token */
  int64_t gained; /* of the pair with the new one */
  uint32_t n;     /* places of the new pair */
  uint32_t *places;
} neighbour;

/* The new pair with `id` came to stand at `place`. */
typedef struct event {
  int32_t id;
  uint32_t place;
} event;

enum { LEFT, RIGHT };

typedef struct side {
  neighbour *of;    /* (wanted) by id */
  int32_t *touched; /* (wanted) ids that this merge has met */
  int32_t n_touched;
  event *events;
  size_t n_events, capacity;
} side;

/* Pieces with the same count stand together, up to place `end`. */
typedef struct count_group {
  uint32_t end;
  int64_t count;
} count_group;

typedef struct learning {
  limn_trainer *t;
  int32_t *symbols;
  uint32_t n_symbols;
  count_group *groups;
  size_t n_groups, group; /* the one looked at last */
  uint32_t *lengths;      /* (wanted) bytes of each token */
  pair_count *pairs;
  size_t n_pairs, pairs_size;
  place_list *lists;
  size_t n_lists, lists_capacity;
  candidate *heap;
  size_t n_heap, heap_capacity;
  list_block *blocks;
  size_t block_used, block_size;
  side sides[2];
} learning;

static uint64_t key_of(int32_t left, int32_t right) {
  return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static pair_count *pair_place(pair_count *pairs, size_t size, uint64_t key) {
  uint64_t h = key * 0x9e3779b97f4a7c15u;
  size_t i = (size_t)(h ^ h >> 32) & (size - 1);
  while (pairs[i].key != key && pairs[i].key != NO_KEY)
    i = (i + 1) & (size - 1);
  return &pairs[i];
}

static bool grow_pairs(learning *l) {
  size_t size = l->pairs_size ? 2 * l->pairs_size : 1 << 16;
  pair_count *pairs = limn_resize(NULL, size, sizeof *pairs);
  if (!pairs) return false;
  memset(pairs, 0xff, size * sizeof *pairs);
  for (size_t i = 0; i < l->pairs_size; i++)
    if (l->pairs[i].key != NO_KEY) *pair_place(pairs, size, l->pairs[i].key) = l->pairs[i];
  limn_free(l->pairs);
  l->pairs = pairs;
  l->pairs_size = size;
  return true;
}

/* NULL without memory. Valid until the next call. */
static pair_count *find_pair(learning *l, uint64_t key) {
  if (2 * (l->n_pairs + 1) > l->pairs_size && !grow_pairs(l)) return NULL;
  pair_count *p = pair_place(l->pairs, l->pairs_size, key);
  if (p->key == NO_KEY) {
    *p = (pair_count){.key = key};
    l->n_pairs++;
  }
  return p;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool comes_before(const candidate *a, const candidate *b) {
  if (a->count != b->count) return a->count > b->count;
  return a->key < b->key;
}

static bool push(learning *l, candidate c) {
  if (l->n_heap == l->heap_capacity) {
    size_t capacity = l->heap_capacity ? 2 * l->heap_capacity : 1024;
    candidate *heap = limn_resize(l->heap, capacity, sizeof *heap);
    if (!heap) return false;
    l->heap = heap;
    l->heap_capacity = capacity;
  }
  size_t i = l->n_heap++;
  for (; i > 0 && comes_before(&c, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
    l->heap[i] = l->heap[(i - 1) / 2];
  l->heap[i] = c;
  return true;
}

/* Puts `c` in the place of the first and lets it sink to where it belongs. */
static void replace_first(learning *l, candidate c) {
  size_t i = 0;
  for (size_t child; (child = 2 * i + 1) < l->n_heap; i = child) {
    if (child + 1 < l->n_heap && comes_before(&l->heap[child + 1], &l->heap[child])) child++;
    if (!comes_before(&l->heap[child], &c)) break;
    l->heap[i] = l->heap[child];
  }
  l->heap[i] = c;
}

/* The pair to merge now; false when the heap is empty. */
static bool pop(learning *l, candidate *c) {
  while (l->n_heap > 0) {
    *c = l->heap[0];
    int64_t count = pair_place(l->pairs, l->pairs_size, c->key)->count;
    if (count == c->count) {
      l->n_heap--;
      if (l->n_heap > 0) replace_first(l, l->heap[l->n_heap]);
      return true;
    }
    c->count = count;
    replace_first(l, *c);
  }
  return false;
}

/* ---- lists of places ------------------------------------------------------------------------- */

static uint32_t *take_places(learning *l, size_t n) {
  if (n > l->block_size - l->block_used) {
    size_t size = n > LIST_BLOCK ? n : LIST_BLOCK, bytes;
    bool fits = limn_size_mul(size, sizeof(uint32_t), &bytes) &&
                limn_size_add(bytes, sizeof(list_block), &bytes);
    list_block *block = fits ? limn_alloc(bytes) : NULL;
    if (!block) return NULL;
    block->next = l->blocks;
    l->blocks = block;
    l->block_used = 0;
    l->block_size = size;
  }
  uint32_t *places = l->blocks->places + l->block_used;
  l->block_used += n;
  return places;
}

/* Puts a pair with its places into the heap. */
static bool add_candidate(learning *l, pair_count *pair, uint32_t *places, uint32_t n) {
  if (l->n_lists == l->lists_capacity) {
    size_t capacity = l->lists_capacity ? 2 * l->lists_capacity : 1024;
    place_list *lists = limn_resize(l->lists, capacity, sizeof *lists);
    if (!lists) return false;
    l->lists = lists;
    l->lists_capacity = capacity;
  }
  if (l->n_lists > UINT32_MAX) return false;
  l->lists[l->n_lists] = (place_list){places, n};
  return push(l, (candidate){pair->count, pair->key, (uint32_t)l->n_lists++});
}

/* ---- a merge --------------------------------------------------------------------------------- */

/* How often the piece occurs that has this place. */
static int64_t count_at(learning *l, uint32_t place) {
  size_t g = l->group;
  bool is_here = place < l->groups[g].end && (g == 0 || place >= l->groups[g - 1].end);
  if (!is_here) {
    size_t low = 0, high = l->n_groups;
    while (low < high) {
      size_t middle = low + (high - low) / 2;
      if (place < l->groups[middle].end)
        high = middle;
      else
        low = middle + 1;
    }
    l->group = low;
  }
  return l->groups[l->group].count;
}

static neighbour *touch(side *s, int32_t id) {
  neighbour *n = &s->of[id];
  if (!n->lost && !n->gained) s->touched[s->n_touched++] = id;
  return n;
}

static bool log_event(side *s, int32_t id, uint32_t place) {
  if (s->n_events == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 1024;
    event *events = limn_resize(s->events, capacity, sizeof *events);
    if (!events) return false;
    s->events = events;
    s->capacity = capacity;
  }
  s->events[s->n_events++] = (event){id, place};
  return true;
}

static bool gain(side *s, int32_t id, uint32_t place, int64_t count) {
  neighbour *n = touch(s, id);
  n->gained += count;
  n->n++;
  return log_event(s, id, place);
}

/* Whether the two may become a token. Pairs of bytes, which are there from the start, always may.
 */
static bool is_short(const learning *l, int32_t left, int32_t right) {
  return (int64_t)l->lengths[left] + l->lengths[right] < l->t->max_length;
}

/* Merges the pair at `place`, when it stands there. False without memory. */
static bool merge_at(learning *l, const limn_trained_merge *m, uint32_t place) {
  int32_t *s = l->symbols;
  uint32_t second = place + l->lengths[m->left];
  if (s[place] != m->left || s[second] != m->right) return true;
  uint32_t end = second + l->lengths[m->right];
  int32_t left = s[place - 1], right = s[end];
  s[second - 1] = DEAD;
  s[second] = DEAD;
  s[place] = m->result;
  s[end - 1] = m->result;
  int64_t count = count_at(l, place);
  bool good = true;
  if (left != OUTSIDE) {
    touch(&l->sides[LEFT], left)->lost += count;
    if (is_short(l, left, m->result))
      good = gain(&l->sides[LEFT], left, place - l->lengths[left], count);
  }
  if (right != OUTSIDE) {
    touch(&l->sides[RIGHT], right)->lost += count;
    if (good && is_short(l, m->result, right)) good = gain(&l->sides[RIGHT], right, place, count);
  }
  return good;
}

/* From left to right, as it counts where a pair is of one token twice. */
static bool merge_places(learning *l, const limn_trained_merge *m, const place_list *list) {
  for (uint32_t i = 0; i < list->n; i++)
    if (!merge_at(l, m, list->places[i])) return false;
  return true;
}

/* The pairs of a neighbour on one side with the old token and with the new one. */
static uint64_t pair_key(int on, int32_t id, int32_t token) {
  return on == LEFT ? key_of(id, token) : key_of(token, id);
}

static bool add_gains(learning *l, int on, int32_t new) {
  const side *s = &l->sides[on];
  for (int32_t i = 0; i < s->n_touched; i++) {
    const neighbour *n = &s->of[s->touched[i]];
    pair_count *pair = n->n ? find_pair(l, pair_key(on, s->touched[i], new)) : NULL;
    if (n->n && !pair) return false;
    if (pair) pair->count += n->gained;
  }
  return true;
}

/* Of pairs that are there: of old ones, or (in "aaaa") of one that this merge made. */
static void subtract_losses(learning *l, int on, int32_t old) {
  const side *s = &l->sides[on];
  for (int32_t i = 0; i < s->n_touched; i++) {
    const neighbour *n = &s->of[s->touched[i]];
    if (!n->lost) continue;
    pair_place(l->pairs, l->pairs_size, pair_key(on, s->touched[i], old))->count -= n->lost;
  }
}

/* The places of each new pair, in order, and with them the pair into the heap. */
static bool add_candidates(learning *l, int on, int32_t new) {
  side *s = &l->sides[on];
  for (int32_t i = 0; i < s->n_touched; i++) {
    neighbour *n = &s->of[s->touched[i]];
    n->places = n->n ? take_places(l, n->n) : NULL;
    if (n->n && !n->places) return false;
    n->n = 0;
  }
  for (size_t i = 0; i < s->n_events; i++) {
    neighbour *n = &s->of[s->events[i].id];
    n->places[n->n++] = s->events[i].place;
  }
  for (int32_t i = 0; i < s->n_touched; i++) {
    const neighbour *n = &s->of[s->touched[i]];
    if (!n->n) continue;
    pair_count *pair = find_pair(l, pair_key(on, s->touched[i], new));
    if (!pair || (pair->count > 0 && !add_candidate(l, pair, n->places, n->n))) return false;
  }
  return true;
}

static void clear_side(side *s) {
  for (int32_t i = 0; i < s->n_touched; i++)
    s->of[s->touched[i]] = (neighbour){0};
  s->n_touched = 0;
  s->n_events = 0;
}

static bool merge(learning *l, const limn_trained_merge *m, const candidate *c) {
  place_list list = l->lists[c->list];
  bool good =
      merge_places(l, m, &list) && add_gains(l, LEFT, m->result) && add_gains(l, RIGHT, m->result);
  if (good) {
    subtract_losses(l, LEFT, m->left);
    subtract_losses(l, RIGHT, m->right);
    good = add_candidates(l, LEFT, m->result) && add_candidates(l, RIGHT, m->result);
  }
  clear_side(&l->sides[LEFT]);
  clear_side(&l->sides[RIGHT]);
  return good;
}

/* ---- from counts to the first pairs ---------------------------------------------------------- */

typedef struct word {
  const unsigned char *bytes;
  size_t n;
  int64_t count;
} word;

typedef struct word_list {
  word *words;
  unsigned char *bytes;
  size_t n, n_bytes;
} word_list;

/* A piece of one byte has no pairs. */
static void measure_word(void *user, const unsigned char *bytes, size_t n, int64_t count) {
  word_list *w = user;
  (void)bytes;
  (void)count;
  if (n < 2) return;
  w->n++;
  w->n_bytes += n;
}

static void take_word(void *user, const unsigned char *bytes, size_t n, int64_t count) {
  word_list *w = user;
  if (n < 2) return;
  memcpy(w->bytes + w->n_bytes, bytes, n);
  w->words[w->n++] = (word){w->bytes + w->n_bytes, n, count};
  w->n_bytes += n;
}

static int by_count(const void *a, const void *b) {
  const word *x = a, *y = b;
  return (x->count < y->count) - (x->count > y->count);
}

/* The words by falling count, one behind the other in l->symbols. */
static limn_status place_words(learning *l, const word_list *w, limn_error *err) {
  if (w->n_bytes + w->n + 1 > UINT32_MAX / 2)
    return limn_out_of_memory(err, "over 2 GB of different pieces");
  qsort(w->words, w->n, sizeof *w->words, by_count);
  for (size_t i = 0; i < w->n; i++)
    l->n_groups += i == 0 || w->words[i].count != w->words[i - 1].count;
  l->groups = limn_alloc_zeroed(l->n_groups, sizeof *l->groups);
  l->symbols = limn_resize(NULL, w->n_bytes + w->n + 1, sizeof *l->symbols);
  if (!l->groups || !l->symbols) return limn_out_of_memory(err, "pieces to learn from");
  l->symbols[l->n_symbols++] = OUTSIDE;
  size_t g = 0;
  for (size_t i = 0; i < w->n; i++) {
    for (size_t k = 0; k < w->words[i].n; k++)
      l->symbols[l->n_symbols++] = l->t->byte_ids[w->words[i].bytes[k]];
    l->symbols[l->n_symbols++] = OUTSIDE;
    if (i > 0 && w->words[i].count != w->words[i - 1].count) g++;
    l->groups[g] = (count_group){l->n_symbols, w->words[i].count};
  }
  return LIMN_OK;
}

static limn_status read_words(learning *l, limn_error *err) {
  word_list w = {0};
  limn_status status = limn_counter_gather(&l->t->counter, err);
  if (status != LIMN_OK) return status;
  limn_counter_each(&l->t->counter, measure_word, &w);
  w.words = limn_alloc_zeroed(w.n, sizeof *w.words);
  w.bytes = limn_alloc(w.n_bytes);
  w.n = w.n_bytes = 0;
  if (w.words && w.bytes) {
    limn_counter_each(&l->t->counter, take_word, &w);
    status = place_words(l, &w, err);
  } else {
    status = limn_out_of_memory(err, "pieces to learn from");
  }
  limn_free(w.words);
  limn_free(w.bytes);
  return status;
}

static bool is_pair_at(const learning *l, uint32_t place) {
  return l->symbols[place] != OUTSIDE && l->symbols[place + 1] != OUTSIDE;
}

/* Which of the 256 bytes a token of one byte is. */
static void number_bytes(const learning *l, uint8_t *byte_of) {
  for (int byte = 0; byte < 256; byte++)
    byte_of[l->t->byte_ids[byte]] = (uint8_t)byte;
}

typedef struct first_pair {
  int64_t count;
  uint32_t n;
  uint32_t *places;
} first_pair;

static size_t first_place(const learning *l, const uint8_t *byte_of, uint32_t place) {
  return (size_t)byte_of[l->symbols[place]] << 8 | byte_of[l->symbols[place + 1]];
}

static bool list_first_pairs(learning *l, first_pair *first, const uint8_t *byte_of) {
  for (uint32_t i = 1; i + 1 < l->n_symbols; i++) {
    if (!is_pair_at(l, i)) continue;
    first_pair *p = &first[first_place(l, byte_of, i)];
    p->count += count_at(l, i);
    p->n++;
  }
  for (size_t i = 0; i < 65536; i++) {
    if (!first[i].n) continue;
    first[i].places = take_places(l, first[i].n);
    if (!first[i].places) return false;
    first[i].n = 0;
  }
  for (uint32_t i = 1; i + 1 < l->n_symbols; i++) {
    if (!is_pair_at(l, i)) continue;
    first_pair *p = &first[first_place(l, byte_of, i)];
    p->places[p->n++] = i;
  }
  for (size_t i = 0; i < 65536; i++) {
    if (!first[i].n) continue;
    pair_count *pair = find_pair(l, key_of(l->t->byte_ids[i >> 8], l->t->byte_ids[i & 255]));
    if (!pair) return false;
    pair->count = first[i].count;
    if (!add_candidate(l, pair, first[i].places, first[i].n)) return false;
  }
  return true;
}

static limn_status find_first_pairs(learning *l, limn_error *err) {
  first_pair *first = limn_alloc_zeroed(65536, sizeof *first);
  uint8_t *byte_of = limn_alloc_zeroed((size_t)l->t->vocab.n, 1);
  bool good = first && byte_of;
  if (good) {
    number_bytes(l, byte_of);
    good = list_first_pairs(l, first, byte_of);
  }
  limn_free(first);
  limn_free(byte_of);
  return good ? LIMN_OK : limn_out_of_memory(err, "pairs of bytes");
}

static limn_status start(learning *l, limn_error *err) {
  size_t wanted = (size_t)l->t->wanted;
  l->lengths = limn_alloc_zeroed(wanted, sizeof *l->lengths);
  if (!l->lengths) return limn_out_of_memory(err, "tokens to learn");
  for (int32_t id = 0; id < l->t->vocab.n; id++)
    l->lengths[id] = (uint32_t)(l->t->vocab.starts[id + 1] - l->t->vocab.starts[id]);
  for (int on = LEFT; on <= RIGHT; on++) {
    side *s = &l->sides[on];
    s->of = limn_alloc_zeroed(wanted, sizeof *s->of);
    s->touched = limn_alloc_zeroed(wanted, sizeof *s->touched);
    if (!s->of || !s->touched) return limn_out_of_memory(err, "tokens to learn");
  }
  limn_status status = read_words(l, err);
  return status == LIMN_OK ? find_first_pairs(l, err) : status;
}

static void deinit(learning *l) {
  for (list_block *block = l->blocks; block;) {
    list_block *next = block->next;
    limn_free(block);
    block = next;
  }
  for (int on = LEFT; on <= RIGHT; on++) {
    limn_free(l->sides[on].of);
    limn_free(l->sides[on].touched);
    limn_free(l->sides[on].events);
  }
  limn_free(l->symbols);
  limn_free(l->groups);
  limn_free(l->lengths);
  limn_free(l->pairs);
  limn_free(l->lists);
  limn_free(l->heap);
}

/* ---- the vocabulary -------------------------------------------------------------------------- */

static size_t hash_token(const char *bytes, size_t n) {
  uint64_t h = 0xcbf29ce484222325u; /* FNV-1a (Fowler, Noll, Vo) */
  for (size_t i = 0; i < n; i++)
    h = (h ^ (unsigned char)bytes[i]) * 0x100000001b3u;
  return (size_t)(h ^ h >> 32);
}

const char *limn_trainer_bytes(const limn_trainer *t, int32_t id, size_t *n) {
  *n = 0;
  if (id < 0 || id >= t->vocab.n) return NULL;
  if ((size_t)id < t->n_specials) {
    *n = strlen(t->specials[id]);
    return t->specials[id];
  }
  *n = t->vocab.starts[id + 1] - t->vocab.starts[id];
  return t->vocab.bytes.data + t->vocab.starts[id];
}

/* The place of these bytes in the table, or the empty one where they would stand. */
static int32_t *token_place(const limn_trained_vocab *v, const char *bytes, size_t n) {
  size_t i = hash_token(bytes, n) & (v->by_bytes_size - 1);
  for (; v->by_bytes[i] >= 0; i = (i + 1) & (v->by_bytes_size - 1)) {
    int32_t id = v->by_bytes[i];
    size_t size = v->starts[id + 1] - v->starts[id];
    if (size == n && memcmp(v->bytes.data + v->starts[id], bytes, n) == 0) break;
  }
  return &v->by_bytes[i];
}

/* The id of these bytes, a new one where there is none; -1 without memory. `bytes` may not lie in
 * the vocabulary. */
static int32_t find_or_add(limn_trained_vocab *v, const char *bytes, size_t n) {
  int32_t *place = token_place(v, bytes, n);
  if (*place >= 0) return *place;
  if (!limn_bytes_append(&v->bytes, bytes, n)) return -1;
  *place = v->n++;
  v->starts[v->n] = v->bytes.size;
  return *place;
}

/* ---- learning -------------------------------------------------------------------------------- */

/* Records the merge of a pair; false without memory. */
static bool add_merge(learning *l, const candidate *c, limn_bytes *scratch) {
  limn_trainer *t = l->t;
  limn_trained_merge m = {(int32_t)(c->key >> 32), (int32_t)(c->key & UINT32_MAX), 0, c->count};
  const size_t *starts = t->vocab.starts;
  scratch->size = 0;
  if (!limn_bytes_reserve(scratch, l->lengths[m.left] + l->lengths[m.right])) return false;
  limn_bytes_append(scratch, t->vocab.bytes.data + starts[m.left], l->lengths[m.left]);
  limn_bytes_append(scratch, t->vocab.bytes.data + starts[m.right], l->lengths[m.right]);
  m.result = find_or_add(&t->vocab, scratch->data, scratch->size);
  if (m.result < 0) return false;
  l->lengths[m.result] = (uint32_t)scratch->size;
  if (t->n_merges == t->merges_capacity) {
    size_t capacity = t->merges_capacity ? 2 * t->merges_capacity : 1024;
    limn_trained_merge *merges = limn_resize(t->merges, capacity, sizeof *merges);
    if (!merges) return false;
    t->merges = merges;
    t->merges_capacity = capacity;
  }
  t->merges[t->n_merges++] = m;
  return true;
}

static limn_status learn(learning *l, limn_bytes *scratch, limn_error *err) {
  limn_trainer *t = l->t;
  candidate c;
  while (t->vocab.n < t->wanted && pop(l, &c)) {
    if (c.count < t->min_frequency) break;
    if (!add_merge(l, &c, scratch) || !merge(l, &t->merges[t->n_merges - 1], &c))
      return limn_out_of_memory(err, "learning merges");
    if (t->progress && t->progress(t->user, t->vocab.n, t->wanted))
      return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET,
                            "cancelled after %d of %d tokens", (int)t->vocab.n, (int)t->wanted);
  }
  return LIMN_OK;
}

limn_status limn_trainer_learn(limn_trainer *t, limn_error *err) {
  learning l = {.t = t};
  limn_bytes scratch = {0};
  if (t->is_learned)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "these merges are learned already, expected a new trainer");
  t->is_learned = true;
  limn_status status = limn_trainer_end_text(t, err);
  if (status == LIMN_OK) status = start(&l, err);
  if (status == LIMN_OK) status = learn(&l, &scratch, err);
  limn_bytes_deinit(&scratch);
  deinit(&l);
  return status;
}

/* ---- the trainer ----------------------------------------------------------------------------- */

static limn_status add_special(limn_trainer *t, const char *text, limn_bytes *bytes,
                               limn_error *err) {
  size_t n = strlen(text);
  int32_t before = t->vocab.n;
  if (n == 0 || !limn_utf8_is_valid(text, n))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "special token \"%s\" is %s, expected text in UTF-8", text,
                          n ? "no UTF-8" : "empty");
  bytes->size = 0;
  if (!limn_bytes_reserve(bytes, n + 1)) return limn_out_of_memory(err, "special tokens");
  if (!limn_printable_to_bytes(text, n, bytes)) {
    bytes->size = 0;
    limn_bytes_append(bytes, text, n);
  }
  int32_t id = find_or_add(&t->vocab, bytes->data, bytes->size);
  if (id >= 0 && id < before) return LIMN_OK; /* said twice */
  char *copy = id < 0 ? NULL : limn_copy_string(text, n);
  if (!copy) return limn_out_of_memory(err, "special tokens");
  t->specials[t->n_specials++] = copy;
  return LIMN_OK;
}

static limn_status add_specials(limn_trainer *t, const limn_trainer_options *o, limn_error *err) {
  limn_bytes bytes = {0};
  limn_status status = LIMN_OK;
  t->specials = limn_alloc_zeroed(o->n_specials, sizeof *t->specials);
  if (!t->specials) return limn_out_of_memory(err, "special tokens");
  for (size_t i = 0; i < o->n_specials && status == LIMN_OK; i++)
    status = add_special(t, o->specials[i], &bytes, err);
  limn_bytes_deinit(&bytes);
  return status;
}

/* In the order of the characters that stand for them. */
static limn_status add_bytes(limn_trainer *t, limn_error *err) {
  for (uint32_t code = 0; code < 512; code++) {
    int byte = limn_printable_to_byte(code);
    char c = (char)byte;
    if (byte < 0) continue;
    t->byte_ids[byte] = find_or_add(&t->vocab, &c, 1);
    if (t->byte_ids[byte] < 0) return limn_out_of_memory(err, "tokens to learn");
  }
  return LIMN_OK;
}

static limn_status start_vocab(limn_trainer *t, const limn_trainer_options *o, limn_error *err) {
  limn_trained_vocab *v = &t->vocab;
  int64_t least = 256 + (int64_t)o->n_specials;
  if (o->vocab_size < least || o->vocab_size > MOST_TOKENS)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "a vocabulary of %d tokens is asked for, expected %lld (all bytes and "
                          "%zu special tokens) to %d",
                          (int)o->vocab_size, (long long)least, o->n_specials, MOST_TOKENS);
  v->by_bytes_size = 1024;
  while (v->by_bytes_size < 2 * (size_t)o->vocab_size)
    v->by_bytes_size *= 2;
  v->starts = limn_alloc_zeroed((size_t)o->vocab_size + 1, sizeof *v->starts);
  v->by_bytes = limn_resize(NULL, v->by_bytes_size, sizeof *v->by_bytes);
  if (!v->starts || !v->by_bytes) return limn_out_of_memory(err, "tokens to learn");
  memset(v->by_bytes, -1, v->by_bytes_size * sizeof *v->by_bytes);
  limn_status status = add_specials(t, o, err);
  return status == LIMN_OK ? add_bytes(t, err) : status;
}

limn_status limn_trainer_new(const limn_trainer_options *options, limn_trainer **out,
                             limn_error *err) {
  *out = NULL;
  limn_trainer *t = limn_alloc_zeroed(1, sizeof *t);
  if (!t) return limn_out_of_memory(err, "a trainer");
  t->wanted = options->vocab_size;
  t->min_frequency = options->min_frequency > 1 ? options->min_frequency : 1;
  t->max_length = options->max_token_length > 0 ? options->max_token_length : INT64_MAX;
  t->is_nfc = options->is_nfc;
  t->progress = options->progress;
  t->user = options->user;
  limn_pattern pattern = LIMN_PATTERN_GPT2;
  limn_status status = start_vocab(t, options, err);
  if (status == LIMN_OK && options->pattern)
    status = limn_pattern_find(options->pattern, &pattern, err);
  if (status == LIMN_OK)
    status = limn_counter_init(&t->counter, pattern, options->by_line, options->pool, err);
  if (status != LIMN_OK) {
    limn_trainer_free(t);
    return status;
  }
  *out = t;
  return LIMN_OK;
}

void limn_trainer_free(limn_trainer *t) {
  if (!t) return;
  for (size_t i = 0; i < t->n_specials; i++)
    limn_free(t->specials[i]);
  limn_free(t->specials);
  limn_counter_deinit(&t->counter);
  limn_bytes_deinit(&t->waiting);
  limn_normal_deinit(&t->normal);
  limn_mapped_deinit(&t->composed);
  limn_bytes_deinit(&t->vocab.bytes);
  limn_free(t->vocab.starts);
  limn_free(t->vocab.by_bytes);
  limn_free(t->merges);
  limn_free(t);
}

/* The first n bytes of what waits, in NFC. */
static limn_status feed_composed(limn_trainer *t, size_t n, limn_error *err) {
  limn_view v = {(const unsigned char *)t->waiting.data, n, NULL, 0};
  if (n > 0 && !limn_form_holds(LIMN_NFC, v.text, n)) {
    t->composed.n = 0;
    if (!limn_form_append(&t->normal, LIMN_NFC, v, &t->composed))
      return limn_out_of_memory(err, "text to learn from");
    v = limn_mapped_view(&t->composed);
  }
  limn_status status = limn_counter_feed(&t->counter, v.text, v.n, err);
  t->waiting.size -= n;
  if (n > 0) memmove(t->waiting.data, t->waiting.data + n, t->waiting.size);
  return status;
}

/* In chunks that are not too small: what waits is looked through again with each. */
static limn_status feed_waiting(limn_trainer *t, const void *text, size_t n, limn_error *err) {
  if (!limn_bytes_append(&t->waiting, text, n))
    return limn_out_of_memory(err, "text to learn from");
  if (t->waiting.size < t->enough) return LIMN_OK;
  size_t settled = limn_form_boundary((const unsigned char *)t->waiting.data, t->waiting.size);
  limn_status status = feed_composed(t, settled, err);
  t->enough = 2 * t->waiting.size < LEAST_CHUNK ? LEAST_CHUNK : 2 * t->waiting.size;
  return status;
}

limn_status limn_trainer_feed(limn_trainer *t, const void *text, size_t n, limn_error *err) {
  if (t->is_learned)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "text comes after learning, expected before");
  return t->is_nfc ? feed_waiting(t, text, n, err) : limn_counter_feed(&t->counter, text, n, err);
}

limn_status limn_trainer_end_text(limn_trainer *t, limn_error *err) {
  limn_status status = feed_composed(t, t->waiting.size, err);
  return status == LIMN_OK ? limn_counter_end_text(&t->counter, err) : status;
}

static void add_distinct(void *user, const unsigned char *bytes, size_t n, int64_t count) {
  limn_training_counts *c = user;
  (void)bytes;
  c->n_pieces += count;
  c->n_distinct++;
  c->n_distinct_bytes += (int64_t)n;
}

limn_training_counts limn_trainer_counts(const limn_trainer *t) {
  limn_training_counts c = {.n_bytes = t->counter.n_bytes};
  limn_counter_each(&t->counter, add_distinct, &c);
  return c;
}

int32_t limn_trainer_vocab_size(const limn_trainer *t) {
  return t->vocab.n;
}

size_t limn_trainer_n_merges(const limn_trainer *t) {
  return t->n_merges;
}

limn_trained_merge limn_trainer_merge(const limn_trainer *t, size_t i) {
  return t->merges[i];
}
