/* SPDX-License-Identifier: BSD-3-Clause */
/* restore.c - the public calls that bring checkpoints back. */
#include <errno.h>
#include <inttypes.h>
#include "ckpt/job.h"
#include "ckpt/outcome.h"
#include "ckpt/resume.h"
#include "common/clock.h"

/*
 * Reads all protected segments of epoch `layout->epoch`. HF_OK with damage->rank >= 0: damaged.
 * All ranks check what they protect before any memory is touched.
 */
static int set_get(struct hf_job *job, const struct layout *layout, struct outcome *damage)
{
	int code = segments_match(&job->segments, layout, &job->err);

	code = outcome_agree(job->comm, code, &job->err, NULL);
	if (code)
		return code;
	code = HF_OK;
	if (job->segments.count)
		code = client_get(job->client, (uint32_t)job->rank, layout->epoch, job->segments.list,
				  job->segments.count, &job->err);
	return job_agree_damage(job, code, damage);
}

/* Sets that some ranks hold, and others do not, are of no use: it is not silent, though. */
static int say_passed_over(struct hf_job *job)
{
	uint64_t highest;
	int code = job_highest_stored(job, &highest);

	if (!code && highest && !job->rank)
		job_say(job,
			"incomplete sets, up to epoch %" PRIu64 ", were passed over: no epoch is held by "
			"all %d ranks",
			highest, job->ranks);
	return code;
}

int hf_restore(hf_job_t job, uint64_t *epoch)
{
	uint64_t begin = clock_monotonic_ns();
	struct outcome damage = {.rank = -1};
	int code = HF_OK;

	if (!job)
		return message_no_job();
	async_settle(job);
	if (job->unsettled)
		code = job_agree_epochs(job);
	if (!code)
		resume_check(job, HF_OK);
	while (!code) {
		code = job_settle_layout(job);
		if (!code)
			code = set_get(job, &job->layout, &damage);
		if (code || damage.rank < 0)
			break;
		code = job_fall_back(job, &damage);
	}
	if (code == HF_EDAMAGED)
		resume_check(job, code);
	if (code == HF_ENOCKPT) {
		code = say_passed_over(job);
		if (!code)
			resume_announce(job);
		return code ? code : job_nothing_left(job);
	}
	if (code)
		return code;
	resume_announce(job);
	if (job->options.verbose && !job->rank)
		job_say(job, "epoch %" PRIu64 " is restored after %.3f s", job->complete,
			(double)(clock_monotonic_ns() - begin) / 1e9);
	if (epoch)
		*epoch = job->complete;
	return HF_OK;
}

int hf_restore_epoch(hf_job_t job, uint64_t epoch)
{
	struct outcome damage = {.rank = -1};
	struct layout layout = {.epoch = epoch};
	uint64_t newest;
	int code = HF_OK;

	if (!job)
		return message_no_job();
	if (!epoch)
		return job_fail(job, HF_EINVAL, "epochs are counted from 1");
	async_settle(job);
	if (job->unsettled)
		code = job_agree_epochs(job);
	if (!code)
		code = job_newest(job, false, epoch, &newest);
	if (code)
		return code;
	if (newest != epoch)
		return job_fail(job, HF_ENOCKPT,
				"job %s has no complete epoch %" PRIu64 "; hf_epochs() lists those that are",
				job->name.job, epoch);
	code = client_layout(job->client, (uint32_t)job->rank, epoch, &layout.list, &layout.count,
			     &job->err);
	code = job_agree_damage(job, code, &damage);
	if (!code && damage.rank < 0)
		code = set_get(job, &layout, &damage);
	if (!code && damage.rank >= 0)
		code = job_fail(job, HF_EDAMAGED, "epoch %" PRIu64 " is damaged (rank %d: %s)", epoch,
				damage.rank, damage.cause.text);
	layout_free(&layout);
	return code;
}

int hf_epochs(hf_job_t job, uint64_t *epochs, size_t *n)
{
	uint64_t bound = UINT64_MAX, found;
	size_t count = 0, capacity;
	int code = HF_OK;

	if (!job)
		return message_no_job();
	if (!n || (*n && !epochs))
		return job_fail(job, HF_EINVAL, "there is no place for the list of epochs");
	capacity = *n;
	async_settle(job);
	if (job->unsettled)
		code = job_agree_epochs(job);
	/* Newest first, into the end of the array, while they fit. */
	for (; !code; bound = found - 1) {
		code = job_newest(job, true, bound, &found);
		if (code || !found)
			break;
		count++;
		if (count <= capacity)
			epochs[capacity - count] = found;
	}
	if (code)
		return code;
	if (count < capacity)
		for (size_t i = 0; i < count; i++)
			epochs[i] = epochs[capacity - count + i];
	*n = count;
	return HF_OK;
}

int hf_read(hf_job_t job, int rank, uint64_t epoch, const char *name, size_t offset, void *buf,
	    size_t bytes)
{
	int code;

	if (!job)
		return message_no_job();
	if (rank < 0 || rank >= job->ranks)
		return job_fail(job, HF_EINVAL, "there is no rank %d; job %s has ranks 0 to %d", rank,
				job->name.job, job->ranks - 1);
	if (!buf && bytes)
		return job_fail(job, HF_EINVAL, "the buffer is NULL");
	code = segment_name_check(name, &job->err);
	if (code)
		return code;
	if (!job->complete)
		return job_nothing_left(job);
	if (!epoch)
		epoch = job->complete;
	if (epoch > job->complete)
		return job_fail(job, HF_ENOCKPT,
				"epoch %" PRIu64 " of job %s is not complete; the newest is %" PRIu64, epoch,
				job->name.job, job->complete);
	async_join(job);
	code = client_get_range(job->client, (uint32_t)rank, epoch, name, offset, buf, bytes, &job->err);
	return code ? job_client_failed(job, code) : HF_OK;
}
