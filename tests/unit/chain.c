/* SPDX-License-Identifier: BSD-3-Clause */
/* chain.c - each byte of an epoch comes from the newest set that has it, once; hostile tables are refused. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/checksum.h"
#include "common/size.h"
#include "unit.h"
#include "wire/chain.h"

#define SETS	     12
#define SEGMENTS     5
#define BLOCKS	     9 /* of the largest segment */
#define NAMES	     7
#define SIZES	     8

static struct error err;
static uint64_t block_bytes = SET_BLOCK_DEFAULT; /* of what is made */

static unsigned random_below(unsigned n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % n;
}

/* ---- sets made by hand ---- */

struct made {
	struct segment segments[SEGMENTS];
	uint32_t segment_count;
	struct table_extent extents[SEGMENTS * BLOCKS];
	uint32_t extent_count;
	void *buffer;
	struct set_info info;
	struct table table;
};

static struct made chain[SETS];

static struct segment segment_of(unsigned name, uint64_t bytes)
{
	struct segment s = {.type = ELEMENT_BYTE, .element_bytes = 1, .count = bytes};

	snprintf(s.name, sizeof(s.name), "segment%u", name);
	return s;
}

static void made_add(struct made *made, uint32_t segment, uint64_t offset, uint64_t bytes)
{
	made->extents[made->extent_count++] = (struct table_extent){.segment = segment, .offset = offset, .bytes = bytes};
}

/* A checksum that tells whose it is. */
static uint64_t tag(size_t set, const struct segment *segment, uint64_t block)
{
	return (set << 48) ^ (table_segment_id(segment) & 0xffffffff0000u) ^ block;
}

/* Lays the table out and opens it, as a reader does: nonzero where that refuses it. */
static int made_finish(size_t set)
{
	struct made *made = &chain[set];
	uint64_t blocks = 0, offset = 0;

	for (uint32_t i = 0; i < made->extent_count; i++) {
		made->extents[i].first_block = blocks;
		made->extents[i].set_offset = offset;
		blocks += table_blocks(made->extents[i].bytes, block_bytes);
		offset += size_round_up(made->extents[i].bytes, SET_ALIGN);
	}
	made->info = (struct set_info){
		.epoch = set + 1,
		.kind = set ? SET_INCREMENT : SET_FULL,
		.segment_count = made->segment_count,
		.data_bytes = offset,
		.table_offset = offset,
		.table_bytes = table_size(made->segment_count, made->extent_count, blocks),
		.block_bytes = block_bytes,
	};
	free(made->buffer);
	made->buffer = calloc(1, made->info.table_bytes);
	made->table = table_init(made->buffer, block_bytes, made->segment_count, made->extent_count, blocks);
	made->table.header->epoch = set + 1;
	for (uint32_t i = 0; i < made->segment_count; i++)
		made->table.segment_ids[i] = table_segment_id(&made->segments[i]);
	memcpy(made->table.extents, made->extents, made->extent_count * sizeof(*made->extents));
	for (uint32_t i = 0; i < made->extent_count; i++) {
		const struct table_extent *e = &made->extents[i];

		for (uint64_t n = 0; n < table_blocks(e->bytes, block_bytes) && e->segment < made->segment_count; n++)
			made->table.checksums[e->first_block + n] =
				tag(set, &made->segments[e->segment], e->offset / block_bytes + n);
	}
	made->info.table_digest = checksum(made->buffer, made->info.table_bytes);
	return table_open(made->buffer, &made->info, 0, &made->table, &err);
}

static int resolve(size_t count, struct chain_piece **pieces, size_t *piece_count)
{
	struct table tables[SETS];

	for (size_t i = 0; i < count; i++)
		tables[i] = chain[i].table;
	*pieces = NULL;
	return chain_resolve(tables, count, chain[count - 1].segments, chain[count - 1].segment_count, pieces, piece_count,
			     &err);
}

static void chain_clear(void)
{
	for (size_t i = 0; i < SETS; i++)
		free(chain[i].buffer);
	memset(chain, 0, sizeof(chain));
}

