/*
 * read_gguf.c - the vocabulary in the metadata of a GGUF file: the keys tokenizer.ggml.*.
 *
 * "gpt2" is byte-level: tokens in visible characters, merges as lines, and the name of a pattern.
 * "llama" is SentencePiece: pieces with scores and types.
 */
#include "formats/gguf.h"
#include "tokenizer/families.h"
#include "tokenizer/readers.h"
#include "tokenizer/scored.h"

#include <stdlib.h>
#include <string.h>

#define KEY(name) "tokenizer.ggml." name

typedef struct reading {
  const char *path;
  limn_gguf gguf;
  limn_tokenizer *t;
  limn_scored *pieces;
  size_t n;
  bool has_types;
  limn_error *err;
} reading;

/* What llama.cpp calls the patterns (llama-vocab.cpp), and whether whole pieces come first. */
static const struct {
  const char *name;
  limn_pattern pattern;
  bool whole_pieces;
} patterns[] = {
    {"gpt-2", LIMN_PATTERN_GPT2, false},
    {"phi-2", LIMN_PATTERN_GPT2, false},
    {"mpt", LIMN_PATTERN_GPT2, false},
    {"olmo", LIMN_PATTERN_GPT2, false},
    {"jais", LIMN_PATTERN_GPT2, false},
    {"roberta-bpe", LIMN_PATTERN_GPT2, false},
    {"gigachat", LIMN_PATTERN_GPT2, false},
    {"trillion", LIMN_PATTERN_GPT2, false},
    {"llama3", LIMN_PATTERN_LLAMA3, true},
    {"llama-v3", LIMN_PATTERN_LLAMA3, true},
    {"llama-bpe", LIMN_PATTERN_LLAMA3, true},
    {"falcon3", LIMN_PATTERN_LLAMA3, true},
    {"dbrx", LIMN_PATTERN_LLAMA3, false},
    {"smaug-bpe", LIMN_PATTERN_LLAMA3, false},
    {"qwen2", LIMN_PATTERN_QWEN2, false},
    {"deepseek-r1-qwen", LIMN_PATTERN_QWEN2, false},
    {"stablelm2", LIMN_PATTERN_QWEN2, false},
    {"deepseek-v3", LIMN_PATTERN_DEEPSEEK, false},
    {"starcoder", LIMN_PATTERN_STARCODER, false},
    {"refact", LIMN_PATTERN_STARCODER, false},
    {"command-r", LIMN_PATTERN_STARCODER, false},
    {"smollm", LIMN_PATTERN_STARCODER, false},
    {"codeshell", LIMN_PATTERN_STARCODER, false},
    {"tekken", LIMN_PATTERN_TEKKEN, true},
    {"gpt-4o", LIMN_PATTERN_O200K, false},
};

static limn_status no_memory(const reading *r) {
  return limn_out_of_memory(r->err, "a vocabulary");
}

static limn_status unsupported(const reading *r, const char *key, const char *found, size_t n) {
  return limn_error_set(r->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\": key \"%s\" is \"%.*s\", which limn does not follow", r->path, key,
                        n > 100 ? 100 : (int)n, found);
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

static limn_status read_types(reading *r) {
  const limn_gguf_value *types;
  r->has_types = limn_gguf_find(&r->gguf, KEY("token_type")) != NULL;
  for (size_t id = 0; id < r->n; id++)
    r->pieces[id].type = LIMN_PIECE_NORMAL;
  if (!r->has_types) return LIMN_OK;
  limn_status status =
      limn_gguf_need_array(&r->gguf, KEY("token_type"), LIMN_GGUF_I32, r->n, &types, r->err);
  if (status != LIMN_OK) return status;
  limn_reader reader = limn_gguf_reader(types);
  for (size_t id = 0; id < r->n; id++) {
    uint32_t type = limn_read_u32(&reader);
    if (type < LIMN_PIECE_NORMAL || type > LIMN_PIECE_BYTE)
      return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\": token %zu has the type %lld, expected 1 to 6", r->path, id,
                            (long long)(int32_t)type);
    r->pieces[id].type = (limn_piece_type)type;
  }
  return LIMN_OK;
}

static limn_status read_scores(reading *r) {
  const limn_gguf_value *scores;
  limn_status status =
      limn_gguf_need_array(&r->gguf, KEY("scores"), LIMN_GGUF_F32, r->n, &scores, r->err);
  if (status != LIMN_OK) return status;
  limn_reader reader = limn_gguf_reader(scores);
  for (size_t id = 0; id < r->n; id++)
    r->pieces[id].score = limn_read_f32(&reader);
  return LIMN_OK;
}

