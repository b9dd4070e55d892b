/*
 * explain_print.c - limn explain in the terminal: five sections, one under the other, each with a
 * sentence on what it shows, its hooks, and the command that makes its numbers again.
 */
#include "explain.h"
#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_SHOWN 24 /* of a longer text: the first four, and the newest */
#define TOKENS_FIRST 4

static int min_int(int a, int b) {
  return a < b ? a : b;
}

/* ---- what all sections have ---------------------------------------------------------------------
 */

/* A paragraph, each line of it a style of its own: pagers show lines one by one. */
static void print_paragraph(const char *text, cli_style style) {
  char *lines = NULL;
  size_t n = 0;
  FILE *to = open_memstream(&lines, &n);
  if (to) cli_print_wrapped(to, text, 2, 0, min_int(cli_width(), 100));
  if (!to || fclose(to) != 0) return;
  for (const char *at = lines; *at;) {
    int length = (int)strcspn(at, "\n");
    printf("%s%.*s%s\n", cli_sgr(style), length, at, cli_sgr(CLI_PLAIN));
    at += length + 1;
  }
  free(lines);
}

static void print_title(cli_section section) {
  printf("\n%s%s%s\n", cli_sgr(CLI_BOLD), cli_sections[section].title, cli_sgr(CLI_PLAIN));
  print_paragraph(cli_sections[section].says, CLI_DIM);
  fputc('\n', stdout);
}

static void print_source(const explanation *e, cli_section section) {
  const cli_section_info *info = &cli_sections[section];
  char *command = explain_command(e, info->hooks, info->file, 60, (size_t)cli_width() - 9);
  const char *dim = cli_sgr(CLI_DIM), *plain = cli_sgr(CLI_PLAIN);
  size_t first = command ? strcspn(command, "\n") : 0;
  if (command) {
    printf("\n  %sagain  %.*s%s\n", dim, (int)first, command, plain);
    if (command[first]) printf("%s%s%s\n", dim, command + first + 1, plain);
  }
  limn_free(command);
}

/* 0.1234 as " 12.3 %", 0.00004 as "< 0.1 %": seven columns. */
static void print_share(double share) {
  if (isnan(share))
    fputs("      -", stdout);
  else if (share > 0 && share < 0.0005)
    printf("%s< 0.1 %%%s", cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN));
  else
    printf("%5.1f %%", 100 * share);
}

/* A token in `width` columns; the one explained stands out. */
static int print_token(const explanation *e, int32_t id, int width, bool is_filled) {
  bool is_target = id == e->target;
  if (is_target) printf("%s%s", cli_sgr(CLI_BOLD), cli_hue_sgr(CLI_HUE_GREEN));
  int columns = cli_print_token(stdout, e->m, id, 0, width);
  if (is_target) fputs(cli_sgr(CLI_PLAIN), stdout);
  if (is_filled && columns < width) printf("%*s", width - columns, "");
  return columns;
}

/* The widest of some tokens, between `least` and `most` columns. */
static int token_width(const explanation *e, const int32_t *ids, int n, int least, int most) {
  int width = least;
  for (int i = 0; i < n; i++) {
    size_t size = 0;
    const char *bytes =
        e->m->tokenizer ? limn_tokenizer_bytes(e->m->tokenizer, ids[i], &size) : NULL;
    int columns = bytes ? cli_visible_width(bytes, size) + 2 : 8;
    if (columns > width) width = columns;
  }
  return min_int(width, most);
}

/* ---- heading and tokens -------------------------------------------------------------------------
 */

void explain_print_heading(const explanation *e) {
  const char *name = strrchr(e->m->folder, '/');
  name = name && name[1] ? name + 1 : e->m->folder;
  printf("%s%s%s: %s with %d layers of %d heads, reading %d token%s", cli_sgr(CLI_BOLD), name,
         cli_sgr(CLI_PLAIN), e->config->family, e->config->n_layer, e->config->n_head, e->n,
         cli_plural(e->n));
  if (e->n_dropped) printf(" (%d before them do not fit into its window)", e->n_dropped);
  fputc('\n', stdout);
  fflush(stdout);
}

static void print_bytes(const explanation *e, int32_t id, int width) {
  size_t n = 0;
  const char *bytes = e->m->tokenizer ? limn_tokenizer_bytes(e->m->tokenizer, id, &n) : NULL;
  int at = 0;
  for (size_t i = 0; bytes && i < n; i++) {
    bool is_last = i + 1 == n;
    if (at + 2 + (is_last ? 0 : 4) > width) {
      fputs("…", stdout);
      at++;
      break;
    }
    at += printf("%02x%s", (unsigned char)bytes[i], is_last ? "" : " ");
  }
  printf("%*s", at < width ? width - at : 0, "");
}

