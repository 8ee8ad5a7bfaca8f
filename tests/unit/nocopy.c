/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nocopy.c - no byte of payload is copied on its way between the application's memory and the slot: a client's
 * transfers are of the application's own memory, and over RDMA they are of the slot's, too, with no part of the NI in it.
 *
 * The second half needs an RDMA device: HOLDFAST_TEST_NET=verbs, HOLDFAST_TEST_ADDRESS its address. That the device is
 * given the memory of a transfer itself is in tests/unit/verbs.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "client/session.h"
#include "net/piece.h"
#include "rank.h"
#include "unit.h"

#define MIB ((uint64_t)1 << 20)

static const uint64_t sizes[] = {3 * MIB + 4321, 5 * MIB};
#define COUNT (sizeof(sizes) / sizeof(sizes[0]))

static const char *device_address(void)
{
	const char *name = getenv("HOLDFAST_TEST_NET"), *at = getenv("HOLDFAST_TEST_ADDRESS");

	return name && at && !strcmp(name, "verbs") ? at : NULL;
}

/* ---- a data plane that watches ---- */

/* What the client asks of its data plane goes on to the one that it has. */
static struct {
	struct client *client;
	const struct net_ops *real;
	struct net_ops ops;
	const struct client_segment *segments; /* the application's memory */
	uint64_t own_bytes, other_bytes;       /* that transfers were of: of that memory, and not */
	void (*first)(void);		       /* before the first transfer */
	void (*last)(void);		       /* when registration number `last_at` ends: all is there */
	unsigned ended, last_at;
} watch;

static bool is_own(const uint8_t *at, size_t bytes)
{
	for (size_t i = 0; i < COUNT; i++) {
		const uint8_t *own = watch.segments[i].at;

		if (at >= own && (size_t)(at - own) <= sizes[i] && bytes <= sizes[i] - (size_t)(at - own))
			return true;
	}
	return false;
}

static int watched_submit(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer,
			  struct error *error)
{
	int rc;

	if (watch.first)
		watch.first();
	watch.first = NULL;
	rc = watch.real->submit(conn, key, transfer, error);
	for (unsigned i = 0; !rc && i <= transfer->more_count; i++) {
		struct net_piece piece = piece_at(transfer, i);

		*(is_own(piece.local, piece.bytes) ? &watch.own_bytes : &watch.other_bytes) += piece.bytes;
	}
	return rc;
}

static void watched_unregister(struct net_conn *conn, void *registration)
{
	if (watch.last && ++watch.ended == watch.last_at)
		watch.last();
	watch.real->unregister_local(conn, registration);
}

static void watch_begin(struct client *client, const struct client_segment *segments)
{
	memset(&watch, 0, sizeof(watch));
	watch.client = client;
	watch.segments = segments;
	watch.real = client->net;
	watch.ops = *client->net;
	watch.ops.submit = watched_submit;
	watch.ops.unregister_local = watched_unregister;
	client->net = &watch.ops;
}

static void watch_end(void)
{
	ck_assert_ptr_eq(watch.client->net, &watch.ops); /* it has not connected anew */
	watch.client->net = watch.real;
}

/* ---- fixtures ---- */

static void setup(void)
{
	const char *const verbs[] = {"--net", "verbs", "--fabric-listen", device_address(), NULL};

	net_name = device_address() ? "verbs" : "ofi";
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, device_address() ? verbs : NULL, NULL));
	memory_make(sizes, COUNT);
}

static void teardown(void)
{
	memory_free();
	pmu_remove(&pmu);
}

static void put_watched(struct client *client, uint64_t epoch, enum set_kind kind, uint64_t bytes)
{
	ck_assert_int_eq(put_ok(client, epoch, epoch - 1, kind), kind);
	watch_end();
	ck_assert_uint_eq(watch.own_bytes, bytes);
	/* The table of checksums, in which no payload has room. */
	ck_assert_uint_gt(watch.other_bytes, 0);
	ck_assert_uint_lt(watch.other_bytes, 4096);
}

/* Memory for a restore. */
static void restore_make(struct client_segment *segments)
{
	for (size_t i = 0; i < COUNT; i++) {
		segments[i] = (struct client_segment){.segment = memory.segments[i].segment};
		segments[i].at = calloc(1, sizes[i]);
	}
}

