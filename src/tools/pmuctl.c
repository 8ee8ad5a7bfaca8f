/* SPDX-License-Identifier: BSD-3-Clause */
/* pmuctl.c - asks a pmu-server what it holds, has it checked, removes what is not wanted any more. */
#include "config.h"
#include "tools/pmuctl.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "client/embedded.h"
#include "common/clock.h"
#include "common/size.h"

static const struct command {
	const char *name;
	int (*run)(struct pmuctl *ctl);
	bool takes_job;
	const char *help;
} commands[] = {
	{"jobs", pmuctl_jobs, false, "list the jobs"},
	{"show", pmuctl_show, true, "the regions and sets of a job"},
	{"verify", pmuctl_verify, true, "re-read every block of every set of a job and check it"},
	{"rm", pmuctl_rm, true, "remove a job and its sets"},
	{"stat", pmuctl_stat, false, "what the server says of itself and its pool"},
	{0},
};

struct given {
	struct pmuctl *ctl;
	struct options *options;
	const struct command *command;
};

/* ---- shared ---- */

int pmuctl_call(struct pmuctl *ctl, enum wire_type type, struct wire_target *target,
		wire_fields_fn *reply_fields, void *reply)
{
	struct error err;
	int rc;

	rc = control_call(&ctl->control, type, target ? wire_target_fields : wire_nothing_fields, target,
			  reply_fields, reply, deadline_in_ms(ctl->timeout_ms), &err);
	if (!rc)
		return PMUCTL_OK;
	fprintf(stderr, "pmuctl: %s\n", err.text);
	return rc == -ENOENT ? PMUCTL_NO_JOB : PMUCTL_ERROR;
}

struct wire_target pmuctl_target(const struct pmuctl *ctl)
{
	struct wire_target target = {.uid = ctl->uid};

	if (ctl->job)
		snprintf(target.job, sizeof(target.job), "%s", ctl->job);
	return target;
}

int pmuctl_each_region(struct pmuctl *ctl,
		       int (*each)(struct pmuctl *ctl, const struct wire_region *region, void *arg),
		       void *arg, struct wire_job *job)
{
	struct wire_target target = pmuctl_target(ctl);
	struct wire_show_reply reply;
	int rc;

	do {
		memset(&reply, 0, sizeof(reply));
		rc = pmuctl_call(ctl, WIRE_SHOW, &target, wire_show_reply_fields, &reply);
		for (uint32_t i = 0; i < reply.count && rc == PMUCTL_OK; i++)
			rc = each(ctl, &reply.regions[i], arg);
		target.rank = reply.next;
		if (job)
			*job = reply.job;
		wire_show_reply_free(&reply);
	} while (rc == PMUCTL_OK && target.rank);
	return rc;
}

const char *pmuctl_time(uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000u);
	static char text[32];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%F %T", &tm);
	return text;
}

/* ---- the command line ---- */

const char *argp_program_version = "pmuctl (Holdfast) " PACKAGE_VERSION;

enum { KEY_AUTH = 256, KEY_KEY_FILE, KEY_UID, KEY_TIMEOUT };

static const struct argp_option option_table[] = {
	{"server", 's', "ADDRESS", 0,
	 "HOST[:PORT] or unix:PATH (HOLDFAST_SERVER; else this node's own)", 0},
	{"json", 'j', NULL, 0, "print JSON", 0},
	{"auth", KEY_AUTH, "psk|none", 0, "how to prove who we are (HOLDFAST_AUTH)", 0},
	{"key-file", KEY_KEY_FILE, "FILE", 0, "the key of psk (HOLDFAST_KEY_FILE)", 0},
	{"uid", KEY_UID, "UID", 0, "the jobs of this user (administrators)", 0},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0, "how long the server may take to answer (600)", 0},
	{0},
};

static int replace(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : ENOMEM;
}

