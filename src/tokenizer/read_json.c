/*
 * read_json.c - the tokenizer.json of Hugging Face's library.
 *
 * The file is a list of parts, each with a type: how texts are changed (normalizer), how they are
 * cut (pre_tokenizer), the vocabulary and its merges (model), and tokens that were added to it.
 * Each part becomes steps of a pipeline; where these come down to one pattern and merges of bytes,
 * the pipeline is not needed. A part that limn does not follow is refused by name: passed over in
 * silence it would give other tokens than the file's makers meant.
 */
#include "base/file.h"
#include "base/utf8.h"
#include "formats/json_file.h"
#include "tokenizer/build.h"
#include "tokenizer/families.h"
#include "tokenizer/readers.h"
#include "tokenizer/vocab_json.h"

#include <string.h>

#define FILE_LIMIT ((size_t)1 << 29)

typedef struct reading {
  const char *path;
  const json_t *root, *model;
  limn_tokenizer *t;
  limn_pipeline *p;
  limn_entries entries;
  bool whole_pieces, byte_fallback, fuse_unknown;
  const char *unknown;
  bool has_visible;
  int64_t last_added; /* the largest id of an added token */
  limn_error *err;
} reading;

/* ---- messages ---------------------------------------------------------------------------------
 */

static const char *type_of(const json_t *part) {
  const char *type = json_string_value(json_object_get(part, "type"));
  return type ? type : limn_json_kind(part);
}

static limn_status unsupported(reading *r, const char *part, const char *found,
                               const char *wanted) {
  return limn_error_set(r->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "%s: \"%s\" is %.100s, expected %s", r->path, part, found, wanted);
}

static limn_status no_memory(reading *r) {
  return limn_out_of_memory(r->err, "a tokenizer");
}

/* A flag that may be left out. */
static limn_status read_flag(reading *r, const json_t *part, const char *key, bool preset,
                             bool *out) {
  *out = preset;
  if (!limn_json_has(part, key)) return LIMN_OK;
  return limn_json_need_bool(part, r->path, key, out, r->err);
}

