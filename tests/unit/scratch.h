/* SPDX-License-Identifier: BSD-3-Clause */
/* scratch.h - a directory for each test, in memory where there is /dev/shm, gone after it. */
#ifndef HOLDFAST_SCRATCH_H
#define HOLDFAST_SCRATCH_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[200];

static inline int scratch_remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static inline void scratch_remove(void)
{
	nftw(scratch, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_make(void)
{
	const char *base = getenv("TMPDIR");

	if (!access("/dev/shm", W_OK))
		base = "/dev/shm";
	snprintf(scratch, sizeof(scratch), "%s/hf-unit-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
}

/* "DIRECTORY/NAME" in one of four buffers. */
static inline const char *scratch_path(const char *name)
{
	static char paths[4][300];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

static inline void scratch_write(const char *name, const void *bytes, size_t n)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* -1: there is no such file. */
static inline long long scratch_file_bytes(const char *name)
{
	struct stat st;

	return stat(scratch_path(name), &st) ? -1 : (long long)st.st_size;
}

/* Runs the test for 0 .. loops - 1. Each has its own directory, which is made and
 * removed outside of the test's process, and so whatever becomes of that. */
static inline void scratch_add_loop(Suite *suite, const char *name, const TTest *test, int loops,
				    double seconds)
{
	for (int i = 0; i < loops; i++) {
		TCase *tcase = tcase_create(name);

		tcase_set_timeout(tcase, seconds);
		tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
		tcase_add_loop_test(tcase, test, i, i + 1);
		suite_add_tcase(suite, tcase);
	}
}

static inline void scratch_add(Suite *suite, const char *name, const TTest *test, double seconds)
{
	scratch_add_loop(suite, name, test, 1, seconds);
}

#endif
