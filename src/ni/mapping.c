/* SPDX-License-Identifier: BSD-3-Clause */
/* mapping.c - the slots that a NI has mapped. */
#include "ni/mapping.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>

static struct {
	pthread_mutex_t lock;
	void *by_file; /* tree, guarded by lock */
} table = {PTHREAD_MUTEX_INITIALIZER, NULL};

static int (*tell_mapped)(void *base, size_t bytes, int fd, struct error *err);
static void (*tell_unmapping)(const void *base, size_t bytes);

void mapping_tell(int (*mapped)(void *base, size_t bytes, int fd, struct error *err),
		  void (*unmapping)(const void *base, size_t bytes))
{
	tell_mapped = mapped;
	tell_unmapping = unmapping;
}

static int by_file(const void *a, const void *b)
{
	const struct mapping *one = a, *two = b;

	return one->file < two->file ? -1 : one->file > two->file;
}

/* With the lock held, as the next. */
static struct mapping *table_find(uint64_t file)
{
	const struct mapping key = {.file = file};
	struct mapping **node = tfind(&key, &table.by_file, by_file);

	return node ? *node : NULL;
}

static struct mapping *table_take(uint64_t file)
{
	struct mapping *found = table_find(file);

	if (found)
		tdelete(found, &table.by_file, by_file);
	return found;
}

int mapping_add(uint64_t file, int fd, uint64_t bytes, const struct extent *extents, unsigned count, struct error *err)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping)), *old;
	bool listed;
	int rc;

	if (!mapping)
		return error_nomem(err, "a mapping");
	mapping->file = file;
	mapping->uses = 1;
	rc = count ? media->map_extents(fd, extents, count, &mapping->map, err)
		   : media->map(fd, bytes, &mapping->map, err);
	if (rc)
		goto err_free;
	if (!count)
		rc = media_populate(mapping->map, err);
	if (!rc && !count && tell_mapped)
		rc = tell_mapped(media->base(mapping->map), media->bytes(mapping->map), fd, err);
	if (rc)
		goto err_unmap;
	pthread_mutex_lock(&table.lock);
	old = table_take(file);
	listed = tsearch(mapping, &table.by_file, by_file);
	pthread_mutex_unlock(&table.lock);
	mapping_release(old);
	if (listed)
		return 0;
	rc = error_nomem(err, "a mapping");
	if (tell_unmapping)
		tell_unmapping(media->base(mapping->map), media->bytes(mapping->map));

err_unmap:
	media->unmap(mapping->map);
err_free:
	free(mapping);
	return rc;
}

struct mapping *mapping_use(uint64_t file, uint64_t offset, uint64_t bytes)
{
	struct mapping *mapping;

	pthread_mutex_lock(&table.lock);
	mapping = table_find(file);
	if (mapping && (offset > media->bytes(mapping->map) || bytes > media->bytes(mapping->map) - offset))
		mapping = NULL;
	if (mapping)
		mapping->uses++;
	pthread_mutex_unlock(&table.lock);
	return mapping;
}

void mapping_release(struct mapping *mapping)
{
	unsigned left;

	if (!mapping)
		return;
	pthread_mutex_lock(&table.lock);
	left = --mapping->uses;
	pthread_mutex_unlock(&table.lock);
	if (left)
		return;
	if (tell_unmapping)
		tell_unmapping(media->base(mapping->map), media->bytes(mapping->map));
	media->unmap(mapping->map);
	free(mapping);
}

void mapping_remove(uint64_t file)
{
	struct mapping *mapping;

	pthread_mutex_lock(&table.lock);
	mapping = table_take(file);
	pthread_mutex_unlock(&table.lock);
	mapping_release(mapping);
}
