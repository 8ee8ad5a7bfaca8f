/* SPDX-License-Identifier: BSD-3-Clause */
/* read.c - READ, CLOSE and VERIFY: how a published set is read, by the fabric or by the server itself. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/testpoint.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

/* What restores an epoch: its base's slot, and ranges of the log where there are increments. */
struct found {
	struct region *region;
	struct chain chain;
	const struct set_info *set; /* of the epoch itself */
	uint64_t place;		    /* of that, in its file */
	struct range {
		unsigned slot;
		uint64_t offset, bytes;
	} ranges[WIRE_READ_GRANTS_MAX];
	unsigned range_count;
};

static uint64_t set_bytes(const struct set_info *set)
{
	return set->table_offset + set->table_bytes;
}

static int by_place(const void *a, const void *b)
{
	const struct range *one = a, *two = b;

	return one->offset < two->offset ? -1 : one->offset > two->offset;
}

/* What lies between range i and the one before it. */
static uint64_t gap_before(const struct range *ranges, unsigned i)
{
	return ranges[i].offset - (ranges[i - 1].offset + ranges[i - 1].bytes);
}

/* Joins range i with the one before it. */
static void join(struct range *ranges, unsigned *count, unsigned i)
{
	ranges[i - 1].bytes = ranges[i].offset + ranges[i].bytes - ranges[i - 1].offset;
	memmove(&ranges[i], &ranges[i + 1], (--*count - i) * sizeof(*ranges));
}

/*
 * The ranges of the log that the chain's increments lie in: those that lie side by side are one, and then as many as
 * grants allow, with the smallest gaps in them. What is free between is somebody's to write: that would cut readers off.
 */
static int log_ranges(struct found *found, struct error *err)
{
	unsigned count = found->chain.end - found->chain.first, narrowest;
	struct range *ranges = calloc(count, sizeof(*ranges));

	if (!ranges)
		return error_nomem(err, "the ranges of a chain");
	for (unsigned i = 0; i < count; i++) {
		const struct increment_info *increment = region_increment(found->region, found->chain.first + i);

		ranges[i] = (struct range){SLOT_LOG, increment->place, set_bytes(&increment->set)};
	}
	qsort(ranges, count, sizeof(*ranges), by_place);
	for (unsigned i = count; i-- > 1;) {
		if (gap_before(ranges, i) < SET_ALIGN)
			join(ranges, &count, i);
	}
	while (count > WIRE_READ_GRANTS_MAX - 1) {
		narrowest = 1;
		for (unsigned i = 2; i < count; i++) {
			if (gap_before(ranges, i) < gap_before(ranges, narrowest))
				narrowest = i;
		}
		join(ranges, &count, narrowest);
	}
	memcpy(&found->ranges[1], ranges, count * sizeof(*ranges));
	found->range_count = 1 + count;
	free(ranges);
	return 0;
}

/* Which of the ranges an increment lies in. */
static unsigned range_of(const struct found *found, const struct increment_info *increment)
{
	unsigned i = found->range_count - 1;

	while (found->ranges[i].offset > increment->place)
		i--;
	return i;
}

/* Looked up anew at each step: it may be withdrawn meanwhile. Fails the request (-ENOENT) where there is no such set. */
static bool find_set(struct session *session, const struct job *job, uint32_t rank, uint64_t epoch,
		     struct found *found)
{
	const struct increment_info *last;
	struct error err;

	found->region = rank < job_ranks(job) ? job_region(job, rank) : NULL;
	if (!found->region || region_chain(found->region, epoch, &found->chain)) {
		error_set(&err, -ENOENT, "rank %u of job '%s' holds no set of epoch %llu", rank, job_name(job),
			  (unsigned long long)epoch);
		session_fail(session, &err);
		return false;
	}
	found->set = region_set(found->region, found->chain.slot);
	found->place = 0;
	found->ranges[0] = (struct range){found->chain.slot, 0, set_bytes(found->set)};
	found->range_count = 1;
	if (found->chain.first < found->chain.end) {
		last = region_increment(found->region, found->chain.end - 1);
		found->set = &last->set;
		found->place = last->place;
		if (log_ranges(found, &err)) {
			session_fail(session, &err);
			return false;
		}
	}
	return true;
}

static void fail_with(struct session *session, const struct ni_reply *reply)
{
	struct error err;

	error_set(&err, reply->status, "%s", reply->text);
	session_fail(session, &err);
}

/* ---- READ ---- */

static void read_step(struct session *session);

static bool find_read(struct session *session, struct found *found)
{
	return find_set(session, session->job, session->read.rank, session->read.epoch, found);
}

