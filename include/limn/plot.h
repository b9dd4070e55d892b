/*
 * limn/plot.h - figures: line plots, heat maps and bar charts as PNG, SVG or PDF.
 *
 * A library of its own (liblimn-plot, on cairo), so that programs that draw nothing do not load it.
 * A figure is a page in points; charts are drawn into areas of it. Text is UTF-8; bytes that are
 * not, and control characters, are drawn as \xNN. Drawing cannot fail: what goes wrong is told by
 * limn_figure_write.
 */
#ifndef LIMN_PLOT_H
#define LIMN_PLOT_H

#include <limn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct limn_figure limn_figure;

/* A rectangle of the page, in points from its upper left corner. */
typedef struct limn_area {
  double x, y, width, height;
} limn_area;

typedef struct limn_color {
  double red, green, blue; /* 0 to 1 */
} limn_color;

/* ---- the page ---------------------------------------------------------------------------------
 */

/* An empty white page. RANGE: a size that is not in (0, 20000]; MEMORY. */
LIMN_API limn_status limn_figure_new(double width, double height, limn_figure **out,
                                     limn_error *err);
LIMN_API void limn_figure_free(limn_figure *f);

/*
 * Writes the page in the format that the path ends in: ".png" (two pixels a point), ".svg" or
 * ".pdf". As with limn_output the file appears whole or not at all. May be called again. ARGUMENT:
 * another ending; NOT_FOUND, IO, MEMORY.
 */
LIMN_API limn_status limn_figure_write(const limn_figure *f, const char *path, limn_error *err);

typedef enum limn_align { LIMN_ALIGN_LEFT = 0, LIMN_ALIGN_CENTER, LIMN_ALIGN_RIGHT } limn_align;

/* One line of text with its baseline at (x, y). */
LIMN_API void limn_figure_text(limn_figure *f, double x, double y, double size, limn_align align,
                               const char *text);

/* ---- colour maps ------------------------------------------------------------------------------
 */

typedef enum limn_color_map {
  LIMN_MAP_VIRIDIS = 0, /* for 0 to 1 and other amounts */
  LIMN_MAP_DIVERGING,   /* for signed values: blue below the middle, white, red above */
  LIMN_MAP_GREY         /* dark to light */
} limn_color_map;

/* The colour at x in [0, 1]; beyond it the ends', for NaN a light grey. */
LIMN_API limn_color limn_color_at(limn_color_map map, double x);

/* ---- charts -----------------------------------------------------------------------------------
 */

/* All zero but `values` is a heat map with a colour bar. Labels and titles may be NULL. */
typedef struct limn_heat_map {
  limn_tensor values; /* (rows, columns), strided; row 0 at the top */
  limn_color_map map;
  double low, high; /* the map's ends; both 0: the least and largest value, the diverging map
                       symmetric about 0 */
  const char *title;
  const char *row_title, *column_title;
  const char *const *row_labels;    /* (rows) */
  const char *const *column_labels; /* (columns) */
  const char *const *cell_labels;   /* (rows, columns) written into the cells */
  bool is_causal;      /* cells with column > row are empty, and no part of the scale */
  bool first_is_apart; /* column 0 in grey from 0 to 1, and no part of the scale */
  bool has_no_bar;     /* no colour bar */
} limn_heat_map;

LIMN_API void limn_figure_heat_map(limn_figure *f, limn_area area, const limn_heat_map *m);

/* Horizontal bars from 0, to the left where negative, each with its number. */
typedef struct limn_bar_chart {
  const double *values;      /* (n) */
  const char *const *labels; /* (n) */
  size_t n;
  const char *title;
  int decimals;     /* of the numbers beside the bars */
  const char *unit; /* written behind them, or NULL */
} limn_bar_chart;

LIMN_API void limn_figure_bars(limn_figure *f, limn_area area, const limn_bar_chart *b);

/* Lines over a common x, with a legend. */
typedef struct limn_line_chart {
  const double *x;            /* (n), ascending; NULL: 0, 1, 2 ... */
  limn_tensor y;              /* (n_lines, n), strided; what is not finite leaves a gap */
  const char *const *legends; /* (n_lines), or NULL */
  const char *title, *x_title, *y_title;
  bool has_zero; /* the y axis reaches to 0, however far off the lines are */
} limn_line_chart;

LIMN_API void limn_figure_lines(limn_figure *f, limn_area area, const limn_line_chart *l);

#ifdef __cplusplus
}
#endif
#endif
