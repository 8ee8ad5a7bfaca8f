/* SPDX-License-Identifier: BSD-3-Clause */
/* scrub.c - re-reads all sets in the background. */
#include "pmu/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <sodium.h>
#include "common/clock.h"
#include "common/log.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "pmu/request.h"
#include "pmu/server.h"

/* A set that is damaged; or the one being read. Known again by its digest: an epoch may be written anew. */
struct finding {
	uint64_t job; /* its number */
	uint32_t rank;
	uint64_t epoch, digest;
	struct finding *next;
};

struct scrub {
	struct server *server;
	struct finding *findings;
	struct scrub_stat stat;

	/* The pass: from the job with the number `first` on, around to it, so that no job is always the last one. */
	bool under_way, around;
	uint64_t first, began_ns, total_bytes, done_bytes;

	struct finding at; /* the set read last, or being read */
	uint64_t newest;   /* epoch of its region, when we came to that: its job may write faster than we read */
	bool reading;
	uint32_t uid;	 /* whose NI reads it */
	bool ni_is_ours; /* one was started for this, and goes afterwards */
	uint32_t ni_uid; /* whose that is */
};

static void read_on(struct scrub *scrub);

/* ---- what there is ---- */

static uint64_t bytes_of(const struct set_info *set)
{
	return set->table_offset + set->table_bytes;
}

static uint64_t bytes_of_all(struct pool *pool, uint64_t *count)
{
	struct region *region;
	struct set_info set;
	uint64_t bytes = 0;

	*count = 0;
	for (struct job *job = NULL; (job = job_next(pool, job));) {
		for (uint32_t rank = 0; rank < job_ranks(job); rank++) {
			region = job_region(job, rank);
			for (unsigned i = 0; region && region_set_at(region, i, &set, NULL); i++, (*count)++)
				bytes += bytes_of(&set);
		}
	}
	return bytes;
}

static struct job *job_numbered(struct pool *pool, uint64_t number)
{
	struct job *job = NULL;

	while ((job = job_next(pool, job)) && job_number(job) != number)
		continue;
	return job;
}

/* The region and set of a finding, if they are still there. */
static struct region *find(const struct scrub *scrub, const struct finding *f, struct set_info *set)
{
	struct job *job = job_numbered(scrub->server->pool, f->job);
	struct region *region = job ? job_region(job, f->rank) : NULL;

	for (unsigned i = 0; region && region_set_at(region, i, set, NULL); i++) {
		if (set->epoch == f->epoch)
			return set->table_digest == f->digest ? region : NULL;
	}
	return NULL;
}

/* The first set of the region that is newer than `epoch`, and not newer than `newest`. */
static bool set_after(const struct region *region, uint64_t epoch, uint64_t newest, struct set_info *set)
{
	for (unsigned i = 0; region && region_set_at(region, i, set, NULL); i++) {
		if (set->epoch > epoch)
			return set->epoch <= newest;
	}
	return false;
}

static uint64_t newest_of(const struct region *region)
{
	unsigned count = region ? region_set_count(region) : 0;
	struct set_info set = {0};

	if (count)
		region_set_at(region, count - 1, &set, NULL);
	return set.epoch;
}

/* Goes to the set after the one where we are: by job, rank, epoch. False: there is none below job number `end`. */
static bool next_below(struct scrub *scrub, uint64_t end)
{
	struct finding *at = &scrub->at;
	struct set_info set;

	for (struct job *job = NULL; (job = job_next(scrub->server->pool, job));) {
		uint64_t number = job_number(job);
		bool same = number == at->job;

		if (number < at->job || number >= end)
			continue;
		for (uint32_t rank = same ? at->rank : 0; rank < job_ranks(job); rank++) {
			const struct region *region = job_region(job, rank);
			bool begun = same && rank == at->rank && at->epoch;

			if (!begun)
				scrub->newest = newest_of(region);
			if (!set_after(region, begun ? at->epoch : 0, scrub->newest, &set))
				continue;
			*at = (struct finding){number, rank, set.epoch, set.table_digest, NULL};
			scrub->uid = job_uid(job);
			return true;
		}
	}
	return false;
}

static bool next(struct scrub *scrub)
{
	if (!scrub->around && next_below(scrub, UINT64_MAX))
		return true;
	if (!scrub->around)
		scrub->at = (struct finding){0};
	scrub->around = true;
	return next_below(scrub, scrub->first);
}

/* ---- what was found ---- */

static struct finding **finding_of(struct scrub *scrub, const struct finding *f)
{
	struct finding **at = &scrub->findings;

	while (*at && ((*at)->job != f->job || (*at)->rank != f->rank || (*at)->epoch != f->epoch))
		at = &(*at)->next;
	return at;
}

