/* SPDX-License-Identifier: BSD-3-Clause */
/* munge.c - authentication by MUNGE, with a munged of the test's own, which runs as MUNGE's user where that is possible. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/control.h"
#include "common/clock.h"
#include "pmu_fixture.h"
#include "unit.h"
#include "wire/auth.h"

#define MUNGED "/usr/sbin/munged"
#define NOBODY 65534

static struct error err;
static struct wire_hello hello = {1, 1, "munge", 0, 0, 4711, "node", {1, 2, 3}};
static struct wire_hello_reply reply = {1, "munge", 0, {4, 5, 6}};
static char directory[64], socket_path[96];
static struct passwd *munge_user; /* NULL: we are that */
static struct pmu pmu;
static pid_t munged;

/* ---- munged ---- */

static void munged_run(void)
{
	char key[96], pid[96], log[96], seed[96], *const arguments[] = {
		"munged", "--foreground", "--key-file", key, "--socket", socket_path, "--pid-file", pid, "--log-file", log,
		"--seed-file", seed, NULL,
	};
	uint8_t bytes[64];
	int fd;

	snprintf(key, sizeof(key), "%s/key", directory);
	snprintf(pid, sizeof(pid), "%s/pid", directory);
	snprintf(log, sizeof(log), "%s/log", directory);
	snprintf(seed, sizeof(seed), "%s/seed", directory);
	if (munge_user && (setgroups(0, NULL) || setgid(munge_user->pw_gid) || setuid(munge_user->pw_uid)))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	umask(022);
	fd = open(key, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) || write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		_exit(1);
	close(fd);
	execv(MUNGED, arguments);
	_exit(127);
}

static void munged_start(void)
{
	strcpy(directory, access("/dev/shm", W_OK) ? "/tmp/holdfast-munge.XXXXXX" : "/dev/shm/holdfast-munge.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	munge_user = geteuid() ? NULL : getpwnam("munge");
	if (munge_user)
		ck_assert(!chown(directory, munge_user->pw_uid, munge_user->pw_gid));
	ck_assert(!chmod(directory, 0755));
	munged = fork();
	if (!munged)
		munged_run();
	for (unsigned i = 0; i < 1000 && access(socket_path, F_OK); i++)
		usleep(10000);
	ck_assert(!access(socket_path, F_OK));
	hello.uid = geteuid();
	hello.gid = getegid();
	reply.uid = geteuid();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void munged_stop(void)
{
	kill(munged, SIGKILL);
	waitpid(munged, NULL, 0);
	nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void setup(void)
{
	munged_start();
	pmu_make(&pmu);
}

static void teardown(void)
{
	pmu_remove(&pmu);
	munged_stop();
}

/* ---- the method ---- */

static struct auth_exchange exchange_make(void)
{
	return (struct auth_exchange){
		.hello = &hello, .reply = &reply, .munge_socket = socket_path, .server_uid = geteuid()};
}

START_TEST(both_sides_prove_who_they_are)
{
	struct auth_exchange client = exchange_make(), server = exchange_make();
	struct wire_proof proof = {0}, answer = {0};

	ck_assert_msg(!auth_munge.prove(&client, &proof, &err), "%s", err.text);
	ck_assert_msg(!auth_munge.check(&server, &proof, &answer, &err), "%s", err.text);
	ck_assert_msg(!auth_munge.confirm(&client, &answer, &err), "%s", err.text);
	ck_assert(!memcmp(client.session_key, server.session_key, SEAL_KEY_BYTES));
	answer.proof[0] ^= 1;
	ck_assert_int_eq(auth_munge.confirm(&client, &answer, &err), -EACCES);
	/* munged remembers what it has seen. */
	ck_assert_int_eq(auth_munge.check(&server, &proof, &answer, &err), -EACCES);
}
END_TEST

START_TEST(a_credential_is_worth_nothing_in_another_exchange)
{
	struct auth_exchange client = exchange_make(), server = exchange_make();
	struct wire_proof proof = {0}, answer = {0};
	struct wire_hello_reply other_reply = reply;
	struct wire_hello other_hello = hello;

	ck_assert_msg(!auth_munge.prove(&client, &proof, &err), "%s", err.text);
	other_reply.nonce[31] ^= 1;
	server.reply = &other_reply;
	ck_assert_int_eq(auth_munge.check(&server, &proof, &answer, &err), -EACCES);
	ck_assert_msg(strstr(err.text, "another connection"), "%s", err.text);

	ck_assert_msg(!auth_munge.prove(&client, &proof, &err), "%s", err.text);
	other_hello.uid++;
	server = exchange_make();
	server.hello = &other_hello;
	ck_assert_int_eq(auth_munge.check(&server, &proof, &answer, &err), -EACCES);
}
END_TEST

START_TEST(nobody_is_who_munge_does_not_say)
{
	struct auth_exchange exchange;
	struct wire_proof proof = {0}, answer = {0};

	hello.uid++;
	exchange = exchange_make();
	ck_assert_msg(!auth_munge.prove(&exchange, &proof, &err), "%s", err.text);
	ck_assert_int_eq(auth_munge.check(&exchange, &proof, &answer, &err), -EACCES);
	ck_assert_msg(strstr(err.text, "MUNGE knows the client as uid"), "%s", err.text);
}
END_TEST

START_TEST(what_is_no_credential_is_refused)
{
	struct auth_exchange exchange = exchange_make();
	struct wire_proof proof = {0}, answer = {0};

	ck_assert_int_eq(auth_munge.check(&exchange, &proof, &answer, &err), -EACCES);
	memset(proof.proof, 'A', sizeof(proof.proof));
	proof.bytes = sizeof(proof.proof); /* no end */
	ck_assert_int_eq(auth_munge.check(&exchange, &proof, &answer, &err), -EACCES);
	proof.proof[sizeof(proof.proof) - 1] = '\0';
	ck_assert_int_eq(auth_munge.check(&exchange, &proof, &answer, &err), -EACCES);
}
END_TEST

START_TEST(a_credential_is_for_the_user_of_the_server)
{
	struct auth_exchange exchange = exchange_make();
	struct wire_proof proof = {0}, answer = {0};
	int status;

	ck_assert_msg(!auth_munge.prove(&exchange, &proof, &err), "%s", err.text);
	if (!fork()) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(2);
		_exit(auth_munge.check(&exchange, &proof, &answer, &err) == -EACCES ? 0 : 1);
	}
	ck_assert_int_gt(wait(&status), 0);
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
}
END_TEST

START_TEST(a_server_of_anybody_is_not_trusted)
{
	struct auth_exchange exchange = exchange_make();
	struct wire_proof proof = {0};

	reply.uid = geteuid() + 77;
	ck_assert_int_eq(auth_munge.prove(&exchange, &proof, &err), -EACCES);
	ck_assert_msg(strstr(err.text, "set server_user"), "%s", err.text);
	exchange.server_uid = reply.uid;
	ck_assert_msg(!auth_munge.prove(&exchange, &proof, &err), "%s", err.text);
	reply.uid = 0;
	exchange.server_uid = geteuid();
	ck_assert_msg(!auth_munge.prove(&exchange, &proof, &err), "%s", err.text);
}
END_TEST

/* ---- a server ---- */

static void start_server(void)
{
	ck_assert(pmu_start(&pmu, (const char *[]){"--auth", "munge", "--munge-socket", socket_path, NULL}, NULL));
}

static int login(struct control *control)
{
	struct client_options options = {.server = pmu.address, .auth = "munge", .munge_socket = socket_path};

	return control_connect(&options, deadline_in_ms(20000), control, &err);
}

static int ask(struct control *control)
{
	struct wire_stat_reply stat = {0};
	int rc = control_call(control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, &stat,
			      deadline_in_ms(5000), &err);

	free(stat.stats);
	return rc;
}

START_TEST(a_server_lets_in_whom_munge_knows)
{
	struct control control[8];

	start_server();
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_msg(!login(&control[i]), "%s", err.text);
		ck_assert(control[i].seal.on);
	}
	for (unsigned i = 0; i < 8; i++) {
		ck_assert_msg(!ask(&control[i]), "%s", err.text);
		control_close(&control[i]);
	}
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* The credential is made before munged stops, so that it is the server who waits for it. */
START_TEST(a_munged_that_hangs_keeps_nobody_waiting_who_is_in)
{
	struct auth_exchange exchange = exchange_make();
	struct wire_proof proof = {0}, answer = {0};
	struct control in, late = {.server = pmu.address};
	pid_t pid;
	int status;

	start_server();
	ck_assert_msg(!login(&in), "%s", err.text);
	late.fd = pmu_connect(&pmu);
	hello.version_min = hello.version_max = WIRE_VERSION;
	ck_assert(!control_call(&late, WIRE_HELLO, wire_hello_fields, &hello, wire_hello_reply_fields, &reply,
				deadline_in_ms(5000), &err));
	ck_assert_msg(!auth_munge.prove(&exchange, &proof, &err), "%s", err.text);
	kill(munged, SIGSTOP);
	pid = fork();
	if (!pid)
		_exit(control_call(&late, WIRE_PROOF, wire_proof_fields, &proof, wire_proof_fields, &answer,
				   deadline_in_ms(30000), &err) ? 0 : 1);
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_msg(!ask(&in), "%s", err.text);
		usleep(50000);
	}
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0); /* it waits for munged all the while, */
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);     /* but not for ever */
	ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
	kill(munged, SIGCONT);
	control_close(&late);
	control_close(&in);
	ck_assert_msg(!login(&in), "%s", err.text);
	control_close(&in);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

