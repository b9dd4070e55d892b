/*
 * help.c - everything that is said about a command, from its one table: the overview, --help, and
 * man pages in roff (man(7)).
 */
#include "cli.h"

#include <ctype.h>
#include <string.h>

static int help_width(void) {
  int width = cli_width();
  return width > 100 ? 100 : width;
}

static void print_heading(FILE *to, const char *text) {
  fprintf(to, "\n%s%s%s\n", cli_sgr(CLI_BOLD), text, cli_sgr(CLI_PLAIN));
}

/* ---- limn --help ----------------------------------------------------------------------------- */

static const char tagline[] =
    "take a text through a language model and see every number on the way";

void cli_help_overview(FILE *to) {
  fprintf(to, "limn - %s\n", tagline);
  print_heading(to, "Usage");
  fprintf(to, "  limn COMMAND [OPTION]... [ARGUMENT]...\n");
  for (int group = 0; group < CLI_N_GROUPS; group++) {
    bool has_title = false;
    for (size_t i = 0; i < cli_command_count(); i++) {
      const cli_command *command = cli_command_at(i);
      if ((int)command->group != group) continue;
      if (!has_title) print_heading(to, cli_group_titles[group]);
      has_title = true;
      fprintf(to, "  %s%-10s%s  ", cli_sgr(CLI_ACCENT), command->name, cli_sgr(CLI_PLAIN));
      cli_print_wrapped(to, command->summary, 14, 14, help_width());
    }
  }
  print_heading(to, "Options");
  fprintf(to, "  -h, --help     Show this help; limn COMMAND --help shows a command's\n"
              "  -V, --version  Show the version\n"
              "  --color WHEN   auto, always or never\n");
  fprintf(to, "\nWithout -m MODEL a command takes the bundled model, tales.\n");
}

/* ---- limn COMMAND --help --------------------------------------------------------------------- */

/* "-m, --model MODEL" */
static int option_label(const cli_option *o, char out[128]) {
  char letter[8] = "";
  if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  return snprintf(out, 128, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                  o->argument ? o->argument : "");
}

/* The help of an option with its preset. */
static const char *option_help(const cli_option *o, char out[512]) {
  if (!o->preset) return o->help;
  snprintf(out, 512, "%s (default %s)", o->help, o->preset);
  return out;
}

static void print_option(FILE *to, const cli_option *o) {
  char label[128], help[512];
  int n = option_label(o, label);
  fprintf(to, "  %s%s%s", cli_sgr(CLI_ACCENT), label, cli_sgr(CLI_PLAIN));
  if (n > 24) {
    fputc('\n', to);
    n = -2;
  }
  cli_print_wrapped(to, option_help(o, help), 28, n + 2, help_width());
}

/* A paragraph at a time; a line that starts with two spaces is printed as it is. */
static void print_paragraphs(FILE *to, const char *text, int indent) {
  char paragraph[4096];
  while (*text) {
    const char *end = strstr(text, "\n\n");
    size_t n = end ? (size_t)(end - text) : strlen(text);
    if (n >= sizeof paragraph) n = sizeof paragraph - 1;
    memcpy(paragraph, text, n);
    paragraph[n] = '\0';
    if (strncmp(paragraph, "  ", 2) == 0)
      fprintf(to, "%s\n", paragraph);
    else
      cli_print_wrapped(to, paragraph, indent, 0, help_width());
    if (!end) return;
    fputc('\n', to);
    text = end + 2;
  }
}

static void print_subcommands(FILE *to, const cli_command *command) {
  print_heading(to, "Commands");
  for (const cli_command *const *sub = command->subcommands; *sub; sub++) {
    fprintf(to, "  %s%-10s%s  ", cli_sgr(CLI_ACCENT), cli_second_word(*sub), cli_sgr(CLI_PLAIN));
    cli_print_wrapped(to, (*sub)->summary, 14, 14, help_width());
  }
}

void cli_help_command(FILE *to, const cli_command *command) {
  fprintf(to, "limn %s - %s\n", command->name, command->summary);
  print_heading(to, "Usage");
  fprintf(to, "  limn %s ", command->name);
  cli_print_wrapped(to, command->usage, 8 + (int)strlen(command->name),
                    8 + (int)strlen(command->name), help_width());
  fputc('\n', to);
  print_paragraphs(to, command->description, 0);
  if (command->subcommands) print_subcommands(to, command);
  print_heading(to, "Options");
  for (const cli_option *o = command->options; o && o->name; o++)
    print_option(to, o);
  for (const cli_option *o = cli_common_options; o->name; o++)
    print_option(to, o);
  if (!command->examples) return;
  print_heading(to, "Examples");
  for (const cli_example *e = command->examples; e->line; e++) {
    fprintf(to, "  %s%s%s\n", cli_sgr(CLI_ACCENT), e->line, cli_sgr(CLI_PLAIN));
    cli_print_wrapped(to, e->what, 6, 0, help_width());
  }
}

/* ---- man pages ------------------------------------------------------------------------------- */

/* Text for roff: a backslash and a hyphen are escaped, a leading dot or quote is made harmless. */
static void put_roff(FILE *to, const char *text, size_t n) {
  bool is_line_start = true;
  for (size_t i = 0; i < n;) {
    int32_t code;
    size_t length = cli_character((const unsigned char *)text + i, n - i, &code);
    if (is_line_start && (code == '.' || code == '\'')) fputs("\\&", to);
    if (code == '\\')
      fputs("\\e", to);
    else if (code == '-')
      fputs("\\-", to);
    else if (code >= 0x80) /* by its code, as every roff reads it */
      fprintf(to, "\\[u%04X]", (unsigned)code);
    else
      fwrite(text + i, 1, length, to);
    is_line_start = code == '\n';
    i += length;
  }
}