/* ---- random chains against a model ---- */

static uint64_t sizes[SIZES];

static void sizes_make(void)
{
	const uint64_t all[SIZES] = {
		0, 1, 100, block_bytes - 1, block_bytes, 3 * block_bytes + 5, 8 * block_bytes, 9 * block_bytes - 7,
	};

	memcpy(sizes, all, sizeof(sizes));
}

/* Who wrote each block of each possible segment last. */
static size_t model[NAMES][SIZES][BLOCKS];

static bool model_find(const struct segment *s, size_t *name, size_t *size)
{
	*name = (size_t)atoi(s->name + strlen("segment"));
	for (*size = 0; *size < SIZES && sizes[*size] != s->count; ++*size)
		continue;
	return *size < SIZES;
}

static const struct segment *segment_before(size_t set, const struct segment *segment)
{
	for (uint32_t i = 0; set && i < chain[set - 1].segment_count; i++) {
		if (table_segment_id(&chain[set - 1].segments[i]) == table_segment_id(segment))
			return &chain[set - 1].segments[i];
	}
	return NULL;
}

/* Each with another name, in any order, with a size that often is what it was. */
static void random_layout(size_t set)
{
	struct made *made = &chain[set];
	unsigned first = random_below(NAMES), step = 1 + random_below(NAMES - 1);

	if (set && random_below(3)) {
		memcpy(made->segments, chain[set - 1].segments, sizeof(made->segments));
		made->segment_count = chain[set - 1].segment_count;
		if (made->segment_count && !random_below(3))
			made->segments[random_below(made->segment_count)].count = sizes[random_below(SIZES)];
		return;
	}
	made->segment_count = random_below(SEGMENTS + 1);
	for (uint32_t i = 0; i < made->segment_count; i++)
		made->segments[i] = segment_of((first + i * step) % NAMES, sizes[random_below(SIZES)]);
}

static void random_set(size_t set)
{
	struct made *made = &chain[set];
	uint64_t from, to, bytes;

	made->extent_count = 0;
	random_layout(set);
	for (uint32_t i = 0; i < made->segment_count; i++) {
		size_t name, size;

		ck_assert(model_find(&made->segments[i], &name, &size));
		bytes = made->segments[i].count;
		if (!segment_before(set, &made->segments[i])) {
			if (bytes || random_below(2))
				made_add(made, i, 0, bytes);
			for (size_t block = 0; block < BLOCKS; block++)
				model[name][size][block] = set;
			continue;
		}
		for (from = random_below(4); from < table_blocks(bytes, block_bytes); from = to + random_below(3)) {
			to = from + 1 + random_below(3);
			if (to > table_blocks(bytes, block_bytes))
				to = table_blocks(bytes, block_bytes);
			made_add(made, i, from * block_bytes,
				 (to * block_bytes < bytes ? to * block_bytes : bytes) - from * block_bytes);
			for (uint64_t block = from; block < to; block++)
				model[name][size][block] = set;
		}
	}
	ck_assert_msg(!made_finish(set), "%s", err.text);
}

static bool starts_extent(const struct chain_piece *piece)
{
	const struct made *made = &chain[piece->set];

	for (uint32_t i = 0; i < made->extent_count; i++) {
		if (made->table.extents[i].set_offset == piece->set_offset && made->table.extents[i].bytes)
			return true;
	}
	return false;
}

static void check_piece(const struct segment *segment, const struct chain_piece *piece)
{
	const struct table *table = &chain[piece->set].table;
	size_t name, size;

	ck_assert(model_find(segment, &name, &size));
	ck_assert_uint_eq(piece->offset % block_bytes, 0);
	for (uint64_t n = 0; n < table_blocks(piece->bytes, block_bytes); n++) {
		uint64_t block = piece->offset / block_bytes + n;
		const struct table_extent *e = table->extents;

		ck_assert_uint_eq(piece->set, model[name][size][block]);
		ck_assert_uint_eq(table->checksums[piece->first_block + n], tag(piece->set, segment, block));
		while (piece->first_block + n >= e->first_block + table_blocks(e->bytes, block_bytes))
			e++;
		ck_assert_uint_eq(piece->set_offset + n * block_bytes - e->set_offset,
				  piece->offset + n * block_bytes - e->offset);
	}
}

