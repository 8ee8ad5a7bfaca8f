/* SPDX-License-Identifier: BSD-3-Clause */
/* client.c - client.h against a real pmu-server: what each call promises, with and without accidents. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/client.h"
#include "client/session.h"
#include "common/clock.h"
#include "common/testpoint.h"
#include "pmu_fixture.h"
#include "unit.h"

#define MIB (1u << 20)

static struct pmu pmu;
static struct error err;
static const char *net_name; /* of clients */

static struct client_options options_of_server(void)
{
	return (struct client_options){
		.server = pmu.address,
		.net = net_name,
		.chunk_bytes = MIB, /* sets have several, where something is to happen between two */
		.auth = "none",
		.timeout_ms = 10000,
		.reconnect_ms = 15000,
	};
}

static struct client_identity identity_of(const char *job, uint32_t rank, uint32_t ranks)
{
	return (struct client_identity){
		.job = job,
		.rank = rank,
		.ranks = ranks,
		.mode = REGION_OVERWRITE,
		.launch = {1},
	};
}

static struct client *open_ok(const struct client_identity *identity)
{
	struct client_options options = options_of_server();
	struct client *client = NULL;
	int rc = client_open(&options, identity, &client, &err);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
	return client;
}

static struct client *open_rank(const char *job, uint32_t rank, uint32_t ranks)
{
	struct client_identity identity = identity_of(job, rank, ranks);

	return open_ok(&identity);
}

static struct client_segment segment_of(const char *name, void *at, uint64_t bytes)
{
	struct client_segment s = {.segment = {.type = ELEMENT_BYTE, .element_bytes = 1, .count = bytes},
				   .at = at};

	snprintf(s.segment.name, sizeof(s.segment.name), "%s", name);
	return s;
}

/* Bytes that tell position and seed, so that nothing fits by accident. */
static void fill(uint8_t *at, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 13);
}

static void check_fill(const uint8_t *at, size_t bytes, unsigned seed)
{
	uint8_t *want = malloc(bytes + 1);

	fill(want, bytes, seed);
	ck_assert(!memcmp(at, want, bytes));
	free(want);
}

static void put_ok(struct client *client, uint64_t epoch, uint64_t keep, uint8_t *data, size_t bytes)
{
	struct client_segment s = segment_of("data", data, bytes);
	int rc;

	fill(data, bytes, (unsigned)epoch);
	rc = client_put(client, epoch, keep, NULL, &s, 1, &err);
	ck_assert_msg(!rc, "%d %s", rc, err.text);
}

static void get_ok(struct client *client, uint32_t rank, uint64_t epoch, uint8_t *data, size_t bytes)
{
	struct client_segment s = segment_of("data", data, bytes);
	int rc;

	memset(data, 0, bytes);
	rc = client_get(client, rank, epoch, &s, 1, &err);
	ck_assert_msg(!rc, "%d %s", rc, err.text);
	check_fill(data, bytes, (unsigned)epoch);
}

static const struct set_info *sets_newest(const struct client *client)
{
	const struct set_info *sets;
	size_t n = client_sets(client, &sets);

	ck_assert_uint_gt(n, 0);
	return &sets[n - 1];
}

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
}

static void setup_large(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, (const char *[]){"--size", "256M", NULL}, NULL));
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

/* ---- the happy path ---- */

START_TEST(what_was_put_is_got)
{
	static const size_t sizes[] = {1, 4096, 65536, 65537, MIB, 5 * MIB + 123};
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(6 * MIB);
	const struct set_info *sets;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put_ok(client, i + 1, i, data, sizes[i]);
		get_ok(client, 0, i + 1, data, sizes[i]);
	}
	ck_assert_uint_eq(client_sets(client, &sets), 2);
	ck_assert_uint_eq(sets[0].epoch, 5);
	ck_assert_uint_eq(sets[1].epoch, 6);
	ck_assert(!client_close(client, false, &err));
	free(data);
}
END_TEST

/* Ends the NI now and then, some times. */
static void *kill_nis(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 6; i++) {
		pid_t ni;

		usleep(30000);
		ni = pmu_ni_pid(&pmu);
		if (ni > 0)
			kill(ni, SIGKILL);
	}
	return NULL;
}

static struct net_ops wrapped;
static const struct net_ops *inner;
static unsigned limits_asked;

static void limits_of_a_device(const struct net_conn *conn, struct net_limits *limits)
{
	inner->limits(conn, limits);
	limits->hashed_window = 0;
	limits_asked++;
}

/* Until the client connects anew, its back end says that a device sends. */
static void wrap_as_device(struct client *client)
{
	if (client->net == &wrapped)
		return;
	inner = client->net;
	wrapped = *inner;
	wrapped.limits = limits_of_a_device;
	client->net = &wrapped;
}

