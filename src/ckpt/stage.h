/* SPDX-License-Identifier: BSD-3-Clause */
/* stage.h - memory to copy into what is shipped later: kept from one checkpoint to the next, and there before it is needed. */
#ifndef HOLDFAST_STAGE_H
#define HOLDFAST_STAGE_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed, it has none. A child of fork() has not got the memory. */
struct stage {
	uint8_t *at;
	uint64_t bytes;
};

/* One stretch to be copied. */
struct stage_copy {
	uint8_t *to;
	const uint8_t *from;
	uint64_t bytes;
};

/*
 * Sees to it that there are `bytes` bytes, all pages of them present and near the calling thread; what was in it before
 * is gone. -ENOMEM: they cannot be had, or no memory is left for `sharing` processes of this node that all want as
 * many: then it has none. `forget` is called with memory that is about to go.
 */
int stage_reserve(struct stage *stage, uint64_t bytes, unsigned sharing,
		  void (*forget)(void *context, const void *at, uint64_t bytes), void *context);

/* Takes a zeroed one. Nobody may know of the memory any more. */
void stage_free(struct stage *stage);

/* Copies them all, in so many threads, past the caches: nobody reads it soon. */
void stage_copy(const struct stage_copy *list, size_t count, unsigned threads);

#endif
