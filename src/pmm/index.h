/* SPDX-License-Identifier: BSD-3-Clause */
/* index.h - the index in DRAM over a pool's records, and what the files of pmm share. Not for others. */
#ifndef HOLDFAST_INDEX_H
#define HOLDFAST_INDEX_H

#include <libpmemobj.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "pmm/extent.h"
#include "pmm/format.h"
#include "pmm/job.h"
#include "pmm/pool.h"
#include "pmm/region.h"
#include "pmm/user.h"

#define HEAP_CLASSES 3

struct pool {
	char *directory;
	char *metadata_path;
	int directory_fd, slots_fd, lock_fd;
	PMEMobjpool *pop;
	uint64_t uuid;		   /* the pool's part of an object's id */
	unsigned heap_classes[HEAP_CLASSES]; /* libpmemobj's numbers of ours, 0 where it refused one */
	struct root_record *root; /* on the medium, as are all records */
	struct job *oldest, *newest;
	void *by_name; /* tsearch(3): the jobs that are not dropped, by user and name */
	uint64_t metadata_bytes; /* of the file, as it is */
	uint64_t size_bytes, reserved_bytes;
	uint64_t jobs, regions, sets;
	uint64_t lost_objects; /* allocated, and named by no record */
	uint64_t changes;      /* records that transactions made, changed or removed */
	enum media_survives survives;
	char medium[96];
	struct extent_map extents; /* of the device, as the records say; no units where slots are files */
	int device_fd;		   /* -1: none */
	char *device_path;
	struct media_device device;
	enum media_granularity granularity; /* of the memory that slots are in */
	struct extent *bad; /* what of the device is known to be bad */
	size_t bad_count;
	uint64_t bad_units; /* that would be free, and are not handed out */
	struct held *held; /* of the device, until pool_release() */
	struct user *users; /* in no order; seldom more than some hundred */
	user_limits_fn *limits; /* NULL: none */
	void *limits_arg;
};

struct user {
	struct pool *pool;
	uint32_t uid;
	uint64_t jobs, regions, reserved_bytes;
	struct user *next;
};

/* What a dropped region had of the device. */
struct held {
	uint64_t job; /* its number */
	struct extent_record extents[SLOT_EXTENTS];
	struct held *next;
};

struct epoch_count {
	uint64_t epoch;
	uint64_t time_ns; /* of its last set */
	uint32_t ranks;	  /* that have a set of it */
};

struct job {
	struct pool *pool;
	struct user *user;
	uint32_t uid, ranks;
	const char *name;
	struct job_record *record;
	struct rank_record *table;
	struct job *older, *newer;
	struct region **regions; /* by rank */
	uint64_t reserved_bytes;
	struct epoch_count *epochs; /* in no order; seldom more than SLOTS_PER_REGION + 1 */
	unsigned epoch_count, epoch_capacity;
	uint64_t complete_epoch;
	struct job_wish wish;
	unsigned sessions;
};

/* Bytes of the log. Where they are none, begin and end are the same. */
struct log_range {
	uint64_t begin, end;
};

struct region {
	struct job *job;
	struct region_record *record;
	unsigned slots; /* what the record says, and said when it is gone */
	uint64_t reserved_capacity; /* of each slot; at least what the slots' records say */
	struct set_info sets[SLOTS_MAX]; /* that of the log is always empty */
	struct increment *increments; /* oldest first */
	unsigned increment_count, increment_capacity;
	struct log_range placed; /* the room of the increment that is being written */
	struct merge merge;	 /* under way; to = 0: none */
	bool merge_lost;	 /* a set that it is made of is gone */
	bool suspect[SLOTS_MAX]; /* somebody may have the slot's file mapped, and still write to it */
	void *holder;		 /* the pool's user's */
};

struct increment {
	struct increment_info info;
	struct increment_record *record;
};

/* ---- records (record.c) ---- */

