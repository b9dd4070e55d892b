/*
 * cmd_eval.c - limn eval: how well a model predicts a text.
 *
 * The loss is the mean of -log p(token | tokens before it in its window), in nats; the perplexity
 * is e to the loss. Every token but the very first is scored once. With a stride below the window,
 * windows overlap: each after the first scores only its last `stride` tokens, which then all have a
 * long context (as the Hugging Face documentation's "Perplexity of fixed-length models" does).
 */
#include "eval.h"

#include <math.h>
#include <string.h>

static const cli_option options[] = {
    {"window", 'w', CLI_INT, "N", NULL, 1, 2147483647.0,
     "Tokens in a window; the context window when not given"},
    {"stride", 's', CLI_INT, "N", NULL, 1, 2147483647.0,
     "Tokens from one window to the next; the window when not given, so that each starts from an "
     "empty context"},
    {"lines", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Each line of FILE that is not empty is a text of its own, with a loss of its own"},
    {"batch", 'b', CLI_INT, "N", "1", 1, 1024,
     "Run N windows, or lines, in one pass; each gets what it gets alone"},
    {"limit", 'n', CLI_INT, "N", NULL, 2, CLI_NO_MAX, "Take the first N tokens only"},
    {"log-probs", 'l', CLI_FLAG, NULL, NULL, 0, 0, "Print a line for each token"},
    {"compare", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Show what each way to store and compute costs, beside float32"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_EDIT,
    CLI_OPTIONS_INVARIANT,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn eval book.txt", "Loss and perplexity over windows that each start anew."},
    {"limn eval book.txt --stride 64 --limit 4000", "Every token with a long context: slower."},
    {"limn eval book.txt -l | sort -k3 -g | head", "The tokens that surprise the model most."},
    {"limn eval sentences.txt --lines --batch 32", "A loss for each line, many in one pass."},
    {"limn eval book.txt --compare --limit 4000", "What fewer bits cost in quality."},
    {"limn eval book.txt -e 'blocks.5.hook_attn_out=0'",
     "What the last layer's attention is worth."},
    {NULL, NULL}};

/* ---- the text
 * ----------------------------------------------------------------------------- */

/* Behind the other texts; takes the tokens. */
static limn_status add_text(evaluation *e, const limn_tokens *tokens, int64_t line,
                            limn_error *err) {
  size_t limit = (size_t)cli_int(e->c, "limit", INT64_MAX), n = tokens->n;
  if (n > limit - e->n) n = limit - e->n;
  int32_t *ids = limn_resize(e->ids, e->n + n + 1, sizeof *ids);
  if (ids) e->ids = ids;
  eval_text *texts = limn_resize(e->texts, e->n_texts + 1, sizeof *texts);
  if (texts) e->texts = texts;
  if (!ids || !texts) return cli_no_memory(err);
  if (n > 0) memcpy(e->ids + e->n, tokens->ids, n * sizeof *ids);
  e->texts[e->n_texts++] = (eval_text){.begin = e->n, .n = n, .line = line};
  e->n += n;
  return LIMN_OK;
}

static limn_status encode(evaluation *e, const char *text, size_t size, int64_t line,
                          limn_error *err) {
  limn_tokens tokens = {0};
  limn_status status =
      limn_tokenizer_encode(e->m->tokenizer, text, size, LIMN_SPECIAL_AS_TEXT, &tokens, err);
  if (status == LIMN_OK) status = add_text(e, &tokens, line, err);
  limn_tokens_deinit(&tokens);
  return status;
}

static limn_status encode_lines(evaluation *e, const char *text, size_t size, limn_error *err) {
  int64_t line = 1;
  limn_status status = LIMN_OK;
  for (size_t at = 0; at < size && status == LIMN_OK; line++) {
    const char *end = memchr(text + at, '\n', size - at);
    size_t n = end ? (size_t)(end - text) - at : size - at;
    if (n > 0) status = encode(e, text + at, n, line, err);
    at += n + 1;
  }
  return status;
}

static limn_status encode_file(evaluation *e, const char *path, limn_error *err) {
  char *text;
  size_t size;
  if (!e->m->tokenizer)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "the model in \"%s\" has no tokenizer, expected --ids", e->m->folder);
  limn_status status = limn_file_read(path, 0, &text, &size, err);
  if (status != LIMN_OK) return status;
  status =
      cli_flag(e->c, "lines") ? encode_lines(e, text, size, err) : encode(e, text, size, 1, err);
  limn_free(text);
  return status;
}

static limn_status take_ids(evaluation *e, const char *list, limn_error *err) {
  limn_tokens tokens = {0};
  if (cli_flag(e->c, "lines"))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "--lines and --ids are given, expected --lines with a file");
  limn_status status = cli_parse_ids(list, &tokens.ids, &tokens.n, err);
  if (status == LIMN_OK) status = add_text(e, &tokens, 1, err);
  limn_tokens_deinit(&tokens);
  return status;
}

