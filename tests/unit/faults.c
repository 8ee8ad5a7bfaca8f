/* SPDX-License-Identifier: BSD-3-Clause */
/* faults.c - a real pmu-server, and clients, whose clock, memory, descriptors, medium or peers fail them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <dirent.h>
#include <unistd.h>
#include "client/client.h"
#include "client/control.h"
#include "common/clock.h"
#include "inject.h"
#include "pmu_fixture.h"
#include "unit.h"

#define INJECTS (!SANITIZED) /* their library wants to be the first */

#define YEAR_NS (365ll * 86400 * 1000000000)

static struct pmu pmu;
static struct error err;
static struct inject *inject;
static char inject_path[64];

/* A server that we can disturb. */
static void start(const char *const *options)
{
	const char *top = getenv("top_builddir");
	char library[512];

	snprintf(library, sizeof(library), "%s/tests/unit/.libs/inject.so", top ? top : ".");
	ck_assert_msg(!access(library, R_OK), "%s", library);
	if (INJECTS)
		setenv("LD_PRELOAD", library, 1);
	ck_assert(pmu_start(&pmu, options, NULL));
	unsetenv("LD_PRELOAD");
}

static void setup(void)
{
	pmu_make(&pmu);
	inject = inject_make(inject_path);
}

static void teardown(void)
{
	memset(inject, 0, sizeof(*inject));
	pmu_remove(&pmu);
	unlink(inject_path);
}

static uint64_t patience_ms = 10000;

static struct client_options options_of_server(void)
{
	return (struct client_options){.server = pmu.address, .net = "ofi", .auth = "none", .timeout_ms = patience_ms, .reconnect_ms = patience_ms};
}

static struct control login(void)
{
	struct client_options options = options_of_server();
	struct control control;

	ck_assert_msg(!control_connect(&options, deadline_in_ms(10000), &control, &err), "%s", err.text);
	return control;
}

static int ask(struct control *control, struct wire_stat_reply *reply)
{
	return control_call(control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, reply,
			    deadline_in_ms(10000), &err);
}

static bool is_alive(struct control *control)
{
	struct wire_stat_reply reply = {0};
	int rc = ask(control, &reply);

	free(reply.stats);
	return !rc;
}

/* ---- a rank: 100 KiB, whose bytes tell the epoch ---- */

#define BYTES 102400

static uint8_t data[BYTES];

static struct client_segment segment_of(uint64_t epoch)
{
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, BYTES}, .at = data};

	memset(data, (int)epoch, BYTES);
	return s;
}

static int rank_open(struct client **client)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "job", .ranks = 1, .mode = REGION_OVERWRITE, .force = true};

	return client_open(&options, &identity, client, &err);
}

static int rank_put(struct client *client, uint64_t epoch, uint64_t keep)
{
	struct client_segment s = segment_of(epoch);

	return client_put(client, epoch, keep, NULL, &s, 1, &err);
}

/* Is the epoch there, and each byte of it? */
static int rank_get(struct client *client, uint64_t epoch)
{
	struct client_segment s = segment_of(0);
	int rc = client_get(client, 0, epoch, &s, 1, &err);

	for (unsigned i = 0; !rc && i < BYTES; i++) {
		if (data[i] != (uint8_t)epoch)
			rc = error_set(&err, -EBADMSG, "byte %u is not the epoch's", i);
	}
	return rc;
}

static bool lists(struct client *client, uint64_t epoch)
{
	const struct set_info *sets;
	bool found = false;

	for (size_t i = 0, n = client_sets(client, &sets); i < n; i++)
		found |= sets[i].epoch == epoch;
	return found;
}

static struct client *rank_start(void)
{
	struct client *client = NULL;

	ck_assert_msg(!rank_open(&client), "%s", err.text);
	return client;
}

#define put_on(client, epoch, keep) ck_assert_msg(!rank_put(client, epoch, keep), "epoch %d: %s", (int)(epoch), err.text)
#define put_ok(client, epoch) put_on(client, epoch, (epoch) - 1)
#define get_ok(client, epoch) ck_assert_msg(!rank_get(client, epoch), "epoch %d: %s", (int)(epoch), err.text)

