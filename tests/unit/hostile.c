/* SPDX-License-Identifier: BSD-3-Clause */
/* hostile.c - a real pmu-server against peers that lie, stammer, or are silent. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <rdma/fabric.h>
#include <rdma/fi_atomic.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>
#include "client/client.h"
#include "client/control.h"
#include "common/checksum.h"
#include "common/clock.h"
#include "net/net.h"
#include "pmu_fixture.h"
#include "unit.h"
#include "wire/table.h"

static struct pmu pmu;
static struct error err;

static void setup(void)
{
	pmu_make(&pmu);
	ck_assert(pmu_start(&pmu, NULL, NULL));
}

static void teardown(void)
{
	pmu_remove(&pmu);
}

static struct client_options options_of_server(void)
{
	return (struct client_options){.server = pmu.address, .auth = "none", .reconnect_ms = 5000};
}

static struct control login(void)
{
	struct client_options options = options_of_server();
	struct control control;

	ck_assert_msg(!control_connect(&options, deadline_in_ms(5000), &control, &err), "%s", err.text);
	return control;
}

static int call(struct control *control, enum wire_type type, wire_fields_fn *fields, void *m,
		wire_fields_fn *reply_fields, void *reply)
{
	return control_call(control, type, fields, m, reply_fields, reply, deadline_in_ms(5000), &err);
}

/* A good client works: nobody was harmed. */
static void check_service(void)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "good", .ranks = 1, .mode = REGION_OVERWRITE, .force = true};
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, 100}};
	static uint64_t epoch;
	uint8_t data[100];
	struct client *client;

	memset(data, (int)++epoch, sizeof(data));
	s.at = data;
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	ck_assert_msg(!client_put(client, epoch, epoch - 1, NULL, &s, 1, &err), "%s", err.text);
	memset(data, 0, sizeof(data));
	ck_assert_msg(!client_get(client, 0, epoch, &s, 1, &err), "%s", err.text);
	ck_assert_uint_eq(data[99], epoch);
	client_close(client, false, &err);
}

START_TEST(garbage_ends_its_connection_only)
{
	uint8_t garbage[5000];
	int fd;

	srand(1);
	for (unsigned round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(garbage); i++)
			garbage[i] = (uint8_t)rand();
		fd = pmu_connect(&pmu);
		ck_assert_int_gt(send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL), 0);
		ck_assert(pmu_hangs_up(fd, 15000));
		close(fd);
	}
	check_service();
}
END_TEST

START_TEST(a_length_over_the_limit_is_not_waited_for)
{
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_HELLO, UINT32_MAX, 0, 1};
	uint8_t bytes[WIRE_HEADER_BYTES];
	struct cursor c = cursor_pack(bytes, sizeof(bytes));
	int fd = pmu_connect(&pmu);

	wire_header_fields(&c, &header);
	ck_assert_int_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	ck_assert(pmu_hangs_up(fd, 15000));
	close(fd);
	check_service();
}
END_TEST

START_TEST(nothing_is_served_before_authentication)
{
	struct wire_header header = {.id = 1};
	struct wire_target target = {.uid = WIRE_UID_SELF};
	struct wire_open open = {.job = "good", .ranks = 1, .uid = WIRE_UID_SELF, .mode = REGION_OVERWRITE};
	uint8_t *frame;
	size_t bytes;
	int fd;

	for (unsigned type = WIRE_PROOF; type <= WIRE_TYPE_END; type++) {
		bool opens = type == WIRE_CREATE || type == WIRE_OPEN;

		header.type = (uint16_t)type;
		frame = wire_frame(&header, opens ? wire_open_fields : wire_target_fields,
				   opens ? (void *)&open : &target, NULL, &bytes);
		fd = pmu_connect(&pmu);
		ck_assert_int_eq(send(fd, frame, bytes, MSG_NOSIGNAL), (ssize_t)bytes);
		ck_assert_msg(pmu_hangs_up(fd, 15000), "%s is served", wire_type_name(type));
		close(fd);
		free(frame);
	}
	check_service();
}
END_TEST

START_TEST(silent_peers_are_sent_away)
{
	int fds[200];

	for (unsigned i = 0; i < 200; i++)
		fds[i] = pmu_connect(&pmu);
	check_service();
	for (unsigned i = 0; i < 200; i++) {
		ck_assert(pmu_hangs_up(fds[i], 15000));
		close(fds[i]);
	}
	check_service();
}
END_TEST

START_TEST(requests_out_of_order_end_the_session)
{
	static const enum wire_type types[] = {WIRE_BEGIN, WIRE_COMMIT, WIRE_ABORT, WIRE_READ, WIRE_HELLO,
					       WIRE_PROOF, WIRE_RECORD};
	union {
		struct wire_begin begin;
		struct wire_commit commit;
		struct wire_abort abort;
		struct wire_read read;
	} m;

	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct control control = login();

		memset(&m, 0, sizeof(m));
		ck_assert_int_eq(call(&control, types[i], wire_begin_fields, &m, wire_nothing_fields, NULL),
				 -EPROTO);
		ck_assert(pmu_hangs_up(control.fd, 15000));
		control_close(&control);
	}
	check_service();
}
END_TEST

START_TEST(malformed_requests_end_the_session)
{
	struct control control = login();
	struct wire_abort abort = {1};

	/* an ABORT's 8 bytes are no OPEN */
	ck_assert_int_eq(call(&control, WIRE_OPEN, wire_abort_fields, &abort, wire_nothing_fields, NULL),
			 -EBADMSG);
	ck_assert(pmu_hangs_up(control.fd, 15000));
	control_close(&control);
	check_service();
}
END_TEST

/* ---- an authenticated client that lies ---- */

static struct wire_open_reply attach(struct control *control, const char *job)
{
	struct wire_open open = {.ranks = 1, .uid = WIRE_UID_SELF, .mode = REGION_OVERWRITE};
	struct wire_open_reply reply = {0};

	snprintf(open.job, sizeof(open.job), "%s", job);
	ck_assert_msg(!call(control, WIRE_CREATE, wire_open_fields, &open, wire_open_reply_fields, &reply),
		      "%s", err.text);
	return reply;
}

static struct net_conn *data_connect(struct wire_open_reply *reply)
{
	struct net_params params = {.provider = reply->provider};
	struct net_conn *conn;

	ck_assert_msg(!net_ofi.connect(&params, &reply->address, reply->token, deadline_in_ms(5000), &conn,
				       &err), "%s", err.text);
	return conn;
}

/* A client with a job of its own, and both planes. */
struct liar {
	struct control control;
	struct net_conn *conn;
	struct wire_open_reply opened;
	struct wire_begin_reply begun;
};