uint64_t record_checksum(const void *record, size_t checksum_offset);
uint64_t rank_checksum(uint64_t region, uint64_t job, uint32_t rank);

/* Ends a change of a record, or checks it: `record` is a pointer to one that has a member `checksum`. */
#define record_seal(record)                                                                      \
	((record)->checksum = record_checksum(record, offsetof(__typeof__(*(record)), checksum)))
#define record_intact(record)                                                                    \
	((record)->checksum == record_checksum(record, offsetof(__typeof__(*(record)), checksum)))

/* Tells libpmemobj, after each opening, how to cut memory into objects. */
void heap_classes_register(struct pool *pool);

uint64_t record_offset(const struct pool *pool, const void *record);
void *record_at(const struct pool *pool, uint64_t offset);

/*
 * Runs `change` in one transaction: when it returns 0 and the commit succeeds all of it is durable, else
 * nothing happened. It takes DRAM for the caller's: that is changed after success. `what` is for the text,
 * as "cannot WHAT". -ENOSPC: no room in the metadata.
 */
int transaction(struct pool *pool, int (*change)(struct pool *pool, void *arg), void *arg,
		struct error *err, const char *what);

/* For use in `change`: after a failure it must store nothing more and return the code. */
int change_record(void *record, size_t bytes);		      /* 0 or -errno */
void *change_allocate(struct pool *pool, size_t bytes, enum format_type type); /* zeroed, or NULL */
int change_free(struct pool *pool, uint64_t offset);	      /* 0 or -errno */