/* With a second thread for the checksums, and the connection lost meanwhile or not, the table is the same. */
START_TEST(a_helper_makes_the_same_checksums)
{
	static const size_t sizes[] = {9 * MIB + 123, 0, 4096, 10 * MIB - 1};
	enum { SEGMENTS = sizeof(sizes) / sizeof(sizes[0]) };
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of("helped", 0, 1);
	struct client *alone = open_rank("alone", 0, 1), *helped;
	struct client_segment segments[SEGMENTS];
	bool killing = _i;
	char name[16];
	pthread_t killer;

	options.threads = 3;
	ck_assert_msg(!client_open(&options, &identity, &helped, &err), "%s", err.text);
	limits_asked = 0;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		segments[i] = segment_of(name, malloc(sizes[i] + 1), sizes[i]);
	}
	for (unsigned epoch = 1; epoch < 4; epoch++) {
		for (unsigned i = 0; i < SEGMENTS; i++)
			fill(segments[i].at, sizes[i], epoch + i);
		ck_assert_msg(!client_put(alone, epoch, epoch - 1, NULL, segments, SEGMENTS, &err), "%s", err.text);
		if (killing)
			ck_assert(!pthread_create(&killer, NULL, kill_nis, NULL));
		wrap_as_device(helped);
		ck_assert_msg(!client_put(helped, epoch, epoch - 1, NULL, segments, SEGMENTS, &err), "%s", err.text);
		if (killing)
			pthread_join(killer, NULL);
		ck_assert_uint_eq(sets_newest(helped)->epoch, epoch);
		ck_assert_uint_eq(sets_newest(helped)->table_digest, sets_newest(alone)->table_digest);
		ck_assert_msg(!client_get(helped, 0, epoch, segments, SEGMENTS, &err), "%s", err.text);
		for (unsigned i = 0; i < SEGMENTS; i++)
			check_fill(segments[i].at, sizes[i], epoch + i);
	}
	ck_assert_uint_ge(limits_asked, 3);
	for (unsigned i = 0; i < SEGMENTS; i++)
		free(segments[i].at);
	client_close(alone, false, &err);
	client_close(helped, false, &err);
}
END_TEST

/* Memory of its own that what is shipped is copied to; what was given back is another's from then on. */
struct lent {
	uint8_t *data, *copy;
	size_t bytes;
	struct client_memory memory;
};

static int lent_begin(void *arg, struct error *error)
{
	const struct lent *lent = arg;

	(void)error;
	memcpy(lent->copy, lent->data, lent->bytes);
	return 0;
}

static int lent_take(void *arg, size_t index, uint64_t offset, uint64_t *bytes, void **at, struct error *error)
{
	const struct lent *lent = arg;

	(void)index;
	(void)bytes;
	(void)error;
	*at = lent->copy + offset;
	return 0;
}

static void lent_give(void *arg, void *at, uint64_t bytes)
{
	(void)arg;
	memset(at, 0xee, bytes);
}

static const struct client_memory *lent_memory(void *arg, size_t *count)
{
	const struct lent *lent = arg;

	*count = 1;
	return &lent->memory;
}

/* Of a block that is one transfer, or many. */
START_TEST(what_is_given_back_is_not_read_any_more)
{
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of("lent", 0, 1);
	const size_t bytes = 6 * MIB + 123;
	struct lent lent = {malloc(bytes), malloc(bytes), bytes, {0}};
	const struct client_source source = {lent_begin, lent_take, lent_give, lent_memory, &lent};
	struct client_segment s = segment_of("data", lent.data, bytes);
	enum set_kind kind = SET_FULL;
	struct client *client;

	options.block_bytes = MIB;
	options.window = 2;
	options.chunk_bytes = _i ? 65536 : 0;
	lent.memory = (struct client_memory){lent.copy, bytes, false};
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	fill(lent.data, bytes, 1);
	ck_assert_msg(!client_put_from(client, 1, 0, &kind, &s, 1, &source, &err), "%s", err.text);
	check_fill(lent.data, bytes, 1);
	get_ok(client, 0, 1, lent.data, bytes);
	client_close(client, false, &err);
	free(lent.data);
	free(lent.copy);
}
END_TEST

/* Whoever reads has blocks of another size for what it writes itself. */
START_TEST(a_set_is_read_by_its_own_block_size)
{
	static const uint64_t blocks[] = {SET_BLOCK_MIN, SET_BLOCK_MAX, 0};
	static const size_t sizes[] = {0, 1, 4096, 4097, 4 * MIB, 5 * MIB + 123};
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of("job", 0, 2);
	struct client *client, *reader = open_rank("job", 1, 2);
	uint8_t *data = malloc(6 * MIB), into[100];
	uint64_t epoch = 0;

	for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		options.block_bytes = blocks[i];
		ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
		for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++, epoch++) {
			put_ok(client, epoch + 1, epoch, data, sizes[k]);
			ck_assert_uint_eq(sets_newest(client)->block_bytes,
					  blocks[i] ? blocks[i] : SET_BLOCK_DEFAULT);
			get_ok(client, 0, epoch + 1, data, sizes[k]);
			get_ok(reader, 0, epoch + 1, data, sizes[k]);
		}
		ck_assert_msg(!client_get_range(reader, 0, epoch, "data", 4 * MIB - 50, into, 100, &err), "%s", err.text);
		ck_assert(!memcmp(into, data + 4 * MIB - 50, 100));
		client_close(client, false, &err);
	}
	client_close(reader, false, &err);
	free(data);
}
END_TEST

