/* SPDX-License-Identifier: BSD-3-Clause */
/* local.c - the data plane of one node: who gets which file, and who does not. */
#include "net/local.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/datagram.h"
#include "unit.h"

#define MIB   (1u << 20)
#define BYTES (2 * MIB)
#define BLOCK 65536u
#define SOON  5000

static const struct net_ops *const net = &net_local;
static struct net_target *target;
static struct net_address address;
static struct error err;
static uint8_t *slot; /* of the target, BYTES of a file */
static int slot_fd;
static bool on_disk; /* is it, where the current directory is on one? */

static int slot_make(uint8_t **base)
{
	int fd = on_disk ? open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : memfd_create("slot", MFD_CLOEXEC);

	ck_assert(fd >= 0 && !ftruncate(fd, BYTES));
	*base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(*base, MAP_FAILED);
	return fd;
}

static void setup(void)
{
	const struct net_params params = {.threads = 1};

	ck_assert_msg(!net->listen(&params, &target, &address, &err), "%s", err.text);
	slot_fd = slot_make(&slot);
	ck_assert_msg(!net->remember(target, slot, BYTES, slot_fd, &err), "%s", err.text);
}

static void teardown(void)
{
	net->target_close(target);
	munmap(slot, BYTES);
	close(slot_fd);
}

static void token_of(uint64_t peer, uint8_t token[NET_TOKEN_BYTES])
{
	memset(token, 0x5a, NET_TOKEN_BYTES);
	memcpy(token, &peer, sizeof(peer));
}

static int try_connect(uint64_t peer, struct net_conn **conn)
{
	const struct net_params params = {0};
	uint8_t token[NET_TOKEN_BYTES];

	token_of(peer, token);
	return net->connect(&params, &address, token, deadline_in_ms(SOON), conn, &err);
}

static struct net_conn *connect_as(uint64_t peer)
{
	uint8_t token[NET_TOKEN_BYTES];
	struct net_conn *conn;

	token_of(peer, token);
	ck_assert(!net->target_admit(target, peer, 0, token, &err));
	ck_assert_msg(!try_connect(peer, &conn), "%s", err.text);
	return conn;
}

static struct net_grant *expose(uint64_t peer, size_t offset, size_t bytes, unsigned rights, struct net_key *key)
{
	struct net_grant *grant;

	ck_assert_msg(!net->expose(target, peer, slot + offset, bytes, rights, &grant, key, &err), "%s", err.text);
	return grant;
}

static int move(struct net_conn *conn, const struct net_key *key, bool write, void *data, uint64_t offset, size_t bytes,
		uint64_t *checksums)
{
	struct net_transfer transfer = {.local = data, .offset = offset, .bytes = bytes, .write = write,
					.checksums = checksums, .block_bytes = BLOCK}, *done = NULL;
	int rc = net->submit(conn, key, &transfer, &err);

	if (rc)
		return rc;
	rc = net->reap(conn, &done, 1, deadline_in_ms(SOON), &err);
	return rc < 0 ? rc : transfer.status;
}

static void slot_anew(void)
{
	teardown();
	on_disk = true;
	setup();
}

/* In memory; on a disk; and there beyond the limit of a file's size, which would end a process that writes: it was so from
 * the start, or is lowered in between. */
START_TEST(what_is_written_is_in_the_slot_with_its_checksums)
{
	struct rlimit little, usual;
	struct net_conn *conn;
	uint8_t *data = malloc(MIB), *back = calloc(1, MIB);
	uint64_t sums[MIB / BLOCK + 1] = {0}, again[MIB / BLOCK + 1] = {0};
	struct net_key key, reading;
	struct net_grant *grant, *other;
	struct net_limits limits;

	if (_i)
		slot_anew();
	ck_assert(!getrlimit(RLIMIT_FSIZE, &usual));
	little = (struct rlimit){4096, usual.rlim_max};
	conn = connect_as(1);
	grant = expose(1, 4096, MIB, NET_WRITE, &key);
	net->limits(conn, &limits);
	ck_assert(limits.checksums);
	for (size_t i = 0; i < MIB; i++)
		data[i] = (uint8_t)(i >> 7 ^ i);
	ck_assert(_i < 3 || !move(conn, &key, true, back, 0, MIB, NULL));
	ck_assert(_i < 2 || !setrlimit(RLIMIT_FSIZE, &little));
	ck_assert_int_eq(move(conn, &key, true, data, 0, MIB, sums), 0);
	ck_assert(!setrlimit(RLIMIT_FSIZE, &usual));
	ck_assert_int_eq(memcmp(slot + 4096, data, MIB), 0);
	for (size_t i = 0; i < 4096; i++)
		ck_assert(!slot[i] && !slot[4096 + MIB + i]);
	net->revoke(grant);
	other = expose(1, 4096, MIB, NET_READ, &reading);
	ck_assert_int_eq(move(conn, &reading, false, back, 0, MIB, again), 0);
	ck_assert_int_eq(memcmp(back, data, MIB), 0);
	for (size_t i = 0; i < MIB / BLOCK; i++) {
		ck_assert_uint_eq(sums[i], checksum(data + i * BLOCK, BLOCK));
		ck_assert_uint_eq(again[i], sums[i]);
	}
	net->revoke(other);
	net->close(conn);
	free(data);
	free(back);
}
END_TEST

