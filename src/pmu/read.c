/* SPDX-License-Identifier: BSD-3-Clause */
/* read.c - READ, CLOSE and VERIFY: how a published set is read, by the fabric or by the server itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

/* The slot that holds the set asked for; fails the request (-ENOENT) where there is none. */
static int find_set(struct session *session, const struct job *job, uint32_t rank, uint64_t epoch,
		    struct region **region)
{
	struct error err;
	int slot;

	*region = rank < job_ranks(job) ? job_region(job, rank) : NULL;
	slot = *region ? region_slot_of(*region, epoch) : -ENOENT;
	if (slot < 0) {
		error_set(&err, -ENOENT, "rank %u of job '%s' holds no set of epoch %llu", rank,
			  job_name(job), (unsigned long long)epoch);
		session_fail(session, &err);
	}
	return slot;
}

/* Has the NI map the slot, and goes on with `done`. */
static void map_slot(struct session *session, struct region *region, unsigned slot,
		     void (*done)(struct session *session, const struct ni_reply *reply))
{
	struct ni_request request = {.type = NI_MAP};
	struct error err;
	int fd;

	if (region_slot_open(region, slot, &fd, &err)) {
		session_fail(session, &err);
		return;
	}
	request.file = region_slot_file(region, slot);
	request.bytes = region_slot_capacity(region, slot);
	session_order(session, &request, fd, done);
	close(fd);
}

static void fail_with(struct session *session, const struct ni_reply *reply)
{
	struct error err;

	error_set(&err, reply->status, "%s", reply->text);
	session_fail(session, &err);
}

/* ---- READ ---- */

static void read_reply(struct session *session, struct region *region, unsigned slot,
		       const struct net_key *key)
{
	struct wire_part part = {.info = *region_set(region, slot)};
	struct wire_read_reply answer = {
		.grant_count = 1,
		.grants = {{session->grant, *key}},
		.set = {*region_set(region, slot), (struct segment *)region_segments(region, slot)},
		.part_count = 1,
		.parts = &part,
	};

	session_reply(session, wire_read_reply_fields, &answer);
}

static void read_exposed(struct session *session, const struct ni_reply *reply)
{
	struct att *att = &session->server->att;
	struct region *region;
	int slot;

	if (reply->status) {
		att_remove(att, session->grant);
		fail_with(session, reply);
		return;
	}
	session->server->counters.reads++;
	slot = find_set(session, session->job, session->read.rank, session->read.epoch, &region);
	if (slot >= 0)
		read_reply(session, region, (unsigned)slot, &reply->key);
}

static void read_mapped(struct session *session, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_EXPOSE, .peer = session->id, .rights = NET_READ};
	const struct set_info *set;
	struct att_entry *entry;
	struct region *region;
	struct error err;
	int slot;

	if (reply->status) {
		fail_with(session, reply);
		return;
	}
	/* The set may have been withdrawn while the NI mapped it. */
	slot = find_set(session, session->job, session->read.rank, session->read.epoch, &region);
	if (slot < 0)
		return;
	set = region_set(region, (unsigned)slot);
	request.file = region_slot_file(region, (unsigned)slot);
	request.bytes = set->table_offset + set->table_bytes;
	entry = att_add(&session->server->att, session, request.file, 0, request.bytes, NET_READ,
			region_generation(region));
	if (!entry) {
		error_nomem(&err, "a grant");
		session_fail(session, &err);
		return;
	}
	session->grant = request.grant = entry->grant;
	session_order(session, &request, -1, read_exposed);
}

void request_read(struct session *session, const void *payload, size_t bytes)
{
	struct region *region;
	struct error err;
	int slot;

	if (!request_unpack(session, payload, bytes, wire_read_fields, &session->read))
		return;
	slot = find_set(session, session->job, session->read.rank, session->read.epoch, &region);
	if (slot < 0)
		return;
	if (session->read.layout_only) {
		struct wire_read_reply answer = {
			.set = {*region_set(region, (unsigned)slot),
				(struct segment *)region_segments(region, (unsigned)slot)},
		};

		session_reply(session, wire_read_reply_fields, &answer);
	} else if (session->state == SESSION_WRITING) {
		error_set(&err, -EPROTO, "READ between BEGIN and COMMIT: end the set first");
		session_fail(session, &err);
	} else {
		map_slot(session, region, (unsigned)slot, read_mapped);
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

/* The slot of the set that VERIFY named, looked up anew at each step: it may be overwritten meanwhile. */
static int find_target(struct session *session, struct job **job, struct region **region)
{
	const struct wire_target *target = &session->target;

	*job = request_job(session, target);
	return *job ? find_set(session, *job, target->rank, target->epoch, region) : -ENOENT;
}

static void verified(struct session *session, const struct ni_reply *reply)
{
	struct wire_verify_reply answer = {reply->blocks, reply->bad_blocks, ""};
	struct ni_request unmap = {.type = NI_UNMAP};
	struct region *region;
	struct job *job;
	int slot;

	if (reply->status) {
		fail_with(session, reply);
		return;
	}
	slot = find_target(session, &job, &region);
	if (slot < 0)
		return; /* overwritten while it was read: what was found means nothing */
	unmap.file = region_slot_file(region, (unsigned)slot);
	if (!session_count_of_job(session->server, job, NULL))
		ni_process_order(session->ni, &unmap, -1, NULL, NULL);
	snprintf(answer.detail, sizeof(answer.detail), "%.255s", reply->text);
	session_reply(session, wire_verify_reply_fields, &answer);
}

static void verify_mapped(struct session *session, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_VERIFY, .rank = session->target.rank};
	struct region *region;
	struct job *job;
	int slot;

	if (reply->status) {
		fail_with(session, reply);
		return;
	}
	slot = find_target(session, &job, &region);
	if (slot < 0)
		return;
	request.file = region_slot_file(region, (unsigned)slot);
	request.set = *region_set(region, (unsigned)slot);
	request.bytes = request.set.table_offset + request.set.table_bytes;
	session_order(session, &request, -1, verified);
}

void request_verify(struct session *session, const void *payload, size_t bytes)
{
	struct region *region;
	struct error err;
	struct job *job;
	int slot;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &session->target))
		return;
	slot = find_target(session, &job, &region);
	if (slot < 0)
		return;
	session->ni = ni_process_get(session->server, job_uid(job), &err);
	if (!session->ni)
		session_fail(session, &err);
	else
		map_slot(session, region, (unsigned)slot, verify_mapped);
}
