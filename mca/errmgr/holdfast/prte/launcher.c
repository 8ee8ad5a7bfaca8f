/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * launcher.c - one job of one mpirun, and its incarnations.
 *
 *   runs --failure of a rank or node--> ends --all processes gone--> (a new job) runs
 *
 * A failure is handed to PRRTE's own callback wherever the job is not started again; PRRTE then ends it as if we
 * were not there. Everything runs in PRRTE's event loop, one thread.
 */
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/clock.h"
#include "console.h"
#include "constants.h"
#include "job.h"
#include "src/event/event-internal.h"
#include "src/mca/errmgr/base/errmgr_private.h"
#include "src/mca/errmgr/errmgr.h"
#include "src/mca/plm/base/plm_private.h"
#include "src/mca/plm/plm.h"
#include "src/mca/rmaps/rmaps_types.h"
#include "src/mca/state/state.h"
#include "src/rml/rml.h"
#include "src/runtime/prte_quit.h"
#include "src/util/attr.h"
#include "src/util/name_fns.h"
#include "src/util/proc_info.h"

#define ENDING_S	60 /* for what is left of a failed incarnation; PRRTE kills within one */
#define COMMAND_BYTES	65536
#define ARGUMENTS_MAX	4096
#define GRACE_MS	300 /* for the failure that an MPI_Abort is a consequence of */
#define SIGNAL_EXIT	128 /* PRRTE's exit codes of signals begin above it */
#define PROC_FLAG_ABORTED PRTE_PROC_FLAG_TERM_REPORTED /* mpirun's own process does not use it */
#define EXIT_NODE_LOST	1   /* PRRTE's own would be 0 */

static struct launcher {
	struct restart *restart;
	bool exclude_failed_nodes;
	bool input_kept;
	prte_job_t *pristine; /* the first incarnation before it was set up */
	prte_job_t *job;      /* the one that runs or ends; NULL: none yet */
	char **past;	      /* names of the earlier ones */
	bool ending;	      /* another one follows */
	bool left;	      /* to PRRTE: what happens now is no affair of ours */
	bool spawned;	      /* the job has started others */
	int exit_code;	      /* of the latest failure */
	uint64_t began_ns;    /* the first incarnation */
	prte_state_caddy_t *suspect; /* a rank's MPI_Abort that waits for its cause */
	int suspect_code;
	prte_event_t deadline, grace;
	prte_state_cbfunc_t proc_failed, comm_failed, proc_gone;		 /* PRRTE's */
	prte_state_cbfunc_t job_init, job_running, job_failed, job_gone; /* PRRTE's */
} launcher;

/* ---- what is whose ---- */

/* The user, or PRRTE for a reason of its own, ends everything. */
static bool shutting_down(void)
{
	return prte_finalizing || prte_abnormal_term_ordered || prte_prteds_term_ordered ||
	       prte_dvm_abort_ordered;
}

/* PMIX_CHECK_NSPACE() takes a job without a name for any. */
static bool is_same(const char *a, const char *b)
{
	return !strncmp(a, b, PMIX_MAX_NSLEN);
}

static bool is_daemons(const char *nspace)
{
	return is_same(nspace, PRTE_PROC_MY_NAME->nspace);
}

static bool is_current(const char *nspace)
{
	return launcher.job && is_same(nspace, launcher.job->nspace);
}

static bool is_past(const char *nspace)
{
	for (char **name = launcher.past; name && *name; name++) {
		if (is_same(nspace, *name))
			return true;
	}
	return false;
}

/* ---- ending an incarnation ---- */

/* The process counts as gone: nobody is left who could report it. */
static void proc_bury(prte_proc_t *proc)
{
	if (PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_RECORDED))
		return;
	PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_WAITPID_FIRED);
	PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_IOF_COMPLETE);
}

/* NULL: on all nodes. Returns how many there were. */
static unsigned procs_bury(const prte_node_t *node)
{
	prte_proc_t *proc;
	unsigned count = 0;

	for (int i = 0; launcher.job && i < launcher.job->procs->size; i++) {
		proc = pmix_pointer_array_get_item(launcher.job->procs, i);
		if (!proc || (node && proc->node != node))
			continue;
		proc_bury(proc);
		count++;
	}
	return count;
}

