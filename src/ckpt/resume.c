/* SPDX-License-Identifier: BSD-3-Clause */
/* resume.c - what a job does that its launcher started again. */
#include "ckpt/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include "ckpt/exit.h"
#include "ckpt/plugin.h"
#include "common/clock.h"

#define CRASHES_AN_EPOCH 2

/* How often this rank's region was taken over since it wrote its set of that epoch; 0: since it was made. */
static uint64_t takeovers_since(const struct hf_job *job, uint64_t epoch)
{
	uint64_t now = client_generation(job->client), then = 1;
	const struct set_info *sets;
	size_t n = client_sets(job->client, &sets);

	for (size_t i = 0; epoch && i < n; i++)
		if (sets[i].epoch == epoch)
			then = sets[i].generation;
	return now > then ? now - then : 0;
}

/*
 * How many incarnations in a row crashed by their own fault, without a checkpoint after `newest`: what the launcher
 * counted, but no more than took the regions over. The lowest number of all ranks: an incarnation that ended while it
 * attached took some regions over only, and never ran from this epoch.
 */
static int crashes_agree(struct hf_job *job, uint64_t newest, uint64_t *crashes)
{
	uint64_t mine = takeovers_since(job, newest);

	if (!job->rank && job->launcher.crashes < mine)
		mine = job->launcher.crashes;
	if (PMPI_Allreduce(&mine, crashes, 1, MPI_UINT64_T, MPI_MIN, job->comm) != MPI_SUCCESS)
		return job_fail(job, HF_EMPI, "MPI_Allreduce failed: the ranks cannot agree");
	return HF_OK;
}

static const char *cause(const struct hf_job *job)
{
	return *job->launcher.cause ? job->launcher.cause : "a failure";
}

int resume_choose(struct hf_job *job)
{
	uint64_t newest, older;
	int code;

	if (!job->name.incarnation)
		return HF_OK;
	code = job_newest(job, false, job->chosen ? job->chosen : UINT64_MAX, &newest);
	if (!code)
		code = crashes_agree(job, newest, &job->crashes);
	job->crashed_epoch = older = newest;
	for (uint64_t n = job->crashes / CRASHES_AN_EPOCH; !code && n && older; n--)
		code = job_newest(job, false, older - 1, &older);
	if (code || !older || older == newest)
		return code;
	job_pass_over(job, older);
	if (!job->rank)
		job_say(job,
			"epoch %" PRIu64 " is passed over: the last %" PRIu64 " incarnations crashed, and none of "
			"them completed a checkpoint after it (the last of them: %s); going back to epoch %" PRIu64,
			newest, job->crashes, cause(job), older);
	return HF_OK;
}

static void say_given_up(const struct hf_job *job)
{
	const char *name = job->name.job;
	bool named = job->name.origin == NAME_GIVEN;
	char again[JOB_NAME_BYTES + 128], from[64] = "the beginning";

	snprintf(again, sizeof(again), "the same command%s%s", named ? "" : " with HOLDFAST_JOB=",
		 named ? "" : name);
	if (job->crashed_epoch)
		snprintf(from, sizeof(from), "epoch %" PRIu64, job->crashed_epoch);
	job_say(job,
		"given up: the last %" PRIu64 " incarnations crashed (the last of them: %s), and none of them "
		"completed a checkpoint%s; there is no %sepoch to go back to. It is likely that the program, or "
		"what it computes on, is at fault, and that starting it again ends the same way. What is stored "
		"stays: `pmuctl show %s` lists it. Mend the cause; then %s goes on from %s%s%s%s",
		job->crashes, cause(job), job->crashed_epoch ? " after the newest" : "",
		job->crashed_epoch ? "older sound " : "", name, again, from,
		job->crashed_epoch ? ", and after `pmuctl rm " : "", job->crashed_epoch ? name : "",
		job->crashed_epoch ? "` from the beginning" : "");
}

void resume_check(const struct hf_job *job, int code)
{
	bool none_older = job->complete == job->crashed_epoch;
	/* Else it is a newer epoch that is damaged: there was progress. */
	bool older_damaged = code == HF_EDAMAGED && job->damaged_last == job->crashed_epoch;

	if (job->crashes < CRASHES_AN_EPOCH || !(none_older || older_damaged))
		return;
	if (!job->rank)
		say_given_up(job);
	exit_job(HF_EXIT_CRASH_LOOP);
}

void resume_announce(struct hf_job *job)
{
	uint64_t now = clock_realtime_ns(), failed = job->launcher.failed_ns;
	char since[64] = "";

	if (job->rank || !job->name.incarnation || job->announced)
		return;
	job->announced = true;
	if (failed) /* on another node's clock, maybe */
		snprintf(since, sizeof(since), ", %.2f s", now > failed ? (double)(now - failed) / 1e9 : 0);
	if (job->complete)
		job_say(job, "resumed from epoch %" PRIu64 "%s after %s (incarnation %" PRIu32 ")", job->complete,
			since, cause(job), job->name.incarnation);
	else
		job_say(job,
			"starts from the beginning%s after %s (incarnation %" PRIu32 "): it has no complete "
			"checkpoint",
			since, cause(job), job->name.incarnation);
}
