/*
 * read_tekken.c - Mistral's tekken.json, as their package mistral-common reads it.
 *
 * The file is JSON: `config` has the pattern and how many tokens there are, `special_tokens` those
 * that no text gives, `vocab` the others, each with its bytes in base64 and its rank. Merging goes
 * by rank, as in tiktoken's files. Ids are ranks behind the special tokens: of these there are
 * always `default_num_special_tokens`, and those that the file does not name are <SPECIAL_20> and
 * so on. Files before version 11 need not name any; the twenty of that time are in this file.
 */
#include "formats/json_file.h"
#include "tokenizer/base64.h"
#include "tokenizer/build.h"
#include "tokenizer/families.h"
#include "tokenizer/readers.h"

#include <stdio.h>
#include <string.h>

typedef struct tekken {
  const char *path;
  const json_t *root, *config;
  limn_bytes bytes; /* of all tokens; room for them was made at the start */
  limn_entries entries;
  int64_t n_special, n_ranks;
  limn_error *err;
} tekken;

static const char *const first_specials[] = {"<unk>",
                                             "<s>",
                                             "</s>",
                                             "[INST]",
                                             "[/INST]",
                                             "[AVAILABLE_TOOLS]",
                                             "[/AVAILABLE_TOOLS]",
                                             "[TOOL_RESULTS]",
                                             "[/TOOL_RESULTS]",
                                             "[TOOL_CALLS]",
                                             "[IMG]",
                                             "<pad>",
                                             "[IMG_BREAK]",
                                             "[IMG_END]",
                                             "[PREFIX]",
                                             "[MIDDLE]",
                                             "[SUFFIX]",
                                             "[SYSTEM_PROMPT]",
                                             "[/SYSTEM_PROMPT]",
                                             "[TOOL_CONTENT]"};

#define N_FIRST_SPECIALS ((int64_t)(sizeof first_specials / sizeof *first_specials))

/* Room for one filler, "<SPECIAL_16777215>". */
#define FILLER_SIZE 24

static limn_status malformed(const tekken *k, const char *list, size_t i, const char *what) {
  return limn_error_set(k->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: \"%s\" %zu %s", k->path,
                        list, i, what);
}

/* A string, which may have a NUL inside: the text of the byte 0 is one. */
static limn_status need_text(const tekken *k, const json_t *object, const char *key,
                             const char **text, size_t *n) {
  limn_status status = limn_json_need_string(object, k->path, key, text, k->err);
  if (status == LIMN_OK) *n = json_string_length(json_object_get(object, key));
  return status;
}

/* ---- config -----------------------------------------------------------------------------------
 */

/* Whether special tokens may be left out: they stand in the file since version 11. */
static limn_status read_version(tekken *k, bool *is_early) {
  static const char *const versions[] = {"v1", "v2", "v3", "v7", "v11", "v13", "v15"};
  const char *version;
  size_t n;
  limn_status status = need_text(k, k->config, "version", &version, &n);
  if (status != LIMN_OK) return status;
  for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
    *is_early = i < 4;
    if (strlen(versions[i]) == n && strcmp(versions[i], version) == 0) return LIMN_OK;
  }
  return limn_error_set(k->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "%s: \"version\" is %.100s, expected v1, v2, v3, v7, v11, v13 or v15",
                        k->path, version);
}

static limn_status read_pattern(tekken *k, limn_pattern *out) {
  const char *pattern;
  size_t n;
  limn_status status = need_text(k, k->config, "pattern", &pattern, &n);
  if (status != LIMN_OK) return status;
  *out = limn_pattern_of_regex(pattern, n);
  if (*out != LIMN_PATTERN_REGEX) return LIMN_OK;
  return limn_error_set(k->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "%s: \"pattern\" is \"%.200s\", expected that of a family that limn knows",
                        k->path, pattern);
}

