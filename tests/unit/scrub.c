/* SPDX-License-Identifier: BSD-3-Clause */
/* scrub.c - a real pmu-server re-reads what it holds, and finds what was damaged, before anybody needs it. */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "rank.h"
#include "unit.h"

#define LONG_ENOUGH_MS 60000

static const char *const often[] = {"--scrub-interval", "1", "--merge-at", "0", NULL};
static struct control control;

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, often, NULL));
	control.fd = -1;
}

static void teardown(void)
{
	control_close(&control);
	memory_free();
	pmu_remove(&pmu);
}

static void connect_once(void)
{
	struct client_options options = options_of_server();

	if (control.fd < 0)
		ck_assert_msg(!control_connect(&options, deadline_in_ms(20000), &control, &err), "%s", err.text);
}

static uint64_t stat_of(const char *key)
{
	connect_once();
	return stat_number(&control, key);
}

static void wait_until(const char *key, uint64_t least, uint64_t most)
{
	uint64_t deadline = deadline_in_ms(LONG_ENOUGH_MS), number = stat_of(key);

	while ((number < least || number > most) && deadline_left_ms(deadline)) {
		deadline_sleep_ms(deadline, 50);
		number = stat_of(key);
	}
	ck_assert_msg(number >= least && number <= most, "%s is %llu", key, (unsigned long long)number);
}

/* So many whole passes more. */
static void passes(unsigned count)
{
	wait_until("scrub.passes", stat_of("scrub.passes") + count, UINT64_MAX);
}

/* Jobs of one set, beside it. */
static void others_make(unsigned count)
{
	static const uint64_t sizes[] = {BLOCK};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	struct client *client;
	char name[16];

	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "other%u", i);
		identity.job = name;
		client = open_with(&options, &identity);
		memory_make(sizes, 1);
		put_ok(client, 1, 0, SET_FULL);
		client_close(client, false, &err);
	}
}

/* A job at rest: a full set of four blocks, epoch 1, and increments to it. */
static void job_make(unsigned epochs)
{
	static const uint64_t sizes[] = {4 * BLOCK};
	struct client *client = open_rank(0, 1);

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch <= epochs; epoch++) {
		touch(0, epoch % 4);
		put_increment(client, epoch);
	}
	client_close(client, false, &err);
}

/* Flips a bit of that set's last byte of data, which is in front of its table, in the slots' files. */
static void flip(uint64_t epoch)
{
	uint8_t head[32], byte;
	char pattern[160];
	unsigned flipped = 0;
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	ck_assert(!glob(pattern, 0, NULL, &files));
	for (size_t i = 0; i < files.gl_pathc; i++) {
		int fd = open(files.gl_pathv[i], O_RDWR | O_CLOEXEC);

		for (off_t at = 4096; pread(fd, head, sizeof(head), at) == sizeof(head); at += 4096) {
			if (memcmp(head, "HFTTABLE", 8) || memcmp(head + 16, &epoch, 8))
				continue;
			ck_assert(pread(fd, &byte, 1, at - 1) == 1);
			byte ^= 16;
			ck_assert(pwrite(fd, &byte, 1, at - 1) == 1);
			flipped++;
		}
		close(fd);
	}
	globfree(&files);
	ck_assert_uint_eq(flipped, 1);
}

/* What SHOW marks as damaged: a bit for each epoch; and what LIST counts. */
static unsigned shown(void)
{
	struct wire_target target = {.job = "job", .uid = WIRE_UID_SELF};
	struct wire_show_reply reply = {0};
	unsigned marked = 0, count = 0;

	connect_once(); /* and no STAT, which forgets what is of the past */
	ck_assert_msg(!control_call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &reply,
				    deadline_in_ms(20000), &err), "%s", err.text);
	for (uint32_t i = 0; i < reply.regions[0].set_count; i++) {
		const struct wire_set *set = &reply.regions[0].sets[i];

		marked |= (unsigned)set->damaged << set->info.epoch;
		count += set->damaged;
	}
	ck_assert_uint_eq(reply.job.damaged, count);
	wire_show_reply_free(&reply);
	return marked;
}

