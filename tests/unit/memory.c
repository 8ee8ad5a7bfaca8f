/* SPDX-License-Identifier: BSD-3-Clause */
/* memory.c - pages that are faulted in by one call. */
#include "common/memory.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "unit.h"

#define PAGES 8

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

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("memory");

	page = (size_t)sysconf(_SC_PAGESIZE);
	unit_add(suite, "pages", each_page_with_a_byte_of_it_is_there_and_no_other, 10);
	unit_add(suite, "bytes", no_byte_changes, 10);
	unit_add(suite, "nothing", nothing_is_populated_for_nothing, 10);
	unit_add(suite, "error", what_is_not_there_is_an_error, 10);
	return suite;
}