/* A daemon that has reported a failure says nothing more of that process, so that it has to count as gone; of
 * our own ones the output may still come. */
static void proc_failed_noted(prte_proc_t *proc, prte_proc_state_t state)
{
	if (proc->state < PRTE_PROC_STATE_TERMINATED)
		proc->state = state;
	if (PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_LOCAL)) {
		PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_WAITPID_FIRED);
	} else {
		proc_bury(proc);
	}
}

/* The cause is found. */
static void suspect_drop(void)
{
	prte_proc_t *proc;

	if (!launcher.suspect)
		return;
	proc = pmix_pointer_array_get_item(launcher.job->procs, (int)launcher.suspect->name.rank);
	proc_failed_noted(proc, launcher.suspect->proc_state);
	PMIX_RELEASE(launcher.suspect);
	launcher.suspect = NULL;
	prte_event_evtimer_del(&launcher.grace);
}

static void on_deadline(int fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	fprintf(stderr, "holdfast: processes of the failed job are not reported dead after %d s; they are given up\n",
		ENDING_S);
	procs_bury(NULL);
}

static void job_end(void)
{
	struct timeval limit = {.tv_sec = ENDING_S};
	pmix_pointer_array_t procs;
	prte_proc_t all;

	launcher.ending = true;
	suspect_drop();
	PMIX_CONSTRUCT(&procs, pmix_pointer_array_t);
	pmix_pointer_array_init(&procs, 1, 1, 1);
	PMIX_CONSTRUCT(&all, prte_proc_t);
	PMIX_LOAD_PROCID(&all.name, launcher.job->nspace, PMIX_RANK_WILDCARD);
	pmix_pointer_array_add(&procs, &all);
	prte_plm.terminate_procs(&procs);
	PMIX_DESTRUCT(&procs);
	PMIX_DESTRUCT(&all);
	prte_event_evtimer_add(&launcher.deadline, &limit);
}

/* ---- failures ---- */

static bool node_usable(const prte_node_t *node)
{
	return node->daemon && node->state != PRTE_NODE_STATE_DOWN && node->state != PRTE_NODE_STATE_NOT_INCLUDED;
}

/* The last one stays: a job without any node is no job. */
static void node_exclude(prte_node_t *failed)
{
	prte_node_t *node;

	for (int i = 0; i < prte_node_pool->size; i++) {
		node = pmix_pointer_array_get_item(prte_node_pool, i);
		if (node && node != failed && node_usable(node)) {
			failed->state = PRTE_NODE_STATE_NOT_INCLUDED;
			return;
		}
	}
}

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

/* Is the job to be started again? Otherwise it is left to PRRTE. */
static bool failure_decide(const struct policy_failure *failure, int exit_code)
{
	launcher.exit_code = exit_code;
	if (launcher.spawned)
		restart_decline(launcher.restart, "it has called MPI_Comm_spawn");
	else if (restart_failed(launcher.restart, failure))
		return true;
	launcher.left = true;
	return false;
}

/* True: it is done with; false: PRRTE's callback is to see it. */
static bool failure_handle(prte_proc_t *proc, prte_proc_state_t state)
{
	struct policy_failure failure;

	if (!failure_describe(proc, state, &failure) || !failure_decide(&failure, proc->exit_code))
		return false;
	if (launcher.exclude_failed_nodes && proc->node)
		node_exclude(proc->node);
	proc_failed_noted(proc, state);
	job_end();
	return true;
}

/*
 * Ranks that lose a connection to one that died call MPI_Abort, and may be heard of first. One of them is kept for
 * a moment, in which the others' count for nothing.
 */
static bool abort_suspected(prte_state_caddy_t *caddy, prte_proc_t *proc)
{
	struct timeval moment = {.tv_usec = GRACE_MS * 1000};

	PRTE_FLAG_SET(proc, PROC_FLAG_ABORTED);
	if (launcher.suspect) {
		if (launcher.suspect->name.rank != caddy->name.rank)
			proc_failed_noted(proc, caddy->proc_state);
		return true;
	}
	PMIX_RETAIN(caddy);
	launcher.suspect = caddy;
	launcher.suspect_code = proc->exit_code; /* its end will put another one there */
	prte_event_evtimer_add(&launcher.grace, &moment);
	return true;
}

