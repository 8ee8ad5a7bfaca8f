/* SPDX-License-Identifier: BSD-3-Clause */
/* region.c - slots, sets and generations; and that a crash at any point leaves the newest complete epoch. */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include "pmm/region.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/testpoint.h"
#include "pools.h"
#include "unit.h"

/* ---- regions ---- */

START_TEST(a_region_belongs_to_one_rank_of_its_job)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 1), *other = NULL;
	struct job *job = region_job(region);

	ck_assert_ptr_eq(job_region(job, 1), region);
	ck_assert_ptr_null(job_region(job, 0));
	ck_assert_ptr_null(job_region(job, 2));
	ck_assert_uint_eq(region_rank(region), 1);
	ck_assert_int_eq(region_mode(region), REGION_OVERWRITE);
	ck_assert_uint_eq(region_generation(region), 1);
	must_fail(region_create(job, 1, REGION_OVERWRITE, &other, &pool_err), -EEXIST, "rank 1");
	must_fail(region_create(job, 2, REGION_OVERWRITE, &other, &pool_err), -EINVAL, "no rank 2");
	must_fail(region_create(job, 0, (enum region_mode)3, &other, &pool_err), -EINVAL, "mode");
	ck_assert_ptr_null(other);
	pool_close(pool);
}
END_TEST

START_TEST(a_dropped_region_leaves_nothing)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 1);
	struct job *job = region_job(region);
	struct pool_stat stat;

	checkpoint(region, 0, 1);
	checkpoint(region, 1, 2);
	ck_assert_uint_eq(slot_files(), 2);
	must(region_drop(region, &pool_err));
	ck_assert_uint_eq(slot_files(), 0);
	ck_assert_ptr_null(job_region(job, 1));
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.reserved_bytes + stat.regions + stat.sets, 0);
	ck_assert_uint_eq(job_reserved_bytes(job), 0);
	region = region_get(pool, "alpha", 2, 1);
	ck_assert_uint_eq(region_slot_file(region, 0), 0);
	ck_assert_ptr_null(region_set(region, 0));
	pool_close(pool);
}
END_TEST

START_TEST(a_region_knows_since_when_a_launch_has_it)
{
	static const uint8_t first[LAUNCH_BYTES] = {1}, second[LAUNCH_BYTES] = {2};
	/* Who takes it over, and since when it has it then. */
	const struct {
		const uint8_t *launch;
		uint64_t since;
	} steps[] = {{NULL, 0}, {first, 3}, {first, 3}, {NULL, 3}, {first, 3}, {second, 7}, {first, 8}};
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	uint64_t generation;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		must(region_fence(region, steps[i].launch, &generation, &pool_err));
		ck_assert_uint_eq(generation, i + 2);
		ck_assert_uint_eq(region_launch_generation(region), steps[i].since);
	}
	pool_close(pool);
	pool = pool_get();
	ck_assert_uint_eq(region_launch_generation(region_get(pool, "alpha", 1, 0)), 8);
	pool_close(pool);
}
END_TEST

START_TEST(a_fence_raises_the_generation_for_good)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned slot = checkpoint(region, 0, 1);
	uint64_t generation = 0;

	must(region_fence(region, NULL, &generation, &pool_err));
	ck_assert_uint_eq(generation, 2);
	must(region_fence(region, NULL, &generation, &pool_err));
	ck_assert_uint_eq(generation, 3);
	set_check(region, slot);
	pool_close(pool);
	pool = pool_get();
	ck_assert_uint_eq(region_generation(region_get(pool, "alpha", 1, 0)), 3);
	pool_close(pool);
}
END_TEST

/* ---- which slot ---- */

