/*
 * Encoders: every loop, cache and way of asking gives the ids of the plain splitter and the heap.
 */
#include "check.h"

#include "texts.h"
#include "tokenizer/cut.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static limn_tokenizer *gpt2;
static limn_bpe bpe;

static const limn_pattern all_patterns[] = {
    LIMN_PATTERN_GPT2,   LIMN_PATTERN_CL100K,   LIMN_PATTERN_LLAMA3, LIMN_PATTERN_QWEN2,
    LIMN_PATTERN_QWEN35, LIMN_PATTERN_O200K,    LIMN_PATTERN_TEKKEN, LIMN_PATTERN_STARCODER,
    LIMN_PATTERN_FALCON, LIMN_PATTERN_DEEPSEEK, LIMN_PATTERN_NONE};
#define N_PATTERNS (sizeof all_patterns / sizeof *all_patterns)

static int open_gpt2(void **state) {
  (void)state;
  return limn_tokenizer_gpt2(&gpt2, NULL) == LIMN_OK ? 0 : -1;
}

static int close_gpt2(void **state) {
  (void)state;
  limn_bpe_deinit(&bpe);
  limn_tokenizer_close(gpt2);
  return 0;
}

/* GPT-2's vocabulary under another pattern; shares everything with it. */
static limn_tokenizer with_pattern(size_t p) {
  limn_tokenizer t = *gpt2;
  t.pattern = all_patterns[p];
  return t;
}

/* ---- one text, all ways -------------------------------------------------------------------------
 */

static void check_ids(const char *what, const limn_tokenizer *t, const int32_t *ids, size_t n_ids,
                      const int32_t *expected, size_t n_expected, const unsigned char *text,
                      size_t n) {
  for (size_t i = 0; i < n_ids && i < n_expected; i++) {
    if (ids[i] != expected[i])
      fail_msg("%s, pattern %d: id %zu of \"%.*s\" is %d, expected %d", what, (int)t->pattern, i,
               (int)n, (const char *)text, (int)ids[i], (int)expected[i]);
  }
  assert_int_equal(n_ids, n_expected);
}

static void check_encoder(limn_encoder *e, const unsigned char *text, size_t n,
                          const int32_t *expected, size_t n_expected) {
  static int32_t ids[4096];
  size_t n_ids, n_bytes;
  limn_error err;
  const char *chars = (const char *)text;
  CHECK_OK(
      limn_encoder_encode(e, chars, n, LIMN_SPECIAL_AS_TEXT, ids, 4096, &n_ids, &n_bytes, &err),
      err);
  check_ids(e->loop->isa, e->t, ids, n_ids, expected, n_expected, text, n);
  assert_int_equal(n_bytes, n);
  CHECK_OK(limn_encoder_count(e, chars, n, LIMN_SPECIAL_AS_TEXT, &n_ids, &err), err);
  assert_int_equal(n_ids, n_expected);
}

static void every_loop_and_cache_gives_the_same_ids(void **state) {
  (void)state;
  static const size_t caches[] = {0, 1200, 100000};
  uint32_t seed = 31;
  for (size_t p = 0; p < N_PATTERNS; p++) {
    limn_tokenizer t = with_pattern(p);
    limn_encoder *encoders[9];
    size_t n_encoders = 0;
    limn_error err;
    for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
      for (size_t c = 0; c < 3; c++)
        CHECK_OK(limn_encoder_new_with(&t, caches[c], *loop, &encoders[n_encoders++], &err), err);
    }
    for (int round = 0; round < 600; round++) {
      unsigned char text[1040];
      int32_t expected[1040];
      size_t most = round % 20 ? 200 : 1000;
      size_t n = round % 2 ? script_text(&seed, text, most) : hard_text(&seed, text, most);
      size_t n_expected = encode_plainly(&t, &bpe, text, n, expected);
      for (size_t i = 0; i < n_encoders; i++)
        check_encoder(encoders[i], text, n, expected, n_expected);
    }
    for (size_t i = 0; i < n_encoders; i++)
      limn_encoder_free(encoders[i]);
  }
}

/*
 * Words of a vocabulary of 12000 that come once or often, some with zeros or bytes that are no
 * characters, of one token or of fifteen: while it is read the cache grows, fills up and forgets.
 */
static size_t wordy_text(uint32_t *seed, unsigned char *text, size_t most) {
  size_t n = 0;
  while (n + 80 < most) {
    uint32_t word = next_random(seed) % 12000 >> next_random(seed) % 12;
    uint32_t own = word * 2654435761u + 1;
    size_t length = 1 + own % 97 % 12 + (own % 31 == 0 ? 30 : 0);
    text[n++] = own % 11 == 0 ? '(' : ' ';
    for (size_t i = 0; i < length; i++) {
      uint32_t letter = next_random(&own) % 512;
      text[n++] = (unsigned char)(letter == 0 ? 0 : letter == 1 ? 0xff : 'a' + letter % 26);
    }
  }
  return n;
}

static void the_cache_grows_within_a_text(void **state) {
  (void)state;
  enum { MOST = 250000 };
  static const size_t caches[] = {0, 3000, 20000, 150000, 1000000, 16000000};
  static unsigned char text[MOST];
  static int32_t expected[MOST], ids[MOST];
  uint32_t seed = 97;
  limn_error err;
  size_t n = wordy_text(&seed, text, MOST);
  for (size_t p = 0; p < N_PATTERNS; p += 5) { /* GPT-2, o200k, none */
    limn_tokenizer t = with_pattern(p);
    size_t n_text = t.pattern == LIMN_PATTERN_NONE ? 3000 : n;
    size_t n_expected = encode_plainly(&t, &bpe, text, n_text, expected), n_ids, n_bytes;
    for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
      for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
        limn_encoder *e;
        CHECK_OK(limn_encoder_new_with(&t, caches[c], *loop, &e, &err), err);
        size_t n_buckets = e->cache.n_buckets;
        for (int round = 0; round < 4; round++) {
          size_t capacity = round < 2 ? MOST : next_random(&seed) % n_expected;
          CHECK_OK(limn_encoder_encode(e, (const char *)text, n_text, LIMN_SPECIAL_AS_TEXT, ids,
                                       capacity, &n_ids, &n_bytes, &err),
                   err);
          size_t n_wanted = capacity < n_expected ? capacity : n_expected;
          check_ids((*loop)->isa, &t, ids, n_ids, expected, n_wanted, text, 40);
          assert_true(n_bytes <= n_text && (n_bytes == n_text) == (n_wanted == n_expected));
        }
        assert_true(e->cache.n_buckets <= e->cache.most_buckets);
        if (caches[c] == 16000000 && n_text == n) assert_true(e->cache.n_buckets > 8 * n_buckets);
        limn_encoder_free(e);
      }
    }
  }
}

