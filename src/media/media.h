/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * media.h - mapping, persisting and copying on persistent memory. Every store of ours to persistent
 * memory goes through it (libpmemobj makes its own). Back ends are `const struct media_ops`.
 *
 * A mapping may be used by several threads; persisting disjoint or overlapping ranges at the same time
 * is fine. Map and unmap are the owner's.
 */
#ifndef HOLDFAST_MEDIA_H
#define HOLDFAST_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/set.h"

#define MEDIA_ABI 3

/* What a store must pass before it is durable: nothing more than a fence (eADR), a cache-line
 * write-back (ADR), or msync of its pages (page cache). */
enum media_granularity { MEDIA_BYTE, MEDIA_CACHE_LINE, MEDIA_PAGE };

/* What data persisted on this medium lives through; each includes those before it. */
enum media_survives { MEDIA_SURVIVES_PROCESS, MEDIA_SURVIVES_REBOOT, MEDIA_SURVIVES_POWER };

struct media_map;

struct media_ops {
	unsigned abi;
	const char *name;
	/* Maps the first `bytes` (a multiple of the page size) of the open file `fd`, shared, read-write; fd
	 * may be closed afterwards. -ERANGE: the file is shorter. */
	int (*map)(int fd, size_t bytes, struct media_map **map, struct error *err);
	/* Maps `count` pieces of the device `fd`, in whole units of it, one behind the other, as one mapping. */
	int (*map_extents)(int fd, const struct extent *extents, unsigned count, struct media_map **map,
			   struct error *err);
	void (*unmap)(struct media_map *map); /* takes NULL */
	void *(*base)(const struct media_map *map);
	size_t (*bytes)(const struct media_map *map);
	enum media_granularity (*granularity)(const struct media_map *map);
	/* Makes the range durable; what was stored before the call is, after its return. */
	int (*persist)(struct media_map *map, size_t offset, size_t bytes, struct error *err);
	/* Has the medium begin with what persist would wait for. False: there is nothing to begin with on this one, as 0 bytes
	 * tell, too. */
	bool (*persist_begin)(struct media_map *map, size_t offset, size_t bytes);
	/* As persist, and out of the memory controller's buffers too, where the platform has a way. */
	int (*deep_flush)(struct media_map *map, size_t offset, size_t bytes, struct error *err);
	/* Copies `bytes` from `source` into the mapping with streaming stores; not yet persistent. */
	void (*copy)(struct media_map *map, size_t offset, const void *source, size_t bytes);
};

extern const struct media_ops media_pmem2;

/* The back end in use: media_pmem2, unless a test chose another. */
extern const struct media_ops *media;

/* Gives the file its full size in real blocks (posix_fallocate): a later store never meets ENOSPC. */
int media_allocate(int fd, uint64_t bytes, struct error *err);

/* Faults every page of the mapping in, writable, without changing a byte. */
int media_populate(struct media_map *map, struct error *err);

/*
 * ---- devices ----
 *
 * A devdax character device: no file system, no read(2) or write(2), no size in stat(2). Builds with test points take a
 * regular file for one where HOLDFAST_TEST_DEVICE is set in the environment.
 */

#define MEDIA_UNIT_MIN (2u << 20)

struct media_device {
	uint64_t bytes;	     /* whole units */
	uint64_t unit_bytes; /* what is mapped begins and ends at multiples: a power of 2, at least 2 MiB */
	bool stand_in;	     /* a regular file */
};

/* Opens it for reading and writing. -ENOTBLK: it is something else. */
int media_device_open(const char *path, int *fd, struct media_device *device, struct error *err);

/* Calls `each` for what the kernel knows to be bad of it. -EOPNOTSUPP: it cannot tell. */
int media_device_bad(int fd, const char *path, int (*each)(void *arg, struct extent bad), void *arg,
		     struct error *err);

/* As media_judge(), of an open device. */
void media_device_judge(const struct media_device *device, enum media_survives *survives, char *why,
			size_t capacity);

/* Judges what a file in this directory survives; `why` (at least 96 bytes) gets "tmpfs" or the like. */
int media_judge(const char *directory, enum media_survives *survives, char *why, size_t capacity,
		struct error *err);

/* What makes stores to a file in this directory durable. */
int media_measure(const char *directory, enum media_granularity *granularity, struct error *err);

/* From here on mappings of DAX memory have this granularity, and no other file is opened to learn it. Not for
 * deep_flush(). Before there are threads. */
void media_set_granularity(enum media_granularity granularity);

/* From here on persist() may begin so many threads, the caller's among them, for large ranges; 1 before. Before there are
 * threads. */
void media_set_threads(unsigned threads);

/* What has to be flushed: "nothing", "cache lines", "pages". */
const char *media_granularity_text(enum media_granularity granularity);

/* "process death", "process death and reboot", "process death, reboot and power loss". */
const char *media_survives_text(enum media_survives survives);

#endif
