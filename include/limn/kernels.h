/*
 * limn/kernels.h - what the processor can do at best, to hold what a model does against.
 */
#ifndef LIMN_KERNELS_H
#define LIMN_KERNELS_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The best of several short measurements. */
typedef struct limn_ceilings {
  const char *kernels;  /* the instructions that were measured, as LIMN_KERNELS chose them */
  double multiply_adds; /* in float32, a second, all threads together */
  double bytes_read;    /* a second, out of `size` bytes that are read again and again */
} limn_ceilings;

/*
 * Measures for about half a second, on the team `pool` (NULL: one thread). `size` is that of the
 * weights that a model reads for each token: what fits into a cache is read faster. Takes as much
 * memory. MEMORY; ARGUMENT or UNSUPPORTED for a LIMN_KERNELS that cannot be had.
 */
LIMN_API limn_status limn_measure_ceilings(limn_pool *pool, size_t size, limn_ceilings *out,
                                           limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