/* A text that ends where memory ends, at every alignment: nothing behind it may be read. */
static void nothing_behind_the_text_is_read(void **state) {
  (void)state;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char *pages =
      mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
  uint32_t seed = 41;
  limn_error err;
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    limn_encoder *e;
    CHECK_OK(limn_encoder_new_with(gpt2, 4096, *loop, &e, &err), err);
    for (int round = 0; round < 600; round++) {
      unsigned char text[336];
      int32_t expected[336];
      size_t n = hard_text(&seed, text, 300);
      memcpy(pages + page - n, text, n);
      size_t n_expected = encode_plainly(gpt2, &bpe, text, n, expected);
      check_encoder(e, pages + page - n, n, expected, n_expected);
    }
    limn_encoder_free(e);
  }
  munmap(pages, 2 * page);
}

static void a_budget_gives_the_first_ids(void **state) {
  (void)state;
  static const char text[] = "The quick brown fox can't jump over 12345 lazy dogs;\n\n\tor can it?";
  size_t n = sizeof text - 1, n_all, n_ids, n_bytes;
  int32_t all[80], ids[80];
  limn_encoder *e;
  limn_error err;
  CHECK_OK(limn_encoder_new(gpt2, 4096, &e, &err), err);
  CHECK_OK(limn_encoder_encode(e, text, n, LIMN_SPECIAL_AS_TEXT, all, 80, &n_all, NULL, &err), err);
  for (size_t budget = 0; budget <= n_all + 1; budget++) {
    ids[budget] = -7;
    CHECK_OK(
        limn_encoder_encode(e, text, n, LIMN_SPECIAL_AS_TEXT, ids, budget, &n_ids, &n_bytes, &err),
        err);
    assert_int_equal(n_ids, budget < n_all ? budget : n_all);
    assert_memory_equal(ids, all, n_ids * sizeof *ids);
    assert_int_equal(ids[budget], -7);
    char part[80];
    size_t n_part;
    CHECK_OK(limn_tokenizer_decode_into(gpt2, ids, n_ids, part, sizeof part, &n_part, &err), err);
    assert_int_equal(n_part, n_bytes);
    assert_memory_equal(part, text, n_part);
  }
  limn_encoder_free(e);
}

/* Thousands of tokens out of one piece, and more pieces behind it. */
static void long_pieces_stand_in_their_place(void **state) {
  (void)state;
  static unsigned char text[60000];
  static int32_t expected[60000], ids[60000];
  uint32_t seed = 5;
  limn_error err;
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    limn_encoder *e;
    size_t n = 0, n_ids;
    CHECK_OK(limn_encoder_new_with(gpt2, 20000, *loop, &e, &err), err);
    while (n < sizeof text - 12000) {
      size_t length = next_random(&seed) % 12000 >> next_random(&seed) % 12;
      text[n++] = ' ';
      for (size_t i = 0; i < length; i++)
        text[n++] = (unsigned char)('a' + next_random(&seed) % 26);
    }
    size_t n_expected = encode_plainly(gpt2, &bpe, text, n, expected);
    for (int again = 0; again < 2; again++) {
      CHECK_OK(limn_encoder_encode(e, (const char *)text, n, LIMN_SPECIAL_AS_TEXT, ids, 60000,
                                   &n_ids, NULL, &err),
               err);
      check_ids((*loop)->isa, gpt2, ids, n_ids, expected, n_expected, text, 0);
    }
    limn_encoder_free(e);
  }
}

/* ---- merging ------------------------------------------------------------------------------------
 */

/* The definition: of all neighbours that merge, those of least rank first, the leftmost first. */
static size_t merge_by_definition(const limn_symbols *s, const unsigned char *piece, size_t n,
                                  uint32_t *symbols) {
  for (size_t i = 0; i < n; i++)
    symbols[i] = piece[i];
  for (;;) {
    uint32_t least = LIMN_NO_SYMBOL;
    size_t place = 0;
    for (size_t i = 0; i + 1 < n; i++) {
      uint32_t both = limn_symbols_find(s, symbols[i], symbols[i + 1]);
      if (both < least) {
        least = both;
        place = i;
      }
    }
    if (least == LIMN_NO_SYMBOL) return n;
    symbols[place] = least;
    memmove(symbols + place + 1, symbols + place + 2, (n - place - 2) * sizeof *symbols);
    n--;
  }
}

/* Tables of pairs that hash badly: of zeros, of the same halves, in rows; and of none at all. */
static void every_pair_is_found(void **state) {
  (void)state;
  int32_t byte_ids[256] = {0};
  limn_error err;
  for (uint32_t kind = 0; kind < 6; kind++) {
    for (uint32_t n = 0; n <= 256; n += n < 4 ? 1 : 63) {
      limn_symbols s = {0};
      CHECK_OK(limn_symbols_start(&s, "pairs", 256 + n, 256, byte_ids, &err), err);
      for (uint32_t i = 0; i < n; i++) {
        uint32_t left = kind == 0 || kind == 3 ? 0 : kind == 4 ? i / 16 : kind == 5 ? 255 - i : i;
        uint32_t right = kind == 1 || kind == 3 ? 0 : kind == 4 ? i % 16 : i;
        if (kind == 3 && i > 0) left = 255 + i;
        limn_symbols_add(&s, left, right, 0, 2);
      }
      CHECK_OK(limn_symbols_finish(&s, "pairs", NULL, 0, &err), err);
      size_t n_found = 0;
      for (uint32_t left = 0; left < 256 + n; left++) {
        for (uint32_t right = 0; right < 256 + n; right++) {
          uint32_t both = limn_symbols_find(&s, left, right);
          if (both == LIMN_NO_SYMBOL) continue;
          assert_true(both >= 256 && both < 256 + n);
          assert_true(s.lefts[both] == left && s.rights[both] == right);
          n_found++;
        }
      }
      assert_int_equal(n_found, n);
      limn_symbols_deinit(&s);
    }
  }
}

/* Displacements that are known are taken if they keep all pairs apart; else they are found. */
static void known_displacements_are_checked(void **state) {
  (void)state;
  enum { N = 300, BUCKETS = 128 };
  int32_t byte_ids[256] = {0};
  unsigned char known[2][2 * BUCKETS] = {{0}};
  limn_error err;
  for (int round = 0; round < 4; round++) {
    limn_symbols s = {0};
    CHECK_OK(limn_symbols_start(&s, "pairs", 256 + N, 256, byte_ids, &err), err);
    for (uint32_t i = 0; i < N; i++)
      limn_symbols_add(&s, i % 256, (i * 7 + i / 256) % 256, 0, 2);
    /* Zeros put all pairs into one place; then what is right, then one too few. */
    CHECK_OK(limn_symbols_finish(&s, "pairs", round ? known[round / 2] : NULL,
                                 round == 3 ? BUCKETS - 1 : BUCKETS, &err),
             err);
    for (uint32_t i = 0; i < N; i++)
      assert_int_equal(limn_symbols_find(&s, i % 256, (i * 7 + i / 256) % 256), 256 + i);
    for (size_t i = 0; i < BUCKETS; i++) {
      if (round == 0) {
        known[1][2 * i] = (unsigned char)s.displacements[i];
        known[1][2 * i + 1] = (unsigned char)(s.displacements[i] >> 8);
      }
      assert_int_equal(s.displacements[i], known[1][2 * i] | known[1][2 * i + 1] << 8);
    }
    limn_symbols_deinit(&s);
  }
}