static void put_roff_line(FILE *to, const char *text) {
  put_roff(to, text, strlen(text));
  fputc('\n', to);
}

static void put_title(FILE *to, const char *name) {
  fprintf(to, ".TH \"%s\" \"1\" \"\" \"limn %s\" \"limn\"\n", name, limn_version());
}

static void put_roff_option(FILE *to, const cli_option *o) {
  char help[512];
  fputs(".TP\n", to);
  if (o->letter) fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
  fputs("\\fB\\-\\-", to);
  put_roff(to, o->name, strlen(o->name));
  fputs("\\fR", to);
  if (o->argument) {
    fputs(" \\fI", to);
    put_roff(to, o->argument, strlen(o->argument));
    fputs("\\fR", to);
  }
  fputc('\n', to);
  put_roff_line(to, option_help(o, help));
}

static void put_roff_paragraphs(FILE *to, const char *text) {
  for (bool is_first = true; *text; is_first = false) {
    const char *end = strstr(text, "\n\n");
    size_t n = end ? (size_t)(end - text) : strlen(text);
    bool is_verbatim = strncmp(text, "  ", 2) == 0;
    if (!is_first) fputs(".PP\n", to);
    if (is_verbatim) fputs(".nf\n", to);
    put_roff(to, text, n);
    fputs(is_verbatim ? "\n.fi\n" : "\n", to);
    if (!end) return;
    text = end + 2;
  }
}

static void put_exit_status(FILE *to) {
  fputs(".SH EXIT STATUS\n"
        ".TP\n\\fB0\\fR\nAll went well.\n"
        ".TP\n\\fB1\\fR\nNo memory was left, or a comparison that was asked for did not agree.\n"
        ".TP\n\\fB2\\fR\nThe input was at fault: usage, a file, a number, a name.\n"
        ".TP\n\\fB130\\fR\nInterrupted; no half\\-written file is left.\n",
        to);
}

static void put_environment(FILE *to) {
  fputs(".SH ENVIRONMENT\n"
        ".TP\n\\fBLIMN_MODELS\\fR\nFolders that hold models, separated by colons.\n"
        ".TP\n\\fBNO_COLOR\\fR, \\fBCLICOLOR_FORCE\\fR\nNo colour, or colour even into a pipe.\n"
        ".TP\n\\fBCOLUMNS\\fR\nThe width to write in.\n",
        to);
}

/* "limn-tokenizer-train" */
static void put_page_name(FILE *to, const cli_command *command) {
  fputs("limn\\-", to);
  for (const char *c = command->name; *c; c++)
    fputs(*c == ' ' ? "\\-" : (char[]){*c, '\0'}, to);
}

/* A page in a list of pages. */
static void put_page(FILE *to, const cli_command *command) {
  fputs(".TP\n\\fB", to);
  put_page_name(to, command);
  fputs("\\fR(1)\n", to);
  put_roff_line(to, command->summary);
}

static void put_overview(FILE *to) {
  put_title(to, "LIMN");
  fputs(".SH NAME\nlimn \\- ", to);
  put_roff_line(to, tagline);
  fputs(".SH SYNOPSIS\n\\fBlimn\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n"
        ".SH COMMANDS\n",
        to);
  const cli_command *command;
  for (size_t i = 0; (command = cli_page_at(i)); i++)
    put_page(to, command);
  fputs(".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow an overview.\n"
        ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nShow the version.\n",
        to);
  put_exit_status(to);
  put_environment(to);
}

void cli_man_page(FILE *to, const cli_command *command) {
  if (!command) {
    put_overview(to);
    return;
  }
  char title[64];
  size_t n = (size_t)snprintf(title, sizeof title, "LIMN-%s", command->name);
  for (size_t i = 0; i < n && i < sizeof title; i++)
    title[i] = (char)(title[i] == ' ' ? '-' : toupper((unsigned char)title[i]));
  put_title(to, title);
  fputs(".SH NAME\n", to);
  put_page_name(to, command);
  fputs(" \\- ", to);
  put_roff_line(to, command->summary);
  fprintf(to, ".SH SYNOPSIS\n\\fBlimn %s\\fR ", command->name);
  put_roff_line(to, command->usage);
  fputs(".SH DESCRIPTION\n", to);
  put_roff_paragraphs(to, command->description);
  if (command->subcommands) fputs(".SH COMMANDS\n", to);
  for (const cli_command *const *sub = command->subcommands; sub && *sub; sub++)
    put_page(to, *sub);
  fputs(".SH OPTIONS\n", to);
  for (const cli_option *o = command->options; o && o->name; o++)
    put_roff_option(to, o);
  for (const cli_option *o = cli_common_options; o->name; o++)
    put_roff_option(to, o);
  if (command->examples) fputs(".SH EXAMPLES\n", to);
  for (const cli_example *e = command->examples; e && e->line; e++) {
    fputs(".TP\n\\fB", to);
    put_roff(to, e->line, strlen(e->line));
    fputs("\\fR\n", to);
    put_roff_line(to, e->what);
  }
  put_exit_status(to);
  put_environment(to);
  fputs(".SH SEE ALSO\n\\fBlimn\\fR(1)\n", to);
}
