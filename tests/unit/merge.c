/* SPDX-License-Identifier: BSD-3-Clause */
/* merge.c - how long sets are kept, and what becomes of those that are merged: the rules one by one. */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include "pmm/region.h"
#include "pools.h"
#include "unit.h"

#define LOG_BYTES (16u * SET_ALIGN)
#define HOUR	  3600000000000ull
#define ALWAYS	  1 /* merge_at */

static struct pool *pool;
static struct region *region;
static struct segment segments[SEGMENTS];

static struct region *append_region(uint32_t ranks, uint32_t rank, uint64_t log_bytes)
{
	struct job *job = job_find(pool, UID, "alpha");
	struct region *made = NULL;

	if (!job)
		must(job_create(pool, UID, UID, "alpha", ranks, &job, &pool_err));
	if (job_region(job, rank))
		return job_region(job, rank);
	must(region_create(job, rank, REGION_APPEND, &made, &pool_err));
	for (unsigned slot = 0; slot < region_slots(made); slot++)
		slot_grow(made, slot, log_bytes);
	return made;
}

static void reopen(void)
{
	pool_close(pool);
	pool = pool_get();
	region = append_region(1, 0, LOG_BYTES);
}

/* A set of `units` of SET_ALIGN bytes, its table among them; `layout` is in its segments. */
static struct set_info set_of(enum set_kind kind, uint64_t epoch, unsigned units, unsigned layout)
{
	struct set_info set;

	set_make(0, epoch, &set, segments);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		memset(segments[i].name, 0, sizeof(segments[i].name));
		snprintf(segments[i].name, sizeof(segments[i].name), "segment %u", i);
		segments[i].count = layout;
	}
	set.kind = kind;
	set.data_bytes = set.table_offset = (units - 1) * SET_ALIGN;
	set.time_ns = epoch * HOUR;
	return set;
}

static void full_at(struct region *to, uint64_t epoch, uint64_t time_ns)
{
	struct set_info set = set_of(SET_FULL, epoch, 2, 1);
	uint64_t keep = region_set_count(to) ? job_complete_epoch(region_job(to)) : 0;
	unsigned slot = 99;

	set.time_ns = time_ns;
	must(region_pick_slot(to, keep, &slot, &pool_err));
	must(region_withdraw(to, slot, &pool_err));
	must(region_publish(to, slot, &set, segments, &pool_err));
}

static void full(uint64_t epoch)
{
	full_at(region, epoch, epoch * HOUR);
}

static uint64_t newest_of(const struct region *of)
{
	struct set_info set = {0};

	region_set_at(of, region_set_count(of) - 1, &set, NULL);
	return set.epoch;
}

static uint64_t place_for(struct region *to, unsigned units)
{
	uint64_t place = 0, first, last;

	must(region_log_place(to, newest_of(to), (units - 1) * SET_ALIGN + 512, &place, &first, &last, &pool_err));
	return place;
}

static uint64_t increment_with(struct region *to, uint64_t epoch, uint64_t time_ns, unsigned units, unsigned layout)
{
	struct set_info set = set_of(SET_INCREMENT, epoch, units, layout);
	uint64_t place = place_for(to, units);

	set.time_ns = time_ns;
	must(region_publish_increment(to, place, &set, segments, &pool_err));
	return place;
}

static void increment(uint64_t epoch)
{
	increment_with(region, epoch, epoch * HOUR, 1, 1);
}

/* A base of epoch 1, and increments up to `last`, one each hour. */
static void chain_to(uint64_t last)
{
	full(1);
	for (uint64_t epoch = 2; epoch <= last; epoch++)
		increment(epoch);
}

static void setup(void)
{
	pool = pool_get();
	region = append_region(1, 0, LOG_BYTES);
}

