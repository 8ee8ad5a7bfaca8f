/* SPDX-License-Identifier: BSD-3-Clause */
/* cow.c - pages as they were at one instant: protecting them, and reading them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include "ckpt/cow_inside.h"
#include "common/clock.h"
#include "common/thread.h"
#include "track/mapped.h"

#define RUN_BYTES     ((uint64_t)64 << 10) /* read at a time */
#define PORTION_BYTES ((uint64_t)64 << 20) /* protected at a time */
#define PAGEMAP_WP    ((uint64_t)1 << 57) /* Documentation/admin-guide/mm/pagemap.rst */
#define PROBE_PAGES   4u

/* ---- pages ---- */

uint32_t cow_intact(const struct cow *cow, uintptr_t begin, unsigned count)
{
	uint64_t entries[32];
	uint32_t bits = 0;
	ssize_t n = pread(cow->pagemap, entries, count * sizeof(entries[0]),
			  (off_t)(begin / cow->page_bytes * sizeof(entries[0])));

	for (unsigned i = 0; i < count && n >= (ssize_t)((i + 1) * sizeof(entries[0])); i++)
		bits |= entries[i] & PAGEMAP_WP ? 1u << i : 0;
	return bits;
}

uint32_t cow_copy(const struct cow *cow, uintptr_t begin, uint64_t bytes, void *into)
{
	const uintptr_t end = begin + bytes, first = begin / cow->page_bytes;
	uintptr_t at = begin, next, last;
	uint32_t bits = 0;

	while (at < end) {
		struct iovec here = {(uint8_t *)into + (at - begin), end - at}, there = {(void *)at, end - at};
		ssize_t n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);

		/* The pages that it has got through, and behind the one that it has not. */
		next = n > 0 ? at + (uintptr_t)n : at;
		last = next == end ? (end - 1) / cow->page_bytes + 1 : next / cow->page_bytes;
		for (uintptr_t page = at / cow->page_bytes; page < last; page++)
			bits |= 1u << (page - first);
		at = next == end ? end : (next / cow->page_bytes + 1) * cow->page_bytes;
	}
	return bits;
}

/* ---- set up ---- */

int cow_new(uint64_t kept_bytes, uint64_t timeout_ms, unsigned threads, struct cow **out, struct error *err)
{
	struct cow *cow = calloc(1, sizeof(*cow));

	if (!cow)
		return error_nomem(err, "copy-on-write checkpoints");
	cow->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	cow->kept.page_bytes = cow->page_bytes;
	cow->kept.most_bytes = kept_bytes;
	cow->timeout_ms = timeout_ms;
	cow->threads = threads;
	cow->fault.handle = PRIVATE_FD_NONE;
	cow->pagemap = cow->bell = -1;
	pthread_mutex_init(&cow->lock, NULL);
	pthread_cond_init(&cow->changed, NULL);
	*out = cow;
	return 0;
}

void cow_free(struct cow *cow)
{
	if (!cow)
		return;
	kept_free(&cow->kept);
	free(cow->areas);
	free(cow->by_address);
	free(cow);
}

int cow_begin(struct cow *cow, struct error *err)
{
	int rc;

	cow->area_count = 0;
	cow->pages = cow->passed = cow->faults = cow->kept_pages = 0;
	cow->repeatable = true;
	cow->ending = cow->lifted = false;
	cow->failed.code = 0;
	cow->next_page = cow->around = 0;
	atomic_store(&cow->waiting, 0);
	rc = userfault_open(&cow->fault, err);
	if (rc)
		return rc;
	cow->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	cow->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (cow->bell >= 0 && cow->pagemap >= 0)
		return 0;
	rc = error_set(err, -errno, "cannot open an eventfd, or /proc/self/pagemap: %s", strerror(errno));
	cow_end(cow);
	return rc;
}

static int areas_grow(struct cow *cow, struct error *err)
{
	size_t capacity = cow->area_capacity ? 2 * cow->area_capacity : 16;
	struct area *areas = reallocarray(cow->areas, capacity, sizeof(*areas));

	if (!areas)
		return error_nomem(err, "protected pages");
	cow->areas = areas;
	cow->area_capacity = capacity;
	return 0;
}

int cow_add(struct cow *cow, const struct cow_range *pages, const struct cow_range *within, const char *name, size_t *out,
	    struct error *err)
{
	struct area *area;
	int rc = cow->area_count == cow->area_capacity ? areas_grow(cow, err) : 0;

	for (size_t i = 0; i < cow->area_count && !rc; i++)
		if (pages->begin < cow->areas[i].end && cow->areas[i].begin < pages->end)
			rc = error_set(err, -EEXIST, "it overlaps segment '%s'", cow->areas[i].name);
	if (!rc)
		rc = mapped_private(within->begin, within->end - within->begin, err);
	if (!rc)
		rc = userfault_register(&cow->fault, within->begin, within->end - within->begin, err);
	if (rc)
		return rc;
	area = &cow->areas[cow->area_count];
	*area = (struct area){.begin = pages->begin, .end = pages->end, .registered = *within, .first = cow->pages};
	snprintf(area->name, sizeof(area->name), "%s", name);
	cow->pages += (pages->end - pages->begin) / cow->page_bytes;
	*out = cow->area_count++;
	return 0;
}

