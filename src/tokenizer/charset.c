/*
 * charset.c - sets of code points as sorted ranges, computed from limn's own Unicode tables.
 *
 * \p{L} means another set in every version of Unicode, and a regex library has the version it was
 * built with. limn's is pinned, so sets are computed here, and told to the library by its own
 * properties where they say the same (a property is one look into a table, 700 ranges are 700
 * comparisons), with the differences spelled out. Which those are is found out once, by asking the
 * library about every character.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/charset.h"

#include "base/utf8.h"
#include "tokenizer/normal.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LAST_CODE 0x10ffffu

/* ---- sets -------------------------------------------------------------------------------------
 */

static bool push(limn_charset *s, uint32_t first, uint32_t last) {
  if (s->n > 0 && first <= s->ranges[s->n - 1].last + 1) {
    if (last > s->ranges[s->n - 1].last) s->ranges[s->n - 1].last = last;
    return true;
  }
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : 16;
    limn_range *ranges = limn_resize(s->ranges, capacity, sizeof *ranges);
    if (!ranges) return false;
    s->ranges = ranges;
    s->capacity = capacity;
  }
  s->ranges[s->n++] = (limn_range){first, last};
  return true;
}

void limn_charset_deinit(limn_charset *s) {
  limn_free(s->ranges);
  *s = (limn_charset){0};
}

bool limn_charset_add_set(limn_charset *s, const limn_charset *other) {
  limn_charset both = {0};
  size_t i = 0, k = 0;
  bool is_enough = true;
  while (is_enough && (i < s->n || k < other->n)) {
    bool is_mine = k == other->n || (i < s->n && s->ranges[i].first <= other->ranges[k].first);
    limn_range r = is_mine ? s->ranges[i++] : other->ranges[k++];
    is_enough = push(&both, r.first, r.last);
  }
  limn_charset_deinit(s);
  *s = both;
  return is_enough;
}

bool limn_charset_add(limn_charset *s, uint32_t first, uint32_t last) {
  limn_range range = {first, last};
  return limn_charset_add_set(s, &(limn_charset){&range, 1, 1});
}

/* The runs of one category that PCRE2 sees, in the form of limn_category_runs. */
typedef struct run_list {
  const uint32_t *runs;
  size_t n;
} run_list;

static bool add_runs(limn_charset *s, const run_list *list, uint32_t mask) {
  limn_charset found = {0};
  bool is_enough = true;
  for (size_t i = 0; i < list->n && is_enough; i++) {
    uint32_t next = i + 1 < list->n ? list->runs[i + 1] / 32 : LAST_CODE + 1;
    if (mask >> list->runs[i] % 32 & 1) is_enough = push(&found, list->runs[i] / 32, next - 1);
  }
  is_enough = is_enough && limn_charset_add_set(s, &found);
  limn_charset_deinit(&found);
  return is_enough;
}

bool limn_charset_add_categories(limn_charset *s, uint32_t mask) {
  run_list own = {limn_category_runs, limn_n_category_runs};
  return add_runs(s, &own, mask);
}

bool limn_charset_invert(limn_charset *s) {
  limn_charset rest = {0};
  uint32_t next = 0;
  bool is_enough = true;
  for (size_t i = 0; i < s->n && is_enough; i++) {
    if (s->ranges[i].first > next) is_enough = push(&rest, next, s->ranges[i].first - 1);
    next = s->ranges[i].last + 1;
  }
  if (is_enough && next <= LAST_CODE) is_enough = push(&rest, next, LAST_CODE);
  limn_charset_deinit(s);
  *s = rest;
  return is_enough;
}

/* What is in both is what is not in the union of what is in neither. */
bool limn_charset_intersect(limn_charset *s, const limn_charset *other) {
  limn_charset outside = {0};
  bool is_enough = limn_charset_add_set(&outside, other) && limn_charset_invert(&outside) &&
                   limn_charset_invert(s) && limn_charset_add_set(s, &outside) &&
                   limn_charset_invert(s);
  limn_charset_deinit(&outside);
  return is_enough;
}

/* ---- the categories that PCRE2 knows -----------------------------------------------------------
 */

/* Room for a version of Unicode with twice as many runs. */
static uint32_t pcre_runs[8192];
static run_list pcre = {pcre_runs, 0};

/* How many of the n characters from `first` on have category c, by PCRE2's word. */
static uint32_t count_pcre(pcre2_code *const *codes, pcre2_match_data *match, int c, uint32_t first,
                           uint32_t n) {
  unsigned char text[4 * 256];
  size_t size = 0;
  for (uint32_t code = first; code < first + n; code++)
    size += limn_utf8_encode(code, text + size);
  int found = pcre2_match(codes[c], text, size, 0, PCRE2_NO_UTF_CHECK, match, NULL);
  size_t end = found > 0 ? pcre2_get_ovector_pointer(match)[1] : 0;
  uint32_t count = 0;
  for (size_t i = 0; i < end; i++)
    count += (text[i] & 0xc0) != 0x80;
  return count;
}

