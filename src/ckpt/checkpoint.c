/* SPDX-License-Identifier: BSD-3-Clause */
/* checkpoint.c - the public calls that make checkpoints. */
#include "ckpt/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "ckpt/async.h"
#include "ckpt/outcome.h"
#include "ckpt/plugin.h"
#include "common/clock.h"
#include "common/testpoint.h"

static int kind_check(struct hf_job *job, int kind)
{
	if (kind == HF_INCREMENT && !job->changes.track)
		return job_fail(job, HF_EINVAL,
				"increments are for jobs of mode incremental, and this one is of mode %s; use HF_AUTO "
				"or HF_FULL", job->options.mode);
	if (kind != HF_AUTO && kind != HF_FULL && kind != HF_INCREMENT)
		return job_fail(job, HF_EINVAL, "there is no kind %d of checkpoint", kind);
	return HF_OK;
}

/* What there is to write. An increment needs a set that it is one to; HF_AUTO has one where that is much less. */
static enum set_kind kind_choose(const struct hf_job *job, int kind)
{
	const struct changes *changes = &job->changes;

	if (!changes->track || kind == HF_FULL || !job->complete || changes->epoch != job->complete)
		return SET_FULL;
	if (kind == HF_AUTO &&
	    (client_chain(job->client) >= job->options.chain || changes->changed > changes->bytes / 2))
		return SET_FULL;
	return SET_INCREMENT;
}

int checkpoint_plan(struct hf_job *job, int kind, uint64_t epoch, struct layout *layout, enum set_kind *wrote)
{
	int code = kind_check(job, kind);

	if (!code && job->fenced)
		code = job_fenced(job);
	if (!code)
		code = layout_of_segments(layout, epoch, &job->segments, &job->err);
	if (!code && job->changes.track)
		code = changes_find(&job->changes, &job->segments, &job->err);
	if (!code)
		*wrote = kind_choose(job, kind);
	return code;
}

/* This rank's part of epoch `epoch`; `layout` is what it then holds. */
static int set_put(struct hf_job *job, int kind, uint64_t epoch, struct layout *layout)
{
	enum set_kind wrote = SET_FULL;
	int code = checkpoint_plan(job, kind, epoch, layout, &wrote);

	if (code)
		return code;
	code = client_put(job->client, epoch, job->complete, &wrote, job->segments.list, job->segments.count,
			  &job->err);
	if (code) {
		/* The reply may be lost, and the set there all the same. */
		job->stale = true;
		return job_client_failed(job, code);
	}
	TEST_POINT("ckpt-put");
	return HF_OK;
}

void checkpoint_complete(struct hf_job *job, uint64_t epoch, struct layout *layout)
{
	job->complete = epoch;
	changes_settled(&job->changes, epoch);
	layout_free(&job->layout);
	job->layout = *layout;
	*layout = (struct layout){0};
}

static double mtbf_seconds(const struct hf_job *job)
{
	uint64_t now = clock_realtime_ns(), started = job->launcher.started_ns;
	double since_s = started && now > started ? (double)(now - started) / 1e9 : 0;

	return interval_mtbf((double)job->options.mtbf_ms / 1e3, since_s, job->name.incarnation);
}

/* From one checkpoint to the next, where that has an end at all. Rank 0's is what counts. */
static double interval_seconds(const struct hf_job *job)
{
	if (job->options.interval_ms != INTERVAL_AUTO)
		return (double)job->options.interval_ms / 1e3;
	return interval_best(&job->interval, mtbf_seconds(job));
}

void checkpoint_took(struct hf_job *job, double stopped_s, double seconds)
{
	char stopped[64] = "";
	double best_s;

	interval_learn(&job->interval, stopped_s);
	if (!job->options.verbose)
		return;
	if (stopped_s < seconds)
		snprintf(stopped, sizeof(stopped), ", in %.3f s of which the application was stopped", stopped_s);
	job_say(job, "epoch %" PRIu64 " is complete after %.3f s%s", job->complete, seconds, stopped);
	best_s = interval_seconds(job);
	if (job->options.interval_ms == INTERVAL_AUTO && interval_changed(&job->interval, best_s))
		job_say(job,
			"a checkpoint is due %.1f s after the last one, as it takes %.3f s, with %.0f s "
			"between failures",
			best_s, job->interval.cost_s, mtbf_seconds(job));
}

