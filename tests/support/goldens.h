/*
 * goldens.h - named tensors in JSON files under tests/data, {name: {shape, data}}, which another
 * implementation computed.
 */
#ifndef LIMN_TESTS_GOLDENS_H
#define LIMN_TESTS_GOLDENS_H

#include "check.h"

#include <jansson.h>

/* Opens tests/data/NAME or, where the name starts with '/' or '.', that file; or fails the test.
   json_decref closes it. */
json_t *goldens_open(const char *name);

/* A tensor of the file, in memory from malloc. */
typedef struct golden {
  int rank;
  int64_t shape[LIMN_MAX_RANK];
  int64_t n;
  float *data;
} golden;

/* An entry {shape, data} as a tensor, or fails the test; "inf", "-inf" and "nan" are strings. */
golden golden_from(const char *name, const json_t *entry);
/* The tensor named by a printf format; fails the test when there is none. free its data. */
golden golden_at(const json_t *file, const char *format, ...) LIMN_PRINTF(2, 3);
bool golden_has(const json_t *file, const char *format, ...) LIMN_PRINTF(2, 3);

#endif
