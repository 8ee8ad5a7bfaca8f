/* SPDX-License-Identifier: BSD-3-Clause */
/* merge.c - adjacent sets of a chain become one. */
#include "ni/merge.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/checksum.h"
#include "common/clock.h"
#include "common/size.h"
#include "common/testpoint.h"
#include "ni/mapping.h"
#include "wire/chain.h"

#define NICE 10

struct work {
	struct ni_request request;
	struct ni_merge merge;
	merge_done_fn *done;
	uint64_t deadline;
	struct mapping *into;
	struct mapping **from; /* of each source */
	uint8_t *tables_copy;  /* of all sources */
	struct table *tables;
	struct chain_piece *pieces;
	size_t piece_count;
	struct set_info made;
	struct table table; /* of what is made */
	void *table_buffer;
	uint64_t block_bytes; /* of all of them */
};

static atomic_bool busy, cancelled;

/* ---- what it is made of ---- */

/* The slots are mapped, and the tables copied: whatever becomes of the slots meanwhile, these are what was checked. */
static int sources_open(struct work *work, struct error *err)
{
	const struct ni_merge *merge = &work->merge;
	uint64_t bytes = 0, at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < merge->source_count; i++)
		bytes += size_round_up(merge->sources[i].set.table_bytes, sizeof(uint64_t));
	work->from = calloc(merge->source_count, sizeof(*work->from));
	work->tables = calloc(merge->source_count, sizeof(*work->tables));
	work->tables_copy = malloc(bytes);
	if (!work->from || !work->tables || !work->tables_copy)
		return error_nomem(err, "the tables of sets that are merged");
	for (uint32_t i = 0; i < merge->source_count && !rc; i++) {
		const struct ni_source *source = &merge->sources[i];
		const struct set_info *set = &source->set;

		work->from[i] = mapping_use(source->file, source->place, set->table_offset + set->table_bytes);
		if (!work->from[i])
			return error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)source->file);
		memcpy(work->tables_copy + at,
		       (uint8_t *)media->base(work->from[i]->map) + source->place + set->table_offset, set->table_bytes);
		rc = table_open(work->tables_copy + at, set, work->request.rank, &work->tables[i], err);
		at += size_round_up(set->table_bytes, sizeof(uint64_t));
	}
	return rc;
}

static int sources_resolve(struct work *work, struct error *err)
{
	const struct ni_merge *merge = &work->merge;
	const struct wire_set *last = &merge->last;

	work->block_bytes = last->info.block_bytes;
	if (work->request.set.kind == SET_FULL)
		return chain_resolve(work->tables, merge->source_count, last->segments, last->info.segment_count,
				     &work->pieces, &work->piece_count, err);
	return chain_resolve_part(work->tables, merge->source_count, last->segments, last->info.segment_count,
				  merge->state_bytes_max, &work->pieces, &work->piece_count, err);
}

/* ---- what is made ---- */

/* Does the piece lie in its segment right behind the one before it? Then they are one extent. */
static bool goes_on(const struct work *work, size_t i)
{
	const struct chain_piece *piece = &work->pieces[i];

	return i && piece[-1].segment == piece->segment && piece[-1].offset + piece[-1].bytes == piece->offset;
}

static int table_make(struct work *work, struct error *err)
{
	const struct set_info *last = &work->merge.last.info;
	uint64_t extents = 0, blocks = 0, size;

	for (size_t i = 0; i < work->piece_count; i++) {
		extents += !goes_on(work, i);
		blocks += table_blocks(work->pieces[i].bytes, work->block_bytes);
	}
	size = table_size(last->segment_count, extents, blocks);
	work->table_buffer = calloc(1, size);
	if (!work->table_buffer)
		return error_nomem(err, "the table of a merged set");
	work->table = table_init(work->table_buffer, work->block_bytes, last->segment_count, extents, blocks);
	work->table.header->epoch = last->epoch;
	work->table.header->rank = work->request.rank;
	memcpy(work->table.segment_ids, work->tables[work->merge.source_count - 1].segment_ids,
	       last->segment_count * sizeof(*work->table.segment_ids));
	work->made = (struct set_info){
		.epoch = last->epoch,
		.kind = work->request.set.kind,
		.segment_count = last->segment_count,
		.table_bytes = size,
		.block_bytes = work->block_bytes,
	};
	return 0;
}

/* Gives every piece its place, and the set its size. */
static int set_plan(struct work *work, struct error *err)
{
	struct table_extent *extent = work->table.extents - 1;
	uint64_t end = 0, blocks = 0;

	for (size_t i = 0; i < work->piece_count; i++) {
		const struct chain_piece *piece = &work->pieces[i];

		if (!goes_on(work, i)) {
			end = size_round_up(end, SET_ALIGN);
			*++extent = (struct table_extent){
				.segment = piece->segment,
				.offset = piece->offset,
				.set_offset = end,
				.first_block = blocks,
			};
		}
		memcpy(&work->table.checksums[blocks], &work->tables[piece->set].checksums[piece->first_block],
		       table_blocks(piece->bytes, work->block_bytes) * sizeof(uint64_t));
		extent->bytes += piece->bytes;
		blocks += table_blocks(piece->bytes, work->block_bytes);
		end += piece->bytes;
	}
	work->made.data_bytes = work->made.table_offset = size_round_up(end, SET_ALIGN);
	work->made.table_digest = checksum(work->table_buffer, work->made.table_bytes);
	return table_check_info(&work->made, work->request.bytes, err);
}