static limn_status need_absent(reading *r, const char *key) {
  const json_t *value = json_object_get(r->root, key);
  if (!limn_json_has(r->root, key)) return LIMN_OK;
  return unsupported(r, key, limn_json_kind(value), "null");
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static limn_status add_step(reading *r, limn_step *steps, size_t *n, const char *part,
                            limn_step **out) {
  *out = &steps[*n % LIMN_MOST_STEPS];
  if (*n == LIMN_MOST_STEPS) return unsupported(r, part, "more than 32 steps", "fewer");
  ++*n;
  **out = (limn_step){.kind = LIMN_STEP_FORM};
  return LIMN_OK;
}

static limn_status add_text_step(reading *r, limn_step *steps, size_t *n, const char *part,
                                 limn_step_kind kind, const char *text) {
  limn_step *step;
  limn_status status = add_step(r, steps, n, part, &step);
  if (status != LIMN_OK) return status;
  step->kind = kind;
  step->n_text = strlen(text);
  step->text = limn_copy_string(text, step->n_text);
  return step->text ? LIMN_OK : no_memory(r);
}

/* {"String": "..."} or {"Regex": "..."} */
static limn_status read_expression(reading *r, const json_t *part, const char **text, size_t *n,
                                   bool *is_literal) {
  const json_t *pattern;
  limn_status status = limn_json_need_object(part, r->path, "pattern", &pattern, r->err);
  if (status != LIMN_OK) return status;
  *is_literal = json_object_get(pattern, "String") != NULL;
  status = limn_json_need_string(pattern, r->path, *is_literal ? "String" : "Regex", text, r->err);
  if (status == LIMN_OK) *n = strlen(*text);
  if (status == LIMN_OK && *n == 0)
    status = unsupported(r, "pattern", "empty", "something to look for");
  return status;
}

static limn_status add_replace(reading *r, limn_step *steps, size_t *n, const char *part,
                               const char *pattern, size_t n_pattern, bool is_literal,
                               const char *content) {
  limn_status status = add_text_step(r, steps, n, part, LIMN_STEP_REPLACE, content);
  if (status != LIMN_OK) return status;
  return limn_regex_open(r->path, pattern, n_pattern, is_literal, &steps[*n - 1].regex, r->err);
}

/* ---- normalizer -------------------------------------------------------------------------------
 */

static limn_status read_normalizer(reading *r, const json_t *part, int depth);

static limn_status read_list(reading *r, const json_t *part, const char *key, int depth,
                             limn_status (*each)(reading *, const json_t *, int)) {
  const json_t *list;
  if (depth > 8) return unsupported(r, key, "nested more than 8 deep", "fewer");
  limn_status status = limn_json_need_array(part, r->path, key, &list, r->err);
  for (size_t i = 0; status == LIMN_OK && i < json_array_size(list); i++)
    status = each(r, json_array_get(list, i), depth + 1);
  return status;
}

static limn_status read_replace(reading *r, const json_t *part) {
  const char *pattern, *content;
  size_t n;
  bool is_literal;
  limn_status status = read_expression(r, part, &pattern, &n, &is_literal);
  if (status == LIMN_OK) status = limn_json_need_string(part, r->path, "content", &content, r->err);
  if (status != LIMN_OK) return status;
  return add_replace(r, r->p->normal, &r->p->n_normal, "normalizer", pattern, n, is_literal,
                     content);
}

/* The normalizers that are nothing but their name. */
static limn_status read_named(reading *r, const char *type, bool *is_known) {
  static const struct {
    const char *type;
    limn_step_kind kind;
    limn_form form;
  } known[] = {{"NFC", LIMN_STEP_FORM, LIMN_NFC},
               {"NFD", LIMN_STEP_FORM, LIMN_NFD},
               {"NFKC", LIMN_STEP_FORM, LIMN_NFKC},
               {"NFKD", LIMN_STEP_FORM, LIMN_NFKD},
               {"Lowercase", LIMN_STEP_LOWER, LIMN_NFC},
               {"StripAccents", LIMN_STEP_WITHOUT_MARKS, LIMN_NFC}};
  limn_step *step;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    *is_known = strcmp(known[i].type, type) == 0;
    if (!*is_known) continue;
    limn_status status = add_step(r, r->p->normal, &r->p->n_normal, "normalizer", &step);
    if (status != LIMN_OK) return status;
    step->kind = known[i].kind;
    step->form = known[i].form;
    return LIMN_OK;
  }
  return LIMN_OK;
}

static limn_status read_normalizer(reading *r, const json_t *part, int depth) {
  const char *type = type_of(part), *text;
  bool is_known;
  if (strcmp(type, "Sequence") == 0)
    return read_list(r, part, "normalizers", depth, read_normalizer);
  if (strcmp(type, "Replace") == 0) return read_replace(r, part);
  limn_status status = read_named(r, type, &is_known);
  if (status != LIMN_OK || is_known) return status;
  if (strcmp(type, "Prepend") != 0)
    return unsupported(r, "normalizer", type,
                       "NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Replace, Prepend or a "
                       "Sequence of them");
  status = limn_json_need_string(part, r->path, "prepend", &text, r->err);
  if (status != LIMN_OK) return status;
  return add_text_step(r, r->p->normal, &r->p->n_normal, "normalizer", LIMN_STEP_PREPEND, text);
}

/* ---- pre_tokenizer ----------------------------------------------------------------------------
 */

static limn_status add_cut(reading *r, limn_step_kind kind, limn_step **out) {
  limn_status status = add_step(r, r->p->cuts, &r->p->n_cuts, "pre_tokenizer", out);
  if (status == LIMN_OK) (*out)->kind = kind;
  return status;
}

