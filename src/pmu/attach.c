/* SPDX-License-Identifier: BSD-3-Clause */
/* attach.c - CREATE and OPEN: how a client becomes the primary of a region. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sodium.h>
#include "common/log.h"
#include "common/testpoint.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

static int open_check(const struct wire_open *open, struct error *err)
{
	if (!wire_job_name_ok(open->job))
		return error_set(err, -EINVAL,
				 "a job's name has 1 to %d bytes, without '/' and control characters",
				 JOB_NAME_BYTES - 1);
	if (!open->ranks || open->ranks > RANKS_MAX || open->rank >= open->ranks)
		return error_set(err, -EINVAL, "rank %u of %u: out of range (at most %u ranks)",
				 open->rank, open->ranks, RANKS_MAX);
	if (open->mode != REGION_OVERWRITE && open->mode != REGION_APPEND)
		return error_set(err, -EINVAL, "there is no region mode %u", open->mode);
	return 0;
}

static int ranks_check(const struct job *job, const struct wire_open *open, struct error *err)
{
	if (job_ranks(job) == open->ranks)
		return 0;
	return error_set(err, -ERANGE,
			 "job '%s' is stored with %u ranks and is run with %u: run it with %u, give "
			 "this run another job name, or remove the stored one with 'pmuctl rm'",
			 open->job, job_ranks(job), open->ranks, job_ranks(job));
}

/* A NI holds the descriptor of the whole device, and so could reach what other users have there. */
static int device_check(const struct session *session, struct error *err)
{
	const struct server *server = session->server;
	const char *device = pool_device(server->pool);

	if (!device || server->conf.shared_device)
		return 0;
	for (struct job *job = NULL; (job = job_next(server->pool, job));) {
		if (job_uid(job) != session->uid)
			return error_set(err, -EACCES, "the device %s of this server holds another user's checkpoints, and is "
					 "for one user: use a server with a device of your own, or ask its administrator "
					 "for --shared-device", device);
	}
	return 0;
}

/* The job that the session may run; NULL, where it is to be its own, and is not there yet. */
static int job_to_run(const struct session *session, const struct wire_open *open, struct job **job, struct error *err)
{
	uint32_t uid = open->uid == WIRE_UID_SELF ? session->uid : open->uid;

	*job = job_find(session->server->pool, uid, open->job);
	if (*job ? rights_share(session, *job, JOB_SHARE_RUN) : uid == session->uid)
		return 0;
	return error_set(err, -EACCES, "there is no job '%s' of uid %u that you may run: it is run by its owner, and by a group "
			 "with which he shares it ('pmuctl share --run')", open->job, uid);
}

static int create_region(struct session *session, const struct wire_open *open, struct error *err)
{
	struct pool *pool = session->server->pool;
	struct region *region;
	struct job *job;
	bool fresh;
	int rc;

	rc = job_to_run(session, open, &job, err);
	if (rc)
		return rc;
	fresh = !job;
	if (fresh) {
		rc = device_check(session, err);
		if (rc)
			return rc;
		rc = job_create(pool, session->uid, session->gid, open->job, open->ranks, &job, err);
		if (rc)
			return rc;
		log_info("job %s of uid %u: created for %u ranks", open->job, session->uid, open->ranks);
	}
	rc = ranks_check(job, open, err);
	if (!rc)
		rc = region_create(job, open->rank, (enum region_mode)open->mode, &region, err);
	if (!rc)
		session_enter_job(session, job, region);
	else if (fresh)
		job_drop(job, NULL);
	return rc;
}

static int busy_error(const struct session *victim, struct error *err)
{
	time_t since = (time_t)(victim->since_ns / 1000000000u);
	char when[32];
	struct tm tm;

	localtime_r(&since, &tm);
	strftime(when, sizeof(when), "%F %T", &tm);
	return error_set(err, -EBUSY,
			 "job '%s' is running: rank %u is process %u on %s, since %s. Wait for its end, "
			 "end it, or take over on purpose (configuration variable 'takeover')",
			 victim->open.job, victim->open.rank, victim->hello.pid, victim->hello.host, when);
}

/* May this client take the region from the session that holds it? */
static bool may_take_over(const struct session *victim, const struct wire_open *open)
{
	if (victim->state == SESSION_CLOSED || (open->flags & WIRE_OPEN_FORCE))
		return true;
	if (!memcmp(victim->open.client, open->client, sizeof(open->client)))
		return true; /* the same process, which lost its connection before we saw it */
	return !memcmp(victim->open.launch, open->launch, sizeof(open->launch)) &&
	       open->incarnation > victim->open.incarnation;
}

