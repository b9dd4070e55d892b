/*
 * limn/analysis.h - what people ask of a pass: what comes next, who looks where, when did the
 * model know, which part said it, and what kind of head is this.
 *
 * Each of these is an observer on a session and nothing else: make it, evaluate, read it. It looks
 * without changing anything, sees what edits that were attached before it left behind, and must be
 * freed before its session. Results hold for the positions that the session has seen since; a later
 * pass over the same positions replaces them. docs/explain.md has the mathematics with its sources.
 */
#ifndef LIMN_ANALYSIS_H
#define LIMN_ANALYSIS_H

#include <limn/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the distribution of the next token ---------------------------------------------------------
 */

/*
 * The softmax of logits (n): probabilities (n), from sums in float64. False, and NaN everywhere,
 * where the logits have no softmax: a NaN, +inf, or no finite one. Precondition: n >= 1.
 */
LIMN_API bool limn_probabilities(const float *logits, size_t n, double *probabilities);
/* The entropy of the softmax of logits (n) in nats; NaN where there is none. e to it is the number
   of tokens that the model hesitates between. */
LIMN_API double limn_entropy(const float *logits, size_t n);
/* How many tokens stand before `id` in the order of limn_top_ids: 0 for the likeliest.
   Precondition: 0 <= id < n. */
LIMN_API int64_t limn_rank(const float *logits, size_t n, int32_t id);

/* ---- attention ----------------------------------------------------------------------------------
 */

/* hook_pattern of every layer and head, joined over evaluate calls. */
typedef struct limn_attention limn_attention;

/*
 * Watches a session for positions 0 to capacity - 1; it takes n_layer * n_head * capacity^2
 * floats. Evaluating beyond them fails with RANGE. Fails: MEMORY. Precondition: capacity >= 1.
 */
LIMN_API limn_status limn_attention_new(limn_session *s, int capacity, limn_attention **out,
                                        limn_error *err);
LIMN_API void limn_attention_free(limn_attention *a);
/* One more than the newest position seen. */
LIMN_API int limn_attention_length(const limn_attention *a);
/*
 * A head's weights (query, key), both limn_attention_length; strided, 0 where a key lies after its
 * query. Valid until freed. Preconditions: layer and head in range.
 */
LIMN_API limn_tensor limn_attention_pattern(const limn_attention *a, int layer, int head);

/* ---- the logit lens -----------------------------------------------------------------------------
 */

/*
 * The residual stream between the layers, read as if it were the last one (nostalgebraist 2020).
 * Depth 0 is blocks.0.hook_resid_pre, the embeddings; depth i is blocks.{i-1}.hook_resid_post;
 * depth n_layer is what the model itself reads.
 */
typedef struct limn_lens limn_lens;

/* Watches positions 0 to capacity - 1, as limn_attention_new; (n_layer + 1) * capacity * d_model
   floats. */
LIMN_API limn_status limn_lens_new(limn_session *s, int capacity, limn_lens **out, limn_error *err);
LIMN_API void limn_lens_free(limn_lens *l);
LIMN_API int limn_lens_length(const limn_lens *l);
/* The residual stream (d_model) at a depth and position. Preconditions: both in range. */
LIMN_API const float *limn_lens_residual(const limn_lens *l, int depth, int position);
/*
 * Final norm and unembedding, recomputed for one position at every depth: logits
 * (n_layer + 1, vocab_size). Fails: MEMORY. Precondition: position in range.
 */
LIMN_API limn_status limn_lens_logits(const limn_lens *l, limn_pool *pool, int position,
                                      float *logits, limn_error *err);

/* ---- direct logit attribution -------------------------------------------------------------------
 */

/*
 * The residual stream at one position is a sum: embeddings, each head's result, each layer's
 * attention bias, each MLP's output. With the final norm's scale held fixed the logit of a token is
 * linear in it, and so a sum of one number for each component (Elhage et al. 2021).
 */
typedef struct limn_attribution limn_attribution;

