/*
 * build.c - from the tokens and merges that a reader collected to a tokenizer's tables.
 */
#include "tokenizer/build.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokens by id -----------------------------------------------------------------------------
 */

static int shown(size_t n) {
  return n > 100 ? 100 : (int)n;
}

limn_status limn_entries_init(limn_entries *e, const char *where, int64_t limit, limn_error *err) {
  if (limit > LIMN_MOST_IDS) limit = LIMN_MOST_IDS;
  *e = (limn_entries){.limit = limit, .where = where};
  e->by_id = limn_alloc_zeroed((size_t)limit, sizeof *e->by_id);
  return e->by_id ? LIMN_OK : limn_out_of_memory(err, "a vocabulary");
}

void limn_entries_deinit(limn_entries *e) {
  limn_free(e->by_id);
  *e = (limn_entries){0};
}

limn_status limn_entries_set(limn_entries *e, const char *text, size_t n, int64_t id,
                             limn_token_kind kind, limn_error *err) {
  if (id < 0 || id >= e->limit)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%s: token \"%.*s\" has the id %lld, expected 0 to %lld", e->where,
                          shown(n), text, (long long)id, (long long)e->limit - 1);
  limn_entry *entry = &e->by_id[id];
  bool is_same = entry->text && entry->n == n && memcmp(entry->text, text, n) == 0;
  if (entry->text && !is_same)
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "%s: tokens \"%.*s\" and \"%.*s\" have the same id %lld", e->where,
                          shown(entry->n), entry->text, shown(n), text, (long long)id);
  *entry = (limn_entry){text, n, kind};
  return LIMN_OK;
}

/* ---- writings ---------------------------------------------------------------------------------
 */

static bool pieces_to_bytes(const char *text, size_t n, limn_bytes *out) {
  for (size_t at = 0; at < n;) {
    bool is_space = n - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
    if (!limn_bytes_append(out, is_space ? " " : text + at, 1)) return false;
    at += is_space ? 3 : 1;
  }
  return true;
}

