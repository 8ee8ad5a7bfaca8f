/* SPDX-License-Identifier: BSD-3-Clause */
/* list.c - LIST, SHOW and STAT: what a pool holds, and what the server says of itself. */
#include "config.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/size.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/scrub.h"
#include "pmu/server.h"

static void describe_job(const struct session *session, const struct job *job, struct wire_job *out)
{
	uint32_t group;

	*out = (struct wire_job){
		.uid = job_uid(job),
		.ranks = job_ranks(job),
		.sessions = job_session_count(job),
		.complete_epoch = job_complete_epoch(job),
		.reserved_bytes = job_reserved_bytes(job),
		.created_ns = job_created_ns(job),
		.share = job_shared(job, &group),
		.damaged = scrub_found_of(session->server, job),
	};

	out->group = group;
	snprintf(out->name, sizeof(out->name), "%s", job_name(job));
	for (uint32_t rank = 0; rank < out->ranks; rank++)
		out->regions += job_region(job, rank) != NULL;
}

/* ---- LIST ---- */

void request_list(struct session *session, const void *payload, size_t bytes)
{
	uint32_t capacity = WIRE_LIST_BYTES / sizeof(struct wire_job), index = 0;
	struct wire_list_reply answer = {0};
	struct wire_target target;
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &target))
		return;
	answer.jobs = calloc(capacity, sizeof(*answer.jobs));
	if (!answer.jobs) {
		error_nomem(&err, "a list of jobs");
		session_fail(session, &err);
		return;
	}
	for (struct job *job = job_next(session->server->pool, NULL); job;
	     job = job_next(session->server->pool, job), index++) {
		if (index < target.rank ||
		    !(rights_admin(session) || rights_share(session, job, JOB_SHARE_READ)) ||
		    (target.uid != WIRE_UID_SELF && job_uid(job) != target.uid))
			continue;
		if (answer.count == capacity) {
			answer.next = index;
			break;
		}
		describe_job(session, job, &answer.jobs[answer.count++]);
	}
	session_reply(session, wire_list_reply_fields, &answer);
	wire_list_reply_free(&answer);
}

/* ---- SHOW ---- */

/*
 * The sets newer than epoch `after`, as many as fit into a page that has `filled` bytes already; at least one. The
 * segments are the pool's: packed from where they are, not freed. Tells the epoch to go on after, 0: those were all.
 */
static uint64_t describe_sets(const struct server *server, const struct region *region, uint64_t after, size_t *filled,
			      struct wire_region *out)
{
	struct wire_set set;

	for (unsigned i = 0; region_set_at(region, i, &set.info, (const struct segment **)&set.segments); i++) {
		if (set.info.epoch <= after)
			continue;
		if (out->set_count && *filled >= WIRE_LIST_BYTES)
			return out->sets[out->set_count - 1].info.epoch;
		set.damaged = scrub_found(server, region_job(region), region_rank(region), &set.info);
		if (!out->set_count) /* what it would refer to is not in this page */
			set.segments = (struct segment *)(uintptr_t)region_segments_of(region, set.info.epoch);
		out->sets[out->set_count++] = set;
		*filled += set.segments ? wire_set_bytes(&set.info) : sizeof(set.info);
	}
	return 0;
}

static uint64_t log_used_bytes(const struct region *region)
{
	const struct increment_info *at;
	uint64_t bytes = 0;

	for (unsigned i = 0; (at = region_increment(region, i)); i++)
		bytes += size_round_up(at->set.table_offset + at->set.table_bytes, SET_ALIGN);
	return bytes;
}

/* -ENOMEM, or 0. `next_epoch` as in the reply. */
static int describe_region(const struct session *session, const struct region *region, uint64_t after,
			   size_t *filled, struct wire_region *out, uint64_t *next_epoch)
{
	const struct session *primary = region_holder(region);

	*out = (struct wire_region){
		.rank = region_rank(region),
		.mode = region_mode(region),
		.generation = region_generation(region),
		.reserved_bytes = region_reserved_bytes(region),
		.sets = calloc(region_set_count(region) + 1, sizeof(*out->sets)),
	};
	if (!out->sets)
		return -ENOMEM;
	if (out->mode == REGION_APPEND) {
		out->log_bytes = region_slot_capacity(region, SLOT_LOG);
		out->log_used_bytes = log_used_bytes(region);
	}
	if (primary && primary->state != SESSION_CLOSED) {
		out->alive = 1;
		snprintf(out->host, sizeof(out->host), "%s", primary->hello.host);
		out->pid = primary->hello.pid;
		out->since_ns = primary->since_ns;
	}
	*filled += sizeof(*out);
	*next_epoch = describe_sets(session->server, region, after, filled, out);
	return 0;
}

