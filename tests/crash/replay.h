/* SPDX-License-Identifier: BSD-3-Clause */
/* replay.h - makes the crash images of a recording, in several processes, and has the oracle look at each. */
#ifndef HOLDFAST_REPLAY_H
#define HOLDFAST_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "recording.h"

#define WORKERS_MAX 16
#define NO_IMAGE    UINT64_MAX

/* Which images: choices_begin() tells of `all` and `sample`. The same numbers mean the same images. */
struct selection {
	uint64_t seed, all, sample;
	uint64_t image;	   /* this one alone; NO_IMAGE: each */
	uint64_t thorough; /* every Nth one; 0: none */
	unsigned workers;
};

struct replay {
	const struct recording *recording;
	const struct selection *selection;
	size_t begin, end; /* of the events before which crashes are looked at */
	bool stop_at_first;
	const char *scratch; /* a directory for images */
};

struct findings {
	uint64_t points, points_all; /* crash points; those of which every image was made */
	uint64_t pending_max;	     /* units */
	uint64_t images;	     /* that differ */
	uint64_t failures, first;    /* the first one's number, and what is wrong with it */
	struct error err;
};

void replay_run(const struct replay *replay, struct findings *findings);

/* Makes the directory, which must be new, this image; tells what is promised of it. False: there is none. */
bool replay_image(const struct replay *replay, uint64_t image, const char *directory, struct promise *promise);

#endif
