/*
 * regex.c - the regular expressions of tokenizer files: Oniguruma's syntax, matched by PCRE2.
 *
 * A tokenizer.json means its expressions as Hugging Face's library reads them, with Oniguruma in
 * Ruby's syntax. The two dialects differ where it matters: there "^" and "$" are about lines,
 * "{1,3}+" repeats what is repeated, and \s, \w and properties follow another version of Unicode.
 * So an expression is read here and written anew in the few constructions whose meaning is beyond
 * doubt: sets of characters are computed (charset.c), ignoring case is made a matter of sets, and
 * what is not known is refused.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include "base/utf8.h"
#include "tokenizer/charset.h"
#include "tokenizer/normal.h"

#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#define MOST_DEPTH    50
#define MOST_SIZE     65536
#define MOST_REPEATS  1000
#define MATCH_LIMIT   50000000u
#define HEAP_LIMIT    65536u /* KiB */
#define SMALLEST_JIT  ((size_t)32 << 10)
#define LARGEST_JIT   ((size_t)8 << 20)
#define LAST_CODE     0x10ffffu
#define MASK_OF(name) (1u << LIMN_##name)

struct limn_regex {
  pcre2_code *code;
  char *pattern; /* for messages */
  bool is_char;
};

/* ---- reading -----------------------------------------------------------------------------------
 */

typedef struct translation {
  const char *where;
  const unsigned char *pattern;
  size_t n, at;
  bool any_case;
  int depth;
  uint32_t last_literal; /* the character just written, to know pairs that one character matches */
  limn_bytes out;
  limn_error *err;
} translation;

static limn_status read_alternatives(translation *t);

static limn_status refuse(translation *t, limn_status status, size_t at, const char *what) {
  return limn_error_set(t->err, status, at, "%s: the expression \"%.*s\" has %s at byte %zu",
                        t->where, t->n > 200 ? 200 : (int)t->n, (const char *)t->pattern, what, at);
}

static limn_status unsupported(translation *t, size_t at, const char *what) {
  return refuse(t, LIMN_ERROR_UNSUPPORTED, at, what);
}

static limn_status malformed(translation *t, size_t at, const char *what) {
  return refuse(t, LIMN_ERROR_FORMAT, at, what);
}

static limn_status no_memory(translation *t) {
  return limn_out_of_memory(t->err, "a regular expression");
}

static bool is_next(const translation *t, const char *text) {
  size_t n = strlen(text);
  return t->n - t->at >= n && memcmp(t->pattern + t->at, text, n) == 0;
}

static bool take(translation *t, const char *text) {
  if (!is_next(t, text)) return false;
  t->at += strlen(text);
  return true;
}

static limn_status put(translation *t, const char *text) {
  return limn_bytes_append(&t->out, text, strlen(text)) ? LIMN_OK : no_memory(t);
}

static uint32_t take_char(translation *t) {
  int32_t code;
  t->at += limn_utf8_decode(t->pattern + t->at, t->n - t->at, &code);
  return (uint32_t)code; /* the whole expression is valid UTF-8 */
}

static bool is_letter(uint32_t c) {
  return (c | 32) >= 'a' && (c | 32) <= 'z';
}

/* ---- sets -------------------------------------------------------------------------------------
 */

typedef struct named_set {
  const char *name;
  uint32_t mask;
} named_set;

#define LETTER_MASK (MASK_OF(LL) | MASK_OF(LM) | MASK_OF(LO) | MASK_OF(LT) | MASK_OF(LU))
#define MARK_MASK   (MASK_OF(MC) | MASK_OF(ME) | MASK_OF(MN))
#define NUMBER_MASK (MASK_OF(ND) | MASK_OF(NL) | MASK_OF(NO))

