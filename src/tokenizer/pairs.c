/*
 * pairs.c - byte-pair encoding on rows of any symbols (Sennrich, Haddow, Birch 2016, section 3.2).
 *
 * Of all neighbours that are in the table, those of least rank merge first, the leftmost among
 * equals. A heap holds the candidates by (rank, place), a doubly linked list the symbols. A merge
 * makes candidates stale rather than looking for them: one that no longer names two neighbours is
 * dropped when its turn comes.
 */
#include "tokenizer/pairs.h"

#include <limits.h>
#include <string.h>

/* ---- the table --------------------------------------------------------------------------------
 */

static limn_pair *place_of(const limn_pairs *p, int32_t left, int32_t right) {
  uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
  size_t i = (size_t)(key * 0x9e3779b97f4a7c15u >> 32) & p->mask; /* Knuth's hashing */
  while (p->places[i].result >= 0 && (p->places[i].left != left || p->places[i].right != right))
    i = (i + 1) & p->mask;
  return &p->places[i];
}

static bool grow(limn_pairs *p) {
  limn_pairs larger = {.mask = p->places ? 2 * p->mask + 1 : 15, .n = p->n};
  larger.places = limn_resize(NULL, larger.mask + 1, sizeof *larger.places);
  if (!larger.places) return false;
  memset(larger.places, -1, (larger.mask + 1) * sizeof *larger.places);
  for (size_t i = 0; p->places && i <= p->mask; i++) {
    const limn_pair *pair = &p->places[i];
    if (pair->result >= 0) *place_of(&larger, pair->left, pair->right) = *pair;
  }
  limn_free(p->places);
  *p = larger;
  return true;
}

bool limn_pairs_add(limn_pairs *p, int32_t left, int32_t right, int32_t rank, int32_t result) {
  if ((!p->places || 2 * p->n > p->mask) && !grow(p)) return false;
  limn_pair *place = place_of(p, left, right);
  p->n += place->result < 0;
  *place = (limn_pair){left, right, rank, result};
  return true;
}

const limn_pair *limn_pairs_find(const limn_pairs *p, int32_t left, int32_t right) {
  if (!p->places || left < 0 || right < 0) return NULL;
  const limn_pair *place = place_of(p, left, right);
  return place->result >= 0 ? place : NULL;
}

void limn_pairs_deinit(limn_pairs *p) {
  limn_free(p->places);
  *p = (limn_pairs){0};
}

/* ---- the heap ---------------------------------------------------------------------------------
 */

struct limn_row_candidate {
  int32_t rank, place, left, right;
};

static bool comes_before(const struct limn_row_candidate *a, const struct limn_row_candidate *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->place < b->place;
}

static void push_candidate(limn_row *row, struct limn_row_candidate candidate) {
  size_t i = row->n_heap++;
  while (i > 0 && comes_before(&candidate, &row->heap[(i - 1) / 2])) {
    row->heap[i] = row->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  row->heap[i] = candidate;
}

static struct limn_row_candidate pop_candidate(limn_row *row) {
  struct limn_row_candidate first = row->heap[0], last = row->heap[--row->n_heap];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= row->n_heap) break;
    if (child + 1 < row->n_heap && comes_before(&row->heap[child + 1], &row->heap[child])) child++;
    if (!comes_before(&row->heap[child], &last)) break;
    row->heap[i] = row->heap[child];
    i = child;
  }
  row->heap[i] = last;
  return first;
}

/* ---- the row ----------------------------------------------------------------------------------
 */

bool limn_row_push(limn_row *row, int32_t id, size_t start) {
  if (row->n == row->capacity) {
    size_t capacity = row->capacity ? 2 * row->capacity : 64;
    int32_t *ids = limn_resize(row->ids, capacity, sizeof *ids);
    if (ids) row->ids = ids;
    size_t *starts = limn_resize(row->starts, capacity, sizeof *starts);
    if (starts) row->starts = starts;
    if (!ids || !starts) return false;
    row->capacity = capacity;
  }
  row->ids[row->n] = id;
  row->starts[row->n++] = start;
  return true;
}

