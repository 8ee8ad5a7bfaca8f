/* SPDX-License-Identifier: BSD-3-Clause */
/* embedded.c - the pmu-server that a node's own processes find or start: where, once, and what is in the way. */
#include "client/embedded.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include "client/control.h"
#include "common/clock.h"
#include "scratch.h"
#include "unit.h"

#define PROCESSES 8

/* The server that the test caused. */
static pid_t server;

/* A state and a runtime directory of its own, and the server of this build. */
static void fresh(void)
{
	const char *top = getenv("top_builddir");
	char program[512];

	scratch_make();
	snprintf(program, sizeof(program), "%s/pmu-server", top ? top : ".");
	ck_assert_int_eq(mkdir(scratch_path("run"), 0700), 0);
	setenv("HOME", scratch_path("home"), 1);
	setenv("XDG_STATE_HOME", scratch_path("state"), 1);
	setenv("XDG_RUNTIME_DIR", scratch_path("run"), 1);
	setenv("HOLDFAST_PMU_SERVER", program, 1);
}

static struct options given(void)
{
	return (struct options){.pool_size = 64 << 20, .pool_idle_ms = 60000};
}

static struct embedded located(const struct options *options)
{
	struct embedded embedded;
	struct error err = {0};

	ck_assert_msg(!embedded_locate(options, &embedded, &err), "%s", err.text);
	return embedded;
}

/* The number in the lock file of the pool: its server's. */
static pid_t server_of(const struct embedded *embedded)
{
	char path[320];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/lock", embedded->pool);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &pid) != 1)
		pid = 0;
	fclose(file);
	return pid;
}

/* Gone, or a zombie that nobody waits for, all of whose threads have closed what they had open. */
static bool is_gone(pid_t pid)
{
	char path[64], state;
	FILE *file;
	int threads;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 6000; i++) {
		file = fopen(path, "re");
		if (!file)
			return true;
		if (fscanf(file, "%*d (%*[^)]) %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d", &state,
			   &threads) != 2)
			state = 'Z', threads = 1;
		fclose(file);
		if (state == 'Z' && threads <= 1)
			return true;
		usleep(10000);
	}
	return false;
}

static void server_end(int signal_number)
{
	ck_assert_int_gt(server, 1);
	kill(server, signal_number);
	ck_assert(is_gone(server));
}

static void start(struct embedded *embedded)
{
	struct error err = {0};
	int rc = embedded_find_or_start(embedded, &err);

	ck_assert_msg(!rc, "%s", err.text);
	server = server_of(embedded);
	ck_assert_int_gt(server, 1);
}

/* Outside of the test's process: one that failed leaves no server either. */
static void clean(void)
{
	struct options options = given();
	struct embedded embedded;
	char path[64], program[300];
	pid_t pid;
	ssize_t n;

	pid = embedded_locate(&options, &embedded, NULL) ? 0 : server_of(&embedded);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, program, sizeof(program) - 1);
	program[n > 0 ? n : 0] = '\0';
	if (pid > 1 && strstr(program, "pmu-server"))
		kill(pid, SIGKILL);
	scratch_remove();
}

static void locate_refused(const struct options *options, const char *one, const char *two)
{
	struct embedded embedded;
	struct error err = {0};

	ck_assert_int_eq(embedded_locate(options, &embedded, &err), -EINVAL);
	if (!strstr(err.text, one) || !strstr(err.text, two))
		ck_abort_msg("no \"%s\" or no \"%s\" in: %s", one, two, err.text);
}

static void start_refused(struct embedded *embedded, int code, const char *one, const char *two)
{
	struct error err = {0};
	int rc = embedded_find_or_start(embedded, &err);

	ck_assert_msg(rc == code, "%d: %s", rc, err.text);
	ck_assert(!embedded->started && !*embedded->address);
	if (!strstr(err.text, one) || !strstr(err.text, two))
		ck_abort_msg("no \"%s\" or no \"%s\" in: %s", one, two, err.text);
}

