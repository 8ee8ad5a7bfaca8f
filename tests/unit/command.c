/* SPDX-License-Identifier: BSD-3-Clause */
/* command.c - command lines that are kept: what is none, their strings, and how they are shown. */
#include "common/command.h"

#include <string.h>
#include "unit.h"

#define COMMAND(text) ((struct command_line){sizeof(text), (char[]){text}})

START_TEST(what_is_no_command_is_told)
{
	static char many[2 * COMMAND_ARGUMENTS_MAX + 8];
	struct command_line command = {0, NULL};

	ck_assert(command_ok(&command));
	ck_assert(command_ok(&COMMAND("/\0app")));
	ck_assert(command_ok(&COMMAND("/home\0app\0")));
	ck_assert(!command_ok(&COMMAND("/home")));
	ck_assert(!command_ok(&COMMAND("home\0app")));
	ck_assert(!command_ok(&COMMAND("\0app")));
	ck_assert(!command_ok(&COMMAND("/\0")));
	command = COMMAND("/\0app");
	command.bytes--;
	ck_assert(!command_ok(&command));
	/* "/", then one letter each */
	memcpy(many, "/", 2);
	for (unsigned i = 0; i <= COMMAND_ARGUMENTS_MAX; i++)
		many[2 + 2 * i] = 'x';
	ck_assert(command_ok(&(struct command_line){2 + 2 * COMMAND_ARGUMENTS_MAX, many}));
	ck_assert(!command_ok(&(struct command_line){4 + 2 * COMMAND_ARGUMENTS_MAX, many}));
}
END_TEST

START_TEST(strings_come_in_order)
{
	const struct command_line command = COMMAND("/home\0app\0\0-v"), none = {0, NULL};
	const char *at = command_next(&command, NULL);

	ck_assert_str_eq(at, "/home");
	at = command_next(&command, at);
	ck_assert_str_eq(at, "app");
	at = command_next(&command, at);
	ck_assert_str_eq(at, "");
	at = command_next(&command, at);
	ck_assert_str_eq(at, "-v");
	ck_assert_ptr_null(command_next(&command, at));
	ck_assert_ptr_null(command_next(&none, NULL));
}
END_TEST

START_TEST(equal_means_every_byte)
{
	const struct command_line none = {0, NULL};

	ck_assert(command_equal(&COMMAND("/\0app"), &COMMAND("/\0app")));
	ck_assert(!command_equal(&COMMAND("/\0app"), &COMMAND("/\0apx")));
	ck_assert(!command_equal(&COMMAND("/\0app"), &COMMAND("/\0app\0")));
	ck_assert(!command_equal(&COMMAND("/\0app"), &none));
	ck_assert(command_equal(&none, &none));
}
END_TEST

START_TEST(a_shell_would_read_what_is_shown)
{
	static const struct {
		struct command_line command;
		const char *line;
	} cases[] = {
		{{sizeof("/a\0b"), "/a\0b"}, "cd /a && b"},
		{{sizeof("/a b\0c\0\0d;e"), "/a b\0c\0\0d;e"}, "cd '/a b' && c '' 'd;e'"},
		{{sizeof("/\0it's"), "/\0it's"}, "cd / && 'it'\\''s'"},
		{{sizeof("/\0a\033[2Jb"), "/\0a\033[2Jb"}, "cd / && 'a?[2Jb'"},
	};
	char out[64], short_of[8];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(command_format(&cases[i].command, out, sizeof(out)), cases[i].line);
	ck_assert_str_eq(command_format(&cases[1].command, short_of, sizeof(short_of)), "cd '...");
	ck_assert_str_eq(command_format(&(struct command_line){0, NULL}, out, sizeof(out)), "");
}
END_TEST

START_TEST(the_largest_is_shown_whole)
{
	static char text[COMMAND_BYTES_MAX] = "/", line[COMMAND_LINE_BYTES];
	const struct command_line command = {sizeof(text), text};

	memset(text + 2, '\'', sizeof(text) - 3);
	ck_assert(command_ok(&command));
	command_format(&command, line, sizeof(line));
	ck_assert_uint_eq(strlen(line), strlen("cd / && ''") + 4 * (sizeof(text) - 3));
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("command");

	unit_add(suite, "command", what_is_no_command_is_told, 10);
	unit_add(suite, "command", strings_come_in_order, 10);
	unit_add(suite, "command", equal_means_every_byte, 10);
	unit_add(suite, "command", a_shell_would_read_what_is_shown, 10);
	unit_add(suite, "command", the_largest_is_shown_whole, 10);
	return suite;
}
