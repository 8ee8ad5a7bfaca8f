/* SPDX-License-Identifier: BSD-3-Clause */
/* extent.c - which units of a device are taken. */
#include "pmm/extent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

int extent_map_init(struct extent_map *map, uint64_t units)
{
	if (units < 2 || units > UINT32_MAX)
		return -EINVAL;
	map->taken = calloc((units + WORD_BITS - 1) / WORD_BITS, sizeof(*map->taken));
	if (!map->taken)
		return -ENOMEM;
	map->units = map->free = units;
	extent_map_take(map, (struct extent_record){0, 1});
	return 0;
}

void extent_map_free(struct extent_map *map)
{
	free(map->taken);
	*map = (struct extent_map){0};
}

/* Of the word that `unit` is in: the bits from there on, below that of `end`. */
static uint64_t bits(uint64_t unit, uint64_t end)
{
	uint64_t most = WORD_BITS - unit % WORD_BITS, n = end - unit < most ? end - unit : most;

	return UINT64_MAX >> (WORD_BITS - n) << unit % WORD_BITS;
}

static uint64_t next_word(uint64_t unit)
{
	return unit + WORD_BITS - unit % WORD_BITS;
}

/* To `taken`, which none of them was. */
static void set_taken(struct extent_map *map, struct extent_record extent, bool taken)
{
	uint64_t end = (uint64_t)extent.first + extent.count;

	for (uint64_t unit = extent.first; unit < end; unit = next_word(unit)) {
		assert((map->taken[unit / WORD_BITS] & bits(unit, end)) == (taken ? 0 : bits(unit, end)));
		map->taken[unit / WORD_BITS] ^= bits(unit, end);
	}
	map->free += taken ? -(uint64_t)extent.count : extent.count;
}

/* How many units are free from `first` on; `most` are enough. */
static uint64_t free_from(const struct extent_map *map, uint64_t first, uint64_t most)
{
	uint64_t left = first < map->units ? map->units - first : 0, end = first + (most < left ? most : left), taken;

	for (uint64_t unit = first; unit < end; unit = next_word(unit)) {
		taken = map->taken[unit / WORD_BITS] & bits(unit, end);
		if (taken)
			return unit - unit % WORD_BITS + (unsigned)__builtin_ctzll(taken) - first;
	}
	return end - first;
}

bool extent_map_take(struct extent_map *map, struct extent_record extent)
{
	if (free_from(map, extent.first, extent.count) < extent.count)
		return false;
	set_taken(map, extent, true);
	return true;
}

void extent_map_take_free(struct extent_map *map, struct extent_record extent)
{
	uint64_t end = (uint64_t)extent.first + extent.count, *word, wanted;

	if (end > map->units)
		end = map->units;
	for (uint64_t unit = extent.first; unit < end; unit = next_word(unit)) {
		word = &map->taken[unit / WORD_BITS];
		wanted = bits(unit, end) & ~*word;
		*word |= wanted;
		map->free -= (unsigned)__builtin_popcountll(wanted);
	}
}

void extent_map_give(struct extent_map *map, struct extent_record extent)
{
	set_taken(map, extent, false);
}

/* The first free units that are `units`, or else the largest ones; none: count is 0. */
static struct extent_record find(const struct extent_map *map, uint64_t units)
{
	struct extent_record best = {0, 0};
	uint64_t n;

	for (uint64_t unit = 0; unit < map->units; unit += n ? n : 1) {
		n = 0;
		if (unit % WORD_BITS == 0 && map->taken[unit / WORD_BITS] == UINT64_MAX) {
			n = WORD_BITS;
			continue;
		}
		n = free_from(map, unit, units);
		if (n > best.count)
			best = (struct extent_record){(uint32_t)unit, (uint32_t)n};
		if (n == units)
			break;
	}
	return best;
}

/* Where the next units of the slot go. */
static struct extent_record choose(const struct extent_map *map, uint64_t units, const struct extent_record *last)
{
	uint64_t behind = last ? (uint64_t)last->first + last->count : 0;

	if (last && free_from(map, behind, units) == units)
		return (struct extent_record){(uint32_t)behind, (uint32_t)units};
	return find(map, units);
}

int extent_map_add(struct extent_map *map, uint64_t units, struct extent_record extents[SLOT_EXTENTS])
{
	struct extent_record old[SLOT_EXTENTS], got[SLOT_EXTENTS + 1], next;
	unsigned n = 0, count = 0;
	int rc = 0;

	if (units > map->free)
		return -ENOSPC;
	memcpy(old, extents, sizeof(old));
	while (n < SLOT_EXTENTS && extents[n].count)
		n++;
	while (units) {
		next = choose(map, units, n ? &extents[n - 1] : NULL);
		if (n && (uint64_t)extents[n - 1].first + extents[n - 1].count == next.first) {
			extents[n - 1].count += next.count;
		} else if (n < SLOT_EXTENTS) {
			extents[n++] = next;
		} else {
			rc = -EMLINK;
			break;
		}
		extent_map_take(map, next);
		got[count++] = next;
		units -= next.count;
	}
	if (!rc)
		return 0;
	while (count)
		extent_map_give(map, got[--count]);
	memcpy(extents, old, sizeof(old));
	return rc;
}

uint64_t extent_units(const struct extent_record extents[SLOT_EXTENTS])
{
	uint64_t units = 0;

	for (unsigned i = 0; i < SLOT_EXTENTS; i++)
		units += extents[i].count;
	return units;
}