static void finding_remove(struct scrub *scrub, struct finding **at)
{
	struct finding *gone = *at;

	*at = gone->next;
	scrub->stat.damaged--;
	free(gone);
}

static void finding_add(struct scrub *scrub)
{
	struct finding *f = malloc(sizeof(*f));

	if (!f)
		return; /* the log has it, and the next pass finds it again */
	*f = scrub->at;
	f->next = scrub->findings;
	scrub->findings = f;
	scrub->stat.damaged++;
}

/* Those whose sets are gone were of the past. */
static void findings_prune(struct scrub *scrub)
{
	struct set_info set;

	for (struct finding **at = &scrub->findings; *at;) {
		if (find(scrub, *at, &set))
			at = &(*at)->next;
		else
			finding_remove(scrub, at);
	}
}

static void found(struct scrub *scrub, const struct region *region, const char *text)
{
	struct finding **old = finding_of(scrub, &scrub->at);

	if (*old && (!text || (*old)->digest != scrub->at.digest))
		finding_remove(scrub, old);
	else if (*old)
		return; /* it was told */
	if (!text)
		return;
	log_error("job %s of uid %u, rank %u: epoch %llu is damaged: %s. A restore falls back to an older epoch; a running job "
		  "replaces it by its next checkpoints, and 'pmuctl verify' looks at all of the job",
		  job_name(region_job(region)), scrub->uid, scrub->at.rank, (unsigned long long)scrub->at.epoch, text);
	finding_add(scrub);
}

bool scrub_found(const struct server *server, const struct job *job, uint32_t rank, const struct set_info *set)
{
	struct finding key = {.job = job_number(job), .rank = rank, .epoch = set->epoch}, *f;

	f = server->scrub ? *finding_of(server->scrub, &key) : NULL;
	return f && f->digest == set->table_digest;
}

uint32_t scrub_found_of(const struct server *server, const struct job *job)
{
	uint32_t count = 0;
	struct set_info set;

	for (const struct finding *f = server->scrub ? server->scrub->findings : NULL; f; f = f->next)
		count += f->job == job_number(job) && find(server->scrub, f, &set);
	return count;
}

struct scrub_stat scrub_stat(const struct server *server)
{
	if (!server->scrub)
		return (struct scrub_stat){0};
	findings_prune(server->scrub);
	return server->scrub->stat;
}

/* ---- one set ---- */

/* A NI that was started for the last set goes, unless the next one has the same user, or somebody uses it by now. */
static void ni_leave(struct scrub *scrub)
{
	if (scrub->ni_is_ours)
		ni_process_end_idle(scrub->server, scrub->ni_uid);
	scrub->ni_is_ours = false;
}

/* Where sessions or a merge need the slot mapped, it stays so. */
static void unmap(struct ni_process *ni, const struct region *region, unsigned slot)
{
	struct ni_request request = {.type = NI_UNMAP, .file = region_slot_file(region, slot)};

	if (!job_session_count(region_job(region)) && !region_merging(region))
		ni_process_order(ni, &request, -1, NULL, NULL);
}

/* Where the set lies: the slot, and the place in it. */
static unsigned place_of(const struct region *region, uint64_t epoch, uint64_t *place)
{
	struct chain chain = {0};

	*place = 0;
	if (region_chain(region, epoch, &chain) || chain.first >= chain.end)
		return chain.slot;
	*place = region_increment(region, chain.end - 1)->place;
	return SLOT_LOG;
}

static struct ni_process *ni_of(const struct scrub *scrub)
{
	struct ni_process *ni = NULL;

	while ((ni = ni_process_next(scrub->server, ni)) && ni_process_uid(ni) != scrub->uid)
		continue;
	return ni;
}

static void go_on(evutil_socket_t fd, short events, void *arg)
{
	struct scrub *scrub = arg;

	(void)fd;
	(void)events;
	if (!scrub->server->stopping)
		read_on(scrub);
}

static void verified(void *arg, const struct ni_reply *reply)
{
	struct scrub *scrub = arg;
	struct ni_process *ni = ni_of(scrub);
	struct region *region;
	struct set_info set;
	uint64_t place;

	scrub->reading = false;
	region = find(scrub, &scrub->at, &set);
	/* What was overwritten while it was read means nothing; nor does a NI that died, or lost its mapping: later. */
	if (region && !reply->status) {
		scrub->stat.sets++;
		scrub->stat.bytes += bytes_of(&set);
		found(scrub, region, reply->bad_blocks ? reply->text : NULL);
	}
	if (region && ni)
		unmap(ni, region, place_of(region, set.epoch, &place));
	/* Later: who answers may be the one who was asked, for want of a NI. */
	event_base_once(scrub->server->base, -1, EV_TIMEOUT, go_on, scrub, &(struct timeval){0, 0});
}

