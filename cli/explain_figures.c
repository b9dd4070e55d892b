/*
 * explain_figures.c - the figures of limn explain --out: what the terminal shows, on pages.
 *
 * Each page ends with its hook and the command that makes its numbers again.
 */
#include "explain.h"
#include "folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN         16.0
#define FOOT           30.0
#define FOOT_SIZE      7.0
#define LENS_POSITIONS 16

/* ---- pages --------------------------------------------------------------------------------------
 */

/* The section's command, its text cut as far as the width of the page asks for. */
static char *command_that_fits(const explanation *e, const cli_section_info *info, double width) {
  const double letter = FOOT_SIZE * 0.55;
  for (size_t limit = 60;; limit -= 10) {
    char *command = explain_command(e, info->hooks, info->file, limit, 0);
    bool fits = command && (double)strlen(command) * letter <= width - 2 * MARGIN;
    if (!command || fits || limit == 10) return command;
    limn_free(command);
  }
}

/* Writes the foot of a page, then the page as NAME.png and NAME.svg, and frees it. */
static limn_status finish_page(const explanation *e, cli_section section, limn_figure *f,
                               double width, double height, const char *folder, const char *name,
                               limn_error *err) {
  const cli_section_info *info = &cli_sections[section];
  char *command = command_that_fits(e, info, width), line[600];
  limn_status status = command ? LIMN_OK : cli_no_memory(err);
  snprintf(line, sizeof line, "hooks: %s", info->hooks);
  limn_figure_text(f, MARGIN, height - MARGIN - 10, FOOT_SIZE, LIMN_ALIGN_LEFT, line);
  if (command) limn_figure_text(f, MARGIN, height - MARGIN, FOOT_SIZE, LIMN_ALIGN_LEFT, command);
  limn_free(command);
  if (status == LIMN_OK) status = cli_write_figure(f, folder, name, err);
  limn_figure_free(f);
  return status;
}

/* ---- bars ---------------------------------------------------------------------------------------
 */

static limn_status draw_bars(const explanation *e, cli_section section, const limn_bar_chart *b,
                             const char *folder, const char *name, limn_error *err) {
  double width = 520, height = 60 + 18 * (double)b->n + FOOT;
  limn_figure *f;
  limn_status status = limn_figure_new(width, height, &f, err);
  if (status != LIMN_OK) return status;
  limn_area area = {MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN - FOOT};
  limn_figure_bars(f, area, b);
  return finish_page(e, section, f, width, height, folder, name, err);
}

static limn_status draw_next(const explanation *e, const char *folder, limn_error *err) {
  size_t n = e->n_top < 40 ? (size_t)e->n_top : 40;
  char **labels = cli_token_labels(e->m, e->top, n);
  double values[40];
  for (size_t i = 0; i < n; i++)
    values[i] = 100 * e->probabilities[e->top[i]];
  limn_bar_chart b = {.values = values,
                      .labels = (const char *const *)labels,
                      .n = n,
                      .title = "What the model expects next",
                      .decimals = 1,
                      .unit = " %"};
  limn_status status =
      labels ? draw_bars(e, CLI_SECTION_NEXT, &b, folder, "next", err) : cli_no_memory(err);
  cli_free_labels(labels);
  return status;
}

/* The 25 largest parts, and the others together. */
static limn_status draw_attribution(const explanation *e, const char *folder, limn_error *err) {
  enum { MOST = 25 };
  char names[MOST + 1][32], title[128];
  const char *labels[MOST + 1];
  double values[MOST + 1] = {0};
  int shown = e->n_components < MOST ? e->n_components : MOST;
  for (int i = 0; i < e->n_components; i++)
    values[i < shown ? i : shown] += e->contributions[e->order[i]];
  for (int i = 0; i <= shown; i++) {
    if (i < shown)
      limn_component_name(limn_attribution_component(e->attribution, (size_t)e->order[i]),
                          names[i]);
    else
      snprintf(names[i], sizeof names[i], "%d others", e->n_components - shown);
    labels[i] = names[i];
  }
  char **target = cli_token_labels(e->m, &e->target, 1);
  if (!target || !target[0]) {
    cli_free_labels(target);
    return cli_no_memory(err);
  }
  snprintf(title, sizeof title, "Which parts said %.60s: logit %.3f, sum %.3f", target[0],
           (double)e->logits[e->target], e->sum);
  cli_free_labels(target);
  limn_bar_chart b = {.values = values,
                      .labels = labels,
                      .n = (size_t)shown + (shown < e->n_components),
                      .title = title,
                      .decimals = 3};
  return draw_bars(e, CLI_SECTION_ATTRIBUTION, &b, folder, "attribution", err);
}

