/* SPDX-License-Identifier: BSD-3-Clause */
/* launch.c - when a job is started again, what its ranks are told, their notes, standard input, command lines. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/address.h"
#include "launch/command.h"
#include "launch/input.h"
#include "launch/mailbox.h"
#include "launch/policy.h"
#include "launch/restart.h"
#include "launch/version.h"
#include "unit.h"

#define VALUE_BYTES 256

/* ---- policy ---- */

static struct policy *policy_of(int max_restarts, int window_s, const char *codes)
{
	static char *const argv[] = {"mpirun", "-n", "4", "./my app", NULL};
	struct policy_settings settings = {
		.max_restarts = max_restarts, .window_s = window_s, .final_codes = codes};
	struct policy *policy;
	struct error err;

	ck_assert_int_eq(policy_new(&settings, argv, &policy, &err), 0);
	return policy;
}

struct wanted {
	const char *name;
	char *value;
	bool found;
};

static void variable_find(void *arg, const char *name, const char *value)
{
	struct wanted *wanted = arg;

	if (strcmp(wanted->name, name))
		return;
	snprintf(wanted->value, VALUE_BYTES, "%s", value);
	wanted->found = true;
}

/* NULL: not set. Good for the next few calls. */
static const char *variable(const struct policy *policy, const char *name)
{
	static char values[8][VALUE_BYTES];
	static unsigned next;
	struct wanted wanted = {name, values[next++ % 8], false};

	policy_environment(policy, variable_find, &wanted);
	return wanted.found ? wanted.value : NULL;
}

static const struct policy_failure killed = {POLICY_SIGNAL, SIGKILL, 2, "node1"};
static const struct policy_failure crashed = {POLICY_SIGNAL, SIGSEGV, 0, "node1"};

START_TEST(a_job_is_started_again_so_often_and_no_more)
{
	struct policy *policy = policy_of(2, 0, "");

	ck_assert(policy_failed(policy, &killed));
	ck_assert(policy_failed(policy, &killed));
	ck_assert_uint_eq(policy_incarnation(policy), 2);
	ck_assert(!policy_failed(policy, &killed));
	ck_assert_uint_eq(policy_incarnation(policy), 2);
	policy_free(policy);
}
END_TEST

START_TEST(restarts_before_the_window_do_not_count)
{
	struct policy *policy = policy_of(1, 1, "");

	ck_assert(policy_failed(policy, &killed));
	ck_assert(!policy_failed(policy, &killed));
	sleep(2);
	ck_assert(policy_failed(policy, &killed));
	policy_free(policy);
}
END_TEST

START_TEST(none_are_allowed)
{
	struct policy *policy = policy_of(0, 0, "");

	ck_assert(!policy_failed(policy, &killed));
	policy_free(policy);
}
END_TEST

START_TEST(some_exit_codes_are_final)
{
	struct policy_failure failure = {POLICY_EXIT, 75, 0, NULL};
	struct policy *policy = policy_of(9, 0, "70,75");

	ck_assert(!policy_failed(policy, &failure));
	failure.cause = POLICY_ABORT;
	failure.code = 70;
	ck_assert(!policy_failed(policy, &failure));
	failure.code = 71;
	ck_assert(policy_failed(policy, &failure));
	failure.cause = POLICY_SIGNAL; /* a signal's number is no exit code */
	failure.code = 75;
	ck_assert(policy_failed(policy, &failure));
	policy_free(policy);
}
END_TEST

START_TEST(a_list_of_codes_that_is_none_is_refused)
{
	static const char *const bad[] = {"x", "1,,2", "0", "256", "1 2", "-1"};
	struct policy_settings settings = {.max_restarts = 1};
	struct policy *policy;
	struct error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		settings.final_codes = bad[i];
		ck_assert_msg(policy_new(&settings, NULL, &policy, &err) == -EINVAL, "'%s' is taken", bad[i]);
	}
}
END_TEST

