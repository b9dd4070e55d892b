/*
 * kinds.c - what the ASCII codes are to the patterns.
 */
#include "tokenizer/kinds.h"

#define SPACE (LIMN_KIND_SPACE)
#define LINE  (LIMN_KIND_SPACE | LIMN_KIND_NEWLINE)
#define U     LIMN_KIND_UPPER
#define L     LIMN_KIND_LOWER
#define N     LIMN_KIND_NUMBER

const uint8_t limn_kinds[128] = {
    ['\t'] = SPACE, ['\n'] = LINE, ['\v'] = SPACE, ['\f'] = SPACE, ['\r'] = LINE,
    [' '] = LIMN_KIND_SPACE | LIMN_KIND_BLANK,
    ['\''] = LIMN_KIND_APOSTROPHE,
    ['/'] = LIMN_KIND_SLASH,
    ['0'] = N, N, N, N, N, N, N, N, N, N,
    ['A'] = U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
    ['a'] = L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,
};

const uint8_t limn_parts[128] = {
    ['s'] = LIMN_PART_ONE,   ['t'] = LIMN_PART_ONE,   ['m'] = LIMN_PART_ONE, ['d'] = LIMN_PART_ONE,
    ['S'] = LIMN_PART_ONE,   ['T'] = LIMN_PART_ONE,   ['M'] = LIMN_PART_ONE, ['D'] = LIMN_PART_ONE,
    ['r'] = LIMN_PART_FIRST, ['v'] = LIMN_PART_FIRST, ['l'] = LIMN_PART_ELL, ['e'] = LIMN_PART_E,
    ['R'] = LIMN_PART_FIRST, ['V'] = LIMN_PART_FIRST, ['L'] = LIMN_PART_ELL, ['E'] = LIMN_PART_E,
};
