/* SPDX-License-Identifier: BSD-3-Clause */
/* choose.h - which tracker: the one asked for, or by a trial and a timing of both. */
#ifndef HOLDFAST_TRACK_CHOOSE_H
#define HOLDFAST_TRACK_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "track/tracker.h"

/* What a page costs on this machine. */
struct track_costs {
	double hash_ns;	 /* to hash it */
	double scan_ns;	 /* to find that it was not written */
	double write_ns; /* its first write since the last collect, and finding it */
};

/* Chooses by name, "auto" (also NULL) by trial and timing, where so many threads hash; `reason` gets a sentence. */
int tracker_choose(const char *name, unsigned threads, const struct tracker_ops **ops, char *reason,
		   size_t capacity, struct error *err);

/* Whether watching is clearly cheaper than hashing everything; in doubt it is not. */
bool tracker_pays(const struct track_costs *costs);

#endif
