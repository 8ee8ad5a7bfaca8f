/* SPDX-License-Identifier: BSD-3-Clause */
/* drop.c - DROP: a rank gives its own region up, or a tool removes a job. */
#include <errno.h>
#include "common/log.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/merge.h"
#include "pmu/request.h"
#include "pmu/server.h"

static void forget_region(struct session *session, struct ni_process *ni, const struct region *region)
{
	merge_forget(session->server, region);
	for (unsigned slot = 0; slot < region_slots(region); slot++) {
		struct ni_request request = {.type = NI_UNMAP, .file = region_slot_file(region, slot)};

		request_revoke(session->server, request.file, 0, UINT64_MAX);
		if (request.file && ni)
			ni_process_order(ni, &request, -1, NULL, NULL);
	}
}

/* Can anybody write what the job had? A session's grants are over when it has gone, and not when they are revoked. */
static bool job_is_busy(void *arg, uint64_t number)
{
	struct server *server = arg;

	for (const struct session *s = server->sessions; s; s = s->next) {
		if (s->job && job_number(s->job) == number)
			return true;
	}
	return merge_of_dropped(server, number);
}

void request_release(struct server *server)
{
	pool_release(server->pool, job_is_busy, server);
}

static void drop_own(struct session *session)
{
	struct error err;

	if (session->state != SESSION_ATTACHED) {
		error_set(&err, -EPROTO, "DROP of the own region: the session holds none");
		session_fail(session, &err);
		return;
	}
	forget_region(session, session->ni, session->region);
	if (region_drop(session->region, &err)) {
		session_fail(session, &err);
		return;
	}
	log_info("job %s rank %u: finished, its region is removed", session->open.job, session->open.rank);
	session_lose_region(session); /* the job goes with its last session */
	session->state = SESSION_READY;
	session_reply(session, wire_nothing_fields, NULL);
}

static struct ni_process *ni_of_uid(const struct server *server, uint32_t uid)
{
	struct ni_process *ni = NULL;

	while ((ni = ni_process_next(server, ni)) && ni_process_uid(ni) != uid)
		continue;
	return ni;
}

static void drop_job(struct session *session, const struct wire_target *target)
{
	struct job *job = request_job(session, target, RIGHTS_OWNER);
	struct ni_process *ni;
	struct region *region;
	struct error err;

	if (!job)
		return;
	if (job_session_count(job)) {
		error_set(&err, -EBUSY, "job '%s' is running: end it first ('pmuctl show' tells where)",
			  target->job);
		session_fail(session, &err);
		return;
	}
	ni = ni_of_uid(session->server, job_uid(job));
	for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
		region = job_region(job, rank);
		if (region)
			forget_region(session, ni, region);
	}
	if (job_drop(job, &err)) {
		session_fail(session, &err);
		return;
	}
	request_release(session->server);
	log_info("job %s: removed by uid %u (%s)", target->job, session->uid, session->peer);
	session_reply(session, wire_nothing_fields, NULL);
}

void request_drop(struct session *session, const void *payload, size_t bytes)
{
	struct wire_target target;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &target))
		return;
	if (*target.job)
		drop_job(session, &target);
	else
		drop_own(session);
}