START_TEST(the_kept_epoch_is_never_picked)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 0);
	unsigned first, second, slot = 99;

	first = checkpoint(region, 0, 5);
	/* An empty slot rather than one with a set, whatever is kept. */
	must(region_pick_slot(region, 0, &slot, &pool_err));
	ck_assert_uint_ne(slot, first);
	must(region_pick_slot(region, 5, &slot, &pool_err));
	ck_assert_uint_ne(slot, first);
	second = checkpoint(region, 5, 6);
	ck_assert_uint_ne(first, second);
	must(region_pick_slot(region, 5, &slot, &pool_err));
	ck_assert_uint_eq(slot, second);
	must(region_pick_slot(region, 6, &slot, &pool_err));
	ck_assert_uint_eq(slot, first);
	/* Nothing is complete, as rank 1 has nothing: the older one. */
	must(region_pick_slot(region, 0, &slot, &pool_err));
	ck_assert_uint_eq(slot, first);
	must(region_withdraw(region, first, &pool_err));
	ck_assert_uint_eq(checkpoint(region, 6, 7), first);
	must(region_pick_slot(region, 0, &slot, &pool_err));
	ck_assert_uint_eq(slot, second);
	pool_close(pool);
}
END_TEST

START_TEST(an_epoch_to_keep_must_be_there_and_a_complete_one_kept)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned slot = 99;

	must_fail(region_pick_slot(region, 4, &slot, &pool_err), -ENOENT, "epoch 4");
	checkpoint(region, 0, 5);
	must_fail(region_pick_slot(region, 4, &slot, &pool_err), -ENOENT, "epoch 4");
	must_fail(region_pick_slot(region, 0, &slot, &pool_err), -EEXIST, "epoch 5 is complete");
	ck_assert_uint_eq(slot, 99);
	ck_assert_ptr_nonnull(region_set(region, 0));
	pool_close(pool);
}
END_TEST

START_TEST(an_epoch_is_complete_when_every_rank_has_it)
{
	struct pool *pool = pool_get();
	struct region *region[3];
	struct job *job;

	for (uint32_t rank = 0; rank < 3; rank++)
		region[rank] = region_get(pool, "alpha", 3, rank);
	job = region_job(region[0]);
	checkpoint(region[0], 0, 1);
	checkpoint(region[1], 0, 1);
	ck_assert_uint_eq(job_complete_epoch(job), 0);
	checkpoint(region[2], 0, 1);
	ck_assert_uint_eq(job_complete_epoch(job), 1);
	checkpoint(region[0], 1, 2);
	checkpoint(region[1], 1, 2);
	ck_assert_uint_eq(job_complete_epoch(job), 1);
	checkpoint(region[2], 1, 3); /* of another epoch */
	ck_assert_uint_eq(job_complete_epoch(job), 1);
	checkpoint(region[2], 1, 2);
	ck_assert_uint_eq(job_complete_epoch(job), 2);
	ck_assert_int_eq(region_slot_of(region[2], 3), -ENOENT);
	ck_assert_int_eq(region_slot_of(region[2], 0), -ENOENT);
	ck_assert_int_ge(region_slot_of(region[2], 1), 0);
	pool_close(pool);
	pool = pool_get();
	job = job_find(pool, UID, "alpha");
	ck_assert_uint_eq(job_complete_epoch(job), 2);
	/* Without one rank's set of 2, 1 is the newest; without the region, none is. */
	region[1] = job_region(job, 1);
	must(region_withdraw(region[1], (unsigned)region_slot_of(region[1], 2), &pool_err));
	ck_assert_uint_eq(job_complete_epoch(job), 1);
	must(region_drop(region[1], &pool_err));
	ck_assert_uint_eq(job_complete_epoch(job), 0);
	pool_close(pool);
}
END_TEST

/* ---- room ---- */

START_TEST(all_slots_are_reserved_at_the_size_of_the_largest)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 0), *other = region_get(pool, "alpha", 2, 1);
	struct pool_stat stat;
	uint64_t capacity = 0;

	must(region_reserve(region, 1, &capacity, &pool_err));
	ck_assert_uint_eq(capacity, 65536);
	must(region_reserve(region, 65537, &capacity, &pool_err));
	ck_assert_uint_eq(capacity, 131072);
	must(region_reserve(region, 5, &capacity, &pool_err));
	ck_assert_uint_eq(capacity, 131072);
	ck_assert_uint_eq(region_reserved_bytes(region), 262144);
	must(region_reserve(other, 3 * MIB, &capacity, &pool_err));
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.reserved_bytes, 262144 + 6 * MIB);
	ck_assert_uint_eq(job_reserved_bytes(region_job(region)), 262144 + 6 * MIB);
	/* What is not recorded is given back, here and by the next opening. */
	region_unreserve(other);
	ck_assert_uint_eq(region_reserved_bytes(other), 0);
	slot_grow(region, 1, 65537);
	region_unreserve(region);
	ck_assert_uint_eq(region_reserved_bytes(region), 262144);
	must(region_reserve(region, MIB, &capacity, &pool_err));
	pool_close(pool);
	pool = pool_get();
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.reserved_bytes, 262144);
	pool_close(pool);
}
END_TEST