static void check_pieces(size_t count)
{
	const struct made *newest = &chain[count - 1];
	struct chain_piece *pieces;
	size_t piece_count, at = 0;
	int rc = resolve(count, &pieces, &piece_count);

	ck_assert_msg(!rc, "%d %s", rc, err.text);
	for (uint32_t i = 0; i < newest->segment_count; i++) {
		uint64_t offset = 0;

		for (; at < piece_count && pieces[at].segment == i; offset += pieces[at++].bytes) {
			ck_assert_uint_eq(pieces[at].offset, offset);
			check_piece(&newest->segments[i], &pieces[at]);
			if (offset && pieces[at].set == pieces[at - 1].set &&
			    pieces[at].set_offset == pieces[at - 1].set_offset + pieces[at - 1].bytes)
				ck_assert_msg(starts_extent(&pieces[at]), "not merged");
		}
		ck_assert_uint_eq(offset, newest->segments[i].count);
	}
	ck_assert_uint_eq(at, piece_count);
	free(pieces);
}

/* Blocks of the newest layout that a set from `first` on wrote last. */
static uint64_t blocks_since(size_t first, size_t count)
{
	const struct made *newest = &chain[count - 1];
	size_t name, size, blocks = 0;

	for (uint32_t i = 0; i < newest->segment_count; i++) {
		ck_assert(model_find(&newest->segments[i], &name, &size));
		for (uint64_t block = 0; block < table_blocks(newest->segments[i].count, block_bytes); block++)
			blocks += model[name][size][block] >= first;
	}
	return blocks;
}

/* Sets from `first` on, without those before them. */
static void check_part(size_t first, size_t count)
{
	const struct made *newest = &chain[count - 1];
	struct table tables[SETS];
	struct chain_piece *pieces;
	size_t piece_count;
	uint64_t blocks = 0;

	for (size_t i = first; i < count; i++)
		tables[i - first] = chain[i].table;
	ck_assert_msg(!chain_resolve_part(tables, count - first, newest->segments, newest->segment_count,
					  SEGMENTS * BLOCKS * block_bytes, &pieces, &piece_count, &err), "%s", err.text);
	for (size_t i = 0; i < piece_count; i++) {
		struct chain_piece piece = pieces[i];

		if (i)
			ck_assert(piece.segment > pieces[i - 1].segment ||
				  piece.offset >= pieces[i - 1].offset + pieces[i - 1].bytes);
		piece.set += (uint32_t)first;
		check_piece(&newest->segments[piece.segment], &piece);
		blocks += table_blocks(piece.bytes, block_bytes);
	}
	ck_assert_uint_eq(blocks, blocks_since(first, count));
	free(pieces);
}

static const uint64_t block_sizes[] = {SET_BLOCK_DEFAULT, SET_BLOCK_MIN, SET_BLOCK_MAX};

START_TEST(each_byte_comes_once_and_from_the_newest_set_that_has_it)
{
	unsigned rounds = unit_rounds(100000, 4000, 100) / (_i ? 8 : 1);

	block_bytes = block_sizes[_i];
	sizes_make();
	for (; rounds; rounds--) {
		size_t count = 1 + random_below(SETS);

		memset(model, 0xff, sizeof(model));
		for (size_t set = 0; set < count; set++) {
			random_set(set);
			check_pieces(set + 1);
			check_part(random_below((unsigned)set + 1), set + 1);
		}
	}
	chain_clear();
	block_bytes = SET_BLOCK_DEFAULT;
}
END_TEST

/* ---- hostile tables ---- */

/* Two segments of 3.1 blocks and 100 bytes; the second block of the first again in an increment. */
static void good_chain(void)
{
	uint64_t bytes = 3 * block_bytes + 1000;

	chain_clear();
	for (size_t set = 0; set < 2; set++) {
		chain[set].segment_count = 2;
		chain[set].segments[0] = segment_of(0, bytes);
		chain[set].segments[1] = segment_of(1, 100);
	}
	made_add(&chain[0], 0, 0, bytes);
	made_add(&chain[0], 1, 0, 100);
	made_add(&chain[1], 0, block_bytes, block_bytes);
}

