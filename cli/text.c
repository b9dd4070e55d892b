/*
 * text.c - text in columns: how wide a character is, and how to show one that cannot be seen.
 *
 * A terminal gives most characters one column, East Asian wide ones and emoji two (Unicode Standard
 * Annex #11), combining marks none. The tables are the program's own, so that no locale has to be
 * set for them.
 */
#include "cli.h"

#include <string.h>

size_t cli_character(const unsigned char *at, size_t n, int32_t *code) {
  static const unsigned char lead[] = {0x00, 0xc0, 0xe0, 0xf0};
  static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
  size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
  *code = -1;
  if (length == 0 || length > n || at[0] > 0xf4) return 1;
  int32_t value = at[0] - lead[length - 1];
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xc0) != 0x80) return 1;
    value = value << 6 | (at[i] & 0x3f);
  }
  bool is_surrogate = value >= 0xd800 && value < 0xe000;
  if (value < least[length - 1] || value > 0x10ffff || is_surrogate) return 1;
  *code = value;
  return length;
}

typedef struct width_range {
  int32_t first, last;
} width_range;

#include "width_table.h"

/* The ranges are in order: halve until one is left. */
static bool is_in(const width_range *ranges, size_t n, int32_t code) {
  while (n > 1) {
    size_t half = n / 2;
    if (code >= ranges[half].first) {
      ranges += half;
      n -= half;
    } else {
      n = half;
    }
  }
  return code >= ranges->first && code <= ranges->last;
}

static int character_width(int32_t code) {
  if (code < 0x300) return 1;
  if (is_in(no_columns, sizeof no_columns / sizeof *no_columns, code)) return 0;
  return is_in(two_columns, sizeof two_columns / sizeof *two_columns, code) ? 2 : 1;
}

int cli_text_width(const char *text, size_t n) {
  int width = 0;
  for (size_t at = 0; at < n;) {
    int32_t code;
    at += cli_character((const unsigned char *)text + at, n - at, &code);
    width += code < 0 ? 1 : character_width(code);
  }
  return width;
}

/* The next piece of a visible text: bytes to print, their width, and how many were read. A
   combining mark at the very beginning has nothing to stand on and is escaped. */
typedef struct piece {
  char bytes[12];
  int width;
  size_t n_read;
} piece;

static piece visible_piece(const char *text, size_t n, bool is_first) {
  static const char letters[] = "abtnvfr"; /* 7 to 13 */
  piece p = {.width = 0};
  int32_t code;
  unsigned char byte = (unsigned char)text[0];
  p.n_read = cli_character((const unsigned char *)text, n, &code);
  bool is_control = (code >= 0 && code < 0x20) || (code >= 0x7f && code < 0xa0);
  if (code == '\t' || code == '\n' || code == '\r')
    p.width = snprintf(p.bytes, sizeof p.bytes, "\\%c", letters[code - 7]);
  else if (code < 0 || (is_control && code < 0x80))
    p.width = snprintf(p.bytes, sizeof p.bytes, "\\x%02x", byte);
  else if (is_control || code == 0xfeff || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
           (is_first && character_width(code) == 0))
    p.width = snprintf(p.bytes, sizeof p.bytes, "\\u%04x", (unsigned)code);
  else {
    memcpy(p.bytes, text, p.n_read);
    p.width = character_width(code);
  }
  return p;
}

int cli_visible_width(const char *text, size_t n) {
  int width = 0;
  for (size_t at = 0; at < n;) {
    piece p = visible_piece(text + at, n - at, at == 0);
    width += p.width;
    at += p.n_read;
  }
  return width;
}

bool cli_is_visible(const char *text, size_t n) {
  for (size_t at = 0; at < n;) {
    piece p = visible_piece(text + at, n - at, at == 0);
    if (p.bytes[0] == '\\' && text[at] != '\\' && text[at] != '\n') return false;
    at += p.n_read;
  }
  return true;
}

int cli_print_visible(FILE *to, const char *text, size_t n, int min_width, int max_width) {
  bool is_cut = max_width > 0 && cli_visible_width(text, n) > max_width;
  int room = is_cut ? max_width - 1 : -1, width = 0;
  for (size_t at = 0; at < n;) {
    piece p = visible_piece(text + at, n - at, at == 0);
    if (is_cut && width + p.width > room) break;
    fputs(p.bytes, to);
    width += p.width;
    at += p.n_read;
  }
  if (is_cut) {
    fputs("…", to);
    width++;
  }
  for (; width < min_width; width++)
    fputc(' ', to);
  return width;
}

static bool is_digit(char byte) {
  return byte >= '0' && byte <= '9';
}

/* Up to the next place for a line's end: 41 790 stays whole. */
static size_t word_length(const char *text) {
  size_t n = strcspn(text, " \n");
  while (n > 0 && text[n] == ' ' && is_digit(text[n - 1]) && is_digit(text[n + 1]))
    n += 1 + strcspn(text + n + 1, " \n");
  return n;
}

void cli_print_wrapped(FILE *to, const char *text, int indent, int at, int width) {
  bool is_line_start = true;
  for (; at < indent; at++)
    fputc(' ', to);
  while (*text) {
    size_t n = word_length(text);
    int columns = cli_text_width(text, n);
    if (!is_line_start && at + 1 + columns > width) {
      fprintf(to, "\n%*s", indent, "");
      at = indent;
      is_line_start = true;
    }
    if (!is_line_start) fputc(' ', to);
    fwrite(text, 1, n, to);
    at += columns + !is_line_start;
    is_line_start = false;
    text += n;
    text += strspn(text, " \n");
  }
  fputc('\n', to);
}

char *cli_group_digits(char out[32], int64_t x, char separator) {
  char digits[24];
  int n = snprintf(digits, sizeof digits, "%lld", (long long)x), used = 0;
  for (int i = 0; i < n; i++) {
    bool starts_group = i > 0 && (n - i) % 3 == 0 && digits[i - 1] != '-';
    if (separator && starts_group) out[used++] = separator;
    out[used++] = digits[i];
  }
  out[used] = '\0';
  return out;
}

/* The digits of a number; how many they are, 10 at most. */
static size_t put_digits(char *out, uint32_t x) {
  char digits[10];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + x % 10);
    x /= 10;
  } while (x > 0);
  memcpy(out, digits + at, sizeof digits - at);
  return sizeof digits - at;
}

/* By itself: printf takes ten times as long as encoding does. */
void cli_print_ids(const int32_t *ids, size_t n) {
  char line[8192];
  size_t used = 0;
  for (size_t i = 0; i < n; i++) {
    if (used > sizeof line - 12) {
      fwrite(line, 1, used, stdout);
      used = 0;
    }
    if (i > 0) line[used++] = ',';
    used += put_digits(line + used, (uint32_t)ids[i]);
  }
  line[used++] = '\n';
  fwrite(line, 1, used, stdout);
}

const char *cli_plural(int64_t n) {
  return n == 1 ? "" : "s";
}

char *cli_size_text(char out[32], uint64_t bytes) {
  static const char *const units[] = {"", "kB", "MB", "GB", "TB"};
  double x = (double)bytes;
  int unit = 0;
  for (; x >= 999.95 && unit < 4; unit++)
    x /= 1000;
  if (unit == 0)
    snprintf(out, 32, "%.0f byte%s", x, cli_plural((int64_t)bytes));
  else
    snprintf(out, 32, "%.1f %s", x, units[unit]);
  return out;
}