static void print_token_row(const explanation *e, int i, int text_width, int byte_width, int bar) {
  printf("  %s%4d%s  ", cli_sgr(CLI_DIM), i + e->n_dropped, cli_sgr(CLI_PLAIN));
  cli_print_token(stdout, e->m, e->ids[i], text_width, text_width);
  printf("  %6d  %s", (int)e->ids[i], cli_sgr(CLI_DIM));
  print_bytes(e, e->ids[i], byte_width);
  printf("%s  ", cli_sgr(CLI_PLAIN));
  print_share(exp(e->log_probabilities[i]));
  fputc(' ', stdout);
  if (i) cli_print_bar(exp(e->log_probabilities[i]), bar, CLI_HUE_SHARE, false);
  fputc('\n', stdout);
}

void explain_print_tokens(const explanation *e) {
  int hidden = e->n > TOKENS_SHOWN ? e->n - TOKENS_SHOWN : 0;
  int text_width = token_width(e, e->ids, e->n, 7, 20);
  int byte_width = min_int(cli_width() - text_width - 42, 23), bar = 12;
  if (byte_width < 8) byte_width = 8;
  print_title(CLI_SECTION_TOKENS);
  printf("  %s%4s  %-*s  %6s  %-*s  %s%s\n", cli_sgr(CLI_DIM), "", text_width, "token", "id",
         byte_width, "bytes", "expected", cli_sgr(CLI_PLAIN));
  for (int i = 0; i < e->n; i++) {
    if (hidden && i == TOKENS_FIRST) {
      printf("  %s ...  %d more (--json has them all)%s\n", cli_sgr(CLI_DIM), hidden,
             cli_sgr(CLI_PLAIN));
      i += hidden;
    }
    print_token_row(e, i, text_width, byte_width, bar);
  }
  print_source(e, CLI_SECTION_TOKENS);
}

/* ---- the next token -----------------------------------------------------------------------------
 */

static void print_next_row(const explanation *e, int64_t rank, int32_t id, int width, int bar) {
  printf("  %s%4lld%s  ", cli_sgr(CLI_DIM), (long long)rank + 1, cli_sgr(CLI_PLAIN));
  print_token(e, id, width, true);
  fputs("  ", stdout);
  print_share(e->probabilities[id]);
  fputc(' ', stdout);
  cli_print_bar(e->probabilities[id], bar, CLI_HUE_SHARE, false);
  fputc('\n', stdout);
}

static void print_next(const explanation *e) {
  int width = token_width(e, e->top, e->n_top, 8, 24);
  int bar = min_int(cli_width() - width - 20, 60);
  size_t vocab_size = (size_t)e->config->vocab_size;
  int64_t rank = limn_rank(e->logits, vocab_size, e->target);
  print_title(CLI_SECTION_NEXT);
  for (int i = 0; i < e->n_top; i++)
    print_next_row(e, i, e->top[i], width, bar);
  if (rank >= e->n_top) print_next_row(e, rank, e->target, width, bar);
  printf("\n  entropy %.2f nats, as if it chose among %.1f tokens evenly\n", e->entropy,
         exp(e->entropy));
  if (e->next_id >= 0) {
    fputs("  the text goes on with ", stdout);
    cli_print_token(stdout, e->m, e->next_id, 0, 24);
    printf(": %.2g %%, rank %lld\n", 100 * e->probabilities[e->next_id],
           (long long)limn_rank(e->logits, vocab_size, e->next_id) + 1);
  }
  print_source(e, CLI_SECTION_NEXT);
}

/* ---- attention ----------------------------------------------------------------------------------
 */

/* The three keys that a query looks at most, other than by chance the first of them all. */
static void print_query(const explanation *e, const limn_tensor *pattern, int query, int width) {
  limn_tensor row = limn_tensor_select(pattern, 0, query);
  bool is_taken[3] = {false, false, false};
  int taken[3] = {-1, -1, -1};
  fputs("  ", stdout);
  cli_print_token(stdout, e->m, e->ids[query], width, width);
  printf(" %s looks at%s ", cli_sgr(CLI_DIM), cli_sgr(CLI_PLAIN));
  for (int i = 0; i < 3 && i <= query; i++) {
    double most = -1;
    for (int key = 0; key <= query; key++) {
      double x = (double)*limn_tensor_at(&row, (int64_t[]){key});
      if (key == taken[0] || key == taken[1] || !(x > most)) continue;
      most = x;
      taken[i] = key;
    }
    is_taken[i] = taken[i] >= 0;
    if (!is_taken[i] || (i > 0 && most < 0.01)) break;
    int columns = cli_print_token(stdout, e->m, e->ids[taken[i]], 0, width);
    printf(" %s%3d%s %4.2f%*s", cli_sgr(CLI_DIM), taken[i] + e->n_dropped, cli_sgr(CLI_PLAIN), most,
           i < 2 ? width - columns + 2 : 0, "");
  }
  fputc('\n', stdout);
}

