/* SPDX-License-Identifier: BSD-3-Clause */
/* consolidate.c - a real pmu-server merges the sets that need not be kept: nothing of what must be is lost or changed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/client.h"
#include "common/clock.h"
#include "common/testpoint.h"
#include "rank.h"
#include "unit.h"

#define PATIENCE_MS 120000 /* merges get what time others leave */
#define SPAN_NS	    1000000000u

static const char *const four[] = {"--merge-at", "4", "--keep", "2", NULL};

static void start(const char *const *arguments, const char *point)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, arguments, point));
}

static void setup(void)
{
	start(four, NULL);
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

static size_t count_of(struct client *client)
{
	const struct set_info *sets;

	ck_assert_msg(!client_refresh(client, &err), "%s", err.text);
	return client_sets(client, &sets);
}

/* Of the newest chain: its base and what follows. */
static size_t chain_of(struct client *client)
{
	const struct set_info *sets;
	size_t n = count_of(client), of_chain = 0;

	client_sets(client, &sets);
	while (n-- && of_chain++ < SETS_MAX && sets[n].kind == SET_INCREMENT)
		continue;
	return of_chain;
}

/* Until the newest chain has at most so many sets. */
static void wait_for_chain(struct client *client, size_t most)
{
	uint64_t deadline = deadline_in_ms(PATIENCE_MS);

	while (chain_of(client) > most) {
		ck_assert_msg(deadline_left_ms(deadline), "still %zu sets", chain_of(client));
		deadline_sleep_ms(deadline, 10);
	}
}

/* All that the list has; what need not be kept may be gone by now. */
static void get_present(struct client *client)
{
	const struct set_info *sets;
	size_t n = client_sets(client, &sets);

	for (size_t i = 0; i < client_sets(client, &sets); i++) {
		uint64_t epoch = sets[i].epoch;
		int rc = get(client, 0, epoch);

		ck_assert_msg(!rc || (rc == -ENOENT && i + 2 < n), "epoch %d: %d %s", (int)epoch, rc, err.text);
	}
}

/* One block, or none: the log has room for some 20. */
static void change(void)
{
	size_t i = random_below((unsigned)memory.count);

	if (blocks_of(i))
		touch(i, random_below((unsigned)blocks_of(i)));
}

static void check_all(struct client *client)
{
	const struct set_info *sets;
	size_t n = client_sets(client, &sets);

	get_present(client);
	ck_assert_uint_gt(n, 1);
	get_ranges(client, sets[n - 1].epoch, 10);
	get_ranges(client, sets[n - 2].epoch, 10); /* which is kept */
}

/* One that waits long enough for a new NI, but not for a server that nobody starts. */
static struct client *open_impatient(void)
{
	struct client_identity identity = identity_of(0, 1);
	struct client_options options = options_of_server();

	options.reconnect_ms = 1500;
	return open_with(&options, &identity);
}

/* A rank with a full set and increments up to epoch `last`. */
static struct client *rank_make(unsigned last)
{
	static const uint64_t sizes[] = {20 * BLOCK + 123, 100, 0, 3 * BLOCK};
	struct client *client = open_impatient();

	memory_make(sizes, 4);
	put_ok(client, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch <= last; epoch++) {
		change();
		put_increment(client, epoch);
	}
	return client;
}

static void rank_end(struct client *client)
{
	client_close(client, false, &err);
	memory_free();
}

START_TEST(a_chain_stays_short_and_what_is_kept_comes_back)
{
	struct client *client = rank_make(5);

	for (unsigned epoch = 6, last = unit_rounds(500, 60, 25); epoch < last; epoch++) {
		change();
		put_increment(client, epoch); /* never a full set: the log does not fill */
		wait_for_chain(client, 5);
		ck_assert(holds(client, epoch) && holds(client, epoch - 1));
		ck_assert_uint_le(client_chain(client), 6);
		if (epoch % 10 == 0)
			check_all(client);
	}
	check_all(client);
	rank_end(client);
}
END_TEST

/* Layouts differ from set to set, also within what is merged. */
START_TEST(layouts_that_change_are_merged)
{
	static const uint64_t others[] = {0, 1, 4096, BLOCK, BLOCK + 1, 5 * BLOCK + 1, 7 * BLOCK};
	struct client *client = rank_make(3);
	char name[32];

	for (unsigned epoch = 4, last = unit_rounds(500, 60, 25); epoch < last; epoch++) {
		if (random_below(2)) {
			snprintf(name, sizeof(name), "segment%u", 3 + 10 * random_below(3));
			segment_new(3, name, others[random_below(7)]);
		}
		change();
		put_ok(client, epoch, epoch - 1, SET_INCREMENT);
		if (epoch % 5)
			continue;
		epoch++; /* a full one, if the state has grown */
		put_ok(client, epoch, epoch - 1, SET_INCREMENT);
		wait_for_chain(client, 6);
		check_all(client);
	}
	rank_end(client);
}
END_TEST

/* Without waiting: the writer may be faster than the merges, and full sets come between. */
START_TEST(a_writer_that_does_not_wait_loses_nothing)
{
	struct client *client = rank_make(1);
	unsigned full = 0;

	for (unsigned epoch = 2, last = unit_rounds(EPOCHS, 200, 60); epoch < last; epoch++) {
		for (unsigned n = random_below(6); n; n--)
			change();
		full += put_ok(client, epoch, epoch - 1, epoch % 20 ? SET_INCREMENT : SET_FULL) == SET_FULL;
		if (epoch % 16 == 0)
			get_present(client);
		if (epoch > 200)
			past_forget(&past[epoch - 200]);
	}
	ck_assert_uint_gt(full, 1);
	rank_end(client);
}
END_TEST

/* ---- retention ---- */

static bool listed(const struct set_info *sets, size_t n, uint64_t epoch)
{
	for (size_t i = 0; i < n; i++) {
		if (sets[i].epoch == epoch)
			return true;
	}
	return false;
}

/* The last epoch of each span but this one and, as all that are newest are kept, of it, too. */
START_TEST(one_epoch_of_each_span_is_kept)
{
	static const char *const spans[] = {"--merge-at", "3", "--keep", "2", "--keep-span", "1", NULL};
	static uint64_t times[EPOCHS];
	struct client *client;
	const struct set_info *sets;
	unsigned epoch, kept = 0, may_stay = 0;
	size_t n;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, spans, NULL));
	client = rank_make(1);
	for (epoch = 2; epoch <= 24; epoch++) {
		deadline_sleep_ms(deadline_in_ms(1000), 200);
		change();
		put_increment(client, epoch);
		count_of(client);
		n = client_sets(client, &sets);
		times[epoch] = sets[n - 1].time_ns;
	}
	get_present(client);
	count_of(client);
	n = client_sets(client, &sets);
	for (epoch = 2; epoch < 24; epoch++) {
		if (times[epoch] / SPAN_NS == times[epoch + 1] / SPAN_NS) {
			may_stay += listed(sets, n, epoch);
			continue;
		}
		ck_assert_msg(listed(sets, n, epoch), "epoch %u is gone, the last of its span", epoch);
		kept++;
	}
	ck_assert_uint_gt(kept, 2);
	/* The two that are kept anyway, and those that are too few to be merged: however long an epoch took. */
	ck_assert_uint_le(may_stay, 8);
	rank_end(client);
}
END_TEST

