/* SPDX-License-Identifier: BSD-3-Clause */
/* attach.c - attaching to a real pmu-server: what is refused, wrong addresses, keys, and what an attached client asks. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "rank.h"
#include "unit.h"

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	memory_make((const uint64_t[]){1000}, 1);
}

static void teardown(void)
{
	memory_free();
	pmu_remove(&pmu);
}

/* ---- what does not fit ---- */

START_TEST(block_sizes_out_of_range_are_refused)
{
	static const uint64_t blocks[] = {1, SET_BLOCK_MIN / 2, SET_BLOCK_MIN + 1, 3 * SET_BLOCK_MIN, 2 * SET_BLOCK_MAX, UINT64_MAX};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	struct client *client;

	for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		options.block_bytes = blocks[i];
		ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "a power of 2 from 4096 to 4194304 is needed"));
	}
}
END_TEST

START_TEST(another_number_of_ranks_is_refused)
{
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 3);
	struct client *client = open_rank(0, 2);

	client_close(client, false, &err);
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -ERANGE);
	identity = identity_of(1, 3);
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -ERANGE);
}
END_TEST

START_TEST(bad_job_names_are_refused)
{
	static const char *const names[] = {"", "a/b", "tab\there", "..\n"};
	struct client_options options = options_of_server();
	struct client *client;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct client_identity identity = identity_of(0, 1);

		identity.job = names[i];
		ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EINVAL);
	}
}
END_TEST

START_TEST(a_running_job_is_not_taken_over_by_mistake)
{
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	struct client *first = open_with(&options, &identity), *second;

	put_ok(first, 1, 0, SET_FULL);
	identity.launch[0] = 2;
	ck_assert_int_eq(client_open(&options, &identity, &second, &err), -EBUSY);
	ck_assert_ptr_nonnull(strstr(err.text, "running"));
	/* the same launch again, but not a later incarnation */
	identity.launch[0] = 1;
	ck_assert_int_eq(client_open(&options, &identity, &second, &err), -EBUSY);
	put_ok(first, 2, 1, SET_FULL);
	client_close(first, false, &err);
}
END_TEST

/* ---- wrong addresses ---- */

START_TEST(an_unreachable_server_is_told_within_10_s)
{
	static const char *const wrong[] = {"127.0.0.1:1", "no-such-host.invalid:7300",
					    "unix:/nonexistent"};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	uint64_t start = clock_monotonic_ns();
	struct client *client;
	int rc;

	options.server = wrong[_i];
	rc = client_open(&options, &identity, &client, &err);
	ck_assert(rc == -ENXIO || rc == -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.text, _i == 1 ? "no-such-host" : wrong[_i]));
	ck_assert(clock_monotonic_ns() - start < 10000000000u);
}
END_TEST

/* A listener whose queue is full drops what else comes, as a host that is down does. */
START_TEST(a_host_that_does_not_answer_is_told_within_10_s)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fds[8];
	socklen_t bytes = sizeof(in);
	uint64_t start = clock_monotonic_ns();
	struct client *client;
	char address[32];

	ck_assert(!bind(listener, (struct sockaddr *)&in, bytes) && !listen(listener, 0));
	getsockname(listener, (struct sockaddr *)&in, &bytes);
	for (unsigned i = 0; i < 8; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		ck_assert(connect(fds[i], (struct sockaddr *)&in, bytes) == 0 || errno == EINPROGRESS);
	}
	snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(in.sin_port));
	options.server = address;
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(err.text, "firewall"));
	ck_assert(clock_monotonic_ns() - start < 10000000000u);
}
END_TEST

