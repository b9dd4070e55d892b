/*
 * cmd_help.c - limn help: what the tables say, for people, for man and for shells.
 */
#include "cli.h"

static const cli_option options[] = {
    {"man", 0, CLI_FLAG, NULL, NULL, 0, 0, "Print the man page of COMMAND, or limn's own, in roff"},
    {"completion", 0, CLI_CHOICE, "bash|zsh|fish", NULL, 0, 0, "Print the completions for a shell"},
    {"list", 0, CLI_FLAG, NULL, NULL, 0, 0,
     "Print the names of the commands' pages, one a line; tokenizer-train is limn tokenizer train"},
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn help trace", "The same as limn trace --help."},
    {"limn help --man trace | man -l -", "Shows the man page."},
    {"eval \"$(limn help --completion bash)\"", "Completions in this shell."},
    {NULL, NULL}};

static void print_names(void) {
  const cli_command *command;
  for (size_t i = 0; (command = cli_page_at(i)); i++) {
    for (const char *c = command->name; *c; c++)
      putchar(*c == ' ' ? '-' : *c);
    putchar('\n');
  }
}

/* "trace", or "tokenizer train" as one word or two. */
static const cli_command *find_command(const cli *c) {
  const char *first = cli_argument(c, 0), *second = cli_argument(c, 1);
  char both[128];
  snprintf(both, sizeof both, "%s%s%s", first, second ? " " : "", second ? second : "");
  const cli_command *command = cli_command_find(both);
  if (!command) cli_no_such_command(c, both);
  return command;
}

static int run(cli *c) {
  const char *name = cli_argument(c, 0), *shell = cli_value(c, "completion");
  const cli_command *command = NULL;
  if (shell) return cli_completion(stdout, shell) ? CLI_OK : CLI_BAD_INPUT;
  if (name) {
    command = find_command(c);
    if (!command) return CLI_BAD_INPUT;
  }
  if (cli_flag(c, "list")) {
    print_names();
  } else if (cli_flag(c, "man")) {
    cli_man_page(stdout, command);
  } else if (command) {
    cli_help_command(stdout, command);
  } else {
    cli_help_overview(stdout);
  }
  return CLI_OK;
}

const cli_command cmd_help = {
    .name = "help",
    .group = CLI_HELP,
    .rank = 0,
    .summary = "explain limn or one of its commands",
    .usage = "[COMMAND [SUBCOMMAND]]",
    .description = "Shows an overview, or how to use COMMAND. The man pages and the shells' "
                   "completions come from the same tables.",
    .options = options,
    .examples = examples,
    .min_arguments = 0,
    .max_arguments = 2,
    .files = "command",
    .run = run,
};
