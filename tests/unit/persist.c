/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * persist.c - persist methods, and the verbs back end's: what is asked of the device is really asked, with the rights that it
 * takes, and a seal is set last.
 *
 * All but the names need an RDMA device: HOLDFAST_TEST_NET=verbs, HOLDFAST_TEST_ADDRESS its address; FLUSH also a devdax
 * device that may be overwritten, HOLDFAST_TEST_DAX.
 */
#include "net/verbs_conn.h"
#include "net/verbs_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/clock.h"
#include "unit.h"

#define BYTES	    ((size_t)2 << 20)
#define SEAL	    ((uint64_t)1 << 20)
#define DEADLINE_MS 20000
#define PEER	    7

static const uint8_t token[NET_TOKEN_BYTES] = {1, 2, 3};
static struct net_target *target;
static struct net_conn *conn;
static struct net_grant *grant;
static struct net_key key;
static uint8_t *memory, *local;

static const char *device_address(void)
{
	const char *name = getenv("HOLDFAST_TEST_NET"), *at = getenv("HOLDFAST_TEST_ADDRESS");

	return name && at && !strcmp(name, "verbs") ? at : NULL;
}

static uint64_t soon(void)
{
	return deadline_in_ms(DEADLINE_MS);
}

static void connect_to(const char *node)
{
	struct net_params params = {.node = node, .threads = 1};
	struct net_address address;
	struct error err = {0};
	void *registration;

	ck_assert_msg(!net_verbs.listen(&params, &target, &address, &err), "%s", err.text);
	ck_assert(!net_verbs.target_admit(target, PEER, 0, token, &err));
	ck_assert_msg(!net_verbs.connect(&params, &address, token, soon(), &conn, &err), "%s", err.text);
	local = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(local, MAP_FAILED);
	memset(local, 5, BYTES);
	ck_assert_msg(!net_verbs.register_local(conn, local, BYTES, NET_SOURCE, &registration, &err), "%s", err.text);
}

static void map_device(void)
{
	int fd = open(getenv("HOLDFAST_TEST_DAX"), O_RDWR);

	ck_assert_int_ge(fd, 0);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	close(fd);
	memset(memory, 0, BYTES);
}

static void map_anonymous(void)
{
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
}

static int expose(unsigned rights, struct error *err)
{
	return net_verbs.expose(target, PEER, memory, BYTES, rights, &grant, &key, err);
}

static void expose_well(unsigned rights)
{
	struct error err = {0};

	ck_assert_msg(!expose(rights, &err), "%s", err.text);
}

static void write_local(size_t bytes)
{
	struct net_transfer transfer = {.local = local, .bytes = bytes, .write = true}, *done;

	ck_assert(!net_verbs.submit(conn, &key, &transfer, NULL));
	ck_assert_int_eq(net_verbs.reap(conn, &done, 1, soon(), NULL), 1);
	ck_assert_int_eq(transfer.status, 0);
}

static int persist(enum persist_method method, uint64_t bytes, const struct net_seal *seal)
{
	struct error err = {0};
	int rc = net_verbs.persist_range(conn, &key, method, bytes, seal, soon(), &err);

	ck_assert_int_eq(rc, err.code);
	return rc;
}

static void stop(void)
{
	net_verbs.revoke(grant);
	grant = NULL;
	net_verbs.close(conn);
	net_verbs.target_close(target);
	munmap(memory, BYTES);
	munmap(local, BYTES);
}

static bool has(enum persist_method method)
{
	struct net_limits limits;

	net_verbs.limits(conn, &limits);
	return limits.persist & 1u << method;
}

/* ---- names ---- */

START_TEST(methods_have_the_names_of_the_manual)
{
	ck_assert_int_eq(persist_find("server"), PERSIST_SERVER);
	ck_assert_int_eq(persist_find("flush"), PERSIST_FLUSH);
	ck_assert_int_eq(persist_find("read"), PERSIST_READ);
	ck_assert_int_eq(persist_find(""), PERSIST_END);
	ck_assert_int_eq(persist_find("Flush"), PERSIST_END);
	for (unsigned method = 0; method < PERSIST_END; method++)
		ck_assert_int_eq(persist_find(persist_name(method)), method);
	ck_assert_str_eq(persist_name(PERSIST_END), "?");
}
END_TEST

