/*
 * output.c - files that appear whole or not at all.
 *
 * The bytes go to "PATH.tmp-..." in the same folder; rename() then puts the file in place in one
 * step, which POSIX makes atomic. The names of open temporary files stand in a fixed table, so that
 * a signal handler can remove them without touching the heap. The temporary file is created by
 * open() with O_EXCL and not by mkstemp(), because then the kernel applies the process's umask:
 * asking for the umask means setting it, which other threads would notice.
 */
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limn/io.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_PENDING 64
#define PATH_ROOM   4096
#define MAX_LINKS   40 /* as many as Linux follows */

struct limn_output {
  int fd;
  int slot;   /* in `pending`, or -1 when written directly */
  int failed; /* errno of the first failed write: what follows it may not be committed */
  char *path;
  size_t n_buffered;
  char buffer[1 << 16];
};

static struct {
  atomic_bool is_used; /* `path` is a file to remove */
  bool is_claimed;     /* an output has it; under the lock */
  char path[PATH_ROOM];
} pending[MAX_PENDING];
static pthread_mutex_t pending_lock = PTHREAD_MUTEX_INITIALIZER;

void limn_output_discard_all_on_signal(void) {
  int before = errno;
  for (int i = 0; i < MAX_PENDING; i++) {
    if (atomic_load(&pending[i].is_used)) unlink(pending[i].path);
  }
  errno = before;
}

static limn_status cannot_write(limn_error *err, const char *path) {
  const char *quote = strcmp(path, "-") == 0 ? "" : "\"";
  return limn_error_set(err, errno == ENOENT ? LIMN_ERROR_NOT_FOUND : LIMN_ERROR_IO, LIMN_NO_OFFSET,
                        "cannot write %s%s%s: %s", quote, *quote ? path : "standard output", quote,
                        strerror(errno));
}

/* A slot of the table for this output, and the number of an attempt that no other output has. */
static int claim_slot(unsigned *attempt) {
  static unsigned n_attempts;
  int slot = 0;
  pthread_mutex_lock(&pending_lock);
  *attempt = n_attempts++;
  while (slot < MAX_PENDING && pending[slot].is_claimed)
    slot++;
  if (slot < MAX_PENDING) pending[slot].is_claimed = true;
  pthread_mutex_unlock(&pending_lock);
  return slot;
}

static void give_back_slot(int slot) {
  atomic_store(&pending[slot].is_used, false);
  pthread_mutex_lock(&pending_lock);
  pending[slot].is_claimed = false;
  pthread_mutex_unlock(&pending_lock);
}

/* "PATH.tmp-PID-TIME-ATTEMPT", the file's own name cut where the file system would refuse it. */
static bool name_temporary(char out[PATH_ROOM], const char *path, unsigned attempt) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int n = snprintf(out, PATH_ROOM, "%.*s%.200s.tmp-%lx-%lx-%x", (int)(name - path), path, name,
                   (unsigned long)getpid(), (unsigned long)now.tv_nsec, attempt);
  if (n > 0 && n < PATH_ROOM) return true;
  errno = ENAMETOOLONG;
  return false;
}

/* A new file gets the mode that open() gives it; a replaced one keeps its mode, and its owner where
 * that may be. */
static int create_temporary(const char *temporary, const char *path) {
  struct stat old;
  bool replaces = stat(path, &old) == 0;
  int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
  if (fd < 0 || !replaces) return fd;
  bool is_same_owner = old.st_uid == geteuid() && old.st_gid == getegid();
  if (!is_same_owner && fchown(fd, old.st_uid, old.st_gid) != 0) errno = 0;
  if (fchmod(fd, old.st_mode & 0777) != 0) errno = 0; /* the file is still usable */
  return fd;
}

