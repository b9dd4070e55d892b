/*
 * normal.h - inside the library: texts that changed on the way, and Unicode's normal forms.
 */
#ifndef LIMN_SRC_TOKENIZER_NORMAL_H
#define LIMN_SRC_TOKENIZER_NORMAL_H

#include "base/memory.h"

/* ---- tables (normal_table.c says what is in them) ----------------------------------------------
 */

extern const size_t limn_n_category_runs, limn_n_order_runs, limn_n_canonical_decomposed,
    limn_n_compatible_decomposed, limn_n_composed, limn_n_lowered;
extern const uint32_t limn_category_runs[], limn_order_runs[], limn_canonical_decomposed[],
    limn_canonical_decompositions[], limn_compatible_decomposed[], limn_compatible_decompositions[],
    limn_composed[], limn_lowered[], limn_lower_cases[];
extern const uint16_t limn_canonical_starts[], limn_compatible_starts[];
extern const uint64_t limn_composed_pairs[];

/* General categories in the order of their names. */
// clang-format off
typedef enum limn_category {
  LIMN_CN, LIMN_CC, LIMN_CF, LIMN_CO, LIMN_CS, LIMN_LL, LIMN_LM, LIMN_LO, LIMN_LT, LIMN_LU,
  LIMN_MC, LIMN_ME, LIMN_MN, LIMN_ND, LIMN_NL, LIMN_NO, LIMN_PC, LIMN_PD, LIMN_PE, LIMN_PF,
  LIMN_PI, LIMN_PO, LIMN_PS, LIMN_SC, LIMN_SK, LIMN_SM, LIMN_SO, LIMN_ZL, LIMN_ZP, LIMN_ZS,
  LIMN_N_CATEGORIES
} limn_category;
// clang-format on

/* "Cn", "Cc" ... */
extern const char limn_category_names[LIMN_N_CATEGORIES][3];

/* Precondition: code <= 0x10ffff. */
limn_category limn_category_of(uint32_t code);
/* What \w is: letters, marks, decimal numbers, connectors, joiners and the property Alphabetic. */
bool limn_is_word(uint32_t code);
/* The property White_Space. */
bool limn_is_space(uint32_t code);

/* ---- a text and where it came from -------------------------------------------------------------
 */

/* A part of a text; byte i stood at `map[i]` of the original, at base + i where map is NULL. */
typedef struct limn_view {
  const unsigned char *text;
  size_t n;
  const size_t *map;
  size_t base;
} limn_view;

static inline size_t limn_view_origin(limn_view v, size_t i) {
  return v.map ? v.map[i] : v.base + i;
}

static inline limn_view limn_view_part(limn_view v, size_t start, size_t end) {
  return (limn_view){v.text + start, end - start, v.map ? v.map + start : NULL, v.base + start};
}

/* A text that is being made, with the origin of each byte. Start from {0}. */
typedef struct limn_mapped {
  unsigned char *text;
  size_t *map;
  size_t n, capacity;
} limn_mapped;

/* False without memory. All n bytes have one origin; or each its own, those of the view. */
bool limn_mapped_append(limn_mapped *m, const void *bytes, size_t n, size_t origin);
bool limn_mapped_append_view(limn_mapped *m, limn_view v);
limn_view limn_mapped_view(const limn_mapped *m);
void limn_mapped_deinit(limn_mapped *m);

/* ---- normal forms ------------------------------------------------------------------------------
 */

typedef enum limn_form { LIMN_NFC = 0, LIMN_NFD, LIMN_NFKC, LIMN_NFKD } limn_form;

/* A character that waits for those that belong to it. */
typedef struct limn_normal_char {
  uint32_t code;
  uint32_t order; /* rank of the canonical combining class */
  size_t place;   /* among its neighbours, so that sorting keeps equal ones in order */
  int64_t extra;  /* 1 for one that its decomposition adds, less one for each it was joined with */
} limn_normal_char;

typedef struct limn_normal {
  limn_normal_char *chars; /* (capacity) n of them */
  size_t *origins;         /* (capacity) of the n_origins characters they were in the text */
  size_t n, n_origins, capacity;
} limn_normal;

void limn_normal_deinit(limn_normal *s);

/* True when the text is in the form for certain, which nearly every text is in NFC. */
bool limn_form_holds(limn_form form, const unsigned char *text, size_t n);
/*
 * Appends the text in the form (Unicode Standard Annex 15) to `out`; bytes that are no character
 * stay as they are. Time n log n. False without memory.
 */
bool limn_form_append(limn_normal *s, limn_form form, limn_view v, limn_mapped *out);
/*
 * The last place from which on nothing joins what is before it, whatever follows: what stands
 * before and what stands behind may be brought into a form on their own. 0 where there is none.
 */
size_t limn_form_boundary(const unsigned char *text, size_t n);

/* ---- characters one by one ---------------------------------------------------------------------
 */

/* Appends the text in lower case, each character on its own (so that a capital sigma is always the
 * sigma inside a word); or without marks. False without memory. */
bool limn_lower_append(limn_view v, limn_mapped *out);
bool limn_without_marks_append(limn_view v, limn_mapped *out);

#endif