START_TEST(damage_is_found_before_anybody_reads_it)
{
	const unsigned epoch = (unsigned[]){1, 3, 4}[_i];
	struct client *client;

	job_make(4);
	passes(1);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	ck_assert_uint_eq(shown(), 0);
	flip(epoch);
	wait_until("scrub.damaged", 1, 1);
	ck_assert_uint_eq(shown(), 1u << epoch);
	passes(2);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 1);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "is damaged"), 1); /* once */
	if (epoch == 3) {
		flip(epoch);
		wait_until("scrub.damaged", 0, 0);
		ck_assert_uint_eq(shown(), 0);
		return;
	}
	/* A new full set takes the place of nothing, the next one that of the damaged chain. */
	client = open_rank(0, 1);
	put_ok(client, 5, 4, SET_FULL);
	put_ok(client, 6, 5, SET_FULL);
	put_ok(client, 7, 6, SET_FULL);
	client_close(client, false, &err);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	ck_assert_uint_eq(shown(), 0);
}
END_TEST

START_TEST(a_pass_reads_each_set_once_and_leaves_no_process)
{
	uint64_t deadline = deadline_in_ms(LONG_ENOUGH_MS);

	job_make(4);
	pmu_stop(&pmu);
	control_close(&control);
	ck_assert(pmu_start(&pmu, often, NULL));
	wait_until("scrub.passes", 1, 1);
	ck_assert_uint_eq(stat_of("scrub.sets"), 4);
	ck_assert_uint_ge(stat_of("scrub.bytes"), 7 * BLOCK);
	while (pmu_ni_pid(&pmu) > 0 && deadline_left_ms(deadline))
		deadline_sleep_ms(deadline, 5);
	ck_assert_int_le(pmu_ni_pid(&pmu), 0);
	ck_assert_uint_eq(stat_of("count.ni_deaths"), 0);
}
END_TEST

START_TEST(of_nobody_it_leaves_a_process)
{
	uint64_t deadline = deadline_in_ms(LONG_ENOUGH_MS);

	ck_assert(!seteuid(65534)); /* another user's */
	others_make(1);
	ck_assert(!seteuid(0));
	job_make(1);
	pmu_stop(&pmu);
	control_close(&control);
	ck_assert(pmu_start(&pmu, often, NULL));
	passes(4);
	while (pmu_ni_pid(&pmu) > 0 && deadline_left_ms(deadline)) /* one that reads comes and goes */
		deadline_sleep_ms(deadline, 1);
	ck_assert_int_le(pmu_ni_pid(&pmu), 0);
}
END_TEST

/* In an hour, or never. */
START_TEST(nothing_is_read_before_its_time)
{
	const char *const seldom[] = {"--scrub-interval", _i ? "0" : "3600", NULL};

	job_make(4);
	pmu_stop(&pmu);
	control_close(&control);
	ck_assert(pmu_start(&pmu, seldom, NULL));
	sleep(3); /* ticks are a second apart */
	ck_assert_uint_eq(stat_of("scrub.sets"), 0);
	ck_assert_uint_eq(stat_of("scrub.passes"), 0);
}
END_TEST

START_TEST(wherever_a_pass_begins_it_reads_all_jobs)
{
	job_make(4);
	others_make(3);
	pmu_stop(&pmu);
	control_close(&control);
	ck_assert(pmu_start(&pmu, often, NULL));
	wait_until("scrub.passes", 6, UINT64_MAX);
	ck_assert_uint_ge(stat_of("scrub.sets"), 6 * 7);
}
END_TEST

START_TEST(an_epoch_that_is_written_anew_is_not_the_damaged_one)
{
	struct client *client;

	job_make(4);
	flip(4);
	wait_until("scrub.damaged", 1, 1);
	client = open_rank(0, 1);
	touch(0, 3);
	put_ok(client, 5, 3, SET_INCREMENT); /* which takes the place of all that is newer than 3 */
	touch(0, 3);
	put_ok(client, 4, 3, SET_INCREMENT);
	ck_assert_uint_eq(shown(), 0); /* before the next pass looks at it */
	ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	client_close(client, false, &err);
	passes(2);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "is damaged"), 1);
}
END_TEST