static struct liar liar_attach(const char *job)
{
	struct liar liar = {.control = login()};

	liar.opened = attach(&liar.control, job);
	liar.conn = data_connect(&liar.opened);
	return liar;
}

static int liar_call(struct liar *liar, enum wire_type type, wire_fields_fn *fields, void *m)
{
	struct wire_commit_reply committed;

	return call(&liar->control, type, fields, m,
		    type == WIRE_COMMIT ? wire_commit_reply_fields : wire_nothing_fields, &committed);
}

static void liar_begin_epoch(struct liar *liar, uint64_t epoch)
{
	struct wire_begin begin = {epoch, SET_FULL, epoch - 1, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_SERVER};

	ck_assert_msg(!call(&liar->control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields,
			    &liar->begun), "%s", err.text);
}

/* That has begun epoch 1, too. */
static struct liar liar_begin(void)
{
	struct liar liar = liar_attach("liar");

	liar_begin_epoch(&liar, 1);
	return liar;
}

static void liar_end(struct liar *liar)
{
	net_ofi.close(liar->conn);
	control_close(&liar->control);
}

START_TEST(a_commit_without_data_is_not_published)
{
	struct liar liar = liar_begin();
	struct wire_commit commit = {0};
	struct wire_target target = {.job = "liar", .uid = WIRE_UID_SELF};
	struct wire_show_reply show = {0};

	commit.grant = liar.begun.grant.grant;
	commit.set.info = (struct set_info){
		.epoch = 1,
		.kind = SET_FULL,
		.data_bytes = 4096,
		.table_offset = 4096,
		.table_bytes = 64,
		.table_digest = 12345,
		.block_bytes = SET_BLOCK_DEFAULT,
	};
	ck_assert_int_eq(liar_call(&liar, WIRE_COMMIT, wire_commit_fields, &commit), -EUCLEAN);
	ck_assert(!call(&liar.control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &show));
	ck_assert_uint_eq(show.count, 1);
	ck_assert_uint_eq(show.regions[0].set_count, 0);
	wire_show_reply_free(&show);
	liar_end(&liar);
	check_service();
}
END_TEST

START_TEST(a_commit_beyond_its_grant_is_refused)
{
	struct liar liar = liar_begin();
	struct wire_commit commit = {0};
	struct set_info good = {
		.epoch = 1, .kind = SET_FULL, .data_bytes = 4096, .table_offset = 4096, .table_bytes = 64,
		.block_bytes = SET_BLOCK_DEFAULT};

	for (unsigned i = 0; i < 8; i++) {
		commit.grant = liar.begun.grant.grant + (i == 0);
		commit.set.info = good;
		if (i == 1)
			commit.set.info.epoch = 2;
		if (i == 2)
			commit.set.info.table_offset = 1 << 20;
		if (i == 3)
			commit.set.info.table_bytes = UINT64_MAX - 4096;
		if (i == 4)
			commit.set.info.data_bytes = 8192;
		if (i == 5)
			commit.set.info.kind = SET_INCREMENT;
		if (i == 6)
			commit.set.info.block_bytes = SET_BLOCK_MIN; /* a good one, and not what was begun */
		if (i == 7)
			commit.set.info.block_bytes = 0;
		ck_assert_int_eq(liar_call(&liar, WIRE_COMMIT, wire_commit_fields, &commit),
				 i >= 2 && i <= 4 ? -EBADMSG : -EINVAL);
	}
	liar_end(&liar);
	check_service();
}
END_TEST

/* Else the server would publish what nobody made durable. */
START_TEST(a_set_by_a_persist_method_that_was_not_offered_is_not_begun)
{
	static const uint32_t methods[] = {PERSIST_FLUSH, PERSIST_READ, PERSIST_END, UINT32_MAX};
	struct wire_begin begin = {1, SET_FULL, 0, 1 << 20, SET_BLOCK_DEFAULT, 0};
	struct liar liar = liar_attach("liar");

	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		begin.persist = methods[i];
		ck_assert_int_eq(call(&liar.control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields,
				      &liar.begun), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "but this server has 'server'"));
	}
	liar_end(&liar);
	check_service();
}
END_TEST

START_TEST(a_set_with_blocks_of_no_size_is_not_begun)
{
	static const uint64_t sizes[] = {0, 1, SET_BLOCK_MIN / 2, SET_BLOCK_MIN + 1, 2 * SET_BLOCK_MAX, 1ull << 32, UINT64_MAX};
	struct wire_begin begin = {1, SET_FULL, 0, 1 << 20, 0, PERSIST_SERVER};
	struct liar liar = liar_attach("liar");

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		begin.block_bytes = sizes[i];
		ck_assert_int_eq(call(&liar.control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields,
				      &liar.begun), -EINVAL);
		ck_assert_ptr_nonnull(strstr(err.text, "a power of 2 from 4096 to 4194304 is needed"));
	}
	begin.block_bytes = SET_BLOCK_MAX;
	ck_assert_msg(!call(&liar.control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, &liar.begun),
		      "%s", err.text);
	liar_end(&liar);
	check_service();
}
END_TEST

/* Writes a set of one block of 4 KiB, whose table has blocks of `block_bytes`, and commits it as one with blocks of 64 KiB. */
static int liar_put(struct liar *liar, uint64_t block_bytes)
{
	uint8_t set[4096 + 64 + 8 + 40 + 8] = {0};
	struct table table = table_init(set + 4096, block_bytes, 1, 1, 1);
	struct net_transfer transfer = {.local = set, .bytes = sizeof(set), .write = true}, *done;
	struct segment segment = {"data", ELEMENT_BYTE, 1, 4096};
	struct wire_commit commit = {.grant = liar->begun.grant.grant, .set.segments = &segment};

	table.header->epoch = 1;
	table.segment_ids[0] = table_segment_id(&segment);
	table.extents[0].bytes = 4096;
	table.checksums[0] = checksum(set, 4096);
	ck_assert(!net_ofi.submit(liar->conn, &liar->begun.grant.key, &transfer, &err));
	ck_assert_int_eq(net_ofi.reap(liar->conn, &done, 1, deadline_in_ms(5000), &err), 1);
	ck_assert_int_eq(transfer.status, 0);
	commit.set.info = (struct set_info){1, SET_FULL, 1, 4096, 4096, 120, checksum(set + 4096, 120),
					    .block_bytes = SET_BLOCK_DEFAULT};
	return liar_call(liar, WIRE_COMMIT, wire_commit_fields, &commit);
}

