/* The bounded reader: little-endian at any address, and never a byte past the end. */
#include "base/reader.h"
#include "check.h"

#include <stdlib.h>

static void reads_little_endian_at_odd_addresses(void **state) {
  (void)state;
  static const unsigned char bytes[] = {0xff, 0x01, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12,
                                        0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
                                        0x00, 0x00, 0x80, 0x3f, 'h',  'i'};
  limn_reader r = limn_reader_of(bytes + 1, sizeof bytes - 1);
  assert_int_equal(limn_read_u8(&r), 1);
  assert_int_equal(limn_read_u16(&r), 0x1234);
  assert_int_equal(limn_read_u32(&r), 0x12345678);
  assert_true(limn_read_u64(&r) == 0x0123456789abcdefu);
  assert_true(limn_read_f32(&r) == 1.0f);
  assert_int_equal(limn_reader_left(&r), 2);
  assert_memory_equal(limn_read_bytes(&r, 2), "hi", 2);
  assert_int_equal(limn_reader_left(&r), 0);
  assert_false(r.failed);
}

/* On a heap block of just that size, so that the sanitizer sees a byte too many. */
static void stops_at_the_end(void **state) {
  (void)state;
  for (size_t size = 0; size < 8; size++) {
    unsigned char *bytes = malloc(size ? size : 1);
    memset(bytes, 0xee, size);
    limn_reader r = limn_reader_of(bytes, size);
    assert_true(limn_read_u64(&r) == 0);
    assert_true(r.failed);
    assert_int_equal(limn_reader_left(&r), 0);
    /* And goes on failing, even where one byte would still be there. */
    assert_int_equal(limn_read_u8(&r), 0);
    assert_null(limn_read_bytes(&r, 0));
    assert_true(limn_read_f32(&r) == 0.0f);
    free(bytes);
  }
}

static void lengths_that_lie(void **state) {
  (void)state;
  static const uint64_t lengths[] = {5, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX - 3, UINT64_MAX};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    unsigned char bytes[5] = {1, 2, 3, 4, 5};
    limn_reader r = limn_reader_of(bytes, sizeof bytes);
    limn_read_u8(&r);
    assert_null(limn_read_bytes(&r, lengths[i]));
    assert_true(r.failed);
  }
}

static void nothing_to_read(void **state) {
  (void)state;
  limn_reader r = limn_reader_of(NULL, 0);
  assert_non_null(limn_read_bytes(&r, 0));
  assert_false(r.failed);
  assert_null(limn_read_bytes(&r, 1));
  assert_true(r.failed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_little_endian_at_odd_addresses),
      cmocka_unit_test(stops_at_the_end),
      cmocka_unit_test(lengths_that_lie),
      cmocka_unit_test(nothing_to_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