static bool add_pcre_run(uint32_t first, uint32_t category) {
  size_t capacity = sizeof pcre_runs / sizeof *pcre_runs;
  if (pcre.n > 0 && pcre_runs[pcre.n - 1] % 32 == category) return true;
  if (pcre.n == capacity) return false;
  pcre_runs[pcre.n++] = first * 32 + category;
  return true;
}

/* Asks about n <= 256 characters that have one category here; it is tried first. */
static bool ask(pcre2_code *const *codes, pcre2_match_data *match, int own, uint32_t first,
                uint32_t n) {
  while (n > 0) {
    int c = own;
    uint32_t count = count_pcre(codes, match, c, first, n);
    for (int i = 0; count == 0 && i < LIMN_N_CATEGORIES; i++)
      count = count_pcre(codes, match, c = i, first, n);
    if (count == 0 || !add_pcre_run(first, (uint32_t)c)) return false;
    first += count;
    n -= count;
  }
  return true;
}

static bool ask_all(pcre2_code *const *codes, pcre2_match_data *match) {
  for (size_t i = 0; i < limn_n_category_runs; i++) {
    uint32_t first = limn_category_runs[i] / 32, category = limn_category_runs[i] % 32;
    uint32_t end = i + 1 < limn_n_category_runs ? limn_category_runs[i + 1] / 32 : LAST_CODE + 1;
    /* Surrogates are in no text, and planes 4 to 13, 15 and 16 stay as they are. */
    bool is_fixed = category == LIMN_CS || category == LIMN_CO;
    for (uint32_t at = first; at < end;) {
      uint32_t n = end - at < 256 ? end - at : 256;
      bool is_empty = at >= 0x40000 && at < 0xe0000;
      if (is_empty && end > 0xe0000) n = 0xe0000 - at;
      if (is_fixed || is_empty ? !add_pcre_run(at, category)
                               : !ask(codes, match, (int)category, at, n))
        return false;
      at = is_fixed ? end : at + n;
    }
  }
  return true;
}

static bool ask_pcre(void) {
  pcre2_code *codes[LIMN_N_CATEGORIES] = {0};
  pcre2_match_data *match = pcre2_match_data_create(1, NULL);
  bool is_known = match != NULL;
  for (int c = 0; c < LIMN_N_CATEGORIES && is_known; c++) {
    char pattern[16] = "\\A\\p{??}+";
    int error;
    PCRE2_SIZE offset;
    memcpy(pattern + 5, limn_category_names[c], 2);
    codes[c] =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error, &offset, NULL);
    is_known = codes[c] != NULL;
  }
  pcre.n = 0;
  is_known = is_known && ask_all(codes, match);
  for (int c = 0; c < LIMN_N_CATEGORIES; c++)
    pcre2_code_free(codes[c]);
  pcre2_match_data_free(match);
  return is_known;
}

/* NULL without memory. The answer is kept: the library does not change while it is loaded. */
static const run_list *known_to_pcre(void) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static bool is_known;
  pthread_mutex_lock(&lock);
  if (!is_known) is_known = ask_pcre();
  pthread_mutex_unlock(&lock);
  return is_known ? &pcre : NULL;
}

/* ---- as an expression -------------------------------------------------------------------------
 */

/* A set as properties, with what they have too little and too much. */
typedef struct spelling {
  uint32_t mask;
  limn_charset missing, wrong;
} spelling;

static uint32_t overlap(const limn_charset *s, size_t *at, uint32_t first, uint32_t last) {
  uint32_t n = 0;
  while (*at < s->n && s->ranges[*at].last < first)
    ++*at;
  for (size_t i = *at; i < s->n && s->ranges[i].first <= last; i++) {
    uint32_t from = s->ranges[i].first > first ? s->ranges[i].first : first;
    uint32_t to = s->ranges[i].last < last ? s->ranges[i].last : last;
    n += to - from + 1;
  }
  return n;
}

/* The categories of which the set has more than half. */
static uint32_t categories_in(const limn_charset *s, const run_list *list) {
  uint32_t in[32] = {0}, all[32] = {0}, mask = 0;
  size_t at = 0;
  for (size_t i = 0; i < list->n; i++) {
    uint32_t first = list->runs[i] / 32, c = list->runs[i] % 32;
    uint32_t end = i + 1 < list->n ? list->runs[i + 1] / 32 : LAST_CODE + 1;
    in[c] += overlap(s, &at, first, end - 1);
    all[c] += end - first;
  }
  for (uint32_t c = 0; c < LIMN_N_CATEGORIES; c++)
    mask |= (uint32_t)(in[c] > all[c] / 2) << c;
  return mask;
}