START_TEST(without_merging_every_set_stays)
{
	static const char *const never[] = {"--merge-at", "0", NULL};
	struct client *client;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, never, NULL));
	client = rank_make(20);
	ck_assert_uint_eq(count_of(client), 20);
	ck_assert_uint_eq(client_chain(client), 19);
	rank_end(client);
}
END_TEST

/* ---- damage ---- */

/* Its sets are left as they are, so that others can still be read; it goes on after the next full set. */
START_TEST(a_damaged_set_is_not_merged)
{
	static const char *const later[] = {"--merge-at", "8", "--keep", "2", NULL};
	const struct set_info *sets;
	struct client *client;
	char path[256], command[1024];

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, later, NULL));
	client = rank_make(3);
	/* A byte of every slot file's first block: the base's, and the first increment's in the log. */
	snprintf(path, sizeof(path), "%s/pool/slots", pmu.directory);
	snprintf(command, sizeof(command),
		 "for f in %s/*; do printf x | dd of=$f bs=1 seek=70 conv=notrunc status=none; done", path);
	ck_assert_int_eq(system(command), 0);
	for (unsigned epoch = 4; epoch < 20; epoch++) {
		change();
		put_increment(client, epoch);
	}
	deadline_sleep_ms(deadline_in_ms(1000), 300);
	ck_assert_uint_eq(count_of(client), 19);
	ck_assert_uint_eq(pmu_log_lines(&pmu, "are not merged: "), 1); /* at 10, and not again at 11 */
	for (size_t i = 0; i < memory.count; i++)
		memset(memory.changed[i], 1, sizeof(memory.changed[i]));
	put_ok(client, 20, 19, SET_FULL);
	for (unsigned epoch = 21; epoch < 36; epoch++) {
		change();
		put_increment(client, epoch);
	}
	wait_for_chain(client, 12);
	client_sets(client, &sets);
	ck_assert_uint_ge(sets[0].epoch, 20);
	get_present(client);
	rank_end(client);
}
END_TEST