static const named_set long_names[] = {
    {"letter", LETTER_MASK},
    {"mark", MARK_MASK},
    {"number", NUMBER_MASK},
    {"uppercaseletter", MASK_OF(LU)},
    {"lowercaseletter", MASK_OF(LL)},
    {"decimalnumber", MASK_OF(ND)},
    {"punctuation", MASK_OF(PC) | MASK_OF(PD) | MASK_OF(PE) | MASK_OF(PF) | MASK_OF(PI) |
                        MASK_OF(PO) | MASK_OF(PS)},
    {"symbol", MASK_OF(SC) | MASK_OF(SK) | MASK_OF(SM) | MASK_OF(SO)},
    {"separator", MASK_OF(ZL) | MASK_OF(ZP) | MASK_OF(ZS)},
    {"other", MASK_OF(CN) | MASK_OF(CC) | MASK_OF(CF) | MASK_OF(CO) | MASK_OF(CS)},
};

/* The script Han of Scripts.txt, Unicode 16. */
static const limn_range han[] = {
    {0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
    {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
    {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
    {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
    {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d},
    {0x30000, 0x3134a}, {0x31350, 0x323af}};

/* The mask of a property by its short or long name, in lower case without spaces; 0 for none. */
static uint32_t mask_of(const char *name) {
  uint32_t mask = 0;
  size_t n = strlen(name);
  for (size_t i = 0; i < sizeof long_names / sizeof *long_names; i++) {
    if (strcmp(long_names[i].name, name) == 0) return long_names[i].mask;
  }
  for (int c = 0; c < LIMN_N_CATEGORIES && n >= 1 && n <= 2; c++) {
    const char *category = limn_category_names[c];
    bool is_same = (category[0] | 32) == name[0] && (n == 1 || category[1] == name[1]);
    mask |= (uint32_t)is_same << c;
  }
  return mask;
}

static bool add_spaces(limn_charset *set) {
  uint32_t zs = MASK_OF(ZL) | MASK_OF(ZP) | MASK_OF(ZS);
  return limn_charset_add_categories(set, zs) && limn_charset_add(set, 9, 13) &&
         limn_charset_add(set, 0x85, 0x85);
}

/*
 * Oniguruma's \w: letters, marks, numbers of some kinds, connectors, circled Latin letters; and,
 * but for those inside brackets, superscripts and fractions of Latin-1.
 */
static bool add_word(limn_charset *set, bool is_inside) {
  static const limn_range more[] = {{0x24b6, 0x24e9},   {0x1f130, 0x1f149}, {0x1f150, 0x1f169},
                                    {0x1f170, 0x1f189}, {0xb2, 0xb3},       {0xb9, 0xb9},
                                    {0xbc, 0xbe}};
  uint32_t mask = LETTER_MASK | MARK_MASK | MASK_OF(ND) | MASK_OF(NL) | MASK_OF(PC);
  bool is_enough = limn_charset_add_categories(set, mask);
  for (size_t i = 0; i < (is_inside ? 4 : sizeof more / sizeof *more) && is_enough; i++)
    is_enough = limn_charset_add(set, more[i].first, more[i].last);
  return is_enough;
}

/* \p{Name}, \p{^Name}, \P{Name}; the backslash and the letter are read. */
static limn_status read_property(translation *t, bool is_inverted, limn_charset *set) {
  size_t start = t->at - 2, n = 0;
  char name[32];
  if (!take(t, "{")) return malformed(t, start, "a property without braces");
  if (take(t, "^")) is_inverted = !is_inverted;
  while (t->at < t->n && t->pattern[t->at] != '}' && n + 1 < sizeof name) {
    unsigned char c = t->pattern[t->at++];
    if (c != ' ' && c != '_' && c != '-') name[n++] = (char)(is_letter(c) ? c | 32 : c);
  }
  name[n] = '\0';
  if (!take(t, "}")) return malformed(t, start, "a property whose name does not end");
  uint32_t mask = mask_of(name);
  bool is_enough = true;
  if (strcmp(name, "han") == 0)
    is_enough = limn_charset_add_set(
        set, &(limn_charset){(limn_range *)(uintptr_t)han, sizeof han / sizeof *han, 0});
  else if (mask)
    is_enough = limn_charset_add_categories(set, mask);
  else
    return unsupported(t, start, "a property that limn does not know");
  if (is_enough && is_inverted) is_enough = limn_charset_invert(set);
  return is_enough ? LIMN_OK : no_memory(t);
}

/* The set that \d, \s, \w, \h or \p and their opposites stand for; *is_set false for others. */
static limn_status read_set_escape(translation *t, bool is_inside, limn_charset *set,
                                   bool *is_set) {
  unsigned char c = t->at + 1 < t->n ? t->pattern[t->at + 1] : 0;
  bool is_enough = true;
  *is_set = is_next(t, "\\") && c != 0 && strchr("dDsSwWhHpP", c) != NULL;
  if (!*is_set) return LIMN_OK;
  t->at += 2;
  if ((c | 32) == 'p') return read_property(t, c == 'P', set);
  if ((c | 32) == 'd') is_enough = limn_charset_add_categories(set, MASK_OF(ND));
  if ((c | 32) == 's') is_enough = add_spaces(set);
  if ((c | 32) == 'w') is_enough = add_word(set, is_inside);
  if ((c | 32) == 'h')
    is_enough = limn_charset_add(set, '0', '9') && limn_charset_add(set, 'a', 'f') &&
                limn_charset_add(set, 'A', 'F');
  if (is_enough && c < 'a') is_enough = limn_charset_invert(set);
  return is_enough ? LIMN_OK : no_memory(t);
}

static int hex_value(unsigned char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
  return -1;
}

/* `least` to `most` digits, base 16. */
static limn_status read_hex(translation *t, int least, int most, uint32_t *code) {
  int n = 0;
  *code = 0;
  for (; n < most && t->at < t->n && hex_value(t->pattern[t->at]) >= 0; n++)
    *code = *code * 16 + (uint32_t)hex_value(t->pattern[t->at++]);
  if (n < least || *code > LAST_CODE || (*code >= 0xd800 && *code < 0xe000))
    return malformed(t, t->at, "a number that is no character");
  return LIMN_OK;
}

/* \x41, \x{41}, A and the letters of control characters; at the backslash. */
static limn_status read_char_escape(translation *t, uint32_t *code) {
  static const char letters[] = "ntrfvae", values[] = "\n\t\r\f\v\a\x1b";
  size_t start = t->at++;
  if (t->at >= t->n) return malformed(t, start, "a backslash with nothing behind it");
  uint32_t c = take_char(t);
  const char *place = c < 128 && c ? strchr(letters, (int)c) : NULL;
  *code = c;
  if (place) {
    *code = (uint32_t)values[place - letters];
  } else if (c == 'x' && take(t, "{")) {
    limn_status status = read_hex(t, 1, 8, code);
    if (status != LIMN_OK) return status;
    if (!take(t, "}")) return malformed(t, start, "an escape that does not end");
  } else if (c == 'x') {
    limn_status status = read_hex(t, 1, 2, code);
    if (status == LIMN_OK && *code >= 128) status = unsupported(t, start, "a byte beyond ASCII");
    return status;
  } else if (c == 'u') {
    return read_hex(t, 4, 4, code);
  } else if (is_letter(c) || (c >= '0' && c <= '9')) {
    return unsupported(t, start, "an escape that limn does not follow");
  }
  return LIMN_OK;
}

/* Both cases of ASCII letters, the long s and the sign for kelvin. */
static bool add_any_case(limn_charset *set, uint32_t c) {
  if (!limn_charset_add(set, c, c)) return false;
  if (!is_letter(c)) return true;
  return limn_charset_add(set, c ^ 32, c ^ 32) &&
         ((c | 32) != 's' || limn_charset_add(set, 0x17f, 0x17f)) &&
         ((c | 32) != 'k' || limn_charset_add(set, 0x212a, 0x212a));
}

static limn_status add_range(translation *t, size_t at, limn_charset *set, uint32_t first,
                             uint32_t last) {
  if (first > last) return malformed(t, at, "a range that goes backwards");
  if (t->any_case && last >= 128)
    return unsupported(t, at, "a character beyond ASCII where case is ignored");
  bool is_enough = limn_charset_add(set, first, last);
  for (uint32_t c = first; c <= last && t->any_case && is_enough; c++)
    is_enough = add_any_case(set, c);
  return is_enough ? LIMN_OK : no_memory(t);
}

/* A character, or a range of two. */
static limn_status read_range(translation *t, limn_charset *set) {
  size_t at = t->at;
  uint32_t first, last;
  limn_status status = LIMN_OK;
  if (is_next(t, "\\"))
    status = read_char_escape(t, &first);
  else
    first = take_char(t);
  last = first;
  bool is_range = is_next(t, "-") && t->at + 1 < t->n && t->pattern[t->at + 1] != ']';
  if (status == LIMN_OK && is_range) {
    t->at++;
    if (is_next(t, "[") || is_next(t, "&&")) return unsupported(t, at, "a range without an end");
    if (is_next(t, "\\"))
      status = read_char_escape(t, &last);
    else
      last = take_char(t);
  }
  return status == LIMN_OK ? add_range(t, at, set, first, last) : status;
}

static limn_status read_class(translation *t, limn_charset *set);

/* One thing inside brackets. */
static limn_status read_class_item(translation *t, limn_charset *set) {
  limn_charset item = {0};
  bool is_set = false;
  size_t at = t->at;
  limn_status status;
  if (is_next(t, "[:")) return unsupported(t, at, "a POSIX class");
  if (is_next(t, "[")) {
    is_set = true;
    status = read_class(t, &item);
  } else {
    status = read_set_escape(t, true, &item, &is_set);
    if (is_set && t->any_case && t->pattern[at + 1] != 's' && t->pattern[at + 1] != 'd')
      status = unsupported(t, at, "a property where case is ignored");
  }
  if (status == LIMN_OK && !is_set) status = read_range(t, set);
  if (status == LIMN_OK && !limn_charset_add_set(set, &item)) status = no_memory(t);
  limn_charset_deinit(&item);
  return status;
}

/* [...] with sets inside and intersections; at the bracket. */
static limn_status read_class(translation *t, limn_charset *set) {
  size_t start = t->at++;
  limn_charset left = {0};
  bool is_inverted = take(t, "^"), has_left = false;
  limn_status status = LIMN_OK;
  if (++t->depth > MOST_DEPTH) return unsupported(t, start, "brackets too deep");
  if (is_next(t, "]")) status = unsupported(t, start, "an empty class");
  while (status == LIMN_OK && !is_next(t, "]")) {
    if (t->at >= t->n) {
      status = malformed(t, start, "a class that does not end");
    } else if (take(t, "&&")) {
      if (has_left && !limn_charset_intersect(set, &left)) status = no_memory(t);
      limn_charset_deinit(&left);
      left = *set;
      *set = (limn_charset){0};
      has_left = true;
    } else {
      status = read_class_item(t, set);
    }
  }
  t->at++;
  t->depth--;
  if (status == LIMN_OK && has_left && !limn_charset_intersect(set, &left)) status = no_memory(t);
  if (status == LIMN_OK && is_inverted && !limn_charset_invert(set)) status = no_memory(t);
  limn_charset_deinit(&left);
  return status;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static limn_status put_set(translation *t, const limn_charset *set) {
  t->last_literal = 0;
  return limn_charset_append(set, &t->out) ? LIMN_OK : no_memory(t);
}

/* Pairs of letters that one character is the same as where case is ignored: ß, ﬀ, ﬁ, ﬂ, ﬆ. */
static bool is_ligature(uint32_t a, uint32_t b) {
  a |= 32;
  b |= 32;
  return (a == 's' && (b == 's' || b == 't')) || (a == 'f' && (b == 'f' || b == 'i' || b == 'l'));
}

static limn_status put_literal(translation *t, uint32_t code, size_t at) {
  unsigned char bytes[5] = {'\\'};
  uint32_t before = t->last_literal;
  if (t->any_case && code >= 128)
    return unsupported(t, at, "a character beyond ASCII where case is ignored");
  if (t->any_case && is_letter(code)) {
    if (before && is_ligature(before, code))
      return unsupported(t, at, "letters that may be a ligature where case is ignored");
    limn_charset set = {0};
    limn_status status = add_any_case(&set, code) ? put_set(t, &set) : no_memory(t);
    limn_charset_deinit(&set);
    t->last_literal = code;
    return status;
  }
  bool is_plain = code >= 128 || is_letter(code) || (code >= '0' && code <= '9') || code <= ' ';
  size_t n = limn_utf8_encode(code, bytes + 1);
  t->last_literal = code;
  return limn_bytes_append(&t->out, bytes + is_plain, n + !is_plain) ? LIMN_OK : no_memory(t);
}

/* ---- groups ------------------------------------------------------------------------------------
 */

/* (?i), (?-i), (?i: ...: the letters between "(?" and ":" or ")". */
static limn_status read_options(translation *t, size_t start, bool *any_case) {
  bool is_on = true;
  for (; t->at < t->n && !is_next(t, ":") && !is_next(t, ")"); t->at++) {
    if (t->pattern[t->at] == '-')
      is_on = false;
    else if (t->pattern[t->at] == 'i')
      *any_case = is_on;
    else
      return unsupported(t, start, "a group of a kind that limn does not follow");
  }
  return LIMN_OK;
}

static limn_status end_group(translation *t, size_t start) {
  if (!take(t, ")")) return malformed(t, start, "a group that does not end");
  return put(t, ")");
}

/* At the parenthesis. */
static limn_status read_group(translation *t) {
  static const char *const kinds[] = {"(?=", "(?!", "(?<=", "(?<!", "(?>"};
  size_t start = t->at;
  bool any_case = t->any_case;
  const char *opening = NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !opening; i++) {
    if (take(t, kinds[i])) opening = kinds[i];
  }
  limn_status status = LIMN_OK;
  if (!opening && take(t, "(?")) {
    bool is_first = start == 0;
    status = read_options(t, start, &any_case);
    if (status == LIMN_OK && take(t, ")")) {
      t->any_case = any_case;
      return is_first ? LIMN_OK : unsupported(t, start, "an option that is not at the beginning");
    }
    if (status == LIMN_OK && !take(t, ":"))
      status = malformed(t, start, "a group that does not end");
  } else if (!opening) {
    t->at++; /* what a group captures is not asked for */
  }
  if (status == LIMN_OK) status = put(t, opening ? opening : "(?:");
  bool outer = t->any_case;
  t->any_case = any_case;
  if (status == LIMN_OK) status = read_alternatives(t);
  t->any_case = outer;
  return status == LIMN_OK ? end_group(t, start) : status;
}

/* ---- repeats -----------------------------------------------------------------------------------
 */

static bool read_number(translation *t, size_t *at, int *out) {
  size_t start = *at;
  *out = 0;
  while (*at < t->n && t->pattern[*at] >= '0' && t->pattern[*at] <= '9' && *out <= MOST_REPEATS)
    *out = *out * 10 + (t->pattern[(*at)++] - '0');
  return *at > start;
}

/* {n}, {n,}, {,m} or {n,m} at the brace; false for anything else, which is literal text. */
static bool read_interval(translation *t, int *least, int *most) {
  size_t at = t->at + 1;
  bool has_least = read_number(t, &at, least), has_most = false;
  *most = *least;
  if (at < t->n && t->pattern[at] == ',') {
    at++;
    has_most = read_number(t, &at, most);
    if (!has_most) *most = -1;
  }
  if ((!has_least && !has_most) || at >= t->n || t->pattern[at] != '}') return false;
  t->at = at + 1;
  return true;
}

/* Makes what was written from `start` on a group of its own. */
static limn_status group_from(translation *t, size_t start) {
  limn_status status = put(t, "(?:)");
  if (status != LIMN_OK) return status;
  char *data = t->out.data;
  memmove(data + start + 3, data + start, t->out.size - 4 - start);
  memcpy(data + start, "(?:", 3);
  data[t->out.size - 1] = ')';
  return LIMN_OK;
}

static limn_status put_interval(translation *t, size_t at, int least, int most) {
  char text[40];
  if (least > MOST_REPEATS || most > MOST_REPEATS)
    return unsupported(t, at, "a repeat of more than 1000");
  if (most >= 0 && most < least) return unsupported(t, at, "a repeat that goes backwards");
  if (is_next(t, "?") && least == most)
    return unsupported(t, at, "a fixed repeat with a question mark");
  if (most < 0)
    snprintf(text, sizeof text, "{%d,}", least);
  else
    snprintf(text, sizeof text, "{%d,%d}", least, most);
  return put(t, text);
}

/* All repeats behind what was written from `start` on. */
static limn_status read_repeats(translation *t, size_t start) {
  limn_status status = LIMN_OK;
  for (int n = 0; status == LIMN_OK && t->at < t->n; n++) {
    unsigned char c = t->pattern[t->at];
    size_t at = t->at;
    int least = 0, most = 0;
    bool is_interval = c == '{' && read_interval(t, &least, &most);
    if (!is_interval && (c == '\0' || !strchr("?*+", c))) break;
    /* A repeat of a repeat, which PCRE2 would take for a possessive or lazy one. */
    if (n > 0) status = group_from(t, start);
    t->last_literal = 0;
    if (status == LIMN_OK && is_interval) {
      status = put_interval(t, at, least, most);
      if (status == LIMN_OK && take(t, "?")) status = put(t, "?");
      continue;
    }
    char text[2] = {(char)c, 0};
    t->at++;
    if (status == LIMN_OK) status = put(t, text);
    if (status == LIMN_OK && take(t, "?"))
      status = put(t, "?");
    else if (status == LIMN_OK && take(t, "+"))
      status = put(t, "+");
  }
  return status;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

/* \A, \z, \Z, ^ and $: places, not characters. NULL where there is none. */
static const char *take_anchor(translation *t) {
  if (take(t, "\\A")) return "\\A";
  if (take(t, "\\z")) return "\\z";
  if (take(t, "\\Z")) return "(?=\\n?\\z)";
  if (take(t, "^")) return "(?:\\A|(?<=\\n)(?!\\z))";
  if (take(t, "$")) return "(?=\\n|\\z)";
  return NULL;
}

static limn_status read_atom(translation *t) {
  size_t at = t->at;
  uint32_t code;
  bool is_set = false;
  limn_charset set = {0};
  limn_status status = LIMN_OK;
  if (is_next(t, "(")) {
    t->last_literal = 0;
    return read_group(t);
  }
  if (is_next(t, "[")) {
    is_set = true;
    status = read_class(t, &set);
  } else if (take(t, ".")) {
    is_set = true;
    if (!limn_charset_add(&set, '\n', '\n') || !limn_charset_invert(&set)) status = no_memory(t);
  } else if (is_next(t, "\\")) {
    status = read_set_escape(t, false, &set, &is_set);
    if (status == LIMN_OK && !is_set) status = read_char_escape(t, &code);
  } else if (is_next(t, "*") || is_next(t, "+") || is_next(t, "?")) {
    status = malformed(t, at, "a repeat of nothing");
  } else {
    code = take_char(t);
  }
  if (status == LIMN_OK) status = is_set ? put_set(t, &set) : put_literal(t, code, at);
  limn_charset_deinit(&set);
  return status;
}

static limn_status read_alternatives(translation *t) {
  limn_status status = LIMN_OK;
  if (++t->depth > MOST_DEPTH) return unsupported(t, t->at, "groups too deep");
  t->last_literal = 0;
  while (status == LIMN_OK && t->at < t->n && !is_next(t, ")")) {
    size_t start = t->out.size;
    const char *anchor = take_anchor(t);
    if (!anchor && take(t, "|")) {
      t->last_literal = 0;
      status = put(t, "|");
      continue;
    }
    status = anchor ? put(t, anchor) : read_atom(t);
    if (status == LIMN_OK) status = read_repeats(t, start);
  }
  t->depth--;
  return status;
}

static limn_status translate(translation *t) {
  if (t->n > MOST_SIZE) return unsupported(t, 0, "more than 65536 bytes");
  if (!limn_utf8_is_valid(t->pattern, t->n)) return malformed(t, 0, "bytes that are not UTF-8");
  limn_status status = read_alternatives(t);
  if (status == LIMN_OK && t->at < t->n) status = malformed(t, t->at, "a parenthesis too many");
  return status;
}

static limn_status translate_literal(translation *t) {
  if (!limn_utf8_is_valid(t->pattern, t->n)) return malformed(t, 0, "bytes that are not UTF-8");
  limn_status status = LIMN_OK;
  while (status == LIMN_OK && t->at < t->n)
    status = put_literal(t, take_char(t), t->at);
  return status;
}

/* ---- PCRE2 -------------------------------------------------------------------------------------
 */

static void *pcre_allocate(size_t size, void *user) {
  (void)user;
  return limn_alloc(size);
}

static void pcre_release(void *memory, void *user) {
  (void)user;
  limn_free(memory);
}

static limn_status compile(limn_regex *regex, translation *t) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_general_context *general = pcre2_general_context_create(pcre_allocate, pcre_release, NULL);
  pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
  if (context) {
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile((PCRE2_SPTR)t->out.data, t->out.size, PCRE2_UTF | PCRE2_UCP, &error,
                                &offset, context);
  }
  pcre2_compile_context_free(context);
  pcre2_general_context_free(general);
  if (!context || (!regex->code && error == PCRE2_ERROR_HEAP_FAILED)) return no_memory(t);
  if (!regex->code) {
    char why[128] = "";
    pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
    return limn_error_set(t->err, LIMN_ERROR_UNSUPPORTED, LIMN_NO_OFFSET,
                          "%s: the expression \"%.*s\" cannot be matched: %s", t->where,
                          t->n > 200 ? 200 : (int)t->n, (const char *)t->pattern, why);
  }
  /* Without a just-in-time compiler the same is interpreted. */
  pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
  return LIMN_OK;
}

limn_status limn_regex_open(const char *where, const char *pattern, size_t n, bool is_literal,
                            limn_regex **out, limn_error *err) {
  translation t = {.where = where, .pattern = (const unsigned char *)pattern, .n = n, .err = err};
  limn_regex *regex = limn_alloc_zeroed(1, sizeof *regex);
  *out = NULL;
  if (!regex) return limn_out_of_memory(err, "a regular expression");
  regex->pattern = limn_copy_string(pattern, n);
  limn_status status = regex->pattern ? put(&t, "") : no_memory(&t);
  if (status == LIMN_OK) status = is_literal ? translate_literal(&t) : translate(&t);
  if (status == LIMN_OK) status = compile(regex, &t);
  int32_t code;
  regex->is_char = is_literal && n > 0 && limn_utf8_decode(t.pattern, n, &code) == n;
  limn_bytes_deinit(&t.out);
  if (status != LIMN_OK) {
    limn_regex_close(regex);
    return status;
  }
  *out = regex;
  return LIMN_OK;
}

void limn_regex_close(limn_regex *regex) {
  if (!regex) return;
  pcre2_code_free(regex->code);
  limn_free(regex->pattern);
  limn_free(regex);
}

/* ---- matching ---------------------------------------------------------------------------------
 */

void limn_regex_space_deinit(limn_regex_space *space) {
  pcre2_match_data_free(space->match);
  pcre2_match_context_free(space->context);
  pcre2_jit_stack_free(space->stack);
  *space = (limn_regex_space){0};
}

static limn_status prepare(limn_regex_space *space, limn_error *err) {
  if (space->match) return LIMN_OK;
  pcre2_general_context *general = pcre2_general_context_create(pcre_allocate, pcre_release, NULL);
  if (general) {
    space->match = pcre2_match_data_create(1, general);
    space->context = pcre2_match_context_create(general);
    space->stack = pcre2_jit_stack_create(SMALLEST_JIT, LARGEST_JIT, general);
  }
  pcre2_general_context_free(general);
  uint32_t has_jit = 0;
  pcre2_config(PCRE2_CONFIG_JIT, &has_jit);
  if (!space->match || !space->context || (has_jit && !space->stack)) {
    limn_regex_space_deinit(space);
    return limn_out_of_memory(err, "matching a regular expression");
  }
  pcre2_set_match_limit(space->context, MATCH_LIMIT);
  pcre2_set_heap_limit(space->context, HEAP_LIMIT);
  pcre2_jit_stack_assign(space->context, NULL, space->stack);
  return LIMN_OK;
}

/* Copies a text with U+FFFD, three bytes, for each byte that is no character. */
static limn_status copy_valid(limn_search *s, const unsigned char *text, size_t n,
                              limn_error *err) {
  size_t most, length;
  if (!limn_size_mul(n, 3, &most) || !limn_size_add(most, 1, &most))
    return limn_out_of_memory(err, "a text");
  if (most > s->capacity) {
    unsigned char *copy = limn_resize(s->copy, most, 1);
    if (copy) s->copy = copy;
    size_t *places = limn_resize(s->places, most, sizeof *places);
    if (places) s->places = places;
    if (!copy || !places) return limn_out_of_memory(err, "a text");
    s->capacity = most;
  }
  size_t size = 0;
  for (size_t at = 0; at < n; at += length) {
    int32_t code;
    length = limn_utf8_decode(text + at, n - at, &code);
    size_t width = code < 0 ? 3 : length;
    memcpy(s->copy + size, code < 0 ? (const unsigned char *)"\xef\xbf\xbd" : text + at, width);
    for (size_t i = 0; i < width; i++)
      s->places[size + i] = at;
    size += width;
  }
  s->places[size] = n;
  s->text = s->copy;
  s->n = size;
  s->is_copy = true;
  return LIMN_OK;
}

limn_status limn_search_start(limn_search *s, const limn_regex *regex, const unsigned char *text,
                              size_t n, limn_error *err) {
  s->regex = regex;
  s->text = text;
  s->n = n;
  s->at = 0;
  s->last = SIZE_MAX;
  s->is_copy = false;
  return limn_utf8_is_valid(text, n) ? LIMN_OK : copy_valid(s, text, n, err);
}

/* The place in the copy of a place in the text. */
static size_t place_in_copy(const limn_search *s, size_t at) {
  size_t low = 0, high = s->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (s->places[middle] < at)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void limn_search_from(limn_search *s, size_t at, bool is_match_end) {
  s->at = s->is_copy ? place_in_copy(s, at) : at;
  s->last = is_match_end ? s->at : SIZE_MAX;
}

bool limn_regex_is_char(const limn_regex *regex) {
  return regex->is_char;
}

size_t limn_regex_look_back(const limn_regex *regex) {
  uint32_t n = 0;
  pcre2_pattern_info(regex->code, PCRE2_INFO_MAXLOOKBEHIND, &n);
  return 4 * ((size_t)n + 1);
}

void limn_search_deinit(limn_search *s) {
  limn_free(s->copy);
  limn_free(s->places);
  *s = (limn_search){0};
}

static limn_status too_much(const limn_search *s, int found, limn_error *err) {
  char why[128] = "";
  if (found == PCRE2_ERROR_NOMEMORY) return limn_out_of_memory(err, "matching an expression");
  pcre2_get_error_message(found, (PCRE2_UCHAR *)why, sizeof why);
  return limn_error_set(err, LIMN_ERROR_RANGE, s->is_copy ? s->places[s->at] : s->at,
                        "the expression \"%.200s\" cannot be matched against this text: %s",
                        s->regex->pattern, why);
}

limn_status limn_search_next(limn_search *s, limn_regex_space *space, bool *found, size_t *start,
                             size_t *end, limn_error *err) {
  limn_status status = prepare(space, err);
  *found = false;
  while (status == LIMN_OK && s->at <= s->n) {
    uint32_t options = PCRE2_NO_UTF_CHECK | (s->is_open ? PCRE2_PARTIAL_HARD : 0);
    int result =
        pcre2_match(s->regex->code, s->text, s->n, s->at, options, space->match, space->context);
    if (result == PCRE2_ERROR_NOMATCH || result == PCRE2_ERROR_PARTIAL) break;
    if (result < 0) return too_much(s, result, err);
    const PCRE2_SIZE *match = pcre2_get_ovector_pointer(space->match);
    *start = match[0];
    *end = match[1];
    if (*start == *end && *end == s->last) {
      /* Nothing, right behind the last match: go on by a character. */
      do
        s->at++;
      while (s->at < s->n && (s->text[s->at] & 0xc0) == 0x80);
      continue;
    }
    s->at = s->last = *end;
    *found = true;
    if (s->is_copy) {
      *start = s->places[*start];
      *end = s->places[*end];
    }
    break;
  }
  return status;
}
