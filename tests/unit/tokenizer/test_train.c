/*
 * Learning an encoding: merges against those of Hugging Face's trainer, chunks and threads that
 * change nothing, files that read back, bad options, and running out of room and memory.
 */
#include "base/file.h"
#include "tokenizer/train.h"

#include "check.h"
#include "trained_merges.h"

#include <limn/io.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define N_TRAINED (sizeof trained / sizeof *trained)

static size_t n_specials_of(const struct trained *c) {
  size_t n = 0;
  while (c->specials[n])
    n++;
  return n;
}

static limn_trainer_options options_of(const struct trained *c, limn_pool *pool) {
  return (limn_trainer_options){.pattern = c->pattern,
                                .vocab_size = c->vocab_size,
                                .min_frequency = c->min_frequency,
                                .max_token_length = c->max_token_length,
                                .is_nfc = c->is_nfc,
                                .specials = c->specials,
                                .n_specials = n_specials_of(c),
                                .pool = pool};
}

/* Feeds a text in chunks of `chunk` bytes and learns. */
static limn_trainer *train(const struct trained *c, limn_pool *pool, size_t chunk) {
  limn_trainer_options options = options_of(c, pool);
  limn_trainer *t;
  limn_error err;
  size_t n = strlen(c->text);
  CHECK_OK(limn_trainer_new(&options, &t, &err), err);
  for (size_t at = 0; at < n; at += chunk)
    CHECK_OK(limn_trainer_feed(t, c->text + at, n - at < chunk ? n - at : chunk, &err), err);
  CHECK_OK(limn_trainer_learn(t, &err), err);
  return t;
}

/* ---- against another implementation ---------------------------------------------------------- */

static void check_file(const char *folder, const char *name, const char *head, const char *body) {
  limn_error err;
  char path[300], *text;
  size_t n, n_head = strlen(head);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK_OK(limn_file_read(path, 0, &text, &n, &err), err);
  assert_memory_equal(text, head, n_head);
  assert_string_equal(text + n_head, body);
  limn_free(text);
}

/* The printable forms of all tokens with spaces between, as in the reference. */
static void check_vocab(const limn_tokenizer *t, const char *wanted) {
  limn_error err;
  char *text;
  for (int32_t id = 0; id < limn_tokenizer_vocab_size(t); id++) {
    CHECK_OK(limn_tokenizer_printable(t, id, &text, &err), err);
    size_t n = strlen(text);
    if (strncmp(wanted, text, n) != 0 || (wanted[n] != ' ' && wanted[n] != '\0'))
      fail_msg("token %d is \"%s\", expected \"%.*s\"", id, text, (int)strcspn(wanted, " "),
               wanted);
    wanted += n + (wanted[n] == ' ');
    limn_free(text);
  }
  assert_string_equal(wanted, "");
}

static void learns_the_merges_of_others(void **state) {
  (void)state;
  limn_error err;
  for (size_t i = 0; i < N_TRAINED; i++) {
    char folder[256];
    limn_tokenizer *read = NULL;
    make_folder(folder);
    limn_trainer *t = train(&trained[i], NULL, SIZE_MAX / 2);
    CHECK_OK(limn_trainer_write(t, folder, &err), err);
    check_file(folder, "merges.txt", "#version: 0.2\n", trained[i].merges);
    /* A special token that is a letter leaves no token for that byte alone. */
    bool is_whole = trained[i].specials[0] == NULL || trained[i].specials[0][0] == '<';
    if (is_whole && strcmp(trained[i].pattern, "gpt2") == 0) {
      CHECK_OK(limn_tokenizer_open(folder, &read, &err), err);
      if (*trained[i].vocab) check_vocab(read, trained[i].vocab);
    }
    limn_tokenizer_close(read);
    limn_trainer_free(t);
    remove_folder(folder);
  }
}

static void same_merges(const limn_trainer *a, const limn_trainer *b) {
  assert_int_equal(limn_trainer_n_merges(a), limn_trainer_n_merges(b));
  for (size_t i = 0; i < limn_trainer_n_merges(a); i++) {
    limn_trained_merge x = limn_trainer_merge(a, i), y = limn_trainer_merge(b, i);
    assert_int_equal(x.left, y.left);
    assert_int_equal(x.right, y.right);
    assert_int_equal(x.result, y.result);
    assert_int_equal(x.count, y.count);
  }
}

/* Text that fills blocks and is cut everywhere: words of many alphabets, and long stretches without
 * a place to cut. */
