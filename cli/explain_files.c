/*
 * explain_files.c - the numbers of limn explain: as JSON, and as a folder with the activations.
 */
#include "explain.h"
#include "folder.h"

#include <math.h>
#include <string.h>

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static void write_model(const explanation *e, limn_json *j) {
  const limn_config *c = e->config;
  limn_json_key(j, "model");
  limn_json_begin_inline_object(j);
  cli_json_text(j, "path", e->m->folder);
  cli_json_text(j, "family", c->family);
  cli_json_int(j, "n_layer", c->n_layer);
  cli_json_int(j, "n_head", c->n_head);
  cli_json_int(j, "d_model", c->d_model);
  cli_json_int(j, "n_ctx", c->n_ctx);
  cli_json_int(j, "vocab_size", c->vocab_size);
  limn_json_end_object(j);
}

static void write_bytes(const explanation *e, limn_json *j, int32_t id) {
  size_t n = 0;
  const char *bytes = e->m->tokenizer ? limn_tokenizer_bytes(e->m->tokenizer, id, &n) : NULL;
  limn_json_key(j, "bytes");
  if (!bytes) {
    limn_json_null(j);
    return;
  }
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < n; i++)
    limn_json_int(j, (unsigned char)bytes[i]);
  limn_json_end_array(j);
}

