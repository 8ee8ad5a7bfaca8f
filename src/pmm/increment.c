/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * increment.c - the increments of a region in append mode: a list in the order of their epochs, and the log that
 * they lie in, each in a gap between others.
 */
#include "pmm/index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "common/testpoint.h"

static uint64_t increment_bytes(const struct set_info *set)
{
	return set->table_offset + set->table_bytes;
}

static uint64_t increment_end(const struct increment_info *info)
{
	return info->place + size_round_up(increment_bytes(&info->set), SET_ALIGN);
}

/* ---- the list ---- */

/* The first increment that is newer than the epoch. */
static unsigned newer_than(const struct region *region, uint64_t epoch)
{
	unsigned i = region->increment_count;

	while (i && region->increments[i - 1].info.set.epoch > epoch)
		i--;
	return i;
}

void increments_of_base(const struct region *region, unsigned slot, unsigned *first, unsigned *end)
{
	uint64_t epoch = region->sets[slot].epoch, next = region->sets[1 - slot].epoch;

	*first = epoch ? newer_than(region, epoch) : 0;
	*end = !epoch ? 0 : next > epoch ? newer_than(region, next) : region->increment_count;
}

/* The slot of the base that a set of this epoch is, or follows; -ENOENT. */
static int base_of(const struct region *region, uint64_t epoch)
{
	int found = -ENOENT;

	for (int slot = 0; slot < SLOTS_PER_REGION; slot++) {
		uint64_t base = region->sets[slot].epoch;

		if (base && base <= epoch && (found < 0 || base > region->sets[found].epoch))
			found = slot;
	}
	return found;
}

static int increment_of(const struct region *region, uint64_t epoch)
{
	unsigned i = newer_than(region, epoch);

	return i && region->increments[i - 1].info.set.epoch == epoch ? (int)i - 1 : -ENOENT;
}

const struct segments_record *layout_of(const struct region *region, unsigned slot, int i)
{
	uint64_t offset = region->record->slots[slot].set.layout;
	unsigned first, end;

	increments_of_base(region, slot, &first, &end);
	for (; i >= (int)first; i--) {
		if (!region->increments[i].record->set.layout)
			continue;
		offset = region->increments[i].record->set.layout;
		break;
	}
	return record_at(region->job->pool, offset);
}

const struct increment_info *region_increment(const struct region *region, unsigned i)
{
	return i < region->increment_count ? &region->increments[i].info : NULL;
}

int region_chain(const struct region *region, uint64_t epoch, struct chain *chain)
{
	int slot = base_of(region, epoch), i = increment_of(region, epoch);
	unsigned first, end;

	if (slot < 0 || (region->sets[slot].epoch != epoch && i < 0))
		return -ENOENT;
	increments_of_base(region, (unsigned)slot, &first, &end);
	*chain = (struct chain){(unsigned)slot, first, i < 0 ? first : (unsigned)i + 1};
	return 0;
}

bool region_holds(const struct region *region, uint64_t epoch)
{
	struct chain chain;

	return !region_chain(region, epoch, &chain);
}

const struct segment *region_segments_of(const struct region *region, uint64_t epoch)
{
	struct chain chain;

	if (region_chain(region, epoch, &chain))
		return NULL;
	return layout_of(region, chain.slot, chain.end > chain.first ? (int)chain.end - 1 : -1)->segments;
}

uint64_t region_block_bytes(const struct region *region, uint64_t epoch)
{
	struct chain chain;

	return region_chain(region, epoch, &chain) ? 0 : region->sets[chain.slot].block_bytes;
}

static uint64_t newest_epoch(const struct region *region)
{
	uint64_t newest = region->increment_count
				  ? region->increments[region->increment_count - 1].info.set.epoch
				  : 0;

	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		if (region->sets[slot].epoch > newest)
			newest = region->sets[slot].epoch;
	}
	return newest;
}