START_TEST(places_are_the_users_and_this_nodes)
{
	struct options options = given();
	struct embedded embedded = located(&options), other;
	char host[65] = "", expected[300];

	gethostname(host, sizeof(host) - 1);
	snprintf(expected, sizeof(expected), "%s/holdfast/%s/pool", scratch_path("state"), host);
	ck_assert_str_eq(embedded.pool, expected);
	ck_assert(embedded.default_place);
	snprintf(expected, sizeof(expected), "%s/holdfast-pmu-", scratch_path("run"));
	ck_assert_int_eq(strncmp(embedded.socket, expected, strlen(expected)), 0);

	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	other = located(&options);
	snprintf(expected, sizeof(expected), "%s/.local/state/holdfast/%s/pool", scratch_path("home"), host);
	ck_assert_str_eq(other.pool, expected);
	snprintf(expected, sizeof(expected), "/tmp/holdfast-%u/holdfast-pmu-", (unsigned)geteuid());
	ck_assert_int_eq(strncmp(other.socket, expected, strlen(expected)), 0);
	ck_assert_str_ne(strrchr(other.socket, '/'), strrchr(embedded.socket, '/'));

	/* As the specification has it, what is not absolute does not count. */
	setenv("XDG_STATE_HOME", "state", 1);
	setenv("XDG_RUNTIME_DIR", "run", 1);
	ck_assert_str_eq(located(&options).pool, other.pool);
	ck_assert_str_eq(located(&options).socket, other.socket);
}
END_TEST

START_TEST(pool_that_is_named_has_a_socket_of_its_own)
{
	struct options options = given();
	struct embedded embedded = located(&options), named;

	options.pool = (char *)(uintptr_t)"/mnt/pmem0/mine/";
	named = located(&options);
	ck_assert_str_eq(named.pool, "/mnt/pmem0/mine");
	ck_assert(!named.default_place);
	ck_assert_str_ne(named.socket, embedded.socket);
	ck_assert_str_eq(named.socket, located(&options).socket);
}
END_TEST

START_TEST(places_that_cannot_be_are_refused)
{
	struct options options = given();
	char path[400];

	options.pool = (char *)(uintptr_t)"pool";
	locate_refused(&options, "pool cannot be \"pool\"", "absolute");
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[300] = '\0';
	options.pool = path;
	locate_refused(&options, "/xxx", "255 bytes");
	options.pool = NULL;
	path[300] = 'x';
	path[200] = '\0';
	setenv("XDG_RUNTIME_DIR", path, 1);
	locate_refused(&options, "XDG_RUNTIME_DIR", "107 bytes");
	path[200] = 'x';
	path[300] = '\0';
	setenv("XDG_STATE_HOME", path, 1);
	locate_refused(&options, "more than 255 bytes", "variable pool");
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	locate_refused(&options, "HOME is not set", "HOLDFAST_SERVER");
}
END_TEST

START_TEST(one_is_found_only_where_it_runs)
{
	struct options options = given();
	struct embedded embedded = located(&options), another = embedded;
	struct error err;

	ck_assert_int_eq(embedded_find(&embedded, &err), -ENXIO);
	ck_assert_ptr_nonnull(strstr(err.text, embedded.pool));
	ck_assert_int_eq(access(scratch_path("state"), F_OK), -1);
	start(&embedded);
	ck_assert(embedded.started);
	ck_assert_int_eq(embedded_find(&another, &err), 0);
	ck_assert_str_eq(another.address, embedded.address);
	ck_assert_int_eq(strncmp(another.address, "unix:", 5), 0);
	ck_assert_str_eq(another.address + 5, another.socket);

	/* And a second call finds it as well. */
	another = located(&options);
	start(&another);
	ck_assert(!another.started);

	server_end(SIGTERM);
	ck_assert_int_eq(embedded_find(&another, &err), -ENXIO);
}
END_TEST

/* What the server says of itself; `key` is one of STAT's. */
static void stat_of(const struct embedded *embedded, const char *key, char *value)
{
	struct client_options to = {.server = embedded->address, .auth = "none"};
	struct wire_stat_reply reply = {0};
	struct control control;
	struct error err = {0};

	*value = '\0';
	ck_assert_msg(!control_connect(&to, deadline_in_ms(20000), &control, &err), "%s", err.text);
	ck_assert_int_eq(control_call(&control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields,
				      &reply, deadline_in_ms(20000), &err), 0);
	for (uint32_t i = 0; i < reply.count; i++)
		if (!strcmp(reply.stats[i].key, key))
			strcpy(value, reply.stats[i].value);
	free(reply.stats);
	control_close(&control);
}

