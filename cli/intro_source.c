/*
 * intro_source.c - a lesson's C file as a piece of a web page.
 *
 * The lessons are written to be read from top to bottom, so the page is the file itself: a comment
 * that begins with a line of its own is text for the reader, everything between is code. What the
 * code showed when it ran stands behind the function that showed it.
 */
#include "intro.h"

#include <ctype.h>

/* ---- escaping -----------------------------------------------------------------------------------
 */

void intro_put_escaped(FILE *to, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    switch (text[i]) {
    case '<':
      fputs("&lt;", to);
      break;
    case '>':
      fputs("&gt;", to);
      break;
    case '&':
      fputs("&amp;", to);
      break;
    case '"':
      fputs("&quot;", to);
      break;
    default:
      fputc(text[i], to);
    }
  }
}

static void put_span(FILE *to, const char *name, const char *text, size_t n) {
  fprintf(to, "<span class=\"%s\">", name);
  intro_put_escaped(to, text, n);
  fputs("</span>", to);
}

/* ---- code ---------------------------------------------------------------------------------------
 */

static bool is_word(const char *word, size_t n, const char *const *words) {
  for (; *words; words++)
    if (strlen(*words) == n && memcmp(*words, word, n) == 0) return true;
  return false;
}

static const char *class_of_name(const char *name, size_t n) {
  static const char *const keywords[] = {
      "break",   "case",     "char",   "const",  "double", "else",   "enum",
      "extern",  "float",    "for",    "if",     "int",    "return", "sizeof",
      "bool",    "static",   "struct", "switch", "void",   "size_t", "int32_t",
      "int64_t", "uint64_t", "while",  "true",   "false",  "NULL",   NULL};
  static const char *const shows[] = {"SHOW", "SHOW_NUMBER", "PARAM", "ASIDE", "SAY", NULL};
  if (is_word(name, n, keywords)) return "k";
  if (is_word(name, n, shows)) return "m";
  return n > 5 && memcmp(name, "limn_", 5) == 0 ? "l" : NULL;
}

/* What is left of a piece of code on its line: a string, a name, a number, or one character. */
static size_t token_length(const char *at, size_t n) {
  size_t i = 1;
  if (*at == '"' || *at == '\'') {
    while (i < n && at[i] != *at)
      i += at[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
  }
  if (!isalnum((unsigned char)*at) && *at != '_') return 1;
  bool is_number = isdigit((unsigned char)*at) != 0;
  while (i < n && (isalnum((unsigned char)at[i]) || at[i] == '_' || (is_number && at[i] == '.')))
    i++;
  return i;
}

/* What is known of the code read so far. */
typedef struct code_state {
  int depth; /* of braces */
  bool is_in_comment;
} code_state;

/* The end of a comment on this line, or all of it. */
static size_t comment_length(code_state *s, const char *at, size_t n) {
  for (size_t i = s->is_in_comment ? 0 : 2; i + 1 < n; i++) {
    if (at[i] != '*' || at[i + 1] != '/') continue;
    s->is_in_comment = false;
    return i + 2;
  }
  s->is_in_comment = true;
  return n;
}

static void put_token(FILE *to, const char *at, size_t n) {
  const char *name = NULL;
  if (*at == '"' || *at == '\'')
    name = "s";
  else if (isdigit((unsigned char)*at))
    name = "n";
  else if (isalpha((unsigned char)*at))
    name = class_of_name(at, n);
  if (name)
    put_span(to, name, at, n);
  else
    intro_put_escaped(to, at, n);
}

static void put_code_line(FILE *to, code_state *s, const char *line, size_t n) {
  if (!s->is_in_comment && n && *line == '#') {
    put_span(to, "p", line, n);
    n = 0;
  }
  for (size_t i = 0; i < n;) {
    bool is_comment = s->is_in_comment || (i + 1 < n && line[i] == '/' && line[i + 1] == '*');
    size_t length = is_comment ? comment_length(s, line + i, n - i) : token_length(line + i, n - i);
    if (is_comment)
      put_span(to, "c", line + i, length);
    else
      put_token(to, line + i, length);
    s->depth += !is_comment && line[i] == '{';
    s->depth -= !is_comment && line[i] == '}';
    i += length;
  }
  fputc('\n', to);
}

/* ---- text ---------------------------------------------------------------------------------------
 */

static const char *line_end(const char *at) {
  return at + strcspn(at, "\n");
}

/* What stands on a line of a comment behind its star. */
static const char *comment_text(const char *line, const char *end, size_t *n) {
  while (line < end && *line == ' ')
    line++;
  if (line < end && *line == '*') line++;
  if (line < end && *line == ' ') line++;
  while (end > line && end[-1] == ' ')
    end--;
  *n = (size_t)(end - line);
  return line;
}

/* Text where `code` stands between backquotes. */
static void put_text(FILE *to, const char *text, size_t n) {
  static bool is_code; /* a pair may stand on two lines */
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '`') {
      intro_put_escaped(to, text + i, 1);
      continue;
    }
    is_code = !is_code;
    fputs(is_code ? "<code>" : "</code>", to);
  }
}