static void print_one_head(const explanation *e, const cli_panel *panel) {
  int first = e->n > TOKENS_SHOWN ? e->n - TOKENS_SHOWN : 0;
  int most = (cli_width() - 12) / 4 - 8, width = token_width(e, e->ids, e->n, 5, 16);
  fputc('\n', stdout);
  if (first) printf("  the newest %d queries:\n", TOKENS_SHOWN);
  for (int query = first; query < e->n; query++)
    print_query(e, &panel->pattern, query, min_int(width, most < 5 ? 5 : most));
}

static void print_pooling(int n, int side) {
  char text[160];
  snprintf(
      text, sizeof text,
      "%d tokens in %d rows and columns: a row is the mean of its queries, a column the sum of "
      "its keys",
      n, side);
  print_paragraph(text, CLI_PLAIN);
}

/* The layers and heads that --layer and --head leave. */
static void print_attention(const explanation *e) {
  int layer = (int)cli_int(e->c, "layer", -1), head = (int)cli_int(e->c, "head", -1);
  int layers[2] = {layer < 0 ? 0 : layer, layer < 0 ? e->config->n_layer : layer + 1};
  int heads[2] = {head < 0 ? 0 : head, head < 0 ? e->config->n_head : head + 1};
  int n = heads[1] - heads[0];
  cli_wall wall = cli_plan_wall(e->n, n == 1 && layer < 0 ? 4 : n, cli_width() - 2);
  cli_panel *panels =
      limn_alloc_zeroed((size_t)e->config->n_layer, (size_t)e->config->n_head * sizeof *panels);
  print_title(CLI_SECTION_ATTENTION);
  if (!panels) {
    fputs("  (not enough memory for the picture)\n", stdout);
    return;
  }
  int count = 0;
  for (int i = layers[0]; i < layers[1]; i++) {
    for (int k = heads[0]; k < heads[1]; k++) {
      cli_panel *p = &panels[count++];
      p->pattern = limn_attention_pattern(e->attention, i, k);
      snprintf(p->caption, sizeof p->caption, "%d.%d", i, k);
    }
    bool is_row_done = n > 1 || i + 1 == layers[1];
    if (!is_row_done) continue;
    cli_print_wall(&wall, panels, count);
    count = 0;
  }
  fputc('\n', stdout);
  cli_print_wall_legend();
  if (wall.side < e->n) print_pooling(e->n, wall.side);
  if (layer >= 0 && head >= 0) print_one_head(e, &panels[0]);
  print_source(e, CLI_SECTION_ATTENTION);
  limn_free(panels);
}

/* ---- the lens -----------------------------------------------------------------------------------
 */

/* The rows' first columns: depth, and the rank of the explained token, `width` wide. */
static void print_lens_heading(const explanation *e, int width) {
  const char *dim = cli_sgr(CLI_DIM), *plain = cli_sgr(CLI_PLAIN);
  printf("  %s%-10s  %*s   the likeliest tokens there%s\n  %-10s  ", dim, "after", width, "rank of",
         plain, "");
  int columns = token_width(e, &e->target, 1, 0, width);
  printf("%*s", width - columns, "");
  print_token(e, e->target, width, false);
  fputc('\n', stdout);
}

static void print_lens(const explanation *e) {
  char name[32], digits[32];
  int rank = token_width(e, &e->target, 1, 7, 12), left = 17 + rank, width = 9;
  int columns = min_int((cli_width() - left) / 18, e->n_top);
  if (columns < 1) columns = 1;
  int room = (cli_width() - left) / columns - 9;
  for (int depth = 0; depth < e->n_depths; depth++)
    width = token_width(e, e->lens_top + depth * e->n_top, columns, width, room < 9 ? 9 : room);
  width = min_int(width, 18);
  print_title(CLI_SECTION_LENS);
  print_lens_heading(e, rank);
  for (int depth = 0; depth < e->n_depths; depth++) {
    cli_group_digits(digits, e->lens_rank[depth] + 1, ' ');
    printf("  %-10s  %*s   ", explain_depth_name(depth, name), rank, digits);
    for (int i = 0; i < columns; i++) {
      print_token(e, e->lens_top[depth * e->n_top + i], width, true);
      print_share(e->lens_probabilities[depth * e->n_top + i]);
      if (i + 1 < columns) fputs("  ", stdout);
    }
    fputc('\n', stdout);
  }
  print_source(e, CLI_SECTION_LENS);
}

