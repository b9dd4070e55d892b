/*
 * gguf.c - the metadata of a GGUF file (the format of ggml; its specification is
 * ggml/docs/gguf.md).
 *
 * "GGUF", a version, the number of tensors, the number of keys; then each key: a string, a type, a
 * value. All numbers are little-endian, a string is its length in 8 bytes and its bytes, an array
 * the type of its items, how many, and the items. Every length is a claim of the file: none is
 * multiplied or added before it was held against the bytes that are left, and nothing is allocated
 * for a count before the bytes behind it were seen.
 */
#include "formats/gguf.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_KEYS     65536
#define MOST_KEY_SIZE 65535

static const struct {
  const char *name;
  size_t size; /* of a number; 0 for what has no fixed size */
} types[LIMN_GGUF_N_TYPES] = {
    {"uint8", 1},  {"int8", 1},    {"uint16", 2},  {"int16", 2},  {"uint32", 4},
    {"int32", 4},  {"float32", 4}, {"bool", 1},    {"string", 0}, {"array", 0},
    {"uint64", 8}, {"int64", 8},   {"float64", 8},
};

bool limn_gguf_is(const void *bytes, size_t n) {
  return n >= 4 && memcmp(bytes, "GGUF", 4) == 0;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

typedef struct parsing {
  limn_gguf *g;
  limn_reader r;
  size_t capacity;
  limn_error *err;
} parsing;

static limn_status cut_short(const parsing *p, const char *what) {
  return limn_error_set(p->err, LIMN_ERROR_FORMAT, p->r.at, "\"%s\" ends inside %s", p->g->where,
                        what);
}

static int shown(const limn_gguf_entry *e) {
  return e->n_key > 100 ? 100 : (int)e->n_key;
}

static limn_status read_string(parsing *p, const char *what, const char **out, size_t *n) {
  uint64_t size = limn_read_u64(&p->r);
  const char *bytes = limn_read_bytes(&p->r, size);
  if (!bytes) return cut_short(p, what);
  *out = bytes;
  *n = (size_t)size;
  return LIMN_OK;
}

static limn_status read_type(parsing *p, const limn_gguf_entry *e, limn_gguf_type *out) {
  size_t at = p->r.at;
  uint32_t type = limn_read_u32(&p->r);
  if (p->r.failed) return cut_short(p, "a type");
  if (type >= LIMN_GGUF_N_TYPES)
    return limn_error_set(p->err, LIMN_ERROR_FORMAT, at,
                          "\"%s\": key \"%.*s\" has the type %" PRIu32 ", expected 0 to %d",
                          p->g->where, shown(e), e->key, type, LIMN_GGUF_N_TYPES - 1);
  *out = (limn_gguf_type)type;
  return LIMN_OK;
}

/* Walks over the items, so that later walks need no checks. */
static limn_status skip_items(parsing *p, const limn_gguf_value *v) {
  const char *bytes;
  size_t n, width = types[v->type].size;
  if (v->type != LIMN_GGUF_STRING) {
    size_t size;
    if (v->count > SIZE_MAX || !limn_size_mul((size_t)v->count, width, &size) ||
        !limn_read_bytes(&p->r, size))
      return cut_short(p, "an array");
    return LIMN_OK;
  }
  for (uint64_t i = 0; i < v->count; i++) {
    limn_status status = read_string(p, "an array of strings", &bytes, &n);
    if (status != LIMN_OK) return status;
  }
  return LIMN_OK;
}

static limn_status check_bools(parsing *p, const limn_gguf_entry *e) {
  const limn_gguf_value *v = &e->value;
  for (size_t i = 0; v->type == LIMN_GGUF_BOOL && i < v->size; i++) {
    if (v->data[i] > 1)
      return limn_error_set(p->err, LIMN_ERROR_FORMAT, p->r.at - v->size + i,
                            "\"%s\": key \"%.*s\" has the bool %d, expected 0 or 1", p->g->where,
                            shown(e), e->key, v->data[i]);
  }
  return LIMN_OK;
}

static limn_status read_value(parsing *p, limn_gguf_entry *e) {
  limn_gguf_value *v = &e->value;
  v->count = 1;
  limn_status status = read_type(p, e, &v->type);
  if (status != LIMN_OK) return status;
  if (v->type == LIMN_GGUF_ARRAY) {
    v->is_array = true;
    size_t at = p->r.at;
    status = read_type(p, e, &v->type);
    if (status != LIMN_OK) return status;
    if (v->type == LIMN_GGUF_ARRAY)
      return limn_error_set(p->err, LIMN_ERROR_UNSUPPORTED, at,
                            "\"%s\": key \"%.*s\" is an array of arrays", p->g->where, shown(e),
                            e->key);
    v->count = limn_read_u64(&p->r);
    if (p->r.failed) return cut_short(p, "an array");
  }
  size_t start = p->r.at;
  v->data = p->r.data + start;
  status = skip_items(p, v);
  if (status != LIMN_OK) return status;
  v->size = p->r.at - start;
  return check_bools(p, e);
}

static limn_status read_entry(parsing *p) {
  limn_gguf *g = p->g;
  limn_gguf_entry e = {0};
  size_t at = p->r.at;
  limn_status status = read_string(p, "a key", &e.key, &e.n_key);
  if (status != LIMN_OK) return status;
  if (e.n_key == 0 || e.n_key > MOST_KEY_SIZE || !limn_utf8_is_valid(e.key, e.n_key))
    return limn_error_set(p->err, LIMN_ERROR_FORMAT, at,
                          "\"%s\": a key of %zu bytes, expected 1 to %d of UTF-8", g->where,
                          e.n_key, MOST_KEY_SIZE);
  status = read_value(p, &e);
  if (status != LIMN_OK) return status;
  if (g->n_entries == p->capacity) {
    size_t capacity = p->capacity ? 2 * p->capacity : 16;
    limn_gguf_entry *entries = limn_resize(g->entries, capacity, sizeof *entries);
    if (!entries) return limn_out_of_memory(p->err, "the keys of a GGUF file");
    g->entries = entries;
    p->capacity = capacity;
  }
  g->entries[g->n_entries++] = e;
  return LIMN_OK;
}

static limn_status read_head(parsing *p, uint64_t *n_keys) {
  limn_gguf *g = p->g;
  const void *magic = limn_read_bytes(&p->r, 4);
  if (!magic || !limn_gguf_is(magic, 4))
    return limn_error_set(p->err, LIMN_ERROR_FORMAT, 0, "\"%s\" does not open with \"GGUF\"",
                          g->where);
  uint32_t version = limn_read_u32(&p->r);
  if (!p->r.failed && version != 2 && version != 3)
    return limn_error_set(p->err, LIMN_ERROR_UNSUPPORTED, 4,
                          "\"%s\" is GGUF of version %" PRIu32 "%s, expected 2 or 3", g->where,
                          version, version >> 24 ? " (big-endian)" : "");
  g->n_tensors = limn_read_u64(&p->r);
  *n_keys = limn_read_u64(&p->r);
  if (p->r.failed) return cut_short(p, "its head");
  if (*n_keys > MOST_KEYS)
    return limn_error_set(p->err, LIMN_ERROR_RANGE, 16,
                          "\"%s\" has %" PRIu64 " keys, more than the %d allowed", g->where,
                          *n_keys, MOST_KEYS);
  return LIMN_OK;
}

static int compare_keys(const limn_gguf_entry *a, const limn_gguf_entry *b) {
  size_t n = a->n_key < b->n_key ? a->n_key : b->n_key;
  int order = memcmp(a->key, b->key, n);
  return order ? order : (a->n_key > b->n_key) - (a->n_key < b->n_key);
}

static int compare_entries(const void *a, const void *b) {
  return compare_keys(a, b);
}

/* In the order of their keys, where a key that is there twice stands beside itself. */
static limn_status sort_entries(parsing *p) {
  limn_gguf *g = p->g;
  if (g->n_entries > 1) qsort(g->entries, g->n_entries, sizeof *g->entries, compare_entries);
  for (size_t i = 1; i < g->n_entries; i++) {
    const limn_gguf_entry *e = &g->entries[i];
    if (compare_keys(e - 1, e) == 0)
      return limn_error_set(p->err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                            "\"%s\": key \"%.*s\" is there twice", g->where, shown(e), e->key);
  }
  return LIMN_OK;
}

limn_status limn_gguf_init(limn_gguf *g, const char *where, const void *bytes, size_t n,
                           limn_error *err) {
  parsing p = {.g = g, .r = limn_reader_of(bytes, n), .err = err};
  uint64_t n_keys = 0;
  *g = (limn_gguf){.where = where};
  limn_status status = read_head(&p, &n_keys);
  for (uint64_t i = 0; status == LIMN_OK && i < n_keys; i++)
    status = read_entry(&p);
  g->tensors_at = p.r.at;
  if (status == LIMN_OK) status = sort_entries(&p);
  if (status != LIMN_OK) limn_gguf_deinit(g);
  return status;
}

void limn_gguf_deinit(limn_gguf *g) {
  limn_free(g->entries);
  *g = (limn_gguf){0};
}

/* ---- values by key -----------------------------------------------------------------------------
 */

const limn_gguf_value *limn_gguf_find(const limn_gguf *g, const char *key) {
  limn_gguf_entry wanted = {.key = key, .n_key = strlen(key)};
  size_t low = 0, high = g->n_entries;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_keys(&wanted, &g->entries[middle]);
    if (order == 0) return &g->entries[middle].value;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

static limn_status need(const limn_gguf *g, const char *key, const limn_gguf_value **out,
                        limn_error *err) {
  *out = limn_gguf_find(g, key);
  if (*out) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET, "\"%s\": key \"%s\" is missing",
                        g->where, key);
}

static limn_status wrong_type(const limn_gguf *g, const char *key, const limn_gguf_value *v,
                              const char *wanted, limn_error *err) {
  return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                        "\"%s\": key \"%s\" is %s%s, expected %s", g->where, key,
                        v->is_array ? "an array of " : "", types[v->type].name, wanted);
}

