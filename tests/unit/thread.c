/* SPDX-License-Identifier: BSD-3-Clause */
/* thread.c - threads of the library's own: that they are there at once, leave signals alone, and can be done without. */
#include "common/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "unit.h"

static pthread_t caller;
static pthread_barrier_t all_there;
static _Atomic unsigned runs, deaf, faultless;
static unsigned allowed = UINT_MAX; /* threads that may yet begin */

static void meet(void *arg)
{
	sigset_t blocked;

	ck_assert_ptr_eq(arg, &runs);
	atomic_fetch_add(&runs, 1);
	pthread_barrier_wait(&all_there); /* for ever, if they were not all there at once */
	if (pthread_equal(caller, pthread_self()))
		return;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (sigismember(&blocked, SIGUSR1) && sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGCHLD))
		atomic_fetch_add(&deaf, 1);
	if (!sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGBUS))
		atomic_fetch_add(&faultless, 1);
}

START_TEST(a_crowd_is_there_at_once)
{
	static const unsigned sizes[] = {1, 2, 5};
	sigset_t before = {0}, after = {0};

	caller = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		runs = deaf = faultless = 0;
		ck_assert_int_eq(pthread_barrier_init(&all_there, NULL, sizes[i]), 0);
		thread_crowd(sizes[i], meet, &runs);
		pthread_barrier_destroy(&all_there);
		ck_assert_uint_eq(runs, sizes[i]);
		ck_assert_uint_eq(deaf, sizes[i] - 1);
		ck_assert_uint_eq(faultless, sizes[i] - 1);
	}
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	ck_assert(!memcmp(&before, &after, sizeof(before)));
}
END_TEST

static void count(void *arg)
{
	atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

/* Stands in for libc's, which some test is to do without. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (allowed == 0)
		return EAGAIN;
	allowed--;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attributes, run, arg);
}

START_TEST(fewer_or_none_do_as_well)
{
	_Atomic unsigned done = 0;

	thread_crowd(0, count, &done);
	ck_assert_uint_eq(done, 1);
	allowed = 2;
	thread_crowd(7, count, &done);
	ck_assert_uint_eq(done, 1 + 3);
	ck_assert_uint_eq(allowed, 0);
	thread_crowd(7, count, &done);
	ck_assert_uint_eq(done, 1 + 3 + 1);
}
END_TEST

START_TEST(processors_are_shared)
{
	cpu_set_t before, one;
	int first = 0;

	ck_assert_uint_ge(thread_processors(1), 1);
	ck_assert_uint_le(thread_processors(1), 8);
	ck_assert_uint_eq(thread_processors(0), thread_processors(1));
	ck_assert_uint_eq(thread_processors(100000), 1);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	if (CPU_COUNT(&before) > 1)
		ck_assert_uint_gt(thread_processors(1), 1);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	ck_assert_uint_eq(thread_processors(1), 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(before), &before), 0);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("thread");

	unit_add(suite, "crowd", a_crowd_is_there_at_once, 30);
	unit_add(suite, "fewer", fewer_or_none_do_as_well, 30);
	unit_add(suite, "processors", processors_are_shared, 10);
	return suite;
}
