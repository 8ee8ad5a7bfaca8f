/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - checks every record of a pool and builds the index.
 *
 * Nothing is believed: a reference is followed only out of a record whose checksum is right, to an object
 * that libpmemobj's heap lists as allocated, is large enough, and that no other record refers to.
 */
#include "pmm/index.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/checksum.h"

/* ---- the index's parts ---- */

static int compare_names(const void *left, const void *right)
{
	const struct job *a = left, *b = right;

	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return strcmp(a->name, b->name);
}

int index_name_add(struct job *job)
{
	struct job **node = tsearch(job, &job->pool->by_name, compare_names);

	if (!node)
		return -ENOMEM;
	return *node == job ? 0 : -EEXIST;
}

void index_name_remove(struct job *job)
{
	tdelete(job, &job->pool->by_name, compare_names);
}

struct job *index_name_find(const struct pool *pool, uint32_t uid, const char *name)
{
	const struct job key = {.uid = uid, .name = name};
	struct job **node = tfind(&key, &pool->by_name, compare_names);

	return node ? *node : NULL;
}

struct job *index_job_new(struct pool *pool, uint32_t uid, const char *name, uint32_t ranks)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->pool = pool;
	job->user = index_user(pool, uid);
	job->uid = uid;
	job->name = name;
	job->ranks = ranks;
	job->regions = calloc(ranks, sizeof(*job->regions));
	if (!job->regions || !job->user) {
		free(job->regions);
		free(job);
		return NULL;
	}
	return job;
}

void index_job_set_record(struct job *job, struct job_record *record)
{
	job->record = record;
	job->table = record_at(job->pool, record->table);
	job->name = record->name;
}

void index_job_free(struct job *job)
{
	for (uint32_t rank = 0; rank < job->ranks; rank++) {
		if (job->regions[rank])
			free(job->regions[rank]->increments);
		free(job->regions[rank]);
	}
	free(job->regions);
	free(job->epochs);
	free(job);
}

void index_job_link(struct job *job)
{
	struct pool *pool = job->pool;

	job->older = pool->newest;
	job->newer = NULL;
	if (pool->newest)
		pool->newest->newer = job;
	else
		pool->oldest = job;
	pool->newest = job;
}

void index_job_unlink(struct job *job)
{
	struct pool *pool = job->pool;

	if (job->older)
		job->older->newer = job->newer;
	else
		pool->oldest = job->newer;
	if (job->newer)
		job->newer->older = job->older;
	else
		pool->newest = job->older;
}

void index_free(struct pool *pool)
{
	struct job *job, *older;

	for (job = pool->newest; job; job = older) {
		older = job->older;
		if (job->record->state == JOB_STATE_LIVE)
			index_name_remove(job);
		index_job_free(job);
	}
	pool->oldest = pool->newest = NULL;
	index_users_free(pool);
	extent_map_free(&pool->extents);
}

void set_record_info(const struct set_record *record, struct set_info *set)
{
	*set = (struct set_info){
		.epoch = record->epoch,
		.kind = record->kind,
		.segment_count = record->segment_count,
		.data_bytes = record->data_bytes,
		.table_offset = record->table_offset,
		.table_bytes = record->table_bytes,
		.table_digest = record->table_digest,
		.time_ns = record->time_ns,
		.generation = record->generation,
		.block_bytes = record->block_bytes,
	};
}

/* ---- how many ranks have a set of an epoch ---- */

int epoch_reserve(struct job *job)
{
	unsigned capacity = job->epoch_capacity ? 2 * job->epoch_capacity : 4;
	struct epoch_count *epochs;

	if (job->epoch_count < job->epoch_capacity)
		return 0;
	epochs = realloc(job->epochs, capacity * sizeof(*epochs));
	if (!epochs)
		return -ENOMEM;
	job->epochs = epochs;
	job->epoch_capacity = capacity;
	return 0;
}

