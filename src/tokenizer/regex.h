/*
 * regex.h - inside the library: the regular expressions of tokenizer files, on PCRE2.
 */
#ifndef LIMN_SRC_TOKENIZER_REGEX_H
#define LIMN_SRC_TOKENIZER_REGEX_H

#include "base/memory.h"

typedef struct limn_regex limn_regex;

/*
 * An expression in the syntax of Hugging Face's library (Oniguruma's, as Ruby has it), or, when
 * is_literal, a text that is looked for as it is. FORMAT with the offset for what is malformed,
 * UNSUPPORTED for parts of the syntax that limn does not follow (back references, conditions,
 * names, ...), MEMORY. `where` opens the messages.
 */
limn_status limn_regex_open(const char *where, const char *pattern, size_t n, bool is_literal,
                            limn_regex **out, limn_error *err);
void limn_regex_close(limn_regex *regex);

/* What matching needs, one for each thread. Start from {0}. */
typedef struct limn_regex_space {
  void *match, *context, *stack;
} limn_regex_space;
void limn_regex_space_deinit(limn_regex_space *space);

/* A text that is searched from left to right. Start from {0}; may be used again and again. */
typedef struct limn_search {
  const limn_regex *regex;
  const unsigned char *text; /* valid UTF-8: the caller's, or a copy */
  size_t n, at, last;
  unsigned char *copy; /* of a text that is not: each bad byte as U+FFFD */
  size_t *places;      /* (n of the copy + 1) where each byte of the copy stood */
  size_t capacity;
  bool is_copy;
  bool is_open; /* the text may go on: a match that what follows could change is none yet */
} limn_search;

/* The text must stay. MEMORY. */
limn_status limn_search_start(limn_search *s, const limn_regex *regex, const unsigned char *text,
                              size_t n, limn_error *err);
/* Goes on at a place of the text; is_match_end: where a match has just ended. */
void limn_search_from(limn_search *s, size_t at, bool is_match_end);
/* Whether the expression is one character that stands for itself; and how many bytes before a place
 * it may look at. */
bool limn_regex_is_char(const limn_regex *regex);
size_t limn_regex_look_back(const limn_regex *regex);
/*
 * The next match; *found is false when there is none. RANGE when the expression takes more steps
 * than are allowed (one that a hostile file brings), MEMORY.
 */
limn_status limn_search_next(limn_search *s, limn_regex_space *space, bool *found, size_t *start,
                             size_t *end, limn_error *err);
void limn_search_deinit(limn_search *s);

#endif
