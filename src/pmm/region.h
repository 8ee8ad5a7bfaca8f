/* SPDX-License-Identifier: BSD-3-Clause */
/* region.h - the region of one rank: generation, slots, and the sets published in them. */
#ifndef HOLDFAST_REGION_H
#define HOLDFAST_REGION_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/set.h"

struct job;
struct region;

/* -EEXIST, -ENOSPC (metadata is full), -EDQUOT (user.h), -EINVAL (rank outside the job). Generation starts at 1. */
int region_create(struct job *job, uint32_t rank, enum region_mode mode, struct region **region,
		  struct error *err);

/* Removes the region, its sets and slot files. */
int region_drop(struct region *region, struct error *err);

struct job *region_job(const struct region *region);
uint32_t region_rank(const struct region *region);
enum region_mode region_mode(const struct region *region);
uint64_t region_generation(const struct region *region);
uint64_t region_launch_generation(const struct region *region); /* 0: no launch took it over */
uint64_t region_reserved_bytes(const struct region *region);

/* What has the region open, which whoever uses the pool keeps here. Volatile; NULL: nothing. */
void region_set_holder(struct region *region, void *holder);
void *region_holder(const struct region *region);

/* Raises the generation (in one transaction) and tells the new one. `launch` (LAUNCH_BYTES) takes the region over;
 * NULL: nobody does. */
int region_fence(struct region *region, const uint8_t *launch, uint64_t *generation, struct error *err);

/*
 * ---- slots ----
 *
 * Slots 0 .. SLOTS_PER_REGION - 1 are for full sets. In append mode there is SLOT_LOG, too, whose file is the log:
 * it is opened, grown and removed as any slot is, has their capacity, and never holds a full set.
 */

/* How many files the region has: SLOTS_PER_REGION, and the log in append mode. */
unsigned region_slots(const struct region *region);

/* The set published in the slot (0 .. SLOTS_PER_REGION - 1); NULL where there is none. */
const struct set_info *region_set(const struct region *region, unsigned slot);

/* Its segments, set_info.segment_count of them, in order; valid until the slot's set changes. */
const struct segment *region_segments(const struct region *region, unsigned slot);

/* All sets, by age: how many; and the i-th, oldest first. `segments` (may be NULL) is NULL where they are those of
 * the set before it. False: there are no more. */
unsigned region_set_count(const struct region *region);
bool region_set_at(const struct region *region, unsigned i, struct set_info *set,
		   const struct segment **segments);

/* Does the region hold a set of this epoch, full or an increment? */
bool region_holds(const struct region *region, uint64_t epoch);

/* The slot that holds this epoch's set, or -ENOENT. */
int region_slot_of(const struct region *region, uint64_t epoch);

/*
 * Picks the slot for a new set: one that does not hold epoch `keep`; an empty one rather than one with a
 * set, the older set rather than the newer. keep = 0 says that the job has no complete epoch.
 * -ENOENT: keep is not 0 and the region does not hold it. -EEXIST: keep is 0 though the job has a complete
 * epoch, which the caller would lose. -EBUSY: a merge under way goes there. Changes nothing.
 */
int region_pick_slot(const struct region *region, uint64_t keep, unsigned *slot, struct error *err);

/*
 * Reserves room for sets of `bytes` in every slot of the region, in the pool's account, rounding up.
 * -ENOSPC: the pool's size does not allow it, and nothing changed. Tells the capacity each slot must be
 * given (media_allocate on slot_open()) before region_grown() records it. A capacity that is large enough
 * is told as it is. The reservation is volatile until region_grown().
 */
int region_reserve(struct region *region, uint64_t bytes, uint64_t *capacity_bytes, struct error *err);

/* Gives a reservation back which could not be met: down to the slots' recorded capacity. */
void region_unreserve(struct region *region);

/* Records that the slot's file is `capacity_bytes` long, which the caller has made durable (fsync). Its set,
 * if any, stays. */
int region_grown(struct region *region, unsigned slot, uint64_t capacity_bytes, struct error *err);

/* Recorded capacity of the slot in bytes; 0 where it has no file yet. */
uint64_t region_slot_capacity(const struct region *region, unsigned slot);

/* A number unique in the pool, for the slot's file; 0 where it has none yet. */
uint64_t region_slot_file(const struct region *region, unsigned slot);

/* Opens the slot's file for reading and writing, making an empty one (and recording its number, durably)
 * where the slot has none. The descriptor is the caller's. On a device it is that of all of it. */
int region_slot_open(struct region *region, unsigned slot, int *fd, struct error *err);

/* On a device: gives the slot room for `bytes`, durably, 2 MiB aligned, in at most SLOT_EXTENTS pieces; what it has stays.
 * Elsewhere there is nothing to do: the file grows. -ENOSPC: none is free, or in too many pieces. */
int region_slot_allocate(struct region *region, unsigned slot, uint64_t bytes, struct error *err);

/* Where the slot lies on the device, in this order: how many pieces; 0: it is a file. */
unsigned region_slot_extents(const struct region *region, unsigned slot, struct extent extents[SLOT_EXTENTS]);

/* Is any of the slot's [offset, offset + bytes) known to be bad? Nobody may touch it then. */
bool region_range_bad(const struct region *region, unsigned slot, uint64_t offset, uint64_t bytes);

/*
 * A client on this node that is gone, or cut off, may have the slot's file mapped and go on writing to what it was
 * granted: no new set goes there until the slot has another file (region_forget_slot()). Of a server that ended, the
 * kernel knows: when a pool is opened, slots without a set, and logs, are suspect where somebody has their file open to
 * write it.
 */
void region_suspect(struct region *region, unsigned slot);
bool region_is_suspect(const struct region *region, unsigned slot);