START_TEST(no_more_is_reserved_than_the_pools_size)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 2, 0), *other = region_get(pool, "alpha", 2, 1);
	uint64_t capacity = 7;

	must_fail(region_reserve(region, POOL_BYTES / 2 + 1, &capacity, &pool_err), -ENOSPC, "--size");
	must_fail(region_reserve(region, UINT64_MAX, &capacity, &pool_err), -ENOSPC, "rank 0");
	must_fail(region_reserve(region, UINT64_MAX - 70000, &capacity, &pool_err), -ENOSPC, "rank 0");
	ck_assert_uint_eq(capacity, 7);
	ck_assert_uint_eq(region_reserved_bytes(region), 0);
	must(region_reserve(region, POOL_BYTES / 4, &capacity, &pool_err));
	must_fail(region_reserve(other, POOL_BYTES / 4 + 1, &capacity, &pool_err), -ENOSPC, "8 MiB are left");
	must(region_reserve(other, POOL_BYTES / 4, &capacity, &pool_err));
	must_fail(region_reserve(region, POOL_BYTES / 4 + 1, &capacity, &pool_err), -ENOSPC, "--size");
	ck_assert_uint_eq(region_reserved_bytes(region), POOL_BYTES / 2);
	pool_close(pool);
}
END_TEST

START_TEST(capacity_is_recorded_only_of_a_file_that_has_it)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	uint64_t capacity;
	int fd = -1;

	must(region_reserve(region, MIB, &capacity, &pool_err));
	must_fail(region_grown(region, 0, capacity, &pool_err), -EINVAL, "slot 0"); /* no file */
	must(region_slot_open(region, 0, &fd, &pool_err));
	must_fail(region_grown(region, 0, capacity, &pool_err), -EINVAL, "has 0 bytes");
	must(media_allocate(fd, capacity, &pool_err));
	close(fd);
	must_fail(region_grown(region, 0, capacity + 65536, &pool_err), -EINVAL, "reserved");
	ck_assert_uint_eq(region_slot_capacity(region, 0), 0);
	must(region_grown(region, 0, capacity, &pool_err));
	must_fail(region_grown(region, 0, capacity - 65536, &pool_err), -EINVAL, "reserved");
	ck_assert_uint_eq(region_slot_capacity(region, 0), MIB);
	ck_assert_uint_eq(region_slot_capacity(region, 1), 0);
	pool_close(pool);
	pool = pool_get();
	ck_assert_uint_eq(region_slot_capacity(region_get(pool, "alpha", 1, 0), 0), MIB);
	pool_close(pool);
}
END_TEST

START_TEST(a_slot_that_grows_keeps_its_set)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned slot = checkpoint(region, 0, 1);
	uint64_t file = region_slot_file(region, slot);

	slot_grow(region, slot, MIB);
	ck_assert_uint_eq(region_slot_file(region, slot), file);
	set_check(region, slot);
	pool_close(pool);
	pool = pool_get();
	set_check(region_get(pool, "alpha", 1, 0), slot);
	pool_close(pool);
}
END_TEST

START_TEST(every_slot_file_has_its_own_number)
{
	struct pool *pool = pool_get();
	struct region *region[2] = {region_get(pool, "alpha", 2, 0), region_get(pool, "alpha", 2, 1)};
	uint64_t numbers[4];
	int fd = -1;

	for (unsigned i = 0; i < 4; i++) {
		/* One that a failed attempt left must not be taken over. */
		if (i == 2) {
			char stale[64];

			snprintf(stale, sizeof(stale), "pool/slots/%016" PRIx64, numbers[1] + 1);
			scratch_write(stale, "stale", 5);
		}
		must(region_slot_open(region[i / 2], i % 2, &fd, &pool_err));
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), 0);
		ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		close(fd);
		numbers[i] = region_slot_file(region[i / 2], i % 2);
		ck_assert_uint_ne(numbers[i], 0);
		for (unsigned k = 0; k < i; k++)
			ck_assert_uint_ne(numbers[i], numbers[k]);
	}
	ck_assert_int_eq(unlink(slot_path(region[0], 0)), 0);
	must_fail(region_slot_open(region[0], 0, &fd, &pool_err), -ENOENT, "rank 0");
	pool_close(pool);
}
END_TEST

