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
  const limn_kernels *kernels;
  limn_format format;         /* of what is packed */
  limn_arithmetic arithmetic; /* of its products */
  char *path;
  limn_safetensors *file;
  limn_stored token_embedding;    /* (vocab_size, d_model), in the file */
  limn_stored position_embedding; /* (n_ctx, d_model), in the file */
  limn_gpt2_layer *layers;        /* (n_layer) */
  limn_norm final_norm;
  limn_linear unembedding;        /* d_model -> vocab_size */
  limn_stored unembedding_weight; /* (vocab_size, d_model), in the file */
  float *norms;                   /* the memory of all norms */
};

/* config.json of a GPT-2 folder. `path` is the file's. */
limn_status limn_gpt2_read_config(const char *path, limn_config *out, limn_error *err);
/* Binds the embeddings, which tell the file's number format. */
limn_status limn_gpt2_bind_embeddings(limn_model *model, limn_error *err);
/* Binds all other tensors of model->file to their places, packed in model->format. On failure the
   model is good for closing. */
limn_status limn_gpt2_bind(limn_model *model, limn_pool *pool, limn_error *err);
void limn_gpt2_unbind(limn_model *model);

#endif
