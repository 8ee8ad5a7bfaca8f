/* SPDX-License-Identifier: BSD-3-Clause */
/* record.c - the command line that runs the job. */
#include "ckpt/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "ckpt/job.h"

#define SHOWN_BYTES 400 /* of a command line in a message */

static int too_long(struct error *err)
{
	return error_set(err, HF_ENOSPC,
			 "the command line has over %u arguments or %u bytes: it is not recorded, and "
			 "holdfast-restart cannot run it again",
			 COMMAND_ARGUMENTS_MAX, COMMAND_BYTES_MAX);
}

/* Appends a string with its zero; false where it does not fit. */
static bool append(struct command_line *command, const char *text)
{
	size_t bytes = strlen(text) + 1;

	if (bytes > COMMAND_BYTES_MAX - command->bytes)
		return false;
	memcpy(command->text + command->bytes, text, bytes);
	command->bytes += (uint32_t)bytes;
	return true;
}

static int fill(struct command_line *command, const char *directory, const json_t *arguments, struct error *err)
{
	bool fits = json_array_size(arguments) <= COMMAND_ARGUMENTS_MAX && append(command, directory);

	for (size_t i = 0; fits && i < json_array_size(arguments); i++) {
		const char *argument = json_string_value(json_array_get(arguments, i));

		if (!argument)
			return error_set(err, HF_ECONFIG, "element %zu of HOLDFAST_COMMAND is no string; it is "
					 "for launchers, unset it", i);
		fits = append(command, argument);
	}
	if (!fits)
		return too_long(err);
	if (!command_ok(command))
		return error_set(err, HF_ECONFIG, "HOLDFAST_COMMAND names no program, or HOLDFAST_COMMAND_DIR is "
				 "no absolute path; they are for launchers, unset them");
	return HF_OK;
}

int record_read(struct command_line *out, struct error *err)
{
	const char *text = getenv("HOLDFAST_COMMAND"), *directory = getenv("HOLDFAST_COMMAND_DIR");
	struct command_line command = {0};
	json_error_t why;
	json_t *arguments;
	int code;

	*out = command;
	if (!text || !*text || !directory || !*directory)
		return HF_OK;
	/* JSON makes six bytes of one at most, and there are quotes and commas. */
	if (strnlen(text, 8 * COMMAND_BYTES_MAX) == 8 * COMMAND_BYTES_MAX)
		return too_long(err);
	arguments = json_loads(text, 0, &why);
	if (!json_is_array(arguments)) {
		json_decref(arguments);
		return error_set(err, HF_ECONFIG, "HOLDFAST_COMMAND is no JSON array of strings; it is for "
				 "launchers, unset it");
	}
	command.text = malloc(COMMAND_BYTES_MAX);
	code = command.text ? fill(&command, directory, arguments, err)
			    : error_set(err, HF_ENOMEM, "out of memory for the command line");
	json_decref(arguments);
	if (code)
		free(command.text);
	else
		*out = command;
	return code;
}

void record_command(struct hf_job *job)
{
	char now[SHOWN_BYTES], then[SHOWN_BYTES];
	struct command_line before = {0};
	struct error err;

	if (!job->command.bytes || job->name.origin == NAME_LAUNCH)
		return;
	if (client_record(job->client, &job->command, &before, &err)) {
		job_say(job, "its command line is not recorded, and holdfast-restart cannot run it again: %s",
			err.text);
		return;
	}
	if (before.bytes && !command_equal(&before, &job->command))
		job_say(job, "its command line is not the recorded one. Now: %s  Before: %s",
			command_format(&job->command, now, sizeof(now)),
			command_format(&before, then, sizeof(then)));
	free(before.text);
}
