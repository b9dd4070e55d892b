/* goldens.c - see goldens.h. */
#include "goldens.h"

#include <math.h>
#include <stdlib.h>

json_t *goldens_open(const char *name) {
  char path[512];
  json_error_t error;
  bool is_path = *name == '/' || *name == '.';
  snprintf(path, sizeof path, "%s%s%s", is_path ? "" : LIMN_TEST_DATA, is_path ? "" : "/", name);
  json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
  if (!file) fail_msg("%s: %s at line %d", path, error.text, error.line);
  return file;
}

static float number_from(const char *name, const json_t *x) {
  if (json_is_number(x)) return (float)json_number_value(x);
  const char *word = json_string_value(x);
  if (word && strcmp(word, "inf") == 0) return INFINITY;
  if (word && strcmp(word, "-inf") == 0) return -INFINITY;
  if (!word || strcmp(word, "nan") != 0) fail_msg("%s: an entry that is no number", name);
  return NAN;
}

golden golden_from(const char *name, const json_t *entry) {
  golden g = {.n = 1};
  const json_t *shape = json_object_get(entry, "shape"), *data = json_object_get(entry, "data");
  if (!json_is_array(shape) || !data) fail_msg("%s: no shape and data", name);
  g.rank = (int)json_array_size(shape);
  for (int i = 0; i < g.rank; i++) {
    g.shape[i] = json_integer_value(json_array_get(shape, (size_t)i));
    g.n *= g.shape[i];
  }
  g.data = malloc(((size_t)g.n + 1) * sizeof *g.data);
  assert_non_null(g.data);
  if (!json_is_array(data)) {
    g.data[0] = number_from(name, data);
    return g;
  }
  if ((int64_t)json_array_size(data) != g.n) fail_msg("%s: data does not fit its shape", name);
  for (int64_t i = 0; i < g.n; i++)
    g.data[i] = number_from(name, json_array_get(data, (size_t)i));
  return g;
}

static void write_name(char name[256], const char *format, va_list args) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  vsnprintf(name, 256, format, args);
#pragma GCC diagnostic pop
}

golden golden_at(const json_t *file, const char *format, ...) {
  char name[256];
  va_list args;
  va_start(args, format);
  write_name(name, format, args);
  va_end(args);
  const json_t *entry = json_object_get(file, name);
  if (!entry) fail_msg("no tensor %s", name);
  return golden_from(name, entry);
}

bool golden_has(const json_t *file, const char *format, ...) {
  char name[256];
  va_list args;
  va_start(args, format);
  write_name(name, format, args);
  va_end(args);
  return json_object_get(file, name) != NULL;
}
