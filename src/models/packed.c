/*
 * packed.c - a file whose matrices lie as the kernels read them, so that opening it is a map.
 *
 * It is a safetensors file. A matrix NAME is the tensor NAME.panels; everything else is as in the
 * file that it was made from. What the numbers mean stands in the metadata, with a version of the
 * layout: another version is refused, never guessed at. Sizes and addresses are checked here, so
 * that the kernels can read without looking; what the numbers are is not: any bytes are numbers.
 */
#include "models/packed.h"

#include "formats/safetensors.h"

#include <stdio.h>
#include <string.h>

#define ALIGNMENT 64 /* of panels in memory */

static const struct {
  limn_dtype dtype;
  double bits;
} formats[LIMN_FORMAT_COUNT] = {
    [LIMN_FORMAT_F32] = {LIMN_F32, 32},
    [LIMN_FORMAT_F16] = {LIMN_F16, 16},
    [LIMN_FORMAT_BF16] = {LIMN_BF16, 16},
    [LIMN_FORMAT_Q8] = {LIMN_U8, 8.0 * LIMN_BLOCK_Q8 / (LIMN_PANEL * LIMN_QUANT)},
    [LIMN_FORMAT_Q4] = {LIMN_U8, 8.0 * LIMN_BLOCK_Q4 / (LIMN_PANEL * LIMN_QUANT)}};

double limn_packed_bits(limn_format format) {
  return formats[format].bits;
}

bool limn_packed_holds(limn_format format, limn_dtype dtype) {
  return format == LIMN_FORMAT_F32 || formats[format].dtype == dtype;
}

limn_stored limn_packed_shape(const limn_linear *l) {
  limn_stored s = {.dtype = formats[l->format].dtype, .rank = 3};
  bool is_paired = l->format == LIMN_FORMAT_BF16;
  s.shape[0] = limn_linear_panels(l);
  s.shape[1] = is_paired ? (l->n_in + 1) / 2 : l->n_in;
  s.shape[2] = LIMN_PANEL;
  if (is_paired) s.shape[s.rank++] = 2;
  if (s.dtype == LIMN_U8) {
    s.shape[1] = (l->n_in + LIMN_QUANT - 1) / LIMN_QUANT;
    s.shape[2] = l->format == LIMN_FORMAT_Q8 ? LIMN_BLOCK_Q8 : LIMN_BLOCK_Q4;
  }
  return s;
}

void limn_packed_name(const char *name, char out[64]) {
  snprintf(out, 64, "%.48s." LIMN_PACKED_NAME, name);
}

/* ---- metadata ---------------------------------------------------------------------------------
 */

static limn_status need_value(const limn_model *model, const char *key, const char **value,
                              limn_error *err) {
  *value = limn_safetensors_metadata(model->file, key);
  if (*value) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\" is a packed model without \"%s\" in its metadata",
                        limn_safetensors_path(model->file), key);
}

static limn_status refuse(const limn_model *model, limn_status status, const char *key,
                          const char *found, const char *wanted, limn_error *err) {
  return limn_error_set(err, status, LIMN_NO_OFFSET,
                        "\"%s\" has metadata \"%s\" \"%.80s\", expected %s",
                        limn_safetensors_path(model->file), key, found, wanted);
}

/* A number that this limn has as a constant. */
static limn_status need_constant(const limn_model *model, const char *key, int constant,
                                 limn_error *err) {
  const char *value;
  char wanted[16];
  limn_status status = need_value(model, key, &value, err);
  snprintf(wanted, sizeof wanted, "%d", constant);
  if (status != LIMN_OK || strcmp(value, wanted) == 0) return status;
  return refuse(model, LIMN_ERROR_UNSUPPORTED, key, value, wanted, err);
}

static limn_status need_layout(const limn_model *model, limn_error *err) {
  const char *layout = limn_safetensors_metadata(model->file, LIMN_PACKED_LAYOUT), *version;
  if (strcmp(layout, LIMN_PACKED_NAME) != 0)
    return refuse(model, LIMN_ERROR_UNSUPPORTED, LIMN_PACKED_LAYOUT, layout,
                  "\"" LIMN_PACKED_NAME "\"", err);
  limn_status status = need_value(model, LIMN_PACKED_VERSION, &version, err);
  char wanted[16];
  snprintf(wanted, sizeof wanted, "%d", LIMN_PANEL_VERSION);
  if (status != LIMN_OK || strcmp(version, wanted) == 0) return status;
  return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                        "\"%s\" is packed in version \"%.20s\" of the layout, this limn reads %s: "
                        "pack it again",
                        limn_safetensors_path(model->file), version, wanted);
}

