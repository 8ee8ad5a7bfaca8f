/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * userfault.h - userfaultfd(2) for write protection, with writes by the kernel on the program's behalf (read(2), recv(2))
 * as well as the program's own: it needs /dev/userfaultfd, CAP_SYS_PTRACE or vm.unprivileged_userfaultfd = 1; and Linux 6.4.
 * Functions return 0 or -errno.
 */
#ifndef HOLDFAST_USERFAULT_H
#define HOLDFAST_USERFAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/userfaultfd.h>
#include "common/error.h"
#include "common/private_fd.h"

/* It must stay where it is while it is open. */
struct userfault {
	struct private_fd handle; /* for poll(2) */
};

/* A child of fork() has no copy of it, and none of what was registered. */
int userfault_open(struct userfault *userfault, struct error *err);

/* Whatever is registered still is not any more, and nobody waits. Takes a closed one. */
void userfault_close(struct userfault *userfault);

/* Whole pages of private memory. */
int userfault_register(const struct userfault *userfault, uintptr_t begin, uint64_t bytes, struct error *err);

/* In portions, so that the application's own page faults need not wait for long. `between` is called after each. */
void userfault_unregister(const struct userfault *userfault, uintptr_t begin, uint64_t bytes,
			  void (*between)(void *context), void *context);

/* Protects pages, or lifts that, which wakes who waits for them. -EAGAIN: the memory's map is changing, and an event tells of it:
 * read that, and try again. */
int userfault_protect(const struct userfault *userfault, uintptr_t begin, uint64_t bytes, bool on);

/* Has whoever waits for these pages look once more. */
void userfault_wake(const struct userfault *userfault, uintptr_t begin, uint64_t bytes);

/* Takes messages that are there: how many, at most `most`; 0: there are none. */
unsigned userfault_read(const struct userfault *userfault, struct uffd_msg *messages, unsigned most);

#endif
