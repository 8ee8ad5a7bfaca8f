/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.h - what a rank of the test's jobs has in its memory at each epoch, and the sets that hold it. Some blocks change
 * from epoch to epoch and some do not, and every block tells whose it is.
 */
#ifndef HOLDFAST_STATE_H
#define HOLDFAST_STATE_H

#include <stdint.h>
#include "common/set.h"

#define STATE_SEGMENTS 2
#define STATE_BLOCK    SET_BLOCK_MIN
#define STATE_SET_MAX  (16u * SET_ALIGN) /* that a set takes, with its table */

extern const struct segment state_segments[STATE_SEGMENTS];

/* Whose memory it is, and when. */
struct moment {
	unsigned job, rank;
	uint64_t epoch;
};

/* The bytes of a block: `out` has STATE_BLOCK of them. Returns how many there are. */
uint64_t state_block(const struct moment *at, unsigned segment, uint64_t block, uint8_t *out);

/* Blocks of a segment. */
uint64_t state_blocks(unsigned segment);

/* Lays out the set of this moment in `set` (STATE_SET_MAX bytes, zeroed here): all of it (0), or an increment of what
 * changed since an older epoch. */
struct set_info state_set(const struct moment *at, uint64_t since, uint8_t *set);

#endif
