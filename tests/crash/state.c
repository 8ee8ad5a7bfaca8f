/* SPDX-License-Identifier: BSD-3-Clause */
/* state.c - what a rank of the test's jobs has in its memory at each epoch, and the sets that hold it. */
#include "state.h"

#include <stdbool.h>
#include <string.h>
#include "common/checksum.h"
#include "common/size.h"
#include "must.h"
#include "wire/table.h"

#define PERIOD 3 /* epochs after which a block has changed */

const struct segment state_segments[STATE_SEGMENTS] = {
	{"field", ELEMENT_BYTE, 1, 5 * STATE_BLOCK + 100},
	{"step", ELEMENT_UINT64, 8, 1},
};

static uint64_t segment_bytes(unsigned segment)
{
	return state_segments[segment].count * state_segments[segment].element_bytes;
}

uint64_t state_blocks(unsigned segment)
{
	return table_blocks(segment_bytes(segment), STATE_BLOCK);
}

/* The last epoch up to this one at which the block changed. */
static uint64_t changed_at(unsigned segment, uint64_t block, uint64_t epoch)
{
	while (segment == 0 && epoch && (block + epoch) % PERIOD)
		epoch--;
	return epoch;
}

static bool is_in_set(const struct moment *at, uint64_t since, unsigned segment, uint64_t block)
{
	return !since || changed_at(segment, block, at->epoch) > since;
}

uint64_t state_block(const struct moment *at, unsigned segment, uint64_t block, uint8_t *out)
{
	uint64_t key[6] = {at->job, at->rank, segment, block, changed_at(segment, block, at->epoch)};
	uint64_t n = segment_bytes(segment) - block * STATE_BLOCK;

	n = n < STATE_BLOCK ? n : STATE_BLOCK;
	for (key[5] = 0; key[5] * sizeof(uint64_t) < n; key[5]++) {
		uint64_t word = checksum(key, sizeof(key)), rest = n - key[5] * sizeof(word);

		memcpy(out + key[5] * sizeof(word), &word, rest < sizeof(word) ? rest : sizeof(word));
	}
	return n;
}

struct set_info state_set(const struct moment *at, uint64_t since, uint8_t *set)
{
	uint64_t blocks = 0, end = 0, n, extents = 0;
	struct table_extent *extent;
	struct set_info info;
	struct table table;

	for (unsigned segment = 0; segment < STATE_SEGMENTS; segment++) {
		for (uint64_t block = 0; block < state_blocks(segment); block++)
			blocks += is_in_set(at, since, segment, block);
	}
	/* An extent for each block, which is fine and simple. */
	info = (struct set_info){
		.epoch = at->epoch,
		.kind = since ? SET_INCREMENT : SET_FULL,
		.segment_count = STATE_SEGMENTS,
		.table_offset = blocks * STATE_BLOCK,
		.table_bytes = table_size(STATE_SEGMENTS, blocks, blocks),
		.block_bytes = STATE_BLOCK,
	};
	must(info.table_offset + info.table_bytes <= STATE_SET_MAX);
	memset(set, 0, STATE_SET_MAX);
	table = table_init(set + info.table_offset, STATE_BLOCK, STATE_SEGMENTS, blocks, blocks);
	table.header->epoch = at->epoch;
	table.header->rank = at->rank;
	for (unsigned segment = 0; segment < STATE_SEGMENTS; segment++) {
		table.segment_ids[segment] = table_segment_id(&state_segments[segment]);
		for (uint64_t block = 0; block < state_blocks(segment); block++) {
			if (!is_in_set(at, since, segment, block))
				continue;
			n = state_block(at, segment, block, set + end);
			extent = &table.extents[extents];
			*extent = (struct table_extent){
				.segment = segment,
				.offset = block * STATE_BLOCK,
				.bytes = n,
				.set_offset = end,
				.first_block = extents,
			};
			table.checksums[extents++] = checksum(set + end, n);
			info.data_bytes = end + n;
			end += STATE_BLOCK;
		}
	}
	info.table_digest = checksum(set + info.table_offset, info.table_bytes);
	return info;
}