START_TEST(it_serves_the_pool_with_the_size_that_was_asked_for)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	char value[1024];

	start(&embedded);
	stat_of(&embedded, "pool.directory", value);
	ck_assert_str_eq(value, embedded.pool);
	stat_of(&embedded, "pool.size_bytes", value);
	ck_assert_str_eq(value, "67108864");
	server_end(SIGKILL);

	/* With another one it goes on; and without, it takes what suits the file system. */
	options.pool_size = 0;
	embedded = located(&options);
	start(&embedded);
	stat_of(&embedded, "pool.size_bytes", value);
	ck_assert_uint_gt(strtoull(value, NULL, 10), 1 << 20);
	ck_assert_uint_le(strtoull(value, NULL, 10), 64ull << 30);
	server_end(SIGTERM);
}
END_TEST

START_TEST(of_many_processes_one_starts_it)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	int started = 0, failed = 0, status, go[2];
	pid_t pids[PROCESSES];
	struct error err;
	char byte;

	ck_assert_int_eq(pipe(go), 0);
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		close(go[1]);
		if (read(go[0], &byte, 1))
			_exit(3);
		if (!embedded_find_or_start(&embedded, &err))
			_exit(embedded.started);
		fprintf(stderr, "# %s\n", err.text);
		_exit(2);
	}
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		started += WIFEXITED(status) && WEXITSTATUS(status) == 1;
		failed += !WIFEXITED(status) || WEXITSTATUS(status) > 1;
	}
	server = server_of(&embedded);
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(started, 1);
	ck_assert_int_eq(embedded_find(&embedded, &err), 0);
	server_end(SIGTERM);
}
END_TEST

/* Looks for a descriptor of the process that is none of its own. */
static bool holds(pid_t pid, const char *path)
{
	char directory[64], target[400];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(directory, sizeof(directory), "/proc/%d/fd", (int)pid);
	dir = opendir(directory);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found |= !strcmp(target, path);
	}
	closedir(dir);
	return found;
}

static unsigned long long status_bits(pid_t pid, const char *field)
{
	char path[64], line[256];
	unsigned long long bits = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			bits = strtoull(line + strlen(field), NULL, 16);
	fclose(file);
	return bits;
}

START_TEST(it_shares_nothing_with_who_started_it)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	cpu_set_t before, one, after;
	char path[64], target[400];
	sigset_t blocked;
	int fd, out;
	ssize_t n;

	/* Not close-on-exec, as an application's may be. */
	fd = open(scratch_path("ours"), O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	out = dup(1);
	ck_assert_int_ge(dup2(fd, 1), 0);
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);

	start(&embedded);
	dup2(out, 1);
	ck_assert(!holds(server, scratch_path("ours")));
	ck_assert_int_ne(getsid(server), getsid(0));
	ck_assert_int_ne(getpgid(server), getpgid(0));
	ck_assert_uint_eq(status_bits(server, "SigBlk:"), 0);
	ck_assert_uint_eq(status_bits(server, "SigIgn:") & (1ull << (SIGHUP - 1) | 1ull << (SIGCHLD - 1)), 0);
	ck_assert_int_eq(sched_getaffinity(server, sizeof(after), &after), 0);
	ck_assert_int_eq(CPU_COUNT(&after), CPU_COUNT(&before));
	ck_assert_int_eq(sched_getaffinity(0, sizeof(after), &after), 0);
	ck_assert(CPU_EQUAL(&after, &one));
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)server);
	n = readlink(path, target, sizeof(target) - 1);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(*target, '/');
	server_end(SIGTERM);
}
END_TEST

START_TEST(one_that_was_killed_is_started_again)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	struct error err;

	start(&embedded);
	server_end(SIGKILL);
	ck_assert_int_eq(access(embedded.socket, F_OK), 0);
	ck_assert_int_eq(embedded_find(&embedded, &err), -ENXIO);
	embedded.started = false;
	start(&embedded);
	ck_assert(embedded.started);
	server_end(SIGTERM);
}
END_TEST

