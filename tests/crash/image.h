/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image.h - what a crash may leave of a recording. The medium goes through the events one by one; at each it knows what
 * is durable, and what is pending: stored, and perhaps written back by itself, perhaps not. An image is the durable
 * state with any choice of what is pending, each 8-byte unit (size, name) by itself, with any of the values that it had.
 */
#ifndef HOLDFAST_IMAGE_H
#define HOLDFAST_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include "recording.h"

#define VALUES_MAX 6 /* of one unit, between two fences: of more, the oldest are left out */

struct pending {
	enum place place;
	uint16_t file;
	uint64_t offset;
	unsigned count, flushed; /* values; how many of them are on their way */
	bool stale;		 /* a fence of its file has passed it by: nobody made it durable */
	uint64_t values[VALUES_MAX];
};

struct medium {
	const struct recording *recording;
	struct {
		uint8_t *bytes;	      /* durable, bytes_max of them */
		uint64_t size, name;  /* durable */
		uint32_t *pending_at; /* by word: index + 1 */
		uint8_t *changed;     /* by page: other than when an image was last written */
		uint64_t shown;	      /* the name that the file had in that image; 0: it was not there */
	} files[FILES_MAX];
	struct pending *pending;
	size_t count, capacity;
	uint64_t sum; /* of what is durable, however it came to be so */
};

void medium_begin(struct medium *medium, const struct recording *recording);
void medium_free(struct medium *medium);

/* Is a crash right before this event another one than before those before it? Where it makes something durable. */
bool medium_crash_point(const struct medium *medium, const struct event *event);

void medium_apply(struct medium *medium, const struct event *event);

/* An image is told by a choice for each pending unit: 0 is the durable value, i the i-th since. */

/* What tells the image from others of the same recording. */
uint64_t image_sum(const struct medium *medium, const uint8_t *choice);

/* Makes the directory this image. It must be the same one each time, and its metadata as it was written; where they are
 * not, image_forget() first. */
void image_write(struct medium *medium, const uint8_t *choice, const char *directory);
void image_forget(struct medium *medium, const char *directory);

/*
 * The choices at the crash point before this event (NULL: at the end). All of what was stored since the fence before
 * and is about to be durable, where they are `all` at most, else `sample` of them; what else is pending is chosen at
 * random, the same each time with the same seed. choices_next() returns false when there are no more.
 */
struct choices {
	const struct medium *medium;
	const struct event *event;
	uint8_t *choice;
	uint64_t number, count, random;
	bool all;
};

void choices_begin(struct choices *choices, const struct medium *medium, const struct event *event, uint64_t all,
		   uint64_t sample, uint64_t seed);
bool choices_next(struct choices *choices);
void choices_end(struct choices *choices);

#endif