/* _i = 0: the right one; 1: another's; 2: of another type */
START_TEST(a_reply_is_taken_for_its_own_request_only)
{
	struct wire_header header = {.type = WIRE_FENCE | WIRE_REPLY, .id = 1};
	struct wire_target target = {.job = "job", .uid = WIRE_UID_SELF};
	struct control control = {.server = "here"};
	int ends[2];
	uint8_t *frame;
	size_t bytes;

	if (_i == 1)
		header.id = 2;
	if (_i == 2)
		header.type = WIRE_DROP | WIRE_REPLY;
	ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	control.fd = ends[0];
	frame = wire_frame(&header, wire_nothing_fields, NULL, NULL, &bytes);
	ck_assert_int_eq(write(ends[1], frame, bytes), (ssize_t)bytes);
	free(frame);
	ck_assert_int_eq(control_call(&control, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL,
				      deadline_in_ms(5000), &err), _i ? -EPROTO : 0);
	if (_i)
		ck_assert_ptr_nonnull(strstr(err.text, "something else"));
	control_close(&control);
	close(ends[1]);
}
END_TEST

/* _i = 0: silent; 1: greets with something else; 2: closes at once */
START_TEST(the_port_of_another_service_is_told_within_10_s)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	const int codes[] = {-ETIMEDOUT, -EPROTO, -ECONNABORTED};
	int listener = socket(AF_INET, SOCK_STREAM, 0), rc;
	socklen_t bytes = sizeof(in);
	uint64_t start = clock_monotonic_ns();
	struct client *client;
	char address[32];
	pid_t child;

	ck_assert(!bind(listener, (struct sockaddr *)&in, bytes) && !listen(listener, 8));
	getsockname(listener, (struct sockaddr *)&in, &bytes);
	child = fork();
	if (!child) {
		for (;;) {
			int fd = accept(listener, NULL, NULL);

			if (_i == 1 && write(fd, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", 40) < 0)
				_exit(1);
			if (_i == 2)
				close(fd);
		}
	}
	snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(in.sin_port));
	options.server = address;
	rc = client_open(&options, &identity, &client, &err);
	ck_assert_int_eq(rc, codes[_i]);
	ck_assert_ptr_nonnull(strstr(err.text, "pmu-server"));
	ck_assert(clock_monotonic_ns() - start < 10000000000u);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
END_TEST

/* ---- authentication ---- */

static const char *key_file(const char *name, const char *key)
{
	static char path[2][200];
	static int which;
	char *out = path[which++ % 2];
	int fd;

	snprintf(out, sizeof(path[0]), "%s/%s", pmu.directory, name);
	fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(write(fd, key, strlen(key)), (int)strlen(key));
	close(fd);
	return out;
}

static void server_with(const char *key_path)
{
	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, (const char *const[]){"--auth", "psk", "--key-file", key_path, NULL}, NULL));
}

START_TEST(only_who_holds_the_key_gets_in)
{
	const char *good = key_file("key", "0123456789abcdef0123456789abcdef");
	const char *bad = key_file("bad", "0123456789abcdef0123456789abcdeX");
	struct client_identity identity = identity_of(0, 1);
	struct client_options options;
	struct client *client;

	server_with(good);
	options = options_of_server();
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EACCES);
	options.auth = "psk";
	options.key_file = bad;
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EACCES);
	options.key_file = good;
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	put_ok(client, 1, 0, SET_FULL);
	client_close(client, false, &err);
	chmod(good, 0640);
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EPERM);
	chmod(good, 0600);
	options.key_file = key_file("short", "short");
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EINVAL);
}
END_TEST

START_TEST(a_server_without_the_key_is_not_trusted)
{
	const char *theirs = key_file("key", "0123456789abcdef0123456789abcdef");
	const char *ours = key_file("bad", "0123456789abcdef0123456789abcdeX");
	struct client_identity identity = identity_of(0, 1);
	struct client_options options;
	struct client *client;

	server_with(theirs);
	options = options_of_server();
	options.auth = "psk";
	options.key_file = ours;
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EACCES);
}
END_TEST

/* ---- what tools ask ---- */

static uint64_t ask(const char *job)
{
	struct wire_ask ask = {.target = {.uid = WIRE_UID_SELF}, .flags = WIRE_ASK_CHECKPOINT | WIRE_ASK_LEAVE};
	struct client_options options = options_of_server();
	struct wire_ask_reply reply;
	struct control control;

	snprintf(ask.target.job, sizeof(ask.target.job), "%s", job);
	ck_assert(!control_connect(&options, deadline_in_ms(5000), &control, &err));
	ck_assert_msg(!control_call(&control, WIRE_ASK, wire_ask_fields, &ask, wire_ask_reply_fields, &reply,
				    deadline_in_ms(5000), &err), "%s", err.text);
	control_close(&control);
	return reply.count;
}