/* 0: the region is ours; 1: its former primary has to go first, we are called again; -errno. */
static int open_region(struct session *session, const struct wire_open *open, struct error *err)
{
	struct region *region;
	struct session *victim;
	struct job *job;
	int rc;

	rc = job_to_run(session, open, &job, err);
	if (!rc && job)
		rc = ranks_check(job, open, err);
	if (rc)
		return rc;
	region = job ? job_region(job, open->rank) : NULL;
	if (!region)
		return error_set(err, -ENOENT, "job '%s' has no region of rank %u", open->job, open->rank);
	if (region_mode(region) != (enum region_mode)open->mode)
		return error_set(err, -EMEDIUMTYPE,
				 "job '%s' is stored in %s mode and is run in %s mode: set the variable "
				 "'mode' as it was, or give this run another job name",
				 open->job,
				 region_mode(region) == REGION_APPEND ? "incremental" : "full",
				 open->mode == REGION_APPEND ? "incremental" : "full");
	if ((open->flags & WIRE_OPEN_REATTACH) && region_generation(region) != open->generation)
		return error_set(err, -ESTALE,
				 "rank %u of job '%s' was taken over by another process (generation %llu, "
				 "this process wrote %llu): it must stop",
				 open->rank, open->job, (unsigned long long)region_generation(region),
				 (unsigned long long)open->generation);
	victim = region_holder(region);
	if (victim && !may_take_over(victim, open))
		return busy_error(victim, err);
	if (victim) {
		session_close(victim, "another process takes its region over");
		session_wait_for(session, victim);
		return 1;
	}
	session_enter_job(session, job, region);
	return 0;
}

static void admitted(struct session *session, const struct ni_reply *reply)
{
	const struct conf *conf = &session->server->conf;
	struct wire_open_reply answer = {.generation = session->generation, .session = session->id};
	struct error err;

	if (reply->status) {
		error_set(&err, reply->status, "the data plane is not available: %s", reply->text);
		session_fail(session, &err);
		session_close(session, "no data plane");
		return;
	}
	snprintf(answer.net, sizeof(answer.net), "%s", conf->net);
	snprintf(answer.provider, sizeof(answer.provider), "%s", conf->fabric);
	snprintf(answer.persist, sizeof(answer.persist), "%s", persist_name(session->server->persist));
	answer.address = *ni_process_address(session->ni);
	/* To the user's own processes: what is mapped once stays so. */
	if (session->uid == job_uid(session->job))
		answer.local = *ni_process_local(session->ni);
	memcpy(answer.token, session->token, sizeof(answer.token));
	answer.launch_generation = region_launch_generation(session->region);
	answer.log_room = request_log_room(session->region);
	answer.sets = calloc(region_set_count(session->region) + 1, sizeof(*answer.sets));
	if (!answer.sets) {
		error_nomem(&err, "a list of sets");
		session_fail(session, &err);
		session_close(session, "no memory");
		return;
	}
	while (region_set_at(session->region, answer.set_count, &answer.sets[answer.set_count], NULL))
		answer.set_count++;
	session->state = SESSION_ATTACHED;
	log_info("session %llu: job %s rank %u, generation %llu, uid %u, process %u on %s (%s)",
		 (unsigned long long)session->id, session->open.job, session->open.rank,
		 (unsigned long long)session->generation, session->uid, session->hello.pid,
		 session->hello.host, session->peer);
	TEST_POINT("pmm.open.before-reply");
	session_reply(session, wire_open_reply_fields, &answer);
	free(answer.sets);
}

/* The region is ours: fence what was before, and let the client reach the NI. */
static int open_finish(struct session *session, struct error *err)
{
	struct ni_request request = {.type = NI_ADMIT, .peer = session->id};
	bool again = session->open.flags & WIRE_OPEN_REATTACH, created = session->type == WIRE_CREATE;
	int rc;

	if (!created && !again) {
		/* P5: the fence is durable before the takeover is answered. */
		rc = region_fence(session->region, session->open.launch, &session->generation, err);
		if (rc)
			return rc;
		session->server->counters.takeovers++;
	}
	session->generation = region_generation(session->region);
	session->ni = ni_process_get(session->server, job_uid(session->job), err);
	if (!session->ni)
		return err->code;
	randombytes_buf(session->token, sizeof(session->token));
	request.group = session->uid; /* whose processes keep nothing from each other */
	memcpy(request.token, session->token, sizeof(request.token));
	session_order(session, &request, -1, admitted);
	return 0;
}

void request_open_again(struct session *session)
{
	struct error err;
	int rc;

	session_leave_job(session); /* whose region it dropped */
	rc = open_check(&session->open, &err);
	if (!rc && session->type == WIRE_CREATE)
		rc = create_region(session, &session->open, &err);
	else if (!rc)
		rc = open_region(session, &session->open, &err);
	if (rc > 0)
		return; /* called again when the former primary is gone */
	if (!rc)
		rc = open_finish(session, &err);
	if (rc) {
		session_undo_job(session);
		session_fail(session, &err);
	}
}

void request_open(struct session *session, const void *payload, size_t bytes)
{
	if (request_unpack(session, payload, bytes, wire_open_fields, &session->open))
		request_open_again(session);
}
