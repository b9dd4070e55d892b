/*
 * intro_page.c - limn intro as one web page: text, the C of each step, its numbers and pictures.
 *
 * Everything is in the one file, pictures as data, so that it can be opened anywhere and mailed. It
 * is written for narrow and wide windows, light and dark (see intro.css).
 */
#include "folder.h"
#include "intro.h"

#include <stdlib.h>

/* ---- numbers ------------------------------------------------------------------------------------
 */

static void put_shape(FILE *to, const limn_tensor *t) {
  fputs("<span class=\"shape\">", to);
  for (int i = 0; i < t->rank; i++)
    fprintf(to, "%s%lld", i ? " × " : "", (long long)t->shape[i]);
  fputs(t->rank ? "</span>" : "scalar</span>", to);
}

/* The deeper a cell's colour, the larger its number: blue above 0, red below. */
static void put_cell(FILE *to, float x, double most, int decimals) {
  char text[LIMN_NUMBER_SIZE];
  double share = isfinite(x) && most > 0 ? fabs((double)x) / most : 0;
  fprintf(to, "<td style=\"background:rgba(%s,%.2f)\">%s", x < 0 ? "214,90,80" : "70,130,210",
          0.45 * share, lesson_number(text, x, decimals));
}

static double largest(const limn_tensor *t) {
  double most = 0;
  for (int64_t i = 0; i < limn_tensor_count(t); i++)
    if (isfinite(t->data[i])) most = fmax(most, fabs((double)t->data[i]));
  return most;
}

static void put_table(FILE *to, const lesson_value *v) {
  const limn_tensor *t = &v->values;
  int64_t rows, columns, width = t->rank ? t->shape[t->rank - 1] : 1;
  int decimals = lesson_decimals(v);
  double most = largest(t);
  lesson_extent(v, &rows, &columns);
  fputs("<div class=\"scroll\"><table>", to);
  for (int64_t row = 0; row < rows; row++) {
    bool is_new = t->rank > 2 && row && row % t->shape[t->rank - 2] == 0;
    fputs(is_new ? "<tr class=\"next\">" : "<tr>", to);
    for (int64_t i = 0; i < columns; i++)
      put_cell(to, t->data[row * width + i], most, decimals);
    if (columns < width) fputs("<td class=\"more\">…", to);
    fputc('\n', to);
  }
  fputs("</table></div>\n", to);
  int64_t rest = limn_tensor_count(t) / width - rows;
  if (rest > 0) fprintf(to, "<p class=\"more\">and %lld more rows</p>\n", (long long)rest);
}

static void put_value(FILE *to, const intro_record *r) {
  fputs("<figure class=\"value\"><figcaption><b>", to);
  intro_put_escaped(to, r->name, strlen(r->name));
  fputs("</b> ", to);
  put_shape(to, &r->value.values);
  if (*r->text) fputs(" ", to);
  intro_put_escaped(to, r->text, strlen(r->text));
  fputs("</figcaption>\n", to);
  put_table(to, &r->value);
  fputs("</figure>\n", to);
}

static void put_parameter(FILE *to, const intro_record *r) {
  char text[LIMN_NUMBER_SIZE];
  int64_t rows, columns;
  lesson_extent(&r->value, &rows, &columns);
  fputs("<tr><th>", to);
  intro_put_escaped(to, r->name, strlen(r->name));
  fputs("<td>", to);
  put_shape(to, &r->value.values);
  for (int64_t i = 0; i < columns; i++)
    fprintf(to, "<td>%s", lesson_number(text, r->value.values.data[i], lesson_decimals(&r->value)));
  fputs(limn_tensor_count(&r->value.values) > columns ? "<td class=\"more\">…\n" : "\n", to);
}

/* ---- pictures -----------------------------------------------------------------------------------
 */

/* RFC 4648, section 4. */
static void put_base64(FILE *to, const char *bytes, size_t n) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < n; i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; k++)
      group = group << 8 | (i + k < n ? (unsigned char)bytes[i + k] : 0);
    for (size_t k = 0; k < 4; k++)
      fputc(i + k <= n ? letters[group >> (18 - 6 * k) & 63] : '=', to);
  }
}

static void put_picture(FILE *to, const intro_record *r) {
  fputs("<figure class=\"picture\"><img alt=\"", to);
  intro_put_escaped(to, r->text, strlen(r->text));
  fputs("\" src=\"data:image/svg+xml;base64,", to);
  put_base64(to, r->svg, r->n_svg);
  fputs("\"><figcaption>", to);
  intro_put_escaped(to, r->text, strlen(r->text));
  fputs("</figcaption></figure>\n", to);
}

/* ---- outputs, in their places -------------------------------------------------------------------
 */

