/*
 * run.c - from the command line to a session that is ready to run.
 */
#include "run.h"

#include <string.h>

#define GPT2_VOCAB_SIZE 50257

/* ---- the model ------------------------------------------------------------------------------- */

/* The folder that the model lies in, which is the model unless that is a packed file. */
static limn_status open_beside(const char *model, limn_tokenizer **out, limn_error *err) {
  size_t n = strlen(model), n_ending = strlen(".safetensors");
  if (n <= n_ending || strcmp(model + n - n_ending, ".safetensors") != 0)
    return limn_tokenizer_open(model, out, err);
  const char *slash = strrchr(model, '/');
  size_t n_folder = slash ? (size_t)(slash - model) + 1 : 0;
  char *folder = limn_alloc(n_folder + 2);
  if (!folder) return cli_no_memory(err);
  memcpy(folder, model, n_folder);
  memcpy(folder + n_folder, n_folder ? "" : ".", 2 - (n_folder > 0));
  limn_status status = limn_tokenizer_open(folder, out, err);
  limn_free(folder);
  return status;
}

/*
 * The tokenizer that lies in the model's folder. A GPT-2 without one (its weights alone were
 * copied) has the one that all GPT-2s have, which is inside the library; any other goes without.
 */
static limn_status open_tokenizer(cli_model *m, limn_error *err) {
  limn_status status = open_beside(m->folder, &m->tokenizer, err);
  if (status != LIMN_ERROR_NOT_FOUND) return status;
  if (limn_model_config(m->model)->vocab_size != GPT2_VOCAB_SIZE) return LIMN_OK;
  return limn_tokenizer_gpt2(&m->tokenizer, err);
}

/* The place of the chosen word among those of the option, "a|b|c". */
static int choice(const cli *c, const char *name, const char *words) {
  const char *value = cli_value(c, name);
  size_t n = strlen(value);
  int place = 0;
  for (const char *word = words; strncmp(word, value, n) != 0 || (word[n] != '|' && word[n]);
       word = strchr(word, '|') + 1)
    place++;
  return place;
}

limn_weights cli_weights(const cli *c, const char *option) {
  return (limn_weights)choice(c, option, "file|f32|f16|bf16|q8|q4");
}

limn_model_options cli_model_options(const cli *c, const char *weights, const char *compute) {
  return (limn_model_options){.weights = cli_weights(c, weights),
                              .compute = (limn_compute)choice(c, compute, "f32|bf16|int8")};
}

limn_status cli_open_model(const cli *c, cli_model *m, limn_error *err) {
  *m = (cli_model){0};
  limn_status status = cli_find_model(cli_value(c, "model"), &m->folder, err);
  if (status == LIMN_OK) status = limn_pool_new((int)cli_int(c, "threads", 0), &m->pool, err);
  limn_model_options options = cli_model_options(c, "weights", "compute");
  if (status == LIMN_OK)
    status = limn_model_open_with(m->folder, &options, m->pool, &m->model, err);
  if (status == LIMN_OK) status = open_tokenizer(m, err);
  if (status != LIMN_OK) cli_close_model(m);
  return status;
}

void cli_close_model(cli_model *m) {
  limn_tokenizer_close(m->tokenizer);
  limn_model_close(m->model);
  limn_pool_free(m->pool);
  limn_free(m->folder);
  *m = (cli_model){0};
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static limn_status encode(const cli *c, const cli_model *m, int32_t **ids, size_t *n,
                          limn_error *err) {
  char *text;
  size_t size;
  limn_tokens tokens = {0};
  limn_status status = cli_read_text(c, &text, &size, err);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_encode(m->tokenizer, text, size, LIMN_SPECIAL_AS_TEXT, &tokens, err);
  if (status == LIMN_OK && tokens.n == 0)
    status = limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                            "the text is empty, expected at least one token");
  if (status == LIMN_OK) {
    *ids = tokens.ids;
    *n = tokens.n;
    tokens.ids = NULL;
  }
  limn_tokens_deinit(&tokens);
  limn_free(text);
  return status;
}

limn_status cli_read_tokens(const cli *c, const cli_model *m, int32_t **ids, size_t *n,
                            limn_error *err) {
  const char *list = cli_value(c, "ids");
  *ids = NULL;
  *n = 0;
  if (list && (cli_argument(c, 0) || cli_is_given(c, "file")))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "a text and --ids are given, expected one of them");
  if (list) return cli_parse_ids(list, ids, n, err);
  if (m->tokenizer) return encode(c, m, ids, n, err);
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        "the model in \"%s\" has no tokenizer, expected --ids", m->folder);
}

