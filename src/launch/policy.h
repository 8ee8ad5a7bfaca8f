/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.h - whether a job that failed is started again, and with which environment: the same for every
 * launcher (Open MPI 4.1, 5.0, the loop around any other). docs/restart.md tells users what is decided here.
 *
 * A launcher reports the first failure of each incarnation, ends what is left of it, and starts the next one
 * with policy_environment(). One thread.
 */
#ifndef HOLDFAST_POLICY_H
#define HOLDFAST_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"

struct policy_settings {
	int max_restarts;	/* within the window */
	int window_s;		/* 0: the whole run */
	const char *final_codes; /* exit codes after which there is no restart, "70,75,78"; lives on */
	bool verbose;
};

enum policy_cause {
	POLICY_SIGNAL,	    /* code: the signal */
	POLICY_EXIT,	    /* code: the exit code, not 0 */
	POLICY_NO_FINALIZE, /* left with exit code 0, without MPI_Finalize */
	POLICY_ABORT,	    /* code: MPI_Abort's */
	POLICY_NODE,	    /* the node, or the way to it, is gone */
	POLICY_START,	    /* the process could not be started */
	POLICY_LATE,	    /* the incarnation did not come up in time; code: the seconds */
	POLICY_JOB,	    /* of the whole job, no rank is known; code: its exit code, 0: it never got to its end */
};

struct policy_failure {
	enum policy_cause cause;
	int code;
	unsigned rank;	  /* not of POLICY_NODE, POLICY_LATE and POLICY_JOB */
	const char *node; /* NULL: not known */
};

struct policy;

/*
 * `argv` (NULL-terminated) is the launcher's own command line, recorded with the job; NULL: none is.
 * -EINVAL: final_codes cannot be read. -ENOMEM.
 */
int policy_new(const struct policy_settings *settings, char *const *argv, struct policy **policy,
	       struct error *err);

/* Takes NULL. */
void policy_free(struct policy *policy);

/*
 * The job failed. True: it is to be started again. Says on stderr, in one line, what happened and what is done
 * about it.
 */
bool policy_failed(struct policy *policy, const struct policy_failure *failure);

/* The job is not started again, for a reason that the policy does not know. Says so in one line. */
void policy_decline(struct policy *policy, const char *reason);

/* 0 at first, one more with each failure after which policy_failed() returned true. */
unsigned policy_incarnation(const struct policy *policy);

/* Calls `set` for every variable of the environment that the ranks of this incarnation get. */
void policy_environment(const struct policy *policy,
			void (*set)(void *arg, const char *name, const char *value), void *arg);

#endif
