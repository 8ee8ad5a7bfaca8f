/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hook_holdfast_component.c - the Open MPI component (4.1 and 5.0): attaches MPI_COMM_WORLD at the end of
 * MPI_Init and detaches it at the beginning of MPI_Finalize. It does nothing unless
 * hook_holdfast_enable is on; what it does is libholdfast's (ckpt/plugin.h).
 *
 * Messages are not opal_show_help()'s: that finds its texts only where Open MPI itself is installed, and
 * prints an apology in place of a cause elsewhere.
 */
#include "ompi_config.h"

#include <stdbool.h>
#include <stdio.h>

#include "ompi/constants.h"
#include "ompi/mca/hook/base/base.h"
#include "ompi/mca/hook/hook.h"

#include "ckpt/plugin.h"

#define OPTIONS_MAX 64

extern const ompi_hook_base_component_1_0_0_t mca_hook_holdfast_component;

static bool enable;
static char *values[OPTIONS_MAX]; /* Open MPI's; NULL: not set */

static int holdfast_register(void)
{
	const mca_base_component_t *component = &mca_hook_holdfast_component.hookm_version;
	const struct option_text *option;
	char help[512];

	enable = false;
	mca_base_component_var_register(component, "enable",
					"protect the job: attach it in MPI_Init (default: no)",
					MCA_BASE_VAR_TYPE_BOOL, NULL, 0, 0, OPAL_INFO_LVL_2,
					MCA_BASE_VAR_SCOPE_READONLY, &enable);
	for (size_t i = 0; i < OPTIONS_MAX && (option = hf_option_at(i)); i++) {
		snprintf(help, sizeof(help), "%s (default: %s)", option->help,
			 *option->fallback ? option->fallback : "none");
		/* Without a default of its own: what is not set here is the environment's and the files'. */
		values[i] = NULL;
		mca_base_component_var_register(component, option->name, help,
						MCA_BASE_VAR_TYPE_STRING, NULL, 0, 0, OPAL_INFO_LVL_3,
						MCA_BASE_VAR_SCOPE_READONLY, &values[i]);
	}
	if (enable)
		hf_plugin_prepare();
	return OMPI_SUCCESS;
}

/* Who asked for protection must not run without. One message a job; all ranks come here together. */
static void attach_failed(int code)
{
	int rank = 0;

	PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank == 0)
		fprintf(stderr,
			"holdfast: MPI_Init: the job cannot be protected, and is ended: %s: %s\n"
			"holdfast: hook_holdfast_enable=0 runs it without checkpoints\n",
			hf_strerror(code), hf_message(NULL));
	hf_plugin_abort(code);
}

static void holdfast_init_bottom(int argc, char **argv, int requested, int *provided)
{
	const struct option_text *option;
	int code;

	(void)argc;
	(void)argv;
	(void)requested;
	(void)provided;
	if (!enable)
		return;
	for (size_t i = 0; i < OPTIONS_MAX && (option = hf_option_at(i)); i++)
		hf_option_override(option->name, values[i]);
	code = hf_plugin_attach();
	if (code)
		attach_failed(code);
}

static void holdfast_finalize_top(void)
{
	if (enable)
		hf_plugin_detach();
}

const ompi_hook_base_component_1_0_0_t mca_hook_holdfast_component = {
	.hookm_version = {
		OMPI_HOOK_BASE_VERSION_1_0_0,
		.mca_component_name = "holdfast",
		MCA_BASE_MAKE_VERSION(component, OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
				      OMPI_RELEASE_VERSION),
		.mca_register_component_params = holdfast_register,
	},
	.hookm_data = {.param_field = MCA_BASE_METADATA_PARAM_CHECKPOINT},
	.hookm_mpi_init_bottom = holdfast_init_bottom,
	.hookm_mpi_finalize_top = holdfast_finalize_top,
};

/* Open MPI's main branch looks for this name. */
#ifdef MCA_BASE_COMPONENT_INIT
MCA_BASE_COMPONENT_INIT(ompi, hook, holdfast)
#endif
