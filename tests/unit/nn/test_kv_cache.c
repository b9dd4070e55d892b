/*
 * Cached keys and values: scores and mixes against their definition in float64, for heads of many
 * widths, both kinds of storage and every table of kernels that runs here; and what a model relies
 * on: how positions come into the cache, how many queries are asked together and what lies behind
 * what a query sees change no bit.
 *
 * Bounds. A sum of n terms in one chain is off by at most n u times the sum of their sizes, u =
 * 2^-24; dot products of pairs may round twice a term.
 */
#include "check.h"

#include "base/memory.h"
#include "nn/kv_cache.h"
#include "tables.h"

#include <math.h>
#include <stdlib.h>

#define U 0x1p-24

enum { N_CTX = 141, N_HEAD = 3, MOST_HEAD = 300, MOST_WIDTH = N_HEAD * MOST_HEAD };

static float keys[N_CTX * MOST_WIDTH], values[N_CTX * MOST_WIDTH];
static float queries[LIMN_TILE * MOST_HEAD], pattern[LIMN_TILE * N_CTX];

static uint32_t seed = 1;

static void fill(float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)seed * 0x1p-31f;
  }
}

static limn_kv_cache new_cache(const limn_kernels *t, bool is_rounded, int64_t d_head) {
  limn_kv_cache c = {.kernels = t,
                     .n_ctx = N_CTX,
                     .n_head = N_HEAD,
                     .d_head = d_head,
                     .has_word_keys = is_rounded,
                     .has_half_values = is_rounded};
  size_t sizes[] = {limn_kv_cache_keys_size(&c), limn_kv_cache_values_size(&c)};
  c.keys = limn_alloc_aligned(sizes[0], 1);
  c.values = limn_alloc_aligned(sizes[1], 1);
  assert_true(c.keys && c.values);
  memset(c.keys, 0xff, sizes[0]); /* NaN */
  memset(c.values, 0xff, sizes[1]);
  return c;
}

static void free_cache(limn_kv_cache *c) {
  limn_free_aligned(c->keys);
  limn_free_aligned(c->values);
}

static int64_t width_of(const limn_kv_cache *c) {
  return c->n_head * c->d_head;
}

static void store(const limn_kv_cache *c, int64_t from, int64_t to) {
  int64_t d = width_of(c);
  limn_kv_cache_store(c, from, to - from, keys + from * d, values + from * d, d);
}

static double as_used(const limn_kv_cache *c, float x) {
  return (double)(c->has_half_values ? limn_bf16_to_f32(limn_f32_to_bf16(x)) : x);
}

/* Half a unit of the last place of words that share a scale, and what rounding makes of that. */
static double half_unit(int64_t n, const float *x, double most) {
  double largest = 0;
  for (int64_t i = 0; i < n; i++)
    largest = fmax(largest, fabs((double)x[i]));
  return 0.501 * largest / most;
}

/* A score, as far from its definition as words allow. */
static void check_score(const limn_kv_cache *c, float got, const float *query, const float *key) {
  double exact = 0, size = 0, allowed = 0;
  for (int64_t at = 0; at < c->d_head; at += LIMN_WORDS) {
    int64_t n = c->d_head - at < LIMN_WORDS ? c->d_head - at : LIMN_WORDS;
    double of_query = half_unit(n, query + at, LIMN_MOST_ROW);
    double of_key = half_unit(n, key + at, LIMN_MOST_WEIGHT);
    for (int64_t i = at; i < at + n; i++) {
      double q = (double)query[i], k = (double)key[i];
      exact += q * k;
      size += fabs(q * k);
      allowed += of_query * fabs(k) + of_key * fabs(q) + of_query * of_key;
    }
  }
  if (!c->has_word_keys) allowed = 0;
  assert_true(fabs((double)got - exact) <= 2 * (double)c->d_head * U * size + allowed);
}

/* `n` shares of values, these (v_step apart). */
static void check_sum(const limn_kv_cache *c, float got, int64_t n, const float *shares,
                      const float *v, int64_t v_step) {
  double exact = 0, size = 0;
  for (int64_t i = 0; i < n; i++) {
    double term = as_used(c, shares[i]) * as_used(c, v[i * v_step]);
    exact += term;
    size += fabs(term);
  }
  assert_true(fabs((double)got - exact) <= 2 * (double)n * U * size);
}

static void check_scores(const limn_kv_cache *c, int64_t head, int64_t n, int64_t n_key) {
  static float scores[LIMN_TILE * N_CTX], one[N_CTX];
  int64_t d = width_of(c), e = c->d_head;
  limn_kv_cache_scores(c, head, queries, MOST_HEAD, n, n_key, scores, N_CTX);
  for (int64_t i = 0; i < n; i++) {
    for (int64_t k = 0; k < n_key; k++)
      check_score(c, scores[i * N_CTX + k], queries + i * MOST_HEAD, keys + k * d + head * e);
    limn_kv_cache_scores(c, head, queries + i * MOST_HEAD, 0, 1, n_key, one, 0);
    assert_memory_equal(one, scores + i * N_CTX, (size_t)n_key * sizeof *one);
  }
}

/* Each row alone gives the same bits as all together. */
static void check_mix(const limn_kv_cache *c, int64_t head, int64_t n, int64_t n_seen,
                      bool is_square) {
  static float out[LIMN_TILE * MOST_HEAD], one[MOST_HEAD];
  int64_t d = width_of(c), e = c->d_head;
  limn_kv_cache_mix(c, head, pattern, N_CTX, n, n_seen, is_square, out, MOST_HEAD);
  for (int64_t i = 0; i < n; i++) {
    int64_t seen = is_square ? n_seen : n_seen + i;
    for (int64_t j = 0; j < e; j++)
      check_sum(c, out[i * MOST_HEAD + j], seen, pattern + i * N_CTX, values + head * e + j, d);
    limn_kv_cache_mix(c, head, pattern + i * N_CTX, 0, 1, seen, true, one, 0);
    assert_memory_equal(one, out + i * MOST_HEAD, (size_t)e * sizeof *one);
  }
}

