/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errmgr_holdfast.h - the component that starts a failed job again inside the same mpirun (Open MPI 4.1, ORTE).
 *
 * It stands before the stock component (default_hnp), whose module it wraps, and puts its own functions before
 * the stock ones in ORTE's tables of states. The first failure of a rank ends the job; once that is terminated, a
 * copy of it is spawned in its place, before the stock function for the terminated one can conclude that nothing
 * is left to do. docs/launcher.md tells what of ORTE this relies on.
 *
 * Everything here runs in the one thread of ORTE's events.
 */
#ifndef HOLDFAST_ERRMGR_ORTE_H
#define HOLDFAST_ERRMGR_ORTE_H

#include "orte_config.h"

#include <stdbool.h>

#include "orte/mca/errmgr/base/base.h"
#include "orte/mca/errmgr/errmgr.h"
#include "orte/mca/state/state.h"
#include "orte/runtime/orte_globals.h"

#include "launch/restart.h"

struct errmgr_settings {
	bool exclude_failed_nodes;
	int end_timeout_s; /* for what is left of a job that failed */
	struct restart_settings restart;
};

extern orte_errmgr_base_component_t mca_errmgr_holdfast_component;

/* module.c: takes the stock module's place; `stock` stays. NULL where there is no memory. */
orte_errmgr_base_module_t *errmgr_module(orte_errmgr_base_module_t *stock,
					 const struct errmgr_settings *settings);

/* ---- job.c: the job's next incarnation ---- */

/* The application contexts as they were before anything was done with them. */
struct job_template {
	orte_app_context_t **apps;
	int count;
};

int job_template_take(struct job_template *template, orte_job_t *job);

/* Gives the ranks that are to be started their environment. */
void job_environment(orte_job_t *job, const struct restart *restart);

/* A new job like `old`, registered, not spawned; NULL: it cannot be made. */
orte_job_t *job_again(const struct job_template *template, orte_job_t *old);

/* ---- node.c: nodes that are lost ---- */

/* The daemon, or the way to it, is gone: its node is not used any more. False: that was known. */
bool node_lost(orte_proc_t *daemon);

bool node_is_lost(orte_vpid_t daemon);

/* Counts the ranks of `job` on that node as ended, which nobody will report. */
void node_end_ranks(orte_job_t *job, const orte_node_t *node);

/* Takes a node on which a rank failed out of use, where the others have slots enough for the job. */
void node_exclude(const orte_job_t *job, orte_node_t *node);

/* ---- stdin.c ---- */

/* Ends the reading for the job that failed; the next one's launch begins it anew. Before the job is ended. False:
 * it cannot be done, and the next job would wait for its input for ever. */
bool stdin_take_back(void);

#endif
