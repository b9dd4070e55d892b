/*
 * Figures, read back: cairo decodes the PNG files, and pixels are held against the colours that the
 * numbers stand for.
 */
#include "check.h"

#include <cairo.h>
#include <limn/io.h>
#include <limn/plot.h>
#include <math.h>
#include <stdlib.h>

static limn_figure *new_figure(double width, double height) {
  limn_error err;
  limn_figure *f;
  CHECK_OK(limn_figure_new(width, height, &f, &err), err);
  return f;
}

static cairo_surface_t *read_back(const limn_figure *f) {
  limn_error err;
  char folder[256], path[300];
  make_folder(folder);
  snprintf(path, sizeof path, "%s/figure.png", folder);
  CHECK_OK(limn_figure_write(f, path, &err), err);
  cairo_surface_t *image = cairo_image_surface_create_from_png(path);
  assert_int_equal(cairo_surface_status(image), CAIRO_STATUS_SUCCESS);
  remove_folder(folder);
  return image;
}

/* The pixel at a point of the page: PNG has two a point. */
static limn_color pixel(cairo_surface_t *image, double x, double y) {
  cairo_surface_flush(image);
  const unsigned char *data = cairo_image_surface_get_data(image);
  size_t stride = (size_t)cairo_image_surface_get_stride(image);
  uint32_t value;
  memcpy(&value, data + (size_t)(2 * y) * stride + (size_t)(2 * x) * 4, sizeof value);
  return (limn_color){(value >> 16 & 255) / 255.0, (value >> 8 & 255) / 255.0,
                      (value & 255) / 255.0};
}

/* Eight bits a channel: half a step of rounding. */
static bool is_color(limn_color a, limn_color b) {
  return fabs(a.red - b.red) < 0.005 && fabs(a.green - b.green) < 0.005 &&
         fabs(a.blue - b.blue) < 0.005;
}

static const limn_color white = {1, 1, 1};

/* ---- colours ------------------------------------------------------------------------------------
 */

static void color_maps(void **state) {
  (void)state;
  const limn_color dark = {68 / 255.0, 1 / 255.0, 84 / 255.0};
  const limn_color light = {253 / 255.0, 231 / 255.0, 37 / 255.0};
  assert_true(is_color(limn_color_at(LIMN_MAP_VIRIDIS, 0), dark));
  assert_true(is_color(limn_color_at(LIMN_MAP_VIRIDIS, -INFINITY), dark));
  assert_true(is_color(limn_color_at(LIMN_MAP_VIRIDIS, 1), light));
  assert_true(is_color(limn_color_at(LIMN_MAP_VIRIDIS, 7), light));
  assert_true(is_color(limn_color_at(LIMN_MAP_DIVERGING, 0.5), white));
  double last = -1;
  for (int i = 0; i <= 100; i++) {
    limn_color c = limn_color_at(LIMN_MAP_VIRIDIS, i / 100.0);
    double light_of_it = 0.2126 * c.red + 0.7152 * c.green + 0.0722 * c.blue;
    assert_true(light_of_it > last); /* lightness only grows */
    last = light_of_it;
  }
  limn_color grey = limn_color_at(LIMN_MAP_GREY, NAN);
  assert_true(grey.red == grey.green && grey.green == grey.blue);
}

/* ---- heat maps ----------------------------------------------------------------------------------
 */

static void cells_have_their_colours(void **state) {
  (void)state;
  float values[6] = {0, 0.5f, 1, 1, 0, 0.25f};
  limn_heat_map m = {.values = limn_tensor_view(values, 2, (int64_t[]){2, 3}), .has_no_bar = true};
  limn_figure *f = new_figure(90, 60);
  limn_figure_heat_map(f, (limn_area){0, 0, 90, 60}, &m);
  cairo_surface_t *image = read_back(f);
  assert_int_equal(cairo_image_surface_get_width(image), 180);
  assert_int_equal(cairo_image_surface_get_height(image), 120);
  for (int row = 0; row < 2; row++)
    for (int column = 0; column < 3; column++)
      assert_true(is_color(pixel(image, 30 * column + 15, 30 * row + 15),
                           limn_color_at(LIMN_MAP_VIRIDIS, (double)values[3 * row + column])));
  cairo_surface_destroy(image);
  limn_figure_free(f);
}