/* What lies behind `length` is NaN all the while. */
static void check_cache(const limn_kv_cache *c, int64_t length) {
  static const int64_t seen[] = {1, 2, 5, 8, 64, 125, 126};
  for (int64_t n = 1; n <= LIMN_TILE; n += n < 5 ? 2 : 1) {
    check_scores(c, n % N_HEAD, n, length);
    check_scores(c, n % N_HEAD, n, 64);
    check_mix(c, n % N_HEAD, n, length, true);
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
      check_mix(c, n % N_HEAD, n, seen[i], false);
    check_mix(c, n % N_HEAD, n, length - n + 1, false);
  }
}

static const int64_t widths[] = {1, 5, 16, 63, 64, 80, 131, 300};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static void products_with_cached_keys_and_values(void **state) {
  (void)state;
  enum { LENGTH = 131 };
  const limn_kernels *t;
  fill(queries, LIMN_TILE * MOST_HEAD);
  fill(pattern, LIMN_TILE * N_CTX);
  fill(keys, N_CTX * MOST_WIDTH);
  fill(values, N_CTX * MOST_WIDTH);
  FOR_EACH_TABLE(t)
  for (int w = 0; w < 2 * N_WIDTHS; w++) {
    limn_kv_cache c = new_cache(t, w % 2, widths[w / 2]);
    store(&c, 0, LENGTH);
    check_cache(&c, LENGTH);
    free_cache(&c);
  }
}

/* In parts, position by position, over what was there before, and through a copy. */
static void the_way_into_the_cache_changes_no_bit(void **state) {
  (void)state;
  enum { LENGTH = 131 };
  static float want[MOST_HEAD], got[MOST_HEAD];
  const limn_kernels *t;
  FOR_EACH_TABLE(t)
  for (int w = 0; w < 2 * N_WIDTHS; w++) {
    limn_kv_cache a = new_cache(t, w % 2, widths[w / 2]), b = new_cache(t, w % 2, widths[w / 2]);
    limn_kv_cache copy = new_cache(t, w % 2, widths[w / 2]);
    size_t size = (size_t)a.d_head * sizeof *want;
    store(&a, 0, LENGTH);
    for (int64_t at = 0, next; at < LENGTH - 2; at = next) {
      next = at + 1 + at % 9 < LENGTH - 2 ? at + 1 + at % 9 : LENGTH - 2;
      store(&b, at, next);
    }
    limn_kv_cache_copy(&copy, &b, 101);
    store(&copy, 99, LENGTH);
    for (int64_t n = 90; n <= LENGTH; n++) {
      limn_kv_cache_mix(&a, 1, pattern, N_CTX, 1, n, true, want, 0);
      limn_kv_cache_mix(&copy, 1, pattern, N_CTX, 1, n, true, got, 0);
      assert_memory_equal(want, got, size);
    }
    check_scores(&copy, 2, LIMN_TILE, LENGTH);
    limn_kv_cache_mix(&a, 0, pattern, N_CTX, 1, LENGTH - 2, true, want, 0);
    limn_kv_cache_mix(&b, 0, pattern, N_CTX, 1, LENGTH - 2, true, got, 0);
    assert_memory_equal(want, got, size);
    free_cache(&a), free_cache(&b), free_cache(&copy);
  }
}

/* A value that is NaN reaches who sees it and nobody else. */
static void what_is_not_seen_reaches_nobody(void **state) {
  (void)state;
  enum { LENGTH = 90 };
  static float want[LIMN_TILE * MOST_HEAD], got[LIMN_TILE * MOST_HEAD];
  const limn_kernels *t;
  FOR_EACH_TABLE(t)
  for (int w = 0; w < 2 * N_WIDTHS; w++)
    for (int64_t bad = 70; bad < 72; bad++) {
      limn_kv_cache a = new_cache(t, w % 2, widths[w / 2]), b = new_cache(t, w % 2, widths[w / 2]);
      float *value = values + bad * width_of(&a), kept = *value;
      store(&a, 0, LENGTH);
      *value = NAN;
      store(&b, 0, LENGTH);
      *value = kept;
      for (int64_t n = 1; n <= LIMN_TILE; n++) {
        limn_kv_cache_mix(&a, 0, pattern, N_CTX, n, bad - n + 2, false, want, MOST_HEAD);
        limn_kv_cache_mix(&b, 0, pattern, N_CTX, n, bad - n + 2, false, got, MOST_HEAD);
        assert_true(isnan(got[(n - 1) * MOST_HEAD])); /* the last row sees it */
        for (int64_t r = 0; r < n - 1; r++)
          assert_memory_equal(want + r * MOST_HEAD, got + r * MOST_HEAD,
                              (size_t)a.d_head * sizeof *want);
        limn_kv_cache_mix(&b, 0, pattern, N_CTX, n, bad, true, got, MOST_HEAD);
        assert_true(isfinite(got[(n - 1) * MOST_HEAD]));
      }
      free_cache(&a), free_cache(&b);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_with_cached_keys_and_values),
      cmocka_unit_test(the_way_into_the_cache_changes_no_bit),
      cmocka_unit_test(what_is_not_seen_reaches_nobody),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
