/*
 * cmd_sweep.c - limn sweep: what becomes of the answer when each head, or each position of each
 * layer, is taken out or replaced.
 */
#include "folder.h"
#include "picture.h"
#include "run.h"

#include <limn/sweep.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN    16.0
#define FOOT      30.0
#define FOOT_SIZE 7.0

static const cli_option options[] = {
    {"over", 0, CLI_CHOICE, "heads|positions", "heads", 0, 0,
     "A cell for each layer and head, or for each layer and position"},
    {"from", 0, CLI_TEXT, "TEXT", NULL, 0, 0,
     "Replace by what this text has there, as long in tokens; zero when not given"},
    {"from-ids", 0, CLI_TEXT, "1,2,3", NULL, 0, 0, "The same with token ids"},
    {"mean", 0, CLI_FLAG, NULL, NULL, 0, 0, "Replace by the mean over the positions"},
    {"hook", 'k', CLI_TEXT, "HOOK", NULL, 0, 0,
     "What is replaced in each layer: attn.hook_z over heads and hook_resid_pre over positions "
     "when "
     "not given; also hook_attn_out, hook_mlp_out, or z, mlp_out"},
    {"metric", 0, CLI_CHOICE, "log-probability|logit|difference|kl", "log-probability", 0, 0,
     "What is measured after the last token: of the target; logit of the target less that of "
     "--against; or KL divergence from the run without a change"},
    {"target", 0, CLI_TEXT, "TOKEN", NULL, 0, 0,
     "The token to measure instead of the likeliest: its text (\" king\"), or its id as #5822"},
    {"against", 0, CLI_TEXT, "TOKEN", NULL, 0, 0,
     "With --metric difference, the other token; the likeliest other when not given"},
    {"top", 'n', CLI_INT, "N", "10", 0, CLI_NO_MAX, "List the N cells that change most"},
    {"out", 'o', CLI_TEXT, "DIR", NULL, 0, 0, "Write sweep.json and a heat map into this folder"},
    CLI_OPTIONS_IDS,
    CLI_OPTIONS_TEXT,
    CLI_OPTIONS_MODEL,
    CLI_OPTIONS_JSON,
    CLI_OPTIONS_END};

static const cli_example examples[] = {
    {"limn sweep 'The king said to his'", "Which heads does the answer need?"},
    {"limn sweep 'The king said to his' --from 'The girl said to his' --over positions",
     "Where does the first word's meaning lie, layer by layer?"},
    {"limn sweep 'The king said to his' --mean --metric kl",
     "How much each head does, whatever the answer."},
    {"limn sweep 'The king said to his' --over positions -k mlp_out --json",
     "The MLPs position by position, every number."},
    {NULL, NULL}};

typedef struct sweep {
  const cli *c;
  const cli_model *m;
  int32_t *ids, *source;
  size_t n, n_source;
  limn_sweep_options o;
  limn_sweep *result;
} sweep;

/* ---- input
 * --------------------------------------------------------------------------------------- */

static limn_status encode_source(sweep *s, const char *text, limn_error *err) {
  limn_tokens tokens = {0};
  if (!s->m->tokenizer)
    return limn_error_set(err, LIMN_ERROR_NOT_FOUND, LIMN_NO_OFFSET,
                          "the model in \"%s\" has no tokenizer, expected --from-ids",
                          s->m->folder);
  limn_status status = limn_tokenizer_encode(s->m->tokenizer, text, strlen(text),
                                             LIMN_SPECIAL_AS_TEXT, &tokens, err);
  s->source = tokens.ids;
  s->n_source = tokens.n;
  tokens.ids = NULL;
  limn_tokens_deinit(&tokens);
  return status;
}

static limn_status read_source(sweep *s, limn_error *err) {
  const char *text = cli_value(s->c, "from"), *list = cli_value(s->c, "from-ids");
  if ((text != NULL) + (list != NULL) + cli_flag(s->c, "mean") > 1)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "more than one of --from, --from-ids and --mean is given, expected one");
  s->o.put = text || list             ? LIMN_SWEEP_PATCH
             : cli_flag(s->c, "mean") ? LIMN_SWEEP_MEAN
                                      : LIMN_SWEEP_ZERO;
  limn_status status = text   ? encode_source(s, text, err)
                       : list ? cli_parse_ids(list, &s->source, &s->n_source, err)
                              : LIMN_OK;
  s->o.source = s->source;
  s->o.n_source = s->n_source;
  return status;
}