/* As failure_handle(). */
static bool rank_failed(prte_state_caddy_t *caddy)
{
	prte_proc_t *proc = pmix_pointer_array_get_item(launcher.job->procs, (int)caddy->name.rank);

	if (!proc)
		return launcher.ending;
	if (launcher.ending) {
		proc_failed_noted(proc, caddy->proc_state);
		return true;
	}
	if (caddy->proc_state == PRTE_PROC_STATE_CALLED_ABORT || PRTE_FLAG_TEST(proc, PROC_FLAG_ABORTED))
		return abort_suspected(caddy, proc);
	return failure_handle(proc, caddy->proc_state);
}

/* There was no other cause. */
static void on_grace(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = launcher.suspect;
	prte_proc_t *proc;

	(void)arg;
	if (!caddy)
		return;
	launcher.suspect = NULL;
	proc = pmix_pointer_array_get_item(launcher.job->procs, (int)caddy->name.rank);
	proc->exit_code = launcher.suspect_code;
	if (!shutting_down() && !launcher.left && failure_handle(proc, PRTE_PROC_STATE_CALLED_ABORT))
		PMIX_RELEASE(caddy);
	else
		launcher.proc_failed(fd, events, caddy);
}

/* PRRTE forgets the daemon, as far as it can without ending the job. */
static void daemon_forget(prte_proc_t *daemon)
{
	PRTE_FLAG_UNSET(daemon, PRTE_PROC_FLAG_ALIVE);
	daemon->state = PRTE_PROC_STATE_COMM_FAILED;
	daemon->node->state = PRTE_NODE_STATE_DOWN;
	prte_rml_route_lost(daemon->name.rank);
	prte_process_info.num_daemons--;
}

/* As failure_handle(). */
static bool daemon_failed(const pmix_proc_t *name)
{
	prte_job_t *daemons = prte_get_job_data_object(PRTE_PROC_MY_NAME->nspace);
	prte_proc_t *daemon = pmix_pointer_array_get_item(daemons->procs, (int)name->rank);
	struct policy_failure failure = {.cause = POLICY_NODE};
	bool concerned = false;

	if (!daemon || !daemon->node || name->rank == PRTE_PROC_MY_NAME->rank || !launcher.job)
		return false;
	prte_exit_status = 0; /* its remote shell's counts for nothing */
	if (daemon->node->state == PRTE_NODE_STATE_DOWN)
		return true; /* the other way to hear of it */
	for (int i = 0; i < launcher.job->procs->size && !concerned; i++) {
		prte_proc_t *proc = pmix_pointer_array_get_item(launcher.job->procs, i);

		concerned = proc && proc->node == daemon->node && !PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_RECORDED);
	}
	failure.node = daemon->node->name;
	if (concerned && !launcher.ending && !failure_decide(&failure, EXIT_NODE_LOST)) {
		PRTE_UPDATE_EXIT_STATUS(EXIT_NODE_LOST);
		return false;
	}
	daemon_forget(daemon);
	if (concerned) {
		procs_bury(daemon->node);
		if (!launcher.ending)
			job_end();
	} else {
		fprintf(stderr, "holdfast: node %s was lost; no rank ran there\n", daemon->node->name);
	}
	return true;
}

static bool proc_error(prte_state_caddy_t *caddy)
{
	if (shutting_down() || launcher.left)
		return false;
	if (is_daemons(caddy->name.nspace))
		return prte_dvm_ready && daemon_failed(&caddy->name);
	if (is_current(caddy->name.nspace))
		return rank_failed(caddy);
	return is_past(caddy->name.nspace);
}

static void on_proc_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (proc_error(caddy))
		PMIX_RELEASE(caddy);
	else
		launcher.proc_failed(fd, events, arg);
}

static void on_comm_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (proc_error(caddy))
		PMIX_RELEASE(caddy);
	else
		launcher.comm_failed(fd, events, arg);
}

