/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restart.h - policy, mailbox and standard input of one launcher, in the order in which it needs them:
 * restart_open() before the first incarnation; at each failure restart_failed(), which says whether to go on;
 * once nothing is left of that incarnation restart_begin(), then the next one with restart_environment().
 */
#ifndef HOLDFAST_RESTART_H
#define HOLDFAST_RESTART_H

#include "launch/policy.h"

#define RESTART_START_S 120 /* the default of start_timeout_s */

struct restart_settings {
	struct policy_settings policy;
	uint64_t stdin_max_bytes; /* 0: standard input is not kept */
	int start_timeout_s;	  /* for a later incarnation to get under way; 0: as long as it takes */
};

/* How far an incarnation has come, as its launcher sees it. */
enum restart_stage {
	RESTART_LAUNCHED,
	RESTART_RUNNING,    /* all processes are there */
	RESTART_REGISTERED, /* all are in MPI_Init */
	RESTART_BEGUN,	    /* all are through it, as the plug-in tells */
};

struct restart;

/* `argv` as policy_new()'s. -errno. */
int restart_open(const struct restart_settings *settings, char *const *argv, struct restart **restart,
		 struct error *err);

/* Takes NULL. */
void restart_close(struct restart *restart);

/* As policy_failed(); false also where the job had reached MPI_Finalize, then without a word. The standard
 * input of the incarnation ends with it. */
bool restart_failed(struct restart *restart, const struct policy_failure *failure);

/* The incarnation that runs has come so far. */
void restart_reached(struct restart *restart, enum restart_stage stage);

/*
 * The launcher calls it start_timeout_s after the launch of a later incarnation. True: its processes do not run all,
 * or it has not come as far as an earlier one did (a program without MPI never registers, a job without the
 * plug-in sends no note), and *failure is that, for restart_failed().
 */
bool restart_is_late(struct restart *restart, struct policy_failure *failure);

/* Has this incarnation reached MPI_Finalize? Then its exit code is the application's own. */
bool restart_finished(struct restart *restart);

/* False: the next incarnation cannot have its standard input, which is said on stderr. */
bool restart_begin(struct restart *restart);

/* As policy_environment(), with what ranks need to write to the launcher. */
void restart_environment(const struct restart *restart,
			 void (*set)(void *arg, const char *name, const char *value), void *arg);

/* As policy_decline(). */
void restart_decline(struct restart *restart, const char *reason);

#endif
