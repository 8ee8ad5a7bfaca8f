/* SPDX-License-Identifier: BSD-3-Clause */
/* login.c - who gets in, and that what a session says is its own: seals, keys, those who never log in, a real server. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/control.h"
#include "common/clock.h"
#include "pmu_fixture.h"
#include "unit.h"
#include "wire/auth.h"

static struct pmu pmu;
static struct error err;
static char key_file[160], other_file[160], user_keys[160], own_file[176];

static void key_write(const char *path, char fill)
{
	char bytes[32];
	int fd;

	memset(bytes, fill, sizeof(bytes));
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	ck_assert_int_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	close(fd);
}

static void setup(void)
{
	pmu_make(&pmu);
	snprintf(key_file, sizeof(key_file), "%s/key", pmu.directory);
	snprintf(other_file, sizeof(other_file), "%s/other", pmu.directory);
	snprintf(user_keys, sizeof(user_keys), "%s/keys", pmu.directory);
	snprintf(own_file, sizeof(own_file), "%s/%u", user_keys, geteuid());
	ck_assert(!mkdir(user_keys, 0700));
	key_write(key_file, 'k');
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

static void start_psk(void)
{
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, NULL}, NULL));
}

/* 0, or what logging in to `address` with this key ends with. */
static int login_at(const char *address, const char *key, struct control *control)
{
	struct client_options options = {.server = address, .auth = "psk", .key_file = key};

	return control_connect(&options, deadline_in_ms(5000), control, &err);
}

static int login(const char *key)
{
	struct control control;
	int rc = login_at(pmu.address, key, &control);

	control_close(&control);
	return rc;
}

static int ask(struct control *control, struct wire_stat_reply *reply)
{
	return control_call(control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, reply,
			    deadline_in_ms(5000), &err);
}

static int ask_anything(struct control *control)
{
	struct wire_stat_reply reply = {0};
	int rc = ask(control, &reply);

	free(reply.stats);
	return rc;
}

static unsigned long counted(const char *name)
{
	struct wire_stat_reply reply = {0};
	struct control control;
	unsigned long count = 0;

	ck_assert_msg(!login_at(pmu.address, key_file, &control), "%s", err.text);
	ck_assert(!ask(&control, &reply));
	for (uint32_t i = 0; i < reply.count; i++) {
		if (!strcmp(reply.stats[i].key, name))
			count = strtoul(reply.stats[i].value, NULL, 10);
	}
	free(reply.stats);
	control_close(&control);
	return count;
}

/* ---- seals ---- */

START_TEST(a_seal_is_good_in_its_place_only)
{
	static const uint8_t key[SEAL_KEY_BYTES] = "a session's key";
	uint8_t frames[3][40 + SEAL_BYTES] = {"first", "second", "third"};
	struct seal client, server, start;

	seal_begin(&client, false, key);
	seal_begin(&server, true, key);
	start = server;
	for (unsigned i = 0; i < 3; i++)
		seal_set(&client, frames[i], 40);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(seal_check(&server, frames[i], 40));
	server = start;
	ck_assert(!seal_check(&server, frames[1], 40)); /* one is missing */
	server = start;
	ck_assert(seal_check(&server, frames[0], 40));
	ck_assert(!seal_check(&server, frames[0], 40)); /* again */
	seal_begin(&client, false, key);
	ck_assert(!seal_check(&client, frames[0], 40)); /* turned round */
	for (unsigned i = 0; i < 40 + SEAL_BYTES; i++) {
		server = start;
		frames[0][i] ^= 0x40;
		ck_assert_msg(!seal_check(&server, frames[0], 40), "byte %u", i);
		frames[0][i] ^= 0x40;
	}
	server = start;
	ck_assert(!seal_check(&server, frames[0], 39)); /* shorter */
	server = start;
	server.key[31] ^= 1;
	ck_assert(!seal_check(&server, frames[0], 40));
}
END_TEST

