/* SPDX-License-Identifier: BSD-3-Clause */
/* size.h - sizes as people write them. */
#ifndef HOLDFAST_SIZE_H
#define HOLDFAST_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* "4096", "64K", "8G", "1.5T": binary multiples. 0, or -EINVAL where it is no size or too large. */
int size_parse(const char *text, uint64_t *bytes);

/* Writes "1.5 GiB" and the like into `out` and returns it. */
const char *size_format(uint64_t bytes, char *out, size_t capacity);

static inline uint64_t size_round_up(uint64_t value, uint64_t multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}

#endif
