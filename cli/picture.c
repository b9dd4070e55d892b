/*
 * picture.c - pictures made of characters.
 *
 * A character cell is about twice as high as wide, so the upper half block, with one colour for its
 * upper half and one for the lower, makes two square pixels. Weights are shown on viridis (Smith
 * and van der Walt 2015), which grows evenly in lightness and reads without colour vision too.
 */
#include "picture.h"

#include <math.h>
#include <string.h>

#define MAX_SIDE    40 /* half of it where panels stand beside each other */
#define MAX_SCALE   4
#define MAX_PER_ROW 16 /* panels beside each other */

typedef struct rgb {
  int r, g, b;
} rgb;

bool cli_has_blocks(void) {
  return cli_color_count() >= 256;
}

/* ---- bars ---------------------------------------------------------------------------------------
 */

const char *cli_hue_sgr(cli_hue hue) {
  static const rgb colors[] = {{86, 156, 214}, {214, 110, 96}, {214, 164, 84}, {108, 184, 120}};
  static char out[24];
  const rgb *c = &colors[hue];
  return cli_sgr_rgb(out, false, c->r, c->g, c->b);
}

void cli_print_bar(double share, int width, cli_hue hue, bool is_filled) {
  static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  double length = share * width;
  int steps = !(length > 0) ? 0 : length > width ? 8 * width : (int)(8 * length + 0.5), at = 0;
  bool is_plain = !cli_has_blocks();
  if (is_plain) steps = (steps + 4) / 8 * 8;
  if (steps) fputs(cli_hue_sgr(hue), stdout);
  for (; at < steps / 8; at++)
    fputs(is_plain ? "#" : "█", stdout);
  if (steps % 8) {
    fputs(eighths[steps % 8], stdout);
    at++;
  }
  if (steps) fputs(cli_sgr(CLI_PLAIN), stdout);
  if (is_filled) printf("%*s", width - at, "");
}

/* Block characters grow from the left only, so a bar to the left ends at a half at best. */
static void print_left_bar(double length, int width) {
  int halves = !(length > 0) ? 0 : length > width ? 2 * width : (int)(2 * length + 0.5);
  bool is_plain = !cli_has_blocks();
  if (is_plain) halves = (halves + 1) / 2 * 2;
  printf("%*s", width - (halves + 1) / 2, "");
  if (halves) fputs(cli_hue_sgr(CLI_HUE_NEGATIVE), stdout);
  if (halves % 2) fputs("▐", stdout);
  for (int i = 0; i < halves / 2; i++)
    fputs(is_plain ? "-" : "█", stdout);
  if (halves) fputs(cli_sgr(CLI_PLAIN), stdout);
}

void cli_print_signed_bar(double x, int left) {
  print_left_bar(x < 0 ? -x : 0, left);
  printf("%s%s%s", cli_sgr(CLI_DIM), cli_has_blocks() ? "│" : "|", cli_sgr(CLI_PLAIN));
  int right = x > 0 && x < 1000 ? (int)ceil(x) : 0;
  if (right) cli_print_bar(x / right, right, CLI_HUE_SHARE, false);
}

/* ---- colour maps --------------------------------------------------------------------------------
 */

static rgb mix(rgb a, rgb b, double t) {
  return (rgb){(int)(a.r + (b.r - a.r) * t + 0.5), (int)(a.g + (b.g - a.g) * t + 0.5),
               (int)(a.b + (b.b - a.b) * t + 0.5)};
}

/* Viridis at ten even steps, straight lines between. */
static rgb viridis(double x) {
  static const rgb steps[] = {{68, 1, 84},    {72, 40, 120},  {62, 74, 137},  {49, 104, 142},
                              {38, 130, 142}, {31, 158, 137}, {53, 183, 121}, {110, 206, 88},
                              {181, 222, 43}, {253, 231, 37}};
  double at = x <= 0 ? 0 : x >= 1 ? 9 : 9 * x;
  int i = at >= 9 ? 8 : (int)at;
  return mix(steps[i], steps[i + 1], at - i);
}

static rgb grey(double x) {
  return mix((rgb){48, 48, 54}, (rgb){236, 236, 236}, x < 0 ? 0 : x > 1 ? 1 : x);
}

