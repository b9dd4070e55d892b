/*
 * scored.c - from pieces with scores to a tokenizer.
 *
 * Of two neighbours that together are a piece, those with the highest score merge first
 * (bpe_model.cc of SentencePiece), which makes scores an order of pieces, and build.c makes merges
 * of it. Equal scores are equal ranks: then the leftmost is first.
 */
#include "tokenizer/scored.h"

#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct scoring {
  const char *where;
  const limn_scored *pieces;
  size_t n;
  limn_tokenizer *t;
  limn_pipeline *p;
  bool has_symbols;
  limn_error *err;
} scoring;

/* ---- tokens -----------------------------------------------------------------------------------
 */

static limn_status bad_piece(const scoring *s, size_t id, const char *what) {
  const limn_scored *piece = &s->pieces[id];
  return limn_error_set(s->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: piece %zu, \"%.*s\", %s",
                        s->where, id, piece->n > 100 ? 100 : (int)piece->n, piece->text, what);
}

static limn_status no_memory(const scoring *s) {
  return limn_out_of_memory(s->err, "a vocabulary");
}

/* Where a piece is looked for in texts; *kind is what it is in the vocabulary. */
static limn_status add_piece(scoring *s, size_t id, limn_token_kind *kind) {
  const limn_scored *piece = &s->pieces[id];
  limn_sentencepiece *sp = &s->p->sp;
  limn_added added = {.text = piece->text, .n = piece->n, .id = (int32_t)id};
  int byte = limn_byte_of_piece(piece->text, piece->n);
  bool is_done = true;
  *kind = LIMN_TOKEN_SPECIAL;
  switch (piece->type) {
  case LIMN_PIECE_NORMAL:
  case LIMN_PIECE_UNUSED:
    *kind = LIMN_TOKEN_NORMAL;
    is_done = limn_sentencepiece_add(sp, piece->text, piece->n, (int32_t)id);
    break;
  case LIMN_PIECE_BYTE:
    *kind = LIMN_TOKEN_BYTE;
    if (byte < 0) return bad_piece(s, id, "is a byte, expected <0x00> to <0xFF>");
    sp->byte_ids[byte] = (int32_t)id;
    break;
  case LIMN_PIECE_USER_DEFINED:
    *kind = s->has_symbols ? LIMN_TOKEN_NORMAL : LIMN_TOKEN_ADDED;
    is_done = limn_added_add(s->has_symbols ? &sp->symbols : &s->p->before, added);
    break;
  case LIMN_PIECE_UNKNOWN:
    sp->unknown = (int32_t)id;
    break;
  case LIMN_PIECE_CONTROL:
    added.is_special = true;
    is_done = limn_added_add(&s->p->before, added);
    break;
  default:
    return bad_piece(s, id, "is of an unknown type");
  }
  return is_done ? LIMN_OK : no_memory(s);
}

static limn_status add_pieces(scoring *s, limn_entries *e) {
  limn_status status = LIMN_OK;
  for (size_t id = 0; status == LIMN_OK && id < s->n; id++) {
    const limn_scored *piece = &s->pieces[id];
    limn_token_kind kind = LIMN_TOKEN_NONE;
    if (piece->n == 0) return bad_piece(s, id, "is empty");
    if (isnan(piece->score)) return bad_piece(s, id, "has a score that is not a number");
    status = add_piece(s, id, &kind);
    if (status == LIMN_OK)
      status = limn_entries_set(e, piece->text, piece->n, (int64_t)id, kind, s->err);
  }
  limn_added_sort(&s->p->before);
  limn_added_sort(&s->p->sp.symbols);
  return status;
}

/* ---- merges -----------------------------------------------------------------------------------
 */

typedef struct ordered {
  float score;
  int32_t id;
} ordered;

