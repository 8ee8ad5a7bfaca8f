/* SPDX-License-Identifier: BSD-3-Clause */
/* errmgr_holdfast_component.c - the component's variables, and when it steps aside. */
#include "errmgr_holdfast.h"

#include <dlfcn.h>
#include <string.h>

#include "opal/mca/base/mca_base_component_repository.h"
#include "orte/runtime/runtime.h"
#include "orte/util/proc_info.h"
#include "launch/version.h"

#define PRIORITY   2000 /* default_hnp has 1000 */
#define SERIES   "4.1."

static bool enable;
static int max_restarts, window_s, start_timeout_s, end_timeout_s, stdin_max_mib;
static bool exclude_failed_nodes, verbose;
static char *final_codes;

static void variable(const char *name, const char *help, mca_base_var_type_t type, void *storage)
{
	mca_base_component_var_register(&mca_errmgr_holdfast_component.base_version, name, help, type, NULL, 0, 0,
					OPAL_INFO_LVL_3, MCA_BASE_VAR_SCOPE_READONLY, storage);
}

static int component_register(void)
{
	enable = false;
	variable("enable", "start a failed job again inside the same mpirun (default: no)",
		 MCA_BASE_VAR_TYPE_BOOL, &enable);
	max_restarts = 5;
	variable("max_restarts", "restarts within the window, after which a failure is final (default: 5)",
		 MCA_BASE_VAR_TYPE_INT, &max_restarts);
	window_s = 3600;
	variable("window", "seconds in which restarts are counted; 0: the whole run (default: 3600)",
		 MCA_BASE_VAR_TYPE_INT, &window_s);
	start_timeout_s = RESTART_START_S;
	variable("start_timeout",
		 "seconds that a job which is started again has to get under way; then it is killed and started once "
		 "more; 0: as long as it takes (default: 120)",
		 MCA_BASE_VAR_TYPE_INT, &start_timeout_s);
	end_timeout_s = 60;
	variable("end_timeout",
		 "seconds that what is left of a failed job has to end; then mpirun gives up, and ends with an error "
		 "(default: 60)",
		 MCA_BASE_VAR_TYPE_INT, &end_timeout_s);
	exclude_failed_nodes = false;
	variable("exclude_failed_nodes",
		 "do not use a node again on which a rank failed, where the others have slots enough; a node "
		 "that was lost is never used again (default: no)",
		 MCA_BASE_VAR_TYPE_BOOL, &exclude_failed_nodes);
	stdin_max_mib = 64;
	variable("stdin_max",
		 "MiB of standard input that are kept, so that a restarted job reads the same again; a longer "
		 "one cannot be restarted; 0: none is kept, and a restarted job reads what is left (default: 64)",
		 MCA_BASE_VAR_TYPE_INT, &stdin_max_mib);
	final_codes = "70,75,78";
	variable("final_codes",
		 "exit codes of a rank after which the job is not started again (default: 70,75,78: crash loop, "
		 "left after a checkpoint, wrong configuration)",
		 MCA_BASE_VAR_TYPE_STRING, &final_codes);
	verbose = false;
	variable("verbose", "say what is done at each step (default: no)", MCA_BASE_VAR_TYPE_BOOL, &verbose);
	return ORTE_SUCCESS;
}

/* Selection unloads the components that lose, and the stock module is one of them. */
static bool pin(const void *module)
{
	Dl_info info;

	return dladdr(module, &info) && dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

static orte_errmgr_base_module_t *stock_module(void)
{
	mca_base_component_list_item_t *item;
	mca_base_module_t *module;
	int priority;

	OPAL_LIST_FOREACH(item, &orte_errmgr_base_framework.framework_components, mca_base_component_list_item_t)
	{
		const mca_base_component_t *component = item->cli_component;

		if (!strcmp(component->mca_component_name, "default_hnp") &&
		    component->mca_query_component(&module, &priority) == ORTE_SUCCESS && pin(module))
			return (orte_errmgr_base_module_t *)module;
	}
	return NULL;
}

static int component_query(mca_base_module_t **module, int *priority)
{
	struct errmgr_settings settings = {
		.exclude_failed_nodes = exclude_failed_nodes,
		.end_timeout_s = end_timeout_s > 0 ? end_timeout_s : 1,
		.restart = {
			.policy = {max_restarts, window_s, final_codes, verbose},
			.stdin_max_bytes = stdin_max_mib > 0 ? (uint64_t)stdin_max_mib << 20 : 0,
			.start_timeout_s = start_timeout_s,
		},
	};
	orte_errmgr_base_module_t *stock;

	*module = NULL;
	*priority = -1;
	if (!enable || !ORTE_PROC_IS_HNP || ORTE_PROC_IS_MASTER || !version_is_known("ORTE", orte_version_string, SERIES))
		return ORTE_ERROR;
	stock = stock_module();
	if (!stock)
		return ORTE_ERROR;
	*module = (mca_base_module_t *)errmgr_module(stock, &settings);
	*priority = PRIORITY;
	return *module ? ORTE_SUCCESS : ORTE_ERROR;
}

static int component_open(void)
{
	return ORTE_SUCCESS;
}

orte_errmgr_base_component_t mca_errmgr_holdfast_component = {
	.base_version = {
		ORTE_ERRMGR_BASE_VERSION_3_0_0,
		.mca_component_name = "holdfast",
		MCA_BASE_MAKE_VERSION(component, ORTE_MAJOR_VERSION, ORTE_MINOR_VERSION, ORTE_RELEASE_VERSION),
		.mca_open_component = component_open,
		.mca_close_component = component_open,
		.mca_query_component = component_query,
		.mca_register_component_params = component_register,
	},
	.base_data = {.param_field = MCA_BASE_METADATA_PARAM_CHECKPOINT},
};
