/*
 * pack.c - writes a model as packed.c reads it.
 *
 * All sizes are known before the first number, so the header goes first and the matrices follow, a
 * few panels at a time: what is in memory are those and the pages of the source that are being
 * read. Panels come first, in the order in which a pass reads them, and each is a multiple of 64
 * bytes; since the header ends at a page, every panel lies where the kernels want it.
 */
#include "base/file.h"
#include "base/memory.h"
#include "formats/safetensors.h"
#include "models/packed.h"

#include <limn/io.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_LIMIT ((size_t)1 << 20)
#define SOME_BYTES   ((size_t)4 << 20) /* of panels that are packed together */

typedef struct packer {
  limn_model *model; /* the source: looked at, not bound */
  const limn_pack_options *options;
  limn_pool *pool;
  limn_safetensors_writer *writer;
  unsigned char *panels;
  size_t panels_size;
  int64_t done, total; /* bytes */
} packer;

/* Rows of an embedding that the panels of the head hold exactly are left out. */
static bool is_left_out(const packer *p, const limn_gpt2_part *part) {
  const limn_model *model = p->model;
  bool is_exact = limn_packed_holds(model->format, model->config.dtype);
  return part->kind == LIMN_KIND_ROWS && strcmp(part->name, "wte.weight") == 0 &&
         model->config.is_tied && (is_exact || p->options->is_compact);
}

/*
 * The parts in the order of the file: matrices, then what has numbers of 4 bytes, then of 2, so
 * that all lie at multiples of their size.
 */
static limn_status each(packer *p,
                        limn_status (*visit)(packer *p, const limn_gpt2_part *part,
                                             const limn_stored *tensor, limn_error *err),
                        limn_error *err) {
  const limn_config *c = &p->model->config;
  for (size_t width = 8; width > 1; width /= 2) { /* 8: the matrices */
    for (size_t i = 0; i < limn_gpt2_part_count(c); i++) {
      limn_gpt2_part part = limn_gpt2_part_at(c, i);
      limn_stored tensor;
      if (is_left_out(p, &part) || limn_gpt2_is_matrix(&part) != (width == 8)) continue;
      limn_status status = limn_gpt2_need(p->model, &part, &tensor, err);
      if (status == LIMN_OK && (width == 8 || limn_dtype_size(tensor.dtype) == width))
        status = visit(p, &part, &tensor, err);
      if (status != LIMN_OK) return status;
    }
  }
  return LIMN_OK;
}

/* ---- the header -------------------------------------------------------------------------------
 */

static limn_status declare(packer *p, const limn_gpt2_part *part, const limn_stored *tensor,
                           limn_error *err) {
  char name[64];
  limn_stored shape = *tensor;
  snprintf(name, sizeof name, "%s", part->name);
  if (limn_gpt2_is_matrix(part)) {
    limn_linear l = limn_gpt2_linear_of(p->model, part);
    shape = limn_packed_shape(&l);
    limn_packed_name(part->name, name);
    if (l.panel_size > p->panels_size) p->panels_size = l.panel_size;
  }
  p->total += limn_stored_count(&shape) * (int64_t)limn_dtype_size(shape.dtype);
  return limn_safetensors_writer_declare(p->writer, name, shape.dtype, shape.rank, shape.shape,
                                         err);
}

static limn_status put_config(packer *p, const char *folder, limn_error *err) {
  char *path = limn_path_join(folder, "config.json"), *text = NULL;
  size_t n;
  if (!path) return limn_out_of_memory(err, "a path");
  limn_status status = limn_file_read(path, CONFIG_LIMIT, &text, &n, err);
  if (status == LIMN_OK)
    status = limn_safetensors_writer_metadata(p->writer, LIMN_PACKED_CONFIG, text, err);
  limn_free(path);
  limn_free(text);
  return status;
}

/* The last part of the folder's path, without slashes at its end. One that is not UTF-8 cannot be
   written. */
static limn_status put_source(packer *p, const char *folder, limn_error *err) {
  size_t end = strlen(folder), start;
  while (end > 1 && folder[end - 1] == '/')
    end--;
  for (start = end; start > 0 && folder[start - 1] != '/';)
    start--;
  char *name = limn_copy_string(folder + start, end - start);
  if (!name) return limn_out_of_memory(err, "a name");
  limn_status status = limn_safetensors_writer_metadata(p->writer, LIMN_PACKED_SOURCE, name, err);
  if (status == LIMN_ERROR_ARGUMENT) status = LIMN_OK;
  limn_free(name);
  return status;
}