/* ---- accidents ---- */

#ifdef HOLDFAST_TEST_POINTS
static const char *const kill_points[] = {
	"HOLDFAST_TEST_POINT=ni.merge.copying:kill",	      "HOLDFAST_TEST_POINT=ni.merge.copying:kill:9",
	"HOLDFAST_TEST_POINT=ni.merge.before-persist:kill:2", "HOLDFAST_TEST_POINT=ni.merge.after-persist:kill:2",
	"HOLDFAST_TEST_POINT=pmm.merge.before-publish:kill",  "HOLDFAST_TEST_POINT=pmm.merge.after-publish:kill",
	"HOLDFAST_TEST_POINT=pmm.merge.before-publish:kill:3", "HOLDFAST_TEST_POINT=pmm.merge.after-publish:kill:3",
};

START_TEST(a_server_or_ni_killed_at_any_point_of_a_merge_loses_nothing)
{
	struct client *client;
	unsigned epoch, acknowledged = 0;
	enum set_kind kind;
	int rc;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, four, kill_points[_i]));
	client = open_impatient();
	memory_make((const uint64_t[]){9 * BLOCK + 9, 50}, 2);
	for (epoch = 1; epoch < 40; epoch++) {
		change();
		kind = epoch == 1 ? SET_FULL : SET_INCREMENT;
		rc = put(client, epoch, epoch - 1, &kind);
		if (rc)
			break;
		acknowledged = epoch;
		usleep(20000); /* for merges to begin */
	}
	past_record(acknowledged + 1); /* it may be there, and its reply lost */
	client_close(client, false, &err);
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, four, NULL));
	client = open_rank(0, 1);
	ck_assert(holds(client, acknowledged) && (acknowledged == 1 || holds(client, acknowledged - 1)));
	get_present(client);
	epoch = acknowledged + 1 + holds(client, acknowledged + 1);
	memset(memory.changed, 1, sizeof(memory.changed));
	put_ok(client, epoch, epoch - 1, SET_FULL);
	for (unsigned end = epoch + 12; ++epoch < end;) {
		change();
		put_increment(client, epoch);
	}
	wait_for_chain(client, 5);
	get_present(client);
	rank_end(client);
}
END_TEST

/* ---- beside a merge ---- */

static const char *hold_path(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/hold", pmu.directory);
	return path;
}

/* Starts the server anew; the point is one with "hold". */
static void merges_hold(const char *point)
{
	FILE *file = fopen(hold_path(), "w");

	fclose(file);
	pmu_stop(&pmu);
	setenv("HOLDFAST_TEST_HOLD", hold_path(), 1);
	ck_assert(pmu_start(&pmu, four, point));
	unsetenv("HOLDFAST_TEST_HOLD");
}

static void merges_go_on(void)
{
	unlink(hold_path());
}

/* Until the server counts so many; nothing may die for it. */
static void wait_for_stat(const char *key, uint64_t least, uint64_t most)
{
	struct client_options options = options_of_server();
	uint64_t deadline = deadline_in_ms(PATIENCE_MS), number;
	struct control control;

	ck_assert(!control_connect(&options, deadline_in_ms(10000), &control, &err));
	while ((number = stat_number(&control, key)) < least || number > most) {
		ck_assert_msg(deadline_left_ms(deadline), "%s is still %d", key, (int)number);
		ck_assert_uint_eq(stat_number(&control, "count.ni_deaths"), 0);
		ck_assert_uint_eq(pmu_log_lines(&pmu, "are not merged: "), 0);
		deadline_sleep_ms(deadline, 10);
	}
	control_close(&control);
}

