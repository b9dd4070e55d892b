/*
 * cpu.c - how many processors this process may use, and what they can do.
 *
 * The number of online processors is the wrong answer in a container: the affinity mask and the
 * control group's quota (cpu.max in version 2, cpu.cfs_quota_us in version 1) both cut it down.
 */
#include <fcntl.h>
#include <limn/base.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A small file as text; false when it cannot be read. */
static bool read_text(const char *path, char *out, size_t capacity) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, out, capacity - 1);
  close(fd);
  if (n <= 0) return false;
  out[n] = '\0';
  return true;
}

static bool read_number(const char *path, int64_t *out) {
  char text[64];
  return read_text(path, text, sizeof text) && limn_parse_int(text, strcspn(text, " \n"), out);
}

/* The smallest quota on the way from this process's group up to the root, rounded up. */
static int quota_v2(void) {
  char group[1024], path[1280], text[64];
  if (!read_text("/proc/self/cgroup", group, sizeof group)) return 0;
  char *name = strstr(group, "0::");
  if (!name) return 0;
  name += 3;
  name[strcspn(name, "\n")] = '\0';
  int least = 0;
  for (;;) {
    int64_t quota, period;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", name);
    if (read_text(path, text, sizeof text)) {
      size_t first = strcspn(text, " ");
      const char *second = text + first + (text[first] == ' ');
      if (limn_parse_int(text, first, &quota) &&
          limn_parse_int(second, strcspn(second, "\n"), &period) && period > 0) {
        int n = (int)((quota + period - 1) / period);
        if (n > 0 && (least == 0 || n < least)) least = n;
      }
    }
    char *slash = strrchr(name, '/');
    if (!slash) return least;
    *slash = '\0';
  }
}

static int quota_v1(void) {
  int64_t quota, period;
  if (!read_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota) || quota <= 0) return 0;
  if (!read_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period) || period <= 0) return 0;
  return (int)((quota + period - 1) / period);
}

int limn_default_threads(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                      : (int)sysconf(_SC_NPROCESSORS_ONLN);
  int quota = quota_v2();
  if (quota == 0) quota = quota_v1();
  if (quota > 0 && quota < n) n = quota;
  return n < 1 ? 1 : n > 1024 ? 1024 : n;
}

/* ---- features -----------------------------------------------------------------------------------
 */

static char features[256];
static pthread_once_t features_once = PTHREAD_ONCE_INIT;

static void add(bool has, const char *name) {
  if (!has) return;
  size_t used = strlen(features);
  snprintf(features + used, sizeof features - used, "%s%s", used ? " " : "", name);
}

static void find_features(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  add(__builtin_cpu_supports("sse4.2"), "sse4.2");
  add(__builtin_cpu_supports("avx2"), "avx2");
  add(__builtin_cpu_supports("fma"), "fma");
  add(__builtin_cpu_supports("avx512f"), "avx512f");
  add(__builtin_cpu_supports("avx512bw"), "avx512bw");
  add(__builtin_cpu_supports("avx512vl"), "avx512vl");
  add(__builtin_cpu_supports("avx512vnni"), "avx512vnni");
  add(__builtin_cpu_supports("avx512bf16"), "avx512bf16");
#elif defined(__aarch64__)
  add(true, "neon");
#endif
}

const char *limn_cpu_features(void) {
  pthread_once(&features_once, find_features);
  return features;
}