/* Its table is right in itself, but not what the description says: the NI sees it. */
START_TEST(a_table_with_blocks_of_another_size_is_not_published)
{
	struct liar liar = liar_begin();

	ck_assert_int_eq(liar_put(&liar, SET_BLOCK_MIN), -EUCLEAN);
	liar_end(&liar);
	check_service();
}
END_TEST

static uint64_t stat_number(struct control *control, const char *key)
{
	struct wire_stat_reply reply = {0};
	uint64_t number = UINT64_MAX;

	ck_assert(!call(control, WIRE_STAT, wire_nothing_fields, NULL, wire_stat_reply_fields, &reply));
	for (uint32_t i = 0; i < reply.count; i++) {
		if (!strcmp(reply.stats[i].key, key))
			number = strtoull(reply.stats[i].value, NULL, 10);
	}
	free(reply.stats);
	return number;
}

/* Who has not mapped the slot has stored nothing in it: the server makes the set durable. */
START_TEST(who_writes_by_the_fabric_is_not_believed_to_have_stored)
{
	struct wire_begin begin = {1, SET_FULL, 0, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_STORE};
	struct liar liar = liar_attach("liar");

	ck_assert_msg(!call(&liar.control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, &liar.begun),
		      "%s", err.text);
	ck_assert_msg(!liar_put(&liar, SET_BLOCK_DEFAULT), "%s", err.text);
	ck_assert_uint_eq(stat_number(&liar.control, "count.commits_store"), 0);
	ck_assert_uint_eq(stat_number(&liar.control, "count.commits_server"), 1);
	liar_end(&liar);
	check_service();
}
END_TEST

START_TEST(a_segment_without_name_type_or_size_is_refused)
{
	struct liar liar = liar_begin();
	struct segment segment;
	struct wire_commit commit = {0};

	commit.grant = liar.begun.grant.grant;
	commit.set.segments = &segment;
	commit.set.info = (struct set_info){.epoch = 1,
					    .kind = SET_FULL,
					    .segment_count = 1,
					    .data_bytes = 4096,
					    .table_offset = 4096,
					    .table_bytes = 64,
					    .block_bytes = SET_BLOCK_DEFAULT};
	for (unsigned i = 0; i < 4; i++) {
		segment = (struct segment){"data", ELEMENT_BYTE, 1, 4096};
		if (i == 0)
			segment.name[0] = '\0';
		if (i == 1)
			segment.type = 0;
		if (i == 2)
			segment.type = ELEMENT_TYPE_END;
		if (i == 3)
			segment.element_bytes = 0;
		ck_assert_int_eq(liar_call(&liar, WIRE_COMMIT, wire_commit_fields, &commit), -EINVAL);
	}
	liar_end(&liar);
	check_service();
}
END_TEST

START_TEST(a_write_after_commit_changes_nothing)
{
	struct liar liar = liar_begin();
	struct wire_commit commit = {0};
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "liar", .ranks = 1, .mode = REGION_OVERWRITE, .force = true};
	const struct set_info *sets;
	struct client *client;
	uint8_t set[4096 + 64 + 8 + 40 + 8] = {0}, back[4096];
	struct table table = table_init(set + 4096, SET_BLOCK_DEFAULT, 1, 1, 1);
	struct net_transfer transfer = {.local = set, .bytes = sizeof(set), .write = true}, *done;
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, 4096}, .at = back};

	memset(set, 7, 4096);
	table.header->epoch = 1;
	table.segment_ids[0] = table_segment_id(&s.segment);
	table.extents[0].bytes = 4096;
	table.checksums[0] = checksum(set, 4096);
	ck_assert(!net_ofi.submit(liar.conn, &liar.begun.grant.key, &transfer, &err));
	ck_assert_int_eq(net_ofi.reap(liar.conn, &done, 1, deadline_in_ms(5000), &err), 1);
	ck_assert_int_eq(transfer.status, 0);
	commit.grant = liar.begun.grant.grant;
	commit.set.info = (struct set_info){1, SET_FULL, 1, 4096, 4096, 120, checksum(set + 4096, 120), 0,
					     .generation = 99, .block_bytes = SET_BLOCK_DEFAULT};
	commit.set.segments = &s.segment;
	ck_assert_msg(!liar_call(&liar, WIRE_COMMIT, wire_commit_fields, &commit), "%s", err.text);
	/* the key is still known to us */
	memset(set, 8, 4096);
	transfer = (struct net_transfer){.local = set, .bytes = 4096, .write = true};
	if (!net_ofi.submit(liar.conn, &liar.begun.grant.key, &transfer, &err) &&
	    net_ofi.reap(liar.conn, &done, 1, deadline_in_ms(5000), &err) == 1)
		ck_assert_int_ne(transfer.status, 0);
	liar_end(&liar);
	ck_assert_msg(!client_open(&options, &identity, &client, &err), "%s", err.text);
	ck_assert_msg(!client_get(client, 0, 1, &s, 1, &err), "%s", err.text);
	ck_assert_uint_eq(back[0], 7);
	/* Nor is the client believed as to its generation. */
	ck_assert_uint_eq(client_sets(client, &sets), 1);
	ck_assert_uint_eq(sets[0].generation, 1);
	client_close(client, false, &err);
}
END_TEST

START_TEST(a_published_epoch_cannot_be_begun_again)
{
	struct wire_open open = {.job = "good", .ranks = 1, .uid = WIRE_UID_SELF, .mode = REGION_OVERWRITE, .flags = WIRE_OPEN_FORCE};
	struct wire_begin begin = {2, SET_FULL, 1, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_SERVER};
	struct wire_begin_reply begun = {0};
	struct wire_open_reply reply = {0};
	struct control control = login();
	struct net_conn *conn;

	check_service(); /* publishes epoch 1, and 2 */
	check_service();
	ck_assert(!call(&control, WIRE_OPEN, wire_open_fields, &open, wire_open_reply_fields, &reply));
	ck_assert_uint_eq(reply.set_count, 2);
	conn = data_connect(&reply);
	ck_assert_int_eq(call(&control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, &begun),
			 -EEXIST);
	begin = (struct wire_begin){3, SET_FULL, 2, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_SERVER};
	ck_assert_msg(!call(&control, WIRE_BEGIN, wire_begin_fields, &begin, wire_begin_reply_fields, &begun),
		      "%s", err.text);
	wire_open_reply_free(&reply);
	net_ofi.close(conn);
	control_close(&control);
	check_service();
}
END_TEST

/* A client of a server whose NI, which it gives so many seconds, has its connections and says nothing: it is stopped. */
static struct liar liar_at_stopped_ni(const char *seconds, pid_t *ni)
{
	struct liar liar;

