/* SPDX-License-Identifier: BSD-3-Clause */
/* inject.c - faults of clock, memory and medium. */
#include "inject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "common/sanitized.h"

_Static_assert(offsetof(struct inject, write_back_pid) == 8 && offsetof(struct inject, memory_asked) == 32,
	       "tests/system/random-faults.sh writes it, too");

static struct inject nothing;
static volatile struct inject *inject = &nothing;

static void inject_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, sizeof(*inject), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		inject = at;
	if (fd >= 0)
		close(fd);
}

__attribute__((constructor)) static void inject_find(void)
{
	const char *path = getenv("HOLDFAST_TEST_INJECT");

	if (path)
		inject_map(path);
}

struct inject *inject_make(char path[64])
{
	int fd;

	snprintf(path, 64, "%s/holdfast-inject.XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*inject)) || setenv("HOLDFAST_TEST_INJECT", path, 1))
		abort();
	close(fd);
	inject_map(path);
	return (struct inject *)inject;
}

/* One fewer of those that are to come: was there one? */
static bool take(volatile uint32_t *count)
{
	uint32_t left = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (left && !__atomic_compare_exchange_n(count, &left, left - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
	return left;
}

/* ---- the clock ---- */

int clock_gettime(clockid_t id, struct timespec *now)
{
	int rc = (int)syscall(SYS_clock_gettime, id, now);
	int64_t ns = 0;

	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ns = inject->clock_ns;
	else if ((id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE) && inject->later_pid && inject->later_pid == getpid())
		ns = inject->later_ns;

	if (rc || !ns)
		return rc;
	ns += now->tv_nsec;
	now->tv_sec += ns / 1000000000;
	now->tv_nsec = ns % 1000000000;
	if (now->tv_nsec < 0) {
		now->tv_nsec += 1000000000;
		now->tv_sec--;
	}
	return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	*now = (struct timeval){ts.tv_sec, ts.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *now)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (now)
		*now = ts.tv_sec;
	return ts.tv_sec;
}

/* ---- the medium ---- */

static bool write_back_fails(void)
{
	if (!inject->write_backs || inject->write_back_pid != getpid() || !take(&inject->write_backs))
		return false;
	errno = EIO;
	return true;
}

int msync(void *at, size_t bytes, int flags)
{
	return write_back_fails() ? -1 : (int)syscall(SYS_msync, at, bytes, flags);
}

int fsync(int fd)
{
	return write_back_fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off_t offset, off_t bytes, unsigned flags)
{
	int rc = (int)syscall(SYS_sync_file_range, fd, offset, bytes, flags);

	if (!rc && flags == SYNC_FILE_RANGE_WRITE)
		__atomic_fetch_add(&inject->begun, 1, __ATOMIC_RELAXED);
	return rc;
}

/* ---- memory: the sanitizers have their own ---- */

#if !SANITIZED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *at, size_t bytes);
void *__libc_memalign(size_t unit, size_t bytes);

/* To standard error, for who looks into a failure. */
static void memory_tell(const void *caller, const char *name)
{
	char text[512];
	Dl_info info = {0};
	int bytes;

	dladdr(caller, &info);
	bytes = snprintf(text, sizeof(text), "inject: no memory for %s+0x%zx\n", name,
			 (size_t)((const char *)caller - (const char *)info.dli_fbase));
	if (write(2, text, (size_t)bytes) < 0)
		abort();
}

static bool memory_fails(const void *caller)
{
	const char *name;
	Dl_info info;

	if (!inject->memory_pid || inject->memory_pid != getpid())
		return false;
	name = dladdr(caller, &info) && info.dli_fname ? info.dli_fname : "";
	if (inject->memory_ours && strstr(name, ".so"))
		return false;
	if (__atomic_fetch_add(&inject->memory_asked, 1, __ATOMIC_RELAXED) < inject->memory_after || !take(&inject->memory_count))
		return false;
	if (strstr(name, ".so"))
		__atomic_fetch_add(&inject->memory_of_library, 1, __ATOMIC_RELAXED);
	memory_tell(caller, name);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t bytes)
{
	return memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	return memory_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *at, size_t bytes)
{
	return memory_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(at, bytes);
}

int posix_memalign(void **at, size_t unit, size_t bytes)
{
	if (memory_fails(__builtin_return_address(0)))
		return ENOMEM;
	*at = __libc_memalign(unit, bytes);
	return *at ? 0 : ENOMEM;
}

void *aligned_alloc(size_t unit, size_t bytes)
{
	return memory_fails(__builtin_return_address(0)) ? NULL : __libc_memalign(unit, bytes);
}
#endif
