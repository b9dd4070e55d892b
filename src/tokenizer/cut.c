/*
 * cut.c - long texts in spans: where to cut, and encoding up to a cut.
 *
 * Before a cut the text is encoded as one that goes on (stream.c): up to the first piece that what
 * stands behind the cut could change. The plain splitter, which sees it, has the rest.
 */
#include "tokenizer/cut.h"

#include "base/utf8.h"
#include "tokenizer/unicode.h"

/* How far from where it would be best a place is looked for. */
#define NEAR 4096

static bool is_ascii_letter(unsigned char c) {
  return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_letter(const unsigned char *text, size_t n) {
  int32_t code;
  limn_utf8_decode(text, n, &code);
  limn_char_class class = code < 0 ? LIMN_CHAR_OTHER : limn_char_class_of((uint32_t)code);
  return class == LIMN_CHAR_UPPER || class == LIMN_CHAR_LOWER || class == LIMN_CHAR_LETTER;
}

bool limn_is_between_words(const unsigned char *text, size_t n, size_t at) {
  if (text[at] == ' ')
    return at + 1 < n && is_ascii_letter(text[at - 1]) && is_ascii_letter(text[at + 1]);
  return text[at - 1] == '\n' && is_letter(text + at, n - at);
}

/* ---- cutting ------------------------------------------------------------------------------------
 */

/* Whether pieces are found by the splitter alone, from where one begins. */
static bool can_cut(const limn_tokenizer *t, limn_special special) {
  return special == LIMN_SPECIAL_AS_TEXT && !t->pipeline && t->pattern != LIMN_PATTERN_NONE &&
         t->pattern != LIMN_PATTERN_REGEX;
}

/* The first place at least a span from both ends, or 0. */
static size_t next_place(const unsigned char *text, size_t n, size_t from, size_t span_size,
                         limn_cut_place *is_place) {
  for (size_t start = from + span_size; start + span_size <= n; start += span_size) {
    for (size_t at = start; at + span_size <= n && at < start + NEAR; at++) {
      if (is_place(text, n, at)) return at;
    }
  }
  return 0;
}

static size_t cut_one(const limn_text *text, size_t i, size_t span_size, limn_cut_place *is_place,
                      limn_span *spans) {
  size_t n = 0, from = 0;
  const unsigned char *bytes = (const unsigned char *)text->bytes;
  for (size_t to; (to = next_place(bytes, text->n, from, span_size, is_place)) > 0; from = to)
    spans[n++] = (limn_span){i, from, to};
  spans[n++] = (limn_span){i, from, text->n};
  return n;
}

limn_status limn_cut_texts(const limn_tokenizer *t, const limn_text *texts, size_t n,
                           limn_special special, size_t span_size, limn_cut_place *is_place,
                           limn_span **out, size_t *n_out, limn_error *err) {
  size_t most = n;
  *out = NULL;
  *n_out = 0;
  if (!can_cut(t, special)) return LIMN_OK;
  for (size_t i = 0; i < n; i++)
    most += texts[i].n / span_size > 1 ? texts[i].n / span_size : 0;
  if (most == n) return LIMN_OK;
  *out = limn_resize(NULL, most, sizeof **out);
  if (!*out) return limn_out_of_memory(err, "the spans of texts");
  for (size_t i = 0; i < n; i++)
    *n_out += cut_one(&texts[i], i, span_size, is_place, *out + *n_out);
  return LIMN_OK;
}

/* ---- encoding -----------------------------------------------------------------------------------
 */

limn_status limn_encode_span(limn_encoder *e, const limn_text *text, const limn_span *s,
                             size_t *end, limn_error *err) {
  const unsigned char *bytes = (const unsigned char *)text->bytes;
  size_t at = s->from;
  bool is_open = s->to < text->n, is_settled;
  limn_status status = e->loop->run(e, bytes, s->to, is_open, &at, err);
  while (status == LIMN_OK && at < s->to) {
    size_t next = limn_split_piece(e->t, bytes, text->n, at, &is_settled);
    status = limn_encoder_piece(e, bytes + at, next - at, err);
    at = next;
  }
  *end = at;
  return status;
}