/* Somebody in the middle, who does one thing to the frame of this number of a direction: 0 is HELLO's. */
static const struct mischief {
	bool reply;
	unsigned frame;
	enum { FLIP, TWICE, DROP_SEAL } what;
	int at; /* FLIP: the byte; below 0: from the end */
} mischiefs[] = {
	{false, 2, FLIP, WIRE_HEADER_BYTES - 1}, {false, 2, FLIP, -1}, {false, 3, FLIP, 16}, {false, 2, TWICE, 0},
	{false, 2, DROP_SEAL, 0}, {true, 2, FLIP, WIRE_HEADER_BYTES + 20}, {true, 2, FLIP, -SEAL_BYTES},
	{true, 2, TWICE, 0},
};

#define MISCHIEFS (int)(sizeof(mischiefs) / sizeof(mischiefs[0]))

/* Passes one frame on; false: one end is gone. */
static bool pass(int from, int to, bool reply, unsigned number, const struct mischief *mischief)
{
	static uint8_t frame[WIRE_HEADER_BYTES + WIRE_PAYLOAD_MAX + SEAL_BYTES];
	bool now = reply == mischief->reply && number == mischief->frame;
	struct cursor c = cursor_unpack(frame, WIRE_HEADER_BYTES);
	struct wire_header header;
	size_t bytes, left;

	if (recv(from, frame, WIRE_HEADER_BYTES, MSG_WAITALL) != WIRE_HEADER_BYTES)
		return false;
	wire_header_fields(&c, &header);
	left = header.bytes + (number >= 2 ? SEAL_BYTES : 0);
	bytes = WIRE_HEADER_BYTES + left;
	if (left && recv(from, frame + WIRE_HEADER_BYTES, left, MSG_WAITALL) != (ssize_t)left)
		return false;
	if (now && mischief->what == FLIP)
		frame[mischief->at < 0 ? (int)bytes + mischief->at : mischief->at] ^= 1;
	if (now && mischief->what == DROP_SEAL)
		bytes -= SEAL_BYTES;
	if (send(to, frame, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		return false;
	if (now && mischief->what == DROP_SEAL)
		return !shutdown(to, SHUT_WR);
	return !now || mischief->what != TWICE || send(to, frame, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static pid_t middle_start(const struct mischief *mischief, char address[32])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), client, server;
	socklen_t bytes = sizeof(in);
	struct address to;
	unsigned number = 0;
	pid_t pid;

	ck_assert(!bind(listener, (struct sockaddr *)&in, bytes) && !listen(listener, 8));
	ck_assert(!getsockname(listener, (struct sockaddr *)&in, &bytes));
	snprintf(address, 32, "127.0.0.1:%d", ntohs(in.sin_port));
	ck_assert(!address_parse(pmu.address, false, &to, &err));
	pid = fork();
	if (pid) {
		close(listener);
		return pid;
	}
	client = accept(listener, NULL, NULL);
	server = socket(to.storage.ss_family, SOCK_STREAM, 0);
	if (client < 0 || connect(server, (struct sockaddr *)&to.storage, to.bytes))
		_exit(1);
	while (pass(client, server, false, number, mischief) && pass(server, client, true, number, mischief))
		number++;
	_exit(0);
}

START_TEST(what_is_altered_on_its_way_is_noticed)
{
	const struct mischief *mischief = &mischiefs[_i];
	struct control control;
	char address[32];
	pid_t middle;
	int rc;

	start_psk();
	middle = middle_start(mischief, address);
	ck_assert_msg(!login_at(address, key_file, &control), "%s", err.text);
	rc = ask_anything(&control);
	/* What is said twice, and the frame after the first one, come into play one later. */
	if (mischief->what == TWICE || mischief->frame > 2) {
		ck_assert_int_eq(rc, 0);
		rc = ask_anything(&control);
	}
	ck_assert_int_eq(rc, -ECONNRESET);
	ck_assert_int_eq(control.fd, -1);
	kill(middle, SIGKILL);
	waitpid(middle, NULL, 0);
	if (!mischief->reply && mischief->what != DROP_SEAL)
		ck_assert_uint_eq(counted("count.bad_seals"), 1);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- keys ---- */

START_TEST(an_old_key_serves_until_it_is_taken_away)
{
	struct control before;

	key_write(other_file, 'o');
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, "--old-key-file", other_file, NULL},
			    NULL));
	ck_assert_int_eq(login(key_file), 0);
	ck_assert_int_eq(login_at(pmu.address, other_file, &before), 0);
	key_write(own_file, 'x');
	ck_assert_int_eq(login(own_file), -EACCES);

	key_write(other_file, 'n');
	ck_assert_int_eq(login(other_file), -EACCES); /* not read yet */
	kill(pmu.pid, SIGHUP);
	for (unsigned i = 0; i < 100 && login(other_file); i++)
		usleep(10000);
	ck_assert_int_eq(login(other_file), 0);
	ck_assert_int_eq(login(key_file), 0);
	ck_assert_int_eq(ask_anything(&before), 0); /* who is in stays in */
	control_close(&before);

	/* A mistake takes no key away. */
	ck_assert(!chmod(other_file, 0644));
	kill(pmu.pid, SIGHUP);
	usleep(300000);
	ck_assert(!chmod(other_file, 0600));
	ck_assert_int_eq(login(other_file), 0);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

START_TEST(who_has_a_key_of_his_own_proves_that)
{
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, "--user-keys", user_keys, NULL},
			    NULL));
	ck_assert_int_eq(login(key_file), 0);
	key_write(own_file, 'u');
	ck_assert_int_eq(login(own_file), 0);
	ck_assert_int_eq(login(key_file), -EACCES); /* he may be anybody */
	ck_assert(!chmod(own_file, 0644));
	ck_assert_int_eq(login(key_file), -EACCES); /* nor where the own one cannot be read */
	ck_assert(strstr(err.text, "its log says why"));
	unlink(own_file);
	ck_assert_int_eq(login(key_file), 0);
	ck_assert(!rmdir(user_keys));
	ck_assert_int_eq(login(key_file), -EACCES); /* nor where nobody can say whether there is one */
	ck_assert(pmu_stop(&pmu));
	ck_assert(!pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, "--user-keys", user_keys, NULL},
			     NULL));
}
END_TEST

