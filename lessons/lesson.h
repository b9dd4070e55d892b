/*
 * lesson.h - what the lessons share: a board to write on, and a small main.
 *
 * A lesson is one function that computes and shows. What it shows goes to a board: run alone it is
 * printed here; `limn intro` puts it into its page or its JSON. Everything stands on limn's public
 * headers, so one line builds a lesson against the installed library:
 *
 *   cc 3_attention.c $(pkg-config --cflags --libs limn limn-plot) -lm -o attention
 */
#ifndef LIMN_LESSON_H
#define LIMN_LESSON_H

#include <limn/limn.h>
#include <limn/plot.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The sizes of the notebook: rows of the embedding, width, heads, hidden neurons. */
enum { LESSON_V = 50000, LESSON_D = 8, LESSON_HEADS = 2, LESSON_D_FF = 16 };

/* ---- the board ----------------------------------------------------------------------------------
 */

typedef enum lesson_kind {
  LESSON_RESULT,    /* its name stands for it in limn intro --json */
  LESSON_PARAMETER, /* the same, shown in one line */
  LESSON_ASIDE      /* shown only */
} lesson_kind;

typedef struct lesson_value {
  int line; /* of the lesson's file that shows it */
  lesson_kind kind;
  const char *name, *note;
  limn_tensor values;
} lesson_value;

typedef struct board {
  uint64_t seed;
  limn_error err; /* why the lesson failed */
  void *user;
  void (*show)(struct board *b, const lesson_value *v);
  void (*say)(struct board *b, int line, const char *text);
  /* NULL when nobody looks at pictures. `name` is a file's, without its ending. */
  limn_status (*draw)(struct board *b, int line, const char *name, const char *says,
                      const limn_figure *f);
} board;

typedef struct lesson {
  const char *title;
  limn_status (*teach)(board *b);
} lesson;

/* SHOW(b, "3.A", "attention weights", data, 4, 4): numbers with their name, meaning and shape. */
#define SHOW(b, name, note, data, ...)  LESSON_PUT(b, LESSON_RESULT, name, note, data, __VA_ARGS__)
#define PARAM(b, name, data, ...)       LESSON_PUT(b, LESSON_PARAMETER, name, "", data, __VA_ARGS__)
#define ASIDE(b, name, note, data, ...) LESSON_PUT(b, LESSON_ASIDE, name, note, data, __VA_ARGS__)
#define SHOW_NUMBER(b, name, note, x)                                                              \
  lesson_put(b, __LINE__, LESSON_RESULT, name, note, x, 0, (int64_t[]){0})
/* SAY(b, "the sum is %g", sum): a sentence. */
#define SAY(b, ...) lesson_say(b, __LINE__, __VA_ARGS__)