/* Each process is counted once, however often it is reported. */
static void on_proc_gone(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;
	prte_proc_t *proc;

	if (!launcher.left && is_current(caddy->name.nspace)) {
		proc = pmix_pointer_array_get_item(launcher.job->procs, (int)caddy->name.rank);
		if (proc && PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_RECORDED)) {
			PMIX_RELEASE(caddy);
			return;
		}
		if (proc)
			PRTE_FLAG_SET(proc, PRTE_PROC_FLAG_RECORDED);
	}
	launcher.proc_gone(fd, events, arg);
}

/* ---- incarnations ---- */

/* Keeps the job as the user gave it, before PRRTE adds what is this launch's only. */
static void job_first(prte_job_t *job)
{
	launcher.pristine = job_copy(job);
	if (!launcher.pristine) {
		launcher.left = true;
		restart_decline(launcher.restart, "there is no memory");
		return;
	}
	PMIX_RETAIN(job);
	launcher.job = job;
	launcher.began_ns = clock_monotonic_ns();
	restart_environment(launcher.restart, job_setenv, job);
	prte_event_evtimer_set(prte_event_base, &launcher.deadline, on_deadline, NULL);
	prte_event_evtimer_set(prte_event_base, &launcher.grace, on_grace, NULL);
	console_open(launcher.input_kept);
}

static void on_job_init(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (!launcher.left && !is_daemons(caddy->jdata->nspace)) {
		if (!launcher.job)
			job_first(caddy->jdata);
		else if (caddy->jdata != launcher.job)
			launcher.spawned = true;
	}
	launcher.job_init(fd, events, arg);
}

static void on_job_running(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (launcher.past && caddy->jdata == launcher.job && !launcher.ending)
		console_enter(launcher.job);
	launcher.job_running(fd, events, arg);
}

/* The next incarnation could not be launched: no node is left for its ranks, say. PRRTE says why. */
static void on_job_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (!launcher.left && !shutting_down() && launcher.past && caddy->jdata && caddy->jdata == launcher.job) {
		restart_decline(launcher.restart, "its ranks cannot be placed or started");
		launcher.left = true;
		if (!launcher.job->exit_code)
			launcher.job->exit_code = launcher.exit_code;
	}
	launcher.job_failed(fd, events, arg);
}

/* The job that comes after the one that is gone; NULL, and said why. */
static prte_job_t *job_next(void)
{
	prte_job_t *job;
	bool yes = true;

	if (!restart_begin(launcher.restart))
		return NULL;
	job = job_copy(launcher.pristine);
	if (!job || prte_set_attribute(&job->attributes, PRTE_JOB_SPAWN_NOTIFIED, PRTE_ATTR_LOCAL, &yes, PMIX_BOOL) ||
	    prte_plm_base_create_jobid(job) || PMIx_Argv_append_nosize(&launcher.past, launcher.job->nspace)) {
		restart_decline(launcher.restart, "mpirun has no memory for it");
		return NULL;
	}
	job_shorten(job, (int)((clock_monotonic_ns() - launcher.began_ns) / 1000000000u));
	restart_environment(launcher.restart, job_setenv, job);
	return job;
}

/* All processes are gone. The new job must be known before PRRTE sees that of the old one: else it ends. */
static void job_replace(int fd, short events, prte_state_caddy_t *caddy)
{
	prte_job_t *old = launcher.job, *next = NULL;

	prte_event_evtimer_del(&launcher.deadline);
	launcher.ending = false;
	console_leave(old);
	next = job_next();
	if (!next) {
		launcher.left = true;
		old->exit_code = launcher.exit_code ? launcher.exit_code : PRTE_ERROR_DEFAULT_EXIT_CODE;
		old->state = PRTE_JOB_STATE_ABORTED;
		launcher.job_gone(fd, events, caddy);
		return;
	}
	PMIX_RETAIN(next);
	launcher.job = next;
	old->exit_code = 0;
	old->state = PRTE_JOB_STATE_RUNNING;
	prte_exit_status = 0;
	launcher.job_gone(fd, events, caddy);
	PMIX_RELEASE(old);
	if (prte_plm.spawn(next)) {
		PRTE_ACTIVATE_JOB_STATE(next, PRTE_JOB_STATE_NEVER_LAUNCHED);
	}
}