/* Strided values, an empty upper triangle, the first column apart, a scale from the rest alone. */
static void attention_maps(void **state) {
  (void)state;
  float values[9] = {1, 9, 9, 0.75f, 0.2f, 9, 0.5f, 0.1f, 0.4f};
  limn_heat_map m = {.values = limn_tensor_view(values, 2, (int64_t[]){3, 3}),
                     .is_causal = true,
                     .first_is_apart = true,
                     .has_no_bar = true};
  limn_figure *f = new_figure(90, 90);
  limn_figure_heat_map(f, (limn_area){0, 0, 90, 90}, &m);
  cairo_surface_t *image = read_back(f);
  assert_true(is_color(pixel(image, 45, 15), white));
  assert_true(is_color(pixel(image, 75, 45), white));
  assert_true(is_color(pixel(image, 15, 45), limn_color_at(LIMN_MAP_GREY, 0.75)));
  assert_true(is_color(pixel(image, 45, 75), limn_color_at(LIMN_MAP_VIRIDIS, 0)));
  assert_true(is_color(pixel(image, 75, 75), limn_color_at(LIMN_MAP_VIRIDIS, 1)));
  cairo_surface_destroy(image);
  limn_figure_free(f);
}

/* Beyond some thousand cells: the same picture, and no file of many megabytes. */
static void many_cells(void **state) {
  (void)state;
  enum { N = 150 };
  float *values = malloc(N * N * sizeof *values);
  for (int i = 0; i < N * N; i++)
    values[i] = (float)(i % N) / (float)(i / N + 1);
  limn_heat_map m = {.values = limn_tensor_view(values, 2, (int64_t[]){N, N}),
                     .is_causal = true,
                     .first_is_apart = true,
                     .low = 0,
                     .high = 1,
                     .has_no_bar = true};
  limn_figure *f = new_figure(150, 300);
  limn_figure_heat_map(f, (limn_area){0, 0, 150, 300}, &m);
  cairo_surface_t *image = read_back(f);
  for (int row = 0; row < N; row++)
    for (int column = 0; column < N; column++) {
      double value = (double)values[row * N + column];
      limn_color_map map = column ? LIMN_MAP_VIRIDIS : LIMN_MAP_GREY;
      limn_color wanted = column > row ? white : limn_color_at(map, value);
      for (double at = 0.1; at < 1; at += 0.5)
        assert_true(is_color(pixel(image, column + at, 2 * (row + at)), wanted));
    }
  cairo_surface_destroy(image);
  char folder[256], path[300], *text;
  size_t n;
  limn_error err;
  make_folder(folder);
  snprintf(path, sizeof path, "%s/figure.svg", folder);
  CHECK_OK(limn_figure_write(f, path, &err), err);
  CHECK_OK(limn_file_read(path, 0, &text, &n, &err), err);
  assert_true(n < 200000);
  limn_free(text);
  remove_folder(folder);
  limn_figure_free(f);
  free(values);
}

static void diverging_maps_are_symmetric(void **state) {
  (void)state;
  float values[3] = {-1, 0, 4};
  limn_heat_map m = {.values = limn_tensor_view(values, 2, (int64_t[]){1, 3}),
                     .map = LIMN_MAP_DIVERGING,
                     .has_no_bar = true};
  limn_figure *f = new_figure(90, 30);
  limn_figure_heat_map(f, (limn_area){0, 0, 90, 30}, &m);
  cairo_surface_t *image = read_back(f);
  assert_true(is_color(pixel(image, 45, 15), white));
  assert_true(is_color(pixel(image, 15, 15), limn_color_at(LIMN_MAP_DIVERGING, 0.375)));
  assert_true(is_color(pixel(image, 75, 15), limn_color_at(LIMN_MAP_DIVERGING, 1)));
  cairo_surface_destroy(image);
  limn_figure_free(f);
}

/* ---- bars and lines -----------------------------------------------------------------------------
 */

static int count(cairo_surface_t *image, double y, limn_color color) {
  int n = 0;
  for (int x = 0; x < cairo_image_surface_get_width(image); x++)
    n += is_color(pixel(image, x / 2.0, y), color);
  return n;
}

/* The lengths of bars are to each other as the numbers are. */
static void bars_are_as_long_as_their_numbers(void **state) {
  (void)state;
  const double values[3] = {4, -2, 1};
  const char *const labels[3] = {"a", "b", "c"};
  limn_bar_chart b = {.values = values, .labels = labels, .n = 3};
  limn_figure *f = new_figure(300, 60);
  limn_figure_bars(f, (limn_area){0, 0, 300, 60}, &b);
  cairo_surface_t *image = read_back(f);
  const limn_color blue = {0.22, 0.49, 0.72}, red = {0.84, 0.40, 0.35};
  /* Each bar's ends and the axis hide up to two columns of pixels, and so four times that. */
  int one = count(image, 50, blue);
  assert_true(one > 40);
  assert_true(abs(count(image, 10, blue) - 4 * one) <= 12);
  assert_true(abs(count(image, 30, red) - 2 * one) <= 8);
  assert_int_equal(count(image, 30, blue), 0);
  cairo_surface_destroy(image);
  limn_figure_free(f);
}

