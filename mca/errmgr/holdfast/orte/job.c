/* SPDX-License-Identifier: BSD-3-Clause */
/* job.c - a job that is to be started again: what of it is kept, and what begins anew. */
#include "errmgr_holdfast.h"

#include <stdlib.h>
#include <string.h>

#include "opal/dss/dss.h"
#include "opal/util/argv.h"
#include "opal/util/opal_environ.h"
#include "orte/mca/plm/base/plm_private.h"
#include "orte/mca/rmaps/rmaps_types.h"
#include "orte/util/attr.h"

/* orte_dt_copy_app_context() copies attributes wrongly; one by one they come out right. */
static int attributes_copy(opal_list_t *to, opal_list_t *from, bool (*wanted)(const orte_attribute_t *attribute))
{
	orte_attribute_t *attribute, *copy;

	OPAL_LIST_FOREACH(attribute, from, orte_attribute_t)
	{
		if (wanted && !wanted(attribute))
			continue;
		if (opal_dss.copy((void **)&copy, attribute, ORTE_ATTRIBUTE) != OPAL_SUCCESS)
			return ORTE_ERR_OUT_OF_RESOURCE;
		opal_list_append(to, &copy->super);
	}
	return ORTE_SUCCESS;
}

static orte_app_context_t *app_copy(orte_app_context_t *from)
{
	orte_app_context_t *to = OBJ_NEW(orte_app_context_t);

	to->idx = from->idx;
	to->app = strdup(from->app);
	to->num_procs = from->num_procs;
	to->argv = opal_argv_copy(from->argv);
	to->env = opal_argv_copy(from->env);
	to->cwd = from->cwd ? strdup(from->cwd) : NULL;
	if (attributes_copy(&to->attributes, &from->attributes, NULL) == ORTE_SUCCESS)
		return to;
	OBJ_RELEASE(to);
	return NULL;
}

int job_template_take(struct job_template *template, orte_job_t *job)
{
	template->apps = calloc((size_t)job->apps->size, sizeof(*template->apps));
	if (!template->apps)
		return ORTE_ERR_OUT_OF_RESOURCE;
	for (int i = 0; i < job->apps->size; i++) {
		orte_app_context_t *app = opal_pointer_array_get_item(job->apps, i);

		if (!app)
			continue;
		template->apps[template->count] = app_copy(app);
		if (!template->apps[template->count])
			return ORTE_ERR_OUT_OF_RESOURCE;
		template->count++;
	}
	return ORTE_SUCCESS;
}

static void variable_set(void *arg, const char *name, const char *value)
{
	orte_job_t *job = arg;

	for (int i = 0; i < job->apps->size; i++) {
		orte_app_context_t *app = opal_pointer_array_get_item(job->apps, i);

		if (app)
			opal_setenv(name, value, true, &app->env);
	}
}

void job_environment(orte_job_t *job, const struct restart *restart)
{
	restart_environment(restart, variable_set, job);
}

/* Not what belongs to the incarnation that ended: its pointers least of all. */
static bool attribute_stays(const orte_attribute_t *attribute)
{
	switch (attribute->key) {
	case ORTE_JOB_ABORTED_PROC:
	case ORTE_JOB_NUM_NONZERO_EXIT:
	case ORTE_JOB_TRANSPORT_KEY:
	case ORTE_JOB_LAUNCH_MSG_SENT:
	case ORTE_JOB_LAUNCH_MSG_RECVD:
		return false;
	default:
		return attribute->type != OPAL_PTR;
	}
}

static int apps_again(const struct job_template *template, orte_job_t *old, orte_job_t *job)
{
	for (int i = 0; i < template->count; i++) {
		orte_app_context_t *was, *app = app_copy(template->apps[i]);

		if (!app)
			return ORTE_ERR_OUT_OF_RESOURCE;
		/* Where the number was left to mpirun, it stays what it was at first. */
		was = opal_pointer_array_get_item(old->apps, (int)app->idx);
		if (was && was->num_procs > 0)
			app->num_procs = was->num_procs;
		opal_pointer_array_set_item(job->apps, i, app);
		job->num_apps++;
	}
	return ORTE_SUCCESS;
}

static void map_again(const orte_job_map_t *old, orte_job_map_t *map)
{
	map->mapping = old->mapping;
	map->ranking = old->ranking;
	map->binding = old->binding;
	map->cpus_per_rank = old->cpus_per_rank;
	map->display_map = old->display_map;
	map->ppr = old->ppr ? strdup(old->ppr) : NULL;
	map->req_mapper = old->req_mapper ? strdup(old->req_mapper) : NULL;
}

orte_job_t *job_again(const struct job_template *template, orte_job_t *old)
{
	orte_job_t *job = OBJ_NEW(orte_job_t);

	job->personality = opal_argv_copy(old->personality);
	job->offset = old->offset;
	job->stdin_target = old->stdin_target;
	job->flags = 0;
	if (ORTE_FLAG_TEST(old, ORTE_JOB_FLAG_FORWARD_OUTPUT))
		ORTE_FLAG_SET(job, ORTE_JOB_FLAG_FORWARD_OUTPUT);
	job->map = OBJ_NEW(orte_job_map_t);
	if (old->map)
		map_again(old->map, job->map);
	if (attributes_copy(&job->attributes, &old->attributes, attribute_stays) != ORTE_SUCCESS ||
	    apps_again(template, old, job) != ORTE_SUCCESS ||
	    orte_plm_base_create_jobid(job) != ORTE_SUCCESS) {
		OBJ_RELEASE(job);
		return NULL;
	}
	opal_hash_table_set_value_uint32(orte_job_data, job->jobid, job);
	return job;
}
