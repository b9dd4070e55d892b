/*
 * folder.c - what the commands that write a folder share.
 */
#include "folder.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *cli_path_in(const char *folder, const char *name) {
  size_t n = strlen(folder) + strlen(name) + 2;
  char *path = limn_alloc(n);
  if (path) snprintf(path, n, "%s/%s", folder, name);
  return path;
}

/* In memory of its own, because a signal handler cannot ask for any. */
enum { PATH_ROOM = 4096, NAME_ROOM = 256 };
static struct {
  char path[PATH_ROOM + NAME_ROOM]; /* a folder, and behind it the name of a file in it */
  size_t n;
  atomic_bool is_new;
  const char *const *_Atomic names; /* or NULL */
} made;

void cli_folder_is_half(const char *const *names) {
  atomic_store(&made.names, names);
}

void cli_folder_is_whole(void) {
  atomic_store(&made.names, NULL);
  atomic_store(&made.is_new, false);
}

void cli_discard_folder(void) {
  int before = errno;
  const char *const *names = atomic_load(&made.names);
  for (; names && *names; names++) {
    made.path[made.n] = '/';
    strncpy(made.path + made.n + 1, *names, sizeof made.path - made.n - 2);
    unlink(made.path);
    made.path[made.n] = '\0';
  }
  if (atomic_load(&made.is_new)) rmdir(made.path);
  cli_folder_is_whole();
  errno = before;
}

limn_status cli_make_folder(const char *folder, limn_error *err) {
  struct stat info;
  made.n = strlen(folder);
  if (made.n < PATH_ROOM) { /* else there is no such folder */
    memcpy(made.path, folder, made.n + 1);
    /* Known before it is there, so that no signal finds it unknown. */
    atomic_store(&made.is_new, stat(folder, &info) != 0);
  }
  if (mkdir(folder, 0777) == 0) return LIMN_OK;
  int reason = errno;
  atomic_store(&made.is_new, false);
  bool is_there = reason == EEXIST && stat(folder, &info) == 0 && S_ISDIR(info.st_mode);
  if (is_there && access(folder, W_OK | X_OK) == 0) return LIMN_OK;
  if (is_there) reason = errno;
  return limn_error_set(err, LIMN_ERROR_IO, LIMN_NO_OFFSET, "cannot %s folder \"%s\": %s",
                        is_there ? "write in" : "make", folder,
                        reason == EEXIST ? "it is a file" : strerror(reason));
}

limn_status cli_write_json(const char *path, void (*write)(const void *user, limn_json *j),
                           const void *user, limn_error *err) {
  limn_output *out;
  limn_json j;
  limn_status status = limn_output_open(path, &out, err);
  if (status != LIMN_OK) return status;
  limn_json_init(&j, limn_write_to_output, out, true, err);
  write(user, &j);
  status = limn_json_end(&j);
  if (status == LIMN_OK) return limn_output_commit(out, err);
  limn_output_discard(out);
  return status;
}

limn_status cli_write_figure(const limn_figure *f, const char *folder, const char *name,
                             limn_error *err) {
  static const char *const endings[] = {"png", "svg"};
  limn_status status = LIMN_OK;
  for (int i = 0; status == LIMN_OK && i < 2; i++) {
    char file[128];
    snprintf(file, sizeof file, "%s.%s", name, endings[i]);
    char *path = cli_path_in(folder, file);
    status = path ? limn_figure_write(f, path, err) : cli_no_memory(err);
    limn_free(path);
  }
  return status;
}

char **cli_token_labels(const cli_model *m, const int32_t *ids, size_t n) {
  char **labels = calloc(n + 1, sizeof *labels);
  for (size_t i = 0; labels && i < n; i++) {
    size_t size = 0;
    FILE *to = open_memstream(&labels[i], &size);
    if (to) cli_print_token(to, m, ids[i], 0, 18);
    if (to && fclose(to) == 0) continue;
    labels[i] = NULL;
    cli_free_labels(labels);
    return NULL;
  }
  return labels;
}

void cli_free_labels(char **labels) {
  for (size_t i = 0; labels && labels[i]; i++)
    free(labels[i]);
  free(labels);
}