static limn_status read_behavior(reading *r, const json_t *part, limn_behavior *out) {
  static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious",
                                      "MergedWithNext"};
  const char *name = "Isolated";
  limn_status status = LIMN_OK;
  if (limn_json_has(part, "behavior"))
    status = limn_json_need_string(part, r->path, "behavior", &name, r->err);
  for (int i = 0; status == LIMN_OK && i < 5; i++) {
    *out = (limn_behavior)i;
    if (strcmp(names[i], name) == 0) return LIMN_OK;
  }
  if (status != LIMN_OK) return status;
  return unsupported(r, "behavior", name,
                     "Isolated, Removed, Contiguous, MergedWithPrevious or MergedWithNext");
}

static limn_status read_split(reading *r, const json_t *part) {
  const char *pattern;
  size_t n;
  bool is_literal, invert;
  limn_behavior behavior;
  limn_step *step;
  limn_status status = read_expression(r, part, &pattern, &n, &is_literal);
  if (status == LIMN_OK) status = read_behavior(r, part, &behavior);
  if (status == LIMN_OK) status = read_flag(r, part, "invert", false, &invert);
  if (status == LIMN_OK) status = add_cut(r, LIMN_STEP_REGEX, &step);
  if (status == LIMN_OK) status = limn_step_of_regex(step, r->path, pattern, n, is_literal, r->err);
  if (status != LIMN_OK) return status;
  step->behavior = behavior;
  step->invert = invert;
  return LIMN_OK;
}

static limn_status read_byte_level(reading *r, const json_t *part) {
  bool has_prefix, has_regex;
  limn_step *step;
  limn_status status = read_flag(r, part, "add_prefix_space", true, &has_prefix);
  if (status == LIMN_OK) status = read_flag(r, part, "use_regex", true, &has_regex);
  if (status == LIMN_OK && has_prefix)
    status =
        add_text_step(r, r->p->cuts, &r->p->n_cuts, "pre_tokenizer", LIMN_STEP_PREPEND_ONCE, " ");
  if (status == LIMN_OK && has_regex) {
    status = add_cut(r, LIMN_STEP_PATTERN, &step);
    if (status == LIMN_OK) step->pattern = LIMN_PATTERN_GPT2;
  }
  if (status == LIMN_OK) status = add_cut(r, LIMN_STEP_VISIBLE, &step);
  r->has_visible = true;
  return status;
}

static limn_status read_digits(reading *r, const json_t *part) {
  bool individual;
  limn_step *step;
  limn_status status = read_flag(r, part, "individual_digits", false, &individual);
  if (status == LIMN_OK) status = add_cut(r, LIMN_STEP_NUMBERS, &step);
  if (status == LIMN_OK) step->behavior = individual ? LIMN_ISOLATED : LIMN_CONTIGUOUS;
  return status;
}

static limn_status read_punctuation(reading *r, const json_t *part) {
  limn_behavior behavior;
  limn_step *step;
  limn_status status = read_behavior(r, part, &behavior);
  if (status == LIMN_OK) status = add_cut(r, LIMN_STEP_PUNCTUATION, &step);
  if (status == LIMN_OK) step->behavior = behavior;
  return status;
}

/* "always", "first" or "never"; older files have add_prefix_space instead. */
static limn_status read_scheme(reading *r, const json_t *part, const char **out) {
  bool has_prefix;
  limn_status status = read_flag(r, part, "add_prefix_space", true, &has_prefix);
  *out = has_prefix ? "always" : "never";
  if (status == LIMN_OK && limn_json_has(part, "prepend_scheme"))
    status = limn_json_need_string(part, r->path, "prepend_scheme", out, r->err);
  if (status == LIMN_OK && strcmp(*out, "always") != 0 && strcmp(*out, "first") != 0 &&
      strcmp(*out, "never") != 0)
    status = unsupported(r, "prepend_scheme", *out, "always, first or never");
  return status;
}

