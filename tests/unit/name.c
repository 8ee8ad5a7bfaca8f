/* SPDX-License-Identifier: BSD-3-Clause */
/* name.c - what a job is called. */
#include "ckpt/name.h"

#include <stdlib.h>
#include <string.h>
#include "holdfast.h"
#include "unit.h"

static void fresh(void)
{
	static const char *const variables[] = {"SLURM_JOB_ID", "PBS_JOBID",	   "LSB_JOBID",
						"JOB_ID",	"HOLDFAST_LAUNCH", "HOLDFAST_INCARNATION"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

START_TEST(nearest_source_wins)
{
	struct name name;
	struct error err;

	fresh();
	setenv("JOB_ID", "4", 1);
	setenv("PBS_JOBID", "3.host", 1);
	ck_assert_int_eq(name_decide("given", "configured", &name, &err), 0);
	ck_assert_str_eq(name.job, "given");
	ck_assert_uint_eq(name.origin, NAME_GIVEN);
	ck_assert_int_eq(name_decide(NULL, "configured", &name, &err), 0);
	ck_assert_str_eq(name.job, "configured");
	ck_assert_uint_eq(name.origin, NAME_GIVEN);
	ck_assert_int_eq(name_decide(NULL, NULL, &name, &err), 0);
	ck_assert_str_eq(name.job, "pbs-3.host");
	ck_assert_uint_eq(name.origin, NAME_BATCH);
}
END_TEST

START_TEST(launches_differ_unless_they_are_the_same)
{
	struct name one, two;
	struct error err;

	fresh();
	ck_assert_int_eq(name_decide(NULL, NULL, &one, &err), 0);
	ck_assert_int_eq(name_decide(NULL, NULL, &two, &err), 0);
	ck_assert_uint_eq(one.origin, NAME_LAUNCH);
	ck_assert_uint_eq(strlen(one.job), strlen("mpirun-") + 16);
	ck_assert_str_ne(one.job, two.job);
	setenv("HOLDFAST_LAUNCH", "00112233445566778899AABBCCDDEEFF", 1);
	setenv("HOLDFAST_INCARNATION", "2", 1);
	ck_assert_int_eq(name_decide(NULL, NULL, &one, &err), 0);
	ck_assert_str_eq(one.job, "mpirun-0011223344556677");
	ck_assert_uint_eq(one.launch[15], 0xff);
	ck_assert_uint_eq(one.incarnation, 2);
}
END_TEST

START_TEST(unusable_names_are_refused)
{
	char longest[HF_JOB_NAME_MAX + 2];
	struct name name;
	struct error err;

	fresh();
	memset(longest, 'j', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	ck_assert_int_eq(name_decide(longest, NULL, &name, &err), HF_EINVAL);
	ck_assert_int_eq(name_decide(NULL, longest, &name, &err), HF_ECONFIG);
	longest[HF_JOB_NAME_MAX] = '\0';
	ck_assert_int_eq(name_decide(longest, NULL, &name, &err), 0);
	ck_assert_int_eq(name_decide("", NULL, &name, &err), HF_EINVAL);
	ck_assert_int_eq(name_decide("a/b", NULL, &name, &err), HF_EINVAL);
	ck_assert_int_eq(name_decide("a\tb", NULL, &name, &err), HF_EINVAL);
	ck_assert_int_eq(name_decide("a\x7f", NULL, &name, &err), HF_EINVAL);
	setenv("SLURM_JOB_ID", "1/2", 1);
	ck_assert_int_eq(name_decide(NULL, NULL, &name, &err), HF_ECONFIG);
}
END_TEST

START_TEST(launchers_variables_are_checked)
{
	static const char *const launches[] = {"0", "00112233445566778899aabbccddeef",
					       "00112233445566778899aabbccddeefg",
					       "00112233445566778899aabbccddeeff0"};
	static const char *const incarnations[] = {"x", "-1", "1x", "4294967296", " 1"};
	struct name name;
	struct error err;

	fresh();
	for (size_t i = 0; i < sizeof(launches) / sizeof(launches[0]); i++) {
		setenv("HOLDFAST_LAUNCH", launches[i], 1);
		ck_assert_int_eq(name_decide("j", NULL, &name, &err), HF_ECONFIG);
	}
	fresh();
	for (size_t i = 0; i < sizeof(incarnations) / sizeof(incarnations[0]); i++) {
		setenv("HOLDFAST_INCARNATION", incarnations[i], 1);
		ck_assert_int_eq(name_decide("j", NULL, &name, &err), HF_ECONFIG);
	}
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("name");

	unit_add(suite, "nearest_source_wins", nearest_source_wins, 10);
	unit_add(suite, "launches_differ_unless_they_are_the_same", launches_differ_unless_they_are_the_same,
		 10);
	unit_add(suite, "unusable_names_are_refused", unusable_names_are_refused, 10);
	unit_add(suite, "launchers_variables_are_checked", launchers_variables_are_checked, 10);
	return suite;
}
