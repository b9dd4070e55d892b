/* Outputs appear whole or not at all: after failures, discards and signals the old file is there.
 */
#include "base/file.h"
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int count_files(void) {
  DIR *d = opendir(folder);
  int n = 0;
  for (struct dirent *e = readdir(d); e; e = readdir(d))
    n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static void holds(const char *path, const char *expected) {
  char *bytes;
  size_t n;
  limn_error err;
  CHECK_OK(limn_file_read(path, 0, &bytes, &n, &err), err);
  assert_int_equal(n, strlen(expected));
  assert_string_equal(bytes, expected);
  limn_free(bytes);
}

static mode_t mode_of(const char *path) {
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  return info.st_mode & 07777;
}

static void appears_at_commit(void **state) {
  (void)state;
  limn_error err;
  limn_output *o;
  const char *path = in_folder("new");
  CHECK_OK(limn_output_open(path, &o, &err), err);
  CHECK_OK(limn_output_write(o, "one ", 4, &err), err);
  CHECK_OK(limn_output_write(o, "", 0, &err), err);
  CHECK_OK(limn_output_write(o, "two", 3, &err), err);
  assert_false(limn_path_exists(path));
  CHECK_OK(limn_output_commit(o, &err), err);
  holds(path, "one two");
  assert_int_equal(count_files(), 1);
}

static void old_file_stays_until_commit(void **state) {
  (void)state;
  limn_error err;
  limn_output *o;
  const char *path = in_folder("kept");
  CHECK_OK(limn_file_write(path, "old", 3, &err), err);
  CHECK_OK(limn_output_open(path, &o, &err), err);
  CHECK_OK(limn_output_write(o, "new", 3, &err), err);
  holds(path, "old");
  limn_output_discard(o);
  holds(path, "old");
  assert_int_equal(count_files(), 1);
  limn_output_discard(NULL);
}

/* Writes of every size around the buffer's, against the same bytes in memory. */
static void pieces_of_any_size(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 65535, 65536, 65537, 3, 200000, 65533, 0, 1};
  size_t total = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    total += sizes[i];
  unsigned char *expected = malloc(total);
  for (size_t i = 0; i < total; i++)
    expected[i] = (unsigned char)(i * 31 + i / 256);
  limn_error err;
  limn_output *o;
  const char *path = in_folder("pieces");
  CHECK_OK(limn_output_open(path, &o, &err), err);
  size_t at = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; at += sizes[i++])
    CHECK_OK(limn_output_write(o, expected + at, sizes[i], &err), err);
  CHECK_OK(limn_output_commit(o, &err), err);
  limn_file f;
  CHECK_OK(limn_file_open(path, &f, &err), err);
  assert_int_equal(f.size, total);
  assert_memory_equal(f.data, expected, total);
  limn_file_close(&f);
  free(expected);
}

static void modes(void **state) {
  (void)state;
  limn_error err;
  const char *path = in_folder("mode");
  mode_t before = umask(027);
  CHECK_OK(limn_file_write(path, "x", 1, &err), err);
  assert_int_equal(mode_of(path), 0640);
  assert_int_equal(chmod(path, 0604), 0);
  CHECK_OK(limn_file_write(path, "y", 1, &err), err);
  assert_int_equal(mode_of(path), 0604);
  assert_int_equal(umask(before), 027); /* as it was, at the end */
}

