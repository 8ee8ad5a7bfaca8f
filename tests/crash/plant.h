/* SPDX-License-Identifier: BSD-3-Clause */
/* plant.h - bugs that are planted, to see that they are found: persists that are lost or late, and steps in another order. */
#ifndef HOLDFAST_PLANT_H
#define HOLDFAST_PLANT_H

#include "recording.h"
#include "scenario.h"

enum plant_kind {
	PLANT_LOST,  /* flushes and fences, as if the code lacked them */
	PLANT_LATE,  /* they come when the next P4 is over */
	PLANT_ORDER, /* the scenario does it in another order */
};

/* Of which files. */
enum plant_of { OF_METADATA, OF_SLOTS, OF_NAMES };

struct plant {
	const char *name, *what, *scenario;
	enum plant_kind kind;
	enum order order; /* PLANT_ORDER */
	const char *step; /* else */
	enum plant_of of;
	unsigned first, count; /* of its fences in each step; count 0: all */
};

/* Ended by one without a name. */
extern const struct plant plants[];

/* NULL: there is none of this name. */
const struct plant *plant_find(const char *name);

/* The recording as it were with the bug: events of its own, all else the other one's. */
struct recording plant_in(const struct recording *recording, const struct plant *plant);

/* Without this event. */
struct recording plant_without(const struct recording *recording, size_t event);

#endif
