/*
 * completion.c - completions for bash, zsh and fish, printed from the commands' tables.
 */
#include "cli.h"

#include <string.h>

/* The words of "auto|always|never" with spaces between them. */
static void put_choices(FILE *to, const char *choices) {
  for (; *choices; choices++)
    fputc(*choices == '|' ? ' ' : *choices, to);
}

static bool takes_path(const cli_option *o) {
  return o->argument && (strstr(o->argument, "FILE") || strstr(o->argument, "DIR") ||
                         strcmp(o->argument, "MODEL") == 0);
}

/* ---- bash ------------------------------------------------------------------------------------ */

/* The second words of a command with subcommands. */
static void put_subcommands(FILE *to, const cli_command *command) {
  for (const cli_command *const *sub = command->subcommands; *sub; sub++)
    fprintf(to, "%s ", cli_second_word(*sub));
}

/* Makes $command both words, where the first has subcommands. */
static void put_bash_subcommands(FILE *to) {
  fputs("  local command=${COMP_WORDS[1]}\n  case $command in\n", to);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *command = cli_command_at(i);
    if (!command->subcommands) continue;
    fprintf(to,
            "    %s)\n      if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
            "        COMPREPLY=($(compgen -W '",
            command->name);
    put_subcommands(to, command);
    fputs("' -- \"$cur\"))\n        return\n      fi\n"
          "      command=\"$command ${COMP_WORDS[2]}\" ;;\n",
          to);
  }
  fputs("  esac\n", to);
}

static void put_bash_command(FILE *to, const cli_command *command) {
  const cli_option *o;
  fprintf(to, "    '%s')\n      case $prev in\n", command->name);
  for (size_t k = 0; (o = cli_option_at(command, k)); k++) {
    if (o->kind == CLI_FLAG) continue;
    fprintf(to, "        --%s", o->name);
    if (o->letter) fprintf(to, "|-%c", o->letter);
    fputs(") ", to);
    if (o->kind == CLI_CHOICE) {
      fputs("COMPREPLY=($(compgen -W '", to);
      put_choices(to, o->argument);
      fputs("' -- \"$cur\")); ", to);
    } else if (takes_path(o)) {
      fputs("_limn_files; ", to);
    }
    fputs("return ;;\n", to);
  }
  fputs("      esac\n      options='", to);
  for (size_t k = 0; (o = cli_option_at(command, k)); k++)
    fprintf(to, "--%s ", o->name);
  fputs("' ;;\n", to);
}

