/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * format.h - the records of a pool, as they lie on the medium (docs/on-media-format.md).
 *
 *   root ──> newest job ──> older job ──> ...
 *              ├─> command: how it was last run
 *              └─> rank table: one entry a rank ──> region
 *                                                     ├─ slot 0 ──> layout: the segments of its set
 *                                                     ├─ slot 1 ──> layout
 *                                                     ├─ the log (append mode)
 *                                                     └─> newest increment ──> older increment ──> ...
 *
 * Each is an object of libpmemobj; references are offsets in the pool, 0 for none. Integers are
 * little-endian. Every record ends (a header: is followed) by an XXH3-64 checksum of the bytes before it,
 * changed in the same transaction. Reserved bytes are zero and covered.
 *
 * POOL_VERSION (pool.h) rises when a program that does not know the change would misread a pool. The first
 * 16 bytes of the root record keep their meaning in every version.
 */
#ifndef HOLDFAST_FORMAT_H
#define HOLDFAST_FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include "common/set.h"
#include "common/share.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a pool is little-endian, and so is libpmemobj's own part of it the host's"
#endif

#define FORMAT_LAYOUT	  "holdfast" /* libpmemobj's name for what is in the pool */
#define FORMAT_MAGIC	  "HOLDFAST"
#define FORMAT_DEVICE_MAGIC   "HOLDFDEV"
#define FORMAT_DEVICE_VERSION 1
#define FORMAT_FILE_CHARS 16 /* a slot's file is called by its number, in hexadecimal */

/* Type numbers of libpmemobj's objects; the root object has 0. */
enum format_type {
	FORMAT_JOB = 1,
	FORMAT_TABLE = 2,
	FORMAT_REGION = 3,
	FORMAT_LAYOUT_OF_SET = 4,
	FORMAT_COMMAND = 5,
	FORMAT_INCREMENT = 6,
};

enum format_tag {
	TAG_JOB = 0x4a424f4a,
	TAG_REGION = 0x47455247,
	TAG_SEGMENTS = 0x53474553,
	TAG_COMMAND = 0x444e4d43,
	TAG_INCREMENT = 0x52434e49,
};

/* A job that is being dropped is no longer listed; pool_open() goes on where a crash stopped it. */
enum format_job_state { JOB_STATE_LIVE = 1, JOB_STATE_DROPPED = 2 };

struct root_record {
	char magic[8];
	uint32_t version;
	uint32_t record_bytes; /* of this record */
	uint8_t id[16];
	uint64_t created_ns;
	uint64_t metadata_bytes; /* of the metadata file */
	uint64_t next_file;	 /* number of the next slot file; numbers are never used again */
	uint64_t next_job;
	uint64_t first_job; /* the newest */
	uint64_t device_bytes; /* where slots lie on a device, else 0, and both are */
	uint64_t unit_bytes;   /* of the device: extents are whole units */
	uint64_t reserved[4];
	uint64_t checksum;
};
_Static_assert(sizeof(struct root_record) == 128, "root record");
_Static_assert(offsetof(struct root_record, version) == 8, "root record");
_Static_assert(offsetof(struct root_record, record_bytes) == 12, "root record");
_Static_assert(offsetof(struct root_record, created_ns) == 32, "root record");
_Static_assert(offsetof(struct root_record, first_job) == 64, "root record");
_Static_assert(offsetof(struct root_record, device_bytes) == 72, "root record");
_Static_assert(offsetof(struct root_record, checksum) == 120, "root record");

/* At the beginning of the device; the first unit holds nothing else. */
struct device_header {
	char magic[8];
	uint32_t version;      /* of this header */
	uint32_t header_bytes; /* of it */
	uint8_t id[16];	       /* the pool's */
	uint64_t created_ns;
	uint64_t device_bytes;
	uint64_t unit_bytes;
	uint64_t reserved[8];
	uint64_t checksum;
};
_Static_assert(sizeof(struct device_header) == 128, "device header");
_Static_assert(offsetof(struct device_header, id) == 16, "device header");
_Static_assert(offsetof(struct device_header, device_bytes) == 40, "device header");
_Static_assert(offsetof(struct device_header, checksum) == 120, "device header");

struct job_record {
	uint32_t tag;
	uint32_t ranks;
	uint64_t number;
	uint64_t created_ns;
	uint64_t next;	/* the next older job */
	uint64_t table; /* of `ranks` entries */
	uint32_t uid;
	uint32_t gid;
	uint32_t state;
	uint32_t command_bytes; /* of its text */
	char name[JOB_NAME_BYTES];
	uint64_t command; /* command_record; 0: none */
	uint32_t group;	  /* gid of those who share the job, */
	uint32_t share;	  /* and how: enum job_share */
	uint64_t reserved[6];
	uint64_t checksum;
};
_Static_assert(sizeof(struct job_record) == 256, "job record");
_Static_assert(offsetof(struct job_record, next) == 24, "job record");
_Static_assert(offsetof(struct job_record, uid) == 40, "job record");
_Static_assert(offsetof(struct job_record, name) == 56, "job record");
_Static_assert(offsetof(struct job_record, command_bytes) == 52, "job record");
_Static_assert(offsetof(struct job_record, command) == 184, "job record");
_Static_assert(offsetof(struct job_record, group) == 192, "job record");
_Static_assert(offsetof(struct job_record, checksum) == 248, "job record");

