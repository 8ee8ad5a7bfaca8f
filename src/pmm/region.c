/* SPDX-License-Identifier: BSD-3-Clause */
/* region.c - the region of one rank: generation, slots, and the sets published in them. */
#include "pmm/region.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/checksum.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "pmm/index.h"

#define CAPACITY_UNIT 65536u

int region_context(const struct region *region, struct error *err, int code)
{
	error_context(err, "job %s, rank %u", region->job->name, region->record->rank);
	return code;
}

/* ---- create and drop ---- */

struct region_change {
	struct region *region;
	struct job *job;
	uint32_t rank;
	enum region_mode mode;
	unsigned slot;
	uint64_t number; /* file, capacity or generation */
	const struct set_info *set;
	const struct segment *segments;
	struct extent_record extents[SLOT_EXTENTS];
};

static int table_change(struct job *job, uint32_t rank, uint64_t region)
{
	struct rank_record *entry = &job->table[rank];
	int rc = change_record(entry, sizeof(*entry));

	if (rc)
		return rc;
	entry->region = region;
	entry->checksum = rank_checksum(region, job->record->number, rank);
	return 0;
}

static int region_create_change(struct pool *pool, void *arg)
{
	struct region_change *change = arg;
	struct region_record *record;

	record = change_allocate(pool, sizeof(*record), FORMAT_REGION);
	if (!record)
		return -ENOMEM;
	record->tag = TAG_REGION;
	record->rank = change->rank;
	record->job = change->job->record->number;
	record->mode = change->mode;
	record->slot_count = change->region->slots;
	record->generation = 1;
	record_seal(record);
	for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
		record_seal(&record->slots[slot]);
	change->region->record = record;
	return table_change(change->job, change->rank, record_offset(pool, record));
}

int region_create(struct job *job, uint32_t rank, enum region_mode mode, struct region **out,
		  struct error *err)
{
	struct region_change change = {.job = job, .rank = rank, .mode = mode};
	struct region *region;
	uint64_t most;
	int rc;

	if (rank >= job->ranks)
		return error_set(err, -EINVAL, "job %s has %u ranks, and no rank %u", job->name, job->ranks,
				 rank);
	if (mode != REGION_OVERWRITE && mode != REGION_APPEND)
		return error_set(err, -EINVAL, "job %s, rank %u: there is no region mode %u", job->name, rank, mode);
	if (job->regions[rank])
		return error_set(err, -EEXIST, "job %s, rank %u: the region exists", job->name, rank);
	most = user_limits_of(job->user).regions;
	if (most && job->user->regions >= most)
		return error_set(err, -EDQUOT, "job %s, rank %u: user %u has %" PRIu64 " regions (one a rank), and may have "
				 "%" PRIu64 ": remove jobs, or ask the administrator for more (quota-regions)", job->name,
				 rank, job->uid, job->user->regions, most);
	region = calloc(1, sizeof(*region));
	if (!region)
		return error_nomem(err, "a region");
	region->job = job;
	region->slots = mode == REGION_APPEND ? SLOTS_MAX : SLOTS_PER_REGION;
	change.region = region;
	rc = transaction(job->pool, region_create_change, &change, err, "create a region");
	if (rc) {
		free(region);
		return rc;
	}
	job->regions[rank] = region;
	job->pool->regions++;
	job->user->regions++;
	*out = region;
	return 0;
}

static int region_drop_change(struct pool *pool, void *arg)
{
	struct region *region = arg;
	struct region_record *record = region->record;
	int rc = table_change(region->job, record->rank, 0);

	for (unsigned slot = 0; !rc && slot < SLOTS_PER_REGION; slot++)
		rc = change_free(pool, record->slots[slot].set.layout);
	if (!rc)
		rc = increments_cut_change(pool, region, 0, region->increment_count);
	return rc ? rc : change_free(pool, record_offset(pool, record));
}

