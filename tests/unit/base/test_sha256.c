/*
 * SHA-256 against what sha256sum and the examples of FIPS 180-2, appendix B, give; and in pieces of
 * any size as in one.
 */
#include "base/sha256.h"
#include "check.h"

static void known_digests(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int times;
    const char *digest;
  } cases[] = {
      {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    limn_sha256 hash;
    char digest[65];
    limn_sha256_init(&hash);
    for (int t = 0; t < cases[i].times; t++)
      limn_sha256_add(&hash, cases[i].text, strlen(cases[i].text));
    limn_sha256_text(&hash, digest);
    assert_string_equal(digest, cases[i].digest);
  }
}

/* Every length around the ends of blocks, cut at every place: no cut makes a difference, and no two
   lengths agree. */
static void in_pieces(void **state) {
  (void)state;
  enum { MOST = 200 };
  unsigned char bytes[MOST];
  char whole[65], cut[65], before[65] = "";
  for (int i = 0; i < MOST; i++)
    bytes[i] = (unsigned char)(i * 7 + 1);
  for (size_t n = 0; n < MOST; n++) {
    limn_sha256 hash;
    limn_sha256_init(&hash);
    limn_sha256_add(&hash, bytes, n);
    limn_sha256_text(&hash, whole);
    assert_string_not_equal(whole, before);
    for (size_t at = 0; at <= n; at++) {
      limn_sha256_init(&hash);
      limn_sha256_add(&hash, bytes, at);
      limn_sha256_add(&hash, bytes + at, n - at);
      limn_sha256_text(&hash, cut);
      assert_string_equal(cut, whole);
    }
    strcpy(before, whole);
  }
}

/* sha256sum of the same bytes, where a block is just full, and one more or less. */
static void around_a_block(void **state) {
  (void)state;
  static const char *const digests[] = {
      "675f28acc0b90a72d1c3a570fe83ac565555db358cf01826dc8eefb2bf7ca0f3",
      "463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59",
      "da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562",
      "2fe741af801cc238602ac0ec6a7b0c3a8a87c7fc7d7f02a3fe03d1c12eac4d8f",
      "e03b18640c635b338a92b82cce4ff072f9f1aba9ac5261ee1340f592f35c0499",
      "bd2de8f5dd15c73f68dfd26a614080c2e323b2b51b1b5ed9d7933e535d223bda",
      "0ddde28e40838ef6f9853e887f597d6adb5f40eb35d5763c52e1e64d8ba3bfff",
      "4b5c2783c91ceccb7c839213bcbb6a902d7fe8c2ec866877a51f433ea17f3e85",
      "c89da82cbcd76ddf220e4e9091019b9866ffda72bee30de1effe6c99701a2221",
      "29af2686fd53374a36b0846694cc342177e428d1647515f078784d69cdb9e488",
      "fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108",
      "4bfd2c8b6f1eec7a2afeb48b934ee4b2694182027e6d0fc075074f2fabb31781",
      "b6dfd259f6e0d07deb658a88148f8253f9bbbb74ddd6db3edbe159a56bc35073"};
  unsigned char bytes[66];
  for (int i = 0; i < 66; i++)
    bytes[i] = (unsigned char)i;
  for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
    limn_sha256 hash;
    char digest[65];
    limn_sha256_init(&hash);
    limn_sha256_add(&hash, bytes, 54 + i);
    limn_sha256_text(&hash, digest);
    assert_string_equal(digest, digests[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_digests),
      cmocka_unit_test(in_pieces),
      cmocka_unit_test(around_a_block),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
