/*
 * split.c - cutting a text into the pieces that are merged on their own, by the patterns of the
 * model families.
 *
 * A pattern is a regular expression whose alternatives are tried in order at each place; what is
 * written here asks for the same alternatives in the same order, character by character. This is
 * the plain form, and what split_blocks.h is tested against. The patterns:
 *
 * GPT-2 (Radford et al. 2019, section 2.2, and the code released with it)
 *
 *     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * cl100k (OpenAI's tiktoken); Llama 3, Qwen 2 and Qwen 3.5 (their tokenizer.json) differ by the
 * lines below it
 *
 *     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 *      ?[^\s\p{L}\p{N}]+[\r\n]*|\s+$|\s*[\r\n]+|\s+(?!\S)|\s+
 *     Llama 3: without \s+$
 *     Qwen 2: and \p{N} for \p{N}{1,3}
 *     Qwen 3.5: and [\p{L}\p{M}]+ for \p{L}+, [^\s\p{L}\p{M}\p{N}]+ for [^\s\p{L}\p{N}]+
 *
 * o200k (tiktoken); tekken (Mistral) is the same without contractions and with \p{N}
 *
 *     [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|...|'d)?|
 *     [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|...|'d)?|
 *     \p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * Three families cut in several passes, each inside the pieces of the one before: StarCoder takes
 * out single \p{N}, then cuts as GPT-2; Falcon and DeepSeek stand with their functions below.
 *
 * White space gives its last character to what follows (which takes it where it is a space), unless
 * nothing follows: that is what \s+(?!\S)|\s+ says. \s is the property White_Space. In (?i:'s) the
 * letter may also be the long s, U+017F. A byte that is no UTF-8 is a character of its own that is
 * neither letter, mark, number, space, punctuation nor symbol.
 */
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

#include <string.h>

/* Sets of classes. */
#define BIT(name) (1u << LIMN_CHAR_##name)
#define LETTERS   (BIT(UPPER) | BIT(LOWER) | BIT(LETTER))
#define NUMBERS   BIT(NUMBER)
#define SPACES    BIT(SPACE)
#define MARKS     BIT(MARK)
#define VISIBLE   (BIT(PUNCT) | BIT(SYMBOL))
#define ANY       0x1ffu
/* For words that change case inside: what may stand before a lower-case letter, and after. */
#define HEADS (BIT(UPPER) | BIT(LETTER) | MARKS)
#define TAILS (BIT(LOWER) | BIT(LETTER) | MARKS)

const char *limn_unicode_version(void) {
  return LIMN_UNICODE_VERSION;
}

/*
 * A text and where it ends; pieces never reach beyond. A pass inside another's pieces has its own
 * end, `n`; whether more bytes could change a piece shows in whether anybody asked for what stands
 * at the real end.
 */
typedef struct span {
  const unsigned char *text;
  size_t n, end;
  bool *is_settled;
} span;

static void look_at_end(span s, size_t at) {
  if (at >= s.end) *s.is_settled = false;
}

/* The class at `at` as a set of one, its length in bytes; 0 at the end. */
static unsigned class_at(span s, size_t at, size_t *length) {
  int32_t code;
  *length = 0;
  if (at >= s.n) {
    look_at_end(s, at);
    return 0;
  }
  *length = limn_utf8_decode(s.text + at, s.n - at, &code);
  if (code < 0) look_at_end(s, at + 3); /* it might yet become a character */
  return 1u << (code < 0 ? LIMN_CHAR_OTHER : limn_char_class_of((uint32_t)code));
}

static bool is_in(span s, size_t at, unsigned set) {
  size_t length;
  return class_at(s, at, &length) & set;
}

/* Whether eight bytes are letters of ASCII that are in a set with the lower-case ones. */
static bool are_letters(const unsigned char *bytes, unsigned set) {
  const uint64_t each = 0x0101010101010101u, high = 0x80 * each;
  uint64_t word;
  memcpy(&word, bytes, 8);
  if (set & BIT(UPPER)) word |= 0x20 * each;
  /* Below 0x80, where nothing carries: at least 'a', and not more than 'z'. */
  uint64_t from_a = word + (0x80 - 'a') * each, beyond_z = word + (0x7f - 'z') * each;
  return !(word & high) && (from_a & ~beyond_z & high) == high;
}

/* The end of the run of characters of a set, at most `most` of them. */
static size_t run_of(span s, size_t at, unsigned set, size_t most) {
  size_t length;
  for (; most > 0 && class_at(s, at, &length) & set; most--)
    at += length;
  return at;
}

