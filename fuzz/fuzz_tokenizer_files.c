/*
 * Any bytes as vocab.json and merges.txt: two bytes say how long the first is, it follows, and the
 * rest is the second. What opens must encode any bytes, and give them back where its vocabulary has
 * all of them (a byte that it lacks is dropped, as Hugging Face's library does).
 */
#include "tokenizer.h"

#include <fcntl.h>

static char folder[64];

static void path_of(char out[128], const char *name) {
  snprintf(out, 128, "%s/%s", folder, name);
}

static void put(const char *name, const uint8_t *data, size_t size) {
  char path[128];
  path_of(path, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

static void remove_files(void) {
  char path[128];
  path_of(path, "vocab.json");
  unlink(path);
  path_of(path, "merges.txt");
  unlink(path);
  rmdir(folder);
}

static bool has_all_bytes(const limn_tokenizer *t) {
  for (int i = 0; i < 256; i++) {
    char byte = (char)i;
    int32_t id = limn_tokenizer_id(t, &byte, 1);
    if (id < 0 || limn_tokenizer_is_special(t, id)) return false;
  }
  return true;
}

static void check(limn_tokenizer *t) {
  char text[520], *back, *printable;
  size_t n = 0, n_back;
  limn_error err;
  limn_tokens tokens = {0};
  for (int i = 0; i < 256; i++)
    text[n++] = (char)i;
  for (int i = 0; i < 256; i++)
    text[n++] = "the an ab aab  \n"[i % 16];
  REQUIRE(limn_tokenizer_encode(t, text, n, LIMN_SPECIAL_ALLOW, &tokens, &err) == LIMN_OK);
  REQUIRE(limn_tokenizer_decode(t, tokens.ids, tokens.n, &back, &n_back, &err) == LIMN_OK);
  if (has_all_bytes(t)) REQUIRE(n_back == n && memcmp(back, text, n) == 0);
  limn_free(back);
  limn_tokens_deinit(&tokens);
  for (int32_t id = 0; id < 300 && id < limn_tokenizer_vocab_size(t); id++) {
    const char *bytes = limn_tokenizer_bytes(t, id, &n);
    limn_status status = limn_tokenizer_printable(t, id, &printable, &err);
    REQUIRE((bytes != NULL) == (status == LIMN_OK));
    if (!bytes) continue;
    limn_free(printable);
    if (!limn_tokenizer_is_special(t, id)) REQUIRE(limn_tokenizer_id(t, bytes, n) >= 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  limn_tokenizer *t;
  limn_error err;
  if (!*folder) {
    strcpy(folder, "/dev/shm/limn-fuzz-XXXXXX");
    REQUIRE(mkdtemp(folder));
    atexit(remove_files);
  }
  if (size < 2) return 0;
  size_t n = (size_t)data[0] | (size_t)data[1] << 8;
  if (n > size - 2) n = size - 2;
  put("vocab.json", data + 2, n);
  put("merges.txt", data + 2 + n, size - 2 - n);
  limn_status status = limn_tokenizer_open(folder, &t, &err);
  if (status == LIMN_OK) {
    check(t);
    fuzz_encode(t);
  } else {
    REQUIRE(!t);
    fuzz_check_error(status, &err);
  }
  limn_tokenizer_close(t);
  return 0;
}
