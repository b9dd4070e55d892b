/*
 * decode.c - from ids back to text: a token is its bytes. A stream of them holds back the bytes of
 * a character that is not yet whole.
 */
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

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
      status = limn_no_such_id(t, ids[i], err);
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
