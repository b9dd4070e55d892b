/*
 * families.h - inside the library: patterns by the text of their expressions, and by name.
 */
#ifndef LIMN_SRC_TOKENIZER_FAMILIES_H
#define LIMN_SRC_TOKENIZER_FAMILIES_H

#include "tokenizer/pipeline.h"

/* The family whose pattern is this expression as tokenizer.json files spell it; REGEX for none. */
limn_pattern limn_pattern_of_regex(const char *regex, size_t n);

/* Puts one step for several where the steps that cut are together a family's. */
void limn_join_steps(limn_pipeline *p);

/* Makes a step of a regular expression, or of the pattern that it is known to be. */
limn_status limn_step_of_regex(limn_step *step, const char *where, const char *regex, size_t n,
                               bool is_literal, limn_error *err);

#endif