	ck_assert(pmu_stop(&pmu));
	ck_assert(pmu_start(&pmu, (const char *const[]){"--ni-timeout", seconds, NULL}, NULL));
	liar = liar_attach("liar");
	*ni = pmu_ni_pid(&pmu);
	ck_assert_int_gt(*ni, 0);
	ck_assert(!kill(*ni, SIGSTOP));
	return liar;
}

START_TEST(a_ni_that_never_answers_is_ended_and_another_one_started)
{
	struct wire_begin begin = {1, SET_FULL, 0, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_SERVER};
	pid_t ni;
	struct liar liar = liar_at_stopped_ni("3", &ni);
	int rc = control_call(&liar.control, WIRE_BEGIN, wire_begin_fields, &begin, wire_nothing_fields, NULL,
			      deadline_in_ms(60000), &err);

	ck_assert_msg(rc && rc != -ETIMEDOUT, "%d (%s)", rc, err.text);
	liar_end(&liar);
	check_service();
	ck_assert_int_ne(pmu_ni_pid(&pmu), ni);
}
END_TEST

/* For longer than anything else that a start may have to wait for. */
START_TEST(a_start_gets_the_ni_that_takes_a_dead_ones_place)
{
	pid_t ni;
	struct liar liar = liar_at_stopped_ni("6", &ni);

	check_service();
	ck_assert_int_ne(pmu_ni_pid(&pmu), ni);
	liar_end(&liar);
}
END_TEST

/* Nothing of it would be left to find it by. */
START_TEST(a_job_without_regions_goes_when_its_session_opens_another)
{
	struct wire_target own = {.uid = WIRE_UID_SELF};
	struct wire_list_reply list = {0};
	struct control control = login();

	attach(&control, "first");
	ck_assert(!call(&control, WIRE_DROP, wire_target_fields, &own, wire_nothing_fields, NULL));
	attach(&control, "second");
	ck_assert(!call(&control, WIRE_LIST, wire_target_fields, &own, wire_list_reply_fields, &list));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.jobs[0].name, "second");
	wire_list_reply_free(&list);
	control_close(&control);
	check_service();
}
END_TEST

START_TEST(an_aborted_set_cannot_be_written_any_more)
{
	struct liar liar = liar_begin();
	struct wire_begin begin = {2, SET_FULL, 0, 1 << 20, SET_BLOCK_DEFAULT, PERSIST_SERVER};
	struct wire_abort abort = {1};
	uint8_t data[4096] = {1};
	struct net_transfer transfer = {.local = data, .bytes = sizeof(data), .write = true}, *done;

	ck_assert(!liar_call(&liar, WIRE_ABORT, wire_abort_fields, &abort));
	if (!net_ofi.submit(liar.conn, &liar.begun.grant.key, &transfer, &err) &&
	    net_ofi.reap(liar.conn, &done, 1, deadline_in_ms(5000), &err) == 1)
		ck_assert_int_ne(transfer.status, 0);
	/* The data connection is gone, so that nothing can still be on its way. */
	ck_assert_int_eq(liar_call(&liar, WIRE_BEGIN, wire_begin_fields, &begin), -ENOTCONN);
	liar_end(&liar);
	check_service();
}
END_TEST

/* ---- wishes, command lines and fences ---- */

static int ask(struct control *control, const char *job, uint32_t flags, uint64_t *count)
{
	struct wire_ask ask = {.target = {.uid = WIRE_UID_SELF}, .flags = flags};
	struct wire_ask_reply reply = {0};
	int rc;

	snprintf(ask.target.job, sizeof(ask.target.job), "%s", job);
	rc = call(control, WIRE_ASK, wire_ask_fields, &ask, wire_ask_reply_fields, &reply);
	*count = reply.count;
	return rc;
}

static struct wire_asked_reply asked(struct control *control, const char *job, uint64_t served, uint64_t epoch)
{
	struct wire_asked asked = {.target = {.uid = WIRE_UID_SELF, .epoch = epoch}, .served = served};
	struct wire_asked_reply reply = {0};

	snprintf(asked.target.job, sizeof(asked.target.job), "%s", job);
	ck_assert_msg(!call(control, WIRE_ASKED, wire_asked_fields, &asked, wire_asked_reply_fields, &reply),
		      "%s", err.text);
	return reply;
}

START_TEST(a_wish_stands_until_it_is_served_or_nobody_is_left)
{
	struct control tool = login(), rank = login();
	struct wire_asked_reply reply;
	uint64_t first, second, third;

	ck_assert_int_eq(ask(&tool, "asked", WIRE_ASK_CHECKPOINT, &first), -ENOENT);
	attach(&rank, "asked");
	reply = asked(&rank, "", 0, 0);
	ck_assert_uint_eq(reply.flags + reply.count + reply.served, 0);
	ck_assert_int_eq(ask(&tool, "asked", 0, &first), -EINVAL);
	ck_assert_int_eq(ask(&tool, "asked", 4, &first), -EINVAL);
	ck_assert(!ask(&tool, "asked", WIRE_ASK_CHECKPOINT, &first));
	ck_assert(!ask(&tool, "asked", WIRE_ASK_LEAVE, &second));
	ck_assert_uint_gt(second, first);
	/* A checkpoint that was begun before the second wish does not serve it. */
	reply = asked(&rank, "", first, 5);
	ck_assert_uint_eq(reply.flags, WIRE_ASK_CHECKPOINT | WIRE_ASK_LEAVE);
	/* A tool's word serves nothing, and nor does one about what was never asked. */
	reply = asked(&tool, "asked", second, 6);
	ck_assert_uint_eq(reply.served, first);
	ck_assert_uint_eq(reply.epoch, 5);
	ck_assert_uint_eq(reply.sessions, 1);
	reply = asked(&rank, "", UINT64_MAX, 7);
	ck_assert_uint_eq(reply.flags, 0);
	ck_assert_uint_eq(reply.served, second);
	ck_assert(!ask(&tool, "asked", WIRE_ASK_CHECKPOINT, &third));
	ck_assert_uint_gt(third, second);
	ck_assert_uint_eq(asked(&tool, "asked", 0, 0).flags, WIRE_ASK_CHECKPOINT);
	control_close(&rank);
	for (uint64_t deadline = deadline_in_ms(20000);; deadline_sleep_ms(deadline, 20)) {
		reply = asked(&tool, "asked", 0, 0);
		if (!reply.sessions)
			break;
		ck_assert_int_gt(deadline_left_ms(deadline), 0);
	}
	ck_assert_uint_eq(reply.flags, 0);
	ck_assert_uint_eq(reply.served, second);
	ck_assert_int_eq(ask(&tool, "asked", WIRE_ASK_CHECKPOINT, &first), -ESRCH);
	ck_assert_ptr_nonnull(strstr(err.text, "not running"));
	control_close(&tool);
	check_service();
}
END_TEST

