/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - the data plane through its contract, over libfabric, or what HOLDFAST_TEST_NET names.
 *
 * HOLDFAST_TEST_PROVIDER chooses another provider than the default, HOLDFAST_TEST_ADDRESS the target's address:
 * "verbs" needs that of an RDMA device. Processes are forked before a target has threads, and are told by a pipe
 * what to do.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "unit.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define DEADLINE_MS 20000
#define SOON_MS	     (DEADLINE_MS / 2) /* not by its deadline, on a machine however busy */
#define MARK 0xa5

static const struct net_ops *net;
static struct net_target *target;
static struct net_address address;

static const char *net_name(void)
{
	const char *name = getenv("HOLDFAST_TEST_NET");

	return name ? name : "ofi";
}

/* On the device, and by the kernel, whatever the target's process does. */
static bool in_hardware(void)
{
	return !strcmp(net_name(), "verbs");
}

static struct net_params params(void)
{
	const char *node = getenv("HOLDFAST_TEST_ADDRESS");

	return (struct net_params){
	    .provider = getenv("HOLDFAST_TEST_PROVIDER"), .node = node ? node : "127.0.0.1", .threads = 2};
}

/* Of a target that listens on several, with commas between. */
static in_addr_t first_address(void)
{
	char first[64];
	const char *all = params().node;

	snprintf(first, sizeof(first), "%.*s", (int)strcspn(all, ","), all);
	return inet_addr(first);
}

static unsigned rails(void)
{
	unsigned count = 1;

	for (const char *at = params().node; (at = strchr(at, ',')); at++)
		count++;
	return count;
}

static void start(void)
{
	struct net_params listen = params();
	struct error err = {0};

	net = net_find(net_name());
	ck_assert_ptr_nonnull(net);
	ck_assert_msg(net->listen(&listen, &target, &address, &err) == 0, "%s", err.text);
}

static void make_token(uint64_t peer, uint8_t token[NET_TOKEN_BYTES])
{
	memset(token, 0x5a, NET_TOKEN_BYTES);
	memcpy(token, &peer, sizeof(peer));
}

static uint64_t group; /* of those who are admitted; 0: each has one of his own */

static void admit(uint64_t peer)
{
	uint8_t token[NET_TOKEN_BYTES];
	struct error err = {0};

	make_token(peer, token);
	ck_assert_int_eq(net->target_admit(target, peer, group ? group : peer, token, &err), 0);
}

static int try_connect_to(const struct net_params *with, const struct net_address *to,
			  uint64_t token_of, uint64_t ms, struct net_conn **conn, struct error *err)
{
	uint8_t token[NET_TOKEN_BYTES];

	make_token(token_of, token);
	*conn = NULL;
	return net->connect(with, to, token, deadline_in_ms(ms), conn, err);
}

static int try_connect(uint64_t token_of, struct net_conn **conn, struct error *err)
{
	struct net_params with = params();

	return try_connect_to(&with, &address, token_of, DEADLINE_MS, conn, err);
}

static struct net_conn *connect_as(uint64_t peer)
{
	struct net_conn *conn;
	struct error err = {0};

	admit(peer);
	ck_assert_msg(try_connect(peer, &conn, &err) == 0, "%s", err.text);
	return conn;
}

static struct net_grant *expose(uint64_t peer, void *base, size_t bytes, unsigned rights,
				struct net_key *key)
{
	struct net_grant *grant;
	struct error err = {0};

	ck_assert_msg(net->expose(target, peer, base, bytes, rights, &grant, key, &err) == 0, "%s",
		      err.text);
	return grant;
}

static void *allocate(size_t bytes, int fill)
{
	void *memory = malloc(bytes);

	ck_assert_ptr_nonnull(memory);
	memset(memory, fill, bytes);
	return memory;
}

static void ck_all(const uint8_t *memory, size_t bytes, int value)
{
	for (size_t i = 0; i < bytes; i++) {
		if (memory[i] != value)
			ck_abort_msg("byte %zu of %zu is %02x, not %02x", i, bytes, memory[i],
				     value);
	}
}

static void fill_pattern(uint8_t *memory, size_t bytes, unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (uint8_t)((i * 2654435761u + seed) >> 13);
}

/* Till the connection ends. */
static void register_memory(struct net_conn *conn, void *base, size_t bytes)
{
	struct error err = {0};
	void *registration;

	ck_assert_msg(!net->register_local(conn, base, bytes, NET_SOURCE | NET_SINK, &registration, &err), "%s",
		      err.text);
}

/* One transfer, to its end: its status, or what submit or reap said. */
static int transfer_one(struct net_conn *conn, const struct net_key *key, bool write, void *local,
			uint64_t offset, size_t bytes)
{
	struct net_transfer transfer = {
	    .local = local, .offset = offset, .bytes = bytes, .write = write};
	struct net_transfer *done;
	struct error err = {0};
	void *registration;
	int rc;

	ck_assert_int_eq(net->register_local(conn, local, bytes, NET_SOURCE | NET_SINK, &registration, &err), 0);
	rc = net->submit(conn, key, &transfer, &err);
	if (!rc) {
		rc = net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err);
		if (rc == 1) {
			ck_assert_ptr_eq(done, &transfer);
			rc = transfer.status;
		}
	}
	net->unregister_local(conn, registration);
	return rc;
}

/* Any number of bytes, by chunks, with the window full. */
static int transfer_all(struct net_conn *conn, const struct net_key *key, bool write,
			uint8_t *local, size_t bytes)
{
	static struct net_transfer slots[64];
	struct net_transfer *done[64];
	unsigned window, busy = 0, unused;
	struct net_limits limits;
	struct error err = {0};
	size_t chunk, at = 0;
	void *registration;
	uint64_t used = 0;
	int rc = 0, n;

	net->limits(conn, &limits);
	chunk = limits.chunk_bytes;
	window = limits.window;
	ck_assert_uint_le(window, 64);
	ck_assert_int_eq(net->register_local(conn, local, bytes, NET_SOURCE | NET_SINK, &registration, &err), 0);
	while (!rc && (at < bytes || busy)) {
		while (at < bytes && busy < window) {
			for (unused = 0; used & (UINT64_C(1) << unused); unused++)
				;
			slots[unused] =
			    (struct net_transfer){.local = local + at,
						  .offset = at,
						  .bytes = bytes - at < chunk ? bytes - at : chunk,
						  .write = write};
			rc = net->submit(conn, key, &slots[unused], &err);
			if (rc == -EAGAIN)
				break;
			ck_assert_msg(rc == 0, "%s", err.text);
			at += slots[unused].bytes;
			used |= UINT64_C(1) << unused;
			busy++;
		}
		n = net->reap(conn, done, 64, deadline_in_ms(DEADLINE_MS), &err);
		rc = n < 0 ? n : 0;
		for (int i = 0; i < n; i++) {
			used &= ~(UINT64_C(1) << (done[i] - slots));
			busy--;
			if (done[i]->status)
				rc = done[i]->status;
		}
	}
	net->unregister_local(conn, registration);
	return rc;
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static uint64_t cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
	return (clock_monotonic_ns() - since_ns) / 1000000;
}

