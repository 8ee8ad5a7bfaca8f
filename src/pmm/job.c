/* SPDX-License-Identifier: BSD-3-Clause */
/* job.c - the jobs of a pool. */
#include "pmm/job.h"

#include <errno.h>
#include <string.h>

#include "common/checksum.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/testpoint.h"
#include "pmm/index.h"

struct job *job_find(struct pool *pool, uint32_t uid, const char *name)
{
	return index_name_find(pool, uid, name);
}

/* ---- create ---- */

static bool name_valid(const char *name)
{
	size_t length = strnlen(name, JOB_NAME_BYTES);

	if (!length || length == JOB_NAME_BYTES)
		return false;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)name[i] < ' ' || name[i] == 127 || name[i] == '/')
			return false;
	}
	return true;
}

struct job_creation {
	const struct job *job;
	uint32_t gid;
	struct job_record *record;
};

static int job_create_change(struct pool *pool, void *arg)
{
	struct job_creation *creation = arg;
	const struct job *job = creation->job;
	struct root_record *root = pool->root;
	struct job_record *record;
	struct rank_record *table;
	int rc;

	record = change_allocate(pool, sizeof(*record), FORMAT_JOB);
	if (!record)
		return -ENOMEM;
	table = change_allocate(pool, job->ranks * sizeof(*table), FORMAT_TABLE);
	if (!table)
		return -ENOMEM;
	rc = change_record(root, sizeof(*root));
	if (rc)
		return rc;
	for (uint32_t rank = 0; rank < job->ranks; rank++)
		table[rank].checksum = rank_checksum(0, root->next_job, rank);
	record->tag = TAG_JOB;
	record->ranks = job->ranks;
	record->number = root->next_job++;
	record->created_ns = clock_realtime_ns();
	record->next = root->first_job;
	record->table = record_offset(pool, table);
	record->uid = job->uid;
	record->gid = creation->gid;
	record->state = JOB_STATE_LIVE;
	memcpy(record->name, job->name, strlen(job->name));
	record_seal(record);
	root->first_job = record_offset(pool, record);
	record_seal(root);
	creation->record = record;
	return 0;
}

int job_create(struct pool *pool, uint32_t uid, uint32_t gid, const char *name, uint32_t ranks,
	       struct job **out, struct error *err)
{
	struct job_creation creation = {.gid = gid};
	struct job *job;
	int rc;

	if (!name_valid(name))
		return error_set(err, -EINVAL, "a job's name has 1 to %d bytes, without control characters "
				 "and '/'", JOB_NAME_BYTES - 1);
	if (!ranks || ranks > RANKS_MAX)
		return error_set(err, -EINVAL, "job %s: %u ranks are not 1 to %u", name, ranks, RANKS_MAX);
	job = index_job_new(pool, uid, name, ranks);
	if (!job)
		return error_nomem(err, "a job");
	rc = index_name_add(job);
	if (rc) {
		rc = rc == -EEXIST ? error_set(err, rc, "job %s of user %u exists", name, uid)
				   : error_nomem(err, "a job");
		goto err_free;
	}
	creation.job = job;
	rc = transaction(pool, job_create_change, &creation, err, "create a job");
	if (rc)
		goto err_name;
	index_job_set_record(job, creation.record);
	index_job_link(job);
	pool->jobs++;
	job->user->jobs++;
	*out = job;
	return 0;

err_name:
	index_name_remove(job);
err_free:
	index_job_free(job);
	return rc;
}

/* ---- drop ---- */

/*
 * A job of thousands of ranks is too much for one transaction, which needs room of its own. So a first one
 * says that it is dropped; from then on it is not listed, and what is left of it goes piece by piece, if
 * need be when the pool is opened next.
 */
static int job_drop_change(struct pool *pool, void *arg)
{
	struct job *job = arg;
	int rc = change_record(job->record, sizeof(*job->record));

	(void)pool;
	if (rc)
		return rc;
	job->record->state = JOB_STATE_DROPPED;
	record_seal(job->record);
	return 0;
}

static int job_remove_change(struct pool *pool, void *arg)
{
	struct job *job = arg;
	struct job_record *record = job->record, *newer = job->newer ? job->newer->record : NULL;
	uint64_t next = record->next;
	int rc;

	rc = newer ? change_record(newer, sizeof(*newer)) : change_record(pool->root, sizeof(*pool->root));
	if (!rc)
		rc = change_free(pool, record->table);
	if (!rc)
		rc = change_free(pool, record->command);
	if (!rc)
		rc = change_free(pool, record_offset(pool, record));
	if (rc)
		return rc;
	if (newer) {
		newer->next = next;
		record_seal(newer);
	} else {
		pool->root->first_job = next;
		record_seal(pool->root);
	}
	return 0;
}

int job_finish_drop(struct job *job, struct error *err)
{
	int rc;

	for (uint32_t rank = 0; rank < job->ranks; rank++) {
		if (!job->regions[rank])
			continue;
		rc = region_drop(job->regions[rank], err);
		if (rc)
			return rc;
		TEST_POINT("job-drop-region");
	}
	rc = transaction(job->pool, job_remove_change, job, err, "remove a job's record");
	if (rc)
		return rc;
	index_job_unlink(job);
	index_job_free(job);
	return 0;
}

