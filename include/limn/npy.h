/*
 * limn/npy.h - one array in a file, in NumPy's format: `numpy.load` reads what limn writes, and
 * limn reads what `numpy.save` writes.
 */
#ifndef LIMN_NPY_H
#define LIMN_NPY_H

#include <limn/base.h>
#include <limn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A mapped .npy file. */
typedef struct limn_npy limn_npy;

/*
 * Opens a file of format version 1, 2 or 3 that holds booleans, integers or floats of 16, 32 or 64
 * bits, little endian, in C order (or in Fortran order with at most one axis longer than 1, which
 * is the same). NOT_FOUND, IO, MEMORY; FORMAT with the offset of what is wrong; UNSUPPORTED: other
 * numbers, big endian, Fortran order, more than LIMN_MAX_RANK axes.
 */
LIMN_API limn_status limn_npy_open(const char *path, limn_npy **out, limn_error *err);
LIMN_API void limn_npy_close(limn_npy *file);
/* The array, valid until the file is closed. */
LIMN_API limn_stored limn_npy_view(const limn_npy *file);

/*
 * Writes a view of float32 with any strides as "<f4" in C order, format version 1.0. The file
 * appears whole or not at all (see limn_output). IO, NOT_FOUND, MEMORY.
 */
LIMN_API limn_status limn_npy_write(const char *path, const limn_tensor *tensor, limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