static void links_are_followed(void **state) {
  (void)state;
  limn_error err;
  struct stat info;
  CHECK_OK(limn_file_write(in_folder("target"), "old", 3, &err), err);
  assert_int_equal(symlink("target", in_folder("link")), 0);
  CHECK_OK(limn_file_write(in_folder("link"), "new", 3, &err), err);
  assert_int_equal(lstat(in_folder("link"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  holds(in_folder("target"), "new");

  /* Also one that leads, over another and through a folder, to what is not there yet. */
  assert_int_equal(mkdir(in_folder("sub"), 0777), 0);
  assert_int_equal(symlink("sub/second", in_folder("first")), 0);
  assert_int_equal(symlink("../made", in_folder("sub/second")), 0);
  CHECK_OK(limn_file_write(in_folder("first"), "made", 4, &err), err);
  assert_int_equal(lstat(in_folder("first"), &info), 0);
  assert_true(S_ISLNK(info.st_mode));
  holds(in_folder("made"), "made");

  /* One that leads to itself ends in an error, not in a loop. */
  assert_int_equal(symlink("round", in_folder("round")), 0);
  CHECK_FAILS(limn_file_write(in_folder("round"), "x", 1, &err), LIMN_ERROR_IO, err, "round");
}

static void longest_name(void **state) {
  (void)state;
  limn_error err;
  char name[300], path[1024];
  memset(name, 'n', 255);
  name[255] = '\0';
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK_OK(limn_file_write(path, "x", 1, &err), err);
  holds(path, "x");
  assert_int_equal(count_files(), 1);
  memset(name, 'n', 256);
  name[256] = '\0';
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK_FAILS(limn_file_write(path, "x", 1, &err), LIMN_ERROR_IO, err, "nnn");
}

static void where_nothing_can_be_written(void **state) {
  (void)state;
  limn_error err;
  limn_output *o = (limn_output *)folder;
  CHECK_FAILS(limn_output_open(in_folder("no/such/folder"), &o, &err), LIMN_ERROR_NOT_FOUND, err,
              "no/such/folder\": No such file");
  assert_null(o);
  CHECK_FAILS(limn_output_open(folder, &o, &err), LIMN_ERROR_IO, err, "directory");
  CHECK_FAILS(limn_output_open("", &o, &err), LIMN_ERROR_NOT_FOUND, err, "cannot write \"\"");
  assert_int_equal(limn_output_open(in_folder("no/such"), &o, NULL), LIMN_ERROR_NOT_FOUND);
  if (geteuid() == 0) return; /* who may write everywhere */
  CHECK_OK(limn_file_write(in_folder("locked"), "x", 1, &err), err);
  assert_int_equal(chmod(in_folder("locked"), 0444), 0);
  CHECK_FAILS(limn_output_open(in_folder("locked"), &o, &err), LIMN_ERROR_IO, err, "ermission");
}

/* A device that takes nothing: the failure shows at the write that meets it, and stays. */
static void full_device(void **state) {
  (void)state;
  limn_error err;
  limn_output *o;
  if (access("/dev/full", W_OK) != 0) skip();
  CHECK_OK(limn_output_open("/dev/full", &o, &err), err);
  CHECK_OK(limn_output_write(o, "buffered", 8, &err), err);
  CHECK_FAILS(limn_output_commit(o, &err), LIMN_ERROR_IO, err,
              "cannot write \"/dev/full\": No space");
  assert_true(limn_path_exists("/dev/full"));

  static const char large[100000];
  CHECK_OK(limn_output_open("/dev/full", &o, &err), err);
  CHECK_FAILS(limn_output_write(o, large, sizeof large, &err), LIMN_ERROR_IO, err, "No space");
  CHECK_FAILS(limn_output_commit(o, &err), LIMN_ERROR_IO, err, "No space");
}

/* Where standard output is closed, a file gets its number; it is closed all the same. */
static void a_file_in_the_place_of_standard_output(void **state) {
  (void)state;
  limn_error err;
  limn_output *o;
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  for (int is_committed = 0; is_committed < 2; is_committed++) {
    close(STDOUT_FILENO);
    limn_status status = limn_output_open(in_folder("first"), &o, &err);
    bool has_it = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    if (status == LIMN_OK && is_committed) status = limn_output_commit(o, &err);
    if (status == LIMN_OK && !is_committed) limn_output_discard(o);
    bool still = fcntl(STDOUT_FILENO, F_GETFD) >= 0;
    dup2(kept, STDOUT_FILENO);
    CHECK_OK(status, err);
    assert_true(has_it);
    assert_false(still);
  }
  close(kept);
}

/* A file system without room in the middle of a file (here: the process's largest file size). */
static void no_half_file(void **state) {
  (void)state;
  limn_error err;
  const char *path = in_folder("limited");
  CHECK_OK(limn_file_write(path, "old", 3, &err), err);
  pid_t child = fork();
  if (child == 0) {
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
    struct rlimit limit = {100000, 100000};
    setrlimit(RLIMIT_FSIZE, &limit);
    static const char large[70000];
    limn_output *o;
    limn_error why;
    if (limn_output_open(path, &o, &why) != LIMN_OK) _exit(2);
    if (limn_output_write(o, large, sizeof large, &why) != LIMN_OK) _exit(3);
    if (limn_output_write(o, large, sizeof large, &why) != LIMN_ERROR_IO) _exit(4);
    if (limn_output_write(o, "small", 5, &why) != LIMN_OK) _exit(5); /* only buffered */
    if (limn_output_commit(o, &why) != LIMN_ERROR_IO) _exit(6);
    _exit(strstr(why.text, "File too large") ? 0 : 7);
  }
  int status;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  holds(path, "old");
  assert_int_equal(count_files(), 1);
}

/* What takes the file's place in the meantime stays, and the temporary file does not. */
static void commit_that_fails(void **state) {
  (void)state;
  limn_error err;
  limn_output *o;
  CHECK_OK(limn_output_open(in_folder("taken"), &o, &err), err);
  CHECK_OK(limn_output_write(o, "x", 1, &err), err);
  assert_int_equal(mkdir(in_folder("taken"), 0777), 0);
  CHECK_FAILS(limn_output_commit(o, &err), LIMN_ERROR_IO, err, "taken\": Is a directory");
  assert_true(limn_path_is_folder(in_folder("taken")));
  assert_int_equal(count_files(), 1);
}

static void on_signal(int signal) {
  limn_output_discard_all_on_signal();
  _exit(128 + signal);
}

/* Two outputs are open and one is done when the signal comes: the one that is done stays. */
static void signal_leaves_no_half_file(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    limn_output *o[3];
    char names[3][8] = {"a", "b", "done"};
    for (int i = 0; i < 3; i++) {
      if (limn_output_open(in_folder(names[i]), &o[i], NULL) != LIMN_OK) _exit(2);
      static const char large[100000];
      limn_output_write(o[i], large, sizeof large, NULL);
    }
    if (limn_output_commit(o[2], NULL) != LIMN_OK) _exit(3);
    if (count_files() != 3) _exit(4);
    raise(SIGINT);
    _exit(5);
  }
  int status;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 128 + SIGINT);
  assert_int_equal(count_files(), 1);
  assert_true(limn_path_exists(in_folder("done")));
}

/* The table of open outputs is finite: one too many is an error, and each gives its place back. */
static void many_at_once(void **state) {
  (void)state;
  limn_output *open[100];
  char name[32];
  int n = 0;
  limn_error err;
  for (int round = 0; round < 2; round++) {
    for (n = 0; n < 100; n++) {
      snprintf(name, sizeof name, "many-%d", n);
      if (limn_output_open(in_folder(name), &open[n], &err) != LIMN_OK) break;
    }
    assert_int_equal(n, 64);
    assert_int_equal(err.status, LIMN_ERROR_IO);
    assert_null(open[n]);
    while (n > 0)
      limn_output_discard(open[--n]);
    assert_int_equal(count_files(), 0);
  }
}

/* Writers of one path from several threads: each commit is whole, the last one stays. */
static const char *shared_path;
static void *write_often(void *argument) {
  const char *letter = argument;
  char text[5001];
  memset(text, *letter, 5000);
  text[5000] = '\0';
  for (int i = 0; i < 50; i++)
    if (limn_file_write(shared_path, text, 5000, NULL) != LIMN_OK) return argument;
  return NULL;
}

static void threads_share_a_path(void **state) {
  (void)state;
  shared_path = in_folder("shared");
  pthread_t threads[3];
  static char letters[3] = {'a', 'b', 'c'};
  for (int i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, write_often, &letters[i]), 0);
  for (int i = 0; i < 3; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  char *bytes;
  size_t n;
  limn_error err;
  CHECK_OK(limn_file_read(shared_path, 0, &bytes, &n, &err), err);
  assert_int_equal(n, 5000);
  for (size_t i = 1; i < n; i++)
    assert_int_equal(bytes[i], bytes[0]);
  limn_free(bytes);
  assert_int_equal(count_files(), 1);
}

/* Standard output takes the bytes, stays open, and is called by its name in a message. */
static void standard_output(void **state) {
  (void)state;
  limn_error err;
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  int file = open(in_folder("stdout"), O_RDWR | O_CREAT, 0666);
  dup2(file, STDOUT_FILENO);
  limn_status written = limn_file_write("-", "to stdout", 9, &err);
  int full = open("/dev/full", O_WRONLY);
  if (full >= 0) dup2(full, STDOUT_FILENO);
  limn_status refused = full >= 0 ? limn_file_write("-", "x", 1, &err) : LIMN_ERROR_IO;
  bool is_open = fcntl(STDOUT_FILENO, F_GETFD) != -1;
  dup2(kept, STDOUT_FILENO);
  close(kept), close(file);
  if (full >= 0) close(full);
  assert_int_equal(written, LIMN_OK);
  assert_int_equal(refused, LIMN_ERROR_IO);
  assert_true(is_open);
  holds(in_folder("stdout"), "to stdout");
  if (full >= 0)
    assert_string_equal(err.text, "cannot write standard output: No space left on device");
}

static void without_memory(void **state) {
  (void)state;
  limn_error err;
  const char *path = in_folder("memory");
  for (int64_t k = 0;; k++) {
    fail_allocation(k);
    limn_status status = limn_file_write(path, "x", 1, &err);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
    assert_int_equal(count_files(), 0);
    assert_true(k < 10);
  }
  limn_allocator_set(NULL);
  holds(path, "x");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(appears_at_commit),
      IN_FOLDER(old_file_stays_until_commit),
      IN_FOLDER(pieces_of_any_size),
      IN_FOLDER(modes),
      IN_FOLDER(links_are_followed),
      IN_FOLDER(longest_name),
      IN_FOLDER(where_nothing_can_be_written),
      IN_FOLDER(full_device),
      IN_FOLDER(a_file_in_the_place_of_standard_output),
      IN_FOLDER(no_half_file),
      IN_FOLDER(commit_that_fails),
      IN_FOLDER(signal_leaves_no_half_file),
      IN_FOLDER(many_at_once),
      IN_FOLDER(threads_share_a_path),
      IN_FOLDER(standard_output),
      IN_FOLDER(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
