/* SPDX-License-Identifier: BSD-3-Clause */
/* job.c - copies of PRRTE's job object. prte_app_copy() of 3.0 takes attributes for values: it is not used. */
#include "job.h"

#include <string.h>
#include "src/mca/rmaps/rmaps_types.h"
#include "src/pmix/pmix-internal.h"
#include "src/util/attr.h"

static prte_attribute_t *attribute_copy(const prte_attribute_t *from)
{
	prte_attribute_t *to = PMIX_NEW(prte_attribute_t);

	if (!to)
		return NULL;
	to->key = from->key;
	to->local = from->local;
	PMIx_Value_xfer(&to->data, &from->data);
	return to;
}

/* What PRRTE keeps by pointer belongs to the old job, but for the infos that it was asked for (infos_copy). */
static bool attributes_copy(pmix_list_t *to, pmix_list_t *from)
{
	prte_attribute_t *attribute, *copy;

	PMIX_LIST_FOREACH(attribute, from, prte_attribute_t) {
		if (attribute->data.type == PMIX_POINTER)
			continue;
		copy = attribute_copy(attribute);
		if (!copy)
			return false;
		pmix_list_append(to, &copy->super);
	}
	return true;
}

static bool infos_copy(prte_job_t *to, prte_job_t *from)
{
	pmix_list_t *cache = NULL, *copy;
	prte_info_item_t *item, *other;

	if (!prte_get_attribute(&from->attributes, PRTE_JOB_INFO_CACHE, (void **)&cache, PMIX_POINTER) || !cache)
		return true;
	copy = PMIX_NEW(pmix_list_t);
	if (!copy)
		return false;
	PMIX_LIST_FOREACH(item, cache, prte_info_item_t) {
		other = PMIX_NEW(prte_info_item_t);
		if (!other)
			return false;
		PMIx_Info_xfer(&other->info, &item->info);
		pmix_list_append(copy, &other->super);
	}
	return !prte_set_attribute(&to->attributes, PRTE_JOB_INFO_CACHE, PRTE_ATTR_LOCAL, copy, PMIX_POINTER);
}

static prte_app_context_t *app_copy(prte_app_context_t *from)
{
	prte_app_context_t *to = PMIX_NEW(prte_app_context_t);

	if (!to)
		return NULL;
	to->idx = from->idx;
	to->app = from->app ? strdup(from->app) : NULL;
	to->num_procs = from->num_procs;
	to->flags = from->flags;
	to->argv = PMIx_Argv_copy(from->argv);
	to->env = PMIx_Argv_copy(from->env);
	to->cwd = from->cwd ? strdup(from->cwd) : NULL;
	if (!attributes_copy(&to->attributes, &from->attributes)) {
		PMIX_RELEASE(to);
		return NULL;
	}
	return to;
}

static bool apps_copy(prte_job_t *to, prte_job_t *from)
{
	prte_app_context_t *app, *copy;

	for (int i = 0; i < from->apps->size; i++) {
		app = pmix_pointer_array_get_item(from->apps, i);
		if (!app)
			continue;
		copy = app_copy(app);
		if (!copy)
			return false;
		copy->job = (struct prte_job_t *)to;
		pmix_pointer_array_set_item(to->apps, i, copy);
		to->num_apps++;
	}
	return true;
}

/* What the user asked of the mapper; the nodes are another matter. */
static bool map_copy(prte_job_t *to, const prte_job_t *from)
{
	if (!from->map)
		return true;
	to->map = PMIX_NEW(prte_job_map_t);
	if (!to->map)
		return false;
	to->map->req_mapper = from->map->req_mapper ? strdup(from->map->req_mapper) : NULL;
	to->map->mapping = from->map->mapping;
	to->map->ranking = from->map->ranking;
	to->map->binding = from->map->binding;
	to->map->rtos_set = from->map->rtos_set;
	return true;
}

prte_job_t *job_copy(prte_job_t *from)
{
	prte_job_t *to = PMIX_NEW(prte_job_t);

	if (!to)
		return NULL;
	to->personality = PMIx_Argv_copy(from->personality);
	to->schizo = from->schizo;
	to->stdin_target = from->stdin_target;
	to->originator = from->originator;
	to->flags = from->flags;
	memcpy(to->launcher, from->launcher, sizeof(to->launcher));
	if (!attributes_copy(&to->attributes, &from->attributes) || !infos_copy(to, from) ||
	    !apps_copy(to, from) || !map_copy(to, from)) {
		PMIX_RELEASE(to);
		return NULL;
	}
	return to;
}

void job_setenv(void *arg, const char *name, const char *value)
{
	prte_job_t *job = arg;
	prte_app_context_t *app;

	for (int i = 0; i < job->apps->size; i++) {
		app = pmix_pointer_array_get_item(job->apps, i);
		if (app)
			PMIx_Setenv(name, value, true, &app->env);
	}
}

void job_shorten(prte_job_t *job, int seconds)
{
	int limit = 0, *at = &limit;

	if (!prte_get_attribute(&job->attributes, PRTE_JOB_TIMEOUT, (void **)&at, PMIX_INT))
		return;
	limit = limit > seconds ? limit - seconds : 1;
	prte_set_attribute(&job->attributes, PRTE_JOB_TIMEOUT, PRTE_ATTR_GLOBAL, &limit, PMIX_INT);
}
