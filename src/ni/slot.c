/* SPDX-License-Identifier: BSD-3-Clause */
/* slot.c - what the NI does to the bytes of a slot. */
#include "ni/slot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/testpoint.h"
#include "wire/table.h"

int slot_prepare(const struct ni_request *request, int fd, struct error *err)
{
	struct mapping *mapped;
	int rc;

	if (!(request->flags & NI_ALLOCATE)) {
		mapped = mapping_use(request->file, 0, request->bytes);
		mapping_release(mapped);
		if (mapped)
			return 0;
	} else if (!request->extent_count) {
		rc = media_allocate(fd, request->bytes, err);
		if (rc)
			return rc;
		/* P2: the file has its full size durably before its capacity is recorded. */
		if (fsync(fd))
			return error_set(err, -errno, "fsync of a slot file: %s", strerror(errno));
	}
	if (request->extent_count > SLOT_EXTENTS)
		return error_set(err, -EBADMSG, "a slot in %u pieces", request->extent_count);
	return mapping_add(request->file, fd, request->bytes, request->extents, request->extent_count, err);
}

int slot_verify(const struct ni_request *request, const struct mapping *mapping, struct ni_reply *reply,
		struct error *err)
{
	const struct set_info *set = &request->set;
	uint8_t *base = (uint8_t *)media->base(mapping->map) + request->offset;
	struct table table;
	uint64_t bad_block = 0, n;
	int rc;

	rc = table_open(base + set->table_offset, set, request->rank, &table, err);
	if (rc)
		return rc;
	reply->blocks = table.header->block_count;
	for (uint64_t i = 0; i < table.header->extent_count; i++) {
		const struct table_extent *extent = &table.extents[i];

		n = table_compare(&table, extent->first_block, base + extent->set_offset, extent->bytes,
				  &bad_block);
		if (n && !reply->bad_blocks)
			snprintf(reply->text, sizeof(reply->text),
				 "segment %u, bytes from %llu on", extent->segment,
				 (unsigned long long)(extent->offset + (bad_block - extent->first_block) *
									      set->block_bytes));
		reply->bad_blocks += n;
	}
	return 0;
}

int slot_commit(const struct ni_request *request, const struct mapping *mapping, struct error *err)
{
	const struct set_info *set = &request->set;
	struct media_map *map = mapping->map;
	uint64_t place = request->offset;
	struct ni_reply found = {0};
	struct table table;
	int rc;

	TEST_POINT("ni.commit.before-persist");
	/* P3: data and table are durable before the set is published. */
	if (!(request->flags & NI_DURABLE)) {
		rc = media->persist(map, place, set->data_bytes, err);
		if (!rc)
			rc = media->persist(map, place + set->table_offset, set->table_bytes, err);
		if (rc)
			return rc;
	}
	TEST_POINT("ni.commit.after-persist");
	if (!(request->flags & NI_CHECK_BLOCKS))
		return table_open((uint8_t *)media->base(map) + place + set->table_offset, set, request->rank, &table,
				  err);
	rc = slot_verify(request, mapping, &found, err);
	if (!rc && found.bad_blocks)
		rc = error_set(err, -EILSEQ, "%llu of %llu blocks arrived damaged: %s",
			       (unsigned long long)found.bad_blocks, (unsigned long long)found.blocks,
			       found.text);
	return rc;
}
