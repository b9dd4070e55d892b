/*
 * The cache: what was kept is found as it was, in whatever order it came and however the hash
 * falls; what had no room is none; nothing is ever another piece's.
 */
#include "numbered_pieces.h"

static void check_answer(const limn_cache *c, limn_answer a, uint32_t i) {
  assert_true(is_answer(c, a, i));
}

/* How many of the first n are there, each of which is what it was. */
static size_t count_found(const limn_cache *c, uint32_t n) {
  size_t n_found = 0;
  for (uint32_t i = 0; i < n; i++) {
    limn_answer a = find(c, i);
    if (a.first == LIMN_ANSWER_NONE) continue;
    check_answer(c, a, i);
    n_found++;
  }
  return n_found;
}

/* Every key in one bucket, and in a few. */
static uint32_t hash_none(uint64_t low, uint64_t high) {
  (void)low, (void)high;
  return 0x80000000u;
}
static uint32_t hash_little(uint64_t low, uint64_t high) {
  return limn_cache_hash(low, high) & 0xf0000000u;
}

/* ---- short pieces -------------------------------------------------------------------------------
 */

static void what_was_kept_is_found(void **state) {
  (void)state;
  static const size_t expectations[] = {0, 1000, 5000000};
  limn_error err;
  for (size_t x = 0; x < 3; x++) {
    limn_cache c;
    CHECK_OK(limn_cache_init(&c, (size_t)16 << 20, limn_cache_hash, &err), err);
    limn_cache_expect(&c, expectations[x]);
    size_t n_buckets = c.n_buckets;
    for (uint32_t i = 0; i < 50000; i++) {
      assert_int_equal(find(&c, i).first, LIMN_ANSWER_NONE);
      check_answer(&c, keep(&c, i), i);
      check_answer(&c, find(&c, i), i);
    }
    limn_cache_expect(&c, SIZE_MAX); /* which is for an empty one */
    assert_int_equal(count_found(&c, 50000), c.n_used);
    assert_true(c.n_used > 49000); /* few buckets were full, and those beside them */
    assert_true(c.n_buckets <= c.most_buckets && (c.n_buckets > n_buckets) == (x < 2));
    limn_cache_deinit(&c);
  }
}

static void a_bad_hash_loses_pieces_but_never_mixes_them(void **state) {
  (void)state;
  uint32_t (*const hashes[])(uint64_t, uint64_t) = {hash_none, hash_little};
  limn_error err;
  for (size_t h = 0; h < 2; h++) {
    limn_cache c;
    CHECK_OK(limn_cache_init(&c, 1 << 20, hashes[h], &err), err);
    for (uint32_t i = 0; i < 3000; i++)
      check_answer(&c, keep(&c, i), i);
    assert_int_equal(count_found(&c, 3000), c.n_used);
    assert_int_equal(c.n_used, (h == 0 ? 1 : 16) * 2 * LIMN_BUCKET);
    limn_cache_deinit(&c);
  }
}

/* Buckets that have grown as far as they may: places are taken again, and the last one stays. */
static void a_small_cache_keeps_what_it_can(void **state) {
  (void)state;
  limn_error err;
  for (size_t bytes = 0; bytes < 40000; bytes = bytes * 3 + 1000) {
    limn_cache c;
    CHECK_OK(limn_cache_init(&c, bytes, limn_cache_hash, &err), err);
    for (uint32_t i = 0; i < 20000; i++) {
      limn_answer a = keep(&c, i);
      if (a.first != LIMN_ANSWER_NONE)
        check_answer(&c, a, i);
      else
        assert_true(c.is_full || c.store_size < 64);
      limn_answer found = find(&c, i);
      assert_int_equal(found.first, a.first);
      assert_int_equal(found.second, a.second);
      if (i % 7 == 0) limn_cache_tidy(&c);
      assert_true(c.n_used <= LIMN_BUCKET * c.n_buckets && c.store_used <= c.store_size);
    }
    limn_cache_deinit(&c);
  }
}

/* ---- the store ----------------------------------------------------------------------------------
 */

static void a_full_store_is_emptied_when_asked(void **state) {
  (void)state;
  limn_error err;
  limn_cache c;
  CHECK_OK(limn_cache_init(&c, 60000, limn_cache_hash, &err), err);
  uint32_t i = 14; /* 15 ids */
  while (keep(&c, i).first != LIMN_ANSWER_NONE)
    i += 15;
  assert_true(c.is_full && i > 1000);
  check_answer(&c, find(&c, 14), 14); /* what is there stays */
  limn_cache_tidy(&c);
  assert_int_equal(find(&c, 14).first, LIMN_ANSWER_NONE);
  assert_int_equal(c.n_used, 0);
  check_answer(&c, keep(&c, i), i);
  limn_cache_tidy(&c); /* nothing to do */
  check_answer(&c, find(&c, i), i);
  limn_cache_deinit(&c);
}

static void long_pieces_are_compared(void **state) {
  (void)state;
  limn_error err;
  limn_cache c;
  CHECK_OK(limn_cache_init(&c, 1 << 20, limn_cache_hash, &err), err);
  unsigned char piece[LIMN_KEPT_PIECE];
  int32_t ids[LIMN_KEPT_PIECE];
  for (size_t i = 0; i < sizeof piece; i++) {
    piece[i] = (unsigned char)(i * i + 7);
    ids[i] = (int32_t)(i * 3);
  }
  for (size_t n = 16; n <= LIMN_KEPT_PIECE; n += n < 40 ? 1 : 59) {
    uint64_t key[2];
    size_t n_ids = 0, count = n % 20 + 1;
    limn_hash_piece(piece, n, key);
    assert_null(limn_cache_find_long(&c, key, piece, n, &n_ids));
    limn_answer a = limn_cache_keep_long(&c, key, piece, n, ids, count);
    const int32_t *found = limn_cache_find_long(&c, key, piece, n, &n_ids);
    assert_int_equal(n_ids, count);
    assert_memory_equal(found, ids, count * sizeof *ids);
    if (count > LIMN_ANSWER_IDS) {
      assert_int_equal(a.first, LIMN_ANSWER_NONE);
    } else {
      assert_int_equal(limn_answer_stored(a), count);
      assert_ptr_equal(limn_cache_stored(&c, a), found);
    }
    piece[n - 1] ^= 1; /* another piece under the same key */
    assert_null(limn_cache_find_long(&c, key, piece, n, &n_ids));
    piece[n - 1] ^= 1;
    assert_null(limn_cache_find_long(&c, key, piece, n - 1, &n_ids));
  }
  limn_cache_deinit(&c);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  limn_error err;
  for (int64_t k = 0; k < 4; k++) {
    limn_cache c;
    fail_allocation(k);
    limn_status status = limn_cache_init(&c, 100000, limn_cache_hash, &err);
    bool was_asked = allocations_asked() > k;
    assert_int_equal(status, was_asked ? LIMN_ERROR_MEMORY : LIMN_OK);
    assert_int_equal(was_asked, k < 3);
    limn_cache_deinit(&c);
    assert_int_equal(allocations_live(), 0);
  }
  fail_allocation(-1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_kept_is_found),
      cmocka_unit_test(a_bad_hash_loses_pieces_but_never_mixes_them),
      cmocka_unit_test(a_small_cache_keeps_what_it_can),
      cmocka_unit_test(a_full_store_is_emptied_when_asked),
      cmocka_unit_test(long_pieces_are_compared),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
