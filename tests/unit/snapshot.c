/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * snapshot.c - snapshot.h against a real pmu-server: what is stored is what was there at the start, byte by byte, or nothing
 * is; whatever becomes of the memory, the server and the process meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ckpt/cow.h"
#include "ckpt/snapshot.h"
#include "ckpt/userfault.h"
#include "client/client.h"
#include "common/clock.h"
#include "common/testpoint.h"
#include "pmu_fixture.h"
#include "track/track.h"
#include "unit.h"

#define MIB	 ((size_t)1 << 20)
#define PAGE	 ((size_t)4096)
#define SEGMENTS 6u
#define ODD	 24u /* bytes by which memory is off its page */

static struct pmu pmu;
static struct error err;
static char hold_path[160];

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	snprintf(hold_path, sizeof(hold_path), "%s/hold", pmu.directory);
	setenv("HOLDFAST_TEST_HOLD", hold_path, 1);
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

/* ---- memory ---- */

static const size_t sizes[SEGMENTS] = {8, 5 * MIB + 123, 0, 3 * PAGE, 24 * MIB, MIB};

/* Each in a mapping of its own, at an odd address in it. */
struct state {
	uint8_t *base[SEGMENTS];
	struct client_segment segments[SEGMENTS];
	struct client *client;
	struct snapshot *snapshot;
	uint64_t complete; /* epoch */
	char said[1024];
};

static size_t mapped_bytes(unsigned i)
{
	return (sizes[i] + ODD + PAGE - 1) / PAGE * PAGE;
}

static uint8_t *at(const struct state *s, unsigned i)
{
	return s->segments[i].at;
}

