/*
 * limn/model.h - a model from a folder: its configuration, its weights, and the names of its steps.
 *
 * A model is immutable once open and may be shared between threads and sessions. Its weights are
 * views into the mapped file and copies packed for the kernels. How the copies are stored and how
 * their products are computed are two choices. A model may also be packed once and for all, into a
 * file that needs no copies.
 */
#ifndef LIMN_MODEL_H
#define LIMN_MODEL_H

#include <limn/base.h>
#include <limn/nn.h>
#include <limn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the model ------------------------------------------------------------------------------- */

/* The name in a Hugging Face config: "gelu_new" ... Static storage. */
LIMN_API const char *limn_activation_name(limn_activation activation);

/* The most tokens that may end a text. */
#define LIMN_MOST_ENDS 16

typedef struct limn_config {
  const char *family; /* "gpt2" */
  int n_layer;
  int n_head;
  int d_model;
  int d_head; /* d_model / n_head */
  int d_mlp;
  int n_ctx; /* positions in the context window */
  int vocab_size;
  limn_activation activation;
  float layer_norm_eps;
  bool is_tied;         /* the unembedding is the embedding's weight */
  int32_t bos_token_id; /* -1 for none */
  int32_t eos_token_id; /* the first that ends a text, -1 for none */
  int n_ends;           /* how many end one */
  int32_t ends[LIMN_MOST_ENDS];
  limn_dtype dtype; /* as the embedding is stored */
} limn_config;

/* Whether this token ends a text. */
LIMN_API bool limn_config_is_end(const limn_config *config, int32_t id);

typedef struct limn_model limn_model;

/*
 * Opens a Hugging Face folder: config.json and model.safetensors, or shards with an index; or a
 * folder or file that limn_model_pack wrote. `pool` (or NULL) helps to load and is not kept. Fails
 * naming the file and the tensor or key: NOT_FOUND, IO, FORMAT, SHAPE, UNSUPPORTED (a family,
 * number format or setting that would change the mathematics; LIMN_KERNELS naming instructions that
 * the processor lacks), ARGUMENT (LIMN_KERNELS naming none), MEMORY.
 */
LIMN_API limn_status limn_model_open(const char *folder, limn_pool *pool, limn_model **out,
                                     limn_error *err);
LIMN_API void limn_model_close(limn_model *model);

/* How the matrices are stored in memory. Embeddings are read from the file as they are. */
typedef enum limn_weights {
  LIMN_WEIGHTS_FILE = 0, /* as in the file */
  LIMN_WEIGHTS_F32,
  LIMN_WEIGHTS_F16,
  LIMN_WEIGHTS_BF16,
  LIMN_WEIGHTS_Q8, /* 8-bit whole numbers, 32 inputs of an output share a scale: 8.5 bits each */
  LIMN_WEIGHTS_Q4  /* 4-bit whole numbers likewise: 4.5 bits each */
} limn_weights;

/*
 * How their products are computed. Where these round activations, attention's scores are computed
 * from queries and keys of 14 and 13 bits with a scale for 64, and with INT8 what it mixes from
 * shares and values in bf16. Everything else is float32 always.
 */
typedef enum limn_compute {
  LIMN_COMPUTE_F32 = 0, /* float32 throughout: exact to its rounding, whatever the storage */
  LIMN_COMPUTE_BF16,    /* activations rounded to bf16; weights in bf16 */
  LIMN_COMPUTE_INT8     /* activations rounded to 8-bit whole numbers, 32 to a scale; q8 or q4 */
} limn_compute;

/* All zero is limn_model_open's. */
typedef struct limn_model_options {
  limn_weights weights; /* FILE with COMPUTE_BF16 means BF16, with COMPUTE_INT8 Q8 */
  limn_compute compute;
} limn_model_options;

/* As limn_model_open; `options` may be NULL. ARGUMENT for weights that do not go with compute. */
LIMN_API limn_status limn_model_open_with(const char *folder, const limn_model_options *options,
                                          limn_pool *pool, limn_model **out, limn_error *err);

/* What was chosen: "f32", "f16", "bf16", "q8", "q4"; "f32", "bf16", "int8"; and the instructions
   that compute, "avx512" (see LIMN_KERNELS in docs/command.md). Static storage. */
LIMN_API const char *limn_model_weights(const limn_model *model);
LIMN_API const char *limn_model_compute(const limn_model *model);
LIMN_API const char *limn_model_kernels(const limn_model *model);

LIMN_API const limn_config *limn_model_config(const limn_model *model);
/* The folder as given to limn_model_open. */
LIMN_API const char *limn_model_path(const limn_model *model);
/* The number of trained numbers; a tied unembedding counts once. */
LIMN_API int64_t limn_model_n_parameters(const limn_model *model);

/*
 * Bytes of the mapped file; of the weights as the kernels read them, which are copies on the heap
 * or lie in a packed file; and of what is on the heap.
 */
LIMN_API size_t limn_model_mapped_size(const limn_model *model);
LIMN_API size_t limn_model_packed_size(const limn_model *model);
LIMN_API size_t limn_model_copied_size(const limn_model *model);

/*
 * The tensor of this name as the file stores it, without the prefix "transformer.":
 * "h.0.attn.c_attn.weight". Valid until the model is closed. NOT_FOUND, UNSUPPORTED (its number
 * format). A packed file has no matrices in this sense.
 */
LIMN_API limn_status limn_model_weight(const limn_model *model, const char *name, limn_stored *out,
                                       limn_error *err);

