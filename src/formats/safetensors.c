/*
 * safetensors.c - named tensors read from a file that is not trusted.
 *
 * The format (https://huggingface.co/docs/safetensors) is 8 bytes of header length, a JSON object
 * {name: {dtype, shape, data_offsets}}, and the numbers. The rules are those of its reference
 * implementation: the header has at most 100 MB and opens with "{", the tensors' places follow each
 * other without overlap or hole and end where the file ends, and a place is as large as its shape
 * says. Once they hold, a tensor is nothing but an address in the mapped file; that address may be
 * odd, since a header may have any length.
 */
#include "formats/safetensors.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/reader.h"
#include "base/sha256.h"
#include "formats/json_file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors files are little endian, and so must the machine be"
#endif

#define MAX_HEADER        100000000
#define MAX_INDEX         100000000
#define LENGTH_SIZE       8
#define DTYPE_NAME_SIZE   16
#define METADATA_KEY      "__metadata__"
#define MODEL_FILE        "model.safetensors"
#define MODEL_INDEX       "model.safetensors.index.json"
#define SHOWN_NAME_LENGTH 200 /* of a name in a message, so that the rest of it fits */

typedef struct shard {
  limn_file file;
  char *path;
} shard;

typedef struct entry {
  char *name;
  limn_stored view; /* `rank` and `shape` only when the rank is at most LIMN_MAX_RANK */
  size_t rank;
  bool is_known; /* whether limn has the number format */
  char dtype_name[DTYPE_NAME_SIZE];
  uint64_t begin, end; /* in the shard's data */
  size_t shard;
  size_t order; /* in the header */
} entry;

typedef struct pair {
  char *key;
  char *value;
} pair;

struct limn_safetensors {
  char *path;
  shard *shards;
  size_t n_shards;
  entry *entries;
  size_t n_entries;
  entry **by_name;
  pair *pairs;
  size_t n_pairs;
};

/* ---- one tensor of a header --------------------------------------------------------------------
 */

/* Where the reading is, for messages. */
typedef struct place {
  const char *path;
  const char *tensor;
  uint64_t data_start; /* of the shard's data in the file */
  limn_error *err;
} place;

LIMN_PRINTF(3, 4)
static limn_status refuse(const place *at, uint64_t offset, const char *format, ...) {
  char detail[LIMN_ERROR_TEXT_SIZE];
  va_list args;
  va_start(args, format);
  vsnprintf(detail, sizeof detail, format, args);
  va_end(args);
  return limn_error_set(at->err, LIMN_ERROR_FORMAT, offset, "\"%s\": tensor \"%.*s\" %s", at->path,
                        SHOWN_NAME_LENGTH, at->tensor, detail);
}

static bool dtype_of_name(const char *name, limn_dtype *out) {
  for (int i = 0; i < LIMN_DTYPE_COUNT; i++) {
    if (strcmp(name, limn_dtype_name((limn_dtype)i)) != 0) continue;
    *out = (limn_dtype)i;
    return true;
  }
  return false;
}

static limn_status read_dtype(const place *at, const json_t *info, entry *e) {
  const json_t *dtype = json_object_get(info, "dtype");
  if (!json_is_string(dtype))
    return refuse(at, LIMN_NO_OFFSET, "has %s as \"dtype\", expected a string",
                  limn_json_kind(dtype));
  const char *name = json_string_value(dtype);
  snprintf(e->dtype_name, sizeof e->dtype_name, "%s", name);
  e->is_known = dtype_of_name(name, &e->view.dtype);
  return LIMN_OK;
}

/* A whole number of at least 0: what sizes and offsets are. */
static bool read_natural(const json_t *value, int64_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = json_integer_value(value);
  return true;
}

