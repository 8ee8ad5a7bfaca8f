/* SPDX-License-Identifier: BSD-3-Clause */
/* changes.h - mode incremental: what of a rank's segments changed since the newest complete epoch. */
#ifndef HOLDFAST_CHANGES_H
#define HOLDFAST_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ckpt/segment.h"
#include "client/option.h"
#include "common/error.h"
#include "track/track.h"

struct watched;

struct changes {
	struct track *track; /* NULL: mode full */
	struct watched *list; /* in the order of the segments, as far as they stay */
	size_t count, capacity;
	uint64_t epoch; /* that the changes are relative to; 0: none */
	uint64_t bytes, changed; /* of the last changes_find() */
};

/* Where the mode is incremental. HF_ECONFIG: the tracker asked for does not work here; HF_ENOMEM. */
int changes_open(struct changes *changes, const struct options *options, struct error *err);

/* Zeroed ones are fine. */
void changes_close(struct changes *changes);

/*
 * Before a set: gives each segment its ranges and checksums, which stay until the next call. A segment that was not
 * there in the last epoch, or had another description, is all changed. HF_ENOMEM.
 */
int changes_find(struct changes *changes, struct segments *segments, struct error *err);

/* All ranks have the set of what was found last, as this epoch. */
void changes_settled(struct changes *changes, uint64_t epoch);

#endif
