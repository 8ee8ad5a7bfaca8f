/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_launch.c - what a launcher gets from outside: notes to its mailbox, its list of exit codes, and
 * its command line, which the plug-in reads again from the environment. The first byte says which of
 * them the others are.
 */
#include "fuzz.h"

#include "launch/mailbox.c" /* a note is taken by a function of its own */

#include "ckpt/record.h"
#include "launch/command.h"
#include "launch/policy.h"

#define TOKEN	       "0123456789abcdef0123456789abcdef"
#define VARIABLE_BYTES (2u << 20) /* more than any input */

static void note_try(const uint8_t *data, size_t size)
{
	struct mailbox mailbox = {.address = TOKEN};
	int fds[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	if (size > NOTE_BYTES)
		size = NOTE_BYTES;
	must(send(fds[0], data, size, 0) == (ssize_t)size);
	close(fds[0]);
	note_take(&mailbox, fds[1]);
	close(fds[1]);
	for (int i = 0; i < MAILBOX_NOTES; i++)
		must(!mailbox.notes[i].known || !memcmp(data, TOKEN " ", TOKEN_TEXT));
}

static void codes_try(const uint8_t *data, size_t size)
{
	char *codes = input_text(data, size);
	const struct policy_settings settings = {.max_restarts = 1, .final_codes = codes};
	struct policy *policy = NULL;
	struct error err;

	if (!policy_new(&settings, NULL, &policy, &err))
		policy_free(policy);
	free(codes);
}

/* In place: setenv() keeps every value that there ever was. */
static void variable_set(void *arg, const char *name, const char *value)
{
	static char command[VARIABLE_BYTES], directory[VARIABLE_BYTES];
	char *variable = !strcmp(name, "HOLDFAST_COMMAND")	 ? command
			 : !strcmp(name, "HOLDFAST_COMMAND_DIR") ? directory
								 : NULL;

	(void)arg;
	if (!variable)
		return;
	must((size_t)snprintf(variable, VARIABLE_BYTES, "%s=%s", name, value) < VARIABLE_BYTES);
	if (getenv(name) != variable + strlen(name) + 1)
		must(!putenv(variable));
}

/* What is recorded is what the launcher was started with. */
static void command_try(const uint8_t *data, size_t size)
{
	char **argv = command_read(input_path(data, size), NULL);
	const struct policy_settings settings = {.max_restarts = 1};
	struct command_line recorded = {0};
	const char *at = NULL;
	struct policy *policy;
	struct error err;

	variable_set(NULL, "HOLDFAST_COMMAND", "");
	variable_set(NULL, "HOLDFAST_COMMAND_DIR", "");
	must(!policy_new(&settings, argv, &policy, &err));
	policy_environment(policy, variable_set, NULL);
	if (!record_read(&recorded, &err) && recorded.bytes) {
		must(command_ok(&recorded) && argv);
		at = command_next(&recorded, at);
		for (size_t i = 0; (at = command_next(&recorded, at)); i++)
			must(argv[i] && !strcmp(argv[i], at));
	}
	free(recorded.text);
	policy_free(policy);
	free(argv);
}

/* Any text, where launchers put theirs. */
static void json_try(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	struct command_line recorded = {0};
	struct error err;

	variable_set(NULL, "HOLDFAST_COMMAND", text);
	variable_set(NULL, "HOLDFAST_COMMAND_DIR", "/");
	if (!record_read(&recorded, &err))
		must(command_ok(&recorded));
	free(recorded.text);
	free(text);
}

static void (*const tries[])(const uint8_t *data, size_t size) = {
	note_try, codes_try, command_try, json_try,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && size < VARIABLE_BYTES / 2 && *data < sizeof(tries) / sizeof(tries[0]))
		tries[*data](data + 1, size - 1);
	return 0;
}