static limn_status read_tokens(reading *r) {
  const limn_gguf_value *tokens;
  limn_status status =
      limn_gguf_need_array(&r->gguf, KEY("tokens"), LIMN_GGUF_STRING, UINT64_MAX, &tokens, r->err);
  if (status != LIMN_OK) return status;
  if (tokens->count == 0 || tokens->count > (uint64_t)LIMN_MOST_IDS)
    return limn_error_set(r->err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "\"%s\" has %llu tokens, expected 1 to %lld", r->path,
                          (unsigned long long)tokens->count, (long long)LIMN_MOST_IDS);
  r->n = (size_t)tokens->count;
  r->pieces = limn_alloc_zeroed(r->n, sizeof *r->pieces);
  if (!r->pieces) return no_memory(r);
  limn_reader reader = limn_gguf_reader(tokens);
  for (size_t id = 0; id < r->n; id++)
    r->pieces[id].text = limn_gguf_next_string(&reader, &r->pieces[id].n);
  return read_types(r);
}

/* ---- byte-level -------------------------------------------------------------------------------
 */

static limn_token_kind kind_of(const limn_scored *piece) {
  switch (piece->type) {
  case LIMN_PIECE_CONTROL:
  case LIMN_PIECE_UNKNOWN:
    return LIMN_TOKEN_SPECIAL;
  case LIMN_PIECE_USER_DEFINED:
    return LIMN_TOKEN_ADDED;
  case LIMN_PIECE_UNUSED:
    return LIMN_TOKEN_UNUSED;
  default:
    return LIMN_TOKEN_NORMAL;
  }
}

/* Tokens by their text, to read merges with. */
typedef struct by_text {
  limn_sentencepiece names; /* its table of pieces is one */
  limn_pairs pairs;
  limn_bytes both;
} by_text;

static limn_status bad_merge(const reading *r, size_t rank, const char *line, size_t n,
                             const char *what) {
  return limn_error_set(r->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\": merge %zu, \"%.*s\", %s", r->path, rank, n > 100 ? 100 : (int)n,
                        line, what);
}

static limn_status read_merge(const reading *r, by_text *b, size_t rank, const char *line,
                              size_t n) {
  const char *space = n > 1 ? memchr(line + 1, ' ', n - 1) : NULL;
  size_t n_left = space ? (size_t)(space - line) : 0;
  if (!space) return bad_merge(r, rank, line, n, "is not two tokens with a space between");
  b->both.size = 0;
  if (!limn_bytes_append(&b->both, line, n_left) ||
      !limn_bytes_append(&b->both, space + 1, n - n_left - 1))
    return no_memory(r);
  int32_t left = limn_sentencepiece_find(&b->names, line, n_left);
  int32_t right = limn_sentencepiece_find(&b->names, space + 1, n - n_left - 1);
  int32_t both = limn_sentencepiece_find(&b->names, b->both.data, b->both.size);
  if (left < 0 || right < 0 || both < 0)
    return bad_merge(r, rank, line, n, "names or makes a token that is not in the vocabulary");
  return limn_pairs_add(&b->pairs, left, right, (int32_t)rank, both) ? LIMN_OK : no_memory(r);
}

static limn_status read_merges(const reading *r, by_text *b) {
  const limn_gguf_value *merges;
  limn_status status =
      limn_gguf_need_array(&r->gguf, KEY("merges"), LIMN_GGUF_STRING, UINT64_MAX, &merges, r->err);
  if (status != LIMN_OK) return status;
  if (merges->count > INT32_MAX) return no_memory(r);
  for (size_t id = 0; id < r->n; id++) {
    const limn_scored *piece = &r->pieces[id];
    if (!limn_sentencepiece_add(&b->names, piece->text, piece->n, (int32_t)id)) return no_memory(r);
  }
  limn_reader reader = limn_gguf_reader(merges);
  for (size_t rank = 0; status == LIMN_OK && rank < merges->count; rank++) {
    size_t n;
    const char *line = limn_gguf_next_string(&reader, &n);
    status = read_merge(r, b, rank, line, n);
  }
  return status;
}

static limn_status find_pattern(reading *r) {
  const char *name;
  size_t n;
  limn_status status = limn_gguf_need_string(&r->gguf, KEY("pre"), &name, &n, r->err);
  if (status != LIMN_OK) return status;
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    if (strlen(patterns[i].name) != n || memcmp(patterns[i].name, name, n) != 0) continue;
    r->t->pattern = patterns[i].pattern;
    r->t->whole_pieces = patterns[i].whole_pieces;
    return LIMN_OK;
  }
  return unsupported(r, KEY("pre"), name, n);
}

/* Tokens that are text but looked for first need the long way. */
static limn_status add_user_tokens(reading *r) {
  limn_tokenizer *t = r->t;
  limn_pipeline *p = NULL;
  for (size_t id = 0; id < r->n; id++) {
    const limn_scored *piece = &r->pieces[id];
    limn_token_kind kind = kind_of(piece);
    if (kind == LIMN_TOKEN_ADDED && !p) p = t->pipeline = limn_pipeline_new();
    if (kind == LIMN_TOKEN_ADDED && !p) return no_memory(r);
  }
  for (size_t id = 0; p && id < r->n; id++) {
    const limn_scored *piece = &r->pieces[id];
    limn_token_kind kind = kind_of(piece);
    if ((kind != LIMN_TOKEN_ADDED && kind != LIMN_TOKEN_SPECIAL) || piece->n == 0) continue;
    limn_added token = {piece->text, piece->n, 0,    (int32_t)id, kind == LIMN_TOKEN_SPECIAL,
                        false,       false,    false};
    if (!limn_added_add(&p->before, token)) return no_memory(r);
  }
  if (!p) return LIMN_OK;
  limn_added_sort(&p->before);
  p->is_byte_level = true;
  p->cuts[p->n_cuts++] = (limn_step){.kind = LIMN_STEP_PATTERN, .pattern = t->pattern};
  return LIMN_OK;
}

