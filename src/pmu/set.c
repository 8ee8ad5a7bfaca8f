/* SPDX-License-Identifier: BSD-3-Clause */
/* set.c - BEGIN, COMMIT and ABORT: how a set gets into its region. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/merge.h"
#include "pmu/request.h"
#include "pmu/server.h"
#include "wire/table.h"

static void begin_step(struct session *session);

static void begin_fail(struct session *session, const struct error *err)
{
	region_unreserve(session->region);
	session_fail(session, err);
}

static int begin_check(const struct session *session, struct error *err)
{
	const struct wire_begin *begin = &session->begin;
	const struct region *region = session->region;
	bool increment = begin->kind == SET_INCREMENT;

	if ((begin->kind != SET_FULL && !increment) || (increment && region_mode(region) != REGION_APPEND))
		return error_set(err, -EINVAL, "BEGIN: a set of kind %u does not belong into a region in %s mode",
				 begin->kind, region_mode(region) == REGION_APPEND ? "append" : "overwrite");
	if (!begin->epoch || begin->epoch <= begin->keep || !begin->bytes)
		return error_set(err, -EINVAL, "BEGIN of epoch %llu, keeping %llu, of %llu bytes",
				 (unsigned long long)begin->epoch, (unsigned long long)begin->keep,
				 (unsigned long long)begin->bytes);
	if (!set_block_ok(begin->block_bytes))
		return error_set(err, -EINVAL, "BEGIN: blocks of %llu bytes; a power of 2 from %u to %u is needed",
				 (unsigned long long)begin->block_bytes, SET_BLOCK_MIN, SET_BLOCK_MAX);
	if (begin->persist != PERSIST_SERVER && begin->persist != PERSIST_STORE && begin->persist != session->server->persist)
		return error_set(err, -EINVAL, "BEGIN: persist method %u (%s), but this server has '%s'", begin->persist,
				 persist_name(begin->persist), persist_name(session->server->persist));
	if (region_holds(region, begin->epoch))
		return error_set(err, -EEXIST, "epoch %llu of rank %u is published already",
				 (unsigned long long)begin->epoch, session->open.rank);
	if (increment && !region_holds(region, begin->keep))
		return error_set(err, -ENOENT, "rank %u has no epoch %llu, to which epoch %llu is an increment: a full "
				 "set is needed", session->open.rank, (unsigned long long)begin->keep,
				 (unsigned long long)begin->epoch);
	if (increment && begin->block_bytes != region_block_bytes(region, begin->keep))
		return error_set(err, -EINVAL, "BEGIN: an increment with blocks of %llu bytes cannot follow epoch %llu, whose "
				 "blocks have %llu: a full set is needed", (unsigned long long)begin->block_bytes,
				 (unsigned long long)begin->keep,
				 (unsigned long long)region_block_bytes(region, begin->keep));
	return 0;
}

static void exposed(struct session *session, const struct ni_reply *reply)
{
	struct wire_begin_reply answer = {{session->grant, reply->key}, session->withdrawn_first,
					  session->withdrawn_last};
	struct error err;

	session->local = reply->flags & NI_LOCAL;
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

/* What a client needs to make its set durable by itself. */
static unsigned persist_rights(enum persist_method method)
{
	return method == PERSIST_FLUSH ? NET_FLUSH : method == PERSIST_READ ? NET_READ : 0;
}

/* Ends what others may do with the range, and has the NI expose it to this session alone. */
static int range_expose(struct session *session, uint64_t file, uint64_t offset, uint64_t bytes,
			struct error *err)
{
	struct ni_request request = {
		.type = NI_EXPOSE,
		.peer = session->id,
		.file = file,
		.offset = session->place,
		.bytes = session->begin.bytes,
		.rights = NET_WRITE | persist_rights(session->begin.persist),
	};
	struct att_entry *entry;

	request_revoke(session->server, file, offset, bytes);
	entry = att_add(&session->server->att, session, file, request.offset, request.bytes, request.rights,
			session->generation);
	if (!entry)
		return error_nomem(err, "a grant");
	session->grant = request.grant = entry->grant;
	session->local = true; /* as long as the NI has not said */
	session_order(session, &request, -1, exposed);
	return 0;
}

