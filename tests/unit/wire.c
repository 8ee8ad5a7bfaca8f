/* SPDX-License-Identifier: BSD-3-Clause */
/* wire.c - the control protocol: what is packed is unpacked, and nothing that comes in is trusted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "unit.h"
#include "wire/ni_wire.h"
#include "wire/wire.h"

#define LARGEST (WIRE_HEADER_BYTES + WIRE_PAYLOAD_MAX)

static struct error err;

/* ---- the cursor ---- */

START_TEST(fields_are_little_endian)
{
	uint8_t buffer[15];
	struct cursor c = cursor_pack(buffer, sizeof(buffer));
	uint8_t u8 = 0x01;
	uint16_t u16 = 0x0302;
	uint32_t u32 = 0x07060504;
	uint64_t u64 = 0x0f0e0d0c0b0a0908;

	cursor_u8(&c, &u8);
	cursor_u16(&c, &u16);
	cursor_u32(&c, &u32);
	cursor_u64(&c, &u64);
	ck_assert(cursor_ok(&c));
	for (unsigned i = 0; i < sizeof(buffer); i++)
		ck_assert_uint_eq(buffer[i], i + 1);
	cursor_u8(&c, &u8);
	ck_assert_msg(!cursor_ok(&c), "it wrote past its end");
}
END_TEST

START_TEST(strings_are_bounded_and_whole)
{
	uint8_t buffer[64] = {3, 0, 'a', 'b', 'c'};
	char out[4] = "zzz";
	struct cursor c = cursor_unpack(buffer, 5);

	cursor_string(&c, out, sizeof(out));
	ck_assert(cursor_ok(&c));
	ck_assert_str_eq(out, "abc");
	c = cursor_unpack(buffer, 5);
	cursor_string(&c, out, 3); /* no room for the zero */
	ck_assert(!cursor_ok(&c));
	c = cursor_unpack(buffer, 4); /* cut off */
	cursor_string(&c, out, sizeof(out));
	ck_assert(!cursor_ok(&c));
	buffer[3] = 0; /* a zero inside */
	c = cursor_unpack(buffer, 5);
	cursor_string(&c, out, sizeof(out));
	ck_assert(!cursor_ok(&c));
}
END_TEST

START_TEST(arrays_are_bounded_before_they_are_allocated)
{
	uint8_t buffer[16] = {0xff, 0xff, 0xff, 0x7f};
	struct cursor c = cursor_unpack(buffer, sizeof(buffer));
	uint32_t count;
	void *array;

	cursor_array(&c, &count, UINT32_MAX, 1, 1 << 20, &array);
	ck_assert(c.failed && !array && !count);
	buffer[0] = 5;
	buffer[1] = buffer[2] = buffer[3] = 0;
	c = cursor_unpack(buffer, sizeof(buffer));
	cursor_array(&c, &count, 4, 1, 8, &array);
	ck_assert(c.failed && !array && !count);
	c = cursor_unpack(buffer, sizeof(buffer));
	cursor_array(&c, &count, 5, 3, 8, &array); /* 12 bytes cannot hold 5 of 3 */
	ck_assert(c.failed && !array && !count);
	c = cursor_unpack(buffer, sizeof(buffer));
	cursor_array(&c, &count, 5, 2, 8, &array);
	ck_assert(!c.failed && array && count == 5);
	free(array);
}
END_TEST

/* Segments are packed from the pool's own memory, where nothing is stored by the way. */
START_TEST(packing_only_reads)
{
	const struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, WIRE_STAT, 0, -1, 1};
	const struct wire_grant grant = {1, {.address = 2, .bytes = 3}};
	uint8_t packed[256];
	struct cursor c = cursor_pack(packed, sizeof(packed));
	struct {
		struct wire_header header;
		struct wire_grant grant;
	} *message = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(message != MAP_FAILED);
	message->header = header;
	message->grant = grant;
	ck_assert(!mprotect(message, 4096, PROT_READ));
	wire_header_fields(&c, &message->header);
	cursor_u64(&c, &message->grant.grant);
	wire_net_key_fields(&c, &message->grant.key);
	ck_assert(cursor_ok(&c));
	munmap(message, 4096);
}
END_TEST

START_TEST(what_is_left_over_is_an_error)
{
	uint8_t buffer[9] = {0};
	struct wire_abort abort;

	ck_assert(!wire_unpack(buffer, 8, wire_abort_fields, &abort));
	ck_assert_int_eq(wire_unpack(buffer, 9, wire_abort_fields, &abort), -EBADMSG);
	ck_assert_int_eq(wire_unpack(buffer, 7, wire_abort_fields, &abort), -EBADMSG);
}
END_TEST