/* This slot's file has no other way to the medium than the page cache, whatever the server thinks of it. */
START_TEST(stores_are_durable_past_the_page_cache_only)
{
	const struct net_params params = {.threads = 1, .stores_persist = true};
	struct net_conn *conn = connect_as(1);
	struct net_limits limits;
	struct net_grant *grant;
	struct net_key key;
	uint8_t data[100] = {1};

	net->limits(conn, &limits);
	ck_assert_uint_eq(limits.persist, 0);
	net->close(conn);
	teardown();
	ck_assert_msg(!net->listen(&params, &target, &address, &err), "%s", err.text);
	slot_fd = slot_make(&slot);
	ck_assert(!net->remember(target, slot, BYTES, slot_fd, &err));
	conn = connect_as(1);
	net->limits(conn, &limits);
	ck_assert_uint_eq(limits.persist, 1u << PERSIST_STORE);
	grant = expose(1, 0, MIB, NET_WRITE, &key);
	ck_assert_int_eq(net->persist_range(conn, &key, PERSIST_STORE, 100, NULL, deadline_in_ms(SOON), &err), -EINVAL);
	ck_assert_int_eq(move(conn, &key, true, data, 0, sizeof(data), NULL), 0);
	ck_assert_int_eq(net->persist_range(conn, &key, PERSIST_STORE, 100, NULL, deadline_in_ms(SOON), &err), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err.text, "past the page cache"));
	ck_assert_int_eq(net->persist_range(conn, &key, PERSIST_FLUSH, 100, NULL, deadline_in_ms(SOON), &err), -EINVAL);
	net->revoke(grant);
	net->close(conn);
}
END_TEST

START_TEST(nothing_beyond_a_grant_is_reached)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096] = {1};
	struct net_key key;
	struct net_grant *grant = expose(1, 0, 8192, NET_WRITE, &key);

	ck_assert_int_eq(move(conn, &key, true, data, 8192 - 4095, 4096, NULL), -ERANGE);
	ck_assert_int_eq(move(conn, &key, true, data, UINT64_MAX - 100, 4096, NULL), -ERANGE);
	key.bytes = UINT64_MAX; /* a key that lies */
	ck_assert_int_eq(move(conn, &key, true, data, BYTES, 4096, NULL), -ERANGE);
	for (size_t i = 0; i < BYTES; i++)
		ck_assert_uint_eq(slot[i], 0);
	net->revoke(grant);
	net->close(conn);
}
END_TEST

/* What the target says to one message; or that it hung up: -ECONNRESET. */
static int say(int socket, const void *message, size_t bytes, int *fd)
{
	struct pollfd readable = {socket, POLLIN, 0};
	struct local_reply reply = {0};
	int got;

	if (datagram_send(socket, message, bytes, -1) < 0)
		return -ECONNRESET;
	ck_assert_int_eq(poll(&readable, 1, SOON), 1);
	if (datagram_receive(socket, &reply, sizeof(reply), &got) != sizeof(reply))
		return -ECONNRESET;
	if (fd)
		*fd = got;
	else if (got >= 0)
		close(got);
	return reply.status;
}

static int call(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path + 1, address.raw, LOCAL_NAME_BYTES);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&un,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + LOCAL_NAME_BYTES)), 0);
	return fd;
}

START_TEST(a_token_works_once_and_no_other_does)
{
	struct net_conn *conn = connect_as(1), *second;

	ck_assert_int_eq(try_connect(1, &second), -EACCES);
	ck_assert_int_eq(try_connect(2, &second), -EACCES);
	net->close(conn);
	ck_assert_int_eq(try_connect(1, &second), -EACCES);
}
END_TEST

