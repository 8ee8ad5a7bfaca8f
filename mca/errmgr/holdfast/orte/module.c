/* SPDX-License-Identifier: BSD-3-Clause */
/* module.c - failures, and what follows from them. */
#include "errmgr_holdfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/mca/pmix/pmix.h"
#include "orte/mca/plm/plm.h"
#include "orte/util/error_strings.h"
#include "orte/util/name_fns.h"
#include "orte/util/proc_info.h"
#include "launch/command.h"

static struct {
	orte_errmgr_base_module_t *stock;
	struct errmgr_settings settings;
	struct restart *restart;
	struct job_template template;
	orte_job_t *job;      /* the incarnation that runs; NULL: none yet */
	orte_job_t *previous; /* the incarnation before; NULL: there was none */
	bool ending;	      /* it failed, and is to be started again once nothing is left of it */
	bool spawned;	      /* it has started further jobs */
	opal_event_t overdue, start_deadline;
	struct {
		orte_state_cbfunc_t proc_error, comm_failed, proc_terminated;
		orte_state_cbfunc_t job_init, job_running, job_registered, job_terminated, job_error;
	} next; /* the stock functions */
} errmgr;

static void say(const char *text, const orte_job_t *job)
{
	if (errmgr.settings.restart.policy.verbose)
		fprintf(stderr, "holdfast: launcher: job %s: %s\n", ORTE_JOBID_PRINT(job->jobid), text);
}

/* mpirun is leaving, by its user's order or by its own. */
static bool is_leaving(void)
{
	return orte_finalizing || orte_abnormal_term_ordered || orte_orteds_term_ordered || orte_execute_quiet;
}

static bool is_daemon(const orte_process_name_t *name)
{
	return name->jobid == ORTE_PROC_MY_NAME->jobid;
}

/* ---- the beginning ---- */

/*
 * Stands for PMIx_server_deregister_client(), which (PMIx 4.2) closes the connection of a client that has died
 * and leaves its event: the next connection with that descriptor's number is never read, and a rank of the next
 * incarnation waits in PMIx_Init for ever. Without the call PMIx does the same when it sees the connection end, and
 * rightly; the rest goes with the job (PMIx_server_deregister_nspace).
 */
static void deregister_client(const opal_process_name_t *name, opal_pmix_op_cbfunc_t done, void *arg)
{
	(void)name;
	if (done)
		done(OPAL_SUCCESS, arg);
}

static void on_job_init(int fd, short args, void *caddy)
{
	orte_job_t *job = ((orte_state_caddy_t *)caddy)->jdata;

	if (ORTE_FLAG_TEST(job, ORTE_JOB_FLAG_DEBUGGER_DAEMON)) {
		/* not the user's */
	} else if (!errmgr.job) {
		errmgr.job = job;
		opal_pmix.server_deregister_client = deregister_client;
		if (job_template_take(&errmgr.template, job) == ORTE_SUCCESS)
			job_environment(job, errmgr.restart);
		else
			errmgr.template.count = 0; /* half a job is not started again */
	} else if (job != errmgr.job) {
		errmgr.spawned = true;
	}
	errmgr.next.job_init(fd, args, caddy);
}

/* ---- a failure ---- */

/* Mpirun ends as it does without us. */
static void force_exit(void)
{
	errmgr.ending = false;
	ORTE_UPDATE_EXIT_STATUS(ORTE_ERROR_DEFAULT_EXIT_CODE);
	orte_abnormal_term_ordered = true;
	ORTE_ACTIVATE_JOB_STATE(NULL, ORTE_JOB_STATE_FORCED_EXIT);
}

/* Nothing waits without an end, not for a rank that cannot be killed either. */
static void on_overdue(int fd, short args, void *unused)
{
	(void)fd;
	(void)args;
	(void)unused;
	restart_decline(errmgr.restart, "what is left of it does not end");
	force_exit();
}

