/*
 * gpt2_weights.c - the tensors of a GPT-2 file, each in its place.
 *
 * The names are those of Hugging Face's GPT2LMHeadModel, with or without "transformer." in front.
 * Its projections are of the class Conv1D, which stores a weight as [in, out]; embeddings and the
 * unembedding are [vocabulary, width]. Embeddings stay in the mapped file and are read by row;
 * what is multiplied is packed for the kernels, in the number format of the file, unless the file
 * has it packed already (packed.c).
 */
#include "base/memory.h"
#include "formats/safetensors.h"
#include "models/model.h"
#include "models/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct binder {
  limn_model *model;
  limn_pool *pool;
  float *norms;          /* what is not yet given out of model->norms */
  unsigned char *panels; /* and of model->panels */
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

/* ---- what there is ----------------------------------------------------------------------------
 */

enum { N_LAYER_PARTS = 12, N_OTHER_PARTS = 4 };

static limn_gpt2_part layer_part(const limn_config *c, int layer, int i) {
  int64_t d = c->d_model, m = c->d_mlp;
  const struct {
    const char *name;
    limn_part_kind kind;
    int64_t d0, d1;
  } parts[N_LAYER_PARTS] = {{"ln_1.weight", LIMN_KIND_VECTOR, d, 0},
                            {"ln_1.bias", LIMN_KIND_VECTOR, d, 0},
                            {"attn.c_attn.weight", LIMN_KIND_MATRIX, d, 3 * d},
                            {"attn.c_attn.bias", LIMN_KIND_VECTOR, 3 * d, 0},
                            {"attn.c_proj.weight", LIMN_KIND_MATRIX, d, d},
                            {"attn.c_proj.bias", LIMN_KIND_VECTOR, d, 0},
                            {"ln_2.weight", LIMN_KIND_VECTOR, d, 0},
                            {"ln_2.bias", LIMN_KIND_VECTOR, d, 0},
                            {"mlp.c_fc.weight", LIMN_KIND_MATRIX, d, m},
                            {"mlp.c_fc.bias", LIMN_KIND_VECTOR, m, 0},
                            {"mlp.c_proj.weight", LIMN_KIND_MATRIX, m, d},
                            {"mlp.c_proj.bias", LIMN_KIND_VECTOR, d, 0}};
  limn_gpt2_part part = {.kind = parts[i].kind, .d0 = parts[i].d0, .d1 = parts[i].d1};
  snprintf(part.name, sizeof part.name, "h.%d.%s", layer, parts[i].name);
  return part;
}

size_t limn_gpt2_part_count(const limn_config *c) {
  return 1 + (size_t)c->n_layer * N_LAYER_PARTS + N_OTHER_PARTS;
}

limn_gpt2_part limn_gpt2_part_at(const limn_config *c, size_t i) {
  limn_gpt2_part wpe = {"wpe.weight", LIMN_KIND_ROWS, c->n_ctx, c->d_model};
  limn_gpt2_part rest[N_OTHER_PARTS] = {
      {"ln_f.weight", LIMN_KIND_VECTOR, c->d_model, 0},
      {"ln_f.bias", LIMN_KIND_VECTOR, c->d_model, 0},
      {"wte.weight", LIMN_KIND_ROWS, c->vocab_size, c->d_model},
      {"lm_head.weight", LIMN_KIND_HEAD, c->vocab_size, c->d_model}};
  if (c->is_tied) strcpy(rest[N_OTHER_PARTS - 1].name, "wte.weight");
  if (i == 0) return wpe;
  size_t n = (size_t)c->n_layer * N_LAYER_PARTS;
  if (i - 1 >= n) return rest[i - 1 - n];
  return layer_part(c, (int)((i - 1) / N_LAYER_PARTS), (int)((i - 1) % N_LAYER_PARTS));
}

bool limn_gpt2_is_matrix(const limn_gpt2_part *part) {
  return part->kind == LIMN_KIND_MATRIX || part->kind == LIMN_KIND_HEAD;
}

limn_linear limn_gpt2_linear_of(const limn_model *model, const limn_gpt2_part *part) {
  bool is_in_out = part->kind == LIMN_KIND_MATRIX;
  return limn_linear_of(model->kernels, model->format, is_in_out ? part->d0 : part->d1,
                        is_in_out ? part->d1 : part->d0);
}

limn_status limn_gpt2_need(const limn_model *model, const limn_gpt2_part *part, limn_stored *out,
                           limn_error *err) {
  limn_status status = limn_model_weight(model, part->name, out, err);
  if (status != LIMN_OK) return status;
  return check(model, part->name, out, part->d1 ? 2 : 1, (int64_t[]){part->d0, part->d1}, err);
}

/* ---- each in its place ------------------------------------------------------------------------
 */

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

void limn_gpt2_pack(const limn_model *model, limn_pool *pool, const limn_linear *l,
                    const limn_stored *w, limn_layout layout, int64_t first, int64_t count,
                    unsigned char *out) {
  size_t row = (size_t)l->n_in * limn_dtype_size(w->dtype);
  int64_t end = first + count, n_rows = end * LIMN_PANEL < l->n_out ? end * LIMN_PANEL : l->n_out;
  limn_linear_pack(l, pool, w, layout, first, count, out);
  if (layout == LIMN_OUT_IN || n_rows == l->n_out)
    limn_safetensors_release(model->file, w->data, (size_t)n_rows * row);
}

/* Some panels at a time where pages can be given back meanwhile, so that a large vocabulary does
   not count twice. */
