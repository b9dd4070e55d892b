/*
 * train_pattern.c - the patterns that an encoding can be learned with, by name, and how a
 * tokenizer.json says them: as passes, each of which cuts the pieces of the one before.
 */
#include "tokenizer/train.h"

#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LINES(letters, others, digits)                                                             \
  CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?" letters "+|" digits "| ?" others "+[\\r\\n]*"             \
               "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED(contractions, digits)                                                                \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"                                    \
  "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" contractions                                                    \
  "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"                                   \
  "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" contractions "|" digits                                         \
  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK                                                                                   \
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"             \
  "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef enum pass_kind {
  PASS_END = 0,
  PASS_SPLIT,       /* by a regular expression */
  PASS_PUNCTUATION, /* runs of punctuation */
  PASS_DIGITS,      /* runs of digits */
  PASS_SINGLE_DIGITS,
  PASS_GPT2, /* GPT-2's pattern; pieces are bytes from here on */
  PASS_BYTES /* no cut; pieces are bytes from here on */
} pass_kind;

typedef struct pass {
  pass_kind kind;
  const char *regex;
} pass;

static const struct named_pattern {
  const char *name;
  limn_pattern pattern;
  pass passes[5];
} named[] = {
    {"gpt2", LIMN_PATTERN_GPT2, {{PASS_GPT2, NULL}}},
    {"llama3",
     LIMN_PATTERN_LLAMA3,
     {{PASS_SPLIT, LINES("\\p{L}", "[^\\s\\p{L}\\p{N}]", "\\p{N}{1,3}")}, {PASS_BYTES, NULL}}},
    {"qwen2",
     LIMN_PATTERN_QWEN2,
     {{PASS_SPLIT, LINES("\\p{L}", "[^\\s\\p{L}\\p{N}]", "\\p{N}")}, {PASS_BYTES, NULL}}},
    {"qwen3.5",
     LIMN_PATTERN_QWEN35,
     {{PASS_SPLIT, LINES("[\\p{L}\\p{M}]", "[^\\s\\p{L}\\p{M}\\p{N}]", "\\p{N}")},
      {PASS_BYTES, NULL}}},
    {"o200k",
     LIMN_PATTERN_O200K,
     {{PASS_SPLIT, CASED(CONTRACTIONS "?", "\\p{N}{1,3}")}, {PASS_BYTES, NULL}}},
    {"tekken", LIMN_PATTERN_TEKKEN, {{PASS_SPLIT, CASED("", "\\p{N}")}, {PASS_BYTES, NULL}}},
    {"starcoder", LIMN_PATTERN_STARCODER, {{PASS_SINGLE_DIGITS, NULL}, {PASS_GPT2, NULL}}},
    {"falcon",
     LIMN_PATTERN_FALCON,
     {{PASS_PUNCTUATION, NULL},
      {PASS_GPT2, NULL},
      {PASS_DIGITS, NULL},
      {PASS_SPLIT, "[0-9][0-9][0-9]"}}},
    {"deepseek",
     LIMN_PATTERN_DEEPSEEK,
     {{PASS_SPLIT, "\\p{N}{1,3}"},
      {PASS_SPLIT, "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"},
      {PASS_SPLIT, DEEPSEEK},
      {PASS_BYTES, NULL}}},
};

#define N_NAMED (sizeof named / sizeof *named)

limn_status limn_pattern_find(const char *name, limn_pattern *out, limn_error *err) {
  limn_bytes names = {0};
  for (size_t i = 0; i < N_NAMED; i++) {
    if (strcmp(named[i].name, name) != 0) continue;
    *out = named[i].pattern;
    return LIMN_OK;
  }
  for (size_t i = 0; i < N_NAMED; i++) {
    limn_bytes_append(&names, i ? ", " : "", i ? 2 : 0);
    limn_bytes_append(&names, named[i].name, strlen(named[i].name));
  }
  limn_status status =
      limn_error_set(err, LIMN_ERROR_ARGUMENT, LIMN_NO_OFFSET,
                     "no pattern has the name \"%s\", expected one of %s", name, names.data);
  limn_bytes_deinit(&names);
  return status;
}

/* ---- as a tokenizer.json has it -------------------------------------------------------------- */

static void put_type(limn_json *j, const char *type) {
  limn_json_key(j, "type");
  limn_json_cstring(j, type);
}

static void put_flag(limn_json *j, const char *key, bool value) {
  limn_json_key(j, key);
  limn_json_bool(j, value);
}

void limn_put_byte_level(limn_json *j, bool add_prefix_space, bool use_regex) {
  limn_json_begin_object(j);
  put_type(j, "ByteLevel");
  put_flag(j, "add_prefix_space", add_prefix_space);
  put_flag(j, "trim_offsets", true);
  put_flag(j, "use_regex", use_regex);
  limn_json_end_object(j);
}

static void put_split(limn_json *j, const char *regex) {
  limn_json_begin_object(j);
  put_type(j, "Split");
  limn_json_key(j, "pattern");
  limn_json_begin_object(j);
  limn_json_key(j, "Regex");
  limn_json_cstring(j, regex);
  limn_json_end_object(j);
  limn_json_key(j, "behavior");
  limn_json_cstring(j, "Isolated");
  put_flag(j, "invert", false);
  limn_json_end_object(j);
}

static void put_digits(limn_json *j, bool is_single) {
  limn_json_begin_object(j);
  put_type(j, "Digits");
  put_flag(j, "individual_digits", is_single);
  limn_json_end_object(j);
}

static void put_punctuation(limn_json *j) {
  limn_json_begin_object(j);
  put_type(j, "Punctuation");
  limn_json_key(j, "behavior");
  limn_json_cstring(j, "Contiguous");
  limn_json_end_object(j);
}

static void put_pass(limn_json *j, const pass *p) {
  switch (p->kind) {
  case PASS_SPLIT:
    put_split(j, p->regex);
    break;
  case PASS_PUNCTUATION:
    put_punctuation(j);
    break;
  case PASS_DIGITS:
  case PASS_SINGLE_DIGITS:
    put_digits(j, p->kind == PASS_SINGLE_DIGITS);
    break;
  case PASS_GPT2:
  case PASS_BYTES:
    limn_put_byte_level(j, false, p->kind == PASS_GPT2);
    break;
  case PASS_END:
    break;
  }
}

void limn_pattern_put(limn_json *j, limn_pattern pattern) {
  size_t i = 0;
  while (named[i].pattern != pattern)
    i++;
  const pass *passes = named[i].passes;
  if (passes[1].kind == PASS_END) {
    put_pass(j, &passes[0]);
    return;
  }
  limn_json_begin_object(j);
  put_type(j, "Sequence");
  limn_json_key(j, "pretokenizers");
  limn_json_begin_array(j);
  for (const pass *p = passes; p->kind != PASS_END; p++)
    put_pass(j, p);
  limn_json_end_array(j);
  limn_json_end_object(j);
}