START_TEST(a_job_that_writes_is_not_slandered)
{
	static const uint64_t sizes[] = {16 * BLOCK};
	struct client *client = open_rank(0, 1);
	uint64_t epoch = 1, passes_wanted = unit_rounds(20, 4, 2), began = clock_monotonic_ns(), due;

	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	do {
		epoch++;
		/* Not all that there can be before a pass is over, which takes a second or two. */
		due = began + epoch * passes_wanted * 2000000000 / EPOCHS;
		while (clock_monotonic_ns() < due)
			usleep(100);
		touch(0, epoch % 16);
		put_ok(client, epoch, epoch - 1, epoch % 3 ? SET_INCREMENT : SET_FULL);
		ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	} while (epoch + 1 < EPOCHS && stat_of("scrub.passes") < passes_wanted);
	ck_assert_uint_gt(stat_of("scrub.sets"), 0);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "is damaged"), 0);
	get_ok(client, 0, epoch);
	client_close(client, false, &err);
}
END_TEST

START_TEST(a_killed_ni_is_no_damage)
{
	uint64_t deadline = deadline_in_ms(LONG_ENOUGH_MS);
	pid_t ni;

	job_make(4);
	while ((ni = pmu_ni_pid(&pmu)) <= 0 && deadline_left_ms(deadline))
		deadline_sleep_ms(deadline, 1);
	ck_assert_int_gt(ni, 0);
	kill(ni, SIGKILL);
	passes(2);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 0);
	ck_assert_uint_eq(shown(), 0);
	flip(2);
	wait_until("scrub.damaged", 1, 1);
	/* Nor is it health: each set of a pass and more is left unread. */
	while (stat_of("count.ni_deaths") < 8 && deadline_left_ms(deadline)) {
		ni = pmu_ni_pid(&pmu);
		if (ni > 0)
			kill(ni, SIGKILL);
	}
	ck_assert_uint_ge(stat_of("count.ni_deaths"), 8);
	passes(1);
	ck_assert_uint_eq(stat_of("scrub.damaged"), 1);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "is damaged"), 1);
}
END_TEST

/* Mappings of slots in the NI; SIZE_MAX: there is none. */
static size_t mapped(void)
{
	char path[64], line[512];
	size_t count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pmu_ni_pid(&pmu));
	file = fopen(path, "re");
	if (!file)
		return SIZE_MAX;
	while (fgets(line, sizeof(line), file))
		count += strstr(line, "/pool/slots/") != NULL;
	fclose(file);
	return count;
}

START_TEST(what_it_maps_it_unmaps)
{
	static const uint64_t sizes[] = {BLOCK};
	uint64_t deadline = deadline_in_ms(LONG_ENOUGH_MS);
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	struct client *client;
	size_t at_rest, most = 0;

	identity.job = "open";
	client = open_with(&options, &identity);
	memory_make(sizes, 1);
	put_ok(client, 1, 0, SET_FULL);
	at_rest = mapped();
	ck_assert_uint_gt(at_rest, 0);
	memory_free();
	others_make(3);
	while (most <= at_rest && deadline_left_ms(deadline)) {
		size_t now = mapped();

		most = now > most ? now : most;
	}
	ck_assert_uint_gt(most, at_rest); /* a set of theirs is being read */
	passes(2);
	while (mapped() > at_rest && deadline_left_ms(deadline))
		deadline_sleep_ms(deadline, 1);
	ck_assert_uint_eq(mapped(), at_rest);
	client_close(client, false, &err);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("scrub");
	TCase *tc = tcase_create("scrub");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 200);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, damage_is_found_before_anybody_reads_it, 0, 3);
	tcase_add_test(tc, a_pass_reads_each_set_once_and_leaves_no_process);
	tcase_add_test(tc, wherever_a_pass_begins_it_reads_all_jobs);
	tcase_add_test(tc, an_epoch_that_is_written_anew_is_not_the_damaged_one);
	tcase_add_test(tc, a_job_that_writes_is_not_slandered);
	tcase_add_test(tc, a_killed_ni_is_no_damage);
	tcase_add_loop_test(tc, nothing_is_read_before_its_time, 0, 2);
	if (!geteuid()) { /* nobody else sees what a NI has mapped, or is another user */
		tcase_add_test(tc, what_it_maps_it_unmaps);
		tcase_add_test(tc, of_nobody_it_leaves_a_process);
	}
	suite_add_tcase(suite, tc);
	return suite;
}
