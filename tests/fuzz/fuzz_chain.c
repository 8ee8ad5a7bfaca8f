/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_chain.c - tables of sets over each other: refused, or each piece is the newest set's that has it.
 *
 * The input says which segments and extents the sets have; digests, ids and counts are made to fit, or
 * nothing would get as far as here: fuzz_table.c has tables of any bytes.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>
#include "common/checksum.h"
#include "common/size.h"
#include "wire/chain.h"
#include "wire/cursor.h"

#define SETS	   6
#define SEGMENTS   5
#define EXTENTS	   12
#define BLOCKS_MAX 4096 /* of a set */
#define ANY	   0x80 /* what follows is numbers, any */
#define LIE	   0x40

static struct chain {
	size_t count;
	uint64_t block_bytes;
	struct segment segments[SETS][SEGMENTS];
	struct table tables[SETS];
	void *buffers[SETS];
} chain;

/* ---- out of the input ---- */

static uint8_t take_u8(struct cursor *c)
{
	uint8_t value = 0;

	cursor_u8(c, &value);
	return value;
}

static uint64_t take_u64(struct cursor *c)
{
	uint64_t value = 0;

	cursor_u64(c, &value);
	return value;
}

static void take_segment(struct cursor *c, struct segment *segment, uint64_t *id)
{
	const uint64_t block = chain.block_bytes, rests[] = {0, 1, 100, block - 1};
	uint8_t name = take_u8(c), size = take_u8(c);

	memset(segment, 0, sizeof(*segment));
	segment->name[0] = (char)('a' + name % 16);
	segment->type = ELEMENT_BYTE;
	segment->element_bytes = 1;
	segment->count = (uint64_t)(size >> 2) * block + rests[size & 3];
	if (name & ANY) {
		segment->element_bytes = size;
		segment->count = take_u64(c);
	}
	*id = table_segment_id(segment) ^ (name & LIE);
}

static void take_extent(struct cursor *c, const struct segment *segments, uint32_t segment_count,
			struct table_extent *extent)
{
	uint8_t segment = take_u8(c), from = take_u8(c), count = take_u8(c);
	uint64_t end, all;

	*extent = (struct table_extent){.segment = segment & 0xf, .offset = from * chain.block_bytes};
	if (segment & ANY) {
		extent->offset = take_u64(c);
		extent->bytes = take_u64(c);
		return;
	}
	end = extent->offset + count * chain.block_bytes;
	all = extent->segment < segment_count ? segments[extent->segment].count : 0;
	if (!(segment & LIE) && end > all)
		end = all;
	extent->bytes = end > extent->offset ? end - extent->offset : 0;
}

/* Lays the set's table out and opens it as a reader does: false where that refuses it. */
static bool take_set(struct cursor *c, size_t set)
{
	struct set_info info = {
		.epoch = set + 1,
		.kind = set ? SET_INCREMENT : SET_FULL,
		.block_bytes = chain.block_bytes,
	};
	uint64_t ids[SEGMENTS], blocks = 0, n;
	struct table_extent extents[EXTENTS];
	uint32_t extent_count;
	struct error err;
	struct table *table = &chain.tables[set];

	info.segment_count = take_u8(c) % (SEGMENTS + 1);
	for (uint32_t i = 0; i < info.segment_count; i++)
		take_segment(c, &chain.segments[set][i], &ids[i]);
	extent_count = take_u8(c) % (EXTENTS + 1);
	for (uint32_t i = 0; i < extent_count; i++) {
		take_extent(c, chain.segments[set], info.segment_count, &extents[i]);
		n = table_blocks(extents[i].bytes, chain.block_bytes);
		if (n > BLOCKS_MAX - blocks)
			return false;
		extents[i].first_block = blocks;
		extents[i].set_offset = info.data_bytes;
		blocks += n;
		info.data_bytes += size_round_up(extents[i].bytes, SET_ALIGN);
	}
	info.table_bytes = table_size(info.segment_count, extent_count, blocks);
	chain.buffers[set] = calloc(1, info.table_bytes);
	must(chain.buffers[set]);
	*table = table_init(chain.buffers[set], chain.block_bytes, info.segment_count, extent_count, blocks);
	table->header->epoch = info.epoch;
	memcpy(table->segment_ids, ids, info.segment_count * sizeof(*ids));
	memcpy(table->extents, extents, extent_count * sizeof(*extents));
	info.table_digest = checksum(chain.buffers[set], info.table_bytes);
	return !table_open(chain.buffers[set], &info, 0, table, &err);
}

