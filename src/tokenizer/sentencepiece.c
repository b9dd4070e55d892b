/*
 * sentencepiece.c - byte-pair encoding on characters (Kudo and Richardson 2018, "SentencePiece").
 *
 * A text begins as a row of characters; neighbours merge while the table has them (pairs.c). A
 * character that the vocabulary lacks is written as its bytes, each a token of its own ("<0x41>"),
 * or, in vocabularies without those, is unknown. A space is the character U+2581, and in nearly
 * every vocabulary it stands only at the beginning of a piece: then nothing merges across the
 * beginning of a word, and words are merged one by one.
 */
#include "tokenizer/sentencepiece.h"

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

static const char space[] = "\xe2\x96\x81"; /* U+2581 */

/* ---- the vocabulary ---------------------------------------------------------------------------
 */

void limn_sentencepiece_init(limn_sentencepiece *sp) {
  *sp = (limn_sentencepiece){.unknown = -1};
  memset(sp->byte_ids, -1, sizeof sp->byte_ids);
}

void limn_sentencepiece_deinit(limn_sentencepiece *sp) {
  limn_bytes_deinit(&sp->bytes);
  limn_free(sp->pieces);
  limn_pairs_deinit(&sp->pairs);
  limn_added_deinit(&sp->symbols);
  limn_free(sp->halves);
  limn_sentencepiece_init(sp);
}

static size_t hash_bytes(const unsigned char *bytes, size_t n) {
  uint64_t h = 0xcbf29ce484222325u; /* FNV-1a (Fowler, Noll, Vo) */
  for (size_t i = 0; i < n; i++)
    h = (h ^ bytes[i]) * 0x100000001b3u;
  return (size_t)(h ^ h >> 32);
}

static limn_piece *place_of(const limn_sentencepiece *sp, const void *bytes, size_t n) {
  size_t i = hash_bytes(bytes, n) & sp->mask;
  for (; sp->pieces[i].id >= 0; i = (i + 1) & sp->mask) {
    const limn_piece *piece = &sp->pieces[i];
    if (piece->n == n && memcmp(sp->bytes.data + piece->at, bytes, n) == 0) break;
  }
  return &sp->pieces[i];
}

static bool grow(limn_sentencepiece *sp) {
  limn_piece *old = sp->pieces;
  size_t old_mask = sp->mask, mask = old ? 2 * old_mask + 1 : 255;
  limn_piece *pieces = limn_resize(NULL, mask + 1, sizeof *pieces);
  if (!pieces) return false;
  memset(pieces, -1, (mask + 1) * sizeof *pieces);
  sp->pieces = pieces;
  sp->mask = mask;
  for (size_t i = 0; old && i <= old_mask; i++) {
    if (old[i].id >= 0) *place_of(sp, sp->bytes.data + old[i].at, old[i].n) = old[i];
  }
  limn_free(old);
  return true;
}

bool limn_sentencepiece_add(limn_sentencepiece *sp, const void *bytes, size_t n, int32_t id) {
  if ((!sp->pieces || 2 * sp->n_pieces > sp->mask) && !grow(sp)) return false;
  if (n > UINT32_MAX || sp->bytes.size > UINT32_MAX - n) return false;
  limn_piece piece = {(uint32_t)sp->bytes.size, (uint32_t)n, id};
  limn_piece *place = place_of(sp, bytes, n);
  if (place->id >= 0) return true;
  if (!limn_bytes_append(&sp->bytes, bytes, n)) return false;
  *place = piece;
  sp->n_pieces++;
  return true;
}

int32_t limn_sentencepiece_find(const limn_sentencepiece *sp, const void *bytes, size_t n) {
  return sp->pieces ? place_of(sp, bytes, n)->id : -1;
}

static bool is_space_at(const unsigned char *text, size_t n, size_t at) {
  return n - at >= 3 && memcmp(text + at, space, 3) == 0;
}

/* Whether U+2581 stands behind anything but U+2581. */
static bool has_inner_space(const unsigned char *text, size_t n) {
  size_t at = 0;
  while (at < n && is_space_at(text, n, at))
    at += 3;
  for (; at < n; at++) {
    if (is_space_at(text, n, at)) return true;
  }
  return false;
}

void limn_sentencepiece_finish(limn_sentencepiece *sp) {
  /* Unknown characters that fuse do so across words. */
  sp->cuts_words = !sp->whole_pieces && (sp->byte_fallback || !sp->fuse_unknown);
  for (size_t i = 0; sp->pieces && i <= sp->mask && sp->cuts_words; i++) {
    const limn_piece *piece = &sp->pieces[i];
    if (piece->id >= 0)
      sp->cuts_words =
          !has_inner_space((const unsigned char *)sp->bytes.data + piece->at, piece->n);
  }
  for (size_t i = 0; i < sp->symbols.n && sp->cuts_words; i++)
    sp->cuts_words = !memchr(sp->symbols.tokens[i].text, 0xe2, sp->symbols.tokens[i].n);
}

