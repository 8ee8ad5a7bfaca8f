/* SPDX-License-Identifier: BSD-3-Clause */
/* merge.c - consolidation of regions in append mode. */
#include "pmu/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

enum state {
	WANTED,	 /* it waits for its turn */
	RUNNING, /* orders are at the NI */
	FAILED,	 /* not tried again before there is a newer base */
};

/* A region whose sets are to be merged. */
struct merging {
	struct server *server;
	struct region *region; /* NULL: it has gone, and was */
	uint64_t job_number;   /* of this job */
	uint32_t uid;
	enum state state;
	struct merge merge; /* RUNNING, FAILED */
	struct ni_process *ni;
	unsigned slots[3], mapped; /* what the NI needs, and how many of them it has */
	struct merging *next;
};

static void merge_next(struct server *server, uint32_t uid);

/* ---- the list ---- */

static struct merging *merging_of(const struct server *server, const struct region *region)
{
	struct merging *m = server->merges;

	while (m && m->region != region)
		m = m->next;
	return m;
}

static void merging_free(struct merging *m)
{
	struct merging **at = &m->server->merges;

	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	free(m);
}

static void merging_append(struct merging *m)
{
	struct merging **at = &m->server->merges;

	while (*at)
		at = &(*at)->next;
	*at = m;
}

static struct retention retention_of(const struct conf *conf)
{
	return (struct retention){
		.keep = conf->keep,
		.span_ns = conf->keep_span_s * 1000000000u,
		.spans = conf->keep_spans,
		.merge_at = conf->merge_at,
	};
}

static bool plan(const struct server *server, const struct region *region, struct merge *merge)
{
	struct retention retention = retention_of(&server->conf);

	return region_merge_plan(region, &retention, clock_realtime_ns(), merge);
}

/* Whoever writes the region has to hear that it holds fewer epochs. */
static void tell_writer(const struct region *region)
{
	struct session *session = region_holder(region);

	if (session)
		session->merged = true;
}

/* ---- the end of one ---- */

/* What a full set in the region waits for is over. */
static void waiting_go_on(struct server *server, const struct merging *m)
{
	for (struct session *s = server->sessions; s; s = s->next) {
		if (s->waits_for_merge != m)
			continue;
		s->waits_for_merge = NULL;
		if (s->state != SESSION_CLOSED)
			request_begin_again(s);
	}
}

/* Nobody of the job may be there any more, who would have the NI forget its slots at his end. */
static void slots_unmap(const struct merging *m)
{
	const struct job *job = region_job(m->region);

	if (job_session_count(job))
		return;
	for (unsigned slot = 0; slot < region_slots(m->region); slot++) {
		struct ni_request request = {.type = NI_UNMAP, .file = region_slot_file(m->region, slot)};

		ni_process_order(m->ni, &request, -1, NULL, NULL);
	}
}

static void merging_end(struct merging *m, int status, const char *text)
{
	struct server *server = m->server;
	struct region *region = status ? NULL : m->region;
	bool gone = !m->region;
	uint32_t uid = m->uid;

	if (m->region)
		slots_unmap(m);
	if (m->region && status)
		region_merge_cancel(m->region);
	if (m->region && status && status != -ECANCELED && !server->stopping)
		log_warning("job %s rank %u: epochs %llu to %llu are not merged: %s; 'pmuctl verify' checks the sets",
			    job_name(region_job(m->region)), region_rank(m->region), (unsigned long long)m->merge.from,
			    (unsigned long long)m->merge.to, text);
	m->state = FAILED; /* it is not under way for those who waited */
	waiting_go_on(server, m);
	if (!m->region || !status || status == -ECANCELED)
		merging_free(m);
	if (gone)
		request_release(server);
	if (region)
		merge_consider(server, region); /* there may be more: it waits for its turn */
	merge_next(server, uid);
}

static int publish(struct merging *m, const struct set_info *made, struct error *err)
{
	struct set_info set = *made;
	int rc;

	set.epoch = m->merge.to;
	set.kind = m->merge.slot == SLOT_LOG ? SET_INCREMENT : SET_FULL;
	TEST_POINT("pmm.merge.before-publish");
	rc = region_merge_publish(m->region, &m->merge, &set, err);
	TEST_POINT("pmm.merge.after-publish");
	if (rc == -ENOENT)
		err->code = -ECANCELED; /* sets were withdrawn meanwhile: the next COMMIT looks again */
	return rc;
}

