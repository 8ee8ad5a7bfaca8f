/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restart.h - policy, mailbox and standard input of one launcher, in the order in which it needs them:
 * restart_open() before the first incarnation; at each failure restart_failed(), which says whether to go on;
 * once nothing is left of that incarnation restart_begin(), then the next one with restart_environment().
 */
#ifndef HOLDFAST_RESTART_H
#define HOLDFAST_RESTART_H

#include "launch/policy.h"

struct restart_settings {
	struct policy_settings policy;
	uint64_t stdin_max_bytes; /* 0: standard input is not kept */
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