/* One runtime directory for a login, another for what a launcher started over the network. */
START_TEST(one_with_another_runtime_directory_is_found)
{
	struct options options = given();
	struct embedded embedded = located(&options), other;

	start(&embedded);
	ck_assert_int_eq(mkdir(scratch_path("other"), 0700), 0);
	setenv("XDG_RUNTIME_DIR", scratch_path("other"), 1);
	other = located(&options);
	ck_assert_str_ne(other.socket, embedded.socket);
	start(&other);
	ck_assert(!other.started);
	ck_assert_str_eq(other.address, embedded.address);
	server_end(SIGTERM);
}
END_TEST

START_TEST(foreign_directory_for_the_socket_is_refused)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	struct error err;

	ck_assert_int_eq(chmod(scratch_path("run"), 0750), 0);
	start_refused(&embedded, -EINVAL, scratch_path("run"), "mode 750");
	ck_assert_int_eq(embedded_find(&embedded, &err), -EINVAL);
	ck_assert_int_eq(chmod(scratch_path("run"), 0700), 0);
	if (!geteuid()) {
		ck_assert_int_eq(chown(scratch_path("run"), 12345, 0), 0);
		start_refused(&embedded, -EINVAL, "uid 12345", "it must be a directory of uid 0");
	}
	ck_assert_int_eq(rename(scratch_path("run"), scratch_path("real")), 0);
	ck_assert_int_eq(chown(scratch_path("real"), geteuid(), 0), 0);
	ck_assert_int_eq(symlink(scratch_path("real"), scratch_path("run")), 0);
	start_refused(&embedded, -EINVAL, scratch_path("run"), "no directory");
	setenv("XDG_RUNTIME_DIR", scratch_path("no/such"), 1);
	embedded = located(&options);
	start_refused(&embedded, -EINVAL, scratch_path("no/such"), "No such file");
	ck_assert_int_eq(embedded_find(&embedded, &err), -ENXIO);
}
END_TEST

START_TEST(place_that_cannot_be_written_is_named)
{
	struct options options = given();
	struct embedded embedded = located(&options);
	const char *pool = scratch_path("there/pool");

	/* A file in the way: root may write everywhere else. */
	scratch_write("state", "", 0);
	start_refused(&embedded, -EINVAL, scratch_path("state"), "variable pool");
	options.pool = (char *)(uintptr_t)pool;
	embedded = located(&options);
	start_refused(&embedded, -EINVAL, "there/pool.start", "No such file");
	ck_assert_int_eq(mkdir(scratch_path("there"), 0700), 0);
	scratch_write("there/pool", "", 0);
	start_refused(&embedded, -ENXIO, pool, "Not a directory");
}
END_TEST

START_TEST(what_the_server_says_of_its_failure_is_handed_on)
{
	static const char script[] = "#!/bin/sh\necho one >&2\necho pmu-server error: because >&2\n";
	struct options options = given();
	struct embedded embedded = located(&options);

	setenv("HOLDFAST_PMU_SERVER", scratch_path("none"), 1);
	start_refused(&embedded, RUNNING_ON_VALGRIND ? -ENXIO : -EINVAL, scratch_path("none"), "pmu-server");
	setenv("HOLDFAST_PMU_SERVER", "/bin/true", 1);
	start_refused(&embedded, -ENXIO, "/bin/true", "it ended without a word");
	scratch_write("script", script, strlen(script));
	ck_assert_int_eq(chmod(scratch_path("script"), 0700), 0);
	setenv("HOLDFAST_PMU_SERVER", scratch_path("script"), 1);
	start_refused(&embedded, -ENXIO, ": because; see to that", embedded.pool);
}
END_TEST

/* The launcher may kill our group before the server is in the background. */
START_TEST(it_is_in_a_session_of_its_own_from_the_start)
{
	static const char script[] = "#!/bin/sh\nread -r pid name state parent group session rest </proc/$$/stat\n"
				     "echo pmu-server error: session $session >&2\n";
	struct options options = given();
	struct embedded embedded = located(&options);
	struct error err;
	const char *told;

	scratch_write("script", script, strlen(script));
	ck_assert_int_eq(chmod(scratch_path("script"), 0700), 0);
	setenv("HOLDFAST_PMU_SERVER", scratch_path("script"), 1);
	ck_assert_int_eq(embedded_find_or_start(&embedded, &err), -ENXIO);
	told = strstr(err.text, ": session ");
	ck_assert_ptr_nonnull(told);
	ck_assert_int_gt(atoi(told + 10), 1);
	ck_assert_int_ne(atoi(told + 10), getsid(0));
}
END_TEST