static void merged(void *arg, const struct ni_reply *reply)
{
	struct error err = {.code = reply->status};
	struct merging *m = arg;
	char bytes[32];

	if (reply->status)
		error_set(&err, reply->status, "%s", reply->text);
	if (!m->region)
		err.code = -ECANCELED;
	if (!err.code && !publish(m, &reply->set, &err)) {
		m->server->counters.merges++;
		m->server->counters.merge_bytes += reply->set.data_bytes;
		log_info("job %s rank %u: epochs %llu to %llu are one set of %s now", job_name(region_job(m->region)),
			 region_rank(m->region), (unsigned long long)m->merge.from, (unsigned long long)m->merge.to,
			 size_format(reply->set.data_bytes, bytes, sizeof(bytes)));
		tell_writer(m->region);
	}
	merging_end(m, err.code, err.text);
}

/* ---- the beginning of one ---- */

/* The sets from `from` to `to`, where they lie, and the layout of the last. */
static int sources_of(const struct merging *m, struct ni_merge *sources, struct error *err)
{
	const struct region *region = m->region;
	const struct set_info *base;
	struct chain chain;

	if (region_chain(region, m->merge.to, &chain))
		return error_set(err, -ENOENT, "epoch %llu is gone", (unsigned long long)m->merge.to);
	sources->state_bytes_max = region_slot_capacity(region, chain.slot);
	sources->sources = calloc(1 + chain.end - chain.first, sizeof(*sources->sources));
	if (!sources->sources)
		return error_nomem(err, "the sources of a merge");
	base = region_set(region, chain.slot);
	if (base->epoch == m->merge.from)
		sources->sources[sources->source_count++] =
			(struct ni_source){region_slot_file(region, chain.slot), 0, *base};
	for (unsigned i = chain.first; i < chain.end; i++) {
		const struct increment_info *increment = region_increment(region, i);

		if (increment->set.epoch >= m->merge.from)
			sources->sources[sources->source_count++] = (struct ni_source){
				region_slot_file(region, SLOT_LOG), increment->place, increment->set};
	}
	sources->last = (struct wire_set){sources->sources[sources->source_count - 1].set,
					  (struct segment *)region_segments_of(region, m->merge.to), 0};
	return 0;
}

static int merge_order(struct merging *m, struct error *err)
{
	struct ni_merge sources = {0};
	struct ni_request request = {
		.type = NI_MERGE,
		.file = region_slot_file(m->region, m->merge.slot),
		.offset = m->merge.place,
		.bytes = m->merge.bytes,
		.rank = region_rank(m->region),
		.count = (uint32_t)m->server->conf.ni_timeout_s * 500, /* before the NI is taken for dead */
		.set = {.kind = m->merge.slot == SLOT_LOG ? SET_INCREMENT : SET_FULL},
	};
	int fd, rc = sources_of(m, &sources, err);

	if (!rc)
		rc = ni_merge_pack(&sources, &fd, err);
	free(sources.sources);
	if (rc)
		return rc;
	ni_process_order(m->ni, &request, fd, merged, m);
	close(fd);
	return 0;
}

static void step(struct merging *m);

static void mapped(void *arg, const struct ni_reply *reply)
{
	struct merging *m = arg;

	if (reply->status || !m->region) {
		merging_end(m, m->region ? reply->status : -ECANCELED, reply->text);
		return;
	}
	m->mapped++;
	step(m);
}

/* Has the NI map what is merged and where it goes, one after the other, and then merge. */
static void step(struct merging *m)
{
	unsigned slot;
	struct ni_request request;
	struct error err;
	int fd, rc;

	if (m->mapped == sizeof(m->slots) / sizeof(m->slots[0])) {
		rc = merge_order(m, &err);
		if (rc)
			merging_end(m, rc, err.text);
		return;
	}
	slot = m->slots[m->mapped];
	rc = request_map_order(m->region, slot, region_slot_capacity(m->region, slot), &request, &fd, &err);
	if (rc) {
		merging_end(m, rc, err.text);
		return;
	}
	ni_process_order(m->ni, &request, fd, mapped, m);
	close(fd);
}

