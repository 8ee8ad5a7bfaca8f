/* SPDX-License-Identifier: BSD-3-Clause */
/* user.c - who has jobs in a pool. */
#include "pmm/user.h"

#include <stdlib.h>
#include "pmm/index.h"

void pool_limit_users(struct pool *pool, user_limits_fn *limits, void *arg)
{
	pool->limits = limits;
	pool->limits_arg = arg;
}

struct user_limits user_limits_of(const struct user *user)
{
	const struct pool *pool = user->pool;

	return pool->limits ? pool->limits(pool->limits_arg, user->uid) : (struct user_limits){0};
}

struct user *index_user(struct pool *pool, uint32_t uid)
{
	struct user *user = pool->users;

	while (user && user->uid != uid)
		user = user->next;
	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	*user = (struct user){.pool = pool, .uid = uid, .next = pool->users};
	pool->users = user;
	return user;
}

void index_users_free(struct pool *pool)
{
	struct user *user;

	while ((user = pool->users)) {
		pool->users = user->next;
		free(user);
	}
}

const struct user *user_next(const struct pool *pool, const struct user *user)
{
	return user ? user->next : pool->users;
}

uint32_t user_uid(const struct user *user)
{
	return user->uid;
}

uint64_t user_jobs(const struct user *user)
{
	return user->jobs;
}

uint64_t user_regions(const struct user *user)
{
	return user->regions;
}

uint64_t user_reserved_bytes(const struct user *user)
{
	return user->reserved_bytes;
}
