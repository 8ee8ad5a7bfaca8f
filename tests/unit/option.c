/* SPDX-License-Identifier: BSD-3-Clause */
/* option.c - where configuration variables come from, and what is refused. */
#include "client/option.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"

static char home[] = "/tmp/option-test-XXXXXX";
static char path[256];

/* A home of its own, a file in it with this text, and none of the caller's variables. */
static void fresh(const char *text)
{
	FILE *file;

	unsetenv("HOLDFAST_CONFIG");
	for (size_t i = 0; option_at(i); i++) {
		char name[64] = "HOLDFAST_";
		size_t at = strlen(name);

		for (const char *c = option_at(i)->name; *c; c++)
			name[at++] = *c == '_' ? '_' : (char)(*c - 32);
		unsetenv(name);
		option_override(option_at(i)->name, NULL);
	}
	ck_assert_ptr_nonnull(mkdtemp(home));
	snprintf(path, sizeof(path), "%s/.config", home);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/.config/holdfast.conf", home);
	setenv("HOME", home, 1);
	if (!text)
		return;
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void clean(void)
{
	unlink(path);
	snprintf(path, sizeof(path), "%s/.config", home);
	rmdir(path);
	rmdir(home);
}

/* Loading gives this code, and a message with all of these parts (NULL: not asked for). */
static void refused(int code, const char *one, const char *two, const char *three)
{
	struct options options = {0};
	struct error err = {0};

	ck_assert_int_eq(options_load(&options, &err), code);
	ck_assert_ptr_null(options.server);
	options_free(&options);
	if (one && !strstr(err.text, one))
		ck_abort_msg("no \"%s\" in: %s", one, err.text);
	if (two && !strstr(err.text, two))
		ck_abort_msg("no \"%s\" in: %s", two, err.text);
	if (three && !strstr(err.text, three))
		ck_abort_msg("no \"%s\" in: %s", three, err.text);
}

START_TEST(defaults_are_those_of_the_table)
{
	struct options options;
	struct error err;

	fresh("server = storage1\n");
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_str_eq(options.server, "storage1");
	ck_assert_str_eq(options.mode, "full");
	ck_assert_str_eq(options.auth, "none");
	ck_assert_ptr_null(options.job);
	ck_assert_ptr_null(options.key_file);
	ck_assert_uint_eq(options.interval_ms, 600000);
	ck_assert_uint_eq(options.mtbf_ms, 86400000);
	ck_assert_uint_eq(options.timeout_ms, 10000);
	ck_assert_uint_eq(options.reconnect_ms, 30000);
	ck_assert_uint_eq(options.block_bytes, 65536);
	ck_assert_uint_eq(options.chunk_bytes, 0);
	ck_assert_ptr_null(options.pool);
	ck_assert_uint_eq(options.pool_size, 0);
	ck_assert_uint_eq(options.pool_idle_ms, 600000);
	ck_assert_uint_eq(options.epoch, 0);
	ck_assert_int_eq(options.checkpoint_signal, SIGUSR1);
	ck_assert_int_eq(options.leave_signal, SIGUSR2);
	ck_assert(!options.takeover && !options.verbose);
	options_free(&options);
	clean();
}
END_TEST

START_TEST(all_kinds_of_values_are_understood)
{
	struct options options;
	struct error err;

	fresh("# comment\n\n; comment\n  server = a:1\n\tjob=x y\nchunk = 2M\nwindow = 8\n"
	      "interval = 0.0001\ntimeout = 2.5\ntakeover = on\nverbose = no\nkey_file = /k\n"
	      "net =\nepoch = 18446744073709551615\ncheckpoint_signal = none\nleave_signal = SIGTERM\n");
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_str_eq(options.server, "a:1");
	ck_assert_str_eq(options.job, "x y");
	ck_assert_uint_eq(options.chunk_bytes, 2 << 20);
	ck_assert_uint_eq(options.window, 8);
	ck_assert_uint_eq(options.interval_ms, 1);
	ck_assert_uint_eq(options.timeout_ms, 2500);
	ck_assert(options.takeover && !options.verbose);
	ck_assert_str_eq(options.auth, "psk");
	ck_assert_ptr_null(options.net);
	ck_assert(options.epoch == UINT64_MAX);
	ck_assert_int_eq(options.checkpoint_signal, 0);
	ck_assert_int_eq(options.leave_signal, SIGTERM);
	options_free(&options);
	clean();
}
END_TEST

START_TEST(every_power_of_2_from_4_kib_to_4_mib_is_a_block)
{
	struct options options;
	struct error err;
	char text[32];

	fresh("server = a\nblock = 4M\n");
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_uint_eq(options.block_bytes, 4 << 20);
	options_free(&options);
	for (uint64_t bytes = 4096; bytes <= 4 << 20; bytes *= 2) {
		snprintf(text, sizeof(text), "%u", (unsigned)bytes);
		setenv("HOLDFAST_BLOCK", text, 1);
		ck_assert_int_eq(options_load(&options, &err), 0);
		ck_assert_uint_eq(options.block_bytes, bytes);
		options_free(&options);
	}
	option_override("block", "3K");
	refused(-EINVAL, "MCA variable hook_holdfast_block: block cannot be \"3K\"", "a power of 2 from 4K to 4M", NULL);
	clean();
}
END_TEST

START_TEST(interval_may_be_chosen_for_the_user)
{
	struct options options;
	struct error err;

	fresh("server = a\ninterval = auto\nmtbf = 3600.5\n");
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_uint_eq(options.interval_ms, INTERVAL_AUTO);
	ck_assert_uint_eq(options.mtbf_ms, 3600500);
	options_free(&options);
	clean();
}
END_TEST

START_TEST(precedence_is_plugin_environment_file)
{
	struct options options;
	struct error err;

	fresh("server = file\njob = file\nfabric = file\n");
	setenv("HOLDFAST_SERVER", "environment", 1);
	setenv("HOLDFAST_JOB", "environment", 1);
	setenv("HOLDFAST_FABRIC", "", 1);
	ck_assert_int_eq(option_override("server", "plugin"), 0);
	ck_assert_int_eq(option_override("none", "plugin"), -EINVAL);
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_str_eq(options.server, "plugin");
	ck_assert_str_eq(options.job, "environment");
	ck_assert_str_eq(options.fabric, "file");
	options_free(&options);
	ck_assert_int_eq(option_override("server", ""), 0);
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_str_eq(options.server, "environment");
	options_free(&options);
	clean();
}
END_TEST

START_TEST(named_file_is_the_only_one)
{
	struct options options;
	struct error err;
	char other[300];

	fresh("server = user\n");
	snprintf(other, sizeof(other), "%s/other", home);
	setenv("HOLDFAST_CONFIG", other, 1);
	refused(-EINVAL, other, NULL, NULL);
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_str_eq(options.server, "user");
	options_free(&options);
	setenv("HOLDFAST_CONFIG", "/dev/null", 1);
	ck_assert_int_eq(options_load(&options, &err), 0);
	ck_assert_ptr_null(options.server);
	options_free(&options);
	unlink(other);
	clean();
}
END_TEST

START_TEST(unknown_name_is_refused_with_its_line)
{
	fresh("server = a\n\nsevrer = b\n");
	refused(-EINVAL, "holdfast.conf:3", "sevrer", "interval");
	clean();
}
END_TEST

START_TEST(bad_values_are_refused_with_their_line)
{
	static const struct {
		const char *text, *name, *allowed;
	} bad[] = {
		{"timeout = soon", "timeout", "seconds"},
		{"timeout = -1", "timeout", "seconds"},
		{"timeout = 1e3", "timeout", "seconds"},
		{"timeout = nan", "timeout", "seconds"},
		{"timeout = 99999999999", "timeout", "seconds"},
		{"timeout = 5 s", "timeout", "seconds"},
		{"timeout = auto", "timeout", "seconds"},
		{"interval = automatic", "interval", "auto, or a number of seconds"},
		{"interval = -1", "interval", "auto, or a number of seconds"},
		{"mtbf = auto", "mtbf", "seconds"},
		{"chunk = much", "chunk", "size"},
		{"chunk = -5", "chunk", "size"},
		{"block = 0", "block", "a power of 2 from 4K to 4M"},
		{"block = 2K", "block", "a power of 2 from 4K to 4M"},
		{"block = 8M", "block", "a power of 2 from 4K to 4M"},
		{"block = 96K", "block", "a power of 2 from 4K to 4M"},
		{"block = 65535", "block", "a power of 2 from 4K to 4M"},
		{"block = 4096T", "block", "a power of 2 from 4K to 4M"},
		{"block = -64K", "block", "a power of 2 from 4K to 4M"},
		{"block = big", "block", "a power of 2 from 4K to 4M"},
		{"window = -1", "window", "number"},
		{"window = 3x", "window", "number"},
		{"window = 99999999", "window", "number"},
		{"epoch = last", "epoch", "number of an epoch"},
		{"epoch = 18446744073709551616", "epoch", "number of an epoch"},
		{"leave_signal = KILL", "leave_signal", "USR1, USR2"},
		{"leave_signal = SIGSEGV", "leave_signal", "USR1, USR2"},
		{"checkpoint_signal = SIG", "checkpoint_signal", "USR1, USR2"},
		{"checkpoint_signal = 10", "checkpoint_signal", "USR1, USR2"},
		{"verbose = perhaps", "verbose", "yes"},
		{"mode = fu", "mode", "full|incremental"},
		{"mode = fullest", "mode", "full|incremental"},
		{"auth = kerberos", "auth", "munge|psk|none"},
		{"[section]\njob = x", "section", ":3"},
		{"just words", "name = value", ":2"},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(home + strlen(home) - 6, "XXXXXX");
		snprintf(text, sizeof(text), "server = a\n%s\nwindow = 1\n", bad[i].text);
		fresh(text);
		refused(-EINVAL, "holdfast.conf:", bad[i].name, bad[i].allowed);
		clean();
	}
}
END_TEST

START_TEST(line_that_is_too_long_is_refused)
{
	char text[5000] = "server = a\njob = ";

	memset(text + strlen(text), 'x', 4000);
	fresh(text);
	refused(-EINVAL, "holdfast.conf:2", "longer", NULL);
	clean();
}
END_TEST

START_TEST(bad_environment_is_named)
{
	fresh("server = a\n");
	setenv("HOLDFAST_TIMEOUT", "x", 1);
	refused(-EINVAL, "environment variable HOLDFAST_TIMEOUT", "seconds", NULL);
	unsetenv("HOLDFAST_TIMEOUT");
	option_override("window", "x");
	refused(-EINVAL, "hook_holdfast_window", "number", NULL);
	clean();
}
END_TEST

START_TEST(combinations_are_checked)
{
	fresh("server = a\nmode = incremental\n");
	setenv("HOLDFAST_AUTH", "psk", 1);
	refused(-EINVAL, "key_file", NULL, NULL);
	setenv("HOLDFAST_AUTH", "none", 1);
	setenv("HOLDFAST_TIMEOUT", "0", 1);
	refused(-EINVAL, "timeout", "deadline", NULL);
	setenv("HOLDFAST_TIMEOUT", "1", 1);
	setenv("HOLDFAST_MTBF", "0", 1);
	refused(-EINVAL, "mtbf", "computed", NULL);
	unsetenv("HOLDFAST_TIMEOUT");
	unsetenv("HOLDFAST_MTBF");
	setenv("HOLDFAST_LEAVE_SIGNAL", "SIGUSR1", 1);
	refused(-EINVAL, "checkpoint_signal", "leave_signal", "USR1");
	clean();
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("option");

	unit_add(suite, "defaults_are_those_of_the_table", defaults_are_those_of_the_table, 10);
	unit_add(suite, "all_kinds_of_values_are_understood", all_kinds_of_values_are_understood, 10);
	unit_add(suite, "every_power_of_2_from_4_kib_to_4_mib_is_a_block",
		 every_power_of_2_from_4_kib_to_4_mib_is_a_block, 10);
	unit_add(suite, "interval_may_be_chosen_for_the_user", interval_may_be_chosen_for_the_user, 10);
	unit_add(suite, "precedence_is_plugin_environment_file", precedence_is_plugin_environment_file, 10);
	unit_add(suite, "named_file_is_the_only_one", named_file_is_the_only_one, 10);
	unit_add(suite, "unknown_name_is_refused_with_its_line", unknown_name_is_refused_with_its_line, 10);
	unit_add(suite, "bad_values_are_refused_with_their_line", bad_values_are_refused_with_their_line, 10);
	unit_add(suite, "line_that_is_too_long_is_refused", line_that_is_too_long_is_refused, 10);
	unit_add(suite, "bad_environment_is_named", bad_environment_is_named, 10);
	unit_add(suite, "combinations_are_checked", combinations_are_checked, 10);
	return suite;
}
