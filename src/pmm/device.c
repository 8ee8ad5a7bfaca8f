/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - the device that slots lie on.
 *
 * Its header, in the first unit, says whose it is: names of devices change from one start of the system to the next. In
 * the pool's directory, `device` is a link to where it was last.
 */
#include "pmm/index.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"
#include "common/testpoint.h"

#define LINK		   "device"
#define HEADER_BLANK_BYTES 4096 /* all zero on a device that nobody has */

bool device_named(const char *path)
{
	struct stat st;

	return path && !stat(path, &st) && !S_ISDIR(st.st_mode);
}

/* ---- the header ---- */

enum whose { OURS, NOBODYS, ANOTHER_POOLS, FOREIGN };

static int header_map(const struct pool *pool, struct media_map **map, struct error *err)
{
	const struct extent first = {0, pool->device.unit_bytes};

	return media->map_extents(pool->device_fd, &first, 1, map, err);
}

static bool is_blank(const uint8_t *bytes)
{
	for (size_t i = 0; i < HEADER_BLANK_BYTES; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* pool->root is NULL before there is a pool: then none is ours. */
static int header_read(struct pool *pool, struct device_header *header, enum whose *whose, struct error *err)
{
	struct media_map *map = NULL;
	int rc = header_map(pool, &map, err);

	if (rc)
		return rc;
	memcpy(header, media->base(map), sizeof(*header));
	pool->granularity = media->granularity(map);
	if (!memcmp(header->magic, FORMAT_DEVICE_MAGIC, sizeof(header->magic)))
		*whose = pool->root && record_intact(header) && !memcmp(header->id, pool->root->id, sizeof(header->id))
				 ? OURS
				 : ANOTHER_POOLS;
	else
		*whose = is_blank(media->base(map)) ? NOBODYS : FOREIGN;
	media->unmap(map);
	return 0;
}

static int header_write(const struct pool *pool, struct error *err)
{
	struct device_header header = {
		.magic = FORMAT_DEVICE_MAGIC,
		.version = FORMAT_DEVICE_VERSION,
		.header_bytes = sizeof(header),
		.created_ns = clock_realtime_ns(),
		.device_bytes = pool->root->device_bytes,
		.unit_bytes = pool->root->unit_bytes,
	};
	struct media_map *map = NULL;
	int rc = header_map(pool, &map, err);

	if (rc)
		return rc;
	memcpy(header.id, pool->root->id, sizeof(header.id));
	record_seal(&header);
	media->copy(map, 0, &header, sizeof(header));
	rc = media->persist(map, 0, sizeof(header), err);
	media->unmap(map);
	return rc;
}

/* ---- opening ---- */

void device_close(struct pool *pool)
{
	struct held *held;

	if (pool->device_fd >= 0)
		close(pool->device_fd);
	pool->device_fd = -1;
	free(pool->device_path);
	pool->device_path = NULL;
	free(pool->bad);
	pool->bad = NULL;
	pool->bad_count = 0;
	while ((held = pool->held)) {
		pool->held = held->next;
		free(held);
	}
}

static int device_open(struct pool *pool, const char *path, struct error *err)
{
	char real[PATH_MAX];
	int rc;

	if (!realpath(path, real))
		return error_set(err, -errno, "device %s: %s", path, strerror(errno));
	rc = media_device_open(real, &pool->device_fd, &pool->device, err);
	if (rc)
		return rc;
	pool->device_path = strdup(real);
	if (!pool->device_path)
		rc = error_nomem(err, "the name of a device");
	else if (strlen(real) >= sizeof(((struct pool_stat *)NULL)->device))
		rc = error_set(err, -ENAMETOOLONG, "the name of device %s is too long", real);
	else if (flock(pool->device_fd, LOCK_EX | LOCK_NB))
		rc = error_set(err, -EBUSY, "device %s is in use by another server", real);
	else if (pool->device.bytes < 2 * pool->device.unit_bytes)
		rc = error_set(err, -ENOSPC, "device %s has %" PRIu64 " bytes, and needs at least two units of %" PRIu64,
			       real, pool->device.bytes, pool->device.unit_bytes);
	if (rc)
		device_close(pool);
	return rc;
}

/* Where the link is, and whoever needs no --data may find it the next time. */
static int link_write(const struct pool *pool, struct error *err)
{
	char old[PATH_MAX];
	ssize_t n = readlinkat(pool->directory_fd, LINK, old, sizeof(old) - 1);

	if (n > 0) {
		old[n] = '\0';
		if (!strcmp(old, pool->device_path))
			return 0;
	}
	unlinkat(pool->directory_fd, LINK, 0);
	if (symlinkat(pool->device_path, pool->directory_fd, LINK) || fsync(pool->directory_fd))
		return error_set(err, -errno, "cannot make %s/" LINK ": %s", pool->directory, strerror(errno));
	return 0;
}

static int whose_refuse(const struct pool *pool, const struct pool_params *params, enum whose whose, struct error *err)
{
	if (whose == OURS || whose == NOBODYS || params->overwrite_device)
		return 0;
	return error_set(err, -EEXIST, "device %s %s: name another one, or, where that may be lost, start the server with "
			 "--overwrite-device", pool->device_path,
			 whose == ANOTHER_POOLS ? "belongs to another pool (or its header is damaged)" : "is not empty (its first 4 KiB are not zero)");
}

int device_prepare(struct pool *pool, const struct pool_params *params, struct error *err)
{
	struct device_header header;
	enum whose whose;
	int rc = device_open(pool, params->data, err);

	if (!rc)
		rc = header_read(pool, &header, &whose, err);
	if (!rc)
		rc = whose_refuse(pool, params, whose, err);
	return rc ? rc : link_write(pool, err);
}

/* Opens the device at `path` where it is the pool's: 1, 0 or -errno. */
static int try_open(struct pool *pool, const char *path, struct device_header *header)
{
	enum whose whose;

	if (device_open(pool, path, NULL))
		return 0;
	if (!header_read(pool, header, &whose, NULL) && whose == OURS)
		return 1;
	device_close(pool);
	return 0;
}

/* Where it was last, or, since names change, wherever it is. */
static int device_find(struct pool *pool, struct error *err)
{
	struct device_header header;
	char link[PATH_MAX];
	glob_t found = {0};
	int rc;

	rc = snprintf(link, sizeof(link), "%s/" LINK, pool->directory);
	if (rc > 0 && (size_t)rc < sizeof(link) && try_open(pool, link, &header))
		return 0;
	glob("/dev/dax[0-9]*", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc && pool->device_fd < 0; i++)
		try_open(pool, found.gl_pathv[i], &header);
	globfree(&found);
	if (pool->device_fd >= 0)
		return 0;
	/* A new pool whose device has no header yet has its link. */
	return device_open(pool, link, err);
}

static int header_check(const struct pool *pool, const struct device_header *header, struct error *err)
{
	const struct root_record *root = pool->root;

	if (header->version != FORMAT_DEVICE_VERSION || header->header_bytes != sizeof(*header) ||
	    header->device_bytes != root->device_bytes || header->unit_bytes != root->unit_bytes)
		return damaged(pool, err, "the header of device %s and the metadata do not agree", pool->device_path);
	return 0;
}

static int size_check(const struct pool *pool, struct error *err)
{
	const struct root_record *root = pool->root;

	if (pool->device.bytes < root->device_bytes || pool->device.unit_bytes > root->unit_bytes)
		return error_set(err, -ENODEV, "device %s was made anew, or is another: it has %" PRIu64 " bytes in units of %" PRIu64
				 ", and pool %s needs %" PRIu64 " in units of %" PRIu64, pool->device_path,
				 pool->device.bytes, pool->device.unit_bytes, pool->directory, root->device_bytes,
				 root->unit_bytes);
	return 0;
}

/* Has the pool anything on its device? */
static bool device_used(const struct pool *pool)
{
	return pool->extents.free + 1 < pool->extents.units;
}

int device_attach(struct pool *pool, const struct pool_params *params, struct error *err)
{
	struct device_header header;
	enum whose whose;
	int rc = 0;

	if (pool->device_fd < 0)
		rc = device_named(params->data) ? device_open(pool, params->data, err) : device_find(pool, err);
	if (rc)
		return rc == -ENOENT ? error_set(err, -ENODEV, "the device of pool %s is not there; where it has another "
						 "name now, say so by --data", pool->directory)
				     : rc;
	rc = header_read(pool, &header, &whose, err);
	if (rc)
		return rc;
	if (whose != OURS && device_used(pool))
		return error_set(err, -EEXIST, "device %s is not that of pool %s, which has slots on its own (or its header is "
				 "damaged): name that by --data", pool->device_path, pool->directory);
	rc = whose == OURS ? header_check(pool, &header, err) : whose_refuse(pool, params, whose, err);
	if (!rc)
		rc = size_check(pool, err);
	TEST_POINT("device-header");
	/* The metadata is there, durably: a header names a pool that exists. */
	if (!rc && whose != OURS)
		rc = header_write(pool, err);
	if (!rc)
		rc = link_write(pool, err);
	if (!rc)
		device_bad_read(pool);
	return rc;
}

/* ---- bad blocks ---- */

static int bad_add(void *arg, struct extent bad)
{
	struct pool *pool = arg;
	struct extent *grown = reallocarray(pool->bad, pool->bad_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	pool->bad = grown;
	grown[pool->bad_count++] = bad;
	return 0;
}

/* Units that are bad are never free. */
static void bad_take(struct pool *pool)
{
	uint64_t unit = pool->root->unit_bytes, free_before = pool->extents.free, first, end;

	for (size_t i = 0; i < pool->bad_count; i++) {
		first = pool->bad[i].offset / unit;
		end = (pool->bad[i].offset + pool->bad[i].bytes + unit - 1) / unit;
		if (first < pool->extents.units && end > first)
			extent_map_take_free(&pool->extents,
					     (struct extent_record){(uint32_t)first, (uint32_t)(end - first)});
	}
	pool->bad_units += free_before - pool->extents.free;
}

void device_bad_read(struct pool *pool)
{
	size_t before = pool->bad_count;
	struct extent *old = pool->bad;
	struct error err;

	pool->bad = NULL;
	pool->bad_count = 0;
	if (media_device_bad(pool->device_fd, pool->device_path, bad_add, pool, &err)) {
		log_warning("pool %s: %s", pool->directory, err.text);
		free(pool->bad);
		pool->bad = old;
		pool->bad_count = before;
		return;
	}
	free(old);
	if (pool->bad_count != before)
		log_warning("pool %s: device %s has %zu ranges of bad blocks; they are not handed out", pool->directory,
			    pool->device_path, pool->bad_count);
	bad_take(pool);
}

const char *pool_device(const struct pool *pool)
{
	return pool->device_path;
}

void pool_look_for_damage(struct pool *pool)
{
	if (pool_on_device(pool))
		device_bad_read(pool);
}

static bool range_bad(const struct pool *pool, uint64_t offset, uint64_t bytes)
{
	for (size_t i = 0; i < pool->bad_count; i++) {
		const struct extent *bad = &pool->bad[i];

		if (bad->offset <= offset ? offset - bad->offset < bad->bytes : bad->offset - offset < bytes)
			return true;
	}
	return false;
}

bool device_range_bad(const struct pool *pool, const struct slot_record *slot, uint64_t offset, uint64_t bytes)
{
	uint64_t unit = pool->root->unit_bytes, here, n;

	for (unsigned i = 0; i < SLOT_EXTENTS && bytes; i++) {
		here = slot->extents[i].count * unit;
		if (offset < here) {
			n = bytes < here - offset ? bytes : here - offset;
			if (range_bad(pool, slot->extents[i].first * unit + offset, n))
				return true;
			bytes -= n;
			offset = here;
		}
		offset -= here;
	}
	return false;
}

static int slot_check(struct region *region, unsigned slot, struct error *err)
{
	const struct slot_record *record = &region->record->slots[slot];
	bool empty = !record->set.epoch && !(slot == SLOT_LOG && region->increment_count);
	const struct pool *pool = region->job->pool;

	if (!pool->bad_count || !device_range_bad(pool, record, 0, slot_bytes(pool, record)))
		return 0;
	log_warning("pool %s: job %s, rank %u, slot %u lies on bad blocks of device %s: %s", pool->directory,
		    job_name(region->job), region_rank(region), slot, pool->device_path,
		    empty ? "it is empty, and gets another place" : "'pmuctl verify' tells what that means for its sets");
	return empty ? region_forget_slot(region, slot, err) : 0;
}

int device_check_slots(struct pool *pool, struct error *err)
{
	int rc = 0;

	for (struct job *job = pool->oldest; job && !rc; job = job->newer) {
		for (uint32_t rank = 0; rank < job_ranks(job) && !rc; rank++) {
			struct region *region = job_region(job, rank);

			for (unsigned slot = 0; region && slot < region_slots(region) && !rc; slot++)
				rc = slot_check(region, slot, err);
		}
	}
	return rc;
}

/* ---- room ---- */

uint64_t device_room(const struct pool *pool)
{
	return (pool->extents.units - 1 - pool->bad_units) * pool->root->unit_bytes;
}

void device_hold(struct pool *pool, uint64_t job, const struct extent_record extents[SLOT_EXTENTS])
{
	struct held *held;

	if (!extents[0].count)
		return;
	held = malloc(sizeof(*held));
	if (!held) {
		log_warning("pool %s: out of memory; what a dropped region had of the device is free when the pool is "
			    "opened again", pool->directory);
		return;
	}
	held->job = job;
	memcpy(held->extents, extents, sizeof(held->extents));
	held->next = pool->held;
	pool->held = held;
}

void pool_release(struct pool *pool, bool (*busy)(void *arg, uint64_t job_number), void *arg)
{
	struct held **at = &pool->held, *held;
	uint64_t job = 0;
	bool is_busy = false, any = false;

	while ((held = *at)) {
		/* Those of a job are side by side, mostly. */
		if (busy && held->job != job)
			is_busy = busy(arg, held->job);
		job = held->job;
		if (is_busy) {
			at = &held->next;
			continue;
		}
		*at = held->next;
		for (unsigned i = 0; i < SLOT_EXTENTS; i++)
			extent_map_give(&pool->extents, held->extents[i]);
		free(held);
		any = true;
	}
	if (any)
		bad_take(pool);
}
