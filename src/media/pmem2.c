/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmem2.c - the back end on libpmem2: fsdax, devdax, and any file through the page cache.
 *
 * pmem2_map_new() tries MAP_SYNC first, with MAP_FIXED over a range that it reserved; where that fails, on
 * every file that is not DAX, the range is free until its second attempt, which then maps over whatever
 * another thread was given there (libpmem2 1.12). So we look for DAX ourselves, and map the page cache
 * without libpmem2, which has nothing to add there.
 */
#include "media/media.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libpmem2.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "common/copy.h"
#include "common/thread.h"

#define PORTION_BYTES ((size_t)4 << 20)
#define THREAD_BYTES  ((size_t)16 << 20) /* to be worth one */

struct media_map {
	struct pmem2_map *map; /* NULL: the page cache */
	bool ours;	       /* mapped without libpmem2 */
	int disk;	       /* a file behind the page cache, which is written back to a disk; -1: it is another */
	uint8_t *base;
	size_t bytes;
	enum media_granularity granularity;
	pmem2_persist_fn persist;
	pmem2_memcpy_fn memcpy;
	uintptr_t page_mask;
};

/* Of DAX, once it is known and libpmem2 is not to ask: it reads files of /sys for it, for every mapping. */
static bool granularity_known;
static enum media_granularity granularity_dax;

void media_set_granularity(enum media_granularity granularity)
{
	granularity_dax = granularity;
	granularity_known = true;
}

static unsigned persist_threads = 1;

void media_set_threads(unsigned threads)
{
	persist_threads = threads;
}

/* libpmem2 returns -errno, or its own codes below -100000; those that a file can cause get an errno. */
static int pmem2_code(int rc)
{
	switch (rc) {
	case PMEM2_E_MAP_RANGE:
	case PMEM2_E_SOURCE_EMPTY:
		return -ERANGE;
	case PMEM2_E_INVALID_FILE_HANDLE:
	case PMEM2_E_INVALID_FILE_TYPE:
	case PMEM2_E_LENGTH_UNALIGNED:
		return -EINVAL;
	case PMEM2_E_NOSUPP:
	case PMEM2_E_GRANULARITY_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	}
	return rc <= PMEM2_E_UNKNOWN ? -EIO : rc;
}

static int pmem2_error(struct error *err, int rc, const char *what)
{
	return error_set(err, pmem2_code(rc), "%s: %s", what, pmem2_errormsg());
}

static void pmem2_media_unmap(struct media_map *map)
{
	if (!map)
		return;
	if (map->map)
		pmem2_map_delete(&map->map);
	if (map->ours)
		munmap(map->base, map->bytes);
	if (map->disk >= 0)
		close(map->disk);
	free(map);
}

static enum media_granularity granularity_of(struct pmem2_map *map)
{
	switch (pmem2_map_get_store_granularity(map)) {
	case PMEM2_GRANULARITY_BYTE:
		return MEDIA_BYTE;
	case PMEM2_GRANULARITY_CACHE_LINE:
		return MEDIA_CACHE_LINE;
	default:
		return MEDIA_PAGE;
	}
}

static int map_new(struct pmem2_config *config, struct pmem2_source *source, size_t bytes,
		   struct pmem2_map **map, struct error *err)
{
	int rc;

	rc = pmem2_config_set_required_store_granularity(config, PMEM2_GRANULARITY_PAGE);
	if (!rc)
		rc = pmem2_config_set_length(config, bytes);
	if (!rc)
		rc = pmem2_map_new(map, config, source);
	return rc ? pmem2_error(err, rc, "cannot map a file") : 0;
}

/* Can the file be mapped past the page cache? Tests may say so of any file, by libpmem2's own variable. */
static bool is_dax(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	if (at == MAP_FAILED)
		return getenv("PMEM2_FORCE_GRANULARITY") != NULL;
	munmap(at, bytes);
	return true;
}