START_TEST(who_has_no_job_can_ask_of_none)
{
	struct wire_asked message = {.target = {.uid = WIRE_UID_SELF}};
	struct wire_asked_reply reply = {0};
	struct control control = login();

	ck_assert_int_eq(call(&control, WIRE_ASKED, wire_asked_fields, &message, wire_asked_reply_fields, &reply),
			 -EPROTO);
	control_close(&control);
	check_service();
}
END_TEST

START_TEST(a_command_is_recorded_and_told)
{
	static char text[] = "/\0app\0-n", other[] = "/\0other";
	struct wire_command command = {{sizeof(text), text}}, before = {0};
	struct wire_target target = {.job = "recorded", .uid = WIRE_UID_SELF};
	struct wire_show_reply show = {0};
	struct control control = login();

	attach(&control, "recorded");
	ck_assert(!call(&control, WIRE_RECORD, wire_command_fields, &command, wire_command_fields, &before));
	ck_assert_uint_eq(before.command.bytes, 0);
	command.command = (struct command_line){sizeof(other), other};
	ck_assert(!call(&control, WIRE_RECORD, wire_command_fields, &command, wire_command_fields, &before));
	ck_assert(command_equal(&before.command, &(struct command_line){sizeof(text), text}));
	free(before.command.text);
	ck_assert(!call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &show));
	ck_assert(command_equal(&show.command.command, &command.command));
	wire_show_reply_free(&show);
	target.rank = 1; /* a later page */
	ck_assert(!call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &show));
	ck_assert_uint_eq(show.command.command.bytes, 0);
	wire_show_reply_free(&show);
	/* None at all is none to record; what is malformed ends the session. */
	command.command.bytes = 0;
	ck_assert_int_eq(call(&control, WIRE_RECORD, wire_command_fields, &command, wire_command_fields, &before),
			 -EINVAL);
	command.command = (struct command_line){sizeof(other) - 1, other};
	ck_assert_int_eq(call(&control, WIRE_RECORD, wire_command_fields, &command, wire_command_fields, &before),
			 -EBADMSG);
	ck_assert(pmu_hangs_up(control.fd, 15000));
	control_close(&control);
	check_service();
}
END_TEST

/* A NI that is stopped has cut nobody off yet. */
START_TEST(a_fence_is_answered_when_nobody_writes_any_more)
{
	struct wire_target target = {.job = "fenced", .uid = WIRE_UID_SELF};
	struct control hasty = login(), tool = login();
	struct liar writer = liar_attach("fenced");
	pid_t ni = pmu_ni_pid(&pmu);

	ck_assert_int_gt(ni, 0);
	ck_assert(!kill(ni, SIGSTOP));
	ck_assert_int_eq(control_call(&hasty, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL,
				      deadline_in_ms(1000), &err), -ETIMEDOUT);
	ck_assert(!kill(ni, SIGCONT));
	ck_assert_msg(!call(&tool, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL), "%s",
		      err.text);
	ck_assert(pmu_hangs_up(writer.control.fd, 15000));
	liar_end(&writer);
	control_close(&hasty);
	control_close(&tool);
	check_service();
}
END_TEST

START_TEST(a_fence_cuts_off_whoever_writes)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "fenced", .ranks = 2, .mode = REGION_OVERWRITE};
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, 100}};
	struct wire_target target = {.job = "fenced", .uid = WIRE_UID_SELF};
	struct control control = login();
	struct client *clients[2];
	uint8_t data[100] = {1};

	s.at = data;
	for (uint32_t rank = 0; rank < 2; rank++) {
		identity.rank = rank;
		ck_assert_msg(!client_open(&options, &identity, &clients[rank], &err), "%s", err.text);
		ck_assert_msg(!client_put(clients[rank], 1, 0, NULL, &s, 1, &err), "%s", err.text);
	}
	ck_assert(!call(&control, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL));
	for (uint32_t rank = 0; rank < 2; rank++) {
		ck_assert_int_eq(client_put(clients[rank], 2, 1, NULL, &s, 1, &err), -ESTALE);
		client_close(clients[rank], false, &err);
	}
	/* Whoever comes next finds what was complete, and may write. */
	identity.rank = 0;
	ck_assert_msg(!client_open(&options, &identity, &clients[0], &err), "%s", err.text);
	ck_assert_msg(!client_get(clients[0], 1, 1, &s, 1, &err), "%s", err.text);
	ck_assert_msg(!client_put(clients[0], 2, 1, NULL, &s, 1, &err), "%s", err.text);
	client_close(clients[0], false, &err);
	snprintf(target.job, sizeof(target.job), "none");
	ck_assert_int_eq(call(&control, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL),
			 -ENOENT);
	control_close(&control);
	check_service();
}
END_TEST

START_TEST(another_users_job_is_as_if_it_were_not_there)
{
	struct wire_target target = {.job = "good", .uid = WIRE_UID_SELF};
	struct wire_list_reply list = {0};
	struct wire_show_reply show = {0};
	struct {
		struct wire_ask ask;
		struct wire_asked asked;
	} message = {.ask.flags = WIRE_ASK_LEAVE};
	struct control control;

	check_service();
	/* On loopback without authentication the server takes our word. */
	ck_assert(!seteuid(12345));
	control = login();
	ck_assert(!seteuid(0));
	ck_assert_int_eq(call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &show),
			 -ENOENT);
	target.uid = 0;
	ck_assert_int_eq(call(&control, WIRE_SHOW, wire_target_fields, &target, wire_show_reply_fields, &show),
			 -ENOENT);
	ck_assert_int_eq(call(&control, WIRE_VERIFY, wire_target_fields, &target, wire_verify_reply_fields,
			      &show), -ENOENT);
	ck_assert_int_eq(call(&control, WIRE_DROP, wire_target_fields, &target, wire_nothing_fields, NULL),
			 -ENOENT);
	ck_assert_int_eq(call(&control, WIRE_FENCE, wire_target_fields, &target, wire_nothing_fields, NULL),
			 -ENOENT);
	message.asked.target = message.ask.target = target;
	ck_assert_int_eq(call(&control, WIRE_ASK, wire_ask_fields, &message.ask, wire_ask_reply_fields, &message),
			 -ENOENT);
	ck_assert_int_eq(call(&control, WIRE_ASKED, wire_asked_fields, &message.asked, wire_asked_reply_fields,
			      &message), -ENOENT);
	target = (struct wire_target){.uid = WIRE_UID_SELF};
	ck_assert(!call(&control, WIRE_LIST, wire_target_fields, &target, wire_list_reply_fields, &list));
	ck_assert_uint_eq(list.count, 0);
	wire_list_reply_free(&list);
	control_close(&control);
	check_service();
}
END_TEST