/* ---- publishing ---- */

START_TEST(a_set_that_does_not_fit_is_not_published)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	struct segment segments[SEGMENTS], wrong[SEGMENTS];
	struct set_info good, set;

	set_make(0, 1, &good, segments);
	must_fail(region_publish(region, 0, &good, segments, &pool_err), -EINVAL, "does not fit");
	slot_grow(region, 0, SLOT_BYTES);
	slot_grow(region, 1, SLOT_BYTES);
#define REFUSED(code, words, change)                                                               \
	do {                                                                                       \
		set = good;                                                                        \
		memcpy(wrong, segments, sizeof(wrong));                                            \
		change;                                                                            \
		must_fail(region_publish(region, 0, &set, wrong, &pool_err), code, words);         \
		ck_assert_ptr_null(region_set(region, 0));                                         \
		ck_assert_ptr_null(region_segments(region, 0));                                    \
	} while (0)
	REFUSED(-EEXIST, "epoch 0", set.epoch = 0);
	REFUSED(-EINVAL, "kind", set.kind = SET_INCREMENT);
	REFUSED(-EINVAL, "does not fit", set.table_bytes = SET_ALIGN + 1);
	REFUSED(-EINVAL, "does not fit", set.table_bytes = UINT64_MAX);
	REFUSED(-EINVAL, "does not fit", set.table_offset = UINT64_MAX & ~(uint64_t)(SET_ALIGN - 1));
	REFUSED(-EINVAL, "does not fit", set.table_offset = set.data_bytes -= 8);
	REFUSED(-EINVAL, "does not fit", set.data_bytes = set.table_offset + 1);
	REFUSED(-EINVAL, "blocks of 0 bytes", set.block_bytes = 0);
	REFUSED(-EINVAL, "a power of 2 from 4096 to 4194304", set.block_bytes = SET_BLOCK_MIN + SET_BLOCK_MIN / 2);
	REFUSED(-EINVAL, "blocks of 2048 bytes", set.block_bytes = SET_BLOCK_MIN / 2);
	REFUSED(-EINVAL, "blocks of 8388608 bytes", set.block_bytes = 2 * SET_BLOCK_MAX);
	REFUSED(-EINVAL, "layout", wrong[1].name[0] = '\0');
	REFUSED(-EINVAL, "layout", memset(wrong[2].name, 'x', sizeof(wrong[2].name)));
	REFUSED(-EINVAL, "layout", wrong[2].type = 0);
	REFUSED(-EINVAL, "layout", wrong[0].type = ELEMENT_TYPE_END);
	must(region_publish(region, 0, &good, segments, &pool_err));
	ck_assert_uint_gt(region_set(region, 0)->time_ns, 0);
	must_fail(region_publish(region, 1, &good, segments, &pool_err), -EEXIST, "epoch 1");
	good.epoch = 2;
	must_fail(region_publish(region, 0, &good, segments, &pool_err), -EEXIST, "holds the set of epoch 1");
	must(region_publish(region, 1, &good, segments, &pool_err));
	pool_close(pool);
}
END_TEST

START_TEST(a_set_keeps_the_generation_that_published_it)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	struct segment segments[SEGMENTS];
	uint64_t generation;
	struct set_info set;

	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		slot_grow(region, slot, SLOT_BYTES);
		set_make(0, slot + 1, &set, segments);
		set.generation = 99; /* is not asked for */
		must(region_publish(region, slot, &set, segments, &pool_err));
		must(region_fence(region, NULL, &generation, &pool_err));
	}
	pool_close(pool);
	pool = pool_get();
	region = region_get(pool, "alpha", 1, 0);
	ck_assert_uint_eq(region_set(region, 0)->generation, 1);
	ck_assert_uint_eq(region_set(region, 1)->generation, 2);
	ck_assert_uint_eq(region_generation(region), 3);
	pool_close(pool);
}
END_TEST

