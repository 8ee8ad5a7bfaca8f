/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * extent.h - which units of a device are taken. It is in DRAM alone: the slots' records say where they lie, and this
 * follows from them, so that nothing of a device can be lost by a crash.
 */
#ifndef HOLDFAST_EXTENT_H
#define HOLDFAST_EXTENT_H

#include <stdbool.h>
#include <stdint.h>
#include "pmm/format.h"

struct extent_map {
	uint64_t *taken; /* a bit a unit */
	uint64_t units, free;
};

/* All free but the first, which is the device's header. -EINVAL (more than extents can name, or less than 2), -ENOMEM. */
int extent_map_init(struct extent_map *map, uint64_t units);
void extent_map_free(struct extent_map *map);

/* Takes these units. False, and nothing changed, where one is outside or taken. */
bool extent_map_take(struct extent_map *map, struct extent_record extent);

/* Takes those of them that are free. */
void extent_map_take_free(struct extent_map *map, struct extent_record extent);

/* Gives units back that are taken. */
void extent_map_give(struct extent_map *map, struct extent_record extent);

/*
 * Takes `units` more for a slot that has `extents`: behind its last one where that is free, else in the first place that
 * is large enough, else in as few of the largest ones as there must be. -ENOSPC: not so many are free. -EMLINK: they are
 * in too many pieces. Nothing changed then.
 */
int extent_map_add(struct extent_map *map, uint64_t units, struct extent_record extents[SLOT_EXTENTS]);

uint64_t extent_units(const struct extent_record extents[SLOT_EXTENTS]);

#endif