/* The shape, and in *count its product. Sizes of 0 do not excuse the others from fitting. */
static limn_status read_shape(const place *at, const json_t *info, entry *e, int64_t *count) {
  const json_t *shape = json_object_get(info, "shape");
  if (!json_is_array(shape))
    return refuse(at, LIMN_NO_OFFSET, "has %s as \"shape\", expected an array",
                  limn_json_kind(shape));
  e->rank = json_array_size(shape);
  e->view.rank = e->rank <= LIMN_MAX_RANK ? (int)e->rank : 0;
  int64_t product = 1;
  bool is_empty = false;
  for (size_t i = 0; i < e->rank; i++) {
    int64_t size;
    if (!read_natural(json_array_get(shape, i), &size))
      return refuse(at, LIMN_NO_OFFSET, "has a size in its shape that is no whole number >= 0");
    if (size == 0)
      is_empty = true;
    else if (__builtin_mul_overflow(product, size, &product))
      return refuse(at, LIMN_NO_OFFSET, "has a shape whose product is beyond 64 bits");
    if (i < LIMN_MAX_RANK) e->view.shape[i] = size;
  }
  *count = is_empty ? 0 : product;
  return LIMN_OK;
}

static limn_status read_offsets(const place *at, const json_t *info, entry *e) {
  const json_t *offsets = json_object_get(info, "data_offsets");
  int64_t begin, end;
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
      !read_natural(json_array_get(offsets, 0), &begin) ||
      !read_natural(json_array_get(offsets, 1), &end))
    return refuse(at, LIMN_NO_OFFSET, "has no \"data_offsets\" of two whole numbers >= 0");
  if (begin > end)
    return refuse(at, LIMN_NO_OFFSET,
                  "has data_offsets [%" PRId64 ",%" PRId64 "], expected the end behind the begin",
                  begin, end);
  e->begin = (uint64_t)begin;
  e->end = (uint64_t)end;
  return LIMN_OK;
}

/* Whether the place is as large as format and shape say. */
static limn_status check_size(const place *at, const entry *e, int64_t count) {
  if (!e->is_known) return LIMN_OK;
  size_t size;
  char shape[128] = "of many axes";
  if (e->rank <= LIMN_MAX_RANK) limn_shape_text(shape, sizeof shape, e->view.rank, e->view.shape);
  if (!limn_size_mul((size_t)count, limn_dtype_size(e->view.dtype), &size))
    return refuse(at, LIMN_NO_OFFSET, "has shape %s of %s, more bytes than 64 bits can count",
                  shape, e->dtype_name);
  if (size != e->end - e->begin)
    return refuse(at, at->data_start + e->begin,
                  "has data_offsets of %" PRIu64 " bytes, expected %zu for shape %s of %s",
                  e->end - e->begin, size, shape, e->dtype_name);
  return LIMN_OK;
}

static limn_status read_entry(const place *at, const json_t *info, entry *e) {
  if (!json_is_object(info))
    return refuse(at, LIMN_NO_OFFSET, "is %s in the header, expected an object",
                  limn_json_kind(info));
  int64_t count = 0;
  limn_status status = read_dtype(at, info, e);
  if (status == LIMN_OK) status = read_shape(at, info, e, &count);
  if (status == LIMN_OK) status = read_offsets(at, info, e);
  if (status == LIMN_OK) status = check_size(at, e, count);
  if (status != LIMN_OK) return status;
  e->name = limn_copy_string(at->tensor, strlen(at->tensor));
  return e->name ? LIMN_OK : limn_out_of_memory(at->err, "a tensor's name");
}

/* ---- a header ----------------------------------------------------------------------------------
 */

/* The header's bytes, or NULL and the error. */
static const char *find_header(const shard *s, size_t *n, limn_error *err) {
  limn_reader r = limn_reader_of(s->file.data, s->file.size);
  uint64_t length = limn_read_u64(&r);
  if (r.failed) {
    limn_error_set(err, LIMN_ERROR_FORMAT, 0,
                   "\"%s\" has %zu bytes, expected at least %d for the length of the header",
                   s->path, s->file.size, LENGTH_SIZE);
    return NULL;
  }
  if (length > MAX_HEADER || length > limn_reader_left(&r)) {
    limn_error_set(err, LIMN_ERROR_FORMAT, 0,
                   "\"%s\" announces a header of %" PRIu64 " bytes, but %s %zu", s->path, length,
                   length > MAX_HEADER ? "none may exceed" : "the file holds only",
                   length > MAX_HEADER ? (size_t)MAX_HEADER : limn_reader_left(&r));
    return NULL;
  }
  const char *header = limn_read_bytes(&r, length);
  if (length > 0 && header[0] == '{') {
    *n = (size_t)length;
    return header;
  }
  limn_error_set(err, LIMN_ERROR_FORMAT, LENGTH_SIZE,
                 "\"%s\" has a header that does not open with \"{\"", s->path);
  return NULL;
}