START_TEST(layouts_of_any_number_of_segments_are_kept)
{
	static const uint32_t counts[] = {0, 1, 2, 50, 99, 100, 101, 1000, 1637, 1638, 1639, SET_SEGMENTS_MAX};
	static struct segment segments[SET_SEGMENTS_MAX + 1];
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	struct set_info set;

	slot_grow(region, 0, SLOT_BYTES);
	for (uint32_t i = 0; i <= SET_SEGMENTS_MAX; i++) {
		snprintf(segments[i].name, sizeof(segments[i].name), "segment %u", i);
		segments[i].type = 1 + i % (ELEMENT_TYPE_END - 1);
		segments[i].count = (uint64_t)i << 33;
	}
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		set_make(0, i + 1, &set, (struct segment[SEGMENTS]){0});
		set.segment_count = counts[i];
		set.time_ns = 77;
		set.generation = 1;
		must(region_withdraw(region, 0, &pool_err));
		must(region_publish(region, 0, &set, segments, &pool_err));
		pool_close(pool);
		pool = pool_get();
		region = region_get(pool, "alpha", 1, 0);
		ck_assert(!memcmp(region_set(region, 0), &set, sizeof(set)));
		ck_assert(!memcmp(region_segments(region, 0), segments, counts[i] * sizeof(segments[0])));
	}
	must(region_withdraw(region, 0, &pool_err));
	set.segment_count = SET_SEGMENTS_MAX + 1;
	must_fail(region_publish(region, 0, &set, segments, &pool_err), -EINVAL, "layout");
	pool_close(pool);
}
END_TEST

/* Sets come and go for ever, in whatever sizes: the room of withdrawn layouts is used again. */
START_TEST(publishing_for_ever_needs_no_more_metadata)
{
	static struct segment segments[SET_SEGMENTS_MAX];
	unsigned rounds = unit_rounds(600, 600, 100);
	struct pool *pool = pool_get();
	struct region *region[4];
	struct set_info set;

	for (uint32_t i = 0; i < SET_SEGMENTS_MAX; i++) {
		segments[i].name[0] = 'x';
		segments[i].type = ELEMENT_BYTE;
	}
	for (uint32_t rank = 0; rank < 4; rank++) {
		region[rank] = region_get(pool, "alpha", 5, rank);
		slot_grow(region[rank], 0, SLOT_BYTES);
		slot_grow(region[rank], 1, SLOT_BYTES);
	}
	for (unsigned i = 0; i < rounds; i++) {
		unsigned slot = i / 4 % 2;

		set_make(0, i + 1, &set, (struct segment[SEGMENTS]){0});
		set.segment_count = i * 7919 % (SET_SEGMENTS_MAX / 8 + 1);
		must(region_withdraw(region[i % 4], slot, &pool_err));
		must(region_publish(region[i % 4], slot, &set, segments, &pool_err));
	}
	pool_close(pool);
	pool = pool_get();
	ck_assert_uint_eq(region_set(region_get(pool, "alpha", 5, (rounds - 1) % 4), (rounds - 1) / 4 % 2)->epoch,
			  rounds);
	pool_close(pool);
}
END_TEST

START_TEST(a_withdrawn_set_is_gone_for_good)
{
	struct pool *pool = pool_get();
	struct region *region = region_get(pool, "alpha", 1, 0);
	unsigned first = checkpoint(region, 0, 1), second = checkpoint(region, 1, 2);

	must(region_withdraw(region, second, &pool_err));
	must(region_withdraw(region, second, &pool_err));
	ck_assert_ptr_null(region_set(region, second));
	ck_assert_ptr_null(region_segments(region, second));
	ck_assert_uint_eq(region_slot_capacity(region, second), SLOT_BYTES);
	pool_close(pool);
	pool = pool_get();
	region = region_get(pool, "alpha", 1, 0);
	ck_assert_ptr_null(region_set(region, second));
	set_check(region, first);
	pool_close(pool);
}
END_TEST

