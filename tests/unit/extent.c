/* SPDX-License-Identifier: BSD-3-Clause */
/* extent.c - slots on a device: who gets which units, whose a device is, and what crashes and damage leave. */
#define _GNU_SOURCE 1 /* nftw in scratch.h */
#include "pmm/extent.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/testpoint.h"
#include "pools.h"
#include "unit.h"

/* ---- the map ---- */

static void map_get(struct extent_map *map, uint64_t units)
{
	*map = (struct extent_map){0};
	ck_assert_int_eq(extent_map_init(map, units), 0);
	ck_assert_uint_eq(map->free, units - 1);
}

static void extents_are(const struct extent_record *extents, unsigned count, const uint32_t (*expected)[2])
{
	for (unsigned i = 0; i < SLOT_EXTENTS; i++) {
		ck_assert_uint_eq(extents[i].count, i < count ? expected[i][1] : 0);
		if (i < count)
			ck_assert_uint_eq(extents[i].first, expected[i][0]);
	}
}

START_TEST(units_are_taken_where_they_first_fit)
{
	struct extent_record one[SLOT_EXTENTS] = {0}, two[SLOT_EXTENTS] = {0}, three[SLOT_EXTENTS] = {0};
	struct extent_map map;

	map_get(&map, 200);
	ck_assert_int_eq(extent_map_add(&map, 10, one), 0);
	ck_assert_int_eq(extent_map_add(&map, 20, two), 0);
	extents_are(one, 1, (const uint32_t[][2]){{1, 10}});
	extents_are(two, 1, (const uint32_t[][2]){{11, 20}});
	/* It grows where it is, if it can. */
	ck_assert_int_eq(extent_map_add(&map, 5, two), 0);
	extents_are(two, 1, (const uint32_t[][2]){{11, 25}});
	extent_map_give(&map, one[0]);
	ck_assert_int_eq(extent_map_add(&map, 11, three), 0);
	extents_are(three, 1, (const uint32_t[][2]){{36, 11}});
	ck_assert_int_eq(extent_map_add(&map, 10, three), 0);
	extents_are(three, 1, (const uint32_t[][2]){{36, 21}});
	/* The largest gap, and the rest elsewhere. */
	ck_assert_int_eq(extent_map_add(&map, 150, two), 0);
	extents_are(two, 3, (const uint32_t[][2]){{11, 25}, {57, 143}, {1, 7}});
	ck_assert_uint_eq(map.free, 3);
	ck_assert_uint_eq(extent_units(two), 175);
	ck_assert(!extent_map_take(&map, (struct extent_record){7, 2}));
	ck_assert(!extent_map_take(&map, (struct extent_record){199, 2}));
	ck_assert(!extent_map_take(&map, (struct extent_record){UINT32_MAX, UINT32_MAX}));
	ck_assert(!extent_map_take(&map, (struct extent_record){0, 1}));
	ck_assert(extent_map_take(&map, (struct extent_record){8, 3}));
	ck_assert_uint_eq(map.free, 0);
	extent_map_free(&map);
}
END_TEST

START_TEST(what_cannot_be_had_changes_nothing)
{
	struct extent_record slot[SLOT_EXTENTS] = {0}, before[SLOT_EXTENTS];
	struct extent_map map;

	map_get(&map, 64);
	for (uint32_t unit = 2; unit < 64; unit += 2)
		ck_assert(extent_map_take(&map, (struct extent_record){unit, 1}));
	ck_assert_uint_eq(map.free, 32);
	ck_assert_int_eq(extent_map_add(&map, 33, slot), -ENOSPC);
	ck_assert_int_eq(extent_map_add(&map, SLOT_EXTENTS + 1, slot), -EMLINK);
	ck_assert_uint_eq(map.free, 32);
	extents_are(slot, 0, NULL);
	ck_assert_int_eq(extent_map_add(&map, 3, slot), 0);
	memcpy(before, slot, sizeof(before));
	ck_assert_int_eq(extent_map_add(&map, SLOT_EXTENTS, slot), -EMLINK);
	ck_assert_uint_eq(map.free, 29);
	ck_assert(!memcmp(before, slot, sizeof(before)));
	ck_assert_int_eq(extent_map_add(&map, SLOT_EXTENTS - 3, slot), 0);
	extent_map_free(&map);
	ck_assert_int_eq(extent_map_init(&map, 1), -EINVAL);
	ck_assert_int_eq(extent_map_init(&map, 1ull << 32), -EINVAL);
}
END_TEST