/* Spaces become the replacement, which also stands before the text; and cut it, where asked. */
static limn_status read_metaspace(reading *r, const json_t *part) {
  const char *mark, *scheme;
  bool has_split;
  limn_step *step;
  limn_pipeline *p = r->p;
  limn_status status = limn_json_need_string(part, r->path, "replacement", &mark, r->err);
  if (status == LIMN_OK) status = read_scheme(r, part, &scheme);
  if (status == LIMN_OK) status = read_flag(r, part, "split", true, &has_split);
  if (status == LIMN_OK)
    status = add_replace(r, p->cuts, &p->n_cuts, "pre_tokenizer", " ", 1, true, mark);
  if (status == LIMN_OK && strcmp(scheme, "never") != 0)
    status = add_text_step(r, p->cuts, &p->n_cuts, "pre_tokenizer",
                           *scheme == 'a' ? LIMN_STEP_PREPEND_ONCE : LIMN_STEP_PREPEND_FIRST, mark);
  if (status != LIMN_OK || !has_split) return status;
  status = add_cut(r, LIMN_STEP_REGEX, &step);
  if (status == LIMN_OK)
    status = limn_step_of_regex(step, r->path, mark, strlen(mark), true, r->err);
  if (status == LIMN_OK) step->behavior = LIMN_MERGED_WITH_NEXT;
  return status;
}

static limn_status read_cutter(reading *r, const json_t *part, int depth) {
  static const struct {
    const char *type;
    limn_status (*read)(reading *, const json_t *);
  } readers[] = {{"Split", read_split},
                 {"ByteLevel", read_byte_level},
                 {"Digits", read_digits},
                 {"Punctuation", read_punctuation},
                 {"Metaspace", read_metaspace}};
  const char *type = type_of(part);
  if (strcmp(type, "Sequence") == 0) return read_list(r, part, "pretokenizers", depth, read_cutter);
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
    if (strcmp(readers[i].type, type) == 0) return readers[i].read(r, part);
  }
  return unsupported(r, "pre_tokenizer", type,
                     "Split, ByteLevel, Digits, Punctuation, Metaspace or a Sequence of them");
}

/* ---- post_processor and decoder ---------------------------------------------------------------
 */

/* These add special tokens around a text, which encoding does not do, or shift offsets. */
static limn_status check_processor(reading *r, const json_t *part, int depth) {
  static const char *const known[] = {"ByteLevel", "TemplateProcessing", "RobertaProcessing",
                                      "BertProcessing"};
  const char *type = type_of(part);
  if (strcmp(type, "Sequence") == 0)
    return read_list(r, part, "processors", depth, check_processor);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i], type) == 0) return LIMN_OK;
  }
  return unsupported(r, "post_processor", type, "one that only adds special tokens");
}

/* Tokens are decoded by what the vocabulary is; what is asked here is whether a space is dropped.
 */
static limn_status read_decoder(reading *r, const json_t *part, int depth) {
  static const char *const known[] = {"ByteLevel", "Replace", "ByteFallback", "Fuse"};
  const char *type = type_of(part), *scheme;
  if (strcmp(type, "Sequence") == 0) return read_list(r, part, "decoders", depth, read_decoder);
  if (strcmp(type, "Strip") == 0) {
    int64_t start, stop;
    limn_status status = limn_json_need_int(part, r->path, "start", 0, 1, &start, r->err);
    if (status == LIMN_OK) status = limn_json_need_int(part, r->path, "stop", 0, 0, &stop, r->err);
    if (status == LIMN_OK) r->t->drops = start == 1 ? LIMN_DROPS_ONE : LIMN_DROPS_NONE;
    return status;
  }
  if (strcmp(type, "Metaspace") == 0) {
    limn_status status = read_scheme(r, part, &scheme);
    if (status == LIMN_OK)
      r->t->drops = strcmp(scheme, "never") != 0 ? LIMN_DROPS_ALL : LIMN_DROPS_NONE;
    return status;
  }
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i], type) == 0) return LIMN_OK;
  }
  return unsupported(r, "decoder", type, "that of a byte-level or SentencePiece vocabulary");
}

static limn_status read_part(reading *r, const char *key,
                             limn_status (*read)(reading *, const json_t *, int)) {
  return limn_json_has(r->root, key) ? read(r, json_object_get(r->root, key), 0) : LIMN_OK;
}

