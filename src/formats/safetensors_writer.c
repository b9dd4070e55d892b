/*
 * safetensors_writer.c - tensors that arrive one by one become one file.
 *
 * The header stands first in the file and is complete only at the end. So the numbers are spooled:
 * in memory, and beyond a limit in a temporary file without a name. At the end the header is
 * written and the numbers follow it, wide ones first: then each tensor lies at a multiple of the
 * size of its numbers, because what precedes it has only sizes that are multiples of that.
 *
 * Whoever knows all tensors beforehand declares them; then the header goes out first and the
 * numbers pass through.
 */
#include <limn/safetensors.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limn/io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MEMORY ((size_t)64 << 20)
#define MAX_HEADER     100000000
#define HEADER_ALIGN   8
#define LENGTH_SIZE    8
#define WIDEST         8 /* bytes of the widest number format */
#define METADATA_KEY   "__metadata__"

typedef struct tensor {
  char *name;
  limn_dtype dtype;
  int rank;
  int64_t shape[LIMN_MAX_RANK];
  uint64_t start, size; /* in the spool */
} tensor;

struct limn_safetensors_writer {
  char *path;
  limn_output *output; /* opened first, so that what cannot be written fails before the work */
  limn_error failure;  /* the first failure of the spool */
  tensor *tensors;
  size_t n_tensors, tensor_capacity;
  size_t *by_name; /* indices of tensors, sorted by name */
  char **metadata; /* key, value, key, value ... */
  size_t n_metadata;
  limn_bytes memory; /* the spool: all of it, or its end that is not yet in the file */
  size_t memory_limit;
  int fd;          /* the spool's file, -1 while there is none */
  uint64_t n_file; /* bytes in the file */
  uint64_t missing;
  bool is_streaming; /* the header is written; bytes go on to the output */
  uint64_t declared; /* bytes of all tensors, for streaming */
};

/* ---- the spool ---------------------------------------------------------------------------------
 */

static limn_status spool_error(const char *path, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET,
                        "cannot keep the numbers of \"%s\" in a temporary file: %s", path,
                        strerror(errno));
}

/* A file that vanishes when it is closed, or -1. */
static int open_unnamed(const char *folder) {
  int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  char *name = limn_path_join(folder, "limn.XXXXXX"); /* not every file system knows O_TMPFILE */
  if (!name) return -1;
  fd = mkostemp(name, O_CLOEXEC);
  if (fd >= 0) unlink(name);
  limn_free(name);
  return fd;
}

/* Beside the output, where there is room for its like; elsewhere when that is no file's place. */
static int open_spool(const char *path) {
  const char *temporary = getenv("TMPDIR");
  struct stat info;
  int fd = -1;
  if (strcmp(path, "-") != 0 && (stat(path, &info) != 0 || S_ISREG(info.st_mode))) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? limn_copy_string(path, (size_t)(slash - path) + 1) : NULL;
    if (folder || !slash) fd = open_unnamed(folder ? folder : ".");
    limn_free(folder);
  }
  if (fd < 0 && temporary) fd = open_unnamed(temporary);
  if (fd < 0) fd = open_unnamed("/var/tmp");
  return fd >= 0 ? fd : open_unnamed("/tmp");
}

