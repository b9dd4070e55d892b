/*
 * families.c - which tokenizer files mean a pattern that split.c knows.
 *
 * A tokenizer.json does not name its family; it carries the expression itself, and nearly all carry
 * one of a few, to the letter. Those are cut by code that was written for them, all others by the
 * regular expression.
 */
#include "tokenizer/families.h"

#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define HEADS        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define TAILS        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD         "[^\\r\\n\\p{L}\\p{N}]?"
#define SIGNS        " ?[^\\s\\p{L}\\p{N}]+"

static const struct {
  limn_pattern pattern;
  const char *regex;
} families[] = {
    {LIMN_PATTERN_GPT2, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|" SIGNS "|\\s+(?!\\S)|\\s+"},
    {LIMN_PATTERN_LLAMA3, CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}{1,3}|" SIGNS "[\\r\\n]*|" LINES},
    {LIMN_PATTERN_QWEN2, CONTRACTIONS "|" LEAD "\\p{L}+|\\p{N}|" SIGNS "[\\r\\n]*|" LINES},
    {LIMN_PATTERN_QWEN35, CONTRACTIONS "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+"
                                       "[\\r\\n]*|" LINES},
    {LIMN_PATTERN_O200K, LEAD HEADS "*" TAILS "+" CONTRACTIONS "?|" LEAD HEADS "+" TAILS
                                    "*" CONTRACTIONS "?|\\p{N}{1,3}|" SIGNS "[\\r\\n/]*|" LINES},
    {LIMN_PATTERN_TEKKEN,
     LEAD HEADS "*" TAILS "+|" LEAD HEADS "+" TAILS "*|\\p{N}|" SIGNS "[\\r\\n/]*|" LINES},
};

/* The three expressions of DeepSeek's, with line ends written as themselves in the third. */
static const char digits_regex[] = "\\p{N}{1,3}";
static const char east_asian_regex[] = "[一-龥\u3040-ゟ゠-ヿ]+";
static const char deepseek_regex[] =
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
    "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
static const char three_digits_regex[] = "[0-9][0-9][0-9]";

static bool is_text(const char *text, const char *other, size_t n) {
  return strlen(text) == n && memcmp(text, other, n) == 0;
}

limn_pattern limn_pattern_of_regex(const char *regex, size_t n) {
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    if (is_text(families[i].regex, regex, n)) return families[i].pattern;
  }
  return LIMN_PATTERN_REGEX;
}

limn_status limn_step_of_regex(limn_step *step, const char *where, const char *regex, size_t n,
                               bool is_literal, limn_error *err) {
  *step = (limn_step){.kind = LIMN_STEP_REGEX, .pattern = LIMN_PATTERN_REGEX};
  step->text = limn_copy_string(regex, n);
  if (!step->text) return limn_out_of_memory(err, "a regular expression");
  step->n_text = n;
  if (!is_literal) step->pattern = limn_pattern_of_regex(regex, n);
  return limn_regex_open(where, regex, n, is_literal, &step->regex, err);
}

/* Whether a step hands on what the expression matches and what is between, each on its own. */
static bool isolates(const limn_step *step) {
  return step->kind == LIMN_STEP_REGEX && step->behavior == LIMN_ISOLATED;
}

static bool is_regex(const limn_step *step, const char *regex) {
  return isolates(step) && is_text(regex, step->text, step->n_text);
}

/*
 * These patterns match every character, so that there is nothing between two matches: taking out
 * what does not match (removed, inverted) is the same as isolating what does.
 */
static bool is_pattern(const limn_step *step, limn_pattern pattern) {
  if (step->kind == LIMN_STEP_PATTERN) return step->pattern == pattern;
  bool is_whole = isolates(step) ||
                  (step->kind == LIMN_STEP_REGEX && step->invert && step->behavior == LIMN_REMOVED);
  return is_whole && step->pattern == pattern;
}

static void set_only_step(limn_pipeline *p, limn_pattern pattern) {
  for (size_t i = 0; i < p->n_cuts; i++) {
    limn_regex_close(p->cuts[i].regex);
    limn_free(p->cuts[i].text);
  }
  p->cuts[0] = (limn_step){.kind = LIMN_STEP_PATTERN, .pattern = pattern};
  p->n_cuts = 1;
}

static bool is_kind(const limn_step *step, limn_step_kind kind, limn_behavior behavior) {
  return step->kind == kind && step->behavior == behavior && !step->invert;
}

void limn_join_steps(limn_pipeline *p) {
  const limn_step *s = p->cuts;
  size_t n = p->n_cuts;
  if (n == 3 && is_regex(&s[0], digits_regex) && is_regex(&s[1], east_asian_regex) &&
      is_regex(&s[2], deepseek_regex))
    set_only_step(p, LIMN_PATTERN_DEEPSEEK);
  else if (n == 2 && is_kind(&s[0], LIMN_STEP_NUMBERS, LIMN_ISOLATED) &&
           is_pattern(&s[1], LIMN_PATTERN_GPT2))
    set_only_step(p, LIMN_PATTERN_STARCODER);
  else if (n == 5 && is_kind(&s[0], LIMN_STEP_PUNCTUATION, LIMN_CONTIGUOUS) &&
           is_pattern(&s[1], LIMN_PATTERN_GPT2) && s[2].kind == LIMN_STEP_VISIBLE &&
           is_kind(&s[3], LIMN_STEP_NUMBERS, LIMN_CONTIGUOUS) &&
           is_regex(&s[4], three_digits_regex))
    set_only_step(p, LIMN_PATTERN_FALCON);
  for (size_t i = 0; i < p->n_cuts; i++) {
    limn_step *step = &p->cuts[i];
    if (step->kind != LIMN_STEP_REGEX || step->pattern == LIMN_PATTERN_REGEX ||
        !is_pattern(step, step->pattern))
      continue;
    limn_regex_close(step->regex);
    limn_free(step->text);
    *step = (limn_step){.kind = LIMN_STEP_PATTERN, .pattern = step->pattern};
  }
}
