/*
 * Splitting: against other implementations, blocks of every instruction set against the plain
 * splitter, and what it says to be settled.
 */
#include "check.h"

#include "tokenizer/split_blocks.h"

#include "texts.h"

#include "split_ends.h"

static const limn_pattern all_patterns[] = {
    LIMN_PATTERN_GPT2,   LIMN_PATTERN_CL100K,  LIMN_PATTERN_LLAMA3, LIMN_PATTERN_QWEN2,
    LIMN_PATTERN_QWEN35, LIMN_PATTERN_O200K,   LIMN_PATTERN_TEKKEN, LIMN_PATTERN_STARCODER,
    LIMN_PATTERN_FALCON, LIMN_PATTERN_DEEPSEEK};
#define N_PATTERNS (sizeof all_patterns / sizeof *all_patterns)

static void cuts_where_others_cut(void **state) {
  (void)state;
  size_t n_texts = sizeof split_texts / sizeof *split_texts;
  assert_int_equal(sizeof split_ends / sizeof *split_ends, N_PATTERNS);
  for (size_t p = 0; p < N_PATTERNS; p++) {
    const unsigned char *ends = split_ends[p].ends;
    for (size_t i = 0; i < n_texts; i++) {
      const unsigned char *text = (const unsigned char *)split_texts[i];
      size_t n = split_sizes[i];
      for (size_t at = 0; at < n; ends++) {
        at = limn_split_next(split_ends[p].pattern, text, n, at);
        if (at != *ends)
          fail_msg("pattern %d, text %zu \"%s\": a piece ends at %zu, expected %d", (int)p, i,
                   split_texts[i], at, (int)*ends);
      }
    }
  }
}

/* What the plain splitter says of the 64 bytes at `at`: where pieces begin. */
static uint64_t plain_starts(limn_pattern pattern, const unsigned char *text, size_t n, size_t at) {
  uint64_t starts = 0;
  for (size_t end = at; end < at + 64; end = limn_split_next(pattern, text, n, end))
    starts |= (uint64_t)1 << (end - at);
  return starts;
}

/*
 * All beginnings that blocks of every instruction set give are right, and none is left out before
 * the last. How many blocks settled something. 64 bytes and more behind `at` are there.
 */
static size_t check_blocks(limn_pattern pattern, const unsigned char *text, size_t n, size_t at) {
  uint64_t expected = plain_starts(pattern, text, n, at);
  size_t n_settled = 0;
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    uint64_t starts = (*loop)->block(pattern, text + at, 64);
    if (starts == 0) continue;
    uint64_t wanted = expected & UINT64_MAX >> __builtin_clzll(starts);
    if (starts != wanted)
      fail_msg("%s, pattern %d, at %zu of \"%.*s\": beginnings %llx, expected %llx", (*loop)->isa,
               (int)pattern, at, (int)n, (const char *)text, (unsigned long long)starts,
               (unsigned long long)wanted);
    n_settled += starts > 1;
  }
  return n_settled;
}

static void blocks_agree_with_the_plain_splitter(void **state) {
  (void)state;
  uint32_t seed = 11;
  size_t n_settled = 0;
  for (int round = 0; round < 2000; round++) {
    unsigned char text[320];
    size_t n = round % 3 ? script_text(&seed, text, 200) : hard_text(&seed, text, 200);
    memset(text + n, round % 2 ? ' ' : 'x', sizeof text - n);
    n += 80;
    for (size_t p = 0; p < N_PATTERNS; p++) {
      for (size_t at = 0; at + 80 <= n; at = limn_split_next(all_patterns[p], text, n, at))
        n_settled += check_blocks(all_patterns[p], text, n, at);
    }
  }
  assert_true(n_settled > 200000);
}

/* The code points near which classes change, by what Unicode says and by where pages begin. */
static bool is_of_interest(uint32_t code) {
  if (code >= 0xd800 && code < 0xe000) return false;
  if (code < 0x3100 || code >> 6 != (code + 1) >> 6 || code >> 6 != (code - 1) >> 6) return true;
  return limn_char_class_of(code) != limn_char_class_of(code - 1);
}

/* Characters of every class beside letters, digits, white space, symbols and themselves. */
static void blocks_know_every_character(void **state) {
  (void)state;
  static const char *const forms[] = {"ab@cd @1@2 @@ !@!@\n@/@'@ @A@b",
                                      "@'s@ @'S@\t@x.@y\n\n@ @3456@"};
  size_t n_settled = 0, n_tried = 0;
  for (uint32_t code = 0x80; code < 0x10ffff; code++) {
    if (!is_of_interest(code)) continue;
    unsigned char text[200];
    size_t n = 0;
    for (const char *at = forms[code % 7 > 3]; *at; at++)
      n += limn_utf8_encode(*at == '@' ? code : (unsigned char)*at, text + n);
    memset(text + n, 'x', 80);
    for (size_t p = 0; p < N_PATTERNS; p++) {
      n_tried++;
      n_settled += check_blocks(all_patterns[p], text, n + 80, 0);
    }
  }
  assert_true(n_tried > 200000 && n_settled > n_tried / 2);
}

/* A block in which nothing is rare settles nearly all of itself. */
static void blocks_settle_ordinary_text(void **state) {
  (void)state;
  static const char text[] =
      "It is a truth universally acknowledged, that a single man in possession of a good fortune";
  for (size_t p = 0; p < N_PATTERNS; p++) {
    for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
      uint64_t starts = (*loop)->block(all_patterns[p], (const unsigned char *)text, 64);
      assert_true(starts >> 56 != 0);
    }
  }
}

/* What is settled in a part of a text is so in the whole. */
static void what_is_settled_stays(void **state) {
  (void)state;
  uint32_t seed = 23;
  size_t n_settled = 0;
  for (int round = 0; round < 800; round++) {
    unsigned char text[80];
    size_t n = hard_text(&seed, text, 50);
    for (size_t p = 0; p < N_PATTERNS; p++) {
      limn_tokenizer t = {.pattern = all_patterns[p]};
      for (size_t part = 1; part < n; part++) {
        for (size_t at = 0; at < part;) {
          bool is_settled, unused;
          size_t end = limn_split_piece(&t, text, part, at, &is_settled);
          if (!is_settled) break;
          n_settled++;
          size_t whole = limn_split_piece(&t, text, n, at, &unused);
          if (end != whole)
            fail_msg("pattern %d: %zu of %zu bytes of \"%.*s\" end a piece at %zu, all at %zu",
                     (int)p, part, n, (int)n, (const char *)text, end, whole);
          at = end;
        }
      }
    }
  }
  assert_true(n_settled > 300000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cuts_where_others_cut),
      cmocka_unit_test(blocks_agree_with_the_plain_splitter),
      cmocka_unit_test(blocks_know_every_character),
      cmocka_unit_test(blocks_settle_ordinary_text),
      cmocka_unit_test(what_is_settled_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
