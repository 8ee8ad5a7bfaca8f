/* SPDX-License-Identifier: BSD-3-Clause */
/* set.c - BEGIN, COMMIT and ABORT: how a set gets into its region. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/testpoint.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"
#include "wire/table.h"

static void begin_step(struct session *session);

static void begin_fail(struct session *session, const struct error *err)
{
	region_unreserve(session->region);
	session_fail(session, err);
}

static int begin_check(struct session *session, struct error *err)
{
	const struct wire_begin *begin = &session->begin;
	const struct set_info *set;

	if (begin->kind != SET_FULL)
		return error_set(err, -ENOSYS, "increments are not in this version");
	if (!begin->epoch || begin->epoch <= begin->keep || !begin->bytes)
		return error_set(err, -EINVAL, "BEGIN of epoch %llu, keeping %llu, of %llu bytes",
				 (unsigned long long)begin->epoch, (unsigned long long)begin->keep,
				 (unsigned long long)begin->bytes);
	for (unsigned slot = 0; slot < SLOTS_PER_REGION; slot++) {
		set = region_set(session->region, slot);
		if (set && set->epoch == begin->epoch)
			return error_set(err, -EEXIST, "epoch %llu of rank %u is published already",
					 (unsigned long long)begin->epoch, session->open.rank);
	}
	return 0;
}

static void exposed(struct session *session, const struct ni_reply *reply)
{
	struct wire_begin_reply answer = {{session->grant, reply->key}, session->withdrawn,
					  session->withdrawn};
	struct error err;

	if (reply->status) {
		att_remove(&session->server->att, session->grant);
		error_set(&err, reply->status, "%s", reply->text);
		begin_fail(session, &err);
		return;
	}
	session->state = SESSION_WRITING;
	TEST_POINT("pmm.begin.before-reply");
	session_reply(session, wire_begin_reply_fields, &answer);
}

/* All slots have their size: withdraw what the chosen one holds, and expose it. */
static void begin_expose(struct session *session)
{
	struct ni_request request = {.type = NI_EXPOSE, .peer = session->id, .rights = NET_WRITE};
	uint64_t file = region_slot_file(session->region, session->slot);
	const struct set_info *old = region_set(session->region, session->slot);
	struct att_entry *entry;
	struct error err;

	session->withdrawn = old ? old->epoch : 0;
	request_revoke(session, file, 0, UINT64_MAX);
	entry = att_add(&session->server->att, session, file, 0, session->begin.bytes, NET_WRITE,
			session->generation);
	if (!entry) {
		error_nomem(&err, "a grant");
		begin_fail(session, &err);
		return;
	}
	session->grant = entry->grant;
	request.grant = entry->grant;
	request.file = file;
	request.bytes = session->begin.bytes;
	session_order(session, &request, -1, exposed);
	/* P1: the old set is withdrawn before its slot is overwritten. The NI exposes the slot meanwhile; the
	 * client hears of it after this. */
	if (session->busy && session->state != SESSION_CLOSED &&
	    region_withdraw(session->region, session->slot, &err)) {
		log_error("job %s rank %u: the set in slot %u cannot be withdrawn: %s", session->open.job,
			  session->open.rank, session->slot, err.text);
		session_close(session, "metadata cannot be changed");
		return;
	}
	TEST_POINT("pmm.begin.after-withdraw");
}

static void slot_mapped(struct session *session, const struct ni_reply *reply)
{
	unsigned slot = session->step;
	struct error err;

	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		begin_fail(session, &err);
		return;
	}
	if (region_slot_capacity(session->region, slot) < session->capacity_bytes &&
	    region_grown(session->region, slot, session->capacity_bytes, &err)) {
		begin_fail(session, &err);
		return;
	}
	session->mapped[slot] = true;
	begin_step(session);
}

/* Gives every slot its size and has the NI map it, one after the other: a later set needs no room. */
static void begin_step(struct session *session)
{
	struct ni_request request = {.type = NI_MAP};
	struct region *region = session->region;
	struct error err;
	unsigned slot;
	bool grow;
	int fd;

	for (slot = 0; slot < SLOTS_PER_REGION; slot++) {
		grow = region_slot_capacity(region, slot) < session->capacity_bytes;
		if (grow || !session->mapped[slot])
			break;
	}
	if (slot == SLOTS_PER_REGION) {
		begin_expose(session);
		return;
	}
	if (region_slot_open(region, slot, &fd, &err)) {
		begin_fail(session, &err);
		return;
	}
	session->step = slot;
	request.file = region_slot_file(region, slot);
	request.bytes = session->capacity_bytes;
	request.flags = grow ? NI_ALLOCATE : 0;
	session_order(session, &request, fd, slot_mapped);
	close(fd);
}

