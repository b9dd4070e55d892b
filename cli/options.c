/*
 * options.c - options and arguments, as getopt_long reads them, from a command's table.
 *
 * Options and arguments mix; `--` ends the options; a long name may be cut short as long as it
 * stays unique; `--name=value`, `--name value`, `-n value`, `-nvalue` and `-jn value` all work.
 * Numbers and choices are checked here, so that a command finds only values that its table allows.
 */
#include "cli.h"

#include <assert.h>
#include <math.h>
#include <string.h>

const cli_option cli_common_options[] = {
    {"color", 0, CLI_CHOICE, "auto|always|never", "auto", 0, 0,
     "Colour on standard output; auto follows the terminal, NO_COLOR and CLICOLOR_FORCE"},
    {"help", 'h', CLI_FLAG, NULL, NULL, 0, 0, "Show this help"},
    CLI_OPTIONS_END};

const cli_option *cli_option_at(const cli_command *command, size_t i) {
  const cli_option *own = command ? command->options : NULL;
  size_t n = 0;
  while (own && own[n].name)
    n++;
  if (i < n) return &own[i];
  const cli_option *common = cli_common_options;
  for (i -= n; common->name; common++)
    if (i-- == 0) return common;
  return NULL;
}

/* ---- finding --------------------------------------------------------------------------------- */

#define MAX_OPTIONS 64

static const cli_option *no_such_option(const cli *c, const char *name, size_t n) {
  const char *names[MAX_OPTIONS];
  size_t count = 0;
  const cli_option *option;
  for (; count < MAX_OPTIONS && (option = cli_option_at(c->command, count)); count++)
    names[count] = option->name;
  char word[64];
  snprintf(word, sizeof word, "%.*s", (int)(n < 63 ? n : 63), name);
  const char *near = cli_nearest(word, names, count);
  if (near)
    cli_bad(c, "no option --%s, the nearest is --%s", word, near);
  else
    cli_bad(c, "no option --%s, see limn%s%s --help", word, c->command ? " " : "",
            c->command ? c->command->name : "");
  return NULL;
}

static const cli_option *find_long(const cli *c, const char *name, size_t n) {
  const cli_option *option, *found = NULL, *second = NULL;
  for (size_t i = 0; (option = cli_option_at(c->command, i)); i++) {
    if (strncmp(option->name, name, n) != 0) continue;
    if (option->name[n] == '\0') return option;
    if (found)
      second = option;
    else
      found = option;
  }
  if (!found || n == 0) return no_such_option(c, name, n);
  if (!second) return found;
  cli_bad(c, "option --%.*s may be --%s or --%s, spell it out", (int)n, name, found->name,
          second->name);
  return NULL;
}

static const cli_option *find_letter(const cli *c, char letter) {
  const cli_option *option;
  for (size_t i = 0; (option = cli_option_at(c->command, i)); i++)
    if (option->letter == letter) return option;
  cli_bad(c, "no option -%c, see limn%s%s --help", letter, c->command ? " " : "",
          c->command ? c->command->name : "");
  return NULL;
}

/* ---- checking values ------------------------------------------------------------------------- */

static bool has_limits(const cli_option *o) {
  return o->min < o->max;
}

static bool is_one_of(const char *value, const char *choices) {
  size_t n = strlen(value);
  for (const char *at = choices; *at;) {
    size_t length = strcspn(at, "|");
    if (length == n && memcmp(at, value, n) == 0) return true;
    at += length + (at[length] == '|');
  }
  return false;
}

static bool check_number(const cli *c, const cli_option *o, const char *value) {
  double x;
  int64_t whole;
  size_t n = strlen(value);
  bool is_int = o->kind == CLI_INT;
  bool is_read = is_int ? limn_parse_int(value, n, &whole) : limn_parse_double(value, n, &x);
  if (is_read && is_int) x = (double)whole;
  if (is_read && !isnan(x) && (!has_limits(o) || (x >= o->min && x <= o->max))) return true;
  const char *kind = is_int ? "whole number" : "number";
  char low[LIMN_NUMBER_SIZE], high[LIMN_NUMBER_SIZE];
  limn_format_double(low, o->min);
  limn_format_double(high, o->max);
  if (!has_limits(o))
    cli_bad(c, "option --%s has \"%s\", expected a %s", o->name, value, kind);
  else if (o->max >= CLI_NO_MAX)
    cli_bad(c, "option --%s has \"%s\", expected a %s of at least %s", o->name, value, kind, low);
  else
    cli_bad(c, "option --%s has \"%s\", expected a %s from %s to %s", o->name, value, kind, low,
            high);
  return false;
}

static bool check_value(const cli *c, const cli_option *o, const char *value) {
  if (o->kind == CLI_INT || o->kind == CLI_DOUBLE) return check_number(c, o, value);
  if (o->kind == CLI_CHOICE && !is_one_of(value, o->argument)) {
    cli_bad(c, "option --%s has \"%s\", expected %s", o->name, value, o->argument);
    return false;
  }
  return true;
}