/* Ends what is left of the job; on_job_terminated() goes on. */
static void job_end(orte_job_t *job)
{
	struct timeval end = {errmgr.settings.end_timeout_s, 0};

	say("ends, to be started again", job);
	errmgr.ending = true;
	orte_job_term_ordered = true; /* its ranks are not told of each other's ends */
	opal_event_evtimer_set(orte_event_base, &errmgr.overdue, on_overdue, NULL);
	opal_event_evtimer_add(&errmgr.overdue, &end);
	orte_plm.terminate_job(job->jobid);
}

/* The first failure of an incarnation: is there to be another? */
static bool job_failed(orte_job_t *job, const struct policy_failure *failure)
{
	if (errmgr.spawned) {
		restart_decline(errmgr.restart, "it has started further jobs (MPI_Comm_spawn)");
		return false;
	}
	if (!errmgr.template.count || !restart_failed(errmgr.restart, failure))
		return false;
	if (!stdin_take_back()) {
		restart_decline(errmgr.restart, "mpirun's standard input cannot be given to it again");
		return false;
	}
	job_end(job);
	return true;
}

/* It is killed, and started once more if that is still allowed. */
static void on_start_deadline(int fd, short args, void *unused)
{
	struct policy_failure failure;

	(void)fd;
	(void)args;
	(void)unused;
	if (errmgr.ending || is_leaving() || !restart_is_late(errmgr.restart, &failure))
		return;
	if (!job_failed(errmgr.job, &failure))
		force_exit();
}

static void start_watch(void)
{
	struct timeval limit = {errmgr.settings.restart.start_timeout_s, 0};

	if (limit.tv_sec <= 0)
		return;
	opal_event_evtimer_set(orte_event_base, &errmgr.start_deadline, on_start_deadline, NULL);
	opal_event_evtimer_add(&errmgr.start_deadline, &limit);
}

static void start_unwatch(void)
{
	if (errmgr.previous && errmgr.settings.restart.start_timeout_s > 0)
		opal_event_evtimer_del(&errmgr.start_deadline);
}

static void stage_note(const orte_job_t *job, enum restart_stage stage)
{
	if (job && job == errmgr.job && !errmgr.ending)
		restart_reached(errmgr.restart, stage);
}

static void on_job_running(int fd, short args, void *caddy)
{
	stage_note(((orte_state_caddy_t *)caddy)->jdata, RESTART_RUNNING);
	errmgr.next.job_running(fd, args, caddy);
}

static void on_job_registered(int fd, short args, void *caddy)
{
	stage_note(((orte_state_caddy_t *)caddy)->jdata, RESTART_REGISTERED);
	errmgr.next.job_registered(fd, args, caddy);
}

static bool failure_of(const orte_proc_t *rank, orte_proc_state_t state, struct policy_failure *failure)
{
	*failure = (struct policy_failure){
		.rank = rank->name.vpid,
		.node = rank->node ? rank->node->name : NULL,
		.code = rank->exit_code,
	};
	switch (state) {
	case ORTE_PROC_STATE_ABORTED_BY_SIG:
		failure->cause = POLICY_SIGNAL;
		failure->code = rank->exit_code > 128 ? rank->exit_code - 128 : rank->exit_code;
		return true;
	case ORTE_PROC_STATE_TERM_WO_SYNC:
		failure->cause = POLICY_NO_FINALIZE;
		return true;
	case ORTE_PROC_STATE_CALLED_ABORT:
		failure->cause = POLICY_ABORT;
		return true;
	case ORTE_PROC_STATE_TERM_NON_ZERO:
	case ORTE_PROC_STATE_ABORTED:
		failure->cause = POLICY_EXIT;
		/* The daemon that saw it end may know that it had finalized. */
		return !ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_HAS_DEREG);
	case ORTE_PROC_STATE_FAILED_TO_START:
	case ORTE_PROC_STATE_FAILED_TO_LAUNCH:
		failure->cause = POLICY_START;
		/* What never ran will not run either. */
		return errmgr.previous != NULL;
	default:
		return false;
	}
}