static char *long_text(size_t n) {
  static const char *const words[] = {"word",
                                      " words",
                                      "\n",
                                      " 123456",
                                      "  ",
                                      "\xe6\x9d\xb1",
                                      "\xe4\xba\xac ",
                                      "'s",
                                      "!?",
                                      "\xff\xfe",
                                      "\xd0\xb4\xd0\xbe ",
                                      "x_y",
                                      "\t\r\n",
                                      "ABCdef",
                                      "e\xcc\x81 "};
  char *text = malloc(n + 16);
  uint32_t seed = 7;
  assert_non_null(text);
  for (size_t at = 0; at < n;) {
    seed = seed * 1664525 + 1013904223;
    const char *word = words[(seed >> 16) % (sizeof words / sizeof *words)];
    bool is_cut_free = at % 3000000 < 100000; /* no letter before white space */
    if (is_cut_free) word = "\xff\xfe";
    strcpy(text + at, word);
    at += strlen(word);
  }
  return text;
}

static void chunks_and_threads_change_nothing(void **state) {
  (void)state;
  limn_pool *pool;
  limn_error err;
  struct trained big = {.vocab_size = 700};
  char *text = long_text(5 << 20);
  big.text = text;
  CHECK_OK(limn_pool_new(3, &pool, &err), err);
  for (size_t i = 0; i < 9; i += 4) {
    big.pattern = trained[i].pattern;
    limn_trainer *a = train(&big, NULL, SIZE_MAX / 2), *b = train(&big, pool, 777777);
    same_merges(a, b);
    limn_training_counts x = limn_trainer_counts(a), y = limn_trainer_counts(b);
    assert_memory_equal(&x, &y, sizeof x);
    assert_int_equal(x.n_bytes, strlen(text));
    limn_trainer_free(a);
    limn_trainer_free(b);
  }
  for (size_t i = 0; i < N_TRAINED; i++) {
    limn_trainer *a = train(&trained[i], NULL, 1), *b = train(&trained[i], pool, 1000);
    same_merges(a, b);
    limn_trainer_free(a);
    limn_trainer_free(b);
  }
  limn_pool_free(pool);
  free(text);
}

/* As one file by lines, and as a text for each line. */
static void lines_are_texts(void **state) {
  (void)state;
  static const char text[] = "a  \n\n  b\na  \n\n\n  b\nab  ab\n";
  limn_trainer_options options = {.vocab_size = 300, .by_line = true};
  limn_trainer *a, *b;
  limn_error err;
  CHECK_OK(limn_trainer_new(&options, &a, &err), err);
  CHECK_OK(limn_trainer_feed(a, text, strlen(text), &err), err);
  CHECK_OK(limn_trainer_learn(a, &err), err);
  options.by_line = false;
  CHECK_OK(limn_trainer_new(&options, &b, &err), err);
  for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
    CHECK_OK(limn_trainer_feed(b, line, strcspn(line, "\n") + 1, &err), err);
    CHECK_OK(limn_trainer_end_text(b, &err), err);
  }
  CHECK_OK(limn_trainer_learn(b, &err), err);
  assert_true(limn_trainer_n_merges(a) > 3);
  same_merges(a, b);
  limn_trainer_free(a);
  limn_trainer_free(b);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static bool stop(void *user, int64_t done, int64_t total) {
  int *calls = user;
  assert_true(done > 256 && done <= total);
  return ++*calls == 3;
}

