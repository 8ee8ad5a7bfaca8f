/* SPDX-License-Identifier: BSD-3-Clause */
/* ask.c - ASK, ASKED, RECORD and FENCE: what a tool wants of a running job, and how it is run again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

/* ---- ASK and ASKED ---- */

static int ask_check(const struct job *job, const struct wire_ask *ask, struct error *err)
{
	if (!ask->flags || (ask->flags & ~(WIRE_ASK_CHECKPOINT | WIRE_ASK_LEAVE)))
		return error_set(err, -EINVAL, "ASK: 0x%x is nothing that this server knows", ask->flags);
	if (!job_session_count(job))
		return error_set(err, -ESRCH, "job '%s' is not running: there is nobody to ask", job_name(job));
	return 0;
}

void request_ask(struct session *session, const void *payload, size_t bytes)
{
	struct wire_ask_reply answer;
	struct wire_ask ask;
	struct job_wish *wish;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_ask_fields, &ask))
		return;
	job = request_job(session, &ask.target, JOB_SHARE_RUN);
	if (!job)
		return;
	if (ask_check(job, &ask, &err)) {
		session_fail(session, &err);
		return;
	}
	wish = job_wish(job);
	/* Begun at the time, numbers are higher than those of a server before this one. */
	wish->asked = wish->asked ? wish->asked + 1 : clock_realtime_ns();
	wish->flags |= ask.flags | WIRE_ASK_CHECKPOINT;
	log_info("job %s: asked for a checkpoint%s by uid %u (%s)", job_name(job),
		 ask.flags & WIRE_ASK_LEAVE ? ", and to leave," : "", session->uid, session->peer);
	answer.count = wish->asked;
	session_reply(session, wire_ask_reply_fields, &answer);
}

static void wish_served(struct job_wish *wish, uint64_t served, uint64_t epoch)
{
	if (served > wish->asked)
		served = wish->asked;
	if (served <= wish->served)
		return;
	wish->served = served;
	wish->epoch = epoch;
	if (served == wish->asked)
		wish->flags = 0;
}

void request_asked(struct session *session, const void *payload, size_t bytes)
{
	struct wire_asked_reply answer;
	struct wire_asked asked;
	struct job_wish *wish;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_asked_fields, &asked))
		return;
	job = *asked.target.job ? request_job(session, &asked.target, JOB_SHARE_RUN) : session->job;
	if (!job && !*asked.target.job) {
		error_set(&err, -EPROTO, "ASKED of the own job: the session has none");
		session_fail(session, &err);
	}
	if (!job)
		return;
	wish = job_wish(job);
	if (!*asked.target.job)
		wish_served(wish, asked.served, asked.target.epoch);
	answer = (struct wire_asked_reply){
		.flags = wish->flags,
		.sessions = job_session_count(job),
		.count = wish->asked,
		.served = wish->served,
		.epoch = wish->epoch,
	};
	session_reply(session, wire_asked_reply_fields, &answer);
}

/* ---- RECORD ---- */

void request_record(struct session *session, const void *payload, size_t bytes)
{
	struct wire_command message = {0}, before = {0};
	struct command_line recorded;
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_command_fields, &message)) {
		free(message.command.text);
		return;
	}
	/* A copy: what is recorded is the pool's, and goes when another is. */
	recorded = job_command(session->job);
	before.command.bytes = recorded.bytes;
	before.command.text = malloc(recorded.bytes + 1u);
	if (before.command.text)
		memcpy(before.command.text, recorded.bytes ? recorded.text : "", recorded.bytes);
	if (before.command.text ? job_record_command(session->job, &message.command, &err)
				: error_nomem(&err, "a command line"))
		session_fail(session, &err);
	else
		session_reply(session, wire_command_fields, &before);
	free(before.command.text);
	free(message.command.text);
}

/* ---- FENCE ---- */

void request_fence(struct session *session, const void *payload, size_t bytes)
{
	struct wire_target target;
	struct region *region;
	uint64_t generation;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &target))
		return;
	job = request_job(session, &target, JOB_SHARE_RUN);
	if (!job)
		return;
	/* The clients of sessions that end, which connect again, find the generation risen. */
	for (struct session *s = session->server->sessions; s; s = s->next) {
		if (s->job == job)
			session_close(s, "the job is fenced");
	}
	for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
		region = job_region(job, rank);
		if (region && region_fence(region, NULL, &generation, &err)) {
			session_fail(session, &err);
			return;
		}
	}
	log_info("job %s: fenced by uid %u (%s)", job_name(job), session->uid, session->peer);
	session->target = target;
	session->target.uid = job_uid(job);
	request_fence_again(session);
}

/* Answers once the NI has cut all off that wrote the job: it does so in time, or is ended. */
void request_fence_again(struct session *session)
{
	struct session *s = session->server->sessions;

	/* By its name: the job may have gone with its last session. */
	while (s && !(s->state == SESSION_CLOSED && s->job && job_uid(s->job) == session->target.uid &&
		      !strcmp(job_name(s->job), session->target.job)))
		s = s->next;
	session_wait_for(session, s);
	if (!s)
		session_reply(session, wire_nothing_fields, NULL);
}