static void lines_pass_through_their_points(void **state) {
  (void)state;
  float values[2][5] = {{0, 0, 0, 0, 0}, {1, 1, NAN, 1, 1}};
  limn_line_chart l = {.y = limn_tensor_view(&values[0][0], 2, (int64_t[]){2, 5})};
  limn_figure *f = new_figure(300, 200);
  limn_figure_lines(f, (limn_area){0, 0, 300, 200}, &l);
  cairo_surface_t *image = read_back(f);
  const limn_color first = {0, 0.45, 0.70}, second = {0.84, 0.37, 0};
  int widest[2] = {0, 0}, row[2] = {0, 0};
  for (int y = 0; y < 400; y++) {
    int n[2] = {count(image, y / 2.0, first), count(image, y / 2.0, second)};
    for (int k = 0; k < 2; k++) {
      if (n[k] <= widest[k]) continue;
      widest[k] = n[k];
      row[k] = y;
    }
  }
  assert_true(row[0] > row[1] + 200);              /* 0 lies below 1 */
  assert_true(widest[0] > 460);                    /* the whole width of the axes, 242 points */
  assert_true(widest[1] > 200 && widest[1] < 280); /* without the two steps beside NaN */
  cairo_surface_destroy(image);
  limn_figure_free(f);
}

/* The row of pixels, of 400, in which a level line at 5 lies. */
static int row_of_level_line(bool has_zero) {
  float values[1][3] = {{5, 5, 5}};
  limn_line_chart l = {.y = limn_tensor_view(&values[0][0], 2, (int64_t[]){1, 3}),
                       .has_zero = has_zero};
  limn_figure *f = new_figure(300, 200);
  limn_figure_lines(f, (limn_area){0, 0, 300, 200}, &l);
  cairo_surface_t *image = read_back(f);
  int row = 0;
  while (row < 400 && count(image, row / 2.0, (limn_color){0, 0.45, 0.70}) < 400)
    row++;
  cairo_surface_destroy(image);
  limn_figure_free(f);
  return row;
}

/* From 5 to 6 the line lies at the bottom, from 0 to 5 at the top. */
static void axes_reach_to_zero_when_asked(void **state) {
  (void)state;
  int alone = row_of_level_line(false), above_zero = row_of_level_line(true);
  assert_true(alone > 300 && alone < 400);
  assert_true(above_zero < 60);
}

/* ---- what is written stays in its place ---------------------------------------------------------
 */

static bool is_white(cairo_surface_t *image, double x, double top, double bottom) {
  for (double y = top; y < bottom; y += 0.5)
    if (!is_color(pixel(image, x, y), white)) return false;
  return true;
}

/* A title is moved, and made smaller, before it leaves the area. */
static void titles_stay_inside(void **state) {
  (void)state;
  float value = 1;
  static const char *const titles[] = {"as wide as the area is, about",
                                       "much wider than the area is, so that it has to be smaller"};
  for (int i = 0; i < 2; i++) {
    limn_heat_map m = {.values = limn_tensor_view(&value, 2, (int64_t[]){1, 1}),
                       .title = titles[i]};
    limn_figure *f = new_figure(260, 100);
    limn_figure_heat_map(f, (limn_area){40, 10, 180, 80}, &m);
    cairo_surface_t *image = read_back(f);
    for (double x = 0; x < 38; x += 0.5)
      assert_true(is_white(image, x, 0, 100) && is_white(image, 222 + x, 0, 100));
    assert_false(is_white(image, 42, 10, 24) && is_white(image, 46, 10, 24)); /* it is there */
    cairo_surface_destroy(image);
    limn_figure_free(f);
  }
}

/* However long the numbers of the axis are, they do not reach its title. */
static void long_numbers_make_room(void **state) {
  (void)state;
  float values[3] = {0, 1, 2};
  for (float scale = 1; scale < 1e9f; scale *= 10) {
    float scaled[3] = {values[0] * scale, values[1] * scale, -values[2] * scale};
    limn_line_chart l = {.y = limn_tensor_view(scaled, 2, (int64_t[]){1, 3}), .y_title = "number"};
    limn_figure *f = new_figure(300, 200);
    limn_figure_lines(f, (limn_area){10, 0, 280, 200}, &l);
    cairo_surface_t *image = read_back(f);
    assert_true(is_white(image, 23.5, 0, 200));
    assert_false(is_white(image, 16, 0, 200)); /* the title */
    cairo_surface_destroy(image);
    limn_figure_free(f);
  }
}

