/*
 * terminal.c - what the terminal can show: colour, width, a line of progress.
 *
 * Colour is decided once, by the first that speaks: --color; NO_COLOR (no-color.org: set and not
 * empty means none); CLICOLOR_FORCE (set and not "0" means colour even into a pipe); then whether
 * standard output is a terminal that is not "dumb".
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int n_colors = -1; /* not decided */

static bool is_set(const char *name) {
  const char *value = getenv(name);
  return value && *value;
}

static int colors_of_terminal(void) {
  const char *color = getenv("COLORTERM"), *term = getenv("TERM");
  if (color && (strstr(color, "truecolor") || strstr(color, "24bit"))) return 1 << 24;
  if (term && strstr(term, "direct")) return 1 << 24;
  if (term && strstr(term, "256")) return 256;
  return 16;
}

static bool decide(void) {
  if (is_set("NO_COLOR")) return false;
  const char *force = getenv("CLICOLOR_FORCE");
  if (force && *force && strcmp(force, "0") != 0) return true;
  const char *term = getenv("TERM");
  return cli_is_terminal() && term && strcmp(term, "dumb") != 0;
}

/* A pipe says nothing about the terminal behind it; what reads colour today knows 256 of them. */
static int forced_colors(void) {
  int n = colors_of_terminal();
  return n < 256 ? 256 : n;
}

void cli_set_color(const char *when) {
  if (strcmp(when, "always") == 0)
    n_colors = forced_colors();
  else if (strcmp(when, "never") == 0)
    n_colors = 0;
  else
    n_colors = decide() ? (cli_is_terminal() ? colors_of_terminal() : forced_colors()) : 0;
}

int cli_color_count(void) {
  if (n_colors < 0) cli_set_color("auto");
  return n_colors;
}

bool cli_has_color(void) {
  return cli_color_count() > 0;
}

bool cli_is_terminal(void) {
  return isatty(STDOUT_FILENO) == 1;
}

const char *cli_sgr(cli_style style) {
  static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[2m",
                                      "\033[36m", "\033[32m", "\033[33m"};
  return cli_has_color() ? codes[style] : "";
}

/* The nearest of the 6 x 6 x 6 cube (its levels are 0, 95, 135, 175, 215, 255), or of the 24
   greys, 8 to 238. */
static int nearest_of_256(const int rgb[3]) {
  static const int levels[] = {0, 95, 135, 175, 215, 255};
  int index = 0, error = 0, sum = 0;
  for (int i = 0; i < 3; i++) {
    int best = 0;
    for (int k = 1; k < 6; k++)
      if (abs(levels[k] - rgb[i]) < abs(levels[best] - rgb[i])) best = k;
    index = 6 * index + best;
    error += (levels[best] - rgb[i]) * (levels[best] - rgb[i]);
    sum += rgb[i];
  }
  int step = (sum / 3 - 3) / 10;
  step = step < 0 ? 0 : step > 23 ? 23 : step;
  int grey = 8 + 10 * step, grey_error = 0;
  for (int i = 0; i < 3; i++)
    grey_error += (grey - rgb[i]) * (grey - rgb[i]);
  return grey_error < error ? 232 + step : 16 + index;
}

char *cli_sgr_rgb(char out[24], bool is_background, int r, int g, int b) {
  int base = is_background ? 48 : 38, colors = cli_color_count();
  out[0] = '\0';
  if (colors > 256)
    snprintf(out, 24, "\033[%d;2;%d;%d;%dm", base, r & 255, g & 255, b & 255);
  else if (colors == 256)
    snprintf(out, 24, "\033[%d;5;%dm", base, nearest_of_256((int[3]){r & 255, g & 255, b & 255}));
  return out;
}

int cli_width(void) {
  const char *columns = getenv("COLUMNS");
  int64_t n = 0;
  struct winsize size;
  if (!columns || !limn_parse_int(columns, strlen(columns), &n) || n <= 0 || n > 10000) {
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    n = is_known ? size.ws_col : 80;
  }
  return n < 40 ? 40 : (int)n;
}

/* ---- time ------------------------------------------------------------------------------------ */

double cli_seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- progress -------------------------------------------------------------------------------- */

static double shown_at;
static bool is_shown;

void cli_progress(const char *what, int64_t done, int64_t total) {
  if (isatty(STDERR_FILENO) != 1) return;
  double now = cli_seconds(CLOCK_MONOTONIC);
  if (shown_at > 0 && now - shown_at < 0.1) return;
  shown_at = now;
  is_shown = true;
  if (total > 0)
    fprintf(stderr, "\r\033[K%s %lld of %lld", what, (long long)done, (long long)total);
  else
    fprintf(stderr, "\r\033[K%s %lld", what, (long long)done);
  fflush(stderr);
}

void cli_progress_end(void) {
  if (!is_shown) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  is_shown = false;
}
