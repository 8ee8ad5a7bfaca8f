/* SPDX-License-Identifier: BSD-3-Clause */
/* saying.c - what a speaker says, and writes, by chance. */
#include "saying.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/size.h"
#include "wire/table.h"
#include "rank.h"

#define PAYLOAD_ROOM (WIRE_PAYLOAD_MAX + 4096)
#define SET_BYTES    (192u << 10)
#define DATA_MS	     5000

#define ONE_OF(array) ((array)[random_below(sizeof(array) / sizeof((array)[0]))])

static bool once_in(unsigned n)
{
	return !random_below(n);
}

/* Numbers at which something ends. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {0, 1, 2, 4095, 4096, 65536, 1u << 20, INT32_MAX, UINT32_MAX, 1ull << 32, INT64_MAX,
					 1ull << 63, UINT64_MAX - 4095, UINT64_MAX};

	return once_in(8) ? (uint64_t)random_below(UINT32_MAX) << random_below(33) : ONE_OF(edges);
}

/* ---- frames ---- */

/* Fields lie where they lie: some of these bytes are one. */
static void payload_spoil(uint8_t *payload, size_t *bytes)
{
	uint64_t value;
	size_t n;

	for (unsigned rounds = 1 + random_below(3); rounds; rounds--) {
		switch (random_below(12)) {
		case 0: /* cut */
			*bytes -= *bytes ? random_below((unsigned)*bytes + 1) : 0;
			break;
		case 1: /* more of it */
			for (n = 1 + random_below(64); n; n--)
				payload[(*bytes)++] = (uint8_t)random_below(256);
			break;
		default:
			value = edge();
			n = 1u << random_below(4);
			if (n <= *bytes)
				memcpy(payload + random_below((unsigned)(*bytes - n) + 1), &value, n);
		}
	}
}

static bool of_foreign_job(const struct speaker *s, const struct wire_target *target)
{
	return s->stranger && target->uid == geteuid() &&
	       !strncmp(target->job, SPEAKER_HONEST, strlen(SPEAKER_HONEST));
}

/* What the server will read in it, to know what it may answer. */
static struct asked asked_about(struct speaker *s, unsigned type, const uint8_t *payload, size_t bytes)
{
	struct asked asked = {.type = (uint16_t)type, .id = s->last_id};
	struct wire_target target = {0};
	struct wire_asked about = {0};
	struct wire_share share = {0};
	struct wire_ask ask = {0};
	struct wire_hello hello = {0};

	switch (type) {
	case WIRE_HELLO:
		if (s->states != 1u << NEW || s->asked_count)
			break; /* it will be refused, and changes nothing */
		wire_unpack(payload, bytes, wire_hello_fields, &hello);
		s->hello = hello;
		s->stranger = hello.uid && hello.uid != geteuid();
		break;
	case WIRE_DROP:
	case WIRE_SHOW:
	case WIRE_VERIFY:
	case WIRE_FENCE:
		wire_unpack(payload, bytes, wire_target_fields, &target);
		asked.own = type == WIRE_DROP && !*target.job;
		break;
	case WIRE_ASK:
		wire_unpack(payload, bytes, wire_ask_fields, &ask);
		target = ask.target;
		break;
	case WIRE_SHARE:
		wire_unpack(payload, bytes, wire_share_fields, &share);
		target = share.target;
		break;
	case WIRE_ASKED:
		wire_unpack(payload, bytes, wire_asked_fields, &about);
		target = about.target;
		break;
	default: /* names no job, or makes its own */
		break;
	}
	asked.foreign = of_foreign_job(s, &target);
	return asked;
}

/* The server must see that this is no request. */
static void header_spoil(struct wire_header *header)
{
	switch (random_below(5)) {
	case 0:
		header->magic ^= 1u << random_below(32);
		break;
	case 1:
		header->version = (uint16_t)(WIRE_VERSION + 1 + random_below(UINT16_MAX));
		break;
	case 2:
		header->type |= WIRE_REPLY;
		break;
	case 3:
		header->status = (int32_t)(1 + random_below(UINT32_MAX));
		break;
	default:
		header->bytes = WIRE_PAYLOAD_MAX + 1 + random_below(UINT32_MAX - WIRE_PAYLOAD_MAX);
	}
}