static limn_metric metric_of(const cli *c) {
  const char *name = cli_value(c, "metric");
  return strcmp(name, "logit") == 0        ? LIMN_METRIC_LOGIT
         : strcmp(name, "difference") == 0 ? LIMN_METRIC_DIFFERENCE
         : strcmp(name, "kl") == 0         ? LIMN_METRIC_KL
                                           : LIMN_METRIC_LOG_PROBABILITY;
}

static bool show_progress(void *user, int done, int total) {
  (void)user;
  cli_progress("cell", done, total);
  return false;
}

static limn_status check_against(const sweep *s, limn_error *err) {
  if (!cli_is_given(s->c, "against")) return LIMN_OK;
  if (s->o.metric != LIMN_METRIC_DIFFERENCE)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "--against is given without --metric difference");
  if (s->o.target == s->o.against)
    return limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                          "--target and --against are the same token, expected two");
  return LIMN_OK;
}

static limn_status prepare(sweep *s, limn_error *err) {
  limn_status status = read_source(s, err);
  s->o.over =
      strcmp(cli_value(s->c, "over"), "heads") == 0 ? LIMN_SWEEP_HEADS : LIMN_SWEEP_POSITIONS;
  s->o.hook = cli_value(s->c, "hook");
  s->o.metric = metric_of(s->c);
  s->o.pool = s->m->pool;
  s->o.progress = show_progress;
  if (status == LIMN_OK) status = cli_find_token(s->c, s->m, "target", &s->o.target, err);
  if (status == LIMN_OK) status = cli_find_token(s->c, s->m, "against", &s->o.against, err);
  if (status == LIMN_OK) status = check_against(s, err);
  if (status == LIMN_OK) status = cli_read_tokens(s->c, s->m, &s->ids, &s->n, err);
  return status;
}

static const char *hook_of(const sweep *s) {
  if (s->o.hook) return s->o.hook;
  return s->o.over == LIMN_SWEEP_HEADS ? "attn.hook_z" : "hook_resid_pre";
}

/* ---- numbers
 * ------------------------------------------------------------------------------------- */

static int cell_count(const sweep *s) {
  return s->result->n_layer * s->result->n_columns;
}

/* What a cell changes. */
static double change(const sweep *s, int cell) {
  return s->result->values[cell] - s->result->clean;
}

static double largest_change(const sweep *s) {
  double most = 0;
  for (int i = 0; i < cell_count(s); i++)
    most = fabs(change(s, i)) > most ? fabs(change(s, i)) : most;
  return most;
}

/* The next cell after `last` in the order of what they change, ties by number; -1 at the end. */
static int next_cell(const sweep *s, int last) {
  int best = -1;
  double limit = last < 0 ? INFINITY : fabs(change(s, last));
  for (int i = 0; i < cell_count(s); i++) {
    double x = fabs(change(s, i));
    bool is_behind = x < limit || (x == limit && i > last);
    if (is_behind && (best < 0 || x > fabs(change(s, best)))) best = i;
  }
  return best;
}

/* ---- the picture: heads as columns, or positions as lines
 * ---------------------------------------- */

static void print_cell(double x, int width) {
  char color[24];
  if (cli_color_count() >= 256) {
    double t = fabs(x) > 1 ? 1 : fabs(x);
    int r = x < 0 ? 214 : 86, g = x < 0 ? 110 : 156, b = x < 0 ? 96 : 214;
    printf("%s%*s%s",
           cli_sgr_rgb(color, true, (int)(48 + (r - 48) * t), (int)(48 + (g - 48) * t),
                       (int)(54 + (b - 54) * t)),
           width, "", cli_sgr(CLI_PLAIN));
    return;
  }
  int ninths = (int)lround(9 * x);
  if (ninths == 0)
    printf("%*s", width, ".");
  else if (width > 2)
    printf("%+*d", width, ninths);
  else
    printf("%*c", width, ninths > 0 ? '+' : '-');
}