START_TEST(no_unit_is_lost_or_given_twice)
{
	enum { SLOTS = 40, UNITS = 700 };
	struct extent_record slots[SLOTS][SLOT_EXTENTS] = {0};
	struct extent_map map, again;
	uint64_t held;

	srand(1);
	map_get(&map, UNITS);
	for (unsigned i = 0; i < 20000; i++) {
		struct extent_record *slot = slots[rand() % SLOTS];

		if (rand() % 3) {
			extent_map_add(&map, 1 + (uint64_t)rand() % 20, slot);
		} else {
			for (unsigned k = 0; k < SLOT_EXTENTS; k++)
				extent_map_give(&map, slot[k]);
			memset(slot, 0, sizeof(slots[0]));
		}
		if (i % 100)
			continue;
		map_get(&again, UNITS);
		held = 0;
		for (unsigned n = 0; n < SLOTS; n++) {
			for (unsigned k = 0; k < SLOT_EXTENTS; k++)
				ck_assert(extent_map_take(&again, slots[n][k]));
			held += extent_units(slots[n]);
		}
		ck_assert_uint_eq(map.free, again.free);
		ck_assert_uint_eq(map.free + held, UNITS - 1);
		extent_map_free(&again);
	}
	extent_map_free(&map);
}
END_TEST

static bool plain_take(bool *plain, struct extent_record extent)
{
	if (memchr(plain + extent.first, true, extent.count))
		return false;
	memset(plain + extent.first, true, extent.count);
	return true;
}

/* Wherever in the map's words a range begins and ends. */
START_TEST(each_unit_is_known_by_itself)
{
	enum { UNITS = 333 };
	bool plain[UNITS] = {true};
	struct extent_record extent, one = {0, 1};
	struct extent_map map;
	uint64_t free_units;

	srand(2);
	map_get(&map, UNITS);
	for (unsigned i = 0; i < 5000; i++) {
		extent.first = (uint32_t)(rand() % UNITS);
		extent.count = (uint32_t)(rand() % (rand() % 4 ? 5 : 150));
		if (extent.count > UNITS - extent.first)
			extent.count = UNITS - extent.first;
		if (rand() % 5 == 0) {
			extent_map_take_free(&map, extent);
			memset(plain + extent.first, true, extent.count);
		} else if (rand() % 2) {
			ck_assert_int_eq(extent_map_take(&map, extent), plain_take(plain, extent));
		} else if (extent.first && !memchr(plain + extent.first, false, extent.count)) {
			extent_map_give(&map, extent);
			memset(plain + extent.first, false, extent.count);
		}
		free_units = 0;
		for (one.first = 0; one.first < UNITS; one.first++) {
			ck_assert_int_eq(extent_map_take(&map, one), !plain[one.first]);
			if (!plain[one.first])
				extent_map_give(&map, one);
			free_units += !plain[one.first];
		}
		ck_assert_uint_eq(map.free, free_units);
	}
	extent_map_free(&map);
}
END_TEST

#ifdef HOLDFAST_TEST_POINTS

/* ---- pools on a file that stands in for a device ---- */

#define UNIT	MEDIA_UNIT_MIN
#define UNITS	16
#define ROOM	((UNITS - 1) * (uint64_t)UNIT)

static void device_make(const char *name, unsigned units)
{
	int fd = open(scratch_path(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)units * UNIT), 0);
	close(fd);
	setenv("HOLDFAST_TEST_DEVICE", "1", 1);
}

static int open_at(const char *name, const char *device, bool overwrite, uint64_t bytes, struct pool **pool)
{
	const struct pool_params params = {
		.size_bytes = bytes,
		.metadata_bytes = METADATA,
		.data = device ? scratch_path(device) : NULL,
		.overwrite_device = overwrite,
	};

	*pool = NULL;
	return pool_open(scratch_path(name), &params, pool, &pool_err);
}

