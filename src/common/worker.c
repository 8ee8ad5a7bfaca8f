/* SPDX-License-Identifier: BSD-3-Clause */
/* worker.c - threads for long work: a queue, a lock, a condition. */
#include "common/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "common/thread.h"

struct work {
	void (*function)(void *arg);
	void *arg;
	struct work *next;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct work *first, **last; /* guarded by lock */
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.first};

static void *worker_run(void *unused)
{
	struct work *work;

	(void)unused;
	for (;;) {
		pthread_mutex_lock(&queue.lock);
		while (!queue.first)
			pthread_cond_wait(&queue.more, &queue.lock);
		work = queue.first;
		queue.first = work->next;
		if (!queue.first)
			queue.last = &queue.first;
		pthread_mutex_unlock(&queue.lock);
		work->function(work->arg);
		free(work);
	}
	return NULL;
}

int worker_start(unsigned count)
{
	pthread_t thread;
	int rc;

	for (unsigned i = 0; i < count; i++) {
		rc = thread_begin(&thread, worker_run, NULL);
		if (rc)
			return rc;
		pthread_detach(thread);
	}
	return 0;
}

int worker_submit(void (*function)(void *arg), void *arg)
{
	struct work *work = malloc(sizeof(*work));

	if (!work)
		return -ENOMEM;
	*work = (struct work){function, arg, NULL};
	pthread_mutex_lock(&queue.lock);
	*queue.last = work;
	queue.last = &work->next;
	pthread_cond_signal(&queue.more);
	pthread_mutex_unlock(&queue.lock);
	return 0;
}
