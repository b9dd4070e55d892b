/*
 * folder.h - a new folder for each test of a file that writes some.
 */
#ifndef LIMN_TESTS_FOLDER_H
#define LIMN_TESTS_FOLDER_H

#include "check.h"

/* The folder of the test that runs. */
extern char folder[256];

/* A path in it, in one of a few static buffers, so that several can be held at once. */
const char *in_folder(const char *name);

/* Fixtures of cmocka; the second also gives the allocator back. */
int enter_folder(void **state);
int leave_folder(void **state);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

#endif
