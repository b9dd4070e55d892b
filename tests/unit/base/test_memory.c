/* Checked sizes, aligned memory, the arena, growing bytes, and each of them without memory. */
#include "base/memory.h"
#include "check.h"

#include <stdlib.h>

static void checked_arithmetic(void **state) {
  (void)state;
  static const struct {
    size_t a, b;
    bool product_fits, sum_fits;
  } cases[] = {
      {0, 0, true, true},
      {0, SIZE_MAX, true, true},
      {1, SIZE_MAX, true, false},
      {2, SIZE_MAX / 2, true, true},
      {2, SIZE_MAX / 2 + 1, false, true},
      {SIZE_MAX, SIZE_MAX, false, false},
      {(size_t)1 << 32, (size_t)1 << 32, false, true},
      {((size_t)1 << 32) - 1, ((size_t)1 << 32) + 1, true, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t a = cases[i].a, b = cases[i].b, out = 7;
    assert_int_equal(limn_size_mul(a, b, &out), cases[i].product_fits);
    assert_true(out == (cases[i].product_fits ? a * b : 7));
    out = 7;
    assert_int_equal(limn_size_add(a, b, &out), cases[i].sum_fits);
    assert_true(out == (cases[i].sum_fits ? a + b : 7));
  }
}

static void shape_counts(void **state) {
  (void)state;
  static const struct {
    int rank;
    int64_t shape[4], limit, count; /* count -1: refused */
  } cases[] = {
      {0, {0}, 10, 1},
      {1, {5}, 10, 5},
      {2, {5, 2}, 10, 10},
      {2, {5, 2}, 9, -1},
      {3, {4, 0, 7}, 100, 0},
      {2, {-1, -1}, 100, -1},
      {2, {0, -1}, 100, -1},
      {2, {INT64_MAX, 2}, INT64_MAX, -1},
      {2, {(int64_t)1 << 32, (int64_t)1 << 32}, INT64_MAX, -1},
      {2, {INT64_MAX, 1}, INT64_MAX, INT64_MAX},
      {2, {0, (int64_t)1 << 40}, 100, -1},
      {2, {(int64_t)1 << 40, 0}, 100, -1},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t count = -1;
    bool fits = limn_shape_count(cases[i].rank, cases[i].shape, cases[i].limit, &count);
    assert_int_equal(fits, cases[i].count >= 0);
    assert_true(count == cases[i].count);
  }
}

static void refuses_impossible_sizes(void **state) {
  (void)state;
  fail_allocation(-1);
  assert_null(limn_alloc(SIZE_MAX));
  assert_null(limn_alloc((size_t)PTRDIFF_MAX + 1));
  assert_null(limn_alloc_zeroed(SIZE_MAX / 2, 4));
  assert_null(limn_alloc_aligned(SIZE_MAX, 1));
  assert_null(limn_alloc_aligned(SIZE_MAX - 64, 1));
  assert_null(limn_alloc_aligned((size_t)1 << 40, (size_t)1 << 40));
  char *kept = limn_alloc(4);
  memcpy(kept, "abc", 4);
  assert_null(limn_resize(kept, SIZE_MAX, 2));
  assert_string_equal(kept, "abc");
  limn_free(kept);
  assert_null(limn_copy_string("x", SIZE_MAX));
  assert_int_equal(allocations_live(), 0);
}

static void no_bytes_are_memory_too(void **state) {
  (void)state;
  fail_allocation(-1);
  void *blocks[] = {limn_alloc(0), limn_alloc_zeroed(0, 8), limn_resize(NULL, 0, 8)};
  for (size_t i = 0; i < 3; i++) {
    assert_non_null(blocks[i]);
    limn_free(blocks[i]);
  }
  void *aligned = limn_alloc_aligned(0, 4);
  assert_non_null(aligned);
  limn_free_aligned(aligned);
  limn_free(NULL);
  limn_free_aligned(NULL);
  assert_int_equal(allocations_live(), 0);
}

static void zeroed_and_copied(void **state) {
  (void)state;
  unsigned char *zeros = limn_alloc_zeroed(100, 10);
  for (int i = 0; i < 1000; i++)
    assert_int_equal(zeros[i], 0);
  limn_free(zeros);
  char *copy = limn_copy_string("a\0b", 3);
  assert_memory_equal(copy, "a\0b\0", 4);
  limn_free(copy);
  copy = limn_copy_string(NULL, 0);
  assert_string_equal(copy, "");
  limn_free(copy);
}

/* Every size up to some cache lines: aligned, and all of it writable (the sanitizer looks). */
static void aligned_memory(void **state) {
  (void)state;
  fail_allocation(-1);
  for (size_t n = 0; n < 300; n++) {
    unsigned char *block = limn_alloc_aligned(n, 1);
    assert_int_equal((uintptr_t)block % 64, 0);
    memset(block, 0xa5, n);
    limn_free_aligned(block);
  }
  assert_int_equal(allocations_live(), 0);
}

/* What is measured is what is taken: the way every session sizes its memory. */
static size_t take_all(limn_arena *a, unsigned char **pieces) {
  static const size_t sizes[] = {1, 64, 0, 63, 65, 1000, 4096, 3};
  size_t n = sizeof sizes / sizeof *sizes;
  for (size_t i = 0; i < n; i++) {
    pieces[i] = limn_arena_take(a, sizes[i], 2);
    if (pieces[i]) memset(pieces[i], (int)i + 1, sizes[i] * 2);
  }
  /* Written in turn, read at last: no two pieces overlap. */
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; pieces[i] && k < sizes[i] * 2; k++)
      assert_int_equal(pieces[i][k], (int)i + 1);
  return n;
}

