/* SPDX-License-Identifier: BSD-3-Clause */
/* holdfast_checkpoint.c - holdfast-checkpoint: has a running job make a checkpoint, and prints its epoch. */
#include "tools/pmuctl.h"

#include <inttypes.h>

enum { KEY_TERM = 512 };

static const struct argp_option option_table[] = {
	{"term", KEY_TERM, NULL, 0, "have the job leave after it, and wait until all ranks are gone", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct pmuctl *ctl = state->input;

	if (key != KEY_TERM)
		return pmuctl_parse_job(key, argument, state);
	ctl->term = true;
	return 0;
}

static int run(struct pmuctl *ctl)
{
	uint64_t epoch;
	int rc = pmuctl_ask_checkpoint(ctl, &epoch);

	if (rc == PMUCTL_OK)
		printf("%" PRIu64 "\n", epoch);
	return rc;
}

int main(int argc, char **argv)
{
	const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "JOB",
		.doc = "Has a running job make a checkpoint, waits until it is complete, and prints its epoch.",
	};
	struct pmuctl ctl;

	return pmuctl_main(&ctl, "holdfast-checkpoint", &argp, run, argc, argv);
}