static void epoch_find_complete(struct job *job)
{
	uint64_t complete = 0;

	for (unsigned i = 0; i < job->epoch_count; i++) {
		if (job->epochs[i].ranks == job->ranks && job->epochs[i].epoch > complete)
			complete = job->epochs[i].epoch;
	}
	job->complete_epoch = complete;
}

void epoch_add(struct job *job, const struct set_info *set)
{
	unsigned i = 0;

	while (i < job->epoch_count && job->epochs[i].epoch != set->epoch)
		i++;
	if (i == job->epoch_count)
		job->epochs[job->epoch_count++] = (struct epoch_count){.epoch = set->epoch};
	if (set->time_ns > job->epochs[i].time_ns)
		job->epochs[i].time_ns = set->time_ns;
	if (++job->epochs[i].ranks == job->ranks && set->epoch > job->complete_epoch)
		job->complete_epoch = set->epoch;
}

void epoch_remove(struct job *job, uint64_t epoch)
{
	unsigned i = 0;

	while (i < job->epoch_count && job->epochs[i].epoch != epoch)
		i++;
	if (i == job->epoch_count)
		return;
	if (--job->epochs[i].ranks == 0)
		job->epochs[i] = job->epochs[--job->epoch_count];
	if (epoch == job->complete_epoch)
		epoch_find_complete(job);
}

/* ---- the objects of libpmemobj's heap ---- */

struct object {
	uint64_t offset, bytes;
	bool named; /* by a record */
};

struct objects {
	struct object *list;
	size_t count, capacity;
};

static int objects_add(struct objects *objects, uint64_t offset, uint64_t bytes)
{
	struct object *list;
	size_t capacity;

	if (objects->count == objects->capacity) {
		capacity = objects->capacity ? 2 * objects->capacity : 256;
		list = realloc(objects->list, capacity * sizeof(*list));
		if (!list)
			return -ENOMEM;
		objects->list = list;
		objects->capacity = capacity;
	}
	objects->list[objects->count++] = (struct object){offset, bytes, false};
	return 0;
}

