/* SPDX-License-Identifier: BSD-3-Clause */
/* append.c - append mode against a real pmu-server: increments are written, and every epoch comes back. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/control.h"
#include "common/clock.h"
#include "common/testpoint.h"
#include "net/net.h"
#include "rank.h"
#include "unit.h"

#define MIB (1u << 20)

/* What becomes of sets that are merged is tests/unit/consolidate.c's. */
static const char *const no_merges[] = {"--merge-at", "0", NULL};

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, no_merges, NULL));
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

/* ---- chains ---- */

static const struct {
	unsigned increments;
	uint64_t last; /* bytes of the largest segment */
	size_t chunk_bytes;
} chains[] = {
	{1, 3 * BLOCK + 5, 0},	     {10, 3 * BLOCK + 5, 0}, {10, 3 * BLOCK + 5, 4096}, {10, 3 * BLOCK + 5, BLOCK},
	{10, 3 * BLOCK + 5, 100000}, {100, 9 * MIB, 0},
};

START_TEST(a_chain_of_any_length_gives_each_epoch_back)
{
	const uint64_t sizes[] = {20 * BLOCK + 123, 100, 0, chains[_i].last};
	struct client_identity identity = identity_of(0, 1);
	struct client_options options = options_of_server();
	unsigned n = chains[_i].increments;
	struct client *client;

	options.chunk_bytes = chains[_i].chunk_bytes;
	client = open_with(&options, &identity);
	memory_make(sizes, 4);
	ck_assert_int_eq(put_ok(client, 1, 0, SET_FULL), SET_FULL);
	for (unsigned epoch = 2; epoch < n + 2; epoch++) {
		touch(random_below(2) ? 3 : 0, random_below(3));
		if (random_below(2))
			touch(1, 0);
		if (n <= 10 || epoch % 8 == 0)
			touch(0, random_below(21));
		put_increment(client, epoch);
		if (n > 10 && epoch > 20 && epoch < n)
			past_forget(&past[epoch]);
	}
	get_ok(client, 0, n + 1);
	get_ranges(client, n + 1, 30);
	for (unsigned epoch = 1; epoch <= n && epoch < 20; epoch++)
		get_ok(client, 0, epoch);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

static const struct {
	uint64_t block_bytes;
	size_t chunk_bytes;
} blocks[] = {
	{SET_BLOCK_MIN, 0},	 {SET_BLOCK_MIN, 4096},	   {SET_BLOCK_MIN, 5000}, {SET_BLOCK_MIN, 100},
	{SET_BLOCK_MAX, 100000}, {SET_BLOCK_MAX, 9 * MIB}, {SET_BLOCK_MAX, 0},
};

/* Increments send whole blocks, and no more. */
START_TEST(blocks_may_be_small_or_large)
{
	const uint64_t block = blocks[_i].block_bytes, sizes[] = {3 * block + 123, 100, 0};
	struct client_identity identity = identity_of(0, 1);
	struct client_options options;
	const struct set_info *sets;
	struct client *client;

	block_bytes = block;
	options = options_of_server();
	options.chunk_bytes = blocks[_i].chunk_bytes;
	client = open_with(&options, &identity);
	memory_make(sizes, 3);
	ck_assert_int_eq(put_ok(client, 1, 0, SET_FULL), SET_FULL);
	touch(0, 1);
	put_increment(client, 2);
	touch(0, 3);
	touch(1, 0);
	put_increment(client, 3);
	touch(0, 0);
	put_increment(client, 4);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(client_sets(client, &sets), 4);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_uint_eq(sets[i].block_bytes, block);
		ck_assert_uint_eq(sets[1].data_bytes, block);
		ck_assert_uint_eq(sets[2].data_bytes, 2 * SET_ALIGN);
		ck_assert_uint_eq(sets[3].data_bytes, block);
		ck_assert(!client_refresh(client, &err));
	}
	get_all(client);
	get_ranges(client, 4, 20);
	client_close(client, false, &err);
	memory_free();
	block_bytes = BLOCK;
}
END_TEST

/* As when the variable was changed between two runs. What the server says to a client that knows no better is below. */
START_TEST(another_block_size_begins_another_chain)
{
	static const uint64_t sizes[] = {4 * BLOCK, 77};
	const struct set_info *sets;
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 2);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 1);
	put_increment(client, 2);
	client_close(client, false, &err);
	block_bytes = SET_BLOCK_MIN;
	client = open_rank(0, 1);
	touch(0, 20);
	ck_assert_int_eq(put_ok(client, 3, 2, SET_INCREMENT), SET_FULL);
	touch(0, 63);
	put_increment(client, 4);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(client_sets(client, &sets), 4);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_uint_eq(sets[i].block_bytes, i < 2 ? BLOCK : SET_BLOCK_MIN);
		get_all(client);
		ck_assert(!client_refresh(client, &err));
	}
	client_close(client, false, &err);
	memory_free();
	block_bytes = BLOCK;
}
END_TEST

START_TEST(an_increment_may_be_empty)
{
	static const uint64_t sizes[] = {3 * BLOCK, 0};
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 2);
	put_ok(client, 1, 0, SET_FULL);
	put_increment(client, 2);
	put_increment(client, 3);
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

