/*
 * main.c - finds the command, runs it, and leaves cleanly whatever happens.
 *
 * Cleanly: standard output is buffered and its errors are seen at the end; a signal that ends the
 * program first removes the files that were being written; a reader that goes away (`| head`) ends
 * it without a word.
 */
#include "cli.h"
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the commands, collected by the build from the names of the files cmd_*.c ---------------- */

#define X(name) extern const cli_command cmd_##name;
#include "commands.inc"
#undef X

static const cli_command *commands[] = {
#define X(name) &cmd_##name,
#include "commands.inc"
#undef X
};

const char *const cli_group_titles[CLI_N_GROUPS] = {"Look inside a model", "Run a model", "Learn",
                                                    "Help"};

size_t cli_command_count(void) {
  return sizeof commands / sizeof *commands;
}

static int by_place(const void *a, const void *b) {
  const cli_command *x = *(const cli_command *const *)a, *y = *(const cli_command *const *)b;
  if (x->group != y->group) return x->group < y->group ? -1 : 1;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  return strcmp(x->name, y->name);
}

const cli_command *cli_command_at(size_t i) {
  return commands[i];
}

const cli_command *cli_page_at(size_t i) {
  for (size_t k = 0; k < cli_command_count(); k++) {
    if (i-- == 0) return commands[k];
    const cli_command *const *sub = commands[k]->subcommands;
    for (; sub && *sub; sub++)
      if (i-- == 0) return *sub;
  }
  return NULL;
}

const char *cli_second_word(const cli_command *subcommand) {
  return strchr(subcommand->name, ' ') + 1;
}

static bool is_name(const char *name, const char *given) {
  for (; *name && (*name == *given || (*name == ' ' && *given == '-')); name++)
    given++;
  return *name == '\0' && *given == '\0';
}

const cli_command *cli_command_find(const char *name) {
  const cli_command *command;
  for (size_t i = 0; (command = cli_page_at(i)); i++)
    if (is_name(command->name, name)) return command;
  return NULL;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void print_error(const cli *c, const char *kind, const char *text) {
  fflush(stdout);
  fprintf(stderr, "limn%s%s: %s%s\n", c->command ? " " : "", c->command ? c->command->name : "",
          kind, text);
}

int cli_fail(const cli *c, const limn_error *err) {
  if (err->status == LIMN_ERROR_CANCELLED) return CLI_INTERRUPTED;
  print_error(c, "", err->text);
  return err->status == LIMN_ERROR_MEMORY ? CLI_FAILED : CLI_BAD_INPUT;
}

/* limn_error_set takes a format, so a va_list is printed first; it then escapes what a line of
   text must not hold. */
static void print_formatted(const cli *c, const char *kind, const char *format, va_list args) {
  char text[LIMN_ERROR_TEXT_SIZE];
  limn_error err;
  vsnprintf(text, sizeof text, format, args);
  limn_error_set(&err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET, "%s", text);
  print_error(c, kind, err.text);
}

int cli_bad(const cli *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_formatted(c, "", format, args);
  va_end(args);
  return CLI_BAD_INPUT;
}

void cli_note(const cli *c, const char *format, ...) {
  va_list args;
  va_start(args, format);
  print_formatted(c, "note: ", format, args);
  va_end(args);
}

/* The number of single-letter changes from a to b (Levenshtein 1966), row by row. */
static size_t distance(const char *a, const char *b) {
  size_t row[64], n = strlen(b);
  if (n >= 64 || strlen(a) >= 64) return 64;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
      row[j] = change < least ? change : least;
    }
  }
  return row[n];
}

const char *cli_nearest(const char *word, const char *const *words, size_t n) {
  const char *best = NULL;
  size_t least = strlen(word) / 3 + 2; /* a third of the letters may be wrong */
  for (size_t i = 0; i < n; i++) {
    size_t d = distance(word, words[i]);
    if (d >= least) continue;
    least = d;
    best = words[i];
  }
  return best;
}

/* ---- standard streams ------------------------------------------------------------------------ */

/* Where the caller has closed one, the next file that is opened would take its place, and what is
   printed would go there. What takes it here fails as a closed one does. */
static void fill_standard_streams(void) {
  static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY}; /* the wrong ways round */
  for (int fd = 0; fd < 3; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) return;
}

/* ---- signals --------------------------------------------------------------------------------- */

static void on_signal(int number) {
  limn_output_discard_all_on_signal();
  cli_discard_folder();
  if (number != SIGPIPE && cli_has_color() && cli_is_terminal()) {
    ssize_t n = write(STDOUT_FILENO, "\033[0m\n", 5);
    (void)n;
  }
  signal(number, SIG_DFL); /* the shell sees which signal it was */
  raise(number);
}

