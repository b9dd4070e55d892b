/*
 * Any text as an edit of a tiny model: it is refused with a message, or it is applied to a prompt
 * and to a token after it. "@F" stands for a file of that model's activations; no other is opened.
 */
#include "fuzz.h"

static limn_model *model;
static char folder[64], file[96];

static limn_status record(void *user, const limn_observation *seen, limn_error *err) {
  return limn_safetensors_writer_add_f32(user, seen->name, &seen->value, err);
}

static void remove_file(void) {
  unlink(file);
  rmdir(folder);
  limn_model_close(model);
}

/* The model lies in the source tree, beside this file. */
static void prepare(void) {
  static const int32_t ids[] = {7, 8, 9, 10};
  static const float small[5];
  char path[4096];
  limn_session *s;
  limn_safetensors_writer *w;
  limn_error err;
  const char *slash = strrchr(__FILE__, '/');
  REQUIRE(slash);
  snprintf(path, sizeof path, "%.*s/../tests/data/gpt2-tiny/f32", (int)(slash - __FILE__),
           __FILE__);
  strcpy(folder, "/dev/shm/limn-fuzz-XXXXXX");
  REQUIRE(mkdtemp(folder));
  snprintf(file, sizeof file, "%s/F.safetensors", folder);
  REQUIRE(limn_model_open(path, NULL, &model, &err) == LIMN_OK);
  REQUIRE(limn_session_new(model, NULL, &s, &err) == LIMN_OK);
  REQUIRE(limn_safetensors_writer_open(file, 0, &w, &err) == LIMN_OK);
  REQUIRE(limn_session_observe(s, "*", LIMN_OBSERVE_READ, record, w, NULL, &err) == LIMN_OK);
  REQUIRE(limn_session_evaluate(s, ids, 4, &err) == LIMN_OK);
  const limn_stored v = {small, LIMN_F32, 1, {5}};
  REQUIRE(limn_safetensors_writer_add(w, "v", &v, &err) == LIMN_OK);
  REQUIRE(limn_safetensors_writer_commit(w, &err) == LIMN_OK);
  limn_session_free(s);
  atexit(remove_file);
}

static void apply(limn_edit *e) {
  static const int32_t ids[] = {1, 2, 3, 4, 5};
  limn_session *s;
  limn_error err;
  REQUIRE(limn_session_new(model, NULL, &s, &err) == LIMN_OK);
  REQUIRE(limn_edit_attach(e, s, NULL, &err) == LIMN_OK);
  limn_status status = limn_session_evaluate(s, ids, 4, &err);
  if (status == LIMN_OK) status = limn_session_evaluate(s, ids + 4, 1, &err);
  if (status != LIMN_OK) {
    fuzz_check_error(status, &err);
    REQUIRE(status == LIMN_ERROR_SHAPE);
  }
  REQUIRE(limn_edit_count(e) >= 0);
  limn_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char text[700];
  if (!model) prepare();
  if (size > 500 || memchr(data, 0, size)) return 0;
  const uint8_t *at = memchr(data, '@', size);
  size_t n = at ? (size_t)(at - data) : size;
  if (at && (size - n < 2 || at[1] != 'F')) return 0;
  snprintf(text, sizeof text, "%.*s%s%s%.*s", (int)n, (const char *)data, at ? "@" : "",
           at ? file : "", at ? (int)(size - n - 2) : 0, at ? (const char *)at + 2 : "");
  limn_edit *e;
  limn_error err;
  limn_status status = limn_edit_new(model, text, &e, &err);
  if (status == LIMN_OK) {
    REQUIRE(strcmp(limn_edit_text(e), text) == 0);
    apply(e);
  } else {
    REQUIRE(!e);
    fuzz_check_error(status, &err);
  }
  limn_edit_free(e);
  return 0;
}