static int hex_value(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int limn_byte_of_piece(const char *text, size_t n) {
  if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = hex_value(text[3]), low = hex_value(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool byte_token(const char *text, size_t n, limn_bytes *out) {
  char byte = (char)limn_byte_of_piece(text, n);
  return limn_bytes_append(out, &byte, 1);
}

/* What a token is as bytes, in `scratch`; *kind may change. Space for it was made. */
static void rewrite(const limn_entry *e, limn_writing writing, limn_bytes *scratch,
                    limn_token_kind *kind) {
  bool is_done = true;
  scratch->size = 0;
  if (*kind == LIMN_TOKEN_BYTE)
    is_done = byte_token(e->text, e->n, scratch);
  else if (*kind == LIMN_TOKEN_NORMAL && writing == LIMN_WRITING_PRINTABLE)
    is_done = limn_printable_to_bytes(e->text, e->n, scratch);
  else if (*kind == LIMN_TOKEN_NORMAL && writing == LIMN_WRITING_PIECES)
    is_done = pieces_to_bytes(e->text, e->n, scratch);
  else
    limn_bytes_append(scratch, e->text, e->n);
  if (is_done) return;
  /* No merge gives such a token, since no text has its characters; decoding shows it as it is. */
  scratch->size = 0;
  limn_bytes_append(scratch, e->text, e->n);
  *kind = LIMN_TOKEN_UNUSED;
}

static limn_status add_entry(limn_tokenizer *t, const limn_entry *e, limn_writing writing,
                             limn_bytes *scratch, limn_error *err) {
  limn_token_kind kind = e->kind;
  if (!e->text) return limn_tokenizer_add(t, "", 0, LIMN_TOKEN_NONE, err);
  scratch->size = 0;
  if (!limn_bytes_reserve(scratch, e->n + 1)) return limn_out_of_memory(err, "a vocabulary");
  rewrite(e, writing, scratch, &kind);
  return limn_tokenizer_add(t, scratch->data, scratch->size, kind, err);
}

limn_status limn_build_vocabulary(limn_tokenizer *t, const limn_entries *e, limn_writing writing,
                                  limn_error *err) {
  limn_bytes scratch = {0};
  int32_t n = (int32_t)e->limit;
  while (n > 0 && !e->by_id[n - 1].text)
    n--;
  limn_status status = limn_tokenizer_start(t, n, err);
  for (int32_t id = 0; status == LIMN_OK && id < n; id++)
    status = add_entry(t, &e->by_id[id], writing, &scratch, err);
  limn_bytes_deinit(&scratch);
  return status == LIMN_OK ? limn_tokenizer_index(t, err) : status;
}

int limn_missing_byte(const limn_tokenizer *t) {
  for (int byte = 0; byte < 256; byte++) {
    if (t->byte_ids[byte] < 0) return byte;
  }
  return -1;
}

/* ---- merges -----------------------------------------------------------------------------------
 */

static int compare_ranks(const void *a, const void *b) {
  const limn_pair *x = a, *y = b;
  return x->rank < y->rank ? -1 : x->rank > y->rank;
}

limn_status limn_build_merges(limn_tokenizer *t, const limn_pairs *pairs, limn_error *err) {
  size_t n = 0;
  limn_pair *sorted = limn_resize(NULL, pairs->n, sizeof *sorted);
  limn_status status = sorted ? LIMN_OK : limn_out_of_memory(err, "a table of merges");
  if (status == LIMN_OK) status = limn_tokenizer_start_merges(t, pairs->n, err);
  for (size_t i = 0; status == LIMN_OK && pairs->places && i <= pairs->mask; i++) {
    if (pairs->places[i].result >= 0) sorted[n++] = pairs->places[i];
  }
  if (n > 1) qsort(sorted, n, sizeof *sorted, compare_ranks);
  for (size_t i = 0; i < n; i++)
    limn_tokenizer_add_merge(t, sorted[i].left, sorted[i].right, sorted[i].rank, sorted[i].result);
  limn_free(sorted);
  return status;
}

typedef struct sized_id {
  size_t n;
  int32_t id;
} sized_id;

static int compare_sizes(const void *a, const void *b) {
  const sized_id *x = a, *y = b;
  if (x->n != y->n) return x->n < y->n ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

/* The tokens that merge, by the number of their symbols. */
static limn_status sort_by_size(sized_id *sorted, size_t *n_sorted, const int32_t *ranks, int32_t n,
                                limn_symbols_of *symbols, const void *user, limn_row *row,
                                limn_error *err) {
  for (int32_t id = 0; id < n; id++) {
    if (ranks[id] < 0) continue;
    row->n = 0;
    if (!symbols(user, id, row)) return limn_out_of_memory(err, "a table of merges");
    sorted[(*n_sorted)++] = (sized_id){row->n, id};
  }
  if (*n_sorted > 1) qsort(sorted, *n_sorted, sizeof *sorted, compare_sizes);
  return LIMN_OK;
}

/* Finds the pair that makes a token; one symbol needs none. */
static limn_status find_pair(limn_pairs *pairs, int32_t rank, int32_t id, limn_row *row,
                             size_t *n_unreachable, limn_error *err) {
  size_t n = row->n;
  bool is_possible = n >= 2;
  for (size_t i = 0; i < n; i++)
    is_possible = is_possible && row->ids[i] >= 0;
  limn_status status = is_possible ? limn_row_merge(row, pairs, 0, err) : LIMN_OK;
  if (status != LIMN_OK) return status;
  if (!is_possible || row->n != 2) {
    *n_unreachable += n != 1 || row->ids[0] != id;
    return LIMN_OK;
  }
  if (limn_pairs_add(pairs, row->ids[0], row->ids[1], rank, id)) return LIMN_OK;
  return limn_out_of_memory(err, "a table of merges");
}

limn_status limn_pairs_from_ranks(limn_pairs *pairs, const int32_t *ranks, int32_t n,
                                  limn_symbols_of *symbols, const void *user, size_t *n_unreachable,
                                  limn_error *err) {
  limn_row row = {0};
  size_t n_sorted = 0;
  sized_id *sorted = limn_resize(NULL, (size_t)n, sizeof *sorted);
  limn_status status = sorted ? LIMN_OK : limn_out_of_memory(err, "a table of merges");
  *n_unreachable = 0;
  if (status == LIMN_OK)
    status = sort_by_size(sorted, &n_sorted, ranks, n, symbols, user, &row, err);
  for (size_t i = 0; status == LIMN_OK && i < n_sorted; i++) {
    row.n = 0;
    int32_t id = sorted[i].id;
    if (!symbols(user, id, &row))
      status = limn_out_of_memory(err, "a table of merges");
    else
      status = find_pair(pairs, ranks[id], id, &row, n_unreachable, err);
  }
  limn_row_deinit(&row);
  limn_free(sorted);
  return status;
}