/* As the client knows it from its own writing, and as it is told when it comes back. */
START_TEST(a_set_tells_which_generation_wrote_it)
{
	struct client *client = open_rank("job", 0, 1);
	const struct set_info *sets;
	uint8_t data[100];

	put_ok(client, 1, 0, data, sizeof(data));
	ck_assert_uint_eq(client_generation(client), 1);
	ck_assert_uint_eq(client_sets(client, &sets), 1);
	ck_assert_uint_eq(sets[0].generation, 1);
	client_close(client, false, &err);
	client = open_rank("job", 0, 1);
	put_ok(client, 2, 1, data, sizeof(data));
	ck_assert_uint_eq(client_generation(client), 2);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_uint_eq(client_sets(client, &sets), 2);
		ck_assert_uint_eq(sets[0].generation, 1);
		ck_assert_uint_eq(sets[1].generation, 2);
		ck_assert_msg(!client_refresh(client, &err), "%s", err.text);
	}
	client_close(client, false, &err);
}
END_TEST

START_TEST(segments_of_many_sizes_come_back_each)
{
	struct client *client = open_rank("job", 0, 1);
	struct client_segment s[40];
	struct segment *layout;
	size_t n;
	uint8_t *data[40];
	char name[16];

	for (unsigned i = 0; i < 40; i++) {
		size_t bytes = i % 5 == 4 ? 0 : (size_t)i * i * 97 + 1;

		snprintf(name, sizeof(name), "segment%u", i);
		data[i] = malloc(bytes + 1);
		fill(data[i], bytes, i);
		s[i] = segment_of(name, bytes ? data[i] : NULL, bytes);
	}
	ck_assert(!client_put(client, 1, 0, NULL, s, 40, &err));
	for (unsigned i = 0; i < 40; i++)
		memset(data[i], 0, s[i].segment.count);
	ck_assert_msg(!client_get(client, 0, 1, s, 40, &err), "%s", err.text);
	for (unsigned i = 0; i < 40; i++)
		check_fill(data[i], s[i].segment.count, i);
	ck_assert(!client_layout(client, 0, 1, &layout, &n, &err));
	ck_assert_uint_eq(n, 40);
	ck_assert_str_eq(layout[39].name, "segment39");
	ck_assert_uint_eq(layout[7].count, s[7].segment.count);
	free(layout);
	for (unsigned i = 0; i < 40; i++)
		free(data[i]);
	client_close(client, false, &err);
}
END_TEST

START_TEST(a_set_may_be_empty)
{
	struct client *client = open_rank("job", 0, 1);

	ck_assert_msg(!client_put(client, 1, 0, NULL, NULL, 0, &err), "%s", err.text);
	ck_assert_msg(!client_get(client, 0, 1, NULL, 0, &err), "%s", err.text);
	client_close(client, false, &err);
}
END_TEST

START_TEST(sets_may_grow_and_shrink)
{
	static const size_t sizes[] = {100, 3 * MIB, 10, 7 * MIB, 0, 12 * MIB, 1};
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(12 * MIB);

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put_ok(client, i + 1, i, data, sizes[i]);
		get_ok(client, 0, i + 1, data, sizes[i]);
		if (i)
			get_ok(client, 0, i, data, sizes[i - 1]);
	}
	client_close(client, false, &err);
	free(data);
}
END_TEST

START_TEST(ranges_are_read_and_checked)
{
	static const struct {
		uint64_t offset, bytes;
	} ranges[] = {{0, 1}, {65535, 2}, {100000, 3000000}, {5 * MIB + 122, 1}, {0, 5 * MIB + 123}};
	struct client *client = open_rank("job", 0, 1);
	size_t bytes = 5 * MIB + 123;
	uint8_t *data = malloc(bytes), *into = malloc(bytes);

	put_ok(client, 1, 0, data, bytes);
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		ck_assert_msg(!client_get_range(client, 0, 1, "data", ranges[i].offset, into,
						ranges[i].bytes, &err),
			      "%s", err.text);
		ck_assert(!memcmp(into, data + ranges[i].offset, ranges[i].bytes));
	}
	ck_assert_int_eq(client_get_range(client, 0, 1, "data", bytes, into, 1, &err), -ENOMSG);
	ck_assert_int_eq(client_get_range(client, 0, 1, "data", UINT64_MAX, into, 2, &err), -ENOMSG);
	ck_assert_int_eq(client_get_range(client, 0, 1, "other", 0, into, 1, &err), -ENOMSG);
	client_close(client, false, &err);
	free(data);
	free(into);
}
END_TEST

START_TEST(another_ranks_set_can_be_read)
{
	struct client *one = open_rank("job", 0, 2), *two = open_rank("job", 1, 2);
	uint8_t *data = malloc(MIB);

	put_ok(one, 1, 0, data, MIB);
	get_ok(two, 0, 1, data, MIB);
	ck_assert_int_eq(client_get_range(two, 1, 1, "data", 0, data, 1, &err), -ENOENT);
	client_close(one, false, &err);
	get_ok(two, 0, 1, data, MIB);
	client_close(two, false, &err);
	free(data);
}
END_TEST

