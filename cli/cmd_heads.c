/*
 * cmd_heads.c - limn heads: which heads look at the token before, at the same token, at what
 * followed it (induction), measured on random tokens that are said twice.
 */
#include "picture.h"
#include "run.h"

#include <limn/analysis.h>
#include <stdlib.h>
#include <string.h>

#define N_SCORES 3

static const cli_option options[] = {
    {"sort", 0, CLI_CHOICE, "layer|previous|duplicate|induction", "layer", 0, 0,
     "The order of the table: by layer, or by a score, largest first"},
    {"top", 'k', CLI_INT, "N", NULL, 1, CLI_NO_MAX, "Print the first N rows of the table only"},
    {"sequences", 'n', CLI_INT, "N", "32", 1, 1000000, "Random sequences to average over"},
    {"length", 'l', CLI_INT, "N", "60", 1, 1000000,
     "Tokens in a sequence, which is then said a second time"},
    {"seed", 's', CLI_INT, "N", "0", 0, CLI_NO_MAX, "Of the random tokens"},
    {"first", 0, CLI_INT, "N", "20000", 1, CLI_NO_MAX,
     "Draw from the first N ids of the vocabulary"},
    {"from", 'f', CLI_TEXT, "FILE", NULL, 0, 0,
     "Draw from the tokens that occur in this text instead"},
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_EDIT,
    CLI_OPTIONS_INVARIANT,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn heads", "Three scores for each head of the bundled model."},
    {"limn heads --sort induction --top 5", "The heads that continue what was said before."},
    {"limn heads -e 'blocks.3.attn.hook_z[:,1]=0' --sort induction",
     "Whether induction survives without head 3.1."},
    {NULL, NULL}};

static const struct {
  const char *name, *title, *says;
  cli_hue hue;
} kinds[N_SCORES] = {
    {"previous", "previous token", "look at the token before", CLI_HUE_SHARE},
    {"duplicate", "duplicate token", "look at the same token's first occurrence", CLI_HUE_AMBER},
    {"induction", "induction", "look at what followed that occurrence, and so repeat it",
     CLI_HUE_GREEN}};

typedef struct heads {
  const cli *c;
  const cli_model *m;
  limn_head_scores *scores;
  const double *values[N_SCORES];
  int *order; /* (n) */
  int64_t n_drawn_from;
  int n;
} heads;

/* ---- the order ----------------------------------------------------------------------------------
 */

/* Insertion keeps ties in the order of the layers; a model has hundreds of heads, not thousands. */
static void sort_heads(heads *h, const double *by) {
  for (int i = 0; i < h->n; i++) {
    int at = i;
    for (; by && at > 0 && by[h->order[at - 1]] < by[i]; at--)
      h->order[at] = h->order[at - 1];
    h->order[at] = i;
  }
}

static const double *sort_key(const heads *h) {
  for (int k = 0; k < N_SCORES; k++)
    if (strcmp(cli_value(h->c, "sort"), kinds[k].name) == 0) return h->values[k];
  return NULL;
}

/* ---- the picture
 * ---------------------------------------------------------------------------------
 */

/* The heads that stand out: at least 0.3, best first. */
static void print_summary(heads *h, int kind) {
  const double *by = h->values[kind];
  int n_printed = 0;
  char line[256] = "";
  size_t used = 0;
  sort_heads(h, by);
  for (int i = 0; i < h->n && by[h->order[i]] >= 0.3 && n_printed < 6; i++, n_printed++)
    used += (size_t)snprintf(line + used, sizeof line - used, "%s%d.%d (%.2f)", i ? ", " : "",
                             h->order[i] / h->scores->n_head, h->order[i] % h->scores->n_head,
                             by[h->order[i]]);
  printf("  %s%-16s%s %s\n", cli_sgr(CLI_BOLD), kinds[kind].title, cli_sgr(CLI_PLAIN),
         n_printed ? line : "none at 0.3 or more");
  printf("  %-16s %s%s%s\n", "", cli_sgr(CLI_DIM), kinds[kind].says, cli_sgr(CLI_PLAIN));
}

static void print_table(heads *h) {
  int bar = (cli_width() - 8) / N_SCORES - 9;
  int64_t top = cli_int(h->c, "top", h->n);
  if (bar > 24) bar = 24;
  sort_heads(h, sort_key(h));
  printf("%s  head  ", cli_sgr(CLI_BOLD));
  for (int k = 0; k < N_SCORES; k++)
    printf("%-*s", k == N_SCORES - 1 ? 0 : bar + 8, bar < 10 ? kinds[k].name : kinds[k].title);
  printf("%s\n", cli_sgr(CLI_PLAIN));
  for (int i = 0; i < h->n && i < top; i++) {
    int head = h->order[i], n_head = h->scores->n_head;
    char name[32];
    if (!sort_key(h) && i && head % n_head == 0) fputc('\n', stdout);
    snprintf(name, sizeof name, "%d.%d", head / n_head, head % n_head);
    printf("  %-6s", name);
    for (int k = 0; k < N_SCORES; k++) {
      double score = h->values[k][head];
      printf("%s%.2f%s ", score < 0.1 ? cli_sgr(CLI_DIM) : "", score,
             score < 0.1 ? cli_sgr(CLI_PLAIN) : "");
      cli_print_bar(score, bar, kinds[k].hue, k < N_SCORES - 1);
      if (k < N_SCORES - 1) fputs("   ", stdout);
    }
    fputc('\n', stdout);
  }
}

