/*
 * encode.c - from text to ids: the stages, and who calls whom.
 *
 *     text --(added.c)--> texts between added tokens --(loop.h)--> pieces --(encoder.c)--> ids
 *
 * Special tokens are looked for first, where the caller allows them: the text between two of them
 * is cut into pieces (split_blocks.h, split.c), and what a piece's bytes merge to is remembered
 * (encoder.c) or found out (bpe.c). A tokenizer that asks for more goes through pipeline.c.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/pipeline.h"

#include <string.h>

void limn_tokens_deinit(limn_tokens *tokens) {
  limn_free(tokens->ids);
  limn_free(tokens->offsets);
  *tokens = (limn_tokens){0};
}

/* A text in which no added token counts. */
static limn_status encode_plain(limn_encoder *e, const char *text, size_t start, size_t end,
                                limn_error *err) {
  size_t at = 0;
  return e->loop->run(e, (const unsigned char *)text + start, end - start, false, &at, err);
}

limn_status limn_refuse_special(const limn_tokenizer *t, int32_t id, size_t at, limn_error *err) {
  size_t n;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, at,
                        "special token \"%.*s\" at byte %zu of the text, where none is allowed",
                        (int)n, bytes, at);
}

limn_status limn_encode_text(limn_encoder *e, const char *text, size_t n, limn_special special,
                             limn_error *err) {
  const limn_tokenizer *t = e->t;
  if (t->pipeline) return limn_pipeline_encode(e, text, n, special, err);
  if (special == LIMN_SPECIAL_AS_TEXT) return encode_plain(e, text, 0, n, err);
  for (size_t at = 0; at < n && !e->sink.is_full;) {
    size_t end = limn_added_next(t, text, n, at), size;
    limn_status status = encode_plain(e, text, at, end, err);
    if (status != LIMN_OK || end == n) return status;
    int32_t id = limn_added_at(t, text, n, end);
    if (special == LIMN_SPECIAL_REFUSE) return limn_refuse_special(t, id, end, err);
    status = limn_encoder_push(e, id, err);
    if (status != LIMN_OK) return status;
    limn_tokenizer_bytes(t, id, &size);
    at = end + size;
  }
  return LIMN_OK;
}
