/*
 * hooks.h - inside the library: the points of the forward pass as numbers, and the tap through
 * which a model shows a value as it passes.
 */
#ifndef LIMN_SRC_MODELS_HOOKS_H
#define LIMN_SRC_MODELS_HOOKS_H

#include <limn/model.h>

/* In the order of the forward pass. hooks.c has one row of the table for each. */
typedef enum limn_point {
  LIMN_POINT_TOKENS,
  LIMN_POINT_EMBED,
  LIMN_POINT_POS_EMBED,
  LIMN_POINT_RESID_PRE, /* the first point of a layer */
  LIMN_POINT_ATTN_IN,
  LIMN_POINT_Q_INPUT,
  LIMN_POINT_K_INPUT,
  LIMN_POINT_V_INPUT,
  LIMN_POINT_LN1_SCALE,
  LIMN_POINT_LN1_NORMALIZED,
  LIMN_POINT_Q,
  LIMN_POINT_K,
  LIMN_POINT_V,
  LIMN_POINT_SCORES_RAW,
  LIMN_POINT_SCORES,
  LIMN_POINT_PATTERN,
  LIMN_POINT_Z,
  LIMN_POINT_RESULT,
  LIMN_POINT_ATTN_OUT,
  LIMN_POINT_RESID_MID,
  LIMN_POINT_MLP_IN,
  LIMN_POINT_LN2_SCALE,
  LIMN_POINT_LN2_NORMALIZED,
  LIMN_POINT_MLP_PRE,
  LIMN_POINT_MLP_POST,
  LIMN_POINT_MLP_OUT,
  LIMN_POINT_RESID_POST, /* the last point of a layer */
  LIMN_POINT_FINAL_SCALE,
  LIMN_POINT_FINAL_NORMALIZED,
  LIMN_POINT_COUNT
} limn_point;

/* What is wanted of a point, as bits. */
enum { LIMN_WANT_READ = 1, LIMN_WANT_EDIT = 2 };

/*
 * Where a model shows its values. `wanted` has a row of LIMN_POINT_COUNT bytes for each layer and
 * one more, the last, for the points outside of layers.
 */
typedef struct limn_tap {
  const uint8_t *wanted; /* (n_layer + 1, LIMN_POINT_COUNT) */
  limn_status (*visit)(void *user, limn_hook hook, limn_tensor value, limn_error *err);
  void *user;
} limn_tap;

/* The table of GPT-2's points, (LIMN_POINT_COUNT). */
extern const limn_hook_point limn_gpt2_points[LIMN_POINT_COUNT];

static inline limn_point limn_hook_number(limn_hook hook) {
  return (limn_point)(hook.point - limn_gpt2_points);
}

#endif
