/*
 * reference.h - the tiny GPT-2 models under tests/data/gpt2-tiny with what PyTorch computed for
 * them.
 */
#ifndef LIMN_TESTS_REFERENCE_H
#define LIMN_TESTS_REFERENCE_H

#include "check.h"

typedef struct reference {
  char folder[512];
  limn_model *model;
  limn_safetensors *tensors;
  int32_t ids[64];
  size_t n_ids;
} reference;

/* Opens tests/data/gpt2-tiny/NAME, or fails the test. */
void reference_open(reference *r, const char *name, limn_pool *pool);
void reference_close(reference *r);

/* The same with "f32" as a group's set-up and tear-down: *state is the reference. */
int reference_set_up(void **state);
int reference_tear_down(void **state);

#endif