/* Moves what waits in memory to the file. */
static limn_status spill(limn_safetensors_writer *w, limn_error *err) {
  if (w->fd < 0) w->fd = open_spool(w->path);
  if (w->fd < 0) return spool_error(w->path, err);
  for (size_t at = 0; at < w->memory.size;) {
    ssize_t put = write(w->fd, w->memory.data + at, w->memory.size - at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return spool_error(w->path, err);
    at += (size_t)put;
    w->n_file += (uint64_t)put;
  }
  w->memory.size = 0;
  return LIMN_OK;
}

static limn_status spool(limn_safetensors_writer *w, const char *bytes, size_t n, limn_error *err) {
  while (n > 0) {
    size_t room = w->memory_limit - w->memory.size;
    size_t piece = n < room ? n : room;
    if (!limn_bytes_append(&w->memory, bytes, piece))
      return limn_out_of_memory(err, "the numbers of a tensor");
    bytes += piece;
    n -= piece;
    if (w->memory.size < w->memory_limit) continue;
    limn_status status = spill(w, err);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

/* Copies n bytes of the spool's file, from `start`, to the output. */
static limn_status copy_from_file(limn_safetensors_writer *w, uint64_t start, uint64_t n,
                                  limn_error *err) {
  char buffer[1 << 15];
  while (n > 0) {
    size_t wanted = n < sizeof buffer ? (size_t)n : sizeof buffer;
    ssize_t got = pread(w->fd, buffer, wanted, (off_t)start);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = EIO;
    if (got <= 0) return spool_error(w->path, err);
    limn_status status = limn_output_write(w->output, buffer, (size_t)got, err);
    if (status != LIMN_OK) return status;
    start += (uint64_t)got;
    n -= (uint64_t)got;
  }
  return LIMN_OK;
}

static limn_status copy_tensor(limn_safetensors_writer *w, const tensor *t, limn_error *err) {
  uint64_t in_file = t->start < w->n_file ? w->n_file - t->start : 0;
  if (in_file > t->size) in_file = t->size;
  limn_status status = copy_from_file(w, t->start, in_file, err);
  if (status != LIMN_OK || in_file == t->size) return status;
  return limn_output_write(w->output, w->memory.data + (t->start + in_file - w->n_file),
                           (size_t)(t->size - in_file), err);
}

/* ---- opening and declaring ---------------------------------------------------------------------
 */

limn_status limn_safetensors_writer_open(const char *path, size_t memory_limit,
                                         limn_safetensors_writer **out, limn_error *err) {
  assert(path && out);
  *out = NULL;
  limn_safetensors_writer *w = limn_alloc_zeroed(1, sizeof *w);
  if (!w) return limn_out_of_memory(err, path);
  w->fd = -1;
  w->memory_limit = memory_limit ? memory_limit : DEFAULT_MEMORY;
  w->path = limn_copy_string(path, strlen(path));
  limn_status status =
      w->path ? limn_output_open(path, &w->output, err) : limn_out_of_memory(err, path);
  if (status != LIMN_OK) {
    limn_safetensors_writer_discard(w);
    return status;
  }
  *out = w;
  return LIMN_OK;
}

void limn_safetensors_writer_discard(limn_safetensors_writer *w) {
  if (!w) return;
  limn_output_discard(w->output);
  if (w->fd >= 0) close(w->fd);
  for (size_t i = 0; i < w->n_tensors; i++)
    limn_free(w->tensors[i].name);
  for (size_t i = 0; i < w->n_metadata; i++)
    limn_free(w->metadata[i]);
  limn_bytes_deinit(&w->memory);
  limn_free(w->metadata);
  limn_free(w->by_name);
  limn_free(w->tensors);
  limn_free(w->path);
  limn_free(w);
}

/* The first failure of memory or disk is kept: from then on the spool is not whole. */
static limn_status keep_failure(limn_safetensors_writer *w, limn_status status,
                                const limn_error *found, limn_error *err) {
  if (status == LIMN_OK) return status;
  w->failure = *found;
  if (err) *err = *found;
  return status;
}

static limn_status check_ready(const limn_safetensors_writer *w, limn_error *err) {
  if (w->failure.status != LIMN_OK) {
    if (err) *err = w->failure;
    return w->failure.status;
  }
  if (w->missing == 0) return LIMN_OK;
  if (w->is_streaming)
    return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                          "\"%s\" lacks %" PRIu64 " of the %" PRIu64 " bytes of its tensors",
                          w->path, w->missing, w->declared);
  return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                        "tensor \"%s\" of \"%s\" lacks %" PRIu64 " of its %" PRIu64 " bytes",
                        w->tensors[w->n_tensors - 1].name, w->path, w->missing,
                        w->tensors[w->n_tensors - 1].size);
}

static limn_status check_text(const char *what, const char *text, limn_error *err) {
  if (limn_utf8_is_valid(text, strlen(text))) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "%s \"%s\" is not UTF-8", what,
                        text);
}