static char shade(double x) {
  static const char shades[] = ".:-=+*%#@";
  int i = (int)(x * 9);
  return shades[i < 0 ? 0 : i > 8 ? 8 : i];
}

/* ---- one panel ----------------------------------------------------------------------------------
 */

typedef struct cells {
  double value[MAX_SIDE * MAX_SIDE]; /* (side, side), scaled to 0 ... 1; negative where masked */
  double most;                       /* the largest weight behind the first column */
} cells;

/* Which keys (or queries) [first, end) stand in column (row) i: token 0 has a column of its own. */
static void bin_of(int i, int side, int n, bool is_key, int *first, int *end) {
  if (is_key && i == 0) {
    *first = 0;
    *end = 1;
    return;
  }
  int skip = is_key ? 1 : 0, bins = side - skip, items = n - skip;
  *first = skip + (int)((int64_t)(i - skip) * items / bins);
  *end = skip + (int)((int64_t)(i - skip + 1) * items / bins);
}

/* The weight that a row's queries give to a column's keys, a mean over those queries that see any
   of them: rows still add up to 1. Negative where none does. */
static double pooled(const limn_tensor *pattern, int row, int column, int side) {
  int n = (int)pattern->shape[0], queries[2], keys[2], count = 0;
  double sum = 0;
  bin_of(row, side, n, false, &queries[0], &queries[1]);
  bin_of(column, side, n, true, &keys[0], &keys[1]);
  for (int query = queries[0]; query < queries[1]; query++) {
    count += query >= keys[0];
    for (int key = keys[0]; key < keys[1] && key <= query; key++)
      sum += (double)*limn_tensor_at(pattern, (int64_t[]){query, key});
  }
  return count ? sum / (queries[1] - queries[0]) : -1;
}

static void fill_cells(const limn_tensor *pattern, int side, cells *out) {
  out->most = 0;
  for (int row = 0; row < side; row++) {
    for (int column = 0; column < side; column++) {
      double x = pooled(pattern, row, column, side);
      out->value[row * side + column] = x;
      if (column > 0 && x > out->most) out->most = x;
    }
  }
  for (int i = 0; i < side * side; i++)
    if (i % side && out->value[i] > 0 && out->most > 0) out->value[i] /= out->most;
}

/* ---- drawing ------------------------------------------------------------------------------------
 */

static rgb color_of(double value, int column) {
  return column == 0 ? grey(value) : viridis(value);
}

/* Two pixels above each other, either of them masked (negative). */
static void print_blocks(double upper, double lower, int column, int times) {
  char front[24] = "", back[24] = "";
  const char *block = upper >= 0 ? "▀" : lower >= 0 ? "▄" : " ";
  rgb c = color_of(upper >= 0 ? upper : lower, column), d = color_of(lower, column);
  if (upper >= 0 || lower >= 0) cli_sgr_rgb(front, false, c.r, c.g, c.b);
  if (upper >= 0 && lower >= 0) cli_sgr_rgb(back, true, d.r, d.g, d.b);
  printf("%s%s", front, back);
  for (int i = 0; i < times; i++)
    fputs(block, stdout);
  if (*front) fputs(cli_sgr(CLI_PLAIN), stdout);
}

/* Line `line` of a panel in colour: half lines 2 * line and 2 * line + 1. */
static void print_color_line(const cli_wall *w, const cells *c, int line) {
  int rows[2] = {2 * line / w->scale, (2 * line + 1) / w->scale};
  for (int column = 0; column < w->side; column++) {
    double upper = rows[0] < w->side ? c->value[rows[0] * w->side + column] : -1;
    double lower = rows[1] < w->side ? c->value[rows[1] * w->side + column] : -1;
    print_blocks(upper, lower, column, w->scale);
  }
}

static void print_plain_line(const cli_wall *w, const cells *c, int line) {
  for (int column = 0; column < w->side; column++) {
    double x = c->value[line * w->side + column];
    char mark = x < 0 ? ' ' : shade(x);
    for (int i = 0; i < w->scale; i++)
      fputc(mark, stdout);
    if (column == 0) fputc('|', stdout);
  }
}

static int panel_width(const cli_wall *w) {
  return w->side * w->scale + (cli_has_blocks() ? 0 : 1);
}