/* The payload is at the frame's WIRE_HEADER_BYTES; there is room for a seal behind it. */
static void frame_say(struct speaker *s, unsigned type, uint8_t *frame, size_t bytes)
{
	struct wire_header header = {WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, (uint32_t)bytes, 0, ++s->last_id};
	size_t whole = WIRE_HEADER_BYTES + bytes, sent;
	struct cursor c = cursor_pack(frame, WIRE_HEADER_BYTES);
	struct asked asked;
	bool good = false;

	switch (random_below(200)) {
	case 0:
		header_spoil(&header);
		s->mood = SPEAKER_ENDS;
		break;
	case 1:
		header.bytes += 1 + random_below(100);
		s->mood = SPEAKER_RAVES;
		break;
	case 2:
		header.bytes -= bytes ? 1 + random_below((unsigned)bytes) : 0;
		s->mood = SPEAKER_RAVES;
		break;
	default:
		good = true;
	}
	wire_header_fields(&c, &header);
	seal_set(&s->seal, frame, whole);
	whole += seal_bytes(&s->seal);
	if (seal_bytes(&s->seal) && once_in(150)) {
		frame[random_below((unsigned)whole)] ^= (uint8_t)(1 + random_below(255));
		s->mood = good ? SPEAKER_RAVES : s->mood; /* it may be the length that is another */
		good = false;
	}
	sent = whole;
	if (good && once_in(150)) {
		sent = random_below((unsigned)whole);
		s->mood = SPEAKER_RAVES;
		good = false;
	}
	if (good) {
		asked = asked_about(s, type, frame + WIRE_HEADER_BYTES, bytes);
		s->asked[s->asked_count++] = asked;
	}
	speaker_counts.frames++;
	speaker_say(s, frame, sent);
}

static void request_say(struct speaker *s, unsigned type, wire_fields_fn *fields, void *message)
{
	static uint8_t frame[WIRE_HEADER_BYTES + PAYLOAD_ROOM + SEAL_BYTES];
	uint8_t *payload = frame + WIRE_HEADER_BYTES;
	struct cursor c = cursor_pack(payload, WIRE_PAYLOAD_MAX);
	size_t bytes;

	fields(&c, message);
	if (!cursor_ok(&c))
		return;
	bytes = (size_t)(c.at - payload);
	if (once_in(type == WIRE_HELLO || type == WIRE_PROOF ? 60 : 20))
		payload_spoil(payload, &bytes);
	if (bytes > WIRE_PAYLOAD_MAX)
		bytes = WIRE_PAYLOAD_MAX;
	frame_say(s, type, frame, bytes);
}

static void nonsense_say(struct speaker *s)
{
	uint8_t bytes[5000];
	size_t count = 1 + random_below(sizeof(bytes));

	for (size_t i = 0; i < count; i++)
		bytes[i] = (uint8_t)random_below(256);
	s->mood = SPEAKER_RAVES;
	speaker_say(s, bytes, count);
}

/* ---- the fields of requests: what could be right, and edges ---- */

#define JOBS  4
#define RANKS 2

uint64_t *epoch_known(const char *job, uint32_t rank)
{
	static uint64_t known[JOBS][RANKS], unknown;
	unsigned number = (unsigned)job[0] == 'h' ? (unsigned)job[1] - '0' : JOBS;

	return number < JOBS && rank < RANKS ? &known[number][rank] : &unknown;
}

static void job_name(char name[JOB_NAME_BYTES])
{
	static const char *const odd[] = {"", "/", "a/b", "..", "h\n", "h\x7f", "\xff\xfe", " ", "h0 "};

	if (!once_in(20))
		snprintf(name, JOB_NAME_BYTES, "h%u", random_below(JOBS));
	else if (once_in(2))
		memset(name, 'l', JOB_NAME_BYTES - 1);
	else
		snprintf(name, JOB_NAME_BYTES, "%s", ONE_OF(odd));
}

static uint64_t epoch_near(const struct speaker *s)
{
	return once_in(15) ? edge() : s->epoch + random_below(4) - 1;
}

static struct wire_target target_any(const struct speaker *s)
{
	struct wire_target target = {.uid = WIRE_UID_SELF, .rank = random_below(RANKS)};

	job_name(target.job);
	target.epoch = once_in(4) ? epoch_near(s) : *epoch_known(target.job, target.rank);
	if (once_in(4))
		target.uid = once_in(2) ? geteuid() : SPEAKER_STRANGER;
	if (s->stranger && once_in(6)) { /* which it must not get at */
		target.uid = geteuid();
		snprintf(target.job, sizeof(target.job), SPEAKER_HONEST "%u", random_below(2));
	}
	if (once_in(10))
		target.rank = (uint32_t)edge();
	return target;
}

