/*
 * tokenizer.c - from text to ids and back.
 *
 * Special tokens are looked for first, where the caller allows them: the text between two of them
 * is cut into pieces (split.c) and each piece's bytes are merged (bpe.c). The way back is easier: a
 * token is its bytes.
 */
#include "tokenizer/tokenizer.h"

#include "base/file.h"
#include "base/utf8.h"

#include <string.h>

/* ---- opening
 * ------------------------------------------------------------------------------------- */

/* Not NOT_FOUND: a caller with a tokenizer of its own must not take it for a folder without one. */
static limn_status half_a_pair(const char *folder, bool has_vocab, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\" has \"%s\" but no \"%s\", expected both or a tokenizer.json",
                        folder, has_vocab ? "vocab.json" : "merges.txt",
                        has_vocab ? "merges.txt" : "vocab.json");
}

static limn_status read_folder(const char *folder, limn_tokenizer *t, limn_error *err) {
  char *json = limn_path_join(folder, "tokenizer.json");
  char *vocab = limn_path_join(folder, "vocab.json");
  char *merges = limn_path_join(folder, "merges.txt");
  limn_status status = LIMN_OK;
  if (!json || !vocab || !merges)
    status = limn_out_of_memory(err, "a path");
  else if (limn_path_exists(json))
    status = limn_tokenizer_read_json(json, t, err);
  else if (limn_path_exists(vocab) != limn_path_exists(merges))
    status = half_a_pair(folder, limn_path_exists(vocab), err);
  else if (limn_path_exists(vocab))
    status = limn_tokenizer_read_pair(vocab, merges, t, err);
  else
    status = limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                            "no tokenizer in \"%s\": neither tokenizer.json nor vocab.json and "
                            "merges.txt",
                            folder);
  limn_free(json);
  limn_free(vocab);
  limn_free(merges);
  return status;
}

limn_status limn_tokenizer_open(const char *path, limn_tokenizer **out, limn_error *err) {
  *out = NULL;
  limn_tokenizer *t = limn_alloc_zeroed(1, sizeof *t);
  if (!t) return limn_out_of_memory(err, "a tokenizer");
  limn_status status = limn_path_is_folder(path) ? read_folder(path, t, err)
                                                 : limn_tokenizer_read_json(path, t, err);
  if (status != LIMN_OK) {
    limn_tokenizer_close(t);
    return status;
  }
  *out = t;
  return LIMN_OK;
}

void limn_tokenizer_close(limn_tokenizer *t) {
  if (!t) return;
  limn_bytes_deinit(&t->bytes);
  limn_free(t->starts);
  limn_free(t->kinds);
  limn_free(t->by_bytes);
  limn_free(t->merges);
  limn_free(t->specials);
  limn_free(t);
}

/* ---- encoding
 * -------------------------------------------------------------------------------------- */

void limn_tokens_deinit(limn_tokens *tokens) {
  limn_free(tokens->ids);
  limn_free(tokens->offsets);
  *tokens = (limn_tokens){0};
}

/* The special token whose text stands at `at`, or -1. */
static int32_t special_at(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  if (!t->special_starts[(unsigned char)text[at]]) return -1;
  for (size_t i = 0; i < t->n_specials; i++) {
    size_t size;
    const char *bytes = limn_tokenizer_bytes(t, t->specials[i], &size);
    if (size > 0 && size <= n - at && memcmp(text + at, bytes, size) == 0) return t->specials[i];
  }
  return -1;
}

static size_t next_special(const limn_tokenizer *t, const char *text, size_t n, size_t at) {
  while (at < n && special_at(t, text, n, at) < 0)
    at++;
  return at;
}

static limn_status encode_plain(limn_bpe *bpe, const limn_tokenizer *t, const char *text,
                                size_t start, size_t end, limn_tokens *out, limn_error *err) {
  const unsigned char *bytes = (const unsigned char *)text;
  for (size_t at = start; at < end;) {
    size_t next = start + limn_split_next(bytes + start, end - start, at - start);
    limn_status status = limn_bpe_encode(bpe, t, bytes + at, next - at, at, out, err);
    if (status != LIMN_OK) return status;
    at = next;
  }
  return LIMN_OK;
}

static limn_status refuse(const limn_tokenizer *t, int32_t id, size_t at, limn_error *err) {
  size_t n;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, at,
                        "special token \"%.*s\" at byte %zu of the text, where none is allowed",
                        (int)n, bytes, at);
}

static limn_status encode_all(limn_bpe *bpe, const limn_tokenizer *t, const char *text, size_t n,
                              limn_special special, limn_tokens *out, limn_error *err) {
  if (special == LIMN_SPECIAL_AS_TEXT) return encode_plain(bpe, t, text, 0, n, out, err);
  for (size_t at = 0; at < n;) {
    size_t end = next_special(t, text, n, at), size;
    limn_status status = encode_plain(bpe, t, text, at, end, out, err);
    if (status != LIMN_OK || end == n) return status;
    int32_t id = special_at(t, text, n, end);
    if (special == LIMN_SPECIAL_REFUSE) return refuse(t, id, end, err);
    status = limn_tokens_push(out, id, end, err);
    if (status != LIMN_OK) return status;
    limn_tokenizer_bytes(t, id, &size);
    at = end + size;
  }
  return LIMN_OK;
}

