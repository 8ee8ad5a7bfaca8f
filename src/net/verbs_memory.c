/* SPDX-License-Identifier: BSD-3-Clause */
/* verbs_memory.c - the initiator's registered memory. */
#include "net/verbs_memory.h"

#include <errno.h>
#include <stdlib.h>

#define KEPT_MAX 256u

struct verbs_range {
	struct verbs_range *next;
	struct ibv_mr *mrs[NET_RAILS_MAX]; /* of each domain */
	uintptr_t base;
	size_t bytes;
	unsigned use;
	unsigned users; /* 0: only kept */
	bool kept;
};

static bool range_contains(const struct verbs_range *range, uintptr_t base, size_t bytes)
{
	return base >= range->base && base - range->base <= range->bytes &&
	       bytes <= range->bytes - (base - range->base);
}

static bool range_overlaps(const struct verbs_range *range, uintptr_t base, size_t bytes)
{
	return base < range->base ? range->base - base < bytes : base - range->base < range->bytes;
}

static void range_free(struct verbs_range *range)
{
	for (unsigned i = 0; i < NET_RAILS_MAX && range->mrs[i]; i++)
		ibv_dereg_mr(range->mrs[i]);
	free(range);
}

static void range_end(struct verbs_range **at)
{
	struct verbs_range *range = *at;

	*at = range->next;
	range_free(range);
}

static void drop_idle(struct verbs_memory *memory, unsigned keep)
{
	for (struct verbs_range **at = &memory->first; *at;) {
		if ((*at)->users) {
			at = &(*at)->next;
		} else if (keep) {
			keep--;
			at = &(*at)->next;
		} else {
			range_end(at);
		}
	}
}

/* Only what is kept is shared: the memory of another's short use may be gone before ours ends. */
static struct verbs_range *take_kept(struct verbs_memory *memory, uintptr_t base, size_t bytes, unsigned use)
{
	for (struct verbs_range **at = &memory->first; *at; at = &(*at)->next) {
		struct verbs_range *range = *at;

		if (!range->kept || (range->use & use) != use || !range_contains(range, base, bytes))
			continue;
		*at = range->next;
		range->next = memory->first;
		memory->first = range;
		return range;
	}
	return NULL;
}

int verbs_memory_domain(struct verbs_memory *memory, struct ibv_context *device, struct error *err)
{
	unsigned i = 0;

	while (i < memory->domain_count && memory->domains[i]->context != device)
		i++;
	if (i < memory->domain_count)
		return (int)i;
	memory->domains[i] = ibv_alloc_pd(device);
	if (!memory->domains[i])
		return verbs_failed(err, errno, "opening a protection domain");
	memory->domain_count++;
	return (int)i;
}

void verbs_memory_trim(struct verbs_memory *memory, unsigned count)
{
	while (memory->domain_count > count)
		ibv_dealloc_pd(memory->domains[--memory->domain_count]);
}

static int range_register(const struct verbs_memory *memory, struct verbs_range *range, void *base, size_t bytes,
			  int access, struct error *err)
{
	int rc = 0;

	for (unsigned i = 0; i < memory->domain_count && !rc; i++)
		if (!range->mrs[i])
			rc = verbs_register(memory->domains[i], base, bytes, access, &range->mrs[i], NULL, err);
	return rc;
}

int verbs_memory_add(struct verbs_memory *memory, void *base, size_t bytes, unsigned use,
		     struct verbs_range **out, struct error *err)
{
	unsigned direction = use & (NET_SOURCE | NET_SINK);
	bool keep = use & NET_KEEP && !verbs_switched_off("HOLDFAST_VERBS_KEEP");
	struct verbs_range *range = keep ? take_kept(memory, (uintptr_t)base, bytes, direction) : NULL;
	/* A source may be memory that cannot be written; and pinning for writing would be a change to who
	 * watches the pages. */
	int access = direction & NET_SINK ? IBV_ACCESS_LOCAL_WRITE : 0, rc;

	if (range) {
		range->users++;
		*out = range;
		return 0;
	}
	range = calloc(1, sizeof(*range));
	if (!range)
		return error_nomem(err, "a registration");
	rc = range_register(memory, range, base, bytes, access, err);
	if (rc == -ENOMEM) {
		drop_idle(memory, 0);
		rc = range_register(memory, range, base, bytes, access, err);
	}
	if (rc) {
		range_free(range);
		return rc;
	}
	range->base = (uintptr_t)base;
	range->bytes = bytes;
	range->use = direction;
	range->kept = keep;
	range->users = 1;
	range->next = memory->first;
	memory->first = range;
	*out = range;
	return 0;
}

void verbs_memory_drop(struct verbs_memory *memory, struct verbs_range *range)
{
	if (--range->users)
		return;
	if (range->kept) {
		drop_idle(memory, KEPT_MAX);
		return;
	}
	for (struct verbs_range **at = &memory->first; *at; at = &(*at)->next) {
		if (*at == range) {
			range_end(at);
			return;
		}
	}
}

void verbs_memory_forget(struct verbs_memory *memory, const void *base, size_t bytes)
{
	for (struct verbs_range **at = &memory->first; *at;) {
		struct verbs_range *range = *at;

		if (range_overlaps(range, (uintptr_t)base, bytes)) {
			range->kept = false;
			if (!range->users) {
				range_end(at);
				continue;
			}
		}
		at = &range->next;
	}
}

bool verbs_memory_find(const struct verbs_memory *memory, unsigned domain, const void *base, size_t bytes, unsigned use,
		       uint32_t *lkey)
{
	for (const struct verbs_range *range = memory->first; range; range = range->next) {
		if (range->users && (range->use & use) == use &&
		    range_contains(range, (uintptr_t)base, bytes)) {
			*lkey = range->mrs[domain]->lkey;
			return true;
		}
	}
	return false;
}

void verbs_memory_clear(struct verbs_memory *memory)
{
	while (memory->first)
		range_end(&memory->first);
	verbs_memory_trim(memory, 0);
}