START_TEST(a_munged_that_is_gone_is_named)
{
	struct control control;

	start_server();
	kill(munged, SIGKILL);
	waitpid(munged, NULL, 0);
	unlink(socket_path);
	ck_assert_int_eq(login(&control), -EACCES);
	ck_assert_msg(strstr(err.text, "Is munged running on that node"), "%s", err.text);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("munge");
	TCase *method = tcase_create("method"), *server = tcase_create("server");

	if (access(MUNGED, X_OK)) {
		printf("1..0 # SKIP %s is not there: install the package munge\n", MUNGED);
		exit(0);
	}
	tcase_add_checked_fixture(method, munged_start, munged_stop);
	tcase_set_timeout(method, 60);
	tcase_add_test(method, both_sides_prove_who_they_are);
	tcase_add_test(method, a_credential_is_worth_nothing_in_another_exchange);
	tcase_add_test(method, nobody_is_who_munge_does_not_say);
	tcase_add_test(method, what_is_no_credential_is_refused);
	tcase_add_test(method, a_server_of_anybody_is_not_trusted);
	if (!geteuid()) /* it changes its uid */
		tcase_add_test(method, a_credential_is_for_the_user_of_the_server);
	suite_add_tcase(suite, method);
	tcase_add_checked_fixture(server, setup, teardown);
	tcase_set_timeout(server, 120);
	tcase_add_test(server, a_server_lets_in_whom_munge_knows);
	tcase_add_test(server, a_munged_that_hangs_keeps_nobody_waiting_who_is_in);
	tcase_add_test(server, a_munged_that_is_gone_is_named);
	suite_add_tcase(suite, server);
	return suite;
}