static void account(struct region *region, uint64_t capacity)
{
	uint64_t old = region_reserved_bytes(region);

	region->reserved_capacity = capacity;
	region->job->reserved_bytes += region_reserved_bytes(region) - old;
	region->job->user->reserved_bytes += region_reserved_bytes(region) - old;
	region->job->pool->reserved_bytes += region_reserved_bytes(region) - old;
}

void region_set_counted(struct region *region, const struct set_info *set)
{
	epoch_add(region->job, set);
	region->job->pool->sets++;
}

void region_set_gone(struct region *region, uint64_t epoch)
{
	epoch_remove(region->job, epoch);
	region->job->pool->sets--;
	if (epoch >= region->merge.from && epoch <= region->merge.to)
		region->merge_lost = true;
}

static void slot_emptied(struct region *region, unsigned slot)
{
	if (!region->sets[slot].epoch)
		return;
	region_set_gone(region, region->sets[slot].epoch);
	region->sets[slot] = (struct set_info){0};
}

int region_drop(struct region *region, struct error *err)
{
	struct job *job = region->job;
	struct slot_record old[SLOTS_MAX];
	uint64_t number = job->record->number;
	uint32_t rank = region->record->rank;
	unsigned slots = region_slots(region);
	int rc;

	memcpy(old, region->record->slots, slots * sizeof(*old));
	rc = transaction(job->pool, region_drop_change, region, err, "remove a region");
	if (rc)
		return region_context(region, err, rc);
	/* P6: the records are gone, durably, before the files go. */
	TEST_POINT("region-dropped");
	increments_cut(region, 0, region->increment_count);
	account(region, 0);
	for (unsigned slot = 0; slot < slots; slot++) {
		slot_emptied(region, slot);
		if (pool_on_device(job->pool))
			device_hold(job->pool, number, old[slot].extents);
		else
			slotfile_remove(job->pool, old[slot].file);
	}
	job->regions[rank] = NULL;
	job->pool->regions--;
	job->user->regions--;
	free(region->increments);
	free(region);
	return 0;
}

/* ---- look ---- */

struct job *region_job(const struct region *region)
{
	return region->job;
}

uint32_t region_rank(const struct region *region)
{
	return region->record->rank;
}

enum region_mode region_mode(const struct region *region)
{
	return (enum region_mode)region->record->mode;
}

uint64_t region_generation(const struct region *region)
{
	return region->record->generation;
}

uint64_t region_launch_generation(const struct region *region)
{
	return region->record->launch_generation;
}

void region_set_holder(struct region *region, void *holder)
{
	region->holder = holder;
}

void *region_holder(const struct region *region)
{
	return region->holder;
}

unsigned region_slots(const struct region *region)
{
	return region->slots;
}

uint64_t region_reserved_bytes(const struct region *region)
{
	return region_slots(region) * region->reserved_capacity;
}

const struct set_info *region_set(const struct region *region, unsigned slot)
{
	assert(slot < SLOTS_PER_REGION);
	return region->sets[slot].epoch ? &region->sets[slot] : NULL;
}

const struct segment *region_segments(const struct region *region, unsigned slot)
{
	assert(slot < SLOTS_PER_REGION);
	return region->sets[slot].epoch ? layout_of(region, slot, -1)->segments : NULL;
}

uint64_t region_slot_capacity(const struct region *region, unsigned slot)
{
	assert(slot < region_slots(region));
	return region->record->slots[slot].capacity;
}

uint64_t region_slot_file(const struct region *region, unsigned slot)
{
	assert(slot < region_slots(region));
	return region->record->slots[slot].file;
}

/* The slot of the older base; an empty one before the other. */
static unsigned older_slot(const struct region *region)
{
	return region->sets[0].epoch > region->sets[1].epoch;
}

static unsigned base_count(const struct region *region)
{
	return (region->sets[0].epoch != 0) + (region->sets[1].epoch != 0);
}

unsigned region_set_count(const struct region *region)
{
	return base_count(region) + region->increment_count;
}