static void arena_takes_what_it_measured(void **state) {
  (void)state;
  unsigned char *pieces[16];
  limn_error err;
  limn_arena measure = limn_arena_measure();
  size_t n = take_all(&measure, pieces);
  for (size_t i = 0; i < n; i++)
    assert_null(pieces[i]);
  assert_false(measure.overflowed);

  limn_arena arena;
  CHECK_OK(limn_arena_init(&arena, measure.used, &err), err);
  take_all(&arena, pieces);
  for (size_t i = 0; i < n; i++) {
    assert_non_null(pieces[i]);
    assert_int_equal((uintptr_t)pieces[i] % 64, 0);
  }
  assert_int_equal(arena.used, arena.size);
  assert_false(arena.overflowed);
  size_t mark = limn_arena_mark(&arena);
  assert_null(limn_arena_take(&arena, 1, 1));
  assert_true(arena.overflowed);
  assert_int_equal(limn_arena_mark(&arena), mark);
  limn_arena_deinit(&arena);
  assert_null(arena.base);
  limn_arena_deinit(&arena);
}

static void arena_goes_back_to_a_mark(void **state) {
  (void)state;
  limn_error err;
  limn_arena arena;
  CHECK_OK(limn_arena_init(&arena, 256, &err), err);
  limn_arena_take(&arena, 64, 1);
  size_t mark = limn_arena_mark(&arena);
  void *first = limn_arena_take(&arena, 100, 1);
  limn_arena_release(&arena, mark);
  assert_ptr_equal(limn_arena_take(&arena, 10, 1), first);
  limn_arena_deinit(&arena);
}

static void arena_sums_are_checked(void **state) {
  (void)state;
  limn_arena measure = limn_arena_measure();
  limn_arena_take(&measure, SIZE_MAX / 2, 1);
  assert_false(measure.overflowed);
  limn_arena_take(&measure, SIZE_MAX / 2 + 2, 1);
  assert_true(measure.overflowed);
  measure = limn_arena_measure();
  limn_arena_take(&measure, SIZE_MAX, 2);
  assert_true(measure.overflowed);
  measure = limn_arena_measure();
  limn_arena_take(&measure, SIZE_MAX, 1); /* the rounding up does not fit */
  assert_true(measure.overflowed);
}

/* An arena that could not be made has no room; it is not one that measures. */
static void arena_without_memory(void **state) {
  (void)state;
  limn_error err;
  limn_arena arena;
  fail_allocation(0);
  CHECK_FAILS(limn_arena_init(&arena, 4096, &err), LIMN_ERROR_MEMORY, err, "4096 bytes");
  assert_null(limn_arena_take(&arena, 1, 1));
  assert_true(arena.overflowed);
  limn_arena_deinit(&arena);
  CHECK_FAILS(limn_arena_init(&arena, SIZE_MAX, &err), LIMN_ERROR_MEMORY, err, "working space");
  limn_allocator_set(NULL);
}

static void bytes_grow(void **state) {
  (void)state;
  limn_bytes b = {0};
  char expected[3000];
  for (int i = 0; i < 3000; i++) {
    expected[i] = (char)('a' + i % 26);
    assert_true(limn_bytes_append(&b, &expected[i], 1));
    assert_int_equal(b.data[b.size], '\0');
  }
  assert_int_equal(b.size, 3000);
  assert_memory_equal(b.data, expected, 3000);
  assert_true(limn_bytes_append(&b, NULL, 0));
  assert_false(limn_bytes_reserve(&b, SIZE_MAX));
  assert_false(limn_bytes_append(&b, expected, SIZE_MAX - 3001));
  assert_int_equal(b.size, 3000);
  assert_memory_equal(b.data, expected, 3000);
  limn_bytes_deinit(&b);
  assert_null(b.data);
  limn_bytes_deinit(&b);
}

/* Whatever allocation fails, the bytes are as before it. */
static void bytes_without_memory(void **state) {
  (void)state;
  for (int64_t k = 0;; k++) {
    limn_bytes b = {0};
    fail_allocation(k);
    size_t n = 0;
    while (n < 1000 && limn_bytes_append(&b, "0123456789", 10))
      n += 10;
    assert_int_equal(b.size, n);
    for (size_t i = 0; i < n; i++)
      assert_int_equal(b.data[i], '0' + (int)(i % 10));
    limn_bytes_deinit(&b);
    assert_int_equal(allocations_live(), 0);
    if (n == 1000) break;
  }
  limn_allocator_set(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checked_arithmetic),
      cmocka_unit_test(shape_counts),
      cmocka_unit_test(refuses_impossible_sizes),
      cmocka_unit_test(no_bytes_are_memory_too),
      cmocka_unit_test(zeroed_and_copied),
      cmocka_unit_test(aligned_memory),
      cmocka_unit_test(arena_takes_what_it_measured),
      cmocka_unit_test(arena_goes_back_to_a_mark),
      cmocka_unit_test(arena_sums_are_checked),
      cmocka_unit_test(arena_without_memory),
      cmocka_unit_test(bytes_grow),
      cmocka_unit_test(bytes_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
