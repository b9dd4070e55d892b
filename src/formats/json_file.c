/*
 * json_file.c - JSON that others wrote, read with suspicion.
 *
 * The parsing is jansson's (RFC 8259). Two things need care. jansson ignores some failures of its
 * allocator (a byte of a string that does not fit is simply dropped), so the allocator handed to it
 * remembers a failure and the result is thrown away. And jansson's allocator is one for the whole
 * process: a program that uses jansson beside limn gets limn's allocator for it too, which is
 * malloc and free unless the program itself installed another one.
 */
#include "formats/json_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <inttypes.h>
#include <pthread.h>

static _Thread_local bool allocation_failed;

static void *json_allocate(size_t size) {
  void *memory = limn_alloc(size);
  if (!memory) allocation_failed = true;
  return memory;
}

static void route_allocations(void) {
  json_set_alloc_funcs(json_allocate, limn_free);
}

static limn_status malformed(limn_error *err, const char *where, uint64_t start,
                             const json_error_t *found) {
  uint64_t offset = start + (found->position > 0 ? (uint64_t)found->position : 0);
  return limn_error_set(err, LIMN_ERROR_FORMAT, offset,
                        "\"%s\" is not valid JSON: line %d, column %d: %s", where, found->line,
                        found->column, found->text);
}

limn_status limn_json_parse(const char *where, const void *bytes, size_t n, uint64_t start,
                            json_t **root, limn_error *err) {
  static pthread_once_t routed = PTHREAD_ONCE_INIT;
  *root = NULL;
  pthread_once(&routed, route_allocations);
  allocation_failed = false;
  json_error_t found = {0};
  json_t *parsed = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &found);
  if (allocation_failed) {
    json_decref(parsed);
    return limn_out_of_memory(err, where);
  }
  if (!parsed) return malformed(err, where, start, &found);
  *root = parsed;
  return LIMN_OK;
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
