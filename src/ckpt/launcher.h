/* SPDX-License-Identifier: BSD-3-Clause */
/* launcher.h - what the launcher tells the ranks of a job, in their environment. */
#ifndef HOLDFAST_LAUNCHER_H
#define HOLDFAST_LAUNCHER_H

#include <stdint.h>
#include "common/error.h"

#define LAUNCHER_CAUSE_BYTES 160

struct launcher {
	char cause[LAUNCHER_CAUSE_BYTES]; /* of the restart, a phrase: HOLDFAST_RESTART; "": not known */
	uint64_t failed_ns;  /* real time when the failure was noticed: HOLDFAST_RESTART_NS; 0: not known */
	uint64_t started_ns; /* of the first incarnation: HOLDFAST_LAUNCH_NS; 0: not known */
	uint64_t crashes;    /* HOLDFAST_CRASHES: so many incarnations in a row failed by their own fault */
};

/*
 * The whole number, at most `max`, in the environment variable; *value stays what it is where that is not
 * set or empty. HF_ECONFIG.
 */
int launcher_number(const char *variable, uint64_t max, uint64_t *value, struct error *err);

/* HF_ECONFIG. A phrase that is too long is cut. */
int launcher_read(struct launcher *launcher, struct error *err);

#endif
