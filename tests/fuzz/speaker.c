/* SPDX-License-Identifier: BSD-3-Clause */
/* speaker.c - a peer of a live server that keeps the protocol, or not: its frames, and what is made of them. */
#include "speaker.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "rank.h"
#include "saying.h"

#define ANSWER_MS 60000

const struct auth_ops *speaker_auth = &auth_none;
struct auth_key speaker_key;
struct speaker_counts speaker_counts;

/* ---- the protocol, as docs/protocol.md has it ---- */

#define IN(state)  (1u << (state))
#define ANY_LOGIN  (IN(READY) | IN(ATTACHED) | IN(WRITING))
#define AS_PRIMARY (IN(ATTACHED) | IN(WRITING))

static const struct {
	unsigned legal; /* in which states */
	wire_fields_fn *reply_fields;
} types[WIRE_TYPE_END] = {
	[WIRE_HELLO] = {IN(NEW), wire_hello_reply_fields},
	[WIRE_PROOF] = {IN(CHALLENGED), wire_proof_fields},
	[WIRE_CREATE] = {IN(READY), wire_open_reply_fields},
	[WIRE_OPEN] = {IN(READY), wire_open_reply_fields},
	[WIRE_BEGIN] = {IN(ATTACHED), wire_begin_reply_fields},
	[WIRE_COMMIT] = {IN(WRITING), wire_commit_reply_fields},
	[WIRE_ABORT] = {IN(WRITING), wire_nothing_fields},
	[WIRE_READ] = {AS_PRIMARY, wire_read_reply_fields},
	[WIRE_CLOSE] = {ANY_LOGIN, wire_nothing_fields},
	[WIRE_DROP] = {IN(READY) | IN(ATTACHED), wire_nothing_fields},
	[WIRE_LIST] = {ANY_LOGIN, wire_list_reply_fields},
	[WIRE_SHOW] = {ANY_LOGIN, wire_show_reply_fields},
	[WIRE_VERIFY] = {IN(READY), wire_verify_reply_fields},
	[WIRE_STAT] = {ANY_LOGIN, wire_stat_reply_fields},
	[WIRE_ASK] = {IN(READY), wire_ask_reply_fields},
	[WIRE_ASKED] = {ANY_LOGIN, wire_asked_reply_fields},
	[WIRE_RECORD] = {IN(ATTACHED), wire_command_fields},
	[WIRE_FENCE] = {IN(READY), wire_nothing_fields},
	[WIRE_SHARE] = {IN(READY), wire_nothing_fields},
	[WIRE_USERS] = {ANY_LOGIN, wire_users_reply_fields},
};

bool type_is_legal(const struct speaker *s, unsigned type)
{
	return type < WIRE_TYPE_END && (types[type].legal & s->states);
}

/* ---- the connection ---- */

void speaker_leave(struct speaker *s)
{
	if (s->fd >= 0)
		close(s->fd);
	net_ofi.close(s->data);
	free(s->in.at);
	free(s->out.at);
	*s = (struct speaker){.fd = -1};
}

static void ended(struct speaker *s)
{
	speaker_counts.ended++;
	speaker_leave(s);
}

static void append(struct bytes *to, const void *bytes, size_t count)
{
	to->at = realloc(to->at, to->count + count + 1);
	if (!to->at)
		abort();
	memcpy(to->at + to->count, bytes, count);
	to->count += count;
}

static void take(struct bytes *from, size_t count)
{
	from->count -= count;
	memmove(from->at, from->at + count, from->count);
}

void speaker_say(struct speaker *s, const void *bytes, size_t count)
{
	append(&s->out, bytes, count);
	s->deadline = 0;
}

/* ---- replies ---- */

static void login_granted(struct speaker *s, struct wire_proof *answer)
{
	ck_assert_msg(!speaker_auth->confirm(&s->exchange, answer, &err), "PROOF: %s", err.text);
	if (speaker_auth->seals)
		seal_begin(&s->seal, false, s->exchange.session_key);
	s->states = IN(READY);
}

