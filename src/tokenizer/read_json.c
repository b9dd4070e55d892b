/*
 * read_json.c - tokenizers as files: vocab.json with merges.txt (GPT-2's own form), and the
 * tokenizer.json of Hugging Face's library.
 *
 * Both write a token's bytes as printable characters (vocabulary.c). What a tokenizer.json asks for
 * beyond GPT-2's way of splitting and merging is refused by name: a part passed over in silence
 * would give other tokens than the file's makers meant.
 */
#include "base/file.h"
#include "base/utf8.h"
#include "formats/json_file.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

#define FILE_LIMIT ((size_t)1 << 29)
#define MOST_IDS   ((int64_t)1 << 24)

/* ---- the vocabulary: an object from printable tokens to ids -------------------------------------
 */

/* The bytes that a printable token stands for; false when a character stands for none. */
static bool bytes_of(const char *printable, size_t n, limn_bytes *out) {
  out->size = 0;
  for (size_t at = 0; at < n;) {
    int32_t code;
    at += limn_utf8_decode((const unsigned char *)printable + at, n - at, &code);
    int byte = code < 0 ? -1 : limn_printable_to_byte((uint32_t)code);
    char c = (char)byte;
    if (byte < 0 || !limn_bytes_append(out, &c, 1)) return false;
  }
  return true;
}

typedef struct entry {
  const char *text;
  size_t n;
  bool is_added;
} entry;

static limn_status set_entry(entry *entries, int64_t limit, const char *where, const char *text,
                             size_t n, int64_t id, bool is_added, limn_error *err) {
  if (id < 0 || id >= limit)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "%s: token \"%.*s\" has the id %lld, expected 0 to %lld", where,
                          n > 100 ? 100 : (int)n, text, (long long)id, (long long)limit - 1);
  entry *e = &entries[id];
  bool is_same = e->text && e->n == n && memcmp(e->text, text, n) == 0;
  if (e->text && !is_same)
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "%s: tokens \"%.*s\" and \"%.*s\" have the same id %lld", where,
                          e->n > 100 ? 100 : (int)e->n, e->text, n > 100 ? 100 : (int)n, text,
                          (long long)id);
  *e = (entry){text, n, is_added || e->is_added};
  return LIMN_OK;
}