/* Before the work, so that one sees what is going on. */
static void print_heading(const heads *h, size_t n_ids) {
  const limn_config *config = limn_model_config(h->m->model);
  char text[512], digits[32];
  snprintf(
      text, sizeof text,
      "%d heads on %s sequence%s of %s random token%s, each said twice (seed %s, drawn from %s "
      "token%s). A score is the mean attention weight, from blocks.*.attn.hook_pattern.",
      config->n_layer * config->n_head, cli_value(h->c, "sequences"),
      cli_plural(cli_int(h->c, "sequences", 0)), cli_value(h->c, "length"),
      cli_plural(cli_int(h->c, "length", 0)), cli_value(h->c, "seed"),
      cli_group_digits(digits, (int64_t)n_ids, ' '), cli_plural((int64_t)n_ids));
  cli_print_wrapped(stdout, text, 0, 0, cli_width());
  fputc('\n', stdout);
  fflush(stdout);
}

static void print_heads(heads *h) {
  const limn_head_scores *s = h->scores;
  char text[160];
  for (int k = 0; k < N_SCORES; k++)
    print_summary(h, k);
  fputc('\n', stdout);
  print_table(h);
  snprintf(text, sizeof text, "loss %.2f nats per token the first time, %.2f the second%s",
           s->loss_first, s->loss_second,
           s->loss_second < s->loss_first - 1 ? ": it repeats what it has read" : "");
  fputc('\n', stdout);
  cli_print_wrapped(stdout, text, 2, 0, cli_width());
  printf("  %sfor the pattern of one text: limn explain TEXT --layer N --head N%s\n",
         cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN));
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

static int print_json(const heads *h, limn_error *err) {
  limn_json j;
  const limn_head_scores *s = h->scores;
  cli_json_begin(&j, err);
  limn_json_begin_object(&j);
  cli_json_text(&j, "model", h->m->folder);
  cli_json_text(&j, "hook", "blocks.*.attn.hook_pattern");
  cli_json_int(&j, "n_sequences", s->n_sequences);
  cli_json_int(&j, "length", s->length);
  cli_json_int(&j, "seed", cli_int(h->c, "seed", 0));
  cli_json_int(&j, "n_drawn_from", h->n_drawn_from);
  cli_json_double(&j, "loss_first", s->loss_first);
  cli_json_double(&j, "loss_second", s->loss_second);
  limn_json_key(&j, "heads");
  limn_json_begin_array(&j);
  for (int i = 0; i < h->n; i++) {
    limn_json_begin_inline_object(&j);
    cli_json_int(&j, "layer", h->order[i] / s->n_head);
    cli_json_int(&j, "head", h->order[i] % s->n_head);
    for (int k = 0; k < N_SCORES; k++)
      cli_json_double(&j, kinds[k].name, h->values[k][h->order[i]]);
    limn_json_end_object(&j);
  }
  limn_json_end_array(&j);
  limn_json_end_object(&j);
  return cli_json_end(h->c, &j);
}

/* ---- the command
 * ---------------------------------------------------------------------------------
 */

static bool show_progress(void *user, int done, int total) {
  (void)user;
  cli_progress("sequence", done, total);
  return false;
}

static int compare_ids(const void *a, const void *b) {
  int32_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

/* The ids below --first. */
static limn_status first_ids(const heads *h, limn_tokens *tokens, limn_error *err) {
  int64_t n = cli_int(h->c, "first", 0), vocab_size = limn_model_config(h->m->model)->vocab_size;
  if (n > vocab_size) n = vocab_size;
  tokens->ids = limn_alloc_zeroed((size_t)n, sizeof *tokens->ids);
  if (!tokens->ids) return cli_no_memory(err);
  for (int64_t i = 0; i < n; i++)
    tokens->ids[i] = (int32_t)i;
  tokens->n = (size_t)n;
  return LIMN_OK;
}

/* What to draw from: the ids that occur in the text of --from, each once, or those of --first. */
static limn_status read_ids(const heads *h, limn_tokens *tokens, limn_error *err) {
  const char *path = cli_value(h->c, "from");
  char *text;
  size_t size, n = 0;
  if (!path) return first_ids(h, tokens, err);
  if (!h->m->tokenizer)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "the model in \"%s\" has no tokenizer to read --from with", h->m->folder);
  limn_status status = limn_file_read(path, 0, &text, &size, err);
  if (status != LIMN_OK) return status;
  status = limn_tokenizer_encode(h->m->tokenizer, text, size, LIMN_SPECIAL_AS_TEXT, tokens, err);
  limn_free(text);
  if (status != LIMN_OK) return status;
  if (tokens->n == 0)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "\"%s\" is empty, expected a text to draw tokens from", path);
  qsort(tokens->ids, tokens->n, sizeof *tokens->ids, compare_ids);
  for (size_t i = 0; i < tokens->n; i++)
    if (i == 0 || tokens->ids[i] != tokens->ids[i - 1]) tokens->ids[n++] = tokens->ids[i];
  tokens->n = n;
  return LIMN_OK;
}

