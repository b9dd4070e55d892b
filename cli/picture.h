/*
 * picture.h - pictures made of characters: bars, and walls of small heat maps.
 *
 * With 256 colours or more they are drawn in colour and with block characters; otherwise (a pipe,
 * --color never, an old terminal) in plain ASCII.
 */
#ifndef LIMN_CLI_PICTURE_H
#define LIMN_CLI_PICTURE_H

#include "cli.h"

typedef enum cli_hue {
  CLI_HUE_SHARE,    /* a probability, blue */
  CLI_HUE_NEGATIVE, /* red */
  CLI_HUE_AMBER,
  CLI_HUE_GREEN
} cli_hue;

/* Whether there are colours enough for block characters. */
bool cli_has_blocks(void);
/* The escape sequence that starts a hue, "" without colours. Borrowed until the next call. */
const char *cli_hue_sgr(cli_hue hue);
/* A share from 0 to 1 as a bar of at most `width` columns, filled up with spaces to it when
   `is_filled`. */
void cli_print_bar(double share, int width, cli_hue hue, bool is_filled);
/* A bar of |x| columns to the right of a line that stands behind `left` columns, or to its left. */
void cli_print_signed_bar(double x, int left);

/* One heat map of attention (query, key), and what stands above it. */
typedef struct cli_panel {
  limn_tensor pattern;
  char caption[32];
} cli_panel;

/* How a wall of panels is laid out. */
typedef struct cli_wall {
  int side;    /* rows and columns of cells in a panel; below n the pattern is pooled */
  int scale;   /* columns, and half lines, of a cell */
  int per_row; /* panels beside each other */
  int n;       /* tokens */
} cli_wall;

/* For panels of n tokens, n_heads of which belong together, in `width` columns. */
cli_wall cli_plan_wall(int n, int n_heads, int width);
/*
 * Prints panels in rows. The first key's column is drawn on a scale of its own, from 0 to 1 in
 * grey, the others from 0 to the panel's largest weight among them, which is added to the caption.
 */
void cli_print_wall(const cli_wall *w, const cli_panel *panels, int n_panels);
/* The legend's two colour ramps, each with the words for its ends. */
void cli_print_wall_legend(void);

#endif
