/* SPDX-License-Identifier: BSD-3-Clause */
/* private_fd.c - the list of all that are open, for fork(2). */
#include "common/private_fd.h"

#include <pthread.h>
#include <unistd.h>

static struct private_fd *open_list;
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void fork_before(void)
{
	pthread_mutex_lock(&open_lock);
}

static void fork_in_parent(void)
{
	pthread_mutex_unlock(&open_lock);
}

static void fork_in_child(void)
{
	for (struct private_fd *p = open_list; p; p = p->next) {
		close(p->fd);
		p->fd = -1;
	}
	open_list = NULL;
	pthread_mutex_unlock(&open_lock);
}

static void fork_prepare(void)
{
	pthread_atfork(fork_before, fork_in_parent, fork_in_child);
}

void private_fd_opening(void)
{
	pthread_once(&fork_once, fork_prepare);
	pthread_mutex_lock(&open_lock);
}

void private_fd_opened(struct private_fd *private, int fd)
{
	*private = (struct private_fd){fd, open_list};
	if (fd >= 0)
		open_list = private;
	pthread_mutex_unlock(&open_lock);
}

void private_fd_close(struct private_fd *private)
{
	pthread_mutex_lock(&open_lock);
	for (struct private_fd **link = &open_list; *link; link = &(*link)->next) {
		if (*link != private)
			continue;
		*link = private->next;
		break;
	}
	if (private->fd >= 0)
		close(private->fd);
	private->fd = -1;
	pthread_mutex_unlock(&open_lock);
}
