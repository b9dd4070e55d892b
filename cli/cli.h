/*
 * cli.h - the frame that every command of limn stands in.
 *
 * A command is one file, cli/cmd_NAME.c, that defines `const cli_command cmd_NAME`: a table with
 * its summary, options and examples, and a function to run. The build collects these files; from
 * the one table come parsing, --help, the man page and the shells' completions.
 *
 *   static int run(cli *c) {
 *     char *text;
 *     size_t n;
 *     limn_error err;
 *     if (cli_read_text(c, &text, &n, &err) != LIMN_OK) return cli_fail(c, &err);
 *     ...
 *     printf(...);                        standard output is buffered and checked at the end
 *     return CLI_OK;
 *   }
 *
 * Exit statuses: 0; 1 when limn itself failed (no memory) or a comparison it was asked for did not
 * agree; 2 for anything in the input: usage, files, numbers, names; 130 after Ctrl-C. An error is
 * one line on standard error: `limn COMMAND: what, found, wanted`.
 */
#ifndef LIMN_CLI_H
#define LIMN_CLI_H

#include <limn/limn.h>
#include <stdio.h>
#include <time.h>

/* ---- a command's table ----------------------------------------------------------------------- */

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_BAD_INPUT = 2, CLI_INTERRUPTED = 130 };

typedef struct cli cli;

typedef enum cli_kind {
  CLI_FLAG,   /* --json */
  CLI_TEXT,   /* --file FILE; the last one given counts */
  CLI_LIST,   /* --edit EDIT, any number of times */
  CLI_CHOICE, /* --overflow error|slide: `argument` lists the words */
  CLI_INT,    /* a whole number in [min, max] */
  CLI_DOUBLE  /* a number in [min, max]; not NaN */
} cli_kind;

/* As `max` of a number without an upper limit. */
#define CLI_NO_MAX 1e300

typedef struct cli_option {
  const char *name; /* without its dashes; NULL ends the table */
  char letter;      /* or 0 */
  cli_kind kind;
  const char *argument; /* "FILE"; for a choice "auto|always|never"; NULL for a flag */
  const char *preset;   /* the value when it is not given, shown in the help; or NULL */
  double min, max;      /* of a number; both 0 for any */
  const char *help;     /* starts with a capital, no full stop */
} cli_option;

typedef struct cli_example {
  const char *line; /* "limn tokenize 'Hello world'"; NULL ends the list */
  const char *what; /* what one sees */
} cli_example;

typedef enum cli_group { CLI_LOOK, CLI_RUN, CLI_LEARN, CLI_HELP, CLI_N_GROUPS } cli_group;

typedef struct cli_command cli_command;
struct cli_command {
  const char *name; /* "trace"; of a subcommand both words, "tokenizer train" */
  cli_group group;
  int rank;                    /* place in its group, small first */
  const char *summary;         /* one line, starts with a small letter, no full stop */
  const char *usage;           /* what follows the name: "[OPTION]... (TEXT | --ids 1,2,3)" */
  const char *description;     /* paragraphs, an empty line between; a line that starts with two
                                  spaces stays as it is */
  const cli_option *options;   /* or NULL */
  const cli_example *examples; /* or NULL */
  int min_arguments;           /* positional arguments, */
  int max_arguments;           /* -1 for any number */
  const char *files;           /* which files complete as argument: "file", "command" or NULL */
  int (*run)(cli *c);          /* returns an exit status; NULL with subcommands */
  const cli_command *const *subcommands; /* or NULL; a NULL ends the list */
};

/* Options that several commands share, so that they read the same everywhere. */
#define CLI_OPTIONS_MODEL                                                                          \
  {"model",                                                                                        \
   'm',                                                                                            \
   CLI_TEXT,                                                                                       \
   "MODEL",                                                                                        \
   "tales",                                                                                        \
   0,                                                                                              \
   0,                                                                                              \
   "A folder, or the name of one in $LIMN_MODELS or among the installed models; or the file "      \
   "of a packed model"},                                                                           \
      {"threads", 't',                                                                             \
       CLI_INT,   "N",                                                                             \
       NULL,      1,                                                                               \
       1024,      "Threads that compute; as many as this process may use when not given"},         \
      {"weights", 0, CLI_CHOICE, "file|f32|f16|bf16|q8|q4",                                        \
       "file",    0, 0,          "How the matrices are stored in memory; file: as in the file"},   \
  {                                                                                                \
    "compute", 0, CLI_CHOICE, "f32|bf16|int8", "f32", 0, 0,                                        \
        "How their products are computed; f32 is exact to its rounding, whatever the storage"      \
  }
