/* SPDX-License-Identifier: BSD-3-Clause */
/* attach.c - a job from hf_attach() to hf_detach(), and that of the plug-in. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ckpt/job.h"
#include "ckpt/outcome.h"
#include "ckpt/plugin.h"
#include "ckpt/record.h"
#include "ckpt/resume.h"
#include "ckpt/server.h"
#include "common/clock.h"
#include "common/thread.h"
#include "launch/mailbox.h"
#include "net/net.h"

/* The job that the plug-in attached, until it is detached. */
static hf_job_t world;

/* Rank 0's. One that is too long is no reason not to run. */
static int command_read(struct hf_job *job)
{
	int code = record_read(&job->command, &job->err);

	if (code != HF_ENOSPC)
		return code;
	if (job->name.origin != NAME_LAUNCH)
		job_say(job, "%s", job->err.text);
	return HF_OK;
}

/* Rank 0 decides on name, launch and incarnation, and tells all. */
static int name_agree(struct hf_job *job, const char *given)
{
	int code = HF_OK;

	if (!job->rank)
		code = name_decide(given, job->options.job, &job->name, &job->err);
	if (!job->rank && !code)
		code = launcher_read(&job->launcher, &job->err);
	if (!job->rank && !code)
		code = command_read(job);
	code = outcome_agree(job->comm, code, &job->err, NULL);
	if (code)
		return code;
	if (PMPI_Bcast(&job->name, (int)sizeof(job->name), MPI_BYTE, 0, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Bcast failed: the ranks cannot agree on a name");
	return HF_OK;
}

static int options_read(struct hf_job *job)
{
	int rc = options_load(&job->options, &job->err);

	if (rc)
		job->err.code = rc == -ENOMEM ? HF_ENOMEM : HF_ECONFIG;
	if (!rc && !job->options.threads)
		job->options.threads = thread_processors((unsigned)job->node.ranks);
	return rc ? job->err.code : changes_open(&job->changes, &job->options, &job->err);
}

static int region_open(struct hf_job *job)
{
	const struct options *options = &job->options;
	struct client_options to = {
		.net = options->net,
		.provider = options->fabric,
		.device = options->fabric_device,
		.timeout_ms = options->timeout_ms,
		.reconnect_ms = options->reconnect_ms ? options->reconnect_ms : 1,
		.chunk_bytes = options->chunk_bytes,
		.pace_bytes = options->pace_bytes,
		.window = (unsigned)options->window,
		.block_bytes = options->block_bytes,
		.threads = (unsigned)options->threads,
	};
	struct client_identity who = {
		.job = job->name.job,
		.rank = (uint32_t)job->rank,
		.ranks = (uint32_t)job->ranks,
		.mode = job->changes.track ? REGION_APPEND : REGION_OVERWRITE,
		.incarnation = job->name.incarnation,
		.owner = options->owner,
		.force = options->takeover,
	};
	int code;

	server_options(job, &to);
	memcpy(who.launch, job->name.launch, sizeof(who.launch));
	code = client_open(&to, &who, &job->client, &job->err);
	if (!code)
		return HF_OK;
	job->client = NULL;
	job_client_failed(job, code);
	/* What the caller got wrong here, it got wrong in the configuration. */
	if (code == -EINVAL || code == -ENOENT)
		job->err.code = HF_ECONFIG;
	return job->err.code;
}

static void job_free(struct hf_job *job)
{
	int finalized = 1;

	changes_close(&job->changes);
	segments_free(&job->segments);
	layout_free(&job->layout);
	options_free(&job->options);
	free(job->embedded);
	free(job->command.text);
	PMPI_Finalized(&finalized);
	if (!finalized && job->comm != MPI_COMM_NULL)
		PMPI_Comm_free(&job->comm);
	free(job);
}

static int attach_failed(struct hf_job *job, int code)
{
	struct error unused;

	/* Regions of a launch that has just begun hold nothing, and no later run can find them. */
	if (job->client)
		client_close(job->client,
			     job->name.origin == NAME_LAUNCH && !job->name.incarnation && !job->highest,
			     &unused);
	wish_end(job);
	message_keep(&job->err);
	job_free(job);
	return code;
}

static int comm_take(struct hf_job *job, MPI_Comm comm)
{
	int inter = 0;

	job->comm = MPI_COMM_NULL;
	if (PMPI_Comm_test_inter(comm, &inter) != MPI_SUCCESS || inter)
		return job_fail(job, HF_EINVAL, "the communicator is not an intra-communicator");
	if (PMPI_Comm_dup(comm, &job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Comm_dup failed");
	if (PMPI_Comm_set_errhandler(job->comm, MPI_ERRORS_RETURN) != MPI_SUCCESS ||
	    PMPI_Comm_rank(job->comm, &job->rank) != MPI_SUCCESS ||
	    PMPI_Comm_size(job->comm, &job->ranks) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "the communicator cannot be used");
	if (node_find(job->comm, &job->node) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Comm_split_type failed: the nodes cannot be told apart");
	return HF_OK;
}

int hf_attach(MPI_Comm comm, const char *job_name, hf_job_t *out)
{
	struct error err;
	struct hf_job *job;
	int code;

	if (!out || comm == MPI_COMM_NULL) {
		error_set(&err, HF_EINVAL, out ? "the communicator is MPI_COMM_NULL"
					       : "there is no place for the handle");
		message_keep(&err);
		return HF_EINVAL;
	}
	job = calloc(1, sizeof(*job));
	if (!job) {
		error_set(&err, HF_ENOMEM, "out of memory for a job");
		message_keep(&err);
		return HF_ENOMEM;
	}
	code = comm_take(job, comm);
	if (code)
		return attach_failed(job, code);
	code = outcome_agree(job->comm, options_read(job), &job->err, NULL);
	if (!code) {
		wish_begin(job); /* before anybody can know that the job is there */
		code = name_agree(job, job_name);
	}
	if (!code)
		code = server_choose(job);
	if (!code)
		code = outcome_agree(job->comm, region_open(job), &job->err, NULL);
	if (!code)
		code = job_agree_epochs(job);
	if (!code)
		code = job_choose_epoch(job);
	if (!code)
		code = resume_choose(job);
	if (!code && job->complete)
		code = job_settle_layout(job);
	/* Damage is hf_restore()'s to report. */
	if (code == HF_EDAMAGED)
		code = HF_OK;
	if (code)
		return attach_failed(job, code);
	record_command(job);
	job->last_attempt_ns = clock_monotonic_ns();
	if (job->options.verbose && !job->rank)
		job_say(job, "attached to %s with %d ranks; newest complete epoch: %" PRIu64,
			job->embedded ? "this node's own server" : job->options.server, job->ranks, job->complete);
	*out = job;
	return HF_OK;
}

/* 0 where the launcher has it, and where there is none of ours. Rank 0's. */
static int launcher_tell(enum mailbox_note note, struct error *err)
{
	const char *launcher = getenv(MAILBOX_VARIABLE);
	uint64_t incarnation = 0;
	int rank = -1;

	PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
	if (rank || !launcher || !*launcher)
		return 0;
	launcher_number("HOLDFAST_INCARNATION", UINT32_MAX, &incarnation, err);
	return mailbox_post(launcher, note, (unsigned)incarnation, err);
}

/* Collective: once all ranks are here, what fails needs no restart, and must not have one: the sets may go. */
static void finalized_tell(void)
{
	static bool told;
	struct error err;

	if (told || !getenv(MAILBOX_VARIABLE))
		return;
	told = true;
	PMPI_Barrier(MPI_COMM_WORLD);
	if (launcher_tell(MAILBOX_FINALIZED, &err))
		fprintf(stderr, "holdfast: %s; a failure from now on would start the job again\n", err.text);
	PMPI_Barrier(MPI_COMM_WORLD); /* no set goes before */
}

int hf_detach(hf_job_t job, int finished)
{
	int code = HF_OK, all = 0, mine = finished != 0, finalized = 1;
	bool is_world = job == world;

	if (!job)
		return HF_OK;
	if (is_world)
		world = NULL;
	PMPI_Finalized(&finalized);
	if (!finalized)
		async_settle(job);
	wish_end(job);
	async_free(job);
	/*
	 * The job is finished when all ranks say so, and no rank's sets go before the last one has: a rank
	 * that dies on its way here still finds all of them.
	 */
	if (!finalized && PMPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_MIN, job->comm) != MPI_SUCCESS) {
		code = job_fail(job, HF_EMPI, "MPI_Allreduce failed: the sets stay");
		all = 0;
	}
	if (is_world && all)
		finalized_tell();
	if (!code) {
		code = client_close(job->client, all, &job->err);
		if (code)
			code = job_client_failed(job, code);
		if (!finalized)
			code = outcome_agree(job->comm, code, &job->err, NULL);
	} else {
		client_close(job->client, false, NULL);
	}
	if (code)
		message_keep(&job->err);
	job_free(job);
	return code;
}

hf_job_t hf_world(void)
{
	return world;
}

const struct option_text *hf_option_at(size_t index)
{
	return option_at(index);
}

int hf_option_override(const char *name, const char *value)
{
	int rc = option_override(name, value);

	return rc == -ENOMEM ? HF_ENOMEM : rc ? HF_EINVAL : HF_OK;
}

void hf_plugin_prepare(void)
{
	net_prepare();
}

/* Without that note its launcher watches over less of the start. */
int hf_plugin_attach(void)
{
	struct error err;
	hf_job_t job;
	int code;

	launcher_tell(MAILBOX_BEGUN, &err);
	code = hf_attach(MPI_COMM_WORLD, NULL, &job);
	if (!code)
		world = job;
	return code;
}

int hf_plugin_detach(void)
{
	hf_job_t job = world;
	int mine, any = 1, code;
	bool finished;

	finalized_tell();
	if (!job)
		return HF_OK;
	mine = job->protected_any;
	PMPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, job->comm);
	/*
	 * A second mpirun of one batch script has the same name, and is no continuation of the first: only what
	 * somebody named is kept for somebody to come back to.
	 */
	finished = job->name.origin != NAME_GIVEN;
	if (!job->rank) {
		if (!any)
			job_say(job, "the plug-in was on, but the application never protected anything "
				     "(hf_protect(hf_world(), ...)): there were no checkpoints");
		else if (!finished && job->complete)
			job_say(job, "its checkpoints stay (newest complete epoch: %" PRIu64
				     "), and a later run goes on from them; "
				     "hf_detach(hf_world(), 1) or `pmuctl rm %s` removes them",
				job->complete, job->name.job);
	}
	mine = job->rank;
	code = hf_detach(job, finished);
	if (code && !mine)
		fprintf(stderr, "holdfast: detaching at MPI_Finalize: %s: %s\n", hf_strerror(code),
			hf_message(NULL));
	return code;
}