static void gpt2_knows_its_displacements(void **state) {
  (void)state;
  extern const unsigned char limn_gpt2_merges[];
  const unsigned char *known = limn_gpt2_merges + 200000;
  for (size_t i = 0; i < 16384; i++)
    assert_int_equal(gpt2->symbols.displacements[i], known[2 * i] | known[2 * i + 1] << 8);
}

/* The first of three letters: zeros also stand behind what is shorter than a register. */
#define LETTER 0u

/* Random merges over three letters; in order, or with a few that come before their halves. */
static void random_symbols(limn_symbols *s, uint32_t *seed, bool is_ordered) {
  enum { N = 60 };
  int32_t byte_ids[256];
  limn_error err;
  for (int i = 0; i < 256; i++)
    byte_ids[i] = i;
  CHECK_OK(limn_symbols_start(s, "random", 256 + N, 256 + N, byte_ids, &err), err);
  uint32_t pairs[N][2];
  size_t lengths[256 + N];
  for (size_t i = 0; i < 256; i++)
    lengths[i] = 1;
  for (uint32_t i = 0; i < N; i++) {
    bool is_new = false;
    while (!is_new) {
      for (int side = 0; side < 2; side++) {
        uint32_t r = next_random(seed) % (3 + i);
        pairs[i][side] = r < 3 ? LETTER + r : 256 + r - 3;
      }
      is_new = true;
      for (uint32_t k = 0; k < i; k++)
        is_new = is_new && (pairs[k][0] != pairs[i][0] || pairs[k][1] != pairs[i][1]);
    }
    lengths[256 + i] = lengths[pairs[i][0]] + lengths[pairs[i][1]];
  }
  uint32_t number[N]; /* of the symbol that merge i makes */
  for (uint32_t i = 0; i < N; i++)
    number[i] = i;
  for (int swap = 0; !is_ordered && swap < 10; swap++) {
    uint32_t a = next_random(seed) % N, b = next_random(seed) % N, c = number[a];
    number[a] = number[b];
    number[b] = c;
  }
  for (uint32_t k = 0; k < N; k++) {
    uint32_t i = 0;
    while (number[i] != k)
      i++;
    uint32_t left = pairs[i][0], right = pairs[i][1];
    if (left >= 256) left = 256 + number[left - 256];
    if (right >= 256) right = 256 + number[right - 256];
    limn_symbols_add(s, left, right, (int32_t)(256 + k), lengths[256 + i]);
  }
  CHECK_OK(limn_symbols_finish(s, "random", NULL, 0, &err), err);
}

static void check_merging(const limn_symbols *s, const unsigned char *piece, size_t n) {
  static uint32_t expected[5000];
  limn_error err;
  size_t n_expected = merge_by_definition(s, piece, n, expected);
  CHECK_OK(limn_bpe_heap(&bpe, s, piece, n, &err), err);
  assert_int_equal(bpe.n_out, n_expected);
  assert_memory_equal(bpe.out, expected, n_expected * sizeof *expected);
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    CHECK_OK(limn_bpe_encode(&bpe, (*loop)->merger, s, piece, n, &err), err);
    if (bpe.n_out != n_expected || memcmp(bpe.out, expected, n_expected * sizeof *expected) != 0)
      fail_msg("%s: a piece of %zu bytes has other symbols", (*loop)->isa, n);
    if (n > LIMN_LARGE_WINDOW) continue;
    uint32_t symbols[LIMN_LARGE_WINDOW];
    size_t n_symbols = (*loop)->merger->large(s, piece, n, symbols);
    assert_int_equal(n_symbols, n_expected);
    assert_memory_equal(symbols, expected, n_expected * sizeof *expected);
    if (n > LIMN_SMALL_WINDOW) continue;
    n_symbols = (*loop)->merger->small(s, piece, n, symbols);
    assert_int_equal(n_symbols, n_expected);
    assert_memory_equal(symbols, expected, n_expected * sizeof *expected);
  }
}

/* Short pieces merged together, in groups of every size. */
static void check_groups(const limn_symbols *s, uint32_t *seed) {
  unsigned char pieces[LIMN_GROUP][16];
  limn_window windows[LIMN_GROUP];
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    uint32_t expected[16], symbols[LIMN_GROUP][LIMN_SHORT_PIECE];
    size_t n = 1 + next_random(seed) % LIMN_GROUP;
    memset(pieces, 0, sizeof pieces);
    for (size_t p = 0; p < n; p++) {
      pieces[p][15] = (unsigned char)(1 + next_random(seed) % LIMN_SHORT_PIECE);
      for (size_t i = 0; i < pieces[p][15]; i++)
        pieces[p][i] = (unsigned char)(LETTER + next_random(seed) % 3);
      windows[p] = (limn_window){pieces[p], pieces[p][15], symbols[p], 0};
    }
    (*loop)->merger->several(s, windows, n);
    for (size_t p = 0; p < n; p++) {
      size_t n_expected = merge_by_definition(s, pieces[p], pieces[p][15], expected);
      assert_int_equal(windows[p].n_out, n_expected);
      assert_memory_equal(symbols[p], expected, n_expected * sizeof *expected);
    }
  }
}

static void windows_merge_by_definition(void **state) {
  (void)state;
  uint32_t seed = 3;
  for (int table = 0; table < 200; table++) {
    limn_symbols s = {0};
    bool is_ordered = table % 4 != 0;
    random_symbols(&s, &seed, is_ordered);
    for (int round = 0; round < 12; round++) {
      unsigned char piece[400];
      size_t n = 1 + next_random(&seed) % (round < 8 ? 70 : 400);
      uint32_t letters = 1 + next_random(&seed) % 3;
      for (size_t i = 0; i < n; i++)
        piece[i] = (unsigned char)(LETTER + next_random(&seed) % letters);
      check_merging(&s, piece, n);
      check_groups(&s, &seed);
    }
    limn_symbols_deinit(&s);
  }
}