#define CLI_OPTIONS_TEXT                                                                           \
  { "file", 'f', CLI_TEXT, "FILE", NULL, 0, 0, "Take the text from FILE; - is standard input" }
#define CLI_OPTIONS_IDS                                                                            \
  { "ids", 0, CLI_TEXT, "1,2,3", NULL, 0, 0, "Take these token ids instead of a text" }
#define CLI_OPTIONS_JSON                                                                           \
  { "json", 'j', CLI_FLAG, NULL, NULL, 0, 0, "Print JSON" }
#define CLI_OPTIONS_END                                                                            \
  { NULL, 0, CLI_FLAG, NULL, NULL, 0, 0, NULL }

/* ---- what was given -------------------------------------------------------------------------- */

struct cli {
  const cli_command *command; /* NULL before one is known */
  const char **arguments;     /* positional, n_arguments of them */
  int n_arguments;
  struct cli_given {
    const cli_option *option;
    const char *value;
  } * given; /* options in the order given */
  int n_given;
};

/* Whether the command's table has an option of this name. */
bool cli_has_option(const cli *c, const char *name);
/* By the option's name, which must be in the command's table. */
bool cli_is_given(const cli *c, const char *name);
bool cli_flag(const cli *c, const char *name);
/* The last value given, else the preset, else NULL. */
const char *cli_value(const cli *c, const char *name);
/* The number, else the preset, else `otherwise`. */
int64_t cli_int(const cli *c, const char *name, int64_t otherwise);
double cli_double(const cli *c, const char *name, double otherwise);
/* The i-th value of an option that may be repeated, NULL after the last. */
const char *cli_list_at(const cli *c, const char *name, int i);
/* Positional argument i, or NULL. */
const char *cli_argument(const cli *c, int i);

/* ---- errors ---------------------------------------------------------------------------------- */

/* Prints "limn COMMAND: text" on standard error, returns the exit status that fits. */
int cli_fail(const cli *c, const limn_error *err);
/* The same with a text of its own; returns CLI_BAD_INPUT. */
int cli_bad(const cli *c, const char *format, ...) LIMN_PRINTF(2, 3);
/* Fills *err with "out of memory", returns LIMN_ERROR_MEMORY. */
limn_status cli_no_memory(limn_error *err);
/* A note on standard error, "limn COMMAND: note: text". */
void cli_note(const cli *c, const char *format, ...) LIMN_PRINTF(2, 3);
/* The nearest of n words to `word`, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *words, size_t n);

/* ---- input ----------------------------------------------------------------------------------- */

/*
 * The command's text: its positional argument, or --file, or standard input when that is no
 * terminal. More than one of them, or none, is an error. *text comes from limn_alloc.
 */
limn_status cli_read_text(const cli *c, char **text, size_t *n, limn_error *err);
/* The same for a command whose text is its positional argument `i`. */
limn_status cli_read_text_at(const cli *c, int i, char **text, size_t *n, limn_error *err);
/* "1,2,3" or "1 2 3" into ids from limn_alloc. */
limn_status cli_parse_ids(const char *list, int32_t **ids, size_t *n, limn_error *err);

/* ---- models ---------------------------------------------------------------------------------- */

/*
 * The folder (or packed file) of -m MODEL (NULL: the bundled model), from limn_alloc. NOT_FOUND
 * lists the models that are there.
 */
limn_status cli_find_model(const char *name, char **folder, limn_error *err);
/* Whether it names a single file, NAME.safetensors, and no folder. */
bool cli_is_model_file_name(const char *name);

/* ---- the terminal ---------------------------------------------------------------------------- */

typedef enum cli_style {
  CLI_PLAIN = 0,
  CLI_BOLD,
  CLI_DIM,
  CLI_ACCENT, /* names: commands, hooks */
  CLI_GOOD,
  CLI_WARN
} cli_style;

/* Whether standard output gets colour: --color, NO_COLOR, CLICOLOR_FORCE, TERM, a terminal. */
bool cli_has_color(void);
/* How many colours, 0 without colour: 16, 256, or 1 << 24 (COLORTERM=truecolor). */
int cli_color_count(void);
/* The escape sequence that starts a style on standard output, "" without colour. CLI_PLAIN ends it.
 */
const char *cli_sgr(cli_style style);
/*
 * The sequence for a foreground or background of r, g, b (0 to 255), exact or the nearest of 256;
 * "" with fewer colours. `out` has room for 24 bytes; returns `out`.
 */