int increments_reserve(struct region *region)
{
	unsigned capacity = region->increment_capacity ? 2 * region->increment_capacity : 8;
	struct increment *increments;

	if (region->increment_count < region->increment_capacity)
		return 0;
	increments = realloc(region->increments, capacity * sizeof(*increments));
	if (!increments)
		return -ENOMEM;
	region->increments = increments;
	region->increment_capacity = capacity;
	return 0;
}

/* ---- fewer of them ---- */

static int header_change(struct region *region, uint64_t newest_increment)
{
	/* Up to the checksum; the slots have their own. */
	int rc = change_record(region->record, offsetof(struct region_record, slots));

	if (rc)
		return rc;
	region->record->newest_increment = newest_increment;
	record_seal(region->record);
	return 0;
}

static int older_change(struct increment_record *record, uint64_t older)
{
	int rc = change_record(record, sizeof(*record));

	if (rc)
		return rc;
	record->older = older;
	record_seal(record);
	return 0;
}

int increments_cut_change(struct pool *pool, struct region *region, unsigned first, unsigned end)
{
	const struct increment *at = region->increments;
	uint64_t before = first ? record_offset(pool, at[first - 1].record) : 0;
	int rc;

	if (first == end)
		return 0;
	if (end < region->increment_count)
		rc = older_change(at[end].record, before);
	else
		rc = header_change(region, before);
	for (unsigned i = first; !rc && i < end; i++) {
		rc = change_free(pool, at[i].record->set.layout);
		if (!rc)
			rc = change_free(pool, record_offset(pool, at[i].record));
	}
	return rc;
}

void increments_cut(struct region *region, unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++)
		region_set_gone(region, region->increments[i].info.set.epoch);
	if (end > first)
		memmove(&region->increments[first], &region->increments[end],
			(region->increment_count - end) * sizeof(*region->increments));
	region->increment_count -= end - first;
}

struct cut {
	struct region *region;
	uint64_t keep;
	unsigned first, end;
};

static int cut_change(struct pool *pool, void *arg)
{
	const struct cut *cut = arg;

	return increments_cut_change(pool, cut->region, cut->first, cut->end);
}

static int newer_change(struct pool *pool, void *arg)
{
	const struct cut *cut = arg;
	struct region *region = cut->region;
	int rc = cut_change(pool, arg);

	for (unsigned slot = 0; !rc && slot < SLOTS_PER_REGION; slot++) {
		if (region->sets[slot].epoch > cut->keep)
			rc = slot_clear_change(pool, &region->record->slots[slot]);
	}
	return rc;
}

int region_withdraw_newer(struct region *region, uint64_t keep, struct error *err)
{
	uint64_t complete = region->job->complete_epoch;
	struct cut cut = {region, keep, newer_than(region, keep), region->increment_count};
	int rc;

	if (keep && !region_holds(region, keep))
		return error_set(err, -ENOENT, "job %s, rank %u: epoch %" PRIu64 ", which is to be kept, is not "
				 "there", region->job->name, region_rank(region), keep);
	if (!keep && complete)
		return error_set(err, -EEXIST, "job %s, rank %u: epoch %" PRIu64 " is complete and would be "
				 "lost: restore it, or remove the job", region->job->name, region_rank(region),
				 complete);
	if (newest_epoch(region) <= keep)
		return 0;
	rc = transaction(region->job->pool, newer_change, &cut, err, "withdraw sets");
	if (rc)
		return region_context(region, err, rc);
	increments_cut(region, cut.first, cut.end);
	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		if (region->sets[slot].epoch > keep) {
			region_set_gone(region, region->sets[slot].epoch);
			region->sets[slot] = (struct set_info){0};
		}
	}
	TEST_POINT("set-withdrawn");
	return 0;
}

/* ---- room in the log ---- */

static int compare_ranges(const void *left, const void *right)
{
	const struct log_range *a = left, *b = right;

	return a->begin < b->begin ? -1 : a->begin > b->begin;
}

unsigned log_used(const struct region *region, unsigned first, struct log_range other,
		  struct log_range used[INCREMENTS_MAX + 1])
{
	unsigned n = 0;