START_TEST(users_keys_are_enough)
{
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--user-keys", user_keys, NULL}, NULL));
	ck_assert_int_eq(login(key_file), -EACCES);
	key_write(own_file, 'u');
	ck_assert_int_eq(login(own_file), 0);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

START_TEST(who_guesses_waits_for_the_answer)
{
	uint64_t began;

	key_write(other_file, 'o');
	start_psk();
	began = clock_monotonic_ns();
	ck_assert_int_eq(login(other_file), -EACCES);
	ck_assert_uint_ge(clock_monotonic_ns() - began, 900000000u);
	ck_assert_uint_eq(counted("count.refused_logins"), 1);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- those who never log in ---- */

static void descriptors_raise(void)
{
	struct rlimit limit;

	ck_assert(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
	ck_assert(!setrlimit(RLIMIT_NOFILE, &limit));
}

START_TEST(who_has_not_logged_in_may_send_little)
{
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_HELLO, WIRE_LOGIN_MAX + 1, 0, 1};
	uint8_t bytes[WIRE_HEADER_BYTES];
	struct cursor c = cursor_pack(bytes, sizeof(bytes));
	int fd;

	start_psk();
	wire_header_fields(&c, &header);
	fd = pmu_connect(&pmu);
	ck_assert_int_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), WIRE_HEADER_BYTES);
	ck_assert(pmu_hangs_up(fd, 5000)); /* long before its time to log in is over */
	close(fd);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

#if !SANITIZED /* which multiplies what a process takes */
/* All of a HELLO but for its last byte, of the largest size: 64 KiB a peer are promised. */
START_TEST(those_who_never_log_in_cost_little)
{
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_HELLO, WIRE_LOGIN_MAX, 0, 1};
	uint8_t bytes[WIRE_HEADER_BYTES + WIRE_LOGIN_MAX - 1] = {0};
	struct cursor c = cursor_pack(bytes, WIRE_HEADER_BYTES);
	uint64_t before, after;
	int fds[1000];

	descriptors_raise();
	wire_header_fields(&c, &header);
	start_psk();
	ck_assert_int_eq(login(key_file), 0);
	before = pmu_anonymous_bytes(pmu.pid);
	for (unsigned i = 0; i < 1000; i++) {
		fds[i] = pmu_connect(&pmu);
		ck_assert_int_eq(send(fds[i], bytes, sizeof(bytes), MSG_NOSIGNAL), (ssize_t)sizeof(bytes));
	}
	ck_assert_int_eq(login(key_file), 0); /* after them: all that they sent is there */
	after = pmu_anonymous_bytes(pmu.pid);
	ck_assert_uint_gt(after, before + 1000 * WIRE_LOGIN_MAX / 2);
	ck_assert_msg(after - before < 1000 * (64u << 10), "%llu bytes a peer", (unsigned long long)(after - before) / 1000);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert(pmu_hangs_up(fds[i], 20000));
	for (unsigned i = 0; i < 1000; i++)
		close(fds[i]);
	ck_assert(pmu_stop(&pmu));
}
END_TEST
#endif

