/*
 * cmd_info.c - limn info: what a model is made of.
 */
#include "run.h"

#include <string.h>

static const cli_option options[] = {CLI_OPTIONS_MODEL, CLI_OPTIONS_JSON, CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn info", "The bundled model."},
    {"limn info -m ~/models/gpt2", "A folder from Hugging Face: config.json, model.safetensors."},
    {NULL, NULL}};

static void put(const char *name, const char *value, const char *meaning) {
  printf("  %-14s %12s", name, value);
  if (*meaning) printf("   %s%s%s", cli_sgr(CLI_DIM), meaning, cli_sgr(CLI_PLAIN));
  fputc('\n', stdout);
}

static void put_int(const char *name, int64_t value, const char *meaning) {
  char text[32];
  put(name, cli_group_digits(text, value, ' '), meaning);
}

static void heading(const char *text) {
  printf("\n%s%s%s\n", cli_sgr(CLI_BOLD), text, cli_sgr(CLI_PLAIN));
}

static const char *base_name(const char *folder) {
  const char *slash = strrchr(folder, '/');
  return slash && slash[1] ? slash + 1 : folder;
}

static size_t hooks_of(const limn_model *model, bool is_on_request) {
  size_t n = 0, n_layer = (size_t)limn_model_config(model)->n_layer;
  for (size_t i = 0; i < limn_hook_point_count(model); i++) {
    const limn_hook_point *point = limn_hook_point_at(model, i);
    if (point->is_on_request == is_on_request) n += point->is_per_layer ? n_layer : 1;
  }
  return n;
}

static void print_shape(const limn_config *config) {
  heading("Shape");
  put_int("n_layer", config->n_layer, "layers");
  put_int("n_head", config->n_head, "attention heads in each layer");
  put_int("d_model", config->d_model, "numbers per position in the residual stream");
  put_int("d_head", config->d_head, "numbers in a head's query, key and value");
  put_int("d_mlp", config->d_mlp, "neurons in each MLP");
  put_int("n_ctx", config->n_ctx, "positions in the context window");
  put_int("vocab_size", config->vocab_size, "tokens it knows");
}

static void print_mathematics(const limn_config *config) {
  char eps[LIMN_NUMBER_SIZE];
  limn_format_float(eps, config->layer_norm_eps);
  heading("Mathematics");
  put("activation", limn_activation_name(config->activation), "of the MLP");
  put("eps", eps, "of the layer norms");
  put("unembedding", config->is_tied ? "tied" : "own",
      config->is_tied ? "the embedding, transposed" : "a matrix of its own, lm_head");
}

static void print_packed(const limn_packed_info *packed) {
  char bits[LIMN_NUMBER_SIZE], hash[16], from[128];
  limn_format_double(bits, packed->bits);
  put("bits", bits, "a weight takes, scales included");
  put_int("layout", packed->layout_version, "the version of the packed file");
  snprintf(hash, sizeof hash, "%.12s", packed->sha256);
  snprintf(from, sizeof from, "begins the SHA-256 of \"%.60s\", packed by limn %.20s",
           packed->source, packed->made_by);
  put("source", hash, from);
}

static void print_storage(const cli_model *m) {
  const limn_config *config = limn_model_config(m->model);
  char text[32];
  heading("Weights");
  const limn_packed_info *packed = limn_model_packed(m->model);
  put_int("parameters", limn_model_n_parameters(m->model), "trained numbers");
  put("stored as", packed ? packed->weights : limn_dtype_name(config->dtype),
      packed ? "packed in the file" : "in the file");
  if (packed) print_packed(packed);
  put("file", cli_size_text(text, limn_model_mapped_size(m->model)), "mapped");
  put("weights", limn_model_weights(m->model), "the matrices in memory, --weights");
  put("memory", cli_size_text(text, limn_model_packed_size(m->model)),
      packed ? "of it read by the kernels where it lies" : "copied for the kernels");
  put("compute", limn_model_compute(m->model), "the products, --compute");
  put("kernels", limn_model_kernels(m->model), "the instructions, LIMN_KERNELS");
}