static void withdraw_fail(struct session *session, const struct error *err)
{
	log_error("job %s rank %u: what is to be overwritten cannot be withdrawn: %s", session->open.job,
		  session->open.rank, err->text);
	session_close(session, "metadata cannot be changed");
}

/* What is newer than the newest complete epoch is in the way of a set that goes on from there. */
static int withdraw_newer(struct session *session, struct error *err)
{
	if (region_mode(session->region) != REGION_APPEND)
		return 0;
	return region_withdraw_newer(session->region, session->begin.keep, err);
}

/* The epochs of the base in the chosen slot, and of its increments: they are withdrawn together. */
static void chain_of_slot(struct session *session)
{
	const struct set_info *old = region_set(session->region, session->slot);
	struct set_info set;
	bool within = false;

	session->withdrawn_first = session->withdrawn_last = old ? old->epoch : 0;
	for (unsigned i = 0; old && region_set_at(session->region, i, &set, NULL); i++) {
		if (set.kind == SET_FULL)
			within = set.epoch == old->epoch;
		if (within)
			session->withdrawn_last = set.epoch;
	}
}

/* All slots have their size: withdraw what the chosen one holds, and expose it. */
static void begin_expose(struct session *session)
{
	struct error err;

	if (withdraw_newer(session, &err)) {
		withdraw_fail(session, &err);
		return;
	}
	if (!session->replaced)
		chain_of_slot(session);
	session->place = 0;
	if (range_expose(session, region_slot_file(session->region, session->slot), 0, UINT64_MAX, &err)) {
		begin_fail(session, &err);
		return;
	}
	/* P1: the old set is withdrawn before its slot is overwritten. The NI exposes the slot meanwhile; the
	 * client hears of it after this. */
	if (session->busy && session->state != SESSION_CLOSED &&
	    region_withdraw(session->region, session->slot, &err)) {
		withdraw_fail(session, &err);
		return;
	}
	TEST_POINT("pmm.begin.after-withdraw");
}

/* The log is mapped: find room in it, withdrawing what was there (P1), and expose that. */
static void increment_expose(struct session *session)
{
	struct wire_begin *begin = &session->begin;
	struct error err;
	int rc = withdraw_newer(session, &err);

	if (!rc)
		rc = region_log_place(session->region, begin->keep, begin->bytes, &session->place,
				      &session->withdrawn_first, &session->withdrawn_last, &err);
	if (rc == -ENOSPC && merge_stop(session))
		return; /* its room may be what is needed: begun again when it has ended */
	if (rc) {
		session_fail(session, &err);
		return;
	}
	TEST_POINT("pmm.begin.after-withdraw");
	if (range_expose(session, region_slot_file(session->region, SLOT_LOG), session->place, begin->bytes, &err))
		session_fail(session, &err);
}

static void log_mapped(struct session *session, const struct ni_reply *reply)
{
	struct error err;

	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		session_fail(session, &err);
		return;
	}
	session->mapped[SLOT_LOG] = true;
	increment_expose(session);
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
	struct region *region = session->region;
	struct ni_request request;
	unsigned slot, slots = region_slots(region);
	struct error err;
	bool grow;
	int fd;

	for (slot = 0; slot < slots; slot++) {
		grow = region_slot_capacity(region, slot) < session->capacity_bytes;
		if (grow || !session->mapped[slot])
			break;
	}
	if (slot == slots) {
		begin_expose(session);
		return;
	}
	if ((grow && region_slot_allocate(region, slot, session->capacity_bytes, &err)) ||
	    request_map_order(region, slot, session->capacity_bytes, &request, &fd, &err)) {
		begin_fail(session, &err);
		return;
	}
	session->step = slot;
	request.flags = grow ? NI_ALLOCATE : 0;
	session_order(session, &request, fd, slot_mapped);
	close(fd);
}

