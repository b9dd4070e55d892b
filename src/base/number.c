/*
 * number.c - numbers as text, the same in every locale.
 *
 * A float32 needs at most 9 significant decimal digits to read back as itself, and any decimal of
 * up to 6 digits survives the way through a float32 (for float64: 17 and 15; C11 5.2.4.2.2). So the
 * shortest text is found by printing 6 digits, reading them back, and adding a digit while the
 * result differs: %g drops trailing zeros by itself.
 */
#include "base/number.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

limn_locale limn_locale_enter(void) {
  pthread_once(&c_locale_once, make_c_locale);
  return c_locale ? uselocale(c_locale) : (locale_t)0;
}

void limn_locale_leave(limn_locale before) {
  if (before) uselocale(before);
}

static size_t format_special(char *out, double x) {
  const char *text = isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";
  size_t n = strlen(text);
  memcpy(out, text, n + 1);
  return n;
}

size_t limn_format_float(char out[LIMN_NUMBER_SIZE], float x) {
  if (!isfinite(x)) return format_special(out, (double)x);
  limn_locale before = limn_locale_enter();
  int n = 0;
  for (int digits = 6; digits <= 9; digits++) {
    n = snprintf(out, LIMN_NUMBER_SIZE, "%.*g", digits, (double)x);
    if (strtof(out, NULL) == x) break;
  }
  limn_locale_leave(before);
  return (size_t)n;
}

size_t limn_format_double(char out[LIMN_NUMBER_SIZE], double x) {
  if (!isfinite(x)) return format_special(out, x);
  limn_locale before = limn_locale_enter();
  int n = 0;
  for (int digits = 15; digits <= 17; digits++) {
    n = snprintf(out, LIMN_NUMBER_SIZE, "%.*g", digits, x);
    if (strtod(out, NULL) == x) break;
  }
  limn_locale_leave(before);
  return (size_t)n;
}

/* A NUL-terminated copy of a short text without white space; false when it cannot be a number. */
static bool copy_number(char *to, size_t capacity, const char *text, size_t n) {
  if (n == 0 || n >= capacity) return false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '.') return false;
  }
  memcpy(to, text, n);
  to[n] = '\0';
  return true;
}

bool limn_parse_double(const char *text, size_t n, double *out) {
  char copy[400];
  if (!copy_number(copy, sizeof copy, text, n) || strpbrk(copy, "xXpP")) return false;
  limn_locale before = limn_locale_enter();
  char *end;
  double x = strtod(copy, &end);
  limn_locale_leave(before);
  if (end != copy + n) return false;
  *out = x;
  return true;
}

bool limn_parse_int(const char *text, size_t n, int64_t *out) {
  size_t i = 0;
  bool is_negative = n > 0 && text[0] == '-';
  if (n > 0 && (text[0] == '-' || text[0] == '+')) i++;
  if (i == n) return false;
  int64_t x = 0;
  for (; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    int64_t digit = text[i] - '0';
    if (__builtin_mul_overflow(x, (int64_t)10, &x)) return false;
    if (__builtin_add_overflow(x, is_negative ? -digit : digit, &x)) return false;
  }
  *out = x;
  return true;
}