/* Changed blocks that lie apart, each of them alone: their bytes, and little beside them. */
START_TEST(an_increment_takes_little_more_than_what_changed)
{
	static const uint64_t sizes[] = {64 * BLOCK, 64 * BLOCK}; /* room in the log */
	static const unsigned every[] = {64, 16, 4, 2, 1};
	struct client *client = open_rank(0, 1);
	const struct set_info *sets;
	uint64_t epoch = 1, dirty;
	size_t count;

	memory_make(sizes, 2);
	put_ok(client, epoch, 0, SET_FULL);
	for (unsigned i = 0; i < sizeof(every) / sizeof(every[0]); i++) {
		dirty = 0;
		for (uint64_t block = 0; block < 64; block += every[i], dirty += BLOCK)
			touch(0, block);
		put_increment(client, ++epoch);
		count = client_sets(client, &sets);
		sets += count - 1;
		ck_assert_uint_eq(sets->epoch, epoch);
		ck_assert_uint_ge(sets->data_bytes, dirty);
		ck_assert_uint_le(10 * (sets->table_offset + sets->table_bytes), 11 * dirty);
	}
	client_close(client, false, &err);
	memory_free();
}
END_TEST

START_TEST(layouts_may_change_from_one_increment_to_the_next)
{
	static const uint64_t sizes[] = {5 * BLOCK + 1, 2 * BLOCK, 77};
	static const uint64_t others[] = {0, 1, 4096, BLOCK, BLOCK + 1, 5 * BLOCK + 1, 7 * BLOCK};
	struct client *client = open_rank(0, 1);
	unsigned epoch, increments = 0;
	char name[32];

	memory_make(sizes, 3);
	put_ok(client, 1, 0, SET_FULL);
	for (epoch = 2; epoch < 80; epoch++) {
		size_t i = random_below(3);

		if (random_below(3) == 0) {
			snprintf(name, sizeof(name), "segment%zu", i + 10 * random_below(2));
			segment_new(i, name, others[random_below(7)]);
		} else if (bytes_of(i)) {
			touch(i, random_below((unsigned)blocks_of(i)));
		}
		memory.count = 2 + random_below(2);
		if (memory.count == 2)
			memset(memory.changed[2], 1, sizeof(memory.changed[2])); /* whole when it comes again */
		increments += put_ok(client, epoch, epoch - 1, SET_INCREMENT) == SET_INCREMENT;
		get_ok(client, 0, epoch);
		if (epoch % 10 == 0)
			get_all(client);
		if (memory.count == 2)
			memset(memory.changed[2], 1, sizeof(memory.changed[2]));
	}
	ck_assert_uint_gt(increments, 20);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

/* Every set that the server lists can be read, whenever the log came round, and whoever asks. */
START_TEST(the_log_comes_round_many_times)
{
	static const uint64_t sizes[] = {9 * BLOCK + 5, 30};
	struct client *client = open_rank(0, 1);
	unsigned full = 0, most = 0;
	const struct set_info *sets;

	memory_make(sizes, 2);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 400; epoch++) {
		for (unsigned n = random_below(epoch % 50 ? 4 : 10); n; n--)
			touch(0, random_below(10));
		if (random_below(2))
			touch(1, 0);
		full += put_ok(client, epoch, epoch - 1, SET_INCREMENT) == SET_FULL;
		ck_assert(holds(client, epoch) && holds(client, epoch - 1));
		if (client_sets(client, &sets) > most)
			most = (unsigned)client_sets(client, &sets);
		if (epoch % 16 == 0)
			get_all(client);
		if (epoch % 64 == 0)
			ck_assert(!client_refresh(client, &err));
		get_ok(client, 0, epoch);
		if (epoch > 200)
			past_forget(&past[epoch - 200]);
	}
	ck_assert_uint_gt(full, 3); /* the log was full */
	ck_assert_uint_lt(full, 200);
	ck_assert_uint_gt(most, 4);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

/* What a client knows of the sets without asking is what it is told when it asks. */
START_TEST(going_on_from_an_older_epoch_withdraws_the_newer)
{
	static const uint64_t sizes[] = {4 * BLOCK};
	struct client *client = open_rank(0, 1);
	const struct set_info *sets;

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 5; epoch++) {
		touch(0, epoch - 2);
		put_increment(client, epoch);
	}
	/* Back to 2: all that changed later is as it was, and is given again. */
	memcpy(memory.segments[0].at, past[2].data[0], bytes_of(0));
	touch(0, 3);
	ck_assert_int_eq(put_ok(client, 9, 2, SET_INCREMENT), SET_INCREMENT);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(client_sets(client, &sets), 3);
		ck_assert(holds(client, 1) && holds(client, 2) && holds(client, 9));
		get_all(client);
		ck_assert(!client_refresh(client, &err));
	}
	/* A full set goes on from an older one as well. */
	ck_assert_int_eq(put_ok(client, 12, 1, SET_FULL), SET_FULL);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(client_sets(client, &sets), 2);
		ck_assert(holds(client, 1) && holds(client, 12));
		get_all(client);
		ck_assert(!client_refresh(client, &err));
	}
	client_close(client, false, &err);
	memory_free();
}
END_TEST

START_TEST(an_increment_that_cannot_be_becomes_a_full_set)
{
	static const uint64_t sizes[] = {4 * BLOCK, 2 * BLOCK};
	struct client_identity overwrite = identity_of(0, 1);
	struct client_options options = options_of_server();
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 2);
	/* nothing to be an increment to */
	ck_assert_int_eq(put_ok(client, 1, 0, SET_INCREMENT), SET_FULL);
	/* to what is not there: neither has a full set anything to keep */
	touch(0, 1);
	ck_assert_int_eq(put(client, 9, 7, &(enum set_kind){SET_INCREMENT}), -ENOENT);
	ck_assert_int_eq(put_ok(client, 9, 1, SET_INCREMENT), SET_INCREMENT);
	get_all(client);
	client_close(client, true, &err);
	overwrite.job = "overwrite";
	overwrite.mode = REGION_OVERWRITE;
	client = open_with(&options, &overwrite);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 1);
	ck_assert_int_eq(put_ok(client, 2, 1, SET_INCREMENT), SET_FULL);
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

