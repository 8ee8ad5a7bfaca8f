/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uffd.c - the tracker that has the kernel note which pages are written: userfaultfd's asynchronous write
 * protection, read out by PAGEMAP_SCAN. Linux 6.7 and newer; no privilege is needed.
 *
 * A registered page is write-protected; its first write, by the program or by the kernel on its behalf,
 * makes a fault that the kernel resolves alone and that lifts the protection. A collect is one walk over the
 * page tables that returns each page's state, and protects what was written again, atomically
 * (enum uffd_state).
 *
 * A page never touched has a marker in the page table, which counts as SWAPPED. Only private anonymous memory
 * is watched: others could write to shared memory and files without a fault of ours. (PAGEMAP_SCAN of
 * huge pages of hugetlbfs deadlocks on some kernels, and those are files.)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/private_fd.h"
#include "track/mapped.h"
#include "track/tracker.h"
#include "track/uffd.h"
#include "track/uffd_abi.h"

#define REGIONS	    1024u /* what one PAGEMAP_SCAN returns */
#define TRIES	    1000
#define PROBE_PAGES 8u

struct tracker {
	struct private_fd uffd, pagemap;
	struct page_region regions[REGIONS];
};

static int uffd_new(struct error *err)
{
	struct uffdio_api api = {.api = UFFD_API,
				 .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED};
	int code, uffd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		return error_set(err, -errno, "userfaultfd: %s%s", strerror(errno),
				 errno == EPERM ? " (a container's system call filter?)" : "");
	if (!ioctl(uffd, UFFDIO_API, &api))
		return uffd;
	code = errno;
	close(uffd);
	return error_set(err, -code, "asynchronous write protection: %s (Linux 6.7 is needed)",
			 strerror(code));
}

static void uffd_close(struct tracker *tracker)
{
	if (!tracker)
		return;
	private_fd_close(&tracker->uffd);
	private_fd_close(&tracker->pagemap);
	free(tracker);
}

static int uffd_open(struct tracker **tracker, struct error *err)
{
	struct tracker *new = malloc(sizeof(*new));
	int fd, rc;

	if (!new)
		return error_nomem(err, "a tracker");
	new->pagemap = PRIVATE_FD_NONE;
	private_fd_opening();
	rc = uffd_new(err);
	private_fd_opened(&new->uffd, rc);
	if (rc < 0)
		goto err_close;
	private_fd_opening();
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	rc = fd < 0 ? error_set(err, -errno, "cannot open /proc/self/pagemap: %s", strerror(errno)) : 0;
	private_fd_opened(&new->pagemap, fd);
	if (rc)
		goto err_close;
	*tracker = new;
	return 0;

err_close:
	uffd_close(new);
	return rc;
}

