/* SPDX-License-Identifier: BSD-3-Clause */
/* choose.c - which tracker: the one asked for, or by a trial and a timing of both. */
#include "track/choose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/set.h"

#define TRIAL_PAGES   512u
#define TRIAL_WRITTEN 64u /* pages */
#define TRIAL_ROUNDS  3	  /* the quickest counts */

/* Watching must cost at most half of hashing when this share of the pages is written between two
 * collects: many an application changes less, and one that changes all gains nothing by either. */
#define ASSUMED_WRITTEN 0.05

static const struct tracker_ops *const trackers[] = {&tracker_hash, &tracker_uffd};

bool tracker_pays(const struct track_costs *costs)
{
	return costs->scan_ns + ASSUMED_WRITTEN * costs->write_ns <= costs->hash_ns / 2;
}

static void ignore_written(void *context, uintptr_t begin, uint64_t bytes)
{
	(void)context;
	(void)begin;
	(void)bytes;
}

static void keep_least(double *least, uint64_t from_ns, uint64_t units)
{
	double ns = (double)(clock_monotonic_ns() - from_ns) / (double)units;

	if (*least <= 0 || ns < *least)
		*least = ns;
}

static int time_round(const struct tracker_ops *ops, struct tracker *tracker, uint8_t *buffer, size_t page,
		      struct track_costs *costs, struct error *err)
{
	const struct tracker_sink sink = {ignore_written, NULL};
	const uint64_t bytes = TRIAL_PAGES * page;
	volatile uint64_t unused;
	uint64_t from = clock_monotonic_ns();
	int rc;

	for (uint64_t at = 0; at < bytes; at += SET_BLOCK_DEFAULT)
		unused = checksum(buffer + at, SET_BLOCK_DEFAULT);
	(void)unused;
	keep_least(&costs->hash_ns, from, TRIAL_PAGES);

	from = clock_monotonic_ns();
	rc = ops->collect(tracker, (uintptr_t)buffer, bytes, &sink, err);
	if (rc)
		return rc;
	keep_least(&costs->scan_ns, from, TRIAL_PAGES);

	from = clock_monotonic_ns();
	for (size_t i = 0; i < TRIAL_WRITTEN; i++)
		((volatile uint8_t *)buffer)[i * (TRIAL_PAGES / TRIAL_WRITTEN) * page]++;
	rc = ops->collect(tracker, (uintptr_t)buffer, bytes, &sink, err);
	keep_least(&costs->write_ns, from, TRIAL_WRITTEN);
	return rc;
}

static int time_tracker(const struct tracker_ops *ops, struct track_costs *costs, struct error *err)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = TRIAL_PAGES * page;
	struct tracker *tracker;
	uint8_t *buffer;
	int rc;

	*costs = (struct track_costs){0};
	buffer = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return error_nomem(err, "a trial of trackers");
	madvise(buffer, bytes, MADV_NOHUGEPAGE); /* written pages of a huge one are small ones */
	memset(buffer, 1, bytes);
	rc = ops->open(&tracker, err);
	if (rc)
		goto err_unmap;
	rc = ops->watch(tracker, (uintptr_t)buffer, bytes, err);
	for (int i = 0; i < TRIAL_ROUNDS && !rc; i++)
		rc = time_round(ops, tracker, buffer, page, costs, err);
	ops->close(tracker);
err_unmap:
	munmap(buffer, bytes);
	return rc;
}

/* uffd where it works and is clearly cheaper, else hash. */
static const struct tracker_ops *choose_by_trial(unsigned threads, char *reason, size_t capacity)
{
	struct track_costs costs;
	struct error err;
	bool pays;

	if (tracker_uffd.probe(&err)) {
		snprintf(reason, capacity, "uffd does not work here: %s", err.text);
		return &tracker_hash;
	}
	if (time_tracker(&tracker_uffd, &costs, &err)) {
		snprintf(reason, capacity, "uffd could not be timed: %s", err.text);
		return &tracker_hash;
	}
	if (threads > 1)
		costs.hash_ns /= threads;
	pays = tracker_pays(&costs);
	snprintf(reason, capacity,
		 "with uffd %.0f ns a page, and %.0f ns for one that was written, against %.0f ns to hash it",
		 costs.scan_ns, costs.write_ns, costs.hash_ns);
	return pays ? &tracker_uffd : &tracker_hash;
}

int tracker_choose(const char *name, unsigned threads, const struct tracker_ops **ops, char *reason,
		   size_t capacity, struct error *err)
{
	int rc;

	if (!name || !strcmp(name, "auto")) {
		*ops = choose_by_trial(threads, reason, capacity);
		return 0;
	}
	for (size_t i = 0; i < sizeof(trackers) / sizeof(trackers[0]); i++) {
		if (trackers[i]->abi != TRACKER_ABI || strcmp(trackers[i]->name, name))
			continue;
		rc = trackers[i]->probe(err);
		if (rc) {
			error_context(err, "tracker %s does not work here; take auto or hash", name);
			return rc;
		}
		*ops = trackers[i];
		snprintf(reason, capacity, "it was asked for");
		return 0;
	}
	return error_set(err, -EINVAL, "there is no tracker \"%s\"; there are auto, hash and uffd", name);
}