static struct pool *open_on(const char *device)
{
	struct pool *pool = NULL;

	must(open_at("pool", device, false, ROOM, &pool));
	return pool;
}

static void refused(const char *device, int code, const char *words)
{
	struct pool *pool = NULL;

	must_fail(open_at("pool", device, false, ROOM, &pool), code, words);
}

/* All of the device can be had by one region. */
static void all_is_free(struct pool *pool)
{
	struct region *region = region_get(pool, "all", 1, 0);
	struct extent extents[SLOT_EXTENTS];
	uint64_t capacity, bytes = 0;

	must(region_reserve(region, ROOM / 2 / UNIT * UNIT, &capacity, &pool_err));
	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		slot_grow(region, slot, capacity);
		for (unsigned i = region_slot_extents(region, slot, extents); i--;)
			bytes += extents[i].bytes;
	}
	ck_assert_uint_eq(bytes, ROOM / UNIT / 2 * 2 * UNIT);
	must(job_drop(region_job(region), &pool_err));
	pool_release(pool, NULL, NULL);
}

static bool bytes_are(const char *name, int byte)
{
	unsigned char buffer[8192];
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
	bool same = true;

	ck_assert_int_eq(read(fd, buffer, sizeof(buffer)), sizeof(buffer));
	for (unsigned i = 0; i < sizeof(buffer); i++)
		same = same && buffer[i] == byte;
	close(fd);
	return same;
}

START_TEST(a_pool_on_a_device_is_there_again)
{
	struct extent extents[SLOT_EXTENTS];
	struct pool_stat stat;
	struct region *region;
	struct pool *pool;
	unsigned slot;

	device_make("dax", UNITS);
	pool = open_on("dax");
	pool_get_stat(pool, &stat);
	ck_assert_str_eq(stat.device, scratch_path("dax"));
	ck_assert_str_eq(pool_device(pool), scratch_path("dax"));
	ck_assert_int_eq(stat.survives, MEDIA_SURVIVES_PROCESS);
	region = region_get(pool, "alpha", 2, 1);
	slot = checkpoint(region, 0, 7);
	checkpoint(region, 7, 8);
	ck_assert_uint_eq(region_reserved_bytes(region), 2 * UNIT);
	ck_assert_uint_eq(slot_files(), 0);
	pool_close(pool);
	pool = open_on(NULL);
	region = region_get(pool, "alpha", 2, 1);
	set_check(region, slot);
	set_check(region, 1 - slot);
	ck_assert_uint_eq(region_set(region, slot)->epoch, 7);
	ck_assert_uint_eq(region_slot_extents(region, slot, extents), 1);
	ck_assert_uint_ge(extents[0].offset, UNIT);
	ck_assert_uint_eq(extents[0].offset % UNIT, 0);
	ck_assert_uint_eq(extents[0].bytes, UNIT);
	must(job_drop(region_job(region), &pool_err));
	pool_release(pool, NULL, NULL);
	all_is_free(pool);
	pool_close(pool);
}
END_TEST

START_TEST(a_slot_that_grows_keeps_its_set)
{
	struct extent extents[SLOT_EXTENTS];
	struct region *region, *other;
	struct pool *pool;

	device_make("dax", UNITS);
	pool = open_on("dax");
	region = region_get(pool, "alpha", 1, 0);
	other = region_get(pool, "beta", 1, 0);
	checkpoint(region, 0, 1);
	checkpoint(other, 0, 1);
	slot_grow(region, 0, 3 * UNIT);
	ck_assert_uint_eq(region_slot_extents(region, 0, extents), 2);
	set_check(region, 0);
	set_check(other, 0);
	pool_close(pool);
	pool = open_on(NULL);
	set_check(region_get(pool, "alpha", 1, 0), 0);
	set_check(region_get(pool, "beta", 1, 0), 0);
	pool_close(pool);
}
END_TEST

