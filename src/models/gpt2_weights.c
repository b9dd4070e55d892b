/*
 * gpt2_weights.c - the tensors of a GPT-2 file, each in its place.
 *
 * The names are those of Hugging Face's GPT2LMHeadModel, with or without "transformer." in front.
 * Its projections are of the class Conv1D, which stores a weight as [in, out]; embeddings and the
 * unembedding are [vocabulary, width]. Embeddings stay in the mapped file and are read by row;
 * what is multiplied is packed for the kernels, in the number format of the file.
 */
#include "base/memory.h"
#include "models/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct binder {
  limn_model *model;
  limn_pool *pool;
  float *norms; /* what is not yet given out of model->norms */
  limn_error *err;
  limn_status status; /* the first failure; later calls do nothing */
} binder;

static bool is_float(limn_dtype dtype) {
  return dtype == LIMN_F32 || dtype == LIMN_F16 || dtype == LIMN_BF16;
}

static limn_status check(const limn_model *model, const char *name, const limn_stored *found,
                         int rank, const int64_t *shape, limn_error *err) {
  char found_text[128], wanted_text[128];
  if (!is_float(found->dtype))
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: tensor \"%s\" is stored as %s, expected F32, F16 or BF16",
                          limn_safetensors_path(model->file), name, limn_dtype_name(found->dtype));
  bool is_same = found->rank == rank;
  for (int i = 0; is_same && i < rank; i++)
    is_same = found->shape[i] == shape[i];
  if (is_same) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                        "%s: tensor \"%s\" has shape %s, expected %s",
                        limn_safetensors_path(model->file), name,
                        limn_shape_text(found_text, sizeof found_text, found->rank, found->shape),
                        limn_shape_text(wanted_text, sizeof wanted_text, rank, shape));
}

/* The tensor of this name, with this shape; `d1` is 0 for a vector. */
static limn_stored need(binder *b, const char *name, int64_t d0, int64_t d1) {
  limn_stored found = {0};
  if (b->status != LIMN_OK) return found;
  b->status = limn_model_weight(b->model, name, &found, b->err);
  if (b->status == LIMN_OK)
    b->status = check(b->model, name, &found, d1 ? 2 : 1, (int64_t[]){d0, d1}, b->err);
  return found;
}

static limn_stored need_in_layer(binder *b, int layer, const char *part, int64_t d0, int64_t d1) {
  char name[64];
  snprintf(name, sizeof name, "h.%d.%s", layer, part);
  return need(b, name, d0, d1);
}

static float *bind_vector(binder *b, limn_stored stored, int64_t n) {
  float *vector = b->norms;
  if (b->status != LIMN_OK) return NULL;
  limn_stored_to_f32(&stored, 0, n, vector);
  b->norms += n;
  return vector;
}

static limn_norm bind_norm(binder *b, int layer, const char *part) {
  char weight[32], bias[32];
  int64_t d = b->model->config.d_model;
  snprintf(weight, sizeof weight, "%s.weight", part);
  snprintf(bias, sizeof bias, "%s.bias", part);
  limn_stored w = layer < 0 ? need(b, weight, d, 0) : need_in_layer(b, layer, weight, d, 0);
  limn_stored c = layer < 0 ? need(b, bias, d, 0) : need_in_layer(b, layer, bias, d, 0);
  limn_norm norm = {.weight = bind_vector(b, w, d)};
  norm.bias = bind_vector(b, c, d);
  return norm;
}

/* A Conv1D: weight [in, out] and bias [out]. */
static void bind_linear(binder *b, limn_linear *linear, int layer, const char *part, int64_t n_in,
                        int64_t n_out) {
  char weight[32], bias[32];
  snprintf(weight, sizeof weight, "%s.weight", part);
  snprintf(bias, sizeof bias, "%s.bias", part);
  limn_stored w = need_in_layer(b, layer, weight, n_in, n_out);
  limn_stored c = need_in_layer(b, layer, bias, n_out, 0);
  if (b->status != LIMN_OK) return;
  b->status = limn_linear_init(linear, b->model->kernels, b->model->format, b->pool, &w,
                               LIMN_IN_OUT, &c, b->err);
}