/* ---- messages ---- */

static struct segment segments[3] = {
	{"temperature", ELEMENT_DOUBLE, 8, 123456789},
	{"step", ELEMENT_INT64, 8, 1},
	{"empty", ELEMENT_BYTE, 1, 0},
};
static struct wire_set example_set = {
	.info = {7, SET_FULL, 3, 1 << 20, 1 << 20, 4096, 0xdeadbeef, 99, 3, 1 << 16},
	.segments = segments,
};
static struct wire_job jobs[2] = {{"one", 1000, 4, 4, 2, 17, 1 << 30, 5, 100, 2, 3}, {"two", 1001, 1, 0, 0, 0, 0, 6, 0, 0, 0}};
static struct wire_user users[2] = {{1, 2, 3, 4, 5, 6, 7, 8}, {9, 0, 0, 0, 0, 0, 0, 0}};
static struct set_info infos[2] = {{.epoch = 1, .kind = SET_FULL}, {.epoch = 2, .kind = SET_INCREMENT, .generation = 3, .block_bytes = 4096}};
static struct wire_part parts[2] = {{{.epoch = 6, .kind = SET_FULL}, 0, 0}, {{.epoch = 7}, 1, 4096}};
static uint64_t epochs[2] = {6, 9};
static struct ni_source sources[2] = {{1, 0, {.epoch = 6, .kind = SET_FULL}}, {2, 4096, {.epoch = 7}}};
static struct wire_set shown[2];
static struct wire_region regions[1];
static struct wire_stat stats[2] = {{"a", "b"}, {"c", ""}};
static char command_text[] = "/home/me\0mpirun\0-n\0" "4\0./app";

union any {
	struct wire_hello hello;
	struct wire_hello_reply hello_reply;
	struct wire_proof proof;
	struct wire_open open;
	struct wire_open_reply open_reply;
	struct wire_begin begin;
	struct wire_begin_reply begin_reply;
	struct wire_commit commit;
	struct wire_commit_reply commit_reply;
	struct wire_abort abort;
	struct wire_read read;
	struct wire_read_reply read_reply;
	struct wire_close close;
	struct wire_target target;
	struct wire_list_reply list;
	struct wire_show_reply show;
	struct wire_verify_reply verify;
	struct wire_stat_reply stat;
	struct wire_ask ask;
	struct wire_ask_reply ask_reply;
	struct wire_asked asked;
	struct wire_asked_reply asked_reply;
	struct wire_command command;
	struct wire_share share;
	struct wire_users_reply users;
	struct ni_request order;
	struct ni_reply answer;
	struct ni_merge merge;
};

static void free_commit(void *m)
{
	free(((struct wire_commit *)m)->set.segments);
}

static void free_commit_reply(void *m)
{
	free(((struct wire_commit_reply *)m)->epochs);
}

static void free_merge(void *m)
{
	ni_merge_free(m);
}

static void free_read(void *m)
{
	wire_read_reply_free(m);
}

static void free_open(void *m)
{
	wire_open_reply_free(m);
}

static void free_list(void *m)
{
	wire_list_reply_free(m);
}

static void free_users(void *m)
{
	wire_users_reply_free(m);
}

static void free_show(void *m)
{
	wire_show_reply_free(m);
}

static void free_stat(void *m)
{
	free(((struct wire_stat_reply *)m)->stats);
}

static void free_command(void *m)
{
	free(((struct wire_command *)m)->command.text);
}