static limn_status need_format(limn_model *model, limn_error *err) {
  const char *name;
  limn_status status = need_value(model, LIMN_PACKED_WEIGHTS, &name, err);
  if (status != LIMN_OK) return status;
  for (int i = 0; i < LIMN_FORMAT_COUNT; i++) {
    if (strcmp(name, limn_format_name((limn_format)i)) != 0) continue;
    model->format = (limn_format)i;
    return LIMN_OK;
  }
  return refuse(model, LIMN_ERROR_UNSUPPORTED, LIMN_PACKED_WEIGHTS, name,
                "f32, f16, bf16, q8 or q4", err);
}

static const char *or_unknown(const char *text) {
  return text ? text : "unknown";
}

limn_status limn_packed_recognize(limn_model *model, limn_error *err) {
  if (!limn_safetensors_metadata(model->file, LIMN_PACKED_LAYOUT)) return LIMN_OK;
  limn_status status = need_layout(model, err);
  if (status == LIMN_OK) status = need_format(model, err);
  if (status == LIMN_OK) status = need_constant(model, LIMN_PACKED_PANEL, LIMN_PANEL, err);
  if (status == LIMN_OK && formats[model->format].dtype == LIMN_U8)
    status = need_constant(model, LIMN_PACKED_GROUP, LIMN_QUANT, err);
  if (status != LIMN_OK) return status;
  const limn_safetensors *file = model->file;
  limn_safetensors_want_huge_pages(file);
  model->packed = (limn_packed_info){
      .layout_version = LIMN_PANEL_VERSION,
      .weights = limn_format_name(model->format),
      .bits = limn_packed_bits(model->format),
      .source = or_unknown(limn_safetensors_metadata(file, LIMN_PACKED_SOURCE)),
      .sha256 = or_unknown(limn_safetensors_metadata(file, LIMN_PACKED_SHA256)),
      .made_by = or_unknown(limn_safetensors_metadata(file, LIMN_PACKED_MADE_BY))};
  return LIMN_OK;
}

limn_status limn_packed_config(limn_model *model, limn_error *err) {
  const char *text;
  limn_status status = need_value(model, LIMN_PACKED_CONFIG, &text, err);
  if (status != LIMN_OK) return status;
  return limn_gpt2_parse_config(limn_safetensors_path(model->file), text, &model->config, err);
}

bool limn_packed_is_tied(const limn_model *model) {
  return !limn_safetensors_has(model->file, "lm_head.weight." LIMN_PACKED_NAME);
}

limn_status limn_packed_choose(limn_model *model, limn_weights weights, limn_error *err) {
  if (weights == LIMN_WEIGHTS_FILE || (limn_format)(weights - LIMN_WEIGHTS_F32) == model->format)
    return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "\"%s\" holds weights packed in %s, they cannot be had in %s",
                        limn_safetensors_path(model->file), model->packed.weights,
                        limn_format_name((limn_format)(weights - LIMN_WEIGHTS_F32)));
}

/* ---- panels -----------------------------------------------------------------------------------
 */

static limn_status check_panels(const limn_model *model, const char *name, const limn_stored *found,
                                const limn_stored *wanted, limn_error *err) {
  char found_text[128], wanted_text[128];
  bool is_same = found->dtype == wanted->dtype && found->rank == wanted->rank;
  for (int i = 0; is_same && i < wanted->rank; i++)
    is_same = found->shape[i] == wanted->shape[i];
  if (!is_same)
    return limn_error_set(
        err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
        "%s: tensor \"%s\" is %s of shape %s, expected %s %s", limn_safetensors_path(model->file),
        name, limn_dtype_name(found->dtype),
        limn_shape_text(found_text, sizeof found_text, found->rank, found->shape),
        limn_dtype_name(wanted->dtype),
        limn_shape_text(wanted_text, sizeof wanted_text, wanted->rank, wanted->shape));
  if ((uintptr_t)found->data % ALIGNMENT == 0) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "%s: tensor \"%s\" does not lie at a multiple of %d bytes, as packed "
                        "weights must",
                        limn_safetensors_path(model->file), name, ALIGNMENT);
}

limn_status limn_packed_view(const limn_model *model, const char *name, limn_linear *l,
                             const limn_stored *bias, limn_error *err) {
  char longer[64];
  limn_stored found, wanted = limn_packed_shape(l);
  limn_packed_name(name, longer);
  limn_status status = limn_safetensors_view(model->file, longer, &found, err);
  if (status == LIMN_OK) status = check_panels(model, longer, &found, &wanted, err);
  return status == LIMN_OK ? limn_linear_init(l, found.data, bias, err) : status;
}