/* ---- parsing --------------------------------------------------------------------------------- */

typedef struct reading {
  cli *c;
  char **argv;
  int argc;
  int at;
} reading;

static bool keep(reading *r, const cli_option *o, const char *value) {
  if (o->kind != CLI_FLAG && !value) {
    if (r->at >= r->argc) {
      cli_bad(r->c, "option --%s has no value, expected %s", o->name, o->argument);
      return false;
    }
    value = r->argv[r->at++];
  }
  if (value && !check_value(r->c, o, value)) return false;
  r->c->given[r->c->n_given++] = (struct cli_given){o, value};
  return true;
}

static bool parse_long(reading *r, const char *text) {
  size_t n = strcspn(text, "=");
  const cli_option *o = find_long(r->c, text, n);
  if (!o) return false;
  if (text[n] == '=' && o->kind == CLI_FLAG) {
    cli_bad(r->c, "option --%s has a value \"%s\", expected none", o->name, text + n + 1);
    return false;
  }
  return keep(r, o, text[n] == '=' ? text + n + 1 : NULL);
}

static bool parse_letters(reading *r, const char *text) {
  for (; *text; text++) {
    const cli_option *o = find_letter(r->c, *text);
    if (!o) return false;
    if (o->kind != CLI_FLAG) return keep(r, o, text[1] ? text + 1 : NULL);
    if (!keep(r, o, NULL)) return false;
  }
  return true;
}

static bool check_arguments(const cli *c) {
  const cli_command *command = c->command;
  if (c->n_arguments < command->min_arguments) {
    cli_bad(c, "%d argument%s given, expected %s", c->n_arguments, cli_plural(c->n_arguments),
            command->usage);
    return false;
  }
  if (command->max_arguments >= 0 && c->n_arguments > command->max_arguments) {
    cli_bad(c, "one argument too many, \"%s\" (a text with spaces stands in quotes), expected %s",
            c->arguments[command->max_arguments], command->usage);
    return false;
  }
  return true;
}

bool cli_parse(cli *c, int argc, char **argv, bool *is_help) {
  reading r = {c, argv, argc, 0};
  bool only_arguments = false;
  while (r.at < argc) {
    const char *word = argv[r.at++];
    bool good = true;
    if (only_arguments || word[0] != '-' || word[1] == '\0')
      c->arguments[c->n_arguments++] = word;
    else if (strcmp(word, "--") == 0)
      only_arguments = true;
    else
      good = word[1] == '-' ? parse_long(&r, word + 2) : parse_letters(&r, word + 1);
    if (!good) return false;
  }
  *is_help = cli_flag(c, "help");
  return *is_help || check_arguments(c);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static const cli_option *find_declared(const cli *c, const char *name) {
  const cli_option *option;
  for (size_t i = 0; (option = cli_option_at(c->command, i)); i++)
    if (strcmp(option->name, name) == 0) return option;
  return NULL;
}

bool cli_has_option(const cli *c, const char *name) {
  return find_declared(c, name) != NULL;
}

static const cli_option *declared(const cli *c, const char *name) {
  const cli_option *option = find_declared(c, name);
  assert(option); /* else a command asked for an option that its table does not have */
  return option;
}

static const char *last_given(const cli *c, const cli_option *option, bool *is_given) {
  const char *value = NULL;
  *is_given = false;
  for (int i = 0; i < c->n_given; i++) {
    if (c->given[i].option != option) continue;
    value = c->given[i].value;
    *is_given = true;
  }
  return value;
}

bool cli_is_given(const cli *c, const char *name) {
  bool is_given;
  last_given(c, declared(c, name), &is_given);
  return is_given;
}

bool cli_flag(const cli *c, const char *name) {
  return cli_is_given(c, name);
}

const char *cli_value(const cli *c, const char *name) {
  bool is_given;
  const cli_option *option = declared(c, name);
  const char *value = last_given(c, option, &is_given);
  return is_given ? value : option ? option->preset : NULL;
}

int64_t cli_int(const cli *c, const char *name, int64_t otherwise) {
  const char *value = cli_value(c, name);
  int64_t x;
  return value && limn_parse_int(value, strlen(value), &x) ? x : otherwise;
}

double cli_double(const cli *c, const char *name, double otherwise) {
  const char *value = cli_value(c, name);
  double x;
  return value && limn_parse_double(value, strlen(value), &x) ? x : otherwise;
}

const char *cli_list_at(const cli *c, const char *name, int i) {
  const cli_option *option = declared(c, name);
  for (int k = 0; k < c->n_given; k++)
    if (c->given[k].option == option && i-- == 0) return c->given[k].value;
  return NULL;
}

const char *cli_argument(const cli *c, int i) {
  return i < c->n_arguments ? c->arguments[i] : NULL;
}
