/*
 * decode.c - from ids back to text: a token is its bytes. A stream of them holds back the bytes of
 * a character that is not yet whole.
 */
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

/* ---- at once ------------------------------------------------------------------------------------
 */

/* Tokens are copied 16 bytes at a time, whatever they need: the vocabulary has as many behind it.
 */
#define STRIDE 16
/* Ids whose room is made sure of at once. */
#define STEP 1024

/* The length of id's bytes, 0 when there is no such id. */
static inline size_t size_of(const limn_tokenizer *t, int32_t id) {
  if ((uint32_t)id >= (uint32_t)t->vocab_size) return 0;
  return t->starts[id + 1] - t->starts[id];
}

/* How many bytes n ids have; false, with *n_good of them before it, at one that is no token. */
static bool total_size(const limn_tokenizer *t, const int32_t *ids, size_t n, size_t *size,
                       size_t *n_good) {
  *size = 0;
  for (*n_good = 0; *n_good < n; ++*n_good) {
    int32_t id = ids[*n_good];
    size_t here = size_of(t, id), unused;
    if (here == 0 && !limn_tokenizer_bytes(t, id, &unused)) return false;
    *size += here;
  }
  return true;
}

/* Copies n tokens to `out`, where STRIDE bytes more may be written than they have. */
static char *copy_tokens(const limn_tokenizer *t, const int32_t *ids, size_t n, char *out) {
  const char *all = t->bytes.data;
  const uint32_t *starts = t->starts;
  for (size_t i = 0; i < n; i++) {
    size_t start = starts[ids[i]], size = starts[ids[i] + 1] - start;
    const char *from = all + start;
    memcpy(out, from, STRIDE);
    for (size_t done = STRIDE; done < size; done += STRIDE)
      memcpy(out + done, from + done, size - done < STRIDE ? size - done : STRIDE);
    out += size;
  }
  return out;
}

/* Takes away the spaces that encoding put before the text; returns how many bytes are left. */
static size_t drop_spaces(const limn_tokenizer *t, char *text, size_t n) {
  size_t dropped = 0, most = t->drops == LIMN_DROPS_ALL ? n : t->drops == LIMN_DROPS_ONE;
  while (dropped < n && dropped < most && text[dropped] == ' ')
    dropped++;
  if (dropped > 0) memmove(text, text + dropped, n - dropped);
  return n - dropped;
}

limn_status limn_tokenizer_decode(const limn_tokenizer *t, const int32_t *ids, size_t n,
                                  char **text, size_t *n_text, limn_error *err) {
  limn_bytes all = {0};
  *text = NULL;
  *n_text = 0;
  limn_status status =
      limn_bytes_reserve(&all, 4 * n + STRIDE) ? LIMN_OK : limn_out_of_memory(err, "a text");
  for (size_t i = 0; status == LIMN_OK && i < n; i += STEP) {
    size_t count = n - i < STEP ? n - i : STEP, size, n_good;
    if (!total_size(t, ids + i, count, &size, &n_good))
      status = limn_no_such_id(t, ids[i + n_good], err);
    else if (!limn_bytes_reserve(&all, size + STRIDE))
      status = limn_out_of_memory(err, "a text");
    else
      all.size = (size_t)(copy_tokens(t, ids + i, count, all.data + all.size) - all.data);
  }
  if (status != LIMN_OK) {
    limn_bytes_deinit(&all);
    return status;
  }
  all.size = drop_spaces(t, all.data, all.size);
  all.data[all.size] = '\0';
  *text = all.data;
  *n_text = all.size;
  return LIMN_OK;
}

limn_status limn_tokenizer_decode_into(const limn_tokenizer *t, const int32_t *ids, size_t n,
                                       char *out, size_t capacity, size_t *n_text,
                                       limn_error *err) {
  char *const start = out;
  *n_text = 0;
  for (size_t i = 0; i < n; i += STEP) {
    size_t count = n - i < STEP ? n - i : STEP, size, n_good;
    if (!total_size(t, ids + i, count, &size, &n_good))
      return limn_no_such_id(t, ids[i + n_good], err);
    size_t room = capacity - (size_t)(out - start);
    if (size > room)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "the text has more than the %zu bytes that there is room for",
                            capacity);
    if (room - size >= STRIDE) {
      out = copy_tokens(t, ids + i, count, out);
      continue;
    }
    for (size_t k = i; k < i + count; k++) {
      size_t length = size_of(t, ids[k]);
      memcpy(out, t->bytes.data + t->starts[ids[k]], length);
      out += length;
    }
  }
  *n_text = drop_spaces(t, start, (size_t)(out - start));
  return LIMN_OK;
}

/* ---- token by token -----------------------------------------------------------------------------
 */

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
