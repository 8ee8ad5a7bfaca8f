/* SPDX-License-Identifier: BSD-3-Clause */
/* launcher.c - what a launcher tells the ranks, and what they tell it by their exit code. */
#include "ckpt/launcher.h"

#include <stdlib.h>
#include <string.h>
#include "ckpt/exit.h"
#include "ckpt/plugin.h"
#include "holdfast.h"
#include "unit.h"

static void fresh(void)
{
	static const char *const variables[] = {"HOLDFAST_RESTART", "HOLDFAST_RESTART_NS", "HOLDFAST_LAUNCH_NS",
						"HOLDFAST_CRASHES"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
}

START_TEST(what_is_not_said_is_nothing)
{
	struct launcher launcher;
	struct error err;

	fresh();
	setenv("HOLDFAST_CRASHES", "", 1);
	memset(&launcher, 0xff, sizeof(launcher));
	ck_assert_int_eq(launcher_read(&launcher, &err), 0);
	ck_assert_str_eq(launcher.cause, "");
	ck_assert_uint_eq(launcher.failed_ns, 0);
	ck_assert_uint_eq(launcher.started_ns, 0);
	ck_assert_uint_eq(launcher.crashes, 0);
}
END_TEST

START_TEST(what_is_said_is_read)
{
	struct launcher launcher;
	struct error err;

	fresh();
	setenv("HOLDFAST_RESTART", "rank 2 on node1 was killed by signal 9 (Killed)", 1);
	setenv("HOLDFAST_RESTART_NS", "1700000000000000001", 1);
	setenv("HOLDFAST_LAUNCH_NS", "1600000000000000002", 1);
	setenv("HOLDFAST_CRASHES", "3", 1);
	ck_assert_int_eq(launcher_read(&launcher, &err), 0);
	ck_assert_str_eq(launcher.cause, "rank 2 on node1 was killed by signal 9 (Killed)");
	ck_assert_uint_eq(launcher.failed_ns, 1700000000000000001u);
	ck_assert_uint_eq(launcher.started_ns, 1600000000000000002u);
	ck_assert_uint_eq(launcher.crashes, 3);
}
END_TEST

/* It becomes part of a line on somebody's terminal. */
START_TEST(a_cause_is_one_short_line)
{
	char cause[1000];
	struct launcher launcher;
	struct error err;

	fresh();
	setenv("HOLDFAST_RESTART", "rank 1\n\033[2Jdied\x7f", 1);
	ck_assert_int_eq(launcher_read(&launcher, &err), 0);
	ck_assert_str_eq(launcher.cause, "rank 1??[2Jdied?");
	memset(cause, 'x', sizeof(cause));
	cause[sizeof(cause) - 1] = '\0';
	setenv("HOLDFAST_RESTART", cause, 1);
	ck_assert_int_eq(launcher_read(&launcher, &err), 0);
	ck_assert_uint_eq(strlen(launcher.cause), LAUNCHER_CAUSE_BYTES - 1);
}
END_TEST

START_TEST(what_is_no_number_is_refused_by_name)
{
	static const char *const wrong[] = {"x", "-1", "+1", " 1", "1 ", "1.5", "18446744073709551616"};
	static const char *const variables[] = {"HOLDFAST_RESTART_NS", "HOLDFAST_LAUNCH_NS", "HOLDFAST_CRASHES"};
	struct launcher launcher;
	struct error err;
	uint64_t value = 7;

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
			fresh();
			setenv(variables[i], wrong[k], 1);
			ck_assert_int_eq(launcher_read(&launcher, &err), HF_ECONFIG);
			ck_assert_ptr_nonnull(strstr(err.text, variables[i]));
			ck_assert_ptr_nonnull(strstr(err.text, "unset it"));
		}
	}
	fresh();
	setenv("HOLDFAST_CRASHES", "11", 1);
	ck_assert_int_eq(launcher_number("HOLDFAST_CRASHES", 10, &value, &err), HF_ECONFIG);
	ck_assert_uint_eq(value, 7);
	ck_assert_int_eq(launcher_number("HOLDFAST_CRASHES", 11, &value, &err), 0);
	ck_assert_uint_eq(value, 11);
}
END_TEST

/* 78 tells the launcher to let it be; 1 lets it try again. */
START_TEST(the_exit_code_tells_configuration_from_bad_luck)
{
	static const struct {
		int code, first, later;
	} cases[] = {
		{HF_EINVAL, 78, 78},  {HF_ENOSYS, 78, 78}, {HF_ECONFIG, 78, 78}, {HF_EAUTH, 78, 78},
		{HF_EBUSY, 78, 78},   {HF_ENOSPC, 78, 78}, {HF_ERANKS, 78, 78},	 {HF_EMODE, 78, 78},
		{HF_ESERVER, 78, 1},  {HF_EPROTO, 78, 1},  {HF_ETIMEDOUT, 78, 1}, {HF_ENOMEM, 1, 1},
		{HF_EMPI, 1, 1},      {HF_EIO, 1, 1},	   {HF_EFENCED, 1, 1},	 {HF_EPEER, 1, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_msg(exit_of_attach(cases[i].code, 0) == cases[i].first, "%s", hf_strerror(cases[i].code));
		ck_assert_msg(exit_of_attach(cases[i].code, 1) == cases[i].later, "%s", hf_strerror(cases[i].code));
	}
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("launcher");

	unit_add(suite, "nothing", what_is_not_said_is_nothing, 10);
	unit_add(suite, "said", what_is_said_is_read, 10);
	unit_add(suite, "cause", a_cause_is_one_short_line, 10);
	unit_add(suite, "numbers", what_is_no_number_is_refused_by_name, 10);
	unit_add(suite, "exit", the_exit_code_tells_configuration_from_bad_luck, 10);
	return suite;
}
