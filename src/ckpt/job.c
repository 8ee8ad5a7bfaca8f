/* SPDX-License-Identifier: BSD-3-Clause */
/* job.c - what all operations on a job share: its message, and its epochs. */
#include "ckpt/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "ckpt/epoch.h"
#include "ckpt/outcome.h"

int job_fail(struct hf_job *job, int code, const char *fmt, ...)
{
	va_list ap;

	job->err.code = code;
	va_start(ap, fmt);
	vsnprintf(job->err.text, sizeof(job->err.text), fmt, ap);
	va_end(ap);
	return code;
}

int job_client_failed(struct hf_job *job, int code)
{
	if (code == -ESTALE)
		job->fenced = true;
	job->err.code = message_code(code);
	return job->err.code;
}

void job_say(const struct hf_job *job, const char *fmt, ...)
{
	char text[ERROR_TEXT_BYTES + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "holdfast: job %s: %s\n", job->name.job, text);
}

/* This rank's epochs, ascending; malloced, NULL for want of memory. */
static uint64_t *epochs_list(const struct hf_job *job, bool usable, size_t *count)
{
	const struct set_info *sets;
	size_t n = client_sets(job->client, &sets);
	uint64_t *list = calloc(n + 1, sizeof(*list));

	*count = 0;
	for (size_t i = 0; list && i < n; i++) {
		bool damaged = sets[i].epoch > job->damaged_after && sets[i].epoch <= job->damaged_last;

		if (!usable || !damaged)
			list[(*count)++] = sets[i].epoch;
	}
	return list;
}

int job_newest(struct hf_job *job, bool usable, uint64_t bound, uint64_t *newest)
{
	size_t count;
	uint64_t *list = epochs_list(job, usable, &count);
	int code = list ? HF_OK : job_fail(job, HF_ENOMEM, "out of memory for the list of epochs");

	code = outcome_agree(job->comm, code, &job->err, NULL);
	if (!code)
		code = epoch_newest(job->comm, list, count, bound, newest, &job->err);
	free(list);
	return code;
}

int job_highest_stored(struct hf_job *job, uint64_t *highest)
{
	const struct set_info *sets;
	size_t n = client_sets(job->client, &sets);

	return epoch_highest(job->comm, n ? sets[n - 1].epoch : 0, highest, &job->err);
}

int job_agree_epochs(struct hf_job *job)
{
	uint64_t stored, newest;
	int code = HF_OK;

	if (job->fenced) {
		code = job_fenced(job);
	} else if (job->stale) {
		code = client_refresh(job->client, &job->err);
		if (code)
			code = job_client_failed(job, code);
		else
			job->stale = false;
	}
	code = outcome_agree(job->comm, code, &job->err, NULL);
	if (!code)
		code = job_highest_stored(job, &stored);
	if (!code)
		code = job_newest(job, true, UINT64_MAX, &newest);
	if (code)
		return code;
	if (stored > job->highest)
		job->highest = stored;
	job->complete = newest;
	job->unsettled = false;
	return HF_OK;
}

void job_pass_over(struct hf_job *job, uint64_t older)
{
	/* Where the next older one goes as well, the newer ones must not come back. */
	if (job->complete > job->damaged_last)
		job->damaged_last = job->complete;
	job->damaged_after = older;
	job->complete = older;
}

int job_fall_back(struct hf_job *job, const struct outcome *damage)
{
	uint64_t damaged = job->complete, older;
	int code = job_newest(job, true, damaged - 1, &older);

	if (code)
		return code;
	job_pass_over(job, older);
	if (!job->rank && older)
		job_say(job, "epoch %" PRIu64 " is damaged (rank %d: %s); falling back to epoch %" PRIu64,
			damaged, damage->rank, damage->cause.text, older);
	else if (!job->rank)
		job_say(job, "epoch %" PRIu64 " is damaged (rank %d: %s); there is no older one", damaged,
			damage->rank, damage->cause.text);
	return HF_OK;
}

/* Names the epochs that there are; collective, for the list is. */
static int no_such_epoch(struct hf_job *job, uint64_t wanted)
{
	uint64_t bound = UINT64_MAX, found;
	char list[128] = "";
	size_t length = 0;
	int code;

	for (; length + 32 < sizeof(list); bound = found - 1) {
		code = job_newest(job, false, bound, &found);
		if (code)
			return code;
		if (!found)
			break;
		length += (size_t)sprintf(list + length, "%s%" PRIu64, length ? ", " : "", found);
	}
	return job_fail(job, HF_ENOCKPT, "job %s has no complete epoch %" PRIu64 ", which the variable 'epoch' "
			"names; %s%s", job->name.job, wanted, length ? "there are: " : "it has none at all",
			list);
}