static int by_begin(const void *a, const void *b, void *context)
{
	const struct area *areas = context;
	uintptr_t left = areas[*(const size_t *)a].begin, right = areas[*(const size_t *)b].begin;

	return left < right ? -1 : left > right;
}

static int sort_areas(struct cow *cow)
{
	free(cow->by_address);
	cow->by_address = calloc(cow->area_count + 1, sizeof(*cow->by_address));
	if (!cow->by_address)
		return -ENOMEM;
	for (size_t i = 0; i < cow->area_count; i++)
		cow->by_address[i] = i;
	qsort_r(cow->by_address, cow->area_count, sizeof(*cow->by_address), by_begin, cow->areas);
	return 0;
}

/* ---- protecting ---- */

struct protecting {
	struct cow *cow;
	atomic_uint_fast64_t next; /* portion, of all of them in a row */
	atomic_int rc;
};

static int portion_protect(const struct cow *cow, uintptr_t begin, uint64_t bytes)
{
	uint64_t deadline = deadline_in_ms(cow->timeout_ms);
	int rc;

	while ((rc = userfault_protect(&cow->fault, begin, bytes, true)) == -EAGAIN && deadline_left_ms(deadline))
		sched_yield(); /* another thread changes the map: ours reads of it */
	return rc;
}

static void portions_protect(void *arg)
{
	struct protecting *p = arg;
	const struct cow *cow = p->cow;
	uint64_t mine = atomic_fetch_add(&p->next, 1), first = 0;

	for (size_t i = 0; i < cow->area_count && !atomic_load(&p->rc); i++) {
		uint64_t bytes = cow->areas[i].end - cow->areas[i].begin, from;
		uint64_t count = (bytes + PORTION_BYTES - 1) / PORTION_BYTES;

		for (; mine < first + count; mine = atomic_fetch_add(&p->next, 1)) {
			int rc;

			from = (mine - first) * PORTION_BYTES;
			rc = portion_protect(cow, cow->areas[i].begin + from,
					     bytes - from < PORTION_BYTES ? bytes - from : PORTION_BYTES);
			if (rc)
				atomic_store(&p->rc, rc);
		}
		first += count;
	}
}

int cow_protect(struct cow *cow, struct error *err)
{
	struct protecting protecting = {.cow = cow};
	unsigned threads = cow->pages * cow->page_bytes > PORTION_BYTES ? cow->threads : 1;
	int rc = kept_ready(&cow->kept, cow->pages);

	if (!rc)
		rc = sort_areas(cow);
	if (rc)
		return error_set(err, rc, "no memory for what pages are copied to: %s", strerror(-rc));
	rc = thread_begin(&cow->thread, cow_answer, cow);
	if (rc)
		return error_set(err, rc, "no thread could be begun that watches pages: %s", strerror(-rc));
	cow->answering = true;
	thread_crowd(threads, portions_protect, &protecting);
	rc = atomic_load(&protecting.rc);
	return rc ? error_set(err, rc, "cannot write-protect pages: %s", strerror(-rc)) : 0;
}

void cow_end(struct cow *cow)
{
	if (cow->answering) {
		pthread_mutex_lock(&cow->lock);
		cow->ending = true;
		pthread_cond_broadcast(&cow->changed);
		pthread_mutex_unlock(&cow->lock);
		cow_ring(cow);
		pthread_join(cow->thread, NULL);
		cow->answering = false;
	}
	userfault_close(&cow->fault);
	if (cow->bell >= 0)
		close(cow->bell);
	if (cow->pagemap >= 0)
		close(cow->pagemap);
	cow->bell = cow->pagemap = -1;
}

/* ---- reading ---- */

int cow_rewind(struct cow *cow, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&cow->lock);
	if (cow->failed.code)
		rc = error_set(err, cow->failed.code, "%s", cow->failed.text);
	else if (!cow->repeatable && cow->passed)
		rc = error_set(err, -ENODATA, "the connection was lost, and pages that had been shipped were written since, or "
			       "freed, with no copies of them (variable 'stage_bytes'): they cannot be shipped anew");
	else
		cow->passed = 0;
	pthread_mutex_unlock(&cow->lock);
	return rc;
}

/* Bytes [begin, end) of an area are in `into` as they are now; `got` has the pages that could be read. Makes them what they
 * were. With the lock. */
