/* SPDX-License-Identifier: BSD-3-Clause */
/* node.c - nodes that are gone, or that are not to be used again. */
#include "launcher.h"

#include <stdio.h>
#include "src/mca/errmgr/errmgr.h"
#include "src/rml/rml.h"
#include "src/util/proc_info.h"

#define EXIT_NODE_LOST 1 /* PRRTE's own would be 0 */

static bool node_usable(const prte_node_t *node)
{
	return node->daemon && node->state != PRTE_NODE_STATE_DOWN && node->state != PRTE_NODE_STATE_NOT_INCLUDED;
}

void node_exclude(prte_node_t *failed)
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

/* PRRTE forgets the daemon, as far as it can without ending the job. */
static void daemon_forget(prte_proc_t *daemon)
{
	PRTE_FLAG_UNSET(daemon, PRTE_PROC_FLAG_ALIVE);
	daemon->state = PRTE_PROC_STATE_COMM_FAILED;
	daemon->node->state = PRTE_NODE_STATE_DOWN;
	prte_rml_route_lost(daemon->name.rank);
	prte_process_info.num_daemons--;
}

bool node_lost(const pmix_proc_t *name)
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
		ending_bury(daemon->node);
		if (!launcher.ending)
			ending_begin();
	} else {
		fprintf(stderr, "holdfast: node %s was lost; no rank ran there\n", daemon->node->name);
	}
	return true;
}
