/*
 * chosen.h - inside the library: the numbers of the bits that a byte has, lowest first, for loops
 * that have no instruction to press what is chosen together but one that permutes.
 */
#ifndef LIMN_SRC_TOKENIZER_CHOSEN_H
#define LIMN_SRC_TOKENIZER_CHOSEN_H

#include <stdint.h>

/* From bit 7 down, each that is there moves the others up by a byte. */
#define BIT(m, i)       ((uint64_t)(m) >> (i)&1)
#define PUT(m, i, rest) ((rest) << 8 * BIT(m, i) | (i)*BIT(m, i))
#define ROW(m)                                                                                     \
  PUT(m, 0,                                                                                        \
      PUT(m, 1, PUT(m, 2, PUT(m, 3, PUT(m, 4, PUT(m, 5, PUT(m, 6, PUT(m, 7, UINT64_C(0)))))))))
#define ROWS4(m)  ROW(m), ROW((m) + 1), ROW((m) + 2), ROW((m) + 3)
#define ROWS16(m) ROWS4(m), ROWS4((m) + 4), ROWS4((m) + 8), ROWS4((m) + 12)
#define ROWS64(m) ROWS16(m), ROWS16((m) + 16), ROWS16((m) + 32), ROWS16((m) + 48)

/* Byte k of [m] is the number of the k-th bit of m; zeros behind the last. */
static const uint64_t limn_chosen[256] = {ROWS64(0), ROWS64(64), ROWS64(128), ROWS64(192)};

#undef BIT
#undef PUT
#undef ROW
#undef ROWS4
#undef ROWS16
#undef ROWS64

#endif
