/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.h - which blocks of protected memory changed since the last committed set.
 *
 * Each segment has a checksum for every block: that of the *reference*, which is what the last committed
 * set holds, and that of now. A tracker (tracker.h) tells which blocks may have been written; only those
 * are hashed, and a block counts as changed when its checksum differs from the reference's. So a tracker
 * that says too much costs time and never bytes, and a segment that none can watch is hashed whole.
 *
 *	track_collect() of all segments: what a set has to hold; the application is stopped
 *	send the ranges, fill checksums in
 *	track_arm() when all ranks have committed: what was collected is the reference now
 *	nothing when it failed: the next collect returns what changed since the reference
 *
 * Changes are relative to the last armed set and to nothing else: what a failed checkpoint has sent must be
 * thrown away, for a block that is as it was before is not returned by the next collect.
 *
 * What is sent must be what was there during collect; a write by another thread meanwhile is found by the
 * next collect. Checksum 0 stands for unknown, which counts as changed.
 *
 * A track and its segments belong to one thread at a time. After fork() the child may use and close its
 * copy; everything is hashed there, and the parent's watch is not disturbed.
 */
#ifndef HOLDFAST_TRACK_H
#define HOLDFAST_TRACK_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/set.h"

enum track_hint {
	TRACK_NORMAL,
	TRACK_NIC_WRITTEN, /* written past the page tables (RDMA, DMA, other processes): always hashed */
	TRACK_VOLATILE,	   /* always changed, and never hashed here */
};

/* What a collect found. All of it is the segment's, until its next collect, move or removal. */
struct track_changes {
	const struct segment_range *ranges; /* whole blocks, but for the segment's end; by offset, neighbours are merged */
	uint64_t count;
	uint64_t bytes; /* sum of the ranges */
	uint64_t blocks; /* of the whole segment */
	/* One checksum() a block. Those of changed blocks that are 0 are left to whoever sends them, who
	 * fills them in before track_arm(); one left at 0 counts as changed the next time. */
	uint64_t *checksums;
	uint64_t hashed; /* how many blocks this collect has hashed */
};

struct track;
struct track_segment;

struct track_options {
	uint64_t block_bytes; /* as set_block_ok() allows it; 0: SET_BLOCK_DEFAULT */
	const char *tracker;  /* "auto" (also NULL), "hash", "uffd" */
	unsigned threads;     /* that hash at a time, at most; 0: the caller's alone */
	/* Told once for each segment that the tracker cannot watch, with the reason; may be NULL. */
	void (*say)(void *context, const char *message);
	void *context;
};

/* -EINVAL: no such tracker or block size. Another -errno: the tracker asked for does not work here; the
 * text has the reason. "auto" falls back to hash instead. */
int track_open(const struct track_options *options, struct track **track, struct error *err);

/* Frees the track with all its segments. Takes NULL. */
void track_close(struct track *track);

/* The tracker in use: "hash" or "uffd". */
const char *track_name(const struct track *track);

/* Why it is this one, for whoever asks. */
const char *track_reason(const struct track *track);

uint64_t track_block_bytes(const struct track *track);

/* Adds a segment, all of it changed. `name` is for messages and is copied. -EINVAL, -ENOMEM. */
int track_add(struct track *track, const char *name, void *addr, uint64_t bytes, enum track_hint hint,
	      struct track_segment **segment, struct error *err);

/* Takes NULL. The memory may be gone already. */
void track_remove(struct track_segment *segment);

/* The segment is now at `addr` and has `bytes` bytes; the old memory may be gone. The reference stays, block
 * by block: what has another content there, and what is new, is changed. On error nothing is. */
int track_move(struct track_segment *segment, void *addr, uint64_t bytes, struct error *err);

/* Finds what changed since the reference. Cannot fail: what is not known is changed. */
void track_collect(struct track_segment *segment, struct track_changes *changes);

/* Hashes the changed blocks of the last collect that are left to the sender, where it has no better way. */
void track_hash_rest(struct track_segment *segment);

/* A set with what the last collect of every segment returned is committed by all ranks: the reference now.
 * A segment that was added since is all changed still. */
void track_arm(struct track *track);

/* There is no reference any more, for any segment: the next set is to be a full one. */
void track_forget(struct track *track);

/* How the segment's changes are found at present: "hash", the tracker's name, or "volatile". */
const char *track_method(const struct track_segment *segment);

#endif