static void hello_say(struct speaker *s)
{
	struct wire_hello hello = {.version_min = WIRE_VERSION, .version_max = WIRE_VERSION, .uid = geteuid(),
				   .gid = getegid(), .pid = (uint32_t)getpid(), .host = "somewhere"};

	if (!geteuid() && once_in(3))
		hello.uid = hello.gid = SPEAKER_STRANGER;
	if (once_in(30))
		hello.version_min = (uint16_t)edge();
	snprintf(hello.auth, sizeof(hello.auth), "%s", once_in(30) ? "psk" : speaker_auth->name);
	for (size_t i = 0; i < sizeof(hello.nonce); i++)
		hello.nonce[i] = (uint8_t)random_below(256);
	request_say(s, WIRE_HELLO, wire_hello_fields, &hello);
}

static void proof_say(struct speaker *s)
{
	struct wire_proof proof = {0};

	s->exchange = (struct auth_exchange){
		.hello = &s->hello, .reply = &s->challenge, .keys = {&speaker_key}, .key_count = 1};
	ck_assert_msg(!speaker_auth->prove(&s->exchange, &proof, &err), "%s", err.text);
	request_say(s, WIRE_PROOF, wire_proof_fields, &proof);
}

static void open_say(struct speaker *s, unsigned type)
{
	struct wire_open *open = &s->open;

	*open = (struct wire_open){.rank = random_below(RANKS), .ranks = RANKS, .uid = WIRE_UID_SELF};
	if (once_in(6))
		open->uid = once_in(2) ? geteuid() : SPEAKER_STRANGER;
	job_name(open->job);
	open->mode = once_in(10) ? 1 + random_below(2) : 1 + (open->job[1] & 1u); /* the same one each time */
	if (type == WIRE_OPEN) {
		open->flags = random_below(4);
		open->generation = once_in(4) ? edge() : s->opened.generation + random_below(2);
		open->incarnation = random_below(3);
	}
	open->launch[0] = (uint8_t)random_below(3);
	open->client[0] = (uint8_t)random_below(3);
	if (once_in(20))
		open->ranks = (uint32_t)edge();
	if (once_in(20))
		open->mode = (uint32_t)edge();
	if (once_in(20))
		open->flags = (uint32_t)edge();
	request_say(s, type, wire_open_fields, open);
}

static void begin_say(struct speaker *s)
{
	static const uint64_t sizes[] = {SET_BYTES, SET_BYTES, SET_BYTES, 1, 4096, 1u << 20, 3u << 20, 48u << 20};
	struct wire_begin *begin = &s->begin;

	*begin = (struct wire_begin){
		.epoch = once_in(8) ? epoch_near(s) : s->epoch + 1,
		.kind = once_in(20) ? (uint32_t)edge() : 1 + random_below(2),
		.keep = once_in(8) ? epoch_near(s) : s->epoch,
		.bytes = once_in(20) ? edge() : ONE_OF(sizes),
		.block_bytes = once_in(20) ? edge() : SET_BLOCK_MIN << random_below(3),
		.persist = once_in(20) ? (uint32_t)edge() : PERSIST_SERVER,
	};
	request_say(s, WIRE_BEGIN, wire_begin_fields, begin);
}

static void set_info_spoil(struct set_info *info)
{
	uint64_t *const numbers[] = {&info->epoch, &info->data_bytes, &info->table_offset, &info->table_bytes,
				     &info->table_digest, &info->time_ns, &info->generation, &info->block_bytes};

	*ONE_OF(numbers) = edge();
}

static void commit_say(struct speaker *s)
{
	static struct segment segments[SET_SEGMENTS_MAX + 1];
	struct wire_commit commit = {once_in(30) ? edge() : s->begun.grant.grant, s->set};

	if (!s->set.segments || once_in(20)) { /* of what was not written */
		commit.set = (struct wire_set){
			{.epoch = s->begin.epoch, .kind = s->begin.kind, .data_bytes = 4096, .table_offset = 4096,
			 .table_bytes = 64, .block_bytes = s->begin.block_bytes,
			 .segment_count = once_in(10) ? random_below(SET_SEGMENTS_MAX + 2) : random_below(4)},
			segments, 0};
		for (uint32_t i = 0; i < commit.set.info.segment_count; i++)
			segments[i] = (struct segment){"s", (uint32_t)random_below(ELEMENT_TYPE_END + 1), random_below(9), edge()};
	}
	if (once_in(6))
		set_info_spoil(&commit.set.info);
	request_say(s, WIRE_COMMIT, wire_commit_fields, &commit);
}

