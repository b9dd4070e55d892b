/*
 * cpu.c - how many processors this process may use, and what they can do.
 *
 * The number of online processors is the wrong answer in a container: the affinity mask and the
 * control group's quota (cpu.max in version 2, cpu.cfs_quota_us in version 1) both cut it down.
 */
#include "base/cpu.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define TEXT_ROOM 4096
#define MOST      1024

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

/* The word at `text`, up to a space or the end of the line, as a number. */
static bool read_word(const char *text, int64_t *out) {
  return limn_parse_int(text, strcspn(text, " \n"), out);
}

static int processors(int64_t quota, int64_t period) {
  if (quota <= 0 || period <= 0) return 0;
  int64_t n = quota / period + (quota % period != 0);
  return n < MOST ? (int)n : MOST;
}

/* Version 2: "max 100000" or "150000 100000" in one file. */
static int quota_v2(const char *folder) {
  char path[TEXT_ROOM], text[64];
  int64_t quota, period;
  int n = snprintf(path, sizeof path, "%s/cpu.max", folder);
  if (n >= TEXT_ROOM || !read_text(path, text, sizeof text)) return 0;
  const char *second = strchr(text, ' ');
  if (!second || !read_word(text, &quota) || !read_word(second + 1, &period)) return 0;
  return processors(quota, period);
}

/* Version 1: two files, and -1 for no quota. */
static int quota_v1(const char *folder) {
  char path[TEXT_ROOM], text[64];
  int64_t quota, period;
  int n = snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
  if (n >= TEXT_ROOM || !read_text(path, text, sizeof text) || !read_word(text, &quota)) return 0;
  n = snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
  if (n >= TEXT_ROOM || !read_text(path, text, sizeof text) || !read_word(text, &period)) return 0;
  return processors(quota, period);
}

/*
 * The least quota on the way from the group up to the root. In a container the group's name may be
 * the host's and lead nowhere; the root is then the container's own group.
 */
static int least_quota(const char *root, const char *group, size_t n_group,
                       int (*quota)(const char *folder)) {
  char folder[TEXT_ROOM];
  size_t n_root = strlen(root);
  if (n_root + n_group >= sizeof folder) return 0;
  memcpy(folder, root, n_root);
  memcpy(folder + n_root, group, n_group);
  folder[n_root + n_group] = '\0';
  int least = 0;
  for (;;) {
    int n = quota(folder);
    if (n > 0 && (least == 0 || n < least)) least = n;
    char *slash = strrchr(folder + n_root, '/');
    if (!slash) return least;
    *slash = '\0';
  }
}

/* Whether a line's comma-separated list of n bytes names the controller "cpu". */
static bool names_cpu(const char *list, size_t n) {
  for (size_t i = 0; i + 3 <= n; i++) {
    bool starts = i == 0 || list[i - 1] == ',', ends = i + 3 == n || list[i + 3] == ',';
    if (starts && ends && memcmp(list + i, "cpu", 3) == 0) return true;
  }
  return false;
}

/* Each line is "ID:CONTROLLERS:GROUP"; that of version 2 is "0::GROUP". See cgroups(7). */
int limn_cpu_quota(const char *groups, const char *membership) {
  char text[TEXT_ROOM], root_v1[TEXT_ROOM];
  int least = 0;
  int length = snprintf(root_v1, sizeof root_v1, "%s/cpu", groups);
  if (length >= TEXT_ROOM || !read_text(membership, text, sizeof text)) return 0;
  for (const char *line = text; *line;) {
    size_t n_line = strcspn(line, "\n");
    const char *list = memchr(line, ':', n_line);
    const char *group = list ? memchr(list + 1, ':', n_line - (size_t)(list + 1 - line)) : NULL;
    if (group) {
      size_t n_list = (size_t)(group - list) - 1, n_group = n_line - (size_t)(group + 1 - line);
      int n = 0;
      if (n_list == 0)
        n = least_quota(groups, group + 1, n_group, quota_v2);
      else if (names_cpu(list + 1, n_list))
        n = least_quota(root_v1, group + 1, n_group, quota_v1);
      if (n > 0 && (least == 0 || n < least)) least = n;
    }
    line += n_line + (line[n_line] == '\n');
  }
  return least;
}

int limn_default_threads(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                      : (int)sysconf(_SC_NPROCESSORS_ONLN);
  int quota = limn_cpu_quota("/sys/fs/cgroup", "/proc/self/cgroup");
  if (quota > 0 && quota < n) n = quota;
  return n < 1 ? 1 : n > MOST ? MOST : n;
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

#if defined(__x86_64__)
enum { TILE_STATES = 3 << 17, TILE_DATA = 18 }; /* bits of XCR0: their configuration, and they */

/* Tiles are there when the system keeps them, too; gcc 12 does not know them by name. */
static void find_tiles(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return; /* OSXSAVE: xgetbv may be used */
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & TILE_STATES) != TILE_STATES || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
  add(d >> 24 & 1, "amxtile");
  add(d >> 22 & 1, "amxbf16");
  add(d >> 25 & 1, "amxint8");
}
#endif

static void find_features(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  add(__builtin_cpu_supports("sse4.2"), "sse4.2");
  add(__builtin_cpu_supports("avx2"), "avx2");
  add(__builtin_cpu_supports("fma"), "fma");
  add(__builtin_cpu_supports("bmi2"), "bmi2");
  add(__builtin_cpu_supports("avx512f"), "avx512f");
  add(__builtin_cpu_supports("avx512bw"), "avx512bw");
  add(__builtin_cpu_supports("avx512vl"), "avx512vl");
  add(__builtin_cpu_supports("avx512dq"), "avx512dq");
  add(__builtin_cpu_supports("avx512cd"), "avx512cd");
  add(__builtin_cpu_supports("avx512vbmi"), "avx512vbmi");
  add(__builtin_cpu_supports("avx512vbmi2"), "avx512vbmi2");
  add(__builtin_cpu_supports("avx512vnni"), "avx512vnni");
  add(__builtin_cpu_supports("avx512bf16"), "avx512bf16");
  find_tiles();
#elif defined(__aarch64__)
  add(true, "neon");
#endif
}

const char *limn_cpu_features(void) {
  pthread_once(&features_once, find_features);
  return features;
}

/* ---- tiles --------------------------------------------------------------------------------------
 */

static bool are_tiles_permitted;
static pthread_once_t tiles_once = PTHREAD_ONCE_INIT;

/* Linux gives the 8 KB of tiles only to processes that ask (Documentation/arch/x86/xstate.rst). */
static void ask_for_tiles(void) {
#if defined(__x86_64__) && defined(SYS_arch_prctl)
  enum { ASK_FOR_STATE = 0x1023 }; /* ARCH_REQ_XCOMP_PERM */
  are_tiles_permitted = strstr(limn_cpu_features(), "amxtile") &&
                        syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
#endif
}

bool limn_cpu_ask_for_tiles(void) {
  pthread_once(&tiles_once, ask_for_tiles);
  return are_tiles_permitted;
}
