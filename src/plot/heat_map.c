/*
 * heat_map.c - a matrix as colours, row 0 at the top, with a bar that says what they mean.
 */
#include "plot/figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TITLE_SIZE 11.0
#define LABEL_SIZE 9.0
#define BAR_WIDTH  10.0

/* Where the cells lie, and what their colours mean. */
typedef struct layout {
  const limn_heat_map *m;
  int64_t rows, columns;
  double x, y, width, height; /* of all cells */
  bool is_turned;             /* column labels, where they are wider than a column */
  double low, high;
} layout;

static bool is_empty(const limn_heat_map *m, int64_t row, int64_t column) {
  return m->is_causal && column > row;
}

static double value_at(const limn_heat_map *m, int64_t row, int64_t column) {
  return (double)*limn_tensor_at(&m->values, (int64_t[]){row, column});
}

static void find_scale(layout *l) {
  double least = INFINITY, most = -INFINITY;
  l->low = l->m->low;
  l->high = l->m->high;
  if (l->low < l->high) return;
  for (int64_t row = 0; row < l->rows; row++) {
    for (int64_t column = l->m->first_is_apart; column < l->columns; column++) {
      double x = value_at(l->m, row, column);
      if (is_empty(l->m, row, column) || !isfinite(x)) continue;
      least = x < least ? x : least;
      most = x > most ? x : most;
    }
  }
  if (!(least <= most)) least = most = 0;
  if (l->m->map == LIMN_MAP_DIVERGING) {
    most = fmax(fabs(least), fabs(most));
    least = -most;
  }
  l->low = least;
  l->high = most > least ? most : least + 1;
}

static double longest_label(limn_figure *f, const char *const *labels, int64_t n) {
  double longest = 0;
  for (int64_t i = 0; labels && i < n; i++)
    longest = fmax(longest, limn_plot_text_width(f, LABEL_SIZE, labels[i]));
  return longest;
}

/* Titles, labels and the bar take what they need; the cells get the rest. */
static void find_place(limn_figure *f, limn_area area, layout *l) {
  const limn_heat_map *m = l->m;
  double left = longest_label(f, m->row_labels, l->rows) + (m->row_labels ? 6 : 0);
  double label = longest_label(f, m->column_labels, l->columns);
  double above = m->title ? TITLE_SIZE + 8 : 0, right = m->has_no_bar ? 0 : BAR_WIDTH + 50;
  if (m->row_title) left += LABEL_SIZE + 6;
  left = fmin(left, area.width / 2);
  l->x = area.x + left;
  l->y = area.y + above;
  l->width = fmax(area.width - left - right, 1);
  l->is_turned = label + 6 > l->width / (double)l->columns;
  double below = m->column_labels ? (l->is_turned ? label : LABEL_SIZE) + 6 : 0;
  if (m->column_title) below += LABEL_SIZE + 6;
  below = fmin(below, area.height / 2);
  l->height = fmax(area.height - above - below, 1);
}

static limn_color color_of(const layout *l, int64_t row, int64_t column) {
  double value = value_at(l->m, row, column), x = (value - l->low) / (l->high - l->low);
  bool is_apart = l->m->first_is_apart && column == 0;
  return is_apart ? limn_color_at(LIMN_MAP_GREY, value) : limn_color_at(l->m->map, x);
}

static void draw_cell(limn_figure *f, const layout *l, int64_t row, int64_t column) {
  limn_color color = color_of(l, row, column);
  double width = l->width / (double)l->columns, height = l->height / (double)l->rows;
  double left = l->x + (double)column * width, top = l->y + (double)row * height;
  /* A little under the neighbours that are drawn later: programs that show an SVG leave seams. */
  bool goes_right = column + 1 < l->columns && !is_empty(l->m, row, column + 1);
  bool goes_down = row + 1 < l->rows;
  limn_plot_set_color(f, color);
  limn_plot_fill(f, left, top, width + (goes_right ? 0.4 : 0), height + (goes_down ? 0.4 : 0));
  const char *label = l->m->cell_labels ? l->m->cell_labels[row * l->columns + column] : NULL;
  if (!label) return;
  double light = 0.3 * color.red + 0.6 * color.green + 0.1 * color.blue, size = LABEL_SIZE;
  double wide = limn_plot_text_width(f, size, label);
  if (wide > width - 4) size *= (width - 4) / wide;
  limn_plot_set_color(f, light > 0.55 ? (limn_color){0.1, 0.1, 0.1} : (limn_color){1, 1, 1});
  if (size >= 2)
    limn_plot_text_turned(f, left + width / 2, top + height / 2 + size * 0.35, size,
                          LIMN_ALIGN_CENTER, 0, label);
}

static void draw_cells(limn_figure *f, const layout *l) {
  /* Neighbouring cells must meet without a light seam. */
  cairo_set_antialias(f->cairo, CAIRO_ANTIALIAS_NONE);
  for (int64_t row = 0; row < l->rows; row++)
    for (int64_t column = 0; column < l->columns; column++)
      if (!is_empty(l->m, row, column)) draw_cell(f, l, row, column);
  cairo_set_antialias(f->cairo, CAIRO_ANTIALIAS_DEFAULT);
}

/*
 * A rectangle takes some 400 bytes of SVG, so that 256 tokens in 24 heads would take hundreds of
 * megabytes. Many cells become one image, with a few pixels to each, so that it stays sharp.
 */
enum { MANY_CELLS = 4096, MOST_PIXELS = 8192 };

static bool is_image(const layout *l) {
  return !l->m->cell_labels && l->rows * l->columns > MANY_CELLS && l->rows <= MOST_PIXELS &&
         l->columns <= MOST_PIXELS;
}

