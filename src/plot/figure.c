/*
 * figure.c - a page that remembers what is drawn on it, and plays it back to a file of any format.
 *
 * Cairo records the drawing in vectors; writing replays the record on a surface for pixels, SVG or
 * PDF. The bytes pass through limn_output, so that a figure is whole or not there.
 */
#include "plot/figure.h"

#include <cairo-pdf.h>
#include <cairo-svg.h>
#include <limn/io.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PIXELS_PER_POINT 2.0

/* ---- the page -----------------------------------------------------------------------------------
 */

limn_status limn_figure_new(double width, double height, limn_figure **out, limn_error *err) {
  *out = NULL;
  if (!(width > 0 && width <= 20000 && height > 0 && height <= 20000))
    return limn_error_set(err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                          "a figure of %g x %g points, expected sizes above 0 and up to 20000",
                          width, height);
  limn_figure *f = limn_alloc_zeroed(1, sizeof *f);
  if (!f) return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory for a figure");
  const cairo_rectangle_t page = {0, 0, width, height};
  f->width = width;
  f->height = height;
  f->record = cairo_recording_surface_create(CAIRO_CONTENT_COLOR_ALPHA, &page);
  f->cairo = cairo_create(f->record);
  if (cairo_status(f->cairo) != CAIRO_STATUS_SUCCESS) {
    limn_figure_free(f);
    return limn_error_set(err, LIMN_ERROR_MEMORY, LIMN_NO_OFFSET, "no memory for a figure");
  }
  cairo_select_font_face(f->cairo, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                         CAIRO_FONT_WEIGHT_NORMAL);
  /* Widths as the font has them, not rounded to pixels that the page does not have. */
  cairo_font_options_t *options = cairo_font_options_create();
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
  cairo_set_font_options(f->cairo, options);
  cairo_font_options_destroy(options);
  limn_plot_set_color(f, (limn_color){1, 1, 1});
  cairo_paint(f->cairo);
  *out = f;
  return LIMN_OK;
}

void limn_figure_free(limn_figure *f) {
  if (!f) return;
  cairo_destroy(f->cairo);
  cairo_surface_destroy(f->record);
  limn_free(f);
}

void limn_plot_set_color(limn_figure *f, limn_color color) {
  cairo_set_source_rgb(f->cairo, color.red, color.green, color.blue);
}

void limn_plot_fill(limn_figure *f, double x, double y, double width, double height) {
  cairo_rectangle(f->cairo, x, y, width, height);
  cairo_fill(f->cairo);
}

/* ---- text ---------------------------------------------------------------------------------------
 */

/* The length of the well-formed character at `text`, 0 where there is none (Unicode Standard, table
   3-7). */
