/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy.c - a client whose server's answers are altered on the way: what makes no sense is refused, and writes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client/client.h"
#include "client/control.h"
#include "common/address.h"
#include "common/clock.h"
#include "pmu_fixture.h"
#include "unit.h"
#include "wire/wire.h"

#define BYTES (3 * SET_BLOCK_DEFAULT)

static struct pmu pmu;
static struct error err;
static pid_t proxy;
static char proxy_address[32];

/* ---- the lies ---- */

static void all_blocks(struct wire_read_reply *reply, uint64_t bytes)
{
	reply->set.info.block_bytes = bytes;
	for (uint32_t i = 0; i < reply->part_count; i++)
		reply->parts[i].info.block_bytes = bytes;
}

static const struct lie {
	uint64_t block_bytes;
	bool base_only;
	unsigned hang_ups; /* connections that it closes first, without a word */
	int code;
	const char *words;
} lies[] = {
	{0, false, 0, -EBADMSG, "blocks of 0 bytes"},
	{1, false, 0, -EBADMSG, "a power of 2 from 4096 to 4194304 is needed"},
	{3 * SET_BLOCK_MIN, false, 0, -EBADMSG, "blocks of 12288 bytes"},
	{2 * SET_BLOCK_MAX, false, 0, -EBADMSG, "blocks of 8388608 bytes"},
	{UINT64_MAX, false, 0, -EBADMSG, "a power of 2 from 4096 to 4194304 is needed"},
	{SET_BLOCK_MIN, true, 0, -EBADMSG, "blocks of several sizes"},
	/* not what the tables have */
	{SET_BLOCK_MIN, false, 0, -EILSEQ, "another set's"},
	{SET_BLOCK_MAX, false, 0, -EILSEQ, "another set's"},
};

static const struct lie hang_up_thrice = {.hang_ups = 3}, hang_up_always = {.hang_ups = UINT32_MAX};

static void lie_tell(const struct lie *lie, struct wire_read_reply *reply)
{
	if (lie->base_only)
		reply->parts[0].info.block_bytes = lie->block_bytes;
	else
		all_blocks(reply, lie->block_bytes);
}

/* ---- the proxy: one client at a time, one request at a time ---- */

/* A whole frame, malloced; NULL where the peer is gone. */
static uint8_t *frame_receive(int fd, struct wire_header *header, size_t *bytes)
{
	uint8_t *frame = calloc(1, WIRE_HEADER_BYTES + WIRE_PAYLOAD_MAX);
	struct cursor c = cursor_unpack(frame, WIRE_HEADER_BYTES);

	if (recv(fd, frame, WIRE_HEADER_BYTES, MSG_WAITALL) == WIRE_HEADER_BYTES) {
		wire_header_fields(&c, header);
		*bytes = WIRE_HEADER_BYTES + header->bytes;
		if (!wire_header_check(header, &err) &&
		    (!header->bytes ||
		     recv(fd, frame + WIRE_HEADER_BYTES, header->bytes, MSG_WAITALL) == (ssize_t)header->bytes))
			return frame;
	}
	free(frame);
	return NULL;
}

static uint8_t *reply_alter(const struct lie *lie, const struct wire_header *header, uint8_t *frame, size_t *bytes)
{
	struct wire_read_reply reply = {0};

	if (!lie->code || header->type != (WIRE_READ | WIRE_REPLY) || header->status)
		return frame;
	if (wire_unpack(frame + WIRE_HEADER_BYTES, header->bytes, wire_read_reply_fields, &reply))
		abort();
	free(frame);
	lie_tell(lie, &reply);
	frame = wire_frame(header, wire_read_reply_fields, &reply, NULL, bytes);
	wire_read_reply_free(&reply);
	return frame;
}

/* Passes one frame on; false: one of them is gone. */
static bool pass(const struct lie *lie, int from, int to)
{
	struct wire_header header;
	size_t bytes;
	uint8_t *frame = frame_receive(from, &header, &bytes);
	bool passed;

	if (!frame)
		return false;
	if (header.type & WIRE_REPLY)
		frame = reply_alter(lie, &header, frame, &bytes);
	passed = frame && send(to, frame, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
	free(frame);
	return passed;
}

static void proxy_run(const struct lie *lie, int listener)
{
	unsigned hang_ups = lie->hang_ups;
	struct address address;
	int client, server;

	if (address_parse(pmu.address, false, &address, &err))
		_exit(1);
	for (;;) {
		client = accept(listener, NULL, NULL);
		if (client >= 0 && hang_ups) {
			hang_ups--;
			close(client);
			continue;
		}
		server = socket(address.storage.ss_family, SOCK_STREAM, 0);
		if (client < 0 || connect(server, (struct sockaddr *)&address.storage, address.bytes))
			_exit(1);
		while (pass(lie, client, server) && pass(lie, server, client))
			;
		close(client);
		close(server);
	}
}

static void proxy_start(const struct lie *lie)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t bytes = sizeof(in);

	ck_assert(!bind(listener, (struct sockaddr *)&in, bytes) && !listen(listener, 8));
	ck_assert(!getsockname(listener, (struct sockaddr *)&in, &bytes));
	snprintf(proxy_address, sizeof(proxy_address), "127.0.0.1:%d", ntohs(in.sin_port));
	proxy = fork();
	if (!proxy)
		proxy_run(lie, listener);
	close(listener);
}

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
}

