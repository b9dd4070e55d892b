/*
 * file.c - a file as memory: mapped, so that opening costs nothing and pages come when touched.
 */
#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limn/io.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned char nothing[1];

static limn_status cannot(limn_error *err, const char *verb, const char *path) {
  limn_status status = errno == ENOENT || errno == ENOTDIR ? LIMN_ERROR_NOT_FOUND
                       : errno == ENOMEM                   ? LIMN_ERROR_MEMORY
                                                           : LIMN_ERROR_IO;
  return limn_error_set(err, status, LIMN_NO_OFFSET, "cannot %s \"%s\": %s", verb, path,
                        strerror(errno));
}

/* Reads until the end into memory that grows: for pipes and other things without a size. */
static limn_status read_all(int fd, const char *path, size_t limit, limn_bytes *bytes,
                            limn_error *err) {
  for (;;) {
    if (!limn_bytes_reserve(bytes, 65536)) return limn_out_of_memory(err, path);
    ssize_t got = read(fd, bytes->data + bytes->size, bytes->capacity - bytes->size - 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return cannot(err, "read", path);
    if (got == 0) break;
    bytes->size += (size_t)got;
    if (limit && bytes->size > limit)
      return limn_error_set(err, LIMN_ERROR_RANGE, limit,
                            "\"%s\" is larger than the %zu bytes allowed", path, limit);
  }
  bytes->data[bytes->size] = '\0';
  return LIMN_OK;
}

static limn_status map_or_read(int fd, const char *path, limn_file *out, limn_error *err) {
  struct stat info;
  if (fstat(fd, &info) != 0) return cannot(err, "read", path);
  if (S_ISDIR(info.st_mode)) {
    errno = EISDIR;
    return cannot(err, "read", path);
  }
  if (S_ISREG(info.st_mode) && info.st_size > 0) {
    void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) return cannot(err, "map", path);
    *out = (limn_file){map, (size_t)info.st_size, true};
    return LIMN_OK;
  }
  limn_bytes bytes = {0};
  limn_status status = read_all(fd, path, 0, &bytes, err);
  if (status == LIMN_OK && bytes.size > 0) {
    *out = (limn_file){(unsigned char *)bytes.data, bytes.size, false};
    return LIMN_OK;
  }
  limn_bytes_deinit(&bytes);
  return status;
}

limn_status limn_file_open(const char *path, limn_file *out, limn_error *err) {
  *out = (limn_file){nothing, 0, false};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot(err, "open", path);
  limn_status status = map_or_read(fd, path, out, err);
  close(fd);
  return status;
}

void limn_file_close(limn_file *f) {
  if (!f || !f->data || f->data == nothing) return;
  uintptr_t address = (uintptr_t)f->data;
  if (f->is_mapped)
    munmap((void *)address, f->size);
  else
    limn_free((void *)address);
  *f = (limn_file){nothing, 0, false};
}

void limn_file_want_huge_pages(const limn_file *f) {
  uintptr_t address = (uintptr_t)f->data;
  if (f->is_mapped) (void)madvise((void *)address, f->size, MADV_HUGEPAGE);
}

/* A private mapping that nobody wrote to has nothing to lose; memory from the heap would. */
void limn_file_release(const limn_file *f, const void *start, size_t n) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  uintptr_t begin = ((uintptr_t)start + page - 1) / page * page;
  uintptr_t end = ((uintptr_t)start + n) / page * page;
  if (f->is_mapped && begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
}

limn_status limn_file_read(const char *path, size_t limit, char **bytes, size_t *n,
                           limn_error *err) {
  *bytes = NULL;
  *n = 0;
  bool is_stdin = strcmp(path, "-") == 0;
  int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot(err, "open", path);
  limn_bytes all = {0};
  limn_status status = read_all(fd, is_stdin ? "standard input" : path, limit, &all, err);
  if (!is_stdin) close(fd);
  if (status != LIMN_OK) {
    limn_bytes_deinit(&all);
    return status;
  }
  *bytes = all.data;
  *n = all.size;
  return LIMN_OK;
}

bool limn_path_exists(const char *path) {
  return access(path, F_OK) == 0;
}

bool limn_path_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

char *limn_path_join(const char *folder, const char *name) {
  limn_bytes path = {0};
  size_t n = strlen(folder);
  bool needs_slash = n > 0 && folder[n - 1] != '/';
  if (limn_bytes_append(&path, folder, n) && (!needs_slash || limn_bytes_append(&path, "/", 1)) &&
      limn_bytes_append(&path, name, strlen(name)))
    return path.data;
  limn_bytes_deinit(&path);
  return NULL;
}