limn_status limn_gguf_need_string(const limn_gguf *g, const char *key, const char **out, size_t *n,
                                  limn_error *err) {
  const limn_gguf_value *v;
  limn_status status = need(g, key, &v, err);
  if (status != LIMN_OK) return status;
  if (v->is_array || v->type != LIMN_GGUF_STRING) return wrong_type(g, key, v, "string", err);
  limn_reader r = limn_gguf_reader(v);
  *out = limn_gguf_next_string(&r, n);
  return LIMN_OK;
}

/* A number of any width as 64 bits; false for what is no integer or does not fit. */
static bool integer_of(const limn_gguf_value *v, int64_t *out) {
  limn_reader r = limn_gguf_reader(v);
  if (v->is_array) return false;
  switch ((int)v->type) {
  case LIMN_GGUF_U8:
    return *out = limn_read_u8(&r), true;
  case LIMN_GGUF_I8:
    return *out = (int8_t)limn_read_u8(&r), true;
  case LIMN_GGUF_U16:
    return *out = limn_read_u16(&r), true;
  case LIMN_GGUF_I16:
    return *out = (int16_t)limn_read_u16(&r), true;
  case LIMN_GGUF_U32:
    return *out = limn_read_u32(&r), true;
  case LIMN_GGUF_I32:
    return *out = (int32_t)limn_read_u32(&r), true;
  case LIMN_GGUF_U64:
  case LIMN_GGUF_I64:
    *out = (int64_t)limn_read_u64(&r);
    return v->type == LIMN_GGUF_I64 || *out >= 0;
  default:
    return false;
  }
}

