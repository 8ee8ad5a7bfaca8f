/* SPDX-License-Identifier: BSD-3-Clause */
/* oracle.c - what a pool may hold after a crash, and whether one does. */
#include "oracle.h"

#include <errno.h>
#include <inttypes.h>
#include <libpmemobj.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "must.h"
#include "pmm/job.h"
#include "pmm/region.h"
#include "scenario.h"
#include "state.h"
#include "wire/chain.h"
#include "wire/table.h"

const char *oracle_job(unsigned job)
{
	return job ? "beta" : "alpha";
}

int oracle_open(const char *directory, struct pool **pool, struct error *err)
{
	const struct pool_params params = {.size_bytes = POOL_BYTES, .metadata_bytes = PMEMOBJ_MIN_POOL};

	return pool_open(directory, &params, pool, err);
}

/* ---- the trial of the metadata (pmm/probe.c), which costs more than all the rest ---- */

static bool without_trial;

int __real_probe(struct pool *pool, int (*load)(struct pool *pool, struct error *err), void (*unload)(struct pool *pool),
		 struct error *err);
int __wrap_probe(struct pool *pool, int (*load)(struct pool *pool, struct error *err), void (*unload)(struct pool *pool),
		 struct error *err);

int __wrap_probe(struct pool *pool, int (*load)(struct pool *pool, struct error *err), void (*unload)(struct pool *pool),
		 struct error *err)
{
	return without_trial ? 0 : __real_probe(pool, load, unload, err);
}

/* ---- a chain of sets ---- */

/* The sets that restore an epoch, as a restore has them. */
struct restored {
	struct set_info sets[EPOCH_MAX];
	uint8_t *bytes[EPOCH_MAX]; /* of each: data and table */
	struct table tables[EPOCH_MAX];
	unsigned count;
	struct chain_piece *pieces;
	size_t piece_count;
};

static void restored_free(struct restored *restored)
{
	for (unsigned i = 0; i < restored->count; i++)
		free(restored->bytes[i]);
	free(restored->pieces);
}

static int set_read(struct restored *restored, struct region *region, unsigned slot, uint64_t place,
		    const struct set_info *set, struct error *err)
{
	uint64_t bytes = set->table_offset + set->table_bytes;
	unsigned i = restored->count++;
	int fd, rc;

	restored->sets[i] = *set;
	restored->bytes[i] = malloc(bytes);
	must(restored->bytes[i]);
	rc = region_slot_open(region, slot, &fd, err);
	if (rc)
		return rc;
	if (pread(fd, restored->bytes[i], bytes, (off_t)place) != (ssize_t)bytes)
		rc = error_set(err, -EILSEQ, "its file ends before it");
	close(fd);
	return rc ? rc : table_open(restored->bytes[i] + set->table_offset, set, region_rank(region),
				    &restored->tables[i], err);
}

static int sets_read(struct restored *restored, struct region *region, uint64_t epoch, struct error *err)
{
	struct chain chain;
	int rc = region_chain(region, epoch, &chain);

	if (rc)
		return error_set(err, rc, "it has no chain");
	rc = set_read(restored, region, chain.slot, 0, region_set(region, chain.slot), err);
	for (unsigned i = chain.first; i < chain.end && !rc; i++) {
		const struct increment_info *increment = region_increment(region, i);

		rc = set_read(restored, region, SLOT_LOG, increment->place, &increment->set, err);
	}
	return rc;
}

static int piece_check(const struct restored *restored, const struct moment *at, const struct chain_piece *piece,
		       struct error *err)
{
	const uint8_t *data = restored->bytes[piece->set] + piece->set_offset;
	uint8_t expected[STATE_BLOCK];
	uint64_t bad, n;

	if (table_compare(&restored->tables[piece->set], piece->first_block, data, piece->bytes, &bad))
		return error_set(err, -EILSEQ, "a block of segment %u does not match its checksum", piece->segment);
	for (uint64_t done = 0; done < piece->bytes; done += n) {
		n = state_block(at, piece->segment, (piece->offset + done) / STATE_BLOCK, expected);
		if (memcmp(data + done, expected, n) != 0)
			return error_set(err, -EILSEQ, "segment %u is not what was written, from byte %" PRIu64 " on",
					 piece->segment, piece->offset + done);
	}
	return 0;
}

static int set_check(struct region *region, const struct moment *at, struct error *err)
{
	struct restored restored = {0};
	const struct segment *segments = region_segments_of(region, at->epoch);
	uint64_t bytes = 0, all = 0;
	int rc = sets_read(&restored, region, at->epoch, err);

	if (!rc && (restored.sets[restored.count - 1].segment_count != STATE_SEGMENTS ||
		    memcmp(segments, state_segments, sizeof(state_segments)) != 0))
		rc = error_set(err, -EILSEQ, "its layout is another one");
	if (!rc)
		rc = chain_resolve(restored.tables, restored.count, segments, STATE_SEGMENTS, &restored.pieces,
				   &restored.piece_count, err);
	for (size_t i = 0; i < restored.piece_count && !rc; i++) {
		rc = piece_check(&restored, at, &restored.pieces[i], err);
		bytes += restored.pieces[i].bytes;
	}
	for (unsigned i = 0; i < STATE_SEGMENTS; i++)
		all += state_segments[i].count * state_segments[i].element_bytes;
	if (!rc && bytes != all)
		rc = error_set(err, -EILSEQ, "%" PRIu64 " of its %" PRIu64 " bytes are there", bytes, all);
	restored_free(&restored);
	return rc ? error_context(err, "job %s, rank %u, epoch %" PRIu64, oracle_job(at->job), at->rank, at->epoch), rc
		  : 0;
}