static void begin_increment(struct session *session)
{
	struct error err;

	session->slot = SLOT_LOG;
	if (region_slot_capacity(session->region, SLOT_LOG) < session->begin.bytes) {
		error_set(&err, -ENOSPC, "rank %u: an increment of %llu bytes is larger than the log: a full set has room",
			  session->open.rank, (unsigned long long)session->begin.bytes);
		session_fail(session, &err);
	} else if (region_range_bad(session->region, SLOT_LOG, 0, region_slot_capacity(session->region, SLOT_LOG))) {
		error_set(&err, -ENOSPC, "rank %u: its log lies on bad blocks of the device: a full set has room",
			  session->open.rank);
		session_fail(session, &err);
	} else if (region_is_suspect(session->region, SLOT_LOG)) {
		error_set(&err, -ENOSPC, "rank %u: a former client may still write to its log: a full set has room",
			  session->open.rank);
		session_fail(session, &err);
	} else if (session->mapped[SLOT_LOG]) {
		increment_expose(session);
	} else {
		request_map(session, session->region, SLOT_LOG, log_mapped);
	}
}

void request_begin(struct session *session, const void *payload, size_t bytes)
{
	if (request_unpack(session, payload, bytes, wire_begin_fields, &session->begin))
		request_begin_again(session);
}

/* Gives up a slot that lies on bad blocks, or that somebody may still write to, and what it holds: it gets another place,
 * or file, when it is allocated anew. */
static int slot_replace(struct session *session, unsigned slot, struct error *err)
{
	struct region *region = session->region;
	struct ni_request unmap = {.type = NI_UNMAP, .file = region_slot_file(region, slot)};
	bool suspect = region_is_suspect(region, slot);

	if (!suspect && !region_range_bad(region, slot, 0, region_slot_capacity(region, slot)))
		return 0;
	if (slot == session->slot) {
		chain_of_slot(session);
		session->replaced = true;
	}
	request_revoke(session->server, unmap.file, 0, UINT64_MAX);
	ni_process_order(session->ni, &unmap, -1, NULL, NULL);
	session->mapped[slot] = false;
	if (suspect)
		log_info("job %s rank %u: slot %u gets a new file, for a former client may still write to the old one",
			 session->open.job, session->open.rank, slot);
	else
		log_warning("job %s rank %u: slot %u lies on bad blocks of the device, and gets another place",
			    session->open.job, session->open.rank, slot);
	return region_forget_slot(region, slot, err);
}

static int slots_replace(struct session *session, struct error *err)
{
	int rc = slot_replace(session, session->slot, err);

	/* Increments that are there stay, and take no others. */
	if (!rc && region_mode(session->region) == REGION_APPEND && !region_increment(session->region, 0))
		rc = slot_replace(session, SLOT_LOG, err);
	return rc;
}

void request_begin_again(struct session *session)
{
	struct error err;

	if (begin_check(session, &err)) {
		session_fail(session, &err);
		return;
	}
	if (session->begin.kind == SET_INCREMENT) {
		begin_increment(session);
		return;
	}
	if (merge_stop(session))
		return; /* it may be in the slot */
	session->replaced = false;
	if (region_pick_slot(session->region, session->begin.keep, &session->slot, &err) ||
	    slots_replace(session, &err) ||
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
	    set->info.kind != session->begin.kind || set->info.block_bytes != session->begin.block_bytes)
		return error_set(err, -EINVAL, "COMMIT of epoch %llu, kind %u, with blocks of %llu bytes does not match its "
				 "BEGIN of epoch %llu, kind %u, with blocks of %llu",
				 (unsigned long long)set->info.epoch, set->info.kind,
				 (unsigned long long)set->info.block_bytes, (unsigned long long)session->begin.epoch,
				 session->begin.kind, (unsigned long long)session->begin.block_bytes);
	for (uint32_t i = 0; i < set->info.segment_count; i++) {
		const struct segment *segment = &set->segments[i];

		if (!*segment->name || !segment->type || segment->type >= ELEMENT_TYPE_END ||
		    !segment->element_bytes)
			return error_set(err, -EINVAL, "COMMIT: segment %u ('%s') is malformed", i,
					 segment->name);
	}
	return table_check_info(&set->info, session->begin.bytes, err);
}

static int publish(struct session *session, struct error *err)
{
	const struct wire_set *set = &session->commit.set;

	if (set->info.kind == SET_INCREMENT)
		return region_publish_increment(session->region, session->place, &set->info, set->segments, err);
	return region_publish(session->region, session->slot, &set->info, set->segments, err);
}

static bool newest_set(const struct region *region, struct set_info *set)
{
	unsigned count = region_set_count(region);

	return count && region_set_at(region, count - 1, set, NULL);
}

