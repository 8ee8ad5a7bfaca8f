/* SPDX-License-Identifier: BSD-3-Clause */
/* checksum.c - XXH3-64, by the widest vector instructions that this processor has. */
#include "config.h"
#include "common/checksum.h"

#include <xxhash.h>
#ifdef HAVE_XXH3_DISPATCH
#include <xxh_x86dispatch.h> /* makes XXH3_64bits() choose; the values are the same */
#endif

uint64_t checksum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}
