/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs.c - what the verbs back end keeps from one transfer to the next, and what it says where RDMA is not to be had.
 *
 * Most of it needs an RDMA device: HOLDFAST_TEST_NET=verbs, HOLDFAST_TEST_ADDRESS its address. tests/unit/net.c has
 * what the contract promises.
 */
#include "net/verbs_conn.h"
#include "net/verbs_near.h"
#include "net/verbs_source.h"
#include "net/verbs_target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "unit.h"

#define BYTES	    ((size_t)64 * 1024)
#define DEADLINE_MS 20000
#define PEER	    7

static const uint8_t token[NET_TOKEN_BYTES] = {1, 2, 3};
static struct net_target *target;
static struct net_conn *conn;

static const char *device_address(void)
{
	const char *name = getenv("HOLDFAST_TEST_NET"), *at = getenv("HOLDFAST_TEST_ADDRESS");

	return name && at && !strcmp(name, "verbs") ? at : NULL;
}

static void start(void)
{
	struct net_params params = {.node = device_address(), .threads = 1};
	struct net_address address;
	struct error err = {0};

	ck_assert_msg(!net_verbs.listen(&params, &target, &address, &err), "%s", err.text);
	ck_assert(!net_verbs.target_admit(target, PEER, 0, token, &err));
	ck_assert_msg(!net_verbs.connect(&params, &address, token, deadline_in_ms(DEADLINE_MS), &conn, &err), "%s",
		      err.text);
}

static void stop(void)
{
	net_verbs.close(conn);
	net_verbs.target_close(target);
}

static struct net_grant *expose(void *base, struct net_key *key)
{
	struct net_grant *grant;
	struct error err = {0};

	ck_assert_msg(!net_verbs.expose(target, PEER, base, BYTES, NET_WRITE, &grant, key, &err), "%s", err.text);
	return grant;
}

static void *register_kept(void *base)
{
	struct error err = {0};
	void *registration;

	ck_assert_msg(!net_verbs.register_local(conn, base, BYTES, NET_SOURCE | NET_KEEP, &registration, &err), "%s",
		      err.text);
	return registration;
}

static void write_all(const struct net_key *key, void *local)
{
	struct net_transfer transfer = {.local = local, .bytes = BYTES, .write = true}, *done;
	struct error err = {0};

	ck_assert_msg(!net_verbs.submit(conn, key, &transfer, &err), "%s", err.text);
	ck_assert_int_eq(net_verbs.reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err), 1);
	ck_assert_int_eq(transfer.status, 0);
}

/* Fresh pages, at `at` in the place of what is there, or anywhere. */
static uint8_t *map_pages(void *at, int fill)
{
	uint8_t *pages = mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1,
			      0);

	ck_assert_ptr_ne(pages, MAP_FAILED);
	memset(pages, fill, BYTES);
	return pages;
}

/* ---- windows ---- */

START_TEST(windows_that_a_device_offers_protect)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(device_address())};
	struct ibv_device_attr attr;

	start();
	ck_assert(!ibv_query_device(conn->rails[0].id->verbs, &attr));
	ck_assert_int_eq(verbs_probe_windows((struct sockaddr *)&at),
			 (attr.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B) != 0);
	stop();
}
END_TEST

START_TEST(grants_are_windows_unless_that_is_switched_off)
{
	struct net_grant *grant;
	struct net_key key;
	struct ibv_device_attr attr;
	uint8_t *memory = map_pages(NULL, 0);
	bool offered;

	for (int off = 0; off < 2; off++) {
		ck_assert(!setenv("HOLDFAST_VERBS_WINDOWS", off ? "no" : "yes", 1));
		start();
		ck_assert(!ibv_query_device(conn->rails[0].id->verbs, &attr));
		offered = attr.device_cap_flags & IBV_DEVICE_MEM_WINDOW_TYPE_2B;
		grant = expose(memory, &key);
		ck_assert_int_eq(grant->bindings[0].window != NULL, offered && !off);
		ck_assert_int_eq(grant->bindings[0].mr != NULL, !offered || off);
		net_verbs.revoke(grant);
		stop();
	}
	munmap(memory, BYTES);
}
END_TEST

