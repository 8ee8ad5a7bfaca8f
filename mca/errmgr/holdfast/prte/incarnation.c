/* SPDX-License-Identifier: BSD-3-Clause */
/* incarnation.c - the job's incarnations: launched, under way, gone, and the next one. */
#include "launcher.h"

#include <stdio.h>
#include "common/clock.h"
#include "console.h"
#include "constants.h"
#include "job.h"
#include "src/mca/errmgr/errmgr.h"
#include "src/mca/plm/base/plm_private.h"
#include "src/mca/plm/plm.h"
#include "src/util/attr.h"
#include "src/util/name_fns.h"
#include "src/util/proc_info.h"

#define EXIT_LATE 1

static uint64_t began_ns; /* the first one */
static prte_event_t start_deadline;

/* ---- getting under way ---- */

/* It is killed, and started once more if that is still allowed. */
static void on_start_deadline(int fd, short events, void *arg)
{
	struct policy_failure failure;

	(void)fd;
	(void)events;
	(void)arg;
	if (launcher.left || launcher.ending || launcher_shutting_down() ||
	    !restart_is_late(launcher.restart, &failure))
		return;
	launcher.exit_code = EXIT_LATE;
	launcher.last = !restart_failed(launcher.restart, &failure);
	ending_begin();
}

static void start_watch(void)
{
	struct timeval limit = {.tv_sec = launcher.settings.restart.start_timeout_s};

	if (limit.tv_sec <= 0)
		return;
	prte_event_evtimer_set(prte_event_base, &start_deadline, on_start_deadline, NULL);
	prte_event_evtimer_add(&start_deadline, &limit);
}

static void start_unwatch(void)
{
	if (launcher.past && launcher.settings.restart.start_timeout_s > 0)
		prte_event_evtimer_del(&start_deadline);
}

/* ---- from one to the next ---- */

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
	began_ns = clock_monotonic_ns();
	restart_environment(launcher.restart, job_setenv, job);
	console_open(launcher.input_kept);
}

void incarnation_on_init(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (!launcher.left && !launcher_is_daemons(caddy->jdata->nspace)) {
		if (!launcher.job)
			job_first(caddy->jdata);
		else if (caddy->jdata != launcher.job)
			launcher.spawned = true;
	}
	launcher.next.job_init(fd, events, arg);
}

void incarnation_on_running(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (caddy->jdata == launcher.job && !launcher.ending) {
		restart_reached(launcher.restart, RESTART_RUNNING);
		if (launcher.past)
			console_enter(launcher.job);
	}
	launcher.next.job_running(fd, events, arg);
}

void incarnation_on_registered(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (caddy->jdata == launcher.job && !launcher.ending)
		restart_reached(launcher.restart, RESTART_REGISTERED);
	launcher.next.job_registered(fd, events, arg);
}

/* It could not be launched: no node is left for its ranks, say. PRRTE says why. */
void incarnation_on_failed(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (!launcher.left && !launcher_shutting_down() && launcher.past && caddy->jdata &&
	    caddy->jdata == launcher.job) {
		restart_decline(launcher.restart, "its ranks cannot be placed or started");
		launcher.left = true;
		if (!launcher.job->exit_code)
			launcher.job->exit_code = launcher.exit_code;
	}
	launcher.next.job_failed(fd, events, arg);
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
	job_shorten(job, (int)((clock_monotonic_ns() - began_ns) / 1000000000u));
	restart_environment(launcher.restart, job_setenv, job);
	return job;
}

static void gone_tell(const prte_job_t *job)
{
	prte_proc_t *proc;
	unsigned gone = 0;

	if (!launcher.settings.restart.policy.verbose)
		return;
	for (int i = 0; i < job->procs->size; i++) {
		proc = pmix_pointer_array_get_item(job->procs, i);
		gone += proc && PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_RECORDED);
	}
	fprintf(stderr, "holdfast: launcher: job %s has ended: %u of %u processes are gone\n", job->nspace, gone,
		job->num_procs);
}

/* All processes are gone. The new job must be known before PRRTE sees that of the old one: else it ends. */
static void job_replace(int fd, short events, prte_state_caddy_t *caddy)
{
	prte_job_t *old = launcher.job, *next = NULL;

	ending_done();
	start_unwatch();
	console_leave(old);
	gone_tell(old);
	if (!launcher.last)
		next = job_next();
	if (!next) {
		launcher.left = true;
		old->exit_code = launcher.exit_code ? launcher.exit_code : PRTE_ERROR_DEFAULT_EXIT_CODE;
		old->state = PRTE_JOB_STATE_ABORTED;
		launcher.next.job_gone(fd, events, caddy);
		return;
	}
	PMIX_RETAIN(next);
	launcher.job = next;
	old->exit_code = 0;
	old->state = PRTE_JOB_STATE_RUNNING;
	prte_exit_status = 0;
	launcher.next.job_gone(fd, events, caddy);
	PMIX_RELEASE(old);
	start_watch();
	if (prte_plm.spawn(next)) {
		PRTE_ACTIVATE_JOB_STATE(next, PRTE_JOB_STATE_NEVER_LAUNCHED);
	}
}

void incarnation_on_gone(int fd, short events, void *arg)
{
	prte_state_caddy_t *caddy = arg;

	if (caddy->jdata && launcher_is_past(caddy->jdata->nspace)) {
		PMIX_RELEASE(caddy); /* PRRTE may say it twice */
		return;
	}
	if (caddy->jdata && caddy->jdata == launcher.job && launcher.ending && !launcher.left &&
	    !launcher_shutting_down())
		job_replace(fd, events, caddy);
	else
		launcher.next.job_gone(fd, events, arg);
}

void incarnation_close(void)
{
	start_unwatch();
}
