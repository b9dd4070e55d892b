/*
 * bench_curve.c - limn bench --curve: how both speeds change as a text grows.
 *
 * Attention looks at all positions before, so that a token costs more the further back its text
 * reaches: its scores and mixed values take multiply-adds in a prompt, its keys and values are read
 * when tokens are made one by one. At each point a whole prompt of n tokens is run, and the last
 * few of a text of n tokens one by one; for the latter the session is cut back from a text that
 * fills the context. The points take turns, so that what else the machine does hits all alike.
 */
#include "bench.h"
#include "folder.h"

enum { N_ENDING = 16 /* tokens that are decoded at a point, at most */ };

static const int usual_points[] = {16, 32, 64, 128, 256, 384, 512, 640, 768, 896, 1024};
enum { N_USUAL = sizeof usual_points / sizeof *usual_points, MOST_POINTS = N_USUAL + 1 };

typedef struct point {
  int n, n_ending;
  bench_time *prefills, *decodes; /* (n_repeats) */
  bench_rate prefill, decode;
} point;

typedef struct curve {
  bench *b;
  point points[MOST_POINTS];
  int n_points;
  bench_time *times; /* of all points */
} curve;

/* ---- running ----------------------------------------------------------------------------------
 */

static void add_point(curve *k, int n) {
  point *p = &k->points[k->n_points++];
  bench_time *at = k->times + (size_t)(2 * (k->n_points - 1)) * (size_t)k->b->n_repeats;
  *p = (point){.n = n, .n_ending = n < N_ENDING ? n : N_ENDING, .prefills = at};
  p->decodes = at + k->b->n_repeats;
}

/* The usual points that the context has room for, and the context itself. */
static limn_status plan(curve *k, limn_error *err) {
  int n_ctx = limn_model_config(k->b->m.model)->n_ctx;
  size_t n_times = 2 * MOST_POINTS * (size_t)k->b->n_repeats;
  k->times = limn_alloc_zeroed(n_times, sizeof *k->times);
  if (!k->times) return cli_no_memory(err);
  for (int i = 0; i < N_USUAL && usual_points[i] < n_ctx; i++)
    add_point(k, usual_points[i]);
  add_point(k, n_ctx);
  return LIMN_OK;
}

/* The decoding points from the longest text to the shortest: cutting goes one way. */
static limn_status run_decodes(curve *k, int repeat, limn_error *err) {
  bench_time unused = {0};
  limn_status status = bench_prefill(k->b, k->points[k->n_points - 1].n, &unused, err);
  for (int i = k->n_points - 1; i >= 0 && status == LIMN_OK; i--) {
    point *p = &k->points[i];
    limn_session_truncate(k->b->session, p->n - p->n_ending);
    status = bench_decode(k->b, p->n - p->n_ending, p->n_ending, &p->decodes[repeat], err);
  }
  return status;
}

static limn_status run_points(curve *k, limn_error *err) {
  bench *b = k->b;
  bench_time unused = {0};
  limn_status status = bench_prefill(b, k->points[k->n_points - 1].n, &unused, err);
  for (int repeat = 0; repeat < b->n_repeats && status == LIMN_OK; repeat++) {
    cli_progress("run", repeat + 1, b->n_repeats);
    for (int i = 0; i < k->n_points && status == LIMN_OK; i++)
      status = bench_prefill(b, k->points[i].n, &k->points[i].prefills[repeat], err);
    if (status == LIMN_OK) status = run_decodes(k, repeat, err);
  }
  cli_progress_end();
  for (int i = 0; i < k->n_points && status == LIMN_OK; i++) {
    point *p = &k->points[i];
    p->prefill = bench_rate_of(b, p->prefills, b->n_repeats, p->n);
    p->decode = bench_rate_of(b, p->decodes, b->n_repeats, p->n_ending);
  }
  return status;
}

/* ---- showing -----------------------------------------------------------------------------------
 */

static void print_columns(const char *a, const char *b, const char *c, const char *d,
                          const char *e) {
  printf("%s%10s %12s %14s %12s %14s%s\n", cli_sgr(CLI_BOLD), a, b, c, d, e, cli_sgr(CLI_PLAIN));
}

static void print_curve(const curve *k) {
  const limn_model *model = k->b->m.model;
  printf("weights %s, compute %s, %s, %d thread%s, median of %d, tokens/s\n\n",
         limn_model_weights(model), limn_model_compute(model), limn_model_kernels(model),
         limn_pool_size(k->b->m.pool), cli_plural(limn_pool_size(k->b->m.pool)), k->b->n_repeats);
  print_columns("", "prefill", "by processor", "decode", "by processor");
  print_columns("positions", "of them all", "time", "of the last", "time");
  for (int i = 0; i < k->n_points; i++) {
    const point *p = &k->points[i];
    char a[32], b[32], c[32], d[32];
    printf("%10d %12s %14s %12s %14s\n", p->n, bench_rate_text(a, p->prefill.median),
           bench_rate_text(b, p->prefill.by_processor), bench_rate_text(c, p->decode.median),
           bench_rate_text(d, p->decode.by_processor));
  }
}

