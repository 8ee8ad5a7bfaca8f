/* SPDX-License-Identifier: BSD-3-Clause */
/* sessions.c - a thousand sessions with a real pmu-server at once: what they cost it, and what it does without room. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "client/client.h"
#include "client/control.h"
#include "common/clock.h"
#include "pmu_fixture.h"
#include "unit.h"

#define SESSIONS_MAX  1024
#define SESSION_BYTES (256u << 10) /* of the server's memory */
#define SET_BYTES     4096
#define DESCRIPTORS   10 /* of a client, at most */
#define LONG_ENOUGH_MS 20000

static struct pmu pmu;
static struct error err;
static struct client *clients[SESSIONS_MAX];
static uint8_t data[SET_BYTES];

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, (const char *[]){"--size", "512M", "--metadata-size", "64M", "--local=no", NULL}, NULL));
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

static struct client_options options_of_server(void)
{
	return (struct client_options){
		.server = pmu.address, .auth = "none", .timeout_ms = LONG_ENOUGH_MS, .reconnect_ms = LONG_ENOUGH_MS};
}

static int session_open(uint32_t rank, uint32_t ranks, struct client **client)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "many", .rank = rank, .ranks = ranks, .mode = REGION_OVERWRITE};

	return client_open(&options, &identity, client, &err);
}

static int put(struct client *client, uint64_t epoch)
{
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, SET_BYTES}, .at = data};

	return client_put(client, epoch, epoch - 1, NULL, &s, 1, &err);
}

/* All of them, each with two sets. */
static void sessions_begin(uint32_t from, uint32_t to, uint32_t ranks)
{
	for (uint32_t i = from; i < to; i++)
		ck_assert_msg(!session_open(i, ranks, &clients[i]), "%u: %s", i, err.text);
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		for (uint32_t i = from; i < to; i++)
			ck_assert_msg(!put(clients[i], epoch), "%u: %s", i, err.text);
	}
}

/* What SHOW says: regions with sets, and those that somebody has open. */
static void shown(uint32_t *regions, uint32_t *open, uint64_t *complete)
{
	struct client_options options = options_of_server();
	struct wire_target target = {.job = "many", .uid = WIRE_UID_SELF};
	struct wire_show_reply reply;
	struct control control;

	*regions = *open = 0;
	ck_assert_msg(!control_connect(&options, deadline_in_ms(LONG_ENOUGH_MS), &control, &err), "%s", err.text);
	do {
		reply = (struct wire_show_reply){0};
		ck_assert_msg(!control_call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &reply,
					    deadline_in_ms(LONG_ENOUGH_MS), &err), "%s", err.text);
		for (uint32_t i = 0; i < reply.count; i++) {
			if (i || !target.epoch) { /* not the rest of one that was in the page before */
				*regions += reply.regions[i].set_count > 0;
				*open += reply.regions[i].alive;
			}
		}
		*complete = reply.job.complete_epoch;
		target.rank = reply.next;
		target.epoch = reply.next_epoch;
		wire_show_reply_free(&reply);
	} while (target.rank);
	control_close(&control);
}

static uint64_t server_bytes(void)
{
	return pmu_anonymous_bytes(pmu.pid) + pmu_anonymous_bytes(pmu_ni_pid(&pmu));
}

/* As many as there are descriptors for here. */
static uint32_t sessions_wanted(void)
{
	uint32_t wanted = unit_rounds(SESSIONS_MAX, SESSIONS_MAX, 128);
	struct rlimit limit;

	ck_assert(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	ck_assert(!setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < DESCRIPTORS * wanted) {
		wanted = (uint32_t)limit.rlim_max / DESCRIPTORS;
		fprintf(stderr, "# %u sessions only: there are %llu descriptors\n", wanted, (unsigned long long)limit.rlim_max);
	}
	return wanted;
}

START_TEST(a_thousand_sessions_are_open_at_once_and_cost_little)
{
	uint32_t count = sessions_wanted(), regions, open;
	uint64_t before, after, complete;

	sessions_begin(0, 1, count); /* what comes with the first one is no session's */
	before = server_bytes();
	sessions_begin(1, count, count);
	after = server_bytes();
	shown(&regions, &open, &complete);
	ck_assert_uint_eq(regions, count);
	ck_assert_uint_eq(open, count);
	ck_assert_uint_eq(complete, 2);
	fprintf(stderr, "# %u sessions: %llu KiB each\n", count, (unsigned long long)((after - before) / (count - 1) >> 10));
#if !SANITIZED
	ck_assert_uint_lt((after - before) / (count - 1), SESSION_BYTES);
#endif
	for (uint32_t i = 0; i < count; i += 2)
		client_close(clients[i], false, &err);
	/* The others do not notice. */
	for (uint32_t i = 1; i < count; i += 2)
		ck_assert_msg(!put(clients[i], 3), "%u: %s", i, err.text);
	shown(&regions, &open, &complete);
	ck_assert_uint_eq(open, count / 2);
	for (uint32_t i = 1; i < count; i += 2)
		client_close(clients[i], false, &err);
}
END_TEST

/* Descriptors of that process run out, beyond those that it has and `more`. */
static void descriptors_limit(pid_t pid, unsigned more)
{
	char path[64];
	struct rlimit limit;
	unsigned at = 0;

	for (unsigned fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%u", (int)pid, fd);
		if (!access(path, F_OK))
			at = fd + 1;
	}
	limit.rlim_cur = limit.rlim_max = at + more;
	ck_assert(!prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
}

/* Those who are in stay in; who is not is told why; and where one goes there is room again. */
static void no_room_for_more(pid_t (*whose)(void), unsigned room, const char *words, const char *logged)
{
	struct client *more = NULL;
	uint32_t count = 0;

	ck_assert_msg(!session_open(count++, 64, &clients[0]), "%s", err.text);
	descriptors_limit(whose(), room);
	while (count < 64 && !session_open(count, 64, &clients[count]))
		count++;
	ck_assert_uint_lt(count, 64);
	fprintf(stderr, "# %u sessions: %s\n", count, err.text);
	ck_assert_ptr_nonnull(strstr(err.text, words));
	ck_assert_uint_gt(pmu_log_lines(&pmu, logged), 0);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_msg(!put(clients[i], 1), "%u: %s", i, err.text);
	for (uint32_t i = 0; i < count; i++)
		client_close(clients[i], false, &err);
	ck_assert_msg(!session_open(63, 64, &more), "%s", err.text);
	ck_assert_msg(!put(more, 1), "%s", err.text);
	client_close(more, false, &err);
}

static pid_t of_pmm(void)
{
	return pmu.pid;
}

static pid_t of_ni(void)
{
	return pmu_ni_pid(&pmu);
}

START_TEST(a_server_without_descriptors_says_so)
{
	no_room_for_more(of_pmm, 150, "as many as it has descriptors for", "as many as it has descriptors for");
}
END_TEST

START_TEST(a_data_plane_without_descriptors_says_so)
{
	no_room_for_more(of_ni, 30, "no room for one more connection", "Too many open files");
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("sessions");
	TCase *tc = tcase_create("sessions");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 240);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_thousand_sessions_are_open_at_once_and_cost_little);
	tcase_add_test(tc, a_server_without_descriptors_says_so);
	tcase_add_test(tc, a_data_plane_without_descriptors_says_so);
	suite_add_tcase(suite, tc);
	return suite;
}