START_TEST(a_finished_job_leaves_nothing)
{
	struct client *one = open_rank("job", 0, 2), *two = open_rank("job", 1, 2);
	uint8_t data[100];
	char pattern[160];
	glob_t found;

	put_ok(one, 1, 0, data, sizeof(data));
	put_ok(two, 1, 0, data, sizeof(data));
	ck_assert(!client_close(one, true, &err));
	ck_assert(!client_close(two, true, &err));
	ck_assert(pmu_stop(&pmu));
	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	one = open_rank("job", 0, 5); /* nothing remembers that it had two ranks */
	client_close(one, false, &err);
}
END_TEST

/* ---- keep ---- */

START_TEST(the_kept_epoch_is_never_overwritten)
{
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(MIB);
	struct client_segment s = segment_of("data", data, MIB);

	put_ok(client, 1, 0, data, MIB);
	for (unsigned epoch = 2; epoch < 8; epoch++) {
		put_ok(client, epoch, 1, data, MIB);
		get_ok(client, 0, 1, data, MIB);
	}
	/* a job with a complete epoch cannot say that it has none */
	ck_assert_int_eq(client_put(client, 8, 0, NULL, &s, 1, &err), -EEXIST);
	/* nor keep one that is not there */
	ck_assert_int_eq(client_put(client, 9, 3, NULL, &s, 1, &err), -ENOENT);
	get_ok(client, 0, 1, data, MIB);
	get_ok(client, 0, 7, data, MIB);
	client_close(client, false, &err);
	free(data);
}
END_TEST

START_TEST(a_full_pool_harms_nobody)
{
	struct client *one = open_rank("one", 0, 1), *two = open_rank("two", 0, 1);
	uint8_t *data = malloc(40 * MIB);
	struct client_segment s = segment_of("data", data, 40 * MIB);

	put_ok(one, 1, 0, data, 20 * MIB);
	memset(data, 1, 40 * MIB);
	ck_assert_int_eq(client_put(two, 1, 0, NULL, &s, 1, &err), -ENOSPC);
	ck_assert_int_eq(client_put(one, 2, 1, NULL, &s, 1, &err), -ENOSPC);
	ck_assert_str_ne(err.text, "");
	get_ok(one, 0, 1, data, 20 * MIB);
	put_ok(one, 2, 1, data, 20 * MIB);
	put_ok(two, 1, 0, data, 4 * MIB);
	client_close(one, false, &err);
	client_close(two, false, &err);
	free(data);
}
END_TEST

/* ---- what does not fit ---- */

START_TEST(what_was_changed_between_runs_is_named)
{
	struct client *client = open_rank("job", 0, 1);
	uint8_t data[100], other[100];
	struct client_segment s = segment_of("data", data, 100);

	put_ok(client, 1, 0, data, 100);
	fill(other, 100, 77);
	s.at = other;
	strcpy(s.segment.name, "renamed");
	ck_assert_int_eq(client_get(client, 0, 1, &s, 1, &err), -ENOMSG);
	ck_assert_ptr_nonnull(strstr(err.text, "renamed"));
	s = segment_of("data", other, 99);
	ck_assert_int_eq(client_get(client, 0, 1, &s, 1, &err), -ENOMSG);
	s = segment_of("data", other, 25);
	s.segment.type = ELEMENT_INT32;
	s.segment.element_bytes = 4;
	ck_assert_int_eq(client_get(client, 0, 1, &s, 1, &err), -ENOMSG);
	check_fill(other, 100, 77);
	client_close(client, false, &err);
}
END_TEST

/* ---- who may write ---- */

static void check_takeover(struct client_identity *identity)
{
	struct client_identity before = identity_of("job", 0, 1);
	struct client *old = open_ok(&before), *new;
	uint8_t data[100];
	struct client_segment s = segment_of("data", data, sizeof(data));

	put_ok(old, 1, 0, data, sizeof(data));
	new = open_ok(identity);
	get_ok(new, 0, 1, data, sizeof(data));
	ck_assert_int_eq(client_put(old, 2, 1, NULL, &s, 1, &err), -ESTALE);
	ck_assert_int_eq(client_put(old, 2, 1, NULL, &s, 1, &err), -ESTALE);
	put_ok(new, 2, 1, data, sizeof(data));
	get_ok(new, 0, 2, data, sizeof(data));
	client_close(old, false, &err);
	get_ok(new, 0, 2, data, sizeof(data));
	client_close(new, false, &err);
}

START_TEST(a_later_incarnation_fences_the_former)
{
	struct client_identity identity = identity_of("job", 0, 1);

	identity.incarnation = 1;
	check_takeover(&identity);
}
END_TEST

START_TEST(an_explicit_takeover_fences)
{
	struct client_identity identity = identity_of("job", 0, 1);

	identity.launch[0] = 9;
	identity.force = true;
	check_takeover(&identity);
}
END_TEST

START_TEST(a_fenced_primary_cannot_finish_the_job)
{
	struct client_identity identity = identity_of("job", 0, 1);
	struct client *old = open_ok(&identity), *new;
	uint8_t data[100];

	put_ok(old, 1, 0, data, sizeof(data));
	identity.incarnation = 1;
	new = open_ok(&identity);
	ck_assert_int_eq(client_close(old, true, &err), -ESTALE);
	get_ok(new, 0, 1, data, sizeof(data));
	client_close(new, false, &err);
}
END_TEST