START_TEST(size_that_cannot_be_is_told)
{
	struct options options = given();
	struct embedded embedded;

	options.pool_size = 1ull << 60;
	embedded = located(&options);
	start_refused(&embedded, -ENXIO, "its size is to be", "variables pool or pool_size");
}
END_TEST

/* A file system of that size for the state directory, seen by this test only. */
static bool state_mounted(const char *size)
{
	if (!unshare(CLONE_NEWNS) && !mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) &&
	    !mkdir(scratch_path("state"), 0700) && !mount("none", scratch_path("state"), "tmpfs", 0, size))
		return true;
	fprintf(stderr, "# no file system can be mounted here: nothing is tested\n");
	return false;
}

START_TEST(size_is_64_gib_at_most)
{
	struct options options = given();
	struct embedded embedded;
	char value[1024];

	if (!state_mounted("size=1T"))
		return;
	options.pool_size = 0;
	embedded = located(&options);
	start(&embedded);
	stat_of(&embedded, "pool.size_bytes", value);
	ck_assert_uint_eq(strtoull(value, NULL, 10), 64ull << 30);
	server_end(SIGTERM);
}
END_TEST

/* A pool that has more than half of its file system, since others have filled the rest. */
START_TEST(size_is_never_less_than_what_the_pool_has)
{
	static char zeros[1 << 20];
	struct options options = given();
	struct embedded embedded;
	char value[1024];
	int fd;

	if (!state_mounted("size=300M"))
		return;
	embedded = located(&options);
	start(&embedded);
	server_end(SIGTERM);
	snprintf(value, sizeof(value), "%s/slots/4711", embedded.pool);
	fd = open(value, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 160; i++)
		ck_assert_int_eq(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	close(fd);
	options.pool_size = 0;
	embedded = located(&options);
	start(&embedded);
	stat_of(&embedded, "pool.size_bytes", value);
	ck_assert_uint_ge(strtoull(value, NULL, 10), 160u << 20);
	server_end(SIGTERM);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 120);
	tcase_add_unchecked_fixture(tcase, fresh, clean);
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("embedded");

	add(suite, "places_are_the_users_and_this_nodes", places_are_the_users_and_this_nodes);
	add(suite, "pool_that_is_named_has_a_socket_of_its_own", pool_that_is_named_has_a_socket_of_its_own);
	add(suite, "places_that_cannot_be_are_refused", places_that_cannot_be_are_refused);
	add(suite, "one_is_found_only_where_it_runs", one_is_found_only_where_it_runs);
	add(suite, "it_serves_the_pool_with_the_size_that_was_asked_for",
	    it_serves_the_pool_with_the_size_that_was_asked_for);
	add(suite, "of_many_processes_one_starts_it", of_many_processes_one_starts_it);
	add(suite, "it_shares_nothing_with_who_started_it", it_shares_nothing_with_who_started_it);
	add(suite, "one_that_was_killed_is_started_again", one_that_was_killed_is_started_again);
	add(suite, "one_with_another_runtime_directory_is_found", one_with_another_runtime_directory_is_found);
	add(suite, "foreign_directory_for_the_socket_is_refused", foreign_directory_for_the_socket_is_refused);
	add(suite, "place_that_cannot_be_written_is_named", place_that_cannot_be_written_is_named);
	add(suite, "what_the_server_says_of_its_failure_is_handed_on",
	    what_the_server_says_of_its_failure_is_handed_on);
	add(suite, "it_is_in_a_session_of_its_own_from_the_start", it_is_in_a_session_of_its_own_from_the_start);
	add(suite, "size_that_cannot_be_is_told", size_that_cannot_be_is_told);
	add(suite, "size_is_64_gib_at_most", size_is_64_gib_at_most);
	add(suite, "size_is_never_less_than_what_the_pool_has", size_is_never_less_than_what_the_pool_has);
	return suite;
}
