/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * errmgr_holdfast_prte.c - the component for PRRTE 3.0, which Open MPI 5.0's mpirun is: starts a failed job again
 * inside the same mpirun. It takes the place of PRRTE's own error manager for that one process, and passes on to
 * it all that it does not handle. It is inert unless errmgr_holdfast_enable is on: PMIx loads it into every
 * program of PRRTE's that finds it.
 *
 * PRRTE's inside has no stable ABI: on any version but 3.0.x the component declines.
 */
#include "prte_config.h"

#include <stdio.h>
#include "constants.h"
#include "launch/version.h"
#include "launcher.h"
#include "src/mca/base/pmix_base.h"
#include "src/mca/errmgr/base/base.h"
#include "src/mca/errmgr/errmgr.h"
#include "src/runtime/prte_globals.h"
#include "src/runtime/runtime.h"
#include "src/util/proc_info.h"

#define PRIORITY 2000 /* PRRTE's has 1000 */
#define SERIES   "3.0."

extern prte_errmgr_base_component_t prte_mca_errmgr_dvm_component; /* PRRTE's own, of mpirun */

static bool enable, exclude_failed_nodes, verbose;
static int max_restarts, window, start_timeout;
static size_t stdin_max;
static char *final_codes;

static prte_errmgr_base_module_t *stock;
static int holdfast_init(void);
static int holdfast_finalize(void);
static prte_errmgr_base_module_t module = {.init = holdfast_init, .finalize = holdfast_finalize};

static int holdfast_register(void);
static int holdfast_query(pmix_mca_base_module_t **out, int *priority);

prte_errmgr_base_component_t prte_mca_errmgr_holdfast_component = {
	.base_version = {
		PMIX_MCA_BASE_VERSION_2_1_0("prte", PRTE_MAJOR_VERSION, PRTE_MINOR_VERSION,
					    PRTE_RELEASE_VERSION, "errmgr", 3, 0, 0),
		.pmix_mca_component_name = "holdfast",
		PMIX_MCA_BASE_MAKE_VERSION(component, PRTE_MAJOR_VERSION, PRTE_MINOR_VERSION,
					   PRTE_RELEASE_VERSION),
		.pmix_mca_query_component = holdfast_query,
		.pmix_mca_register_component_params = holdfast_register,
	},
};

/* PMIx, which loads the file, looks for its own project's name. */
extern prte_errmgr_base_component_t pmix_mca_errmgr_holdfast_component
	__attribute__((alias("prte_mca_errmgr_holdfast_component")));

static void variable(const char *name, const char *help, pmix_mca_base_var_type_t type, void *value)
{
	pmix_mca_base_component_var_register(&prte_mca_errmgr_holdfast_component.base_version, name, help, type,
					     value);
}

static int holdfast_register(void)
{
	enable = false;
	variable("enable", "start a failed job again inside the same mpirun (default: no)",
		 PMIX_MCA_BASE_VAR_TYPE_BOOL, &enable);
	max_restarts = 5;
	variable("max_restarts", "how often at most, within `window` (default: 5)", PMIX_MCA_BASE_VAR_TYPE_INT,
		 &max_restarts);
	window = 3600;
	variable("window", "seconds that `max_restarts` counts over; 0: the whole run (default: 3600)",
		 PMIX_MCA_BASE_VAR_TYPE_INT, &window);
	start_timeout = RESTART_START_S;
	variable("start_timeout",
		 "seconds that a job which is started again has to get under way; then it is killed and started once "
		 "more; 0: as long as it takes (default: 120)",
		 PMIX_MCA_BASE_VAR_TYPE_INT, &start_timeout);
	exclude_failed_nodes = false;
	variable("exclude_failed_nodes",
		 "place no rank of a later incarnation on a node where one failed, as long as another node is left "
		 "(default: no; lost nodes are never used again)",
		 PMIX_MCA_BASE_VAR_TYPE_BOOL, &exclude_failed_nodes);
	stdin_max = (size_t)64 << 20;
	variable("stdin_max",
		 "bytes of standard input that are kept in order to be given again; a job that read more is not "
		 "started again; 0: none is kept, none is given again (default: 67108864)",
		 PMIX_MCA_BASE_VAR_TYPE_SIZE_T, &stdin_max);
	final_codes = "70,75,78";
	variable("final_codes",
		 "exit codes after which there is no restart (default: 70,75,78: given up, resubmit, configuration)",
		 PMIX_MCA_BASE_VAR_TYPE_STRING, &final_codes);
	verbose = false;
	variable("verbose", "say more on standard error (default: no)", PMIX_MCA_BASE_VAR_TYPE_BOOL, &verbose);
	return PRTE_SUCCESS;
}

static int holdfast_query(pmix_mca_base_module_t **out, int *priority)
{
	pmix_mca_base_module_t *theirs = NULL;

	*out = NULL;
	*priority = -1;
	if (!enable || !PRTE_PROC_IS_MASTER || prte_persistent ||
	    !version_is_known("PRRTE", prte_version_string, SERIES))
		return PRTE_ERROR;
	if (prte_mca_errmgr_dvm_component.base_version.pmix_mca_query_component(&theirs, priority) || !theirs)
		return PRTE_ERROR;
	stock = (prte_errmgr_base_module_t *)theirs;
	module.logfn = stock->logfn;
	*out = (pmix_mca_base_module_t *)&module;
	*priority = PRIORITY;
	return PRTE_SUCCESS;
}

static int holdfast_init(void)
{
	const struct launcher_settings settings = {
		.restart = {
			.policy = {
				.max_restarts = max_restarts,
				.window_s = window,
				.final_codes = final_codes,
				.verbose = verbose,
			},
			.stdin_max_bytes = stdin_max,
			.start_timeout_s = start_timeout,
		},
		.exclude_failed_nodes = exclude_failed_nodes,
	};
	struct error err;
	int rc = stock->init();

	if (rc)
		return rc;
	if (launcher_open(&settings, &err))
		fprintf(stderr, "holdfast: failed jobs are not started again: %s\n", err.text);
	return PRTE_SUCCESS;
}

static int holdfast_finalize(void)
{
	launcher_close();
	return stock->finalize();
}
