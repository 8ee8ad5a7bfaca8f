/* SPDX-License-Identifier: BSD-3-Clause */
/* job.h - the jobs of a pool: a name of one user, with a fixed number of ranks. */
#ifndef HOLDFAST_JOB_H
#define HOLDFAST_JOB_H

#include <stdint.h>
#include "common/command.h"
#include "common/error.h"
#include "common/set.h"
#include "common/share.h"

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

/*
 * Records the command line by which the job is run, in place of an earlier one. Nothing is written where it is
 * the same. -EINVAL (no command, or over the limits), -ENOSPC (metadata is full).
 */
int job_record_command(struct job *job, const struct command_line *command, struct error *err);

/* The recorded command, the pool's until another is recorded; its bytes are 0 where there is none. */
struct command_line job_command(const struct job *job);

/* Lets the members of a group share in the job; JOB_SHARE_NONE: nobody. -EINVAL. */
int job_share(struct job *job, uint32_t group, enum job_share share, struct error *err);

/* Who shares in the job, and how. */
enum job_share job_shared(const struct job *job, uint32_t *group);

/* What is asked of the running job. Volatile: it begins anew whenever the pool is opened. */
struct job_wish {
	uint32_t flags;	 /* what is not served yet; 0: nothing */
	uint64_t asked;	 /* number of the last wish; rising */
	uint64_t served; /* number of the last one that was served, */
	uint64_t epoch;	 /* and by which epoch */
};

/* The job's, to be read and written. */
struct job_wish *job_wish(struct job *job);

/* How many sessions hold something of the job: whoever has sessions counts them here. Volatile, too. */
void job_add_session(struct job *job);
void job_remove_session(struct job *job);
unsigned job_session_count(const struct job *job);

/* Walks all jobs, oldest first: NULL gives the first; NULL at the end. */
struct job *job_next(struct pool *pool, struct job *job);

const char *job_name(const struct job *job);
uint32_t job_uid(const struct job *job);
uint64_t job_number(const struct job *job); /* unique in the pool, and never used again */
uint32_t job_gid(const struct job *job);
uint32_t job_ranks(const struct job *job);
uint64_t job_created_ns(const struct job *job); /* since the epoch */
uint64_t job_reserved_bytes(const struct job *job);

/* The newest epoch of which every rank has a published set; 0 where there is none. */
uint64_t job_complete_epoch(const struct job *job);

/* NULL where this rank has no region yet. */
struct region *job_region(const struct job *job, uint32_t rank);

#endif
