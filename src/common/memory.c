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

#define HUGE_PAGE ((uintptr_t)2 << 20) /* where they are larger, this does nothing */
#define PAGE_MIN  4096

/* Is nothing of the huge page there? */
static bool is_fresh(uintptr_t at)
{
	uintptr_t pages = HUGE_PAGE / (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char resident[HUGE_PAGE / PAGE_MIN];

	if (mincore((void *)at, HUGE_PAGE, resident))
		return false;
	for (uintptr_t i = 0; i < pages; i++)
		if (resident[i] & 1)
			return false;
	return true;
}

void memory_will_fill(void *at, size_t bytes)
{
	uintptr_t from = ((uintptr_t)at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1), fresh;
	uintptr_t to = ((uintptr_t)at + bytes) & ~(HUGE_PAGE - 1);

	for (; from < to; from += HUGE_PAGE) {
		for (fresh = from; fresh < to && is_fresh(fresh);)
			fresh += HUGE_PAGE;
		if (fresh > from)
			madvise((void *)from, fresh - from, MADV_HUGEPAGE);
		from = fresh;
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