/* Of every table: what the windows give, merged together, is what each gives alone. */
static void windows_merge_together(void **state) {
  (void)state;
  enum { MOST = 150 };
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  unsigned char *pages =
      mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(pages != MAP_FAILED);
  assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
  unsigned char *bytes = pages + page - 80; /* nothing behind them may be read */
  uint32_t seed = 29;
  for (int round = 0; round < 400; round++) {
    limn_symbols s = {0};
    limn_window windows[MOST];
    uint32_t out[MOST][LIMN_TINY_WINDOW + 1], expected[LIMN_TINY_WINDOW];
    random_symbols(&s, &seed, round % 4 != 0);
    for (size_t i = 0; i < 80; i++)
      bytes[i] = (unsigned char)(LETTER + next_random(&seed) % 3);
    size_t n = round < 20 ? (size_t)round : next_random(&seed) % MOST;
    uint32_t most = 1 + next_random(&seed) % LIMN_TINY_WINDOW;
    for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
      for (size_t i = 0; i < n; i++) {
        size_t size = 1 + next_random(&seed) % most;
        size_t at = next_random(&seed) % 2 ? 80 - size : next_random(&seed) % (80 - size);
        windows[i] = (limn_window){bytes + at, size, out[i], 0};
        out[i][size] = 77;
      }
      (*loop)->merger->several(&s, windows, n);
      for (size_t i = 0; i < n; i++) {
        size_t n_expected = merge_by_definition(&s, windows[i].bytes, windows[i].n, expected);
        assert_int_equal(windows[i].n_out, n_expected);
        assert_memory_equal(out[i], expected, n_expected * sizeof *expected);
        assert_int_equal(out[i][windows[i].n], 77);
      }
    }
    limn_symbols_deinit(&s);
  }
  munmap(pages, 2 * page);
}

/* The heap is held against the definition where that is not too slow. */
static void check_long(const limn_symbols *s, const unsigned char *piece, size_t n) {
  static uint32_t expected[40000];
  limn_error err;
  CHECK_OK(limn_bpe_heap(&bpe, s, piece, n, &err), err);
  size_t n_expected = bpe.n_out;
  memcpy(expected, bpe.out, n_expected * sizeof *expected);
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    CHECK_OK(limn_bpe_encode(&bpe, (*loop)->merger, s, piece, n, &err), err);
    if (bpe.n_out != n_expected || memcmp(bpe.out, expected, n_expected * sizeof *expected) != 0)
      fail_msg("%s: a piece of %zu bytes has other symbols", (*loop)->isa, n);
  }
}

/* Random letters, then a period again and again, now and then broken. */
static size_t repeating_text(uint32_t *seed, unsigned char *piece, size_t most, uint32_t first,
                             uint32_t letters) {
  size_t n = 0, end = 1 + next_random(seed) % most;
  while (n < end) {
    size_t period = 1 + next_random(seed) % (next_random(seed) % 2 ? 4 : 40);
    size_t times = 1 + next_random(seed) % (next_random(seed) % 2 ? 4 : 400), start = n;
    for (size_t i = 0; i < period * times && n < end; i++, n++)
      piece[n] =
          (unsigned char)(i < period ? first + next_random(seed) % letters : piece[n - period]);
    if (next_random(seed) % 3 == 0)
      piece[start + next_random(seed) % (n - start)] = (unsigned char)(first + letters - 1);
  }
  return n;
}

static void repetitions_merge_as_by_the_heap(void **state) {
  (void)state;
  static unsigned char piece[9000];
  uint32_t seed = 71;
  for (int table = 0; table < 150; table++) {
    limn_symbols s = {0};
    random_symbols(&s, &seed, table % 8 != 0);
    for (int round = 0; round < 10; round++) {
      uint32_t letters = 1 + next_random(&seed) % 3;
      size_t n = repeating_text(&seed, piece, round < 5 ? 400 : sizeof piece, LETTER, letters);
      if (n <= 400)
        check_merging(&s, piece, n);
      else
        check_long(&s, piece, n);
    }
    limn_symbols_deinit(&s);
  }
  for (int round = 0; round < 100; round++) {
    size_t n = repeating_text(&seed, piece, sizeof piece, 'a', 26);
    check_long(&gpt2->symbols, piece, n);
    for (size_t i = 0; i < n; i++) /* spaces, and what tokens of spaces begin with */
      piece[i] = piece[i] < 'a' + 20 ? ' ' : piece[i] < 'a' + 23 ? '\n' : piece[i];
    check_long(&gpt2->symbols, piece, n);
  }
}

/* How much work merging is: the bytes of all windows, whatever the machine. */

static const limn_merger *worker;
static size_t bytes_of_windows;

static size_t count_small(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  bytes_of_windows += n;
  return worker->small(s, bytes, n, out);
}

static size_t count_large(const limn_symbols *s, const unsigned char *bytes, size_t n,
                          uint32_t *out) {
  bytes_of_windows += n;
  return worker->large(s, bytes, n, out);
}

static void count_several(const limn_symbols *s, limn_window *windows, size_t n) {
  for (size_t i = 0; i < n; i++)
    bytes_of_windows += windows[i].n;
  worker->several(s, windows, n);
}

/* Periods that drift with the lengths of tokens, runs that change, letters at random. */
static void fill_hostile(unsigned char *piece, size_t n, size_t kind, uint32_t *seed) {
  for (size_t i = 0; i < n; i++) {
    if (kind < 40)
      piece[i] = (unsigned char)(i <= kind ? 'a' + next_random(seed) % 26 : piece[i - kind - 1]);
    else if (kind < 60)
      piece[i] = (unsigned char)(i % (7 * kind) < 3 * kind ? '-' : '=');
    else if (kind < 70)
      piece[i] = (unsigned char)(next_random(seed) % (10 * kind) == 0 ? 'a' + i % 26 : ' ');
    else
      piece[i] = (unsigned char)('a' + next_random(seed) % (kind - 68));
  }
}

/* A piece 16 times as long makes at most 16 times the work, and no square; no heap is needed. */
static void work_is_linear(void **state) {
  (void)state;
  static unsigned char piece[64000];
  uint32_t seed = 97;
  limn_error err;
  for (const limn_encoder_loop *const *loop = limn_loops(); *loop; loop++) {
    limn_merger counting = {"counting", count_small, count_large, count_several};
    worker = (*loop)->merger;
    for (size_t kind = 0; kind < 90; kind++) {
      limn_bpe b = {0};
      fill_hostile(piece, sizeof piece, kind, &seed);
      for (size_t n = 250; n <= sizeof piece; n *= 16) {
        bytes_of_windows = 0;
        CHECK_OK(limn_bpe_encode(&b, &counting, &gpt2->symbols, piece, n, &err), err);
        if (bytes_of_windows > 4 * n + 5000)
          fail_msg("kind %zu: %zu bytes in windows for %zu", kind, bytes_of_windows, n);
      }
      assert_int_equal(b.row.capacity, 0);
      limn_bpe_deinit(&b);
    }
  }
}

