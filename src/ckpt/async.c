/* SPDX-License-Identifier: BSD-3-Clause */
/* async.c - the public calls for checkpoints that do not stop the application. */
#include "ckpt/async.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ckpt/checkpoint.h"
#include "ckpt/job.h"
#include "ckpt/outcome.h"
#include "ckpt/snapshot.h"
#include "common/clock.h"
#include "common/testpoint.h"
#include "common/thread.h"

bool async_under_way(const struct hf_job *job)
{
	return job->async.started && job->async.pid == getpid();
}

bool async_busy(const struct hf_job *job)
{
	return async_under_way(job) && !job->async.joined && !snapshot_shipped(job->async.snapshot);
}

/* ---- the end ---- */

static void forget_gone(struct hf_job *job)
{
	struct async *async = &job->async;

	for (size_t i = 0; i < async->gone_count; i++)
		client_forget(job->client, async->gone[i].at, async->gone[i].bytes);
	async->gone_count = 0;
}

void async_join(struct hf_job *job)
{
	struct async *async = &job->async;

	if (!async_under_way(job) || async->joined)
		return;
	async->rc = snapshot_wait(async->snapshot, &async->rc_err);
	async->joined = true;
	forget_gone(job);
}

static void say_stopped(struct hf_job *job)
{
	struct snapshot_stats stats;

	if (!job->options.verbose || job->rank)
		return;
	snapshot_stats(job->async.snapshot, &stats);
	if (stats.cow)
		job_say(job, "epoch %" PRIu64 ": of %" PRIu64 " pages that were protected on rank 0, %" PRIu64 " were copied "
			"when they were written, in %" PRIu64 " faults", job->async.epoch, stats.pages, stats.kept,
			stats.faults);
	if (stats.direct)
		job_say(job, "epoch %" PRIu64 ": %" PRIu64 " bytes of rank 0 found no room to be copied, and were shipped "
			"before the application could go on; see the variable stage_bytes", job->async.epoch, stats.direct);
}

/* As async_settle(); returns the HF_* code, with its message in job->err. */
static int settle(struct hf_job *job, bool may_leave)
{
	struct async *async = &job->async;
	uint64_t begin = clock_monotonic_ns();
	int code = HF_OK, rc;

	async_join(job);
	rc = async->rc;
	if (rc) {
		/* The reply may be lost, and the set there all the same. */
		job->stale = true;
		job->err = async->rc_err;
		code = job_client_failed(job, rc);
		/* Next time it is a full set, which can always be. */
		if (rc == -ENOSPC || rc == -ENOENT)
			job->changes.epoch = 0;
	}
	code = outcome_agree(job->comm, code, &job->err, NULL);
	async->started = false;
	if (code) {
		job->unsettled = true;
		layout_free(&async->layout);
	} else {
		checkpoint_complete(job, async->epoch, &async->layout);
		async->stopped_ns += clock_monotonic_ns() - begin;
		say_stopped(job);
		if (!job->rank)
			checkpoint_took(job, (double)async->stopped_ns / 1e9,
					(double)(clock_monotonic_ns() - async->begun_ns) / 1e9);
	}
	return checkpoint_wishes(job, async->wanted, code, may_leave);
}

void async_settle(struct hf_job *job)
{
	struct async *async = &job->async;
	int code;

	if (!async_under_way(job))
		return;
	code = settle(job, false);
	async->settled = true;
	async->outcome = job->err;
	async->outcome.code = code;
}

void async_forget(struct hf_job *job, const void *at, uint64_t bytes)
{
	struct async *async = &job->async;
	size_t capacity = async->gone_capacity ? 2 * async->gone_capacity : 16;
	struct client_memory *gone = async->gone;

	if (async_busy(job)) {
		snapshot_release(async->snapshot, at, bytes);
		if (async->gone_count == async->gone_capacity) {
			gone = reallocarray(async->gone, capacity, sizeof(*gone));
			if (gone) {
				async->gone = gone;
				async->gone_capacity = capacity;
			}
		}
		if (gone) {
			gone[async->gone_count++] = (struct client_memory){.at = (void *)(uintptr_t)at, .bytes = bytes};
			return;
		}
	}
	async_join(job);
	if (job->client)
		client_forget(job->client, at, bytes);
}

/* One that failed, and that nobody has asked about, must not go unnoticed. */
static void say_failed(struct hf_job *job)
{
	const struct async *async = &job->async;

	if (async->settled && async->outcome.code && !job->rank)
		job_say(job, "the asynchronous checkpoint of epoch %" PRIu64 " failed, and the job goes on: %s", async->epoch,
			async->outcome.text);
}