static void command_say(struct speaker *s)
{
	char text[200];
	struct wire_command command = {{random_below(sizeof(text)), text}};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(once_in(10) ? 0 : 'a' + random_below(26));
	text[0] = '/';
	if (command.command.bytes)
		text[command.command.bytes - 1] = '\0';
	request_say(s, WIRE_RECORD, wire_command_fields, &command);
}

static void type_say(struct speaker *s, unsigned type)
{
	struct wire_abort abort = {once_in(6) ? epoch_near(s) : s->begin.epoch};
	struct wire_read read = {random_below(RANKS), 0, once_in(4)};
	struct wire_close close = {once_in(6) ? edge() : once_in(6) ? s->begun.grant.grant : s->read.grant};
	struct wire_asked asked = {target_any(s), once_in(2) ? edge() : 0};
	struct wire_ask ask = {target_any(s), once_in(6) ? (uint32_t)edge() : 1 + random_below(3)};
	struct wire_share share = {target_any(s), once_in(6) ? (uint32_t)edge() : SPEAKER_STRANGER,
				   once_in(6) ? (uint32_t)edge() : random_below(3)};
	struct wire_target target = target_any(s);

	switch (type) {
	case WIRE_HELLO:
		hello_say(s);
		break;
	case WIRE_PROOF:
		proof_say(s);
		break;
	case WIRE_CREATE:
	case WIRE_OPEN:
		open_say(s, type);
		break;
	case WIRE_BEGIN:
		begin_say(s);
		break;
	case WIRE_COMMIT:
		commit_say(s);
		break;
	case WIRE_ABORT:
		request_say(s, type, wire_abort_fields, &abort);
		break;
	case WIRE_READ:
		read.epoch = once_in(4) ? epoch_near(s) : *epoch_known(s->open.job, read.rank);
		if (once_in(20))
			read.rank = (uint32_t)edge();
		request_say(s, type, wire_read_fields, &read);
		break;
	case WIRE_CLOSE:
		request_say(s, type, wire_close_fields, &close);
		break;
	case WIRE_STAT:
		request_say(s, type, wire_nothing_fields, NULL);
		break;
	case WIRE_ASK:
		request_say(s, type, wire_ask_fields, &ask);
		break;
	case WIRE_SHARE:
		request_say(s, type, wire_share_fields, &share);
		break;
	case WIRE_ASKED:
		if (once_in(2))
			*asked.target.job = '\0';
		request_say(s, type, wire_asked_fields, &asked);
		break;
	case WIRE_RECORD:
		command_say(s);
		break;
	default: /* those with a target, and those that are none */
		if (type == WIRE_DROP && once_in(3))
			*target.job = '\0';
		request_say(s, type, wire_target_fields, &target);
	}
}

/* ---- the data plane ---- */

static void data_leave(struct speaker *s)
{
	net_ofi.close(s->data);
	s->data = NULL;
}

static void data_connect(struct speaker *s)
{
	struct net_params params = {.provider = s->opened.provider};

	if (once_in(20))
		s->opened.token[random_below(NET_TOKEN_BYTES)] ^= 1;
	if (net_ofi.connect(&params, &s->opened.address, s->opened.token, deadline_in_ms(DATA_MS), &s->data, &err))
		s->data = NULL;
}

/* One transfer; who may not is cut off by the other side. */
static void transfer(struct speaker *s, const struct net_key *key, void *local, uint64_t offset, size_t bytes, bool write)
{
	struct net_transfer t = {.local = local, .offset = offset, .bytes = bytes, .write = write}, *done;

	speaker_counts.transfers++;
	if (net_ofi.submit(s->data, key, &t, &err) ||
	    net_ofi.reap(s->data, &done, 1, deadline_in_ms(DATA_MS), &err) != 1 || t.status)
		data_leave(s);
}