static int run_settle(struct cow *cow, const struct area *area, uintptr_t begin, uintptr_t end, uint32_t got, uint8_t *into)
{
	const uintptr_t first_at = begin & ~(uintptr_t)(cow->page_bytes - 1);
	const unsigned count = (unsigned)((end - first_at + cow->page_bytes - 1) / cow->page_bytes);
	uint32_t intact = got & cow_intact(cow, first_at, count);

	for (unsigned i = 0; i < count && !cow->failed.code; i++) {
		uintptr_t at = first_at + i * cow->page_bytes, from = at < begin ? begin : at;
		uintptr_t to = at + cow->page_bytes < end ? at + cow->page_bytes : end;
		const uint8_t *copy = kept_copy(&cow->kept, area->first + (at - area->begin) / cow->page_bytes);

		if (copy)
			memcpy(into + (from - begin), copy + (from - at), to - from);
		else if (!(intact & 1u << i))
			cow_fail(cow, -EIDRM, area->name, "was unmapped, or its pages given back, while an asynchronous "
				 "checkpoint was written from it");
	}
	return cow->failed.code;
}

/* Pages of the area up to `end` were read. With the lock. */
static void run_pass(struct cow *cow, const struct area *area, uintptr_t end)
{
	uint64_t before = cow->passed, passed = area->first + (end - area->begin) / cow->page_bytes;

	if (passed <= before)
		return;
	cow->passed = passed;
	if (!cow->repeatable)
		kept_drop(&cow->kept, before, passed);
	if (cow->releasing)
		pthread_cond_broadcast(&cow->changed);
}

int cow_read(struct cow *cow, size_t index, uint64_t offset, uint64_t bytes, void *into, struct error *err)
{
	const struct area *area = &cow->areas[index];
	uintptr_t at = area->begin + offset, end = at + bytes, next;
	int rc = 0;

	for (; at < end && !rc; into = (uint8_t *)into + (next - at), at = next) {
		uint32_t got;

		next = (at / RUN_BYTES + 1) * RUN_BYTES < end ? (at / RUN_BYTES + 1) * RUN_BYTES : end;
		got = cow_copy(cow, at, next - at, into);
		pthread_mutex_lock(&cow->lock);
		rc = cow->failed.code ? cow->failed.code : run_settle(cow, area, at, next, got, into);
		if (!rc)
			run_pass(cow, area, next);
		else
			error_set(err, rc, "%s", cow->failed.text);
		pthread_mutex_unlock(&cow->lock);
		if (atomic_load(&cow->waiting))
			cow_ring(cow);
	}
	return rc;
}

void cow_release(struct cow *cow, uintptr_t begin, uintptr_t end)
{
	pthread_mutex_lock(&cow->lock);
	cow->releasing++;
	for (size_t i = 0; i < cow->area_count; i++) {
		const struct area *area = &cow->areas[i];
		uint64_t last;

		if (begin >= area->end || end <= area->begin)
			continue;
		last = area->first + ((end < area->end ? end : area->end) - 1 - area->begin) / cow->page_bytes;
		while (cow->passed <= last && !cow->ending && !cow->failed.code)
			pthread_cond_wait(&cow->changed, &cow->lock);
	}
	cow->releasing--;
	pthread_mutex_unlock(&cow->lock);
}

void cow_stats(const struct cow *cow, struct cow_stats *stats)
{
	*stats = (struct cow_stats){cow->pages, cow->faults, cow->kept_pages};
}

/* ---- a trial ---- */

/* Page 1 is written by the program, page 2 by the kernel; page 3 is one that never was touched. */
static int probe_pages(struct cow *cow, uint8_t *pages, struct error *err)
{
	const size_t page = cow->page_bytes;
	uint8_t was[PROBE_PAGES], byte;
	const struct cow_range range = {(uintptr_t)pages, (uintptr_t)pages + PROBE_PAGES * page};
	size_t area;
	int zero, rc = cow_add(cow, &range, &range, "trial", &area, err);

	if (!rc)
		rc = cow_protect(cow, err);
	if (rc)
		return rc;
	((volatile uint8_t *)pages)[page] = 9;
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	if (zero < 0 || read(zero, pages + 2 * page, 1) != 1)
		rc = error_set(err, -EIO, "in a trial, the kernel could not write to a protected page: %s", strerror(errno));
	if (zero >= 0)
		close(zero);
	for (size_t i = 0; i < PROBE_PAGES && !rc; i++) {
		rc = cow_read(cow, area, i * page, 1, &byte, err);
		was[i] = byte;
	}
	if (!rc && (was[0] != 1 || was[1] != 1 || was[2] != 1 || was[3] || pages[page] != 9 || pages[2 * page]))
		rc = error_set(err, -EIO, "in a trial, protected pages were not what they had been");
	return rc;
}

int cow_probe(struct error *err)
{
	struct cow *cow;
	uint8_t *pages;
	int rc = cow_new(0, 1000, 1, &cow, err);

	if (rc)
		return rc;
	pages = mmap(NULL, PROBE_PAGES * cow->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED) {
		rc = error_nomem(err, "a trial of userfaultfd");
		goto err_free;
	}
	madvise(pages, PROBE_PAGES * cow->page_bytes, MADV_NOHUGEPAGE);
	memset(pages, 1, (PROBE_PAGES - 1) * cow->page_bytes);
	rc = cow_begin(cow, err);
	if (!rc) {
		rc = probe_pages(cow, pages, err);
		cow_end(cow);
	}
	munmap(pages, PROBE_PAGES * cow->page_bytes);
err_free:
	cow_free(cow);
	return rc;
}