	used[n++] = other;
	for (unsigned i = first; i < region->increment_count; i++) {
		const struct increment_info *info = &region->increments[i].info;

		used[n++] = (struct log_range){info->place, increment_end(info)};
	}
	qsort(used, n, sizeof(*used), compare_ranges);
	return n;
}

uint64_t log_gap(const struct region *region, unsigned first, struct log_range other, uint64_t bytes, uint64_t *place)
{
	uint64_t capacity = region->record->slots[SLOT_LOG].capacity / SET_ALIGN * SET_ALIGN, begin = 0, best = 0;
	struct log_range used[INCREMENTS_MAX + 2];
	unsigned n = log_used(region, first, other, used);

	used[n++] = (struct log_range){capacity, capacity};
	*place = 0;
	for (unsigned i = 0; i < n; i++) {
		uint64_t size = used[i].begin > begin ? used[i].begin - begin : 0;

		if (best < bytes ? size > best : size >= bytes && size < best) {
			best = size;
			*place = begin;
		}
		begin = used[i].end > begin ? used[i].end : begin;
	}
	return best;
}

/* From where on increments belong to the chain of the newest set. */
static unsigned newest_chain(const struct region *region)
{
	int slot = base_of(region, UINT64_MAX);
	unsigned first = 0, end;

	if (slot >= 0)
		increments_of_base(region, (unsigned)slot, &first, &end);
	return first;
}

uint64_t region_log_room(const struct region *region)
{
	unsigned first = newest_chain(region);
	uint64_t place;

	if (region_mode(region) != REGION_APPEND || !newest_epoch(region) ||
	    region->increment_count - first >= INCREMENTS_MAX)
		return 0;
	return log_gap(region, first, (struct log_range){0, 0}, UINT64_MAX, &place);
}

int region_log_place(struct region *region, uint64_t keep, uint64_t bytes, uint64_t *place,
		     uint64_t *withdrawn_first, uint64_t *withdrawn_last, struct error *err)
{
	struct cut cut = {.region = region, .end = newest_chain(region)};
	struct log_range reserved = merge_reserved(region);
	char need[32], left[32];
	uint64_t room;
	int rc;

	*withdrawn_first = *withdrawn_last = 0;
	if (region_mode(region) != REGION_APPEND)
		return error_set(err, -EINVAL, "job %s, rank %u: there are no increments in overwrite mode",
				 region->job->name, region_rank(region));
	if (!keep || !region_holds(region, keep))
		return error_set(err, -ENOENT, "job %s, rank %u: epoch %" PRIu64 ", to which this is an increment, is "
				 "not there", region->job->name, region_rank(region), keep);
	if (newest_epoch(region) != keep)
		return error_set(err, -EINVAL, "job %s, rank %u: epoch %" PRIu64 ", to which this is an increment, is "
				 "not the newest", region->job->name, region_rank(region), keep);
	if (region->increment_count < INCREMENTS_MAX && log_gap(region, 0, reserved, bytes, place) >= bytes)
		goto out;
	room = region->increment_count - cut.end < INCREMENTS_MAX
		       ? log_gap(region, cut.end, reserved, bytes, place)
		       : 0;
	if (bytes > room || !cut.end)
		return error_set(err, -ENOSPC, "job %s, rank %u: no room for an increment of %s: the log has %s left; a "
				 "full checkpoint has room", region->job->name, region_rank(region),
				 size_format(bytes, need, sizeof(need)),
				 size_format(room, left, sizeof(left)));
	*withdrawn_first = region->increments[0].info.set.epoch;
	*withdrawn_last = region->increments[cut.end - 1].info.set.epoch;
	rc = transaction(region->job->pool, cut_change, &cut, err, "withdraw old increments");
	if (rc)
		return region_context(region, err, rc);
	increments_cut(region, 0, cut.end);
	TEST_POINT("set-withdrawn");
out:
	region->placed = (struct log_range){*place, *place + size_round_up(bytes, SET_ALIGN)};
	return 0;
}

/* ---- publish ---- */

struct publication {
	struct region *region;
	uint64_t place;
	const struct set_info *set;
	const struct segment *segments; /* NULL: those of the set before */
	struct increment_record *record;
};