static int compare_objects(const void *left, const void *right)
{
	const struct object *a = left, *b = right;

	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static int objects_collect(struct pool *pool, struct objects *objects, struct error *err)
{
	uint64_t pool_bytes = pool->root->metadata_bytes, bytes;
	PMEMoid oid;

	for (oid = pmemobj_first(pool->pop); !OID_IS_NULL(oid); oid = pmemobj_next(oid)) {
		bytes = pmemobj_alloc_usable_size(oid);
		if (oid.off > pool_bytes || bytes > pool_bytes - oid.off ||
		    objects->count > pool_bytes / 64)
			return damaged(pool, err, "libpmemobj's heap in %s is damaged",
				       pool->metadata_path);
		if (objects_add(objects, oid.off, bytes))
			return error_nomem(err, "the list of the pool's records");
	}
	if (objects->count)
		qsort(objects->list, objects->count, sizeof(*objects->list), compare_objects);
	return 0;
}

/* What a record refers to, for the first and only time; NULL where there is no such object. */
static void *objects_take(const struct pool *pool, struct objects *objects, uint64_t offset, uint64_t bytes)
{
	const struct object key = {.offset = offset};
	struct object *object = NULL;

	if (objects->count)
		object = bsearch(&key, objects->list, objects->count, sizeof(key), compare_objects);
	if (!object || object->named || object->bytes < bytes)
		return NULL;
	object->named = true;
	return record_at(pool, offset);
}

/* ---- records ---- */

/* Names what is loaded, for messages. Strings that may be damaged are made printable. */
struct place {
	struct pool *pool;
	struct objects *objects;
	struct job *job;
	uint32_t rank;
	unsigned slot;
};

static const char *printable(const char *name, char *out, size_t capacity)
{
	size_t i;

	for (i = 0; i + 1 < capacity && name[i]; i++)
		out[i] = (unsigned char)name[i] < ' ' || name[i] == 127 ? '?' : name[i];
	out[i] = '\0';
	return out;
}

static int slot_damaged(const struct place *at, struct error *err, const char *how)
{
	return damaged(at->pool, err, "record of job %s, rank %u, slot %u: %s", job_name(at->job), at->rank,
		       at->slot, how);
}

static int region_damaged(const struct place *at, struct error *err, const char *how)
{
	return damaged(at->pool, err, "record of job %s, rank %u: %s", job_name(at->job), at->rank, how);
}

static int load_segments(const struct place *at, const struct set_record *set, struct error *err)
{
	size_t segments_bytes = set->segment_count * sizeof(struct segment);
	const struct segments_record *record;

	record = objects_take(at->pool, at->objects, set->layout, sizeof(*record) + segments_bytes);
	if (!record)
		return slot_damaged(at, err, "its set's layout is not there");
	if (!record_intact(record) || record->segment_count != set->segment_count ||
	    record->segments_checksum != checksum(record->segments, segments_bytes))
		return slot_damaged(at, err, "the checksum of its set's layout does not match");
	if (record->tag != TAG_SEGMENTS || record->job != at->job->record->number ||
	    record->rank != at->rank || record->slot != at->slot || record->epoch != set->epoch)
		return slot_damaged(at, err, "its set's layout is another's");
	return 0;
}

/* A set that has `room` bytes. */
static int load_set(const struct place *at, const struct region *region, const struct set_record *set, uint64_t room,
		    struct error *err)
{
	if (set->segment_count > SET_SEGMENTS_MAX || set->table_offset > room ||
	    set->table_bytes > room - set->table_offset)
		return slot_damaged(at, err, "its set does not fit into it");
	if (!set_block_ok(set->block_bytes))
		return slot_damaged(at, err, "its set's blocks have a size that no set has");
	if (!set->generation || set->generation > region->record->generation)
		return slot_damaged(at, err, "its set's generation is none that the region had");
	return at->slot == SLOT_LOG && !set->layout ? 0 : load_segments(at, set, err);
}

/* Where the slot lies on the device; nowhere, where it is a file. */
static int load_extents(const struct place *at, const struct slot_record *slot, struct error *err)
{
	bool ended = false;

	for (unsigned i = 0; i < SLOT_EXTENTS; i++) {
		struct extent_record extent = slot->extents[i];

		if (extent.count && (ended || !slot->file))
			return slot_damaged(at, err, "its extents make no sense");
		ended = !extent.count;
		if (!extent_map_take(&at->pool->extents, extent))
			return slot_damaged(at, err, "it lies outside of the device, or over another");
	}
	if (pool_on_device(at->pool) && slot_bytes(at->pool, slot) < slot->capacity)
		return slot_damaged(at, err, "its extents are smaller than it is");
	return 0;
}

static int load_slot(const struct place *at, struct region *region, struct error *err)
{
	const struct slot_record *slot = &region->record->slots[at->slot];
	int rc;

	if (!record_intact(slot))
		return slot_damaged(at, err, "its checksum does not match");
	if (slot->file >= at->pool->root->next_file || (slot->capacity && !slot->file))
		return slot_damaged(at, err, "its file's number was never given out");
	rc = load_extents(at, slot, err);
	if (rc)
		return rc;
	if (slot_bytes(at->pool, slot) > region->reserved_capacity)
		region->reserved_capacity = slot_bytes(at->pool, slot);
	if (!slot->set.epoch)
		return slot->set.layout ? slot_damaged(at, err, "it has a layout and no set") : 0;
	if (at->slot == SLOT_LOG)
		return slot_damaged(at, err, "it is the log, and has a full set");
	rc = load_set(at, region, &slot->set, slot->capacity, err);
	if (rc)
		return rc;
	if (epoch_reserve(at->job))
		return error_nomem(err, "the index of a pool");
	set_record_info(&slot->set, &region->sets[at->slot]);
	region_set_counted(region, &region->sets[at->slot]);
	return 0;
}

/* ---- increments ---- */

static int load_increment(const struct place *at, struct region *region, uint64_t offset, uint64_t *older,
			  struct error *err)
{
	uint64_t capacity = region->record->slots[SLOT_LOG].capacity;
	struct increment_record *record;
	struct increment *added;
	int rc;

	record = objects_take(at->pool, at->objects, offset, sizeof(*record));
	if (!record)
		return slot_damaged(at, err, "an increment is not there");
	if (!record_intact(record))
		return slot_damaged(at, err, "the checksum of an increment does not match");
	if (record->tag != TAG_INCREMENT || record->rank != at->rank || record->job != at->job->record->number)
		return slot_damaged(at, err, "an increment is another's");
	if (record->set.kind != SET_INCREMENT || record->place % SET_ALIGN || record->place > capacity ||
	    region->increment_count == INCREMENTS_MAX ||
	    (region->increment_count &&
	     record->set.epoch >= region->increments[region->increment_count - 1].info.set.epoch))
		return slot_damaged(at, err, "an increment makes no sense");
	rc = load_set(at, region, &record->set, capacity - record->place, err);
	if (rc)
		return rc;
	if (epoch_reserve(at->job) || increments_reserve(region))
		return error_nomem(err, "the index of a pool");
	added = &region->increments[region->increment_count++];
	*added = (struct increment){{.place = record->place}, record};
	set_record_info(&record->set, &added->info.set);
	region_set_counted(region, &added->info.set);
	*older = record->older;
	return 0;
}

/* None lies over another: by place, each ends where the next begins, or before. */
static bool places_apart(const struct region *region)
{
	struct log_range used[INCREMENTS_MAX + 1];
	unsigned n = log_used(region, 0, (struct log_range){0, 0}, used);

	for (unsigned i = 1; i < n; i++) {
		if (used[i - 1].end > used[i].begin)
			return false;
	}
	return true;
}

/* Each epoch once, and each increment behind a base, with its block size and as many segments as its layout has. */
static bool increments_follow(const struct region *region)
{
	unsigned first, end, followed = 0;

	if (region->sets[0].epoch && region->sets[0].epoch == region->sets[1].epoch)
		return false;
	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		increments_of_base(region, slot, &first, &end);
		followed += end - first;
		for (unsigned i = first; i < end; i++) {
			const struct set_info *set = &region->increments[i].info.set;

			if (set->epoch == region->sets[1 - slot].epoch ||
			    set->block_bytes != region->sets[slot].block_bytes ||
			    layout_of(region, slot, (int)i)->segment_count != set->segment_count)
				return false;
		}
	}
	return followed == region->increment_count;
}

