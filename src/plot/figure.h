/*
 * figure.h - inside the plot library: the page that charts draw on.
 */
#ifndef LIMN_SRC_PLOT_FIGURE_H
#define LIMN_SRC_PLOT_FIGURE_H

#include <cairo.h>
#include <limn/plot.h>

struct limn_figure {
  double width, height;
  cairo_surface_t *record;
  cairo_t *cairo;
};

void limn_plot_set_color(limn_figure *f, limn_color color);
void limn_plot_fill(limn_figure *f, double x, double y, double width, double height);
/* The width that a text takes, and drawing it at an angle (radians, clockwise). */
double limn_plot_text_width(limn_figure *f, double size, const char *text);
/* A title around `middle`, moved and made smaller where it would not fit into the area. */
void limn_plot_title(limn_figure *f, limn_area area, double middle, double size, const char *text);
void limn_plot_text_turned(limn_figure *f, double x, double y, double size, limn_align align,
                           double angle, const char *text);

#endif
