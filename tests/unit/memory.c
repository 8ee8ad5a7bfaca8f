/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.c - pages that are faulted in by one call. */
#include "common/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "unit.h"

#define PAGES 8
#define HUGE  (2u << 20)

static size_t page;

static uint8_t *pages_new(void)
{
	uint8_t *at = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(at != MAP_FAILED);
	return at;
}

static unsigned resident(uint8_t *at)
{
	unsigned char map[PAGES];
	unsigned found = 0;

	ck_assert_int_eq(mincore(at, PAGES * page, map), 0);
	for (unsigned i = 0; i < PAGES; i++)
		found |= (map[i] & 1u) << i;
	return found;
}

START_TEST(each_page_with_a_byte_of_it_is_there_and_no_other)
{
	uint8_t *at = pages_new();
	int rc = memory_populate(at + 2 * page - 1, page + 2);

	if (rc != EINVAL && rc != ENOSYS) { /* else it is before Linux 5.14 */
		ck_assert_int_eq(rc, 0);
		ck_assert_uint_eq(resident(at), 0xe);
	}
	munmap(at, PAGES * page);
}
END_TEST

START_TEST(no_byte_changes)
{
	uint8_t *at = pages_new();

	memset(at + page, 7, 2 * page);
	memory_populate(at, 4 * page);
	for (size_t i = 0; i < 4 * page; i++)
		ck_assert_uint_eq(at[i], i >= page && i < 3 * page ? 7 : 0);
	munmap(at, PAGES * page);
}
END_TEST

START_TEST(nothing_is_populated_for_nothing)
{
	uint8_t *at = pages_new();

	ck_assert_int_eq(memory_populate(at, 0), 0);
	ck_assert_uint_eq(resident(at), 0);
	munmap(at, PAGES * page);
}
END_TEST

START_TEST(what_is_not_there_is_an_error)
{
	uint8_t *at = pages_new();

	munmap(at + page, page);
	ck_assert_int_ne(memory_populate(at, 3 * page), 0);
	munmap(at, PAGES * page);
}
END_TEST

/* Does the kernel list the flag for the mapping at that address? */
static bool has_flag(const void *at, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long begin = 0, end = 0, from, to;
	bool found = false;
	char line[512];

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			begin = from, end = to;
		if ((unsigned long)at >= begin && (unsigned long)at < end && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	fclose(maps);
	return found;
}

START_TEST(fresh_memory_is_advised_huge_pages_and_no_other)
{
	size_t bytes = 8 * HUGE, changed = 0;
	static unsigned char there[8 * HUGE / 4096];
	uint8_t *all = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)all + HUGE - 1) & ~(uintptr_t)(HUGE - 1));

	ck_assert(all != MAP_FAILED);
	at[3 * HUGE + page] = 1;
	memory_will_fill(at + page, bytes - 2 * page); /* the first and the last are not whole */
	ck_assert_int_eq(mincore(at, bytes, there), 0);
	ck_assert(!(there[0] & 1) && !(there[bytes / page - 1] & 1));
	ck_assert(there[1] & there[HUGE / page] & there[bytes / page - 2] & 1);
	ck_assert(!(there[3 * HUGE / page] & 1)); /* some of it was there: it is left alone */
	if (madvise(at, HUGE, MADV_HUGEPAGE)) {
		fprintf(stderr, "# this kernel has no huge pages: %s\n", strerror(errno));
	} else {
		ck_assert(has_flag(at + HUGE, " hg"));
		ck_assert(has_flag(at + 2 * HUGE, " hg"));
		ck_assert(!has_flag(at + 3 * HUGE, " hg"));
		ck_assert(has_flag(at + 4 * HUGE, " hg"));
		ck_assert(has_flag(at + 6 * HUGE, " hg"));
		ck_assert(!has_flag(at + 7 * HUGE, " hg"));
	}
	for (size_t i = 0; i < bytes; i++)
		changed += at[i] != (i == 3 * HUGE + page);
	ck_assert_uint_eq(changed, 0);
	munmap(all, bytes + HUGE);
}
END_TEST

START_TEST(memory_that_is_not_there_is_left_alone)
{
	uint8_t *all = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(all != MAP_FAILED);
	munmap(all, 4 * HUGE);
	memory_will_fill(all, 4 * HUGE);
	memory_will_fill(NULL, 0);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("memory");

	page = (size_t)sysconf(_SC_PAGESIZE);
	unit_add(suite, "pages", each_page_with_a_byte_of_it_is_there_and_no_other, 10);
	unit_add(suite, "bytes", no_byte_changes, 10);
	unit_add(suite, "nothing", nothing_is_populated_for_nothing, 10);
	unit_add(suite, "huge", fresh_memory_is_advised_huge_pages_and_no_other, 10);
	unit_add(suite, "unmapped", memory_that_is_not_there_is_left_alone, 10);
	unit_add(suite, "error", what_is_not_there_is_an_error, 10);
	return suite;
}
