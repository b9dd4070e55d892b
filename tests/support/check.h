/*
 * check.h - what every unit test includes: cmocka, and checks that say more than "not equal".
 */
#ifndef LIMN_TESTS_CHECK_H
#define LIMN_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <limn/limn.h>

/* The call succeeds; otherwise the test fails with the error's text. `err` is a limn_error. */
#define CHECK_OK(call, err)                                                                        \
  do {                                                                                             \
    limn_status status_ = (call);                                                                  \
    if (status_ != LIMN_OK) fail_msg("%s: %s: %s", #call, limn_status_name(status_), (err).text);  \
  } while (0)

/* The call fails with this status and a text that contains `part`. */
#define CHECK_FAILS(call, expected, err, part)                                                     \
  do {                                                                                             \
    limn_status status_ = (call);                                                                  \
    if (status_ != (expected))                                                                     \
      fail_msg("%s: got \"%s\" (%s), expected \"%s\"", #call, limn_status_name(status_),           \
               (err).text, limn_status_name(expected));                                            \
    if (!strstr((err).text, (part)))                                                               \
      fail_msg("%s: message \"%s\" does not contain \"%s\"", #call, (err).text, (part));           \
  } while (0)

/* max|a - b| / max|b| is at most `tolerance`, infinities in the same places. */
void check_close(const char *what, const float *a, const float *b, int64_t n, double tolerance);

/* Counts allocations from here on, and makes number `k` (from 0) and all later ones fail; none for
 * -1. */
void fail_allocations_from(int64_t k);
/* Makes only allocation number `k` fail. */
void fail_allocation(int64_t k);
/* How many allocations were asked for since the last call of one of the two above. */
int64_t allocations_asked(void);
/* Blocks given and not yet released since then. */
int64_t allocations_live(void);

/* A new empty folder under TMPDIR, removed with all it holds by remove_folder. */
void make_folder(char path[256]);
void remove_folder(const char *path);

#endif
