/*
 * base64.c - bytes as text, as files of ranks and tekken.json have them (RFC 4648, section 4).
 */
#include "tokenizer/base64.h"

int limn_base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool limn_base64_decode(const char *text, size_t n, limn_bytes *out) {
  size_t padding = n > 1 && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0;
  if (n == 0 || n % 4 != 0) return false;
  for (size_t i = 0; i < n; i += 4) {
    uint32_t group = 0;
    size_t used = i + 4 == n ? 4 - padding : 4;
    for (size_t k = 0; k < 4; k++) {
      int value = k < used ? limn_base64_value(text[i + k]) : 0;
      if (value < 0) return false;
      group = group << 6 | (uint32_t)value;
    }
    unsigned char three[3] = {(unsigned char)(group >> 16), (unsigned char)(group >> 8),
                              (unsigned char)group};
    limn_bytes_append(out, three, used - 1);
  }
  return true;
}