limn_status limn_safetensors_writer_metadata(limn_safetensors_writer *w, const char *key,
                                             const char *value, limn_error *err) {
  limn_status status = check_text("metadata key", key, err);
  if (status == LIMN_OK) status = check_text("metadata", value, err);
  if (status != LIMN_OK) return status;
  for (size_t i = 0; i < w->n_metadata; i += 2) {
    if (strcmp(w->metadata[i], key) == 0)
      return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                            "metadata \"%s\" is there already", key);
  }
  char **metadata = limn_resize(w->metadata, w->n_metadata + 2, sizeof *metadata);
  if (!metadata) return limn_out_of_memory(err, "metadata");
  w->metadata = metadata;
  char *key_copy = limn_copy_string(key, strlen(key));
  char *value_copy = limn_copy_string(value, strlen(value));
  if (!key_copy || !value_copy) {
    limn_free(key_copy);
    limn_free(value_copy);
    return limn_out_of_memory(err, "metadata");
  }
  metadata[w->n_metadata++] = key_copy;
  metadata[w->n_metadata++] = value_copy;
  return LIMN_OK;
}

/* Where the name stands, or would stand, among the sorted ones. */
static size_t search(const limn_safetensors_writer *w, const char *name, bool *is_there) {
  size_t low = 0, high = w->n_tensors;
  *is_there = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, w->tensors[w->by_name[middle]].name);
    if (order == 0) *is_there = true;
    if (order <= 0)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static bool grow(limn_safetensors_writer *w) {
  if (w->n_tensors < w->tensor_capacity) return true;
  size_t capacity = w->tensor_capacity ? 2 * w->tensor_capacity : 64;
  tensor *tensors = limn_resize(w->tensors, capacity, sizeof *tensors);
  if (tensors) w->tensors = tensors;
  size_t *by_name = limn_resize(w->by_name, capacity, sizeof *by_name);
  if (by_name) w->by_name = by_name;
  if (!tensors || !by_name) return false;
  w->tensor_capacity = capacity;
  return true;
}

/* Enters the tensor, whose name is new and belongs at `slot` of the sorted ones. */
static limn_status insert(limn_safetensors_writer *w, const tensor *declared, const char *name,
                          size_t slot, limn_error *err) {
  char *copy = grow(w) ? limn_copy_string(name, strlen(name)) : NULL;
  if (!copy) return limn_out_of_memory(err, "a tensor's name");
  memmove(w->by_name + slot + 1, w->by_name + slot, (w->n_tensors - slot) * sizeof *w->by_name);
  w->by_name[slot] = w->n_tensors;
  w->tensors[w->n_tensors] = *declared;
  w->tensors[w->n_tensors++].name = copy;
  return LIMN_OK;
}

/* Enters a tensor, and tells its size. */
static limn_status enter(limn_safetensors_writer *w, const char *name, limn_dtype dtype, int rank,
                         const int64_t *shape, size_t *size, limn_error *err) {
  assert(rank >= 0 && rank <= LIMN_MAX_RANK && !w->is_streaming);
  limn_status status = check_ready(w, err);
  if (status == LIMN_OK) status = check_text("tensor name", name, err);
  if (status != LIMN_OK) return status;
  bool is_there;
  size_t slot = search(w, name, &is_there);
  if (is_there || strcmp(name, METADATA_KEY) == 0)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "tensor name \"%s\" %s", name,
                          is_there ? "is there already" : "is kept for the metadata");
  int64_t count;
  if (!limn_shape_count(rank, shape, INT64_MAX, &count) ||
      !limn_size_mul((size_t)count, limn_dtype_size(dtype), size))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "tensor \"%s\" has a size below 0, or more bytes than 64 bits can count",
                          name);
  tensor t = {.dtype = dtype, .rank = rank, .start = w->n_file + w->memory.size, .size = *size};
  if (rank) memcpy(t.shape, shape, (size_t)rank * sizeof *shape);
  limn_error found;
  return keep_failure(w, insert(w, &t, name, slot, &found), &found, err);
}