/* A run of one letter takes a few windows, whatever its tokens. */
static void runs_are_copied(void **state) {
  (void)state;
  static unsigned char piece[64000];
  int32_t byte_ids[256] = {0};
  limn_error err;
  limn_bpe b = {0};
  memset(piece, 'a', sizeof piece);
  for (uint32_t longest = 0; longest <= 6; longest++) { /* a, aa, aaaa, ... */
    limn_symbols s = {0};
    CHECK_OK(limn_symbols_start(&s, "powers", 256 + longest, 256, byte_ids, &err), err);
    for (uint32_t i = 0; i < longest; i++) {
      uint32_t half = i > 0 ? 255 + i : 'a';
      limn_symbols_add(&s, half, half, 0, (size_t)2 << i);
    }
    CHECK_OK(limn_symbols_finish(&s, "powers", NULL, 0, &err), err);
    limn_merger counting = {"counting", count_small, count_large, count_several};
    worker = limn_loop_best()->merger;
    bytes_of_windows = 0;
    CHECK_OK(limn_bpe_encode(&b, &counting, &s, piece, sizeof piece, &err), err);
    assert_int_equal(b.n_out, sizeof piece >> longest);
    assert_in_range(bytes_of_windows, 1, 20000);
    limn_symbols_deinit(&s);
  }
  limn_bpe_deinit(&b);
}

static void long_texts_merge_as_by_the_heap(void **state) {
  (void)state;
  static unsigned char piece[40000];
  uint32_t seed = 83;
  for (int table = 0; table < 60; table++) {
    limn_symbols s = {0};
    random_symbols(&s, &seed, true);
    size_t n = 1 + (next_random(&seed) % sizeof piece >> next_random(&seed) % 8);
    for (size_t i = 0; i < n; i++)
      piece[i] = (unsigned char)(LETTER + next_random(&seed) % 3);
    check_long(&s, piece, n);
    for (size_t i = 0; i < n; i++)
      piece[i] = (unsigned char)('a' + next_random(&seed) % 26);
    check_long(&gpt2->symbols, piece, n);
    limn_symbols_deinit(&s);
  }
}

/* Tokens far longer than any window: a, aa, aaaa, ... */
static void tokens_longer_than_windows(void **state) {
  (void)state;
  limn_symbols s = {0};
  limn_error err;
  int32_t byte_ids[256];
  for (int i = 0; i < 256; i++)
    byte_ids[i] = i;
  CHECK_OK(limn_symbols_start(&s, "powers", 256 + 12, 256 + 12, byte_ids, &err), err);
  limn_symbols_add(&s, 'a', 'a', 256, 2);
  for (uint32_t i = 1; i < 12; i++)
    limn_symbols_add(&s, 255 + i, 255 + i, (int32_t)(256 + i), (size_t)2 << i);
  CHECK_OK(limn_symbols_finish(&s, "powers", NULL, 0, &err), err);
  static unsigned char piece[5000];
  memset(piece, 'a', sizeof piece);
  for (size_t n = 1; n <= sizeof piece; n += 1 + n / 3)
    check_merging(&s, piece, n);
  piece[1000] = piece[4095] = 'b';
  check_merging(&s, piece, sizeof piece);
  limn_symbols_deinit(&s);
}

static void neighbours_stay_by_definition(void **state) {
  (void)state;
  uint32_t seed = 17;
  size_t n_stay = 0, n_go = 0;
  for (int table = 0; table < 60; table++) {
    limn_symbols s = {0};
    random_symbols(&s, &seed, true);
    for (int round = 0; round < 300; round++) {
      unsigned char piece[40];
      uint32_t left[40], right[40], both[40];
      size_t n = 2 + next_random(&seed) % 38, cut = 1 + next_random(&seed) % (n - 1);
      for (size_t i = 0; i < n; i++)
        piece[i] = (unsigned char)(LETTER + next_random(&seed) % 3);
      if (merge_by_definition(&s, piece, cut, left) != 1) continue;
      if (merge_by_definition(&s, piece + cut, n - cut, right) != 1) continue;
      bool stays =
          merge_by_definition(&s, piece, n, both) == 2 && both[0] == left[0] && both[1] == right[0];
      assert_int_equal(limn_symbols_stay(&s, left[0], right[0]), stays);
      n_stay += stays;
      n_go += !stays;
    }
    limn_symbols_deinit(&s);
  }
  assert_true(n_stay > 100 && n_go > 100);
}

/* ---- streams ------------------------------------------------------------------------------------
 */

static void check_stream(limn_encode_stream *s, const unsigned char *text, size_t n, uint32_t *seed,
                         size_t most, const limn_tokens *expected) {
  limn_tokens out = {0};
  limn_error err;
  for (size_t at = 0; at < n;) {
    size_t step = 1 + next_random(seed) % most;
    if (step > n - at) step = n - at;
    CHECK_OK(limn_encode_stream_push(s, (const char *)text + at, step, &out, &err), err);
    at += step;
  }
  CHECK_OK(limn_encode_stream_finish(s, &out, &err), err);
  if (out.n != expected->n || memcmp(out.ids, expected->ids, out.n * sizeof *out.ids) != 0)
    fail_msg("in chunks of up to %zu, \"%.*s\" has other ids", most, (int)n, (const char *)text);
  assert_memory_equal(out.offsets, expected->offsets, (out.n + 1) * sizeof *out.offsets);
  limn_tokens_deinit(&out);
}

static void streams_give_the_ids_of_the_whole(void **state) {
  (void)state;
  uint32_t seed = 53;
  limn_error err;
  for (size_t p = 0; p < N_PATTERNS; p++) {
    limn_tokenizer t = with_pattern(p);
    limn_encode_stream *s;
    CHECK_OK(limn_encode_stream_new(&t, 2000, LIMN_SPECIAL_ALLOW, &s, &err), err);
    for (int round = 0; round < 150; round++) {
      unsigned char text[900];
      limn_tokens expected = {0};
      size_t n = hard_text(&seed, text, round % 10 ? 60 : 800);
      if (round % 3 == 0 && n > 20)
        memcpy(text + next_random(&seed) % (n - 13), "<|endoftext|>", 13);
      CHECK_OK(
          limn_tokenizer_encode(&t, (const char *)text, n, LIMN_SPECIAL_ALLOW, &expected, &err),
          err);
      check_stream(s, text, n, &seed, 1, &expected);
      check_stream(s, text, n, &seed, 7, &expected);
      check_stream(s, text, n, &seed, 300, &expected);
      limn_tokens_deinit(&expected);
    }
    limn_encode_stream_free(s);
  }
}