/* Forgets file (or place on the device) and set of a slot: they are damaged, or it is suspect. */
int region_forget_slot(struct region *region, unsigned slot, struct error *err);

/* Withdraws the slot's set from the metadata, before its bytes are overwritten, and in append mode the increments
 * of its chain with it, in one transaction. No set is fine. */
int region_withdraw(struct region *region, unsigned slot, struct error *err);

/* Publishes a set whose data is durable, in one transaction. The slot must be empty and the set fit. Its
 * generation is the region's, whatever `set` says. */
int region_publish(struct region *region, unsigned slot, const struct set_info *set,
		   const struct segment *segments, struct error *err);

/*
 * ---- increments (append mode) ----
 *
 * They lie in the log, anywhere. Each follows the set before it: the base in a slot, or an increment.
 */

/* An increment, and where it begins in the log. */
struct increment_info {
	struct set_info set;
	uint64_t place; /* a multiple of SET_ALIGN */
};

/* The sets that restore an epoch: the base in `slot`, and increments [first, end) of region_increment(). */
struct chain {
	unsigned slot;
	unsigned first, end;
};

/* The i-th increment, oldest first; NULL where there are no more. Valid until the region's sets change. */
const struct increment_info *region_increment(const struct region *region, unsigned i);

/* The chain whose last set is of this epoch; -ENOENT. In overwrite mode: the slot alone. */
int region_chain(const struct region *region, uint64_t epoch, struct chain *chain);

/* Segments of the set of this epoch, whichever it is; NULL where there is none. Valid until the region's sets change. */
const struct segment *region_segments_of(const struct region *region, uint64_t epoch);

/* The block size of the set of this epoch, and of all its chain; 0 where there is none. */
uint64_t region_block_bytes(const struct region *region, uint64_t epoch);

/* Bytes of the largest increment that fits into the log as it is, or would where the increments of chains older than
 * that of the newest set were withdrawn, and a merge under way given up; 0 in overwrite mode and without a set. */
uint64_t region_log_room(const struct region *region);

/* Withdraws all sets that are newer than epoch `keep`, in one transaction. None is fine. */
int region_withdraw_newer(struct region *region, uint64_t keep, struct error *err);

/*
 * Finds room in the log for an increment of `bytes` (data and table) to the region's newest set, which must be `keep`;
 * withdraws the increments of older chains where there is none otherwise, and tells their epochs (0 to 0: none).
 * The room is kept from merges until the increment is published or the next one's room is found: a region has one
 * writer. -ENOSPC: no room; a full set has, and the log may have when the merge under way has ended. -ENOENT: `keep` is
 * not there. -EINVAL: it is not the newest set, or the region is in overwrite mode.
 */
int region_log_place(struct region *region, uint64_t keep, uint64_t bytes, uint64_t *place,
		     uint64_t *withdrawn_first, uint64_t *withdrawn_last, struct error *err);

/* Publishes an increment whose data is durable at `place`, in one transaction: as region_publish(). */
int region_publish_increment(struct region *region, uint64_t place, const struct set_info *set,
			     const struct segment *segments, struct error *err);

/*
 * ---- merging (append mode) ----
 *
 * Epochs that need not be kept any longer go, and their data with them where it was changed later: each such set
 * becomes one with the set after it. Who merges asks region_merge_plan() what, makes room by region_merge_begin(),
 * writes the merged set there, makes it durable, and publishes it in the place of the sets that it was made of. None of
 * that changes what a set that stays restores to.
 */

/* How long sets are kept. */
struct retention {
	uint64_t keep;	   /* newest complete epochs of a region that stay; at least 1 */
	uint64_t span_ns;  /* of the older ones, the last of each span of this length (time_ns / span_ns); 0: none */
	uint64_t spans;	   /* how many spans back from now, beside the one that now is in */
	uint64_t merge_at; /* merge when so many sets need not be kept, or when the log's room runs out; 0: never */
};

/* Adjacent sets of one chain that become one, of the last one's epoch. */
struct merge {
	uint64_t from, to;     /* epochs of the first and the last, from < to */
	uint64_t to_digest;    /* table_digest of the last, by which it is known again */
	unsigned slot;	       /* where the new set goes: a slot where `from` is a base, else SLOT_LOG */
	uint64_t place, bytes; /* in its file: the room that it has; place is 0 and bytes the capacity in a slot */
};

/* What is best merged next, by the policy; false: nothing. Changes nothing; fills from, to, to_digest, slot. */
bool region_merge_plan(const struct region *region, const struct retention *retention, uint64_t now_ns,
		       struct merge *merge);

/*
 * Makes room for it: withdraws the chain of the older base where its slot is needed (the plan made sure that none of
 * its epochs is to be kept), or reserves room in the log (volatile: region_log_place() does not use it until the merge
 * ends); fills place and bytes; tells the withdrawn epochs as region_log_place() does. No full set may be on its way
 * into the slot. -ENOSPC, -ENOENT (no longer there), -EBUSY (the region has a merge under way).
 */
int region_merge_begin(struct region *region, struct merge *merge, uint64_t *withdrawn_first,
		       uint64_t *withdrawn_last, struct error *err);

/*
 * Publishes the merged set, whose data is durable at its place, in the place of what it was made of, in one
 * transaction. Its time, layout and generation are those of the last of these, whatever `set` says. -ENOENT: it is not
 * under way, a source is gone, or `to` is another one by now. -EINVAL: `set` is not of this merge. Ends the merge in
 * any case.
 */
int region_merge_publish(struct region *region, const struct merge *merge, const struct set_info *set,
			 struct error *err);

/* Gives it up: the reserved room is free. Nothing under way is fine. */
void region_merge_cancel(struct region *region);

/* The merge under way; NULL. */
const struct merge *region_merging(const struct region *region);

#endif
