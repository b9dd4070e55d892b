/*
 * json_file.c - JSON that others wrote, read with suspicion.
 *
 * The parsing is jansson's (RFC 8259). Two things need care. jansson does not survive a failure of
 * its allocator everywhere: a byte of a string that did not fit is dropped, and if that was the
 * closing quote it reads on past the end. So a failure never reaches it: the allocator handed to it
 * leaves the parser by longjmp, and what the parser held, which stands in a table, is released. And
 * jansson's allocator is one for the whole process: a program that uses jansson beside limn gets
 * limn's allocator for it too. That is malloc and free unless the program itself installed another
 * one, and a block is nothing but what that allocator gave, so the two may be mixed.
 */
#include "formats/json_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>

/* One document that is being parsed, and the blocks that jansson holds for it. */
typedef struct parsing {
  jmp_buf out_of_memory;
  void **blocks;
  size_t n_blocks, capacity;
  json_t *root;
  json_error_t found;
} parsing;

static _Thread_local parsing *current;

static bool remember(parsing *p, void *block) {
  if (p->n_blocks == p->capacity) {
    size_t capacity = p->capacity ? 2 * p->capacity : 64;
    void **blocks = limn_resize(p->blocks, capacity, sizeof *blocks);
    if (!blocks) return false;
    p->blocks = blocks;
    p->capacity = capacity;
  }
  p->blocks[p->n_blocks++] = block;
  return true;
}

/* What is released was mostly taken just before, so the search starts at the end. */
static void forget(parsing *p, const void *block) {
  for (size_t i = p->n_blocks; i-- > 0;) {
    if (p->blocks[i] != block) continue;
    p->blocks[i] = p->blocks[--p->n_blocks];
    return;
  }
}

static void *json_allocate(size_t size) {
  void *block = limn_alloc(size);
  if (!current || (block && remember(current, block))) return block;
  limn_free(block);
  longjmp(current->out_of_memory, 1);
}

static void json_release(void *block) {
  if (current) forget(current, block);
  limn_free(block);
}

static void route_allocations(void) {
  json_set_alloc_funcs(json_allocate, json_release);
}

/* False when memory ran out; then nothing is held. p->root is NULL for what is not JSON. */
static bool load(parsing *p, const void *bytes, size_t n, size_t flags) {
  current = p;
  bool is_enough = setjmp(p->out_of_memory) == 0;
  if (is_enough) p->root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | flags, &p->found);
  current = NULL;
  for (size_t i = 0; !is_enough && i < p->n_blocks; i++)
    limn_free(p->blocks[i]);
  limn_free(p->blocks);
  return is_enough;
}

static limn_status malformed(limn_error *err, const char *where, uint64_t start,
                             const json_error_t *found) {
  uint64_t offset = start + (found->position > 0 ? (uint64_t)found->position : 0);
  return limn_error_set(err, LIMN_ERROR_FORMAT, offset,
                        "\"%s\" is not valid JSON: line %d, column %d: %s", where, found->line,
                        found->column, found->text);
}

static limn_status parse(const char *where, const void *bytes, size_t n, uint64_t start,
                         size_t flags, json_t **root, limn_error *err) {
  static pthread_once_t routed = PTHREAD_ONCE_INIT;
  *root = NULL;
  pthread_once(&routed, route_allocations);
  parsing p = {.root = NULL};
  if (!load(&p, bytes, n, flags)) return limn_out_of_memory(err, where);
  if (!p.root) return malformed(err, where, start, &p.found);
  *root = p.root;
  return LIMN_OK;
}

limn_status limn_json_parse(const char *where, const void *bytes, size_t n, uint64_t start,
                            json_t **root, limn_error *err) {
  return parse(where, bytes, n, start, 0, root, err);
}

limn_status limn_json_parse_with_nul(const char *where, const void *bytes, size_t n, json_t **root,
                                     limn_error *err) {
  return parse(where, bytes, n, 0, JSON_ALLOW_NUL, root, err);
}

