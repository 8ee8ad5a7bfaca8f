/* SPDX-License-Identifier: BSD-3-Clause */
/* chain.c - which set of a chain holds the newest bytes of each block. */
#include "wire/chain.h"

#include <errno.h>
#include <stdlib.h>

#define NO_SEGMENT UINT32_MAX

/* Where the newest bytes of a block lie; extent NULL: not found yet. */
struct owner {
	const struct table_extent *extent;
	uint32_t set;
};

/* A segment of the newest layout. */
struct place {
	uint64_t id, bytes;
	uint64_t first; /* index of its first block among all */
	uint32_t seen;	/* the set, counted from 1, that was last found to have this segment */
};

/* The sets of a chain over each other. */
struct overlay {
	const struct table *tables;
	size_t count;
	const struct segment *segments;
	struct place *places;  /* of each segment of the newest layout */
	uint32_t *by_id;       /* their indices, in the order of their ids */
	uint32_t *here;	       /* for each segment of the set looked at: its index in the newest layout */
	struct owner *owners;  /* of each block */
	uint64_t block_bytes;
	uint64_t blocks, left; /* all, and those not found yet */
	uint64_t blocks_max;   /* of a part of a chain; 0: the sets have all */
	uint32_t segment_count;
};

static unsigned long long epoch_of(const struct overlay *chain, size_t set)
{
	return (unsigned long long)chain->tables[set].header->epoch;
}

/* ---- the newest layout ---- */

static int by_id(const void *a, const void *b, void *arg)
{
	const struct place *places = arg;
	uint64_t one = places[*(const uint32_t *)a].id, two = places[*(const uint32_t *)b].id;

	return one < two ? -1 : one > two;
}

/* The layout is the table's, and no two of its segments are the same. */
static int layout_check(struct overlay *chain, struct error *err)
{
	const struct table *newest = &chain->tables[chain->count - 1];

	for (uint32_t i = 0; i < chain->segment_count; i++) {
		chain->by_id[i] = i;
		chain->places[i].id = newest->segment_ids[i];
		if (chain->places[i].id != table_segment_id(&chain->segments[i]))
			return error_set(err, -EILSEQ, "the table of epoch %llu is not of a layout with segment '%s'",
					 epoch_of(chain, chain->count - 1), chain->segments[i].name);
	}
	qsort_r(chain->by_id, chain->segment_count, sizeof(*chain->by_id), by_id, chain->places);
	for (uint32_t i = 1; i < chain->segment_count; i++) {
		if (chain->places[chain->by_id[i]].id == chain->places[chain->by_id[i - 1]].id)
			return error_set(err, -EILSEQ, "epoch %llu has segment '%s' twice",
					 epoch_of(chain, chain->count - 1), chain->segments[chain->by_id[i]].name);
	}
	return 0;
}

/* No more blocks than all tables have checksums: a layout that lies about its size costs no memory. */
static int layout_measure(struct overlay *chain, struct error *err)
{
	uint64_t known = chain->blocks_max;

	for (size_t i = 0; i < chain->count && !chain->blocks_max; i++)
		known += chain->tables[i].header->block_count;
	for (uint32_t i = 0; i < chain->segment_count; i++) {
		const struct segment *s = &chain->segments[i];
		struct place *place = &chain->places[i];

		place->first = chain->blocks;
		if (__builtin_mul_overflow(s->count, (uint64_t)s->element_bytes, &place->bytes) ||
		    table_blocks(place->bytes, chain->block_bytes) > known - chain->blocks)
			return error_set(err, -EILSEQ, "epoch %llu: segment '%s' is larger than what its sets hold",
					 epoch_of(chain, chain->count - 1), s->name);
		chain->blocks += table_blocks(place->bytes, chain->block_bytes);
	}
	chain->left = chain->blocks;
	return 0;
}

