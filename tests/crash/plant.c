/* SPDX-License-Identifier: BSD-3-Clause */
/* plant.c - bugs that are planted, to see that they are found. */
#include "plant.h"

#include <stdlib.h>
#include <string.h>
#include "must.h"

#define LOST(step, of)	PLANT_LOST, ORDER_RIGHT, step, of, 0, 0
#define ORDER(order)	PLANT_ORDER, order, NULL, OF_METADATA, 0, 0

const struct plant plants[] = {
	{"P0-lost", "a new pool's metadata is renamed without fsync", "create", LOST("open", OF_METADATA)},
	{"P1-lost", "the withdrawal is not persisted", "full", LOST("P1", OF_METADATA)},
	{"P1-last", "the withdrawal follows the write", "full", ORDER(ORDER_WITHDRAW_LAST)},
	{"P1-last-log", "the withdrawal follows the write, in the log", "increment", ORDER(ORDER_WITHDRAW_LAST)},
	{"P2-size-lost", "a slot file's size is not persisted", "full", LOST("P2", OF_SLOTS)},
	{"P2-name-lost", "a slot file's name is not persisted", "full", LOST("P2", OF_NAMES)},
	{"P3-data-lost", "a set's data is not persisted", "full", PLANT_LOST, ORDER_RIGHT, "P3", OF_SLOTS, 0, 1},
	{"P3-table-lost", "a set's table is not persisted", "full", PLANT_LOST, ORDER_RIGHT, "P3", OF_SLOTS, 1, 1},
	{"P3-late", "a set is persisted when it is published", "full", PLANT_LATE, ORDER_RIGHT, "P3", OF_SLOTS, 0, 0},
	{"P4-first", "a set is published before COMMIT's persist", "full", ORDER(ORDER_PUBLISH_FIRST)},
	{"P4-lost", "the publication is not persisted", "full", LOST("P4", OF_METADATA)},
	{"P1-lost-log", "the withdrawal of old increments is not persisted", "increment", LOST("P1", OF_METADATA)},
	{"P3-lost-log", "an increment is not persisted", "increment", LOST("P3", OF_SLOTS)},
	{"P4-lost-log", "the publication of an increment is not persisted", "increment", LOST("P4", OF_METADATA)},
	{"P5-lost", "the raised generation is not persisted", "takeover", LOST("P5", OF_METADATA)},
	{"P5-last", "the takeover is answered before it is durable", "takeover", ORDER(ORDER_ANSWER_FIRST)},
	{"P6-lost", "the removal of a region is not persisted", "drop", LOST("P6", OF_METADATA)},
	{"P6-last", "slot files go before the region's records", "drop", ORDER(ORDER_FILES_FIRST)},
	{"P3-lost-merge", "a merged set is not persisted", "consolidate", LOST("P3", OF_SLOTS)},
	{"P3-late-merge", "a merged set is persisted when it is published", "consolidate", PLANT_LATE, ORDER_RIGHT, "P3",
	 OF_SLOTS, 0, 0},
	{"P4-lost-merge", "the publication of a merged set is not persisted", "consolidate", LOST("P4", OF_METADATA)},
	{NULL, NULL, NULL, LOST(NULL, OF_METADATA)},
};

const struct plant *plant_find(const char *name)
{
	for (const struct plant *plant = plants; plant->name; plant++) {
		if (!strcmp(plant->name, name))
			return plant;
	}
	return NULL;
}

static bool is_of(const struct recording *recording, const struct event *event, enum plant_of of)
{
	if (event->type != EVENT_FLUSH && event->type != EVENT_FENCE)
		return false;
	if (event->place == PLACE_NAME || event->file == NAMES)
		return of == OF_NAMES;
	return of == (recording->files[event->file].in_slots ? OF_SLOTS : OF_METADATA);
}

static struct recording without_events(const struct recording *recording)
{
	struct recording planted = *recording;

	planted.events = malloc(recording->count * sizeof(*planted.events));
	must(planted.events);
	planted.count = 0;
	return planted;
}

struct recording plant_in(const struct recording *recording, const struct plant *plant)
{
	struct recording planted = without_events(recording);
	struct event late[64];
	size_t late_count = 0;
	unsigned step = 0, fences = 0;
	bool published = false;

	for (size_t i = 0; i < recording->count; i++) {
		const struct event *event = &recording->events[i];
		const char *name = recording->steps[event->step];

		if (event->step != step) {
			if (published) {
				memcpy(&planted.events[planted.count], late, late_count * sizeof(*late));
				planted.count += late_count;
				late_count = 0;
			}
			step = event->step;
			fences = 0;
			published = !strcmp(name, "P4");
		}
		if (plant->kind == PLANT_ORDER || strcmp(name, plant->step) != 0 || !is_of(recording, event, plant->of) ||
		    (plant->count && (fences < plant->first || fences >= plant->first + plant->count))) {
			planted.events[planted.count++] = *event;
		} else if (plant->kind == PLANT_LATE) {
			must(late_count < sizeof(late) / sizeof(*late));
			late[late_count++] = *event;
		}
		fences += event->type == EVENT_FENCE && strcmp(name, plant->step ? plant->step : "") == 0;
	}
	return planted;
}

struct recording plant_without(const struct recording *recording, size_t event)
{
	struct recording planted = without_events(recording);

	for (size_t i = 0; i < recording->count; i++) {
		if (i != event)
			planted.events[planted.count++] = recording->events[i];
	}
	return planted;
}