START_TEST(ranges_that_make_no_sense_are_refused)
{
	static const struct segment_range wrong[][2] = {
		{{1, BLOCK}, {0, 0}},		  {{0, 5}, {BLOCK, BLOCK}},  {{BLOCK, BLOCK}, {0, BLOCK}},
		{{0, 2 * BLOCK}, {BLOCK, BLOCK}}, {{0, 4 * BLOCK}, {0, 0}},  {{0, 0}, {BLOCK, BLOCK}},
		{{8 * BLOCK, BLOCK}, {0, 0}},	  {{BLOCK, UINT64_MAX - 5}, {0, 0}},
	};
	static const uint64_t sizes[] = {3 * BLOCK + 7};
	enum set_kind kind = SET_INCREMENT;
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		memory.segments[0].ranges = wrong[i];
		memory.segments[0].range_count = 2;
		ck_assert_int_eq(client_put(client, 2, 1, &kind, memory.segments, 1, &err), -EINVAL);
	}
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

START_TEST(a_region_is_opened_in_its_own_mode_only)
{
	struct client_identity identity = identity_of(0, 1);
	struct client_options options = options_of_server();
	struct client *client = open_rank(0, 1);

	client_close(client, false, &err);
	identity.mode = REGION_OVERWRITE;
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EMEDIUMTYPE);
}
END_TEST

/* ---- what tools are told ---- */

enum { MANY_SEGMENTS = 60 };

/* Each with a layout of its own, which is in the metadata. The first one gives the log its size, the others have no
 * bytes. */
static void put_many_segments(struct client *client, uint64_t epoch)
{
	static const struct segment_range nothing;
	struct client_segment segments[MANY_SEGMENTS];
	enum set_kind kind = SET_INCREMENT;
	int rc;

	for (unsigned i = 0; i < MANY_SEGMENTS; i++) {
		segments[i] = (struct client_segment){.segment = {.type = ELEMENT_BYTE, .element_bytes = 1}};
		snprintf(segments[i].segment.name, SEGMENT_NAME_BYTES, "segment %u of epoch %u", i, (unsigned)epoch);
	}
	strcpy(segments[0].segment.name, "the first");
	segments[0].segment.count = 8 * MIB;
	segments[0].at = calloc(8, MIB);
	segments[0].ranges = epoch > 1 ? &nothing : NULL;
	rc = client_put(client, epoch, epoch - 1, &kind, segments, MANY_SEGMENTS, &err);
	free(segments[0].at);
	ck_assert_msg(!rc, "epoch %d: %d %s", (int)epoch, rc, err.text);
	ck_assert_int_eq(kind, (epoch > 1 ? SET_INCREMENT : SET_FULL));
}

/* A page as a tool gets it: sets in order, each with the segments that are its own. Tells the sets. */
static unsigned show_page(struct control *control, struct wire_target *target, uint64_t *last)
{
	struct wire_show_reply reply = {0};
	unsigned sets = 0;
	char name[SEGMENT_NAME_BYTES];

	ck_assert_msg(!control_call(control, WIRE_SHOW, wire_target_fields, target, wire_show_reply_fields, &reply,
				    deadline_in_ms(20000), &err), "%s", err.text);
	for (uint32_t r = 0; r < reply.count; r++) {
		const struct wire_region *region = &reply.regions[r];

		ck_assert_uint_ge(region->rank, target->rank);
		for (uint32_t i = 0; i < region->set_count; i++, sets++) {
			const struct wire_set *set = &region->sets[i];

			if (region->rank != 0)
				continue;
			ck_assert_uint_eq(set->info.epoch, ++*last);
			snprintf(name, sizeof(name), "segment 7 of epoch %u", (unsigned)*last);
			ck_assert_uint_eq(set->info.segment_count, MANY_SEGMENTS);
			ck_assert_str_eq(set->segments[7].name, name);
		}
	}
	target->rank = reply.next;
	target->epoch = reply.next_epoch;
	wire_show_reply_free(&reply);
	return sets;
}

static unsigned count_shown(const char *what)
{
	const char *top = getenv("top_builddir");
	char command[512], line[512];
	unsigned count = 0;
	FILE *out;

	snprintf(command, sizeof(command), "exec %s/pmuctl -s %s show job --json", top ? top : ".", pmu.address);
	out = popen(command, "r");
	while (fgets(line, sizeof(line), out))
		count += strstr(line, what) != NULL;
	ck_assert_int_eq(pclose(out), 0);
	return count;
}