static void check_refused(size_t count, const char *why)
{
	struct chain_piece *pieces;
	size_t piece_count;

	for (size_t i = 0; i < count; i++)
		ck_assert_msg(!made_finish(i), "%s", err.text);
	ck_assert_int_eq(resolve(count, &pieces, &piece_count), -EILSEQ);
	ck_assert_msg(strstr(err.text, why), "%s", err.text);
	chain_clear();
}

START_TEST(extents_that_are_not_of_whole_blocks_of_their_segment_are_refused)
{
	good_chain();
	chain[1].extents[0].bytes += 3 * block_bytes;
	check_refused(2, "more of segment 'segment0'");
	good_chain();
	chain[1].extents[0].offset = 40 * block_bytes;
	check_refused(2, "more of segment 'segment0'");
	good_chain();
	chain[1].extents[0].bytes = 5;
	check_refused(2, "a part of a block");
	good_chain();
	chain[1].extents[0] = (struct table_extent){.segment = 1, .bytes = 99};
	check_refused(2, "a part of a block of segment 'segment1'");
}
END_TEST

START_TEST(a_part_with_a_layout_larger_than_the_room_is_refused)
{
	struct chain_piece *pieces = NULL;
	size_t piece_count;

	good_chain();
	chain[1].segments[0].count = 1ull << 60;
	ck_assert_msg(!made_finish(1), "%s", err.text);
	ck_assert_int_eq(chain_resolve_part(&chain[1].table, 1, chain[1].segments, 2, 4 * block_bytes, &pieces,
					    &piece_count, &err), -EILSEQ);
	ck_assert_msg(strstr(err.text, "is larger than"), "%s", err.text);
	chain_clear();
}
END_TEST

START_TEST(a_block_twice_in_a_set_is_refused)
{
	good_chain();
	chain[1].extents[1] = chain[1].extents[0];
	chain[1].extent_count = 2;
	check_refused(2, "out of order");
	good_chain();
	chain[0].extents[2] = chain[0].extents[0];
	chain[0].extent_count = 3;
	check_refused(2, "out of order");
}
END_TEST

START_TEST(a_block_that_no_set_has_is_named)
{
	good_chain();
	chain[0].extents[0].bytes = 3 * block_bytes;
	check_refused(2, "segment 'segment0' from byte 196608 on");
	good_chain();
	chain[0].extent_count = 1;
	check_refused(2, "segment 'segment1' from byte 0 on");
	/* A segment of another size has no older history, whatever its name. */
	good_chain();
	chain[1].segments[1].count = 101;
	check_refused(2, "segment 'segment1' from byte 0 on");
	good_chain();
	chain[0].extent_count = 0;
	check_refused(1, "larger than what its sets hold");
}
END_TEST

START_TEST(a_layout_that_is_not_the_tables_is_refused)
{
	struct chain_piece *pieces;
	size_t piece_count;

	good_chain();
	ck_assert(!made_finish(0) && !made_finish(1));
	chain[1].segments[1].type = ELEMENT_CHAR;
	ck_assert_int_eq(resolve(2, &pieces, &piece_count), -EILSEQ);
	chain[1].segments[1] = segment_of(1, 100);
	ck_assert_int_eq(resolve(2, &pieces, &piece_count), 0);
	free(pieces);
	chain[1].segment_count = 1;
	ck_assert_int_eq(resolve(2, &pieces, &piece_count), -EILSEQ);
	ck_assert_int_eq(chain_resolve(NULL, 0, NULL, 0, &pieces, &piece_count, &err), -EILSEQ);
	chain_clear();
}
END_TEST