/* All epochs that there are, as "1 2 3 ". */
static const char *epochs_of(const struct region *of)
{
	static char text[400];
	struct set_info set;
	int n = 0;

	text[0] = '\0';
	for (unsigned i = 0; region_set_at(of, i, &set, NULL); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%" PRIu64 " ", set.epoch);
	return text;
}

static bool planned(const struct retention *retention, uint64_t now_ns, struct merge *merge)
{
	return region_merge_plan(region, retention, now_ns, merge);
}

static void begin(struct merge *merge)
{
	uint64_t first, last;

	must(region_merge_begin(region, merge, &first, &last, &pool_err));
}

/* The set that a merge is said to have made, of `units`. */
static struct set_info merged_of(const struct merge *merge, unsigned units)
{
	struct set_info set = set_of(merge->slot == SLOT_LOG ? SET_INCREMENT : SET_FULL, merge->to, units, 99);

	set.table_digest = 77 + merge->to;
	set.time_ns = 5;
	set.segment_count = 1;
	return set;
}

static void publish(const struct merge *merge, unsigned units)
{
	struct set_info set = merged_of(merge, units);

	must(region_merge_publish(region, merge, &set, &pool_err));
}

/* Until nothing is left to merge. */
static void merge_all(const struct retention *retention, uint64_t now_ns)
{
	struct merge merge;

	while (planned(retention, now_ns, &merge)) {
		begin(&merge);
		publish(&merge, 1 + (merge.slot != SLOT_LOG));
	}
}

static void merge_in_log(uint64_t from, uint64_t to, struct merge *merge)
{
	*merge = (struct merge){.from = from, .to = to, .slot = SLOT_LOG};
	for (unsigned i = 0; region_increment(region, i); i++)
		if (region_increment(region, i)->set.epoch == to)
			merge->to_digest = region_increment(region, i)->set.table_digest;
}

#define epochs_are(expected) ck_assert_str_eq(epochs_of(region), expected)

/* ---- how long sets are kept ---- */

START_TEST(the_newest_complete_epochs_are_kept)
{
	const struct {
		uint64_t keep;
		const char *left;
	} cases[] = {{0, "9 "}, {1, "9 "}, {2, "8 9 "}, {5, "5 6 7 8 9 "}, {9, "1 2 3 4 5 6 7 8 9 "},
		     {UINT64_MAX, "1 2 3 4 5 6 7 8 9 "}};
	const struct retention retention = {.keep = cases[_i].keep, .merge_at = ALWAYS};

	setup();
	chain_to(9);
	merge_all(&retention, 10 * HOUR);
	epochs_are(cases[_i].left);
	reopen();
	epochs_are(cases[_i].left);
	pool_close(pool);
}
END_TEST

START_TEST(nothing_is_merged_before_there_is_enough_of_it)
{
	struct retention retention = {.keep = 2, .merge_at = 5};
	struct merge merge = {.from = 44};

	setup();
	chain_to(6);
	ck_assert(!planned(&retention, 0, &merge)); /* 4 of 6 */
	ck_assert(!planned(&(struct retention){.keep = 0, .merge_at = 6}, 0, &merge)); /* 5: one always stays */
	increment(7);
	retention.merge_at = 0;
	ck_assert(!planned(&retention, 0, &merge));
	ck_assert_uint_eq(merge.from, 44);
	retention.merge_at = 5;
	ck_assert(planned(&retention, 0, &merge));
	ck_assert_uint_eq(merge.from, 1);
	ck_assert_uint_eq(merge.to, 6);
	ck_assert_uint_eq(merge.slot, 1);
	pool_close(pool);
}
END_TEST

START_TEST(a_log_that_runs_full_is_reason_enough)
{
	const struct retention retention = {.keep = 1, .merge_at = 1000};
	struct merge merge;

	setup();
	chain_to(13); /* 12 of 16, and 4 are a quarter */
	ck_assert(!planned(&retention, 0, &merge));
	increment(14);
	ck_assert(planned(&retention, 0, &merge));
	ck_assert_uint_eq(merge.to, 14);
	pool_close(pool);
}
END_TEST

START_TEST(few_entries_left_are_reason_enough)
{
	const struct retention retention = {.keep = 1, .merge_at = 5000};
	const uint64_t enough = INCREMENTS_MAX / 8;
	struct merge merge;

	pool = pool_get();
	region = append_region(1, 0, 5 * MIB);
	chain_to(1 + INCREMENTS_MAX - enough);
	ck_assert(!planned(&retention, 0, &merge));
	increment(newest_of(region) + 1);
	ck_assert(planned(&retention, 0, &merge));
	ck_assert_uint_gt(region_log_room(region), 5 * MIB / 4);
	pool_close(pool);
}
END_TEST

START_TEST(the_last_epoch_of_each_span_is_kept)
{
	/* A day has four, of 6 hours: epochs 1 to 5, 6 to 11, 12 to 17, ... at their hour. */
	struct retention retention = {.keep = 1, .span_ns = 6 * HOUR, .spans = 3, .merge_at = ALWAYS};

	setup();
	chain_to(16);
	merge_all(&retention, 16 * HOUR);
	epochs_are("5 11 16 ");
	/* What stays, stays until its time has come; what was the newest goes, unless it is the last of its span. */
	increment(17);
	increment(18);
	merge_all(&retention, 18 * HOUR);
	epochs_are("5 11 17 18 ");
	increment(23);
	merge_all(&retention, 23 * HOUR);
	epochs_are("5 11 17 23 ");
	increment(24);
	merge_all(&retention, 24 * HOUR);
	epochs_are("11 17 23 24 ");
	merge_all(&retention, 29 * HOUR);
	epochs_are("11 17 23 24 ");
	merge_all(&retention, 30 * HOUR);
	epochs_are("17 23 24 ");
	/* Times of the future, and a clock that goes back, lose nothing. */
	merge_all(&retention, 0);
	epochs_are("17 23 24 ");
	merge_all(&retention, UINT64_MAX);
	epochs_are("24 ");
	pool_close(pool);
}
END_TEST

START_TEST(only_what_all_ranks_have_counts)
{
	const struct retention retention = {.keep = 2, .merge_at = ALWAYS};
	struct region *other;
	struct merge merge;

	pool = pool_get();
	region = append_region(2, 0, LOG_BYTES);
	other = append_region(2, 1, LOG_BYTES);
	chain_to(6);
	merge_all(&retention, 0);
	epochs_are("1 2 3 4 5 6 ");
	/* Complete: 1, 2 and 4. Newer ones stay, and 3 is nobody's. */
	full_at(other, 1, HOUR);
	increment_with(other, 2, HOUR, 1, 1);
	increment_with(other, 4, HOUR, 1, 1);
	ck_assert(!planned(&(struct retention){.keep = 2, .merge_at = 3}, 0, &merge));
	merge_all(&retention, 0);
	epochs_are("2 4 5 6 ");
	ck_assert_uint_eq(job_complete_epoch(region_job(region)), 4);
	pool_close(pool);
}
END_TEST

/* Ranks publish an epoch at different times; one that they are about to keep must not be another to each. */
START_TEST(all_ranks_keep_the_same_epochs)
{
	const struct retention retention = {.keep = 1, .span_ns = 10, .spans = 100, .merge_at = ALWAYS};
	const uint64_t times[2][5] = {{6, 11, 12, 21, 60}, {5, 9, 9, 19, 50}};

	pool = pool_get();
	for (uint32_t rank = 0; rank < 2; rank++) {
		region = append_region(2, rank, LOG_BYTES);
		full_at(region, 1, times[rank][0]);
		for (unsigned i = 1; i < 5; i++)
			increment_with(region, i + 1, times[rank][i], 1, 1);
	}
	for (uint32_t rank = 0; rank < 2; rank++) {
		region = append_region(2, rank, LOG_BYTES);
		merge_all(&retention, 100);
		epochs_are("1 3 4 5 ");
		pool_close(pool);
		pool = pool_get();
	}
	pool_close(pool);
}
END_TEST

/* ---- the older chain, and its slot ---- */

START_TEST(a_base_waits_for_an_older_chain_that_is_kept)
{
	struct retention retention = {.keep = 4, .merge_at = ALWAYS};
	uint64_t first = 0, last = 0;
	struct merge merge;

	setup();
	chain_to(3);
	full(4);
	increment(5);
	increment(6);
	/* 3 is in the older chain, which is not merged. */
	ck_assert(!planned(&retention, 0, &merge));
	retention.keep = 3;
	ck_assert(!planned(&retention, 0, &merge)); /* nothing of the newest chain may go */
	increment(7);
	increment(8);
	retention = (struct retention){.keep = 1, .span_ns = 3 * HOUR + HOUR / 2, .spans = 100, .merge_at = ALWAYS};
	/* Kept: 3, 6 (the last before 7 h), 8. So 4 cannot be merged, and 5 is into 6. */
	ck_assert(planned(&retention, 8 * HOUR, &merge));
	ck_assert_uint_eq(merge.from, 5);
	ck_assert_uint_eq(merge.to, 6);
	ck_assert_uint_eq(merge.slot, SLOT_LOG);
	retention = (struct retention){.keep = 2, .merge_at = ALWAYS};
	ck_assert(planned(&retention, 8 * HOUR, &merge));
	ck_assert_uint_eq(merge.from, 4);
	ck_assert_uint_eq(merge.slot, 0);
	must(region_merge_begin(region, &merge, &first, &last, &pool_err));
	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(last, 3);
	epochs_are("4 5 6 7 8 ");
	ck_assert_uint_eq(merge.place, 0);
	ck_assert_uint_eq(merge.bytes, region_slot_capacity(region, 0));
	publish(&merge, 2);
	epochs_are("7 8 ");
	ck_assert_uint_eq(region_set(region, 0)->epoch, 7);
	ck_assert_ptr_null(region_set(region, 1));
	pool_close(pool);
}
END_TEST

START_TEST(no_full_set_goes_where_a_merge_does)
{
	const struct retention retention = {.keep = 1, .merge_at = ALWAYS};
	struct merge merge;
	struct set_info set;
	unsigned slot = 99;

	setup();
	chain_to(3);
	ck_assert(planned(&retention, 0, &merge));
	begin(&merge);
	must_fail(region_pick_slot(region, 3, &slot, &pool_err), -EBUSY, "merged into slot 1");
	ck_assert_uint_eq(slot, 99);
	set = set_of(SET_FULL, 4, 2, 1);
	must_fail(region_publish(region, 1, &set, segments, &pool_err), -EBUSY, "slot 1");
	region_merge_cancel(region);
	must(region_pick_slot(region, 3, &slot, &pool_err));
	must(region_publish(region, slot, &set, segments, &pool_err));
	/* Now that base is newer than the plan. */
	must_fail(region_merge_begin(region, &merge, &(uint64_t){0}, &(uint64_t){0}, &pool_err), -ENOENT, "1 to 3");
	epochs_are("1 2 3 4 ");
	pool_close(pool);
}
END_TEST

/* ---- what the merged set is ---- */

START_TEST(a_merged_set_is_what_the_last_one_was)
{
	const struct retention retention = {.keep = 1, .merge_at = ALWAYS};
	struct merge merge;
	struct set_info set;
	uint64_t generation;

	setup();
	full(1);
	increment(2);
	must(region_fence(region, NULL, &generation, &pool_err));
	increment_with(region, 3, 3 * HOUR, 1, 7);
	increment_with(region, 4, 4 * HOUR, 1, 7);
	must(region_fence(region, NULL, &generation, &pool_err));
	if (_i)
		ck_assert(planned(&retention, 4 * HOUR, &merge));
	else
		merge_in_log(2, 4, &merge);
	begin(&merge);
	publish(&merge, 1 + (unsigned)_i);
	for (unsigned times = 0; times < 2; times++) {
		ck_assert(region_set_at(region, region_set_count(region) - 1, &set, NULL));
		ck_assert_uint_eq(set.epoch, 4);
		ck_assert_uint_eq(set.kind, _i ? SET_FULL : SET_INCREMENT);
		ck_assert_uint_eq(set.time_ns, 4 * HOUR);
		ck_assert_uint_eq(set.generation, 2);
		ck_assert_uint_eq(set.segment_count, SEGMENTS);
		ck_assert_uint_eq(set.data_bytes, (unsigned)_i * SET_ALIGN);
		ck_assert_uint_eq(set.table_digest, 81);
		ck_assert_uint_eq(region_segments_of(region, 4)->count, 7);
		reopen();
	}
	pool_close(pool);
}
END_TEST

/* Layouts of the base, and of increments 2 to 6, of which 3 to 5 are merged. */
static const unsigned layouts[][6] = {
	{1, 1, 1, 1, 1, 1}, /* none has its own */
	{1, 1, 2, 2, 2, 2}, /* the first one that goes, has */
	{1, 1, 1, 2, 2, 2}, {1, 1, 1, 1, 2, 2}, {1, 1, 1, 1, 1, 2}, {1, 2, 2, 2, 2, 2},
	{1, 1, 2, 3, 1, 1}, /* back to what it was */
	{1, 2, 3, 4, 5, 6}, {1, 2, 1, 2, 2, 2},	 {1, 1, 2, 1, 1, 2},
};

static void layouts_check(const unsigned *expected)
{
	static const uint64_t left[] = {1, 2, 5, 6};
	const struct segment *own;
	struct set_info set;

	epochs_are("1 2 5 6 ");
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(region_segments_of(region, left[i])->count, expected[left[i] - 1]);
	/* What is the same is not stored again. */
	ck_assert(region_set_at(region, 2, &set, &own));
	ck_assert_int_eq(own == NULL, expected[4] == expected[1]);
}

START_TEST(every_set_that_stays_keeps_its_layout)
{
	struct merge merge;

	setup();
	full(1);
	for (unsigned i = 1; i < 6; i++)
		increment_with(region, i + 1, HOUR, 1, layouts[_i][i]);
	merge_in_log(3, 5, &merge);
	begin(&merge);
	publish(&merge, 1);
	layouts_check(layouts[_i]);
	reopen();
	layouts_check(layouts[_i]);
	/* And when what is around it goes, too. */
	merge_in_log(2, 5, &merge);
	begin(&merge);
	publish(&merge, 1);
	reopen();
	epochs_are("1 5 6 ");
	ck_assert_uint_eq(region_segments_of(region, 5)->count, layouts[_i][4]);
	ck_assert_uint_eq(region_segments_of(region, 6)->count, layouts[_i][5]);
	pool_close(pool);
}
END_TEST

/* The records and layouts of what went are free again. */
START_TEST(merging_for_ever_needs_no_more_metadata)
{
	const struct retention retention = {.keep = 2, .span_ns = 5 * HOUR, .spans = 3, .merge_at = 3};
	unsigned rounds = RUNNING_ON_VALGRIND ? 60 : 600, objects = 0;
	struct merge merge;
	struct raw raw;

	setup();
	full(1);
	for (uint64_t epoch = 2; epoch < rounds; epoch++) {
		increment_with(region, epoch, epoch * HOUR, 1, (unsigned)epoch % 4);
		if (planned(&retention, epoch * HOUR, &merge)) {
			begin(&merge);
			publish(&merge, 1 + (merge.slot != SLOT_LOG));
		}
		ck_assert_uint_le(region_set_count(region), 10);
	}
	pool_close(pool);
	raw = raw_open();
	for (PMEMoid oid = pmemobj_first(raw.pop); !OID_IS_NULL(oid); oid = pmemobj_next(oid))
		objects++;
	raw_close(&raw);
	ck_assert_uint_le(objects, 3 + 2 * 10); /* job, ranks, region; a record and a layout each */
}
END_TEST

START_TEST(a_set_that_is_not_of_the_merge_is_refused)
{
	struct set_info good, set;
	struct merge merge;

#define REFUSED(code, words, change)                                                               \
	do {                                                                                       \
		merge_in_log(2, 3, &merge);                                                        \
		begin(&merge);                                                                     \
		good = set = merged_of(&merge, 1);                                                 \
		change;                                                                            \
		must_fail(region_merge_publish(region, &merge, &set, &pool_err), code, words);     \
		ck_assert_ptr_null(region_merging(region));                                        \
		epochs_are("1 2 3 4 ");                                                            \
	} while (0)
	setup();
	chain_to(4);
	REFUSED(-EINVAL, "epoch 4", set.epoch = 4);
	REFUSED(-EINVAL, "kind", set.kind = SET_FULL);
	REFUSED(-EINVAL, "does not fit", set.table_bytes = merge.bytes + 1);
	REFUSED(-EINVAL, "does not fit", set.table_bytes = UINT64_MAX);
	REFUSED(-EINVAL, "does not fit", set.table_offset = 8);
	REFUSED(-EINVAL, "does not fit", set.data_bytes = set.table_offset + 1);
	REFUSED(-ENOENT, "2 to 3", merge.place += SET_ALIGN);
	REFUSED(-ENOENT, "1 to 3", merge.from = 1);
	merge_in_log(2, 3, &merge);
	must_fail(region_merge_publish(region, &merge, &good, &pool_err), -ENOENT, "plan again"); /* not begun */
	must_fail(region_merge_publish(region, &(struct merge){0}, &good, &pool_err), -ENOENT, "plan again");
	pool_close(pool);
}
END_TEST

/* ---- sources that go ---- */

START_TEST(what_is_no_longer_there_is_not_merged)
{
	const struct {
		uint64_t from, to;
		int digest;
		unsigned slot;
	} cases[] = {{2, 3, 1, SLOT_LOG}, {2, 5, 0, SLOT_LOG}, {3, 3, 0, SLOT_LOG}, {3, 2, 0, SLOT_LOG},
		     {1, 3, 0, SLOT_LOG}, {2, 3, 0, 1},	       {7, 9, 0, SLOT_LOG}, {0, 0, 0, SLOT_LOG}};
	struct merge merge;
	uint64_t first, last;

	setup();
	chain_to(4);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		merge_in_log(cases[i].from, cases[i].to, &merge);
		merge.slot = cases[i].slot;
		merge.to_digest += (unsigned)cases[i].digest;
		must_fail(region_merge_begin(region, &merge, &first, &last, &pool_err), -ENOENT, "plan again");
		ck_assert_ptr_null(region_merging(region));
	}
	/* 4 is complete, and follows a base that 3 does not. */
	full(5);
	increment(6);
	merge_in_log(4, 6, &merge);
	must_fail(region_merge_begin(region, &merge, &first, &last, &pool_err), -ENOENT, "plan again");
	pool_close(pool);
}
END_TEST

