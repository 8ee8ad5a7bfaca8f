/* SPDX-License-Identifier: BSD-3-Clause */
/* rights.c - who may what. */
#include "pmu/rights.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "pmm/job.h"
#include "pmu/server.h"
#include "pmu/session.h"

bool rights_admin(const struct session *session)
{
	return session->uid == 0 || session->uid == geteuid() || conf_is_admin(&session->server->conf, session->uid);
}

static bool has_group(const struct session *session, uint32_t group)
{
	for (unsigned i = 0; i < session->group_count; i++) {
		if (session->groups[i] == group)
			return true;
	}
	return group == session->gid; /* no job is shared with RIGHTS_NO_GROUP */
}

bool rights_share(const struct session *session, const struct job *job, enum job_share share)
{
	uint32_t group;

	return job_uid(job) == session->uid || (job_shared(job, &group) >= share && has_group(session, group));
}

int rights_session(const struct session *session, struct error *err)
{
	uint64_t most = conf_quota_of(&session->server->conf, session->uid, QUOTA_SESSIONS), count = 0;

	if (!most || rights_admin(session))
		return 0;
	for (const struct session *s = session->server->sessions; s; s = s->next)
		count += s->logged_in && s->uid == session->uid && s->state != SESSION_CLOSED;
	if (count < most)
		return 0;
	return error_set(err, -EUSERS, "user %u has %" PRIu64 " sessions with this server, as many as he may have: end some, or "
			 "ask the administrator for more (quota-sessions)", session->uid, count);
}

struct user_limits rights_limits(void *arg, uint32_t uid)
{
	const struct server *server = arg;

	return (struct user_limits){
		.bytes = conf_quota_of(&server->conf, uid, QUOTA_BYTES),
		.regions = conf_quota_of(&server->conf, uid, QUOTA_REGIONS),
	};
}

void rights_take(struct conf *conf, struct conf *fresh)
{
	struct conf old = *conf;

	conf->admins = fresh->admins;
	conf->admin_uids = fresh->admin_uids;
	conf->admin_count = fresh->admin_count;
	conf->users = fresh->users;
	for (unsigned i = 0; i < QUOTA_END; i++)
		conf->quotas[i] = fresh->quotas[i];
	/* To be freed with the rest of it. */
	fresh->admins = old.admins;
	fresh->admin_uids = old.admin_uids;
	fresh->admin_count = old.admin_count;
	fresh->users = old.users;
}