/*
 * ---- another user's bytes ----
 *
 * A victim has a set that is published, another one under way, and a grant to read the first. The intruder is a user of
 * the same server, knows all of the victim's numbers, and has sessions of his own.
 */
#define VICTIM	 23456u
#define INTRUDER 12345u
#define SECRET	 0x77
#define BYTES	 4096
#define SET_SIZE (BYTES + 64 + 8 + 40 + 8)

struct victim {
	struct liar liar;
	struct net_key write_key, read_key;
	uint64_t grant;
	struct wire_commit commit; /* of the set under way */
};

static struct segment secret_segment = {"data", ELEMENT_BYTE, 1, BYTES};

/* On loopback without authentication the server takes our word. */
static struct control login_as(uint32_t uid)
{
	struct control control;

	ck_assert(!seteuid(uid));
	control = login();
	ck_assert(!seteuid(0));
	return control;
}

static void write_secret(struct victim *victim, uint64_t epoch)
{
	static uint8_t set[SET_SIZE] __attribute__((aligned(64)));
	struct table table = table_init(set + BYTES, SET_BLOCK_DEFAULT, 1, 1, 1);
	struct net_transfer transfer = {.local = set, .bytes = sizeof(set), .write = true}, *done;
	struct liar *liar = &victim->liar;

	memset(set, SECRET, BYTES);
	table.header->epoch = epoch;
	table.segment_ids[0] = table_segment_id(&secret_segment);
	table.extents[0].bytes = BYTES;
	table.checksums[0] = checksum(set, BYTES);
	liar_begin_epoch(liar, epoch);
	ck_assert(!net_ofi.submit(liar->conn, &liar->begun.grant.key, &transfer, &err));
	ck_assert_int_eq(net_ofi.reap(liar->conn, &done, 1, deadline_in_ms(5000), &err), 1);
	ck_assert_int_eq(transfer.status, 0);
	victim->commit = (struct wire_commit){.grant = liar->begun.grant.grant, .set.segments = &secret_segment};
	victim->commit.set.info = (struct set_info){epoch, SET_FULL, 1, BYTES, BYTES, SET_SIZE - BYTES,
						    checksum(set + BYTES, SET_SIZE - BYTES),
						    .block_bytes = SET_BLOCK_DEFAULT};
}

static void victim_make(struct victim *victim)
{
	struct wire_read read = {.epoch = 1};
	struct wire_read_reply reading = {0};
	struct liar *liar = &victim->liar;

	*victim = (struct victim){.liar.control = login_as(VICTIM)};
	liar->opened = attach(&liar->control, "secret");
	liar->conn = data_connect(&liar->opened);
	write_secret(victim, 1);
	ck_assert_msg(!liar_call(liar, WIRE_COMMIT, wire_commit_fields, &victim->commit), "%s", err.text);
	ck_assert_msg(!call(&liar->control, WIRE_READ, wire_read_fields, &read, wire_read_reply_fields, &reading), "%s",
		      err.text);
	victim->read_key = reading.grants[0].key;
	wire_read_reply_free(&reading);
	write_secret(victim, 2);
	victim->write_key = liar->begun.grant.key;
	victim->grant = liar->begun.grant.grant;
}

/* He goes on, and both sets are what he wrote. */
static void victim_is_well(struct victim *victim)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "secret", .ranks = 1, .mode = REGION_OVERWRITE, .force = true};
	struct client_segment s = {.segment = secret_segment};
	struct client *client;
	uint8_t back[BYTES];
	int rc;

	ck_assert_msg(!liar_call(&victim->liar, WIRE_COMMIT, wire_commit_fields, &victim->commit), "%s", err.text);
	liar_end(&victim->liar);
	ck_assert(!seteuid(VICTIM));
	rc = client_open(&options, &identity, &client, &err);
	ck_assert(!seteuid(0));
	ck_assert_msg(!rc, "%s", err.text);
	s.at = back;
	for (uint64_t epoch = 1; epoch <= 2; epoch++) {
		memset(back, 0, sizeof(back));
		ck_assert_msg(!client_get(client, 0, epoch, &s, 1, &err), "%s", err.text);
		for (unsigned i = 0; i < BYTES; i++)
			ck_assert_uint_eq(back[i], SECRET);
	}
	client_close(client, false, &err);
}

/* With a region and a token of his own, and not connected yet: each refused transfer costs him a connection. */
static struct liar intruder_attach(void)
{
	static unsigned jobs;
	struct liar intruder = {.control = login_as(INTRUDER)};
	char job[32];

	snprintf(job, sizeof(job), "own-%u", ++jobs);
	intruder.opened = attach(&intruder.control, job);
	return intruder;
}

static struct liar intruder_connect(void)
{
	struct liar intruder = intruder_attach();

	intruder.conn = data_connect(&intruder.opened);
	return intruder;
}

/* One transfer, to its end or its deadline, and the end of the connection. */
static int intrude(struct liar *intruder, const struct net_key *key, bool write, uint64_t offset)
{
	static uint8_t local[BYTES];
	struct net_transfer transfer = {.local = local, .offset = offset, .bytes = BYTES, .write = write}, *done;
	int rc;

	memset(local, 0, sizeof(local));
	rc = net_ofi.submit(intruder->conn, key, &transfer, &err);
	if (!rc)
		rc = net_ofi.reap(intruder->conn, &done, 1, deadline_in_ms(5000), &err);
	if (rc == 1)
		rc = transfer.status;
	liar_end(intruder);
	for (unsigned i = 0; i < BYTES; i++)
		ck_assert_uint_ne(local[i], SECRET);
	return rc;
}

START_TEST(another_users_keys_open_nothing)
{
	struct victim victim;
	struct liar intruder;

	victim_make(&victim);
	for (unsigned i = 0; i < 4; i++) {
		intruder = intruder_connect();
		ck_assert(memcmp(&intruder.opened.address, &victim.liar.opened.address, sizeof(struct net_address)));
		ck_assert_int_lt(intrude(&intruder, i & 1 ? &victim.write_key : &victim.read_key, i & 2, 0), 0);
	}
	victim_is_well(&victim);
}
END_TEST

