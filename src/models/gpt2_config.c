/*
 * gpt2_config.c - config.json of a GPT-2 model, as Hugging Face Transformers writes it (class
 * GPT2Config).
 *
 * A key that only matters for training (dropout) is passed over. A key that would change what the
 * forward pass computes is either followed or refused by name: a model that opens gives the numbers
 * that its makers meant.
 */
#include "formats/json_file.h"
#include "models/model.h"

#include <string.h>

#define CONFIG_LIMIT ((size_t)1 << 20)
#define MOST_LAYERS  1024
#define MOST_WIDTH   ((int64_t)1 << 20)
#define MOST_TOKENS  ((int64_t)1 << 24) /* ids are shown as float32, exact up to here */

static limn_status unsupported(const char *path, const char *what, const char *found,
                               const char *wanted, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\": key \"%s\" is %s, expected %s", path, what, found, wanted);
}

static limn_status read_size(const json_t *root, const char *path, const char *key, int64_t most,
                             int *out, limn_error *err) {
  int64_t value = 0;
  limn_status status = limn_json_need_int(root, path, key, 1, most, &value, err);
  *out = (int)value;
  return status;
}

/* A boolean that must have one value, because the other one is another model. */
static limn_status need_flag(const json_t *root, const char *path, const char *key, bool wanted,
                             limn_error *err) {
  bool value = wanted;
  if (!limn_json_has(root, key)) return LIMN_OK;
  limn_status status = limn_json_need_bool(root, path, key, &value, err);
  if (status != LIMN_OK || value == wanted) return status;
  return unsupported(path, key, value ? "true" : "false", wanted ? "true" : "false", err);
}

static limn_status read_flags(const json_t *root, const char *path, limn_config *c,
                              limn_error *err) {
  limn_status status = need_flag(root, path, "scale_attn_weights", true, err);
  if (status == LIMN_OK)
    status = need_flag(root, path, "scale_attn_by_inverse_layer_idx", false, err);
  if (status == LIMN_OK) status = need_flag(root, path, "add_cross_attention", false, err);
  if (status == LIMN_OK) status = need_flag(root, path, "is_encoder_decoder", false, err);
  if (status == LIMN_OK && limn_json_has(root, "quantization_config"))
    status = unsupported(path, "quantization_config", "there", "none", err);
  const json_t *pruned = json_object_get(root, "pruned_heads");
  if (status == LIMN_OK && json_object_size(pruned) > 0)
    status = unsupported(path, "pruned_heads", "not empty", "an empty object", err);
  c->is_tied = true;
  if (status == LIMN_OK && limn_json_has(root, "tie_word_embeddings"))
    status = limn_json_need_bool(root, path, "tie_word_embeddings", &c->is_tied, err);
  return status;
}

static limn_status read_activation(const json_t *root, const char *path, limn_config *c,
                                   limn_error *err) {
  static const struct {
    const char *name;
    limn_activation activation;
  } known[] = {
      {"gelu_new", LIMN_ACTIVATION_GELU_TANH},  {"gelu_pytorch_tanh", LIMN_ACTIVATION_GELU_TANH},
      {"gelu_fast", LIMN_ACTIVATION_GELU_TANH}, {"gelu", LIMN_ACTIVATION_GELU_ERF},
      {"relu", LIMN_ACTIVATION_RELU},           {"silu", LIMN_ACTIVATION_SILU},
      {"swish", LIMN_ACTIVATION_SILU},          {"quick_gelu", LIMN_ACTIVATION_QUICK_GELU}};
  const char *name = "gelu_new";
  if (limn_json_has(root, "activation_function")) {
    limn_status status = limn_json_need_string(root, path, "activation_function", &name, err);
    if (status != LIMN_OK) return status;
  }
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].name, name) != 0) continue;
    c->activation = known[i].activation;
    return LIMN_OK;
  }
  return limn_error_set(
      err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
      "\"%s\": key \"activation_function\" is \"%s\", expected gelu_new, gelu, relu, "
      "silu or quick_gelu",
      path, name);
}

static limn_status read_token(const json_t *root, const char *path, const char *key, int32_t *out,
                              limn_error *err) {
  *out = -1;
  if (!limn_json_has(root, key)) return LIMN_OK;
  int64_t value = -1;
  limn_status status = limn_json_need_int(root, path, key, -1, MOST_TOKENS, &value, err);
  *out = (int32_t)value;
  return status;
}

static limn_status read_end(const json_t *value, const char *path, limn_config *c,
                            limn_error *err) {
  static const char key[] = "eos_token_id";
  if (!json_is_integer(value))
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "\"%s\": key \"%s\" has %s in its list, expected whole numbers", path,
                          key, limn_json_kind(value));
  json_int_t id = json_integer_value(value);
  if (id < 0 || id > MOST_TOKENS)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "\"%s\": key \"%s\" has %lld in its list, expected 0 to %lld", path, key,
                          (long long)id, (long long)MOST_TOKENS);
  c->ends[c->n_ends++] = (int32_t)id;
  return LIMN_OK;
}