/* ---- attribution --------------------------------------------------------------------------------
 */

/* Where the middle of the signed bars stands, and how long the unit is. */
typedef struct scale {
  int left, right;
  double unit; /* columns */
} scale;

static scale scale_of(const double *values, int n, int width) {
  double least = 0, most = 0;
  for (int i = 0; i < n; i++) {
    least = values[i] < least ? values[i] : least;
    most = values[i] > most ? values[i] : most;
  }
  scale s = {.unit = most > least ? (width - 2) / (most - least) : 0};
  s.left = (int)ceil(-least * s.unit);
  s.right = (int)ceil(most * s.unit);
  return s;
}

static void print_part(const explanation *e, const char *name, double x, double difference,
                       const scale *s) {
  if (!s) fputs(cli_sgr(CLI_BOLD), stdout);
  printf("  %-17s %8.3f", name, x);
  if (e->rival >= 0) printf("  %8.3f", difference);
  fputs(s ? "  " : cli_sgr(CLI_PLAIN), stdout);
  if (s) cli_print_signed_bar(x * s->unit, s->left);
  fputc('\n', stdout);
}

static void print_attribution_heading(const explanation *e) {
  const char *dim = cli_sgr(CLI_DIM), *plain = cli_sgr(CLI_PLAIN);
  int room = (cli_width() - 56) / 2, width = room < 10 ? 20 : min_int(room, 24);
  fputs("  what each part adds to the logit of ", stdout);
  print_token(e, e->target, width, false);
  if (e->rival >= 0) {
    fputs(room < 10 ? "\n  and to its lead over " : ", its lead over ", stdout);
    cli_print_token(stdout, e->m, e->rival, 0, width);
  }
  printf("\n\n  %s%-17s %8s  %s%s\n", dim, "", "logit", e->rival >= 0 ? "    lead" : "", plain);
}

/* The largest parts, then the others together: (shown + 1) values of each column. */
static void gather_parts(const explanation *e, int shown, double *values, double *differences) {
  values[shown] = differences[shown] = 0;
  for (int i = 0; i < e->n_components; i++) {
    int k = e->order[i], at = i < shown ? i : shown;
    values[at] = e->contributions[k] + (i < shown ? 0 : values[at]);
    differences[at] = e->differences[k] + (i < shown ? 0 : differences[at]);
  }
}

static void print_parts(const explanation *e, int shown, const double *values,
                        const double *differences) {
  char name[32];
  int n_rows = shown < e->n_components ? shown + 1 : shown, width = cli_width() - 42;
  scale s = scale_of(values, n_rows, min_int(width, 50));
  for (int i = 0; i < n_rows; i++) {
    if (i < shown)
      limn_component_name(limn_attribution_component(e->attribution, (size_t)e->order[i]), name);
    else
      snprintf(name, sizeof name, "%d others", e->n_components - shown);
    print_part(e, name, values[i], differences[i], &s);
  }
}

static void print_sum(const explanation *e) {
  double logit = (double)e->logits[e->target], error = fabs(e->sum - logit);
  char text[256];
  print_part(e, "sum", e->sum, e->sum_of_differences, NULL);
  fputc('\n', stdout);
  snprintf(text, sizeof text, "the model computed %.3f: the sum is off by %.1e (relative %.1e)%s",
           logit, error, error / fabs(logit),
           e->s.n_edits == 0 ? ""
                             : "; edits of the residual stream itself belong to no part, that "
                               "difference is theirs");
  print_paragraph(text, CLI_DIM);
}

static void print_attribution(const explanation *e) {
  int shown = min_int(e->n_top, e->n_components);
  double *values = limn_alloc_zeroed((size_t)shown + 1, 2 * sizeof *values);
  print_title(CLI_SECTION_ATTRIBUTION);
  print_attribution_heading(e);
  if (values) {
    gather_parts(e, shown, values, values + shown + 1);
    print_parts(e, shown, values, values + shown + 1);
  }
  limn_free(values);
  print_sum(e);
  print_source(e, CLI_SECTION_ATTRIBUTION);
}

void explain_print(const explanation *e) {
  print_next(e);
  print_attention(e);
  print_lens(e);
  print_attribution(e);
}