/* It has ended: of what is not ours to see, its daemon may say nothing more. Who calls MPI_Abort is told of before
 * it ends, and of our own ranks we hear once more then. */
static void rank_ended(const orte_proc_t *rank, orte_proc_state_t state)
{
	orte_process_name_t name = rank->name;

	if (state == ORTE_PROC_STATE_CALLED_ABORT && ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_LOCAL) &&
	    !ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_WAITPID))
		return;
	ORTE_ACTIVATE_PROC_STATE(&name, ORTE_PROC_STATE_WAITPID_FIRED);
	if (!ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_LOCAL))
		ORTE_ACTIVATE_PROC_STATE(&name, ORTE_PROC_STATE_IOF_COMPLETE);
}

/* True: nothing is left to do. */
static bool rank_failed(orte_job_t *job, orte_proc_t *rank, orte_proc_state_t state)
{
	struct policy_failure failure;

	/* A daemon reports a failure at once, and once more when all of its ranks have ended. */
	if (ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_RECORDED))
		return errmgr.ending;
	if (state == ORTE_PROC_STATE_COMM_FAILED || state == ORTE_PROC_STATE_KILLED_BY_CMD)
		return false;
	if (!errmgr.ending) {
		if (!failure_of(rank, state, &failure) || !job_failed(job, &failure))
			return false;
		if (errmgr.settings.exclude_failed_nodes && rank->node)
			node_exclude(job, rank->node);
	}
	if (rank->state < ORTE_PROC_STATE_TERMINATED)
		rank->state = state;
	rank_ended(rank, state);
	return true;
}

/* True: nothing is left to do. */
static bool daemon_failed(orte_proc_t *daemon, orte_proc_state_t state)
{
	struct policy_failure failure = {.cause = POLICY_NODE};
	orte_job_t *job = errmgr.job;

	switch (state) {
	case ORTE_PROC_STATE_COMM_FAILED:
	case ORTE_PROC_STATE_FAILED_TO_START:
	case ORTE_PROC_STATE_TERM_NON_ZERO:
	case ORTE_PROC_STATE_ABORTED_BY_SIG:
	case ORTE_PROC_STATE_HEARTBEAT_FAILED:
	case ORTE_PROC_STATE_UNABLE_TO_SEND_MSG:
	case ORTE_PROC_STATE_NO_PATH_TO_TARGET:
	case ORTE_PROC_STATE_FAILED_TO_CONNECT:
		break;
	default:
		return false;
	}
	if (!daemon || daemon->name.vpid == ORTE_PROC_MY_NAME->vpid || !job)
		return false;
	if (node_is_lost(daemon->name.vpid)) {
		orte_exit_status = 0; /* of the agent that had started it, which ends later */
		return true;
	}
	/* Before its ranks were launched, there is nothing to start again. */
	if (!errmgr.previous && job->state < ORTE_JOB_STATE_LAUNCH_APPS)
		return false;
	failure.node = daemon->node ? daemon->node->name : NULL;
	if (!errmgr.ending && !job_failed(job, &failure))
		return false;
	if (node_lost(daemon) && daemon->node)
		node_end_ranks(job, daemon->node);
	orte_exit_status = 0;
	return true;
}

/* True: the stock function has nothing to do with it. */
static bool proc_failed(const orte_process_name_t *name, orte_proc_state_t state)
{
	orte_job_t *job = orte_get_job_data_object(name->jobid);
	orte_proc_t *proc;

	if (is_leaving() || !job)
		return false;
	proc = opal_pointer_array_get_item(job->procs, (int)name->vpid);
	if (is_daemon(name))
		return daemon_failed(proc, state);
	if (job != errmgr.job)
		return !errmgr.spawned && errmgr.previous; /* an earlier incarnation's, late */
	return proc && rank_failed(job, proc, state);
}