static limn_status put_metadata(packer *p, const char *folder, limn_error *err) {
  char version[16], panel[16], group[16], hash[65];
  snprintf(version, sizeof version, "%d", LIMN_PANEL_VERSION);
  snprintf(panel, sizeof panel, "%d", LIMN_PANEL);
  snprintf(group, sizeof group, "%d", LIMN_QUANT);
  limn_safetensors_sha256(p->model->file, hash);
  bool has_groups = p->model->format == LIMN_FORMAT_Q8 || p->model->format == LIMN_FORMAT_Q4;
  const char *const pairs[][2] = {{LIMN_PACKED_LAYOUT, LIMN_PACKED_NAME},
                                  {LIMN_PACKED_VERSION, version},
                                  {LIMN_PACKED_WEIGHTS, limn_format_name(p->model->format)},
                                  {LIMN_PACKED_PANEL, panel},
                                  {LIMN_PACKED_GROUP, has_groups ? group : NULL},
                                  {LIMN_PACKED_SHA256, hash},
                                  {LIMN_PACKED_MADE_BY, limn_version()}};
  limn_status status = put_source(p, folder, err);
  for (size_t i = 0; status == LIMN_OK && i < sizeof pairs / sizeof *pairs; i++) {
    if (pairs[i][1])
      status = limn_safetensors_writer_metadata(p->writer, pairs[i][0], pairs[i][1], err);
  }
  return status == LIMN_OK ? put_config(p, folder, err) : status;
}

/* ---- the numbers ------------------------------------------------------------------------------
 */

static limn_status put(packer *p, const void *bytes, size_t n, limn_error *err) {
  limn_status status = limn_safetensors_writer_write(p->writer, bytes, n, err);
  const limn_pack_options *o = p->options;
  if (status != LIMN_OK) return status;
  p->done += (int64_t)n;
  if (o->progress && o->progress(o->user, p->done, p->total))
    return limn_error_set(err, LIMN_ERROR_CANCELLED, LIMN_NO_OFFSET, "packing was cancelled");
  return LIMN_OK;
}

static limn_status put_matrix(packer *p, const limn_gpt2_part *part, const limn_stored *tensor,
                              limn_error *err) {
  limn_linear l = limn_gpt2_linear_of(p->model, part);
  limn_layout layout = part->kind == LIMN_KIND_MATRIX ? LIMN_IN_OUT : LIMN_OUT_IN;
  int64_t n = limn_linear_panels(&l), some = (int64_t)(p->panels_size / l.panel_size);
  for (int64_t first = 0; first < n; first += some) {
    int64_t count = n - first < some ? n - first : some;
    limn_gpt2_pack(p->model, p->pool, &l, tensor, layout, first, count, p->panels);
    limn_status status = put(p, p->panels, (size_t)count * l.panel_size, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status put_part(packer *p, const limn_gpt2_part *part, const limn_stored *tensor,
                            limn_error *err) {
  if (limn_gpt2_is_matrix(part)) return put_matrix(p, part, tensor, err);
  size_t size = (size_t)limn_stored_count(tensor) * limn_dtype_size(tensor->dtype);
  limn_status status = LIMN_OK;
  for (size_t at = 0; at < size && status == LIMN_OK; at += SOME_BYTES) {
    size_t n = size - at < SOME_BYTES ? size - at : SOME_BYTES;
    const unsigned char *from = (const unsigned char *)tensor->data + at;
    status = put(p, from, n, err);
    limn_safetensors_release(p->model->file, from, n);
  }
  return status;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static limn_status look(packer *p, const char *folder, limn_error *err) {
  limn_weights weights = p->options->weights;
  limn_status status = limn_model_look(p->model, folder, err);
  if (status != LIMN_OK) return status;
  if (p->model->packed.layout_version > 0)
    return limn_error_set(
        err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
        "\"%s\" is packed already, in %s: expected the model that it was made from", folder,
        p->model->packed.weights);
  p->model->format = weights == LIMN_WEIGHTS_FILE ? limn_format_of_file(p->model->config.dtype)
                                                  : (limn_format)(weights - LIMN_WEIGHTS_F32);
  return LIMN_OK;
}

static limn_status write_all(packer *p, const char *folder, const char *path, limn_error *err) {
  limn_status status = limn_safetensors_writer_open(path, 0, &p->writer, err);
  if (status == LIMN_OK) status = put_metadata(p, folder, err);
  if (status == LIMN_OK) status = each(p, declare, err);
  if (status == LIMN_OK) status = limn_safetensors_writer_start(p->writer, LIMN_PACKED_PAGE, err);
  if (status != LIMN_OK) return status;
  if (p->panels_size < SOME_BYTES) p->panels_size = SOME_BYTES;
  p->panels = limn_alloc_aligned(p->panels_size, 1);
  if (!p->panels) return limn_out_of_memory(err, "panels");
  status = each(p, put_part, err);
  if (status != LIMN_OK) return status;
  status = limn_safetensors_writer_commit(p->writer, err);
  p->writer = NULL; /* freed, whatever the outcome */
  return status;
}

limn_status limn_model_pack(const char *folder, const char *path, const limn_pack_options *options,
                            limn_pool *pool, limn_error *err) {
  static const limn_pack_options defaults;
  packer p = {.options = options ? options : &defaults, .pool = pool};
  p.model = limn_alloc_zeroed(1, sizeof *p.model);
  if (!p.model) return limn_out_of_memory(err, "a model");
  limn_status status = look(&p, folder, err);
  if (status == LIMN_OK) status = write_all(&p, folder, path, err);
  limn_safetensors_writer_discard(p.writer);
  limn_free_aligned(p.panels);
  limn_model_close(p.model);
  return status;
}