/* A set that its COMMIT can describe. */
static void set_write(struct speaker *s)
{
	static uint8_t buffer[SET_BYTES];
	uint64_t bytes = 1 + random_below(SET_BYTES / 2), block = s->begin.block_bytes, blocks = table_blocks(bytes, block);
	uint64_t at = size_round_up(bytes, SET_ALIGN), table_bytes = table_size(1, 1, blocks);
	struct table table;

	if (at + table_bytes > sizeof(buffer))
		return;
	memset(buffer, (int)random_below(256), sizeof(buffer));
	memset(buffer + at, 0, table_bytes);
	s->segment = (struct segment){"data", ELEMENT_BYTE, 1, bytes};
	table = table_init(buffer + at, block, 1, 1, blocks);
	table.header->epoch = s->begin.epoch;
	table.header->rank = s->open.rank;
	table.segment_ids[0] = table_segment_id(&s->segment);
	table.extents[0].bytes = bytes;
	for (uint64_t i = 0; i < blocks; i++)
		table.checksums[i] = checksum(buffer + i * block, bytes - i * block < block ? bytes - i * block : block);
	if (once_in(5)) { /* something in the table is not so, and its digest is right */
		uint64_t value = edge();

		memcpy(buffer + at + 8 * random_below((unsigned)(table_bytes / 8)), &value, sizeof(value));
	}
	s->set = (struct wire_set){{.epoch = s->begin.epoch, .kind = s->begin.kind, .segment_count = 1, .data_bytes = at,
				    .table_offset = at, .table_bytes = table_bytes,
				    .table_digest = checksum(buffer + at, table_bytes), .block_bytes = block},
				   &s->segment, 0};
	transfer(s, &s->begun.grant.key, buffer, 0, at + table_bytes, true);
}

/* Anywhere, with a key that is its own, was, or is none. */
static void data_try(struct speaker *s)
{
	static uint8_t buffer[8192];
	struct net_key key = once_in(2) ? s->begun.grant.key : s->read.key;
	uint64_t offset = once_in(4) ? edge() : random_below(SET_BYTES);

	if (once_in(8))
		key.keys[0] = edge();
	if (once_in(8))
		key.address = edge();
	transfer(s, &key, buffer, offset, 1 + random_below(sizeof(buffer)), once_in(2));
}

static bool data_act(struct speaker *s)
{
	bool attached = s->states & (1u << ATTACHED | 1u << WRITING), writing = s->states == 1u << WRITING;

	if (!attached || s->asked_count)
		return false;
	if (!s->data && !once_in(8)) {
		data_connect(s);
		return true;
	}
	if (!s->data)
		return false;
	if (writing && !s->set.segments && !once_in(6)) {
		set_write(s);
		return true;
	}
	if (once_in(12)) {
		data_try(s);
		return true;
	}
	if (once_in(200))
		data_leave(s);
	return false;
}

/* ---- what comes next ---- */

/* A request that is legal; what a client would mostly say. */
static unsigned type_legal(const struct speaker *s)
{
	static const unsigned common[] = {WIRE_CREATE, WIRE_OPEN, WIRE_OPEN, WIRE_BEGIN, WIRE_BEGIN, WIRE_COMMIT, WIRE_COMMIT,
					  WIRE_COMMIT, WIRE_READ, WIRE_READ};
	unsigned type;

	if (s->states & 1u << NEW)
		return WIRE_HELLO;
	if (s->states & 1u << CHALLENGED)
		return WIRE_PROOF;
	do {
		type = once_in(4) ? random_below(WIRE_TYPE_END) : ONE_OF(common);
	} while (!type_is_legal(s, type));
	return type;
}

static void connect_anew(struct speaker *s)
{
	*s = (struct speaker){.fd = pmu_connect(&pmu), .states = 1u << NEW, .trickles = once_in(10)};
}

void speaker_act(struct speaker *s)
{
	unsigned most = once_in(60) ? SPEAKER_ASKED_MAX : 1;

	if (s->fd < 0)
		connect_anew(s);
	else if (once_in(300) || (s->mood == SPEAKER_RAVES && once_in(10)))
		speaker_leave(s);
	else if (s->mood != SPEAKER_SPEAKS || s->asked_count >= most || data_act(s))
		return; /* it listens, or has done something */
	else if (once_in(200))
		nonsense_say(s);
	else if (once_in(60)) /* any, also such as are none */
		type_say(s, random_below(WIRE_TYPE_END + 3));
	else
		type_say(s, type_legal(s));
}