START_TEST(a_full_device_is_said_and_does_no_harm)
{
	struct region *region, *other;
	uint64_t capacity;
	struct pool *pool;

	device_make("dax", UNITS);
	pool = open_on("dax");
	region = region_get(pool, "alpha", 1, 0);
	checkpoint(region, 0, 1);
	slot_grow(region, 1, 7 * UNIT);
	other = region_get(pool, "beta", 1, 0);
	must_fail(region_reserve(other, UNIT, &capacity, &pool_err), -ENOSPC, "no room");
	slot_grow(region, 0, 7 * UNIT);
	must_fail(region_slot_allocate(other, 0, 2 * UNIT, &pool_err), -ENOSPC, "2 MiB left");
	set_check(region, 0);
	pool_close(pool);
	pool = open_on(NULL);
	set_check(region_get(pool, "alpha", 1, 0), 0);
	pool_close(pool);
	must_fail(open_at("pool", NULL, false, ROOM + UNIT, &pool), -ENOSPC, "smaller --size");
}
END_TEST

static bool says(void *arg, uint64_t job)
{
	const uint64_t *busy = arg;

	return job == *busy;
}

START_TEST(room_of_a_dropped_region_is_kept_until_nobody_can_write_there)
{
	struct extent old[SLOT_EXTENTS], new[SLOT_EXTENTS];
	struct region *region, *other;
	struct pool *pool;
	uint64_t number;

	device_make("dax", UNITS);
	pool = open_on("dax");
	region = region_get(pool, "alpha", 1, 0);
	checkpoint(region, 0, 1);
	number = job_number(region_job(region));
	region_slot_extents(region, 0, old);
	must(region_drop(region, &pool_err));
	other = region_get(pool, "beta", 1, 0);
	checkpoint(other, 0, 1);
	region_slot_extents(other, 0, new);
	ck_assert_uint_ne(old[0].offset, new[0].offset);
	pool_release(pool, says, &number);
	checkpoint(other, 1, 2);
	region_slot_extents(other, 1, new);
	ck_assert_uint_ne(old[0].offset, new[0].offset);
	number++;
	pool_release(pool, says, &number);
	region = region_get(pool, "gamma", 1, 0);
	checkpoint(region, 0, 1);
	region_slot_extents(region, 0, new);
	ck_assert_uint_eq(old[0].offset, new[0].offset);
	pool_close(pool);
}
END_TEST

/* ---- whose it is ---- */

START_TEST(a_device_that_is_not_empty_is_refused_and_untouched)
{
	struct pool *pool;
	char bytes[8192];

	memset(bytes, 'x', sizeof(bytes));
	device_make("dax", UNITS);
	scratch_write("x", bytes, sizeof(bytes));
	ck_assert_int_eq(truncate(scratch_path("x"), UNITS * (off_t)UNIT), 0);
	refused("x", -EEXIST, "--overwrite-device");
	ck_assert(bytes_are("x", 'x'));
	ck_assert_int_eq(scratch_file_bytes("pool/metadata"), -1);
	must(open_at("pool", "x", true, ROOM, &pool));
	ck_assert(!bytes_are("x", 'x'));
	pool_close(pool);
	/* One that has nothing on its device may get another. */
	device_make("small", UNITS - 1);
	refused("small", -ENODEV, "needs");
	ck_assert(bytes_are("small", 0));
	pool_close(open_on("dax"));
	pool_close(open_on(NULL));
}
END_TEST

START_TEST(another_pools_device_is_refused)
{
	struct pool *pool, *second;

	device_make("dax", UNITS);
	device_make("dax2", UNITS);
	pool = open_on("dax");
	must_fail(open_at("second", "dax", true, ROOM, &second), -EBUSY, "another server");
	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	pool_close(pool);
	must_fail(open_at("second", "dax", false, ROOM, &second), -EEXIST, "another pool");
	must(open_at("second", "dax2", false, ROOM, &second));
	pool_close(second);
	must_fail(open_at("pool", "dax2", true, ROOM, &pool), -EEXIST, "not that of pool");
	/* The names changed: a header says whose a device is, and not its name. */
	ck_assert_int_eq(rename(scratch_path("dax"), scratch_path("dax3")), 0);
	ck_assert_int_eq(rename(scratch_path("dax2"), scratch_path("dax")), 0);
	refused(NULL, -EEXIST, "--data");
	pool = open_on("dax3");
	set_check(region_get(pool, "alpha", 1, 0), 0);
	pool_close(pool);
	pool = open_on(NULL);
	pool_close(pool);
	ck_assert_int_eq(rename(scratch_path("dax3"), scratch_path("dax4")), 0);
	refused(NULL, -ENODEV, "--data");
}
END_TEST

