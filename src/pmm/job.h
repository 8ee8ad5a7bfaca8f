/* SPDX-License-Identifier: BSD-3-Clause */
/* job.h - the jobs of a pool: a name of one user, with a fixed number of ranks. */
#ifndef HOLDFAST_JOB_H
#define HOLDFAST_JOB_H

#include <stdint.h>
#include "common/error.h"
#include "common/set.h"

struct pool;
struct region;
struct job;

/* NULL where the user has no such job. */
struct job *job_find(struct pool *pool, uint32_t uid, const char *name);

/* -EEXIST, -ENOSPC (metadata is full), -EINVAL (name or number of ranks). */
int job_create(struct pool *pool, uint32_t uid, uint32_t gid, const char *name, uint32_t ranks,
	       struct job **job, struct error *err);

/* Removes the job with all its regions and sets. */
int job_drop(struct job *job, struct error *err);

/* Walks all jobs, oldest first: NULL gives the first; NULL at the end. */
struct job *job_next(struct pool *pool, struct job *job);

const char *job_name(const struct job *job);
uint32_t job_uid(const struct job *job);
uint32_t job_gid(const struct job *job);
uint32_t job_ranks(const struct job *job);
uint64_t job_created_ns(const struct job *job); /* since the epoch */
uint64_t job_reserved_bytes(const struct job *job);

/* The newest epoch of which every rank has a published set; 0 where there is none. */
uint64_t job_complete_epoch(const struct job *job);

/* NULL where this rank has no region yet. */
struct region *job_region(const struct job *job, uint32_t rank);

#endif