static void write_point_rate(limn_json *j, const char *key, int n, bench_rate r) {
  limn_json_key(j, key);
  limn_json_begin_inline_object(j);
  cli_json_int(j, "n_tokens", n);
  bench_write_rate(j, r);
  limn_json_end_object(j);
}

static void write_json(const void *user, limn_json *j) {
  const curve *k = user;
  const limn_model *model = k->b->m.model;
  limn_json_begin_object(j);
  cli_json_text(j, "model", k->b->m.folder);
  cli_json_int(j, "threads", limn_pool_size(k->b->m.pool));
  cli_json_text(j, "kernels", limn_model_kernels(model));
  cli_json_text(j, "weights", limn_model_weights(model));
  cli_json_text(j, "compute", limn_model_compute(model));
  cli_json_int(j, "repeats", k->b->n_repeats);
  limn_json_key(j, "curve");
  limn_json_begin_array(j);
  for (int i = 0; i < k->n_points; i++) {
    const point *p = &k->points[i];
    limn_json_begin_object(j);
    cli_json_int(j, "n_positions", p->n);
    write_point_rate(j, "prefill", p->n, p->prefill);
    write_point_rate(j, "decode", p->n_ending, p->decode);
    limn_json_end_object(j);
  }
  limn_json_end_array(j);
  limn_json_end_object(j);
}

/* ---- the picture -------------------------------------------------------------------------------
 */

static void draw_chart(const curve *k, limn_figure *f, limn_area area, bool is_decode) {
  static const char *const legends[] = {"by the clock", "by processor time"};
  double x[MOST_POINTS];
  float y[2 * MOST_POINTS];
  for (int i = 0; i < k->n_points; i++) {
    const bench_rate *r = is_decode ? &k->points[i].decode : &k->points[i].prefill;
    x[i] = k->points[i].n;
    y[i] = (float)r->median;
    y[k->n_points + i] = (float)r->by_processor;
  }
  limn_line_chart chart = {.x = x,
                           .y = limn_tensor_view(y, 2, (int64_t[]){2, k->n_points}),
                           .legends = legends,
                           .title = is_decode ? "Decode: the last tokens of a text, one by one"
                                              : "Prefill: a prompt at once",
                           .x_title = is_decode ? "positions of the text" : "tokens of the prompt",
                           .y_title = "tokens a second",
                           .has_zero = true};
  limn_figure_lines(f, area, &chart);
}

static limn_status draw(const curve *k, const char *folder, limn_error *err) {
  const double width = 560, height = 240, margin = 16;
  const limn_model *model = k->b->m.model;
  char line[256];
  limn_figure *f;
  limn_status status = limn_figure_new(width, 2 * height + 2 * margin + 14, &f, err);
  if (status != LIMN_OK) return status;
  for (int i = 0; i < 2; i++)
    draw_chart(k, f, (limn_area){margin, margin + height * i, width - 2 * margin, height - 14}, i);
  snprintf(line, sizeof line, "limn %s bench --curve: weights %s, compute %s, %s, %d thread%s",
           limn_version(), limn_model_weights(model), limn_model_compute(model),
           limn_model_kernels(model), limn_pool_size(k->b->m.pool),
           cli_plural(limn_pool_size(k->b->m.pool)));
  limn_figure_text(f, margin, 2 * height + 2 * margin, 7, LIMN_ALIGN_LEFT, line);
  status = cli_write_figure(f, folder, "curve", err);
  limn_figure_free(f);
  return status;
}

static limn_status write_folder(const curve *k, limn_error *err) {
  const char *folder = cli_value(k->b->c, "out");
  if (!folder) return LIMN_OK;
  limn_status status = cli_make_folder(folder, err);
  char *path = status == LIMN_OK ? cli_path_in(folder, "curve.json") : NULL;
  if (status == LIMN_OK)
    status = path ? cli_write_json(path, write_json, k, err) : cli_no_memory(err);
  limn_free(path);
  return status == LIMN_OK ? draw(k, folder, err) : status;
}

/* ---- the command -------------------------------------------------------------------------------
 */

int bench_curve(bench *b) {
  limn_error err;
  limn_json j;
  curve k = {.b = b};
  limn_status status = plan(&k, &err);
  if (status == LIMN_OK) status = run_points(&k, &err);
  if (status == LIMN_OK) status = write_folder(&k, &err);
  int result = CLI_OK;
  if (status != LIMN_OK) {
    result = cli_fail(b->c, &err);
  } else if (cli_flag(b->c, "json")) {
    cli_json_begin(&j, &err);
    write_json(&k, &j);
    result = cli_json_end(b->c, &j);
  } else {
    print_curve(&k);
  }
  limn_free(k.times);
  return result;
}