static limn_status check_length(const heads *h, limn_error *err) {
  int64_t length = cli_int(h->c, "length", 60);
  int n_ctx = limn_model_config(h->m->model)->n_ctx;
  if (2 * length <= n_ctx) return LIMN_OK;
  return limn_error_set(err, LIMN_ERROR_CONTEXT, LIMN_NO_OFFSET,
                        "option --length has %lld, expected at most %d, half the context window",
                        (long long)length, n_ctx / 2);
}

static limn_status compute(heads *h, const limn_tokens *from, limn_error *err) {
  cli_session s;
  int64_t length = cli_int(h->c, "length", 60);
  limn_session_options session_options = {.all_logits = true, .n_ctx = (int)(2 * length)};
  limn_head_options head_options = {.n_sequences = (int)cli_int(h->c, "sequences", 32),
                                    .length = (int)length,
                                    .seed = (uint64_t)cli_int(h->c, "seed", 0),
                                    .ids = from->ids,
                                    .n_ids = from->n,
                                    .pool = h->m->pool,
                                    .progress = show_progress};
  limn_status status = cli_open_session(h->c, h->m, session_options, &s, err);
  if (status != LIMN_OK) return status;
  status = limn_head_scores_compute(s.session, &head_options, &h->scores, err);
  cli_progress_end();
  if (status == LIMN_OK) status = cli_check_edits(&s, err);
  cli_close_session(&s);
  return status;
}

static limn_status prepare(heads *h, limn_error *err) {
  limn_tokens from = {0};
  limn_status status = check_length(h, err);
  if (status == LIMN_OK) status = read_ids(h, &from, err);
  bool is_said = !cli_flag(h->c, "json"), is_first = is_said && !cli_has_edits(h->c);
  if (status == LIMN_OK && is_first) print_heading(h, from.n); /* computing takes its time */
  h->n_drawn_from = (int64_t)from.n;
  if (status == LIMN_OK) status = compute(h, &from, err);
  if (status == LIMN_OK && is_said && !is_first) print_heading(h, from.n);
  limn_tokens_deinit(&from);
  if (status != LIMN_OK) return status;
  h->n = h->scores->n_layer * h->scores->n_head;
  h->values[0] = h->scores->previous;
  h->values[1] = h->scores->duplicate;
  h->values[2] = h->scores->induction;
  h->order = limn_alloc_zeroed((size_t)h->n, sizeof *h->order);
  if (!h->order) return cli_no_memory(err);
  sort_heads(h, sort_key(h));
  return LIMN_OK;
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  int result = CLI_OK;
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  heads h = {.c = c, .m = &m};
  if (prepare(&h, &err) != LIMN_OK)
    result = cli_fail(c, &err);
  else if (cli_flag(c, "json"))
    result = print_json(&h, &err);
  else
    print_heads(&h);
  limn_free(h.order);
  limn_head_scores_free(h.scores);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_heads = {
    .name = "heads",
    .group = CLI_LOOK,
    .rank = 15,
    .summary = "say what kind of head each head is",
    .usage = "[OPTION]...",
    .description =
        "Runs random tokens that are said twice, and takes the mean attention weight of each head "
        "at three places: the token before (previous token), the first occurrence of the same "
        "token (duplicate token), and the token behind that occurrence (induction). Induction "
        "heads are how a model continues what it has read before; the loss on the second half "
        "shows what they are worth.\n\n"
        "In a vocabulary made by byte pair encoding the frequent tokens come first. The rare ones "
        "at its end a small model may never have met, and cannot tell apart; hence --first. Give "
        "--first 1000000 for the whole vocabulary.\n\n"
        "Previous token: the mean over all queries but the first. Duplicate token and induction: "
        "the mean over the queries of the second half (Elhage et al. 2021, Olsson et al. "
        "2022).\n\n" CLI_EDIT_PARAGRAPHS,
    .options = options,
    .examples = examples,
    .run = run,
};