static void on_job_gone(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (caddy->jdata && is_past(caddy->jdata->nspace)) {
		PMIX_RELEASE(caddy); /* PRRTE may say it twice */
		return;
	}
	if (caddy->jdata && caddy->jdata == launcher.job && launcher.ending && !launcher.left && !shutting_down())
		job_replace(fd, events, caddy);
	else
		launcher.job_gone(fd, events, arg);
}

/* ---- beginning and end ---- */

static bool proc_state_wrap(prte_proc_state_t which, prte_state_cbfunc_t ours, prte_state_cbfunc_t *theirs)
{
	prte_state_t *state;

	PMIX_LIST_FOREACH(state, &prte_proc_states, prte_state_t) {
		if (state->proc_state != which || !state->cbfunc)
			continue;
		*theirs = state->cbfunc;
		state->cbfunc = ours;
		return true;
	}
	return false;
}

static bool job_state_wrap(prte_job_state_t which, prte_state_cbfunc_t ours, prte_state_cbfunc_t *theirs)
{
	prte_state_t *state;

	PMIX_LIST_FOREACH(state, &prte_job_states, prte_state_t) {
		if (state->job_state != which || !state->cbfunc)
			continue;
		*theirs = state->cbfunc;
		state->cbfunc = ours;
		return true;
	}
	return false;
}

static bool states_wrap(void)
{
	return proc_state_wrap(PRTE_PROC_STATE_ERROR, on_proc_failed, &launcher.proc_failed) &&
	       proc_state_wrap(PRTE_PROC_STATE_COMM_FAILED, on_comm_failed, &launcher.comm_failed) &&
	       proc_state_wrap(PRTE_PROC_STATE_TERMINATED, on_proc_gone, &launcher.proc_gone) &&
	       job_state_wrap(PRTE_JOB_STATE_INIT, on_job_init, &launcher.job_init) &&
	       job_state_wrap(PRTE_JOB_STATE_RUNNING, on_job_running, &launcher.job_running) &&
	       job_state_wrap(PRTE_JOB_STATE_ERROR, on_job_failed, &launcher.job_failed) &&
	       job_state_wrap(PRTE_JOB_STATE_TERMINATED, on_job_gone, &launcher.job_gone);
}

/*
 * The command line with which this mpirun was started, in `text` and `argv`; mpirun becomes prterun before it
 * gets here. Without it, or where it is too long, none is recorded.
 */
static char **command_read(char *text, char **argv)
{
	const char *name = getenv("HOLDFAST_MPIRUN");
	FILE *file = fopen("/proc/self/cmdline", "r");
	size_t bytes = file ? fread(text, 1, COMMAND_BYTES - 1, file) : 0;
	int count = 0;

	if (file)
		fclose(file);
	if (!bytes || bytes == COMMAND_BYTES - 1)
		return NULL;
	text[bytes] = 0;
	for (char *at = text; at < text + bytes && count < ARGUMENTS_MAX; at += strlen(at) + 1)
		argv[count++] = at;
	argv[count] = NULL;
	if (!name || !*name)
		name = getenv("OMPI_TOOL_NAME");
	if (name && *name)
		argv[0] = (char *)name;
	return count < ARGUMENTS_MAX ? argv : NULL;
}

int launcher_open(const struct launcher_settings *settings, struct error *err)
{
	static char text[COMMAND_BYTES], *argv[ARGUMENTS_MAX + 1];
	struct stat before = {0}, after = {0};
	int rc;

	fstat(STDIN_FILENO, &before);
	rc = restart_open(&settings->restart, command_read(text, argv), &launcher.restart, err);
	if (rc)
		return rc;
	fstat(STDIN_FILENO, &after);
	launcher.input_kept = before.st_ino != after.st_ino || before.st_dev != after.st_dev;
	launcher.exclude_failed_nodes = settings->exclude_failed_nodes;
	if (states_wrap())
		return 0;
	launcher.left = true; /* what is wrapped passes everything on */
	return error_set(err, -ENOTSUP, "this mpirun has another state machine than the one that is known");
}

/* The jobs' objects go with the process. */
void launcher_close(void)
{
	launcher.left = true;
	restart_close(launcher.restart);
	launcher.restart = NULL;
}