static void print_captions(const cli_wall *w, const cli_panel *panels, const cells *c, int n) {
  fputs("  ", stdout);
  for (int i = 0; i < n; i++) {
    char most[16];
    int at = (int)strlen(panels[i].caption), width = panel_width(w);
    snprintf(most, sizeof most, "%.2f", c[i].most);
    fputs(panels[i].caption, stdout);
    bool has_room = at + 5 <= width + 1 && w->n > 1;
    if (has_room) {
      printf("%s %s%s", cli_sgr(CLI_DIM), c[i].most < 1 ? most + 1 : most, cli_sgr(CLI_PLAIN));
      at += 1 + (c[i].most < 1 ? 3 : 4);
    }
    if (i + 1 < n) printf("%*s", width + 2 > at ? width + 2 - at : 1, "");
  }
  fputc('\n', stdout);
}

static void print_panel_row(const cli_wall *w, const cli_panel *panels, int n) {
  static cells c[MAX_PER_ROW]; /* 200 kB: much for a stack */
  int lines = cli_has_blocks() ? (w->side * w->scale + 1) / 2 : w->side;
  for (int i = 0; i < n; i++)
    fill_cells(&panels[i].pattern, w->side, &c[i]);
  print_captions(w, panels, c, n);
  for (int line = 0; line < lines; line++) {
    for (int i = 0; i < n; i++) {
      fputs("  ", stdout);
      if (cli_has_blocks())
        print_color_line(w, &c[i], line);
      else
        print_plain_line(w, &c[i], line);
    }
    fputc('\n', stdout);
  }
}

/* ---- the wall -----------------------------------------------------------------------------------
 */

static int least_of(int a, int b) {
  return a < b ? a : b;
}

/* The room that a panel has for its cells. */
static int room_for(int per_row, int width) {
  return width / per_row - (cli_has_blocks() ? 2 : 3);
}

/* All heads of a layer beside each other where that leaves the panels legible, else in rows of
   about the same length. */
static int heads_per_row(int n, int n_heads, int width) {
  int legible = n_heads > 8 ? 6
                : n < 6     ? 6
                            : least_of(n, 10),
      most = least_of(n_heads, MAX_PER_ROW);
  int per_row = most;
  while (per_row > 1 && room_for(per_row, width) < legible)
    per_row--;
  int rows = (n_heads + per_row - 1) / per_row;
  return (n_heads + rows - 1) / rows;
}

cli_wall cli_plan_wall(int n, int n_heads, int width) {
  int per_row = heads_per_row(n, n_heads, width), room = room_for(per_row, width);
  int cap = n_heads == 1 ? MAX_SIDE : n_heads > 8 ? MAX_SIDE / 4 : MAX_SIDE / 2;
  int side = least_of(n, least_of(room, cap)), scale = 1;
  if (side < 1) side = 1;
  int most = n_heads == 1 || !cli_has_blocks() ? 40 : 14; /* alone it may be large */
  while (scale < MAX_SCALE && (scale + 1) * side <= least_of(most, room))
    scale++;
  if (!cli_has_blocks() && scale > 2) scale = 2;
  if (scale * side < 6) scale = least_of(6 / side, MAX_SCALE); /* room for a caption */
  return (cli_wall){.side = side, .scale = scale, .per_row = per_row, .n = n};
}

void cli_print_wall(const cli_wall *w, const cli_panel *panels, int n_panels) {
  for (int i = 0; i < n_panels; i += w->per_row)
    print_panel_row(w, panels + i, n_panels - i < w->per_row ? n_panels - i : w->per_row);
}

static void print_ramp(bool is_first_column) {
  char color[24];
  for (int i = 0; i < 10; i++) {
    double x = i / 9.0;
    rgb c = is_first_column ? grey(x) : viridis(x);
    if (cli_has_blocks())
      printf("%s█", cli_sgr_rgb(color, false, c.r, c.g, c.b));
    else if (i < 9)
      fputc(shade(x), stdout);
  }
  fputs(cli_sgr(CLI_PLAIN), stdout);
}

void cli_print_wall_legend(void) {
  fputs("  first key 0 ", stdout);
  print_ramp(true);
  fputs(cli_width() < 68 ? " 1\n  other keys 0 " : " 1    other keys 0 ", stdout);
  print_ramp(false);
  fputs(" the number above\n", stdout);
}
