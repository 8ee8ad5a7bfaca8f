/* SPDX-License-Identifier: BSD-3-Clause */
/* stdin.c - mpirun's reading of its standard input, which ORTE sets up once and for the first job only. */
#include "errmgr_holdfast.h"

#include <dlfcn.h>

#include "orte/mca/iof/base/base.h"
#include "orte/mca/iof/iof.h"

/* The component iof/hnp as it is in 4.1.x; its header is not installed. */
struct iof_hnp_component {
	orte_iof_base_component_t super;
	opal_list_t procs;
	orte_iof_read_event_t *stdinev;
	opal_event_t stdinsig;
};

static struct iof_hnp_component *component_find(void)
{
	struct iof_hnp_component *component = NULL;
	void *library;
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)orte_iof.push, &info))
		return NULL;
	library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
	if (library) {
		component = dlsym(library, "mca_iof_hnp_component");
		dlclose(library); /* mpirun has it open */
	}
	return component;
}

bool stdin_take_back(void)
{
	struct iof_hnp_component *component = component_find();

	if (!component)
		return false;
	/* The event itself is left alone: its end would close descriptor 0. */
	if (component->stdinev)
		opal_event_del(component->stdinev->ev);
	component->stdinev = NULL;
	return true;
}
