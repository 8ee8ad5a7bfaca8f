/* SPDX-License-Identifier: BSD-3-Clause */
/* replay.c - makes the crash images of a recording, in several processes, and has the oracle look at each. */
#include "replay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "image.h"
#include "must.h"
#include "oracle.h"

#define IMAGE_SECONDS 60 /* one that takes longer hangs */

/* ---- images that were tried ---- */

struct seen {
	uint64_t *sums;
	size_t count, capacity; /* a power of 2 */
};

static bool seen_add(struct seen *seen, uint64_t sum)
{
	size_t i;

	sum += !sum; /* 0 is an empty place */
	if (2 * seen->count >= seen->capacity) {
		struct seen larger = {NULL, 0, seen->capacity ? 2 * seen->capacity : 4096};

		larger.sums = calloc(larger.capacity, sizeof(*larger.sums));
		must(larger.sums);
		for (i = 0; i < seen->capacity; i++) {
			if (seen->sums[i])
				seen_add(&larger, seen->sums[i]);
		}
		free(seen->sums);
		*seen = larger;
	}
	for (i = sum & (seen->capacity - 1); seen->sums[i]; i = (i + 1) & (seen->capacity - 1)) {
		if (seen->sums[i] == sum)
			return false;
	}
	seen->sums[i] = sum;
	seen->count++;
	return true;
}

/* ---- workers ---- */

/* Shared by the workers. */
struct tally {
	uint64_t points, points_all, images, pending_max;
	bool stop;
	struct {
		uint64_t trying, failures, first;
		struct error err;
	} workers[WORKERS_MAX];
};

struct worker {
	const struct replay *replay;
	struct tally *tally;
	unsigned number;
	uint64_t from; /* the first image that is to be tried */
	uint64_t images;
	struct medium medium;
	struct seen seen;
	char directory[220];
	/* Where an image is wanted and nothing else: */
	const char *only;
	struct promise promise;
};

static void image_try(struct worker *worker, const uint8_t *choice, const struct promise *promise)
{
	uint64_t every = worker->replay->selection->thorough;
	bool thorough = every && worker->images % every == 0;
	struct tally *tally = worker->tally;
	struct error err = {0};

	tally->workers[worker->number].trying = worker->images;
	image_write(&worker->medium, choice, worker->directory);
	alarm(IMAGE_SECONDS);
	if (oracle_check(worker->directory, promise, thorough, &err) && !tally->workers[worker->number].failures++) {
		tally->workers[worker->number].first = worker->images;
		tally->workers[worker->number].err = err;
	}
	alarm(0);
	if (thorough)
		image_forget(&worker->medium, worker->directory);
	if (err.code && worker->replay->stop_at_first)
		tally->stop = true;
}

static bool is_mine(const struct worker *worker)
{
	const struct selection *selection = worker->replay->selection;

	return worker->images >= worker->from && worker->images % selection->workers == worker->number &&
	       (selection->image == NO_IMAGE || selection->image == worker->images);
}

static void crash_here(struct worker *worker, size_t event, uint64_t promise)
{
	const struct recording *recording = worker->replay->recording;
	const struct selection *selection = worker->replay->selection;
	struct tally *tally = worker->tally;
	struct choices choices;

	choices_begin(&choices, &worker->medium, event < recording->count ? &recording->events[event] : NULL,
		      selection->all, selection->sample, selection->seed * 1000003 + event);
	if (!worker->number && !worker->from) {
		tally->points++;
		tally->points_all += choices.all;
		if (worker->medium.count > tally->pending_max)
			tally->pending_max = worker->medium.count;
	}
	while (!tally->stop && choices_next(&choices)) {
		if (!seen_add(&worker->seen, image_sum(&worker->medium, choices.choice) + promise * 0x9e3779b97f4a7c15u))
			continue;
		if (worker->only && worker->images == worker->from) {
			image_write(&worker->medium, choices.choice, worker->only);
			worker->promise = recording->promises[promise];
			tally->stop = true;
		} else if (!worker->only && is_mine(worker)) {
			image_try(worker, choices.choice, &recording->promises[promise]);
		}
		worker->images++;
	}
	choices_end(&choices);
}