UNIT_UNWATCHED static void fill(struct state *s, unsigned seed)
{
	for (unsigned i = 0; i < SEGMENTS; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			at(s, i)[k] = (uint8_t)((k * 2654435761u + (seed + i) * 40503u) >> 13);
}

static struct snapshot_stats stats_of(const struct state *s)
{
	struct snapshot_stats stats;

	snapshot_stats(s->snapshot, &stats);
	return stats;
}

UNIT_UNWATCHED static bool is_filled(const struct state *s, unsigned seed)
{
	for (unsigned i = 0; i < SEGMENTS; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			if (at(s, i)[k] != (uint8_t)((k * 2654435761u + (seed + i) * 40503u) >> 13))
				return false;
	return true;
}

static void told(void *context, const char *message)
{
	struct state *s = context;
	size_t length = strlen(s->said);

	snprintf(s->said + length, sizeof(s->said) - length, "%s\n", message);
}

static const char *net_name = "ofi";

static struct client *open_client(enum region_mode mode)
{
	struct client_options options = {
		.server = pmu.address,
		.net = net_name,
		.chunk_bytes = MIB, /* test points count them */
		.auth = "none",
		.timeout_ms = 10000,
		.reconnect_ms = 15000,
	};
	struct client_identity identity = {.job = "job", .ranks = 1, .mode = mode, .launch = {1}};
	struct client *client = NULL;

	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	return client;
}

static void state_open(struct state *s, enum snapshot_way way, uint64_t stage_bytes)
{
	struct snapshot_options how = {
		.way = way, .stage_bytes = stage_bytes, .timeout_ms = 3000, .threads = 2, .say = told, .context = s};

	const struct set_info *sets;
	size_t n;

	*s = (struct state){.client = open_client(REGION_OVERWRITE)};
	n = client_sets(s->client, &sets);
	s->complete = n ? sets[n - 1].epoch : 0;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		s->base[i] = mmap(NULL, mapped_bytes(i), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		s->segments[i] = (struct client_segment){
			.segment = {.type = ELEMENT_BYTE, .element_bytes = 1, .count = sizes[i]},
			.at = s->base[i] + ODD,
			.held = true,
		};
		snprintf(s->segments[i].segment.name, SEGMENT_NAME_BYTES, "segment%u", i);
	}
	ck_assert(!snapshot_new(&how, &s->snapshot, &err));
}

static void state_close(struct state *s)
{
	snapshot_free(s->snapshot, s->client);
	client_close(s->client, false, &err);
	for (unsigned i = 0; i < SEGMENTS; i++)
		munmap(s->base[i], mapped_bytes(i));
}

static void start(struct state *s, uint64_t epoch)
{
	enum set_kind kind = SET_FULL;
	int rc = snapshot_start(s->snapshot, s->client, epoch, s->complete, &kind, s->segments, SEGMENTS, &err);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
}

static void wait_ok(struct state *s)
{
	int rc = snapshot_wait(s->snapshot, &err);
	const struct set_info *sets;
	size_t n = client_sets(s->client, &sets);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
	ck_assert_uint_gt(n, 0);
	s->complete = sets[n - 1].epoch;
}

static void is_stored(struct state *s, uint64_t epoch, unsigned seed)
{
	int rc;

	for (unsigned i = 0; i < SEGMENTS; i++)
		memset(at(s, i), 0, sizes[i]);
	rc = client_get(s->client, 0, epoch, s->segments, SEGMENTS, &err);
	ck_assert_msg(!rc, "%d %s", rc, err.text);
	ck_assert(is_filled(s, seed));
}

/* Shipping stops before it takes anything, until let_go(). */
static void hold(void)
{
	int fd = open(hold_path, O_CREAT | O_WRONLY, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
	setenv("HOLDFAST_TEST_POINT", "snapshot-take:hold:3", 1);
}

static void let_go(void)
{
	unlink(hold_path);
}

/* ---- while others write ---- */

struct writer {
	struct state *state;
	unsigned number;
	atomic_bool stop;
	uint64_t writes;
};

/* Here and there, and from one end to the other; something in any case, however late it gets to it. That it
 * is read meanwhile is what the tests are about. */
UNIT_UNWATCHED static void *scribble(void *arg)
{
	struct writer *w = arg;
	uint64_t random = w->number + 1;

	for (size_t k = 0; !k || !atomic_load(&w->stop); k++) {
		for (unsigned i = 0; i < SEGMENTS; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			if (sizes[i]) {
				((volatile uint8_t *)at(w->state, i))[(random >> 20) % sizes[i]] ^= 0x5a;
				((volatile uint8_t *)at(w->state, i))[k * 512 % sizes[i]] = (uint8_t)k;
				w->writes += 2;
			}
		}
	}
	return NULL;
}

static void start_under_fire(struct state *s, uint64_t epoch)
{
	struct writer writers[2];
	pthread_t threads[2];

	fill(s, (unsigned)epoch);
	start(s, epoch);
	for (unsigned i = 0; i < 2; i++) {
		writers[i] = (struct writer){.state = s, .number = i};
		ck_assert(!pthread_create(&threads[i], NULL, scribble, &writers[i]));
	}
	wait_ok(s);
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&writers[i].stop, true);
		pthread_join(threads[i], NULL);
	}
}

static const struct {
	enum snapshot_way way;
	uint64_t stage_bytes;
} ways[] = {
	{SNAPSHOT_STAGE, 0}, {SNAPSHOT_STAGE, 2 * MIB + 1}, {SNAPSHOT_STAGE, 1},
	{SNAPSHOT_COW, 0},   {SNAPSHOT_COW, 8 * PAGE},	    {SNAPSHOT_AUTO, 0},
};

/* Where userfaultfd can be had, cow must work: its own trial of itself is no excuse. */
static bool have_cow(void)
{
	struct userfault userfault;
	int rc = userfault_open(&userfault, &err);

	if (rc) {
		printf("# no copy-on-write here: %s\n", err.text);
		return false;
	}
	userfault_close(&userfault);
	rc = cow_probe(&err);
	ck_assert_msg(!rc, "%d %s", rc, err.text);
	return true;
}

/* Over the fabric, and on the server's node. */
START_TEST(what_is_stored_was_there_at_the_start)
{
	const size_t way = (size_t)_i / 2;
	struct state s;

	net_name = _i % 2 ? "local" : "ofi";
	state_open(&s, ways[way].way, ways[way].stage_bytes);
	for (uint64_t epoch = 1; epoch <= 4; epoch++) {
		start_under_fire(&s, epoch);
		if (ways[way].way == SNAPSHOT_COW)
			ck_assert(stats_of(&s).cow == have_cow());
		ck_assert(!is_filled(&s, (unsigned)epoch));
		is_stored(&s, epoch, (unsigned)epoch);
	}
	state_close(&s);
}
END_TEST

START_TEST(what_finds_no_room_is_shipped_first)
{
	struct state s;

	state_open(&s, SNAPSHOT_STAGE, 2 * MIB);
	start_under_fire(&s, 1);
	ck_assert_uint_le(stats_of(&s).copied, 2 * MIB);
	ck_assert_uint_ge(stats_of(&s).direct, 27 * MIB);
	is_stored(&s, 1, 1);
	state_close(&s);
}
END_TEST

/* ---- copy-on-write ---- */

static void cow_open(struct state *s, uint64_t stage_bytes)
{
	state_open(s, SNAPSHOT_COW, stage_bytes);
	fill(s, 1);
	start(s, 1);
	wait_ok(s);
	fill(s, 2);
}

START_TEST(only_what_is_written_is_copied)
{
	struct state s;

	if (!have_cow())
		return;
	cow_open(&s, 0);
	hold();
	start(&s, 2);
	for (unsigned i = 0; i < 10; i++)
		at(&s, 4)[(i * 37 + 5) * PAGE] ^= 1;
	let_go();
	wait_ok(&s);
	ck_assert(stats_of(&s).cow);
	ck_assert_uint_ge(stats_of(&s).pages, 29 * MIB / PAGE);
	ck_assert_uint_eq(stats_of(&s).faults, 10);
	ck_assert_uint_eq(stats_of(&s).kept, 10);
	ck_assert_uint_lt(stats_of(&s).copied, MIB);
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

/* A write by the kernel into a protected page is one of the program's: it must not fail. */
START_TEST(the_kernel_may_write_to_protected_pages)
{
	uint8_t *page;
	struct state s;
	int pipes[2], zero = open("/dev/zero", O_RDONLY);

	if (!have_cow())
		return;
	cow_open(&s, 0);
	hold();
	start(&s, 2);
	page = at(&s, 4);
	ck_assert_int_eq(read(zero, page + 3 * PAGE, 2 * PAGE), 2 * PAGE);
	ck_assert(!pipe(pipes));
	ck_assert_int_eq(write(pipes[1], "hello", 5), 5);
	ck_assert_int_eq(read(pipes[0], page + 50 * PAGE, 5), 5);
	ck_assert(!memcmp(page + 50 * PAGE, "hello", 5));
	if (!fork()) {
		struct iovec here = {"other", 5}, there = {page + 70 * PAGE, 5};

		_exit(process_vm_writev(getppid(), &here, 1, &there, 1, 0) == 5 ? 0 : 1);
	}
	ck_assert(wait(&pipes[0]) > 0 && !pipes[0]);
	ck_assert(!memcmp(page + 70 * PAGE, "other", 5));
	let_go();
	wait_ok(&s);
	ck_assert_uint_ge(stats_of(&s).kept, 4);
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

/* A write that finds no room for a copy waits, but never for ever: then the checkpoint is given up. */
START_TEST(who_waits_for_room_waits_for_a_bounded_time)
{
	struct state s;

	if (!have_cow())
		return;
	cow_open(&s, 4 * PAGE);
	hold();
	start(&s, 2);
	for (unsigned i = 0; i < 20; i++)
		at(&s, 4)[i * 20 * PAGE] ^= 1;
	let_go();
	ck_assert_int_eq(snapshot_wait(s.snapshot, &err), -ETIME);
	ck_assert_ptr_nonnull(strstr(err.text, "segment4"));
	ck_assert_ptr_nonnull(strstr(err.text, "stage_bytes"));
	is_stored(&s, 1, 1);
	fill(&s, 3);
	start(&s, 3);
	wait_ok(&s);
	is_stored(&s, 3, 3);
	state_close(&s);
}
END_TEST

/* Memory that goes before it is shipped: the checkpoint fails and says so, the one before stays, and nobody crashes. */
static void go_unmapped(struct state *s)
{
	munmap(s->base[4], mapped_bytes(4));
}

static void go_unmapped_and_mapped(struct state *s)
{
	munmap(s->base[4], mapped_bytes(4));
	ck_assert(mmap(s->base[4], mapped_bytes(4), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		  s->base[4]);
	memset(s->base[4], 7, mapped_bytes(4));
}

static void go_mapped_over(struct state *s)
{
	ck_assert(mmap(s->base[4], mapped_bytes(4), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		  s->base[4]);
}

static void go_given_back(struct state *s)
{
	ck_assert(!madvise(s->base[4] + 100 * PAGE, PAGE, MADV_DONTNEED));
}

static void go_moved(struct state *s)
{
	uint8_t *moved = mremap(s->base[4], mapped_bytes(4), mapped_bytes(4) + 64 * MIB, MREMAP_MAYMOVE);

	ck_assert_ptr_ne(moved, MAP_FAILED);
	if (moved == s->base[4])
		go_given_back(s);
	else
		memset(moved, 3, mapped_bytes(4)); /* nobody must wait for a page that was ours */
}

static void (*const goings[])(struct state *s) = {go_unmapped, go_unmapped_and_mapped, go_mapped_over, go_given_back, go_moved};

START_TEST(memory_that_goes_fails_the_checkpoint)
{
	struct state s;

	if (!have_cow())
		return;
	cow_open(&s, 0);
	hold();
	start(&s, 2);
	at(&s, 4)[9 * PAGE] = 1;
	goings[_i](&s);
	let_go();
	ck_assert_int_eq(snapshot_wait(s.snapshot, &err), -EIDRM);
	ck_assert_ptr_nonnull(strstr(err.text, "segment4"));
	if (_i == 0 || _i == 4)
		s.base[4] = mmap(NULL, mapped_bytes(4), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s.segments[4].at = s.base[4] + ODD;
	is_stored(&s, 1, 1);
	start_under_fire(&s, 3);
	is_stored(&s, 3, 3);
	state_close(&s);
}
END_TEST

/* At any instant: it is stored as it was, or the checkpoint fails; nothing in between. */
START_TEST(memory_may_go_at_any_time)
{
	const unsigned rounds = unit_rounds(200, 24, 6);
	unsigned stored = 0;
	struct state s;
	int rc;

	if (!have_cow())
		return;
	state_open(&s, SNAPSHOT_COW, 0);
	for (uint64_t epoch = 1; epoch <= rounds; epoch++) {
		fill(&s, (unsigned)epoch);
		start(&s, epoch);
		usleep((unsigned)epoch * 37 % 24 * 12000);
		if (epoch % 3)
			madvise(s.base[4], mapped_bytes(4), MADV_DONTNEED);
		else
			go_unmapped_and_mapped(&s);
		memset(s.base[4], 9, mapped_bytes(4));
		rc = snapshot_wait(s.snapshot, &err);
		ck_assert_msg(!rc || rc == -EIDRM, "%d %s", rc, err.text);
		if (rc)
			continue;
		s.complete = epoch;
		is_stored(&s, epoch, (unsigned)epoch);
		stored++;
	}
	printf("# of %u rounds, %u were stored\n", rounds, stored);
	state_close(&s);
}
END_TEST

/* The same, announced: what is needed of it is shipped first. */
static void *let_go_soon(void *unused)
{
	(void)unused;
	usleep(100000);
	let_go();
	return NULL;
}

START_TEST(memory_that_is_released_may_go)
{
	struct state s;
	pthread_t thread;

	if (!have_cow())
		return;
	cow_open(&s, 0);
	hold();
	start(&s, 2);
	ck_assert(!pthread_create(&thread, NULL, let_go_soon, NULL));
	snapshot_release(s.snapshot, s.segments[4].at, sizes[4]);
	go_mapped_over(&s);
	wait_ok(&s);
	pthread_join(thread, NULL);
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

START_TEST(memory_of_another_userfaultfd_is_copied)
{
	struct track_segment *watched;
	struct track_options how = {.tracker = "uffd"};
	struct track_changes changes;
	struct track *track;
	struct state s;

	if (!have_cow() || track_open(&how, &track, &err))
		return;
	cow_open(&s, 0);
	ck_assert(!track_add(track, "segment4", at(&s, 4), sizes[4], TRACK_NORMAL, &watched, &err));
	track_collect(watched, &changes);
	track_arm(track);
	start_under_fire(&s, 2);
	ck_assert(stats_of(&s).cow);
	ck_assert_uint_ge(stats_of(&s).copied, sizes[4]);
	is_stored(&s, 2, 2);
	track_close(track);
	state_close(&s);
}
END_TEST

/* What a device writes past the page tables makes no fault. */
START_TEST(memory_that_others_write_to_is_copied)
{
	struct state s;

	if (!have_cow())
		return;
	cow_open(&s, 0);
	s.segments[4].hint = TRACK_NIC_WRITTEN;
	s.segments[5].hint = TRACK_NORMAL;
	start_under_fire(&s, 2);
	ck_assert_uint_ge(stats_of(&s).copied, sizes[4]);
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

START_TEST(one_with_many_faults_is_followed_by_copies)
{
	struct state s;

	if (!have_cow())
		return;
	state_open(&s, SNAPSHOT_AUTO, 0);
	fill(&s, 1);
	hold();
	start(&s, 1);
	for (size_t k = 0; k < sizes[4]; k += PAGE)
		at(&s, 4)[k] ^= 1;
	let_go();
	wait_ok(&s);
	ck_assert(stats_of(&s).cow);
	fill(&s, 2);
	start(&s, 2);
	wait_ok(&s);
	ck_assert(!stats_of(&s).cow);
	ck_assert_ptr_nonnull(strstr(s.said, "(cow)"));
	ck_assert_ptr_nonnull(strstr(s.said, "(stage) for now"));
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

/* Who may not use userfaultfd gets a copy, and is told. */
START_TEST(without_userfaultfd_a_copy_is_made)
{
	struct state s;
	int status;

	if (geteuid())
		return;
	if (!fork()) {
		ck_assert(!setuid(65534));
		if (!cow_probe(&err))
			_exit(0); /* vm.unprivileged_userfaultfd */
		state_open(&s, SNAPSHOT_COW, 0);
		start_under_fire(&s, 1);
		_exit(!stats_of(&s).cow && strstr(s.said, "(cow) does not work here: userfaultfd") ? 0 : 1);
	}
	ck_assert(wait(&status) > 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- fork ---- */

START_TEST(a_child_is_left_alone)
{
	struct state s;
	int status;

	state_open(&s, _i ? SNAPSHOT_COW : SNAPSHOT_STAGE, 0);
	fill(&s, 1);
	hold();
	start(&s, 1);
	if (!fork()) {
		bool own = !snapshot_under_way(s.snapshot) && snapshot_shipped(s.snapshot) && !snapshot_wait(s.snapshot, &err);

		for (unsigned i = 0; i < SEGMENTS; i++)
			memset(at(&s, i), 77, sizes[i]);
		snapshot_free(s.snapshot, NULL);
		_exit(own ? 0 : 1);
	}
	for (unsigned i = 0; i < SEGMENTS; i++)
		memset(at(&s, i), 78, sizes[i]);
	ck_assert(wait(&status) > 0);
	ck_assert_int_eq(status, 0);
	ck_assert(snapshot_under_way(s.snapshot) && !snapshot_shipped(s.snapshot));
	let_go();
	wait_ok(&s);
	ck_assert(stats_of(&s).cow == (_i && have_cow()));
	is_stored(&s, 1, 1);
	state_close(&s);
}
END_TEST

/* ---- accidents ---- */

/* The server, or what serves its data, dies in mid-ship: it is shipped anew, from what was there at the start. */
START_TEST(a_lost_connection_is_no_loss)
{
	static const uint64_t room[] = {0, 0, 16 * MIB};
	struct state s;

	state_open(&s, _i ? SNAPSHOT_COW : SNAPSHOT_STAGE, room[_i]);
	fill(&s, 1);
	start(&s, 1);
	wait_ok(&s);
	fill(&s, 2);
	hold();
	start(&s, 2);
	for (size_t k = 0; k < MIB; k += 300)
		at(&s, 1)[k] ^= 1;
	pmu_kill(&pmu);
	let_go();
	ck_assert(pmu_start(&pmu, NULL, NULL));
	for (size_t k = 0; k < sizes[4] / 3; k += 300)
		at(&s, 4)[k] ^= 1;
	wait_ok(&s);
	is_stored(&s, 2, 2);
	state_close(&s);
}
END_TEST

/* It cannot be shipped anew where what was there at the start is not there any more. */
START_TEST(what_cannot_be_shipped_anew_fails)
{
	struct state s;
	int rc;

	if (_i && !have_cow())
		return;
	state_open(&s, _i ? SNAPSHOT_COW : SNAPSHOT_STAGE, _i ? 4 * PAGE : 8 * MIB);
	fill(&s, 1);
	start(&s, 1);
	wait_ok(&s);
	fill(&s, 2);
	/* Late enough for much to be shipped: 1 MiB at a time. */
	hold();
	setenv("HOLDFAST_TEST_POINT", "snapshot-take:hold:30", 1);
	start(&s, 2);
	for (size_t k = 0; k < 2 * MIB; k += PAGE)
		at(&s, 1)[k] ^= 1;
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	let_go();
	rc = snapshot_wait(s.snapshot, &err);
	ck_assert_msg(rc == -ENODATA, "%d %s", rc, err.text);
	ck_assert_ptr_nonnull(strstr(err.text, "the connection was lost"));
	is_stored(&s, 1, 1);
	state_close(&s);
}
END_TEST

START_TEST(a_process_that_dies_leaves_the_one_before)
{
	struct state s;
	pid_t child;
	int status;

	child = fork();
	if (!child) {
		state_open(&s, _i ? SNAPSHOT_COW : SNAPSHOT_STAGE, 0);
		fill(&s, 1);
		start(&s, 1);
		wait_ok(&s);
		fill(&s, 2);
		setenv("HOLDFAST_TEST_POINT", "snapshot-take:kill:20", 1);
		start(&s, 2);
		for (;;)
			at(&s, 4)[rand() % 1000000] ^= 1;
	}
	ck_assert(waitpid(child, &status, 0) == child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	state_open(&s, SNAPSHOT_STAGE, 0);
	is_stored(&s, 1, 1);
	start_under_fire(&s, 3);
	is_stored(&s, 3, 3);
	state_close(&s);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("snapshot");
	const struct {
		const char *name;
		const TTest *test;
		int count;
		bool points;
	} tests[] = {
#define TEST(name, count, points) {#name, name, count, points}
		TEST(what_is_stored_was_there_at_the_start, 2 * sizeof(ways) / sizeof(ways[0]), false),
		TEST(what_finds_no_room_is_shipped_first, 1, false),
		TEST(memory_of_another_userfaultfd_is_copied, 1, false),
		TEST(memory_that_others_write_to_is_copied, 1, false),
		TEST(without_userfaultfd_a_copy_is_made, 1, false),
		TEST(memory_may_go_at_any_time, 1, false),
		TEST(only_what_is_written_is_copied, 1, true),
		TEST(the_kernel_may_write_to_protected_pages, 1, true),
		TEST(who_waits_for_room_waits_for_a_bounded_time, 1, true),
		TEST(memory_that_goes_fails_the_checkpoint, sizeof(goings) / sizeof(goings[0]), true),
		TEST(memory_that_is_released_may_go, 1, true),
		TEST(one_with_many_faults_is_followed_by_copies, 1, true),
		TEST(a_child_is_left_alone, 2, true),
		TEST(a_lost_connection_is_no_loss, 3, true),
		TEST(what_cannot_be_shipped_anew_fails, 2, true),
		TEST(a_process_that_dies_leaves_the_one_before, 2, true),
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		TCase *tcase = tcase_create(tests[i].name);

#ifndef HOLDFAST_TEST_POINTS
		if (tests[i].points)
			continue;
#endif
		tcase_set_timeout(tcase, 90);
		tcase_add_checked_fixture(tcase, setup, teardown);
		tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].count);
		suite_add_tcase(suite, tcase);
	}
	return suite;
}