limn_status limn_row_resize(limn_row *row, size_t n, limn_error *err) {
  if (n > row->capacity) {
    int32_t *ids = limn_resize(row->ids, n, sizeof *ids);
    if (!ids) return limn_out_of_memory(err, "a long piece of text");
    row->ids = ids;
    row->capacity = n;
  }
  row->n = n;
  return LIMN_OK;
}

void limn_row_deinit(limn_row *row) {
  limn_free(row->ids);
  limn_free(row->starts);
  limn_free(row->prev);
  limn_free(row->next);
  limn_free(row->heap);
  *row = (limn_row){0};
}

/* A merge puts in at most one candidate more than it takes out. */
static limn_status reserve(limn_row *row, size_t n, limn_error *err) {
  if (n <= row->work_capacity) return LIMN_OK;
  if (n > INT32_MAX / 2) return limn_out_of_memory(err, "a piece of over a thousand million bytes");
  size_t capacity = n < 64 ? 64 : n;
  row->work_capacity = 0;
  int32_t *prev = limn_resize(row->prev, capacity, sizeof *prev);
  if (prev) row->prev = prev;
  int32_t *next = limn_resize(row->next, capacity, sizeof *next);
  if (next) row->next = next;
  struct limn_row_candidate *heap = limn_resize(row->heap, capacity, 2 * sizeof *heap);
  if (heap) row->heap = heap;
  if (!prev || !next || !heap) return limn_out_of_memory(err, "a long piece of text");
  row->work_capacity = capacity;
  return LIMN_OK;
}

/* What merges the part of a row that begins at `ids`. */
typedef struct merging {
  limn_row *row;
  limn_row_find *find;
  const void *table;
  int32_t *ids;
} merging;

static void consider(const merging *m, int32_t place) {
  int32_t left = m->ids[place], right = m->ids[m->row->next[place]];
  limn_made made;
  if (m->find(m->table, left, right, &made))
    push_candidate(m->row, (struct limn_row_candidate){made.rank, place, left, right});
}

static void merge_all(const merging *m) {
  limn_row *row = m->row;
  while (row->n_heap > 0) {
    struct limn_row_candidate c = pop_candidate(row);
    int32_t right = row->next[c.place];
    limn_made made;
    if (m->ids[c.place] != c.left || right < 0 || m->ids[right] != c.right) continue;
    if (!m->find(m->table, c.left, c.right, &made)) continue; /* it was found before */
    m->ids[c.place] = made.id;
    m->ids[right] = INT32_MIN; /* no longer a symbol */
    row->last[0] = c.left;
    row->last[1] = c.right;
    row->next[c.place] = row->next[right];
    if (row->next[c.place] >= 0) {
      row->prev[row->next[c.place]] = c.place;
      consider(m, c.place);
    }
    if (row->prev[c.place] >= 0) consider(m, row->prev[c.place]);
  }
}

static void close_up(limn_row *row, size_t from) {
  size_t left = from;
  for (size_t i = from; i < row->n; i++) {
    if (row->ids[i] == INT32_MIN) continue;
    if (row->starts) row->starts[left] = row->starts[i];
    row->ids[left++] = row->ids[i];
  }
  row->n = left;
}

limn_status limn_row_merge_by(limn_row *row, limn_row_find *find, const void *table, size_t from,
                              limn_error *err) {
  size_t n = row->n - from;
  row->last[0] = row->last[1] = -1;
  limn_status status = reserve(row, n, err);
  if (status != LIMN_OK || n == 0) return status;
  merging m = {row, find, table, row->ids + from};
  row->n_heap = 0;
  for (size_t i = 0; i < n; i++) {
    row->prev[i] = (int32_t)i - 1;
    row->next[i] = i + 1 < n ? (int32_t)i + 1 : -1;
  }
  for (size_t i = 0; i + 1 < n; i++)
    consider(&m, (int32_t)i);
  merge_all(&m);
  close_up(row, from);
  return LIMN_OK;
}

static bool find_in_pairs(const void *table, int32_t left, int32_t right, limn_made *out) {
  const limn_pair *pair = limn_pairs_find(table, left, right);
  if (pair) *out = (limn_made){pair->rank, pair->result};
  return pair;
}

limn_status limn_row_merge(limn_row *row, const limn_pairs *pairs, size_t from, limn_error *err) {
  return limn_row_merge_by(row, find_in_pairs, pairs, from, err);
}