/* Collective: did this launch write the newest complete epoch? */
static int newest_is_ours(struct hf_job *job, bool *ours)
{
	const struct set_info *sets;
	size_t n = client_sets(job->client, &sets);
	uint64_t newest, foreign = 0, foreign_any;
	int code = job_newest(job, false, UINT64_MAX, &newest);

	for (size_t i = 0; i < n; i++)
		if (sets[i].epoch == newest)
			foreign = sets[i].generation < client_launch_generation(job->client);
	if (!code)
		code = epoch_highest(job->comm, foreign, &foreign_any, &job->err);
	*ours = !code && newest && !foreign_any;
	return code;
}

int job_choose_epoch(struct hf_job *job)
{
	uint64_t mine = job->rank ? 0 : job->options.epoch, wanted, found;
	int code = epoch_highest(job->comm, mine, &wanted, &job->err);
	bool ours;

	if (code || !wanted)
		return code;
	/* A job that is started again goes on from where it has got to, and else from where it began. */
	code = newest_is_ours(job, &ours);
	if (code || ours)
		return code;
	code = job_newest(job, false, wanted, &found);
	if (code)
		return code;
	if (found != wanted)
		return no_such_epoch(job, wanted);
	job->chosen = wanted;
	if (job->highest == wanted)
		return HF_OK;
	if (!job->rank)
		job_say(job, "going back to epoch %" PRIu64 ", as the variable 'epoch' says: newer ones, up to %"
			PRIu64 ", are passed over, and the next checkpoints take their places", wanted,
			job->highest);
	job->damaged_after = wanted;
	job->damaged_last = job->highest;
	job->complete = wanted;
	return HF_OK;
}

int job_nothing_left(struct hf_job *job)
{
	if (job->chosen)
		return job_fail(job, HF_EDAMAGED,
				"epoch %" PRIu64 ", which was chosen, is damaged, and so are all older ones; newer "
				"ones were passed over: without the variable 'epoch' the newest is restored",
				job->chosen);
	if (job->damaged_last)
		return job_fail(job, HF_EDAMAGED,
				"every complete epoch is damaged, or was passed over, the newest being %" PRIu64
				"; `pmuctl verify %s` tells which sets are damaged, `pmuctl rm %s` gives them up",
				job->damaged_last, job->name.job, job->name.job);
	return job_fail(job, HF_ENOCKPT, "job %s has no complete checkpoint", job->name.job);
}

int job_settle_layout(struct hf_job *job)
{
	while (job->complete) {
		struct layout layout = {.epoch = job->complete};
		struct outcome damage;
		int code = HF_OK;

		if (job->layout.epoch != job->complete)
			code = client_layout(job->client, (uint32_t)job->rank, layout.epoch, &layout.list,
					     &layout.count, &job->err);
		if (!code && job->layout.epoch != job->complete) {
			layout_free(&job->layout);
			job->layout = layout;
		}
		code = job_agree_damage(job, code, &damage);
		if (code || damage.rank < 0)
			return code;
		code = job_fall_back(job, &damage);
		if (code)
			return code;
	}
	return job_nothing_left(job);
}

int job_agree_damage(struct hf_job *job, int client_code, struct outcome *damage)
{
	/* A set that was listed, and is not there any more, is as good as damaged. */
	bool damaged = client_code == -EILSEQ || client_code == -ENOENT;
	struct error own;
	int code = HF_OK;

	if (client_code && !damaged)
		code = job_client_failed(job, client_code);
	own = job->err;
	code = outcome_agree(job->comm, code, &job->err, NULL);
	if (code)
		return code;
	code = outcome_agree(job->comm, damaged ? HF_EDAMAGED : HF_OK, &own, damage);
	return code == HF_EMPI ? job_fail(job, HF_EMPI, "%s", own.text) : HF_OK;
}

int job_fenced(struct hf_job *job)
{
	return job_fail(job, HF_EFENCED,
			"rank %d's region of job %s was taken over by another process: stop this one",
			job->rank, job->name.job);
}
