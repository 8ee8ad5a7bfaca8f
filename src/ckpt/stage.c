/* SPDX-License-Identifier: BSD-3-Clause */
/* stage.c - memory to copy into what is shipped later. */
#include "ckpt/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "common/copy.h"
#include "common/memory.h"
#include "common/size.h"
#include "common/thread.h"

#define HUGE_PAGE	((uint64_t)2 << 20)
#define PORTION_BYTES	((uint64_t)4 << 20) /* that a thread copies at a time */

/* What could be had without pushing anything out, by /proc/meminfo; UINT64_MAX where that does not tell. */
static uint64_t available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t kib = UINT64_MAX / 1024;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib * 1024;
}

int stage_reserve(struct stage *stage, uint64_t bytes, unsigned sharing,
		  void (*forget)(void *context, const void *at, uint64_t bytes), void *context)
{
	uint64_t wanted = size_round_up(bytes, HUGE_PAGE), here;
	int rc;

	if (wanted <= stage->bytes)
		return 0;
	if (stage->bytes)
		forget(context, stage->at, stage->bytes);
	stage_free(stage);
	here = available_bytes();
	/* Pages that are not there are got from other programs, or end one of them. */
	if (wanted > here / (sharing ? sharing : 1))
		return -ENOMEM;
	stage->at = mmap(NULL, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stage->at == MAP_FAILED) {
		stage->at = NULL;
		return -ENOMEM;
	}
	stage->bytes = wanted;
	/* A fork() while it is shipped from would have every page copied when the next checkpoint writes to it. */
	madvise(stage->at, wanted, MADV_DONTFORK);
	madvise(stage->at, wanted, MADV_HUGEPAGE);
	rc = memory_populate(stage->at, wanted);
	if (rc != ENOMEM && rc != EFAULT)
		return 0; /* where the kernel cannot do it ahead, the first copy does */
	stage_free(stage);
	return -ENOMEM;
}

void stage_free(struct stage *stage)
{
	if (stage->bytes)
		munmap(stage->at, stage->bytes);
	*stage = (struct stage){0};
}

struct copying {
	const struct stage_copy *list;
	size_t count;
	atomic_uint_fast64_t next; /* portion, of all of them in a row */
};

static uint64_t portions(const struct stage_copy *copy)
{
	return (copy->bytes + PORTION_BYTES - 1) / PORTION_BYTES;
}

/* Each portion is that of the thread that draws its number. */
static void copy_portions(void *arg)
{
	struct copying *copying = arg;
	uint64_t mine = atomic_fetch_add(&copying->next, 1), first = 0;

	for (size_t i = 0; i < copying->count; first += portions(&copying->list[i++])) {
		const struct stage_copy *copy = &copying->list[i];

		for (; mine < first + portions(copy); mine = atomic_fetch_add(&copying->next, 1)) {
			uint64_t from = (mine - first) * PORTION_BYTES, n = copy->bytes - from;

			copy_streaming(copy->to + from, copy->from + from, n < PORTION_BYTES ? n : PORTION_BYTES);
		}
	}
}

void stage_copy(const struct stage_copy *list, size_t count, unsigned threads)
{
	struct copying copying = {.list = list, .count = count};
	uint64_t all = 0;

	for (size_t i = 0; i < count; i++)
		all += portions(&list[i]);
	thread_crowd(all < threads ? (unsigned)all : threads, copy_portions, &copying);
}
