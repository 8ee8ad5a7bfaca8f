/* SPDX-License-Identifier: BSD-3-Clause */
/* unit.h - main() of a unit test program: one suite, TAP on stdout. Define `unit_suite()` before. */
#ifndef HOLDFAST_UNIT_H
#define HOLDFAST_UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include "common/sanitized.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

/* Of a function that ThreadSanitizer shall not watch. */
#ifdef __SANITIZE_THREAD__
#define UNIT_UNWATCHED __attribute__((no_sanitize_thread))
#else
#define UNIT_UNWATCHED
#endif

static Suite *unit_suite(void);

int main(void)
{
	SRunner *runner = srunner_create(unit_suite());
	int failed;

	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * How much of what is random, or tried at every place, is done: `usual` is the full number, which the stage gcc of
 * ./check has; `brief` is for valgrind, and where HOLDFAST_UNIT_BRIEF says that it was done elsewhere.
 * HOLDFAST_UNIT_THOROUGH is for hand.
 */
static inline bool unit_is_brief(void)
{
	return RUNNING_ON_VALGRIND || getenv("HOLDFAST_UNIT_BRIEF");
}

static inline unsigned unit_rounds(unsigned thorough, unsigned usual, unsigned brief)
{
	return getenv("HOLDFAST_UNIT_THOROUGH") ? thorough : unit_is_brief() ? brief : usual;
}

/* Adds a test case with one test, which runs `count` times with _i from 0 on, and a time limit in seconds for each. */
static inline void unit_add_loop(Suite *suite, const char *name, const TTest *test, double seconds, int count)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, seconds);
	tcase_add_loop_test(tcase, test, 0, count);
	suite_add_tcase(suite, tcase);
}

static inline void unit_add(Suite *suite, const char *name, const TTest *test, double seconds)
{
	unit_add_loop(suite, name, test, seconds, 1);
}

#endif