static void bind_layer(binder *b, int i) {
  limn_gpt2_layer *layer = &b->model->layers[i];
  int64_t d = b->model->config.d_model, d_mlp = b->model->config.d_mlp;
  layer->ln1 = bind_norm(b, i, "ln_1");
  bind_linear(b, &layer->qkv, i, "attn.c_attn", d, 3 * d);
  bind_linear(b, &layer->out, i, "attn.c_proj", d, d);
  layer->ln2 = bind_norm(b, i, "ln_2");
  bind_linear(b, &layer->mlp_in, i, "mlp.c_fc", d, d_mlp);
  bind_linear(b, &layer->mlp_out, i, "mlp.c_proj", d_mlp, d);
}

/* Bound before anything is allocated: sizes that are in the file are no larger than the file. */
static void bind_embeddings(binder *b) {
  limn_model *model = b->model;
  const limn_config *c = &model->config;
  model->token_embedding = need(b, "wte.weight", c->vocab_size, c->d_model);
  model->position_embedding = need(b, "wpe.weight", c->n_ctx, c->d_model);
  model->config.dtype = model->token_embedding.dtype;
}

static void bind_end(binder *b) {
  limn_model *model = b->model;
  const limn_config *c = &model->config;
  model->final_norm = bind_norm(b, -1, "ln_f");
  model->unembedding_weight =
      c->is_tied ? model->token_embedding : need(b, "lm_head.weight", c->vocab_size, c->d_model);
  if (b->status == LIMN_OK)
    b->status = limn_linear_init(&model->unembedding, model->kernels, model->format, b->pool,
                                 &model->unembedding_weight, LIMN_OUT_IN, NULL, b->err);
}

/* A file with more layers than the configuration says is some other model's. */
static limn_status check_layers(const limn_model *model, limn_error *err) {
  for (size_t i = 0; i < limn_safetensors_count(model->file); i++) {
    const char *name = limn_safetensors_name_at(model->file, i);
    const char *part = strncmp(name, "transformer.", 12) == 0 ? name + 12 : name;
    int64_t layer;
    if (strncmp(part, "h.", 2) != 0) continue;
    if (!limn_parse_int(part + 2, strcspn(part + 2, "."), &layer)) continue;
    if (layer >= model->config.n_layer)
      return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                            "%s: tensor \"%s\" is there, but config.json has n_layer %d",
                            limn_safetensors_path(model->file), name, model->config.n_layer);
  }
  return LIMN_OK;
}

limn_status limn_gpt2_bind_embeddings(limn_model *model, limn_error *err) {
  binder b = {.model = model, .err = err, .status = check_layers(model, err)};
  bind_embeddings(&b);
  return b.status;
}

limn_status limn_gpt2_bind(limn_model *model, limn_pool *pool, limn_error *err) {
  const limn_config *c = &model->config;
  size_t n_norms = (size_t)c->n_layer * 4 + 2;
  binder b = {.model = model, .pool = pool, .err = err};
  model->layers = limn_alloc_zeroed((size_t)c->n_layer, sizeof *model->layers);
  model->norms = limn_alloc_aligned(n_norms, (size_t)c->d_model * sizeof(float));
  if (!model->layers || !model->norms) return limn_out_of_memory(err, "a model's weights");
  b.norms = model->norms;
  bind_end(&b);
  for (int i = 0; i < c->n_layer && b.status == LIMN_OK; i++)
    bind_layer(&b, i);
  return b.status;
}

void limn_gpt2_unbind(limn_model *model) {
  for (int i = 0; model->layers && i < model->config.n_layer; i++) {
    limn_gpt2_layer *layer = &model->layers[i];
    limn_linear_deinit(&layer->qkv);
    limn_linear_deinit(&layer->out);
    limn_linear_deinit(&layer->mlp_in);
    limn_linear_deinit(&layer->mlp_out);
  }
  limn_linear_deinit(&model->unembedding);
  limn_free(model->layers);
  limn_free_aligned(model->norms);
}
