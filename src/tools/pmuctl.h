/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmuctl.h - what the subcommands of pmuctl share, each of which is one file and one row of the table in pmuctl.c;
 * and holdfast-checkpoint and holdfast-restart with them.
 */
#ifndef HOLDFAST_PMUCTL_H
#define HOLDFAST_PMUCTL_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "client/control.h"
#include "client/option.h"
#include "common/command.h"

/* Exit codes, as in pmuctl(1). */
enum {
	PMUCTL_OK = 0,
	PMUCTL_ERROR = 1,   /* the server cannot be reached, or refuses */
	PMUCTL_USAGE = 2,   /* the command line is wrong */
	PMUCTL_DAMAGE = 3,  /* verify: something is damaged */
	PMUCTL_NO_JOB = 4,  /* there is no such job, or epoch; or (checkpoint) it is not running */
};

struct pmuctl {
	const char *program; /* for messages */
	struct options options;
	struct control control;
	uint64_t timeout_ms;
	uint32_t uid; /* whose jobs; WIRE_UID_SELF */
	bool json;
	bool term;	   /* checkpoint: and leave */
	bool all;	   /* show: every increment */
	bool run;	   /* share: and to run it */
	bool server_given; /* on the command line */
	const char *job; /* the argument; NULL where the command takes none */
	const char *group; /* share: the next one */
	struct command_line command; /* of the job, once pmuctl_each_region() was called */
};

/*
 * What the main() of each program does: reads the configuration and the command line, which has the options of all
 * programs and those of `own` (its input is `ctl`), connects, calls `run`, cleans up. Says what goes wrong. PMUCTL_OK
 * or an exit code. `ctl` may be the first member of something larger; it is set up here.
 */
int pmuctl_main(struct pmuctl *ctl, const char *program, const struct argp *own, int (*run)(struct pmuctl *ctl),
		int argc, char **argv);

/* For the parser of a program whose one argument is a job, in its default case. */
error_t pmuctl_parse_job(int key, char *argument, struct argp_state *state);

int pmuctl_jobs(struct pmuctl *ctl);
int pmuctl_show(struct pmuctl *ctl);
int pmuctl_verify(struct pmuctl *ctl);
int pmuctl_rm(struct pmuctl *ctl);
int pmuctl_stat(struct pmuctl *ctl);
int pmuctl_checkpoint(struct pmuctl *ctl);
int pmuctl_fence(struct pmuctl *ctl);
int pmuctl_share(struct pmuctl *ctl);
int pmuctl_unshare(struct pmuctl *ctl);
int pmuctl_users(struct pmuctl *ctl);

/*
 * Asks the job for a checkpoint (ctl->term: and to leave) and waits until it is complete (and all ranks are gone).
 * Tells the epoch.
 */
int pmuctl_ask_checkpoint(struct pmuctl *ctl, uint64_t *epoch);

/* One request with one reply. Prints what goes wrong; PMUCTL_OK or an exit code. */
int pmuctl_call(struct pmuctl *ctl, enum wire_type type, struct wire_target *target,
		wire_fields_fn *reply_fields, void *reply);

/* The same, of requests that are more than a target. */
int pmuctl_request(struct pmuctl *ctl, enum wire_type type, wire_fields_fn *fields, void *message,
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

/* Of enum job_share: "no", "read", "run". */
const char *pmuctl_share_name(uint32_t share);

/* How long ago that was: "3 min". The same. */
const char *pmuctl_age(uint64_t ns);

#endif