/* A page of regions, from rank target->rank on. */
static int describe_regions(const struct session *session, const struct job *job, const struct wire_target *target,
			    struct wire_show_reply *answer)
{
	const struct region *region;
	uint32_t rank = target->rank;
	size_t filled = 0;
	int rc = 0;

	answer->regions = calloc(WIRE_LIST_BYTES / sizeof(*answer->regions) + 1, sizeof(*answer->regions));
	if (!answer->regions)
		return -ENOMEM;
	for (; !rc && rank < job_ranks(job) && filled < WIRE_LIST_BYTES; rank++) {
		region = job_region(job, rank);
		if (!region)
			continue;
		rc = describe_region(session, region, rank == target->rank ? target->epoch : 0, &filled,
				     &answer->regions[answer->count++], &answer->next_epoch);
		if (answer->next_epoch)
			break;
	}
	answer->next = rank < job_ranks(job) ? rank : 0;
	return rc;
}

static void regions_free(struct wire_show_reply *answer)
{
	for (uint32_t i = 0; i < answer->count; i++)
		free(answer->regions[i].sets);
	free(answer->regions);
}

void request_show(struct session *session, const void *payload, size_t bytes)
{
	struct wire_show_reply answer = {0};
	struct wire_target target;
	struct error err;
	struct job *job;

	if (!request_unpack(session, payload, bytes, wire_target_fields, &target))
		return;
	job = request_job(session, &target, JOB_SHARE_READ);
	if (!job)
		return;
	describe_job(session, job, &answer.job);
	if (!target.rank && !target.epoch)
		answer.command.command = job_command(job);
	if (!describe_regions(session, job, &target, &answer)) {
		session_reply(session, wire_show_reply_fields, &answer);
	} else {
		error_nomem(&err, "a list of regions");
		session_fail(session, &err);
	}
	regions_free(&answer);
}

/* ---- STAT ---- */

__attribute__((format(printf, 3, 4))) static void stat_add(struct wire_stat_reply *reply,
							   const char *key, const char *fmt, ...)
{
	struct wire_stat *stat = &reply->stats[reply->count];
	va_list ap;

	if (reply->count == WIRE_STATS_MAX)
		return;
	reply->count++;
	snprintf(stat->key, sizeof(stat->key), "%s", key);
	va_start(ap, fmt);
	vsnprintf(stat->value, sizeof(stat->value), fmt, ap);
	va_end(ap);
}

static void stat_pool(struct wire_stat_reply *reply, const struct server *server)
{
	struct pool_stat pool;
	char id[33];

	pool_get_stat(server->pool, &pool);
	for (unsigned i = 0; i < sizeof(pool.id); i++)
		snprintf(id + 2 * i, 3, "%02x", pool.id[i]);
	stat_add(reply, "pool.directory", "%s", pool.directory);
	stat_add(reply, "pool.id", "%s", id);
	stat_add(reply, "pool.version", "%d", POOL_VERSION);
	if (*pool.device) {
		stat_add(reply, "pool.device", "%s", pool.device);
		stat_add(reply, "pool.bad_bytes", "%" PRIu64, pool.bad_bytes);
	}
	stat_add(reply, "pool.medium", "%s", pool.medium);
	stat_add(reply, "pool.flush", "%s", media_granularity_text(pool.granularity));
	stat_add(reply, "pool.survives", "%s", media_survives_text(pool.survives));
	stat_add(reply, "pool.size_bytes", "%" PRIu64, pool.size_bytes);
	stat_add(reply, "pool.reserved_bytes", "%" PRIu64, pool.reserved_bytes);
	stat_add(reply, "pool.metadata_bytes", "%" PRIu64, pool.metadata_bytes);
	stat_add(reply, "pool.metadata_used_bytes", "%" PRIu64, pool.metadata_used_bytes);
	stat_add(reply, "pool.jobs", "%" PRIu64, pool.jobs);
	stat_add(reply, "pool.regions", "%" PRIu64, pool.regions);
	stat_add(reply, "pool.sets", "%" PRIu64, pool.sets);
	stat_add(reply, "pool.changes", "%" PRIu64, pool.changes);
}

