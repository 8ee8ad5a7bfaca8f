/* SPDX-License-Identifier: BSD-3-Clause */
/* command.c - a command line that is kept to be run again. */
#include "common/command.h"

#include <stdio.h>
#include <string.h>

bool command_ok(const struct command_line *command)
{
	const char *text = command->text;
	unsigned strings = 0;

	if (!command->bytes)
		return true;
	if (command->bytes > COMMAND_BYTES_MAX || text[command->bytes - 1])
		return false;
	for (uint32_t at = 0; at < command->bytes; at += (uint32_t)strlen(text + at) + 1) {
		if (++strings > COMMAND_ARGUMENTS_MAX + 1)
			return false;
		if (strings == 2 && !text[at]) /* a program without a name */
			return false;
	}
	return strings >= 2 && text[0] == '/';
}

bool command_equal(const struct command_line *a, const struct command_line *b)
{
	return a->bytes == b->bytes && (!a->bytes || !memcmp(a->text, b->text, a->bytes));
}

const char *command_next(const struct command_line *command, const char *at)
{
	const char *end = command->text + command->bytes;

	at = at ? at + strlen(at) + 1 : command->text;
	return command->bytes && at < end ? at : NULL;
}

/* Where to go on after a string in the quotes of a shell; nothing is written at or past `end`. */
static char *quoted(char *to, const char *end, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-^";
	bool quotes = !*text || text[strspn(text, plain)];

#define PUT(c) (to < end ? (void)(*to++ = (c)) : (void)0)
	if (quotes)
		PUT('\'');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\'') {
			PUT('\'');
			PUT('\\');
			PUT('\'');
			PUT('\'');
		} else {
			PUT(c < ' ' || c == 127 ? '?' : *text);
		}
	}
	if (quotes)
		PUT('\'');
#undef PUT
	return to;
}

const char *command_format(const struct command_line *command, char *out, size_t capacity)
{
	char *to = out, *end = out + capacity - 1;
	const char *between = "cd ";

	for (const char *at = NULL; (at = command_next(command, at)) && to < end;) {
		for (; *between && to < end; between++)
			*to++ = *between;
		to = quoted(to, end, at);
		between = at == command->text ? " && " : " ";
	}
	*to = '\0';
	if (to == end)
		memcpy(end - 3, "...", 3);
	return out;
}
