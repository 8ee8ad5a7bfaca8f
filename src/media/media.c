/* SPDX-License-Identifier: BSD-3-Clause */
/* media.c - the back end in use, room and warm pages for a file, and what a medium survives. */
#include "media/media.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/memory.h"
#include "common/size.h"

const struct media_ops *media = &media_pmem2;

int media_allocate(int fd, uint64_t bytes, struct error *err)
{
	char text[32];
	struct stat st;
	int rc;

	size_format(bytes, text, sizeof(text));
	if (bytes > INT64_MAX)
		return error_set(err, -EFBIG, "a file of %s is larger than any file can be", text);
	if (!bytes)
		return 0;
	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot stat a file: %s", strerror(errno));
	do
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	while (rc == EINTR);
	if (!rc)
		return 0;
	/* What was allocated behind the old end would be missing elsewhere. */
	if (ftruncate(fd, st.st_size))
		rc = rc == ENOSPC ? rc : errno;
	if (rc == ENOSPC || rc == EDQUOT)
		return error_set(err, -ENOSPC, "the file system has no room for a file of %s: %s", text,
				 strerror(rc));
	return error_set(err, -rc, "cannot allocate %s for a file: %s", text, strerror(rc));
}

/* Before Linux 5.14. Adding nothing, atomically, is a store that loses no other thread's. */
static void populate_by_touch(uint8_t *base, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t at = 0; at < bytes; at += page)
		__atomic_fetch_or(base + at, 0, __ATOMIC_RELAXED);
}

int media_populate(struct media_map *map, struct error *err)
{
	void *base = media->base(map);
	size_t bytes = media->bytes(map);
	int rc = memory_populate(base, bytes);

	if (rc == EINVAL || rc == ENOSYS) {
		populate_by_touch(base, bytes);
		return 0;
	}
	if (rc == EFAULT)
		return error_set(err, -ENOSPC, "a mapping of %zu bytes has no memory behind all its pages "
				 "(the file was cut short, or the file system is full)", bytes);
	if (rc)
		return error_set(err, -rc, "cannot fault a mapping of %zu bytes in: %s", bytes, strerror(rc));
	return 0;
}

/* ---- what a medium survives ---- */

/*
 * File systems that we know. The kernel is asked, and not libpmem2, whose granularity can be forced by the
 * environment: nobody shall take tmpfs for persistent memory because of a variable left over from a test.
 */
static const struct file_system {
	long magic;
	const char *name;
	enum media_survives survives; /* through the page cache, after msync */
	const char *note;
} file_systems[] = {
	{TMPFS_MAGIC, "tmpfs", MEDIA_SURVIVES_PROCESS, "memory"},
	{RAMFS_MAGIC, "ramfs", MEDIA_SURVIVES_PROCESS, "memory"},
	{HUGETLBFS_MAGIC, "hugetlbfs", MEDIA_SURVIVES_PROCESS, "memory"},
	{OVERLAYFS_SUPER_MAGIC, "overlayfs", MEDIA_SURVIVES_PROCESS, "what is below is not known"},
	{FUSE_SUPER_MAGIC, "fuse", MEDIA_SURVIVES_PROCESS, "what is below is not known"},
	{V9FS_MAGIC, "9p", MEDIA_SURVIVES_PROCESS, "what is below is not known"},
	{NFS_SUPER_MAGIC, "nfs", MEDIA_SURVIVES_POWER, "as far as the server honours commits"},
	{EXT4_SUPER_MAGIC, "ext4", MEDIA_SURVIVES_POWER, "page cache, as far as the disk honours flushes"},
	{XFS_SUPER_MAGIC, "xfs", MEDIA_SURVIVES_POWER, "page cache, as far as the disk honours flushes"},
	{BTRFS_SUPER_MAGIC, "btrfs", MEDIA_SURVIVES_POWER, "page cache, as far as the disk honours flushes"},
	{F2FS_SUPER_MAGIC, "f2fs", MEDIA_SURVIVES_POWER, "page cache, as far as the disk honours flushes"},
	{0x2fc12fc1, "zfs", MEDIA_SURVIVES_POWER, "page cache, as far as the disk honours flushes"},
};

static const struct file_system *file_system_find(long magic)
{
	for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
		if (file_systems[i].magic == magic)
			return &file_systems[i];
	}
	return NULL;
}

/* A file in the directory, of one page, that has no name. */
static int sample_open(const char *directory, int *out, struct error *err)
{
	char path[4096];
	int fd, rc;

	rc = snprintf(path, sizeof(path), "%s/.probe-XXXXXX", directory);
	if (rc < 0 || (size_t)rc >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "%s: name too long", directory);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "%s: cannot make a file: %s", directory, strerror(errno));
	unlink(path);
	if (ftruncate(fd, sysconf(_SC_PAGESIZE))) {
		rc = error_set(err, -errno, "%s: cannot size a file: %s", directory, strerror(errno));
		close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}

/* Whether a file in the directory can be mapped without the page cache in between (fsdax): 1, 0 or -errno. */
static int is_dax(const char *directory, struct error *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *base;
	int fd, rc = sample_open(directory, &fd, err);

	if (rc)
		return rc;
	/* The kernel grants MAP_SYNC on DAX only. */
	base = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	close(fd);
	if (base == MAP_FAILED)
		return 0;
	munmap(base, page);
	return 1;
}

int media_judge(const char *directory, enum media_survives *survives, char *why, size_t capacity,
		struct error *err)
{
	const struct file_system *fs;
	struct statfs st;
	char name[32];
	int dax;

	if (statfs(directory, &st))
		return error_set(err, -errno, "%s: cannot tell the file system: %s", directory,
				 strerror(errno));
	fs = file_system_find((long)st.f_type);
	if (fs)
		snprintf(name, sizeof(name), "%s", fs->name);
	else
		snprintf(name, sizeof(name), "file system 0x%lx", (unsigned long)st.f_type);
	dax = is_dax(directory, err);
	if (dax < 0)
		return dax;
	if (dax) {
		snprintf(why, capacity, "%s (DAX)", name);
		*survives = MEDIA_SURVIVES_POWER;
	} else {
		snprintf(why, capacity, "%s (%s)", name, fs ? fs->note : "what is below is not known");
		*survives = fs ? fs->survives : MEDIA_SURVIVES_PROCESS;
	}
	return 0;
}

int media_measure(const char *directory, enum media_granularity *granularity, struct error *err)
{
	struct media_map *map;
	int fd, rc = sample_open(directory, &fd, err);

	if (rc)
		return rc;
	rc = media->map(fd, (size_t)sysconf(_SC_PAGESIZE), &map, err);
	close(fd);
	if (rc)
		return error_context(err, "%s", directory);
	*granularity = media->granularity(map);
	media->unmap(map);
	return 0;
}

const char *media_survives_text(enum media_survives survives)
{
	switch (survives) {
	case MEDIA_SURVIVES_PROCESS:
		return "process death";
	case MEDIA_SURVIVES_REBOOT:
		return "process death and reboot";
	case MEDIA_SURVIVES_POWER:
		return "process death, reboot and power loss";
	}
	return "nothing";
}

const char *media_granularity_text(enum media_granularity granularity)
{
	switch (granularity) {
	case MEDIA_BYTE:
		return "nothing";
	case MEDIA_CACHE_LINE:
		return "cache lines";
	case MEDIA_PAGE:
		return "pages";
	}
	return "all";
}
