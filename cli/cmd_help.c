/*
 * cmd_help.c - limn help: what the tables say, for people, for man and for shells.
 */
#include "cli.h"

static const cli_option options[] = {
    {"man", 0, CLI_FLAG, NULL, NULL, 0, 0, "Print the man page of COMMAND, or limn's own, in roff"},
    {"completion", 0, CLI_CHOICE, "bash|zsh|fish", NULL, 0, 0, "Print the completions for a shell"},
    {"list", 0, CLI_FLAG, NULL, NULL, 0, 0, "Print the names of the commands, one a line"},
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn help trace", "The same as limn trace --help."},
    {"limn help --man trace | man -l -", "Shows the man page."},
    {"eval \"$(limn help --completion bash)\"", "Completions in this shell."},
    {NULL, NULL}};

static int run(cli *c) {
  const char *name = cli_argument(c, 0), *shell = cli_value(c, "completion");
  const cli_command *command = NULL;
  if (shell) return cli_completion(stdout, shell) ? CLI_OK : CLI_BAD_INPUT;
  if (name) {
    command = cli_command_find(name);
    if (!command) return cli_no_such_command(c, name);
  }
  if (cli_flag(c, "list")) {
    for (size_t i = 0; i < cli_command_count(); i++)
      printf("%s\n", cli_command_at(i)->name);
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
    .usage = "[COMMAND]",
    .description = "Shows an overview, or how to use COMMAND. The man pages and the shells' "
                   "completions come from the same tables.",
    .options = options,
    .examples = examples,
    .min_arguments = 0,
    .max_arguments = 1,
    .files = "command",
    .run = run,
};
