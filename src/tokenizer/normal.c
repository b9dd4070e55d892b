/*
 * normal.c - Unicode's normal forms (Unicode Standard Annex 15), and where each byte was.
 *
 * A text falls into groups: a character that never joins what is before it, and the marks (or
 * Hangul letters) behind it. Within a group characters are taken apart, the marks sorted by their
 * combining class, and, for the composed forms, put together again as far as pairs compose. Most
 * groups are one character and pass unchanged; a text of only such is recognised without copying
 * it.
 */
#include "tokenizer/normal.h"

#include "base/utf8.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

/* What a character's properties are: the rank of its canonical combining class, and flags. */
#define ORDERS       64u
#define NFC_CHANGES  64u /* alone it is another character in NFC */
#define NFKC_CHANGES 128u
#define DECOMPOSES   256u /* in NFKD at least */
#define JOINS        512u /* may compose with, or sort before, what stands in front of it */
#define PROPERTIES   1024u

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

static bool is_syllable(uint32_t code) {
  return code >= S_BASE && code < S_BASE + S_COUNT;
}

/* Syllables of Hangul, which decompose too, are known by their numbers. */
static uint32_t properties_of(uint32_t code) {
  if (code < 0xa0 || (code >= 0x3400 && code < 0xa000) || is_syllable(code)) return 0;
  return run_value(limn_order_runs, limn_n_order_runs, code, PROPERTIES);
}

/* Whether what is before the character has nothing to do with it. */
static bool is_boundary(uint32_t code) {
  return (properties_of(code) & (JOINS | (ORDERS - 1))) == 0;
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

void limn_normal_deinit(limn_normal *s) {
  limn_free(s->chars);
  limn_free(s->origins);
  *s = (limn_normal){0};
}

bool limn_form_holds(limn_form form, const unsigned char *text, size_t n) {
  static const uint32_t changes[] = {NFC_CHANGES, DECOMPOSES, NFKC_CHANGES, DECOMPOSES};
  const uint32_t bad = changes[form] | JOINS | (ORDERS - 1);
  const unsigned char first = form == LIMN_NFC ? 0xcc : 0xc2; /* U+0300, U+0080 */
  for (size_t at = 0; at < n;) {
    int32_t code;
    if (text[at] < first) { /* or no character */
      at++;
      continue;
    }
    at += limn_utf8_decode(text + at, n - at, &code);
    if (code < 0) continue;
    if (properties_of((uint32_t)code) & bad) return false;
    if ((bad & DECOMPOSES) && is_syllable((uint32_t)code)) return false;
  }
  return true;
}

static bool add_char(limn_normal *s, uint32_t code, int64_t extra) {
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 32;
    limn_normal_char *chars = limn_resize(s->chars, capacity, sizeof *chars);
    if (chars) s->chars = chars;
    size_t *origins = limn_resize(s->origins, capacity, sizeof *origins);
    if (origins) s->origins = origins;
    if (!chars || !origins) return false;
    s->capacity = capacity;
  }
  s->chars[s->n] = (limn_normal_char){code, properties_of(code) % ORDERS, s->n, extra};
  s->n++;
  return true;
}