static void write_tokens(const explanation *e, limn_json *j) {
  limn_json_key(j, "tokens");
  limn_json_begin_array(j);
  for (int i = 0; i < e->n; i++) {
    limn_json_begin_inline_object(j);
    cli_json_int(j, "position", i);
    cli_json_token(j, e->m, e->ids[i]);
    write_bytes(e, j, e->ids[i]);
    limn_json_key(j, "log_probability");
    if (i)
      limn_json_double(j, e->log_probabilities[i]);
    else
      limn_json_null(j);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
}

/* The object of a token with its place in the distribution. */
static void write_candidate(const explanation *e, limn_json *j, int32_t id) {
  limn_json_begin_inline_object(j);
  cli_json_int(j, "rank", limn_rank(e->logits, (size_t)e->config->vocab_size, id) + 1);
  cli_json_token(j, e->m, id);
  cli_json_double(j, "logit", (double)e->logits[id]);
  cli_json_double(j, "probability", e->probabilities[id]);
  limn_json_end_object(j);
}

static void write_section(limn_json *j, const char *key, cli_section section) {
  limn_json_key(j, key);
  limn_json_begin_object(j);
  cli_json_text(j, "hooks", cli_sections[section].hooks);
}

static void write_next(const explanation *e, limn_json *j) {
  write_section(j, "next", CLI_SECTION_NEXT);
  cli_json_double(j, "entropy", e->entropy);
  limn_json_key(j, "target");
  write_candidate(e, j, e->target);
  if (e->next_id >= 0) {
    limn_json_key(j, "actual");
    write_candidate(e, j, e->next_id);
  }
  limn_json_key(j, "top");
  limn_json_begin_array(j);
  for (int i = 0; i < e->n_top; i++)
    write_candidate(e, j, e->top[i]);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static void write_pattern(const limn_tensor *pattern, limn_json *j) {
  limn_json_begin_array(j);
  for (int64_t query = 0; query < pattern->shape[0]; query++) {
    limn_json_begin_inline_array(j);
    for (int64_t key = 0; key < pattern->shape[1]; key++)
      limn_json_float(j, *limn_tensor_at(pattern, (int64_t[]){query, key}));
    limn_json_end_array(j);
  }
  limn_json_end_array(j);
}

/* patterns[layer][head][query][key] */
static void write_attention(const explanation *e, limn_json *j) {
  write_section(j, "attention", CLI_SECTION_ATTENTION);
  limn_json_key(j, "patterns");
  limn_json_begin_array(j);
  for (int layer = 0; layer < e->config->n_layer; layer++) {
    limn_json_begin_array(j);
    for (int head = 0; head < e->config->n_head; head++) {
      limn_tensor pattern = limn_attention_pattern(e->attention, layer, head);
      write_pattern(&pattern, j);
    }
    limn_json_end_array(j);
  }
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static void write_lens(const explanation *e, limn_json *j) {
  char name[32];
  write_section(j, "lens", CLI_SECTION_LENS);
  limn_json_key(j, "depths");
  limn_json_begin_array(j);
  for (int depth = 0; depth < e->n_depths; depth++) {
    limn_json_begin_object(j);
    cli_json_text(j, "after", explain_depth_name(depth, name));
    cli_json_int(j, "target_rank", e->lens_rank[depth] + 1);
    cli_json_double(j, "target_probability", e->lens_target[depth]);
    limn_json_key(j, "top");
    limn_json_begin_array(j);
    for (int i = 0; i < e->n_top; i++) {
      limn_json_begin_inline_object(j);
      cli_json_token(j, e->m, e->lens_top[depth * e->n_top + i]);
      cli_json_double(j, "probability", e->lens_probabilities[depth * e->n_top + i]);
      limn_json_end_object(j);
    }
    limn_json_end_array(j);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
  limn_json_end_object(j);
}

/* All parts, in the order of the forward pass. */
static void write_attribution(const explanation *e, limn_json *j) {
  char name[32];
  double logit = (double)e->logits[e->target];
  write_section(j, "attribution", CLI_SECTION_ATTRIBUTION);
  limn_json_key(j, "rival");
  if (e->rival >= 0)
    write_candidate(e, j, e->rival);
  else
    limn_json_null(j);
  cli_json_double(j, "logit", logit);
  cli_json_double(j, "sum", e->sum);
  cli_json_double(j, "error", fabs(e->sum - logit));
  limn_json_key(j, "parts");
  limn_json_begin_array(j);
  for (int i = 0; i < e->n_components; i++) {
    limn_component c = limn_attribution_component(e->attribution, (size_t)i);
    limn_json_begin_inline_object(j);
    cli_json_text(j, "part", limn_component_name(c, name));
    if (c.layer >= 0) cli_json_int(j, "layer", c.layer);
    if (c.head >= 0) cli_json_int(j, "head", c.head);
    cli_json_double(j, "logit", e->contributions[i]);
    if (e->rival >= 0) cli_json_double(j, "lead", e->differences[i]);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
  limn_json_end_object(j);
}

void explain_write_json(const explanation *e, limn_json *j) {
  limn_json_begin_object(j);
  write_model(e, j);
  cli_json_int(j, "n_dropped", e->n_dropped);
  write_tokens(e, j);
  write_next(e, j);
  write_attention(e, j);
  write_lens(e, j);
  write_attribution(e, j);
  limn_json_end_object(j);
}

/* ---- the folder ---------------------------------------------------------------------------------
 */

static void write_json(const void *user, limn_json *j) {
  explain_write_json(user, j);
}

static limn_status write_json_file(const explanation *e, const char *path, limn_error *err) {
  return cli_write_json(path, write_json, e, err);
}

static limn_status add_patterns(const explanation *e, limn_safetensors_writer *w, limn_error *err) {
  limn_status status = LIMN_OK;
  for (int layer = 0; status == LIMN_OK && layer < e->config->n_layer; layer++) {
    char name[LIMN_HOOK_NAME_SIZE];
    limn_tensor heads = limn_attention_pattern(e->attention, layer, 0);
    limn_tensor all = {.data = heads.data, .rank = 3};
    limn_tensor next =
        e->config->n_head > 1 ? limn_attention_pattern(e->attention, layer, 1) : heads;
    all.shape[0] = e->config->n_head;
    all.stride[0] = next.data - heads.data;
    for (int i = 0; i < 2; i++) {
      all.shape[i + 1] = heads.shape[i];
      all.stride[i + 1] = heads.stride[i];
    }
    snprintf(name, sizeof name, "blocks.%d.attn.hook_pattern", layer);
    status = limn_safetensors_writer_add_f32(w, name, &all, err);
  }
  return status;
}

static limn_status add_residuals(const explanation *e, limn_safetensors_writer *w,
                                 limn_error *err) {
  limn_status status = LIMN_OK;
  for (int depth = 0; status == LIMN_OK && depth < e->n_depths; depth++) {
    char name[LIMN_HOOK_NAME_SIZE];
    const float *rows = limn_lens_residual(e->lens, depth, 0);
    limn_stored stored = {
        .data = rows, .dtype = LIMN_F32, .rank = 2, .shape = {e->n, e->config->d_model}};
    if (depth == 0)
      snprintf(name, sizeof name, "blocks.0.hook_resid_pre");
    else
      snprintf(name, sizeof name, "blocks.%d.hook_resid_post", depth - 1);
    status = limn_safetensors_writer_add(w, name, &stored, err);
  }
  return status;
}

static limn_status add_vectors(const explanation *e, limn_safetensors_writer *w, limn_error *err) {
  limn_stored logits = {.data = e->logits - (size_t)(e->n - 1) * (size_t)e->config->vocab_size,
                        .dtype = LIMN_F32,
                        .rank = 2,
                        .shape = {e->n, e->config->vocab_size}};
  limn_stored parts = {
      .data = e->contributions, .dtype = LIMN_F64, .rank = 1, .shape = {e->n_components}};
  limn_stored tokens = {.data = e->ids, .dtype = LIMN_I32, .rank = 1, .shape = {e->n}};
  limn_status status = limn_safetensors_writer_add(w, "logits", &logits, err);
  if (status == LIMN_OK) status = limn_safetensors_writer_add(w, "attribution", &parts, err);
  if (status == LIMN_OK) status = limn_safetensors_writer_add(w, "hook_tokens", &tokens, err);
  return status;
}

static limn_status write_tensors(const explanation *e, const char *path, limn_error *err) {
  limn_safetensors_writer *w;
  limn_status status = limn_safetensors_writer_open(path, 0, &w, err);
  if (status != LIMN_OK) return status;
  status = add_patterns(e, w, err);
  if (status == LIMN_OK) status = add_residuals(e, w, err);
  if (status == LIMN_OK) status = add_vectors(e, w, err);
  if (status == LIMN_OK) return limn_safetensors_writer_commit(w, err);
  limn_safetensors_writer_discard(w);
  return status;
}

/* ---- its page -----------------------------------------------------------------------------------
 */

static limn_status put(limn_output *out, const char *text, limn_error *err) {
  return limn_output_write(out, text, strlen(text), err);
}

static limn_status write_page_section(const explanation *e, cli_section section, limn_output *out,
                                      limn_error *err) {
  const cli_section_info *info = &cli_sections[section];
  char *command = explain_command(e, info->hooks, info->file, 0, 0);
  if (!command) return cli_no_memory(err);
  const char *const figures[CLI_N_SECTIONS] = {[CLI_SECTION_NEXT] = "next",
                                               [CLI_SECTION_ATTENTION] = "attention",
                                               [CLI_SECTION_LENS] = "lens",
                                               [CLI_SECTION_ATTRIBUTION] = "attribution"};
  char picture[64] = "";
  if (figures[section])
    snprintf(picture, sizeof picture, "\n![%s](%s.png)\n", figures[section], figures[section]);
  const char *const parts[] = {"\n## ",     info->title, "\n\n",  info->says, "\n\nHooks: `",
                               info->hooks, "`\n\n    ", command, "\n",       picture};
  limn_status status = LIMN_OK;
  for (size_t i = 0; status == LIMN_OK && i < sizeof parts / sizeof *parts; i++)
    status = put(out, parts[i], err);
  limn_free(command);
  return status;
}

static limn_status write_page(const explanation *e, const char *path, limn_error *err) {
  limn_output *out;
  limn_status status = limn_output_open(path, &out, err);
  if (status != LIMN_OK) return status;
  status = put(out,
               "# What limn explain found\n\n"
               "- `explain.json`: every number of it\n"
               "- the figures below as PNG and SVG, and `attention-layer-N`, each layer large\n"
               "- `activations.safetensors`: attention patterns and residual streams under their "
               "hooks' names, `hook_tokens`, the `logits` of every position, and `attribution`, "
               "what each part (in the order of `explain.json`) adds to the logit\n",
               err);
  for (int i = 0; status == LIMN_OK && i < CLI_N_SECTIONS; i++)
    status = write_page_section(e, (cli_section)i, out, err);
  if (status == LIMN_OK) return limn_output_commit(out, err);
  limn_output_discard(out);
  return status;
}

limn_status explain_write_folder(const explanation *e, const char *folder, limn_error *err) {
  static limn_status (*const writers[])(const explanation *, const char *, limn_error *) = {
      write_json_file, write_tensors, write_page};
  static const char *const names[] = {"explain.json", "activations.safetensors", "README.md"};
  limn_status status = cli_make_folder(folder, err);
  for (int i = 0; status == LIMN_OK && i < 3; i++) {
    char *path = cli_path_in(folder, names[i]);
    if (!path) return cli_no_memory(err);
    status = writers[i](e, path, err);
    limn_free(path);
  }
  return status == LIMN_OK ? explain_write_figures(e, folder, err) : status;
}
