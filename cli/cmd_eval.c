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
#include <time.h>

static const cli_option options[] = {
    {"window", 'w', CLI_INT, "N", NULL, 1, 2147483647.0,
     "Tokens in a window; the context window when not given"},
    {"stride", 's', CLI_INT, "N", NULL, 1, 2147483647.0,
     "Tokens from one window to the next; the window when not given, so that each starts from an "
     "empty context"},
    {"limit", 'n', CLI_INT, "N", NULL, 2, CLI_NO_MAX, "Take the first N tokens only"},
    {"log-probs", 'l', CLI_FLAG, NULL, NULL, 0, 0, "Print a line for each token"},
    {"compare", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Show what each way to store and compute costs, beside float32"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_EDIT,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn eval book.txt", "Loss and perplexity over windows that each start anew."},
    {"limn eval book.txt --stride 64 --limit 4000", "Every token with a long context: slower."},
    {"limn eval book.txt -l | sort -k3 -g | head", "The tokens that surprise the model most."},
    {"limn eval book.txt --compare --limit 4000", "What fewer bits cost in quality."},
    {"limn eval book.txt -e 'blocks.5.hook_attn_out=0'",
     "What the last layer's attention is worth."},
    {NULL, NULL}};

/* ---- scoring
 * ------------------------------------------------------------------------------ */

static void score_row(void *user, size_t i) {
  evaluation *e = user;
  size_t vocab_size = (size_t)limn_model_config(e->m->model)->vocab_size;
  e->scores[i] = (float)limn_log_probability(e->logits + i * vocab_size, vocab_size, e->targets[i]);
}

/* The window's inputs are ids[begin, begin + size); `first` is the first target not yet scored. */
limn_status eval_window(evaluation *e, size_t begin, size_t size, size_t first, limn_error *err) {
  limn_session_reset(e->s.session);
  limn_status status = limn_session_evaluate(e->s.session, e->ids + begin, size, err);
  if (status != LIMN_OK) return status;
  size_t skipped = first - begin - 1, n = size - skipped;
  e->logits = limn_session_logits(e->s.session, NULL) +
              skipped * (size_t)limn_model_config(e->m->model)->vocab_size;
  e->targets = e->ids + first;
  e->scores = e->log_probabilities + first;
  limn_pool_run(e->m->pool, n, score_row, e);
  for (size_t i = 0; i < n; i++) {
    if (isnan(e->scores[i]))
      return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                            "the logits before token %zu have no softmax: one is nan or inf",
                            first + i);
  }
  return LIMN_OK;
}

/* Adds nothing to what eval_window did. */
static limn_status only_score(void *user, size_t first, size_t n, limn_error *err) {
  (void)user, (void)first, (void)n, (void)err;
  return LIMN_OK;
}

limn_status eval_all(evaluation *e, eval_visit *visit, void *user, limn_error *err) {
  size_t first = 1;
  limn_status status = LIMN_OK;
  e->n_windows = 0;
  for (size_t begin = 0; status == LIMN_OK && first < e->n; begin += e->stride) {
    size_t size = e->n - 1 - begin < e->window ? e->n - 1 - begin : e->window;
    status = eval_window(e, begin, size, first, err);
    e->begin = begin;
    if (status == LIMN_OK) status = visit(user, first, begin + size + 1 - first, err);
    first = begin + size + 1;
    e->n_windows++;
    cli_progress("token", (int64_t)first, (int64_t)e->n);
  }
  cli_progress_end();
  return status == LIMN_OK ? cli_check_edits(&e->s, err) : status;
}

/* ---- the text
 * ----------------------------------------------------------------------------- */

static limn_status encode_file(evaluation *e, const char *path, limn_error *err) {
  char *text;
  size_t size;
  limn_tokens tokens = {0};
  if (!e->m->tokenizer)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "the model in \"%s\" has no tokenizer, expected --ids", e->m->folder);
  limn_status status = limn_file_read(path, 0, &text, &size, err);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_encode(e->m->tokenizer, text, size, LIMN_SPECIAL_AS_TEXT, &tokens, err);
  limn_free(text);
  e->ids = tokens.ids;
  e->n = tokens.n;
  tokens.ids = NULL;
  limn_tokens_deinit(&tokens);
  return status;
}

static limn_status read_ids(evaluation *e, limn_error *err) {
  const char *list = cli_value(e->c, "ids"), *path = cli_argument(e->c, 0);
  int64_t limit = cli_int(e->c, "limit", INT64_MAX);
  if ((list != NULL) == (path != NULL))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "%s, expected one of FILE and --ids",
                          list ? "a file and --ids are given" : "no text is given");
  limn_status status = list ? cli_parse_ids(list, &e->ids, &e->n, err) : encode_file(e, path, err);
  if (status != LIMN_OK) return status;
  if (e->n > (uint64_t)limit) e->n = (size_t)limit;
  if (e->n < 2)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "the text has %zu tokens, expected at least 2", e->n);
  return LIMN_OK;
}