/* ---- what is kept ---- */

START_TEST(the_targets_memory_stays_registered_till_it_is_forgotten)
{
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	const struct session *session;
	const struct ibv_mr *mr;
	struct net_grant *grant;
	struct net_key key;

	start();
	session = target->sessions;
	if (!session->windows) {
		stop();
		return;
	}
	register_kept(local);
	grant = expose(memory, &key);
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	net_verbs.revoke(grant);
	ck_assert_ptr_nonnull(session->areas);
	mr = session->areas->mr;
	grant = expose(memory, &key);
	ck_assert_ptr_eq(session->areas->mr, mr);
	ck_assert_ptr_null(session->areas->next);
	net_verbs.revoke(grant);

	net_verbs.forget(target, memory, BYTES);
	ck_assert_ptr_null(session->areas);
	map_pages(memory, 0);
	grant = expose(memory, &key);
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(local_memory_stays_registered_till_it_is_forgotten)
{
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_grant *grant;
	struct net_key key;
	void *first, *again, *shorter;
	struct error err = {0};

	start();
	grant = expose(memory, &key);
	first = register_kept(local);
	net_verbs.unregister_local(conn, first);
	again = register_kept(local);
	ck_assert_ptr_eq(again, first);
	/* Nobody promised that what another use registered stays. */
	ck_assert(!net_verbs.register_local(conn, local, BYTES, NET_SOURCE, &shorter, &err));
	ck_assert_ptr_ne(shorter, first);
	net_verbs.unregister_local(conn, shorter);
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	net_verbs.unregister_local(conn, again);

	net_verbs.forget_local(conn, local + BYTES - 1, 1);
	ck_assert_ptr_null(conn->memory.first);
	map_pages(local, 2);
	again = register_kept(local);
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	net_verbs.unregister_local(conn, again);
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(nothing_stays_registered_where_that_is_switched_off)
{
	uint8_t *local = map_pages(NULL, 1);

	ck_assert(!setenv("HOLDFAST_VERBS_KEEP", "no", 1));
	start();
	net_verbs.unregister_local(conn, register_kept(local));
	ck_assert_ptr_null(conn->memory.first);
	stop();
	munmap(local, BYTES);
}
END_TEST

START_TEST(what_is_not_registered_is_not_sent)
{
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_transfer transfer = {.local = local, .bytes = BYTES, .write = true};
	struct net_grant *grant;
	struct error err = {0};
	struct net_key key;

	start();
	grant = expose(memory, &key);
	ck_assert_int_eq(net_verbs.submit(conn, &key, &transfer, &err), -EFAULT);
	net_verbs.unregister_local(conn, register_kept(local));
	ck_assert_int_eq(net_verbs.submit(conn, &key, &transfer, &err), -EFAULT);
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(a_child_takes_no_registered_memory_away)
{
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_grant *grant;
	struct net_key key;
	int status;
	pid_t pid;

	start();
	grant = expose(memory, &key);
	register_kept(local);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(execl("/bin/true", "true", (char *)NULL));
	memset(local, 3, BYTES); /* while the child may share the pages */
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

/* Memory that no processor may touch while it is transferred: who copied it in between would die. */
START_TEST(no_processor_touches_what_is_transferred)
{
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_transfer transfer = {.local = local, .bytes = BYTES}, *done;
	struct net_grant *grant;
	struct error err = {0};
	struct net_key key;
	void *registration;

	start();
	ck_assert_msg(!net_verbs.expose(target, PEER, memory, BYTES, _i ? NET_READ : NET_WRITE, &grant, &key, &err), "%s",
		      err.text);
	ck_assert_msg(!net_verbs.register_local(conn, local, BYTES, _i ? NET_SINK : NET_SOURCE, &registration, &err), "%s",
		      err.text);
	ck_assert(memcmp(memory, local, BYTES) != 0);
	ck_assert(!mprotect(memory, BYTES, PROT_NONE) && !mprotect(local, BYTES, PROT_NONE));
	transfer.write = !_i;
	ck_assert_msg(!net_verbs.submit(conn, &key, &transfer, &err), "%s", err.text);
	ck_assert_int_eq(net_verbs.reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err), 1);
	ck_assert_int_eq(transfer.status, 0);
	net_verbs.unregister_local(conn, registration);
	net_verbs.revoke(grant);
	ck_assert(!mprotect(memory, BYTES, PROT_READ) && !mprotect(local, BYTES, PROT_READ));
	ck_assert(!memcmp(memory, local, BYTES));
	ck_assert_int_eq(memory[0], !_i);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

/* ---- rails ---- */

/* Two rails on one device, to the same address. */
static struct net_address start_rails(void)
{
	struct net_params params = {.threads = 1};
	struct net_address address;
	struct error err = {0};
	char nodes[64];

	snprintf(nodes, sizeof(nodes), "%s,%s", device_address(), device_address());
	params.node = nodes;
	ck_assert_msg(!net_verbs.listen(&params, &target, &address, &err), "%s", err.text);
	ck_assert_uint_eq(target->rails, 2);
	ck_assert_uint_eq(address.bytes, 2 * sizeof(struct sockaddr_in));
	ck_assert(!net_verbs.target_admit(target, PEER, 0, token, &err));
	return address;
}

static struct net_address only_rail(const struct net_address *of, unsigned rail)
{
	struct net_address address = {.format = of->format, .bytes = sizeof(struct sockaddr_in)};

	memcpy(address.raw, of->raw + rail * sizeof(struct sockaddr_in), sizeof(struct sockaddr_in));
	return address;
}

static int connect_to(const struct net_address *address, const uint8_t with[NET_TOKEN_BYTES], struct net_conn **to)
{
	const struct net_params params = {.node = NULL};
	struct error err = {0};

	*to = NULL;
	return net_verbs.connect(&params, address, with, deadline_in_ms(DEADLINE_MS), to, &err);
}

static int write_bytes_by(struct net_conn *by, const struct net_key *key, void *local, size_t bytes)
{
	struct net_transfer transfer = {.local = local, .bytes = bytes, .write = true}, *done;
	struct error err = {0};
	int rc = net_verbs.submit(by, key, &transfer, &err);

	if (!rc)
		rc = net_verbs.reap(by, &done, 1, deadline_in_ms(DEADLINE_MS), &err);
	return rc == 1 ? transfer.status : rc;
}

static int write_by(struct net_conn *by, const struct net_key *key, void *local)
{
	return write_bytes_by(by, key, local, BYTES);
}

START_TEST(rails_share_the_load)
{
	struct net_address address = start_rails();
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_transfer transfers[8], *done[8];
	const size_t piece = BYTES / 8;
	struct net_limits limits;
	struct net_grant *grant;
	struct error err = {0};
	struct net_key key;
	int n = 0;

	ck_assert(!connect_to(&address, token, &conn));
	ck_assert_uint_eq(conn->rail_count, 2);
	ck_assert_uint_eq(conn->memory.domain_count, 1); /* what is registered is so once a device */
	net_verbs.limits(conn, &limits);
	ck_assert_uint_eq(limits.window, 2 * conn->rails[0].limits.window);
	grant = expose(memory, &key);
	ck_assert(key.keys[0] && key.keys[1] && key.keys[0] != key.keys[1] && !key.keys[2]);
	register_kept(local);
	for (size_t i = 0; i < 8; i++) {
		transfers[i] = (struct net_transfer){.local = local + i * piece, .offset = i * piece, .bytes = piece,
						     .write = true};
		ck_assert_msg(!net_verbs.submit(conn, &key, &transfers[i], &err), "%s", err.text);
	}
	ck_assert_uint_eq(conn->rails[0].in_flight, 4);
	ck_assert_uint_eq(conn->rails[1].in_flight, 4);
	while (n < 8) {
		int some = net_verbs.reap(conn, done, 8, deadline_in_ms(DEADLINE_MS), &err);

		ck_assert_msg(some > 0, "%s", err.text);
		n += some;
	}
	for (size_t i = 0; i < 8; i++)
		ck_assert_int_eq(transfers[i].status, 0);
	ck_assert(!memcmp(memory, local, BYTES));

	net_verbs.revoke(grant);
	memset(local, 2, BYTES);
	ck_assert_int_lt(write_by(conn, &key, local), 0);
	ck_assert_int_eq(memory[0], 1);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

/* A set of little data is one transfer of it, and a small one of its table: the data of all sets must not go over one. */
START_TEST(rails_share_large_transfers_between_small_ones)
{
	struct net_address address = start_rails();
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_grant *grant;
	struct net_key key;

	ck_assert(!connect_to(&address, token, &conn));
	grant = expose(memory, &key);
	register_kept(local);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_int_eq(write_by(conn, &key, local), 0);
		ck_assert_int_eq(write_bytes_by(conn, &key, local, BYTES / 64), 0);
	}
	ck_assert_uint_ge(conn->rails[0].bytes, 3 * BYTES);
	ck_assert_uint_ge(conn->rails[1].bytes, 3 * BYTES);
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(a_grant_ends_on_each_rail)
{
	struct net_address address = start_rails();
	uint8_t *memory = map_pages(NULL, 1), *local = map_pages(NULL, 2);
	struct net_transfer transfer = {.local = local, .bytes = BYTES, .write = true}, *done;
	struct net_grant *grant;
	struct error err = {0};
	struct net_key key;

	ck_assert(!connect_to(&address, token, &conn));
	grant = expose(memory, &key);
	register_kept(local);
	if (_i < 2)
		net_verbs.revoke(grant);
	else
		net_verbs.target_expel(target, PEER);
	ck_assert(!verbs_submit_on(conn, &conn->rails[_i % 2], &key, &transfer, &err));
	ck_assert(net_verbs.reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err) < 0 || transfer.status < 0);
	ck_assert_int_eq(memory[0], 1);
	ck_assert(!memcmp(memory, memory + 1, BYTES - 1));
	if (_i >= 2)
		net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(a_token_opens_each_rail_once)
{
	struct net_address address = start_rails(), first = only_rail(&address, 0), second = only_rail(&address, 1);
	struct net_conn *again, *other;

	ck_assert(!connect_to(&first, token, &conn));
	ck_assert_int_lt(connect_to(&first, token, &again), 0);
	ck_assert_ptr_null(again);
	/* Its uses are over, also where it was refused. */
	ck_assert_int_eq(connect_to(&second, token, &other), -EACCES);
	stop();

	address = start_rails();
	first = only_rail(&address, 0);
	second = only_rail(&address, 1);
	ck_assert(!connect_to(&first, token, &conn));
	ck_assert(!connect_to(&second, token, &other));
	ck_assert_int_eq(connect_to(&first, token, &again), -EACCES);
	net_verbs.close(other);
	stop();
}
END_TEST

START_TEST(an_admission_takes_the_place_of_the_last)
{
	static const uint8_t fresh[NET_TOKEN_BYTES] = {4, 5, 6};
	struct net_address address = start_rails(), first = only_rail(&address, 0);
	uint8_t *memory = map_pages(NULL, 1), *local = map_pages(NULL, 2);
	struct net_grant *grant;
	struct error err = {0};
	struct net_conn *later;
	struct net_key key;

	ck_assert(!connect_to(&address, token, &conn));
	grant = expose(memory, &key);
	ck_assert(!net_verbs.target_admit(target, PEER, 0, fresh, &err));
	ck_assert(!connect_to(&first, fresh, &later));
	register_kept(local);
	ck_assert_int_lt(write_by(conn, &key, local), 0);
	ck_assert_int_eq(memory[0], 1);
	net_verbs.revoke(grant);
	grant = expose(memory, &key); /* to the later one, which has one rail */
	ck_assert(key.keys[0] && !key.keys[1]);
	net_verbs.revoke(grant);
	net_verbs.close(later);
	stop();

	/* What is left of a token ends with the next admission. */
	address = start_rails();
	first = only_rail(&address, 0);
	ck_assert(!connect_to(&first, token, &conn));
	ck_assert(!net_verbs.target_admit(target, PEER, 0, fresh, &err));
	first = only_rail(&address, 1);
	ck_assert_int_eq(connect_to(&first, token, &later), -EACCES);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(a_rail_that_cannot_be_reached_is_done_without)
{
	struct net_address address = start_rails();
	struct sockaddr_in in;
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct net_grant *grant;
	struct net_key key;

	memcpy(&in, address.raw + _i * sizeof(in), sizeof(in));
	in.sin_port = htons(9);
	memcpy(address.raw + _i * sizeof(in), &in, sizeof(in));
	ck_assert(!connect_to(&address, token, &conn));
	ck_assert_uint_eq(conn->rail_count, 1);
	ck_assert_uint_eq(conn->rails[0].number, !_i);
	grant = expose(memory, &key);
	ck_assert(key.keys[!_i] && !key.keys[_i]);
	register_kept(local);
	write_all(&key, local);
	ck_assert(!memcmp(memory, local, BYTES));
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

/* Transfers would go over it, and nobody would know which are durable. */
START_TEST(a_connection_ends_with_any_of_its_rails)
{
	struct net_address address = start_rails();
	uint8_t *memory = map_pages(NULL, 0), *local = map_pages(NULL, 1);
	struct session *session;
	struct net_grant *grant;
	struct net_key key;
	int rc = 0;

	ck_assert(!connect_to(&address, token, &conn));
	register_kept(local);
	pthread_mutex_lock(&target->lock);
	session = verbs_session_find(target->sessions, PEER);
	while (session->rail != (unsigned)_i)
		session = verbs_session_find(session->next, PEER);
	verbs_session_close(session);
	pthread_mutex_unlock(&target->lock);
	grant = expose(memory, &key);
	ck_assert(!key.keys[_i] && key.keys[!_i]);
	for (int i = 0; i < 4 && !rc; i++) {
		struct net_transfer transfers[2], *done;
		struct error err;

		for (size_t j = 0; j < 2 && !rc; j++) {
			transfers[j] = (struct net_transfer){.local = local, .bytes = BYTES, .write = true};
			rc = net_verbs.submit(conn, &key, &transfers[j], &err);
		}
		for (size_t j = 0; j < 2 && !rc; j++)
			rc = net_verbs.reap(conn, &done, 1, deadline_in_ms(DEADLINE_MS), &err) < 0 ? -1 : done->status;
	}
	ck_assert_int_lt(rc, 0);
	net_verbs.revoke(grant);
	stop();
	munmap(memory, BYTES);
	munmap(local, BYTES);
}
END_TEST

START_TEST(rails_of_no_use_are_refused)
{
	static const struct {
		unsigned good; /* addresses before it */
		const char *more, *says;
	} cases[] = {
		{1, "192.0.2.1", "192.0.2.1"}, {1, "", "no address"}, {NET_RAILS_MAX, "192.0.2.1", "4 addresses"},
		{1, "::1", "one family"},       {1, "0.0.0.0", "stands for all"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct net_params params = {.threads = 1};
		struct net_address address;
		struct error err = {0};
		char nodes[128] = "";

		for (unsigned j = 0; j < cases[i].good; j++)
			strcat(strcat(nodes, device_address()), ",");
		params.node = strcat(nodes, cases[i].more);
		ck_assert_int_lt(net_verbs.listen(&params, &target, &address, &err), 0);
		ck_assert_msg(strstr(err.text, cases[i].says), "%s", err.text);
	}
}
END_TEST

/* ---- what is said ---- */

START_TEST(a_limit_on_locked_memory_is_named)
{
	const struct rlimit low = {4096, 4096};
	uid_t before = geteuid();
	uint8_t *local = map_pages(NULL, 1);
	struct error err = {0};
	void *registration;

	start();
	ck_assert(!setrlimit(RLIMIT_MEMLOCK, &low));
	if (!before)
		ck_assert(!seteuid(65534)); /* the superuser has no limit */
	ck_assert_int_eq(net_verbs.register_local(conn, local, BYTES, NET_SOURCE, &registration, &err), -ENOMEM);
	ck_assert_msg(strstr(err.text, "RLIMIT_MEMLOCK") && strstr(err.text, " 4096 bytes"), "%s", err.text);
	ck_assert_msg(strstr(err.text, "LimitMEMLOCK") && strstr(err.text, "limits.d"), "%s", err.text);
	ck_assert(!seteuid(before));
	ck_assert(!prctl(PR_SET_DUMPABLE, 1)); /* so that a sanitizer can look */
	stop();
	munmap(local, BYTES);
}
END_TEST

START_TEST(an_address_of_no_device_is_named)
{
	const struct net_params params = {.node = "192.0.2.1", .threads = 1};
	struct net_address address;
	struct error err = {0};

	ck_assert_int_lt(net_verbs.listen(&params, &target, &address, &err), 0);
	ck_assert_msg(strstr(err.text, "192.0.2.1") && strstr(err.text, "--fabric-listen"), "%s", err.text);
}
END_TEST

/* Whether there are devices or not: a machine without says so, and with what goes on instead. */
START_TEST(a_machine_without_rdma_says_so)
{
	const struct net_params params = {.node = "127.0.0.1", .threads = 1};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct net_address address = {.format = AF_INET, .bytes = sizeof(in)};
	struct error err = {0};

	memcpy(address.raw, &in, sizeof(in));
	ck_assert_int_eq(net_verbs.listen(&params, &target, &address, &err), -ENODEV);
	ck_assert_msg(strstr(err.text, "RDMA") && strstr(err.text, "'ofi'"), "%s", err.text);
	memcpy(address.raw, &in, sizeof(in));
	ck_assert_int_eq(net_verbs.connect(&params, &address, token, deadline_in_ms(1000), &conn, &err), -ENODEV);
	ck_assert_msg(strstr(err.text, "RDMA") && strstr(err.text, "'ofi'"), "%s", err.text);
}
END_TEST

/* ---- which device ---- */

static hwloc_bitmap_t processors(const char *list)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();

	ck_assert(!hwloc_bitmap_list_sscanf(set, list));
	return set;
}

START_TEST(a_device_is_near_by_the_processors_that_it_shares)
{
	static const struct {
		const char *process, *device, *machine;
		unsigned share;
	} cases[] = {
		{"0-3", "0-7", "0-15", 1000},  {"0-3", "8-15", "0-15", 0},   {"6-9", "0-7", "0-15", 500},
		{"0-15", "8-15", "0-15", 500}, {"0-2", "2-5", "0-15", 333},
		/* One that is near to all is a device whose place is not known, or a machine where that is no question. */
		{"0-3", "0-15", "0-15", 0},    {"0-3", "0-31", "0-15", 0},   {"0-3", "", "0-15", 0},
		{"", "0-7", "0-15", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hwloc_bitmap_t process = processors(cases[i].process), device = processors(cases[i].device);
		hwloc_bitmap_t machine = processors(cases[i].machine);

		ck_assert_uint_eq(verbs_near_share_of(process, device, machine), cases[i].share);
		hwloc_bitmap_free(process);
		hwloc_bitmap_free(device);
		hwloc_bitmap_free(machine);
	}
}
END_TEST

START_TEST(no_device_is_better_than_itself)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(device_address())};
	const char *const none[] = {NULL};
	struct verbs_source source;
	struct error err = {0};

	ck_assert(!verbs_source_named(device_address(), (struct sockaddr *)&at, &source, &err));
	ck_assert(source.on_link);
	ck_assert(!verbs_source_better(source.device, none, (struct sockaddr *)&at, &source));
}
END_TEST

static int connect_by(const char *device, struct error *err)
{
	struct net_params params = {.node = device_address(), .threads = 1, .device = device};
	struct net_address address;
	int rc;

	ck_assert_msg(!net_verbs.listen(&params, &target, &address, err), "%s", err->text);
	ck_assert(!net_verbs.target_admit(target, PEER, 0, token, err));
	conn = NULL;
	rc = net_verbs.connect(&params, &address, token, deadline_in_ms(DEADLINE_MS), &conn, err);
	if (rc)
		ck_assert_ptr_null(conn);
	return rc;
}

START_TEST(a_device_is_taken_by_name_port_or_address)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(device_address())};
	char port[IBV_SYSFS_NAME_MAX + 16];
	struct verbs_source source;
	struct error err = {0};

	ck_assert(!verbs_source_named(device_address(), (struct sockaddr *)&at, &source, &err));
	snprintf(port, sizeof(port), "%s:%u", source.device, source.port);

	const char *names[] = {source.device, port, device_address(), "", NULL};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_msg(!connect_by(names[i], &err), "%s: %s", names[i], err.text);
		ck_assert_str_eq(ibv_get_device_name(conn->rails[0].id->verbs->device), source.device);
		ck_assert_uint_eq(conn->rails[0].id->port_num, source.port);
		stop();
	}
}
END_TEST

START_TEST(a_device_that_is_not_there_is_refused_and_others_are_named)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(device_address())};
	char port[IBV_SYSFS_NAME_MAX + 16];
	struct verbs_source source;
	struct error err = {0};

	ck_assert(!verbs_source_named(device_address(), (struct sockaddr *)&at, &source, &err));
	snprintf(port, sizeof(port), "%s:77", source.device);

	const char *names[] = {"nosuch9", port, "192.0.2.1", ":", "127.0.0.1"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert_int_eq(connect_by(names[i], &err), -ENODEV);
		ck_assert_msg(strstr(err.text, names[i]) && strstr(err.text, "fabric_device"), "%s", err.text);
		ck_assert_msg(strstr(err.text, source.device) && strstr(err.text, device_address()), "%s", err.text);
		stop();
	}
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("verbs");

#define ADD(name)		unit_add(suite, #name, name, 60)
#define ADD_LOOP(name, count) unit_add_loop(suite, #name, name, 60, count)
	ADD(a_device_is_near_by_the_processors_that_it_shares);
	if (access("/dev/infiniband/rdma_cm", F_OK))
		ADD(a_machine_without_rdma_says_so);
	if (!device_address()) {
		printf("# no RDMA device is named by HOLDFAST_TEST_NET and HOLDFAST_TEST_ADDRESS: most is not tried\n");
		return suite;
	}
	ADD(windows_that_a_device_offers_protect);
	ADD(grants_are_windows_unless_that_is_switched_off);
	ADD(the_targets_memory_stays_registered_till_it_is_forgotten);
	ADD(local_memory_stays_registered_till_it_is_forgotten);
	ADD(nothing_stays_registered_where_that_is_switched_off);
	ADD(what_is_not_registered_is_not_sent);
	ADD(a_child_takes_no_registered_memory_away);
	ADD_LOOP(no_processor_touches_what_is_transferred, 2);
	ADD(rails_share_the_load);
	ADD(rails_share_large_transfers_between_small_ones);
	ADD_LOOP(a_grant_ends_on_each_rail, 4);
	ADD(a_token_opens_each_rail_once);
	ADD(an_admission_takes_the_place_of_the_last);
	ADD_LOOP(a_rail_that_cannot_be_reached_is_done_without, 2);
	ADD_LOOP(a_connection_ends_with_any_of_its_rails, 2);
	ADD(rails_of_no_use_are_refused);
	ADD(a_limit_on_locked_memory_is_named);
	ADD(an_address_of_no_device_is_named);
	ADD(no_device_is_better_than_itself);
	ADD(a_device_is_taken_by_name_port_or_address);
	ADD(a_device_that_is_not_there_is_refused_and_others_are_named);
	return suite;
}