static void wait_for_merges(unsigned n)
{
	wait_for_stat("count.merges", n, UINT64_MAX);
}

/* Until so many sessions of the job have ended. */
static void wait_for_ends(unsigned n)
{
	uint64_t deadline = deadline_in_ms(PATIENCE_MS);

	while (pmu_log_lines(&pmu, " of job job rank 0 ") < n) {
		ck_assert_msg(deadline_left_ms(deadline), "the server does not see that its client has left");
		deadline_sleep_ms(deadline, 10);
	}
}

/* In another process than that which started it. */
static void pmu_wait_for_stop(void)
{
	uint64_t deadline = deadline_in_ms(PATIENCE_MS);
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pmu.pid);
	while (state != 'T' && deadline_left_ms(deadline)) {
		file = fopen(path, "r");
		if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
			state = 0;
		if (file)
			fclose(file);
		deadline_sleep_ms(deadline, 10);
	}
}

static const char *const slow[] = {
	"HOLDFAST_TEST_POINT=ni.merge.copying:sleep",
	"HOLDFAST_TEST_POINT=ni.merge.copying:sleep:2",
	"HOLDFAST_TEST_POINT=ni.merge.before-persist:sleep",
};

static struct client *rank_with_slow_merge(const char *point)
{
	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, four, point));
	return rank_make(6);
}

START_TEST(increments_and_reads_go_on_beside_a_merge)
{
	struct client *client = rank_with_slow_merge(slow[_i]);

	for (unsigned epoch = 7; epoch < 16; epoch++) {
		change();
		put_increment(client, epoch);
		get_present(client);
	}
	wait_for_chain(client, 6);
	check_all(client);
	rank_end(client);
}
END_TEST

START_TEST(a_full_set_ends_a_merge)
{
	struct client *client = rank_with_slow_merge(slow[_i]);

	for (unsigned epoch = 7; epoch < 12; epoch++) {
		change();
		put_ok(client, epoch, epoch - 1, SET_FULL);
		get_present(client);
	}
	ck_assert_uint_gt(pmu_log_lines(&pmu, "session 1:"), 0);
	ck_assert_msg(!pmu_log_lines(&pmu, "session 2:"), "it did not get its answer");
	rank_end(client);
}
END_TEST

/* The merged set may be published for the new primary, or not: it has the old one's bytes either way. */
START_TEST(a_takeover_beside_a_merge_changes_nothing)
{
	struct client *old = rank_with_slow_merge(slow[_i]), *client;
	struct client_identity identity = identity_of(0, 1);
	struct client_options options = options_of_server();

	identity.force = true;
	client = open_with(&options, &identity);
	get_present(client);
	for (unsigned epoch = 7; epoch < 16; epoch++) {
		change();
		put_increment(client, epoch);
		get_present(client);
	}
	wait_for_chain(client, 6);
	get_present(client);
	client_close(old, false, &err);
	rank_end(client);
}
END_TEST

/* Epoch 6 is withdrawn: what goes on from 5 has other bytes. */
START_TEST(going_on_from_an_older_epoch_beside_a_merge)
{
	struct client *client = rank_with_slow_merge(slow[_i]);
	struct past *p = &past[5];

	ck_assert(holds(client, 5));
	for (size_t i = 0; i < memory.count; i++) {
		memcpy(memory.segments[i].at, p->data[i], bytes_of(i));
		memset(memory.changed[i], 0, sizeof(memory.changed[i]));
	}
	put_ok(client, 7, 5, SET_INCREMENT);
	for (unsigned epoch = 8; epoch < 16; epoch++) {
		get_present(client);
		change();
		put_increment(client, epoch);
	}
	wait_for_chain(client, 6);
	get_present(client);
	rank_end(client);
}
END_TEST

/* Its slots stay mapped: it has just begun, and the NI is not further than that. */
START_TEST(a_merge_goes_on_when_its_rank_has_left)
{
	struct client *client;
	pid_t ni, helper;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, four, "HOLDFAST_TEST_POINT=pmm.commit.after-publish:stop:6"));
	client = rank_make(5);
	ni = pmu_ni_pid(&pmu);
	helper = fork();
	if (!helper) {
		pmu_wait_for_stop();
		_exit(kill(ni, SIGSTOP) || kill(pmu.pid, SIGCONT));
	}
	change();
	put_increment(client, 6);
	ck_assert_int_eq(waitpid(helper, NULL, 0), helper);
	ck_assert(!client_close(client, false, &err));
	wait_for_ends(1);
	kill(ni, SIGCONT);
	wait_for_merges(1);
	client = open_rank(0, 1);
	ck_assert_uint_eq(chain_of(client), 2);
	get_present(client);
	rank_end(client);
}
END_TEST

