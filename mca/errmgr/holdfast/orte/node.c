/* SPDX-License-Identifier: BSD-3-Clause */
/* node.c - nodes that are gone, or that are not to be used again. */
#include "errmgr_holdfast.h"

#include <stdio.h>
#include <stdlib.h>

#include "orte/mca/rml/rml.h"
#include "orte/mca/routed/routed.h"
#include "orte/util/name_fns.h"

/* Daemons that are gone; they never come back. */
static struct {
	orte_vpid_t *vpids;
	unsigned count;
	void (*update_routing_plan)(char *module); /* the stock one */
} lost;

bool node_is_lost(orte_vpid_t daemon)
{
	for (unsigned i = 0; i < lost.count; i++) {
		if (lost.vpids[i] == daemon)
			return true;
	}
	return false;
}

/* Each new plan takes all daemons for alive, and a relay to a dead one would end mpirun. */
static void update_routing_plan(char *module)
{
	orte_process_name_t name = {.jobid = ORTE_PROC_MY_NAME->jobid};

	lost.update_routing_plan(module);
	for (unsigned i = 0; i < lost.count; i++) {
		name.vpid = lost.vpids[i];
		orte_routed.route_lost(module, &name);
	}
}

bool node_lost(orte_proc_t *daemon)
{
	orte_vpid_t *vpids;

	if (node_is_lost(daemon->name.vpid))
		return false;
	vpids = realloc(lost.vpids, (lost.count + 1) * sizeof(*vpids));
	if (!vpids)
		return false;
	lost.vpids = vpids;
	lost.vpids[lost.count++] = daemon->name.vpid;
	if (!lost.update_routing_plan) {
		lost.update_routing_plan = orte_routed.update_routing_plan;
		orte_routed.update_routing_plan = update_routing_plan;
	}
	ORTE_FLAG_UNSET(daemon, ORTE_PROC_FLAG_ALIVE);
	daemon->state = ORTE_PROC_STATE_COMM_FAILED;
	if (daemon->node)
		daemon->node->state = ORTE_NODE_STATE_DOWN;
	orte_routed.route_lost(orte_rml.get_routed(orte_mgmt_conduit), &daemon->name);
	return true;
}

void node_end_ranks(orte_job_t *job, const orte_node_t *node)
{
	for (int i = 0; i < job->procs->size; i++) {
		orte_proc_t *rank = opal_pointer_array_get_item(job->procs, i);

		if (!rank || rank->node != node || ORTE_FLAG_TEST(rank, ORTE_PROC_FLAG_RECORDED))
			continue;
		rank->state = ORTE_PROC_STATE_KILLED_BY_CMD;
		ORTE_ACTIVATE_PROC_STATE(&rank->name, ORTE_PROC_STATE_WAITPID_FIRED);
		ORTE_ACTIVATE_PROC_STATE(&rank->name, ORTE_PROC_STATE_IOF_COMPLETE);
	}
}

static bool node_is_usable(const orte_node_t *node)
{
	if (node->state == ORTE_NODE_STATE_DOWN || node->state == ORTE_NODE_STATE_NOT_INCLUDED || !node->daemon)
		return false;
	return orte_hnp_is_allocated || node->daemon->name.vpid != ORTE_PROC_MY_NAME->vpid;
}

void node_exclude(const orte_job_t *job, orte_node_t *node)
{
	int slots = 0;

	for (int i = 0; i < orte_node_pool->size; i++) {
		orte_node_t *other = opal_pointer_array_get_item(orte_node_pool, i);

		if (other && other != node && node_is_usable(other))
			slots += other->slots;
	}
	if (slots >= (int)job->num_procs)
		node->state = ORTE_NODE_STATE_DOWN;
	else
		fprintf(stderr,
			"holdfast: node %s is used again although a rank failed there: the others have %d slots for "
			"%u ranks\n",
			node->name, slots, job->num_procs);
}