/* ---- crashes ---- */

#define RANKS 3

/* What the process that is going to die has been told. */
struct told {
	volatile uint64_t begun;      /* an epoch's number is used once */
	volatile uint64_t complete;   /* every rank's publication of it was acknowledged */
	volatile uint64_t generation; /* of rank 0 */
	volatile uint64_t rounds;
};

static struct told *told_make(void)
{
	void *told = mmap(NULL, sizeof(struct told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(told, MAP_FAILED);
	return told;
}

/* Checkpoints of a job, with now and then a fence, a growth, another job that comes and goes. */
static void churn(struct told *told, unsigned seed, unsigned rounds)
{
	struct pool *pool = pool_get();
	uint64_t epoch, generation;
	struct region *region;
	struct job *job;

	srandom(seed);
	region_get(pool, "alpha", RANKS, 0);
	job = job_find(pool, UID, "alpha");
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t keep = job_complete_epoch(job);

		epoch = ++told->begun;
		for (uint32_t rank = 0; rank < RANKS; rank++) {
			region = region_get(pool, "alpha", RANKS, rank);
			if (random() % 7)
				checkpoint(region, keep, epoch);
		}
		for (uint32_t rank = 0; rank < RANKS; rank++) {
			region = job_region(job, rank);
			if (region_slot_of(region, epoch) < 0)
				checkpoint(region, keep, epoch);
		}
		told->complete = epoch;
		if (random() % 3 == 0)
			must(job_record_command(job, random() % 2 ? &COMMAND(EXAMPLE) : &COMMAND("/\0app"),
						&pool_err));
		if (random() % 3 == 0) {
			must(region_fence(job_region(job, 0), NULL, &generation, &pool_err));
			told->generation = generation;
		}
		if (random() % 5 == 0)
			slot_grow(job_region(job, (uint32_t)random() % RANKS), (unsigned)random() % 2,
				  (uint64_t)(1 + random() % 6) * SLOT_BYTES);
		if (random() % 3 == 0 && job_find(pool, UID, "beta"))
			must(job_drop(job_find(pool, UID, "beta"), &pool_err));
		else
			checkpoint(region_get(pool, "beta", 2 + (uint32_t)random() % 3, (uint32_t)random() % 2),
				   0, epoch);
		told->rounds++;
	}
	pool_close(pool);
}

/* Invariants 1 and 3: every listed set is one that was published whole, and what was acknowledged is there. */
static void survivors_check(const struct told *told)
{
	struct pool *pool = pool_get();
	struct pool_stat stat;
	unsigned files = 0, sets = 0;

	for (struct job *job = job_next(pool, NULL); job; job = job_next(pool, job)) {
		for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
			struct region *region = job_region(job, rank);

			for (unsigned slot = 0; region && slot < SLOTS_PER_REGION; slot++) {
				files += region_slot_file(region, slot) != 0;
				if (!region_set(region, slot))
					continue;
				set_check(region, slot);
				sets++;
			}
		}
	}
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.sets, sets);
	ck_assert_uint_eq(slot_files(), files);
	if (told->complete) {
		struct job *job = job_find(pool, UID, "alpha");

		ck_assert_ptr_nonnull(job);
		ck_assert_uint_ge(job_complete_epoch(job), told->complete);
		ck_assert_uint_ge(region_generation(job_region(job, 0)), told->generation);
	}
	pool_close(pool);
}

START_TEST(kill_9_at_any_time_leaves_the_newest_complete_epoch)
{
	unsigned kills = unit_rounds(500, 15, 2);
	struct told *told = told_make();
	int status;

	for (unsigned i = 0; i < kills; i++) {
		uint64_t rounds = told->rounds;
		pid_t pid = fork();

		if (!pid) {
			churn(told, i, 100000);
			_exit(1);
		}
		/* Let it get through opening, at times only just. */
		for (unsigned wait = 0; told->rounds < rounds + i % 4 && wait < 20000; wait++)
			usleep(500);
		usleep((useconds_t)(i * 7919 % 9000));
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the churning process failed: "
			      "status 0x%x", status);
		survivors_check(told);
	}
	ck_assert_uint_gt(told->complete, 0);
}
END_TEST