void request_begin(struct session *session, const void *payload, size_t bytes)
{
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_begin_fields, &session->begin))
		return;
	if (begin_check(session, &err) ||
	    region_pick_slot(session->region, session->begin.keep, &session->slot, &err) ||
	    region_reserve(session->region, session->begin.bytes, &session->capacity_bytes, &err)) {
		session_fail(session, &err);
		return;
	}
	begin_step(session);
}

/* ---- COMMIT ---- */

static int commit_check(const struct session *session, struct error *err)
{
	const struct wire_set *set = &session->commit.set;

	if (session->commit.grant != session->grant || set->info.epoch != session->begin.epoch ||
	    set->info.kind != session->begin.kind)
		return error_set(err, -EINVAL, "COMMIT of epoch %llu does not match its BEGIN of %llu",
				 (unsigned long long)set->info.epoch,
				 (unsigned long long)session->begin.epoch);
	for (uint32_t i = 0; i < set->info.segment_count; i++) {
		const struct segment *segment = &set->segments[i];

		if (!*segment->name || !segment->type || segment->type >= ELEMENT_TYPE_END ||
		    !segment->element_bytes)
			return error_set(err, -EINVAL, "COMMIT: segment %u ('%s') is malformed", i,
					 segment->name);
	}
	return table_check_info(&set->info, session->begin.bytes, err);
}

static void persisted(struct session *session, const struct ni_reply *reply)
{
	struct wire_commit *commit = &session->commit;
	struct server *server = session->server;
	struct wire_commit_reply answer = {0};
	struct error err;

	/* The grant is gone, whatever came of the rest. */
	att_remove(&server->att, session->grant);
	session->state = SESSION_ATTACHED;
	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		session_fail(session, &err);
		return;
	}
	commit->set.info.time_ns = clock_realtime_ns();
	TEST_POINT("pmm.commit.before-publish");
	if (region_publish(session->region, session->slot, &commit->set.info, commit->set.segments, &err)) {
		log_error("job %s rank %u: epoch %llu cannot be published: %s", session->open.job,
			  session->open.rank, (unsigned long long)commit->set.info.epoch, err.text);
		session_fail(session, &err);
		return;
	}
	TEST_POINT("pmm.commit.after-publish");
	server->counters.commits++;
	server->counters.commit_bytes += commit->set.info.data_bytes;
	log_debug("job %s rank %u: epoch %llu is published", session->open.job, session->open.rank,
		  (unsigned long long)commit->set.info.epoch);
	session_reply(session, wire_commit_reply_fields, &answer);
}

void request_commit(struct session *session, const void *payload, size_t bytes)
{
	struct wire_commit *commit = &session->commit;
	struct ni_request request = {.type = NI_COMMIT, .bytes = session->begin.bytes};
	struct error err;

	free(commit->set.segments);
	memset(commit, 0, sizeof(*commit));
	if (!request_unpack(session, payload, bytes, wire_commit_fields, commit))
		return;
	if (commit_check(session, &err)) {
		session_fail(session, &err);
		return;
	}
	request.grant = session->grant;
	request.file = region_slot_file(session->region, session->slot);
	request.set = commit->set.info;
	request.rank = session->open.rank;
	request.flags = session->server->conf.check_blocks ? NI_CHECK_BLOCKS : 0;
	session_order(session, &request, -1, persisted);
}

/* ---- ABORT ---- */

static void aborted(struct session *session, const struct ni_reply *reply)
{
	(void)reply; /* a NI that cannot expel is dead, and its mappings with it */
	att_remove_session(&session->server->att, session);
	session->state = SESSION_ATTACHED;
	session->server->counters.aborts++;
	session_reply(session, wire_nothing_fields, NULL);
}

void request_abort(struct session *session, const void *payload, size_t bytes)
{
	/* Writes may still be on their way, and a provider goes on with what it has begun: only the end of the
	 * data connection stops them. The next set needs a new session. */
	struct ni_request request = {.type = NI_EXPEL, .peer = session->id};
	struct wire_abort abort;
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_abort_fields, &abort))
		return;
	if (abort.epoch != session->begin.epoch) {
		error_set(&err, -EINVAL, "ABORT of epoch %llu, but %llu was begun",
			  (unsigned long long)abort.epoch, (unsigned long long)session->begin.epoch);
		session_fail(session, &err);
		return;
	}
	session_order(session, &request, -1, aborted);
}