char *cli_sgr_rgb(char out[24], bool is_background, int r, int g, int b);
/* Columns to write in: COLUMNS, or the terminal's, or 80; at least 40. */
int cli_width(void);
/* Whether standard output is a terminal. */
bool cli_is_terminal(void);

/*
 * Progress on standard error, one line that is written over; nothing when standard error is no
 * terminal. `total` 0 when it is not known. cli_progress_end clears the line.
 */
void cli_progress(const char *what, int64_t done, int64_t total);
void cli_progress_end(void);
/* Of a clock, for differences: what clock_gettime says, in seconds. */
double cli_seconds(clockid_t clock);

/* ---- text in columns ------------------------------------------------------------------------- */

/* The character that n > 0 bytes start with, and its length; -1 as *code, length 1, for a byte that
   begins none. */
size_t cli_character(const unsigned char *at, size_t n, int32_t *code);
/* The columns that n bytes of UTF-8 take: 0 for a combining mark, 2 for a wide character. */
int cli_text_width(const char *text, size_t n);
/*
 * Prints n bytes so that they can be seen: control characters as \n, \t, \x1b; bytes that are no
 * UTF-8 as \xNN; the rest as it is. Cut with "…" beyond max_width columns (0: never), then filled
 * with spaces to min_width columns. Returns the columns taken.
 */
int cli_print_visible(FILE *to, const char *text, size_t n, int min_width, int max_width);
/* The columns that the same text takes uncut. */
int cli_visible_width(const char *text, size_t n);
/* Whether the text is shown as it is, but for line feeds: no control characters, no bad UTF-8. */
bool cli_is_visible(const char *text, size_t n);
/* Prints a paragraph wrapped at `width` columns, each line after `indent` spaces; the first line is
   taken to be at column `at` already. Ends with a line feed. */
void cli_print_wrapped(FILE *to, const char *text, int indent, int at, int width);
/* Prints ids with commas between them, and a line feed. */
void cli_print_ids(const int32_t *ids, size_t n);
/* 1234567 as "1 234 567" with `separator` between the groups, 0 for none. Returns `out`. */
char *cli_group_digits(char out[32], int64_t x, char separator);
/* "s" behind a noun of which there are n, or "". */
const char *cli_plural(int64_t n);
/* 15300000 as "15.3 MB". Returns `out`. */
char *cli_size_text(char out[32], uint64_t bytes);

/* ---- output ---------------------------------------------------------------------------------- */

/* Prepares a writer on standard output, indented. */
void cli_json_begin(limn_json *j, limn_error *err);
/* The same on another file. */
void cli_json_begin_in(limn_json *j, FILE *to, limn_error *err);
/* Ends it; an exit status. */
int cli_json_end(const cli *c, limn_json *j);
/*
 * For what must be whole before any of it is printed: a file without a name to print to, and what
 * copies it to standard output and closes it, which fails where not all of it could be kept.
 */
limn_status cli_hold_output(FILE **held, limn_error *err);
limn_status cli_print_held(FILE *held, limn_error *err);

/* ---- inside the frame ------------------------------------------------------------------------ */

extern const cli_option cli_common_options[]; /* --color, --help */
/* Option i of a command (or NULL), its own before the common ones; NULL after the last. */
const cli_option *cli_option_at(const cli_command *command, size_t i);
extern const cli_command *const cli_commands[];
extern const char *const cli_group_titles[CLI_N_GROUPS];
size_t cli_command_count(void);
/* By place in the help: group, rank, name. */
const cli_command *cli_command_at(size_t i);
/* A subcommand by both words, with a space or a hyphen between them. */
const cli_command *cli_command_find(const char *name);
/* Commands with each one's subcommands behind it; NULL after the last. */
const cli_command *cli_page_at(size_t i);
/* The second word of a subcommand's name. */
const char *cli_second_word(const cli_command *subcommand);
/* The error of an unknown command; returns CLI_BAD_INPUT. */
int cli_no_such_command(const cli *c, const char *name);
/* Parses what follows the command's name into *c. False when an error was printed. `*is_help` says
   that --help was among the options. */
bool cli_parse(cli *c, int argc, char **argv, bool *is_help);
void cli_set_color(const char *when); /* auto, always, never */
void cli_help_overview(FILE *to);
void cli_help_command(FILE *to, const cli_command *command);
void cli_man_page(FILE *to, const cli_command *command); /* NULL: limn.1 */
/* "bash", "zsh" or "fish"; false for another. */
bool cli_completion(FILE *to, const char *shell);

#endif