static size_t character_length(const unsigned char *text) {
  static const unsigned char least[] = {0x80, 0xa0, 0x80, 0x90};
  size_t n = text[0] < 0x80   ? 1
             : text[0] < 0xc2 ? 0
             : text[0] < 0xe0 ? 2
             : text[0] < 0xf0 ? 3
             : text[0] < 0xf5 ? 4
                              : 0;
  for (size_t i = 1; i < n; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  if (n == 3 && text[0] == 0xe0 && text[1] < least[1]) return 0;
  if (n == 3 && text[0] == 0xed && text[1] >= 0xa0) return 0;
  if (n == 4 && text[0] == 0xf0 && text[1] < least[3]) return 0;
  if (n == 4 && text[0] == 0xf4 && text[1] >= 0x90) return 0;
  return n;
}

/* A copy that cairo takes: one line of valid UTF-8. Cut to fit. */
static void make_drawable(const char *text, char *out, size_t size) {
  size_t used = 0;
  while (*text && used + 5 < size) {
    const unsigned char *at = (const unsigned char *)text;
    size_t n = character_length(at);
    if (n == 0 || *at < 0x20 || *at == 0x7f) {
      used += (size_t)snprintf(out + used, size - used, "\\x%02x", *at);
      text++;
    } else {
      memcpy(out + used, text, n);
      used += n;
      text += n;
    }
  }
  out[used] = '\0';
}

double limn_plot_text_width(limn_figure *f, double size, const char *text) {
  char drawable[512];
  cairo_text_extents_t extents;
  make_drawable(text, drawable, sizeof drawable);
  cairo_set_font_size(f->cairo, size);
  cairo_text_extents(f->cairo, drawable, &extents);
  return extents.x_advance;
}

void limn_plot_text_turned(limn_figure *f, double x, double y, double size, limn_align align,
                           double angle, const char *text) {
  char drawable[512];
  double width = limn_plot_text_width(f, size, text);
  make_drawable(text, drawable, sizeof drawable);
  cairo_save(f->cairo);
  cairo_translate(f->cairo, x, y);
  cairo_rotate(f->cairo, angle);
  cairo_move_to(f->cairo,
                align == LIMN_ALIGN_LEFT    ? 0
                : align == LIMN_ALIGN_RIGHT ? -width
                                            : -width / 2,
                0);
  cairo_show_text(f->cairo, drawable);
  cairo_restore(f->cairo);
}

void limn_figure_text(limn_figure *f, double x, double y, double size, limn_align align,
                      const char *text) {
  limn_plot_set_color(f, (limn_color){0.13, 0.13, 0.15});
  limn_plot_text_turned(f, x, y, size, align, 0, text);
}

void limn_plot_title(limn_figure *f, limn_area area, double middle, double size, const char *text) {
  double width = limn_plot_text_width(f, size, text), right = area.x + area.width;
  double drawn = width > area.width ? size * area.width / width : size;
  width = fmin(width, area.width);
  middle = fmax(fmin(middle, right - width / 2), area.x + width / 2);
  limn_figure_text(f, middle, area.y + size, drawn, LIMN_ALIGN_CENTER, text);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

typedef struct sink {
  limn_output *out;
  limn_error *err;
  limn_status status;
} sink;

static cairo_status_t write_bytes(void *closure, const unsigned char *bytes, unsigned int n) {
  sink *s = closure;
  if (s->status == LIMN_OK) s->status = limn_output_write(s->out, bytes, n, s->err);
  return s->status == LIMN_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static void replay(const limn_figure *f, cairo_surface_t *to, double scale) {
  cairo_t *cairo = cairo_create(to);
  cairo_scale(cairo, scale, scale);
  cairo_set_source_surface(cairo, f->record, 0, 0);
  cairo_paint(cairo);
  cairo_destroy(cairo);
}

static cairo_status_t write_png(const limn_figure *f, sink *s) {
  int width = (int)ceil(f->width * PIXELS_PER_POINT),
      height = (int)ceil(f->height * PIXELS_PER_POINT);
  cairo_surface_t *image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
  replay(f, image, PIXELS_PER_POINT);
  cairo_status_t status = cairo_surface_status(image);
  if (status == CAIRO_STATUS_SUCCESS)
    status = cairo_surface_write_to_png_stream(image, write_bytes, s);
  cairo_surface_destroy(image);
  return status;
}

static cairo_status_t write_vectors(const limn_figure *f, sink *s, bool is_svg) {
  cairo_surface_t *page =
      is_svg ? cairo_svg_surface_create_for_stream(write_bytes, s, f->width, f->height)
             : cairo_pdf_surface_create_for_stream(write_bytes, s, f->width, f->height);
  replay(f, page, 1);
  cairo_surface_finish(page);
  cairo_status_t status = cairo_surface_status(page);
  cairo_surface_destroy(page);
  return status;
}

static bool ends_in(const char *path, const char *ending) {
  size_t n = strlen(path), m = strlen(ending);
  return n >= m && strcmp(path + n - m, ending) == 0;
}

limn_status limn_figure_write(const limn_figure *f, const char *path, limn_error *err) {
  bool is_png = ends_in(path, ".png"), is_svg = ends_in(path, ".svg");
  sink s = {.err = err};
  if (!is_png && !is_svg && !ends_in(path, ".pdf"))
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "figure \"%s\", expected a name that ends in .png, .svg or .pdf", path);
  limn_status status = limn_output_open(path, &s.out, err);
  if (status != LIMN_OK) return status;
  cairo_status_t drawn = cairo_status(f->cairo); /* what was drawn so far may be incomplete */
  if (drawn == CAIRO_STATUS_SUCCESS)
    drawn = is_png ? write_png(f, &s) : write_vectors(f, &s, is_svg);
  if (drawn == CAIRO_STATUS_SUCCESS && s.status == LIMN_OK) return limn_output_commit(s.out, err);
  limn_output_discard(s.out);
  if (s.status != LIMN_OK) return s.status;
  /* What libpng complains about, with writing left to limn, is memory. */
  bool is_memory = drawn == CAIRO_STATUS_NO_MEMORY || drawn == CAIRO_STATUS_PNG_ERROR;
  return limn_error_set(err, is_memory ? LIMN_ERROR_MEMORY : LIMN_ERROR_IO, LIMN_NO_OFFSET,
                        "cannot draw \"%s\": %s", path, cairo_status_to_string(drawn));
}