/* -EUCLEAN, as "pool DIR is damaged: ...; <what to do>". */
int damaged(const struct pool *pool, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- the index (load.c) ---- */

/* Checks all records and builds the index of them. */
int index_load(struct pool *pool, struct error *err);
void index_free(struct pool *pool);

/* The user with this uid, the pool's; a new one where there is none. NULL: no memory. */
struct user *index_user(struct pool *pool, uint32_t uid);
void index_users_free(struct pool *pool);
struct user_limits user_limits_of(const struct user *user);

/* `name` must stay until index_job_set_record(). NULL: no memory. */
struct job *index_job_new(struct pool *pool, uint32_t uid, const char *name, uint32_t ranks);
void index_job_set_record(struct job *job, struct job_record *record);
void index_job_free(struct job *job);
struct job *index_name_find(const struct pool *pool, uint32_t uid, const char *name);
int index_name_add(struct job *job); /* -EEXIST, -ENOMEM */
void index_name_remove(struct job *job);
void index_job_link(struct job *job); /* as the newest */
void index_job_unlink(struct job *job);

/* Counting of epochs: room first, as the count cannot fail once the set is published. */
int epoch_reserve(struct job *job);
void epoch_add(struct job *job, const struct set_info *set);
void epoch_remove(struct job *job, uint64_t epoch);

void set_record_info(const struct set_record *record, struct set_info *set);

/* ---- sets (region.c, increment.c, merge.c) ---- */

/* "job NAME, rank N: " in front of the text that is there; returns `code`. */
int region_context(const struct region *region, struct error *err, int code);
/* After the change: what the index counts. */
void region_set_counted(struct region *region, const struct set_info *set);
void region_set_gone(struct region *region, uint64_t epoch);

/* For use in `change`. Fills a set's record, with a layout of its own, or the one of the set before it. */
int set_record_change(struct pool *pool, const struct region *region, struct set_record *record, unsigned slot,
		      const struct set_info *set, const struct segment *segments);
/* What the slot has, on whichever medium: at least its capacity. */
uint64_t slot_bytes(const struct pool *pool, const struct slot_record *slot);
/* Without its set, and without layout, the slot's record is what it was before. */
int slot_clear_change(struct pool *pool, struct slot_record *slot);
/* Removes increments [first, end): from the records, then, after the commit, from the index. */
int increments_cut_change(struct pool *pool, struct region *region, unsigned first, unsigned end);
void increments_cut(struct region *region, unsigned first, unsigned end);

/* The increments that need the base in `slot`: [*first, *end). */
void increments_of_base(const struct region *region, unsigned slot, unsigned *first, unsigned *end);
/* The layout that the set of increment `i`, or (i < 0) of `slot`, has. */
const struct segments_record *layout_of(const struct region *region, unsigned slot, int i);
/* Are these the set's segments? */
bool layout_is(const struct segments_record *layout, const struct set_info *set, const struct segment *segments);
/* Does the set fit `capacity`? */
int set_fits(const struct set_info *set, uint64_t capacity, struct error *err);
/* Is a set's description sound, and does it fit? */
int set_sound(const struct region *region, const struct set_info *set, const struct segment *segments,
	      uint64_t capacity, struct error *err);
/* Room for one more in the index. */
int increments_reserve(struct region *region);

/* What increments from `first` on, and `other`, take of the log, by place; how many they are. */
unsigned log_used(const struct region *region, unsigned first, struct log_range other,
		  struct log_range used[INCREMENTS_MAX + 1]);
/* The smallest gap between increments from `first` on and `other` that has the bytes; where none has, the largest. */
uint64_t log_gap(const struct region *region, unsigned first, struct log_range other, uint64_t bytes, uint64_t *place);
/* What a merge under way has reserved of the log. */
struct log_range merge_reserved(const struct region *region);

/* ---- probe.c ---- */

/* Runs `load` in a child, on a private copy; its error is ours, and so is its death (-EUCLEAN). */
int probe(struct pool *pool, int (*load)(struct pool *pool, struct error *err),
	  void (*unload)(struct pool *pool), struct error *err);

/* ---- slot files (slotfile.c) ---- */

/* Opens slots/, making it where it is missing: below `data`, unless that is NULL. */
int slotfile_directory(struct pool *pool, const char *data, struct error *err);
int slotfile_create(struct pool *pool, uint64_t number, int *fd, struct error *err);
int slotfile_open(const struct pool *pool, uint64_t number, int *fd, struct error *err);
void slotfile_remove(struct pool *pool, uint64_t number); /* 0: none, is fine */
/* Checks the files that the records name against them, and removes what they do not name. */
int slotfile_check_all(struct pool *pool, bool accept_damage, struct error *err);
/* Bytes of all slot files that are backed by blocks. */
int slotfile_allocated(const struct pool *pool, uint64_t *bytes, struct error *err);

/* ---- the device (device.c) ---- */

/* Is this a device, or to be taken for one? */
bool device_named(const char *path);
/* For a new pool: opens it, and looks whether it may be taken; writes nothing but the link to it. */
int device_prepare(struct pool *pool, const struct pool_params *params, struct error *err);
/* For a pool with its metadata open: finds its device, or makes a fresh one its own, and looks for bad blocks. */
int device_attach(struct pool *pool, const struct pool_params *params, struct error *err);
void device_close(struct pool *pool);
/* Reads the list of bad blocks anew: they are not handed out. Where it cannot, what is known stays. */
void device_bad_read(struct pool *pool);
/* Is any of the slot's [offset, offset + bytes) known to be bad? */
bool device_range_bad(const struct pool *pool, const struct slot_record *slot, uint64_t offset, uint64_t bytes);
/* Bytes that slots may have, all together. */
uint64_t device_room(const struct pool *pool);
/* Keeps what a slot of the job had from others until pool_release(). */
void device_hold(struct pool *pool, uint64_t job, const struct extent_record extents[SLOT_EXTENTS]);
/* Tells of sets that lie on bad blocks, and gives slots without one another place. */
int device_check_slots(struct pool *pool, struct error *err);

static inline bool pool_on_device(const struct pool *pool)
{
	return pool->extents.units != 0;
}

/* ---- */

/* Ends the dropping of a job whose record says so: its regions, its files, then its record. */
int job_finish_drop(struct job *job, struct error *err);

#endif