static limn_status read_ids(evaluation *e, limn_error *err) {
  const char *list = cli_value(e->c, "ids"), *path = cli_argument(e->c, 0);
  if ((list != NULL) == (path != NULL))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "%s, expected one of FILE and --ids",
                          list ? "a file and --ids are given" : "no text is given");
  limn_status status = list ? take_ids(e, list, err) : encode_file(e, path, err);
  if (status != LIMN_OK || eval_count(e) > 0) return status;
  if (cli_flag(e->c, "lines"))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "no line of %zu has two tokens, expected at least one", e->n_texts);
  return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                        "the text has %zu token%s, expected at least 2", e->n,
                        cli_plural((int64_t)e->n));
}

/* As many as are asked for, and no more than there are windows. */
static size_t seats(const evaluation *e) {
  size_t asked = (size_t)cli_int(e->c, "batch", 1), n = 0;
  for (size_t i = 0; i < e->n_texts && n < asked; i++)
    n += (eval_text_count(&e->texts[i]) + e->stride - 1) / e->stride;
  return n < asked ? n : asked;
}

static limn_status prepare(evaluation *e, limn_error *err) {
  int64_t n_ctx = limn_model_config(e->m->model)->n_ctx;
  int64_t window = cli_int(e->c, "window", n_ctx), stride = cli_int(e->c, "stride", window);
  if (window > n_ctx)
    return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                          "option --window has %lld, the model's context window is %lld",
                          (long long)window, (long long)n_ctx);
  if (stride > window)
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "option --stride has %lld, expected at most the window's %lld",
                          (long long)stride, (long long)window);
  e->window = (size_t)window;
  e->stride = (size_t)stride;
  limn_status status = read_ids(e, err);
  if (status != LIMN_OK) return status;
  e->log_probabilities = limn_alloc_zeroed(e->n, sizeof *e->log_probabilities);
  if (!e->log_probabilities) return cli_no_memory(err);
  return eval_open(e, seats(e), err);
}

/* ---- showing
 * ------------------------------------------------------------------------------ */

/* The bytes of the tokens that were scored, 0 when they are not known. */
static int64_t scored_bytes(const evaluation *e) {
  int64_t sum = 0;
  for (size_t k = 0; e->m->tokenizer && k < e->n_texts; k++) {
    const eval_text *t = &e->texts[k];
    for (size_t i = t->begin + 1; i < t->begin + t->n; i++) {
      size_t n = 0;
      limn_tokenizer_bytes(e->m->tokenizer, e->ids[i], &n);
      sum += (int64_t)n;
    }
  }
  return sum;
}

static void print_text_tokens(const evaluation *e, const eval_text *t) {
  for (size_t i = 1; i < t->n; i++) {
    double x = (double)e->log_probabilities[t->begin + i];
    if (cli_flag(e->c, "lines")) printf("%6lld  ", (long long)t->line);
    printf("%8zu  %7d  %9.4f  %6.2f%%  ", i, (int)e->ids[t->begin + i], x, 100 * exp(x));
    cli_print_token(stdout, e->m, e->ids[t->begin + i], 0, 0);
    fputc('\n', stdout);
  }
}

