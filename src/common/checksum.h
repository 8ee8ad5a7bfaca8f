/* SPDX-License-Identifier: BSD-3-Clause */
/* checksum.h - XXH3-64, seed 0, over blocks of a set, tables and records. Not cryptographic. */
#ifndef HOLDFAST_CHECKSUM_H
#define HOLDFAST_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *data, size_t bytes);

/* The same of data that comes in parts: begin, add each, end. One thread at a time. */
struct checksum {
	_Alignas(64) uint8_t state[576];
};

void checksum_begin(struct checksum *sum);
void checksum_add(struct checksum *sum, const void *data, size_t bytes);
uint64_t checksum_end(const struct checksum *sum);

#endif