START_TEST(a_source_that_goes_meanwhile_ends_in_no_entry)
{
	struct merge merge;
	struct set_info set;
	uint64_t place, first, last;

	setup();
	chain_to(5);
	merge_in_log(2, 4, &merge);
	begin(&merge);
	must_fail(region_merge_begin(region, &merge, &first, &last, &pool_err), -EBUSY, "2 to 4");
	must(region_withdraw_newer(region, 2 + (unsigned)_i, &pool_err));
	/* Its room is still its own, as somebody writes there. */
	place = place_for(region, 1);
	ck_assert(place + SET_ALIGN <= merge.place || place >= merge.place + merge.bytes);
	if (_i < 2) {
		/* The same numbers again, and the very same last set: it was made from another one. */
		for (uint64_t epoch = 3 + (unsigned)_i; epoch < 6; epoch++)
			increment_with(region, epoch, epoch * HOUR, 1, 3);
	}
	set = merged_of(&merge, 1);
	if (_i == 2) { /* only 5 went, which is none of its own */
		must(region_merge_publish(region, &merge, &set, &pool_err));
		epochs_are("1 4 ");
	} else {
		must_fail(region_merge_publish(region, &merge, &set, &pool_err), -ENOENT, "plan again");
		epochs_are("1 2 3 4 5 ");
	}
	ck_assert_ptr_null(region_merging(region));
	pool_close(pool);
}
END_TEST

