/* SPDX-License-Identifier: BSD-3-Clause */
/* track.c - segments, their two tables of checksums, and what differs between them. */
#include "track/track.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/set.h"
#include "common/thread.h"
#include "track/choose.h"
#include "track/tracker.h"

/* Whole pages of a segment that are worth a walk over page tables; fewer are hashed. */
#define WATCH_BYTES_MIN 65536u

/* What one thread hashes before it looks for more, and for how much a thread is worth its beginning. */
#define HASH_SHARE_BYTES  (1u << 20)
#define HASH_THREAD_BYTES (4u << 20)

enum watch {
	WATCH_TO_BEGIN, /* at the next collect, so that filling a new array makes no faults */
	WATCH_ON,
	WATCH_NEVER,
};

/* What is there a block: these arrays share one allocation, which begins with `reference`. */
struct tables {
	uint64_t *reference;	    /* checksums in the last committed set; 0: unknown */
	uint64_t *current;	    /* as of the last collect; 0: unknown, or the sender's to make */
	struct segment_range *ranges; /* half as many as blocks, rounded up */
	bool *suspects;		    /* may have been written since `current` was made */
};

struct track_segment {
	struct track *track;
	struct track_segment *next;
	char name[SEGMENT_NAME_BYTES];
	uint8_t *addr;
	uint64_t bytes, blocks;
	enum track_hint hint;
	struct tables tables;
	uint64_t range_count;
	enum watch watch;
	/* The pages that lie wholly in the segment. Those at its edges hold others' data too, and what
	 * is written next to it is not ours to forget: their blocks are always hashed. */
	uintptr_t watch_begin;
	uint64_t watch_bytes;
};

struct track {
	const struct tracker_ops *ops;
	struct tracker *tracker; /* NULL: ops watches nothing */
	pid_t owner;
	uint64_t block_bytes;
	unsigned threads;
	struct track_segment *segments;
	void (*say)(void *context, const char *message);
	void *context;
	char reason[ERROR_TEXT_BYTES];
};

int track_open(const struct track_options *options, struct track **track, struct error *err)
{
	uint64_t block = options->block_bytes ? options->block_bytes : SET_BLOCK_DEFAULT;
	struct track *new;
	int rc;

	if (!set_block_ok(block))
		return error_set(err, -EINVAL,
				 "blocks of %llu bytes; a power of 2 from %u to %u is needed",
				 (unsigned long long)block, SET_BLOCK_MIN, SET_BLOCK_MAX);
	new = calloc(1, sizeof(*new));
	if (!new)
		return error_nomem(err, "tracking changes");
	new->block_bytes = block;
	new->threads = options->threads;
	new->owner = getpid();
	new->say = options->say;
	new->context = options->context;
	rc = tracker_choose(options->tracker, new->threads, &new->ops, new->reason, sizeof(new->reason), err);
	if (!rc && new->ops->open)
		rc = new->ops->open(&new->tracker, err);
	if (rc) {
		free(new);
		return rc;
	}
	*track = new;
	return 0;
}

static void segment_free(struct track_segment *segment)
{
	free(segment->tables.reference);
	free(segment);
}

void track_close(struct track *track)
{
	struct track_segment *next;

	if (!track)
		return;
	if (track->tracker)
		track->ops->close(track->tracker);
	for (struct track_segment *segment = track->segments; segment; segment = next) {
		next = segment->next;
		segment_free(segment);
	}
	free(track);
}

const char *track_name(const struct track *track)
{
	return track->ops->name;
}

const char *track_reason(const struct track *track)
{
	return track->reason;
}

uint64_t track_block_bytes(const struct track *track)
{
	return track->block_bytes;
}

/* A child has the parent's track, but the parent's memory is what its tracker watches. */
static bool track_watches(const struct track *track)
{
	return track->tracker && track->owner == getpid();
}

const char *track_method(const struct track_segment *segment)
{
	if (segment->hint == TRACK_VOLATILE)
		return "volatile";
	if (segment->watch == WATCH_ON && track_watches(segment->track))
		return segment->track->ops->name;
	return tracker_hash.name;
}