/* Bases and increments are merged by epoch: the i-th set is a base where as many increments are older than it. */
bool region_set_at(const struct region *region, unsigned i, struct set_info *set,
		   const struct segment **segments)
{
	unsigned first, end, before = SLOTS_PER_REGION - base_count(region), slot;
	const struct increment *increment;
	const struct segments_record *layout;

	if (i >= region_set_count(region))
		return false;
	for (unsigned n = 0; n < base_count(region); n++) {
		slot = (older_slot(region) + before + n) % SLOTS_PER_REGION;
		increments_of_base(region, slot, &first, &end);
		if (i == first + n) {
			*set = region->sets[slot];
			layout = layout_of(region, slot, -1);
			goto out;
		}
		if (i > first + n && i <= end + n) {
			increment = &region->increments[i - n - 1];
			*set = increment->info.set;
			layout = increment->record->set.layout ? layout_of(region, slot, (int)(i - n - 1)) : NULL;
			goto out;
		}
	}
	return false;

out:
	if (segments)
		*segments = layout ? layout->segments : NULL;
	return true;
}

int region_slot_of(const struct region *region, uint64_t epoch)
{
	for (unsigned slot = 0; epoch && slot < SLOTS_PER_REGION; slot++) {
		if (region->sets[slot].epoch == epoch)
			return (int)slot;
	}
	return -ENOENT;
}

static bool merge_goes_to(const struct region *region, unsigned slot)
{
	return region->merge.to && region->merge.slot == slot;
}

int region_pick_slot(const struct region *region, uint64_t keep, unsigned *slot, struct error *err)
{
	uint64_t complete = region->job->complete_epoch;
	struct chain kept = {.slot = SLOT_LOG};
	int picked = -1;

	if (keep && region_chain(region, keep, &kept))
		return error_set(err, -ENOENT, "job %s, rank %u: epoch %" PRIu64 ", which is to be kept, is not "
				 "there", region->job->name, region_rank(region), keep);
	if (!keep && complete)
		return error_set(err, -EEXIST, "job %s, rank %u: epoch %" PRIu64 " is complete and would be "
				 "lost: restore it, or remove the job", region->job->name,
				 region_rank(region), complete);
	/* An empty slot has epoch 0 and so is the oldest. */
	for (int i = 0; i < SLOTS_PER_REGION; i++) {
		if ((unsigned)i == kept.slot)
			continue;
		if (picked < 0 || region->sets[i].epoch < region->sets[picked].epoch)
			picked = i;
	}
	if (merge_goes_to(region, (unsigned)picked))
		return error_set(err, -EBUSY, "job %s, rank %u: sets are being merged into slot %d: try again when "
				 "that has ended", region->job->name, region_rank(region), picked);
	*slot = (unsigned)picked;
	return 0;
}

/* ---- generation ---- */

struct takeover {
	struct region *region;
	const uint8_t *launch; /* NULL: nobody's */
};

static int region_fence_change(struct pool *pool, void *arg)
{
	const struct takeover *takeover = arg;
	struct region_record *record = takeover->region->record;
	/* Up to the checksum; the slots have their own. */
	int rc = change_record(record, offsetof(struct region_record, slots));

	(void)pool;
	if (rc)
		return rc;
	record->generation++;
	if (takeover->launch && memcmp(record->launch, takeover->launch, LAUNCH_BYTES)) {
		memcpy(record->launch, takeover->launch, LAUNCH_BYTES);
		record->launch_generation = record->generation;
	}
	record_seal(record);
	return 0;
}

int region_fence(struct region *region, const uint8_t *launch, uint64_t *generation, struct error *err)
{
	struct takeover takeover = {region, launch};
	int rc = transaction(region->job->pool, region_fence_change, &takeover, err, "fence a region");

	if (rc)
		return region_context(region, err, rc);
	/* P5: the new generation is durable before anybody is told of it. */
	TEST_POINT("region-fenced");
	*generation = region->record->generation;
	return 0;
}

/* ---- room ---- */