START_TEST(what_is_complete_no_longer_is_not_merged)
{
	struct region *other;
	struct merge merge;
	struct set_info set;

	pool = pool_get();
	region = append_region(2, 0, LOG_BYTES);
	other = append_region(2, 1, LOG_BYTES);
	chain_to(4);
	full_at(other, 1, HOUR);
	merge_in_log(2, 3, &merge);
	must_fail(region_merge_begin(region, &merge, &(uint64_t){0}, &(uint64_t){0}, &pool_err), -ENOENT, "2 to 3");
	increment_with(other, 2, HOUR, 1, 1);
	increment_with(other, 3, HOUR, 1, 1);
	begin(&merge);
	/* The other rank goes back to 2. */
	must(region_withdraw_newer(other, 2, &pool_err));
	set = merged_of(&merge, 1);
	must_fail(region_merge_publish(region, &merge, &set, &pool_err), -ENOENT, "2 to 3");
	epochs_are("1 2 3 4 ");
	pool_close(pool);
}
END_TEST

/* ---- room in the log ---- */

START_TEST(a_merge_and_an_increment_never_have_the_same_room)
{
	struct merge merge;
	struct set_info set;
	uint64_t place;

	setup();
	chain_to(4);
	place = place_for(region, 5);
	merge_in_log(2, 3, &merge);
	begin(&merge); /* while that one is written */
	ck_assert(merge.place >= place + 5 * SET_ALIGN || merge.place + merge.bytes <= place);
	set = set_of(SET_INCREMENT, 5, 1, 1);
	must_fail(region_publish_increment(region, merge.place, &set, segments, &pool_err), -EINVAL, "overwrite");
	set = set_of(SET_INCREMENT, 5, 5, 1);
	must(region_publish_increment(region, place, &set, segments, &pool_err));
	place = place_for(region, 1);
	ck_assert(merge.place >= place + SET_ALIGN || merge.place + merge.bytes <= place);
	publish(&merge, 1);
	epochs_are("1 3 4 5 ");
	pool_close(pool);
}
END_TEST