bool layout_is(const struct segments_record *layout, const struct set_info *set, const struct segment *segments)
{
	return layout->segment_count == set->segment_count &&
	       (!set->segment_count ||
		!memcmp(layout->segments, segments, set->segment_count * sizeof(*segments)));
}

static bool place_is_free(const struct region *region, uint64_t place, uint64_t bytes)
{
	struct log_range reserved = merge_reserved(region);

	if (place < reserved.end && reserved.begin < place + bytes)
		return false;
	for (unsigned i = 0; i < region->increment_count; i++) {
		const struct increment_info *info = &region->increments[i].info;

		if (place < increment_end(info) && info->place < place + bytes)
			return false;
	}
	return true;
}

static int increment_check(const struct region *region, uint64_t place, const struct set_info *set,
			   const struct segment *segments, struct error *err)
{
	uint64_t capacity = region_mode(region) == REGION_APPEND ? region->record->slots[SLOT_LOG].capacity : 0;
	int rc;

	if (set->kind != SET_INCREMENT || place % SET_ALIGN || place > capacity || !newest_epoch(region) ||
	    set->epoch <= newest_epoch(region) || region->increment_count >= INCREMENTS_MAX)
		return error_set(err, -EINVAL, "an increment of epoch %" PRIu64 " cannot lie at %" PRIu64 " and follow "
				 "epoch %" PRIu64, set->epoch, place, newest_epoch(region));
	if (set->block_bytes != region_block_bytes(region, newest_epoch(region)))
		return error_set(err, -EINVAL, "an increment has blocks of %" PRIu64 " bytes, and epoch %" PRIu64
				 ", which it follows, of %" PRIu64, set->block_bytes, newest_epoch(region),
				 region_block_bytes(region, newest_epoch(region)));
	rc = set_sound(region, set, segments, capacity - place, err);
	if (!rc && !place_is_free(region, place, increment_bytes(set)))
		rc = error_set(err, -EINVAL, "an increment at %" PRIu64 " would overwrite another", place);
	return rc;
}

static int increment_change(struct pool *pool, void *arg)
{
	static const struct segment none;
	const struct segments_record *before;
	struct publication *p = arg;
	struct region *region = p->region;
	int rc;

	p->record = change_allocate(pool, sizeof(*p->record), FORMAT_INCREMENT);
	if (!p->record)
		return -ENOMEM;
	*p->record = (struct increment_record){
		.tag = TAG_INCREMENT,
		.rank = region->record->rank,
		.job = region->record->job,
		.older = region->record->newest_increment,
		.place = p->place,
	};
	before = layout_of(region, (unsigned)base_of(region, UINT64_MAX), (int)region->increment_count - 1);
	if (!layout_is(before, p->set, p->segments))
		p->segments = p->segments ? p->segments : &none;
	else
		p->segments = NULL;
	rc = set_record_change(pool, region, &p->record->set, SLOT_LOG, p->set, p->segments);
	if (rc)
		return rc;
	record_seal(p->record);
	return header_change(region, record_offset(pool, p->record));
}

int region_publish_increment(struct region *region, uint64_t place, const struct set_info *set,
			     const struct segment *segments, struct error *err)
{
	struct publication p = {.region = region, .place = place, .set = set, .segments = segments};
	struct increment *added;
	int rc = increment_check(region, place, set, segments, err);

	if (rc)
		return region_context(region, err, rc);
	if (epoch_reserve(region->job) || increments_reserve(region))
		return error_nomem(err, "the index of a pool");
	TEST_POINT("set-publish");
	/* P4: one transaction publishes the set. */
	rc = transaction(region->job->pool, increment_change, &p, err, "publish an increment");
	if (rc)
		return region_context(region, err, rc);
	TEST_POINT("set-published");
	added = &region->increments[region->increment_count++];
	*added = (struct increment){{.place = place}, p.record};
	set_record_info(&p.record->set, &added->info.set);
	region_set_counted(region, &added->info.set);
	region->placed = (struct log_range){0, 0};
	return 0;
}