/* What is certain comes at once, and what waits is no more than a word. */
static void a_stream_does_not_hold_back(void **state) {
  (void)state;
  static const char text[] = "The cat sat on the mat, and the dog sat on the log.";
  limn_encode_stream *s;
  limn_tokens out = {0};
  limn_error err;
  CHECK_OK(limn_encode_stream_new(gpt2, 0, LIMN_SPECIAL_AS_TEXT, &s, &err), err);
  for (size_t i = 0; i + 1 < sizeof text; i++) {
    CHECK_OK(limn_encode_stream_push(s, text + i, 1, &out, &err), err);
    size_t done = out.n ? out.offsets[out.n] : 0;
    assert_true(i + 1 - done <= 5);
  }
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
}

static void a_stream_refuses_special_tokens(void **state) {
  (void)state;
  limn_encode_stream *s;
  limn_tokens out = {0};
  limn_error err;
  CHECK_OK(limn_encode_stream_new(gpt2, 0, LIMN_SPECIAL_REFUSE, &s, &err), err);
  CHECK_OK(limn_encode_stream_push(s, "some words, then <|endof", 24, &out, &err), err);
  CHECK_FAILS(limn_encode_stream_push(s, "text|> and more of them", 23, &out, &err),
              LIMN_ERROR_ARGUMENT, err, "\"<|endoftext|>\" at byte 17 of the text");
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
}

/* Chunks of one byte in a piece of a quarter of a million: a square would take minutes. */
static void a_long_piece_in_single_bytes_takes_no_square(void **state) {
  (void)state;
  limn_encode_stream *s;
  limn_tokens out = {0};
  limn_error err;
  CHECK_OK(limn_encode_stream_new(gpt2, 0, LIMN_SPECIAL_AS_TEXT, &s, &err), err);
  for (int i = 0; i < 250000; i++)
    CHECK_OK(limn_encode_stream_push(s, "a", 1, &out, &err), err);
  CHECK_OK(limn_encode_stream_finish(s, &out, &err), err);
  assert_int_equal(out.offsets[out.n], 250000);
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
}

/* ---- batches, characters, bytes -----------------------------------------------------------------
 */

static void batches_keep_the_order_of_texts(void **state) {
  (void)state;
  enum { N = 300 };
  static unsigned char bytes[N][220];
  limn_text texts[N];
  uint32_t seed = 61;
  limn_error err;
  for (size_t i = 0; i < N; i++)
    texts[i] = (limn_text){(const char *)bytes[i], hard_text(&seed, bytes[i], 200)};
  for (int n_threads = 0; n_threads <= 4; n_threads++) {
    limn_pool *pool = NULL;
    limn_batch batch;
    if (n_threads > 0) CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    CHECK_OK(
        limn_tokenizer_encode_batch(gpt2, pool, texts, N, LIMN_SPECIAL_AS_TEXT, 5000, &batch, &err),
        err);
    assert_int_equal(batch.n, N);
    for (size_t i = 0; i < N; i++) {
      int32_t expected[220];
      size_t n = encode_plainly(gpt2, &bpe, bytes[i], texts[i].n, expected);
      check_ids("batch", gpt2, batch.ids + batch.starts[i], batch.starts[i + 1] - batch.starts[i],
                expected, n, bytes[i], texts[i].n);
    }
    limn_batch_deinit(&batch);
    memcpy(bytes[77], "<|endoftext|>", 13);
    texts[77].n = 13;
    CHECK_FAILS(
        limn_tokenizer_encode_batch(gpt2, pool, texts, N, LIMN_SPECIAL_REFUSE, 5000, &batch, &err),
        LIMN_ERROR_ARGUMENT, err, "<|endoftext|>");
    assert_null(batch.ids);
    assert_null(batch.starts);
    CHECK_OK(
        limn_tokenizer_encode_batch(gpt2, pool, NULL, 0, LIMN_SPECIAL_AS_TEXT, 0, &batch, &err),
        err);
    assert_int_equal(batch.n, 0);
    assert_int_equal(batch.starts[0], 0);
    limn_batch_deinit(&batch);
    limn_pool_free(pool);
  }
}

/*
 * Texts of one vocabulary, of which the first is so long that what follows waits for it: workers
 * meet the same pieces at the same time, short and long ones, by the loops of all instruction sets.
 */
static void workers_agree(void **state) {
  (void)state;
  enum { MOST = 400000, N = 250 };
  static unsigned char bytes[MOST + 64];
  static int32_t expected[MOST];
  static const size_t caches[] = {0, 5000, 300000, 4000000};
  limn_text texts[N];
  size_t ends[N], n_texts = 0, n_expected = 0;
  uint32_t seed = 67;
  limn_error err;
  const limn_encoder_loop *const *loops = limn_loops();
  const char *name = getenv("LIMN_KERNELS");
  char *named = name ? strdup(name) : NULL;
  size_t n_loops = 0;
  while (loops[n_loops])
    n_loops++;
  size_t n = wordy_text(&seed, bytes, MOST);
  for (size_t at = 0; n_texts < N; n_texts++) {
    size_t wanted = n_texts == 0 ? 60000 : next_random(&seed) % 3000;
    size_t size = wanted < n - at ? wanted : n - at;
    texts[n_texts] = (limn_text){(const char *)bytes + at, size};
    n_expected += encode_plainly(gpt2, &bpe, bytes + at, size, expected + n_expected);
    ends[n_texts] = n_expected;
    at += size;
  }
  for (int n_threads = 1; n_threads <= 5; n_threads++) {
    limn_pool *pool;
    CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
      limn_batch batch;
      setenv("LIMN_KERNELS", loops[((size_t)n_threads + c) % n_loops]->isa, 1);
      CHECK_OK(limn_tokenizer_encode_batch(gpt2, pool, texts, N, LIMN_SPECIAL_AS_TEXT, caches[c],
                                           &batch, &err),
               err);
      for (size_t i = 0; i < N; i++)
        assert_int_equal(batch.starts[i + 1], ends[i]);
      assert_memory_equal(batch.ids, expected, n_expected * sizeof *expected);
      limn_batch_deinit(&batch);
    }
    limn_pool_free(pool);
  }
  if (named)
    setenv("LIMN_KERNELS", named, 1);
  else
    unsetenv("LIMN_KERNELS");
  free(named);
}

/* Checks that a batch is the texts, whose ids end in `expected` at `ends`. */
static void check_batch(const limn_batch *batch, const size_t *ends, size_t n_texts,
                        const int32_t *expected) {
  size_t before = 0;
  assert_int_equal(batch->n, n_texts);
  assert_int_equal(batch->starts[0], 0);
  for (size_t i = 0; i < n_texts; i++)
    assert_int_equal(batch->starts[i + 1], ends[i]);
  if (n_texts > 0) before = ends[n_texts - 1];
  assert_true(batch->capacity >= before);
  if (before > 0) assert_memory_equal(batch->ids, expected, before * sizeof *expected);
}

/*
 * One encoder for batches of all sizes, one after another: with caches that forget meanwhile, with
 * a batch that fails in between, into the same memory and into new.
 */
