/*
 * memory.h - inside the library: checked sizes, aligned memory and the arena.
 */
#ifndef LIMN_SRC_BASE_MEMORY_H
#define LIMN_SRC_BASE_MEMORY_H

#include <limn/base.h>

/* ---- checked arithmetic: false (and *out untouched) when the result does not fit ---------------
 */

static inline bool limn_size_mul(size_t a, size_t b, size_t *out) {
  size_t product;
  if (__builtin_mul_overflow(a, b, &product)) return false;
  *out = product;
  return true;
}

static inline bool limn_size_add(size_t a, size_t b, size_t *out) {
  size_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return false;
  *out = sum;
  return true;
}

/*
 * The product of `rank` sizes; false when one is negative or the product exceeds `limit`. A size of
 * zero does not excuse the others: [0, 2^40] is refused where 2^40 is.
 */
bool limn_shape_count(int rank, const int64_t *shape, int64_t limit, int64_t *count);

/* ---- aligned memory
 * --------------------------------------------------------------------------------- */

/* count * size bytes at a multiple of 64, uninitialised; NULL on overflow or without memory. */
void *limn_alloc_aligned(size_t count, size_t size);
void limn_free_aligned(void *memory);

/*
 * Asks the system to back a large block that is about to be filled with huge pages: fewer faults
 * and fewer misses when it is read. Changes nothing where the system has none.
 */
void limn_want_huge_pages(void *memory, size_t size);

/* A copy of n bytes with a NUL behind them, from limn_alloc. NULL without memory. */
char *limn_copy_string(const char *text, size_t n);

/* Fills *err with "out of memory" and what was wanted, returns LIMN_ERROR_MEMORY. */
limn_status limn_out_of_memory(limn_error *err, const char *what);

/* ---- arena
 * --------------------------------------------------------------------------------------------- */

/*
 * One block of memory given out piece by piece, each at a multiple of 64, and taken back all at
 * once or down to a mark. The way to size it: limn_arena_measure makes an arena without memory
 * that only adds up; run the same takes on it, then limn_arena_init with its `used`.
 */
typedef struct limn_arena {
  unsigned char *base; /* NULL while measuring */
  size_t size;
  size_t used;
  bool overflowed; /* a take did not fit, or the sum of sizes did not fit in size_t */
} limn_arena;

limn_arena limn_arena_measure(void);
limn_status limn_arena_init(limn_arena *a, size_t size, limn_error *err);
void limn_arena_deinit(limn_arena *a);
/* count * size bytes, or NULL (and `overflowed`) when they do not fit; NULL too while measuring. */
void *limn_arena_take(limn_arena *a, size_t count, size_t size);
size_t limn_arena_mark(const limn_arena *a);
void limn_arena_release(limn_arena *a, size_t mark);

/* ---- growing bytes
 * ------------------------------------------------------------------------------------ */

/* A string that grows. `data` is NULL while empty, else has a NUL at [size]. */
typedef struct limn_bytes {
  char *data;
  size_t size;
  size_t capacity;
} limn_bytes;

/* False without memory, and then the bytes are as before. */
bool limn_bytes_append(limn_bytes *b, const void *from, size_t n);
bool limn_bytes_reserve(limn_bytes *b, size_t extra);
void limn_bytes_deinit(limn_bytes *b);

#endif