START_TEST(ranks_are_told_what_happened)
{
	struct policy *policy = policy_of(9, 0, "");
	const char *launch = variable(policy, "HOLDFAST_LAUNCH");

	ck_assert_uint_eq(strlen(launch), 32);
	ck_assert_str_eq(variable(policy, "HOLDFAST_INCARNATION"), "0");
	ck_assert_str_eq(variable(policy, "HOLDFAST_COMMAND"), "[\"mpirun\",\"-n\",\"4\",\"./my app\"]");
	ck_assert_ptr_null(variable(policy, "HOLDFAST_RESTART"));
	ck_assert(policy_failed(policy, &killed));
	ck_assert_str_eq(variable(policy, "HOLDFAST_LAUNCH"), launch);
	ck_assert_str_eq(variable(policy, "HOLDFAST_INCARNATION"), "1");
	ck_assert_str_eq(variable(policy, "HOLDFAST_RESTART"), "rank 2 on node1 was killed by signal 9 (Killed)");
	ck_assert_ptr_nonnull(variable(policy, "HOLDFAST_RESTART_NS"));
	policy_free(policy);
}
END_TEST

START_TEST(a_job_without_known_ranks_is_judged_by_its_exit_code)
{
	struct policy_failure failure = {POLICY_JOB, 7, 0, NULL};
	struct policy *policy = policy_of(9, 0, "75");

	ck_assert(policy_failed(policy, &failure));
	ck_assert_str_eq(variable(policy, "HOLDFAST_RESTART"), "the job ended with exit code 7");
	ck_assert_str_eq(variable(policy, "HOLDFAST_CRASHES"), "1");
	failure.code = 0; /* no proof, and no crash */
	ck_assert(policy_failed(policy, &failure));
	ck_assert_str_eq(variable(policy, "HOLDFAST_RESTART"), "the job ended without reaching MPI_Finalize");
	ck_assert_str_eq(variable(policy, "HOLDFAST_CRASHES"), "0");
	failure.code = 75;
	ck_assert(!policy_failed(policy, &failure));
	policy_free(policy);
}
END_TEST

START_TEST(crashes_in_a_row_are_counted_and_kills_are_not)
{
	struct policy_failure lost = {POLICY_NODE, 0, 0, "node3"};
	struct policy *policy = policy_of(9, 0, "");

	ck_assert(policy_failed(policy, &crashed));
	ck_assert(policy_failed(policy, &crashed));
	ck_assert_str_eq(variable(policy, "HOLDFAST_CRASHES"), "2");
	ck_assert(policy_failed(policy, &killed));
	ck_assert_str_eq(variable(policy, "HOLDFAST_CRASHES"), "0");
	ck_assert(policy_failed(policy, &crashed));
	ck_assert(policy_failed(policy, &lost));
	ck_assert_str_eq(variable(policy, "HOLDFAST_CRASHES"), "0");
	ck_assert_str_eq(variable(policy, "HOLDFAST_RESTART"), "node node3 was lost");
	policy_free(policy);
}
END_TEST

/* ---- restart ---- */

static struct restart *restart_new(void)
{
	const struct restart_settings settings = {.policy = {.max_restarts = 9}, .start_timeout_s = 7};
	struct restart *restart;
	struct error err;

	ck_assert_int_eq(restart_open(&settings, NULL, &restart, &err), 0);
	return restart;
}

START_TEST(an_incarnation_whose_processes_do_not_all_run_is_late)
{
	struct restart *restart = restart_new();
	struct policy_failure failure;

	ck_assert(restart_failed(restart, &killed));
	ck_assert(restart_is_late(restart, &failure));
	ck_assert_int_eq(failure.cause, POLICY_LATE);
	ck_assert_int_eq(failure.code, 7);
	restart_reached(restart, RESTART_RUNNING);
	ck_assert(!restart_is_late(restart, &failure));
	restart_close(restart);
}
END_TEST

