/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * snapshot.h - writes a set in a thread of its own, from memory as it was at one instant, while the application
 * changes that memory. No MPI here. docs/async.md says how, and why no wrong byte is ever written.
 *
 *	snapshot_start()	the application is stopped: copies, or protects, what is to be written
 *	...			the application computes; the client is the thread's
 *	snapshot_wait()		the set is written, or is not; the client is the caller's again
 *
 * A snapshot belongs to one thread at a time. In a child of fork() none is under way.
 */
#ifndef HOLDFAST_SNAPSHOT_H
#define HOLDFAST_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>
#include "client/client.h"
#include "common/error.h"

struct snapshot;

enum snapshot_way {
	SNAPSHOT_AUTO,	/* cow, where the kernel offers it and the last one had few faults, else stage */
	SNAPSHOT_STAGE, /* a copy of all of it is made at once */
	SNAPSHOT_COW,	/* pages are write-protected, and copied when they are written first; else stage */
};

struct snapshot_options {
	enum snapshot_way way;
	uint64_t stage_bytes; /* for copies, at most; 0: as many as it takes */
	uint64_t block_bytes; /* of the client's sets; 0: SET_BLOCK_DEFAULT */
	uint64_t timeout_ms;  /* how long a write of the application's may be kept waiting; 0: 10 s */
	unsigned threads;     /* that copy at a time; 0: 1 */
	unsigned sharing;     /* processes of this node that do the same, this one among them; 0: 1 */
	/* Told once which way is taken, and why; may be NULL. In the thread of snapshot_start(). */
	void (*say)(void *context, const char *message);
	void *context;
};

/* What became of the last one; whole only after snapshot_wait(). */
struct snapshot_stats {
	bool cow;
	uint64_t bytes;	 /* to be written */
	uint64_t copied; /* of these, at the start */
	uint64_t direct; /* of these, for want of room, written while the application was stopped */
	uint64_t pages;	 /* write-protected */
	uint64_t faults; /* writes of the application's that were kept waiting for a moment */
	uint64_t kept;	 /* pages that were copied in them */
	uint64_t stopped_ns; /* in snapshot_start() */
};

/* -ENOMEM. */
int snapshot_new(const struct snapshot_options *options, struct snapshot **snapshot, struct error *err);

/* Takes NULL. None may be under way. `client`, which may be NULL, forgets its memory. */
void snapshot_free(struct snapshot *snapshot, struct client *client);

/*
 * Begins to write a set, as client_put() would, and returns when the segments' memory may be changed. The client, and the
 * segments' ranges and checksums, are the snapshot's until snapshot_wait(). An increment is a full set, and *kind says
 * so, where the log has no room for it. Errors: -ENOMEM, -EAGAIN (no thread).
 */
int snapshot_start(struct snapshot *snapshot, struct client *client, uint64_t epoch, uint64_t keep, enum set_kind *kind,
		   const struct client_segment *segments, size_t count, struct error *err);

/* Is there one that was started, and has not been waited for? */
bool snapshot_under_way(const struct snapshot *snapshot);

/* Would snapshot_wait() return at once? Costs nothing. */
bool snapshot_shipped(const struct snapshot *snapshot);

/* Waits until the one under way is written, or is not: client_put()'s result. Beside its errors: -EIDRM memory was unmapped, or
 * given back, before it was written; -ENODATA the connection was lost, and not all was at hand to write it anew; -ETIME
 * a write of the application's had to wait for too long for room to copy its page.
 * Bounded by the client's own deadlines. */
int snapshot_wait(struct snapshot *snapshot, struct error *err);

/* Waits until nothing more is needed of [at, at + bytes), which the application is about to give up. */
void snapshot_release(struct snapshot *snapshot, const void *at, uint64_t bytes);

void snapshot_stats(const struct snapshot *snapshot, struct snapshot_stats *stats);

#endif