static void on_proc_error(int fd, short args, void *cbdata)
{
	orte_state_caddy_t *caddy = cbdata;

	if (errmgr.settings.restart.policy.verbose)
		fprintf(stderr, "holdfast: launcher: process %s: %s\n", ORTE_NAME_PRINT(&caddy->name),
			orte_proc_state_to_str(caddy->proc_state));
	if (proc_failed(&caddy->name, caddy->proc_state))
		OBJ_RELEASE(caddy);
	else if (caddy->proc_state == ORTE_PROC_STATE_COMM_FAILED)
		errmgr.next.comm_failed(fd, args, cbdata);
	else
		errmgr.next.proc_error(fd, args, cbdata);
}

/* Each rank's end is counted once, however often it is reported: slots and jobs are counted by it. */
static void on_proc_terminated(int fd, short args, void *cbdata)
{
	orte_state_caddy_t *caddy = cbdata;
	orte_job_t *job = orte_get_job_data_object(caddy->name.jobid);
	orte_proc_t *rank = NULL;

	if (job && !is_daemon(&caddy->name))
		rank = opal_pointer_array_get_item(job->procs, (int)caddy->name.vpid);
	if (rank) {
		if (ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_RECORDED)) {
			OBJ_RELEASE(caddy);
			return;
		}
		ORTE_FLAG_SET(rank, ORTE_PROC_FLAG_RECORDED);
	}
	errmgr.next.proc_terminated(fd, args, cbdata);
}

/* ---- the next incarnation ---- */

/* The new job is there before the old one is seen to: nobody finds mpirun without a job. */
static orte_job_t *job_replace(orte_job_t *old)
{
	orte_job_t *job = restart_begin(errmgr.restart) ? job_again(&errmgr.template, old) : NULL;

	if (!job)
		return NULL;
	errmgr.job = job;
	errmgr.previous = old;
	job_environment(job, errmgr.restart);
	/* As if it had ended well: its slots and its map are given back, and mpirun's exit code is the new one's. */
	ORTE_FLAG_UNSET(old, ORTE_JOB_FLAG_ABORTED);
	if (old->state >= ORTE_JOB_STATE_UNTERMINATED)
		old->state = ORTE_JOB_STATE_RUNNING;
	orte_job_term_ordered = false;
	orte_exit_status = 0;
	return job;
}

static void on_job_terminated(int fd, short args, void *cbdata)
{
	orte_job_t *old = ((orte_state_caddy_t *)cbdata)->jdata, *job = NULL;

	if (old && old == errmgr.job && errmgr.ending) {
		errmgr.ending = false;
		opal_event_evtimer_del(&errmgr.overdue);
		start_unwatch();
		if (!is_leaving())
			job = job_replace(old);
		if (!job)
			ORTE_UPDATE_EXIT_STATUS(ORTE_ERROR_DEFAULT_EXIT_CODE);
	}
	errmgr.next.job_terminated(fd, args, cbdata);
	if (!job)
		return;
	say("is started in the place of one that failed", job);
	start_watch();
	if (orte_plm.spawn(job) != ORTE_SUCCESS) {
		restart_decline(errmgr.restart, "mpirun cannot spawn it");
		ORTE_UPDATE_EXIT_STATUS(ORTE_ERROR_DEFAULT_EXIT_CODE);
		ORTE_ACTIVATE_JOB_STATE(NULL, ORTE_JOB_STATE_FORCED_EXIT);
	}
}

static void on_job_error(int fd, short args, void *cbdata)
{
	const orte_state_caddy_t *caddy = cbdata;

	if (caddy->jdata && caddy->jdata == errmgr.job && errmgr.previous &&
	    (caddy->job_state == ORTE_JOB_STATE_MAP_FAILED || caddy->job_state == ORTE_JOB_STATE_ALLOC_FAILED))
		restart_decline(errmgr.restart, "the nodes that are left have no room for it (spare nodes in the "
						"host file, or --oversubscribe, give it some)");
	errmgr.next.job_error(fd, args, cbdata);
}

