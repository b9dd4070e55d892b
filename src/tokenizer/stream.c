/*
 * stream.c - encoding a text that comes in chunks, with the ids that the whole text has.
 *
 * What has come is encoded up to the first piece that bytes still to come could change; the rest
 * waits. The plain splitter knows which pieces those are: all for which it asked what stands behind
 * the last byte (split.c). So what waits is one piece, and what is looked at behind it. Where
 * special tokens count, as many bytes more wait as the longest of them has, since one may just be
 * beginning. Tokenizers that go through pipeline.c have three places where something waits
 * (pipeline_open.c); those of which nothing is settled before the end wait for it here.
 */
#include "tokenizer/encoder.h"
#include "tokenizer/pipeline.h"

#include <string.h>

/* The splitter may look back at the character in which a piece begins. */
#define LOOK_BACK 3

struct limn_encode_stream {
  limn_encoder *e;
  limn_special special;
  limn_bytes waiting; /* `done` bytes that are encoded, to look back at, and the rest */
  size_t done;
  size_t offset;    /* of the first that is not encoded, in the whole text */
  size_t try_again; /* how many bytes to wait for before looking once more */
  bool is_held;     /* nothing is settled before the end */
  bool has_tokens;  /* some were given */
  limn_pipeline_stream changed;
};

/* Pieces up to this long are looked at again with every chunk; longer ones when they have grown by
 * a quarter, or chunks of single bytes would take the square of a long piece. */
#define SHORT_WAIT 256

limn_status limn_encode_stream_new(const limn_tokenizer *t, size_t cache_bytes,
                                   limn_special special, limn_encode_stream **out,
                                   limn_error *err) {
  *out = NULL;
  limn_encode_stream *s = limn_alloc_zeroed(1, sizeof *s);
  if (!s) return limn_out_of_memory(err, "a stream of text");
  s->special = special;
  s->is_held = t->pipeline && !limn_pipeline_streams(t->pipeline);
  limn_status status = limn_encoder_new(t, cache_bytes, &s->e, err);
  if (status != LIMN_OK) {
    limn_free(s);
    return status;
  }
  *out = s;
  return LIMN_OK;
}

void limn_encode_stream_free(limn_encode_stream *s) {
  if (!s) return;
  limn_encoder_free(s->e);
  limn_bytes_deinit(&s->waiting);
  limn_pipeline_stream_deinit(&s->changed);
  limn_free(s);
}

static size_t longest_special(const limn_tokenizer *t) {
  return t->specials.longest;
}

/* Encodes the text from `start` to `end` as far as it is settled; `start` follows. */
static limn_status encode_part(limn_encode_stream *s, size_t *start, size_t end, bool is_open,
                               limn_error *err) {
  size_t from = *start < LOOK_BACK ? 0 : *start - LOOK_BACK, at = *start - from;
  limn_status status = s->e->loop->run(s->e, (const unsigned char *)s->waiting.data + from,
                                       end - from, is_open, &at, err);
  *start = from + at;
  return status;
}

/*
 * The text up to where nothing is settled any more. A special token counts when the longest that
 * could stand in its place is all there.
 */
static limn_status encode_settled(limn_encode_stream *s, size_t *at, bool is_open,
                                  limn_error *err) {
  const limn_tokenizer *t = s->e->t;
  const char *text = s->waiting.data;
  size_t n = s->waiting.size;
  if (s->special == LIMN_SPECIAL_AS_TEXT) return encode_part(s, at, n, is_open, err);
  size_t longest = longest_special(t), kept = is_open && longest > 0 ? longest - 1 : 0;
  while (*at < n) {
    size_t next = limn_added_next(t, text, n, *at), size;
    bool is_whole = next < n && (!is_open || n - next >= longest);
    if (!is_whole) {
      size_t end = next < n ? next : n;
      if (end + kept > n) end = n > kept ? n - kept : 0;
      return end > *at ? encode_part(s, at, end, is_open, err) : LIMN_OK;
    }
    limn_status status = encode_part(s, at, next, false, err);
    if (status != LIMN_OK) return status;
    int32_t id = limn_added_at(t, text, n, next);
    limn_tokenizer_bytes(t, id, &size);
    if (s->special == LIMN_SPECIAL_REFUSE)
      return limn_refuse_special(t, id, s->offset + next - s->done, err);
    status = limn_encoder_push(s->e, id, err);
    if (status != LIMN_OK) return status;
    *at = next + size;
  }
  return LIMN_OK;
}

static limn_status encode_whole(limn_encode_stream *s, size_t *at, limn_error *err) {
  *at = s->waiting.size;
  return limn_encode_text(s->e, s->waiting.data, s->waiting.size, s->special, err);
}

static limn_status encode_waiting(limn_encode_stream *s, bool is_open, limn_tokens *out,
                                  limn_error *err) {
  size_t at = s->done;
  limn_encoder_into(s->e, (limn_sink){.tokens = out, .start = s->offset});
  limn_status status =
      s->e->t->pipeline ? encode_whole(s, &at, err) : encode_settled(s, &at, is_open, err);
  if (status == LIMN_OK) status = limn_encoder_flush(s->e, err);
  if (status != LIMN_OK) return status;
  s->offset += at - s->done;
  size_t kept = at < LOOK_BACK ? at : LOOK_BACK;
  memmove(s->waiting.data, s->waiting.data + at - kept, s->waiting.size - at + kept);
  s->waiting.size -= at - kept;
  s->done = kept;
  s->try_again = s->waiting.size < SHORT_WAIT ? 0 : s->waiting.size + s->waiting.size / 4;
  return LIMN_OK;
}

static limn_status encode_changed(limn_encode_stream *s, bool is_open, limn_tokens *out,
                                  limn_error *err) {
  size_t taken;
  limn_status status = limn_pipeline_encode_open(
      s->e, &s->changed, s->waiting.data, s->waiting.size, is_open, s->special, out, &taken, err);
  s->waiting.size -= taken;
  if (taken > 0) memmove(s->waiting.data, s->waiting.data + taken, s->waiting.size);
  return status;
}

limn_status limn_encode_stream_push(limn_encode_stream *s, const char *bytes, size_t n,
                                    limn_tokens *out, limn_error *err) {
  if (!limn_bytes_append(&s->waiting, bytes, n)) return limn_out_of_memory(err, "a text");
  if (s->is_held) return LIMN_OK;
  limn_status status = LIMN_OK;
  if (s->e->t->pipeline)
    status = encode_changed(s, true, out, err);
  else if (s->waiting.size >= s->try_again)
    status = encode_waiting(s, true, out, err);
  s->has_tokens |= out->n > 0;
  return status;
}

limn_status limn_encode_stream_finish(limn_encode_stream *s, limn_tokens *out, limn_error *err) {
  if (!limn_bytes_append(&s->waiting, "", 0)) return limn_out_of_memory(err, "a text");
  bool is_changed = s->e->t->pipeline && !s->is_held;
  limn_status status =
      is_changed ? encode_changed(s, false, out, err) : encode_waiting(s, false, out, err);
  if (status == LIMN_OK && out->n == 0 && !s->has_tokens) out->offsets[0] = 0;
  limn_pipeline_stream_deinit(&s->changed);
  s->waiting.size = s->done = s->offset = s->try_again = 0;
  s->has_tokens = false;
  return status;
}
