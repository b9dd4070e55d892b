/*
 * cmd_tokenize.c - limn tokenize: from a text to its tokens, and from ids back to the text.
 *
 * The ids that --ids prints are what every other command takes as --ids, and what --decode turns
 * back into the same bytes.
 */
#include "tokenizer.h"

#include <string.h>

#define MOST_HEX     16 /* bytes of a token in the table; --json has all */
#define TEXT_COLUMNS 20

static const cli_option options[] = {
    CLI_OPTIONS_TEXT,
    {"encoding", 'e', CLI_TEXT, "NAME|FILE", "gpt2", 0, 0,
     "The tokenizer: gpt2, or a file or folder of one (tokenizer.json, tekken.json, SentencePiece "
     ".model, GGUF, cl100k_base.tiktoken or cl100k_base=FILE with ranks)"},
    {"model", 'm', CLI_TEXT, "MODEL", NULL, 0, 0,
     "The model whose tokenizer it is, in place of --encoding"},
    {"ids", 0, CLI_FLAG, NULL, NULL, 0, 0, "Print the ids alone, as --ids of other commands"},
    {"count", 'c', CLI_FLAG, NULL, NULL, 0, 0, "Print how many tokens there are"},
    {"decode", 'd', CLI_FLAG, NULL, NULL, 0, 0, "Take ids, print the bytes that they stand for"},
    {"special", 0, CLI_CHOICE, "text|allow|refuse", "text", 0, 0,
     "What a special token's text, such as <|endoftext|>, is: text like any other, the token, or "
     "an error"},
    {"offsets", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Show where each token starts and ends, in bytes and in characters"},
    {"stats", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Show how well the vocabulary fits: bytes per token, frequent and long tokens"},
    {"merges", 0, CLI_TEXT, "WORD", NULL, 0, 0,
     "Step through the merges that make tokens of WORD, with their ranks"},
    {"batch", 'b', CLI_FLAG, NULL, NULL, 0, 0,
     "Take each line for a text of its own and print its ids (or --count) on a line"},
    {"null", '0', CLI_FLAG, NULL, NULL, 0, 0, "With --batch: texts end with NUL, not a line feed"},
    {"threads", 't', CLI_INT, "N", NULL, 1, 1024,
     "Threads for --batch; as many as this process may use when not given"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn tokenize 'Hello world'", "A line for each token."},
    {"limn tokenize --ids 'Hello world'", "15496,995"},
    {"limn tokenize --decode 15496,995", "The text again."},
    {"limn tokenize --count --file book.txt", "How long a book is for the model."},
    {"limn tokenize 'It'\\''s naïve 🙂' --json", "Offsets and bytes too."},
    {"limn tokenize --merges unbelievable", "How bytes become tokens, step by step."},
    {"limn tokenize --batch --file lines.txt", "Many texts at once, a line of ids for each."},
    {"limn tokenize --stats --file book.txt -e mine/tokenizer.json", "How well a vocabulary fits."},
    {NULL, NULL}};

/* ---- input ----------------------------------------------------------------------------------- */

static limn_special special_of(const cli *c) {
  const char *word = cli_value(c, "special");
  if (strcmp(word, "allow") == 0) return LIMN_SPECIAL_ALLOW;
  return strcmp(word, "refuse") == 0 ? LIMN_SPECIAL_REFUSE : LIMN_SPECIAL_AS_TEXT;
}

/* Puts a token's start behind each id: where it begins in the decoded text, which is n bytes. What
   that lacks are spaces of the first tokens. */
static limn_status add_offsets(const limn_tokenizer *t, limn_tokens *tokens, size_t n,
                               limn_error *err) {
  tokens->offsets = limn_alloc_zeroed(tokens->n + 1, sizeof *tokens->offsets);
  if (!tokens->offsets) return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory");
  for (size_t i = 0, size; i < tokens->n; i++) {
    limn_tokenizer_bytes(t, tokens->ids[i], &size);
    tokens->offsets[i + 1] = tokens->offsets[i] + size;
  }
  size_t dropped = tokens->offsets[tokens->n] - n;
  for (size_t i = 0; i <= tokens->n; i++)
    tokens->offsets[i] = tokens->offsets[i] > dropped ? tokens->offsets[i] - dropped : 0;
  return LIMN_OK;
}

/* From a list of ids to the tokens and their text; both are the caller's. */
static limn_status decode(const limn_tokenizer *t, const char *list, size_t n_list,
                          limn_tokens *tokens, char **text, size_t *n, limn_error *err) {
  bool is_empty = list[strspn(list, " \t\r\n")] == '\0';
  limn_status status = LIMN_OK;
  *text = NULL;
  if (memchr(list, '\0', n_list))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, strlen(list),
                          "a NUL among the ids, expected whole numbers and commas");
  if (!is_empty) status = cli_parse_ids(list, &tokens->ids, &tokens->n, err);
  if (status == LIMN_OK) status = limn_tokenizer_decode(t, tokens->ids, tokens->n, text, n, err);
  return status == LIMN_OK ? add_offsets(t, tokens, *n, err) : status;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_hex(const char *bytes, size_t n) {
  for (size_t i = 0; i < n && i < MOST_HEX; i++)
    printf(i ? " %02x" : "%02x", (unsigned)(unsigned char)bytes[i]);
  if (n > MOST_HEX) fputs(" …", stdout);
}

/* Counts characters along a text, for places that come in order. */
typedef struct ruler {
  const char *text;
  size_t n, at, n_before; /* characters that start before byte `at` */
} ruler;

/* How many characters start before byte `place`. */
static size_t characters_before(ruler *r, size_t place) {
  int32_t code;
  for (; r->at < place && r->at < r->n; r->n_before++)
    r->at += cli_character((const unsigned char *)r->text + r->at, r->n - r->at, &code);
  return r->n_before;
}

/* A token from `start` to `end`, in bytes and in characters; it touches characters first to last,
   `last` not among them. */
typedef struct extent {
  size_t start, end, first, last;
} extent;

static extent extent_of(ruler *r, const limn_tokens *tokens, size_t i) {
  extent e = {.start = tokens->offsets[i], .end = tokens->offsets[i + 1]};
  if (e.end > e.start) {
    e.first = characters_before(r, e.start + 1) - 1;
    e.last = characters_before(r, e.end);
  } else {
    e.first = e.last = characters_before(r, e.start);
  }
  return e;
}

static limn_status print_token(const limn_tokenizer *t, int32_t id, const extent *e,
                               bool with_offsets, limn_error *err) {
  size_t n;
  char *printable;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  limn_status status = limn_tokenizer_printable(t, id, &printable, err);
  if (status != LIMN_OK) return status;
  printf("%8zu", e->start);
  if (with_offsets) printf(" %8zu  %8zu %8zu", e->end, e->first, e->last);
  printf("  %s%7d%s  ", cli_sgr(CLI_BOLD), (int)id, cli_sgr(CLI_PLAIN));
  cli_print_visible(stdout, printable, strlen(printable), TEXT_COLUMNS, TEXT_COLUMNS);
  printf("  %s", cli_sgr(CLI_DIM));
  print_hex(bytes, n);
  printf("%s\n", cli_sgr(CLI_PLAIN));
  limn_free(printable);
  return LIMN_OK;
}

static void print_heading(bool with_offsets) {
  fputs(cli_sgr(CLI_DIM), stdout);
  if (with_offsets)
    printf("%8s %8s  %8s %8s", "byte", "to", "char", "to");
  else
    printf("%8s", "offset");
  printf("  %7s  %-*s  %s%s\n", "id", TEXT_COLUMNS, "token", "bytes", cli_sgr(CLI_PLAIN));
}

static limn_status print_table(const limn_tokenizer *t, const limn_tokens *tokens, const char *text,
                               size_t n, bool with_offsets, limn_error *err) {
  char n_tokens[32], n_bytes[32];
  ruler r = {.text = text, .n = with_offsets ? n : 0};
  limn_status status = LIMN_OK;
  if (tokens->n > 0) print_heading(with_offsets);
  for (size_t i = 0; i < tokens->n && status == LIMN_OK; i++) {
    extent e = extent_of(&r, tokens, i);
    status = print_token(t, tokens->ids[i], &e, with_offsets, err);
  }
  printf("%s token%s, %s byte%s", cli_group_digits(n_tokens, (int64_t)tokens->n, ' '),
         cli_plural((int64_t)tokens->n), cli_group_digits(n_bytes, (int64_t)n, ' '),
         cli_plural((int64_t)n));
  if (tokens->n > 0) printf(", %.2f bytes per token", (double)n / (double)tokens->n);
  putchar('\n');
  return status;
}

static void write_ids(limn_json *j, const limn_tokens *tokens) {
  limn_json_key(j, "ids");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < tokens->n; i++)
    limn_json_int(j, tokens->ids[i]);
  limn_json_end_array(j);
}

static void write_extent(limn_json *j, const extent *e) {
  limn_json_key(j, "end");
  limn_json_int(j, (int64_t)e->end);
  limn_json_key(j, "first_character");
  limn_json_int(j, (int64_t)e->first);
  limn_json_key(j, "end_character");
  limn_json_int(j, (int64_t)e->last);
}

static limn_status write_token(limn_json *j, const limn_tokenizer *t, int32_t id, const extent *e,
                               bool with_offsets, limn_error *err) {
  size_t n;
  char *printable;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  limn_status status = limn_tokenizer_printable(t, id, &printable, err);
  if (status != LIMN_OK) return status;
  limn_json_begin_inline_object(j);
  limn_json_key(j, "id");
  limn_json_int(j, id);
  limn_json_key(j, "offset");
  limn_json_int(j, (int64_t)e->start);
  if (with_offsets) write_extent(j, e);
  limn_json_key(j, "text");
  limn_json_string(j, bytes, n);
  limn_json_key(j, "printable");
  limn_json_cstring(j, printable);
  limn_json_key(j, "is_special");
  limn_json_bool(j, limn_tokenizer_is_special(t, id));
  limn_json_key(j, "bytes");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < n; i++)
    limn_json_int(j, (unsigned char)bytes[i]);
  limn_json_end_array(j);
  limn_json_end_object(j);
  limn_free(printable);
  return LIMN_OK;
}

static limn_status write_tokens(limn_json *j, const limn_tokenizer *t, const limn_tokens *tokens,
                                const char *text, size_t n, bool with_offsets, limn_error *err) {
  ruler r = {.text = text, .n = with_offsets ? n : 0};
  limn_status status = LIMN_OK;
  limn_json_key(j, "tokens");
  limn_json_begin_array(j);
  for (size_t i = 0; i < tokens->n && status == LIMN_OK; i++) {
    extent e = extent_of(&r, tokens, i);
    status = write_token(j, t, tokens->ids[i], &e, with_offsets, err);
  }
  limn_json_end_array(j);
  return status;
}

static int print_json(const cli *c, const limn_tokenizer *t, const limn_tokens *tokens,
                      const char *text, size_t n) {
  limn_json j;
  limn_error err, failure;
  limn_status status = LIMN_OK;
  cli_json_begin(&j, &err);
  limn_json_begin_object(&j);
  limn_json_key(&j, "n_tokens");
  limn_json_int(&j, (int64_t)tokens->n);
  limn_json_key(&j, "n_bytes");
  limn_json_int(&j, (int64_t)n);
  if (cli_flag(c, "decode")) {
    limn_json_key(&j, "text");
    limn_json_string(&j, text, n);
  }
  if (cli_flag(c, "ids")) write_ids(&j, tokens);
  if (!cli_flag(c, "ids") && !cli_flag(c, "count"))
    status = write_tokens(&j, t, tokens, text, n, cli_flag(c, "offsets"), &failure);
  if (status != LIMN_OK) return cli_fail(c, &failure);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

static int print_result(const cli *c, const limn_tokenizer *t, const limn_tokens *tokens,
                        const char *text, size_t n) {
  limn_error err;
  if (cli_flag(c, "stats")) return cli_tokenize_stats(c, t, tokens, text, n);
  if (cli_flag(c, "json")) return print_json(c, t, tokens, text, n);
  if (cli_flag(c, "count")) {
    printf("%zu\n", tokens->n);
  } else if (cli_flag(c, "ids")) {
    cli_print_ids(tokens->ids, tokens->n);
  } else if (cli_flag(c, "decode") && !cli_flag(c, "offsets")) {
    fwrite(text, 1, n, stdout);
    if (cli_is_terminal() && (n == 0 || text[n - 1] != '\n')) putchar('\n');
  } else if (print_table(t, tokens, text, n, cli_flag(c, "offsets"), &err) != LIMN_OK) {
    return cli_fail(c, &err);
  }
  return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int tokenize(const cli *c, const limn_tokenizer *t, const char *input, size_t n_input) {
  limn_error err;
  limn_tokens tokens = {0};
  char *decoded = NULL;
  if (cli_flag(c, "batch")) return cli_tokenize_batch(c, t, special_of(c), input, n_input);
  size_t n = n_input;
  limn_status status = cli_flag(c, "decode")
                           ? decode(t, input, n_input, &tokens, &decoded, &n, &err)
                           : limn_tokenizer_encode(t, input, n_input, special_of(c), &tokens, &err);
  int result = status == LIMN_OK ? print_result(c, t, &tokens, decoded ? decoded : input, n)
                                 : cli_fail(c, &err);
  limn_free(decoded);
  limn_tokens_deinit(&tokens);
  return result;
}

/* Of the views that stand alone, at most one; what belongs to one view, only with it. */
static int check_options(const cli *c) {
  static const char *const alone[] = {"ids", "decode", "stats", "merges"};
  static const char *const of_batch[] = {"null", "threads"};
  int n = cli_flag(c, "count");
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
    n += cli_is_given(c, alone[i]);
  if (n > 1)
    return cli_bad(c, "more than one of --ids, --count, --decode, --stats and --merges is given, "
                      "expected one");
  bool is_listed = cli_flag(c, "ids") || cli_flag(c, "count");
  if (cli_flag(c, "batch") && n > 0 && !is_listed)
    return cli_bad(c, "--batch is given with --decode, --stats or --merges, expected with --ids or "
                      "--count");
  if (cli_flag(c, "offsets") &&
      (cli_flag(c, "batch") || is_listed || cli_flag(c, "stats") || cli_is_given(c, "merges")))
    return cli_bad(c,
                   "--offsets is given with --batch, --ids, --count, --stats or --merges, expected "
                   "with the table, --decode or --json");
  for (size_t i = 0; i < 2; i++)
    if (cli_is_given(c, of_batch[i]) && !cli_flag(c, "batch"))
      return cli_bad(c, "--%s is given without --batch", of_batch[i]);
  if (cli_is_given(c, "encoding") && cli_is_given(c, "model"))
    return cli_bad(c, "--encoding and --model are given, expected one of them");
  if (cli_is_given(c, "merges") && (cli_argument(c, 0) || cli_is_given(c, "file")))
    return cli_bad(c, "a text is given with --merges WORD, expected WORD alone");
  if (cli_is_given(c, "merges") && !*cli_value(c, "merges"))
    return cli_bad(c, "option --merges has an empty WORD, expected at least one byte");
  if ((cli_flag(c, "decode") || cli_is_given(c, "merges")) && cli_is_given(c, "special"))
    return cli_bad(c, "--special is given with --%s, expected with a text",
                   cli_flag(c, "decode") ? "decode" : "merges");
  return CLI_OK;
}

static int run(cli *c) {
  limn_error err;
  limn_tokenizer *t;
  char *input;
  size_t n;
  int result = check_options(c);
  if (result != CLI_OK) return result;
  const char *name = cli_value(c, cli_is_given(c, "model") ? "model" : "encoding");
  if (cli_open_tokenizer(name, &t, &err) != LIMN_OK) return cli_fail(c, &err);
  if (cli_is_given(c, "merges")) {
    result = cli_tokenize_merges(c, t, cli_value(c, "merges"));
  } else if (cli_read_text(c, &input, &n, &err) != LIMN_OK) {
    result = cli_fail(c, &err);
  } else {
    result = tokenize(c, t, input, n);
    limn_free(input);
  }
  limn_tokenizer_close(t);
  return result;
}

const cli_command cmd_tokenize = {
    .name = "tokenize",
    .group = CLI_LOOK,
    .rank = 5,
    .summary = "cut a text into tokens, or put tokens together",
    .usage = "[OPTION]... (TEXT | --file FILE | --decode 1,2,3 | --merges WORD)",
    .description =
        "Shows the tokens of a text: where each starts, its id, its bytes in GPT-2's printable "
        "form "
        "(Ġ is a space, Ċ a line feed; a character beyond ASCII is several) and as hexadecimal "
        "numbers. Any bytes can be tokenized, and --decode gives the same bytes back.\n\n"
        "With --decode the ids stand in place of the text: as the argument, in --file, or on "
        "standard input.\n\n"
        "--offsets counts characters besides bytes: a token that holds a part of a character "
        "touches that character. A byte that is no UTF-8 is a character of its own.\n\n"
        "--merges cuts WORD into pieces as a text is cut, and shows for each how neighbours are "
        "merged: always the pair that training merged first, the one of the lowest rank.",
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
