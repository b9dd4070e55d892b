/*
 * cmd_explain.c - limn explain: a text through the model, and every reason for what comes next.
 */
#include "explain.h"

static const cli_option options[] = {
    {"position", 'p', CLI_INT, "N", NULL, 0, 0,
     "Explain what comes after token N (from 0; -1 is the last, which is the default)"},
    {"target", 0, CLI_TEXT, "TOKEN", NULL, 0, 0,
     "Explain this token instead of the likeliest: its text (\" king\"), or its id as #5822"},
    {"top", 'k', CLI_INT, "N", "10", 1, CLI_NO_MAX, "Tokens, and parts of the model, to list"},
    {"layer", 'l', CLI_INT, "N", NULL, 0, CLI_NO_MAX, "Show the attention of this layer only"},
    {"head", 0, CLI_INT, "N", NULL, 0, CLI_NO_MAX,
     "Show the attention of this head only; with --layer in words too"},
    {"out", 'o', CLI_TEXT, "DIR", NULL, 0, 0,
     "Write the numbers, and a page that says what made them, into this folder"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_TEXT,
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_RUN,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn explain 'The king said to his'", "All of it, in the terminal."},
    {"limn explain 'The king said to his' --target ' daughter'", "Why not (or why) that word."},
    {"limn explain 'The king said to his' -l 3 --head 1",
     "One head, and what it looks at in words."},
    {"limn explain --file tale.txt --position 40 --json", "Every number, for another program."},
    {"limn explain 'The king said to his' -e 'blocks.5.attn.hook_z=0'",
     "The same without the last layer's attention."},
    {NULL, NULL}};

static int print_json(const explanation *e) {
  limn_error err;
  limn_json j;
  cli_json_begin(&j, &err);
  explain_write_json(e, &j);
  return cli_json_end(e->c, &j);
}

static int show(explanation *e) {
  const cli *c = e->c;
  limn_error err;
  bool is_json = cli_flag(c, "json");
  /* First of all, since a large model takes its time; but an id may turn out to be none. */
  bool is_first = !is_json && !cli_has_edits(c) && !cli_is_given(c, "ids");
  if (is_first) explain_print_heading(e);
  if (explain_run(e, &err) != LIMN_OK) return cli_fail(c, &err);
  const char *folder = cli_value(c, "out");
  if (folder && explain_write_folder(e, folder, &err) != LIMN_OK) return cli_fail(c, &err);
  if (is_json) return print_json(e);
  if (!is_first) explain_print_heading(e);
  explain_print_tokens(e);
  explain_print(e);
  if (folder) printf("\nall of it is in %s, begin with %s/README.md\n", folder, folder);
  return CLI_OK;
}

static int run(cli *c) {
  cli_model m;
  explanation e;
  limn_error err;
  int result;
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  if (explain_open(&e, c, &m, &err) != LIMN_OK) {
    result = cli_fail(c, &err);
  } else {
    result = show(&e);
    explain_close(&e);
  }
  cli_close_model(&m);
  return result;
}

const cli_command cmd_explain = {
    .name = "explain",
    .group = CLI_LOOK,
    .rank = 0,
    .summary = "show how a model gets from a text to the next token",
    .usage = "[OPTION]... (TEXT | --file FILE | --ids 1,2,3)",
    .description =
        "Runs a text through the model once and shows five things: the tokens it reads; what it "
        "expects next; where each attention head looks; what it would have said after each layer "
        "(the logit lens); and how much each head and MLP adds to the prediction (direct logit "
        "attribution: the parts add up to the logit, and the error of the sum is shown).\n\n"
        "Each section names the command that makes its numbers again. In colour with 256 colours "
        "or more, in plain ASCII otherwise.\n\n" CLI_EDIT_PARAGRAPHS,
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