/* ---- attention ----------------------------------------------------------------------------------
 */

/* A head's map, from 0 to its largest weight off the first column. */
static limn_heat_map map_of(const explanation *e, int layer, int head) {
  limn_heat_map m = {.values = limn_attention_pattern(e->attention, layer, head),
                     .is_causal = true,
                     .first_is_apart = true};
  for (int64_t query = 0; query < e->n; query++) {
    for (int64_t key = 1; key <= query; key++) {
      double x = (double)*limn_tensor_at(&m.values, (int64_t[]){query, key});
      if (x > m.high) m.high = x;
    }
  }
  return m;
}

/* All heads: a row of small maps for each layer. */
static limn_status draw_wall(const explanation *e, const char *folder, limn_error *err) {
  double side = e->config->n_head > 16 ? 60 : 90, step = side + 22;
  double width = fmax(420, 2 * MARGIN + step * e->config->n_head), top = MARGIN + 30;
  double height = 2 * MARGIN + FOOT + 34 + step * e->config->n_layer;
  limn_figure *f;
  limn_status status = limn_figure_new(width, height, &f, err);
  if (status != LIMN_OK) return status;
  limn_figure_text(f, MARGIN, MARGIN + 8, 9, LIMN_ALIGN_LEFT,
                   "Attention by layer.head: query (destination) down, key (source) across");
  limn_figure_text(f, MARGIN, MARGIN + 20, 9, LIMN_ALIGN_LEFT,
                   "First key in grey from 0 to 1; the others in colour from 0 to the head's "
                   "largest");
  for (int layer = 0; layer < e->config->n_layer; layer++) {
    for (int head = 0; head < e->config->n_head; head++) {
      char title[32];
      limn_heat_map m = map_of(e, layer, head);
      m.title = title;
      m.has_no_bar = true;
      snprintf(title, sizeof title, "%d.%d", layer, head);
      limn_area area = {MARGIN + step * head, top + step * layer, side, side + 19};
      limn_figure_heat_map(f, area, &m);
    }
  }
  return finish_page(e, CLI_SECTION_ATTENTION, f, width, height, folder, "attention", err);
}

/* One layer: its heads large, with the tokens where there is room for them. */
static limn_status draw_layer(const explanation *e, int layer, char **labels, const char *folder,
                              limn_error *err) {
  const int columns = 4;
  int n_head = e->config->n_head, rows = (n_head + columns - 1) / columns;
  bool has_labels = e->n <= 40;
  double side = has_labels ? 300 : 260, width = 2 * MARGIN + side * (n_head < 4 ? n_head : 4);
  double height = 2 * MARGIN + FOOT + side * rows;
  char name[48];
  limn_figure *f;
  limn_status status = limn_figure_new(width, height, &f, err);
  if (status != LIMN_OK) return status;
  for (int head = 0; head < n_head; head++) {
    char title[48];
    snprintf(title, sizeof title, "layer %d, head %d", layer, head);
    limn_heat_map m = map_of(e, layer, head);
    m.title = title;
    m.row_title = "query (destination)";
    m.column_title = "key (source)";
    m.row_labels = m.column_labels = has_labels ? (const char *const *)labels : NULL;
    limn_area area = {MARGIN + side * (head % columns), MARGIN + side * (head / columns), side - 10,
                      side - 10};
    limn_figure_heat_map(f, area, &m);
  }
  snprintf(name, sizeof name, "attention-layer-%d", layer);
  return finish_page(e, CLI_SECTION_ATTENTION, f, width, height, folder, name, err);
}

static limn_status draw_attention(const explanation *e, const char *folder, limn_error *err) {
  char **labels = cli_token_labels(e->m, e->ids, (size_t)e->n);
  limn_status status = labels && labels[e->n - 1] ? draw_wall(e, folder, err) : cli_no_memory(err);
  for (int layer = 0; status == LIMN_OK && layer < e->config->n_layer; layer++)
    status = draw_layer(e, layer, labels, folder, err);
  cli_free_labels(labels);
  return status;
}