/* ---- what came of it ---- */

/* The set's extent that has any of these bytes of a segment of the newest layout; NULL. */
static const struct table_extent *extent_of(size_t set, uint32_t segment, uint64_t offset, uint64_t bytes)
{
	const struct table *table = &chain.tables[set];
	uint64_t id = table_segment_id(&chain.segments[chain.count - 1][segment]);

	for (uint64_t i = 0; i < table->header->extent_count; i++) {
		const struct table_extent *e = &table->extents[i];

		if (table->segment_ids[e->segment] == id && e->bytes && e->offset < offset + bytes &&
		    offset < e->offset + e->bytes)
			return e;
	}
	return NULL;
}

static void check_piece(const struct chain_piece *piece, const struct chain_piece *before)
{
	const struct table_extent *e = extent_of(piece->set, piece->segment, piece->offset, piece->bytes);

	must(piece->bytes && piece->offset % chain.block_bytes == 0);
	must(!before || before->segment < piece->segment ||
	     (before->segment == piece->segment && before->offset + before->bytes <= piece->offset));
	must(e && e->offset <= piece->offset && piece->offset + piece->bytes <= e->offset + e->bytes);
	must(piece->set_offset == e->set_offset + (piece->offset - e->offset));
	must(piece->first_block == e->first_block + (piece->offset - e->offset) / chain.block_bytes);
	for (size_t newer = piece->set + 1; newer < chain.count; newer++)
		must(!extent_of(newer, piece->segment, piece->offset, piece->bytes));
}

/* No set has any of these bytes. */
static void check_gap(uint32_t segment, uint64_t from, uint64_t to)
{
	for (size_t set = 0; set < chain.count && from < to; set++)
		must(!extent_of(set, segment, from, to - from));
}

static void check_pieces(const struct chain_piece *pieces, size_t count, bool part)
{
	uint32_t segment_count = chain.tables[chain.count - 1].header->segment_count;
	size_t at = 0;

	for (uint32_t i = 0; i < segment_count; i++) {
		const struct segment *segment = &chain.segments[chain.count - 1][i];
		uint64_t reached = 0, bytes = segment->count * segment->element_bytes;

		for (; at < count && pieces[at].segment == i; at++) {
			check_piece(&pieces[at], at ? &pieces[at - 1] : NULL);
			must(part || pieces[at].offset == reached);
			check_gap(i, reached, pieces[at].offset);
			reached = pieces[at].offset + pieces[at].bytes;
		}
		must(part || reached == bytes);
		must(reached <= bytes);
		check_gap(i, reached, bytes);
	}
	must(at == count);
}

static void chain_try(uint64_t part_bytes)
{
	uint32_t segment_count = chain.tables[chain.count - 1].header->segment_count;
	const struct segment *segments = chain.segments[chain.count - 1];
	struct chain_piece *pieces = NULL;
	size_t count = 0;
	struct error err;
	int rc;

	if (part_bytes)
		rc = chain_resolve_part(chain.tables, chain.count, segments, segment_count, part_bytes,
					&pieces, &count, &err);
	else
		rc = chain_resolve(chain.tables, chain.count, segments, segment_count, &pieces, &count,
				   &err);
	if (!rc)
		check_pieces(pieces, count, part_bytes);
	free(pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_unpack(data, size);
	size_t sets = 1 + take_u8(&c) % SETS;
	uint64_t part_blocks;

	memset(&chain, 0, sizeof(chain));
	chain.block_bytes = (uint64_t)SET_BLOCK_MIN << take_u8(&c) % 11;
	part_blocks = take_u8(&c);
	while (chain.count < sets && take_set(&c, chain.count))
		chain.count++;
	if (chain.count == sets && !c.failed)
		chain_try(part_blocks * chain.block_bytes);
	for (size_t i = 0; i < SETS; i++)
		free(chain.buffers[i]);
	return 0;
}