static struct message {
	const char *name;
	wire_fields_fn *fields;
	size_t bytes;
	void (*free)(void *m);
	union any example;
} messages[] = {
	{"hello", wire_hello_fields, sizeof(struct wire_hello), NULL,
	 {.hello = {1, 2, "psk", 1000, 100, 4711, "node17", {9, 8, 7}}}},
	{"hello reply", wire_hello_reply_fields, sizeof(struct wire_hello_reply), NULL,
	 {.hello_reply = {1, "psk", 5, {1, 2, 3}}}},
	{"proof", wire_proof_fields, sizeof(struct wire_proof), NULL, {.proof = {5, {1, 2, 3, 4, 5}}}},
	{"open", wire_open_fields, sizeof(struct wire_open), NULL,
	 {.open = {"weather", 3, 4, REGION_OVERWRITE, 1, 12, {1}, {2}, 5, 1000}}},
	{"open reply", wire_open_reply_fields, sizeof(struct wire_open_reply), free_open,
	 {.open_reply = {3, 2, 4, "ofi", "tcp", "server", {1, 4, {127, 0, 0, 1}}, {2, 1, {9}}, {7}, 1 << 20, 2, infos}}},
	{"begin", wire_begin_fields, sizeof(struct wire_begin), NULL, {.begin = {8, SET_FULL, 7, 1 << 20, 4096, PERSIST_FLUSH}}},
	{"begin reply", wire_begin_reply_fields, sizeof(struct wire_begin_reply), NULL,
	 {.begin_reply = {{1, {2, 3, {4, 5, 6, 7}}}, 6, 9}}},
	{"commit", wire_commit_fields, sizeof(struct wire_commit), free_commit, {.commit = {.grant = 5}}},
	{"commit reply", wire_commit_reply_fields, sizeof(struct wire_commit_reply), free_commit_reply,
	 {.commit_reply = {4096, 5, 2, epochs}}},
	{"abort", wire_abort_fields, sizeof(struct wire_abort), NULL, {.abort = {8}}},
	{"read", wire_read_fields, sizeof(struct wire_read), NULL, {.read = {1, 7, 1}}},
	{"read reply", wire_read_reply_fields, sizeof(struct wire_read_reply), free_read,
	 {.read_reply = {.grant_count = 2, .grants = {{1, {2, 3, {4}}}, {5, {6, 7, {8, 9}}}}, .part_count = 2, .parts = parts}}},
	{"close", wire_close_fields, sizeof(struct wire_close), NULL, {.close = {8}}},
	{"target", wire_target_fields, sizeof(struct wire_target), NULL, {.target = {"job", 1, 2, 3}}},
	{"list reply", wire_list_reply_fields, sizeof(struct wire_list_reply), free_list,
	 {.list = {1, 2, jobs}}},
	{"show reply", wire_show_reply_fields, sizeof(struct wire_show_reply), free_show,
	 {.show = {.next = 1, .count = 1, .regions = regions}}},
	{"verify reply", wire_verify_reply_fields, sizeof(struct wire_verify_reply), NULL,
	 {.verify = {10, 1, "segment 0"}}},
	{"stat reply", wire_stat_reply_fields, sizeof(struct wire_stat_reply), free_stat,
	 {.stat = {2, stats}}},
	{"ask", wire_ask_fields, sizeof(struct wire_ask), NULL, {.ask = {{"job", 1, 2, 3}, WIRE_ASK_LEAVE}}},
	{"ask reply", wire_ask_reply_fields, sizeof(struct wire_ask_reply), NULL, {.ask_reply = {17}}},
	{"asked", wire_asked_fields, sizeof(struct wire_asked), NULL, {.asked = {{"", 1, 2, 3}, 16}}},
	{"asked reply", wire_asked_reply_fields, sizeof(struct wire_asked_reply), NULL,
	 {.asked_reply = {1, 2, 3, 4, 5}}},
	{"command", wire_command_fields, sizeof(struct wire_command), free_command,
	 {.command = {{sizeof(command_text), command_text}}}},
	{"no command", wire_command_fields, sizeof(struct wire_command), free_command, {.command = {{0, NULL}}}},
	{"share", wire_share_fields, sizeof(struct wire_share), NULL, {.share = {{"job", 1, 2, 3}, 4, 1}}},
	{"users reply", wire_users_reply_fields, sizeof(struct wire_users_reply), free_users, {.users = {1, 2, users}}},
	{"order", ni_request_fields, sizeof(struct ni_request), NULL,
	 {.order = {1, NI_COMMIT, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, {1}, {.epoch = 2}, "a", "b", "c", 2, {{1, 2}, {3, 4}}}}},
	{"answer", ni_reply_fields, sizeof(struct ni_reply), NULL,
	 {.answer = {1, -5, 16, {1, 2, {3, 4}}, {2, 1, {9}}, {5, 6, {7}}, 8, 9, {.epoch = 2, .table_digest = 10}, "text"}}},
	{"merge", ni_merge_fields, sizeof(struct ni_merge), free_merge,
	 {.merge = {1 << 20, 2, sources, {{.epoch = 7, .segment_count = 3}, segments, 0}}}},
};
#define MESSAGES (sizeof(messages) / sizeof(messages[0]))

static uint8_t *pack(struct message *m, size_t *bytes)
{
	struct wire_header header = {.type = WIRE_STAT, .id = 9};

	messages[7].example.commit.set = example_set;
	messages[11].example.read_reply.set = example_set;
	messages[15].example.show.job = jobs[0];
	messages[15].example.show.command.command =
		(struct command_line){sizeof(command_text), command_text};
	shown[0] = shown[1] = example_set;
	shown[1].segments = NULL; /* the same */
	regions[0] = (struct wire_region){.rank = 3, .alive = 1, .host = "n", .set_count = 2, .sets = shown};
	return wire_frame(&header, m->fields, &m->example, NULL, bytes);
}