/* All layouts together are much more than fits into an answer. */
START_TEST(a_region_of_any_number_of_layouts_is_shown)
{
	static const char *const room[] = {"--metadata-size", "64M", "--size", "128M", "--merge-at", "0", NULL};
	struct client_options options = options_of_server();
	struct wire_target target = {.job = "job", .uid = WIRE_UID_SELF};
	struct client *client, *other;
	unsigned sets = 0, pages = 0;
	struct control control;
	uint64_t last = 0;

	pmu_remove(&pmu);
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, room, NULL));
	client = open_rank(0, 2);
	other = open_rank(1, 2);
	for (unsigned epoch = 1; epoch <= INCREMENTS_MAX + 1; epoch++)
		put_many_segments(client, epoch);
	put_many_segments(other, 1);
	ck_assert(!control_connect(&options, deadline_in_ms(10000), &control, &err));
	do {
		sets += show_page(&control, &target, &last);
		ck_assert_uint_lt(++pages, INCREMENTS_MAX);
	} while (target.rank || target.epoch);
	control_close(&control);
	ck_assert_uint_gt(pages, 4);
	ck_assert_uint_eq(sets, INCREMENTS_MAX + 2);
	ck_assert_uint_eq(count_shown("\"kind\": \"increment\""), INCREMENTS_MAX);
	ck_assert_uint_eq(count_shown("\"name\": \"segment 7 of epoch "), INCREMENTS_MAX + 2);
	client_close(other, false, &err);
	client_close(client, false, &err);
}
END_TEST

/* Names and sizes of the pool's slot files. */
static void slot_files_list(char *list, size_t capacity)
{
	char pattern[160];
	struct stat st;
	glob_t found;
	size_t n = 0;

	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	ck_assert(!glob(pattern, 0, NULL, &found));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		ck_assert(!stat(found.gl_pathv[i], &st));
		n += (size_t)snprintf(list + n, capacity - n, "%s %lld\n", found.gl_pathv[i], (long long)st.st_size);
		ck_assert_uint_lt(n, capacity);
	}
	globfree(&found);
}

enum { CHAIN_SETS = 101 }; /* a base, and as many increments as the default of `chain` */

/* What a chain takes of the metadata. */
struct toll {
	uint64_t used_bytes; /* the most, after one of its checkpoints */
	uint64_t changes;    /* by all of them */
};

/* The n-th, from 0. Each eighth checkpoint has other segments. */
static struct toll put_chain(struct client *client, struct control *control, unsigned n)
{
	uint64_t before = stat_number(control, "pool.changes"), used;
	unsigned first = n * CHAIN_SETS + 1;
	struct toll toll = {0};
	enum set_kind kind;
	char name[32];

	for (unsigned epoch = first; epoch < first + CHAIN_SETS; epoch++) {
		touch(0, blocks_of(0) - 1); /* which is short */
		if (epoch % 8 == 0) {
			snprintf(name, sizeof(name), "segment %u", epoch);
			segment_new(1, name, 30);
		}
		kind = epoch == first ? SET_FULL : SET_INCREMENT;
		ck_assert_int_eq(put_ok(client, epoch, epoch - 1, kind), kind);
		used = stat_number(control, "pool.metadata_used_bytes");
		toll.used_bytes = used > toll.used_bytes ? used : toll.used_bytes;
		if (epoch > 2)
			past_forget(&past[epoch - 2]);
	}
	toll.changes = stat_number(control, "pool.changes") - before;
	return toll;
}

/* Neither bytes nor work: each chain is like the second, which is the first one to take another's place. */
START_TEST(a_thousand_epochs_take_no_more_than_two_hundred)
{
	static const uint64_t sizes[] = {16 * BLOCK + 100, 30};
	unsigned chains_put = unit_is_brief() ? 4 : 10, last = chains_put * CHAIN_SETS;
	char before[4096] = "", after[4096] = "";
	struct client_options options = options_of_server();
	struct client *client = open_rank(0, 1);
	struct control control;
	struct toll second, toll;

	ck_assert(!control_connect(&options, deadline_in_ms(10000), &control, &err));
	memory_make(sizes, 2);
	put_chain(client, &control, 0);
	second = put_chain(client, &control, 1);
	slot_files_list(before, sizeof(before));
	ck_assert_uint_gt(second.changes, 2 * CHAIN_SETS); /* as many sets came as went */
	for (unsigned n = 2; n < chains_put; n++) {
		toll = put_chain(client, &control, n);
		ck_assert_uint_le(toll.used_bytes, second.used_bytes);
		ck_assert_uint_le(toll.changes, second.changes + 8); /* layouts differ by a few */
	}
	slot_files_list(after, sizeof(after));
	ck_assert_str_eq(after, before);
	ck_assert_uint_le(stat_number(&control, "pool.sets"), 2 * CHAIN_SETS);
	get_ok(client, 0, last);
	get_ok(client, 0, last - 1);
	control_close(&control);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

/* ---- damage ---- */

/* `where`: the one that is damaged, or NULL. */
static void verify(uint64_t epoch, const char *where)
{
	struct wire_target target = {.job = "job", .uid = WIRE_UID_SELF, .epoch = epoch};
	struct client_options options = options_of_server();
	struct wire_verify_reply reply;
	struct control control;

	ck_assert(!control_connect(&options, deadline_in_ms(10000), &control, &err));
	ck_assert_msg(!control_call(&control, WIRE_VERIFY, wire_target_fields, &target, wire_verify_reply_fields, &reply,
				    deadline_in_ms(10000), &err), "%s", err.text);
	control_close(&control);
	ck_assert_uint_eq(reply.bad_blocks, where != NULL);
	ck_assert_str_eq(reply.detail, where ? where : "");
}

/* Flips a bit where these bytes are in a slot's file; they are in one alone. */
static void flip_bit(const uint8_t *want, size_t bytes)
{
	char pattern[160];
	unsigned n = 0;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	ck_assert(!glob(pattern, 0, NULL, &found));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		FILE *file = fopen(found.gl_pathv[i], "r+");
		uint8_t *all = malloc(16 * MIB), *at;
		size_t size = fread(all, 1, 16 * MIB, file);

		at = memmem(all, size, want, bytes);
		if (at) {
			n++;
			*at ^= 0x10;
			ck_assert(!fseek(file, at - all, SEEK_SET) && fwrite(at, 1, 1, file) == 1);
		}
		free(all);
		fclose(file);
	}
	ck_assert_uint_eq(n, 1);
	globfree(&found);
}