static limn_status read_parts(reading *r) {
  limn_status status = need_absent(r, "truncation");
  if (status == LIMN_OK) status = need_absent(r, "padding");
  if (status == LIMN_OK) status = read_part(r, "normalizer", read_normalizer);
  if (status == LIMN_OK) status = read_part(r, "pre_tokenizer", read_cutter);
  if (status == LIMN_OK) status = read_part(r, "post_processor", check_processor);
  if (status == LIMN_OK) status = read_part(r, "decoder", read_decoder);
  return status;
}

/* ---- model ------------------------------------------------------------------------------------
 */

static limn_status check_dropout(reading *r) {
  const json_t *dropout = json_object_get(r->model, "dropout");
  if (!limn_json_has(r->model, "dropout") ||
      (json_is_number(dropout) && json_number_value(dropout) == 0))
    return LIMN_OK;
  return unsupported(r, "dropout", "set", "null");
}

static limn_status read_model(reading *r) {
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  limn_status status = limn_json_need_object(r->root, r->path, "model", &r->model, r->err);
  if (status != LIMN_OK) return status;
  if (json_object_get(r->model, "type") && strcmp(type_of(r->model), "BPE") != 0)
    return unsupported(r, "model", type_of(r->model), "BPE");
  status = check_dropout(r);
  if (status == LIMN_OK) status = read_flag(r, r->model, "byte_fallback", false, &r->byte_fallback);
  if (status == LIMN_OK) status = read_flag(r, r->model, "ignore_merges", false, &r->whole_pieces);
  if (status == LIMN_OK) status = read_flag(r, r->model, "fuse_unk", false, &r->fuse_unknown);
  if (status == LIMN_OK && limn_json_has(r->model, "unk_token"))
    status = limn_json_need_string(r->model, r->path, "unk_token", &r->unknown, r->err);
  for (int i = 0; i < 2 && status == LIMN_OK; i++) {
    const json_t *affix = json_object_get(r->model, affixes[i]);
    if (json_string_length(affix) > 0)
      status = unsupported(r, affixes[i], json_string_value(affix), "empty");
  }
  return status;
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

static limn_status collect_vocab(reading *r, const json_t *vocab) {
  const char *key;
  json_t *value, *object = limn_json_to_iterate(vocab);
  json_object_foreach(object, key, value) {
    size_t n = strlen(key);
    bool is_byte = r->byte_fallback && limn_byte_of_piece(key, n) >= 0;
    if (!json_is_integer(value))
      return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "%s: the id of token \"%.100s\" is %s, expected an integer", r->path,
                            key, limn_json_kind(value));
    limn_status status = limn_entries_set(&r->entries, key, n, json_integer_value(value),
                                          is_byte ? LIMN_TOKEN_BYTE : LIMN_TOKEN_NORMAL, r->err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

typedef struct added_token {
  limn_added token;
  bool normalized;
  int64_t id;
} added_token;

static limn_status read_added(reading *r, const json_t *json, added_token *a) {
  limn_added *token = &a->token;
  limn_status status = limn_json_need_string(json, r->path, "content", &token->text, r->err);
  if (status == LIMN_OK)
    status = limn_json_need_int(json, r->path, "id", 0, r->entries.limit - 1, &a->id, r->err);
  if (status == LIMN_OK) status = read_flag(r, json, "special", false, &token->is_special);
  if (status == LIMN_OK) status = read_flag(r, json, "single_word", false, &token->single_word);
  if (status == LIMN_OK) status = read_flag(r, json, "lstrip", false, &token->lstrip);
  if (status == LIMN_OK) status = read_flag(r, json, "rstrip", false, &token->rstrip);
  if (status == LIMN_OK)
    status = read_flag(r, json, "normalized", !token->is_special, &a->normalized);
  if (status != LIMN_OK) return status;
  token->n = strlen(token->text);
  token->id = (int32_t)a->id;
  if (token->n > 0) return LIMN_OK;
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "%s: an added token is empty",
                        r->path);
}

/*
 * The library whose file this is gives an added token the id that it has in the vocabulary, or the
 * next one behind all others, whatever the file says.
 */
static limn_status check_id(reading *r, const json_t *vocab, const added_token *a) {
  const json_t *id = json_object_get(vocab, a->token.text);
  int64_t size = (int64_t)json_object_size(vocab);
  int64_t next = r->last_added >= size ? r->last_added + 1 : size;
  int64_t expected = json_is_integer(id) ? json_integer_value(id) : next;
  if (a->id > r->last_added) r->last_added = a->id;
  if (a->id == expected) return LIMN_OK;
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "%s: added token \"%.100s\" has the id %lld, expected %lld%s", r->path,
                        a->token.text, (long long)a->id, (long long)expected,
                        json_is_integer(id) ? ", its id in the vocabulary" : "");
}

/* Tokens that are looked for in the changed text are changed in the same way themselves. */
static limn_status add_to_set(reading *r, const added_token *a) {
  limn_added token = a->token;
  limn_mapped changed = {0};
  limn_status status = LIMN_OK;
  bool is_changed = a->normalized && r->p->n_normal > 0;
  if (is_changed) {
    status = limn_pipeline_normalize(r->p, token.text, token.n, &changed, r->err);
    token.text = (const char *)changed.text;
    token.n = changed.n;
  }
  if (status == LIMN_OK && token.n > 0 &&
      !limn_added_add(a->normalized ? &r->p->after : &r->p->before, token))
    status = no_memory(r);
  limn_mapped_deinit(&changed);
  return status;
}

static limn_status take_added(reading *r, const json_t *vocab, const json_t *added, size_t i,
                              added_token *a) {
  *a = (added_token){0};
  limn_status status = read_added(r, json_array_get(added, i), a);
  if (status == LIMN_OK) status = check_id(r, vocab, a);
  if (status != LIMN_OK) return status;
  return limn_entries_set(&r->entries, a->token.text, a->token.n, a->id,
                          a->token.is_special ? LIMN_TOKEN_SPECIAL : LIMN_TOKEN_ADDED, r->err);
}

/* A token that is there twice is what it is the second time. */
static limn_status collect_added(reading *r, const json_t *vocab, const json_t *added) {
  limn_status status = LIMN_OK;
  size_t n = json_array_size(added);
  added_token a;
  size_t *last = limn_alloc_zeroed((size_t)r->entries.limit, sizeof *last);
  if (!last) return no_memory(r);
  for (size_t i = 0; status == LIMN_OK && i < n; i++) {
    status = take_added(r, vocab, added, i, &a);
    if (status == LIMN_OK) last[a.id] = i;
  }
  for (size_t i = 0; status == LIMN_OK && i < n; i++) {
    a = (added_token){0};
    status = read_added(r, json_array_get(added, i), &a);
    if (status == LIMN_OK && last[a.id] == i) status = add_to_set(r, &a);
  }
  limn_added_sort(&r->p->before);
  limn_added_sort(&r->p->after);
  limn_free(last);
  return status;
}

/* ---- merges -----------------------------------------------------------------------------------
 */

/* A string "left right", or (in newer files) an array of the two. */
static limn_status read_merge(reading *r, limn_vocab_merges *m, size_t rank, const json_t *merge) {
  if (json_is_string(merge))
    return limn_vocab_merge_line(m, rank, json_string_value(merge), json_string_length(merge),
                                 r->err);
  const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);
  if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right))
    return limn_vocab_merge(m, rank, json_string_value(left), json_string_length(left),
                            json_string_value(right), json_string_length(right), r->err);
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "%s: merge %zu is %s, expected a string or two strings", r->path, rank,
                        limn_json_kind(merge));
}

