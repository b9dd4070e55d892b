/*
 * output.c - files that appear whole or not at all.
 *
 * The bytes go to "PATH.XXXXXX" in the same folder; rename() then puts the file in place in one
 * step, which POSIX makes atomic. The names of open temporary files stand in a fixed table, so that
 * a signal handler can remove them without touching the heap.
 */
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limn/io.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PENDING 64
#define PATH_ROOM   4096

struct limn_output {
  int fd;
  int slot; /* in `pending`, or -1 when written directly */
  char *path;
  size_t n_buffered;
  char buffer[1 << 16];
};

static struct {
  atomic_bool is_used;
  char path[PATH_ROOM];
} pending[MAX_PENDING];
static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;

void limn_output_discard_all_on_signal(void) {
  for (int i = 0; i < MAX_PENDING; i++) {
    if (atomic_load(&pending[i].is_used)) unlink(pending[i].path);
  }
}

static limn_status cannot_write(limn_error *err, const char *path) {
  return limn_error_set(err, errno == ENOENT ? LIMN_ERROR_NOT_FOUND : LIMN_ERROR_IO, LIMN_NO_OFFSET,
                        "cannot write \"%s\": %s", path, strerror(errno));
}

/* mkstemp gives 0600; a new file gets what open() would have given it, an old one keeps its mode.
 */
static void copy_mode(int fd, const char *path) {
  struct stat old;
  mode_t mask = umask(0);
  umask(mask);
  mode_t mode = stat(path, &old) == 0 ? old.st_mode & 07777 : 0666 & ~mask;
  if (fchmod(fd, mode) != 0) errno = 0; /* the file is still usable */
}

static bool open_beside(limn_output *o) {
  static const char suffix[] = ".XXXXXX";
  size_t n = strlen(o->path);
  if (n + sizeof suffix > PATH_ROOM) {
    errno = ENAMETOOLONG;
    return false;
  }
  /* A signal's handler must find the name of every file that is there. (The threads of a pool take
     no signals.) */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  pthread_mutex_lock(&pending_lock);
  for (o->slot = 0; o->slot < MAX_PENDING && atomic_load(&pending[o->slot].is_used);)
    o->slot++;
  if (o->slot < MAX_PENDING) {
    char *temporary = pending[o->slot].path;
    memcpy(temporary, o->path, n);
    memcpy(temporary + n, suffix, sizeof suffix);
    o->fd = mkostemp(temporary, O_CLOEXEC);
    if (o->fd >= 0) atomic_store(&pending[o->slot].is_used, true);
  } else {
    errno = EMFILE;
  }
  pthread_mutex_unlock(&pending_lock);
  int reason = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = reason;
  if (o->fd >= 0) copy_mode(o->fd, o->path);
  return o->fd >= 0;
}

/* A link is followed, so that it goes on pointing at the new content. */
static char *resolve(const char *path) {
  char *real = realpath(path, NULL);
  char *copy = limn_copy_string(real ? real : path, strlen(real ? real : path));
  free(real);
  return copy;
}

static bool open_target(limn_output *o) {
  struct stat info;
  if (strcmp(o->path, "-") == 0) {
    o->fd = STDOUT_FILENO;
    return true;
  }
  if (stat(o->path, &info) != 0 || S_ISREG(info.st_mode)) {
    /* A read-only file is refused before anything is written, as open() would. */
    if (access(o->path, W_OK) != 0 && errno != ENOENT) return false;
    return open_beside(o);
  }
  o->fd = open(o->path, O_WRONLY | O_CLOEXEC);
  return o->fd >= 0;
}

limn_status limn_output_open(const char *path, limn_output **out, limn_error *err) {
  *out = NULL;
  limn_output *o = limn_alloc(sizeof *o);
  char *copy = strcmp(path, "-") == 0 ? limn_copy_string("-", 1) : resolve(path);
  if (!o || !copy) {
    limn_free(o);
    limn_free(copy);
    return limn_out_of_memory(err, path);
  }
  o->fd = -1;
  o->slot = -1;
  o->n_buffered = 0;
  o->path = copy;
  if (!open_target(o)) {
    limn_status status = cannot_write(err, path);
    limn_free(copy);
    limn_free(o);
    return status;
  }
  *out = o;
  return LIMN_OK;
}

static limn_status write_through(limn_output *o, const char *bytes, size_t n, limn_error *err) {
  while (n > 0) {
    ssize_t put = write(o->fd, bytes, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return cannot_write(err, o->path);
    bytes += put;
    n -= (size_t)put;
  }
  return LIMN_OK;
}

static limn_status flush(limn_output *o, limn_error *err) {
  size_t n = o->n_buffered;
  o->n_buffered = 0;
  return write_through(o, o->buffer, n, err);
}

limn_status limn_output_write(limn_output *o, const void *bytes, size_t n, limn_error *err) {
  if (n > sizeof o->buffer - o->n_buffered) {
    limn_status status = flush(o, err);
    if (status != LIMN_OK) return status;
    if (n > sizeof o->buffer) return write_through(o, bytes, n, err);
  }
  memcpy(o->buffer + o->n_buffered, bytes, n);
  o->n_buffered += n;
  return LIMN_OK;
}

static void end(limn_output *o) {
  if (o->slot >= 0) atomic_store(&pending[o->slot].is_used, false);
  limn_free(o->path);
  limn_free(o);
}

void limn_output_discard(limn_output *o) {
  if (!o) return;
  if (o->fd != STDOUT_FILENO) close(o->fd);
  if (o->slot >= 0) unlink(pending[o->slot].path);
  end(o);
}

limn_status limn_output_commit(limn_output *o, limn_error *err) {
  limn_status status = flush(o, err);
  if (status != LIMN_OK) {
    limn_output_discard(o);
    return status;
  }
  if (o->fd != STDOUT_FILENO && close(o->fd) != 0) status = cannot_write(err, o->path);
  if (o->slot >= 0) {
    const char *temporary = pending[o->slot].path;
    if (status == LIMN_OK && rename(temporary, o->path) != 0) status = cannot_write(err, o->path);
    if (status != LIMN_OK) unlink(temporary);
  }
  end(o);
  return status;
}

limn_status limn_file_write(const char *path, const void *bytes, size_t n, limn_error *err) {
  limn_output *o;
  limn_status status = limn_output_open(path, &o, err);
  if (status != LIMN_OK) return status;
  status = limn_output_write(o, bytes, n, err);
  if (status == LIMN_OK) return limn_output_commit(o, err);
  limn_output_discard(o);
  return status;
}

limn_status limn_write_to_output(void *user, const void *bytes, size_t n, limn_error *err) {
  return limn_output_write(user, bytes, n, err);
}