static bool open_beside(limn_output *o) {
  unsigned attempt;
  o->slot = claim_slot(&attempt);
  if (o->slot == MAX_PENDING) {
    o->slot = -1;
    errno = EMFILE;
    return false;
  }
  char *temporary = pending[o->slot].path;
  if (name_temporary(temporary, o->path, attempt)) {
    /* Marked before it is there, so that no signal finds the file unknown. */
    atomic_store(&pending[o->slot].is_used, true);
    o->fd = create_temporary(temporary, o->path);
  }
  if (o->fd >= 0) return true;
  int why = errno;
  give_back_slot(o->slot);
  o->slot = -1;
  errno = why;
  return false;
}

/* Where a link that points at nothing yet points to, from limn_alloc; NULL where `path` is none. */
static char *read_link(const char *path) {
  char target[PATH_ROOM], folder[PATH_ROOM];
  ssize_t n = readlink(path, target, sizeof target - 1);
  if (n <= 0) return NULL;
  target[n] = '\0';
  const char *slash = strrchr(path, '/');
  size_t folder_size = slash && target[0] != '/' ? (size_t)(slash - path) : 0;
  if (folder_size == 0) return limn_copy_string(target, (size_t)n);
  if (folder_size >= sizeof folder) return NULL;
  memcpy(folder, path, folder_size);
  folder[folder_size] = '\0';
  return limn_path_join(folder, target);
}

/* A link is followed, so that it goes on pointing at the new content. NULL without memory. */
static char *resolve(const char *path) {
  char *real = realpath(path, NULL);
  char *copy = limn_copy_string(real ? real : path, strlen(real ? real : path));
  bool is_there = real != NULL;
  free(real);
  for (int i = 0; i < MAX_LINKS && copy && !is_there; i++) {
    char *target = read_link(copy);
    if (!target) break;
    limn_free(copy);
    copy = target;
  }
  return copy;
}

static bool open_target(limn_output *o) {
  struct stat info;
  if (strcmp(o->path, "-") == 0) {
    o->fd = STDOUT_FILENO;
    return true;
  }
  if (!*o->path) {
    errno = ENOENT;
    return false;
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
  o->failed = 0;
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
  while (n > 0 && !o->failed) {
    ssize_t put = write(o->fd, bytes, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      o->failed = errno;
    } else {
      bytes += put;
      n -= (size_t)put;
    }
  }
  errno = o->failed;
  return o->failed ? cannot_write(err, o->path) : LIMN_OK;
}

limn_status limn_output_flush(limn_output *o, limn_error *err) {
  size_t n = o->n_buffered;
  o->n_buffered = 0;
  return write_through(o, o->buffer, n, err);
}

limn_status limn_output_write(limn_output *o, const void *bytes, size_t n, limn_error *err) {
  if (n > sizeof o->buffer - o->n_buffered) {
    limn_status status = limn_output_flush(o, err);
    if (status != LIMN_OK) return status;
    if (n > sizeof o->buffer) return write_through(o, bytes, n, err);
  }
  if (n) memcpy(o->buffer + o->n_buffered, bytes, n);
  o->n_buffered += n;
  return LIMN_OK;
}

/* Standard output stays open. By the name: where it was closed, a file may have its number. */
static int close_file(const limn_output *o) {
  return strcmp(o->path, "-") == 0 ? 0 : close(o->fd);
}

static void end(limn_output *o) {
  if (o->slot >= 0) give_back_slot(o->slot);
  limn_free(o->path);
  limn_free(o);
}

void limn_output_discard(limn_output *o) {
  if (!o) return;
  close_file(o);
  if (o->slot >= 0) unlink(pending[o->slot].path);
  end(o);
}

limn_status limn_output_commit(limn_output *o, limn_error *err) {
  /* After a failed write this flush has nothing to write, and fails again. */
  limn_status status = limn_output_flush(o, err);
  if (status != LIMN_OK) {
    limn_output_discard(o);
    return status;
  }
  if (close_file(o) != 0) status = cannot_write(err, o->path);
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