static limn_status collect_vocab(const json_t *vocab, const char *where, entry *entries,
                                 int64_t limit, limn_error *err) {
  const char *key;
  json_t *value;
  void *iter_object = NULL;
  memcpy(&iter_object, &vocab, sizeof iter_object);
  json_t *object = iter_object;
  json_object_foreach(object, key, value) {
    if (!json_is_integer(value))
      return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: the id of token \"%.100s\" is %s, expected an integer", where, key,
                            limn_json_kind(value));
    limn_status status =
        set_entry(entries, limit, where, key, strlen(key), json_integer_value(value), false, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status need_false(const json_t *token, const char *where, const char *key,
                              limn_error *err) {
  bool value = false;
  if (!limn_json_has(token, key)) return LIMN_OK;
  limn_status status = limn_json_need_bool(token, where, key, &value, err);
  if (status == LIMN_OK && value)
    status = limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                            "%s: an added token has \"%s\" true, expected false", where, key);
  return status;
}

static limn_status collect_added(const json_t *added, const char *where, entry *entries,
                                 int64_t limit, limn_error *err) {
  for (size_t i = 0; i < json_array_size(added); i++) {
    const json_t *token = json_array_get(added, i);
    const char *text = NULL;
    int64_t id = 0;
    bool is_special = false;
    limn_status status = limn_json_need_string(token, where, "content", &text, err);
    if (status == LIMN_OK) status = limn_json_need_int(token, where, "id", 0, limit - 1, &id, err);
    if (status == LIMN_OK) status = limn_json_need_bool(token, where, "special", &is_special, err);
    if (status == LIMN_OK && !is_special)
      status = limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                              "%s: added token \"%s\" has \"special\" false, expected true", where,
                              text);
    if (status == LIMN_OK && !*text)
      status = limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: an added token is empty",
                              where);
    if (status == LIMN_OK) status = need_false(token, where, "single_word", err);
    if (status == LIMN_OK) status = need_false(token, where, "lstrip", err);
    if (status == LIMN_OK) status = need_false(token, where, "rstrip", err);
    if (status == LIMN_OK)
      status = set_entry(entries, limit, where, text, strlen(text), id, true, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status add_entry(limn_tokenizer *t, const char *where, const entry *e,
                             limn_bytes *scratch, limn_error *err) {
  if (!e->text) return limn_tokenizer_add(t, "", 0, LIMN_TOKEN_NONE, err);
  if (e->is_added) return limn_tokenizer_add(t, e->text, e->n, LIMN_TOKEN_SPECIAL, err);
  if (!limn_bytes_reserve(scratch, e->n)) return limn_out_of_memory(err, "a vocabulary");
  if (!bytes_of(e->text, e->n, scratch))
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: token \"%.*s\" has a character that stands for no byte, expected a "
                          "byte-level vocabulary",
                          where, e->n > 100 ? 100 : (int)e->n, e->text);
  return limn_tokenizer_add(t, scratch->data, scratch->size, LIMN_TOKEN_NORMAL, err);
}

/* Tokens of `vocab` and `added` (or NULL) in the order of their ids. */
static limn_status build_vocab(limn_tokenizer *t, const char *where, const json_t *vocab,
                               const json_t *added, limn_error *err) {
  int64_t limit = (int64_t)(json_object_size(vocab) + json_array_size(added)) * 2 + 256;
  if (limit > MOST_IDS) limit = MOST_IDS;
  entry *entries = limn_alloc_zeroed((size_t)limit, sizeof *entries);
  limn_bytes scratch = {0};
  if (!entries) return limn_out_of_memory(err, "a vocabulary");
  limn_status status = collect_vocab(vocab, where, entries, limit, err);
  if (status == LIMN_OK && added) status = collect_added(added, where, entries, limit, err);
  int32_t n = (int32_t)limit;
  while (n > 0 && !entries[n - 1].text)
    n--;
  if (status == LIMN_OK) status = limn_tokenizer_start(t, n, err);
  for (int32_t id = 0; status == LIMN_OK && id < n; id++)
    status = add_entry(t, where, &entries[id], &scratch, err);
  limn_bytes_deinit(&scratch);
  limn_free(entries);
  return status == LIMN_OK ? limn_tokenizer_index(t, where, err) : status;
}

/* ---- merges
 * ----------------------------------------------------------------------------------------- */

static limn_status bad_merge(const char *where, size_t rank, const char *text, size_t n,
                             const char *what, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: merge %zu, \"%.*s\", %s",
                        where, rank, n > 100 ? 100 : (int)n, text, what);
}

/* Adds the merge of two printable halves. `pair` of size n is how a message shows it. */
static limn_status add_merge(limn_tokenizer *t, const char *where, size_t rank, const char *left,
                             size_t n_left, const char *right, size_t n_right, limn_bytes *both,
                             limn_error *err) {
  limn_bytes half = {0};
  limn_status status = LIMN_OK;
  if (!limn_bytes_reserve(&half, n_right) || !limn_bytes_reserve(both, n_left + n_right))
    status = limn_out_of_memory(err, "merges");
  bool is_read = status == LIMN_OK && bytes_of(left, n_left, both) &&
                 bytes_of(right, n_right, &half) && both->size > 0 && half.size > 0;
  if (is_read) {
    int32_t a = limn_tokenizer_id(t, both->data, both->size);
    int32_t b = limn_tokenizer_id(t, half.data, half.size);
    limn_bytes_append(both, half.data, half.size);
    int32_t c = limn_tokenizer_id(t, both->data, both->size);
    if (a < 0 || b < 0 || c < 0)
      status = bad_merge(where, rank, left, n_left,
                         "names or makes a token that is not in the vocabulary", err);
    else if (!limn_tokenizer_add_merge(t, a, b, (int32_t)rank, c))
      status = bad_merge(where, rank, left, n_left, "is there twice", err);
  } else if (status == LIMN_OK) {
    status = bad_merge(where, rank, left, n_left, "is not two byte-level tokens", err);
  }
  limn_bytes_deinit(&half);
  return status;
}

/* "left right" */
static limn_status add_merge_line(limn_tokenizer *t, const char *where, size_t rank,
                                  const char *line, size_t n, limn_bytes *scratch,
                                  limn_error *err) {
  const char *space = memchr(line, ' ', n);
  size_t n_left = space ? (size_t)(space - line) : 0;
  if (!space || memchr(space + 1, ' ', n - n_left - 1))
    return bad_merge(where, rank, line, n, "is not two tokens with a space between", err);
  return add_merge(t, where, rank, line, n_left, space + 1, n - n_left - 1, scratch, err);
}

