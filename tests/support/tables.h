/*
 * tables.h - for tests: every table of kernels that runs on this processor, in turn.
 */
#ifndef LIMN_TESTS_TABLES_H
#define LIMN_TESTS_TABLES_H

#include "kernels/kernels.h"

/* Number i of them, or NULL. */
static inline const limn_kernels *table_at(size_t i) {
  size_t seen = 0;
  for (size_t k = 0; limn_kernels_all[k]; k++)
    if (limn_kernels_can_run(limn_kernels_all[k], limn_cpu_features()) && seen++ == i)
      return limn_kernels_all[k];
  return NULL;
}

#define FOR_EACH_TABLE(t) for (size_t i_##t = 0; (t = table_at(i_##t)); i_##t++)

#endif
