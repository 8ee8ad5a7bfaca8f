/* SPDX-License-Identifier: BSD-3-Clause */
/* userfault.c - userfaultfd(2) for write protection. Source: ioctl_userfaultfd(2), userfaultfd(2). */
#include "ckpt/userfault.h"

#include <errno.h>
#include <fcntl.h>
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
	int fd, rc;

	private_fd_opening();
	fd = rc = descriptor_new(err);
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		rc = error_set(err, -errno, "userfaultfd: %s (Linux 6.4 is needed)", strerror(errno));
		close(fd);
	}
	private_fd_opened(&u->handle, rc < 0 ? -1 : fd);
	return rc < 0 ? rc : 0;
}

void userfault_close(struct userfault *u)
{
	private_fd_close(&u->handle);
}

int userfault_register(const struct userfault *u, uintptr_t begin, uint64_t bytes, struct error *err)
{
	struct uffdio_register range = {.range = {begin, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (!ioctl(u->handle.fd, UFFDIO_REGISTER, &range))
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
		ioctl(u->handle.fd, UFFDIO_UNREGISTER, &range); /* fails where the memory is gone */
		if (between)
			between(context);
	}
}

int userfault_protect(const struct userfault *u, uintptr_t begin, uint64_t bytes, bool on)
{
	struct uffdio_writeprotect range = {.range = {begin, bytes}, .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};

	return ioctl(u->handle.fd, UFFDIO_WRITEPROTECT, &range) ? -errno : 0;
}

void userfault_wake(const struct userfault *u, uintptr_t begin, uint64_t bytes)
{
	struct uffdio_range range = {begin, bytes};

	ioctl(u->handle.fd, UFFDIO_WAKE, &range);
}

unsigned userfault_read(const struct userfault *u, struct uffd_msg *messages, unsigned most)
{
	ssize_t n = read(u->handle.fd, messages, most * sizeof(*messages));

	return n > 0 ? (unsigned)((size_t)n / sizeof(*messages)) : 0;
}