limn_status limn_gguf_need_int(const limn_gguf *g, const char *key, int64_t least, int64_t most,
                               int64_t *out, limn_error *err) {
  const limn_gguf_value *v;
  int64_t number;
  limn_status status = need(g, key, &v, err);
  if (status != LIMN_OK) return status;
  if (!integer_of(v, &number)) return wrong_type(g, key, v, "an integer", err);
  if (number < least || number > most)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "\"%s\": key \"%s\" is %" PRId64 ", expected %" PRId64 " to %" PRId64,
                          g->where, key, number, least, most);
  *out = number;
  return LIMN_OK;
}

limn_status limn_gguf_need_bool(const limn_gguf *g, const char *key, bool *out, limn_error *err) {
  const limn_gguf_value *v;
  limn_status status = need(g, key, &v, err);
  if (status != LIMN_OK) return status;
  if (v->is_array || v->type != LIMN_GGUF_BOOL) return wrong_type(g, key, v, "bool", err);
  *out = *v->data == 1;
  return LIMN_OK;
}

limn_status limn_gguf_need_array(const limn_gguf *g, const char *key, limn_gguf_type type,
                                 uint64_t count, const limn_gguf_value **out, limn_error *err) {
  limn_status status = need(g, key, out, err);
  if (status != LIMN_OK) return status;
  const limn_gguf_value *v = *out;
  char wanted[32];
  snprintf(wanted, sizeof wanted, "an array of %s", types[type].name);
  if (!v->is_array || v->type != type) return wrong_type(g, key, v, wanted, err);
  if (count != UINT64_MAX && v->count != count)
    return limn_error_set(err, LIMN_ERROR_FORMAT, LIMN_NO_OFFSET,
                          "\"%s\": key \"%s\" has %" PRIu64 " items, expected %" PRIu64, g->where,
                          key, v->count, count);
  return LIMN_OK;
}

limn_reader limn_gguf_reader(const limn_gguf_value *value) {
  return limn_reader_of(value->data, value->size);
}

const char *limn_gguf_next_string(limn_reader *r, size_t *n) {
  uint64_t size = limn_read_u64(r);
  const char *bytes = limn_read_bytes(r, size);
  *n = bytes ? (size_t)size : 0;
  return bytes;
}