int job_drop(struct job *job, struct error *err)
{
	struct pool *pool = job->pool;
	struct error later = {0};
	int rc;

	/* The tree finds the job by what its record says. */
	rc = transaction(pool, job_drop_change, job, err, "remove a job");
	if (rc)
		return rc;
	index_name_remove(job);
	pool->jobs--;
	job->user->jobs--;
	TEST_POINT("job-dropped");
	if (job_finish_drop(job, &later))
		log_warning("pool %s: the rest of a removed job stays until the pool is opened again: %s",
			    pool->directory, later.text);
	return 0;
}

/* ---- the command line ---- */

struct command_change {
	struct job_record *job;
	const struct command_line *command;
};

static int job_command_change(struct pool *pool, void *arg)
{
	const struct command_change *change = arg;
	const struct command_line *command = change->command;
	struct command_record *record;
	int rc;

	record = change_allocate(pool, sizeof(*record) + command->bytes, FORMAT_COMMAND);
	if (!record)
		return -ENOMEM;
	rc = change_record(change->job, sizeof(*change->job));
	if (!rc)
		rc = change_free(pool, change->job->command);
	if (rc)
		return rc;
	record->tag = TAG_COMMAND;
	record->bytes = command->bytes;
	record->job = change->job->number;
	memcpy(record->text, command->text, command->bytes);
	record->text_checksum = checksum(record->text, record->bytes);
	record_seal(record);
	change->job->command = record_offset(pool, record);
	change->job->command_bytes = record->bytes;
	record_seal(change->job);
	return 0;
}

int job_record_command(struct job *job, const struct command_line *command, struct error *err)
{
	struct command_change change = {job->record, command};
	struct command_line before = job_command(job);

	if (!command->bytes || !command_ok(command))
		return error_set(err, -EINVAL, "job %s: this is no command line of at most %u arguments and %u "
				 "bytes, with an absolute directory", job->name, COMMAND_ARGUMENTS_MAX,
				 COMMAND_BYTES_MAX);
	if (command_equal(command, &before))
		return 0;
	return transaction(job->pool, job_command_change, &change, err, "record a command line");
}

struct command_line job_command(const struct job *job)
{
	struct command_record *record = record_at(job->pool, job->record->command);
	struct command_line command = {0};

	if (job->record->command)
		command = (struct command_line){record->bytes, record->text};
	return command;
}

/* ---- the group ---- */

struct share_change {
	struct job_record *record;
	uint32_t group;
	enum job_share share;
};

static int job_share_change(struct pool *pool, void *arg)
{
	const struct share_change *change = arg;
	int rc = change_record(change->record, sizeof(*change->record));

	(void)pool;
	if (rc)
		return rc;
	change->record->group = change->group;
	change->record->share = change->share;
	record_seal(change->record);
	return 0;
}

int job_share(struct job *job, uint32_t group, enum job_share share, struct error *err)
{
	struct share_change change = {job->record, share ? group : 0, share};

	if (share > JOB_SHARE_RUN)
		return error_set(err, -EINVAL, "job %s: there is no right %u that a group could have", job->name, share);
	if (share && group == UINT32_MAX)
		return error_set(err, -EINVAL, "job %s: there is no group %u", job->name, group);
	return transaction(job->pool, job_share_change, &change, err, "change a job's group");
}

enum job_share job_shared(const struct job *job, uint32_t *group)
{
	*group = job->record->group;
	return (enum job_share)job->record->share;
}

struct job_wish *job_wish(struct job *job)
{
	return &job->wish;
}

void job_add_session(struct job *job)
{
	job->sessions++;
}

void job_remove_session(struct job *job)
{
	job->sessions--;
}

unsigned job_session_count(const struct job *job)
{
	return job->sessions;
}

/* ---- look ---- */

struct job *job_next(struct pool *pool, struct job *job)
{
	job = job ? job->newer : pool->oldest;
	while (job && job->record->state != JOB_STATE_LIVE)
		job = job->newer;
	return job;
}

const char *job_name(const struct job *job)
{
	return job->name;
}

uint64_t job_number(const struct job *job)
{
	return job->record->number;
}

uint32_t job_uid(const struct job *job)
{
	return job->uid;
}

uint32_t job_gid(const struct job *job)
{
	return job->record->gid;
}

uint32_t job_ranks(const struct job *job)
{
	return job->ranks;
}

uint64_t job_created_ns(const struct job *job)
{
	return job->record->created_ns;
}

uint64_t job_reserved_bytes(const struct job *job)
{
	return job->reserved_bytes;
}

uint64_t job_complete_epoch(const struct job *job)
{
	return job->complete_epoch;
}

struct region *job_region(const struct job *job, uint32_t rank)
{
	return rank < job->ranks ? job->regions[rank] : NULL;
}