START_TEST(room_that_a_merge_has_is_found_when_it_ends)
{
	uint64_t place, first, last;
	struct merge merge;

	setup();
	full(1);
	for (uint64_t epoch = 2; epoch < 6; epoch++)
		increment_with(region, epoch, HOUR, 3, 1); /* 12 of 16 */
	merge_in_log(2, 3, &merge);
	must_fail(region_merge_begin(region, &merge, &first, &last, &pool_err), -ENOSPC, "full checkpoint");
	ck_assert_ptr_null(region_merging(region));
	must(region_withdraw_newer(region, 4, &pool_err)); /* 7 are left */
	begin(&merge);
	ck_assert_uint_eq(merge.bytes, 5 * SET_ALIGN); /* 2 of data each, and one of tables */
	ck_assert_uint_eq(region_log_room(region), 7 * SET_ALIGN);
	must_fail(region_log_place(region, 4, 3 * SET_ALIGN, &place, &first, &last, &pool_err), -ENOSPC,
		  "the log has 8 KiB left");
	region_merge_cancel(region);
	region_merge_cancel(region);
	must(region_log_place(region, 4, 3 * SET_ALIGN, &place, &first, &last, &pool_err));
	pool_close(pool);
}
END_TEST

START_TEST(the_plan_takes_what_fits)
{
	const struct retention retention = {.keep = 1, .span_ns = 3 * HOUR / 2, .spans = 1000, .merge_at = ALWAYS};
	struct merge merge;

	setup();
	full_at(region, 1, HOUR);
	/* The base is the last of its span, and 2 to 6 are in one; 7 is the newest. */
	increment_with(region, 2, 2 * HOUR, 2, 1);
	increment_with(region, 3, 2 * HOUR, 5, 1);
	for (uint64_t epoch = 4; epoch < 7; epoch++)
		increment_with(region, epoch, 2 * HOUR, 2, 1);
	increment_with(region, 7, 9 * HOUR, 1, 1); /* 14 of 16 */
	ck_assert(!planned(&retention, 9 * HOUR, &merge)); /* two of them need 3 */
	must(region_withdraw_newer(region, 6, &pool_err)); /* 3 are left */
	ck_assert(planned(&retention, 9 * HOUR, &merge));
	ck_assert_uint_eq(merge.from, 4);
	ck_assert_uint_eq(merge.to, 5);
	begin(&merge);
	publish(&merge, 2);
	epochs_are("1 2 3 5 6 ");
	/* Each makes room for the next. */
	merge_all(&retention, 9 * HOUR);
	epochs_are("1 6 ");
	pool_close(pool);
}
END_TEST