START_TEST(an_incarnation_that_does_not_come_as_far_as_an_earlier_one_is_late)
{
	struct restart *restart = restart_new();
	struct policy_failure failure;

	restart_reached(restart, RESTART_RUNNING);
	restart_reached(restart, RESTART_REGISTERED);
	ck_assert(restart_failed(restart, &killed));
	restart_reached(restart, RESTART_RUNNING);
	ck_assert(restart_is_late(restart, &failure));
	ck_assert(restart_failed(restart, &failure));
	restart_reached(restart, RESTART_RUNNING);
	ck_assert(restart_is_late(restart, &failure)); /* the last one was no measure */
	restart_reached(restart, RESTART_REGISTERED);
	ck_assert(!restart_is_late(restart, &failure));
	restart_close(restart);
}
END_TEST

static void mailbox_of(void *arg, const char *name, const char *value)
{
	if (!strcmp(name, MAILBOX_VARIABLE))
		snprintf(arg, VALUE_BYTES * 2, "%s", value);
}

START_TEST(what_the_ranks_told_of_one_incarnation_is_asked_of_the_next)
{
	struct restart *restart = restart_new();
	struct policy_failure failure;
	char address[VALUE_BYTES * 2] = "";
	struct error err;

	restart_environment(restart, mailbox_of, address);
	ck_assert_int_eq(mailbox_post(address, MAILBOX_BEGUN, 0, &err), 0);
	ck_assert(restart_failed(restart, &killed));
	restart_reached(restart, RESTART_REGISTERED);
	ck_assert(restart_is_late(restart, &failure));
	ck_assert_int_eq(mailbox_post(address, MAILBOX_BEGUN, 1, &err), 0);
	ck_assert(!restart_is_late(restart, &failure));
	restart_close(restart);
}
END_TEST

/* ---- command line and version ---- */

static char **command_of(const char *bytes, size_t count, const char *name)
{
	char path[] = "/tmp/holdfast.XXXXXX";
	int fd = mkstemp(path);
	char **argv;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
	close(fd);
	argv = command_read(path, name);
	unlink(path);
	return argv;
}

START_TEST(a_command_line_is_read_as_it_was_given)
{
	static const char bytes[] = "mpirun\0-n\0004\0\0./my app";
	char **argv = command_of(bytes, sizeof(bytes), NULL);

	ck_assert_ptr_nonnull(argv);
	ck_assert_str_eq(argv[0], "mpirun");
	ck_assert_str_eq(argv[1], "-n");
	ck_assert_str_eq(argv[2], "4");
	ck_assert_str_eq(argv[3], "");
	ck_assert_str_eq(argv[4], "./my app");
	ck_assert_ptr_null(argv[5]);
	free(argv);
}
END_TEST

START_TEST(a_launcher_that_became_another_program_keeps_its_name)
{
	static const char bytes[] = "prterun\0./app"; /* the last NUL may be missing */
	char **argv = command_of(bytes, sizeof(bytes) - 1, "mpirun");

	ck_assert_ptr_nonnull(argv);
	ck_assert_str_eq(argv[0], "mpirun");
	ck_assert_str_eq(argv[1], "./app");
	ck_assert_ptr_null(argv[2]);
	free(argv);
	argv = command_of(bytes, sizeof(bytes), "");
	ck_assert_ptr_nonnull(argv);
	ck_assert_str_eq(argv[0], "prterun");
	free(argv);
}
END_TEST

START_TEST(a_command_line_that_cannot_be_whole_is_none)
{
	static char bytes[65536];

	memset(bytes, 'a', sizeof(bytes) - 1);
	ck_assert_ptr_null(command_of(bytes, sizeof(bytes), NULL));
	ck_assert_ptr_null(command_of(bytes, 0, NULL));
	ck_assert_ptr_null(command_read("/none/such", "mpirun"));
}
END_TEST