/* A file that grows beyond what may be written is an error of that write, which has a message. */
static void catch_signals(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  signal(SIGXFSZ, SIG_IGN);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction old;
    /* A signal that the caller chose to ignore (nohup) stays ignored. */
    if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
    /* Not SA_RESETHAND: of two signals in a row, as timeout sends them, the second would find the
       default before the first is blocked, and end the program in front of its handler. */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(numbers[i], &action, NULL);
  }
}

/* ---- running --------------------------------------------------------------------------------- */

/* What stands in stdio's buffer is written here, so that a full disk is not missed. A write that
   failed long ago has left no reason behind; one more attempt fails with the same. */
static int close_output(const cli *c, int status) {
  bool failed = ferror(stdout) != 0;
  errno = 0;
  if (failed) {
    clearerr(stdout);
    putchar('\n');
  }
  if (fflush(stdout) != 0) failed = true;
  int reason = errno;
  if (fclose(stdout) != 0 && !failed) {
    failed = true;
    reason = errno;
  }
  if (!failed || reason == EPIPE || status == CLI_INTERRUPTED) return status;
  return cli_bad(c, "cannot write standard output: %s", reason ? strerror(reason) : "write failed");
}

static int run_command(cli *c, int argc, char **argv) {
  bool is_help;
  if (!cli_parse(c, argc, argv, &is_help)) return CLI_BAD_INPUT;
  if (cli_is_given(c, "color")) cli_set_color(cli_value(c, "color"));
  if (is_help) {
    cli_help_command(stdout, c->command);
    return CLI_OK;
  }
  return c->command->run(c);
}

int cli_no_such_command(const cli *c, const char *name) {
  const char *names[64];
  size_t n = 0;
  for (; n < cli_command_count() && n < 64; n++)
    names[n] = commands[n]->name;
  const char *near = cli_nearest(name, names, n);
  if (near) return cli_bad(c, "no command \"%s\", the nearest is %s", name, near);
  return cli_bad(c, "no command \"%s\", see limn --help", name);
}

static int no_such_subcommand(const cli *c, const char *name) {
  const char *names[64];
  size_t n = 0;
  for (; c->command->subcommands[n] && n < 64; n++)
    names[n] = cli_second_word(c->command->subcommands[n]);
  const char *near = cli_nearest(name, names, n);
  if (near) return cli_bad(c, "no subcommand \"%s\", the nearest is %s", name, near);
  return cli_bad(c, "no subcommand \"%s\", see limn %s --help", name, c->command->name);
}

/* A command that has subcommands does nothing itself. */
static int run_subcommand(cli *c, int argc, char **argv) {
  const char *word = argc > 0 ? argv[0] : NULL;
  if (!word || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
    cli_help_command(word ? stdout : stderr, c->command);
    return word ? CLI_OK : CLI_BAD_INPUT;
  }
  for (const cli_command *const *sub = c->command->subcommands; *sub; sub++) {
    if (strcmp(cli_second_word(*sub), word) != 0) continue;
    c->command = *sub;
    return run_command(c, argc - 1, argv + 1);
  }
  return no_such_subcommand(c, word);
}

/* Options before the command: --help, --version and --color. */
static int run(cli *c, int argc, char **argv) {
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++) {
    const char *word = argv[at];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
      cli_help_overview(stdout);
      return CLI_OK;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
      printf("limn %s\n", limn_version());
      return CLI_OK;
    }
    if (strcmp(word, "--") == 0) continue;
    if (strncmp(word, "--color", 7) != 0 || (word[7] != '=' && word[7] != '\0'))
      return cli_bad(c, "no option %s before the command, see limn --help", word);
    const char *when = word[7] == '=' ? word + 8 : at + 1 < argc ? argv[++at] : "";
    if (strcmp(when, "auto") != 0 && strcmp(when, "always") != 0 && strcmp(when, "never") != 0)
      return cli_bad(c, "option --color has \"%s\", expected auto|always|never", when);
    cli_set_color(when);
  }
  if (at >= argc) {
    cli_help_overview(stderr);
    return CLI_BAD_INPUT;
  }
  c->command = cli_command_find(argv[at]);
  if (!c->command) return cli_no_such_command(c, argv[at]);
  if (c->command->subcommands) return run_subcommand(c, argc - at - 1, argv + at + 1);
  return run_command(c, argc - at - 1, argv + at + 1);
}

int main(int argc, char **argv) {
  fill_standard_streams();
  cli_has_color(); /* decided now: a handler could not ask the environment */
  catch_signals();
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  qsort(commands, cli_command_count(), sizeof *commands, by_place);
  cli c = {0};
  c.arguments = limn_alloc_zeroed((size_t)argc + 1, sizeof *c.arguments);
  c.given = limn_alloc_zeroed((size_t)argc * 2 + 1, sizeof *c.given);
  int status = CLI_FAILED;
  if (c.arguments && c.given)
    status = run(&c, argc, argv);
  else
    cli_bad(&c, "out of memory");
  if (status != CLI_OK) cli_discard_folder();
  status = close_output(&c, status);
  limn_free(c.arguments);
  limn_free(c.given);
  return status;
}