START_TEST(libfabric_has_none)
{
	ck_assert_int_eq(net_ofi.persist, 0);
	ck_assert(net_verbs.persist & 1u << PERSIST_READ);
}
END_TEST

/* ---- read ---- */

START_TEST(a_read_takes_the_right_to_read)
{
	map_anonymous();
	connect_to(device_address());
	ck_assert(has(PERSIST_READ));
	expose_well(NET_WRITE | NET_READ);
	write_local(BYTES / 2);
	ck_assert_int_eq(persist(PERSIST_READ, BYTES, NULL), 0);
	ck_assert_int_eq(persist(PERSIST_READ, 1, NULL), 0);
	net_verbs.revoke(grant);
	/* A grant to write only: the device refuses it, so it was asked. */
	expose_well(NET_WRITE);
	write_local(BYTES / 2);
	ck_assert_int_lt(persist(PERSIST_READ, BYTES, NULL), 0);
	stop();
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_and_asked_of_no_device)
{
	const struct net_seal odd = {.offset = SEAL + 1}, behind = {.offset = BYTES};

	map_anonymous();
	connect_to(device_address());
	expose_well(NET_WRITE | NET_READ);
	ck_assert_int_eq(persist(PERSIST_READ, 0, NULL), -EINVAL);
	ck_assert_int_eq(persist(PERSIST_READ, BYTES + 1, NULL), -EINVAL);
	ck_assert_int_eq(persist(PERSIST_END, BYTES, NULL), -EINVAL);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, &odd), -EINVAL);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, &behind), -EINVAL);
	ck_assert_int_eq(persist(PERSIST_READ, BYTES, NULL), 0);
	stop();
}
END_TEST

/* ---- flush ---- */

START_TEST(a_flush_takes_the_right_to_flush)
{
	map_device();
	connect_to(device_address());
	ck_assert(has(PERSIST_FLUSH));
	expose_well(NET_WRITE | NET_FLUSH);
	write_local(BYTES / 2);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, NULL), 0);
	ck_assert(!memcmp(memory, local, BYTES / 2));
	net_verbs.revoke(grant);
	/* The same memory again, without the right: the device refuses it, so it was asked. */
	expose_well(NET_WRITE);
	write_local(BYTES / 2);
	ck_assert_int_lt(persist(PERSIST_FLUSH, BYTES, NULL), 0);
	stop();
}
END_TEST

/* Registered without the right once, as for a reader. */
START_TEST(memory_that_was_registered_without_flush_gets_it)
{
	map_device();
	connect_to(device_address());
	expose_well(NET_READ);
	net_verbs.revoke(grant);
	expose_well(NET_WRITE | NET_FLUSH);
	/* Not every device lets a window have what its memory was not registered with. */
	if (target->sessions->windows)
		ck_assert_uint_eq(target->sessions->areas->rights, NET_FLUSH);
	write_local(BYTES / 2);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, NULL), 0);
	stop();
}
END_TEST

START_TEST(a_seal_is_set_by_the_flush)
{
	struct net_seal seal = {.offset = SEAL, .bytes = "sealed!"};
	struct net_limits limits;

	map_device();
	connect_to(device_address());
	net_verbs.limits(conn, &limits);
	ck_assert(limits.seals);
	expose_well(NET_WRITE | NET_FLUSH);
	write_local(BYTES / 2);
	ck_assert_int_eq(memory[SEAL], 0);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, &seal), 0);
	ck_assert_str_eq((char *)memory + SEAL, "sealed!");
	ck_assert_int_eq(memory[SEAL + NET_SEAL_BYTES], 0);
	ck_assert(!memcmp(memory, local, BYTES / 2));
	stop();
}
END_TEST

