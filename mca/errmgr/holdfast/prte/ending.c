/* SPDX-License-Identifier: BSD-3-Clause */
/* ending.c - an incarnation that has failed ends, in bounded time. */
#include "launcher.h"

#include <stdio.h>
#include "src/mca/plm/plm.h"

#define ENDING_S 60 /* PRRTE kills within one */

static prte_event_t deadline;

static void proc_bury(prte_proc_t *proc)
{
	if (PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_RECORDED))
		return;
	PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_WAITPID_FIRED);
	PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_IOF_COMPLETE);
}

void ending_bury(const prte_node_t *node)
{
	prte_proc_t *proc;

	for (int i = 0; launcher.job && i < launcher.job->procs->size; i++) {
		proc = pmix_pointer_array_get_item(launcher.job->procs, i);
		if (proc && (!node || proc->node == node))
			proc_bury(proc);
	}
}

void ending_proc(prte_proc_t *proc, prte_proc_state_t state)
{
	if (proc->state < PRTE_PROC_STATE_TERMINATED)
		proc->state = state;
	if (PRTE_FLAG_TEST(proc, PRTE_PROC_FLAG_LOCAL)) {
		PRTE_ACTIVATE_PROC_STATE(&proc->name, PRTE_PROC_STATE_WAITPID_FIRED);
	} else {
		proc_bury(proc);
	}
}

static void on_deadline(int fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	(void)arg;
	fprintf(stderr, "holdfast: processes of the failed job are not reported dead after %d s; they are given up\n",
		ENDING_S);
	ending_bury(NULL);
}

void ending_begin(void)
{
	struct timeval limit = {.tv_sec = ENDING_S};
	pmix_pointer_array_t procs;
	prte_proc_t all;

	launcher.ending = true;
	failure_explained();
	PMIX_CONSTRUCT(&procs, pmix_pointer_array_t);
	pmix_pointer_array_init(&procs, 1, 1, 1);
	PMIX_CONSTRUCT(&all, prte_proc_t);
	PMIX_LOAD_PROCID(&all.name, launcher.job->nspace, PMIX_RANK_WILDCARD);
	pmix_pointer_array_add(&procs, &all);
	prte_plm.terminate_procs(&procs);
	PMIX_DESTRUCT(&procs);
	PMIX_DESTRUCT(&all);
	prte_event_evtimer_set(prte_event_base, &deadline, on_deadline, NULL);
	prte_event_evtimer_add(&deadline, &limit);
}

void ending_done(void)
{
	prte_event_evtimer_del(&deadline);
	launcher.ending = false;
}
