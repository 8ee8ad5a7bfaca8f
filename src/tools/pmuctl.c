/* SPDX-License-Identifier: BSD-3-Clause */
/* pmuctl.c - asks a pmu-server what it holds, has it checked, removes what is not wanted any more. */
#include "tools/pmuctl.h"

#include <string.h>

static const struct command {
	const char *name;
	int (*run)(struct pmuctl *ctl);
	enum { NOTHING, JOB, JOB_AND_GROUP } takes;
	const char *help;
} commands[] = {
	{"jobs", pmuctl_jobs, NOTHING, "list the jobs"},
	{"show", pmuctl_show, JOB, "the regions and sets of a job"},
	{"verify", pmuctl_verify, JOB, "re-read every block of every set of a job and check it"},
	{"rm", pmuctl_rm, JOB, "remove a job and its sets"},
	{"checkpoint", pmuctl_checkpoint, JOB, "have a running job make a checkpoint, and wait for it"},
	{"fence", pmuctl_fence, JOB, "cut all ranks of a job off"},
	{"share", pmuctl_share, JOB_AND_GROUP, "let a group list, show and verify a job, and (--run) run it"},
	{"unshare", pmuctl_unshare, JOB, "let no group do so"},
	{"users", pmuctl_users, NOTHING, "what users have, and may have"},
	{"stat", pmuctl_stat, NOTHING, "what the server says of itself and its pool"},
	{0},
};

struct given {
	struct pmuctl ctl; /* the first member: it is the input of the parser, and of run() */
	const struct command *command;
};

/* ---- the command line ---- */

enum { KEY_TERM = 512, KEY_ALL, KEY_RUN };

static const struct argp_option option_table[] = {
	{"json", 'j', NULL, 0, "print JSON", 0},
	{"all", KEY_ALL, NULL, 0, "show: every increment of long chains", 0},
	{"run", KEY_RUN, NULL, 0, "share: the group may also restore the job, write and ask for its checkpoints, and fence it", 0},
	{"term", KEY_TERM, NULL, 0, "checkpoint: have the job leave after it, and wait for its end", 0},
	{0},
};

static error_t given_argument(struct given *given, const char *argument, struct argp_state *state)
{
	if (given->command && given->command->takes != NOTHING && !given->ctl.job) {
		given->ctl.job = argument;
		return 0;
	}
	if (given->command && given->command->takes == JOB_AND_GROUP && !given->ctl.group) {
		given->ctl.group = argument;
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

	switch (key) {
	case 'j':
		given->ctl.json = true;
		return 0;
	case KEY_TERM:
		given->ctl.term = true;
		return 0;
	case KEY_ALL:
		given->ctl.all = true;
		return 0;
	case KEY_RUN:
		given->ctl.run = true;
		return 0;
	case ARGP_KEY_ARG:
		return given_argument(given, argument, state);
	case ARGP_KEY_END:
		if (!given->command)
			argp_error(state, "what shall be done? Name a command");
		else if (given->command->takes != NOTHING && !given->ctl.job)
			argp_error(state, "%s needs the name of a job", given->command->name);
		else if (given->command->takes == JOB_AND_GROUP && !given->ctl.group)
			argp_error(state, "%s needs the name of a group, too", given->command->name);
		else if (given->ctl.run && given->command->run != pmuctl_share)
			argp_error(state, "--run is share's");
		else if (given->ctl.term && given->command->run != pmuctl_checkpoint)
			argp_error(state, "--term is checkpoint's");
		else if (given->ctl.all && given->command->run != pmuctl_show)
			argp_error(state, "--all is show's");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static char *help_filter(int key, const char *text, void *input)
{
	static const char *const arguments[] = {"", "JOB", "JOB GROUP"};
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
		fprintf(out, "  %-10s %-9s %s\n", c->name, arguments[c->takes], c->help);
	fclose(out);
	return all;
}

static int run(struct pmuctl *ctl)
{
	return ((struct given *)ctl)->command->run(ctl);
}

int main(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "COMMAND [JOB [GROUP]]",
		.doc = "Asks a pmu-server what it holds.",
		.help_filter = help_filter,
	};
	struct given given = {.command = NULL};

	return pmuctl_main(&given.ctl, "pmuctl", &argp, run, argc, argv);
}