/* What it made of sets replaces them while they are being exposed: between the grant for the base and that for the log. */
START_TEST(a_set_that_is_merged_while_it_is_opened_is_opened_anew)
{
	struct client *client;
	pid_t helper;

	merges_hold("HOLDFAST_TEST_POINT=ni.merge.copying:hold,pmm.read.granted:stop");
	client = rank_make(6);
	helper = fork();
	if (!helper) {
		pmu_wait_for_stop();
		merges_go_on();
		sleep(2); /* the merge ends; the PMM hears of it first thing */
		_exit(kill(pmu.pid, SIGCONT));
	}
	get_ok(client, 0, 6);
	ck_assert_int_eq(waitpid(helper, NULL, 0), helper);
	wait_for_merges(1);
	ck_assert_uint_eq(chain_of(client), 2);
	get_present(client);
	rank_end(client);
}
END_TEST

/* In a process of its own: six epochs, the last one when it is told, and the beginning of a full set. */
static pid_t writer_start(void)
{
	struct client *client;
	pid_t writer = fork();

	if (writer)
		return writer;
	setenv("HOLDFAST_TEST_POINT", "client.put.after-begin:stop:7", 1);
	client = rank_make(5);
	raise(SIGSTOP);
	change();
	put_increment(client, 6);
	put_ok(client, 7, 6, SET_FULL);
	_exit(0);
}

static void writer_wait_for_stop(pid_t writer)
{
	int status;

	ck_assert_int_eq(waitpid(writer, &status, WUNTRACED), writer);
	ck_assert_msg(WIFSTOPPED(status), "the test point was not met");
}

/*
 * Its turn comes when the other job's merge has ended, and then its rank has begun a full set, to where it would go. It
 * waits, until (_i = 0) the set is published, or (1) the rank has died and nothing else happens.
 */
START_TEST(a_merge_waits_until_nobody_writes)
{
	struct client_identity identity = identity_of(0, 1);
	struct client_options options;
	struct client *other;
	pid_t writer;
	int status;

	identity.job = "other";
	merges_hold("HOLDFAST_TEST_POINT=ni.merge.copying:hold");
	options = options_of_server();
	writer = writer_start();
	writer_wait_for_stop(writer);
	other = open_with(&options, &identity);
	memory_make((const uint64_t[]){20 * BLOCK}, 1);
	put_ok(other, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 7; epoch++) {
		change();
		put_increment(other, epoch); /* with the last one its merge begins */
	}
	kill(writer, SIGCONT);
	writer_wait_for_stop(writer);
	merges_go_on();
	wait_for_merges(1);
	if (_i) {
		kill(writer, SIGKILL);
		ck_assert_int_eq(waitpid(writer, &status, 0), writer);
		wait_for_merges(2);
	} else {
		kill(writer, SIGCONT);
		ck_assert_int_eq(waitpid(writer, &status, 0), writer);
		ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
		wait_for_stat("server.sessions", 2, 2); /* the other job's, and the one that asks */
		ck_assert_msg(pmu_log_lines(&pmu, " of job job rank 0 ") == 1, "the room that it wrote to was taken from it");
	}
	rank_end(other);
}
END_TEST

START_TEST(a_region_that_is_dropped_beside_a_merge_is_gone)
{
	struct client *client = rank_with_slow_merge(slow[_i]);
	const struct set_info *sets;

	ck_assert(!client_close(client, true, &err));
	memory_free();
	client = rank_make(16);
	wait_for_chain(client, 6);
	ck_assert_uint_gt(client_sets(client, &sets), 1);
	check_all(client);
	rank_end(client);
}
END_TEST
#endif

