/* SPDX-License-Identifier: BSD-3-Clause */
/* parts.h - what a snapshot is made of: stretches of segments, in the order in which they are written. */
#ifndef HOLDFAST_PARTS_H
#define HOLDFAST_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "client/client.h"
#include "common/error.h"

enum part_kind {
	PART_STAGED, /* copied at the start */
	PART_DIRECT, /* written straight from the segment, before it may be changed */
	PART_PAGES,  /* write-protected pages of the segment */
};

struct part {
	enum part_kind kind;
	size_t segment;
	uint64_t offset, bytes; /* in the segment */
	uint8_t *from;		/* the segment's memory */
	uint8_t *copy;		/* PART_STAGED: where it is copied to */
	size_t area;		/* PART_PAGES */
	bool edge;		/* beside such pages, in the same block */
};

struct parts {
	struct part *list;
	size_t count, capacity;
	size_t at; /* where the last parts_find() was */
};

/* Adds one behind the others; 0 bytes are none. -ENOMEM. */
int parts_add(struct parts *parts, const struct part *part, struct error *err);

/* The part with the byte at `offset` of that segment; NULL: there is none. Quick, where it is asked for in order. */
const struct part *parts_find(struct parts *parts, size_t segment, uint64_t offset);

/*
 * Makes parts direct, the first ones first, until no more than `bytes` bytes are staged, but for edges; one of them may be cut
 * in two at a multiple of `block_bytes`. -ENOMEM.
 */
int parts_bound(struct parts *parts, uint64_t bytes, uint64_t block_bytes, struct error *err);

/* Bytes of this kind; a staged part counts with what it takes up in staging memory. */
uint64_t parts_bytes(const struct parts *parts, enum part_kind kind);

/* What a staged part takes up. */
uint64_t part_room(const struct part *part);

void parts_clear(struct parts *parts);
void parts_free(struct parts *parts);

#endif
