/* SPDX-License-Identifier: BSD-3-Clause */
/* holdfast_restart.c - holdfast-restart: runs a job's recorded command line again, from a chosen epoch. */
#include "tools/pmuctl.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"

/* An epoch of which some ranks have a set. */
struct epoch {
	uint64_t epoch, time_ns;
	uint32_t ranks;
};

struct restart {
	struct pmuctl ctl; /* the first member: it is the input of the parser, and of run() */
	uint64_t wanted; /* 0: the newest */
	bool list;
	struct wire_job job;
	struct epoch *epochs;
	size_t count;
};

/* ---- the epochs ---- */

static int epoch_count(struct restart *restart, const struct set_info *set)
{
	struct epoch *epochs = restart->epochs;
	size_t i = 0;

	while (i < restart->count && epochs[i].epoch != set->epoch)
		i++;
	if (i == restart->count) {
		epochs = reallocarray(epochs, i + 1, sizeof(*epochs));
		if (!epochs)
			return -ENOMEM;
		restart->epochs = epochs;
		epochs[restart->count++] = (struct epoch){.epoch = set->epoch};
	}
	epochs[i].ranks++;
	if (set->time_ns > epochs[i].time_ns)
		epochs[i].time_ns = set->time_ns;
	return 0;
}

static int region_count(struct pmuctl *ctl, const struct wire_region *region, void *arg)
{
	for (uint32_t i = 0; i < region->set_count; i++) {
		if (epoch_count(arg, &region->sets[i].info)) {
			fprintf(stderr, "%s: out of memory\n", ctl->program);
			return PMUCTL_ERROR;
		}
	}
	return PMUCTL_OK;
}

static int epoch_compare(const void *left, const void *right)
{
	const struct epoch *a = left, *b = right;

	return a->epoch < b->epoch ? -1 : a->epoch > b->epoch;
}

/* Fetches all that the server knows of the job, and keeps the complete epochs, oldest first. */
static int fetch(struct restart *restart)
{
	size_t complete = 0;
	int rc = pmuctl_each_region(&restart->ctl, region_count, restart, &restart->job);

	if (rc != PMUCTL_OK)
		return rc;
	for (size_t i = 0; i < restart->count; i++) {
		if (restart->epochs[i].ranks == restart->job.ranks)
			restart->epochs[complete++] = restart->epochs[i];
	}
	restart->count = complete;
	if (complete)
		qsort(restart->epochs, complete, sizeof(*restart->epochs), epoch_compare);
	return PMUCTL_OK;
}

static int list(const struct restart *restart)
{
	uint64_t now = clock_realtime_ns();

	for (size_t i = 0; i < restart->count; i++) {
		const struct epoch *epoch = &restart->epochs[i];
		uint64_t age = now > epoch->time_ns ? (now - epoch->time_ns) / 1000000000u : 0;

		printf("epoch %-6" PRIu64 " %s (%" PRIu64 " s ago)\n", epoch->epoch, pmuctl_time(epoch->time_ns),
		       age);
	}
	return PMUCTL_OK;
}

static int no_such_epoch(const struct restart *restart)
{
	fprintf(stderr, "%s: job %s has no complete epoch %" PRIu64 "; ", restart->ctl.program, restart->ctl.job,
		restart->wanted);
	fprintf(stderr, restart->count ? "there are:" : "it has none at all");
	for (size_t i = 0; i < restart->count; i++)
		fprintf(stderr, " %" PRIu64, restart->epochs[i].epoch);
	fputc('\n', stderr);
	return PMUCTL_NO_JOB;
}

static int check(const struct restart *restart)
{
	const struct pmuctl *ctl = &restart->ctl;
	bool found = !restart->wanted;

	for (size_t i = 0; i < restart->count; i++)
		found |= restart->epochs[i].epoch == restart->wanted;
	if (!found)
		return no_such_epoch(restart);
	if (restart->job.sessions) {
		fprintf(stderr, "%s: job %s is running: wait for its end, or end it ('pmuctl show' tells where)\n",
			ctl->program, ctl->job);
		return PMUCTL_ERROR;
	}
	if (!ctl->command.bytes) {
		fprintf(stderr, "%s: job %s has no recorded command line, as its launcher gave none: run it again "
			"by hand, with HOLDFAST_JOB=%s, and HOLDFAST_EPOCH=NUMBER for another epoch than the "
			"newest\n", ctl->program, ctl->job, ctl->job);
		return PMUCTL_ERROR;
	}
	return PMUCTL_OK;
}