static void refuses(void **state) {
  (void)state;
  static const char *const empty[] = {""}, *const broken[] = {"<\xff>"}, *const one[] = {"<s>"};
  static const struct {
    limn_trainer_options options;
    limn_status status;
    const char *part;
  } cases[] = {
      {{.vocab_size = 255}, LIMN_ERROR_RANGE, "255 tokens is asked for, expected 256"},
      {{.vocab_size = 256, .specials = one, .n_specials = 1},
       LIMN_ERROR_RANGE,
       "expected 257 (all bytes and 1 special tokens)"},
      {{.vocab_size = INT32_MAX}, LIMN_ERROR_RANGE, "to 16777216"},
      {{.vocab_size = -1}, LIMN_ERROR_RANGE, "-1 tokens"},
      {{.vocab_size = 300, .pattern = "gpt5"},
       LIMN_ERROR_ARGUMENT,
       "no pattern has the name \"gpt5\", expected one of gpt2, llama3"},
      {{.vocab_size = 300, .specials = empty, .n_specials = 1}, LIMN_ERROR_ARGUMENT, "is empty"},
      {{.vocab_size = 300, .specials = broken, .n_specials = 1}, LIMN_ERROR_ARGUMENT, "no UTF-8"},
  };
  limn_error err;
  limn_trainer *t;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    CHECK_FAILS(limn_trainer_new(&cases[i].options, &t, &err), cases[i].status, err, cases[i].part);
    assert_null(t);
  }
  int calls = 0;
  limn_trainer_options options = {.vocab_size = 300, .progress = stop, .user = &calls};
  CHECK_OK(limn_trainer_new(&options, &t, &err), err);
  CHECK_OK(limn_trainer_feed(t, "abcabcabcabc", 12, &err), err);
  CHECK_FAILS(limn_trainer_learn(t, &err), LIMN_ERROR_CANCELLED, err, "after 259 of 300 tokens");
  CHECK_FAILS(limn_trainer_learn(t, &err), LIMN_ERROR_RANGE, err, "learned already");
  CHECK_FAILS(limn_trainer_feed(t, "a", 1, &err), LIMN_ERROR_RANGE, err, "after learning");
  CHECK_FAILS(limn_trainer_write(t, "/no/such/folder", &err), LIMN_ERROR_NOT_FOUND, err,
              "cannot make the folder \"/no/such/folder\"");
  CHECK_FAILS(limn_trainer_write(t, "/dev/null", &err), LIMN_ERROR_IO, err, "/dev/null");
  size_t n;
  assert_null(limn_trainer_bytes(t, limn_trainer_vocab_size(t), &n));
  assert_null(limn_trainer_bytes(t, -1, &n));
  limn_trainer_free(t);
  limn_trainer_free(NULL);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

/* Room for some of the three files (here: by the process's largest file size), and not for all. */
static void a_full_disk_changes_no_file(void **state) {
  (void)state;
  static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt"};
  limn_error err;
  limn_trainer *t;
  struct rlimit before, small;
  char folder[256], path[512], *bytes;
  size_t n;
  make_folder(folder);
  CHECK_OK(limn_trainer_new(&(limn_trainer_options){.vocab_size = 256}, &t, &err), err);
  CHECK_OK(limn_trainer_learn(t, &err), err);
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    CHECK_OK(limn_file_write(path, "old", 3, &err), err);
  }
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  for (rlim_t size = 0; size <= 4096; size += 1024) {
    small = before;
    small.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    limn_status status = limn_trainer_write(t, folder, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK_FAILS(status, LIMN_ERROR_IO, err, "File too large");
    for (size_t i = 0; i < 3; i++) {
      snprintf(path, sizeof path, "%s/%s", folder, names[i]);
      CHECK_OK(limn_file_read(path, 0, &bytes, &n, &err), err);
      assert_string_equal(bytes, "old");
      limn_free(bytes);
    }
  }
  limn_trainer_free(t);
  remove_folder(folder);
}

/* ---- no memory ------------------------------------------------------------------------------- */

static limn_status all_at_once(const char *folder, limn_pool *pool, limn_error *err) {
  static const char text[] = "a word and another word, sixteen bytes and more: wordwordwordword\n"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
  static const char *const specials[] = {"<s>", "</s>"};
  limn_trainer_options options = {
      .vocab_size = 330, .specials = specials, .n_specials = 2, .pattern = "o200k", .pool = pool};
  limn_trainer *t;
  limn_status status = limn_trainer_new(&options, &t, err);
  if (status != LIMN_OK) return status;
  for (int i = 0; i < 3 && status == LIMN_OK; i++) {
    status = limn_trainer_feed(t, text, sizeof text - 1, err);
    if (status == LIMN_OK) status = limn_trainer_end_text(t, err);
  }
  if (status == LIMN_OK) status = limn_trainer_learn(t, err);
  if (status == LIMN_OK) status = limn_trainer_write(t, folder, err);
  limn_trainer_free(t);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  limn_error err;
  char folder[256];
  limn_pool *pool;
  make_folder(folder);
  CHECK_OK(limn_pool_new(2, &pool, &err), err);
  limn_status status = LIMN_ERROR_MEMORY;
  for (int64_t k = 0; status != LIMN_OK; k++) {
    fail_allocation(k);
    status = all_at_once(folder, pool, &err);
    if (status != LIMN_OK && status != LIMN_ERROR_MEMORY)
      fail_msg("allocation %d: %s", (int)k, err.text);
    assert_int_equal(allocations_live(), 0);
  }
  fail_allocation(-1);
  limn_pool_free(pool);
  remove_folder(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(learns_the_merges_of_others),
      cmocka_unit_test(chunks_and_threads_change_nothing),
      cmocka_unit_test(lines_are_texts),
      cmocka_unit_test(refuses),
      cmocka_unit_test(a_full_disk_changes_no_file),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