static void print_tokens(const evaluation *e) {
  printf("%s%s%8s  %7s  %9s  %7s  %s%s\n", cli_sgr(CLI_BOLD),
         cli_flag(e->c, "lines") ? "  line  " : "", "position", "id", "log-prob", "prob", "token",
         cli_sgr(CLI_PLAIN));
  for (size_t i = 0; i < e->n_texts; i++)
    print_text_tokens(e, &e->texts[i]);
}

static void print_lines(const evaluation *e) {
  printf("%s%6s  %7s  %9s  %10s%s\n", cli_sgr(CLI_BOLD), "line", "tokens", "loss", "perplexity",
         cli_sgr(CLI_PLAIN));
  for (size_t i = 0; i < e->n_texts; i++) {
    const eval_text *t = &e->texts[i];
    double loss = eval_text_loss(e, t);
    printf("%6lld  %7zu  ", (long long)t->line, eval_text_count(t));
    if (eval_text_count(t))
      printf("%9.4f  %10.2f\n", loss, exp(loss));
    else
      printf("%9s  %10s\n", "-", "-");
  }
  fputc('\n', stdout);
}

static void put(const char *name, const char *value, const char *meaning) {
  printf("  %-14s %12s   %s%s%s\n", name, value, cli_sgr(CLI_DIM), meaning, cli_sgr(CLI_PLAIN));
}

static void print_summary(const evaluation *e) {
  char text[64], meaning[128];
  double loss = eval_loss(e);
  int64_t bytes = scored_bytes(e), count = (int64_t)eval_count(e);
  if (cli_flag(e->c, "lines")) {
    print_lines(e);
    put("lines", cli_group_digits(text, (int64_t)e->n_texts, ' '), "that are not empty");
  }
  put("tokens", cli_group_digits(text, count, ' '),
      cli_flag(e->c, "lines") ? "scored, all but the first of each line"
                              : "scored, all but the first");
  if (e->stride == e->window)
    snprintf(meaning, sizeof meaning, "of %zu tokens, each from an empty context", e->window);
  else
    snprintf(meaning, sizeof meaning, "of %zu tokens, %zu apart", e->window, e->stride);
  put("windows", cli_group_digits(text, (int64_t)e->n_windows, ' '), meaning);
  snprintf(text, sizeof text, "%.4f", loss);
  put("loss", text, "nats per token");
  snprintf(text, sizeof text, "%.2f", exp(loss));
  put("perplexity", text, "e to the loss");
  if (bytes > 0) {
    snprintf(text, sizeof text, "%.4f", loss * (double)count / (log(2) * (double)bytes));
    put("bits", text, "per byte of text");
  }
  snprintf(text, sizeof text, "%.1f s", e->seconds);
  snprintf(meaning, sizeof meaning, "%.0f tokens a second, %zu window%s in a pass",
           (double)count / e->seconds, e->n_seats, cli_plural((int64_t)e->n_seats));
  put("time", text, meaning);
}

static void write_number(limn_json *j, const char *key, double x, bool is_known) {
  limn_json_key(j, key);
  if (is_known)
    limn_json_double(j, x);
  else
    limn_json_null(j);
}

