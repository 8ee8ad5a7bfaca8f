/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * async.h - a checkpoint that is shipped while the application computes: from hf_checkpoint_start() until all ranks agree
 * on what became of it. While it is shipped the job's client belongs to a thread of the library's (snapshot.h): whoever
 * needs the client calls async_join() or async_settle() before.
 */
#ifndef HOLDFAST_ASYNC_H
#define HOLDFAST_ASYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ckpt/segment.h"
#include "common/error.h"

struct hf_job;
struct snapshot;
struct client_memory;

struct async {
	struct snapshot *snapshot; /* NULL: there was none yet */
	pid_t pid; /* that started it; a child of fork() has none under way */
	bool started; /* agreed: and its end is not agreed on yet */
	uint64_t epoch; /* agreed */
	struct layout layout;
	int wanted; /* wish_flags, as this rank knew them at the start */
	uint64_t begun_ns, stopped_ns;
	bool joined; /* this rank's part has ended, */
	int rc;	     /* as the client told it, -errno */
	struct error rc_err;
	bool settled; /* agreed: one ended, and hf_checkpoint_wait() has not told of it yet: */
	struct error outcome; /* an HF_* code */
	struct client_memory *gone; /* what the client is to forget when it is ours again */
	size_t gone_count, gone_capacity;
};

/* Is one started whose end is not agreed on yet? Agreed; false in a child. */
bool async_under_way(const struct hf_job *job);

/* Is this rank's part being shipped, so that the client is not ours? */
bool async_busy(const struct hf_job *job);

/* Waits until this rank's part has ended, one way or the other: the client is ours then. Nothing where there is none. */
void async_join(struct hf_job *job);

/* Collective: waits for the one under way, and agrees on what became of it, which hf_checkpoint_wait() then tells. Nothing
 * where there is none. */
void async_settle(struct hf_job *job);

/* The memory is about to go, or to become another's: nothing reads it any more, and the client forgets it. */
void async_forget(struct hf_job *job, const void *at, uint64_t bytes);

/* At the end of the job, with its client still there; its end need not be agreed on. */
void async_free(struct hf_job *job);

#endif