/* What others of the user's regions leave of his quota. */
static int quota_check(const struct region *region, uint64_t bytes, uint64_t capacity, struct error *err)
{
	const struct user *user = region->job->user;
	uint64_t others = user->reserved_bytes - region_reserved_bytes(region), most = user_limits_of(user).bytes, left;
	char need[32], quota[32], rest[32];

	left = most > others ? most - others : 0;
	if (!most || capacity <= left / region_slots(region))
		return 0;
	return error_set(err, -EDQUOT, "job %s, rank %u: no room for sets of %s in each of %u slots: user %u may have %s of "
			 "this server, of which %s are left; remove jobs, or ask the administrator for more (quota-bytes)",
			 region->job->name, region_rank(region), size_format(bytes, need, sizeof(need)),
			 region_slots(region), user->uid, size_format(most, quota, sizeof(quota)),
			 size_format(left, rest, sizeof(rest)));
}

int region_reserve(struct region *region, uint64_t bytes, uint64_t *capacity_bytes, struct error *err)
{
	const struct pool *pool = region->job->pool;
	uint64_t held = region_reserved_bytes(region), others = pool->reserved_bytes - held, capacity;
	uint64_t unit = pool_on_device(pool) ? pool->root->unit_bytes : CAPACITY_UNIT;
	char need[32], size[32], rest[32];
	int rc;

	if (bytes <= region->reserved_capacity && region->reserved_capacity) {
		*capacity_bytes = region->reserved_capacity;
		return 0;
	}
	capacity = bytes > UINT64_MAX - unit ? UINT64_MAX : size_round_up(bytes ? bytes : 1, unit);
	if (capacity > (pool->size_bytes - others) / region_slots(region))
		return error_set(err, -ENOSPC, "job %s, rank %u: no room for sets of %s in each of %u slots: the "
				 "pool's size is %s, of which %s are left; remove jobs, or start the server with a "
				 "larger --size", region->job->name, region_rank(region),
				 size_format(bytes, need, sizeof(need)), region_slots(region),
				 size_format(pool->size_bytes, size, sizeof(size)),
				 size_format(pool->size_bytes - others, rest, sizeof(rest)));
	rc = quota_check(region, bytes, capacity, err);
	if (rc)
		return rc;
	account(region, capacity);
	*capacity_bytes = capacity;
	return 0;
}

uint64_t slot_bytes(const struct pool *pool, const struct slot_record *slot)
{
	return pool_on_device(pool) ? extent_units(slot->extents) * pool->root->unit_bytes : slot->capacity;
}

static uint64_t recorded_capacity(const struct region *region)
{
	uint64_t capacity = 0, bytes;

	for (unsigned slot = 0; slot < region_slots(region); slot++) {
		bytes = slot_bytes(region->job->pool, &region->record->slots[slot]);
		if (bytes > capacity)
			capacity = bytes;
	}
	return capacity;
}

void region_unreserve(struct region *region)
{
	account(region, recorded_capacity(region));
}

static int region_grown_change(struct pool *pool, void *arg)
{
	struct region_change *change = arg;
	struct slot_record *slot = &change->region->record->slots[change->slot];
	int rc = change_record(slot, sizeof(*slot));

	(void)pool;
	if (rc)
		return rc;
	slot->capacity = change->number;
	record_seal(slot);
	return 0;
}

/* The file has the size, or an error. Who gave it the size made it durable, before it faulted pages in: an
 * fsync here would write all of those, with every session waiting. */
