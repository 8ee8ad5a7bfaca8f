/* SPDX-License-Identifier: BSD-3-Clause */
/* launcher.c - before PRRTE's callbacks: whose affair a state is, and who deals with it. */
#include "launcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "launch/command.h"
#include "src/mca/errmgr/base/errmgr_private.h"
#include "src/runtime/prte_quit.h"
#include "src/util/name_fns.h"
#include "src/util/proc_info.h"

struct launcher launcher;

/* ---- what is whose ---- */

bool launcher_shutting_down(void)
{
	return prte_finalizing || prte_abnormal_term_ordered || prte_prteds_term_ordered ||
	       prte_dvm_abort_ordered;
}

/* PMIX_CHECK_NSPACE() takes a job without a name for any. */
static bool is_same(const char *a, const char *b)
{
	return !strncmp(a, b, PMIX_MAX_NSLEN);
}

bool launcher_is_daemons(const char *nspace)
{
	return is_same(nspace, PRTE_PROC_MY_NAME->nspace);
}

static bool is_current(const char *nspace)
{
	return launcher.job && is_same(nspace, launcher.job->nspace);
}

bool launcher_is_past(const char *nspace)
{
	for (char **name = launcher.past; name && *name; name++) {
		if (is_same(nspace, *name))
			return true;
	}
	return false;
}

static bool proc_error(prte_state_caddy_t *caddy)
{
	if (launcher_shutting_down() || launcher.left)
		return false;
	if (launcher_is_daemons(caddy->name.nspace))
		return prte_dvm_ready && node_lost(&caddy->name);
	if (is_current(caddy->name.nspace))
		return failure_of_rank(caddy);
	return launcher_is_past(caddy->name.nspace);
}

static void on_proc_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (proc_error(caddy))
		PMIX_RELEASE(caddy);
	else
		launcher.next.proc_failed(fd, events, arg);
}

static void on_comm_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (proc_error(caddy))
		PMIX_RELEASE(caddy);
	else
		launcher.next.comm_failed(fd, events, arg);
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
	launcher.next.proc_gone(fd, events, arg);
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
	return proc_state_wrap(PRTE_PROC_STATE_ERROR, on_proc_failed, &launcher.next.proc_failed) &&
	       proc_state_wrap(PRTE_PROC_STATE_COMM_FAILED, on_comm_failed, &launcher.next.comm_failed) &&
	       proc_state_wrap(PRTE_PROC_STATE_TERMINATED, on_proc_gone, &launcher.next.proc_gone) &&
	       job_state_wrap(PRTE_JOB_STATE_INIT, incarnation_on_init, &launcher.next.job_init) &&
	       job_state_wrap(PRTE_JOB_STATE_RUNNING, incarnation_on_running, &launcher.next.job_running) &&
	       job_state_wrap(PRTE_JOB_STATE_REGISTERED, incarnation_on_registered, &launcher.next.job_registered) &&
	       job_state_wrap(PRTE_JOB_STATE_ERROR, incarnation_on_failed, &launcher.next.job_failed) &&
	       job_state_wrap(PRTE_JOB_STATE_TERMINATED, incarnation_on_gone, &launcher.next.job_gone);
}

/* mpirun becomes prterun before it gets here. */
static const char *own_name(void)
{
	const char *name = getenv("HOLDFAST_MPIRUN");

	return name && *name ? name : getenv("OMPI_TOOL_NAME");
}

int launcher_open(const struct launcher_settings *settings, struct error *err)
{
	struct stat before = {0}, after = {0};
	char **argv = command_read("/proc/self/cmdline", own_name());
	int rc;

	fstat(STDIN_FILENO, &before);
	rc = restart_open(&settings->restart, argv, &launcher.restart, err);
	free(argv);
	if (rc)
		return rc;
	fstat(STDIN_FILENO, &after);
	launcher.input_kept = before.st_ino != after.st_ino || before.st_dev != after.st_dev;
	launcher.settings = *settings;
	if (states_wrap())
		return 0;
	launcher.left = true; /* what is wrapped passes everything on */
	return error_set(err, -ENOTSUP, "this mpirun has another state machine than the one that is known");
}

/* The jobs' objects go with the process; timers must not outlive this component, which is unloaded before. */
void launcher_close(void)
{
	launcher.left = true;
	failure_close();
	if (launcher.ending)
		ending_done();
	incarnation_close();
	restart_close(launcher.restart);
	launcher.restart = NULL;
}
