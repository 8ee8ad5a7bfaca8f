/* SPDX-License-Identifier: BSD-3-Clause */
/* share.c - SHARE: the owner of a job lets a group in, or out. */
#include "common/log.h"
#include "pmm/job.h"
#include "pmu/request.h"
#include "pmu/server.h"

/* Who was let in before, and is not now, goes. */
static void strangers_close(const struct session *session, const struct job *job)
{
	for (struct session *s = session->server->sessions; s; s = s->next) {
		if (s->job == job && !rights_share(s, job, JOB_SHARE_RUN))
			session_close(s, "its job is not shared with its group any more");
	}
}

void request_share(struct session *session, const void *payload, size_t bytes)
{
	static const char *const what[] = {"with nobody", "to be read", "to be run"};
	struct wire_share share;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_share_fields, &share))
		return;
	job = request_job(session, &share.target, RIGHTS_OWNER);
	if (!job)
		return;
	if (job_share(job, share.group, (enum job_share)share.share, &err)) {
		session_fail(session, &err);
		return;
	}
	log_info("job %s of uid %u: shared %s%s by uid %u (%s)", job_name(job), job_uid(job), what[share.share],
		 share.share ? ", with a group" : "", session->uid, session->peer);
	strangers_close(session, job);
	session_reply(session, wire_nothing_fields, NULL);
}
