/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher.h - one job of one mpirun and its incarnations: the glue between PRRTE's state machine and src/launch.
 *
 *   runs --a failure, or it does not get under way--> ends --all processes gone--> (a new job) runs
 *
 * What is not handled here is handed to PRRTE's own callback; PRRTE then ends the job as if we were not there.
 * Everything runs in PRRTE's event loop, one thread.
 */
#ifndef HOLDFAST_PRTE_LAUNCHER_H
#define HOLDFAST_PRTE_LAUNCHER_H

#include "prte_config.h"

#include "common/error.h"
#include "launch/restart.h"
#include "src/event/event-internal.h"
#include "src/mca/state/state.h"
#include "src/runtime/prte_globals.h"

struct launcher_settings {
	struct restart_settings restart;
	bool exclude_failed_nodes;
};

/* Puts itself before PRRTE's callbacks, which must be there. Nothing is changed where it fails. -errno. */
int launcher_open(const struct launcher_settings *settings, struct error *err);

void launcher_close(void);

/* ---- between the files ---- */

extern struct launcher {
	struct restart *restart;
	struct launcher_settings settings;
	bool input_kept;
	prte_job_t *pristine; /* the first incarnation before it was set up */
	prte_job_t *job;      /* the one that runs or ends; NULL: none yet */
	char **past;	      /* names of the earlier ones */
	bool ending;	      /* what is left of it is being killed */
	bool last;	      /* and no other follows */
	bool left;	      /* to PRRTE: what happens now is no affair of ours */
	bool spawned;	      /* the job has started others */
	int exit_code;	      /* of the latest failure */
	struct {
		prte_state_cbfunc_t proc_failed, comm_failed, proc_gone;
		prte_state_cbfunc_t job_init, job_running, job_registered, job_failed, job_gone;
	} next; /* PRRTE's */
} launcher;

/* The user, or PRRTE for a reason of its own, ends everything. */
bool launcher_shutting_down(void);

bool launcher_is_daemons(const char *nspace);
bool launcher_is_past(const char *nspace);

/* ---- ending.c: what is left of an incarnation ---- */

/* Kills it; PRRTE tells when it is gone. */
void ending_begin(void);

/* It is gone. */
void ending_done(void);

/* The process has failed. A daemon that has reported it says nothing more, so that it has to count as gone; of our
 * own ones the output may still come. */
void ending_proc(prte_proc_t *proc, prte_proc_state_t state);

/* All of that node count as gone: nobody is left who could report them. NULL: of all nodes. */
void ending_bury(const prte_node_t *node);

/* ---- failure.c: failures of ranks ---- */

/* True: it is done with; false: PRRTE's callback is to see it. */
bool failure_of_rank(prte_state_caddy_t *caddy);

/* Is the job to be started again? Otherwise it is left to PRRTE. */
bool failure_decide(const struct policy_failure *failure, int exit_code);

/* The MPI_Abort that waited for its cause has one. */
void failure_explained(void);

void failure_close(void);

/* ---- node.c: nodes that are lost, or not to be used again ---- */

/* As failure_of_rank(); its daemon, or the way to it, is gone. */
bool node_lost(const pmix_proc_t *daemon);

/* A rank failed there. The last node stays: a job without any is no job. */
void node_exclude(prte_node_t *node);

/* ---- incarnation.c: from one to the next ---- */

void incarnation_on_init(int fd, short events, void *caddy);
void incarnation_on_running(int fd, short events, void *caddy);
void incarnation_on_registered(int fd, short events, void *caddy);
void incarnation_on_failed(int fd, short events, void *caddy);
void incarnation_on_gone(int fd, short events, void *caddy);

void incarnation_close(void);

#endif