/* ---- the lens -----------------------------------------------------------------------------------
 */

typedef struct lens_grid {
  int first, n;  /* positions */
  float *shares; /* (n_depths, n) */
  int32_t *ids;  /* (n_depths, n) */
} lens_grid;

/* The likeliest token at every depth of the newest positions, and its probability. */
static limn_status fill_grid(const explanation *e, lens_grid *g, limn_error *err) {
  size_t vocab_size = (size_t)e->config->vocab_size;
  float *logits = limn_alloc_zeroed((size_t)e->n_depths, vocab_size * sizeof *logits);
  limn_status status = logits ? LIMN_OK : cli_no_memory(err);
  for (int i = 0; status == LIMN_OK && i < g->n; i++) {
    status = limn_lens_logits(e->lens, e->m->pool, g->first + i, logits, err);
    for (int depth = 0; status == LIMN_OK && depth < e->n_depths; depth++) {
      const float *row = logits + (size_t)depth * vocab_size;
      int32_t *id = &g->ids[depth * g->n + i];
      limn_top_ids(row, vocab_size, 1, id);
      g->shares[depth * g->n + i] = (float)exp(limn_log_probability(row, vocab_size, *id));
    }
  }
  limn_free(logits);
  return status;
}

static limn_status draw_grid(const explanation *e, const lens_grid *g, char **cells, char **tokens,
                             const char *folder, limn_error *err) {
  double width = fmax(420, 130 + 64.0 * g->n + 60),
         height = 2 * MARGIN + FOOT + 110 + 24.0 * e->n_depths;
  char(*names)[32] = calloc((size_t)e->n_depths, sizeof *names);
  const char **rows = calloc((size_t)e->n_depths, sizeof *rows);
  limn_figure *f = NULL;
  limn_status status = names && rows ? limn_figure_new(width, height, &f, err) : cli_no_memory(err);
  if (status == LIMN_OK) {
    for (int depth = 0; depth < e->n_depths; depth++)
      rows[depth] = explain_depth_name(depth, names[depth]);
    limn_heat_map m = {
        .values = limn_tensor_view(g->shares, 2, (int64_t[]){e->n_depths, g->n}),
        .low = 0,
        .high = 1,
        .title = "Logit lens: the likeliest next token after each layer, and its probability",
        .column_title = "position",
        .row_labels = rows,
        .column_labels = (const char *const *)tokens,
        .cell_labels = (const char *const *)cells};
    limn_area area = {MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN - FOOT};
    limn_figure_heat_map(f, area, &m);
    status = finish_page(e, CLI_SECTION_LENS, f, width, height, folder, "lens", err);
  }
  free(names);
  free(rows);
  return status;
}

static limn_status draw_lens(const explanation *e, const char *folder, limn_error *err) {
  lens_grid g = {.n = e->n < LENS_POSITIONS ? e->n : LENS_POSITIONS};
  size_t n = (size_t)e->n_depths * (size_t)g.n;
  g.first = e->n - g.n;
  g.shares = limn_alloc_zeroed(n, sizeof *g.shares);
  g.ids = limn_alloc_zeroed(n, sizeof *g.ids);
  limn_status status = g.shares && g.ids ? fill_grid(e, &g, err) : cli_no_memory(err);
  if (status == LIMN_OK) {
    char **cells = cli_token_labels(e->m, g.ids, n);
    char **tokens = cli_token_labels(e->m, e->ids + g.first, (size_t)g.n);
    bool is_whole = cells && tokens;
    status = is_whole ? draw_grid(e, &g, cells, tokens, folder, err) : cli_no_memory(err);
    cli_free_labels(cells);
    cli_free_labels(tokens);
  }
  limn_free(g.shares);
  limn_free(g.ids);
  return status;
}

limn_status explain_write_figures(const explanation *e, const char *folder, limn_error *err) {
  limn_status status = draw_next(e, folder, err);
  if (status == LIMN_OK) status = draw_attention(e, folder, err);
  if (status == LIMN_OK) status = draw_lens(e, folder, err);
  if (status == LIMN_OK) status = draw_attribution(e, folder, err);
  return status;
}