static int tables_allocate(struct tables *tables, uint64_t blocks)
{
	const uint64_t ranges = blocks / 2 + 1;
	uint8_t *all;

	all = calloc(1, 2 * blocks * sizeof(uint64_t) + ranges * sizeof(struct segment_range) +
				blocks * sizeof(bool));
	if (!all)
		return -ENOMEM;
	tables->reference = (uint64_t *)all;
	tables->current = tables->reference + blocks;
	tables->ranges = (struct segment_range *)(tables->current + blocks);
	tables->suspects = (bool *)(tables->ranges + ranges);
	return 0;
}

static uint64_t blocks_of(const struct track *track, uint64_t bytes)
{
	return bytes / track->block_bytes + (bytes % track->block_bytes != 0);
}

static uint64_t block_size(const struct track_segment *segment, uint64_t block)
{
	uint64_t rest = segment->bytes - block * segment->track->block_bytes;

	return rest < segment->track->block_bytes ? rest : segment->track->block_bytes;
}

static void watch_end(struct track_segment *segment)
{
	if (segment->watch == WATCH_ON && track_watches(segment->track))
		segment->track->ops->unwatch(segment->track->tracker, segment->watch_begin,
					     segment->watch_bytes);
	segment->watch = WATCH_NEVER;
}

/* Decides what of the segment's new place is to be watched. */
static void watch_plan(struct track_segment *segment)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)segment->addr;
	const uintptr_t end = (at + segment->bytes) & ~(page - 1);

	segment->watch = WATCH_NEVER;
	segment->watch_begin = (at + page - 1) & ~(page - 1);
	segment->watch_bytes = end > segment->watch_begin ? end - segment->watch_begin : 0;
	if (segment->track->tracker && segment->hint == TRACK_NORMAL &&
	    segment->watch_bytes >= WATCH_BYTES_MIN)
		segment->watch = WATCH_TO_BEGIN;
}

static void watch_give_up(struct track_segment *segment, const char *reason)
{
	struct track *track = segment->track;
	char message[ERROR_TEXT_BYTES + 256];

	segment->watch = WATCH_NEVER;
	snprintf(message, sizeof(message), "segment %s is hashed at every checkpoint: %s cannot watch it: %s",
		 segment->name, track->ops->name, reason);
	if (track->say)
		track->say(track->context, message);
}

/* Another segment whose pages are watched; a page that two watched would be reported to one of them. */
static const struct track_segment *watch_overlaps(const struct track_segment *segment)
{
	for (const struct track_segment *s = segment->track->segments; s; s = s->next)
		if (s != segment && s->watch == WATCH_ON &&
		    s->watch_begin < segment->watch_begin + segment->watch_bytes &&
		    segment->watch_begin < s->watch_begin + s->watch_bytes)
			return s;
	return NULL;
}

static void watch_begin(struct track_segment *segment)
{
	const struct track_segment *other = watch_overlaps(segment);
	struct track *track = segment->track;
	struct error err;

	if (other) {
		error_set(&err, -EBUSY, "it shares memory with segment %s", other->name);
		watch_give_up(segment, err.text);
		return;
	}
	if (track->ops->watch(track->tracker, segment->watch_begin, segment->watch_bytes, &err)) {
		track->ops->unwatch(track->tracker, segment->watch_begin, segment->watch_bytes);
		watch_give_up(segment, err.text);
		return;
	}
	segment->watch = WATCH_ON;
}

static int check_place(const char *name, const void *addr, uint64_t bytes, struct error *err)
{
	if (bytes > UINTPTR_MAX - (uintptr_t)addr || (!addr && bytes))
		return error_set(err, -EINVAL, "segment %s has no place in memory: %llu bytes at %p", name,
				 (unsigned long long)bytes, addr);
	return 0;
}

