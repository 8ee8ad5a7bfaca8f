/* SPDX-License-Identifier: BSD-3-Clause */
/* merge.c - which sets of a chain are merged, the room for it, and the one set in the place of many. */
#include "pmm/index.h"

#include <errno.h>
#include <inttypes.h>

#include "common/size.h"
#include "common/testpoint.h"

#define LOG_LOW(capacity) ((capacity) / 4)	/* less room in the log than that is little */
#define ENTRIES_LOW	  (INCREMENTS_MAX / 8) /* fewer entries left than that are few */

/*
 * What the set takes that increments are merged into, at most.
 *
 * Its data: each block of theirs once at most. A piece of an extent is cut off at a block, and so needs no more room
 * for SET_ALIGN than it had. Its table: a header and ids as one of theirs has, a checksum for each block, and extents:
 * n extents over each other leave 2n - 1 pieces at most.
 */
static uint64_t bytes_at_most(uint64_t data_bytes, uint64_t table_bytes)
{
	return data_bytes + size_round_up(2 * table_bytes, SET_ALIGN);
}

static struct log_range nowhere(void)
{
	return (struct log_range){0, 0};
}

struct log_range merge_reserved(const struct region *region)
{
	const struct merge *merge = &region->merge;

	return merge->to && merge->slot == SLOT_LOG ? (struct log_range){merge->place, merge->place + merge->bytes}
						    : nowhere();
}

/* ---- the plan ---- */

/* The region's sets, oldest first; those of the newest chain from `chain` on, complete ones before `end`. */
struct view {
	const struct region *region;
	unsigned slot; /* of the newest base */
	unsigned count, chain, end;
	unsigned unkept; /* of [chain, end) */
	bool older_kept; /* is any set of the older chain? */
	struct viewed {
		const struct set_info *set;
		uint64_t time_ns; /* of the epoch */
		bool complete;	  /* every rank has it */
		bool kept;
	} sets[SETS_MAX];
};

static void view_add(struct view *view, const struct set_info *set)
{
	if (set->epoch)
		view->sets[view->count++] = (struct viewed){.set = set};
}

static void view_sets(struct view *view, const struct region *region)
{
	unsigned first, end;

	*view = (struct view){.region = region, .slot = region->sets[1].epoch > region->sets[0].epoch};
	increments_of_base(region, view->slot, &first, &end);
	view_add(view, &region->sets[1 - view->slot]);
	for (unsigned i = 0; i < first; i++)
		view_add(view, &region->increments[i].info.set);
	view->chain = view->count;
	view_add(view, &region->sets[view->slot]);
	for (unsigned i = first; i < end; i++)
		view_add(view, &region->increments[i].info.set);
	for (view->end = view->chain; view->end < view->count; view->end++) {
		if (view->sets[view->end].set->epoch > region->job->complete_epoch)
			break;
	}
}

static struct viewed *view_find(struct view *view, uint64_t epoch)
{
	unsigned from = 0, to = view->count;