/* _i: a block's size, and in which set: in the base, in the first or second increment. */
START_TEST(damage_anywhere_in_a_chain_is_found)
{
	static const uint64_t block_sizes[] = {BLOCK, SET_BLOCK_MIN, SET_BLOCK_MAX};
	const uint64_t block = block_sizes[_i / 3], sizes[] = {4 * block}, from = (uint64_t)(_i % 3 + 1) * block;
	char in_set[80], in_chain[80];
	struct client_segment s;
	struct client *client;
	int epoch = _i % 3 + 1;
	uint8_t *at;

	snprintf(in_set, sizeof(in_set), "segment 0, bytes from %d on", (int)from);
	snprintf(in_chain, sizeof(in_chain), "epoch 3, from byte %d on (checksum; as written in epoch %d)", (int)from, epoch);
	block_bytes = block;
	client = open_rank(0, 1);
	memory_make(sizes, 1);
	at = memory.segments[0].at;
	for (unsigned i = 0; i < 4 * block; i++)
		at[i] = (uint8_t)random_below(256);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 2);
	put_increment(client, 2);
	touch(0, 3);
	put_increment(client, 3);
	for (int i = 1; i <= 3; i++)
		verify((uint64_t)i, NULL);
	/* What each set alone has of epoch 3: blocks 1 (and 0), 2, 3. */
	flip_bit(past[3].data[0] + from + block - 200, 200);
	s = memory.segments[0];
	ck_assert_int_eq(client_get(client, 0, 3, &s, 1, &err), -EILSEQ);
	ck_assert_msg(strstr(err.text, in_chain), "%s", err.text);
	ck_assert_int_eq(client_get_range(client, 0, 3, "segment0", from, at, 1, &err), -EILSEQ);
	ck_assert_msg(strstr(err.text, in_chain), "%s", err.text);
	/* The last to leave a job has its slots unmapped: be there again, before the server is to read them. */
	ck_assert(!client_refresh(client, &err));
	for (int i = 1; i <= 3; i++) {
		verify((uint64_t)i, i == epoch ? in_set : NULL);
		if (i < epoch)
			get_ok(client, 0, (uint64_t)i);
	}
	client_close(client, false, &err);
	memory_free();
	block_bytes = BLOCK;
}
END_TEST

/* Who is the last to leave a job has its slots unmapped. */
START_TEST(a_set_is_verified_while_its_rank_comes_and_goes)
{
	static const uint64_t sizes[] = {3 * BLOCK};
	struct client *client = open_rank(0, 1);
	int status = 0;
	pid_t child;

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 1);
	put_increment(client, 2);
	client_close(client, false, &err);
	child = fork();
	if (!child) {
		for (unsigned i = 0; i < 40; i++) {
			client = open_rank(0, 1);
			get_ok(client, 0, 2);
			client_close(client, false, &err);
		}
		_exit(0);
	}
	do
		verify(2, NULL);
	while (!waitpid(child, &status, WNOHANG));
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	memory_free();
}
END_TEST

/* ---- accidents ---- */

START_TEST(a_chain_lives_through_deaths_of_server_and_ni)
{
	static const uint64_t sizes[] = {6 * BLOCK + 9, 50};
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 2);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 8; epoch++) {
		touch(0, random_below(7));
		if (epoch % 2) {
			pmu_kill(&pmu);
			ck_assert(pmu_start(&pmu, no_merges, NULL));
		} else {
			kill(pmu_ni_pid(&pmu), SIGKILL);
		}
		put_increment(client, epoch);
		get_all(client);
	}
	client_close(client, false, &err);
	memory_free();
}
END_TEST

#ifdef HOLDFAST_TEST_POINTS
static const struct {
	const char *point;
	int published; /* -1: either */
} server_points[] = {
	{"HOLDFAST_TEST_POINT=pmm.begin.after-withdraw:kill:3", 0},
	{"HOLDFAST_TEST_POINT=pmm.begin.before-reply:kill:3", 0},
	{"HOLDFAST_TEST_POINT=ni.commit.before-persist:kill:3", -1},
	{"HOLDFAST_TEST_POINT=ni.commit.after-persist:kill:3", -1},
	{"HOLDFAST_TEST_POINT=pmm.commit.before-publish:kill:3", 0},
	{"HOLDFAST_TEST_POINT=pmm.commit.after-publish:kill:3", 1},
	{"HOLDFAST_TEST_POINT=set-publish:kill:3", 0},
	{"HOLDFAST_TEST_POINT=set-published:kill:3", 1},
};