START_TEST(who_has_no_grant_gets_no_file)
{
	struct net_conn *owner = connect_as(1);
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_READ, &key);
	struct local_request request = {.version = LOCAL_VERSION, .type = LOCAL_HELLO};
	uint8_t token[NET_TOKEN_BYTES];
	int socket = call(), fd = -1;

	token_of(2, token);
	ck_assert(!net->target_admit(target, 2, 0, token, &err));
	memcpy(request.token, token, sizeof(token));
	ck_assert_int_eq(say(socket, &request, sizeof(request), NULL), 0);
	/* Another's key, a grant that there is not, and CHECK likewise, which tells. */
	request = (struct local_request){.version = LOCAL_VERSION, .type = LOCAL_CHECK, .grant = key.keys[1],
					 .rights = NET_READ};
	ck_assert_int_eq(say(socket, &request, sizeof(request), &fd), -EACCES);
	ck_assert_int_eq(fd, -1);
	request.type = LOCAL_MAP;
	ck_assert_int_eq(say(socket, &request, sizeof(request), &fd), -EACCES);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(say(socket, &request, sizeof(request), NULL), -ECONNRESET); /* it is sent away */
	close(socket);
	net->revoke(grant);
	net->close(owner);
}
END_TEST

/* A grant to read is none to write; none is left when it is revoked, or its peer expelled. */
START_TEST(rights_end_with_the_grant)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096] = {0};
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_READ, &key), *other;

	ck_assert_int_eq(net->check(conn, &key, &err), 0);
	if (_i == 0) {
		ck_assert_int_eq(move(conn, &key, true, data, 0, 4096, NULL), -EACCES);
		net->revoke(grant);
	} else if (_i == 1) {
		net->revoke(grant);
		ck_assert_int_eq(net->check(conn, &key, &err), -ECONNRESET);
		ck_assert_int_eq(move(conn, &key, false, data, 0, 4096, NULL), -EACCES);
	} else {
		net->target_expel(target, 1);
		ck_assert_int_eq(net->check(conn, &key, &err), -ECONNRESET);
		ck_assert_int_lt(move(conn, &key, false, data, 0, 4096, NULL), 0);
		ck_assert_int_eq(net->expose(target, 1, slot, BYTES, NET_READ, &other, &key, &err), -ENOTCONN);
		net->revoke(grant);
	}
	net->close(conn);
}
END_TEST

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* It would keep the file's room on the disk, once the server has given it up. */
START_TEST(a_child_has_no_slots_file)
{
	struct net_conn *conn;
	struct net_grant *grant;
	struct net_key key;
	uint8_t data[4096] = {7};
	unsigned before;
	int status;
	pid_t child;

	slot_anew();
	conn = connect_as(1);
	grant = expose(1, 0, BYTES, NET_WRITE, &key);
	before = open_descriptors();
	ck_assert_int_eq(move(conn, &key, true, data, 0, sizeof(data), NULL), 0);
	child = open_descriptors() == before ? -1 : fork(); /* on a tmpfs it is mapped */
	if (!child) {
		bool none = open_descriptors() == before;

		status = move(conn, &key, true, data, 0, sizeof(data), NULL);
		net->close(conn);
		_exit(none && status == -EBADF ? 0 : 1);
	}
	if (child > 0) {
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", status);
	}
	ck_assert_int_eq(move(conn, &key, true, data, 0, sizeof(data), NULL), 0);
	net->revoke(grant);
	net->close(conn);
}
END_TEST

START_TEST(another_users_process_gets_no_answer)
{
	struct local_request request = {.version = LOCAL_VERSION, .type = LOCAL_HELLO};
	uint8_t token[NET_TOKEN_BYTES];
	int status;
	pid_t child;

	token_of(1, token);
	ck_assert(!net->target_admit(target, 1, 0, token, &err));
	memcpy(request.token, token, sizeof(token));
	child = fork();
	if (!child) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(say(call(), &request, sizeof(request), NULL) == -ECONNRESET ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", status);
	ck_assert_int_eq(say(call(), &request, sizeof(request), NULL), 0);
}
END_TEST

START_TEST(malformed_messages_end_their_connection_only)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096] = {7};
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_WRITE, &key);
	uint8_t junk[sizeof(struct local_request) + 8];
	struct local_request *request = (struct local_request *)(void *)junk;
	static const size_t lengths[] = {1, sizeof(*request) - 1, sizeof(*request) + 1, sizeof(junk)};
	int socket;

	memset(junk, 0xff, sizeof(junk));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		socket = call();
		ck_assert_int_eq(say(socket, junk, lengths[i], NULL), -ECONNRESET);
		close(socket);
	}
	socket = call();
	ck_assert_int_eq(say(socket, request, sizeof(*request), NULL), -EPROTO); /* another release */
	close(socket);
	*request = (struct local_request){.version = LOCAL_VERSION, .type = 99};
	socket = call();
	ck_assert_int_eq(say(socket, request, sizeof(*request), NULL), -EINVAL);
	close(socket);
	ck_assert_int_eq(move(conn, &key, true, data, 0, sizeof(data), NULL), 0);
	ck_assert_uint_eq(slot[0], 7);
	net->revoke(grant);
	net->close(conn);
}
END_TEST

