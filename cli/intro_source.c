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

/* A comment from the line behind its opening on; returns the line behind its end. */
static const char *put_comment(FILE *to, const char *at, int *line, bool is_lead) {
  const char *close = "";
  for (;; at = line_end(at) + 1) {
    size_t n;
    const char *text = comment_text(at, line_end(at), &n);
    bool is_end = n == 1 && *text == '/', is_formula = n > 1 && *text == ' ';
    bool goes_on = n && !is_end && strcmp(close, is_formula ? "</pre>\n" : "</p>\n") == 0;
    ++*line;
    if (!goes_on) fputs(close, to);
    if (!goes_on) close = is_formula ? "</pre>\n" : n ? "</p>\n" : "";
    if (is_end || !*line_end(at)) return *line_end(at) ? line_end(at) + 1 : line_end(at);
    if (goes_on)
      fputc('\n', to);
    else if (is_formula)
      fputs("<pre class=\"formula\">", to);
    if (is_formula)
      intro_put_escaped(to, text, n);
    else if (goes_on)
      put_text(to, text, n);
    else if (n)
      put_first_line(to, text, n, is_lead);
    is_lead = is_lead && goes_on;
  }
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

void intro_put_source(FILE *to, const char *source, intro_outputs_fn put_outputs, void *user) {
  code_state s = {0};
  bool is_open = false; /* a block of code */
  int line = 0, n_empty = 0;
  for (const char *at = source; *at;) {
    const char *end = line_end(at);
    bool is_text = !s.is_in_comment && opens_comment(at, end),
         is_empty = at == end || is_left_out(at);
    line++;
    if (is_text && is_open) fputs("</code></pre>\n", to);
    if (is_text && is_open) put_outputs(to, user, line);
    if (is_text) {
      at = put_comment(to, end + (*end == '\n'), &line, line == 1);
      is_open = false;
      n_empty = 0;
      continue;
    }
    if (is_empty) n_empty++;
    if (!is_empty && !is_open) fputs("<pre class=\"code\"><code>", to);
    if (!is_empty && is_open && n_empty) fputc('\n', to);
    if (!is_empty) {
      bool was_inside = s.depth > 0;
      put_code_line(to, &s, at, (size_t)(end - at));
      is_open = true;
      n_empty = 0;
      if (was_inside && s.depth == 0) {
        fputs("</code></pre>\n", to);
        put_outputs(to, user, line);
        is_open = false;
      }
    }
    at = end + (*end == '\n');
  }
  if (is_open) fputs("</code></pre>\n", to);
  put_outputs(to, user, line);
}