static limn_status read_metadata(limn_safetensors *file, const char *path, json_t *metadata,
                                 limn_error *err) {
  if (!json_is_object(metadata))
    return limn_error_set(err, LIMN_ERROR_FORMAT, LENGTH_SIZE,
                          "\"%s\" has %s as \"" METADATA_KEY "\", expected an object", path,
                          limn_json_kind(metadata));
  size_t n = json_object_size(metadata);
  pair *pairs = limn_resize(file->pairs, file->n_pairs + n, sizeof *pairs);
  if (!pairs) return limn_out_of_memory(err, path);
  file->pairs = pairs;
  const char *key;
  json_t *value;
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value))
      return limn_error_set(err, LIMN_ERROR_FORMAT, LENGTH_SIZE,
                            "\"%s\" has %s as metadata \"%.*s\", expected a string", path,
                            limn_json_kind(value), SHOWN_NAME_LENGTH, key);
    pair *p = &pairs[file->n_pairs++];
    p->key = limn_copy_string(key, strlen(key));
    p->value = limn_copy_string(json_string_value(value), json_string_length(value));
    if (!p->key || !p->value) return limn_out_of_memory(err, path);
  }
  return LIMN_OK;
}

static limn_status read_entries(limn_safetensors *file, size_t shard_index, json_t *header,
                                uint64_t data_start, limn_error *err) {
  const char *path = file->shards[shard_index].path;
  entry *entries =
      limn_resize(file->entries, file->n_entries + json_object_size(header), sizeof *entries);
  if (!entries) return limn_out_of_memory(err, path);
  file->entries = entries;
  const char *key;
  json_t *info;
  json_object_foreach(header, key, info) {
    bool is_metadata = strcmp(key, METADATA_KEY) == 0;
    entry *e = &entries[file->n_entries];
    limn_status status;
    if (is_metadata) {
      status = read_metadata(file, path, info, err);
    } else {
      *e = (entry){.shard = shard_index, .order = file->n_entries};
      status = read_entry(&(place){path, key, data_start, err}, info, e);
    }
    if (status != LIMN_OK) return status;
    if (!is_metadata) file->n_entries++;
  }
  return LIMN_OK;
}

static int compare_places(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return x->order < y->order ? -1 : 1;
}

/* That a place opens where the one before it ended, and lies in the file. */
static limn_status check_place(const place *at, const entry *e, uint64_t expected,
                               uint64_t data_size) {
  uint64_t offset = at->data_start + expected;
  if (e->begin < expected)
    return refuse(at, offset,
                  "opens at byte %" PRIu64 " of the data and overlaps the one before it, which "
                  "ends at %" PRIu64,
                  e->begin, expected);
  if (e->begin > expected)
    return refuse(at, offset,
                  "opens at byte %" PRIu64 " of the data, expected %" PRIu64
                  ": bytes between belong to no tensor",
                  e->begin, expected);
  if (e->end > data_size)
    return refuse(at, at->data_start + data_size,
                  "ends at byte %" PRIu64 " of the data, but the file holds only %" PRIu64, e->end,
                  data_size);
  return LIMN_OK;
}

/* Puts a shard's entries in the order of their data and gives each its address. */
static limn_status place_entries(const shard *s, entry *entries, size_t n, uint64_t data_start,
                                 limn_error *err) {
  uint64_t data_size = s->file.size - data_start, expected = 0;
  if (n) qsort(entries, n, sizeof *entries, compare_places);
  for (size_t i = 0; i < n; i++) {
    place at = {s->path, entries[i].name, data_start, err};
    limn_status status = check_place(&at, &entries[i], expected, data_size);
    if (status != LIMN_OK) return status;
    entries[i].view.data = s->file.data + data_start + entries[i].begin;
    expected = entries[i].end;
  }
  if (expected == data_size) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_FORMAT, data_start + expected,
                        "\"%s\" holds %" PRIu64 " bytes of data, but its tensors end at %" PRIu64,
                        s->path, data_size, expected);
}