limn_status limn_safetensors_writer_begin(limn_safetensors_writer *w, const char *name,
                                          limn_dtype dtype, int rank, const int64_t *shape,
                                          limn_error *err) {
  size_t size;
  limn_status status = enter(w, name, dtype, rank, shape, &size, err);
  if (status == LIMN_OK) w->missing = size;
  return status;
}

limn_status limn_safetensors_writer_declare(limn_safetensors_writer *w, const char *name,
                                            limn_dtype dtype, int rank, const int64_t *shape,
                                            limn_error *err) {
  size_t size, total;
  limn_status status = enter(w, name, dtype, rank, shape, &size, err);
  if (status != LIMN_OK) return status;
  if (!limn_size_add((size_t)w->declared, size, &total) || total > INT64_MAX)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "\"%s\" would have more bytes than 63 bits can count", w->path);
  w->declared = total;
  return LIMN_OK;
}

limn_status limn_safetensors_writer_write(limn_safetensors_writer *w, const void *bytes, size_t n,
                                          limn_error *err) {
  if (n > w->missing)
    return limn_error_set(err, LIMN_ERROR_SHAPE, LIMN_NO_OFFSET,
                          "%zu bytes for a tensor of \"%s\" that has room for %" PRIu64, n, w->path,
                          w->missing);
  if (w->failure.status != LIMN_OK) return check_ready(w, err);
  limn_error found;
  limn_status status =
      w->is_streaming ? limn_output_write(w->output, bytes, n, &found) : spool(w, bytes, n, &found);
  keep_failure(w, status, &found, err);
  if (status == LIMN_OK) w->missing -= n;
  return status;
}

limn_status limn_safetensors_writer_add(limn_safetensors_writer *w, const char *name,
                                        const limn_stored *view, limn_error *err) {
  limn_status status =
      limn_safetensors_writer_begin(w, name, view->dtype, view->rank, view->shape, err);
  if (status != LIMN_OK) return status;
  return limn_safetensors_writer_write(w, view->data, (size_t)w->missing, err);
}