static uint32_t pixel_of(const layout *l, int64_t row, int64_t column) {
  if (is_empty(l->m, row, column)) return 0;
  limn_color c = color_of(l, row, column);
  return 0xff000000u | (uint32_t)lround(c.red * 255) << 16 | (uint32_t)lround(c.green * 255) << 8 |
         (uint32_t)lround(c.blue * 255);
}

static void fill_image(const layout *l, cairo_surface_t *image, int64_t zoom) {
  unsigned char *data = cairo_image_surface_get_data(image);
  int64_t stride = cairo_image_surface_get_stride(image);
  for (int64_t y = 0; y < l->rows * zoom; y++)
    for (int64_t x = 0; x < l->columns * zoom; x++) {
      uint32_t pixel = pixel_of(l, y / zoom, x / zoom);
      memcpy(data + y * stride + x * 4, &pixel, sizeof pixel);
    }
}

static void draw_image(limn_figure *f, const layout *l) {
  double width = l->width / (double)l->columns, height = l->height / (double)l->rows;
  int64_t most = l->rows > l->columns ? l->rows : l->columns;
  int64_t zoom = (int64_t)ceil(2 * fmax(width, height));
  if (zoom > MOST_PIXELS / most) zoom = MOST_PIXELS / most;
  cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, (int)(l->columns * zoom),
                                                      (int)(l->rows * zoom));
  cairo_surface_flush(image);
  if (cairo_surface_status(image) == CAIRO_STATUS_SUCCESS) fill_image(l, image, zoom);
  cairo_surface_mark_dirty(image);
  cairo_save(f->cairo);
  cairo_translate(f->cairo, l->x, l->y);
  cairo_scale(f->cairo, width / (double)zoom, height / (double)zoom);
  cairo_set_source_surface(f->cairo, image, 0, 0); /* an image that failed fails the figure */
  /* Cells smaller than a pixel of the PNG (two a point) are averaged, else thin lines get lost. */
  bool is_tiny = fmin(width, height) < 0.5;
  cairo_pattern_set_filter(cairo_get_source(f->cairo),
                           is_tiny ? CAIRO_FILTER_GOOD : CAIRO_FILTER_NEAREST);
  cairo_paint(f->cairo);
  cairo_restore(f->cairo);
  cairo_surface_destroy(image);
}

static void draw_labels(limn_figure *f, const layout *l) {
  const limn_heat_map *m = l->m;
  double width = l->width / (double)l->columns, height = l->height / (double)l->rows;
  double size = fmin(LABEL_SIZE, fmin(width, height) * 1.2);
  limn_plot_set_color(f, (limn_color){0.13, 0.13, 0.15});
  for (int64_t i = 0; m->row_labels && i < l->rows; i++)
    limn_plot_text_turned(f, l->x - 4, l->y + ((double)i + 0.5) * height + size * 0.35, size,
                          LIMN_ALIGN_RIGHT, 0, m->row_labels[i]);
  for (int64_t i = 0; m->column_labels && i < l->columns; i++) {
    double middle = l->x + ((double)i + 0.5) * width, bottom = l->y + l->height + 4;
    if (l->is_turned)
      limn_plot_text_turned(f, middle + size * 0.35, bottom, size, LIMN_ALIGN_RIGHT, -M_PI / 2,
                            m->column_labels[i]);
    else
      limn_plot_text_turned(f, middle, bottom + size, size, LIMN_ALIGN_CENTER, 0,
                            m->column_labels[i]);
  }
}

static void draw_titles(limn_figure *f, limn_area area, const layout *l) {
  const limn_heat_map *m = l->m;
  double middle = l->x + l->width / 2;
  if (m->title) limn_plot_title(f, area, middle, TITLE_SIZE, m->title);
  if (m->column_title)
    limn_figure_text(f, middle, area.y + area.height - 2, LABEL_SIZE, LIMN_ALIGN_CENTER,
                     m->column_title);
  if (m->row_title)
    limn_plot_text_turned(f, area.x + LABEL_SIZE, l->y + l->height / 2, LABEL_SIZE,
                          LIMN_ALIGN_CENTER, -M_PI / 2, m->row_title);
}

static void draw_bar(limn_figure *f, const layout *l) {
  const int steps = 64;
  double x = l->x + l->width + 10;
  cairo_set_antialias(f->cairo, CAIRO_ANTIALIAS_NONE);
  for (int i = 0; i < steps; i++) {
    limn_plot_set_color(f, limn_color_at(l->m->map, 1 - (i + 0.5) / steps));
    limn_plot_fill(f, x, l->y + l->height * i / steps, BAR_WIDTH, l->height / steps + 0.5);
  }
  cairo_set_antialias(f->cairo, CAIRO_ANTIALIAS_DEFAULT);
  for (int i = 0; i <= 2; i++) {
    char number[32];
    snprintf(number, sizeof number, "%.3g", l->low + (l->high - l->low) * i / 2);
    limn_figure_text(f, x + BAR_WIDTH + 4,
                     l->y + l->height * (2 - i) / 2 +
                         (i == 0   ? 0
                          : i == 1 ? 3
                                   : 7),
                     LABEL_SIZE, LIMN_ALIGN_LEFT, number);
  }
}

void limn_figure_heat_map(limn_figure *f, limn_area area, const limn_heat_map *m) {
  layout l = {.m = m, .rows = m->values.shape[0], .columns = m->values.shape[1]};
  if (m->values.rank != 2 || l.rows < 1 || l.columns < 1) return;
  find_scale(&l);
  find_place(f, area, &l);
  if (is_image(&l))
    draw_image(f, &l);
  else
    draw_cells(f, &l);
  if (!m->has_no_bar) draw_bar(f, &l);
  draw_labels(f, &l);
  draw_titles(f, area, &l);
}