START_TEST(another_series_is_not_known)
{
	ck_assert(version_is_known("PRRTE", "3.0.8", "3.0."));
	ck_assert(version_is_known("ORTE", "4.1.4", "4.1."));
	ck_assert(!version_is_known("PRRTE", "3.1.0", "3.0."));
	ck_assert(!version_is_known("PRRTE", "", "3.0."));
}
END_TEST

/* ---- mailbox ---- */

static struct mailbox *mailbox_new(void)
{
	struct mailbox *mailbox;
	struct error err;

	ck_assert_int_eq(mailbox_open(&mailbox, &err), 0);
	return mailbox;
}

START_TEST(a_note_arrives_once_posted)
{
	struct mailbox *mailbox = mailbox_new();
	struct error err = {0};

	ck_assert(!mailbox_has(mailbox, MAILBOX_FINALIZED, 3));
	ck_assert_msg(!mailbox_post(mailbox_address(mailbox), MAILBOX_FINALIZED, 3, &err), "%s", err.text);
	ck_assert(!mailbox_has(mailbox, MAILBOX_FINALIZED, 2));
	ck_assert(mailbox_has(mailbox, MAILBOX_FINALIZED, 3));
	ck_assert(!mailbox_has(mailbox, MAILBOX_FINALIZED, 4));
	ck_assert(!mailbox_has(mailbox, MAILBOX_BEGUN, 3));
	ck_assert_int_eq(mailbox_post(mailbox_address(mailbox), MAILBOX_BEGUN, 3, &err), 0);
	ck_assert(mailbox_has(mailbox, MAILBOX_BEGUN, 3));
	mailbox_close(mailbox);
}
END_TEST

START_TEST(a_note_with_another_token_is_none)
{
	struct mailbox *mailbox = mailbox_new();
	char address[2048];
	struct error err;

	snprintf(address, sizeof(address), "%s", mailbox_address(mailbox));
	address[5] = address[5] == '0' ? '1' : '0';
	ck_assert_int_eq(mailbox_post(address, MAILBOX_FINALIZED, 3, &err), 0);
	ck_assert(!mailbox_has(mailbox, MAILBOX_FINALIZED, 3));
	mailbox_close(mailbox);
}
END_TEST

START_TEST(who_connects_and_says_nothing_holds_nobody_up)
{
	struct mailbox *mailbox = mailbox_new();
	struct address to;
	struct error err;
	char copy[2048], *rest, *at;
	int fds[4];

	snprintf(copy, sizeof(copy), "%s", mailbox_address(mailbox));
	strtok_r(copy, " ", &rest);
	at = strtok_r(NULL, " ", &rest);
	ck_assert_int_eq(address_parse(at, false, &to, &err), 0);
	for (int i = 0; i < 4; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&to.storage, to.bytes), 0);
	}
	ck_assert_int_eq(mailbox_post(mailbox_address(mailbox), MAILBOX_FINALIZED, 0, &err), 0);
	ck_assert(mailbox_has(mailbox, MAILBOX_FINALIZED, 0));
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	mailbox_close(mailbox);
}
END_TEST

START_TEST(an_address_that_is_none_is_an_error)
{
	struct error err;

	ck_assert_int_lt(mailbox_post("", MAILBOX_FINALIZED, 0, &err), 0);
	ck_assert_int_lt(mailbox_post("token", MAILBOX_FINALIZED, 0, &err), 0);
	ck_assert_int_lt(mailbox_post("token 127.0.0.1:1", MAILBOX_FINALIZED, 0, &err), 0);
}
END_TEST

/* ---- standard input ---- */

/* Descriptor 0 is a pipe; returns its writing end. */
static int pipe_in(void)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[0], 0), 0);
	close(fds[0]);
	return fds[1];
}