static limn_status check_bytes(const reading *r) {
  int missing = limn_missing_byte(r->t);
  if (missing < 0) return LIMN_OK;
  return limn_error_set(r->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\": no token for the byte %d, a byte-level vocabulary has all 256",
                        r->path, missing);
}

static limn_status build_byte_level(reading *r) {
  limn_entries e;
  by_text b = {0};
  limn_sentencepiece_init(&b.names);
  limn_status status = limn_entries_init(&e, r->path, (int64_t)r->n, r->err);
  for (size_t id = 0; status == LIMN_OK && id < r->n; id++)
    status = limn_entries_set(&e, r->pieces[id].text, r->pieces[id].n, (int64_t)id,
                              kind_of(&r->pieces[id]), r->err);
  if (status == LIMN_OK) status = limn_build_vocabulary(r->t, &e, LIMN_WRITING_PRINTABLE, r->err);
  if (status == LIMN_OK) status = check_bytes(r);
  if (status == LIMN_OK) status = find_pattern(r);
  if (status == LIMN_OK) status = read_merges(r, &b);
  if (status == LIMN_OK) status = limn_build_merges(r->t, &b.pairs, r->err);
  if (status == LIMN_OK) status = add_user_tokens(r);
  limn_pairs_deinit(&b.pairs);
  limn_bytes_deinit(&b.both);
  limn_sentencepiece_deinit(&b.names);
  limn_entries_deinit(&e);
  return status;
}

/* ---- SentencePiece ----------------------------------------------------------------------------
 */

static limn_status read_flag(const reading *r, const char *key, bool preset, bool *out) {
  *out = preset;
  if (!limn_gguf_find(&r->gguf, key)) return LIMN_OK;
  return limn_gguf_need_bool(&r->gguf, key, out, r->err);
}

static limn_status build_pieces(reading *r) {
  bool has_bytes = false;
  limn_pipeline *p = r->t->pipeline = limn_pipeline_new();
  if (!p) return no_memory(r);
  limn_sp_normal *normal = &p->sp_normal;
  normal->escape_whitespaces = true;
  p->normal[p->n_normal++] = (limn_step){.kind = LIMN_STEP_SENTENCEPIECE};
  limn_status status = read_flag(r, KEY("add_space_prefix"), true, &normal->add_dummy_prefix);
  if (status == LIMN_OK)
    status =
        read_flag(r, KEY("remove_extra_whitespaces"), false, &normal->remove_extra_whitespaces);
  if (status == LIMN_OK) status = read_scores(r);
  if (status != LIMN_OK) return status;
  for (size_t id = 0; id < r->n; id++)
    has_bytes = has_bytes || r->pieces[id].type == LIMN_PIECE_BYTE;
  r->t->drops = normal->add_dummy_prefix ? LIMN_DROPS_ONE : LIMN_DROPS_NONE;
  return limn_build_scored(r->t, r->path, r->pieces, r->n, has_bytes, false, r->err);
}

/* ---- the tokenizer ----------------------------------------------------------------------------
 */

static limn_status set_end(reading *r) {
  int64_t id = 0;
  if (!limn_gguf_find(&r->gguf, KEY("eos_token_id"))) return LIMN_OK;
  limn_status status =
      limn_gguf_need_int(&r->gguf, KEY("eos_token_id"), 0, (int64_t)r->n - 1, &id, r->err);
  if (status == LIMN_OK) r->t->eos = (int32_t)id;
  return status;
}

static limn_status read_vocabulary(reading *r) {
  const char *model;
  size_t n;
  limn_status status = limn_gguf_need_string(&r->gguf, KEY("model"), &model, &n, r->err);
  if (status != LIMN_OK) return status;
  bool is_gpt2 = n == 4 && memcmp(model, "gpt2", 4) == 0;
  if (!is_gpt2 && (n != 5 || memcmp(model, "llama", 5) != 0))
    return unsupported(r, KEY("model"), model, n);
  status = read_tokens(r);
  if (status == LIMN_OK) status = is_gpt2 ? build_byte_level(r) : build_pieces(r);
  return status == LIMN_OK ? set_end(r) : status;
}

limn_status limn_tokenizer_read_gguf(const char *path, const limn_file *file, limn_tokenizer *t,
                                     limn_error *err) {
  reading r = {.path = path, .t = t, .err = err};
  limn_status status = limn_gguf_init(&r.gguf, path, file->data, file->size, err);
  if (status != LIMN_OK) return status;
  status = read_vocabulary(&r);
  limn_gguf_deinit(&r.gguf);
  limn_free(r.pieces);
  return status;
}