static limn_status read_merges(reading *r, const json_t *vocab, limn_pairs *pairs) {
  const json_t *merges;
  limn_vocab_merges m = {.where = r->path, .vocab = vocab};
  limn_status status = limn_json_need_array(r->model, r->path, "merges", &merges, r->err);
  for (size_t i = 0; status == LIMN_OK && i < json_array_size(merges); i++)
    status = read_merge(r, &m, i, json_array_get(merges, i));
  *pairs = m.pairs;
  limn_bytes_deinit(&m.scratch);
  return status;
}

/* ---- putting it together ------------------------------------------------------------------------
 */

static bool is_plain_set(const limn_added_set *set) {
  for (size_t i = 0; i < set->n; i++) {
    const limn_added *token = &set->tokens[i];
    if (!token->is_special || token->single_word || token->lstrip || token->rstrip) return false;
  }
  return true;
}

/* Whether all there is to do is looking for special tokens, one pattern, and merging. */
static bool is_plain(const limn_pipeline *p) {
  bool is_one_cut = p->n_cuts == 0 || (p->n_cuts == 1 && p->cuts[0].kind == LIMN_STEP_PATTERN);
  return p->is_byte_level && p->n_normal == 0 && is_one_cut && is_plain_set(&p->before) &&
         is_plain_set(&p->after);
}