typedef enum limn_component_kind {
  LIMN_COMPONENT_EMBED,     /* hook_embed: the token itself */
  LIMN_COMPONENT_POSITION,  /* hook_pos_embed */
  LIMN_COMPONENT_HEAD,      /* a head's attn.hook_result */
  LIMN_COMPONENT_ATTN_BIAS, /* hook_attn_out less the results of its heads */
  LIMN_COMPONENT_MLP,       /* hook_mlp_out */
  LIMN_COMPONENT_NORM_BIAS  /* the final norm's bias, the same whatever the text */
} limn_component_kind;

typedef struct limn_component {
  limn_component_kind kind;
  int layer; /* -1 where there is none */
  int head;  /* -1 where there is none */
} limn_component;

/*
 * Watches one position of a session, or with -1 the newest of each evaluate call. Fails: MEMORY.
 * Precondition: position >= -1.
 */
LIMN_API limn_status limn_attribution_new(limn_session *s, int position, limn_attribution **out,
                                          limn_error *err);
LIMN_API void limn_attribution_free(limn_attribution *a);

/* How many components: 3 + n_layer * (n_head + 2). In the order of the forward pass. */
LIMN_API size_t limn_attribution_count(const limn_attribution *a);
/* Precondition: i < count. */
LIMN_API limn_component limn_attribution_component(const limn_attribution *a, size_t i);
/* "embedding", "head 3.1", "MLP 4", "attention bias 2" ... Returns `out`. */
LIMN_API char *limn_component_name(limn_component c, char out[32]);

/*
 * What each component adds to the logit of token `id`, or, where `against` is not -1, to the logit
 * of `id` less that of `against`: contributions (count). *sum (may be NULL) is their sum, to be
 * held against the logit that the model computed: without edits of the residual stream they differ
 * by float32 rounding alone. RANGE for an id outside the vocabulary, or when the position was not
 * yet evaluated; MEMORY.
 */
LIMN_API limn_status limn_attribution_of(const limn_attribution *a, int32_t id, int32_t against,
                                         double *contributions, double *sum, limn_error *err);

/* ---- what kind of head --------------------------------------------------------------------------
 */

/*
 * Random tokens, then the same ones again, tell heads apart (Olsson et al. 2022; Elhage et al.
 * 2021). With A the pattern (2L, 2L) over a sequence of L tokens said twice:
 *   previous    mean over queries q in [1, 2L) of A[q, q - 1]
 *   duplicate   mean over q in [L, 2L) of A[q, q - L], the same token's first occurrence
 *   induction   mean over q in [L, 2L) of A[q, q - L + 1], the token after that occurrence
 * and then the mean over the sequences.
 */
typedef struct limn_head_options {
  int n_sequences;    /* 0 for 32 */
  int length;         /* tokens that are repeated, L; 0 for 60 */
  uint64_t seed;      /* the same seed draws the same tokens */
  const int32_t *ids; /* (n_ids) what to draw from, all alike; NULL for the whole vocabulary */
  size_t n_ids;
  limn_pool *pool; /* or NULL */
  /* Called after each sequence when not NULL; true ends it with LIMN_ERROR_CANCELLED. */
  bool (*progress)(void *user, int done, int total);
  void *user;
} limn_head_options;

typedef struct limn_head_scores {
  int n_layer, n_head, n_sequences, length;
  double *previous;   /* (n_layer, n_head) */
  double *duplicate;  /* (n_layer, n_head) */
  double *induction;  /* (n_layer, n_head) */
  double loss_first;  /* mean -log p of tokens 1 to L - 1, nats; NaN for L = 1 */
  double loss_second; /* of tokens L to 2L - 1, which stood there before */
} limn_head_scores;

/*
 * Scores every head on a session of the caller's, so that edits take part. The session must have
 * all_logits; it is reset before each sequence and left holding the last one. `options` may be
 * NULL. RANGE: fewer than 1 sequence or token, or 2 * length beyond the window; CANCELLED; MEMORY;
 * what evaluating gives.
 */
LIMN_API limn_status limn_head_scores_compute(limn_session *s, const limn_head_options *options,
                                              limn_head_scores **out, limn_error *err);
LIMN_API void limn_head_scores_free(limn_head_scores *h);

#ifdef __cplusplus
}
#endif
#endif