/* A string "left right", or (in newer files) an array of the two. */
static limn_status add_merge_json(limn_tokenizer *t, const char *where, size_t rank,
                                  const json_t *merge, limn_bytes *scratch, limn_error *err) {
  if (json_is_string(merge))
    return add_merge_line(t, where, rank, json_string_value(merge), json_string_length(merge),
                          scratch, err);
  const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
  if (json_array_size(merge) != 2 || !json_is_string(left) || !json_is_string(right))
    return bad_merge(where, rank, limn_json_kind(merge), strlen(limn_json_kind(merge)),
                     "is not a string or two strings", err);
  return add_merge(t, where, rank, json_string_value(left), json_string_length(left),
                   json_string_value(right), json_string_length(right), scratch, err);
}

static limn_status build_merges_json(limn_tokenizer *t, const char *where, const json_t *merges,
                                     limn_error *err) {
  limn_bytes scratch = {0};
  limn_status status = limn_tokenizer_start_merges(t, json_array_size(merges), err);
  for (size_t i = 0; status == LIMN_OK && i < json_array_size(merges); i++)
    status = add_merge_json(t, where, i, json_array_get(merges, i), &scratch, err);
  limn_bytes_deinit(&scratch);
  return status;
}

static size_t line_length(const char *text, size_t n) {
  const char *end = memchr(text, '\n', n);
  return end ? (size_t)(end - text) : n;
}

static limn_status build_merges_text(limn_tokenizer *t, const char *where, const char *text,
                                     size_t n, limn_error *err) {
  limn_bytes scratch = {0};
  size_t n_lines = 1, rank = 0;
  for (size_t i = 0; i < n; i++)
    n_lines += text[i] == '\n';
  limn_status status = limn_tokenizer_start_merges(t, n_lines, err);
  for (size_t at = 0; status == LIMN_OK && at < n;) {
    size_t size = line_length(text + at, n - at), end = at + size + 1;
    if (size > 0 && text[at + size - 1] == '\r') size--;
    bool is_version = at == 0 && size >= 8 && memcmp(text, "#version", 8) == 0;
    if (size > 0 && !is_version)
      status = add_merge_line(t, where, rank++, text + at, size, &scratch, err);
    at = end;
  }
  limn_bytes_deinit(&scratch);
  return status;
}

/* ---- vocab.json and merges.txt
 * ---------------------------------------------------------------------- */

/*
 * Two files without a word on special tokens: what looks like one, <...>, and is made by no merge.
 */
static limn_status mark_specials(limn_tokenizer *t, const char *where, limn_error *err) {
  uint8_t *is_made = limn_alloc_zeroed((size_t)t->vocab_size, 1);
  if (!is_made) return limn_out_of_memory(err, "a vocabulary");
  for (size_t i = 0; i <= t->merge_mask; i++) {
    if (t->merges[i].result >= 0) is_made[t->merges[i].result] = 1;
  }
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t n;
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    if (n > 2 && bytes[0] == '<' && bytes[n - 1] == '>' && !is_made[id])
      t->kinds[id] = LIMN_TOKEN_SPECIAL;
  }
  limn_free(is_made);
  limn_free(t->by_bytes);
  limn_free(t->specials);
  t->by_bytes = NULL;
  t->specials = NULL;
  t->n_specials = 0;
  return limn_tokenizer_index(t, where, err);
}

static limn_status read_pair(const char *vocab_path, const char *merges_path,
                             const limn_file *vocab, const limn_file *merges, limn_tokenizer *t,
                             limn_error *err) {
  json_t *root;
  if (limn_is_gpt2_published(merges->data, merges->size, vocab->data, vocab->size))
    return limn_tokenizer_build_gpt2(t, err);
  limn_status status = limn_json_parse(vocab_path, vocab->data, vocab->size, 0, &root, err);
  if (status != LIMN_OK) return status;
  if (!json_is_object(root))
    status = limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: is %s, expected an object",
                            vocab_path, limn_json_kind(root));
  if (status == LIMN_OK) status = build_vocab(t, vocab_path, root, NULL, err);
  if (status == LIMN_OK)
    status = build_merges_text(t, merges_path, (const char *)merges->data, merges->size, err);
  json_decref(root);
  return status == LIMN_OK ? mark_specials(t, vocab_path, err) : status;
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