#ifdef HOLDFAST_TEST_POINTS
/* The server anew, with a pool on what stands in for a device. */
static void server_on_device(const char *option)
{
	char pool[160], files[160], device[160];
	const char *arguments[] = {"--data", device, option, NULL};

	pmu_stop(&pmu);
	snprintf(pool, sizeof(pool), "%s/pool", pmu.directory);
	snprintf(files, sizeof(files), "%s/files", pmu.directory);
	snprintf(device, sizeof(device), "%s/device", pmu.directory);
	if (access(device, F_OK)) {
		ck_assert_int_eq(rename(pool, files), 0);
		close(open(device, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
		ck_assert_int_eq(truncate(device, 66 * MIB), 0);
	}
	ck_assert(pmu_start(&pmu, arguments, "HOLDFAST_TEST_DEVICE=1"));
}

START_TEST(a_device_that_users_do_not_share_is_for_the_first)
{
	struct client_identity identity = identity_of("job", 0, 1);
	struct client_options options;
	struct client *client, *other;
	uint8_t data[100];

	server_on_device(NULL);
	options = options_of_server();
	client = open_ok(&identity);
	put_ok(client, 1, 0, data, sizeof(data));
	/* On loopback without authentication the server takes our word. */
	ck_assert(!seteuid(12345));
	ck_assert_int_eq(client_open(&options, &identity, &other, &err), -EACCES);
	ck_assert_msg(strstr(err.text, "--shared-device"), "%s", err.text);
	ck_assert(!seteuid(0));
	client_close(client, false, &err);
	server_on_device("--shared-device");
	options = options_of_server();
	ck_assert(!seteuid(12345));
	ck_assert_msg(!client_open(&options, &identity, &other, &err), "%s", err.text);
	ck_assert(!seteuid(0));
	put_ok(other, 1, 0, data, sizeof(data));
	client_close(other, false, &err);
	client = open_ok(&identity);
	get_ok(client, 0, 1, data, sizeof(data));
	client_close(client, false, &err);
}
END_TEST

/* One that is fenced meanwhile, and one that is not, but whose set is overwritten. */
START_TEST(a_reader_stopped_in_mid_read_gets_no_newer_byte)
{
	struct client_identity identity = identity_of("job", 0, 2), reader = identity_of("job", _i % 2, 2);
	const int expected = _i % 2 ? -ENOENT : -ESTALE;
	size_t bytes = 8 * MIB;
	uint8_t *data = malloc(bytes);
	struct client *client;
	int status;
	pid_t child;

	if (_i >= 2)
		server_on_device(NULL);
	client = open_ok(&identity);
	put_ok(client, 1, 0, data, bytes);
	client_close(client, false, &err);
	reader.incarnation = 1;
	child = fork();
	if (!child) {
		struct client_segment s = segment_of("data", data, bytes);

		setenv("HOLDFAST_TEST_POINT", "client.get.mid-read:stop:4", 1);
		client = open_ok(&reader);
		status = client_get(client, 0, 1, &s, 1, &err);
		client_close(client, false, &err);
		free(data);
		_exit(status == expected ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert_msg(WIFSTOPPED(status), "the test point was not met");
	identity.incarnation = reader.rank == identity.rank ? 2 : 1;
	client = open_ok(&identity);
	put_ok(client, 2, 1, data, bytes);
	put_ok(client, 3, 2, data, bytes); /* in the place of the first */
	kill(child, SIGCONT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the reader was not told");
	get_ok(client, 0, 3, data, bytes);
	client_close(client, false, &err);
	free(data);
}
END_TEST

/* A child that stops itself in mid-write (test point), so that it can be fenced there. */
START_TEST(a_primary_stopped_in_mid_write_changes_nothing)
{
	struct client_identity identity = identity_of("job", 0, 1);
	size_t bytes = 8 * MIB;
	uint8_t *data = malloc(bytes);
	struct client *client;
	int status;
	pid_t child;

	if (_i)
		server_on_device(NULL);
	client = open_ok(&identity);
	put_ok(client, 1, 0, data, bytes);
	client_close(client, false, &err);
	child = fork();
	if (!child) {
		struct client_segment s = segment_of("data", data, bytes);

		setenv("HOLDFAST_TEST_POINT", "client.put.mid-write:stop:3", 1);
		client = open_ok(&identity);
		fill(data, bytes, 99);
		status = client_put(client, 2, 1, NULL, &s, 1, &err) == -ESTALE ? 0 : 1;
		client_close(client, false, &err);
		free(data);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert_msg(WIFSTOPPED(status), "the test point was not met");
	identity.incarnation = 1;
	client = open_ok(&identity);
	put_ok(client, 2, 1, data, bytes);
	kill(child, SIGCONT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "the fenced primary was not told");
	get_ok(client, 0, 1, data, bytes);
	get_ok(client, 0, 2, data, bytes);
	client_close(client, false, &err);
	free(data);
}
END_TEST
#endif

/* No slower machine makes it shorter. */
START_TEST(a_pace_is_kept)
{
	struct client_identity identity = identity_of("job", 0, 1);
	struct client_options options = options_of_server();
	size_t bytes = 8 * MIB;
	uint8_t *data = malloc(bytes);
	struct client *client;
	uint64_t begin;

	options.pace_bytes = 16 * MIB;
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	begin = clock_monotonic_ns();
	put_ok(client, 1, 0, data, bytes);
	/* The last transfer waits for those before it, and nobody for the last. */
	ck_assert_uint_ge(clock_monotonic_ns() - begin, 400000000u);
	get_ok(client, 0, 1, data, bytes);
	client_close(client, false, &err);
	free(data);
}
END_TEST

/* ---- accidents ---- */

START_TEST(a_killed_server_keeps_what_was_committed)
{
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(MIB);

	put_ok(client, 1, 0, data, MIB);
	put_ok(client, 2, 1, data, MIB);
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	put_ok(client, 3, 2, data, MIB); /* it connects again by itself */
	get_ok(client, 0, 2, data, MIB);
	get_ok(client, 0, 3, data, MIB);
	client_close(client, false, &err);
	client = open_rank("job", 0, 1);
	get_ok(client, 0, 3, data, MIB);
	client_close(client, false, &err);
	free(data);
}
END_TEST

START_TEST(a_killed_ni_is_started_anew)
{
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(MIB);

	put_ok(client, 1, 0, data, MIB);
	for (unsigned epoch = 2; epoch < 6; epoch++) {
		pid_t ni = pmu_ni_pid(&pmu);

		ck_assert_int_gt(ni, 0);
		kill(ni, SIGKILL);
		put_ok(client, epoch, epoch - 1, data, MIB);
		get_ok(client, 0, epoch - 1, data, MIB);
	}
	client_close(client, false, &err);
	free(data);
}
END_TEST

START_TEST(a_server_that_stays_away_is_given_up_in_time)
{
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of("job", 0, 1);
	struct client *client;
	uint8_t data[100];
	struct client_segment s = segment_of("data", data, sizeof(data));
	uint64_t start;
	int rc;

	options.reconnect_ms = 1000;
	ck_assert(!client_open(&options, &identity, &client, &err));
	pmu_kill(&pmu);
	start = clock_monotonic_ns();
	rc = client_put(client, 1, 0, NULL, &s, 1, &err);
	ck_assert_int_eq(rc, -ENXIO);
	ck_assert_msg(clock_monotonic_ns() - start < 9000000000u, "it hung");
	client_close(client, false, &err);
}
END_TEST

#ifdef HOLDFAST_TEST_POINTS
/* The server dies at a named point of a checkpoint: the set is whole or not there, the kept one intact. */
static const struct {
	const char *point;
	int published; /* -1: either */
} server_points[] = {
	{"HOLDFAST_TEST_POINT=pmm.open.before-reply:kill:2", -1},
	{"HOLDFAST_TEST_POINT=pmm.begin.after-withdraw:kill:2", -1},
	{"HOLDFAST_TEST_POINT=pmm.begin.before-reply:kill:2", -1},
	{"HOLDFAST_TEST_POINT=ni.commit.before-persist:kill:2", -1},
	{"HOLDFAST_TEST_POINT=ni.commit.after-persist:kill:2", -1},
	{"HOLDFAST_TEST_POINT=pmm.commit.before-publish:kill:2", 0},
	{"HOLDFAST_TEST_POINT=pmm.commit.after-publish:kill:2", 1},
};

START_TEST(a_server_killed_at_any_point_of_a_checkpoint_loses_nothing)
{
	uint8_t *data = malloc(MIB), *more = malloc(MIB);
	struct client_segment s = segment_of("data", more, MIB);
	struct client_options options;
	struct client_identity identity = identity_of("job", 0, 1);
	const struct set_info *sets;
	struct client *client;
	bool is_there = false;
	int rc;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, NULL, server_points[_i].point));
	options = options_of_server();
	options.reconnect_ms = 1500; /* the NI's death is made good in the meantime; the PMM's not */
	ck_assert(!client_open(&options, &identity, &client, &err));
	put_ok(client, 1, 0, data, MIB);
	fill(more, MIB, 2);
	rc = client_put(client, 2, 1, NULL, &s, 1, &err);
	client_close(client, false, &err);
	pmu_kill(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
	client = open_rank("job", 0, 1);
	for (size_t i = 0, n = client_sets(client, &sets); i < n; i++)
		is_there |= sets[i].epoch == 2;
	ck_assert_msg(rc || is_there, "acknowledged, and lost");
	if (server_points[_i].published >= 0)
		ck_assert_int_eq(is_there, server_points[_i].published);
	get_ok(client, 0, 1, data, MIB);
	if (is_there)
		get_ok(client, 0, 2, data, MIB);
	put_ok(client, 3, 1, data, MIB);
	get_ok(client, 0, 3, data, MIB);
	client_close(client, false, &err);
	free(data);
	free(more);
}
END_TEST

START_TEST(a_lost_reply_to_commit_does_not_write_twice)
{
	uint8_t *data = malloc(MIB);
	struct client *client;
	pid_t helper;

	pmu_stop(&pmu);
	ck_assert(pmu_start(&pmu, NULL, "HOLDFAST_TEST_POINT=pmm.commit.after-publish:kill:2"));
	client = open_rank("job", 0, 1);
	put_ok(client, 1, 0, data, MIB);
	helper = fork();
	if (!helper) { /* starts the server again when it is gone */
		char lock[160], command[512];

		snprintf(lock, sizeof(lock), "/proc/%d/exe", (int)pmu.pid);
		while (!access(lock, F_OK))
			usleep(1000);
		snprintf(command, sizeof(command),
			 "exec %s/pmu-server --pool %s/pool --size 64M --auth none --listen %s -F 2>/dev/null",
			 getenv("top_builddir"), pmu.directory, pmu.address);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	put_ok(client, 2, 1, data, MIB);
	get_ok(client, 0, 1, data, MIB);
	get_ok(client, 0, 2, data, MIB);
	client_close(client, false, &err);
	kill(helper, SIGTERM);
	waitpid(helper, NULL, 0);
	free(data);
}
END_TEST

/* A client that dies at a named point: the next one finds the kept set, and no torn one. */
static const char *const client_points[] = {
	"client.put.after-begin:kill:2",
	"client.put.mid-write:kill:5",
	"client.put.before-commit:kill:2",
	"client.put.after-commit:kill:2",
};

START_TEST(a_client_killed_at_any_point_of_a_checkpoint_loses_nothing)
{
	size_t bytes = 3 * MIB - 5;
	uint8_t *data = malloc(bytes);
	const struct set_info *sets;
	struct client *client;
	int status;
	pid_t child = fork();

	if (!child) {
		setenv("HOLDFAST_TEST_POINT", client_points[_i], 1);
		client = open_rank("job", 0, 1);
		put_ok(client, 1, 0, data, bytes);
		put_ok(client, 2, 1, data, bytes);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the test point was not met");
	client = open_rank("job", 0, 1);
	get_ok(client, 0, 1, data, bytes);
	for (size_t i = 0, n = client_sets(client, &sets); i < n; i++)
		get_ok(client, 0, sets[i].epoch, data, bytes);
	ck_assert_uint_eq(client_sets(client, &sets), strstr(client_points[_i], "after-commit") ? 2 : 1);
	client_close(client, false, &err);
	free(data);
}
END_TEST
#endif

/* Flips one bit somewhere in the newest set's slot file. */
static void flip_bit(size_t offset, unsigned seed)
{
	size_t n = 0;
	char pattern[160];
	uint8_t *head = malloc(4096), want[64];
	glob_t found;
	int fd;

	fill(want, sizeof(want), seed);
	snprintf(pattern, sizeof(pattern), "%s/pool/slots/*", pmu.directory);
	ck_assert(!glob(pattern, 0, NULL, &found));
	for (size_t i = 0; i < found.gl_pathc; i++) {
		fd = open(found.gl_pathv[i], O_RDWR);
		ck_assert_int_eq(pread(fd, head, 64, 0), 64);
		if (!memcmp(head, want, 64)) {
			ck_assert_int_eq(pread(fd, head, 1, (off_t)offset), 1);
			*head ^= 0x10;
			ck_assert_int_eq(pwrite(fd, head, 1, (off_t)offset), 1);
			n++;
		}
		close(fd);
	}
	ck_assert_uint_eq(n, 1);
	globfree(&found);
	free(head);
}

START_TEST(a_flipped_bit_is_found_and_the_older_set_is_whole)
{
	/* in the first block, in the last, in the table behind the data */
	static const size_t offsets[] = {100, 2 * MIB - 1, 2 * MIB + 70, 2 * MIB + 110};
	struct client *client = open_rank("job", 0, 1);
	uint8_t *data = malloc(2 * MIB);
	struct client_segment s = segment_of("data", data, 2 * MIB);

	put_ok(client, 1, 0, data, 2 * MIB);
	put_ok(client, 2, 1, data, 2 * MIB);
	flip_bit(offsets[_i], 2);
	ck_assert_int_eq(client_get(client, 0, 2, &s, 1, &err), -EILSEQ);
	get_ok(client, 0, 1, data, 2 * MIB);
	put_ok(client, 3, 1, data, 2 * MIB); /* over the damaged one */
	get_ok(client, 0, 3, data, 2 * MIB);
	client_close(client, false, &err);
	free(data);
}
END_TEST

static struct net_ops counting;
static const struct net_ops *counted;
static unsigned under_way, most_under_way;

static int submit_counted(struct net_conn *conn, const struct net_key *key, struct net_transfer *transfer, struct error *error)
{
	int rc = counted->submit(conn, key, transfer, error);

	under_way += !rc;
	if (under_way > most_under_way)
		most_under_way = under_way;
	return rc;
}

static int reap_counted(struct net_conn *conn, struct net_transfer **done, unsigned max, uint64_t deadline, struct error *error)
{
	int n = counted->reap(conn, done, max, deadline, error);

	under_way -= n > 0 ? (unsigned)n : 0;
	return n;
}

/* Where the back end says that few suit who makes checksums. */
static void check_under_way(struct client *client, unsigned most)
{
	static uint8_t data[12 * MIB];

	counted = client->net;
	counting = *counted;
	counting.submit = submit_counted;
	counting.reap = reap_counted;
	client->net = &counting;
	most_under_way = 0;
	put_ok(client, 1, 0, data, sizeof(data));
	ck_assert_uint_gt(most_under_way, 1);
	ck_assert_uint_le(most_under_way, most);
	most_under_way = 0;
	get_ok(client, 0, 1, data, sizeof(data));
	ck_assert_uint_gt(most_under_way, 1);
	ck_assert_uint_le(most_under_way, most);
}

/* However its server is reached, over TCP or by a socket of this node. */
START_TEST(few_transfers_are_under_way_to_a_near_server)
{
	char address[160];
	struct client_options options = options_of_server();
	struct client_identity identity = identity_of("near", 0, 1);
	struct net_limits limits;
	struct client *client;

	snprintf(address, sizeof(address), "unix:%s/socket", pmu.directory);
	ck_assert(pmu_stop(&pmu));
	ck_assert(pmu_start(&pmu, (const char *[]){"--listen", address, NULL}, NULL));
	if (_i)
		options.server = address;
	for (options.window = 0; options.window < 8; options.window += 7) {
		identity.job = options.window ? "asked" : "near";
		ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
		client->net->limits(client->conn, &limits);
		ck_assert_uint_ge(limits.hashed_window, options.window ? options.window : 2);
		ck_assert_uint_le(limits.hashed_window, limits.window);
		ck_assert_uint_eq(limits.window, options.window ? options.window : 32);
		check_under_way(client, limits.hashed_window);
		client_close(client, false, &err);
	}
}
END_TEST

static void over_fabric(void)
{
	net_name = "ofi";
}

static void over_local(void)
{
	net_name = "local";
}

#ifdef HOLDFAST_TEST_POINTS
/* To the points it is the same how the bytes get there. */
static int points_of(unsigned all, bool by_fabric)
{
	return (int)(by_fabric ? all : unit_rounds(all, all, 1));
}
#endif

/* Devices are for the fabric only. */
static TCase *tests(const char *name, void (*over)(void), bool with_device)
{
	TCase *tc = tcase_create(name);

	(void)with_device; /* where there are no test points */
	tcase_add_unchecked_fixture(tc, over, NULL);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_put_is_got);
	tcase_add_loop_test(tc, what_is_given_back_is_not_read_any_more, 0, 2);
	tcase_add_test(tc, a_set_is_read_by_its_own_block_size);
	tcase_add_test(tc, a_set_tells_which_generation_wrote_it);
	tcase_add_test(tc, segments_of_many_sizes_come_back_each);
	tcase_add_test(tc, a_set_may_be_empty);
	tcase_add_test(tc, sets_may_grow_and_shrink);
	tcase_add_test(tc, ranges_are_read_and_checked);
	tcase_add_test(tc, another_ranks_set_can_be_read);
	tcase_add_test(tc, a_finished_job_leaves_nothing);
	tcase_add_test(tc, the_kept_epoch_is_never_overwritten);
	tcase_add_test(tc, a_full_pool_harms_nobody);
	tcase_add_test(tc, a_pace_is_kept);
	tcase_add_test(tc, what_was_changed_between_runs_is_named);
	tcase_add_test(tc, a_later_incarnation_fences_the_former);
	tcase_add_test(tc, an_explicit_takeover_fences);
	tcase_add_test(tc, a_fenced_primary_cannot_finish_the_job);
	tcase_add_test(tc, a_killed_server_keeps_what_was_committed);
	tcase_add_test(tc, a_killed_ni_is_started_anew);
	tcase_add_test(tc, a_server_that_stays_away_is_given_up_in_time);
#ifdef HOLDFAST_TEST_POINTS
	if (!geteuid() && with_device) /* it changes its uid */
		tcase_add_test(tc, a_device_that_users_do_not_share_is_for_the_first);
	tcase_add_loop_test(tc, a_primary_stopped_in_mid_write_changes_nothing, 0, with_device ? 2 : 1);
	tcase_add_loop_test(tc, a_reader_stopped_in_mid_read_gets_no_newer_byte, 0, with_device ? 4 : 2);
	tcase_add_loop_test(tc, a_server_killed_at_any_point_of_a_checkpoint_loses_nothing, 0,
			    points_of(sizeof(server_points) / sizeof(server_points[0]), with_device));
	tcase_add_test(tc, a_lost_reply_to_commit_does_not_write_twice);
	tcase_add_loop_test(tc, a_client_killed_at_any_point_of_a_checkpoint_loses_nothing, 0,
			    points_of(sizeof(client_points) / sizeof(client_points[0]), with_device));
#endif
	tcase_add_loop_test(tc, a_flipped_bit_is_found_and_the_older_set_is_whole, 0, 4);
	return tc;
}

static TCase *helper(void)
{
	TCase *tc = tcase_create("helper");

	tcase_set_timeout(tc, 120);
	tcase_add_unchecked_fixture(tc, over_fabric, NULL);
	tcase_add_checked_fixture(tc, setup_large, teardown);
	tcase_add_loop_test(tc, few_transfers_are_under_way_to_a_near_server, 0, 2);
	tcase_add_loop_test(tc, a_helper_makes_the_same_checksums, 0, 2);
	return tc;
}

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("client");

	setenv("top_builddir", ".", 0);
	suite_add_tcase(suite, helper()); /* `check threads` runs it alone */
	suite_add_tcase(suite, tests("fabric", over_fabric, true));
	suite_add_tcase(suite, tests("local", over_local, false));
	return suite;
}