static void an_encoder_takes_batch_after_batch(void **state) {
  (void)state;
  enum { MOST = 60000, N = 60, ROUNDS = 12 };
  static unsigned char bytes[MOST + 64];
  static int32_t expected[MOST];
  static const size_t caches[] = {0, 20000, 3000000};
  static const char refused[] = "a<|endoftext|>";
  const limn_text bad[2] = {{"good", 4}, {refused, sizeof refused - 1}};
  limn_error err;
  for (int n_threads = 1; n_threads <= 4; n_threads++) {
    limn_pool *pool;
    CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    for (size_t c = 0; c < sizeof caches / sizeof *caches; c++) {
      limn_batch_encoder *b;
      limn_batch batch = {0};
      uint32_t seed = 79;
      CHECK_OK(limn_batch_encoder_new(gpt2, pool, caches[c], &b, &err), err);
      for (size_t round = 0; round < ROUNDS; round++) {
        limn_text texts[N];
        size_t ends[N], n_expected = 0, n_texts = round * 7 % N, at = 0;
        size_t n = wordy_text(&seed, bytes, round % 3 == 2 ? 2000 : MOST);
        for (size_t i = 0; i < n_texts; i++, at += n / N) {
          texts[i] = (limn_text){(const char *)bytes + at, i % 5 == 3 ? 0 : n / N};
          n_expected += encode_plainly(gpt2, &bpe, bytes + at, texts[i].n, expected + n_expected);
          ends[i] = n_expected;
        }
        CHECK_OK(limn_batch_encoder_encode(b, texts, n_texts, LIMN_SPECIAL_AS_TEXT, &batch, &err),
                 err);
        check_batch(&batch, ends, n_texts, expected);
        if (round % 4 == 1)
          CHECK_FAILS(limn_batch_encoder_encode(b, bad, 2, LIMN_SPECIAL_REFUSE, &batch, &err),
                      LIMN_ERROR_ARGUMENT, err, "<|endoftext|>");
        if (round % 4 == 1) assert_null(batch.ids);
        if (round % 4 == 2) limn_batch_deinit(&batch);
      }
      limn_batch_deinit(&batch);
      limn_batch_encoder_free(b);
    }
    limn_pool_free(pool);
  }
  limn_batch_encoder_free(NULL);
}

/* Texts of which each byte is a token, so that ids need more room than is there at first. */
static void ids_may_be_many(void **state) {
  (void)state;
  enum { N = 64, EACH = 1000 };
  static char bytes[EACH];
  limn_text texts[N];
  limn_error err;
  for (size_t i = 0; i < EACH; i++)
    bytes[i] = i % 2 ? '\x01' : '\x02';
  for (size_t i = 0; i < N; i++)
    texts[i] = (limn_text){bytes, EACH};
  limn_tokens one = {0};
  CHECK_OK(limn_tokenizer_encode(gpt2, bytes, EACH, LIMN_SPECIAL_AS_TEXT, &one, &err), err);
  assert_int_equal(one.n, EACH);
  for (int n_threads = 1; n_threads <= 3; n_threads++) {
    limn_pool *pool;
    limn_batch batch;
    CHECK_OK(limn_pool_new(n_threads, &pool, &err), err);
    CHECK_OK(limn_tokenizer_encode_batch(gpt2, pool, texts, N, LIMN_SPECIAL_AS_TEXT, 10000, &batch,
                                         &err),
             err);
    assert_int_equal(batch.starts[N], N * EACH);
    for (size_t i = 0; i < N; i++)
      assert_memory_equal(batch.ids + i * EACH, one.ids, EACH * sizeof *one.ids);
    limn_batch_deinit(&batch);
    limn_pool_free(pool);
  }
  limn_tokens_deinit(&one);
}

static bool is_anywhere(const unsigned char *text, size_t n, size_t at) {
  (void)text, (void)n, (void)at;
  return true;
}

static void check_cut(const limn_tokenizer *t, limn_pool *pool, const limn_text *texts,
                      size_t n_texts, size_t span_size, limn_cut_place *is_place,
                      const int32_t *expected, size_t n_expected, bool *was_wrong) {
  limn_batch batch;
  limn_error err;
  CHECK_OK(limn_encode_batch_cut(t, pool, texts, n_texts, 20000, span_size, is_place, &batch,
                                 was_wrong, &err),
           err);
  assert_int_equal(batch.starts[0], 0);
  assert_int_equal(batch.starts[n_texts], n_expected);
  check_ids("cut", t, batch.ids, n_expected, expected, n_expected,
            (const unsigned char *)texts[0].bytes, 40);
  limn_batch_deinit(&batch);
}

/*
 * Texts cut into spans of a few bytes up to some hundred. Between words a piece always begins; cuts
 * anywhere are found to be wrong, and the ids are right all the same.
 */
static void long_texts_are_shared(void **state) {
  (void)state;
  enum { MOST = 3000 };
  static const size_t sizes[] = {1, 9, 70, 500};
  limn_text texts[3];
  uint32_t seed = 73;
  limn_error err;
  limn_pool *pool;
  size_t n_wrong = 0, n_right = 0;
  CHECK_OK(limn_pool_new(2, &pool, &err), err);
  for (size_t p = 0; p < N_PATTERNS; p++) {
    limn_tokenizer t = with_pattern(p);
    for (int round = 0; round < 40; round++) {
      static unsigned char bytes[MOST + 16];
      static int32_t expected[2 * MOST];
      bool was_wrong;
      size_t n = round % 2 ? script_text(&seed, bytes, MOST) : hard_text(&seed, bytes, MOST);
      texts[0] = (limn_text){(const char *)bytes, n};
      texts[1] = (limn_text){(const char *)bytes, 0};
      texts[2] = (limn_text){(const char *)bytes + n / 2, n - n / 2};
      size_t n_expected = encode_plainly(&t, &bpe, bytes, n, expected);
      n_expected += encode_plainly(&t, &bpe, bytes + n / 2, n - n / 2, expected + n_expected);
      size_t size = sizes[round % 4];
      check_cut(&t, pool, texts, 3, size, limn_is_between_words, expected, n_expected, &was_wrong);
      assert_false(was_wrong);
      check_cut(&t, pool, texts, 3, size, is_anywhere, expected, n_expected, &was_wrong);
      n_wrong += was_wrong;
      n_right += !was_wrong;
    }
  }
  limn_pool_free(pool);
  assert_true(n_wrong > 100);
  assert_true(n_right > 10);
}

static void offsets_in_characters(void **state) {
  (void)state;
  static const char text[] = "a\xc3\xa9\xe4\xb8\xad\xff\xf0\x9f\x98\x80z";
  static const size_t bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12};
  static const size_t expected[] = {0, 1, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6};
  size_t out[12];
  limn_character_offsets(text, sizeof text - 1, bytes, 12, out);
  for (size_t i = 0; i < 12; i++)
    assert_int_equal(out[i], expected[i]);
}