/* ---- the command ---- */

/* For the ranks on this node, and by Open MPI's own name for those on others, to which it passes that on. */
static void variable_set(const char *name, const char *mca, const char *value)
{
	setenv(name, value, 1);
	setenv(mca, value, 1);
}

static void environment_set(const struct restart *restart)
{
	/* Of the launch in which this may run itself. */
	static const char *const others[] = {
		"HOLDFAST_LAUNCH",	"HOLDFAST_INCARNATION", "HOLDFAST_RESTART", "HOLDFAST_RESTART_NS",
		"HOLDFAST_LAUNCH_NS",	"HOLDFAST_CRASHES",	"HOLDFAST_COMMAND", "HOLDFAST_COMMAND_DIR",
		"HOLDFAST_LAUNCHER",
	};
	char number[24];
	const struct pmuctl *ctl = &restart->ctl;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
	variable_set("HOLDFAST_JOB", "OMPI_MCA_hook_holdfast_job", restart->ctl.job);
	if (restart->ctl.server_given)
		variable_set("HOLDFAST_SERVER", "OMPI_MCA_hook_holdfast_server", restart->ctl.options.server);
	snprintf(number, sizeof(number), "%" PRIu32, ctl->uid);
	if (ctl->uid != WIRE_UID_SELF)
		variable_set("HOLDFAST_OWNER", "OMPI_MCA_hook_holdfast_owner", number);
	snprintf(number, sizeof(number), "%" PRIu64, restart->wanted);
	if (restart->wanted)
		variable_set("HOLDFAST_EPOCH", "OMPI_MCA_hook_holdfast_epoch", number);
}

/* Returns only where it fails. */
static int command_run(struct restart *restart)
{
	const struct command_line *command = &restart->ctl.command;
	const char *directory = command_next(command, NULL), *at = directory;
	static char line[COMMAND_LINE_BYTES];
	char *arguments[COMMAND_ARGUMENTS_MAX + 1] = {NULL};

	for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && (at = command_next(command, at)); i++)
		arguments[i] = (char *)(uintptr_t)at;
	fprintf(stderr, "%s: job %s: %s\n", restart->ctl.program, restart->ctl.job,
		command_format(command, line, sizeof(line)));
	if (chdir(directory)) {
		fprintf(stderr, "%s: its directory %s: %s\n", restart->ctl.program, directory, strerror(errno));
		return PMUCTL_ERROR;
	}
	environment_set(restart);
	control_close(&restart->ctl.control);
	execvp(arguments[0], arguments);
	fprintf(stderr, "%s: %s: %s\n", restart->ctl.program, arguments[0], strerror(errno));
	return PMUCTL_ERROR;
}

/* ---- the command line ---- */

enum { KEY_EPOCH = 512, KEY_LIST };

static const struct argp_option option_table[] = {
	{"epoch", KEY_EPOCH, "NUMBER", 0, "the epoch to go on from (the newest)", 0},
	{"list", KEY_LIST, NULL, 0, "list the complete epochs, and run nothing", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct restart *restart = state->input;
	char *end;

	switch (key) {
	case KEY_EPOCH:
		errno = 0;
		restart->wanted = strtoull(argument, &end, 10);
		if (errno || *end || !restart->wanted || !isdigit((unsigned char)*argument))
			argp_error(state, "'%s' is no epoch", argument);
		return 0;
	case KEY_LIST:
		restart->list = true;
		return 0;
	default:
		return pmuctl_parse_job(key, argument, state);
	}
}

static int run(struct pmuctl *ctl)
{
	struct restart *restart = (struct restart *)ctl;
	int rc = fetch(restart);

	if (rc == PMUCTL_OK && restart->list)
		return list(restart);
	if (rc == PMUCTL_OK)
		rc = check(restart);
	return rc == PMUCTL_OK ? command_run(restart) : rc;
}

int main(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "JOB",
		.doc = "Runs a job's recorded command line again, from its newest complete epoch or another.",
	};
	struct restart restart = {.wanted = 0};
	int rc = pmuctl_main(&restart.ctl, "holdfast-restart", &argp, run, argc, argv);

	free(restart.epochs);
	return rc;
}