/* The first paragraph of a file is "3_attention.c - its idea". */
static void put_first_line(FILE *to, const char *text, size_t n, bool is_lead) {
  static const char surprise[] = "Surprise: ";
  const char *dash = is_lead ? strstr(text, " - ") : NULL;
  if (dash && dash < text + n) {
    fprintf(to, "<p class=\"lead\">%c", toupper((unsigned char)dash[3]));
    put_text(to, dash + 4, n - (size_t)(dash + 4 - text));
  } else if (n > sizeof surprise && memcmp(text, surprise, sizeof surprise - 1) == 0) {
    fputs("<p class=\"surprise\"><b>Surprise.</b> ", to);
    fputc(toupper((unsigned char)text[sizeof surprise - 1]), to);
    put_text(to, text + sizeof surprise, n - sizeof surprise);
  } else {
    fputs("<p>", to);
    put_text(to, text, n);
  }
}

static void put_comment_line(FILE *to, const char *text, size_t n, bool is_formula, bool goes_on,
                             bool is_lead) {
  if (goes_on)
    fputc('\n', to);
  else if (is_formula)
    fputs("<pre class=\"formula\">", to);
  if (is_formula)
    intro_put_escaped(to, text, n);
  else if (goes_on)
    put_text(to, text, n);
  else
    put_first_line(to, text, n, is_lead);
}

/* A comment from the line behind its opening on, counting lines; returns what is behind it. */
static const char *put_comment(FILE *to, const char *at, int *line, bool is_lead) {
  const char *close = "";
  for (bool is_end = false; *at && !is_end; ++*line) {
    const char *end = line_end(at), *next;
    size_t n;
    const char *text = comment_text(at, end, &n);
    is_end = (n == 1 && *text == '/') || (n > 1 && memcmp(text + n - 2, "*/", 2) == 0);
    if (is_end) n -= n > 1 ? 2 : 1;
    bool is_formula = n > 0 && *text == ' ';
    next = n == 0 ? "" : is_formula ? "</pre>\n" : "</p>\n";
    bool goes_on = n > 0 && strcmp(next, close) == 0;
    if (!goes_on) fputs(close, to);
    if (n) put_comment_line(to, text, n, is_formula, goes_on, is_lead);
    is_lead = is_lead && n == 0;
    close = next;
    at = end + (*end == '\n');
  }
  fputs(close, to);
  return at;
}

/* ---- a file -------------------------------------------------------------------------------------
 */

/* The lines that make a program of a lesson say nothing to a reader. */
static bool is_left_out(const char *line) {
  static const char first[] = "#include \"lesson.h\"", last[] = "LESSON(";
  return strncmp(line, first, sizeof first - 1) == 0 || strncmp(line, last, sizeof last - 1) == 0;
}

static bool opens_comment(const char *line, const char *end) {
  while (line < end && *line == ' ')
    line++;
  return end - line == 2 && line[0] == '/' && line[1] == '*';
}

/* A page being written: where it is, and whether a block of code is open. */
typedef struct walk {
  FILE *to;
  code_state code;
  bool is_open;
  int line, n_empty; /* lines read; of them empty, not yet written */
} walk;

static void close_code(walk *w) {
  if (w->is_open) fputs("</code></pre>\n", w->to);
  w->is_open = false;
  w->n_empty = 0;
}

/* Returns whether a function ended here. */
static bool add_code(walk *w, const char *line, size_t n) {
  bool was_inside = w->code.depth > 0;
  if (!w->is_open)
    fputs("<pre class=\"code\"><code>", w->to);
  else if (w->n_empty)
    fputc('\n', w->to);
  put_code_line(w->to, &w->code, line, n);
  w->is_open = true;
  w->n_empty = 0;
  return was_inside && w->code.depth == 0;
}

void intro_put_source(FILE *to, const char *source, intro_outputs_fn put_outputs, void *user) {
  walk w = {.to = to};
  for (const char *at = source; *at;) {
    const char *end = line_end(at), *next = end + (*end == '\n');
    bool is_text = !w.code.is_in_comment && opens_comment(at, end);
    bool is_end = is_text && w.is_open;
    w.line++;
    if (!is_text && (at == end || is_left_out(at)))
      w.n_empty++;
    else if (!is_text)
      is_end = add_code(&w, at, (size_t)(end - at));
    if (is_end || is_text) close_code(&w);
    if (is_end) put_outputs(to, user, w.line);
    at = is_text ? put_comment(to, next, &w.line, w.line == 1) : next;
  }
  close_code(&w);
  put_outputs(to, user, w.line);
}
