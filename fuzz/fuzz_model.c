/*
 * A whole model folder out of any bytes: two bytes say how long config.json is, it follows, and the
 * rest is model.safetensors. It is opened as a folder, and its file alone, as a packed model may
 * be. What opens is run for a few tokens, and an ordinary model is packed: that opens too.
 */
#include "fuzz.h"

#include <fcntl.h>

static char folder[64];

static void put(const char *name, const uint8_t *data, size_t size) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

static void remove_files(void) {
  char path[128];
  snprintf(path, sizeof path, "%s/config.json", folder);
  unlink(path);
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  unlink(path);
  rmdir(folder);
}

/* Tokens 0, 1, 0 or as many as the window holds. */
static void run(const limn_model *model) {
  const limn_config *c = limn_model_config(model);
  const int32_t ids[] = {0, c->vocab_size > 1, 0};
  limn_session *session;
  limn_error err;
  limn_status status = limn_session_new(model, NULL, &session, &err);
  if (status != LIMN_OK) {
    fuzz_check_error(status, &err);
    return;
  }
  status = limn_session_evaluate(session, ids, c->n_ctx < 3 ? (size_t)c->n_ctx : 3, &err);
  REQUIRE(status == LIMN_OK);
  REQUIRE(limn_session_logits(session, NULL) != NULL);
  limn_session_free(session);
}

/* Whether it opened; then it was run. */
static bool try(const char *path, bool *is_packed) {
  limn_model *model;
  limn_error err;
  limn_status status = limn_model_open(path, NULL, &model, &err);
  *is_packed = model && limn_model_packed(model);
  if (status == LIMN_OK) {
    run(model);
  } else {
    REQUIRE(!model);
    fuzz_check_error(status, &err);
  }
  limn_model_close(model);
  return status == LIMN_OK;
}

static void pack(limn_weights weights) {
  char path[128];
  bool is_packed;
  limn_error err;
  limn_pack_options options = {.weights = weights, .is_compact = weights == LIMN_WEIGHTS_Q4};
  snprintf(path, sizeof path, "%s/packed.safetensors", folder);
  limn_status status = limn_model_pack(folder, path, &options, NULL, &err);
  if (status == LIMN_OK)
    REQUIRE(try(path, &is_packed) && is_packed);
  else
    fuzz_check_error(status, &err);
  unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  size_t n = (size_t)data[0] | (size_t)data[1] << 8;
  if (n > size - 2) return 0;
  if (!folder[0]) {
    strcpy(folder, "/dev/shm/limn-fuzz-XXXXXX");
    REQUIRE(mkdtemp(folder));
    atexit(remove_files);
  }
  put("config.json", data + 2, n);
  put("model.safetensors", data + 2 + n, size - 2 - n);
  char path[128];
  bool is_packed;
  snprintf(path, sizeof path, "%s/model.safetensors", folder);
  if (try(folder, &is_packed) && !is_packed) pack((limn_weights)(LIMN_WEIGHTS_F32 + size % 5));
  try(path, &is_packed);
  return 0;
}
