/*
 * json.c - a streaming JSON writer (RFC 8259) that keeps no document.
 *
 * What a tensor of a million numbers needs is a comma between items and nothing remembered; so the
 * writer holds one flag per open bracket and a small buffer in front of the caller's function.
 * JSON has no infinities: they are the strings "inf", "-inf" and "nan".
 */
#include "base/memory.h"
#include "base/utf8.h"

#include <limn/io.h>
#include <math.h>
#include <string.h>

void limn_json_init(limn_json *j, limn_write_fn write, void *user, bool indent, limn_error *err) {
  memset(j, 0, sizeof *j);
  j->write = write;
  j->user = user;
  j->indent = indent;
  j->err = err;
}

static void flush(limn_json *j) {
  if (j->status == LIMN_OK && j->n_buffered)
    j->status = j->write(j->user, j->buffer, j->n_buffered, j->err);
  j->n_buffered = 0;
}

static void put(limn_json *j, const char *bytes, size_t n) {
  while (n > 0) {
    size_t room = sizeof j->buffer - j->n_buffered;
    size_t part = n < room ? n : room;
    memcpy(j->buffer + j->n_buffered, bytes, part);
    j->n_buffered += part;
    bytes += part;
    n -= part;
    if (j->n_buffered == sizeof j->buffer) flush(j);
  }
}

static void put_line(limn_json *j) {
  put(j, "\n", 1);
  for (int i = 0; i < j->depth; i++)
    put(j, "  ", 2);
}

/* Whatever stands between the last item and the one that comes now. */
static void separate(limn_json *j) {
  if (j->after_key) {
    j->after_key = false;
    return;
  }
  bool has_items = j->has_items[j->depth];
  if (has_items) put(j, ",", 1);
  j->has_items[j->depth] = true;
  if (!j->indent || j->depth == 0) return;
  if (!j->is_inline[j->depth])
    put_line(j);
  else if (has_items)
    put(j, " ", 1);
}

static void begin(limn_json *j, const char *bracket, bool is_inline) {
  separate(j);
  put(j, bracket, 1);
  if (j->depth + 1 >= LIMN_JSON_MAX_DEPTH) {
    if (j->status == LIMN_OK)
      j->status = limn_error_set(j->err, LIMN_ERROR_RANGE, LIMN_NO_OFFSET,
                                 "JSON nested deeper than %d levels", LIMN_JSON_MAX_DEPTH - 1);
    return;
  }
  bool was_inline = j->is_inline[j->depth];
  j->depth++;
  j->has_items[j->depth] = false;
  j->is_inline[j->depth] = is_inline || was_inline;
}

static void finish(limn_json *j, const char *bracket) {
  bool starts_line = j->indent && j->has_items[j->depth] && !j->is_inline[j->depth];
  if (j->depth > 0) j->depth--;
  if (starts_line) put_line(j);
  put(j, bracket, 1);
}

void limn_json_begin_object(limn_json *j) {
  begin(j, "{", false);
}

void limn_json_begin_inline_object(limn_json *j) {
  begin(j, "{", true);
}

void limn_json_end_object(limn_json *j) {
  finish(j, "}");
}

void limn_json_begin_array(limn_json *j) {
  begin(j, "[", false);
}

void limn_json_begin_inline_array(limn_json *j) {
  begin(j, "[", true);
}

void limn_json_end_array(limn_json *j) {
  finish(j, "]");
}

static void put_escape(limn_json *j, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
  switch (c) {
  case '"':
    put(j, "\\\"", 2);
    return;
  case '\\':
    put(j, "\\\\", 2);
    return;
  case '\n':
    put(j, "\\n", 2);
    return;
  case '\r':
    put(j, "\\r", 2);
    return;
  case '\t':
    put(j, "\\t", 2);
    return;
  default:
    put(j, escape, sizeof escape);
    return;
  }
}

static void put_string(limn_json *j, const char *text, size_t n) {
  const unsigned char *bytes = (const unsigned char *)text;
  put(j, "\"", 1);
  for (size_t at = 0; at < n;) {
    int32_t code;
    size_t length = limn_utf8_decode(bytes + at, n - at, &code);
    if (code < 0)
      put(j, "\xef\xbf\xbd", 3);
    else if (code < 0x20 || code == '"' || code == '\\' || code == 0x7f)
      put_escape(j, bytes[at]);
    else
      put(j, text + at, length);
    at += length;
  }
  put(j, "\"", 1);
}

void limn_json_key(limn_json *j, const char *key) {
  separate(j);
  put_string(j, key, strlen(key));
  put(j, j->indent ? ": " : ":", j->indent ? 2 : 1);
  j->after_key = true;
}

void limn_json_string(limn_json *j, const char *text, size_t n) {
  separate(j);
  put_string(j, text, n);
}

static void put_word(limn_json *j, const char *word) {
  separate(j);
  put(j, word, strlen(word));
}

void limn_json_cstring(limn_json *j, const char *text) {
  if (text)
    limn_json_string(j, text, strlen(text));
  else
    put_word(j, "null");
}

/* Minus zero gets its point, without which readers take it for the integer 0. */
static void put_number(limn_json *j, double x, const char *text, size_t n) {
  separate(j);
  if (!isfinite(x)) put(j, "\"", 1);
  put(j, text, n);
  if (!isfinite(x)) put(j, "\"", 1);
  if (x == 0 && signbit(x)) put(j, ".0", 2);
}

void limn_json_float(limn_json *j, float x) {
  char text[LIMN_NUMBER_SIZE];
  size_t n = limn_format_float(text, x);
  put_number(j, (double)x, text, n);
}

void limn_json_double(limn_json *j, double x) {
  char text[LIMN_NUMBER_SIZE];
  size_t n = limn_format_double(text, x);
  put_number(j, x, text, n);
}

void limn_json_int(limn_json *j, int64_t x) {
  char text[24];
  size_t at = sizeof text;
  uint64_t rest = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
  do {
    text[--at] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  if (x < 0) text[--at] = '-';
  separate(j);
  put(j, text + at, sizeof text - at);
}

void limn_json_bool(limn_json *j, bool x) {
  put_word(j, x ? "true" : "false");
}

void limn_json_null(limn_json *j) {
  put_word(j, "null");
}

limn_status limn_json_end(limn_json *j) {
  put(j, "\n", 1);
  flush(j);
  return j->status;
}