static void print_info(const cli_model *m) {
  const limn_config *config = limn_model_config(m->model);
  printf("%s%s%s  %s, in %s\n", cli_sgr(CLI_BOLD), base_name(m->folder), cli_sgr(CLI_PLAIN),
         config->family, m->folder);
  print_shape(config);
  print_mathematics(config);
  print_storage(m);
  heading("Tokens");
  put("tokenizer", m->tokenizer ? "byte-level" : "none",
      m->tokenizer ? "byte pair encoding" : "--ids only");
  if (config->bos_token_id >= 0) put_int("begin of text", config->bos_token_id, "token id");
  for (int i = 0; i < config->n_ends; i++)
    put_int(i ? "" : "end of text", config->ends[i], "token id");
  heading("Hooks");
  put_int("standard", (int64_t)hooks_of(m->model, false), "limn hooks lists them");
  put_int("on request", (int64_t)hooks_of(m->model, true), "where they are spelled out");
  heading("Computing");
  put_int("threads", limn_pool_size(m->pool), "as many as this process may use");
}

static void member_token(limn_json *j, const char *key, int32_t id) {
  limn_json_key(j, key);
  if (id >= 0)
    limn_json_int(j, id);
  else
    limn_json_null(j);
}

static void write_config(limn_json *j, const limn_config *config) {
  limn_json_key(j, "config");
  limn_json_begin_object(j);
  cli_json_int(j, "n_layer", config->n_layer);
  cli_json_int(j, "n_head", config->n_head);
  cli_json_int(j, "d_model", config->d_model);
  cli_json_int(j, "d_head", config->d_head);
  cli_json_int(j, "d_mlp", config->d_mlp);
  cli_json_int(j, "n_ctx", config->n_ctx);
  cli_json_int(j, "vocab_size", config->vocab_size);
  cli_json_text(j, "activation", limn_activation_name(config->activation));
  limn_json_key(j, "layer_norm_eps");
  limn_json_float(j, config->layer_norm_eps);
  limn_json_key(j, "is_tied");
  limn_json_bool(j, config->is_tied);
  member_token(j, "bos_token_id", config->bos_token_id);
  member_token(j, "eos_token_id", config->eos_token_id);
  limn_json_key(j, "ends");
  limn_json_begin_inline_array(j);
  for (int i = 0; i < config->n_ends; i++)
    limn_json_int(j, config->ends[i]);
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static void write_packed(limn_json *j, const limn_packed_info *packed) {
  limn_json_key(j, "packed");
  if (!packed) {
    limn_json_null(j);
    return;
  }
  limn_json_begin_object(j);
  cli_json_int(j, "layout_version", packed->layout_version);
  cli_json_text(j, "weights", packed->weights);
  cli_json_double(j, "bits", packed->bits);
  cli_json_text(j, "source", packed->source);
  cli_json_text(j, "source_sha256", packed->sha256);
  cli_json_text(j, "made_by", packed->made_by);
  limn_json_end_object(j);
}

static int write_info(const cli *c, const cli_model *m, limn_error *err) {
  const limn_config *config = limn_model_config(m->model);
  limn_json j;
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "name", base_name(m->folder));
  cli_json_text(&j, "folder", m->folder);
  cli_json_text(&j, "family", config->family);
  write_config(&j, config);
  cli_json_int(&j, "n_parameters", limn_model_n_parameters(m->model));
  cli_json_text(&j, "dtype", limn_dtype_name(config->dtype));
  cli_json_text(&j, "weights", limn_model_weights(m->model));
  cli_json_text(&j, "compute", limn_model_compute(m->model));
  cli_json_text(&j, "kernels", limn_model_kernels(m->model));
  cli_json_int(&j, "mapped_bytes", (int64_t)limn_model_mapped_size(m->model));
  cli_json_int(&j, "packed_bytes", (int64_t)limn_model_packed_size(m->model));
  cli_json_int(&j, "copied_bytes", (int64_t)limn_model_copied_size(m->model));
  write_packed(&j, limn_model_packed(m->model));
  cli_json_text(&j, "tokenizer", m->tokenizer ? "byte-level BPE" : NULL);
  cli_json_int(&j, "n_hooks", (int64_t)hooks_of(m->model, false));
  cli_json_int(&j, "n_hooks_on_request", (int64_t)hooks_of(m->model, true));
  cli_json_int(&j, "n_threads", limn_pool_size(m->pool));
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  int result = CLI_OK;
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  if (cli_flag(c, "json"))
    result = write_info(c, &m, &err);
  else
    print_info(&m);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_info = {
    .name = "info",
    .group = CLI_LOOK,
    .rank = 50,
    .summary = "show what a model is made of",
    .usage = "[OPTION]...",
    .description = "Shows a model's configuration, the number of its parameters, how they are "
                   "stored and how much memory they take, its tokenizer and its hooks, and "
                   "with how many threads it runs.",
    .options = options,
    .examples = examples,
    .run = run,
};