limn_status eval_open_session(evaluation *e, limn_error *err) {
  limn_session_options session_options = {
      .all_logits = true, .n_ctx = (int)(e->n - 1 < e->window ? e->n - 1 : e->window)};
  return cli_open_session(e->c, e->m, session_options, &e->s, err);
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
  if (!e->log_probabilities)
    return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "out of memory");
  return eval_open_session(e, err);
}

/* ---- showing
 * ------------------------------------------------------------------------------ */

double eval_loss(const evaluation *e) {
  double sum = 0;
  for (size_t i = 1; i < e->n; i++)
    sum -= (double)e->log_probabilities[i];
  return sum / (double)(e->n - 1);
}

/* The bytes of the tokens that were scored, 0 when they are not known. */
static int64_t scored_bytes(const evaluation *e) {
  int64_t sum = 0;
  for (size_t i = 1; e->m->tokenizer && i < e->n; i++) {
    size_t n = 0;
    limn_tokenizer_bytes(e->m->tokenizer, e->ids[i], &n);
    sum += (int64_t)n;
  }
  return sum;
}

static void print_tokens(const evaluation *e) {
  printf("%s%8s  %7s  %9s  %7s  %s%s\n", cli_sgr(CLI_BOLD), "position", "id", "log-prob", "prob",
         "token", cli_sgr(CLI_PLAIN));
  for (size_t i = 1; i < e->n; i++) {
    double x = (double)e->log_probabilities[i];
    printf("%8zu  %7d  %9.4f  %6.2f%%  ", i, (int)e->ids[i], x, 100 * exp(x));
    cli_print_token(stdout, e->m, e->ids[i], 0, 0);
    fputc('\n', stdout);
  }
}

static void put(const char *name, const char *value, const char *meaning) {
  printf("  %-14s %12s   %s%s%s\n", name, value, cli_sgr(CLI_DIM), meaning, cli_sgr(CLI_PLAIN));
}

static void print_summary(const evaluation *e) {
  char text[64], meaning[128];
  double loss = eval_loss(e);
  int64_t bytes = scored_bytes(e);
  put("tokens", cli_group_digits(text, (int64_t)e->n - 1, ' '), "scored, all but the first");
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
    snprintf(text, sizeof text, "%.4f", loss * (double)(e->n - 1) / (log(2) * (double)bytes));
    put("bits", text, "per byte of text");
  }
  snprintf(text, sizeof text, "%.1f s", e->seconds);
  snprintf(meaning, sizeof meaning, "%.0f tokens a second", (double)(e->n - 1) / e->seconds);
  put("time", text, meaning);
}

static int write_json(const evaluation *e, limn_error *err) {
  limn_json j;
  double loss = eval_loss(e);
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "model", e->m->folder);
  cli_json_text(&j, "file", cli_argument(e->c, 0));
  cli_json_int(&j, "n_scored", (int64_t)e->n - 1);
  cli_json_int(&j, "n_windows", (int64_t)e->n_windows);
  cli_json_int(&j, "window", (int64_t)e->window);
  cli_json_int(&j, "stride", (int64_t)e->stride);
  cli_json_double(&j, "loss", loss);
  cli_json_double(&j, "perplexity", exp(loss));
  cli_json_int(&j, "n_bytes", scored_bytes(e));
  if (cli_flag(e->c, "log-probs")) {
    limn_json_key(&j, "tokens");
    limn_json_begin_array(&j);
    for (size_t i = 1; i < e->n; i++) {
      limn_json_begin_inline_object(&j);
      cli_json_int(&j, "position", (int64_t)i);
      cli_json_token(&j, e->m, e->ids[i]);
      limn_json_key(&j, "log_probability");
      limn_json_float(&j, e->log_probabilities[i]);
      limn_json_end_object(&j);
    }
    limn_json_end_array(&j);
  }
  limn_json_end_object(&j);
  return cli_json_end(e->c, &j);
}

/* ---- the command
 * -------------------------------------------------------------------------- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int evaluate(evaluation *e) {
  limn_error err;
  limn_status status = prepare(e, &err);
  double start = now();
  if (status == LIMN_OK && cli_flag(e->c, "compare")) return eval_compare(e);
  if (status == LIMN_OK) status = eval_all(e, only_score, NULL, &err);
  e->seconds = now() - start;
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
  cli_close_session(&e.s);
  limn_free(e.ids);
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
        "the very first is scored once.\n\n"
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
