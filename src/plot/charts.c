/*
 * charts.c - horizontal bars, and lines with a legend.
 */
#include "plot/figure.h"

#include <math.h>
#include <stdio.h>

#define TITLE_SIZE 11.0
#define LABEL_SIZE 9.0

static const limn_color ink = {0.13, 0.13, 0.15}, faint = {0.82, 0.82, 0.84};

static void draw_line(limn_figure *f, double x0, double y0, double x1, double y1) {
  cairo_set_line_width(f->cairo, 0.7);
  cairo_move_to(f->cairo, x0, y0);
  cairo_line_to(f->cairo, x1, y1);
  cairo_stroke(f->cairo);
}

static void draw_title(limn_figure *f, limn_area area, const char *title) {
  if (title) limn_plot_title(f, area, area.x + area.width / 2, TITLE_SIZE, title);
}

/* ---- bars ---------------------------------------------------------------------------------------
 */

static void number_text(const limn_bar_chart *b, size_t i, char out[64]) {
  snprintf(out, 64, "%.*f%s", b->decimals, b->values[i], b->unit ? b->unit : "");
}

void limn_figure_bars(limn_figure *f, limn_area area, const limn_bar_chart *b) {
  double left = 0, number = 0, least = 0, most = 0, above = b->title ? TITLE_SIZE + 10 : 0;
  char text[64];
  for (size_t i = 0; i < b->n; i++) {
    double x = isfinite(b->values[i]) ? b->values[i] : 0;
    number_text(b, i, text);
    left = fmax(left, limn_plot_text_width(f, LABEL_SIZE, b->labels[i]));
    number = fmax(number, limn_plot_text_width(f, LABEL_SIZE, text));
    least = fmin(least, x);
    most = fmax(most, x);
  }
  left = fmin(left, area.width / 2);
  double before = least < 0 ? number + 12 : 8; /* the axis, or the numbers of negative bars */
  double room = area.width - left - before - number - 12,
         unit = most > least ? room / (most - least) : 0;
  double zero = area.x + left + before - least * unit;
  double height = (area.height - above) / (double)(b->n ? b->n : 1);
  for (size_t i = 0; i < b->n; i++) {
    double x = isfinite(b->values[i]) ? b->values[i] : 0, top = area.y + above + (double)i * height;
    double length = fabs(x) * unit, base = top + height / 2 + LABEL_SIZE * 0.35;
    bool is_negative = x < 0;
    limn_plot_set_color(f, is_negative ? (limn_color){0.84, 0.40, 0.35}
                                       : (limn_color){0.22, 0.49, 0.72});
    limn_plot_fill(f, is_negative ? zero - length : zero, top + height * 0.12, length,
                   height * 0.76);
    limn_figure_text(f, area.x + left, base, LABEL_SIZE, LIMN_ALIGN_RIGHT, b->labels[i]);
    number_text(b, i, text);
    limn_figure_text(f, is_negative ? zero - length - 4 : zero + length + 4, base, LABEL_SIZE,
                     is_negative ? LIMN_ALIGN_RIGHT : LIMN_ALIGN_LEFT, text);
  }
  limn_plot_set_color(f, ink);
  draw_line(f, zero, area.y + above, zero, area.y + area.height);
  draw_title(f, area, b->title);
}

/* ---- lines --------------------------------------------------------------------------------------
 */

typedef struct axes {
  limn_area area; /* of the curves */
  double x_low, x_high, y_low, y_high;
} axes;

static double x_of(const limn_line_chart *l, int64_t i) {
  return l->x ? l->x[i] : (double)i;
}

static double y_of(const limn_line_chart *l, int64_t line, int64_t i) {
  return (double)*limn_tensor_at(&l->y, (int64_t[]){line, i});
}