START_TEST(a_damaged_header_is_refused)
{
	struct pool *pool;
	char byte = 1;
	int fd;

	device_make("dax", UNITS);
	pool = open_on("dax");
	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	pool_close(pool);
	fd = open(scratch_path("dax"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 60), 1);
	close(fd);
	refused(NULL, -EEXIST, "damaged");
	ck_assert_int_eq(truncate(scratch_path("dax"), 0), 0);
	ck_assert_int_eq(truncate(scratch_path("dax"), UNITS * (off_t)UNIT), 0);
	refused(NULL, -EEXIST, "not that of pool");
}
END_TEST

START_TEST(a_device_that_shrank_is_refused)
{
	struct pool *pool;

	device_make("dax", UNITS);
	pool = open_on("dax");
	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	pool_close(pool);
	ck_assert_int_eq(truncate(scratch_path("dax"), (UNITS - 1) * (off_t)UNIT), 0);
	refused(NULL, -ENODEV, "made anew");
	ck_assert_int_eq(truncate(scratch_path("dax"), (UNITS + 1) * (off_t)UNIT), 0);
	pool_close(open_on(NULL));
}
END_TEST

START_TEST(what_is_no_device_is_refused)
{
	struct pool *pool;

	setenv("HOLDFAST_TEST_DEVICE", "1", 1);
	refused("/../../../../../dev/null", -ENOTBLK, "no devdax device");
	device_make("tiny", 1);
	refused("tiny", -ENOSPC, "two units");
	pool = pool_get();
	pool_close(pool);
	refused("tiny", -EINVAL, "in files");
	unsetenv("HOLDFAST_TEST_DEVICE");
	must_fail(open_at("other", "tiny", false, ROOM, &pool), -ENOTBLK, "no devdax device");
}
END_TEST

/* ---- crashes ---- */

static const char *const points[] = {
	"metadata-filled:kill", "device-header:kill",	"slot-placed:kill",	"slot-allocated:kill",
	"slot-placed:kill:3",	"slot-allocated:kill:4", "slot-grown:kill",	"slot-grown:kill:2",
	"set-published:kill",	"set-withdrawn:kill",	"region-dropped:kill",	"region-dropped:kill:2",
	"transaction:kill:1",	"transaction:kill:3",	"transaction:kill:5",	"transaction:kill:6",
	"transaction:kill:7",	"transaction:kill:8",	"transaction:kill:9",	"transaction:kill:12",
	"transaction:kill:16",	"transaction:kill:20",
};

static void churn(void)
{
	struct pool *pool = open_on("dax");
	struct region *region = region_get(pool, "alpha", 2, 0), *other = region_get(pool, "alpha", 2, 1);

	checkpoint(region, 0, 1);
	checkpoint(other, 0, 1);
	checkpoint(region, 1, 2);
	checkpoint(other, 1, 2);
	slot_grow(region, 0, 3 * UNIT);
	slot_grow(region, 1, 3 * UNIT);
	checkpoint(region, 2, 3);
	must(region_drop(other, &pool_err));
	pool_release(pool, NULL, NULL);
	region = region_get(pool, "beta", 1, 0);
	checkpoint(region, 0, 1);
	must(job_drop(job_find(pool, UID, "alpha"), &pool_err));
	pool_close(pool);
}

