/* SPDX-License-Identifier: BSD-3-Clause */
/* kept.h - copies of pages, each under the page's number, in memory that is bounded. Never allocates once it is ready. */
#ifndef HOLDFAST_KEPT_H
#define HOLDFAST_KEPT_H

#include <stddef.h>
#include <stdint.h>

struct kept {
	uint64_t page_bytes, most_bytes; /* 0: no bound */
	uint64_t pages, places;
	uint64_t used, free_count;
	uint32_t *place_of;  /* of each page: 1 + its place; 0: there is no copy */
	uint32_t *free_list; /* places that were used and are free again */
	uint8_t *memory;
	uint64_t pages_capacity, places_capacity;
};

/* For so many pages, none of which has a copy. -ENOMEM, -EFBIG. */
int kept_ready(struct kept *kept, uint64_t pages);
void kept_free(struct kept *kept);

/* NULL: there is none. */
static inline uint8_t *kept_copy(const struct kept *kept, uint64_t page)
{
	uint32_t place = kept->place_of[page];

	return place ? kept->memory + (place - 1) * kept->page_bytes : NULL;
}

/* Where a copy may be put, which kept_set() makes that of a page; NULL: there is no room. The same again until then. */
uint8_t *kept_room(const struct kept *kept);
void kept_set(struct kept *kept, uint64_t page);

/* Copies of pages [first, end) are not needed any more. */
void kept_drop(struct kept *kept, uint64_t first, uint64_t end);

#endif
