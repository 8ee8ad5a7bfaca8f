/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recording.h - what a pool's files go through while the real code works on them: stores, flushes, fences, and what
 * happens to names and sizes.
 *
 * Stores are found by looking: whenever something is flushed or fenced, each 8-byte unit of each file that is not what it
 * was is a store. So those of libpmemobj are seen as ours are, and what a network card writes as well. Flushes and
 * fences come from three places: the functions of libpmem, which libpmemobj calls and which are ours here (it is told
 * that its file is persistent memory); the back end media_recording; and fsync(2), by the linker's --wrap.
 */
#ifndef HOLDFAST_RECORDING_H
#define HOLDFAST_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "media/media.h"
#include "oracle.h"

#define FILES_MAX	  16
#define FILE_NAME_BYTES	  32 /* below the pool's directory */
#define STEP_BYTES	  16
#define NAMES		  FILES_MAX /* the scope of a fence: the directory's entries */

/* What of a file a store changes. */
enum place { PLACE_WORD, PLACE_SIZE, PLACE_NAME };

enum event_type {
	EVENT_STORE,   /* at = (value) */
	EVENT_FLUSH,   /* what was stored into [offset, end) of the file, or its size or name, is on its way */
	EVENT_FENCE,   /* what was flushed of the file, or (NAMES) of the names, is durable */
	EVENT_PROMISE, /* value: from here on recording.promises[value] holds */
};

struct event {
	enum event_type type;
	enum place place;
	uint16_t file;
	uint16_t step;	 /* of the scenario: an index into recording.steps */
	uint64_t offset; /* of a word: in bytes */
	uint64_t end;	 /* FLUSH */
	uint64_t value;	 /* a name: index into recording.names */
};

struct recorded_file {
	uint64_t inode;
	uint8_t *before; /* its bytes when the recording began */
	uint64_t before_bytes, before_name;
	uint64_t bytes_max; /* that it ever had */
	/* While it is recorded: */
	const uint8_t *now;
	uint8_t *seen;
	uint64_t bytes, name;
	bool in_slots, there;
};

struct recording {
	struct recorded_file files[FILES_MAX];
	unsigned file_count;
	char (*names)[FILE_NAME_BYTES]; /* 0: none */
	size_t name_count;
	char (*steps)[STEP_BYTES];
	size_t step_count;
	struct event *events;
	size_t count, capacity;
	struct promise *promises;
	size_t promise_count;
};

/* Records what happens in the pool's directory from now on, in this process. */
void recording_begin(struct recording *recording, const char *directory);
void recording_end(void);
void recording_free(struct recording *recording);

/* The events from here on belong to this step; the pool is, once opened, what is promised. */
void recording_step(const char *step);
void recording_promise(const struct promise *promise);

/* Wraps media_pmem2. */
extern const struct media_ops media_recording;

#endif