static bool add_hangul(limn_normal *s, uint32_t code) {
  uint32_t index = code - S_BASE, t = index % T_COUNT;
  return add_char(s, L_BASE + index / (V_COUNT * T_COUNT), 0) &&
         add_char(s, V_BASE + index / T_COUNT % V_COUNT, 1) &&
         (t == 0 || add_char(s, T_BASE + t, 1));
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

/* Adds the characters of the i-th decomposition. */
static bool add_parts(limn_normal *s, const uint32_t *parts, const uint16_t *starts, size_t i) {
  for (size_t k = starts[i]; k < starts[i + 1]; k++) {
    if (!add_char(s, parts[k], k > starts[i])) return false;
  }
  return true;
}

static bool add_decomposed(limn_normal *s, bool is_compatible, uint32_t code) {
  if (is_syllable(code)) return add_hangul(s, code);
  if (!(properties_of(code) & DECOMPOSES)) return add_char(s, code, 0);
  size_t i = is_compatible
                 ? find_code(limn_compatible_decomposed, limn_n_compatible_decomposed, code)
                 : limn_n_compatible_decomposed;
  if (i < limn_n_compatible_decomposed)
    return add_parts(s, limn_compatible_decompositions, limn_compatible_starts, i);
  i = find_code(limn_canonical_decomposed, limn_n_canonical_decomposed, code);
  if (i < limn_n_canonical_decomposed)
    return add_parts(s, limn_canonical_decompositions, limn_canonical_starts, i);
  return add_char(s, code, 0);
}

/* There is room: a character is at least one when it is taken apart. */
static bool add_original(limn_normal *s, bool is_compatible, uint32_t code, size_t origin) {
  if (!add_decomposed(s, is_compatible, code)) return false;
  s->origins[s->n_origins++] = origin;
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
  const limn_normal_char *x = a, *y = b;
  if (x->order != y->order) return x->order < y->order ? -1 : 1;
  return x->place < y->place ? -1 : x->place > y->place;
}

/* Sorts each run of marks by their classes. */
static void sort_marks(limn_normal *s) {
  for (size_t start = 0, end; start < s->n; start = end + (end == start)) {
    for (end = start; end < s->n && s->chars[end].order > 0; end++) {
    }
    if (end - start > 1) qsort(s->chars + start, end - start, sizeof *s->chars, compare_order);
  }
}

/* Puts together what composes; a mark reaches its base unless one of its class or above is between.
 */
static void compose(limn_normal *s) {
  size_t n = 0, base = SIZE_MAX;
  int64_t last = -1; /* class of what is between, -1 for nothing */
  for (size_t i = 0; i < s->n; i++) {
    limn_normal_char c = s->chars[i];
    uint32_t both = base < n && last < (int64_t)c.order ? composed(s->chars[base].code, c.code) : 0;
    if (both) {
      s->chars[base].code = both;
      s->chars[base].extra += c.extra - 1;
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

/* Whether the group is one character that the form leaves as it is. */
static bool is_unchanged(const limn_normal *s, limn_view group) {
  int32_t code;
  return s->n == 1 && s->n_origins == 1 &&
         limn_utf8_decode(group.text, group.n, &code) == group.n &&
         s->chars[0].code == (uint32_t)code;
}

/*
 * The characters of the text are dealt out from left to right, as Hugging Face's library does: one
 * for each that is written, as many more as it was joined with, and none for those that a
 * decomposition adds, which come from the last that was dealt.
 */
static bool write_group(const limn_normal *s, limn_mapped *out) {
  size_t next = 0; /* of the characters of the text; as many as all the others ask for */
  for (size_t i = 0; i < s->n; i++) {
    limn_normal_char c = s->chars[i];
    if (!append_char(out, c.code, s->origins[next - (c.extra > 0 && next > 0)])) return false;
    if (c.extra <= 0) next += (size_t)(1 - c.extra);
  }
  return true;
}

/* Writes the group, which is that part of the text, and empties it. */
static bool flush(limn_normal *s, bool is_composed, limn_view group, limn_mapped *out) {
  sort_marks(s);
  if (is_composed) compose(s);
  bool is_done = is_unchanged(s, group) ? limn_mapped_append_view(out, group) : write_group(s, out);
  s->n = s->n_origins = 0;
  return is_done;
}

bool limn_form_append(limn_normal *s, limn_form form, limn_view v, limn_mapped *out) {
  const bool is_composed = form == LIMN_NFC || form == LIMN_NFKC;
  const bool is_compatible = form == LIMN_NFKC || form == LIMN_NFKD;
  size_t length, start = 0;
  s->n = s->n_origins = 0;
  for (size_t at = 0; at < v.n; at += length) {
    int32_t code;
    length = limn_utf8_decode(v.text + at, v.n - at, &code);
    if (code < 0 || is_boundary((uint32_t)code)) {
      if (!flush(s, is_composed, limn_view_part(v, start, at), out)) return false;
      start = code < 0 ? at + 1 : at;
    }
    bool is_done = code < 0
                       ? limn_mapped_append_view(out, limn_view_part(v, at, at + 1))
                       : add_original(s, is_compatible, (uint32_t)code, limn_view_origin(v, at));
    if (!is_done) return false;
  }
  return flush(s, is_composed, limn_view_part(v, start, v.n), out);
}

size_t limn_form_boundary(const unsigned char *text, size_t n) {
  for (size_t at = n; at-- > 0;) {
    int32_t code;
    if ((text[at] & 0xc0) == 0x80) continue; /* inside a character, or no beginning for certain */
    limn_utf8_decode(text + at, n - at, &code);
    if (code >= 0 && is_boundary((uint32_t)code)) return at;
  }
  return 0;
}

/* ---- characters one by one ---------------------------------------------------------------------
 */

/* The lower case of a character: its length as UTF-8, 0 where it is its own. */
static size_t lower_of(uint32_t code, unsigned char out[8]) {
  if (code < 128 && (code < 'A' || code > 'Z')) return 0;
  if (code == 0x130) { /* the one with two characters: i and a dot above */
    memcpy(out, "i\xcc\x87", 3);
    return 3;
  }
  size_t i = find_code(limn_lowered, limn_n_lowered, code);
  return i < limn_n_lowered ? limn_utf8_encode(limn_lower_cases[i], out) : 0;
}

bool limn_lower_append(limn_view v, limn_mapped *out) {
  size_t length;
  for (size_t at = 0; at < v.n; at += length) {
    int32_t code;
    unsigned char lower[8];
    length = limn_utf8_decode(v.text + at, v.n - at, &code);
    size_t n = code < 0 ? 0 : lower_of((uint32_t)code, lower);
    bool is_done = n > 0 ? limn_mapped_append(out, lower, n, limn_view_origin(v, at))
                         : limn_mapped_append_view(out, limn_view_part(v, at, at + length));
    if (!is_done) return false;
  }
  return true;
}

bool limn_without_marks_append(limn_view v, limn_mapped *out) {
  size_t length;
  for (size_t at = 0; at < v.n; at += length) {
    int32_t code;
    length = limn_utf8_decode(v.text + at, v.n - at, &code);
    limn_category c = code < 0 ? LIMN_CN : limn_category_of((uint32_t)code);
    if (c >= LIMN_MC && c <= LIMN_MN) continue;
    if (!limn_mapped_append_view(out, limn_view_part(v, at, at + length))) return false;
  }
  return true;
}