static limn_status parse_object(const char *path, const limn_file *file, size_t limit,
                                json_t **root, limn_error *err) {
  if (file->size > limit)
    return limn_error_set(err, LIMN_ERROR_RANGE, limit,
                          "\"%s\" has %zu bytes, more than the %zu allowed", path, file->size,
                          limit);
  limn_status status = limn_json_parse(path, file->data, file->size, 0, root, err);
  if (status != LIMN_OK || json_is_object(*root)) return status;
  status = limn_error_set(err, LIMN_ERROR_FORMAT, 0, "\"%s\" holds %s, expected an object", path,
                          limn_json_kind(*root));
  json_decref(*root);
  *root = NULL;
  return status;
}

limn_status limn_json_file_read(const char *path, size_t limit, json_t **root, limn_error *err) {
  *root = NULL;
  limn_file file;
  limn_status status = limn_file_open(path, &file, err);
  if (status != LIMN_OK) return status;
  status = parse_object(path, &file, limit, root, err);
  limn_file_close(&file);
  return status;
}

/* ---- values by key -----------------------------------------------------------------------------
 */

const char *limn_json_kind(const json_t *value) {
  if (!value) return "nothing";
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    return "an object";
  case JSON_ARRAY:
    return "an array";
  case JSON_STRING:
    return "a string";
  case JSON_INTEGER:
    return "an integer";
  case JSON_REAL:
    return "a number with a fraction";
  case JSON_TRUE:
    return "true";
  case JSON_FALSE:
    return "false";
  case JSON_NULL:
    return "null";
  }
  return "something else";
}

bool limn_json_has(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return value && !json_is_null(value);
}

static limn_status wrong_kind(limn_error *err, const char *where, const char *key,
                              const json_t *found, const char *wanted) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\": key \"%s\" is %s, expected %s", where, key, limn_json_kind(found),
                        wanted);
}

static limn_status need(const json_t *object, const char *where, const char *key,
                        const json_t **value, limn_error *err) {
  *value = json_object_get(object, key);
  if (*value && !json_is_null(*value)) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET, "\"%s\": key \"%s\" is %s",
                        where, key, *value ? "null" : "missing");
}

limn_status limn_json_need_int(const json_t *object, const char *where, const char *key,
                               int64_t least, int64_t most, int64_t *out, limn_error *err) {
  const json_t *value;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_integer(value)) return wrong_kind(err, where, key, value, "an integer");
  json_int_t number = json_integer_value(value);
  if (number < least || number > most)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "\"%s\": key \"%s\" is %" JSON_INTEGER_FORMAT ", expected %" PRId64
                          " to %" PRId64,
                          where, key, number, least, most);
  *out = number;
  return LIMN_OK;
}

limn_status limn_json_need_double(const json_t *object, const char *where, const char *key,
                                  double *out, limn_error *err) {
  const json_t *value;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_number(value)) return wrong_kind(err, where, key, value, "a number");
  *out = json_number_value(value);
  return LIMN_OK;
}

limn_status limn_json_need_bool(const json_t *object, const char *where, const char *key, bool *out,
                                limn_error *err) {
  const json_t *value;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_boolean(value)) return wrong_kind(err, where, key, value, "true or false");
  *out = json_is_true(value);
  return LIMN_OK;
}

limn_status limn_json_need_string(const json_t *object, const char *where, const char *key,
                                  const char **out, limn_error *err) {
  const json_t *value;
  *out = NULL;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_string(value)) return wrong_kind(err, where, key, value, "a string");
  *out = json_string_value(value);
  return LIMN_OK;
}

limn_status limn_json_need_object(const json_t *object, const char *where, const char *key,
                                  const json_t **out, limn_error *err) {
  const json_t *value;
  *out = NULL;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_object(value)) return wrong_kind(err, where, key, value, "an object");
  *out = value;
  return LIMN_OK;
}

limn_status limn_json_need_array(const json_t *object, const char *where, const char *key,
                                 const json_t **out, limn_error *err) {
  const json_t *value;
  *out = NULL;
  limn_status status = need(object, where, key, &value, err);
  if (status != LIMN_OK) return status;
  if (!json_is_array(value)) return wrong_kind(err, where, key, value, "an array");
  *out = value;
  return LIMN_OK;
}
