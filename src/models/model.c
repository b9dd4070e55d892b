/*
 * model.c - a folder becomes a model: configuration first, then the file, then every tensor in its
 * place. Whatever is wrong is found here, so that a model that opened can run.
 */
#include "models/model.h"

#include "base/file.h"
#include "base/memory.h"
#include "models/packed.h"

#include <string.h>

static const char *const activation_names[] = {[LIMN_ACTIVATION_RELU] = "relu",
                                               [LIMN_ACTIVATION_GELU_TANH] = "gelu_new",
                                               [LIMN_ACTIVATION_GELU_ERF] = "gelu",
                                               [LIMN_ACTIVATION_QUICK_GELU] = "quick_gelu",
                                               [LIMN_ACTIVATION_SILU] = "silu"};

const char *limn_activation_name(limn_activation activation) {
  return activation_names[activation];
}

/* ---- opening
 * ------------------------------------------------------------------------------------- */

static limn_status read_config(const char *folder, limn_config *config, limn_error *err) {
  char *path = limn_path_join(folder, "config.json");
  if (!path) return limn_out_of_memory(err, "a path");
  limn_status status = limn_gpt2_read_config(path, config, err);
  limn_free(path);
  return status;
}

/*
 * A file may hold a head of its own although the configuration ties it to the embedding. When the
 * two differ the file is right, as Transformers has it since version 5: what was trained counts.
 */
static void settle_tie(limn_model *model) {
  limn_stored head, embedding;
  if (model->packed.layout_version > 0) {
    model->config.is_tied = limn_packed_is_tied(model);
    return;
  }
  if (!model->config.is_tied || !limn_safetensors_has(model->file, "lm_head.weight")) return;
  if (limn_model_weight(model, "lm_head.weight", &head, NULL) != LIMN_OK ||
      limn_model_weight(model, "wte.weight", &embedding, NULL) != LIMN_OK)
    return;
  size_t n = limn_dtype_size(head.dtype);
  bool is_same = head.dtype == embedding.dtype &&
                 limn_stored_count(&head) == limn_stored_count(&embedding) &&
                 memcmp(head.data, embedding.data, n * (size_t)limn_stored_count(&head)) == 0;
  model->config.is_tied = is_same;
}

static const char *const format_names[] = {[LIMN_FORMAT_F32] = "f32",
                                           [LIMN_FORMAT_F16] = "f16",
                                           [LIMN_FORMAT_BF16] = "bf16",
                                           [LIMN_FORMAT_Q8] = "q8",
                                           [LIMN_FORMAT_Q4] = "q4"};
static const char *const arithmetic_names[] = {[LIMN_ARITHMETIC_F32] = "f32",
                                               [LIMN_ARITHMETIC_BF16] = "bf16",
                                               [LIMN_ARITHMETIC_INT8] = "int8"};

limn_format limn_format_of_file(limn_dtype dtype) {
  return dtype == LIMN_F16    ? LIMN_FORMAT_F16
         : dtype == LIMN_BF16 ? LIMN_FORMAT_BF16
                              : LIMN_FORMAT_F32;
}

const char *limn_format_name(limn_format format) {
  return format_names[format];
}

/* Storage and arithmetic from the options; some arithmetic wants weights of its own kind. */
static limn_status choose(limn_model *model, const limn_model_options *options, limn_error *err) {
  bool is_file = options->weights == LIMN_WEIGHTS_FILE;
  model->arithmetic = (limn_arithmetic)options->compute;
  if (model->packed.layout_version > 0) {
    limn_status status = limn_packed_choose(model, options->weights, err);
    if (status != LIMN_OK) return status;
  } else if (!is_file)
    model->format = (limn_format)(options->weights - LIMN_WEIGHTS_F32);
  else if (options->compute == LIMN_COMPUTE_BF16)
    model->format = LIMN_FORMAT_BF16;
  else if (options->compute == LIMN_COMPUTE_INT8)
    model->format = LIMN_FORMAT_Q8;
  else
    model->format = limn_format_of_file(model->config.dtype);
  bool is_whole = model->format == LIMN_FORMAT_Q8 || model->format == LIMN_FORMAT_Q4;
  if (options->compute == LIMN_COMPUTE_F32 ||
      (options->compute == LIMN_COMPUTE_BF16 && model->format == LIMN_FORMAT_BF16) ||
      (options->compute == LIMN_COMPUTE_INT8 && is_whole))
    return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "computing in %s with weights in %s, expected weights in %s",
                        arithmetic_names[model->arithmetic], format_names[model->format],
                        options->compute == LIMN_COMPUTE_BF16 ? "bf16" : "q8 or q4");
}