limn_status cli_find_token(const cli *c, const cli_model *m, const char *option, int32_t *out,
                           limn_error *err) {
  const char *text = cli_value(c, option);
  int vocab_size = limn_model_config(m->model)->vocab_size;
  int64_t id = -1;
  *out = -1;
  if (!text) return LIMN_OK;
  size_t n = strlen(text);
  if (text[0] == '#' && limn_parse_int(text + 1, n - 1, &id)) {
    if (id >= 0 && id < vocab_size) {
      *out = (int32_t)id;
      return LIMN_OK;
    }
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "option --%s has \"%s\", the vocabulary has #0 to #%d", option, text,
                          vocab_size - 1);
  }
  if (m->tokenizer) *out = limn_tokenizer_id(m->tokenizer, text, n);
  if (*out >= 0 && *out < vocab_size) return LIMN_OK;
  char spaced[256];
  snprintf(spaced, sizeof spaced, " %.250s", text);
  bool has_spaced = m->tokenizer && n < 250 && limn_tokenizer_id(m->tokenizer, spaced, n + 1) >= 0;
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                        "no token is \"%s\", expected %s%s%s", text,
                        has_spaced ? "\"" : "a token's text", has_spaced ? spaced : "",
                        has_spaced ? "\" or an id as #464" : " or an id as #464");
}

int cli_print_token(FILE *to, const cli_model *m, int32_t id, int min_width, int max_width) {
  size_t n = 0;
  const char *bytes = m->tokenizer ? limn_tokenizer_bytes(m->tokenizer, id, &n) : NULL;
  char quoted[1024];
  size_t size = n < 900 ? n : 900;
  if (bytes) {
    memcpy(quoted + 1, bytes, size);
    quoted[0] = quoted[size + 1] = '"';
    size += 2;
  } else {
    size = (size_t)snprintf(quoted, sizeof quoted, "#%d", (int)id);
  }
  return cli_print_visible(to, quoted, size, min_width, max_width);
}

void cli_json_token(limn_json *j, const cli_model *m, int32_t id) {
  size_t n = 0;
  const char *bytes = m->tokenizer ? limn_tokenizer_bytes(m->tokenizer, id, &n) : NULL;
  cli_json_int(j, "id", id);
  limn_json_key(j, "text");
  if (bytes)
    limn_json_string(j, bytes, n);
  else
    limn_json_null(j);
}

void cli_json_int(limn_json *j, const char *key, int64_t value) {
  limn_json_key(j, key);
  limn_json_int(j, value);
}

void cli_json_double(limn_json *j, const char *key, double value) {
  limn_json_key(j, key);
  limn_json_double(j, value);
}

void cli_json_text(limn_json *j, const char *key, const char *value) {
  limn_json_key(j, key);
  limn_json_cstring(j, value);
}

/* ---- the session ----------------------------------------------------------------------------- */

bool cli_has_edits(const cli *c) {
  return cli_list_at(c, "edit", 0) != NULL;
}

static limn_status attach_edits(const cli *c, const cli_model *m, cli_session *s, limn_error *err) {
  int n = 0;
  while (cli_list_at(c, "edit", n))
    n++;
  if (n == 0) return LIMN_OK;
  s->edits = limn_alloc_zeroed((size_t)n, sizeof *s->edits);
  if (!s->edits) return cli_no_memory(err);
  for (int i = 0; i < n; i++) {
    limn_status status = limn_edit_new(m->model, cli_list_at(c, "edit", i), &s->edits[i], err);
    if (status == LIMN_OK) {
      s->n_edits++;
      status = limn_edit_attach(s->edits[i], s->session, NULL, err);
    }
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

limn_status cli_open_session(const cli *c, const cli_model *m, limn_session_options options,
                             cli_session *s, limn_error *err) {
  *s = (cli_session){0};
  options.pool = m->pool;
  if (cli_has_option(c, "overflow") && strcmp(cli_value(c, "overflow"), "slide") == 0)
    options.overflow = LIMN_OVERFLOW_SLIDE;
  options.invariant = cli_is_given(c, "invariant");
  limn_status status = limn_session_new(m->model, &options, &s->session, err);
  if (status == LIMN_OK) status = attach_edits(c, m, s, err);
  if (status != LIMN_OK) cli_close_session(s);
  return status;
}

limn_status cli_check_edits(const cli_session *s, limn_error *err) {
  for (int i = 0; i < s->n_edits; i++) {
    if (limn_edit_count(s->edits[i]) == 0)
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "edit \"%s\" changed nothing: the run reached none of its entries",
                            limn_edit_text(s->edits[i]));
  }
  return LIMN_OK;
}

void cli_close_session(cli_session *s) {
  limn_session_free(s->session);
  for (int i = 0; i < s->n_edits; i++)
    limn_edit_free(s->edits[i]);
  limn_free(s->edits);
  *s = (cli_session){0};
}