static int slot_file_grown(const struct region *region, unsigned slot, uint64_t bytes, struct error *err)
{
	const struct slot_record *record = &region->record->slots[slot];
	const struct pool *pool = region->job->pool;
	struct stat st;
	int fd, rc;

	if (pool_on_device(pool) && slot_bytes(pool, record) < bytes)
		return error_set(err, -EINVAL, "slot %u has %" PRIu64 " bytes of the device and not %" PRIu64, slot,
				 slot_bytes(pool, record), bytes);
	if (pool_on_device(pool))
		return 0;
	rc = slotfile_open(pool, record->file, &fd, err);
	if (rc)
		return rc;
	if (fstat(fd, &st))
		rc = error_set(err, -errno, "cannot stat the file of slot %u: %s", slot, strerror(errno));
	else if ((uint64_t)st.st_size < bytes)
		rc = error_set(err, -EINVAL, "the file of slot %u has %lld bytes and not %" PRIu64, slot,
			       (long long)st.st_size, bytes);
	close(fd);
	return rc;
}

int region_grown(struct region *region, unsigned slot, uint64_t capacity_bytes, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot, .number = capacity_bytes};
	const struct slot_record *record;
	int rc;

	assert(slot < region_slots(region));
	record = &region->record->slots[slot];
	if (capacity_bytes == record->capacity)
		return 0;
	if (!record->file || capacity_bytes < record->capacity || capacity_bytes > region->reserved_capacity)
		return error_set(err, -EINVAL, "job %s, rank %u, slot %u: a capacity of %" PRIu64 " bytes is not "
				 "from %" PRIu64 " to the %" PRIu64 " that are reserved", region->job->name,
				 region_rank(region), slot, capacity_bytes, record->capacity,
				 region->reserved_capacity);
	/* P2: the file has its full size before its capacity is recorded. */
	rc = slot_file_grown(region, slot, capacity_bytes, err);
	if (rc)
		return region_context(region, err, rc);
	TEST_POINT("slot-grown");
	rc = transaction(region->job->pool, region_grown_change, &change, err, "record a slot's capacity");
	return rc ? region_context(region, err, rc) : 0;
}

/* ---- slot files ---- */

static int slot_file_change(struct pool *pool, void *arg)
{
	struct region_change *change = arg;
	struct slot_record *slot = &change->region->record->slots[change->slot];
	int rc = change_record(slot, sizeof(*slot));

	if (!rc)
		rc = change_record(pool->root, sizeof(*pool->root));
	if (rc)
		return rc;
	slot->file = pool->root->next_file++;
	record_seal(slot);
	record_seal(pool->root);
	return 0;
}

/* Of the whole device: the slot's number is what others know it by. */
static int device_slot_open(struct region *region, unsigned slot, int *out, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot};
	struct pool *pool = region->job->pool;
	int fd, rc = 0;

	if (!region->record->slots[slot].file)
		rc = transaction(pool, slot_file_change, &change, err, "record a slot's number");
	if (rc)
		return rc;
	fd = fcntl(pool->device_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "cannot hand out device %s: %s", pool->device_path, strerror(errno));
	*out = fd;
	return 0;
}

static int slot_extents_change(struct pool *pool, void *arg)
{
	const struct region_change *change = arg;
	struct slot_record *slot = &change->region->record->slots[change->slot];
	int rc = slot->file ? 0 : slot_file_change(pool, arg);

	if (!rc)
		rc = change_record(slot, sizeof(*slot));
	if (rc)
		return rc;
	memcpy(slot->extents, change->extents, sizeof(slot->extents));
	record_seal(slot);
	return 0;
}

static int no_extents(const struct region *region, uint64_t bytes, int rc, struct error *err)
{
	const struct pool *pool = region->job->pool;
	char need[32], left[32];

	return error_set(err, -ENOSPC, "job %s, rank %u: no room for %s more on device %s, which has %s left%s%s",
			 region->job->name, region_rank(region), size_format(bytes, need, sizeof(need)),
			 pool->device_path,
			 size_format(pool->extents.free * pool->root->unit_bytes, left, sizeof(left)),
			 rc == -EMLINK ? " in too many pieces: remove jobs, or give this one another name" : "",
			 rc == -ENOSPC && pool->held ? "; removed jobs give theirs back when their processes have ended" : "");
}

