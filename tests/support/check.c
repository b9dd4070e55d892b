/*
 * check.c - see check.h. The failing allocator counts every request of the library, so that a test
 * can let the k-th one fail, for every k.
 */
#include "check.h"

#include <ftw.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

void check_close(const char *what, const float *a, const float *b, int64_t n, double tolerance) {
  limn_agreement agreement = limn_compare(a, b, n);
  if (agreement.n_mismatched)
    fail_msg("%s: %lld entries differ in being finite", what, (long long)agreement.n_mismatched);
  if (!(agreement.relative <= tolerance))
    fail_msg("%s: deviates by %g of the largest (at %lld: %.9g, expected %.9g), allowed %g", what,
             agreement.relative, (long long)agreement.worst, (double)a[agreement.worst],
             (double)b[agreement.worst], tolerance);
}

static atomic_llong n_asked, n_live;
static long long fail_at = -1;
static bool fails_on;

static void *counting_resize(void *user, void *memory, size_t size) {
  (void)user;
  long long k = atomic_fetch_add(&n_asked, 1);
  if (fail_at >= 0 && (k == fail_at || (fails_on && k > fail_at))) return NULL;
  void *result = realloc(memory, size);
  if (result && !memory) atomic_fetch_add(&n_live, 1);
  return result;
}

static void counting_release(void *user, void *memory) {
  (void)user;
  atomic_fetch_sub(&n_live, 1);
  free(memory);
}

static void install(long long k, bool on) {
  static const limn_allocator counting = {NULL, counting_resize, counting_release};
  atomic_store(&n_asked, 0);
  atomic_store(&n_live, 0);
  fail_at = k;
  fails_on = on;
  limn_allocator_set(&counting);
}

void fail_allocations_from(int64_t k) {
  install(k, true);
}

void fail_allocation(int64_t k) {
  install(k, false);
}

int64_t allocations_asked(void) {
  return atomic_load(&n_asked);
}

int64_t allocations_live(void) {
  return atomic_load(&n_live);
}

void make_folder(char path[256]) {
  const char *base = getenv("TMPDIR");
  snprintf(path, 256, "%s/limn-test-XXXXXX", base && strlen(base) < 200 ? base : "/tmp");
  if (!mkdtemp(path)) fail_msg("cannot make a folder at %s", path);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw) {
  (void)info, (void)kind, (void)ftw;
  return remove(path);
}

void remove_folder(const char *path) {
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
