/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * private_fd.h - descriptors that a child by fork(2) has no copy of: while it lived, that would keep what the parent gives up.
 * Thread-safe, each by itself.
 */
#ifndef HOLDFAST_PRIVATE_FD_H
#define HOLDFAST_PRIVATE_FD_H

#include <stddef.h>

/* It must stay where it is while it is open. */
struct private_fd {
	int fd; /* -1: none, or in a child */
	struct private_fd *next;
};

#define PRIVATE_FD_NONE ((struct private_fd){-1, NULL})

/* From here on a fork() waits for private_fd_opened(), which follows at once, with what was opened meanwhile; -1: nothing was. */
void private_fd_opening(void);
void private_fd_opened(struct private_fd *private, int fd);

/* Closes it, if there is one. */
void private_fd_close(struct private_fd *private);

#endif
