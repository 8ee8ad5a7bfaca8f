/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h - the table of a set: where each piece of each segment lies in the set, and a checksum for
 * each block of it. The client builds it while it writes, and ships it one-sided behind the data; the
 * NI checks its digest at COMMIT; readers check every block against it.
 *
 *	struct table_header
 *	uint64_t segment_id[segment_count]	of each segment of the set's layout, see table_segment_id()
 *	struct table_extent[extent_count]	by segment and offset
 *	uint64_t checksum[block_count]		in the order of the extents
 *
 * An extent is cut into blocks of block_bytes, as the set's description has it, from its own start; the last may be
 * short. One of an increment begins at a block of its segment, and ends at one, or at the segment's end: so a block is
 * in a set whole, or not at all. An increment that changes a segment's description holds all of it.
 *
 * All fields are little-endian, and so must the machine be. Offsets are from the set's own beginning.
 */
#ifndef HOLDFAST_TABLE_H
#define HOLDFAST_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/set.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the set's table is used in place: a little-endian machine is needed"
#endif

#define TABLE_MAGIC   0x454c424154544648u /* "HFTTABLE" */
#define TABLE_VERSION 2

struct table_header {
	uint64_t magic;
	uint32_t version;
	uint32_t block_bytes;
	uint64_t epoch;
	uint32_t rank;
	uint32_t segment_count;
	uint64_t extent_count;
	uint64_t block_count;
	uint64_t reserved[2]; /* 0 */
};
_Static_assert(sizeof(struct table_header) == 64, "on media");

struct table_extent {
	uint32_t segment; /* index in the set's layout */
	uint32_t reserved; /* 0 */
	uint64_t offset;   /* in the segment, bytes */
	uint64_t bytes;
	uint64_t set_offset; /* in the set; a multiple of SET_ALIGN */
	uint64_t first_block; /* index of its first checksum */
};
_Static_assert(sizeof(struct table_extent) == 40, "on media");

/* A table in memory: pointers into one buffer. */
struct table {
	struct table_header *header;
	uint64_t *segment_ids;
	struct table_extent *extents;
	uint64_t *checksums;
};

/* `block_bytes` is a block's size, as set_block_ok() allows it. */
static inline uint64_t table_blocks(uint64_t bytes, uint64_t block_bytes)
{
	return bytes / block_bytes + (bytes % block_bytes != 0);
}

/* Size of a table in bytes; 0 where it would overflow. */
uint64_t table_size(uint32_t segment_count, uint64_t extent_count, uint64_t block_count);

/* Lays a new table out over a zeroed buffer of table_size() bytes, and fills the counts in. */
struct table table_init(void *buffer, uint64_t block_bytes, uint32_t segment_count, uint64_t extent_count,
			uint64_t block_count);

/* What tells a segment from any other, of this or another set: a hash of its name, type, element size and count.
 * Extents of two sets belong to the same segment where the ids are the same. */
uint64_t table_segment_id(const struct segment *segment);

/*
 * Takes apart a table that came from outside, against the set's description: every number in it is
 * checked, so that its extents can be used without further checks. -EUCLEAN with the reason.
 */
int table_open(void *buffer, const struct set_info *info, uint32_t rank, struct table *table,
	       struct error *err);

/* Looks at the description alone: sizes and offsets are in range and in order, the block size is one. -EBADMSG. */
int table_check_info(const struct set_info *info, uint64_t capacity, struct error *err);

/* Compares the `bytes` at `data`, which are blocks [block, ...) of an extent, with the checksums. Returns
 * the number of blocks that differ; *bad gets the index of the first of them. */
uint64_t table_compare(const struct table *table, uint64_t block, const void *data, uint64_t bytes,
		       uint64_t *bad);

/* The same, of blocks whose checksums somebody has made: as many as `bytes` bytes have. */
uint64_t table_compare_checksums(const struct table *table, uint64_t block, const uint64_t *checksums, uint64_t bytes,
				 uint64_t *bad);

#endif
