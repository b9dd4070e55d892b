/*
 * read_pair.c - vocab.json with merges.txt, the form that GPT-2 was published in.
 *
 * Tokens are bytes written as visible characters (vocabulary.c), and texts are cut as GPT-2 does.
 */
#include "base/file.h"
#include "tokenizer/build.h"
#include "tokenizer/readers.h"
#include "tokenizer/vocab_json.h"

#include <string.h>

static limn_status collect_vocab(limn_entries *e, const json_t *vocab, limn_error *err) {
  const char *key;
  json_t *value, *object = limn_json_to_iterate(vocab);
  json_object_foreach(object, key, value) {
    if (!json_is_integer(value))
      return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: the id of token \"%.100s\" is %s, expected an integer", e->where,
                            key, limn_json_kind(value));
    limn_status status =
        limn_entries_set(e, key, strlen(key), json_integer_value(value), LIMN_TOKEN_NORMAL, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status read_merges(limn_vocab_merges *m, const char *text, size_t n, limn_error *err) {
  size_t rank = 0;
  limn_status status = LIMN_OK;
  for (size_t at = 0; status == LIMN_OK && at < n;) {
    const char *line = text + at, *end = memchr(line, '\n', n - at);
    size_t size = end ? (size_t)(end - line) : n - at;
    bool is_version = size >= 8 && memcmp(line, "#version", 8) == 0;
    at += size + 1;
    if (size > 0 && line[size - 1] == '\r') size--;
    if (size > 0 && !is_version) status = limn_vocab_merge_line(m, rank++, line, size, err);
  }
  return status;
}

/*
 * Two files without a word on special tokens: what looks like one, <...>, and is made by no merge.
 */
static limn_status mark_specials(const limn_entries *e, const limn_pairs *pairs, limn_error *err) {
  uint8_t *is_made = limn_alloc_zeroed((size_t)e->limit, 1);
  if (!is_made) return limn_out_of_memory(err, "a vocabulary");
  for (size_t i = 0; pairs->places && i <= pairs->mask; i++) {
    if (pairs->places[i].result >= 0) is_made[pairs->places[i].result] = 1;
  }
  for (int64_t id = 0; id < e->limit; id++) {
    limn_entry *entry = &e->by_id[id];
    if (entry->n > 2 && entry->text[0] == '<' && entry->text[entry->n - 1] == '>' && !is_made[id])
      entry->kind = LIMN_TOKEN_SPECIAL;
  }
  limn_free(is_made);
  return LIMN_OK;
}

static limn_status build(limn_vocab_merges *m, const char *vocab_path, const limn_file *merges,
                         limn_tokenizer *t, limn_error *err) {
  limn_entries e;
  int64_t n = (int64_t)json_object_size(m->vocab);
  limn_status status = limn_entries_init(&e, vocab_path, n * 2 + 256, err);
  if (status == LIMN_OK) status = collect_vocab(&e, m->vocab, err);
  if (status == LIMN_OK) status = read_merges(m, (const char *)merges->data, merges->size, err);
  if (status == LIMN_OK) status = mark_specials(&e, &m->pairs, err);
  if (status == LIMN_OK) status = limn_build_vocabulary(t, &e, LIMN_WRITING_PRINTABLE, err);
  limn_entries_deinit(&e);
  if (status != LIMN_OK) return status;
  int missing = limn_missing_byte(t);
  if (missing >= 0)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: no token for the byte %d, a byte-level vocabulary has all 256",
                          vocab_path, missing);
  return limn_build_merges(t, &m->pairs, err);
}

static limn_status read_pair(const char *vocab_path, const char *merges_path,
                             const limn_file *vocab, const limn_file *merges, limn_tokenizer *t,
                             limn_error *err) {
  json_t *root;
  if (limn_is_gpt2_published(merges->data, merges->size, vocab->data, vocab->size))
    return limn_tokenizer_build_gpt2(t, err);
  limn_status status = limn_json_parse(vocab_path, vocab->data, vocab->size, 0, &root, err);
  if (status != LIMN_OK) return status;
  limn_vocab_merges m = {.where = merges_path, .vocab = root};
  if (json_is_object(root))
    status = build(&m, vocab_path, merges, t, err);
  else
    status = limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: is %s, expected an object",
                            vocab_path, limn_json_kind(root));
  limn_pairs_deinit(&m.pairs);
  limn_bytes_deinit(&m.scratch);
  json_decref(root);
  return status;
}

limn_status limn_tokenizer_read_pair(const char *vocab_path, const char *merges_path,
                                     limn_tokenizer *t, limn_error *err) {
  limn_file vocab, merges;
  limn_status status = limn_file_open(vocab_path, &vocab, err);
  if (status != LIMN_OK) return status;
  status = limn_file_open(merges_path, &merges, err);
  if (status == LIMN_OK) {
    status = read_pair(vocab_path, merges_path, &vocab, &merges, t, err);
    limn_file_close(&merges);
  }
  limn_file_close(&vocab);
  return status;
}