limn_status limn_safetensors_writer_add_f32(limn_safetensors_writer *w, const char *name,
                                            const limn_tensor *view, limn_error *err) {
  if (limn_tensor_is_contiguous(view)) {
    limn_stored stored = limn_stored_of(view);
    return limn_safetensors_writer_add(w, name, &stored, err);
  }
  size_t count = (size_t)limn_tensor_count(view);
  float *rows = limn_alloc_zeroed(count, sizeof *rows);
  if (!rows) return limn_out_of_memory(err, name);
  limn_tensor_gather(view, rows);
  limn_stored stored = {.data = rows, .dtype = LIMN_F32, .rank = view->rank};
  memcpy(stored.shape, view->shape, sizeof stored.shape);
  limn_status status = limn_safetensors_writer_add(w, name, &stored, err);
  limn_free(rows);
  return status;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static limn_status append(void *user, const void *bytes, size_t n, limn_error *err) {
  return limn_bytes_append(user, bytes, n) ? LIMN_OK : limn_out_of_memory(err, "a header");
}

static void put_tensor(limn_json *j, const tensor *t, uint64_t begin) {
  limn_json_key(j, t->name);
  limn_json_begin_object(j);
  limn_json_key(j, "dtype");
  limn_json_cstring(j, limn_dtype_name(t->dtype));
  limn_json_key(j, "shape");
  limn_json_begin_array(j);
  for (int i = 0; i < t->rank; i++)
    limn_json_int(j, t->shape[i]);
  limn_json_end_array(j);
  limn_json_key(j, "data_offsets");
  limn_json_begin_array(j);
  limn_json_int(j, (int64_t)begin);
  limn_json_int(j, (int64_t)(begin + t->size));
  limn_json_end_array(j);
  limn_json_end_object(j);
}

static void put_metadata(limn_json *j, const limn_safetensors_writer *w) {
  limn_json_key(j, METADATA_KEY);
  limn_json_begin_object(j);
  for (size_t i = 0; i < w->n_metadata; i += 2) {
    limn_json_key(j, w->metadata[i]);
    limn_json_cstring(j, w->metadata[i + 1]);
  }
  limn_json_end_object(j);
}

/* Tensors in the order of the file, and behind each other. */
static void put_tensors(limn_json *j, const limn_safetensors_writer *w, bool is_sorted) {
  uint64_t at = 0;
  for (size_t width = WIDEST; width > 0; width = is_sorted ? width / 2 : 0) {
    for (size_t i = 0; i < w->n_tensors; i++) {
      if (is_sorted && limn_dtype_size(w->tensors[i].dtype) != width) continue;
      put_tensor(j, &w->tensors[i], at);
      at += w->tensors[i].size;
    }
  }
}

/* The header's text, padded so that the numbers start at a multiple of `alignment`. */
static limn_status make_header(const limn_safetensors_writer *w, bool is_sorted, size_t alignment,
                               limn_bytes *header, limn_error *err) {
  limn_json j;
  limn_json_init(&j, append, header, false, err);
  limn_json_begin_object(&j);
  if (w->n_metadata) put_metadata(&j, w);
  put_tensors(&j, w, is_sorted);
  limn_json_end_object(&j);
  limn_status status = limn_json_end(&j);
  if (status != LIMN_OK) return status;
  header->size--; /* the line feed at the end */
  while ((LENGTH_SIZE + header->size) % alignment) {
    status = append(header, " ", 1, err);
    if (status != LIMN_OK) return status;
  }
  if (header->size <= MAX_HEADER) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                        "the header of \"%s\" would have %zu bytes, the format allows %d", w->path,
                        header->size, MAX_HEADER);
}

static limn_status write_header(limn_safetensors_writer *w, const limn_bytes *header,
                                limn_error *err) {
  unsigned char length[LENGTH_SIZE];
  for (size_t i = 0; i < sizeof length; i++)
    length[i] = (unsigned char)((uint64_t)header->size >> 8 * i);
  limn_status status = limn_output_write(w->output, length, sizeof length, err);
  return status == LIMN_OK ? limn_output_write(w->output, header->data, header->size, err) : status;
}

limn_status limn_safetensors_writer_start(limn_safetensors_writer *w, size_t alignment,
                                          limn_error *err) {
  assert(alignment > 0 && !w->is_streaming);
  limn_bytes header = {0};
  limn_error found;
  limn_status status = check_ready(w, err);
  if (status != LIMN_OK) return status;
  status = make_header(w, false, alignment, &header, &found);
  if (status == LIMN_OK) status = write_header(w, &header, &found);
  limn_bytes_deinit(&header);
  w->is_streaming = true;
  w->missing = w->declared;
  return keep_failure(w, status, &found, err);
}

static limn_status write_all(limn_safetensors_writer *w, limn_error *err) {
  limn_bytes header = {0};
  limn_status status = make_header(w, true, HEADER_ALIGN, &header, err);
  if (status == LIMN_OK) status = write_header(w, &header, err);
  limn_bytes_deinit(&header);
  for (size_t width = WIDEST; width > 0; width /= 2) {
    for (size_t i = 0; status == LIMN_OK && i < w->n_tensors; i++) {
      if (limn_dtype_size(w->tensors[i].dtype) == width)
        status = copy_tensor(w, &w->tensors[i], err);
    }
  }
  return status;
}

limn_status limn_safetensors_writer_commit(limn_safetensors_writer *w, limn_error *err) {
  limn_status status = check_ready(w, err);
  if (status == LIMN_OK && !w->is_streaming) status = write_all(w, err);
  if (status == LIMN_OK) {
    status = limn_output_commit(w->output, err);
    w->output = NULL; /* freed, whatever the outcome */
  }
  limn_safetensors_writer_discard(w);
  return status;
}