static void restore_check(struct client_segment *segments)
{
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert(!memcmp(segments[i].at, memory.segments[i].at, sizes[i]));
		free(segments[i].at);
	}
}

/* ---- the client's half ---- */

START_TEST(transfers_are_of_the_applications_memory)
{
	struct client *client = open_rank(0, 1);
	struct client_segment segments[COUNT];
	uint64_t changed;

	watch_begin(client, memory.segments);
	put_watched(client, 1, SET_FULL, sizes[0] + sizes[1]);

	touch(0, 0);
	touch(0, blocks_of(0) - 1);
	touch(1, 7);
	changed = 2 * block_bytes + sizes[0] % block_bytes;
	watch_begin(client, memory.segments);
	put_watched(client, 2, SET_INCREMENT, changed);

	restore_make(segments);
	watch_begin(client, segments);
	ck_assert_msg(!client_get(client, 0, 2, segments, COUNT, &err), "%s", err.text);
	watch_end();
	ck_assert_uint_eq(watch.own_bytes, sizes[0] + sizes[1]);
	ck_assert_uint_lt(watch.other_bytes, 8192);
	restore_check(segments);
	client_close(client, false, &err);
}
END_TEST

/* ---- the server's ---- */

static bool slot_has_payload(const char *path)
{
	uint8_t *data = malloc(sizes[1]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t place = 0;
	bool same = fd >= 0 && data;

	for (size_t i = 0; i < COUNT && same; i++) {
		same = pread(fd, data, sizes[i], (off_t)place) == (ssize_t)sizes[i] &&
		       !memcmp(data, memory.segments[i].at, sizes[i]);
		place += (sizes[i] + SET_ALIGN - 1) / SET_ALIGN * SET_ALIGN;
	}
	if (fd >= 0)
		close(fd);
	free(data);
	return same;
}

static bool some_slot_has_payload(void)
{
	char pattern[192];
	glob_t found;
	bool has = false;

	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	if (glob(pattern, 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc; i++)
		has |= slot_has_payload(found.gl_pathv[i]);
	globfree(&found);
	return has;
}

static char ni_state(void)
{
	char path[64], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pmu_ni_pid(&pmu));
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
	fclose(file);
	return state;
}

static void ni_stop(void)
{
	ck_assert(!kill(pmu_ni_pid(&pmu), SIGSTOP));
	for (int i = 0; i < 2000 && ni_state() != 'T'; i++)
		usleep(5000);
	ck_assert_int_eq(ni_state(), 'T');
}

static void ni_continue(void)
{
	ck_assert_int_eq(ni_state(), 'T');
	ck_assert(!kill(pmu_ni_pid(&pmu), SIGCONT));
}

static void ni_stop_before_payload(void)
{
	ni_stop();
	ck_assert(!some_slot_has_payload());
}

static void written_while_stopped(void)
{
	ck_assert(some_slot_has_payload());
	ni_continue();
}

START_TEST(a_stopped_ni_has_its_slots_written_and_read)
{
	struct client *client = open_rank(0, 1);
	struct client_segment segments[COUNT];

	watch_begin(client, memory.segments);
	watch.first = ni_stop_before_payload;
	watch.last = written_while_stopped;
	watch.last_at = 1;
	put_watched(client, 1, SET_FULL, sizes[0] + sizes[1]);

	restore_make(segments);
	watch_begin(client, segments);
	watch.first = ni_stop;
	watch.last = ni_continue;
	watch.last_at = 1 + COUNT; /* the table's is the first */
	ck_assert_msg(!client_get(client, 0, 1, segments, COUNT, &err), "%s", err.text);
	watch_end();
	ck_assert_uint_eq(watch.ended, 1 + COUNT);
	restore_check(segments);
	client_close(client, false, &err);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("nocopy");
	TCase *tc = tcase_create("nocopy");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, transfers_are_of_the_applications_memory);
	if (device_address())
		tcase_add_test(tc, a_stopped_ni_has_its_slots_written_and_read);
	else
		printf("# no RDMA device is named by HOLDFAST_TEST_NET and HOLDFAST_TEST_ADDRESS: the NI is not stopped\n");
	suite_add_tcase(suite, tc);
	return suite;
}
