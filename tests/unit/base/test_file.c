/* Whole files as memory: what is there, what is not, and what is no file. */
#include "base/file.h"
#include "base/memory.h"
#include "folder.h"

#include <fcntl.h>
#include <limn/io.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void maps_a_file(void **state) {
  (void)state;
  limn_error err;
  limn_file f;
  CHECK_OK(limn_file_write(in_folder("f"), "content", 7, &err), err);
  CHECK_OK(limn_file_open(in_folder("f"), &f, &err), err);
  assert_true(f.is_mapped);
  assert_int_equal(f.size, 7);
  assert_memory_equal(f.data, "content", 7);
  /* The mapping outlives the name. */
  assert_int_equal(unlink(in_folder("f")), 0);
  assert_memory_equal(f.data, "content", 7);
  limn_file_close(&f);
  limn_file_close(&f);
  limn_file_close(NULL);
}

/* What was released reads as before: mapped pages come back, other memory is left alone. */
static void released_pages(void **state) {
  (void)state;
  enum { SIZE = 100000 };
  static char bytes[SIZE];
  limn_error err;
  limn_file f;
  for (int i = 0; i < SIZE; i++)
    bytes[i] = (char)(i % 251 + 1);
  CHECK_OK(limn_file_write(in_folder("f"), bytes, SIZE, &err), err);
  CHECK_OK(limn_file_open(in_folder("f"), &f, &err), err);
  limn_file_want_huge_pages(&f);
  for (size_t n = 0; n <= SIZE; n += 777) {
    limn_file_release(&f, f.data + (SIZE - n), n);
    limn_file_release(&f, f.data, n);
    assert_memory_equal(f.data, bytes, SIZE);
  }
  limn_file heap = {(const unsigned char *)bytes, SIZE, false};
  limn_file_release(&heap, bytes, SIZE);
  assert_int_equal(bytes[SIZE / 2], SIZE / 2 % 251 + 1);
  limn_file_close(&f);
}

static void empty_file(void **state) {
  (void)state;
  limn_error err;
  limn_file f;
  char *bytes;
  size_t n;
  CHECK_OK(limn_file_write(in_folder("empty"), NULL, 0, &err), err);
  CHECK_OK(limn_file_open(in_folder("empty"), &f, &err), err);
  assert_non_null(f.data);
  assert_int_equal(f.size, 0);
  limn_file_close(&f);
  CHECK_OK(limn_file_read(in_folder("empty"), 0, &bytes, &n, &err), err);
  assert_int_equal(n, 0);
  assert_string_equal(bytes, "");
  limn_free(bytes);
}

static void what_cannot_be_opened(void **state) {
  (void)state;
  limn_error err;
  CHECK_OK(limn_file_write(in_folder("plain"), "x", 1, &err), err);
  static const struct {
    const char *name;
    limn_status status;
    const char *text;
  } cases[] = {
      {"missing", LIMN_ERROR_NOT_FOUND, "missing\": No such file"},
      {"no/folder", LIMN_ERROR_NOT_FOUND, "no/folder\": No such file"},
      {"plain/inside", LIMN_ERROR_NOT_FOUND, "plain/inside\": Not a directory"},
      {".", LIMN_ERROR_IO, "Is a directory"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_file f;
    char *bytes = folder;
    size_t n = 7;
    CHECK_FAILS(limn_file_open(in_folder(cases[i].name), &f, &err), cases[i].status, err,
                cases[i].text);
    assert_int_equal(f.size, 0);
    limn_file_close(&f);
    CHECK_FAILS(limn_file_read(in_folder(cases[i].name), 0, &bytes, &n, &err), cases[i].status, err,
                cases[i].text);
    assert_null(bytes);
    assert_int_equal(n, 0);
  }
}

static void limits(void **state) {
  (void)state;
  limn_error err;
  char *bytes, *large = calloc(1, 300000);
  size_t n;
  CHECK_OK(limn_file_write(in_folder("l"), large, 300000, &err), err);
  CHECK_OK(limn_file_read(in_folder("l"), 300000, &bytes, &n, &err), err);
  assert_int_equal(n, 300000);
  limn_free(bytes);
  fail_allocation(-1);
  CHECK_FAILS(limn_file_read(in_folder("l"), 299999, &bytes, &n, &err), LIMN_ERROR_RANGE, err,
              "299999 bytes allowed");
  assert_null(bytes);
  assert_int_equal(allocations_live(), 0);
  free(large);
}

/* What has no size is read until it ends: a named pipe, filled by another thread in small writes.
 */
static void *feed(void *argument) {
  int fd = open(argument, O_WRONLY);
  for (int i = 0; i < 3000; i++)
    if (write(fd, "0123456789", 10) != 10) break;
  close(fd);
  return NULL;
}

static void pipes(void **state) {
  (void)state;
  limn_error err;
  limn_file f;
  char path[1024];
  snprintf(path, sizeof path, "%s/pipe", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  pthread_t feeder;
  assert_int_equal(pthread_create(&feeder, NULL, feed, path), 0);
  CHECK_OK(limn_file_open(path, &f, &err), err);
  pthread_join(feeder, NULL);
  assert_false(f.is_mapped);
  assert_int_equal(f.size, 30000);
  for (size_t i = 0; i < f.size; i++)
    assert_int_equal(f.data[i], '0' + (int)(i % 10));
  limn_file_close(&f);
}

/* Files of /proc say that they are empty, and are not. */
static void files_without_a_size(void **state) {
  (void)state;
  limn_error err;
  limn_file f;
  if (!limn_path_exists("/proc/self/status")) skip();
  CHECK_OK(limn_file_open("/proc/self/status", &f, &err), err);
  assert_true(f.size > 0);
  limn_file_close(&f);
}

static void paths(void **state) {
  (void)state;
  static const char *const cases[][3] = {
      {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"}, {"/", "b", "/b"}, {"a", "", "a/"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *path = limn_path_join(cases[i][0], cases[i][1]);
    assert_string_equal(path, cases[i][2]);
    limn_free(path);
  }
  assert_true(limn_path_is_folder(folder));
  assert_false(limn_path_is_folder(in_folder("none")));
  assert_false(limn_path_exists(in_folder("none")));
}

static void without_memory(void **state) {
  (void)state;
  limn_error err;
  char large[200000];
  memset(large, 'x', sizeof large);
  CHECK_OK(limn_file_write(in_folder("m"), large, sizeof large, &err), err);
  for (int64_t k = 0;; k++) {
    char *bytes;
    size_t n;
    fail_allocation(k);
    limn_status status = limn_file_read(in_folder("m"), 0, &bytes, &n, &err);
    if (status == LIMN_OK) {
      assert_int_equal(n, sizeof large);
      limn_free(bytes);
    } else {
      assert_int_equal(status, LIMN_ERROR_MEMORY);
      assert_null(bytes);
    }
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
  }
  fail_allocation(0);
  assert_null(limn_path_join("a", "b"));
  assert_int_equal(allocations_live(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(maps_a_file),          IN_FOLDER(empty_file), IN_FOLDER(what_cannot_be_opened),
      IN_FOLDER(released_pages),       IN_FOLDER(limits),     IN_FOLDER(pipes),
      IN_FOLDER(files_without_a_size), IN_FOLDER(paths),      IN_FOLDER(without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