static void worker_run(struct worker *worker)
{
	const struct replay *replay = worker->replay;
	const struct recording *recording = replay->recording;
	uint64_t promise = 0;

	medium_begin(&worker->medium, recording);
	for (size_t i = 0; i < recording->count && !worker->tally->stop; i++) {
		if (i >= replay->begin && i < replay->end &&
		    medium_crash_point(&worker->medium, &recording->events[i]))
			crash_here(worker, i, promise);
		if (recording->events[i].type == EVENT_PROMISE)
			promise = recording->events[i].value;
		medium_apply(&worker->medium, &recording->events[i]);
	}
	if (recording->count < replay->end && !worker->tally->stop)
		crash_here(worker, recording->count, promise);
	worker->tally->images = worker->images;
	medium_free(&worker->medium);
	free(worker->seen.sums);
}

static pid_t worker_start(const struct replay *replay, struct tally *tally, unsigned number, uint64_t from)
{
	struct worker worker = {.replay = replay, .tally = tally, .number = number, .from = from};
	pid_t pid = fork();

	must(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(worker.directory, sizeof(worker.directory), "%s/image-%u", replay->scratch, number);
	image_forget(&worker.medium, worker.directory); /* what another one left */
	worker_run(&worker);
	_exit(0);
}

/* The image on which a worker died is a finding; another worker goes on behind it. */
static bool worker_died(const struct replay *replay, struct tally *tally, unsigned number, int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return false;
	if (!tally->workers[number].failures++) {
		tally->workers[number].first = tally->workers[number].trying;
		error_set(&tally->workers[number].err, -EFAULT, "who opened it died (%s)",
			  WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "by itself");
	}
	tally->stop |= replay->stop_at_first;
	return !tally->stop;
}

static void workers_run(const struct replay *replay, struct tally *tally)
{
	unsigned workers = replay->selection->workers, left = 0;
	pid_t pids[WORKERS_MAX] = {0}, pid;
	int status;

	for (; left < workers; left++)
		pids[left] = worker_start(replay, tally, left, 0);
	while (left) {
		pid = wait(&status);
		if (pid < 0 && errno == EINTR)
			continue;
		must(pid > 0);
		for (unsigned i = 0; i < workers; i++) {
			if (pids[i] != pid)
				continue;
			if (worker_died(replay, tally, i, status))
				pids[i] = worker_start(replay, tally, i, tally->workers[i].trying + 1);
			else
				left--;
		}
	}
}

/* ---- all of it ---- */

static struct tally *tally_new(void)
{
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(tally != MAP_FAILED);
	return tally;
}

void replay_run(const struct replay *replay, struct findings *findings)
{
	struct tally *tally = tally_new();

	workers_run(replay, tally);
	*findings = (struct findings){
		.points = tally->points,
		.points_all = tally->points_all,
		.pending_max = tally->pending_max,
		.images = tally->images,
		.first = NO_IMAGE,
	};
	for (unsigned i = 0; i < replay->selection->workers; i++) {
		findings->failures += tally->workers[i].failures;
		if (tally->workers[i].failures && tally->workers[i].first < findings->first) {
			findings->first = tally->workers[i].first;
			findings->err = tally->workers[i].err;
		}
	}
	munmap(tally, sizeof(*tally));
}

bool replay_image(const struct replay *replay, uint64_t image, const char *directory, struct promise *promise)
{
	struct tally *tally = tally_new();
	struct worker worker = {.replay = replay, .tally = tally, .from = image, .only = directory};
	bool found;

	worker_run(&worker);
	found = tally->stop;
	*promise = worker.promise;
	munmap(tally, sizeof(*tally));
	return found;
}
