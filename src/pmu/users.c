/* SPDX-License-Identifier: BSD-3-Clause */
/* users.c - USERS: what each user takes of the server, and may take. */
#include <errno.h>
#include <stdlib.h>
#include "pmm/user.h"
#include "pmu/request.h"
#include "pmu/server.h"

struct uids {
	uint32_t *list;
	size_t count;
};

static int by_number(const void *a, const void *b)
{
	const uint32_t *one = a, *two = b;

	return *one < *two ? -1 : *one > *two;
}

/* All that there is something to say of: who has jobs, who has sessions, and who asks. */
static int uids_collect(const struct session *session, struct uids *uids)
{
	const struct server *server = session->server;
	size_t count = 0, kept = 0, most = server->session_count + 1;

	for (const struct user *user = NULL; (user = user_next(server->pool, user));)
		most++;
	uids->list = calloc(most, sizeof(*uids->list));
	if (!uids->list)
		return -ENOMEM;
	for (const struct user *user = NULL; (user = user_next(server->pool, user));) {
		if (user_jobs(user) || user_regions(user))
			uids->list[count++] = user_uid(user);
	}
	for (const struct session *s = server->sessions; s; s = s->next) {
		if (s->logged_in)
			uids->list[count++] = s->uid;
	}
	qsort(uids->list, count, sizeof(*uids->list), by_number);
	for (size_t i = 0; i < count; i++) {
		if (!kept || uids->list[i] != uids->list[kept - 1])
			uids->list[kept++] = uids->list[i];
	}
	uids->count = kept;
	return 0;
}

static void describe_user(const struct server *server, uint32_t uid, struct wire_user *out)
{
	const struct user *user = NULL;

	*out = (struct wire_user){
		.uid = uid,
		.quota_bytes = conf_quota_of(&server->conf, uid, QUOTA_BYTES),
		.quota_regions = conf_quota_of(&server->conf, uid, QUOTA_REGIONS),
		.quota_sessions = conf_quota_of(&server->conf, uid, QUOTA_SESSIONS),
	};
	for (const struct session *s = server->sessions; s; s = s->next)
		out->sessions += s->logged_in && s->uid == uid;
	while ((user = user_next(server->pool, user)) && user_uid(user) != uid)
		continue;
	if (!user)
		return;
	out->jobs = user_jobs(user);
	out->regions = user_regions(user);
	out->reserved_bytes = user_reserved_bytes(user);
}

void request_users(struct session *session, const void *payload, size_t bytes)
{
	uint32_t capacity = WIRE_LIST_BYTES / sizeof(struct wire_user);
	struct wire_users_reply answer = {0};
	struct wire_target target;
	struct uids uids = {0};
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &target))
		return;
	answer.users = calloc(capacity, sizeof(*answer.users));
	if (!answer.users || uids_collect(session, &uids)) {
		error_nomem(&err, "a list of users");
		session_fail(session, &err);
		goto out;
	}
	for (size_t i = target.rank; i < uids.count; i++) {
		if ((uids.list[i] != session->uid && !rights_admin(session)) ||
		    (target.uid != WIRE_UID_SELF && uids.list[i] != target.uid))
			continue;
		if (answer.count == capacity) {
			answer.next = (uint32_t)i;
			break;
		}
		describe_user(session->server, uids.list[i], &answer.users[answer.count++]);
	}
	session_reply(session, wire_users_reply_fields, &answer);
out:
	wire_users_reply_free(&answer);
	free(uids.list);
}