static void teardown(void)
{
	if (proxy > 0) {
		kill(proxy, SIGKILL);
		waitpid(proxy, NULL, 0);
	}
	proxy = 0;
	pmu_remove(&pmu);
}

/* ---- the client ---- */

static struct client *client_of(uint32_t rank, const char *server, size_t chunk_bytes)
{
	const struct client_options options = {.server = server, .auth = "none", .timeout_ms = 20000,
					       .reconnect_ms = 20000, .chunk_bytes = chunk_bytes};
	const struct client_identity identity = {.job = "job", .rank = rank, .ranks = 2, .mode = REGION_APPEND};
	struct client *client = NULL;

	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	return client;
}

/* Rank 1 reads a chain of rank 0's, two sets. */
START_TEST(a_block_size_that_makes_no_sense_is_refused)
{
	static uint8_t data[BYTES], back[BYTES], untouched[BYTES];
	const struct segment_range range = {SET_BLOCK_DEFAULT, SET_BLOCK_DEFAULT};
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, BYTES}, .at = data};
	const struct lie *lie = &lies[_i / 2];
	enum set_kind kind = SET_INCREMENT;
	struct client *writer, *reader;

	proxy_start(lie);
	memset(data, 1, sizeof(data));
	writer = client_of(0, pmu.address, 0);
	ck_assert_msg(!client_put(writer, 1, 0, NULL, &s, 1, &err), "%s", err.text);
	s.ranges = &range;
	s.range_count = 1;
	data[SET_BLOCK_DEFAULT] = 2;
	ck_assert_msg(!client_put(writer, 2, 1, &kind, &s, 1, &err), "%s", err.text);
	ck_assert_int_eq(kind, SET_INCREMENT);
	s.at = back;
	reader = client_of(1, proxy_address, _i % 2 ? 4096 : 0);
	ck_assert_int_eq(client_get(reader, 0, 2, &s, 1, &err), lie->code);
	ck_assert_msg(strstr(err.text, lie->words), "%s", err.text);
	ck_assert_int_eq(client_get_range(reader, 0, 2, "data", 70000, back, 100, &err), lie->code);
	ck_assert(!memcmp(back, untouched, sizeof(back)));
	client_close(reader, false, &err);
	/* It is as it was. */
	reader = client_of(1, pmu.address, 0);
	ck_assert_msg(!client_get(reader, 0, 2, &s, 1, &err), "%s", err.text);
	ck_assert(!memcmp(back, data, sizeof(back)));
	client_close(reader, false, &err);
	client_close(writer, false, &err);
}
END_TEST

/* It may be a server that is just being started anew. */
START_TEST(who_hangs_up_is_asked_again)
{
	proxy_start(&hang_up_thrice);
	client_close(client_of(0, proxy_address, 0), false, &err);
}
END_TEST

START_TEST(who_always_hangs_up_is_no_server)
{
	const struct client_options options = {.server = proxy_address, .auth = "none"};
	const struct client_identity identity = {.job = "job", .ranks = 1, .mode = REGION_APPEND};
	struct client *client = NULL;

	proxy_start(&hang_up_always);
	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -ECONNABORTED);
	ck_assert_msg(strstr(err.text, "does not answer like a pmu-server: check the address"), "%s", err.text);
}
END_TEST

START_TEST(another_data_plane_than_the_servers_is_refused)
{
	const struct client_options options = {.server = pmu.address, .auth = "none", .net = "verbs"};
	const struct client_identity identity = {.job = "job", .ranks = 1, .mode = REGION_APPEND};
	struct client *client = NULL;

	ck_assert_int_eq(client_open(&options, &identity, &client, &err), -EINVAL);
	ck_assert_msg(strstr(err.text, "the server's data plane is 'ofi', and the variable 'net' asks for 'verbs'"), "%s", err.text);
}
END_TEST

/* With a network of its own, of one port: the kernel connects it to itself. Nobody listens there. */
START_TEST(a_connection_to_itself_is_none)
{
	const struct client_options options = {.server = "127.0.0.1:40000", .auth = "none"};
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	struct control control;
	int fd;

	ck_assert_msg(!unshare(CLONE_NEWNET), "%s", strerror(errno));
	fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(write(fd, "40000 40000", 11), 11);
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert(!ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
	ck_assert_int_eq(control_connect(&options, deadline_in_ms(5000), &control, &err), -ENXIO);
	ck_assert_msg(strstr(err.text, "Connection refused"), "%s", err.text);
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("proxy");
	TCase *tc = tcase_create("proxy");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, a_block_size_that_makes_no_sense_is_refused, 0, 2 * sizeof(lies) / sizeof(lies[0]));
	tcase_add_test(tc, who_hangs_up_is_asked_again);
	tcase_add_test(tc, who_always_hangs_up_is_no_server);
	tcase_add_test(tc, another_data_plane_than_the_servers_is_refused);
	suite_add_tcase(suite, tc);
	if (geteuid()) {
		fprintf(stderr, "# not root: what takes a network of its own is skipped\n");
		return suite;
	}
	tc = tcase_create("alone");
	tcase_add_test(tc, a_connection_to_itself_is_none);
	suite_add_tcase(suite, tc);
	return suite;
}
