/* SPDX-License-Identifier: BSD-3-Clause */
/* server.c - which server a job uses. */
#include "ckpt/server.h"

#include <errno.h>
#include <stdlib.h>
#include "client/embedded.h"

/* All ranks name a server, or none does. */
static int naming_agree(struct hf_job *job, int *named)
{
	int mine[2] = {job->options.server != NULL, job->options.server == NULL}, all[2];
	int code = HF_OK;

	if (PMPI_Allreduce(mine, all, 2, MPI_INT, MPI_MIN, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree on a server");
	if (!all[0] && !all[1] && !mine[0])
		code = job_fail(job, HF_ECONFIG,
				"rank %d has no server named, and other ranks have: mpirun passes HOLDFAST_SERVER to "
				"other nodes with -x HOLDFAST_SERVER only, and --mca hook_holdfast_server to all",
				job->rank);
	*named = all[0];
	return outcome_agree(job->comm, code, &job->err, NULL);
}

/* On how many nodes the ranks are. */
static int nodes_count(struct hf_job *job, int *nodes)
{
	int first = !job->node.rank;

	if (PMPI_Allreduce(&first, nodes, 1, MPI_INT, MPI_SUM, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Allreduce failed: the nodes of the ranks cannot be counted");
	return HF_OK;
}

static int own_failed(struct hf_job *job, int rc)
{
	job_client_failed(job, rc);
	if (rc == -EINVAL)
		job->err.code = HF_ECONFIG;
	return job->err.code;
}

static int own_find_or_start(struct hf_job *job)
{
	int rc = embedded_find_or_start(job->embedded, &job->err);

	return rc ? own_failed(job, rc) : HF_OK;
}

static int own_locate(struct hf_job *job)
{
	int rc;

	job->embedded = calloc(1, sizeof(*job->embedded));
	if (!job->embedded)
		return job_fail(job, HF_ENOMEM, "out of memory for the server of this node");
	rc = embedded_locate(&job->options, job->embedded, &job->err);
	return rc ? own_failed(job, rc) : HF_OK;
}

static int own_announce(struct hf_job *job, int nodes)
{
	int mine = job->embedded->started, any;

	if (PMPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree on a server");
	if (job->rank)
		return HF_OK;
	if (any || job->options.verbose)
		job_say(job, "no server is named: a pmu-server of %s own %s, with its pool in %s",
			nodes > 1 ? "each node's" : "this node's", any ? "was started" : "serves the job",
			job->embedded->pool);
	if (nodes > 1)
		job_say(job, "its ranks are on %d nodes, and each node has a pool of its own: a rank that is "
			     "started again on another node does not find its checkpoints; name a server for "
			     "jobs on several nodes", nodes);
	return HF_OK;
}

int server_choose(struct hf_job *job)
{
	int named = 0, nodes = 0;
	int code = naming_agree(job, &named);

	if (code || named)
		return code;
	code = outcome_agree(job->comm, own_locate(job), &job->err, NULL);
	if (!code)
		code = nodes_count(job, &nodes);
	/* One of a node first: where it cannot be started, not all need try. */
	if (!code)
		code = outcome_agree(job->comm, job->node.rank ? HF_OK : own_find_or_start(job), &job->err, NULL);
	if (!code)
		code = outcome_agree(job->comm, job->node.rank ? own_find_or_start(job) : HF_OK, &job->err, NULL);
	return code ? code : own_announce(job, nodes);
}

void server_options(const struct hf_job *job, struct client_options *to)
{
	to->server = job->embedded ? job->embedded->address : job->options.server;
	to->auth = job->embedded ? "none" : job->options.auth;
	to->key_file = job->options.key_file;
	to->munge_socket = job->options.munge_socket;
	to->server_user = job->options.server_user;
	to->embedded = job->embedded;
}