int track_add(struct track *track, const char *name, void *addr, uint64_t bytes, enum track_hint hint,
	      struct track_segment **segment, struct error *err)
{
	struct track_segment *new;
	int rc = check_place(name, addr, bytes, err);

	if (rc)
		return rc;
	new = calloc(1, sizeof(*new));
	if (!new || tables_allocate(&new->tables, blocks_of(track, bytes))) {
		free(new);
		return error_nomem(err, "the checksums of a segment");
	}
	snprintf(new->name, sizeof(new->name), "%s", name);
	new->track = track;
	new->addr = addr;
	new->bytes = bytes;
	new->blocks = blocks_of(track, bytes);
	new->hint = hint;
	watch_plan(new);
	new->next = track->segments;
	track->segments = new;
	*segment = new;
	return 0;
}

void track_remove(struct track_segment *segment)
{
	struct track_segment **link;

	if (!segment)
		return;
	watch_end(segment);
	for (link = &segment->track->segments; *link != segment; link = &(*link)->next)
		;
	*link = segment->next;
	segment_free(segment);
}

/* Keeps what is known of blocks that keep their size. */
static int tables_resize(struct track_segment *segment, uint64_t bytes)
{
	const uint64_t smaller = bytes < segment->bytes ? bytes : segment->bytes;
	const uint64_t whole = smaller / segment->track->block_bytes;
	struct tables tables;

	if (bytes == segment->bytes)
		return 0;
	if (tables_allocate(&tables, blocks_of(segment->track, bytes)))
		return -ENOMEM;
	memcpy(tables.reference, segment->tables.reference, whole * sizeof(uint64_t));
	memcpy(tables.current, segment->tables.current, whole * sizeof(uint64_t));
	free(segment->tables.reference);
	segment->tables = tables;
	segment->blocks = blocks_of(segment->track, bytes);
	segment->range_count = 0;
	return 0;
}

int track_move(struct track_segment *segment, void *addr, uint64_t bytes, struct error *err)
{
	int rc = check_place(segment->name, addr, bytes, err);

	if (rc)
		return rc;
	if (addr == segment->addr && bytes == segment->bytes)
		return 0;
	if (tables_resize(segment, bytes))
		return error_nomem(err, "the checksums of a segment");
	watch_end(segment);
	segment->addr = addr;
	segment->bytes = bytes;
	watch_plan(segment);
	return 0;
}

static void suspect_all(struct track_segment *segment)
{
	memset(segment->tables.suspects, true, segment->blocks * sizeof(bool));
}

/* These bytes, which lie in the segment, may have been written; the tracker's sink. */
static void suspect_written(void *context, uintptr_t begin, uint64_t bytes)
{
	struct track_segment *segment = context;
	const uint64_t offset = begin - (uintptr_t)segment->addr, block = segment->track->block_bytes;

	if (!bytes)
		return;
	for (uint64_t i = offset / block; i <= (offset + bytes - 1) / block; i++)
		segment->tables.suspects[i] = true;
}

/* Finds the blocks that may have been written since their checksum was made. */
static void suspects_find(struct track_segment *segment)
{
	const struct tracker_sink sink = {suspect_written, segment};
	const uintptr_t at = (uintptr_t)segment->addr;
	const uintptr_t watched_end = segment->watch_begin + segment->watch_bytes;
	struct track *track = segment->track;
	struct error err;

	if (segment->watch == WATCH_TO_BEGIN && track_watches(track))
		watch_begin(segment); /* what was written before is not known */
	else if (segment->watch == WATCH_ON && track_watches(track)) {
		memset(segment->tables.suspects, false, segment->blocks * sizeof(bool));
		suspect_written(segment, at, segment->watch_begin - at);
		suspect_written(segment, watched_end, at + segment->bytes - watched_end);
		if (!track->ops->collect(track->tracker, segment->watch_begin, segment->watch_bytes, &sink,
					 &err))
			return;
		track->ops->unwatch(track->tracker, segment->watch_begin, segment->watch_bytes);
		watch_give_up(segment, err.text);
	}
	suspect_all(segment);
}