static void open_granted(struct speaker *s, struct wire_open_reply *reply)
{
	s->epoch = reply->set_count ? reply->sets[reply->set_count - 1].epoch : 0;
	*epoch_known(s->open.job, s->open.rank) = s->epoch;
	s->opened = *reply;
	s->opened.sets = NULL;
	wire_open_reply_free(reply);
	net_ofi.close(s->data); /* of a region that it dropped */
	s->data = NULL;
	s->states = IN(ATTACHED);
}

/* A user who is no administrator sees nobody else's jobs. */
static void list_granted(const struct speaker *s, struct wire_list_reply *reply)
{
	for (uint32_t i = 0; i < reply->count && s->stranger; i++) {
		const struct wire_job *job = &reply->jobs[i];

		ck_assert_msg(job->uid == s->hello.uid || (job->share && job->group == s->hello.gid),
			      "job %s of uid %u is listed to uid %u", job->name, job->uid, s->hello.uid);
	}
	wire_list_reply_free(reply);
}

static void granted(struct speaker *s, const struct asked *asked, const uint8_t *payload, size_t bytes)
{
	union {
		struct wire_hello_reply hello;
		struct wire_proof proof;
		struct wire_open_reply open;
		struct wire_begin_reply begin;
		struct wire_commit_reply commit;
		struct wire_read_reply read;
		struct wire_list_reply list;
		struct wire_show_reply show;
		struct wire_verify_reply verify;
		struct wire_stat_reply stat;
		struct wire_ask_reply ask;
		struct wire_asked_reply asked;
		struct wire_command command;
		struct wire_users_reply users;
	} reply;
	const char *name = wire_type_name(asked->type);

	ck_assert_msg(type_is_legal(s, asked->type), "%s (%u) is granted in a state that forbids it (0x%x)", name,
		      asked->type, s->states);
	ck_assert_msg(!asked->foreign, "%s of another user's job is granted", name);
	memset(&reply, 0, sizeof(reply));
	ck_assert_msg(!wire_unpack(payload, bytes, types[asked->type].reply_fields, &reply),
		      "the reply to %s is malformed", name);
	speaker_counts.granted++;
	speaker_counts.granted_by[asked->type]++;
	s->states &= types[asked->type].legal;
	switch (asked->type) {
	case WIRE_HELLO:
		s->challenge = reply.hello;
		s->states = IN(CHALLENGED);
		break;
	case WIRE_PROOF:
		login_granted(s, &reply.proof);
		break;
	case WIRE_CREATE:
	case WIRE_OPEN:
		open_granted(s, &reply.open);
		break;
	case WIRE_BEGIN:
		s->begun = reply.begin;
		s->set.segments = NULL;
		s->states = IN(WRITING);
		break;
	case WIRE_COMMIT:
		free(reply.commit.epochs);
		s->epoch = *epoch_known(s->open.job, s->open.rank) = s->begin.epoch;
		s->states = IN(ATTACHED);
		break;
	case WIRE_ABORT:
		s->states = IN(ATTACHED);
		break;
	case WIRE_READ:
		if (reply.read.grant_count)
			s->read = reply.read.grants[random_below(reply.read.grant_count)];
		wire_read_reply_free(&reply.read);
		break;
	case WIRE_DROP:
		if (asked->own)
			s->states = IN(READY);
		break;
	case WIRE_LIST:
		list_granted(s, &reply.list);
		break;
	case WIRE_USERS:
		wire_users_reply_free(&reply.users);
		break;
	case WIRE_SHOW:
		wire_show_reply_free(&reply.show);
		break;
	case WIRE_STAT:
		free(reply.stat.stats);
		break;
	case WIRE_RECORD:
		free(reply.command.command.text);
		break;
	default: /* nothing to keep, or to free */
		break;
	}
}

