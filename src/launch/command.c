/* SPDX-License-Identifier: BSD-3-Clause */
/* command.c - one block: the pointers, and behind them the text. */
#include "launch/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 65536

static size_t file_read(const char *name, char *text, size_t capacity)
{
	FILE *file = fopen(name, "re");
	size_t bytes;

	if (!file)
		return 0;
	bytes = fread(text, 1, capacity, file);
	fclose(file);
	return bytes;
}

char **command_read(const char *file, const char *name)
{
	char *text = malloc(TEXT_BYTES), **argv = NULL, *at;
	size_t bytes = text ? file_read(file, text, TEXT_BYTES) : 0, count = 0;

	if (!bytes || bytes == TEXT_BYTES)
		goto out;
	text[bytes++] = '\0'; /* after the last one there should be one already */
	for (size_t i = 0; i < bytes; i++)
		count += !text[i];
	argv = malloc((count + 1) * sizeof(*argv) + bytes);
	if (!argv)
		goto out;
	at = memcpy(argv + count + 1, text, bytes);
	count = 0;
	for (const char *end = at + bytes - 1; at < end; at += strlen(at) + 1)
		argv[count++] = at;
	argv[count] = NULL;
	if (count && name && *name)
		argv[0] = (char *)name;
out:
	free(text);
	return argv;
}