START_TEST(segments_that_cannot_be_told_apart_are_refused)
{
	good_chain();
	chain[1].segments[1] = chain[1].segments[0];
	check_refused(2, "epoch 2 has segment 'segment0' twice");
	good_chain();
	chain[0].segments[1] = chain[0].segments[0];
	chain[0].extents[1].bytes = 0;
	check_refused(2, "epoch 1 has segment 'segment0' twice");
}
END_TEST

START_TEST(a_chain_of_sets_with_blocks_of_two_sizes_is_refused)
{
	struct chain_piece *pieces;
	size_t piece_count;

	good_chain();
	ck_assert(!made_finish(0));
	block_bytes /= 2; /* every extent is of whole blocks still */
	ck_assert_msg(!made_finish(1), "%s", err.text);
	block_bytes = SET_BLOCK_DEFAULT;
	ck_assert_int_eq(resolve(2, &pieces, &piece_count), -EILSEQ);
	ck_assert_ptr_nonnull(strstr(err.text, "epoch 1 has blocks of 65536 bytes, and epoch 2 of 32768"));
	chain_clear();
}
END_TEST

/* As much as it says would be for ever to allocate, or overflow. */
START_TEST(a_layout_of_an_impossible_size_costs_nothing)
{
	static const uint64_t counts[] = {1ull << 40, 1ull << 62, UINT64_MAX / 2, UINT64_MAX};

	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		good_chain();
		chain[1].segments[0].count = counts[i];
		chain[1].segments[0].element_bytes = 1 + i;
		check_refused(2, "larger than what its sets hold");
	}
}
END_TEST

/* Whatever passes table_open() and chain_resolve() can be read without a further check. */
START_TEST(damaged_extents_never_lead_out_of_their_sets)
{
	struct chain_piece *pieces;
	unsigned passed = 0;
	size_t piece_count;

	for (unsigned rounds = unit_rounds(2000000, 80000, 4000); rounds; rounds--) {
		size_t set = random_below(2);
		struct table_extent *extent;

		good_chain();
		ck_assert(!made_finish(0) && !made_finish(1));
		extent = &chain[set].table.extents[random_below(chain[set].extent_count)];
		((uint8_t *)extent)[random_below(sizeof(*extent))] ^= (uint8_t)(1u << random_below(8));
		chain[set].info.table_digest = checksum(chain[set].buffer, chain[set].info.table_bytes);
		if (table_open(chain[set].buffer, &chain[set].info, 0, &chain[set].table, &err) ||
		    resolve(2, &pieces, &piece_count))
			continue;
		passed++;
		for (size_t i = 0; i < piece_count; i++) {
			const struct made *made = &chain[pieces[i].set];

			ck_assert_uint_le(pieces[i].set_offset + pieces[i].bytes, made->info.data_bytes);
			ck_assert_uint_le(pieces[i].first_block + table_blocks(pieces[i].bytes, block_bytes),
					  made->table.header->block_count);
		}
		free(pieces);
	}
	ck_assert_uint_gt(passed, 0); /* a moved set_offset, or bits that nobody reads */
	chain_clear();
}
END_TEST

static Suite *unit_suite(void)
{
	Suite *suite = suite_create("chain");
	TCase *tc = tcase_create("chain");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, each_byte_comes_once_and_from_the_newest_set_that_has_it, 0,
			    sizeof(block_sizes) / sizeof(block_sizes[0]));
	tcase_add_test(tc, extents_that_are_not_of_whole_blocks_of_their_segment_are_refused);
	tcase_add_test(tc, a_part_with_a_layout_larger_than_the_room_is_refused);
	tcase_add_test(tc, a_block_twice_in_a_set_is_refused);
	tcase_add_test(tc, a_block_that_no_set_has_is_named);
	tcase_add_test(tc, a_layout_that_is_not_the_tables_is_refused);
	tcase_add_test(tc, segments_that_cannot_be_told_apart_are_refused);
	tcase_add_test(tc, a_chain_of_sets_with_blocks_of_two_sizes_is_refused);
	tcase_add_test(tc, a_layout_of_an_impossible_size_costs_nothing);
	tcase_add_test(tc, damaged_extents_never_lead_out_of_their_sets);
	suite_add_tcase(suite, tc);
	return suite;
}