/* 1, 2 or 5 times a power of ten, for about five steps over `range`. */
static double tick_step(double range) {
  double rough = range / 5, power = pow(10, floor(log10(rough))), ratio = rough / power;
  return power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static double longest_legend(limn_figure *f, const limn_line_chart *l) {
  double longest = 0;
  for (int64_t line = 0; l->legends && line < l->y.shape[0]; line++)
    longest = fmax(longest, limn_plot_text_width(f, LABEL_SIZE, l->legends[line]));
  return longest;
}

static void y_number(double y, double step, char out[32]) {
  snprintf(out, 32, "%.6g", fabs(y) < step / 1e6 ? 0 : y);
}

static double longest_number(limn_figure *f, const axes *a) {
  double step = tick_step(a->y_high - a->y_low), longest = 0;
  char number[32];
  for (double y = ceil(a->y_low / step) * step; y <= a->y_high; y += step) {
    y_number(y, step, number);
    longest = fmax(longest, limn_plot_text_width(f, LABEL_SIZE, number));
  }
  return longest;
}

static axes find_axes(limn_figure *f, limn_area area, const limn_line_chart *l) {
  int64_t n_lines = l->y.shape[0], n = l->y.shape[1];
  axes a = {.x_low = x_of(l, 0), .x_high = x_of(l, n - 1), .y_low = INFINITY, .y_high = -INFINITY};
  for (int64_t line = 0; line < n_lines; line++) {
    for (int64_t i = 0; i < n; i++) {
      double y = y_of(l, line, i);
      if (!isfinite(y)) continue;
      a.y_low = fmin(a.y_low, y);
      a.y_high = fmax(a.y_high, y);
    }
  }
  if (!(a.y_low <= a.y_high)) a.y_low = a.y_high = 0;
  if (l->has_zero && a.y_low > 0) a.y_low = 0;
  if (l->has_zero && a.y_high < 0) a.y_high = 0;
  if (a.y_high == a.y_low) a.y_high = a.y_low + 1;
  if (a.x_high <= a.x_low) a.x_high = a.x_low + 1;
  double margin = 0.04 * (a.y_high - a.y_low), above = l->title ? TITLE_SIZE + 10 : 4;
  double right = l->legends ? fmin(longest_legend(f, l) + 32, area.width / 2) : 10;
  a.y_low -= margin;
  a.y_high += margin;
  double left = longest_number(f, &a) + (l->y_title ? LABEL_SIZE + 12 : 6);
  left = fmin(fmax(left, 48), area.width / 2);
  a.area = (limn_area){area.x + left, area.y + above, area.width - left - right,
                       area.height - above - LABEL_SIZE * (l->x_title ? 3.6 : 2)};
  return a;
}

static double page_x(const axes *a, double x) {
  return a->area.x + (x - a->x_low) / (a->x_high - a->x_low) * a->area.width;
}

static double page_y(const axes *a, double y) {
  return a->area.y + (a->y_high - y) / (a->y_high - a->y_low) * a->area.height;
}

static void draw_axes(limn_figure *f, const axes *a, bool is_counted) {
  char number[32];
  double step = tick_step(a->y_high - a->y_low), bottom = a->area.y + a->area.height;
  for (double y = ceil(a->y_low / step) * step; y <= a->y_high; y += step) {
    y_number(y, step, number);
    limn_plot_set_color(f, faint);
    draw_line(f, a->area.x, page_y(a, y), a->area.x + a->area.width, page_y(a, y));
    limn_figure_text(f, a->area.x - 5, page_y(a, y) + 3, LABEL_SIZE, LIMN_ALIGN_RIGHT, number);
  }
  step = tick_step(a->x_high - a->x_low);
  if (is_counted && step < 1) step = 1;
  for (double x = ceil(a->x_low / step) * step; x <= a->x_high; x += step) {
    snprintf(number, sizeof number, "%.4g", fabs(x) < step / 1e6 ? 0 : x);
    limn_plot_set_color(f, faint);
    draw_line(f, page_x(a, x), a->area.y, page_x(a, x), bottom);
    limn_figure_text(f, page_x(a, x), bottom + LABEL_SIZE + 4, LABEL_SIZE, LIMN_ALIGN_CENTER,
                     number);
  }
}

static void draw_curve(limn_figure *f, const axes *a, const limn_line_chart *l, int64_t line) {
  bool is_down = false;
  for (int64_t i = 0; i < l->y.shape[1]; i++) {
    double y = y_of(l, line, i);
    if (!isfinite(y)) {
      is_down = false;
      continue;
    }
    if (is_down)
      cairo_line_to(f->cairo, page_x(a, x_of(l, i)), page_y(a, y));
    else
      cairo_move_to(f->cairo, page_x(a, x_of(l, i)), page_y(a, y));
    is_down = true;
  }
  cairo_set_line_width(f->cairo, 1.4);
  cairo_stroke(f->cairo);
}

/* Okabe and Ito 2008: told apart without colour vision too. */
static limn_color line_color(int64_t line) {
  static const limn_color colors[] = {{0.00, 0.45, 0.70}, {0.84, 0.37, 0.00}, {0.00, 0.62, 0.45},
                                      {0.80, 0.47, 0.65}, {0.90, 0.62, 0.00}, {0.34, 0.71, 0.91},
                                      {0.35, 0.35, 0.35}};
  return colors[line % 7];
}

void limn_figure_lines(limn_figure *f, limn_area area, const limn_line_chart *l) {
  if (l->y.rank != 2 || l->y.shape[0] < 1 || l->y.shape[1] < 1) return;
  axes a = find_axes(f, area, l);
  draw_axes(f, &a, !l->x);
  for (int64_t line = 0; line < l->y.shape[0]; line++) {
    double top = a.area.y + 8 + (double)line * (LABEL_SIZE + 5), x = a.area.x + a.area.width + 10;
    limn_plot_set_color(f, line_color(line));
    draw_curve(f, &a, l, line);
    if (!l->legends) continue;
    limn_plot_fill(f, x, top - 4, 14, 2);
    limn_figure_text(f, x + 18, top, LABEL_SIZE, LIMN_ALIGN_LEFT, l->legends[line]);
  }
  draw_title(f, area, l->title);
  if (l->x_title)
    limn_figure_text(f, a.area.x + a.area.width / 2, area.y + area.height - 3, LABEL_SIZE,
                     LIMN_ALIGN_CENTER, l->x_title);
  if (l->y_title)
    limn_plot_text_turned(f, area.x + LABEL_SIZE, a.area.y + a.area.height / 2, LABEL_SIZE,
                          LIMN_ALIGN_CENTER, -M_PI / 2, l->y_title);
}