static void write_lines(const evaluation *e, limn_json *j) {
  limn_json_key(j, "lines");
  limn_json_begin_array(j);
  for (size_t i = 0; i < e->n_texts; i++) {
    const eval_text *t = &e->texts[i];
    double loss = eval_text_loss(e, t);
    limn_json_begin_inline_object(j);
    cli_json_int(j, "line", t->line);
    cli_json_int(j, "n_scored", (int64_t)eval_text_count(t));
    write_number(j, "loss", loss, eval_text_count(t) > 0);
    write_number(j, "perplexity", exp(loss), eval_text_count(t) > 0);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
}

static void write_tokens(const evaluation *e, limn_json *j) {
  limn_json_key(j, "tokens");
  limn_json_begin_array(j);
  for (size_t k = 0; k < e->n_texts; k++) {
    const eval_text *t = &e->texts[k];
    for (size_t i = 1; i < t->n; i++) {
      limn_json_begin_inline_object(j);
      if (cli_flag(e->c, "lines")) cli_json_int(j, "line", t->line);
      cli_json_int(j, "position", (int64_t)i);
      cli_json_token(j, e->m, e->ids[t->begin + i]);
      limn_json_key(j, "log_probability");
      limn_json_float(j, e->log_probabilities[t->begin + i]);
      limn_json_end_object(j);
    }
  }
  limn_json_end_array(j);
}

static int write_json(const evaluation *e, limn_error *err) {
  limn_json j;
  double loss = eval_loss(e);
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "model", e->m->folder);
  cli_json_text(&j, "file", cli_argument(e->c, 0));
  cli_json_int(&j, "n_scored", (int64_t)eval_count(e));
  cli_json_int(&j, "n_windows", (int64_t)e->n_windows);
  cli_json_int(&j, "window", (int64_t)e->window);
  cli_json_int(&j, "stride", (int64_t)e->stride);
  cli_json_double(&j, "loss", loss);
  cli_json_double(&j, "perplexity", exp(loss));
  cli_json_int(&j, "n_bytes", scored_bytes(e));
  if (cli_flag(e->c, "lines")) write_lines(e, &j);
  if (cli_flag(e->c, "log-probs")) write_tokens(e, &j);
  limn_json_end_object(&j);
  return cli_json_end(e->c, &j);
}

/* ---- the command
 * -------------------------------------------------------------------------- */

static int evaluate(evaluation *e) {
  limn_error err;
  limn_status status = prepare(e, &err);
  double start = cli_seconds(CLOCK_MONOTONIC);
  if (status == LIMN_OK && cli_flag(e->c, "compare")) return eval_compare(e);
  if (status == LIMN_OK) status = eval_all(e, NULL, NULL, &err);
  e->seconds = cli_seconds(CLOCK_MONOTONIC) - start;
  if (status != LIMN_OK) return cli_fail(e->c, &err);
  if (cli_flag(e->c, "json")) return write_json(e, &err);
  if (cli_flag(e->c, "log-probs"))
    print_tokens(e);
  else
    print_summary(e);
  return CLI_OK;
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  evaluation e = {.c = c, .m = &m};
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  int result = evaluate(&e);
  eval_close(&e);
  limn_free(e.ids);
  limn_free(e.texts);
  limn_free(e.log_probabilities);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_eval = {
    .name = "eval",
    .group = CLI_RUN,
    .rank = 20,
    .summary = "measure how well a model predicts a text",
    .usage = "[OPTION]... (FILE | --ids 1,2,3)",
    .description =
        "Gives the loss in nats per token, the perplexity and the bits per byte of FILE (- is "
        "standard input). The text is cut into windows that each start from an empty context; the "
        "logits after a window's last token score the first token of the next. With --stride "
        "below the window, windows overlap and each scores its last tokens only. Every token but "
        "the very first is scored once. With --lines each line is a text of its own.\n\n"
        "--batch runs several windows, or lines, in one pass: the same numbers, bit for bit (on "
        "a processor with tiles, with --invariant), and for short lines sooner. Each keeps the "
        "logits of its whole window in memory.\n\n"
        "With --compare the text is run once for each way to store the weights and to compute. The "
        "KL divergence is what a prediction loses against the model as it runs without --compare, "
        "on average and for the worst token; 'same' is how often the likeliest token is the "
        "same.\n\n" CLI_EDIT_PARAGRAPHS,
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .files = "file",
    .run = run,
};