static limn_status collect_pieces(reading *r, const json_t *vocab) {
  const char *key;
  json_t *value, *object = limn_json_to_iterate(vocab);
  limn_sentencepiece *sp = &r->p->sp;
  json_object_foreach(object, key, value) {
    size_t n = strlen(key);
    int32_t id = (int32_t)json_integer_value(value);
    int byte = limn_byte_of_piece(key, n);
    if (byte >= 0) sp->byte_ids[byte] = id;
    if (n > 0 && !limn_sentencepiece_add(sp, key, n, id)) return no_memory(r);
  }
  return LIMN_OK;
}

static limn_status build_pieces(reading *r, const json_t *vocab, limn_pairs *pairs) {
  limn_sentencepiece *sp = &r->p->sp;
  limn_status status = collect_pieces(r, vocab);
  if (status != LIMN_OK) return status;
  sp->byte_fallback = r->byte_fallback;
  sp->fuse_unknown = r->fuse_unknown;
  sp->whole_pieces = r->whole_pieces;
  for (int byte = 0; byte < 256 && sp->byte_fallback; byte++) {
    if (sp->byte_ids[byte] < 0)
      return unsupported(r, "byte_fallback", "true and a byte has no token", "tokens for all 256");
  }
  if (r->unknown) sp->unknown = limn_sentencepiece_find(sp, r->unknown, strlen(r->unknown));
  if (r->unknown && sp->unknown < 0)
    return unsupported(r, "unk_token", r->unknown, "a token of the vocabulary");
  sp->pairs = *pairs;
  *pairs = (limn_pairs){0};
  limn_sentencepiece_finish(sp);
  return LIMN_OK;
}

static limn_status build_bytes(reading *r, const limn_pairs *pairs) {
  limn_pipeline *p = r->p;
  limn_tokenizer *t = r->t;
  limn_status status = limn_build_merges(t, pairs, r->err);
  if (status != LIMN_OK) return status;
  t->whole_pieces = r->whole_pieces;
  const limn_step *last = p->n_cuts > 0 ? &p->cuts[p->n_cuts - 1] : NULL;
  t->pattern = !last                             ? LIMN_PATTERN_NONE
               : last->kind == LIMN_STEP_PATTERN ? last->pattern
                                                 : LIMN_PATTERN_REGEX;
  if (!is_plain(p)) return LIMN_OK;
  limn_pipeline_free(p);
  t->pipeline = r->p = NULL;
  return LIMN_OK;
}

/*
 * Merging bytes is what nearly all files mean whose last step makes bytes visible. Where a byte has
 * no token, the visible characters are merged as any others are.
 */
static bool merges_bytes(reading *r) {
  limn_pipeline *p = r->p;
  bool is_last = p->n_cuts > 0 && p->cuts[p->n_cuts - 1].kind == LIMN_STEP_VISIBLE;
  p->n_cuts -= is_last;
  limn_join_steps(p);
  bool is_byte_level = r->has_visible && limn_missing_byte(r->t) < 0;
  for (size_t i = 0; i < p->n_cuts; i++)
    is_byte_level = is_byte_level && p->cuts[i].kind != LIMN_STEP_VISIBLE;
  if (!is_byte_level && is_last) p->cuts[p->n_cuts++] = (limn_step){.kind = LIMN_STEP_VISIBLE};
  p->has_visible = r->has_visible;
  return p->is_byte_level = is_byte_level;
}