static void decodes_into_what_there_is(void **state) {
  (void)state;
  int32_t ids[300];
  char all[8192], exact[8192];
  size_t n, n_exact;
  uint32_t seed = 71;
  limn_error err;
  for (int round = 0; round < 300; round++) {
    for (size_t i = 0; i < 300; i++)
      ids[i] = (int32_t)(next_random(&seed) % 50257);
    CHECK_OK(limn_tokenizer_decode_into(gpt2, ids, 300, all, sizeof all, &n, &err), err);
    exact[n] = 'x';
    CHECK_OK(limn_tokenizer_decode_into(gpt2, ids, 300, exact, n, &n_exact, &err), err);
    assert_int_equal(n, n_exact);
    assert_memory_equal(all, exact, n);
    assert_int_equal(exact[n], 'x');
    size_t at = 0;
    for (size_t i = 0; i < 300; i++) {
      size_t size;
      const char *bytes = limn_tokenizer_bytes(gpt2, ids[i], &size);
      assert_memory_equal(bytes, all + at, size);
      at += size;
    }
    assert_int_equal(at, n);
    CHECK_FAILS(limn_tokenizer_decode_into(gpt2, ids, 300, exact, n - 1, &n_exact, &err),
                LIMN_ERROR_RANGE, err, "that there is room for");
    ids[123] = 50257;
    CHECK_FAILS(limn_tokenizer_decode_into(gpt2, ids, 300, all, sizeof all, &n, &err),
                LIMN_ERROR_RANGE, err, "no token has the id 50257");
  }
}

/* ---- running out of memory ----------------------------------------------------------------------
 */

static limn_status encode_in_all_ways(limn_error *err) {
  static char text[3000];
  memset(text, 'a', sizeof text);
  limn_encoder *e = NULL;
  limn_encode_stream *s = NULL;
  limn_tokens out = {0};
  limn_batch batch = {0};
  limn_text texts[2] = {{text, 500}, {text, 2000}};
  size_t n_ids;
  limn_status status = limn_encoder_new(gpt2, 1000, &e, err);
  if (status == LIMN_OK)
    status = limn_encoder_count(e, text, sizeof text, LIMN_SPECIAL_AS_TEXT, &n_ids, err);
  if (status == LIMN_OK) status = limn_encode_stream_new(gpt2, 0, LIMN_SPECIAL_AS_TEXT, &s, err);
  if (status == LIMN_OK) status = limn_encode_stream_push(s, text, sizeof text, &out, err);
  if (status == LIMN_OK) status = limn_encode_stream_finish(s, &out, err);
  if (status == LIMN_OK)
    status =
        limn_tokenizer_encode_batch(gpt2, NULL, texts, 2, LIMN_SPECIAL_AS_TEXT, 0, &batch, err);
  limn_batch_deinit(&batch);
  limn_tokens_deinit(&out);
  limn_encode_stream_free(s);
  limn_encoder_free(e);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  for (int64_t k = 0;; k++) {
    limn_error err;
    fail_allocation(k);
    limn_status status = encode_in_all_ways(&err);
    bool was_asked = allocations_asked() > k;
    assert_int_equal(allocations_live(), 0);
    if (!was_asked) {
      fail_allocation(-1);
      assert_int_equal(status, LIMN_OK);
      assert_true(k > 10);
      return;
    }
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
}

/* What workers ask for, and when, differs from run to run; what fails is told all the same. */
static void batches_may_fail_on_a_team(void **state) {
  (void)state;
  enum { MOST = 20000, N = 40 };
  static unsigned char bytes[MOST + 64];
  static limn_cut_place *const places[] = {limn_is_between_words, is_anywhere};
  static const size_t sizes[] = {MOST, 100};
  limn_text texts[N];
  uint32_t seed = 71;
  limn_error err;
  limn_pool *pool;
  size_t each = wordy_text(&seed, bytes, MOST) / N;
  for (size_t i = 0; i < N; i++)
    texts[i] = (limn_text){(const char *)bytes + i * each, each};
  CHECK_OK(limn_pool_new(3, &pool, &err), err);
  for (size_t c = 0; c < 4; c++) {
    bool was_asked = true, was_wrong;
    for (int64_t k = 0; was_asked; k++) {
      limn_batch batch;
      fail_allocation(k);
      limn_status status = limn_encode_batch_cut(gpt2, pool, texts, N, 10000, sizes[c / 2],
                                                 places[c % 2], &batch, &was_wrong, &err);
      was_asked = allocations_asked() > k;
      assert_int_equal(status, was_asked ? LIMN_ERROR_MEMORY : LIMN_OK);
      if (was_asked) assert_null(batch.ids);
      limn_batch_deinit(&batch);
      assert_int_equal(allocations_live(), 0);
      assert_true(was_asked || k > 10);
    }
    assert_int_equal(was_wrong, c == 3);
  }
  fail_allocation(-1);
  limn_pool_free(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_loop_and_cache_gives_the_same_ids),
      cmocka_unit_test(the_cache_grows_within_a_text),
      cmocka_unit_test(nothing_behind_the_text_is_read),
      cmocka_unit_test(a_budget_gives_the_first_ids),
      cmocka_unit_test(long_pieces_stand_in_their_place),
      cmocka_unit_test(every_pair_is_found),
      cmocka_unit_test(known_displacements_are_checked),
      cmocka_unit_test(gpt2_knows_its_displacements),
      cmocka_unit_test(windows_merge_by_definition),
      cmocka_unit_test(windows_merge_together),
      cmocka_unit_test(repetitions_merge_as_by_the_heap),
      cmocka_unit_test(long_texts_merge_as_by_the_heap),
      cmocka_unit_test(work_is_linear),
      cmocka_unit_test(runs_are_copied),
      cmocka_unit_test(tokens_longer_than_windows),
      cmocka_unit_test(neighbours_stay_by_definition),
      cmocka_unit_test(streams_give_the_ids_of_the_whole),
      cmocka_unit_test(a_stream_does_not_hold_back),
      cmocka_unit_test(a_stream_refuses_special_tokens),
      cmocka_unit_test(a_long_piece_in_single_bytes_takes_no_square),
      cmocka_unit_test(batches_keep_the_order_of_texts),
      cmocka_unit_test(workers_agree),
      cmocka_unit_test(an_encoder_takes_batch_after_batch),
      cmocka_unit_test(ids_may_be_many),
      cmocka_unit_test(long_texts_are_shared),
      cmocka_unit_test(offsets_in_characters),
      cmocka_unit_test(decodes_into_what_there_is),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(batches_may_fail_on_a_team),
  };
  return cmocka_run_group_tests(tests, open_gpt2, close_gpt2);
}
