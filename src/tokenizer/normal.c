/*
 * normal.c - Unicode's composed form, NFC (Unicode Standard Annex 15), and where each byte was.
 *
 * A text falls into groups: a character that never joins what is before it, and the marks (or
 * Hangul letters) behind it. Within a group characters are taken apart, the marks sorted by their
 * combining class, and put together again as far as pairs compose. Most groups are one character
 * and pass unchanged; a text of only such is recognised without copying it.
 */
#include "tokenizer/normal.h"

#include "base/utf8.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

#define MAY_CHANGE 256u

/* Hangul syllables compose by arithmetic (the Unicode Standard, section 3.12). */
enum {
  L_BASE = 0x1100,
  V_BASE = 0x1161,
  T_BASE = 0x11a7,
  S_BASE = 0xac00,
  L_COUNT = 19,
  V_COUNT = 21,
  T_COUNT = 28,
  S_COUNT = 11172
};

/* ---- properties -------------------------------------------------------------------------------
 */

const char limn_category_names[LIMN_N_CATEGORIES][3] = {
    "Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl",
    "No", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"};

/* The value of the run that `code` lies in; a run is its start times `scale`, and the value. */
static uint32_t run_value(const uint32_t *runs, size_t n, uint32_t code, uint32_t scale) {
  size_t low = 0, high = n;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (runs[middle] / scale <= code)
      low = middle;
    else
      high = middle;
  }
  return runs[low] % scale;
}

limn_category limn_category_of(uint32_t code) {
  return (limn_category)run_value(limn_category_runs, limn_n_category_runs, code, 32);
}

bool limn_is_space(uint32_t code) {
  return limn_char_class_of(code) == LIMN_CHAR_SPACE;
}

bool limn_is_word(uint32_t code) {
  /* Alphabetic beyond letters, marks and letter numbers: circled and squared Latin letters. */
  if ((code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
      (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189))
    return true;
  if (code == 0x200c || code == 0x200d) return true;
  limn_category c = limn_category_of(code);
  return (c >= LIMN_LL && c <= LIMN_NL) || c == LIMN_PC;
}

/* The canonical combining class, and MAY_CHANGE. */
static uint32_t order_of(uint32_t code) {
  if (code < 0x300 || (code >= 0x3400 && code < 0xa000) || (code >= 0xac00 && code < 0xd7a4))
    return 0;
  return run_value(limn_order_runs, limn_n_order_runs, code, 512);
}

/* ---- texts with origins ------------------------------------------------------------------------
 */

static bool reserve(limn_mapped *m, size_t extra) {
  size_t wanted;
  if (!limn_size_add(m->n, extra, &wanted)) return false;
  if (wanted <= m->capacity && m->capacity > 0) return true;
  size_t capacity = m->capacity < 64 ? 64 : m->capacity;
  while (capacity < wanted) {
    if (!limn_size_mul(capacity, 2, &capacity)) return false;
  }
  unsigned char *text = limn_resize(m->text, capacity, 1);
  if (text) m->text = text;
  size_t *map = limn_resize(m->map, capacity, sizeof *map);
  if (map) m->map = map;
  if (!text || !map) return false;
  m->capacity = capacity;
  return true;
}

bool limn_mapped_append(limn_mapped *m, const void *bytes, size_t n, size_t origin) {
  if (!reserve(m, n)) return false;
  if (n > 0) memcpy(m->text + m->n, bytes, n);
  for (size_t i = 0; i < n; i++)
    m->map[m->n + i] = origin;
  m->n += n;
  return true;
}

bool limn_mapped_append_view(limn_mapped *m, limn_view v) {
  if (!reserve(m, v.n)) return false;
  if (v.n > 0) memcpy(m->text + m->n, v.text, v.n);
  for (size_t i = 0; i < v.n; i++)
    m->map[m->n + i] = limn_view_origin(v, i);
  m->n += v.n;
  return true;
}

limn_view limn_mapped_view(const limn_mapped *m) {
  return (limn_view){m->text, m->n, m->map, 0};
}

void limn_mapped_deinit(limn_mapped *m) {
  limn_free(m->text);
  limn_free(m->map);
  *m = (limn_mapped){0};
}

/* ---- groups ------------------------------------------------------------------------------------
 */

void limn_nfc_deinit(limn_nfc *s) {
  limn_free(s->chars);
  limn_free(s->origins);
  *s = (limn_nfc){0};
}

bool limn_nfc_holds(const unsigned char *text, size_t n) {
  for (size_t at = 0; at < n;) {
    int32_t code;
    if (text[at] < 0xcc) { /* below U+0300, or no character */
      at++;
      continue;
    }
    at += limn_utf8_decode(text + at, n - at, &code);
    if (code >= 0 && order_of((uint32_t)code) != 0) return false;
  }
  return true;
}

static bool add_char(limn_nfc *s, uint32_t code, size_t origin) {
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 32;
    limn_nfc_char *chars = limn_resize(s->chars, capacity, sizeof *chars);
    if (chars) s->chars = chars;
    size_t *origins = limn_resize(s->origins, capacity, sizeof *origins);
    if (origins) s->origins = origins;
    if (!chars || !origins) return false;
    s->capacity = capacity;
  }
  s->chars[s->n] = (limn_nfc_char){code, order_of(code) % MAY_CHANGE, s->n, origin};
  s->n++;
  return true;
}