static void put_bash(FILE *to) {
  /* Names of files may have spaces. "=" parts words: --color=a is --color, =, a. */
  fputs("# bash completion for limn\n"
        "_limn_files() { mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
        "_limn() {\n"
        "  local cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD-1)) options=\n"
        "  [ \"$cur\" = = ] && cur= && at=$((at+1))\n"
        "  [ \"${COMP_WORDS[at]}\" = = ] && at=$((at-1))\n"
        "  local prev=${COMP_WORDS[at]}\n"
        "  local commands='",
        to);
  for (size_t i = 0; i < cli_command_count(); i++)
    fprintf(to, "%s ", cli_command_at(i)->name);
  fputs("'\n  COMPREPLY=()\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "    COMPREPLY=($(compgen -W \"$commands --help --version --color\" -- \"$cur\"))\n"
        "    return\n  fi\n",
        to);
  put_bash_subcommands(to);
  fputs("  case $command in\n", to);
  const cli_command *command;
  for (size_t i = 0; (command = cli_page_at(i)); i++)
    put_bash_command(to, command);
  fputs("  esac\n"
        "  if [[ $cur == -* ]]; then\n"
        "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
        "  elif [ \"${COMP_WORDS[1]}\" = help ]; then\n"
        "    COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n"
        "  else\n    _limn_files\n  fi\n}\n"
        "complete -o filenames -o bashdefault -F _limn limn\n",
        to);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* Inside single quotes: a quote ends them, a colon and brackets mean something to _arguments. */
static void put_quoted(FILE *to, const char *text) {
  for (; *text; text++) {
    if (*text == '\'')
      fputs("'\\''", to);
    else if (strchr("[]:\\", *text))
      fprintf(to, "\\%c", *text);
    else
      fputc(*text, to);
  }
}

static void put_zsh_option(FILE *to, const cli_option *o) {
  fputs("        '", to);
  if (o->kind == CLI_LIST) fputc('*', to);
  fprintf(to, "--%s[", o->name);
  put_quoted(to, o->help);
  fputc(']', to);
  if (o->kind == CLI_CHOICE) {
    fputs(":when:(", to);
    put_choices(to, o->argument);
    fputc(')', to);
  } else if (o->kind != CLI_FLAG) {
    fputc(':', to);
    put_quoted(to, o->argument);
    fputs(takes_path(o) ? ":_files" : ": ", to);
  }
  fputs("' \\\n", to);
}

static void put_zsh_subcommands(FILE *to) {
  fputs("  case $command in\n", to);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *command = cli_command_at(i);
    if (!command->subcommands) continue;
    fprintf(to, "    %s)\n      if (( CURRENT == 2 )); then\n        compadd ", command->name);
    put_subcommands(to, command);
    fputs("\n        return\n      fi\n      command=\"$command $words[2]\"\n"
          "      shift words\n      (( CURRENT-- )) ;;\n",
          to);
  }
  fputs("  esac\n", to);
}

static void put_zsh(FILE *to) {
  fputs("#compdef limn\n_limn() {\n  local -a commands\n  commands=(\n", to);
  for (size_t i = 0; i < cli_command_count(); i++) {
    fprintf(to, "    '%s:", cli_command_at(i)->name);
    put_quoted(to, cli_command_at(i)->summary);
    fputs("'\n", to);
  }
  fputs("  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
        "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n",
        to);
  put_zsh_subcommands(to);
  fputs("  case $command in\n", to);
  const cli_command *command;
  for (size_t i = 0; (command = cli_page_at(i)); i++) {
    const cli_option *o;
    fprintf(to, "    '%s')\n      _arguments \\\n", command->name);
    for (size_t k = 0; (o = cli_option_at(command, k)); k++)
      put_zsh_option(to, o);
    if (command->files && strcmp(command->files, "command") == 0) {
      fputs("        '*:command:(", to);
      for (size_t k = 0; k < cli_command_count(); k++)
        fprintf(to, "%s%s", k ? " " : "", cli_command_at(k)->name);
      fputs(")' ;;\n", to);
    } else {
      fputs("        '*:argument:_files' ;;\n", to);
    }
  }
  fputs("  esac\n}\n_limn \"$@\"\n", to);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void put_fish_quoted(FILE *to, const char *text) {
  fputc('\'', to);
  for (; *text; text++) {
    if (*text == '\'' || *text == '\\') fputc('\\', to);
    fputc(*text, to);
  }
  fputc('\'', to);
}

static void put_fish_option(FILE *to, const cli_command *command, const cli_option *o) {
  char first[64];
  size_t n = strcspn(command->name, " ");
  snprintf(first, sizeof first, "%.*s", (int)n, command->name);
  fprintf(to, "complete -c limn -n '__fish_seen_subcommand_from %s", first);
  if (command->name[n])
    fprintf(to, "; and __fish_seen_subcommand_from %s", cli_second_word(command));
  fprintf(to, "' -l %s", o->name);
  if (o->letter) fprintf(to, " -s %c", o->letter);
  if (o->kind == CLI_CHOICE) {
    fputs(" -x -a '", to);
    put_choices(to, o->argument);
    fputc('\'', to);
  } else if (o->kind != CLI_FLAG) {
    fputs(takes_path(o) ? " -r -F" : " -x", to);
  }
  fputs(" -d ", to);
  put_fish_quoted(to, o->help);
  fputc('\n', to);
}

static void put_fish_subcommand(FILE *to, const cli_command *command, const cli_command *sub) {
  const cli_option *o;
  fprintf(to, "complete -c limn -f -n '__fish_seen_subcommand_from %s' -a %s -d ", command->name,
          cli_second_word(sub));
  put_fish_quoted(to, sub->summary);
  fputc('\n', to);
  for (size_t k = 0; (o = cli_option_at(sub, k)); k++)
    put_fish_option(to, sub, o);
}

static void put_fish(FILE *to) {
  fputs("# fish completion for limn\n", to);
  for (size_t i = 0; i < cli_command_count(); i++) {
    const cli_command *command = cli_command_at(i);
    const cli_option *o;
    fprintf(to, "complete -c limn -f -n __fish_use_subcommand -a %s -d ", command->name);
    put_fish_quoted(to, command->summary);
    fputc('\n', to);
    const cli_command *const *sub = command->subcommands;
    for (; sub && *sub; sub++)
      put_fish_subcommand(to, command, *sub);
    for (size_t k = 0; !command->subcommands && (o = cli_option_at(command, k)); k++)
      put_fish_option(to, command, o);
  }
}

bool cli_completion(FILE *to, const char *shell) {
  if (strcmp(shell, "bash") == 0)
    put_bash(to);
  else if (strcmp(shell, "zsh") == 0)
    put_zsh(to);
  else if (strcmp(shell, "fish") == 0)
    put_fish(to);
  else
    return false;
  return true;
}