/* Reads one file's header into the tables. Takes `path`, also on failure. */
static limn_status add_shard(limn_safetensors *file, char *path, limn_error *err) {
  size_t index = file->n_shards, first = file->n_entries;
  shard *shards = limn_resize(file->shards, index + 1, sizeof *shards);
  if (!shards) {
    limn_free(path);
    return limn_out_of_memory(err, "a shard");
  }
  file->shards = shards;
  file->n_shards++;
  shard *s = &shards[index];
  *s = (shard){.path = path};
  limn_status status = limn_file_open(path, &s->file, err);
  if (status != LIMN_OK) return status;
  size_t n = 0;
  const char *header = find_header(s, &n, err);
  if (!header) return LIMN_ERROR_FORMAT;
  json_t *root;
  status = limn_json_parse(path, header, n, LENGTH_SIZE, &root, err);
  if (status != LIMN_OK) return status;
  status = read_entries(file, index, root, LENGTH_SIZE + n, err);
  json_decref(root);
  if (status != LIMN_OK) return status;
  return place_entries(s, file->entries + first, file->n_entries - first, LENGTH_SIZE + n, err);
}

/* ---- names -------------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b) {
  const entry *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

/* Sorts the names, and finds those that two shards hold. */
static limn_status index_names(limn_safetensors *file, limn_error *err) {
  file->by_name = limn_alloc_zeroed(file->n_entries, sizeof *file->by_name);
  if (!file->by_name) return limn_out_of_memory(err, file->path);
  for (size_t i = 0; i < file->n_entries; i++)
    file->by_name[i] = &file->entries[i];
  qsort(file->by_name, file->n_entries, sizeof *file->by_name, compare_names);
  for (size_t i = 1; i < file->n_entries; i++) {
    const entry *a = file->by_name[i - 1], *b = file->by_name[i];
    if (strcmp(a->name, b->name) != 0) continue;
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "tensor \"%.*s\" lies in two files, \"%s\" and \"%s\"", SHOWN_NAME_LENGTH,
                          a->name, file->shards[a->shard].path, file->shards[b->shard].path);
  }
  return LIMN_OK;
}

static const entry *find_entry(const limn_safetensors *file, const char *name) {
  size_t low = 0, high = file->n_entries;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, file->by_name[middle]->name);
    if (order == 0) return file->by_name[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

/* ---- a folder with shards ----------------------------------------------------------------------
 */

static int compare_strings(const void *a, const void *b) {
  const char *const *x = a, *const *y = b;
  return strcmp(*x, *y);
}

/* A shard is a file in the folder itself: an index must not reach elsewhere. */
static bool is_plain_name(const char *name) {
  return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The values of the weight map, sorted: each shard's name as often as it holds tensors. */
static limn_status list_shards(const char *index_path, json_t *map, const char **names,
                               limn_error *err) {
  const char *tensor;
  json_t *value;
  size_t n = 0;
  json_object_foreach(map, tensor, value) {
    if (!json_is_string(value))
      return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\" has %s as the shard of \"%.*s\", expected a string", index_path,
                            limn_json_kind(value), SHOWN_NAME_LENGTH, tensor);
    names[n] = json_string_value(value);
    if (!is_plain_name(names[n]))
      return limn_error_set(
          err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
          "\"%s\" has \"%.*s\" as the shard of \"%.*s\", expected a file of this folder",
          index_path, SHOWN_NAME_LENGTH / 2, names[n], SHOWN_NAME_LENGTH / 2, tensor);
    n++;
  }
  qsort(names, n, sizeof *names, compare_strings);
  return LIMN_OK;
}

static limn_status open_shards(limn_safetensors *file, const char *index_path, json_t *map,
                               limn_error *err) {
  size_t n = json_object_size(map);
  if (n == 0)
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET, "\"%s\" names no tensor",
                          index_path);
  const char **names = limn_alloc_zeroed(n, sizeof *names);
  if (!names) return limn_out_of_memory(err, index_path);
  limn_status status = list_shards(index_path, map, names, err);
  for (size_t i = 0; status == LIMN_OK && i < n; i++) {
    if (i > 0 && strcmp(names[i], names[i - 1]) == 0) continue;
    char *path = limn_path_join(file->path, names[i]);
    status = path ? add_shard(file, path, err) : limn_out_of_memory(err, names[i]);
  }
  limn_free(names);
  return status;
}

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* That each tensor lies in the shard in which the index says it lies. */
static limn_status check_map(const limn_safetensors *file, const char *index_path, json_t *map,
                             limn_error *err) {
  const char *tensor;
  json_t *value;
  json_object_foreach(map, tensor, value) {
    const char *wanted = json_string_value(value);
    const entry *e = find_entry(file, tensor);
    const char *found = e ? last_part(file->shards[e->shard].path) : "no shard";
    if (strcmp(found, wanted) != 0)
      return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\" says that \"%s\" holds tensor \"%.*s\", but %s does",
                            index_path, wanted, SHOWN_NAME_LENGTH, tensor, found);
  }
  return LIMN_OK;
}