/* ---- a pool ---- */

static int region_look(struct region *region, unsigned job, unsigned rank, struct belief *belief, struct error *err)
{
	struct moment at = {.job = job, .rank = rank};
	struct set_info set;
	int rc = 0;

	belief->jobs[job].ranks[rank].generation = region_generation(region);
	for (unsigned i = 0; region_set_at(region, i, &set, NULL) && !rc; i++) {
		at.epoch = set.epoch;
		if (set.epoch > EPOCH_MAX)
			return error_set(err, -EILSEQ, "a set of epoch %" PRIu64, set.epoch);
		belief->jobs[job].ranks[rank].sets |= UINT64_C(1) << set.epoch;
		rc = set_check(region, &at, err);
	}
	return rc;
}

static uint64_t newest_complete(const struct belief *belief, unsigned job)
{
	uint64_t sets = UINT64_MAX;

	for (unsigned rank = 0; rank < ORACLE_RANKS; rank++)
		sets &= belief->jobs[job].ranks[rank].sets;
	return sets ? 63 - (uint64_t)__builtin_clzll(sets) : 0;
}

/* What the pool holds; an error where something of it is not whole. */
static int pool_look(struct pool *pool, struct belief *belief, struct error *err)
{
	unsigned jobs = 0;
	int rc = 0;

	memset(belief, 0, sizeof(*belief));
	for (unsigned i = 0; i < ORACLE_JOBS; i++) {
		struct job *job = job_find(pool, ORACLE_UID, oracle_job(i));

		if (!job)
			continue;
		jobs++;
		belief->jobs[i].there = true;
		for (uint32_t rank = 0; rank < job_ranks(job) && !rc; rank++) {
			if (job_region(job, rank))
				rc = region_look(job_region(job, rank), i, rank, belief, err);
		}
		if (rc)
			return rc;
		if (job_complete_epoch(job) != newest_complete(belief, i))
			return error_set(err, -EILSEQ, "job %s: epoch %" PRIu64 " is said to be complete", job_name(job),
					 job_complete_epoch(job));
	}
	for (struct job *job = job_next(pool, NULL); job; job = job_next(pool, job))
		jobs--;
	return jobs ? error_set(err, -EILSEQ, "there is a job that nobody made") : 0;
}

static void belief_print(const struct belief *belief, char *out, size_t capacity)
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned job = 0; job < ORACLE_JOBS; job++) {
		if (!belief->jobs[job].there)
			continue;
		n += (size_t)snprintf(out + n, capacity - n, " %s", oracle_job(job));
		for (unsigned rank = 0; rank < ORACLE_RANKS && n < capacity; rank++)
			n += (size_t)snprintf(out + n, capacity - n, " [generation %" PRIu64 ", sets %" PRIx64 "]",
					      belief->jobs[job].ranks[rank].generation,
					      belief->jobs[job].ranks[rank].sets);
	}
}

static bool belief_is(const struct belief *left, const struct belief *right)
{
	for (unsigned job = 0; job < ORACLE_JOBS; job++) {
		if (left->jobs[job].there != right->jobs[job].there)
			return false;
		for (unsigned rank = 0; rank < ORACLE_RANKS; rank++) {
			if (left->jobs[job].ranks[rank].generation != right->jobs[job].ranks[rank].generation ||
			    left->jobs[job].ranks[rank].sets != right->jobs[job].ranks[rank].sets)
				return false;
		}
	}
	return true;
}

static int promise_check(const struct promise *promise, const struct belief *found, struct error *err)
{
	char before[160], after[160], text[160];

	if (belief_is(found, &promise->before) || belief_is(found, &promise->after))
		return 0;
	belief_print(&promise->before, before, sizeof(before));
	belief_print(&promise->after, after, sizeof(after));
	belief_print(found, text, sizeof(text));
	return error_set(err, -EILSEQ, "it holds%s, and not%s nor%s", text, before, after);
}

int oracle_check(const char *directory, const struct promise *promise, bool thorough, struct error *err)
{
	struct belief found, later;
	struct pool *pool = NULL;
	int private = !thorough, rc;

	without_trial = !thorough;
	must(!pmemobj_ctl_set(NULL, "copy_on_write.at_open", &private));
	rc = oracle_open(directory, &pool, err);
	if (rc)
		return rc;
	rc = pool_look(pool, &found, err);
	if (!rc)
		rc = promise_check(promise, &found, err);
	if (rc || !thorough)
		goto out;
	later = found;
	scenario_go_on(pool, &later);
	pool_close(pool);
	rc = oracle_open(directory, &pool, err);
	if (rc)
		return error_context(err, "after another checkpoint"), rc;
	rc = pool_look(pool, &found, err);
	if (!rc)
		rc = promise_check(&(struct promise){later, later}, &found, err);
	if (rc)
		error_context(err, "after another checkpoint");
out:
	pool_close(pool);
	return rc;
}

void oracle_record(const char *directory, const struct promise *promise, struct recording *recording)
{
	struct pool *pool = NULL;
	struct error err = {0};
	int off = 0;

	without_trial = false;
	must(!pmemobj_ctl_set(NULL, "copy_on_write.at_open", &off));
	recording_begin(recording, directory);
	recording_promise(promise);
	must(!oracle_open(directory, &pool, &err));
	pool_close(pool);
	recording_end();
}