#define LESSON_PUT(b, kind, name, note, data, ...)                                                 \
  lesson_put(b, __LINE__, kind, name, note, data,                                                  \
             (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static inline void lesson_put(board *b, int line, lesson_kind kind, const char *name,
                              const char *note, float *data, int rank, const int64_t *shape) {
  lesson_value v = {line, kind, name, note, limn_tensor_view(data, rank, shape)};
  b->show(b, &v);
}

static inline void lesson_say(board *b, int line, const char *format, ...) LIMN_PRINTF(3, 4);
static inline void lesson_say(board *b, int line, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  b->say(b, line, text);
}

/* ---- what several lessons show ------------------------------------------------------------------
 */

/* Parameters under PyTorch's names, which begin with `prefix`. */
static inline void lesson_show_linear(board *b, int line, const char *prefix,
                                      const limn_nn_linear *l) {
  char name[96];
  snprintf(name, sizeof name, "%s.weight", prefix);
  lesson_put(b, line, LESSON_PARAMETER, name, "", l->weight, 2, (int64_t[]){l->n_out, l->n_in});
  snprintf(name, sizeof name, "%s.bias", prefix);
  lesson_put(b, line, LESSON_PARAMETER, name, "", l->bias, 1, (int64_t[]){l->n_out});
}

static inline void lesson_show_attention(board *b, int line, const char *prefix,
                                         const limn_nn_attention *a) {
  char name[64];
  int64_t d = a->d_model;
  snprintf(name, sizeof name, "%s.in_proj_weight", prefix);
  lesson_put(b, line, LESSON_PARAMETER, name, "", a->in_weight, 2, (int64_t[]){3 * d, d});
  snprintf(name, sizeof name, "%s.in_proj_bias", prefix);
  lesson_put(b, line, LESSON_PARAMETER, name, "", a->in_bias, 1, (int64_t[]){3 * d});
  snprintf(name, sizeof name, "%s.out_proj", prefix);
  lesson_show_linear(b, line, name, &a->out);
}

/* In an nn.Sequential 0 is the first linear map, 1 the activation, 2 the second map. */
static inline void lesson_show_feed_forward(board *b, int line, const char *prefix,
                                            const limn_nn_feed_forward *f) {
  char name[64];
  snprintf(name, sizeof name, "%s.0", prefix);
  lesson_show_linear(b, line, name, &f->up);
  snprintf(name, sizeof name, "%s.2", prefix);
  lesson_show_linear(b, line, name, &f->down);
}

/* The weights of n queries on n keys as colours, from `low` to `high`; both 0 for their own range.
 */
static inline limn_status lesson_draw_weights(board *b, int line, const char *file,
                                              const char *title, const char *says, float *weights,
                                              int64_t n, double low, double high) {
  static const char *const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
  limn_figure *f;
  if (!b->draw) return LIMN_OK;
  limn_status status = limn_figure_new(310, 265, &f, &b->err);
  if (status != LIMN_OK) return status;
  limn_heat_map map = {.values = limn_tensor_view(weights, 2, (int64_t[]){n, n}),
                       .low = low,
                       .high = high,
                       .title = title,
                       .row_title = "query position",
                       .column_title = "key position",
                       .row_labels = n <= 8 ? numbers : NULL,
                       .column_labels = n <= 8 ? numbers : NULL};
  limn_figure_heat_map(f, (limn_area){10, 10, 292, 246}, &map);
  status = b->draw(b, line, file, says, f);
  limn_figure_free(f);
  return status;
}

/* ---- printing -----------------------------------------------------------------------------------
 */

/* The rows and columns of a value that are shown: the last axis is a row. */
static inline void lesson_extent(const lesson_value *v, int64_t *rows, int64_t *columns) {
  const limn_tensor *t = &v->values;
  int64_t n = limn_tensor_count(t), width = t->rank ? t->shape[t->rank - 1] : 1;
  bool is_brief = v->kind == LESSON_PARAMETER;
  int64_t most = is_brief ? 1 : 10, cut = is_brief ? 3 : 7; /* with "..." in 80 columns */
  *rows = n / width < most ? n / width : most;
  *columns = width <= (is_brief ? 3 : 8) ? width : cut;
}

/* How many decimals its numbers want: none for whole ones, six for small ones. */
static inline int lesson_decimals(const lesson_value *v) {
  double most = 0;
  bool is_whole = true;
  for (int64_t i = 0; i < limn_tensor_count(&v->values); i++) {
    double x = (double)v->values.data[i];
    if (!isfinite(x)) continue;
    is_whole = is_whole && x == floor(x);
    most = fmax(most, fabs(x));
  }
  return is_whole ? 0 : most < 0.05 ? 6 : 4;
}

static inline char *lesson_number(char out[LIMN_NUMBER_SIZE], float x, int decimals) {
  bool is_zero = fabs((double)x) < 0.5 * pow(10, -decimals); /* without a sign, then */
  if (isfinite(x) && fabsf(x) < 1e15f)
    snprintf(out, LIMN_NUMBER_SIZE, "%.*f", decimals, is_zero ? 0 : (double)x);
  else
    limn_format_float(out, x);
  return out;
}

static inline void lesson_print_value(FILE *to, const lesson_value *v) {
  const limn_tensor *t = &v->values;
  char text[LIMN_NUMBER_SIZE], shape[64];
  int decimals = lesson_decimals(v);
  int64_t rows, columns, width = t->rank ? t->shape[t->rank - 1] : 1;
  lesson_extent(v, &rows, &columns);
  limn_shape_text(shape, sizeof shape, t->rank, t->shape);
  if (v->kind == LESSON_PARAMETER)
    fprintf(to, "  %-32s %-8s", v->name, shape);
  else
    fprintf(to, "\n  %s  %s%s%s\n", v->name, shape, *v->note ? "  " : "", v->note);
  for (int64_t row = 0; row < rows; row++) {
    if (t->rank > 2 && row && row % t->shape[t->rank - 2] == 0) fputc('\n', to);
    for (int64_t i = 0; i < columns; i++)
      fprintf(to, " %9s", lesson_number(text, t->data[row * width + i], decimals));
    fputs(columns < width ? " ...\n" : "\n", to);
  }
  int64_t rest = limn_tensor_count(t) / width - rows;
  if (rest > 0 && v->kind != LESSON_PARAMETER)
    fprintf(to, "         ... %lld more rows\n", (long long)rest);
}

/* A sentence in lines of at most `width` columns. */
static inline void lesson_print_text(FILE *to, const char *text, size_t width) {
  size_t at = 0;
  fputs("\n ", to);
  while (*text) {
    size_t n = strcspn(text, " ");
    if (at && at + 1 + n > width - 2) {
      fputs("\n ", to);
      at = 0;
    }
    fprintf(to, " %.*s", (int)n, text);
    at += 1 + n;
    text += n + (text[n] == ' ');
  }
  fputc('\n', to);
}

/* ---- a lesson as a program ----------------------------------------------------------------------
 */

static inline void lesson_show_alone(board *b, const lesson_value *v) {
  (void)b;
  lesson_print_value(stdout, v);
}

static inline void lesson_say_alone(board *b, int line, const char *text) {
  (void)b, (void)line;
  lesson_print_text(stdout, text, 80);
}

static inline limn_status lesson_draw_alone(board *b, int line, const char *name, const char *says,
                                            const limn_figure *f) {
  char path[128];
  (void)line;
  snprintf(path, sizeof path, "%s.png", name);
  printf("\n  %s: %s\n", path, says);
  return limn_figure_write(f, path, &b->err);
}

/* The only argument is a seed; pictures go into the current folder. */
static inline int lesson_main(const lesson *l, int argc, char **argv) {
  board b = {.show = lesson_show_alone, .say = lesson_say_alone, .draw = lesson_draw_alone};
  int64_t seed = 0;
  if (argc > 2 || (argc == 2 && !limn_parse_int(argv[1], strlen(argv[1]), &seed))) {
    fprintf(stderr, "usage: %s [SEED]\n", argv[0]);
    return 2;
  }
  b.seed = (uint64_t)seed;
  printf("%s\n", l->title);
  if (l->teach(&b) == LIMN_OK) return 0;
  fprintf(stderr, "%s: %s\n", argv[0], b.err.text);
  return 2;
}

/* LESSON(3, "its title", function) ends a lesson's file. In limn intro the mains are left out. */
#define LESSON(number, title, function)                                                            \
  extern const lesson lesson_##number;                                                             \
  const lesson lesson_##number = {title, function};                                                \
  LESSON_MAIN(number)
#ifdef LIMN_LESSON_NO_MAIN
#define LESSON_MAIN(number) extern const lesson lesson_##number;
#else
#define LESSON_MAIN(number)                                                                        \
  int main(int argc, char **argv) {                                                                \
    return lesson_main(&lesson_##number, argc, argv);                                              \
  }
#endif

#endif