static int load_increments(const struct place *at, struct region *region, struct error *err)
{
	unsigned n;
	int rc = 0;

	if (region->record->newest_increment && region->record->mode != REGION_APPEND)
		return slot_damaged(at, err, "it has increments in overwrite mode");
	for (uint64_t offset = region->record->newest_increment; offset && !rc;)
		rc = load_increment(at, region, offset, &offset, err);
	if (rc)
		return rc;
	/* They came newest first. */
	n = region->increment_count;
	for (unsigned i = 0; i < n / 2; i++) {
		struct increment other = region->increments[i];

		region->increments[i] = region->increments[n - 1 - i];
		region->increments[n - 1 - i] = other;
	}
	if (!places_apart(region))
		return slot_damaged(at, err, "increments lie over each other");
	if (!increments_follow(region))
		return slot_damaged(at, err, "an increment does not follow the set before it");
	return 0;
}

static int load_region(struct place *at, uint64_t offset, struct error *err)
{
	struct region_record *record;
	struct region *region;
	int rc;

	record = objects_take(at->pool, at->objects, offset, sizeof(*record));
	if (!record)
		return region_damaged(at, err, "it is not there");
	if (!record_intact(record))
		return region_damaged(at, err, "its checksum does not match");
	if (record->tag != TAG_REGION || record->rank != at->rank || record->job != at->job->record->number)
		return region_damaged(at, err, "it is another's");
	if (!(record->mode == REGION_OVERWRITE && record->slot_count == SLOTS_PER_REGION) &&
	    !(record->mode == REGION_APPEND && record->slot_count == SLOTS_MAX))
		return region_damaged(at, err, "its mode or number of slots is none of this version");
	region = calloc(1, sizeof(*region));
	if (!region)
		return error_nomem(err, "the index of a pool");
	region->job = at->job;
	region->record = record;
	region->slots = record->slot_count;
	at->job->regions[at->rank] = region;
	at->pool->regions++;
	at->job->user->regions++;
	for (at->slot = 0; at->slot < record->slot_count; at->slot++) {
		rc = load_slot(at, region, err);
		if (rc)
			return rc;
	}
	at->slot = SLOT_LOG;
	rc = load_increments(at, region, err);
	if (rc)
		return rc;
	/* Capacities are checked against the files, next. */
	at->pool->reserved_bytes += region_reserved_bytes(region);
	at->job->reserved_bytes += region_reserved_bytes(region);
	at->job->user->reserved_bytes += region_reserved_bytes(region);
	return 0;
}