static struct wire_set set_described(const struct found *found)
{
	return (struct wire_set){*found->set,
				 (struct segment *)region_segments_of(found->region, found->set->epoch), 0};
}

/* Gives up what was granted so far. */
static void read_undo(struct session *session)
{
	while (session->read_granted) {
		struct ni_request request = {
			.type = NI_REVOKE,
			.grant = session->read_grants[--session->read_granted].grant,
		};

		if (!att_find(&session->server->att, session, request.grant))
			continue;
		att_remove(&session->server->att, request.grant);
		if (session->ni)
			ni_process_order(session->ni, &request, -1, NULL, NULL);
	}
}

static void read_fail(struct session *session, const struct error *err)
{
	read_undo(session);
	session_fail(session, err);
}

/* What was granted is what the set needs still: somebody may have begun to overwrite, and written anew. */
static bool read_grants_hold(const struct session *session, const struct found *found)
{
	for (unsigned i = 0; i < found->range_count; i++) {
		const struct range *range = &found->ranges[i];
		const struct att_entry *entry =
			i < session->read_granted
				? att_find(&session->server->att, session, session->read_grants[i].grant)
				: NULL;

		if (!entry || entry->file != region_slot_file(found->region, range->slot) ||
		    entry->offset != range->offset || entry->bytes != range->bytes)
			return false;
	}
	return true;
}

static void read_reply(struct session *session, const struct found *found)
{
	unsigned increments = found->chain.end - found->chain.first;
	struct wire_read_reply answer = {
		.grant_count = found->range_count,
		.set = set_described(found),
		.parts = calloc(1 + increments, sizeof(*answer.parts)),
	};
	struct error err;

	if (!answer.parts) {
		error_nomem(&err, "the parts of a set");
		read_fail(session, &err);
		return;
	}
	for (unsigned i = 0; i < found->range_count; i++)
		answer.grants[i] = session->read_grants[i];
	answer.parts[answer.part_count++].info = *region_set(found->region, found->chain.slot);
	for (unsigned i = found->chain.first; i < found->chain.end; i++) {
		const struct increment_info *increment = region_increment(found->region, i);
		unsigned range = range_of(found, increment);

		answer.parts[answer.part_count++] = (struct wire_part){
			increment->set, range, increment->place - found->ranges[range].offset};
	}
	session->server->counters.reads++;
	session->read_granted = 0; /* they are the client's now, to be closed */
	session_reply(session, wire_read_reply_fields, &answer);
	free(answer.parts);
}

static void read_exposed(struct session *session, const struct ni_reply *reply)
{
	struct wire_grant *grant = &session->read_grants[session->read_granted++];
	struct error err;

	grant->key = reply->key;
	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		read_fail(session, &err);
		return;
	}
	TEST_POINT("pmm.read.granted");
	read_step(session);
}

static void read_mapped(struct session *session, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_EXPOSE, .peer = session->id, .rights = NET_READ};
	const struct range *range;
	struct att_entry *entry;
	struct found found;
	struct error err;

	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		read_fail(session, &err);
		return;
	}
	if (!find_read(session, &found)) {
		read_undo(session);
		return;
	}
	if (session->read_granted >= found.range_count) {
		read_step(session); /* it is another set by now, and shorter */
		return;
	}
	range = &found.ranges[session->read_granted];
	request.file = region_slot_file(found.region, range->slot);
	request.offset = range->offset;
	request.bytes = range->bytes;
	entry = att_add(&session->server->att, session, request.file, request.offset, request.bytes, NET_READ,
			region_generation(found.region));
	if (!entry) {
		error_nomem(&err, "a grant");
		read_fail(session, &err);
		return;
	}
	session->read_grants[session->read_granted].grant = request.grant = entry->grant;
	session_order(session, &request, -1, read_exposed);
}

/* Maps and exposes one range after the other, and answers. */
static void read_step(struct session *session)
{
	struct found found;
	struct error err;

	if (!find_read(session, &found)) {
		read_undo(session);
	} else if (session->read_granted < found.range_count) {
		request_map(session, found.region, found.ranges[session->read_granted].slot, read_mapped);
	} else if (read_grants_hold(session, &found)) {
		read_reply(session, &found);
	} else {
		error_set(&err, -EAGAIN, "epoch %llu of rank %u was overwritten while it was to be exposed: read again",
			  (unsigned long long)session->read.epoch, session->read.rank);
		read_fail(session, &err);
	}
}

/* Whoever touched those would get no bytes, but SIGBUS. */
static bool range_on_bad_blocks(const struct found *found)
{
	for (unsigned i = 0; i < found->range_count; i++) {
		const struct range *range = &found->ranges[i];

		if (region_range_bad(found->region, range->slot, range->offset, range->bytes))
			return true;
	}
	return false;
}