static uint32_t segment_find(const struct overlay *chain, uint64_t id)
{
	uint32_t low = 0, high = chain->segment_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (chain->places[chain->by_id[middle]].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < chain->segment_count && chain->places[chain->by_id[low]].id == id ? chain->by_id[low] : NO_SEGMENT;
}

/* ---- one set ---- */

/* Which of the set's segments the newest layout has. */
static int set_match(struct overlay *chain, size_t set, struct error *err)
{
	const struct table *table = &chain->tables[set];

	for (uint32_t i = 0; i < table->header->segment_count; i++) {
		uint64_t id = table->segment_ids[i];
		uint32_t at = i < chain->segment_count && chain->places[i].id == id ? i : segment_find(chain, id);

		chain->here[i] = at;
		if (at == NO_SEGMENT)
			continue;
		if (chain->places[at].seen == set + 1)
			return error_set(err, -EILSEQ, "epoch %llu has segment '%s' twice", epoch_of(chain, set),
					 chain->segments[at].name);
		chain->places[at].seen = (uint32_t)set + 1;
	}
	return 0;
}

/* Within its segment, at blocks, and behind the one before: so no block is in a set twice. */
static int extent_check(const struct overlay *chain, size_t set, const struct table_extent *extent, uint32_t segment,
			struct error *err)
{
	const struct table_extent *before = extent == chain->tables[set].extents ? NULL : extent - 1;
	const struct place *place = &chain->places[segment];

	if (extent->offset > place->bytes || extent->bytes > place->bytes - extent->offset)
		return error_set(err, -EILSEQ, "epoch %llu has more of segment '%s' than its %llu bytes",
				 epoch_of(chain, set), chain->segments[segment].name, (unsigned long long)place->bytes);
	if (extent->offset % chain->block_bytes ||
	    (extent->bytes % chain->block_bytes && extent->offset + extent->bytes != place->bytes))
		return error_set(err, -EILSEQ, "epoch %llu has a part of a block of segment '%s'", epoch_of(chain, set),
				 chain->segments[segment].name);
	if (before && (before->segment > extent->segment ||
		       (before->segment == extent->segment && extent->offset - before->offset < before->bytes)))
		return error_set(err, -EILSEQ, "epoch %llu has extents of segment '%s' out of order",
				 epoch_of(chain, set), chain->segments[segment].name);
	return 0;
}

/* Takes what no newer set has. */
static int set_claim(struct overlay *chain, size_t set, struct error *err)
{
	const struct table *table = &chain->tables[set];
	int rc = set_match(chain, set, err);

	for (uint64_t i = 0; i < table->header->extent_count && !rc; i++) {
		const struct table_extent *extent = &table->extents[i];
		uint32_t segment = chain->here[extent->segment];
		struct owner *owner;

		if (segment == NO_SEGMENT)
			continue;
		rc = extent_check(chain, set, extent, segment, err);
		if (rc)
			break;
		owner = &chain->owners[chain->places[segment].first + extent->offset / chain->block_bytes];
		for (uint64_t n = table_blocks(extent->bytes, chain->block_bytes); n; n--, owner++) {
			if (owner->extent)
				continue;
			*owner = (struct owner){extent, (uint32_t)set};
			chain->left--;
		}
	}
	return rc;
}

/* ---- the pieces ---- */

static void pieces_fill(const struct overlay *chain, struct chain_piece *piece)
{
	const struct owner *owner = chain->owners, *before;
	uint64_t offset, n;

	for (uint32_t i = 0; i < chain->segment_count; i++) {
		before = NULL;
		for (offset = 0; offset < chain->places[i].bytes; offset += n, before = owner++) {
			n = chain->places[i].bytes - offset;
			if (n > chain->block_bytes)
				n = chain->block_bytes;
			if (!owner->extent)
				continue;
			if (before && before->extent == owner->extent) {
				piece[-1].bytes += n;
				continue;
			}
			*piece++ = (struct chain_piece){
				.set = owner->set,
				.segment = i,
				.offset = offset,
				.bytes = n,
				.set_offset = owner->extent->set_offset + (offset - owner->extent->offset),
				.first_block = owner->extent->first_block +
					       (offset - owner->extent->offset) / chain->block_bytes,
			};
		}
	}
}

static size_t pieces_count(const struct overlay *chain)
{
	size_t count = 0;

	for (uint32_t i = 0; i < chain->segment_count; i++) {
		const struct owner *first = &chain->owners[chain->places[i].first];

		for (uint64_t n = 0; n < table_blocks(chain->places[i].bytes, chain->block_bytes); n++)
			count += first[n].extent && (!n || first[n].extent != first[n - 1].extent);
	}
	return count;
}

static int gap_error(const struct overlay *chain, struct error *err)
{
	const struct owner *owner = chain->owners;
	uint32_t segment = 0;
	uint64_t block;

	while (owner->extent)
		owner++;
	block = (uint64_t)(owner - chain->owners);
	while (segment + 1 < chain->segment_count && chain->places[segment + 1].first <= block)
		segment++;
	return error_set(err, -EILSEQ, "no set up to epoch %llu has segment '%s' from byte %llu on",
			 epoch_of(chain, chain->count - 1), chain->segments[segment].name,
			 (unsigned long long)((block - chain->places[segment].first) * chain->block_bytes));
}

static int resolve(struct overlay *chain, struct chain_piece **pieces, size_t *piece_count, struct error *err)
{
	int rc = layout_check(chain, err);

	if (!rc)
		rc = layout_measure(chain, err);
	if (rc)
		return rc;
	chain->owners = calloc(chain->blocks + 1, sizeof(*chain->owners));
	if (!chain->owners)
		return error_nomem(err, "the blocks of a set");
	for (size_t set = chain->count; set-- && !rc;)
		rc = set_claim(chain, set, err);
	if (!rc && chain->left && !chain->blocks_max)
		rc = gap_error(chain, err);
	if (rc)
		return rc;
	*piece_count = pieces_count(chain);
	*pieces = calloc(*piece_count + 1, sizeof(**pieces));
	if (!*pieces)
		return error_nomem(err, "the pieces of a set");
	pieces_fill(chain, *pieces);
	return 0;
}

static int resolve_sets(const struct table *tables, size_t count, const struct segment *segments,
			uint32_t segment_count, uint64_t bytes_max, struct chain_piece **pieces,
			size_t *piece_count, struct error *err)
{
	struct overlay chain = {
		.tables = tables,
		.count = count,
		.segments = segments,
		.segment_count = segment_count,
	};
	uint32_t widest = 0;
	int rc;

	if (!count || count > UINT32_MAX - 1 || tables[count - 1].header->segment_count != segment_count)
		return error_set(err, -EILSEQ, "a chain of %zu sets does not end with a layout of %u segments", count,
				 segment_count);
	chain.block_bytes = tables[count - 1].header->block_bytes;
	if (bytes_max) /* a short block at the end of each segment counts as one */
		chain.blocks_max = table_blocks(bytes_max, chain.block_bytes) + segment_count;
	for (size_t i = 0; i < count; i++) {
		if (tables[i].header->block_bytes != chain.block_bytes)
			return error_set(err, -EILSEQ, "epoch %llu has blocks of %u bytes, and epoch %llu of %llu",
					 epoch_of(&chain, i), tables[i].header->block_bytes, epoch_of(&chain, count - 1),
					 (unsigned long long)chain.block_bytes);
		if (tables[i].header->segment_count > widest)
			widest = tables[i].header->segment_count;
	}
	chain.places = calloc(segment_count + 1, sizeof(*chain.places));
	chain.by_id = calloc(segment_count + 1, sizeof(*chain.by_id));
	chain.here = calloc(widest + 1, sizeof(*chain.here));
	rc = chain.places && chain.by_id && chain.here ? resolve(&chain, pieces, piece_count, err)
						       : error_nomem(err, "the segments of a set");
	free(chain.places);
	free(chain.by_id);
	free(chain.here);
	free(chain.owners);
	return rc;
}

int chain_resolve(const struct table *tables, size_t count, const struct segment *segments, uint32_t segment_count,
		  struct chain_piece **pieces, size_t *piece_count, struct error *err)
{
	return resolve_sets(tables, count, segments, segment_count, 0, pieces, piece_count, err);
}

int chain_resolve_part(const struct table *tables, size_t count, const struct segment *segments, uint32_t segment_count,
		       uint64_t bytes_max, struct chain_piece **pieces, size_t *piece_count, struct error *err)
{
	return resolve_sets(tables, count, segments, segment_count, bytes_max, pieces, piece_count, err);
}
