/* The control group's quota: folders that look like /sys/fs/cgroup, in both versions. */
#include "base/cpu.h"
#include "folder.h"

#include <limn/io.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Writes folder/name, making the folders on the way. */
static void put(const char *name, const char *text) {
  char path[1024];
  limn_error err;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = '\0';
    mkdir(path, 0777);
    *slash = '/';
  }
  CHECK_OK(limn_file_write(path, text, strlen(text), &err), err);
}

static int quota(void) {
  char membership[512];
  snprintf(membership, sizeof membership, "%s/membership", folder);
  return limn_cpu_quota(folder, membership);
}

static void no_groups(void **state) {
  (void)state;
  assert_int_equal(quota(), 0);
  put("membership", "");
  assert_int_equal(quota(), 0);
  put("membership", "0::/nowhere/at/all\n");
  assert_int_equal(quota(), 0);
}

static void version_2(void **state) {
  (void)state;
  static const struct {
    const char *max;
    int n;
  } cases[] = {{"max 100000\n", 0},
               {"100000 100000\n", 1},
               {"150000 100000\n", 2},
               {"1000 100000\n", 1},
               {"800000 100000\n", 8},
               {"9223372036854775807 1\n", 1024},
               {"0 100000\n", 0},
               {"-1 100000\n", 0},
               {"100000 0\n", 0},
               {"100000\n", 0},
               {"\n", 0},
               {"", 0},
               {"300000 100000 5\n", 3}};
  put("membership", "0::/user/app\n");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put("user/app/cpu.max", cases[i].max);
    assert_int_equal(quota(), cases[i].n);
  }
}

/* Every group on the way up has a say. */
static void least_of_all_levels(void **state) {
  (void)state;
  put("membership", "0::/a/b\n");
  put("a/b/cpu.max", "700000 100000\n");
  assert_int_equal(quota(), 7);
  put("a/cpu.max", "300000 100000\n");
  assert_int_equal(quota(), 3);
  put("cpu.max", "500000 100000\n");
  assert_int_equal(quota(), 3);
  put("a/cpu.max", "max 100000\n");
  assert_int_equal(quota(), 5);
}

/* In a container the root is the process's group, whatever name the host has for it. */
static void root_group(void **state) {
  (void)state;
  put("cpu.max", "200000 100000\n");
  put("membership", "0::/\n");
  assert_int_equal(quota(), 2);
  put("membership", "0::/host/name/of/it\n");
  assert_int_equal(quota(), 2);
}

static void version_1(void **state) {
  (void)state;
  put("membership", "12:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n");
  put("cpu/docker/x/cpu.cfs_quota_us", "250000\n");
  put("cpu/docker/x/cpu.cfs_period_us", "100000\n");
  assert_int_equal(quota(), 3);
  put("cpu/docker/x/cpu.cfs_quota_us", "-1\n");
  assert_int_equal(quota(), 0);
  put("cpu/cpu.cfs_quota_us", "400000\n");
  put("cpu/cpu.cfs_period_us", "100000\n");
  assert_int_equal(quota(), 4);
  /* Controllers whose names only contain "cpu" are others. */
  put("membership", "3:cpuset,cpuacct:/docker/x\n");
  assert_int_equal(quota(), 0);
}

static void nonsense(void **state) {
  (void)state;
  static const char *const cases[] = {"\n\n", "::", ":", "0", "0:", "0::", "a:b", "::\n::\n:::/x"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put("membership", cases[i]);
    assert_int_equal(quota(), 0);
  }
  char long_name[4500];
  memset(long_name, 'x', sizeof long_name);
  memcpy(long_name, "0::/", 4);
  long_name[4499] = '\0';
  put("membership", long_name);
  assert_int_equal(quota(), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_FOLDER(no_groups),  IN_FOLDER(version_2), IN_FOLDER(least_of_all_levels),
      IN_FOLDER(root_group), IN_FOLDER(version_1), IN_FOLDER(nonsense),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