static limn_status build(reading *r, const json_t *vocab, const json_t *added) {
  limn_pairs pairs = {0};
  int64_t n = (int64_t)(json_object_size(vocab) + json_array_size(added));
  limn_status status = limn_entries_init(&r->entries, r->path, n * 2 + 256, r->err);
  if (status == LIMN_OK) status = collect_vocab(r, vocab);
  if (status == LIMN_OK && added) status = collect_added(r, vocab, added);
  if (status == LIMN_OK)
    status = limn_build_vocabulary(
        r->t, &r->entries, r->has_visible ? LIMN_WRITING_PRINTABLE : LIMN_WRITING_PIECES, r->err);
  if (status == LIMN_OK) status = read_merges(r, vocab, &pairs);
  if (status == LIMN_OK)
    status = merges_bytes(r) ? build_bytes(r, &pairs) : build_pieces(r, vocab, &pairs);
  limn_pairs_deinit(&pairs);
  limn_entries_deinit(&r->entries);
  return status;
}

static limn_status read_root(reading *r) {
  const json_t *vocab, *added = NULL;
  limn_status status = read_model(r);
  if (status == LIMN_OK) status = read_parts(r);
  if (status == LIMN_OK) status = limn_json_need_object(r->model, r->path, "vocab", &vocab, r->err);
  if (status == LIMN_OK && limn_json_has(r->root, "added_tokens"))
    status = limn_json_need_array(r->root, r->path, "added_tokens", &added, r->err);
  return status == LIMN_OK ? build(r, vocab, added) : status;
}

static limn_status check_size(const char *path, const limn_file *file, limn_error *err) {
  if (file->size <= FILE_LIMIT) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_RANGE, FILE_LIMIT,
                        "\"%s\" has %zu bytes, more than the %zu allowed", path, file->size,
                        FILE_LIMIT);
}

static limn_status check_root(const char *path, const limn_file *file, json_t **root,
                              limn_error *err) {
  limn_status status = limn_json_parse(path, file->data, file->size, 0, root, err);
  if (status != LIMN_OK || json_is_object(*root)) return status;
  return limn_error_set(err, LIMN_ERROR_FORMAT, 0, "\"%s\" holds %s, expected an object", path,
                        limn_json_kind(*root));
}

/* A tekken.json, which has strings with a NUL; *is_one is false for what is none. */
static limn_status try_tekken(const char *path, const limn_file *file, limn_tokenizer *t,
                              bool *is_one, limn_error *err) {
  static const char key[] = "\"token_bytes\"";
  json_t *root = NULL;
  *is_one = false;
  if (!memmem(file->data, file->size, key, sizeof key - 1)) return LIMN_OK;
  limn_status status = limn_json_parse_with_nul(path, file->data, file->size, &root, err);
  *is_one = status == LIMN_OK && limn_looks_like_tekken(root);
  if (*is_one) status = limn_tokenizer_read_tekken(path, root, t, err);
  json_decref(root);
  return status;
}

limn_status limn_tokenizer_read_json(const char *path, const limn_file *file, limn_tokenizer *t,
                                     limn_error *err) {
  json_t *root = NULL;
  bool is_tekken;
  limn_status status = check_size(path, file, err);
  if (status == LIMN_OK) status = try_tekken(path, file, t, &is_tekken, err);
  if (status != LIMN_OK || is_tekken) return status;
  status = check_root(path, file, &root, err);
  if (status == LIMN_OK && limn_looks_like_tekken(root)) { /* one without tokens */
    status = limn_tokenizer_read_tekken(path, root, t, err);
  } else if (status == LIMN_OK) {
    t->pipeline = limn_pipeline_new();
    reading r = {.path = path, .root = root, .t = t, .p = t->pipeline, .err = err};
    status = t->pipeline ? read_root(&r) : limn_out_of_memory(err, "a tokenizer");
  }
  json_decref(root);
  return status;
}