/*
 * The direction in the residual stream that token `id` reads: its column of the unembedding W_U,
 * as the products have it: with the numbers that are stored in memory. out (d_model). RANGE for an
 * id outside the vocabulary.
 */
LIMN_API limn_status limn_model_unembedding(const limn_model *model, int32_t id, float *out,
                                            limn_error *err);

/* The final layer norm's weight and bias, (d_model) each. Valid until the model is closed. */
LIMN_API const float *limn_model_final_norm_weight(const limn_model *model);
LIMN_API const float *limn_model_final_norm_bias(const limn_model *model);

/*
 * Final norm and unembedding of n rows of a residual stream: the model's own last step, which the
 * logit lens applies to any layer. residual (n, d_model), logits (n, vocab_size). MEMORY.
 */
LIMN_API limn_status limn_model_unembed(const limn_model *model, limn_pool *pool,
                                        const float *residual, int64_t n, float *logits,
                                        limn_error *err);

/* ---- packed files -----------------------------------------------------------------------------
 */

/* What a packed file says of itself. Strings are valid until the model is closed. */
typedef struct limn_packed_info {
  int layout_version;  /* of docs/formats.md */
  const char *weights; /* "q8" */
  double bits;         /* that a weight takes, scales included: 8.5 */
  const char *source;  /* the name of the folder that it was made from */
  const char *sha256;  /* of that folder's weights, 64 hexadecimal digits */
  const char *made_by; /* the version of limn */
} limn_packed_info;

/* NULL where the model was opened from an ordinary file. */
LIMN_API const limn_packed_info *limn_model_packed(const limn_model *model);

/* All zero: as in the file, without progress. */
typedef struct limn_pack_options {
  limn_weights weights;
  /*
   * The token embedding, where the unembedding is its transpose, is rounded as that is instead of
   * standing beside it as it was. What is computed differs from opening with these weights by that.
   */
  bool is_compact;
  void *user;
  /* Called now and then with bytes done when not NULL; true ends it with LIMN_ERROR_CANCELLED. */
  bool (*progress)(void *user, int64_t done, int64_t total);
} limn_pack_options;

/*
 * Writes the model in `folder` to the safetensors file `path` as limn_model_open_with would pack it
 * for these weights. Opening that file copies nothing and gives the same bits: its pages are mapped
 * and shared between processes. The file is a model by itself, and also the model.safetensors of
 * a folder with the original's config.json. One matrix is worked on at a time, so that memory stays
 * small. `path` is as for limn_output_open. `options` and `pool` may be NULL. Fails as opening and
 * writing do; ARGUMENT for a model that is packed already; CANCELLED.
 */
LIMN_API limn_status limn_model_pack(const char *folder, const char *path,
                                     const limn_pack_options *options, limn_pool *pool,
                                     limn_error *err);

/* ---- the steps and their names ------------------------------------------------------------------
 */

/*
 * One named step of the forward pass, as declared once in the table that the engine runs by. Names
 * are TransformerLens's hook points; "{i}" stands for the layer.
 */
typedef struct limn_hook_point {
  const char *name;      /* "blocks.{i}.attn.hook_pattern" */
  const char *shape;     /* "n_head, query, key" */
  const char *formula;   /* "softmax(hook_attn_scores) over key" */
  const char *made_from; /* the points it is computed from: "hook_attn_scores" */
  const char *meaning;   /* one sentence */
  const char *aliases;   /* other names, separated by spaces; "" for none */
  bool is_per_layer;
  bool is_on_request; /* matched by a pattern only where its last part is spelled out */
} limn_hook_point;

/* A step in a layer; layer is -1 where the point is not per layer. */
typedef struct limn_hook {
  const limn_hook_point *point;
  int layer;
} limn_hook;

#define LIMN_HOOK_NAME_SIZE 64

/* The points of this model, in the order in which the forward pass reaches them. */
LIMN_API size_t limn_hook_point_count(const limn_model *model);
LIMN_API const limn_hook_point *limn_hook_point_at(const limn_model *model, size_t i);

/* "blocks.3.attn.hook_pattern" into `out`. Returns `out`. */
LIMN_API char *limn_hook_name(limn_hook hook, char out[LIMN_HOOK_NAME_SIZE]);

/*
 * The hook of this name: exact ("blocks.3.attn.hook_pattern"), an alias ("blocks.3.hook_in"), or
 * TransformerLens's shorthand ("pattern3", "k6", "scale4ln1", "pre5"). NOT_FOUND suggests the
 * nearest name; RANGE for a layer that the model does not have.
 */
LIMN_API limn_status limn_hook_find(const limn_model *model, const char *name, limn_hook *out,
                                    limn_error *err);

/*
 * All hooks that match a comma-separated list of names and globs, in the order of the forward pass,
 * each once. In a glob `*` matches any characters, dots too, and `?` one. A glob matches a point
 * on request only where the last part of its name is spelled out ("blocks.*.attn.hook_result").
 * *hooks comes from limn_alloc and is the caller's. NOT_FOUND names the item that matches nothing.
 */
LIMN_API limn_status limn_hook_match(const limn_model *model, const char *patterns,
                                     limn_hook **hooks, size_t *n, limn_error *err);

/* The shape of a hook's value for `n_query` positions that see `n_key` positions. Returns rank. */
LIMN_API int limn_hook_shape(const limn_model *model, limn_hook hook, int64_t n_query,
                             int64_t n_key, int64_t shape[LIMN_MAX_RANK]);

#ifdef __cplusplus
}
#endif
#endif