START_TEST(what_is_asked_is_learned_across_restarts_of_the_server)
{
	struct client *client = open_rank(0, 1);
	struct client_wish wish;
	uint64_t count, later;

	ck_assert(!client_asked(client, 0, 0, &wish, &err));
	ck_assert(!wish.checkpoint && !wish.leave && !wish.count);
	count = ask("job");
	ck_assert(!client_asked(client, 0, 0, &wish, &err));
	ck_assert(wish.checkpoint && wish.leave && wish.count == count);
	ck_assert(!client_asked(client, count, 7, &wish, &err));
	ck_assert(!wish.checkpoint && !wish.leave);

	pmu_kill(&pmu);
	/* Tried once, and not for all of reconnect_ms. */
	ck_assert_int_ne(client_asked(client, 0, 0, &wish, &err), 0);
	ck_assert_int_ne(client_asked(client, 0, 0, &wish, &err), 0);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	ck_assert_msg(!client_asked(client, 0, 0, &wish, &err), "%s", err.text);
	later = ask("job"); /* it has a session again */
	ck_assert_uint_gt(later, count);
	ck_assert(!client_asked(client, count, 7, &wish, &err));
	ck_assert(wish.checkpoint && wish.count == later);
	put_ok(client, 1, 0, SET_FULL);
	client_close(client, false, &err);
}
END_TEST

START_TEST(who_is_fenced_learns_it_when_he_asks)
{
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of(0, 1);
	struct client *client = open_with(&options, &identity), *thief;
	struct client_wish wish;

	identity.force = true;
	thief = open_with(&options, &identity);
	ck_assert_int_eq(client_asked(client, 0, 0, &wish, &err), -ECONNRESET);
	ck_assert_int_eq(client_asked(client, 0, 0, &wish, &err), -ESTALE);
	ck_assert(!client_asked(thief, 0, 0, &wish, &err));
	client_close(client, false, &err);
	client_close(thief, false, &err);
}
END_TEST

START_TEST(a_command_line_is_recorded_across_a_restart_of_the_server)
{
	static char text[] = "/\0app";
	const struct command_line command = {sizeof(text), text};
	struct client *client = open_rank(0, 1);
	struct command_line before;

	ck_assert_msg(!client_record(client, &command, &before, &err), "%s", err.text);
	ck_assert_uint_eq(before.bytes, 0);
	free(before.text);
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	ck_assert_msg(!client_record(client, &command, &before, &err), "%s", err.text);
	ck_assert(command_equal(&before, &command));
	free(before.text);
	client_close(client, false, &err);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("attach");
	TCase *tc = tcase_create("attach");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, block_sizes_out_of_range_are_refused);
	tcase_add_test(tc, another_number_of_ranks_is_refused);
	tcase_add_test(tc, bad_job_names_are_refused);
	tcase_add_test(tc, a_running_job_is_not_taken_over_by_mistake);
	tcase_add_loop_test(tc, an_unreachable_server_is_told_within_10_s, 0, 3);
	tcase_add_test(tc, a_host_that_does_not_answer_is_told_within_10_s);
	tcase_add_loop_test(tc, a_reply_is_taken_for_its_own_request_only, 0, 3);
	tcase_add_loop_test(tc, the_port_of_another_service_is_told_within_10_s, 0, 3);
	tcase_add_test(tc, only_who_holds_the_key_gets_in);
	tcase_add_test(tc, a_server_without_the_key_is_not_trusted);
	tcase_add_test(tc, what_is_asked_is_learned_across_restarts_of_the_server);
	tcase_add_test(tc, who_is_fenced_learns_it_when_he_asks);
	tcase_add_test(tc, a_command_line_is_recorded_across_a_restart_of_the_server);
	suite_add_tcase(suite, tc);
	return suite;
}