/* As above, and just there where it hurts. */
START_TEST(a_crash_at_each_point_leaves_the_newest_complete_epoch)
{
#ifdef HOLDFAST_TEST_POINTS
	static const char *const points[] = {"set-withdrawn", "set-publish",  "set-published", "slot-created",
					     "slot-grown",    "region-fenced", "job-dropped",  "region-dropped",
					     "job-drop-region", "transaction"};
	unsigned passages = unit_rounds(14, 14, 2);
	struct told *told = told_make();
	char action[64];
	int status;

	for (unsigned passage = 1; passage <= passages; passage += _i == 9 ? 1 : passage) {
		pid_t pid = fork();

		if (!pid) {
			snprintf(action, sizeof(action), "%s:kill:%u", points[_i], passage);
			setenv("HOLDFAST_TEST_POINT", action, 1);
			churn(told, passage, 10000);
			_exit(1);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was not passed %u times: "
			      "status 0x%x", points[_i], passage, status);
		survivors_check(told);
	}
#endif
}
END_TEST

START_TEST(a_job_whose_drop_was_begun_is_never_listed_again)
{
#ifdef HOLDFAST_TEST_POINTS
	struct pool *pool = pool_get();
	int status;
	pid_t pid;

	for (uint32_t rank = 0; rank < RANKS; rank++)
		checkpoint(region_get(pool, "alpha", RANKS, rank), 0, 1);
	pool_close(pool);
	pid = fork();
	if (!pid) {
		setenv("HOLDFAST_TEST_POINT", "job-drop-region:kill", 1);
		pool = pool_get();
		job_drop(job_find(pool, UID, "alpha"), &pool_err);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_uint_eq(slot_files(), RANKS - 1);
	pool = pool_get();
	ck_assert_ptr_null(job_next(pool, NULL));
	ck_assert_uint_eq(slot_files(), 0);
	pool_close(pool);
#endif
}
END_TEST

START_TEST(a_crash_while_the_pool_is_made_is_made_good)
{
#ifdef HOLDFAST_TEST_POINTS
	int status;
	pid_t pid = fork();

	if (!pid) {
		setenv("HOLDFAST_TEST_POINT", "metadata-filled:kill", 1);
		pool_get();
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_ge(scratch_file_bytes("pool/metadata.new"), 0);
	ck_assert_int_eq(scratch_file_bytes("pool/metadata"), -1);
#endif
	pool_close(pool_get());
	ck_assert_int_eq(scratch_file_bytes("pool/metadata.new"), -1);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("region");

#define ADD(test) scratch_add(suite, #test, test, 120)
	ADD(a_region_belongs_to_one_rank_of_its_job);
	ADD(a_dropped_region_leaves_nothing);
	ADD(a_fence_raises_the_generation_for_good);
	ADD(a_region_knows_since_when_a_launch_has_it);
	ADD(the_kept_epoch_is_never_picked);
	ADD(an_epoch_to_keep_must_be_there_and_a_complete_one_kept);
	ADD(an_epoch_is_complete_when_every_rank_has_it);
	ADD(all_slots_are_reserved_at_the_size_of_the_largest);
	ADD(no_more_is_reserved_than_the_pools_size);
	ADD(capacity_is_recorded_only_of_a_file_that_has_it);
	ADD(a_slot_that_grows_keeps_its_set);
	ADD(every_slot_file_has_its_own_number);
	ADD(a_set_that_does_not_fit_is_not_published);
	ADD(a_set_keeps_the_generation_that_published_it);
	ADD(layouts_of_any_number_of_segments_are_kept);
	ADD(publishing_for_ever_needs_no_more_metadata);
	ADD(a_withdrawn_set_is_gone_for_good);
	scratch_add(suite, "kill-9", kill_9_at_any_time_leaves_the_newest_complete_epoch, 3600);
	scratch_add_loop(suite, "points", a_crash_at_each_point_leaves_the_newest_complete_epoch, 10, 300);
	ADD(a_job_whose_drop_was_begun_is_never_listed_again);
	ADD(a_crash_while_the_pool_is_made_is_made_good);
	return suite;
}