/* ---- tokenizer.json
 * ------------------------------------------------------------------------------------ */

static const char *type_of(const json_t *part) {
  const char *type = json_string_value(json_object_get(part, "type"));
  return type ? type : limn_json_kind(part);
}

static limn_status unsupported_part(const char *path, const char *part, const char *found,
                                    const char *wanted, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "%s: \"%s\" is %.100s, expected %s", path, part, found, wanted);
}

/* A part that must be absent, null, or of type ByteLevel. */
static limn_status need_byte_level(const json_t *root, const char *path, const char *part,
                                   bool may_lack, limn_error *err) {
  const json_t *value = json_object_get(root, part);
  if (!limn_json_has(root, part)) {
    if (may_lack) return LIMN_OK;
    return unsupported_part(path, part, "missing", "of type ByteLevel", err);
  }
  if (strcmp(type_of(value), "ByteLevel") == 0) return LIMN_OK;
  return unsupported_part(path, part, type_of(value), "ByteLevel", err);
}

static limn_status check_flag(const json_t *object, const char *path, const char *key, bool wanted,
                              bool preset, limn_error *err) {
  bool value = preset;
  limn_status status = LIMN_OK;
  if (limn_json_has(object, key)) status = limn_json_need_bool(object, path, key, &value, err);
  if (status != LIMN_OK || value == wanted) return status;
  return unsupported_part(path, key, value ? "true" : "false", wanted ? "true" : "false", err);
}

static limn_status check_parts(const json_t *root, const char *path, limn_error *err) {
  if (limn_json_has(root, "normalizer"))
    return unsupported_part(path, "normalizer", type_of(json_object_get(root, "normalizer")),
                            "none", err);
  limn_status status = need_byte_level(root, path, "pre_tokenizer", false, err);
  const json_t *splitter = json_object_get(root, "pre_tokenizer");
  if (status == LIMN_OK) status = check_flag(splitter, path, "add_prefix_space", false, true, err);
  if (status == LIMN_OK) status = check_flag(splitter, path, "use_regex", true, true, err);
  if (status == LIMN_OK) status = need_byte_level(root, path, "post_processor", true, err);
  if (status == LIMN_OK) status = need_byte_level(root, path, "decoder", true, err);
  return status;
}

static limn_status check_model(const json_t *model, const char *path, limn_error *err) {
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  if (json_object_get(model, "type") && strcmp(type_of(model), "BPE") != 0)
    return unsupported_part(path, "model", type_of(model), "BPE", err);
  limn_status status = check_flag(model, path, "byte_fallback", false, false, err);
  if (status == LIMN_OK) status = check_flag(model, path, "ignore_merges", false, false, err);
  if (status == LIMN_OK && limn_json_has(model, "dropout"))
    status = unsupported_part(path, "dropout", "set", "null", err);
  for (int i = 0; i < 2 && status == LIMN_OK; i++) {
    const json_t *affix = json_object_get(model, affixes[i]);
    if (json_string_length(affix) > 0)
      status = unsupported_part(path, affixes[i], json_string_value(affix), "empty", err);
  }
  return status;
}

static limn_status build_from_json(const json_t *root, const char *path, limn_tokenizer *t,
                                   limn_error *err) {
  const json_t *model, *vocab, *merges, *added = NULL;
  limn_status status = limn_json_need_object(root, path, "model", &model, err);
  if (status == LIMN_OK) status = check_model(model, path, err);
  if (status == LIMN_OK) status = check_parts(root, path, err);
  if (status == LIMN_OK) status = limn_json_need_object(model, path, "vocab", &vocab, err);
  if (status == LIMN_OK) status = limn_json_need_array(model, path, "merges", &merges, err);
  if (status == LIMN_OK && limn_json_has(root, "added_tokens"))
    status = limn_json_need_array(root, path, "added_tokens", &added, err);
  if (status == LIMN_OK) status = build_vocab(t, path, vocab, added, err);
  if (status == LIMN_OK) status = build_merges_json(t, path, merges, err);
  return status;
}

limn_status limn_tokenizer_read_json(const char *path, limn_tokenizer *t, limn_error *err) {
  json_t *root;
  limn_status status = limn_json_file_read(path, FILE_LIMIT, &root, err);
  if (status != LIMN_OK) return status;
  status = build_from_json(root, path, t, err);
  json_decref(root);
  return status;
}
