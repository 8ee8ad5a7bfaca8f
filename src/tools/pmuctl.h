/* SPDX-License-Identifier: BSD-3-Clause */
/* pmuctl.h - what the subcommands of pmuctl share. Each is one file and one row of the table in pmuctl.c. */
#ifndef HOLDFAST_PMUCTL_H
#define HOLDFAST_PMUCTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "client/control.h"

/* Exit codes, as in pmuctl(1). */
enum {
	PMUCTL_OK = 0,
	PMUCTL_ERROR = 1,   /* the server cannot be reached, or refuses */
	PMUCTL_USAGE = 2,   /* the command line is wrong */
	PMUCTL_DAMAGE = 3,  /* verify: something is damaged */
	PMUCTL_NO_JOB = 4,  /* there is no such job */
};

struct pmuctl {
	struct control control;
	uint64_t timeout_ms;
	uint32_t uid; /* whose jobs; WIRE_UID_SELF */
	bool json;
	const char *job; /* the argument; NULL where the command takes none */
};

int pmuctl_jobs(struct pmuctl *ctl);
int pmuctl_show(struct pmuctl *ctl);
int pmuctl_verify(struct pmuctl *ctl);
int pmuctl_rm(struct pmuctl *ctl);
int pmuctl_stat(struct pmuctl *ctl);

/* One request with one reply. Prints what goes wrong; PMUCTL_OK or an exit code. */
int pmuctl_call(struct pmuctl *ctl, enum wire_type type, struct wire_target *target,
		wire_fields_fn *reply_fields, void *reply);

/* Fills in the job and uid of the command line. */
struct wire_target pmuctl_target(const struct pmuctl *ctl);

/* Calls `each` for every region of the job, page by page, until it returns other than PMUCTL_OK. `job` may
 * be NULL. */
int pmuctl_each_region(struct pmuctl *ctl,
		       int (*each)(struct pmuctl *ctl, const struct wire_region *region, void *arg),
		       void *arg, struct wire_job *job);

/* Local time, "2026-01-31 12:00:00". Static; good until the next call. */
const char *pmuctl_time(uint64_t ns);

#endif
