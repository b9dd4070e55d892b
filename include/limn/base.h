/*
 * limn/base.h - what every other header stands on: status and error, the allocator hook, threads,
 * the version and the processor.
 *
 * Conventions of the whole library:
 *   - A function that can fail because of data, files or memory returns a limn_status and takes a
 *     `limn_error *` as its last parameter. It may be NULL. On failure nothing leaks, every output
 *     pointer is set to NULL, and the caller may go on.
 *   - A caller's bug that no data can cause (a NULL where the header forbids it) is an assert.
 *   - _open/_close own a resource, _new/_free own heap memory, _init/_deinit work in the caller's
 *     storage, _view and _at borrow. Every _close, _free and _deinit accepts NULL.
 *   - The library never prints, exits or aborts on input.
 */
#ifndef LIMN_BASE_H
#define LIMN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define LIMN_API          __attribute__((visibility("default")))
#define LIMN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define LIMN_API
#define LIMN_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define LIMN_VERSION_MAJOR 0
#define LIMN_VERSION_MINOR 1
#define LIMN_VERSION_PATCH 0

/* The version of the library that runs, "0.1.0". Static storage. */
LIMN_API const char *limn_version(void);

/* ---- status and error ------------------------------------------------------------------------ */

typedef enum limn_status {
  LIMN_OK = 0,
  LIMN_ERROR_MEMORY,      /* an allocation failed, or a size does not fit in memory */
  LIMN_ERROR_IO,          /* the operating system refused: open, read, write, map */
  LIMN_ERROR_NOT_FOUND,   /* a file, tensor, model, hook or token of that name does not exist */
  LIMN_ERROR_FORMAT,      /* bytes that are not what the format says */
  LIMN_ERROR_UNSUPPORTED, /* well-formed, but outside what limn computes */
  LIMN_ERROR_SHAPE,       /* a tensor's shape or number format is not the one wanted */
  LIMN_ERROR_RANGE,       /* an id, index or number outside its range */
  LIMN_ERROR_ARGUMENT,    /* text from a user that does not parse: an edit, a pattern, a list */
  LIMN_ERROR_CONTEXT,     /* more tokens than the context window holds */
  LIMN_ERROR_CANCELLED    /* a callback asked to stop */
} limn_status;

/* `offset` of an error that has no place in a file or text. */
#define LIMN_NO_OFFSET UINT64_MAX

#define LIMN_ERROR_TEXT_SIZE 512

/*
 * What went wrong, in the caller's storage. `text` names the thing, what was found and what was
 * wanted, in one line without a full stop: `tensor "wte.weight" has shape [64,32], expected
 * [64,192]`. It is valid UTF-8, control characters escaped, and is cut with "..." when too long.
 */
typedef struct limn_error {
  limn_status status;
  uint64_t offset; /* byte offset in the input, or LIMN_NO_OFFSET */
  char text[LIMN_ERROR_TEXT_SIZE];
} limn_error;

/* The status as a word: "ok", "out of memory", "not found" ... Static storage, never NULL. */
LIMN_API const char *limn_status_name(limn_status status);

/*
 * Fills *err (when not NULL) from a printf format, with the numbers of the C locale, and returns
 * `status`, so that a callback can end with `return limn_error_set(err, ...)`.
 */
LIMN_API limn_status limn_error_set(limn_error *err, limn_status status, uint64_t offset,
                                    const char *format, ...) LIMN_PRINTF(4, 5);

/* ---- memory ---------------------------------------------------------------------------------- */

/*
 * The functions that all of limn's heap memory comes from. `resize(user, NULL, n)` allocates,
 * memory is aligned as by malloc, and a failure is NULL. They may be called from any thread.
 */
typedef struct limn_allocator {
  void *user;
  void *(*resize)(void *user, void *memory, size_t size); /* size > 0 */
  void (*release)(void *user, void *memory);              /* memory != NULL */
} limn_allocator;

/*
 * Installs an allocator for the whole process, NULL for malloc's. Call it before anything else of
 * limn is used: memory must be released by the allocator that gave it.
 */
LIMN_API void limn_allocator_set(const limn_allocator *allocator);

/* Memory from the installed allocator, uninitialised; NULL when there is none left. size 0 is 1. */
LIMN_API void *limn_alloc(size_t size);
/* Room for `count` elements of `size` bytes, zeroed; NULL also when the product overflows. */
LIMN_API void *limn_alloc_zeroed(size_t count, size_t size);
/* `memory` (or NULL) grown or cut to count * size bytes; on NULL the old memory is still there. */
LIMN_API void *limn_resize(void *memory, size_t count, size_t size);
/* Releases what the three above gave, and the strings and arrays that limn hands over. NULL is ok.
 */
LIMN_API void limn_free(void *memory);

/* ---- threads and the processor --------------------------------------------------------------- */

/* A fixed team of worker threads. Workers that wait sleep. Shared by models and sessions. */
typedef struct limn_pool limn_pool;

/*
 * Makes a team of `n_threads` in all, the caller included (so 1 makes no thread); 0 means
 * limn_default_threads(). Fails with LIMN_ERROR_MEMORY, or LIMN_ERROR_RANGE above 1024.
 */
LIMN_API limn_status limn_pool_new(int n_threads, limn_pool **out, limn_error *err);
LIMN_API void limn_pool_free(limn_pool *pool);
/* How many threads work in it, 1 for NULL. */
LIMN_API int limn_pool_size(const limn_pool *pool);

/*
 * Calls `task(user, i)` for each i in [0, n), spread over the team, and returns when all are done.
 * One caller at a time; a task must not call limn_pool_run on the same pool. NULL runs it inline.
 */
LIMN_API void limn_pool_run(limn_pool *pool, size_t n, void (*task)(void *user, size_t i),
                            void *user);

/* The processors that affinity and the control group's quota leave to this process, at least 1. */
LIMN_API int limn_default_threads(void);

/* The processor's vector extensions that limn knows, "avx2 fma avx512f ..."; "" where none. Static.
 */
LIMN_API const char *limn_cpu_features(void);

/* ---- numbers as text, the same in every locale ------------------------------------------------
 */

#define LIMN_NUMBER_SIZE 32

/*
 * Writes the shortest decimal that reads back as the same float (or double), "inf", "-inf" or
 * "nan", and a NUL. Returns the length.
 */
LIMN_API size_t limn_format_float(char out[LIMN_NUMBER_SIZE], float x);
LIMN_API size_t limn_format_double(char out[LIMN_NUMBER_SIZE], double x);
/*
 * Reads a whole decimal number ("1", "-2.5e3", "inf", "nan") from the n bytes of text. False when
 * the bytes are anything else, or anything is left over.
 */
LIMN_API bool limn_parse_double(const char *text, size_t n, double *out);
LIMN_API bool limn_parse_int(const char *text, size_t n, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
