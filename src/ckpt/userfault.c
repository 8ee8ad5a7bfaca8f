/* SPDX-License-Identifier: BSD-3-Clause */
/* userfault.c - userfaultfd(2) for write protection. Source: ioctl_userfaultfd(2), userfaultfd(2). */
#include "ckpt/userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "track/uffd_abi.h"

#ifndef USERFAULTFD_IOC_NEW /* Linux 6.1 */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define FEATURES                                                                                                       \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE |                       \
	 UFFD_FEATURE_WP_UNPOPULATED)
#define PORTION_BYTES ((uint64_t)8 << 20)

/* All open ones of the process. While a child had copies of their descriptors, the parent's memory would stay registered. */
static struct userfault *open_list;
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
	for (struct userfault *u = open_list; u; u = u->next) {
		close(u->fd);
		u->fd = -1;
	}
	open_list = NULL;
	pthread_mutex_unlock(&open_lock);
}

static void fork_prepare(void)
{
	pthread_atfork(fork_before, fork_in_parent, fork_in_child);
}

static int descriptor_new(struct error *err)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), why = errno, fd;

	if (device >= 0) {
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
		close(device);
		if (fd >= 0)
			return fd;
	}
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	return error_set(err, -errno, "userfaultfd: %s; /dev/userfaultfd: %s (whoever may open that device, by a rule of "
			 "udev, may use it; so may all where vm.unprivileged_userfaultfd is 1)", strerror(errno),
			 strerror(why));
}

int userfault_open(struct userfault *u, struct error *err)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
	int rc;

	pthread_once(&fork_once, fork_prepare);
	pthread_mutex_lock(&open_lock); /* no fork between open and list */
	u->fd = rc = descriptor_new(err);
	if (rc >= 0 && ioctl(u->fd, UFFDIO_API, &api)) {
		rc = error_set(err, -errno, "userfaultfd: %s (Linux 6.4 is needed)", strerror(errno));
		close(u->fd);
		u->fd = -1;
	}
	if (rc >= 0) {
		u->next = open_list;
		open_list = u;
	}
	pthread_mutex_unlock(&open_lock);
	return rc < 0 ? rc : 0;
}

void userfault_close(struct userfault *u)
{
	pthread_mutex_lock(&open_lock);
	for (struct userfault **link = &open_list; *link; link = &(*link)->next) {
		if (*link != u)
			continue;
		*link = u->next;
		break;
	}
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	pthread_mutex_unlock(&open_lock);
}

int userfault_register(const struct userfault *u, uintptr_t begin, uint64_t bytes, struct error *err)
{
	struct uffdio_register range = {.range = {begin, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (!ioctl(u->fd, UFFDIO_REGISTER, &range))
		return 0;
	return error_set(err, -errno, "cannot register it with userfaultfd: %s%s", strerror(errno),
			 errno == EBUSY ? " (something else in this process has)" : "");
}

void userfault_unregister(const struct userfault *u, uintptr_t begin, uint64_t bytes, void (*between)(void *context),
			  void *context)
{
	const uintptr_t end = begin + bytes;

	for (; begin < end; begin += bytes) {
		struct uffdio_range range;

		bytes = end - begin < PORTION_BYTES ? end - begin : PORTION_BYTES;
		range = (struct uffdio_range){begin, bytes};
		ioctl(u->fd, UFFDIO_UNREGISTER, &range); /* fails where the memory is gone */
		if (between)
			between(context);
	}
}

int userfault_protect(const struct userfault *u, uintptr_t begin, uint64_t bytes, bool on)
{
	struct uffdio_writeprotect range = {.range = {begin, bytes}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

	return ioctl(u->fd, UFFDIO_WRITEPROTECT, &range) ? -errno : 0;
}

void userfault_wake(const struct userfault *u, uintptr_t begin, uint64_t bytes)
{
	struct uffdio_range range = {begin, bytes};

	ioctl(u->fd, UFFDIO_WAKE, &range);
}

unsigned userfault_read(const struct userfault *u, struct uffd_msg *messages, unsigned most)
{
	ssize_t n = read(u->fd, messages, most * sizeof(*messages));

	return n > 0 ? (unsigned)((size_t)n / sizeof(*messages)) : 0;
}