static void mapped(void *arg, const struct ni_reply *reply)
{
	struct ni_request request = {.type = NI_VERIFY};
	struct scrub *scrub = arg;
	struct region *region;

	region = find(scrub, &scrub->at, &request.set);
	if (!region || reply->status) {
		verified(scrub, &(struct ni_reply){.status = reply->status ? reply->status : -ENOENT});
		return;
	}
	request.rank = region_rank(region);
	request.file = region_slot_file(region, place_of(region, scrub->at.epoch, &request.offset));
	request.bytes = bytes_of(&request.set);
	ni_process_order(ni_of(scrub), &request, -1, verified, scrub);
}

/* 0: orders are at the NI. */
static int read_begin(struct scrub *scrub, struct error *err)
{
	struct ni_request request;
	struct ni_process *ni;
	struct region *region;
	struct set_info set;
	uint64_t place;
	unsigned slot;
	int fd, rc;

	region = find(scrub, &scrub->at, &set);
	if (!region)
		return error_set(err, -ENOENT, "it is gone");
	slot = place_of(region, set.epoch, &place);
	if (region_range_bad(region, slot, place, bytes_of(&set))) {
		found(scrub, region, "it lies on bad blocks of the device");
		return error_set(err, -EILSEQ, "bad blocks");
	}
	rc = request_map_order(region, slot, region_slot_capacity(region, slot), &request, &fd, err);
	if (rc)
		return rc;
	if (scrub->ni_uid != scrub->uid)
		ni_leave(scrub);
	scrub->ni_is_ours |= !ni_of(scrub);
	scrub->ni_uid = scrub->uid;
	ni = ni_process_get(scrub->server, scrub->uid, err);
	if (ni) {
		scrub->reading = true;
		ni_process_order(ni, &request, fd, mapped, scrub);
	}
	close(fd);
	return ni ? 0 : err->code;
}

/* ---- the pass ---- */

static void pass_begin(struct scrub *scrub)
{
	struct job *job = NULL;
	uint64_t last = 0, count;

	findings_prune(scrub);
	pool_look_for_damage(scrub->server->pool);
	while ((job = job_next(scrub->server->pool, job)))
		last = job_number(job);
	scrub->first = last ? 1 + randombytes_uniform((uint32_t)(last < UINT32_MAX ? last : UINT32_MAX)) : 1;
	scrub->at = (struct finding){.job = scrub->first};
	scrub->around = false;
	scrub->began_ns = clock_monotonic_ns();
	scrub->total_bytes = bytes_of_all(scrub->server->pool, &count);
	scrub->done_bytes = count ? scrub->total_bytes / count : 0; /* so that nothing is due at once */
	scrub->under_way = true;
}

static double part_of_interval(const struct scrub *scrub)
{
	return (double)(clock_monotonic_ns() - scrub->began_ns) / 1e9 / (double)scrub->server->conf.scrub_interval_s;
}

static void pass_end(struct scrub *scrub)
{
	scrub->under_way = false;
	scrub->stat.passes++;
	log_debug("all sets were read again: %llu are damaged", (unsigned long long)scrub->stat.damaged);
}

/* Is the next set due? They are spread over the interval, by their bytes. */
static bool is_due(const struct scrub *scrub)
{
	double part = part_of_interval(scrub);

	return part >= 1 || (double)scrub->done_bytes < (double)scrub->total_bytes * part;
}

static void read_on(struct scrub *scrub)
{
	struct set_info set;
	struct error err;

	while (!scrub->reading && scrub->under_way && is_due(scrub)) {
		if (!next(scrub)) {
			pass_end(scrub);
			break;
		}
		if (find(scrub, &scrub->at, &set))
			scrub->done_bytes += bytes_of(&set);
		if (read_begin(scrub, &err) && err.code != -EILSEQ)
			log_debug("epoch %llu of a rank %u is not read again: %s", (unsigned long long)scrub->at.epoch,
				  scrub->at.rank, err.text);
	}
	if (!scrub->reading)
		ni_leave(scrub);
}

void scrub_tick(struct server *server)
{
	struct scrub *scrub = server->scrub;

	if (!server->conf.scrub_interval_s)
		return;
	if (!scrub) {
		scrub = server->scrub = calloc(1, sizeof(*scrub));
		if (!scrub)
			return;
		scrub->server = server;
		pass_begin(scrub);
	}
	if (!scrub->under_way && part_of_interval(scrub) >= 1)
		pass_begin(scrub);
	read_on(scrub);
}

void scrub_free(struct server *server)
{
	struct scrub *scrub = server->scrub;

	while (scrub && scrub->findings)
		finding_remove(scrub, &scrub->findings);
	free(scrub);
	server->scrub = NULL;
}
