/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.h - the pool: a directory that holds metadata (libpmemobj) and one file per slot, or a device that slots lie
 * on. It owns jobs and their regions (job.h, region.h). No networking here.
 *
 * One thread uses a pool. What the functions return by pointer is the pool's and lives until the thing
 * itself is dropped or the pool closed.
 *
 * Everything that changes metadata is one libpmemobj transaction: after a crash it happened or not.
 */
#ifndef HOLDFAST_POOL_H
#define HOLDFAST_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "media/media.h"

#define POOL_VERSION 5

struct pool;

struct pool_params {
	uint64_t size_bytes;	 /* for slots; a pool that exists keeps its contents if this is enough */
	uint64_t metadata_bytes; /* at creation; 0 for the default, 64 MiB */
	const char *data;	 /* at creation: where the slots are kept; NULL for the pool's directory */
	bool overwrite_device;	 /* `data` is a device, and what it holds may go */
	bool accept_damage;	 /* withdraw sets whose slot file is missing or short, instead of refusing */
};

struct pool_stat {
	uint64_t size_bytes;
	uint64_t reserved_bytes; /* by regions, whether their slots hold a set or not */
	uint64_t metadata_bytes;      /* of the file */
	uint64_t metadata_used_bytes; /* by records; takes a walk through them */
	uint64_t jobs, regions, sets;
	uint64_t changes; /* records and layouts that were made, changed or removed since the pool was opened */
	enum media_survives survives;
	char medium[96];
	char directory[256];
	char device[256];   /* that the slots lie on; "": they are files */
	enum media_granularity granularity; /* what makes stores to slots durable */
	uint64_t bad_bytes; /* of the device: known to be bad when last looked at */
	uint8_t id[16]; /* random, made at creation */
};

/*
 * Opens the pool in `directory`, or creates it where the directory is empty or missing. Takes the pool's
 * lock (waiting a few seconds for the NI processes of a server that just died), checks every record's
 * checksum and every slot file, removes slot files that no record names. Errors: -EBUSY (a server runs
 * on it), -EPROTONOSUPPORT (unknown version), -EUCLEAN (damaged or truncated; the text names what), -ENOSPC
 * (size_bytes is more than the file system or the device has, or less than regions reserve), -EEXIST (the device is
 * another pool's, or holds something else), -ENODEV (the pool's device is not there), -EACCES and the like.
 */
int pool_open(const char *directory, const struct pool_params *params, struct pool **pool,
	      struct error *err);
void pool_close(struct pool *pool); /* takes NULL */

/* The open description that holds the pool's lock. A process that inherits it keeps the lock alive. */
int pool_lock_fd(const struct pool *pool);

/* The device that the slots lie on; NULL: they are files. */
const char *pool_device(const struct pool *pool);

/*
 * Memory of the kind that the slots are in, for a trial: an empty file that has no name, or the device, of which *extent
 * (of a file, nothing) may be mapped, and is to stay as it is. The descriptor is the caller's.
 */
int pool_sample(struct pool *pool, int *fd, struct extent *extent, struct error *err);

/* Reads anew which blocks of the pool's device are bad, as opening it did. Nothing where slots are files. */
void pool_look_for_damage(struct pool *pool);

/*
 * Room on a device that dropped regions held is not given to others at once: somebody may still write there, who was
 * let in before. This gives free what the jobs held of which `busy` says that nobody can (NULL: nobody at all).
 */
void pool_release(struct pool *pool, bool (*busy)(void *arg, uint64_t job_number), void *arg);

void pool_get_stat(const struct pool *pool, struct pool_stat *stat);

#endif