static void wait_ms(uint64_t ms)
{
	deadline_sleep_ms(deadline_in_ms(ms), ms);
}

/* ---- transfers ---- */

/* What is under way is never less than the network has room for, nor a chunk smaller than a block. */
START_TEST(limits_go_by_the_block_and_the_delay)
{
	const struct {
		struct net_params with; /* the rest is as always */
		size_t chunk;
		unsigned hashed; /* of the ofi back end's */
	} of[] = {
		{{.block_bytes = 64 * KIB}, in_hardware() ? MIB : 512 * KIB, 32},
		{{.block_bytes = 4 * MIB}, 4 * MIB, 32},
		{{.block_bytes = 4 * MIB, .chunk_bytes = 256 * KIB}, 256 * KIB, 32},
		{{.chunk_bytes = 512 * KIB, .round_trip_us = 1}, 512 * KIB, 4},
		{{.chunk_bytes = 512 * KIB, .round_trip_us = 41}, 512 * KIB, 4},
		{{.chunk_bytes = 512 * KIB, .round_trip_us = 100}, 512 * KIB, 10},
		{{.chunk_bytes = 512 * KIB, .round_trip_us = UINT32_MAX}, 512 * KIB, 32},
		{{.chunk_bytes = 8 * MIB, .round_trip_us = 1}, 8 * MIB, 2},
		{{.window = 5, .round_trip_us = 1}, in_hardware() ? MIB : 512 * KIB, 5},
	};

	start();
	for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		struct net_params with = params();
		struct error err = {0};
		struct net_limits used;
		struct net_conn *conn;

		with.block_bytes = of[i].with.block_bytes;
		with.chunk_bytes = of[i].with.chunk_bytes;
		with.round_trip_us = of[i].with.round_trip_us;
		with.window = of[i].with.window;
		admit(i);
		ck_assert_int_eq(try_connect_to(&with, &address, i, DEADLINE_MS, &conn, &err), 0);
		net->limits(conn, &used);
		ck_assert_uint_eq(used.chunk_bytes, of[i].chunk);
		ck_assert_uint_eq(used.hashed_window, in_hardware() ? 0 : of[i].hashed);
		net->close(conn);
	}
}
END_TEST

START_TEST(transfers_of_many_sizes_arrive_and_come_back)
{
	const struct {
		size_t chunk;
		unsigned window;
	} limits[] = {{0, 0}, {64 * KIB, 4}, {1000, 7}};
	const size_t capacity = (rails() * 16 + 1) * MIB + 1;
	uint8_t *memory = allocate(capacity + 2, MARK), *local = allocate(capacity, 0);
	uint8_t *back = allocate(capacity, 0);

	start();
	for (unsigned l = 0; l < 3; l++) {
		struct net_params with = params();
		struct error err = {0};
		struct net_limits used;
		struct net_conn *conn;

		with.chunk_bytes = limits[l].chunk;
		with.window = limits[l].window;
		admit(l);
		ck_assert_int_eq(try_connect_to(&with, &address, l, DEADLINE_MS, &conn, &err), 0);
		net->limits(conn, &used);
		ck_assert_uint_eq(used.chunk_bytes, limits[l].chunk ? limits[l].chunk : in_hardware() ? MIB : 512 * KIB);
		ck_assert_uint_eq(used.window, rails() * (limits[l].window ? limits[l].window : in_hardware() ? 16 : 32));

		const size_t sizes[] = {1,
					2,
					7,
					4095,
					4096,
					65537,
					used.chunk_bytes - 1,
					used.chunk_bytes,
					used.chunk_bytes + 1,
					used.chunk_bytes * 3,
					used.chunk_bytes * used.window + 12345};
		for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
			struct net_key key;
			struct net_grant *grant;
			size_t bytes = sizes[s];

			memset(memory, MARK, bytes + 2);
			fill_pattern(local, bytes, s);
			memset(back, 0, bytes);
			grant = expose(l, memory + 1, bytes, NET_READ | NET_WRITE, &key);
			ck_assert_uint_eq(key.bytes, bytes);
			ck_assert_int_eq(transfer_all(conn, &key, true, local, bytes), 0);
			ck_assert_int_eq(memcmp(memory + 1, local, bytes), 0);
			ck_assert_uint_eq(memory[0], MARK);
			ck_assert_uint_eq(memory[bytes + 1], MARK);
			ck_assert_int_eq(transfer_all(conn, &key, false, back, bytes), 0);
			ck_assert_int_eq(memcmp(back, local, bytes), 0);
			net->revoke(grant);
		}
		net->close(conn);
	}
	net->target_close(target);
	free(memory);
	free(local);
	free(back);
}
END_TEST

/* Pieces that lie anywhere on both sides, some of them side by side. */
#define PIECES 4

static const struct net_piece scattered[PIECES] = {
	{(void *)(uintptr_t)9000, 100, 1000, NULL}, /* places in the local memory for now */
	{(void *)(uintptr_t)10000, 1100, 4096, NULL},
	{(void *)(uintptr_t)77, 70000, 1, NULL},
	{(void *)(uintptr_t)30000, 20000, 5000, NULL},
};

/* One transfer of all of them, or what submit or reap said. */
static int transfer_pieces(struct net_conn *conn, const struct net_key *key, bool write, uint8_t *local,
			   const struct net_piece *places, unsigned count)
{
	struct net_piece more[2 * NET_PIECES_MAX];
	struct net_transfer transfer = {.local = local + (uintptr_t)places[0].local,
					.offset = places[0].offset,
					.bytes = places[0].bytes,
					.more = more,
					.more_count = count - 1,
					.write = write};
	struct net_transfer *done;
	struct error err = {0};
	int rc;

	for (unsigned i = 1; i < count; i++)
		more[i - 1] = (struct net_piece){local + (uintptr_t)places[i].local, places[i].offset, places[i].bytes, NULL};
	rc = net->submit(conn, key, &transfer, &err);
	if (rc)
		return rc;
	rc = net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err);
	if (rc == 1)
		ck_assert_ptr_eq(done, &transfer);
	return rc == 1 ? transfer.status : rc;
}