/* Reads the newest that it knows of; a child writes on, and the server merges. What is read is right, or gone. */
START_TEST(a_chain_is_read_while_it_is_merged)
{
	static struct client *reader; /* which the writing process has, too */
	struct client *writer = open_rank(0, 2);

	reader = open_rank(1, 2);
	memory_make((const uint64_t[]){10 * BLOCK}, 1);
	put_ok(reader, 1, 0, SET_FULL);
	put_ok(writer, 1, 0, SET_FULL);
	for (unsigned epoch = 2; epoch < 6; epoch++) {
		touch(0, epoch);
		put_increment(writer, epoch);
		put_ok(reader, epoch, epoch - 1, SET_INCREMENT);
	}
	past_record(5);
	client_close(writer, false, &err);
	/* Of epochs that are not complete nothing is merged away: 5 stays until the log is full. */
	get_while_written(reader, 5, 300);
	client_close(reader, false, &err);
	memory_free();
}
END_TEST

/* Server or NI, at any instant. */
START_TEST(random_kills_lose_nothing)
{
	const char *text = getenv("HOLDFAST_TEST_ROUNDS");
	unsigned rounds = text ? (unsigned)atoi(text) : unit_rounds(200, 8, 2), epoch = 6;
	struct client *client = rank_make(epoch);
	pid_t killer;
	int status;

	for (unsigned round = 0; round < rounds; round++) {
		pid_t victim = round % 2 ? pmu.pid : pmu_ni_pid(&pmu);

		killer = fork();
		if (!killer) {
			usleep((useconds_t)((unsigned)getpid() * 7919u % 60000u));
			kill(victim, SIGKILL);
			_exit(0);
		}
		for (unsigned n = 0; n < 8; n++) {
			enum set_kind kind = SET_INCREMENT;

			change();
			if (put(client, epoch + 1, epoch, &kind))
				break; /* the PMM is gone: it is begun again below */
			epoch++;
		}
		ck_assert_int_eq(waitpid(killer, &status, 0), killer);
		if (round % 2) {
			client_close(client, false, &err);
			past_record(epoch + 1);
			pmu_kill(&pmu);
			ck_assert(pmu_start(&pmu, four, NULL));
			client = open_impatient();
			ck_assert(holds(client, epoch) && holds(client, epoch - 1));
			get_present(client);
			epoch += holds(client, epoch + 1);
			memset(memory.changed, 1, sizeof(memory.changed));
			put_ok(client, epoch + 1, epoch, SET_FULL);
			epoch++;
		}
		get_present(client);
		if (epoch > EPOCHS - 40) { /* the model's end: begin anew */
			ck_assert(!client_close(client, true, &err));
			memory_free();
			epoch = 6;
			client = rank_make(epoch);
		}
	}
	rank_end(client);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("consolidate");
	TCase *tc = tcase_create("consolidate");
#ifdef HOLDFAST_TEST_POINTS
	int slow_merges = unit_is_brief() ? 1 : sizeof(slow) / sizeof(*slow);
	int points = unit_is_brief() ? 2 : sizeof(kill_points) / sizeof(*kill_points);
#endif

	tcase_set_timeout(tc, 600);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_chain_stays_short_and_what_is_kept_comes_back);
	tcase_add_test(tc, layouts_that_change_are_merged);
	tcase_add_test(tc, a_writer_that_does_not_wait_loses_nothing);
	tcase_add_test(tc, one_epoch_of_each_span_is_kept);
	tcase_add_test(tc, without_merging_every_set_stays);
	tcase_add_test(tc, a_damaged_set_is_not_merged);
#ifdef HOLDFAST_TEST_POINTS
	tcase_add_loop_test(tc, a_server_or_ni_killed_at_any_point_of_a_merge_loses_nothing, 0, points);
	tcase_add_loop_test(tc, increments_and_reads_go_on_beside_a_merge, 0, slow_merges);
	tcase_add_loop_test(tc, a_full_set_ends_a_merge, 0, slow_merges);
	tcase_add_loop_test(tc, a_takeover_beside_a_merge_changes_nothing, 0, slow_merges);
	tcase_add_loop_test(tc, going_on_from_an_older_epoch_beside_a_merge, 0, slow_merges);
	tcase_add_test(tc, a_merge_goes_on_when_its_rank_has_left);
	tcase_add_test(tc, a_set_that_is_merged_while_it_is_opened_is_opened_anew);
	tcase_add_loop_test(tc, a_merge_waits_until_nobody_writes, 0, 2);
	tcase_add_loop_test(tc, a_region_that_is_dropped_beside_a_merge_is_gone, 0, slow_merges);
#endif
	tcase_add_test(tc, a_chain_is_read_while_it_is_merged);
	tcase_add_test(tc, random_kills_lose_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}
