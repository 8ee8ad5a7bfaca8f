/* SPDX-License-Identifier: BSD-3-Clause */
/* record.c - the command line that a launcher gives. */
#include "ckpt/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "holdfast.h"
#include "unit.h"

static struct command_line command;
static struct error err;

static int given(const char *arguments, const char *directory)
{
	memset(&command, 0xff, sizeof(command));
	setenv("HOLDFAST_COMMAND", arguments, 1);
	setenv("HOLDFAST_COMMAND_DIR", directory, 1);
	return record_read(&command, &err);
}

START_TEST(what_a_launcher_gives_is_read)
{
	char line[128];

	ck_assert_int_eq(given("[\"mpirun\", \"\", \"caf\\u00e9 \\\"\"]", "/home/me"), HF_OK);
	ck_assert_str_eq(command_format(&command, line, sizeof(line)), "cd /home/me && mpirun '' 'caf\xc3\xa9 \"'");
	free(command.text);
}
END_TEST

START_TEST(without_both_there_is_none)
{
	ck_assert_int_eq(given("", "/home/me"), HF_OK);
	ck_assert_uint_eq(command.bytes, 0);
	ck_assert_int_eq(given("[\"app\"]", ""), HF_OK);
	ck_assert_uint_eq(command.bytes, 0);
	unsetenv("HOLDFAST_COMMAND");
	ck_assert_int_eq(record_read(&command, &err), HF_OK);
	ck_assert_uint_eq(command.bytes, 0);
}
END_TEST

START_TEST(what_is_malformed_is_named)
{
	static const char *const bad[] = {"mpirun", "[", "{}", "\"app\"", "[1]", "[\"app\", null]", "[]",
					  "[\"\"]", "[\"a\\u0000b\"]", "[\"\xff\"]", "[\"app\"] x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(given(bad[i], "/") == HF_ECONFIG, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(err.text, "HOLDFAST_COMMAND"));
		ck_assert_uint_eq(command.bytes, 0);
	}
	ck_assert_int_eq(given("[\"app\"]", "home"), HF_ECONFIG);
}
END_TEST

START_TEST(what_is_too_long_is_not_taken)
{
	static char text[8 * COMMAND_BYTES_MAX + 2];
	size_t length = 1;

	/* one argument of all bytes but those of the directory and the zeros */
	memset(text, 'x', sizeof(text));
	memcpy(text, "[\"", 2);
	strcpy(text + 2 + COMMAND_BYTES_MAX - 3, "\"]");
	ck_assert_int_eq(given(text, "/"), HF_OK);
	ck_assert_uint_eq(command.bytes, COMMAND_BYTES_MAX);
	free(command.text);
	ck_assert_int_eq(given(text, "/d"), HF_ENOSPC);
	ck_assert_uint_eq(command.bytes, 0);

	strcpy(text, "[");
	for (unsigned i = 0; i < COMMAND_ARGUMENTS_MAX; i++)
		length += (size_t)sprintf(text + length, "%s\"a\"", i ? "," : "");
	strcpy(text + length, "]");
	ck_assert_int_eq(given(text, "/"), HF_OK);
	free(command.text);
	strcpy(text + length, ",\"a\"]");
	ck_assert_int_eq(given(text, "/"), HF_ENOSPC);

	memset(text, '[', sizeof(text) - 1);
	ck_assert_int_eq(given(text, "/"), HF_ENOSPC);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("record");

	unit_add(suite, "record", what_a_launcher_gives_is_read, 10);
	unit_add(suite, "record", without_both_there_is_none, 10);
	unit_add(suite, "record", what_is_malformed_is_named, 10);
	unit_add(suite, "record", what_is_too_long_is_not_taken, 10);
	return suite;
}