static void refused(struct speaker *s, const struct asked *asked, const struct wire_header *header,
		    const uint8_t *payload)
{
	const char *name = wire_type_name(asked->type);
	struct error why;

	wire_error(header, payload, &why);
	ck_assert_msg(why.code < 0 && *why.text, "%s is refused without a word", name);
	speaker_counts.refused++;
	if (!type_is_legal(s, asked->type))
		ck_assert_msg(why.code == (asked->type && asked->type < WIRE_TYPE_END ? -EPROTO : -ENOSYS),
			      "%s (%u), which is not legal (0x%x), is refused with %d: %s", name, asked->type, s->states,
			      why.code, why.text);
	else if (asked->type == WIRE_COMMIT)
		s->states = IN(WRITING) | IN(ATTACHED);
	if (!type_is_legal(s, asked->type) || asked->type == WIRE_HELLO || asked->type == WIRE_PROOF ||
	    (why.code == -EBADMSG && asked->type != WIRE_COMMIT)) {
		s->mood = SPEAKER_ENDS;
		s->asked_count = 0; /* nothing behind it is answered */
	}
}

static void answered(struct speaker *s, const struct wire_header *header, const uint8_t *payload)
{
	struct asked asked = s->asked[0];

	if (!s->asked_count && s->mood == SPEAKER_RAVES)
		return; /* it found a frame in that */
	ck_assert_msg(s->asked_count, "an answer (%s) to what was not asked", wire_type_name(header->type));
	ck_assert_msg(header->type == (asked.type | WIRE_REPLY) && header->id == asked.id,
		      "an answer of type 0x%x, id %llu, to %s, id %llu", header->type, (unsigned long long)header->id,
		      wire_type_name(asked.type), (unsigned long long)asked.id);
	memmove(s->asked, s->asked + 1, --s->asked_count * sizeof(*s->asked));
	s->deadline = 0;
	if (header->status)
		refused(s, &asked, header, payload);
	else
		granted(s, &asked, payload, header->bytes);
}

/* The first frame of what has come, where it is there as a whole. */
static bool frame_take(struct speaker *s)
{
	struct wire_header header;
	struct cursor c;
	size_t whole;

	if (s->in.count < WIRE_HEADER_BYTES)
		return false;
	c = cursor_unpack(s->in.at, WIRE_HEADER_BYTES);
	wire_header_fields(&c, &header);
	ck_assert_msg(!wire_header_check(&header, &err), "the header of an answer: %s", err.text);
	whole = WIRE_HEADER_BYTES + header.bytes;
	if (s->in.count < whole + seal_bytes(&s->seal))
		return false;
	ck_assert_msg(seal_check(&s->seal, s->in.at, whole), "the seal of an answer to %s",
		      wire_type_name(header.type & ~WIRE_REPLY));
	whole += seal_bytes(&s->seal);
	answered(s, &header, s->in.at + WIRE_HEADER_BYTES);
	take(&s->in, whole);
	return true;
}

/* ---- bytes ---- */

static void send_some(struct speaker *s)
{
	size_t count = s->out.count;
	ssize_t n;

	if (s->trickles && count > 40)
		count = 1 + random_below(40);
	n = count ? send(s->fd, s->out.at, count, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (n > 0)
		take(&s->out, (size_t)n);
	/* Whoever has gone is seen by recv(). */
}

static void receive_some(struct speaker *s)
{
	static uint8_t buffer[1u << 18];
	ssize_t n = recv(s->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		append(&s->in, buffer, (size_t)n);
	while (frame_take(s))
		continue;
	if (n <= 0)
		ended(s); /* which it may at any time: another one takes over, fences, or ends the NI */
}

bool speaker_waits(const struct speaker *s)
{
	return s->fd >= 0 && (s->asked_count || s->mood != SPEAKER_SPEAKS);
}

void speaker_pump(struct speaker *s)
{
	bool due;

	if (s->fd < 0)
		return;
	send_some(s);
	receive_some(s);
	due = s->fd >= 0 && !s->out.count && (s->asked_count || s->mood == SPEAKER_ENDS);
	if (due && !s->deadline)
		s->deadline = deadline_in_ms(ANSWER_MS);
	if (due && !deadline_left_ms(s->deadline))
		ck_abort_msg("%s: nothing came within %u s", s->asked_count ? wire_type_name(s->asked[0].type)
								: "the end of a session", ANSWER_MS / 1000);
}