START_TEST(ones_own_key_leads_nowhere_else)
{
	struct victim victim;
	struct liar intruder;
	struct net_key key;

	victim_make(&victim);
	for (unsigned i = 0; i < 12; i++) {
		intruder = intruder_connect();
		liar_begin_epoch(&intruder, 1);
		key = intruder.begun.grant.key;
		key.bytes = UINT64_MAX / 2; /* he lies to his own end */
		if (i / 2 == 1)
			key.address = victim.write_key.address + key.bytes / 2;
		if (i / 2 == 2)
			key.address -= BYTES;
		if (i / 2 == 3)
			key.address += 1u << 30;
		if (i / 2 == 4)
			key.keys[0]++;
		if (i / 2 == 5)
			key.keys[0] = victim.write_key.keys[0] ^ victim.read_key.keys[0];
		/* The grant itself reaches just behind the end of what was begun, and no further. */
		ck_assert_int_lt(intrude(&intruder, &key, i & 1, i / 2 == 0 ? intruder.begun.grant.key.bytes : 0), 0);
	}
	victim_is_well(&victim);
}
END_TEST

/* Nobody but its user gets as far as a NI's memory. */
START_TEST(another_users_ni_lets_nobody_in)
{
	struct net_params params = {.provider = "tcp"};
	struct victim victim;
	struct net_conn *conn;
	uint8_t tokens[4][NET_TOKEN_BYTES] = {0};
	struct liar intruder, unused = intruder_attach();

	victim_make(&victim);
	intruder = intruder_connect();
	memcpy(tokens[1], unused.opened.token, NET_TOKEN_BYTES);
	memcpy(tokens[2], intruder.opened.token, NET_TOKEN_BYTES);
	memcpy(tokens[3], victim.liar.opened.token, NET_TOKEN_BYTES); /* it was good once */
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(net_ofi.connect(&params, &victim.liar.opened.address, tokens[i], deadline_in_ms(5000), &conn,
						 &err), -EACCES);
	}
	/* The token is still one, where it belongs. */
	unused.conn = data_connect(&unused.opened);
	liar_end(&unused);
	liar_end(&intruder);
	victim_is_well(&victim);
}
END_TEST

START_TEST(another_users_grant_is_none_to_name)
{
	struct wire_abort abort = {2};
	struct victim victim;
	struct liar intruder;
	struct wire_close close = {0};

	victim_make(&victim);
	intruder = intruder_connect();
	liar_begin_epoch(&intruder, 1);
	ck_assert_int_eq(liar_call(&intruder, WIRE_COMMIT, wire_commit_fields, &victim.commit), -EINVAL);
	close.grant = victim.grant;
	liar_call(&intruder, WIRE_CLOSE, wire_close_fields, &close);
	liar_call(&intruder, WIRE_ABORT, wire_abort_fields, &abort);
	liar_end(&intruder);
	victim_is_well(&victim);
}
END_TEST

/* ---- libfabric without our client ---- */

struct raw {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_eq *eq;
	struct fid_cq *cq;
	struct fid_ep *ep;
};

static void raw_close(struct raw *raw)
{
	struct fid *fids[] = {raw->ep ? &raw->ep->fid : NULL, raw->cq ? &raw->cq->fid : NULL,
			      raw->domain ? &raw->domain->fid : NULL, raw->eq ? &raw->eq->fid : NULL,
			      raw->fabric ? &raw->fabric->fid : NULL};

	for (unsigned i = 0; i < sizeof(fids) / sizeof(fids[0]); i++) {
		if (fids[i])
			fi_close(fids[i]);
	}
	fi_freeinfo(raw->info);
}

/* Does the provider offer this? Then it is connected. */
static bool raw_connect(struct raw *raw, const struct wire_open_reply *to, uint64_t caps)
{
	struct fi_cq_attr cq_attr = {.size = 16, .format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_FD};
	struct fi_eq_attr eq_attr = {.wait_obj = FI_WAIT_FD};
	struct fi_info *hints = fi_allocinfo();
	struct fi_eq_cm_entry entry;
	uint32_t event = 0;
	int rc;

	*raw = (struct raw){0};
	hints->fabric_attr->prov_name = strdup("tcp");
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = caps;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->addr_format = to->address.format;
	hints->dest_addr = malloc(to->address.bytes);
	memcpy(hints->dest_addr, to->address.raw, to->address.bytes);
	hints->dest_addrlen = to->address.bytes;
	rc = fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, hints, &raw->info);
	fi_freeinfo(hints);
	if (rc)
		return false;
	ck_assert(!fi_fabric(raw->info->fabric_attr, &raw->fabric, NULL));
	ck_assert(!fi_eq_open(raw->fabric, &eq_attr, &raw->eq, NULL));
	ck_assert(!fi_domain(raw->fabric, raw->info, &raw->domain, NULL));
	ck_assert(!fi_cq_open(raw->domain, &cq_attr, &raw->cq, NULL));
	ck_assert(!fi_endpoint(raw->domain, raw->info, &raw->ep, NULL));
	ck_assert(!fi_ep_bind(raw->ep, &raw->eq->fid, 0));
	ck_assert(!fi_ep_bind(raw->ep, &raw->cq->fid, FI_TRANSMIT | FI_RECV));
	ck_assert(!fi_enable(raw->ep));
	ck_assert(!fi_connect(raw->ep, to->address.raw, to->token, NET_TOKEN_BYTES));
	rc = (int)fi_eq_sread(raw->eq, &event, &entry, sizeof(entry), 5000, 0);
	ck_assert_msg(rc > 0 && event == FI_CONNECTED, "the intruder has no data connection of his own: %d", rc);
	return true;
}

/* Till it is done, fails, or 500 ms are over: some are never answered. */
static void raw_wait(struct raw *raw)
{
	struct fi_cq_entry done;
	struct fi_cq_err_entry failed = {0};
	uint64_t deadline = deadline_in_ms(500);
	ssize_t n;

	do
		n = fi_cq_read(raw->cq, &done, 1);
	while (n == -FI_EAGAIN && deadline_left_ms(deadline) && !usleep(1000));
	if (n == -FI_EAVAIL)
		fi_cq_readerr(raw->cq, &failed, 0);
}

static const struct {
	const char *what;
	uint64_t caps;
} raw_paths[] = {
	{"messages", FI_MSG | FI_RMA},
	{"messages that are injected", FI_MSG | FI_RMA},
	{"tagged messages", FI_MSG | FI_RMA | FI_TAGGED},
	{"atomic operations", FI_MSG | FI_RMA | FI_ATOMIC},
	{"writes with data", FI_MSG | FI_RMA},
	{"writes", FI_MSG | FI_RMA},
	{"reads", FI_MSG | FI_RMA},
};