static limn_status open_index(limn_safetensors *file, const char *index_path, limn_error *err) {
  json_t *root;
  limn_status status = limn_json_file_read(index_path, MAX_INDEX, &root, err);
  if (status != LIMN_OK) return status;
  json_t *map = json_object_get(root, "weight_map");
  if (!json_is_object(map))
    status = limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\" has %s as \"weight_map\", expected an object", index_path,
                            limn_json_kind(map));
  if (status == LIMN_OK) status = open_shards(file, index_path, map, err);
  if (status == LIMN_OK) status = index_names(file, err);
  if (status == LIMN_OK) status = check_map(file, index_path, map, err);
  json_decref(root);
  return status;
}

/* ---- opening and closing -----------------------------------------------------------------------
 */

static limn_status open_one(limn_safetensors *file, const char *path, limn_error *err) {
  char *copy = limn_copy_string(path, strlen(path));
  if (!copy) return limn_out_of_memory(err, path);
  limn_status status = add_shard(file, copy, err);
  return status == LIMN_OK ? index_names(file, err) : status;
}

static limn_status open_folder(limn_safetensors *file, const char *folder, limn_error *err) {
  char *single = limn_path_join(folder, MODEL_FILE);
  char *index = limn_path_join(folder, MODEL_INDEX);
  limn_status status;
  if (!single || !index)
    status = limn_out_of_memory(err, folder);
  else if (limn_path_exists(single))
    status = open_one(file, single, err);
  else if (limn_path_exists(index))
    status = open_index(file, index, err);
  else
    status = limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                            "\"%s\" holds neither " MODEL_FILE " nor " MODEL_INDEX, folder);
  limn_free(single);
  limn_free(index);
  return status;
}

typedef limn_status (*open_fn)(limn_safetensors *file, const char *path, limn_error *err);

static limn_status open_by(open_fn open_it, const char *path, limn_safetensors **out,
                           limn_error *err) {
  assert(path && out);
  *out = NULL;
  limn_safetensors *file = limn_alloc_zeroed(1, sizeof *file);
  if (!file) return limn_out_of_memory(err, path);
  file->path = limn_copy_string(path, strlen(path));
  limn_status status = file->path ? open_it(file, path, err) : limn_out_of_memory(err, path);
  if (status != LIMN_OK) {
    limn_safetensors_close(file);
    return status;
  }
  *out = file;
  return LIMN_OK;
}

limn_status limn_safetensors_open(const char *path, limn_safetensors **out, limn_error *err) {
  return open_by(open_one, path, out, err);
}

limn_status limn_safetensors_open_model(const char *folder, limn_safetensors **out,
                                        limn_error *err) {
  return open_by(open_folder, folder, out, err);
}

void limn_safetensors_close(limn_safetensors *file) {
  if (!file) return;
  for (size_t i = 0; i < file->n_entries; i++)
    limn_free(file->entries[i].name);
  for (size_t i = 0; i < file->n_pairs; i++) {
    limn_free(file->pairs[i].key);
    limn_free(file->pairs[i].value);
  }
  for (size_t i = 0; i < file->n_shards; i++) {
    limn_file_close(&file->shards[i].file);
    limn_free(file->shards[i].path);
  }
  limn_free(file->by_name);
  limn_free(file->entries);
  limn_free(file->pairs);
  limn_free(file->shards);
  limn_free(file->path);
  limn_free(file);
}