static bool add_hangul(limn_nfc *s, uint32_t code, size_t origin) {
  uint32_t index = code - S_BASE, t = index % T_COUNT;
  return add_char(s, L_BASE + index / (V_COUNT * T_COUNT), origin) &&
         add_char(s, V_BASE + index / T_COUNT % V_COUNT, origin) &&
         (t == 0 || add_char(s, T_BASE + t, origin));
}

/* The place of `wanted` in a sorted table, or n. */
static size_t find_code(const uint32_t *codes, size_t n, uint32_t wanted) {
  size_t low = 0, high = n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (codes[middle] == wanted) return middle;
    if (codes[middle] < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return n;
}

static bool add_decomposed(limn_nfc *s, uint32_t code, size_t origin) {
  if (code >= S_BASE && code < S_BASE + S_COUNT) return add_hangul(s, code, origin);
  size_t i = find_code(limn_decomposed, limn_n_decomposed, code);
  if (i == limn_n_decomposed) return add_char(s, code, origin);
  for (size_t k = limn_decomposition_starts[i]; k < limn_decomposition_starts[i + 1]; k++) {
    if (!add_char(s, limn_decompositions[k], origin)) return false;
  }
  return true;
}

/* What two characters compose to, or 0. */
static uint32_t composed(uint32_t first, uint32_t second) {
  if (first - L_BASE < L_COUNT && second - V_BASE < V_COUNT)
    return S_BASE + ((first - L_BASE) * V_COUNT + second - V_BASE) * T_COUNT;
  if (first - S_BASE < S_COUNT && (first - S_BASE) % T_COUNT == 0 && second > T_BASE &&
      second < T_BASE + T_COUNT)
    return first + second - T_BASE;
  uint64_t wanted = (uint64_t)first << 21 | second;
  size_t low = 0, high = limn_n_composed;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (limn_composed_pairs[middle] == wanted) return limn_composed[middle];
    if (limn_composed_pairs[middle] < wanted)
      low = middle + 1;
    else
      high = middle;
  }
  return 0;
}

static int compare_order(const void *a, const void *b) {
  const limn_nfc_char *x = a, *y = b;
  if (x->order != y->order) return x->order < y->order ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

/* Sorts each run of marks by their classes. */
static void sort_marks(limn_nfc *s) {
  for (size_t start = 0, end; start < s->n; start = end + (end == start)) {
    for (end = start; end < s->n && s->chars[end].order > 0; end++) {
    }
    if (end - start > 1) qsort(s->chars + start, end - start, sizeof *s->chars, compare_order);
  }
}

/* Puts together what composes; a mark reaches its base unless one of its class or above is between.
 */
static void compose(limn_nfc *s) {
  size_t n = 0, base = SIZE_MAX;
  int64_t last = -1; /* class of what is between, -1 for nothing */
  for (size_t i = 0; i < s->n; i++) {
    limn_nfc_char c = s->chars[i];
    uint32_t both = base < n && last < (int64_t)c.order ? composed(s->chars[base].code, c.code) : 0;
    if (both) {
      s->chars[base].code = both;
      continue;
    }
    if (c.order == 0) base = n;
    last = c.order == 0 ? -1 : (int64_t)c.order;
    s->chars[n++] = c;
  }
  s->n = n;
}

static bool append_char(limn_mapped *out, uint32_t code, size_t origin) {
  unsigned char bytes[4];
  size_t n = limn_utf8_encode(code, bytes);
  return limn_mapped_append(out, bytes, n, origin);
}

static int compare_origin(const void *a, const void *b) {
  const size_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

/*
 * Writes the group and empties it. Marks that changed places take each other's origins, so that
 * origins never go back.
 */
static bool flush(limn_nfc *s, limn_mapped *out) {
  sort_marks(s);
  compose(s);
  for (size_t i = 0; i < s->n; i++)
    s->origins[i] = s->chars[i].origin;
  if (s->n > 1) qsort(s->origins, s->n, sizeof *s->origins, compare_origin);
  for (size_t i = 0; i < s->n; i++) {
    if (!append_char(out, s->chars[i].code, s->origins[i])) return false;
  }
  s->n = 0;
  return true;
}

bool limn_nfc_append(limn_nfc *s, limn_view v, limn_mapped *out) {
  size_t length;
  s->n = 0;
  for (size_t at = 0; at < v.n; at += length) {
    int32_t code;
    length = limn_utf8_decode(v.text + at, v.n - at, &code);
    if (code < 0) {
      if (!flush(s, out) || !limn_mapped_append_view(out, limn_view_part(v, at, at + 1)))
        return false;
      continue;
    }
    if (order_of((uint32_t)code) == 0 && !flush(s, out)) return false;
    if (!add_decomposed(s, (uint32_t)code, limn_view_origin(v, at))) return false;
  }
  return flush(s, out);
}