/* Is it to go on? */
static int work_check(const struct work *work, struct error *err)
{
	if (atomic_load(&cancelled))
		return error_set(err, -ECANCELED, "the merge is cancelled");
	if (!deadline_left_ms(work->deadline))
		return error_set(err, -ETIMEDOUT, "the merge took longer than %u ms, half of --ni-timeout: the node is busy",
				 work->request.count);
	return 0;
}

static int piece_copy(const struct work *work, const struct chain_piece *piece, uint64_t offset, struct error *err)
{
	const struct ni_source *source = &work->merge.sources[piece->set];
	const uint8_t *data = (uint8_t *)media->base(work->from[piece->set]->map) + source->place + piece->set_offset;
	uint64_t n, bad;
	int rc = 0;

	for (uint64_t done = 0; done < piece->bytes && !rc; done += n) {
		n = piece->bytes - done;
		if (n > work->block_bytes)
			n = work->block_bytes;
		rc = work_check(work, err);
		/* What is damaged must not get a new home. */
		if (!rc && table_compare(&work->tables[piece->set], piece->first_block + done / work->block_bytes,
					 data + done, n, &bad))
			rc = error_set(err, -EILSEQ, "segment '%s' is damaged in epoch %llu, from byte %llu on",
				       work->merge.last.segments[piece->segment].name,
				       (unsigned long long)source->set.epoch,
				       (unsigned long long)(piece->offset + done));
		if (!rc)
			media->copy(work->into->map, offset + done, data + done, n);
	}
	return rc;
}

static int set_copy(struct work *work, struct error *err)
{
	const struct table_extent *extent = work->table.extents - 1;
	const struct set_info *made = &work->made;
	uint64_t place = work->request.offset;
	int rc = 0;

	for (size_t i = 0; i < work->piece_count && !rc; i++) {
		const struct chain_piece *piece = &work->pieces[i];

		TEST_POINT("ni.merge.copying");
		extent += !goes_on(work, i);
		rc = piece_copy(work, piece, place + extent->set_offset + (piece->offset - extent->offset), err);
	}
	if (rc)
		return rc;
	media->copy(work->into->map, place + made->table_offset, work->table_buffer, made->table_bytes);
	TEST_POINT("ni.merge.before-persist");
	/* P3: data and table are durable before the set is published. */
	rc = media->persist(work->into->map, place, made->table_offset + made->table_bytes, err);
	TEST_POINT("ni.merge.after-persist");
	return rc;
}

static int work_do(struct work *work, struct error *err)
{
	int rc;

	work->into = mapping_use(work->request.file, work->request.offset, work->request.bytes);
	if (!work->into)
		return error_set(err, -ENOENT, "slot %llx is not mapped", (unsigned long long)work->request.file);
	rc = sources_open(work, err);
	if (!rc)
		rc = sources_resolve(work, err);
	if (!rc)
		rc = table_make(work, err);
	if (!rc)
		rc = set_plan(work, err);
	return rc ? rc : set_copy(work, err);
}

/* ---- its thread ---- */

static void work_free(struct work *work)
{
	for (uint32_t i = 0; work->from && i < work->merge.source_count; i++)
		mapping_release(work->from[i]);
	mapping_release(work->into);
	free(work->from);
	free(work->tables);
	free(work->tables_copy);
	free(work->pieces);
	free(work->table_buffer);
	ni_merge_free(&work->merge);
	free(work);
}

static void *work_run(void *arg)
{
	struct work *work = arg;
	struct ni_request request = work->request;
	merge_done_fn *done = work->done;
	struct error err = {0};
	struct set_info made;

	/* Of this thread alone; where it may not, it works as the others do. */
	setpriority(PRIO_PROCESS, 0, NICE);
	err.code = work_do(work, &err);
	made = work->made;
	work_free(work);
	atomic_store(&busy, false); /* before the answer: the next may follow it at once */
	done(&request, &made, &err);
	return NULL;
}

int merge_begin(const struct ni_request *request, int fd, merge_done_fn *done, struct error *err)
{
	struct work *work = calloc(1, sizeof(*work));
	pthread_t thread;
	int rc;

	rc = work ? ni_merge_unpack(fd, &work->merge, err) : error_nomem(err, "a merge");
	close(fd);
	if (!rc && atomic_exchange(&busy, true))
		rc = error_set(err, -EBUSY, "a merge is under way");
	if (rc)
		goto err_free;
	work->request = *request;
	work->done = done;
	work->deadline = deadline_in_ms(request->count);
	atomic_store(&cancelled, false);
	rc = pthread_create(&thread, NULL, work_run, work);
	if (rc) {
		atomic_store(&busy, false);
		rc = error_set(err, -rc, "a thread for a merge: %s", strerror(rc));
		goto err_free;
	}
	pthread_detach(thread);
	return 0;

err_free:
	if (work)
		work_free(work);
	return rc;
}

void merge_cancel(void)
{
	atomic_store(&cancelled, true);
}
