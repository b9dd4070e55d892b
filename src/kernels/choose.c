/*
 * choose.c - which table runs: the first of the list whose instructions the processor has, or the
 * one that is asked for by name. And how large panels are, which all tables agree on.
 */
#include "kernels/kernels.h"

#include <string.h>

const limn_kernels *const limn_kernels_all[] = {
#if defined(__x86_64__)
    &limn_kernels_avx512_vnni, &limn_kernels_avx512,
    &limn_kernels_avx2,
#elif defined(__aarch64__)
    &limn_kernels_neon,
#endif
    &limn_kernels_scalar,      NULL,
};

static size_t rounded_up(int64_t k, int64_t to) {
  return (size_t)((k + to - 1) / to * to);
}

size_t limn_panel_size(limn_format format, int64_t k) {
  switch (format) {
  case LIMN_FORMAT_F16:
    return (size_t)k * LIMN_PANEL * 2;
  case LIMN_FORMAT_BF16:
    return rounded_up(k, 2) * LIMN_PANEL * 2;
  case LIMN_FORMAT_Q8:
    return rounded_up(k, LIMN_QUANT) / LIMN_QUANT * LIMN_BLOCK_Q8;
  case LIMN_FORMAT_Q4:
    return rounded_up(k, LIMN_QUANT) / LIMN_QUANT * LIMN_BLOCK_Q4;
  default:
    return (size_t)k * LIMN_PANEL * sizeof(float);
  }
}

/* What each table needs of the list that limn_cpu_features gives. */
static const struct {
  const char *name;
  const char *needs;
} requirements[] = {
    {"avx512_vnni", "avx512f avx512bw avx512dq avx512vl avx512cd avx512vnni avx512bf16 avx2 fma"},
    {"avx512", "avx512f avx512bw avx512dq avx512vl avx512cd avx2 fma"},
    {"avx2", "avx2 fma bmi2"},
    {"neon", "neon"},
};

static bool has_word(const char *list, const char *word, size_t n) {
  for (; *list; list += *list == ' ') {
    size_t size = strcspn(list, " ");
    if (size == n && memcmp(list, word, n) == 0) return true;
    list += size;
  }
  return false;
}

static bool has_all(const char *features, const char *needs) {
  for (; *needs; needs += *needs == ' ') {
    size_t n = strcspn(needs, " ");
    if (!has_word(features, needs, n)) return false;
    needs += n;
  }
  return true;
}

bool limn_kernels_can_run(const limn_kernels *kernels, const char *features) {
  for (size_t i = 0; i < sizeof requirements / sizeof *requirements; i++) {
    if (strcmp(requirements[i].name, kernels->name) == 0)
      return has_all(features, requirements[i].needs);
  }
  return true;
}

const limn_kernels *limn_kernels_choose(const char *features, const char *name) {
  for (size_t i = 0; limn_kernels_all[i]; i++) {
    const limn_kernels *k = limn_kernels_all[i];
    bool is_wanted = !name || !*name || strcmp(name, k->name) == 0;
    if (is_wanted && limn_kernels_can_run(k, features)) return k;
  }
  return NULL;
}