/* One token, or a list of tokens of which each ends a text. */
static limn_status read_ends(const json_t *root, const char *path, limn_config *c,
                             limn_error *err) {
  static const char key[] = "eos_token_id";
  const json_t *list = json_object_get(root, key);
  limn_status status = LIMN_OK;
  if (!json_is_array(list)) {
    status = read_token(root, path, key, &c->ends[0], err);
    c->n_ends = c->ends[0] >= 0;
  } else if (json_array_size(list) > LIMN_MOST_ENDS) {
    status = limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "\"%s\": key \"%s\" is a list of %zu, expected at most %d", path, key,
                            json_array_size(list), LIMN_MOST_ENDS);
  } else {
    for (size_t i = 0; i < json_array_size(list) && status == LIMN_OK; i++)
      status = read_end(json_array_get(list, i), path, c, err);
  }
  c->eos_token_id = c->n_ends ? c->ends[0] : -1;
  return status;
}

bool limn_config_is_end(const limn_config *config, int32_t id) {
  for (int i = 0; i < config->n_ends; i++) {
    if (config->ends[i] == id) return true;
  }
  return false;
}

static limn_status read_family(const json_t *root, const char *path, limn_config *c,
                               limn_error *err) {
  const char *family;
  limn_status status = limn_json_need_string(root, path, "model_type", &family, err);
  if (status != LIMN_OK) return status;
  c->family = "gpt2";
  if (strcmp(family, "gpt2") == 0) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\": key \"model_type\" is \"%s\", expected \"gpt2\"", path, family);
}

static limn_status read_sizes(const json_t *root, const char *path, limn_config *c,
                              limn_error *err) {
  const char *positions = limn_json_has(root, "n_positions") ? "n_positions" : "n_ctx";
  limn_status status = read_size(root, path, "n_layer", MOST_LAYERS, &c->n_layer, err);
  if (status == LIMN_OK) status = read_size(root, path, "n_head", MOST_WIDTH, &c->n_head, err);
  if (status == LIMN_OK) status = read_size(root, path, "n_embd", MOST_WIDTH, &c->d_model, err);
  if (status == LIMN_OK) status = read_size(root, path, positions, MOST_WIDTH, &c->n_ctx, err);
  if (status == LIMN_OK)
    status = read_size(root, path, "vocab_size", MOST_TOKENS, &c->vocab_size, err);
  c->d_mlp = 4 * c->d_model;
  if (status == LIMN_OK && limn_json_has(root, "n_inner"))
    status = read_size(root, path, "n_inner", 4 * MOST_WIDTH, &c->d_mlp, err);
  if (status != LIMN_OK) return status;
  if (c->d_model % c->n_head != 0)
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "\"%s\": n_embd is %d, expected a multiple of n_head, %d", path,
                          c->d_model, c->n_head);
  c->d_head = c->d_model / c->n_head;
  return LIMN_OK;
}

static limn_status read_eps(const json_t *root, const char *path, limn_config *c, limn_error *err) {
  double eps = 1e-5;
  limn_status status = LIMN_OK;
  if (limn_json_has(root, "layer_norm_epsilon"))
    status = limn_json_need_double(root, path, "layer_norm_epsilon", &eps, err);
  if (status == LIMN_OK && !(eps >= 0 && eps <= 1))
    status = limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "\"%s\": key \"layer_norm_epsilon\" is %g, expected 0 to 1", path, eps);
  c->layer_norm_eps = (float)eps;
  return status;
}

static limn_status read_root(const json_t *root, const char *path, limn_config *out,
                             limn_error *err) {
  limn_status status = read_family(root, path, out, err);
  if (status == LIMN_OK) status = read_sizes(root, path, out, err);
  if (status == LIMN_OK) status = read_flags(root, path, out, err);
  if (status == LIMN_OK) status = read_activation(root, path, out, err);
  if (status == LIMN_OK) status = read_eps(root, path, out, err);
  if (status == LIMN_OK) status = read_token(root, path, "bos_token_id", &out->bos_token_id, err);
  if (status == LIMN_OK) status = read_ends(root, path, out, err);
  return status;
}

limn_status limn_gpt2_read_config(const char *path, limn_config *out, limn_error *err) {
  json_t *root;
  *out = (limn_config){0};
  limn_status status = limn_json_file_read(path, CONFIG_LIMIT, &root, err);
  if (status != LIMN_OK) return status;
  status = read_root(root, path, out, err);
  json_decref(root);
  return status;
}

limn_status limn_gpt2_parse_config(const char *path, const char *text, limn_config *out,
                                   limn_error *err) {
  json_t *root;
  *out = (limn_config){0};
  limn_status status = limn_json_parse(path, text, strlen(text), 0, &root, err);
  if (status != LIMN_OK) return status;
  status = read_root(root, path, out, err);
  json_decref(root);
  return status;
}
