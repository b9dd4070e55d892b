/*
 * model.h - inside the library: a model's weights, bound to their places.
 */
#ifndef LIMN_SRC_MODELS_MODEL_H
#define LIMN_SRC_MODELS_MODEL_H

#include "nn/linear.h"
#include "nn/rows.h"

#include <limn/model.h>
#include <limn/safetensors.h>

/* Layer norm: (d_model) each. */
typedef struct limn_norm {
  float *weight;
  float *bias;
} limn_norm;

typedef struct limn_gpt2_layer {
  limn_norm ln1, ln2;
  limn_linear qkv;     /* d_model -> 3 * d_model: queries, keys, values of all heads */
  limn_linear out;     /* d_model -> d_model */
  limn_linear mlp_in;  /* d_model -> d_mlp */
  limn_linear mlp_out; /* d_mlp -> d_model */
} limn_gpt2_layer;

struct limn_model {
  limn_config config;
  limn_packed_info packed; /* layout_version 0: the file is an ordinary one */
  const limn_kernels *kernels;
  limn_format format;         /* of what is packed */
  limn_arithmetic arithmetic; /* of its products */
  char *path;
  limn_safetensors *file;
  limn_stored token_embedding;    /* (vocab_size, d_model), in the file; no data: the panels of the
                                     unembedding have it */
  limn_stored position_embedding; /* (n_ctx, d_model), in the file */
  limn_gpt2_layer *layers;        /* (n_layer) */
  limn_norm final_norm;
  limn_linear unembedding; /* d_model -> vocab_size */
  float *norms;            /* the memory of all norms */
  unsigned char *panels;   /* and of all that is packed here; NULL where a file has it */
};

/* config.json of a GPT-2 folder. `path` is the file's. */
limn_status limn_gpt2_read_config(const char *path, limn_config *out, limn_error *err);
/* The same of a text that stands in the file at `path`. */
limn_status limn_gpt2_parse_config(const char *path, const char *text, limn_config *out,
                                   limn_error *err);

/* What a tensor of a GPT-2 is to the forward pass. */
typedef enum limn_part_kind {
  LIMN_KIND_VECTOR, /* (d0) */
  LIMN_KIND_ROWS,   /* (d0, d1), read by row */
  LIMN_KIND_MATRIX, /* (d0, d1), a Conv1D: [in, out] */
  LIMN_KIND_HEAD    /* (d0, d1), [out, in] */
} limn_part_kind;

typedef struct limn_gpt2_part {
  char name[48];
  limn_part_kind kind;
  int64_t d0, d1; /* d1 is 0 for a vector */
} limn_gpt2_part;

/*
 * The tensors that a GPT-2 consists of, in the order in which the pass needs them; the head, which
 * is wte.weight or lm_head.weight, is the last, and only there as what is multiplied.
 */
size_t limn_gpt2_part_count(const limn_config *config);
limn_gpt2_part limn_gpt2_part_at(const limn_config *config, size_t i);
/* Whether it is multiplied; and then the product's sizes, in the model's format. */
bool limn_gpt2_is_matrix(const limn_gpt2_part *part);
limn_linear limn_gpt2_linear_of(const limn_model *model, const limn_gpt2_part *part);
/* limn_linear_pack, which also gives back the file's pages that no later panel needs: with rows of
   inputs those of all panels so far, else all behind the last. */
void limn_gpt2_pack(const limn_model *model, limn_pool *pool, const limn_linear *l,
                    const limn_stored *w, limn_layout layout, int64_t first, int64_t count,
                    unsigned char *out);
/* That tensor, of the right shape and numbers. NOT_FOUND, SHAPE, UNSUPPORTED. */
limn_status limn_gpt2_need(const limn_model *model, const limn_gpt2_part *part, limn_stored *out,
                           limn_error *err);
/* Row `id` of the token embedding, (d_model). */
void limn_model_embedding(const limn_model *model, int64_t id, float *out);
/* Binds the embeddings, which tell the file's number format. */
limn_status limn_gpt2_bind_embeddings(limn_model *model, limn_error *err);
/*
 * Opens the folder (or packed file) at `path` and looks at it: configuration, file, embeddings, and
 * whether it is packed. What is left is choosing a format and binding.
 */
limn_status limn_model_look(limn_model *model, const char *path, limn_error *err);
const char *limn_format_name(limn_format format);
/* What matrices are packed in when nothing else is asked for. */
limn_format limn_format_of_file(limn_dtype dtype);

/* Binds all other tensors of model->file to their places, packed in model->format. On failure the
   model is good for closing. */
limn_status limn_gpt2_bind(limn_model *model, limn_pool *pool, limn_error *err);
void limn_gpt2_unbind(limn_model *model);

#endif
