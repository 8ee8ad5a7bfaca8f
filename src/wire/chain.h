/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chain.h - which set of a chain holds the newest bytes of each block, so that an epoch can be read from a full
 * set and the increments after it with each byte once.
 */
#ifndef HOLDFAST_CHAIN_H
#define HOLDFAST_CHAIN_H

#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "common/set.h"
#include "wire/table.h"

/* Bytes of one segment that lie in one extent of one set. It begins at a block. */
struct chain_piece {
	uint32_t set;	  /* index in the chain */
	uint32_t segment; /* index in the newest set's layout */
	uint64_t offset;  /* in the segment */
	uint64_t bytes;
	uint64_t set_offset;  /* in the set */
	uint64_t first_block; /* index of its first checksum, in the set's table */
};

/*
 * Finds the pieces that make the newest of `count` sets, whose tables (oldest first) came through table_open() and
 * whose layout is `segments`: each byte of each segment once, from the newest set that has it, by segment and offset.
 * All have blocks of one size.
 * *pieces is malloced. Segments of older sets are known by their ids alone: one that an older set lacks has no older
 * history. -EILSEQ where the tables contradict the layout or each other, or leave a block out: `err` tells which.
 * Time and memory grow with the tables.
 */
int chain_resolve(const struct table *tables, size_t count, const struct segment *segments, uint32_t segment_count,
		  struct chain_piece **pieces, size_t *piece_count, struct error *err);

/*
 * The same for sets that follow one that is not among them: blocks that none of them has are left out. Their layout
 * may have at most `bytes_max` bytes (not 0), which bounds time and memory (-EILSEQ).
 */
int chain_resolve_part(const struct table *tables, size_t count, const struct segment *segments, uint32_t segment_count,
		       uint64_t bytes_max, struct chain_piece **pieces, size_t *piece_count, struct error *err);

#endif