/* Room for it, which nobody reaches any more: then it is under way. */
static int begin(struct merging *m, struct error *err)
{
	struct server *server = m->server;
	uint64_t first, last;
	struct chain chain;
	int rc = region_chain(m->region, m->merge.to, &chain);

	if (rc)
		return error_set(err, rc, "epoch %llu is gone", (unsigned long long)m->merge.to);
	m->ni = ni_process_get(server, m->uid, err);
	if (!m->ni)
		return err->code;
	rc = region_merge_begin(m->region, &m->merge, &first, &last, err);
	if (rc)
		return rc;
	/* P1: what was there is withdrawn before it is overwritten. */
	if (last)
		tell_writer(m->region);
	request_revoke(server, region_slot_file(m->region, m->merge.slot), m->merge.place, m->merge.bytes);
	log_debug("job %s rank %u: epochs %llu to %llu are to become one set", job_name(region_job(m->region)),
		  region_rank(m->region), (unsigned long long)m->merge.from, (unsigned long long)m->merge.to);
	m->state = RUNNING;
	m->mapped = 0;
	m->slots[0] = chain.slot;
	m->slots[1] = SLOT_LOG;
	m->slots[2] = m->merge.slot;
	return 0;
}

/* May it begin? Not while somebody writes to the region: where to is not in its metadata before COMMIT. */
static bool may_begin(const struct merging *m)
{
	const struct session *session = region_holder(m->region);

	if (m->state != WANTED)
		return false;
	return !session || (session->state == SESSION_ATTACHED && !session->busy);
}

/* The next one of the user, where none is under way. */
static void merge_next(struct server *server, uint32_t uid)
{
	struct merging *m, *next;
	struct error err;

	for (m = server->merges; m; m = m->next) {
		if (m->uid == uid && m->state == RUNNING)
			return;
	}
	for (m = server->merges; m && !server->stopping; m = next) {
		next = m->next;
		if (m->uid != uid || !may_begin(m))
			continue;
		if (plan(server, m->region, &m->merge)) {
			if (!begin(m, &err)) {
				step(m);
				return;
			}
			log_debug("nothing is merged: %s", err.text);
		}
		merging_free(m); /* there is nothing to do any more, or no room: the next COMMIT looks again */
	}
}

void merge_tick(struct server *server)
{
	for (struct ni_process *ni = NULL; (ni = ni_process_next(server, ni));)
		merge_next(server, ni_process_uid(ni));
}

void merge_consider(struct server *server, struct region *region)
{
	struct merging *m = merging_of(server, region);
	struct merge merge;

	if (region_mode(region) != REGION_APPEND || (m && m->state == RUNNING) || !plan(server, region, &merge))
		return;
	if (m && m->state == FAILED) {
		struct chain chain;

		if (region_chain(region, merge.to, &chain) || region_set(region, chain.slot)->epoch <= m->merge.from)
			return;
		m->state = WANTED;
	}
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return; /* the next COMMIT looks again */
		*m = (struct merging){
			.server = server,
			.region = region,
			.uid = job_uid(region_job(region)),
		};
		merging_append(m);
	}
	merge_next(server, m->uid);
}

bool merge_stop(struct session *session)
{
	struct merging *m = merging_of(session->server, session->region);
	struct ni_request request = {.type = NI_CANCEL};

	if (!m || m->state != RUNNING)
		return false;
	session->waits_for_merge = m;
	ni_process_order(m->ni, &request, -1, NULL, NULL);
	return true;
}

void merge_forget(struct server *server, const struct region *region)
{
	struct merging *m = merging_of(server, region);
	struct ni_request request = {.type = NI_CANCEL};

	if (!m)
		return;
	m->job_number = job_number(region_job(region));
	m->region = NULL;
	if (m->state == RUNNING)
		ni_process_order(m->ni, &request, -1, NULL, NULL);
	else
		merging_free(m);
}

bool merge_of_dropped(const struct server *server, uint64_t job_number)
{
	const struct merging *m = server->merges;

	while (m && (m->region || m->job_number != job_number))
		m = m->next;
	return m != NULL;
}

void merge_free_all(struct server *server)
{
	while (server->merges)
		merging_free(server->merges);
}