static int uffd_protect(struct tracker *tracker, uintptr_t begin, uint64_t bytes, struct error *err)
{
	struct uffdio_writeprotect range = {.range = {begin, bytes}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

	for (int i = 0; i < TRIES; i++) {
		if (!ioctl(tracker->uffd.fd, UFFDIO_WRITEPROTECT, &range))
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return error_set(err, -errno, "cannot write-protect it: %s", strerror(errno));
}

static int uffd_watch(struct tracker *tracker, uintptr_t begin, uint64_t bytes, struct error *err)
{
	struct uffdio_register range = {.range = {begin, bytes}, .mode = UFFDIO_REGISTER_MODE_WP};
	int rc = mapped_private(begin, bytes, err);

	if (rc)
		return rc;
	if (ioctl(tracker->uffd.fd, UFFDIO_REGISTER, &range))
		return error_set(err, -errno, "cannot register it with userfaultfd: %s%s", strerror(errno),
				 errno == EBUSY ? " (something else in this process has)" : "");
	return uffd_protect(tracker, begin, bytes, err);
}

static void uffd_unwatch(struct tracker *tracker, uintptr_t begin, uint64_t bytes)
{
	struct uffdio_range range = {begin, bytes};

	ioctl(tracker->uffd.fd, UFFDIO_UNREGISTER, &range); /* fails where the memory is gone */
}

enum uffd_state uffd_state(uint64_t categories)
{
	if (!(categories & PAGE_IS_WPALLOWED))
		return UFFD_LOST;
	if (categories & PAGE_IS_WRITTEN)
		return UFFD_WRITTEN;
	return categories & (PAGE_IS_PRESENT | PAGE_IS_SWAPPED) ? UFFD_CLEAN : UFFD_EMPTIED;
}

/* Reports [begin, end), which has these categories, and sees to it that it is watched on. */
static int uffd_report(struct tracker *tracker, uintptr_t begin, uintptr_t end, uint64_t categories,
		       const struct tracker_sink *sink, struct error *err)
{
	int rc = 0;

	if (begin == end)
		return 0;
	switch (uffd_state(categories)) {
	case UFFD_CLEAN:
		return 0;
	case UFFD_WRITTEN:
		break;
	case UFFD_EMPTIED:
		rc = uffd_protect(tracker, begin, end - begin, err);
		break;
	case UFFD_LOST:
		rc = uffd_watch(tracker, begin, end - begin, err);
		break;
	}
	if (!rc)
		sink->written(sink->context, begin, end - begin);
	return rc;
}

/* Reports of [*at, end) what one PAGEMAP_SCAN returns, and moves *at behind it. */
static int uffd_scan(struct tracker *tracker, uintptr_t *at, uintptr_t end,
		     const struct tracker_sink *sink, struct error *err)
{
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING, /* protects only what is WRITTEN of what matches */
		.start = *at,
		.end = end,
		.vec = (uintptr_t)tracker->regions,
		.vec_len = REGIONS,
		.category_mask = PAGE_IS_WPALLOWED,
		.return_mask = PAGE_IS_WPALLOWED | PAGE_IS_WRITTEN | PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	long count = ioctl(tracker->pagemap.fd, PAGEMAP_SCAN, &scan);
	int rc = 0;

	if (count < 0)
		return error_set(err, -errno, "PAGEMAP_SCAN: %s", strerror(errno));
	for (long i = 0; i < count && !rc; i++) {
		const struct page_region *region = &tracker->regions[i];

		rc = uffd_report(tracker, *at, region->start, 0, sink, err);
		if (!rc)
			rc = uffd_report(tracker, region->start, region->end, region->categories, sink, err);
		*at = region->end;
	}
	if (!rc && scan.walk_end > *at) {
		rc = uffd_report(tracker, *at, scan.walk_end, 0, sink, err);
		*at = scan.walk_end;
	}
	return rc;
}

/* A PAGEMAP_SCAN that failed may have protected pages without having told: it is not tried again. */
static int uffd_collect(struct tracker *tracker, uintptr_t begin, uint64_t bytes,
			const struct tracker_sink *sink, struct error *err)
{
	uintptr_t at = begin, end = begin + bytes, before;
	int rc;

	while (at < end) {
		before = at;
		rc = uffd_scan(tracker, &at, end, sink, err);
		if (rc)
			return rc;
		if (at == before)
			return error_set(err, -EIO, "PAGEMAP_SCAN does not get on");
	}
	return 0;
}

struct probe {
	uint8_t *pages;
	size_t page_bytes;
	unsigned written; /* a bit a page */
};

static void probe_written(void *context, uintptr_t begin, uint64_t bytes)
{
	struct probe *probe = context;
	uint64_t first = (begin - (uintptr_t)probe->pages) / probe->page_bytes;

	for (uint64_t i = 0; i < bytes / probe->page_bytes; i++)
		probe->written |= 1u << (first + i);
}

static int probe_collect(struct tracker *tracker, struct probe *probe, unsigned expected, const char *when,
			 struct error *err)
{
	const struct tracker_sink sink = {probe_written, probe};
	int rc;

	probe->written = 0;
	rc = uffd_collect(tracker, (uintptr_t)probe->pages, PROBE_PAGES * probe->page_bytes, &sink, err);
	if (!rc && probe->written != expected)
		rc = error_set(err, -EIO, "in a trial, pages %#x were found written and not %#x, %s",
			       probe->written, expected, when);
	return rc;
}

/* Changes pages 1, 3, 5 and 7 in four ways; the others were written, read, or never touched. */
static int probe_change(struct probe *probe, struct error *err)
{
	const int protection = PROT_READ | PROT_WRITE;
	uint8_t *pages = probe->pages;
	size_t bytes = probe->page_bytes;
	int zero, failed;

	pages[1 * bytes] = 2;
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	failed = zero < 0 || read(zero, pages + 3 * bytes, 1) != 1 ||
		 madvise(pages + 5 * bytes, bytes, MADV_DONTNEED) ||
		 mmap(pages + 7 * bytes, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			 MAP_FAILED;
	if (failed)
		error_set(err, -errno, "a trial failed: %s", strerror(errno));
	if (zero >= 0)
		close(zero);
	return failed ? -EIO : 0;
}

static int probe_try(struct tracker *tracker, struct probe *probe, struct error *err)
{
	const size_t bytes = PROBE_PAGES * probe->page_bytes;
	int rc;

	madvise(probe->pages, bytes, MADV_NOHUGEPAGE);
	memset(probe->pages, 1, bytes - 2 * probe->page_bytes); /* two are never touched */
	rc = uffd_watch(tracker, (uintptr_t)probe->pages, bytes, err);
	if (!rc)
		rc = probe_collect(tracker, probe, 0, "before any was", err);
	if (!rc)
		rc = probe_change(probe, err);
	if (!rc)
		rc = probe_collect(tracker, probe, 0xaa, "after some were", err);
	return rc ? rc : probe_collect(tracker, probe, 0, "after that", err);
}

static int uffd_probe(struct error *err)
{
	const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	struct probe probe = {.page_bytes = page_bytes};
	struct tracker *tracker;
	int rc = uffd_open(&tracker, err);

	if (rc)
		return rc;
	probe.pages = mmap(NULL, PROBE_PAGES * page_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe.pages == MAP_FAILED) {
		rc = error_nomem(err, "a trial of userfaultfd");
	} else {
		rc = probe_try(tracker, &probe, err);
		munmap(probe.pages, PROBE_PAGES * page_bytes);
	}
	uffd_close(tracker);
	return rc;
}

const struct tracker_ops tracker_uffd = {
	.abi = TRACKER_ABI,
	.name = "uffd",
	.probe = uffd_probe,
	.open = uffd_open,
	.close = uffd_close,
	.watch = uffd_watch,
	.unwatch = uffd_unwatch,
	.collect = uffd_collect,
};
