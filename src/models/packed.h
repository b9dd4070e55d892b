/*
 * packed.h - inside the library: files whose matrices lie as the kernels read them.
 */
#ifndef LIMN_SRC_MODELS_PACKED_H
#define LIMN_SRC_MODELS_PACKED_H

#include "models/model.h"

/* The keys of the file's metadata. */
#define LIMN_PACKED_LAYOUT  "limn.layout"
#define LIMN_PACKED_VERSION "limn.layout_version"
#define LIMN_PACKED_WEIGHTS "limn.weights"
#define LIMN_PACKED_PANEL   "limn.panel"
#define LIMN_PACKED_GROUP   "limn.group"
#define LIMN_PACKED_CONFIG  "limn.config"
#define LIMN_PACKED_SOURCE  "limn.source"
#define LIMN_PACKED_SHA256  "limn.source_sha256"
#define LIMN_PACKED_MADE_BY "limn.made_by"

#define LIMN_PACKED_NAME "panels" /* of the layout, and the ending of its tensors' names */
#define LIMN_PACKED_PAGE 4096     /* the numbers begin at a multiple of it in the file */

/* A matrix's panels as a tensor: (panels, blocks, ...), without a byte between them. */
limn_stored limn_packed_shape(const limn_linear *l);
/* "h.0.attn.c_attn.weight.panels" */
void limn_packed_name(const char *name, char out[64]);
/* The bits that a weight takes. */
double limn_packed_bits(limn_format format);
/* Whether every number of this file format is one of the packed format, so that panels can tell the
   rows again. */
bool limn_packed_holds(limn_format format, limn_dtype dtype);

/*
 * Fills model->packed where model->file is packed. UNSUPPORTED for another layout or version,
 * FORMAT for metadata that are none.
 */
limn_status limn_packed_recognize(limn_model *model, limn_error *err);
/* The configuration that the file holds. */
limn_status limn_packed_config(limn_model *model, limn_error *err);
bool limn_packed_is_tied(const limn_model *model);
/* Sets model->format. ARGUMENT when other weights are asked for. */
limn_status limn_packed_choose(limn_model *model, limn_weights weights, limn_error *err);
/* The panels of this matrix and its bias into `l`, which has its sizes. FORMAT, SHAPE, NOT_FOUND.
 */
limn_status limn_packed_view(const limn_model *model, const char *name, limn_linear *l,
                             const limn_stored *bias, limn_error *err);

#endif
