/*
 * limn/tensor.h - shapes, strided views of float32 numbers, and numbers as files store them.
 *
 * Two kinds of things hold numbers:
 *   limn_tensor   a view of float32 values that the arithmetic works on; it owns nothing
 *   limn_stored   bytes of any number format at any address, as a file holds them, read only
 */
#ifndef LIMN_TENSOR_H
#define LIMN_TENSOR_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIMN_MAX_RANK 8

/* ---- number formats -------------------------------------------------------------------------- */

typedef enum limn_dtype {
  LIMN_F32 = 0,
  LIMN_F64,
  LIMN_F16,  /* IEEE 754 binary16 */
  LIMN_BF16, /* the upper half of a float32 */
  LIMN_I8,
  LIMN_I16,
  LIMN_I32,
  LIMN_I64,
  LIMN_U8,
  LIMN_U16,
  LIMN_U32,
  LIMN_U64,
  LIMN_BOOL,
  LIMN_DTYPE_COUNT
} limn_dtype;

/* Bytes of one element. */
LIMN_API size_t limn_dtype_size(limn_dtype dtype);
/* The name that safetensors uses: "F32", "BF16" ... Static storage. */
LIMN_API const char *limn_dtype_name(limn_dtype dtype);

LIMN_API float limn_f16_to_f32(uint16_t bits);
LIMN_API uint16_t limn_f32_to_f16(float x); /* round to nearest, ties to even */
LIMN_API float limn_bf16_to_f32(uint16_t bits);
LIMN_API uint16_t limn_f32_to_bf16(float x); /* round to nearest, ties to even; NaN stays NaN */

/* ---- views of float32 ------------------------------------------------------------------------ */

/*
 * A strided view. `stride[i]` is the distance in elements between neighbours along axis i. A rank
 * of 0 is a scalar. Axes of size 0 are allowed. `data` may be NULL only when there are no elements.
 */
typedef struct limn_tensor {
  float *data;
  int rank;
  int64_t shape[LIMN_MAX_RANK];
  int64_t stride[LIMN_MAX_RANK];
} limn_tensor;

/*
 * A row-major view of `data`: limn_tensor_view(p, 2, (int64_t[]){n, d}). Precondition: 0 <= rank
 * <= LIMN_MAX_RANK, no negative size, and `data` holds their product.
 */
LIMN_API limn_tensor limn_tensor_view(float *data, int rank, const int64_t *shape);
/* The number of elements: 1 for a scalar. */
LIMN_API int64_t limn_tensor_count(const limn_tensor *t);
/* Whether the elements lie in row-major order without gaps. */
LIMN_API bool limn_tensor_is_contiguous(const limn_tensor *t);
/* The view with axis `axis` fixed at `index`: one rank less. Preconditions: both in range. */
LIMN_API limn_tensor limn_tensor_select(const limn_tensor *t, int axis, int64_t index);
/* The view with [start, start + size) of axis `axis`. Precondition: in range. */
LIMN_API limn_tensor limn_tensor_narrow(const limn_tensor *t, int axis, int64_t start,
                                        int64_t size);
/* The view with two axes exchanged. */
LIMN_API limn_tensor limn_tensor_transpose(const limn_tensor *t, int axis_a, int axis_b);
/* The element at `index` (one number per axis). Precondition: in range. */
LIMN_API float *limn_tensor_at(const limn_tensor *t, const int64_t *index);
/* Copies the elements of `from` in row-major order to `to`, which has room for all of them. */
LIMN_API void limn_tensor_gather(const limn_tensor *from, float *to);
/* The reverse: writes row-major `from` into the elements of `to`. */
LIMN_API void limn_tensor_scatter(const float *from, const limn_tensor *to);
/*
 * "[2,3,4]" into `out`, cut to fit `size`, always with a NUL. Returns `out`, so that it can stand
 * in a printf argument list.
 */
LIMN_API char *limn_shape_text(char *out, size_t size, int rank, const int64_t *shape);

/* ---- numbers as stored ------------------------------------------------------------------------
 */

/* Row-major elements of any format at any address, borrowed. */
typedef struct limn_stored {
  const void *data;
  limn_dtype dtype;
  int rank;
  int64_t shape[LIMN_MAX_RANK];
} limn_stored;

/* The number of elements: 1 for a scalar. */
LIMN_API int64_t limn_stored_count(const limn_stored *s);
/* A contiguous float32 tensor as stored numbers. Precondition: `t` is contiguous. */
LIMN_API limn_stored limn_stored_of(const limn_tensor *t);
/*
 * Converts elements [start, start + count) to float32. 16-bit floats convert exactly, wider numbers
 * round to nearest. Works at any address. Precondition: in range.
 */
LIMN_API void limn_stored_to_f32(const limn_stored *s, int64_t start, int64_t count, float *out);

/* ---- agreement ----------------------------------------------------------------------------------
 */

/* How far two arrays are from each other; see limn_compare. */
typedef struct limn_agreement {
  double max_abs;       /* the largest |a - b| over entries finite in both */
  double relative;      /* max_abs / the largest |b| over finite entries; 0 when both are 0 */
  int64_t worst;        /* where max_abs is, -1 when nothing was compared */
  int64_t n_mismatched; /* entries where one is finite and the other not, or infinities differ */
} limn_agreement;

/* Compares n numbers against a reference b: limn's measure of agreement in all of its tests. */
LIMN_API limn_agreement limn_compare(const float *a, const float *b, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