START_TEST(room_between_others_is_used_again)
{
	uint64_t holes[3], place, first, last;
	struct merge merge;

	setup();
	full(1);
	for (uint64_t epoch = 2; epoch < 14; epoch++)
		increment(epoch); /* 12 of 16: behind them, 4 */
	for (unsigned i = 0; i < 3; i++) {
		merge_in_log(2 + 4 * i, 3 + 4 * i, &merge);
		holes[i] = region_increment(region, 3 * i)->place;
		begin(&merge);
		publish(&merge, 1);
	}
	epochs_are("1 3 4 5 7 8 9 11 12 13 ");
	ck_assert_uint_eq(holes[0], 0);
	/* Each of the smaller ones is taken before the larger one is cut. */
	ck_assert_uint_eq(region_increment(region, 3)->place, 0);
	place = increment_with(region, 14, HOUR, 2, 1);
	ck_assert_uint_eq(place, 4 * SET_ALIGN);
	reopen();
	for (uint64_t epoch = 15; region_log_room(region); epoch++)
		increment(epoch);
	ck_assert_uint_eq(region_set_count(region), 10 + 1 + 5);
	must_fail(region_log_place(region, newest_of(region), 1, &place, &first, &last, &pool_err), -ENOSPC, "full");
	reopen();
	ck_assert_uint_eq(region_set_count(region), 10 + 1 + 5);
	pool_close(pool);
}
END_TEST

