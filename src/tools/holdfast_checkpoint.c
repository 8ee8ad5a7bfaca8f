/* SPDX-License-Identifier: BSD-3-Clause */
/* holdfast_checkpoint.c - holdfast-checkpoint: has a running job make a checkpoint, and prints its epoch. */
#include "config.h"
#include "tools/pmuctl.h"

#include <argp.h>
#include <inttypes.h>

const char *argp_program_version = "holdfast-checkpoint (Holdfast) " PACKAGE_VERSION;

enum { KEY_TERM = 512 };

static const struct argp_option option_table[] = {
	{"term", KEY_TERM, NULL, 0, "have the job leave after it, and wait until all ranks are gone", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct pmuctl *ctl = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = ctl;
		return 0;
	case KEY_TERM:
		ctl->term = true;
		return 0;
	case ARGP_KEY_ARG:
		if (ctl->job)
			argp_error(state, "'%s' is one argument too many", argument);
		ctl->job = argument;
		return 0;
	case ARGP_KEY_END:
		if (!ctl->job)
			argp_error(state, "which job? 'pmuctl jobs' lists them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	const struct argp_child children[] = {{&pmuctl_argp, 0, NULL, 0}, {0}};
	const struct argp argp = {
		option_table, parse_option, "JOB",
		"Has a running job make a checkpoint, waits until it is complete, and prints its epoch.",
		children, NULL, NULL,
	};
	struct pmuctl ctl;
	uint64_t epoch;
	int rc;

	rc = pmuctl_begin(&ctl, "holdfast-checkpoint");
	if (rc == PMUCTL_OK && argp_parse(&argp, argc, argv, 0, NULL, &ctl))
		rc = PMUCTL_USAGE;
	if (rc == PMUCTL_OK)
		rc = pmuctl_connect(&ctl);
	if (rc == PMUCTL_OK)
		rc = pmuctl_ask_checkpoint(&ctl, &epoch);
	if (rc == PMUCTL_OK)
		printf("%" PRIu64 "\n", epoch);
	return pmuctl_end(&ctl, rc);
}