/* All ranks end here, with the sets kept, unless others would be left behind. */
static void leave(struct hf_job *job)
{
	int all = 0;

	PMPI_Comm_size(MPI_COMM_WORLD, &all);
	if (job->ranks != all) {
		if (!job->rank)
			job_say(job, "epoch %" PRIu64 " is complete; it cannot leave, as asked, for it has %d of "
				"the %d ranks that were started: it goes on", job->complete, job->ranks, all);
		return;
	}
	if (!job->rank)
		job_say(job, "epoch %" PRIu64 " is complete; leaving, as asked, with exit code %d: %s",
			job->complete, HF_EXIT_RESUBMIT,
			job->name.origin == NAME_LAUNCH
				? "the job has no name of its own, and is gone on with under this one only"
				: "run it again to go on");
	wish_end_for_good(job);
	hf_detach(job, 0);
	MPI_Finalize();
	exit(HF_EXIT_RESUBMIT);
}

int checkpoint_wishes(struct hf_job *job, int wanted, int code, bool may_leave)
{
	int all = wanted;

	if (!code)
		code = wish_agree(job, wanted, &all);
	else if (!job->rank && code != HF_EFENCED && (wanted & (WISH_CHECKPOINT | WISH_LEAVE)))
		job_say(job, "the checkpoint that was asked for failed, and the job goes on; ask again when the "
			"cause is gone: %s", job->err.text);
	/* A wish of after its start is for another one; and who wants to leave wishes on until that can be. */
	if (!may_leave && (!all || (!code && (all & WISH_LEAVE))))
		return code;
	wish_served(job, all, code ? 0 : job->complete);
	if (!code && (all & WISH_LEAVE))
		leave(job);
	return code;
}

int hf_checkpoint(hf_job_t job, int kind)
{
	uint64_t begin = clock_monotonic_ns(), epoch;
	struct layout layout = {0};
	int code = HF_OK, wanted;

	if (!job)
		return message_no_job();
	async_settle(job);
	wanted = wish_here(job) | job->wish.agreed;
	/*
	 * `complete` and `highest` are the same on all ranks, from hf_attach() on: only a checkpoint that
	 * failed leaves doubt about who holds what, and then the lists of sets are asked.
	 */
	if (job->unsettled)
		code = job_agree_epochs(job);
	if (code)
		goto out;
	epoch = ++job->highest;
	code = outcome_agree(job->comm, set_put(job, kind, epoch, &layout), &job->err, NULL);
	if (code) {
		job->unsettled = true;
		layout_free(&layout);
		goto out;
	}
	checkpoint_complete(job, epoch, &layout);
out:
	job->last_attempt_ns = clock_monotonic_ns();
	if (!code && !job->rank) {
		double seconds = (double)(job->last_attempt_ns - begin) / 1e9;

		checkpoint_took(job, seconds, seconds);
	}
	return checkpoint_wishes(job, wanted, code, true);
}

int hf_due(hf_job_t job, int *due)
{
	int says = 0, code;

	if (!job)
		return message_no_job();
	if (!due)
		return job_fail(job, HF_EINVAL, "there is no place for the answer");
	if (!job->rank && job->options.interval_ms &&
	    (double)(clock_monotonic_ns() - job->last_attempt_ns) / 1e9 >= interval_seconds(job))
		says = WISH_DUE;
	if (async_busy(job))
		says |= WISH_BUSY;
	code = wish_agree(job, says | wish_here(job), &says);
	if (code)
		return code;
	/* While one is shipped, the interval is no reason to wait for its end; a wish is. */
	if (says & WISH_BUSY)
		says &= ~(WISH_BUSY | WISH_DUE);
	else
		async_settle(job);
	job->wish.agreed = says & ~WISH_DUE;
	*due = says != 0;
	return HF_OK;
}
