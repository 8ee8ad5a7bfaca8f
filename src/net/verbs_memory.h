/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verbs_memory.h - the initiator's registered memory, in the protection domains of the devices that it uses. What was registered with NET_KEEP stays so when it is
 * unregistered, till it is forgotten, till there are too many, or till the device or the limit on locked memory has
 * no room for another.
 */
#ifndef HOLDFAST_VERBS_MEMORY_H
#define HOLDFAST_VERBS_MEMORY_H

#include "net/verbs.h"

struct verbs_range;

struct verbs_memory {
	struct ibv_pd *domains[NET_RAILS_MAX];
	unsigned domain_count;
	struct verbs_range *first; /* the one that was used last is the first */
};

/* The number of this device's domain, which is made where there is none; -errno. Before any memory is registered. */
int verbs_memory_domain(struct verbs_memory *memory, struct ibv_context *device, struct error *err);

/* Keeps the first `count` domains only. */
void verbs_memory_trim(struct verbs_memory *memory, unsigned count);

int verbs_memory_add(struct verbs_memory *memory, void *base, size_t bytes, unsigned use,
		     struct verbs_range **range, struct error *err);
void verbs_memory_drop(struct verbs_memory *memory, struct verbs_range *range);
void verbs_memory_forget(struct verbs_memory *memory, const void *base, size_t bytes);

/* The local key, in this domain, of what [base, base + bytes) is registered as for this use; false: it is not. */
bool verbs_memory_find(const struct verbs_memory *memory, unsigned domain, const void *base, size_t bytes, unsigned use,
		       uint32_t *lkey);

/* When the queue pairs are gone. */
void verbs_memory_clear(struct verbs_memory *memory);

#endif