static limn_status open_folder(limn_model *model, const char *folder, limn_error *err) {
  limn_status status = read_config(folder, &model->config, err);
  if (status == LIMN_OK) status = limn_safetensors_open_model(folder, &model->file, err);
  if (status == LIMN_OK) status = limn_packed_recognize(model, err);
  return status;
}

/* A packed file is a model by itself: it holds its configuration too. */
static limn_status open_single(limn_model *model, const char *path, limn_error *err) {
  size_t n = strlen(path), n_ending = strlen(".safetensors");
  bool is_named = n > n_ending && strcmp(path + n - n_ending, ".safetensors") == 0;
  if (is_named) {
    limn_status status = limn_safetensors_open(path, &model->file, err);
    if (status == LIMN_OK) status = limn_packed_recognize(model, err);
    if (status != LIMN_OK) return status;
    if (model->packed.layout_version > 0) return limn_packed_config(model, err);
  }
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\" is a file, expected a folder with config.json and "
                        "model.safetensors, or a file that holds a packed model",
                        path);
}

limn_status limn_model_look(limn_model *model, const char *path, limn_error *err) {
  if (!limn_path_exists(path))
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "no model at \"%s\": there is no such folder", path);
  limn_status status = limn_nn_choose_kernels(&model->kernels, err);
  if (status != LIMN_OK) return status;
  status =
      limn_path_is_folder(path) ? open_folder(model, path, err) : open_single(model, path, err);
  if (status == LIMN_OK) settle_tie(model);
  if (status == LIMN_OK) status = limn_gpt2_bind_embeddings(model, err);
  return status;
}

static limn_status load(limn_model *model, const char *folder, const limn_model_options *options,
                        limn_pool *pool, limn_error *err) {
  model->path = limn_copy_string(folder, strlen(folder));
  if (!model->path) return limn_out_of_memory(err, "a model");
  limn_status status = limn_model_look(model, folder, err);
  if (status == LIMN_OK) status = choose(model, options, err);
  if (status != LIMN_OK) return status;
  return limn_gpt2_bind(model, pool, err);
}

limn_status limn_model_open_with(const char *folder, const limn_model_options *options,
                                 limn_pool *pool, limn_model **out, limn_error *err) {
  static const limn_model_options defaults;
  *out = NULL;
  limn_model *model = limn_alloc_zeroed(1, sizeof *model);
  if (!model) return limn_out_of_memory(err, "a model");
  limn_status status = load(model, folder, options ? options : &defaults, pool, err);
  if (status != LIMN_OK) {
    limn_model_close(model);
    return status;
  }
  *out = model;
  return LIMN_OK;
}

limn_status limn_model_open(const char *folder, limn_pool *pool, limn_model **out,
                            limn_error *err) {
  return limn_model_open_with(folder, NULL, pool, out, err);
}

void limn_model_close(limn_model *model) {
  if (!model) return;
  limn_gpt2_unbind(model);
  limn_safetensors_close(model->file);
  limn_free(model->path);
  limn_free(model);
}

/* ---- what it is
 * ---------------------------------------------------------------------------------- */

const limn_config *limn_model_config(const limn_model *model) {
  return &model->config;
}

const char *limn_model_weights(const limn_model *model) {
  return format_names[model->format];
}

const char *limn_model_compute(const limn_model *model) {
  return arithmetic_names[model->arithmetic];
}

const char *limn_model_kernels(const limn_model *model) {
  return model->kernels->name;
}

const char *limn_model_path(const limn_model *model) {
  return model->path;
}