START_TEST(pieces_of_one_transfer_each_go_to_their_place)
{
	const size_t bytes = 80000;
	uint8_t *memory = allocate(bytes, MARK), *expected = allocate(bytes, MARK);
	uint8_t *local = allocate(bytes, 0), *back = allocate(bytes, MARK), *expected_back = allocate(bytes, MARK);
	struct net_grant *grant;
	struct net_conn *conn;
	struct net_key key;

	start();
	conn = connect_as(0);
	register_memory(conn, local, bytes);
	register_memory(conn, back, bytes);
	grant = expose(0, memory, bytes, NET_READ | NET_WRITE, &key);
	fill_pattern(local, bytes, 3);
	for (unsigned i = 0; i < PIECES; i++) {
		const uint8_t *at = local + (uintptr_t)scattered[i].local;

		memcpy(expected + scattered[i].offset, at, scattered[i].bytes);
		memcpy(expected_back + (at - local), at, scattered[i].bytes);
	}
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, scattered, PIECES), 0);
	ck_assert(!memcmp(memory, expected, bytes));
	ck_assert_int_eq(transfer_pieces(conn, &key, false, back, scattered, PIECES), 0);
	ck_assert(!memcmp(back, expected_back, bytes));
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
	free(memory);
	free(expected);
	free(local);
	free(back);
	free(expected_back);
}
END_TEST

/* Refused before anything of them is sent. */
START_TEST(pieces_beyond_a_limit_are_refused)
{
	struct net_piece pieces[2 * NET_PIECES_MAX];
	uint8_t *memory = allocate(MIB, MARK), *local = allocate(2 * MIB, 0);
	struct net_limits limits;
	struct net_grant *grant;
	struct net_conn *conn;
	struct net_key key;

	start();
	conn = connect_as(0);
	net->limits(conn, &limits);
	register_memory(conn, local, 2 * MIB);
	grant = expose(0, memory, MIB, NET_READ | NET_WRITE, &key);
	for (unsigned i = 0; i < 2 * NET_PIECES_MAX; i++)
		pieces[i] = (struct net_piece){(void *)(uintptr_t)(i * 16), i * 16, 16, NULL};
	/* Side by side they are one range. */
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, NET_PIECES_MAX), 0);
	ck_all(memory, NET_PIECES_MAX * 16, 0);
	ck_all(memory + NET_PIECES_MAX * 16, MIB - NET_PIECES_MAX * 16, MARK);
	memset(memory, MARK, MIB);
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, NET_PIECES_MAX + 1), -EINVAL);
	pieces[1] = (struct net_piece){0, MIB - 8, 9, NULL};
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, 2), -ERANGE);
	pieces[1] = (struct net_piece){0, MIB + 1, 1, NULL};
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, 2), -ERANGE);
	pieces[1] = (struct net_piece){0, 0, 0, NULL};
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, 2), -EINVAL);
	pieces[1] = (struct net_piece){0, 0, limits.chunk_bytes - 15, NULL};
	ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, 2), -EINVAL);
	for (unsigned i = 0; i < NET_PIECES_MAX; i++)
		pieces[i] = (struct net_piece){(void *)(uintptr_t)(i * 32), i * 16, 16, NULL};
	if (limits.local_ranges < NET_PIECES_MAX)
		ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, limits.local_ranges + 1), -EINVAL);
	for (unsigned i = 0; i < NET_PIECES_MAX; i++)
		pieces[i] = (struct net_piece){(void *)(uintptr_t)(i * 16), i * 32, 16, NULL};
	if (limits.remote_ranges < NET_PIECES_MAX)
		ck_assert_int_eq(transfer_pieces(conn, &key, true, local, pieces, limits.remote_ranges + 1), -EINVAL);
	ck_all(memory, MIB, MARK);
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
	free(memory);
	free(local);
}
END_TEST

START_TEST(what_is_being_prepared_disturbs_nothing)
{
	uint8_t memory[64] = {0}, local[64];
	struct net_grant *grant;
	struct net_conn *conn;
	struct net_key key;

	net_prepare();
	net_prepare();
	start();
	conn = connect_as(0);
	grant = expose(0, memory, sizeof(memory), NET_WRITE, &key);
	fill_pattern(local, sizeof(local), 1);
	ck_assert_int_eq(transfer_all(conn, &key, true, local, sizeof(local)), 0);
	ck_assert(!memcmp(memory, local, sizeof(local)));
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(who_ends_while_it_is_prepared_ends_well)
{
	pid_t pid = fork();
	int status = 0;

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		net_prepare();
		exit(3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
}
END_TEST

/* Without the thread that its parent has. */
START_TEST(a_child_that_was_forked_meanwhile_ends_well)
{
	pid_t parent = fork();
	int status = 0;

	ck_assert_int_ge(parent, 0);
	if (!parent) {
		net_prepare();
		if (!fork())
			exit(4);
		_exit(wait(&status) > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ck_assert_int_eq(waitpid(parent, &status, 0), parent);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 4);
}
END_TEST

START_TEST(a_full_window_and_wrong_sizes_are_refused_at_once)
{
	struct net_params with = params();
	struct net_transfer transfers[2 * NET_RAILS_MAX + 1] = {{0}};
	struct net_transfer *done;
	struct net_conn *conn;
	struct net_grant *grant;
	struct net_key key;
	struct error err = {0};
	unsigned window = 2 * rails();
	uint8_t memory[64], local[64] = {0};

	start();
	with.window = 2;
	with.chunk_bytes = 32;
	admit(1);
	ck_assert_int_eq(try_connect_to(&with, &address, 1, DEADLINE_MS, &conn, &err), 0);
	grant = expose(1, memory, 64, NET_WRITE, &key);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, 0), -EINVAL);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, 33), -EINVAL);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 64, 1), -ERANGE);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, UINT64_MAX, 2), -ERANGE);
	register_memory(conn, local, sizeof(local));
	for (unsigned i = 0; i <= window; i++)
		transfers[i] = (struct net_transfer){.local = local, .bytes = 8, .write = true};
	for (unsigned i = 0; i < window; i++)
		ck_assert_int_eq(net->submit(conn, &key, &transfers[i], &err), 0);
	ck_assert_int_eq(net->submit(conn, &key, &transfers[window], &err), -EAGAIN);
	ck_assert_int_eq(net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err), 1);
	ck_assert_int_eq(net->submit(conn, &key, &transfers[window], &err), 0);
	for (unsigned i = 0; i < window; i++)
		ck_assert_int_eq(net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err), 1);
	ck_assert_int_eq(net->reap(conn, &done, 1, deadline_in_ms(50), &err), -ETIMEDOUT);
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(sixty_four_peers_at_once)
{
	enum { PEERS = 64 };
	const size_t bytes = 256 * KIB;
	struct net_conn *conns[PEERS];
	struct net_grant *grants[PEERS];
	struct net_key keys[PEERS];
	struct net_transfer transfers[PEERS];
	struct net_transfer *done;
	uint8_t *memory = allocate(PEERS * bytes, 0), *local = allocate(PEERS * bytes, 0);
	struct error err = {0};

	start();
	fill_pattern(local, PEERS * bytes, 3);
	for (unsigned i = 0; i < PEERS; i++) {
		conns[i] = connect_as(i);
		register_memory(conns[i], local + i * bytes, bytes);
		grants[i] = expose(i, memory + i * bytes, bytes, NET_WRITE, &keys[i]);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		transfers[i] = (struct net_transfer){
		    .local = local + i * bytes, .bytes = bytes, .write = true, .status = 1};
		ck_assert_int_eq(net->submit(conns[i], &keys[i], &transfers[i], &err), 0);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		ck_assert_int_eq(net->reap(conns[i], &done, 1, deadline_in_ms(DEADLINE_MS), &err),
				 1);
		ck_assert_int_eq(transfers[i].status, 0);
	}
	ck_assert_int_eq(memcmp(memory, local, PEERS * bytes), 0);
	for (unsigned i = 0; i < PEERS; i++) {
		net->revoke(grants[i]);
		net->close(conns[i]);
	}
	net->target_close(target);
	free(memory);
	free(local);
}
END_TEST