static int compare_scores(const void *a, const void *b) {
  const ordered *x = a, *y = b;
  if (x->score != y->score) return x->score > y->score ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static bool merges(const limn_scored *piece) {
  return piece->type == LIMN_PIECE_NORMAL || piece->type == LIMN_PIECE_UNUSED;
}

/* The rank of each piece by its score, -1 for pieces that do not merge. */
static limn_status rank_scores(const scoring *s, int32_t *ranks) {
  size_t n = 0;
  ordered *sorted = limn_resize(NULL, s->n, sizeof *sorted);
  if (!sorted) return no_memory(s);
  for (size_t id = 0; id < s->n; id++) {
    ranks[id] = -1;
    if (merges(&s->pieces[id])) sorted[n++] = (ordered){s->pieces[id].score, (int32_t)id};
  }
  if (n > 1) qsort(sorted, n, sizeof *sorted, compare_scores);
  int32_t rank = 0;
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && sorted[i].score != sorted[i - 1].score) rank++;
    ranks[sorted[i].id] = rank;
  }
  limn_free(sorted);
  return LIMN_OK;
}

static bool symbols_of(const void *user, int32_t id, limn_row *row) {
  const scoring *s = user;
  const unsigned char *text = (const unsigned char *)s->pieces[id].text;
  size_t n = s->pieces[id].n, length;
  for (size_t at = 0; at < n; at += length) {
    int32_t code;
    length = limn_utf8_decode(text + at, n - at, &code);
    if (!limn_row_push(row, limn_sentencepiece_find(&s->p->sp, text + at, length), at))
      return false;
  }
  return true;
}

/* What unused pieces are taken apart into. */
static limn_status find_halves(scoring *s) {
  limn_sentencepiece *sp = &s->p->sp;
  bool has_unused = false;
  for (size_t id = 0; id < s->n; id++)
    has_unused = has_unused || s->pieces[id].type == LIMN_PIECE_UNUSED;
  if (!has_unused) return LIMN_OK;
  sp->halves = limn_resize(NULL, s->n, sizeof *sp->halves);
  if (!sp->halves) return no_memory(s);
  for (size_t id = 0; id < s->n; id++)
    sp->halves[id] = (limn_halves){-1, -1, (uint32_t)s->pieces[id].n};
  for (size_t i = 0; sp->pairs.places && i <= sp->pairs.mask; i++) {
    const limn_pair *pair = &sp->pairs.places[i];
    if (pair->result < 0 || s->pieces[pair->result].type != LIMN_PIECE_UNUSED) continue;
    sp->halves[pair->result].left = pair->left;
    sp->halves[pair->result].right = pair->right;
  }
  return LIMN_OK;
}

static limn_status build_pairs(scoring *s) {
  size_t n_unreachable;
  int32_t *ranks = limn_resize(NULL, s->n, sizeof *ranks);
  limn_status status = ranks ? rank_scores(s, ranks) : no_memory(s);
  if (status == LIMN_OK)
    status = limn_pairs_from_ranks(&s->p->sp.pairs, ranks, (int32_t)s->n, symbols_of, s,
                                   &n_unreachable, s->err);
  limn_free(ranks);
  return status == LIMN_OK ? find_halves(s) : status;
}

/* ---- the tokenizer ----------------------------------------------------------------------------
 */

static limn_status check(const scoring *s, bool byte_fallback) {
  const limn_sentencepiece *sp = &s->p->sp;
  for (int byte = 0; byte < 256 && byte_fallback; byte++) {
    if (sp->byte_ids[byte] < 0)
      return limn_error_set(s->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: no piece for the byte <0x%02X>, expected all 256", s->where,
                            (unsigned)byte);
  }
  if (sp->unknown >= 0 || byte_fallback) return LIMN_OK;
  return limn_error_set(s->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "%s: neither an unknown piece nor bytes, expected one of them", s->where);
}

limn_status limn_build_scored(limn_tokenizer *t, const char *where, const limn_scored *pieces,
                              size_t n, bool byte_fallback, bool has_symbols, limn_error *err) {
  scoring s = {where, pieces, n, t, t->pipeline, has_symbols, err};
  limn_entries e;
  limn_status status = limn_entries_init(&e, where, (int64_t)n, err);
  if (status == LIMN_OK) status = add_pieces(&s, &e);
  if (status == LIMN_OK) status = check(&s, byte_fallback);
  if (status == LIMN_OK) status = limn_build_vocabulary(t, &e, LIMN_WRITING_PIECES, err);
  if (status == LIMN_OK) status = build_pairs(&s);
  limn_entries_deinit(&e);
  if (status != LIMN_OK) return status;
  s.p->sp.byte_fallback = byte_fallback;
  s.p->sp.fuse_unknown = true;
  limn_sentencepiece_finish(&s.p->sp);
  return LIMN_OK;
}