START_TEST(a_server_killed_at_any_point_of_an_increment_loses_nothing)
{
	static const uint64_t sizes[] = {6 * BLOCK + 9, 50};
	struct client_identity identity = identity_of(0, 1);
	struct client_options options;
	struct client *client;
	bool is_there;
	int rc;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, no_merges, server_points[_i].point));
	options = options_of_server();
	options.reconnect_ms = 1500; /* the NI's death is made good in the meantime; the PMM's not */
	client = open_with(&options, &identity);
	memory_make(sizes, 2);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 2);
	put_increment(client, 2);
	touch(0, 3);
	rc = put(client, 3, 2, &(enum set_kind){SET_INCREMENT});
	past_record(3);
	client_close(client, false, &err);
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, no_merges, NULL));
	client = open_rank(0, 1);
	is_there = holds(client, 3);
	ck_assert_msg(rc || is_there, "acknowledged, and lost");
	ck_assert(holds(client, 1) && holds(client, 2));
	if (server_points[_i].published >= 0)
		ck_assert_int_eq(is_there, server_points[_i].published);
	get_all(client);
	memory.changed[0][3] = true; /* since 2 */
	ck_assert_int_eq(put_ok(client, 4, 2, SET_INCREMENT), SET_INCREMENT);
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

static const char *const client_points[] = {
	"client.put.after-begin:kill:2",
	"client.put.mid-write:kill:9",
	"client.put.before-commit:kill:2",
	"client.put.after-commit:kill:2",
};