START_TEST(a_crash_leaves_no_unit_behind_and_no_set_torn)
{
	struct pool *pool;
	struct job *job;
	int status;
	pid_t pid;

	device_make("dax", UNITS);
	pid = fork();
	if (!pid) {
		setenv("HOLDFAST_TEST_POINT", points[_i], 1);
		churn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was not passed", points[_i]);
	pool = open_on("dax");
	for (job = job_next(pool, NULL); job; job = job_next(pool, job)) {
		for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
			struct region *region = job_region(job, rank);

			for (unsigned slot = 0; region && slot < SLOTS_PER_REGION; slot++) {
				if (region_set(region, slot))
					set_check(region, slot);
			}
		}
	}
	while ((job = job_next(pool, NULL)))
		must(job_drop(job, &pool_err));
	pool_release(pool, NULL, NULL);
	all_is_free(pool);
	pool_close(pool);
}
END_TEST

/* ---- damage ---- */

static void wreck(struct region_record *record, int how)
{
	struct slot_record *slot = &record->slots[0];

	switch (how) {
	case 0: /* over another slot */
		slot->extents[0] = record->slots[1].extents[0];
		break;
	case 1: /* over the header */
		slot->extents[0].first = 0;
		break;
	case 2: /* outside */
		slot->extents[0].first = UNITS;
		break;
	case 3:
		slot->extents[0].count = UINT32_MAX;
		break;
	case 4: /* a hole */
		slot->extents[2] = (struct extent_record){9, 1};
		break;
	case 5: /* nowhere */
		slot->extents[0] = (struct extent_record){0, 0};
		break;
	case 6: /* without a number */
		slot->file = 0;
		slot->capacity = 0;
		break;
	case 7: /* its own second piece */
		slot->extents[1] = slot->extents[0];
		break;
	}
}

START_TEST(a_damaged_table_is_refused)
{
	struct pool *pool;
	struct raw raw;

	device_make("dax", UNITS);
	pool = open_on("dax");
	checkpoint(region_get(pool, "alpha", 1, 0), 0, 1);
	checkpoint(region_get(pool, "alpha", 1, 0), 1, 2);
	pool_close(pool);
	raw = raw_open();
	wreck(raw_region(&raw, 0), _i);
	raw_seal(&raw_region(&raw, 0)->slots[0]);
	pmemobj_persist(raw.pop, raw_region(&raw, 0), sizeof(struct region_record));
	raw_close(&raw);
	refused(NULL, -EUCLEAN, "slot");
}
END_TEST

START_TEST(what_the_root_says_of_a_device_is_checked)
{
	static const uint64_t wrong[][2] = {
		{UNITS * (uint64_t)UNIT, 0}, {UNITS * (uint64_t)UNIT, 4096},  {UNITS * (uint64_t)UNIT, 3 * UNIT},
		{UNIT + 1, UNIT},	     {UNIT, UNIT},		      {(uint64_t)UNIT << 33, UNIT},
	};
	struct raw raw;

	device_make("dax", UNITS);
	pool_close(open_on("dax"));
	raw = raw_open();
	raw.root->device_bytes = wrong[_i][0];
	raw.root->unit_bytes = wrong[_i][1];
	raw_seal(raw.root);
	raw_close(&raw);
	refused(NULL, -EUCLEAN, "root record");
}
END_TEST

/* ---- bad blocks ---- */

static void bad_write(uint64_t offset, uint64_t bytes)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu64 "\n", offset, bytes);

	scratch_write("dax.bad", line, (size_t)n);
}

START_TEST(bad_blocks_are_not_handed_out)
{
	struct extent extents[SLOT_EXTENTS];
	struct region *region;
	struct pool_stat stat;
	struct pool *pool;

	device_make("dax", UNITS);
	bad_write(2 * UNIT + 512, UNIT);
	must_fail(open_at("pool", "dax", false, ROOM, &pool), -ENOSPC, "smaller --size");
	must(open_at("pool", "dax", false, ROOM - 2 * UNIT, &pool));
	pool_get_stat(pool, &stat);
	ck_assert_uint_eq(stat.bad_bytes, UNIT);
	region = region_get(pool, "alpha", 1, 0);
	slot_grow(region, 0, 3 * UNIT);
	ck_assert_uint_eq(region_slot_extents(region, 0, extents), 1);
	ck_assert_uint_eq(extents[0].offset, 4 * UNIT);
	/* One that becomes bad in the meantime. */
	bad_write(7 * UNIT, 512);
	slot_grow(region, 1, 2 * UNIT);
	ck_assert_uint_eq(region_slot_extents(region, 1, extents), 1);
	ck_assert_uint_eq(extents[0].offset, 8 * UNIT);
	pool_close(pool);
}
END_TEST