void async_free(struct hf_job *job)
{
	struct async *async = &job->async;

	async_join(job);
	say_failed(job);
	snapshot_free(async->snapshot, job->client);
	layout_free(&async->layout);
	free(async->gone);
	*async = (struct async){0};
}

/* ---- the start ---- */

static void say_way(void *context, const char *message)
{
	const struct hf_job *job = context;

	if (job->options.verbose && !job->rank)
		job_say(job, "%s", message);
}

static int snapshot_make(struct hf_job *job)
{
	const struct options *options = &job->options;
	struct snapshot_options how = {
		.way = !strcmp(options->async, "cow")	  ? SNAPSHOT_COW
		       : !strcmp(options->async, "stage") ? SNAPSHOT_STAGE
							  : SNAPSHOT_AUTO,
		.stage_bytes = options->stage_bytes,
		.block_bytes = options->block_bytes,
		.timeout_ms = options->timeout_ms,
		.threads = thread_processors((unsigned)job->node.ranks),
		.sharing = (unsigned)job->node.ranks,
		.say = say_way,
		.context = job,
	};
	int rc = job->async.snapshot ? 0 : snapshot_new(&how, &job->async.snapshot, &job->err);

	return rc ? job_client_failed(job, rc) : HF_OK;
}

/* This rank's part of the start. */
static int set_start(struct hf_job *job, int kind, uint64_t epoch)
{
	struct async *async = &job->async;
	enum set_kind wrote = SET_FULL;
	int code = snapshot_make(job);

	if (!code)
		code = checkpoint_plan(job, kind, epoch, &async->layout, &wrote);
	if (code)
		return code;
	code = snapshot_start(async->snapshot, job->client, epoch, job->complete, &wrote, job->segments.list,
			      job->segments.count, &job->err);
	if (code == -EAGAIN)
		code = -ENOMEM;
	if (code)
		return job_client_failed(job, code);
	async->joined = false;
	async->started = true;
	async->pid = getpid();
	TEST_POINT("ckpt-started");
	return HF_OK;
}

/* Another rank has not started: ours is in vain. */
static void start_undo(struct hf_job *job)
{
	struct error err = job->err;

	async_join(job);
	job->async.started = false;
	job->stale = true;
	job->unsettled = true;
	layout_free(&job->async.layout);
	job->err = err;
}

int hf_checkpoint_start(hf_job_t job, int kind)
{
	uint64_t begin = clock_monotonic_ns(), epoch;
	struct async *async;
	int code = HF_OK, wanted;

	if (!job)
		return message_no_job();
	async = &job->async;
	async_settle(job);
	say_failed(job);
	async->settled = false;
	wanted = wish_here(job) | job->wish.agreed;
	if (job->unsettled)
		code = job_agree_epochs(job);
	if (code)
		goto out;
	epoch = ++job->highest;
	code = outcome_agree(job->comm, set_start(job, kind, epoch), &job->err, NULL);
	if (code)
		start_undo(job);
	async->epoch = epoch;
	async->wanted = wanted;
	async->begun_ns = begin;
	async->stopped_ns = clock_monotonic_ns() - begin;
out:
	job->last_attempt_ns = clock_monotonic_ns();
	return code ? checkpoint_wishes(job, wanted, code, false) : HF_OK;
}

/* ---- in between ---- */

/* What one came to that ended before anybody asked. */
static int outcome_tell(struct hf_job *job)
{
	if (!job->async.settled || !job->async.outcome.code)
		return HF_OK;
	job->err = job->async.outcome;
	return job->err.code;
}

int hf_checkpoint_test(hf_job_t job, int *complete)
{
	if (!job)
		return message_no_job();
	if (!complete)
		return job_fail(job, HF_EINVAL, "there is no place for the answer");
	if (async_busy(job)) {
		*complete = 0;
		return HF_OK;
	}
	async_join(job);
	*complete = 1;
	if (async_under_way(job) && job->async.rc) {
		job->err = job->async.rc_err;
		job->stale = true;
		return job_client_failed(job, job->async.rc);
	}
	return outcome_tell(job);
}

int hf_checkpoint_wait(hf_job_t job)
{
	int code;

	if (!job)
		return message_no_job();
	code = async_under_way(job) ? settle(job, true) : outcome_tell(job);
	job->async.settled = false;
	return code;
}