/* ---- encoding ---------------------------------------------------------------------------------
 */

/* Unknown characters that wait, so that those behind them may join. */
typedef struct unknowns {
  bool is_there;
  size_t start;
} unknowns;

static limn_status no_memory(limn_error *err) {
  return limn_out_of_memory(err, "the symbols of a text");
}

static bool flush_unknown(const limn_sentencepiece *sp, limn_row *row, unknowns *u) {
  if (!u->is_there) return true;
  u->is_there = false;
  return limn_row_push(row, sp->unknown, u->start);
}

/* One character of n bytes that is in the vocabulary, or its bytes, or unknown. */
static bool push_char(const limn_sentencepiece *sp, limn_row *row, unknowns *u,
                      const unsigned char *text, size_t at, size_t n, bool is_char) {
  int32_t id = is_char ? limn_sentencepiece_find(sp, text + at, n) : -1;
  if (id >= 0) return flush_unknown(sp, row, u) && limn_row_push(row, id, at);
  if (sp->byte_fallback) {
    for (size_t i = 0; i < n; i++) {
      if (!limn_row_push(row, sp->byte_ids[text[at + i]], at + i)) return false;
    }
    return true;
  }
  if (sp->unknown < 0) return true; /* as others do: it is left out */
  if (u->is_there && sp->fuse_unknown) return true;
  if (!flush_unknown(sp, row, u)) return false;
  *u = (unknowns){true, at};
  return true;
}

/* The end of the word that starts at `at`: where the next run of U+2581 begins. */
static size_t word_end(const unsigned char *text, size_t n, size_t at) {
  while (at < n && is_space_at(text, n, at))
    at += 3;
  while (at < n && !is_space_at(text, n, at))
    at++;
  return at;
}

/*
 * Merges text[start .. end) onto the row. A user-defined symbol is one symbol and a wall: what is
 * on both sides of it merges on its own.
 */
static limn_status push_word(const limn_sentencepiece *sp, limn_row *row, unknowns *u,
                             const unsigned char *text, size_t start, size_t end, limn_error *err) {
  size_t from = row->n, length;
  for (size_t at = start; at < end; at += length) {
    const limn_added *symbol = limn_added_longest(&sp->symbols, text + at, end - at);
    int32_t code;
    length = symbol ? symbol->n : limn_utf8_decode(text + at, end - at, &code);
    if (!symbol) {
      if (!push_char(sp, row, u, text, at, length, code >= 0)) return no_memory(err);
      continue;
    }
    if (!flush_unknown(sp, row, u)) return no_memory(err);
    limn_status status = limn_row_merge(row, &sp->pairs, from, err);
    if (status != LIMN_OK) return status;
    if (!limn_row_push(row, symbol->id, at)) return no_memory(err);
    from = row->n;
  }
  if (!flush_unknown(sp, row, u)) return no_memory(err);
  return limn_row_merge(row, &sp->pairs, from, err);
}

/* Appends a token, or, where it is one of those that are not used, what it was merged from. */
static limn_status push_token(const limn_sentencepiece *sp, int32_t id, limn_view v, size_t at,
                              limn_tokens *out, limn_error *err) {
  while (sp->halves && sp->halves[id].left >= 0) {
    const limn_halves *halves = &sp->halves[id];
    limn_status status = push_token(sp, halves->left, v, at, out, err);
    if (status != LIMN_OK) return status;
    at += sp->halves[halves->left].n;
    id = halves->right;
  }
  return limn_tokens_push(out, id, limn_view_origin(v, at), err);
}

static limn_status encode_whole(const limn_sentencepiece *sp, limn_view v, limn_tokens *out,
                                bool *is_done, limn_error *err) {
  int32_t id = sp->whole_pieces ? limn_sentencepiece_find(sp, v.text, v.n) : -1;
  *is_done = id >= 0;
  return id >= 0 ? limn_tokens_push(out, id, limn_view_origin(v, 0), err) : LIMN_OK;
}

limn_status limn_sentencepiece_encode(const limn_sentencepiece *sp, limn_row *row, limn_view v,
                                      limn_tokens *out, limn_error *err) {
  bool is_done;
  unknowns u = {0};
  limn_status status = encode_whole(sp, v, out, &is_done, err);
  if (is_done) return status;
  for (size_t at = 0, end; status == LIMN_OK && at < v.n; at = end) {
    end = sp->cuts_words ? word_end(v.text, v.n, at) : v.n;
    row->n = 0;
    status = push_word(sp, row, &u, v.text, at, end, err);
    for (size_t i = 0; status == LIMN_OK && i < row->n; i++)
      status = push_token(sp, row->ids[i], v, row->starts[i], out, err);
  }
  return status;
}
