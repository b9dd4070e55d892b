/*
 * gguf.h - inside the library: the metadata of a GGUF file, views into the file.
 *
 * Keys and values only: what the tensors are and where they lie comes behind the metadata.
 */
#ifndef LIMN_SRC_FORMATS_GGUF_H
#define LIMN_SRC_FORMATS_GGUF_H

#include "base/file.h"
#include "base/reader.h"

/* The numbers are those of the file. */
typedef enum limn_gguf_type {
  LIMN_GGUF_U8 = 0,
  LIMN_GGUF_I8,
  LIMN_GGUF_U16,
  LIMN_GGUF_I16,
  LIMN_GGUF_U32,
  LIMN_GGUF_I32,
  LIMN_GGUF_F32,
  LIMN_GGUF_BOOL,
  LIMN_GGUF_STRING,
  LIMN_GGUF_ARRAY,
  LIMN_GGUF_U64,
  LIMN_GGUF_I64,
  LIMN_GGUF_F64,
  LIMN_GGUF_N_TYPES
} limn_gguf_type;

/*
 * A value where it lies: `count` items of `type` in `size` bytes (one, unless is_array). A string
 * is its length in 8 bytes and its bytes. All lengths were checked when the file was opened.
 */
typedef struct limn_gguf_value {
  limn_gguf_type type;
  bool is_array;
  uint64_t count;
  const unsigned char *data;
  size_t size;
} limn_gguf_value;

typedef struct limn_gguf_entry {
  const char *key; /* n_key bytes, no NUL behind them */
  size_t n_key;
  limn_gguf_value value;
} limn_gguf_entry;

typedef struct limn_gguf {
  const char *where; /* what messages open with: the path, the caller's */
  limn_gguf_entry *entries;
  size_t n_entries;
  uint64_t n_tensors;
  size_t tensors_at; /* where in the file the descriptions of the tensors begin */
} limn_gguf;

/*
 * Reads the metadata of n bytes, which must stay until limn_gguf_deinit. FORMAT with the offset,
 * UNSUPPORTED (version 1, big-endian numbers, arrays of arrays), RANGE (more than 65,536 keys),
 * MEMORY: as much as the keys need, which is a small multiple of what they take in the file.
 */
limn_status limn_gguf_init(limn_gguf *g, const char *where, const void *bytes, size_t n,
                           limn_error *err);
void limn_gguf_deinit(limn_gguf *g);

/* Whether the bytes open like a GGUF file. */
bool limn_gguf_is(const void *bytes, size_t n);

/* The value of a key, or NULL. */
const limn_gguf_value *limn_gguf_find(const limn_gguf *g, const char *key);

/*
 * Values by key: NOT_FOUND where the key is missing, FORMAT where the value is of another type.
 * Integers may be of any width; a string's bytes are a view.
 */
limn_status limn_gguf_need_string(const limn_gguf *g, const char *key, const char **out, size_t *n,
                                  limn_error *err);
limn_status limn_gguf_need_int(const limn_gguf *g, const char *key, int64_t least, int64_t most,
                               int64_t *out, limn_error *err);
limn_status limn_gguf_need_bool(const limn_gguf *g, const char *key, bool *out, limn_error *err);
/* An array of `type`, of `count` items unless count is UINT64_MAX. */
limn_status limn_gguf_need_array(const limn_gguf *g, const char *key, limn_gguf_type type,
                                 uint64_t count, const limn_gguf_value **out, limn_error *err);

/* For walking through an array: a reader over its items, and the next one of strings. */
limn_reader limn_gguf_reader(const limn_gguf_value *value);
const char *limn_gguf_next_string(limn_reader *r, size_t *n);

#endif
