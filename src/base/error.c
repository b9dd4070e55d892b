/*
 * error.c - one status, one line of text.
 *
 * A message may quote anything: a tensor's name out of a damaged file, a path, what a user typed.
 * So the text is cleaned as it is stored: valid UTF-8 passes, control characters and stray bytes
 * become \xNN, and what does not fit ends in "..." at a character's edge.
 */
#include "base/number.h"
#include "base/utf8.h"

#include <limn/base.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIMN_STRINGIFY_(x) #x
#define LIMN_STRINGIFY(x)  LIMN_STRINGIFY_(x)

const char *limn_version(void) {
  return LIMN_STRINGIFY(LIMN_VERSION_MAJOR) "." LIMN_STRINGIFY(
      LIMN_VERSION_MINOR) "." LIMN_STRINGIFY(LIMN_VERSION_PATCH);
}

const char *limn_status_name(limn_status status) {
  switch (status) {
  case LIMN_OK:
    return "ok";
  case LIMN_ERROR_MEMORY:
    return "out of memory";
  case LIMN_ERROR_IO:
    return "input or output failed";
  case LIMN_ERROR_NOT_FOUND:
    return "not found";
  case LIMN_ERROR_FORMAT:
    return "malformed";
  case LIMN_ERROR_UNSUPPORTED:
    return "unsupported";
  case LIMN_ERROR_SHAPE:
    return "wrong shape";
  case LIMN_ERROR_RANGE:
    return "out of range";
  case LIMN_ERROR_ARGUMENT:
    return "not understood";
  case LIMN_ERROR_CONTEXT:
    return "beyond the context window";
  case LIMN_ERROR_CANCELLED:
    return "cancelled";
  }
  return "unknown status";
}

/* C0, DEL, and C1, which terminals obey as well; stray bytes have the code -1. */
static bool is_control(int32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* One character as it is, or each of its bytes as \xNN; returns the size of the piece. */
static size_t clean_piece(char piece[8], const unsigned char *from, size_t n, bool is_escaped) {
  static const char hex[] = "0123456789abcdef";
  if (!is_escaped) {
    memcpy(piece, from, n);
    return n;
  }
  for (size_t i = 0; i < n; i++) {
    char *to = piece + 4 * i;
    to[0] = '\\', to[1] = 'x', to[2] = hex[from[i] >> 4], to[3] = hex[from[i] & 15];
  }
  return 4 * n;
}

/* Copies `from` into `to` piece by piece, a piece being one character or one escape. */
static void store_clean(char *to, size_t capacity, const char *from) {
  size_t room = capacity - 4; /* for "..." and the NUL */
  size_t n = strlen(from), at = 0, used = 0;
  while (at < n) {
    int32_t code;
    const unsigned char *here = (const unsigned char *)from + at;
    size_t length = limn_utf8_decode(here, n - at, &code);
    char piece[8]; /* what is escaped has one byte or two */
    size_t piece_size = clean_piece(piece, here, length, is_control(code));
    if (used + piece_size > room) break;
    memcpy(to + used, piece, piece_size);
    used += piece_size;
    at += length;
  }
  if (at < n) {
    memcpy(to + used, "...", 3);
    used += 3;
  }
  to[used] = '\0';
}

limn_status limn_error_set(limn_error *err, limn_status status, uint64_t offset, const char *format,
                           ...) {
  if (!err) return status;
  /* Longer than the text, so that what vsnprintf cuts off is beyond what is kept. */
  char raw[2 * LIMN_ERROR_TEXT_SIZE];
  va_list args;
  va_start(args, format);
  limn_locale before = limn_locale_enter();
  int length = vsnprintf(raw, sizeof raw, format, args);
  limn_locale_leave(before);
  va_end(args);
  if (length < 0) raw[0] = '\0';
  err->status = status;
  err->offset = offset;
  store_clean(err->text, sizeof err->text, raw);
  return status;
}