START_TEST(a_set_on_bad_blocks_is_known_and_an_empty_slot_moves)
{
	struct extent extents[SLOT_EXTENTS], after[SLOT_EXTENTS];
	struct region *region;
	struct pool *pool;
	unsigned slot;

	device_make("dax", UNITS);
	pool = open_on("dax");
	region = region_get(pool, "alpha", 1, 0);
	slot = checkpoint(region, 0, 1);
	slot_grow(region, 1 - slot, UNIT);
	region_slot_extents(region, slot, extents);
	ck_assert(!region_range_bad(region, slot, 0, UNIT));
	bad_write(extents[0].offset + 65536, 512);
	pool_look_for_damage(pool);
	ck_assert(region_range_bad(region, slot, 0, UNIT));
	ck_assert(region_range_bad(region, slot, 65536 + 511, 1));
	ck_assert(!region_range_bad(region, slot, 65536 + 512, 4096));
	ck_assert(!region_range_bad(region, slot, 0, 65536));
	ck_assert(!region_range_bad(region, 1 - slot, 0, UNIT));
	pool_close(pool);
	pool = open_on(NULL);
	region = region_get(pool, "alpha", 1, 0);
	ck_assert_uint_eq(region_set(region, slot)->epoch, 1);
	ck_assert(region_range_bad(region, slot, 0, UNIT));
	/* What goes away is not free, since it is bad. */
	must(region_forget_slot(region, slot, &pool_err));
	pool_release(pool, NULL, NULL);
	slot_grow(region, slot, UNIT);
	region_slot_extents(region, slot, after);
	ck_assert_uint_ne(after[0].offset, extents[0].offset);
	/* An empty slot gets another place when the pool is opened. */
	bad_write(after[0].offset, 512);
	pool_close(pool);
	must(open_at("pool", NULL, false, ROOM - 2 * UNIT, &pool));
	region = region_get(pool, "alpha", 1, 0);
	ck_assert_uint_eq(region_slot_extents(region, slot, after), 0);
	ck_assert_uint_eq(region_slot_capacity(region, slot), 0);
	pool_close(pool);
}
END_TEST

#endif

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("extent");

#define ADD(test) scratch_add(suite, #test, test, 120)
#define ADD_LOOP(test, n) scratch_add_loop(suite, #test, test, (int)(n), 120)
	ADD(units_are_taken_where_they_first_fit);
	ADD(what_cannot_be_had_changes_nothing);
	ADD(no_unit_is_lost_or_given_twice);
	ADD(each_unit_is_known_by_itself);
#ifdef HOLDFAST_TEST_POINTS
	ADD(a_pool_on_a_device_is_there_again);
	ADD(a_slot_that_grows_keeps_its_set);
	ADD(a_full_device_is_said_and_does_no_harm);
	ADD(room_of_a_dropped_region_is_kept_until_nobody_can_write_there);
	ADD(a_device_that_is_not_empty_is_refused_and_untouched);
	ADD(another_pools_device_is_refused);
	ADD(a_damaged_header_is_refused);
	ADD(a_device_that_shrank_is_refused);
	ADD(what_is_no_device_is_refused);
	ADD_LOOP(a_crash_leaves_no_unit_behind_and_no_set_torn, sizeof(points) / sizeof(points[0]));
	ADD_LOOP(a_damaged_table_is_refused, 8);
	ADD_LOOP(what_the_root_says_of_a_device_is_checked, 6);
	ADD(bad_blocks_are_not_handed_out);
	ADD(a_set_on_bad_blocks_is_known_and_an_empty_slot_moves);
#endif
	return suite;
}