int64_t limn_model_n_parameters(const limn_model *model) {
  const limn_config *c = &model->config;
  int64_t d = c->d_model, m = c->d_mlp, v = c->vocab_size;
  int64_t layer = 4 * d + (d + 1) * 3 * d + (d + 1) * d + (d + 1) * m + (m + 1) * d;
  return v * d + c->n_ctx * d + c->n_layer * layer + 2 * d + (c->is_tied ? 0 : v * d);
}

size_t limn_model_mapped_size(const limn_model *model) {
  return limn_safetensors_mapped_size(model->file);
}

static size_t norms_size(const limn_model *model) {
  const limn_config *c = &model->config;
  return ((size_t)c->n_layer * 4 + 2) * (size_t)c->d_model * sizeof(float);
}

const limn_packed_info *limn_model_packed(const limn_model *model) {
  return model->packed.layout_version > 0 ? &model->packed : NULL;
}

size_t limn_model_copied_size(const limn_model *model) {
  return model->packed.layout_version > 0 ? norms_size(model) : limn_model_packed_size(model);
}

size_t limn_model_packed_size(const limn_model *model) {
  const limn_config *c = &model->config;
  size_t size = limn_linear_size(&model->unembedding);
  for (int i = 0; i < c->n_layer; i++) {
    const limn_gpt2_layer *layer = &model->layers[i];
    size += limn_linear_size(&layer->qkv) + limn_linear_size(&layer->out) +
            limn_linear_size(&layer->mlp_in) + limn_linear_size(&layer->mlp_out);
  }
  return size + norms_size(model);
}

limn_status limn_model_weight(const limn_model *model, const char *name, limn_stored *out,
                              limn_error *err) {
  static const char prefix[] = "transformer.";
  char longer[256];
  size_t n = strlen(name);
  if (n + sizeof prefix <= sizeof longer) {
    memcpy(longer, prefix, sizeof prefix - 1);
    memcpy(longer + sizeof prefix - 1, name, n + 1);
    if (limn_safetensors_has(model->file, longer)) name = longer;
  }
  return limn_safetensors_view(model->file, name, out, err);
}

/* ---- its last step
 * --------------------------------------------------------------------------------- */

const float *limn_model_final_norm_weight(const limn_model *model) {
  return model->final_norm.weight;
}

const float *limn_model_final_norm_bias(const limn_model *model) {
  return model->final_norm.bias;
}

limn_status limn_model_unembedding(const limn_model *model, int32_t id, float *out,
                                   limn_error *err) {
  const limn_config *c = &model->config;
  if (id < 0 || id >= c->vocab_size)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "token id %d is outside the vocabulary of %d tokens", (int)id,
                          c->vocab_size);
  limn_linear_column(&model->unembedding, id, out);
  return LIMN_OK;
}

limn_status limn_model_unembed(const limn_model *model, limn_pool *pool, const float *residual,
                               int64_t n, float *logits, limn_error *err) {
  const limn_config *c = &model->config;
  float *normalized = limn_alloc_aligned((size_t)n, (size_t)c->d_model * sizeof *normalized);
  void *scratch = limn_alloc_aligned(
      limn_linear_scratch_size(model->kernels, model->arithmetic, n, c->d_model) + 1, 1);
  limn_status status = LIMN_OK;
  if (normalized && scratch) {
    limn_norm_apply(model->kernels, pool,
                    &(limn_norm_call){.x = residual,
                                      .n = n,
                                      .d = c->d_model,
                                      .x_step = c->d_model,
                                      .weight = model->final_norm.weight,
                                      .bias = model->final_norm.bias,
                                      .eps = c->layer_norm_eps,
                                      .out = normalized,
                                      .out_step = c->d_model});
    limn_linear_apply(&model->unembedding, pool,
                      &(limn_linear_call){.x = normalized,
                                          .n = n,
                                          .x_step = c->d_model,
                                          .y = logits,
                                          .y_step = c->vocab_size,
                                          .arithmetic = model->arithmetic,
                                          .scratch = scratch});
  } else {
    status = limn_out_of_memory(err, "the final layer norm");
  }
  limn_free_aligned(normalized);
  limn_free_aligned(scratch);
  return status;
}
