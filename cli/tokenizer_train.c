/*
 * tokenizer_train.c - limn tokenizer train: from texts to the files of an encoding.
 *
 * Texts are read in blocks and given to the trainer at once; what is kept of them is their
 * different pieces.
 */
#include "folder.h"
#include "tokenizer.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK        ((size_t)1 << 20)
#define MOST_SPECIAL 1024

static const cli_option options[] = {
    {"vocab-size", 'n', CLI_INT, "N", "32000", 256, 1 << 24,
     "Tokens to learn, the 256 bytes and special tokens among them"},
    {"output", 'o', CLI_TEXT, "DIR", NULL, 0, 0,
     "The folder to write tokenizer.json, vocab.json and merges.txt to; made where it is not "
     "there"},
    {"pattern", 'p', CLI_CHOICE, "gpt2|llama3|qwen2|qwen3.5|o200k|tekken|starcoder|falcon|deepseek",
     "gpt2", 0, 0,
     "How texts are cut into the pieces that tokens stay within: as this family of models does"},
    {"min-frequency", 0, CLI_INT, "N", "2", 1, CLI_NO_MAX,
     "Merge no pair of tokens that occurs less often"},
    {"max-token-length", 0, CLI_INT, "N", NULL, 2, 1 << 20,
     "Merge no more than two bytes to a token of N bytes or more; any length when not given"},
    {"nfc", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Bring texts into Unicode's composed form first, as the tokenizer then does too"},
    {"special", 's', CLI_LIST, "TOKEN", NULL, 0, 0,
     "A special token, such as <|endoftext|>; the first gets the id 0, the next 1"},
    {"by-line", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Take each line for a text of its own, so that no piece reaches over a line feed"},
    {"threads", 't', CLI_INT, "N", NULL, 1, 1024,
     "Threads that count pieces; as many as this process may use when not given"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn tokenizer train *.txt --vocab-size 8000 -o mine", "8000 tokens from some books."},
    {"limn tokenizer train code.txt -p o200k --special '<|endoftext|>' -o code",
     "Cut as o200k cuts, with a special token."},
    {"cat *.txt | limn tokenizer train - --by-line -o mine", "From standard input."},
    {"limn tokenize -e mine 'Hello world'", "What it makes of a text."},
    {NULL, NULL}};

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct reading {
  limn_trainer *trainer;
  int64_t done, total; /* bytes; total 0 when it is not known */
} reading;

static limn_status cannot_read(const char *path, limn_error *err) {
  return limn_error_set(err, errno == ENOENT ? LIMN_ERROR_NOT_FOUND : LIMN_ERROR_IO, LIMN_NO_OFFSET,
                        "cannot read \"%s\": %s", path, strerror(errno));
}

static limn_status feed_stream(reading *r, FILE *file, const char *path, limn_error *err) {
  limn_status status = LIMN_OK;
  char *block = limn_alloc(BLOCK);
  if (!block) return cli_no_memory(err);
  errno = 0;
  for (size_t n; status == LIMN_OK && (n = fread(block, 1, BLOCK, file)) > 0;) {
    status = limn_trainer_feed(r->trainer, block, n, err);
    r->done += (int64_t)n;
    cli_progress("Reading: bytes", r->done, r->total);
  }
  limn_free(block);
  if (status == LIMN_OK && ferror(file)) return cannot_read(path, err);
  return status == LIMN_OK ? limn_trainer_end_text(r->trainer, err) : status;
}

static limn_status feed_file(reading *r, const char *path, limn_error *err) {
  if (strcmp(path, "-") == 0) return feed_stream(r, stdin, "standard input", err);
  FILE *file = fopen(path, "rb");
  if (!file) return cannot_read(path, err);
  limn_status status = feed_stream(r, file, path, err);
  fclose(file);
  return status;
}

/* The sum of the files' sizes, 0 when one is none. A file that is not there, or cannot be read, is
   said before the others are read. */
static limn_status measure(const cli *c, int64_t *total, limn_error *err) {
  bool is_known = true;
  *total = 0;
  for (int i = 0; i < c->n_arguments; i++) {
    struct stat info;
    const char *path = c->arguments[i];
    if (strcmp(path, "-") == 0) {
      is_known = false;
      continue;
    }
    if (stat(path, &info) != 0 || access(path, R_OK) != 0) return cannot_read(path, err);
    if (S_ISDIR(info.st_mode)) {
      errno = EISDIR;
      return cannot_read(path, err);
    }
    is_known = is_known && S_ISREG(info.st_mode);
    *total += (int64_t)info.st_size;
  }
  if (!is_known) *total = 0;
  return LIMN_OK;
}

/* ---- what came of it ------------------------------------------------------------------------- */

static void print_summary(const limn_trainer *t, const char *folder, bool is_short) {
  limn_training_counts counts = limn_trainer_counts(t);
  char pieces[32], distinct[32], tokens[32], merges[32], size[32];
  printf("%s of text: %s piece%s, %s different\n", cli_size_text(size, (uint64_t)counts.n_bytes),
         cli_group_digits(pieces, counts.n_pieces, ' '), cli_plural(counts.n_pieces),
         cli_group_digits(distinct, counts.n_distinct, ' '));
  printf("%s%s tokens%s, %s of them merges", cli_sgr(CLI_BOLD),
         cli_group_digits(tokens, limn_trainer_vocab_size(t), ' '), cli_sgr(CLI_PLAIN),
         cli_group_digits(merges, (int64_t)limn_trainer_n_merges(t), ' '));
  printf("%s\n", is_short ? "; no other pair is frequent enough" : "");
  printf("tokenizer.json, vocab.json and merges.txt are in %s", cli_sgr(CLI_ACCENT));
  cli_print_visible(stdout, folder, strlen(folder), 0, 0);
  printf("%s\n", cli_sgr(CLI_PLAIN));
}

static int print_json(const cli *c, const limn_trainer *t, const char *folder) {
  limn_training_counts counts = limn_trainer_counts(t);
  const cli_number rows[] = {{"n_bytes", counts.n_bytes},
                             {"n_pieces", counts.n_pieces},
                             {"n_distinct_pieces", counts.n_distinct},
                             {"vocab_size", limn_trainer_vocab_size(t)},
                             {"n_merges", (int64_t)limn_trainer_n_merges(t)}};
  limn_json j;
  limn_error err;
  cli_json_begin(&j, &err);
  limn_json_begin_object(&j);
  cli_put_numbers(&j, rows, sizeof rows / sizeof *rows);
  limn_json_key(&j, "pattern");
  limn_json_cstring(&j, cli_value(c, "pattern"));
  limn_json_key(&j, "folder");
  limn_json_cstring(&j, folder);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool show_progress(void *user, int64_t done, int64_t total) {
  (void)user;
  if (done % 64 == 0) cli_progress("Learning: tokens", done, total);
  return false;
}

static limn_status train(const cli *c, limn_trainer *t, limn_error *err) {
  reading r = {.trainer = t};
  limn_status status = measure(c, &r.total, err);
  if (status == LIMN_OK) status = cli_make_folder(cli_value(c, "output"), err);
  for (int i = 0; i < c->n_arguments && status == LIMN_OK; i++)
    status = feed_file(&r, c->arguments[i], err);
  if (status == LIMN_OK) status = limn_trainer_learn(t, err);
  if (status == LIMN_OK) status = limn_trainer_write(t, cli_value(c, "output"), err);
  cli_progress_end();
  return status;
}

static int train_with(const cli *c, const limn_trainer_options *wanted) {
  limn_trainer *t;
  limn_error err;
  if (limn_trainer_new(wanted, &t, &err) != LIMN_OK) return cli_fail(c, &err);
  const char *folder = cli_value(c, "output");
  int result = CLI_OK;
  if (train(c, t, &err) != LIMN_OK)
    result = cli_fail(c, &err);
  else if (cli_flag(c, "json"))
    result = print_json(c, t, folder);
  else
    print_summary(t, folder, limn_trainer_vocab_size(t) < wanted->vocab_size);
  limn_trainer_free(t);
  return result;
}

static int run(cli *c) {
  static const char *specials[MOST_SPECIAL];
  limn_pool *pool;
  limn_error err;
  size_t n = 0;
  if (!cli_is_given(c, "output")) return cli_bad(c, "no folder to write to, expected -o DIR");
  while (n < MOST_SPECIAL && (specials[n] = cli_list_at(c, "special", (int)n)))
    n++;
  if (n == MOST_SPECIAL)
    return cli_bad(c, "%d special tokens or more, expected fewer", MOST_SPECIAL);
  if (limn_pool_new((int)cli_int(c, "threads", 0), &pool, &err) != LIMN_OK)
    return cli_fail(c, &err);
  limn_trainer_options wanted = {.pattern = cli_value(c, "pattern"),
                                 .vocab_size = (int32_t)cli_int(c, "vocab-size", 0),
                                 .min_frequency = cli_int(c, "min-frequency", 2),
                                 .max_token_length = (int32_t)cli_int(c, "max-token-length", 0),
                                 .is_nfc = cli_flag(c, "nfc"),
                                 .by_line = cli_flag(c, "by-line"),
                                 .specials = specials,
                                 .n_specials = n,
                                 .pool = pool,
                                 .progress = show_progress};
  int result = train_with(c, &wanted);
  limn_pool_free(pool);
  return result;
}

const cli_command cli_tokenizer_train = {
    .name = "tokenizer train",
    .group = CLI_LOOK,
    .summary = "learn a byte-level encoding from text",
    .usage = "[OPTION]... FILE... -o DIR",
    .description =
        "Learns which bytes to put together to tokens: the most frequent pair of neighbours "
        "becomes "
        "a token, again and again, until there are as many as wanted. The merges are those that "
        "Hugging Face's trainer learns from the same texts, each FILE one text. - is standard "
        "input. Files may be larger than memory; kept are their different pieces, words mostly.\n\n"
        "The folder can be given to every command that takes a tokenizer, and to Hugging Face's "
        "library.",
    .options = options,
    .examples = examples,
    .min_arguments = 1,
    .max_arguments = -1,
    .files = "file",
    .run = run,
};
