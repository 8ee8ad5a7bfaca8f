/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tracker.h - what a tracker does: it watches pages, and tells which of them may have been written.
 * To add one: a file, a line in the array of choose.c, and one in local.mk.
 */
#ifndef HOLDFAST_TRACKER_H
#define HOLDFAST_TRACKER_H

#include <stdint.h>
#include "common/error.h"

#define TRACKER_ABI 1

struct tracker; /* the back end's own */

/* Who is told which addresses may have been written. */
struct tracker_sink {
	void (*written)(void *context, uintptr_t begin, uint64_t bytes);
	void *context;
};

/* Ranges are of whole pages, each watched at most once. A tracker belongs to one thread at a time, and to the
 * process that opened it; in a child of fork() only close() may be called. */
struct tracker_ops {
	unsigned abi;
	const char *name;
	/* Tries it in earnest on pages of its own. -errno with the reason: it does not work here. */
	int (*probe)(struct error *err);

	/* The rest is NULL for a tracker that watches nothing: every block is hashed. */
	int (*open)(struct tracker **tracker, struct error *err);
	void (*close)(struct tracker *tracker); /* takes NULL; ends every watch */
	/* Watches from now on. An error: this memory cannot be watched, for the reason in `err`. */
	int (*watch)(struct tracker *tracker, uintptr_t begin, uint64_t bytes, struct error *err);
	/* The memory may be gone, or be another's by now. */
	void (*unwatch)(struct tracker *tracker, uintptr_t begin, uint64_t bytes);
	/* Reports every page of a watched range that may have another content than when it was last reported,
	 * or when the watch began, and watches on. A write during the call is reported by this one or
	 * the next; whoever reads a page after the call sees all writes that the next one does not report.
	 * On error the range is not watched any more. */
	int (*collect)(struct tracker *tracker, uintptr_t begin, uint64_t bytes,
		       const struct tracker_sink *sink, struct error *err);
};

extern const struct tracker_ops tracker_hash;
extern const struct tracker_ops tracker_uffd;

#endif
