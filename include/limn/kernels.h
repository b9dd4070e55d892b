/*
 * limn/kernels.h - what computes here, and what the processor can do at best, to hold what a model
 * does against.
 */
#ifndef LIMN_KERNELS_H
#define LIMN_KERNELS_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The instructions that models compute with, "avx512": the best that the processor has, or those
 * that LIMN_KERNELS names. *name is in static storage, NULL on failure. ARGUMENT or UNSUPPORTED for
 * a LIMN_KERNELS that cannot be had.
 */
LIMN_API limn_status limn_kernels_in_use(const char **name, limn_error *err);

/* The best of several short measurements. */
typedef struct limn_ceilings {
  const char *kernels;  /* the instructions that were measured, as LIMN_KERNELS chose them */
  double multiply_adds; /* in float32, a second, all threads together */
  double bytes_read;    /* a second, out of `size` bytes that are read again and again */
  /*
   * The same by processor time: of one second that one processor worked, times the threads. Where
   * others use the processors too this is the steadier measure, of what was measured so as well;
   * other threads of the program that work meanwhile count as if they were the team's.
   */
  double multiply_adds_by_processor, bytes_read_by_processor;
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
