/* SPDX-License-Identifier: BSD-3-Clause */
/* unit.h - main() of a unit test program: one suite, TAP on stdout. Define `unit_suite()` before. */
#ifndef HOLDFAST_UNIT_H
#define HOLDFAST_UNIT_H

#include <check.h>
#include <stdlib.h>

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

/* Adds a test case with one test and a time limit in seconds. */
static inline void unit_add(Suite *suite, const char *name, const TTest *test, double seconds)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, seconds);
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

#endif
