/* SPDX-License-Identifier: BSD-3-Clause */
/* checksum.c - XXH3-64, by the widest vector instructions that this processor has. */
#include "config.h"
#define XXH_STATIC_LINKING_ONLY /* the size of a state */
#include "common/checksum.h"

#include <xxhash.h>
#ifdef HAVE_XXH3_DISPATCH
#include <xxh_x86dispatch.h> /* makes XXH3_64bits() choose; the values are the same */
#endif

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct checksum *)0)->state), "a state has room");

uint64_t checksum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

void checksum_begin(struct checksum *sum)
{
	XXH3_64bits_reset((XXH3_state_t *)sum->state);
}

void checksum_add(struct checksum *sum, const void *data, size_t bytes)
{
	XXH3_64bits_update((XXH3_state_t *)sum->state, data, bytes);
}

uint64_t checksum_end(const struct checksum *sum)
{
	return XXH3_64bits_digest((const XXH3_state_t *)sum->state);
}