START_TEST(a_client_killed_at_any_point_of_an_increment_loses_nothing)
{
	static const uint64_t sizes[] = {16 * BLOCK + 9, 50};
	struct client *client;
	int status;
	pid_t child;

	memory_make(sizes, 2);
	past_record(1);
	child = fork();
	if (!child) {
		setenv("HOLDFAST_TEST_POINT", client_points[_i], 1);
		client = open_rank(0, 1);
		put_ok(client, 1, 0, SET_FULL);
		for (unsigned block = 1; block < 16; block += 2)
			touch(0, block);
		put_ok(client, 2, 1, SET_INCREMENT);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the test point was not met");
	client = open_rank(0, 1);
	get_ok(client, 0, 1);
	ck_assert_int_eq(holds(client, 2), strstr(client_points[_i], "after-commit") != NULL);
	memset(memory.changed, 0, sizeof(memory.changed)); /* as it is in epoch 1 */
	touch(0, 2);
	ck_assert_int_eq(put_ok(client, 3, 1, SET_INCREMENT), SET_INCREMENT);
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

/* Fenced in the middle of an increment: its successor writes there, and nothing of it is seen. */
START_TEST(a_fenced_writer_of_an_increment_changes_nothing)
{
	static const uint64_t sizes[] = {24 * BLOCK};
	struct client_identity identity = identity_of(0, 1);
	struct client_options options = options_of_server();
	struct client *client = open_rank(0, 1);
	int status;
	pid_t child;

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	touch(0, 0);
	put_increment(client, 2);
	client_close(client, false, &err);
	child = fork();
	if (!child) {
		setenv("HOLDFAST_TEST_POINT", "client.put.mid-write:stop:10", 1);
		client = open_rank(0, 1);
		for (unsigned block = 0; block < 24; block += 2)
			touch(0, block);
		status = put(client, 3, 2, &(enum set_kind){SET_INCREMENT}) == -ESTALE ? 0 : 1;
		client_close(client, false, &err);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert_msg(WIFSTOPPED(status), "the test point was not met");
	identity.incarnation = 1;
	client = open_with(&options, &identity);
	for (unsigned block = 0; block < 24; block += 2)
		touch(0, block);
	put_increment(client, 3);
	kill(child, SIGCONT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the fenced primary was not told");
	get_all(client);
	client_close(client, false, &err);
	memory_free();
}
END_TEST

START_TEST(a_lost_reply_to_an_increments_commit_does_not_write_twice)
{
	static const uint64_t sizes[] = {6 * BLOCK};
	const struct set_info *sets;
	struct client *client;
	pid_t helper;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, no_merges, "HOLDFAST_TEST_POINT=pmm.commit.after-publish:kill:2"));
	client = open_rank(0, 1);
	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	helper = fork();
	if (!helper) { /* starts the server again when it is gone */
		char program[64], command[512];

		snprintf(program, sizeof(program), "/proc/%d/exe", (int)pmu.pid);
		while (!access(program, F_OK))
			usleep(1000);
		snprintf(command, sizeof(command),
			 "exec %s/pmu-server --pool %s/pool --size 64M --auth none --listen %s -F 2>/dev/null",
			 getenv("top_builddir"), pmu.directory, pmu.address);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	touch(0, 4);
	put_increment(client, 2);
	ck_assert_uint_eq(client_sets(client, &sets), 2);
	get_all(client);
	client_close(client, false, &err);
	kill(helper, SIGTERM);
	waitpid(helper, NULL, 0);
	memory_free();
}
END_TEST
#endif

/* ---- other ranks ---- */

/* Increments, and full sets where the log is full: what a reader is given is right, or gone. */
START_TEST(a_chain_is_read_while_its_rank_writes_on)
{
	static const uint64_t sizes[] = {10 * BLOCK};
	static struct client *reader; /* which the writing process has, too */
	struct client *writer = open_rank(0, 2);

	reader = open_rank(1, 2);
	memory_make(sizes, 1);
	put_ok(writer, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 6; epoch++) {
		touch(0, epoch);
		put_increment(writer, epoch);
	}
	client_close(writer, false, &err);
	get_while_written(reader, 5, 200);
	client_close(reader, false, &err);
	memory_free();
}
END_TEST

/* ---- a client that keeps no rule ---- */

struct raw {
	struct control control;
	struct net_conn *conn;
};

static int call(struct raw *raw, enum wire_type type, wire_fields_fn *fields, void *message,
		wire_fields_fn *reply_fields, void *reply)
{
	return control_call(&raw->control, type, fields, message, reply_fields, reply, deadline_in_ms(20000), &err);
}

static struct raw raw_open(enum wire_type type, uint32_t rank, uint32_t ranks, enum region_mode mode)
{
	struct wire_open open = {.job = "job", .rank = rank, .ranks = ranks, .uid = WIRE_UID_SELF, .mode = mode,
				 .flags = WIRE_OPEN_FORCE};
	struct client_options options = options_of_server();
	struct wire_open_reply reply = {0};
	struct net_params params = {0};
	struct raw raw = {0};

	ck_assert(!control_connect(&options, deadline_in_ms(10000), &raw.control, &err));
	ck_assert_msg(!call(&raw, type, wire_open_fields, &open, wire_open_reply_fields, &reply), "%s", err.text);
	params.provider = reply.provider;
	ck_assert_msg(!net_ofi.connect(&params, &reply.address, reply.token, deadline_in_ms(10000), &raw.conn, &err),
		      "%s", err.text);
	wire_open_reply_free(&reply);
	return raw;
}

static void raw_close(struct raw *raw)
{
	net_ofi.close(raw->conn);
	control_close(&raw->control);
}

static bool raw_move(struct raw *raw, const struct net_key *key, uint64_t offset, void *at, size_t bytes, bool write)
{
	struct net_transfer transfer = {.local = at, .offset = offset, .bytes = bytes, .write = write}, *done;

	return !net_ofi.submit(raw->conn, key, &transfer, &err) &&
	       net_ofi.reap(raw->conn, &done, 1, deadline_in_ms(20000), &err) == 1 && !transfer.status;
}

static int raw_begin(struct raw *raw, uint64_t epoch, uint32_t kind, uint64_t keep, uint64_t bytes,
		     struct wire_begin_reply *begun)
{
	struct wire_begin begin = {epoch, kind, keep, bytes, block_bytes, PERSIST_SERVER};

	return call(raw, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, begun);
}

/* A full set and three increments, of rank 0. */
static void short_chain(uint32_t ranks)
{
	static const uint64_t sizes[] = {8 * BLOCK};
	struct client *client = open_rank(0, ranks);

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 5; epoch++) {
		touch(0, epoch);
		put_increment(client, epoch);
	}
	client_close(client, false, &err);
}

static void check_short_chain(uint32_t ranks)
{
	struct client_identity identity = identity_of(0, ranks);
	struct client_options options = options_of_server();
	struct client *client;

	identity.force = true;
	client = open_with(&options, &identity);
	ck_assert(holds(client, 4));
	get_all(client);
	touch(0, 5);
	put_increment(client, 5);
	get_all(client);
	client_close(client, false, &err);
}

START_TEST(a_malformed_begin_changes_nothing)
{
	static const struct {
		uint64_t epoch;
		uint32_t kind;
		uint64_t keep, bytes;
		int code;
	} wrong[] = {
		{5, 3, 4, 4096, -EINVAL},	       {5, 0, 4, 4096, -EINVAL},
		{4, SET_INCREMENT, 4, 4096, -EINVAL},  {5, SET_INCREMENT, 4, 0, -EINVAL},
		{4, SET_INCREMENT, 3, 4096, -EEXIST},  {5, SET_INCREMENT, 0, 4096, -ENOENT},
		{9, SET_INCREMENT, 7, 4096, -ENOENT},  {5, SET_INCREMENT, 4, 1ull << 40, -ENOSPC},
		{5, SET_INCREMENT, 4, UINT64_MAX, -ENOSPC}, {5, SET_FULL, 4, UINT64_MAX, -ENOSPC},
	};
	struct wire_begin_reply begun;
	struct raw raw;

	short_chain(1);
	raw = raw_open(WIRE_OPEN, 0, 1, REGION_APPEND);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_int_eq(raw_begin(&raw, wrong[i].epoch, wrong[i].kind, wrong[i].keep, wrong[i].bytes, &begun),
				 wrong[i].code);
	for (block_bytes = SET_BLOCK_MIN; block_bytes <= SET_BLOCK_MAX; block_bytes *= 2) {
		if (block_bytes == BLOCK)
			continue;
		ck_assert_int_eq(raw_begin(&raw, 5, SET_INCREMENT, 4, 4096, &begun), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "cannot follow epoch 4, whose blocks have 65536: a full set is needed"));
	}
	block_bytes = BLOCK;
	raw_close(&raw);
	check_short_chain(1);
	memory_free();
}
END_TEST

START_TEST(overwrite_mode_takes_no_increment)
{
	struct raw raw = raw_open(WIRE_CREATE, 0, 1, REGION_OVERWRITE);
	struct wire_begin_reply begun;

	ck_assert_int_eq(raw_begin(&raw, 2, SET_INCREMENT, 1, 4096, &begun), -EINVAL);
	raw_close(&raw);
}
END_TEST

/* _i = 0: beyond the grant's end; 1: before its beginning; 2: nothing of that, but no COMMIT; 3: a COMMIT of another kind. */
START_TEST(a_grant_for_an_increment_reaches_its_range_alone)
{
	static uint8_t garbage[BLOCK];
	struct wire_begin_reply begun;
	struct wire_commit commit = {0};
	struct wire_commit_reply committed;
	struct raw raw;

	short_chain(1);
	raw = raw_open(WIRE_OPEN, 0, 1, REGION_APPEND);
	ck_assert_msg(!raw_begin(&raw, 5, SET_INCREMENT, 4, BLOCK, &begun), "%s", err.text);
	ck_assert_uint_eq(begun.grant.key.bytes, BLOCK);
	ck_assert(raw_move(&raw, &begun.grant.key, 0, garbage, BLOCK, true));
	if (_i == 0)
		ck_assert(!raw_move(&raw, &begun.grant.key, 1, garbage, BLOCK, true));
	if (_i == 1)
		ck_assert(!raw_move(&raw, &begun.grant.key, (uint64_t)-4096, garbage, 4096, true));
	if (_i == 3) {
		commit.grant = begun.grant.grant;
		commit.set.info = (struct set_info){.epoch = 5, .kind = SET_FULL, .table_bytes = 64,
						    .block_bytes = BLOCK};
		ck_assert_int_eq(call(&raw, WIRE_COMMIT, wire_commit_fields, &commit, wire_commit_reply_fields,
				      &committed), -EINVAL);
	}
	raw_close(&raw);
	check_short_chain(1);
	memory_free();
}
END_TEST

/* Of rank 0's chain by rank 1; _i: by the grant for the base, or for the log. */
START_TEST(a_grant_to_read_a_chain_ends_before_it_is_overwritten)
{
	struct wire_read read = {0, 4, 0};
	struct wire_read_reply reply = {0};
	struct client *client;
	struct raw raw;
	uint8_t first;

	short_chain(2);
	raw = raw_open(WIRE_CREATE, 1, 2, REGION_APPEND);
	ck_assert_msg(!call(&raw, WIRE_READ, wire_read_fields, &read, wire_read_reply_fields, &reply), "%s", err.text);
	ck_assert_uint_eq(reply.grant_count, 2);
	ck_assert_uint_eq(reply.part_count, 4);
	ck_assert(raw_move(&raw, &reply.grants[_i].key, 0, &first, 1, false));
	/* The log's is no larger than the three increments, and not to be written to. */
	ck_assert_uint_eq(reply.grants[1].key.bytes,
			  reply.parts[3].place + reply.parts[3].info.table_offset + reply.parts[3].info.table_bytes);
	client = open_rank(0, 2);
	/* As long as it is there, it can be read. */
	touch(0, 0);
	put_increment(client, 5);
	ck_assert(raw_move(&raw, &reply.grants[_i].key, 0, &first, 1, false));
	/* The slot is used by the second full set from here, the log by what follows the next. */
	for (unsigned epoch = 6; epoch < 40; epoch++) {
		touch(0, 0);
		put_ok(client, epoch, epoch - 1, epoch % 4 ? SET_INCREMENT : SET_FULL);
	}
	ck_assert(!holds(client, 4));
	ck_assert(!raw_move(&raw, &reply.grants[_i].key, 0, &first, 1, false));
	wire_read_reply_free(&reply);
	client_close(client, false, &err);
	raw_close(&raw);
	memory_free();
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("append");
	TCase *tc = tcase_create("append");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_chain_of_any_length_gives_each_epoch_back, 0, sizeof(chains) / sizeof(chains[0]));
	tcase_add_loop_test(tc, blocks_may_be_small_or_large, 0, sizeof(blocks) / sizeof(blocks[0]));
	tcase_add_test(tc, another_block_size_begins_another_chain);
	tcase_add_test(tc, an_increment_may_be_empty);
	tcase_add_test(tc, an_increment_takes_little_more_than_what_changed);
	tcase_add_test(tc, layouts_may_change_from_one_increment_to_the_next);
	tcase_add_test(tc, the_log_comes_round_many_times);
	tcase_add_test(tc, going_on_from_an_older_epoch_withdraws_the_newer);
	tcase_add_test(tc, an_increment_that_cannot_be_becomes_a_full_set);
	tcase_add_test(tc, ranges_that_make_no_sense_are_refused);
	tcase_add_test(tc, a_region_is_opened_in_its_own_mode_only);
	tcase_add_test(tc, a_region_of_any_number_of_layouts_is_shown);
	tcase_add_test(tc, a_thousand_epochs_take_no_more_than_two_hundred);
	tcase_add_loop_test(tc, damage_anywhere_in_a_chain_is_found, 0, 9);
	tcase_add_test(tc, a_set_is_verified_while_its_rank_comes_and_goes);
	tcase_add_test(tc, a_chain_lives_through_deaths_of_server_and_ni);
#ifdef HOLDFAST_TEST_POINTS
	tcase_add_loop_test(tc, a_server_killed_at_any_point_of_an_increment_loses_nothing, 0,
			    sizeof(server_points) / sizeof(server_points[0]));
	tcase_add_loop_test(tc, a_client_killed_at_any_point_of_an_increment_loses_nothing, 0,
			    sizeof(client_points) / sizeof(client_points[0]));
	tcase_add_test(tc, a_fenced_writer_of_an_increment_changes_nothing);
	tcase_add_test(tc, a_lost_reply_to_an_increments_commit_does_not_write_twice);
#endif
	tcase_add_test(tc, a_chain_is_read_while_its_rank_writes_on);
	tcase_add_test(tc, a_malformed_begin_changes_nothing);
	tcase_add_test(tc, overwrite_mode_takes_no_increment);
	tcase_add_loop_test(tc, a_grant_for_an_increment_reaches_its_range_alone, 0, 4);
	tcase_add_loop_test(tc, a_grant_to_read_a_chain_ends_before_it_is_overwritten, 0, 2);
	suite_add_tcase(suite, tc);
	return suite;
}