	while (from < to) {
		unsigned middle = (from + to) / 2;

		if (view->sets[middle].set->epoch == epoch)
			return &view->sets[middle];
		if (view->sets[middle].set->epoch < epoch)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

/* An epoch's time is that of its last set, so that all ranks keep the same ones. */
static void view_complete(struct view *view)
{
	const struct job *job = view->region->job;

	for (unsigned i = 0; i < job->epoch_count; i++) {
		const struct epoch_count *epoch = &job->epochs[i];
		struct viewed *at = epoch->ranks == job->ranks ? view_find(view, epoch->epoch) : NULL;

		if (at) {
			at->complete = true;
			at->time_ns = epoch->time_ns;
		}
	}
}

static bool span_is_kept(const struct retention *retention, uint64_t span, uint64_t now_ns)
{
	uint64_t now = now_ns / retention->span_ns;

	return now <= retention->spans || span >= now - retention->spans;
}

static void view_keep(struct view *view, const struct retention *retention, uint64_t now_ns)
{
	uint64_t left = retention->keep ? retention->keep : 1, span = 0, newer_span = UINT64_MAX;

	/* Newer ones stay, whatever is said here. */
	for (unsigned i = view->end; i--;) {
		struct viewed *at = &view->sets[i];

		if (at->complete) {
			span = retention->span_ns ? at->time_ns / retention->span_ns : 0;
			at->kept = left || (retention->span_ns && span != newer_span &&
					    span_is_kept(retention, span, now_ns));
			newer_span = span;
			left -= left != 0;
		}
		if (i < view->chain)
			view->older_kept |= at->kept;
		else
			view->unkept += !at->kept;
	}
}

/* The sets [first, last] become one. */
struct run {
	unsigned first, last;
};

static void run_take_longer(struct run *run, struct run other)
{
	if (other.last - other.first > run->last - run->first)
		*run = other;
}

/* The longest part of a run of increments that the room has. */
static struct run run_that_fits(const struct view *view, struct run run, uint64_t room)
{
	struct run best = {run.first, run.first}, part = best;
	uint64_t data_bytes = 0, table_bytes = 0;

	for (; part.last <= run.last; part.last++) {
		data_bytes += view->sets[part.last].set->table_offset;
		table_bytes += view->sets[part.last].set->table_bytes;
		for (; bytes_at_most(data_bytes, table_bytes) > room && part.first < part.last; part.first++) {
			data_bytes -= view->sets[part.first].set->table_offset;
			table_bytes -= view->sets[part.first].set->table_bytes;
		}
		run_take_longer(&best, part);
	}
	return best;
}

/* The longest run of sets that need not be kept, with the set that they merge into; none: of one set. */
static struct run run_find(const struct view *view)
{
	bool slot_free = !view->older_kept;
	struct run best = {view->chain, view->chain}, run;
	uint64_t place, room = log_gap(view->region, 0, view->region->placed, UINT64_MAX, &place);

	for (run.first = view->chain; run.first < view->end; run.first = run.last + 1) {
		run.last = run.first;
		while (!view->sets[run.last].kept && run.last + 1 < view->end)
			run.last++;
		if (run.first == view->chain && slot_free)
			run_take_longer(&best, run);
		else if (run.first == view->chain && run.last > run.first)
			run_take_longer(&best, run_that_fits(view, (struct run){run.first + 1, run.last}, room));
		else
			run_take_longer(&best, run_that_fits(view, run, room));
	}
	return best;
}

/* The older chain goes when its room is needed; unless some of it is to be kept. */
static bool log_is_low(const struct view *view)
{
	const struct region *region = view->region;
	unsigned newest = view->count - view->chain - 1;
	unsigned first = view->older_kept ? 0 : region->increment_count - newest;
	uint64_t place, room = log_gap(region, first, nowhere(), UINT64_MAX, &place);

	return room < LOG_LOW(region->record->slots[SLOT_LOG].capacity) ||
	       INCREMENTS_MAX - (region->increment_count - first) < ENTRIES_LOW;
}

bool region_merge_plan(const struct region *region, const struct retention *retention, uint64_t now_ns,
		       struct merge *merge)
{
	struct view view;
	struct run run;

	if (!retention->merge_at || region_mode(region) != REGION_APPEND || region->merge.to)
		return false;
	view_sets(&view, region);
	if (view.end == view.chain)
		return false;
	view_complete(&view);
	view_keep(&view, retention, now_ns);
	if (!view.unkept || (view.unkept < retention->merge_at && !log_is_low(&view)))
		return false;
	run = run_find(&view);
	if (run.first == run.last)
		return false;
	*merge = (struct merge){
		.from = view.sets[run.first].set->epoch,
		.to = view.sets[run.last].set->epoch,
		.to_digest = view.sets[run.last].set->table_digest,
		.slot = run.first == view.chain ? 1 - view.slot : SLOT_LOG,
	};
	return !region->suspect[merge->slot];
}

/* ---- room ---- */

/* What is merged, where it is there and complete: increments [first, last], and where the result is a base the one that
 * they follow. */
struct sources {
	unsigned slot; /* of the base */
	unsigned first, last;
};

static int sources_find(const struct region *region, const struct merge *merge, struct sources *sources)
{
	struct chain from, to;

	if (merge->from >= merge->to || merge->to > region->job->complete_epoch || region_chain(region, merge->from, &from) ||
	    region_chain(region, merge->to, &to) || from.slot != to.slot)
		return -ENOENT;
	if (region->increments[to.end - 1].info.set.table_digest != merge->to_digest)
		return -ENOENT;
	/* A base has no increments before it. */
	if ((from.end == from.first) != (merge->slot != SLOT_LOG))
		return -ENOENT;
	sources->slot = to.slot;
	sources->first = merge->slot == SLOT_LOG ? from.end - 1 : to.first;
	sources->last = to.end - 1;
	return 0;
}

static int sources_gone(const struct region *region, const struct merge *merge, struct error *err)
{
	return error_set(err, -ENOENT, "job %s, rank %u: the sets of epochs %" PRIu64 " to %" PRIu64 ", which are to "
			 "become one, are not there any more, or others are: plan again", region->job->name,
			 region_rank(region), merge->from, merge->to);
}

static int room_in_slot(struct region *region, struct merge *merge, uint64_t *withdrawn_first, uint64_t *withdrawn_last,
			struct error *err)
{
	uint64_t older = region->sets[merge->slot].epoch, last = older;
	unsigned first, end;
	int rc;

	/* What is newer was published since the plan was made. */
	if (older > merge->from)
		return sources_gone(region, merge, err);
	increments_of_base(region, merge->slot, &first, &end);
	if (end > first)
		last = region->increments[end - 1].info.set.epoch;
	rc = region_withdraw(region, merge->slot, err);
	if (rc)
		return rc;
	*withdrawn_first = older;
	*withdrawn_last = last;
	merge->place = 0;
	merge->bytes = region->record->slots[merge->slot].capacity;
	return 0;
}

static int room_in_log(const struct region *region, struct merge *merge, const struct sources *sources,
		       struct error *err)
{
	uint64_t data_bytes = 0, table_bytes = 0, bytes, room, place;
	char need[32], left[32];

	for (unsigned i = sources->first; i <= sources->last; i++) {
		data_bytes += region->increments[i].info.set.table_offset;
		table_bytes += region->increments[i].info.set.table_bytes;
	}
	bytes = bytes_at_most(data_bytes, table_bytes);
	room = log_gap(region, 0, region->placed, bytes, &place);
	if (room < bytes)
		return error_set(err, -ENOSPC, "job %s, rank %u: no room to merge epochs %" PRIu64 " to %" PRIu64
				 ", which takes %s at most: the log has %s left; merge fewer, or a full checkpoint "
				 "makes room", region->job->name, region_rank(region), merge->from, merge->to,
				 size_format(bytes, need, sizeof(need)), size_format(room, left, sizeof(left)));
	merge->place = place;
	merge->bytes = bytes;
	return 0;
}

int region_merge_begin(struct region *region, struct merge *merge, uint64_t *withdrawn_first,
		       uint64_t *withdrawn_last, struct error *err)
{
	struct sources sources;
	int rc;

	*withdrawn_first = *withdrawn_last = 0;
	if (region->merge.to)
		return error_set(err, -EBUSY, "job %s, rank %u: epochs %" PRIu64 " to %" PRIu64 " are being merged: "
				 "try again when that has ended", region->job->name, region_rank(region),
				 region->merge.from, region->merge.to);
	if (sources_find(region, merge, &sources))
		return sources_gone(region, merge, err);
	if (merge->slot == SLOT_LOG)
		rc = room_in_log(region, merge, &sources, err);
	else
		rc = room_in_slot(region, merge, withdrawn_first, withdrawn_last, err);
	if (rc)
		return rc;
	region->merge = *merge;
	region->merge_lost = false;
	return 0;
}

void region_merge_cancel(struct region *region)
{
	region->merge = (struct merge){0};
}

const struct merge *region_merging(const struct region *region)
{
	return region->merge.to ? &region->merge : NULL;
}

/* ---- publish ---- */

struct merged {
	struct region *region;
	struct sources sources;
	unsigned slot;
	uint64_t place;
	const struct set_info *set;
	const struct segments_record *layout;
};

/* In the record of the last increment: those before it go. */
static int log_change(struct pool *pool, const struct merged *m)
{
	const struct sources *sources = &m->sources;
	const struct segments_record *before = layout_of(m->region, sources->slot, (int)sources->first - 1);
	struct increment_record *record = m->region->increments[sources->last].record;
	bool new_layout = !layout_is(before, m->set, m->layout->segments);
	uint64_t layout = record->set.layout;
	int rc = change_record(record, sizeof(*record));

	if (!rc)
		rc = set_record_change(pool, m->region, &record->set, SLOT_LOG, m->set,
				       new_layout ? m->layout->segments : NULL);
	if (!rc)
		rc = change_free(pool, layout);
	if (rc)
		return rc;
	record->place = m->place;
	record->set.generation = m->set->generation;
	record_seal(record);
	return increments_cut_change(pool, m->region, sources->first, sources->last);
}

static int base_change(struct pool *pool, const struct merged *m)
{
	struct slot_record *slot = &m->region->record->slots[m->slot];
	int rc = change_record(slot, sizeof(*slot));

	if (!rc)
		rc = set_record_change(pool, m->region, &slot->set, m->slot, m->set, m->layout->segments);
	if (rc)
		return rc;
	slot->set.generation = m->set->generation;
	record_seal(slot);
	rc = slot_clear_change(pool, &m->region->record->slots[m->sources.slot]);
	return rc ? rc : increments_cut_change(pool, m->region, m->sources.first, m->sources.last + 1);
}

static int merge_change(struct pool *pool, void *arg)
{
	const struct merged *m = arg;

	return m->slot == SLOT_LOG ? log_change(pool, m) : base_change(pool, m);
}

/* The index, as the records are now. */
static void merge_done(struct region *region, const struct merged *m)
{
	const struct sources *sources = &m->sources;
	struct increment *last = &region->increments[sources->last];

	if (m->slot == SLOT_LOG) {
		last->info.place = m->place;
		set_record_info(&last->record->set, &last->info.set);
		increments_cut(region, sources->first, sources->last);
		return;
	}
	set_record_info(&region->record->slots[m->slot].set, &region->sets[m->slot]);
	region_set_counted(region, &region->sets[m->slot]);
	region_set_gone(region, region->sets[sources->slot].epoch);
	region->sets[sources->slot] = (struct set_info){0};
	increments_cut(region, sources->first, sources->last + 1);
}

/* `room` is what the merged set has; it gets what it does not bring along from the last one that it is made of. */
static int merged_set(const struct merge *merge, const struct set_info *last, uint64_t room, const struct set_info *set,
		      struct set_info *merged, struct error *err)
{
	if (set->epoch != merge->to || set->kind != (merge->slot == SLOT_LOG ? SET_INCREMENT : SET_FULL))
		return error_set(err, -EINVAL, "a set of epoch %" PRIu64 " and kind %u is not what epochs %" PRIu64
				 " to %" PRIu64 " become", set->epoch, set->kind, merge->from, merge->to);
	*merged = *last;
	merged->kind = set->kind;
	merged->data_bytes = set->data_bytes;
	merged->table_offset = set->table_offset;
	merged->table_bytes = set->table_bytes;
	merged->table_digest = set->table_digest;
	return set_fits(set, room, err);
}

static bool merge_is(const struct merge *left, const struct merge *right)
{
	return left->from == right->from && left->to == right->to && left->slot == right->slot &&
	       left->place == right->place;
}

static int merge_publish(struct region *region, const struct merge *merge, const struct set_info *set,
			 struct error *err)
{
	struct merged m = {.region = region, .slot = merge->slot, .place = merge->place};
	uint64_t room = merge->bytes;
	struct set_info merged;
	int rc;

	if (region->merge_lost || !merge_is(merge, &region->merge) || sources_find(region, merge, &m.sources))
		return sources_gone(region, merge, err);
	/* A slot may have grown since. */
	if (merge->slot != SLOT_LOG)
		room = region->record->slots[merge->slot].capacity;
	rc = merged_set(merge, &region->increments[m.sources.last].info.set, room, set, &merged, err);
	if (rc)
		return region_context(region, err, rc);
	m.set = &merged;
	m.layout = layout_of(region, m.sources.slot, (int)m.sources.last);
	TEST_POINT("set-publish");
	/* P4: one transaction puts the merged set in the place of what it was made of. */
	rc = transaction(region->job->pool, merge_change, &m, err, "publish a merged set");
	if (rc)
		return region_context(region, err, rc);
	TEST_POINT("set-published");
	merge_done(region, &m);
	return 0;
}

int region_merge_publish(struct region *region, const struct merge *merge, const struct set_info *set,
			 struct error *err)
{
	const struct merge ended = *merge; /* it may be region_merging() */
	int rc = merge_publish(region, &ended, set, err);

	region_merge_cancel(region);
	return rc;
}