/* How many special tokens, and how many others of those that the file has. */
static limn_status read_counts(tekken *k, const json_t *vocab) {
  int64_t size = 0, n_vocab = (int64_t)json_array_size(vocab);
  limn_status status = limn_json_need_int(k->config, k->path, "default_num_special_tokens", 0,
                                          LIMN_MOST_IDS, &k->n_special, k->err);
  if (status == LIMN_OK)
    status = limn_json_need_int(k->config, k->path, "default_vocab_size", k->n_special + 256,
                                k->n_special + n_vocab, &size, k->err);
  k->n_ranks = size - k->n_special;
  return status;
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

static limn_status check_rank(tekken *k, const json_t *token, const char *list, size_t i) {
  int64_t rank;
  if (!json_is_object(token)) return malformed(k, list, i, "is not an object");
  limn_status status = limn_json_need_int(token, k->path, "rank", 0, INT32_MAX, &rank, k->err);
  if (status != LIMN_OK || rank == (int64_t)i) return status;
  return limn_error_set(k->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "%s: \"%s\" %zu has the rank %lld, expected %zu", k->path, list, i,
                        (long long)rank, i);
}

static limn_status set_special(tekken *k, int64_t id, const char *text, size_t n) {
  return limn_entries_set(&k->entries, text, n, id, LIMN_TOKEN_SPECIAL, k->err);
}

static limn_status read_special(tekken *k, const json_t *specials, size_t i) {
  const json_t *token = json_array_get(specials, i);
  const char *text;
  limn_status status = check_rank(k, token, "special_tokens", i);
  if (status == LIMN_OK) status = limn_json_need_string(token, k->path, "token_str", &text, k->err);
  if (status != LIMN_OK) return status;
  if (*text == '\0') return malformed(k, "special_tokens", i, "is empty");
  return set_special(k, (int64_t)i, text, strlen(text));
}

/* <SPECIAL_20>, kept behind the bytes of the other tokens. */
static limn_status set_filler(tekken *k, int64_t id) {
  char text[FILLER_SIZE];
  int n = snprintf(text, sizeof text, "<SPECIAL_%lld>", (long long)id);
  size_t at = k->bytes.size;
  limn_bytes_append(&k->bytes, text, (size_t)n);
  return set_special(k, id, k->bytes.data + at, (size_t)n);
}

static limn_status read_specials(tekken *k, bool is_early) {
  const json_t *specials = NULL;
  limn_status status = LIMN_OK;
  if (limn_json_has(k->root, "special_tokens") || !is_early)
    status = limn_json_need_array(k->root, k->path, "special_tokens", &specials, k->err);
  int64_t n = specials ? (int64_t)json_array_size(specials) : N_FIRST_SPECIALS;
  if (status == LIMN_OK && n > k->n_special)
    status = limn_error_set(k->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: there are %lld special tokens, expected at most the %lld of "
                            "\"default_num_special_tokens\"",
                            k->path, (long long)n, (long long)k->n_special);
  for (int64_t id = 0; status == LIMN_OK && id < k->n_special; id++) {
    if (id >= n)
      status = set_filler(k, id);
    else if (specials)
      status = read_special(k, specials, (size_t)id);
    else
      status = set_special(k, id, first_specials[id], strlen(first_specials[id]));
  }
  return status;
}

static limn_status read_token(tekken *k, const json_t *vocab, size_t rank) {
  const json_t *token = json_array_get(vocab, rank);
  const char *text;
  size_t at = k->bytes.size, n_text;
  limn_status status = check_rank(k, token, "vocab", rank);
  if (status == LIMN_OK) status = need_text(k, token, "token_bytes", &text, &n_text);
  if (status != LIMN_OK) return status;
  if (!limn_base64_decode(text, n_text, &k->bytes))
    return malformed(k, "vocab", rank, "has \"token_bytes\" that are not base64");
  size_t n = k->bytes.size - at;
  if (rank < 256 && (n != 1 || (unsigned char)k->bytes.data[at] != rank))
    return malformed(k, "vocab", rank, "is not the byte of that number");
  return limn_entries_set(&k->entries, k->bytes.data + at, n, k->n_special + (int64_t)rank,
                          LIMN_TOKEN_NORMAL, k->err);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

/* Texts of tokens must stay where they are while the vocabulary is built. */
static limn_status reserve(tekken *k, const json_t *vocab) {
  size_t n = (size_t)k->n_special * FILLER_SIZE + 1;
  for (int64_t i = 0; i < k->n_ranks; i++) {
    const json_t *bytes = json_object_get(json_array_get(vocab, (size_t)i), "token_bytes");
    n += json_string_length(bytes) + 1;
  }
  return limn_bytes_reserve(&k->bytes, n) ? LIMN_OK : limn_out_of_memory(k->err, "a vocabulary");
}

/* Two tokens of a kind with the same bytes leave one of them without a way to it. */
static limn_status check_twice(const tekken *k, const limn_tokenizer *t) {
  for (int32_t id = 0; id < t->vocab_size; id++) {
    size_t n;
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    int32_t same = limn_tokenizer_id(t, bytes, n);
    if (same != id && t->kinds[same] == t->kinds[id])
      return limn_error_set(k->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: tokens %d and %d are the same bytes", k->path, (int)same, (int)id);
  }
  return LIMN_OK;
}

static limn_status read_all(tekken *k, limn_tokenizer *t) {
  const json_t *vocab;
  bool is_early = false;
  limn_status status = limn_json_need_object(k->root, k->path, "config", &k->config, k->err);
  if (status == LIMN_OK) status = read_version(k, &is_early);
  if (status == LIMN_OK) status = read_pattern(k, &t->pattern);
  if (status == LIMN_OK) status = limn_json_need_array(k->root, k->path, "vocab", &vocab, k->err);
  if (status == LIMN_OK) status = read_counts(k, vocab);
  if (status == LIMN_OK)
    status = limn_entries_init(&k->entries, k->path, k->n_special + k->n_ranks, k->err);
  if (status == LIMN_OK) status = reserve(k, vocab);
  if (status == LIMN_OK) status = read_specials(k, is_early);
  for (int64_t i = 0; status == LIMN_OK && i < k->n_ranks; i++)
    status = read_token(k, vocab, (size_t)i);
  if (status == LIMN_OK) status = limn_build_vocabulary(t, &k->entries, LIMN_WRITING_BYTES, k->err);
  if (status == LIMN_OK) status = check_twice(k, t);
  return status == LIMN_OK ? limn_build_from_ranks(t, k->err) : status;
}

bool limn_looks_like_tekken(const json_t *root) {
  return json_is_object(json_object_get(root, "config")) && !json_object_get(root, "model");
}

limn_status limn_tokenizer_read_tekken(const char *path, const json_t *root, limn_tokenizer *t,
                                       limn_error *err) {
  tekken k = {.path = path, .root = root, .err = err};
  limn_status status = read_all(&k, t);
  limn_entries_deinit(&k.entries);
  limn_bytes_deinit(&k.bytes);
  return status;
}