/* They are of the same user, or would not be let in at all. */
START_TEST(silent_ones_keep_nobody_out_for_long)
{
	int sockets[80];
	struct net_conn *conn;
	uint8_t token[NET_TOKEN_BYTES];
	const struct net_params params = {0};

	for (size_t i = 0; i < 80; i++)
		sockets[i] = call();
	token_of(1, token);
	ck_assert(!net->target_admit(target, 1, 0, token, &err));
	ck_assert_msg(!net->connect(&params, &address, token, deadline_in_ms(60000), &conn, &err), "%s", err.text);
	net->close(conn);
	for (size_t i = 0; i < 80; i++)
		close(sockets[i]);
}
END_TEST

START_TEST(a_file_that_became_short_is_an_error)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096];
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_READ, &key);

	ck_assert(!ftruncate(slot_fd, MIB));
	ck_assert_int_eq(move(conn, &key, false, data, 0, 4096, NULL), -EIO);
	net->revoke(grant);
	net->close(conn);
}
END_TEST

/* The same place in memory, another file: nobody takes the one for the other. */
START_TEST(a_slot_that_got_another_file_is_mapped_anew)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096];
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_WRITE, &key);
	int fd;

	memset(data, 1, sizeof(data));
	ck_assert_int_eq(move(conn, &key, true, data, 0, 4096, NULL), 0);
	net->revoke(grant);
	net->forget(target, slot, BYTES);
	munmap(slot, BYTES);
	fd = slot_make(&slot);
	ck_assert(!net->remember(target, slot, BYTES, fd, &err));
	grant = expose(1, 0, BYTES, NET_WRITE, &key);
	memset(data, 2, sizeof(data));
	ck_assert_int_eq(move(conn, &key, true, data, 0, 4096, NULL), 0);
	ck_assert_uint_eq(slot[0], 2);
	ck_assert_int_eq(pread(slot_fd, data, 1, 0), 1);
	ck_assert_uint_eq(data[0], 1);
	net->revoke(grant);
	net->close(conn);
	close(fd);
}
END_TEST

/* More than are kept mapped, in turns. */
START_TEST(any_number_of_slots_can_be_used)
{
	enum { SLOTS = 100 };
	struct net_conn *conn = connect_as(1);
	uint8_t *slots[SLOTS], byte;
	struct net_grant *grants[SLOTS];
	struct net_key keys[SLOTS];

	for (unsigned i = 0; i < SLOTS; i++) {
		int fd = slot_make(&slots[i]);

		ck_assert(!net->remember(target, slots[i], BYTES, fd, &err));
		close(fd);
		ck_assert(!net->expose(target, 1, slots[i], BYTES, NET_WRITE, &grants[i], &keys[i], &err));
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < SLOTS; i++) {
			byte = (uint8_t)(i + round);
			ck_assert_int_eq(move(conn, &keys[i], true, &byte, i, 1, NULL), 0);
			ck_assert_uint_eq(slots[i][i], byte);
		}
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		net->revoke(grants[i]);
		net->forget(target, slots[i], BYTES);
		munmap(slots[i], BYTES);
	}
	net->close(conn);
}
END_TEST

START_TEST(a_lost_target_is_seen)
{
	struct net_conn *conn = connect_as(1);
	uint8_t data[4096] = {0};
	struct net_key key;
	struct net_grant *grant = expose(1, 0, BYTES, NET_WRITE, &key);

	ck_assert_int_eq(move(conn, &key, true, data, 0, 4096, NULL), 0);
	net->revoke(grant);
	net->target_close(target);
	ck_assert_int_eq(move(conn, &key, true, data, 0, 4096, NULL), -ECONNRESET);
	net->close(conn);
	setup(); /* for teardown() */
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("local");
	TCase *tc = tcase_create("local");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_child_has_no_slots_file);
	tcase_add_loop_test(tc, what_is_written_is_in_the_slot_with_its_checksums, 0, 4);
	tcase_add_test(tc, stores_are_durable_past_the_page_cache_only);
	tcase_add_test(tc, nothing_beyond_a_grant_is_reached);
	tcase_add_test(tc, a_token_works_once_and_no_other_does);
	tcase_add_test(tc, who_has_no_grant_gets_no_file);
	tcase_add_loop_test(tc, rights_end_with_the_grant, 0, 3);
	if (!geteuid()) /* it changes its uid */
		tcase_add_test(tc, another_users_process_gets_no_answer);
	tcase_add_test(tc, malformed_messages_end_their_connection_only);
	tcase_add_test(tc, silent_ones_keep_nobody_out_for_long);
	tcase_add_test(tc, a_file_that_became_short_is_an_error);
	tcase_add_test(tc, a_slot_that_got_another_file_is_mapped_anew);
	tcase_add_test(tc, any_number_of_slots_can_be_used);
	tcase_add_test(tc, a_lost_target_is_seen);
	suite_add_tcase(suite, tc);
	return suite;
}