static void print_column_numbers(int label, int n, int width) {
  printf("%s%*s", cli_sgr(CLI_DIM), label, "");
  for (int i = 0; i < n; i++) {
    if (width > 2)
      printf("%*d", width, i);
    else
      printf("%*d", width, i % 10);
  }
  printf("%s\n", cli_sgr(CLI_PLAIN));
}

static int cell_width(int label, int n) {
  int width = (cli_width() - label) / n;
  return width < 1 ? 1 : width > 4 ? 4 : width;
}

static void print_heads(const sweep *s, double most) {
  enum { LABEL = 12 };
  const limn_sweep *r = s->result;
  int width = cell_width(LABEL, r->n_columns);
  print_column_numbers(LABEL, r->n_columns, width);
  for (int layer = 0; layer < r->n_layer; layer++) {
    printf("  layer %-4d", layer);
    for (int head = 0; head < r->n_columns; head++)
      print_cell(change(s, layer * r->n_columns + head) / most, width);
    fputc('\n', stdout);
  }
  printf("  %scolumns are heads%s\n", cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN));
}

static void print_positions(const sweep *s, double most) {
  enum { LABEL = 24 };
  const limn_sweep *r = s->result;
  int width = cell_width(LABEL, r->n_layer);
  print_column_numbers(LABEL, r->n_layer, width);
  for (int i = 0; i < r->n_columns; i++) {
    printf("%5d ", i);
    cli_print_token(stdout, s->m, s->ids[i], LABEL - 7, LABEL - 7);
    fputc(' ', stdout);
    for (int layer = 0; layer < r->n_layer; layer++)
      print_cell(change(s, layer * r->n_columns + i) / most, width);
    fputc('\n', stdout);
  }
  printf("  %scolumns are layers%s\n", cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN));
}

static void print_metric(const sweep *s, FILE *to) {
  const limn_sweep *r = s->result;
  if (r->target < 0) {
    fputs("KL divergence from the run without a change, nats", to);
    return;
  }
  fprintf(to, "%s of ", s->o.metric == LIMN_METRIC_LOG_PROBABILITY ? "log-probability" : "logit");
  cli_print_token(to, s->m, r->target, 0, 0);
  if (r->against >= 0) {
    fputs(" less that of ", to);
    cli_print_token(to, s->m, r->against, 0, 0);
  }
  fprintf(to, ": %.4f", r->clean);
  if (!isnan(r->source)) fprintf(to, ", in the other text %.4f", r->source);
}

static const char *heading(const sweep *s, char text[512]) {
  static const char *const puts[] = {"set to zero", "set to its mean over the positions",
                                     "replaced by what the other text has there"};
  snprintf(text, 512,
           "blocks.*.%.80s, %s, each alone %s: what that changes after the last of %zu token%s",
           hook_of(s), s->o.over == LIMN_SWEEP_HEADS ? "head by head" : "position by position",
           puts[s->o.put], s->n, cli_plural((int64_t)s->n));
  return text;
}

static void print_heading(const sweep *s) {
  char text[512];
  cli_print_wrapped(stdout, heading(s, text), 0, 0, cli_width());
  fputs("  ", stdout);
  print_metric(s, stdout);
  fputs("\n\n", stdout);
}

static void print_top(const sweep *s, double most) {
  const limn_sweep *r = s->result;
  int64_t n = cli_int(s->c, "top", 10);
  if (n > 0) fputc('\n', stdout);
  for (int cell = -1; n > 0 && (cell = next_cell(s, cell)) >= 0; n--) {
    int layer = cell / r->n_columns, column = cell % r->n_columns, used;
    if (s->o.over == LIMN_SWEEP_HEADS) {
      used = printf("  head %d.%d", layer, column);
    } else {
      used = printf("  layer %d, %d ", layer, column);
      used += cli_print_token(stdout, s->m, s->ids[column], 0, 14);
    }
    printf("%*s%+9.4f  ", used < 32 ? 32 - used : 1, "", change(s, cell));
    cli_print_signed_bar(10 * change(s, cell) / most, 10);
    fputc('\n', stdout);
  }
}