static void deinit_spelling(spelling *sp) {
  limn_charset_deinit(&sp->missing);
  limn_charset_deinit(&sp->wrong);
}

static bool spell(const limn_charset *s, const run_list *list, spelling *sp) {
  limn_charset base = {0}, outside = {0};
  sp->mask = categories_in(s, list);
  bool is_enough = add_runs(&base, list, sp->mask) && limn_charset_add_set(&sp->missing, s) &&
                   limn_charset_add_set(&sp->wrong, &base) && limn_charset_add_set(&outside, s) &&
                   limn_charset_invert(&outside) && limn_charset_intersect(&sp->wrong, &outside) &&
                   limn_charset_invert(&base) && limn_charset_intersect(&sp->missing, &base);
  limn_charset_deinit(&base);
  limn_charset_deinit(&outside);
  return is_enough;
}

static bool append_text(limn_bytes *out, const char *text) {
  return limn_bytes_append(out, text, strlen(text));
}

static bool append_ranges(limn_bytes *out, const limn_charset *s) {
  for (size_t i = 0; i < s->n; i++) {
    char text[40];
    /* Surrogates cannot be written, and are in no text. */
    uint32_t first = s->ranges[i].first, last = s->ranges[i].last;
    if (first >= 0xd800 && first < 0xe000) first = 0xe000;
    if (last >= 0xd800 && last < 0xe000) last = 0xd7ff;
    if (first > last) continue;
    snprintf(text, sizeof text, first < last ? "\\x{%x}-\\x{%x}" : "\\x{%x}", first, last);
    if (!append_text(out, text)) return false;
  }
  return true;
}

static bool append_property(limn_bytes *out, const char *name, int size, bool is_inverted) {
  char text[16];
  int n = snprintf(text, sizeof text, is_inverted ? "\\P{%.*s}" : "\\p{%.*s}", size, name);
  return limn_bytes_append(out, text, (size_t)n);
}

/* The categories with the first letter of category c, where the mask has all of them; else 0. */
static uint32_t whole_group(uint32_t mask, int c) {
  uint32_t group = 0;
  for (int i = 0; i < LIMN_N_CATEGORIES; i++)
    group |= (uint32_t)(limn_category_names[i][0] == limn_category_names[c][0]) << i;
  return (mask & group) == group ? group : 0;
}

static bool append_class(limn_bytes *out, const spelling *sp, bool is_inverted) {
  uint32_t mask = sp->mask;
  for (int c = 0; c < LIMN_N_CATEGORIES && sp->missing.n == 0; c++) {
    if (!(mask >> c & 1)) continue;
    if (mask == 1u << c) return append_property(out, limn_category_names[c], 2, is_inverted);
    if (mask == whole_group(mask, c))
      return append_property(out, limn_category_names[c], 1, is_inverted);
  }
  bool is_enough = append_text(out, is_inverted ? "[^" : "[");
  for (int c = 0; c < LIMN_N_CATEGORIES && is_enough; c++) {
    uint32_t group = whole_group(mask, c);
    if (mask >> c & 1)
      is_enough = append_property(out, limn_category_names[c], group ? 1 : 2, false);
    mask &= ~group;
  }
  return is_enough && append_ranges(out, &sp->missing) && append_text(out, "]");
}

/* (?![wrong])[class], in a group. */
static bool append_corrected(limn_bytes *out, const spelling *sp) {
  return append_text(out, "(?:(?![") && append_ranges(out, &sp->wrong) && append_text(out, "])") &&
         append_class(out, sp, false) && append_text(out, ")");
}

bool limn_charset_append(const limn_charset *s, limn_bytes *out) {
  const run_list *list = known_to_pcre();
  spelling inside = {0}, outside = {0};
  limn_charset rest = {0};
  bool is_enough = list && limn_charset_add_set(&rest, s) && limn_charset_invert(&rest) &&
                   spell(s, list, &inside) && spell(&rest, list, &outside);
  if (is_enough && s->n == 0)
    is_enough = append_text(out, "(?!)");
  else if (is_enough && rest.n == 0)
    is_enough = append_text(out, "(?s:.)");
  else if (is_enough && outside.wrong.n == 0 &&
           (inside.wrong.n > 0 || outside.missing.n < inside.missing.n))
    is_enough = append_class(out, &outside, true);
  else if (is_enough && inside.wrong.n == 0)
    is_enough = append_class(out, &inside, false);
  else if (is_enough)
    is_enough = append_corrected(out, &inside);
  deinit_spelling(&inside);
  deinit_spelling(&outside);
  limn_charset_deinit(&rest);
  return is_enough;
}
