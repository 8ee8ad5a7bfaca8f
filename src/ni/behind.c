/* SPDX-License-Identifier: BSD-3-Clause */
/* behind.c - ranges that are being written, written back again and again by one thread. */
#include "ni/behind.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include "common/thread.h"

#define PAUSE_NS 50000000 /* between two rounds: the disk has begun long before a large set is there */

struct behind {
	TAILQ_ENTRY(behind) link;
	uint64_t file, offset, bytes;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	TAILQ_HEAD(, behind) all; /* guarded by lock, as the next */
	unsigned count;
} ranges = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .all = TAILQ_HEAD_INITIALIZER(ranges.all)};

/* The range that has waited longest, which is the last one from here on; false: there is none. */
static bool next(struct behind *range)
{
	struct behind *first;

	pthread_mutex_lock(&ranges.lock);
	first = TAILQ_FIRST(&ranges.all);
	if (first) {
		TAILQ_REMOVE(&ranges.all, first, link);
		TAILQ_INSERT_TAIL(&ranges.all, first, link);
		*range = *first;
	}
	pthread_mutex_unlock(&ranges.lock);
	return first;
}

static void write_back(const struct behind *range)
{
	struct mapping *mapping = mapping_use(range->file, range->offset, range->bytes);

	if (mapping)
		media->persist_begin(mapping->map, range->offset, range->bytes);
	mapping_release(mapping);
}

static unsigned wait_for_some(void)
{
	unsigned count;

	pthread_mutex_lock(&ranges.lock);
	while (!ranges.count)
		pthread_cond_wait(&ranges.wake, &ranges.lock);
	count = ranges.count;
	pthread_mutex_unlock(&ranges.lock);
	return count;
}

static void *behind_run(void *arg)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	struct behind range;

	for (;;) {
		for (unsigned left = wait_for_some(); left && next(&range); left--)
			write_back(&range);
		nanosleep(&pause, NULL);
	}
	return arg;
}

int behind_start(void)
{
	pthread_t thread;
	int rc = thread_begin(&thread, behind_run, NULL);

	if (!rc)
		pthread_detach(thread);
	return rc;
}

struct behind *behind_begin(const struct mapping *mapping, uint64_t offset, uint64_t bytes)
{
	struct behind *range;

	if (!media->persist_begin(mapping->map, offset, 0))
		return NULL;
	range = malloc(sizeof(*range));
	if (!range)
		return NULL;
	range->offset = offset;
	range->bytes = bytes;
	range->file = mapping->file;
	pthread_mutex_lock(&ranges.lock);
	TAILQ_INSERT_TAIL(&ranges.all, range, link);
	if (!ranges.count++)
		pthread_cond_signal(&ranges.wake);
	pthread_mutex_unlock(&ranges.lock);
	return range;
}

void behind_end(struct behind *range)
{
	if (!range)
		return;
	pthread_mutex_lock(&ranges.lock);
	TAILQ_REMOVE(&ranges.all, range, link);
	ranges.count--;
	pthread_mutex_unlock(&ranges.lock);
	free(range);
}