static void print_sweep(const sweep *s) {
  double most = largest_change(s);
  print_heading(s);
  if (s->o.over == LIMN_SWEEP_HEADS)
    print_heads(s, most > 0 ? most : 1);
  else
    print_positions(s, most > 0 ? most : 1);
  if (cli_color_count() >= 256)
    printf("  %sblue: more, red: less, at most %.4f%s\n", cli_sgr(CLI_DIM), most,
           cli_sgr(CLI_PLAIN));
  else
    printf("  9 is a change by %.4f\n", most);
  print_top(s, most > 0 ? most : 1);
}

/* ---- JSON and a figure
 * --------------------------------------------------------------------------- */

static void json_token(limn_json *j, const sweep *s, const char *key, int32_t id) {
  limn_json_key(j, key);
  if (id < 0) {
    limn_json_null(j);
    return;
  }
  limn_json_begin_inline_object(j);
  cli_json_token(j, s->m, id);
  limn_json_end_object(j);
}

static void write_json(const void *user, limn_json *j) {
  static const char *const puts[] = {"zero", "mean", "patch"};
  const sweep *s = user;
  const limn_sweep *r = s->result;
  limn_json_begin_object(j);
  cli_json_text(j, "model", s->m->folder);
  cli_json_text(j, "over", cli_value(s->c, "over"));
  cli_json_text(j, "hook", hook_of(s));
  cli_json_text(j, "put", puts[s->o.put]);
  cli_json_text(j, "metric", cli_value(s->c, "metric"));
  json_token(j, s, "target", r->target);
  json_token(j, s, "against", r->against);
  cli_json_double(j, "clean", r->clean);
  cli_json_double(j, "source", r->source);
  limn_json_key(j, "ids");
  limn_json_begin_inline_array(j);
  for (size_t i = 0; i < s->n; i++)
    limn_json_int(j, s->ids[i]);
  limn_json_end_array(j);
  limn_json_key(j, "values");
  limn_json_begin_array(j);
  for (int layer = 0; layer < r->n_layer; layer++) {
    limn_json_begin_inline_array(j);
    for (int i = 0; i < r->n_columns; i++)
      limn_json_double(j, r->values[layer * r->n_columns + i]);
    limn_json_end_array(j);
  }
  limn_json_end_array(j);
  limn_json_end_object(j);
}

/* 0, 1, 2 ..., for cli_free_labels; NULL without memory. */
static char **numbers(int n) {
  char **labels = calloc((size_t)n + 1, sizeof *labels);
  for (int i = 0; labels && i < n; i++) {
    labels[i] = malloc(16);
    if (!labels[i]) {
      cli_free_labels(labels);
      return NULL;
    }
    snprintf(labels[i], 16, "%d", i);
  }
  return labels;
}

static limn_status draw_metric(const sweep *s, limn_figure *f, double y, limn_error *err) {
  char *text = NULL;
  size_t n;
  FILE *to = open_memstream(&text, &n);
  if (to) print_metric(s, to);
  bool is_whole = to && fclose(to) == 0;
  if (is_whole) limn_figure_text(f, MARGIN, y, FOOT_SIZE, LIMN_ALIGN_LEFT, text);
  free(text);
  return is_whole ? LIMN_OK : cli_no_memory(err);
}

static limn_status draw(const sweep *s, const limn_heat_map *map, const char *folder,
                        limn_error *err) {
  const limn_sweep *r = s->result;
  double below = s->o.over == LIMN_SWEEP_HEADS ? 30 : 90;
  double width = fmin(fmax(120 + 18.0 * r->n_columns, 560), 2000);
  double height = fmin(2 * MARGIN + FOOT + 20 + below + 18.0 * r->n_layer, 2000);
  char text[512];
  limn_figure *f;
  limn_status status = limn_figure_new(width, height, &f, err);
  if (status != LIMN_OK) return status;
  limn_area area = {MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN - FOOT};
  limn_figure_heat_map(f, area, map);
  limn_figure_text(f, MARGIN, height - MARGIN - 10, FOOT_SIZE, LIMN_ALIGN_LEFT, heading(s, text));
  status = draw_metric(s, f, height - MARGIN, err);
  if (status == LIMN_OK) status = cli_write_figure(f, folder, "sweep", err);
  limn_figure_free(f);
  return status;
}