START_TEST(an_overwriting_region_has_nothing_to_merge)
{
	const struct retention retention = {.keep = 1, .merge_at = ALWAYS};
	struct merge merge = {.from = 1, .to = 2, .slot = SLOT_LOG};

	pool = pool_get();
	region = region_get(pool, "beta", 1, 0);
	ck_assert(!planned(&retention, 0, &merge));
	checkpoint(region, 0, 1);
	checkpoint(region, 1, 2);
	ck_assert(!planned(&retention, 0, &merge));
	must_fail(region_merge_begin(region, &merge, &(uint64_t){0}, &(uint64_t){0}, &pool_err), -ENOENT, "1 to 2");
	region_merge_cancel(region);
	ck_assert_ptr_null(region_merging(region));
	pool_close(pool);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("merge");

#define ADD(test) scratch_add(suite, #test, test, 120)
	scratch_add_loop(suite, "keep", the_newest_complete_epochs_are_kept, 6, 120);
	ADD(nothing_is_merged_before_there_is_enough_of_it);
	ADD(a_log_that_runs_full_is_reason_enough);
	ADD(few_entries_left_are_reason_enough);
	ADD(the_last_epoch_of_each_span_is_kept);
	ADD(only_what_all_ranks_have_counts);
	ADD(all_ranks_keep_the_same_epochs);
	ADD(a_base_waits_for_an_older_chain_that_is_kept);
	ADD(no_full_set_goes_where_a_merge_does);
	scratch_add_loop(suite, "merged set", a_merged_set_is_what_the_last_one_was, 2, 120);
	scratch_add_loop(suite, "layouts", every_set_that_stays_keeps_its_layout,
			 sizeof(layouts) / sizeof(layouts[0]), 120);
	ADD(merging_for_ever_needs_no_more_metadata);
	ADD(a_set_that_is_not_of_the_merge_is_refused);
	ADD(what_is_no_longer_there_is_not_merged);
	scratch_add_loop(suite, "gone", a_source_that_goes_meanwhile_ends_in_no_entry, 3, 120);
	ADD(what_is_complete_no_longer_is_not_merged);
	ADD(a_merge_and_an_increment_never_have_the_same_room);
	ADD(room_that_a_merge_has_is_found_when_it_ends);
	ADD(the_plan_takes_what_fits);
	ADD(room_between_others_is_used_again);
	ADD(an_overwriting_region_has_nothing_to_merge);
	return suite;
}
