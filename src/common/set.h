/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * set.h - what a set is, to every layer: its description and its named, typed segments.
 *
 * A set lies in a slot, or in its region's log, as its data, cut into extents that each start on a
 * SET_ALIGN boundary, and behind them a table (wire/table.h) of extents and block checksums. The table
 * travels one-sided with the data; its digest is part of the description, so that metadata anchors every
 * byte of the set.
 *
 * A region in overwrite mode has SLOTS_PER_REGION slots, for a full set each. One in append mode has a log
 * beside them, as large as a slot: a full set is a base, and the increments that follow it lie in the log,
 * each with what changed since the set before it. A base and its increments are a chain, in the order of
 * their epochs: an epoch is restored from its set and all before it in its chain.
 */
#ifndef HOLDFAST_SET_H
#define HOLDFAST_SET_H

#include <stdbool.h>
#include <stdint.h>

#define SEGMENT_NAME_BYTES 64   /* with the terminating zero */
#define JOB_NAME_BYTES	   128  /* with the terminating zero */
#define LAUNCH_BYTES	   16
#define SET_SEGMENTS_MAX   4096
#define SET_ALIGN	   4096u
#define SET_BLOCK_DEFAULT  65536u /* bytes of a block, which a checksum covers; the last of a segment may be short */
#define SET_BLOCK_MIN	   4096u
#define SET_BLOCK_MAX	   (4u << 20)
#define SLOTS_PER_REGION   2 /* for full sets */
#define SLOT_LOG	   2 /* append mode: the log, as if it were a slot */
#define SLOTS_MAX	   3
#define INCREMENTS_MAX	   1000
#define SETS_MAX	   (SLOTS_PER_REGION + INCREMENTS_MAX)
#define RANKS_MAX	   (1u << 20)
#define SLOT_EXTENTS	   7 /* on a device: pieces that a slot may be in */

/* A piece of a device. */
struct extent {
	uint64_t offset, bytes;
};

enum region_mode { REGION_OVERWRITE = 1, REGION_APPEND = 2 };
enum set_kind { SET_FULL = 1, SET_INCREMENT = 2 };

/* Types of elements. Numbers are on media and on the wire: never reuse one. */
enum element_type {
	ELEMENT_BYTE = 1,
	ELEMENT_CHAR,
	ELEMENT_INT8,
	ELEMENT_UINT8,
	ELEMENT_INT16,
	ELEMENT_UINT16,
	ELEMENT_INT32,
	ELEMENT_UINT32,
	ELEMENT_INT64,
	ELEMENT_UINT64,
	ELEMENT_FLOAT,
	ELEMENT_DOUBLE,
	ELEMENT_LONG_DOUBLE,
	ELEMENT_COMPLEX_FLOAT,
	ELEMENT_COMPLEX_DOUBLE,
	ELEMENT_BOOL,
	ELEMENT_LOGICAL, /* Fortran's, 4 bytes by default */
	ELEMENT_TYPE_END
};

struct segment {
	char name[SEGMENT_NAME_BYTES];
	uint32_t type; /* enum element_type */
	uint32_t element_bytes;
	uint64_t count;
};

/* Bytes of a segment. */
struct segment_range {
	uint64_t offset, bytes;
};

struct set_info {
	uint64_t epoch; /* 0: no set */
	uint32_t kind;	/* enum set_kind */
	uint32_t segment_count;
	uint64_t data_bytes;   /* all segments, with the gaps that alignment leaves */
	uint64_t table_offset; /* in the slot; a multiple of SET_ALIGN, >= data_bytes */
	uint64_t table_bytes;
	uint64_t table_digest; /* checksum() of the table */
	uint64_t time_ns;      /* of publication, since the epoch */
	uint64_t generation;   /* of the region that wrote it; the PMM's word, never a client's */
	uint64_t block_bytes;  /* the same in all sets of a chain */
};

/* May a set have blocks of this size? */
static inline bool set_block_ok(uint64_t bytes)
{
	return bytes >= SET_BLOCK_MIN && bytes <= SET_BLOCK_MAX && !(bytes & (bytes - 1));
}

#endif