static void stat_server(struct wire_stat_reply *reply, const struct server *server)
{
	struct scrub_stat scrub = scrub_stat(server);
	char key[32];

	stat_add(reply, "server.version", "%s", PACKAGE_VERSION);
	stat_add(reply, "server.pid", "%d", (int)getpid());
	stat_add(reply, "server.uptime_s", "%" PRIu64,
		 (clock_monotonic_ns() - server->started_ns) / 1000000000u);
	stat_add(reply, "server.auth", "%s", server->auth->name);
	stat_add(reply, "server.lease_s", "%" PRIu64, server->conf.lease_s);
	stat_add(reply, "server.persist_method", "%s", persist_name(server->persist));
	stat_add(reply, "server.net", "%s%s%s", server->conf.net, *server->conf.fabric ? "/" : "",
		 server->conf.fabric);
	stat_add(reply, "server.local", "%s", server->local ? "yes" : "no");
	stat_add(reply, "server.sessions", "%" PRIu64, server->session_count);
	stat_add(reply, "server.grants", "%" PRIu64, server->att.count);
	stat_add(reply, "count.commits", "%" PRIu64, server->counters.commits);
	for (unsigned method = 0; method < PERSIST_END; method++) {
		snprintf(key, sizeof(key), "count.commits_%s", persist_name(method));
		stat_add(reply, key, "%" PRIu64, server->counters.commits_by[method]);
	}
	stat_add(reply, "count.commits_local", "%" PRIu64, server->counters.commits_local);
	stat_add(reply, "count.commit_bytes", "%" PRIu64, server->counters.commit_bytes);
	stat_add(reply, "count.aborts", "%" PRIu64, server->counters.aborts);
	stat_add(reply, "count.takeovers", "%" PRIu64, server->counters.takeovers);
	stat_add(reply, "count.reads", "%" PRIu64, server->counters.reads);
	stat_add(reply, "count.refused_logins", "%" PRIu64, server->counters.refused_logins);
	stat_add(reply, "count.hurried_logins", "%" PRIu64, server->counters.hurried_logins);
	stat_add(reply, "count.bad_seals", "%" PRIu64, server->counters.bad_seals);
	stat_add(reply, "count.ni_deaths", "%" PRIu64, server->counters.ni_deaths);
	stat_add(reply, "count.merges", "%" PRIu64, server->counters.merges);
	stat_add(reply, "scrub.passes", "%" PRIu64, scrub.passes);
	stat_add(reply, "scrub.sets", "%" PRIu64, scrub.sets);
	stat_add(reply, "scrub.bytes", "%" PRIu64, scrub.bytes);
	stat_add(reply, "scrub.damaged", "%" PRIu64, scrub.damaged);
	stat_add(reply, "count.merge_bytes", "%" PRIu64, server->counters.merge_bytes);
	for (struct ni_process *ni = NULL; (ni = ni_process_next(server, ni));) {
		snprintf(key, sizeof(key), "ni.%u.pid", ni_process_uid(ni));
		stat_add(reply, key, "%d", (int)ni_process_pid(ni));
		snprintf(key, sizeof(key), "ni.%u.confined", ni_process_uid(ni));
		stat_add(reply, key, "%s", ni_process_confined(ni));
	}
}

void request_stat(struct session *session, const void *payload, size_t bytes)
{
	struct wire_stat_reply answer = {0};
	struct error err;

	if (!request_unpack(session, payload, bytes, wire_nothing_fields, NULL))
		return;
	answer.stats = calloc(WIRE_STATS_MAX, sizeof(*answer.stats));
	if (!answer.stats) {
		error_nomem(&err, "statistics");
		session_fail(session, &err);
		return;
	}
	stat_pool(&answer, session->server);
	stat_server(&answer, session->server);
	session_reply(session, wire_stat_reply_fields, &answer);
	free(answer.stats);
}