/* ---- the module ---- */

static void state_wrap(orte_state_cbfunc_t *at, orte_state_cbfunc_t mine, orte_state_cbfunc_t *next)
{
	*next = *at;
	*at = mine;
}

static bool states_wrap(void)
{
	orte_state_t *state;

	OPAL_LIST_FOREACH(state, &orte_proc_states, orte_state_t)
	{
		if (state->proc_state == ORTE_PROC_STATE_ERROR)
			state_wrap(&state->cbfunc, on_proc_error, &errmgr.next.proc_error);
		else if (state->proc_state == ORTE_PROC_STATE_COMM_FAILED)
			state_wrap(&state->cbfunc, on_proc_error, &errmgr.next.comm_failed);
		else if (state->proc_state == ORTE_PROC_STATE_TERMINATED)
			state_wrap(&state->cbfunc, on_proc_terminated, &errmgr.next.proc_terminated);
	}
	OPAL_LIST_FOREACH(state, &orte_job_states, orte_state_t)
	{
		if (state->job_state == ORTE_JOB_STATE_INIT)
			state_wrap(&state->cbfunc, on_job_init, &errmgr.next.job_init);
		else if (state->job_state == ORTE_JOB_STATE_RUNNING)
			state_wrap(&state->cbfunc, on_job_running, &errmgr.next.job_running);
		else if (state->job_state == ORTE_JOB_STATE_REGISTERED)
			state_wrap(&state->cbfunc, on_job_registered, &errmgr.next.job_registered);
		else if (state->job_state == ORTE_JOB_STATE_TERMINATED)
			state_wrap(&state->cbfunc, on_job_terminated, &errmgr.next.job_terminated);
		else if (state->job_state == ORTE_JOB_STATE_ERROR)
			state_wrap(&state->cbfunc, on_job_error, &errmgr.next.job_error);
	}
	return errmgr.next.proc_error && errmgr.next.comm_failed && errmgr.next.proc_terminated &&
	       errmgr.next.job_init && errmgr.next.job_running && errmgr.next.job_registered &&
	       errmgr.next.job_terminated && errmgr.next.job_error;
}

static int module_init(void)
{
	struct error err;
	char **argv;
	int rc;

	rc = errmgr.stock->init();
	if (rc != ORTE_SUCCESS)
		return rc;
	argv = command_read("/proc/self/cmdline", NULL);
	rc = restart_open(&errmgr.settings.restart, argv, &errmgr.restart, &err);
	free(argv);
	if (rc) {
		fprintf(stderr, "holdfast: a failed job is not started again: %s\n", err.text);
		return ORTE_SUCCESS;
	}
	if (!states_wrap()) {
		fprintf(stderr, "holdfast: mpirun lacks a state that the launcher's component needs\n");
		return ORTE_ERR_NOT_SUPPORTED;
	}
	return ORTE_SUCCESS;
}

/* Timers must not outlive this component, which is unloaded before the events end. */
static int module_finalize(void)
{
	if (errmgr.ending)
		opal_event_evtimer_del(&errmgr.overdue);
	start_unwatch();
	restart_close(errmgr.restart);
	errmgr.restart = NULL;
	return errmgr.stock->finalize();
}

orte_errmgr_base_module_t *errmgr_module(orte_errmgr_base_module_t *stock, const struct errmgr_settings *settings)
{
	static orte_errmgr_base_module_t module = {.init = module_init, .finalize = module_finalize};

	errmgr.stock = stock;
	errmgr.settings = *settings;
	module.logfn = stock->logfn;
	module.abort = stock->abort;
	module.abort_peers = stock->abort_peers;
	return &module;
}
