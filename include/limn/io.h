/*
 * limn/io.h - writing without losing anything: files that appear whole or not at all, and JSON.
 */
#ifndef LIMN_IO_H
#define LIMN_IO_H

#include <limn/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- output files
 * -------------------------------------------------------------------------------- */

/*
 * A file being written. The bytes go to a temporary file beside `path` and take its name only at
 * limn_output_commit: whoever looks sees the old file or the whole new one. "-" is standard output,
 * and a device or a pipe is written directly.
 */
typedef struct limn_output limn_output;

LIMN_API limn_status limn_output_open(const char *path, limn_output **out, limn_error *err);
/* Buffered. Errors name the path. */
LIMN_API limn_status limn_output_write(limn_output *o, const void *bytes, size_t n,
                                       limn_error *err);
/* Flushes, renames, frees `o` whatever the outcome; on failure `path` is as it was before. */
LIMN_API limn_status limn_output_commit(limn_output *o, limn_error *err);
/* Throws away what was written and frees `o`. NULL is ok. */
LIMN_API void limn_output_discard(limn_output *o);
/*
 * Removes every temporary file of outputs not yet committed. Safe in a signal handler: this is
 * what a program's SIGINT handler calls before it ends.
 */
LIMN_API void limn_output_discard_all_on_signal(void);

/* Writes one whole file as limn_output does. */
LIMN_API limn_status limn_file_write(const char *path, const void *bytes, size_t n,
                                     limn_error *err);
/*
 * Reads a whole file ("-" is standard input) into memory from limn_alloc, a NUL behind the last
 * byte. `limit` is the most bytes to take, 0 for any; more is LIMN_ERROR_RANGE.
 */
LIMN_API limn_status limn_file_read(const char *path, size_t limit, char **bytes, size_t *n,
                                    limn_error *err);

/* ---- JSON
 * ---------------------------------------------------------------------------------------- */

/* Where a writer's bytes go; a status other than LIMN_OK stops the writer. */
typedef limn_status (*limn_write_fn)(void *user, const void *bytes, size_t n, limn_error *err);

/*
 * A streaming JSON writer in the caller's storage: it puts commas, quotes and indentation, and
 * never allocates. After a failure of `write` every call does nothing; limn_json_end tells.
 * Numbers are the shortest that read back the same; non-finite ones are the strings "inf", "-inf"
 * and "nan". Strings are UTF-8; each byte that is not is written as U+FFFD.
 */
#define LIMN_JSON_MAX_DEPTH 32
typedef struct limn_json {
  limn_write_fn write;
  void *user;
  limn_error *err;
  limn_status status;
  int depth;
  bool indent;
  bool after_key;
  bool has_items[LIMN_JSON_MAX_DEPTH];
  bool is_inline[LIMN_JSON_MAX_DEPTH];
  size_t n_buffered;
  char buffer[4096];
} limn_json;

LIMN_API void limn_json_init(limn_json *j, limn_write_fn write, void *user, bool indent,
                             limn_error *err);
LIMN_API void limn_json_begin_object(limn_json *j);
LIMN_API void limn_json_end_object(limn_json *j);
LIMN_API void limn_json_begin_array(limn_json *j);
/* An array or object whose items stay on one line when the writer indents. */
LIMN_API void limn_json_begin_inline_array(limn_json *j);
LIMN_API void limn_json_begin_inline_object(limn_json *j);
LIMN_API void limn_json_end_array(limn_json *j);
LIMN_API void limn_json_key(limn_json *j, const char *key);
LIMN_API void limn_json_string(limn_json *j, const char *text, size_t n);
LIMN_API void limn_json_cstring(limn_json *j, const char *text); /* NULL is null */
LIMN_API void limn_json_float(limn_json *j, float x);
LIMN_API void limn_json_double(limn_json *j, double x);
LIMN_API void limn_json_int(limn_json *j, int64_t x);
LIMN_API void limn_json_bool(limn_json *j, bool x);
LIMN_API void limn_json_null(limn_json *j);
/* Flushes, with a line feed at the end. The first failure of all calls. */
LIMN_API limn_status limn_json_end(limn_json *j);

/* A limn_write_fn whose user is a limn_output. */
LIMN_API limn_status limn_write_to_output(void *user, const void *bytes, size_t n, limn_error *err);

#ifdef __cplusplus
}
#endif
#endif