START_TEST(every_message_comes_back_as_it_was)
{
	struct message *m = &messages[_i];
	struct wire_header header = {.type = WIRE_STAT, .id = 9};
	size_t bytes, again_bytes;
	uint8_t *frame = pack(m, &bytes), *again;
	union any out;

	memset(&out, 0, sizeof(out));
	ck_assert_ptr_nonnull(frame);
	ck_assert_msg(!wire_unpack(frame + WIRE_HEADER_BYTES, bytes - WIRE_HEADER_BYTES, m->fields, &out),
		      "%s", m->name);
	again = wire_frame(&header, m->fields, &out, NULL, &again_bytes);
	ck_assert_uint_eq(bytes, again_bytes);
	ck_assert_msg(!memcmp(frame, again, bytes), "%s", m->name);
	if (m->free)
		m->free(&out);
	else
		ck_assert_msg(!memcmp(&out, &m->example, m->bytes), "%s", m->name);
	free(frame);
	free(again);
}
END_TEST

START_TEST(a_message_cut_short_anywhere_is_refused)
{
	struct message *m = &messages[_i];
	size_t bytes;
	uint8_t *frame = pack(m, &bytes), *copy;
	union any out;

	for (size_t n = 0; n < bytes - WIRE_HEADER_BYTES; n++) {
		memset(&out, 0, sizeof(out));
		copy = malloc(n + 1); /* of its own, so that tools see a byte too far */
		memcpy(copy, frame + WIRE_HEADER_BYTES, n);
		ck_assert_msg(wire_unpack(copy, n, m->fields, &out) == -EBADMSG, "%s at %zu", m->name, n);
		if (m->free)
			m->free(&out);
		free(copy);
	}
	free(frame);
}
END_TEST

START_TEST(random_damage_never_crashes)
{
	struct message *m = &messages[_i];
	size_t bytes, payload;
	uint8_t *frame = pack(m, &bytes), *copy;
	union any out;

	payload = bytes - WIRE_HEADER_BYTES;
	srand(4711u + (unsigned)_i);
	copy = malloc(payload);
	for (unsigned rounds = unit_rounds(100000, 3000, 300); rounds; rounds--) {
		memcpy(copy, frame + WIRE_HEADER_BYTES, payload);
		for (int n = rand() % 4 + 1; n; n--)
			copy[(size_t)rand() % payload] = rand() % 3 ? (uint8_t)rand() : 0xff;
		memset(&out, 0, sizeof(out));
		wire_unpack(copy, payload, m->fields, &out);
		if (m->free)
			m->free(&out);
	}
	free(copy);
	free(frame);
}
END_TEST

/* ---- frames ---- */

START_TEST(headers_that_are_not_ours_are_told)
{
	const struct wire_header good = {WIRE_MAGIC, WIRE_VERSION, WIRE_STAT, 0, 0, 1};
	struct wire_header bad;

	ck_assert(!wire_header_check(&good, &err));
	bad = good;
	bad.magic++;
	ck_assert_int_eq(wire_header_check(&bad, &err), -EPROTO);
	bad = good;
	bad.version++;
	ck_assert_int_eq(wire_header_check(&bad, &err), -EPROTO);
	ck_assert_ptr_nonnull(strstr(err.text, "version"));
	bad = good;
	bad.bytes = WIRE_PAYLOAD_MAX + 1;
	ck_assert_int_eq(wire_header_check(&bad, &err), -EPROTO);
	bad = good;
	bad.status = 1;
	ck_assert_int_eq(wire_header_check(&bad, &err), -EPROTO);
	bad.status = INT32_MIN;
	ck_assert_int_eq(wire_header_check(&bad, &err), -EPROTO);
}
END_TEST

START_TEST(errors_carry_their_sentence)
{
	struct wire_header header = {.type = WIRE_STAT | WIRE_REPLY, .status = -ENOSPC, .id = 9}, back = {0};
	size_t bytes;
	uint8_t *frame = wire_frame(&header, NULL, NULL, "the pool is full", &bytes);
	struct cursor c = cursor_unpack(frame, WIRE_HEADER_BYTES);

	wire_header_fields(&c, &back);
	ck_assert_int_eq(wire_error(&back, frame + WIRE_HEADER_BYTES, &err), -ENOSPC);
	ck_assert_str_eq(err.text, "the pool is full");
	back.bytes--;
	ck_assert_int_eq(wire_error(&back, frame + WIRE_HEADER_BYTES, &err), -EBADMSG);
	free(frame);
}
END_TEST