/* ---- asking ------------------------------------------------------------------------------------
 */

const char *limn_safetensors_path(const limn_safetensors *file) {
  return file->path;
}

size_t limn_safetensors_mapped_size(const limn_safetensors *file) {
  size_t size = 0;
  for (size_t i = 0; i < file->n_shards; i++)
    size += file->shards[i].file.size;
  return size;
}

size_t limn_safetensors_count(const limn_safetensors *file) {
  return file->n_entries;
}

const char *limn_safetensors_name_at(const limn_safetensors *file, size_t i) {
  assert(i < file->n_entries);
  return file->entries[i].name;
}

static limn_status view(const limn_safetensors *file, const entry *e, limn_stored *out,
                        limn_error *err) {
  *out = (limn_stored){0};
  const char *path = file->shards[e->shard].path;
  if (!e->is_known)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "\"%s\": tensor \"%.*s\" has number format \"%s\", which limn does not "
                          "read",
                          path, SHOWN_NAME_LENGTH, e->name, e->dtype_name);
  if (e->rank > LIMN_MAX_RANK)
    return limn_error_set(err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "\"%s\": tensor \"%.*s\" has %zu axes, expected at most %d", path,
                          SHOWN_NAME_LENGTH, e->name, e->rank, LIMN_MAX_RANK);
  *out = e->view;
  return LIMN_OK;
}

limn_status limn_safetensors_view_at(const limn_safetensors *file, size_t i, limn_stored *out,
                                     limn_error *err) {
  assert(i < file->n_entries);
  return view(file, &file->entries[i], out, err);
}

limn_status limn_safetensors_view(const limn_safetensors *file, const char *name, limn_stored *out,
                                  limn_error *err) {
  const entry *e = find_entry(file, name);
  if (e) return view(file, e, out, err);
  *out = (limn_stored){0};
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET, "\"%s\" has no tensor \"%s\"",
                        file->path, name);
}

bool limn_safetensors_has(const limn_safetensors *file, const char *name) {
  return find_entry(file, name) != NULL;
}

size_t limn_safetensors_metadata_count(const limn_safetensors *file) {
  return file->n_pairs;
}

const char *limn_safetensors_metadata_key_at(const limn_safetensors *file, size_t i) {
  assert(i < file->n_pairs);
  return file->pairs[i].key;
}

const char *limn_safetensors_metadata_value_at(const limn_safetensors *file, size_t i) {
  assert(i < file->n_pairs);
  return file->pairs[i].value;
}

const char *limn_safetensors_metadata(const limn_safetensors *file, const char *key) {
  for (size_t i = 0; i < file->n_pairs; i++) {
    if (strcmp(file->pairs[i].key, key) == 0) return file->pairs[i].value;
  }
  return NULL;
}

/* ---- the files behind it -----------------------------------------------------------------------
 */

void limn_safetensors_want_huge_pages(const limn_safetensors *file) {
  for (size_t i = 0; i < file->n_shards; i++)
    limn_file_want_huge_pages(&file->shards[i].file);
}

void limn_safetensors_release(const limn_safetensors *file, const void *start, size_t n) {
  for (size_t i = 0; i < file->n_shards; i++) {
    const limn_file *f = &file->shards[i].file;
    uintptr_t at = (uintptr_t)start, begin = (uintptr_t)f->data;
    if (at >= begin && at - begin < f->size) limn_file_release(f, start, n);
  }
}

void limn_safetensors_sha256(const limn_safetensors *file, char out[65]) {
  enum { PIECE = 1 << 22 };
  limn_sha256 hash;
  limn_sha256_init(&hash);
  for (size_t i = 0; i < file->n_shards; i++) {
    const limn_file *f = &file->shards[i].file;
    for (size_t at = 0; at < f->size; at += PIECE) {
      size_t n = f->size - at < PIECE ? f->size - at : PIECE;
      limn_sha256_add(&hash, f->data + at, n);
      limn_file_release(f, f->data + at, n);
    }
  }
  limn_sha256_text(&hash, out);
}
