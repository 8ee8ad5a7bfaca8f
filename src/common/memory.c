/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.c - pages of this process. */
#include "common/memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14, glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

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