static limn_status draw_changes(const sweep *s, const char *folder, limn_error *err) {
  const limn_sweep *r = s->result;
  bool is_heads = s->o.over == LIMN_SWEEP_HEADS;
  float *changes = limn_alloc_zeroed((size_t)cell_count(s), sizeof *changes);
  char **rows = numbers(r->n_layer);
  char **columns = is_heads ? numbers(r->n_columns) : cli_token_labels(s->m, s->ids, s->n);
  char title[64];
  limn_status status = changes && rows && columns ? LIMN_OK : cli_no_memory(err);
  for (int i = 0; status == LIMN_OK && i < cell_count(s); i++)
    changes[i] = (float)change(s, i);
  snprintf(title, sizeof title, "Change of %s", cli_value(s->c, "metric"));
  limn_heat_map map = {.map = LIMN_MAP_DIVERGING,
                       .title = title,
                       .row_title = "layer",
                       .column_title = is_heads ? "head" : "position",
                       .row_labels = (const char *const *)rows,
                       .column_labels = (const char *const *)columns};
  if (status == LIMN_OK) {
    map.values = limn_tensor_view(changes, 2, (int64_t[]){r->n_layer, r->n_columns});
    status = draw(s, &map, folder, err);
  }
  cli_free_labels(rows);
  cli_free_labels(columns);
  limn_free(changes);
  return status;
}

static limn_status write_folder(const sweep *s, limn_error *err) {
  const char *folder = cli_value(s->c, "out");
  if (!folder) return LIMN_OK;
  limn_status status = cli_make_folder(folder, err);
  if (status != LIMN_OK) return status;
  char *path = cli_path_in(folder, "sweep.json");
  status = path ? cli_write_json(path, write_json, s, err) : cli_no_memory(err);
  limn_free(path);
  return status == LIMN_OK ? draw_changes(s, folder, err) : status;
}

/* ---- the command
 * --------------------------------------------------------------------------------- */

static int sweep_and_show(sweep *s) {
  limn_error err;
  limn_json j;
  limn_status status = prepare(s, &err);
  if (status == LIMN_OK)
    status = limn_sweep_run(s->m->model, s->ids, s->n, &s->o, &s->result, &err);
  cli_progress_end();
  if (status == LIMN_OK) status = write_folder(s, &err);
  if (status != LIMN_OK) return cli_fail(s->c, &err);
  if (!cli_flag(s->c, "json")) {
    print_sweep(s);
    return CLI_OK;
  }
  cli_json_begin(&j, &err);
  write_json(s, &j);
  return cli_json_end(s->c, &j);
}

static int run(cli *c) {
  cli_model m;
  limn_error err;
  if (cli_open_model(c, &m, &err) != LIMN_OK) return cli_fail(c, &err);
  sweep s = {.c = c, .m = &m};
  int result = sweep_and_show(&s);
  limn_sweep_free(s.result);
  limn_free(s.ids);
  limn_free(s.source);
  cli_close_model(&m);
  return result;
}

const cli_command cmd_sweep = {
    .name = "sweep",
    .group = CLI_LOOK,
    .rank = 16,
    .summary = "change each head or position in turn, and measure the answer",
    .usage = "[OPTION]... (TEXT | --file FILE | --ids 1,2,3)",
    .description =
        "Runs the text once, then once more for each cell with one change: a head's values at all "
        "positions, or a layer's values at one position, set to zero, to their mean, or to what "
        "another text of as many tokens has there. What is shown is how far the metric moves.\n\n"
        "Zero and mean say what the answer needs. Patching says where a difference between two "
        "texts is carried: the cells that bring the metric to that of the other text.\n\n"
        "A cell is run from its layer and position on, on what the run without a change left "
        "behind, many cells in one pass. Its numbers are those of limn trace with the same edit, "
        "to the bit.",
    .options = options,
    .examples = examples,
    .max_arguments = 1,
    .run = run,
};
