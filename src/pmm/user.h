/* SPDX-License-Identifier: BSD-3-Clause */
/* user.h - who has jobs in a pool: what they take of it, and how much they may take. */
#ifndef HOLDFAST_USER_H
#define HOLDFAST_USER_H

#include <stdint.h>

struct pool;
struct user;

/* 0: as much as there is. What a user has already stays, whatever the limit. */
struct user_limits {
	uint64_t bytes;	  /* that regions may reserve */
	uint64_t regions;
};

/* Tells the limits of a user, each time that something of his is to grow. */
typedef struct user_limits user_limits_fn(void *arg, uint32_t uid);

/* From now on users have limits. Until then, and with NULL, there are none. */
void pool_limit_users(struct pool *pool, user_limits_fn *limits, void *arg);

/* Walks all who have, or had since the pool was opened, a job: NULL gives the first; NULL at the end. */
const struct user *user_next(const struct pool *pool, const struct user *user);

uint32_t user_uid(const struct user *user);
uint64_t user_jobs(const struct user *user);
uint64_t user_regions(const struct user *user);
uint64_t user_reserved_bytes(const struct user *user);

#endif