/* ---- who may do what ---- */

START_TEST(an_unknown_token_is_rejected_and_says_so)
{
	struct net_conn *conn;
	struct error err = {0};

	start();
	admit(1);
	ck_assert_int_eq(try_connect(2, &conn, &err), -EACCES);
	ck_assert_ptr_null(conn);
	ck_assert_ptr_nonnull(strstr(err.text, "token"));
	ck_assert_int_eq(try_connect(1, &conn, &err), 0);
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(a_token_works_once)
{
	struct net_conn *first, *second;
	struct error err = {0};

	start();
	first = connect_as(1);
	ck_assert_int_eq(try_connect(1, &second, &err), -EACCES);
	net->close(first);
	ck_assert_int_eq(try_connect(1, &second, &err), -EACCES);
	net->target_close(target);
}
END_TEST

START_TEST(an_expelled_peers_token_is_forgotten)
{
	struct net_conn *conn;
	struct error err = {0};

	start();
	admit(1);
	net->target_expel(target, 1);
	net->target_expel(target, 99);
	ck_assert_int_eq(try_connect(1, &conn, &err), -EACCES);
	net->target_close(target);
}
END_TEST

START_TEST(another_peers_key_is_worthless)
{
	uint8_t memory[4096], other[4096], local[4096];
	struct net_conn *one, *two;
	struct net_grant *grant, *own;
	struct net_key key, own_key;

	start();
	memset(memory, MARK, sizeof(memory));
	memset(other, MARK, sizeof(other));
	memset(local, 0, sizeof(local));
	one = connect_as(1);
	two = connect_as(2);
	grant = expose(1, memory, sizeof(memory), NET_READ | NET_WRITE, &key);
	own = expose(2, other, sizeof(other), NET_READ | NET_WRITE, &own_key);
	ck_assert_int_lt(transfer_one(two, &key, true, local, 0, sizeof(local)), 0);
	ck_all(memory, sizeof(memory), MARK);
	ck_all(other, sizeof(other), MARK);
	net->close(two);
	two = connect_as(3);
	ck_assert_int_lt(transfer_one(two, &key, false, local, 0, sizeof(local)), 0);
	ck_all(local, sizeof(local), 0);
	ck_assert_int_eq(transfer_one(one, &key, true, local, 0, sizeof(local)), 0);
	ck_all(memory, sizeof(memory), 0);
	net->revoke(grant);
	net->revoke(own);
	net->close(one);
	net->close(two);
	net->target_close(target);
}
END_TEST

/* More of them than share a domain, and one of another group in their midst. */
START_TEST(peers_of_a_group_share_no_fate)
{
	enum { PEERS = 20, OTHER = 7 };
	static uint8_t memory[PEERS][4096], local[4096];
	struct net_grant *grants[PEERS];
	struct net_conn *conns[PEERS];
	struct net_key keys[PEERS], own_key;
	struct net_grant *own;
	uint8_t other[4096];

	start();
	memset(memory, MARK, sizeof(memory));
	memset(other, MARK, sizeof(other));
	for (uint64_t i = 0; i < PEERS; i++) {
		group = i == OTHER ? 2 : 1;
		conns[i] = connect_as(1 + i);
		grants[i] = expose(1 + i, memory[i], sizeof(memory[i]), NET_WRITE, &keys[i]);
	}
	for (unsigned i = 0; i < PEERS; i += 3) {
		net->target_expel(target, 1 + i);
		ck_assert_int_lt(transfer_one(conns[i], &keys[i], true, local, 0, sizeof(local)), 0);
		ck_all(memory[i], sizeof(memory[i]), MARK);
		net->revoke(grants[i]);
		net->close(conns[i]);
	}
	for (unsigned i = 0; i < PEERS; i++) {
		if (i % 3 == 0)
			continue;
		ck_assert_int_eq(transfer_one(conns[i], &keys[i], true, local, 0, sizeof(local)), 0);
		ck_all(memory[i], sizeof(memory[i]), 0);
	}
	/* In the place of one that went. */
	group = 1;
	conns[0] = connect_as(1);
	grants[0] = expose(1, memory[0], sizeof(memory[0]), NET_WRITE, &keys[0]);
	ck_assert_int_eq(transfer_one(conns[0], &keys[0], true, local, 0, sizeof(local)), 0);
	ck_all(memory[0], sizeof(memory[0]), 0);
	/* Who is of another group has nothing of theirs. */
	own = expose(1 + OTHER, other, sizeof(other), NET_WRITE, &own_key);
	memset(local, 1, sizeof(local));
	ck_assert_int_lt(transfer_one(conns[OTHER], &keys[0], true, local, 0, sizeof(local)), 0);
	ck_all(memory[0], sizeof(memory[0]), 0);
	ck_all(other, sizeof(other), MARK);
	net->revoke(own);
	for (unsigned i = 0; i < PEERS; i++) {
		if (i % 3 == 0 && i)
			continue;
		net->revoke(grants[i]);
		net->close(conns[i]);
	}
	net->target_close(target);
}
END_TEST

START_TEST(nothing_outside_a_grant_is_written_or_read)
{
	const struct {
		int64_t address, offset, bytes;
	} outside[] = {
	    {0, 4096, 1},	/* just behind */
	    {0, 4095, 2},	/* across the end */
	    {0, 0, 4097},	/* too long */
	    {-1, 0, 1},		/* just before: the address wraps round */
	    {-1, 0, 4097},	/* across the start */
	    {1 << 20, 0, 4096}, /* far away */
	};
	uint8_t *memory = allocate(3 * 4096, MARK), *local = allocate(8192, 0);
	struct net_grant *grant;
	struct net_key key;

	start();
	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		for (int write = 0; write < 2; write++) {
			struct net_conn *conn = connect_as(i * 2 + (unsigned)write);

			grant = expose(i * 2 + (unsigned)write, memory + 4096, 4096,
				       NET_READ | NET_WRITE, &key);
			key.bytes = 1 << 30; /* a client that lies to itself */
			key.address += (uint64_t)outside[i].address;
			ck_assert_int_lt(transfer_one(conn, &key, write, local,
						      (uint64_t)outside[i].offset,
						      (size_t)outside[i].bytes),
					 0);
			ck_all(memory, 3 * 4096, MARK);
			ck_all(local, 8192, 0);
			net->revoke(grant);
			net->close(conn);
		}
	}
	net->target_close(target);
	free(memory);
	free(local);
}
END_TEST