/* ---- the clock ---- */

START_TEST(a_clock_that_jumps_moves_no_deadline)
{
	static const int64_t jumps[] = {-YEAR_NS, YEAR_NS, -1000000000, 3600000000000, 0};
	struct client *client;
	struct control control;
	uint64_t epoch = 0;
	int fd;

	start((const char *[]){"--lease", "3", NULL});
	control = login();
	client = rank_start();
	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		fd = pmu_connect(&pmu); /* it is about to log in */
		ck_assert(is_alive(&control));
		epoch++;
		put_ok(client, epoch);
		inject->clock_ns = jumps[i];
		ck_assert_msg(!pmu_hangs_up(fd, 1500), "jump %u: who logs in is sent away", i);
		close(fd);
		ck_assert_msg(is_alive(&control), "jump %u: %s", i, err.text);
		epoch++;
		put_ok(client, epoch);
		get_ok(client, epoch - 1);
		get_ok(client, epoch);
	}
	client_close(client, false, &err);
	control_close(&control);
	ck_assert(pmu_stop(&pmu));
	/* And what was stored in the future or the past is as good as any other. */
	inject->clock_ns = -YEAR_NS;
	start(NULL);
	client = rank_start();
	get_ok(client, epoch);
	put_ok(client, epoch + 1);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- peers ---- */

/* Asks and asks, and reads nothing: until nothing more can be sent. */
static void ask_until_full(struct control *control)
{
	uint8_t frame[WIRE_HEADER_BYTES];
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_STAT, 0, 0, 100};
	struct cursor c = cursor_pack(frame, sizeof(frame));
	unsigned blocked = 0;

	wire_header_fields(&c, &header);
	while (blocked < 100) {
		if (send(control->fd, frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			usleep(2000);
			blocked++;
		} else {
			blocked = 0;
		}
	}
}

