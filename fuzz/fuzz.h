/*
 * fuzz.h - what the fuzz targets share: bytes as a file, and a check that stays in release builds.
 */
#ifndef LIMN_FUZZ_H
#define LIMN_FUZZ_H

#include <limn/limn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define REQUIRE(condition)                                                                         \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

/* The bytes as a file in memory; its path is good until the next call. */
static inline const char *fuzz_file(const uint8_t *data, size_t size) {
  static char path[64];
  static int fd = -1;
  if (fd < 0) fd = memfd_create("input", MFD_CLOEXEC);
  REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
  REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return path;
}

/* An error has its status, a text of one line, and no full stop. */
static inline void fuzz_check_error(limn_status status, const limn_error *err) {
  REQUIRE(status == err->status && status != LIMN_OK);
  size_t n = strlen(err->text);
  REQUIRE(n > 0 && n < LIMN_ERROR_TEXT_SIZE && !strchr(err->text, '\n'));
}

#endif
