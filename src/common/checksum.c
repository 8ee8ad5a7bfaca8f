/* SPDX-License-Identifier: BSD-3-Clause */
/* checksum.c - XXH3-64. */
#include "common/checksum.h"

#include <xxhash.h>

uint64_t checksum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}