static void map_take(struct media_map *map)
{
	map->granularity = granularity_of(map->map);
	map->persist = pmem2_get_persist_fn(map->map);
	map->memcpy = pmem2_get_memcpy_fn(map->map);
}

static int map_dax(struct media_map *map, int fd, size_t bytes, struct error *err)
{
	struct pmem2_source *source = NULL;
	struct pmem2_config *config = NULL;
	int rc;

	rc = pmem2_source_from_fd(&source, fd);
	if (rc)
		return pmem2_error(err, rc, "cannot map a file");
	rc = pmem2_config_new(&config);
	if (rc) {
		rc = pmem2_error(err, rc, "cannot map a file");
		goto err_source;
	}
	rc = map_new(config, source, bytes, &map->map, err);
	pmem2_config_delete(&config);
	if (rc)
		goto err_source;
	map->base = pmem2_map_get_address(map->map);
	map_take(map);
err_source:
	pmem2_source_delete(&source);
	return rc;
}

static int file_check(int fd, size_t bytes, uintptr_t page_mask, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return error_set(err, -errno, "cannot map a file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "cannot map what is no regular file");
	if (bytes & page_mask)
		return error_set(err, -EINVAL, "cannot map %zu bytes: no whole pages", bytes);
	if ((uint64_t)st.st_size < bytes)
		return error_set(err, -ERANGE, "cannot map %zu bytes of a file that has %lld", bytes,
				 (long long)st.st_size);
	return 0;
}

static int map_page_cache(struct media_map *map, int fd, size_t bytes, struct error *err)
{
	int rc = file_check(fd, bytes, map->page_mask, err);
	struct statfs fs;

	if (rc)
		return rc;
	map->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map->base == MAP_FAILED)
		return error_set(err, -errno, "cannot map a file: %s", strerror(errno));
	map->ours = true;
	map->granularity = MEDIA_PAGE;
	if (!fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		return 0;
	map->disk = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (map->disk >= 0)
		return 0;
	rc = error_set(err, -errno, "cannot keep a file open: %s", strerror(errno));
	munmap(map->base, bytes);
	return rc;
}

/* ---- pieces of a device ---- */

/* Room for `bytes` at a multiple of `unit`. */
static int reserve(size_t bytes, size_t unit, uint8_t **out, struct error *err)
{
	uint8_t *at = mmap(NULL, bytes + unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before;

	if (at == MAP_FAILED)
		return error_set(err, -errno, "no room for a mapping of %zu bytes: %s", bytes, strerror(errno));
	before = -(uintptr_t)at & (unit - 1);
	if (before)
		munmap(at, before);
	if (unit - before)
		munmap(at + before + bytes, unit - before);
	*out = at + before;
	return 0;
}

/* Over what is reserved, so that nothing else is ever there. */
static int pieces_map(struct media_map *map, int fd, int flags, const struct extent *extents, unsigned count,
		      struct error *err)
{
	uint8_t *at = map->base;

	for (unsigned i = 0; i < count; at += extents[i++].bytes) {
		if (mmap(at, extents[i].bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd,
			 (off_t)extents[i].offset) == MAP_FAILED)
			return error_set(err, -errno, "cannot map %llu bytes of a device from %llu on: %s",
					 (unsigned long long)extents[i].bytes, (unsigned long long)extents[i].offset,
					 strerror(errno));
	}
	return 0;
}

/* libpmem2 tells the granularity only of what it mapped itself: of the first piece, for a moment. */
static int pieces_measure(int fd, size_t first_bytes, enum media_granularity *granularity, struct error *err)
{
	struct media_map probe = {0};
	int rc = map_dax(&probe, fd, first_bytes, err);

	if (rc)
		return rc;
	*granularity = probe.granularity;
	pmem2_map_delete(&probe.map);
	return 0;
}

/* For libpmem2's functions. Where it is not to ask, it is not told either what device is behind the mapping. */
static int pieces_register(struct media_map *map, int fd, size_t first_bytes, struct error *err)
{
	static const enum pmem2_granularity names[] = {
		[MEDIA_BYTE] = PMEM2_GRANULARITY_BYTE,
		[MEDIA_CACHE_LINE] = PMEM2_GRANULARITY_CACHE_LINE,
		[MEDIA_PAGE] = PMEM2_GRANULARITY_PAGE,
	};
	enum media_granularity granularity = granularity_dax;
	struct pmem2_source *source = NULL;
	int rc = granularity_known ? 0 : pieces_measure(fd, first_bytes, &granularity, err);

	if (rc)
		return rc;
	rc = granularity_known ? pmem2_source_from_anon(&source, map->bytes) : pmem2_source_from_fd(&source, fd);
	if (!rc) {
		rc = pmem2_map_from_existing(&map->map, source, map->base, map->bytes, names[granularity]);
		pmem2_source_delete(&source);
	}
	if (rc)
		return pmem2_error(err, rc, "cannot map a device");
	map_take(map);
	return 0;
}

static int map_extents(int fd, int flags, const struct extent *extents, unsigned count, struct media_map **out,
		       struct error *err)
{
	struct media_map *map = calloc(1, sizeof(*map));
	size_t unit = MEDIA_UNIT_MIN;
	int rc;

	if (!map)
		return error_nomem(err, "a mapping");
	map->disk = -1;
	for (unsigned i = 0; i < count; i++) {
		map->bytes += extents[i].bytes;
		/* What is aligned better than needed does no harm. */
		while (unit < (1u << 30) && !((extents[i].offset | extents[i].bytes) & (2 * unit - 1)))
			unit *= 2;
	}
	map->page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	rc = reserve(map->bytes, unit, &map->base, err);
	if (rc)
		goto err_free;
	map->ours = true;
	map->granularity = MEDIA_PAGE;
	rc = pieces_map(map, fd, flags, extents, count, err);
	if (!rc && is_dax(fd, extents[0].bytes))
		rc = pieces_register(map, fd, extents[0].bytes, err);
	if (rc)
		goto err_unmap;
	*out = map;
	return 0;

err_unmap:
	munmap(map->base, map->bytes);
err_free:
	free(map);
	return rc;
}

static int pmem2_media_map_extents(int fd, const struct extent *extents, unsigned count, struct media_map **out,
				   struct error *err)
{
	return map_extents(fd, MAP_SHARED, extents, count, out, err);
}

/* A file on DAX, without a question to libpmem2. */
static int map_dax_known(int fd, size_t bytes, struct media_map **out, struct error *err)
{
	const struct extent all = {0, bytes};
	int rc = file_check(fd, bytes, (uintptr_t)sysconf(_SC_PAGESIZE) - 1, err);

	return rc ? rc : map_extents(fd, MAP_SHARED_VALIDATE | MAP_SYNC, &all, 1, out, err);
}

static int pmem2_media_map(int fd, size_t bytes, struct media_map **out, struct error *err)
{
	struct media_map *map;
	int rc;

	if (!bytes) /* to libpmem2, all of the file */
		return error_set(err, -EINVAL, "cannot map 0 bytes of a file");
	if (granularity_known && is_dax(fd, bytes))
		return map_dax_known(fd, bytes, out, err);
	map = calloc(1, sizeof(*map));
	if (!map)
		return error_nomem(err, "a mapping");
	map->bytes = bytes;
	map->disk = -1;
	map->page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	rc = is_dax(fd, bytes) ? map_dax(map, fd, bytes, err) : map_page_cache(map, fd, bytes, err);
	if (rc)
		free(map);
	else
		*out = map;
	return rc;
}

static void *pmem2_media_base(const struct media_map *map)
{
	return map->base;
}

static size_t pmem2_media_bytes(const struct media_map *map)
{
	return map->bytes;
}

static enum media_granularity pmem2_media_granularity(const struct media_map *map)
{
	return map->granularity;
}

static int range_check(const struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	if (offset <= map->bytes && bytes <= map->bytes - offset)
		return 0;
	return error_set(err, -EINVAL, "range %zu+%zu is outside of the mapping of %zu bytes", offset, bytes,
			 map->bytes);
}

/* libpmem2's persist function returns nothing, so that a failed write to the disk would go unnoticed. */
static int persist_pages(struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	uintptr_t start = (uintptr_t)(map->base + offset);
	uintptr_t page = start & ~map->page_mask;

	if (msync((void *)page, bytes + (start - page), MS_SYNC))
		return error_set(err, -errno, "cannot write %zu bytes to the medium: %s", bytes,
				 strerror(errno));
	return 0;
}

struct flushing {
	const struct media_map *map;
	size_t end;
	atomic_size_t next; /* portion that no thread has yet, by where it begins */
};

static void portions_flush(void *arg)
{
	struct flushing *f = arg;
	size_t at;

	while ((at = atomic_fetch_add(&f->next, PORTION_BYTES)) < f->end)
		f->map->persist(f->map->base + at, f->end - at < PORTION_BYTES ? f->end - at : PORTION_BYTES);
}

/* A thread writes back some 20 GB/s of lines that the caches have lost already, and each one more as many. */
static void persist_lines(const struct media_map *map, size_t offset, size_t bytes)
{
	struct flushing flushing = {.map = map, .end = offset + bytes, .next = offset};
	size_t worth = map->granularity == MEDIA_CACHE_LINE ? bytes / THREAD_BYTES : 0;

	thread_crowd(worth < persist_threads ? (unsigned)worth : persist_threads, portions_flush, &flushing);
}

static int pmem2_media_persist(struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	int rc = range_check(map, offset, bytes, err);

	if (rc || !bytes)
		return rc;
	if (map->granularity == MEDIA_PAGE)
		return persist_pages(map, offset, bytes, err);
	persist_lines(map, offset, bytes);
	return 0;
}

/* An error of this write-back is msync()'s to tell. */
static bool pmem2_media_persist_begin(struct media_map *map, size_t offset, size_t bytes)
{
	if (map->disk < 0)
		return false;
	if (bytes)
		sync_file_range(map->disk, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
	return true;
}

static int pmem2_media_deep_flush(struct media_map *map, size_t offset, size_t bytes, struct error *err)
{
	int rc = pmem2_media_persist(map, offset, bytes, err);

	if (rc || !bytes || map->granularity == MEDIA_PAGE)
		return rc;
	rc = pmem2_deep_flush(map->map, map->base + offset, bytes);
	return rc ? pmem2_error(err, rc, "cannot flush the memory controller's buffers") : 0;
}

static void pmem2_media_copy(struct media_map *map, size_t offset, const void *source, size_t bytes)
{
	assert(offset <= map->bytes && bytes <= map->bytes - offset);
	if (!bytes)
		return;
	if (map->granularity == MEDIA_PAGE) /* there libpmem2's would also msync, and drop the error */
		copy_streaming(map->base + offset, source, bytes);
	else
		map->memcpy(map->base + offset, source, bytes, PMEM2_F_MEM_NONTEMPORAL);
}

const struct media_ops media_pmem2 = {
	.abi = MEDIA_ABI,
	.name = "pmem2",
	.map = pmem2_media_map,
	.map_extents = pmem2_media_map_extents,
	.unmap = pmem2_media_unmap,
	.base = pmem2_media_base,
	.bytes = pmem2_media_bytes,
	.granularity = pmem2_media_granularity,
	.persist = pmem2_media_persist,
	.persist_begin = pmem2_media_persist_begin,
	.deep_flush = pmem2_media_deep_flush,
	.copy = pmem2_media_copy,
};
