/*
 * encode.c - from text to ids: the stages, and who calls whom.
 *
 *     text --(added.c)--> texts between added tokens --(split.c)--> pieces --(bpe.c)--> ids
 *
 * Special tokens are looked for first, where the caller allows them: the text between two of them
 * is cut into pieces and each piece's bytes are merged.
 */
#include "tokenizer/tokenizer.h"

#include <string.h>

void limn_tokens_deinit(limn_tokens *tokens) {
  limn_free(tokens->ids);
  limn_free(tokens->offsets);
  *tokens = (limn_tokens){0};
}

static limn_status encode_plain(limn_bpe *bpe, const limn_tokenizer *t, const char *text,
                                size_t start, size_t end, limn_tokens *out, limn_error *err) {
  const unsigned char *bytes = (const unsigned char *)text;
  for (size_t at = start; at < end;) {
    size_t next = start + limn_split_next(t->pattern, bytes + start, end - start, at - start);
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
    size_t end = limn_added_next(t, text, n, at), size;
    limn_status status = encode_plain(bpe, t, text, at, end, out, err);
    if (status != LIMN_OK || end == n) return status;
    int32_t id = limn_added_at(t, text, n, end);
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