START_TEST(a_flush_that_fails_sets_no_seal)
{
	struct net_seal seal = {.offset = SEAL, .bytes = "sealed!"};

	map_device();
	connect_to(device_address());
	expose_well(NET_WRITE);
	ck_assert_int_lt(persist(PERSIST_FLUSH, BYTES, &seal), 0);
	ck_assert_int_eq(memory[SEAL], 0);
	stop();
}
END_TEST

START_TEST(what_is_no_persistent_memory_is_not_exposed_for_flushes)
{
	struct error err = {0};

	map_anonymous();
	connect_to(device_address());
	ck_assert_int_lt(expose(NET_WRITE | NET_FLUSH, &err), 0);
	ck_assert_msg(strstr(err.text, "--persist server"), "%s", err.text);
	expose_well(NET_WRITE);
	write_local(BYTES / 2);
	stop();
}
END_TEST

START_TEST(flushes_can_be_switched_off)
{
	ck_assert(!setenv("HOLDFAST_VERBS_FLUSH", "no", 1));
	map_anonymous();
	connect_to(device_address());
	ck_assert(!has(PERSIST_FLUSH));
	ck_assert(has(PERSIST_READ));
	expose_well(NET_WRITE);
	ck_assert_int_eq(persist(PERSIST_FLUSH, BYTES, NULL), -EINVAL);
	stop();
}
END_TEST

/* ---- rails ---- */

/* The connection, and the grant on the other rail, go on. */
static void end_grant_on(unsigned rail)
{
	pthread_mutex_lock(&target->lock);
	for (unsigned i = 0; i < grant->count; i++) {
		if (grant->bindings[i].session->rail != rail)
			continue;
		verbs_binding_end_window(&grant->bindings[i]);
		verbs_binding_end_registration(&grant->bindings[i]);
	}
	pthread_mutex_unlock(&target->lock);
}

/* What went over a rail is durable only when that rail has said so. */
START_TEST(each_rail_is_asked)
{
	enum persist_method method = _i < 2 ? PERSIST_READ : PERSIST_FLUSH;
	const char *at = device_address();
	char nodes[128];
	int one;

	ck_assert_ptr_nonnull(at);
	one = (int)strcspn(at, ",");
	snprintf(nodes, sizeof(nodes), "%.*s,%.*s", one, at, one, at);
	if (method == PERSIST_FLUSH)
		map_device();
	else
		map_anonymous();
	connect_to(nodes);
	expose_well(NET_WRITE | (method == PERSIST_FLUSH ? NET_FLUSH : NET_READ));
	write_local(BYTES / 2);
	ck_assert_int_eq(persist(method, BYTES, NULL), 0);
	end_grant_on((unsigned)_i % 2);
	ck_assert_int_lt(persist(method, BYTES, NULL), 0);
	stop();
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("persist");

#define ADD(name) unit_add(suite, #name, name, 60)
	ADD(methods_have_the_names_of_the_manual);
	ADD(libfabric_has_none);
	if (!device_address()) {
		printf("# no RDMA device is named by HOLDFAST_TEST_NET and HOLDFAST_TEST_ADDRESS: most is not tried\n");
		return suite;
	}
	ADD(a_read_takes_the_right_to_read);
	ADD(what_makes_no_sense_is_refused_and_asked_of_no_device);
	ADD(flushes_can_be_switched_off);
	unit_add_loop(suite, "each_rail_is_asked", each_rail_is_asked, 60, getenv("HOLDFAST_TEST_DAX") ? 4 : 2);
	if (!(net_verbs.persist & 1u << PERSIST_FLUSH))
		return suite;
	ADD(what_is_no_persistent_memory_is_not_exposed_for_flushes);
	if (!getenv("HOLDFAST_TEST_DAX")) {
		printf("# no devdax device is named by HOLDFAST_TEST_DAX: no flush is tried\n");
		return suite;
	}
	ADD(a_flush_takes_the_right_to_flush);
	ADD(memory_that_was_registered_without_flush_gets_it);
	ADD(a_seal_is_set_by_the_flush);
	ADD(a_flush_that_fails_sets_no_seal);
	return suite;
}
