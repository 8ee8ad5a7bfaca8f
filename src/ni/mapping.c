/* SPDX-License-Identifier: BSD-3-Clause */
/* mapping.c - the slots that a NI has mapped. */
#include "ni/mapping.h"

#include <pthread.h>
#include <stdlib.h>

static struct {
	pthread_mutex_t lock;
	struct mapping *first; /* guarded by lock */
} table = {PTHREAD_MUTEX_INITIALIZER, NULL};

static int (*tell_mapped)(void *base, size_t bytes, int fd, struct error *err);
static void (*tell_unmapping)(const void *base, size_t bytes);

void mapping_tell(int (*mapped)(void *base, size_t bytes, int fd, struct error *err),
		  void (*unmapping)(const void *base, size_t bytes))
{
	tell_mapped = mapped;
	tell_unmapping = unmapping;
}

static struct mapping *table_take(uint64_t file)
{
	struct mapping **at = &table.first, *found;

	while (*at && (*at)->file != file)
		at = &(*at)->next;
	found = *at;
	if (found)
		*at = found->next;
	return found;
}

int mapping_add(uint64_t file, int fd, uint64_t bytes, const struct extent *extents, unsigned count, struct error *err)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping)), *old;
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
	mapping->next = table.first;
	table.first = mapping;
	pthread_mutex_unlock(&table.lock);
	mapping_release(old);
	return 0;

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
	for (mapping = table.first; mapping && mapping->file != file;)
		mapping = mapping->next;
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