/* Blocks of a segment that several threads hash, a share at a time. */
struct hashing {
	struct track_segment *segment;
	uint64_t share; /* blocks */
	_Atomic uint64_t next, hashed;
};

/* Without a reference a block is changed whatever its checksum is, and the sender makes it on the way. */
static bool block_to_hash(const struct track_segment *segment, uint64_t i)
{
	return segment->tables.suspects[i] && segment->tables.reference[i] && segment->hint != TRACK_VOLATILE;
}

static void hash_shares(void *arg)
{
	struct hashing *hashing = arg;
	struct track_segment *segment = hashing->segment;
	uint64_t first, hashed = 0;

	while ((first = atomic_fetch_add(&hashing->next, hashing->share)) < segment->blocks) {
		for (uint64_t i = first; i < first + hashing->share && i < segment->blocks; i++) {
			if (!block_to_hash(segment, i))
				continue;
			segment->tables.current[i] = checksum(segment->addr + i * segment->track->block_bytes,
							      block_size(segment, i));
			hashed++;
		}
	}
	atomic_fetch_add(&hashing->hashed, hashed);
}

/* Returns how many blocks were hashed. */
static uint64_t suspects_hash(struct track_segment *segment)
{
	const uint64_t block = segment->track->block_bytes;
	struct hashing hashing = {.segment = segment, .share = HASH_SHARE_BYTES / block + 1};
	unsigned threads = segment->track->threads;
	uint64_t to_hash = 0;

	for (uint64_t i = 0; i < segment->blocks; i++) {
		if (segment->tables.suspects[i])
			segment->tables.current[i] = 0;
		to_hash += block_to_hash(segment, i);
	}
	if (to_hash * block / HASH_THREAD_BYTES < threads)
		threads = (unsigned)(to_hash * block / HASH_THREAD_BYTES);
	thread_crowd(threads, hash_shares, &hashing);
	return hashing.hashed;
}

static bool block_changed(const struct track_segment *segment, uint64_t i)
{
	return !segment->tables.current[i] ||
	       segment->tables.current[i] != segment->tables.reference[i];
}

/* Merges the changed blocks to ranges; returns their bytes. */
static uint64_t ranges_make(struct track_segment *segment)
{
	struct segment_range *range = NULL;
	uint64_t offset, size, bytes = 0;

	segment->range_count = 0;
	for (uint64_t i = 0; i < segment->blocks; i++) {
		if (!block_changed(segment, i))
			continue;
		offset = i * segment->track->block_bytes;
		size = block_size(segment, i);
		if (range && range->offset + range->bytes == offset) {
			range->bytes += size;
		} else {
			range = &segment->tables.ranges[segment->range_count++];
			*range = (struct segment_range){offset, size};
		}
		bytes += size;
	}
	return bytes;
}

void track_collect(struct track_segment *segment, struct track_changes *changes)
{
	suspects_find(segment);
	changes->hashed = suspects_hash(segment);
	changes->bytes = ranges_make(segment);
	changes->ranges = segment->tables.ranges;
	changes->count = segment->range_count;
	changes->blocks = segment->blocks;
	changes->checksums = segment->tables.current;
}

void track_hash_rest(struct track_segment *segment)
{
	uint64_t *current = segment->tables.current;

	for (uint64_t i = 0; i < segment->blocks; i++)
		if (!current[i])
			current[i] = checksum(segment->addr + i * segment->track->block_bytes,
					      block_size(segment, i));
}

void track_arm(struct track *track)
{
	for (struct track_segment *segment = track->segments; segment; segment = segment->next)
		memcpy(segment->tables.reference, segment->tables.current,
		       segment->blocks * sizeof(uint64_t));
}

void track_forget(struct track *track)
{
	for (struct track_segment *segment = track->segments; segment; segment = segment->next) {
		memset(segment->tables.reference, 0, segment->blocks * sizeof(uint64_t));
		memset(segment->tables.current, 0, segment->blocks * sizeof(uint64_t));
	}
}
