/* SPDX-License-Identifier: BSD-3-Clause */
/* identity.c - users and groups of this machine. */
#include "common/identity.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

/* A group's entry has its members. */
#define ENTRY_BYTES (64u << 10)

static int number_parse(const char *text, uint32_t *number)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -ENOENT;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value >= UINT32_MAX)
		return -ENOENT;
	*number = (uint32_t)value;
	return 0;
}

int identity_user(const char *text, uint32_t *uid)
{
	struct passwd entry, *found = NULL;
	char buffer[ENTRY_BYTES];

	if (!number_parse(text, uid))
		return 0;
	getpwnam_r(text, &entry, buffer, sizeof(buffer), &found);
	if (!found)
		return -ENOENT;
	*uid = found->pw_uid;
	return 0;
}

int identity_group(const char *text, uint32_t *gid)
{
	struct group entry, *found = NULL;
	char buffer[ENTRY_BYTES];

	if (!number_parse(text, gid))
		return 0;
	getgrnam_r(text, &entry, buffer, sizeof(buffer), &found);
	if (!found)
		return -ENOENT;
	*gid = found->gr_gid;
	return 0;
}

const char *identity_user_name(uint32_t uid, char *out)
{
	struct passwd entry, *found = NULL;
	char buffer[ENTRY_BYTES];

	getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found);
	if (found)
		snprintf(out, IDENTITY_NAME_BYTES, "%s", found->pw_name);
	else
		snprintf(out, IDENTITY_NAME_BYTES, "%u", uid);
	return out;
}

const char *identity_group_name(uint32_t gid, char *out)
{
	struct group entry, *found = NULL;
	char buffer[ENTRY_BYTES];

	getgrgid_r(gid, &entry, buffer, sizeof(buffer), &found);
	if (found)
		snprintf(out, IDENTITY_NAME_BYTES, "%s", found->gr_name);
	else
		snprintf(out, IDENTITY_NAME_BYTES, "%u", gid);
	return out;
}