START_TEST(the_largest_layout_fits_a_message_and_more_does_not)
{
	struct wire_header header = {.type = WIRE_COMMIT};
	struct wire_commit commit = {.set.info = {.epoch = 1, .segment_count = SET_SEGMENTS_MAX}}, out = {0};
	uint8_t *frame;
	size_t bytes;

	commit.set.segments = calloc(SET_SEGMENTS_MAX + 1, sizeof(*commit.set.segments));
	for (unsigned i = 0; i <= SET_SEGMENTS_MAX; i++)
		memset(commit.set.segments[i].name, 'x', SEGMENT_NAME_BYTES - 1);
	frame = wire_frame(&header, wire_commit_fields, &commit, NULL, &bytes);
	ck_assert_ptr_nonnull(frame);
	ck_assert_uint_le(bytes, LARGEST);
	ck_assert(!wire_unpack(frame + WIRE_HEADER_BYTES, bytes - WIRE_HEADER_BYTES, wire_commit_fields, &out));
	free(out.set.segments);
	free(frame);
	commit.set.info.segment_count++;
	frame = wire_frame(&header, wire_commit_fields, &commit, NULL, &bytes);
	ck_assert_ptr_nonnull(frame);
	ck_assert_int_eq(wire_unpack(frame + WIRE_HEADER_BYTES, bytes - WIRE_HEADER_BYTES,
				     wire_commit_fields, &out),
			 -EBADMSG);
	free(out.set.segments);
	free(frame);
	free(commit.set.segments);
}
END_TEST

START_TEST(what_is_no_command_line_is_refused)
{
	static char text[COMMAND_BYTES_MAX + 1] = "/";
	struct wire_header header = {.type = WIRE_RECORD};
	struct wire_command command = {{COMMAND_BYTES_MAX, text}}, out;
	const struct {
		uint32_t bytes;
		int rc;
	} cases[] = {{COMMAND_BYTES_MAX, 0}, {COMMAND_BYTES_MAX + 1, -EBADMSG}, {100, -EBADMSG}, {2, -EBADMSG}};
	uint8_t *frame;
	size_t bytes;

	memset(text + 2, 'x', COMMAND_BYTES_MAX - 3);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		command.command.bytes = cases[i].bytes;
		frame = wire_frame(&header, wire_command_fields, &command, NULL, &bytes);
		memset(&out, 0, sizeof(out));
		ck_assert_int_eq(wire_unpack(frame + WIRE_HEADER_BYTES, bytes - WIRE_HEADER_BYTES,
					     wire_command_fields, &out),
				 cases[i].rc);
		free(out.command.text);
		free(frame);
	}
}
END_TEST

START_TEST(job_names_are_printable_and_no_paths)
{
	char name[JOB_NAME_BYTES + 1];

	ck_assert(wire_job_name_ok("weather 2026-11"));
	ck_assert(!wire_job_name_ok(""));
	ck_assert(!wire_job_name_ok("../x"));
	ck_assert(!wire_job_name_ok("a\nb"));
	ck_assert(!wire_job_name_ok("a\x7f"));
	memset(name, 'a', sizeof(name));
	name[JOB_NAME_BYTES - 1] = '\0';
	ck_assert(wire_job_name_ok(name));
	name[JOB_NAME_BYTES - 1] = 'a';
	name[JOB_NAME_BYTES] = '\0';
	ck_assert(!wire_job_name_ok(name));
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *tc = tcase_create("messages");

	unit_add(suite, "cursor", fields_are_little_endian, 10);
	unit_add(suite, "cursor", strings_are_bounded_and_whole, 10);
	unit_add(suite, "cursor", arrays_are_bounded_before_they_are_allocated, 10);
	unit_add(suite, "cursor", packing_only_reads, 10);
	unit_add(suite, "cursor", what_is_left_over_is_an_error, 10);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, every_message_comes_back_as_it_was, 0, MESSAGES);
	tcase_add_loop_test(tc, a_message_cut_short_anywhere_is_refused, 0, MESSAGES);
	tcase_add_loop_test(tc, random_damage_never_crashes, 0, MESSAGES);
	suite_add_tcase(suite, tc);
	unit_add(suite, "frame", headers_that_are_not_ours_are_told, 10);
	unit_add(suite, "frame", errors_carry_their_sentence, 10);
	unit_add(suite, "frame", the_largest_layout_fits_a_message_and_more_does_not, 10);
	unit_add(suite, "frame", what_is_no_command_line_is_refused, 10);
	unit_add(suite, "frame", job_names_are_printable_and_no_paths, 10);
	return suite;
}
