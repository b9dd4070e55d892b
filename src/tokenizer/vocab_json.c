/*
 * vocab_json.c - merges that name tokens of a vocabulary, which tokenizer.json and merges.txt
 * share.
 */
#include "tokenizer/vocab_json.h"

#include <string.h>

json_t *limn_json_to_iterate(const json_t *object) {
  json_t *same;
  memcpy(&same, &object, sizeof same);
  return same;
}

static limn_status bad_merge(const limn_vocab_merges *m, size_t rank, const char *text, size_t n,
                             const char *what, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: merge %zu, \"%.*s\", %s",
                        m->where, rank, n > 100 ? 100 : (int)n, text, what);
}

/* The id of a token as the file writes it, or -1. */
static int32_t id_of(const limn_vocab_merges *m, const char *text, size_t n) {
  const json_t *id = json_object_getn(m->vocab, text, n);
  return json_is_integer(id) ? (int32_t)json_integer_value(id) : -1;
}

limn_status limn_vocab_merge(limn_vocab_merges *m, size_t rank, const char *left, size_t n_left,
                             const char *right, size_t n_right, limn_error *err) {
  limn_bytes *both = &m->scratch;
  both->size = 0;
  if (!limn_bytes_append(both, left, n_left) || !limn_bytes_append(both, right, n_right))
    return limn_out_of_memory(err, "merges");
  int32_t a = id_of(m, left, n_left), b = id_of(m, right, n_right);
  int32_t c = id_of(m, both->data, both->size);
  if (a < 0 || b < 0 || c < 0)
    return bad_merge(m, rank, both->data, both->size,
                     "names or makes a token that is not in the vocabulary", err);
  if (limn_pairs_add(&m->pairs, a, b, (int32_t)rank, c)) return LIMN_OK;
  return limn_out_of_memory(err, "merges");
}

limn_status limn_vocab_merge_line(limn_vocab_merges *m, size_t rank, const char *line, size_t n,
                                  limn_error *err) {
  const char *space = memchr(line, ' ', n);
  size_t n_left = space ? (size_t)(space - line) : 0;
  if (!space || memchr(space + 1, ' ', n - n_left - 1))
    return bad_merge(m, rank, line, n, "is not two tokens with a space between", err);
  return limn_vocab_merge(m, rank, line, n_left, space + 1, n - n_left - 1, err);
}
