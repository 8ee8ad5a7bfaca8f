/* SPDX-License-Identifier: BSD-3-Clause */
/* command.h - a command line that is kept to be run again. Plain bytes on the wire and on the medium. */
#ifndef HOLDFAST_COMMAND_H
#define HOLDFAST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_ARGUMENTS_MAX 256
#define COMMAND_BYTES_MAX     (16u << 10)
#define COMMAND_LINE_BYTES    (5u * COMMAND_BYTES_MAX) /* command_format() cuts nothing off within these */

/* The directory to run it in, which is absolute, and the arguments, the program first: each with its zero. */
struct command_line {
	uint32_t bytes; /* 0: there is none */
	char *text;
};

/* Is this what `struct command_line` says, within the limits? None at all is fine. */
bool command_ok(const struct command_line *command);

bool command_equal(const struct command_line *a, const struct command_line *b);

/* Walks the strings: NULL gives the directory, then come the arguments; NULL at the end. */
const char *command_next(const struct command_line *command, const char *at);

/*
 * For people, and to be pasted into a shell: "cd DIRECTORY && PROGRAM ARGUMENT...", quoted where needed, control
 * characters as '?', cut off with "..." where it does not fit `capacity` (at least 4). Returns `out`.
 */
const char *command_format(const struct command_line *command, char *out, size_t capacity);

#endif
