/* reference.c - see reference.h. */
#include "reference.h"

#include <jansson.h>

static void read_ids(reference *r) {
  char path[600];
  snprintf(path, sizeof path, "%s/reference.json", r->folder);
  json_t *root = json_load_file(path, 0, NULL);
  json_t *ids = json_object_get(root, "input_ids");
  r->n_ids = json_array_size(ids);
  if (r->n_ids == 0 || r->n_ids > 64) fail_msg("%s: no input_ids", path);
  for (size_t i = 0; i < r->n_ids; i++)
    r->ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
  json_decref(root);
}

void reference_open(reference *r, const char *name, limn_pool *pool) {
  limn_error err;
  char path[600];
  snprintf(r->folder, sizeof r->folder, "%s/gpt2-tiny/%s", LIMN_TEST_DATA, name);
  CHECK_OK(limn_model_open(r->folder, pool, &r->model, &err), err);
  snprintf(path, sizeof path, "%s/reference.safetensors", r->folder);
  CHECK_OK(limn_safetensors_open(path, &r->tensors, &err), err);
  read_ids(r);
}

void reference_close(reference *r) {
  limn_model_close(r->model);
  limn_safetensors_close(r->tensors);
}

int reference_set_up(void **state) {
  static reference r;
  reference_open(&r, "f32", NULL);
  *state = &r;
  return 0;
}

int reference_tear_down(void **state) {
  reference_close(*state);
  return 0;
}
