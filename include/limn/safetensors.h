/*
 * limn/safetensors.h - named tensors in a file: the format in which models are published and in
 * which limn keeps what it saw.
 *
 * A file is 8 bytes (the length of the header, little endian), a JSON header that gives each
 * tensor's number format, shape and place, and the numbers. Reading trusts nothing: every length,
 * shape and place is checked against the file before a view is handed out. docs/formats.md lists
 * what is refused.
 */
#ifndef LIMN_SAFETENSORS_H
#define LIMN_SAFETENSORS_H

#include <limn/base.h>
#include <limn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reading --------------------------------------------------------------------------------- */

/*
 * One or more mapped files with their tensors. Immutable: threads may share it. The files must not
 * shrink while it is open (the operating system ends a program that reads past a mapped file).
 */
typedef struct limn_safetensors limn_safetensors;

/*
 * Opens one file. NOT_FOUND, IO, MEMORY, or FORMAT with the place in the file as offset.
 */
LIMN_API limn_status limn_safetensors_open(const char *path, limn_safetensors **out,
                                           limn_error *err);

/*
 * Opens a model's folder: `model.safetensors`, or else the shards that
 * `model.safetensors.index.json` names. Each tensor of the index must lie in the shard it is said
 * to lie in, none in two, and every shard in the folder itself. Fails as above.
 */
LIMN_API limn_status limn_safetensors_open_model(const char *folder, limn_safetensors **out,
                                                 limn_error *err);

LIMN_API void limn_safetensors_close(limn_safetensors *file);

/* The path that was opened, and all bytes that are mapped. */
LIMN_API const char *limn_safetensors_path(const limn_safetensors *file);
LIMN_API size_t limn_safetensors_mapped_size(const limn_safetensors *file);

/* The number of tensors, and the names in the order of the data (shards by name). i < count. */
LIMN_API size_t limn_safetensors_count(const limn_safetensors *file);
LIMN_API const char *limn_safetensors_name_at(const limn_safetensors *file, size_t i);

/*
 * Tensor i as the file holds it: a view at any address, valid until the file is closed.
 * UNSUPPORTED when its number format is none of limn_dtype, or it has more than LIMN_MAX_RANK axes;
 * such a tensor does not keep the file from being opened. Precondition: i < count.
 */
LIMN_API limn_status limn_safetensors_view_at(const limn_safetensors *file, size_t i,
                                              limn_stored *out, limn_error *err);

/* The same by name. NOT_FOUND when there is none of that name. */
LIMN_API limn_status limn_safetensors_view(const limn_safetensors *file, const char *name,
                                           limn_stored *out, limn_error *err);
LIMN_API bool limn_safetensors_has(const limn_safetensors *file, const char *name);

/*
 * The header's `__metadata__`: pairs of strings, the shards' one after the other. NULL for a key
 * that is not there. Valid until the file is closed.
 */
LIMN_API size_t limn_safetensors_metadata_count(const limn_safetensors *file);
LIMN_API const char *limn_safetensors_metadata_key_at(const limn_safetensors *file, size_t i);
LIMN_API const char *limn_safetensors_metadata_value_at(const limn_safetensors *file, size_t i);
LIMN_API const char *limn_safetensors_metadata(const limn_safetensors *file, const char *key);

/* ---- writing --------------------------------------------------------------------------------- */

/*
 * A file being written. Tensors are added as they come; nobody needs to know beforehand how many.
 * Their bytes wait in memory, or beyond a limit in an unnamed temporary file, since the header that
 * precedes them is complete only at the end. As with limn_output, `path` holds what it held before
 * or the whole new file.
 */
typedef struct limn_safetensors_writer limn_safetensors_writer;

/*
 * `path` as for limn_output_open ("-" is standard output). At most `memory_limit` bytes of numbers
 * are kept in memory, 0 for 64 MiB. IO and NOT_FOUND when the place cannot be written, MEMORY.
 */
LIMN_API limn_status limn_safetensors_writer_open(const char *path, size_t memory_limit,
                                                  limn_safetensors_writer **out, limn_error *err);

/* Adds a pair to the metadata. Both are UTF-8. ARGUMENT: not UTF-8, or the key is there already. */
LIMN_API limn_status limn_safetensors_writer_metadata(limn_safetensors_writer *w, const char *key,
                                                      const char *value, limn_error *err);

/*
 * Adds a tensor, copying its numbers as they are. ARGUMENT: the name is there already, is not
 * UTF-8, or is "__metadata__". IO, MEMORY. After IO or MEMORY the writer is good for discarding
 * only: every later call fails too.
 */
LIMN_API limn_status limn_safetensors_writer_add(limn_safetensors_writer *w, const char *name,
                                                 const limn_stored *tensor, limn_error *err);
/* The same for a view of float32 with any strides; they are written in row-major order. */
LIMN_API limn_status limn_safetensors_writer_add_f32(limn_safetensors_writer *w, const char *name,
                                                     const limn_tensor *tensor, limn_error *err);

/*
 * The same piece by piece: begin declares the tensor, write brings its bytes in row-major order,
 * in pieces of any size. The next begin, add or commit fails with SHAPE when bytes are missing, and
 * so does a write of more than the shape holds.
 */
LIMN_API limn_status limn_safetensors_writer_begin(limn_safetensors_writer *w, const char *name,
                                                   limn_dtype dtype, int rank, const int64_t *shape,
                                                   limn_error *err);
LIMN_API limn_status limn_safetensors_writer_write(limn_safetensors_writer *w, const void *bytes,
                                                   size_t n, limn_error *err);

/*
 * For a file whose tensors are all known beforehand, so that nothing has to wait: each is declared,
 * in the order of the file; start writes the header, padded so that the numbers begin at a multiple
 * of `alignment` bytes in the file; then write brings the bytes of all tensors behind one another.
 * Errors as above, and RANGE where the file's size is beyond 63 bits. Not to be mixed with begin
 * and add, nor is anything declared behind start.
 */
LIMN_API limn_status limn_safetensors_writer_declare(limn_safetensors_writer *w, const char *name,
                                                     limn_dtype dtype, int rank,
                                                     const int64_t *shape, limn_error *err);
LIMN_API limn_status limn_safetensors_writer_start(limn_safetensors_writer *w, size_t alignment,
                                                   limn_error *err);

/*
 * Writes header and numbers, puts the file in place, and frees `w` whatever the outcome. Tensors
 * with wider numbers come first, so that each lies at a multiple of its number's size; those of one
 * width keep the order in which they were added.
 */
LIMN_API limn_status limn_safetensors_writer_commit(limn_safetensors_writer *w, limn_error *err);
/* Throws away what was written and frees `w`. NULL is ok. */
LIMN_API void limn_safetensors_writer_discard(limn_safetensors_writer *w);

#ifdef __cplusplus
}
#endif
#endif
