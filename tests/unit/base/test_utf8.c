/*
 * UTF-8 over all of its input: every code point, and every byte sequence of one to four bytes whose
 * first two bytes decide (the rest in representatives), against the definition by arithmetic:
 * a sequence is well formed if it is what encoding its code point gives.
 */
#include "base/utf8.h"
#include "check.h"

static void every_code_point_there_and_back(void **state) {
  (void)state;
  for (uint32_t code = 0; code <= 0x10ffff; code++) {
    unsigned char bytes[4];
    int32_t back = -2;
    size_t n = limn_utf8_encode(code, bytes);
    assert_int_equal(n, code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
    size_t used = limn_utf8_decode(bytes, n, &back);
    bool is_surrogate = code >= 0xd800 && code < 0xe000;
    if (used != (is_surrogate ? 1 : n) || back != (is_surrogate ? -1 : (int32_t)code))
      fail_msg("U+%04X decodes to %d in %zu bytes", (unsigned)code, (int)back, used);
    if (limn_utf8_is_valid(bytes, n) == is_surrogate) fail_msg("U+%04X", (unsigned)code);
    for (size_t short_n = 1; short_n < n; short_n++) {
      used = limn_utf8_decode(bytes, short_n, &back);
      if (used != 1 || back != -1) fail_msg("U+%04X cut to %zu bytes", (unsigned)code, short_n);
    }
  }
}

/* By the definition: the length that the first byte announces, payload bits, no shorter form. */
static size_t defined(const unsigned char *s, size_t n, int32_t *code) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  *code = -1;
  size_t length = s[0] < 0x80       ? 1
                  : s[0] >> 5 == 6  ? 2
                  : s[0] >> 4 == 14 ? 3
                  : s[0] >> 3 == 30 ? 4
                                    : 0;
  if (length == 0 || length > n) return 1;
  uint32_t value = length == 1 ? s[0] : s[0] & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    if (s[i] >> 6 != 2) return 1;
    value = value << 6 | (s[i] & 0x3f);
  }
  if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 1;
  *code = (int32_t)value;
  return length;
}

static void every_sequence_as_defined(void **state) {
  (void)state;
  static const unsigned char tails[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                        0xa0, 0xbf, 0xc0, 0xc2, 0xf4, 0xff};
  for (unsigned lead = 0; lead < 0x10000; lead++) {
    for (size_t a = 0; a < sizeof tails; a++) {
      for (size_t b = 0; b < sizeof tails; b++) {
        unsigned char s[4] = {(unsigned char)(lead >> 8), (unsigned char)lead, tails[a], tails[b]};
        for (size_t n = 1; n <= 4; n++) {
          int32_t got, expected;
          size_t used = limn_utf8_decode(s, n, &got), wanted = defined(s, n, &expected);
          if (used != wanted || got != expected)
            fail_msg("%02x %02x %02x %02x, %zu bytes: %d in %zu, expected %d in %zu", s[0], s[1],
                     s[2], s[3], n, (int)got, used, (int)expected, wanted);
        }
      }
    }
  }
}

static void validity_of_texts(void **state) {
  (void)state;
  assert_true(limn_utf8_is_valid("", 0));
  assert_true(limn_utf8_is_valid(NULL, 0));
  assert_true(limn_utf8_is_valid("a\0b", 3));
  assert_true(limn_utf8_is_valid("\xe2\x82\xac\xf0\x9f\x98\x80", 7));
  assert_false(limn_utf8_is_valid("\xe2\x82\xac\xf0\x9f\x98", 6));
  assert_false(limn_utf8_is_valid("ok\x80", 3));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_point_there_and_back),
      cmocka_unit_test(every_sequence_as_defined),
      cmocka_unit_test(validity_of_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
