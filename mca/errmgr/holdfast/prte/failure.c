/* SPDX-License-Identifier: BSD-3-Clause */
/* failure.c - which failures of ranks there are, and what follows from them. */
#include "launcher.h"

#include "src/mca/errmgr/errmgr.h"

#define GRACE_MS	  300 /* for the failure that an MPI_Abort is a consequence of */
#define SIGNAL_EXIT	  128 /* PRRTE's exit codes of signals begin above it */
#define PROC_FLAG_ABORTED PRTE_PROC_FLAG_TERM_REPORTED /* mpirun's own process does not use it */

/* A rank's MPI_Abort that waits for its cause; NULL: none does. */
static struct suspect {
	prte_state_caddy_t *caddy;
	int code;
	prte_event_t grace;
} suspect;

static bool failure_describe(const prte_proc_t *proc, prte_proc_state_t state, struct policy_failure *failure)
{
	*failure = (struct policy_failure){
		.rank = proc->name.rank, .code = proc->exit_code, .node = proc->node ? proc->node->name : NULL};
	switch (state) {
	case PRTE_PROC_STATE_ABORTED_BY_SIG:
	case PRTE_PROC_STATE_ABORTED:
		failure->cause = POLICY_SIGNAL;
		if (failure->code > SIGNAL_EXIT)
			failure->code -= SIGNAL_EXIT;
		return true;
	case PRTE_PROC_STATE_TERM_NON_ZERO:
		failure->cause = POLICY_EXIT;
		return !PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_HAS_DEREG); /* after MPI_Finalize; of daemons' not known */
	case PRTE_PROC_STATE_TERM_WO_SYNC:
		failure->cause = failure->code ? POLICY_EXIT : POLICY_NO_FINALIZE;
		return true;
	case PRTE_PROC_STATE_CALLED_ABORT:
		failure->cause = POLICY_ABORT;
		return true;
	default:
		return false; /* no failure, or one that the next incarnation would share */
	}
}

bool failure_decide(const struct policy_failure *failure, int exit_code)
{
	launcher.exit_code = exit_code;
	if (launcher.spawned)
		restart_decline(launcher.restart, "it has called MPI_Comm_spawn");
	else if (restart_failed(launcher.restart, failure))
		return true;
	launcher.left = true;
	return false;
}

void failure_explained(void)
{
	prte_proc_t *proc;

	if (!suspect.caddy)
		return;
	proc = pmix_pointer_array_get_item(launcher.job->procs, (int)suspect.caddy->name.rank);
	ending_proc(proc, suspect.caddy->proc_state);
	PMIX_RELEASE(suspect.caddy);
	suspect.caddy = NULL;
	prte_event_evtimer_del(&suspect.grace);
}

/* True: it is done with; false: PRRTE's callback is to see it. */
static bool failure_handle(prte_proc_t *proc, prte_proc_state_t state)
{
	struct policy_failure failure;

	if (!failure_describe(proc, state, &failure) || !failure_decide(&failure, proc->exit_code))
		return false;
	if (launcher.settings.exclude_failed_nodes && proc->node)
		node_exclude(proc->node);
	ending_proc(proc, state);
	ending_begin();
	return true;
}

/* There was no other cause. */
static void on_grace(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = suspect.caddy;
	prte_proc_t *proc;

	(void)arg;
	if (!caddy)
		return;
	suspect.caddy = NULL;
	proc = pmix_pointer_array_get_item(launcher.job->procs, (int)caddy->name.rank);
	proc->exit_code = suspect.code;
	if (!launcher_shutting_down() && !launcher.left && failure_handle(proc, PRTE_PROC_STATE_CALLED_ABORT))
		PMIX_RELEASE(caddy);
	else
		launcher.next.proc_failed(fd, events, caddy);
}

/*
 * Ranks that lose a connection to one that died call MPI_Abort, and may be heard of first. One of them is kept for
 * a moment, in which the others' count for nothing.
 */
static bool abort_suspected(prte_state_caddy_t *caddy, prte_proc_t *proc)
{
	struct timeval moment = {.tv_usec = GRACE_MS * 1000};

	PRTE_FLAG_SET(proc, PROC_FLAG_ABORTED);
	if (suspect.caddy) {
		if (suspect.caddy->name.rank != caddy->name.rank)
			ending_proc(proc, caddy->proc_state);
		return true;
	}
	PMIX_RETAIN(caddy);
	suspect.caddy = caddy;
	suspect.code = proc->exit_code; /* its end will put another one there */
	prte_event_evtimer_set(prte_event_base, &suspect.grace, on_grace, NULL);
	prte_event_evtimer_add(&suspect.grace, &moment);
	return true;
}

bool failure_of_rank(prte_state_caddy_t *caddy)
{
	prte_proc_t *proc = pmix_pointer_array_get_item(launcher.job->procs, (int)caddy->name.rank);

	if (!proc)
		return launcher.ending;
	if (launcher.ending) {
		ending_proc(proc, caddy->proc_state);
		return true;
	}
	if (caddy->proc_state == PRTE_PROC_STATE_CALLED_ABORT || PRTE_FLAG_TEST(proc, PROC_FLAG_ABORTED))
		return abort_suspected(caddy, proc);
	return failure_handle(proc, caddy->proc_state);
}

void failure_close(void)
{
	if (suspect.caddy)
		prte_event_evtimer_del(&suspect.grace);
}