static error_t given_argument(struct given *given, const char *argument, struct argp_state *state)
{
	if (given->command && given->command->takes_job && !given->ctl->job) {
		given->ctl->job = argument;
		return 0;
	}
	if (given->command)
		argp_error(state, "'%s' is one argument too many", argument);
	for (const struct command *c = commands; c->name; c++) {
		if (!strcmp(c->name, argument))
			given->command = c;
	}
	if (!given->command)
		argp_error(state, "there is no command '%s'", argument);
	return 0;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct given *given = state->input;
	uint64_t number;

	switch (key) {
	case 's':
		return replace(&given->options->server, argument);
	case 'j':
		given->ctl->json = true;
		return 0;
	case KEY_AUTH:
		return replace(&given->options->auth, argument);
	case KEY_KEY_FILE:
		return replace(&given->options->key_file, argument);
	case KEY_UID:
	case KEY_TIMEOUT:
		if (size_parse(argument, &number) || number >= UINT32_MAX)
			argp_error(state, "'%s' is no number", argument);
		else if (key == KEY_UID)
			given->ctl->uid = (uint32_t)number;
		else
			given->ctl->timeout_ms = number * 1000;
		return 0;
	case ARGP_KEY_ARG:
		return given_argument(given, argument, state);
	case ARGP_KEY_END:
		if (!given->command)
			argp_error(state, "what shall be done? Name a command");
		else if (given->command->takes_job && !given->ctl->job)
			argp_error(state, "%s needs the name of a job", given->command->name);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *help_filter(int key, const char *text, void *input)
{
	char *all = NULL;
	size_t bytes;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)(uintptr_t)text;
	out = open_memstream(&all, &bytes);
	if (!out)
		return (char *)(uintptr_t)text;
	fprintf(out, "%s\n\nCommands:\n", text);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-7s %-4s %s\n", c->name, c->takes_job ? "JOB" : "", c->help);
	fclose(out);
	return all;
}

/* Where no server is named, that of this node and user. */
static int server_find(const struct options *options, struct embedded *own, struct client_options *client,
		       struct error *err)
{
	int rc;

	if (options->server)
		return 0;
	rc = embedded_locate(options, own, err);
	if (!rc)
		rc = embedded_find(own, err);
	client->server = own->address;
	client->auth = "none";
	return rc;
}

static int run(struct pmuctl *ctl, const struct command *command, const struct options *options)
{
	struct client_options client = {
		.server = options->server,
		.auth = options->auth,
		.key_file = options->key_file,
	};
	struct embedded own = {.started = false};
	struct error err;
	int rc;

	rc = server_find(options, &own, &client, &err);
	if (rc) {
		fprintf(stderr, "pmuctl: %s; -s HOST[:PORT] names another\n", err.text);
		return rc == -EINVAL ? PMUCTL_USAGE : PMUCTL_ERROR;
	}
	if (control_connect(&client, deadline_in_ms(5000), &ctl->control, &err)) {
		fprintf(stderr, "pmuctl: %s\n", err.text);
		return PMUCTL_ERROR;
	}
	rc = command->run(ctl);
	control_close(&ctl->control);
	return rc;
}

int main(int argc, char **argv)
{
	struct pmuctl ctl = {.uid = WIRE_UID_SELF, .timeout_ms = 600000, .control = {.fd = -1}};
	struct options options = {0};
	struct given given = {.ctl = &ctl, .options = &options};
	struct argp argp = {
		option_table, parse_option, "COMMAND [JOB]", "Asks a pmu-server what it holds.",
		NULL, help_filter, NULL,
	};
	struct error err;
	int rc;

	if (options_load(&options, &err)) {
		fprintf(stderr, "pmuctl: %s\n", err.text);
		return PMUCTL_USAGE;
	}
	argp_err_exit_status = PMUCTL_USAGE;
	if (argp_parse(&argp, argc, argv, 0, NULL, &given))
		rc = PMUCTL_USAGE;
	else
		rc = run(&ctl, given.command, &options);
	options_free(&options);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "pmuctl: stdout: %s\n", strerror(errno));
		rc = rc ? rc : PMUCTL_ERROR;
	}
	return rc;
}
