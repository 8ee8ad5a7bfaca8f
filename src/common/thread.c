/* SPDX-License-Identifier: BSD-3-Clause */
/* thread.c - threads of the library's own, in processes that are others'. */
#include "common/thread.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#define CROWD_MAX      64
#define PROCESSORS_MAX 8

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};

int thread_begin(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t blocked, before;
	int rc;

	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&blocked, faults[i]);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	rc = -pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

struct crowd {
	void (*work)(void *arg);
	void *arg;
};

static void *crowd_run(void *arg)
{
	const struct crowd *crowd = arg;

	crowd->work(crowd->arg);
	return NULL;
}

void thread_crowd(unsigned threads, void (*work)(void *arg), void *arg)
{
	struct crowd crowd = {work, arg};
	pthread_t others[CROWD_MAX];
	unsigned count = 0;

	while (count + 1 < threads && count < CROWD_MAX && !thread_begin(&others[count], crowd_run, &crowd))
		count++;
	work(arg);
	while (count)
		pthread_join(others[--count], NULL);
}

void thread_await(sem_t *posted)
{
	while (sem_wait(posted) && errno == EINTR)
		continue;
}

unsigned thread_processors(unsigned sharing)
{
	const size_t configured = (size_t)sysconf(_SC_NPROCESSORS_CONF), bytes = CPU_ALLOC_SIZE(configured);
	unsigned share = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) / (sharing ? sharing : 1);
	cpu_set_t *bound = CPU_ALLOC(configured);

	/* A process that is bound to processors has no others. */
	if (bound && !sched_getaffinity(0, bytes, bound) && (unsigned)CPU_COUNT_S(bytes, bound) < share)
		share = (unsigned)CPU_COUNT_S(bytes, bound);
	CPU_FREE(bound);
	if (share > PROCESSORS_MAX)
		share = PROCESSORS_MAX;
	return share ? share : 1;
}
