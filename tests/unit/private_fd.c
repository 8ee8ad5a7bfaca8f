/* SPDX-License-Identifier: BSD-3-Clause */
/* private_fd.c - descriptors that children do not get. */
#include "common/private_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "unit.h"

static void open_one(struct private_fd *private)
{
	private_fd_opening();
	private_fd_opened(private, open("/dev/null", O_RDWR | O_CLOEXEC));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0 || errno != EBADF;
}

/* What the child finds: exit status 0 where it is as it should be. */
static int child_looks(struct private_fd *all, const int *numbers, int closed)
{
	for (int i = 0; i < 3; i++) {
		if (all[i].fd != -1 || (i != closed && is_open(numbers[i])))
			return 1;
	}
	open_one(&all[0]); /* it may have its own */
	private_fd_close(&all[0]);
	for (int i = 0; i < 3; i++)
		private_fd_close(&all[i]);
	return 0;
}

/* Whichever of three was closed before. */
START_TEST(a_child_has_none)
{
	struct private_fd all[3] = {PRIVATE_FD_NONE, PRIVATE_FD_NONE, PRIVATE_FD_NONE};
	int numbers[3], status;
	pid_t child;

	for (int i = 0; i < 3; i++) {
		open_one(&all[i]);
		ck_assert_int_ge(all[i].fd, 0);
		numbers[i] = all[i].fd;
	}
	private_fd_close(&all[_i]);
	ck_assert_int_eq(all[_i].fd, -1);
	ck_assert(!is_open(numbers[_i]));
	child = fork();
	if (!child)
		_exit(child_looks(all, numbers, _i));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", status);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(is_open(numbers[i]), i != _i);
		private_fd_close(&all[i]);
		ck_assert(!is_open(numbers[i]));
	}
}
END_TEST

START_TEST(none_is_closed_as_well)
{
	struct private_fd none = PRIVATE_FD_NONE;

	private_fd_close(&none);
	private_fd_opening();
	private_fd_opened(&none, -1);
	private_fd_close(&none);
	ck_assert_int_eq(none.fd, -1);
}
END_TEST

static atomic_bool over;

/* What Check allocates in a thread is lost in a child. */
static void *open_and_close(void *arg)
{
	struct private_fd private;

	(void)arg;
	while (!atomic_load(&over)) {
		open_one(&private);
		private_fd_close(&private);
	}
	return NULL;
}

/* There is no moment between a descriptor's opening and its place in the list. */
START_TEST(a_child_has_none_whenever_it_is_forked)
{
	int before = open("/dev/null", O_RDWR | O_CLOEXEC), status;
	pthread_t thread;
	pid_t child;

	close(before); /* the number that each has */
	ck_assert(!pthread_create(&thread, NULL, open_and_close, NULL));
	for (unsigned i = unit_rounds(3000, 300, 30); i; i--) {
		child = fork();
		if (!child)
			_exit(is_open(before));
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%u forks before the end: status %x", i - 1, status);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("private_fd");
	TCase *tc = tcase_create("fork");

	tcase_add_loop_test(tc, a_child_has_none, 0, 3);
	suite_add_tcase(suite, tc);
	unit_add(suite, "none", none_is_closed_as_well, 10);
	unit_add(suite, "any time", a_child_has_none_whenever_it_is_forked, 60);
	return suite;
}