static int load_regions(struct place *at, struct error *err)
{
	const struct job_record *record = at->job->record;
	const struct rank_record *entry;
	int rc;

	for (at->rank = 0; at->rank < record->ranks; at->rank++) {
		entry = &at->job->table[at->rank];
		if (entry->checksum != rank_checksum(entry->region, record->number, at->rank))
			return region_damaged(at, err, "its entry's checksum in the rank table does not match");
		rc = entry->region ? load_region(at, entry->region, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static int job_record_check(const struct place *at, const struct job_record *record, const char *after,
			    struct error *err)
{
	char name[JOB_NAME_BYTES];

	if (!record)
		return damaged(at->pool, err, "the record of the job after %s is not there", after);
	printable(record->name, name, sizeof(name));
	if (!record_intact(record))
		return damaged(at->pool, err, "record of a job (%s, it seems; after %s): its checksum does not "
			       "match", name, after);
	if (record->tag != TAG_JOB || !memchr(record->name, '\0', sizeof(record->name)) ||
	    !record->ranks || record->ranks > RANKS_MAX ||
	    (record->state != JOB_STATE_LIVE && record->state != JOB_STATE_DROPPED) || record->share > JOB_SHARE_RUN)
		return damaged(at->pool, err, "record of job %s (after %s): it makes no sense", name, after);
	return 0;
}

static int load_command(const struct place *at, const struct job_record *job, struct error *err)
{
	struct command_record *record;
	struct command_line command;

	if (!job->command)
		return job->command_bytes ? damaged(at->pool, err, "record of job %s: it has the length of a command "
						    "and no command", job->name)
					  : 0;
	record = objects_take(at->pool, at->objects, job->command, sizeof(*record) + job->command_bytes);
	if (!record)
		return damaged(at->pool, err, "record of job %s: its command is not there", job->name);
	if (!record_intact(record) || record->bytes != job->command_bytes ||
	    record->text_checksum != checksum(record->text, record->bytes))
		return damaged(at->pool, err, "record of job %s: the checksum of its command does not match",
			       job->name);
	command = (struct command_line){record->bytes, record->text};
	if (record->tag != TAG_COMMAND || record->job != job->number || !record->bytes || !command_ok(&command))
		return damaged(at->pool, err, "record of job %s: its command makes no sense", job->name);
	return 0;
}

static int load_job(struct place *at, uint64_t offset, const char *after, struct error *err)
{
	struct pool *pool = at->pool;
	struct job_record *record;
	int rc;

	record = objects_take(pool, at->objects, offset, sizeof(*record));
	rc = job_record_check(at, record, after, err);
	if (rc)
		return rc;
	if (!objects_take(pool, at->objects, record->table, record->ranks * sizeof(struct rank_record)))
		return damaged(pool, err, "record of job %s: its rank table is not there", record->name);
	rc = load_command(at, record, err);
	if (rc)
		return rc;
	at->job = index_job_new(pool, record->uid, record->name, record->ranks);
	if (!at->job)
		return error_nomem(err, "the index of a pool");
	index_job_set_record(at->job, record);
	rc = record->state == JOB_STATE_LIVE ? index_name_add(at->job) : 0;
	if (rc) {
		index_job_free(at->job);
		return rc == -EEXIST ? damaged(pool, err, "job %s is there twice", record->name)
				     : error_nomem(err, "the index of a pool");
	}
	/* They come newest first; each goes before those that are there. */
	at->job->newer = pool->oldest;
	if (pool->oldest)
		pool->oldest->older = at->job;
	else
		pool->newest = at->job;
	pool->oldest = at->job;
	if (record->state == JOB_STATE_LIVE) {
		pool->jobs++;
		at->job->user->jobs++;
	}
	return load_regions(at, err);
}

static int load_jobs(struct pool *pool, struct objects *objects, struct error *err)
{
	struct place at = {.pool = pool, .objects = objects};
	const char *after = "the start of the list";
	uint64_t offset;
	int rc;

	for (offset = pool->root->first_job; offset; offset = at.job->record->next) {
		rc = load_job(&at, offset, after, err);
		if (rc)
			return rc;
		after = job_name(at.job);
	}
	return 0;
}

static int load_device(struct pool *pool, struct error *err)
{
	uint64_t bytes = pool->root->device_bytes, unit = pool->root->unit_bytes;
	int rc;

	if (!bytes && !unit)
		return 0;
	if (unit < MEDIA_UNIT_MIN || unit & (unit - 1) || bytes % unit)
		return damaged(pool, err, "what its root record says of the device makes no sense");
	rc = extent_map_init(&pool->extents, bytes / unit);
	if (rc == -EINVAL)
		return damaged(pool, err, "its root record says that the device has %" PRIu64 " bytes", bytes);
	return rc ? error_nomem(err, "the map of a device") : 0;
}

static int load_root(struct pool *pool, struct error *err)
{
	size_t bytes = pmemobj_root_size(pool->pop);
	PMEMoid oid;
	int rc;

	if (bytes < offsetof(struct root_record, id))
		return damaged(pool, err, "%s has no root record", pool->metadata_path);
	oid = pmemobj_root(pool->pop, bytes);
	if (OID_IS_NULL(oid))
		return damaged(pool, err, "%s has no root record: %s", pool->metadata_path,
			       pmemobj_errormsg());
	pool->uuid = oid.pool_uuid_lo;
	pool->root = pmemobj_direct(oid);
	if (memcmp(pool->root->magic, FORMAT_MAGIC, sizeof(pool->root->magic)))
		return damaged(pool, err, "the magic of its root record is wrong");
	if (pool->root->version != POOL_VERSION)
		return error_set(err, -EPROTONOSUPPORT, "pool %s has version %u and this server knows version "
				 "%u: use a server that knows it, or another pool", pool->directory,
				 pool->root->version, POOL_VERSION);
	if (bytes < sizeof(*pool->root) || pool->root->record_bytes != sizeof(*pool->root) ||
	    !record_intact(pool->root))
		return damaged(pool, err, "the checksum of its root record does not match");
	rc = load_device(pool, err);
	if (rc)
		return rc;
	if (pool->root->metadata_bytes != pool->metadata_bytes)
		return damaged(pool, err, "%s was truncated: %" PRIu64 " of %" PRIu64 " bytes are there",
			       pool->metadata_path, pool->metadata_bytes, pool->root->metadata_bytes);
	return 0;
}

int index_load(struct pool *pool, struct error *err)
{
	struct objects objects = {0};
	int rc;

	rc = load_root(pool, err);
	if (!rc)
		rc = objects_collect(pool, &objects, err);
	if (!rc)
		rc = load_jobs(pool, &objects, err);
	for (size_t i = 0; i < objects.count; i++)
		pool->lost_objects += !objects.list[i].named;
	free(objects.list);
	return rc;
}