/* The command line that the job was last run by: this header, then the text as common/command.h has it. */
struct command_record {
	uint32_t tag;
	uint32_t bytes; /* of the text */
	uint64_t job;	/* its number */
	uint64_t text_checksum;
	uint64_t reserved[4];
	uint64_t checksum; /* of what is before */
	char text[];
};
_Static_assert(offsetof(struct command_record, job) == 8, "command record");
_Static_assert(offsetof(struct command_record, checksum) == 56, "command record");
_Static_assert(sizeof(struct command_record) == 64, "command record");

/* An entry of the rank table. Its checksum covers {region, job number, rank}: see rank_key. */
struct rank_record {
	uint64_t region;
	uint64_t checksum;
};
_Static_assert(sizeof(struct rank_record) == 16, "entry of the rank table");

struct rank_key {
	uint64_t region;
	uint64_t job;
	uint64_t rank;
};
_Static_assert(sizeof(struct rank_key) == 24, "what an entry's checksum covers");

/* A set; part of other records. */
struct set_record {
	uint64_t epoch;
	uint32_t kind; /* enum set_kind */
	uint32_t segment_count;
	uint64_t data_bytes;
	uint64_t table_offset;
	uint64_t table_bytes;
	uint64_t table_digest;
	uint64_t time_ns;
	uint64_t layout; /* segments_record; of an increment, 0: that of the set before it */
	uint64_t generation; /* of the region, when it was published */
	uint64_t block_bytes;
};
_Static_assert(sizeof(struct set_record) == 80, "set record");
_Static_assert(offsetof(struct set_record, kind) == 8, "set record");
_Static_assert(offsetof(struct set_record, data_bytes) == 16, "set record");
_Static_assert(offsetof(struct set_record, layout) == 56, "set record");
_Static_assert(offsetof(struct set_record, generation) == 64, "set record");
_Static_assert(offsetof(struct set_record, block_bytes) == 72, "set record");

/* Units of the device, one behind the other; none: count is 0. */
struct extent_record {
	uint32_t first, count;
};
_Static_assert(sizeof(struct extent_record) == 8, "extent record");

/* A slot and the set in it, all 0 without one; or the log, which is a slot that never has one. */
struct slot_record {
	uint64_t file;	   /* number; 0: none yet */
	uint64_t capacity; /* bytes that the file has, at least */
	struct set_record set;
	struct extent_record extents[SLOT_EXTENTS]; /* on a device: where the slot lies, in this order */
	uint64_t checksum;
};
_Static_assert(sizeof(struct slot_record) == 160, "slot record");
_Static_assert(offsetof(struct slot_record, set) == 16, "slot record");
_Static_assert(offsetof(struct slot_record, extents) == 96, "slot record");
_Static_assert(offsetof(struct slot_record, checksum) == 152, "slot record");

/* An increment in the log. */
struct increment_record {
	uint32_t tag;
	uint32_t rank;
	uint64_t job;	/* its number */
	uint64_t older; /* the increment before it, of this or an older chain; 0: none */
	uint64_t place; /* in the log */
	struct set_record set;
	uint64_t reserved;
	uint64_t checksum;
};
_Static_assert(sizeof(struct increment_record) == 128, "increment record");
_Static_assert(offsetof(struct increment_record, place) == 24, "increment record");
_Static_assert(offsetof(struct increment_record, set) == 32, "increment record");
_Static_assert(offsetof(struct increment_record, checksum) == 120, "increment record");

struct region_record {
	uint32_t tag;
	uint32_t rank;
	uint64_t job; /* its number */
	uint32_t mode; /* enum region_mode */
	uint32_t slot_count; /* SLOTS_PER_REGION, or SLOTS_MAX in append mode */
	uint64_t generation;
	uint8_t launch[LAUNCH_BYTES]; /* that took the region over last; 0: none has */
	uint64_t launch_generation;   /* with which it did so first */
	uint64_t newest_increment;    /* increment_record; 0: none */
	uint64_t reserved;
	uint64_t checksum; /* of what is before; the slots have their own */
	struct slot_record slots[SLOTS_MAX];
};
_Static_assert(offsetof(struct region_record, mode) == 16, "region record");
_Static_assert(offsetof(struct region_record, launch) == 32, "region record");
_Static_assert(offsetof(struct region_record, launch_generation) == 48, "region record");
_Static_assert(offsetof(struct region_record, newest_increment) == 56, "region record");
_Static_assert(offsetof(struct region_record, checksum) == 72, "region record");
_Static_assert(offsetof(struct region_record, slots) == 80, "region record");
_Static_assert(sizeof(struct region_record) == 80 + 160 * SLOTS_MAX, "region record");

/* The layout of a set: this header, then its segments as set.h has them. */
struct segments_record {
	uint32_t tag;
	uint32_t segment_count;
	uint64_t job;
	uint32_t rank;
	uint32_t slot; /* SLOT_LOG for an increment's */
	uint64_t epoch;
	uint64_t segments_checksum; /* of all segments */
	uint64_t reserved[2];	    /* the segments' shapes, one day */
	uint64_t checksum;	    /* of what is before */
	struct segment segments[];
};
_Static_assert(offsetof(struct segments_record, epoch) == 24, "segments record");
_Static_assert(offsetof(struct segments_record, checksum) == 56, "segments record");
_Static_assert(sizeof(struct segments_record) == 64, "segments record");
_Static_assert(sizeof(struct segment) == 80, "segment");
_Static_assert(offsetof(struct segment, type) == 64, "segment");
_Static_assert(offsetof(struct segment, element_bytes) == 68, "segment");
_Static_assert(offsetof(struct segment, count) == 72, "segment");

#endif