/* How many increments follow the newest base. */
static uint32_t chain_length(const struct region *region)
{
	struct chain chain;
	struct set_info set;

	if (!newest_set(region, &set) || region_chain(region, set.epoch, &chain))
		return 0;
	return chain.end - chain.first;
}

/* Would a full set of what the newest one restores fit into a slot? Increments may have added to it. */
static bool state_fits(const struct region *region)
{
	const struct segment *segments;
	uint64_t bytes, data = 0, blocks = 0;
	struct set_info set;

	if (!newest_set(region, &set))
		return true;
	segments = region_segments_of(region, set.epoch);
	for (uint32_t i = 0; i < set.segment_count; i++) {
		if (__builtin_mul_overflow(segments[i].count, (uint64_t)segments[i].element_bytes, &bytes) ||
		    bytes > region_slot_capacity(region, 0) - data)
			return false;
		data += size_round_up(bytes, SET_ALIGN);
		blocks += table_blocks(bytes, set.block_bytes);
		if (data > region_slot_capacity(region, 0))
			return false;
	}
	return table_size(set.segment_count, set.segment_count, blocks) <= region_slot_capacity(region, 0) - data;
}

uint64_t request_log_room(const struct region *region)
{
	uint64_t room = region_log_room(region);

	return room && state_fits(region) ? room : 0;
}

static void commit_reply(struct session *session)
{
	struct region *region = session->region;
	struct wire_commit_reply answer = {request_log_room(region), chain_length(region), 0, NULL};
	struct set_info set;

	if (session->merged)
		answer.epochs = calloc(region_set_count(region), sizeof(*answer.epochs));
	while (answer.epochs && region_set_at(region, answer.epoch_count, &set, NULL))
		answer.epochs[answer.epoch_count++] = set.epoch;
	/* Without memory, the next reply tells. */
	session->merged = session->merged && !answer.epochs;
	session_reply(session, wire_commit_reply_fields, &answer);
	free(answer.epochs);
}

/* As its client says. Its own stores go to the medium only where it maps the slot, and no page cache is in between. */
static bool is_durable(const struct session *session)
{
	if (session->begin.persist != PERSIST_STORE)
		return session->begin.persist != PERSIST_SERVER;
	return session->local && session->server->stores_persist;
}

static void persisted(struct session *session, const struct ni_reply *reply)
{
	struct region *region = session->region;
	struct wire_commit *commit = &session->commit;
	struct server *server = session->server;
	enum persist_method by = is_durable(session) ? session->begin.persist : PERSIST_SERVER;
	bool local = session->local;
	struct error err;

	/* The grant is gone, whatever came of the rest, and who asks for a COMMIT writes no more. */
	att_remove(&server->att, session->grant);
	session->local = false;
	session->state = SESSION_ATTACHED;
	if (reply->status) {
		error_set(&err, reply->status, "%s", reply->text);
		session_fail(session, &err);
		return;
	}
	commit->set.info.time_ns = clock_realtime_ns();
	TEST_POINT("pmm.commit.before-publish");
	if (publish(session, &err)) {
		log_error("job %s rank %u: epoch %llu cannot be published: %s", session->open.job,
			  session->open.rank, (unsigned long long)commit->set.info.epoch, err.text);
		session_fail(session, &err);
		return;
	}
	TEST_POINT("pmm.commit.after-publish");
	server->counters.commits++;
	server->counters.commits_by[by]++;
	server->counters.commits_local += local;
	server->counters.commit_bytes += commit->set.info.data_bytes;
	log_debug("job %s rank %u: epoch %llu is published", session->open.job, session->open.rank,
		  (unsigned long long)commit->set.info.epoch);
	commit_reply(session);
	merge_consider(server, region);
}

void request_commit(struct session *session, const void *payload, size_t bytes)
{
	struct wire_commit *commit = &session->commit;
	struct ni_request request = {.type = NI_COMMIT, .offset = session->place, .bytes = session->begin.bytes};
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
	request.flags = (session->server->conf.check_blocks ? NI_CHECK_BLOCKS : 0u) |
			(is_durable(session) ? NI_DURABLE : 0u);
	session_order(session, &request, -1, persisted);
}

/* ---- ABORT ---- */

static void aborted(struct session *session, const struct ni_reply *reply)
{
	(void)reply; /* a NI that cannot expel is dead, and its mappings with it */
	session_slot_left(session);
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