/* What the transaction failed to record is given back: of each extent what is behind the old one. */
static void extents_undo(struct pool *pool, const struct extent_record *old, const struct extent_record *extents)
{
	for (unsigned i = 0; i < SLOT_EXTENTS; i++)
		extent_map_give(&pool->extents, (struct extent_record){extents[i].first + old[i].count,
								       extents[i].count - old[i].count});
}

int region_slot_allocate(struct region *region, unsigned slot, uint64_t bytes, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot};
	struct slot_record *record = &region->record->slots[slot];
	struct pool *pool = region->job->pool;
	uint64_t has, unit;
	int rc;

	assert(slot < region_slots(region));
	if (!pool_on_device(pool) || slot_bytes(pool, record) >= bytes)
		return 0;
	device_bad_read(pool);
	unit = pool->root->unit_bytes;
	has = slot_bytes(pool, record);
	memcpy(change.extents, record->extents, sizeof(change.extents));
	rc = extent_map_add(&pool->extents, (bytes - has + unit - 1) / unit, change.extents);
	if (rc)
		return no_extents(region, bytes - has, rc, err);
	TEST_POINT("slot-placed");
	/* P2: the extents are the slot's, durably, before its capacity is recorded. */
	rc = transaction(pool, slot_extents_change, &change, err, "record a slot's extents");
	if (rc) {
		extents_undo(pool, record->extents, change.extents);
		return region_context(region, err, rc);
	}
	TEST_POINT("slot-allocated");
	return 0;
}

unsigned region_slot_extents(const struct region *region, unsigned slot, struct extent extents[SLOT_EXTENTS])
{
	const struct slot_record *record = &region->record->slots[slot];
	uint64_t unit = region->job->pool->root->unit_bytes;
	unsigned n = 0;

	assert(slot < region_slots(region));
	for (; n < SLOT_EXTENTS && record->extents[n].count; n++)
		extents[n] = (struct extent){record->extents[n].first * unit, record->extents[n].count * unit};
	return n;
}

bool region_range_bad(const struct region *region, unsigned slot, uint64_t offset, uint64_t bytes)
{
	const struct pool *pool = region->job->pool;

	assert(slot < region_slots(region));
	return pool_on_device(pool) && device_range_bad(pool, &region->record->slots[slot], offset, bytes);
}

int region_slot_open(struct region *region, unsigned slot, int *out, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot};
	struct pool *pool = region->job->pool;
	uint64_t number;
	int fd, rc;

	assert(slot < region_slots(region));
	if (pool_on_device(pool)) {
		rc = device_slot_open(region, slot, out, err);
		return rc ? region_context(region, err, rc) : 0;
	}
	if (region->record->slots[slot].file) {
		rc = slotfile_open(pool, region->record->slots[slot].file, out, err);
		return rc ? region_context(region, err, rc) : 0;
	}
	/* P2: the file is in its directory, durably, before its number is recorded. */
	number = pool->root->next_file;
	rc = slotfile_create(pool, number, &fd, err);
	if (rc)
		return region_context(region, err, rc);
	TEST_POINT("slot-created");
	rc = transaction(pool, slot_file_change, &change, err, "record a slot's file");
	if (rc) {
		slotfile_remove(pool, number);
		close(fd);
		return region_context(region, err, rc);
	}
	*out = fd;
	return 0;
}

/* ---- sets ---- */

int slot_clear_change(struct pool *pool, struct slot_record *slot)
{
	int rc = change_record(slot, sizeof(*slot));

	if (!rc)
		rc = change_free(pool, slot->set.layout);
	if (rc)
		return rc;
	slot->set = (struct set_record){0};
	record_seal(slot);
	return 0;
}

static int region_withdraw_change(struct pool *pool, void *arg)
{
	const struct region_change *change = arg;
	struct region *region = change->region;
	unsigned first, end;
	int rc;

	increments_of_base(region, change->slot, &first, &end);
	rc = increments_cut_change(pool, region, first, end);
	return rc ? rc : slot_clear_change(pool, &region->record->slots[change->slot]);
}

