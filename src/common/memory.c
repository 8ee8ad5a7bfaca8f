/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.c - pages of this process. */
#include "common/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14, glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_PAGE ((uintptr_t)2 << 20) /* where they are larger, only the advice is in vain */
#define PAGE_MIN  4096

static uintptr_t least(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

/* Is nothing of these pages there? At most a huge page of them. */
static bool is_fresh(uintptr_t from, uintptr_t to, uintptr_t page)
{
	unsigned char resident[HUGE_PAGE / PAGE_MIN];

	if (mincore((void *)from, to - from, resident))
		return false;
	for (uintptr_t i = 0; i < (to - from) / page; i++)
		if (resident[i] & 1)
			return false;
	return true;
}

void memory_will_fill(void *at, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at & ~(page - 1);
	uintptr_t to = ((uintptr_t)at + bytes + page - 1) & ~(page - 1), fresh, next = to;

	for (; from < to; from = next) {
		/* As many as are fresh, each up to where a huge page would end. */
		for (fresh = from; fresh < to; fresh = next) {
			next = least((fresh | (HUGE_PAGE - 1)) + 1, to);
			if (!is_fresh(fresh, next, page))
				break;
		}
		if (fresh > from) {
			uintptr_t first = (from + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), last = fresh & ~(HUGE_PAGE - 1);

			if (last > first)
				madvise((void *)first, last - first, MADV_HUGEPAGE);
			memory_populate((void *)from, fresh - from);
		}
	}
}

int memory_populate(void *at, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)at & ~(page - 1);
	int rc;

	if (!bytes)
		return 0;
	do
		rc = madvise((void *)from, (uintptr_t)at + bytes - from, MADV_POPULATE_WRITE) ? errno : 0;
	while (rc == EINTR);
	return rc;
}