/* ---- files --------------------------------------------------------------------------------------
 */

static void draw_everything(limn_figure *f) {
  static float values[12] = {0, 1, NAN, INFINITY, -INFINITY, 2, 3, 4, 5, 6, 7, 8};
  static const char *const labels[4] = {"\xff\xfe", "日本語", "tab\there", "\xed\xa0\x80"};
  static const double numbers[4] = {1, -2, 0, 3};
  limn_tensor t = limn_tensor_view(values, 2, (int64_t[]){3, 4});
  limn_heat_map m = {.values = t,
                     .title = "title",
                     .row_title = "rows",
                     .column_title = "columns",
                     .row_labels = labels,
                     .column_labels = labels};
  limn_bar_chart b = {.values = numbers, .labels = labels, .n = 4, .title = "\x01", .unit = " %"};
  limn_line_chart l = {.y = t, .legends = labels, .title = "lines", .x_title = "x", .y_title = "y"};
  limn_figure_heat_map(f, (limn_area){0, 0, 200, 200}, &m);
  limn_figure_bars(f, (limn_area){200, 0, 200, 200}, &b);
  limn_figure_lines(f, (limn_area){0, 200, 400, 200}, &l);
  limn_figure_text(f, 200, 390, 10, LIMN_ALIGN_CENTER, "");
}

static void formats(void **state) {
  (void)state;
  static const struct {
    const char *name, *magic;
  } rows[] = {{"a.png", "\x89PNG\r\n"}, {"a.svg", "<?xml"}, {"a.pdf", "%PDF-"}};
  char folder[256], path[300], *bytes;
  size_t n;
  limn_error err;
  limn_figure *f = new_figure(400, 400);
  draw_everything(f);
  make_folder(folder);
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, rows[i].name);
    CHECK_OK(limn_figure_write(f, path, &err), err);
    CHECK_OK(limn_file_read(path, 0, &bytes, &n, &err), err);
    assert_true(n > 2000);
    assert_memory_equal(bytes, rows[i].magic, strlen(rows[i].magic));
    limn_free(bytes);
  }
  remove_folder(folder);
  limn_figure_free(f);
}

static void refused(void **state) {
  (void)state;
  limn_error err;
  limn_figure *f;
  CHECK_FAILS(limn_figure_new(0, 10, &f, &err), LIMN_ERROR_RANGE, err, "0 x 10 points");
  assert_null(f);
  CHECK_FAILS(limn_figure_new(10, NAN, &f, &err), LIMN_ERROR_RANGE, err, "points");
  CHECK_FAILS(limn_figure_new(10, 1e9, &f, &err), LIMN_ERROR_RANGE, err, "20000");
  f = new_figure(20, 20);
  CHECK_FAILS(limn_figure_write(f, "figure.gif", &err), LIMN_ERROR_ARGUMENT, err,
              "figure \"figure.gif\", expected a name that ends in .png, .svg or .pdf");
  CHECK_FAILS(limn_figure_write(f, "/nowhere/at/all.png", &err), LIMN_ERROR_NOT_FOUND, err,
              "/nowhere/at/all.png");
  limn_figure_free(f);
  limn_figure_free(NULL);
}

static void without_memory(void **state) {
  (void)state;
  char folder[256], path[300];
  make_folder(folder);
  snprintf(path, sizeof path, "%s/a.svg", folder);
  for (int64_t k = 0;; k++) {
    limn_error err;
    limn_figure *f = NULL;
    fail_allocation(k);
    limn_status status = limn_figure_new(50, 50, &f, &err);
    if (status == LIMN_OK) status = limn_figure_write(f, path, &err);
    limn_figure_free(f);
    assert_int_equal(allocations_live(), 0);
    if (status == LIMN_OK) break;
    assert_int_equal(status, LIMN_ERROR_MEMORY);
  }
  limn_allocator_set(NULL);
  remove_folder(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(color_maps),
                                     cmocka_unit_test(cells_have_their_colours),
                                     cmocka_unit_test(attention_maps),
                                     cmocka_unit_test(many_cells),
                                     cmocka_unit_test(diverging_maps_are_symmetric),
                                     cmocka_unit_test(bars_are_as_long_as_their_numbers),
                                     cmocka_unit_test(lines_pass_through_their_points),
                                     cmocka_unit_test(axes_reach_to_zero_when_asked),
                                     cmocka_unit_test(titles_stay_inside),
                                     cmocka_unit_test(long_numbers_make_room),
                                     cmocka_unit_test(formats),
                                     cmocka_unit_test(refused),
                                     cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