static void base_withdrawn(struct region *region, unsigned slot)
{
	unsigned first, end;

	increments_of_base(region, slot, &first, &end);
	increments_cut(region, first, end);
	slot_emptied(region, slot);
}

int region_withdraw(struct region *region, unsigned slot, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot};
	int rc;

	assert(slot < SLOTS_PER_REGION);
	if (!region->sets[slot].epoch)
		return 0;
	rc = transaction(region->job->pool, region_withdraw_change, &change, err, "withdraw a set");
	if (rc)
		return region_context(region, err, rc);
	/* P1: the old set is listed no more, durably, before its slot is overwritten. */
	base_withdrawn(region, slot);
	TEST_POINT("set-withdrawn");
	return 0;
}

static int region_forget_change(struct pool *pool, void *arg)
{
	const struct region_change *change = arg;
	struct slot_record *slot = &change->region->record->slots[change->slot];
	int rc;

	if (change->slot == SLOT_LOG)
		rc = increments_cut_change(pool, change->region, 0, change->region->increment_count);
	else
		rc = region_withdraw_change(pool, arg);
	if (!rc)
		rc = change_record(slot, sizeof(*slot));
	if (rc)
		return rc;
	slot->file = 0;
	slot->capacity = 0;
	memset(slot->extents, 0, sizeof(slot->extents));
	record_seal(slot);
	return 0;
}

void region_suspect(struct region *region, unsigned slot)
{
	assert(slot < region_slots(region));
	region->suspect[slot] = true;
}

bool region_is_suspect(const struct region *region, unsigned slot)
{
	assert(slot < region_slots(region));
	return region->suspect[slot];
}

int region_forget_slot(struct region *region, unsigned slot, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot};
	uint64_t file = region->record->slots[slot].file;
	int rc;

	memcpy(change.extents, region->record->slots[slot].extents, sizeof(change.extents));
	rc = transaction(region->job->pool, region_forget_change, &change, err, "empty a slot");
	if (rc)
		return region_context(region, err, rc);
	if (!pool_on_device(region->job->pool))
		slotfile_remove(region->job->pool, file);
	region->suspect[slot] = false;
	device_hold(region->job->pool, region->record->job, change.extents);
	if (slot == SLOT_LOG)
		increments_cut(region, 0, region->increment_count);
	else
		base_withdrawn(region, slot);
	region_unreserve(region);
	return 0;
}

static bool segments_valid(const struct set_info *set, const struct segment *segments)
{
	for (uint32_t i = 0; i < set->segment_count; i++) {
		if (!memchr(segments[i].name, '\0', sizeof(segments[i].name)) || !segments[i].name[0] ||
		    segments[i].type < ELEMENT_BYTE || segments[i].type >= ELEMENT_TYPE_END)
			return false;
	}
	return true;
}

int set_fits(const struct set_info *set, uint64_t capacity, struct error *err)
{
	if (set->table_offset > capacity || set->table_bytes > capacity - set->table_offset ||
	    set->data_bytes > set->table_offset || set->table_offset % SET_ALIGN)
		return error_set(err, -EINVAL, "a set of %" PRIu64 " bytes with a table of %" PRIu64 " at %" PRIu64
				 " does not fit into the %" PRIu64 " bytes there are for it", set->data_bytes,
				 set->table_bytes, set->table_offset, capacity);
	return 0;
}

int set_sound(const struct region *region, const struct set_info *set, const struct segment *segments,
	      uint64_t capacity, struct error *err)
{
	int rc;

	if (!set->epoch || region_holds(region, set->epoch))
		return error_set(err, -EEXIST, "epoch %" PRIu64 " is 0, or has a set already", set->epoch);
	rc = set_fits(set, capacity, err);
	if (rc)
		return rc;
	if (set->segment_count > SET_SEGMENTS_MAX || !segments_valid(set, segments))
		return error_set(err, -EINVAL, "the set's layout makes no sense");
	if (!set_block_ok(set->block_bytes))
		return error_set(err, -EINVAL, "blocks of %" PRIu64 " bytes; a power of 2 from %u to %u is needed",
				 set->block_bytes, SET_BLOCK_MIN, SET_BLOCK_MAX);
	return 0;
}

