/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scenario.c - what is done to a pool while it is recorded. The order of the steps is that of src/pmu/set.c, attach.c,
 * drop.c and merge.c; what each step does is done by src/pmm and src/ni.
 */
#include "scenario.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "must.h"
#include "ni/mapping.h"
#include "ni/merge.h"
#include "ni/slot.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "state.h"

#define BIT(epoch) (UINT64_C(1) << (epoch))
#define TIME_LIMIT_MS 60000

static struct {
	char directory[200];
	struct pool *pool;
	struct belief belief; /* what it holds */
	enum order order;
	struct error err;
} test;

#define must_do(call)                                                                            \
	do {                                                                                     \
		if (call) {                                                                      \
			fprintf(stderr, "%s: %s\n", #call, test.err.text);                       \
			must(!#call);                                                            \
		}                                                                                \
	} while (0)

/* ---- what is promised ---- */

static void changing_to(const struct belief *after)
{
	recording_promise(&(struct promise){test.belief, *after});
}

static void changed_to(const struct belief *after)
{
	test.belief = *after;
	recording_promise(&(struct promise){*after, *after});
}

/* What the pool is to hold with other sets of a rank. */
static struct belief with_sets(unsigned job, unsigned rank, uint64_t gone, uint64_t more)
{
	struct belief belief = test.belief;

	belief.jobs[job].ranks[rank].sets = (belief.jobs[job].ranks[rank].sets & ~gone) | more;
	return belief;
}

/* ---- ranks and their slots ---- */

static struct job *job_get(unsigned job)
{
	return job_find(test.pool, ORACLE_UID, oracle_job(job));
}

static struct region *region_get(unsigned job, unsigned rank)
{
	struct region *region = job_region(job_get(job), rank);

	must(region);
	return region;
}

static void open_pool(void)
{
	recording_step("open");
	must_do(oracle_open(test.directory, &test.pool, &test.err));
}

static void close_pool(void)
{
	recording_step("close");
	pool_close(test.pool);
	test.pool = NULL;
}

static void make_region(unsigned job, unsigned rank, enum region_mode mode)
{
	struct belief after = test.belief;
	struct region *region;

	after.jobs[job].ranks[rank].generation = 1;
	changing_to(&after);
	must_do(region_create(job_get(job), rank, mode, &region, &test.err));
	changed_to(&after);
}

static void make_job(unsigned job, enum region_mode mode)
{
	char text[] = "/home/me\0mpirun\0./app";
	const struct command_line command = {sizeof(text), text};
	struct belief after = test.belief;
	struct job *made;

	recording_step("job");
	after.jobs[job].there = true;
	changing_to(&after);
	must_do(job_create(test.pool, ORACLE_UID, ORACLE_UID, oracle_job(job), ORACLE_RANKS, &made, &test.err));
	changed_to(&after);
	must_do(job_record_command(made, &command, &test.err));
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		make_region(job, rank, mode);
}

/* Has the NI map the slot, with its size where it is to grow. */
static void slot_map(struct region *region, unsigned slot, uint64_t grow_to)
{
	bool grow = region_slot_capacity(region, slot) < grow_to;
	struct ni_request request = {.flags = grow ? NI_ALLOCATE : 0};
	int fd;

	recording_step(grow ? "P2" : "map");
	must_do(region_slot_open(region, slot, &fd, &test.err));
	request.file = region_slot_file(region, slot);
	request.bytes = grow ? grow_to : region_slot_capacity(region, slot);
	must_do(slot_prepare(&request, fd, &test.err));
	close(fd);
	if (grow)
		must_do(region_grown(region, slot, grow_to, &test.err));
}

static void slots_unmap(void)
{
	for (struct job *job = job_next(test.pool, NULL); job; job = job_next(test.pool, job)) {
		for (unsigned rank = 0; rank < job_ranks(job); rank++) {
			struct region *region = job_region(job, rank);

			for (unsigned slot = 0; region && slot < region_slots(region); slot++)
				mapping_remove(region_slot_file(region, slot));
		}
	}
}

/* ---- one set of one rank ---- */

struct writing {
	struct moment at;
	struct region *region;
	unsigned slot; /* or SLOT_LOG */
	uint64_t place;
	uint64_t keep, gone; /* sets that are withdrawn for it */
	struct set_info set;
	uint8_t bytes[STATE_SET_MAX];
};

/* P1: what is in the way is withdrawn. */
static void withdraw(struct writing *w)
{
	struct belief after = with_sets(w->at.job, w->at.rank, w->gone, 0);
	uint64_t first, last;

	recording_step("P1");
	changing_to(&after);
	if (region_mode(w->region) == REGION_APPEND)
		must_do(region_withdraw_newer(w->region, w->keep, &test.err));
	if (w->set.kind == SET_FULL)
		must_do(region_withdraw(w->region, w->slot, &test.err));
	else
		must_do(region_log_place(w->region, w->keep, w->set.table_offset + w->set.table_bytes, &w->place,
					 &first, &last, &test.err));
	changed_to(&after);
}

static void begin(struct writing *w, unsigned job, unsigned rank, enum set_kind kind, uint64_t epoch, uint64_t keep,
		  uint64_t gone)
{
	uint64_t capacity;

	*w = (struct writing){.at = {job, rank, epoch}, .region = region_get(job, rank), .slot = SLOT_LOG, .keep = keep,
			      .gone = gone};
	w->set = state_set(&w->at, kind == SET_FULL ? 0 : keep, w->bytes);
	if (kind == SET_FULL) {
		must_do(region_pick_slot(w->region, keep, &w->slot, &test.err));
		must_do(region_reserve(w->region, w->set.table_offset + w->set.table_bytes, &capacity, &test.err));
		for (unsigned slot = 0; slot < region_slots(w->region); slot++)
			slot_map(w->region, slot, capacity);
	} else {
		slot_map(w->region, SLOT_LOG, 0);
	}
	if (test.order != ORDER_WITHDRAW_LAST)
		withdraw(w);
}

static struct mapping *mapping_get(const struct writing *w)
{
	struct mapping *mapping = mapping_use(region_slot_file(w->region, w->slot), w->place, sizeof(w->bytes) - w->place);

	must(mapping);
	return mapping;
}

/* As the client does it from afar: `bytes` of the set, and then the table where that is all. */
static void write_set(const struct writing *w, uint64_t bytes)
{
	struct mapping *mapping = mapping_get(w);
	uint8_t *at = (uint8_t *)media->base(mapping->map) + w->place;

	recording_step("write");
	memcpy(at, w->bytes, bytes < w->set.data_bytes ? bytes : w->set.data_bytes);
	if (bytes > w->set.data_bytes)
		memcpy(at + w->set.table_offset, w->bytes + w->set.table_offset, w->set.table_bytes);
	mapping_release(mapping);
}

static void persist(const struct writing *w)
{
	struct ni_request request = {.type = NI_COMMIT, .offset = w->place, .rank = w->at.rank, .set = w->set};
	struct mapping *mapping = mapping_get(w);

	recording_step("P3");
	must_do(slot_commit(&request, mapping, &test.err));
	mapping_release(mapping);
}

static void publish(const struct writing *w)
{
	struct belief after = with_sets(w->at.job, w->at.rank, 0, BIT(w->at.epoch));

	recording_step("P4");
	changing_to(&after);
	if (w->set.kind == SET_FULL)
		must_do(region_publish(w->region, w->slot, &w->set, state_segments, &test.err));
	else
		must_do(region_publish_increment(w->region, w->place, &w->set, state_segments, &test.err));
	changed_to(&after);
}

static void commit(struct writing *w)
{
	if (test.order == ORDER_PUBLISH_FIRST)
		publish(w);
	persist(w);
	if (test.order == ORDER_WITHDRAW_LAST)
		withdraw(w);
	if (test.order != ORDER_PUBLISH_FIRST)
		publish(w);
}

/* One checkpoint of the whole job; the ranks go side by side. */
static void checkpoint(unsigned job, enum set_kind kind, uint64_t epoch, uint64_t keep, uint64_t gone)
{
	static struct writing w[ORACLE_RANKS];

	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		begin(&w[rank], job, rank, kind, epoch, keep, gone);
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		write_set(&w[rank], STATE_SET_MAX);
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		commit(&w[rank]);
}

/* ---- scenarios ---- */

static void create_run(void)
{
	open_pool();
	make_job(0, REGION_OVERWRITE);
	make_job(1, REGION_APPEND);
}

static void full_set_up(void)
{
	make_job(0, REGION_OVERWRITE);
}

/* The first one makes the slots, the third one overwrites the first. */
static void full_run(void)
{
	open_pool();
	checkpoint(0, SET_FULL, 1, 0, 0);
	checkpoint(0, SET_FULL, 2, 1, 0);
	checkpoint(0, SET_FULL, 3, 2, BIT(1));
}

static void increment_set_up(void)
{
	make_job(0, REGION_APPEND);
	checkpoint(0, SET_FULL, 1, 0, 0);
	checkpoint(0, SET_INCREMENT, 2, 1, 0);
	checkpoint(0, SET_INCREMENT, 3, 2, 0);
	checkpoint(0, SET_FULL, 4, 3, 0);
	checkpoint(0, SET_INCREMENT, 5, 4, 0);
}

/* The log has room for four: the second one takes that of the older chain. Then that chain goes. */
static void increment_run(void)
{
	open_pool();
	checkpoint(0, SET_INCREMENT, 6, 5, 0);
	checkpoint(0, SET_INCREMENT, 7, 6, BIT(2) | BIT(3));
	checkpoint(0, SET_FULL, 8, 7, BIT(1));
}

static void take_over(unsigned job, unsigned rank, const char *launch)
{
	struct belief after = test.belief;
	uint64_t generation;

	after.jobs[job].ranks[rank].generation++;
	recording_step("P5");
	if (test.order == ORDER_ANSWER_FIRST)
		changed_to(&after);
	else
		changing_to(&after);
	must_do(region_fence(region_get(job, rank), (const uint8_t *)launch, &generation, &test.err));
	must(generation == after.jobs[job].ranks[rank].generation);
	changed_to(&after);
}

static void takeover_set_up(void)
{
	make_job(0, REGION_OVERWRITE);
	checkpoint(0, SET_FULL, 1, 0, 0);
	checkpoint(0, SET_FULL, 2, 1, 0);
	make_job(1, REGION_APPEND);
	checkpoint(1, SET_FULL, 1, 0, 0);
	checkpoint(1, SET_INCREMENT, 2, 1, 0);
}

/* Primaries are cut off in mid-write; their backups make the epoch anew. */
static void takeover_run(void)
{
	static struct writing w[ORACLE_RANKS], left;

	open_pool();
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		begin(&w[rank], 0, rank, SET_FULL, 3, 2, BIT(1));
	write_set(&w[0], STATE_SET_MAX);
	write_set(&w[1], STATE_SET_MAX / 4);
	commit(&w[0]);
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		take_over(0, rank, "the next launch");
	checkpoint(0, SET_FULL, 4, 2, BIT(3));
	/* One rank has an increment that the job does not have, and another one is half there. */
	begin(&w[0], 1, 0, SET_INCREMENT, 3, 2, 0);
	write_set(&w[0], STATE_SET_MAX);
	commit(&w[0]);
	begin(&left, 1, 1, SET_INCREMENT, 3, 2, 0);
	write_set(&left, STATE_SET_MAX / 8);
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		take_over(1, rank, NULL);
	checkpoint(1, SET_INCREMENT, 4, 2, BIT(3));
}

static void drop_set_up(void)
{
	make_job(0, REGION_OVERWRITE);
	checkpoint(0, SET_FULL, 1, 0, 0);
	checkpoint(0, SET_FULL, 2, 1, 0);
	make_job(1, REGION_APPEND);
	checkpoint(1, SET_FULL, 1, 0, 0);
	checkpoint(1, SET_INCREMENT, 2, 1, 0);
	checkpoint(1, SET_INCREMENT, 3, 2, 0);
}

static void files_remove(const struct region *region)
{
	char path[sizeof(test.directory) + 32];

	for (unsigned slot = 0; slot < region_slots(region); slot++) {
		snprintf(path, sizeof(path), "%s/slots/%016llx", test.directory,
			 (unsigned long long)region_slot_file(region, slot));
		unlink(path);
	}
}

/* Ranks give their regions up one by one, and a tool removes a whole job. */
static void drop_run(void)
{
	struct belief after;

	open_pool();
	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++) {
		after = test.belief;
		memset(&after.jobs[0].ranks[rank], 0, sizeof(after.jobs[0].ranks[rank]));
		recording_step("P6");
		changing_to(&after);
		if (test.order == ORDER_FILES_FIRST)
			files_remove(region_get(0, rank));
		must_do(region_drop(region_get(0, rank), &test.err));
		changed_to(&after);
	}
	for (unsigned job = 0; job < ORACLE_JOBS; job++) {
		after = test.belief;
		memset(&after.jobs[job], 0, sizeof(after.jobs[job]));
		recording_step("drop");
		changing_to(&after);
		must_do(job_drop(job_get(job), &test.err));
		changed_to(&after);
	}
}

/* ---- consolidation ---- */

static struct {
	sem_t done;
	struct set_info made;
	struct error err;
} merging;

static void merged(const struct ni_request *request, const struct set_info *made, const struct error *err)
{
	(void)request;
	merging.made = *made;
	merging.err = *err;
	sem_post(&merging.done);
}

/* The sets from `from` to `to`: the base, where it is one of them, and increments. */
static void sources_of(const struct region *region, const struct merge *merge, struct ni_merge *order,
		       struct ni_source *sources)
{
	struct chain chain;

	must(!region_chain(region, merge->to, &chain));
	*order = (struct ni_merge){.state_bytes_max = region_slot_capacity(region, chain.slot), .sources = sources};
	if (region_set(region, chain.slot)->epoch == merge->from)
		sources[order->source_count++] =
			(struct ni_source){region_slot_file(region, chain.slot), 0, *region_set(region, chain.slot)};
	for (unsigned i = chain.first; i < chain.end; i++) {
		const struct increment_info *increment = region_increment(region, i);

		if (increment->set.epoch >= merge->from)
			sources[order->source_count++] =
				(struct ni_source){region_slot_file(region, SLOT_LOG), increment->place, increment->set};
	}
	order->last = (struct wire_set){sources[order->source_count - 1].set,
					(struct segment *)(uintptr_t)region_segments_of(region, merge->to), 0};
}

static void merge_run(struct region *region, const struct merge *merge)
{
	struct ni_request request = {
		.type = NI_MERGE,
		.file = region_slot_file(region, merge->slot),
		.offset = merge->place,
		.bytes = merge->bytes,
		.rank = region_rank(region),
		.count = TIME_LIMIT_MS,
		.set = {.kind = merge->slot == SLOT_LOG ? SET_INCREMENT : SET_FULL},
	};
	struct ni_source sources[EPOCH_MAX];
	struct ni_merge order;
	int fd;

	sources_of(region, merge, &order, sources);
	must_do(ni_merge_pack(&order, &fd, &test.err));
	must(!sem_init(&merging.done, 0, 0));
	recording_step("P3");
	must_do(merge_begin(&request, fd, merged, &test.err));
	while (sem_wait(&merging.done))
		continue;
	must_do((test.err = merging.err).code);
}

/* The epochs of a rank from `from` to `to`, which are `gone` and that, become one set, in `slot`. */
static void merge_epochs(unsigned rank, uint64_t from, uint64_t to, unsigned slot, uint64_t gone)
{
	struct region *region = region_get(0, rank);
	struct merge merge = {.from = from, .to = to, .slot = slot};
	struct belief after = with_sets(0, rank, gone, 0);
	struct chain chain;
	uint64_t first, last;
	struct set_info set;

	must(!region_chain(region, to, &chain));
	merge.to_digest = region_increment(region, chain.end - 1)->set.table_digest;
	recording_step("P1");
	must_do(region_merge_begin(region, &merge, &first, &last, &test.err));
	must(!last);
	for (unsigned i = 0; i < region_slots(region); i++)
		slot_map(region, i, 0);
	merge_run(region, &merge);
	set = merging.made;
	set.epoch = to;
	set.kind = slot == SLOT_LOG ? SET_INCREMENT : SET_FULL;
	recording_step("P4");
	changing_to(&after);
	must_do(region_merge_publish(region, &merge, &set, &test.err));
	changed_to(&after);
}

static void consolidate_set_up(void)
{
	make_job(0, REGION_APPEND);
	checkpoint(0, SET_FULL, 1, 0, 0);
	checkpoint(0, SET_INCREMENT, 2, 1, 0);
	checkpoint(0, SET_INCREMENT, 3, 2, 0);
}

/* Two increments become one, base and increments become a base; and the next increment takes the room. */
static void consolidate_run(void)
{
	open_pool();
	merge_epochs(0, 2, 3, SLOT_LOG, BIT(2));
	merge_epochs(0, 1, 3, 1, BIT(1));
	merge_epochs(1, 1, 2, 1, BIT(1));
	checkpoint(0, SET_INCREMENT, 4, 3, 0);
}

const struct scenario scenarios[] = {
	{"create", "a pool, jobs and regions are made", NULL, create_run},
	{"full", "full checkpoints: the first ones, and one over an older one", full_set_up, full_run},
	{"increment", "increments, also into the room of an older chain", increment_set_up, increment_run},
	{"takeover", "backups take over from primaries in mid-write", takeover_set_up, takeover_run},
	{"drop", "regions and jobs are removed", drop_set_up, drop_run},
	{"consolidate", "sets are merged, in the log and into a base", consolidate_set_up, consolidate_run},
	{NULL, NULL, NULL, NULL},
};

const struct scenario *scenario_find(const char *name)
{
	for (const struct scenario *scenario = scenarios; scenario->name; scenario++) {
		if (!strcmp(scenario->name, name))
			return scenario;
	}
	return NULL;
}

void scenario_record(const struct scenario *scenario, const char *directory, enum order order,
		     struct recording *recording)
{
	snprintf(test.directory, sizeof(test.directory), "%s", directory);
	memset(&test.belief, 0, sizeof(test.belief));
	test.order = ORDER_RIGHT;
	if (scenario->set_up) {
		open_pool();
		scenario->set_up();
		slots_unmap();
		close_pool();
	}
	test.order = order;
	recording_begin(recording, directory);
	changed_to(&test.belief);
	scenario->run();
	slots_unmap();
	close_pool();
	recording_end();
}

static uint64_t sets_of(const struct region *region)
{
	struct set_info set;
	uint64_t sets = 0;

	for (unsigned i = 0; region_set_at(region, i, &set, NULL); i++)
		sets |= BIT(set.epoch);
	return sets;
}

void scenario_go_on(struct pool *pool, struct belief *belief)
{
	static struct writing w;
	uint64_t epoch, complete;
	struct region *region;

	test.pool = pool;
	test.order = ORDER_RIGHT;
	test.belief = *belief;
	for (unsigned job = 0; job < ORACLE_JOBS; job++) {
		if (!belief->jobs[job].there)
			continue;
		complete = job_complete_epoch(job_get(job));
		for (unsigned rank = 0; rank < ORACLE_RANKS; rank++) {
			if (!job_region(job_get(job), rank))
				make_region(job, rank, REGION_OVERWRITE);
			region = region_get(job, rank);
			take_over(job, rank, "the launch after the crash");
			epoch = EPOCH_MAX;
			begin(&w, job, rank, SET_FULL, epoch, complete, 0);
			write_set(&w, STATE_SET_MAX);
			commit(&w);
			/* Which of the others had to go is not this test's; that what is complete stays is. */
			must(!complete || region_holds(region, complete));
			must(region_holds(region, epoch));
			test.belief.jobs[job].ranks[rank].sets = sets_of(region);
		}
	}
	slots_unmap();
	*belief = test.belief;
}