START_TEST(rights_are_kept)
{
	uint8_t memory[4096], local[4096];
	struct net_conn *conn;
	struct net_grant *grant;
	struct net_key key;

	start();
	memset(memory, MARK, sizeof(memory));
	memset(local, 0, sizeof(local));
	conn = connect_as(1);
	grant = expose(1, memory, sizeof(memory), NET_READ, &key);
	ck_assert_int_eq(transfer_one(conn, &key, false, local, 0, sizeof(local)), 0);
	ck_all(local, sizeof(local), MARK);
	memset(local, 0, sizeof(local));
	ck_assert_int_lt(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	ck_all(memory, sizeof(memory), MARK);
	net->revoke(grant);
	net->close(conn);
	conn = connect_as(2);
	grant = expose(2, memory, sizeof(memory), NET_WRITE, &key);
	ck_assert_int_lt(transfer_one(conn, &key, false, local, 0, sizeof(local)), 0);
	ck_all(local, sizeof(local), 0);
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(a_revoked_key_is_dead)
{
	uint8_t memory[4096], local[4096];
	struct net_grant *grant, *kept;
	struct net_key key, kept_key;
	struct net_conn *conn;
	struct error err = {0};

	start();
	memset(local, 0, sizeof(local));
	conn = connect_as(1);
	kept = expose(1, memory, sizeof(memory), NET_READ, &kept_key);
	grant = expose(1, memory, sizeof(memory), NET_WRITE, &key);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	net->revoke(grant);
	ck_assert_int_eq(transfer_one(conn, &kept_key, false, local, 0, sizeof(local)), 0);
	memset(memory, MARK, sizeof(memory));
	ck_assert_int_lt(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	ck_all(memory, sizeof(memory), MARK);
	net->revoke(kept);
	net->revoke(NULL);
	/* tcp drops the connection with a refused write: the target notices, too */
	for (unsigned i = 0; i < 100; i++) {
		if (net->expose(target, 1, memory, 1, NET_READ, &grant, &key, &err) == -ENOTCONN)
			break;
		net->revoke(grant);
		wait_ms(20);
	}
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(an_expelled_peer_is_cut_off)
{
	uint8_t memory[4096], local[4096] = {0};
	struct net_conn *conn;
	struct net_grant *grant;
	struct net_key key;
	struct error err = {0};

	start();
	conn = connect_as(1);
	grant = expose(1, memory, sizeof(memory), NET_READ | NET_WRITE, &key);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	memset(memory, MARK, sizeof(memory));
	net->target_expel(target, 1);
	ck_assert_int_lt(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	ck_all(memory, sizeof(memory), MARK);
	ck_assert_int_eq(net->expose(target, 1, memory, 1, NET_READ, &grant, &key, &err),
			 -ENOTCONN);
	net->revoke(grant);
	net->close(conn);
	/* and may come back */
	conn = connect_as(1);
	grant = expose(1, memory, sizeof(memory), NET_WRITE, &key);
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	net->revoke(grant);
	net->close(conn);
	net->target_close(target);
}
END_TEST

START_TEST(a_peer_that_leaves_is_forgotten)
{
	uint8_t memory[64];
	struct net_grant *grant, *other = NULL;
	struct net_conn *conn;
	struct net_key key;
	struct error err = {0};
	int rc = 0;

	start();
	ck_assert_int_eq(net->expose(target, 1, memory, 1, NET_READ, &other, &key, &err),
			 -ENOTCONN);
	conn = connect_as(1);
	grant = expose(1, memory, sizeof(memory), NET_READ, &key);
	net->close(conn);
	for (unsigned i = 0; i < 200 && !rc; i++) {
		wait_ms(10);
		rc = net->expose(target, 1, memory, 1, NET_READ, &other, &key, &err);
		if (!rc)
			net->revoke(other);
	}
	ck_assert_int_eq(rc, -ENOTCONN);
	net->revoke(grant);
	net->target_expel(target, 1);
	net->target_close(target);
}
END_TEST

/* ---- processes of their own ---- */

struct order {
	struct net_address address;
	struct net_key key;
	uint64_t peer;
};

static void order_send(int fd, const struct order *order)
{
	ck_assert_int_eq(write(fd, order, sizeof(*order)), sizeof(*order));
}

static void order_receive(int fd, struct order *order)
{
	if (read(fd, order, sizeof(*order)) != sizeof(*order))
		_exit(90);
}

enum { STOPPED_BYTES = 256 * 1024 * 1024 };

/* Begins one write that no socket's buffer holds, and stops in the middle of it; then goes on. */
static void writer_run(int fd)
{
	struct net_transfer transfer = {.bytes = STOPPED_BYTES, .write = true};
	struct net_params with = params();
	struct net_transfer *done;
	struct net_conn *conn;
	struct order order;
	struct error err;
	void *registration;
	int rc;

	order_receive(fd, &order);
	net = net_find(net_name());
	with.chunk_bytes = STOPPED_BYTES;
	transfer.local = mmap(NULL, STOPPED_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (try_connect_to(&with, &order.address, order.peer, DEADLINE_MS, &conn, &err))
		_exit(91);
	order_send(fd, &order); /* connected */
	order_receive(fd, &order);
	if (net->register_local(conn, transfer.local, STOPPED_BYTES, NET_SOURCE, &registration, &err))
		_exit(92);
	if (net->submit(conn, &order.key, &transfer, &err))
		_exit(93);
	raise(SIGSTOP);
	rc = net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err);
	_exit(rc == -ETIMEDOUT ? 94 : rc == 1 && transfer.status == 0 ? 95 : 0);
}

/* What arrives is written by libfabric. */
UNIT_UNWATCHED static size_t count_not(const uint8_t *memory, size_t bytes, int value)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += memory[i] != value;
	return n;
}

START_TEST(a_stopped_writer_changes_nothing_after_it_was_expelled)
{
	struct order order = {.peer = 1};
	size_t arrived, before;
	struct net_grant *grant;
	int fds[2], status;
	uint8_t *memory;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		writer_run(fds[0]);
	memory = allocate(STOPPED_BYTES, MARK);
	start();
	order.address = address;
	admit(1);
	order_send(fds[1], &order);
	order_receive(fds[1], &order);
	grant = expose(1, memory, STOPPED_BYTES, NET_WRITE, &order.key);
	order_send(fds[1], &order);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert_msg(WIFSTOPPED(status), "the writer ended with %d", WEXITSTATUS(status));
	arrived = 0;
	do { /* what is on its way arrives */
		before = arrived;
		wait_ms(100);
		arrived = count_not(memory, STOPPED_BYTES, MARK);
	} while (!arrived || arrived != before);
	ck_assert_uint_lt(arrived, STOPPED_BYTES);
	net->target_expel(target, 1);
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	wait_ms(100);
	ck_assert_uint_eq(count_not(memory, STOPPED_BYTES, MARK), arrived);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
		      "the writer ended with %d: 94 it noticed nothing, 95 its write succeeded",
		      WEXITSTATUS(status));
	net->revoke(grant);
	net->target_close(target);
	free(memory);
}
END_TEST

/* A writer that never stops, and memory that is expelled under it: byte by byte, as it was at
 * return. */
static void hammer_run(int fd)
{
	static uint8_t local[4 * MIB];
	struct net_params with = params();
	struct net_conn *conn;
	struct order order;
	struct error err;
	unsigned round = 0;

	order_receive(fd, &order);
	net = net_find(net_name());
	if (try_connect_to(&with, &order.address, order.peer, DEADLINE_MS, &conn, &err))
		_exit(91);
	order_send(fd, &order); /* connected */
	order_receive(fd, &order);
	do
		memset(local, (int)++round, sizeof(local));
	while (!transfer_all(conn, &order.key, true, local, sizeof(local)));
	_exit(round > 1 ? 0 : 95);
}

START_TEST(memory_stands_still_when_expel_returns)
{
	enum { ROUNDS = 10 };
	int fds[ROUNDS][2], status;
	pid_t pids[ROUNDS];
	uint8_t *memory, *copy;

	for (unsigned i = 0; i < ROUNDS; i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
		pids[i] = fork();
		ck_assert_int_ge(pids[i], 0);
		if (pids[i] == 0)
			hammer_run(fds[i][0]);
	}
	memory = allocate(4 * MIB, 0);
	copy = allocate(4 * MIB, 0);
	start();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct order order = {.peer = i, .address = address};
		struct net_grant *grant;

		admit(i);
		order_send(fds[i][1], &order);
		order_receive(fds[i][1], &order);
		grant = expose(i, memory, 4 * MIB, NET_WRITE, &order.key);
		order_send(fds[i][1], &order);
		for (unsigned w = 0; w < 2000 && *(volatile uint8_t *)memory < 2; w++)
			wait_ms(5); /* the second round goes on */
		wait_ms(i);
		net->target_expel(target, i);
		memcpy(copy, memory, 4 * MIB);
		wait_ms(20);
		ck_assert_int_eq(memcmp(copy, memory, 4 * MIB), 0);
		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert_int_eq(WEXITSTATUS(status), 0);
		net->revoke(grant);
		memory[0] = 0;
	}
	net->target_close(target);
	free(memory);
	free(copy);
}
END_TEST

/* A target in a process of its own: answers with its address, exposes, and sleeps till it is
 * killed. */
static void victim_run(int fd)
{
	static uint8_t memory[MIB];
	struct net_params listen = params();
	struct order order = {.peer = 1};
	struct net_grant *grant;
	struct error err;

	net = net_find(net_name());
	if (net->listen(&listen, &target, &order.address, &err))
		_exit(91);
	admit(1);
	order_send(fd, &order);
	order_receive(fd, &order);
	if (net->expose(target, 1, memory, sizeof(memory), NET_READ | NET_WRITE, &grant, &order.key,
			&err))
		_exit(92);
	order_send(fd, &order);
	for (;;)
		pause();
}

static void lose_target(bool transfer_in_flight)
{
	struct net_transfer transfer = {.bytes = 64 * KIB, .write = true}, *done;
	struct net_conn *conn;
	struct error err = {0};
	struct order order;
	uint64_t since;
	int fds[2], rc;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		victim_run(fds[0]);
	net = net_find(net_name());
	order_receive(fds[1], &order);
	address = order.address;
	ck_assert_int_eq(try_connect(1, &conn, &err), 0);
	order_send(fds[1], &order);
	order_receive(fds[1], &order);
	transfer.local = allocate(transfer.bytes, 1);
	ck_assert_int_eq(transfer_one(conn, &order.key, true, transfer.local, 0, transfer.bytes),
			 0);
	register_memory(conn, transfer.local, transfer.bytes);
	if (transfer_in_flight) {
		kill(pid, SIGSTOP);
		waitpid(pid, NULL, WUNTRACED);
		ck_assert_int_eq(net->submit(conn, &order.key, &transfer, &err), 0);
		/* A device writes for a process that is stopped. */
		ck_assert_int_eq(net->reap(conn, &done, 1, deadline_in_ms(in_hardware() ? DEADLINE_MS : 100), &err),
				 in_hardware() ? 1 : -ETIMEDOUT);
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	since = clock_monotonic_ns();
	do
		rc = net->reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err);
	while (rc == 1 && transfer.status < 0);
	ck_assert_int_lt(rc, 0);
	ck_assert_int_ne(rc, -ETIMEDOUT);
	ck_assert_uint_lt(elapsed_ms(since), SOON_MS);
	ck_assert_ptr_nonnull(strstr(err.text, "lost"));
	ck_assert_int_lt(net->submit(conn, &order.key, &transfer, &err), 0);
	ck_assert_int_ne(err.code, -EAGAIN);
	net->close(conn);
	free(transfer.local);
}

START_TEST(a_lost_target_is_noticed_with_a_transfer_in_flight)
{
	lose_target(true);
}
END_TEST

START_TEST(a_lost_target_is_noticed_while_waiting)
{
	lose_target(false);
}
END_TEST

START_TEST(a_target_that_hangs_is_left_at_the_deadline)
{
	struct net_transfer transfer = {.bytes = 64 * KIB, .write = true}, *done;
	struct net_conn *conn;
	struct error err = {0};
	struct order order;
	uint64_t since;
	int fds[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		victim_run(fds[0]);
	net = net_find(net_name());
	order_receive(fds[1], &order);
	address = order.address;
	ck_assert_int_eq(try_connect(1, &conn, &err), 0);
	order_send(fds[1], &order);
	order_receive(fds[1], &order);
	transfer.local = allocate(transfer.bytes, 1);
	register_memory(conn, transfer.local, transfer.bytes);
	kill(pid, SIGSTOP);
	waitpid(pid, NULL, WUNTRACED);
	since = clock_monotonic_ns();
	ck_assert_int_eq(net->submit(conn, &order.key, &transfer, &err), 0);
	ck_assert_int_eq(net->reap(conn, &done, 1, deadline_in_ms(300), &err), -ETIMEDOUT);
	ck_assert_uint_ge(elapsed_ms(since), 300);
	ck_assert_uint_lt(elapsed_ms(since), SOON_MS);
	since = clock_monotonic_ns();
	net->close(conn);
	ck_assert_uint_lt(elapsed_ms(since), SOON_MS);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(transfer.local);
}
END_TEST

/* ---- ports ---- */

static int listen_plainly(struct net_address *at, bool and_close)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = first_address()};
	socklen_t bytes = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
	start(); /* only for the format of an address */
	net->target_close(target);
	*at = address;
	at->bytes = sizeof(in);
	memcpy(at->raw, &in, sizeof(in));
	if (and_close)
		close(fd);
	return fd;
}

START_TEST(a_closed_port_is_reported_at_once)
{
	struct net_params with = params();
	uint64_t since = clock_monotonic_ns();
	struct error err = {0};
	struct net_address at;
	struct net_conn *conn;

	listen_plainly(&at, true);
	ck_assert_int_eq(try_connect_to(&with, &at, 1, DEADLINE_MS, &conn, &err), -ECONNREFUSED);
	ck_assert_uint_lt(elapsed_ms(since), SOON_MS);
	ck_assert_ptr_nonnull(strstr(err.text, "data port"));
	ck_assert_ptr_nonnull(strstr(err.text, "refused"));
}
END_TEST

START_TEST(a_port_that_never_answers_is_left_at_the_deadline)
{
	struct net_params with = params();
	struct error err = {0};
	struct net_address at;
	struct net_conn *conn;
	uint64_t since;
	int fd = listen_plainly(&at, false);

	since = clock_monotonic_ns();
	ck_assert_int_eq(try_connect_to(&with, &at, 1, 300, &conn, &err), -ETIMEDOUT);
	ck_assert_uint_ge(elapsed_ms(since), 300);
	ck_assert_uint_lt(elapsed_ms(since), SOON_MS);
	close(fd);
}
END_TEST

START_TEST(a_port_of_another_service_is_an_error)
{
	struct net_params with = params();
	struct error err = {0};
	struct net_address at;
	struct net_conn *conn;
	int fd = listen_plainly(&at, false);
	pid_t pid = fork();

	if (pid == 0) {
		int client = accept(fd, NULL, NULL);

		if (write(client, "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 32) != 32)
			_exit(1);
		pause();
	}
	ck_assert_int_lt(try_connect_to(&with, &at, 1, 2000, &conn, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "data port"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd);
}
END_TEST

START_TEST(malformed_addresses_are_refused)
{
	struct net_params with = params();
	struct net_address good, bad;
	struct error err = {0};
	struct net_conn *conn;

	start();
	good = address;
	net->target_close(target);
	for (unsigned i = 0; i < 4; i++) {
		bad = good;
		if (i == 0)
			bad.bytes = 0;
		else if (i == 1)
			bad.bytes = NET_ADDRESS_BYTES + 1;
		else if (i == 2)
			bad.bytes -= 1;
		else
			bad.raw[0] ^= 0x40;
		ck_assert_int_eq(try_connect_to(&with, &bad, 1, 1000, &conn, &err), -EINVAL);
	}
	if (in_hardware())
		return; /* has no providers */
	with.provider = "no-such-provider";
	ck_assert_int_eq(try_connect_to(&with, &good, 1, 1000, &conn, &err), -ENODEV);
	ck_assert_ptr_nonnull(strstr(err.text, "no-such-provider"));
}
END_TEST

START_TEST(a_target_on_any_address_is_reached_by_its_port)
{
	struct net_params any = params();
	struct error err = {0};
	struct net_conn *conn;

	net = net_find(net_name());
	any.node = NULL;
	ck_assert_msg(net->listen(&any, &target, &address, &err) == 0, "%s", err.text);
	if (((struct sockaddr *)address.raw)->sa_family == AF_INET6)
		((struct sockaddr_in6 *)address.raw)->sin6_addr = in6addr_loopback;
	else
		((struct sockaddr_in *)address.raw)->sin_addr.s_addr = first_address();
	conn = connect_as(1);
	net->close(conn);
	net->target_close(target);
}
END_TEST

/* ---- strangers, and what an idle target costs ---- */

static int stranger_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in in;

	memcpy(&in, address.raw, sizeof(in));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void stranger_say(int fd, const void *text, size_t bytes)
{
	if (send(fd, text, bytes, MSG_NOSIGNAL) < 0)
		return; /* hung up on */
}

/* What a client says first, recorded by a listener that never answers. */
static size_t record_request(uint8_t *request, size_t capacity)
{
	struct net_params with = params();
	struct net_address at;
	struct net_conn *conn;
	struct error err;
	ssize_t n;
	int fd = listen_plainly(&at, false), client;
	pid_t pid = fork();

	if (pid == 0) {
		try_connect_to(&with, &at, 12345, DEADLINE_MS, &conn, &err);
		_exit(0);
	}
	client = accept(fd, NULL, NULL);
	wait_ms(50);
	n = recv(client, request, capacity, 0);
	ck_assert_int_gt(n, NET_TOKEN_BYTES);
	ck_assert_uint_eq(request[n - 1], 0x5a);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(client);
	close(fd);
	return (size_t)n;
}

START_TEST(strangers_at_the_data_port_harm_nobody)
{
	enum { STRANGERS = 240, KINDS = 6 };
	uint8_t request[512];
	size_t request_bytes = record_request(request, sizeof(request));
	uint8_t memory[64], local[64] = {0}, noise[4096];
	int fds[STRANGERS];
	struct net_grant *grant;
	struct net_conn *conn, *later;
	struct net_key key;
	uint64_t since, busy;
	unsigned before;

	start();
	before = descriptors();
	conn = connect_as(1);
	grant = expose(1, memory, sizeof(memory), NET_WRITE, &key);
	fill_pattern(noise, sizeof(noise), 7);
	since = clock_monotonic_ns();
	for (unsigned i = 0; i < STRANGERS; i++) {
		fds[i] = stranger_connect();
		switch (i % KINDS) {
		case 0:
			break; /* says nothing */
		case 1:
			stranger_say(fds[i], "GET", 3);
			break;
		case 2:
			stranger_say(fds[i], noise, sizeof(noise));
			break;
		case 3:
			/* announces a token that never comes */
			stranger_say(fds[i], request, request_bytes - NET_TOKEN_BYTES);
			break;
		case 4:
			stranger_say(fds[i], request, request_bytes); /* a wrong token */
			break;
		default:
			stranger_say(fds[i], "\0", 1);
			close(fds[i]);
			fds[i] = -1;
		}
	}
	ck_assert_int_eq(transfer_one(conn, &key, true, local, 0, sizeof(local)), 0);
	later = connect_as(2);
	ck_assert_uint_lt(elapsed_ms(since), 3000);
	net->close(later);

	/* They are shown out in the end, while the target sleeps. */
	wait_ms(500);
	busy = cpu_ms();
	wait_ms(1000);
	ck_assert_uint_lt(cpu_ms() - busy, 100);
	net->revoke(grant);
	net->close(conn);
	for (unsigned i = 0; i < 100; i++) {
		unsigned open = descriptors();

		for (unsigned s = 0; s < STRANGERS; s++)
			open -= fds[s] >= 0;
		if (open <= before)
			break;
		wait_ms(100);
		ck_assert_uint_lt(i, 99);
	}
	for (unsigned i = 0; i < STRANGERS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	net->target_close(target);
}
END_TEST

START_TEST(strangers_that_are_still_there_at_close_leave_nothing_behind)
{
	unsigned before;
	int fds[20];

	start();
	net->target_close(target);
	before = descriptors();
	start();
	for (unsigned i = 0; i < 20; i++) {
		fds[i] = stranger_connect();
		if (i % 2)
			stranger_say(fds[i], "x", 1);
	}
	wait_ms(100);
	net->target_close(target);
	ck_assert_uint_eq(descriptors(), before + 20);
	for (unsigned i = 0; i < 20; i++)
		close(fds[i]);
}
END_TEST

START_TEST(descriptors_running_out_is_survived)
{
	struct rlimit limit, low;
	struct net_conn *conn;
	struct error err = {0};
	uint64_t busy;
	int fds[64];

	start();
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	for (unsigned i = 0; i < 32; i++)
		fds[i] = stranger_connect();
	wait_ms(50);
	for (unsigned i = 32; i < 64; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	low.rlim_cur = (rlim_t)fds[63] + 1;
	setrlimit(RLIMIT_NOFILE, &low);
	for (unsigned i = 32; i < 64; i++) {
		struct sockaddr_in in;

		memcpy(&in, address.raw, sizeof(in));
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&in, sizeof(in)), 0);
	}
	busy = cpu_ms();
	wait_ms(1000);
	ck_assert_uint_lt(cpu_ms() - busy, 300);
	setrlimit(RLIMIT_NOFILE, &limit);
	admit(1);
	ck_assert_int_eq(try_connect(1, &conn, &err), 0);
	net->close(conn);
	net->target_close(target);
	for (unsigned i = 0; i < 64; i++)
		close(fds[i]);
}
END_TEST

START_TEST(idle_peers_cost_no_cpu)
{
	struct net_conn *conns[16];
	struct net_grant *grants[16];
	uint8_t memory[64], local[64] = {0};
	struct net_key key;
	uint64_t busy;

	start();
	for (unsigned i = 0; i < 16; i++) {
		conns[i] = connect_as(i);
		grants[i] = expose(i, memory, sizeof(memory), NET_WRITE, &key);
		ck_assert_int_eq(transfer_one(conns[i], &key, true, local, 0, sizeof(local)), 0);
	}
	wait_ms(1500); /* past the look at handshakes */
	busy = cpu_ms();
	wait_ms(2000);
	ck_assert_uint_le(cpu_ms() - busy, 100); /* whoever polls takes all of the time */
	for (unsigned i = 0; i < 16; i++) {
		net->revoke(grants[i]);
		net->close(conns[i]);
	}
	net->target_close(target);
}
END_TEST

START_TEST(listening_and_closing_leaves_nothing_behind)
{
	unsigned before = 0;

	for (unsigned i = 0; i < 30; i++) {
		struct net_grant *grant;
		struct net_conn *conn, *left;
		struct net_key key;
		uint8_t byte;

		start();
		group = i / 2 % 2;
		conn = connect_as(1);
		left = connect_as(2);
		grant = expose(1, &byte, 1, NET_WRITE, &key);
		net->revoke(grant);
		if (i % 2)
			net->close(left);
		net->target_close(target);
		net->close(conn);
		if (i % 2 == 0)
			net->close(left);
		if (i == 4)
			before = descriptors();
	}
	ck_assert_uint_eq(descriptors(), before);
}
END_TEST

static void count_thread(void *arg, unsigned thread, const char *device)
{
	ck_assert_ptr_nonnull(device);
	__atomic_fetch_or((unsigned *)arg, 1u << thread, __ATOMIC_SEQ_CST);
}

START_TEST(each_progress_thread_announces_itself_before_listen_returns)
{
	struct net_params listen = params();
	unsigned seen = 0, all = in_hardware() ? 1 : 7;
	struct error err = {0};

	net = net_find(net_name());
	listen.threads = 3;
	listen.thread_start = count_thread;
	listen.thread_arg = &seen;
	ck_assert_int_eq(net->listen(&listen, &target, &address, &err), 0);
	ck_assert_uint_eq(__atomic_load_n(&seen, __ATOMIC_SEQ_CST), all);
	net->target_close(target);
	net->target_close(NULL);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("net");

#define ADD(name) unit_add(suite, #name, name, 60)
	ADD(limits_go_by_the_block_and_the_delay);
	ADD(transfers_of_many_sizes_arrive_and_come_back);
	ADD(pieces_of_one_transfer_each_go_to_their_place);
	ADD(pieces_beyond_a_limit_are_refused);
	ADD(a_full_window_and_wrong_sizes_are_refused_at_once);
	ADD(sixty_four_peers_at_once);
	ADD(an_unknown_token_is_rejected_and_says_so);
	ADD(a_token_works_once);
	ADD(an_expelled_peers_token_is_forgotten);
	ADD(another_peers_key_is_worthless);
	ADD(peers_of_a_group_share_no_fate);
	ADD(nothing_outside_a_grant_is_written_or_read);
	ADD(rights_are_kept);
	ADD(a_revoked_key_is_dead);
	ADD(an_expelled_peer_is_cut_off);
	ADD(a_peer_that_leaves_is_forgotten);
	ADD(memory_stands_still_when_expel_returns);
	ADD(a_lost_target_is_noticed_with_a_transfer_in_flight);
	ADD(a_lost_target_is_noticed_while_waiting);
	ADD(a_closed_port_is_reported_at_once);
	ADD(malformed_addresses_are_refused);
	ADD(a_target_on_any_address_is_reached_by_its_port);
	ADD(idle_peers_cost_no_cpu);
	ADD(listening_and_closing_leaves_nothing_behind);
	ADD(each_progress_thread_announces_itself_before_listen_returns);
	if (in_hardware())
		return suite;
	/* About libfabric and its sockets, or about a target that moves the data itself. */
	ADD(what_is_being_prepared_disturbs_nothing);
	ADD(who_ends_while_it_is_prepared_ends_well);
	ADD(a_child_that_was_forked_meanwhile_ends_well);
	ADD(a_stopped_writer_changes_nothing_after_it_was_expelled);
	ADD(a_target_that_hangs_is_left_at_the_deadline);
	ADD(a_port_that_never_answers_is_left_at_the_deadline);
	ADD(a_port_of_another_service_is_an_error);
	ADD(strangers_at_the_data_port_harm_nobody);
	ADD(strangers_that_are_still_there_at_close_leave_nothing_behind);
	ADD(descriptors_running_out_is_survived);
	return suite;
}