static void reads(const char *text)
{
	char got[64] = "";
	size_t bytes = 0;

	while (bytes < strlen(text)) {
		ssize_t n = read(0, got + bytes, strlen(text) - bytes);

		ck_assert_int_gt(n, 0);
		bytes += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

static void write_text(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

START_TEST(what_was_read_is_given_again_and_goes_on)
{
	int in = pipe_in();
	struct input *input;
	struct error err;

	ck_assert_int_eq(input_open(1000, &input, &err), 0);
	ck_assert_ptr_nonnull(input);
	write_text(in, "one ");
	reads("one ");
	input_stop(input);
	ck_assert_int_eq(read(0, &(char){0}, 1), 0); /* the first incarnation's end */
	ck_assert_int_eq(input_again(input, &err), 0);
	reads("one ");
	write_text(in, "two");
	close(in);
	reads("two");
	ck_assert_int_eq(read(0, &(char){0}, 1), 0);
	ck_assert_int_eq(input_again(input, &err), 0);
	reads("one two");
	ck_assert_int_eq(read(0, &(char){0}, 1), 0);
	input_close(input);
}
END_TEST

START_TEST(input_that_nobody_read_is_not_lost)
{
	int in = pipe_in();
	struct input *input;
	struct error err;

	ck_assert_int_eq(input_open(1000, &input, &err), 0);
	write_text(in, "early");
	ck_assert_int_eq(input_again(input, &err), 0);
	reads("early");
	input_close(input);
}
END_TEST

START_TEST(more_than_is_kept_cannot_be_given_again)
{
	int in = pipe_in();
	struct input *input;
	struct error err;

	ck_assert_int_eq(input_open(4, &input, &err), 0);
	write_text(in, "12345");
	reads("12345");
	ck_assert_int_eq(input_again(input, &err), -EFBIG);
	input_close(input);
}
END_TEST

START_TEST(dev_null_needs_nothing)
{
	struct input *input = (struct input *)&input;
	struct error err;

	ck_assert_ptr_nonnull(freopen("/dev/null", "r", stdin));
	ck_assert_int_eq(input_open(1000, &input, &err), 0);
	ck_assert_ptr_null(input);
	ck_assert_int_eq(input_again(input, &err), 0);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("launch");

	unit_add(suite, "policy", a_job_is_started_again_so_often_and_no_more, 20);
	unit_add(suite, "policy", restarts_before_the_window_do_not_count, 20);
	unit_add(suite, "policy", none_are_allowed, 20);
	unit_add(suite, "policy", some_exit_codes_are_final, 20);
	unit_add(suite, "policy", a_list_of_codes_that_is_none_is_refused, 20);
	unit_add(suite, "policy", ranks_are_told_what_happened, 20);
	unit_add(suite, "policy", a_job_without_known_ranks_is_judged_by_its_exit_code, 20);
	unit_add(suite, "policy", crashes_in_a_row_are_counted_and_kills_are_not, 20);
	unit_add(suite, "restart", an_incarnation_whose_processes_do_not_all_run_is_late, 20);
	unit_add(suite, "restart", an_incarnation_that_does_not_come_as_far_as_an_earlier_one_is_late, 20);
	unit_add(suite, "restart", what_the_ranks_told_of_one_incarnation_is_asked_of_the_next, 20);
	unit_add(suite, "command", a_command_line_is_read_as_it_was_given, 20);
	unit_add(suite, "command", a_launcher_that_became_another_program_keeps_its_name, 20);
	unit_add(suite, "command", a_command_line_that_cannot_be_whole_is_none, 20);
	unit_add(suite, "version", another_series_is_not_known, 20);
	unit_add(suite, "mailbox", a_note_arrives_once_posted, 20);
	unit_add(suite, "mailbox", a_note_with_another_token_is_none, 20);
	unit_add(suite, "mailbox", who_connects_and_says_nothing_holds_nobody_up, 20);
	unit_add(suite, "mailbox", an_address_that_is_none_is_an_error, 20);
	unit_add(suite, "input", what_was_read_is_given_again_and_goes_on, 20);
	unit_add(suite, "input", input_that_nobody_read_is_not_lost, 20);
	unit_add(suite, "input", more_than_is_kept_cannot_be_given_again, 20);
	unit_add(suite, "input", dev_null_needs_nothing, 20);
	return suite;
}