typedef struct outputs {
  const introduction *in;
  int section, line; /* up to which the page has them */
} outputs;

/* Parameters, and pictures, that follow each other stand together. */
static void put_group_edge(FILE *to, const intro_record *from, const intro_record *r) {
  bool was_list = from && from->kind == INTRO_VALUE && from->value.kind == LESSON_PARAMETER;
  bool is_list = r && r->kind == INTRO_VALUE && r->value.kind == LESSON_PARAMETER;
  bool was_picture = from && from->kind == INTRO_PICTURE;
  bool is_picture = r && r->kind == INTRO_PICTURE;
  if (was_list && !is_list) fputs("</table></div>\n", to);
  if (was_picture && !is_picture) fputs("</div>\n", to);
  if (is_list && !was_list) fputs("<div class=\"scroll\"><table class=\"list\">\n", to);
  if (is_picture && !was_picture) fputs("<div class=\"pictures\">\n", to);
}

static void put_record(FILE *to, const intro_record *r) {
  if (r->kind == INTRO_PICTURE) {
    put_picture(to, r);
  } else if (r->kind == INTRO_TEXT) {
    fputs("<p class=\"said\">", to);
    intro_put_escaped(to, r->text, strlen(r->text));
    fputs("</p>\n", to);
  } else if (r->value.kind == LESSON_PARAMETER) {
    put_parameter(to, r);
  } else {
    put_value(to, r);
  }
}

static void put_outputs(FILE *to, void *user, int line) {
  outputs *o = user;
  const intro_record *before = NULL;
  for (size_t i = 0; i < o->in->n; i++) {
    const intro_record *r = &o->in->records[i];
    if (r->section != o->section || r->line <= o->line || r->line > line) continue;
    if (!before) fputs("<div class=\"output\">\n", to);
    put_group_edge(to, before, r);
    put_record(to, r);
    before = r;
  }
  put_group_edge(to, before, NULL);
  if (before) fputs("</div>\n", to);
  o->line = line;
}

/* ---- the page -----------------------------------------------------------------------------------
 */

static void put_title(FILE *to, int section) {
  const char *title = intro_lessons[section].lesson->title;
  intro_put_escaped(to, title, strlen(title));
}

static void put_head(FILE *to, const introduction *in) {
  fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n"
        "<title>From tokens to a transformer layer, in C</title>\n<style>\n",
        to);
  fputs(intro_style, to);
  fputs("</style>\n<header>\n<h1>From tokens to a transformer layer</h1>\n"
        "<p class=\"lead\">The steps by which a language model gets from a text to the next token, "
        "each as a short piece of C, with every number that it computed and its picture.</p>\n"
        "<p>The code on this page is what ran: one small program for each section, over the "
        "public headers of limn (left out are the two lines that make it one). Numbers, parameters "
        "and random draws are those of PyTorch for the "
        "same seed, so each step can be laid beside the same lines of Python. Where the Python "
        "notebook that these sections follow goes wrong, or does what one would not expect, a "
        "<b>Surprise</b> says so.</p>\n",
        to);
  fprintf(to, "<p class=\"made\">Made by limn %s: <code>limn intro --seed %llu", limn_version(),
          (unsigned long long)in->seed);
  if (in->first == in->last) fprintf(to, " --section %d", in->first);
  fputs(" --out DIR</code></p>\n<nav><ul>\n", to);
  for (int i = in->first; i <= in->last; i++) {
    fprintf(to, "<li><a href=\"#section-%d\">", i);
    put_title(to, i);
    fputs("</a>\n", to);
  }
  fputs("</ul></nav>\n</header>\n<main>\n", to);
}

static void put_section(FILE *to, const introduction *in, int section) {
  const intro_lesson *l = &intro_lessons[section];
  outputs o = {.in = in, .section = section};
  fprintf(to, "<section id=\"section-%d\">\n<h2>", section);
  put_title(to, section);
  fputs("</h2>\n", to);
  intro_put_source(to, l->source, put_outputs, &o);
  fprintf(to,
          "<p class=\"made\">lessons/%s &middot; <code>limn intro --section %d</code></p>\n"
          "</section>\n",
          l->file, section);
}

static void put_page(FILE *to, const introduction *in) {
  put_head(to, in);
  for (int i = in->first; i <= in->last; i++)
    put_section(to, in, i);
  fputs("</main>\n</html>\n", to);
}

limn_status intro_write_page(const introduction *in, const char *path, limn_error *err) {
  char *page = NULL;
  size_t n = 0;
  FILE *to = open_memstream(&page, &n);
  if (to) put_page(to, in);
  bool is_whole = to && fclose(to) == 0;
  limn_status status = is_whole ? limn_file_write(path, page, n, err) : cli_no_memory(err);
  free(page);
  return status;
}