static void raw_try(struct raw *raw, unsigned path, const struct net_key *key)
{
	static uint8_t local[BYTES];
	static struct fi_context2 context;
	uint64_t at = key->address, rkey = key->keys[0];

	memset(local, 0, sizeof(local));
	switch (path) {
	case 0:
		fi_send(raw->ep, local, BYTES, NULL, 0, &context);
		break;
	case 1:
		fi_inject(raw->ep, local, 64, 0);
		break;
	case 2:
		fi_tsend(raw->ep, local, BYTES, NULL, 0, at, &context);
		break;
	case 3:
		fi_atomic(raw->ep, local, 1, NULL, 0, at, rkey, FI_UINT64, FI_ATOMIC_WRITE, &context);
		break;
	case 4:
		fi_writedata(raw->ep, local, BYTES, NULL, rkey, 0, at, rkey, &context);
		break;
	case 5:
		fi_write(raw->ep, local, BYTES, NULL, 0, at, rkey, &context);
		break;
	default:
		fi_read(raw->ep, local, BYTES, NULL, 0, at, rkey, &context);
	}
	raw_wait(raw);
	for (unsigned i = 0; i < BYTES; i++)
		ck_assert_uint_ne(local[i], SECRET);
}

START_TEST(no_path_of_the_fabric_leads_to_another_user)
{
	struct victim victim;
	struct liar intruder;
	struct raw raw;

	victim_make(&victim);
	for (unsigned i = 0; i < 2 * sizeof(raw_paths) / sizeof(raw_paths[0]); i++) {
		intruder = intruder_attach();
		if (raw_connect(&raw, &intruder.opened, raw_paths[i / 2].caps))
			raw_try(&raw, i / 2, i & 1 ? &victim.read_key : &victim.write_key);
		else if (i & 1)
			fprintf(stderr, "# libfabric's tcp offers no %s here\n", raw_paths[i / 2].what);
		raw_close(&raw);
		control_close(&intruder.control);
	}
	victim_is_well(&victim);
	check_service();
}
END_TEST

#if !SANITIZED
/* ---- many ---- */

START_TEST(sixty_four_sessions_stay_below_64_mib)
{
	struct client_options options = options_of_server();
	struct client_identity identity = {.job = "many", .ranks = 64, .mode = REGION_OVERWRITE};
	struct client_segment s = {.segment = {"data", ELEMENT_BYTE, 1, 300000}};
	struct client *clients[64];
	uint64_t server, ni;

	s.at = calloc(1, 300000);
	for (unsigned i = 0; i < 64; i++) {
		identity.rank = i;
		ck_assert_msg(!client_open(&options, &identity, &clients[i], &err), "%s", err.text);
	}
	for (uint64_t epoch = 1; epoch < 4; epoch++) {
		for (unsigned i = 0; i < 64; i++)
			ck_assert_msg(!client_put(clients[i], epoch, epoch - 1, NULL, &s, 1, &err), "%s", err.text);
	}
	server = pmu_anonymous_bytes(pmu.pid);
	ni = pmu_anonymous_bytes(pmu_ni_pid(&pmu));
	ck_assert_msg(server + ni < 64u << 20, "PMM %llu, NI %llu bytes", (unsigned long long)server,
		      (unsigned long long)ni);
	fprintf(stderr, "# 64 sessions: PMM %llu KiB, NI %llu KiB anonymous\n",
		(unsigned long long)server >> 10, (unsigned long long)ni >> 10);
	for (unsigned i = 0; i < 64; i++)
		client_close(clients[i], false, &err);
	free(s.at);
}
END_TEST
#endif

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("hostile");
	TCase *tc = tcase_create("hostile"), *users = tcase_create("users");

	setenv("top_builddir", ".", 0);
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, garbage_ends_its_connection_only);
	tcase_add_test(tc, a_length_over_the_limit_is_not_waited_for);
	tcase_add_test(tc, nothing_is_served_before_authentication);
	tcase_add_test(tc, silent_peers_are_sent_away);
	tcase_add_test(tc, requests_out_of_order_end_the_session);
	tcase_add_test(tc, malformed_requests_end_the_session);
	tcase_add_test(tc, a_commit_without_data_is_not_published);
	tcase_add_test(tc, a_commit_beyond_its_grant_is_refused);
	tcase_add_test(tc, a_set_by_a_persist_method_that_was_not_offered_is_not_begun);
	tcase_add_test(tc, a_set_with_blocks_of_no_size_is_not_begun);
	tcase_add_test(tc, a_table_with_blocks_of_another_size_is_not_published);
	tcase_add_test(tc, who_writes_by_the_fabric_is_not_believed_to_have_stored);
	tcase_add_test(tc, a_segment_without_name_type_or_size_is_refused);
	tcase_add_test(tc, a_write_after_commit_changes_nothing);
	tcase_add_test(tc, a_published_epoch_cannot_be_begun_again);
	tcase_add_test(tc, a_ni_that_never_answers_is_ended_and_another_one_started);
	tcase_add_test(tc, a_start_gets_the_ni_that_takes_a_dead_ones_place);
	tcase_add_test(tc, a_job_without_regions_goes_when_its_session_opens_another);
	tcase_add_test(tc, an_aborted_set_cannot_be_written_any_more);
	tcase_add_test(tc, a_wish_stands_until_it_is_served_or_nobody_is_left);
	tcase_add_test(tc, who_has_no_job_can_ask_of_none);
	tcase_add_test(tc, a_command_is_recorded_and_told);
	tcase_add_test(tc, a_fence_cuts_off_whoever_writes);
	tcase_add_test(tc, a_fence_is_answered_when_nobody_writes_any_more);
	if (!geteuid()) { /* they change it */
		tcase_add_test(tc, another_users_job_is_as_if_it_were_not_there);
		tcase_add_test(users, another_users_keys_open_nothing);
		tcase_add_test(users, ones_own_key_leads_nowhere_else);
		tcase_add_test(users, another_users_ni_lets_nobody_in);
		tcase_add_test(users, another_users_grant_is_none_to_name);
		tcase_add_test(users, no_path_of_the_fabric_leads_to_another_user);
	} else {
		fprintf(stderr, "# not root: what takes two users is skipped\n");
	}
#if !SANITIZED /* which multiplies what a process takes */
	tcase_add_test(tc, sixty_four_sessions_stay_below_64_mib);
#endif
	suite_add_tcase(suite, tc);
	tcase_set_timeout(users, 120);
	tcase_add_checked_fixture(users, setup, teardown);
	suite_add_tcase(suite, users);
	return suite;
}