static int set_check(const struct region *region, unsigned slot, const struct set_info *set,
		     const struct segment *segments, struct error *err)
{
	if (region->sets[slot].epoch)
		return error_set(err, -EEXIST, "slot %u holds the set of epoch %" PRIu64, slot,
				 region->sets[slot].epoch);
	if (merge_goes_to(region, slot))
		return error_set(err, -EBUSY, "sets are being merged into slot %u", slot);
	if (set->kind != SET_FULL)
		return error_set(err, -EINVAL, "a set of kind %u is none for a slot", set->kind);
	return set_sound(region, set, segments, region->record->slots[slot].capacity, err);
}

static struct segments_record *layout_change(struct pool *pool, const struct region *region, unsigned slot,
					     const struct set_info *set, const struct segment *segments)
{
	size_t segments_bytes = set->segment_count * sizeof(struct segment);
	struct segments_record *layout;

	layout = change_allocate(pool, sizeof(*layout) + segments_bytes, FORMAT_LAYOUT_OF_SET);
	if (!layout)
		return NULL;
	layout->tag = TAG_SEGMENTS;
	layout->segment_count = set->segment_count;
	layout->job = region->record->job;
	layout->rank = region->record->rank;
	layout->slot = slot;
	layout->epoch = set->epoch;
	if (segments_bytes)
		memcpy(layout->segments, segments, segments_bytes);
	layout->segments_checksum = checksum(layout->segments, segments_bytes);
	record_seal(layout);
	return layout;
}

int set_record_change(struct pool *pool, const struct region *region, struct set_record *record, unsigned slot,
		      const struct set_info *set, const struct segment *segments)
{
	struct segments_record *layout = NULL;

	if (segments) {
		layout = layout_change(pool, region, slot, set, segments);
		if (!layout)
			return -ENOMEM;
	}
	*record = (struct set_record){
		.epoch = set->epoch,
		.kind = set->kind,
		.segment_count = set->segment_count,
		.data_bytes = set->data_bytes,
		.table_offset = set->table_offset,
		.table_bytes = set->table_bytes,
		.table_digest = set->table_digest,
		.time_ns = set->time_ns ? set->time_ns : clock_realtime_ns(),
		.layout = layout ? record_offset(pool, layout) : 0,
		.generation = region->record->generation,
		.block_bytes = set->block_bytes,
	};
	return 0;
}

static int region_publish_change(struct pool *pool, void *arg)
{
	static const struct segment none;
	const struct region_change *change = arg;
	struct slot_record *slot = &change->region->record->slots[change->slot];
	int rc = change_record(slot, sizeof(*slot));

	if (!rc)
		rc = set_record_change(pool, change->region, &slot->set, change->slot, change->set,
				       change->segments ? change->segments : &none);
	if (rc)
		return rc;
	record_seal(slot);
	return 0;
}

int region_publish(struct region *region, unsigned slot, const struct set_info *set,
		   const struct segment *segments, struct error *err)
{
	struct region_change change = {.region = region, .slot = slot, .set = set, .segments = segments};
	struct job *job = region->job;
	int rc;

	assert(slot < SLOTS_PER_REGION);
	rc = set_check(region, slot, set, segments, err);
	if (rc)
		return region_context(region, err, rc);
	if (epoch_reserve(job))
		return error_nomem(err, "the index of a pool");
	TEST_POINT("set-publish");
	/* P4: one transaction publishes the set. */
	rc = transaction(job->pool, region_publish_change, &change, err, "publish a set");
	if (rc)
		return region_context(region, err, rc);
	TEST_POINT("set-published");
	set_record_info(&region->record->slots[slot].set, &region->sets[slot]);
	region_set_counted(region, &region->sets[slot]);
	return 0;
}
