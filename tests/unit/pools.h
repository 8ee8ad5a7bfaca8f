/* SPDX-License-Identifier: BSD-3-Clause */
/* pools.h - small pools for tests: open, make a job, publish a set whose bytes tell whose they are. */
#ifndef HOLDFAST_POOLS_H
#define HOLDFAST_POOLS_H

#include <errno.h>
#include <inttypes.h>
#include <libpmemobj.h>
#include <sys/file.h>

#include "common/checksum.h"
#include "common/set.h"
#include "media/media.h"
#include "pmm/format.h"
#include "pmm/job.h"
#include "pmm/pool.h"
#include "pmm/region.h"
#include "scratch.h"

#define MIB	   (1ull << 20)
#define POOL_BYTES (16 * MIB)
#define METADATA   PMEMOBJ_MIN_POOL
#define UID	   1000
#define SLOT_BYTES 65536u

static struct error pool_err;

/* CALL returns 0. */
#define must(call) ck_assert_msg(!(call), "%s: %s", #call, pool_err.text)
/* CALL returns CODE, and its text has TEXT in it. */
#define must_fail(call, expected, words)                                                           \
	do {                                                                                       \
		int must_rc = (call);                                                              \
		ck_assert_msg(must_rc == (expected), "%s: %d (%s)", #call, must_rc, pool_err.text); \
		ck_assert_int_eq(pool_err.code, (expected));                                       \
		ck_assert_msg(strstr(pool_err.text, (words)), "no '%s' in: %s", (words), pool_err.text); \
	} while (0)

static inline int pool_try(uint64_t bytes, bool accept_damage, struct pool **pool)
{
	const struct pool_params params = {
		.size_bytes = bytes,
		.metadata_bytes = METADATA,
		.accept_damage = accept_damage,
	};

	return pool_open(scratch_path("pool"), &params, pool, &pool_err);
}

static inline struct pool *pool_get(void)
{
	struct pool *pool = NULL;

	must(pool_try(POOL_BYTES, false, &pool));
	return pool;
}

static inline struct region *region_get(struct pool *pool, const char *name, uint32_t ranks, uint32_t rank)
{
	struct job *job = job_find(pool, UID, name);
	struct region *region = NULL;

	if (!job)
		must(job_create(pool, UID, UID, name, ranks, &job, &pool_err));
	region = job_region(job, rank);
	if (!region)
		must(region_create(job, rank, REGION_OVERWRITE, &region, &pool_err));
	return region;
}

/* A command line: a directory, a program, an argument. */
#define COMMAND(text) ((struct command_line){sizeof(text), (char[]){text}})
#define EXAMPLE	      "/home/me\0mpirun\0-n\0" "4\0./app"

/* Maps the slot as the NI does, on a device and on a file system. */
static inline struct media_map *slot_map(struct region *region, unsigned slot)
{
	struct extent extents[SLOT_EXTENTS];
	struct media_map *map = NULL;
	unsigned count;
	int fd = -1;

	must(region_slot_open(region, slot, &fd, &pool_err));
	count = region_slot_extents(region, slot, extents);
	if (count)
		must(media->map_extents(fd, extents, count, &map, &pool_err));
	else
		must(media->map(fd, SLOT_BYTES, &map, &pool_err));
	close(fd);
	return map;
}

/* Gives the slot a file of at least `bytes`. */
static inline void slot_grow(struct region *region, unsigned slot, uint64_t bytes)
{
	struct extent extents[SLOT_EXTENTS];
	uint64_t capacity;
	int fd = -1;

	must(region_reserve(region, bytes, &capacity, &pool_err));
	must(region_slot_allocate(region, slot, capacity, &pool_err));
	must(region_slot_open(region, slot, &fd, &pool_err));
	if (!region_slot_extents(region, slot, extents))
		must(media_allocate(fd, capacity, &pool_err));
	must(region_grown(region, slot, capacity, &pool_err));
	close(fd);
}

static inline uint64_t set_word(uint32_t rank, uint64_t epoch)
{
	const uint64_t words[2] = {rank, epoch};

	return checksum(words, sizeof(words));
}

#define SEGMENTS 3

static inline void set_make(uint32_t rank, uint64_t epoch, struct set_info *set,
			    struct segment segments[SEGMENTS])
{
	*set = (struct set_info){
		.epoch = epoch,
		.kind = SET_FULL,
		.segment_count = SEGMENTS,
		.data_bytes = SLOT_BYTES - SET_ALIGN,
		.table_offset = SLOT_BYTES - SET_ALIGN,
		.table_bytes = 512,
		.table_digest = set_word(rank, epoch),
		.block_bytes = SET_BLOCK_DEFAULT,
	};
	memset(segments, 0, SEGMENTS * sizeof(*segments));
	for (unsigned i = 0; i < SEGMENTS; i++) {
		snprintf(segments[i].name, sizeof(segments[i].name), "segment %u of %" PRIu64, i, epoch);
		segments[i].type = ELEMENT_DOUBLE;
		segments[i].element_bytes = 8;
		segments[i].count = epoch + rank + i;
	}
}

/* Fills the slot with words of this rank and epoch. */
static inline void slot_fill(struct region *region, unsigned slot, uint64_t epoch)
{
	struct media_map *map = slot_map(region, slot);
	uint64_t word = set_word(region_rank(region), epoch);

	for (size_t at = 0; at < SLOT_BYTES; at += sizeof(word))
		media->copy(map, at, &word, sizeof(word));
	must(media->persist(map, 0, SLOT_BYTES, &pool_err));
	media->unmap(map);
}

/* A whole checkpoint of one rank; returns the slot. */
static inline unsigned checkpoint(struct region *region, uint64_t keep, uint64_t epoch)
{
	struct segment segments[SEGMENTS];
	struct set_info set;
	unsigned slot = 99;

	must(region_pick_slot(region, keep, &slot, &pool_err));
	must(region_withdraw(region, slot, &pool_err));
	if (region_slot_capacity(region, slot) < SLOT_BYTES)
		slot_grow(region, slot, SLOT_BYTES);
	slot_fill(region, slot, epoch);
	set_make(region_rank(region), epoch, &set, segments);
	must(region_publish(region, slot, &set, segments, &pool_err));
	return slot;
}

/* Whether what the metadata says of the slot's set is what checkpoint() made, and its bytes too. */
static inline void set_check(struct region *region, unsigned slot)
{
	const struct set_info *got = region_set(region, slot);
	struct segment segments[SEGMENTS];
	struct media_map *map;
	struct set_info set;
	const uint64_t *words;
	uint64_t word;

	set_make(region_rank(region), got->epoch, &set, segments);
	set.time_ns = got->time_ns;
	set.generation = got->generation;
	ck_assert(!memcmp(got, &set, sizeof(set)));
	ck_assert(!memcmp(region_segments(region, slot), segments, sizeof(segments)));
	map = slot_map(region, slot);
	words = media->base(map);
	word = set_word(region_rank(region), got->epoch);
	for (size_t i = 0; i < SLOT_BYTES / 8; i++)
		ck_assert_msg(words[i] == word, "rank %u, epoch %" PRIu64 ": word %zu is torn",
			      region_rank(region), got->epoch, i);
	media->unmap(map);
}

static inline const char *slot_path(const struct region *region, unsigned slot)
{
	char name[64];

	snprintf(name, sizeof(name), "pool/slots/%016" PRIx64, region_slot_file(region, slot));
	return scratch_path(name);
}

static inline unsigned slot_files(void)
{
	char command[300];
	unsigned n = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ls %s/pool/slots | wc -l", scratch);
	pipe = popen(command, "r");
	ck_assert_int_eq(fscanf(pipe, "%u", &n), 1);
	pclose(pipe);
	return n;
}

/* ---- the metadata, behind the pool's back ---- */

struct raw {
	PMEMobjpool *pop;
	struct root_record *root;
};

static inline struct raw raw_open(void)
{
	struct raw raw = {.pop = pmemobj_open(scratch_path("pool/metadata"), FORMAT_LAYOUT)};

	ck_assert_msg(raw.pop != NULL, "%s", pmemobj_errormsg());
	raw.root = pmemobj_direct(pmemobj_root(raw.pop, sizeof(*raw.root)));
	return raw;
}

static inline void *raw_at(const struct raw *raw, uint64_t offset)
{
	return (uint8_t *)raw->pop + offset;
}

/* The newest job's region of this rank. */
static inline struct region_record *raw_region(const struct raw *raw, uint32_t rank)
{
	const struct job_record *job = raw_at(raw, raw->root->first_job);
	const struct rank_record *table = raw_at(raw, job->table);

	return raw_at(raw, table[rank].region);
}

static inline void raw_close(struct raw *raw)
{
	pmemobj_persist(raw->pop, raw->root, sizeof(*raw->root));
	pmemobj_close(raw->pop);
}

#define raw_seal(record) ((record)->checksum = checksum(record, offsetof(__typeof__(*(record)), checksum)))

#endif
