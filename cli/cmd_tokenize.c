/*
 * cmd_tokenize.c - limn tokenize: from a text to its tokens, and from ids back to the text.
 *
 * The ids that --ids prints are what every other command takes as --ids, and what --decode turns
 * back into the same bytes.
 */
#include "cli.h"

#include <string.h>

#define GPT2_VOCAB_SIZE 50257
#define MOST_HEX        16 /* bytes of a token in the table; --json has all */
#define TEXT_COLUMNS    20

static const cli_option options[] = {
    CLI_OPTIONS_TEXT,
    {"model", 'm', CLI_TEXT, "MODEL", "tales", 0, 0,
     "The model whose tokenizer it is, a folder with tokenizer.json or with vocab.json and "
     "merges.txt, or a tokenizer.json"},
    {"ids", 0, CLI_FLAG, NULL, NULL, 0, 0, "Print the ids alone, as --ids of other commands"},
    {"count", 'c', CLI_FLAG, NULL, NULL, 0, 0, "Print how many tokens there are"},
    {"decode", 'd', CLI_FLAG, NULL, NULL, 0, 0, "Take ids, print the bytes that they stand for"},
    {"special", 0, CLI_CHOICE, "text|allow|refuse", "text", 0, 0,
     "What a special token's text, such as <|endoftext|>, is: text like any other, the token, or "
     "an error"},
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn tokenize 'Hello world'", "A line for each token."},
    {"limn tokenize --ids 'Hello world'", "15496,995"},
    {"limn tokenize --decode 15496,995", "The text again."},
    {"limn tokenize --count --file book.txt", "How long a book is for the model."},
    {"limn tokenize 'It'\\''s naïve 🙂' --json", "Offsets and bytes too."},
    {NULL, NULL}};

/* ---- the tokenizer --------------------------------------------------------------------------- */

/* A GPT-2 whose folder has no tokenizer has the one inside the library, here as where it runs. */
static limn_status without_files(const char *folder, limn_tokenizer **t, limn_error *err) {
  limn_model *model;
  limn_error why = *err;
  limn_status status = limn_model_open(folder, NULL, &model, err);
  if (status != LIMN_OK) return status;
  int64_t vocab_size = limn_model_config(model)->vocab_size;
  limn_model_close(model);
  if (vocab_size == GPT2_VOCAB_SIZE) return limn_tokenizer_gpt2(t, err);
  *err = why;
  return why.status;
}

static limn_status open_tokenizer(const char *name, limn_tokenizer **t, limn_error *err) {
  char *folder;
  limn_status status = limn_tokenizer_open(name, t, err);
  if (status != LIMN_ERROR_NOT_FOUND) return status;
  status = cli_find_model(name, &folder, err);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_open(folder, t, err);
  if (status == LIMN_ERROR_NOT_FOUND) status = without_files(folder, t, err);
  limn_free(folder);
  return status;
}

/* ---- input ----------------------------------------------------------------------------------- */

static limn_special special_of(const cli *c) {
  const char *word = cli_value(c, "special");
  if (strcmp(word, "allow") == 0) return LIMN_SPECIAL_ALLOW;
  return strcmp(word, "refuse") == 0 ? LIMN_SPECIAL_REFUSE : LIMN_SPECIAL_AS_TEXT;
}

/* Puts a token's start behind each id: where it begins in the decoded text. */
static limn_status add_offsets(const limn_tokenizer *t, limn_tokens *tokens, limn_error *err) {
  tokens->offsets = limn_alloc_zeroed(tokens->n + 1, sizeof *tokens->offsets);
  if (!tokens->offsets) return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory");
  for (size_t i = 0, size; i < tokens->n; i++) {
    limn_tokenizer_bytes(t, tokens->ids[i], &size);
    tokens->offsets[i + 1] = tokens->offsets[i] + size;
  }
  return LIMN_OK;
}

/* From a list of ids to the tokens and their text; both are the caller's. */
static limn_status decode(const limn_tokenizer *t, const char *list, size_t n_list,
                          limn_tokens *tokens, char **text, size_t *n, limn_error *err) {
  bool is_empty = list[strspn(list, " \n\t")] == '\0';
  limn_status status = LIMN_OK;
  *text = NULL;
  if (memchr(list, '\0', n_list))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, strlen(list),
                          "a NUL among the ids, expected whole numbers and commas");
  if (!is_empty) status = cli_parse_ids(list, &tokens->ids, &tokens->n, err);
  if (status == LIMN_OK) status = limn_tokenizer_decode(t, tokens->ids, tokens->n, text, n, err);
  return status == LIMN_OK ? add_offsets(t, tokens, err) : status;
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_ids(const limn_tokens *tokens) {
  for (size_t i = 0; i < tokens->n; i++)
    printf(i ? ",%d" : "%d", (int)tokens->ids[i]);
  putchar('\n');
}

static void print_hex(const char *bytes, size_t n) {
  for (size_t i = 0; i < n && i < MOST_HEX; i++)
    printf(i ? " %02x" : "%02x", (unsigned)(unsigned char)bytes[i]);
  if (n > MOST_HEX) fputs(" …", stdout);
}

