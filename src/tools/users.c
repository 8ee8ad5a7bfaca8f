/* SPDX-License-Identifier: BSD-3-Clause */
/* users.c - pmuctl users. */
#include <inttypes.h>
#include <string.h>
#include <jansson.h>
#include "common/identity.h"
#include "common/size.h"
#include "tools/list.h"
#include "tools/pmuctl.h"

static json_t *user_json(const struct wire_user *user)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "uid", (json_int_t)user->uid, "jobs",
			 (json_int_t)user->jobs, "regions", (json_int_t)user->regions, "quota_regions",
			 (json_int_t)user->quota_regions, "reserved_bytes", (json_int_t)user->reserved_bytes, "quota_bytes",
			 (json_int_t)user->quota_bytes, "sessions", (json_int_t)user->sessions, "quota_sessions",
			 (json_int_t)user->quota_sessions);
}

/* "12/100", or "12" where there is no quota. */
static const char *number_of(uint64_t number, uint64_t quota, char *out, size_t capacity)
{
	if (quota)
		snprintf(out, capacity, "%" PRIu64 "/%" PRIu64, number, quota);
	else
		snprintf(out, capacity, "%" PRIu64, number);
	return out;
}

static void user_print(const struct wire_user *user)
{
	char name[IDENTITY_NAME_BYTES], regions[48], sessions[48], reserved[32], quota[32] = "none";

	if (user->quota_bytes)
		size_format(user->quota_bytes, quota, sizeof(quota));
	printf("%-20s %6" PRIu64 " %14s %12s %12s %14s\n", identity_user_name(user->uid, name), user->jobs,
	       number_of(user->regions, user->quota_regions, regions, sizeof(regions)),
	       size_format(user->reserved_bytes, reserved, sizeof(reserved)), quota,
	       number_of(user->sessions, user->quota_sessions, sessions, sizeof(sessions)));
}

static int users_page(struct pmuctl *ctl, struct wire_target *target, json_t *all)
{
	struct wire_users_reply reply = {0};
	int rc = pmuctl_call(ctl, WIRE_USERS, target, wire_users_reply_fields, &reply);

	for (uint32_t i = 0; i < reply.count; i++) {
		if (ctl->json)
			json_array_append_new(all, user_json(&reply.users[i]));
		else
			user_print(&reply.users[i]);
	}
	target->rank = reply.next;
	wire_users_reply_free(&reply);
	return rc;
}

int pmuctl_users(struct pmuctl *ctl)
{
	if (!ctl->json)
		printf("%-20s %6s %14s %12s %12s %14s\n", "USER", "JOBS", "REGIONS", "RESERVED", "QUOTA", "SESSIONS");
	return pmuctl_list(ctl, users_page);
}