START_TEST(who_reads_no_replies_costs_little_and_ends)
{
	struct client_options options;
	struct control control, other;
	char address[160];
	uint64_t before;

	snprintf(address, sizeof(address), "unix:%s/socket", pmu.directory);
	start((const char *[]){"--listen", address, NULL});
	other = login();
	options = options_of_server();
	options.server = address;
	ck_assert_msg(!control_connect(&options, deadline_in_ms(10000), &control, &err), "%s", err.text);
	before = pmu_anonymous_bytes(pmu.pid);
	ask_until_full(&control);
	ck_assert_msg(pmu_anonymous_bytes(pmu.pid) - before < 8u << 20, "%llu KiB",
		      (unsigned long long)(pmu_anonymous_bytes(pmu.pid) - before) >> 10);
	ck_assert(is_alive(&other));
	/* 30 s are promised: not yet, and then. */
	inject->later_pid = pmu.pid;
	inject->later_ns = 20000000000;
	usleep(2500000);
	ck_assert_int_lt(send(control.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL), 0);
	ck_assert_int_eq(errno, EAGAIN);
	inject->later_ns = 31000000000;
	for (unsigned i = 0; i < 500 && errno == EAGAIN; i++) {
		usleep(20000);
		errno = 0;
		send(control.fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	ck_assert_msg(errno == EPIPE || errno == ECONNRESET, "%s", strerror(errno));
	ck_assert(is_alive(&other));
	control_close(&control);
	control_close(&other);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

static unsigned descriptors_of(pid_t pid)
{
	unsigned count = 0;
	char path[64];
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

/* Garbage, a bare connection, or one that is reset. */
static void connect_badly(unsigned i)
{
	static const char garbage[300] = "GET / HTTP/1.1\r\n";
	int fd = pmu_connect(&pmu);

	if (i % 3 == 0)
		send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL);
	if (i % 3 == 1)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
	close(fd);
}

/* HOLDFAST_TEST_ROUNDS of them, by hand: 1000000. */
START_TEST(bad_connections_leave_nothing_behind)
{
	const char *rounds = getenv("HOLDFAST_TEST_ROUNDS");
	unsigned count = rounds ? (unsigned)atoi(rounds) : unit_rounds(100000, 20000, 2000), put = 0;
	struct client *client;
	uint64_t before, after;
	unsigned descriptors;
	char log[160];
	struct stat st;
	pid_t child;

	start((const char *[]){"--log-level", "warning", NULL});
	client = rank_start();
	put_ok(client, 1);
	for (unsigned i = 0; i < 1000; i++)
		connect_badly(i);
	put_ok(client, 2);
	descriptors = descriptors_of(pmu.pid);
	before = pmu_anonymous_bytes(pmu.pid);
	child = fork();
	if (!child) {
		for (unsigned i = 0; i < count; i++)
			connect_badly(i);
		_exit(0);
	}
	while (!waitpid(child, NULL, WNOHANG)) {
		put_ok(client, 3 + put);
		get_ok(client, 3 + put);
		put++;
	}
	fprintf(stderr, "# %u bad connections, %u checkpoints meanwhile\n", count, put);
	ck_assert_uint_gt(put, 0);
	for (unsigned i = 0; i < 1500 && descriptors_of(pmu.pid) > descriptors; i++) /* who said half a HELLO has 10 s */
		usleep(20000);
	ck_assert_uint_le(descriptors_of(pmu.pid), descriptors);
	after = pmu_anonymous_bytes(pmu.pid);
	if (INJECTS) /* sanitizers keep what was freed for a while */
		ck_assert_msg(after < before + (2u << 20), "%llu KiB more", (unsigned long long)(after - before) >> 10);
	snprintf(log, sizeof(log), "%s/log", pmu.directory);
	ck_assert(!stat(log, &st));
	ck_assert_int_lt(st.st_size, 20 * (off_t)count);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- descriptors ---- */

static void descriptors_limit(pid_t pid, rlim_t count, struct rlimit *before)
{
	struct rlimit limit;

	ck_assert(!prlimit(pid, RLIMIT_NOFILE, NULL, before));
	limit = (struct rlimit){count, before->rlim_max};
	ck_assert(!prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
}

START_TEST(descriptors_that_run_out_keep_others_waiting)
{
	struct client_options options;
	struct control control, late;
	struct client *client;
	struct rlimit limit;
	int fds[20];

	start(NULL);
	control = login();
	client = rank_start();
	put_ok(client, 1);
	descriptors_limit(pmu.pid, descriptors_of(pmu.pid), &limit);
	for (unsigned i = 0; i < 20; i++)
		fds[i] = pmu_connect(&pmu);
	options = options_of_server();
	ck_assert_int_eq(control_connect(&options, deadline_in_ms(1500), &late, &err), -ETIMEDOUT);
	/* Who is in goes on, but for what takes a descriptor. */
	ck_assert(is_alive(&control));
	ck_assert_int_eq(rank_get(client, 1), -EMFILE);
	ck_assert_ptr_nonnull(strstr(err.text, "Too many open files"));
	ck_assert(is_alive(&control));
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
	ck_assert(!prlimit(pmu.pid, RLIMIT_NOFILE, &limit, NULL));
	late = login();
	ck_assert(is_alive(&late));
	control_close(&late);
	get_ok(client, 1);
	put_ok(client, 2);
	client_close(client, false, &err);
	control_close(&control);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* The NI's: the request fails, or its process is ended; what is stored stays. */
START_TEST(descriptors_of_the_ni_that_run_out_cost_a_request)
{
	struct client *client;
	struct rlimit limit;
	pid_t ni;

	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	client_close(client, false, &err);
	ni = pmu_ni_pid(&pmu);
	ck_assert_int_gt(ni, 0);
	descriptors_limit(ni, descriptors_of(ni), &limit);
	if (!rank_open(&client)) {
		rank_put(client, 2, 1);
		rank_get(client, 1);
		client_close(client, false, &err);
	}
	prlimit(ni, RLIMIT_NOFILE, &limit, NULL);
	client = rank_start();
	get_ok(client, 1);
	put_on(client, 3, 1);
	get_ok(client, 3);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- the medium ---- */

START_TEST(a_set_whose_write_back_fails_is_not_listed)
{
	struct client *client;

	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	inject->write_back_pid = pmu_ni_pid(&pmu);
	inject->write_backs = 1;
	ck_assert_int_eq(rank_put(client, 2, 1), -EIO);
	ck_assert_ptr_nonnull(strstr(err.text, "Input/output error"));
	ck_assert_uint_eq(inject->write_backs, 0);
	ck_assert(!client_refresh(client, &err));
	ck_assert(!lists(client, 2));
	get_ok(client, 1);
	put_on(client, 3, 1);
	client_close(client, false, &err);
	pmu_kill(&pmu);
	start(NULL);
	client = rank_start();
	ck_assert(lists(client, 3) && !lists(client, 2));
	get_ok(client, 3);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- a disk ---- */

static struct {
	uint32_t before; /* write-backs that had begun */
	unsigned takes;
	bool begun; /* one more was, while a part of the set was still to come */
} late;

static int late_begin(void *arg, struct error *error)
{
	(void)arg;
	(void)error;
	return 0;
}

/* What comes after the first part waits for a write-back, though not for ever. */
static int late_take(void *arg, size_t index, uint64_t offset, uint64_t *bytes, void **at, struct error *error)
{
	uint64_t deadline = deadline_in_ms(20000);

	(void)arg;
	(void)index;
	(void)error;
	(void)bytes;
	if (late.takes++ == 0)
		late.before = inject->begun;
	else
		while (!(late.begun = inject->begun > late.before) && deadline_left_ms(deadline))
			usleep(1000);
	*at = data + offset;
	return 0;
}

static void late_give(void *arg, void *at, uint64_t bytes)
{
	(void)arg;
	(void)at;
	(void)bytes;
}

static const struct client_memory *late_memory(void *arg, size_t *count)
{
	static const struct client_memory memory = {data, BYTES, false};

	(void)arg;
	*count = 1;
	return &memory;
}

/* The server's directory is below the current one: is that on a disk? */
static bool disk_take(void)
{
	struct statfs fs;

	rmdir(pmu.directory);
	strcpy(pmu.directory, "unit-faults.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(pmu.directory));
	ck_assert(!statfs(pmu.directory, &fs));
	return fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

START_TEST(a_disk_begins_before_all_of_a_set_is_there)
{
	const struct client_source source = {.begin = late_begin, .take = late_take, .give = late_give, .memory = late_memory};
	struct client_identity identity = {.job = "job", .ranks = 1, .mode = REGION_OVERWRITE};
	struct client_segment s = segment_of(1);
	struct client *client = NULL;
	struct client_options options;

	if (!disk_take()) {
		fprintf(stderr, "# the build tree is in memory: what is written to a disk is skipped\n");
		return;
	}
	start(NULL);
	options = options_of_server();
	options.chunk_bytes = SET_BLOCK_DEFAULT;
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	ck_assert_msg(!client_put_from(client, 1, 0, NULL, &s, 1, &source, &err), "%s", err.text);
	ck_assert_uint_ge(late.takes, 2);
	ck_assert(late.begun);
	get_ok(client, 1);
	client_close(client, true, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* libpmemobj ends the process rather than to go on with metadata that may not be durable. */
START_TEST(a_server_whose_metadata_cannot_be_written_back_ends_and_has_lost_nothing)
{
	struct client *client;
	int status = 0;

	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	patience_ms = 2000; /* it does not come back */
	client_close(client, false, &err);
	client = rank_start();
	put_ok(client, 2);
	inject->write_back_pid = pmu.pid;
	inject->write_backs = UINT32_MAX;
	ck_assert_int_ne(rank_put(client, 3, 2), 0);
	ck_assert_int_eq(waitpid(pmu.pid, &status, 0), pmu.pid);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status));
	pmu.pid = 0;
	client_close(client, false, &err);
	memset(inject, 0, sizeof(*inject));
	patience_ms = 10000;
	start(NULL);
	client = rank_start();
	get_ok(client, 2);
	put_on(client, 4, 2);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

static bool log_has(const char *text)
{
	char path[160], line[1024];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/log", pmu.directory);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found |= strstr(line, text) != NULL;
	if (file)
		fclose(file);
	return found;
}

/* A file system of our own below the pool, which this process and the server see. */
static bool file_system_make(const char *options)
{
	char pool[160];

	snprintf(pool, sizeof(pool), "%s/pool", pmu.directory);
	if (mkdir(pool, 0700) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return false;
	return !mount("holdfast-test", pool, "tmpfs", 0, options);
}

static void file_system_remount(unsigned long flags)
{
	char pool[160];

	snprintf(pool, sizeof(pool), "%s/pool", pmu.directory);
	ck_assert_msg(!mount(NULL, pool, NULL, MS_REMOUNT | flags, NULL), "%s", strerror(errno));
}

START_TEST(a_read_only_file_system_is_refused_at_the_start)
{
	struct client *client;

	ck_assert(file_system_make("size=128m"));
	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
	file_system_remount(MS_RDONLY);
	ck_assert(!pmu_start(&pmu, NULL, NULL));
	ck_assert(log_has("Read-only file system"));
	file_system_remount(0);
	start(NULL);
	client = rank_start();
	get_ok(client, 1);
	put_ok(client, 2);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* Somebody else takes all the room that the pool has not taken yet, down to the last page. */
START_TEST(a_file_system_that_others_fill_costs_new_slots_only)
{
	static char page[4096];
	struct client_options options;
	struct client_identity identity = {.job = "other", .ranks = 1, .mode = REGION_OVERWRITE};
	struct client_segment s = segment_of(0);
	struct client *client, *other;
	char path[200];
	int fd;

	ck_assert(file_system_make("size=128m"));
	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	snprintf(path, sizeof(path), "%s/pool/filler", pmu.directory);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	while (write(fd, page, sizeof(page)) > 0)
		continue;
	ck_assert_int_eq(errno, ENOSPC);
	for (uint64_t epoch = 2; epoch < 12; epoch++)
		put_ok(client, epoch);
	options = options_of_server();
	if (!client_open(&options, &identity, &other, &err)) {
		ck_assert_int_eq(client_put(other, 1, 0, NULL, &s, 1, &err), -ENOSPC);
		client_close(other, true, &err);
	}
	ck_assert_msg(err.code == -ENOSPC, "%d %s", err.code, err.text);
	put_ok(client, 12);
	client_close(client, false, &err);
	pmu_kill(&pmu);
	ck_assert(!pmu_start(&pmu, NULL, NULL));
	ck_assert(log_has("start the server with a smaller --size, or make room"));
	close(fd);
	unlink(path);
	start(NULL);
	client = rank_start();
	get_ok(client, 12);
	put_ok(client, 13);
	ck_assert_msg(!client_open(&options, &identity, &other, &err), "%s", err.text);
	s = segment_of(1);
	ck_assert_msg(!client_put(other, 1, 0, NULL, &s, 1, &err), "%s", err.text);
	client_close(other, true, &err);
	client_close(client, false, &err);
	ck_assert(pmu_stop(&pmu));
}
END_TEST

/* ---- memory ---- */

/* All that a rank and a tool do, as far as it goes. */
static void do_everything(uint64_t epoch)
{
	struct client_options options = options_of_server();
	struct wire_list_reply list = {0};
	struct wire_target target = {.uid = WIRE_UID_SELF};
	struct wire_stat_reply stat = {0};
	struct control control;
	struct client *client;
	struct error ignored;

	if (!rank_open(&client)) {
		rank_put(client, epoch, epoch - 1);
		rank_get(client, epoch);
		client_close(client, false, &ignored);
	}
	if (!control_connect(&options, deadline_in_ms(1000), &control, &ignored)) {
		if (!control_call(&control, WIRE_LIST, wire_target_fields, &target, wire_list_reply_fields, &list,
				  deadline_in_ms(1000), &ignored))
			wire_list_reply_free(&list);
		if (control.fd >= 0 && !ask(&control, &stat))
			free(stat.stats);
		control_close(&control);
	}
}

/* libevent and libpmemobj do not look at what they are given everywhere; a process takes its time to die. */
static bool server_died(void)
{
	for (unsigned i = 0; i < 30 && inject->memory_of_library; i++) {
		if (waitpid(pmu.pid, NULL, WNOHANG))
			return true;
		usleep(10000);
	}
	return waitpid(pmu.pid, NULL, WNOHANG) != 0;
}

/* _i: 0 the PMM's, 1 the NI's, 2 the client's. Each allocation in turn fails, once. */
START_TEST(memory_that_runs_out_costs_a_request)
{
	uint64_t epoch = 1, failed = 0, deaths = 0, step = unit_rounds(1, 3, 10);
	struct client *client;
	pid_t pid;

	start(NULL);
	client = rank_start();
	put_ok(client, 1);
	client_close(client, false, &err);
	for (uint64_t after = 0; ; after += step) {
		pid = _i == 0 ? pmu.pid : _i == 1 ? pmu_ni_pid(&pmu) : getpid();
		ck_assert_int_gt(pid, 0);
		inject->memory_asked = 0;
		inject->memory_after = after;
		inject->memory_count = 1;
		inject->memory_ours = _i == 2; /* libfabric does not look at what it is given, either */
		inject->memory_pid = pid;
		patience_ms = 1000;
		do_everything(epoch + 1);
		patience_ms = 10000;
		inject->memory_pid = 0;
		if (server_died()) {
			ck_assert_msg(inject->memory_of_library, "the server died of allocation %d", (int)after);
			start(NULL);
			deaths++;
		}
		inject->memory_of_library = 0;
		client = rank_start();
		if (lists(client, epoch + 1))
			epoch++;
		get_ok(client, epoch);
		client_close(client, false, &err);
		if (inject->memory_count)
			break;
		failed++;
	}
	fprintf(stderr, "# %d allocations failed; libraries died of %d\n", (int)failed, (int)deaths);
	ck_assert_uint_gt(failed, 10 / step);
	ck_assert(pmu_stop(&pmu));
}
END_TEST
static bool may_mount(void)
{
	pid_t child = fork();
	int status = 1;

	if (!child)
		_exit(unshare(CLONE_NEWNS) != 0);
	waitpid(child, &status, 0);
	return !status;
}

/* A case each: CK_RUN_CASE runs it alone. */
static void add(Suite *suite, const char *name, const TTest *test, int count)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, getenv("HOLDFAST_TEST_ROUNDS") ? 7200 : unit_rounds(1200, 120, 120));
	tcase_add_loop_test(tc, test, 0, count);
	suite_add_tcase(suite, tc);
}

#define ADD(suite, test, count) add(suite, #test, test, count)

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("faults");

	signal(SIGPIPE, SIG_IGN);
	ADD(suite, bad_connections_leave_nothing_behind, 1);
	ADD(suite, descriptors_that_run_out_keep_others_waiting, 1);
	ADD(suite, descriptors_of_the_ni_that_run_out_cost_a_request, 1);
	if (may_mount()) {
		ADD(suite, a_read_only_file_system_is_refused_at_the_start, 1);
		ADD(suite, a_file_system_that_others_fill_costs_new_slots_only, 1);
	}
	if (INJECTS) {
		ADD(suite, a_clock_that_jumps_moves_no_deadline, 1);
		ADD(suite, who_reads_no_replies_costs_little_and_ends, 1);
		ADD(suite, a_set_whose_write_back_fails_is_not_listed, 1);
		ADD(suite, a_disk_begins_before_all_of_a_set_is_there, 1);
		ADD(suite, a_server_whose_metadata_cannot_be_written_back_ends_and_has_lost_nothing, 1);
	}
	if (INJECTS && !RUNNING_ON_VALGRIND) /* which has an allocator of its own */
		ADD(suite, memory_that_runs_out_costs_a_request, 3);
	return suite;
}