START_TEST(those_who_never_log_in_keep_nobody_out)
{
	int fds[1200];

	descriptors_raise();
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, "--max-sessions", "4", NULL}, NULL));
	for (unsigned i = 0; i < 1200; i++)
		fds[i] = pmu_connect(&pmu);
	ck_assert_msg(!login(key_file), "%s", err.text);
	ck_assert(pmu_hangs_up(fds[0], 5000)); /* the longest of them */
	ck_assert(!pmu_hangs_up(fds[1199], 0));
	ck_assert_uint_gt(counted("count.hurried_logins"), 100);
	for (unsigned i = 0; i < 1200; i++)
		close(fds[i]);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

START_TEST(those_who_are_in_are_limited)
{
	struct control in[2], out;

	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "psk", "--key-file", key_file, "--max-sessions", "2", NULL}, NULL));
	ck_assert_int_eq(login_at(pmu.address, key_file, &in[0]), 0);
	ck_assert_int_eq(login_at(pmu.address, key_file, &in[1]), 0);
	ck_assert_int_eq(login_at(pmu.address, key_file, &out), -EUSERS);
	ck_assert(strstr(err.text, "--max-sessions"));
	control_close(&in[0]);
	for (unsigned i = 0; i < 200 && login(key_file); i++)
		usleep(10000);
	ck_assert_int_eq(login(key_file), 0);
	control_close(&in[1]);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("login");
	TCase *tc = tcase_create("server");

	signal(SIGPIPE, SIG_IGN);
	unit_add(suite, "seal", a_seal_is_good_in_its_place_only, 10);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, what_is_altered_on_its_way_is_noticed, 0, MISCHIEFS);
	tcase_add_test(tc, an_old_key_serves_until_it_is_taken_away);
	tcase_add_test(tc, who_has_a_key_of_his_own_proves_that);
	tcase_add_test(tc, users_keys_are_enough);
	tcase_add_test(tc, who_guesses_waits_for_the_answer);
	tcase_add_test(tc, who_has_not_logged_in_may_send_little);
#if !SANITIZED
	tcase_add_test(tc, those_who_never_log_in_cost_little);
#endif
	tcase_add_test(tc, those_who_never_log_in_keep_nobody_out);
	tcase_add_test(tc, those_who_are_in_are_limited);
	suite_add_tcase(suite, tc);
	return suite;
}
