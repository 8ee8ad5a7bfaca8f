/* SPDX-License-Identifier: BSD-3-Clause */
/* request.c - which request is legal in which state, and what handlers share. */
#include "pmu/request.h"

#include <errno.h>
#include <unistd.h>
#include "common/log.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/server.h"

#define IN(state)  (1u << (state))
#define ANY_LOGIN  (IN(SESSION_READY) | IN(SESSION_ATTACHED) | IN(SESSION_WRITING))
#define AS_PRIMARY (IN(SESSION_ATTACHED) | IN(SESSION_WRITING))

static const struct {
	request_fn *handle;
	unsigned states;
} requests[WIRE_TYPE_END] = {
	[WIRE_HELLO] = {request_hello, IN(SESSION_NEW)},
	[WIRE_PROOF] = {request_proof, IN(SESSION_CHALLENGED)},
	[WIRE_CREATE] = {request_open, IN(SESSION_READY)},
	[WIRE_OPEN] = {request_open, IN(SESSION_READY)},
	[WIRE_BEGIN] = {request_begin, IN(SESSION_ATTACHED)},
	[WIRE_COMMIT] = {request_commit, IN(SESSION_WRITING)},
	[WIRE_ABORT] = {request_abort, IN(SESSION_WRITING)},
	[WIRE_READ] = {request_read, AS_PRIMARY},
	[WIRE_CLOSE] = {request_close, ANY_LOGIN},
	[WIRE_DROP] = {request_drop, IN(SESSION_READY) | IN(SESSION_ATTACHED)},
	[WIRE_LIST] = {request_list, ANY_LOGIN},
	[WIRE_SHOW] = {request_show, ANY_LOGIN},
	[WIRE_VERIFY] = {request_verify, IN(SESSION_READY)},
	[WIRE_STAT] = {request_stat, ANY_LOGIN},
	[WIRE_ASK] = {request_ask, IN(SESSION_READY)},
	[WIRE_ASKED] = {request_asked, ANY_LOGIN},
	[WIRE_RECORD] = {request_record, IN(SESSION_ATTACHED)},
	[WIRE_FENCE] = {request_fence, IN(SESSION_READY)},
	[WIRE_SHARE] = {request_share, IN(SESSION_READY)},
	[WIRE_USERS] = {request_users, ANY_LOGIN},
};

void request_handle(struct session *session, const struct wire_header *header, const void *payload)
{
	unsigned type = header->type;
	struct error err;

	if (type >= WIRE_TYPE_END || !requests[type].handle) {
		error_set(&err, -ENOSYS, "this server does not know request %u", type);
	} else if (!(requests[type].states & IN(session->state))) {
		error_set(&err, -EPROTO, "%s is not legal in state %s", wire_type_name(type),
			  session_state_name(session->state));
	} else {
		requests[type].handle(session, payload, header->bytes);
		return;
	}
	log_warning("session %llu (%s): %s", (unsigned long long)session->id, session->peer, err.text);
	session_refuse(session, &err);
}

bool request_unpack(struct session *session, const void *payload, size_t bytes,
		    wire_fields_fn *fields, void *message)
{
	struct error err;

	if (!wire_unpack(payload, bytes, fields, message))
		return true;
	error_set(&err, -EBADMSG, "the %s message is malformed", wire_type_name(session->type));
	session_refuse(session, &err);
	return false;
}

struct job *request_job(struct session *session, const struct wire_target *target, enum job_share share)
{
	uint32_t uid = target->uid == WIRE_UID_SELF ? session->uid : target->uid;
	struct job *job = job_find(session->server->pool, uid, target->job);
	struct error err;

	if (job && (rights_admin(session) || rights_share(session, job, share)))
		return job;
	/* Other users' jobs look like jobs that do not exist. */
	if (job && rights_share(session, job, JOB_SHARE_READ))
		error_set(&err, -EACCES, "job '%s' is shared with your group, but not for that: its owner, uid %u, may do it, or "
			  "share more of it ('pmuctl share --run')", target->job, uid);
	else
		error_set(&err, -ENOENT, "there is no job '%s' of uid %u; 'pmuctl jobs' lists them", target->job, uid);
	session_fail(session, &err);
	return NULL;
}

void request_revoke(struct server *server, uint64_t file, uint64_t offset, uint64_t bytes)
{
	struct att *att = &server->att;
	struct att_entry *entry;

	if (!file)
		return;
	while ((entry = att_find_range(att, file, offset, bytes))) {
		struct ni_request request = {.type = NI_REVOKE, .grant = entry->grant};

		if (entry->session->ni)
			ni_process_order(entry->session->ni, &request, -1, NULL, NULL);
		att_remove(att, entry->grant);
	}
}

int request_map_order(struct region *region, unsigned slot, uint64_t bytes, struct ni_request *request, int *fd,
		      struct error *err)
{
	int rc = region_slot_open(region, slot, fd, err);

	if (rc)
		return rc;
	*request = (struct ni_request){.type = NI_MAP, .file = region_slot_file(region, slot), .bytes = bytes};
	request->extent_count = region_slot_extents(region, slot, request->extents);
	return 0;
}

void request_map(struct session *session, struct region *region, unsigned slot,
		 void (*done)(struct session *session, const struct ni_reply *reply))
{
	struct ni_request request;
	struct error err;
	int fd;

	if (request_map_order(region, slot, region_slot_capacity(region, slot), &request, &fd, &err)) {
		session_fail(session, &err);
		return;
	}
	session_order(session, &request, fd, done);
	close(fd);
}
