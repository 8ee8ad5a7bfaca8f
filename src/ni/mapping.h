/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mapping.h - the slots that a NI has mapped, by file number, counted by use: the table itself, every
 * grant and every piece of work in progress hold one use each. Any thread.
 */
#ifndef HOLDFAST_MAPPING_H
#define HOLDFAST_MAPPING_H

#include <stddef.h>
#include <stdint.h>
#include "common/error.h"
#include "media/media.h"

struct mapping {
	uint64_t file;
	struct media_map *map;
	unsigned uses;	      /* guarded by the table's lock */
};

/*
 * What to tell, from any thread, of files that were mapped (`fd` is the caller's; a failure is that of the mapping), and
 * before any memory is unmapped; NULL, as at first: nobody. Before there are mappings.
 */
void mapping_tell(int (*mapped)(void *base, size_t bytes, int fd, struct error *err),
		  void (*unmapping)(const void *base, size_t bytes));

/*
 * Maps `bytes` of fd as slot file `file`, all pages present; replaces what was there under this number. `count` extents
 * (0: it is a file): pieces of the device fd, which are mapped as they are.
 */
int mapping_add(uint64_t file, int fd, uint64_t bytes, const struct extent *extents, unsigned count, struct error *err);

/* The mapping with one more use, or NULL where there is none that has [offset, offset + bytes). */
struct mapping *mapping_use(uint64_t file, uint64_t offset, uint64_t bytes);

/* Gives one use back; the last unmaps. Takes NULL. */
void mapping_release(struct mapping *mapping);

/* Takes it out of the table: it goes when its last use ends. */
void mapping_remove(uint64_t file);

#endif