static limn_status print_token(const limn_tokenizer *t, int32_t id, size_t offset,
                               limn_error *err) {
  size_t n;
  char *printable;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  limn_status status = limn_tokenizer_printable(t, id, &printable, err);
  if (status != LIMN_OK) return status;
  printf("%8zu  %s%7d%s  ", offset, cli_sgr(CLI_BOLD), (int)id, cli_sgr(CLI_PLAIN));
  cli_print_visible(stdout, printable, strlen(printable), TEXT_COLUMNS, TEXT_COLUMNS);
  printf("  %s", cli_sgr(CLI_DIM));
  print_hex(bytes, n);
  printf("%s\n", cli_sgr(CLI_PLAIN));
  limn_free(printable);
  return LIMN_OK;
}

static limn_status print_table(const limn_tokenizer *t, const limn_tokens *tokens, size_t n,
                               limn_error *err) {
  char n_tokens[32], n_bytes[32];
  limn_status status = LIMN_OK;
  if (tokens->n > 0)
    printf("%s%8s  %7s  %-*s  %s%s\n", cli_sgr(CLI_DIM), "offset", "id", TEXT_COLUMNS, "token",
           "bytes", cli_sgr(CLI_PLAIN));
  for (size_t i = 0; i < tokens->n && status == LIMN_OK; i++)
    status = print_token(t, tokens->ids[i], tokens->offsets[i], err);
  printf("%s tokens, %s bytes", cli_group_digits(n_tokens, (int64_t)tokens->n, ' '),
         cli_group_digits(n_bytes, (int64_t)n, ' '));
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

static limn_status write_token(limn_json *j, const limn_tokenizer *t, int32_t id, size_t offset,
                               limn_error *err) {
  size_t n;
  char *printable;
  const char *bytes = limn_tokenizer_bytes(t, id, &n);
  limn_status status = limn_tokenizer_printable(t, id, &printable, err);
  if (status != LIMN_OK) return status;
  limn_json_begin_inline_object(j);
  limn_json_key(j, "id");
  limn_json_int(j, id);
  limn_json_key(j, "offset");
  limn_json_int(j, (int64_t)offset);
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
                                limn_error *err) {
  limn_status status = LIMN_OK;
  limn_json_key(j, "tokens");
  limn_json_begin_array(j);
  for (size_t i = 0; i < tokens->n && status == LIMN_OK; i++)
    status = write_token(j, t, tokens->ids[i], tokens->offsets[i], err);
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
  if (!cli_flag(c, "ids") && !cli_flag(c, "count")) status = write_tokens(&j, t, tokens, &failure);
  if (status != LIMN_OK) return cli_fail(c, &failure);
  limn_json_end_object(&j);
  return cli_json_end(c, &j);
}

static int print_result(const cli *c, const limn_tokenizer *t, const limn_tokens *tokens,
                        const char *text, size_t n) {
  limn_error err;
  if (cli_flag(c, "json")) return print_json(c, t, tokens, text, n);
  if (cli_flag(c, "count")) {
    printf("%zu\n", tokens->n);
  } else if (cli_flag(c, "ids")) {
    print_ids(tokens);
  } else if (cli_flag(c, "decode")) {
    fwrite(text, 1, n, stdout);
    if (cli_is_terminal() && (n == 0 || text[n - 1] != '\n')) putchar('\n');
  } else if (print_table(t, tokens, n, &err) != LIMN_OK) {
    return cli_fail(c, &err);
  }
  return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int tokenize(const cli *c, const limn_tokenizer *t, const char *input, size_t n_input) {
  limn_error err;
  limn_tokens tokens = {0};
  char *decoded = NULL;
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

static int run(cli *c) {
  limn_error err;
  limn_tokenizer *t;
  char *input;
  size_t n;
  if (cli_flag(c, "ids") + cli_flag(c, "count") + cli_flag(c, "decode") > 1)
    return cli_bad(c, "more than one of --ids, --count and --decode is given, expected one");
  if (cli_flag(c, "decode") && cli_is_given(c, "special"))
    return cli_bad(c, "--special is given with --decode, expected with a text");
  if (open_tokenizer(cli_value(c, "model"), &t, &err) != LIMN_OK) return cli_fail(c, &err);
  if (cli_read_text(c, &input, &n, &err) != LIMN_OK) {
    limn_tokenizer_close(t);
    return cli_fail(c, &err);
  }
  int result = tokenize(c, t, input, n);
  limn_free(input);
  limn_tokenizer_close(t);
  return result;
}

const cli_command cmd_tokenize = {
    .name = "tokenize",
    .group = CLI_LOOK,
    .rank = 5,
    .summary = "cut a text into tokens, or put tokens together",
    .usage = "[OPTION]... (TEXT | --file FILE | --decode 1,2,3)",
    .description =
        "Shows the tokens of a text: where each starts, its id, its bytes in GPT-2's printable "
        "form "
        "(Ġ is a space, Ċ a line feed; a character beyond ASCII is several) and as hexadecimal "
        "numbers. Any bytes can be tokenized, and --decode gives the same bytes back.\n\n"
        "With --decode the ids stand in place of the text: as the argument, in --file, or on "
        "standard input.",
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