static size_t run_end(span s, size_t at, unsigned set) {
  if (set & BIT(LOWER)) {
    while (s.n - at >= 8 && are_letters(s.text + at, set))
      at += 8;
  }
  return run_of(s, at, set, SIZE_MAX);
}

static bool is_newline(unsigned char byte) {
  return byte == '\n' || byte == '\r';
}

static size_t newlines_end(span s, size_t at, bool with_slash) {
  while (at < s.n && (is_newline(s.text[at]) || (with_slash && s.text[at] == '/')))
    at++;
  look_at_end(s, at);
  return at;
}

/* ---- parts that patterns share ------------------------------------------------------------------
 */

/* The length of 's, 't, 're, 've, 'm, 'll or 'd at `at`, or 0. */
static size_t contraction(span s, size_t at) {
  if (s.text[at] != '\'') return 0;
  look_at_end(s, at + 2);
  if (s.n - at < 2) return 0;
  unsigned char a = s.text[at + 1], b = s.n - at > 2 ? s.text[at + 2] : 0;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  bool is_two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return is_two ? 3 : 0;
}

static unsigned char lower(unsigned char c) {
  return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* The same in any case; of these letters only s has a third form, the long s. */
static size_t contraction_any_case(span s, size_t at) {
  if (s.text[at] != '\'') return 0;
  look_at_end(s, at + 2);
  if (s.n - at < 2) return 0;
  size_t most = s.n - at < 3 ? s.n - at : 3;
  unsigned char small[3] = {0};
  for (size_t i = 0; i < most; i++)
    small[i] = lower(s.text[at + i]);
  if (small[1] == 0xc5 && small[2] == 0xbf) return 3;
  return contraction((span){small, most, SIZE_MAX, s.is_settled}, 0);
}

/* White space: all of it at the end of the text, else all but its last character. */
static size_t space_end(span s, size_t at) {
  size_t length, last = at, end = at;
  while (class_at(s, end, &length) & SPACES) {
    last = end;
    end += length;
  }
  return end == s.n || last == at ? end : last;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+: up to the last newline of the run where it has one. */
static size_t space_end_by_lines(span s, size_t at) {
  size_t end = run_end(s, at, SPACES);
  for (size_t i = end; i > at; i--) {
    if (is_newline(s.text[i - 1])) return i;
  }
  return space_end(s, at);
}

/* ---- GPT-2
 * --------------------------------------------------------------------------------------- */

static size_t next_gpt2(span s, size_t at) {
  size_t length = contraction(s, at);
  if (length) return at + length;
  size_t start = at + (s.text[at] == ' ' && at + 1 < s.n);
  unsigned class = class_at(s, start, &length);
  if (class & SPACES) return space_end(s, at);
  if (class & LETTERS) return run_end(s, start, LETTERS);
  return run_end(s, start, class & NUMBERS ? NUMBERS : ANY & ~(LETTERS | NUMBERS | SPACES));
}

/* ---- cl100k, Llama 3, Qwen
 * ------------------------------------------------------------------------- */

typedef struct lines_rules {
  bool whole_end; /* \s+$ */
  size_t most_digits;
  unsigned letters; /* of words */
} lines_rules;

static size_t next_lines(span s, size_t at, lines_rules rules) {
  size_t length = contraction_any_case(s, at);
  if (length) return at + length;
  unsigned class = class_at(s, at, &length);
  if (class & rules.letters) {
    /* A mark may be the one character before a word, which changes nothing about its end. */
    return run_end(s, at, rules.letters);
  }
  bool may_lead = !is_newline(s.text[at]) && !(class & NUMBERS);
  if (may_lead && is_in(s, at + length, rules.letters))
    return run_end(s, at + length, rules.letters);
  if (class & NUMBERS) return run_of(s, at, NUMBERS, rules.most_digits);
  unsigned others = ANY & ~(rules.letters | LETTERS | NUMBERS | SPACES);
  size_t start = at + (s.text[at] == ' ');
  if (is_in(s, start, others)) return newlines_end(s, run_end(s, start, others), false);
  if (rules.whole_end && run_end(s, at, SPACES) == s.n) return s.n;
  return space_end_by_lines(s, at);
}

/* ---- o200k, tekken
 * ------------------------------------------------------------------------------------- */

/*
 * [HEADS]*[TAILS]+ from `at`, or `at` where it does not match: a run of heads, and the tails behind
 * it; where there are none, the heads up to the last that is a tail as well.
 */
static size_t word_with_tail(span s, size_t at) {
  size_t length, end = at, last = at;
  for (unsigned class; (class = class_at(s, end, &length)) & HEADS;) {
    end += length;
    if (class & TAILS) last = end;
  }
  size_t tail = run_end(s, end, TAILS);
  return tail > end ? tail : last;
}

/* [HEADS]+[TAILS]* */
static size_t word_with_head(span s, size_t at) {
  size_t end = run_end(s, at, HEADS);
  return end > at ? run_end(s, end, TAILS) : at;
}

/* A word with the character before it where that is neither letter, number nor newline; or `at`. */
static size_t cased_word(span s, size_t at) {
  size_t length;
  unsigned class = class_at(s, at, &length);
  bool may_lead = !is_newline(s.text[at]) && !(class & (LETTERS | NUMBERS));
  size_t start = may_lead ? at + length : at, end = word_with_tail(s, start);
  if (end > start) return end;
  if (may_lead && (end = word_with_tail(s, at)) > at) return end;
  if ((end = word_with_head(s, start)) > start) return end;
  return may_lead ? word_with_head(s, at) : at;
}

static size_t next_cased(span s, size_t at, bool contractions, size_t most_digits) {
  size_t end = cased_word(s, at);
  if (end > at) return contractions && end < s.n ? end + contraction_any_case(s, end) : end;
  if (is_in(s, at, NUMBERS)) return run_of(s, at, NUMBERS, most_digits);
  unsigned others = ANY & ~(LETTERS | NUMBERS | SPACES);
  size_t start = at + (s.text[at] == ' ');
  if (is_in(s, start, others)) return newlines_end(s, run_end(s, start, others), true);
  return space_end_by_lines(s, at);
}

/* ---- StarCoder: single digits, and GPT-2's pattern between them
 * ------------------------------------ */

static size_t next_starcoder(span s, size_t at) {
  size_t length;
  if (class_at(s, at, &length) & NUMBERS) return at + length;
  s.n = run_end(s, at, ANY & ~NUMBERS);
  return next_gpt2(s, at);
}

/* ---- Falcon
 * ---------------------------------------------------------------------------------------- */

/*
 * Four passes: runs of punctuation (category P, and ASCII's) apart from the rest; GPT-2's pattern
 * in each; then runs of digits apart from the rest, and digits by three. The last two passes see
 * not characters but bytes, each written as the character that stands for it in GPT-2's files: six
 * bytes beyond ASCII are written as numbers there (superscripts and fractions), so that a character
 * is cut where one of them stands in it.
 */
static unsigned falcon_class_at(span s, size_t at, size_t *length) {
  unsigned class = class_at(s, at, length);
  return at < s.n && strchr("$+<=>^`|~", s.text[at]) && s.text[at] ? BIT(PUNCT) : class;
}

static size_t punctuation_end(span s, size_t at, bool is_punctuation) {
  size_t length;
  while (at < s.n && !(falcon_class_at(s, at, &length) & BIT(PUNCT)) == !is_punctuation)
    at += length;
  return at;
}

static bool is_digit(unsigned char byte) {
  return byte >= '0' && byte <= '9';
}

static bool is_number_byte(unsigned char byte) {
  return is_digit(byte) || byte == 0xb2 || byte == 0xb3 || byte == 0xb9 ||
         (byte >= 0xbc && byte <= 0xbe);
}

static size_t digits_by_three(span s, size_t at) {
  size_t end = at;
  for (; end < s.n && is_number_byte(s.text[end]); end++) {
    bool is_three = s.n - end >= 3 && is_digit(s.text[end]) && is_digit(s.text[end + 1]) &&
                    is_digit(s.text[end + 2]);
    if (is_three) return end > at ? end : end + 3;
  }
  return end;
}

/* The start of the character that `at` lies in. */
static size_t character_start(span s, size_t at) {
  for (size_t back = 1; back < 4 && back <= at; back++) {
    int32_t code;
    size_t length = limn_utf8_decode(s.text + at - back, s.n - at + back, &code);
    if (length > back) return at - back;
    if (length == 1 && code >= 0) break; /* ASCII */
  }
  return at;
}

static size_t next_falcon(span s, size_t at) {
  size_t length, start = character_start(s, at);
  bool is_punctuation = falcon_class_at(s, start, &length) & BIT(PUNCT);
  s.n = punctuation_end(s, start, is_punctuation);
  s.n = next_gpt2(s, start);
  if (is_number_byte(s.text[at])) return digits_by_three(s, at);
  while (at < s.n && !is_number_byte(s.text[at]))
    at++;
  return at;
}

/* ---- DeepSeek
 * -------------------------------------------------------------------------------------- */

/*
 * Three passes: \p{N}{1,3} and then [\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+ apart from the rest;
 * and in each of the pieces
 *
 *     [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|
 *      ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * What no alternative matches (controls, and bytes that are no characters) stays together as a
 * piece.
 */
static bool is_east_asian(span s, size_t at, size_t *length) {
  int32_t code;
  *length = limn_utf8_decode(s.text + at, s.n - at, &code);
  if (code < 0) look_at_end(s, at + 3);
  return (code >= 0x4e00 && code <= 0x9fa5) || (code >= 0x3040 && code <= 0x30ff);
}

static size_t east_asian_end(span s, size_t at, bool wanted) {
  size_t length;
  while (at < s.n && is_east_asian(s, at, &length) == wanted && (wanted || !is_in(s, at, NUMBERS)))
    at += length;
  look_at_end(s, at);
  return at;
}

static bool is_ascii_letter(unsigned char byte) {
  return lower(byte) >= 'a' && lower(byte) <= 'z';
}

static bool is_ascii_visible(unsigned char byte) {
  return byte > ' ' && byte < 127 && !is_digit(byte) && !is_ascii_letter(byte);
}

/* The end of the third pass's match at `at`, or `at` where nothing matches. */
static size_t deepseek_match(span s, size_t at) {
  const unsigned words = LETTERS | MARKS;
  size_t length;
  if (is_ascii_visible(s.text[at]) && at + 1 < s.n && is_ascii_letter(s.text[at + 1])) {
    while (++at < s.n && is_ascii_letter(s.text[at])) {
    }
    look_at_end(s, at);
    return at;
  }
  unsigned class = class_at(s, at, &length);
  bool may_lead = !is_newline(s.text[at]) && !(class & (LETTERS | VISIBLE));
  if (may_lead && is_in(s, at + length, words)) return run_end(s, at + length, words);
  if (class & words) return run_end(s, at, words);
  size_t start = at + (s.text[at] == ' ');
  if (is_in(s, start, VISIBLE)) return newlines_end(s, run_end(s, start, VISIBLE), false);
  return class & SPACES ? space_end_by_lines(s, at) : at;
}

static size_t next_deepseek(span s, size_t at) {
  size_t length;
  if (is_in(s, at, NUMBERS)) return run_of(s, at, NUMBERS, 3);
  s.n = east_asian_end(s, at, is_east_asian(s, at, &length));
  size_t end = deepseek_match(s, at);
  if (end > at) return end;
  do {
    class_at(s, at, &length);
    at += length;
  } while (at < s.n && deepseek_match(s, at) == at);
  return at;
}

/* ---- by name
 * --------------------------------------------------------------------------------------- */

static size_t next_piece(limn_pattern pattern, span s, size_t at) {
  static const lines_rules cl100k = {true, 3, LETTERS}, llama3 = {false, 3, LETTERS},
                           qwen2 = {false, 1, LETTERS}, qwen35 = {false, 1, LETTERS | MARKS};
  switch (pattern) {
  case LIMN_PATTERN_GPT2:
    return next_gpt2(s, at);
  case LIMN_PATTERN_CL100K:
    return next_lines(s, at, cl100k);
  case LIMN_PATTERN_LLAMA3:
    return next_lines(s, at, llama3);
  case LIMN_PATTERN_QWEN2:
    return next_lines(s, at, qwen2);
  case LIMN_PATTERN_QWEN35:
    return next_lines(s, at, qwen35);
  case LIMN_PATTERN_O200K:
    return next_cased(s, at, true, 3);
  case LIMN_PATTERN_TEKKEN:
    return next_cased(s, at, false, 1);
  case LIMN_PATTERN_STARCODER:
    return next_starcoder(s, at);
  case LIMN_PATTERN_FALCON:
    return next_falcon(s, at);
  case LIMN_PATTERN_DEEPSEEK:
    return next_deepseek(s, at);
  case LIMN_PATTERN_NONE:
  case LIMN_PATTERN_REGEX:
    break;
  }
  *s.is_settled = false;
  return s.n;
}

size_t limn_split_next(limn_pattern pattern, const unsigned char *text, size_t n, size_t at) {
  bool is_settled = true;
  return next_piece(pattern, (span){text, n, n, &is_settled}, at);
}

size_t limn_split_piece(const limn_tokenizer *t, const unsigned char *text, size_t n, size_t at,
                        bool *is_settled) {
  *is_settled = true;
  return next_piece(t->pattern, (span){text, n, n, is_settled}, at);
}