void request_read(struct session *session, const void *payload, size_t bytes)
{
	struct found found;
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_read_fields, &session->read) ||
	    !find_read(session, &found))
		return;
	if (session->read.layout_only) {
		struct wire_read_reply answer = {.set = set_described(&found)};

		session_reply(session, wire_read_reply_fields, &answer);
	} else if (session->state == SESSION_WRITING) {
		error_set(&err, -EPROTO, "READ between BEGIN and COMMIT: end the set first");
		session_fail(session, &err);
	} else if (range_on_bad_blocks(&found)) {
		error_set(&err, -EILSEQ, "epoch %llu of rank %u lies on bad blocks of the server's device: go on from another "
			  "epoch ('pmuctl show' lists them)",
			  (unsigned long long)session->read.epoch, session->read.rank);
		session_fail(session, &err);
	} else {
		read_undo(session); /* what an earlier one that failed may have left */
		read_step(session);
	}
}

/* ---- CLOSE ---- */

static void closed(struct session *session, const struct ni_reply *reply)
{
	(void)reply; /* a NI that cannot revoke is dead, and the grant with it */
	session_reply(session, wire_nothing_fields, NULL);
}

void request_close(struct session *session, const void *payload, size_t bytes)
{
	struct ni_request request = {.type = NI_REVOKE};
	struct wire_close close;
	struct att_entry *entry;

	if (!request_unpack(session, payload, bytes, wire_close_fields, &close))
		return;
	entry = att_find(&session->server->att, session, close.grant);
	if (!entry || entry->rights != NET_READ) {
		session_reply(session, wire_nothing_fields, NULL); /* it was revoked before */
		return;
	}
	request.grant = entry->grant;
	att_remove(&session->server->att, entry->grant);
	session_order(session, &request, -1, closed);
}

/* ---- VERIFY ---- */

/* Looked up anew at each step: it may be overwritten meanwhile. */
static bool find_target(struct session *session, struct job **job, struct found *found)
{
	const struct wire_target *target = &session->target;

	*job = request_job(session, target, JOB_SHARE_READ);
	return *job && find_set(session, *job, target->rank, target->epoch, found);
}

/* The last of its ranges is the one in which the set itself lies. */
static unsigned slot_of(const struct found *found)
{
	return found->ranges[found->range_count - 1].slot;
}

static void verify_mapped(struct session *session, const struct ni_reply *reply);

static void verified(struct session *session, const struct ni_reply *reply)
{
	struct wire_verify_reply answer = {reply->blocks, reply->bad_blocks, ""};
	struct ni_request unmap = {.type = NI_UNMAP};
	struct found found;
	struct job *job;

	if (!find_target(session, &job, &found))
		return; /* overwritten while it was read: what was found means nothing */
	if (reply->status == -ENOENT || found.set->table_digest != session->verified_digest) {
		/* The last session of the job left, and its slots were unmapped; or sets were merged: another one now. */
		request_map(session, found.region, slot_of(&found), verify_mapped);
		return;
	}
	if (reply->status) {
		fail_with(session, reply);
		return;
	}
	unmap.file = region_slot_file(found.region, slot_of(&found));
	if (!job_session_count(job))
		ni_process_order(session->ni, &unmap, -1, NULL, NULL);
	snprintf(answer.detail, sizeof(answer.detail), "%.255s", reply->text);
	session_reply(session, wire_verify_reply_fields, &answer);
}

static void verify_mapped(struct session *session, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_VERIFY, .rank = session->target.rank};
	struct found found;
	struct job *job;

	if (reply->status) {
		fail_with(session, reply);
		return;
	}
	if (!find_target(session, &job, &found))
		return;
	request.file = region_slot_file(found.region, slot_of(&found));
	request.set = *found.set;
	session->verified_digest = found.set->table_digest;
	request.offset = found.place;
	request.bytes = set_bytes(found.set);
	session_order(session, &request, -1, verified);
}

void request_verify(struct session *session, const void *payload, size_t bytes)
{
	struct found found;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &session->target) ||
	    !find_target(session, &job, &found))
		return;
	pool_look_for_damage(session->server->pool);
	if (region_range_bad(found.region, slot_of(&found), found.place, set_bytes(found.set))) {
		/* As one without a table: all of it is one finding. */
		struct wire_verify_reply answer = {1, 1, "it lies on bad blocks of the device"};

		session_reply(session, wire_verify_reply_fields, &answer);
		return;
	}
	session->ni = ni_process_get(session->server, job_uid(job), &err);
	if (!session->ni)
		session_fail(session, &err);
	else
		request_map(session, found.region, slot_of(&found), verify_mapped);
}
