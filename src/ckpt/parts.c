/* SPDX-License-Identifier: BSD-3-Clause */
/* parts.c - what a snapshot is made of. */
#include "ckpt/parts.h"

#include <stdlib.h>
#include <string.h>
#include "common/size.h"

#define ALIGN 64u /* of copies, for the stores past the caches */

uint64_t part_room(const struct part *part)
{
	return size_round_up(part->bytes, ALIGN);
}

static int parts_grow(struct parts *parts, struct error *err)
{
	size_t capacity = parts->capacity ? 2 * parts->capacity : 64;
	struct part *list = reallocarray(parts->list, capacity, sizeof(*list));

	if (!list)
		return error_nomem(err, "the plan of a checkpoint");
	parts->list = list;
	parts->capacity = capacity;
	return 0;
}

int parts_add(struct parts *parts, const struct part *part, struct error *err)
{
	int rc = 0;

	if (!part->bytes)
		return 0;
	if (parts->count == parts->capacity)
		rc = parts_grow(parts, err);
	if (!rc)
		parts->list[parts->count++] = *part;
	return rc;
}

static bool part_has(const struct part *part, size_t segment, uint64_t offset)
{
	return part->segment == segment && offset >= part->offset && offset - part->offset < part->bytes;
}

const struct part *parts_find(struct parts *parts, size_t segment, uint64_t offset)
{
	size_t i = parts->at;

	for (size_t looked = 0; looked < parts->count; looked++, i++) {
		if (i >= parts->count)
			i = 0;
		if (!part_has(&parts->list[i], segment, offset))
			continue;
		parts->at = i;
		return &parts->list[i];
	}
	return NULL;
}

/* Cuts the part at place i, so that its first `bytes` bytes are one of their own. */
static int parts_cut(struct parts *parts, size_t i, uint64_t bytes, struct error *err)
{
	struct part *first, *rest;
	int rc = 0;

	if (parts->count == parts->capacity)
		rc = parts_grow(parts, err);
	if (rc)
		return rc;
	first = &parts->list[i];
	rest = first + 1;
	memmove(rest, first, (parts->count - i) * sizeof(*first));
	parts->count++;
	first->bytes = bytes;
	rest->offset += bytes;
	rest->from += bytes;
	rest->bytes -= bytes;
	return 0;
}

int parts_bound(struct parts *parts, uint64_t bytes, uint64_t block_bytes, struct error *err)
{
	uint64_t staged = 0, over;

	for (size_t i = 0; i < parts->count; i++)
		if (parts->list[i].kind == PART_STAGED && !parts->list[i].edge)
			staged += part_room(&parts->list[i]);
	for (size_t i = 0; i < parts->count && staged > bytes; i++) {
		struct part *part = &parts->list[i];
		int rc = 0;

		if (part->kind != PART_STAGED || part->edge)
			continue;
		staged -= part_room(part);
		over = staged >= bytes ? part->bytes
				       : size_round_up(part_room(part) - (bytes - staged), block_bytes);
		if (over < part->bytes) {
			rc = parts_cut(parts, i, over, err);
			part = &parts->list[i];
			staged = bytes;
		}
		if (rc)
			return rc;
		part->kind = PART_DIRECT;
	}
	return 0;
}

uint64_t parts_bytes(const struct parts *parts, enum part_kind kind)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < parts->count; i++)
		if (parts->list[i].kind == kind)
			bytes += kind == PART_STAGED ? part_room(&parts->list[i]) : parts->list[i].bytes;
	return bytes;
}

void parts_clear(struct parts *parts)
{
	parts->count = parts->at = 0;
}

void parts_free(struct parts *parts)
{
	free(parts->list);
	*parts = (struct parts){0};
}