limn_status limn_tokenizer_encode(const limn_tokenizer *t, const char *text, size_t n,
                                  limn_special special, limn_tokens *out, limn_error *err) {
  limn_bpe bpe = {0};
  out->n = 0;
  limn_status status = encode_all(&bpe, t, text, n, special, out, err);
  /* One more push makes room for the end of the last token. */
  if (status == LIMN_OK) status = limn_tokens_push(out, -1, n, err);
  if (status == LIMN_OK)
    out->n--;
  else
    limn_tokens_deinit(out);
  limn_bpe_deinit(&bpe);
  return status;
}

/* ---- decoding
 * ---------------------------------------------------------------------------------------- */

static limn_status no_such_id(const limn_tokenizer *t, int32_t id, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "no token has the id %d, the vocabulary has %d", (int)id,
                        (int)t->vocab_size);
}

limn_status limn_tokenizer_decode(const limn_tokenizer *t, const int32_t *ids, size_t n,
                                  char **text, size_t *n_text, limn_error *err) {
  limn_bytes all = {0};
  *text = NULL;
  *n_text = 0;
  limn_status status = limn_bytes_append(&all, "", 0) ? LIMN_OK : limn_out_of_memory(err, "a text");
  for (size_t i = 0; status == LIMN_OK && i < n; i++) {
    size_t size;
    const char *bytes = limn_tokenizer_bytes(t, ids[i], &size);
    if (!bytes)
      status = no_such_id(t, ids[i], err);
    else if (!limn_bytes_append(&all, bytes, size))
      status = limn_out_of_memory(err, "a text");
  }
  if (status != LIMN_OK) {
    limn_bytes_deinit(&all);
    return status;
  }
  *text = all.data;
  *n_text = all.size;
  return LIMN_OK;
}

/* Whether n bytes (1 to 3) could be the start of a character: some continuation makes one. */
static bool is_unfinished(const unsigned char *bytes, size_t n) {
  unsigned char whole[4] = {bytes[0], 0x80, 0x80, 0x80};
  unsigned char lead = bytes[0];
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || n >= length) return false;
  if (lead == 0xe0) whole[1] = 0xa0; /* the least second byte that is not overlong */
  if (lead == 0xf0) whole[1] = 0x90;
  memcpy(whole, bytes, n);
  int32_t code;
  limn_utf8_decode(whole, length, &code);
  return code >= 0;
}

size_t limn_decoder_push(limn_decoder *d, const char *bytes, size_t n, char *out) {
  size_t size = 0;
  for (size_t i = 0; i < n; i++) {
    d->pending[d->n_pending++] = (unsigned char)bytes[i];
    while (d->n_pending > 0 && !is_unfinished(d->pending, d->n_pending)) {
      int32_t code;
      size_t length = limn_utf8_decode(d->pending, d->n_pending, &code);
      memcpy(out + size, d->pending, length);
      size += length;
      d->n_pending -= length;
      memmove(d->pending, d->pending + length, d->n_pending);
    }
  }
  return size;
}

size_t limn_decoder_finish(limn_decoder *d, char *out) {
  size_t n = d->n_pending;
  memcpy(out, d->pending, n);
  d->n_pending = 0;
  return n;
}

/* ---- the vocabulary
 * ------------------------------------------------------------------------------------ */

int32_t limn_tokenizer_vocab_size(const limn_tokenizer *t) {
  return t->vocab_size;
}

bool limn_tokenizer_is_special(const limn_tokenizer *t, int32_t id) {
  return id >= 0 && id < t->vocab_size && t->kinds[id] == LIMN_TOKEN_SPECIAL;
}

int32_t limn_tokenizer_eos(const limn_tokenizer *t) {
  return t->eos;
}

limn_status limn_tokenizer_printable(const limn_tokenizer *t, int32_t id, char **out,
                                     limn_error *err) {
  size_t n;
  *out = NULL;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  if (!bytes) return no_such_id(t, id, err);
  if (limn_tokenizer_is_special(t, id)) {
    *out = limn_copy_string(bytes, n);
    return *out ? LIMN_OK : limn_out_of_memory(err, "a token");
  }
  unsigned char *text = limn_alloc_zeroed(2 * n + 1, 1);
  if (!text) return limn_out_of_memory(err, "a token");
  size_t size = 0;
  for (size_t i = 0; i < n; i++)
    size += limn_utf8_encode(limn_byte_to_printable((unsigned char)bytes[i]), text + size);
  *out = (char *)text;
  return LIMN_OK;
}
