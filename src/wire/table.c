/* SPDX-License-Identifier: BSD-3-Clause */
/* table.c - the table of a set. */
#include "wire/table.h"

#include <errno.h>
#include <string.h>
#include "common/checksum.h"

uint64_t table_size(uint32_t segment_count, uint64_t extent_count, uint64_t block_count)
{
	uint64_t head = sizeof(struct table_header) + segment_count * sizeof(uint64_t), extents, checksums, total;

	if (__builtin_mul_overflow(extent_count, sizeof(struct table_extent), &extents) ||
	    __builtin_mul_overflow(block_count, sizeof(uint64_t), &checksums) ||
	    __builtin_add_overflow(extents, checksums, &total) ||
	    __builtin_add_overflow(total, head, &total))
		return 0;
	return total;
}

static struct table table_at(void *buffer, uint32_t segment_count, uint64_t extent_count)
{
	struct table_header *header = buffer;
	uint64_t *segment_ids = (uint64_t *)(header + 1);
	struct table_extent *extents = (struct table_extent *)(segment_ids + segment_count);

	return (struct table){header, segment_ids, extents, (uint64_t *)(extents + extent_count)};
}

struct table table_init(void *buffer, uint64_t block_bytes, uint32_t segment_count, uint64_t extent_count,
			uint64_t block_count)
{
	struct table table = table_at(buffer, segment_count, extent_count);

	table.header->magic = TABLE_MAGIC;
	table.header->version = TABLE_VERSION;
	table.header->block_bytes = (uint32_t)block_bytes;
	table.header->segment_count = segment_count;
	table.header->extent_count = extent_count;
	table.header->block_count = block_count;
	return table;
}

uint64_t table_segment_id(const struct segment *segment)
{
	struct segment only = {.type = segment->type, .element_bytes = segment->element_bytes, .count = segment->count};

	/* The bytes behind the name's end are nobody's. */
	memccpy(only.name, segment->name, '\0', sizeof(only.name));
	return checksum(&only, sizeof(only));
}

int table_check_info(const struct set_info *info, uint64_t capacity, struct error *err)
{
	if (!info->epoch || (info->kind != SET_FULL && info->kind != SET_INCREMENT) || info->segment_count > SET_SEGMENTS_MAX)
		return error_set(err, -EBADMSG, "a set has epoch %llu, kind %u, %u segments",
				 (unsigned long long)info->epoch, info->kind, info->segment_count);
	if (!set_block_ok(info->block_bytes))
		return error_set(err, -EBADMSG, "a set has blocks of %llu bytes; a power of 2 from %u to %u is needed",
				 (unsigned long long)info->block_bytes, SET_BLOCK_MIN, SET_BLOCK_MAX);
	if (info->data_bytes > info->table_offset || info->table_offset % SET_ALIGN ||
	    info->table_offset > capacity || info->table_bytes > capacity - info->table_offset ||
	    info->table_bytes < sizeof(struct table_header))
		return error_set(err, -EBADMSG,
				 "a set of %llu bytes with a table of %llu at %llu does not fit %llu",
				 (unsigned long long)info->data_bytes,
				 (unsigned long long)info->table_bytes,
				 (unsigned long long)info->table_offset, (unsigned long long)capacity);
	return 0;
}

static int extent_check(const struct table *table, const struct table_extent *extent,
			const struct set_info *info, uint64_t first_block)
{
	if (extent->segment >= table->header->segment_count || extent->set_offset % SET_ALIGN ||
	    extent->set_offset > info->data_bytes ||
	    extent->bytes > info->data_bytes - extent->set_offset ||
	    extent->offset > UINT64_MAX - extent->bytes || extent->first_block != first_block ||
	    table_blocks(extent->bytes, info->block_bytes) > table->header->block_count - first_block ||
	    extent->offset % info->block_bytes)
		return -EUCLEAN;
	return 0;
}

int table_open(void *buffer, const struct set_info *info, uint32_t rank, struct table *table,
	       struct error *err)
{
	const struct table_header *header = buffer;
	uint64_t block = 0;

	if (info->table_bytes < sizeof(*header) ||
	    checksum(buffer, info->table_bytes) != info->table_digest)
		return error_set(err, -EUCLEAN, "the table of epoch %llu does not match its digest",
				 (unsigned long long)info->epoch);
	if (header->magic != TABLE_MAGIC || header->version != TABLE_VERSION ||
	    !set_block_ok(info->block_bytes) || header->block_bytes != info->block_bytes ||
	    header->epoch != info->epoch ||
	    header->rank != rank || header->segment_count != info->segment_count ||
	    table_size(header->segment_count, header->extent_count, header->block_count) != info->table_bytes)
		return error_set(err, -EUCLEAN,
				 "the table of epoch %llu is another set's, or of another version",
				 (unsigned long long)info->epoch);
	*table = table_at(buffer, header->segment_count, header->extent_count);
	for (uint64_t i = 0; i < header->extent_count; i++) {
		if (extent_check(table, &table->extents[i], info, block))
			return error_set(err, -EUCLEAN, "extent %llu of epoch %llu is out of range",
					 (unsigned long long)i, (unsigned long long)info->epoch);
		block += table_blocks(table->extents[i].bytes, info->block_bytes);
	}
	if (block != header->block_count)
		return error_set(err, -EUCLEAN, "epoch %llu has %llu blocks, its table says %llu",
				 (unsigned long long)info->epoch, (unsigned long long)block,
				 (unsigned long long)header->block_count);
	return 0;
}

uint64_t table_compare(const struct table *table, uint64_t block, const void *data, uint64_t bytes,
		       uint64_t *bad)
{
	uint64_t differ = 0, block_bytes = table->header->block_bytes, n;
	const uint8_t *at = data;

	for (; bytes; bytes -= n, at += n, block++) {
		n = bytes < block_bytes ? bytes : block_bytes;
		if (checksum(at, n) != table->checksums[block] && !differ++)
			*bad = block;
	}
	return differ;
}

uint64_t table_compare_checksums(const struct table *table, uint64_t block, const uint64_t *checksums, uint64_t bytes,
				 uint64_t *bad)
{
	uint64_t differ = 0, count = table_blocks(bytes, table->header->block_bytes);

	for (uint64_t i = 0; i < count; i++) {
		if (checksums[i] != table->checksums[block + i] && !differ++)
			*bad = block + i;
	}
	return differ;
}
