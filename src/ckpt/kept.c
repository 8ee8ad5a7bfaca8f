/* SPDX-License-Identifier: BSD-3-Clause */
/* kept.c - copies of pages. */
#include "ckpt/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Pages of it come to be when they are written; not in a child. */
static uint8_t *memory_map(uint64_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_DONTFORK);
	madvise(at, bytes, MADV_HUGEPAGE); /* a fault for each would keep the application waiting longer */
	return at;
}

static int places_ready(struct kept *kept, uint64_t places)
{
	if (places <= kept->places_capacity)
		return 0;
	if (kept->memory)
		munmap(kept->memory, kept->places_capacity * kept->page_bytes);
	free(kept->free_list);
	kept->places_capacity = 0;
	kept->memory = memory_map(places * kept->page_bytes);
	kept->free_list = calloc(places, sizeof(*kept->free_list));
	if (kept->memory && kept->free_list) {
		kept->places_capacity = places;
		return 0;
	}
	if (kept->memory)
		munmap(kept->memory, places * kept->page_bytes);
	kept->memory = NULL;
	return -ENOMEM;
}

int kept_ready(struct kept *kept, uint64_t pages)
{
	uint64_t places = kept->most_bytes ? kept->most_bytes / kept->page_bytes : pages;

	if (places > pages)
		places = pages;
	if (places >= UINT32_MAX)
		return -EFBIG;
	if (pages > kept->pages_capacity) {
		free(kept->place_of);
		kept->pages_capacity = 0;
		kept->place_of = calloc(pages, sizeof(*kept->place_of));
		if (!kept->place_of)
			return -ENOMEM;
		kept->pages_capacity = pages;
	} else if (pages) {
		memset(kept->place_of, 0, pages * sizeof(*kept->place_of));
	}
	kept->pages = pages;
	kept->places = places;
	kept->used = kept->free_count = 0;
	return places_ready(kept, places);
}

void kept_free(struct kept *kept)
{
	if (kept->memory)
		munmap(kept->memory, kept->places_capacity * kept->page_bytes);
	free(kept->free_list);
	free(kept->place_of);
	*kept = (struct kept){0};
}

uint8_t *kept_room(const struct kept *kept)
{
	uint64_t place;

	if (kept->free_count)
		place = kept->free_list[kept->free_count - 1];
	else if (kept->used < kept->places)
		place = kept->used;
	else
		return NULL;
	return kept->memory + place * kept->page_bytes;
}

void kept_set(struct kept *kept, uint64_t page)
{
	uint64_t place = kept->free_count ? kept->free_list[--kept->free_count] : kept->used++;

	kept->place_of[page] = (uint32_t)place + 1;
}

void kept_drop(struct kept *kept, uint64_t first, uint64_t end)
{
	for (; first < end; first++) {
		if (!kept->place_of[first])
			continue;
		kept->free_list[kept->free_count++] = kept->place_of[first] - 1;
		kept->place_of[first] = 0;
	}
}