static void pack_panels(binder *b, const limn_linear *l, const limn_stored *w, limn_layout layout) {
  enum { SOME_BYTES = 16 << 20 };
  size_t row = (size_t)l->n_in * limn_dtype_size(w->dtype);
  int64_t n = limn_linear_panels(l), some = (int64_t)(SOME_BYTES / (row * LIMN_PANEL)) + 1;
  if (layout == LIMN_IN_OUT || some > n) some = n;
  for (int64_t first = 0; first < n; first += some)
    limn_gpt2_pack(b->model, b->pool, l, w, layout, first, n - first < some ? n - first : some,
                   b->panels + (size_t)first * l->panel_size);
}

/* Packs a matrix of the file. */
static void pack_matrix(binder *b, limn_linear *linear, const char *name, limn_layout layout,
                        const limn_stored *bias) {
  bool is_in_out = layout == LIMN_IN_OUT;
  limn_stored w = need(b, name, is_in_out ? linear->n_in : linear->n_out,
                       is_in_out ? linear->n_out : linear->n_in);
  if (b->status != LIMN_OK) return;
  pack_panels(b, linear, &w, layout);
  b->status = limn_linear_init(linear, b->panels, bias, b->err);
  b->panels += limn_linear_size(linear);
}

/* The matrix of this name into its place, packed here or before. `bias` may be NULL. */
static void bind_matrix(binder *b, limn_linear *linear, const char *name, limn_layout layout,
                        int64_t n_in, int64_t n_out, const limn_stored *bias) {
  const limn_model *model = b->model;
  if (b->status != LIMN_OK) return;
  *linear = limn_linear_of(model->kernels, model->format, n_in, n_out);
  if (model->packed.layout_version > 0)
    b->status = limn_packed_view(model, name, linear, bias, b->err);
  else
    pack_matrix(b, linear, name, layout, bias);
}

/* A Conv1D: weight [in, out] and bias [out]. */
static void bind_linear(binder *b, limn_linear *linear, int layer, const char *part, int64_t n_in,
                        int64_t n_out) {
  char weight[64], bias[32];
  snprintf(weight, sizeof weight, "h.%d.%s.weight", layer, part);
  snprintf(bias, sizeof bias, "%s.bias", part);
  limn_stored c = need_in_layer(b, layer, bias, n_out, 0);
  bind_matrix(b, linear, weight, LIMN_IN_OUT, n_in, n_out, &c);
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

/*
 * Bound before anything is allocated: sizes that are in the file are no larger than the file. A
 * packed file may leave out the rows of an embedding that its panels hold.
 */
static void bind_embeddings(binder *b) {
  limn_model *model = b->model;
  const limn_config *c = &model->config;
  bool has_rows = model->packed.layout_version == 0 || !c->is_tied ||
                  limn_safetensors_has(model->file, "wte.weight");
  if (has_rows) model->token_embedding = need(b, "wte.weight", c->vocab_size, c->d_model);
  model->position_embedding = need(b, "wpe.weight", c->n_ctx, c->d_model);
  model->config.dtype = has_rows ? model->token_embedding.dtype : model->position_embedding.dtype;
}

void limn_model_embedding(const limn_model *model, int64_t id, float *out) {
  int64_t d = model->config.d_model;
  if (model->token_embedding.data)
    limn_stored_to_f32(&model->token_embedding, id * d, d, out);
  else
    limn_linear_column(&model->unembedding, id, out);
}

static void bind_end(binder *b) {
  limn_model *model = b->model;
  const limn_config *c = &model->config;
  model->final_norm = bind_norm(b, -1, "ln_f");
  bind_matrix(b, &model->unembedding, c->is_tied ? "wte.weight" : "lm_head.weight", LIMN_OUT_IN,
              c->d_model, c->vocab_size, NULL);
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

/* All panels in one block, so that the system can give it pages as large as it has. */
static limn_status take_panels(limn_model *model, limn_error *err) {
  size_t total = 0;
  bool fits = true;
  if (model->packed.layout_version > 0) return LIMN_OK;
  for (size_t i = 0; i < limn_gpt2_part_count(&model->config); i++) {
    limn_gpt2_part part = limn_gpt2_part_at(&model->config, i);
    limn_linear l = limn_gpt2_linear_of(model, &part);
    if (limn_gpt2_is_matrix(&part))
      fits = fits && limn_size_add(total, limn_linear_size(&l), &total);
  }
  model->panels = fits ? limn_alloc_aligned(total, 1) : NULL;
  if (!model->panels) return limn_out_of_memory(err, "packed weights");
  limn_want_huge_pages(model->panels, total);
  return LIMN_OK;
}

limn_status limn_gpt2_bind(limn_model *model, limn_pool *pool, limn_error *err) {
  const limn_config *c = &model->config;
  size_t n_norms = (size_t)c->n_layer * 4 + 2;
  model->layers = limn_alloc_zeroed((size_t)c->n_layer, sizeof *model->layers);
  model->norms = limn_alloc_aligned(n_norms, (size_t)c->d_model * sizeof(float));
  if (!model->layers || !model->norms) return limn_out_of_memory(err, "a model's weights");
  binder b = {.model = model, .pool = pool, .err = err, .status = take_panels(model, err)};
  b.norms = model->norms;
  b.panels = model->panels;
  if (b.status == LIMN_OK) bind_end(&b);
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
  limn_free_aligned(model->panels);
  limn_free(model->layers);
  limn_free_aligned(model->norms);
}
